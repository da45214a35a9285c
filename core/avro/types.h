/*
 * types.h - what the writer of rows and their reader must agree about: which Avro type a kind has,
 * which numbers it may hold, how the meta columns are called.
 *
 * Private to core/. Threads: any (constants and pure functions).
 */
#ifndef CDC_AVRO_TYPES_H
#define CDC_AVRO_TYPES_H

#include "cdc/avro.h"

/* An Avro type and the kind of value it carries. */
struct cdc_avro_type {
    enum cdc_kind kind;
    uint8_t bits;
    const char *type;      /* Avro's */
    const char *logical;   /* logicalType, or NULL */
    const char *attribute; /* a further attribute that tells two kinds apart, or NULL */
    const char *value;     /* its value */
};

/* CDC_NULL as the kind of the last entry ends the list. */
extern const struct cdc_avro_type cdc_avro_types[];

/* The entry of a kind, or NULL: no such column (ARRAY is none: its items have one). */
const struct cdc_avro_type *cdc_avro_type_of(enum cdc_kind kind, uint8_t bits);

struct cdc_meta_column {
    const char *name;
    enum cdc_kind kind; /* ARRAY: of text */
    uint8_t bits;
    bool nullable;
};

extern const struct cdc_meta_column cdc_meta_columns[CDC_METAS]; /* CDC_META_NONE: name NULL */

/* The meta column of that name, or CDC_META_NONE. */
enum cdc_meta cdc_meta_find(const char *name);

/* Whole numbers from low to low + span. */
struct cdc_range {
    int64_t low;
    uint64_t span;
};

static inline bool cdc_range_holds(struct cdc_range range, int64_t i)
{
    return (uint64_t)i - (uint64_t)range.low <= range.span;
}

/*
 * What a kind carried by int or long may hold: 32-bit numbers, years 1 to 9999, times of one day
 * without 24:00:00 (which Python's readers cannot represent). Everything for other kinds.
 */
struct cdc_range cdc_kind_range(enum cdc_kind kind, uint8_t bits);

/* Bytes of the smallest two's complement number that holds `precision` (1 to 38) digits. */
uint16_t cdc_decimal_size(uint8_t precision);

#define CDC_ZIGZAG_MAX 10 /* bytes of the longest */

/* Writes Avro's zig-zag variable-length long; returns where it ends. */
static inline uint8_t *cdc_zigzag(uint8_t *to, int64_t i)
{
    uint64_t n = ((uint64_t)i << 1) ^ -(uint64_t)(i < 0);
    while (n > 0x7f) {
        *to++ = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    *to++ = (uint8_t)n;
    return to;
}

#endif
