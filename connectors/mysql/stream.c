/*
 * stream.c - from the dump's packets to batches: places, payloads, waiting, handing over.
 *
 * Places. An event does not say where it begins. src->file and src->pos do: they are told by the
 * ROTATE that the server makes up at the start and at each file, and followed from event to event.
 * What the server leaves out (GTIDs that we have) shows in the events' own end positions, which
 * hold 32 bits of 64: the nearest position with these bits is meant. Events that are made up (flag
 * ARTIFICIAL, or end position 0) take no room in the log. Those inside a payload have its place.
 *
 * Payloads. A compressed transaction is one packet; its events are taken one by one, and the dump
 * is not asked again before the last: so a batch may become full in the middle of it.
 *
 * Reading. The dump's thread puts packets into a ring; a wake-up for each would cost more than its
 * decoding. So after a drain that gave much we sleep 200 us and drain again; when that gives
 * nothing, or little, we wait in mys_dump_next with the one deadline.
 *
 * A batch is handed over when it is full, or half full at the end of a transaction (where any sink
 * can commit); at the end of a transaction when nothing more has arrived (under load up to 2 ms
 * later, so that short transactions share batches); at the deadline. With nothing captured, a
 * position alone is told every 10 s or 64 MiB of log, at the end of each file, and when all that
 * was there at the start is out.
 *
 * A server that was killed while it wrote a transaction leaves a piece of it at the end of a file
 * (MariaDB; MySQL cuts it off). A transaction never goes on in the next one, so what is open when a
 * file begins did not happen: what is in the batch is dropped, and where some of it was handed
 * over, perhaps committed (cut), every table is copied anew, which sweeps it. The piece may end
 * inside an event; then the server refuses to read on, and we ask for the next file by its name.
 *
 * The end of a file may be lost with whole transactions (power cut, sync_binlog off), which nothing
 * in it tells. But at its head each file names the transactions that were logged before it (MySQL
 * PREVIOUS_GTIDS, MariaDB GTID_LIST): all of those have passed here, or lie before our beginning.
 * One that neither did is missing: every table is copied anew.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUSY         32   /* events in one drain that mean more is on its way */
#define QUICK        4    /* so many short waits in a row mean the same */
#define DRAIN        4096 /* events, then we look around */
#define PAUSE_US     200
#define HOLD_US      2000 /* under load a batch waits so long for more */
#define IDLE_US      10000000
#define IDLE_BYTES   ((uint64_t)64 << 20)
#define XA_WAIT_US   100000
#define SQL_IDLE_US  15000000 /* longer than from one look at the log to the next */
#define POSITION_MAX ((size_t)16 << 20)
#define HEARTBEAT    27
#define FIRST_POS    4 /* of the first event of a file */

static int open_dump(struct mys_source *src, const struct mys_dump_start *start,
                     struct cdc_error *err)
{
    struct mys_dump *dump, *before = src->dump;
    if (mys_dump_open(&src->srv, &src->facts, start, &dump, err) < 0)
        return CDC_FAIL;
    pthread_mutex_lock(&src->dump_lock);
    src->dump = dump;
    pthread_mutex_unlock(&src->dump_lock);
    mys_dump_close(before);
    src->fmt = (struct mys_format){.checksum = src->facts.checksum, .mariadb = src->facts.mariadb};
    return CDC_OK;
}

int mys_stream_start(struct mys_source *src, struct cdc_error *err)
{
    const struct mys_dump_start start = {.gtids = src->facts.gtids ? &src->head.gtids : NULL,
                                         .file = src->head.file,
                                         .pos = src->head.pos};
    if (open_dump(src, &start, err) < 0)
        return CDC_FAIL;
    memcpy(src->file, src->head.file, sizeof src->file);
    src->pos = src->head.pos;
    src->idle_told_us = cdc_mono_us();
    src->phase = MYS_STREAM;
    cdc_log(CDC_LOG_INFO, "mysql: streaming from %s:%llu%s", src->head.file,
            (unsigned long long)src->head.pos, src->facts.gtids ? ", by GTIDs" : "");
    return CDC_OK;
}

/* ---- places ---- */

