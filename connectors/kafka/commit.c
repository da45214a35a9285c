/*
 * commit.c - the end of a transaction: checkpoint records, topics' ends, kafka/end, the commit.
 *
 * kafka/end is the last record of every transaction: a reader who sees it knows that all records up
 * to its `seq` are in the topics. What a commit promised becomes the instance's state only when it
 * is durable; after a failure recover reads it back.
 */
#include "kafka.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <stdio.h>

#define SAVE_EVERY_US INT64_C(10000000)
#define VALUE_MAX     ((size_t)256 << 20)
#define FAREWELL_US   INT64_C(3000000)

int kfk_put_key(struct kafka *kf, struct cdc_slice key, struct cdc_slice v, struct cdc_error *err)
{
    struct cdc_buf value = CDC_BUF(VALUE_MAX);
    if (v.p)
        kfk_record_make(kf->instance, kf->txn + 1, v, &value);
    int rc = value.failed ? cdc_fail_oom(err) : CDC_OK;
    if (rc == CDC_OK)
        rc = kfk_producer_send(
            kf, &(struct kfk_out){.key = key, .value = v.p ? cdc_buf_slice(&value) : v}, err);
    cdc_buf_done(&value);
    return rc;
}

static int put_topic(struct kafka *kf, struct kfk_topic *topic, struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(512), v = CDC_BUF(VALUE_MAX);
    cdc_buf_printf(&key, KFK_TOPIC_KEY "%s", topic->name);
    bool bad = key.failed || (topic->rkt && kfk_topic_state_make(&topic->state, &v) < 0);
    int rc = bad ? cdc_fail_oom(err) : kfk_put_key(kf, cdc_buf_slice(&key), cdc_buf_slice(&v), err);
    cdc_buf_done(&key);
    cdc_buf_done(&v);
    topic->dirty = false; /* what is delivered from here on is not in it */
    return rc;
}

/* Topics used for the first time at once; ends now and then, or now if `all`. */
static int put_topics(struct kafka *kf, bool all, struct cdc_error *err)
{
    all |= cdc_mono_us() - kf->saved_us >= SAVE_EVERY_US;
    for (size_t i = 0; i < kf->n_topics; i++) {
        struct kfk_topic *topic = kf->topics[i];
        bool due = topic->rkt ? topic->unsaved || (all && topic->dirty) : topic->gone;
        if (due && put_topic(kf, topic, err) < 0)
            return CDC_FAIL;
    }
    if (all)
        kf->saved_us = cdc_mono_us();
    return CDC_OK;
}

static int put_end(struct kafka *kf, struct kfk_end *end, struct cdc_error *err)
{
    struct cdc_buf v = CDC_BUF(256);
    *end = (struct kfk_end){.at_us = cdc_now_us(), .rows = kf->rows};
    memcpy(end->seq, kf->seq, sizeof end->seq);
    kfk_end_make(end, &v);
    int rc = v.failed ? cdc_fail_oom(err)
                      : kfk_put_key(kf, cdc_slice_str(KFK_END), cdc_buf_slice(&v), err);
    cdc_buf_done(&v);
    return rc;
}

/* The topics that went with the transaction are known there now. */
static void topics_saved(struct kafka *kf)
{
    for (size_t i = 0; i < kf->n_topics; i++) {
        struct kfk_topic *topic = kf->topics[i];
        topic->gone = false;
        if (topic->rkt) {
            topic->unsaved = false;
            topic->made = true;
        }
    }
}

int kfk_finish(struct kafka *kf, bool all_topics, struct cdc_error *err)
{
    struct kfk_end end;
    if (put_topics(kf, all_topics, err) < 0 || put_end(kf, &end, err) < 0)
        return CDC_FAIL;
    CDC_POINT("kafka.produced");
    if (kfk_producer_commit(kf, err) < 0)
        return CDC_FAIL;
    topics_saved(kf);
    kfk_refused_committed(kf);
    kf->txn++;
    kf->end = end;
    kf->rows = kf->bytes = 0;
    return CDC_OK;
}

static bool any_dirty(const struct kafka *kf)
{
    for (size_t i = 0; i < kf->n_topics; i++)
        if (kf->topics[i]->rkt && kf->topics[i]->dirty)
            return true;
    return false;
}

/*
 * Without it a topic of few records that is deleted and made again while nobody runs would pass for
 * the old one. Not for long, and not needed for anything else: a failure is no failure.
 */
void kfk_farewell(struct kafka *kf)
{
    struct cdc_error err;
    if (!kf->ready || kf->prod->open || kf->prod->disturbed || !any_dirty(kf))
        return;
    if (kfk_producer_begin(kf, &err) == CDC_OK) {
        /* The time that a transaction may take is over in a moment. */
        kf->prod->begun_us -= kf->set.transaction_timeout_us / 4 * 3 - FAREWELL_US;
        if (kfk_finish(kf, true, &err) < 0)
            cdc_log(CDC_LOG_DEBUG, "kafka: the topics' ends were not saved: %s", err.message);
    }
    kf->ready = false;
}

int kfk_commit(struct cdc_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
               struct cdc_error *err)
{
    struct kafka *kf = (struct kafka *)snk;
    if (!kf->ready)
        return cdc_fail(err, CDC_REWIND, kf->control, "the sink must recover first");
    bool rows = kf->prod->open;
    if (what == CDC_COMMIT_KEYS && rows)
        return CDC_AGAIN;
    if (!rows && delta->n == 0)
        return CDC_OK;
    if (kfk_producer_begin(kf, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < delta->n; i++)
        if (kfk_put_key(kf, delta->items[i].key, delta->items[i].value, err) < 0) {
            kf->ready = false;
            return CDC_FAIL;
        }
    if (kfk_finish(kf, false, err) < 0) {
        kf->ready = false;
        return CDC_FAIL;
    }
    return CDC_OK;
}
