/*
 * test_envelope_schema.c - the schema text of the `row` envelope: byte for byte as in schemas/, the
 * same at every start, and refused where a name would be lost.
 */
#include <stdio.h>
#include <stdlib.h>

#include "envelope_kit.h"

/* clang-format off */
static const struct cdc_column sample[] = {
    {.name = "tenant", .type = "uuid", .kind = CDC_UUID, .key = 2, .type_mod = -1},
    {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .dflt = "nextval('orders_id_seq'::regclass)"},
    {.name = "2nd-name", .type = "character varying(40)", .kind = CDC_TEXT, .nullable = true, .dflt = "'a\"b\\c'::character varying"},
    {.name = "gr\xc3\xb6\xc3\x9f" "e", .type = "real", .kind = CDC_FLOAT, .bits = 32, .nullable = true},
    {.name = "price", .type = "numeric(12,2)", .kind = CDC_DECIMAL, .precision = 12, .scale = 2},
    {.name = "paid", .type = "boolean", .kind = CDC_BOOL},
    {.name = "day", .type = "date", .kind = CDC_DATE, .nullable = true},
    {.name = "at", .type = "time without time zone", .kind = CDC_TIME, .nullable = true},
    {.name = "local", .type = "timestamp without time zone", .kind = CDC_TIMESTAMP, .nullable = true},
    {.name = "created", .type = "timestamp with time zone", .kind = CDC_TIMESTAMPTZ, .dflt = "now()"},
    {.name = "data", .type = "jsonb", .kind = CDC_JSON, .nullable = true},
    {.name = "raw", .type = "bytea", .kind = CDC_BYTES, .nullable = true},
    {.name = "n", .type = "integer", .kind = CDC_INT, .bits = 32, .nullable = true},
    {.name = "f", .type = "double precision", .kind = CDC_FLOAT, .bits = 64, .nullable = true},
    {.name = "tags", .type = "text[]", .kind = CDC_ARRAY, .item = CDC_TEXT, .nullable = true},
    {.name = "parts", .type = "numeric(4,1)[]", .kind = CDC_ARRAY, .item = CDC_DECIMAL, .precision = 4, .scale = 1, .nullable = true},
    {.name = "when", .type = "timestamp without time zone[]", .kind = CDC_ARRAY, .item = CDC_TIMESTAMP, .nullable = true},
};

/* One column for each thing that a rule can do. */
#define RULES "columns: {exclude: [password_hash], hash: [id, email], mask: [phone, pin], truncate: {bio: 200}}, " \
              "on_invalid: {born: string, limits: string, seen: \"null\"}, " \
              "logical_delete: {column: deleted_at}, updated_at: updated_at"
static const struct cdc_column ruled[] = {
    {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .dflt = "nextval('users_id_seq'::regclass)"},
    {.name = "email", .type = "citext", .kind = CDC_TEXT, .dflt = "'nobody@example.org'::citext"},
    {.name = "password_hash", .type = "text", .kind = CDC_TEXT, .dflt = "'secret'::text"},
    {.name = "phone", .type = "text", .kind = CDC_TEXT, .nullable = true, .dflt = "'secret'::text"},
    {.name = "pin", .type = "integer", .kind = CDC_INT, .bits = 32, .nullable = true},
    {.name = "bio", .type = "text", .kind = CDC_TEXT, .nullable = true},
    {.name = "born", .type = "date", .kind = CDC_DATE, .nullable = true, .dflt = "'-infinity'::date"},
    {.name = "limits", .type = "numeric(8,2)[]", .kind = CDC_ARRAY, .item = CDC_DECIMAL, .precision = 8, .scale = 2, .nullable = true},
    {.name = "seen", .type = "timestamp with time zone", .kind = CDC_TIMESTAMPTZ, .nullable = true},
    {.name = "updated_at", .type = "timestamp with time zone", .kind = CDC_TIMESTAMPTZ},
    {.name = "deleted_at", .type = "timestamp with time zone", .kind = CDC_TIMESTAMPTZ, .nullable = true},
};
/* clang-format on */