/* The 64-bit position nearest to `at` whose low half is `low`. */
static uint64_t nearest(uint64_t at, uint32_t low)
{
    uint32_t ahead = low - (uint32_t)at;
    uint64_t back = (uint64_t)UINT32_MAX + 1 - ahead;
    return ahead > INT32_MAX && at >= back + FIRST_POS ? at - back : at + ahead;
}

/* Moves src->pos behind the event; returns where it begins. */
static uint64_t pass(struct mys_source *src, const struct mys_event *ev)
{
    if (ev->next_pos == 0 || ev->flags & MYS_ARTIFICIAL || ev->type == HEARTBEAT)
        return src->pos; /* not in the log; see on_heartbeat */
    src->told_bytes += ev->len;
    src->pos = nearest(src->pos + ev->len, ev->next_pos);
    return src->pos - ev->len;
}

/*
 * No transaction is open: everything before src->pos is out. Only forward: after a start by GTIDs
 * the server begins at some event before our position, and leaves out what we have.
 */
static void move_head(struct mys_source *src)
{
    struct mys_pos *head = &src->head;
    if (mys_at_order(src->file, src->pos, head->file, head->pos) <= 0)
        return;
    memcpy(head->file, src->file, sizeof head->file);
    head->pos = src->pos;
    src->moved = true;
}

/* ---- events that are not of transactions ---- */

/* Some of a transaction that did not happen is out: the copies of all tables sweep it. */
static int sweep(struct mys_source *src, struct cdc_batch *batch, const struct mys_at *at,
                 struct cdc_error *err)
{
    src->tx = (struct mys_tx){.at = *at};
    src->due = true;
    return mys_gap_all(src, batch, NULL, "an incomplete transaction was read in parts", err);
}

/*
 * What is open did not happen: see above. Nor did the one whose first rows are out (a position
 * inside it) if a later file begins before it has come again.
 */
static int forget_open(struct mys_source *src, struct cdc_batch *batch, const char *file,
                       struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    bool cut = src->resume.kind == MYS_POS_CUT && mys_at_order(file, 0, src->resume.tx.file, 0) > 0;
    if (!tx->open && !cut)
        return CDC_OK;
    struct mys_at at = tx->open ? tx->at : src->resume.tx;
    bool out = tx->handed || cut;
    cdc_log(CDC_LOG_WARN,
            "mysql: the transaction at %s:%llu is incomplete, because the server was killed while "
            "it wrote it, and did not happen: left out",
            at.file, (unsigned long long)at.pos);
    while (tx->out && batch->n > 0 && batch->changes[batch->n - 1].tx == tx->out)
        batch->n--;
    if (out && sweep(src, batch, &at, err) < 0)
        return CDC_FAIL;
    *tx = (struct mys_tx){.open = false};
    if (cut)
        src->resume.kind = MYS_POS_NONE;
    mys_xa_drop(src);
    return CDC_OK;
}

static int miss(struct mys_source *src, struct cdc_batch *batch, const struct mys_at *at,
                const struct mys_gtids *logged, struct cdc_error *err)
{
    struct mys_gtids *have = &src->head.gtids;
    cdc_log(CDC_LOG_WARN,
            "mysql: the log's file %s names transactions before it that are not in the log: the "
            "server lost the end of an earlier file, behind %s (%s). Set sync_binlog = 1 there",
            at->file, *src->head.last.file ? src->head.last.file : "our beginning",
            *src->head.last.id ? src->head.last.id : "no transaction");
    src->tx = (struct mys_tx){.at = *at};
    src->due = true;
    int rc = mys_gap_all(src, batch, NULL, "the server's log has lost transactions", err);
    src->tx = (struct mys_tx){.open = false};
    if (rc < 0)
        return rc;
    rc = have->mariadb ? mys_list_union(&have->list, &logged->list)
                       : mys_set_union(&have->set, &logged->set);
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

typedef int (*event_fn)(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                        struct cdc_error *err);

static int on_rotate(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                     struct cdc_error *err)
{
    const struct cdc_slice *name = &ev->rotate.file;
    char file[MYS_FILE_MAX + 1];
    if (name->len > MYS_FILE_MAX || memchr(name->p, 0, name->len))
        return mys_malformed(ev->type, "it names no file", err);
    memcpy(file, name->p, name->len);
    file[name->len] = 0;
    if (forget_open(src, batch, file, err) < 0)
        return CDC_FAIL;
    if (strcmp(src->file, file) != 0)
        src->idle_told_us = 0; /* the end of one is worth a position */
    memcpy(src->file, file, name->len + 1);
    src->pos = ev->rotate.pos;
    return CDC_OK;
}

static int on_format(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                     struct cdc_error *err)
{
    if (forget_open(src, batch, src->file, err) < 0)
        return CDC_FAIL;
    if (ev->format.mariadb != src->facts.mariadb)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "a server of the other family (\"%s\") answers now: it was replaced, or "
                        "a proxy stands in between",
                        ev->format.server);
    src->fmt = ev->format;
    return CDC_OK;
}

