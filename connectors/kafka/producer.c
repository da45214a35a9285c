/*
 * producer.c - one instance of librdkafka's transactional producer, from its birth to its end.
 *
 *     new ──▶ init ──▶ begin ──▶ send ... serve ──▶ commit ──▶ begin ... ──▶ drop
 *
 * All reports come through our own calls (poll, flush, commit), thus on our thread. The first thing
 * that fails is kept as `trouble`; from then on every call fails, and only drop may follow. Nothing
 * is repeated: a new instance bumps the epoch, so that a request of the old one that is still on
 * its way can neither end nor enter a transaction of the new (facts 1.2).
 *
 * Corner cases:
 *   - A message that librdkafka refuses locally leaves the transaction committable without it: each
 *     return of rd_kafka_produce is looked at.
 *   - A connection that failed between begin and the end of a commit that succeeded: the commit
 *     stands, but the next begin asks for a new instance.
 *   - Messages lie in the instance's own chunks, freed only when librdkafka's threads are gone.
 */
#include "kafka.h"

#include "cdc/crash.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_MS   200
#define COMMIT_MS  10000
#define ABORT_MS   2000
#define INIT_MS    1000
#define INIT_MAX_S 30
#define REPORT_US  INT64_C(1000000)
#define QUIET_US   INT64_C(1000000) /* without any report: are the topics still there? */

/* ---- what librdkafka tells ---- */

static void note_trouble(struct kfk_trouble *trouble, rd_kafka_resp_err_t code, const char *text)
{
    if (trouble->code)
        return;
    trouble->code = code;
    snprintf(trouble->text, sizeof trouble->text, "%.255s", text);
}

/* Which record was too large? Every message of its batch is reported: the largest is meant. */
static void note_refused(struct kfk_trouble *trouble, const rd_kafka_message_t *report,
                         struct kfk_topic *topic)
{
    size_t bytes = report->len + report->key_len;
    trouble->refused++;
    if (bytes <= trouble->bytes)
        return;
    trouble->bytes = bytes;
    trouble->topic = topic;
    trouble->control = !topic;
    trouble->key = report->key_len ? kfk_murmur2(cdc_slice_of(report->key, report->key_len)) : 0;
    if (!topic)
        return;
    memcpy(trouble->seq, kfk_msg_of(report->payload ? report->payload : report->key)->seq,
           CDC_SEQ_LEN);
}

static bool purged(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* false: the topic is another one than that of the records before. */
static bool delivered(struct kfk_producer *prod, struct kfk_topic *topic,
                      const rd_kafka_message_t *report)
{
    if (topic)
        return kfk_topic_delivered(topic, report->partition, report->offset);
    if (!kfk_offset_known(&prod->blind, report->partition, report->offset))
        return true;
    bool ok = report->offset >= prod->control_end;
    if (ok)
        prod->control_end = report->offset + 1;
    return ok;
}

static void report_cb(rd_kafka_t *rk, const rd_kafka_message_t *report, void *opaque)
{
    struct kfk_producer *prod = opaque;
    struct kfk_topic *topic = rd_kafka_topic_opaque(report->rkt); /* NULL: the control topic */
    (void)rk;
    prod->reports++;
    if (topic && topic->waiting > 0)
        topic->waiting--;
    if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!delivered(prod, topic, report))
            note_trouble(&prod->trouble, RD_KAFKA_RESP_ERR__INCONSISTENT,
                         "offsets of a topic went back: it was made again under us");
    } else if (!purged(report->err)) {
        note_trouble(&prod->trouble, report->err, rd_kafka_message_errstr(report));
        if (report->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            note_refused(&prod->trouble, report, topic);
    }
    kfk_chunks_give(&prod->chunks, report->_private);
}

