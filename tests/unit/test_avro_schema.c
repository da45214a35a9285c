/* test_avro_schema.c - schema texts of the `row` envelope understood, and others refused by name.
 */
#include <stdio.h>
#include <stdlib.h>

#include "avro/check.h"
#include "avro/types.h"
#include "avro_cells.h"
#include "avro_mem.h"
#include "cm.h"

#define HEAD      "{\"type\":\"record\",\"name\":\"Row\",\"namespace\":\"n.s.t\",\"fields\":["
#define TAIL      "],\"cdc.schema\":\"s\",\"cdc.table\":\"t\",\"cdc.version\":3}"
#define ID        "{\"name\":\"id\",\"type\":[\"null\",\"int\"],\"default\":null,\"key\":1}"
#define ONE(t)    HEAD "{\"name\":\"c\",\"type\":" t "}" TAIL
#define DEC(more) ONE("[\"null\",{\"type\":\"fixed\",\"name\":\"c_dec\"," more "}]")

struct row {
    const char *name, *text;
    const char *refused; /* part of the message; NULL: it is a schema */
    enum cdc_kind kind;  /* of its first column */
    uint8_t bits;
};

/* clang-format off */
static const struct row rows[] = {
    {"int", ONE("[\"null\",\"int\"]"), NULL, CDC_INT, 32},
    {"long", ONE("[\"null\",{\"type\":\"long\"}]"), NULL, CDC_INT, 64},
    {"not null", ONE("\"boolean\""), NULL, CDC_BOOL, 0},
    {"float", ONE("\"float\""), NULL, CDC_FLOAT, 32},
    {"double", ONE("\"double\""), NULL, CDC_FLOAT, 64},
    {"string", ONE("\"string\""), NULL, CDC_TEXT, 0},
    {"string with a foreign attribute", ONE("{\"type\":\"string\",\"avro.java.string\":\"String\"}"), NULL, CDC_TEXT, 0},
    {"json", ONE("{\"type\":\"string\",\"cdc.kind\":\"json\"}"), NULL, CDC_JSON, 0},
    {"uuid", ONE("{\"type\":\"string\",\"logicalType\":\"uuid\"}"), NULL, CDC_UUID, 0},
    {"date", ONE("{\"type\":\"int\",\"logicalType\":\"date\"}"), NULL, CDC_DATE, 0},
    {"time", ONE("{\"type\":\"long\",\"logicalType\":\"time-micros\"}"), NULL, CDC_TIME, 0},
    {"timestamptz", ONE("{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"), NULL, CDC_TIMESTAMPTZ, 0},
    {"timestamp", ONE("{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"zone\":\"none\"}"), NULL, CDC_TIMESTAMP, 0},
    {"decimal", DEC("\"size\":6,\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2"), NULL, CDC_DECIMAL, 0},
    {"array", ONE("[\"null\",{\"type\":\"array\",\"items\":[\"null\",\"int\"]}]"), NULL, CDC_ARRAY, 32},
    {"key", HEAD ID TAIL, NULL, CDC_INT, 32},

    {"nothing", "", "no JSON", 0, 0},
    {"no JSON", "{", "no JSON", 0, 0},
    {"a doubled member", "{\"type\":\"record\",\"type\":\"record\"}", "no JSON", 0, 0},
    {"a string", "\"string\"", "no JSON", 0, 0}, /* a JSON text of a bare value is none for us */
    {"a list", "[]", "type", 0, 0},
    {"no record", "{\"type\":\"enum\"}", "type", 0, 0},
    {"no fields", HEAD TAIL, "fields", 0, 0},
    {"fields no list", "{\"type\":\"record\",\"fields\":{},\"cdc.schema\":\"s\",\"cdc.table\":\"t\",\"cdc.version\":3}", "fields", 0, 0},
    {"no table", "{\"type\":\"record\",\"fields\":[],\"cdc.schema\":\"s\",\"cdc.version\":3}", "cdc.table", 0, 0},
    {"version as text", "{\"type\":\"record\",\"fields\":[],\"cdc.schema\":\"s\",\"cdc.table\":\"t\",\"cdc.version\":\"3\"}", "cdc.version", 0, 0},
    {"version 0", "{\"type\":\"record\",\"fields\":[],\"cdc.schema\":\"s\",\"cdc.table\":\"t\",\"cdc.version\":0}", "cdc.version", 0, 0},
    {"field without name", HEAD "{\"type\":\"int\"}" TAIL, "without a name", 0, 0},
    {"field is a number", HEAD "1" TAIL, "without a name", 0, 0},
    {"field without type", HEAD "{\"name\":\"c\"}" TAIL, "c has a type", 0, 0},
    {"null behind", ONE("[\"int\",\"null\"]"), "c has a type", 0, 0},
    {"union of three", ONE("[\"null\",\"int\",\"long\"]"), "c has a type", 0, 0},
    {"union in a union", ONE("[\"null\",[\"null\",\"int\"]]"), "c has a type", 0, 0},
    {"map", ONE("{\"type\":\"map\",\"values\":\"int\"}"), "c has a type", 0, 0},
    {"record inside", ONE("{\"type\":\"record\",\"name\":\"x\",\"fields\":[]}"), "c has a type", 0, 0},
    {"array of int, not null", ONE("{\"type\":\"array\",\"items\":\"int\"}"), "c has a type", 0, 0},
    {"array of arrays", ONE("{\"type\":\"array\",\"items\":[\"null\",{\"type\":\"array\",\"items\":[\"null\",\"int\"]}]}"), "c has a type", 0, 0},
    {"array without items", ONE("{\"type\":\"array\"}"), "c has a type", 0, 0},
    {"logical type on another type", ONE("{\"type\":\"string\",\"logicalType\":\"date\"}"), "c has a type", 0, 0},
    {"decimal on bytes", ONE("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}"), "c has a type", 0, 0},
    {"fixed alone", DEC("\"size\":6"), "c has a type", 0, 0},
    {"decimal of 17 bytes", DEC("\"size\":17,\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2"), "c is a decimal", 0, 0},
    {"decimal of 0 bytes", DEC("\"size\":0,\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2"), "c is a decimal", 0, 0},
    {"decimal of negative size", DEC("\"size\":-1,\"logicalType\":\"decimal\",\"precision\":12,\"scale\":2"), "c is a decimal", 0, 0},
    {"decimal of 39 digits", DEC("\"size\":16,\"logicalType\":\"decimal\",\"precision\":39,\"scale\":2"), "c is a decimal", 0, 0},
    {"scale above precision", DEC("\"size\":6,\"logicalType\":\"decimal\",\"precision\":2,\"scale\":3"), "c is a decimal", 0, 0},
    {"meta column of another type", HEAD "{\"name\":\"__op\",\"type\":\"int\"}" TAIL, "__op has not", 0, 0},
    {"meta column nullable", HEAD "{\"name\":\"__seq\",\"type\":[\"null\",\"string\"]}" TAIL, "__seq has not", 0, 0},
    {"meta list of ints", HEAD "{\"name\":\"__unchanged\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"int\"}]}" TAIL, "__unchanged has not", 0, 0},
    {"column twice", HEAD ID "," ID TAIL, "stands twice", 0, 0},
    {"key place twice", HEAD ID ",{\"name\":\"c\",\"type\":\"int\",\"key\":1}" TAIL, "place in the key twice", 0, 0},
    {"key place missing", HEAD ID ",{\"name\":\"c\",\"type\":\"int\",\"key\":3}" TAIL, "place in the key twice", 0, 0},
    {"key place 0", HEAD "{\"name\":\"c\",\"type\":\"int\",\"key\":0}" TAIL, "cannot be", 0, 0},
    {"key place as text", HEAD "{\"name\":\"c\",\"type\":\"int\",\"key\":\"1\"}" TAIL, "cannot be", 0, 0},
};
/* clang-format on */

