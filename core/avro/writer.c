/*
 * writer.c - object container files, written; see cdc/avro.h.
 *
 *   header  "Obj" 1, metadata map (avro.schema verbatim, avro.codec, the caller's), 16 bytes sync
 *   block   count, length in bytes (zig-zag longs), the records packed, sync
 *
 * The open block keeps HEAD bytes free at its front, and so does the packed one: once count and
 * length are known they are put right before the data, and a block leaves in one call of out.
 *
 * Corner case: a record may grow the block beyond max_bytes although it alone would fit. Then the
 * records before it are closed as a block and it opens the next, so that no block ever exceeds
 * max_bytes and whether a record is accepted depends on its own size only.
 */
#include "avro/codec.h"
#include "avro/types.h"

#include <stdlib.h>
#include <sys/random.h>

#define SYNC 16
#define HEAD (2 * CDC_ZIGZAG_MAX)

struct cdc_avro_writer {
    cdc_avro_out *out;
    void *arg;
    struct cdc_codec_state codec;
    size_t block_bytes, max_bytes;
    struct cdc_buf block;  /* HEAD free bytes, then the open block's records */
    struct cdc_buf packed; /* HEAD free bytes, then the same compressed */
    size_t begun;          /* block.len where the record being added starts */
    int64_t in_block;      /* records ended in the open block */
    uint64_t bytes, records;
    uint8_t sync[SYNC];
};

static int hand_out(struct cdc_avro_writer *w, const void *p, size_t n, struct cdc_error *err)
{
    int rc = w->out(w->arg, p, n, err);
    if (rc == CDC_OK)
        w->bytes += n;
    return rc;
}

static void put_long(struct cdc_buf *buf, int64_t i)
{
    uint8_t *to = cdc_buf_room(buf, CDC_ZIGZAG_MAX);
    if (to)
        buf->len = (size_t)(cdc_zigzag(to, i) - buf->p);
}

static void put_bytes(struct cdc_buf *buf, struct cdc_slice bytes)
{
    put_long(buf, (int64_t)bytes.len);
    cdc_buf_put(buf, bytes.p, bytes.len);
}

static int write_header(struct cdc_avro_writer *w, const struct cdc_avro_writer_options *opt,
                        struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF(SIZE_MAX / 2);
    cdc_buf_put(&buf, "Obj\1", 4);
    put_long(&buf, (int64_t)opt->n_meta + 2);
    put_bytes(&buf, cdc_slice_str("avro.schema"));
    put_bytes(&buf, opt->schema);
    put_bytes(&buf, cdc_slice_str("avro.codec"));
    put_bytes(&buf, cdc_slice_str(cdc_codec_name(opt->codec)));
    for (size_t i = 0; i < opt->n_meta; i++) {
        put_bytes(&buf, opt->meta[i].key);
        put_bytes(&buf, opt->meta[i].value);
    }
    put_long(&buf, 0);
    cdc_buf_put(&buf, w->sync, SYNC);
    int rc = buf.failed ? cdc_fail_oom(err) : hand_out(w, buf.p, buf.len, err);
    cdc_buf_done(&buf);
    return rc;
}

int cdc_avro_writer_new(const struct cdc_avro_writer_options *opt, struct cdc_avro_writer **ret,
                        struct cdc_error *err)
{
    struct cdc_avro_writer *w = calloc(1, sizeof *w);
    if (!w)
        return cdc_fail_oom(err);
    w->out = opt->out;
    w->arg = opt->arg;
    w->codec = (struct cdc_codec_state){.codec = opt->codec, .level = opt->level};
    w->block_bytes = opt->block_bytes;
    w->max_bytes = opt->max_bytes;
    cdc_buf_init(&w->block, 0); /* the maximum moves with each record */
    cdc_buf_init(&w->packed, SIZE_MAX / 2);
    int rc = getrandom(w->sync, SYNC, 0) == SYNC
                 ? write_header(w, opt, err)
                 : cdc_fail(err, CDC_FATAL, "", "the system gives no random bytes (getrandom)");
    if (rc < 0) {
        cdc_avro_writer_free(w);
        return rc;
    }
    *ret = w;
    return CDC_OK;
}

static void keep_head(struct cdc_buf *buf)
{
    cdc_buf_reset(buf);
    if (cdc_buf_room(buf, HEAD))
        buf->len = HEAD;
}

