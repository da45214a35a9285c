/*
 * pg_live.h - drives the postgres source by its ops against a real server: a database per test, a
 * checkpoint in memory, changes as text. PGURL in the environment is the URL of a superuser.
 */
#ifndef TESTS_PG_LIVE_H
#define TESTS_PG_LIVE_H

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "cdc/clock.h"
#include "cdc/source.h"
#include "config/settings.h"

struct live {
    char database[64], url[1024];
    struct cdc_settings *set;
    struct cdc_map checkpoint, pending;
    struct cdc_pool *pool;
    struct cdc_source *src;
    struct cdc_error err;
    struct cdc_buf out; /* changes, one a line */
    size_t changes;     /* so far */
    size_t batches, cuts_tx, urgent, idle;
    bool caught_up;
    bool acks;        /* tell the source of commits */
    size_t row_width; /* of the last change's table */
};

static int live_serial;

static inline void live_quiet(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

static inline PGresult *run(const char *url, const char *sql)
{
    PGconn *conn = PQconnectdb(url);
    PQsetNoticeProcessor(conn, live_quiet, NULL);
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQfinish(conn);
    return res;
}

/* SQL in the test's database; commands in one string are one transaction unless they say otherwise.
 */
static inline void live_sql(struct live *lv, const char *sql)
{
    PQclear(run(lv->url, sql));
}

/* The first value of the first row; free it. */
static inline char *live_ask(struct live *lv, const char *sql)
{
    PGresult *res = run(lv->url, sql);
    char *ret = strdup(PQntuples(res) ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    return ret;
}

/* The pipeline's settings, made anew; the checkpoint stays. extra: options of `source:`, or "". */
static inline void live_configure(struct live *lv, const char *url, const char *capture,
                                  const char *extra)
{
    struct cdc_buf text = CDC_BUF(65536);
    cdc_settings_free(lv->set);
    lv->set = NULL;
    cdc_buf_printf(&text,
                   "name: %s\nsource: {type: postgres, url: '%s'%s%s}\ncapture:\n%s\n"
                   "sink: {type: 'null'}\n",
                   lv->database, url, *extra ? ", " : "", extra, capture);
    if (cdc_settings_parse(cdc_buf_slice(&text), "live.yaml", &lv->set, &lv->err) != CDC_OK)
        fail_msg("%s: %s", lv->err.where, lv->err.message);
    cdc_buf_done(&text);
}

/* Makes the database, with public.done in it, and the settings. */
static inline void live_up(struct live *lv, const char *capture, const char *extra)
{
    char sql[128];
    const char *base = getenv("PGURL"), *query = strchr(base, '?'), *slash = strrchr(base, '/');
    *lv = (struct live){.acks = true, .out = CDC_BUF(1 << 22)};
    cdc_map_init(&lv->checkpoint);
    cdc_map_init(&lv->pending);
    lv->pool = cdc_pool_new((size_t)64 << 20, 512 * 1024);
    snprintf(lv->database, sizeof lv->database, "live_pg_%d", ++live_serial);
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", lv->database);
    PQclear(run(base, sql));
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", lv->database);
    PQclear(run(base, sql));
    if (query)
        for (slash = query; *slash != '/'; slash--)
            ;
    snprintf(lv->url, sizeof lv->url, "%.*s/%s%s", (int)(slash - base), base, lv->database,
             query ? query : "");
    live_sql(lv, "CREATE TABLE public.done (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)");
    live_configure(lv, lv->url, capture, extra);
}

static inline void live_close(struct live *lv)
{
    if (lv->src)
        lv->src->ops->close(lv->src);
    lv->src = NULL;
    cdc_map_clear(&lv->pending);
}

/* Drops slot and database too. */
static inline void live_down(struct live *lv)
{
    char sql[512];
    live_close(lv);
    snprintf(sql, sizeof sql,
             "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots "
             "WHERE database = '%s' AND active",
             lv->database);
    PQclear(run(getenv("PGURL"), sql));
    snprintf(sql, sizeof sql,
             "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
             "WHERE database = '%s'",
             lv->database);
    live_sql(lv, sql);
    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", lv->database);
    PQclear(run(getenv("PGURL"), sql));
    cdc_map_done(&lv->checkpoint);
    cdc_map_done(&lv->pending);
    cdc_buf_done(&lv->out);
    cdc_pool_free(lv->pool);
    cdc_settings_free(lv->set);
}

/* CDC_FAIL leaves the reason in lv->err. */
static inline int live_open(struct live *lv)
{
    int rc = CDC_FAIL;
    for (int tries = 0; rc < 0 && tries < 50; tries++) {
        rc = cdc_source_find("postgres")
                 ->open(&lv->set->config, &lv->checkpoint, &lv->src, &lv->err);
        if (rc < 0 && lv->err.action != CDC_RETRY)
            break;
    }
    return rc;
}

static inline void show_decimal(struct cdc_buf *out, const struct cdc_value *val)
{
    __extension__ __int128 num = val->p[0] & 0x80 ? -1 : 0;
    char text[64], *at = text + sizeof text;
    for (uint32_t i = 0; i < val->len; i++)
        num = num * 256 + val->p[i];
    bool minus = num < 0;
    *--at = 0;
    for (int i = 0; i <= val->aux || num != 0; i++, num /= 10) {
        if (i == val->aux && i > 0)
            *--at = '.';
        int digit = (int)(num % 10);
        *--at = (char)('0' + (digit < 0 ? -digit : digit));
    }
    cdc_buf_printf(out, "%s%s", minus ? "-" : "", at);
}

static inline void show_bytes(struct cdc_buf *out, const struct cdc_value *val)
{
    for (uint32_t i = 0; i < val->len; i++)
        cdc_buf_printf(out, "%02x", val->p[i]);
}

static inline void show_value(struct cdc_buf *out, const struct cdc_value *val);

static inline void show_array(struct cdc_buf *out, const struct cdc_value *val)
{
    cdc_buf_byte(out, '{');
    for (uint32_t i = 0; i < val->len; i++) {
        cdc_buf_str(out, i ? "," : "");
        show_value(out, &val->items[i]);
    }
    cdc_buf_byte(out, '}');
}

static inline void show_value(struct cdc_buf *out, const struct cdc_value *val)
{
    switch (val->kind) {
    case CDC_NULL: cdc_buf_str(out, "null"); break;
    case CDC_UNCHANGED: cdc_buf_str(out, "?"); break;
    case CDC_ABSENT: cdc_buf_str(out, "-"); break;
    case CDC_INVALID: cdc_buf_printf(out, "!%.*s", (int)val->len, (const char *)val->p); break;
    case CDC_BOOL: cdc_buf_str(out, val->i ? "true" : "false"); break;
    case CDC_FLOAT: cdc_buf_printf(out, "%.17g", val->f); break;
    case CDC_DECIMAL: show_decimal(out, val); break;
    case CDC_BYTES: show_bytes(out, val); break;
    case CDC_ARRAY: show_array(out, val); break;
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_JSON:
        if (val->len > 100)
            cdc_buf_printf(out, "<%u bytes>", val->len);
        else
            cdc_buf_printf(out, "%.*s", (int)val->len, (const char *)val->p);
        break;
    default: cdc_buf_printf(out, "%" PRId64, val->i); break;
    }
}

static inline void show_row(struct cdc_buf *out, const struct cdc_table *tab,
                            const struct cdc_value *row)
{
    cdc_buf_str(out, " (");
    for (uint16_t i = 0; i < tab->n; i++) {
        if (i)
            cdc_buf_str(out, ", ");
        show_value(out, &row[i]);
    }
    cdc_buf_str(out, ")");
}

/* "u3 t/2 moved (old) (new)": op, ordinal, table, version if above 1, flags, rows. */
static inline void show(struct live *lv, const struct cdc_change *chg)
{
    const struct cdc_table *tab = chg->table;
    cdc_buf_printf(&lv->out, "%c%" PRIu64 " %s%s%s", chg->op, chg->ordinal,
                   strcmp(tab->schema, "public") ? tab->schema : "",
                   strcmp(tab->schema, "public") ? "." : "", tab->name);
    if (tab->version > 1)
        cdc_buf_printf(&lv->out, "/%u", tab->version);
    if (chg->flags & CDC_KEY_MOVED)
        cdc_buf_str(&lv->out, " moved");
    if (chg->before)
        show_row(&lv->out, tab, chg->before);
    if (chg->before && chg->after)
        cdc_buf_str(&lv->out, " ->");
    if (chg->after)
        show_row(&lv->out, tab, chg->after);
    cdc_buf_str(&lv->out, chg->flags & CDC_TX_LAST ? ".\n" : "\n");
    lv->row_width = tab->n;
}

/* "position" of the checkpoint as text; valid until the next call. */
static inline const char *live_position(struct live *lv)
{
    static struct cdc_buf text = {.max = 4096};
    cdc_buf_reset(&text);
    int rc = cdc_map_get_text(&lv->checkpoint, "position", &text, NULL);
    return rc == CDC_OK ? cdc_buf_cstr(&text) : "";
}

static inline void live_set_position(struct live *lv, const char *text)
{
    assert_int_equal(cdc_map_put_text(&lv->checkpoint, "position", cdc_slice_str(text)), CDC_OK);
}

static inline void commit(struct live *lv)
{
    assert_int_equal(cdc_map_apply(&lv->checkpoint, &lv->pending), CDC_OK);
    cdc_map_clear(&lv->pending);
    if (!lv->acks && *live_position(lv))
        return;
    const char *text = live_position(lv);
    int rc =
        lv->src->ops->ack(lv->src, *text ? cdc_slice_str(text) : cdc_slice_of(NULL, 0), &lv->err);
    if (rc != CDC_OK)
        fail_msg("ack: %s", lv->err.message);
}

/* One poll of at most ms; "commits" at cuts and acks. */
static inline int live_turn(struct live *lv, int ms)
{
    struct cdc_batch *batch = cdc_pool_batch(lv->pool);
    int rc = lv->src->ops->poll(lv->src, batch, cdc_mono_us() + ms * 1000, &lv->err);
    for (size_t i = 0; rc == CDC_OK && i < batch->n; i++) {
        lv->changes++;
        if (strcmp(batch->changes[i].table->name, "done") != 0)
            show(lv, &batch->changes[i]);
    }
    if (rc == CDC_OK) {
        lv->batches++;
        lv->cuts_tx += batch->cut == CDC_CUT_TX;
        lv->urgent += batch->urgent;
        lv->idle += batch->n == 0;
        lv->caught_up |= batch->caught_up;
        assert_int_equal(cdc_map_merge(&lv->pending, &batch->delta), CDC_OK);
        if (batch->cut != CDC_CUT_NO)
            commit(lv);
        else
            assert_null(cdc_map_get(&batch->delta, "position").p);
    }
    cdc_batch_unref(batch);
    return rc;
}

static inline void turn_or_fail(struct live *lv, int ms)
{
    if (live_turn(lv, ms) < 0)
        fail_msg("poll: %s: %s", lv->err.where, lv->err.message);
}

/* Opens, and turns until the stream runs and is caught up. */
static inline void live_stream(struct live *lv)
{
    if (live_open(lv) < 0)
        fail_msg("open: %s: %s", lv->err.where, lv->err.message);
    lv->caught_up = false;
    for (int i = 0; i < 300 && !(lv->caught_up && *live_position(lv)); i++)
        turn_or_fail(lv, 100);
    assert_true(lv->caught_up);
    turn_or_fail(lv, 10);
}

/* Writes one row into public.done and turns until it is seen. */
static inline void live_settle(struct live *lv)
{
    char *id = live_ask(lv, "INSERT INTO public.done DEFAULT VALUES RETURNING id");
    size_t before = lv->changes;
    int64_t deadline = cdc_mono_us() + 20000000;
    bool seen = false;
    while (!seen && cdc_mono_us() < deadline) {
        struct cdc_batch *batch = cdc_pool_batch(lv->pool);
        int rc = lv->src->ops->poll(lv->src, batch, cdc_mono_us() + 100000, &lv->err);
        if (rc < 0)
            fail_msg("poll: %s: %s", lv->err.where, lv->err.message);
        for (size_t i = 0; rc == CDC_OK && i < batch->n; i++) {
            const struct cdc_change *chg = &batch->changes[i];
            lv->changes++;
            if (strcmp(chg->table->name, "done") == 0)
                seen |= chg->after && chg->after[0].i == strtoll(id, NULL, 10);
            else
                show(lv, chg);
        }
        assert_int_equal(cdc_map_merge(&lv->pending, &batch->delta), CDC_OK);
        bool cut = rc == CDC_OK && batch->cut != CDC_CUT_NO;
        lv->cuts_tx += rc == CDC_OK && batch->cut == CDC_CUT_TX;
        cdc_batch_unref(batch);
        if (cut)
            commit(lv);
    }
    free(id);
    if (!seen)
        fail_msg("the last row never came (%zu changes did)", lv->changes - before);
}

#endif
