/*
 * test_postgres_snap.c - looks at the data beside the stream, against a real server: what they
 * contain while many write, and what becomes of a range when somebody alters its table.
 */
#include <pthread.h>
#include <unistd.h>

#include "pg_snap_live.h"

/* ---- writers ---- */

#define WRITERS 4

struct writers {
    const char *url;
    void (*turn)(PGconn *conn, unsigned *seed);
    atomic_bool stop;
    atomic_int seeds;
    pthread_t threads[WRITERS];
};

static void quiet(void *arg, const char *text)
{
    (void)arg, (void)text;
}

static void exec(PGconn *conn, const char *sql)
{
    PQclear(PQexec(conn, sql)); /* a clash with another writer is fine */
}

static void *write_on(void *arg)
{
    struct writers *wr = arg;
    unsigned seed = (unsigned)atomic_fetch_add(&wr->seeds, 1) + 1;
    PGconn *conn = PQconnectdb(wr->url);
    PQsetNoticeProcessor(conn, quiet, NULL);
    while (!atomic_load(&wr->stop)) {
        wr->turn(conn, &seed);
        usleep(500);
    }
    PQfinish(conn);
    return NULL;
}

static void writers_start(struct writers *wr, const char *url,
                          void (*turn)(PGconn *conn, unsigned *seed))
{
    *wr = (struct writers){.url = url, .turn = turn};
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&wr->threads[i], NULL, write_on, wr), 0);
}

static void writers_end(struct writers *wr)
{
    atomic_store(&wr->stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(wr->threads[i], NULL);
}

/* ---- START: every row once, in the copy or in the stream ---- */

static void churn(PGconn *conn, unsigned *seed)
{
    char sql[512];
    int id = rand_r(seed) % 4000;
    switch (rand_r(seed) % 5) {
    case 0: snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, 1, repeat('n', 300))", id); break;
    case 1:
        snprintf(sql, sizeof sql, "UPDATE t SET a = a + 1, pad = pad || 'x' WHERE id = %d", id);
        break;
    case 2: snprintf(sql, sizeof sql, "DELETE FROM t WHERE id = %d", id); break;
    case 3:
        snprintf(sql, sizeof sql,
                 "BEGIN; UPDATE t SET a = -1 WHERE id = %d; DELETE FROM t WHERE id = %d; ROLLBACK",
                 id, id + 1);
        break;
    default:
        snprintf(sql, sizeof sql, "UPDATE t SET id = %d WHERE id = %d", 4000 + id % 500, id);
        break;
    }
    exec(conn, sql);
    if (PQtransactionStatus(conn) == PQTRANS_INERROR)
        exec(conn, "ROLLBACK");
}

#define IDS 8000

struct world {
    int a[IDS]; /* -9: no such row */
};

static void world_set(struct world *world, const struct cdc_change *chg,
                      const struct cdc_value *row, bool there, const char *what)
{
    int64_t id = row[0].i;
    assert_true(id >= 0 && id < IDS);
    if (there == (world->a[id] != -9))
        fail_msg("%s: row %d is %s", what, (int)id, there ? "there already" : "not there");
    world->a[id] = there ? (int)chg->after[1].i : -9;
}

/* Applies what the stream gives; false: the marker has come. */
static bool world_turn(struct live *lv, struct world *world, const char *marker)
{
    struct cdc_batch *batch = cdc_pool_batch(lv->pool);
    int rc = lv->src->ops->poll(lv->src, batch, cdc_mono_us() + 20000, &lv->err);
    bool seen = false;
    if (rc < 0)
        fail_msg("poll: %s", lv->err.message);
    for (size_t i = 0; rc == CDC_OK && i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        if (strcmp(chg->table->name, "done") == 0) {
            seen |= marker && chg->after[0].i == strtoll(marker, NULL, 10);
            continue;
        }
        bool moved = chg->flags & CDC_KEY_MOVED;
        if (chg->op == 'd' || moved)
            world_set(world, chg, chg->before, false, "stream, gone");
        if (chg->op == 'u' && !moved)
            world_set(world, chg, chg->after, false, "stream, old");
        if (chg->op != 'd')
            world_set(world, chg, chg->after, true, "stream, new");
    }
    if (rc == CDC_OK) {
        assert_int_equal(cdc_map_merge(&lv->pending, &batch->delta), CDC_OK);
        if (batch->cut != CDC_CUT_NO)
            commit(lv);
    }
    cdc_batch_unref(batch);
    return !seen;
}

