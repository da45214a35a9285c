/*
 * pipeline.c - the run: sessions one after another, until told to stop or refused.
 *
 * Threads: main waits for signals; the *engine* thread runs the sessions and is the source thread;
 * each session has a sink thread. Rules:
 *   - source ops but wake: engine thread only. Sink ops: the sink thread while it runs, the engine
 *     thread before and after (recover, close).
 *   - main touches neither; it sets run->stop and wakes through run->wakeable under the lock.
 *   - the checkpoint map is the sink thread's during a session, else the engine thread's.
 * A session's end closes the source, then joins the sink thread, so that nothing of a session
 * outlives it.
 */
#include "pipeline/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cdc/clock.h"
#include "cdc/crash.h"

#define BATCH_BYTES    ((size_t)512 * 1024)
#define BUDGET_MIN     (8 * BATCH_BYTES)
#define COPY_MIN       ((size_t)1 << 20)
#define GRACE_S        12 /* from the wish to stop until a blocked sink is woken; see LAST_TX_US */
#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 30000000
#define POSITION_MAX   ((size_t)16 << 20)

/* Copies want the source thread to come by. */
static void wake_source(void *arg)
{
    struct cdc_run *run = arg;
    pthread_mutex_lock(&run->lock);
    if (run->wakeable)
        run->wakeable->ops->wake(run->wakeable);
    pthread_mutex_unlock(&run->lock);
}

static void set_wakeable(struct cdc_run *run, struct cdc_source *src)
{
    pthread_mutex_lock(&run->lock);
    run->source = run->wakeable = src;
    pthread_mutex_unlock(&run->lock);
}

/* The sink's checkpoint: asked for only when the sink may hold something that ours does not. */
static int recover(struct cdc_run *run, struct cdc_error *err)
{
    if (!run->sink_used)
        return CDC_OK;
    cdc_map_clear(&run->checkpoint);
    if (run->set->sink->recover(run->sink, &run->checkpoint, err) != CDC_OK)
        return CDC_FAIL;
    run->sink_used = false;
    return CDC_OK;
}

/* Both sides failed or one did: which error tells the cause? The sink's, where it has one. */
static int verdict(struct cdc_run *run, int intake_rc, struct cdc_error *err)
{
    if (run->sink_failed) {
        *err = run->sink_error;
        return CDC_FAIL;
    }
    return intake_rc;
}

/*
 * What was committed before this session is told to the source at once: a crash, or a reply that
 * was lost, may have come between that commit and its ack, and no further commit need ever follow.
 */
