/*
 * json.h - MySQL's binary JSON as text. MySQL source, sql-common/json_binary.h has the format.
 *
 *   value     type 1, then by type; the outermost value is the whole column
 *   object    n, size (2 bytes each, 4 if large), n x {key offset, key length 2}, n x entry, keys,
 *             values        an array has no keys
 *   entry     type 1, offset of the value in the object, or the value itself if it is small
 *   opaque    a column type, length, bytes: decimals, dates, times, blobs
 *
 * The text is the server's own: ", " and ": " between, keys in the server's order, the shortest
 * doubles, "base64:type252:..." for opaque bytes.
 */
#ifndef MYS_JSON_H
#define MYS_JSON_H

#include "cdc/buf.h"

#define MYS_JSON_DEPTH 100 /* the server's own limit */

/* Appends the text. CDC_FAIL: malformed, or deeper than the limit; a full buffer shows in
 * buf->failed. An empty document is null. */
CDC_CHECK int mys_json_print(struct cdc_slice doc, struct cdc_buf *buf);

#endif