static void take_rows(struct copy *copy, struct world *world)
{
    const char *p = (const char *)copy->out.p;
    for (size_t i = 0; i < copy->rows; i++) {
        int id = -1, a = -1;
        assert_int_equal(sscanf(p, " (%d, %d", &id, &a), 2);
        if (world->a[id] != -9)
            fail_msg("row %d was copied twice", id);
        world->a[id] = a;
        p = strchr(p, '\n') + 1;
    }
}

static void compare_world(struct live *lv, const struct world *world)
{
    PGresult *res = run(lv->url, "SELECT id, a FROM t ORDER BY id");
    int n = PQntuples(res), have = 0;
    for (int i = 0; i < IDS; i++)
        have += world->a[i] != -9;
    assert_int_equal(have, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(world->a[atoi(PQgetvalue(res, i, 0))], atoi(PQgetvalue(res, i, 1)));
    PQclear(res);
}

static void check_start(const char *extra)
{
    struct live lv;
    struct writers wr;
    struct copy copies[2];
    struct world *world = malloc(sizeof *world);
    for (int i = 0; i < IDS; i++)
        world->a[i] = -9;
    up(&lv,
       "CREATE TABLE t (id int PRIMARY KEY, a int, pad text); INSERT INTO t SELECT i, 0,"
       " repeat('o', 300) FROM generate_series(0, 3999) i",
       extra);
    writers_start(&wr, lv.url, churn);
    start_to(&lv);
    struct cdc_tx last;
    assert_int_equal(lv.src->ops->last(lv.src, &last, &lv.err), CDC_OK);
    assert_int_equal(last.id.len, 0);
    usleep(300000);
    for (int i = 0; i < 2; i++) {
        copy_open(&copies[i], &lv);
        copy_take(&copies[i], CDC_LOOK_START);
        assert_memory_equal(copies[i].at.tx.place, (char[CDC_PLACE_LEN]){0}, CDC_PLACE_LEN);
        copies[i].at.tx = last;
        assert_true(copies[i].snap->ops->sees(copies[i].snap, &last));
        assert_string_equal(copies[i].snap->place, copies[0].snap->place);
    }
    copy_table(&copies[0], "t");
    expect_rc(&copies[0], copy_all(&copies[0], 1), CDC_END);
    assert_in_range(copies[0].ranges, 3, 100);
    /* The other gives the same rows, although much was written in between. */
    copy_table(&copies[1], "t");
    expect_rc(&copies[1], copy_all(&copies[1], 1 << 30), CDC_END);
    char *one = sorted(&copies[0].out), *other = sorted(&copies[1].out);
    assert_string_equal(one, other);
    free(one);
    free(other);
    take_rows(&copies[0], world);
    writers_end(&wr);
    char *marker = live_ask(&lv, "INSERT INTO public.done DEFAULT VALUES RETURNING id");
    while (world_turn(&lv, world, marker))
        ;
    compare_world(&lv, world);
    assert_int_equal(lv.src->ops->last(lv.src, &last, &lv.err), CDC_OK);
    assert_true(last.id.len > 0);
    assert_false(copies[0].snap->ops->sees(copies[0].snap, &last));
    copy_close(&copies[0]);
    copy_close(&copies[1]);
    lv.src->ops->copied(lv.src);
    copy_open(&copies[0], &lv);
    int rc = CDC_OK;
    for (int i = 0; i < 100 && rc == CDC_OK; i++) { /* the server ends the holder a little later */
        usleep(i > 0 ? 50000 : 0);
        rc = copies[0].snap->ops->take(copies[0].snap, CDC_LOOK_START, cdc_mono_us() + 5000000,
                                       &copies[0].err);
    }
    assert_int_equal(rc, CDC_END);
    copy_close(&copies[0]);
    free(marker);
    free(world);
    live_down(&lv);
}

static void start_by_block(void **state)
{
    (void)state;
    check_start("copy_split: ctid");
}

static void start_by_key(void **state)
{
    (void)state;
    check_start("copy_split: key");
}

static void start_is_gone_after_restart(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    up(&lv, "CREATE TABLE t (id int PRIMARY KEY)", "");
    start_to(&lv);
    live_close(&lv);
    assert_int_equal(live_open(&lv), CDC_OK);
    copy_open(&copy, &lv);
    assert_int_equal(copy.snap->ops->take(copy.snap, CDC_LOOK_START, 0, &copy.err), CDC_END);
    copy_close(&copy);
    live_down(&lv);
}

static void start_is_lost_with_its_holder(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    up(&lv, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "");
    start_to(&lv);
    copy_open(&copy, &lv);
    copy_take(&copy, CDC_LOOK_START);
    copy_table(&copy, "t");
    expect_rc(&copy, copy_range(&copy, &all), CDC_END);
    live_sql(&lv,
             "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query ~ "
             "'pg_export_snapshot' AND datname = current_database() AND pid <> pg_backend_pid()");
    expect_rc(&copy, copy_range(&copy, &all), CDC_AGAIN);
    assert_int_equal(copy.snap->ops->take(copy.snap, CDC_LOOK_START, 0, &copy.err), CDC_END);
    copy_take(&copy, CDC_LOOK_PLACED); /* the instance is as good as before */
    expect_rc(&copy, copy_range(&copy, &all), CDC_END);
    copy_close(&copy);
    live_down(&lv);
}

/* ---- NOW: sees ---- */

static void add_some(PGconn *conn, unsigned *seed)
{
    static const char *const sqls[] = {
        "INSERT INTO w (a) VALUES (1)",
        "INSERT INTO w (a) SELECT 2 FROM generate_series(1, 20)",
        "BEGIN; INSERT INTO w (a) VALUES (3); SAVEPOINT s; INSERT INTO w (a) VALUES (4); ROLLBACK "
        "TO "
        "s; SAVEPOINT s2; INSERT INTO w (a) VALUES (5); COMMIT",
        "BEGIN; INSERT INTO w (a) VALUES (6); ROLLBACK",
        "BEGIN; INSERT INTO w (a) VALUES (7); SELECT pg_sleep(0.005); COMMIT",
    };
    exec(conn, sqls[(unsigned)rand_r(seed) % 5]);
}

struct streamed {
    int64_t id;
    uint32_t xid;
    char place[CDC_PLACE_LEN];
};

struct stream {
    struct streamed *rows;
    size_t n, cap;
};

static void stream_to(struct live *lv, struct stream *all)
{
    char *marker = live_ask(lv, "INSERT INTO public.done DEFAULT VALUES RETURNING id");
    for (bool seen = false; !seen;) {
        struct cdc_batch *batch = cdc_pool_batch(lv->pool);
        int rc = lv->src->ops->poll(lv->src, batch, cdc_mono_us() + 100000, &lv->err);
        if (rc < 0)
            fail_msg("poll: %s", lv->err.message);
        for (size_t i = 0; rc == CDC_OK && i < batch->n; i++) {
            const struct cdc_change *chg = &batch->changes[i];
            if (strcmp(chg->table->name, "done") == 0) {
                seen |= chg->after[0].i == strtoll(marker, NULL, 10);
                continue;
            }
            if (all->n == all->cap) {
                all->cap = all->cap ? all->cap * 2 : 1024;
                all->rows = realloc(all->rows, all->cap * sizeof *all->rows);
            }
            struct streamed *row = &all->rows[all->n++];
            *row = (struct streamed){.id = chg->after[0].i};
            row->xid = (uint32_t)strtoul((const char *)chg->tx->id.p, NULL, 10);
            memcpy(row->place, chg->tx->place, CDC_PLACE_LEN);
        }
        if (rc == CDC_OK && batch->cut != CDC_CUT_NO) {
            assert_int_equal(cdc_map_merge(&lv->pending, &batch->delta), CDC_OK);
            commit(lv);
        }
        cdc_batch_unref(batch);
    }
    free(marker);
}

/* Rows of the look against the transactions of the stream. */
static size_t check_look(struct copy *copy, const struct stream *all)
{
    bool *have = calloc(10000000, 1);
    const char *p = (const char *)copy->out.p;
    size_t outside = 0;
    for (size_t i = 0; i < copy->rows; i++) {
        have[strtoll(p + 2, NULL, 10)] = true;
        p = strchr(p, '\n') + 1;
    }
    for (size_t i = 0; i < all->n; i++) {
        char id[16];
        const struct streamed *row = &all->rows[i];
        struct cdc_tx tx = {.commit_us = 0};
        snprintf(id, sizeof id, "%u", row->xid);
        tx.id = cdc_slice_str(id);
        memcpy(tx.place, row->place, CDC_PLACE_LEN);
        bool sees = copy->snap->ops->sees(copy->snap, &tx);
        if (sees != have[row->id])
            fail_msg("transaction %s: the look %s its row, and says otherwise", id,
                     have[row->id] ? "has" : "lacks");
        if (sees)
            assert_true(memcmp(tx.place, copy->snap->end, CDC_PLACE_LEN) < 0);
        outside += !sees;
    }
    free(have);
    return outside;
}

static void check_sees(enum cdc_look look, int times)
{
    struct live lv;
    struct writers wr;
    struct stream all = {.n = 0};
    size_t outside = 0, inside = 0;
    up(&lv, "CREATE TABLE w (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int)", "");
    start_to(&lv);
    writers_start(&wr, lv.url, add_some);
    for (int i = 0; i < times; i++) {
        struct copy copy;
        struct cdc_range range = {.from = {.p = NULL}};
        copy_open(&copy, &lv);
        copy_take(&copy, look);
        copy_table(&copy, "w");
        expect_rc(&copy, copy_range(&copy, &range), CDC_END);
        stream_to(&lv, &all);
        size_t not_seen = check_look(&copy, &all);
        outside += not_seen;
        inside += all.n - not_seen;
        copy_close(&copy);
    }
    writers_end(&wr);
    assert_true(outside > 0 && inside > 0);
    free(all.rows);
    live_down(&lv);
}

static void now_sees(void **state)
{
    (void)state;
    check_sees(CDC_LOOK_NOW, 40);
}

static void exact_sees(void **state)
{
    (void)state;
    check_sees(CDC_LOOK_PLACED, 10);
}

static void exact_waits_and_tells_for_whom(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    up(&lv, "CREATE TABLE t (id int PRIMARY KEY)", "");
    start_to(&lv);
    PGconn *conn = PQconnectdb(lv.url);
    exec(conn, "BEGIN; INSERT INTO t VALUES (1)");
    copy_open(&copy, &lv);
    int rc = copy.snap->ops->take(copy.snap, CDC_LOOK_PLACED, cdc_mono_us() + 500000, &copy.err);
    assert_int_equal(rc, CDC_AGAIN);
    assert_non_null(strstr(copy.err.message, "idle in transaction"));
    copy_take(&copy, CDC_LOOK_NOW);
    PQfinish(conn);
    copy_take(&copy, CDC_LOOK_PLACED);
    copy_close(&copy);
    live_down(&lv);
}

/* ---- what happens between look and read ---- */

static const struct between {
    const char *name, *sql;
    int want;
} betweens[] = {
    {"nothing", "SELECT 1", CDC_END},
    {"rows", "UPDATE t SET a = 'z'; DELETE FROM t WHERE id = 2", CDC_END},
    {"analyze", "ANALYZE t", CDC_END},
    {"an index", "CREATE INDEX ON t (a)", CDC_END},
    {"truncate", "TRUNCATE t", CDC_AGAIN},
    {"vacuum full", "VACUUM FULL t", CDC_AGAIN},
    {"a rewrite", "ALTER TABLE t ALTER id TYPE bigint", CDC_AGAIN},
    {"a type without rewrite", "ALTER TABLE t ALTER a TYPE varchar", CDC_AGAIN},
    {"a column", "ALTER TABLE t ADD b int DEFAULT 7", CDC_AGAIN},
    {"a column gone", "ALTER TABLE t DROP a", CDC_AGAIN},
    {"a column renamed", "ALTER TABLE t RENAME a TO b", CDC_AGAIN},
    {"dropped", "DROP TABLE t", CDC_AGAIN},
    {"renamed", "ALTER TABLE t RENAME TO t2", CDC_AGAIN},
    {"dropped and made again", "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a text)",
     CDC_AGAIN},
    {"unpublished",
     "DO $$ DECLARE p name; BEGIN SELECT pubname INTO p FROM pg_publication; EXECUTE "
     "format('ALTER PUBLICATION %I DROP TABLE t', p); END $$",
     CDC_AGAIN},
};

static void between(void **state)
{
    const struct between *row = *state;
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        struct cdc_range all = {.from = {.p = NULL}};
        up(&lv,
           "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'y');"
           "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1)",
           "");
        start_to(&lv);
        copy_open(&copy, &lv);
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        live_sql(&lv, row->sql);
        expect_rc(&copy, copy_range(&copy, &all), row->want);
        assert_int_equal(copy.rows, row->want == CDC_END ? 2 : 0);
        if (row->want == CDC_AGAIN)
            assert_string_not_equal(copy.err.message, "");
        copy_table(&copy, "o"); /* the look is still good for others */
        copy.rows = 0;
        expect_rc(&copy, copy_range(&copy, &all), CDC_END);
        assert_int_equal(copy.rows, 1);
        char *locks = live_ask(&lv, "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = "
                                    "l.relation WHERE c.relname IN ('t', 'o')");
        assert_string_equal(locks, "0");
        free(locks);
        copy_close(&copy);
        live_down(&lv);
    }
}

