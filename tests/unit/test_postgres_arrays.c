/*
 * test_postgres_arrays.c - text of arrays and hstore -> values, and text that neither prints. Every
 * proper prefix and every one-byte change of a valid text is read or refused, and nothing outside
 * of it is looked at (ASan); an array that is CDC_INVALID carries its text unchanged.
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
    BOOLS = 1000,
    BYTEAS = 1001,
    INT4S = 1007,
    TEXTS = 1009,
    FLOAT4S = 1021,
    FLOAT8S = 1022,
    OIDS = 1028,
    DATES = 1182,
    TIMES = 1183,
    STAMPS = 1115,
    DECS = 1231,
    UUIDS = 2951,
    JSONS = 199,
    HSTORE = 1,  /* any type that is not built in, of kind JSON */
    HSTORES = 2, /* an array of it */
};

/* value: as show() prints it; NULL: refused. */
static const struct row {
    const char *name;
    uint32_t oid;
    int32_t typmod;
    const char *text, *value;
} rows[] = {
    {"empty", INT4S, -1, "{}", "[]"},
    {"one", INT4S, -1, "{7}", "[7]"},
    {"null among others", INT4S, -1, "{1,NULL,-3}", "[1 null -3]"},
    {"extremes", INT4S, -1, "{-2147483648,2147483647}", "[-2147483648 2147483647]"},
    {"item beyond its type", INT4S, -1, "{2147483648}", NULL},
    {"item of another type", INT4S, -1, "{1,x}", NULL},
    {"no brace", INT4S, -1, "1,2", NULL},
    {"no closing brace", INT4S, -1, "{1,2", NULL},
    {"more behind", INT4S, -1, "{1}}", NULL},
    {"blank behind", INT4S, -1, "{1} ", NULL},
    {"blank inside is not printed", INT4S, -1, "{1, 2}", NULL},
    {"comma last", INT4S, -1, "{1,}", NULL},
    {"comma first", INT4S, -1, "{,1}", NULL},
    {"comma alone", INT4S, -1, "{,}", NULL},
    {"no text", INT4S, -1, "", NULL},
    {"two dimensions", INT4S, -1, "{{1,2},{3,4}}", "invalid {{1,2},{3,4}}"},
    {"six dimensions", INT4S, -1, "{{{{{{1}}}}}}", "invalid {{{{{{1}}}}}}"},
    {"seven dimensions there are not", INT4S, -1, "{{{{{{{1}}}}}}}", NULL},
    {"empty inside there is not", INT4S, -1, "{{}}", NULL},
    {"mixed depth", INT4S, -1, "{1,{2}}", "invalid {1,{2}}"},
    {"lower bound 0", INT4S, -1, "[0:1]={5,6}", "invalid [0:1]={5,6}"},
    {"negative bounds", INT4S, -1, "[-3:-2]={5,6}", "invalid [-3:-2]={5,6}"},
    {"bounds of two", INT4S, -1, "[1:1][0:0]={{5}}", "invalid [1:1][0:0]={{5}}"},
    {"bounds without =", INT4S, -1, "[0:1]{5,6}", NULL},
    {"bounds without :", INT4S, -1, "[0]={5,6}", NULL},
    {"bounds without number", INT4S, -1, "[0:]={5}", NULL},
    {"bounds of nothing", INT4S, -1, "[1:0]={}", NULL},
    {"bounds alone", INT4S, -1, "[0:1]=", NULL},
    {"bounds empty", INT4S, -1, "[]={1}", NULL},
    {"oids", OIDS, -1, "{4294967295}", "[4294967295]"},
    {"bools", BOOLS, -1, "{t,f,NULL}", "[true false null]"},
    {"floats", FLOAT8S, -1, "{0.5,NaN,-Infinity}", "[0.5 nan -inf]"},
    {"text quoted", TEXTS, -1, "{\"a b\",c}", "['a b' 'c']"},
    {"NULL and its text", TEXTS, -1, "{NULL,\"NULL\",\"null\"}", "[null 'NULL' 'null']"},
    {"a word that begins like NULL", TEXTS, -1, "{NULLS}", "['NULLS']"},
    {"null in lower case is not printed bare, but no null", TEXTS, -1, "{null}", "['null']"},
    {"empty text", TEXTS, -1, "{\"\",\"\"}", "['' '']"},
    {"escapes", TEXTS, -1, "{\"a\\\"b\\\\c\"}", "['a\"b\\c']"},
    {"escape of another character is not printed", TEXTS, -1, "{\"a\\n\"}", NULL},
    {"escape last", TEXTS, -1, "{\"a\\", NULL},
    {"braces and commas inside", TEXTS, -1, "{\"{}\",\",\",\"{1,2}\"}", "['{}' ',' '{1,2}']"},
    {"quote within a word", TEXTS, -1, "{a\"b}", NULL},
    {"backslash within a word", TEXTS, -1, "{a\\b}", NULL},
    {"text behind a quote", TEXTS, -1, "{\"a\"b}", NULL},
    {"open quote", TEXTS, -1, "{\"a}", NULL},
    {"looks like bounds", TEXTS, -1, "{[0:1]=x}", "['[0:1]=x']"},
    {"control characters are quoted", TEXTS, -1, "{\"\t\n\v\f\r\"}", "['\t\n\v\f\r']"},
    {"UTF-8", TEXTS, -1, "{\xc3\xa4,\"\xf0\x9f\x98\x80 \"}", "['\xc3\xa4' '\xf0\x9f\x98\x80 ']"},
    {"two dimensions of text", TEXTS, -1, "{{\"a\\\"\",b}}", "invalid {{\"a\\\"\",b}}"},
    {"decimals", DECS, NUMERIC(8, 3), "{1.500,-2.125,NULL}", "[05dc/3 f7b3/3 null]"},
    {"a decimal that is not a number", DECS, NUMERIC(8, 3), "{1.500,NaN}", "invalid {1.500,NaN}"},
    {"infinite decimals, as of 14", DECS, NUMERIC(8, 3), "{1.500,Infinity,2.000}",
     "invalid {1.500,Infinity,2.000}"},
    {"a decimal with other places", DECS, NUMERIC(8, 3), "{1.5}", NULL},
    {"numerics without typmod are text", DECS, -1, "{1.10,NaN}", "['1.10' 'NaN']"},
    {"bytes", BYTEAS, -1, "{\"\\\\x00ff\",NULL,\"\\\\x\"}", "[<00ff> null <>]"},
    {"bytes not in hex", BYTEAS, -1, "{\"\\\\x0\"}", NULL},
    {"dates", DATES, -1, "{1970-01-02,NULL}", "[1 null]"},
    {"an infinite date", DATES, -1, "{1970-01-02,infinity}", "invalid {1970-01-02,infinity}"},
    {"a date BC", DATES, -1, "{\"0044-03-15 BC\"}", "invalid {\"0044-03-15 BC\"}"},
    {"times", TIMES, -1, "{00:00:01,24:00:00}", "[1000000 86400000000]"},
    {"timestamps are quoted", STAMPS, -1, "{\"1970-01-01 00:00:01\"}", "[1000000]"},
    {"an odd timestamp is kept as it came", STAMPS, -1, "{\"1970-01-01 00:00:01\",infinity}",
     "invalid {\"1970-01-01 00:00:01\",infinity}"},
    {"uuids", UUIDS, -1, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
     "['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']"},
    {"json", JSONS, -1, "{\"{\\\"a\\\": [1, \\\"\\\\\\\\\\\"]}\",1}",
     "['{\"a\": [1, \"\\\\\"]}' '1']"},
    {"hstore", HSTORE, -1, "\"a\"=>\"1\", \"bb\"=>NULL", "'{\"a\":\"1\",\"bb\":null}'"},
    {"hstore empty", HSTORE, -1, "", "'{}'"},
    {"hstore NULL as text", HSTORE, -1, "\"a\"=>\"NULL\"", "'{\"a\":\"NULL\"}'"},
    {"hstore empty key and value", HSTORE, -1, "\"\"=>\"\"", "'{\"\":\"\"}'"},
    {"hstore escapes", HSTORE, -1, "\"k \\\"q\\\"\"=>\"b\\\\s\"", "'{\"k \\\"q\\\"\":\"b\\\\s\"}'"},
    {"hstore control characters", HSTORE, -1, "\"a\n\"=>\"\x01\x1f\x7f\"",
     "'{\"a\\u000a\":\"\\u0001\\u001f\x7f\"}'"},
    {"hstore => inside", HSTORE, -1, "\"=>\"=>\"=>\"", "'{\"=>\":\"=>\"}'"},
    {"hstore UTF-8", HSTORE, -1, "\"\xc3\xa4\"=>\"\xe2\x82\xac\"",
     "'{\"\xc3\xa4\":\"\xe2\x82\xac\"}'"},
    {"hstore without value", HSTORE, -1, "\"a\"=>", NULL},
    {"hstore without blank", HSTORE, -1, "\"a\"=>\"1\",\"b\"=>\"2\"", NULL},
    {"hstore comma last", HSTORE, -1, "\"a\"=>\"1\", ", NULL},
    {"hstore null in lower case", HSTORE, -1, "\"a\"=>null", NULL},
    {"hstore bare value", HSTORE, -1, "\"a\"=>1", NULL},
    {"hstore escape of another character", HSTORE, -1, "\"a\"=>\"\\n\"", NULL},
    {"hstore more behind", HSTORE, -1, "\"a\"=>\"1\" ", NULL},
    {"a domain over json is left alone", HSTORE, -1, "{\"a\" : 1}", "'{\"a\" : 1}'"},
    {"a domain's JSON string with =>", HSTORE, -1, "\"a=>b\"", "'\"a=>b\"'"},
    {"a domain's JSON string with escapes", HSTORE, -1, "\"a\\\"=>\\u00e4\"",
     "'\"a\\\"=>\\u00e4\"'"},
    {"array of hstore", HSTORES, -1, "{\"\\\"a\\\"=>\\\"1\\\"\",NULL,\"\"}",
     "['{\"a\":\"1\"}' null '{}']"},
};

