/*
 * registry.h - ids of schemas: one interface, two registries behind it.
 *
 *   embedded   (embedded.c) gives ids itself; its schemas are keys of the checkpoint, nothing else
 *   http       (http.c) registers at a server that speaks Confluent's API, and keeps in the
 *              checkpoint what that gave, so that a start needs no registry and readers of the
 *              sink find every text beside the data
 *
 * `schema/<id>` holds {"subject","version","schema"}, and in "also" further [subject, version] of
 * the same id. A schema is known by its subject and its verbatim text. What is new is put into a
 * delta that the caller commits before, or together with, the first row that uses the id.
 *
 * The order for one table: _check of all its schemas, then _id of each. Neither is called while
 * rows wait that could be committed: a registry that is down must not run into a broker's
 * transaction timeout (pipeline/resolve.c sees to that).
 *
 * Failure: CDC_RETRY: the registry cannot be reached, or answers 5xx or nonsense (tried three times
 * at all its addresses); nothing was guessed, the caller begins again later. CDC_OPERATOR: it
 * refuses us (401, 403, 422), or gives what cannot be right. No message holds a secret.
 *
 * Threads: the sink thread only; `stop` is read. Ownership: copies all it is given but the section.
 */
#ifndef CDC_REGISTRY_H
#define CDC_REGISTRY_H

#include <stdatomic.h>

#include "cdc/config.h"
#include "cdc/map.h"
#include "registry/compat.h"

struct cdc_registry;

/* What a schema is wanted for. */
struct cdc_registry_want {
    const char *subject;
    struct cdc_slice text;
    bool key;         /* of a key: its id is part of the key's bytes, so no change is compatible */
    uint32_t current; /* id that the table uses now, or 0: not known (then the subject's latest) */
    bool force;       /* to be used although incompatible */
};

/*
 * From the section `registry` and a checkpoint. `stop` ends a request that takes longer than some
 * seconds. CDC_FAIL: CDC_FATAL, a key is damaged; CDC_CONFIG, an option that cannot be.
 */
CDC_CHECK int cdc_registry_open(const struct cdc_section *sec, const struct cdc_map *checkpoint,
                                const atomic_bool *stop, struct cdc_registry **ret,
                                struct cdc_error *err);
void cdc_registry_free(struct cdc_registry *reg); /* NULL is fine */

/* Would _check or _id ask a server, or compare with a version before? Then commit first. */
bool cdc_registry_would_wait(const struct cdc_registry *reg, const struct cdc_registry_want *want);

/*
 * May the schema be used? CDC_OK: yes. CDC_END: it is not compatible; why stands in words behind
 * *ret_why. Nothing is registered.
 */
CDC_CHECK int cdc_registry_check(struct cdc_registry *reg, const struct cdc_registry_want *want,
                                 struct cdc_buf *ret_why, struct cdc_error *err);

/*
 * Its id. CDC_OK: known. CDC_AGAIN: new, its key was put into `delta`. CDC_END: the server refuses
 * it as incompatible after all (never with `force`), and says in *ret_why what it said.
 */
CDC_CHECK int cdc_registry_id(struct cdc_registry *reg, const struct cdc_registry_want *want,
                              struct cdc_map *delta, uint32_t *ret, struct cdc_buf *ret_why,
                              struct cdc_error *err);

/* The level of the configuration as registries call it; BACKWARD where it names none. */
const char *cdc_registry_level(const struct cdc_section *sec);

/* For `check`: does it answer? What it is stands behind *ret. */
CDC_CHECK int cdc_registry_ping(const struct cdc_section *sec, struct cdc_buf *ret,
                                struct cdc_error *err);

#endif
