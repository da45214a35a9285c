/*
 * arena.c - bump allocation in chunks; see cdc/buf.h.
 *
 * Chunks start at 4 KiB and double up to 256 KiB, so that a small table costs little and a batch
 * few calls. A request above a quarter of the chunk size gets a chunk of its own, put behind the
 * current one so that the current one's room is not lost. Reset keeps the newest ordinary chunk,
 * and more of them where that was asked for: what goes back to the system comes back page by page,
 * each cleared, which costs a batch more than filling it.
 */
#include "cdc/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MIN ((size_t)4096)
#define CHUNK_MAX ((size_t)256 * 1024)

struct chunk {
    struct chunk *next;
    size_t size; /* of data */
    uint8_t data[] __attribute__((aligned(16)));
};

struct adopted {
    struct adopted *next;
    void *p;
    size_t n;
};

struct cdc_arena {
    struct chunk *chunks; /* the first is the current one */
    struct chunk *spare;  /* of before the last reset */
    size_t keep;          /* bytes of chunks that a reset keeps, beside the first */
    size_t used;          /* of the current one */
    size_t chunk_size;    /* of the next ordinary one */
    size_t total, max;
    size_t given; /* since the last reset: bytes asked for, adopted ones included */
    struct adopted *adopted;
};

struct cdc_arena *cdc_arena_new(size_t max)
{
    struct cdc_arena *arena = calloc(1, sizeof *arena);
    if (arena) {
        arena->max = max;
        arena->chunk_size = CHUNK_MIN;
    }
    return arena;
}

static void free_adopted(struct cdc_arena *arena)
{
    struct adopted *a = arena->adopted; /* the list itself lies in the arena */
    while (a) {
        struct adopted *next = a->next;
        free(a->p);
        arena->total -= a->n;
        a = next;
    }
    arena->adopted = NULL;
}

static void append(struct chunk **list, struct chunk *more)
{
    while (*list)
        list = &(*list)->next;
    *list = more;
}

void cdc_arena_reset(struct cdc_arena *arena)
{
    free_adopted(arena);
    struct chunk *first = NULL, **end = &arena->spare;
    size_t kept = 0;
    append(&arena->chunks, arena->spare); /* the older ones behind */
    for (struct chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        c->next = NULL;
        bool ordinary = c->size <= CHUNK_MAX;
        if (ordinary && !first) {
            first = c;
        } else if (ordinary && kept + c->size <= arena->keep) {
            kept += c->size;
            *end = c;
            end = &c->next;
        } else {
            arena->total -= c->size + sizeof *c;
            free(c);
        }
    }
    *end = NULL;
    arena->chunks = first;
    arena->used = arena->given = 0;
}

void cdc_arena_free(struct cdc_arena *arena)
{
    if (!arena)
        return;
    arena->keep = 0;
    cdc_arena_reset(arena);
    free(arena->chunks);
    free(arena);
}

void cdc_arena_keep(struct cdc_arena *arena, size_t bytes)
{
    arena->keep = bytes;
}

static struct chunk *new_chunk(struct cdc_arena *arena, size_t size)
{
    size_t whole = size + sizeof(struct chunk);
    if (whole < size || whole > arena->max || arena->total > arena->max - whole)
        return NULL;
    struct chunk *c = malloc(whole);
    if (c) {
        c->size = size;
        arena->total += whole;
    }
    return c;
}

/* NULL: there is none, or the next one is too small. */
static struct chunk *take_spare(struct cdc_arena *arena, size_t n)
{
    struct chunk *c = arena->spare;
    if (!c || c->size < n)
        return NULL;
    arena->spare = c->next;
    return c;
}

static struct chunk *grow(struct cdc_arena *arena, size_t n)
{
    struct chunk *c = new_chunk(arena, arena->chunk_size > n ? arena->chunk_size : n);
    if (c && arena->chunk_size < CHUNK_MAX)
        arena->chunk_size *= 2;
    return c;
}

void *cdc_arena_alloc(struct cdc_arena *arena, size_t n)
{
    if (n > SIZE_MAX - 64)
        return NULL;
    n = (n + 7) & ~(size_t)7;
    struct chunk *c = arena->chunks;
    if (c && n <= c->size - arena->used) {
        void *p = c->data + arena->used;
        arena->used += n;
        arena->given += n;
        return p;
    }
    if (c && n > CHUNK_MAX / 4) { /* big: its own chunk, second in the list */
        struct chunk *big = new_chunk(arena, n);
        if (!big)
            return NULL;
        big->next = c->next;
        c->next = big;
        arena->given += n;
        return big->data;
    }
    struct chunk *fresh = take_spare(arena, n);
    if (!fresh)
        fresh = grow(arena, n);
    if (!fresh)
        return NULL;
    fresh->next = c;
    arena->chunks = fresh;
    arena->used = n;
    arena->given += n;
    return fresh->data;
}

void *cdc_arena_zalloc(struct cdc_arena *arena, size_t n)
{
    void *p = cdc_arena_alloc(arena, n);
    if (p)
        memset(p, 0, n);
    return p;
}

struct cdc_slice cdc_arena_copy(struct cdc_arena *arena, struct cdc_slice bytes)
{
    uint8_t *p = bytes.len == SIZE_MAX ? NULL : cdc_arena_alloc(arena, bytes.len + 1);
    if (!p)
        return cdc_slice_of(NULL, 0);
    if (bytes.len)
        memcpy(p, bytes.p, bytes.len);
    p[bytes.len] = 0;
    return cdc_slice_of(p, bytes.len);
}

char *cdc_arena_strdup(struct cdc_arena *arena, const char *s)
{
    return s ? (char *)(uintptr_t)cdc_arena_copy(arena, cdc_slice_str(s)).p : NULL;
}

char *cdc_arena_printf(struct cdc_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n < 0 ? NULL : cdc_arena_alloc(arena, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

int cdc_arena_adopt(struct cdc_arena *arena, void *p, size_t n)
{
    struct adopted *a = cdc_arena_alloc(arena, sizeof *a);
    if (!a) {
        free(p);
        return CDC_FAIL;
    }
    *a = (struct adopted){.next = arena->adopted, .p = p, .n = n};
    arena->adopted = a;
    arena->total += n;
    arena->given += n;
    return CDC_OK;
}

size_t cdc_arena_bytes(const struct cdc_arena *arena)
{
    return arena->total;
}

size_t cdc_arena_given(const struct cdc_arena *arena)
{
    return arena->given;
}
