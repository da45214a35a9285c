/*
 * test_kafka_feed_rows.c - records' bytes as rows: framing, schemas of the checkpoint, damage.
 */
#include "../../connectors/kafka/feed.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

#define ROW                                                                                        \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Row\\\",\\\"fields\\\":["                       \
    "{\\\"name\\\":\\\"id\\\",\\\"type\\\":[\\\"null\\\",\\\"long\\\"],\\\"key\\\":1},"            \
    "{\\\"name\\\":\\\"__op\\\",\\\"type\\\":\\\"string\\\"},"                                     \
    "{\\\"name\\\":\\\"__seq\\\",\\\"type\\\":\\\"string\\\"}],"                                   \
    "\\\"cdc.schema\\\":\\\"public\\\",\\\"cdc.table\\\":\\\"t\\\",\\\"cdc.version\\\":1}"
#define KEY                                                                                        \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Key\\\",\\\"fields\\\":["                       \
    "{\\\"name\\\":\\\"id\\\",\\\"type\\\":[\\\"null\\\",\\\"long\\\"],\\\"key\\\":1}],"           \
    "\\\"cdc.schema\\\":\\\"public\\\",\\\"cdc.table\\\":\\\"t\\\"}"
#define STATE(text) "{\"subject\":\"s\",\"version\":1,\"schema\":\"" text "\"}"
#define SEQ         "00000001-000000000000000000000007-000000000001"

struct kit {
    struct cdc_map map, newer;
    struct kfk_schemas schemas;
    struct kfk_slot slot;
    struct cdc_error err;
};

static void put(struct cdc_map *map, const char *key, const char *value)
{
    assert_int_equal(cdc_map_put(map, cdc_slice_str(key), cdc_slice_str(value)), CDC_OK);
}

static void kit_init(struct kit *kit)
{
    *kit = (struct kit){0};
    cdc_map_init(&kit->map);
    cdc_map_init(&kit->newer);
    put(&kit->map, "schema/1", STATE(ROW));
    put(&kit->map, "schema/2", STATE(KEY));
    put(&kit->map, "schema/3", STATE("{\\\"type\\\":\\\"long\\\"}"));
    put(&kit->map, "schema/4", "{\"subject\":\"s\"}");
    put(&kit->map, "schema/5", "no json");
    put(&kit->newer, "schema/258", STATE(ROW));
    kit->schemas = (struct kfk_schemas){.map = &kit->map, .newer = &kit->newer};
}

static void kit_done(struct kit *kit)
{
    kfk_slot_done(&kit->slot);
    kfk_schemas_done(&kit->schemas);
    cdc_map_done(&kit->map);
    cdc_map_done(&kit->newer);
}

static int decode(struct kit *kit, struct cdc_slice value, struct kfk_item *ret)
{
    /* a copy of its own size: what is read beyond it is found by the sanitizer */
    uint8_t *copy = malloc(value.len + (value.len == 0));
    if (value.len)
        memcpy(copy, value.p, value.len);
    struct kfk_message msg = {.topic = "shop.public.t",
                              .partition = 3,
                              .offset = 17,
                              .value = cdc_slice_of(value.p ? copy : NULL, value.len)};
    int rc = kfk_row_decode(&kit->schemas, &kit->slot, &msg, ret, &kit->err);
    if (rc == CDC_OK && !ret->tombstone) { /* only to be looked at while the copy lives */
        assert_memory_equal(ret->seq, SEQ, CDC_SEQ_LEN);
        ret->seq = (const uint8_t *)SEQ;
    }
    free(copy);
    return rc;
}

/* 0x02 0x0e: branch 1, id 7; then a string of one byte; then one of 46. */
#define BODY "\x02\x0e\x02u\x5c" SEQ

