/*
 * test_mysql_statement.c - statements against the range deletes and gaps that come of them. The
 * tables are these, of which the catalogue and relation.c are asked:
 *
 *   known, and there      g.a g.b h.d
 *   known, dropped since  g.c
 *   there, not yet known  g.n
 *   not captured          g.x
 *   there, with a key that cascades   g.b
 */
#define mys_rel_by_name     fake_rel_by_name
#define mys_rel_now         fake_rel_now
#define mys_catalogue_names fake_catalogue_names
#define mys_sql             fake_sql
#define mys_statement_read  t_statement_read
#define mys_statement_apply t_statement_apply
#define mys_gap_all         t_gap_all
#define mys_gap_table       t_gap_table
#define mys_gap_lost        t_gap_lost
#define mys_links_matter    fake_links_matter
#define mys_links_refuse    fake_links_refuse
#include "rows.h"

#include "mysql_rig.h"

#include "../../connectors/mysql/statement.c"

#define RULES "capture:\n  - tables: g.x*\n    skip: true\n  - tables: \"*.*\"\n"

static const char *const known[] = {"g.a", "g.b", "g.c", "h.d"};
static const char *const there[] = {"g.a", "g.b", "g.n", "g.x", "h.d"};

static bool is_among(const char *const *names, size_t n, const char *schema, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == strlen(schema) + 1 + strlen(name) &&
            strncmp(names[i], schema, strlen(schema)) == 0 &&
            strcmp(names[i] + strlen(schema) + 1, name) == 0)
            return true;
    return false;
}

static int table(struct mys_source *src, const char *schema, const char *name,
                 struct cdc_table **ret)
{
    const struct cdc_column cols[] = {{.name = "id", .type = "int", .kind = CDC_INT, .key = 1}};
    struct cdc_table_spec spec = {.catalog = schema,
                                  .schema = schema,
                                  .name = name,
                                  .version = 1,
                                  .n = 1,
                                  .cols = cols,
                                  .rule = cdc_capture_match(src->srv.cfg->capture, schema, name)};
    assert_non_null(spec.rule);
    return cdc_table_new(&spec, ret, NULL);
}

int fake_rel_by_name(struct mys_source *src, const char *schema, const char *name,
                     struct cdc_table **ret, struct cdc_error *err)
{
    (void)err;
    *ret = NULL;
    return is_among(known, CM_COUNT(known), schema, name) ? table(src, schema, name, ret) : CDC_OK;
}

int fake_rel_now(struct mys_source *src, MYSQL *conn, const struct mys_which *which,
                 struct cdc_table **ret, struct cdc_error *err)
{
    (void)conn, (void)err;
    return is_among(there, CM_COUNT(there), which->schema, which->name)
               ? table(src, which->schema, which->name, ret)
               : CDC_END;
}

bool fake_links_matter(const struct mys_source *src)
{
    return !src->facts.cascades;
}

int fake_links_refuse(struct mys_source *src, const struct mys_which *which, struct cdc_error *err)
{
    if (src->facts.cascades || strcmp(which->schema, "g") != 0 || strcmp(which->name, "b") != 0)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, which->name, "linked");
}

int fake_catalogue_names(MYSQL *conn, const struct cdc_config *cfg, struct cdc_arena *arena,
                         struct mys_cat_tables *ret, struct cdc_error *err)
{
    (void)conn, (void)err;
    ret->n = CM_COUNT(there);
    ret->tabs = cdc_arena_zalloc(arena, ret->n * sizeof *ret->tabs);
    assert_non_null(ret->tabs);
    for (size_t i = 0; i < ret->n; i++) {
        struct mys_cat_table *tab = &ret->tabs[i];
        tab->schema = cdc_arena_printf(arena, "%.1s", there[i]);
        tab->name = there[i] + 2;
        tab->base = true;
        tab->rule = cdc_capture_match(cfg->capture, tab->schema, tab->name);
    }
    return CDC_OK;
}

int fake_sql(struct mys_server *srv, struct cdc_error *err)
{
    (void)srv, (void)err;
    return CDC_OK;
}

/* The default database is g. Changes as op and table, a plus for each row that is counted, `stale`
 * where descriptions are. */
