/*
 * feed.c - reads topics back, commit by commit (cdc/feed.h; docs/formats.md, "Reading it back").
 *
 * A commit of the feed is everything up to the newest kafka/end that is visible, E: all rows with
 * `__seq` <= E.seq not given before. Its number is E's transaction.
 *
 *   1  read the control topic on to its last stable offset: E, the checkpoint, the topics
 *   2  ask every partition's high watermark: all records of E's transaction lie below, because a
 *      transaction is decided only when all of it was acknowledged
 *   3  wait until every partition's last stable offset has come that far: the markers of a decided
 *      transaction may be on their way still, or the next transaction is open. A record of the next
 *      one ends the wait: no transaction begins before the markers of the one before are written.
 *   4  give the rows by the merge; nothing of it can be open any more
 *
 * The wait is here and not among the rows, so that a stop is heard (a signal ends it with
 * CDC_AGAIN) and a commit that was begun comes to its end.
 *
 * A reader goes on by a token: where it stood in each partition. What says that topics are not the
 * ones it has read: a watermark below the token's offset, a first offset above it (retention took
 * what was not read), a control topic that ends before, or rows older than what was read (merge.c).
 */
#include "feed.h"

#include "cdc/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VALUE_MAX  ((size_t)64 << 20)
#define WAIT_US    120000000 /* longer than a transaction may be open */
#define TELL_US    3000000
#define NAP_MIN_US 2000
#define NAP_MAX_US 50000
#define PEEK_MS    200

/* ---- the control topic ---- */

static int take_end(struct kfk_feed *feed, const struct kfk_record *rec, struct cdc_error *err)
{
    struct kfk_seen seen = {.txn = rec->txn, .control = rec->offset + 1};
    if (!rec->v.p)
        return CDC_OK;
    if (kfk_end_parse(rec->v, &seen.end, err) < 0)
        return CDC_FAIL;
    feed->seen = seen;
    feed->rows += seen.end.rows;
    return CDC_OK;
}

static int take_record(void *arg, const struct kfk_record *rec, struct cdc_error *err)
{
    static const size_t prefix = sizeof KFK_TOPIC_KEY - 1;
    struct kfk_feed *feed = arg;
    int rc = CDC_OK;
    if (cdc_slice_eq(rec->key, cdc_slice_str(KFK_END)))
        return take_end(feed, rec, err);
    if (rec->key.len > prefix && memcmp(rec->key.p, KFK_TOPIC_KEY, prefix) == 0) {
        struct cdc_slice name = cdc_slice_of(rec->key.p + prefix, rec->key.len - prefix);
        rc = rec->v.p ? cdc_map_put(&feed->topics, name, rec->v) : CDC_OK;
    } else if (!kfk_key_own(rec->key)) {
        rc = cdc_map_put(&feed->delta, rec->key, rec->v);
    }
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static int no_control(const struct kfk_feed *feed, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->control,
                    "the pipeline's control topic is not there: are `brokers` and `name` right, "
                    "and has `sidestream run` been started once?");
}

static int control_went_back(const struct kfk_feed *feed, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->control,
                    "the control topic ends before what was already read of it: it was deleted and "
                    "made again, or restored. Build the replica anew in another file");
}

int kfk_feed_control(struct kfk_feed *feed, struct cdc_error *err)
{
    int64_t low, high;
    if (feed->ctl_next >= 0) {
        if (kfk_reader_offsets(feed->ctl, feed->control, 0, &low, &high, err) < 0)
            return CDC_FAIL;
        if (high <= feed->ctl_next)
            return high == feed->ctl_next ? CDC_OK : control_went_back(feed, err);
    }
    int rc = kfk_reader_control(feed->ctl, feed->control, feed->ctl_next, take_record, feed,
                                &feed->ctl_next, err);
    return rc == CDC_END ? no_control(feed, err) : rc;
}

/* ---- topics ---- */

