/*
 * postgres.c - PostgreSQL as a source: options, life cycle, the ops.
 *
 *   open ─ checkpoint empty ─▶ SAY_CREATING ─▶ WAIT ─ack─▶ CREATE ─▶ CREATING ─▶ SAY_FIRST ─▶ WAIT
 * ─┐ ─ `creating` in it ──────────────────────────────▶ CREATE                               ack │
 *        ─ adopt_slot ──────────────────────────────────────────────────────────▶ SAY_FIRST │ ─
 * position, another timeline ─▶ SAY_FAILOVER ─▶ WAIT ─ack─▶ START ─▶ STREAM ◀──────────────┘ ─
 * position ───────────────────────────────────────────────▶ START
 *
 * What is emitted by SAY_... is alone in its batch and urgent; nothing is done at the server before
 * it is durable. STREAM is stream.c.
 */
#include "snap.h"

#include "cdc/clock.h"
#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BLAME_FIRST_US 3000000
#define BLAME_US       30000000

static const struct cdc_option options[] = {
    {.name = "url",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED | CDC_OPT_SECRET,
     .doc = "Where the database is: postgresql://user:password@host:5432/database, with libpq's "
            "parameters behind a `?`. No pooler in between."},
    {.name = "slot",
     .type = CDC_OPT_STRING,
     .doc = "Name of the replication slot. Default: sidestream_<name>."},
    {.name = "publication",
     .type = CDC_OPT_STRING,
     .doc = "Name of the publication. Default: sidestream_<name>."},
    {.name = "manage",
     .type = CDC_OPT_CHOICE,
     .choices = "all|slot|none",
     .dflt = "all",
     .doc = "What is made and dropped at the server: slot and publication, the slot, or nothing. "
            "`check` prints the SQL for the rest."},
    {.name = "partitions",
     .type = CDC_OPT_CHOICE,
     .choices = "root|leaf",
     .dflt = "root",
     .doc = "A partitioned table is captured as one table (root) or as its partitions (leaf)."},
    {.name = "failover",
     .type = CDC_OPT_BOOL,
     .dflt = "false",
     .doc =
         "Make the slot a failover slot, which standbys keep in step (PostgreSQL 17 and newer; see "
         "the standby's sync_replication_slots)."},
    {.name = "adopt_slot",
     .type = CDC_OPT_BOOL,
     .dflt = "false",
     .doc = "With an empty sink, begin at the confirmed position of a slot that exists already. "
            "Needed "
            "with `manage: none`."},
    {.name = "status_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "10s",
     .min = 100000,
     .max = 3600000000,
     .doc = "How often the server is told where we are at least; never less than three times per "
            "wal_sender_timeout."},
    {.name = "max_lag",
     .type = CDC_OPT_SIZE,
     .doc = "When the server keeps more of its log than this because of the pipeline, that is "
            "logged and /readyz fails, before the server's disk suffers. Default: no bound. Below "
            "max_slot_wal_keep_size, if that is set."},
    {.name = "max_row_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "256MiB",
     .min = 1024,
     .max = 1073741824,
     .doc =
         "A larger row, as it comes from the server, is refused. Rows take up to three times their "
         "size in memory."},
    {.name = "copy_split",
     .type = CDC_OPT_CHOICE,
     .choices = "auto|key|ctid",
     .dflt = "auto",
     .doc =
         "How tables are cut into ranges by the copy at the start: `key` ranges survive a "
         "restart, `ctid` ranges follow the heap. `auto`: by key from 1 GiB or 4 million rows on "
         "if the key follows the heap, else by ctid."},
    {.name = NULL}};

static struct pgs_source *self(struct cdc_source *src)
{
    return (struct pgs_source *)src;
}

