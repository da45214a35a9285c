/*
 * feed_read.c - partitions of librdkafka as the lanes of a merge (feed.h, merge.h).
 *
 * A handle of its own, read_committed, without a group. Each partition that has unread records gets
 * a queue and is fetched into it; one that was read to the end of a commit is stopped, so that idle
 * partitions cost neither requests nor the long polls that would hold up the others' fetches.
 *
 * Memory: librdkafka fetches for a partition while its queue holds less than FETCH_ALL divided by
 * the number of partitions, and a reply as a whole stays until its last record was taken, so what
 * is held is about that much for each partition and one reply of at most FETCH_REPLY more. A single
 * record that is larger than a reply may be is still delivered (KIP-74).
 *
 * Where a partition stands is what its last record, or PARTITION_EOF, says: markers and aborted
 * records take offsets that no record shows.
 */
#include "feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_ALL    ((size_t)8 << 20)
#define FETCH_LEAST  ((size_t)16 << 10)
#define FETCH_MOST   ((size_t)512 << 10)
#define FETCH_REPLY  ((size_t)4 << 20)
#define SLICE_MS     100
#define NUDGE_MS     3
#define NUDGE_MAX_MS 1000
#define PATIENCE_US  30000000
#define ASK_MS       10000
#define ASK_PAUSE_MS 100

/* ---- the handle ---- */

static void error_cb(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kfk_source *src = opaque;
    /* "All brokers down" follows a reason and says less than it. */
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || src->rd.event.code == 0)
        kfk_event_note(&src->rd.event, rk, code, reason);
}

struct number {
    const char *name;
    size_t value;
};

static int put_numbers(rd_kafka_conf_t *conf, size_t expected, struct cdc_error *err)
{
    size_t each = FETCH_ALL / (expected + 1);
    each = each > FETCH_MOST ? FETCH_MOST : each < FETCH_LEAST ? FETCH_LEAST : each;
    const struct number numbers[] = {
        {"queued.max.messages.kbytes", each >> 12}, /* over it after one fetch */
        {"fetch.message.max.bytes", each},
        {"message.max.bytes", FETCH_LEAST}, /* fetch.max.bytes may not be below it */
        {"fetch.max.bytes", FETCH_REPLY},
        {"receive.message.max.bytes", INT32_MAX},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char value[24], text[256];
        snprintf(value, sizeof value, "%zu", numbers[i].value);
        if (rd_kafka_conf_set(conf, numbers[i].name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
            return cdc_fail(err, CDC_FATAL, "librdkafka", "it does not take %s=%s: %s",
                            numbers[i].name, value, text);
    }
    return CDC_OK;
}

int kfk_source_open(const struct kfk_settings *set, struct kfk_schemas *schemas, size_t expected,
                    struct kfk_source *ret, struct cdc_error *err)
{
    char text[512];
    rd_kafka_conf_t *conf;
    *ret = (struct kfk_source){.schemas = schemas, .rd = {.brokers = set->brokers}};
    if (kfk_conf_new(set, KFK_READER_COMMITTED, &conf, err) < 0)
        return CDC_FAIL;
    if (put_numbers(conf, expected, err) < 0) {
        rd_kafka_conf_destroy(conf);
        return CDC_FAIL;
    }
    ret->nudge =
        rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "2", NULL, 0) == RD_KAFKA_CONF_UNKNOWN;
    rd_kafka_conf_set_error_cb(conf, error_cb);
    rd_kafka_conf_set_opaque(conf, ret);
    ret->rd.rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (ret->rd.rk)
        return CDC_OK;
    rd_kafka_conf_destroy(conf);
    return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "properties"),
                    "librdkafka refuses: %s", text);
}

static void drop_taken(struct kfk_part *part)
{
    for (size_t i = part->at > 0 ? part->at - 1 : 0; i < part->n; i++)
        rd_kafka_message_destroy(part->taken[i]);
    part->n = part->at = 0;
}

static void part_stop(struct kfk_source *src, struct kfk_part *part)
{
    drop_taken(part);
    if (part->started)
        rd_kafka_consume_stop(src->topics[part->topic].rkt, part->partition);
    part->started = false;
    if (part->queue)
        rd_kafka_queue_destroy(part->queue);
    part->queue = NULL;
}

void kfk_source_done(struct kfk_source *src)
{
    for (size_t i = 0; i < src->n_parts; i++) {
        part_stop(src, &src->parts[i]);
        kfk_slot_done(&src->parts[i].slot);
    }
    for (size_t i = 0; i < src->n_topics; i++) {
        if (src->topics[i].rkt)
            rd_kafka_topic_destroy(src->topics[i].rkt);
        kfk_topic_state_done(&src->topics[i].state);
        free(src->topics[i].name);
    }
    if (src->rd.rk)
        rd_kafka_destroy(src->rd.rk);
    free(src->topics);
    free(src->parts);
    *src = (struct kfk_source){0};
}

