/*
 * stream.c - the CopyBoth connection: reading, status, positions of an idle stream, waiting.
 *
 * Reading (measured, facts part 6): the walsender sends each row by itself, so a client that polls
 * is woken for each. After a drain that gave much we sleep 200 us, read the socket up to eight
 * times (unix; once on TCP), and drain again. When that gives nothing, or little, poll() with the
 * one deadline. libpq's buffer has no bound: it is only filled in between drains, never while the
 * queue is full.
 *
 * A batch is handed over when it is full, or half full at the end of a transaction (where any sink
 * can commit); at the end of a transaction when nothing more has arrived
 * (under load up to 2 ms later, so that short transactions share batches); at the deadline.
 *
 * Idle positions: a keepalive's wal_end says that every transaction that commits below it was sent.
 * With nothing open it becomes `idle:<wal_end>`, at most once a second or megabyte; at once when
 *  - the server wants an answer and what we have acked lags behind (it may be stopping, and waits
 * for that ack): urgent. Not durable 5 s later, and the server refuses new sessions: we disconnect,
 * so that it can stop although our sink is dead,
 *  - a large transaction was the last (a restart would have it sent again),
 *  - the end of the log as of the start is reached (caught up).
 */
#include "postgres.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_US    946684800000000
#define BUSY        32 /* messages in one drain that mean more is on its way */
#define QUICK       4  /* so many short waits in a row mean the same */
#define PAUSE_US    200
#define HOLD_US     2000    /* under load a batch waits so long for more */
#define SLICE_US    1000000 /* nothing is waited for longer in one piece */
#define CATCH_UP_US 100000
#define IDLE_US     1000000
#define IDLE_BYTES  ((uint64_t)1 << 20)
#define STOP_US     5000000
#define PING_US     2000000
#define WATCH_US    60000000
#define SQL_IDLE_US 15000000 /* longer than from one look at the log to the next */
#define NOTICE_US   60000000
#define START_TRIES 10

static void put64(uint8_t *to, uint64_t val)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(val >> (56 - i * 8));
}

static int64_t status_interval(const struct pgs_source *src)
{
    int64_t us = src->srv.status_us;
    if (src->ident.sender_timeout_us > 0 && src->ident.sender_timeout_us / 3 < us)
        us = src->ident.sender_timeout_us / 3;
    return !src->caught_up && us > CATCH_UP_US ? CATCH_UP_US : us;
}

int pgs_stream_status(struct pgs_source *src, bool ask, struct cdc_error *err)
{
    uint8_t msg[34] = {'r'};
    uint64_t lsn = src->flush < src->received ? src->flush : src->received;
    if (src->resume.kind != PGS_POS_NONE)
        lsn = 0; /* the slot stays where it is until we know that this is our server */
    put64(msg + 1, lsn);
    put64(msg + 9, lsn);
    put64(msg + 17, lsn);
    put64(msg + 25, (uint64_t)(cdc_now_us() - EPOCH_US));
    msg[33] = ask;
    int rc = PQputCopyData(src->wal, (const char *)msg, sizeof msg);
    if (rc < 0 || PQflush(src->wal) < 0)
        return pgs_fail(src->wal, NULL, NULL, err);
    src->status_due_us = cdc_mono_us() + (rc > 0 ? status_interval(src) : 10000);
    return CDC_OK;
}

/*
 * PostgreSQL 18 tells only with a warning (SQLSTATE 55000, naming it) that it goes on without the
 * publication. 17 and newer warn with each look when synchronized_standby_slots cannot be
 * satisfied, and hold the stream back; so the same words are logged once a minute.
 */
