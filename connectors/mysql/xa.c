/*
 * xa.c - prepared transactions (XA): remembered, read again when they commit.
 *
 * Their rows are in the log where they were prepared, under a GTID of its own; XA COMMIT or XA
 * ROLLBACK comes later, perhaps much later, as a transaction of its own. So at PREPARE only {xid,
 * place} goes into the position and stays there until the end. At XA COMMIT the rows are read from
 * that place and become rows of the committing transaction: its place, its id, numbered from 1.
 *
 * MySQL does not say at the start whether a transaction will be prepared or commit in one phase
 * (XA COMMIT .. ONE PHASE, what most transaction managers do): its rows are read again at once.
 *
 * Read again: out of memory where there was room to keep the events (xa_keep.c; the usual case, the
 * end follows within moments), else by a second dump: from file and offset; where those are another
 * server's, or the offset is above 4 GiB, by GTID, asking for the one that is left out of all we
 * have. It is read piece by piece between the batches, while the first dump waits.
 *
 * An xid that we do not know was prepared before the pipeline began. No copy has seen its rows, and
 * nothing says where they are: every table is copied anew.
 *
 * Some servers may log an XA COMMIT of another session than the one that prepared, and not do it
 * (xa_check.c): before such a transaction ends here its rows are looked at. Whoever reads old log
 * may look too late, when somebody has rolled back what the server found prepared after a restart;
 * then that rollback says that the rows which we took for committed are not there.
 */
#include "mysql.h"

#include "xa_keep.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define LOOK     255     /* so many events between two looks at the clock, less one */
#define DOUBT_US 3000000 /* so long rows may be locked behind their commit */
#define ASK_NS   10000000
#define BELIEVED 1024

struct mys_xa {
    struct mys_keep keep;
    /* What is being read again. */
    bool reading, one_phase, by_gtid, began, in_payload;
    struct mys_at at;
    struct mys_xid xid;
    const struct mys_kept *from; /* in memory, or NULL */
    size_t off;
    struct mys_dump *dump;
    struct mys_format fmt;
    struct mys_payload *payload;
    /* Was it done? Sessions by their number; `alone`: both were of the very server that we ask. */
    uint32_t preparer, committer;
    bool alone, read;
    struct mys_doubt doubt;
    int64_t doubt_until_us;
    uint64_t believed[BELIEVED]; /* hashes of the last xids that were, as far as we saw */
    unsigned n_believed;
};

static struct mys_xa *get(struct mys_source *src)
{
    if (!src->xa)
        src->xa = calloc(1, sizeof *src->xa);
    return src->xa;
}

/* ---- in memory ---- */

/* The open transaction's events. NULL: no memory. */
static struct mys_kept *keep(struct mys_source *src)
{
    struct mys_xa *xa = get(src);
    struct mys_kept *kept = xa ? mys_kept_find(&xa->keep, &src->tx.at) : NULL;
    if (kept || !xa)
        return kept;
    mys_keep_tidy(&xa->keep, src->head.prepared);
    return mys_kept_new(&xa->keep, &src->tx.at);
}

int mys_xa_keep(struct mys_source *src, const struct mys_event *ev, struct cdc_error *err)
{
    struct mys_kept *kept = keep(src);
    if (!kept)
        return cdc_fail_oom(err);
    mys_kept_put(&src->xa->keep, kept, ev);
    return CDC_OK;
}

/* ---- in the position ---- */

static uint64_t hash(const struct mys_xid *xid)
{
    uint64_t ret = UINT64_C(14695981039346656037) ^ xid->format;
    for (unsigned i = 0; i < xid->gtrid_len + (unsigned)xid->bqual_len; i++)
        ret = (ret ^ xid->data[i]) * UINT64_C(1099511628211);
    ret ^= xid->gtrid_len;
    return ret ? ret : 1;
}

static struct mys_prepared **find(struct mys_source *src, const struct mys_xid *xid)
{
    struct mys_prepared **link = &src->head.prepared;
    while (*link && !mys_xid_eq(&(*link)->xid, xid))
        link = &(*link)->next;
    return link;
}

/* false: it is not known. */
static bool end(struct mys_source *src, const struct mys_xid *xid)
{
    struct mys_prepared **link = find(src, xid), *prep = *link;
    if (!prep)
        return false;
    if (src->xa)
        mys_kept_forget(&src->xa->keep, &prep->at);
    *link = prep->next;
    free(prep);
    return true;
}

static bool was_believed(const struct mys_xa *xa, const struct mys_xid *xid)
{
    uint64_t mark = hash(xid);
    for (unsigned i = 0; xa && i < BELIEVED; i++)
        if (xa->believed[i] == mark)
            return true;
    return false;
}

