/*
 * test_envelope_row.c - changes made records and bytes: what each op writes, what is unchanged,
 * absent or invalid, and the clock. Every record goes through a file and our reader.
 */
#include <stdio.h>
#include <stdlib.h>

#include "avro/json.h"
#include "avro_cells.h"
#include "avro_mem.h"
#include "cm.h"

#define US_0    INT64_C(1600000000000000)
#define UPDATED "\"__updated_at\":\"2020-09-13T12:26:40.000000Z\""
#define SYNCED  ",\"__source_updated_at\":null,\"__synced_at\":\"2023-11-14T22:13:20.000000Z\","
#define SEQ     "\"__seq\":\"0000000a-0123456789abcdef01234567-00000000002a\",\"__tx\":\"99\","
#define LIVE(op)                                                                                   \
    "\"__op\":\"" op                                                                               \
    "\",\"__deleted\":false,\"__deleted_at\":null,\"__delete_reason\":null," UPDATED SYNCED SEQ
#define DEAD(op, why)                                                                              \
    "\"__op\":\"" op "\",\"__deleted\":true,\"__deleted_at\":\"2020-09-13T12:26:40.000000Z\","     \
    "\"__delete_reason\":\"" why "\"," UPDATED SYNCED SEQ
#define LISTS(unchanged, invalid, prev)                                                            \
    "\"__unchanged\":" unchanged ",\"__invalid\":" invalid ",\"__prev_key\":" prev "}"
#define NONE LISTS("null", "null", "null")

/* clang-format off */
static const struct cdc_column cols[] = {
    COL("id", "integer", CDC_INT, .bits = 32, .key = 1),
    COL("a-b", "text", CDC_TEXT, .bits = 0),
    COL("price", "numeric(4,2)", CDC_DECIMAL, .precision = 4, .scale = 2),
    COL("ns", "integer[]", CDC_ARRAY, .item = CDC_INT, .bits = 32),
};
#define ID(n)     V_INT(CDC_INT, n)
#define TEXT(s)   V_STR(CDC_TEXT, s)
#define PRICE     V_DEC("\x64", 2)
#define NUL       {.kind = CDC_NULL}
#define UNCHANGED {.kind = CDC_UNCHANGED}
#define ABSENT    {.kind = CDC_ABSENT}
#define INVALID   V_STR(CDC_INVALID, "hush")

static const struct cdc_value good_items[] = {V_INT(CDC_INT, 5), NUL};
static const struct cdc_value bad_items[] = {V_INT(CDC_INT, 5), INVALID};
static const struct cdc_value wide_items[] = {V_INT(CDC_INT, 5), V_INT(CDC_INT, 1LL << 40)};
static const struct cdc_value other_items[] = {TEXT("x")};
#define NS V_ARR(good_items)

struct row {
    const char *name;
    char op;
    uint8_t flags;
    enum cdc_invalid policy;
    struct cdc_value before[4], after[4];
    const char *want[2];         /* the records as JSON; NULL: no further one */
    enum cdc_action action;      /* where refused is set */
    const char *refused;         /* part of the message */
};

