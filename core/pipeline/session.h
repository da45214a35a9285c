/*
 * session.h - what the files of core/pipeline share: one struct per run, one per session.
 *
 *   pipeline.c  the run: sessions, back-off, signals, threads
 *   renew.c     the configuration read again
 *   intake.c    the source's side of a session: poll, push, acknowledge
 *   outlet.c    the sink's side: resolve, write, decide when to commit, commit
 *   resolve.c   a table's schema, id, state and plan
 *   gaps.c      tables of which changes are missing
 *   paused.c    tables whose rows are dropped
 *   mail.c      commands to a running pipeline
 *   look.c      looks at the source's log now and then
 *   copied.c    what copies of tables (core/snapshot) put into the checkpoint
 *   face.c      the HTTP face
 *
 * Locks: `lock` guards the members below it; all else is either constant during a session or
 * belongs to one thread, as said.
 */
#ifndef CDC_SESSION_H
#define CDC_SESSION_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "envelope/envelope.h"
#include "metrics/metrics.h"
#include "pipeline/face.h"
#include "pipeline/mailbox.h"
#include "pipeline/paused.h"
#include "pipeline/pipeline.h"
#include "pipeline/queue.h"
#include "registry/registry.h"
#include "registry/serve.h"
#include "snapshot/copier.h"

struct cdc_run {
    const struct cdc_settings *set; /* the engine's, which changes it between two sessions */
    const struct cdc_pipeline_options *opt;
    struct cdc_pool *pool;
    struct cdc_queue *queue;
    struct cdc_pool *copy_pool; /* of rows that are copied; NULL, as the next: source cannot */
    struct cdc_copier *copier;
    struct cdc_sink *sink;
    struct cdc_source *source; /* open during a session */

    struct cdc_map checkpoint; /* as committed; the sink thread's during a session */
    bool sink_used;            /* written to or committed since its last recover */
    uint64_t commits;          /* of this run */
    struct cdc_pipeline_stats stats;

    struct cdc_face *face; /* NULL: no listener; so are the next two */
    struct cdc_metrics *metrics;
    struct cdc_mailbox *mailbox; /* commands, for the sink thread */
    struct cdc_shelf *shelf;     /* committed schemas, for the listener; NULL: there is none */
    struct {
        uint64_t bound;            /* source.max_lag; 0: none */
        int64_t due_us, warned_us; /* of look.c; monotonic */
    } look;

    atomic_bool stop;      /* asked to end */
    atomic_bool renew;     /* the session is to end for others with new settings */
    atomic_bool sink_done; /* the sink thread of this session has ended */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cdc_source *wakeable; /* == source while it may be woken from other threads */
    struct cdc_buf ack;          /* position committed, not yet told to the source */
    bool ack_due, ack_none;      /* ack_none: committed, but there is no position yet */
    struct cdc_error sink_error; /* valid if sink_failed */
    bool sink_failed;
    struct cdc_settings *next; /* read anew, not in effect yet; or NULL */

    const struct cdc_settings *first; /* as the run began; these are the main thread's */
    struct cdc_settings **read;       /* all that were read anew: rules outlive the sessions */
    size_t n_read;
};

/* renew.c: main thread, at a SIGHUP. */
void cdc_renew_read(struct cdc_run *run);
/* Engine thread, between two sessions: new settings come into effect, if any wait. */
CDC_CHECK int cdc_renew_take(struct cdc_run *run, struct cdc_error *err);
void cdc_renew_free(struct cdc_run *run); /* after all else */

/* look.c: on the source thread, where there is time; looks at the source's log if that is due. */
void cdc_look(struct cdc_run *run);
/* What `source.max_lag` says; 0: nothing, or the source has no such option. */
uint64_t cdc_look_bound(const struct cdc_settings *set);

/* intake.c: runs on the source thread until the session ends. */
CDC_CHECK int cdc_intake_run(struct cdc_run *run, struct cdc_error *err);