static void show_item(struct cdc_buf *out, const struct cdc_value *val)
{
    switch (val->kind) {
    case CDC_NULL: cdc_buf_str(out, "null"); break;
    case CDC_BOOL: cdc_buf_str(out, val->i ? "true" : "false"); break;
    case CDC_FLOAT:
        if (isnan(val->f))
            cdc_buf_str(out, "nan");
        else
            cdc_buf_printf(out, "%g", val->f);
        break;
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_JSON:
        cdc_buf_byte(out, '\'');
        cdc_buf_put(out, val->p, val->len);
        cdc_buf_byte(out, '\'');
        break;
    case CDC_DECIMAL:
    case CDC_BYTES:
        cdc_buf_str(out, val->kind == CDC_BYTES ? "<" : "");
        for (uint32_t i = 0; i < val->len; i++)
            cdc_buf_printf(out, "%02x", val->p[i]);
        if (val->kind == CDC_BYTES)
            cdc_buf_byte(out, '>');
        else
            cdc_buf_printf(out, "/%d", val->aux);
        break;
    default: cdc_buf_printf(out, "%" PRId64, val->i); break;
    }
}

static void show(struct cdc_buf *out, const struct cdc_value *val)
{
    if (val->kind == CDC_INVALID) {
        cdc_buf_str(out, "invalid ");
        cdc_buf_put(out, val->p, val->len);
        return;
    }
    if (val->kind != CDC_ARRAY) {
        show_item(out, val);
        return;
    }
    cdc_buf_byte(out, '[');
    for (uint32_t i = 0; i < val->len; i++) {
        cdc_buf_str(out, i ? " " : "");
        show_item(out, &val->items[i]);
    }
    cdc_buf_byte(out, ']');
}