static int ack_recovered(struct cdc_run *run, struct cdc_error *err)
{
    run->ack_none = false;
    cdc_buf_reset(&run->ack);
    int rc = cdc_map_get_text(&run->checkpoint, "position", &run->ack, err);
    run->ack_due = rc == CDC_OK;
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

static int start_sink_thread(struct cdc_run *run, pthread_t *ret, struct cdc_error *err)
{
    cdc_queue_reset(run->queue);
    atomic_store(&run->sink_done, false);
    run->sink_failed = false;
    if (ack_recovered(run, err) < 0)
        return CDC_FAIL;
    if (pthread_create(ret, NULL, cdc_outlet_main, run) != 0)
        return cdc_fail(err, CDC_RETRY, "", "cannot start a thread");
    return CDC_OK;
}

/*
 * Before the wait for the sink thread: a sink that stands still must not keep our connection, for
 * which a server that wants to stop would wait (P3).
 */
static void close_source(struct cdc_run *run)
{
    struct cdc_source *src = run->source;
    cdc_copier_end(run->copier);
    set_wakeable(run, NULL);
    src->ops->close(src);
}

static int session(struct cdc_run *run, struct cdc_error *err)
{
    run->stats.sessions++;
    cdc_metrics_phase(run->metrics, CDC_PHASE_STARTING);
    if (recover(run, err) != CDC_OK)
        return CDC_FAIL;
    CDC_POINT("engine.recovered");
    struct cdc_source *src = NULL;
    if (run->set->source->open(&run->set->config, &run->checkpoint, &src, err) != CDC_OK)
        return CDC_FAIL;
    set_wakeable(run, src);
    cdc_metrics_begin(run->metrics, &run->checkpoint);
    run->look.due_us = 0;
    pthread_t thread;
    int rc = cdc_copier_begin(run->copier, &run->checkpoint, err);
    if (rc == CDC_OK)
        rc = start_sink_thread(run, &thread, err);
    if (rc != CDC_OK) {
        close_source(run);
        return rc;
    }
    rc = cdc_copier_start(run->copier, src, err);
    if (rc == CDC_OK)
        rc = cdc_intake_run(run, err);
    else
        cdc_queue_abort(run->queue);
    close_source(run);
    pthread_join(thread, NULL);
    return verdict(run, rc, err);
}

/* Sleeps unless a stop is asked for. */
static void back_off(struct cdc_run *run, int64_t us)
{
    int64_t until = cdc_mono_us() + us;
    struct timespec ts = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    pthread_mutex_lock(&run->lock);
    while (!atomic_load(&run->stop) && !atomic_load(&run->renew))
        if (pthread_cond_timedwait(&run->changed, &run->lock, &ts) != 0)
            break;
    pthread_mutex_unlock(&run->lock);
}

struct patience {
    int64_t wait_us, min_us;
    int failures;
    uint64_t commits; /* when it last was patient */
};

/* What to do after a failed session. CDC_AGAIN: another one, after a pause. */
static int judge(struct cdc_run *run, struct patience *pat, struct cdc_error *err)
{
    if (err->action != CDC_RETRY && err->action != CDC_REWIND)
        return CDC_FAIL;
    if (run->commits != pat->commits) { /* it got on since: start patience anew */
        pat->commits = run->commits;
        pat->failures = 0;
        pat->wait_us = pat->min_us;
    }
    pat->failures++;
    if (run->opt->max_failures && pat->failures > run->opt->max_failures)
        return CDC_FAIL;
    char then[64];
    snprintf(then, sizeof then, "next try in %.1f s", (double)pat->wait_us / 1e6);
    cdc_log_error(CDC_LOG_WARN, err, then);
    cdc_metrics_trouble(run->metrics, err);
    back_off(run, pat->wait_us);
    pat->wait_us = pat->wait_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : pat->wait_us * 2;
    return CDC_AGAIN;
}

/*
 * Caught up, and then rows were copied that may be newer than the place where the stream was left:
 * one more session catches up with them, so that what is there at the end is of one moment.
 */
static bool is_ahead(struct cdc_run *run)
{
    return run->opt->until_caught_up && cdc_copier_ahead(run->copier);
}

static int run_sessions(struct cdc_run *run, struct cdc_error *err)
{
    struct patience pat = {.min_us = run->opt->backoff_min_us ? run->opt->backoff_min_us
                                                              : BACKOFF_MIN_US};
    pat.wait_us = pat.min_us;
    for (;;) {
        int rc = cdc_renew_take(run, err);
        if (rc == CDC_OK)
            rc = session(run, err);
        if (rc >= 0 && !atomic_load(&run->renew) && !is_ahead(run))
            return CDC_OK;
        if (rc < 0)
            rc = judge(run, &pat, err);
        if (rc < 0)
            return rc;
        if (atomic_load(&run->stop))
            return CDC_OK;
    }
}

struct engine {
    struct cdc_run *run;
    struct cdc_error *err;
    int rc;
    pthread_t main;
};

static void *engine_main(void *arg)
{
    struct engine *engine = arg;
    engine->rc = run_sessions(engine->run, engine->err);
    pthread_kill(engine->main, SIGUSR1); /* main's sigwait ends */
    return NULL;
}

/* A sink that stands still is not to wait for ever. */
static void wake_sink(struct cdc_run *run)
{
    pthread_mutex_lock(&run->lock); /* it may be opened anew */
    if (run->sink->ops->wake)
        run->sink->ops->wake(run->sink);
    pthread_mutex_unlock(&run->lock);
}

static void ask_to_stop(struct cdc_run *run)
{
    pthread_mutex_lock(&run->lock);
    atomic_store(&run->stop, true);
    if (run->wakeable)
        run->wakeable->ops->wake(run->wakeable);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void wait_for_end(struct cdc_run *run, const sigset_t *signals)
{
    const struct timespec grace = {.tv_sec = GRACE_S};
    for (int sig, asked = 0;
         (sig = sigtimedwait(signals, NULL, asked ? &grace : NULL)) != SIGUSR1;) {
        if (sig < 0) { /* the time is up (or EINTR) */
            if (asked && errno == EAGAIN)
                wake_sink(run);
            continue;
        }
        if (sig == SIGHUP) {
            cdc_renew_read(run);
            continue;
        }
        if (asked++) {
            cdc_log(CDC_LOG_WARN, "told twice to stop: ending at once");
            _exit(1);
        }
        cdc_log(CDC_LOG_INFO, "stopping: committing what is complete (once more ends at once)");
        ask_to_stop(run);
    }
}

static int run_engine(struct cdc_run *run, struct cdc_error *err)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    struct engine engine = {.run = run, .err = err, .main = pthread_self()};
    pthread_t thread;
    if (pthread_create(&thread, NULL, engine_main, &engine) != 0)
        return cdc_fail(err, CDC_FATAL, "", "cannot start a thread");
    wait_for_end(run, &signals);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return engine.rc;
}

/* What of the memory is for rows that are copied. */
static size_t copy_budget(const struct cdc_run *run)
{
    size_t quarter = (size_t)run->set->config.memory / 4;
    return !run->set->source->snap ? 0 : quarter > COPY_MIN ? quarter : COPY_MIN;
}

/* What of that is for the transactions that the looks of copies are asked for. */
static size_t passed_budget(const struct cdc_run *run)
{
    return copy_budget(run) / 4;
}

/* What the configured memory leaves beside the sink's own buffers. */
static size_t budget(const struct cdc_run *run)
{
    struct cdc_commit_policy policy = {.buffer_bytes = 0};
    size_t memory = (size_t)run->set->config.memory - copy_budget(run);
    run->set->sink->policy(run->sink, &policy);
    return policy.buffer_bytes + BUDGET_MIN < memory ? memory - policy.buffer_bytes : BUDGET_MIN;
}

static int set_up(struct cdc_run *run, struct cdc_error *err)
{
    run->sink_used = true; /* never recovered: nothing is known of it */
    if (run->set->sink->open(&run->set->config, &run->sink, err) != CDC_OK)
        return CDC_FAIL;
    run->pool = cdc_pool_new(budget(run), BATCH_BYTES);
    run->queue = run->pool ? cdc_queue_new(run->pool) : NULL;
    if (!run->queue)
        return cdc_fail_oom(err);
    cdc_map_init(&run->checkpoint);
    cdc_buf_init(&run->ack, POSITION_MAX);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&run->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&run->lock, NULL);
    return CDC_OK;
}

