/*
 * refused.c - records that only the broker finds too large: remembered, and known when they come
 * again after the rewind, so that write.c can meet them by `oversized`.
 *
 * A row of the log comes again under its __seq; by its size too, since both halves of a key change
 * have one __seq and only one may be too large. All rows that a copy reads in one round have one
 * __seq, and read again they have another: they are known by key and size, which __synced_at
 * changes by some bytes.
 *
 * An entry goes when its record was met and that is committed, or when the log is behind it. Not
 * before: what stands before the record, of the same __seq even, is committed again and again.
 */
#include "kafka.h"

#include <stdlib.h>

#define ORDINAL 34 /* in a __seq */

static bool is_read(const char *seq)
{
    return seq[ORDINAL] == 'f'; /* CDC_READ_ORDINAL */
}

void kfk_refused_learn(struct kafka *kf, const struct kfk_trouble *trouble)
{
    struct kfk_refused *refused = realloc(kf->refused, (kf->n_refused + 1) * sizeof *refused);
    if (!refused)
        return; /* it is refused again, then */
    kf->refused = refused;
    struct kfk_refused *ref = &refused[kf->n_refused++];
    *ref =
        (struct kfk_refused){.topic = trouble->topic, .bytes = trouble->bytes, .key = trouble->key};
    memcpy(ref->seq, trouble->seq, sizeof ref->seq);
}

/* The same record, in a form that is no smaller than what was refused? */
static bool is_it(const struct kfk_refused *ref, const struct kfk_refused *rec)
{
    if (ref->topic != rec->topic || rec->bytes + KFK_SIZE_VARIES < ref->bytes)
        return false;
    if (is_read(ref->seq))
        return is_read(rec->seq) && ref->key == rec->key;
    return memcmp(ref->seq, rec->seq, CDC_SEQ_LEN) == 0;
}

/* A row that has grown since it was read is another one: nobody has refused that. */
static bool is_known(const struct kafka *kf, const struct kfk_refused *rec)
{
    for (size_t i = 0; i < kf->n_refused; i++) {
        const struct kfk_refused *ref = &kf->refused[i];
        if (is_it(ref, rec) && (!is_read(ref->seq) || rec->bytes <= ref->bytes + KFK_SIZE_VARIES))
            return true;
    }
    return false;
}

size_t kfk_refused_at(struct kafka *kf, const struct kfk_refused *rec)
{
    size_t ret = SIZE_MAX;
    bool known = is_known(kf, rec);
    for (size_t i = 0; known && i < kf->n_refused; i++) {
        struct kfk_refused *ref = &kf->refused[i];
        if (!is_it(ref, rec))
            continue;
        ref->met = true; /* its placeholder too, that was refused in turn */
        ret = ref->bytes < ret ? ref->bytes : ret;
    }
    return ret;
}

void kfk_refused_rewind(struct kafka *kf)
{
    for (size_t i = 0; i < kf->n_refused; i++)
        kf->refused[i].met = false;
}

void kfk_refused_committed(struct kafka *kf)
{
    size_t kept = 0;
    for (size_t i = 0; i < kf->n_refused; i++) {
        const struct kfk_refused *ref = &kf->refused[i];
        bool behind = !is_read(ref->seq) && memcmp(ref->seq, kf->seq, CDC_SEQ_LEN) < 0;
        if (!ref->met && !behind)
            kf->refused[kept++] = *ref;
    }
    kf->n_refused = kept;
}
