/*
 * batch.h - what crosses from the source's thread to the sink's: changes and what becomes true.
 *
 * A batch owns an arena, an array of changes in source order, references to the tables they name
 * and a *delta* of the checkpoint that becomes true together with them. The engine makes it, the
 * source fills it in poll, the queue carries it, the sink may keep it (cdc_batch_ref) until its
 * broker has answered. Its bytes are charged to the pipeline's one memory budget until the last
 * release.
 *
 * `cut` says whether a commit may follow this batch:
 *   CDC_CUT_NO   inside a transaction; the delta holds no position
 *   CDC_CUT_TX   inside a transaction, and the delta's position names the rows so far (cut:...);
 * only a sink without CDC_SINK_TX_ANY_SIZE commits here CDC_CUT_END  at the end of a transaction,
 * or no transaction is open Deltas become true only with a commit at such a place; until then the
 * engine merges them.
 *
 * Threads: filled by one thread, then read-only; the counter and the budget are thread safe.
 */
#ifndef CDC_BATCH_H
#define CDC_BATCH_H

#include "cdc/change.h"
#include "cdc/map.h"

enum cdc_cut { CDC_CUT_NO, CDC_CUT_TX, CDC_CUT_END };

struct cdc_pool;

struct cdc_batch {
    struct cdc_arena *arena;
    struct cdc_change *changes;
    size_t n, cap;
    struct cdc_map delta;
    enum cdc_cut cut;
    bool urgent;        /* commit as soon as it is written: somebody waits for the ack */
    bool caught_up;     /* all that was committed in the source when it was opened is out */
    uint64_t log_bytes; /* of the source's log that this batch moved past */
    int64_t read_us;    /* clock when it was handed over, microseconds since 1970 (`__synced_at`) */

    struct cdc_table **tables; /* distinct, each with a reference */
    size_t n_tables, cap_tables;
    size_t target; /* the source hands the batch over once it holds this many bytes */
    size_t bytes;  /* charged to the pool */
    _Atomic int refs;
    struct cdc_pool *pool;
};

/* A zeroed change at the end, its table referenced. NULL: no memory (the source returns oom). */
struct cdc_change *cdc_batch_add(struct cdc_batch *batch, struct cdc_table *tab);
/* n values (kind CDC_ABSENT) in the batch's arena, or NULL. */
struct cdc_value *cdc_batch_values(struct cdc_batch *batch, size_t n);
/* Sets a key of the delta to a JSON text; json.p == NULL marks it as deleted. */
CDC_CHECK int cdc_batch_set(struct cdc_batch *batch, const char *key, struct cdc_slice json,
                            struct cdc_error *err);
/* Sets the delta's position (made a JSON string here). */
CDC_CHECK int cdc_batch_position(struct cdc_batch *batch, struct cdc_slice position,
                                 struct cdc_error *err);
/* Has it reached its target, so that it should be handed over? */
bool cdc_batch_full(const struct cdc_batch *batch);
/* Half of it? Then the end of a transaction is a better place to hand it over than what may come:
 * inside the next one a sink commits only when it must. */
bool cdc_batch_half(const struct cdc_batch *batch);

struct cdc_batch *cdc_batch_ref(struct cdc_batch *batch);
void cdc_batch_unref(struct cdc_batch *batch); /* NULL is fine */

/*
 * The memory budget of one pipeline, and the batches that wait for reuse.
 * cdc_pool_batch never blocks and never charges; the queue charges (core/queue.h).
 */
struct cdc_pool *cdc_pool_new(size_t limit, size_t batch_target);
void cdc_pool_free(struct cdc_pool *pool);               /* all batches must be released */
struct cdc_batch *cdc_pool_batch(struct cdc_pool *pool); /* empty, one reference; NULL: no memory */
/* Charges the batch's bytes if they fit, or if nothing else is charged: CDC_OK, else CDC_AGAIN. */
CDC_CHECK int cdc_pool_charge(struct cdc_pool *pool, struct cdc_batch *batch);
/* Waits until something was given back, at most until deadline_us of the monotonic clock. */
void cdc_pool_wait(struct cdc_pool *pool, int64_t deadline_us);
size_t cdc_pool_used(struct cdc_pool *pool);
size_t cdc_pool_limit(const struct cdc_pool *pool);

#endif
