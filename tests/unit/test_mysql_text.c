/*
 * test_mysql_text.c - fields of text-protocol rows as values: each type's boundaries, what no such
 * field can be, and fields that are cut short. That they equal what the log gives is for tests with
 * servers to say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/text.h"
#include "cdc/json.h"
#include "rows.h"

#define TEXT(s) s, sizeof(s) - 1
#define UTF8    45
#define LATIN1  8
#define GBK     28
#define BINARY  63

/* A column and a field of it; `value`: kind and JSON, or the source's text. NULL: refused. */
static const struct row {
    const char *name;
    uint8_t type;
    uint16_t meta;
    uint32_t collation;
    unsigned how; /* below */
    const char *text;
    size_t len;
    const char *value;
} rows[] = {
    {"tinyint", MYS_TINY, 0, 0, 0, TEXT("-128"), "int -128"},
    {"zerofill", MYS_LONG, 0, 0, 1, TEXT("0000004294"), "int 4294"},
    {"bigint, least", MYS_LONGLONG, 0, 0, 0, TEXT("-9223372036854775808"),
     "int -9223372036854775808"},
    {"bigint, most", MYS_LONGLONG, 0, 0, 0, TEXT("9223372036854775807"), "int 9223372036854775807"},
    {"bigint, above", MYS_LONGLONG, 0, 0, 0, TEXT("9223372036854775808"), NULL},
    {"bigint, below", MYS_LONGLONG, 0, 0, 0, TEXT("-9223372036854775809"), NULL},
    {"bigint unsigned", MYS_LONGLONG, 0, 0, 1, TEXT("18446744073709551615"),
     "decimal \"18446744073709551615\""},
    {"bigint unsigned, above", MYS_LONGLONG, 0, 0, 1, TEXT("18446744073709551616"), NULL},
    {"bigint unsigned, below zero", MYS_LONGLONG, 0, 0, 1, TEXT("-1"), NULL},
    {"no number", MYS_LONG, 0, 0, 0, TEXT("12a"), NULL},
    {"nothing", MYS_LONG, 0, 0, 0, TEXT(""), NULL},
    {"a sign", MYS_LONG, 0, 0, 0, TEXT("-"), NULL},
    {"year", MYS_YEAR, 0, 0, 0, TEXT("2155"), "int 2155"},
    {"year 0", MYS_YEAR, 0, 0, 0, TEXT("0000"), "int 0"},

    {"float", MYS_FLOAT, 4, 0, 0, TEXT("1234.5670166015625"), "float 1234.567"},
    {"float, least", MYS_FLOAT, 4, 0, 0, TEXT("1.401298464324817e-45"), "float 1.4013e-45"},
    {"double", MYS_DOUBLE, 8, 0, 0, TEXT("-2.2250738585072014e-308"),
     "float -2.2250738585072014e-308"},
    {"minus zero", MYS_DOUBLE, 8, 0, 0, TEXT("-0"), "float -0"},
    {"no float", MYS_DOUBLE, 8, 0, 0, TEXT("nan"), NULL},
    {"half a float", MYS_DOUBLE, 8, 0, 0, TEXT("1e"), NULL},
    {"hex float", MYS_DOUBLE, 8, 0, 0, TEXT("0x1p3"), NULL},
    {"NUL in a float", MYS_DOUBLE, 8, 0, 0, TEXT("1\0"), NULL},
    {"an endless float", MYS_DOUBLE, 8, 0, 0,
     TEXT("1000000000000000000000000000000000000000000000000000000000000000"), NULL},

    {"decimal", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT("-0.50"), "decimal \"-0.50\""},
    {"decimal, zerofill", MYS_NEWDECIMAL, 0x020a, 0, 1, TEXT("00000001.50"), "decimal \"1.50\""},
    {"decimal of 38", MYS_NEWDECIMAL, 38, 0, 0, TEXT("-99999999999999999999999999999999999999"),
     "decimal \"-99999999999999999999999999999999999999\""},
    {"decimal without whole", MYS_NEWDECIMAL, 0x1e1e, 0, 0,
     TEXT("0.000000000000000000000000000001"), "decimal \"0.000000000000000000000000000001\""},
    {"decimal of 65", MYS_NEWDECIMAL, 0x1e41, 0, 0,
     TEXT("-99999999999999999999999999999999999.999999999999999999999999999999"),
     "text \"-99999999999999999999999999999999999.999999999999999999999999999999\""},
    {"decimal of 65, zerofill", MYS_NEWDECIMAL, 0x0241, 0, 1, TEXT("00000000.10"), "text \"0.10\""},
    {"decimal, long", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT("123456789.00"), NULL},
    {"decimal of 39 digits", MYS_NEWDECIMAL, 38, 0, 0,
     TEXT("170141183460469231731687303715884105728"), NULL},
    {"decimal, short", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT("1.5"), NULL},
    {"decimal without point", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT("1500"), NULL},
    {"decimal with two", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT("1.5.00"), NULL},
    {"decimal, no digit before", MYS_NEWDECIMAL, 0x020a, 0, 0, TEXT(".50"), NULL},

    {"bit(1)", MYS_BIT, 1, 0, 0, TEXT("\1"), "bool true"},
    {"bit(10)", MYS_BIT, 0x0102, 0, 0, TEXT("\x03\xff"), "bytes \"A/8=\""},
    {"bit(8) of two bytes", MYS_BIT, 0x0100, 0, 0, TEXT("\1\1"), NULL},

    {"date", MYS_DATE, 0, 0, 0, TEXT("9999-12-31"), "date \"9999-12-31\""},
    {"zero date", MYS_DATE, 0, 0, 0, TEXT("0000-00-00"), "invalid 0000-00-00"},
    {"zero day", MYS_DATE, 0, 0, 0, TEXT("2024-01-00"), "invalid 2024-01-00"},
    {"30 February", MYS_DATE, 0, 0, 0, TEXT("2024-02-30"), "invalid 2024-02-30"},
    {"date as text", MYS_DATE, 0, 0, 2, TEXT("2024-02-30"), "text \"2024-02-30\""},
    {"month 13", MYS_DATE, 0, 0, 0, TEXT("2024-13-01"), NULL},
    {"date, long", MYS_DATE, 0, 0, 0, TEXT("2024-01-011"), NULL},
    {"time", MYS_TIME2, 6, 0, 0, TEXT("23:59:59.999999"), "time \"23:59:59.999999\""},
    {"time of three digits", MYS_TIME2, 0, 0, 0, TEXT("838:59:59"), "invalid 838:59:59"},
    {"time below zero", MYS_TIME2, 2, 0, 0, TEXT("-00:00:00.01"), "invalid -00:00:00.01"},
    {"time of a day", MYS_TIME, 0, 0, 0, TEXT("24:00:00"), "invalid 24:00:00"},
    {"time with a fraction too short", MYS_TIME2, 3, 0, 0, TEXT("01:02:03.45"), NULL},
    {"time of minute 60", MYS_TIME2, 0, 0, 0, TEXT("01:60:00"), NULL},
    {"datetime", MYS_DATETIME2, 3, 0, 0, TEXT("2024-02-29 12:34:56.789"),
     "timestamp \"2024-02-29T12:34:56.789000\""},
    {"datetime, old form", MYS_DATETIME, 0, 0, 0, TEXT("0001-01-01 00:00:00"),
     "timestamp \"0001-01-01T00:00:00.000000\""},
    {"zero datetime", MYS_DATETIME2, 2, 0, 0, TEXT("0000-00-00 00:00:00.00"),
     "invalid 0000-00-00 00:00:00.00"},
    {"datetime of hour 24", MYS_DATETIME2, 0, 0, 0, TEXT("2024-01-01 24:00:00"), NULL},
    {"timestamp", MYS_TIMESTAMP2, 6, 0, 0, TEXT("2038-01-19 03:14:07.999999"),
     "timestamptz \"2038-01-19T03:14:07.999999Z\""},
    {"zero timestamp", MYS_TIMESTAMP2, 3, 0, 0, TEXT("0000-00-00 00:00:00.000"),
     "invalid 0000-00-00 00:00:00.000"},
    {"timestamp as text", MYS_TIMESTAMP2, 3, 0, 2, TEXT("2024-01-02 03:04:05.006"),
     "text \"2024-01-02 03:04:05.006\""},
    {"timestamp of 30 February", MYS_TIMESTAMP2, 0, 0, 0, TEXT("2024-02-30 00:00:00"), NULL},

    {"varchar", MYS_VARCHAR, 40, UTF8, 0, TEXT("\xc3\xa4\0"), "text \"\xc3\xa4\\u0000\""},
    {"nothing in it", MYS_VARCHAR, 40, UTF8, 0, TEXT(""), "text \"\""},
    {"latin1", MYS_STRING, 0x0afe, LATIN1, 0, TEXT("\xe4 \x80"), "text \"\xc3\xa4 \xe2\x82\xac\""},
    {"gbk", MYS_BLOB, 2, GBK, 0, TEXT("\xd6\xd0"), "text \"\xe4\xb8\xad\""},
    {"bytes that are none of it", MYS_VARCHAR, 40, UTF8, 0, TEXT("a\xff"), "invalid 0x61FF"},
    {"varbinary", MYS_VARCHAR, 40, BINARY, 0, TEXT("\0\xff"), "bytes \"AP8=\""},
    {"binary", MYS_STRING, 0x03fe, BINARY, 0, TEXT("a\0\0"), "bytes \"YQAA\""},
    {"compressed", MYS_VARCHAR_COMPRESSED, 41, UTF8, 0, TEXT("abc"), "text \"abc\""},
    {"enum", MYS_STRING, 0x01f7, LATIN1, 0, TEXT("\xe4"), "text \"\xc3\xa4\""},
    {"enum of number 0", MYS_STRING, 0x01f7, UTF8, 0, TEXT(""), "text \"\""},
    {"set without charset", MYS_STRING, 0x01f8, BINARY, 0, TEXT("a,b"), "text \"a,b\""},
    {"json", MYS_JSON, 4, 0, 0, TEXT("{\"a\": [1, null]}"), "json {\"a\": [1, null]}"},
    {"json of MariaDB", MYS_BLOB, 4, UTF8, 3, TEXT("{}"), "json {}"},
    {"geometry", MYS_GEOMETRY, 4, 0, 0, TEXT("\0\0\0\0\1"), "bytes \"AAAAAAE=\""},
    {"vector", MYS_VECTOR, 4, 0, 0, TEXT("\0\0\xc0\x3f\0\0\0\xc0"), "array [1.5,-2]"},
    {"vector, short", MYS_VECTOR, 4, 0, 0, TEXT("\0\0\xc0"), NULL},
    {"uuid", MYS_STRING, 0x10fe, BINARY, 4, TEXT("550e8400-e29b-41d4-a716-446655440000"),
     "uuid \"550e8400-e29b-41d4-a716-446655440000\""},
    {"uuid, capital", MYS_STRING, 0x10fe, BINARY, 4, TEXT("550E8400-e29b-41d4-a716-446655440000"),
     NULL},
    {"uuid, no dash", MYS_STRING, 0x10fe, BINARY, 4, TEXT("550e84000e29b-41d4-a716-446655440000"),
     NULL},
    {"inet4", MYS_STRING, 0x04fe, BINARY, 5, TEXT("192.168.0.1"), "text \"192.168.0.1\""},
    {"inet4 of five", MYS_STRING, 0x04fe, BINARY, 5, TEXT("1.2.3.4.5"), NULL},
    {"inet6", MYS_STRING, 0x10fe, BINARY, 6, TEXT("2001:0db8:0:0::1"), "text \"2001:db8::1\""},
    {"inet6, mapped", MYS_STRING, 0x10fe, BINARY, 6, TEXT("::ffff:1.2.3.4"),
     "text \"::ffff:1.2.3.4\""},
    {"inet6 of letters", MYS_STRING, 0x10fe, BINARY, 6, TEXT("::g"), NULL},
};

