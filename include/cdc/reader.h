/*
 * reader.h - reads bytes that somebody else wrote.
 *
 * Borrowed bytes, an offset, and a sticky `failed`: a getter that finds too little returns 0 (or an
 * empty slice), sets the bit, and every later getter does the same. A decoder tests the bit in its
 * loops and once at the end of a message. Getters exist for both byte orders.
 * Not for: bytes that arrive piecemeal. Threads: one.
 */
#ifndef CDC_READER_H
#define CDC_READER_H

#include "cdc/buf.h"

struct cdc_reader {
    const uint8_t *p;
    size_t len, off;
    bool failed;
};

static inline struct cdc_reader cdc_reader_of(const void *p, size_t len)
{
    return (struct cdc_reader){.p = p, .len = len};
}

static inline size_t cdc_reader_left(const struct cdc_reader *rd)
{
    return rd->failed ? 0 : rd->len - rd->off;
}

/* n bytes, borrowed; NULL and failed when fewer are left. */
static inline const uint8_t *cdc_read_raw(struct cdc_reader *rd, size_t n)
{
    if (rd->failed || n > rd->len - rd->off) {
        rd->failed = true;
        return NULL;
    }
    const uint8_t *at = rd->p + rd->off;
    rd->off += n;
    return at;
}

static inline struct cdc_slice cdc_read_bytes(struct cdc_reader *rd, size_t n)
{
    const uint8_t *p = cdc_read_raw(rd, n);
    return p ? cdc_slice_of(p, n) : cdc_slice_of(NULL, 0);
}

static inline uint8_t cdc_read_u8(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 1);
    return p ? p[0] : 0;
}

static inline uint16_t cdc_read_be16(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t cdc_read_be32(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t cdc_read_be64(struct cdc_reader *rd)
{
    uint64_t high = cdc_read_be32(rd);
    return high << 32 | cdc_read_be32(rd);
}

static inline uint16_t cdc_read_le16(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 2);
    return p ? (uint16_t)(p[1] << 8 | p[0]) : 0;
}

static inline uint32_t cdc_read_le32(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 4);
    return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint64_t cdc_read_le64(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 8);
    uint64_t val = 0;
    if (p)
        val = (uint64_t)p[7] << 56 | (uint64_t)p[6] << 48 | (uint64_t)p[5] << 40 |
              (uint64_t)p[4] << 32 | (uint64_t)p[3] << 24 | (uint64_t)p[2] << 16 |
              (uint64_t)p[1] << 8 | p[0];
    return val;
}

/* Text up to a NUL, borrowed, NUL behind it; "" and failed when there is none. */
static inline const char *cdc_read_cstr(struct cdc_reader *rd)
{
    const uint8_t *at = rd->p + rd->off;
    const uint8_t *nul = rd->failed || rd->off == rd->len ? NULL : memchr(at, 0, rd->len - rd->off);
    if (!nul) {
        rd->failed = true;
        return "";
    }
    rd->off += (size_t)(nul - at) + 1;
    return (const char *)at;
}

/* Avro's zig-zag variable-length long (Avro specification 1.11, "Binary Encoding"). */
static inline int64_t cdc_read_zigzag(struct cdc_reader *rd)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cdc_read_u8(rd);
        if (rd->failed)
            return 0;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
    }
    rd->failed = true;
    return 0;
}

#endif
