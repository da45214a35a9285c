/*
 * compress.c - see compress.h.
 *
 * A payload is unpacked piece by piece into a buffer that holds whole events at its front: as soon
 * as the header of the next event is there its length is known, and as soon as that many bytes are
 * there it is handed out; it is dropped from the front with the next call. A frame may end inside a
 * payload only together with it. Empty input that still wants bytes, a length below a header's or
 * above the maximum, and a sum that is not the one told are damage.
 */
#include "compress.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zstd.h>

#include "decode.h"

#define STEP       ((size_t)128 * 1024)
#define WINDOW_LOG 27 /* 128 MiB: more is not MySQL's */

struct mys_payload {
    ZSTD_DCtx *zstd;
    struct cdc_buf out;
    size_t given; /* bytes at the front that were handed out */
    ZSTD_inBuffer in;
    bool plain, frame_done;
    uint64_t size, made;
};

uint32_t mys_crc32(uint32_t crc, struct cdc_slice bytes)
{
    return libdeflate_crc32(crc, bytes.p, bytes.len);
}

static uint64_t read_be(struct cdc_reader *rd, unsigned n)
{
    uint64_t val = 0;
    for (unsigned i = 0; i < n; i++)
        val = val << 8 | cdc_read_u8(rd);
    return val;
}

typedef enum libdeflate_result (*inflate_fn)(struct libdeflate_decompressor *d, const void *in,
                                             size_t in_len, void *out, size_t out_len,
                                             size_t *ret_len);

/* Exactly `size` bytes out of the packed ones. CDC_FULL: no memory. */
static int inflate(struct cdc_arena *arena, inflate_fn fn, struct cdc_slice packed, size_t size,
                   struct cdc_slice *ret)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    uint8_t *to = cdc_arena_alloc(arena, size + 1);
    int rc = d && to ? CDC_OK : CDC_FULL;
    if (rc == CDC_OK && fn(d, packed.p, packed.len, to, size, NULL) != LIBDEFLATE_SUCCESS)
        rc = CDC_FAIL;
    libdeflate_free_decompressor(d);
    if (rc == CDC_OK)
        *ret = cdc_slice_of(to, size);
    return rc;
}

int mys_unpack(struct cdc_arena *arena, struct cdc_slice packed, size_t max, struct cdc_slice *ret,
               struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(packed.p, packed.len);
    uint8_t head = cdc_read_u8(&rd);
    uint64_t size = read_be(&rd, head & 7);
    if (rd.failed || (head & 0xf8) != 0x80 || (head & 7) < 1 || (head & 7) > 4)
        return cdc_fail(err, CDC_FATAL, "mysql",
                        "a compressed binlog event has a head that we cannot read; the binlog is "
                        "damaged, or of a newer server: please report it");
    if (size > max)
        return cdc_fail(err, CDC_FATAL, "mysql",
                        "a compressed binlog event unpacks to %llu bytes, more than the limit of "
                        "%zu; raise source.max_row_bytes",
                        (unsigned long long)size, max);
    struct cdc_slice in = cdc_read_bytes(&rd, cdc_reader_left(&rd));
    int rc = inflate(arena, libdeflate_zlib_decompress, in, (size_t)size, ret);
    if (rc == CDC_FULL)
        return cdc_fail_oom(err);
    return rc == CDC_OK ? CDC_OK
                        : cdc_fail(err, CDC_FATAL, "mysql",
                                   "a compressed binlog event cannot be unpacked; the binlog is "
                                   "damaged: take the data from another server");
}

int mys_unpack_value(struct cdc_arena *arena, struct cdc_slice packed, size_t max,
                     struct cdc_slice *ret)
{
    struct cdc_reader rd = cdc_reader_of(packed.p, packed.len);
    if (packed.len == 0) { /* the empty value */
        *ret = packed;
        return CDC_OK;
    }
    uint8_t head = cdc_read_u8(&rd);
    uint64_t size = read_be(&rd, head & 7);
    struct cdc_slice in = cdc_read_bytes(&rd, cdc_reader_left(&rd));
    if (head == 0) {
        *ret = in;
        return CDC_OK;
    }
    if (rd.failed || head >> 4 != 8 || (head & 7) < 1 || (head & 7) > 4)
        return CDC_FAIL;
    if (size > max)
        return CDC_FULL;
    inflate_fn fn = head & 8 ? libdeflate_deflate_decompress : libdeflate_zlib_decompress;
    return inflate(arena, fn, in, (size_t)size, ret);
}

