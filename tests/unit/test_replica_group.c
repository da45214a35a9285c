/*
 * test_replica_group.c - when the replica's rows become durable: commits that share a SQLite
 * transaction, and a run that is stopped. By a feed that looks at the database whenever it is asked
 * for a commit, comes late, or stops the run.
 */
#include <signal.h>
#include <time.h>

#include "replica_db.h"
#include "rows.h"

#define SOFT "@public.t 1 soft *id:i a:s; "

static struct {
    struct db *db;
    volatile sig_atomic_t stop;
    unsigned rows, stop_at;   /* rows given; after how many the run is told to stop */
    unsigned commits, nap_at; /* commits asked for; which of them comes late */
    char durable[64];         /* the commits that were durable when each was asked for */
} spy;

static int spy_commit(struct cdc_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    if (++spy.commits == spy.nap_at)
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 10000000}, NULL);
    strcat(spy.durable, db_query(spy.db, "SELECT \"commit\" FROM _sidestream_position"));
    return fake_feed_ops.commit(feed, ret, err);
}

static int spy_row(struct cdc_feed *feed, const char *table, struct cdc_feed_row *ret,
                   struct cdc_error *err)
{
    spy.stop = spy.stop_at > 0 && spy.rows >= spy.stop_at;
    int rc = fake_feed_ops.row(feed, table, ret, err);
    spy.rows += rc == CDC_OK;
    return rc;
}

static void run_spied(struct db *db, const char *script, uint64_t max_rows)
{
    struct cdc_feed_ops ops = fake_feed_ops;
    struct cdc_config cfg = {.path = script, .name = "shop"};
    const struct cdc_replica_options opt = {
        .path = db->path, .until_caught_up = true, .max_rows = max_rows, .stop = &spy.stop};
    ops.commit = spy_commit;
    ops.row = spy_row;
    spy.db = db;
    if (cdc_replica_run(&ops, &cfg, &opt, &db->result, &db->err) != CDC_OK)
        fail_msg("%s: %s", db->err.where, db->err.message);
}

/* Commits share a SQLite transaction until it has max_rows, a second went by, or there are no more.
 */
static const struct group {
    const char *name;
    uint64_t max_rows;
    unsigned nap_at;
    const char *expect; /* spy.durable */
} groups[] = {
    {"all in one group", 50, 0, "00000"},
    {"each alone", 1, 0, "01234"},
    {"two and two", 2, 0, "00224"},
    {"a second went by", 50, 3, "00033"},
};

static void test_group(void **state)
{
    const struct group *row = *state;
    struct db db;
    db_init(&db);
    memset(&spy, 0, sizeof spy);
    spy.nap_at = row->nap_at;
    run_spied(&db, SOFT "c 1.1 1 x | c 2.1 2 y | c 3.1 3 z | c 4.1 4 w", row->max_rows);
    assert_string_equal(spy.durable, row->expect);
    assert_int_equal(db.result.number, 4);
    assert_int_equal(db.result.commits, 4);
    assert_int_equal(db.result.rows, 4);
    db_done(&db);
}

/* A stop ends the commit under way, if it is small; a large one is left. Both go on later. */
static const struct stop_row {
    const char *name;
    uint64_t max_rows;
    unsigned stop_at;
    uint64_t number, rows;
    const char *expect;
} stop_rows[] = {
    {"at the end of the first", 2, 1, 1, 2, "1,x | 2,y"},
    {"in a small one", 50, 4, 2, 6, "1,x | 2,y | 3,z | 4,z | 5,z | 6,z"},
    {"in a large one", 2, 5, 1, 2, "1,x | 2,y"},
    {"in a large one that others share", 3, 5, 0, 0, "(no table)"},
};

static void test_stop(void **state)
{
    static const char script[] =
        SOFT "c 1.1 1 x; c 1.2 2 y | c 2.1 3 z; c 2.2 4 z; c 2.3 5 z; c 2.4 6 z | c 3.1 7 w";
    const struct stop_row *row = *state;
    struct db db;
    db_init(&db);
    memset(&spy, 0, sizeof spy);
    spy.stop_at = row->stop_at;
    run_spied(&db, script, row->max_rows);
    assert_int_equal(db.result.number, row->number);
    assert_int_equal(db.result.rows, row->rows);
    assert_string_equal(db_dump(&db, "public.t"), row->expect);
    db_must(&db, script);
    assert_int_equal(db.result.number, 3);
    assert_string_equal(db_query(&db, "SELECT group_concat(id) FROM \"public.t\""),
                        "1,2,3,4,5,6,7");
    db_done(&db);
}

int main(void)
{
    struct CMUnitTest tests[16], *end = tests;
    end = CM_ROWS(end, test_group, groups);
    end = CM_ROWS(end, test_stop, stop_rows);
    return _cmocka_run_group_tests("replica_group", tests, (size_t)(end - tests), NULL, NULL);
}
