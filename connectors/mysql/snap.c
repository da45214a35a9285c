/*
 * snap.c - looks at the data beside the stream (cdc/snap.h): which there are, what they contain.
 *
 *   START  sessions that were opened when the pipeline began (mys_start_hold), each with a snapshot
 *          in a transaction that stays. Neither server can give one session's snapshot to another,
 *          so there are as many as will read, and what an instance has taken it gives back when it
 *          is closed in good order. All are at one place, exactly, where that was to be had without
 *          a lock or under a brief one; else each contains at least what lies before the place.
 *   PLACED MariaDB: a snapshot and its place. MySQL: a place that is settled (server.c), then a
 *          snapshot, which may contain more. Without GTIDs only a lock settles a place.
 *   NOW    MySQL: gtid_executed, then a snapshot, which contains all of it and perhaps more. None
 *          without GTIDs. MariaDB: as PLACED, which costs nothing there.
 *
 * START and PLACED contain what has a smaller place, NOW at MySQL what is in that set. Only rows of
 * an exact START, and of an engine that keeps old versions, are free of what comes behind them.
 *
 * A START look is lost with its session. Then `take` says of START that there is none.
 */
#include "snap.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>

#define HOLD_US  10000000
#define LEAST_US 2000000
#define PLAIN_US 300000 /* so long it is tried without the lock */

bool mys_copy_wanted(const struct cdc_config *cfg)
{
    const struct cdc_rule *rules = NULL;
    size_t n = cdc_capture_rules(cfg->capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!rules[i].skip && rules[i].snapshot != CDC_SNAPSHOT_NEVER)
            return true;
    return false;
}

/* ---- the holder ---- */

