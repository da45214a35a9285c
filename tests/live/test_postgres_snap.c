/*
 * test_postgres_snap.c - copying beside the stream, against a real server: looks, ranges, rows.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/rows.h"
#include "base/log.h"
#include "pg_live.h"

#define ALL "  - {tables: 'public.*'}\n"

static void up(struct live *lv, const char *setup, const char *extra)
{
    live_up(lv, ALL, extra);
    live_sql(lv, setup);
}

/* ---- a copy ---- */

struct copy {
    struct live *lv;
    struct cdc_snap *snap;
    struct cdc_copy_table tab;
    struct cdc_copy_place at;
    struct cdc_error err;
    struct cdc_buf out; /* a row a line */
    size_t rows, ranges, batches;
    int (*between)(struct copy *copy); /* called behind each batch; NULL: nothing */
};

static void copy_open(struct copy *copy, struct live *lv)
{
    *copy = (struct copy){.lv = lv, .out = CDC_BUF(1 << 26)};
    if (lv->src->ops->snap->open(lv->src, &copy->snap, &copy->err) != CDC_OK)
        fail_msg("open: %s", copy->err.message);
    copy->at.ordinal = CDC_READ_ORDINAL(1);
}

static void copy_take(struct copy *copy, enum cdc_look look)
{
    int rc = copy->snap->ops->take(copy->snap, look, cdc_mono_us() + 20000000, &copy->err);
    if (rc != CDC_OK)
        fail_msg("take %d: %d: %s", look, rc, copy->err.message);
}

static void copy_table(struct copy *copy, const char *name)
{
    cdc_table_unref(copy->tab.tab);
    copy->tab.tab = NULL;
    int rc = copy->snap->ops->table(copy->snap, "public", name, &copy->tab, &copy->err);
    if (rc != CDC_OK)
        fail_msg("table %s: %d: %s", name, rc, copy->err.message);
}

static void copy_close(struct copy *copy)
{
    cdc_table_unref(copy->tab.tab);
    copy->snap->ops->close(copy->snap);
    cdc_buf_done(&copy->out);
}

/* One range to its end. */
static int copy_range(struct copy *copy, const struct cdc_range *range)
{
    const struct cdc_snap_ops *ops = copy->snap->ops;
    static const atomic_bool stop;
    int rc = ops->begin(copy->snap, &copy->tab, range, &copy->at, &copy->err);
    copy->ranges++;
    while (rc == CDC_OK) {
        struct cdc_batch *batch = cdc_pool_batch(copy->lv->pool);
        rc = ops->read(copy->snap, batch, &stop, &copy->err);
        for (size_t i = 0; i < batch->n; i++) {
            const struct cdc_change *chg = &batch->changes[i];
            assert_int_equal(chg->op, CDC_OP_READ);
            assert_int_equal(chg->ordinal, copy->at.ordinal);
            assert_memory_equal(chg->tx->place, copy->at.tx.place, CDC_PLACE_LEN);
            show_row(&copy->out, chg->table, chg->after);
            cdc_buf_str(&copy->out, "\n");
        }
        copy->rows += batch->n;
        copy->batches++;
        cdc_batch_unref(batch);
        if (rc == CDC_OK && copy->between && copy->between(copy) != CDC_OK)
            break;
    }
    return rc;
}

/* The whole table, range by range. */
static int copy_all(struct copy *copy, size_t max_bytes)
{
    struct cdc_range range = {.from = {.p = NULL}}, rest = range;
    struct cdc_buf bound = CDC_BUF(65536), from = CDC_BUF(65536);
    int rc = CDC_END;
    for (bool more = true; more && rc == CDC_END;) {
        cdc_buf_reset(&bound);
        rc = copy->snap->ops->plan(copy->snap, &copy->tab, &rest, max_bytes, &bound, &copy->err);
        if (rc < 0)
            break;
        more = rc == CDC_OK;
        range = rest;
        if (more)
            range.to = cdc_buf_slice(&bound);
        rc = copy_range(copy, &range);
        cdc_buf_reset(&from);
        cdc_buf_put(&from, bound.p, bound.len);
        rest.from = cdc_buf_slice(&from);
    }
    cdc_buf_done(&bound);
    cdc_buf_done(&from);
    return rc;
}

