/*
 * face.h - a run's HTTP face: gathers what is to be shown, serves it, and takes commands.
 *
 *     cdc_face_new ──▶ cdc_face_route ... ──▶ cdc_face_start ──▶ cdc_face_free
 *
 * Without `http:` in the configuration there is none: cdc_face_new gives NULL, and run->metrics and
 * run->mailbox stay NULL. With it, both belong to the face.
 *
 * Threads: new, route, start and free on the main thread, while no other touches the run; the rest
 * happens on the server's.
 */
#ifndef CDC_PIPELINE_FACE_H
#define CDC_PIPELINE_FACE_H

#include "http/http.h"
#include "pipeline/mailbox.h"

struct cdc_run;
struct cdc_face;

#define CDC_FACE_ROUTES 32

/* CDC_OK with *ret NULL: no face is wanted. Sets run->metrics and run->mailbox. */
CDC_CHECK int cdc_face_new(struct cdc_run *run, struct cdc_face **ret, struct cdc_error *err);
/* More paths, before the start; the route's strings are lent. At most CDC_FACE_ROUTES in all. */
void cdc_face_route(struct cdc_face *face, const struct cdc_http_route *route); /* NULL is fine */
CDC_CHECK int cdc_face_start(struct cdc_face *face, struct cdc_error *err);     /* NULL is fine */
void cdc_face_free(struct cdc_face *face);                                      /* NULL is fine */

#endif
