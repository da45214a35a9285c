/*
 * test_registry_compat.c - may a schema follow another: Avro's own cases, levels, guard, words.
 *
 * tests/data/registry/compat.json holds the schema-resolution cases of the Avro project and some of
 * ours as pairs with a verdict; the scenario registry_http asks a real registry about the same.
 */
#include "cm.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "registry/compat.h"

#define PAIRS "tests/data/registry/compat.json"

static struct cdc_avro_schema *parse(const char *text)
{
    struct cdc_avro_schema *schema = NULL;
    struct cdc_error err = {0};
    if (cdc_avro_schema_parse(cdc_slice_str(text), &schema, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return schema;
}

struct pair {
    char name[200];
    char *reader, *writer;
    bool reads;
};

static void test_pair(void **state)
{
    const struct pair *pair = *state;
    struct cdc_avro_schema *reader = parse(pair->reader), *writer = parse(pair->writer);
    assert_int_equal(cdc_compat_reads(reader, writer), pair->reads);
    /* at BACKWARD the same as new after old, but for the guard; and words wherever not */
    struct cdc_buf why = CDC_BUF(4096);
    bool follows = cdc_compat_follows(writer, reader, CDC_COMPAT_BACKWARD, &why);
    assert_int_equal(follows, pair->reads && cdc_guard_reads(reader, writer));
    assert_int_equal(follows, why.len == 0);
    cdc_buf_done(&why);
    cdc_avro_schema_free(reader);
    cdc_avro_schema_free(writer);
}

static size_t load_pairs(struct CMUnitTest *tests, struct pair *pairs, size_t cap)
{
    json_t *all = json_load_file(PAIRS, 0, NULL);
    json_t *list = json_object_get(all, "pairs"), *schemas = json_object_get(all, "schemas");
    size_t n = json_array_size(list);
    n = n < cap ? n : cap;
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(list, i);
        const char *reader = json_string_value(json_array_get(row, 1));
        const char *writer = json_string_value(json_array_get(row, 2));
        pairs[i].reads = strcmp(json_string_value(json_array_get(row, 0)), "yes") == 0;
        pairs[i].reader = json_dumps(json_object_get(schemas, reader), JSON_ENCODE_ANY);
        pairs[i].writer = json_dumps(json_object_get(schemas, writer), JSON_ENCODE_ANY);
        snprintf(pairs[i].name, sizeof pairs[i].name, "%s reads %s", reader, writer);
        tests[i] = (struct CMUnitTest){
            .name = pairs[i].name, .test_func = test_pair, .initial_state = &pairs[i]};
    }
    json_decref(all);
    return n;
}

#define REC(fields)        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define COL(name, type)    "{\"name\":\"" name "\",\"type\":" type "}"
#define OPT(name, type)    "{\"name\":\"" name "\",\"type\":[\"null\"," type "],\"default\":null}"
#define LOGICAL(type, log) "{\"type\":\"" type "\",\"logicalType\":\"" log "\"}"
#define DEC(p, s)                                                                                  \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":" s "}"
#define FIX(n, p, s)                                                                               \
    "{\"type\":\"fixed\",\"name\":\"f\",\"size\":" n                                               \
    ",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":" s "}"
#define CONNECT(type, name) "{\"type\":\"" type "\",\"connect.name\":\"" name "\"}"

