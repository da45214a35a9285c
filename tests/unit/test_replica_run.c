/*
 * test_replica_run.c - the database as a whole: whose it is, where it stands, what it refuses, and
 * how values look in SQLite.
 */
#include "replica_db.h"
#include "rows.h"

#define SOFT "@public.t 1 soft *id:i a:s; "

/* First `before` (may be NULL) runs well, then `script` is refused. */
struct refusal {
    const char *name, *before, *script;
    enum cdc_action action;
    const char *says;
};

static const struct refusal refusals[] = {
    {"null in a key", NULL, SOFT "c 1.1 - x", CDC_OPERATOR, "`deletes: append`"},
    {"half a key", NULL, "@public.t 1 soft *id:i *b:i; c 1.1 1 -", CDC_OPERATOR, "key column b"},
    {"a key nobody has values for", SOFT "c 1.1 1 x",
     SOFT "c 1.1 1 x | @public.t 2 soft id:i a:s *n:i; c 2.1 2 y 5", CDC_RESNAPSHOT, "another key"},
    {"old version, other key", "@public.t 2 soft *n:i; c 1.1 1",
     "@public.t 2 soft *n:i; c 1.1 1 | " SOFT "c 2.1 2 y", CDC_FATAL, "older table version"},
    {"the feed ended earlier", SOFT "c 1.1 1 x | c 2.1 2 y | c 3.1 3 z", SOFT "c 1.1 1 x",
     CDC_OPERATOR, "no such commit"},
    {"the feed lacks the last commit", SOFT "c 1.1 1 x | c 2.1 2 y", SOFT "c 1.1 1 x", CDC_OPERATOR,
     "no such commit"},
    {"the feed has another last commit", SOFT "c 1.1 1 x | c 2.1 2 y",
     SOFT "c 1.1 1 x | c 2.1 2 z | c 3.1 3 w", CDC_OPERATOR, "another feed"},
    {"the feed has another commit before it", SOFT "c 1.1 1 x | c 2.1 2 y",
     SOFT "c 1.1 1 z | c 2.1 2 y | c 3.1 3 w", CDC_OPERATOR, "another feed"},
    {"a row without a valid __op", NULL, SOFT "cc 1.1 1 x", CDC_FATAL, "__op"},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct db db;
    db_init(&db);
    if (row->before)
        db_must(&db, row->before);
    char before[sizeof db.dump] = "";
    if (row->before)
        strcpy(before, db_dump(&db, "public.t"));
    assert_int_equal(db_run(&db, row->script), CDC_FAIL);
    assert_int_equal(db.err.action, row->action);
    if (!strstr(db.err.message, row->says))
        fail_msg("%s", db.err.message);
    if (row->before)
        assert_string_equal(db_dump(&db, "public.t"), before);
    db_done(&db);
}

/* How a value of each type lies in SQLite: typeof and text. */
struct value_row {
    const char *name, *type, *text, *expect;
};

static const struct value_row value_rows[] = {
    {"int", "i", "42", "integer,42"},
    {"int64 max", "i", "9223372036854775807", "integer,9223372036854775807"},
    {"int64 min", "i", "-9223372036854775808", "integer,-9223372036854775808"},
    {"text", "s", "abc", "text,abc"},
    {"text that looks like a number", "s", "007", "text,007"},
    {"text of blanks' length", "s", "''", "text,"},
    {"float", "f", "0.1", "real,0.1"},
    {"float whole", "f", "3", "real,3.0"},
    {"float infinity", "f", "inf", "real,Inf"},
    {"float NaN", "f", "nan", "text,NaN"},
    {"bytes", "b", "ab", "blob,ab"},
    {"bytes, none", "b", "''", "blob,"},
    {"bool", "o", "1", "integer,1"},
    {"timestamp", "z", "1", "text,2024-01-01T00:00:01.000000Z"},
    {"null", "s", "-", "null,-"},
};

