/*
 * test_postgres_snap_known.c - what an instance that copies remembers of tables, of its looks and
 * of its connections, against a real server: that it is forgotten when it is not true any more.
 */
#include "../../connectors/postgres/snap.h"
#include "pg_snap_live.h"

#define T "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'y')"

static const struct cdc_range everything = {.from = {.p = NULL}};

/* A range of table t; its rows, if it was read. */
static void expect_range(struct copy *copy, int want, size_t rows)
{
    copy->rows = 0;
    expect_rc(copy, copy_range(copy, &everything), want);
    assert_int_equal(copy->rows, rows);
}

/* ---- what the table was under a look ---- */

/* Twice under one look, then `before`, another look, `behind`, and a range under that. */
static const struct looks {
    const char *name, *before, *behind;
    int want;
} look_rows[] = {
    {"nothing", "SELECT 1", "SELECT 1", CDC_END},
    {"rewritten before", "VACUUM FULL t", "SELECT 1", CDC_END},
    {"altered before", "ALTER TABLE t ALTER a TYPE varchar", "SELECT 1", CDC_AGAIN}, /* not ours */
    {"rewritten behind", "SELECT 1", "VACUUM FULL t", CDC_AGAIN},
    {"there and back", "ALTER TABLE t RENAME a TO b", "ALTER TABLE t RENAME b TO a", CDC_AGAIN},
    {"made again before", "DROP TABLE t; " T, "SELECT 1", CDC_AGAIN},
};

static void looks(void **state)
{
    const struct looks *row = *state;
    for (int look = CDC_LOOK_PLACED; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        up(&lv, T, "");
        start_to(&lv);
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        expect_range(&copy, CDC_END, 2);
        expect_range(&copy, CDC_END, 2);
        live_sql(&lv, row->before);
        copy_take(&copy, (enum cdc_look)look);
        live_sql(&lv, row->behind);
        expect_range(&copy, row->want, row->want == CDC_END ? 2 : 0);
        copy_close(&copy);
        live_down(&lv);
    }
}

/* START anew, of another holder: what was known under the one before is not asked of this one. */
static void another_holder(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_error err;
    up(&lv, T, "");
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_START);
    copy_table(&copy, "t");
    expect_range(&copy, CDC_END, 2);
    live_sql(&lv, "VACUUM FULL t");
    expect_range(&copy, CDC_AGAIN, 0);
    live_sql(&lv, "VACUUM FULL t");
    for (int i = 0; i < 2; i++) {
        struct pgs_source *src = (struct pgs_source *)lv.src;
        PGconn *conn = PQconnectdb(lv.url);
        PQclear(PQexec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ"));
        PGresult *res = PQexec(conn, "SELECT pg_export_snapshot()");
        PQfinish(src->holder.conn);
        src->holder.conn = NULL;
        assert_int_equal(pgs_start_hold(src, PQgetvalue(res, 0, 0), 1, &err), CDC_OK);
        PQclear(res);
        PQfinish(conn);
        copy_take(&copy, CDC_LOOK_START);
        expect_range(&copy, CDC_END, 2);
        live_sql(&lv, "VACUUM FULL t");
    }
    copy_close(&copy);
    live_down(&lv);
}

/* ---- what was asked on a connection ---- */

/* A connection ends, or forgets, between two ranges: it is noticed, and asked anew. */
static const struct ended {
    const char *name;
    bool sql;        /* the one for questions; else the one under the look */
    bool terminated; /* else it forgets what was prepared */
    bool goes_on;    /* the same instance, with the next range */
} ended_rows[] = {
    {"questions, ended", true, true, true},
    {"questions, forgotten", true, false, false},
    {"look, ended", false, true, false},
    {"look, forgotten", false, false, false},
};

static void end_one(struct live *lv, const struct copy *copy, const struct ended *row)
{
    const struct pgs_snap *snap = (const struct pgs_snap *)(const void *)copy->snap;
    PGconn *conn = row->sql ? snap->src.srv.sql : snap->ses.conn;
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(conn));
    if (row->terminated)
        live_sql(lv, sql);
    else
        PQclear(PQexec(conn, "DEALLOCATE ALL"));
}

