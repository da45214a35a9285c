/*
 * mysql.c - MySQL and MariaDB as a source: options, life cycle, the ops.
 *
 *   open ─ checkpoint empty ──────────────▶ SAY_FIRST ─────▶ WAIT ─ack─▶ START ─▶ STREAM
 *        ─ position, another server ──────▶ SAY_FAILOVER ──▶ WAIT ─ack─▶ START ─▶ STREAM
 *        ─ position ────────────────────────────────────────────────────▶ START ─▶ STREAM
 *
 * What is emitted by SAY_... is alone in its batch and urgent; nothing is read before it is
 * durable. STREAM is stream.c. Nothing is made at the server, so there is nothing to drop, and an
 * ack releases nothing there.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct cdc_option options[] = {
    {.name = "url",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED | CDC_OPT_SECRET,
     .doc =
         "Where the server is: mysql://user:password@host:3306/ (or mariadb://), with parameters "
         "behind a `?`: tls=off|preferred|required|verify, ca=FILE, fingerprint=SHA1, "
         "socket=PATH. No pooler in between."},
    {.name = "server_id",
     .type = CDC_OPT_INT,
     .min = 1,
     .max = UINT32_MAX,
     .doc = "Our id among the server's replicas, unlike that of every other. Default: made of the "
            "pipeline's name."},
    {.name = "heartbeat",
     .type = CDC_OPT_DURATION,
     .dflt = "5s",
     .min = 1000000,
     .max = 600000000,
     .doc = "How often an idle server says that it is there; three times that without a word, and "
            "the connection counts as lost."},
    {.name = "max_lag",
     .type = CDC_OPT_SIZE,
     .doc = "When more of the server's log than this is not read yet, that is logged and /readyz "
            "fails, before the server deletes it. Default: no bound. Below what the server keeps "
            "(binlog_expire_logs_seconds)."},
    {.name = "max_row_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "256MiB",
     .min = 1024,
     .max = 1073741824,
     .doc =
         "A larger row, as it comes from the server, is refused. Rows take up to three times their "
         "size in memory."},
    {.name = "lock",
     .type = CDC_OPT_CHOICE,
     .choices = "auto|never",
     .dflt = "auto",
     .doc = "`auto`: the copy at the start opens its sessions under a global read lock of some "
            "milliseconds, if the right to it (RELOAD) is there and it is had within seconds. "
            "`never`: without; what was written meanwhile may then come twice, as copied row and "
            "as change."},
    {.name = "accept",
     .type = CDC_OPT_LIST,
     .doc = "What is otherwise refused because changes may be missing or misread: minimal_metadata "
            "(binlog_row_metadata below FULL), cascades (foreign keys whose effects are not "
            "logged), statements (changes logged as SQL only warn)."},
    {.name = NULL}};

static struct mys_source *self(struct cdc_source *src)
{
    return (struct mys_source *)src;
}

/* Taken out under the lock: wake may come at any time. */
static void close_dump(struct mys_source *src)
{
    pthread_mutex_lock(&src->dump_lock);
    struct mys_dump *dump = src->dump;
    src->dump = NULL;
    pthread_mutex_unlock(&src->dump_lock);
    mys_dump_close(dump);
}

static void mys_close(struct cdc_source *base)
{
    struct mys_source *src = self(base);
    close_dump(src);
    mys_xa_done(src);
    mys_payload_free(src->payload);
    mys_start_release(src);
    mys_rels_done(src);
    if (src->look)
        mysql_close(src->look);
    mys_server_done(&src->srv);
    mys_pos_done(&src->head);
    mys_gtids_done(&src->target_gtids);
    cdc_map_done(&src->known);
    pthread_mutex_destroy(&src->known_lock);
    pthread_mutex_destroy(&src->dump_lock);
    pthread_mutex_destroy(&src->holder.lock);
    pthread_cond_destroy(&src->wake_cond);
    free(src);
}

/* Keeps what the checkpoint says of tables, and the incarnation. */
static int keep_known(struct mys_source *src, const struct cdc_map *checkpoint,
                      struct cdc_error *err)
{
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        bool table = kv->key.len > 6 && memcmp(kv->key.p, "table/", 6) == 0;
        bool wanted = table || cdc_slice_eq(kv->key, cdc_slice_str("incarnation"));
        if (wanted && kv->value.p && cdc_map_put(&src->known, kv->key, kv->value) < 0)
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

/* What is there now: caught up is whoever has it. At a first start that is where it begins. */
static int set_target(struct mys_source *src, struct cdc_error *err)
{
    struct mys_pos end = {.kind = MYS_POS_NONE};
    src->target_gtids.mariadb = src->facts.mariadb;
    if (src->phase == MYS_SAY_FIRST) {
        memcpy(src->target_file, src->head.file, sizeof src->target_file);
        src->target_pos = src->head.pos;
        return mys_gtids_copy(&src->head.gtids, &src->target_gtids) < 0 ? cdc_fail_oom(err)
                                                                        : CDC_OK;
    }
    if (src->facts.gtids)
        return mys_executed(src->srv.sql, &src->facts, &src->target_gtids, err);
    if (mys_log_end(src->srv.sql, &src->facts, &end, err) < 0)
        return CDC_FAIL;
    memcpy(src->target_file, end.file, sizeof src->target_file);
    src->target_pos = end.pos;
    mys_pos_done(&end);
    return CDC_OK;
}

static int open_session(struct mys_source *src, const struct cdc_map *checkpoint,
                        struct cdc_error *err)
{
    if (mys_sql(&src->srv, err) < 0 || mys_facts_read(src->srv.sql, &src->facts, err) < 0 ||
        keep_known(src, checkpoint, err) < 0 || mys_resume(src, checkpoint, err) < 0)
        return CDC_FAIL;
    return set_target(src, err);
}

static void init_locks(struct mys_source *src)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&src->wake_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&src->known_lock, NULL);
    pthread_mutex_init(&src->dump_lock, NULL);
    pthread_mutex_init(&src->holder.lock, NULL);
}

