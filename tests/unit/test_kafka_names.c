/*
 * test_kafka_names.c - partitions as Java's, topic names.
 */
#include "kafka_kit.h"

static const struct murmur_row {
    const char *name, *bytes;
    int32_t hash;
} murmur_rows[] = {
    {"murmur2: 21", "21", -973932308},
    {"murmur2: foobar", "foobar", -790332482},
    {"murmur2: a-little-bit-long-string", "a-little-bit-long-string", -985981536},
    {"murmur2: a-little-bit-longer-string", "a-little-bit-longer-string", -1486304829},
    {"murmur2: a long one", "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"murmur2: abc", "abc", 479470107},
};

static void test_murmur2(void **state)
{
    const struct murmur_row *row = *state;
    uint32_t hash = kfk_murmur2(cdc_slice_str(row->bytes));
    assert_int_equal((int32_t)hash, row->hash);
    for (int32_t n = 1; n < 20; n++)
        assert_int_equal(kfk_partition(cdc_slice_str(row->bytes), n),
                         (int32_t)(hash & 0x7fffffff) % n);
}

/* The library's own hash agrees, for every length of the tail. */
static void test_as_librdkafka(void **state)
{
    (void)state;
    char text[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, "any", NULL);
    uint8_t bytes[64];
    srand(7);
    for (int i = 0; i < 20000; i++) {
        size_t n = 1 + (size_t)rand() % sizeof bytes;
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)rand();
        assert_int_equal(kfk_partition(cdc_slice_of(bytes, n), 17),
                         rd_kafka_msg_partitioner_murmur2(rkt, bytes, n, 17, NULL, NULL));
    }
    rd_kafka_topic_destroy(rkt);
    rd_kafka_destroy(rk);
}

static const struct name_row {
    const char *name, *sink, *rule, *schema, *table, *expect; /* NULL: refused */
} name_rows[] = {
    {"name: the template", "", "", "public", "users", "shop.public.users"},
    {"name: another template", "topic: 'x-{table}_{schema}'", "", "a", "b", "x-b_a"},
    {"name: a constant template", "topic: all", "", "a", "b", "all"},
    {"name: the rule's", "topic: 'x-{table}'", "topic: mine", "a", "b", "mine"},
    {"name: odd bytes", "", "", "my schema", "x/y%z", "shop.my_schema.x_y_z"},
    {"name: UTF-8", "", "", "s", "\xc3\xa9", "shop.s.__"},
    {"name: kept", "", "", "A-Z", "a.b_9", "shop.A-Z.a.b_9"},
    {"name: a dot", "topic: '{table}'", "", "s", ".", NULL},
    {"name: two dots", "topic: '{table}'", "", "s", "..", NULL},
    {"name: three dots", "topic: '{table}'", "", "s", "...", "..."},
    {"name: a checkpoint's", "topic: '_sidestream.{table}'", "", "s", "t", NULL},
    {"name: nothing", "topic: '{table}'", "", "s", "", NULL},
};

static void test_name(void **state)
{
    const struct name_row *row = *state;
    struct kfk_settings set;
    char rule[128];
    snprintf(rule, sizeof rule, "envelope: row%s%s", *row->rule ? ", " : "", row->rule);
    struct cdc_settings *all = kit_settings(row->sink, rule, &set);
    struct cdc_buf name = CDC_BUF(1024);
    struct cdc_error err = {0};
    const struct cdc_rule *match = cdc_capture_match(all->config.capture, "s", "t");
    int rc = kfk_topic_name(&set, match, row->schema, row->table, &name, &err);
    assert_int_equal(rc, row->expect ? CDC_OK : CDC_FAIL);
    if (row->expect)
        assert_string_equal(cdc_buf_cstr(&name), row->expect);
    else
        assert_int_equal(err.action, CDC_CONFIG);
    cdc_buf_done(&name);
    cdc_settings_free(all);
}

static void test_longest_name(void **state)
{
    (void)state;
    char table[300] = "";
    struct kfk_settings set;
    struct cdc_settings *all = kit_settings("topic: '{table}'", "envelope: row", &set);
    struct cdc_buf name = CDC_BUF(1024);
    struct cdc_error err;
    memset(table, 'a', KFK_TOPIC_MAX);
    assert_int_equal(kfk_topic_name(&set, NULL, "s", table, &name, &err), CDC_OK);
    memset(table, 'a', KFK_TOPIC_MAX + 1);
    cdc_buf_reset(&name);
    assert_int_equal(kfk_topic_name(&set, NULL, "s", table, &name, &err), CDC_FAIL);
    cdc_buf_done(&name);
    cdc_settings_free(all);
}

/* Two tables whose names differ in a byte that Kafka does not take. */
static void test_two_tables_meet(void **state)
{
    (void)state;
    struct kfk_settings set;
    struct cdc_settings *all = kit_settings("", "envelope: row", &set);
    struct cdc_sink *snk = NULL;
    struct cdc_error err = {0};
    struct cdc_buf name = CDC_BUF(1024);
    assert_int_equal(cdc_sink_kafka.open(&all->config, &snk, &err), CDC_OK);
    struct kfk_topic *topic = kfk_topic_add((struct kafka *)snk, "shop.public.a_b");
    topic->state.tables = calloc(1, sizeof(char *));
    topic->state.tables[0] = strdup("public.a b");
    topic->state.n_tables = 1;
    struct cdc_table tab = {.schema = "public", .name = "a b"};
    assert_int_equal(kfk_stream(snk, &tab, &name, &err), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&name), "shop.public.a_b");
    tab.name = "a_b";
    assert_int_equal(kfk_stream(snk, &tab, &name, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_non_null(strstr(err.message, "public.a_b"));
    assert_non_null(strstr(err.message, "public.a b"));
    cdc_buf_done(&name);
    cdc_sink_kafka.close(snk);
    cdc_settings_free(all);
}

int main(void)
{
    struct CMUnitTest tests[64], *to = tests;
    to = CM_ROWS(to, test_murmur2, murmur_rows);
    to = CM_ROWS(to, test_name, name_rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_as_librdkafka);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_longest_name);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_two_tables_meet);
    return _cmocka_run_group_tests("kafka names", tests, (size_t)(to - tests), NULL, NULL);
}
