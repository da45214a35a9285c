/*
 * conf.c - from options to settings, and to configurations of librdkafka.
 *
 * Three layers, later ones win: what we suggest, the user's `properties`, what the promise needs.
 * A property of the last layer is refused in the file, with the reason, instead of being overruled
 * in silence. librdkafka's own texts about a value hold that value, so they are not shown: it may
 * be a password.
 */
#include "kafka.h"

#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>

#define DESCRIBE_MS 3000
#define EAGER_ROWS  500 /* a transaction costs as much as 1,000 records and more (facts 2.3) */
#define SCRAM_WORKS 0x020601ff /* librdkafka 2.6.1 */

struct setting {
    const char *name, *value;
};

/* ---- what may not be set ---- */

#define OWN_OPTION(option) "it has an option of its own, `" option "`"
#define ONCE               "exactly-once delivery stands on our value of it"
#define OWN_READS          "what is read, and from where, is decided by the pipeline"

static const struct setting refused[] = {
    {"bootstrap.servers", OWN_OPTION("brokers")},
    {"metadata.broker.list", OWN_OPTION("brokers")},
    {"compression.codec", OWN_OPTION("compression")},
    {"compression.type", OWN_OPTION("compression")},
    {"transaction.timeout.ms", OWN_OPTION("transaction_timeout")},
    {"queue.buffering.max.kbytes", OWN_OPTION("queue_bytes")},
    {"queue.buffering.max.messages", OWN_OPTION("queue_bytes")},
    {"transactional.id", "it is the pipeline's `name`: two instances of it fence each other"},
    {"enable.idempotence", ONCE},
    {"enable.gapless.guarantee", ONCE},
    {"log.connection.close", "without it nobody is told of a connection that breaks in a commit"},
    {"acks", ONCE},
    {"request.required.acks", ONCE},
    {"retries", ONCE},
    {"message.send.max.retries", ONCE},
    {"max.in.flight", ONCE},
    {"max.in.flight.requests.per.connection", ONCE},
    {"queuing.strategy", ONCE},
    {"queue.buffering.backpressure.threshold", ONCE},
    {"message.timeout.ms", "it follows `transaction_timeout`"},
    {"delivery.timeout.ms", "it follows `transaction_timeout`"},
    {"delivery.report.only.error", "every record's report is counted"},
    {"produce.offset.report", "every record's report is looked at"},
    {"enabled_events", "reports and errors are taken by callbacks"},
    {"partitioner", "partitions are chosen here, by the Java client's murmur2 (`partition_by`)"},
    {"sticky.partitioning.linger.ms", "partitions are chosen here"},
    {"isolation.level", OWN_READS},
    {"enable.auto.commit", OWN_READS},
    {"auto.commit.enable", OWN_READS},
    {"enable.auto.offset.store", OWN_READS},
    {"enable.partition.eof", OWN_READS},
    {"auto.offset.reset", OWN_READS},
    {"group.id", "no consumer group is used"},
    {"group.instance.id", "no consumer group is used"},
    {"allow.auto.create.topics", "topics are made with `partitions` and `replication`"},
    {"plugin.library.paths", "plugins may change what is sent"},
    {"opaque", "it is a pointer"},
    {"default_topic_conf", "it is a pointer"},
};

const char *kfk_property_refused(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].value;
    if (n > 3 && strcmp(name + n - 3, "_cb") == 0)
        return "it is a function";
    return NULL;
}

/* ---- options ---- */

static int check_properties(const struct kfk_settings *set, struct cdc_error *err)
{
    for (size_t i = 0; i < set->n_properties; i++) {
        const char *why = kfk_property_refused(set->properties[i].name);
        if (why)
            return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "properties"),
                            "the property \"%s\" cannot be set: %s", set->properties[i].name, why);
    }
    rd_kafka_conf_t *conf; /* librdkafka's own opinion of the rest */
    if (kfk_conf_new(set, KFK_PRODUCER, &conf, err) < 0)
        return CDC_FAIL;
    rd_kafka_conf_destroy(conf);
    return CDC_OK;
}

