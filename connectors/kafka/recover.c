/*
 * recover.c - start, fault and fence: one way. A new producer, and the checkpoint read behind it.
 *
 *   1. The old instance ends: its transaction aborted, its memory gone.
 *   2. If it was fenced: is the owner record still the one that we wrote or saw? Then its
 *      transaction had timed out. Another's: a second instance runs, and this one stops.
 * (librdkafka tells both as _FENCED, and two instances that go on would fence each other for ever.)
 *   3. The control topic is made if there is none and we never wrote to one. That it is lost is
 *      said only behind 4: a broker without a controller knows no topics either.
 *   4. init_transactions: from here on every earlier transaction is decided and visible.
 *   5. Only now the control topic is read, up to the last stable offset: read before 4, a commit
 *      that is decided and not yet marked would be missed, and its rows sent twice.
 *   6. Topics that were there must be there, with what they had.
 *   7. The owner record, in a transaction of its own: so that an older instance sees in step 2 who
 *      took over, also if nothing else is ever committed.
 */
#include "kafka.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FENCE_WAIT_US INT64_C(400000)
#define BEHIND_US     INT64_C(20000000)

/* ---- 5: reading the checkpoint ---- */

struct reading {
    struct kafka *kf;
    struct cdc_map *map;
    struct cdc_buf owner;
    uint64_t txn;
    struct kfk_end end;
};

static int keep_owner(struct cdc_buf *owner, const struct kfk_record *rec, struct cdc_error *err)
{
    cdc_buf_reset(owner);
    cdc_buf_put(owner, rec->v.p, rec->v.len);
    return owner->failed ? cdc_fail(err, CDC_FATAL, "control topic", "the owner record is too long")
                         : CDC_OK;
}

static bool has_prefix(struct cdc_slice key, const char *prefix)
{
    return key.len > strlen(prefix) && memcmp(key.p, prefix, strlen(prefix)) == 0;
}

static int take_own(struct reading *in, const struct kfk_record *rec, struct cdc_error *err)
{
    if (cdc_slice_eq(rec->key, cdc_slice_str(KFK_OWNER)))
        return keep_owner(&in->owner, rec, err);
    if (cdc_slice_eq(rec->key, cdc_slice_str(KFK_END)) && rec->v.p)
        return kfk_end_parse(rec->v, &in->end, err);
    if (has_prefix(rec->key, KFK_TOPIC_KEY))
        return kfk_topic_load(in->kf, rec, err);
    return CDC_OK;
}

static int take_record(void *arg, const struct kfk_record *rec, struct cdc_error *err)
{
    struct reading *in = arg;
    in->txn = rec->txn > in->txn ? rec->txn : in->txn;
    if (kfk_key_own(rec->key))
        return take_own(in, rec, err);
    const struct cdc_kv kv = {.key = rec->key, .value = rec->v};
    struct cdc_map one = {.items = (struct cdc_kv *)(uintptr_t)&kv, .n = 1};
    return cdc_map_apply(in->map, &one) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

/* What we have committed is not there: going on would begin a checkpoint that lacks most of it. */
static int control_lost(const struct kafka *kf, const char *how, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, kf->control,
                    "the control topic was %s while this process wrote to it: the checkpoint is "
                    "gone, and what stands in the other topics has no end that is known. Begin "
                    "again by a new snapshot under another `name` (`sidestream drop` ends this "
                    "pipeline)",
                    how);
}

/*
 * It has fewer transactions than we committed. For a moment that may be one broker's view alone,
 * which is cut off from the others and does not know yet that it leads no more.
 */
static int control_behind(struct kafka *kf, struct cdc_error *err)
{
    int64_t now = cdc_mono_us();
    kf->behind_us = kf->behind_us ? kf->behind_us : now;
    if (now - kf->behind_us >= BEHIND_US)
        return control_lost(kf, "made again, or has lost records", err);
    return cdc_fail(err, CDC_RETRY, kf->control,
                    "the control topic has fewer transactions than were committed; it is read "
                    "again for a while, to be sure");
}

