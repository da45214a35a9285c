/*
 * json.h - values as JSON text, for sinks that print (core/avro/json.h says the form of each kind).
 *
 * All functions append; a full buffer shows in buf->failed. Threads: any.
 */
#ifndef CDC_JSON_H
#define CDC_JSON_H

#include "cdc/value.h"

/* A JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD. */
void cdc_json_string(struct cdc_buf *buf, struct cdc_slice text);

/* `bits` is the column's: it matters to floats and arrays of floats only. */
void cdc_json_value(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits);

#endif
