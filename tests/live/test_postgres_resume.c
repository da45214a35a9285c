/*
 * test_postgres_resume.c - starts, restarts and refusals of the postgres source on a real server:
 * what happens beside each state of checkpoint, slot and publication; positions; idle streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "pg_live.h"

#define ALL "  - {tables: 'public.*', snapshot: never}\n"
#define T   "CREATE TABLE t (id int PRIMARY KEY, a text)"

static void expect(struct live *lv, const char *text)
{
    assert_string_equal(lv->out.len ? cdc_buf_cstr(&lv->out) : "", text);
    cdc_buf_reset(&lv->out);
}

static void refused(struct live *lv, enum cdc_action action, const char *words)
{
    int rc = live_open(lv);
    for (int i = 0; rc >= 0 && i < 30; i++)
        rc = live_turn(lv, 100);
    if (rc >= 0)
        fail_msg("not refused; \"%s\" was expected", words);
    if (!strstr(lv->err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", lv->err.message, words);
    assert_int_equal(lv->err.action, action);
    live_close(lv);
}

/* A stream that has run, was closed, and has the changes of `sql` before it. */
static void stopped(struct live *lv, const char *capture, const char *extra)
{
    live_up(lv, capture, extra);
    live_sql(lv, T);
    live_stream(lv);
    live_sql(lv, "INSERT INTO t VALUES (1, 'x')");
    live_settle(lv);
    live_close(lv);
    expect(lv, "c1 t (1, x).\n");
}

static void test_goes_on(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_sql(&lv, "INSERT INTO t VALUES (2, 'y')");
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "c1 t (2, y).\n");
    live_down(&lv);
}

static void test_goes_on_unacked(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    live_stream(&lv);
    lv.acks = false;
    for (int i = 0; i < 3; i++) {
        live_sql(&lv, "INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t");
        live_settle(&lv);
        live_close(&lv);
        live_stream(&lv);
    }
    expect(&lv, "c1 t (1, null).\nc1 t (2, null).\nc1 t (3, null).\n");
    live_down(&lv);
}

/* Nothing is emitted twice or left out when the first transaction is one without captured rows. */
static void test_goes_on_after_foreign_rows(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, "  - {tables: public.hidden, skip: true}\n" ALL, "publication: everything");
    live_sql(&lv, T "; CREATE TABLE hidden (id int PRIMARY KEY); CREATE PUBLICATION everything FOR "
                    "ALL TABLES WITH (publish_via_partition_root = true)");
    live_stream(&lv);
    live_settle(&lv);
    live_close(&lv);
    live_sql(&lv, "INSERT INTO hidden VALUES (1)");
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "c1 t (1, null).\n");
    live_down(&lv);
}

static void test_empty_sink_beside_a_slot(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    cdc_map_clear(&lv.checkpoint);
    refused(&lv, CDC_OPERATOR, "the sink is empty, but slot");
    live_configure(&lv, lv.url, ALL, "adopt_slot: true");
    live_sql(&lv, "INSERT INTO t VALUES (2, 'y')");
    live_stream(&lv);
    live_settle(&lv);
    assert_non_null(strstr(cdc_buf_cstr(&lv.out), "c1 t (2, y).\n"));
    live_down(&lv);
}

/* Died between making the slot and telling of it: the record says that the slot is ours. */
static void test_unfinished_start(void **state)
{
    struct live lv;
    char sql[256];
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    assert_int_equal(live_open(&lv), CDC_OK);
    assert_int_equal(live_turn(&lv, 1000), CDC_OK);
    assert_non_null(cdc_map_get(&lv.checkpoint, "creating").p);
    assert_null(cdc_map_get(&lv.checkpoint, "position").p);
    live_close(&lv);
    snprintf(sql, sizeof sql,
             "SELECT pg_create_logical_replication_slot('sidestream_%s', 'pgoutput')", lv.database);
    live_sql(&lv, sql);
    live_sql(&lv, "INSERT INTO t VALUES (1)"); /* before the slot that will be made */
    live_stream(&lv);
    assert_null(cdc_map_get(&lv.checkpoint, "creating").p);
    live_sql(&lv, "INSERT INTO t VALUES (2)");
    live_settle(&lv);
    expect(&lv, "c1 t (2, null).\n");
    live_down(&lv);
}