struct mys_payload *mys_payload_new(size_t max_event)
{
    struct mys_payload *pay = calloc(1, sizeof *pay);
    if (!pay)
        return NULL;
    pay->zstd = ZSTD_createDCtx();
    cdc_buf_init(&pay->out, max_event + 2 * STEP);
    if (!pay->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(pay->zstd, ZSTD_d_windowLogMax, WINDOW_LOG))) {
        mys_payload_free(pay);
        return NULL;
    }
    return pay;
}

void mys_payload_free(struct mys_payload *pay)
{
    if (!pay)
        return;
    ZSTD_freeDCtx(pay->zstd);
    cdc_buf_done(&pay->out);
    free(pay);
}

void mys_payload_start(struct mys_payload *pay, struct cdc_slice packed, bool zstd, uint64_t size)
{
    cdc_buf_reset(&pay->out);
    ZSTD_DCtx_reset(pay->zstd, ZSTD_reset_session_only);
    pay->given = 0;
    pay->made = 0;
    pay->frame_done = false;
    pay->plain = !zstd;
    pay->size = size;
    pay->in = (ZSTD_inBuffer){.src = packed.p, .size = packed.len, .pos = 0};
}

static int damaged(const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "mysql",
                    "a compressed transaction (TRANSACTION_PAYLOAD) of the binlog %s; the binlog "
                    "is damaged, or of a newer server: please report it",
                    what);
}

static int copy_more(struct mys_payload *pay, size_t n, uint8_t *to)
{
    size_t left = pay->in.size - pay->in.pos;
    if (n > left)
        n = left;
    if (n)
        memcpy(to, (const uint8_t *)pay->in.src + pay->in.pos, n);
    pay->in.pos += n;
    pay->out.len += n;
    pay->made += n;
    return n ? CDC_OK : CDC_END;
}

/* Some bytes more at the end of `out`. CDC_END: there are none. */
static int more(struct mys_payload *pay, struct cdc_error *err)
{
    uint8_t *to = cdc_buf_room(&pay->out, STEP);
    if (!to)
        return cdc_fail(err, CDC_FATAL, "mysql",
                        "an event of a compressed transaction is larger than the limit; raise "
                        "source.max_row_bytes");
    if (pay->plain)
        return copy_more(pay, STEP, to);
    ZSTD_outBuffer out = {.dst = to, .size = STEP, .pos = 0};
    while (out.pos == 0) {
        if (pay->frame_done)
            return pay->in.pos == pay->in.size ? CDC_END : damaged("goes on behind its end", err);
        size_t before = pay->in.pos;
        size_t rc = ZSTD_decompressStream(pay->zstd, &out, &pay->in);
        if (ZSTD_isError(rc))
            return damaged("cannot be unpacked", err);
        pay->frame_done = rc == 0;
        if (!pay->frame_done && out.pos == 0 && pay->in.pos == before)
            return damaged("is cut short", err);
    }
    pay->out.len += out.pos;
    pay->made += out.pos;
    return CDC_OK;
}

static void drop_given(struct mys_payload *pay)
{
    size_t left = pay->out.len - pay->given;
    if (pay->given && left)
        memmove(pay->out.p, pay->out.p + pay->given, left);
    pay->out.len = left;
    pay->given = 0;
}

/* At least n bytes behind those handed out. CDC_END: not one is left. */
static int have(struct mys_payload *pay, size_t n, struct cdc_error *err)
{
    while (pay->out.len - pay->given < n) {
        if (pay->given)
            drop_given(pay);
        int rc = more(pay, err);
        if (rc == CDC_END && pay->out.len > 0)
            return damaged("ends inside an event", err);
        if (rc != CDC_OK)
            return rc;
    }
    return CDC_OK;
}

int mys_payload_next(struct mys_payload *pay, struct cdc_slice *ret, struct cdc_error *err)
{
    int rc = have(pay, MYS_HEADER, err);
    if (rc == CDC_END && pay->made != pay->size)
        return damaged("has another size than it says", err);
    if (rc != CDC_OK)
        return rc;
    struct cdc_reader rd = cdc_reader_of(pay->out.p + pay->given + 9, 4);
    size_t len = (size_t)mys_read_le(&rd, 4);
    if (len < MYS_HEADER)
        return damaged("holds an event without a length", err);
    if (have(pay, len, err) != CDC_OK)
        return CDC_FAIL;
    *ret = cdc_slice_of(pay->out.p + pay->given, len);
    pay->given += len;
    return CDC_OK;
}
