/*
 * test_replica_diff.c - a replica's file against one built privately from the same script: what was
 * changed in the file is named by its key, and nothing else.
 */
#include "replica/compare.h"
#include "replica_db.h"
#include "rows.h"

#define SCRIPT                                                                                     \
    "@public.t 1 soft *id:i a:s; c 1.1 1 x; c 1.2 2 y | d 2.1 2 ~; c 2.2 3 z |"                    \
    "@public.two 1 hard *a:s *b:i v:f; c 3.1 k 1 0.5; c 3.2 k 2 nan; c 3.3 l 1 -; d 3.4 l 1 ~ |"   \
    "@public.log 1 soft v:s; c 4.1 one; c 4.2 two; c 4.3 two"

struct row {
    const char *name, *sql, *expect; /* expect: "table what key columns", joined by " | " */
};

static const struct row rows[] = {
    {"untouched", "", ""},
    {"a table of the user", "CREATE TABLE mine(a)", ""},
    {"other words for the same place", "UPDATE _sidestream_position SET token = '4 elsewhere'", ""},
    {"an index of the user", "CREATE INDEX mine ON \"public.t\"(a)", ""},
    {"a value", "UPDATE \"public.t\" SET a = 'q' WHERE id = 1", "public.t differs {\"id\":1} a"},
    {"a value to null", "UPDATE \"public.t\" SET a = NULL WHERE id = 1",
     "public.t differs {\"id\":1} a"},
    {"a type", "UPDATE \"public.t\" SET a = x'78' WHERE id = 1", "public.t differs {\"id\":1} a"},
    {"a meta column", "UPDATE \"public.t\" SET __seq = 'q' WHERE id = 2",
     "public.t differs {\"id\":2} __seq"},
    {"revived", "UPDATE \"public.t\" SET __deleted = 0 WHERE id = 2",
     "public.t differs {\"id\":2} __deleted"},
    {"a row less", "DELETE FROM \"public.t\" WHERE id = 3", "public.t lacks {\"id\":3}"},
    {"a row more", "INSERT INTO \"public.t\"(id) VALUES (9)", "public.t extra {\"id\":9}"},
    {"a row without key",
     "CREATE TABLE k AS SELECT 1; DROP TABLE k;"
     "INSERT INTO \"public.two\"(a) VALUES ('x')",
     "public.two extra {\"a\":\"x\",\"b\":null}"},
    {"another key", "UPDATE \"public.t\" SET id = 4 WHERE id = 3",
     "public.t lacks {\"id\":3} | public.t extra {\"id\":4}"},
    {"key of two columns", "UPDATE \"public.two\" SET v = 0 WHERE b = 2",
     "public.two differs {\"a\":\"k\",\"b\":2} v"},
    {"several columns", "UPDATE \"public.two\" SET v = 7, __op = 'u' WHERE b = 1",
     "public.two differs {\"a\":\"k\",\"b\":1} v,__op"},
    {"a table less", "DROP TABLE \"public.two\"",
     "public.two lacks {\"a\":\"k\",\"b\":1} | public.two lacks {\"a\":\"k\",\"b\":2}"},
    {"a table more",
     "CREATE TABLE \"public.new\"(a, __seq, __op); INSERT INTO \"public.new\" VALUES (1, 's', 'c');"
     "INSERT INTO _sidestream VALUES ('public.new', 'public.new', 1, 'soft', 0, 0, 0, 0, 0)",
     "public.new extra {\"__seq\":\"s\",\"__op\":\"c\"}"},
    {"a column less", "ALTER TABLE \"public.t\" DROP COLUMN a",
     "public.t differs {\"id\":1} a | public.t differs {\"id\":2} a | public.t differs {\"id\":3} "
     "a"},
    {"a column more", "ALTER TABLE \"public.t\" ADD COLUMN b", ""},
    {"without key: a value", "UPDATE \"public.log\" SET v = 'ONE' WHERE v = 'one'",
     "public.log extra {\"__seq\":\"S1\",\"__op\":\"c\"} | public.log lacks "
     "{\"__seq\":\"S1\",\"__op\":\"c\"}"},
    {"without key: a row less", "DELETE FROM \"public.log\" WHERE v = 'one'",
     "public.log lacks {\"__seq\":\"S1\",\"__op\":\"c\"}"},
    {"without key: a row twice",
     "INSERT INTO \"public.log\" SELECT * FROM \"public.log\" WHERE v "
     "= 'one'",
     "public.log extra {\"__seq\":\"S1\",\"__op\":\"c\"}"},
};

