/*
 * test_postgres_types.c - text of each type -> value; how types are printed; text that no type
 * prints. Every proper prefix and every one-byte change of a valid text is read or refused, never
 * more (ASan).
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/types.h"
#include "cdc/buf.h"
#include "rows.h"

#define NUMERIC(p, s) (int32_t)((((uint32_t)(p) << 16) | ((uint32_t)(s)&0x7ff)) + 4)

enum {
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    OID = 26,
    XID = 28,
    JSON = 114,
    FLOAT4 = 700,
    FLOAT8 = 701,
    BPCHAR = 1042,
    VARCHAR = 1043,
    DATE = 1082,
    TIME = 1083,
    TS = 1114,
    TSTZ = 1184,
    DEC = 1700,
    UUID = 2950,
    JSONB = 3802
};

/* value: as show() below prints it; NULL: refused. */
static const struct row {
    const char *name;
    uint32_t oid;
    int32_t typmod;
    const char *text, *value;
} rows[] = {
    {"bool t", BOOL, -1, "t", "bool 1"},
    {"bool f", BOOL, -1, "f", "bool 0"},
    {"bool true is not printed", BOOL, -1, "true", NULL},
    {"bool empty", BOOL, -1, "", NULL},
    {"int2 least", INT2, -1, "-32768", "int -32768"},
    {"int4 zero", INT4, -1, "0", "int 0"},
    {"int4 least", INT4, -1, "-2147483648", "int -2147483648"},
    {"int4 most", INT4, -1, "2147483647", "int 2147483647"},
    {"int4 above", INT4, -1, "2147483648", NULL},
    {"int4 below", INT4, -1, "-2147483649", NULL},
    {"int8 least", INT8, -1, "-9223372036854775808", "int -9223372036854775808"},
    {"int8 most", INT8, -1, "9223372036854775807", "int 9223372036854775807"},
    {"int8 above", INT8, -1, "9223372036854775808", NULL},
    {"int8 twenty digits", INT8, -1, "18446744073709551616", NULL},
    {"int minus alone", INT8, -1, "-", NULL},
    {"int empty", INT8, -1, "", NULL},
    {"int space", INT8, -1, " 1", NULL},
    {"int point", INT8, -1, "1.0", NULL},
    {"oid most", OID, -1, "4294967295", "int 4294967295"},
    {"xid", XID, -1, "773", "int 773"},
    {"float4 shortest", FLOAT4, -1, "0.1", "float 0x1.99999ap-4"},
    {"float4 most", FLOAT4, -1, "3.4028235e+38", "float 0x1.fffffep+127"},
    {"float8 shortest", FLOAT8, -1, "0.1", "float 0x1.999999999999ap-4"},
    {"float8 most", FLOAT8, -1, "1.7976931348623157e+308", "float 0x1.fffffffffffffp+1023"},
    {"float8 least", FLOAT8, -1, "5e-324", "float 0x0.0000000000001p-1022"},
    {"float8 fifteen digits", FLOAT8, -1, "-12345678.12345", "float -0x1.78c29c3f34d6ap+23"},
    {"float8 sixteen digits", FLOAT8, -1, "0.3000000000000000", "float 0x1.3333333333333p-2"},
    {"float8 three tenths", FLOAT8, -1, "0.3", "float 0x1.3333333333333p-2"},
    {"float8 minus zero", FLOAT8, -1, "-0", "float -0x0p+0"},
    {"float8 NaN", FLOAT8, -1, "NaN", "float nan"},
    {"float8 infinity", FLOAT8, -1, "Infinity", "float inf"},
    {"float8 minus infinity", FLOAT8, -1, "-Infinity", "float -inf"},
    {"float8 hexadecimal is not printed", FLOAT8, -1, "0x10", NULL},
    {"float8 inf is not printed", FLOAT8, -1, "inf", NULL},
    {"float8 empty", FLOAT8, -1, "", NULL},
    {"float8 two points", FLOAT8, -1, "1.2.3", NULL},
    {"numeric(10,2)", DEC, NUMERIC(10, 2), "12.50", "decimal 04e2 scale 2"},
    {"numeric one byte", DEC, NUMERIC(10, 2), "1.27", "decimal 7f scale 2"},
    {"numeric two bytes", DEC, NUMERIC(10, 2), "1.28", "decimal 0080 scale 2"},
    {"numeric minus one byte", DEC, NUMERIC(10, 2), "-1.28", "decimal 80 scale 2"},
    {"numeric minus two bytes", DEC, NUMERIC(10, 2), "-1.29", "decimal ff7f scale 2"},
    {"numeric zero", DEC, NUMERIC(10, 2), "0.00", "decimal 00 scale 2"},
    {"numeric one digit", DEC, NUMERIC(1, 0), "9", "decimal 09 scale 0"},
    {"numeric below one", DEC, NUMERIC(3, 3), "-0.001", "decimal ff scale 3"},
    {"numeric 38 digits", DEC, NUMERIC(38, 0), "99999999999999999999999999999999999999",
     "decimal 4b3b4ca85a86c47a098a223fffffffff scale 0"},
    {"numeric minus 38 digits", DEC, NUMERIC(38, 38), "-0.99999999999999999999999999999999999999",
     "decimal b4c4b357a5793b85f675ddc000000001 scale 38"},
    {"numeric 18 digits", DEC, NUMERIC(38, 2), "1234567890123456.78",
     "decimal 01b69b4ba630f34e scale 2"},
    {"numeric 19 digits", DEC, NUMERIC(38, 2), "12345678901234567.89",
     "decimal 112210f47de98115 scale 2"},
    {"numeric 36 digits", DEC, NUMERIC(38, 0), "123456789012345678901234567890123456",
     "decimal 17c6e3bfd70fdeeaec417172dcbac0 scale 0"},
    {"numeric 37 digits", DEC, NUMERIC(38, 0), "1234567890123456789012345678901234567",
     "decimal 00edc4e57e669eb52d3a8e6e7c9f4b87 scale 0"},
    {"numeric 38 digits with zeros", DEC, NUMERIC(38, 20),
     "000100000000000000000.10000000000000000000",
     "decimal 0785ee10d5da46d98bbb59a489e80000 scale 20"},
    {"numeric NaN", DEC, NUMERIC(10, 2), "NaN", "invalid NaN"},
    {"numeric infinity", DEC, NUMERIC(10, 2), "Infinity", "invalid Infinity"},
    {"numeric with other places", DEC, NUMERIC(10, 2), "1.5", NULL},
    {"numeric without places", DEC, NUMERIC(10, 2), "1", NULL},
    {"numeric above its precision", DEC, NUMERIC(4, 2), "100.00", NULL},
    {"numeric 39 digits", DEC, NUMERIC(38, 0), "100000000000000000000000000000000000000", NULL},
    {"numeric exponent", DEC, NUMERIC(10, 2), "1e2.00", NULL},
    {"numeric minus alone", DEC, NUMERIC(10, 0), "-", NULL},
    {"numeric point first", DEC, NUMERIC(10, 2), ".50", NULL},
    {"numeric without typmod is text", DEC, -1, "1.10", "text 1.10"},
    {"numeric(39,0) is text", DEC, NUMERIC(39, 0), "1", "text 1"},
    {"numeric(3,-2) is text", DEC, NUMERIC(3, -2), "100", "text 100"},
    {"numeric(2,4) is text", DEC, NUMERIC(2, 4), "0.0012", "text 0.0012"},
    {"text", TEXT, -1, "a b", "text a b"},
    {"text empty", TEXT, -1, "", "text "},
    {"char(5) keeps its blanks", BPCHAR, 9, "ab   ", "text ab   "},
    {"bytea", BYTEA, -1, "\\x00ff10", "bytes 00ff10"},
    {"bytea empty", BYTEA, -1, "\\x", "bytes "},
    {"bytea odd", BYTEA, -1, "\\x0", NULL},
    {"bytea escape form", BYTEA, -1, "\\001", NULL},
    {"bytea no digit", BYTEA, -1, "\\x0g", NULL},
    {"date epoch", DATE, -1, "1970-01-01", "date 0"},
    {"date first", DATE, -1, "0001-01-01", "date -719162"},
    {"date last", DATE, -1, "9999-12-31", "date 2932896"},
    {"date leap", DATE, -1, "2024-02-29", "date 19782"},
    {"date no leap", DATE, -1, "2023-02-29", NULL},
    {"date 1900 is no leap year", DATE, -1, "1900-02-29", NULL},
    {"date 2000 is one", DATE, -1, "2000-02-29", "date 11016"},
    {"date year 10000", DATE, -1, "10000-01-01", "invalid 10000-01-01"},
    {"date last of PostgreSQL", DATE, -1, "5874897-12-31", "invalid 5874897-12-31"},
    {"date BC", DATE, -1, "0044-03-15 BC", "invalid 0044-03-15 BC"},
    {"date infinity", DATE, -1, "infinity", "invalid infinity"},
    {"date minus infinity", DATE, -1, "-infinity", "invalid -infinity"},
    {"date German", DATE, -1, "31.12.2024", NULL},
    {"date month 13", DATE, -1, "2024-13-01", NULL},
    {"date month 0", DATE, -1, "2024-00-01", NULL},
    {"date day 0", DATE, -1, "2024-01-00", NULL},
    {"date with more", DATE, -1, "2024-01-01x", NULL},
    {"time", TIME, -1, "12:34:56", "time 45296000000"},
    {"time fraction", TIME, -1, "00:00:00.5", "time 500000"},
    {"time microseconds", TIME, -1, "23:59:59.999999", "time 86399999999"},
    {"time 24", TIME, -1, "24:00:00", "time 86400000000"},
    {"time after 24", TIME, -1, "24:00:01", NULL},
    {"time minute 60", TIME, -1, "12:60:00", NULL},
    {"time seven places", TIME, -1, "12:00:00.1234567", NULL},
    {"timestamp", TS, -1, "2024-01-31 12:34:56.789", "timestamp 1706704496789000"},
    {"timestamp before 1970", TS, -1, "1969-12-31 23:59:59.999999", "timestamp -1"},
    {"timestamp last", TS, -1, "9999-12-31 23:59:59.999999", "timestamp 253402300799999999"},
    {"timestamp first", TS, -1, "0001-01-01 00:00:00", "timestamp -62135596800000000"},
    {"timestamp year 294276", TS, -1, "294276-12-31 23:59:59.999999",
     "invalid 294276-12-31 23:59:59.999999"},
    {"timestamp BC", TS, -1, "4713-11-24 00:00:00 BC", "invalid 4713-11-24 00:00:00 BC"},
    {"timestamp infinity", TS, -1, "infinity", "invalid infinity"},
    {"timestamp with a zone", TS, -1, "2024-01-31 12:34:56+00", NULL},
    {"timestamp with T", TS, -1, "2024-01-31T12:34:56", NULL},
    {"timestamptz", TSTZ, -1, "2024-01-31 12:34:56+00", "timestamptz 1706704496000000"},
    {"timestamptz east", TSTZ, -1, "2024-01-31 12:34:56+05:30", "timestamptz 1706684696000000"},
    {"timestamptz west", TSTZ, -1, "2024-01-31 12:34:56-00:00:10", "timestamptz 1706704506000000"},
    {"timestamptz BC", TSTZ, -1, "0001-12-31 23:59:59+00 BC", "invalid 0001-12-31 23:59:59+00 BC"},
    {"timestamptz minus infinity", TSTZ, -1, "-infinity", "invalid -infinity"},
    {"timestamptz without zone", TSTZ, -1, "2024-01-31 12:34:56", NULL},
    {"uuid", UUID, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     "uuid a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
    {"uuid upper case is not printed", UUID, -1, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", NULL},
    {"uuid short", UUID, -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", NULL},
    {"uuid without dashes", UUID, -1, "a0eebc999c0b-4ef8-bb6d-6bb9bd380a111", NULL},
    {"json", JSON, -1, "{\"a\": 1 }", "json {\"a\": 1 }"},
    {"jsonb", JSONB, -1, "{\"a\": 1}", "json {\"a\": 1}"},
    {"inet is text", 869, -1, "10.0.0.1", "text 10.0.0.1"},
    {"array is text", 1007, -1, "{1,NULL}", "text {1,NULL}"},
};

static const struct print {
    const char *name;
    uint32_t oid;
    int32_t typmod;
    const char *text;
} prints[] = {
    {"boolean", BOOL, -1, "boolean"},
    {"numeric(10,2)", DEC, NUMERIC(10, 2), "numeric(10,2)"},
    {"numeric(3,-2)", DEC, NUMERIC(3, -2), "numeric(3,-2)"},
    {"numeric", DEC, -1, "numeric"},
    {"varchar(20)", VARCHAR, 24, "character varying(20)"},
    {"varchar", VARCHAR, -1, "character varying"},
    {"char(3)", BPCHAR, 7, "character(3)"},
    {"bpchar", BPCHAR, -1, "bpchar"},
    {"\"char\"", 18, -1, "\"char\""},
    {"time(3)", TIME, 3, "time(3) without time zone"},
    {"timestamp", TS, -1, "timestamp without time zone"},
    {"timestamp(0)", TS, 0, "timestamp(0) without time zone"},
    {"timestamptz(6)", TSTZ, 6, "timestamp(6) with time zone"},
    {"double precision", FLOAT8, -1, "double precision"},
};

static void show(struct cdc_buf *out, const struct cdc_value *val)
{
    cdc_buf_printf(out, "%s ", val->kind == CDC_INVALID ? "invalid" : cdc_kind_name(val->kind));
    switch (val->kind) {
    case CDC_FLOAT:
        if (isnan(val->f))
            cdc_buf_str(out, "nan");
        else
            cdc_buf_printf(out, "%a", val->f);
        break;
    case CDC_DECIMAL:
    case CDC_BYTES:
        for (uint32_t i = 0; i < val->len; i++)
            cdc_buf_printf(out, "%02x", val->p[i]);
        if (val->kind == CDC_DECIMAL)
            cdc_buf_printf(out, " scale %d", val->aux);
        break;
    case CDC_INVALID:
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_JSON: cdc_buf_put(out, val->p, val->len); break;
    default: cdc_buf_printf(out, "%" PRId64, val->i); break;
    }
}

/* Parses a copy of exactly that length. NULL: refused. */
static char *parse(const struct row *row, const char *text, size_t len)
{
    struct cdc_column col = {.name = "c"};
    struct cdc_buf out = CDC_BUF(65536);
    struct cdc_value val;
    uint8_t *copy = malloc(len ? len : 1);
    char *ret = NULL;
    assert_non_null(copy);
    memcpy(copy, text, len);
    pgs_type_apply(pgs_type_by_oid(row->oid), row->typmod, &col);
    if (pgs_parser(&col)(&col, copy, len, &val) == CDC_OK) {
        show(&out, &val);
        ret = strdup(cdc_buf_cstr(&out));
    }
    cdc_buf_done(&out);
    free(copy);
    return ret;
}

static void test_parse(void **state)
{
    const struct row *row = *state;
    char *value = parse(row, row->text, strlen(row->text));
    if (row->value && value)
        assert_string_equal(value, row->value);
    assert_int_equal(value != NULL, row->value != NULL);
    free(value);
}

/* Nothing is read outside, and changed text never makes the parser hang or crash. */
static void test_damage(void **state)
{
    static const char values[] = "\0 -+.:/09az\xff";
    const struct row *row = *state;
    char text[64];
    size_t len = strlen(row->text);
    assert_true(len < sizeof text);
    memcpy(text, row->text, len);
    for (size_t n = 0; n < len; n++)
        free(parse(row, text, n));
    for (size_t i = 0; i < len; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            char was = text[i];
            text[i] = values[v];
            free(parse(row, text, len));
            text[i] = was;
        }
}

static void test_print(void **state)
{
    const struct print *row = *state;
    char text[64];
    pgs_type_print(pgs_type_by_oid(row->oid), row->typmod, text, sizeof text);
    assert_string_equal(text, row->text);
}

static void test_names(void **state)
{
    (void)state;
    assert_ptr_equal(pgs_type_by_name("numeric"), pgs_type_by_oid(DEC));
    assert_null(pgs_type_by_name("citext"));
    assert_null(pgs_type_by_oid(869));
}

int main(void)
{
    struct CMUnitTest tests[2 * CM_COUNT(rows) + CM_COUNT(prints) + 1], *to = tests;
    to = CM_ROWS(to, test_parse, rows);
    to = CM_ROWS(to, test_damage, rows);
    to = CM_ROWS(to, test_print, prints);
    *to = (struct CMUnitTest)cmocka_unit_test(test_names);
    return cmocka_run_group_tests_name("postgres: types", tests, NULL, NULL);
}
