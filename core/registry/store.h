/*
 * store.h - the schemas that a registry knows: those of the checkpoint, and those of this session.
 *
 * Private to core/registry. Entries keep their order: of one subject the later is the newer.
 * Threads: none of its own. Ownership: copies what it is given.
 */
#ifndef CDC_REGISTRY_STORE_H
#define CDC_REGISTRY_STORE_H

#include "cdc/map.h"

struct cdc_entry {
    char *subject;
    struct cdc_slice text; /* owned, NUL behind it */
    uint32_t id, version;
    bool told; /* stands in the checkpoint or a delta */
};

struct cdc_store {
    struct cdc_entry *items;
    size_t n, cap;
};

/* From the keys `schema/<id>` of a map. CDC_FAIL (CDC_FATAL): one is damaged. */
CDC_CHECK int cdc_store_load(struct cdc_store *store, const struct cdc_map *map,
                             struct cdc_error *err);
void cdc_store_done(struct cdc_store *store);

/* Copies *entry. NULL: no memory. */
struct cdc_entry *cdc_store_add(struct cdc_store *store, const struct cdc_entry *entry);
struct cdc_entry *cdc_store_find(const struct cdc_store *store, const char *subject,
                                 struct cdc_slice text); /* NULL: not there */
const struct cdc_entry *cdc_store_by_id(const struct cdc_store *store, uint32_t id);
/* The newest version of the subject that is older than `below`; NULL: none. 0: no bound. */
const struct cdc_entry *cdc_store_latest(const struct cdc_store *store, const char *subject,
                                         uint32_t below);
/* Puts the key of an entry's id into a delta, once. CDC_FAIL: no memory. */
CDC_CHECK int cdc_store_tell(struct cdc_store *store, struct cdc_entry *entry,
                             struct cdc_map *delta);

#endif