static const struct row {
    const char *sql, *expect;
} rows[] = {
    {"TRUNCATE TABLE a", "+ t g.a stale"},
    {"truncate `h`.`d`", "+ t h.d stale"},
    {"TRUNCATE x", "+"},
    {"TRUNCATE mysql.proc", "+"},
    {"DROP TABLE IF EXISTS a, g.x, h.d, nothing", "+ t g.a t h.d stale"},
    {"DROP TABLE c", "+ t g.c stale"},
    {"DROP TEMPORARY TABLE a", ""},
    {"DROP /*!40005 TEMPORARY */ TABLE IF EXISTS a", ""},
    {"DROP TABLE a, ?", "+ t g.a g g.a g g.b g g.n stale"},
    {"DROP VIEW a", ""},
    {"DROP DATABASE g", "+ t g.a t g.b t g.c"},
    {"DROP DATABASE h", "+ t h.d"},
    {"DROP DATABASE i", "+"},
    {"DROP DATABASE", "+"},

    {"RENAME TABLE a TO x", "+ t g.a stale"},
    {"RENAME TABLE a TO b2", "+ t g.a stale"},
    {"RENAME TABLE x TO a", "+ g g.a stale"},
    {"RENAME TABLE x TO n", "+ g g.n stale"},
    {"RENAME TABLE a TO h.d", "+ t g.a g h.d stale"},
    {"RENAME TABLE a TO xold, xnew TO a", "+ g g.a stale"},
    {"RENAME TABLE a TO xtmp, n TO a, xtmp TO n", "+ g g.n g g.a stale"},
    {"RENAME TABLE a TO xtmp, xtmp TO a", "+ stale"},
    {"RENAME TABLE a TO b, b TO c", "+ t g.a g g.c stale"},
    {"RENAME TABLE x TO x2", "+"},
    {"RENAME USER a TO b", ""},
    {"ALTER TABLE a RENAME TO x", "+ t g.a stale"},
    {"ALTER TABLE x RENAME a", "+ g g.a stale"},
    {"ALTER TABLE a ADD COLUMN y INT, RENAME TO n", "+ t g.a g g.n stale"},
    {"ALTER TABLE a RENAME COLUMN x TO y", "stale"},

    {"ALTER TABLE a ADD COLUMN y INT", "stale"},
    {"ALTER TABLE x ADD COLUMN y INT", ""},
    {"CREATE INDEX i ON a (y)", "stale"},
    {"ALTER TABLE a DROP PARTITION p", "g g.a stale"},
    {"ALTER TABLE n TRUNCATE PARTITION p", "g g.n stale"},
    {"ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b", "g g.a g g.b stale"},
    {"ALTER TABLE a CONVERT TABLE c TO PARTITION p VALUES LESS THAN (9)", "+ t g.c g g.a stale"},
    {"ALTER TABLE x CONVERT TABLE b TO PARTITION p", "+ t g.b stale"},
    {"ALTER TABLE a CONVERT PARTITION p TO TABLE n", "g g.a g g.n stale"},
    {"ALTER TABLE a IMPORT TABLESPACE", "g g.a stale"},

    {"CREATE TABLE a (id INT)", "stale"},
    {"CREATE TABLE a (id INT) START TRANSACTION", "stale"},
    {"CREATE OR REPLACE TABLE a (id INT)", "+ t g.a stale"},
    {"CREATE TABLE n AS SELECT 1", "g g.n stale"},
    {"CREATE TABLE n (selected INT)", "stale"},
    {"CREATE TEMPORARY TABLE a AS SELECT 1", ""},
    {"CREATE DATABASE i", ""},
    {"CREATE VIEW a AS SELECT 1", ""},

    {"INSERT INTO a VALUES (1)", "g g.a"},
    {"INSERT INTO x VALUES (1)", ""},
    {"INSERT INTO mysql.proc VALUES (1)", ""},
    {"REPLACE n VALUES (1)", "g g.n"},
    {"UPDATE h.d SET y = 1", "g h.d"},
    {"DELETE FROM nothing", ""},
    {"UPDATE a, b SET y = 1", "g g.a g g.a g g.b g g.n"},
    {"LOAD DATA INFILE 'f' INTO TABLE a", "g g.a g g.b g g.n"},
    {"WITH w AS (SELECT 1) DELETE FROM a", "g g.a g g.b g g.n"},
    {"SELECT `g`.`f`()", "g g.a g g.b g g.n"},
    {"SELECT `h`.`f`()", "g g.a g g.b g g.n g h.d"},
    {"UPDATE a, h.d SET a.y = 1", "g g.a g g.a g g.b g g.n g h.d"},
    {"DELETE u FROM b AS u JOIN `h`.d v", "g g.a g g.b g g.n g h.d"},
    {"WITH w AS (SELECT 1) DELETE FROM h /* . */ . d", "g g.a g g.b g g.n g h.d"},
    {"LOAD DATA INFILE 'h.d' INTO TABLE i.a SET y = 1.5", "g g.a g g.b g g.n"},
    {"DO f()", "g g.a g g.b g g.n"},
    {"SELECTED", ""},
    {"ANALYZE TABLE a", ""},
    {"GRANT SELECT ON a TO u", ""},
    {"", ""},
    {"/* SELECT */", ""},
    {"/* do it */ GRANT SELECT ON a TO u", ""},
    {" /* do */ /**/ SELECT f()", "g g.a g g.b g g.n"},
    {"/* SELECT", ""},

    {"CREATE TABLE n (id INT, r INT REFERENCES a (id) ON DELETE CASCADE)", "g g.n stale"},
    {"CREATE TABLE n (r INT REFERENCES a (id) ON UPDATE\tSET/**/NULL)", "g g.n stale"},
    {"ALTER TABLE a ADD FOREIGN KEY (y) REFERENCES n (id) ON DELETE SET DEFAULT", "g g.a stale"},
    {"ALTER TABLE a ADD FOREIGN KEY (y) REFERENCES n (id) ON DELETE RESTRICT", "stale"},
    {"ALTER TABLE a ADD t TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", "stale"},
    {"ALTER TABLE a COMMENT 'REFERENCES n (id) ON DELETE CASCADE'", "stale"},
    {"ALTER TABLE x ADD FOREIGN KEY (y) REFERENCES n (id) ON DELETE CASCADE", ""},
    {"ALTER TABLE b ADD FOREIGN KEY (y) REFERENCES n (id) ON DELETE CASCADE", "!"},
    {"CREATE TABLE b (id INT, r INT REFERENCES a (id) ON DELETE CASCADE)", "!"},
    {"RENAME TABLE x TO b", "!"},
    {"ALTER TABLE a RENAME TO b", "!"},
};

