/*
 * http.h - the pipeline's HTTP face: a small server with a thread of its own, and routes that
 * answer.
 *
 * The model. A route is a path prefix and a handler. The server reads a whole request (bounded),
 * checks the token, calls the handler of the longest prefix that fits, and sends what it filled in.
 * Handlers run one after another on the server's only thread: they read snapshots, post into
 * mailboxes, and never wait for the pipeline, a database or a disk.
 *
 * Limits, so that slow or hostile clients cost the pipeline nothing: connections
 * (CDC_HTTP_CLIENTS at once, the rest wait in the kernel), the time from one answer to the next
 * (CDC_HTTP_PATIENCE_S, then the connection is cut), headers, the body of a request (its route's)
 * and of all together. The thread lets the others go first when the processor is short (nice).
 *
 * The token is taken as `Authorization: Bearer TOKEN`, and as the password of Basic with any user:
 * browsers and some registry clients know nothing else.
 *
 * Ownership: options and routes are lent to cdc_http_start and live until cdc_http_stop.
 * Failure: cdc_http_start fails with CDC_CONFIG (no such address, bad certificate) or CDC_FATAL
 * (address in use); a running server never fails: what it cannot serve gets 4xx or 5xx.
 */
#ifndef CDC_HTTP_H
#define CDC_HTTP_H

#include "cdc/buf.h"

#define CDC_HTTP_CLIENTS    256
#define CDC_HTTP_PATIENCE_S 20
#define CDC_HTTP_BODY_MAX   ((size_t)16 << 10) /* where the route says nothing else */
#define CDC_HTTP_BODIES_MAX ((size_t)8 << 20)  /* all bodies that are being received */
#define CDC_HTTP_REPLY_MAX  ((size_t)64 << 20)

struct cdc_http_request {
    const char *method; /* GET (also where it was HEAD), POST, PUT, DELETE, ... */
    const char *path;   /* as sent, percent signs and all, without what follows a '?' */
    /* A parameter behind the '?', decoded; NULL: not given. */
    const char *(*query)(const struct cdc_http_request *req, const char *name);
    /* A header's value; NULL: not given. */
    const char *(*header)(const struct cdc_http_request *req, const char *name);
    struct cdc_slice body; /* complete; len 0 where there is none */
    void *impl;            /* the server's */
};

struct cdc_http_reply {
    int status;          /* 200 when the handler is called */
    const char *type;    /* content type, static; text/plain when the handler is called */
    struct cdc_buf body; /* empty when the handler is called; the server frees it */
};

/* Fills *ret. CDC_OK: it is sent. Anything else, or a failed body: the client gets a 500. */
typedef int cdc_http_handler(void *arg, const struct cdc_http_request *req,
                             struct cdc_http_reply *ret);

struct cdc_http_route {
    const char *prefix; /* "/subjects" fits /subjects and /subjects/...; "/" fits "/" alone */
    cdc_http_handler *handler;
    void *arg;
    size_t max_body; /* 0: CDC_HTTP_BODY_MAX; a larger one gets 413 */
    bool open;       /* answers without the token */
};

struct cdc_http_options {
    const char *listen;     /* address:port, [v6]:port; port 0: any free one */
    const char *token;      /* NULL: none is wanted */
    const char *cert, *key; /* PEM files; both NULL: no TLS */
};

struct cdc_http;

/* routes end in {0}. */
CDC_CHECK int cdc_http_start(const struct cdc_http_options *opt,
                             const struct cdc_http_route *routes, struct cdc_http **ret,
                             struct cdc_error *err);
void cdc_http_stop(struct cdc_http *http);      /* NULL is fine; ends within a second */
int cdc_http_port(const struct cdc_http *http); /* the real one, where 0 was asked for */

/* ---- route.c: for handlers; no sockets, no threads ---- */

/* The route of the longest prefix that fits, or NULL. */
const struct cdc_http_route *cdc_http_route_of(const struct cdc_http_route *routes,
                                               const char *path);
/*
 * The i-th segment of a path ("/a/b": 0 is "a"), percent-decoded, in place of what *ret held. No
 * segment is empty, and a slash at the end makes none. CDC_END: there is none. CDC_FAIL: a bad
 * escape, or a NUL.
 */
CDC_CHECK int cdc_http_segment(const char *path, size_t i, struct cdc_buf *ret);
/* Does `Authorization: given` hold the token? Takes as long for any wrong one. */
bool cdc_http_token_is(const char *given, const char *token);
/* A JSON text as the reply. */
int cdc_http_json(struct cdc_http_reply *ret, int status, const char *json);
/* {"error": message} as the reply. */
int cdc_http_error(struct cdc_http_reply *ret, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
