/*
 * queue.c - see queue.h. A ring that grows; the bytes, not the number of batches, are the bound.
 *
 * An element is a batch or a lane, and a lane is a ring of batches again. Two hold a lane: the
 * queue as long as it stands in the ring, and its producers until they close it; the last one frees
 * it. A lane that the queue let go (drained, aborted, reset) is `shut`: a push gives CDC_END, so
 * that the producers of a session that is over cannot reach the next one.
 */
#include "pipeline/queue.h"
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "cdc/clock.h"

#define SLICE_US 100000 /* a stop is seen so soon */

enum state { OPEN, DRAINED, ABORTED };

struct item {
    struct cdc_batch *batch; /* or */
    struct cdc_lane *lane;
};

struct ring {
    struct item *items;
    size_t head, n, cap;
};

struct cdc_lane {
    struct cdc_queue *queue;
    struct ring ring;
    bool shut;   /* nothing more comes in */
    bool queued; /* stands in the queue */
    bool owned;  /* its producers have not closed it */
};

struct cdc_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct cdc_pool *pool;
    struct ring ring;
    enum state state;
    bool poked;
};

struct cdc_queue *cdc_queue_new(struct cdc_pool *pool)
{
    struct cdc_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->pool = pool;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&queue->lock, NULL);
    return queue;
}

/* ---- rings ---- */

/* The i-th from the head; i may be n, where there is room. */
static struct item *at(const struct ring *ring, size_t i)
{
    size_t k = ring->head + i;
    return &ring->items[k < ring->cap ? k : k - ring->cap];
}

static bool make_room(struct ring *ring)
{
    if (ring->n < ring->cap)
        return true;
    size_t cap = ring->cap ? ring->cap * 2 : 16;
    struct item *items = calloc(cap, sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < ring->n; i++)
        items[i] = *at(ring, i);
    free(ring->items);
    *ring = (struct ring){.items = items, .n = ring->n, .cap = cap};
    return true;
}

/* There is room for it. */
static void put(struct ring *ring, struct item item)
{
    *at(ring, ring->n++) = item;
}

static struct item *head(const struct ring *ring)
{
    return ring->n ? &ring->items[ring->head] : NULL;
}

static void drop_head(struct ring *ring)
{
    ring->head = ring->head + 1 < ring->cap ? ring->head + 1 : 0;
    ring->n--;
}

/* ---- all of these under the lock ---- */

static void release_batches(struct ring *ring)
{
    for (; ring->n > 0; drop_head(ring))
        cdc_batch_unref(head(ring)->batch);
}

static void free_if_left(struct cdc_lane *lane)
{
    if (lane->queued || lane->owned)
        return;
    free(lane->ring.items);
    free(lane);
}

static void let_go(struct cdc_lane *lane)
{
    lane->shut = true;
    lane->queued = false;
    release_batches(&lane->ring);
    free_if_left(lane);
}

/* The lane at the head: the queue is done with it. */
static void drop_lane(struct cdc_queue *queue)
{
    struct cdc_lane *lane = head(&queue->ring)->lane;
    head(&queue->ring)->lane = NULL;
    drop_head(&queue->ring);
    let_go(lane);
}

static void release_all(struct cdc_queue *queue)
{
    while (queue->ring.n > 0) {
        if (head(&queue->ring)->lane) {
            drop_lane(queue);
        } else {
            cdc_batch_unref(head(&queue->ring)->batch);
            drop_head(&queue->ring);
        }
    }
}

static void shut_lanes(struct cdc_queue *queue)
{
    for (size_t i = 0; i < queue->ring.n; i++) {
        struct item *item = at(&queue->ring, i);
        if (item->lane)
            item->lane->shut = true;
    }
}

/* Goes past lanes that are over; the ring whose head comes next, or NULL: nothing is there now. */
static struct ring *front(struct cdc_queue *queue)
{
    for (struct item *item; (item = head(&queue->ring)) && item->lane;) {
        if (item->lane->ring.n > 0)
            return &item->lane->ring;
        if (!item->lane->shut)
            return NULL;
        drop_lane(queue);
    }
    return queue->ring.n > 0 ? &queue->ring : NULL;
}

/* ---- the queue ---- */

