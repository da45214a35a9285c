/*
 * test_lake_commit.c - the commit record: what is made reads back the same; what is not one is
 * refused.
 */
#include <stdlib.h>

#include "../../connectors/lake/lake.h"
#include "rows.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SEQ   "00000001-000000000000000000000007-000000000001"
#define HEAD                                                                                       \
    "{\"v\":1,\"seq\":7,\"prev\":\"" HEX64 "\",\"name\":\"shop\",\"epoch\":3,"                     \
    "\"nonce\":\"00112233445566778899aabbccddeeff\","
#define IDLE                                                                                       \
    HEAD "\"kind\":\"idle\",\"at\":\"2026-11-20T10:00:00.000000Z\",\"from\":null,\"to\":\"x\","
#define DATA                                                                                       \
    HEAD "\"kind\":\"data\",\"at\":\"2026-11-20T10:00:00.000000Z\",\"from\":null,\"to\":null,"     \
         "\"delta\":{},\"files\":"
#define FILE_(path, ops, seq)                                                                      \
    "[{\"table\":\"public.users\",\"path\":\"" path "\",\"format\":\"avro\",\"codec\":\"null\","   \
    "\"schema\":\"" HEX64 "\",\"schema_id\":1,\"bytes\":9,\"records\":3,\"sha256\":\"" HEX64       \
    "\",\"ops\":" ops ",\"seq_min\":\"" seq "\",\"seq_max\":\"" SEQ "\"}]}"
#define PATH "log/public.users/dt=2026-11-20/x.avro"
#define OPS  "{\"c\":1,\"u\":2,\"d\":0,\"r\":0,\"t\":0}"

static const struct parse_row {
    const char *name, *text;
    const char *bad; /* part of the error; NULL: fine */
} parse_rows[] = {
    {"idle", IDLE "\"delta\":{\"position\":\"x\"},\"files\":[]}", NULL},
    {"data", DATA FILE_(PATH, OPS, SEQ), NULL},
    {"an unknown member is of a later time", IDLE "\"delta\":{},\"files\":[],\"more\":1}", NULL},
    {"a message count", DATA FILE_(PATH, "{\"c\":1,\"u\":1,\"d\":0,\"r\":0,\"t\":0,\"m\":1}", SEQ),
     NULL},
    {"empty", "", "no JSON"},
    {"no object", "[]", "the object"},
    {"a number", "7", "no JSON"},
    {"no delta", IDLE "\"files\":[]}", "delta"},
    {"delta is a list", IDLE "\"delta\":[],\"files\":[]}", "delta"},
    {"no files", IDLE "\"delta\":{}}", "files"},
    {"doubled member", IDLE "\"delta\":{},\"delta\":{},\"files\":[]}", "no JSON"},
    {"idle with files", IDLE "\"delta\":{},\"files\":" FILE_(PATH, OPS, SEQ), "kind"},
    {"data without files", DATA "[]}", "kind"},
    {"version 2", "{\"v\":2}", "v is"},
    {"negative number", "{\"v\":1,\"seq\":-1}", "seq"},
    {"short hash", "{\"v\":1,\"seq\":1,\"prev\":\"00\"}", "prev"},
    {"path that climbs", DATA FILE_("log/../../etc/passwd", OPS, SEQ), "path"},
    {"path of ours", DATA FILE_("_cdc/format.json", OPS, SEQ), "path"},
    {"operations that do not add up",
     DATA FILE_(PATH, "{\"c\":1,\"u\":1,\"d\":0,\"r\":0,\"t\":0}", SEQ), "ops"},
    {"operation missing", DATA FILE_(PATH, "{\"c\":3}", SEQ), "ops"},
    {"short __seq", DATA FILE_(PATH, OPS, "0001"), "seq_min"},
    {"file is no object", DATA "[7]}", "table"},
};

static void test_parse(void **state)
{
    const struct parse_row *row = *state;
    struct lake_commit rec = {0};
    struct cdc_error err = {0};
    int rc = lake_commit_parse(cdc_slice_str(row->text), &rec, &err);
    if (row->bad) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_FATAL);
        if (!strstr(err.message, row->bad))
            fail_msg("%s", err.message);
        return;
    }
    if (rc < 0)
        fail_msg("%s", err.message);
    lake_commit_done(&rec);
    for (size_t n = 0; n < strlen(row->text); n++) {
        char *part = malloc(n ? n : 1); /* exactly n bytes: ASan sees a read beyond */
        memcpy(part, row->text, n);
        assert_int_equal(lake_commit_parse(cdc_slice_of(part, n), &rec, &err), CDC_FAIL);
        free(part);
    }
}

