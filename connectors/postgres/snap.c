/*
 * snap.c - looks at the data beside the stream (cdc/snap.h): which there are, what they contain.
 *
 *   START  the snapshot that the slot was made with. It ends with the next command on the
 *          connection that made it, so before that a *holder* session imports it and exports it
 *          again; the name of that is constant while the source is open. The holder reads nothing
 *          and locks nothing. Workers import it for each range anew, in a short transaction, so
 *          that no lock outlives a range.
 *   PLACED a temporary slot's snapshot (snap_session.c), in a transaction that stays.
 *   NOW    an ordinary REPEATABLE READ transaction. A transaction of the stream, so committed, is
 *          contained if its id is below the snapshot's xmin, or below xmax and not in the list of
 *          those that ran (facts 5.2). A standby's list is always empty: there it is no look.
 *
 * In START and PLACED contained is what commits below `place`, exactly. A transaction without an id
 * is a logical message: it holds no rows, so every look contains it. One with an empty id (`last`
 * before anything has come) is told by its place alone, and no look NOW says that it contains it.
 *
 * A look can be lost: the holder was ended, the session that holds it died, a standby took the rows
 * away. Then what needs it says CDC_AGAIN, and `take` says of START that there is none.
 */
#include "snap.h"

#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool pgs_copy_wanted(const struct cdc_config *cfg)
{
    const struct cdc_rule *rules = NULL;
    size_t n = cdc_capture_rules(cfg->capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!rules[i].skip && rules[i].snapshot != CDC_SNAPSHOT_NEVER)
            return true;
    return false;
}

/* ---- the holder ---- */

int pgs_start_hold(struct pgs_source *src, const char *snapshot, uint64_t point,
                   struct cdc_error *err)
{
    struct pgs_holder *holder = &src->holder;
    char sql[192];
    if (!pgs_snapshot_name(snapshot))
        return cdc_fail(err, CDC_FATAL, "postgres", "the exported snapshot has an odd name");
    if (pgs_connect(&src->srv, false, &holder->conn, err) < 0)
        return CDC_FAIL;
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'; "
             "SELECT pg_export_snapshot()",
             snapshot);
    PGS_CLEAR PGresult *res = PQexec(holder->conn, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        return pgs_fail(holder->conn, res, NULL, err);
    if (!pgs_snapshot_name(PQgetvalue(res, 0, 0)))
        return cdc_fail(err, CDC_FATAL, "postgres", "the exported snapshot has an odd name");
    snprintf(holder->name, sizeof holder->name, "%s", PQgetvalue(res, 0, 0));
    snprintf(holder->place, sizeof holder->place, "%024" PRIx64, point);
    return CDC_OK;
}

static bool snap_sees(const struct cdc_snap *base, const struct cdc_tx *tx)
{
    const struct pgs_snap *snap = (const struct pgs_snap *)(const void *)base;
    char text[24], *end;
    if (snap->look == PGS_LOOK_NONE)
        return false;
    if (snap->look != PGS_LOOK_NOW)
        return memcmp(tx->place, base->place, CDC_PLACE_LEN) < 0;
    if (!tx->id.p)
        return true;
    if (tx->id.len == 0 || tx->id.len >= sizeof text)
        return false;
    memcpy(text, tx->id.p, tx->id.len);
    text[tx->id.len] = 0;
    uint64_t xid = strtoull(text, &end, 10);
    return *end == 0 && pgs_xids_contain(&snap->xids, (uint32_t)xid);
}

/* ---- transactions under a look ---- */

