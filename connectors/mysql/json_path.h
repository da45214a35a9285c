/*
 * json_path.h - the legs of a JSON path, in the form in which the server prints paths: a path is
 * "$" and any number of
 *
 *   .name      an identifier, which ends where the next leg begins
 *   ."name"    any other key, escaped as a JSON string
 *   [3]        an element; [last] and [last-2] count from the end
 *
 * without blanks. Wildcards, ranges and ** name no single value: refused.
 */
#ifndef MYS_JSON_PATH_H
#define MYS_JSON_PATH_H

#include "cdc/reader.h"

struct mys_json_leg {
    bool cell; /* an element, else a member */
    bool from_end;
    uint32_t index;       /* 0: the first, or with from_end the last */
    struct cdc_slice key; /* lent from the path, or in the arena */
};

/* The next leg. CDC_FAIL: malformed, or the path has ended; CDC_FULL: no memory. */
CDC_CHECK int mys_json_leg_read(struct cdc_reader *rd, struct cdc_arena *arena,
                                struct mys_json_leg *ret);

#endif
