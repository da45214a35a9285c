/*
 * queue.h - batches in source order from the source thread to the sink thread, bounded by the bytes
 * of their pool.
 *
 * One producer, one consumer. The queue owns a batch from a successful push to the pop.
 *
 * A *lane* is a place in the queue that is filled later, by several threads at once, while batches
 * already stand behind it: the rows of a copy (core/snapshot). pop gives what is in it, waits there
 * for more, and goes past it once it is closed and empty. A lane may be placed only where the last
 * batch before it ended with CDC_CUT_END; its batches are CDC_CUT_END and name no position. They
 * are charged to a pool of their own, so that neither side can starve the other.
 *
 * States: open -> drained (no more pushes; pops give what is left, then CDC_END), or -> aborted
 * (what is left is released; push and pop give CDC_END at once). Both are final until reset.
 */
#ifndef CDC_QUEUE_H
#define CDC_QUEUE_H

#include <stdatomic.h>

#include "cdc/batch.h"

struct cdc_queue;

struct cdc_queue *cdc_queue_new(struct cdc_pool *pool);
void cdc_queue_free(struct cdc_queue *queue); /* NULL is fine; releases what is left */
void cdc_queue_reset(struct cdc_queue *queue);

/* Takes the batch and charges it. CDC_AGAIN: no room (the batch stays the caller's); CDC_END. */
CDC_CHECK int cdc_queue_push(struct cdc_queue *queue, struct cdc_batch *batch);
/* The next batch. Waits until deadline_us (monotonic; INT64_MAX: for ever). CDC_AGAIN, CDC_END. */
CDC_CHECK int cdc_queue_pop(struct cdc_queue *queue, int64_t deadline_us, struct cdc_batch **ret);
/* Would a pop have to wait? Also at a lane in which nothing is. */
bool cdc_queue_empty(struct cdc_queue *queue);
/* Ends a waiting pop with CDC_AGAIN, or the next one that would wait. Any thread. */
void cdc_queue_poke(struct cdc_queue *queue);
/* What is in it now, for metrics. Any thread. */
struct cdc_queue_look;
void cdc_queue_look(struct cdc_queue *queue, struct cdc_queue_look *ret);
void cdc_queue_drain(struct cdc_queue *queue); /* no lane takes anything more either */
void cdc_queue_abort(struct cdc_queue *queue);

struct cdc_lane;

/* Places a lane at the end; the caller's until cdc_lane_close. CDC_END; CDC_FAIL: no memory. */
CDC_CHECK int cdc_queue_lane(struct cdc_queue *queue, struct cdc_lane **ret);
/*
 * Takes the batch once it fits into its pool. The batch is gone in every case. CDC_END: the queue
 * takes nothing more, or *stop was seen (in 100 ms at most). Any thread.
 */
CDC_CHECK int cdc_lane_push(struct cdc_lane *lane, struct cdc_batch *batch,
                            const atomic_bool *stop);
/* The same for a batch of no size to speak of: never waits, and is not charged. CDC_END; CDC_FAIL:
 * no memory. */
CDC_CHECK int cdc_lane_put(struct cdc_lane *lane, struct cdc_batch *batch);
/* Nothing more will come. No other thread may be in a push; the lane is no more the caller's. */
void cdc_lane_close(struct cdc_lane *lane); /* NULL is fine */

#endif