/* Where a new lane begins; ends are the partition's. */
static int lane_begin(const struct kfk_feed *feed, const struct kfk_token *token, size_t part,
                      const int64_t ends[2], struct kfk_lane *ret, struct cdc_error *err)
{
    const struct kfk_part *p = &feed->src.parts[part];
    const char *topic = feed->src.topics[p->topic].name;
    bool known =
        token && kfk_token_part(token, topic, p->partition, &ret->pos, &ret->past) == CDC_OK;
    if (!known)
        ret->pos = feed->resumed || feed->given.txn > 0 ? 0 : ends[KFK_LOW];
    if (ret->pos > ends[KFK_HIGH])
        return cdc_fail(err, CDC_OPERATOR, topic,
                        "partition %" PRId32 " ends at offset %" PRId64 ", and was already read to "
                        "%" PRId64 ": the topic was deleted and made again, or restored. Build the "
                        "replica anew in another file",
                        p->partition, ends[KFK_HIGH], ret->pos);
    if (ret->pos < ends[KFK_LOW])
        return cdc_fail(err, CDC_OPERATOR, topic,
                        "records of partition %" PRId32 " from offset %" PRId64 " to %" PRId64
                        " were not read yet and are not there any more: the topic's retention took "
                        "them. Build the replica anew, after a longer retention.ms or a new copy "
                        "of the tables",
                        p->partition, ret->pos, ends[KFK_LOW]);
    if (ret->pos > 0 && !known)
        cdc_log(CDC_LOG_WARN,
                "topic %s, partition %" PRId32 ": its first %" PRId64 " offsets are not there any "
                "more (retention): what is read is not all that was written",
                topic, p->partition, ret->pos);
    return CDC_OK;
}

/* A lane for each part of the source that has none yet. */
static int add_lanes(struct kfk_feed *feed, const struct kfk_token *token, struct cdc_error *err)
{
    size_t first = feed->merge.n, n = feed->src.n_parts - first;
    int64_t *ends[2] = {calloc(n + 1, sizeof **ends), calloc(n + 1, sizeof **ends)};
    int rc = ends[0] && ends[1] ? CDC_OK : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = kfk_source_edges(&feed->src, feed->all, first, KFK_LOW, ends[KFK_LOW], err);
    if (rc == CDC_OK)
        rc = kfk_source_edges(&feed->src, feed->all, first, KFK_HIGH, ends[KFK_HIGH], err);
    for (size_t i = 0; i < n && rc == CDC_OK; i++) {
        const int64_t both[2] = {[KFK_LOW] = ends[KFK_LOW][i], [KFK_HIGH] = ends[KFK_HIGH][i]};
        struct kfk_lane lane = {0};
        rc = lane_begin(feed, token, first + i, both, &lane, err);
        if (rc == CDC_OK)
            rc = kfk_merge_add(&feed->merge, lane.pos, err);
        if (rc == CDC_OK && token) {
            feed->merge.lanes[first + i].past = lane.past;
            memcpy(feed->merge.lanes[first + i].past_seq, token->seq, sizeof token->seq);
        }
    }
    free(ends[0]);
    free(ends[1]);
    return rc;
}