/* Tells where the server is while it leaves out what we have, and where its log ends. */
static int on_heartbeat(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                        struct cdc_error *err)
{
    uint64_t pos = ev->heartbeat.pos;
    (void)batch, (void)err;
    if (src->tx.open || !cdc_slice_eq(ev->heartbeat.file, cdc_slice_str(src->file)))
        return CDC_OK;
    if (pos <= UINT32_MAX) /* the older form has no more bits */
        pos = nearest(src->pos, (uint32_t)pos);
    if (pos > src->pos)
        src->pos = pos;
    return CDC_OK;
}

static int on_incident(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                       struct cdc_error *err)
{
    (void)batch;
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the server notes at %s:%llu of its log that changes may be missing there "
                    "(incident %u; its error log says why). An empty sink and a new start copy "
                    "the tables anew and begin again from now",
                    src->file, (unsigned long long)src->pos, ev->incident);
}

static int on_payload(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                      struct cdc_error *err)
{
    (void)batch;
    if (!src->payload)
        src->payload = mys_payload_new(mys_event_max(&src->srv));
    if (!src->payload)
        return cdc_fail_oom(err);
    mys_payload_start(src->payload, ev->payload.packed, ev->payload.zstd, ev->payload.size);
    src->in_payload = src->fmt.inner = true;
    src->payload_pos = src->pos - ev->len;
    return CDC_OK;
}

/* Is anything missing of what this file says was logged before it? See above. One that lies before
 * our place is not asked: what MariaDB had before may have higher numbers (no gtid_strict_mode). */
static int on_logged(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                     struct cdc_error *err)
{
    struct mys_at at = {.pos = src->pos - ev->len, .us = (int64_t)ev->time_s * 1000000};
    struct mys_gtids logged = {.mariadb = src->facts.mariadb};
    bool made_up = ev->next_pos == 0 || ev->flags & MYS_ARTIFICIAL;
    memcpy(at.file, src->file, sizeof at.file);
    if (made_up || !src->facts.gtids || src->tx.open ||
        mys_at_order(at.file, at.pos, src->head.file, src->head.pos) < 0)
        return CDC_OK;
    int rc = logged.mariadb ? mys_list_decode(ev->body, &logged.list, err)
                            : mys_set_decode(ev->body, &logged.set, err);
    if (rc == CDC_OK && !mys_gtids_subset(&logged, &src->head.gtids))
        rc = miss(src, batch, &at, &logged, err);
    mys_gtids_done(&logged);
    return rc;
}

static int on_other(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                    struct cdc_error *err)
{
    (void)src, (void)batch, (void)ev, (void)err;
    return CDC_OK;
}

/* By type; what is not here is mys_apply's. */
static const event_fn own_events[256] = {
    [3] = on_other, /* STOP: the next file follows */
    [4] = on_rotate,     [15] = on_format,    [26] = on_incident,
    [27] = on_heartbeat, [35] = on_logged,                       /* PREVIOUS_GTIDS */
    [40] = on_payload,   [41] = on_heartbeat, [163] = on_logged, /* GTID_LIST */
};

static int on_event(struct mys_source *src, struct cdc_batch *batch, struct cdc_slice bytes,
                    struct cdc_error *err)
{
    struct mys_event ev;
    int rc;
    if (mys_decode_head(&src->fmt, bytes, &ev, err) < 0)
        return CDC_FAIL;
    if (src->in_payload)
        return mys_apply(src, batch, &ev, src->payload_pos, err);
    uint64_t pos = pass(src, &ev);
    event_fn own = own_events[ev.type];
    if (!own)
        rc = mys_apply(src, batch, &ev, pos, err);
    else
        rc = mys_decode(&src->fmt, &ev, err) < 0 ? CDC_FAIL : own(src, batch, &ev, err);
    if (rc == CDC_OK && !src->tx.open)
        move_head(src);
    return rc;
}

