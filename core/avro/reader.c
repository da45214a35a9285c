/*
 * reader.c - object container files of anybody, read; see cdc/avro.h.
 *
 * Layers: `input` turns the callback into bytes with a known offset; below it the header, then
 * blocks. A block's claimed length is checked against max_bytes and then read as the bytes arrive,
 * so that a short file that claims much costs little. Rows are decoded in place in the unpacked
 * block.
 *
 * The end of the file right behind a sync marker is the clean end: the format cannot tell a file
 * that lost whole blocks, which is why the lake's commit record has a count and a hash.
 */
#include "avro/codec.h"
#include "avro/rows.h"
#include "avro/types.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SYNC      16
#define CHUNK     ((size_t)64 * 1024)
#define META_MAX  1000 /* keys in a header */
#define WHERE_MAX 128

struct input {
    cdc_avro_in *in;
    void *arg;
    uint64_t off; /* in the file, of the byte at p[at] */
    size_t at, n;
    uint8_t p[CHUNK];
};

struct cdc_avro_reader {
    struct input input;
    char where[WHERE_MAX];
    size_t max_bytes;
    bool failed; /* for good */
    struct cdc_map meta;
    struct cdc_codec_state codec;
    uint8_t sync[SYNC];
    struct cdc_row_schema *schema;
    struct cdc_value *values;
    struct cdc_arena *arena; /* arrays of the row lent last */
    struct cdc_buf packed, plain;
    uint64_t block_off;
    struct cdc_reader rows; /* of the open block */
    int64_t left;           /* rows in it */
};

__attribute__((format(printf, 3, 4))) static int damaged(struct cdc_avro_reader *r,
                                                         struct cdc_error *err, const char *fmt,
                                                         ...)
{
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return cdc_fail(err, CDC_FATAL, r->where,
                    "%s: not a whole Avro file: %s; restore it from a copy (`sidestream fsck` "
                    "tells what else is damaged)",
                    r->where, what);
}

static int cut_short(struct cdc_avro_reader *r, struct cdc_error *err)
{
    return damaged(r, err, "it ends at byte %" PRIu64 ", inside %s", r->input.off,
                   r->block_off ? "a block" : "its header");
}

/* CDC_OK: there is a byte at p[at]. CDC_END: the file has none. */
static int fill(struct input *in, struct cdc_error *err)
{
    if (in->at < in->n)
        return CDC_OK;
    in->at = in->n = 0;
    int rc = in->in(in->arg, in->p, sizeof in->p, &in->n, err);
    return rc == CDC_OK && in->n == 0 ? CDC_END : rc;
}

/* Appends exactly n bytes of the file to buf, in steps, so that memory follows what arrives. */
static int take(struct cdc_avro_reader *r, struct cdc_buf *buf, size_t n, struct cdc_error *err)
{
    struct input *in = &r->input;
    while (n > 0) {
        int rc = fill(in, err);
        if (rc == CDC_END)
            return cut_short(r, err);
        if (rc < 0)
            return rc;
        size_t step = n < in->n - in->at ? n : in->n - in->at;
        cdc_buf_put(buf, in->p + in->at, step);
        if (buf->failed)
            return cdc_fail_oom(err);
        in->at += step;
        in->off += step;
        n -= step;
    }
    return CDC_OK;
}

/* CDC_END: the file ends right here. */
static int take_long(struct cdc_avro_reader *r, int64_t *ret, struct cdc_error *err)
{
    struct input *in = &r->input;
    uint8_t bytes[CDC_ZIGZAG_MAX];
    size_t n = 0;
    do {
        int rc = fill(in, err);
        if (rc != CDC_OK)
            return rc == CDC_END && n > 0 ? cut_short(r, err) : rc;
        bytes[n] = in->p[in->at++];
        in->off++;
    } while (bytes[n++] & 0x80 && n < sizeof bytes);
    struct cdc_reader rd = cdc_reader_of(bytes, n);
    *ret = cdc_read_zigzag(&rd);
    return rd.failed ? damaged(r, err, "no number at byte %" PRIu64, in->off - n) : CDC_OK;
}

/* A length: from 0 to max. The file may not end here. */
static int take_length(struct cdc_avro_reader *r, const char *what, size_t max, size_t *ret,
                       struct cdc_error *err)
{
    uint64_t at = r->input.off;
    int64_t n = 0;
    int rc = take_long(r, &n, err);
    if (rc == CDC_END)
        return cut_short(r, err);
    if (rc < 0)
        return rc;
    if (n < 0 || (uint64_t)n > max)
        return damaged(r, err, "at byte %" PRIu64 " a %s of %" PRId64 " (at most %zu is accepted)",
                       at, what, n, max);
    *ret = (size_t)n;
    return CDC_OK;
}

