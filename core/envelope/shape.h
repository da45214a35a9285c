/*
 * shape.h - what a capture rule makes of a table's columns, before schema text or plan are made.
 *
 * Both are made from the same shape, so that they agree; and whatever of a rule cannot be carried
 * out is refused here, before the first row. Private to core/envelope. Threads: any.
 */
#ifndef CDC_ENVELOPE_SHAPE_H
#define CDC_ENVELOPE_SHAPE_H

#include "cdc/config.h"
#include "cdc/table.h"

struct cdc_column_shape {
    enum cdc_column_act act;
    bool as_text;   /* Avro's type is string whatever the column's: hashed, or on_invalid: string */
    uint32_t limit; /* TRUNCATE: characters */
    enum cdc_invalid on_invalid;
};

struct cdc_row_shape {
    const struct cdc_column_shape *cols; /* table->n, in the table's order */
    int logical, updated;                /* columns of logical_delete, updated_at; -1: none */
};

/*
 * In the arena. CDC_FAIL: CDC_CONFIG (where: the rule's line) if the rule does something to a
 * column that cannot be done, or names one for logical_delete or updated_at that the table lacks.
 */
CDC_CHECK int cdc_row_shape(const struct cdc_table *tab, struct cdc_arena *arena,
                            struct cdc_row_shape *ret, struct cdc_error *err);

#endif
