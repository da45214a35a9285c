/* test_registry_schema.c - Avro schemas parsed: what is one, what is not, which two are the same.
 */
#include "cm.h"

#include <stdio.h>

#include "registry/schema.h"

#define REC(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"

static const struct row {
    const char *text;
    const char *bad; /* in the message; NULL: it is one */
} rows[] = {
    {"\"int\"", NULL},
    {"{\"type\":\"long\",\"logicalType\":\"nonsense\"}", NULL},
    {"[\"null\",\"string\"]", NULL},
    {"[]", NULL},
    {REC("R", ""), NULL},
    {REC("a.b.R", "{\"name\":\"x\",\"type\":[\"null\",\"R\"]}"), NULL},
    {REC("a.b.R", "{\"name\":\"x\",\"type\":[\"null\",\"a.b.R\"],\"default\":null}"), NULL},
    {REC("R", "{\"name\":\"x\",\"type\":{\"type\":\"fixed\",\"name\":\"n.F\",\"size\":3}},"
              "{\"name\":\"y\",\"type\":\"n.F\"}"),
     NULL},
    {REC("R", "{\"name\":\"x\",\"type\":[\"null\",\"int\"],\"default\":3}"), NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}", NULL},
    {"", "no JSON"},
    {"{", "no JSON"},
    {"\"nothing\"", "no type that is known"},
    {"{\"type\":\"nothing\"}", "no type that is known"},
    {"{\"type\":{\"type\":\"int\"}}", "has no type"},
    {"3", "has no type"},
    {"null", "has no type"},
    {"\"record\"", "no type that is known"},
    {"[\"int\",\"int\"]", "stands twice in one union"},
    {"[\"int\",[\"null\"]]", "stands in a union"},
    {"{\"type\":\"record\",\"fields\":[]}", "has no proper name"},
    {"{\"type\":\"record\",\"name\":\"R\"}", "has no list of fields"},
    {REC("a-b", ""), "has no proper name"},
    {REC("a..b", ""), "has no proper name"},
    {REC("9", ""), "has no proper name"},
    {REC("int", ""), "one of Avro's own types"},
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"9\",\"fields\":[]}", "is no namespace"},
    {REC("R", "{\"name\":\"x\"}"), "has no type"},
    {REC("R", "{\"type\":\"int\"}"), "has no proper name"},
    {REC("R", "{\"name\":\"x\",\"type\":\"int\"},{\"name\":\"x\",\"type\":\"int\"}"),
     "stands twice in one record"},
    {REC("R", "{\"name\":\"x\",\"type\":\"int\",\"default\":\"a\"}"), "not of its type"},
    {REC("R", "{\"name\":\"x\",\"type\":\"int\",\"default\":3000000000}"), "not of its type"},
    {REC("R", "{\"name\":\"x\",\"type\":[\"null\",\"int\"],\"default\":\"a\"}"), "not of its type"},
    {REC("R", "{\"name\":\"x\",\"type\":" REC("R", "") "}"), "defined twice"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", "stands twice in one enum"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}",
     "none of its symbols"},
    {"{\"type\":\"enum\",\"name\":\"E\"}", "no list of symbols"},
    {"{\"type\":\"fixed\",\"name\":\"F\"}", "no proper size"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "no proper size"},
    {"{\"type\":\"array\"}", "has no type"},
    {"{\"type\":\"map\",\"values\":\"x\"}", "no type that is known"},
    {"{\"type\":\"record\",\"name\":\"R\",\"aliases\":\"x\",\"fields\":[]}", "is no list"},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_avro_schema *schema = NULL, *none = NULL;
    struct cdc_error err = {0};
    int rc = cdc_avro_schema_parse(cdc_slice_str(row->text), &schema, &err);
    assert_int_equal(rc, row->bad ? CDC_FAIL : CDC_OK);
    if (row->bad && !strstr(err.message, row->bad))
        fail_msg("%s: \"%s\" is not in \"%s\"", row->text, row->bad, err.message);
    for (size_t n = 0; !row->bad && n < strlen(row->text); n++) /* and no prefix of it is one */
        assert_int_equal(cdc_avro_schema_parse(cdc_slice_of(row->text, n), &none, &err), CDC_FAIL);
    cdc_avro_schema_free(schema);
}

static void test_depth(void **state)
{
    (void)state;
    struct cdc_buf text = CDC_BUF(1 << 20);
    struct cdc_avro_schema *schema = NULL;
    for (int i = 0; i < 500; i++)
        cdc_buf_str(&text, "{\"type\":\"array\",\"items\":");
    cdc_buf_str(&text, "\"int\"");
    for (int i = 0; i < 500; i++)
        cdc_buf_str(&text, "}");
    struct cdc_error err = {0};
    assert_int_equal(cdc_avro_schema_parse(cdc_buf_slice(&text), &schema, &err), CDC_FAIL);
    assert_non_null(strstr(err.message, "nested too deeply"));
    cdc_buf_done(&text);
}

static const struct same {
    const char *a, *b;
    bool same;
} sames[] = {
    {"\"int\"", "{\"type\":\"int\"}", true},
    {"\"int\"", "{\"type\":\"int\",\"doc\":\"x\"}", true},
    {"\"int\"", "\"long\"", false},
    {"\"int\"", "{\"type\":\"int\",\"logicalType\":\"date\"}", false},
    {REC("n.R", ""), "{\"name\":\"R\",\"fields\":[],\"type\":\"record\",\"namespace\":\"n\"}",
     true},
    {REC("n.R", ""), REC("m.R", ""), false},
    {REC("R", "{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\",\"type\":\"int\"}"),
     REC("R", "{\"name\":\"b\",\"type\":\"int\"},{\"name\":\"a\",\"type\":\"int\"}"), false},
    {REC("R", "{\"name\":\"a\",\"type\":\"int\"}"),
     REC("R", "{\"name\":\"a\",\"type\":\"int\",\"default\":1}"), false},
    {"[\"null\",\"int\"]", "[\"int\",\"null\"]", false},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":1}",
     "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}", false},
};

static void test_same(void **state)
{
    const struct same *row = *state;
    struct cdc_avro_schema *a = NULL, *b = NULL;
    assert_int_equal(cdc_avro_schema_parse(cdc_slice_str(row->a), &a, NULL), CDC_OK);
    assert_int_equal(cdc_avro_schema_parse(cdc_slice_str(row->b), &b, NULL), CDC_OK);
    assert_int_equal(cdc_avro_schema_same(a, b), row->same);
    assert_int_equal(cdc_avro_schema_same(b, a), row->same);
    assert_true(cdc_avro_schema_same(a, a));
    cdc_avro_schema_free(a);
    cdc_avro_schema_free(b);
}

int main(void)
{
    static struct CMUnitTest tests[128];
    size_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].text,
                                         .test_func = test_row,
                                         .initial_state = (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < sizeof sames / sizeof *sames; i++)
        tests[n++] = (struct CMUnitTest){.name = sames[i].b,
                                         .test_func = test_same,
                                         .initial_state = (void *)(uintptr_t)&sames[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_depth);
    return _cmocka_run_group_tests("registry_schema", tests, n, NULL, NULL);
}