static void error_cb(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kfk_producer *prod = opaque;
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || prod->event.code == 0)
        kfk_event_note(&prod->event, rk, code, reason);
    if (prod->open &&
        (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         code == RD_KAFKA_RESP_ERR__TIMED_OUT))
        prod->disturbed = true;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        note_trouble(&prod->trouble, prod->event.code, prod->event.text);
}

/* ---- failures ---- */

/* No policy can leave out what the checkpoint needs. */
static int control_too_large(struct kafka *kf, size_t bytes, struct cdc_error *err)
{
    kf->ready = false;
    return cdc_fail(err, CDC_OPERATOR, kf->control,
                    "a checkpoint record of %zu bytes is larger than message.max.bytes (%zu) or "
                    "the topic's max.message.bytes allows: raise them in sink.properties and on "
                    "the topic",
                    bytes, kf->prod->message_max);
}

/* The refusal leads to smaller batches, or to a record that is met by policy next time. */
static void learn_refusal(struct kafka *kf, const struct kfk_trouble *trouble)
{
    if (trouble->topic)
        trouble->topic->described = false; /* its limit may have been changed: ask again */
    if ((trouble->refused > 1 || trouble->control) && kf->prod->batch_max > KFK_BATCH_MIN) {
        kf->set.batch_bytes = KFK_BATCH_MIN; /* then each refusal is of one record */
        return;
    }
    if (trouble->topic)
        kfk_refused_learn(kf, trouble);
}

/* The transaction knows of a refusal before its report is served, which says what was refused. */
static void await_refusal(struct kfk_producer *prod)
{
    int64_t until = cdc_mono_us() + REPORT_US;
    while (prod->trouble.refused == 0 && cdc_mono_us() < until)
        rd_kafka_poll(prod->rk, 10);
}

/*
 * _STATE only says that the transaction has failed before. Why, librdkafka tells to who asks for
 * another one, which changes nothing; there may be no report of it.
 */