/* The debezium envelope, the default for Kafka, is not there yet: nobody gets `row` unasked. */
static int check_envelopes(const struct cdc_capture *capture, struct cdc_error *err)
{
    const struct cdc_rule *rules;
    size_t n = cdc_capture_rules(capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!rules[i].skip && !rules[i].envelope_given)
            return cdc_fail(err, CDC_CONFIG, rules[i].where,
                            "the rule says no envelope: for Kafka the default is `debezium`, which "
                            "this version does not have yet. Write `envelope: row`, here or at the "
                            "file's top");
    return CDC_OK;
}

static struct cdc_commit_policy read_policy(const struct cdc_section *sec)
{
    return (struct cdc_commit_policy){.eager = true,
                                      .eager_rows = EAGER_ROWS,
                                      .pace_us = cdc_get_int(sec, "commit_pace"),
                                      .interval_us = cdc_get_int(sec, "commit_interval"),
                                      .cut_us = cdc_get_int(sec, "cut_interval"),
                                      .idle_us = cdc_get_int(sec, "idle_interval"),
                                      .idle_bytes = (uint64_t)cdc_get_int(sec, "idle_bytes"),
                                      .buffer_bytes = (uint64_t)cdc_get_int(sec, "queue_bytes")};
}

int kfk_settings_read(const struct cdc_config *cfg, struct kfk_settings *ret, struct cdc_error *err)
{
    static const char *const codecs[] = {"none", "lz4", "zstd", "snappy", "gzip"};
    const struct cdc_section *sec = cfg->sink;
    struct kfk_settings set = {.brokers = cdc_get_string(sec, "brokers"),
                               .name = cfg->name,
                               .template = cdc_get_string(sec, "topic"),
                               .partitions = (int32_t)cdc_get_int(sec, "partitions"),
                               .replication = (int)cdc_get_int(sec, "replication"),
                               .by_key_fields = cdc_get_choice(sec, "partition_by") == 1,
                               .oversized = (enum kfk_oversized)cdc_get_choice(sec, "oversized"),
                               .lost_continue = cdc_get_choice(sec, "on_lost_topic") == 1,
                               .compression = codecs[cdc_get_choice(sec, "compression")],
                               .transaction_bytes = cdc_get_int(sec, "transaction_bytes"),
                               .transaction_timeout_us = cdc_get_int(sec, "transaction_timeout"),
                               .policy = read_policy(sec),
                               .describe_ms = DESCRIBE_MS,
                               .cfg = cfg};
    set.n_properties = cdc_get_map(sec, "properties", &set.properties);
    set.n_topic_config = cdc_get_map(sec, "topic_config", &set.topic_config);
    if (!*set.brokers)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(sec, "brokers"),
                        "brokers is empty: name at least one as host:port");
    if (kfk_template_check(&set, err) < 0 || check_properties(&set, err) < 0 ||
        check_envelopes(cfg->capture, err) < 0)
        return CDC_FAIL;
    *ret = set;
    return CDC_OK;
}

bool kfk_scram_broken(const struct kfk_settings *set, int version)
{
    for (size_t i = 0; i < set->n_properties; i++) {
        const struct cdc_pair *p = &set->properties[i];
        if (strncmp(p->name, "sasl.mechanism", 14) == 0 && strstr(p->text, "SCRAM"))
            return version < SCRAM_WORKS;
    }
    return false;
}

/* ---- librdkafka's configuration ---- */

/*
 * Not log.connection.close=false, which quiets the log: a connection that breaks would then raise
 * no error event either, and a disturbed transaction go unnoticed. The log goes to our debug level.
 */