enum how { PLAIN, UNSIGNED, AS_TEXT, FACE_JSON, FACE_UUID, FACE_INET4, FACE_INET6 };
static const enum mys_face faces[] = {[FACE_JSON] = MYS_FACE_JSON,
                                      [FACE_UUID] = MYS_FACE_UUID,
                                      [FACE_INET4] = MYS_FACE_INET4,
                                      [FACE_INET6] = MYS_FACE_INET6};

struct column {
    struct mys_field field;
    struct cdc_column col;
    mys_text parse;
};

static void make(const struct row *row, struct column *ret)
{
    const struct mys_type_spec spec = {.type = row->type,
                                       .meta = row->meta,
                                       .is_unsigned = row->how == UNSIGNED,
                                       .face = faces[row->how],
                                       .charset = mys_charset_by_id(row->collation),
                                       .geometry = -1};
    struct cdc_error err = {.message = ""};
    *ret = (struct column){.parse = NULL};
    assert_int_equal(mys_type_apply(&spec, &ret->field, &ret->col), CDC_OK);
    ret->field.text = row->how == AS_TEXT;
    if (spec.charset)
        assert_int_equal(mys_recode_init(&ret->field.recode, spec.charset, &err), CDC_OK);
    ret->parse = mys_text_of(&ret->field);
    assert_non_null(ret->parse);
}