/* Nothing may exist at the server before `creating` is durable. */
static void test_nothing_before_the_ack(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    assert_int_equal(live_open(&lv), CDC_OK);
    struct cdc_batch *batch = cdc_pool_batch(lv.pool);
    assert_int_equal(lv.src->ops->poll(lv.src, batch, cdc_mono_us(), &lv.err), CDC_OK);
    assert_true(batch->urgent);
    assert_int_equal(batch->cut, CDC_CUT_END);
    cdc_batch_unref(batch);
    for (int i = 0; i < 3; i++)
        assert_int_equal(live_turn(&lv, 50), CDC_AGAIN);
    char *n = live_ask(&lv, "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM "
                            "pg_replication_slots WHERE database = current_database())");
    assert_string_equal(n, "0");
    free(n);
    live_down(&lv);
}

/* Making the slot waits for an open transaction; wake and close still work. */
static void test_slot_waits_for_a_transaction(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    PGconn *conn = PQconnectdb(lv.url);
    PQclear(PQexec(conn, "BEGIN; INSERT INTO t VALUES (1)"));
    assert_int_equal(live_open(&lv), CDC_OK);
    assert_int_equal(live_turn(&lv, 100), CDC_OK);
    int64_t start = cdc_mono_us();
    assert_int_equal(live_turn(&lv, 300), CDC_AGAIN);
    assert_true(cdc_mono_us() - start < 2000000);
    live_close(&lv);
    assert_int_equal(live_open(&lv), CDC_OK); /* `creating` is in the checkpoint */
    assert_int_equal(live_turn(&lv, 300), CDC_AGAIN);
    PQclear(PQexec(conn, "COMMIT"));
    PQfinish(conn);
    for (int i = 0; i < 100 && !*live_position(&lv); i++)
        assert_true(live_turn(&lv, 100) >= 0);
    live_sql(&lv, "INSERT INTO t VALUES (2)");
    live_settle(&lv);
    expect(&lv, "c1 t (2, null).\n");
    live_down(&lv);
}

static void test_slot_is_gone(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_sql(&lv, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE "
                  "database = current_database()");
    refused(&lv, CDC_OPERATOR, "does not exist any more");
    live_down(&lv);
}

static void test_slot_moved_on(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_sql(&lv, "INSERT INTO t VALUES (2)");
    live_sql(&lv, "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM "
                  "pg_replication_slots WHERE database = current_database()");
    refused(&lv, CDC_OPERATOR, "has moved on");
    live_down(&lv);
}

static void test_slot_of_another_plugin(void **state)
{
    struct live lv;
    char sql[256];
    (void)state;
    live_up(&lv, ALL, "adopt_slot: true, slot: physical_one");
    live_sql(&lv, T);
    snprintf(sql, sizeof sql, "SELECT pg_create_physical_replication_slot('physical_one')");
    live_sql(&lv, sql);
    refused(&lv, CDC_OPERATOR, "not one of ours");
    live_sql(&lv, "SELECT pg_drop_replication_slot('physical_one')");
    live_down(&lv);
}

static void test_slot_in_use(void **state)
{
    struct live lv, other;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    live_stream(&lv);
    other = lv;
    other.src = NULL;
    assert_int_equal(cdc_source_find("postgres")
                         ->open(&other.set->config, &other.checkpoint, &other.src, &other.err),
                     CDC_OK);
    int rc = CDC_OK;
    for (int i = 0; i < 30 && rc >= 0; i++)
        rc = live_turn(&other, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(other.err.action, CDC_RETRY);
    assert_non_null(strstr(other.err.message, "is active for PID"));
    other.src->ops->close(other.src);
    live_down(&lv);
}

static void test_another_server(void **state)
{
    static const struct {
        const char *source, *words;
    } cases[] = {
        {"{\"type\":\"postgres\",\"systemid\":\"1\",\"timeline\":1,\"database\":\"x\"}",
         "another server answers"},
        {"{\"type\":\"mysql\"}", "does not say which PostgreSQL server"},
        {"[", "does not say which PostgreSQL server"},
    };
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            cdc_map_put(&lv.checkpoint, cdc_slice_str("source"), cdc_slice_str(cases[i].source)),
            CDC_OK);
        refused(&lv, CDC_OPERATOR, cases[i].words);
    }
    live_down(&lv);
}