static void test_value(void **state)
{
    const struct value_row *row = *state;
    struct db db;
    char script[256];
    db_init(&db);
    snprintf(script, sizeof script, "@public.t 1 soft *id:i v:%s; c 1.1 1 %s", row->type,
             row->text);
    db_must(&db, script);
    assert_string_equal(db_query(&db, "SELECT typeof(v), v FROM \"public.t\""), row->expect);
    if (strcmp(row->type, "f") != 0 && strcmp(row->text, "-") != 0) { /* and as a key */
        db_clear(&db);
        snprintf(script, sizeof script, "@public.t 1 soft *v:%s a:i; c 1.1 %s 1 | u 2.1 %s 2",
                 row->type, row->text, row->text);
        db_must(&db, script);
        assert_string_equal(db_query(&db, "SELECT typeof(v), v FROM \"public.t\""), row->expect);
    }
    db_done(&db);
}

static void test_position(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_must(&db, SOFT "c 1.1 1 x | | c 2.1 2 y");
    assert_int_equal(db.result.commits, 3);
    assert_int_equal(db.result.rows, 2);
    assert_string_equal(
        db_query(&db, "SELECT feed, \"commit\", position, at FROM _sidestream_position"),
        "shop,3,tx:3,2024-01-01T00:00:00.003000Z");
    assert_int_equal(strncmp(db_query(&db, "SELECT token FROM _sidestream_position"), "3 ", 2), 0);
    db_must(&db, SOFT "c 1.1 1 x | | c 2.1 2 y");
    assert_int_equal(db.result.commits, 0);
    db_must(&db, SOFT "c 1.1 1 x | | c 2.1 2 y | ");
    assert_int_equal(db.result.number, 4);
    db_done(&db);
}

static void test_other_feed(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_must(&db, SOFT "c 1.1 1 x");
    assert_int_equal(db_run_as(&db, "other", SOFT "c 1.1 1 x"), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_OPERATOR);
    assert_non_null(strstr(db.err.message, "\"shop\", not to \"other\""));
    db_done(&db);
}

static void test_foreign_database(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_query(&db, "CREATE TABLE mine(a)");
    assert_int_equal(db_run(&db, SOFT "c 1.1 1 x"), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_OPERATOR);
    assert_non_null(strstr(db.err.message, "not made by sidestream"));
    db_clear(&db);
    FILE *file = fopen(db.path, "w");
    for (int i = 0; i < 4096; i++)
        fputs("no database", file);
    fclose(file);
    assert_int_equal(db_run(&db, SOFT "c 1.1 1 x"), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_OPERATOR);
    db_done(&db);
}

/* The database is not what this program left behind. */
static const struct spoilt {
    const char *name, *sql, *says;
} spoilt[] = {
    {"made by a program before tokens", "PRAGMA user_version=1", "has format 1"},
    {"made by a later program", "PRAGMA user_version=99", "has format 99"},
    {"the token taken away", "UPDATE _sidestream_position SET token = NULL", "lost its position"},
    {"the position taken away", "DELETE FROM _sidestream_position", "lost its position"},
    {"another token", "UPDATE _sidestream_position SET token = '1 0'", "another feed"},
};

static void test_spoilt(void **state)
{
    const struct spoilt *row = *state;
    struct db db;
    db_init(&db);
    db_must(&db, SOFT "c 1.1 1 x");
    db_query(&db, row->sql);
    assert_int_equal(db_run(&db, SOFT "c 1.1 1 x | c 2.1 2 y"), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_OPERATOR);
    if (!strstr(db.err.message, row->says))
        fail_msg("%s", db.err.message);
    assert_string_equal(db_dump(&db, "public.t"), "1,x");
    db_done(&db);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    strcat(db.path, "/no/such");
    assert_int_equal(db_run(&db, SOFT "c 1.1 1 x"), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_FATAL);
    assert_non_null(strstr(db.err.message, "writable"));
    *strrchr(db.path, '/') = '\0';
    *strrchr(db.path, '/') = '\0';
    db_done(&db);
}

