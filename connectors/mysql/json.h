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

/* ---- the parts of it, for json_diff.c ---- */

/* A value; the bytes behind its type, which may go on behind its end. */
struct mys_json {
    uint8_t type;
    struct cdc_slice bytes;
};

/* An object or array, opened. */
struct mys_json_box {
    struct cdc_slice bytes; /* from its count on */
    uint32_t n;
    uint8_t width; /* of offsets */
    bool object;
    size_t entries; /* where they begin */
};

struct mys_json mys_json_of(struct cdc_slice doc);
/* false: neither object nor array, or malformed. */
bool mys_json_open(const struct mys_json *val, struct mys_json_box *ret);
/* Key and value of its entry i < n. false: malformed. */
bool mys_json_key(const struct mys_json_box *box, uint32_t i, struct cdc_slice *ret);
bool mys_json_entry(const struct mys_json_box *box, uint32_t i, struct mys_json *ret);
/* As mys_json_print; the value lies in `depth` others. */
CDC_CHECK int mys_json_put(const struct mys_json *val, unsigned depth, struct cdc_buf *buf);
/* A string between quotes. false: no UTF-8, which the server never writes. */
bool mys_json_put_string(struct cdc_buf *buf, struct cdc_slice text);

#endif
