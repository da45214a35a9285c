/*
 * client.h - requests to a schema registry over HTTP; the only file that knows libcurl is client.c.
 *
 * One call is tried three times, each at all addresses from the one that answered last: where a
 * connection cannot be made, or the answer is 408, 429, 5xx or no JSON, the next is asked. What is
 * returned is an answer that means something: 2xx, 404, 409 or 422 with what stands in it.
 *
 * Limits: an answer has at most 16 MiB; redirects are not followed. `stop` being set, nothing is
 * tried again, and a request ends 2 s after it.
 *
 * Messages name the address and the registry's own words, cut and without anything secret.
 * Threads: one at a time. Ownership: the section must outlive the client.
 */
#ifndef CDC_REGISTRY_CLIENT_H
#define CDC_REGISTRY_CLIENT_H

#include <jansson.h>
#include <stdatomic.h>

#include "cdc/buf.h"
#include "cdc/option.h"

struct cdc_client;

/* From the section `registry`. CDC_CONFIG: an option that libcurl does not take. */
CDC_CHECK int cdc_client_new(const struct cdc_section *sec, const atomic_bool *stop,
                             struct cdc_client **ret, struct cdc_error *err);
void cdc_client_free(struct cdc_client *client); /* NULL is fine */

struct cdc_call {
    const char *method, *path; /* path: behind the address, "/subjects/...", encoded */
    const json_t *body;        /* or NULL */
    const char *need;          /* a member that a good answer has, or NULL: any JSON */
};

struct cdc_answer {
    long status;     /* 200 (any 2xx), 404, 409, 422 */
    long code;       /* error_code of the body, or 0 */
    json_t *json;    /* the caller's, to be given back; NULL only where status is not 200 */
    char words[256]; /* the body's message, fit to be shown; "" where there is none */
};

/* CDC_RETRY: no answer that means something. CDC_OPERATOR: 401, 403, and what else refuses us. */
CDC_CHECK int cdc_client_call(struct cdc_client *client, const struct cdc_call *call,
                              struct cdc_answer *ret, struct cdc_error *err);
/* The address asked last, without anything secret. */
const char *cdc_client_url(const struct cdc_client *client);

/* Appends a path's segment, percent-encoded. */
void cdc_client_encode(struct cdc_buf *buf, const char *text);

#endif
