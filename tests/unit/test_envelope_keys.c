/*
 * test_envelope_keys.c - the bytes of keys, judged by Avro-C out of the key's own schema text, and
 * which records are partial. Hashes come from Python's hmac.
 */
#include <avro.h>
#include <stdlib.h>

#include "envelope_kit.h"
#include "rows.h"

/* clang-format off */
#define H_7 "592f430a5f30cdb5e8d8c7026637678b6051294afb56e4d067fbd2eb5b5cb8df"
#define H_8 "a16b41e63e9638fa7382e343f0ebf2a5d00a93313502ebb8e01a15e1896b6861"

#define ID7 "{\"id\": {\"long\": 7}}"
#define ID8 "{\"id\": {\"long\": 8}}"
#define N   COL("n", "numeric(4,2)", CDC_DECIMAL, .precision = 4, .scale = 2)
#define U   COL("u", "uuid", CDC_UUID, .bits = 0)
#define D   COL("d", "date", CDC_DATE, .bits = 0)
#define NULLS "on_invalid: \"null\""

static const struct row {
    const char *name, *rule;
    struct cdc_column third; /* after id bigint (the key) and name text */
    char op;
    uint8_t flags;
    struct cdc_value before[3], after[3];
    const char *want[2];     /* the keys of the records as Avro-C prints them */
    const char *refused;     /* CDC_OPERATOR: part of the message */
} rows[] = {
    {"create", "", N, 'c', 0, {NUL}, {ID(7), TEXT("a"), NUL}, {ID7, NULL}, NULL},
    {"read", "", N, 'r', 0, {NUL}, {ID(7), TEXT("a"), NUL}, {ID7, NULL}, NULL},
    {"update with a value not sent", "", N, 'u', 0, {NUL}, {ID(7), UNCHANGED, NUL}, {ID7, NULL}, NULL},
    {"delete with the row", "", N, 'd', 0, {ID(7), TEXT("a"), NUL}, {NUL}, {ID7, NULL}, NULL},
    {"delete with the key alone", "", N, 'd', 0, {ID(7), ABSENT, ABSENT}, {NUL}, {ID7, NULL}, NULL},
    {"key change", "", N, 'u', CDC_KEY_MOVED, {ID(7), ABSENT, ABSENT}, {ID(8), TEXT("a"), NUL}, {ID7, ID8}, NULL},
    {"truncate", "", N, 't', 0, {NUL}, {NUL}, {"{\"id\": null}", NULL}, NULL},
    {"logical delete", "logical_delete: {column: n}", N, 'u', 0, {NUL}, {ID(7), NUL, V_DEC("\x01", 2)}, {ID7, NULL}, NULL},
    {"largest", "", N, 'c', 0, {NUL}, {ID(INT64_MAX), NUL, NUL}, {"{\"id\": {\"long\": 9223372036854775807}}", NULL}, NULL},
    {"smallest", "", N, 'c', 0, {NUL}, {ID(INT64_MIN), NUL, NUL}, {"{\"id\": {\"long\": -9223372036854775808}}", NULL}, NULL},

    {"by the rule", "key: [name]", N, 'c', 0, {NUL}, {ID(7), TEXT("\xc3\xa4"), NUL}, {"{\"name\": {\"string\": \"\\u00E4\"}}", NULL}, NULL},
    {"by the rule, empty", "key: [name]", N, 'c', 0, {NUL}, {ID(7), TEXT(""), NUL}, {"{\"name\": {\"string\": \"\"}}", NULL}, NULL},
    {"by the rule, null", "key: [name]", N, 'c', 0, {NUL}, {ID(7), NUL, NUL}, {"{\"name\": null}", NULL}, NULL},
    {"two columns, in the key's order", "key: [name, id]", N, 'u', CDC_KEY_MOVED, {ID(7), TEXT("a"), ABSENT}, {ID(8), TEXT("b"), NUL},
     {"{\"name\": {\"string\": \"a\"}, \"id\": {\"long\": 7}}", "{\"name\": {\"string\": \"b\"}, \"id\": {\"long\": 8}}"}, NULL},
    {"two columns, truncate", "key: [name, id]", N, 't', 0, {NUL}, {NUL}, {"{\"name\": null, \"id\": null}", NULL}, NULL},
    {"three columns behind an excluded one", "key: [u, id], columns: {exclude: [name]}", U, 'd', 0,
     {ID(7), ABSENT, V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000001")}, {NUL},
     {"{\"u\": {\"string\": \"00000000-0000-0000-0000-000000000001\"}, \"id\": {\"long\": 7}}", NULL}, NULL},
    {"decimal", "key: [n]", N, 'c', 0, {NUL}, {ID(7), NUL, V_DEC("\x20\x41", 2)}, {"{\"n\": {\"n_dec\": \" A\"}}", NULL}, NULL},
    {"date", "key: [d]", D, 'c', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, -1)}, {"{\"d\": {\"int\": -1}}", NULL}, NULL},
    {"text form of a decimal", "key: [n], on_invalid: {n: string}", N, 'u', CDC_KEY_MOVED, {ABSENT, ABSENT, V_DEC("\xfb", 2)}, {ID(7), NUL, INVALID("NaN")},
     {"{\"n\": {\"string\": \"-0.05\"}}", "{\"n\": {\"string\": \"NaN\"}}"}, NULL},

    {"hashed", "columns: {hash: [id]}", N, 'c', 0, {NUL}, {ID(7), NUL, NUL}, {"{\"id\": {\"string\": \"" H_7 "\"}}", NULL}, NULL},
    {"hashed, delete", "columns: {hash: [id]}", N, 'd', 0, {ID(8), ABSENT, ABSENT}, {NUL}, {"{\"id\": {\"string\": \"" H_8 "\"}}", NULL}, NULL},
    {"hashed, key change", "columns: {hash: [id]}", N, 'u', CDC_KEY_MOVED, {ID(7), ABSENT, ABSENT}, {ID(8), UNCHANGED, NUL},
     {"{\"id\": {\"string\": \"" H_7 "\"}}", "{\"id\": {\"string\": \"" H_8 "\"}}"}, NULL},
    {"hashed, null", "columns: {hash: [id]}", N, 'c', 0, {NUL}, {NUL, NUL, NUL}, {"{\"id\": null}", NULL}, NULL},
    {"hashed, truncate", "columns: {hash: [id]}", N, 't', 0, {NUL}, {NUL}, {"{\"id\": null}", NULL}, NULL},
    {"one of two hashed", "columns: {hash: [id]}, key: [name, id]", N, 'c', 0, {NUL}, {ID(7), TEXT("a"), NUL},
     {"{\"name\": {\"string\": \"a\"}, \"id\": {\"string\": \"" H_7 "\"}}", NULL}, NULL},

    {"not sent", NULLS, N, 'd', 0, {ABSENT, NUL, NUL}, {NUL}, {NULL, NULL}, "did not send it"},
    {"unchanged", NULLS, N, 'u', 0, {NUL}, {UNCHANGED, NUL, NUL}, {NULL, NULL}, "did not send it"},
    {"invalid is never null", NULLS ", key: [n]", N, 'c', 0, {NUL}, {ID(7), NUL, INVALID("NaN")}, {NULL, NULL}, "public.t.n (numeric(4,2)) is part of the key"},
    {"too large is never null", NULLS ", key: [n]", N, 'c', 0, {NUL}, {ID(7), NUL, V_DEC("\x01\x00\x00\x00", 2)}, {NULL, NULL}, "is part of the key"},
    {"date out of range", NULLS ", key: [id, d]", D, 'c', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, INT64_MAX)}, {NULL, NULL}, "public.t.d"},
};
/* clang-format on */

