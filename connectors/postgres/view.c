/*
 * view.c - the tables as they were at exactly one place (cdc/view.h): opening and closing.
 *
 *   look      which tables are captured, their columns, and the *shape* of each (snap_table.c). No
 *             lock is taken.
 *   slot      a temporary one gives a snapshot that contains exactly the transactions whose commit
 *             LSN is smaller than a point P (snap_session.c).
 *   snapshot  an ordinary session imports it into a REPEATABLE READ transaction. The walsender
 *             ends, and with it the slot: no log is held back, only old row versions (xmin).
 *   tables    one after the other: LOCK IN ACCESS SHARE, compare the shape, read by a cursor;
 *             ROLLBACK TO SAVEPOINT gives the lock back.
 *
 * The shape is why no lock is needed while the snapshot is taken. Under an older snapshot a table
 * that was rewritten or truncated since reads as empty, without an error; a shape that is the same
 * before P and under the lock says that nothing of that kind lies between. Otherwise the table is
 * given up. So is one for which somebody waits: an ALTER TABLE of the application stands in line
 * behind us, and everybody else behind it. The lock queue is looked at every second.
 */
#include "view.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int known_server(const struct pgs_view *view, const struct cdc_map *checkpoint,
                        uint32_t *ret_timeline, struct cdc_error *err)
{
    struct cdc_slice text = cdc_map_get(checkpoint, "source");
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    const char *systemid = json_string_value(json_object_get(json, "systemid"));
    const char *database = json_string_value(json_object_get(json, "database"));
    *ret_timeline = (uint32_t)json_integer_value(json_object_get(json, "timeline"));
    int rc = CDC_OK;
    if (!systemid || !database)
        rc =
            cdc_fail(err, CDC_OPERATOR, "source",
                     "nothing was captured from PostgreSQL here yet; start `sidestream run` first");
    else if (strcmp(systemid, view->src.ident.systemid) != 0 ||
             strcmp(database, view->src.srv.database) != 0)
        rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "another database answers at this address (system identifier %s, database "
                      "\"%s\") than the one that was captured (%s, \"%s\"); correct source.url",
                      view->src.ident.systemid, view->src.srv.database, systemid, database);
    json_decref(json);
    return rc;
}

static int view_covers(const struct cdc_view *base, const struct cdc_map *checkpoint,
                       struct cdc_error *err)
{
    const struct pgs_view *view = (const struct pgs_view *)(const void *)base;
    struct cdc_buf text = CDC_BUF(4096);
    struct pgs_pos pos = {.kind = PGS_POS_NONE};
    uint32_t timeline;
    if (known_server(view, checkpoint, &timeline, err) < 0)
        return CDC_FAIL;
    int rc = cdc_map_get_text(checkpoint, "position", &text, err);
    if (rc == CDC_OK && pgs_pos_parse(cdc_buf_slice(&text), &pos) < 0)
        rc = cdc_fail(err, CDC_OPERATOR, "position", "the checkpoint's position is none of ours");
    cdc_buf_done(&text);
    if (rc < 0)
        return rc;
    if (timeline > view->src.ident.timeline)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "the server was replaced by a standby meanwhile; run the command again");
    if (timeline < view->src.ident.timeline)
        return CDC_AGAIN; /* the pipeline has not followed a failover yet */
    /* What follows a transaction has its commit record at the end of that one's or later. */
    bool covers = pos.kind == PGS_POS_CUT ? pos.commit >= view->point
                                          : pos.kind != PGS_POS_NONE && pos.end >= view->point;
    return covers ? CDC_OK : CDC_AGAIN;
}

/* ---- slot and snapshot ---- */

static int import(struct pgs_view *view, const struct pgs_exported *from, struct cdc_error *err)
{
    char set[128];
    snprintf(set, sizeof set, "SET TRANSACTION SNAPSHOT '%s'", from->name);
    const char *steps[] = {"SET lock_timeout = '2s'",
                           "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                           set,
                           "SET LOCAL row_security = off",
                           "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
                           "SAVEPOINT tables"};
    if (pgs_connect(&view->src.srv, false, &view->ses.conn, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        PGS_CLEAR PGresult *res = NULL;
        if (pgs_session_run(&view->ses, steps[i], NULL, &res, err) != CDC_OK)
            return CDC_FAIL;
        if (PQnfields(res) == 1)
            view->tx.commit_us = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    }
    view->point = from->point;
    return CDC_OK;
}

static void set_place(struct pgs_view *view)
{
    char place[CDC_PLACE_LEN + 1];
    snprintf(view->base.place, sizeof view->base.place, "%024" PRIx64, view->point);
    snprintf(view->at, sizeof view->at, PGS_LSN_FMT, PGS_LSN(view->point));
    view->base.at = view->at;
    snprintf(place, sizeof place, "%024" PRIx64, view->point - 1);
    memcpy(view->tx.place, place, CDC_PLACE_LEN);
}

static int make(struct pgs_view *view, const struct cdc_view_options *opt, struct cdc_error *err)
{
    struct pgs_source *src = &view->src;
    struct pgs_exported slot;
    uint32_t timeline;
    if (pgs_connect(&src->srv, true, &src->wal, err) < 0 ||
        pgs_identify(src->wal, &src->ident, err) < 0 ||
        known_server(view, opt->checkpoint, &timeline, err) < 0 ||
        pgs_view_look(view, opt, err) < 0 ||
        pgs_slot_export(&view->ses, opt->deadline_us, &slot, err) != CDC_OK ||
        import(view, &slot, err) < 0)
        return CDC_FAIL;
    PQfinish(src->wal); /* the slot goes with it, the imported snapshot stays */
    src->wal = NULL;
    set_place(view);
    return CDC_OK;
}

static void view_close(struct cdc_view *base)
{
    struct pgs_view *view = (struct pgs_view *)base;
    pgs_session_cancel(view->src.wal);
    pgs_session_cancel(view->ses.conn);
    PQfinish(view->src.wal);
    PQfinish(view->ses.conn);
    for (size_t i = 0; i < view->n_items; i++)
        pgs_seen_done(&view->items[i]);
    free(view->items);
    free(view->base.tables);
    pgs_rels_done(&view->src);
    pgs_server_done(&view->src.srv);
    cdc_map_done(&view->src.known);
    pthread_mutex_destroy(&view->src.known_lock);
    free(view->src.room);
    free(view);
}

static int view_open(const struct cdc_config *cfg, const struct cdc_view_options *opt,
                     struct cdc_view **ret, struct cdc_error *err)
{
    struct pgs_view *view = calloc(1, sizeof *view);
    if (!view)
        return cdc_fail_oom(err);
    view->base.ops = &pgs_view;
    view->ses.src = &view->src;
    view->ses.signalled = opt->stop;
    view->src.wake_fd = -1;
    pthread_mutex_init(&view->src.known_lock, NULL);
    cdc_map_init(&view->src.known);
    view->src.room = malloc(sizeof *view->src.room);
    int rc = view->src.room && cdc_map_merge(&view->src.known, opt->checkpoint) == CDC_OK
                 ? pgs_server_init(&view->src.srv, cfg, err)
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

const struct cdc_view_ops pgs_view = {
    .open = view_open,
    .covers = view_covers,
    .begin = pgs_view_begin,
    .read = pgs_view_read,
    .close = view_close,
};
