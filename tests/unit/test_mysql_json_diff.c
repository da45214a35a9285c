/*
 * test_mysql_json_diff.c - differences of JSON documents: tables of paths and documents, in the
 * small and the large form; every proper prefix of both; what no server writes. Random ones:
 * test_mysql_json_model.c; a server's: test_mysql_json_recorded.c.
 */
#include "mysql_json_kit.h"
#include "rows.h"

#include "../../connectors/mysql/json.h"

#include <stdio.h>

#define R(path, val)                                                                               \
    {                                                                                              \
        JK_REPLACE, path, val                                                                      \
    }
#define I(path, val)                                                                               \
    {                                                                                              \
        JK_INSERT, path, val                                                                       \
    }
#define D(path)                                                                                    \
    {                                                                                              \
        JK_REMOVE, path, NULL                                                                      \
    }
#define ABC "{\"a\": 1, \"b\": [1, 2, 3], \"cc\": {\"x\": null}}"

/* text NULL: it does not fit. */
static const struct row {
    const char *name, *doc;
    struct {
        int op;
        const char *path, *val;
    } diffs[4];
    const char *text;
} rows[] = {
    {"nothing", ABC, {{0}}, ABC},
    {"replace a member",
     ABC,
     {R("$.a", "\"x\"")},
     "{\"a\": \"x\", \"b\": [1, 2, 3], \"cc\": {\"x\": null}}"},
    {"replace an element",
     ABC,
     {R("$.b[1]", "{}")},
     "{\"a\": 1, \"b\": [1, {}, 3], \"cc\": {\"x\": null}}"},
    {"replace the last",
     ABC,
     {R("$.b[last]", "9")},
     "{\"a\": 1, \"b\": [1, 2, 9], \"cc\": {\"x\": null}}"},
    {"replace from the end",
     ABC,
     {R("$.b[last-2]", "9")},
     "{\"a\": 1, \"b\": [9, 2, 3], \"cc\": {\"x\": null}}"},
    {"replace twice",
     ABC,
     {R("$.a", "2"), R("$.a", "3")},
     "{\"a\": 3, \"b\": [1, 2, 3], \"cc\": {\"x\": null}}"},
    {"replace what is not there", ABC, {R("$.z", "1")}, NULL},
    {"replace behind the end", "[1]", {R("$[1]", "1")}, NULL},
    {"replace before the beginning", "[1]", {R("$[last-1]", "1")}, NULL},
    {"replace the whole", ABC, {R("$", "1")}, NULL},
    {"replace in a scalar", "{\"a\": 1}", {R("$.a[0]", "1")}, NULL},
    {"member of an array", "[1]", {R("$.a", "1")}, NULL},
    {"element of an object", "{\"a\": 1}", {R("$[0]", "1")}, NULL},
    {"a scalar document", "1", {R("$[0]", "1")}, NULL},
    {"insert before all",
     "{\"b\": 1, \"dd\": 2}",
     {I("$.a", "0")},
     "{\"a\": 0, \"b\": 1, \"dd\": 2}"},
    {"insert between", "{\"b\": 1, \"dd\": 2}", {I("$.c", "0")}, "{\"b\": 1, \"c\": 0, \"dd\": 2}"},
    {"insert behind all",
     "{\"b\": 1, \"dd\": 2}",
     {I("$.aaa", "0")},
     "{\"b\": 1, \"dd\": 2, \"aaa\": 0}"},
    {"insert into nothing",
     "{}",
     {I("$.a", "[]"), I("$.a[0]", "1"), I("$.a[0]", "0")},
     "{\"a\": [0, 1]}"},
    {"insert what is there", ABC, {I("$.a", "1")}, NULL},
    {"insert what was inserted", ABC, {I("$.q", "1"), I("$.q", "2")}, NULL},
    {"insert under nothing", ABC, {I("$.z.y", "1")}, NULL},
    {"insert under a scalar", ABC, {I("$.a.y", "1")}, NULL},
    {"insert an element", "[1, 2]", {I("$[1]", "9")}, "[1, 9, 2]"},
    {"insert the first", "[1, 2]", {I("$[0]", "9")}, "[9, 1, 2]"},
    {"append", "[1, 2]", {I("$[2]", "9")}, "[1, 2, 9]"},
    {"append far behind the end", "[1, 2]", {I("$[4294967295]", "9")}, "[1, 2, 9]"},
    {"append to nothing", "[]", {I("$[7]", "9")}, "[9]"},
    {"insert before the last", "[1, 2]", {I("$[last]", "9")}, "[1, 9, 2]"},
    {"insert before the beginning", "[1, 2]", {I("$[last-9]", "9")}, "[9, 1, 2]"},
    {"remove a member", ABC, {D("$.b")}, "{\"a\": 1, \"cc\": {\"x\": null}}"},
    {"remove all", "{\"a\": 1, \"b\": 2}", {D("$.b"), D("$.a")}, "{}"},
    {"remove an element", "[1, 2, 3]", {D("$[1]")}, "[1, 3]"},
    {"remove the first twice", "[1, 2, 3]", {D("$[0]"), D("$[0]")}, "[3]"},
    {"remove the last", "[1, 2, 3]", {D("$[last]"), D("$[last-1]")}, "[2]"},
    {"remove behind the end", "[1]", {D("$[1]")}, NULL},
    {"remove what is not there", ABC, {D("$.aa")}, NULL},
    {"remove what was removed", ABC, {D("$.a"), D("$.a")}, NULL},
    {"remove the whole", ABC, {D("$")}, NULL},
    {"remove, insert again",
     ABC,
     {D("$.b"), I("$.b", "0")},
     "{\"a\": 1, \"b\": 0, \"cc\": {\"x\": null}}"},
    {"remove what was inserted", "{\"a\": 1}", {I("$.b", "2"), D("$.b"), D("$.a")}, "{}"},
    {"into what was inserted",
     ABC,
     {I("$.z", "{\"y\": [[]]}"), I("$.z.y[0][0]", "1"), R("$.z.y[0]", "[2]")},
     "{\"a\": 1, \"b\": [1, 2, 3], \"z\": {\"y\": [[2]]}, \"cc\": {\"x\": null}}"},
    {"several in one array",
     "[0, 1, 2, 3, 4, 5]",
     {I("$[2]", "\"n\""), D("$[4]"), R("$[last]", "55"), D("$[0]")},
     "[1, \"n\", 2, 4, 55]"},
    {"a quoted leg",
     "{\"a.b\": [1, 2, 3, {\"c\": 4}]}",
     {R("$.\"a.b\"[3].c", "5")},
     "{\"a.b\": [1, 2, 3, {\"c\": 5}]}"},
    {"no name", "{\"\": 1}", {R("$.\"\"", "2")}, "{\"\": 2}"},
    {"escapes", "{\"q\\\"\\\\q\": 1}", {R("$.\"q\\\"\\\\q\"", "2")}, "{\"q\\\"\\\\q\": 2}"},
    {"all escapes",
     "{}",
     {I("$.\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u00e4\\u20ac\\ud83d\\ude00\"", "1")},
     "{\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u00e4\u20ac\U0001F600\": 1}"},
    {"UTF-8",
     "{\"schlüssel\": 1, \"日 本\": 2}",
     {R("$.schlüssel", "3"), R("$.\"日 本\"", "\"ä\"")},
     "{\"日 本\": \"ä\", \"schlüssel\": 3}"},
    {"names that look like words",
     "{\"$\": 1, \"_\": 2, \"last\": 3}",
     {R("$.last", "6"), R("$.$", "4"), R("$._", "5")},
     "{\"$\": 4, \"_\": 5, \"last\": 6}"},
    {"keys by length first",
     "{\"b\": 1, \"aa\": 2, \"ab\": 3, \"bbb\": 4}",
     {I("$.a", "5"), R("$.ab", "6"), I("$.ac", "7"), D("$.bbb")},
     "{\"a\": 5, \"b\": 1, \"aa\": 2, \"ab\": 6, \"ac\": 7}"},
    {"blank in a path", "{\"a\": 1}", {R("$ .a", "2")}, NULL},
    {"wildcard", "{\"a\": 1}", {R("$.*", "2")}, NULL},
    {"any element", "[1]", {R("$[*]", "2")}, NULL},
    {"any depth", "{\"a\": 1}", {R("$**.a", "2")}, NULL},
    {"range", "[1]", {R("$[0 to 0]", "2")}, NULL},
    {"number above 32 bits", "[1]", {I("$[4294967296]", "2")}, NULL},
    {"negative number", "[1]", {I("$[-1]", "2")}, NULL},
    {"no number", "[1]", {I("$[]", "2")}, NULL},
    {"last of nothing", "[1]", {I("$[last-]", "2")}, NULL},
    {"no end of an element", "[1]", {I("$[0", "2")}, NULL},
    {"no end of a quote", "{\"a\": 1}", {R("$.\"a", "2")}, NULL},
    {"no end of an escape", "{\"a\": 1}", {R("$.\"a\\\"", "2")}, NULL},
    {"unknown escape", "{}", {I("$.\"\\x\"", "2")}, NULL},
    {"half of a pair", "{}", {I("$.\"\\ud83d\"", "2")}, NULL},
    {"other half", "{}", {I("$.\"\\ude00\"", "2")}, NULL},
    {"pair of no pair", "{}", {I("$.\"\\ud83d\\u0041\"", "2")}, NULL},
    {"no hexadecimal digits", "{}", {I("$.\"\\u00g0\"", "2")}, NULL},
    {"no UTF-8", "{}", {I("$.\"\xff\"", "2")}, NULL},
    {"name of nothing", "{\"\": 1}", {R("$.", "2")}, NULL},
    {"no scope", "{\"a\": 1}", {R(".a", "2")}, NULL},
    {"no path", "{\"a\": 1}", {R("", "2")}, NULL},
};

