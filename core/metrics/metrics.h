/*
 * metrics.h - what a running pipeline tells of itself: counters, the ladder of lag, its tables.
 *
 * The model. One struct per run, filled by the source and the sink thread where a batch passes
 * them; anybody else reads a *view*: a copy made under the lock, which then belongs to the reader
 * alone. The ladder has four rungs: the end of the source's log, and what was received of it,
 * written to the sink, and committed there. Bytes are counted by the batches' log_bytes from the
 * place where the run began; a look at the source (cdc_source_ops.look) says where the end is.
 * Seconds are the age of the oldest change that has not come to a rung.
 *
 * Rows of a table are counted when they are committed, so that a rewind counts nothing twice.
 *
 * All calls take NULL for the metrics and do nothing then: a pipeline without a listener pays for a
 * test of a pointer. Threads: as said; the lock is held for moments only, never across I/O.
 * Ownership: everything is copied.
 */
#ifndef CDC_METRICS_H
#define CDC_METRICS_H

#include "cdc/batch.h"
#include "cdc/source.h"

enum cdc_rung { CDC_RUNG_END, CDC_RUNG_RECEIVED, CDC_RUNG_WRITTEN, CDC_RUNG_COMMITTED, CDC_RUNGS };

#define CDC_METRICS_OPS     6 /* c u d r t m, in this order: cdc_metrics_ops */
#define CDC_METRICS_BUCKETS 14
#define CDC_METRICS_TEXT    160 /* positions and the like; a longer one is cut */

extern const char cdc_metrics_ops[CDC_METRICS_OPS + 1];
extern const double cdc_metrics_bounds[CDC_METRICS_BUCKETS]; /* upper bounds in seconds */

enum cdc_phase { CDC_PHASE_STARTING, CDC_PHASE_STREAMING, CDC_PHASE_WAITING, CDC_PHASE_STOPPING };

struct cdc_histogram {
    uint64_t buckets[CDC_METRICS_BUCKETS]; /* each for itself, not summed up */
    uint64_t count;
    double sum;
};

struct cdc_metrics_table {
    const char *name;  /* schema.name */
    const char *state; /* as the checkpoint says: streaming, skipped, paused, ... */
    const char *gap;   /* position from which changes are missing; NULL: none */
    uint64_t rows[CDC_METRICS_OPS], bytes;
    int64_t commit_us; /* source's commit time of the newest change; 0: none yet */
};

struct cdc_metrics_rung {
    uint64_t bytes;                  /* log between this rung and the source's end */
    double seconds;                  /* age of the oldest change that has not come here */
    char position[CDC_METRICS_TEXT]; /* "" where there is none */
};

/* One moment of it all. Strings live as long as the view. */
struct cdc_metrics_view {
    int64_t at_us, started_us; /* wall clock */
    enum cdc_phase phase;
    int64_t phase_us;   /* since when */
    char trouble[1280]; /* why the last session ended; "" while one runs well */
    struct cdc_metrics_rung rungs[CDC_RUNGS];
    uint64_t rows, batches, commits, sessions, retries;
    uint64_t rows_waiting; /* written and not committed */
    double waiting_s;      /* ... since when the sink made no commit although rows wait */
    size_t queue_batches, queue_bytes, queue_limit;
    struct cdc_histogram commit;   /* how long sink->commit took */
    struct cdc_histogram delivery; /* from commit in the source to commit in the sink;
                                      no copied rows */
    int64_t committed_us;          /* wall clock of the last commit; 0: none */
    bool looked;                   /* the source told what follows */
    struct cdc_source_status source;
    int64_t looked_us;
    struct cdc_metrics_table *tables; /* by name */
    size_t n_tables;
    struct cdc_arena *arena;
};

struct cdc_metrics;

struct cdc_metrics *cdc_metrics_new(void); /* NULL: no memory */
void cdc_metrics_free(struct cdc_metrics *met);

/* Engine thread. */
void cdc_metrics_phase(struct cdc_metrics *met, enum cdc_phase phase);
/* A session ends badly and another will be tried: why. */
void cdc_metrics_trouble(struct cdc_metrics *met, const struct cdc_error *err);

/* Source thread. A session begins: what was in flight is not any more. */
void cdc_metrics_begin(struct cdc_metrics *met, const struct cdc_map *checkpoint);
/* A batch was made. */
void cdc_metrics_received(struct cdc_metrics *met, const struct cdc_batch *batch);
/* Nothing more is there to receive. */
void cdc_metrics_dry(struct cdc_metrics *met);
void cdc_metrics_looked(struct cdc_metrics *met, const struct cdc_source_status *status);

/* Sink thread. A batch was taken out of the queue; the sink took it; a commit was made of all. */
void cdc_metrics_taken(struct cdc_metrics *met, const struct cdc_batch *batch);
void cdc_metrics_written(struct cdc_metrics *met, const struct cdc_batch *batch);
void cdc_metrics_committed(struct cdc_metrics *met, const struct cdc_map *delta, int64_t took_us);
/* Bytes that were encoded for the table. */
void cdc_metrics_bytes(struct cdc_metrics *met, const struct cdc_table *tab, uint64_t bytes);

/* Any thread. The queue's figures are the caller's to fill in. CDC_FAIL: no memory. */
struct cdc_queue_look {
    size_t batches, bytes, limit;
    int64_t oldest_us; /* commit time of the oldest change in it; 0: none */
};
CDC_CHECK int cdc_metrics_look(struct cdc_metrics *met, const struct cdc_queue_look *queue,
                               struct cdc_metrics_view *ret);
void cdc_metrics_view_done(struct cdc_metrics_view *view);

#endif