/* The saved timeline is ahead of the server's. */
static void test_timeline(void **state)
{
    struct live lv;
    char *systemid, text[512];
    (void)state;
    stopped(&lv, ALL, "");
    systemid = live_ask(&lv, "SELECT system_identifier FROM pg_control_system()");
    snprintf(text, sizeof text,
             "{\"type\":\"postgres\",\"systemid\":\"%s\",\"timeline\":9,\"database\":\"%s\"}",
             systemid, lv.database);
    assert_int_equal(cdc_map_put(&lv.checkpoint, cdc_slice_str("source"), cdc_slice_str(text)),
                     CDC_OK);
    assert_int_equal(live_open(&lv), CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_OPERATOR);
    free(systemid);
    live_down(&lv);
}

static void test_position_beyond_the_end(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_set_position(&lv, "idle:FFFFFF/0");
    refused(&lv, CDC_OPERATOR, "beyond the end of the server's log");
    live_set_position(&lv, "tx:FFFFFF/10,FFFFFF/0,5,5");
    refused(&lv, CDC_OPERATOR, "beyond the end of the server's log");
    live_set_position(&lv, "nonsense");
    refused(&lv, CDC_OPERATOR, "none of PostgreSQL's");
    live_down(&lv);
}

/* The transaction at the saved position is another one, or does not come. */
static void test_resent_transaction(void **state)
{
    struct live lv;
    unsigned end[2], commit[2], xid;
    long long us;
    char text[256];
    (void)state;
    stopped(&lv, ALL, "");
    char *saved = strdup(live_position(&lv));
    assert_int_equal(sscanf(saved, "tx:%X/%X,%X/%X,%u,%lld", &end[0], &end[1], &commit[0],
                            &commit[1], &xid, &us),
                     6);
    snprintf(text, sizeof text, "tx:%X/%X,%X/%X,%u,%lld", end[0], end[1], commit[0], commit[1],
             xid + 1, us);
    live_set_position(&lv, text);
    refused(&lv, CDC_OPERATOR, "is not the one that we saved");
    snprintf(text, sizeof text, "tx:%X/%X,%X/%X,%u,%lld", end[0], end[1], commit[0], commit[1], xid,
             us + 1);
    live_set_position(&lv, text);
    refused(&lv, CDC_OPERATOR, "is not the one that we saved");
    snprintf(text, sizeof text, "tx:%X/%X,%X/%X,%u,%lld", end[0], end[1], commit[0], commit[1] + 1,
             xid, us);
    live_set_position(&lv, text);
    live_sql(&lv, "INSERT INTO t VALUES (3)");
    refused(&lv, CDC_OPERATOR, "was not sent again");
    live_set_position(&lv, saved);
    free(saved);
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "c1 t (3, null).\n");
    live_down(&lv);
}

/* Positions inside a transaction: resumed in the middle, each row once; other rows are refused. */
static void test_cuts(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    lv.set->config.cuts = true;
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g");
    for (int i = 0; i < 2000 && lv.cuts_tx < 3; i++)
        assert_true(live_turn(&lv, 100) >= 0);
    assert_int_equal(lv.cuts_tx, 3);
    assert_memory_equal(live_position(&lv), "cut:", 4);
    live_close(&lv);
    char *saved = strdup(live_position(&lv)), *comma = strrchr(saved, ',');
    comma[1] = comma[1] == '0' ? '1' : '0';
    live_set_position(&lv, saved);
    refused(&lv, CDC_OPERATOR, "has other rows than before");
    comma[1] = 0;
    free(saved);
    live_down(&lv);
}

