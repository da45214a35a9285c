/*
 * codec.h - the three codecs of container blocks: null, deflate (raw, RFC 1951), zstandard (RFC
 * 8878).
 *
 * A codec makes its state at first use and gives it back with _done, so an idle file costs nothing.
 * No size in compressed data is believed: the output grows as far as its buffer's maximum.
 * Private to core/avro. Threads: one object, one thread.
 */
#ifndef CDC_AVRO_CODEC_H
#define CDC_AVRO_CODEC_H

#include "cdc/avro.h"

struct cdc_codec_state {
    enum cdc_codec codec;
    int level; /* 0: the codec's default */
    void *pack, *unpack;
};

/* Of a name in a file's metadata; CDC_END: not one of ours. */
CDC_CHECK int cdc_codec_find(struct cdc_slice name, enum cdc_codec *ret);

/* Appends the compressed block. Not for CDC_CODEC_NULL. */
CDC_CHECK int cdc_codec_pack(struct cdc_codec_state *state, struct cdc_slice in,
                             struct cdc_buf *out, struct cdc_error *err);

/*
 * Replaces out by the block's content. Not for CDC_CODEC_NULL. CDC_FAIL (CDC_FATAL): damaged, or
 * longer than out->max.
 */
CDC_CHECK int cdc_codec_unpack(struct cdc_codec_state *state, struct cdc_slice in,
                               struct cdc_buf *out, struct cdc_error *err);

size_t cdc_codec_memory(const struct cdc_codec_state *state); /* held by pack, about */
void cdc_codec_done(struct cdc_codec_state *state);           /* may be used again */

#endif
