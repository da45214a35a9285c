/*
 * row.h - the compiled plan of the `row` envelope, shared by plan.c (compiles, makes records) and
 * encode.c (makes bytes). Private to core/envelope. Threads: the sink thread.
 */
#ifndef CDC_ENVELOPE_ROW_H
#define CDC_ENVELOPE_ROW_H

#include "avro/types.h"
#include "envelope/envelope.h"

enum cdc_put {
    CDC_PUT_LONG,
    CDC_PUT_BOOL,
    CDC_PUT_FLOAT,
    CDC_PUT_DOUBLE,
    CDC_PUT_FIXED,
    CDC_PUT_BYTES
};

/* How the values of one column, or the items of an array, become bytes. */
struct cdc_op_scalar {
    uint8_t kind; /* of the values that go this way */
    uint8_t put;  /* enum cdc_put */
    uint16_t size;
    int16_t scale; /* FIXED */
    struct cdc_range range;
};

struct cdc_column_op {
    uint8_t kind; /* as above, or CDC_ARRAY: then `scalar` says how its items go */
    bool key;
    struct cdc_op_scalar scalar;
};

/* Indexes of columns, gathered while one record is encoded. */
struct cdc_column_list {
    uint16_t n;
    uint16_t *at; /* room for every column */
};

struct cdc_plan {
    void (*free)(struct cdc_plan *plan); /* first: core/base/table.c calls it */
    const struct cdc_table *tab;
    struct cdc_envelope_state *state;
    struct cdc_schema schema;
    int64_t synced_us; /* of the records lent last */
    struct cdc_column_op *ops;
    struct cdc_slice *names; /* of the columns, for the lists */
    struct cdc_column_list unchanged, invalid;
    struct cdc_buf prev_key;
    struct cdc_arena *arena; /* all of the above, and the plan */
};

#endif
