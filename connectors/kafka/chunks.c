/*
 * chunks.c - memory of messages in flight: carved from chunks, counted back by delivery reports.
 *
 * librdkafka neither copies nor frees our messages, so each one's bytes must stay until its report.
 * Messages are laid one behind another into chunks of 256 KiB (one that is larger gets a chunk of
 * its own); a chunk whose last message was reported is used again. Reports of different partitions
 * come in any order, so a chunk may be held by a single message: what is bounded is therefore whole
 * chunks, and nothing more can be in flight however slow one partition is.
 */
#include "kafka.h"

#include <stdlib.h>

void kfk_chunks_init(struct kfk_chunks *ch, size_t max)
{
    *ch = (struct kfk_chunks){.max = max};
}

static void free_list(struct kfk_chunk *chunk)
{
    while (chunk) {
        struct kfk_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void kfk_chunks_done(struct kfk_chunks *ch)
{
    free(ch->open);
    free_list(ch->busy);
    free_list(ch->idle);
    *ch = (struct kfk_chunks){.max = ch->max};
}

/* Bytes of a message in its chunk; the next one begins aligned. */
static size_t footprint(size_t n)
{
    return (sizeof(struct kfk_msg) + n + 7) & ~(size_t)7;
}

static bool fits_open(const struct kfk_chunks *ch, size_t need)
{
    return ch->open && need <= ch->open->cap - ch->open->used;
}

size_t kfk_chunks_used(const struct kfk_chunks *ch)
{
    return ch->held + ch->msgs * KFK_MSG_COST;
}

bool kfk_chunks_room(const struct kfk_chunks *ch, size_t n)
{
    size_t need = footprint(n);
    if (ch->msgs == 0)
        return true;
    size_t more = fits_open(ch, need) ? 0 : need > KFK_CHUNK_BYTES ? need : KFK_CHUNK_BYTES;
    return kfk_chunks_used(ch) + more + KFK_MSG_COST <= ch->max;
}

static struct kfk_chunk *new_chunk(struct kfk_chunks *ch, size_t cap)
{
    struct kfk_chunk *chunk = cap == KFK_CHUNK_BYTES ? ch->idle : NULL;
    if (chunk) {
        ch->idle = chunk->next;
    } else {
        if (cap > KFK_CHUNK_BYTES) { /* else it would come on top of what lies idle */
            free_list(ch->idle);
            ch->idle = NULL;
        }
        chunk = malloc(sizeof *chunk + cap);
        if (!chunk)
            return NULL;
    }
    *chunk = (struct kfk_chunk){.cap = cap};
    ch->held += cap;
    return chunk;
}

static void push_busy(struct kfk_chunks *ch, struct kfk_chunk *chunk)
{
    chunk->prev = NULL;
    chunk->next = ch->busy;
    if (ch->busy)
        ch->busy->prev = chunk;
    ch->busy = chunk;
}

/* A chunk that nothing is in: back into the stock, or to the system. */
static void retire(struct kfk_chunks *ch, struct kfk_chunk *chunk)
{
    ch->held -= chunk->cap;
    if (chunk->cap != KFK_CHUNK_BYTES) {
        free(chunk);
        return;
    }
    chunk->next = ch->idle;
    ch->idle = chunk;
}

static struct kfk_chunk *chunk_for(struct kfk_chunks *ch, size_t need)
{
    if (fits_open(ch, need))
        return ch->open;
    struct kfk_chunk *chunk = new_chunk(ch, need > KFK_CHUNK_BYTES ? need : KFK_CHUNK_BYTES);
    if (!chunk)
        return NULL;
    if (need > KFK_CHUNK_BYTES) {
        push_busy(ch, chunk);
        return chunk;
    }
    if (ch->open && ch->open->msgs > 0)
        push_busy(ch, ch->open);
    else if (ch->open)
        retire(ch, ch->open);
    ch->open = chunk;
    return chunk;
}

struct kfk_msg *kfk_chunks_take(struct kfk_chunks *ch, size_t n)
{
    size_t need = footprint(n);
    struct kfk_chunk *chunk = chunk_for(ch, need);
    if (!chunk)
        return NULL;
    struct kfk_msg *msg = (struct kfk_msg *)(void *)(chunk->bytes + chunk->used);
    chunk->used += need;
    chunk->msgs++;
    ch->msgs++;
    msg->chunk = chunk;
    return msg;
}

void kfk_chunks_give(struct kfk_chunks *ch, struct kfk_chunk *chunk)
{
    ch->msgs--;
    if (--chunk->msgs > 0)
        return;
    if (chunk == ch->open) {
        chunk->used = 0;
        return;
    }
    if (chunk->prev)
        chunk->prev->next = chunk->next;
    else
        ch->busy = chunk->next;
    if (chunk->next)
        chunk->next->prev = chunk->prev;
    retire(ch, chunk);
}
