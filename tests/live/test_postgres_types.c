/*
 * test_postgres_types.c - columns of types that the catalogue has to explain, or cannot any more,
 * and of what a rule asks of a type. (Every type's values: tests/integration/types.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/rows.h"
#include "base/log.h"
#include "pg_live.h"

#define ALL "  - {tables: 'public.*', snapshot: never}\n"

/*
 * `before` runs before the slot is made, `known` is read at once, `away` (each command its own
 * transaction) only when all of it is done: what is dropped there is gone when its rows are read.
 */
static const struct row {
    const char *name, *before, *known;
    const char *away[6];
    const char *expect, *capture;
} rows[] = {
    {"array of an enum that is gone, known before",
     "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TABLE t (id int PRIMARY KEY, v mood[])",
     "INSERT INTO t VALUES (1, '{so so,NULL}')",
     {"INSERT INTO t VALUES (2, '{so so}')", "DROP TABLE t", "DROP TYPE mood"},
     "c1 t (1, {so so,null}).\nc1 t (2, {so so}).\n",
     NULL},
    {"array of an enum that is gone, never seen",
     "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TABLE t (id int PRIMARY KEY, v mood[])",
     NULL,
     {"INSERT INTO t VALUES (2, '{so so,NULL}')", "DROP TABLE t", "DROP TYPE mood"},
     "c1 t (2, {\"so so\",NULL}).\n",
     NULL},
    {"domain that is gone, never seen",
     "CREATE DOMAIN pos AS int; CREATE TABLE t (id int PRIMARY KEY, v pos)",
     NULL,
     {"INSERT INTO t VALUES (2, 7)", "DROP TABLE t", "DROP DOMAIN pos"},
     "c1 t (2, 7).\n",
     NULL},
    {"hstore that is gone, known and not",
     "CREATE EXTENSION hstore; CREATE TABLE t (id int PRIMARY KEY, v hstore); CREATE TABLE u (id "
     "int PRIMARY KEY, v hstore)",
     "INSERT INTO t VALUES (1, 'a=>1')",
     {"INSERT INTO t VALUES (2, '')", "INSERT INTO u VALUES (3, 'b=>NULL')",
      "DROP EXTENSION hstore CASCADE"},
     "c1 t (1, {\"a\":\"1\"}).\nc1 t (2, {}).\nc1 u (3, {\"b\":null}).\n",
     NULL},
    {"a column becomes an array",
     "CREATE TABLE t (id int PRIMARY KEY, v int)",
     "INSERT INTO t VALUES (1, 7)",
     {"ALTER TABLE t ALTER v TYPE int[] USING array[v]", "INSERT INTO t VALUES (2, '{8,9}')"},
     "c1 t (1, 7).\nc1 t/2 (2, {8,9}).\n",
     NULL},
    {"an array as a key",
     "CREATE TABLE t (k int[] PRIMARY KEY, v int)",
     "INSERT INTO t VALUES ('{1,2}', 1)",
     {"UPDATE t SET v = 2", "UPDATE t SET k = '{3}'", "DELETE FROM t"},
     "c1 t ({1,2}, 1).\nu1 t ({1,2}, 2).\nu1 t moved ({1,2}, -) -> ({3}, 2).\nd1 t ({3}, -).\n",
     NULL},
    {"an array read again after a key change",
     "CREATE TABLE t (id int PRIMARY KEY, a text[]); ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
     "INSERT INTO t VALUES (1, array[repeat('x', 9000), NULL])",
     {"UPDATE t SET id = 2"},
     "c1 t (1, {<9000 bytes>,null}).\nu1 t moved (1, -) -> (2, {<9000 bytes>,null}).\n",
     NULL},
    {"on_invalid: string for a whole rule",
     "CREATE TABLE t (id int PRIMARY KEY, d date, n numeric(6,2), i int4, b bytea, a date[], s "
     "timestamptz, f float8)",
     "INSERT INTO t VALUES (1, '2024-01-31', 1.5, 7, '\\x01', '{2024-01-31,infinity}', '2024-01-31 "
     "12:00+00', 0.1)",
     {"INSERT INTO t VALUES (2, 'infinity', 'NaN', 7, '\\x01', '{{2024-01-31}}', 'infinity', "
      "'NaN')"},
     "c1 t (1, 2024-01-31, 1.50, 7, 01, {2024-01-31,infinity}, 2024-01-31 12:00:00+00, "
     "0.10000000000000001).\nc1 t (2, infinity, NaN, 7, 01, {{2024-01-31}}, infinity, nan).\n",
     "  - {tables: 'public.*', snapshot: never, on_invalid: string}\n"},
    {"on_invalid: string by column, for any type",
     "CREATE TABLE t (id int PRIMARY KEY, d date, b bool, x bytea, a int[])",
     "INSERT INTO t VALUES (1, '2024-01-31', true, '\\x01', '{1}')",
     {NULL},
     "c1 t (1, 19753, t, \\x01, {1}).\n",
     "  - {tables: 'public.*', snapshot: never, on_invalid: {b: string, x: string}}\n"},
    {"on_invalid: string leaves what the rule itself reads",
     "CREATE TABLE t (id int PRIMARY KEY, gone bool, at date, v date)",
     "INSERT INTO t VALUES (1, false, '1970-01-02', '1970-01-02')",
     {NULL},
     "c1 t (1, false, 1, 1970-01-02).\n",
     "  - {tables: 'public.*', snapshot: never, on_invalid: {gone: string, at: string, v: string}, "
     "logical_delete: {column: gone}, updated_at: at}\n"},
};

static void expect(struct live *lv, const char *text)
{
    cdc_buf_byte(&lv->out, 0);
    assert_string_equal((const char *)lv->out.p, text);
    cdc_buf_reset(&lv->out);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct live lv;
    const char *done = "  - {tables: public.done, snapshot: never}\n";
    char capture[1024];
    snprintf(capture, sizeof capture, "%s%s", done, row->capture ? row->capture : ALL);
    live_up(&lv, capture, "");
    live_sql(&lv, row->before);
    live_stream(&lv);
    if (row->known) {
        live_sql(&lv, row->known);
        live_settle(&lv);
    }
    for (size_t i = 0; row->away[i]; i++)
        live_sql(&lv, row->away[i]);
    live_settle(&lv);
    expect(&lv, row->expect);
    live_down(&lv);
}

/* A value of a million items is refused when it would take more than a row may. */
static void test_memory(void **state)
{
    struct live lv;
    int rc = CDC_OK;
    (void)state;
    live_up(&lv, ALL, "max_row_bytes: 1MiB");
    live_sql(&lv, "CREATE TABLE t (id int PRIMARY KEY, v int[])");
    live_stream(&lv);
    live_sql(&lv, "INSERT INTO t VALUES (1, array_fill(7, array[65000]))");
    live_settle(&lv);
    cdc_buf_reset(&lv.out);
    live_sql(&lv, "INSERT INTO t VALUES (2, array_fill(7, array[66000]))");
    for (int i = 0; i < 100 && rc >= 0; i++)
        rc = live_turn(&lv, 100);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(lv.err.action, CDC_OPERATOR);
    assert_non_null(strstr(lv.err.message, "16 bytes an item"));
    live_down(&lv);
}

int main(void)
{
    static const struct CMUnitTest others[] = {cmocka_unit_test(test_memory)};
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(others)];
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    memcpy(CM_ROWS(tests, test_row, rows), others, sizeof others);
    return cmocka_run_group_tests_name("postgres: types of the catalogue", tests, NULL, NULL);
}