static int mys_open(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                    struct cdc_source **ret, struct cdc_error *err)
{
    struct mys_source *src = calloc(1, sizeof *src);
    if (!src)
        return cdc_fail_oom(err);
    src->base.ops = &cdc_source_mysql;
    cdc_map_init(&src->known);
    init_locks(src);
    int rc = mys_server_init(&src->srv, cfg, err);
    if (rc == CDC_OK)
        rc = open_session(src, checkpoint, err);
    if (rc != CDC_OK) {
        mys_close(&src->base);
        return rc;
    }
    *ret = &src->base;
    return CDC_OK;
}

/* ---- what is said before anything is read ---- */

static int say_source(const struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct cdc_buf json = CDC_BUF(4096);
    int rc = mys_fingerprint(src, &json);
    rc = rc == CDC_OK ? cdc_batch_set(batch, "source", cdc_buf_slice(&json), err)
                      : cdc_fail_oom(err);
    cdc_buf_done(&json);
    return rc;
}

/* What both lone, urgent batches have in common. */
static int say(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    batch->cut = CDC_CUT_END;
    batch->urgent = true;
    batch->read_us = cdc_now_us();
    src->phase = MYS_WAIT;
    return mys_tell(batch, &src->head, err) < 0 ? CDC_FAIL : say_source(src, batch, err);
}

static int say_first(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    src->caught_up = batch->caught_up = true;
    return say(src, batch, err);
}

static int say_failover(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", src->incarnation);
    if (cdc_batch_set(batch, "incarnation", cdc_slice_str(number), err) < 0)
        return CDC_FAIL;
    return say(src, batch, err);
}

static void wait_woken(struct mys_source *src, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / 1000000,
                             .tv_nsec = deadline_us % 1000000 * 1000};
    int rc = 0;
    pthread_mutex_lock(&src->dump_lock);
    while (!src->woken && rc == 0)
        rc = pthread_cond_timedwait(&src->wake_cond, &src->dump_lock, &until);
    src->woken = false;
    pthread_mutex_unlock(&src->dump_lock);
}

/* ---- the ops ---- */

static int mys_poll(struct cdc_source *base, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err)
{
    struct mys_source *src = self(base);
    switch (src->phase) {
    case MYS_SAY_FIRST: return say_first(src, batch, err);
    case MYS_SAY_FAILOVER: return say_failover(src, batch, err);
    case MYS_WAIT: wait_woken(src, deadline_us); return CDC_AGAIN;
    case MYS_START:
        if (mys_stream_start(src, err) < 0)
            return CDC_FAIL;
        break;
    case MYS_STREAM: break;
    }
    return mys_stream_poll(src, batch, deadline_us, err);
}

/* The server waits for nothing but room in the ring and in the socket; see net_write_timeout. */
static int mys_keepalive(struct cdc_source *base, struct cdc_error *err)
{
    (void)base, (void)err;
    return CDC_OK;
}

static int mys_ack(struct cdc_source *base, struct cdc_slice committed, struct cdc_error *err)
{
    struct mys_source *src = self(base);
    (void)err;
    if (src->phase == MYS_WAIT && committed.p)
        src->phase = MYS_START;
    return CDC_OK;
}

static int mys_last(struct cdc_source *base, struct cdc_tx *ret, struct cdc_error *err)
{
    struct mys_source *src = self(base);
    const struct mys_pos *head = &src->head;
    const struct mys_at *last = &head->last;
    char place[CDC_PLACE_LEN + 1];
    bool any = last->file[0];
    int rc =
        any ? mys_place(last->file, last->pos, place) : mys_place(head->file, head->pos - 1, place);
    if (head->kind == MYS_POS_NONE || rc < 0)
        return cdc_fail(err, CDC_FATAL, "mysql", "the stream has no beginning yet");
    *ret =
        (struct cdc_tx){.id = cdc_slice_str(any ? last->id : ""), .commit_us = any ? last->us : 0};
    memcpy(ret->place, place, CDC_PLACE_LEN);
    return CDC_OK;
}

static void mys_copied(struct cdc_source *base)
{
    mys_start_release(self(base));
}

static void mys_wake(struct cdc_source *base)
{
    struct mys_source *src = self(base);
    pthread_mutex_lock(&src->dump_lock);
    src->woken = true;
    pthread_cond_signal(&src->wake_cond);
    if (src->dump)
        mys_dump_wake(src->dump);
    pthread_mutex_unlock(&src->dump_lock);
}

const struct cdc_source_ops cdc_source_mysql = {
    .name = "mysql",
    .doc = "MySQL 8.0 and newer and MariaDB 10.5 and newer, by the binary log (row format).",
    .options = options,
    .check = mys_check,
    .open = mys_open,
    .poll = mys_poll,
    .keepalive = mys_keepalive,
    .ack = mys_ack,
    .look = mys_look,
    .propose = mys_propose,
    .wake = mys_wake,
    .close = mys_close,
    .view = &mys_view,
    .snap = &mys_snap,
    .last = mys_last,
    .copied = mys_copied,
};