static void test_retry(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    fake_feed_failures = 2;
    db_must(&db, SOFT "c 1.1 1 x; !retry; c 1.2 2 y");
    assert_int_equal(fake_feed_failures, -1);
    assert_string_equal(db_dump(&db, "public.t"), "1,x | 2,y");
    fake_feed_failures = 0;
    db_done(&db);
}

/* Pushed rows lie in the database as long as their transaction may go on, and no longer. */
static void test_kept_is_written(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        SOFT "c 1.1 1 x | c 2.1 1 y",
        SOFT "c 1.1 1 x | c 2.1 1 y | ",
        SOFT "c 1.1 1 x | c 2.1 1 y | | c 3.1 2 z",
    };
    static const char *const expect[] = {"11", "11", "0"}; /* columns: id, a, nine of ours */
    struct db db;
    db_init(&db);
    for (size_t i = 0; i < CM_COUNT(scripts); i++) {
        db_must(&db, scripts[i]);
        assert_string_equal(db_query(&db, "SELECT count(*) FROM _sidestream_kept"), expect[i]);
    }
    db_done(&db);
}

static int apply_all(struct cdc_replica *rep, struct cdc_feed *feed, struct cdc_error *err)
{
    struct cdc_feed_row row;
    int status;
    while ((status = fake_feed_ops.row(feed, NULL, &row, err)) == CDC_OK)
        assert_int_equal(cdc_replica_apply(rep, &row, err), CDC_OK);
    return status;
}

/* Nothing of a commit is seen before all of it, and its position with it. */
static void test_atomic(void **state)
{
    (void)state;
    struct db db;
    struct cdc_replica *rep;
    struct cdc_config cfg = {.path = SOFT "c 1.1 1 x | c 2.1 2 y; c 2.2 3 z", .name = "shop"};
    struct cdc_feed *feed;
    struct cdc_feed_commit commit;
    db_init(&db);
    assert_int_equal(cdc_replica_open(db.path, "shop", &rep, &db.err), CDC_OK);
    assert_int_equal(fake_feed_ops.open(&cfg, NULL, &(struct cdc_feed_start){0}, &feed, &db.err),
                     CDC_OK);
    assert_int_equal(fake_feed_ops.commit(feed, &commit, &db.err), CDC_OK);
    assert_int_equal(apply_all(rep, feed, &db.err), CDC_END);
    assert_int_equal(cdc_replica_done(rep, &commit, 1, &db.err), CDC_OK);
    assert_int_equal(cdc_replica_number(rep), 1);
    assert_int_equal(fake_feed_ops.commit(feed, &commit, &db.err), CDC_OK);
    assert_int_equal(apply_all(rep, feed, &db.err), CDC_END);
    assert_string_equal(db_dump(&db, "public.t"), "1,x");
    cdc_replica_close(rep); /* as a crash would: nothing of commit 2 stays */
    assert_string_equal(db_dump(&db, "public.t"), "1,x");
    assert_string_equal(db_query(&db, "SELECT \"commit\" FROM _sidestream_position"), "1");
    fake_feed_ops.close(feed);
    db_must(&db, cfg.path);
    assert_string_equal(db_dump(&db, "public.t"), "1,x | 2,y | 3,z");
    db_done(&db);
}

static void test_two_writers(void **state)
{
    (void)state;
    struct db db;
    struct cdc_replica *rep;
    struct cdc_feed_commit commit = {.number = 9, .token = "9", .to = "", .from = ""};
    db_init(&db);
    assert_int_equal(cdc_replica_open(db.path, "shop", &rep, &db.err), CDC_OK);
    db_must(&db, SOFT "c 1.1 1 x");
    assert_int_equal(cdc_replica_done(rep, &commit, 0, &db.err), CDC_FAIL);
    assert_int_equal(db.err.action, CDC_OPERATOR);
    assert_non_null(strstr(db.err.message, "another process"));
    cdc_replica_close(rep);
    assert_string_equal(db_dump(&db, "public.t"), "1,x");
    db_done(&db);
}

