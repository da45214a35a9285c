/*
 * internal.h - what the files of core/snapshot share.
 *
 *   rule.c     may rows of a look be placed here? Pure
 *   states.c   how far a table's copy has come. Pure
 *   copier.c   life, and what the pipeline's threads call
 *   tables.c   the tables: which are copied, restarts, failures, their states into the lane
 *   rounds.c   the planner's thread: what is copied when
 *   feed.c     the pieces that a round reads
 *   worker.c   the readers' threads
 *
 * Everything in struct cdc_copier is under `lock` but what is said to be constant or atomic.
 */
#ifndef CDC_SNAPSHOT_INTERNAL_H
#define CDC_SNAPSHOT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "snapshot/copier.h"
#include "snapshot/rule.h"

#define CDC_COPY_THREADS_MAX 32

struct copy_table {
    char *name, *schema, *table; /* "schema.table" and its halves; constant */
    struct cdc_copy_state st;
    uint32_t epoch;   /* grows with every restart: pieces of an older one are void */
    bool paused, gap; /* gap: changes are missing, a new copy is due */
    uint32_t until;   /* as loaded: the least generation that mends the gap; 0: not known */
    uint64_t barred;  /* not in this round: its rows would stand before the gap */
    unsigned gaps;    /* restarts because of one since a copy was done */
    bool listed;      /* the source has it */
    bool dirty;       /* its state is to be written */
    char why[512];    /* why it waits; "": it does not */
    int64_t retry_us; /* not before (monotonic) */
    unsigned again;   /* tries in vain, in a row */
    unsigned guarded; /* rounds that a guard ended under it, in a row */

    uint64_t round;           /* the round that `ct` is of */
    struct cdc_copy_table ct; /* its table is referenced */
    unsigned busy;            /* pieces under way */
    uint64_t rows, bytes;     /* read in this session */
    int64_t began_us;         /* reading began (monotonic); 0: not yet */
};

/* A piece that somebody is to read. */
struct copy_piece {
    struct copy_piece *next;
    struct copy_table *tab;
    uint32_t epoch;
    char *from, *to;          /* owned */
    struct cdc_copy_table ct; /* its table is referenced */
};

/* What the workers are to do; each does it once and reports. */
enum copy_phase { PHASE_NONE, PHASE_OPEN, PHASE_LOOK, PHASE_READ };

struct copy_round {
    uint64_t number;
    enum copy_phase phase;
    uint64_t phases;         /* grows with every phase */
    unsigned reported, fine; /* workers that did it; with success */
    enum cdc_look look;
    struct cdc_copy_place at;
    struct cdc_lane *lane;
    struct copy_piece *first, *last; /* to be read */
    unsigned n_pieces;
    bool fed;       /* no more will come */
    uint64_t bytes; /* of pieces given out so far, about */
    int64_t began_us;
    bool guarded;    /* a guard ended it */
    atomic_bool cut; /* readers are to end at once */
    char why[512];   /* the last failure that was no table's own */
};

enum copy_hold { HOLD_NONE, HOLD_WANTED, HOLD_HELD };

/* The list, had for somebody who asks for a name. */
enum copy_ask { ASK_NONE, ASK_WANTED, ASK_TAKING, ASK_KNOWN };

struct copy_worker {
    struct cdc_copier *copier;
    pthread_t thread;
    struct cdc_snap *snap; /* its own */
    uint64_t phases;       /* of the round when it was started */
    enum cdc_look look;    /* if looks */
    bool looks, fine;
};

struct cdc_copier {
    struct cdc_copier_options opt; /* constant, as are the next */
    const struct cdc_snap_ops *ops;
    bool ranged;
    unsigned n_workers;
    uint64_t range_bytes, rate, max_log;
    int64_t max_age_us;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct copy_table **tables; /* in the order in which they are copied */
    size_t n_tables, cap_tables;
    uint64_t sessions;

    struct cdc_source *src; /* of the session; constant from start to end */
    atomic_bool stop;
    bool running; /* the planner's thread exists */
    pthread_t planner;
    struct cdc_snap *snap; /* the planner's own */
    struct copy_worker workers[CDC_COPY_THREADS_MAX];
    unsigned n_running;
    struct copy_round round;