static const struct lake_file file = {
    .table = "public.users",
    .path = PATH,
    .format = "avro",
    .codec = "deflate",
    .schema = HEX64,
    .sha256 = HEX64,
    .schema_id = 17,
    .bytes = 123456789012,
    .records = 6,
    .ops = {1, 2, 1, 1, 1, 0},
    .seq_min = SEQ,
    .seq_max = SEQ,
};

static void test_made_reads_back(void **state)
{
    (void)state;
    struct lake_commit in = {.seq = 42,
                             .prev = LAKE_ZEROS,
                             .nonce = "00112233445566778899aabbccddeeff",
                             .epoch = 4294967295u,
                             .kind = LAKE_DATA,
                             .at_us = 1795168800000001,
                             .name = "shop",
                             .from = "tx:0/1,\"odd\"\n\xc3\xa9",
                             .to = NULL,
                             .files = (struct lake_file *)(uintptr_t)&file,
                             .n_files = 1};
    struct lake_commit out;
    struct cdc_buf buf = CDC_BUF(1 << 20);
    struct cdc_error err;
    const char *schema = "{\"subject\":\"s\",\"schema\":\"{\\\"type\\\": \\\"int\\\"}\"}";
    cdc_map_init(&in.delta);
    assert_int_equal(cdc_map_put(&in.delta, cdc_slice_str("schema/1"), cdc_slice_str(schema)), 0);
    assert_int_equal(cdc_map_put(&in.delta, cdc_slice_str("gone"), cdc_slice_of(NULL, 0)), 0);
    assert_int_equal(lake_commit_make(&in, &buf, &err), CDC_OK);
    assert_int_equal(lake_commit_parse(cdc_buf_slice(&buf), &out, &err), CDC_OK);
    assert_int_equal(out.seq, 42);
    assert_int_equal(out.epoch, 4294967295u);
    assert_int_equal(out.at_us, in.at_us);
    assert_string_equal(out.from, in.from);
    assert_null(out.to);
    assert_string_equal((const char *)cdc_map_get(&out.delta, "schema/1").p, schema);
    assert_int_equal(out.delta.n, 2);
    assert_null(cdc_map_get(&out.delta, "gone").p);
    assert_int_equal(out.n_files, 1);
    assert_string_equal(out.files[0].path, file.path);
    assert_int_equal(out.files[0].bytes, file.bytes);
    assert_memory_equal(out.files[0].ops, file.ops, sizeof file.ops);
    lake_commit_done(&out);

    /* The layout, byte by byte: other programs read this. */
    static const char begins[] =
        "{\"v\":1,\"seq\":42,\"prev\":\"" LAKE_ZEROS
        "\",\"name\":\"shop\",\"epoch\":4294967295,\"nonce\":\"00112233445"
        "566778899aabbccddeeff\",\"kind\":\"data\",\"at\":\"2026-11-20T10:0"
        "0:00.000001Z\",\"from\":";
    assert_memory_equal(buf.p, begins, sizeof begins - 1);
    cdc_buf_done(&buf);
    cdc_map_done(&in.delta);
}

static const struct delta_row {
    const char *name, *value;
} delta_rows[] = {
    {"delta: not JSON", "{\"a\":"},
    {"delta: the JSON null would read as a delete", "null"},
    {"delta: empty", ""},
};

static void test_bad_delta(void **state)
{
    const struct delta_row *row = *state;
    struct lake_commit rec = {.prev = LAKE_ZEROS, .name = "shop", .kind = LAKE_IDLE};
    struct cdc_buf buf = CDC_BUF(1 << 20);
    struct cdc_error err;
    cdc_map_init(&rec.delta);
    assert_int_equal(cdc_map_put(&rec.delta, cdc_slice_str("k"), cdc_slice_str(row->value)), 0);
    assert_int_equal(lake_commit_make(&rec, &buf, &err), CDC_FAIL);
    cdc_map_done(&rec.delta);
    cdc_buf_done(&buf);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(parse_rows) + CM_COUNT(delta_rows) + 1];
    struct CMUnitTest *to = tests;
    to = CM_ROWS(to, test_parse, parse_rows);
    to = CM_ROWS(to, test_bad_delta, delta_rows);
    *to = (struct CMUnitTest)cmocka_unit_test(test_made_reads_back);
    return cmocka_run_group_tests_name("lake commit record", tests, NULL, NULL);
}
