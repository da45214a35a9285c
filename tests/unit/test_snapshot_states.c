/*
 * test_snapshot_states.c - the line of a table's pieces, its text in the checkpoint, its sweep.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cdc/view.h"
#include "cm.h"
#include "snapshot/states.h"

/* The pieces as a text: "T..3 B3..7 D7.." */
static const char *line(const struct cdc_copy_state *st)
{
    static char text[256];
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < st->n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%c%s..%s", i ? " " : "",
                              "TBD"[st->pieces[i].kind],
                              st -> pieces[i].from ? st->pieces[i].from : "",
                              st->pieces[i].to ? st->pieces[i].to : "");
    return text;
}

static void begin(struct cdc_copy_state *st, uint32_t generation)
{
    cdc_copy_state_init(st);
    assert_int_equal(cdc_copy_restart(st, generation), CDC_OK);
}

static void take(struct cdc_copy_state *st, const char *cut, const char *want)
{
    int at = cdc_copy_next(st);
    assert_true(at >= 0);
    assert_int_equal(cdc_copy_take(st, at, cut), CDC_OK);
    assert_string_equal(line(st), want);
}

static void settle(struct cdc_copy_state *st, const char *from, const char *to, bool done,
                   const char *want)
{
    cdc_copy_settle(st, from, to, done);
    assert_string_equal(line(st), want);
}

static void test_pieces(void **state)
{
    (void)state;
    struct cdc_copy_state st;
    begin(&st, 1);
    assert_string_equal(line(&st), "T..");
    take(&st, "3", "B..3 T3..");
    take(&st, "5", "B..3 B3..5 T5..");
    take(&st, "9", "B..3 B3..5 B5..9 T9..");
    settle(&st, "3", "5", true, "B..3 D3..5 B5..9 T9..");
    settle(&st, "3", "5", true, "B..3 D3..5 B5..9 T9.."); /* not being read: nothing */
    settle(&st, NULL, "5", true, "B..3 D3..5 B5..9 T9..");
    settle(&st, "5", "9", false, "B..3 D3..5 T5..");
    settle(&st, NULL, "3", true, "D..5 T5..");
    take(&st, NULL, "D..5 B5..");
    assert_int_equal(cdc_copy_next(&st), -1);
    assert_false(cdc_copy_complete(&st));
    cdc_copy_give_up(&st);
    assert_string_equal(line(&st), "D..5 T5..");
    take(&st, "7", "D..5 B5..7 T7..");
    take(&st, NULL, "D..5 B5..7 B7..");
    cdc_copy_give_up(&st);
    assert_string_equal(line(&st), "D..5 T5..");
    take(&st, NULL, "D..5 B5..");
    settle(&st, "5", NULL, true, "D..");
    assert_true(cdc_copy_complete(&st));
    assert_int_equal(cdc_copy_restart(&st, 2), CDC_OK);
    assert_string_equal(line(&st), "T..");
    cdc_copy_state_done(&st);
}

static const struct parse_row {
    const char *name, *json, *want; /* want NULL: damaged */
    enum cdc_copy_kind kind;
} parses[] = {
    {"copying", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null,\"3\"],[\"7\",\"9\"]]}",
     "D..3 T3..7 D7..9 T9..", CDC_COPY_COPYING},
    {"open at the end", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[\"7\",null]]}",
     "T..7 D7..", CDC_COPY_COPYING},
    {"that meet",
     "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null,\"3\"],[\"3\",\"9\"]]}",
     "D..3 D3..9 T9..", CDC_COPY_COPYING},
    {"all", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null,null]]}", "D..",
     CDC_COPY_COPYING},
    {"no ranges", "{\"state\":\"copying\",\"generation\":2}", "T..", CDC_COPY_COPYING},
    {"done", "{\"state\":\"done\",\"generation\":3}", "", CDC_COPY_DONE},
    {"failed", "{\"state\":\"failed\",\"generation\":1,\"why\":\"no right\"}", "T..",
     CDC_COPY_FAILED},
    {"no JSON", "{\"state\"", NULL, CDC_COPY_NONE},
    {"no object", "[]", NULL, CDC_COPY_NONE},
    {"no state", "{\"generation\":1}", NULL, CDC_COPY_NONE},
    {"unknown state", "{\"state\":\"none\",\"generation\":1}", NULL, CDC_COPY_NONE},
    {"no generation", "{\"state\":\"done\"}", NULL, CDC_COPY_NONE},
    {"odd place", "{\"state\":\"done\",\"generation\":1,\"began\":\"12\"}", NULL, CDC_COPY_NONE},
    {"range of one", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null]]}", NULL,
     CDC_COPY_NONE},
    {"range of numbers", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[1,2]]}", NULL,
     CDC_COPY_NONE},
    {"range no list", "{\"state\":\"copying\",\"generation\":1,\"ranges\":[\"a\"]}", NULL,
     CDC_COPY_NONE},
    {"behind the end",
     "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null,null],[\"1\",\"2\"]]}", NULL,
     CDC_COPY_NONE},
    {"open twice",
     "{\"state\":\"copying\",\"generation\":1,\"ranges\":[[null,\"1\"],[null,\"2\"]]}", NULL,
     CDC_COPY_NONE},
};