static void on_notice(void *arg, const PGresult *res)
{
    struct pgs_source *src = arg;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    int64_t now = cdc_mono_us();
    if (!text)
        return;
    bool ours = strstr(text, src->srv.pubs[PGS_PUB_ALL]) ||
                (src->srv.inserts && strstr(text, src->srv.pubs[PGS_PUB_INSERTS]));
    if (pgs_state_is(res, "55000") && ours && !strstr(text, "synchronized_standby_slots"))
        src->skipped = true;
    if (strncmp(src->notice, text, sizeof src->notice - 1) == 0 && now - src->notice_us < NOTICE_US)
        return;
    snprintf(src->notice, sizeof src->notice, "%s", text);
    src->notice_us = now;
    cdc_log(CDC_LOG_WARN, "postgres: the server says: %s", text);
}

static bool is_local(PGconn *conn)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof addr;
    return getsockname(PQsocket(conn), (struct sockaddr *)&addr, &len) == 0 &&
           addr.ss_family == AF_UNIX;
}

/* As an identifier inside a literal. */
static void put_name(struct cdc_buf *sql, const char *name)
{
    struct cdc_buf ident = CDC_BUF(256);
    pgs_ident_put(&ident, name);
    for (size_t i = 0; i < ident.len; i++) {
        if (ident.p[i] == '\'')
            cdc_buf_byte(sql, '\'');
        cdc_buf_byte(sql, ident.p[i]);
    }
    cdc_buf_done(&ident);
}

static void start_sql(const struct pgs_source *src, struct cdc_buf *sql)
{
    cdc_buf_printf(sql,
                   "START_REPLICATION SLOT \"%s\" LOGICAL " PGS_LSN_FMT
                   " (proto_version '1', publication_names '",
                   src->srv.slot, PGS_LSN(src->head.commit));
    put_name(sql, src->srv.pubs[PGS_PUB_ALL]);
    if (src->srv.inserts) {
        cdc_buf_byte(sql, ',');
        put_name(sql, src->srv.pubs[PGS_PUB_INSERTS]);
    }
    cdc_buf_str(sql, cdc_capture_messages(src->srv.cfg->capture) ? "', messages 'true')" : "')");
}

/* CDC_AGAIN: another session has the slot, often our own of before, for some moments. */
static int try_start(struct pgs_source *src, const char *sql, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = PQexec(src->wal, sql);
    if (PQresultStatus(res) == PGRES_COPY_BOTH)
        return CDC_OK;
    bool active = pgs_state_is(res, "55006");
    pgs_fail(src->wal, res, NULL, err);
    return active ? CDC_AGAIN : CDC_FAIL;
}

int pgs_stream_start(struct pgs_source *src, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(1024);
    start_sql(src, &sql);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? CDC_AGAIN : cdc_fail_oom(err);
    for (int i = 0; rc == CDC_AGAIN && i < START_TRIES; i++) {
        if (i > 0 && pgs_wait(src, -1, 0, cdc_mono_us() + CATCH_UP_US))
            break;
        rc = try_start(src, text, err);
    }
    cdc_buf_done(&sql);
    if (rc == CDC_AGAIN) {
        cdc_fail_in(err, "another instance of this pipeline probably runs; if it was killed, the "
                         "server lets go of it within wal_sender_timeout");
        return CDC_FAIL;
    }
    if (rc != CDC_OK)
        return rc;
    PQsetNoticeReceiver(src->wal, on_notice, src);
    PQsetnonblocking(src->wal, 1);
    src->local = is_local(src->wal);
    src->received = src->flush = src->head.commit;
    src->told = src->head.end;
    src->phase = PGS_STREAM;
    src->watch_us = src->poll_us = cdc_mono_us();
    cdc_log(CDC_LOG_INFO, "postgres: streaming from slot %s at " PGS_LSN_FMT, src->srv.slot,
            PGS_LSN(src->head.commit));
    return pgs_stream_status(src, true, err);
}