static int read_checkpoint(struct kafka *kf, struct kfk_reader *rd, struct cdc_map *ret,
                           struct cdc_error *err)
{
    struct reading in = {.kf = kf, .map = ret, .owner = CDC_BUF(4096)};
    struct kfk_control_read what = {
        .topic = kf->control, .next = -1, .take = take_record, .arg = &in};
    int rc = kfk_reader_control(rd, &what, err);
    if (rc == CDC_END)
        rc = cdc_fail(err, CDC_RETRY, kf->control, "the control topic vanished");
    if (rc == CDC_OK && in.txn < kf->txn)
        rc = control_behind(kf, err);
    if (rc == CDC_OK) {
        kf->read = true;
        kf->behind_us = 0;
        kf->txn = in.txn;
        kf->prod->control_end = what.next;
        kf->end = in.end;
        memcpy(kf->seq, in.end.seq, sizeof kf->seq);
        cdc_buf_done(&kf->owner);
        kf->owner = in.owner;
        return CDC_OK;
    }
    cdc_buf_done(&in.owner);
    return CDC_FAIL;
}

/* ---- 2: who fenced us? ---- */

static int take_owner(void *arg, const struct kfk_record *rec, struct cdc_error *err)
{
    return cdc_slice_eq(rec->key, cdc_slice_str(KFK_OWNER)) ? keep_owner(arg, rec, err) : CDC_OK;
}

/*
 * Is the record the one that was there when we recovered, or one of this instance (also of a
 * commit whose outcome we never learned)? CDC_END: neither; *ret is filled.
 */
static int compare_owner(const struct kafka *kf, struct cdc_slice v, struct kfk_owner *ret,
                         struct cdc_error *err)
{
    if (v.len == 0 || cdc_slice_eq(v, cdc_buf_slice(&kf->owner)))
        return CDC_OK;
    if (kfk_owner_parse(v, ret, err) < 0)
        return CDC_FAIL;
    return strcmp(ret->instance, kf->instance) == 0 ? CDC_OK : CDC_END;
}

/* Read for a moment: who took over writes the record some milliseconds after the fence. */
static int check_owner(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    struct cdc_buf seen = CDC_BUF(4096);
    struct kfk_owner owner;
    struct kfk_control_read what = {
        .topic = kf->control, .next = -1, .take = take_owner, .arg = &seen};
    int64_t until = cdc_mono_us() + FENCE_WAIT_US;
    int rc = CDC_OK;
    while (rc == CDC_OK) {
        rc = kfk_reader_control(rd, &what, err);
        if (rc == CDC_END) { /* gone: what follows finds the checkpoint empty */
            rc = CDC_OK;
            break;
        }
        if (rc == CDC_OK)
            rc = compare_owner(kf, cdc_buf_slice(&seen), &owner, err);
        if (cdc_mono_us() >= until)
            break;
        rd_kafka_poll(rd->rk, 50);
    }
    cdc_buf_done(&seen);
    if (rc == CDC_END)
        return cdc_fail(err, CDC_OPERATOR, kf->set.brokers,
                        "another instance has taken the pipeline \"%s\" over: process %" PRId64
                        " on %s. This one stops, nothing is lost. Run one instance per `name`",
                        kf->set.name, owner.pid, owner.host);
    if (rc == CDC_OK)
        kf->fenced = false;
    return rc;
}

/* ---- 3: the control topic ---- */

static int make_control(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    static const struct cdc_pair config[] = {
        {.name = "cleanup.policy", .text = "compact"},
        {.name = "segment.ms", .text = "3600000"},
        {.name = "segment.bytes", .text = "16777216"},
        {.name = "max.message.bytes", .text = "8388608"},
    };
    const struct kfk_wish wish = {.name = kf->control,
                                  .partitions = 1,
                                  .replication = kf->set.replication,
                                  .config = config,
                                  .n_config = sizeof config / sizeof *config};
    if (kfk_admin_create(rd, &wish, err) < 0)
        return CDC_FAIL;
    CDC_POINT("kafka.topic_created");
    cdc_log(CDC_LOG_INFO, "kafka: made the control topic %s", kf->control);
    return CDC_OK;
}