static int open_sessions(struct mys_source *src, size_t n, struct cdc_error *err)
{
    struct mys_holder *holder = &src->holder;
    holder->conns = calloc(n, sizeof(MYSQL *));
    if (!holder->conns)
        return cdc_fail_oom(err);
    for (holder->n = 0; holder->n < n; holder->n++)
        if (mys_reader_connect(&src->srv, &src->facts, &holder->conns[holder->n], err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static int no_lock(struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "without GTIDs the tables can only be copied under a brief global read lock: "
                    "GRANT RELOAD ON *.* TO the user of source.url and leave source.lock at "
                    "`auto`, or SET GLOBAL gtid_mode = ON, or `snapshot: never`");
}

static int hold_looks(struct mys_source *src, MYSQL *side, struct mys_pos *ret,
                      struct cdc_error *err)
{
    struct mys_holder *holder = &src->holder;
    int64_t now_us = cdc_mono_us();
    const struct mys_looks looks = {.facts = &src->facts,
                                    .conns = holder->conns,
                                    .n = holder->n,
                                    .side = side,
                                    .may_lock = src->srv.lock,
                                    .early = true,
                                    .plain_us = now_us + PLAIN_US};
    struct cdc_error why = {.message = ""};
    int rc = mys_looks_try(&looks, now_us + (src->srv.lock ? HOLD_US : PLAIN_US), ret, &why);
    holder->exact = rc == CDC_OK;
    if (rc != CDC_AGAIN && rc != CDC_END) {
        if (rc < 0 && err)
            *err = why;
        return rc;
    }
    if (!src->facts.gtids && (rc == CDC_END || !src->srv.lock))
        return no_lock(err);
    if (!src->facts.gtids)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the global read lock for copying tables is not to be had, long statements "
                        "are in its way; it is tried again");
    cdc_log(CDC_LOG_INFO,
            "snapshot: the tables cannot be seen at exactly one place (%s), so their copies may be "
            "followed by changes that they contain already",
            rc == CDC_END   ? "the user may not lock the server"
            : src->srv.lock ? "the brief lock was not to be had"
                            : "source.lock is `never`");
    return mys_looks_least(&looks, cdc_mono_us() + LEAST_US, ret, err);
}

static int put_place(const struct mys_pos *pos, char ret[CDC_PLACE_LEN + 1], struct cdc_error *err)
{
    if (mys_place(pos->file, pos->pos, ret) != CDC_OK)
        return cdc_fail(err, CDC_FATAL, "mysql", "the log's file %s has no number", pos->file);
    return CDC_OK;
}

/*
 * A place that a look taken before does not contain: at MariaDB its own; at MySQL the log's end,
 * since a transaction is in the log before it can be seen. side: any connection.
 */
static int look_end(const struct mys_facts *facts, MYSQL *conn, MYSQL *side,
                    char ret[CDC_PLACE_LEN + 1], struct cdc_error *err)
{
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    int rc =
        facts->mariadb ? mys_snapshot_place(conn, &pos, err) : mys_log_end(side, facts, &pos, err);
    if (rc == CDC_OK)
        rc = put_place(&pos, ret, err);
    mys_pos_done(&pos);
    return rc;
}

static int hold(struct mys_source *src, size_t n, struct mys_pos *ret, struct cdc_error *err)
{
    struct mys_holder *holder = &src->holder;
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    MYSQL *side = NULL;
    int rc = open_sessions(src, n, err);
    if (rc == CDC_OK)
        rc = mys_connect(&src->srv, &side, err);
    if (rc == CDC_OK)
        rc = hold_looks(src, side, &pos, err);
    if (rc == CDC_OK && !src->facts.mariadb)
        rc = look_end(&src->facts, NULL, side, holder->end, err);
    if (side)
        mysql_close(side); /* and whatever it has locked is free */
    if (rc == CDC_OK)
        rc = put_place(&pos, holder->place, err);
    if (rc == CDC_OK)
        *ret = pos;
    else
        mys_pos_done(&pos);
    return rc;
}

int mys_start_hold(struct mys_source *src, struct mys_pos *ret, struct cdc_error *err)
{
    size_t n = mys_copy_wanted(src->srv.cfg) ? src->srv.cfg->copy_threads : 0;
    int rc;
    if (n > 0)
        rc = hold(src, n + 1, ret, err); /* one more plans */
    else if ((rc = mys_sql(&src->srv, err)) == CDC_OK)
        rc = mys_settled(src->srv.sql, &src->facts, cdc_mono_us() + LEAST_US, ret, err);
    rc = rc == CDC_AGAIN && n == 0 ? CDC_OK : rc;
    if (rc != CDC_OK)
        mys_start_release(src);
    return rc;
}

void mys_start_release(struct mys_source *src)
{
    struct mys_holder *holder = &src->holder;
    pthread_mutex_lock(&holder->lock);
    for (size_t i = 0; i < holder->n; i++)
        if (holder->conns[i])
            mysql_close(holder->conns[i]);
    free(holder->conns);
    holder->conns = NULL;
    holder->n = 0;
    holder->place[0] = 0;
    pthread_mutex_unlock(&holder->lock);
}

/* One of its sessions; NULL: there is none left. */
static MYSQL *borrow(struct mys_holder *holder)
{
    MYSQL *ret = NULL;
    pthread_mutex_lock(&holder->lock);
    for (size_t i = 0; !ret && i < holder->n; i++) {
        ret = holder->conns[i];
        holder->conns[i] = NULL;
    }
    pthread_mutex_unlock(&holder->lock);
    return ret;
}

static bool give_back(struct mys_holder *holder, MYSQL *conn)
{
    bool taken = false;
    pthread_mutex_lock(&holder->lock);
    for (size_t i = 0; !taken && i < holder->n; i++)
        if (!holder->conns[i]) {
            holder->conns[i] = conn;
            taken = true;
        }
    pthread_mutex_unlock(&holder->lock);
    return taken;
}

/* The look is over. A session of START that nothing is wrong with may serve another instance. */
static void end_look(struct mys_snap *snap)
{
    MYSQL *conn = snap->ses.conn;
    bool start = snap->looks && snap->look == CDC_LOOK_START;
    snap->looks = false;
    snap->base.place[0] = snap->base.end[0] = 0;
    mys_gtids_done(&snap->seen);
    if (!start || !conn || mys_viewer_stopped(&snap->ses) ||
        mys_reader_end(&snap->reader, NULL) < 0)
        return;
    if (mys_viewer_touches(&snap->ses)) { /* it would go on keeping tables from being altered */
        mys_viewer_drop(&snap->ses);
        return;
    }
    (void)mys_viewer_leave(&snap->ses);
    if (!give_back(&snap->root->holder, conn))
        mysql_close(conn);
}

/* ---- take ---- */

static int take_start(struct mys_snap *snap, struct cdc_error *err)
{
    struct mys_holder *holder = &snap->root->holder;
    int rc = CDC_FAIL;
    mys_viewer_drop(&snap->ses);
    for (MYSQL *conn; rc != CDC_OK && (conn = borrow(holder));) {
        rc = mys_viewer_set(&snap->ses, conn, err);
        if (rc != CDC_OK) /* it has died meanwhile */
            mys_viewer_drop(&snap->ses);
    }
    if (rc != CDC_OK)
        return CDC_END;
    memcpy(snap->base.place, holder->place, sizeof snap->base.place);
    memcpy(snap->base.end, holder->end, sizeof snap->base.end);
    snap->exact = holder->exact;
    return CDC_OK;
}

static int lock_failed(const struct mys_snap *snap, int rc, struct cdc_error *err)
{
    if (rc == CDC_END || (rc == CDC_AGAIN && !snap->root->srv.lock))
        return no_lock(err);
    return rc;
}

static int take_placed(struct mys_snap *snap, int64_t deadline_us, struct cdc_error *err)
{
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    const struct mys_source *root = snap->root;
    int rc = mys_viewer_connect(&snap->ses, err);
    const struct mys_looks looks = {.facts = &root->facts,
                                    .conns = &snap->ses.conn,
                                    .n = 1,
                                    .side = snap->ses.side,
                                    .may_lock = root->srv.lock};
    if (rc != CDC_OK)
        return rc;
    if (root->facts.mariadb || root->facts.gtids)
        rc = mys_looks_least(&looks, deadline_us, &pos, err);
    else
        rc = lock_failed(snap, mys_looks_try(&looks, deadline_us, &pos, err), err);
    if (rc == CDC_OK)
        rc = put_place(&pos, snap->base.place, err);
    mys_pos_done(&pos);
    return rc;
}

static int take_now(struct mys_snap *snap, int64_t deadline_us, struct cdc_error *err)
{
    const struct mys_facts *facts = &snap->root->facts;
    if (facts->mariadb)
        return take_placed(snap, deadline_us, err);
    if (!facts->gtids)
        return CDC_END;
    if (mys_viewer_connect(&snap->ses, err) < 0 ||
        mys_executed(snap->ses.side, facts, &snap->seen, err) < 0)
        return CDC_FAIL;
    return mys_query(snap->ses.conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT", NULL, err);
}

static int snap_take(struct cdc_snap *base, enum cdc_look look, int64_t deadline_us,
                     struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    const struct mys_facts *facts = &snap->root->facts;
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    if (mys_reader_end(&snap->reader, err) < 0)
        return CDC_FAIL;
    end_look(snap);
    if (snap->ses.conn && mys_query(snap->ses.conn, "ROLLBACK", NULL, NULL) < 0)
        mys_viewer_drop(&snap->ses);
    mys_viewer_untouch(&snap->ses);
    int rc = look == CDC_LOOK_START    ? take_start(snap, err)
             : look == CDC_LOOK_PLACED ? take_placed(snap, deadline_us, err)
                                       : take_now(snap, deadline_us, err);
    if (rc == CDC_OK && (facts->mariadb || look != CDC_LOOK_START))
        rc = look_end(facts, snap->ses.conn, snap->ses.side, base->end, err);
    snap->look = look;
    snap->looks = rc == CDC_OK;
    if (rc == CDC_FAIL && mys_viewer_stopped(&snap->ses))
        return cdc_fail(err, CDC_RETRY, "mysql", "reading of tables was stopped");
    return rc;
}

static bool snap_sees(const struct cdc_snap *base, const struct cdc_tx *tx)
{
    const struct mys_snap *snap = (const struct mys_snap *)(const void *)base;
    struct mys_gtid gtid;
    if (!snap->looks)
        return false;
    if (base->place[0])
        return memcmp(tx->place, base->place, CDC_PLACE_LEN) < 0;
    return tx->id.p && mys_gtid_parse(tx->id, &gtid) == CDC_OK && !gtid.mariadb &&
           mys_gtids_contain(&snap->seen, &gtid);
}

/* ---- tables ---- */

static int snap_list(struct cdc_snap *base, struct cdc_arena *arena, struct cdc_copy_name **ret,
                     size_t *ret_n, struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    struct mys_cat_tables all = {.n = 0};
    size_t n_names = 0;
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    if (mys_catalogue_names(snap->ses.side, snap->root->srv.cfg, arena, &all, err) < 0)
        return CDC_FAIL;
    struct cdc_copy_name *names = cdc_arena_zalloc(arena, (all.n + 1) * sizeof *names);
    if (!names)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < all.n; i++)
        if (all.tabs[i].rule && all.tabs[i].base)
            names[n_names++] =
                (struct cdc_copy_name){.schema = all.tabs[i].schema, .name = all.tabs[i].name};
    *ret = names;
    *ret_n = n_names;
    return CDC_OK;
}

static int snap_table(struct cdc_snap *base, const char *schema, const char *name,
                      struct cdc_copy_table *ret, struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    struct mys_viewer *ses = &snap->ses;
    const struct mys_which which = {.schema = schema, .name = name};
    struct mys_snap_table *item = NULL;
    struct cdc_table *tab = NULL;
    mys_viewer_hear(ses, base->stop, NULL);
    if (!cdc_capture_match(snap->root->srv.cfg->capture, schema, name))
        return CDC_END;
    int rc = mys_rel_now(snap->root, ses->side, &which, &tab, err);
    if (rc == CDC_END)
        return mys_table_missing(ses, &which, err);
    if (rc == CDC_FAIL)
        return mysql_errno(ses->side) ? mys_viewer_fail(ses, ses->side, err) : rc;
    rc = mys_snap_size(snap, tab, &item, err);
    if (rc == CDC_OK)
        *ret = (struct cdc_copy_table){
            .tab = cdc_table_ref(tab),
            .rows = item->wanted,
            .bytes = item->wanted < item->rows ? item->wanted * item->width : item->bytes,
            .resumable = item->key.n > 0,
            .divisible = item->key.n > 0};
    cdc_table_unref(tab);
    return rc;
}

/* ---- rows ---- */

static int set_place(struct mys_snap *snap, const struct cdc_copy_place *at, struct cdc_error *err)
{
    struct mys_reader *reader = &snap->reader;
    reader->tx = at->tx;
    reader->ordinal = at->ordinal;
    cdc_buf_reset(&snap->tx_id);
    cdc_buf_put(&snap->tx_id, at->tx.id.p, at->tx.id.len);
    if (snap->tx_id.failed)
        return cdc_fail_oom(err);
    if (at->tx.id.p)
        reader->tx.id = at->tx.id.len ? cdc_buf_slice(&snap->tx_id) : cdc_slice_str("");
    return CDC_OK;
}

static int set_flags(struct mys_snap *snap, struct cdc_error *err)
{
    bool keeps = false;
    int rc = CDC_OK;
    if (snap->look == CDC_LOOK_START && snap->exact)
        rc = mys_reader_keeps(&snap->reader, &keeps, err);
    snap->reader.flags = keeps ? 0 : CDC_OVERLAP;
    return rc;
}

static int snap_begin(struct cdc_snap *base, const struct cdc_copy_table *tab,
                      const struct cdc_range *range, const struct cdc_copy_place *at,
                      struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    const struct cdc_rule *rule = tab->tab->rule;
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    if (!snap->looks || !snap->ses.conn) {
        (void)cdc_fail(err, CDC_RETRY, "mysql",
                       "the look under which tables are copied is there no more; another is taken");
        return CDC_AGAIN;
    }
    int rc = mys_reader_end(&snap->reader, err);
    if (rc == CDC_OK)
        rc = set_place(snap, at, err);
    if (rc == CDC_OK)
        rc = mys_reader_begin(&snap->reader, tab->tab, range, rule ? rule->copy_where : NULL, err);
    if (rc == CDC_OK && (rc = set_flags(snap, err)) == CDC_AGAIN &&
        mys_reader_end(&snap->reader, err) < 0)
        return CDC_FAIL;
    return rc;
}

static int snap_read(struct cdc_snap *base, struct cdc_batch *batch, const atomic_bool *stop,
                     struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    mys_viewer_hear(&snap->ses, base->stop, stop);
    int rc = mys_reader_read(&snap->reader, SIZE_MAX, batch, err);
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    return rc;
}

/* ---- opening and closing ---- */

static void snap_close(struct cdc_snap *base)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    end_look(snap);
    if (!mys_viewer_stopped(&snap->ses) && mys_reader_end(&snap->reader, NULL) < 0)
        cdc_log(CDC_LOG_DEBUG, "snapshot: a session was lost while it was ended");
    mys_reader_done(&snap->reader);
    mys_viewer_close(&snap->ses);
    while (snap->tables) {
        struct mys_snap_table *item = snap->tables;
        snap->tables = item->next;
        mys_key_done(&item->key);
        free(item->schema);
        free(item->name);
        free(item);
    }
    cdc_buf_done(&snap->tx_id);
    free(snap);
}

static int snap_open(struct cdc_source *root, struct cdc_snap **ret, struct cdc_error *err)
{
    struct mys_snap *snap = calloc(1, sizeof *snap);
    if (!snap)
        return cdc_fail_oom(err);
    snap->base.ops = &mys_snap;
    snap->root = (struct mys_source *)root;
    snap->ses.srv = &snap->root->srv;
    snap->ses.facts = &snap->root->facts;
    snap->reader.ses = &snap->ses;
    snap->reader.src = snap->root;
    snap->tx_id = CDC_BUF(4096);
    if (mys_viewer_open(&snap->ses, err) < 0) {
        snap_close(&snap->base);
        return CDC_FAIL;
    }
    *ret = &snap->base;
    return CDC_OK;
}

const struct cdc_snap_ops mys_snap = {
    .open = snap_open,
    .take = snap_take,
    .sees = snap_sees,
    .list = snap_list,
    .table = snap_table,
    .plan = mys_snap_plan,
    .begin = snap_begin,
    .read = snap_read,
    .close = snap_close,
};
