/*
 * test_postgres_snap_rows.c - ranges and rows of copies, against a real server: keys of every kind,
 * partitions, columns, rights, and values that must be those of the stream.
 */
#include "pg_snap_live.h"

/* ---- ranges ---- */

static const struct keys {
    const char *name, *setup;
} keys[] = {
    {"int", "CREATE TABLE k (id int PRIMARY KEY, a text); INSERT INTO k SELECT i * 7 - 9000, 'x' "
            "FROM generate_series(1, 6000) i"},
    {"composite",
     "CREATE TABLE k (x int, a text, y text, PRIMARY KEY (x, y)); INSERT INTO k SELECT i % 3, 'x', "
     "'y' || i FROM generate_series(1, 6000) i"},
    {"composite, columns in another order",
     "CREATE TABLE k (x int, a text, y text, z date, PRIMARY KEY (z, y, x)); INSERT INTO k SELECT "
     "i,"
     " 'x', md5(i::text), '2020-01-01'::date + i % 2 FROM generate_series(1, 6000) i"},
    {"text, an ICU collation",
     "CREATE TABLE k (id text COLLATE \"en-x-icu\" PRIMARY KEY, a text); INSERT INTO k SELECT CASE "
     "i % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'A' WHEN 2 THEN 'é''\\' ELSE 'Z' END || i, 'x' FROM "
     "generate_series(1, 6000) i"},
    {"text, index in another collation",
     "CREATE TABLE k (id text COLLATE \"en-x-icu\" NOT NULL, a text); CREATE UNIQUE INDEX ki ON k "
     "(id COLLATE \"C\"); ALTER TABLE k REPLICA IDENTITY USING INDEX ki; INSERT INTO k SELECT "
     "CASE i % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'A' WHEN 2 THEN 'é' ELSE 'Z' END || i, 'x' "
     "FROM generate_series(1, 6000) i"},
    {"text, pattern operators",
     "CREATE TABLE k (id text NOT NULL, n int NOT NULL, a text); CREATE UNIQUE INDEX ki ON k (id "
     "text_pattern_ops, n); ALTER TABLE k REPLICA IDENTITY USING INDEX ki; INSERT INTO k SELECT "
     "md5((i % 50)::text), i, 'x' FROM generate_series(1, 6000) i"},
    {"citext, in a schema of its own",
     "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE TABLE k (n int, id ext.citext, "
     "a text, PRIMARY KEY (n, id)); INSERT INTO k SELECT i % 2, CASE i % 2 WHEN 0 THEN 'a' ELSE 'B'"
     " END || i, 'x' FROM generate_series(1, 6000) i"},
    {"nondeterministic collation",
     "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
     "CREATE TABLE k (id text COLLATE ci PRIMARY KEY, a text); INSERT INTO k SELECT CASE i % 2 "
     "WHEN "
     "0 THEN 'a' ELSE 'B' END || i, 'x' FROM generate_series(1, 6000) i"},
    {"uuid",
     "CREATE TABLE k (id uuid PRIMARY KEY, a text); INSERT INTO k SELECT md5(i::text)::uuid,"
     " 'x' FROM generate_series(1, 6000) i"},
    {"numeric",
     "CREATE TABLE k (id numeric PRIMARY KEY, a text); INSERT INTO k SELECT (i - 3000) / "
     "7.0, 'x' FROM generate_series(1, 5999) i UNION ALL SELECT 'NaN', 'x'"},
    {"float8", "CREATE TABLE k (id float8 PRIMARY KEY, a text); INSERT INTO k SELECT (i - 3000) / "
               "7.0::float8, 'x' FROM generate_series(1, 5998) i UNION ALL SELECT 'NaN', 'x' UNION "
               "ALL SELECT '-Infinity', 'x'"},
    {"timestamptz",
     "CREATE TABLE k (id timestamptz PRIMARY KEY, a text); INSERT INTO k SELECT '2024-03-31 "
     "00:00+00'::timestamptz + i * interval '1.000001 min', 'x' FROM generate_series(1, 5998) i "
     "UNION ALL SELECT 'infinity', 'x' UNION ALL SELECT '0044-03-15 BC', 'x'"},
    {"char(n), with blanks",
     "CREATE TABLE k (id char(12) PRIMARY KEY, a text); INSERT INTO k SELECT i || '  ', 'x' FROM "
     "generate_series(1, 6000) i"},
    {"enum and domain",
     "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN code AS varchar(20) CHECK "
     "(value <> ''); CREATE TABLE k (m mood, c code, a text, PRIMARY KEY (m, c)); INSERT INTO k "
     "SELECT (ARRAY['happy', 'sad', 'ok'])[i % 3 + 1]::mood, 'c' || i, 'x' FROM "
     "generate_series(1, 6000) i"},
    {"bytea", "CREATE TABLE k (id bytea PRIMARY KEY, a text); INSERT INTO k SELECT "
              "decode(md5(i::text), 'hex'), 'x' FROM generate_series(1, 6000) i"},
    {"inet",
     "CREATE TABLE k (id inet PRIMARY KEY, a text); INSERT INTO k SELECT '10.0.0.0'::inet + "
     "i * 13, 'x' FROM generate_series(1, 6000) i"},
    {"array",
     "CREATE TABLE k (id int[] PRIMARY KEY, a text); INSERT INTO k SELECT ARRAY[i % 5, i], "
     "'x' FROM generate_series(1, 6000) i"},
    {"interval", "CREATE TABLE k (id interval PRIMARY KEY, a text); INSERT INTO k SELECT i * "
                 "interval '1 day 1.5 s', 'x' FROM generate_series(1, 6000) i"},
    {"bool, time and bits",
     "CREATE TABLE k (b bool, t time, v varbit, a text, PRIMARY KEY (b, t, v)); INSERT INTO k "
     "SELECT i % 2 = 0, '10:00'::time + i % 50 * interval '1.5 s', i::bit(16)::varbit, 'x' FROM "
     "generate_series(1, 6000) i"},
    {"jsonb", "CREATE TABLE k (id jsonb PRIMARY KEY, a text); INSERT INTO k SELECT "
              "jsonb_build_object('k', i, 't', '\"\\é'), 'x' FROM generate_series(1, 6000) i"},
    {"range and money",
     "CREATE TABLE k (r int4range, m money, a text, PRIMARY KEY (r, m)); INSERT INTO k SELECT "
     "int4range(i % 9, i % 9 + 3), i::money, 'x' FROM generate_series(1, 6000) i"},
    {"composite type",
     "CREATE TYPE pair AS (x int, y text); CREATE TABLE k (id pair PRIMARY KEY, a text); INSERT "
     "INTO k SELECT ROW(i % 3, 'y, \"' || i)::pair, 'x' FROM generate_series(1, 6000) i"},
    {"quoted names",
     "CREATE TABLE k (\"a \"\"b\" int, \"User\" text, a text, PRIMARY KEY (\"User\", "
     "\"a \"\"b\")); INSERT INTO k SELECT i, i % 7, 'x' FROM generate_series(1, "
     "6000) i"},
    {"partitioned",
     "CREATE TABLE k (id int, a text, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE k1 "
     "PARTITION OF k FOR VALUES FROM (0) TO (2500); CREATE TABLE k2 PARTITION OF k DEFAULT; INSERT "
     "INTO k SELECT i, 'x' FROM generate_series(1, 6000) i"},
};