static void give_key(struct kit *kit, struct cdc_buf *text)
{
    struct cdc_error err;
    *text = CDC_BUF(65536);
    if (cdc_row_key_schema_text("shop", kit->tab, text, &err) < 0)
        fail_msg("%s", err.message);
    struct cdc_schema schema = {.text = (const char *)text->p, .len = text->len, .id = 77};
    assert_null(cdc_plan_key_schema(kit->tab->plan));
    assert_int_equal(cdc_plan_with_key(kit->tab->plan, &schema, &err), CDC_OK);
    const struct cdc_schema *got = cdc_plan_key_schema(kit->tab->plan);
    assert_non_null(got);
    assert_int_equal(got->id, 77);
    assert_ptr_not_equal(got->text, schema.text);
    assert_int_equal(got->len, schema.len);
    assert_memory_equal(got->text, schema.text, schema.len);
}

/* The key as Avro-C understands it; it takes every byte, and none of them too few. */
static void judge(struct cdc_slice text, struct cdc_slice key, const char *want)
{
    avro_schema_t schema;
    avro_value_t value;
    char *got = NULL;
    assert_int_equal(avro_schema_from_json_length((const char *)text.p, text.len, &schema), 0);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    avro_reader_t reader = avro_reader_memory((const char *)key.p, (int64_t)key.len);
    if (avro_value_read(reader, &value))
        fail_msg("%s", avro_strerror());
    char more;
    assert_int_not_equal(avro_read(reader, &more, 1), 0);
    assert_int_equal(avro_value_to_json(&value, 1, &got), 0);
    assert_string_equal(got, want);
    free(got);
    avro_reader_free(reader);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
}

