/*
 * test_kafka_control.c - records of the control topic: made, parsed, malformed.
 */
#include "kafka_kit.h"

#define HEAD "{\"instance\":\"0123456789abcdef\",\"txn\":"

static const struct record_row {
    const char *name, *key, *value; /* value NULL: a tombstone */
    bool ok;
    uint64_t txn;
    const char *v;
} record_rows[] = {
    {"record: text", "position", HEAD "7,\"v\":\"tx:1/2\"}", true, 7, "\"tx:1/2\""},
    {"record: number", "clock", HEAD "123456789012345678,\"v\":-1.5}", true, 123456789012345678,
     "-1.5"},
    {"record: object", "k", HEAD "1,\"v\":{\"a\": [1, null]}}", true, 1, "{\"a\": [1, null]}"},
    {"record: null", "k", HEAD "1,\"v\":null}", true, 1, "null"},
    {"record: tombstone", "k", NULL, true, 0, NULL},
    {"record: no key", "", HEAD "1,\"v\":1}", false, 0, NULL},
    {"record: empty", "k", "", false, 0, NULL},
    {"record: instance too short", "k", "{\"instance\":\"0123\",\"txn\":1,\"v\":1}", false, 0,
     NULL},
    {"record: instance no hex", "k", "{\"instance\":\"0123456789ABCDEF\",\"txn\":1,\"v\":1}", false,
     0, NULL},
    {"record: txn 0", "k", HEAD "0,\"v\":1}", false, 0, NULL},
    {"record: txn none", "k", HEAD ",\"v\":1}", false, 0, NULL},
    {"record: txn negative", "k", HEAD "-1,\"v\":1}", false, 0, NULL},
    {"record: txn too long", "k", HEAD "1234567890123456789,\"v\":1}", false, 0, NULL},
    {"record: no value", "k", HEAD "1,\"v\":}", false, 0, NULL},
    {"record: two values", "k", HEAD "1,\"v\":1,\"w\":2}", false, 0, NULL},
    {"record: something behind", "k", HEAD "1,\"v\":1}}", false, 0, NULL},
    {"record: not JSON", "k", HEAD "1,\"v\":x}", false, 0, NULL},
    {"record: a bare value", "k", "1", false, 0, NULL},
    {"record: other members", "k", "{\"txn\":1,\"v\":1}", false, 0, NULL},
    {"record: not UTF-8", "k", HEAD "1,\"v\":\"\xff\"}", false, 0, NULL},
};

static void test_record(void **state)
{
    const struct record_row *row = *state;
    struct kfk_record rec = {.txn = 99};
    struct cdc_error err = {0};
    struct cdc_buf again = CDC_BUF(1024);
    int rc = kfk_record_parse(cdc_slice_str(row->key), cdc_slice_str(row->value), &rec, &err);
    assert_int_equal(rc, row->ok ? CDC_OK : CDC_FAIL);
    if (!row->ok) {
        assert_int_equal(err.action, CDC_FATAL);
        assert_int_equal(rec.txn, 99);
        return;
    }
    assert_int_equal(rec.txn, row->txn);
    assert_true(cdc_slice_eq(rec.v, cdc_slice_str(row->v)) && !rec.v.p == !row->v);
    if (row->value) {
        kfk_record_make(rec.instance, rec.txn, rec.v, &again);
        assert_string_equal(cdc_buf_cstr(&again), row->value);
    }
    cdc_buf_done(&again);
}