static const struct row rows[] = {
    {"create", 'c', 0, 0, {NUL}, {ID(1), TEXT("x"), PRICE, NS},
     {"{\"id\":1,\"a-b\":\"x\",\"price\":\"1.00\",\"ns\":[5,null]," LIVE("c") NONE}, 0, NULL},
    {"read", 'r', CDC_OVERLAP, 0, {NUL}, {ID(1), TEXT(""), PRICE, NUL},
     {"{\"id\":1,\"a-b\":\"\",\"price\":\"1.00\",\"ns\":null," LIVE("r") NONE}, 0, NULL},
    {"update", 'u', 0, 0, {ID(1), ABSENT, ABSENT, ABSENT}, {ID(1), TEXT("y"), NUL, NUL},
     {"{\"id\":1,\"a-b\":\"y\",\"price\":null,\"ns\":null," LIVE("u") NONE}, 0, NULL},
    {"update with a value not sent", 'u', 0, 0, {NUL}, {ID(1), UNCHANGED, PRICE, UNCHANGED},
     {"{\"id\":1,\"a-b\":null,\"price\":\"1.00\",\"ns\":null," LIVE("u") LISTS("[\"a-b\",\"ns\"]", "null", "null")}, 0, NULL},
    {"null is not unchanged", 'u', 0, 0, {NUL}, {ID(1), NUL, PRICE, UNCHANGED},
     {"{\"id\":1,\"a-b\":null,\"price\":\"1.00\",\"ns\":null," LIVE("u") LISTS("[\"ns\"]", "null", "null")}, 0, NULL},
    {"delete with the whole row", 'd', 0, 0, {ID(1), TEXT("x"), PRICE, NUL}, {NUL},
     {"{\"id\":1,\"a-b\":\"x\",\"price\":\"1.00\",\"ns\":null," DEAD("d", "delete") NONE}, 0, NULL},
    {"delete with the key alone", 'd', 0, 0, {ID(1), ABSENT, ABSENT, ABSENT}, {NUL},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," DEAD("d", "delete") LISTS("[\"a-b\",\"price\",\"ns\"]", "null", "null")}, 0, NULL},
    {"truncate", 't', 0, 0, {NUL}, {NUL},
     {"{\"id\":null,\"a-b\":null,\"price\":null,\"ns\":null," DEAD("t", "truncate") NONE}, 0, NULL},
    {"truncate inferred", 't', CDC_INFERRED, 0, {NUL}, {NUL},
     {"{\"id\":null,\"a-b\":null,\"price\":null,\"ns\":null," DEAD("t", "inferred") NONE}, 0, NULL},
    {"key change, old key alone", 'u', CDC_KEY_MOVED, 0, {ID(1), ABSENT, ABSENT, ABSENT}, {ID(2), TEXT("x"), PRICE, UNCHANGED},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," DEAD("d", "key_change") LISTS("[\"a-b\",\"price\",\"ns\"]", "null", "null"),
      "{\"id\":2,\"a-b\":\"x\",\"price\":\"1.00\",\"ns\":null," LIVE("c") LISTS("[\"ns\"]", "null", "\"{\\\"id\\\":1}\"")}, 0, NULL},
    {"key change, whole old row", 'u', CDC_KEY_MOVED, 0, {ID(1), TEXT("w"), PRICE, NS}, {ID(2), TEXT("x"), PRICE, NS},
     {"{\"id\":1,\"a-b\":\"w\",\"price\":\"1.00\",\"ns\":[5,null]," DEAD("d", "key_change") NONE,
      "{\"id\":2,\"a-b\":\"x\",\"price\":\"1.00\",\"ns\":[5,null]," LIVE("c") LISTS("null", "null", "\"{\\\"id\\\":1}\"")}, 0, NULL},

    {"invalid made null", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), INVALID, INVALID, NUL},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("c") LISTS("null", "[\"a-b\",\"price\"]", "null")}, 0, NULL},
    {"invalid item makes the array null", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), NUL, NUL, V_ARR(bad_items)},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("c") LISTS("null", "[\"ns\"]", "null")}, 0, NULL},
    {"item too large", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), NUL, NUL, V_ARR(wide_items)},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("c") LISTS("null", "[\"ns\"]", "null")}, 0, NULL},
    {"decimal too large", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), NUL, V_DEC("\x01\x00\x00", 2), NUL},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("c") LISTS("null", "[\"price\"]", "null")}, 0, NULL},
    {"decimal of another scale", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), NUL, V_DEC("\x01", 1), NUL},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("c") LISTS("null", "[\"price\"]", "null")}, 0, NULL},
    {"invalid and unchanged", 'u', 0, CDC_INVALID_NULL, {NUL}, {ID(1), UNCHANGED, INVALID, NUL},
     {"{\"id\":1,\"a-b\":null,\"price\":null,\"ns\":null," LIVE("u") LISTS("[\"a-b\"]", "[\"price\"]", "null")}, 0, NULL},
    {"invalid refused", 'c', 0, CDC_INVALID_FAIL, {NUL}, {ID(1), INVALID, NUL, NUL}, {0}, CDC_OPERATOR, "on_invalid: {a-b: null}"},
    {"invalid refused by name", 'c', 0, CDC_INVALID_FAIL, {NUL}, {ID(1), NUL, INVALID, NUL}, {0}, CDC_OPERATOR, "public.t.price (numeric(4,2))"},
    {"invalid key refused, whatever the policy", 'c', 0, CDC_INVALID_NULL, {NUL}, {INVALID, NUL, NUL, NUL}, {0}, CDC_OPERATOR, "public.t.id (integer) is part of the key"},
    {"key above 32 bits", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1LL << 31), NUL, NUL, NUL}, {0}, CDC_OPERATOR, "part of the key"},
    {"key not sent", 'd', 0, 0, {ABSENT, NUL, NUL, NUL}, {NUL}, {0}, CDC_OPERATOR, "did not send it"},
    {"key unchanged", 'u', 0, 0, {NUL}, {UNCHANGED, NUL, NUL, NUL}, {0}, CDC_OPERATOR, "did not send it"},
    {"value of another kind", 'c', 0, CDC_INVALID_NULL, {NUL}, {ID(1), ID(1), NUL, NUL}, {0}, CDC_FATAL, "got a value of kind int"},
    {"item of another kind", 'c', 0, CDC_INVALID_FAIL, {NUL}, {ID(1), NUL, NUL, V_ARR(other_items)}, {0}, CDC_OPERATOR, "public.t.ns"},
};
/* clang-format on */