/* Parts of a topic that is new or has grown. */
static int add_parts(struct kfk_feed *feed, struct cdc_slice name, struct cdc_slice json,
                     struct cdc_error *err)
{
    struct kfk_topic_state state;
    if (kfk_topic_state_parse(json, &state, err) < 0)
        return CDC_FAIL;
    int at = kfk_source_topic(&feed->src, name);
    int32_t n = state.partitions, have = 0;
    if (at >= 0) {
        struct kfk_source_topic *topic = &feed->src.topics[at];
        have = topic->state.partitions;
        kfk_topic_state_done(&topic->state);
        topic->state = state;
        topic->state.partitions = n > have ? n : have;
    } else {
        at = (int)feed->src.n_topics;
        if (kfk_source_add_topic(&feed->src, name, &state, err) < 0)
            return CDC_FAIL;
    }
    for (; have < n; have++)
        if (kfk_source_add_part(&feed->src, (size_t)at, have, err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

int kfk_feed_topics(struct kfk_feed *feed, const struct kfk_token *token, struct cdc_error *err)
{
    for (size_t i = 0; i < feed->topics.n; i++)
        if (add_parts(feed, feed->topics.items[i].key, feed->topics.items[i].value, err) < 0)
            return CDC_FAIL;
    cdc_map_clear(&feed->topics);
    return feed->src.n_parts > feed->merge.n ? add_lanes(feed, token, err) : CDC_OK;
}

/* ---- when a commit can be given ---- */

static int set_tops(struct kfk_feed *feed, struct cdc_error *err)
{
    size_t n = feed->merge.n;
    int64_t *high = calloc(n + 1, sizeof *high);
    int rc =
        high ? kfk_source_edges(&feed->src, feed->all, 0, KFK_HIGH, high, err) : cdc_fail_oom(err);
    for (size_t i = 0; i < n && rc == CDC_OK; i++) {
        const struct kfk_part *part = &feed->src.parts[i];
        feed->merge.lanes[i].top = high[i];
        if (high[i] < feed->merge.lanes[i].pos)
            rc = cdc_fail(err, CDC_OPERATOR, feed->src.topics[part->topic].name,
                          "partition %" PRId32 " became shorter than what was already read of it: "
                          "the topic was deleted and made again. Build the replica anew in another "
                          "file",
                          part->partition);
    }
    free(high);
    return rc;
}

/*
 * Is the first undecided record of this partition one of a later transaction than E's? Reads it as
 * a reader of everything does. Anything unexpected is no proof, and is left to the wait.
 */
static bool later_began(struct kfk_feed *feed, size_t lane, int64_t stable)
{
    const struct kfk_part *part = &feed->src.parts[lane];
    struct kfk_message at = {.topic = feed->src.topics[part->topic].name,
                             .partition = part->partition};
    struct kfk_slot slot = {0};
    struct kfk_item item = {.tombstone = true};
    bool later = false;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(feed->all->rk, at.topic, NULL);
    if (!rkt || rd_kafka_consume_start(rkt, at.partition, stable) != 0) {
        if (rkt)
            rd_kafka_topic_destroy(rkt);
        return false;
    }
    rd_kafka_message_t *msg = rd_kafka_consume(rkt, at.partition, PEEK_MS);
    if (msg && !msg->err) {
        at.offset = msg->offset;
        at.value = cdc_slice_of(msg->payload, msg->len);
        if (kfk_row_decode(&feed->schemas, &slot, &at, &item, NULL) == CDC_OK && !item.tombstone)
            later = strncmp((const char *)item.seq, feed->seen.end.seq, CDC_SEQ_LEN) > 0;
    }
    kfk_slot_done(&slot);
    if (msg)
        rd_kafka_message_destroy(msg);
    rd_kafka_consume_stop(rkt, at.partition);
    rd_kafka_topic_destroy(rkt);
    return later;
}

/* Is all of E decided in every partition? CDC_AGAIN: not yet, *ret_lane is one that lags. */
static int decided(struct kfk_feed *feed, size_t *ret_lane, struct cdc_error *err)
{
    size_t n = feed->merge.n, lag = n;
    int64_t *stable = calloc(n + 1, sizeof *stable);
    int rc = stable ? kfk_source_edges(&feed->src, feed->ctl, 0, KFK_HIGH, stable, err)
                    : cdc_fail_oom(err);
    for (size_t i = 0; i < n && rc == CDC_OK && lag == n; i++)
        if (stable[i] < feed->merge.lanes[i].top)
            lag = i;
    if (rc == CDC_OK && lag < n && !later_began(feed, lag, stable[lag])) {
        *ret_lane = lag;
        rc = CDC_AGAIN;
    } else if (rc == CDC_OK && lag < n) { /* asked for anew: only now all markers are there */
        rc = kfk_source_edges(&feed->src, feed->ctl, 0, KFK_HIGH, stable, err);
        for (size_t i = 0; i < n && rc == CDC_OK; i++)
            if (stable[i] < feed->merge.lanes[i].top)
                feed->merge.lanes[i].top = stable[i];
    }
    free(stable);
    return rc;
}

static int still_open(const struct kfk_feed *feed, size_t lane, struct cdc_error *err)
{
    const struct kfk_part *part = &feed->src.parts[lane];
    return cdc_fail(err, CDC_RETRY, feed->src.topics[part->topic].name,
                    "a transaction is open in partition %" PRId32 " for %d s: is it the pipeline's "
                    "(then `sidestream run` ends it when it is started) or a foreign program's?",
                    part->partition, WAIT_US / 1000000);
}

/* CDC_AGAIN: a signal came. */
static int wait_decided(struct kfk_feed *feed, struct cdc_error *err)
{
    bool told = false;
    for (int64_t nap_us = NAP_MIN_US;; nap_us = nap_us < NAP_MAX_US ? 2 * nap_us : NAP_MAX_US) {
        size_t lane = 0;
        int rc = decided(feed, &lane, err);
        if (rc != CDC_AGAIN)
            return rc;
        int64_t waited_us = cdc_mono_us() - feed->pending_us;
        if (waited_us > WAIT_US)
            return still_open(feed, lane, err);
        if (waited_us > TELL_US && !told) {
            told = true;
            cdc_log(CDC_LOG_INFO, "topic %s: waiting for the end of an open transaction",
                    feed->src.topics[feed->src.parts[lane].topic].name);
        }
        if (nanosleep(&(struct timespec){.tv_nsec = (long)nap_us * 1000}, NULL) != 0 &&
            errno == EINTR)
            return CDC_AGAIN;
    }
}

/* ---- the token ---- */

/* Into the memory that was lent with the commit. */
static int print_token(struct kfk_feed *feed, struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF(VALUE_MAX);
    struct kfk_token token = {.txn = feed->given.txn, .control = feed->given.control};
    memcpy(token.seq, feed->given.end.seq, sizeof token.seq);
    int rc = kfk_token_print(&token, &feed->src, &feed->merge, &buf, err);
    if (rc == CDC_OK && buf.len < feed->token_cap)
        memcpy(feed->token, buf.p, buf.len + 1);
    cdc_buf_done(&buf);
    return rc;
}

/* As much as the text may need before the next commit: two numbers a partition. */
static int make_token(struct kfk_feed *feed, struct cdc_error *err)
{
    size_t cap = 256 + feed->merge.n * 48 + feed->src.n_topics * (6 * KFK_TOPIC_MAX + 8);
    char *token = realloc(feed->token, cap);
    if (!token)
        return cdc_fail_oom(err);
    feed->token = token;
    feed->token_cap = cap;
    return print_token(feed, err);
}

/* ---- commits and rows ---- */

static int set_positions(struct kfk_feed *feed, struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF(VALUE_MAX);
    free(feed->from);
    feed->from = feed->to;
    feed->to = NULL;
    bool known = cdc_map_get_text(&feed->map, "position", &buf, NULL) == CDC_OK;
    const char *text = known ? cdc_buf_cstr(&buf) : "";
    feed->to = text ? strdup(text) : NULL;
    cdc_buf_done(&buf);
    return feed->to ? CDC_OK : cdc_fail_oom(err);
}

static int give(struct kfk_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    if (cdc_map_apply(&feed->map, &feed->delta) < 0)
        return cdc_fail_oom(err);
    cdc_map_clear(&feed->delta);
    if (set_positions(feed, err) < 0)
        return CDC_FAIL;
    feed->given = feed->seen;
    feed->pending = false;
    kfk_merge_begin(&feed->merge, feed->seen.end.seq);
    if (make_token(feed, err) < 0)
        return CDC_FAIL;
    *ret = (struct cdc_feed_commit){.number = feed->given.txn,
                                    .token = feed->token,
                                    .from = feed->from ? feed->from : "",
                                    .to = feed->to,
                                    .at_us = feed->given.end.at_us,
                                    .n_records = feed->rows};
    feed->rows = 0;
    return CDC_OK;
}

static int feed_commit(struct cdc_feed *base, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    kfk_merge_end(&feed->merge);
    if (!feed->pending) {
        if (kfk_feed_control(feed, err) < 0)
            return CDC_FAIL;
        if (feed->seen.txn <= feed->given.txn)
            return CDC_AGAIN;
        if (kfk_feed_topics(feed, NULL, err) < 0 || set_tops(feed, err) < 0)
            return CDC_FAIL;
        feed->pending = true;
        feed->pending_us = cdc_mono_us();
    }
    int rc = wait_decided(feed, err);
    return rc == CDC_OK ? give(feed, ret, err) : rc;
}

static int feed_row(struct cdc_feed *base, const char *table, struct cdc_feed_row *ret,
                    struct cdc_error *err)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    const char *of;
    int rc;
    if (!feed->merge.open)
        return CDC_END;
    while ((rc = kfk_merge_next(&feed->merge, ret, &of, err)) == CDC_OK)
        if (!table || strcmp(table, of) == 0)
            return CDC_OK;
    return rc == CDC_END && print_token(feed, err) < 0 ? CDC_FAIL : rc;
}

static int feed_file(struct cdc_feed *base, struct cdc_feed_file *ret, struct cdc_error *err)
{
    const struct kfk_feed *feed = (const struct kfk_feed *)base;
    (void)ret;
    return cdc_fail(err, CDC_CONFIG, feed->control, "topics are not files: there are none to list");
}

static const struct cdc_map *feed_checkpoint(const struct cdc_feed *base)
{
    return &((const struct kfk_feed *)base)->map;
}

/* ---- open, close ---- */

static void feed_close(struct cdc_feed *base)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    kfk_merge_done(&feed->merge);
    kfk_source_done(&feed->src);
    kfk_schemas_done(&feed->schemas);
    kfk_reader_free(feed->ctl);
    kfk_reader_free(feed->all);
    cdc_map_done(&feed->map);
    cdc_map_done(&feed->delta);
    cdc_map_done(&feed->topics);
    free(feed->control);
    free(feed->from);
    free(feed->to);
    free(feed->token);
    free(feed);
}

/* How many partitions will be read, as far as the control topic says. */
static size_t expected(const struct kfk_feed *feed)
{
    size_t n = 0;
    for (size_t i = 0; i < feed->topics.n; i++) {
        struct kfk_topic_state state;
        if (kfk_topic_state_parse(feed->topics.items[i].value, &state, NULL) < 0)
            continue;
        n += (size_t)state.partitions;
        kfk_topic_state_done(&state);
    }
    return n;
}

/* The reader stands behind token->txn: is this the stream it has read? */
static int stand_behind(struct kfk_feed *feed, const char *text, struct cdc_error *err)
{
    struct kfk_token token;
    if (kfk_token_parse(text, &token, err) < 0)
        return CDC_FAIL;
    int rc = CDC_OK;
    feed->resumed = true;
    feed->given = (struct kfk_seen){.txn = token.txn, .control = token.control};
    memcpy(feed->given.end.seq, token.seq, sizeof token.seq);
    memcpy(feed->merge.seq, token.seq, sizeof token.seq);
    if (token.control > feed->ctl_next || token.txn > feed->seen.txn ||
        (token.txn == feed->seen.txn && strcmp(token.seq, feed->seen.end.seq) != 0) ||
        strcmp(token.seq, feed->seen.end.seq) > 0)
        rc = control_went_back(feed, err);
    if (rc == CDC_OK)
        rc = kfk_feed_topics(feed, &token, err);
    kfk_token_done(&token);
    return rc;
}

static int feed_begin(struct kfk_feed *feed, const struct cdc_config *cfg,
                      const struct cdc_feed_start *start, struct cdc_error *err)
{
    struct cdc_buf name = CDC_BUF(4096);
    size_t len;
    if (kfk_settings_read(cfg, &feed->set, err) < 0)
        return CDC_FAIL;
    kfk_control_name(&feed->set, &name);
    cdc_buf_byte(&name, 0);
    feed->control = (char *)cdc_buf_take(&name, &len);
    if (!feed->control)
        return cdc_fail_oom(err);
    if (kfk_reader_new(&feed->set, true, NULL, &feed->ctl, err) < 0 ||
        kfk_reader_new(&feed->set, false, NULL, &feed->all, err) < 0 ||
        kfk_feed_control(feed, err) < 0 ||
        kfk_source_open(&feed->set, &feed->schemas, expected(feed), &feed->src, err) < 0)
        return CDC_FAIL;
    return start->token ? stand_behind(feed, start->token, err) : CDC_OK;
}

static int feed_open(const struct cdc_config *cfg, const char *place,
                     const struct cdc_feed_start *start, struct cdc_feed **ret,
                     struct cdc_error *err)
{
    if (!cfg)
        return cdc_fail(err, CDC_CONFIG, place, "topics are read by a configuration file");
    if (start->after && !start->token)
        return cdc_fail(err, CDC_CONFIG, "--from",
                        "topics cannot be read from a commit's number on, only from their start");
    struct kfk_feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return cdc_fail_oom(err);
    feed->base.ops = &kafka_feed;
    feed->ctl_next = -1;
    feed->schemas = (struct kfk_schemas){.map = &feed->map, .newer = &feed->delta, .cfg = cfg};
    cdc_map_init(&feed->map);
    cdc_map_init(&feed->delta);
    cdc_map_init(&feed->topics);
    kfk_merge_init(&feed->merge, &kfk_source_lanes, &feed->src);
    if (feed_begin(feed, cfg, start, err) < 0) {
        feed_close(&feed->base);
        return CDC_FAIL;
    }
    *ret = &feed->base;
    return CDC_OK;
}

/* A topic has no place in the file system. */
static bool feed_knows(const char *place)
{
    (void)place;
    return false;
}

const struct cdc_feed_ops kafka_feed = {
    .open = feed_open,
    .knows = feed_knows,
    .commit = feed_commit,
    .row = feed_row,
    .file = feed_file,
    .checkpoint = feed_checkpoint,
    .fsck = kfk_fsck,
    .close = feed_close,
};
