/*
 * ring.c - see ring.h.
 *
 * `head` and `tail` count bytes for ever; their place in the memory is the remainder. A record is a
 * word that tells its length, then the packet, filled up to 8 bytes. One that would cross the end
 * is preceded by a record that says "go on at the start"; one of more than an eighth of the memory
 * is a pointer to where the putter holds it.
 *
 * Each side has its own copy of what it last saw of the other's counter, and looks again only when
 * that is not enough. Who must wait says so (`want_tail`, `want_head`), looks once more, and waits
 * for the condition; who moves a counter moves it first and then looks whether somebody wants it.
 * All of these are sequentially consistent, so at least one of the two sees the other.
 *
 * The taker moves `head` on in steps, and before it waits.
 *
 * Two things keep them from waking each other for every packet. The taker, finding nothing, naps
 * before it waits if it has had packets since the last time: under load it finds many afterwards.
 * The putter, finding it full, is woken when half of it is free again.
 */
#include "ring.h"

#include "cdc/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define ALIGN  8u
#define LENT   (UINT64_C(1) << 63)
#define WRAP   (UINT64_C(1) << 62)
#define NAP_NS 50000

struct mys_ring {
    uint8_t *bytes;
    uint64_t size;

    /* the putter's */
    _Alignas(64) _Atomic uint64_t tail; /* everything before it is there */
    uint64_t seen_head;

    /* the taker's */
    _Alignas(64) _Atomic uint64_t head; /* everything before it may be overwritten */
    uint64_t seen_tail, current, told;  /* current: the end of what was handed out last */
    bool lent;                          /* that was lent */
    bool napped;                        /* nothing has come since */

    _Alignas(64) _Atomic uint64_t want_head; /* the putter waits until head is there; 0: not */
    atomic_bool want_tail;                   /* the taker waits for anything */
    atomic_bool finished, stopped, woken;
    pthread_mutex_t lock;
    pthread_cond_t more, room;
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct mys_ring *mys_ring_new(size_t size)
{
    struct mys_ring *ring = aligned_alloc(64, sizeof *ring);
    uint8_t *bytes = aligned_alloc(64, size);
    if (!ring || !bytes) {
        free(ring);
        free(bytes);
        return NULL;
    }
    *ring = (struct mys_ring){.bytes = bytes, .size = size};
    pthread_mutex_init(&ring->lock, NULL);
    cond_init(&ring->more);
    cond_init(&ring->room);
    return ring;
}

void mys_ring_free(struct mys_ring *ring)
{
    if (!ring)
        return;
    pthread_cond_destroy(&ring->more);
    pthread_cond_destroy(&ring->room);
    pthread_mutex_destroy(&ring->lock);
    free(ring->bytes);
    free(ring);
}

static uint64_t *word_at(struct mys_ring *ring, uint64_t at)
{
    return (uint64_t *)(void *)(ring->bytes + (at & (ring->size - 1)));
}

/* Until the taker is at `until`. CDC_END: stopped. */
static int wait_room(struct mys_ring *ring, uint64_t until)
{
    atomic_store(&ring->want_head, until);
    ring->seen_head = atomic_load(&ring->head);
    if (ring->seen_head < until) {
        pthread_mutex_lock(&ring->lock);
        while (!atomic_load(&ring->stopped) && (ring->seen_head = atomic_load(&ring->head)) < until)
            pthread_cond_wait(&ring->room, &ring->lock);
        pthread_mutex_unlock(&ring->lock);
    }
    atomic_store(&ring->want_head, 0);
    return atomic_load(&ring->stopped) ? CDC_END : CDC_OK;
}

static void publish(struct mys_ring *ring, uint64_t tail)
{
    atomic_store(&ring->tail, tail);
    if (!atomic_load(&ring->want_tail))
        return;
    pthread_mutex_lock(&ring->lock);
    pthread_cond_signal(&ring->more);
    pthread_mutex_unlock(&ring->lock);
}

int mys_ring_put(struct mys_ring *ring, struct cdc_slice packet)
{
    bool lent = packet.len > ring->size / 8;
    uint64_t body = lent ? sizeof packet.p : packet.len;
    uint64_t len = ALIGN + ((body + ALIGN - 1) & ~(uint64_t)(ALIGN - 1));
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t rest = ring->size - (tail & (ring->size - 1));
    uint64_t end = tail + len + (rest < len ? rest : 0);
    if (atomic_load_explicit(&ring->stopped, memory_order_relaxed))
        return CDC_END;
    if (end - ring->seen_head > ring->size) {
        ring->seen_head = atomic_load(&ring->head);
        if (end - ring->seen_head > ring->size && wait_room(ring, tail - ring->size / 2) != CDC_OK)
            return CDC_END;
    }
    if (rest < len) {
        *word_at(ring, tail) = WRAP;
        tail += rest;
    }
    uint64_t *word = word_at(ring, tail);
    *word = packet.len | (lent ? LENT : 0);
    if (lent)
        memcpy(word + 1, &packet.p, sizeof packet.p);
    else if (packet.len)
        memcpy(word + 1, packet.p, packet.len);
    publish(ring, end);
    return lent ? wait_room(ring, end) : CDC_OK;
}

void mys_ring_finish(struct mys_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    atomic_store(&ring->finished, true);
    pthread_cond_signal(&ring->more);
    pthread_mutex_unlock(&ring->lock);
}

/* Tells the putter how far it may overwrite. */
static void let_go(struct mys_ring *ring)
{
    if (ring->current == ring->told)
        return;
    ring->told = ring->current;
    ring->lent = false;
    atomic_store(&ring->head, ring->current);
    uint64_t want = atomic_load(&ring->want_head);
    if (!want || ring->current < want)
        return;
    pthread_mutex_lock(&ring->lock);
    pthread_cond_signal(&ring->room);
    pthread_mutex_unlock(&ring->lock);
}

bool mys_ring_dry(struct mys_ring *ring)
{
    if (ring->seen_tail != ring->current)
        return false;
    bool finished = atomic_load(&ring->finished); /* before the counter, which is final then */
    ring->seen_tail = atomic_load(&ring->tail);
    return ring->seen_tail == ring->current && !finished;
}

/* Until there is something, it is finished, woken, or late. */
static void wait_more(struct mys_ring *ring, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_us / 1000000),
                             .tv_nsec = (long)(deadline_us % 1000000 * 1000)};
    atomic_store(&ring->want_tail, true);
    if (mys_ring_dry(ring)) {
        pthread_mutex_lock(&ring->lock);
        while (mys_ring_dry(ring) && !atomic_load(&ring->woken) &&
               pthread_cond_timedwait(&ring->more, &ring->lock, &until) == 0)
            ;
        pthread_mutex_unlock(&ring->lock);
    }
    atomic_store(&ring->want_tail, false);
}