int mys_xa_rollback(struct mys_source *src, struct cdc_batch *batch, const struct mys_xid *xid,
                    struct cdc_error *err)
{
    if (end(src, xid) || !was_believed(src->xa, xid))
        return CDC_OK;
    return mys_gap_all(src, batch, NULL,
                       "an XA COMMIT in the log was not done by the server, which has rolled the "
                       "transaction back",
                       err);
}

int mys_xa_prepared(struct mys_source *src, const struct mys_xid *xid, struct cdc_error *err)
{
    end(src, xid);
    struct mys_prepared **link = find(src, xid), *prep = calloc(1, sizeof *prep);
    if (!prep)
        return cdc_fail_oom(err);
    prep->xid = *xid;
    prep->at = src->tx.at;
    *link = prep; /* the end of the list, since there is none of that xid */
    return keep(src) ? CDC_OK : cdc_fail_oom(err); /* also if it has no rows: then we know that */
}

/* ---- where a dump for it begins ---- */

static int list_before(const struct mys_list *all, const struct mys_gtid *gtid,
                       struct mys_list *ret)
{
    for (size_t i = 0; i < all->n; i++) {
        struct mys_gtid at = all->at[i].domain == gtid->domain ? *gtid : all->at[i];
        if (all->at[i].domain == gtid->domain && --at.number == 0)
            continue;
        if (mys_list_add(ret, &at) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static int add_without(struct mys_set *ret, const struct mys_sid *sid, struct mys_range range,
                       const struct mys_gtid *gtid)
{
    struct mys_range parts[2] = {range, {0, 0}};
    bool same = memcmp(sid->uuid, gtid->uuid, 16) == 0 && strcmp(sid->tag, gtid->tag) == 0;
    if (same && gtid->number >= range.from && gtid->number < range.to) {
        parts[0].to = gtid->number;
        parts[1] = (struct mys_range){.from = gtid->number + 1, .to = range.to};
    }
    for (unsigned i = 0; i < 2; i++)
        if (parts[i].from < parts[i].to &&
            mys_set_add_range(ret, sid->uuid, sid->tag, parts[i]) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static int set_without(const struct mys_set *all, const struct mys_gtid *gtid, struct mys_set *ret)
{
    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; j < all->sids[i].n; j++)
            if (add_without(ret, &all->sids[i], all->sids[i].ranges[j], gtid) < 0)
                return CDC_FAIL;
    return CDC_OK;
}

static int gone(const struct mys_xa *xa, const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the rows of a transaction that was prepared (XA) at %s:%" PRIu64
                    " (%s) and is "
                    "committed only now %s: an empty sink and a new start begin again from now",
                    *xa->at.file ? xa->at.file : "another server", xa->at.pos,
                    *xa->at.id ? xa->at.id : "no GTID", what);
}

static int open_dump(struct mys_source *src, const struct mys_gtids *gtids, struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    struct mys_dump_start start = {
        .gtids = gtids, .file = xa->at.file, .pos = xa->at.pos, .once = true};
    xa->fmt = (struct mys_format){.checksum = src->facts.checksum, .mariadb = src->facts.mariadb};
    if (mys_dump_open(&src->srv, &src->facts, &start, &xa->dump, err) < 0)
        return cdc_fail_in(err, "reading the rows of a prepared transaction (XA)");
    cdc_log(CDC_LOG_INFO,
            "mysql: the rows of a prepared transaction (XA) are read from %s:%" PRIu64, xa->at.file,
            xa->at.pos);
    return CDC_OK;
}

static int dump_by_gtid(struct mys_source *src, struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    struct mys_gtid gtid;
    struct mys_gtids all = {.mariadb = src->head.gtids.mariadb};
    if (mys_gtid_parse(cdc_slice_str(xa->at.id), &gtid) < 0)
        return gone(xa, "cannot be found without a GTID", err);
    int rc = all.mariadb ? list_before(&src->head.gtids.list, &gtid, &all.list)
                         : set_without(&src->head.gtids.set, &gtid, &all.set);
    rc = rc < 0 ? cdc_fail_oom(err) : open_dump(src, &all, err);
    mys_gtids_done(&all);
    return rc;
}

/* ---- reading again ---- */

static int start(struct mys_source *src, const struct mys_at *at, struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    const struct mys_kept *kept = mys_kept_find(&xa->keep, at);
    xa->at = *at;
    xa->began = xa->in_payload = xa->by_gtid = false;
    xa->off = 0;
    xa->from = kept && kept->whole ? kept : NULL;
    xa->preparer = 0;
    xa->alone = true;
    xa->reading = true;
    if (xa->from)
        return CDC_OK;
    xa->by_gtid = !*at->file || (at->pos > UINT32_MAX && src->facts.gtids);
    return xa->by_gtid ? dump_by_gtid(src, err) : open_dump(src, NULL, err);
}

int mys_xa_commit(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                  const struct mys_xid *xid, struct cdc_error *err)
{
    const struct mys_prepared *prep = xid ? *find(src, xid) : NULL;
    struct mys_xa *xa = get(src);
    if (!xa)
        return cdc_fail_oom(err);
    if (!prep)
        return mys_gap_all(src, batch, NULL,
                           "a transaction was committed that was prepared (XA) before the pipeline "
                           "began",
                           err);
    xa->one_phase = false;
    xa->xid = *xid;
    xa->committer = ev->server_id == src->facts.server_id ? ev->query.thread : 0;
    return start(src, &prep->at, err);
}

int mys_xa_one_phase(struct mys_source *src, struct cdc_error *err)
{
    if (!keep(src))
        return cdc_fail_oom(err);
    src->tx.prepares = src->tx.skip = false;
    src->xa->one_phase = true;
    return start(src, &src->tx.at, err);
}

bool mys_xa_reading(const struct mys_source *src)
{
    return src->xa && src->xa->reading;
}

static void stop(struct mys_xa *xa)
{
    mys_dump_close(xa->dump);
    mys_payload_free(xa->payload);
    xa->dump = NULL;
    xa->payload = NULL;
    xa->from = NULL;
    xa->reading = xa->in_payload = xa->read = false;
    mys_doubt_done(&xa->doubt);
}

static int take(struct mys_xa *xa, int64_t deadline_us, struct cdc_slice *ret,
                struct cdc_error *err)
{
    if (xa->from)
        return mys_kept_next(xa->from, &xa->off, ret);
    if (xa->in_payload) {
        int rc = mys_payload_next(xa->payload, ret, err);
        if (rc != CDC_END)
            return rc;
        xa->in_payload = false;
    }
    int rc = mys_dump_next(xa->dump, deadline_us, ret, err);
    return rc == CDC_END ? gone(xa, "are not in the server's log any more", err) : rc;
}

/* CDC_END: the rows are over. CDC_AGAIN: nothing until the deadline. */
static int next(struct mys_xa *xa, int64_t deadline_us, struct mys_event *ev, struct cdc_error *err)
{
    struct cdc_slice bytes;
    struct mys_format fmt = xa->fmt;
    int rc = take(xa, deadline_us, &bytes, err);
    if (rc != CDC_OK)
        return rc;
    if (xa->from || xa->in_payload)
        fmt.inner = true;
    if (mys_decode_head(&fmt, bytes, ev, err) < 0 || mys_decode(&fmt, ev, err) < 0)
        return CDC_FAIL;
    return CDC_OK;
}

static int on_gtid(struct mys_xa *xa, const struct mys_event *ev, struct cdc_error *err)
{
    struct cdc_buf id = CDC_BUF(MYS_ID_MAX);
    if (!ev->gtid.id.anonymous)
        mys_gtid_print(&ev->gtid.id, &id);
    bool same = !id.failed && cdc_slice_eq(cdc_buf_slice(&id), cdc_slice_str(xa->at.id));
    cdc_buf_done(&id);
    if (xa->began)
        return gone(xa, "end without having been prepared", err);
    if (!same && !xa->by_gtid)
        return gone(xa, "are not there: this is another server or a restored backup", err);
    xa->began = same;
    return CDC_OK;
}

static int on_payload(const struct mys_source *src, struct mys_xa *xa, const struct mys_event *ev,
                      struct cdc_error *err)
{
    if (!xa->payload)
        xa->payload = mys_payload_new(mys_event_max(&src->srv));
    if (!xa->payload)
        return cdc_fail_oom(err);
    mys_payload_start(xa->payload, ev->payload.packed, ev->payload.zstd, ev->payload.size);
    xa->in_payload = true;
    return CDC_OK;
}

/* Changes as statements can be among them; its other words are XA's. */
static int on_query(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                    struct cdc_error *err)
{
    struct mys_statement stmt;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    if (!arena)
        return cdc_fail_oom(err);
    int rc = mys_statement_read(src, ev, arena, &stmt, err);
    if (rc == CDC_OK && stmt.verb >= MYS_V_CREATE)
        rc = mys_statement_apply(src, batch, ev, &stmt, err);
    cdc_arena_free(arena);
    src->xa->preparer = ev->query.thread;
    src->xa->alone &= ev->server_id == src->facts.server_id;
    return rc;
}

/* The last of the event's rows is remembered, for in_doubt below. */
static int on_rows(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                   struct cdc_error *err)
{
    struct mys_doubt *doubt = &src->xa->doubt;
    const struct mys_rel *rel = mys_rel_find(src, ev->rows.map_id);
    size_t n = batch->n;
    if (mys_apply_rows(src, batch, ev, err) < 0)
        return CDC_FAIL;
    if (!src->facts.xa_doubt || src->xa->one_phase || !rel || !rel->tab)
        return CDC_OK;
    return batch->n > n ? mys_doubt_add(doubt, &batch->changes[batch->n - 1], err)
                        : mys_doubt_blind(doubt, rel->tab, err);
}

/* CDC_END: it was the last. */
static int on_event(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                    struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    if (ev->kind == MYS_FORMAT) {
        xa->fmt = ev->format;
        return CDC_OK;
    }
    if (ev->kind == MYS_GTID)
        return on_gtid(xa, ev, err);
    if (!xa->began && !xa->from)
        return CDC_OK;
    switch (ev->kind) {
    case MYS_PAYLOAD: return on_payload(src, xa, ev, err);
    case MYS_TABLE_MAP: return mys_rel_set(src, ev, err);
    case MYS_ROWS: return on_rows(src, batch, ev, err);
    case MYS_QUERY: return on_query(src, batch, ev, err);
    case MYS_XA_PREPARE: return CDC_END;
    default: return CDC_OK;
    }
}

/* Does the log say that it was committed, and the server may not have done it? */
static bool in_doubt(const struct mys_source *src)
{
    const struct mys_xa *xa = src->xa;
    bool own = xa->alone && xa->committer && xa->committer == xa->preparer;
    return src->facts.xa_doubt && !xa->one_phase && xa->doubt.rows && !own;
}

static int refute(struct mys_source *src, struct cdc_batch *batch, bool locked,
                  struct cdc_error *err)
{
    const struct mys_at *at = &src->tx.at;
    cdc_log(CDC_LOG_WARN,
            "mysql: the XA COMMIT at %s:%" PRIu64 " (%s) may not have been done by the server, as "
            "happens where it meets the end of the session that prepared: %s. Its tables are "
            "copied anew%s",
            at->file, at->pos, *at->id ? at->id : "no GTID",
            locked ? "its rows are locked still" : "none of its rows could be asked for by a key",
            locked ? ". If they stay locked: after a restart of the server XA RECOVER shows it, "
                     "to be committed or rolled back there"
                   : "");
    return mys_doubt_gap(src, batch, &src->xa->doubt, err);
}

/* Asks until the deadline. CDC_OK: it is known, or will never be. */
static int check(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                 struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    int rc;
    while ((rc = mys_doubt_ask(src, &xa->doubt, err)) == CDC_AGAIN) {
        int64_t now = cdc_mono_us();
        if (now >= xa->doubt_until_us)
            return refute(src, batch, true, err);
        if (now >= deadline_us)
            return CDC_AGAIN;
        nanosleep(&(struct timespec){.tv_nsec = ASK_NS}, NULL);
    }
    if (rc == CDC_OK)
        xa->believed[xa->n_believed++ % BELIEVED] = hash(&xa->xid);
    return rc == CDC_END ? refute(src, batch, false, err) : rc;
}

static int finish(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                  struct cdc_error *err)
{
    struct mys_xa *xa = src->xa;
    if (!xa->read)
        xa->doubt_until_us = cdc_mono_us() + DOUBT_US;
    xa->read = true;
    int rc = in_doubt(src) ? check(src, batch, deadline_us, err) : CDC_OK;
    if (rc != CDC_OK)
        return rc;
    stop(xa);
    if (xa->one_phase)
        mys_kept_forget(&xa->keep, &xa->at);
    else
        end(src, &xa->xid); /* and so forgotten likewise */
    return mys_apply_commit(src, batch, err);
}

int mys_xa_more(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                struct cdc_error *err)
{
    struct mys_event ev;
    if (src->xa->read)
        return finish(src, batch, deadline_us, err);
    for (unsigned n = 1; batch->n == 0 || !cdc_batch_full(batch); n++) {
        int rc = next(src->xa, deadline_us, &ev, err);
        if (rc == CDC_OK)
            rc = on_event(src, batch, &ev, err);
        if (rc == CDC_END)
            return finish(src, batch, deadline_us, err);
        if (rc != CDC_OK)
            return rc;
        if (!src->xa->from && (n & LOOK) == 0 && cdc_mono_us() >= deadline_us)
            return CDC_AGAIN;
    }
    return CDC_FULL;
}

void mys_xa_drop(struct mys_source *src)
{
    struct mys_xa *xa = src->xa;
    if (!xa)
        return;
    stop(xa);
    mys_keep_done(&xa->keep);
}

void mys_xa_done(struct mys_source *src)
{
    mys_xa_drop(src);
    free(src->xa);
    src->xa = NULL;
}