/*
 * The rows of a look, while by then every row was written again, half are gone, and others came:
 * bounds are found in the present, rows read in the past.
 */
static void ranges(void **state)
{
    const struct keys *row = *state;
    struct live lv;
    struct copy copy;
    up(&lv, row->setup, "copy_split: key");
    start_to(&lv);
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        if (look == CDC_LOOK_NOW)
            live_sql(&lv, "UPDATE k SET a = 'y'; DELETE FROM k WHERE random() < 0.5");
        copy_table(&copy, "k");
        assert_true(copy.tab.resumable && copy.tab.divisible);
        expect_rc(&copy, copy_all(&copy, 1), CDC_END);
        assert_int_equal(copy.rows, 6000);
        assert_in_range(copy.ranges, look == CDC_LOOK_NOW ? 2 : 5, 10);
        char *text = sorted(&copy.out);
        for (char *a = text, *b; (b = strchr(a, '\n')) && b[1]; a = b + 1) {
            size_t len = (size_t)(b - a);
            if (strncmp(a, b + 1, len + 1) == 0)
                fail_msg("twice:%.*s", (int)len, a);
        }
        free(text);
        copy_close(&copy);
    }
    live_down(&lv);
}

/* ---- rights, partitions, columns ---- */

static void as_role(struct live *lv, const char *extra)
{
    char url[1200];
    const char *at = strchr(lv->url, '@');
    snprintf(url, sizeof url, "postgresql://snap_role%s", at);
    live_configure(lv, url, ALL, extra);
}