/* Schemas to be read by others: the registry's paths on the face. */
static int open_shelf(struct cdc_run *run, struct cdc_error *err)
{
    run->shelf = cdc_shelf_new(cdc_registry_level(run->set->registry));
    if (!run->shelf)
        return cdc_fail_oom(err);
    for (const char *const *prefix = cdc_shelf_prefixes; *prefix; prefix++)
        cdc_face_route(run->face, &(struct cdc_http_route){.prefix = *prefix,
                                                           .handler = cdc_shelf_answer,
                                                           .arg = run->shelf,
                                                           .max_body = CDC_SHELF_BODY_MAX});
    return CDC_OK;
}

/* The HTTP face, if the configuration wants one. */
static int open_face(struct cdc_run *run, struct cdc_error *err)
{
    run->look.bound = cdc_look_bound(run->set);
    if (cdc_face_new(run, &run->face, err) < 0 || (run->face && open_shelf(run, err) < 0))
        return CDC_FAIL;
    return cdc_face_start(run->face, err);
}

static int open_copier(struct cdc_run *run, struct cdc_error *err)
{
    size_t bytes = copy_budget(run) - passed_budget(run);
    if (bytes == 0)
        return CDC_OK;
    run->copy_pool = cdc_pool_new(bytes, bytes / 8 < BATCH_BYTES ? bytes / 8 : BATCH_BYTES);
    if (!run->copy_pool)
        return cdc_fail_oom(err);
    const struct cdc_copier_options opt = {.set = run->set,
                                           .queue = run->queue,
                                           .pool = run->copy_pool,
                                           .passed_max = passed_budget(run),
                                           .wake = wake_source,
                                           .arg = run};
    return cdc_copier_new(&opt, &run->copier, err);
}

static void tear_down(struct cdc_run *run)
{
    cdc_face_free(run->face);
    cdc_shelf_free(run->shelf);
    if (run->sink)
        run->sink->ops->close(run->sink);
    cdc_copier_free(run->copier);
    cdc_queue_free(run->queue);
    cdc_pool_free(run->copy_pool);
    cdc_pool_free(run->pool);
    cdc_map_done(&run->checkpoint);
    cdc_buf_done(&run->ack);
    cdc_renew_free(run);
}

int cdc_pipeline_run(const struct cdc_settings *set, const struct cdc_pipeline_options *opt,
                     struct cdc_pipeline_stats *ret_stats, struct cdc_error *err)
{
    struct cdc_run run = {.set = set, .first = set, .opt = opt};
    signal(SIGPIPE, SIG_IGN);
    int rc = set_up(&run, err);
    if (rc == CDC_OK)
        rc = open_copier(&run, err);
    if (rc == CDC_OK)
        rc = open_face(&run, err);
    if (rc == CDC_OK)
        rc = run_engine(&run, err);
    tear_down(&run);
    run.stats.commits = run.commits;
    if (ret_stats)
        *ret_stats = run.stats;
    cdc_log(CDC_LOG_INFO, "ended: %llu changes in %llu commits, %llu sessions",
            (unsigned long long)run.stats.rows, (unsigned long long)run.stats.commits,
            (unsigned long long)run.stats.sessions);
    return rc;
}