/* A table that joins the publication behind the look is not to be read in it. */
static void joined_behind(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    up(&lv, "CREATE TABLE o (id int PRIMARY KEY)", "");
    start_to(&lv);
    copy_open(&copy, &lv);
    live_sql(&lv, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_int_equal(copy.snap->ops->table(copy.snap, "public", "t", &copy.tab, &copy.err),
                     CDC_END);
    copy_take(&copy, CDC_LOOK_NOW);
    live_sql(&lv, "DO $$ DECLARE p name; BEGIN SELECT pubname INTO p FROM pg_publication; EXECUTE "
                  "format('ALTER PUBLICATION %I ADD TABLE t', p); END $$");
    copy_table(&copy, "t");
    expect_rc(&copy, copy_range(&copy, &all), CDC_AGAIN);
    copy_take(&copy, CDC_LOOK_NOW);
    expect_rc(&copy, copy_range(&copy, &all), CDC_END);
    assert_int_equal(copy.rows, 1);
    copy_close(&copy);
    live_down(&lv);
}

/* ---- who waits to alter the table gets it ---- */

static void *alter(void *arg)
{
    struct live *lv = arg;
    int64_t *took = malloc(sizeof *took);
    int64_t start = cdc_mono_us();
    live_sql(lv, "ALTER TABLE t ADD b int");
    *took = cdc_mono_us() - start;
    return took;
}

static int slowly(struct copy *copy)
{
    (void)copy;
    usleep(300000);
    return CDC_OK;
}

static void alter_gets_through(void **state)
{
    (void)state;
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        struct live lv;
        struct copy copy;
        pthread_t thread;
        void *took;
        struct cdc_range all = {.from = {.p = NULL}};
        up(&lv,
           "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, repeat('x', "
           "1000) FROM generate_series(1, 30000) i",
           "");
        start_to(&lv);
        copy_open(&copy, &lv);
        copy.between = slowly;
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        pthread_create(&thread, NULL, alter, &lv);
        usleep(20000);
        int rc = copy_range(&copy, &all);
        pthread_join(thread, &took);
        expect_rc(&copy, rc, CDC_AGAIN);
        assert_true(*(int64_t *)took < 2500000);
        free(took);
        copy_close(&copy);
        live_down(&lv);
    }
}