static void find_cause(struct kfk_producer *prod, rd_kafka_resp_err_t code)
{
    rd_kafka_error_t *error = NULL;
    if (code == RD_KAFKA_RESP_ERR__STATE && prod->open && !prod->trouble.code)
        error = rd_kafka_begin_transaction(prod->rk);
    if (!error)
        return;
    if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__STATE)
        note_trouble(&prod->trouble, rd_kafka_error_code(error), rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

int kfk_producer_fail(struct kafka *kf, rd_kafka_resp_err_t code, const char *where,
                      const char *what, struct cdc_error *err)
{
    struct kfk_producer *prod = kf->prod;
    struct kfk_event event = prod->event;
    char fatal[256];
    rd_kafka_resp_err_t deadly = rd_kafka_fatal_error(prod->rk, fatal, sizeof fatal);
    kf->ready = false;
    if (deadly)
        note_trouble(&prod->trouble, deadly, fatal);
    find_cause(prod, code);
    if (prod->trouble.code) { /* the cause; what failed now is its consequence */
        code = prod->trouble.code;
        event.code = code;
        memcpy(event.text, prod->trouble.text, sizeof event.text);
        if (prod->trouble.topic || prod->trouble.control)
            where = prod->trouble.topic ? prod->trouble.topic->name : kf->control;
    }
    enum kfk_act act = kfk_judge(code)->act;
    if (act == KFK_FENCED)
        kf->fenced = true;
    if (act == KFK_RECORD)
        await_refusal(prod);
    if (act == KFK_RECORD && prod->trouble.control && prod->batch_max <= KFK_BATCH_MIN)
        return control_too_large(kf, prod->trouble.bytes, err);
    if (act == KFK_RECORD)
        learn_refusal(kf, &prod->trouble);
    return kfk_fail(&(struct kfk_failure){.code = code,
                                          .where = where,
                                          .what = what,
                                          .event = &event,
                                          .brokers = kf->set.brokers,
                                          .known = kf->known},
                    err);
}

static int fail_error(struct kafka *kf, rd_kafka_error_t *take_error, const char *what,
                      struct cdc_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(take_error);
    if (code == 0)
        code = RD_KAFKA_RESP_ERR_UNKNOWN;
    rd_kafka_error_destroy(take_error);
    return kfk_producer_fail(kf, code, "", what, err);
}

static int fail_woken(struct kafka *kf, const char *what, struct cdc_error *err)
{
    kf->ready = false;
    return cdc_fail(err, CDC_RETRY, kf->set.brokers, "%s: told to stop before it was done", what);
}

static void look_if_quiet(struct kafka *kf)
{
    struct kfk_producer *prod = kf->prod;
    struct kfk_topic *topic;
    int64_t now = cdc_mono_us();
    if (prod->heard != prod->reports) {
        prod->heard = prod->reports;
        prod->quiet_us = now;
    }
    if (now - prod->quiet_us < QUIET_US)
        return;
    rd_kafka_resp_err_t code = kfk_topics_look(kf, &topic);
    prod->quiet_us = cdc_mono_us();
    if (code && !prod->trouble.code) {
        note_trouble(&prod->trouble, code, "it is gone, or has fewer partitions than it had");
        prod->trouble.topic = topic;
        prod->trouble.control = !topic;
    }
}

/* Anything that ends the waiting of a transaction that is under way? */
static int check_wait(struct kafka *kf, const char *what, struct cdc_error *err)
{
    struct kfk_producer *prod = kf->prod;
    if (prod->trouble.code)
        return kfk_producer_fail(kf, prod->trouble.code, "", what, err);
    if (atomic_load(&kf->woken))
        return fail_woken(kf, what, err);
    if (cdc_mono_us() - prod->begun_us > kf->set.transaction_timeout_us / 4 * 3)
        return kfk_producer_fail(kf, RD_KAFKA_RESP_ERR__TIMED_OUT, "", what, err);
    look_if_quiet(kf);
    return prod->trouble.code ? kfk_producer_fail(kf, prod->trouble.code, "", what, err) : CDC_OK;
}

/* ---- birth and end ---- */

static int64_t conf_number(rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    size_t len = sizeof text;
    return rd_kafka_conf_get(conf, name, text, &len) == RD_KAFKA_CONF_OK ? strtoll(text, NULL, 10)
                                                                         : 0;
}

static int start(struct kfk_producer *prod, const struct kafka *kf, struct cdc_error *err)
{
    char text[512];
    rd_kafka_conf_t *conf;
    if (kfk_conf_new(&kf->set, KFK_PRODUCER, &conf, err) < 0)
        return CDC_FAIL;
    prod->message_max = (size_t)conf_number(conf, "message.max.bytes");
    prod->batch_max = conf_number(conf, "batch.size");
    rd_kafka_conf_set_dr_msg_cb(conf, report_cb);
    rd_kafka_conf_set_error_cb(conf, error_cb);
    rd_kafka_conf_set_opaque(conf, prod);
    prod->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!prod->rk) {
        rd_kafka_conf_destroy(conf);
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(kf->set.cfg->sink, "properties"),
                        "librdkafka refuses: %s", text);
    }
    prod->control = rd_kafka_topic_new(prod->rk, kf->control, NULL);
    return prod->control ? CDC_OK : cdc_fail_oom(err);
}

int kfk_producer_new(struct kafka *kf, struct cdc_error *err)
{
    kf->prod = calloc(1, sizeof *kf->prod);
    if (!kf->prod)
        return cdc_fail_oom(err);
    kfk_chunks_init(&kf->prod->chunks, (size_t)kf->set.policy.buffer_bytes);
    int rc = start(kf->prod, kf, err);
    if (rc < 0)
        kfk_producer_drop(kf);
    return rc;
}