/* No proper prefix of a good record is one; memory ends where the prefix does. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT(record_rows); i++) {
        const struct record_row *row = &record_rows[i];
        for (size_t n = 0; row->ok && row->value && n < strlen(row->value); n++) {
            struct kfk_record rec;
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, row->value, n);
            uint8_t *exact = realloc(copy, n ? n : 1);
            assert_int_equal(
                kfk_record_parse(cdc_slice_str("k"), cdc_slice_of(exact, n), &rec, NULL), CDC_FAIL);
            free(exact);
        }
    }
}

static const struct own_row {
    const char *name, *key;
    bool own;
} own_rows[] = {
    {"own: owner", "owner", true},           {"own: end", "kafka/end", true},
    {"own: topic", "kafka/topic/a.b", true}, {"own: position", "position", false},
    {"own: owners", "owners", false},        {"own: kafka", "kafka", false},
    {"own: table", "table/kafka/x", false},
};

static void test_own(void **state)
{
    const struct own_row *row = *state;
    assert_int_equal(kfk_key_own(cdc_slice_str(row->key)), row->own);
}

#define SEQ "00000001-000000000000000000000001-000000000001"

enum kind { END, OWNER, TOPIC };
static const struct value_row {
    const char *name;
    enum kind kind;
    const char *v;
    bool ok;
} value_rows[] = {
    {"end: good", END, "{\"seq\":\"" SEQ "\",\"at\":1700000000000000,\"rows\":12}", true},
    {"end: no seq yet", END, "{\"seq\":\"\",\"at\":1,\"rows\":0}", true},
    {"end: odd seq", END, "{\"seq\":\"abc\",\"at\":1,\"rows\":0}", false},
    {"end: upper case", END,
     "{\"seq\":\"00000001-00000000000000000000000A-000000000001\",\"at\":1,"
     "\"rows\":0}",
     false},
    {"end: negative rows", END, "{\"seq\":\"\",\"at\":1,\"rows\":-1}", false},
    {"end: more", END, "{\"seq\":\"\",\"at\":1,\"rows\":1,\"x\":1}", false},
    {"end: less", END, "{\"seq\":\"\",\"at\":1}", false},
    {"end: text for a number", END, "{\"seq\":\"\",\"at\":\"1\",\"rows\":1}", false},
    {"end: no object", END, "[]", false},
    {"owner: good", OWNER,
     "{\"instance\":\"0123456789abcdef\",\"host\":\"a \\\"b\\\"\",\"pid\":7,\"at\":9}", true},
    {"owner: short instance", OWNER, "{\"instance\":\"0\",\"host\":\"h\",\"pid\":7,\"at\":9}",
     false},
    {"owner: no host", OWNER, "{\"instance\":\"0123456789abcdef\",\"pid\":7,\"at\":9}", false},
    {"topic: good", TOPIC, "{\"tables\":[\"a.b\",\"a.\\\"c\"],\"partitions\":3,\"ends\":[0,5,7]}",
     true},
    {"topic: no table", TOPIC, "{\"tables\":[],\"partitions\":1,\"ends\":[0]}", true},
    {"topic: too few ends", TOPIC, "{\"tables\":[],\"partitions\":3,\"ends\":[0,5]}", false},
    {"topic: no partition", TOPIC, "{\"tables\":[],\"partitions\":0,\"ends\":[]}", false},
    {"topic: too many", TOPIC, "{\"tables\":[],\"partitions\":100001,\"ends\":[]}", false},
    {"topic: negative end", TOPIC, "{\"tables\":[],\"partitions\":1,\"ends\":[-1]}", false},
    {"topic: no number", TOPIC, "{\"tables\":[],\"partitions\":1,\"ends\":[\"1\"]}", false},
    {"topic: table no text", TOPIC, "{\"tables\":[1],\"partitions\":1,\"ends\":[1]}", false},
    {"topic: tables no list", TOPIC, "{\"tables\":\"a\",\"partitions\":1,\"ends\":[1]}", false},
};

static int parse_and_make(enum kind kind, struct cdc_slice v, struct cdc_buf *again,
                          struct cdc_error *err)
{
    struct kfk_end end;
    struct kfk_owner owner;
    struct kfk_topic_state topic;
    int rc = CDC_FAIL;
    if (kind == END && (rc = kfk_end_parse(v, &end, err)) == CDC_OK)
        kfk_end_make(&end, again);
    if (kind == OWNER && (rc = kfk_owner_parse(v, &owner, err)) == CDC_OK)
        kfk_owner_make(&owner, again);
    if (kind == TOPIC && (rc = kfk_topic_state_parse(v, &topic, err)) == CDC_OK) {
        assert_int_equal(kfk_topic_state_make(&topic, again), CDC_OK);
        kfk_topic_state_done(&topic);
    }
    return rc;
}

static void test_value(void **state)
{
    const struct value_row *row = *state;
    struct cdc_buf again = CDC_BUF(4096);
    struct cdc_error err = {0};
    int rc = parse_and_make(row->kind, cdc_slice_str(row->v), &again, &err);
    assert_int_equal(rc, row->ok ? CDC_OK : CDC_FAIL);
    if (row->ok)
        assert_string_equal(cdc_buf_cstr(&again), row->v);
    else
        assert_int_equal(err.action, CDC_FATAL);
    for (size_t n = 0; row->ok && n < strlen(row->v); n++)
        assert_int_equal(parse_and_make(row->kind, cdc_slice_of(row->v, n), &again, &err),
                         CDC_FAIL);
    assert_int_equal(parse_and_make(row->kind, cdc_slice_of(NULL, 0), &again, &err), CDC_FAIL);
    cdc_buf_done(&again);
}

int main(void)
{
    struct CMUnitTest tests[80], *to = tests;
    to = CM_ROWS(to, test_record, record_rows);
    to = CM_ROWS(to, test_own, own_rows);
    to = CM_ROWS(to, test_value, value_rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_prefixes);
    return _cmocka_run_group_tests("kafka control", tests, (size_t)(to - tests), NULL, NULL);
}