static const struct setting suggested[] = {
    {"client.id", "sidestream"},         {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"}, {"socket.timeout.ms", "10000"},
    {"reconnect.backoff.max.ms", "500"}, {"topic.metadata.propagation.max.ms", "3000"},
    {"message.max.bytes", "16777216"},   {"linger.ms", "5"},
};

static const struct setting needed[] = {
    {"enable.idempotence", "true"},
    /* Else the producer's own question for a topic that is gone makes it again, if the broker may.
     */
    {"allow.auto.create.topics", "false"},
    {"queue.buffering.max.kbytes", "2097151"}, /* only queue_bytes counts: chunks.c */
    {"queue.buffering.max.messages", "10000000"},
};

/* Settings that make reading the end of a topic a matter of milliseconds: facts 1.1. */
static const struct setting reading[] = {
    {"enable.partition.eof", "true"},
    {"enable.auto.commit", "false"},
    {"auto.offset.reset", "error"},
    {"allow.auto.create.topics", "false"},
    {"fetch.wait.max.ms", "10"},
    {"fetch.error.backoff.ms", "5"},
    {"queued.max.messages.kbytes", "1024"},
};

static void log_cb(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    (void)rk;
    (void)level;
    cdc_log(CDC_LOG_DEBUG, "librdkafka %s: %s", fac, text);
}

static int put(rd_kafka_conf_t *conf, const struct setting *list, size_t n, struct cdc_error *err)
{
    char text[512];
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_conf_set(conf, list[i].name, list[i].value, text, sizeof text) !=
            RD_KAFKA_CONF_OK)
            return cdc_fail(err, CDC_FATAL, "librdkafka", "it does not take %s=%s: %s",
                            list[i].name, list[i].value, text);
    return CDC_OK;
}

static int put_properties(rd_kafka_conf_t *conf, const struct kfk_settings *set,
                          struct cdc_error *err)
{
    char text[512];
    for (size_t i = 0; i < set->n_properties; i++) {
        const struct cdc_pair *p = &set->properties[i];
        rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, p->name, p->text, text, sizeof text);
        if (res != RD_KAFKA_CONF_OK)
            return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "properties"),
                            res == RD_KAFKA_CONF_UNKNOWN
                                ? "librdkafka %s has no property \"%s\""
                                : "librdkafka %s does not take this value of \"%s\"",
                            rd_kafka_version_str(), p->name);
    }
    return CDC_OK;
}

static int put_producer(rd_kafka_conf_t *conf, const struct kfk_settings *set,
                        struct cdc_error *err)
{
    char timeout[24], batch[24];
    snprintf(timeout, sizeof timeout, "%lld", (long long)(set->transaction_timeout_us / 1000));
    snprintf(batch, sizeof batch, "%lld", (long long)set->batch_bytes);
    const struct setting own[] = {{"transactional.id", set->name},
                                  {"transaction.timeout.ms", timeout},
                                  {"compression.codec", set->compression},
                                  {"batch.size", batch}};
    if (put(conf, needed, sizeof needed / sizeof *needed, err) < 0)
        return CDC_FAIL;
    return put(conf, own, sizeof own / sizeof *own - (set->batch_bytes == 0), err);
}

static int put_reader(rd_kafka_conf_t *conf, enum kfk_role role, struct cdc_error *err)
{
    const struct setting isolation = {"isolation.level", role == KFK_READER_ALL ? "read_uncommitted"
                                                                                : "read_committed"};
    if (put(conf, &isolation, 1, err) < 0)
        return CDC_FAIL;
    return put(conf, reading, sizeof reading / sizeof *reading, err);
}

int kfk_conf_new(const struct kfk_settings *set, enum kfk_role role, rd_kafka_conf_t **ret,
                 struct cdc_error *err)
{
    const struct setting brokers = {"bootstrap.servers", set->brokers};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = put(conf, suggested, sizeof suggested / sizeof *suggested, err);
    /* From 2.5 on clients push metrics to brokers that ask; older ones do not know the name. */
    (void)rd_kafka_conf_set(conf, "enable.metrics.push", "false", NULL, 0);
    if (rc == CDC_OK)
        rc = put_properties(conf, set, err);
    if (rc == CDC_OK)
        rc = put(conf, &brokers, 1, err);
    if (rc == CDC_OK)
        rc = role == KFK_PRODUCER ? put_producer(conf, set, err) : put_reader(conf, role, err);
    if (rc < 0) {
        rd_kafka_conf_destroy(conf);
        return CDC_FAIL;
    }
    rd_kafka_conf_set_log_cb(conf, log_cb);
    *ret = conf;
    return CDC_OK;
}
