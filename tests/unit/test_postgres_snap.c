/*
 * test_postgres_snap.c - what copying does without a server: bounds as text and SQL, which
 * transactions a snapshot contains, rows of a binary COPY.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/snap.h"
#include "rows.h"

/* ---- bounds ---- */

#define COLUMN(expression, cast, schema)                                                           \
    {                                                                                              \
        .expr = expression, .type = cast, .lt = "OPERATOR(" schema ".<)",                          \
        .eq = "OPERATOR(" schema ".=)", .ge = "OPERATOR(" schema ".>=)",                           \
        .gt = "OPERATOR(" schema ".>)"                                                             \
    }

static struct pgs_key_column one[] = {COLUMN("id", "bigint", "pg_catalog")};
static struct pgs_key_column two[] = {COLUMN("id", "bigint", "pg_catalog"),
                                      COLUMN("\"A b\"", "text", "pg_catalog")};
static struct pgs_key_column mixed[] = {COLUMN("id", "bigint", "pg_catalog"),
                                        COLUMN("c", "ext.citext", "ext"),
                                        COLUMN("d", "date", "pg_catalog")};
static const struct pgs_key keys[] = {
    {.n = 1, .cols = one, .plain = true},
    {.n = 2, .cols = two, .plain = true},
    {.n = 3, .cols = mixed},
};

static const struct bound {
    const char *name, *text;
    const struct pgs_key *key;
    const char *from, *below;
} bounds[] = {
    {"one column", "[\"1024\"]", &keys[0], "id OPERATOR(pg_catalog.>=) '1024'::bigint",
     "id OPERATOR(pg_catalog.<) '1024'::bigint"},
    {"a row", "[\"7\",\"b\"]", &keys[1], "ROW(id, \"A b\") >= ROW('7'::bigint, 'b'::text)",
     "ROW(id, \"A b\") < ROW('7'::bigint, 'b'::text)"},
    {"quotes", "[\"7\",\"o'clock\"]", &keys[1],
     "ROW(id, \"A b\") >= ROW('7'::bigint, 'o''clock'::text)",
     "ROW(id, \"A b\") < ROW('7'::bigint, 'o''clock'::text)"},
    {"backslashes", "[\"7\",\"\\\\'; DROP\"]", &keys[1],
     "ROW(id, \"A b\") >= ROW('7'::bigint, E'\\\\''; DROP'::text)",
     "ROW(id, \"A b\") < ROW('7'::bigint, E'\\\\''; DROP'::text)"},
    {"operators of several schemas", "[\"7\",\"b\",\"2024-01-01\"]", &keys[2],
     "id OPERATOR(pg_catalog.>=) '7'::bigint AND (id OPERATOR(pg_catalog.>) '7'::bigint OR ("
     "id OPERATOR(pg_catalog.=) '7'::bigint AND (c OPERATOR(ext.>) 'b'::ext.citext OR ("
     "c OPERATOR(ext.=) 'b'::ext.citext AND (d OPERATOR(pg_catalog.>=) '2024-01-01'::date)))))",
     "NOT id OPERATOR(pg_catalog.>) '7'::bigint AND (id OPERATOR(pg_catalog.<) '7'::bigint OR ("
     "id OPERATOR(pg_catalog.=) '7'::bigint AND (c OPERATOR(ext.<) 'b'::ext.citext OR ("
     "c OPERATOR(ext.=) 'b'::ext.citext AND (d OPERATOR(pg_catalog.<) '2024-01-01'::date)))))"},
};

static void test_bound(void **state)
{
    const struct bound *row = *state;
    struct cdc_buf sql = CDC_BUF(4096);
    enum pgs_bound_kind kind;
    assert_int_equal(pgs_bound_kind(cdc_slice_str(row->text), &kind), CDC_OK);
    assert_int_equal(kind, PGS_BOUND_KEY);
    assert_int_equal(pgs_bound_sql(row->key, cdc_slice_str(row->text), false, &sql), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&sql), row->from);
    cdc_buf_reset(&sql);
    assert_int_equal(pgs_bound_sql(row->key, cdc_slice_str(row->text), true, &sql), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&sql), row->below);
    cdc_buf_done(&sql);
}

static const struct bad {
    const char *name, *text;
} bads[] = {
    {"nothing", ""},       {"no array", "{\"id\":7}"},         {"a number", "[7]"},
    {"too few", "[]"},     {"too many", "[\"7\",\"8\"]"},      {"null", "[null]"},
    {"cut off", "[\"7\""}, {"text behind", "[\"7\"] OR true"}, {"a NUL", "[\"7\\u0000\"]"},
};

