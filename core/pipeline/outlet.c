/*
 * outlet.c - the sink's side of a session: write batches, decide when to commit, commit.
 *
 * When to commit, at a cut (cdc/batch.h), the first that holds:
 *   - a batch said urgent, the sink said CDC_FULL, or the rows reach policy.max_rows;
 *   - inside a transaction of the source, nothing else but policy.cut_us since the first row;
 *   - rows wait, and policy.interval_us has passed since the first of them;
 *   - rows wait, policy.eager, and the queue is empty (at full rate it often is for a moment: then
 *     more rows than policy.eager_rows wait), once policy.pace_us has passed since the
 * last commit;
 *   - no rows wait but a delta does (a position), and policy.idle_us has passed since the last
 *     commit or policy.idle_bytes of the source's log went by;
 *   - the queue was drained: the session ends.
 * A commit applies the delta to the checkpoint and hands the position to the intake, the only one
 * who tells the source.
 */
#include "pipeline/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/crash.h"

#define MAIL_US 1000000 /* a command that waits is looked at again so soon */

static void hand_over_ack(struct cdc_run *run)
{
    pthread_mutex_lock(&run->lock);
    cdc_buf_reset(&run->ack);
    int rc = cdc_map_get_text(&run->checkpoint, "position", &run->ack, NULL);
    run->ack_none = rc == CDC_END;
    run->ack_due = rc == CDC_OK || rc == CDC_END;
    if (run->wakeable)
        run->wakeable->ops->wake(run->wakeable);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static int put_number(struct cdc_map *map, const char *key, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    return cdc_map_put(map, cdc_slice_str(key), cdc_slice_str(text));
}

static int64_t get_number(const struct cdc_map *map, const char *key, int64_t dflt)
{
    struct cdc_slice value = cdc_map_get(map, key);
    return value.p ? strtoll((const char *)value.p, NULL, 10) : dflt;
}

static void after_commit(struct cdc_outlet *out)
{
    struct cdc_run *run = out->run;
    out->state.incarnation = (uint32_t)get_number(&run->checkpoint, "incarnation", 1);
    out->committed_us = cdc_mono_us();
    run->commits++;
}

int cdc_outlet_commit_keys(struct cdc_outlet *out, const struct cdc_map *delta,
                           struct cdc_error *err)
{
    struct cdc_run *run = out->run;
    run->sink_used = true;
    int rc = run->set->sink->commit(run->sink, delta, CDC_COMMIT_KEYS, err);
    if (rc == CDC_AGAIN)
        return cdc_map_merge(&out->pending, delta) < 0 ? cdc_fail_oom(err) : CDC_OK;
    if (rc < 0)
        return CDC_FAIL;
    if (cdc_map_apply(&run->checkpoint, delta) < 0 || cdc_shelf_put(run->shelf, delta) < 0)
        return cdc_fail_oom(err);
    after_commit(out);
    return CDC_OK;
}

static int commit(struct cdc_outlet *out, struct cdc_error *err)
{
    struct cdc_run *run = out->run;
    if (out->state.clock_us != out->clock_committed &&
        put_number(&out->pending, "clock", out->state.clock_us) < 0)
        return cdc_fail_oom(err);
    CDC_POINT("engine.before_commit");
    int64_t began_us = cdc_mono_us();
    run->sink_used = true;
    if (run->set->sink->commit(run->sink, &out->pending, CDC_COMMIT_ALL, err) != CDC_OK)
        return CDC_FAIL;
    CDC_POINT("engine.after_commit");
    if (cdc_map_apply(&run->checkpoint, &out->pending) < 0 ||
        cdc_shelf_put(run->shelf, &out->pending) < 0)
        return cdc_fail_oom(err);
    out->clock_committed = out->state.clock_us;
    cdc_metrics_committed(run->metrics, &out->pending, cdc_mono_us() - began_us);
    cdc_map_clear(&out->pending);
    cdc_mail_committed(out);
    out->rows = out->log_bytes = 0;
    out->urgent = out->full = out->states = false;
    after_commit(out);
    hand_over_ack(run);
    return CDC_OK;
}

int cdc_outlet_commit_first(struct cdc_outlet *out, struct cdc_error *err)
{
    return out->rows > 0 && out->cut != CDC_CUT_NO && out->begun ? commit(out, err) : CDC_OK;
}

static int64_t after(int64_t us, int64_t wait_us)
{
    return wait_us > 0 ? us + wait_us : INT64_MAX;
}

/* The same for rows that wait, at the end of a transaction. */
static int64_t rows_due(const struct cdc_outlet *out)
{
    const struct cdc_commit_policy *policy = &out->policy;
    int64_t due = after(out->first_us, policy->interval_us);
    bool few = policy->eager_rows == 0 || out->rows <= policy->eager_rows;
    if (policy->eager && few && cdc_queue_empty(out->run->queue)) {
        int64_t paced = out->committed_us + policy->pace_us;
        return paced < due ? paced : due;
    }
    return due;
}

/* When a commit is due if nothing more arrives (monotonic); 0: now; INT64_MAX: not by itself. */
static int64_t commit_due(const struct cdc_outlet *out)
{
    const struct cdc_commit_policy *policy = &out->policy;
    if (out->cut == CDC_CUT_NO || !out->begun)
        return INT64_MAX;
    if (out->urgent || out->full || (policy->max_rows && out->rows >= policy->max_rows))
        return 0;
    if (out->cut == CDC_CUT_TX)
        return out->rows > 0 ? after(out->first_us, policy->cut_us) : INT64_MAX;
    if (out->rows > 0 || out->states)
        return rows_due(out);
    if (out->pending.n == 0)
        return INT64_MAX;
    if (policy->idle_bytes && out->log_bytes >= policy->idle_bytes)
        return 0;
    return out->committed_us + policy->idle_us;
}

static void count(struct cdc_run *run, const struct cdc_batch *batch)
{
    cdc_metrics_written(run->metrics, batch);
    for (size_t i = 0; run->metrics && i < batch->n_tables; i++)
        if (batch->tables[i]->plan)
            cdc_metrics_bytes(run->metrics, batch->tables[i],
                              cdc_plan_take_bytes(batch->tables[i]->plan));
}

static int take(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err)
{
    struct cdc_run *run = out->run;
    cdc_metrics_taken(run->metrics, batch);
    cdc_paused_drop(&out->paused, batch, false);
    cdc_copied_drop(out, batch);
    if (cdc_gaps_take(out, batch, err) < 0)
        return CDC_FAIL;
    if (cdc_resolve(out, batch, err) < 0)
        return CDC_FAIL;
    if (batch->n > 0) {
        run->sink_used = true;
        int rc = run->set->sink->write(run->sink, batch, err);
        if (rc < 0)
            return CDC_FAIL;
        if (out->rows == 0 && !out->states)
            out->first_us = cdc_mono_us();
        out->full |= rc == CDC_FULL;
        out->rows += batch->n;
        run->stats.rows += batch->n;
    }
    if (cdc_copied_take(out, batch, err) < 0)
        return CDC_FAIL;
    if (cdc_map_merge(&out->pending, &batch->delta) < 0)
        return cdc_fail_oom(err);
    run->stats.batches++;
    count(run, batch);
    out->begun = true;
    out->urgent |= batch->urgent;
    out->log_bytes += batch->log_bytes;
    out->cut = batch->cut == CDC_CUT_TX && !run->set->config.cuts ? CDC_CUT_NO : batch->cut;
    return CDC_OK;
}

/* A command that waits for the source's answer has its own end, which nothing else may wake for. */
static int64_t wake_due(const struct cdc_outlet *out)
{
    int64_t due = commit_due(out), look = cdc_mono_us() + MAIL_US;
    return out->mail_waits && look < due ? look : due;
}

static int serve(struct cdc_outlet *out, struct cdc_error *err)
{
    for (;;) {
        struct cdc_batch *batch;
        if (cdc_mail_serve(out, err) < 0)
            return CDC_FAIL;
        int64_t due = wake_due(out);
        int rc = due <= cdc_mono_us() ? CDC_AGAIN : cdc_queue_pop(out->run->queue, due, &batch);
        if (rc == CDC_OK) {
            rc = take(out, batch, err);
            cdc_batch_unref(batch);
            if (rc < 0)
                return CDC_FAIL;
        } else if (rc == CDC_AGAIN) {
            if (commit_due(out) <= cdc_mono_us() && commit(out, err) < 0)
                return CDC_FAIL;
        } else {
            bool something = out->rows > 0 || out->pending.n > 0;
            return out->cut != CDC_CUT_NO && something ? commit(out, err) : CDC_OK;
        }
    }
}

static int start(struct cdc_outlet *out, struct cdc_run *run, struct cdc_error *err)
{
    *out = (struct cdc_outlet){.run = run, .cut = CDC_CUT_END, .committed_us = cdc_mono_us()};
    cdc_map_init(&out->pending);
    if (run->mailbox)
        cdc_mailbox_reopen(run->mailbox);
    run->set->sink->policy(run->sink, &out->policy);
    out->state.incarnation = (uint32_t)get_number(&run->checkpoint, "incarnation", 1);
    out->state.clock_us = out->clock_committed = get_number(&run->checkpoint, "clock", 0);
    if (!cdc_map_get(&run->checkpoint, "incarnation").p &&
        put_number(&out->pending, "incarnation", 1) < 0)
        return cdc_fail_oom(err);
    if (cdc_gaps_note(out, err) < 0)
        return CDC_FAIL;
    if (cdc_paused_load(out, err) < 0 || cdc_shelf_put(run->shelf, &run->checkpoint) < 0)
        return CDC_FAIL;
    return cdc_registry_open(run->set->registry, &run->checkpoint, &run->stop, &out->registry, err);
}

static void report_end(struct cdc_run *run, int rc, const struct cdc_error *err)
{
    pthread_mutex_lock(&run->lock);
    run->sink_failed = rc < 0;
    if (rc < 0)
        run->sink_error = *err;
    atomic_store(&run->sink_done, true);
    if (run->wakeable)
        run->wakeable->ops->wake(run->wakeable);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

void *cdc_outlet_main(void *arg)
{
    struct cdc_run *run = arg;
    struct cdc_outlet out;
    struct cdc_error err = {0};
    int rc = start(&out, run, &err);
    if (rc == CDC_OK)
        rc = serve(&out, &err);
    if (rc < 0)
        cdc_queue_abort(run->queue);
    if (out.state.clock_jumps > 0)
        cdc_log(CDC_LOG_WARN,
                "%llu changes had a commit time an hour or more below an earlier one; their "
                "__updated_at was taken as it is",
                (unsigned long long)out.state.clock_jumps);
    if (out.state.invalid > 0)
        cdc_log(CDC_LOG_WARN,
                "%llu values that their Avro type cannot hold were written as null and named in "
                "__invalid, as `on_invalid: null` says",
                (unsigned long long)out.state.invalid);
    if (out.paused.dropped > 0)
        cdc_log(CDC_LOG_WARN, "%llu changes of paused tables were not written",
                (unsigned long long)out.paused.dropped);
    cdc_registry_free(out.registry);
    cdc_paused_done(&out.paused);
    cdc_map_done(&out.pending);
    report_end(run, rc, &err);
    return NULL;
}
