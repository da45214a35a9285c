/* buf.c - growable bytes; see cdc/buf.h. Grows by doubling, never beyond max. */
#include "cdc/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cdc_buf_init(struct cdc_buf *buf, size_t max)
{
    *buf = CDC_BUF(max);
}

void cdc_buf_done(struct cdc_buf *buf)
{
    free(buf->p);
    *buf = CDC_BUF(buf->max);
}

uint8_t *cdc_buf_grow(struct cdc_buf *buf, size_t n)
{
    if (buf->failed)
        return NULL;
    if (n <= buf->cap - buf->len)
        return buf->p + buf->len;
    if (n > buf->max || buf->len > buf->max - n) {
        buf->failed = true;
        return NULL;
    }
    size_t cap = buf->cap ? buf->cap : buf->max < 256 ? buf->max : 256;
    while (cap < buf->len + n)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    uint8_t *p = realloc(buf->p, cap);
    if (!p) {
        buf->failed = true;
        return NULL;
    }
    buf->p = p;
    buf->cap = cap;
    return p + buf->len;
}

void cdc_buf_printf(struct cdc_buf *buf, const char *fmt, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof small) {
        cdc_buf_put(buf, small, (size_t)n);
    } else if (n >= 0) {
        uint8_t *to = cdc_buf_room(buf, (size_t)n + 1);
        if (to) {
            vsnprintf((char *)to, (size_t)n + 1, fmt, again);
            buf->len += (size_t)n;
        }
    } else {
        buf->failed = true;
    }
    va_end(again);
}

const char *cdc_buf_cstr(struct cdc_buf *buf)
{
    if (buf->failed)
        return NULL;
    uint8_t *to = cdc_buf_room(buf, 1);
    if (!to)
        return NULL;
    *to = 0;
    return (const char *)buf->p;
}

uint8_t *cdc_buf_take(struct cdc_buf *buf, size_t *ret_len)
{
    if (buf->failed || !cdc_buf_cstr(buf))
        return NULL;
    uint8_t *p = buf->p;
    *ret_len = buf->len;
    *buf = CDC_BUF(buf->max);
    return p;
}
