/*
 * fsck.c - every record of the pipeline's topics read once, and checked (cdc/feed.h).
 *
 * One partition after the other, so that memory does not grow with their number:
 *   - each value and key is framed, its schema is in the checkpoint, and its bytes are a row
 *   - a value's key columns are what the record's key says; a tombstone has a key
 *   - `__seq` never falls inside a partition; a range delete of a sweep and a message may
 *   - no `__seq` lies above what the newest kafka/end says was written
 *   - each topic has the partitions and reaches the offsets that the control topic says
 * Aborted records are not seen, as nobody reads them. A pipeline may run meanwhile: what is
 * committed after the start is looked at as far as it comes by.
 */
#include "feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TOLD_MAX   100
#define SETTLE_US  10000000
#define SETTLE_NAP 50000000L

struct fsck {
    struct kfk_feed *feed;
    struct cdc_report *report;
    uint64_t bad, rows, tombstones, ranges;
    char newest[CDC_SEQ_LEN + 1];
    struct kfk_slot key; /* of the record's key */
};

/* What one partition's records must not go below. */
struct last {
    char seq[CDC_SEQ_LEN + 1];
};

static void bad(struct fsck *fs, const char *where, const char *what)
{
    if (fs->bad++ < TOLD_MAX)
        cdc_report(fs->report, CDC_BAD, NULL, "%s: %s", where, what);
}

static void bad_record(struct fsck *fs, const struct kfk_message *msg, const char *what)
{
    char place[400];
    kfk_place(msg, place, sizeof place);
    bad(fs, place, what);
}

/* ---- one record ---- */

/* The key columns of the row against those of the key. */
static bool same_key(const struct kfk_slot *key, const struct kfk_slot *row)
{
    const struct cdc_row_schema *ks = key->schema->schema, *rs = row->schema->schema;
    if (!key->schema->key || ks->n != rs->n_key)
        return false;
    for (uint16_t i = 0; i < ks->n; i++)
        if (!cdc_value_eq(&key->values[i], &row->values[rs->key[i]]))
            return false;
    return true;
}

static void check_key(struct fsck *fs, const struct kfk_message *msg, const struct kfk_slot *row)
{
    struct cdc_error why = {0};
    bool keyed = row ? row->schema->schema->n_key > 0 : true;
    if (!msg->key.p && keyed)
        bad_record(fs, msg,
                   row ? "it has no key, and its table has one" : "a tombstone without a key");
    else if (msg->key.p && !keyed)
        bad_record(fs, msg, "it has a key, and its table has none");
    else if (msg->key.p && kfk_slot_read(&fs->feed->schemas, &fs->key, msg->key, &why) < 0)
        bad_record(fs, msg, why.message);
    else if (msg->key.p && row && !same_key(&fs->key, row))
        bad_record(fs, msg, "its key is not that of its value");
}

static void check_seq(struct fsck *fs, const struct kfk_message *msg, const struct kfk_item *item,
                      struct last *last)
{
    bool may_fall = item->op == CDC_OP_RANGE || item->op == CDC_OP_MESSAGE;
    int c = strncmp((const char *)item->seq, last->seq, CDC_SEQ_LEN);
    if (c < 0 && !may_fall)
        bad_record(fs, msg, "its __seq is smaller than that of the record before it");
    if (c > 0)
        memcpy(last->seq, item->seq, CDC_SEQ_LEN);
    if (strncmp((const char *)item->seq, fs->newest, CDC_SEQ_LEN) > 0)
        memcpy(fs->newest, item->seq, CDC_SEQ_LEN);
}

static int check_record(struct fsck *fs, struct kfk_part *part, const struct kfk_message *msg,
                        struct last *last, struct cdc_error *err)
{
    struct cdc_error why = {0};
    struct kfk_item item;
    int rc = kfk_row_decode(&fs->feed->schemas, &part->slot, msg, &item, &why);
    if (rc < 0) { /* a schema made since the start? then the control topic has it by now */
        if (kfk_feed_control(fs->feed, err) < 0)
            return CDC_FAIL;
        rc = kfk_row_decode(&fs->feed->schemas, &part->slot, msg, &item, &why);
    }
    if (rc < 0) {
        bad(fs, why.where, why.message);
        return CDC_OK;
    }
    fs->tombstones += item.tombstone;
    fs->rows += !item.tombstone;
    check_key(fs, msg, item.tombstone ? NULL : &part->slot);
    if (item.tombstone)
        return CDC_OK;
    fs->ranges += item.op == CDC_OP_RANGE;
    check_seq(fs, msg, &item, last);
    return CDC_OK;
}