bool pgs_wait(struct pgs_source *src, int fd, short events, int64_t deadline_us)
{
    struct pollfd fds[2] = {{.fd = src->wake_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    int64_t left = deadline_us - cdc_mono_us();
    if (left > SLICE_US)
        left = SLICE_US;
    if (poll(fds, 2, left <= 0 ? 0 : (int)((left + 999) / 1000)) <= 0 || !(fds[0].revents & POLLIN))
        return false;
    uint64_t count;
    ssize_t n = read(src->wake_fd, &count, sizeof count);
    (void)n; /* only empties it */
    return true;
}

/* Everything that was sent to us, and nothing behind it, has been handed over or needs no telling.
 */
static bool at_rest(const struct pgs_source *src)
{
    return !src->tx.open && src->resume.kind == PGS_POS_NONE;
}

static int on_keepalive(struct pgs_source *src, const struct pgs_frame *frame,
                        struct cdc_error *err)
{
    if (frame->wal_end > src->wal_end)
        src->wal_end = frame->wal_end;
    if (!src->tx.open && src->resume.kind != PGS_POS_NONE && frame->wal_end > src->resume.commit)
        return cdc_fail(
            err, CDC_OPERATOR, "postgres",
            "the transaction at our position " PGS_LSN_FMT " (xid %u) was not sent again: "
            "this is another server or a restored backup. `sidestream drop`, an empty sink, "
            "and a new start begin again from now",
            PGS_LSN(src->resume.commit), src->resume.xid);
    if (!frame->reply)
        return CDC_OK;
    src->reply = src->flush < src->wal_end;
    return pgs_stream_status(src, false, err);
}

static int on_frame(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
                    struct cdc_error *err)
{
    struct pgs_frame frame;
    if (pgs_decode_frame(cdc_slice_of(data->raw, data->len), &frame, err) < 0)
        return CDC_FAIL;
    if (frame.wal_end > src->received)
        src->received = frame.wal_end;
    if (frame.kind == 'k')
        return on_keepalive(src, &frame, err);
    data->payload = frame.payload;
    data->sent_us = frame.sent_us;
    return pgs_apply(src, batch, data, err);
}

/* The server ended the copy: an error, or an orderly stop. */
static int ended(struct pgs_source *src, int code, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = code == -1 ? PQgetResult(src->wal) : NULL;
    if (code == -2 || PQresultStatus(res) == PGRES_FATAL_ERROR)
        return pgs_fail(src->wal, res, NULL, err);
    return cdc_fail(err, CDC_RETRY, "postgres",
                    "the server ended the stream; it is probably stopping");
}

static int unpublished(struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "postgres",
                    "the server streams on without our publication, and so without rows: it was "
                    "dropped, or made after the slot. `sidestream drop`, an empty sink, and a new "
                    "start begin again from now");
}

/* Takes what libpq has. CDC_OK: dry. CDC_FULL: the batch is. */
static int drain(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    src->burst = 0;
    while (batch->n == 0 || !cdc_batch_full(batch)) {
        struct pgs_data data = {.payload = 0};
        int n = PQgetCopyData(src->wal, &data.raw, 1);
        if (src->skipped) {
            PQfreemem(data.raw);
            return unpublished(err);
        }
        if (n == 0)
            return CDC_OK;
        if (n < 0)
            return ended(src, n, err);
        data.len = (size_t)n;
        int rc = on_frame(src, batch, &data, err);
        PQfreemem(data.raw);
        if (rc < 0)
            return rc;
        if (!src->tx.open && batch->n > 0 && cdc_batch_half(batch))
            return CDC_FULL;
        if ((++src->burst & 255) == 0 && cdc_mono_us() >= src->status_due_us &&
            pgs_stream_status(src, true, err) < 0)
            return CDC_FAIL;
    }
    return CDC_FULL;
}

static int consume(struct pgs_source *src, struct cdc_error *err)
{
    int times = src->local && (src->burst >= BUSY || src->quick >= QUICK) ? 8 : 1;
    for (int i = 0; i < times; i++) {
        int waiting = 1;
        if (i > 0 && ioctl(PQsocket(src->wal), FIONREAD, &waiting) == 0 && waiting == 0)
            break;
        if (!PQconsumeInput(src->wal))
            return pgs_fail(src->wal, NULL, NULL, err);
    }
    return CDC_OK;
}

static int set_position(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_pos *pos,
                        struct cdc_error *err)
{
    char text[PGS_POS_TEXT];
    pgs_pos_format(pos, text);
    (void)src;
    return cdc_batch_position(batch, cdc_slice_str(text), err);
}

/*
 * Inside a transaction: no position, or one that names the rows so far. Not behind a message that
 * was emitted since the last row: messages are not counted, so a position could not tell which of
 * those behind a row are out.
 */
static int hand_over_part(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    const struct pgs_tx *tx = &src->tx;
    batch->cut = CDC_CUT_NO;
    if (!src->srv.cfg->cuts || tx->skip || tx->n <= tx->skip_rows || tx->message)
        return CDC_OK;
    struct pgs_pos pos = {.kind = PGS_POS_CUT,
                          .commit = tx->commit,
                          .end = tx->commit,
                          .xid = tx->xid,
                          .n = tx->n,
                          .crc = tx->crc};
    batch->cut = CDC_CUT_TX;
    return set_position(src, batch, &pos, err);
}

static int hand_over(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    batch->read_us = cdc_now_us();
    if (src->tx.open)
        return hand_over_part(src, batch, err);
    batch->cut = CDC_CUT_END;
    batch->log_bytes = src->head.end - src->told;
    batch->urgent = src->reply;
    src->told = src->head.end;
    src->due = false;
    if (!src->caught_up && src->head.end >= src->target)
        src->caught_up = batch->caught_up = true;
    if (set_position(src, batch, &src->head, err) < 0)
        return CDC_FAIL;
    /* What lies behind a large transaction is asked for at once. */
    return src->big ? pgs_stream_status(src, true, err) : CDC_OK;
}

/* Is a position alone due, with nothing open and nothing else to tell? */
static bool idle_due(const struct pgs_source *src, int64_t now)
{
    uint64_t lsn = src->wal_end > src->head.end ? src->wal_end : src->head.end;
    if (!at_rest(src))
        return false;
    if (!src->caught_up && lsn >= src->target)
        return true;
    if (src->reply && src->flush < src->wal_end && !src->asked_us)
        return true;
    if (src->big && src->wal_end >= src->head.end)
        return true;
    if (lsn <= src->told)
        return false;
    return now - src->idle_told_us >= IDLE_US || lsn - src->told >= IDLE_BYTES;
}

static int hand_over_idle(struct pgs_source *src, struct cdc_batch *batch, int64_t now,
                          struct cdc_error *err)
{
    bool urgent = src->reply || src->big;
    if (src->wal_end > src->head.end || (urgent && src->wal_end == src->head.end))
        src->head =
            (struct pgs_pos){.kind = PGS_POS_IDLE, .commit = src->wal_end, .end = src->wal_end};
    if (src->reply) {
        src->asked_us = now;
        src->asked_lsn = src->head.commit;
    }
    src->big = src->big && src->head.kind != PGS_POS_IDLE;
    src->idle_told_us = now;
    if (hand_over(src, batch, err) < 0)
        return CDC_FAIL;
    batch->urgent = urgent;
    src->reply = false;
    return CDC_OK;
}

/* An urgent position is not durable after 5 s, and the server wants to stop: let it. */
static int check_stopping(struct pgs_source *src, int64_t now, struct cdc_error *err)
{
    if (!src->asked_us || now - src->asked_us < STOP_US || now - src->ping_us < PING_US)
        return CDC_OK;
    src->ping_us = now;
    if (!pgs_stopping(&src->srv))
        return CDC_OK;
    return cdc_fail(err, CDC_RETRY, "postgres",
                    "the server is shutting down and the sink does not get on: the connection was "
                    "released so that it can");
}

/* The look at the catalogue: new tables, a publication that went away. */
static int watch(struct pgs_source *src, int64_t now, struct cdc_error *err)
{
    struct cdc_error own = {.action = CDC_RETRY};
    if (src->srv.sql && now - src->srv.sql_used_us > SQL_IDLE_US)
        pgs_sql_close(&src->srv);
    if (now - src->watch_us < WATCH_US || src->tx.open)
        return CDC_OK;
    src->watch_us = now;
    if (pgs_publication_sync(&src->srv, false, &own) == CDC_OK)
        return CDC_OK;
    if (own.action == CDC_RETRY) { /* the stream may well be fine */
        cdc_log(CDC_LOG_WARN, "postgres: the look at the catalogue failed: %s", own.message);
        return CDC_OK;
    }
    return cdc_fail(err, own.action, own.where, "%s", own.message);
}

static int serve(struct pgs_source *src, int64_t now, struct cdc_error *err)
{
    if (now >= src->status_due_us && pgs_stream_status(src, true, err) < 0)
        return CDC_FAIL;
    if (check_stopping(src, now, err) < 0)
        return CDC_FAIL;
    return watch(src, now, err);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The one deadline of a wait. */
static int64_t wait_until(const struct pgs_source *src, int64_t deadline_us)
{
    int64_t until = earlier(deadline_us, src->status_due_us);
    if (at_rest(src) && (src->wal_end > src->told || src->head.end > src->told))
        until = earlier(until, src->idle_told_us + IDLE_US);
    return until;
}

/*
 * More is coming: let it gather. Otherwise wait for it. True: woken by pgs_wake.
 * More is coming when the last drain gave much, or when some waits in a row were short: then the
 * server sends rows faster than we sleep, one by one. (A transaction of one row takes three waits
 * at most.)
 */
static bool pause_or_wait(struct pgs_source *src, int64_t deadline_us)
{
    if (src->burst == 0 && src->quick >= QUICK)
        src->quick = 0; /* the pause brought nothing */
    if (src->burst >= BUSY || src->quick >= QUICK) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000}, NULL);
        return false;
    }
    int pending = PQflush(src->wal);
    int64_t start = cdc_mono_us();
    bool woken = pgs_wait(src, PQsocket(src->wal), (short)(POLLIN | (pending > 0 ? POLLOUT : 0)),
                          wait_until(src, deadline_us));
    src->quick = cdc_mono_us() - start < PAUSE_US ? src->quick + 1 : 0;
    return woken;
}