static void test_cuts_go_on(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    lv.set->config.cuts = true;
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 10000) g");
    bool ended = false;
    for (int i = 0; i < 2000 && !ended; i++) {
        size_t cuts = lv.cuts_tx;
        assert_true(live_turn(&lv, 100) >= 0);
        ended = lv.changes >= 10000;
        if (lv.cuts_tx > cuts && lv.cuts_tx % 2 == 0 && !ended) {
            live_close(&lv);
            assert_int_equal(live_open(&lv), CDC_OK);
        }
    }
    assert_int_equal(lv.changes, 10000);
    assert_true(lv.cuts_tx >= 8);
    char line[64];
    const char *at = cdc_buf_cstr(&lv.out);
    for (int i = 1; i <= 10000; i++, at = strchr(at, '\n') + 1) {
        int n = snprintf(line, sizeof line, "c%d t (%d, ", i, i);
        if (strncmp(at, line, (size_t)n) != 0)
            fail_msg("row %d is not there: %.40s", i, at);
    }
    cdc_buf_reset(&lv.out);
    live_settle(&lv);
    expect(&lv, "");
    live_down(&lv);
}

/* A transaction of many batches has no position inside for a sink that never cuts. */
static void test_large_transaction(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t SELECT g, repeat('x', 2000) FROM generate_series(1, 12000) g");
    for (int i = 0; i < 2000 && lv.changes < 12000; i++)
        assert_true(live_turn(&lv, 100) >= 0);
    assert_int_equal(lv.changes, 12000);
    assert_int_equal(lv.cuts_tx, 0);
    for (int i = 0; i < 50 && strncmp(live_position(&lv), "idle:", 5) != 0;
         i++) /* its idle position comes at once */
        assert_true(live_turn(&lv, 20) >= 0);
    assert_memory_equal(live_position(&lv), "idle:", 5);
    live_down(&lv);
}

/* Log of other databases and of tables not captured moves the slot on. */
static void test_idle_moves_on(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, "  - {tables: public.done, snapshot: never}\n", "");
    live_sql(&lv, T);
    live_stream(&lv);
    char *before = live_ask(&lv, "SELECT pg_current_wal_lsn()");
    live_sql(&lv, "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g");
    char sql[256], *moved = NULL;
    snprintf(sql, sizeof sql,
             "SELECT confirmed_flush_lsn > '%s'::pg_lsn + 2000000 FROM pg_replication_slots WHERE "
             "database = current_database()",
             before);
    for (int i = 0; i < 50 && (!moved || *moved != 't'); i++) {
        assert_true(live_turn(&lv, 100) >= 0);
        free(moved);
        moved = live_ask(&lv, sql);
    }
    assert_string_equal(moved, "t");
    assert_int_equal(lv.changes, 0);
    free(moved);
    free(before);
    live_down(&lv);
}

static void test_publication_dropped(void **state)
{
    struct live lv;
    char sql[128];
    (void)state;
    stopped(&lv, ALL, "");
    snprintf(sql, sizeof sql, "DROP PUBLICATION sidestream_%s", lv.database);
    live_sql(&lv, sql);
    refused(&lv, CDC_OPERATOR, "does not exist any more");
    live_down(&lv);
}

/* Dropped under a running stream: 14 to 17 end it with an error, 18 warns and goes on. */
static void test_publication_dropped_mid_stream(void **state)
{
    struct live lv;
    char sql[128];
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    live_stream(&lv);
    snprintf(sql, sizeof sql, "DROP PUBLICATION sidestream_%s", lv.database);
    live_sql(&lv, sql);
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    int rc = CDC_OK;
    for (int i = 0; i < 50 && rc >= 0; i++)
        rc = live_turn(&lv, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_OPERATOR);
    expect(&lv, "");
    live_down(&lv);
}

