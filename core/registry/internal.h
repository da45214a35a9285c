/*
 * internal.h - what the files of core/registry share: an instance, and the two kinds of it.
 */
#ifndef CDC_REGISTRY_INTERNAL_H
#define CDC_REGISTRY_INTERNAL_H

#include "registry/registry.h"
#include "registry/store.h"

/* How a registry comes by an id; registry.c does all that both have in common. */
struct cdc_registry_ops {
    /* `want` is not in the store, and `before` (NULL: none) is what the table used until now. May
     * add to the store what it learns. Returns as cdc_registry_check. */
    int (*check)(struct cdc_registry *reg, const struct cdc_registry_want *want,
                 const struct cdc_entry *before, struct cdc_buf *ret_why, struct cdc_error *err);
    /* Adds the entry to the store. Returns CDC_OK, CDC_END and CDC_FAIL as cdc_registry_id. */
    int (*give)(struct cdc_registry *reg, const struct cdc_registry_want *want,
                struct cdc_buf *ret_why, struct cdc_error *err);
    void (*free)(struct cdc_registry *reg); /* the whole of it; `store` is empty */
    bool asks;                              /* a server */
};

struct cdc_registry {
    const struct cdc_registry_ops *ops;
    const struct cdc_section *sec;
    struct cdc_store store;
    bool level_given;
    enum cdc_compat_level level; /* NONE where not given */
};

CDC_CHECK int cdc_embedded_new(const struct cdc_section *sec, struct cdc_registry **ret,
                               struct cdc_error *err);
CDC_CHECK int cdc_http_registry_new(const struct cdc_section *sec, const atomic_bool *stop,
                                    struct cdc_registry **ret, struct cdc_error *err);

/*
 * May the schema text `now` follow `before` at this level? CDC_OK, or CDC_END with words. A text
 * `before` that is no schema (a foreign registry's) is as if there were none.
 */
CDC_CHECK int cdc_texts_follow(struct cdc_slice before, struct cdc_slice now,
                               enum cdc_compat_level level, struct cdc_buf *ret_why,
                               struct cdc_error *err);
/* The same of a key: they are one, or CDC_END. */
CDC_CHECK int cdc_keys_follow(struct cdc_slice before, struct cdc_slice now,
                              struct cdc_buf *ret_why, struct cdc_error *err);
/* Do two texts mean the same (cdc_avro_schema_same)? A text that is no schema equals nothing. */
bool cdc_texts_same(struct cdc_slice a, struct cdc_slice b);

#endif