static const struct row {
    const char *name, *bytes;
    size_t len;
    const char *refused; /* NULL: good */
} rows[] = {
    {"good", "\0\0\0\0\1" BODY, sizeof "\0\0\0\0\1" BODY - 1, NULL},
    {"id of four bytes, schema not yet given", "\0\0\0\1\2" BODY, sizeof "\0\0\0\1\2" BODY - 1,
     NULL},
    {"empty", "", 0, "does not begin with"},
    {"short frame", "\0\0\0\0", 4, "does not begin with"},
    {"another magic byte", "\1\0\0\0\1" BODY, sizeof "\1\0\0\0\1" BODY - 1, "does not begin with"},
    {"unknown schema", "\0\0\0\0\11" BODY, sizeof "\0\0\0\0\11" BODY - 1, "no such schema"},
    {"a key's schema", "\0\0\0\0\2\x02\x0e", 7, "no proper __seq"},
    {"not of this envelope", "\0\0\0\0\3\x0e", 6, "not a schema of the `row` envelope"},
    {"a schema without text", "\0\0\0\0\4\x0e", 6, "no schema text"},
    {"a schema's state is no JSON", "\0\0\0\0\5\x0e", 6, "no schema text"},
    {"bytes left", "\0\0\0\0\1" BODY "x", sizeof "\0\0\0\0\1" BODY, "bytes are left"},
    {"no branch", "\0\0\0\0\1\x04\x0e\x02u\x5c" SEQ, sizeof "\0\0\0\0\1" BODY - 1,
     "cannot be read"},
    {"a short __seq", "\0\0\0\0\1\x02\x0e\x02u\x02x", 11, "no proper __seq"},
    {"a long __op", "\0\0\0\0\1\x02\x0e\x04uu\x5c" SEQ, sizeof "\0\0\0\0\1" BODY, "no proper __op"},
};

static void test_decode(void **state)
{
    const struct row *row = *state;
    struct kit kit;
    struct kfk_item item;
    kit_init(&kit);
    int rc = decode(&kit, cdc_slice_of(row->bytes, row->len), &item);
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(kit.err.action, CDC_FATAL);
        assert_string_equal(kit.err.where, "shop.public.t[3] at offset 17");
        if (!strstr(kit.err.message, row->refused))
            fail_msg("%s", kit.err.message);
    } else {
        assert_int_equal(rc, CDC_OK);
        assert_false(item.tombstone);
        assert_int_equal(item.op, 'u');
        assert_int_equal(item.offset, 17);
        assert_string_equal(item.table, "public.t");
        assert_int_equal(item.row.values[0].i, 7);
        assert_int_equal(item.row.deletes, CDC_DELETES_SOFT);
    }
    kit_done(&kit);
}

static void test_prefixes(void **state)
{
    (void)state;
    for (size_t n = 0; n < rows[0].len; n++) {
        struct kit kit;
        struct kfk_item item;
        kit_init(&kit);
        assert_int_equal(decode(&kit, cdc_slice_of(rows[0].bytes, n), &item), CDC_FAIL);
        kit_done(&kit);
    }
}

static void test_tombstone(void **state)
{
    (void)state;
    struct kit kit;
    struct kfk_item item;
    kit_init(&kit);
    assert_int_equal(decode(&kit, cdc_slice_of(NULL, 0), &item), CDC_OK);
    assert_true(item.tombstone);
    assert_int_equal(item.offset, 17);
    kit_done(&kit);
}

/* Schemas stay where they are, whatever the order in which they come. */
static void test_many_schemas(void **state)
{
    (void)state;
    struct kit kit;
    const struct kfk_schema *first = NULL, *found = NULL;
    kit_init(&kit);
    assert_int_equal(kfk_schemas_get(&kit.schemas, 258, &first, &kit.err), CDC_OK);
    for (uint32_t i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "schema/%u", 1000 - i * 3);
        put(&kit.map, key, i % 2 ? STATE(ROW) : STATE(KEY));
        assert_int_equal(kfk_schemas_get(&kit.schemas, 1000 - i * 3, &found, &kit.err), CDC_OK);
        assert_int_equal(found->id, 1000 - i * 3);
        assert_int_equal(found->key, i % 2 == 0);
    }
    assert_int_equal(kfk_schemas_get(&kit.schemas, 258, &found, &kit.err), CDC_OK);
    assert_ptr_equal(found, first);
    kit_done(&kit);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 3];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_tombstone),
        cmocka_unit_test(test_many_schemas),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_decode, rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("kafka feed rows", tests, NULL, NULL);
}