/* One key and its value; `packed` serves as room for both. */
static int take_meta(struct cdc_avro_reader *r, struct cdc_error *err)
{
    struct cdc_buf *buf = &r->packed;
    size_t key = 0, value = 0;
    cdc_buf_reset(buf);
    if (take_length(r, "length of a metadata key", 4096, &key, err) < 0 ||
        take(r, buf, key, err) < 0 ||
        take_length(r, "length of a metadata value", r->max_bytes - key, &value, err) < 0 ||
        take(r, buf, value, err) < 0)
        return CDC_FAIL;
    const uint8_t *p = buf->p ? buf->p : (const uint8_t *)"";
    if (cdc_map_put(&r->meta, cdc_slice_of(p, key), cdc_slice_of(p + key, value)) < 0)
        return cdc_fail_oom(err);
    return CDC_OK;
}

/* The metadata map: blocks of pairs, each with its count (negative: and its size in bytes). */
static int take_metas(struct cdc_avro_reader *r, struct cdc_error *err)
{
    size_t pairs = 0, bytes;
    for (;;) {
        int64_t count;
        int rc = take_long(r, &count, err);
        if (rc != CDC_OK)
            return rc == CDC_END ? cut_short(r, err) : rc;
        if (count == 0)
            return CDC_OK;
        if (count < -META_MAX || count > META_MAX)
            return damaged(r, err, "its header claims %" PRId64 " metadata keys", count);
        if (count < 0 && take_length(r, "size of the metadata", r->max_bytes, &bytes, err) < 0)
            return CDC_FAIL;
        for (count = count < 0 ? -count : count; count > 0; count--) {
            if (++pairs > META_MAX)
                return damaged(r, err, "its header has more than %d metadata keys", META_MAX);
            if (take_meta(r, err) < 0)
                return CDC_FAIL;
        }
    }
}

static int take_sync(struct cdc_avro_reader *r, struct cdc_buf *buf, struct cdc_error *err)
{
    cdc_buf_reset(buf);
    return take(r, buf, SYNC, err);
}

static int read_header(struct cdc_avro_reader *r, struct cdc_error *err)
{
    if (take(r, &r->packed, 4, err) < 0)
        return CDC_FAIL;
    if (memcmp(r->packed.p, "Obj\1", 4) != 0)
        return damaged(r, err, "it does not begin with Avro's magic bytes");
    if (take_metas(r, err) < 0 || take_sync(r, &r->packed, err) < 0)
        return CDC_FAIL;
    memcpy(r->sync, r->packed.p, SYNC);
    if (!cdc_map_get(&r->meta, "avro.schema").p)
        return damaged(r, err, "its header has no avro.schema");
    struct cdc_slice codec = cdc_map_get(&r->meta, "avro.codec");
    if (codec.p && cdc_codec_find(codec, &r->codec.codec) != CDC_OK)
        return cdc_fail(err, CDC_FATAL, r->where,
                        "%s: its codec is not one that is read here (%s): rewrite it with one",
                        r->where, CDC_CODEC_NAMES);
    return CDC_OK;
}

int cdc_avro_reader_new(cdc_avro_in *in, void *arg, size_t max_bytes, const char *where,
                        struct cdc_avro_reader **ret, struct cdc_error *err)
{
    struct cdc_avro_reader *r = calloc(1, sizeof *r);
    if (!r)
        return cdc_fail_oom(err);
    r->input.in = in;
    r->input.arg = arg;
    r->max_bytes = max_bytes < 8192 ? 8192 : max_bytes; /* a header needs some */
    snprintf(r->where, sizeof r->where, "%s", where);
    cdc_map_init(&r->meta);
    cdc_buf_init(&r->packed, r->max_bytes);
    cdc_buf_init(&r->plain, r->max_bytes);
    if (read_header(r, err) < 0) {
        cdc_avro_reader_free(r);
        return CDC_FAIL;
    }
    *ret = r;
    return CDC_OK;
}

struct cdc_slice cdc_avro_reader_meta(const struct cdc_avro_reader *r, const char *key)
{
    return cdc_map_get(&r->meta, key);
}

