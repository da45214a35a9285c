/*
 * queue.h - batches in source order from the source thread to the sink thread, bounded by the bytes
 * of their pool.
 *
 * One producer, one consumer. The queue owns a batch from a successful push to the pop.
 * States: open -> drained (no more pushes; pops give what is left, then CDC_END), or -> aborted
 * (what is left is released; push and pop give CDC_END at once). Both are final until reset.
 */
#ifndef CDC_QUEUE_H
#define CDC_QUEUE_H

#include "cdc/batch.h"

struct cdc_queue;

struct cdc_queue *cdc_queue_new(struct cdc_pool *pool);
void cdc_queue_free(struct cdc_queue *queue); /* NULL is fine; releases what is left */
void cdc_queue_reset(struct cdc_queue *queue);

/* Takes the batch and charges it. CDC_AGAIN: no room (the batch stays the caller's); CDC_END. */
CDC_CHECK int cdc_queue_push(struct cdc_queue *queue, struct cdc_batch *batch);
/* The next batch. Waits until deadline_us (monotonic; INT64_MAX: for ever). CDC_AGAIN, CDC_END. */
CDC_CHECK int cdc_queue_pop(struct cdc_queue *queue, int64_t deadline_us, struct cdc_batch **ret);
bool cdc_queue_empty(struct cdc_queue *queue);
void cdc_queue_drain(struct cdc_queue *queue);
void cdc_queue_abort(struct cdc_queue *queue);

#endif
