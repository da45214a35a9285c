/*
 * names.h - Avro names out of the source's names. Private to core/envelope. Threads: any.
 */
#ifndef CDC_ENVELOPE_NAMES_H
#define CDC_ENVELOPE_NAMES_H

#include "envelope/shape.h"

/*
 * Appends the name: each character outside [A-Za-z0-9_] becomes one `_`, and a digit at the front
 * gets one before it; an empty name is `_`.
 */
void cdc_avro_name(struct cdc_buf *buf, const char *name);

/*
 * The table's column names as Avro names, tab->n of them in the arena. CDC_FAIL (CDC_CONFIG): two
 * become one, or one is that of a meta column; excluded columns are in nobody's way.
 */
CDC_CHECK int cdc_avro_names(const struct cdc_table *tab, const struct cdc_row_shape *shape,
                             struct cdc_arena *arena, const char *const **ret,
                             struct cdc_error *err);

#endif