/* A copy of its own length, so that a read past its end is seen by the sanitizers. */
static int parse(const struct column *column, const char *text, size_t len, struct cdc_arena *arena,
                 struct cdc_value *ret)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int rc = column->parse(&column->field, cdc_slice_of(copy, len), arena, ret);
    free(copy); /* no value points there */
    return rc;
}

static void show(const struct cdc_value *val, uint8_t bits, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, "%s ", cdc_kind_name(val->kind));
    if (val->kind == CDC_INVALID || val->kind == CDC_JSON)
        cdc_buf_put(ret, val->p, val->len);
    else
        cdc_json_value(ret, val, bits);
}

static void test_field(void **state)
{
    const struct row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    struct cdc_buf text = CDC_BUF(4096);
    struct cdc_value val = {.kind = CDC_ABSENT};
    struct column column;
    make(row, &column);
    int rc = parse(&column, row->text, row->len, arena, &val);
    assert_int_equal(rc, row->value ? CDC_OK : CDC_FAIL);
    if (row->value) {
        show(&val, column.col.bits, &text);
        assert_string_equal(cdc_buf_cstr(&text), row->value);
        if (row->how != AS_TEXT && val.kind != CDC_INVALID)
            assert_int_equal(val.kind, column.col.kind);
    }
    mys_recode_done(&column.field.recode);
    cdc_buf_done(&text);
    cdc_arena_free(arena);
}

