/*
 * intake.c - the source's side of a session: poll, push, acknowledge, and keep the connection
 * served while the queue is full.
 *
 * It ends when told to stop, when the configuration was read again (at a cut, however long that
 * takes), when everything is caught up (and that was asked for), when the source
 * has an end, or when either side fails. Ending in good order means: no more reading, but serving
 * the connection until the sink thread has committed what is complete and the source knows it. A
 * source that failed by CDC_RETRY still lets the sink commit what came in complete: otherwise a
 * connection that breaks more often than the commit interval would never get on.
 */
#include "pipeline/session.h"

#include "cdc/clock.h"

#define POLL_US    1000000  /* a poll with nothing to do looks around this often */
#define SLICE_US   100000   /* between two calls of keepalive */
#define LAST_TX_US 10000000 /* after a stop, the open transaction has so long to end */

static int pass_ack(struct cdc_run *run, struct cdc_error *err)
{
    pthread_mutex_lock(&run->lock);
    bool due = run->ack_due;
    struct cdc_buf position = CDC_BUF(run->ack.max);
    if (due)
        cdc_buf_put(&position, run->ack.p, run->ack.len);
    struct cdc_slice committed = run->ack_none ? cdc_slice_of(NULL, 0) : cdc_buf_slice(&position);
    run->ack_due = false;
    pthread_mutex_unlock(&run->lock);
    int rc = CDC_OK;
    if (due)
        rc = position.failed ? cdc_fail_oom(err)
                             : run->source->ops->ack(run->source, committed, err);
    cdc_buf_done(&position);
    return rc;
}

static bool sink_done(struct cdc_run *run)
{
    return atomic_load(&run->sink_done);
}

/* Waits up to a slice for the session to change (the sink's end, a stop). */
static void wait_slice(struct cdc_run *run)
{
    int64_t until = cdc_mono_us() + SLICE_US;
    struct timespec ts = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    pthread_mutex_lock(&run->lock);
    if (!atomic_load(&run->sink_done) && !run->ack_due)
        pthread_cond_timedwait(&run->changed, &run->lock, &ts);
    pthread_mutex_unlock(&run->lock);
}

/* CDC_OK: pushed. CDC_END: the queue takes nothing more. The batch is gone in every case. */
static int push(struct cdc_run *run, struct cdc_batch *batch, struct cdc_error *err)
{
    for (;;) {
        int rc = cdc_queue_push(run->queue, batch);
        if (rc == CDC_OK)
            return CDC_OK;
        if (rc == CDC_AGAIN)
            rc = run->source->ops->keepalive(run->source, err);
        if (rc == CDC_OK)
            rc = pass_ack(run, err);
        if (rc != CDC_OK) {
            cdc_batch_unref(batch);
            return rc;
        }
        cdc_look(run);
        cdc_pool_wait(run->pool, cdc_mono_us() + SLICE_US);
    }
}

struct intake {
    bool at_cut;          /* the last batch pushed ended at a cut, or none was */
    bool last;            /* nothing more is to be read of the stream */
    int64_t stop_seen_us; /* 0: not asked to stop */
};

/* Has the time come to read no more? After a stop, the open transaction may still end. */
static bool enough(struct cdc_run *run, struct intake *in)
{
    if (sink_done(run))
        return true;
    if (!atomic_load(&run->stop))
        return in->at_cut && atomic_load(&run->renew);
    int64_t now = cdc_mono_us();
    if (in->stop_seen_us == 0)
        in->stop_seen_us = now;
    return in->at_cut || now - in->stop_seen_us > LAST_TX_US;
}

/*
 * What a copy of tables wants before the next poll. CDC_AGAIN: come again instead of polling: the
 * intake is held, or only copies are still waited for. CDC_END: these are done too.
 */
static int visit(struct cdc_run *run, struct intake *in, struct cdc_error *err)
{
    int rc = in->at_cut ? cdc_copier_visit(run->copier, err) : CDC_OK;
    bool held = rc == CDC_AGAIN;
    if (rc == CDC_OK && in->last)
        rc = cdc_copier_idle(run->copier) ? CDC_END : CDC_AGAIN;
    if (rc != CDC_AGAIN)
        return rc;
    if (run->source->ops->keepalive(run->source, err) < 0)
        return CDC_FAIL;
    cdc_copier_wait(run->copier, held, cdc_mono_us() + SLICE_US);
    return CDC_AGAIN;
}

/* One poll and what follows from it. CDC_END: read no more. */
static int step(struct cdc_run *run, struct intake *in, struct cdc_error *err)
{
    if (pass_ack(run, err) < 0)
        return CDC_FAIL;
    cdc_look(run);
    int rc = visit(run, in, err);
    if (rc != CDC_OK)
        return rc == CDC_AGAIN ? CDC_OK : rc;
    struct cdc_batch *batch = cdc_pool_batch(run->pool);
    if (!batch)
        return cdc_fail_oom(err);
    rc = run->source->ops->poll(run->source, batch, cdc_mono_us() + POLL_US, err);
    if (rc == CDC_AGAIN || rc < 0) {
        cdc_batch_unref(batch);
        if (rc == CDC_AGAIN)
            cdc_metrics_dry(run->metrics);
        return rc < 0 ? CDC_FAIL : CDC_OK;
    }
    batch->read_us = cdc_now_us();
    cdc_metrics_received(run->metrics, batch);
    enum cdc_cut cut = batch->cut;
    in->last = rc == CDC_END || (batch->caught_up && run->opt->until_caught_up);
    if (rc == CDC_END && batch->n == 0 && batch->delta.n == 0) {
        cdc_batch_unref(batch);
        return CDC_OK;
    }
    cdc_copier_pushed(run->copier, batch);
    rc = push(run, batch, err);
    if (rc != CDC_OK)
        return rc;
    in->at_cut = cut == CDC_CUT_END;
    return CDC_OK;
}

/* Nothing more is read; the sink finishes, the source's connection stays served. */
static int finish(struct cdc_run *run, struct cdc_error *err)
{
    cdc_queue_drain(run->queue);
    while (!sink_done(run)) {
        if (run->source->ops->keepalive(run->source, err) < 0 || pass_ack(run, err) < 0)
            return CDC_FAIL;
        wait_slice(run);
    }
    return pass_ack(run, err);
}

/* The source failed: the sink may commit what is complete, if the world only has to mend. */
static void wind_up(struct cdc_run *run, const struct cdc_error *err)
{
    if (err->action == CDC_RETRY)
        cdc_queue_drain(run->queue);
    else
        cdc_queue_abort(run->queue);
}

int cdc_intake_run(struct cdc_run *run, struct cdc_error *err)
{
    struct intake in = {.at_cut = true};
    int rc = CDC_OK;
    while (rc == CDC_OK && !enough(run, &in))
        rc = step(run, &in, err);
    cdc_copier_stop(run->copier);
    if (rc >= 0)
        rc = finish(run, err);
    if (rc < 0)
        wind_up(run, err);
    return rc;
}