/* ---- topics and partitions ---- */

int kfk_source_topic(const struct kfk_source *src, struct cdc_slice name)
{
    for (size_t i = 0; i < src->n_topics; i++)
        if (cdc_slice_eq(cdc_slice_str(src->topics[i].name), name))
            return (int)i;
    return -1;
}

int kfk_source_add_topic(struct kfk_source *src, struct cdc_slice name,
                         struct kfk_topic_state *state, struct cdc_error *err)
{
    struct kfk_source_topic *topics =
        reallocarray(src->topics, src->n_topics + 1, sizeof *src->topics);
    if (topics)
        src->topics = topics;
    struct kfk_source_topic fresh = {.name = strndup((const char *)name.p, name.len),
                                     .state = *state};
    if (topics && fresh.name)
        fresh.rkt = rd_kafka_topic_new(src->rd.rk, fresh.name, NULL);
    if (!fresh.rkt) {
        free(fresh.name);
        kfk_topic_state_done(state);
        return cdc_fail_oom(err);
    }
    src->topics[src->n_topics++] = fresh;
    return CDC_OK;
}

int kfk_source_add_part(struct kfk_source *src, size_t topic, int32_t partition,
                        struct cdc_error *err)
{
    if (src->n_parts == src->cap_parts) {
        size_t cap = src->cap_parts ? 2 * src->cap_parts : 16;
        struct kfk_part *parts = reallocarray(src->parts, cap, sizeof *parts);
        if (!parts)
            return cdc_fail_oom(err);
        src->parts = parts;
        src->cap_parts = cap;
    }
    src->parts[src->n_parts++] = (struct kfk_part){.topic = topic, .partition = partition};
    return CDC_OK;
}

/* ---- offsets ---- */

static int gone(const char *topic, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, topic,
                    "the topic is not there any more, or has lost partitions, and the pipeline "
                    "wrote to it: what was in it cannot be read back");
}

static bool is_gone(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

/* The first error of an answer; *ret_at the entry it belongs to. */
static rd_kafka_resp_err_t ask(struct kfk_reader *rd, rd_kafka_topic_partition_list_t *list,
                               int64_t what, int *ret_at)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = what;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rd->rk, list, ASK_MS);
    rd_kafka_poll(rd->rk, 0);
    *ret_at = 0;
    for (int i = 0; i < list->cnt && !code; i++) {
        code = list->elems[i].err;
        *ret_at = i;
    }
    return code;
}