/* What follows what, at which level, and what is said if not. */
static const struct follow {
    const char *name, *before, *now;
    enum cdc_compat_level level;
    const char *why; /* NULL: it may */
} follows[] = {
    {"column added", REC(OPT("a", "\"int\"")), REC(OPT("a", "\"int\"") "," OPT("b", "\"string\"")),
     CDC_COMPAT_FULL_TRANSITIVE, NULL},
    {"column dropped", REC(OPT("a", "\"int\"") "," OPT("b", "\"string\"")),
     REC(OPT("a", "\"int\"")), CDC_COMPAT_FULL, NULL},
    {"renamed: dropped and added", REC(OPT("a", "\"int\"")), REC(OPT("b", "\"int\"")),
     CDC_COMPAT_FULL, NULL},
    {"widened, new readers", REC(OPT("a", "\"int\"")), REC(OPT("a", "\"long\"")),
     CDC_COMPAT_BACKWARD, NULL},
    {"widened, old readers", REC(OPT("a", "\"int\"")), REC(OPT("a", "\"long\"")),
     CDC_COMPAT_FORWARD, "column a: was int, is long"},
    {"widened, both", REC(OPT("a", "\"int\"")), REC(OPT("a", "\"long\"")), CDC_COMPAT_FULL,
     "column a: was int, is long"},
    {"narrowed", REC(OPT("a", "\"long\"")), REC(OPT("a", "\"int\"")), CDC_COMPAT_BACKWARD,
     "column a: was long, is int"},
    {"narrowed, old readers", REC(OPT("a", "\"long\"")), REC(OPT("a", "\"int\"")),
     CDC_COMPAT_FORWARD_TRANSITIVE, NULL},
    {"narrowed, nobody asks", REC(OPT("a", "\"long\"")), REC(OPT("a", "\"int\"")), CDC_COMPAT_NONE,
     NULL},
    {"number to text", REC(OPT("a", "\"int\"")), REC(OPT("a", "\"string\"")), CDC_COMPAT_BACKWARD,
     "column a: was int, is string"},
    {"new without default", REC(COL("a", "\"int\"")),
     REC(COL("a", "\"int\"") "," COL("b", "\"int\"")), CDC_COMPAT_BACKWARD,
     "column b: is new and has no default"},
    {"gone without default", REC(COL("a", "\"int\"") "," COL("b", "\"int\"")),
     REC(COL("a", "\"int\"")), CDC_COMPAT_FORWARD,
     "column b: is gone, and who knows the old schema has no default"},
    {"never null any more", REC(OPT("a", "\"int\"")), REC(COL("a", "\"int\"")), CDC_COMPAT_BACKWARD,
     "column a: was int or null, is int"},
    {"two differences", REC(OPT("a", "\"int\"") "," OPT("b", "\"long\"")),
     REC(OPT("a", "\"string\"") "," OPT("b", "\"int\"")), CDC_COMPAT_BACKWARD,
     "column a: was int, is string; column b: was long, is int"},
    {"scale, on bytes", REC(OPT("price", DEC("10", "2"))), REC(OPT("price", DEC("12", "4"))),
     CDC_COMPAT_BACKWARD, "column price: was decimal(10,2), is decimal(12,4)"},
    {"scale, on fixed of one size", REC(OPT("price", FIX("5", "10", "2"))),
     REC(OPT("price", FIX("5", "10", "3"))), CDC_COMPAT_BACKWARD,
     "column price: was decimal(10,2), is decimal(10,3)"},
    {"scale, nobody asks: the guard does", REC(OPT("price", DEC("10", "2"))),
     REC(OPT("price", DEC("12", "4"))), CDC_COMPAT_NONE,
     "column price: was decimal(10,2), is decimal(12,4)"},
    {"more digits, same scale", REC(OPT("price", DEC("10", "2"))),
     REC(OPT("price", DEC("12", "2"))), CDC_COMPAT_BACKWARD, NULL},
    {"more digits, old readers", REC(OPT("price", DEC("10", "2"))),
     REC(OPT("price", DEC("12", "2"))), CDC_COMPAT_FORWARD,
     "column price: was decimal(10,2), is decimal(12,2)"},
    {"fewer digits", REC(OPT("price", DEC("12", "2"))), REC(OPT("price", DEC("10", "2"))),
     CDC_COMPAT_BACKWARD, "column price: was decimal(12,2), is decimal(10,2)"},
    {"millis to micros", REC(OPT("at", LOGICAL("long", "timestamp-millis"))),
     REC(OPT("at", LOGICAL("long", "timestamp-micros"))), CDC_COMPAT_BACKWARD,
     "column at: was timestamp-millis, is timestamp-micros"},
    {"a number to a time", REC(OPT("at", "\"long\"")),
     REC(OPT("at", LOGICAL("long", "timestamp-micros"))), CDC_COMPAT_BACKWARD,
     "column at: was long, is timestamp-micros"},
    {"a date to a number of more bits", REC(OPT("d", LOGICAL("int", "date"))),
     REC(OPT("d", "\"long\"")), CDC_COMPAT_BACKWARD, "column d: was date, is long"},
    {"uuid to text", REC(OPT("u", LOGICAL("string", "uuid"))), REC(OPT("u", "\"string\"")),
     CDC_COMPAT_BACKWARD, NULL},
    {"text to uuid", REC(OPT("u", "\"string\"")), REC(OPT("u", LOGICAL("string", "uuid"))),
     CDC_COMPAT_BACKWARD, "column u: was string, is uuid"},
    {"zone",
     REC(OPT("at", "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"zone\":"
                   "\"none\"}")),
     REC(OPT("at", LOGICAL("long", "timestamp-micros"))), CDC_COMPAT_BACKWARD,
     "column at: was timestamp-micros (zone none), is timestamp-micros"},
    {"connect.name", REC(OPT("at", CONNECT("long", "io.debezium.time.Timestamp"))),
     REC(OPT("at", CONNECT("long", "io.debezium.time.MicroTimestamp"))), CDC_COMPAT_BACKWARD,
     "column at: was long (io.debezium.time.Timestamp), is long "
     "(io.debezium.time.MicroTimestamp)"},
    {"doc and defaults do not matter", REC("{\"name\":\"a\",\"type\":\"int\",\"doc\":\"x\"}"),
     REC("{\"name\":\"a\",\"type\":\"int\",\"default\":3}"), CDC_COMPAT_FULL, NULL},
    {"inside an array", REC(OPT("a", "{\"type\":\"array\",\"items\":[\"null\",\"int\"]}")),
     REC(OPT("a", "{\"type\":\"array\",\"items\":[\"null\",\"string\"]}")), CDC_COMPAT_BACKWARD,
     "column a: was array of union of null or int, is array of union of null or string"},
    {"inside an envelope",
     REC(OPT("before", "{\"type\":\"record\",\"name\":\"Value\",\"fields\":[" OPT(
                           "p", "\"int\"") "]}") "," OPT("after", "\"Value\"")),
     REC(OPT("before", "{\"type\":\"record\",\"name\":\"Value\",\"fields\":[" OPT(
                           "p", "\"string\"") "]}") "," OPT("after", "\"Value\"")),
     CDC_COMPAT_BACKWARD,
     "column before.p: was int, is string; column after.p: was int, is string"},
    {"a symbol is gone",
     REC(COL("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}")),
     REC(COL("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}")), CDC_COMPAT_BACKWARD,
     "column e: symbols of enum E that it does not have any more: B"},
    {"another record", REC(""), "{\"type\":\"record\",\"name\":\"Q\",\"fields\":[]}",
     CDC_COMPAT_BACKWARD, "was record R, is record Q"},
};

