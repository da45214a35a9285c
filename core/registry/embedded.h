/*
 * embedded.h - the embedded schema registry: schemas are keys of the checkpoint.
 *
 * `schema/<id>` holds {"subject","version","schema"}. Ids grow from id_base + 1, are never used
 * twice, and are committed before a record uses them (the engine sees to that). Identity of a
 * schema is its subject and its verbatim text; versions count from 1 within a subject. Threads: the
 * sink thread only. Ownership: copies all it is given.
 */
#ifndef CDC_REGISTRY_EMBEDDED_H
#define CDC_REGISTRY_EMBEDDED_H

#include "cdc/map.h"

struct cdc_registry;

/* From a checkpoint. CDC_FAIL (CDC_FATAL): a key is damaged. */
CDC_CHECK int cdc_registry_new(const struct cdc_map *checkpoint, int64_t id_base,
                               struct cdc_registry **ret, struct cdc_error *err);
void cdc_registry_free(struct cdc_registry *reg); /* NULL is fine */

/*
 * The id of (subject, text). Where it is new, the id is given out and its key put into `delta`:
 * CDC_AGAIN then, CDC_OK for a known one.
 */
CDC_CHECK int cdc_registry_id(struct cdc_registry *reg, const char *subject, struct cdc_slice text,
                              struct cdc_map *delta, uint32_t *ret, struct cdc_error *err);

#endif
