/*
 * json_diff.h - differences of JSON documents, as PARTIAL_UPDATE_ROWS events have them instead of
 * the new document (binlog_row_value_options=PARTIAL_JSON). MySQL: WL#2955, WL#10570.
 *
 *   differences   one behind the other, in the order in which they are applied
 *   difference    operation 1 (0 replace, 1 insert, 2 remove), path, value (not with remove);
 *                 path and value with a length-encoded length before them
 *   path          as text (json_path.h)
 *   value         a binary document (json.h)
 *
 * What they do: a value is replaced or removed if it is there, a member inserted if it is not; an
 * element is inserted before the one at its place, or behind the last. The path is taken as it is,
 * a value is never taken for an array of one. The document itself (path "$") is never replaced:
 * then the server logs it whole.
 */
#ifndef MYS_JSON_DIFF_H
#define MYS_JSON_DIFF_H

#include "cdc/buf.h"

/*
 * Appends the text of the document with the differences applied. CDC_FAIL: either is malformed, or
 * a difference does not fit the document; CDC_FULL: no memory; a full buffer shows in buf->failed.
 */
CDC_CHECK int mys_json_diff(struct cdc_slice doc, struct cdc_slice diffs, struct cdc_buf *buf);

#endif
