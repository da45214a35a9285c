/*
 * instance.h - the running instance of a configuration, asked over its HTTP listener.
 */
#ifndef CDC_CLI_INSTANCE_H
#define CDC_CLI_INSTANCE_H

#include "config/settings.h"
#include "http/ask.h"

/*
 * As cdc_http_ask. CDC_FAIL too where there is no listener in the configuration, and for an answer
 * that is not 2xx: err then has the instance's own words. ret->body is the caller's to end.
 */
CDC_CHECK int cdc_instance_ask(const struct cdc_settings *set, const char *path, const char *body,
                               struct cdc_http_answer *ret, struct cdc_error *err);

#endif