static int records_of(const struct row *row, struct kit *kit, struct cdc_change *chg,
                      struct cdc_record *ret)
{
    static struct cdc_tx tx = {.commit_us = KIT_US};
    memset(tx.place, '0', sizeof tx.place);
    *chg = (struct cdc_change){
        .op = (uint8_t)row->op, .flags = row->flags, .table = kit->tab, .tx = &tx, .ordinal = 1};
    chg->before = row->op == 'd' || row->flags & CDC_KEY_MOVED ? row->before : NULL;
    chg->after = row->op == 'd' || row->op == 't' ? NULL : row->after;
    return cdc_plan_records(kit->tab->plan, chg, 0, ret, NULL);
}

static void run(void **state)
{
    const struct row *row = *state;
    const struct cdc_column cols[] = {COL("id", "bigint", CDC_INT, .bits = 64, .key = 1),
                                      COL("name", "text", CDC_TEXT, .bits = 0), row->third};
    struct cdc_record recs[CDC_RECORDS_MAX];
    struct cdc_error err = {.message = ""};
    struct cdc_change chg;
    struct cdc_buf text, key = CDC_BUF(4096);
    struct kit kit;
    kit_up(&kit, row->rule, cols, 3);
    give_key(&kit, &text);
    int n = records_of(row, &kit, &chg, recs);
    assert_int_equal(n, row->want[1] ? 2 : 1);
    for (int i = 0; i < n; i++) {
        cdc_buf_reset(&key);
        cdc_buf_str(&key, "here "); /* it appends */
        int rc = cdc_plan_key(kit.tab->plan, &recs[i], &key, &err);
        assert_int_equal(rc, row->refused ? CDC_FAIL : CDC_OK);
        if (!row->refused)
            judge(cdc_buf_slice(&text), cdc_slice_of(key.p + 5, key.len - 5), row->want[i]);
        else if (err.action != CDC_OPERATOR || !strstr(err.message, row->refused))
            fail_msg("\"%s\" is not in: %s", row->refused, err.message);
    }
    assert_int_equal(kit.env.invalid, 0);
    cdc_buf_done(&key);
    cdc_buf_done(&text);
    kit_down(&kit);
}

/* With all columns in the key, in the table's order, the key is the beginning of the value. */
static void as_in_the_value(void **state)
{
    (void)state;
    struct cdc_column cols[N_CELL_COLUMNS];
    struct cdc_value vals[N_CELL_COLUMNS];
    struct cdc_record recs[CDC_RECORDS_MAX];
    struct cdc_buf text, key = CDC_BUF(65536), value = CDC_BUF(65536);
    struct kit kit;
    for (size_t i = 0; i < N_CELL_COLUMNS; i++) {
        cols[i] = cell_columns[i].col;
        cols[i].key = (uint16_t)(i + 1);
    }
    kit_up(&kit, "columns: {hash: [\"f*\", u, by, ai, j]}", cols, N_CELL_COLUMNS);
    give_key(&kit, &text);
    for (size_t r = 0; r < CELLS; r++) {
        struct row row = {.op = 'c'};
        struct cdc_change chg;
        cells_row(r, vals);
        records_of(&row, &kit, &chg, recs);
        chg.after = recs[0].row = vals;
        cdc_buf_reset(&key);
        cdc_buf_reset(&value);
        assert_int_equal(cdc_plan_key(kit.tab->plan, recs, &key, NULL), CDC_OK);
        assert_int_equal(cdc_plan_bytes(kit.tab->plan, recs, &value, NULL), CDC_OK);
        assert_true(key.len > N_CELL_COLUMNS && key.len < value.len);
        assert_memory_equal(key.p, value.p, key.len);
    }
    cdc_buf_done(&key);
    cdc_buf_done(&value);
    cdc_buf_done(&text);
    kit_down(&kit);
}