#undef R
#undef I
#undef D

struct made {
    struct cdc_buf doc, diffs, out;
    size_t ends[5];
    unsigned n;
};

static void make(const struct row *row, bool large, struct made *ret)
{
    json_t *doc = jk_parse(row->doc);
    *ret =
        (struct made){.doc = CDC_BUF(1 << 20), .diffs = CDC_BUF(1 << 20), .out = CDC_BUF(1 << 20)};
    jk_doc(&ret->doc, doc, large);
    for (unsigned i = 0; i < 4 && row->diffs[i].path; i++) {
        json_t *val = row->diffs[i].val ? jk_parse(row->diffs[i].val) : NULL;
        jk_diff(&ret->diffs, row->diffs[i].op, row->diffs[i].path, val, large);
        ret->ends[++ret->n] = ret->diffs.len;
        json_decref(val);
    }
    json_decref(doc);
}

static void unmake(struct made *made)
{
    cdc_buf_done(&made->doc);
    cdc_buf_done(&made->diffs);
    cdc_buf_done(&made->out);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    for (unsigned large = 0; large < 2; large++) {
        struct made made;
        make(row, large, &made);
        int rc = jk_apply(cdc_buf_slice(&made.doc), cdc_buf_slice(&made.diffs), &made.out);
        assert_int_equal(rc, row->text ? CDC_OK : CDC_FAIL);
        if (row->text)
            assert_string_equal(cdc_buf_cstr(&made.out), row->text);
        unmake(&made);
    }
}

