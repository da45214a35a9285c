/*
 * serve.h - the embedded registry's face: Confluent's read-only paths, out of committed schemas.
 *
 * A shelf holds what may be told to others: schemas whose ids are committed in the sink. The sink
 * thread puts them there after each commit, the HTTP thread reads; one lock, held for moments. A
 * schema that left the checkpoint stays on the shelf: ids are never used twice.
 *
 * Served for both registries and any sink: with `registry: {type: http}` it is a mirror of what
 * this pipeline uses. What would change something is refused (42205): the pipeline is the only
 * writer. A producer that registers what is there already gets its id, as from any registry.
 */
#ifndef CDC_REGISTRY_SERVE_H
#define CDC_REGISTRY_SERVE_H

#include "cdc/map.h"
#include "http/http.h"

struct cdc_shelf;

struct cdc_shelf *cdc_shelf_new(const char *level); /* "BACKWARD"; copied. NULL: no memory */
void cdc_shelf_free(struct cdc_shelf *shelf);       /* NULL is fine */

/* Takes the keys `schema/<id>` of a map. CDC_FAIL: no memory. shelf NULL: nothing to do. */
CDC_CHECK int cdc_shelf_put(struct cdc_shelf *shelf, const struct cdc_map *map);

/* The handler of these prefixes. arg: the shelf. */
cdc_http_handler cdc_shelf_answer;
extern const char *const cdc_shelf_prefixes[]; /* ends in NULL */
#define CDC_SHELF_BODY_MAX ((size_t)1 << 20)   /* max_body of the routes: a schema is sent */

#endif