static void rights(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    char sql[512];
    up(&lv,
       "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE r (id int "
       "PRIMARY KEY); INSERT INTO r VALUES (1); ALTER TABLE r ENABLE ROW LEVEL SECURITY; "
       "DROP ROLE IF EXISTS snap_role; CREATE ROLE snap_role LOGIN REPLICATION; "
       "GRANT SELECT ON r TO snap_role",
       "");
    snprintf(sql, sizeof sql,
             "CREATE PUBLICATION sidestream_%s FOR TABLE t, r, done WITH "
             "(publish_via_partition_root = true)",
             lv.database);
    live_sql(&lv, sql);
    as_role(&lv, "manage: slot");
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_NOW);
    int rc = copy.snap->ops->table(copy.snap, "public", "t", &copy.tab, &copy.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(copy.err.action, CDC_OPERATOR);
    assert_non_null(strstr(copy.err.message, "GRANT SELECT ON \"public\".\"t\" TO \"snap_role\""));
    copy_table(&copy, "r");
    assert_int_equal(copy_range(&copy, &all), CDC_FAIL);
    assert_int_equal(copy.err.action, CDC_OPERATOR);
    assert_non_null(strstr(copy.err.message, "BYPASSRLS"));
    assert_int_equal(copy.rows, 0);
    copy_close(&copy);
    live_sql(&lv, "ALTER ROLE snap_role BYPASSRLS");
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_PLACED);
    copy_table(&copy, "r");
    expect_rc(&copy, copy_range(&copy, &all), CDC_END);
    assert_int_equal(copy.rows, 1);
    copy_close(&copy);
    live_close(&lv);
    live_sql(&lv, "DROP OWNED BY snap_role; DROP ROLE snap_role");
    live_down(&lv);
}

static const struct shown {
    const char *name, *setup, *table, *expect, *extra;
} showns[] = {
    {"generated columns are left out",
     "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, a text); "
     "INSERT "
     "INTO t (id, a) VALUES (1, 'x'), (2, NULL)",
     "t", " (1, x)\n (2, null)\n", ""},
    {"what inherits is another table",
     "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE c (PRIMARY KEY (id)) INHERITS (t); INSERT "
     "INTO"
     " t VALUES (1); INSERT INTO c VALUES (2)",
     "t", " (1)\n", ""},
    {"a partitioned table by its root",
     "CREATE TABLE p (id int, a text, PRIMARY KEY (id)) PARTITION BY LIST (id); CREATE TABLE p1 "
     "PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 (a text, id int NOT NULL); ALTER TABLE p "
     "ATTACH PARTITION p2 FOR VALUES IN (2); INSERT INTO p VALUES (1, 'x'), (2, 'y')",
     "p", " (1, x)\n (2, y)\n", ""},
    {"a partition",
     "CREATE TABLE p (id int, a text, PRIMARY KEY (id)) PARTITION BY LIST (id); CREATE TABLE p1 "
     "PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 (a text, id int NOT NULL); ALTER TABLE p "
     "ATTACH PARTITION p2 FOR VALUES IN (2); INSERT INTO p VALUES (1, 'x'), (2, 'y')",
     "p2", " (y, 2)\n", "partitions: leaf"},
    {"without key",
     "CREATE TABLE t (id int, a text); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES "
     "(1, "
     "'x'), (1, 'x')",
     "t", " (1, x)\n (1, x)\n", ""},
    {"no rows", "CREATE TABLE t (id int PRIMARY KEY)", "t", "", ""},
    {"a large value",
     "CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL; "
     "INSERT "
     "INTO t VALUES (1, repeat('x', 3000000))",
     "t", " (1, <3000000 bytes>)\n", ""},
};

static void shown(void **state)
{
    const struct shown *row = *state;
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        up(&lv, row->setup, row->extra);
        start_to(&lv);
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, row->table);
        expect_rc(&copy, copy_all(&copy, 1), CDC_END);
        char *text = sorted(&copy.out);
        assert_string_equal(text, row->expect);
        free(text);
        copy_close(&copy);
        live_down(&lv);
    }
}

