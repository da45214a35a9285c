/*
 * view.c - the tables as they were at exactly one place (cdc/view.h): opening and closing.
 *
 *   look      which tables are captured, their columns, and the *shape* of each: the files it lies
 *             in, its partitions, its columns. No lock is taken.
 *   slot      CREATE_REPLICATION_SLOT TEMPORARY ... EXPORT_SNAPSHOT on a walsender gives a snapshot
 *             and a consistent point P. The snapshot contains exactly the transactions whose commit
 *             LSN is smaller than P (facts 5.2: every comparison of LSNs with an ordinary snapshot
 *             loses rows).
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

#include "cdc/clock.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SLICE_US       1000000
#define BLAME_FIRST_US 3000000
#define BLAME_US       30000000

int pgs_view_stop_fail(struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "postgres", "stopped by a signal");
}

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

/* The next result of a session; NULL with CDC_OK: no more. Waits, and hears a stop. */
int pgs_view_result(struct pgs_view *view, PGconn *conn, PGresult **ret, struct cdc_error *err)
{
    while (PQisBusy(conn)) {
        if (pgs_view_stopped(view))
            return pgs_view_stop_fail(err);
        pgs_wait(&view->src, PQsocket(conn), POLLIN, cdc_mono_us() + SLICE_US);
        if (!PQconsumeInput(conn))
            return pgs_fail(conn, NULL, NULL, err);
    }
    *ret = PQgetResult(conn);
    return CDC_OK;
}

static int slot_late(struct cdc_error *err)
{
    return cdc_fail(err, CDC_RETRY, "postgres",
                    "transactions that were open on the server (in any database) did not end in "
                    "time, and a snapshot at a known place waits for them; end them, or give a "
                    "longer --timeout");
}

/* Waits for the slot as long as it may take, and says now and then for whom. */
static int slot_wait(struct pgs_view *view, int64_t deadline_us, struct cdc_error *err)
{
    struct pgs_source *src = &view->src;
    for (int64_t blame_us = cdc_mono_us() + BLAME_FIRST_US; PQisBusy(src->wal);) {
        if (pgs_view_stopped(view) || cdc_mono_us() >= deadline_us)
            return pgs_view_stopped(view) ? pgs_view_stop_fail(err) : slot_late(err);
        if (cdc_mono_us() >= blame_us) {
            blame_us = cdc_mono_us() + BLAME_US;
            pgs_slot_blame(src);
        }
        pgs_wait(src, PQsocket(src->wal), POLLIN, deadline_us);
        if (!PQconsumeInput(src->wal))
            return pgs_fail(src->wal, NULL, NULL, err);
    }
    return CDC_OK;
}

/* Makes the temporary slot; *ret holds the consistent point and the snapshot's name. */
static int slot_make(struct pgs_view *view, int64_t deadline_us, PGresult **ret,
                     struct cdc_error *err)
{
    struct pgs_source *src = &view->src;
    uint32_t random = 0;
    char sql[160];
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)cdc_now_us();
    snprintf(src->srv.slot, sizeof src->srv.slot, "sidestream_%.41s_v%08" PRIx32,
             src->srv.cfg->name, random);
    snprintf(sql, sizeof sql,
             "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT",
             src->srv.slot);
    if (!PQsendQuery(src->wal, sql))
        return pgs_fail(src->wal, NULL, NULL, err);
    if (slot_wait(view, deadline_us, err) < 0)
        return CDC_FAIL;
    PGresult *res = PQgetResult(src->wal);
    if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
        pgs_lsn_parse(PQgetvalue(res, 0, 1), &view->point) == CDC_OK) {
        *ret = res;
        return CDC_OK;
    }
    int rc = pgs_fail(src->wal, res, NULL, err);
    PQclear(res);
    return rc;
}

/* A statement in the session of the snapshot. CDC_AGAIN: the table is locked, or gone. */
int pgs_view_run(struct pgs_view *view, const char *sql, PGresult **ret, struct cdc_error *err)
{
    PGresult *res = NULL;
    if (!sql)
        return cdc_fail_oom(err);
    if (!PQsendQuery(view->snap, sql))
        return pgs_fail(view->snap, NULL, NULL, err);
    if (pgs_view_result(view, view->snap, &res, err) < 0)
        return CDC_FAIL;
    ExecStatusType status = PQresultStatus(res);
    int rc = CDC_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        rc = pgs_fail(view->snap, res, NULL, err);
    if (rc < 0 && (pgs_state_is(res, "55P03") || pgs_state_is(res, "42P01")))
        rc = CDC_AGAIN;
    PGresult *more = NULL;
    while (pgs_view_result(view, view->snap, &more, NULL) == CDC_OK && more)
        PQclear(more);
    if (rc == CDC_OK && ret)
        *ret = res;
    else
        PQclear(res);
    return rc;
}

static int import(struct pgs_view *view, const char *snapshot, struct cdc_error *err)
{
    char set[128];
    if (snapshot[strspn(snapshot, "0123456789ABCDEFabcdef-")] || strlen(snapshot) > 64)
        return cdc_fail(err, CDC_FATAL, "postgres", "the exported snapshot has an odd name");
    snprintf(set, sizeof set, "SET TRANSACTION SNAPSHOT '%s'", snapshot);
    const char *steps[] = {"SET lock_timeout = '2s'",
                           "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                           set,
                           "SET LOCAL row_security = off",
                           "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
                           "SAVEPOINT tables"};
    if (pgs_connect(&view->src.srv, false, &view->snap, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        PGS_CLEAR PGresult *res = NULL;
        if (pgs_view_run(view, steps[i], &res, err) != CDC_OK)
            return CDC_FAIL;
        if (PQnfields(res) == 1)
            view->tx.commit_us = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    }
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
    PGS_CLEAR PGresult *slot = NULL;
    uint32_t timeline;
    if (pgs_connect(&src->srv, true, &src->wal, err) < 0 ||
        pgs_identify(src->wal, &src->ident, err) < 0 ||
        known_server(view, opt->checkpoint, &timeline, err) < 0 ||
        pgs_view_look(view, opt, err) < 0 || slot_make(view, opt->deadline_us, &slot, err) < 0 ||
        import(view, PQgetvalue(slot, 0, 2), err) < 0)
        return CDC_FAIL;
    PQfinish(src->wal); /* the slot goes with it, the imported snapshot stays */
    src->wal = NULL;
    set_place(view);
    return CDC_OK;
}

static void cancel(PGconn *conn)
{
    char text[256];
    PGcancel *what = conn && PQtransactionStatus(conn) == PQTRANS_ACTIVE ? PQgetCancel(conn) : NULL;
    if (what && !PQcancel(what, text, sizeof text))
        cdc_log(CDC_LOG_DEBUG, "postgres: a statement could not be cancelled");
    PQfreeCancel(what);
}

static void view_close(struct cdc_view *base)
{
    struct pgs_view *view = (struct pgs_view *)base;
    cancel(view->src.wal);
    cancel(view->snap);
    PQfinish(view->src.wal);
    PQfinish(view->snap);
    for (size_t i = 0; i < view->n_items; i++) {
        free(view->items[i].shape);
        free(view->items[i].filter);
    }
    free(view->items);
    free(view->base.tables);
    pgs_rels_done(&view->src);
    pgs_server_done(&view->src.srv);
    cdc_map_done(&view->src.known);
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
    view->stop = opt->stop;
    view->src.wake_fd = -1;
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