static void test_tables_join_and_leave(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_sql(&lv, "CREATE TABLE n (id int PRIMARY KEY)");
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO n VALUES (1)");
    live_settle(&lv);
    expect(&lv, "c1 n (1).\n");
    live_close(&lv);
    live_configure(&lv, lv.url, "  - {tables: public.n, skip: true}\n" ALL, "");
    live_stream(&lv);
    char *n =
        live_ask(&lv, "SELECT string_agg(tablename, ',' ORDER BY 1) FROM pg_publication_tables");
    assert_string_equal(n, "done,t");
    free(n);
    live_down(&lv);
}

/* A table that is being written joins later, and its writer is not blocked for longer than a
 * second. */
static void test_join_waits_for_writers(void **state)
{
    struct live lv;
    (void)state;
    stopped(&lv, ALL, "");
    live_sql(&lv, "CREATE TABLE n (id int PRIMARY KEY)");
    PGconn *conn = PQconnectdb(lv.url);
    PQclear(PQexec(conn, "BEGIN; INSERT INTO n VALUES (1)"));
    live_stream(&lv);
    PQclear(PQexec(conn, "COMMIT"));
    PQfinish(conn);
    char *n =
        live_ask(&lv, "SELECT string_agg(tablename, ',' ORDER BY 1) FROM pg_publication_tables");
    assert_string_equal(n, "done,t");
    free(n);
    live_close(&lv);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO n VALUES (2)");
    live_settle(&lv);
    expect(&lv, "c1 n (2).\n");
    live_down(&lv);
}

static void test_refused_tables(void **state)
{
    static const struct {
        const char *setup, *capture, *words;
    } cases[] = {
        {"CREATE TABLE n (id int)", ALL, "ALTER TABLE \"public\".\"n\" REPLICA IDENTITY FULL;"},
        {"CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE n REPLICA IDENTITY NOTHING", ALL,
         "no usable replica identity"},
        {"CREATE TABLE n (id int PRIMARY KEY, a int)",
         "  - {tables: public.n, key: [a], snapshot: never}\n" ALL, "is to be keyed by \"a\""},
        {"CREATE TABLE n (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE n1 PARTITION OF "
         "n FOR "
         "VALUES IN (1); ALTER TABLE n1 REPLICA IDENTITY FULL",
         ALL, "different replica identities"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct live lv;
        live_up(&lv, cases[i].capture, "");
        live_sql(&lv, cases[i].setup);
        refused(&lv, CDC_OPERATOR, cases[i].words);
        char *n = live_ask(&lv, "SELECT count(*) FROM pg_publication");
        assert_string_equal(n, "0");
        free(n);
        live_down(&lv);
    }
}

static void test_manage_slot(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "manage: slot");
    live_sql(&lv, T);
    refused(&lv, CDC_OPERATOR, "CREATE PUBLICATION \"sidestream_live_pg_");
    char sql[256];
    snprintf(
        sql, sizeof sql,
        "CREATE PUBLICATION sidestream_%s FOR TABLE t WITH (publish_via_partition_root = true)",
        lv.database);
    live_sql(&lv, sql);
    refused(&lv, CDC_OPERATOR, "ADD TABLE \"public\".\"done\"");
    snprintf(sql, sizeof sql, "ALTER PUBLICATION sidestream_%s ADD TABLE done", lv.database);
    live_sql(&lv, sql);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    live_settle(&lv);
    expect(&lv, "c1 t (1, null).\n");
    live_down(&lv);
}

static void test_manage_none(void **state)
{
    struct live lv;
    char sql[256];
    (void)state;
    live_up(&lv, ALL, "manage: none");
    live_sql(&lv, T);
    snprintf(
        sql, sizeof sql,
        "CREATE PUBLICATION sidestream_%s FOR TABLE t, done WITH (publish_via_partition_root = "
        "true)",
        lv.database);
    live_sql(&lv, sql);
    refused(&lv, CDC_OPERATOR, "pg_create_logical_replication_slot");
    snprintf(sql, sizeof sql,
             "SELECT pg_create_logical_replication_slot('sidestream_%s', 'pgoutput')", lv.database);
    live_sql(&lv, sql);
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    refused(&lv, CDC_OPERATOR, "adopt_slot: true");
    live_configure(&lv, lv.url, ALL, "manage: none, adopt_slot: true");
    live_stream(&lv);
    live_settle(&lv);
    expect(&lv, "c1 t (1, null).\n");
    live_down(&lv);
}