#define N (sizeof rows / sizeof *rows)

static void run(void **state)
{
    const struct row *row = *state;
    struct cdc_error err = {.message = ""};
    struct cdc_row_schema *schema = NULL;
    int rc = cdc_row_schema_parse(cdc_slice_str(row->text), &schema, &err);
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_null(schema);
        assert_int_equal(err.action, CDC_FATAL);
        if (!strstr(err.message, row->refused))
            fail_msg("\"%s\" is not in: %s", row->refused, err.message);
        return;
    }
    if (rc < 0)
        fail_msg("%s", err.message);
    const struct cdc_row_column *col = &schema->cols[0];
    assert_int_equal(col->kind == CDC_ARRAY ? CDC_ARRAY : col->kind, row->kind);
    assert_int_equal(col->bits, row->bits);
    assert_string_equal(schema->table_schema, "s");
    assert_string_equal(schema->table_name, "t");
    assert_int_equal(schema->version, 3);
    assert_int_equal(schema->meta[CDC_META_OP], -1);
    cdc_row_schema_free(schema);
}

/* Any text cut short is no schema, and reading stays inside it (each prefix has its own memory). */
static void prefixes(void **state)
{
    (void)state;
    static const char text[] = HEAD ID TAIL;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        struct cdc_row_schema *schema = NULL;
        assert_int_equal(cdc_row_schema_parse(cdc_slice_of(copy, n), &schema, NULL), CDC_FAIL);
        free(copy);
    }
}