/* `where` of the rule, by key and by block; and what the server does not understand of it. */
static void where(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    live_up(&lv,
            "  - {tables: public.t, where: 'id % 10 = 0 OR id = 1 -- or so'}\n"
            "  - {tables: public.b, where: 'no_such_column > 1'}\n",
            "");
    live_sql(&lv,
             "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000);"
             "CREATE TABLE b (id int PRIMARY KEY)");
    start_to(&lv);
    copy_open(&copy, &lv);
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        copy.rows = 0;
        expect_rc(&copy, copy_all(&copy, 1), CDC_END);
        assert_int_equal(copy.rows, 501);
    }
    copy_table(&copy, "b");
    assert_int_equal(copy_range(&copy, &all), CDC_FAIL);
    assert_int_equal(copy.err.action, CDC_CONFIG);
    assert_non_null(strstr(copy.err.message, "no_such_column"));
    copy_close(&copy);
    live_down(&lv);
}

/* ---- parts of tables: how many rows they are thought to have, in how many ranges ---- */

#define PARTS                                                                                      \
    "CREATE TABLE t (id int PRIMARY KEY, v int, pad text); INSERT INTO t SELECT g, g % 20, "       \
    "repeat('x', 100) FROM generate_series(1, 60000) g; CREATE TABLE c (a int, b int, v int, "     \
    "PRIMARY KEY (a, b)); INSERT INTO c SELECT g % 10, g, g FROM generate_series(1, 60000) g; "    \
    "CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY HASH (id); CREATE TABLE p1 "          \
    "PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p2 PARTITION OF p FOR " \
    "VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO p SELECT g, g % 20 FROM "                   \
    "generate_series(1, 60000) g; CREATE TABLE n (id int PRIMARY KEY, v int) WITH "                \
    "(autovacuum_enabled = off); INSERT INTO n SELECT g, g % 20 FROM generate_series(1, 60000) g;" \
    " ANALYZE t, c, p"

/* Of a whole table of 60,000 rows there would be 60 ranges. */
static const struct part {
    const char *name, *table, *where;
    enum cdc_look look;
    size_t rows, least, most; /* estimated between these; 0: whatever */
    size_t ranges_least, ranges_most;
} part_rows[] = {
    {"all", "t", "true", CDC_LOOK_NOW, 60000, 59000, 61000, 55, 61},
    {"of the key", "t", "id > 54000", CDC_LOOK_NOW, 6000, 5000, 7000, 6, 7},
    {"none", "t", "id < 0", CDC_LOOK_NOW, 0, 1, 100, 1, 1},
    {"of a part of the key", "c", "a = 3", CDC_LOOK_NOW, 6000, 5000, 7000, 6, 7},
    {"of the key's end", "c", "b % 10 = 3", CDC_LOOK_NOW, 6000, 1, 6000, 6, 7},
    {"a plan in the condition", "t", "id > 54000 AND id::text <> '\"Node Type\": \"Sort\"'",
     CDC_LOOK_NOW, 6000, 5000, 7000, 6, 7},
    {"of partitions' key", "p", "id > 54000", CDC_LOOK_NOW, 6000, 5000, 7000, 6, 7},
    {"few rows", "t", "v = 3", CDC_LOOK_NOW, 3000, 2000, 4000, 7, 9},
    {"a third", "t", "v < 7", CDC_LOOK_NOW, 21000, 18000, 24000, 28, 32},
    {"few rows of partitions", "p", "v = 3", CDC_LOOK_NOW, 3000, 2000, 4000, 7, 9},
    {"lying together", "c", "v > 54000", CDC_LOOK_NOW, 6000, 5000, 7000, 6, 9},
    {"few rows, by block", "t", "v = 3", CDC_LOOK_START, 3000, 2000, 4000, 5, 12},
    {"never analyzed", "n", "v = 3", CDC_LOOK_NOW, 3000, 0, 0, 5, 62},
};

static void parts(void **state)
{
    const struct part *row = *state;
    struct live lv;
    struct copy copy;
    char rule[256];
    snprintf(rule, sizeof rule, "  - tables: public.%s\n    where: |-\n      %s\n", row->table,
             row->where);
    live_up(&lv, rule, "");
    live_sql(&lv, PARTS);
    live_sql(&lv, "VACUUM t");
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, row->look);
    copy_table(&copy, row->table);
    expect_rc(&copy, copy_all(&copy, 1), CDC_END);
    assert_int_equal(copy.rows, row->rows);
    if (row->most && (copy.tab.rows < row->least || copy.tab.rows > row->most))
        fail_msg("thought to have %zu rows", (size_t)copy.tab.rows);
    if (row->most && copy.tab.bytes / copy.tab.rows > 400)
        fail_msg("thought to have %zu bytes", (size_t)copy.tab.bytes);
    if (copy.ranges < row->ranges_least || copy.ranges > row->ranges_most)
        fail_msg("%zu ranges", copy.ranges);
    copy_close(&copy);
    live_down(&lv);
}