static int next_name(const char *file, char ret[MYS_FILE_MAX + 1])
{
    const char *dot = strrchr(file, '.');
    int head = dot ? (int)(dot + 1 - file) : 0, width = (int)strlen(file) - head;
    int n = snprintf(ret, MYS_FILE_MAX + 1, "%.*s%0*lu", head, file, width,
                     strtoul(file + head, NULL, 10) + 1);
    return dot && n > 0 && n <= MYS_FILE_MAX ? CDC_OK : CDC_FAIL;
}

/* The file ends inside an event. If it is not the last, the server was killed; numbers go up by
 * one. */
static int next_file(struct mys_source *src, struct cdc_error *err)
{
    char file[MYS_FILE_MAX + 1];
    const struct mys_dump_start start = {.file = file, .pos = FIRST_POS};
    struct mys_logs logs;
    if (mys_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    int rc = mys_logs_look(src->srv.sql, src->file, src->pos, &logs, err);
    if (rc == CDC_FAIL)
        return rc;
    if (rc == CDC_END || mys_at_order(logs.last, 0, src->file, 0) <= 0 ||
        next_name(src->file, file) < 0)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the server's log %s ends inside an event behind %llu%s; it is tried again",
                        src->file, (unsigned long long)src->pos,
                        rc == CDC_END ? ", and there is no right to see whether another file "
                                        "follows: GRANT REPLICATION CLIENT (MariaDB: BINLOG "
                                        "MONITOR) ON *.* TO the user of source.url"
                                      : "");
    cdc_log(CDC_LOG_WARN,
            "mysql: the log's file %s ends inside an event, because the server was killed while it "
            "wrote it: going on with %s",
            src->file, file);
    return open_dump(src, &start, err);
}

/* The next event. CDC_AGAIN: none until the deadline, or woken. */
static int next(struct mys_source *src, int64_t deadline_us, struct cdc_slice *ret,
                struct cdc_error *err)
{
    if (src->in_payload) {
        int rc = mys_payload_next(src->payload, ret, err);
        if (rc != CDC_END)
            return rc;
        src->in_payload = src->fmt.inner = false;
    }
    int rc = mys_dump_next(src->dump, deadline_us, ret, err);
    if (rc != CDC_END)
        return rc;
    return next_file(src, err) < 0 ? CDC_FAIL : CDC_AGAIN;
}

/* ---- handing over ---- */

int mys_tell(struct cdc_batch *batch, const struct mys_pos *pos, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(POSITION_MAX);
    mys_pos_print(pos, &text);
    int rc = text.failed ? cdc_fail_oom(err) : cdc_batch_position(batch, cdc_buf_slice(&text), err);
    cdc_buf_done(&text);
    return rc;
}

/* Inside a transaction: no position, or one that names the rows so far. */
static int hand_over_part(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    tx->handed |= tx->rows;
    batch->cut = CDC_CUT_NO;
    if (!src->srv.cfg->cuts || tx->skip || tx->n <= tx->skip_rows)
        return CDC_OK;
    struct mys_pos pos = src->head; /* lent */
    pos.kind = MYS_POS_CUT;
    pos.tx = tx->at;
    pos.n = tx->n;
    pos.crc = tx->crc;
    batch->cut = CDC_CUT_TX;
    return mys_tell(batch, &pos, err);
}

static bool reached(const struct mys_source *src)
{
    if (src->facts.gtids)
        return mys_gtids_subset(&src->target_gtids, &src->head.gtids);
    return mys_at_order(src->head.file, src->head.pos, src->target_file, src->target_pos) >= 0;
}

static int hand_over(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    batch->read_us = cdc_now_us();
    if (src->tx.open)
        return hand_over_part(src, batch, err);
    batch->cut = CDC_CUT_END;
    batch->log_bytes = src->told_bytes;
    src->told_bytes = 0;
    src->due = src->moved = false;
    src->idle_told_us = cdc_mono_us();
    if (!src->caught_up && reached(src))
        src->caught_up = batch->caught_up = true;
    return mys_tell(batch, &src->head, err);
}

static bool at_rest(const struct mys_source *src)
{
    return !src->tx.open && src->resume.kind == MYS_POS_NONE;
}