static bool in_transaction(const struct pgs_snap *snap)
{
    PGTransactionStatusType status = PQtransactionStatus(snap->ses.conn);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static int run(struct pgs_snap *snap, const char *sql, struct cdc_error *err)
{
    return pgs_session_run(&snap->ses, sql, NULL, NULL, err);
}

static int import(struct pgs_snap *snap, const char *name, struct cdc_error *err)
{
    char sql[192];
    snprintf(sql, sizeof sql,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'",
             name);
    return run(snap, sql, err);
}

static int lost(struct pgs_snap *snap, struct cdc_error *err)
{
    snap->look = PGS_LOOK_NONE;
    (void)cdc_fail(err, CDC_RETRY, "postgres",
                   "the snapshot under which tables are copied is there no more; another is taken");
    return CDC_AGAIN;
}

int pgs_snap_enter(struct pgs_snap *snap, struct cdc_error *err)
{
    if (snap->look == PGS_LOOK_NONE)
        return lost(snap, err);
    if (snap->look != PGS_LOOK_START) /* nothing is there to go back to after a failed statement */
        return in_transaction(snap) ? run(snap, "SAVEPOINT range", err) : lost(snap, err);
    int rc = import(snap, snap->root->holder.name, err);
    if (rc != CDC_AGAIN)
        return rc;
    if (in_transaction(snap) && run(snap, "ROLLBACK", err) < 0)
        return CDC_FAIL;
    return lost(snap, err);
}

int pgs_snap_leave(struct pgs_snap *snap, struct cdc_error *err)
{
    if (!in_transaction(snap))
        return CDC_OK;
    bool stays = snap->look == PGS_LOOK_PLACED || snap->look == PGS_LOOK_NOW;
    int rc =
        run(snap, stays ? "ROLLBACK TO SAVEPOINT range; RELEASE SAVEPOINT range" : "ROLLBACK", err);
    return rc == CDC_OK ? CDC_OK : CDC_FAIL;
}

/* ---- take ---- */

static int take_start(struct pgs_snap *snap, struct cdc_error *err)
{
    const struct pgs_holder *holder = &snap->root->holder;
    if (!holder->name[0])
        return CDC_END;
    snap->look = PGS_LOOK_START;
    int rc = pgs_snap_enter(snap, err);
    if (rc != CDC_OK)
        return rc == CDC_AGAIN ? CDC_END : rc;
    memcpy(snap->base.place, holder->place, sizeof snap->base.place);
    memcpy(snap->base.end, holder->place, sizeof snap->base.end);
    return pgs_snap_leave(snap, err);
}

static int take_placed(struct pgs_snap *snap, int64_t deadline_us, struct cdc_error *err)
{
    struct pgs_exported from;
    int rc = pgs_slot_export(&snap->ses, deadline_us, &from, err);
    if (rc == CDC_OK)
        rc = import(snap, from.name, err);
    if (rc != CDC_OK)
        pgs_session_cancel(snap->src.wal);
    PQfinish(snap->src.wal); /* the slot goes with it, the imported snapshot stays */
    snap->src.wal = NULL;
    if (rc != CDC_OK)
        return rc;
    snprintf(snap->base.place, sizeof snap->base.place, "%024" PRIx64, from.point);
    memcpy(snap->base.end, snap->base.place, sizeof snap->base.end);
    snap->look = PGS_LOOK_PLACED;
    return CDC_OK;
}

/* What the snapshot shows as committed was in the log before: the log's end comes after it. */
static int take_now(struct pgs_snap *snap, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    uint64_t end;
    int rc = run(snap, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == CDC_OK)
        rc = pgs_session_run(&snap->ses,
                             "SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() THEN "
                             "pg_current_snapshot() END, CASE WHEN NOT pg_is_in_recovery() THEN "
                             "pg_current_wal_insert_lsn() END",
                             NULL, &res, err);
    if (rc != CDC_OK)
        return rc;
    if (PQgetvalue(res, 0, 0)[0] == 't')
        return CDC_END;
    if (pgs_xids_parse(PQgetvalue(res, 0, 1), &snap->xids) < 0)
        return cdc_fail(err, CDC_FATAL, "postgres", "pg_current_snapshot() makes no sense");
    if (pgs_lsn_parse(PQgetvalue(res, 0, 2), &end) < 0)
        return cdc_fail(err, CDC_FATAL, "postgres", "pg_current_wal_insert_lsn() makes no sense");
    snprintf(snap->base.end, sizeof snap->base.end, "%024" PRIx64, end);
    snap->look = PGS_LOOK_NOW;
    return CDC_OK;
}

static int snap_take(struct cdc_snap *base, enum cdc_look look, int64_t deadline_us,
                     struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    snap->ses.stop = base->stop;
    if (pgs_snap_end(snap, err) < 0)
        return CDC_FAIL;
    snap->look = PGS_LOOK_NONE;
    for (struct pgs_snap_table *item = snap->tables; item; item = item->next) {
        free(item->then);
        item->then = NULL;
    }
    base->place[0] = base->end[0] = 0;
    if (pgs_snap_leave(snap, err) < 0) /* no look: the whole transaction */
        return CDC_FAIL;
    int rc = look == CDC_LOOK_START    ? take_start(snap, err)
             : look == CDC_LOOK_PLACED ? take_placed(snap, deadline_us, err)
                                       : take_now(snap, err);
    if (rc == CDC_OK || rc == CDC_FAIL)
        return rc;
    snap->look = PGS_LOOK_NONE;
    return pgs_snap_leave(snap, err) < 0 ? CDC_FAIL : rc;
}

/* ---- tables ---- */

static void item_clear(struct pgs_snap_table *item)
{
    pgs_seen_done(&item->seen);
    cdc_table_unref(item->tab);
    PQclear(item->key.res);
    free(item->key.cols);
    free(item->then);
    item->tab = NULL;
    item->then = NULL;
    item->key = (struct pgs_key){.n = 0};
    item->keyed = item->sized = false;
}

static struct pgs_snap_table *item_of(struct pgs_snap *snap, const char *schema, const char *name)
{
    struct pgs_snap_table *item = snap->tables;
    while (item && (strcmp(item->schema, schema) != 0 || strcmp(item->name, name) != 0))
        item = item->next;
    if (item || !(item = calloc(1, sizeof *item)))
        return item;
    item->schema = strdup(schema);
    item->name = strdup(name);
    item->next = snap->tables;
    snap->tables = item;
    return item->schema && item->name ? item : NULL;
}

/* The version that the stream has by now, so that ours is that one or the one behind it. */
static int learn(struct pgs_snap *snap, const char *schema, const char *name)
{
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "table/%s.%s", schema, name);
    const char *text = cdc_buf_cstr(&key);
    pthread_mutex_lock(&snap->root->known_lock);
    struct cdc_slice known = text ? cdc_map_get(&snap->root->known, text) : cdc_slice_of(NULL, 0);
    int rc = text ? cdc_map_put(&snap->src.known, cdc_buf_slice(&key), known) : CDC_FAIL;
    pthread_mutex_unlock(&snap->root->known_lock);
    cdc_buf_done(&key);
    return rc;
}