static struct cdc_table *table_of(const char *name, const struct cdc_column *cols, size_t n)
{
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "public",
                                  .name = name,
                                  .version = 3,
                                  .n = (uint16_t)n,
                                  .cols = cols};
    struct cdc_table *tab = NULL;
    assert_int_equal(cdc_table_new(&spec, &tab, NULL), CDC_OK);
    return tab;
}

typedef int text_of(const char *, const struct cdc_table *, struct cdc_buf *, struct cdc_error *);

/* UPDATE_GOLDEN=1 in the environment writes the file; the change is then seen in its diff. */
static void compare(const struct cdc_table *tab, text_of *make, const char *path)
{
    struct cdc_buf text = CDC_BUF(1 << 20), again = CDC_BUF(1 << 20);
    char golden[16384];
    assert_int_equal(make("shop", tab, &text, NULL), CDC_OK);
    assert_int_equal(make("shop", tab, &again, NULL), CDC_OK);
    assert_true(cdc_slice_eq(cdc_buf_slice(&text), cdc_buf_slice(&again)));
    assert_int_equal(cdc_avro_check(cdc_buf_slice(&text), NULL), CDC_OK);
    if (getenv("UPDATE_GOLDEN")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fprintf(out, "%s\n", cdc_buf_cstr(&text));
        fclose(out);
    }
    FILE *file = fopen(path, "r");
    assert_non_null(file); /* run from the top of the repository */
    size_t n = fread(golden, 1, sizeof golden - 1, file);
    fclose(file);
    golden[n] = 0;
    assert_true(n > 0 && golden[n - 1] == '\n');
    golden[n - 1] = 0;
    assert_string_equal(cdc_buf_cstr(&text), golden);
    cdc_buf_done(&text);
    cdc_buf_done(&again);
}

/* Neither the schema nor the checkpoint holds the default of a hidden column. */
static void no_secret(const struct cdc_table *tab)
{
    struct cdc_buf text = CDC_BUF(1 << 20);
    assert_int_equal(cdc_table_state(tab, &text), CDC_OK);
    assert_int_equal(cdc_row_schema_text("shop", tab, &text, NULL), CDC_OK);
    assert_null(strstr(cdc_buf_cstr(&text), "secret"));
    assert_non_null(strstr(cdc_buf_cstr(&text), "'-infinity'::date"));
    cdc_buf_done(&text);
}

static void golden_sample(void **state)
{
    (void)state;
    struct cdc_table *tab = table_of("orders-2024", sample, sizeof sample / sizeof *sample);
    compare(tab, cdc_row_schema_text, "schemas/row.sample.avsc");
    compare(tab, cdc_row_key_schema_text, "schemas/row.sample.key.avsc");
    cdc_table_unref(tab);
}

static void golden_rules(void **state)
{
    (void)state;
    struct kit kit;
    kit_rule(&kit, RULES);
    kit_table(&kit, ruled, sizeof ruled / sizeof *ruled);
    compare(kit.tab, cdc_row_schema_text, "schemas/row.rules.avsc");
    compare(kit.tab, cdc_row_key_schema_text, "schemas/row.rules.key.avsc");
    no_secret(kit.tab);
    kit_down(&kit);
}

/* Columns left out are in nobody's way. */
static void left_out(void **state)
{
    (void)state;
    struct kit kit;
    struct cdc_error err = {.message = ""};
    const struct cdc_column cols[] = {COL("a-b", "text", CDC_TEXT, .key = 1),
                                      COL("a_b", "text", CDC_TEXT, .bits = 0),
                                      COL("__seq", "text", CDC_TEXT, .bits = 0)};
    kit_up(&kit, "columns: {exclude: [a_b, __seq]}", cols, 3);
    kit_down(&kit);
    kit_rule(&kit, "columns: {exclude: [a_b], mask: [__seq]}");
    kit_table(&kit, cols, 3);
    assert_int_equal(kit_plan(&kit, &err), CDC_FAIL);
    assert_non_null(strstr(err.message, "our own column __seq"));
    kit_down(&kit);
}