struct cdc_buf *cdc_avro_writer_begin(struct cdc_avro_writer *w)
{
    w->block.max = SIZE_MAX / 2;
    w->block.failed = false;
    if (w->block.len == 0)
        keep_head(&w->block);
    w->begun = w->block.len;
    w->block.max = w->begun + w->max_bytes + SYNC; /* SYNC: so that closing never fails for room */
    return &w->block;
}

void cdc_avro_writer_cancel(struct cdc_avro_writer *w)
{
    w->block.len = w->begun;
    w->block.failed = false;
}

/* buf: HEAD free bytes, then data; it goes out as a block with `count` records. */
static int write_block(struct cdc_avro_writer *w, struct cdc_buf *buf, int64_t count,
                       struct cdc_error *err)
{
    uint8_t head[HEAD];
    uint8_t *end = cdc_zigzag(cdc_zigzag(head, count), (int64_t)(buf->len - HEAD));
    size_t n = (size_t)(end - head);
    memcpy(buf->p + HEAD - n, head, n);
    cdc_buf_put(buf, w->sync, SYNC);
    if (buf->failed)
        return cdc_fail_oom(err);
    return hand_out(w, buf->p + HEAD - n, buf->len - HEAD + n, err);
}

static int close_block(struct cdc_avro_writer *w, struct cdc_error *err)
{
    struct cdc_buf *buf = &w->block;
    int rc = CDC_OK;
    buf->max = SIZE_MAX / 2; /* the sync marker goes behind what may be full */
    if (w->codec.codec != CDC_CODEC_NULL) {
        keep_head(&w->packed);
        rc = cdc_codec_pack(&w->codec, cdc_slice_of(buf->p + HEAD, buf->len - HEAD), &w->packed,
                            err);
        buf = &w->packed;
    }
    if (rc == CDC_OK)
        rc = write_block(w, buf, w->in_block, err);
    w->block.len = 0;
    w->in_block = 0;
    return rc;
}

/* The record just ended does not fit beside the others: they go first. */
static int close_before(struct cdc_avro_writer *w, struct cdc_error *err)
{
    size_t len = w->block.len - w->begun;
    struct cdc_buf own = CDC_BUF(SIZE_MAX / 2);
    keep_head(&own);
    cdc_buf_put(&own, w->block.p + w->begun, len);
    if (own.failed) {
        cdc_buf_done(&own);
        return cdc_fail_oom(err);
    }
    w->block.len = w->begun;
    int rc = close_block(w, err);
    cdc_buf_done(&w->block);
    w->block = own;
    return rc;
}

int cdc_avro_writer_end(struct cdc_avro_writer *w, struct cdc_error *err)
{
    if (w->block.failed || w->block.len - w->begun > w->max_bytes) {
        cdc_avro_writer_cancel(w);
        return cdc_fail(err, CDC_OPERATOR, "",
                        "a record is larger than the limit of %zu bytes, or there is no memory for "
                        "it: raise the limit, or take the table's large columns out of `capture:`",
                        w->max_bytes);
    }
    if (w->in_block && w->block.len - HEAD > w->max_bytes && close_before(w, err) < 0)
        return CDC_FAIL;
    w->in_block++;
    w->records++;
    return w->block.len - HEAD >= w->block_bytes ? close_block(w, err) : CDC_OK;
}

int cdc_avro_writer_flush(struct cdc_avro_writer *w, bool shrink, struct cdc_error *err)
{
    int rc = w->in_block ? close_block(w, err) : CDC_OK;
    if (shrink) {
        cdc_buf_done(&w->block);
        cdc_buf_done(&w->packed);
        cdc_codec_done(&w->codec);
    }
    return rc;
}

uint64_t cdc_avro_writer_bytes(const struct cdc_avro_writer *w)
{
    return w->bytes;
}

uint64_t cdc_avro_writer_records(const struct cdc_avro_writer *w)
{
    return w->records;
}

size_t cdc_avro_writer_memory(const struct cdc_avro_writer *w)
{
    return w->block.cap + w->packed.cap + cdc_codec_memory(&w->codec);
}

void cdc_avro_writer_free(struct cdc_avro_writer *w)
{
    if (!w)
        return;
    cdc_buf_done(&w->block);
    cdc_buf_done(&w->packed);
    cdc_codec_done(&w->codec);
    free(w);
}