static void ended(void **state)
{
    const struct ended *row = *state;
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        up(&lv, T "; CREATE TABLE o (id int PRIMARY KEY, a text)", "copy_split: key");
        start_to(&lv);
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        expect_range(&copy, CDC_END, 2);
        copy_table(&copy, "o");
        end_one(&lv, &copy, row);
        int rc = copy_range(&copy, &everything);
        if (rc == CDC_FAIL && copy.err.action != CDC_RETRY)
            fail_msg("action %d: %s", copy.err.action, copy.err.message);
        assert_int_not_equal(rc, CDC_END);
        if (!row->goes_on) {
            copy.snap->ops->close(copy.snap);
            assert_int_equal(lv.src->ops->snap->open(lv.src, &copy.snap, &copy.err), CDC_OK);
            copy_take(&copy, (enum cdc_look)look);
        }
        expect_range(&copy, CDC_END, 0);
        copy_table(&copy, "t"); /* described anew */
        expect_range(&copy, CDC_END, 2);
        copy_close(&copy);
        live_down(&lv);
    }
}

/* ---- what a publication leaves of a table ---- */

#define G                                                                                          \
    "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, a text); "     \
    "INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'y')"

static const struct published {
    const char *name, *setup, *publication; /* CREATE PUBLICATION name FOR ... */
    int version;                            /* the first that has it; others refuse it */
    const char *expect;
} published_rows[] = {
    {"table", T, "TABLE t, done", 140000, " (1, x)\n (2, y)\n"},
    {"all tables", G, "ALL TABLES", 140000, " (1, x)\n (2, y)\n"},
    {"filter", T, "TABLE t WHERE (id > 1), done", 150000, " (2, y)\n"},
    {"columns", T ", (3, NULL)", "TABLE t (id), done", 150000, " (1)\n (2)\n (3)\n"},
    {"columns and filter, of a root",
     "CREATE TABLE t (id int, a text, PRIMARY KEY (id)) PARTITION BY LIST (id); CREATE TABLE t1 "
     "PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 (a text, id int NOT NULL); ALTER TABLE t "
     "ATTACH PARTITION t2 FOR VALUES IN (2); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
     "TABLE t (id) WHERE (id > 1), done", 150000, " (2)\n"},
    {"schema", T, "TABLES IN SCHEMA public", 150000, " (1, x)\n (2, y)\n"},
    {"schema, whose tables' own filters do not count", T,
     "TABLES IN SCHEMA public, TABLE t WHERE (id > 1)", 150000, " (1, x)\n (2, y)\n"},
    {"columns beside a generated one", G, "TABLE t (id), done", 150000, " (1)\n (2)\n"},
    {"generated column", G, "TABLE t (g, id), done", 180000, " (1, 2)\n (2, 4)\n"},
    {"nothing but a generated column",
     "CREATE TABLE t (g int GENERATED ALWAYS AS (7) STORED); ALTER TABLE t REPLICA IDENTITY FULL; "
     "INSERT INTO t DEFAULT VALUES",
     "TABLE t (g), done", 180000, " (7)\n"},
};

static void published(void **state)
{
    const struct published *row = *state;
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        char sql[512];
        up(&lv, row->setup, "manage: slot");
        char *version = live_ask(&lv, "SELECT current_setting('server_version_num')");
        bool there = atoi(version) >= row->version;
        free(version);
        snprintf(sql, sizeof sql,
                 "CREATE PUBLICATION sidestream_%s FOR %s WITH (publish_via_partition_root = true)",
                 lv.database, row->publication);
        if (!there) {
            PGconn *conn = PQconnectdb(lv.url);
            PGresult *res = PQexec(conn, sql);
            assert_int_equal(PQresultStatus(res), PGRES_FATAL_ERROR);
            PQclear(res);
            PQfinish(conn);
            live_down(&lv);
            return;
        }
        live_sql(&lv, sql);
        start_to(&lv);
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        expect_rc(&copy, copy_range(&copy, &everything), CDC_END);
        char *text = sorted(&copy.out);
        assert_string_equal(text, row->expect);
        free(text);
        copy_close(&copy);
        live_down(&lv);
    }
}

int main(int argc, char **argv)
{
    static struct CMUnitTest
        tests[CM_COUNT(look_rows) + CM_COUNT(ended_rows) + CM_COUNT(published_rows) + 1];
    struct CMUnitTest *to = tests;
    *to++ = (struct CMUnitTest)cmocka_unit_test(another_holder);
    to = CM_ROWS(to, looks, look_rows);
    to = CM_ROWS(to, ended, ended_rows);
    to = CM_ROWS(to, published, published_rows);
    return snap_main(argc, argv, "postgres_snap_known", tests, (size_t)(to - tests));
}