static void test_parse(void **state)
{
    const struct parse_row *row = *state;
    struct cdc_copy_state st, again;
    struct cdc_error err = {.message = ""};
    struct cdc_buf json = CDC_BUF(4096);
    cdc_copy_state_init(&st);
    cdc_copy_state_init(&again);
    int rc = cdc_copy_parse("copy/a.b", cdc_slice_str(row->json), &st, &err);
    assert_int_equal(rc, row->want ? CDC_OK : CDC_FAIL);
    if (!row->want) {
        assert_int_equal(err.action, CDC_FATAL);
        assert_string_equal(err.where, "copy/a.b");
        return;
    }
    assert_int_equal(st.kind, row->kind);
    assert_string_equal(line(&st), row->want);
    assert_int_equal(cdc_copy_json(&st, true, &json), CDC_OK); /* and the way back */
    assert_int_equal(cdc_copy_parse("copy/a.b", cdc_buf_slice(&json), &again, &err), CDC_OK);
    assert_string_equal(line(&again), row->want);
    for (size_t n = 0; n < json.len; n++) { /* every prefix is damaged */
        struct cdc_slice part = cdc_slice_of(json.p, n);
        assert_int_equal(cdc_copy_parse("copy/a.b", part, &again, &err), CDC_FAIL);
    }
    cdc_buf_done(&json);
    cdc_copy_state_done(&st);
    cdc_copy_state_done(&again);
}

static void test_members(void **state)
{
    (void)state;
    struct cdc_copy_state st, back;
    struct cdc_buf json = CDC_BUF(4096);
    begin(&st, 7);
    cdc_copy_state_init(&back);
    st.rows = 12345678901;
    st.incarnation = 3;
    st.asked = st.only = true;
    st.why = strdup("no right \"x\"");
    memset(st.began, 'a', CDC_PLACE_LEN);
    memset(st.end, 'e', CDC_PLACE_LEN);
    assert_int_equal(cdc_copy_take(&st, 0, "1"), CDC_OK);
    cdc_copy_settle(&st, NULL, "1", true);
    assert_int_equal(cdc_copy_json(&st, true, &json), CDC_OK);
    assert_int_equal(cdc_copy_parse("k", cdc_buf_slice(&json), &back, NULL), CDC_OK);
    assert_int_equal(back.generation, 7);
    assert_int_equal(back.incarnation, 3);
    assert_true(back.rows == st.rows && back.asked && back.only);
    assert_string_equal(back.why, st.why);
    assert_string_equal(back.began, st.began);
    assert_string_equal(back.end, st.end);
    cdc_buf_reset(&json);
    assert_int_equal(cdc_copy_json(&st, false, &json), CDC_OK); /* ranges of one look alone */
    assert_int_equal(cdc_copy_parse("k", cdc_buf_slice(&json), &back, NULL), CDC_OK);
    assert_string_equal(line(&back), "T..");
    assert_int_equal(back.rows, 0);
    cdc_buf_done(&json);
    cdc_copy_state_done(&st);
    cdc_copy_state_done(&back);
}