/* No room is an error, and no byte behind the buffer's maximum is touched. */
static void no_room(void **state)
{
    (void)state;
    const struct cdc_column cols[] = {COL("id", "text", CDC_TEXT, .key = 1)};
    const struct row row = {.op = 'c', .after = {TEXT("0123456789")}};
    struct cdc_record recs[CDC_RECORDS_MAX];
    struct cdc_change chg;
    struct cdc_buf text;
    struct kit kit;
    kit_up(&kit, "", cols, 1);
    give_key(&kit, &text);
    records_of(&row, &kit, &chg, recs);
    for (size_t max = 0; max < 12; max++) {
        struct cdc_error err = {.message = ""};
        struct cdc_buf key = CDC_BUF(max);
        assert_int_equal(cdc_plan_key(kit.tab->plan, recs, &key, &err), CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_true(key.len <= max);
        cdc_buf_done(&key);
    }
    cdc_buf_done(&text);
    kit_down(&kit);
}

/* clang-format off */
static const struct lack {
    const char *name;
    const char *rule;
    char op;
    uint8_t flags;
    struct cdc_value before[3], after[3];
    bool partial[2];
} lacks[] = {
    {"whole", "", 'c', 0, {NUL}, {ID(7), TEXT("a"), NUL}, {false, false}},
    {"null is not lacking", "", 'u', 0, {NUL}, {ID(7), NUL, NUL}, {false, false}},
    {"invalid is not lacking", NULLS, 'u', 0, {NUL}, {ID(7), NUL, INVALID("NaN")}, {false, false}},
    {"not sent", "", 'u', 0, {NUL}, {ID(7), UNCHANGED, NUL}, {true, false}},
    {"delete with the row", "", 'd', 0, {ID(7), TEXT("a"), NUL}, {NUL}, {false, false}},
    {"delete with the key alone", "", 'd', 0, {ID(7), ABSENT, ABSENT}, {NUL}, {true, false}},
    {"truncate", "", 't', 0, {NUL}, {NUL}, {false, false}},
    {"key change", "", 'u', CDC_KEY_MOVED, {ID(7), ABSENT, ABSENT}, {ID(8), TEXT("a"), NUL}, {true, false}},
    {"key change, nothing of the new", "", 'u', CDC_KEY_MOVED, {ID(7), TEXT("a"), NUL}, {ID(8), UNCHANGED, NUL}, {false, true}},
    {"what is excluded is not lacking", "columns: {exclude: [name]}", 'u', 0, {NUL}, {ID(7), UNCHANGED, NUL}, {false, false}},
    {"what is masked is", "columns: {mask: [name]}", 'u', 0, {NUL}, {ID(7), UNCHANGED, NUL}, {true, false}},
};
/* clang-format on */

/* It is what stands in __unchanged. */
static void partial(void **state)
{
    const struct lack *lack = *state;
    const struct cdc_column cols[] = {COL("id", "bigint", CDC_INT, .bits = 64, .key = 1),
                                      COL("name", "text", CDC_TEXT, .bits = 0), N};
    struct row row = {.op = lack->op, .flags = lack->flags};
    memcpy(row.before, lack->before, sizeof row.before);
    memcpy(row.after, lack->after, sizeof row.after);
    struct cdc_record recs[CDC_RECORDS_MAX];
    struct cdc_change chg;
    struct cdc_buf value = CDC_BUF(4096);
    struct kit kit;
    kit_up(&kit, lack->rule, cols, 3);
    int n = records_of(&row, &kit, &chg, recs);
    struct cdc_row_schema *schema;
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&kit.text), &schema, NULL), CDC_OK);
    struct cdc_arena *arena = cdc_arena_new(65536);
    for (int i = 0; i < n; i++) {
        struct cdc_value got[3 + CDC_METAS];
        assert_int_equal(cdc_plan_partial(kit.tab->plan, &recs[i]), lack->partial[i]);
        cdc_buf_reset(&value);
        assert_int_equal(cdc_plan_bytes(kit.tab->plan, &recs[i], &value, NULL), CDC_OK);
        assert_int_equal(cdc_row_read(schema, cdc_buf_slice(&value), arena, got, NULL), CDC_OK);
        const struct cdc_value *list = &got[schema->meta[CDC_META_UNCHANGED]];
        assert_int_equal(list->kind, lack->partial[i] ? CDC_ARRAY : CDC_NULL);
    }
    cdc_arena_free(arena);
    cdc_row_schema_free(schema);
    cdc_buf_done(&value);
    kit_down(&kit);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(lacks) + 2], *to = tests;
    to = CM_ROWS(to, run, rows);
    to = CM_ROWS(to, partial, lacks);
    *to++ = (struct CMUnitTest)cmocka_unit_test(as_in_the_value);
    *to++ = (struct CMUnitTest)cmocka_unit_test(no_room);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