/* Is a position alone due, with nothing open and nothing else to tell? */
static bool idle_due(const struct mys_source *src, int64_t now)
{
    if (!at_rest(src))
        return false;
    if (!src->caught_up && reached(src))
        return true;
    return src->moved && (now - src->idle_told_us >= IDLE_US || src->told_bytes >= IDLE_BYTES);
}

/* ---- reading ---- */

/* The batch is full; or it is a good moment, at the end of a transaction. */
static bool full(const struct mys_source *src, const struct cdc_batch *batch)
{
    if (src->tx.open)
        return batch->n > 0 && cdc_batch_full(batch);
    return batch->n > 0 ? cdc_batch_half(batch) : src->moved && src->told_bytes >= IDLE_BYTES;
}

/* One event, if there is one now; first what is left of prepared rows that are read again. */
static int step(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct cdc_slice bytes;
    if (mys_xa_reading(src))
        return mys_xa_more(src, batch, cdc_mono_us() + XA_WAIT_US, err);
    int rc = next(src, 0, &bytes, err);
    return rc == CDC_OK ? on_event(src, batch, bytes, err) : rc;
}

/* Takes what is there. CDC_OK: dry, or DRAIN events. CDC_FULL: the batch is, or a position due. */
static int drain(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    for (src->burst = 0; src->burst < DRAIN; src->burst++) {
        int rc = step(src, batch, err);
        if (rc != CDC_OK)
            return rc == CDC_AGAIN ? CDC_OK : rc;
        if (full(src, batch))
            return CDC_FULL;
    }
    return CDC_OK;
}

static bool is_busy(const struct mys_source *src)
{
    return src->burst >= BUSY || src->quick >= QUICK;
}

/* The one deadline of a wait. */
static int64_t wait_until(const struct mys_source *src, int64_t deadline_us)
{
    int64_t idle_us = src->idle_told_us + IDLE_US;
    return at_rest(src) && src->moved && idle_us < deadline_us ? idle_us : deadline_us;
}

/*
 * More is coming: let it gather. Otherwise wait for it. More is coming when the last drain gave
 * much, or when some waits in a row were short.
 */
static int pause_or_wait(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                         struct cdc_error *err)
{
    if (src->burst == DRAIN || mys_xa_reading(src))
        return CDC_OK; /* not dry, or waited already */
    if (src->burst == 0 && src->quick >= QUICK)
        src->quick = 0; /* the pause brought nothing */
    if (is_busy(src)) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000}, NULL);
        return CDC_OK;
    }
    struct cdc_slice bytes;
    int64_t start = cdc_mono_us();
    int rc = next(src, wait_until(src, deadline_us), &bytes, err);
    src->quick = cdc_mono_us() - start < PAUSE_US ? src->quick + 1 : 0;
    if (rc == CDC_OK)
        rc = on_event(src, batch, bytes, err);
    return rc == CDC_AGAIN ? CDC_OK : rc;
}

static bool take_woken(struct mys_source *src)
{
    pthread_mutex_lock(&src->dump_lock);
    bool woken = src->woken;
    src->woken = false;
    pthread_mutex_unlock(&src->dump_lock);
    return woken;
}

int mys_stream_poll(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err)
{
    int64_t now = cdc_mono_us(), hold_us = 0;
    src->tx.out = NULL; /* it was in the batch before */
    if (src->srv.sql && now - src->srv.sql_used_us > SQL_IDLE_US)
        mys_sql_close(&src->srv);
    for (;; now = cdc_mono_us()) {
        int rc = drain(src, batch, err);
        if (rc < 0)
            return CDC_FAIL;
        bool content = batch->n > 0 || (src->due && !src->tx.open);
        if (rc == CDC_FULL && content)
            return hand_over(src, batch, err);
        if (content && !src->tx.open) {
            hold_us = hold_us ? hold_us : now + HOLD_US;
            if (!is_busy(src) || now >= hold_us)
                return hand_over(src, batch, err);
        }
        if (!content && idle_due(src, now))
            return hand_over(src, batch, err);
        if (take_woken(src) || now >= deadline_us)
            return content ? hand_over(src, batch, err) : CDC_AGAIN;
        if (pause_or_wait(src, batch, deadline_us, err) < 0)
            return CDC_FAIL;
    }
}
