/*
 * test_envelope_shrink.c - records that are too large: what is taken out, in which order, and that
 * what is left fits and says so. Every row is shrunk to every size below its own.
 */
#include <stdlib.h>

#include "envelope_kit.h"
#include "rows.h"

/* clang-format off */
#define X10  "0123456789"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X300 X100 X100 X100

static const struct cdc_value ten[] = {ID(1), ID(2), ID(3), ID(4), ID(5), ID(6), ID(7), ID(8), ID(9), NUL};

static const struct row {
    const char *name, *rule;
    char op;
    uint8_t flags;
    struct cdc_value before[5], after[5]; /* id text (the key), a text, b text, long_name text, ns integer[] */
    int less;           /* max_bytes: so many below the record's own size; -1: of everything */
    const char *taken;  /* __invalid of the last record as JSON; NULL: it does not fit at all */
} rows[] = {
    {"fits", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X10), NUL, NUL, NUL}, 0, "null"},
    {"one byte too many", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X10), TEXT(X100), TEXT(X10), NUL}, 1, "[\"b\"]"},
    {"the largest is enough", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X100), TEXT(X300), TEXT(X10), NUL}, 250, "[\"b\"]"},
    {"two", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X300), TEXT(X10), TEXT(X100), NUL}, 350, "[\"a\",\"long_name\"]"},
    {"as the table has them, not by size", "", 'u', 0, {NUL}, {TEXT("1"), TEXT(X100), TEXT(X300), NUL, NUL}, 360, "[\"a\",\"b\"]"},
    {"of equal ones the first", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X100), TEXT(X100), TEXT(X100), NUL}, 50, "[\"a\"]"},
    {"an array", "", 'c', 0, {NUL}, {TEXT("1"), TEXT("x"), NUL, NUL, V_ARR(ten)}, 10, "[\"ns\"]"},
    {"a name that costs more than its value stays", "", 'c', 0, {NUL}, {TEXT("1"), NUL, NUL, TEXT("01234567"), NUL}, 1, NULL},
    {"a name that costs less goes", "", 'c', 0, {NUL}, {TEXT("1"), NUL, NUL, TEXT("0123456789ab"), NUL}, 1, "[\"long_name\"]"},
    {"the key stays", "", 'c', 0, {NUL}, {TEXT(X300), TEXT(X100), NUL, NUL, NUL}, 200, NULL},
    {"beside a large key", "", 'c', 0, {NUL}, {TEXT(X300), TEXT(X100), NUL, NUL, NUL}, 50, "[\"a\"]"},
    {"all but the key", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X100), TEXT(X100), TEXT(X100), V_ARR(ten)}, 300, "[\"a\",\"b\",\"long_name\",\"ns\"]"},
    {"what was not sent is no loss", "", 'u', 0, {NUL}, {TEXT("1"), UNCHANGED, TEXT(X300), UNCHANGED, NUL}, 200, "[\"b\"]"},
    {"beside what on_invalid took", "on_invalid: \"null\"", 'c', 0, {NUL}, {TEXT("1"), INVALID("hush"), TEXT(X300), NUL, INVALID("hush")}, 200, "[\"a\",\"b\",\"ns\"]"},
    {"by the size that is written: hashed", "columns: {hash: [a]}", 'c', 0, {NUL}, {TEXT("1"), TEXT(X300), TEXT(X100), NUL, NUL}, 20, "[\"b\"]"},
    {"by the size that is written: cut", "columns: {truncate: {a: 5}, mask: [b]}", 'c', 0, {NUL}, {TEXT("1"), TEXT(X300), TEXT(X300), TEXT(X100), NUL}, 20, "[\"long_name\"]"},
    {"delete", "", 'd', 0, {TEXT("1"), TEXT(X300), ABSENT, NUL, NUL}, {NUL}, 100, "[\"a\"]"},
    {"the second half of a key change", "", 'u', CDC_KEY_MOVED, {TEXT("0"), ABSENT, ABSENT, ABSENT, ABSENT}, {TEXT("1"), TEXT(X300), NUL, NUL, NUL}, 100, "[\"a\"]"},
    {"a large key before stays", "", 'u', CDC_KEY_MOVED, {TEXT(X300), ABSENT, ABSENT, ABSENT, ABSENT}, {TEXT("1"), TEXT(X10), NUL, NUL, NUL}, 100, NULL},
    {"logical delete, its column taken", "logical_delete: {column: b}", 'u', 0, {NUL}, {TEXT("1"), NUL, TEXT(X300), NUL, NUL}, 100, "[\"b\"]"},
    {"truncate", "", 't', 0, {NUL}, {NUL}, 0, "null"},
    {"truncate has nothing to take", "", 't', 0, {NUL}, {NUL}, 1, NULL},
    {"everything", "", 'c', 0, {NUL}, {TEXT("1"), TEXT(X100), NUL, NUL, NUL}, -1, NULL},
};
/* clang-format on */