static void abort_open(const struct kafka *kf)
{
    struct kfk_producer *prod = kf->prod;
    char text[256];
    /* Spares the next start the half second that an open transaction costs; no more than that. */
    if (prod->open && !rd_kafka_fatal_error(prod->rk, text, sizeof text) &&
        !atomic_load(&kf->woken)) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(prod->rk, ABORT_MS);
        if (error)
            rd_kafka_error_destroy(error);
    }
    (void)rd_kafka_purge(prod->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(prod->rk, SLICE_MS * 5);
}

void kfk_producer_drop(struct kafka *kf)
{
    struct kfk_producer *prod = kf->prod;
    if (!prod)
        return;
    if (prod->rk) {
        abort_open(kf);
        kfk_topics_unbind(kf);
        if (prod->control)
            rd_kafka_topic_destroy(prod->control);
        rd_kafka_destroy(prod->rk);
    }
    kfk_chunks_done(&prod->chunks);
    free(prod);
    kf->prod = NULL;
    kf->ready = false;
    kf->rows = kf->bytes = 0;
}

/* One slice of waiting for the coordinator. CDC_AGAIN: another one. */
static int init_slice(struct kafka *kf, int64_t deadline_us, struct cdc_error *err)
{
    static const char what[] = "cannot become the pipeline's one producer (init_transactions)";
    struct kfk_producer *prod = kf->prod;
    rd_kafka_error_t *error = rd_kafka_init_transactions(prod->rk, INIT_MS);
    rd_kafka_poll(prod->rk, 0); /* init serves no callbacks: only now is the reason known */
    if (!error)
        return CDC_OK;
    bool again = rd_kafka_error_is_retriable(error);
    if (prod->event.code && kfk_judge(prod->event.code)->act == KFK_LOGIN) {
        rd_kafka_error_destroy(error);
        return kfk_producer_fail(kf, prod->event.code, "", what, err);
    }
    if (atomic_load(&kf->woken)) {
        rd_kafka_error_destroy(error);
        return fail_woken(kf, what, err);
    }
    if (!again || cdc_mono_us() >= deadline_us)
        return fail_error(kf, error, what, err);
    rd_kafka_error_destroy(error);
    return CDC_AGAIN;
}

int kfk_producer_init(struct kafka *kf, struct cdc_error *err)
{
    int64_t deadline = cdc_mono_us() + (int64_t)INIT_MAX_S * 1000000;
    int rc;
    while ((rc = init_slice(kf, deadline, err)) == CDC_AGAIN)
        continue;
    if (rc == CDC_OK)
        kf->known = true;
    return rc;
}

/* ---- a transaction ---- */

int kfk_producer_begin(struct kafka *kf, struct cdc_error *err)
{
    struct kfk_producer *prod = kf->prod;
    if (prod->open)
        return CDC_OK;
    if (prod->disturbed) {
        kf->ready = false;
        return cdc_fail(err, CDC_REWIND, kf->set.brokers,
                        "a connection failed during the last transaction, which was committed: "
                        "going on with a new producer (%s)",
                        prod->event.text);
    }
    rd_kafka_poll(prod->rk, 0); /* what happened while nothing was under way */
    prod->event.code = 0;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(prod->rk);
    if (error)
        return fail_error(kf, error, "cannot begin a transaction", err);
    prod->open = true;
    prod->begun_us = prod->quiet_us = cdc_mono_us();
    kf->rows = kf->bytes = 0;
    CDC_POINT("kafka.begun");
    return CDC_OK;
}

/*
 * Waits until there is room again: for half of what the queue takes, since to go on with each
 * message that was reported would send ever smaller batches. flush is what makes partial batches go
 * out now instead of after linger.ms; without it small queues over many partitions stand still
 * (facts 2.2).
 */
