/*
 * batch.c - batches, and the pool they come from; see cdc/batch.h.
 *
 * The pool keeps a few released batches, so that at full rate memory goes round instead of through
 * malloc. A charge is what the arena and the arrays hold, taken when the batch is handed over.
 */
#include "cdc/batch.h"
#include "cdc/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define KEEP 4 /* released batches kept for reuse */

struct cdc_pool {
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    size_t limit, used, target;
    struct cdc_batch *kept[KEEP];
    size_t n_kept;
};

struct cdc_pool *cdc_pool_new(size_t limit, size_t batch_target)
{
    struct cdc_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->limit = limit;
    pool->target = batch_target;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->given_back, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void destroy(struct cdc_batch *batch)
{
    if (!batch)
        return;
    cdc_map_done(&batch->delta);
    cdc_arena_free(batch->arena);
    free(batch->changes);
    free(batch->tables);
    free(batch);
}

void cdc_pool_free(struct cdc_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->n_kept; i++)
        destroy(pool->kept[i]);
    pthread_cond_destroy(&pool->given_back);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct cdc_batch *make(struct cdc_pool *pool)
{
    struct cdc_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->arena = cdc_arena_new(SIZE_MAX);
    batch->target = pool->target;
    batch->pool = pool;
    if (!batch->arena) {
        free(batch);
        return NULL;
    }
    cdc_arena_keep(batch->arena, pool->target);
    return batch;
}

struct cdc_batch *cdc_pool_batch(struct cdc_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct cdc_batch *batch = pool->n_kept ? pool->kept[--pool->n_kept] : NULL;
    pthread_mutex_unlock(&pool->lock);
    if (!batch)
        batch = make(pool);
    if (batch)
        atomic_init(&batch->refs, 1);
    return batch;
}

static size_t batch_size(const struct cdc_batch *batch)
{
    return cdc_arena_bytes(batch->arena) + batch->cap * sizeof *batch->changes;
}

int cdc_pool_charge(struct cdc_pool *pool, struct cdc_batch *batch)
{
    size_t bytes = batch_size(batch);
    pthread_mutex_lock(&pool->lock);
    bool fits = pool->used == 0 || (bytes <= pool->limit && pool->used <= pool->limit - bytes);
    if (fits) {
        pool->used += bytes;
        batch->bytes = bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    return fits ? CDC_OK : CDC_AGAIN;
}

void cdc_pool_wait(struct cdc_pool *pool, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / 1000000,
                             .tv_nsec = deadline_us % 1000000 * 1000};
    pthread_mutex_lock(&pool->lock);
    size_t before = pool->used;
    while (pool->used >= before && pool->used > 0)
        if (pthread_cond_timedwait(&pool->given_back, &pool->lock, &until) != 0)
            break;
    pthread_mutex_unlock(&pool->lock);
}

size_t cdc_pool_used(struct cdc_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t used = pool->used;
    pthread_mutex_unlock(&pool->lock);
    return used;
}

size_t cdc_pool_limit(const struct cdc_pool *pool)
{
    return pool->limit;
}

struct cdc_change *cdc_batch_add(struct cdc_batch *batch, struct cdc_table *tab)
{
    if (batch->n == batch->cap) {
        size_t cap = batch->cap ? batch->cap * 2 : 64;
        struct cdc_change *changes = realloc(batch->changes, cap * sizeof *changes);
        if (!changes)
            return NULL;
        batch->changes = changes;
        batch->cap = cap;
    }
    if (batch->n == 0 || batch->changes[batch->n - 1].table != tab) {
        size_t i = 0;
        while (i < batch->n_tables && batch->tables[i] != tab)
            i++;
        if (i == batch->n_tables) {
            if (batch->n_tables == batch->cap_tables) {
                size_t cap = batch->cap_tables ? batch->cap_tables * 2 : 8;
                struct cdc_table **tables = realloc(batch->tables, cap * sizeof *tables);
                if (!tables)
                    return NULL;
                batch->tables = tables;
                batch->cap_tables = cap;
            }
            batch->tables[batch->n_tables++] = cdc_table_ref(tab);
        }
    }
    struct cdc_change *chg = &batch->changes[batch->n++];
    *chg = (struct cdc_change){.table = tab};
    return chg;
}

struct cdc_value *cdc_batch_values(struct cdc_batch *batch, size_t n)
{
    struct cdc_value *values = cdc_arena_alloc(batch->arena, n * sizeof *values);
    for (size_t i = 0; values && i < n; i++)
        values[i] = (struct cdc_value){.kind = CDC_ABSENT};
    return values;
}

int cdc_batch_set(struct cdc_batch *batch, const char *key, struct cdc_slice json,
                  struct cdc_error *err)
{
    return cdc_map_put(&batch->delta, cdc_slice_str(key), json) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

int cdc_batch_position(struct cdc_batch *batch, struct cdc_slice position, struct cdc_error *err)
{
    return cdc_map_put_text(&batch->delta, "position", position) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

/* What is in it, not what it holds: a reused arena has a chunk, which is half a batch, already. */
static size_t content(const struct cdc_batch *batch)
{
    return cdc_arena_given(batch->arena) + batch->n * sizeof *batch->changes;
}

bool cdc_batch_full(const struct cdc_batch *batch)
{
    return content(batch) >= batch->target;
}

bool cdc_batch_half(const struct cdc_batch *batch)
{
    return content(batch) >= batch->target / 2;
}

struct cdc_batch *cdc_batch_ref(struct cdc_batch *batch)
{
    atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

static void empty(struct cdc_batch *batch)
{
    for (size_t i = 0; i < batch->n_tables; i++)
        cdc_table_unref(batch->tables[i]);
    cdc_map_clear(&batch->delta);
    cdc_arena_reset(batch->arena);
    batch->n = batch->n_tables = 0;
    batch->cut = CDC_CUT_NO;
    batch->urgent = batch->caught_up = false;
    batch->log_bytes = 0;
    batch->read_us = 0;
    batch->bytes = 0;
}

void cdc_batch_unref(struct cdc_batch *batch)
{
    if (!batch || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct cdc_pool *pool = batch->pool;
    size_t bytes = batch->bytes;
    empty(batch);
    /* An array grown for one odd batch is not kept: it would be charged to nobody. */
    bool keep = batch->cap * sizeof *batch->changes <= pool->target;
    pthread_mutex_lock(&pool->lock);
    pool->used -= bytes;
    if (keep && pool->n_kept < KEEP) {
        pool->kept[pool->n_kept++] = batch;
        batch = NULL;
    }
    pthread_cond_broadcast(&pool->given_back);
    pthread_mutex_unlock(&pool->lock);
    destroy(batch);
}