/* Leaders move, and metadata of a new topic takes its time: asked again for some seconds. */
static int ask_until(struct kfk_reader *rd, rd_kafka_topic_partition_list_t *list, int64_t what,
                     struct cdc_error *err)
{
    int64_t deadline = cdc_mono_us() + (int64_t)ASK_MS * 1000;
    int at = 0;
    rd_kafka_resp_err_t code;
    while ((code = ask(rd, list, what, &at)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (cdc_mono_us() >= deadline)
            break;
        rd_kafka_poll(rd->rk, ASK_PAUSE_MS);
    }
    if (!code)
        return CDC_OK;
    return is_gone(code) ? gone(list->elems[at].topic, err)
                         : kfk_reader_fail(rd, code, list->elems[at].topic,
                                           "cannot learn of the topic's offsets", err);
}

int kfk_source_edges(const struct kfk_source *src, struct kfk_reader *rd, size_t first,
                     enum kfk_edge edge, int64_t *ret, struct cdc_error *err)
{
    size_t n = src->n_parts - first;
    if (n == 0)
        return CDC_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = first; i < src->n_parts; i++)
        rd_kafka_topic_partition_list_add(list, src->topics[src->parts[i].topic].name,
                                          src->parts[i].partition);
    /* As times, these two mean the first offset and the next one. */
    int rc =
        ask_until(rd, list, edge == KFK_LOW ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END, err);
    for (size_t i = 0; i < n && rc == CDC_OK; i++)
        ret[i] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

/* ---- records ---- */

static int lane_start(void *arg, size_t lane, int64_t from, struct cdc_error *err)
{
    struct kfk_source *src = arg;
    struct kfk_part *part = &src->parts[lane];
    const struct kfk_source_topic *topic = &src->topics[part->topic];
    part->queue = rd_kafka_queue_new(src->rd.rk);
    if (rd_kafka_consume_start_queue(topic->rkt, part->partition, from, part->queue) != 0)
        return kfk_reader_fail(&src->rd, rd_kafka_last_error(), topic->name, "cannot read it", err);
    part->started = true;
    part->ended = false;
    part->next = from;
    part->nudge_ms = SLICE_MS; /* the first fetch may have to connect */
    return CDC_OK;
}

static void lane_stop(void *arg, size_t lane)
{
    struct kfk_source *src = arg;
    part_stop(src, &src->parts[lane]);
}

/*
 * Waits a little for a record. Before 2.2 a broker's thread that has found all queues full looks at
 * them again only after a second, unless something wakes it: seeking to where we stand does, and
 * loses nothing, because the queue is empty. A reply on its way is then asked for again, so
 * each time it is waited longer.
 */
static rd_kafka_message_t *await(const struct kfk_source *src, struct kfk_part *part)
{
    bool nudge = src->nudge && !part->ended;
    rd_kafka_message_t *msg =
        rd_kafka_consume_queue(part->queue, nudge ? part->nudge_ms : SLICE_MS);
    if (!msg && nudge) {
        (void)rd_kafka_seek(src->topics[part->topic].rkt, part->partition, part->next, 0);
        part->nudge_ms = part->nudge_ms < NUDGE_MAX_MS ? 2 * part->nudge_ms : NUDGE_MAX_MS;
    }
    rd_kafka_poll(src->rd.rk, 0);
    return msg;
}

/* Takes what has come, or waits a little for one. */
static void take(const struct kfk_source *src, struct kfk_part *part)
{
    drop_taken(part);
    ssize_t n = rd_kafka_consume_batch_queue(part->queue, 0, part->taken, KFK_TAKEN);
    if (n <= 0) {
        part->taken[0] = await(src, part);
        n = part->taken[0] ? 1 : 0;
    }
    if (n > 0)
        part->nudge_ms = NUDGE_MS;
    part->n = (size_t)n;
}

static int failed(const struct kfk_source *src, const struct kfk_part *part,
                  rd_kafka_resp_err_t code, struct cdc_error *err)
{
    const char *topic = src->topics[part->topic].name;
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return cdc_fail(err, CDC_OPERATOR, topic,
                        "records of partition %" PRId32 " that were not read yet are not there any "
                        "more: the topic's retention took them, or it was made again. Build the "
                        "replica anew, after a longer retention.ms or a new copy of the tables",
                        part->partition);
    return is_gone(code) ? gone(topic, err)
                         : kfk_reader_fail(&src->rd, code, topic, "cannot read it", err);
}

/* Errors that librdkafka mends by itself while we wait. */
static bool passes(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

int kfk_source_message(struct kfk_source *src, size_t lane, struct kfk_message *ret,
                       struct cdc_error *err)
{
    struct kfk_part *part = &src->parts[lane];
    int64_t deadline = 0;
    for (;;) {
        while (part->at == part->n) {
            take(src, part);
            if (part->n > 0)
                break;
            if (deadline == 0)
                deadline = cdc_mono_us() + PATIENCE_US;
            else if (cdc_mono_us() >= deadline)
                return kfk_reader_fail(&src->rd, RD_KAFKA_RESP_ERR__TIMED_OUT,
                                       src->topics[part->topic].name, "cannot read it", err);
        }
        if (part->at > 0) /* the one given last is not needed any more */
            rd_kafka_message_destroy(part->taken[part->at - 1]);
        const rd_kafka_message_t *msg = part->taken[part->at++];
        *ret = (struct kfk_message){.topic = src->topics[part->topic].name,
                                    .partition = part->partition,
                                    .offset = msg->offset};
        part->ended = msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (!msg->err || part->ended)
            part->next = msg->offset + !msg->err;
        if (part->ended)
            return CDC_END;
        if (msg->err && !passes(msg->err))
            return failed(src, part, msg->err, err);
        if (msg->err)
            continue;
        ret->key = cdc_slice_of(msg->key, msg->key_len);
        ret->value = cdc_slice_of(msg->payload, msg->len);
        return CDC_OK;
    }
}

static int lane_next(void *arg, size_t lane, struct kfk_item *ret, struct cdc_error *err)
{
    struct kfk_source *src = arg;
    struct kfk_message msg;
    int rc = kfk_source_message(src, lane, &msg, err);
    if (rc == CDC_OK)
        return kfk_row_decode(src->schemas, &src->parts[lane].slot, &msg, ret, err);
    if (rc == CDC_END)
        *ret = (struct kfk_item){.offset = msg.offset};
    return rc;
}

const struct kfk_lane_ops kfk_source_lanes = {
    .start = lane_start,
    .next = lane_next,
    .stop = lane_stop,
};
