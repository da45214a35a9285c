/*
 * value.h - one value of one column, after decoding and before encoding.
 *
 * A type that several databases share has one kind; what else there was to the source's type stays
 * with the column (table.h). Three absences are three kinds, from wire to Avro:
 *   NULL       the row has SQL NULL there,
 *   UNCHANGED  the source did not send it because the update did not touch it (PostgreSQL: unsent
 *              TOAST; MySQL: partial image): the row still has the value it had,
 *   ABSENT     the source did not send it and says nothing about it (key-only old tuple).
 * INVALID is a value that the kind of its column cannot hold (infinity, NaN in a decimal, year
 * 10000); it carries the source's text and meets the column's on_invalid policy in the envelope.
 *
 * Ownership: pointers point into the batch's arena. 16 bytes a value, copied freely.
 */
#ifndef CDC_VALUE_H
#define CDC_VALUE_H

#include "cdc/buf.h"

enum cdc_kind {
    CDC_NULL = 0,
    CDC_UNCHANGED,
    CDC_ABSENT,
    CDC_INVALID,     /* p, len: the source's text */
    CDC_BOOL,        /* i: 0 or 1 */
    CDC_INT,         /* i; the column's `bits` tells 32 or 64 */
    CDC_FLOAT,       /* f; the column's `bits` tells 32 or 64 */
    CDC_DECIMAL,     /* p, len: unscaled two's complement, big endian, 1 to 16 bytes; aux: scale */
    CDC_TEXT,        /* p, len: UTF-8; may hold NULs only if the source's type does */
    CDC_BYTES,       /* p, len */
    CDC_DATE,        /* i: days since 1970-01-01, years 1 to 9999 */
    CDC_TIME,        /* i: microseconds since midnight, 0 to 86,400,000,000 */
    CDC_TIMESTAMP,   /* i: microseconds since 1970-01-01 00:00, no zone; years 1 to 9999 */
    CDC_TIMESTAMPTZ, /* i: microseconds since 1970-01-01 00:00 UTC; years 1 to 9999 */
    CDC_UUID,        /* p, len: the 36 characters, lower case */
    CDC_JSON,        /* p, len: JSON text as the source wrote it, UTF-8 */
    CDC_ARRAY,       /* p: len struct cdc_value of the column's element kind */
    CDC_KINDS
};

struct cdc_value {
    uint8_t kind;
    int16_t aux;  /* DECIMAL: scale */
    uint32_t len; /* bytes; ARRAY: number of items */
    union {
        int64_t i;
        double f;
        const uint8_t *p;
        const struct cdc_value *items;
    };
};

static inline struct cdc_slice cdc_value_slice(const struct cdc_value *val)
{
    return cdc_slice_of(val->p, val->len);
}

/* Sent by the source and usable: neither UNCHANGED nor ABSENT. */
static inline bool cdc_value_known(const struct cdc_value *val)
{
    return val->kind != CDC_UNCHANGED && val->kind != CDC_ABSENT;
}

/* Same kind and same content. UNCHANGED and ABSENT equal nothing, not even themselves. */
bool cdc_value_eq(const struct cdc_value *a, const struct cdc_value *b);

/* The kind's name, as it stands in schema attributes and documentation: "int", "timestamptz". */
const char *cdc_kind_name(enum cdc_kind kind);

#endif