static int check_control(struct kafka *kf, struct kfk_reader *rd, int32_t partitions,
                         struct cdc_error *err)
{
    struct kfk_described of;
    const char *name = kf->control;
    if (partitions != 1)
        return cdc_fail(err, CDC_OPERATOR, name,
                        "the control topic has %d partitions: the checkpoint needs exactly one. "
                        "Delete it if it was never used",
                        (int)partitions);
    kfk_admin_describe(rd, &name, 1, &of);
    if (of.known && !of.only_compact)
        return cdc_fail(err, CDC_OPERATOR, name,
                        "the control topic's cleanup.policy is not `compact`: the checkpoint in it "
                        "would be deleted with time. Set cleanup.policy=compact on it");
    return CDC_OK;
}

/* CDC_END: it is not there, though we have written to it. */
static int ensure_control(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    int32_t n = 0;
    int rc = kfk_reader_partitions(rd, kf->control, &n, err);
    if (rc == CDC_END && kf->txn == 0)
        return make_control(kf, rd, err);
    return rc == CDC_OK ? check_control(kf, rd, n, err) : rc;
}

/* A broker without a controller knows no topics; but then no producer could begin either. */
static int find_control(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    int32_t n = 0;
    int rc = kfk_topics_count(kf, rd, kf->control, &n, err);
    if (rc == CDC_END)
        return control_lost(kf, "deleted", err);
    return rc == CDC_OK ? check_control(kf, rd, n, err) : rc;
}

/* ---- 7: the owner record ---- */

static int write_owner(struct kafka *kf, struct cdc_error *err)
{
    struct kfk_owner owner = {.pid = getpid(), .at_us = cdc_now_us()};
    memcpy(owner.instance, kf->instance, sizeof owner.instance);
    if (gethostname(owner.host, sizeof owner.host - 1) != 0)
        snprintf(owner.host, sizeof owner.host, "unknown");
    struct cdc_buf v = CDC_BUF(4096);
    kfk_owner_make(&owner, &v);
    int rc = v.failed ? cdc_fail_oom(err) : kfk_producer_begin(kf, err);
    if (rc == CDC_OK)
        rc = kfk_put_key(kf, cdc_slice_str(KFK_OWNER), cdc_buf_slice(&v), err);
    if (rc == CDC_OK)
        rc = kfk_finish(kf, false, err);
    cdc_buf_done(&v);
    CDC_POINT("kafka.owner");
    return rc;
}

/* ---- all of it ---- */

static int take_over(struct kafka *kf, struct kfk_reader *rd, struct cdc_map *ret,
                     struct cdc_error *err)
{
    if (kf->fenced && kf->read && check_owner(kf, rd, err) < 0)
        return CDC_FAIL;
    int there = ensure_control(kf, rd, err);
    if (there < 0 || kfk_producer_new(kf, err) < 0 || kfk_producer_init(kf, err) < 0 ||
        (there == CDC_END && find_control(kf, rd, err) < 0))
        return CDC_FAIL;
    CDC_POINT("kafka.fenced");
    rd->known = true;
    if (read_checkpoint(kf, rd, ret, err) < 0 || kfk_topics_verify(kf, rd, err) < 0 ||
        kfk_topics_bind(kf, rd, err) < 0)
        return CDC_FAIL;
    return write_owner(kf, err);
}

int kfk_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err)
{
    struct kafka *kf = (struct kafka *)snk;
    struct kfk_reader *rd = NULL;
    kfk_producer_drop(kf);
    kfk_routes_drop(kf);
    kfk_refused_rewind(kf);
    cdc_map_clear(ret);
    if (kfk_reader_new(&kf->set, true, &kf->woken, &rd, err) < 0)
        return CDC_FAIL;
    rd->known = kf->known;
    int rc = take_over(kf, rd, ret, err);
    kfk_reader_free(rd);
    kf->ready = rc == CDC_OK;
    if (rc < 0)
        kfk_producer_drop(kf);
    return rc;
}
