/*
 * pg_snap_live.h - copies tables by the postgres source's ops against a real server: one table at a
 * time, range by range, its rows as text. On top of pg_live.h.
 */
#ifndef TESTS_PG_SNAP_LIVE_H
#define TESTS_PG_SNAP_LIVE_H

#include <stdatomic.h>

#include "../unit/rows.h"
#include "base/log.h"
#include "pg_live.h"

#define ALL "  - {tables: 'public.*'}\n"

static inline void up(struct live *lv, const char *setup, const char *extra)
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

static inline void copy_open(struct copy *copy, struct live *lv)
{
    *copy = (struct copy){.lv = lv, .out = CDC_BUF(1 << 26)};
    if (lv->src->ops->snap->open(lv->src, &copy->snap, &copy->err) != CDC_OK)
        fail_msg("open: %s", copy->err.message);
    copy->at.ordinal = CDC_READ_ORDINAL(1);
}

static inline void copy_take(struct copy *copy, enum cdc_look look)
{
    int rc = copy->snap->ops->take(copy->snap, look, cdc_mono_us() + 20000000, &copy->err);
    if (rc != CDC_OK)
        fail_msg("take %d: %d: %s", look, rc, copy->err.message);
}

static inline void copy_table(struct copy *copy, const char *name)
{
    cdc_table_unref(copy->tab.tab);
    copy->tab.tab = NULL;
    int rc = copy->snap->ops->table(copy->snap, "public", name, &copy->tab, &copy->err);
    if (rc != CDC_OK)
        fail_msg("table %s: %d: %s", name, rc, copy->err.message);
}

static inline void copy_close(struct copy *copy)
{
    cdc_table_unref(copy->tab.tab);
    copy->snap->ops->close(copy->snap);
    cdc_buf_done(&copy->out);
}

/* One range to its end. */
static inline int copy_range(struct copy *copy, const struct cdc_range *range)
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
static inline int copy_all(struct copy *copy, size_t max_bytes)
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

static inline void expect_rc(const struct copy *copy, int rc, int want)
{
    if (rc != want)
        fail_msg("%d, not %d: %s: %s", rc, want, copy->err.where, copy->err.message);
}

static inline int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in bytewise order, as one text to be freed. */
static inline char *sorted(const struct cdc_buf *buf)
{
    char *text = strndup(buf->p ? (const char *)buf->p : "", buf->len), *state = NULL;
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

static inline void start_to(struct live *lv)
{
    if (live_open(lv) < 0)
        fail_msg("open: %s: %s", lv->err.where, lv->err.message);
    for (int i = 0; i < 300 && !*live_position(lv); i++)
        turn_or_fail(lv, 100);
    assert_string_not_equal(live_position(lv), "");
}

static inline int snap_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests,
                            size_t n)
{
    if (!getenv("PGURL")) {
        fprintf(stderr, "PGURL is not set: tests/live/run.sh starts a server and sets it\n");
        return 2;
    }
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL); /* a pattern of names */
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

#endif