static int make_room(struct kafka *kf, size_t n, struct cdc_error *err)
{
    struct kfk_producer *prod = kf->prod;
    size_t half = prod->chunks.max / 2, want = n > half ? n : half;
    while (!kfk_chunks_room(&prod->chunks, want)) {
        if (rd_kafka_poll(prod->rk, 0) == 0)
            (void)rd_kafka_flush(prod->rk, 1);
        if (check_wait(kf, "records wait for the brokers", err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static struct kfk_msg *lay_down(struct kfk_producer *prod, const struct kfk_out *out)
{
    struct kfk_msg *msg = kfk_chunks_take(&prod->chunks, out->value.len + out->key.len);
    if (!msg)
        return NULL;
    if (out->seq)
        memcpy(msg->seq, out->seq, CDC_SEQ_LEN);
    else
        memset(msg->seq, 0, CDC_SEQ_LEN);
    if (out->value.len)
        memcpy(kfk_msg_bytes(msg), out->value.p, out->value.len);
    if (out->key.len)
        memcpy(kfk_msg_bytes(msg) + out->value.len, out->key.p, out->key.len);
    return msg;
}

/* CDC_AGAIN: librdkafka's own queue is full. */
static int hand_over(struct kafka *kf, const struct kfk_out *out, struct kfk_msg *msg,
                     struct cdc_error *err)
{
    uint8_t *bytes = kfk_msg_bytes(msg);
    rd_kafka_topic_t *rkt = out->topic ? out->topic->rkt : kf->prod->control;
    if (rd_kafka_produce(rkt, out->partition, 0, out->value.p ? bytes : NULL, out->value.len,
                         out->key.p ? bytes + out->value.len : NULL, out->key.len, msg->chunk) == 0)
        return CDC_OK;
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return CDC_AGAIN;
    const char *name = out->topic ? out->topic->name : kf->control;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !out->topic)
        return control_too_large(kf, out->key.len + out->value.len, err);
    return kfk_producer_fail(kf, code, name, "a record is not taken", err);
}

int kfk_producer_send(struct kafka *kf, const struct kfk_out *out, struct cdc_error *err)
{
    struct kfk_producer *prod = kf->prod;
    size_t n = out->value.len + out->key.len;
    if (!kfk_chunks_room(&prod->chunks, n) && make_room(kf, n, err) < 0)
        return CDC_FAIL;
    struct kfk_msg *msg = lay_down(prod, out);
    if (!msg)
        return cdc_fail_oom(err);
    int rc;
    while ((rc = hand_over(kf, out, msg, err)) == CDC_AGAIN) {
        (void)rd_kafka_flush(prod->rk, 1);
        if (check_wait(kf, "records wait for the brokers", err) < 0) {
            rc = CDC_FAIL;
            break;
        }
    }
    if (rc < 0) { /* it never was librdkafka's */
        kfk_chunks_give(&prod->chunks, msg->chunk);
        return CDC_FAIL;
    }
    if (out->topic)
        out->topic->waiting++;
    kf->bytes += n;
    return CDC_OK;
}

int kfk_producer_serve(struct kafka *kf, struct cdc_error *err)
{
    rd_kafka_poll(kf->prod->rk, 0);
    return kf->prod->trouble.code
               ? kfk_producer_fail(kf, kf->prod->trouble.code, "", "records were not taken", err)
               : CDC_OK;
}

int kfk_producer_commit(struct kafka *kf, struct cdc_error *err)
{
    static const char what[] = "the transaction cannot be committed";
    struct kfk_producer *prod = kf->prod;
    while (rd_kafka_flush(prod->rk, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        if (check_wait(kf, what, err) < 0)
            return CDC_FAIL;
    if (check_wait(kf, what, err) < 0)
        return CDC_FAIL;
    CDC_POINT("kafka.before_commit");
    /* All is delivered: this is one request. Its outcome may stay unknown: recover finds it out. */
    rd_kafka_error_t *error = rd_kafka_commit_transaction(prod->rk, COMMIT_MS);
    CDC_POINT("kafka.after_commit");
    if (error)
        return fail_error(kf, error, what, err);
    rd_kafka_poll(prod->rk, 0); /* the last events that belong to it */
    prod->open = false;
    return CDC_OK;
}