/* What the writer of schema texts says, the parser understands; and stamps differ. */
static void own_text(void **state)
{
    (void)state;
    struct cdc_table *tab = cells_table();
    struct cdc_buf text = CDC_BUF(1 << 20);
    assert_int_equal(cdc_row_schema_text("shop", tab, &text, NULL), CDC_OK);
    struct cdc_row_schema *a, *b;
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&text), &a, NULL), CDC_OK);
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&text), &b, NULL), CDC_OK);
    assert_true(a->stamp != b->stamp);
    assert_int_equal(a->n, N_CELL_COLUMNS + CDC_METAS - 1);
    for (size_t i = 0; i < N_CELL_COLUMNS; i++) {
        const struct cdc_column *want = &cell_columns[i].col;
        assert_string_equal(a->cols[i].name, want->name);
        assert_int_equal(a->cols[i].kind, want->kind);
        assert_int_equal(a->cols[i].item, want->item);
        assert_int_equal(a->cols[i].bits, want->bits);
        assert_int_equal(a->cols[i].precision, want->precision);
        assert_int_equal(a->cols[i].scale, want->scale);
        assert_int_equal(a->cols[i].key, want->key);
        assert_true(a->cols[i].nullable);
    }
    for (int m = CDC_META_NONE + 1; m < CDC_METAS; m++) {
        assert_int_equal(a->meta[m], N_CELL_COLUMNS + (size_t)m - 1);
        assert_int_equal(a->cols[a->meta[m]].meta, m);
    }
    assert_int_equal(a->n_key, 1);
    assert_int_equal(a->key[0], 0);
    cdc_row_schema_free(a);
    cdc_row_schema_free(b);
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

/* Avro-C: takes ours, and says why it refuses others. */
static void avro_c(void **state)
{
    (void)state;
    struct cdc_error err = {.message = ""};
    assert_int_equal(cdc_avro_check(cdc_slice_str(HEAD ID TAIL), &err), CDC_OK);
    assert_int_equal(cdc_avro_check(cdc_slice_str("{\"type\":\"recrod\"}"), &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    assert_non_null(strstr(err.message, "Avro-C"));
    assert_int_equal(cdc_avro_check(cdc_slice_str("{"), &err), CDC_FAIL);
    assert_int_equal(cdc_avro_check(cdc_slice_of(NULL, 0), &err), CDC_FAIL);
}

/* Bytes of a decimal: each precision's own size, one digit more than the last that fits. */
static void sizes(void **state)
{
    (void)state;
    static const uint8_t most[] = {2, 4, 6, 9, 11, 14, 16, 18, 21, 23, 26, 28, 31, 33, 35, 38};
    for (uint8_t p = 1, i = 0; p <= 38; p++) {
        assert_int_equal(cdc_decimal_size(p), i + 1);
        if (p == most[i])
            i++;
    }
}

int main(void)
{
    struct CMUnitTest tests[N + 4] = {[N] = cmocka_unit_test(prefixes),
                                      [N + 1] = cmocka_unit_test(own_text),
                                      [N + 2] = cmocka_unit_test(avro_c),
                                      [N + 3] = cmocka_unit_test(sizes)};
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, run, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