#define N (sizeof rows / sizeof *rows)

struct kit {
    struct cdc_rule rule;
    struct cdc_envelope_state env;
    struct cdc_table *tab;
    struct cdc_buf text;
    struct cdc_plan *plan;
    struct mem mem;
    struct cdc_avro_writer *w;
};

static void kit_up(struct kit *kit, enum cdc_invalid policy)
{
    *kit = (struct kit){.rule = {.on_invalid = policy}, .env = {.incarnation = 10}};
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "public",
                                  .name = "t",
                                  .version = 1,
                                  .n = 4,
                                  .cols = cols,
                                  .rule = &kit->rule};
    assert_int_equal(cdc_table_new(&spec, &kit->tab, NULL), CDC_OK);
    kit->plan = mem_plan(kit->tab, &kit->env, &kit->text);
    assert_non_null(kit->plan);
    kit->mem.buf = CDC_BUF(1 << 20);
    struct cdc_avro_writer_options opt = {.schema = cdc_buf_slice(&kit->text),
                                          .block_bytes = 4096,
                                          .max_bytes = 1 << 20,
                                          .out = mem_out,
                                          .arg = &kit->mem};
    assert_int_equal(cdc_avro_writer_new(&opt, &kit->w, NULL), CDC_OK);
    kit->tab->plan = kit->plan; /* from here the table's */
}

static void kit_down(struct kit *kit)
{
    cdc_avro_writer_free(kit->w);
    cdc_table_unref(kit->tab);
    cdc_buf_done(&kit->text);
    cdc_buf_done(&kit->mem.buf);
}

static struct cdc_tx tx_at(int64_t commit_us)
{
    struct cdc_tx tx = {.id = cdc_slice_str("99"), .commit_us = commit_us};
    memcpy(tx.place, "0123456789abcdef01234567", sizeof tx.place);
    return tx;
}

/* The file's rows as JSON, against want. */
static void check_file(struct kit *kit, const char *const want[2])
{
    struct cdc_avro_reader *r;
    const struct cdc_row_schema *schema;
    const struct cdc_value *v;
    struct cdc_buf json = CDC_BUF(65536);
    assert_int_equal(cdc_avro_writer_flush(kit->w, false, NULL), CDC_OK);
    assert_int_equal(cdc_avro_reader_new(mem_in, &kit->mem, 1 << 20, "f", &r, NULL), CDC_OK);
    assert_int_equal(cdc_avro_reader_schema(r, &schema, NULL), CDC_OK);
    for (int i = 0; i < 2 && want[i]; i++) {
        assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_OK);
        cdc_buf_reset(&json);
        cdc_json_row(&json, schema, v);
        assert_string_equal(cdc_buf_cstr(&json), want[i]);
    }
    assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_END);
    cdc_buf_done(&json);
    cdc_avro_reader_free(r);
}

