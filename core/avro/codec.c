/*
 * codec.c - see avro/codec.h.
 *
 * Both libraries unpack into one whole buffer and say when it was too small; it is doubled until
 * the block fits or the maximum is reached. The buffer keeps its size for the next block, so a file
 * pays for the search once.
 */
#include "avro/codec.h"

#include <libdeflate.h>
#include <zstd.h>
#include <zstd_errors.h>

#define DEFLATE_LEVEL  1
#define ZSTD_LEVEL     3
#define DEFLATE_MEMORY ((size_t)512 * 1024) /* libdeflate does not tell; level 1 needs less */
#define UNPACK_MIN     ((size_t)64 * 1024)
#define ZLIB_TAIL      4 /* Python's writers leave bytes of zlib's checksum behind the raw stream */

static const char *const names[] = {"null", "deflate", "zstandard"};

const char *cdc_codec_name(enum cdc_codec codec)
{
    return names[codec];
}

int cdc_codec_find(struct cdc_slice name, enum cdc_codec *ret)
{
    for (int i = CDC_CODEC_NULL; i <= CDC_CODEC_ZSTD; i++) {
        if (cdc_slice_eq(name, cdc_slice_str(names[i]))) {
            *ret = (enum cdc_codec)i;
            return CDC_OK;
        }
    }
    return CDC_END;
}

static int pack_deflate(struct cdc_codec_state *state, struct cdc_slice in, struct cdc_buf *out,
                        struct cdc_error *err)
{
    if (!state->pack)
        state->pack = libdeflate_alloc_compressor(state->level ? state->level : DEFLATE_LEVEL);
    if (!state->pack)
        return cdc_fail_oom(err);
    size_t room = libdeflate_deflate_compress_bound(state->pack, in.len);
    uint8_t *to = cdc_buf_room(out, room);
    size_t n = to ? libdeflate_deflate_compress(state->pack, in.p, in.len, to, room) : 0;
    if (n == 0)
        return cdc_fail_oom(err);
    out->len += n;
    return CDC_OK;
}

static int pack_zstd(struct cdc_codec_state *state, struct cdc_slice in, struct cdc_buf *out,
                     struct cdc_error *err)
{
    if (!state->pack)
        state->pack = ZSTD_createCCtx();
    if (!state->pack)
        return cdc_fail_oom(err);
    size_t room = ZSTD_compressBound(in.len);
    uint8_t *to = cdc_buf_room(out, room);
    if (!to)
        return cdc_fail_oom(err);
    size_t n = ZSTD_compressCCtx(state->pack, to, room, in.p, in.len,
                                 state->level ? state->level : ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return cdc_fail(err, CDC_FATAL, "", "zstd could not compress a block: %s",
                        ZSTD_getErrorName(n));
    out->len += n;
    return CDC_OK;
}

int cdc_codec_pack(struct cdc_codec_state *state, struct cdc_slice in, struct cdc_buf *out,
                   struct cdc_error *err)
{
    return state->codec == CDC_CODEC_ZSTD ? pack_zstd(state, in, out, err)
                                          : pack_deflate(state, in, out, err);
}

enum unpacked { DONE, TOO_SMALL, BROKEN, NO_MEMORY };

/* Into a buffer of fixed size; *ret_n bytes when DONE. */
static enum unpacked unpack_deflate(struct cdc_codec_state *state, struct cdc_slice in,
                                    struct cdc_buf *out, size_t *ret_n)
{
    if (!state->unpack)
        state->unpack = libdeflate_alloc_decompressor();
    if (!state->unpack)
        return NO_MEMORY;
    size_t used;
    enum libdeflate_result rc = libdeflate_deflate_decompress_ex(state->unpack, in.p, in.len,
                                                                 out->p, out->cap, &used, ret_n);
    if (rc == LIBDEFLATE_INSUFFICIENT_SPACE)
        return TOO_SMALL;
    return rc == LIBDEFLATE_SUCCESS && in.len - used <= ZLIB_TAIL ? DONE : BROKEN;
}

static enum unpacked unpack_zstd(struct cdc_codec_state *state, struct cdc_slice in,
                                 struct cdc_buf *out, size_t *ret_n)
{
    if (!state->unpack)
        state->unpack = ZSTD_createDCtx();
    if (!state->unpack)
        return NO_MEMORY;
    size_t n = ZSTD_decompressDCtx(state->unpack, out->p, out->cap, in.p, in.len);
    if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
        return TOO_SMALL;
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return NO_MEMORY;
    *ret_n = n;
    return ZSTD_isError(n) ? BROKEN : DONE;
}

/* The next larger capacity; false: the maximum was reached, or there is no memory. */
static bool enlarge(struct cdc_buf *out)
{
    size_t want = out->cap < UNPACK_MIN / 2 ? UNPACK_MIN : out->cap * 2;
    if (want > out->max)
        want = out->max;
    return want > out->cap && cdc_buf_grow(out, want);
}

int cdc_codec_unpack(struct cdc_codec_state *state, struct cdc_slice in, struct cdc_buf *out,
                     struct cdc_error *err)
{
    cdc_buf_reset(out);
    for (;;) {
        enum unpacked what = TOO_SMALL; /* an empty buffer is never tried */
        size_t n = 0;
        if (out->cap)
            what = state->codec == CDC_CODEC_ZSTD ? unpack_zstd(state, in, out, &n)
                                                  : unpack_deflate(state, in, out, &n);
        if (what == DONE) {
            out->len = n;
            return CDC_OK;
        }
        if (what == BROKEN)
            return cdc_fail(err, CDC_FATAL, "", "its %s data is damaged",
                            cdc_codec_name(state->codec));
        if (what == NO_MEMORY)
            return cdc_fail_oom(err);
        if (!enlarge(out))
            return cdc_fail(err, CDC_FATAL, "", "its content is longer than the limit of %zu bytes",
                            out->max);
    }
}

size_t cdc_codec_memory(const struct cdc_codec_state *state)
{
    if (!state->pack)
        return 0;
    return state->codec == CDC_CODEC_ZSTD ? ZSTD_sizeof_CCtx(state->pack) : DEFLATE_MEMORY;
}

void cdc_codec_done(struct cdc_codec_state *state)
{
    if (state->codec == CDC_CODEC_ZSTD) {
        ZSTD_freeCCtx(state->pack);
        ZSTD_freeDCtx(state->unpack);
    } else {
        libdeflate_free_compressor(state->pack);
        libdeflate_free_decompressor(state->unpack);
    }
    state->pack = state->unpack = NULL;
}
