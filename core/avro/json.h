/*
 * json.h - values as text: JSON for `cat`, `__prev_key` and range bounds, plain for
 * SQLite's TEXT, for hashes and for columns that `on_invalid: string` makes text.
 *
 * The form is one for the whole program (DESIGN.md part 12, "JSON text"):
 *   bool             true, false
 *   int, float       numbers; NaN, Infinity, -Infinity are strings; the shortest digits that give
 *                    the same float again (`bits` tells 32 or 64)
 *   decimal          a string with exactly `scale` digits behind the point
 *   text, uuid       strings; bytes that are no UTF-8 become U+FFFD
 *   json             a *string* that holds the text as the source wrote it: embedding would
 *                    lose big numbers and doubled keys in the first parser that touches it
 *   bytes            a string, base64 with padding
 *   date             "2024-01-31"
 *   time             "23:59:59.000000", at most "24:00:00.000000"
 *   timestamp        "2024-01-31T23:59:59.000000"; timestamptz the same with a `Z` behind it
 *   array            an array of these
 *   null, unchanged, absent, invalid: null
 *
 * All functions append; a full buffer shows in buf->failed. Threads: any.
 */
#ifndef CDC_AVRO_JSON_H
#define CDC_AVRO_JSON_H

#include "cdc/avro.h"

/* A JSON string, quotes included. */
void cdc_json_string(struct cdc_buf *buf, struct cdc_slice text);

/* `bits` is the column's: it matters to floats and arrays of floats only. */
void cdc_json_value(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits);

/* "name":value, with a comma before it unless it is the first behind a `{`. */
void cdc_json_member(struct cdc_buf *buf, const char *name, const struct cdc_value *val,
                     uint8_t bits);

/* The plain form: as JSON without the quotes around it (arrays stay JSON; null is empty). */
void cdc_text_value(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits);

/* {"column":value,...}: all columns of a row in their order, meta columns included. */
void cdc_json_row(struct cdc_buf *buf, const struct cdc_row_schema *schema,
                  const struct cdc_value *values);

/* {"column":value,...}: the key's columns in the key's order; {} for a table without key. */
void cdc_json_key(struct cdc_buf *buf, const struct cdc_row_schema *schema,
                  const struct cdc_value *values);

#endif
