/*
 * row.h - the compiled plan of the `row` envelope, shared by plan.c (compiles, makes records),
 * cells.c (values that need more than encoding), encode.c (makes bytes) and shrink.c (makes fewer
 * of them). Private to core/envelope. Threads: the sink thread.
 */
#ifndef CDC_ENVELOPE_ROW_H
#define CDC_ENVELOPE_ROW_H

#include "avro/types.h"
#include "envelope/envelope.h"
#include "envelope/shape.h"

#include <openssl/types.h>

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

/* One column of the record. */
struct cdc_column_op {
    uint8_t fast; /* kind of the values that go straight into the buffer; CDC_KINDS: none do */
    uint8_t kind; /* the column's; ARRAY: `scalar` says how its items go */
    uint8_t bits;
    bool key;
    uint16_t at; /* index of its value in a row */
    struct cdc_op_scalar scalar;
    struct cdc_column_shape shape;
    struct cdc_slice name; /* the source's */
};

/* Indexes of ops, gathered while one record is encoded. */
struct cdc_column_list {
    uint16_t n;
    uint16_t *at; /* room for every column */
};

struct cdc_plan {
    void (*free)(struct cdc_plan *plan); /* first: core/base/table.c calls it */
    const struct cdc_table *tab;
    struct cdc_envelope_state *state;
    struct cdc_schema schema;
    struct cdc_schema key_schema; /* text NULL: none */
    int64_t synced_us;            /* of the records lent last */
    uint64_t bytes;               /* encoded since cdc_plan_take_bytes */
    uint16_t n, n_key;
    struct cdc_column_op *ops; /* n: the table's columns without the excluded ones */
    uint16_t *key;             /* n_key indexes into ops, in the key's order */
    int logical, updated;      /* as in struct cdc_row_shape */
    struct cdc_column_list unchanged, invalid;
    EVP_MAC_CTX *mac;        /* keyed; NULL: nothing is hashed */
    char digest[64];         /* the last hash */
    struct cdc_buf text;     /* the last text form; what is only tried */
    struct cdc_buf prev_key; /* the last __prev_key */
    struct cdc_arena *arena; /* holds all of the above that is not a buffer, and the plan */
};

/*
 * The value that is written for one which does not go the fast way: NULL, UNCHANGED (written as
 * null too), or TEXT that lives until the next call. Notes the column in plan->unchanged or
 * plan->invalid. CDC_FAIL: on_invalid says so, or it is a key's value and would be lost.
 */
CDC_CHECK int cdc_plan_cell(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                            struct cdc_value *ret, struct cdc_error *err);

/*
 * Appends the value of column i, its branch first. Notes a column that was not sent, or is invalid,
 * in plan->unchanged or plan->invalid. Fails as cdc_plan_cell does; buf's own failure is the
 * caller's to see.
 */
CDC_CHECK int cdc_plan_put_column(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                                  struct cdc_buf *buf, struct cdc_error *err);

/* Appends the meta columns, with what plan->unchanged and plan->invalid hold by then. */
CDC_CHECK int cdc_plan_put_meta(struct cdc_plan *plan, const struct cdc_record *rec,
                                struct cdc_buf *buf, struct cdc_error *err);

/* CDC_OK, or the error that a failed buffer comes to. */
CDC_CHECK int cdc_plan_check_size(const struct cdc_plan *plan, const struct cdc_buf *buf,
                                  struct cdc_error *err);

/* A MAC context with the key, for plan->mac; NULL: no memory. */
EVP_MAC_CTX *cdc_mac_new(struct cdc_slice key);

/* Empties a scratch buffer, and gives back what one large value made of it. */
void cdc_scratch_reset(struct cdc_buf *buf);

#endif