static void test_follow(void **state)
{
    const struct follow *row = *state;
    struct cdc_avro_schema *before = parse(row->before), *now = parse(row->now);
    struct cdc_buf why = CDC_BUF(4096);
    bool may = cdc_compat_follows(before, now, row->level, &why);
    assert_string_equal(cdc_buf_cstr(&why), row->why ? row->why : "");
    assert_int_equal(may, row->why == NULL);
    assert_true(cdc_compat_follows(before, before, CDC_COMPAT_FULL, &why));
    cdc_buf_done(&why);
    cdc_avro_schema_free(before);
    cdc_avro_schema_free(now);
}

/* Names used twice at each of many levels: without a memo 2^60 comparisons. */
static void test_doubled_names(void **state)
{
    (void)state;
    struct cdc_buf text = CDC_BUF(1 << 20);
    for (int i = 0; i < 60; i++)
        cdc_buf_printf(&text,
                       "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\","
                       "\"type\":",
                       i);
    cdc_buf_str(&text, "\"int\"");
    for (int i = 59; i >= 0; i--) {
        if (i < 59)
            cdc_buf_printf(&text, "},{\"name\":\"b\",\"type\":\"R%d\"", i + 1);
        cdc_buf_str(&text, "}]}");
    }
    struct cdc_avro_schema *a = parse(cdc_buf_cstr(&text)), *b = parse(cdc_buf_cstr(&text));
    struct cdc_buf why = CDC_BUF(4096);
    assert_true(cdc_compat_follows(a, b, CDC_COMPAT_FULL, &why));
    assert_true(cdc_avro_schema_same(a, b));
    cdc_buf_done(&why);
    cdc_buf_done(&text);
    cdc_avro_schema_free(a);
    cdc_avro_schema_free(b);
}

static void test_level_names(void **state)
{
    (void)state;
    for (int i = 0; i < CDC_COMPAT_LEVELS; i++)
        assert_int_equal(cdc_compat_level_of(cdc_compat_level_name((enum cdc_compat_level)i)), i);
    assert_int_equal(cdc_compat_level_of("full_transitive"), CDC_COMPAT_FULL_TRANSITIVE);
    assert_int_equal(cdc_compat_level_of("sideways"), -1);
}

int main(void)
{
    static struct pair pairs[400];
    static struct CMUnitTest tests[500];
    size_t n = load_pairs(tests, pairs, 400), n_pairs = n;
    if (n < 160) {
        fprintf(stderr, "%s has %zu pairs; run from the top of the tree\n", PAIRS, n);
        return 1;
    }
    for (size_t i = 0; i < sizeof follows / sizeof *follows; i++)
        tests[n++] = (struct CMUnitTest){.name = follows[i].name,
                                         .test_func = test_follow,
                                         .initial_state = (void *)(uintptr_t)&follows[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_doubled_names);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_level_names);
    int rc = _cmocka_run_group_tests("registry_compat", tests, n, NULL, NULL);
    for (size_t i = 0; i < n_pairs; i++) {
        free(pairs[i].reader);
        free(pairs[i].writer);
    }
    return rc;
}