struct stage {
    struct kit kit;
    struct cdc_change chg;
    struct cdc_tx tx;
    struct cdc_record recs[CDC_RECORDS_MAX], *rec; /* rec: the last */
    struct cdc_row_schema *schema;
    struct cdc_arena *arena;
    struct cdc_buf full, buf;
    uint64_t invalid;
};

static void start(struct stage *s, const struct row *row)
{
    static const struct cdc_column cols[] = {
        COL("id", "text", CDC_TEXT, .key = 1),
        COL("a", "text", CDC_TEXT, .bits = 0),
        COL("b", "text", CDC_TEXT, .bits = 0),
        COL("long_name", "text", CDC_TEXT, .bits = 0),
        COL("ns", "integer[]", CDC_ARRAY, .item = CDC_INT, .bits = 32),
    };
    *s = (struct stage){.tx = {.id = cdc_slice_str("9"), .commit_us = KIT_US},
                        .full = CDC_BUF(65536),
                        .buf = CDC_BUF(65536)};
    memset(s->tx.place, '0', sizeof s->tx.place);
    kit_up(&s->kit, row->rule, cols, 5);
    s->chg = (struct cdc_change){.op = (uint8_t)row->op,
                                 .flags = row->flags,
                                 .table = s->kit.tab,
                                 .tx = &s->tx,
                                 .ordinal = 1};
    s->chg.before = row->op == 'd' || row->flags & CDC_KEY_MOVED ? row->before : NULL;
    s->chg.after = row->op == 'd' || row->op == 't' ? NULL : row->after;
    struct cdc_plan *plan = s->kit.tab->plan;
    int n = cdc_plan_records(plan, &s->chg, KIT_US, s->recs, NULL);
    assert_true(n > 0);
    s->rec = &s->recs[n - 1];
    assert_int_equal(cdc_plan_bytes(plan, s->rec, &s->full, NULL), CDC_OK);
    s->invalid = s->kit.env.invalid;
    s->arena = cdc_arena_new(1 << 20);
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&s->kit.text), &s->schema, NULL), CDC_OK);
}

static void end(struct stage *s)
{
    assert_int_equal(s->kit.env.invalid, s->invalid); /* counted once, by cdc_plan_bytes */
    cdc_arena_free(s->arena);
    cdc_row_schema_free(s->schema);
    cdc_buf_done(&s->full);
    cdc_buf_done(&s->buf);
    kit_down(&s->kit);
}

static bool listed(const struct cdc_value *list, const char *name)
{
    for (uint32_t i = 0; list->kind == CDC_ARRAY && i < list->len; i++)
        if (cdc_slice_eq(cdc_value_slice(&list->items[i]), cdc_slice_str(name)))
            return true;
    return false;
}