/* A prefix of the differences is malformed unless it ends where one of them does; a prefix of the
 * document always is. */
static void test_prefixes(void **state)
{
    const struct row *row = *state;
    struct made made;
    if (!row->text)
        return;
    make(row, false, &made);
    struct cdc_slice doc = cdc_buf_slice(&made.doc), diffs = cdc_buf_slice(&made.diffs);
    for (size_t n = 0, end = 0; n < diffs.len; n++) {
        bool whole = n == made.ends[end];
        end += whole;
        int rc = jk_apply(doc, cdc_slice_of(diffs.p, n), &made.out);
        assert_int_equal(rc, whole ? CDC_OK : CDC_FAIL);
    }
    for (size_t n = 1; n < doc.len; n++)
        assert_int_equal(jk_apply(cdc_slice_of(doc.p, n), diffs, &made.out), CDC_FAIL);
    unmake(&made);
}

/* Bytes that no server writes. The document is [1, {}]. */
static const struct raw {
    const char *name, *hex;
} raws[] = {
    {"operation", "0304245b305d03050200"},
    {"path above the bytes", "0210245b305d"},
    {"path of NULL length", "02fb"},
    {"value above the bytes", "0004245b305d050501"},
    {"value of an unknown type", "0004245b305d020d00"},
    {"value cut short", "0004245b305d020501"},
    {"value with a size above it", "0004245b305d050200000500"},
    {"into a value with a size above it", "0004245b305d0502000005000207245b305d5b305d"},
};

