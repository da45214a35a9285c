/*
 * test_postgres_messages.c - logical messages against a real server: where they stand, what
 * position is behind them, and that none is lost or doubled when the source is opened again there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/rows.h"
#include "base/log.h"
#include "pg_live.h"

#define CAPTURE                                                                                    \
    "  - messages: [no*]\n    skip: true\n  - messages: ['*']\n"                                   \
    "  - {tables: 'public.*', snapshot: never}\n"
#define T           "CREATE TABLE t (id int PRIMARY KEY, v text)"
#define M(in, text) "SELECT pg_logical_emit_message(" #in ", 'app', '" text "');"

static const struct row {
    const char *name;
    const char *sql[6];
    const char *expect;
} rows[] = {
    {"alone in its transaction",
     {"SELECT pg_logical_emit_message(true, 'app', 'hi')"},
     "m0 _sidestream._messages (app, 6869, true).\n"},
    {"outside of any",
     {"SELECT pg_logical_emit_message(false, 'app', 'hi')"},
     "m0 _sidestream._messages (app, 6869, false).\n"},
    {"empty, with an empty prefix",
     {"SELECT pg_logical_emit_message(false, '', '')"},
     "m0 _sidestream._messages (, , false).\n"},
    {"between rows",
     {"BEGIN;" M(true, "1") "INSERT INTO t VALUES (1, 'a'), (2, 'b');" M(true, "2") M(true, "3") //
      "INSERT INTO t VALUES (3, 'c');" M(true, "4") "COMMIT"},
     "m0 _sidestream._messages (app, 31, true)\nc1 t (1, a)\nc2 t (2, b)\n"
     "m2 _sidestream._messages (app, 32, true)\nm2 _sidestream._messages (app, 33, true)\n"
     "c3 t (3, c)\nm3 _sidestream._messages (app, 34, true).\n"},
    {"one outside comes before its transaction's rows",
     {"BEGIN; INSERT INTO t VALUES (1, 'a');" M(false, "1") "COMMIT"},
     "m0 _sidestream._messages (app, 31, false).\nc1 t (1, a).\n"},
    {"rolled back",
     {"BEGIN;" M(true, "1") M(false, "2") "ROLLBACK",
      "BEGIN; SAVEPOINT s;" M(true, "3") "ROLLBACK TO s; INSERT INTO t VALUES (1, 'a'); COMMIT"},
     "m0 _sidestream._messages (app, 32, false).\nc1 t (1, a).\n"},
    {"prefixes that nobody wants",
     {"SELECT pg_logical_emit_message(true, 'nobody', 'x'), pg_logical_emit_message(false, "
      "'nothing', 'x')",
      M(true, "1")},
     "m0 _sidestream._messages (app, 31, true).\n"},
};

static void expect(struct live *lv, const char *text)
{
    cdc_buf_byte(&lv->out, 0);
    assert_string_equal((const char *)lv->out.p, text);
    cdc_buf_reset(&lv->out);
}

static void begin(struct live *lv)
{
    live_up(lv, CAPTURE, "");
    live_sql(lv, T);
    live_stream(lv);
}

/* The changes; and after a new start nothing of them comes again. */
static void test_row(void **state)
{
    const struct row *row = *state;
    struct live lv;
    begin(&lv);
    for (size_t i = 0; row->sql[i]; i++)
        live_sql(&lv, row->sql[i]);
    live_settle(&lv);
    expect(&lv, row->expect);
    live_close(&lv);
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "");
    live_down(&lv);
}

static void turn_until(struct live *lv, size_t changes)
{
    for (int i = 0; i < 200 && lv->changes < changes; i++)
        turn_or_fail(lv, 100);
    assert_int_equal(lv->changes, changes);
}

/* The LSN that the function gives, as our position has it; the WAL is flushed behind. */
static char *emit_outside(struct live *lv)
{
    char *lsn = live_ask(lv, "SELECT pg_logical_emit_message(false, 'app', 'x')");
    live_sql(lv, "SELECT txid_current()");
    return lsn;
}

/* Behind a message stands idle: at its LSN; there we go on, with the next message too. */
static void test_position_behind(void **state)
{
    struct live lv;
    char want[64];
    (void)state;
    begin(&lv);
    for (size_t i = 1; i <= 5; i++) {
        char *lsn = emit_outside(&lv);
        turn_until(&lv, i);
        snprintf(want, sizeof want, "idle:%s", lsn);
        free(lsn);
        live_close(&lv);
        if (strcmp(live_position(&lv), want) != 0)
            live_set_position(&lv, want); /* a keepalive has moved it on */
        live_stream(&lv);
        assert_int_equal(lv.changes, i);
    }
    live_down(&lv);
}