static void test_operations_left_out(void **state)
{
    struct live lv;
    char sql[256];
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    snprintf(sql, sizeof sql, "CREATE PUBLICATION sidestream_%s WITH (publish = 'insert')",
             lv.database);
    live_sql(&lv, sql);
    refused(&lv, CDC_OPERATOR, "leaves out some operations");
    live_down(&lv);
}

static void test_row_too_large(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "max_row_bytes: 100000");
    live_sql(&lv, T);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1, repeat('x', 99000))");
    live_settle(&lv);
    expect(&lv, "c1 t (1, <99000 bytes>).\n");
    live_sql(&lv, "INSERT INTO t VALUES (2, repeat('x', 100001))");
    int rc = CDC_OK;
    for (int i = 0; i < 50 && rc >= 0; i++)
        rc = live_turn(&lv, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_OPERATOR);
    assert_non_null(strstr(lv.err.message, "a row of table public.t has"));
    live_down(&lv);
}

static void test_logins(void **state)
{
    static const struct {
        const char *url, *words;
        enum cdc_action action;
    } cases[] = {
        {"postgresql://nobody_here@%s", "does not exist", CDC_OPERATOR},
        {"postgresql://live_weak@%s", "REPLICATION", CDC_OPERATOR},
        {"postgresql://postgres:geheim@127.0.0.1:1/x", "onnection refused", CDC_RETRY},
        {"postgresql://postgres:geheim@[", "no PostgreSQL URL", CDC_CONFIG},
        {"postgresql://postgres:geheim@127.0.0.1", "names no database", CDC_CONFIG},
    };
    struct live lv;
    char url[512];
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, "DROP ROLE IF EXISTS live_weak; CREATE ROLE live_weak LOGIN");
    const char *host = strchr(lv.url, '@') + 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *at = strstr(cases[i].url, "%s");
        snprintf(url, sizeof url, "%.*s%s", at ? (int)(at - cases[i].url) : 500, cases[i].url,
                 at ? host : "");
        live_configure(&lv, url, ALL, "");
        int rc =
            cdc_source_find("postgres")->open(&lv.set->config, &lv.checkpoint, &lv.src, &lv.err);
        assert_int_equal(rc, CDC_FAIL);
        if (!strstr(lv.err.message, cases[i].words) || strstr(lv.err.message, "geheim"))
            fail_msg("%s", lv.err.message);
        assert_int_equal(lv.err.action, cases[i].action);
    }
    live_sql(&lv, "DROP ROLE live_weak");
    live_down(&lv);
}

/* A role with REPLICATION alone may not make the publication: the error is the SQL. */
static void test_no_right_to_publish(void **state)
{
    struct live lv;
    char url[512];
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, "DROP ROLE IF EXISTS live_repl; CREATE ROLE live_repl LOGIN REPLICATION; " T);
    snprintf(url, sizeof url, "postgresql://live_repl@%s", strchr(lv.url, '@') + 1);
    live_configure(&lv, url, ALL, "");
    refused(&lv, CDC_OPERATOR, "CREATE PUBLICATION \"sidestream_live_pg_");
    live_sql(&lv, "DROP ROLE live_repl");
    live_down(&lv);
}

/* The application's session ends ours: told as something that mends itself. */
static void test_terminated(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, T);
    live_stream(&lv);
    live_sql(&lv,
             "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database "
             "= current_database()");
    int rc = CDC_OK;
    for (int i = 0; i < 50 && rc >= 0; i++)
        rc = live_turn(&lv, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_RETRY);
    live_close(&lv);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    live_settle(&lv);
    expect(&lv, "c1 t (1, null).\n");
    live_down(&lv);
}