static void put_change(struct cdc_buf *out, const struct cdc_change *chg)
{
    cdc_buf_printf(out, "%s%c %s.%s", out->len ? " " : "", chg->op, chg->table->schema,
                   chg->table->name);
}

static void put_known(struct mys_source *src)
{
    for (size_t i = 0; i < CM_COUNT(known); i++) {
        char key[32];
        snprintf(key, sizeof key, "table/%s", known[i]);
        assert_int_equal(cdc_map_put(&src->known, cdc_slice_str(key), cdc_slice_str("{}")), CDC_OK);
    }
    assert_int_equal(cdc_map_put(&src->known, cdc_slice_str("source"), cdc_slice_str("{}")),
                     CDC_OK);
}

static int try_sql(struct rig *rig, const char *sql, const char *db)
{
    struct mys_event ev = {.type = 2, .kind = MYS_QUERY};
    struct mys_statement stmt;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    assert_non_null(arena);
    ev.query.sql = cdc_slice_str(sql);
    ev.query.db = cdc_slice_str(db);
    rig->src.tx.open = rig->src.tx.stands_alone = true;
    strcpy(rig->src.tx.at.file, "bin.000001");
    assert_int_equal(mys_statement_read(&rig->src, &ev, arena, &stmt, &rig->err), CDC_OK);
    int rc = mys_statement_apply(&rig->src, rig->batch, &ev, &stmt, &rig->err);
    cdc_arena_free(arena);
    return rc;
}

static void run_sql(struct rig *rig, const char *sql, const char *db)
{
    assert_int_equal(try_sql(rig, sql, db), CDC_OK);
}

static void expect(struct rig *rig, const char *want)
{
    struct mys_source *src = &rig->src;
    struct cdc_buf out = CDC_BUF(4096);
    if (src->tx.n)
        cdc_buf_byte(&out, '+');
    assert_in_range(src->tx.n, 0, 1);
    for (size_t i = 0; i < rig->batch->n; i++) {
        const struct cdc_change *chg = &rig->batch->changes[i];
        put_change(&out, chg);
        assert_true(chg->tx == src->tx.out && chg->ordinal == src->tx.n);
        assert_true(!chg->before && !chg->after);
    }
    if (src->stale)
        cdc_buf_str(&out, out.len ? " stale" : "stale");
    assert_int_equal(src->tx.rows, rig->batch->n > 0);
    assert_string_equal(cdc_buf_cstr(&out), want);
    cdc_buf_done(&out);
}

static void test_statement(void **state)
{
    const struct row *row = *state;
    struct rig rig;
    rig_open(&rig, RULES, false);
    put_known(&rig.src);
    rig.src.facts.cascades = false;
    int rc = try_sql(&rig, row->sql, "g");
    bool refused = strcmp(row->expect, "!") == 0;
    assert_int_equal(rc, refused ? CDC_FAIL : CDC_OK);
    if (refused)
        assert_int_equal(rig.err.action, CDC_OPERATOR);
    else
        expect(&rig, row->expect);
    rig_close(&rig);
}

