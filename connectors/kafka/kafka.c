/*
 * kafka.c - the Kafka sink: options, open, close, the ops.
 */
#include "kafka.h"

#include "cdc/log.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECORD_MAX ((size_t)1 << 30)
#define KEY_MAX    ((size_t)16 << 20)
#define SECOND     INT64_C(1000000)

static const struct cdc_option options[] = {
    {.name = "brokers",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED,
     .doc = "Where to begin: host:port, several with commas."},
    {.name = "topic",
     .type = CDC_OPT_STRING,
     .dflt = "{name}.{schema}.{table}",
     .doc =
         "Names of topics, where a capture rule has no `topic` of its own. Bytes that Kafka does "
         "not take become `_`."},
    {.name = "partitions",
     .type = CDC_OPT_INT,
     .dflt = "6",
     .min = 1,
     .max = 10000,
     .doc = "Partitions of topics that are made. A topic that is there keeps its own."},
    {.name = "replication",
     .type = CDC_OPT_INT,
     .dflt = "-1",
     .min = -1,
     .max = 100,
     .doc = "Replicas of topics that are made, the control topic too. -1: the broker's default."},
    {.name = "topic_config",
     .type = CDC_OPT_STRINGS,
     .doc = "Settings of topics that are made, such as `retention.ms` or `cleanup.policy`."},
    {.name = "partition_by",
     .type = CDC_OPT_CHOICE,
     .dflt = "key_bytes",
     .choices = "key_bytes|key_fields",
     .doc = "What the partition is computed from, by the Java client's murmur2: the key's bytes as "
            "any other producer would (they begin with the schema's id), or the fields alone."},
    {.name = "oversized",
     .type = CDC_OPT_CHOICE,
     .dflt = "fail",
     .choices = "fail|drop|placeholder",
     .doc =
         "A record larger than the topic takes: stop; leave it out, counted and warned about; or "
         "write it with its largest values as null, named in `__invalid`."},
    {.name = "on_lost_topic",
     .type = CDC_OPT_CHOICE,
     .dflt = "refuse",
     .choices = "refuse|continue",
     .doc = "A topic that was deleted, or made again, under us: its history is gone. Refuse to go "
            "on, or make it again where needed and go on."},
    {.name = "commit_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "100ms",
     .min = 1000,
     .max = 60 * SECOND,
     .doc = "Under load, a transaction is committed at the latest after this. When nothing waits, "
            "it is at once."},
    {.name = "commit_pace",
     .type = CDC_OPT_DURATION,
     .dflt = "10ms",
     .min = 0,
     .max = 60 * SECOND,
     .doc = "At least this long between two commits while nothing forces one."},
    {.name = "cut_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "5s",
     .min = SECOND,
     .max = 300 * SECOND,
     .doc = "Inside a large transaction of the source: commit what is there after this."},
    {.name = "transaction_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 40,
     .doc = "A transaction that holds this much is committed, also inside one of the source."},
    {.name = "transaction_timeout",
     .type = CDC_OPT_DURATION,
     .dflt = "60s",
     .min = 10 * SECOND,
     .max = 3600 * SECOND,
     .doc = "The brokers abort a transaction that is open for longer; readers of committed data "
            "wait so long for what a killed process left open, if it does not start again."},
    {.name = "queue_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "32MiB",
     .min = 1 << 20,
     .max = 1 << 30,
     .doc = "Memory of messages on their way to the brokers; part of `memory`."},
    {.name = "idle_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "10s",
     .min = SECOND,
     .max = 86400 * SECOND,
     .doc = "While no captured table changes, commit the position alone this often, so that the "
            "source can release its log."},
    {.name = "idle_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 65536,
     .max = INT64_C(1) << 50,
     .doc = "The same, after this much of the source's log went by."},
    {.name = "compression",
     .type = CDC_OPT_CHOICE,
     .dflt = "none",
     .choices = "none|lz4|zstd|snappy|gzip",
     .doc =
         "Of batches on the wire and in the topic. It costs more processor time than all else in "
         "the sink: for slow lines and small disks."},
    {.name = "properties",
     .type = CDC_OPT_STRINGS,
     .flags = CDC_OPT_SECRET,
     .doc = "Properties of librdkafka, such as `security.protocol`, `ssl.ca.location` or "
            "`sasl.password`. Those that would break exactly-once delivery are refused."},
    {0},
};

/* ---- open, close ---- */

static void kfk_close(struct cdc_sink *snk)
{
    struct kafka *kf = (struct kafka *)snk;
    kfk_farewell(kf);
    kfk_producer_drop(kf);
    kfk_routes_drop(kf);
    kfk_topics_done(kf);
    free(kf->refused);
    cdc_buf_done(&kf->owner);
    cdc_buf_done(&kf->key);
    cdc_buf_done(&kf->value);
    free(kf);
}

/* Random, so that the instance can tell itself from any other. */
static int draw_instance(struct kafka *kf, struct cdc_error *err)
{
    uint8_t bytes[KFK_INSTANCE_LEN / 2];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return cdc_fail(err, CDC_FATAL, "", "no random bytes from OpenSSL");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(kf->instance + 2 * i, 3, "%02x", bytes[i]);
    return CDC_OK;
}

static void tell_library(const struct kfk_settings *set)
{
    cdc_log(CDC_LOG_INFO, "kafka: librdkafka %s", rd_kafka_version_str());
    if (kfk_scram_broken(set, rd_kafka_version()))
        cdc_log(CDC_LOG_WARN,
                "kafka: librdkafka %s cannot log in to Kafka 4 by SCRAM (2.6.1 and later can)",
                rd_kafka_version_str());
}

static int kfk_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    struct kfk_settings set;
    if (kfk_settings_read(cfg, &set, err) < 0)
        return CDC_FAIL;
    struct kafka *kf = calloc(1, sizeof *kf);
    if (!kf)
        return cdc_fail_oom(err);
    *kf = (struct kafka){.base.ops = &cdc_sink_kafka, .set = set};
    cdc_buf_init(&kf->owner, 4096);
    cdc_buf_init(&kf->key, KEY_MAX);
    cdc_buf_init(&kf->value, RECORD_MAX);
    snprintf(kf->control, sizeof kf->control, KFK_CONTROL_PREFIX "%s", set.name);
    if (draw_instance(kf, err) < 0) {
        kfk_close(&kf->base);
        return CDC_FAIL;
    }
    tell_library(&set);
    *ret = &kf->base;
    return CDC_OK;
}

static void kfk_policy(const struct cdc_sink *snk, struct cdc_commit_policy *ret)
{
    *ret = ((const struct kafka *)snk)->set.policy;
}

static void kfk_wake(struct cdc_sink *snk)
{
    atomic_store(&((struct kafka *)snk)->woken, true);
}

const struct cdc_sink_ops cdc_sink_kafka = {
    .name = "kafka",
    .doc = "Topics of Kafka, exactly once: records and checkpoint in one transaction.",
    .options = options,
    .caps = CDC_SINK_DURABLE | CDC_SINK_PLANS | CDC_SINK_KEYS,
    .check = kfk_check,
    .open = kfk_open,
    .recover = kfk_recover,
    .policy = kfk_policy,
    .stream = kfk_stream,
    .write = kfk_write,
    .commit = kfk_commit,
    .wake = kfk_wake,
    .close = kfk_close,
    .feed = &kafka_feed,
};