static void test_sweep(void **state)
{
    (void)state;
    static const struct cdc_column cols[] = {{.name = "id", .type = "int", .kind = CDC_INT}};
    const struct cdc_table_spec spec = {
        .catalog = "c", .schema = "s", .name = "t", .version = 1, .n = 1, .cols = cols};
    struct cdc_pool *pool = cdc_pool_new(1 << 20, 4096);
    struct cdc_batch *batch = cdc_pool_batch(pool);
    struct cdc_table *tab = NULL;
    struct cdc_copy_state st;
    begin(&st, 2);
    memset(st.began, 'b', CDC_PLACE_LEN);
    assert_int_equal(cdc_table_new(&spec, &tab, NULL), CDC_OK);
    assert_int_equal(cdc_copy_sweep(&st, tab, 17, batch), CDC_OK);
    assert_int_equal(batch->n, 1);
    const struct cdc_change *chg = &batch->changes[0];
    assert_int_equal(chg->op, CDC_OP_RANGE);
    assert_true(chg->flags == CDC_INFERRED && chg->table == tab);
    assert_true(chg->ordinal == CDC_READ_ORDINAL(2));
    assert_memory_equal(chg->tx->place, st.began, CDC_PLACE_LEN);
    cdc_batch_unref(batch);
    cdc_table_unref(tab);
    cdc_pool_free(pool);
    cdc_copy_state_done(&st);
}

/* What makes a table another one than the one whose rows were read. */
static void test_shape(void **state)
{
    (void)state;
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "int", .key = 1, .type_mod = -1},
        {.name = "v", .type = "numeric", .type_mod = 655366},
    };
    const struct {
        struct cdc_column col[2];
        uint64_t id;
        uint16_t n;
        bool other;
    } rows[] = {
        {{cols[0], cols[1]}, 7, 2, false},
        {{cols[0], cols[1]}, 8, 2, true},
        {{cols[0], cols[1]}, 7, 1, true},
        {{cols[1], cols[0]}, 7, 2, true},
        {{{.name = "id", .type = "bigint", .key = 1, .type_mod = -1}, cols[1]}, 7, 2, true},
        {{{.name = "ix", .type = "int", .key = 1, .type_mod = -1}, cols[1]}, 7, 2, true},
        {{{.name = "id", .type = "int", .type_mod = -1}, cols[1]}, 7, 2, true},
        {{cols[0], {.name = "v", .type = "numeric", .type_mod = -1}}, 7, 2, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cdc_copy_state st, back;
        struct cdc_buf json = CDC_BUF(4096);
        struct cdc_table tab = {.id = 7, .n = 2, .cols = cols};
        begin(&st, 1);
        cdc_copy_state_init(&back);
        assert_false(cdc_copy_shape(&st, &tab)); /* not known before */
        assert_int_equal(cdc_copy_json(&st, true, &json), CDC_OK);
        assert_int_equal(cdc_copy_parse("k", cdc_buf_slice(&json), &back, NULL), CDC_OK);
        tab = (struct cdc_table){.id = rows[i].id, .n = rows[i].n, .cols = rows[i].col};
        assert_true(cdc_copy_shape(&back, &tab) == rows[i].other);
        assert_false(cdc_copy_shape(&back, &tab));
        assert_int_equal(cdc_copy_restart(&st, 2), CDC_OK);
        assert_false(cdc_copy_shape(&st, &tab));
        cdc_buf_done(&json);
        cdc_copy_state_done(&st);
        cdc_copy_state_done(&back);
    }
}

int main(void)
{
    struct CMUnitTest tests[sizeof parses / sizeof *parses + 4];
    size_t n = 0;
    for (size_t i = 0; i < sizeof parses / sizeof *parses; i++)
        tests[n++] = (struct CMUnitTest){.name = parses[i].name,
                                         .test_func = test_parse,
                                         .initial_state = (void *)(uintptr_t)&parses[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_pieces);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_members);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_sweep);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_shape);
    return _cmocka_run_group_tests("snapshot_states", tests, n, NULL, NULL);
}
