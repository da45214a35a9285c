/*
 * view.c - the tables as they were at exactly one place (cdc/view.h), for `verify`.
 *
 *   tables    which are captured, and their columns, out of the catalogue of now
 *   snapshot  MariaDB: a consistent snapshot has an exact place. MySQL: it is tried again and again
 *             without a lock, whether it comes out so (snap_look.c); after some seconds a global
 *             read lock is taken for four round trips, if it may be
 *   rows      one table after the other, as a copy reads them (snap_read.c), which also says why a
 *             table that was altered since cannot be read
 *
 * A table whose engine keeps no old versions of rows shows what is there when it is read: it cannot
 * be compared.
 */
#include "snap.h"

#include "cdc/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAIN_US 3000000 /* so long it is tried without the lock */

struct mys_view {
    struct cdc_view base;
    struct mys_source src; /* the server and known tables; it never streams */
    struct mys_viewer ses;
    struct mys_reader reader;
    struct mys_pos pos;
    char at[MYS_FILE_MAX + 32];
    struct cdc_tx tx; /* of all rows */
    bool *keeps;      /* by table: does its engine keep old versions? */
};

/* ---- the checkpoint ---- */

static int known_server(const struct mys_view *view, const struct cdc_map *checkpoint,
                        struct cdc_error *err)
{
    const struct mys_facts *facts = &view->src.facts;
    struct cdc_slice text = cdc_map_get(checkpoint, "source");
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *ident = json_string_value(json_object_get(json, "ident"));
    int rc = CDC_OK;
    if (!type || strcmp(type, "mysql") != 0 || !ident)
        rc = cdc_fail(err, CDC_OPERATOR, "source",
                      "nothing was captured from MySQL or MariaDB here yet; start `sidestream run` "
                      "first");
    else if (strcmp(ident, facts->ident) != 0)
        rc = cdc_fail(err, CDC_OPERATOR, "mysql",
                      "another server answers at this address (%s) than the one that was captured "
                      "(%.64s); correct source.url, or let `sidestream run` follow the failover",
                      facts->ident, ident);
    json_decref(json);
    return rc;
}

static int view_covers(const struct cdc_view *base, const struct cdc_map *checkpoint,
                       struct cdc_error *err)
{
    const struct mys_view *view = (const struct mys_view *)(const void *)base;
    bool mariadb = view->src.facts.mariadb;
    struct cdc_buf text = CDC_BUF((size_t)64 << 20);
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    if (known_server(view, checkpoint, err) < 0)
        return CDC_FAIL;
    int rc = cdc_map_get_text(checkpoint, "position", &text, err);
    if (rc == CDC_OK && mys_pos_parse(mariadb, cdc_buf_slice(&text), &pos) < 0)
        rc = cdc_fail(err, CDC_OPERATOR, "position", "the checkpoint's position is none of ours");
    cdc_buf_done(&text);
    bool known = rc == CDC_OK && pos.kind != MYS_POS_NONE;
    bool covers = known && mys_at_order(pos.file, pos.pos, view->pos.file, view->pos.pos) >= 0;
    if (known && view->src.facts.gtids && !pos.by_file) /* the log's files may have been changed */
        covers |= mys_gtids_subset(&view->pos.gtids, &pos.gtids);
    mys_pos_done(&pos);
    return rc < 0 ? rc : covers ? CDC_OK : CDC_AGAIN;
}

/* ---- tables ---- */

static bool wanted(const struct cdc_view_options *opt, const char *schema, const char *name)
{
    size_t n = strlen(schema);
    return !opt->table || (strncmp(opt->table, schema, n) == 0 && opt->table[n] == '.' &&
                           strcmp(opt->table + n + 1, name) == 0);
}