static void expect_rc(const struct copy *copy, int rc, int want)
{
    if (rc != want)
        fail_msg("%d, not %d: %s: %s", rc, want, copy->err.where, copy->err.message);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in bytewise order, as one text to be freed. */
static char *sorted(const struct cdc_buf *buf)
{
    char *text = strndup((const char *)buf->p, buf->len), *state = NULL;
    size_t n = 0;
    char **lines = calloc(buf->len + 1, sizeof *lines);
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
        lines[n++] = line;
    qsort(lines, n, sizeof *lines, by_text);
    struct cdc_buf ret = CDC_BUF(1 << 26);
    for (size_t i = 0; i < n; i++)
        cdc_buf_printf(&ret, "%s\n", lines[i]);
    free(lines);
    free(text);
    const char *done = cdc_buf_cstr(&ret);
    char *copy = strdup(done ? done : "");
    cdc_buf_done(&ret);
    return copy;
}

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

static void start_to(struct live *lv)
{
    if (live_open(lv) < 0)
        fail_msg("open: %s: %s", lv->err.where, lv->err.message);
    for (int i = 0; i < 300 && !*live_position(lv); i++)
        turn_or_fail(lv, 100);
    assert_string_not_equal(live_position(lv), "");
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
    int rc = copies[0].snap->ops->take(copies[0].snap, CDC_LOOK_START, cdc_mono_us() + 5000000,
                                       &copies[0].err);
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
    copy_take(&copy, CDC_LOOK_EXACT); /* the instance is as good as before */
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
    check_sees(CDC_LOOK_EXACT, 10);
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
    int rc = copy.snap->ops->take(copy.snap, CDC_LOOK_EXACT, cdc_mono_us() + 500000, &copy.err);
    assert_int_equal(rc, CDC_AGAIN);
    assert_non_null(strstr(copy.err.message, "idle in transaction"));
    copy_take(&copy, CDC_LOOK_NOW);
    PQfinish(conn);
    copy_take(&copy, CDC_LOOK_EXACT);
    copy_close(&copy);
    live_down(&lv);
}

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
    copy_take(&copy, CDC_LOOK_EXACT);
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

/* A stop ends every wait: for a slot here. */
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
    int rc = copy.snap->ops->take(copy.snap, CDC_LOOK_EXACT, cdc_mono_us() + 60000000, &copy.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_true(cdc_mono_us() - start < 2000000);
    pthread_join(thread, NULL);
    copy_close(&copy);
    PQfinish(conn);
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
    static struct CMUnitTest tests[CM_COUNT(keys) + CM_COUNT(betweens) + CM_COUNT(showns) + 20];
    struct CMUnitTest *to = tests;
    if (!getenv("PGURL")) {
        fprintf(stderr, "PGURL is not set: tests/live/run.sh starts a server and sets it\n");
        return 2;
    }
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    *to++ = (struct CMUnitTest)cmocka_unit_test(values);
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
    *to++ = (struct CMUnitTest)cmocka_unit_test(rights);
    *to++ = (struct CMUnitTest)cmocka_unit_test(where);
    *to++ = (struct CMUnitTest)cmocka_unit_test(lists);
    *to++ = (struct CMUnitTest)cmocka_unit_test(stops);
    *to++ = (struct CMUnitTest)cmocka_unit_test(blocks_of_partitions);
    to = CM_ROWS(to, ranges, keys);
    to = CM_ROWS(to, between, betweens);
    to = CM_ROWS(to, shown, showns);
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL); /* a pattern of names */
    return _cmocka_run_group_tests("postgres_snap", tests, (size_t)(to - tests), NULL, NULL);
}