static struct cdc_column column_of(const struct row *row)
{
    struct cdc_column col = {.name = "c", .type_id = row->oid, .type_mod = row->typmod};
    if (row->oid == HSTORE || row->oid == HSTORES) {
        col.type_id = 20000;
        col.kind = row->oid == HSTORE ? CDC_JSON : CDC_ARRAY;
        col.item = row->oid == HSTORE ? CDC_NULL : CDC_JSON;
    } else {
        pgs_type_apply_array(pgs_type_of_items(row->oid), row->typmod, &col);
    }
    return col;
}

/* Reads a copy of exactly that length, with so much memory. NULL: not CDC_OK, see *rc. */
static char *unpack(const struct row *row, const char *text, size_t len, size_t memory, int *rc)
{
    struct cdc_column col = column_of(row);
    struct cdc_buf out = CDC_BUF(65536);
    struct cdc_value val;
    struct pgs_memory mem = {.arena = cdc_arena_new((size_t)1 << 20), .left = memory};
    uint8_t *copy = malloc(len ? len : 1);
    char *ret = NULL;
    assert_true(copy && mem.arena);
    memcpy(copy, text, len);
    *rc = pgs_unpack(&col, &mem, copy, len, &val);
    if (*rc == CDC_OK) {
        show(&out, &val);
        ret = strdup(out.len ? cdc_buf_cstr(&out) : "");
    }
    cdc_buf_done(&out);
    cdc_arena_free(mem.arena);
    free(copy);
    return ret;
}

static void test_unpack(void **state)
{
    const struct row *row = *state;
    int rc;
    char *value = unpack(row, row->text, strlen(row->text), 65536, &rc);
    if (row->value && value)
        assert_string_equal(value, row->value);
    assert_int_equal(rc, row->value ? CDC_OK : CDC_FAIL);
    free(value);
}