/* One table into the next item; a table that is gone by now is none. */
static int add_table(struct mys_view *view, const struct mys_cat_table *tab, struct cdc_error *err)
{
    struct mys_viewer *ses = &view->ses;
    struct cdc_table **item = &view->base.tables[view->base.n];
    const struct mys_which which = {.schema = tab->schema, .name = tab->name};
    int rc = mys_rel_now(&view->src, ses->side, &which, item, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : CDC_FAIL;
    view->keeps[view->base.n++] = mys_engine_keeps(tab->engine);
    return CDC_OK;
}

static int add_tables(struct mys_view *view, const struct cdc_view_options *opt,
                      struct cdc_arena *arena, struct cdc_error *err)
{
    struct mys_cat_tables all = {.n = 0};
    if (mys_catalogue_names(view->ses.side, view->src.srv.cfg, arena, &all, err) < 0)
        return CDC_FAIL;
    view->base.tables = calloc(all.n + 1, sizeof(struct cdc_table *));
    view->keeps = calloc(all.n + 1, sizeof *view->keeps);
    int rc = view->base.tables && view->keeps ? CDC_OK : cdc_fail_oom(err);
    for (size_t i = 0; rc == CDC_OK && i < all.n; i++) {
        const struct mys_cat_table *tab = &all.tabs[i];
        if (tab->rule && tab->base && wanted(opt, tab->schema, tab->name))
            rc = add_table(view, tab, err);
    }
    return rc;
}

static bool has_table(const struct mys_view *view, const struct mys_which *which)
{
    for (size_t i = 0; i < view->base.n; i++)
        if (strcmp(view->base.tables[i]->schema, which->schema) == 0 &&
            strcmp(view->base.tables[i]->name, which->name) == 0)
            return true;
    return false;
}

/* A table that was captured and is not in the catalogue: is it gone, or may we not see it? */
static int miss_table(struct mys_view *view, const struct cdc_view_options *opt, const char *key,
                      struct cdc_error *err)
{
    const char *dot = strchr(key, '.');
    char *schema = dot ? strndup(key, (size_t)(dot - key)) : NULL;
    const struct mys_which which = {.schema = schema, .name = dot ? dot + 1 : ""};
    int rc = CDC_OK;
    if (dot && !schema)
        rc = cdc_fail_oom(err);
    else if (schema && wanted(opt, schema, which.name) && !has_table(view, &which) &&
             cdc_capture_match(view->src.srv.cfg->capture, schema, which.name))
        rc = mys_table_missing(&view->ses, &which, err);
    free(schema);
    return rc == CDC_FAIL ? rc : CDC_OK;
}

static int look_tables(struct mys_view *view, const struct cdc_view_options *opt,
                       struct cdc_error *err)
{
    const struct cdc_map *checkpoint = opt->checkpoint;
    struct cdc_arena *arena = cdc_arena_new((size_t)256 << 20);
    int rc = arena ? add_tables(view, opt, arena, err) : cdc_fail_oom(err);
    cdc_arena_free(arena);
    for (size_t i = 0; rc == CDC_OK && i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (kv->value.p && kv->key.len > 6 && memcmp(kv->key.p, "table/", 6) == 0)
            rc = miss_table(view, opt, (const char *)kv->key.p + 6, err);
    }
    return rc;
}

/* ---- the snapshot ---- */

static int not_exact(const struct mys_view *view, int rc, struct cdc_error *err)
{
    if (rc == CDC_AGAIN && view->src.srv.lock)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the server is written to all the time, and the brief global read lock was "
                        "not to be had: long statements are in its way; run the command again");
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the tables cannot be seen at exactly one place while the server is written "
                    "to: GRANT RELOAD ON *.* TO the user of source.url, with source.lock at "
                    "`auto`, for a global read lock of some milliseconds, or run the command when "
                    "nothing is written");
}

static int take_snapshot(struct mys_view *view, const struct cdc_view_options *opt,
                         struct cdc_error *err)
{
    if (mys_viewer_connect(&view->ses, err) < 0)
        return CDC_FAIL;
    const struct mys_looks looks = {.facts = &view->src.facts,
                                    .conns = &view->ses.conn,
                                    .n = 1,
                                    .side = view->ses.side,
                                    .may_lock = view->src.srv.lock,
                                    .plain_us = cdc_mono_us() + PLAIN_US};
    int rc = mys_looks_try(&looks, opt->deadline_us, &view->pos, err);
    return rc == CDC_AGAIN || rc == CDC_END ? not_exact(view, rc, err) : rc;
}

