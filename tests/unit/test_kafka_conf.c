/*
 * test_kafka_conf.c - properties that pass through, those that are refused, and that nothing of a
 * value is ever shown.
 */
#include "kafka_kit.h"

static const struct row {
    const char *name, *sink, *rule;
    const char *says; /* NULL: taken; else the refusal says this */
} rows[] = {
    {"plain", "", "envelope: row", NULL},
    {"no envelope", "", "", "envelope: row"},
    {"empty brokers", "brokers: ''", "envelope: row", "brokers is empty"},
    {"odd template", "topic: '{name}.{tabel}'", "envelope: row", "{tabel}"},
    {"empty template", "topic: ''", "envelope: row", "topic is empty"},
    {"pass: TLS", "properties: {security.protocol: ssl, ssl.ca.location: /x/ca.pem}",
     "envelope: row", NULL},
    {"pass: SASL", "properties: {sasl.mechanisms: PLAIN, sasl.username: u, sasl.password: hush}",
     "envelope: row", NULL},
    {"pass: socket", "properties: {socket.timeout.ms: '5000', client.id: me, linger.ms: '50'}",
     "envelope: row", NULL},
    {"unknown", "properties: {no.such.thing: hush}", "envelope: row", "no.such.thing"},
    {"bad value", "properties: {socket.timeout.ms: hush}", "envelope: row", "socket.timeout.ms"},
    {"bad choice", "properties: {security.protocol: hush}", "envelope: row", "security.protocol"},
#define REFUSED(property)                                                                          \
    {                                                                                              \
        "refused: " property, "properties: {" property ": hush}", "envelope: row", property        \
    }
    REFUSED("transactional.id"),
    REFUSED("enable.idempotence"),
    REFUSED("enable.gapless.guarantee"),
    REFUSED("acks"),
    REFUSED("request.required.acks"),
    REFUSED("retries"),
    REFUSED("message.send.max.retries"),
    REFUSED("max.in.flight"),
    REFUSED("max.in.flight.requests.per.connection"),
    REFUSED("queuing.strategy"),
    REFUSED("queue.buffering.backpressure.threshold"),
    REFUSED("delivery.report.only.error"),
    REFUSED("enabled_events"),
    REFUSED("partitioner"),
    REFUSED("partitioner_cb"),
    REFUSED("dr_msg_cb"),
    REFUSED("message.timeout.ms"),
    REFUSED("delivery.timeout.ms"),
    REFUSED("transaction.timeout.ms"),
    REFUSED("isolation.level"),
    REFUSED("enable.auto.commit"),
    REFUSED("auto.commit.enable"),
    REFUSED("enable.auto.offset.store"),
    REFUSED("auto.offset.reset"),
    REFUSED("enable.partition.eof"),
    REFUSED("group.id"),
    REFUSED("bootstrap.servers"),
    REFUSED("metadata.broker.list"),
    REFUSED("compression.codec"),
    REFUSED("compression.type"),
    REFUSED("queue.buffering.max.kbytes"),
    REFUSED("queue.buffering.max.messages"),
    REFUSED("allow.auto.create.topics"),
    REFUSED("log.connection.close"),
    REFUSED("plugin.library.paths"),
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_settings *all = NULL;
    struct kfk_settings set;
    struct cdc_error err = {0};
    int rc = kit_try(row->sink, row->rule, &all, &set, &err);
    assert_int_equal(rc, row->says ? CDC_FAIL : CDC_OK);
    if (row->says) {
        assert_int_equal(err.action, CDC_CONFIG);
        assert_non_null(strstr(err.message, row->says));
        assert_non_null(strstr(err.where, "kafka.yaml:"));
    }
    assert_null(strstr(err.message, "hush"));
    cdc_settings_free(all);
}

static void assert_conf(rd_kafka_conf_t *conf, const char *name, const char *expect)
{
    char text[256];
    size_t len = sizeof text;
    assert_int_equal(rd_kafka_conf_get(conf, name, text, &len), RD_KAFKA_CONF_OK);
    assert_string_equal(text, expect);
}

/* The user's word wins over what is suggested, and never over what the promise needs. */
static void test_layers(void **state)
{
    (void)state;
    struct kfk_settings set;
    struct cdc_error err;
    rd_kafka_conf_t *conf;
    struct cdc_settings *all =
        kit_settings("transaction_timeout: 30s, compression: lz4, "
                     "properties: {linger.ms: '50', message.max.bytes: '2000000'}",
                     "envelope: row", &set);
    set.batch_bytes = 50000;
    assert_int_equal(kfk_conf_new(&set, KFK_PRODUCER, &conf, &err), CDC_OK);
    assert_conf(conf, "transactional.id", "shop");
    assert_conf(conf, "transaction.timeout.ms", "30000");
    assert_conf(conf, "enable.idempotence", "true");
    assert_conf(conf, "allow.auto.create.topics", "false"); /* a producer's default is true */
    assert_conf(conf, "compression.codec", "lz4");
    assert_conf(conf, "linger.ms", "50");
    assert_conf(conf, "message.max.bytes", "2000000");
    assert_conf(conf, "batch.size", "50000");
    assert_conf(conf, "socket.nagle.disable", "true");
    assert_conf(conf, "bootstrap.servers", "127.0.0.1:1");
    rd_kafka_conf_destroy(conf);
    assert_int_equal(kfk_conf_new(&set, KFK_READER_COMMITTED, &conf, &err), CDC_OK);
    assert_conf(conf, "isolation.level", "read_committed");
    assert_conf(conf, "enable.partition.eof", "true");
    rd_kafka_conf_destroy(conf);
    assert_int_equal(kfk_conf_new(&set, KFK_READER_ALL, &conf, &err), CDC_OK);
    assert_conf(conf, "isolation.level", "read_uncommitted");
    rd_kafka_conf_destroy(conf);
    cdc_settings_free(all);
}

static void test_scram(void **state)
{
    (void)state;
    struct kfk_settings set;
    struct cdc_settings *all =
        kit_settings("properties: {sasl.mechanisms: SCRAM-SHA-256}", "envelope: row", &set);
    assert_true(kfk_scram_broken(&set, 0x020002ff));
    assert_true(kfk_scram_broken(&set, 0x020600ff));
    assert_false(kfk_scram_broken(&set, 0x020601ff));
    cdc_settings_free(all);
    all = kit_settings("properties: {sasl.mechanism: PLAIN}", "envelope: row", &set);
    assert_false(kfk_scram_broken(&set, 0x020002ff));
    cdc_settings_free(all);
}

int main(void)
{
    struct CMUnitTest tests[80], *to = tests;
    to = CM_ROWS(to, test_row, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_layers);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_scram);
    return _cmocka_run_group_tests("kafka conf", tests, (size_t)(to - tests), NULL, NULL);
}