/* outlet.c: the sink's side; belongs to the sink thread. */
struct cdc_outlet {
    struct cdc_run *run;
    struct cdc_commit_policy policy;
    struct cdc_registry *registry;
    struct cdc_paused paused;
    struct cdc_envelope_state state;
    int64_t clock_committed;

    struct cdc_map pending; /* delta since the last commit */
    uint64_t rows;          /* written since the last commit */
    uint64_t log_bytes;     /* of the source's log since the last commit */
    int64_t first_us;       /* when the first of these rows was written (monotonic) */
    int64_t committed_us;   /* last commit, or the session's start */
    bool begun;             /* a batch was taken: no commit before, its ack would be misread */
    enum cdc_cut cut;       /* of the last batch: may a commit be made here? */
    bool urgent, full;      /* ... and is wanted now */
    bool mail_waits;        /* a command waits for the source's answer */
    bool states;            /* states of copies wait, which count as rows do */
};

void *cdc_outlet_main(void *run); /* thread */

/* resolve.c: makes every table of the batch ready for sink->write. */
CDC_CHECK int cdc_resolve(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err);
/* mail.c: carries out the commands that wait. After a commit of all: they are done. */
CDC_CHECK int cdc_mail_serve(struct cdc_outlet *out, struct cdc_error *err);
void cdc_mail_committed(struct cdc_outlet *out);
/*
 * copied.c: looks at a batch's states of copies before they become pending: those of paused tables
 * are left out, a copy that is done closes the table's gap. Before that, drops the changes of
 * tables of which only a copy was wanted.
 */
CDC_CHECK int cdc_copied_take(struct cdc_outlet *out, struct cdc_batch *batch,
                              struct cdc_error *err);
void cdc_copied_drop(struct cdc_outlet *out, struct cdc_batch *batch);
/* gaps.c: at a session's start, writes down tables that no rule takes any more. */
CDC_CHECK int cdc_gaps_note(struct cdc_outlet *out, struct cdc_error *err);
/* Takes the changes CDC_OP_GAP out of a batch and writes down what they say. */
CDC_CHECK int cdc_gaps_take(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err);
/*
 * Puts a gap into a table's state: from the position behind the last batch that was taken, until a
 * copy of this generation or a later one. Of one that is there already the position stays. CDC_END:
 * nothing was changed by it. CDC_FAIL: no memory.
 */
CDC_CHECK int cdc_gap_set(const struct cdc_outlet *out, json_t *state, uint32_t until);
/*
 * Puts what of the state before outlives a new version of the table (its gap) into the state now,
 * and `ids`, an object of further members, or NULL. CDC_FAIL: no memory.
 */
CDC_CHECK int cdc_state_keep(struct cdc_slice before, const json_t *ids, struct cdc_buf *now);
/* paused.c: a key as it will be once all that was taken is committed; p == NULL: not there. */
struct cdc_slice cdc_outlet_key(const struct cdc_outlet *out, const char *key);
/* The table's state as it will be then, or a new one of `tab`; NULL: there is none, or no memory.
 */
json_t *cdc_state_now(const struct cdc_outlet *out, const char *key, const struct cdc_table *tab);
CDC_CHECK int cdc_state_put(struct cdc_outlet *out, const char *key, const json_t *state);
/*
 * outlet.c, for resolve.c: commits what waits, if rows do and a commit may be made here. Whatever
 * comes then (a registry that does not answer, a refusal) costs nothing of what came before.
 */
CDC_CHECK int cdc_outlet_commit_first(struct cdc_outlet *out, struct cdc_error *err);
/* outlet.c, for resolve.c: commits keys at once; merges them into pending where that cannot be. */
CDC_CHECK int cdc_outlet_commit_keys(struct cdc_outlet *out, const struct cdc_map *delta,
                                     struct cdc_error *err);

#endif