static void test_bad_bound(void **state)
{
    const struct bad *bad = *state;
    struct cdc_buf sql = CDC_BUF(4096);
    assert_int_equal(pgs_bound_sql(&keys[0], cdc_slice_str(bad->text), false, &sql), CDC_FAIL);
    cdc_buf_done(&sql);
}

static void test_key_both_ways(void **state)
{
    (void)state;
    static const char *const texts[] = {"a\"b\\c\n", "", "\xc3\xa9"};
    static const char *const broken[] = {"\xff"};
    struct cdc_buf json = CDC_BUF(4096);
    assert_int_equal(pgs_bound_put_key(texts, 3, &json), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&json), "[\"a\\\"b\\\\c\\n\",\"\",\"\xc3\xa9\"]");
    assert_int_equal(pgs_bound_put_key(broken, 1, &json), CDC_FAIL);
    cdc_buf_done(&json);
}

static const struct block {
    const char *name, *text;
    int want;
    struct pgs_block at;
} blocks[] = {
    {"the first", "{\"leaf\":16384,\"block\":0}", CDC_OK, {16384, 0}},
    {"the last", "{\"leaf\":4294967295,\"block\":4294967295}", CDC_OK, {UINT32_MAX, UINT32_MAX}},
    {"too large", "{\"leaf\":1,\"block\":4294967296}", CDC_FAIL, {0, 0}},
    {"negative", "{\"leaf\":1,\"block\":-1}", CDC_FAIL, {0, 0}},
    {"a text", "{\"leaf\":1,\"block\":\"2\"}", CDC_FAIL, {0, 0}},
    {"no leaf", "{\"block\":2}", CDC_FAIL, {0, 0}},
    {"more than that", "{\"leaf\":1,\"block\":2,\"x\":3}", CDC_FAIL, {0, 0}},
    {"cut off", "{\"leaf\":1,\"block\":2", CDC_FAIL, {0, 0}},
};

static void test_block(void **state)
{
    const struct block *row = *state;
    struct pgs_block at = {0, 0};
    struct cdc_buf text = CDC_BUF(256);
    assert_int_equal(pgs_bound_block(cdc_slice_str(row->text), &at), row->want);
    if (row->want != CDC_OK)
        return;
    assert_int_equal(at.leaf, row->at.leaf);
    assert_int_equal(at.block, row->at.block);
    pgs_bound_put_block(at, &text);
    assert_string_equal(cdc_buf_cstr(&text), row->text);
    cdc_buf_done(&text);
}

static void test_kinds(void **state)
{
    (void)state;
    enum pgs_bound_kind kind;
    assert_int_equal(pgs_bound_kind(cdc_slice_of(NULL, 0), &kind), CDC_OK);
    assert_int_equal(kind, PGS_BOUND_OPEN);
    assert_int_equal(pgs_bound_kind(cdc_slice_str("{}"), &kind), CDC_OK);
    assert_int_equal(kind, PGS_BOUND_BLOCK);
    assert_int_equal(pgs_bound_kind(cdc_slice_str(""), &kind), CDC_FAIL);
    assert_int_equal(pgs_bound_kind(cdc_slice_str("7"), &kind), CDC_FAIL);
}

/* ---- transactions ---- */

static const struct xids {
    const char *name, *text;
    uint32_t in[4], out[4]; /* 0: no more */
} snapshots[] = {
    {"nobody runs", "700:700:", {3, 699}, {700, 701}},
    {"some run", "700:710:700,703,709", {699, 701, 702, 708}, {700, 703, 709, 710}},
    {"one runs", "700:701:700", {699}, {700, 701}},
    {"behind a wrap", "4294967300:4294967310:4294967305", {4294967295, 3, 4, 8}, {9, 14, 15}},
    {"before a wrap", "4294967290:4294967294:", {4294967289, 4294967293}, {4294967294, 3}},
    {"many wraps", "42949672960700:42949672960710:42949672960703", {699, 701}, {703, 710}},
};

static void test_xids(void **state)
{
    const struct xids *row = *state;
    struct pgs_xids xids = {.n = 0};
    assert_int_equal(pgs_xids_parse(row->text, &xids), CDC_OK);
    for (int i = 0; i < 4 && row->in[i]; i++)
        if (!pgs_xids_contain(&xids, row->in[i]))
            fail_msg("%u is not in %s", row->in[i], row->text);
    for (int i = 0; i < 4 && row->out[i]; i++)
        if (pgs_xids_contain(&xids, row->out[i]))
            fail_msg("%u is in %s", row->out[i], row->text);
    free(xids.list);
}

