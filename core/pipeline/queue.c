/* queue.c - see queue.h. A ring that grows; the bytes, not the number of batches, are the bound. */
#include "pipeline/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum state { OPEN, DRAINED, ABORTED };

struct cdc_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct cdc_pool *pool;
    struct cdc_batch **ring;
    size_t head, n, cap;
    enum state state;
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

/* Under the lock. */
static void release_all(struct cdc_queue *queue)
{
    for (; queue->n > 0 && queue->cap > 0; queue->n--) {
        cdc_batch_unref(queue->ring[queue->head]);
        queue->head = (queue->head + 1) % queue->cap;
    }
}

void cdc_queue_free(struct cdc_queue *queue)
{
    if (!queue)
        return;
    release_all(queue);
    free(queue->ring);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static void enter(struct cdc_queue *queue, enum state state)
{
    pthread_mutex_lock(&queue->lock);
    if (state != DRAINED)
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

/* Under the lock. */
static bool make_room(struct cdc_queue *queue)
{
    if (queue->n < queue->cap)
        return true;
    size_t cap = queue->cap ? queue->cap * 2 : 16;
    struct cdc_batch **ring = calloc(cap, sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; queue->cap > 0 && i < queue->n; i++)
        ring[i] = queue->ring[(queue->head + i) % queue->cap];
    free(queue->ring);
    queue->ring = ring;
    queue->head = 0;
    queue->cap = cap;
    return true;
}

int cdc_queue_push(struct cdc_queue *queue, struct cdc_batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    int rc = queue->state != OPEN ? CDC_END : CDC_AGAIN;
    if (rc == CDC_AGAIN && make_room(queue) && queue->cap > 0 &&
        cdc_pool_charge(queue->pool, batch) == CDC_OK) {
        queue->ring[(queue->head + queue->n++) % queue->cap] = batch;
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
    pthread_mutex_lock(&queue->lock);
    while (queue->n == 0 && queue->state == OPEN)
        if (!wait_filled(queue, deadline_us))
            break;
    int rc = queue->state == OPEN ? CDC_AGAIN : CDC_END;
    if (queue->n > 0) {
        *ret = queue->ring[queue->head];
        queue->head = (queue->head + 1) % queue->cap;
        queue->n--;
        rc = CDC_OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

bool cdc_queue_empty(struct cdc_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool empty = queue->n == 0;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}
