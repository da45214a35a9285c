/*
 * log.h - setting up what cdc/log.h writes to. Call once, before threads start.
 */
#ifndef CDC_BASE_LOG_H
#define CDC_BASE_LOG_H

#include "cdc/error.h"
#include "cdc/log.h"
#include <stdbool.h>

/* instance: the pipeline's name, in every line; copied. */
void cdc_log_setup(enum cdc_log_level level, bool json, const char *instance);
/* Any time, any thread: from here on another level and form. */
void cdc_log_change(enum cdc_log_level level, bool json);

/* The one way an error is logged: level, message, where. */
void cdc_log_error(enum cdc_log_level level, const struct cdc_error *err, const char *then);

#endif