static void run(void **state)
{
    const struct row *row = *state;
    struct kit kit;
    struct cdc_error err = {.message = ""};
    kit_up(&kit, row->policy);
    struct cdc_tx tx = tx_at(US_0);
    bool before = row->op == 'd' || row->flags & CDC_KEY_MOVED;
    struct cdc_change chg = {.op = (uint8_t)row->op,
                             .flags = row->flags,
                             .table = kit.tab,
                             .tx = &tx,
                             .ordinal = 42,
                             .before = before ? row->before : NULL,
                             .after = row->op == 'd' || row->op == 't' ? NULL : row->after};
    int rc = mem_add(kit.w, kit.plan, &chg, &err);
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, row->action);
        if (!strstr(err.message, row->refused))
            fail_msg("\"%s\" is not in: %s", row->refused, err.message);
        assert_null(strstr(err.message, "hush")); /* never a value */
        check_file(&kit, (const char *const[2]){NULL});
    } else {
        assert_int_equal(rc, CDC_OK);
        check_file(&kit, row->want);
    }
    kit_down(&kit);
}

/* Every type at its boundaries: encode, file, decode is identity. */
static void every_type(void **state)
{
    (void)state;
    struct cdc_envelope_state env = {.incarnation = 1};
    struct cdc_table *tab = cells_table();
    struct cdc_buf text;
    struct mem mem = {.buf = CDC_BUF(1 << 20)};
    tab->plan = mem_plan(tab, &env, &text);
    struct cdc_avro_writer_options opt = {.schema = cdc_buf_slice(&text),
                                          .codec = CDC_CODEC_DEFLATE,
                                          .block_bytes = 4096,
                                          .max_bytes = 1 << 20,
                                          .out = mem_out,
                                          .arg = &mem};
    struct cdc_avro_writer *w;
    struct cdc_tx tx = tx_at(US_0);
    assert_int_equal(cdc_avro_writer_new(&opt, &w, NULL), CDC_OK);
    for (size_t r = 0; r < CELLS; r++) {
        struct cdc_value row[N_CELL_COLUMNS];
        cells_row(r, row);
        struct cdc_change chg = {.op = 'c', .table = tab, .tx = &tx, .ordinal = r, .after = row};
        assert_int_equal(mem_add(w, tab->plan, &chg, NULL), CDC_OK);
    }
    assert_int_equal(cdc_avro_writer_flush(w, false, NULL), CDC_OK);
    cdc_avro_writer_free(w);
    struct cdc_avro_reader *r;
    const struct cdc_value *v;
    assert_int_equal(cdc_avro_reader_new(mem_in, &mem, 1 << 20, "f", &r, NULL), CDC_OK);
    for (size_t n = 0; n < CELLS; n++) {
        assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_OK);
        for (size_t i = 0; i < N_CELL_COLUMNS; i++)
            if (!cells_equal(&v[i], &cell_columns[i].cells[n].val))
                fail_msg("row %zu, column %s", n, cell_columns[i].col.name);
    }
    cdc_avro_reader_free(r);
    cdc_buf_done(&mem.buf);
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