static void exec(const char *path, const char *sql)
{
    sqlite3 *con = NULL;
    assert_int_equal(sqlite3_open(path, &con), SQLITE_OK);
    if (sqlite3_exec(con, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(con));
    sqlite3_close(con);
}

/* Commits of the script behind that one. held: as a feed that was held to a token gives them. */
static void read_on(struct cdc_replica *rep, const char *script, uint64_t after, bool held)
{
    struct cdc_config cfg = {.path = script, .name = "shop"};
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit commit;
    struct cdc_feed_row row;
    const struct cdc_feed_start start = {.after = after};
    assert_int_equal(fake_feed_ops.open(&cfg, NULL, &start, &feed, NULL), CDC_OK);
    while (fake_feed_ops.commit(feed, &commit, NULL) == CDC_OK) {
        while (fake_feed_ops.row(feed, NULL, &row, NULL) == CDC_OK)
            assert_int_equal(cdc_replica_apply(rep, &row, NULL), CDC_OK);
        if (held) {
            commit.at_us = 0;
            commit.to = "";
        }
        assert_int_equal(cdc_replica_done(rep, &commit, 3, NULL), CDC_OK);
    }
    fake_feed_ops.close(feed);
}

/* The script into a private replica, as far as it goes. */
static struct cdc_replica *build_held(const char *script, bool held)
{
    struct cdc_replica *rep = NULL;
    assert_int_equal(cdc_replica_temporary("shop", &rep, NULL), CDC_OK);
    read_on(rep, script, 0, held);
    return rep;
}

static struct cdc_replica *build(const char *script)
{
    return build_held(script, false);
}

static void note(struct db *db, const char *table, const struct cdc_difference *diff)
{
    static const char *const words[] = {"lacks", "extra", "differs"};
    char line[512], seq[CDC_SEQ_LEN + 1], *at;
    int n = snprintf(line, sizeof line, "%s%s %s %.*s", *db->dump ? " | " : "", table,
                     words[diff->what], (int)diff->key.len, (const char *)diff->key.p);
    for (size_t i = 0; i < diff->n; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%s", i ? "," : " ", diff->columns[i]);
    for (unsigned i = 1; i < 4; i++) { /* S1: the place 4.1 */
        fake_feed_seq(seq, 4, i);
        if ((at = strstr(line, seq)) != NULL) {
            char rest[256];
            snprintf(rest, sizeof rest, "S%u%s", i, at + CDC_SEQ_LEN);
            strcpy(at, rest);
        }
    }
    db_put(db, line);
}

static uint64_t diff_all(struct db *db, struct cdc_diff *diff)
{
    struct cdc_difference found;
    const char *table;
    uint64_t compared = 0;
    int rc;
    db->dump[0] = '\0';
    while ((rc = cdc_diff_table(diff, &table, &db->err)) == CDC_OK) {
        while ((rc = cdc_diff_next(diff, &found, &compared, &db->err)) == CDC_OK)
            note(db, table, &found);
        assert_int_equal(rc, CDC_END);
    }
    assert_int_equal(rc, CDC_END);
    return compared;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    db_must(&db, SCRIPT);
    exec(db.path, row->sql);
    struct cdc_replica *rep = build(SCRIPT);
    assert_int_equal(cdc_diff_attach(rep, db.path, &diff, &at, &db.err), CDC_OK);
    assert_int_equal(at.number, 4);
    assert_int_equal(strncmp(at.token, "4 ", 2), 0);
    assert_int_equal(cdc_diff_begin(diff, &at, &db.err), CDC_OK);
    assert_int_equal(diff_all(&db, diff), 8);
    assert_string_equal(db.dump, row->expect);
    cdc_diff_free(diff);
    cdc_replica_close(rep);
    db_done(&db);
}

struct refusal {
    const char *name, *sql;
    enum cdc_action action;
    const char *says;
};

static const struct refusal refusals[] = {
    {"no replica", "DROP TABLE _sidestream_position", CDC_OPERATOR, "is it a replica"},
    {"of another pipeline", "UPDATE _sidestream_position SET feed = 'other'", CDC_OPERATOR,
     "another pipeline"},
    {"no position", "DELETE FROM _sidestream_position", CDC_OPERATOR, "where it stands"},
    {"of a program before tokens", "ALTER TABLE _sidestream_position DROP COLUMN token",
     CDC_OPERATOR, "is it a replica"},
    {"of another lake", "UPDATE _sidestream_position SET at = 'then'", CDC_OPERATOR,
     "built from something else"},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    db_must(&db, SCRIPT);
    exec(db.path, row->sql);
    struct cdc_replica *rep = build(SCRIPT);
    int rc = cdc_diff_attach(rep, db.path, &diff, &at, &db.err);
    if (rc == CDC_OK)
        rc = cdc_diff_begin(diff, &at, &db.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(db.err.action, row->action);
    if (!strstr(db.err.message, row->says))
        fail_msg("%s", db.err.message);
    cdc_diff_free(diff);
    cdc_replica_close(rep);
    db_done(&db);
}

#define ONE "@public.t 1 soft *id:i a:s; c 1.1 1 x"
#define TWO ONE " | c 2.1 2 y; c 2.2 3 y; @public.u 1 soft *id:i; c 2.3 1"

/* The file goes on while it is looked at: it is noticed and fixed, and the copy follows. */
static void test_moves_on(void **state)
{
    (void)state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    db_must(&db, ONE);
    struct cdc_replica *rep = build(ONE);
    assert_int_equal(cdc_diff_attach(rep, db.path, &diff, &at, &db.err), CDC_OK);
    assert_int_equal(at.number, 1);
    db_must(&db, TWO);
    assert_int_equal(cdc_diff_begin(diff, &at, &db.err), CDC_AGAIN);
    assert_int_equal(at.number, 2);
    db_must(&db, TWO " | d 3.1 2 ~"); /* that is not seen any more */
    read_on(rep, TWO, 1, false);
    assert_int_equal(cdc_diff_begin(diff, &at, &db.err), CDC_OK);
    assert_int_equal(at.number, 2);
    db_must(&db, TWO " | d 3.1 2 ~ | c 4.1 5 z");
    assert_int_equal(diff_all(&db, diff), 4);
    assert_string_equal(db.dump, "");
    cdc_diff_free(diff);
    cdc_replica_close(rep);
    db_done(&db);
}

/* A feed that was held to the file's token has judged it, and knows neither position nor time. */
static void test_held(void **state)
{
    (void)state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    db_must(&db, SCRIPT);
    exec(db.path, "UPDATE \"public.t\" SET a = 'q' WHERE id = 1");
    struct cdc_replica *rep = build_held(SCRIPT, true);
    assert_int_equal(cdc_diff_attach(rep, db.path, &diff, &at, &db.err), CDC_OK);
    assert_int_equal(cdc_diff_begin(diff, &at, &db.err), CDC_OK);
    assert_int_equal(diff_all(&db, diff), 8);
    assert_string_equal(db.dump, "public.t differs {\"id\":1} a");
    cdc_diff_free(diff);
    cdc_replica_close(rep);
    db_done(&db);
}

static void test_no_file(void **state)
{
    (void)state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    struct cdc_replica *rep = build(SCRIPT);
    assert_int_equal(cdc_diff_attach(rep, db.path, &diff, &at, &db.err), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_CONFIG);
    assert_int_equal(access(db.path, F_OK), -1);
    cdc_replica_close(rep);
    db_done(&db);
}

/* A name full of what a URI would take for something else. */
static void test_odd_name(void **state)
{
    (void)state;
    struct db db;
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    db_init(&db);
    char path[128];
    snprintf(path, sizeof path, "%s/a%%41?b#c &d.db", db.dir);
    strcpy(db.path, path);
    db_must(&db, SCRIPT);
    struct cdc_replica *rep = build(SCRIPT);
    assert_int_equal(cdc_diff_attach(rep, db.path, &diff, &at, &db.err), CDC_OK);
    assert_int_equal(cdc_diff_begin(diff, &at, &db.err), CDC_OK);
    assert_int_equal(diff_all(&db, diff), 8);
    cdc_diff_free(diff);
    cdc_replica_close(rep);
    db_done(&db);
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(test_moves_on),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_odd_name),
    };
    struct CMUnitTest tests[64], *end = tests;
    end = CM_ROWS(end, test_row, rows);
    end = CM_ROWS(end, test_refusal, refusals);
    memcpy(end, single, sizeof single);
    end += CM_COUNT(single);
    return _cmocka_run_group_tests("replica_diff", tests, (size_t)(end - tests), NULL, NULL);
}