    bool positioned, fresh; /* the stream has a position; it had none at the session's start */
    bool started;           /* the START round is over, or was none */
    bool tell_copied;       /* the source is to be told */
    atomic_bool ahead;      /* rows were read in this session that may contain later changes */
    bool listed, refresh;   /* the list was had in this session; is to be had again */
    enum copy_ask ask;
    int64_t known_us; /* ASK_KNOWN: since (monotonic) */
    uint32_t incarnation;
    int64_t clock_us; /* the highest commit time before the session; 0: none */
    atomic_bool oom;

    enum copy_hold hold;
    bool want_count, counting, witnessed, placed_only;
    struct cdc_passed passed;
    struct cdc_tx last; /* at the last hold or beginning of counting; without id */

    uint64_t rated; /* bytes since rated_us */
    int64_t rated_us;
    uint64_t held_log; /* as of held_us (monotonic) */
    int64_t held_us;
};

/* ---- tables.c: all under the lock ---- */
struct copy_table *copy_table_find(const struct cdc_copier *copier, const char *name);
struct copy_table *copy_table_get(struct cdc_copier *copier,
                                  const char *name); /* NULL: no memory */
void copy_table_free(struct copy_table *tab);
/* A table as the checkpoint has it. */
CDC_CHECK int copy_tables_load(struct cdc_copier *copier, const struct cdc_map *checkpoint,
                               struct cdc_error *err);
/* The source has this table: copied if its rule says so. CDC_FAIL: no memory. */
CDC_CHECK int copy_table_listed(struct cdc_copier *copier, const char *schema, const char *name);
/* Copied from the beginning as the next generation. */
void copy_table_restart(struct cdc_copier *copier, struct copy_table *tab);
/*
 * Changes of it are missing behind all that is in the queue now: a copy is due of which nothing
 * stands there yet. Returns the least generation that mends it.
 */
uint32_t copy_table_gap(struct cdc_copier *copier, struct copy_table *tab);
/* May it be read in the round under way, and its state be written there? */
bool copy_table_barred(const struct cdc_copier *copier, const struct copy_table *tab);
void copy_table_failed(struct cdc_copier *copier, struct copy_table *tab, const char *why);
/* It has to wait; longer with each time in a row. */
void copy_table_again(struct copy_table *tab, const char *why);
bool copy_table_wanted(const struct copy_table *tab); /* is it to be copied, sooner or later? */
/* What is dirty goes into the lane. */
void copy_tables_flush(struct cdc_copier *copier);
/* A piece was read in that look: its state, or the table's end, goes into the lane. */
void copy_piece_done(struct cdc_copier *copier, const struct copy_piece *piece,
                     const struct cdc_snap *look, uint64_t rows);
void copy_piece_back(const struct copy_piece *piece);
bool copy_piece_void(const struct copy_piece *piece);
void copy_piece_free(struct copy_piece *piece);

/* ---- copier.c ---- */
void copy_lock(struct cdc_copier *copier);
void copy_unlock(struct cdc_copier *copier);
void copy_changed(struct cdc_copier *copier);
/* Under the lock; false: the deadline has passed. */
bool copy_wait(struct cdc_copier *copier, int64_t deadline_us);
bool copy_any_rule(const struct cdc_copier *copier); /* does any want rows? */
/* Is the failure the world's, which may mend? */
bool copy_may_mend(const struct cdc_error *err);

/* ---- the planner: rounds.c, feed.c ---- */
struct copy_planner {
    struct cdc_copier *copier;
    int64_t list_us;    /* when the list is due */
    int64_t backoff_us; /* the last one; 0: all goes well */
    unsigned failures;  /* of feeding, in a row */
    struct cdc_error err;
};
#define COPY_LIST_US    ((int64_t)60000000)
#define COPY_WITNESS_US ((int64_t)10000000)
/* The planner's own connection and look. CDC_AGAIN, CDC_END as take says. */
int copy_own_look(struct copy_planner *pl, enum cdc_look look, int64_t wait_us);
void copy_close_own(struct cdc_copier *copier);
/* Looks which tables there are. */
int copy_refresh_list(struct copy_planner *pl);
/* One more piece for the workers. CDC_END: there is none. A connection that failed is made anew. */
int copy_feed(struct copy_planner *pl);
bool copy_table_due(const struct copy_table *tab, int64_t now_us); /* is it to be copied now? */

/* ---- threads ---- */
void *copy_planner_main(void *copier);
void *copy_worker_main(void *worker);

#endif