static void test_damage(void **state)
{
    static const char values[] = "\0 \",{}[]\\=>NULL09a\xff";
    const struct row *row = *state;
    char text[128];
    size_t len = strlen(row->text);
    int rc;
    assert_true(len < sizeof text);
    memcpy(text, row->text, len);
    for (size_t n = 0; n < len; n++)
        free(unpack(row, text, n, 65536, &rc));
    for (size_t i = 0; i < len; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            char was = text[i];
            text[i] = values[v];
            free(unpack(row, text, len, 65536, &rc));
            text[i] = was;
        }
}

/* A prefix of an array is none; hstore's prefixes are refused, but for the empty one. */
static void test_prefixes(void **state)
{
    const struct row *row = *state;
    int rc;
    for (size_t n = row->oid == HSTORE; n < strlen(row->text); n++)
        if (row->value && (row->oid != HSTORE || n > 8)) {
            free(unpack(row, row->text, n, 65536, &rc));
            if (row->oid != HSTORE)
                assert_int_equal(rc, CDC_FAIL);
        }
}

static void test_memory(void **state)
{
    static const struct row three = {"three", INT4S, -1, "{1,2,3}", NULL};
    static const struct row odd = {"odd", DECS, NUMERIC(4, 0), "{1,2,NaN}", NULL};
    static const struct row hstore = {"hstore", HSTORE, -1, "\"a\"=>\"1\"", NULL};
    int rc;
    (void)state;
    free(unpack(&three, three.text, 7, 48, &rc));
    assert_int_equal(rc, CDC_OK);
    assert_null(unpack(&three, three.text, 7, 47, &rc));
    assert_int_equal(rc, CDC_FULL);
    assert_null(unpack(&odd, odd.text, 9, 48, &rc));
    assert_int_equal(rc, CDC_FULL);
    assert_null(unpack(&hstore, hstore.text, 8, 8, &rc));
    assert_int_equal(rc, CDC_FULL);
}

/* One more number of every built-in type that has items in the table: the array's oid. */
static void test_items(void **state)
{
    (void)state;
    assert_ptr_equal(pgs_type_of_items(INT4S), pgs_type_by_oid(23));
    assert_ptr_equal(pgs_type_of_items(DECS), pgs_type_by_oid(1700));
    assert_ptr_equal(pgs_type_of_items(3807), pgs_type_by_oid(3802));
    assert_null(pgs_type_of_items(1041)); /* inet[]: its items are not in the table */
    assert_null(pgs_type_of_items(23));
    assert_null(pgs_type_of_items(0));
    struct cdc_column col = {.type_id = DECS};
    pgs_type_apply_array(pgs_type_by_oid(1700), NUMERIC(38, 2), &col);
    assert_int_equal(col.kind, CDC_ARRAY);
    assert_int_equal(col.item, CDC_DECIMAL);
    assert_int_equal(col.precision, 38);
    assert_int_equal(col.scale, 2);
    pgs_type_apply_array(NULL, -1, &col);
    assert_int_equal(col.item, CDC_TEXT);
    assert_int_equal(col.precision, 0);
    pgs_type_apply(pgs_type_by_oid(23), -1, &col);
    assert_int_equal(col.item, CDC_NULL);
}

static void test_large(void **state)
{
    struct cdc_buf text = CDC_BUF((size_t)1 << 20);
    struct row row = {"large", INT4S, -1, NULL, NULL};
    int rc;
    (void)state;
    for (int i = 0; i < 3000; i++)
        cdc_buf_printf(&text, "%c%d", i ? ',' : '{', i);
    cdc_buf_byte(&text, '}');
    char *value = unpack(&row, (const char *)text.p, text.len, 48000, &rc);
    assert_int_equal(rc, CDC_OK);
    assert_memory_equal(value + strlen(value) - 10, "2998 2999]", 10);
    free(value);
    cdc_buf_done(&text);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_memory), cmocka_unit_test(test_items), cmocka_unit_test(test_large)};
    struct CMUnitTest tests[3 * CM_COUNT(rows) + CM_COUNT(others)], *to = tests;
    to = CM_ROWS(to, test_unpack, rows);
    to = CM_ROWS(to, test_damage, rows);
    to = CM_ROWS(to, test_prefixes, rows);
    memcpy(to, others, sizeof others);
    return cmocka_run_group_tests_name("postgres: arrays", tests, NULL, NULL);
}