/* The parser gives back the source's names, and which timestamp has a zone. */
static void read_back(void **state)
{
    (void)state;
    struct cdc_table *tab = table_of("orders-2024", sample, sizeof sample / sizeof *sample);
    struct cdc_buf text = CDC_BUF(1 << 20);
    struct cdc_row_schema *schema;
    assert_int_equal(cdc_row_schema_text("shop", tab, &text, NULL), CDC_OK);
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&text), &schema, NULL), CDC_OK);
    assert_string_equal(schema->table_name, "orders-2024");
    assert_int_equal(schema->version, 3);
    for (size_t i = 0; i < sizeof sample / sizeof *sample; i++) {
        assert_string_equal(schema->cols[i].name, sample[i].name);
        assert_int_equal(schema->cols[i].kind, sample[i].kind);
        assert_int_equal(schema->cols[i].item, sample[i].item);
    }
    assert_int_equal(schema->n_key, 2);
    assert_int_equal(schema->key[0], 1);
    assert_int_equal(schema->key[1], 0);
    cdc_row_schema_free(schema);
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

struct row {
    const char *name;
    const char *columns[2];
    const char *refused; /* NULL: accepted */
};

static const struct row rows[] = {
    {"two ordinary names", {"a", "b"}, NULL},
    {"names that differ in case", {"a", "A"}, NULL},
    {"hyphen and underscore", {"a-b", "a_b"}, "\"a-b\" and \"a_b\""},
    {"two odd characters", {"a b", "a.b"}, "both become a_b"},
    {"digit and underscore", {"1a", "_1a"}, "both become _1a"},
    {"several bytes, one character", {"\xc3\xa9", "\xe2\x82\xac"}, "both become _"},
    {"one and two characters", {"\xc3\xa9", "--"}, NULL},
    {"a meta column", {"a", "__op"}, "our own column __op"},
    {"a meta column once it is clean", {"a", "-_seq"}, "our own column __seq"},
    {"nearly a meta column", {"a", "__ops"}, NULL},
    {"the record's name", {"Row", "fields"}, NULL},
    {"a name with a quote", {"a\"", "b\\"}, NULL},
    {"an empty name", {"", "a"}, NULL},
};

#define N (sizeof rows / sizeof *rows)

static void names(void **state)
{
    const struct row *row = *state;
    struct cdc_column cols[2] = {
        {.name = row->columns[0], .type = "text", .kind = CDC_TEXT, .key = 1},
        {.name = row->columns[1], .type = "text", .kind = CDC_TEXT}};
    struct cdc_table *tab = table_of("t", cols, 2);
    struct cdc_buf text = CDC_BUF(65536);
    struct cdc_error err = {.message = ""};
    int rc = cdc_row_schema_text("shop", tab, &text, &err);
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_CONFIG);
        assert_non_null(strstr(err.message, row->refused));
        assert_non_null(strstr(err.message, "public.t"));
    } else {
        assert_int_equal(rc, CDC_OK);
        assert_int_equal(cdc_avro_check(cdc_buf_slice(&text), &err), CDC_OK);
    }
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

/* A kind without an Avro type is the source's bug, and no plan is made of it either. */
static void no_type(void **state)
{
    (void)state;
    struct cdc_column cols[] = {{.name = "n", .type = "int3", .kind = CDC_INT, .bits = 24}};
    struct cdc_table *tab = table_of("t", cols, 1);
    struct cdc_buf text = CDC_BUF(65536);
    struct cdc_error err = {.message = ""};
    struct cdc_envelope_state env = {0};
    struct cdc_schema schema = {.text = "{}", .len = 2};
    struct cdc_plan *plan = NULL;
    assert_int_equal(cdc_row_schema_text("shop", tab, &text, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    assert_int_equal(cdc_plan_new(tab, &schema, &env, &plan, &err), CDC_FAIL);
    assert_null(plan);
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

int main(void)
{
    struct CMUnitTest tests[N + 5] = {
        [N] = cmocka_unit_test(golden_sample), [N + 1] = cmocka_unit_test(golden_rules),
        [N + 2] = cmocka_unit_test(read_back), [N + 3] = cmocka_unit_test(no_type),
        [N + 4] = cmocka_unit_test(left_out),
    };
    for (size_t i = 0; i < N; i++)
        tests[i] =
            (struct CMUnitTest){rows[i].name, names, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