/* A rebuilt table keeps what a user hung on it, and a view of it does not stand in the way. */
static void test_user_objects(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_must(&db, SOFT "c 1.1 1 x; c 1.2 2 y");
    db_query(&db, "CREATE INDEX mine ON \"public.t\"(a)");
    db_query(&db, "CREATE VIEW live AS SELECT id, a FROM \"public.t\" WHERE NOT __deleted");
    db_must(&db, SOFT "c 1.1 1 x; c 1.2 2 y | @public.t 2 soft *id:s a:s; d 2.1 1 ~");
    assert_string_equal(db_query(&db, "SELECT * FROM live"), "2,y");
    assert_string_equal(db_query(&db, "SELECT name FROM sqlite_master WHERE type = 'index'"
                                      " AND tbl_name = 'public.t' AND sql IS NOT NULL"),
                        "mine");
    db_done(&db);
}

static void test_table_names(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_must(&db, "@public.Users 1 soft *id:i; c 1.1 1; @public.users 1 soft *id:i; c 1.2 2;"
                 "@sqlite_x.y 1 soft *id:i; c 1.3 3");
    assert_string_equal(db_query(&db, "SELECT id FROM \"public.Users\""), "1");
    assert_string_equal(db_query(&db, "SELECT id FROM \"public.users_2\""), "2");
    assert_string_equal(db_query(&db, "SELECT id FROM \"_sqlite_x.y\""), "3");
    assert_string_equal(db_query(&db, "SELECT \"table\", name FROM _sidestream ORDER BY 1"),
                        "public.Users,public.Users | public.users,public.users_2 | "
                        "sqlite_x.y,_sqlite_x.y");
    db_done(&db);
}

/* Keys that a range delete covers need no tombstone of their own. */
static void test_gone_is_pruned(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    db_must(&db, "@public.t 1 hard *id:i; d 1.1 1; d 1.2 2 | t 2.1; d 2.2 3");
    assert_string_equal(db_query(&db, "SELECT \"key\" FROM _sidestream_gone"), "{\"id\":3}");
    db_done(&db);
}

/* More rows than are kept for key changes: the columns are unknown then, never wrong. */
static void test_kept_is_bounded(void **state)
{
    (void)state;
    struct db db;
    db_init(&db);
    size_t cap = 4096 * 128, len = 0;
    char *script = malloc(cap);
    assert_non_null(script);
    len += (size_t)snprintf(script, cap, SOFT "c 1.1 1 x; c 1.2 2999 y | d 2.1 1 ~ !key_change");
    for (int i = 2; i <= 2999; i++)
        len += (size_t)snprintf(script + len, cap - len, "; d 2.%d %d ~ !key_change", i, i);
    snprintf(script + len, cap - len, "; c 2.3000 5000 ~ <1; c 2.3001 5001 ~ <2999");
    db_must(&db, script);
    assert_string_equal(
        db_query(&db, "SELECT id, a, __unchanged FROM \"public.t\" WHERE id >= 5000"),
        "5000,-,[\"a\"] | 5001,y,-");
    free(script);
    db_done(&db);
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_other_feed),
        cmocka_unit_test(test_foreign_database),
        cmocka_unit_test(test_no_folder),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_atomic),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_user_objects),
        cmocka_unit_test(test_table_names),
        cmocka_unit_test(test_gone_is_pruned),
        cmocka_unit_test(test_kept_is_bounded),
        cmocka_unit_test(test_kept_is_written),
    };
    struct CMUnitTest tests[64], *end = tests;
    end = CM_ROWS(end, test_refusal, refusals);
    end = CM_ROWS(end, test_value, value_rows);
    end = CM_ROWS(end, test_spoilt, spoilt);
    memcpy(end, single, sizeof single);
    end += CM_COUNT(single);
    return _cmocka_run_group_tests("replica_run", tests, (size_t)(end - tests), NULL, NULL);
}