static const struct bad bad_xids[] = {
    {"nothing", ""},
    {"no list", "700:710"},
    {"no xmax", "700::"},
    {"a comma alone", "7:9:,"},
    {"a comma behind", "7:9:8,"},
    {"not ascending", "7:9:8,7"},
    {"a minus", "-7:9:"},
    {"xmin above xmax", "9:7:"},
    {"text behind", "7:9:8 "},
};

static void test_bad_xids(void **state)
{
    const struct bad *bad = *state;
    struct pgs_xids xids = {.n = 0};
    assert_int_equal(pgs_xids_parse(bad->text, &xids), CDC_FAIL);
    assert_null(xids.list);
}

/* ---- rows ---- */

static size_t unhex(const char *hex, uint8_t *to)
{
    size_t n = 0;
    for (unsigned byte; *hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        to[n++] = (uint8_t)byte;
    return n;
}

static const struct field {
    const char *name;
    uint32_t oid;
    int32_t typmod;
    const char *hex;
    int want;
    enum cdc_kind kind;
    int64_t i;
    const char *text; /* of bytes; DECIMAL: in hex */
} fields[] = {
    {"bool", 16, -1, "01", CDC_OK, CDC_BOOL, 1, NULL},
    {"bool, odd", 16, -1, "02", CDC_FAIL, 0, 0, NULL},
    {"bool, long", 16, -1, "0001", CDC_FAIL, 0, 0, NULL},
    {"int2", 21, -1, "fffe", CDC_OK, CDC_INT, -2, NULL},
    {"int4", 23, -1, "80000000", CDC_OK, CDC_INT, INT32_MIN, NULL},
    {"int8", 20, -1, "8000000000000000", CDC_OK, CDC_INT, INT64_MIN, NULL},
    {"int of three bytes", 23, -1, "000000", CDC_FAIL, 0, 0, NULL},
    {"oid", 26, -1, "ffffffff", CDC_OK, CDC_INT, UINT32_MAX, NULL},
    {"float4 of eight bytes", 700, -1, "0000000000000000", CDC_FAIL, 0, 0, NULL},
    {"text", 25, -1, "6162", CDC_OK, CDC_TEXT, 0, "ab"},
    {"text, empty", 25, -1, "", CDC_OK, CDC_TEXT, 0, ""},
    {"bytea", 17, -1, "5c", CDC_OK, CDC_BYTES, 0, "\\"},
    {"jsonb", 3802, -1, "017b7d", CDC_OK, CDC_JSON, 0, "{}"},
    {"jsonb of another version", 3802, -1, "027b7d", CDC_FAIL, 0, 0, NULL},
    {"jsonb without version", 3802, -1, "", CDC_FAIL, 0, 0, NULL},
    {"date", 1082, -1, "00000000", CDC_OK, CDC_DATE, 10957, NULL},
    {"the first date", 1082, -1, "fff4dbf9", CDC_OK, CDC_DATE, -719162, NULL},
    {"the date before", 1082, -1, "fff4dbf8", CDC_OK, CDC_INVALID, 0, "0001-12-31 BC"},
    {"the last date", 1082, -1, "002c95d3", CDC_OK, CDC_DATE, 2932896, NULL},
    {"the date behind", 1082, -1, "002c95d4", CDC_OK, CDC_INVALID, 0, "10000-01-01"},
    {"a date without end", 1082, -1, "7fffffff", CDC_OK, CDC_INVALID, 0, "infinity"},
    {"a date without beginning", 1082, -1, "80000000", CDC_OK, CDC_INVALID, 0, "-infinity"},
    {"midnight at the end", 1083, -1, "000000141dd76000", CDC_OK, CDC_TIME, 86400000000, NULL},
    {"behind midnight", 1083, -1, "000000141dd76001", CDC_FAIL, 0, 0, NULL},
    {"timestamp", 1114, -1, "ffffffffffffffff", CDC_OK, CDC_TIMESTAMP, 946684799999999, NULL},
    {"timestamptz", 1184, -1, "0000000000000000", CDC_OK, CDC_TIMESTAMPTZ, 946684800000000, NULL},
    {"timestamptz without end", 1184, -1, "7fffffffffffffff", CDC_OK, CDC_INVALID, 0, "infinity"},
    {"the largest timestamptz", 1184, -1, "7fffff5bb3b29fff", CDC_OK, CDC_INVALID, 0,
     "294276-12-31 23:59:59.999999+00"},
    {"no timestamp", 1184, -1, "8000000000000029", CDC_FAIL, 0, 0, NULL},
    {"numeric 0", 1700, (5 << 16 | 2) + 4, "0000000000000002", CDC_OK, CDC_DECIMAL, 0, "00"},
    {"numeric 12.50", 1700, (5 << 16 | 2) + 4, "0002000000000002000c1388", CDC_OK, CDC_DECIMAL, 0,
     "04e2"},
    {"numeric -0.01", 1700, (5 << 16 | 2) + 4, "0001ffff400000020064", CDC_OK, CDC_DECIMAL, 0,
     "ff"},
    {"numeric 100.00", 1700, (5 << 16 | 2) + 4, "00010000000000020064", CDC_OK, CDC_DECIMAL, 0,
     "2710"},
    {"numeric 1000.00, too large", 1700, (5 << 16 | 2) + 4, "000100000000000203e8", CDC_FAIL, 0, 0,
     NULL},
    {"numeric NaN", 1700, (5 << 16 | 2) + 4, "00000000c0000000", CDC_OK, CDC_INVALID, 0, "NaN"},
    {"numeric Infinity", 1700, (5 << 16 | 2) + 4, "00000000d0000000", CDC_OK, CDC_INVALID, 0,
     "Infinity"},
    {"numeric of another scale", 1700, (5 << 16 | 2) + 4, "00010000000000030001", CDC_FAIL, 0, 0,
     NULL},
    {"numeric with an odd sign", 1700, (5 << 16 | 2) + 4, "00010000123400020001", CDC_FAIL, 0, 0,
     NULL},
    {"numeric digit above 9999", 1700, (5 << 16 | 2) + 4, "00010000000000022710", CDC_FAIL, 0, 0,
     NULL},
    {"numeric behind its scale", 1700, (5 << 16 | 2) + 4, "0001ffff000000020001", CDC_FAIL, 0, 0,
     NULL},
    {"numeric far too large", 1700, (5 << 16 | 2) + 4, "00017fff000000020001", CDC_FAIL, 0, 0,
     NULL},
    {"numeric far too small", 1700, (5 << 16 | 2) + 4, "00018000000000020001", CDC_FAIL, 0, 0,
     NULL},
    {"numeric of more digits than said", 1700, (5 << 16 | 2) + 4, "00020000000000020001", CDC_FAIL,
     0, 0, NULL},
    {"numeric of 38 nines", 1700, (38 << 16 | 3) + 4,
     "000a00080000000303e7270f270f270f270f270f270f270f270f2706", CDC_OK, CDC_DECIMAL, 0,
     "4b3b4ca85a86c47a098a223fffffffff"},
    {"uuid of 15 bytes", 2950, -1, "00112233445566778899aabbccddee", CDC_FAIL, 0, 0, NULL},
    {"uuid", 2950, -1, "00112233445566778899aabbccddeeff", CDC_OK, CDC_UUID, 0,
     "00112233-4455-6677-8899-aabbccddeeff"},
};

static struct cdc_column column_of(uint32_t oid, int32_t typmod)
{
    struct cdc_column col = {.name = "c", .type = "t", .type_id = oid, .type_mod = typmod};
    pgs_type_apply(pgs_type_by_oid(oid), typmod, &col);
    return col;
}

static void test_field(void **state)
{
    const struct field *row = *state;
    uint8_t bytes[64];
    struct cdc_column col = column_of(row->oid, row->typmod);
    struct pgs_memory mem = {.arena = cdc_arena_new(1 << 20), .left = 4096};
    struct cdc_value val = {.kind = CDC_ABSENT};
    pgs_binary read = pgs_binary_of(&col);
    assert_non_null(read);
    int rc = read(&col, cdc_slice_of(bytes, unhex(row->hex, bytes)), &mem, &val);
    assert_int_equal(rc, row->want);
    if (rc == CDC_OK) {
        assert_int_equal(val.kind, row->kind);
        uint8_t want[64];
        size_t n = row->text && row->kind == CDC_DECIMAL ? unhex(row->text, want)
                   : row->text                           ? strlen(row->text)
                                                         : 0;
        if (row->text) {
            assert_int_equal(val.len, n);
            assert_memory_equal(val.p, row->kind == CDC_DECIMAL ? (const void *)want : row->text,
                                n);
        } else {
            assert_int_equal(val.i, row->i);
        }
    }
    cdc_arena_free(mem.arena);
}

static void test_not_native(void **state)
{
    (void)state;
    struct cdc_column col = column_of(1186, -1); /* interval */
    assert_null(pgs_binary_of(&col));
    col = column_of(1700, -1); /* numeric without a scale is text */
    assert_null(pgs_binary_of(&col));
    col = column_of(1184, -1);
    col.kind = CDC_TEXT; /* on_invalid: string */
    assert_null(pgs_binary_of(&col));
    assert_null(pgs_binary_of(&(struct cdc_column){.type_id = 20000, .kind = CDC_TEXT}));
}

/* A row, every proper prefix of it, and every length in it changed. */
static void test_row(void **state)
{
    (void)state;
    static const char row[] = "0004"
                              "00000004"
                              "00000007"
                              "ffffffff"
                              "00000003"
                              "6f6e65"
                              "00000005"
                              "7b312c327d";
    struct cdc_column cols[] = {column_of(23, -1),
                                column_of(1082, -1),
                                column_of(25, -1),
                                {.name = "a",
                                 .type = "int[]",
                                 .type_id = 1007,
                                 .kind = CDC_ARRAY,
                                 .item = CDC_INT,
                                 .bits = 32}};
    struct cdc_table tab = {.n = 4, .cols = cols};
    pgs_binary binary[4];
    pgs_parse parse[4];
    for (int i = 0; i < 4; i++) {
        binary[i] = pgs_binary_of(&cols[i]);
        parse[i] = pgs_parser(&cols[i]);
    }
    struct pgs_copy copy = {.tab = &tab, .binary = binary, .parse = parse};
    uint8_t good[64];
    size_t len = unhex(row, good);
    for (size_t n = 0; n <= len + 1; n++) {
        uint8_t *bytes = malloc(n + 1); /* exactly: the sanitizer sees a step too far */
        uint16_t col;
        struct cdc_value vals[4];
        struct pgs_memory mem = {.arena = cdc_arena_new(1 << 20), .left = 4096};
        memcpy(bytes, good, n < len ? n : len);
        bytes[n] = 0;
        int rc = pgs_copy_row(&copy, bytes, n, &mem, vals, &col);
        assert_int_equal(rc, n == len ? CDC_OK : CDC_FAIL);
        if (n == len) {
            assert_int_equal(vals[0].i, 7);
            assert_int_equal(vals[1].kind, CDC_NULL);
            assert_memory_equal(vals[2].p, "one", 3);
            assert_int_equal(vals[3].len, 2);
            assert_int_equal(vals[3].items[1].i, 2);
            mem.left = 8;
            memcpy(bytes, good, len);
            assert_int_equal(pgs_copy_row(&copy, bytes, n, &mem, vals, &col), CDC_FULL);
            assert_int_equal(col, 3);
        }
        cdc_arena_free(mem.arena);
        free(bytes);
    }
    uint16_t col;
    struct cdc_value vals[4];
    uint8_t end[2] = {0xff, 0xff};
    assert_int_equal(pgs_copy_row(&copy, end, 2, NULL, vals, &col), CDC_END);
}

static void test_header(void **state)
{
    (void)state;
    uint8_t bytes[32];
    size_t len = unhex("5047434f50590aff0d0a00"
                       "00000000"
                       "00000002"
                       "abcd",
                       bytes);
    assert_int_equal(pgs_copy_header(cdc_slice_of(bytes, len)), len);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(pgs_copy_header(cdc_slice_of(bytes, n)), 0);
    bytes[14] = 1; /* a flag that we do not know */
    assert_int_equal(pgs_copy_header(cdc_slice_of(bytes, len)), 0);
}

int main(void)
{
    static struct CMUnitTest tests[CM_COUNT(bounds) + CM_COUNT(bads) + CM_COUNT(blocks) +
                                   CM_COUNT(snapshots) + CM_COUNT(bad_xids) + CM_COUNT(fields) + 5];
    struct CMUnitTest *to = tests;
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_key_both_ways);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_kinds);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_not_native);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_row);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_header);
    to = CM_ROWS(to, test_bound, bounds);
    to = CM_ROWS(to, test_bad_bound, bads);
    to = CM_ROWS(to, test_block, blocks);
    to = CM_ROWS(to, test_xids, snapshots);
    to = CM_ROWS(to, test_bad_xids, bad_xids);
    CM_ROWS(to, test_field, fields);
    return cmocka_run_group_tests_name("postgres: snap", tests, NULL, NULL);
}
