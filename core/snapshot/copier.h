/*
 * copier.h - copies tables while the log streams on: what the pipeline sees of it.
 *
 * The model. Tables whose rule wants their rows are copied in *rounds*. A round is one lane of the
 * queue (pipeline/queue.h): placed at one moment, filled by worker threads from looks at the source
 * (cdc/snap.h) that contain every transaction put into the queue before (snapshot/rule.h).
 *   START round  at the first session of a pipeline, if the source has that look: all tables, one
 *                lane, and the stream begins behind it
 *   NOW rounds   after a restart, for a table added or repeated, or with `mode: ranged`: some
 *                ranges each. For the looks the intake is *held* at a cut, for milliseconds; then
 *                the stream goes on behind the lane while that fills
 * What is done is in the checkpoint with the rows (snapshot/states.h). Nothing else is kept.
 *
 * Threads: one that plans, `snapshot.threads` that read; the source thread visits at every cut. No
 * lock is held while a call of the source blocks. Looks, ranges and failures are theirs alone: a
 * table that cannot be copied is said to have failed, and the others go on.
 *
 *   new ──▶ begin ──▶ start ──▶ pushed, visit ... ──▶ stop ──▶ end ──▶ begin ... ──▶ free
 */
#ifndef CDC_SNAPSHOT_COPIER_H
#define CDC_SNAPSHOT_COPIER_H

#include "cdc/map.h"
#include "config/settings.h"
#include "pipeline/queue.h"
#include "snapshot/states.h"

struct cdc_copier;

struct cdc_copier_options {
    const struct cdc_settings *set;
    struct cdc_queue *queue;
    struct cdc_pool *pool;   /* of the rows in lanes */
    size_t passed_max;       /* bytes of transactions to be asked for (snapshot/rule.h) */
    void (*wake)(void *arg); /* ends a poll, so that the source thread visits */
    void *arg;
};

/* Main thread. CDC_OK with *ret NULL: this source cannot copy. */
CDC_CHECK int cdc_copier_new(const struct cdc_copier_options *opt, struct cdc_copier **ret,
                             struct cdc_error *err);
void cdc_copier_free(struct cdc_copier *copier); /* NULL is fine; here and below */
/* Engine thread, between sessions: other settings, as at a start. */
void cdc_copier_renew(struct cdc_copier *copier, const struct cdc_settings *set);

/* Engine thread: a session's life. The source stays open from start to end. */
CDC_CHECK int cdc_copier_begin(struct cdc_copier *copier, const struct cdc_map *checkpoint,
                               struct cdc_error *err);
CDC_CHECK int cdc_copier_start(struct cdc_copier *copier, struct cdc_source *src,
                               struct cdc_error *err);
void cdc_copier_stop(struct cdc_copier *copier); /* the readers are to end; does not wait */
void cdc_copier_end(struct cdc_copier *copier);  /* waits for them */

/*
 * Source thread. Before a batch of the stream is pushed. A table of which changes are missing in it
 * (CDC_OP_GAP) is copied anew behind it, if its rule wants copies; the change's ordinal is made the
 * least generation that mends it.
 */
void cdc_copier_pushed(struct cdc_copier *copier, struct cdc_batch *batch);
/*
 * At a cut, with all that was polled pushed. CDC_AGAIN: do not poll; serve the connection, and come
 * again after cdc_copier_wait. CDC_FAIL: the session ends.
 */
CDC_CHECK int cdc_copier_visit(struct cdc_copier *copier, struct cdc_error *err);
/* Until a visit is wanted, something has changed or the deadline has come. held: the visit said
 * CDC_AGAIN, and what it waits for may have come since. */
void cdc_copier_wait(struct cdc_copier *copier, bool held, int64_t deadline_us);
/* Is all copied that is to be? */
bool cdc_copier_idle(struct cdc_copier *copier);
/* Were rows read in this session that may contain what the stream had not given by then? */
bool cdc_copier_ahead(struct cdc_copier *copier);
/* Does it want to know what the source keeps of its log (cdc_source_status), and what that is. */
bool cdc_copier_wants_log(struct cdc_copier *copier);
void cdc_copier_log(struct cdc_copier *copier, uint64_t held_bytes);

/* Sink thread. A table ("schema.name") was paused: returns the generation that mends the gap. */
uint32_t cdc_copier_pause(struct cdc_copier *copier, const char *table);
void cdc_copier_resume(struct cdc_copier *copier, const char *table);
/* Repeats a copy. CDC_AGAIN: under way already. CDC_END: it is paused. CDC_FAIL: no memory. */
CDC_CHECK int cdc_copier_repeat(struct cdc_copier *copier, const char *table);

/*
 * Any thread. Is the table captured, by what the source says? CDC_OK: yes, or it has not been asked
 * yet and will be. CDC_END: no. CDC_AGAIN: it is asked now, because no rule wants copies and nobody
 * else would; the queue is poked when it has answered.
 */
CDC_CHECK int cdc_copier_has(struct cdc_copier *copier, const char *table);

/* What is known of one table's copy, for people. */
struct cdc_copy_view {
    const char *name;
    enum cdc_copy_kind kind;
    uint32_t generation;
    uint64_t done_rows;           /* of finished pieces, of sessions before too */
    uint64_t rows, bytes;         /* read in this session */
    uint64_t all_rows, all_bytes; /* the source's estimates; 0: not known */
    double seconds;               /* since it was begun in this session; 0: not yet */
    const char *why;              /* FAILED, or why it waits; NULL: nothing to say */
};
/* Any thread: shows every table that has a copy, one by one, under the copier's lock. */
void cdc_copier_show(struct cdc_copier *copier,
                     void (*show)(void *arg, const struct cdc_copy_view *view), void *arg);

#endif