int pgs_snap_table(struct pgs_snap *snap, const char *schema, const char *name,
                   struct pgs_snap_table **ret, struct cdc_error *err)
{
    const struct cdc_rule *rule = cdc_capture_match(snap->src.srv.cfg->capture, schema, name);
    if (!rule)
        return CDC_END;
    struct pgs_which which = {
        .schema = schema,
        .name = name,
        .pub = snap->src.srv.pubs[rule->insert_only ? PGS_PUB_INSERTS : PGS_PUB_ALL]};
    return pgs_snap_describe(snap, &which, ret, err);
}

int pgs_snap_describe(struct pgs_snap *snap, const struct pgs_which *which,
                      struct pgs_snap_table **ret, struct cdc_error *err)
{
    struct pgs_snap_table *item = item_of(snap, which->schema, which->name);
    if (!item || learn(snap, which->schema, which->name) < 0)
        return cdc_fail_oom(err);
    item_clear(item);
    int rc = pgs_see(&snap->src, which, &item->seen, err);
    if (rc == CDC_OK && !pgs_shape_published(item->seen.shape))
        rc = CDC_END;
    if (rc != CDC_OK)
        return rc;
    item->tab = cdc_table_ref(item->seen.rel->tab);
    *ret = item;
    return CDC_OK;
}

static int snap_list(struct cdc_snap *base, struct cdc_arena *arena, struct cdc_copy_name **ret,
                     size_t *ret_n, struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    struct pgs_tables tabs;
    if (pgs_tables_look(&snap->src.srv, &tabs, err) < 0)
        return CDC_FAIL;
    size_t n = 0;
    struct cdc_copy_name *names = cdc_arena_zalloc(arena, (tabs.n + 1) * sizeof *names);
    bool right = names != NULL;
    for (size_t i = 0; right && i < tabs.n; i++) {
        const struct pgs_table *tab = &tabs.items[i];
        if (!tab->rule || !tab->published[pgs_pub_of(tab)])
            continue;
        names[n].schema = cdc_arena_strdup(arena, tab->schema);
        names[n].name = cdc_arena_strdup(arena, tab->name);
        right = names[n].schema && names[n].name;
        n++;
    }
    pgs_tables_done(&tabs);
    if (!right)
        return cdc_fail_oom(err);
    *ret = names;
    *ret_n = n;
    return CDC_OK;
}

