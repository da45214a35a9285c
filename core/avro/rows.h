/*
 * rows.h - the Avro binary of one row of the `row` envelope, read back into values.
 *
 * Not for: containers (reader.c) or schemas in general. The bytes may come from anybody.
 * Threads: any.
 */
#ifndef CDC_AVRO_ROWS_H
#define CDC_AVRO_ROWS_H

#include "cdc/avro.h"
#include "cdc/reader.h"

/*
 * One row from rd into schema->n values that borrow rd's bytes; arrays lie in the arena. CDC_FAIL:
 * cut short or no such row; *ret_column is the one that could not be read. There is no cdc_error,
 * because only the caller knows the place.
 */
CDC_CHECK int cdc_row_decode(const struct cdc_row_schema *schema, struct cdc_reader *rd,
                             struct cdc_arena *arena, struct cdc_value *values,
                             uint16_t *ret_column);

#endif
