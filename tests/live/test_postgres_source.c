/*
 * test_postgres_source.c - the postgres source against a real server: SQL in, changes out.
 *
 * A row: `setup` runs before the slot is made, each of `sql` in its own session call behind it. The
 * text of the changes: op and ordinal, table (/version above 1), rows; "-" absent, "?" unchanged,
 * "!" invalid, "." behind the last change of a transaction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/rows.h"
#include "base/log.h"
#include "pg_live.h"

#define ALL "  - {tables: 'public.*', snapshot: never}\n"

static const struct row {
    const char *name, *setup;
    const char *sql[8];
    const char *expect;
    const char *capture, *extra; /* NULL: all of public; none */
} rows[] = {
    {"insert, update, delete",
     "CREATE TABLE t (id int PRIMARY KEY, a text)",
     {"INSERT INTO t VALUES (1, 'x'), (2, NULL)", "UPDATE t SET a = 'y' WHERE id = 1",
      "DELETE FROM t WHERE id = 2"},
     "c1 t (1, x)\nc2 t (2, null).\nu1 t (1, y).\nd1 t (2, -).\n",
     NULL,
     NULL},
    {"one transaction, ordinals run on",
     "CREATE TABLE t (id int PRIMARY KEY, a text)",
     {"BEGIN; INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y'; DELETE FROM t; COMMIT"},
     "c1 t (1, x)\nu2 t (1, y)\nd3 t (1, -).\n",
     NULL,
     NULL},
    {"rolled back parts leave no hole",
     "CREATE TABLE t (id int PRIMARY KEY)",
     {"BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; "
      "INSERT INTO t VALUES (3); COMMIT",
      "BEGIN; INSERT INTO t VALUES (4); ROLLBACK"},
     "c1 t (1)\nc2 t (3).\n",
     NULL,
     NULL},
    {"key change, identity default",
     "CREATE TABLE t (a int, b text, c int, PRIMARY KEY (a, b))",
     {"INSERT INTO t VALUES (1, 'x', 5)", "UPDATE t SET b = 'y'"},
     "c1 t (1, x, 5).\nu1 t moved (1, x, -) -> (1, y, 5).\n",
     NULL,
     NULL},
    {"identity full",
     "CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL",
     {"INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = NULL", "UPDATE t SET id = 2",
      "DELETE FROM t"},
     "c1 t (1, x).\nu1 t (1, x) -> (1, null).\nu1 t moved (1, null) -> (2, null).\nd1 t (2, "
     "null).\n",
     NULL,
     NULL},
    {"identity full without key",
     "CREATE TABLE t (id int, a text); ALTER TABLE t REPLICA IDENTITY FULL",
     {"INSERT INTO t VALUES (1, 'x')", "UPDATE t SET id = 2", "DELETE FROM t"},
     "c1 t (1, x).\nu1 t (1, x) -> (2, x).\nd1 t (2, x).\n",
     NULL,
     NULL},
    {"identity index",
     "CREATE TABLE t (id int PRIMARY KEY, u text NOT NULL, a int); CREATE UNIQUE INDEX tu ON t "
     "(u); "
     "ALTER TABLE t REPLICA IDENTITY USING INDEX tu",
     {"INSERT INTO t VALUES (1, 'x', 5)", "UPDATE t SET id = 2", "UPDATE t SET u = 'y'",
      "DELETE FROM t"},
     "c1 t (1, x, 5).\nu1 t (2, x, 5).\nu1 t moved (-, x, -) -> (2, y, 5).\nd1 t (-, y, -).\n",
     NULL,
     NULL},
    {"unsent TOAST is unchanged",
     "CREATE TABLE t (id int PRIMARY KEY, a int, big text); ALTER TABLE t ALTER big SET STORAGE "
     "EXTERNAL",
     {"INSERT INTO t VALUES (1, 1, repeat('x', 9000))", "UPDATE t SET a = 2",
      "UPDATE t SET big = repeat('y', 9001)"},
     "c1 t (1, 1, <9000 bytes>).\nu1 t (1, 2, ?).\nu1 t (1, 2, <9001 bytes>).\n",
     NULL,
     NULL},
    {"unsent TOAST comes from a full old row",
     "CREATE TABLE t (id int PRIMARY KEY, a int, big text); ALTER TABLE t ALTER big SET STORAGE "
     "EXTERNAL; ALTER TABLE t REPLICA "
     "IDENTITY FULL",
     {"INSERT INTO t VALUES (1, 1, repeat('x', 9000))", "UPDATE t SET a = 2"},
     "c1 t (1, 1, <9000 bytes>).\nu1 t (1, 1, <9000 bytes>) -> (1, 2, <9000 bytes>).\n",
     NULL,
     NULL},
    {"unsent TOAST is read again after a key change",
     "CREATE TABLE t (id int PRIMARY KEY, a int, big text); ALTER TABLE t ALTER big SET STORAGE "
     "EXTERNAL",
     {"INSERT INTO t VALUES (1, 1, repeat('x', 9000))", "UPDATE t SET id = 2"},
     "c1 t (1, 1, <9000 bytes>).\nu1 t moved (1, -, -) -> (2, 1, <9000 bytes>).\n",
     NULL,
     NULL},
    {"a row that changed again is not taken",
     "CREATE TABLE t (id int PRIMARY KEY, a int, big text); ALTER TABLE t ALTER big SET STORAGE "
     "EXTERNAL",
     {"INSERT INTO t VALUES (1, 1, repeat('x', 9000))", "UPDATE t SET id = 2",
      "UPDATE t SET a = 5"},
     "c1 t (1, 1, <9000 bytes>).\nu1 t moved (1, -, -) -> (2, 1, ?).\nu1 t (2, 5, ?).\n",
     NULL,
     NULL},
    {"a row that is gone is not read again",
     "CREATE TABLE t (id int PRIMARY KEY, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
     {"INSERT INTO t VALUES (1, repeat('x', 9000))", "UPDATE t SET id = 2", "DELETE FROM t"},
     "c1 t (1, <9000 bytes>).\nu1 t moved (1, -) -> (2, ?).\nd1 t (2, -).\n",
     NULL,
     NULL},
    {"truncate of several shares an ordinal",
     "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES "
     "a); "
     "CREATE TABLE c (id int PRIMARY KEY)",
     {"INSERT INTO c VALUES (1)",
      "BEGIN; INSERT INTO c VALUES (2); TRUNCATE a, c CASCADE; INSERT INTO "
      "c VALUES (3); COMMIT"},
     "c1 c (1).\nc1 c (2)\nt2 a\nt2 c\nt2 b\nc3 c (3).\n",
     NULL,
     NULL},
    {"rows that nobody captures are counted",
     "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE hidden (id int PRIMARY KEY); CREATE "
     "PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root = true)",
     {"BEGIN; INSERT INTO hidden VALUES (1), (2); INSERT INTO t VALUES (1); TRUNCATE hidden; "
      "INSERT INTO "
      "t VALUES (2); COMMIT"},
     "c3 t (1)\nc5 t (2).\n",
     "  - {tables: public.hidden, skip: true}\n" ALL,
     "publication: everything"},
    {"integers, floats, booleans",
     "CREATE TABLE t (id int8 PRIMARY KEY, a int2, b int4, c float4, d float8, e bool, f oid)",
     {"INSERT INTO t VALUES (-9223372036854775808, -32768, 2147483647, 0.1, 0.1, true, 4294967295)",
      "INSERT INTO t VALUES (2, NULL, 0, 'NaN', '-Infinity', false, 0)"},
     "c1 t (-9223372036854775808, -32768, 2147483647, 0.10000000149011612, 0.10000000000000001, "
     "true, "
     "4294967295).\nc1 t (2, null, 0, nan, -inf, false, 0).\n",
     NULL,
     NULL},
    {"numerics",
     "CREATE TABLE t (id int PRIMARY KEY, a numeric(10,2), b numeric(38,0), c numeric, d "
     "numeric(4,4))",
     {"INSERT INTO t VALUES (1, 12.5, -99999999999999999999999999999999999999, 1.10, 0.0001)",
      "INSERT INTO t VALUES (2, 'NaN', 0, 'Infinity', -0.5)"},
     "c1 t (1, 12.50, -99999999999999999999999999999999999999, 1.10, 0.0001).\n"
     "c1 t (2, !NaN, 0, Infinity, -0.5000).\n",
     NULL,
     NULL},
    {"texts and bytes",
     "CREATE TABLE t (id int PRIMARY KEY, a varchar(5), b char(3), c bytea, d name, e \"char\", f "
     "xml)",
     {"INSERT INTO t VALUES (1, 'ä€', 'x', '\\x00ff', 'n', 'q', '<a/>')",
      "INSERT INTO t VALUES (2, '', '', '', '', '', NULL)"},
     "c1 t (1, ä€, x  , 00ff, n, q, <a/>).\nc1 t (2, ,    , , , , null).\n",
     NULL,
     NULL},
    {"dates and times",
     "CREATE TABLE t (id int PRIMARY KEY, a date, b time, c timestamp, d timestamptz, e "
     "timestamptz(0))",
     {"INSERT INTO t VALUES (1, '2024-02-29', '24:00', '1969-12-31 23:59:59.999999', '2024-01-31 "
      "12:34:56.789+02', '2000-01-01 00:00:00+00')",
      "INSERT INTO t VALUES (2, 'infinity', '00:00:00.000001', '10000-01-01', '-infinity', NULL)",
      "INSERT INTO t VALUES (3, '0044-03-15 BC', NULL, '0001-01-01', '9999-12-31 23:59:59+00', "
      "NULL)"},
     "c1 t (1, 19782, 86400000000, -1, 1706697296789000, 946684800000000).\n"
     "c1 t (2, !infinity, 1, !10000-01-01 00:00:00, !-infinity, null).\n"
     "c1 t (3, !0044-03-15 BC, null, -62135596800000000, 253402300799000000, null).\n",
     NULL,
     NULL},
    {"a role's own settings change nothing",
     "CREATE TABLE t (id int PRIMARY KEY, a date, b timestamptz, c float8, d bytea, e interval); "
     "DO $$BEGIN "
     "EXECUTE format('ALTER DATABASE %I SET DateStyle = German', current_database()); EXECUTE "
     "format('ALTER DATABASE %I SET TimeZone = ''Asia/Kolkata''', current_database()); EXECUTE "
     "format('ALTER DATABASE %I SET extra_float_digits = -15', current_database()); EXECUTE "
     "format('ALTER DATABASE %I SET bytea_output = escape', current_database()); EXECUTE "
     "format('ALTER DATABASE %I SET IntervalStyle = iso_8601', current_database()); END$$",
     {"INSERT INTO t VALUES (1, '2024-01-31', '2024-01-31 12:00+00', 0.1, '\\x01', '1 day 2 "
      "hours')"},
     "c1 t (1, 19753, 1706702400000000, 0.10000000000000001, 01, 1 day 02:00:00).\n",
     NULL,
     NULL},
    {"uuid and json",
     "CREATE TABLE t (id uuid PRIMARY KEY, a json, b jsonb)",
     {"INSERT INTO t VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"a\" : 1}', '{\"b\":  "
      "[1,2]}')"},
     "c1 t (a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11, {\"a\" : 1}, {\"b\": [1, 2]}).\n",
     NULL,
     NULL},
    {"enum, domains, arrays, composites",
     "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE > "
     "0); "
     "CREATE DOMAIN price2 AS price; CREATE TYPE pair AS (a int, b text); CREATE TABLE t (id int "
     "PRIMARY "
     "KEY, m mood, p price2, a int[], c pair, r int4range)",
     {"INSERT INTO t VALUES (1, 'ok', 3.5, '{1,NULL,3}', '(1,x)', '[1,5)')"},
     "c1 t (1, ok, 3.50, {1,null,3}, (1,x), [1,5)).\n",
     NULL,
     NULL},
    {"every other type keeps the database's text",
     "CREATE TABLE t (id int PRIMARY KEY, a interval, b inet, c bit(3), d point, e money, f "
     "timetz, g "
     "tsvector, h regclass, i pg_lsn, j xid8)",
     {"INSERT INTO t VALUES (1, '1 mon 2 days 03:04:05.6', '10.0.0.1/8', B'101', '(1,2)', 12.5, "
      "'12:00+05:30', 'b:1 a', 'pg_class', '0/16', '18446744073709551615')"},
     "c1 t (1, 1 mon 2 days 03:04:05.6, 10.0.0.1/8, 101, (1,2), $12.50, 12:00:00+05:30, 'a' 'b':1, "
     "pg_class, 0/16, 18446744073709551615).\n",
     NULL,
     NULL},
    {"columns added, renamed, dropped, retyped",
     "CREATE TABLE t (id int PRIMARY KEY, a int)",
     {"INSERT INTO t VALUES (1, 1)", "ALTER TABLE t ADD b text DEFAULT 'd'",
      "INSERT INTO t VALUES (2, 2)", "ALTER TABLE t RENAME a TO c; INSERT INTO t VALUES (3, 3)",
      "ALTER TABLE t DROP c; UPDATE t SET b = 'e' WHERE id = 3",
      "ALTER TABLE t ALTER id TYPE int8; INSERT INTO t VALUES (4, 'f')",
      "ALTER TABLE t ADD CHECK (id > 0); ANALYZE t; INSERT INTO t VALUES (5, 'g')"},
     "c1 t (1, 1).\nc1 t/2 (2, 2, d).\nc1 t/3 (3, 3, d).\nu1 t/4 (3, e).\nc1 t/5 (4, f).\nc1 t/5 "
     "(5, g).\n",
     NULL,
     NULL},
    {"the schema changes inside a transaction",
     "CREATE TABLE t (id int PRIMARY KEY)",
     {"BEGIN; INSERT INTO t VALUES (1); ALTER TABLE t ADD a int; INSERT INTO t VALUES (2, 2); "
      "ALTER "
      "TABLE t DROP a; INSERT INTO t VALUES (3); COMMIT"},
     "c1 t (1)\nc2 t/2 (2, 2)\nc3 t/3 (3).\n",
     NULL,
     NULL},
    {"identity changes mid-stream",
     "CREATE TABLE t (id int PRIMARY KEY, a int)",
     {"INSERT INTO t VALUES (1, 1)", "ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET a = 2",
      "ALTER TABLE t REPLICA IDENTITY DEFAULT", "DELETE FROM t"},
     "c1 t (1, 1).\nu1 t (1, 1) -> (1, 2).\nd1 t (1, -).\n",
     NULL,
     NULL},
    {"partitions as one table",
     "CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k); CREATE TABLE p1 "
     "PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 (k int NOT NULL, id int NOT NULL, PRIMARY "
     "KEY "
     "(id, k)); ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)",
     {"INSERT INTO p VALUES (1, 1), (2, 2)", "UPDATE p SET k = 2 WHERE id = 1", "TRUNCATE p"},
     "c1 p (1, 1)\nc2 p (2, 2).\nd1 p (1, 1)\nc2 p (1, 2).\nt1 p.\n",
     NULL,
     NULL},
    {"partitions as tables of their own",
     "CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k); CREATE TABLE p1 "
     "PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 (k int NOT NULL, id int NOT NULL, PRIMARY "
     "KEY "
     "(id, k)); ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)",
     {"INSERT INTO p VALUES (1, 1), (2, 2)", "UPDATE p SET k = 2 WHERE id = 1", "TRUNCATE p1"},
     "c1 p1 (1, 1)\nc2 p2 (2, 2).\nd1 p1 (1, 1)\nc2 p2 (2, 1).\nt1 p1.\n",
     NULL,
     "partitions: leaf"},
    {"odd names",
     "CREATE SCHEMA \"S.x\"; CREATE TABLE \"S.x\".\"T \"\"q'\" (\"Id 1\" int PRIMARY KEY, "
     "\"select\" text)",
     {"INSERT INTO \"S.x\".\"T \"\"q'\" VALUES (1, 'a')",
      "UPDATE \"S.x\".\"T \"\"q'\" SET \"Id 1\" = 2"},
     "c1 S.x.T \"q' (1, a).\nu1 S.x.T \"q' moved (1, -) -> (2, a).\n",
     "  - {tables: '*.*', snapshot: never}\n",
     "publication: 'My \"Pub''s'"},
    {"generated columns are not sent",
     "CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED)",
     {"INSERT INTO t (id, a) VALUES (1, 2)"},
     "c1 t (1, 2).\n",
     NULL,
     NULL},
    {"the rule's key, identity full",
     "CREATE TABLE t (id int PRIMARY KEY, a text, b int); ALTER TABLE t REPLICA IDENTITY FULL",
     {"INSERT INTO t VALUES (1, 'x', 1)", "UPDATE t SET id = 2", "UPDATE t SET a = 'y'"},
     "c1 t (1, x, 1).\nu1 t (1, x, 1) -> (2, x, 1).\nu1 t moved (2, x, 1) -> (2, y, 1).\n",
     "  - {tables: public.t, key: [a], snapshot: never}\n" ALL,
     NULL},
    {"multi-row COPY-like insert and upsert",
     "CREATE TABLE t (id int PRIMARY KEY, a int)",
     {"INSERT INTO t SELECT g, g FROM generate_series(1, 3) g",
      "INSERT INTO t VALUES (3, 30), (4, 4) ON CONFLICT (id) DO UPDATE SET a = excluded.a"},
     "c1 t (1, 1)\nc2 t (2, 2)\nc3 t (3, 3).\nu1 t (3, 30)\nc2 t (4, 4).\n",
     NULL,
     NULL},
    {"tables without columns",
     "CREATE TABLE t (); ALTER TABLE t REPLICA IDENTITY FULL",
     {"INSERT INTO t DEFAULT VALUES"},
     "c1 t ().\n",
     NULL,
     NULL},
};

static void test_changes(void **state)
{
    const struct row *row = *state;
    struct live lv;
    live_up(&lv, row->capture ? row->capture : ALL, row->extra ? row->extra : "");
    live_sql(&lv, row->setup);
    live_stream(&lv);
    for (size_t i = 0; i < CM_COUNT(row->sql) && row->sql[i]; i++)
        live_sql(&lv, row->sql[i]);
    live_settle(&lv);
    const char *text = cdc_buf_cstr(&lv.out);
    assert_string_equal(text, row->expect);
    live_down(&lv);
}

int main(void)
{
    if (!getenv("PGURL")) {
        fprintf(stderr, "PGURL is not set: tests/live/run.sh starts a server and sets it\n");
        return 2;
    }
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    struct CMUnitTest tests[CM_COUNT(rows)];
    CM_ROWS(tests, test_changes, rows);
    return cmocka_run_group_tests_name("postgres: changes", tests, NULL, NULL);
}