/* Of forms of one length every proper prefix is refused. */
static void test_prefixes(void **state)
{
    static const enum mys_type_code fixed[] = {MYS_DATE, MYS_TIME2, MYS_DATETIME2, MYS_TIMESTAMP2,
                                               MYS_BIT};
    (void)state;
    for (size_t i = 0; i < CM_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        bool whole = row->value && row->how >= FACE_UUID && row->how < FACE_INET4;
        for (size_t k = 0; k < CM_COUNT(fixed); k++)
            whole |= row->value && row->type == fixed[k];
        struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
        struct cdc_value val;
        struct column column;
        make(row, &column);
        for (size_t len = 0; len < row->len; len++) {
            int rc = parse(&column, row->text, len, arena, &val);
            assert_true(whole ? rc == CDC_FAIL : rc == CDC_OK || rc == CDC_FAIL);
        }
        mys_recode_done(&column.field.recode);
        cdc_arena_free(arena);
    }
}

/* No memory is said as such, and never taken for a malformed field. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct cdc_arena *arena = cdc_arena_new(1);
        struct cdc_value val;
        struct column column;
        make(row, &column);
        int rc = parse(&column, row->text, row->len, arena, &val);
        assert_true(row->value ? rc == CDC_OK || rc == CDC_FULL : rc != CDC_OK);
        if (row->value && rc == CDC_OK)
            assert_true(val.kind < CDC_DECIMAL || (val.kind >= CDC_DATE && val.kind < CDC_UUID));
        mys_recode_done(&column.field.recode);
        cdc_arena_free(arena);
    }
}

static void test_select(void **state)
{
    const struct mys_field plain = {.type = MYS_LONG}, rounded = {.type = MYS_FLOAT},
                           odd = {.type = 200};
    struct cdc_buf sql = CDC_BUF(256);
    (void)state;
    mys_text_select(&plain, "`a`", &sql);
    mys_text_select(&rounded, "`b`", &sql);
    assert_string_equal(cdc_buf_cstr(&sql), "`a`(`b` * 1e0)");
    assert_null(mys_text_of(&odd));
    cdc_buf_done(&sql);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 3], *to = CM_ROWS(tests, test_field, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_prefixes);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_no_memory);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_select);
    return _cmocka_run_group_tests("mysql_text", tests, (size_t)(to - tests), NULL, NULL);
}
