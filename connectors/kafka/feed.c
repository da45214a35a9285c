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
 * Held to a token (`until`), a commit is what the token's reader has looked at: everything below
 * its offsets. That is decided, and there is nothing to wait for. Of the transaction's kafka/end
 * nothing may be left but the token, so positions and time are not known.
 *
 * A reader goes on by a token: where it stood in each partition. What says that topics are not the
 * ones it has read: a watermark below the token's offset, a first offset above it (retention took
 * what was not read), a control topic that ends before, or rows older than what was read (merge.c).
 */
#include "feed.h"

#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_MAX ((size_t)64 << 20)

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
    struct kfk_control_read what = {
        .topic = feed->control, .next = feed->ctl_next, .take = take_record, .arg = feed};
    int rc = kfk_reader_control(feed->ctl, &what, err);
    feed->ctl_next = what.next;
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

/* Is the stream that the token was made of the one that is here? As far as it has come. */
static int check_stream(const struct kfk_feed *feed, const struct kfk_token *token,
                        struct cdc_error *err)
{
    const struct kfk_seen *seen = &feed->seen;
    bool same = token->control <= feed->ctl_next && token->txn <= seen->txn &&
                strcmp(token->seq, seen->end.seq) <= 0 &&
                (token->txn < seen->txn || strcmp(token->seq, seen->end.seq) == 0);
    return same ? CDC_OK : control_went_back(feed, err);
}

static void stand_at(struct kfk_feed *feed, const struct kfk_token *token)
{
    feed->given = (struct kfk_seen){.txn = token->txn, .control = token->control};
    memcpy(feed->given.end.seq, token->seq, sizeof token->seq);
}

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

/* The commit of the token that the feed is held to. */
static int give_bound(struct kfk_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    if (feed->bound.txn <= feed->given.txn)
        return CDC_AGAIN;
    if (kfk_feed_tops(feed, err) < 0)
        return CDC_FAIL;
    stand_at(feed, &feed->bound);
    kfk_merge_begin(&feed->merge, feed->bound.seq);
    if (make_token(feed, err) < 0)
        return CDC_FAIL;
    *ret = (struct cdc_feed_commit){
        .number = feed->given.txn, .token = feed->token, .from = "", .to = ""};
    return CDC_OK;
}

static int feed_commit(struct cdc_feed *base, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    kfk_merge_end(&feed->merge);
    if (feed->bound.txn > 0)
        return give_bound(feed, ret, err);
    if (!feed->pending) {
        if (kfk_feed_control(feed, err) < 0)
            return CDC_FAIL;
        if (feed->seen.txn <= feed->given.txn)
            return CDC_AGAIN;
        if (kfk_feed_topics(feed, NULL, err) < 0 || kfk_feed_tops(feed, err) < 0)
            return CDC_FAIL;
        feed->pending = true;
        feed->pending_us = cdc_mono_us();
    }
    int rc = kfk_feed_wait(feed, err);
    return rc == CDC_OK ? give(feed, ret, err) : rc;
}

static int replaced(const struct kfk_feed *feed, const char *topic, bool known,
                    struct cdc_error *err)
{
    const char *why = known ? "the topic is compacted (cleanup.policy)"
                            : "the topic's cleanup.policy cannot be learnt (allow DESCRIBE_CONFIGS "
                              "on it)";
    return cdc_fail(err, CDC_OPERATOR, topic,
                    "%s, and transaction %" PRIu64 " is followed by others, up to %" PRIu64
                    ": records of before may be gone where later ones have the same key. Bring the "
                    "replica up to date (`sidestream replica --until-caught-up`) while nothing is "
                    "captured, and compare then",
                    why, feed->bound.txn, feed->seen.txn);
}

/*
 * Compaction takes records that a later one of the same key has replaced: what was there as of an
 * earlier commit can then not be told any more.
 */
static int nothing_replaced(struct kfk_feed *feed, struct cdc_error *err)
{
    size_t n = feed->src.n_topics;
    const char **names = calloc(n + 1, sizeof *names);
    struct kfk_described *of = calloc(n + 1, sizeof *of);
    int rc = names && of ? CDC_OK : cdc_fail_oom(err);
    for (size_t i = 0; i < n && names; i++)
        names[i] = feed->src.topics[i].name;
    if (rc == CDC_OK)
        kfk_admin_describe(feed->all, names, n, of);
    for (size_t i = 0; i < n && rc == CDC_OK; i++)
        if (!of[i].known || of[i].compact)
            rc = replaced(feed, names[i], of[i].known, err);
    free(names);
    free(of);
    return rc;
}

static int beyond(const struct kfk_feed *feed, uint64_t txn, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->control,
                    "what is read stands at transaction %" PRIu64 " already, behind %" PRIu64
                    ": the file was replaced by an older one meanwhile; run the command again",
                    feed->given.txn, txn);
}

static int feed_until(struct cdc_feed *base, const char *text, struct cdc_error *err)
{
    struct kfk_feed *feed = (struct kfk_feed *)base;
    struct kfk_token token;
    if (kfk_token_parse(text, &token, err) < 0)
        return CDC_FAIL;
    kfk_token_done(&feed->bound);
    feed->bound = token;
    feed->pending = false;
    if (kfk_feed_control(feed, err) < 0 || check_stream(feed, &token, err) < 0)
        return CDC_FAIL;
    if (token.txn < feed->given.txn)
        return beyond(feed, token.txn, err);
    if (kfk_feed_topics(feed, NULL, err) < 0)
        return CDC_FAIL;
    return token.txn < feed->seen.txn ? nothing_replaced(feed, err) : CDC_OK;
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
    kfk_token_done(&feed->bound);
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
    feed->resumed = true;
    stand_at(feed, &token);
    memcpy(feed->merge.seq, token.seq, sizeof token.seq);
    int rc = check_stream(feed, &token, err);
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
    .until = feed_until,
    .row = feed_row,
    .file = feed_file,
    .checkpoint = feed_checkpoint,
    .fsck = kfk_fsck,
    .close = feed_close,
};