int pgs_stream_poll(struct pgs_source *src, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err)
{
    int64_t now = src->poll_us = cdc_mono_us(), hold_us = 0;
    bool woken = false;
    src->tx.out = NULL;
    for (;; now = cdc_mono_us()) {
        int rc = drain(src, batch, err);
        if (rc < 0 || serve(src, now, err) < 0)
            return CDC_FAIL;
        bool content = batch->n > 0 || (src->due && !src->tx.open);
        if (rc == CDC_FULL && content)
            return hand_over(src, batch, err);
        if (content && !src->tx.open) {
            hold_us = hold_us ? hold_us : now + HOLD_US;
            if ((src->burst < BUSY && src->quick < QUICK) || now >= hold_us)
                return hand_over(src, batch, err);
        }
        if (!content && idle_due(src, now))
            return hand_over_idle(src, batch, now, err);
        if (woken || now >= deadline_us)
            return content ? hand_over(src, batch, err) : CDC_AGAIN;
        woken = pause_or_wait(src, deadline_us);
        if (consume(src, err) < 0)
            return CDC_FAIL;
    }
}

int pgs_stream_keepalive(struct pgs_source *src, struct cdc_error *err)
{
    int64_t now = cdc_mono_us();
    if (PQflush(src->wal) < 0)
        return pgs_fail(src->wal, NULL, NULL, err);
    if (now >= src->status_due_us && pgs_stream_status(src, false, err) < 0)
        return CDC_FAIL;
    if (now - src->poll_us < PING_US || now - src->ping_us < PING_US)
        return CDC_OK;
    src->ping_us = now;
    if (!pgs_stopping(&src->srv))
        return CDC_OK;
    return cdc_fail(
        err, CDC_RETRY, "postgres",
        "the server is shutting down and the queue is full: the connection was released "
        "so that it can");
}
