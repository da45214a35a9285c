/*
 * test_mysql_json.c - binary JSON made by hand: what no server writes is refused, every proper
 * prefix too; depth and size are bounded. What servers write is in test_mysql_golden.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../connectors/mysql/json.h"
#include "rows.h"

/* text NULL: refused. */
static const struct row {
    const char *name, *hex, *text;
} rows[] = {
    {"empty document", "", "null"},
    {"null", "0400", "null"},
    {"true", "0401", "true"},
    {"false", "0402", "false"},
    {"unknown literal", "0403", NULL},
    {"unknown type", "0d00", NULL},
    {"int16", "05ffff", "-1"},
    {"uint16", "06ffff", "65535"},
    {"int32", "0700000080", "-2147483648"},
    {"uint32", "08ffffffff", "4294967295"},
    {"int64", "090000000000000080", "-9223372036854775808"},
    {"uint64", "0affffffffffffffff", "18446744073709551615"},
    {"double", "0b000000000000f83f", "1.5"},
    {"minus zero", "0b0000000000000080", "-0.0"},
    {"infinity", "0b000000000000f07f", NULL},
    {"not a number", "0b010000000000f87f", NULL},
    {"string", "0c03616263", "\"abc\""},
    {"string of no UTF-8", "0c01ff", NULL},
    {"string of a surrogate", "0c03eda080", NULL},
    {"length of six bytes", "0c808080808000", NULL},
    {"length above 4 GB", "0cffffffff7f61", NULL},
    {"empty object", "0000000400", "{}"},
    {"empty array", "0200000400", "[]"},
    {"array of inline values",
     "0202000a00"
     "050100"
     "0400"
     "00",
     "[1, null]"},
    {"object",
     "0001000c00"
     "0b000100"
     "050700"
     "61",
     "{\"a\": 7}"},
    {"size above the bytes", "0200000500", NULL},
    {"size below its head", "0200000300", NULL},
    {"more entries than bytes", "02ffff0400", NULL},
    {"value outside",
     "0201000700"
     "0c0800",
     NULL},
    {"key outside",
     "0001000c00"
     "0c000100"
     "050700"
     "61",
     NULL},
    {"large array",
     "03010000000d000000"
     "07"
     "ffffffff",
     "[-1]"},
    {"large array of 32 bits above its size",
     "03010000000d000000"
     "09"
     "0d000000",
     NULL},
    {"decimal", "0ff60402018115", NULL},
    {"decimal, sound",
     "0ff604"
     "0301"
     "8c"
     "05",
     "12.5"},
    {"decimal of 66 digits",
     "0ff6044200"
     "8000",
     NULL},
    {"decimal with a group too large",
     "0ff604"
     "0301"
     "ff"
     "05",
     NULL},
    {"decimal with bytes behind",
     "0ff605"
     "0301"
     "8c"
     "05"
     "00",
     NULL},
    {"date",
     "0f0a08"
     "000000000042b219",
     "\"2024-01-01\""},
    {"time above 838 hours",
     "0f0b08"
     "000000000000f07f",
     NULL},
    {"time, short",
     "0f0b07"
     "00000000000000",
     NULL},
    {"bytes",
     "0f0f03"
     "00ff10",
     "\"base64:type15:AP8Q\""},
    {"no bytes", "0f0f00", "\"base64:type15:\""},
};

static struct cdc_slice from_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return cdc_slice_of(bytes, len);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_slice doc = from_hex(row->hex);
    struct cdc_buf out = CDC_BUF(4096);
    int rc = mys_json_print(doc, &out);
    if (row->text) {
        assert_int_equal(rc, CDC_OK);
        assert_string_equal(cdc_buf_cstr(&out), row->text);
    } else {
        assert_int_equal(rc, CDC_FAIL);
    }
    free((void *)(uintptr_t)doc.p);
    cdc_buf_done(&out);
}

static void test_prefixes(void **state)
{
    const struct row *row = *state;
    struct cdc_slice doc = from_hex(row->hex);
    for (size_t n = 1; row->text && n < doc.len; n++) {
        struct cdc_buf out = CDC_BUF(4096);
        uint8_t *prefix = malloc(n);
        assert_non_null(prefix);
        memcpy(prefix, doc.p, n);
        assert_int_equal(mys_json_print(cdc_slice_of(prefix, n), &out), CDC_FAIL);
        free(prefix);
        cdc_buf_done(&out);
    }
    free((void *)(uintptr_t)doc.p);
}

/* n arrays, one in the other: type 2, count 1, size, entry {2, offset 7}. */
static int nested(unsigned n, struct cdc_buf *out)
{
    struct cdc_buf doc = CDC_BUF(4096);
    cdc_buf_byte(&doc, 2);
    for (unsigned i = 0; i < n; i++) {
        unsigned size = (n - i - 1) * 7 + 4;
        const uint8_t head[] = {i + 1 < n, 0, (uint8_t)size, (uint8_t)(size >> 8), 2, 7, 0};
        cdc_buf_put(&doc, head, i + 1 < n ? 7 : 4);
    }
    int rc = mys_json_print(cdc_buf_slice(&doc), out);
    cdc_buf_done(&doc);
    return rc;
}

static void test_depth(void **state)
{
    struct cdc_buf out = CDC_BUF(4096);
    (void)state;
    assert_int_equal(nested(MYS_JSON_DEPTH, &out), CDC_OK);
    assert_int_equal(out.len, 2 * MYS_JSON_DEPTH);
    assert_int_equal(nested(MYS_JSON_DEPTH + 1, &out), CDC_FAIL);
    cdc_buf_done(&out);
}

/* Arrays whose entries all point to the next one: the text doubles with each, and is cut off. */
static void test_size(void **state)
{
    struct cdc_buf doc = CDC_BUF(4096), out = CDC_BUF((size_t)1 << 16);
    (void)state;
    cdc_buf_byte(&doc, 2);
    for (unsigned i = 0; i < 60; i++) {
        unsigned size = (60 - i) * 10 + 4;
        const uint8_t head[] = {2, 0, (uint8_t)size, (uint8_t)(size >> 8), 2, 10, 0, 2, 10, 0};
        cdc_buf_put(&doc, head, sizeof head);
    }
    cdc_buf_put(&doc, "\0\0\4\0", 4);
    assert_int_equal(mys_json_print(cdc_buf_slice(&doc), &out), CDC_OK);
    assert_true(out.failed);
    cdc_buf_done(&doc);
    cdc_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest singles[] = {cmocka_unit_test(test_depth), cmocka_unit_test(test_size)};
    struct CMUnitTest tests[2 * CM_COUNT(rows) + 2], *to = tests;
    to = CM_ROWS(to, test_row, rows);
    to = CM_ROWS(to, test_prefixes, rows);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("mysql: json", tests, NULL, NULL);
}