static void test_raw(void **state)
{
    static const uint8_t doc[] = {2, 2, 0, 14, 0, 5, 1, 0, 0, 10, 0, 0, 0, 4, 0};
    const struct raw *raw = *state;
    struct cdc_buf diffs = CDC_BUF(256), out = CDC_BUF(256);
    for (const char *at = raw->hex; *at; at += 2) {
        unsigned byte;
        assert_int_equal(sscanf(at, "%2x", &byte), 1);
        cdc_buf_byte(&diffs, (uint8_t)byte);
    }
    assert_int_equal(jk_apply(cdc_slice_of(doc, sizeof doc), cdc_slice_of(NULL, 0), &out), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&out), "[1, {}]");
    assert_int_equal(jk_apply(cdc_slice_of(doc, sizeof doc), cdc_buf_slice(&diffs), &out),
                     CDC_FAIL);
    cdc_buf_done(&diffs);
    cdc_buf_done(&out);
}

/* A document of no bytes is null; so is a value. */
static void test_empty(void **state)
{
    (void)state;
    static const uint8_t box[] = {2, 0, 0, 4, 0}, diff[] = {1, 4, '$', '[', '0', ']', 0};
    struct cdc_buf out = CDC_BUF(256);
    assert_int_equal(jk_apply(cdc_slice_of(NULL, 0), cdc_slice_of(NULL, 0), &out), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&out), "null");
    int rc = jk_apply(cdc_slice_of(box, sizeof box), cdc_slice_of(diff, sizeof diff), &out);
    assert_int_equal(rc, CDC_OK);
    assert_string_equal(cdc_buf_cstr(&out), "[null]");
    cdc_buf_done(&out);
}

/* An array around arrays, and the path to the innermost. */
static json_t *nested(unsigned deep, struct cdc_buf *path)
{
    json_t *val = json_array();
    cdc_buf_byte(path, '$');
    for (unsigned i = 1; i < deep; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, val);
        val = outer;
        cdc_buf_str(path, "[0]");
    }
    cdc_buf_str(path, "[0]");
    return val;
}

/* `what` put into the innermost of so many arrays. */
static int put_deep(unsigned deep, const char *what)
{
    struct cdc_buf path = CDC_BUF(4096), doc = CDC_BUF(1 << 16), diffs = CDC_BUF(1 << 16);
    struct cdc_buf out = CDC_BUF(1 << 16);
    json_t *val = nested(deep, &path), *one = jk_parse(what);
    jk_doc(&doc, val, false);
    jk_diff(&diffs, JK_INSERT, cdc_buf_cstr(&path), one, false);
    int rc = jk_apply(cdc_buf_slice(&doc), cdc_buf_slice(&diffs), &out);
    json_decref(val);
    json_decref(one);
    cdc_buf_done(&path);
    cdc_buf_done(&doc);
    cdc_buf_done(&diffs);
    cdc_buf_done(&out);
    return rc;
}

/* 100 deep is the most, however it came to be. */
static void test_depth(void **state)
{
    (void)state;
    for (unsigned deep = 98; deep < 103; deep++) {
        assert_int_equal(put_deep(deep, "1"), deep <= MYS_JSON_DEPTH ? CDC_OK : CDC_FAIL);
        assert_int_equal(put_deep(deep, "[]"), deep < MYS_JSON_DEPTH ? CDC_OK : CDC_FAIL);
    }
}

/* What does not fit the buffer is told by it. */
static void test_full(void **state)
{
    (void)state;
    struct made made;
    make(&rows[1], false, &made);
    struct cdc_buf out = CDC_BUF(20);
    int rc = jk_apply(cdc_buf_slice(&made.doc), cdc_buf_slice(&made.diffs), &out);
    assert_true(rc == CDC_OK && out.failed);
    cdc_buf_done(&out);
    unmake(&made);
}

int main(void)
{
    struct CMUnitTest tests[2 * CM_COUNT(rows) + CM_COUNT(raws) + 3], *to = tests;
    to = CM_ROWS(to, test_row, rows);
    to = CM_ROWS(to, test_prefixes, rows);
    to = CM_ROWS(to, test_raw, raws);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_empty);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_depth);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_full);
    return cmocka_run_group_tests_name("mysql: JSON differences", tests, NULL, NULL);
}