static void lists(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_copy_name *names;
    size_t n;
    up(&lv,
       "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY "
       "LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE SCHEMA x; CREATE "
       "TABLE x.t (id int PRIMARY KEY)",
       "");
    start_to(&lv);
    live_sql(&lv, "CREATE TABLE behind (id int PRIMARY KEY)");
    copy_open(&copy, &lv);
    assert_int_equal(copy.snap->ops->list(copy.snap, arena, &names, &n, &copy.err), CDC_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0].name, "done");
    assert_string_equal(names[1].name, "p");
    assert_string_equal(names[2].name, "t");
    assert_string_equal(names[2].schema, "public");
    cdc_arena_free(arena);
    copy_close(&copy);
    live_down(&lv);
}

/* A table of many partitions in ranges of blocks: each row once. */
static void blocks_of_partitions(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    up(&lv,
       "CREATE TABLE p (id int, pad text) PARTITION BY HASH (id); DO $$ BEGIN FOR i IN 0..29 LOOP "
       "EXECUTE format('CREATE TABLE p%s PARTITION OF p FOR VALUES WITH (MODULUS 30, REMAINDER "
       "%s)', i, i); EXECUTE format('ALTER TABLE p%s REPLICA IDENTITY FULL', i); END LOOP; END "
       "$$; ALTER TABLE p REPLICA IDENTITY FULL; INSERT INTO p SELECT i, repeat('x', 200) FROM "
       "generate_series(1, 30000) i",
       "");
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_START);
    live_sql(&lv, "UPDATE p SET pad = pad || 'y'");
    copy_table(&copy, "p");
    assert_true(copy.tab.divisible && !copy.tab.resumable);
    expect_rc(&copy, copy_all(&copy, 1), CDC_END);
    assert_int_equal(copy.rows, 30000);
    assert_in_range(copy.ranges, 10, 100);
    copy_close(&copy);
    live_down(&lv);
}

/* ---- values: as the stream gives them ---- */

