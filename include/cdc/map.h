/*
 * map.h - a small sorted map of keys to bytes: the checkpoint, and deltas of it.
 *
 * The checkpoint is the one truth about a pipeline: where it is, what its tables look like, which
 * schemas exist. It lives in the sink and changes only by sink->commit, in the same atomic step as
 * the data. Values are JSON texts in every sink. A delta is the same object in which a key may also
 * be marked as deleted (value.p == NULL).
 *
 *   position                 text only the source understands, as a JSON string
 *   source                   fingerprint of the source; a JSON object of the source's own
 *   creating                 what a source is about to create there; gone once it exists
 *   incarnation              a number; grows at a source failover or deliberate reset
 *   clock                    highest commit time seen, microseconds
 *   schema/<id>              {"subject","version","schema"}
 *   table/<schema>.<name>    cdc_table_state
 *   owner, gap/..., others   as DESIGN.md part 12 lists
 *
 * Ownership: the map copies keys and values. Slices it lends live until the key changes. No
 * threads.
 */
#ifndef CDC_MAP_H
#define CDC_MAP_H

#include "cdc/buf.h"

struct cdc_kv {
    struct cdc_slice key, value; /* value.p == NULL deletes the key */
};

struct cdc_map {
    struct cdc_kv *items; /* sorted by key, bytewise; owned */
    size_t n, cap;
};

void cdc_map_init(struct cdc_map *map);
void cdc_map_done(struct cdc_map *map);
void cdc_map_clear(struct cdc_map *map);

/* The value, or a slice with p == NULL: not there, or marked as deleted. */
struct cdc_slice cdc_map_get(const struct cdc_map *map, const char *key);

/* Sets, or with value.p == NULL marks as deleted. Copies. CDC_FAIL: no memory. */
CDC_CHECK int cdc_map_put(struct cdc_map *map, struct cdc_slice key, struct cdc_slice value);

/* Keeps delta's marks: map becomes "map, then delta". For merging deltas. */
CDC_CHECK int cdc_map_merge(struct cdc_map *map, const struct cdc_map *delta);

/* The same, but marked keys are taken out of map. For applying a delta to a checkpoint. */
CDC_CHECK int cdc_map_apply(struct cdc_map *map, const struct cdc_map *delta);

/* A JSON string value (as `position` is) as plain text. CDC_END: not there; CDC_FAIL: no string. */
CDC_CHECK int cdc_map_get_text(const struct cdc_map *map, const char *key, struct cdc_buf *ret,
                               struct cdc_error *err);
CDC_CHECK int cdc_map_put_text(struct cdc_map *map, const char *key, struct cdc_slice text);

#endif
