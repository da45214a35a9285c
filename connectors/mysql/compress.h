/*
 * compress.h - what the binlog packs and sums: CRC-32, MariaDB's compressed events and columns
 * (zlib), MySQL's transaction payloads (zstd). Wraps libdeflate and libzstd; pure otherwise.
 *
 * Ownership: unpacked bytes lie in the caller's arena, or in the payload until its next call.
 * Limits: every unpacked size is told by the sender and checked against the caller's maximum.
 */
#ifndef MYS_COMPRESS_H
#define MYS_COMPRESS_H

#include "cdc/buf.h"

/* CRC-32 (IEEE 802.3), chained from 0. */
uint32_t mys_crc32(uint32_t crc, struct cdc_slice bytes);

/*
 * The rows or the SQL of a compressed event of MariaDB: 0x80 | algorithm << 4 | bytes of the
 * length, the unpacked length big-endian, a zlib stream.
 */
CDC_CHECK int mys_unpack(struct cdc_arena *arena, struct cdc_slice packed, size_t max,
                         struct cdc_slice *ret, struct cdc_error *err);

/*
 * A value of MariaDB's COMPRESSED columns: 0 and the bytes as they are, or algorithm << 4 | header
 * << 3 | bytes of the length, the length big-endian, a deflate stream. CDC_FAIL: malformed.
 * CDC_FULL: above max, or no memory.
 */
CDC_CHECK int mys_unpack_value(struct cdc_arena *arena, struct cdc_slice packed, size_t max,
                               struct cdc_slice *ret);

/*
 * The events of a transaction payload, one after the other, whatever their sum is: memory is that
 * of the largest event (at most `max_event`) and the frame's window (at most 128 MiB).
 */
struct mys_payload;

/* NULL: no memory. */
struct mys_payload *mys_payload_new(size_t max_event);
void mys_payload_free(struct mys_payload *pay);
/* Begins. `packed` must live until the last event was taken. `size`: what the header says of the
 * unpacked bytes, checked at the end. zstd false: the events lie there as they are. */
void mys_payload_start(struct mys_payload *pay, struct cdc_slice packed, bool zstd, uint64_t size);
/* CDC_OK: the next event's bytes, until the next call. CDC_END: that was all. */
CDC_CHECK int mys_payload_next(struct mys_payload *pay, struct cdc_slice *ret,
                               struct cdc_error *err);

#endif