/* The record in s->buf (behind "here ") beside the whole one: alike but for what was taken. */
static size_t compare(struct stage *s)
{
    struct cdc_value got[5 + CDC_METAS], whole[5 + CDC_METAS];
    const struct cdc_row_schema *schema = s->schema;
    struct cdc_slice rest = cdc_slice_of(s->buf.p + 5, s->buf.len - 5);
    assert_memory_equal(s->buf.p, "here ", 5);
    assert_int_equal(cdc_row_read(schema, rest, s->arena, got, NULL), CDC_OK);
    assert_int_equal(cdc_row_read(schema, cdc_buf_slice(&s->full), s->arena, whole, NULL), CDC_OK);
    const struct cdc_value *list = &got[schema->meta[CDC_META_INVALID]];
    const struct cdc_value *before = &whole[schema->meta[CDC_META_INVALID]];
    for (uint16_t i = 0; i < schema->n; i++) {
        const char *name = schema->cols[i].name;
        if (i == schema->meta[CDC_META_INVALID])
            continue;
        if (listed(list, name))
            assert_int_equal(got[i].kind, CDC_NULL);
        else
            assert_true(cdc_value_eq(&got[i], &whole[i]));
        if (listed(before, name))
            assert_true(listed(list, name));
    }
    return list->kind == CDC_ARRAY ? list->len : 0;
}

static void run(void **state)
{
    const struct row *row = *state;
    struct cdc_buf json = CDC_BUF(4096);
    struct cdc_value got[5 + CDC_METAS];
    struct stage s;
    start(&s, row);
    size_t max = row->less < 0 ? 0 : s.full.len - (size_t)row->less;
    cdc_buf_str(&s.buf, "here ");
    int rc = cdc_plan_shrunk(s.kit.tab->plan, s.rec, max, &s.buf, NULL);
    assert_int_equal(rc, row->taken ? CDC_OK : CDC_END);
    if (row->taken) {
        struct cdc_slice bytes = cdc_slice_of(s.buf.p + 5, s.buf.len - 5);
        assert_int_equal(cdc_row_read(s.schema, bytes, s.arena, got, NULL), CDC_OK);
        cdc_json_value(&json, &got[s.schema->meta[CDC_META_INVALID]], 0);
        assert_string_equal(cdc_buf_cstr(&json), row->taken);
        compare(&s);
    }
    cdc_buf_done(&json);
    end(&s);
}

/* At every size: it fits, or there is nothing; the smaller, the more is taken; all else is there.
 */
static void every_size(void **state)
{
    const struct row *row = *state;
    struct stage s;
    size_t taken = 0;
    int last = CDC_OK;
    start(&s, row);
    for (size_t max = s.full.len + 1; max-- > 0;) {
        cdc_buf_reset(&s.buf);
        cdc_buf_str(&s.buf, "here ");
        int rc = cdc_plan_shrunk(s.kit.tab->plan, s.rec, max, &s.buf, NULL);
        assert_true(rc == CDC_OK || rc == CDC_END);
        assert_true(rc >= last);
        last = rc;
        if (rc == CDC_END) {
            assert_int_equal(s.buf.len, 5);
            assert_false(s.buf.failed);
            continue;
        }
        assert_true(s.buf.len - 5 <= max);
        size_t now = compare(&s);
        assert_true(now >= taken);
        taken = now;
    }
    assert_int_equal(last, CDC_END);
    end(&s);
}

/* What cannot be written is refused as it is without shrinking, and the buffer's bound holds. */
static void refused(void **state)
{
    (void)state;
    static const struct row bad = {
        .rule = "", .op = 'c', .after = {TEXT("1"), TEXT(X300), NUL, NUL, NUL}};
    struct cdc_value vals[5];
    struct cdc_error err = {.message = ""};
    struct stage s;
    start(&s, &bad);
    memcpy(vals, bad.after, sizeof vals);
    s.buf.max = 100; /* the sink gave less room than it asked for */
    assert_int_equal(cdc_plan_shrunk(s.kit.tab->plan, s.rec, s.full.len, &s.buf, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_true(s.buf.len <= 100);
    s.buf.max = 65536;
    cdc_buf_reset(&s.buf);
    vals[2] = (struct cdc_value)INVALID("hush");
    s.rec->row = vals;
    assert_int_equal(cdc_plan_shrunk(s.kit.tab->plan, s.rec, 200, &s.buf, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_non_null(strstr(err.message, "public.t.b"));
    assert_null(strstr(err.message, "hush"));
    end(&s);
}

int main(void)
{
    struct CMUnitTest tests[2 * CM_COUNT(rows) + 1], *to = tests;
    to = CM_ROWS(to, run, rows);
    to = CM_ROWS(to, every_size, rows);
    *to = (struct CMUnitTest)cmocka_unit_test(refused);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
