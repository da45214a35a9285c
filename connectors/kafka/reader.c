/*
 * reader.c - simple consumers: watermarks, metadata, and the control topic read to its end.
 *
 * Every wait is cut into slices, so that `woken` ends it. The low watermark is given as a number:
 * OFFSET_BEGINNING costs a back-off of half a second now and then (facts 1.1). Markers and aborted
 * records take offsets, so the end is where PARTITION_EOF says, never a record's own offset.
 */
#include "reader.h"

#include "kafka.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_MS   500
#define PATIENCE_S 20 /* without any progress */

void kfk_event_note(struct kfk_event *event, rd_kafka_t *rk, int code, const char *reason)
{
    char fatal[256];
    event->code = (rd_kafka_resp_err_t)code;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        event->code = rd_kafka_fatal_error(rk, fatal, sizeof fatal);
        reason = fatal;
    }
    snprintf(event->text, sizeof event->text, "%.255s", reason);
}

static void error_cb(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kfk_reader *rd = opaque;
    /* "All brokers down" follows a reason and says less than it. */
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || rd->event.code == 0)
        kfk_event_note(&rd->event, rk, code, reason);
}

int kfk_reader_new(const struct kfk_settings *set, bool committed, const atomic_bool *woken,
                   struct kfk_reader **ret, struct cdc_error *err)
{
    char text[512];
    rd_kafka_conf_t *conf;
    if (kfk_conf_new(set, committed ? KFK_READER_COMMITTED : KFK_READER_ALL, &conf, err) < 0)
        return CDC_FAIL;
    struct kfk_reader *rd = calloc(1, sizeof *rd);
    if (!rd) {
        rd_kafka_conf_destroy(conf);
        return cdc_fail_oom(err);
    }
    *rd = (struct kfk_reader){
        .woken = woken, .brokers = set->brokers, .describe_ms = set->describe_ms};
    rd_kafka_conf_set_error_cb(conf, error_cb);
    rd_kafka_conf_set_opaque(conf, rd);
    rd->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!rd->rk) {
        rd_kafka_conf_destroy(conf);
        free(rd);
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "properties"),
                        "librdkafka refuses: %s", text);
    }
    *ret = rd;
    return CDC_OK;
}

void kfk_reader_free(struct kfk_reader *rd)
{
    if (!rd)
        return;
    rd_kafka_destroy(rd->rk);
    free(rd);
}

/* ---- failures and patience ---- */

static bool login_event(const struct kfk_event *event)
{
    return event->code && kfk_judge(event->code)->act == KFK_LOGIN;
}

int kfk_reader_fail(const struct kfk_reader *rd, rd_kafka_resp_err_t code, const char *where,
                    const char *what, struct cdc_error *err)
{
    if (rd->woken && atomic_load(rd->woken))
        return cdc_fail(err, CDC_RETRY, where, "%s: told to stop", what);
    return kfk_fail(&(struct kfk_failure){.code = login_event(&rd->event) ? rd->event.code : code,
                                          .where = where,
                                          .what = what,
                                          .event = &rd->event,
                                          .brokers = rd->brokers,
                                          .known = rd->known},
                    err);
}

/* Another slice? Not when told to stop, when the login was refused, or past the deadline. */
static bool go_on(const struct kfk_reader *rd, int64_t deadline_us)
{
    return !(rd->woken && atomic_load(rd->woken)) && !login_event(&rd->event) &&
           cdc_mono_us() < deadline_us;
}

static int64_t patience(void)
{
    return cdc_mono_us() + (int64_t)PATIENCE_S * 1000000;
}

static bool transient(rd_kafka_resp_err_t code)
{
    const struct kfk_verdict *verdict = kfk_judge(code);
    return verdict->act == KFK_RETRY;
}

/* ---- metadata and watermarks ---- */

/* What one answer says of the topic: the error of the topic itself where there is one. */
static rd_kafka_resp_err_t count_partitions(const struct rd_kafka_metadata *md, int32_t *ret)
{
    if (md->topic_cnt != 1)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    const struct rd_kafka_metadata_topic *topic = &md->topics[0];
    if (topic->err)
        return topic->err;
    for (int i = 0; i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader < 0)
            return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    *ret = topic->partition_cnt;
    return topic->partition_cnt > 0 ? RD_KAFKA_RESP_ERR_NO_ERROR
                                    : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

static rd_kafka_resp_err_t ask_metadata(struct kfk_reader *rd, rd_kafka_topic_t *rkt, int32_t *ret)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rd->rk, 0, rkt, &md, SLICE_MS);
    rd_kafka_poll(rd->rk, 0);
    if (code == 0) {
        code = count_partitions(md, ret);
        rd_kafka_metadata_destroy(md);
    }
    return code;
}