#define VALUES                                                                                     \
    "true, 32767::int2, -5, 9223372036854775807, 4294967295::oid, '7'::xid, 1.5::float4, "         \
    "'-0'::float8, 'a'::\"char\", 'name'::name, E'te\\\\xt\\n\\ttab', 'var'::varchar(5), "         \
    "'ch'::char(5), '\\x00ff'::bytea, '2024-02-29'::date, '23:59:59.999999'::time, "               \
    "'2024-02-29 12:00:00.000001'::timestamp, '1969-12-31 23:59:59.5+00'::timestamptz, "           \
    "'-12345678901234567890.123456'::numeric(38,6), '0.001'::numeric(5,3), '12.50'::numeric, "     \
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{\"a\": [1, 2]}'::json, "                      \
    "'{\"b\":  1}'::jsonb, '{1,NULL,3}'::int[], '{\"a,b\",\"\"}'::text[], '1 day "                 \
    "02:00'::interval, "                                                                           \
    "'10.0.0.1'::inet, '10.0.0.0/8'::cidr, '<a/>'::xml, 'ok'::mood, '7'::small, "                  \
    "ROW(NULL, NULL)::pair, '[1,5)'::int4range, '101'::bit(3), '$1.50'::money, '12:00+02'::timetz"

static void values(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "false, (-32768)::int2, 0, -9223372036854775808, 0::oid, '0'::xid, 'NaN'::float4, "
        "'-Infinity'::float8, '\\200'::\"char\", '', '', '', '', '', 'infinity', '24:00:00', "
        "'infinity', '-infinity', 'NaN', 'NaN', 'Infinity', NULL, 'null', 'null', '{}', "
        "'[0:1]={a,b}', '-1 mon', '::1', '::/0', NULL, 'sad', '-7', ROW(1, 'x'), 'empty', '000', "
        "'-$92,233,720,368,547,758.08', '00:00-15:59:59'",
        "NULL, NULL, NULL, NULL, NULL, NULL, 1e-45::float4, 1e308, NULL, NULL, NULL, NULL, NULL, "
        "NULL, '0044-03-15 BC', '00:00', '10000-01-01 00:00:00.5', '4713-01-01 10:00:00 BC', "
        "'0.000001', '99.999', '0', NULL, '1', '\"x\"', '{{1},{2}}', '{}', NULL, NULL, NULL, NULL, "
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "true, 1, 1, 1, 1, '1', 3.4028235e38, 0.1, 'x', 'n', 't', 'v', 'c', 'b', '5874897-12-31', "
        "'00:00:00.1', '294276-12-31 23:59:59.999999', '0001-01-01 00:00:00+00', "
        "'99999999999999999999999999999999.999999', '-99.999', '1e50', NULL, '1', '1', '{7}', "
        "'{\"\"}', '1', '1.1.1.1/24', '1.1.1.0/24', '<b/>', 'ok', '1', NULL, '[,]', '111', '0', "
        "'01:02:03'",
        "true, 1, 1, 1, 1, '1', 1, 1, 'x', 'n', 't', 'v', 'c', 'b', '-infinity', '00:00:00.1', "
        "'0001-12-31 23:59:59.999999 BC', '9999-12-31 23:59:59.999999+00', "
        "'-99999999999999999999999999999999.999999', '10', '-1e-20', NULL, '1', '1', '{7}', "
        "'{}', '1', '1.1.1.1/24', '1.1.1.0/24', '<b/>', 'ok', '1', NULL, '[,]', '111', '0', "
        "'01:02:03'",
        "true, 1, 1, 1, 1, '1', 1, 1, 'x', 'n', 't', 'v', 'c', 'b', '9999-12-31', '00:00', "
        "'0001-01-01', '2000-01-01', '10000', '1', '1', NULL, '1', '1', '{7}', "
        "'{}', '1', '1.1.1.1/24', '1.1.1.0/24', '<b/>', 'ok', '1', NULL, '[,]', '111', '0', "
        "'01:02:03'",
        "true, 1, 1, 1, 1, '1', 1, 1, 'x', 'n', 't', 'v', 'c', 'b', '0001-01-01', '00:00', "
        "'1999-12-31 23:59:59.9', '2000-01-01', '100000000', '0', '1', NULL, '1', '1', '{7}', "
        "'{}', '1', '1.1.1.1/24', '1.1.1.0/24', '<b/>', 'ok', '1', NULL, '[,]', '111', '0', "
        "'01:02:03'"};
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    up(&lv,
       "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int; CREATE TYPE pair AS "
       "(a int, b text); CREATE TABLE v AS SELECT 1 AS id, v.* FROM (SELECT " VALUES ") v(c1, c2,"
       " c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, "
       "c22, c23, c24, c25, c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37); ALTER "
       "TABLE v ADD PRIMARY KEY (id)",
       "");
    for (size_t i = 0; i < CM_COUNT(odd); i++) {
        char sql[2048];
        snprintf(sql, sizeof sql, "INSERT INTO v VALUES (%zu, %s)", i + 2, odd[i]);
        live_sql(&lv, sql);
    }
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_START);
    copy_table(&copy, "v");
    expect_rc(&copy, copy_range(&copy, &all), CDC_END);
    assert_int_equal(copy.rows, CM_COUNT(odd) + 1);
    /* Every row again, as an insert of the stream. */
    live_sql(&lv,
             "CREATE TABLE w AS TABLE v; DELETE FROM v; INSERT INTO v SELECT * FROM w ORDER BY id");
    live_settle(&lv);
    const char *stream = cdc_buf_cstr(&lv.out), *p = cdc_buf_cstr(&copy.out);
    for (size_t i = 0; i < copy.rows; i++) {
        char line[8192];
        const char *end = strchr(p, '\n');
        snprintf(line, sizeof line, "%.*s", (int)(end - p), p);
        if (!strstr(stream, line))
            fail_msg("not as in the stream:%s\n%s", line, stream);
        p = end + 1;
    }
    copy_close(&copy);
    live_down(&lv);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[CM_COUNT(keys) + CM_COUNT(showns) + CM_COUNT(part_rows) + 20];
    struct CMUnitTest *to = tests;
    *to++ = (struct CMUnitTest)cmocka_unit_test(values);
    *to++ = (struct CMUnitTest)cmocka_unit_test(rights);
    *to++ = (struct CMUnitTest)cmocka_unit_test(where);
    *to++ = (struct CMUnitTest)cmocka_unit_test(lists);
    *to++ = (struct CMUnitTest)cmocka_unit_test(blocks_of_partitions);
    to = CM_ROWS(to, parts, part_rows);
    to = CM_ROWS(to, ranges, keys);
    to = CM_ROWS(to, shown, showns);
    return snap_main(argc, argv, "postgres_snap_rows", tests, (size_t)(to - tests));
}