/* ---- partitions ---- */

static int check_part(struct fsck *fs, size_t lane, int64_t top, struct cdc_error *err)
{
    struct kfk_source *src = &fs->feed->src;
    struct last last = {0};
    int64_t pos = fs->feed->merge.lanes[lane].pos;
    if (pos >= top)
        return CDC_OK;
    int rc = kfk_source_lanes.start(src, lane, pos, err);
    while (rc == CDC_OK && pos < top) {
        struct kfk_message msg;
        rc = kfk_source_message(src, lane, &msg, err);
        pos = msg.offset + (rc == CDC_OK);
        if (rc == CDC_OK)
            rc = check_record(fs, &src->parts[lane], &msg, &last, err);
        else if (rc == CDC_END)
            rc = CDC_OK;
    }
    kfk_source_lanes.stop(src, lane);
    return rc;
}

/* Does the topic reach what the control topic says it has? */
static void check_end(struct fsck *fs, size_t lane, int64_t top)
{
    const struct kfk_part *part = &fs->feed->src.parts[lane];
    const struct kfk_source_topic *topic = &fs->feed->src.topics[part->topic];
    if (part->partition >= topic->state.partitions || !topic->state.ends ||
        top >= topic->state.ends[part->partition])
        return;
    char what[200];
    snprintf(what, sizeof what,
             "partition %" PRId32 " ends at offset %" PRId64 ", and the control topic says it "
             "reached %" PRId64 ": the topic was made again, or lost its end",
             part->partition, top, topic->state.ends[part->partition]);
    bad(fs, topic->name, what);
}

static int check_parts(struct fsck *fs, struct cdc_error *err)
{
    struct kfk_feed *feed = fs->feed;
    int64_t *tops = calloc(feed->merge.n + 1, sizeof *tops);
    int rc =
        tops ? kfk_source_edges(&feed->src, feed->ctl, 0, KFK_HIGH, tops, err) : cdc_fail_oom(err);
    for (size_t i = 0; i < feed->merge.n && rc == CDC_OK; i++) {
        check_end(fs, i, tops[i]);
        rc = check_part(fs, i, tops[i], err);
    }
    free(tops);
    return rc;
}

/* A transaction may show in a partition a moment before it shows in the control topic. */
static int check_newest(struct fsck *fs, struct cdc_error *err)
{
    int64_t deadline = cdc_mono_us() + SETTLE_US;
    while (strcmp(fs->newest, fs->feed->seen.end.seq) > 0) {
        if (cdc_mono_us() >= deadline) {
            bad(fs, fs->feed->control,
                "topics hold rows with a greater __seq than its kafka/end says were written");
            return CDC_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_NAP}, NULL);
        if (kfk_feed_control(fs->feed, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

int kfk_fsck(struct cdc_feed *base, struct cdc_report *report, struct cdc_error *err)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    struct fsck fs = {.feed = feed, .report = report};
    int rc = kfk_feed_topics(feed, NULL, err);
    if (rc == CDC_OK)
        rc = check_parts(&fs, err);
    if (rc == CDC_OK)
        rc = check_newest(&fs, err);
    kfk_slot_done(&fs.key);
    if (rc < 0)
        return CDC_FAIL;
    if (fs.bad > TOLD_MAX)
        cdc_report(report, CDC_BAD, NULL, "%" PRIu64 " more findings", fs.bad - TOLD_MAX);
    if (fs.bad == 0)
        cdc_report(
            report, CDC_PASS, NULL,
            "%" PRIu64 " transactions, %zu topics, %zu partitions, %" PRIu64 " rows (%" PRIu64
            " of range deletes), %" PRIu64 " tombstones: all as the control topic says",
            feed->seen.txn, feed->src.n_topics, feed->merge.n, fs.rows, fs.ranges, fs.tombstones);
    return CDC_OK;
}
