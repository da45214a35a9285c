/*
 * buf.h - borrowed bytes, growable bytes, and memory by lifetime.
 *
 * cdc_slice   borrowed bytes: pointer and length, never owns.
 * cdc_buf     growable bytes with a maximum fixed at init. Failure (maximum reached, no memory) is
 *             sticky: writers do not check each put, they look at `failed` once at the end.
 * cdc_arena   bump allocator; everything in it dies together. Also has a maximum.
 * cdc_reader  see reader.h.
 *
 * Sizes that an outside party chooses go through these and fail as errors.
 * Threads: none of these objects is shared without the owner's lock.
 */
#ifndef CDC_BUF_H
#define CDC_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cdc/error.h"

struct cdc_slice {
    const uint8_t *p; /* NULL: no value at all, where the field's comment allows it */
    size_t len;
};

static inline struct cdc_slice cdc_slice_of(const void *p, size_t len)
{
    return (struct cdc_slice){.p = p, .len = len};
}

static inline struct cdc_slice cdc_slice_str(const char *s)
{
    return (struct cdc_slice){.p = (const uint8_t *)s, .len = s ? strlen(s) : 0};
}

static inline bool cdc_slice_eq(struct cdc_slice a, struct cdc_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

struct cdc_buf {
    uint8_t *p;
    size_t len, cap;
    size_t max;  /* never more bytes than this */
    bool failed; /* sticky: a put did not fit or had no memory; `len` is as before that put */
};

#define CDC_BUF(maximum) ((struct cdc_buf){.max = (maximum)})

void cdc_buf_init(struct cdc_buf *buf, size_t max);
void cdc_buf_done(struct cdc_buf *buf); /* frees the bytes; the object may be used again */

/* Makes room for n more bytes; returns where they go, or NULL (and sets failed). */
uint8_t *cdc_buf_grow(struct cdc_buf *buf, size_t n);

static inline uint8_t *cdc_buf_room(struct cdc_buf *buf, size_t n)
{
    if (n <= buf->cap - buf->len)
        return buf->p + buf->len;
    return cdc_buf_grow(buf, n);
}

static inline void cdc_buf_put(struct cdc_buf *buf, const void *p, size_t n)
{
    uint8_t *to = n ? cdc_buf_room(buf, n) : NULL;
    if (to) {
        memcpy(to, p, n);
        buf->len += n;
    }
}

static inline void cdc_buf_byte(struct cdc_buf *buf, uint8_t byte)
{
    uint8_t *to = cdc_buf_room(buf, 1);
    if (to) {
        *to = byte;
        buf->len++;
    }
}

static inline void cdc_buf_str(struct cdc_buf *buf, const char *s)
{
    cdc_buf_put(buf, s, strlen(s));
}

void cdc_buf_printf(struct cdc_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The text so far with a NUL behind it (not counted in len); NULL if the buffer failed. */
const char *cdc_buf_cstr(struct cdc_buf *buf);

/* Hands the bytes over (free() them) and empties the buffer. NULL if the buffer failed. */
uint8_t *cdc_buf_take(struct cdc_buf *buf, size_t *ret_len);

static inline void cdc_buf_reset(struct cdc_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

static inline struct cdc_slice cdc_buf_slice(const struct cdc_buf *buf)
{
    return cdc_slice_of(buf->p, buf->len);
}

struct cdc_arena;

struct cdc_arena *cdc_arena_new(size_t max); /* NULL: no memory */
void cdc_arena_free(struct cdc_arena *arena);
/* Everything allocated is gone. One ordinary chunk stays, so that a reused arena costs nothing. */
void cdc_arena_reset(struct cdc_arena *arena);
/* From now on a reset leaves further chunks of so many bytes, too. */
void cdc_arena_keep(struct cdc_arena *arena, size_t bytes);
/* n bytes aligned to 8, not zeroed. NULL: over the maximum, or no memory. */
void *cdc_arena_alloc(struct cdc_arena *arena, size_t n);
void *cdc_arena_zalloc(struct cdc_arena *arena, size_t n);
/* Copies; the copy has a NUL behind it that is not counted. p == NULL on failure. */
struct cdc_slice cdc_arena_copy(struct cdc_arena *arena, struct cdc_slice bytes);
char *cdc_arena_strdup(struct cdc_arena *arena, const char *s); /* NULL stays NULL */
char *cdc_arena_printf(struct cdc_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Makes the arena free(p) when it is reset or freed; counts n bytes. Takes p also on failure. */
int cdc_arena_adopt(struct cdc_arena *arena, void *p, size_t n);
/* Bytes held from the system, adopted ones included: what a budget is charged. */
size_t cdc_arena_bytes(const struct cdc_arena *arena);
/* Bytes given out and adopted since the last reset: how much is in it. */
size_t cdc_arena_given(const struct cdc_arena *arena);

#endif