static int stop_now(struct copy *copy)
{
    (void)copy;
    return CDC_END;
}

/* A range that is left in the middle does no harm to the next. */
static void left_in_the_middle(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    struct cdc_range all = {.from = {.p = NULL}};
    up(&lv,
       "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, repeat('x', 1000) "
       "FROM generate_series(1, 20000) i",
       "");
    start_to(&lv);
    copy_open(&copy, &lv);
    for (int look = CDC_LOOK_START; look <= CDC_LOOK_NOW; look++) {
        copy_take(&copy, (enum cdc_look)look);
        copy_table(&copy, "t");
        copy.between = stop_now;
        expect_rc(&copy, copy_range(&copy, &all), CDC_OK);
        copy.between = NULL;
        copy.rows = 0;
        expect_rc(&copy, copy_range(&copy, &all), CDC_END);
        assert_int_equal(copy.rows, 20000);
        copy.between = stop_now;
        expect_rc(&copy, copy_range(&copy, &all), CDC_OK);
    }
    copy_close(&copy);
    live_down(&lv);
}

/* A stop ends every wait, long before it would end by itself: for a slot, for a table's lock. */
static void *stop_soon(void *arg)
{
    usleep(300000);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

static void stops(void **state)
{
    (void)state;
    struct live lv;
    struct copy copy;
    pthread_t thread;
    static atomic_bool stop;
    up(&lv, "CREATE TABLE t (id int PRIMARY KEY)", "");
    start_to(&lv);
    PGconn *conn = PQconnectdb(lv.url);
    exec(conn, "BEGIN; INSERT INTO t VALUES (1)");
    copy_open(&copy, &lv);
    copy.snap->stop = &stop;
    pthread_create(&thread, NULL, stop_soon, &stop);
    int64_t start = cdc_mono_us();
    int rc = copy.snap->ops->take(copy.snap, CDC_LOOK_PLACED, cdc_mono_us() + 60000000, &copy.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_true(cdc_mono_us() - start < 2000000);
    pthread_join(thread, NULL);
    copy_close(&copy);
    PQfinish(conn);
    live_down(&lv);
}

static void stops_at_a_lock(void **state)
{
    (void)state;
    static atomic_bool stop;
    const struct cdc_range all = {.from = {.p = NULL}};
    struct live lv;
    up(&lv, "CREATE TABLE t (id int PRIMARY KEY)", "");
    start_to(&lv);
    PGconn *conn = PQconnectdb(lv.url);
    for (int plan = 0; plan < 2; plan++) {
        struct copy copy;
        struct cdc_buf bound = CDC_BUF(4096);
        pthread_t thread;
        copy_open(&copy, &lv);
        copy_take(&copy, CDC_LOOK_NOW);
        copy_table(&copy, "t");
        exec(conn, "BEGIN; LOCK TABLE t");
        atomic_store(&stop, false);
        copy.snap->stop = &stop;
        pthread_create(&thread, NULL, stop_soon, &stop);
        int64_t start = cdc_mono_us();
        int rc = plan ? copy.snap->ops->plan(copy.snap, &copy.tab, &all, 1, &bound, &copy.err)
                      : copy.snap->ops->begin(copy.snap, &copy.tab, &all, &copy.at, &copy.err);
        assert_int_equal(rc, CDC_FAIL);
        assert_non_null(strstr(copy.err.message, "stopped"));
        int64_t took_us = cdc_mono_us() - start;
        copy_close(&copy);
        if (cdc_mono_us() - start >= 1500000) /* a lock is waited for 2 s */
            fail_msg("%s: %lld us, then %lld us to close", plan ? "plan" : "begin",
                     (long long)took_us, (long long)(cdc_mono_us() - start - took_us));
        pthread_join(thread, NULL);
        cdc_buf_done(&bound);
        exec(conn, "ROLLBACK");
    }
    PQfinish(conn);
    live_down(&lv);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[CM_COUNT(betweens) + 20];
    struct CMUnitTest *to = tests;
    *to++ = (struct CMUnitTest)cmocka_unit_test(start_by_block);
    *to++ = (struct CMUnitTest)cmocka_unit_test(start_by_key);
    *to++ = (struct CMUnitTest)cmocka_unit_test(start_is_gone_after_restart);
    *to++ = (struct CMUnitTest)cmocka_unit_test(start_is_lost_with_its_holder);
    *to++ = (struct CMUnitTest)cmocka_unit_test(now_sees);
    *to++ = (struct CMUnitTest)cmocka_unit_test(exact_sees);
    *to++ = (struct CMUnitTest)cmocka_unit_test(exact_waits_and_tells_for_whom);
    *to++ = (struct CMUnitTest)cmocka_unit_test(joined_behind);
    *to++ = (struct CMUnitTest)cmocka_unit_test(alter_gets_through);
    *to++ = (struct CMUnitTest)cmocka_unit_test(left_in_the_middle);
    *to++ = (struct CMUnitTest)cmocka_unit_test(stops);
    *to++ = (struct CMUnitTest)cmocka_unit_test(stops_at_a_lock);
    to = CM_ROWS(to, between, betweens);
    return snap_main(argc, argv, "postgres_snap", tests, (size_t)(to - tests));
}
