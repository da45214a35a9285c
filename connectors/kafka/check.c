/*
 * check.c - the preflight: brokers, login, rights, control topic, limits. It fences nobody: the one
 * right that only init_transactions can prove (WRITE on the transactional id) is told, not tried.
 */
#include "kafka.h"

#include <inttypes.h>
#include <stdio.h>

#define ASK_MS 10000

struct check {
    struct kfk_settings set;
    struct kfk_reader *rd;
    struct cdc_report *report;
    int32_t broker; /* one of them */
};

static void bad(const struct check *ck, const struct cdc_error *err)
{
    cdc_report(ck->report, CDC_BAD, NULL, "kafka %s: %s", err->where, err->message);
}

static int check_brokers(struct check *ck, struct cdc_error *err)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int i = 0; code && i < ASK_MS / 500; i++) {
        code = rd_kafka_metadata(ck->rd->rk, 0, NULL, &md, 500);
        rd_kafka_poll(ck->rd->rk, 0);
        if (code && ck->rd->event.code && kfk_judge(ck->rd->event.code)->act == KFK_LOGIN)
            break;
    }
    if (code || !md)
        return kfk_reader_fail(ck->rd, code, ck->set.brokers, "cannot talk to the brokers", err);
    ck->broker = md->broker_cnt > 0 ? md->brokers[0].id : 0;
    cdc_report(ck->report, CDC_PASS, NULL, "kafka %s: %d brokers answer", ck->set.brokers,
               md->broker_cnt);
    if (ck->set.replication > md->broker_cnt)
        cdc_report(ck->report, CDC_BAD, NULL,
                   "kafka: replication %d, and there are %d brokers: topics cannot be made",
                   ck->set.replication, md->broker_cnt);
    rd_kafka_metadata_destroy(md);
    return CDC_OK;
}

static void check_library(const struct check *ck)
{
    if (kfk_scram_broken(&ck->set, rd_kafka_version()))
        cdc_report(ck->report, CDC_WARN, NULL,
                   "kafka: librdkafka %s cannot log in to Kafka 4 by SCRAM; 2.6.1 and later can",
                   rd_kafka_version_str());
    else
        cdc_report(ck->report, CDC_PASS, NULL, "kafka: librdkafka %s", rd_kafka_version_str());
}

static void check_timeout(const struct check *ck)
{
    int64_t max;
    if (kfk_admin_broker_number(ck->rd, ck->broker, "transaction.max.timeout.ms", &max) &&
        ck->set.transaction_timeout_us > max * 1000)
        cdc_report(ck->report, CDC_BAD, NULL,
                   "kafka: transaction_timeout is larger than the brokers allow "
                   "(transaction.max.timeout.ms = %" PRId64 ")",
                   max);
}

/* Could this topic be made? Asked with validate_only: nothing is. */
static void check_wish(const struct check *ck, const char *name, int32_t partitions,
                       const char *what)
{
    struct cdc_error err;
    struct kfk_wish wish = {
        .name = name, .partitions = partitions, .replication = ck->set.replication, .dry = true};
    if (partitions != 1 || ck->set.partitions == 1) {
        wish.config = ck->set.topic_config;
        wish.n_config = ck->set.n_topic_config;
    }
    if (kfk_admin_create(ck->rd, &wish, &err) < 0)
        cdc_report(ck->report, CDC_BAD, NULL, "kafka: %s cannot be made: %s", what, err.message);
    else
        cdc_report(ck->report, CDC_PASS, NULL, "kafka: %s can be made", what);
}

static int take_record(void *arg, const struct kfk_record *rec, struct cdc_error *err)
{
    uint64_t *txn = arg;
    (void)err;
    *txn = rec->txn > *txn ? rec->txn : *txn;
    return CDC_OK;
}

static void check_control(const struct check *ck)
{
    struct cdc_buf name = CDC_BUF(512);
    struct kfk_described of;
    struct cdc_error err;
    uint64_t txn = 0;
    kfk_control_name(&ck->set, &name);
    const char *topic = cdc_buf_cstr(&name);
    struct kfk_control_read what = {.topic = topic, .next = -1, .take = take_record, .arg = &txn};
    int rc = topic ? kfk_reader_control(ck->rd, &what, &err) : cdc_fail_oom(&err);
    if (rc == CDC_END) {
        check_wish(ck, topic, 1, "the control topic");
    } else if (rc < 0) {
        bad(ck, &err);
    } else {
        kfk_admin_describe(ck->rd, &topic, 1, &of);
        if (of.known && !of.only_compact)
            cdc_report(ck->report, CDC_BAD, NULL,
                       "kafka: cleanup.policy of %s is not `compact`: the checkpoint would be "
                       "deleted with time",
                       topic);
        else
            cdc_report(ck->report, CDC_PASS, NULL,
                       "kafka: control topic %s can be read: %" PRIu64 " transactions", topic, txn);
    }
    cdc_buf_done(&name);
}

static void check_topics(const struct check *ck)
{
    struct cdc_buf name = CDC_BUF(512);
    struct cdc_error err;
    if (kfk_topic_name(&ck->set, NULL, "public", "sidestream_check", &name, &err) < 0)
        bad(ck, &err);
    else if (cdc_buf_cstr(&name))
        check_wish(ck, cdc_buf_cstr(&name), ck->set.partitions, "a table's topic");
    cdc_buf_done(&name);
    cdc_report(
        ck->report, CDC_PASS, NULL,
        "kafka: the right to WRITE on the transactional id \"%s\" shows only in `run`, since "
        "to try it would stop an instance that runs",
        ck->set.name);
}

int kfk_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err)
{
    struct check ck = {.report = report};
    struct cdc_error why;
    if (kfk_settings_read(cfg, &ck.set, err) < 0 ||
        kfk_reader_new(&ck.set, true, NULL, &ck.rd, err) < 0)
        return CDC_FAIL;
    check_library(&ck);
    if (check_brokers(&ck, &why) < 0) {
        bad(&ck, &why);
    } else {
        check_timeout(&ck);
        check_control(&ck);
        check_topics(&ck);
    }
    kfk_reader_free(ck.rd);
    return CDC_OK;
}