void cdc_queue_free(struct cdc_queue *queue)
{
    if (!queue)
        return;
    release_all(queue);
    free(queue->ring.items);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static void enter(struct cdc_queue *queue, enum state state)
{
    pthread_mutex_lock(&queue->lock);
    if (state == DRAINED)
        shut_lanes(queue);
    else
        release_all(queue);
    if (state != DRAINED || queue->state == OPEN)
        queue->state = state;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

void cdc_queue_reset(struct cdc_queue *queue)
{
    enter(queue, OPEN);
}

void cdc_queue_drain(struct cdc_queue *queue)
{
    enter(queue, DRAINED);
}

void cdc_queue_abort(struct cdc_queue *queue)
{
    enter(queue, ABORTED);
}

int cdc_queue_push(struct cdc_queue *queue, struct cdc_batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    int rc = queue->state != OPEN ? CDC_END : CDC_AGAIN;
    if (rc == CDC_AGAIN && make_room(&queue->ring) &&
        cdc_pool_charge(queue->pool, batch) == CDC_OK) {
        put(&queue->ring, (struct item){.batch = batch});
        pthread_cond_signal(&queue->filled);
        rc = CDC_OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

/* Under the lock: false once the deadline has passed. */
static bool wait_filled(struct cdc_queue *queue, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX)
        return pthread_cond_wait(&queue->filled, &queue->lock) == 0;
    struct timespec until = {.tv_sec = deadline_us / 1000000,
                             .tv_nsec = deadline_us % 1000000 * 1000};
    return pthread_cond_timedwait(&queue->filled, &queue->lock, &until) == 0;
}

int cdc_queue_pop(struct cdc_queue *queue, int64_t deadline_us, struct cdc_batch **ret)
{
    struct ring *ring;
    pthread_mutex_lock(&queue->lock);
    while (!(ring = front(queue)) && queue->state == OPEN && !queue->poked)
        if (!wait_filled(queue, deadline_us)) {
            ring = front(queue);
            break;
        }
    queue->poked = false;
    int rc = queue->state == OPEN ? CDC_AGAIN : CDC_END;
    if (ring) {
        *ret = head(ring)->batch;
        drop_head(ring);
        rc = CDC_OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

bool cdc_queue_empty(struct cdc_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool empty = front(queue) == NULL;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

void cdc_queue_poke(struct cdc_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->poked = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

#define ASKED 64 /* batches without changes are not many in a row */

void cdc_queue_look(struct cdc_queue *queue, struct cdc_queue_look *ret)
{
    const struct ring *ring = &queue->ring;
    *ret = (struct cdc_queue_look){.bytes = cdc_pool_used(queue->pool),
                                   .limit = cdc_pool_limit(queue->pool)};
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < ring->n; i++) {
        const struct item *item = at(ring, i);
        const struct cdc_batch *batch = item->batch;
        ret->batches += item->lane ? item->lane->ring.n : 1;
        if (batch && i < ASKED && ret->oldest_us == 0 && batch->n > 0 && batch->changes[0].tx)
            ret->oldest_us = batch->changes[0].tx->commit_us;
    }
    pthread_mutex_unlock(&queue->lock);
}

/* ---- lanes ---- */

int cdc_queue_lane(struct cdc_queue *queue, struct cdc_lane **ret)
{
    struct cdc_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return CDC_FAIL;
    *lane = (struct cdc_lane){.queue = queue, .queued = true, .owned = true};
    pthread_mutex_lock(&queue->lock);
    int rc = queue->state != OPEN ? CDC_END : make_room(&queue->ring) ? CDC_OK : CDC_FAIL;
    if (rc == CDC_OK)
        put(&queue->ring, (struct item){.lane = lane});
    pthread_mutex_unlock(&queue->lock);
    if (rc == CDC_OK)
        *ret = lane;
    else
        free(lane);
    return rc;
}

/* CDC_AGAIN: no room. */
static int try_push(struct cdc_lane *lane, struct cdc_batch *batch, bool charged)
{
    struct cdc_queue *queue = lane->queue;
    pthread_mutex_lock(&queue->lock);
    int rc = lane->shut ? CDC_END : CDC_AGAIN;
    if (rc == CDC_AGAIN && make_room(&lane->ring) &&
        (!charged || cdc_pool_charge(batch->pool, batch) == CDC_OK)) {
        put(&lane->ring, (struct item){.batch = batch});
        pthread_cond_signal(&queue->filled);
        rc = CDC_OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

int cdc_lane_push(struct cdc_lane *lane, struct cdc_batch *batch, const atomic_bool *stop)
{
    for (;;) {
        int rc = atomic_load(stop) ? CDC_END : try_push(lane, batch, true);
        if (rc == CDC_OK)
            return CDC_OK;
        if (rc == CDC_END) {
            cdc_batch_unref(batch);
            return CDC_END;
        }
        cdc_pool_wait(batch->pool, cdc_mono_us() + SLICE_US);
    }
}

int cdc_lane_put(struct cdc_lane *lane, struct cdc_batch *batch)
{
    int rc = try_push(lane, batch, false);
    if (rc == CDC_OK)
        return CDC_OK;
    cdc_batch_unref(batch);
    return rc == CDC_AGAIN ? CDC_FAIL : CDC_END;
}

void cdc_lane_close(struct cdc_lane *lane)
{
    if (!lane)
        return;
    struct cdc_queue *queue = lane->queue;
    pthread_mutex_lock(&queue->lock);
    lane->shut = true;
    lane->owned = false;
    free_if_left(lane);
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}