/* Neighbours of the boundaries: what no reader could represent is invalid, not written. */
static void out_of_range(void **state)
{
    (void)state;
    static const struct {
        const char *column;
        struct cdc_value val;
    } bad[] = {{"d", V_INT(CDC_DATE, -719163)},
               {"d", V_INT(CDC_DATE, 2932897)},
               {"ti", V_INT(CDC_TIME, -1)},
               {"ti", V_INT(CDC_TIME, 86400000000)},
               {"ts", V_INT(CDC_TIMESTAMP, -62135596800000001)},
               {"ts", V_INT(CDC_TIMESTAMP, 253402300800000000)},
               {"tz", V_INT(CDC_TIMESTAMPTZ, INT64_MIN)},
               {"tz", V_INT(CDC_TIMESTAMPTZ, INT64_MAX)},
               {"huge", V_DEC("\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 0)}};
    struct cdc_envelope_state env = {.incarnation = 1};
    struct cdc_table *tab = cells_table();
    struct cdc_buf text, buf = CDC_BUF(1 << 20);
    struct cdc_tx tx = tx_at(US_0);
    tab->plan = mem_plan(tab, &env, &text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cdc_value row[N_CELL_COLUMNS];
        struct cdc_record rec[CDC_RECORDS_MAX];
        struct cdc_error err;
        cells_row(0, row);
        row[cdc_table_column(tab, bad[i].column)] = bad[i].val;
        struct cdc_change chg = {.op = 'c', .table = tab, .tx = &tx, .ordinal = 1, .after = row};
        assert_int_equal(cdc_plan_records(tab->plan, &chg, 0, rec, &err), 1);
        assert_int_equal(cdc_plan_bytes(tab->plan, rec, &buf, &err), CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_non_null(strstr(err.message, bad[i].column));
    }
    cdc_buf_done(&buf);
    cdc_buf_done(&text);
    cdc_table_unref(tab);
}

/* __updated_at: raised below one hour, taken as it is from there on, and counted. */
static void the_clock(void **state)
{
    (void)state;
    static const struct {
        int64_t commit, updated, clock;
        uint64_t jumps;
    } steps[] = {
        {0, 0, 0, 0},
        {10, 10, 10, 0},
        {5, 10, 10, 0},
        {10, 10, 10, 0},
        {10 - 3599999999, 10, 10, 0},
        {10 - 3600000000, 10 - 3600000000, 10, 1},
        {10 - 7200000000, 10 - 7200000000, 10, 2},
        {11, 11, 11, 2},
    };
    struct kit kit;
    kit_up(&kit, CDC_INVALID_FAIL);
    kit.env.clock_us = US_0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct cdc_tx tx = tx_at(US_0 + steps[i].commit);
        struct cdc_change chg = {.op = 't', .table = kit.tab, .tx = &tx, .ordinal = 1};
        struct cdc_record rec[CDC_RECORDS_MAX];
        assert_int_equal(cdc_plan_records(kit.plan, &chg, 0, rec, NULL), 1);
        assert_int_equal(rec[0].updated_us, US_0 + steps[i].updated);
        assert_int_equal(kit.env.clock_us, US_0 + steps[i].clock);
        assert_int_equal(kit.env.clock_jumps, steps[i].jumps);
    }
    kit_down(&kit);
}

/* A change without its transaction or row is the source's bug, not a crash. */
static void incomplete(void **state)
{
    (void)state;
    struct kit kit;
    struct cdc_error err;
    struct cdc_record rec[CDC_RECORDS_MAX];
    kit_up(&kit, CDC_INVALID_FAIL);
    struct cdc_tx tx = tx_at(US_0);
    const struct cdc_value row[4] = {ID(1)};
    const struct cdc_change bad[] = {
        {.op = 'c', .after = row},
        {.op = 'c', .tx = &tx, .before = row},
        {.op = 'd', .tx = &tx, .after = row},
        {.op = 'u', .tx = &tx, .after = row, .flags = CDC_KEY_MOVED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cdc_plan_records(kit.plan, &bad[i], 0, rec, &err), CDC_FAIL);
        assert_int_equal(err.action, CDC_FATAL);
    }
    kit_down(&kit);
}

/* A buffer at its maximum, wherever in the record that is: an error that names the table. */
static void too_large(void **state)
{
    (void)state;
    struct kit kit;
    kit_up(&kit, CDC_INVALID_FAIL);
    struct cdc_tx tx = tx_at(US_0);
    const struct cdc_value row[4] = {ID(1), TEXT("some text"), PRICE, NS};
    struct cdc_change chg = {.op = 'u', .flags = CDC_KEY_MOVED, .table = kit.tab, .tx = &tx};
    chg.before = chg.after = row;
    struct cdc_record rec[CDC_RECORDS_MAX];
    struct cdc_buf whole = CDC_BUF(4096);
    assert_int_equal(cdc_plan_records(kit.plan, &chg, 0, rec, NULL), 2);
    assert_int_equal(cdc_plan_bytes(kit.plan, &rec[1], &whole, NULL), CDC_OK);
    static const uint8_t others[1000]; /* records that are in the buffer already */
    for (size_t room = 0; room < whole.len; room++) {
        struct cdc_error err = {.message = ""};
        struct cdc_buf buf = CDC_BUF(sizeof others + room);
        cdc_buf_put(&buf, others, sizeof others);
        assert_int_equal(cdc_plan_bytes(kit.plan, &rec[1], &buf, &err), CDC_FAIL);
        assert_non_null(strstr(err.message, "public.t"));
        assert_true(buf.len <= buf.max);
        cdc_buf_done(&buf);
    }
    cdc_buf_done(&whole);
    kit_down(&kit);
}

int main(void)
{
    struct CMUnitTest tests[N + 5] = {
        [N] = cmocka_unit_test(every_type),    [N + 1] = cmocka_unit_test(out_of_range),
        [N + 2] = cmocka_unit_test(the_clock), [N + 3] = cmocka_unit_test(incomplete),
        [N + 4] = cmocka_unit_test(too_large),
    };
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, run, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