/* Unacked, the server keeps everything; keepalive answers the server without reading rows. */
static void test_keepalive_does_not_read(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "status_interval: 100ms");
    live_sql(&lv, T);
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t SELECT g FROM generate_series(1, 1000) g");
    char *before = live_ask(&lv, "SELECT reply_time FROM pg_stat_replication WHERE pid = (SELECT "
                                 "active_pid FROM pg_replication_slots WHERE database = "
                                 "current_database())");
    for (int i = 0; i < 30; i++) {
        assert_int_equal(lv.src->ops->keepalive(lv.src, &lv.err), CDC_OK);
        struct timespec ts = {.tv_nsec = 10000000};
        nanosleep(&ts, NULL);
    }
    char *after = live_ask(&lv, "SELECT reply_time FROM pg_stat_replication WHERE pid = (SELECT "
                                "active_pid FROM pg_replication_slots WHERE database = "
                                "current_database())");
    assert_string_not_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(lv.changes, 0);
    live_settle(&lv);
    assert_int_equal(lv.changes, 1001);
    live_down(&lv);
}

/* Table versions go on from the checkpoint: no new one without a difference, one more with it. */
static void test_versions_are_kept(void **state)
{
    struct live lv;
    (void)state;
    live_up(&lv, ALL, "");
    live_sql(&lv, "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL DEFAULT 'x')");
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1)");
    live_settle(&lv);
    expect(&lv, "c1 t (1, x).\n");
    live_close(&lv);
    /* what the engine would have written */
    const char *state1 =
        "{\"state\":\"streaming\",\"version\":7,\"generation\":0,\"columns\":[{\"name\":\"id\","
        "\"type\":"
        "\"integer\",\"kind\":\"int\",\"bits\":32,\"nullable\":false,\"key\":1},{\"name\":\"a\","
        "\"type\":"
        "\"text\",\"kind\":\"text\",\"nullable\":false,\"default\":\"'x'::text\"}],\"rule\":\"\"}";
    assert_int_equal(
        cdc_map_put(&lv.checkpoint, cdc_slice_str("table/public.t"), cdc_slice_str(state1)),
        CDC_OK);
    live_sql(&lv, "ALTER TABLE t ALTER a DROP NOT NULL; INSERT INTO t VALUES (2, NULL)");
    live_stream(&lv);
    live_settle(&lv);
    live_sql(&lv, "ALTER TABLE t ADD b int; INSERT INTO t VALUES (3)");
    live_settle(&lv);
    expect(&lv, "c1 t/7 (2, null).\nc1 t/8 (3, x, null).\n");
    live_down(&lv);
}

int main(void)
{
    if (!getenv("PGURL")) {
        fprintf(stderr, "PGURL is not set: tests/live/run.sh starts a server and sets it\n");
        return 2;
    }
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_goes_on_unacked),
        cmocka_unit_test(test_goes_on_after_foreign_rows),
        cmocka_unit_test(test_empty_sink_beside_a_slot),
        cmocka_unit_test(test_unfinished_start),
        cmocka_unit_test(test_nothing_before_the_ack),
        cmocka_unit_test(test_slot_waits_for_a_transaction),
        cmocka_unit_test(test_slot_is_gone),
        cmocka_unit_test(test_slot_moved_on),
        cmocka_unit_test(test_slot_of_another_plugin),
        cmocka_unit_test(test_slot_in_use),
        cmocka_unit_test(test_another_server),
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_position_beyond_the_end),
        cmocka_unit_test(test_resent_transaction),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_cuts_go_on),
        cmocka_unit_test(test_large_transaction),
        cmocka_unit_test(test_idle_moves_on),
        cmocka_unit_test(test_publication_dropped),
        cmocka_unit_test(test_publication_dropped_mid_stream),
        cmocka_unit_test(test_tables_join_and_leave),
        cmocka_unit_test(test_join_waits_for_writers),
        cmocka_unit_test(test_refused_tables),
        cmocka_unit_test(test_manage_slot),
        cmocka_unit_test(test_manage_none),
        cmocka_unit_test(test_operations_left_out),
        cmocka_unit_test(test_row_too_large),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_no_right_to_publish),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_keepalive_does_not_read),
        cmocka_unit_test(test_versions_are_kept),
    };
    return cmocka_run_group_tests_name("postgres: resume", tests, NULL, NULL);
}