int cdc_avro_reader_schema(struct cdc_avro_reader *r, const struct cdc_row_schema **ret,
                           struct cdc_error *err)
{
    if (!r->schema) {
        if (cdc_row_schema_parse(cdc_map_get(&r->meta, "avro.schema"), &r->schema, err) < 0)
            return cdc_fail_in(err, r->where);
        r->values = calloc(r->schema->n, sizeof *r->values);
        r->arena = cdc_arena_new(r->max_bytes * 16 + 65536); /* a one-byte item makes 16 bytes */
        if (!r->values || !r->arena) {
            cdc_row_schema_free(r->schema);
            r->schema = NULL;
            free(r->values);
            cdc_arena_free(r->arena);
            r->values = NULL;
            r->arena = NULL;
            return cdc_fail_oom(err);
        }
    }
    *ret = r->schema;
    return CDC_OK;
}

/* packed holds the block: unpacks it, and sets rows to it. */
static int open_block(struct cdc_avro_reader *r, struct cdc_error *err)
{
    struct cdc_slice bytes = cdc_buf_slice(&r->packed);
    if (r->codec.codec != CDC_CODEC_NULL) {
        char place[WHERE_MAX + 48];
        snprintf(place, sizeof place, "%s: the block at byte %" PRIu64, r->where, r->block_off);
        if (cdc_codec_unpack(&r->codec, bytes, &r->plain, err) < 0)
            return cdc_fail_in(err, place);
        bytes = cdc_buf_slice(&r->plain);
    }
    if ((uint64_t)r->left > bytes.len) /* a row has a byte at least */
        return damaged(r, err, "the block at byte %" PRIu64 " claims %" PRId64 " rows in %zu bytes",
                       r->block_off, r->left, bytes.len);
    r->rows = cdc_reader_of(bytes.p, bytes.len);
    return CDC_OK;
}

/* CDC_END: there is none. */
static int next_block(struct cdc_avro_reader *r, struct cdc_error *err)
{
    uint64_t at = r->input.off;
    size_t len = 0;
    int64_t count = 0;
    int rc = take_long(r, &count, err);
    if (rc != CDC_OK)
        return rc;
    r->block_off = at;
    if (count < 0)
        return damaged(r, err, "the block at byte %" PRIu64 " claims %" PRId64 " rows", at, count);
    if (take_length(r, "length of a block", r->max_bytes, &len, err) < 0)
        return CDC_FAIL;
    uint8_t sync[SYNC] = {0};
    struct cdc_buf mark = {.p = sync, .cap = SYNC, .max = SYNC}; /* never grows */
    cdc_buf_reset(&r->packed);
    if (take(r, &r->packed, len, err) < 0 || take_sync(r, &mark, err) < 0)
        return CDC_FAIL;
    if (memcmp(sync, r->sync, SYNC) != 0)
        return damaged(r, err, "the block at byte %" PRIu64 " does not end with the sync marker",
                       at);
    r->left = count;
    return open_block(r, err);
}

static int next_row(struct cdc_avro_reader *r, struct cdc_error *err)
{
    while (r->left == 0) {
        int rc = next_block(r, err);
        if (rc != CDC_OK)
            return rc;
        if (r->left == 0 && r->rows.len > 0)
            return damaged(r, err, "the block at byte %" PRIu64 " holds bytes and no rows",
                           r->block_off);
    }
    uint16_t column = 0;
    cdc_arena_reset(r->arena);
    if (cdc_row_decode(r->schema, &r->rows, r->arena, r->values, &column) < 0)
        return damaged(r, err, "the block at byte %" PRIu64 ", %zu bytes in: no value of column %s",
                       r->block_off, r->rows.off, r->schema->cols[column].name);
    if (--r->left == 0 && cdc_reader_left(&r->rows) > 0)
        return damaged(r, err, "the block at byte %" PRIu64 " holds more than its rows",
                       r->block_off);
    return CDC_OK;
}

int cdc_avro_reader_row(struct cdc_avro_reader *r, const struct cdc_value **ret,
                        struct cdc_error *err)
{
    const struct cdc_row_schema *schema;
    if (r->failed)
        return damaged(r, err, "an earlier read of it failed");
    int rc = cdc_avro_reader_schema(r, &schema, err);
    if (rc == CDC_OK)
        rc = next_row(r, err);
    r->failed = rc == CDC_FAIL;
    if (rc == CDC_OK)
        *ret = r->values;
    return rc;
}

void cdc_avro_reader_free(struct cdc_avro_reader *r)
{
    if (!r)
        return;
    cdc_map_done(&r->meta);
    cdc_codec_done(&r->codec);
    cdc_row_schema_free(r->schema);
    free(r->values);
    cdc_arena_free(r->arena);
    cdc_buf_done(&r->packed);
    cdc_buf_done(&r->plain);
    free(r);
}