static void pgs_close(struct cdc_source *base)
{
    struct pgs_source *src = self(base);
    if (src->wal && src->phase == PGS_STREAM && PQstatus(src->wal) == CONNECTION_OK &&
        pgs_stream_status(src, false, NULL) < 0)
        cdc_log(CDC_LOG_DEBUG, "postgres: the last status could not be sent");
    if (src->wal && src->phase == PGS_CREATING) {
        char text[256];
        PGcancel *cancel = PQgetCancel(src->wal);
        if (cancel && !PQcancel(cancel, text, sizeof text))
            cdc_log(CDC_LOG_DEBUG, "postgres: making the slot could not be cancelled");
        PQfreeCancel(cancel);
    }
    PQfinish(src->wal);
    PQfinish(src->holder.conn);
    pgs_rels_done(src);
    cdc_table_unref(src->messages);
    pgs_server_done(&src->srv);
    cdc_map_done(&src->known);
    pthread_mutex_destroy(&src->known_lock);
    if (src->wake_fd >= 0)
        close(src->wake_fd);
    free(src->room);
    free(src);
}

/* What no configuration can mend while we run. */
static int check_settings(struct pgs_source *src, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    if (pgs_query(&src->srv,
                  "SELECT current_setting('wal_level'), current_setting('server_encoding')", NULL,
                  &res, err) < 0)
        return CDC_FAIL;
    if (strcmp(PQgetvalue(res, 0, 0), "logical") != 0)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "wal_level is %s: ALTER SYSTEM SET wal_level = logical; then restart the "
                        "server",
                        PQgetvalue(res, 0, 0));
    if (strcmp(PQgetvalue(res, 0, 1), "SQL_ASCII") == 0)
        return cdc_fail(
            err, CDC_OPERATOR, "postgres",
            "the database has encoding SQL_ASCII, which says nothing about its bytes: dump "
            "it and restore it into a database with encoding UTF8");
    return CDC_OK;
}