int kfk_reader_partitions(struct kfk_reader *rd, const char *topic, int32_t *ret,
                          struct cdc_error *err)
{
    int64_t deadline = patience();
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rd->rk, topic, NULL);
    if (!rkt)
        return kfk_reader_fail(rd, rd_kafka_last_error(), topic, "cannot name it", err);
    rd_kafka_resp_err_t code;
    do
        code = ask_metadata(rd, rkt, ret);
    while (code && transient(code) && go_on(rd, deadline));
    rd_kafka_topic_destroy(rkt);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return CDC_END;
    return code ? kfk_reader_fail(rd, code, topic, "cannot learn of the topic", err) : CDC_OK;
}

int kfk_reader_offsets(struct kfk_reader *rd, const char *topic, int32_t partition,
                       int64_t *ret_low, int64_t *ret_high, struct cdc_error *err)
{
    int64_t deadline = patience();
    rd_kafka_resp_err_t code;
    do {
        code =
            rd_kafka_query_watermark_offsets(rd->rk, topic, partition, ret_low, ret_high, SLICE_MS);
        rd_kafka_poll(rd->rk, 0);
    } while (code && transient(code) && go_on(rd, deadline));
    return code ? kfk_reader_fail(rd, code, topic, "cannot learn of the topic's offsets", err)
                : CDC_OK;
}

/* ---- the control topic ---- */

struct control_read {
    struct kfk_reader *rd;
    const struct kfk_control_read *what;
    int64_t high; /* the end that must be reached */
};

static int take(const struct control_read *cr, const rd_kafka_message_t *msg, struct cdc_error *err)
{
    struct kfk_record rec;
    if (kfk_record_parse(cdc_slice_of(msg->key, msg->key_len), cdc_slice_of(msg->payload, msg->len),
                         &rec, err) < 0)
        return CDC_FAIL;
    rec.offset = msg->offset;
    return cr->what->take(cr->what->arg, &rec, err);
}

/* CDC_OK: go on. CDC_END: *next is the end. */
static int handle(const struct control_read *cr, const rd_kafka_message_t *msg, int64_t *next,
                  struct cdc_error *err)
{
    if (msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *next = msg->offset > *next ? msg->offset : *next;
        return *next >= cr->high ? CDC_END : CDC_OK;
    }
    if (msg->err && transient(msg->err))
        return CDC_OK;
    if (msg->err)
        return kfk_reader_fail(cr->rd, msg->err, cr->what->topic, "cannot read the control topic",
                               err);
    if (take(cr, msg, err) < 0)
        return CDC_FAIL;
    *next = msg->offset + 1;
    return *next >= cr->high ? CDC_END : CDC_OK;
}

static int consume(const struct control_read *cr, rd_kafka_topic_t *rkt, int64_t *next,
                   struct cdc_error *err)
{
    int64_t deadline = patience();
    for (;;) {
        rd_kafka_message_t *msg = rd_kafka_consume(rkt, 0, SLICE_MS);
        rd_kafka_poll(cr->rd->rk, 0);
        int rc = msg ? handle(cr, msg, next, err) : CDC_OK;
        if (msg && !msg->err)
            deadline = patience();
        if (msg)
            rd_kafka_message_destroy(msg);
        if (rc != CDC_OK)
            return rc == CDC_END ? CDC_OK : CDC_FAIL;
        if (!go_on(cr->rd, deadline))
            return kfk_reader_fail(cr->rd, RD_KAFKA_RESP_ERR__TIMED_OUT, cr->what->topic,
                                   "cannot read the control topic", err);
    }
}

int kfk_reader_control(struct kfk_reader *rd, struct kfk_control_read *what, struct cdc_error *err)
{
    struct control_read cr = {.rd = rd, .what = what};
    int64_t low, next;
    int32_t partitions;
    int rc = kfk_reader_partitions(rd, what->topic, &partitions, err);
    if (rc != CDC_OK)
        return rc;
    if (kfk_reader_offsets(rd, what->topic, 0, &low, &cr.high, err) < 0)
        return CDC_FAIL;
    /* What compaction took was overwritten later on. */
    next = what->next < low ? low : what->next;
    if (next < cr.high) {
        rd_kafka_topic_t *rkt = rd_kafka_topic_new(rd->rk, what->topic, NULL);
        if (!rkt || rd_kafka_consume_start(rkt, 0, next) != 0)
            rc = kfk_reader_fail(rd, rd_kafka_last_error(), what->topic, "cannot read it", err);
        else
            rc = consume(&cr, rkt, &next, err);
        if (rkt) {
            rd_kafka_consume_stop(rkt, 0);
            rd_kafka_topic_destroy(rkt);
        }
    }
    if (rc == CDC_OK)
        what->next = next;
    return rc;
}