/* More names than are kept: any database may be among them. */
static void test_many(void **state)
{
    struct rig rig;
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    (void)state;
    cdc_buf_str(&sql, "DELETE u FROM a u, ");
    for (int i = 0; i < MYS_DBS_MOST; i++)
        cdc_buf_printf(&sql, "n%d.t, ", i);
    cdc_buf_str(&sql, "h.d");
    rig_open(&rig, RULES, false);
    put_known(&rig.src);
    run_sql(&rig, cdc_buf_cstr(&sql), "i");
    expect(&rig, "g g.a g g.b g g.n g h.d");
    rig_close(&rig);
    cdc_buf_done(&sql);
}

/* Where such keys do not matter (MySQL logs what they do, or it is accepted) nothing is said. */
static void test_unlinked(void **state)
{
    struct rig rig;
    (void)state;
    rig_open(&rig, RULES, false);
    put_known(&rig.src);
    run_sql(&rig, "ALTER TABLE b ADD FOREIGN KEY (y) REFERENCES n (id) ON DELETE CASCADE", "g");
    expect(&rig, "stale");
    rig_close(&rig);
}

/* Without a default database such a statement may have changed any table. */
static void test_nowhere(void **state)
{
    (void)state;
    static const struct row nowhere[] = {
        {"LOAD DATA INFILE 'f' INTO TABLE g.a", "g g.a g g.b g g.n g h.d"},
        {"SELECT g.f()", "g g.a g g.b g g.n g h.d"},
        {"GRANT SELECT ON g.a TO u", ""},
        {"DELETE FROM g.a", "g g.a"},
    };
    for (size_t i = 0; i < CM_COUNT(nowhere); i++) {
        struct rig rig;
        rig_open(&rig, RULES, false);
        put_known(&rig.src);
        run_sql(&rig, nowhere[i].sql, "");
        expect(&rig, nowhere[i].expect);
        rig_close(&rig);
    }
}

/* Names without case, where the server takes them so. */
static void test_case(void **state)
{
    (void)state;
    for (uint8_t mode = 0; mode < 3; mode++) {
        struct rig rig;
        rig_open(&rig, RULES, false);
        put_known(&rig.src);
        rig.src.facts.lower_case = mode;
        run_sql(&rig, "TRUNCATE A", "G");
        expect(&rig, mode ? "+ t g.a stale" : "+ stale");
        rig_close(&rig);
    }
}

/* `accept: statements` */
static void test_accepted(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RULES, false);
    put_known(&rig.src);
    rig.src.srv.accept = MYS_ACCEPT_STATEMENTS;
    run_sql(&rig, "DELETE FROM a", "g");
    run_sql(&rig, "LOAD DATA INFILE 'f' INTO TABLE a", "g");
    expect(&rig, "");
    run_sql(&rig, "ALTER TABLE a DROP PARTITION p", "g");
    expect(&rig, "g g.a stale");
    rig_close(&rig);
}

/* What is out already is not said again. */
static void test_skipped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, RULES, false);
    put_known(&rig.src);
    rig.src.tx.skip = true;
    run_sql(&rig, "TRUNCATE a", "g");
    run_sql(&rig, "DELETE FROM a", "g");
    expect(&rig, "");
    rig.src.tx.skip = false;
    rig.src.tx.skip_rows = 2;
    run_sql(&rig, "DELETE FROM a", "g");
    run_sql(&rig, "TRUNCATE a", "g");
    expect(&rig, "+ stale");
    rig_close(&rig);
}

/* Text of another charset: GBK has characters whose second byte is a backquote. */
static void test_charset(void **state)
{
    (void)state;
    static const uint8_t status[] = {4, 28, 0, 28, 0, 28, 0}; /* gbk_chinese_ci */
    struct rig rig;
    struct mys_event ev = {.type = 2, .kind = MYS_QUERY};
    struct mys_statement stmt;
    rig_open(&rig, RULES, false);
    ev.query.sql = cdc_slice_str("DROP TABLE `\x81\x60`, `a`");
    ev.query.db = cdc_slice_str("g");
    ev.query.status = cdc_slice_of(status, sizeof status);
    assert_int_equal(mys_statement_read(&rig.src, &ev, rig.arena, &stmt, &rig.err), CDC_OK);
    assert_int_equal(stmt.n, 2);
    assert_string_equal(stmt.names[0].name, "\xe4\xb9\xa3");
    assert_string_equal(stmt.names[1].name, "a");
    ev.query.sql = cdc_slice_str("DROP TABLE `\xff\xff`, `a`"); /* not of the charset: as it is */
    assert_int_equal(mys_statement_read(&rig.src, &ev, rig.arena, &stmt, &rig.err), CDC_OK);
    assert_string_equal(stmt.names[1].name, "a");
    rig_close(&rig);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 7], *end = tests;
    end = CM_ROWS(end, test_statement, rows);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_nowhere);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_many);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_unlinked);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_case);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_accepted);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_skipped);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_charset);
    return _cmocka_run_group_tests("mysql_statement", tests, (size_t)(end - tests), NULL, NULL);
}
