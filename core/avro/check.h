/*
 * check.h - a second opinion on a schema text before it is used: Avro-C must be able to parse it.
 *
 * Not for: the rules of the `row` envelope (cdc_row_schema_parse), nor compatibility.
 * Threads: any; calls wait for one another, because Avro-C keeps its error text in one place.
 */
#ifndef CDC_AVRO_CHECK_H
#define CDC_AVRO_CHECK_H

#include "cdc/buf.h"

/* CDC_FAIL (CDC_FATAL): Avro-C refuses the text; err says what it said. */
CDC_CHECK int cdc_avro_check(struct cdc_slice schema, struct cdc_error *err);

#endif
