/*
 * xa_keep.c - see xa_keep.h. An event's length is made that without its checksum.
 */
#include "xa_keep.h"

#include <stdlib.h>

static bool same_at(const struct mys_at *a, const struct mys_at *b)
{
    return a->pos == b->pos && strcmp(a->file, b->file) == 0 && strcmp(a->id, b->id) == 0;
}

struct mys_kept *mys_kept_find(const struct mys_keep *keep, const struct mys_at *at)
{
    struct mys_kept *kept = keep->first;
    while (kept && !same_at(&kept->at, at))
        kept = kept->next;
    return kept;
}

struct mys_kept *mys_kept_new(struct mys_keep *keep, const struct mys_at *at)
{
    struct mys_kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    kept->at = *at;
    kept->whole = true;
    cdc_buf_init(&kept->events, MYS_KEEP_ONE);
    kept->next = keep->first;
    keep->first = kept;
    return kept;
}

static void forget(struct mys_keep *keep, struct mys_kept **link)
{
    struct mys_kept *kept = *link;
    *link = kept->next;
    keep->bytes -= kept->events.len;
    cdc_buf_done(&kept->events);
    free(kept);
}

void mys_kept_forget(struct mys_keep *keep, const struct mys_at *at)
{
    for (struct mys_kept **link = &keep->first; *link;)
        if (same_at(&(*link)->at, at))
            forget(keep, link);
        else
            link = &(*link)->next;
}

static bool is_prepared(const struct mys_prepared *prep, const struct mys_at *at)
{
    while (prep && !same_at(&prep->at, at))
        prep = prep->next;
    return prep != NULL;
}

void mys_keep_tidy(struct mys_keep *keep, const struct mys_prepared *prepared)
{
    for (struct mys_kept **link = &keep->first; *link;)
        if (is_prepared(prepared, &(*link)->at))
            link = &(*link)->next;
        else
            forget(keep, link);
}

void mys_keep_done(struct mys_keep *keep)
{
    while (keep->first)
        forget(keep, &keep->first);
}

static void put_event(struct cdc_buf *buf, const struct mys_event *ev)
{
    uint8_t head[MYS_HEADER];
    size_t len = MYS_HEADER + ev->body.len;
    memcpy(head, ev->body.p - MYS_HEADER, sizeof head);
    for (unsigned i = 0; i < 4; i++)
        head[9 + i] = (uint8_t)(len >> (8 * i));
    if (!cdc_buf_room(buf, len))
        return;
    cdc_buf_put(buf, head, sizeof head);
    cdc_buf_put(buf, ev->body.p, ev->body.len);
}

void mys_kept_put(struct mys_keep *keep, struct mys_kept *kept, const struct mys_event *ev)
{
    size_t before = kept->events.len;
    if (!kept->whole)
        return;
    if (keep->bytes <= MYS_KEEP_ALL)
        put_event(&kept->events, ev);
    keep->bytes += kept->events.len - before;
    if (kept->events.len > before)
        return;
    keep->bytes -= before;
    cdc_buf_done(&kept->events);
    kept->whole = false;
}

int mys_kept_next(const struct mys_kept *kept, size_t *off, struct cdc_slice *ret)
{
    const struct cdc_buf *buf = &kept->events;
    if (*off == buf->len)
        return CDC_END;
    struct cdc_reader rd = cdc_reader_of(buf->p + *off + 9, 4);
    size_t len = (size_t)mys_read_le(&rd, 4);
    *ret = cdc_slice_of(buf->p + *off, len);
    *off += len;
    return CDC_OK;
}