static int set_place(struct mys_view *view, struct cdc_error *err)
{
    char place[CDC_PLACE_LEN + 1];
    MYS_CLEAR MYSQL_RES *res = NULL;
    const struct mys_pos *pos = &view->pos;
    if (mys_place(pos->file, pos->pos, view->base.place) < 0 ||
        mys_place(pos->file, pos->pos - 1, place) < 0)
        return cdc_fail(err, CDC_FATAL, "mysql", "the log's file %s has no number", pos->file);
    memcpy(view->tx.place, place, CDC_PLACE_LEN);
    snprintf(view->at, sizeof view->at, "%s:%llu", pos->file, (unsigned long long)pos->pos);
    view->base.at = view->at;
    if (mys_query(view->ses.side, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)", &res,
                  err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    view->tx.commit_us = row && row[0] ? strtoll(row[0], NULL, 10) : cdc_now_us();
    return CDC_OK;
}

/* ---- opening and closing ---- */

static int make(struct mys_view *view, const struct cdc_view_options *opt, struct cdc_error *err)
{
    struct mys_source *src = &view->src;
    view->ses.signalled = opt->stop;
    if (mys_sql(&src->srv, err) < 0 || mys_facts_read(src->srv.sql, &src->facts, err) < 0)
        return CDC_FAIL;
    mys_sql_close(&src->srv);
    if (known_server(view, opt->checkpoint, err) < 0 || mys_viewer_open(&view->ses, err) < 0 ||
        look_tables(view, opt, err) < 0 || take_snapshot(view, opt, err) < 0 ||
        set_place(view, err) < 0)
        return mys_viewer_stopped(&view->ses)
                   ? cdc_fail(err, CDC_RETRY, "mysql", "reading of tables was stopped")
                   : CDC_FAIL;
    return CDC_OK;
}

static void view_close(struct cdc_view *base)
{
    struct mys_view *view = (struct mys_view *)base;
    mys_reader_done(&view->reader);
    mys_viewer_close(&view->ses);
    for (size_t i = 0; i < view->base.n; i++)
        cdc_table_unref(view->base.tables[i]);
    free(view->base.tables);
    free(view->keeps);
    mys_pos_done(&view->pos);
    mys_server_done(&view->src.srv);
    cdc_map_done(&view->src.known);
    pthread_mutex_destroy(&view->src.known_lock);
    free(view);
}

static int view_open(const struct cdc_config *cfg, const struct cdc_view_options *opt,
                     struct cdc_view **ret, struct cdc_error *err)
{
    struct mys_view *view = calloc(1, sizeof *view);
    if (!view)
        return cdc_fail_oom(err);
    view->base.ops = &mys_view;
    view->ses.srv = &view->src.srv;
    view->ses.facts = &view->src.facts;
    view->reader.ses = &view->ses;
    view->reader.src = &view->src;
    pthread_mutex_init(&view->src.known_lock, NULL);
    cdc_map_init(&view->src.known);
    int rc = cdc_map_merge(&view->src.known, opt->checkpoint) == CDC_OK
                 ? mys_server_init(&view->src.srv, cfg, err)
                 : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = make(view, opt, err);
    if (rc != CDC_OK) {
        view_close(&view->base);
        return rc;
    }
    *ret = &view->base;
    return CDC_OK;
}

/* ---- rows ---- */

/* Why the table is let go of, and what is to be done about that. */
static int told(const struct mys_view *view, size_t table, int rc, struct cdc_error *err)
{
    const struct cdc_table *tab = view->base.tables[table];
    const struct mys_which which = {.schema = tab->schema, .name = tab->name};
    char why[512];
    if (rc != CDC_AGAIN || !err)
        return rc;
    snprintf(why, sizeof why, "%.400s (run the command again)", err->message);
    return mys_given_up(&which, why, err);
}

static int view_begin(struct cdc_view *base, size_t table, struct cdc_error *err)
{
    struct mys_view *view = (struct mys_view *)base;
    static const struct cdc_range all;
    struct cdc_table *tab = base->tables[table];
    const struct mys_which which = {.schema = tab->schema, .name = tab->name};
    if (!view->keeps[table])
        return mys_given_up(&which,
                            "its engine keeps no old versions of rows, so it cannot be seen as it "
                            "was at one place; ALTER TABLE ... ENGINE = InnoDB",
                            err);
    view->reader.tx = view->tx;
    view->reader.ordinal = CDC_READ_ORDINAL(1);
    return told(view, table, mys_reader_begin(&view->reader, tab, &all, NULL, err), err);
}

static int view_read(struct cdc_view *base, size_t max_rows, struct cdc_batch *batch,
                     struct cdc_error *err)
{
    struct mys_view *view = (struct mys_view *)base;
    size_t table = 0;
    while (table + 1 < base->n && base->tables[table] != view->reader.tab)
        table++;
    int rc = mys_reader_read(&view->reader, max_rows, batch, err);
    if (rc == CDC_END && batch->n > 0) /* what a view ends with holds no rows */
        return CDC_OK;
    return told(view, table, rc, err);
}

const struct cdc_view_ops mys_view = {
    .open = view_open,
    .covers = view_covers,
    .begin = view_begin,
    .read = view_read,
    .close = view_close,
};