static int snap_table(struct cdc_snap *base, const char *schema, const char *name,
                      struct cdc_copy_table *ret, struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    struct pgs_snap_table *item = NULL;
    int rc = pgs_snap_table(snap, schema, name, &item, err);
    if (rc == CDC_OK)
        rc = pgs_snap_size(snap, item, err);
    if (rc != CDC_OK)
        return rc;
    enum pgs_split split = pgs_snap_split(snap, item);
    *ret = (struct cdc_copy_table){.tab = cdc_table_ref(item->tab),
                                   .rows = item->wanted,
                                   .bytes = item->wanted < item->rows ? item->wanted * item->width
                                                                      : item->bytes,
                                   .resumable = split == PGS_SPLIT_KEY,
                                   .divisible = split != PGS_SPLIT_WHOLE};
    return CDC_OK;
}

/* ---- opening and closing ---- */

static void snap_close(struct cdc_snap *base)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    pgs_session_cancel(snap->src.wal);
    pgs_session_cancel(snap->ses.conn);
    pgs_session_cancel(snap->src.srv.sql);
    PQfinish(snap->src.wal);
    PQfinish(snap->ses.conn);
    while (snap->tables) {
        struct pgs_snap_table *item = snap->tables;
        snap->tables = item->next;
        item_clear(item);
        free(item->schema);
        free(item->name);
        free(item);
    }
    cdc_table_unref(snap->tab);
    free(snap->copy.binary);
    free(snap->copy.parse);
    cdc_buf_done(&snap->tx_id);
    free(snap->xids.list);
    pgs_rels_done(&snap->src);
    pgs_server_done(&snap->src.srv);
    cdc_map_done(&snap->src.known);
    pthread_mutex_destroy(&snap->src.known_lock);
    free(snap->src.room);
    free(snap);
}

static int connect(struct pgs_snap *snap, struct cdc_error *err)
{
    int rc = pgs_server_init(&snap->src.srv, snap->root->srv.cfg, err);
    snap->src.srv.hasty = true;
    if (rc < 0 || pgs_connect(&snap->src.srv, false, &snap->ses.conn, err) < 0)
        return CDC_FAIL;
    rc = run(snap,
             "SET lock_timeout = '2s'; SET row_security = off; SET idle_session_timeout = 0; "
             "SET jit = off; SET max_parallel_workers_per_gather = 0",
             err);
    return rc == CDC_OK ? CDC_OK : CDC_FAIL;
}

static int snap_open(struct cdc_source *root, struct cdc_snap **ret, struct cdc_error *err)
{
    struct pgs_snap *snap = calloc(1, sizeof *snap);
    if (!snap)
        return cdc_fail_oom(err);
    snap->base.ops = &pgs_snap;
    snap->root = (struct pgs_source *)root;
    snap->src.wake_fd = -1;
    snap->src.ident = snap->root->ident;
    snap->ses.src = &snap->src;
    snap->ses.knows = &snap->knows;
    snap->tx_id = CDC_BUF(4096);
    cdc_map_init(&snap->src.known);
    pthread_mutex_init(&snap->src.known_lock, NULL);
    snap->src.room = malloc(sizeof *snap->src.room);
    int rc = snap->src.room ? connect(snap, err) : cdc_fail_oom(err);
    if (rc != CDC_OK) {
        snap_close(&snap->base);
        return rc;
    }
    *ret = &snap->base;
    return CDC_OK;
}

const struct cdc_snap_ops pgs_snap = {
    .open = snap_open,
    .take = snap_take,
    .sees = snap_sees,
    .list = snap_list,
    .table = snap_table,
    .plan = pgs_snap_plan,
    .begin = pgs_snap_begin,
    .read = pgs_snap_read,
    .close = snap_close,
};