/* Keeps what the checkpoint says of tables. */
static int keep_known(struct pgs_source *src, const struct cdc_map *checkpoint,
                      struct cdc_error *err)
{
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (kv->key.len > 6 && memcmp(kv->key.p, "table/", 6) == 0 && kv->value.p &&
            cdc_map_put(&src->known, kv->key, kv->value) < 0)
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

/* Before the slot exists nothing is changed; tables that cannot be captured are refused first. */
static int check_tables(struct pgs_source *src, struct cdc_error *err)
{
    struct pgs_tables tabs;
    if (src->phase != PGS_SAY_CREATING)
        return src->phase == PGS_CREATE ? CDC_OK : pgs_publication_sync(&src->srv, true, err);
    if (src->srv.manage != PGS_MANAGE_ALL)
        return pgs_publication_make(&src->srv, err);
    if (pgs_tables_look(&src->srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = pgs_tables_refuse(&tabs, err);
    pgs_tables_done(&tabs);
    return rc;
}

static int open_session(struct pgs_source *src, const struct cdc_map *checkpoint,
                        struct cdc_error *err)
{
    if (pgs_connect(&src->srv, true, &src->wal, err) < 0 ||
        pgs_identify(src->wal, &src->ident, err) < 0 || check_settings(src, err) < 0 ||
        keep_known(src, checkpoint, err) < 0 || pgs_slot_resume(src, checkpoint, err) < 0 ||
        check_tables(src, err) < 0)
        return CDC_FAIL;
    src->target = src->ident.lsn;
    if (src->resume.kind != PGS_POS_NONE)
        src->head = src->resume;
    if (src->resume.kind == PGS_POS_IDLE)
        src->resume.kind = PGS_POS_NONE; /* nothing comes twice */
    src->told = src->head.end;
    return CDC_OK;
}

static int pgs_open(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                    struct cdc_source **ret, struct cdc_error *err)
{
    struct pgs_source *src = calloc(1, sizeof *src);
    if (!src)
        return cdc_fail_oom(err);
    src->base.ops = &cdc_source_postgres;
    cdc_map_init(&src->known);
    pthread_mutex_init(&src->known_lock, NULL);
    src->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    src->room = malloc(sizeof *src->room);
    int rc =
        src->wake_fd < 0 || !src->room ? cdc_fail_oom(err) : pgs_server_init(&src->srv, cfg, err);
    if (rc == CDC_OK)
        rc = open_session(src, checkpoint, err);
    if (rc != CDC_OK) {
        pgs_close(&src->base);
        return rc;
    }
    *ret = &src->base;
    return CDC_OK;
}

static int set_source(const struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct cdc_buf json = CDC_BUF(4096);
    int rc = pgs_fingerprint(src, &json);
    rc = rc == CDC_OK ? cdc_batch_set(batch, "source", cdc_buf_slice(&json), err)
                      : cdc_fail_oom(err);
    cdc_buf_done(&json);
    return rc;
}

/* What all of the lone, urgent batches have in common. */
static int said(struct pgs_source *src, struct cdc_batch *batch, enum pgs_phase then,
                struct cdc_error *err)
{
    batch->cut = CDC_CUT_END;
    batch->urgent = true;
    batch->read_us = cdc_now_us();
    src->phase = PGS_WAIT;
    src->then = then;
    return set_source(src, batch, err);
}

static int say_creating(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct cdc_buf json = CDC_BUF(4096);
    int rc = pgs_fingerprint(src, &json);
    rc = rc == CDC_OK ? cdc_batch_set(batch, "creating", cdc_buf_slice(&json), err)
                      : cdc_fail_oom(err);
    cdc_buf_done(&json);
    return rc == CDC_OK ? said(src, batch, PGS_CREATE, err) : rc;
}

static int say_position(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    char text[PGS_POS_TEXT];
    pgs_pos_format(&src->head, text);
    return cdc_batch_position(batch, cdc_slice_str(text), err);
}

static int say_first(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    if (say_position(src, batch, err) < 0 ||
        cdc_batch_set(batch, "creating", cdc_slice_of(NULL, 0), err) < 0)
        return CDC_FAIL;
    if (src->head.end >= src->target)
        src->caught_up = batch->caught_up = true;
    return said(src, batch, PGS_START, err);
}

static int say_failover(struct pgs_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", src->incarnation);
    cdc_log(CDC_LOG_INFO, "postgres: the server was replaced by a standby (timeline %u)",
            src->ident.timeline);
    if (say_position(src, batch, err) < 0 ||
        cdc_batch_set(batch, "incarnation", cdc_slice_str(number), err) < 0)
        return CDC_FAIL;
    return said(src, batch, PGS_START, err);
}

static int create(struct pgs_source *src, struct cdc_error *err)
{
    CDC_POINT("postgres.creating");
    if (pgs_publication_make(&src->srv, err) < 0)
        return CDC_FAIL;
    CDC_POINT("postgres.publication_made");
    if (pgs_slot_create(src, err) < 0)
        return CDC_FAIL;
    src->phase = PGS_CREATING;
    src->retry_us = cdc_mono_us() + BLAME_FIRST_US;
    return CDC_OK;
}

/* The slot is being made: wait for it, and say now and then what it waits for. */
static int creating(struct pgs_source *src, int64_t deadline_us, struct cdc_error *err)
{
    uint64_t lsn;
    int rc = pgs_slot_created(src, &lsn, err);
    if (rc == CDC_OK) {
        src->head = (struct pgs_pos){.kind = PGS_POS_IDLE, .commit = lsn, .end = lsn};
        src->phase = PGS_SAY_FIRST;
        cdc_log(CDC_LOG_INFO, "postgres: slot %s made at " PGS_LSN_FMT, src->srv.slot,
                PGS_LSN(lsn));
        return CDC_OK;
    }
    if (rc != CDC_AGAIN)
        return rc;
    if (cdc_mono_us() >= src->retry_us) {
        src->retry_us = cdc_mono_us() + BLAME_US;
        pgs_slot_blame(src);
    }
    pgs_wait(src, PQsocket(src->wal), POLLIN, deadline_us);
    return CDC_AGAIN;
}

static int pgs_poll(struct cdc_source *base, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err)
{
    struct pgs_source *src = self(base);
    for (;;) {
        int rc = CDC_OK;
        switch (src->phase) {
        case PGS_SAY_CREATING: return say_creating(src, batch, err);
        case PGS_SAY_FIRST: return say_first(src, batch, err);
        case PGS_SAY_FAILOVER: return say_failover(src, batch, err);
        case PGS_WAIT: pgs_wait(src, -1, 0, deadline_us); return CDC_AGAIN;
        case PGS_CREATE: rc = create(src, err); break;
        case PGS_CREATING: rc = creating(src, deadline_us, err); break;
        case PGS_START: rc = pgs_stream_start(src, err); break;
        case PGS_STREAM: return pgs_stream_poll(src, batch, deadline_us, err);
        }
        if (rc < 0 || (rc == CDC_AGAIN && cdc_mono_us() >= deadline_us))
            return rc;
    }
}

static int pgs_keepalive(struct cdc_source *base, struct cdc_error *err)
{
    struct pgs_source *src = self(base);
    return src->phase == PGS_STREAM ? pgs_stream_keepalive(src, err) : CDC_OK;
}

static int pgs_ack(struct cdc_source *base, struct cdc_slice committed, struct cdc_error *err)
{
    struct pgs_source *src = self(base);
    struct pgs_pos pos = {.kind = PGS_POS_NONE};
    if (committed.p && pgs_pos_parse(committed, &pos) < 0)
        return cdc_fail(err, CDC_FATAL, "position",
                        "the position to acknowledge is not one of ours");
    if (src->phase == PGS_WAIT)
        src->phase = src->then;
    if (src->phase != PGS_STREAM || pos.kind == PGS_POS_NONE)
        return CDC_OK;
    if (pos.commit > src->flush)
        src->flush = pos.commit;
    if (src->asked_us && src->flush >= src->asked_lsn)
        src->asked_us = 0;
    if (src->flush >= src->wal_end)
        src->reply = false;
    return pgs_stream_status(src, false, err);
}

/* Before any transaction: right below what comes, and of none, not even an empty one. */
static int pgs_last(struct cdc_source *base, struct cdc_tx *ret, struct cdc_error *err)
{
    struct pgs_source *src = self(base);
    struct pgs_done *done = &src->done;
    char place[CDC_PLACE_LEN + 1];
    if (src->head.kind == PGS_POS_NONE)
        return cdc_fail(err, CDC_FATAL, "postgres", "the stream has no beginning yet");
    uint64_t at = done->commit;
    if (at == 0 && src->head.kind == PGS_POS_TX) { /* of the session before */
        at = done->commit = src->head.commit;
        done->commit_us = src->head.commit_us;
        done->xid = src->head.xid;
    } else if (at == 0) {
        at = src->head.commit - 1;
    }
    snprintf(place, sizeof place, "%024" PRIx64, at);
    snprintf(done->id, sizeof done->id, "%" PRIu32, done->xid);
    if (done->commit == 0)
        done->id[0] = 0;
    *ret = (struct cdc_tx){.id = cdc_slice_str(done->id), .commit_us = done->commit_us};
    memcpy(ret->place, place, CDC_PLACE_LEN);
    return CDC_OK;
}

static void pgs_copied(struct cdc_source *base)
{
    struct pgs_source *src = self(base);
    if (src->holder.conn)
        cdc_log(CDC_LOG_INFO, "postgres: the snapshot of the start is given up");
    PQfinish(src->holder.conn);
    src->holder.conn = NULL;
}

static void pgs_wake(struct cdc_source *base)
{
    uint64_t one = 1;
    ssize_t n = write(self(base)->wake_fd, &one, sizeof one);
    (void)n; /* only fails when it is set already */
}

const struct cdc_source_ops cdc_source_postgres = {
    .name = "postgres",
    .doc = "PostgreSQL 14 and newer, by logical replication (pgoutput).",
    .options = options,
    .check = pgs_check,
    .open = pgs_open,
    .poll = pgs_poll,
    .keepalive = pgs_keepalive,
    .ack = pgs_ack,
    .look = pgs_look,
    .drop = pgs_drop,
    .propose = pgs_propose,
    .wake = pgs_wake,
    .close = pgs_close,
    .view = &pgs_view,
    .snap = &pgs_snap,
    .last = pgs_last,
    .copied = pgs_copied,
};