static bool await(struct mys_ring *ring, int64_t deadline_us)
{
    let_go(ring);
    if (!mys_ring_dry(ring))
        return true;
    if (atomic_load(&ring->woken) || cdc_mono_us() >= deadline_us)
        return false;
    if (!ring->napped) {
        ring->napped = true;
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    wait_more(ring, deadline_us);
    return !mys_ring_dry(ring);
}

int mys_ring_take(struct mys_ring *ring, int64_t deadline_us, struct cdc_slice *ret)
{
    if (ring->lent || ring->current - ring->told > ring->size / 8)
        let_go(ring);
    if (ring->seen_tail == ring->current && !await(ring, deadline_us)) {
        atomic_store(&ring->woken, false);
        return CDC_AGAIN;
    }
    if (ring->seen_tail == ring->current)
        return CDC_END;
    const uint64_t *word = word_at(ring, ring->current);
    if (*word == WRAP) {
        ring->current += ring->size - (ring->current & (ring->size - 1));
        word = word_at(ring, ring->current);
    }
    bool lent = ring->lent = *word & LENT;
    ret->len = *word & ~LENT;
    ret->p = (const uint8_t *)(word + 1);
    if (lent)
        memcpy(&ret->p, word + 1, sizeof ret->p);
    uint64_t body = lent ? sizeof ret->p : ret->len;
    ring->current += ALIGN + ((body + ALIGN - 1) & ~(uint64_t)(ALIGN - 1));
    ring->napped = false;
    return CDC_OK;
}

void mys_ring_wake(struct mys_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    atomic_store(&ring->woken, true);
    pthread_cond_signal(&ring->more);
    pthread_mutex_unlock(&ring->lock);
}

void mys_ring_stop(struct mys_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    atomic_store(&ring->stopped, true);
    pthread_cond_signal(&ring->room);
    pthread_mutex_unlock(&ring->lock);
}
