/*
 * ask.h - asks a running instance over its own listener, for commands such as `status`.
 *
 * It goes where `http.listen` says, with the token of the same configuration; a listener on all
 * addresses is asked at the loopback one. Over TLS exactly the configured certificate is trusted.
 * Blocks 5 s at most. Threads: any.
 */
#ifndef CDC_HTTP_ASK_H
#define CDC_HTTP_ASK_H

#include "http/http.h"

struct cdc_http_answer {
    long status;
    struct cdc_buf body; /* the caller's, to be ended whatever happened */
};

/*
 * GET of a path, or POST of a JSON text (body not NULL). CDC_OK: an answer, whatever its status.
 * CDC_FAIL: CDC_CONFIG (port 0, no such file), CDC_FATAL (nobody listens, no answer, no memory).
 */
CDC_CHECK int cdc_http_ask(const struct cdc_http_options *opt, const char *path, const char *body,
                           struct cdc_http_answer *ret, struct cdc_error *err);

#endif
