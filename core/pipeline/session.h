/*
 * session.h - what the files of core/pipeline share: one struct per run, one per session.
 *
 *   pipeline.c  the run: sessions, back-off, signals, threads
 *   intake.c    the source's side of a session: poll, push, acknowledge
 *   outlet.c    the sink's side: resolve, write, decide when to commit, commit
 *   resolve.c   a table's schema, id, state and plan
 *   gaps.c      tables that are not captured any more
 *
 * Locks: `lock` guards the members below it; all else is either constant during a session or
 * belongs to one thread, as said.
 */
#ifndef CDC_SESSION_H
#define CDC_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "envelope/envelope.h"
#include "pipeline/pipeline.h"
#include "pipeline/queue.h"
#include "registry/embedded.h"

struct cdc_run {
    const struct cdc_settings *set;
    const struct cdc_pipeline_options *opt;
    struct cdc_pool *pool;
    struct cdc_queue *queue;
    struct cdc_sink *sink;
    struct cdc_source *source; /* open during a session */

    struct cdc_map checkpoint; /* as committed; the sink thread's during a session */
    bool sink_used;            /* written to or committed since its last recover */
    uint64_t commits;          /* of this run */
    struct cdc_pipeline_stats stats;

    atomic_bool stop;      /* asked to end */
    atomic_bool sink_done; /* the sink thread of this session has ended */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cdc_source *wakeable; /* == source while it may be woken from other threads */
    struct cdc_buf ack;          /* position committed, not yet told to the source */
    bool ack_due, ack_none;      /* ack_none: committed, but there is no position yet */
    struct cdc_error sink_error; /* valid if sink_failed */
    bool sink_failed;
};

/* intake.c: runs on the source thread until the session ends. */
CDC_CHECK int cdc_intake_run(struct cdc_run *run, struct cdc_error *err);

/* outlet.c: the sink's side; belongs to the sink thread. */
struct cdc_outlet {
    struct cdc_run *run;
    struct cdc_commit_policy policy;
    struct cdc_registry *registry;
    struct cdc_envelope_state state;
    int64_t clock_committed;

    struct cdc_map pending; /* delta since the last commit */
    uint64_t rows;          /* written since the last commit */
    uint64_t log_bytes;     /* of the source's log since the last commit */
    int64_t first_us;       /* when the first of these rows was written (monotonic) */
    int64_t committed_us;   /* last commit, or the session's start */
    bool begun;             /* a batch was taken: no commit before, its ack would be misread */
    bool at_cut;            /* a commit may be made here */
    bool urgent, full;      /* ... and is wanted now */
};

void *cdc_outlet_main(void *run); /* thread */

/* resolve.c: makes every table of the batch ready for sink->write. */
CDC_CHECK int cdc_resolve(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err);
/* gaps.c: at a session's start, writes down tables that no rule takes any more. */
CDC_CHECK int cdc_gaps_note(struct cdc_outlet *out, struct cdc_error *err);
/* Puts the gap of the state before, if it has one, into the state now. CDC_FAIL: no memory. */
CDC_CHECK int cdc_gap_keep(struct cdc_slice before, struct cdc_buf *now);
/* outlet.c, for resolve.c: commits keys at once; merges them into pending where that cannot be. */
CDC_CHECK int cdc_outlet_commit_keys(struct cdc_outlet *out, const struct cdc_map *delta,
                                     struct cdc_error *err);

#endif
