/*
 * ring.h - packets from one thread to another, in order, through bounded memory.
 *
 * One thread puts, one takes; nothing else may call put, finish or take. A packet lies in the ring
 * in one piece; one that is too large for it is not copied but lent: put then returns when it has
 * been taken and let go. Both sides run without locks as long as neither must wait.
 */
#ifndef MYS_RING_H
#define MYS_RING_H

#include "cdc/buf.h"

struct mys_ring;

/* size: a power of two, 4096 at least. NULL: no memory. */
struct mys_ring *mys_ring_new(size_t size);
void mys_ring_free(struct mys_ring *ring); /* NULL is fine; both sides have ended */

/* Waits for room. CDC_END: stopped. */
CDC_CHECK int mys_ring_put(struct mys_ring *ring, struct cdc_slice packet);
void mys_ring_finish(struct mys_ring *ring); /* no more come; what is there can still be taken */

/*
 * The next, its bytes until the next call. CDC_AGAIN: none until the deadline, or woken. CDC_END:
 * finished, and all are taken.
 */
CDC_CHECK int mys_ring_take(struct mys_ring *ring, int64_t deadline_us, struct cdc_slice *ret);
bool mys_ring_dry(struct mys_ring *ring);  /* taker: would take wait now? */
void mys_ring_wake(struct mys_ring *ring); /* any thread: ends one wait, this or the next */
void mys_ring_stop(struct mys_ring *ring); /* any thread: ends put, now and for ever */

#endif