/* Messages that were not committed come again, each once, beside the transaction of the position.
 */
static void test_uncommitted_come_again(void **state)
{
    struct live lv;
    (void)state;
    begin(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1, 'a')");
    turn_until(&lv, 1);
    char *saved = strdup(live_position(&lv));
    assert_memory_equal(saved, "tx:", 3);
    lv.acks = false;
    live_sql(&lv, M(false, "1"));
    live_sql(&lv, M(true, "2"));
    live_sql(&lv, M(false, "3"));
    live_sql(&lv, "INSERT INTO t VALUES (2, 'b')");
    turn_until(&lv, 5);
    live_close(&lv);
    cdc_buf_reset(&lv.out);
    live_set_position(&lv, saved);
    free(saved);
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "m0 _sidestream._messages (app, 31, false).\nm0 _sidestream._messages (app, 32, "
                "true).\nm0 _sidestream._messages (app, 33, false).\nc1 t (2, b).\n");
    live_down(&lv);
}

/* A sink that cuts transactions: no place behind a message, and none lost or doubled. */
static void test_cuts(void **state)
{
    struct live lv;
    struct cdc_buf want = CDC_BUF(1 << 22);
    bool ended = false;
    (void)state;
    begin(&lv);
    live_close(&lv);
    lv.set->config.cuts = true;
    live_stream(&lv);
    live_sql(&lv,
             "DO $$ BEGIN FOR i IN 1..6000 LOOP INSERT INTO t VALUES (i, repeat('x', 500)); "
             "IF i % 2 = 0 THEN PERFORM pg_logical_emit_message(true, 'app', i::text), "
             "pg_logical_emit_message(true, 'app', repeat('y', 200)); END IF; END LOOP; END $$");
    for (int i = 0; i < 2000 && !ended; i++) {
        size_t cuts = lv.cuts_tx;
        assert_true(live_turn(&lv, 100) >= 0);
        ended = lv.changes >= 12000;
        if (lv.cuts_tx > cuts && !ended) {
            live_close(&lv);
            assert_int_equal(live_open(&lv), CDC_OK);
        }
    }
    assert_int_equal(lv.changes, 12000);
    assert_true(lv.cuts_tx >= 3);
    for (int i = 1; i <= 6000; i++) {
        cdc_buf_printf(&want, "c%d t (%d, <500 bytes>)\n", i, i);
        if (i % 2)
            continue;
        cdc_buf_printf(&want, "m%d _sidestream._messages (app, ", i);
        char digits[16];
        snprintf(digits, sizeof digits, "%d", i);
        for (const char *at = digits; *at; at++)
            cdc_buf_printf(&want, "%02x", *at);
        cdc_buf_printf(&want, ", true)\nm%d _sidestream._messages (app, ", i);
        for (int k = 0; k < 200; k++)
            cdc_buf_str(&want, "79");
        cdc_buf_str(&want, i == 6000 ? ", true).\n" : ", true)\n");
    }
    expect(&lv, cdc_buf_cstr(&want));
    cdc_buf_done(&want);
    live_down(&lv);
}

static void test_too_large(void **state)
{
    struct live lv;
    int rc = CDC_OK;
    (void)state;
    live_up(&lv, CAPTURE, "max_row_bytes: 1KiB");
    live_sql(&lv, T);
    live_stream(&lv);
    live_sql(&lv, "SELECT pg_logical_emit_message(true, 'nobody', repeat('x', 5000))");
    live_settle(&lv);
    live_sql(&lv, "SELECT pg_logical_emit_message(true, 'app', repeat('x', 5000))");
    for (int i = 0; i < 100 && rc >= 0; i++)
        rc = live_turn(&lv, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_OPERATOR);
    assert_non_null(strstr(lv.err.message, "max_row_bytes"));
    live_down(&lv);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_position_behind), cmocka_unit_test(test_uncommitted_come_again),
        cmocka_unit_test(test_cuts), cmocka_unit_test(test_too_large)};
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(others)];
    memcpy(CM_ROWS(tests, test_row, rows), others, sizeof others);
    return cmocka_run_group_tests_name("postgres: messages", tests, NULL, NULL);
}
