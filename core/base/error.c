/* error.c - see cdc/error.h. */
#include "cdc/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cdc_fail(struct cdc_error *err, enum cdc_action action, const char *where, const char *fmt, ...)
{
    if (!err)
        return CDC_FAIL;
    va_list args;
    char message[sizeof err->message]; /* the arguments may lie in *err */
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    char place[sizeof err->where];
    snprintf(place, sizeof place, "%s", where ? where : "");
    memcpy(err->message, message, sizeof message);
    memcpy(err->where, place, sizeof place);
    err->action = action;
    return CDC_FAIL;
}

int cdc_fail_in(struct cdc_error *err, const char *where)
{
    if (!err)
        return CDC_FAIL;
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    int n = snprintf(err->message, sizeof err->message, "%s: %s", where, message);
    if (n >= (int)sizeof err->message) /* too long: what happened matters more than the prefix */
        memcpy(err->message, message, sizeof message);
    return CDC_FAIL;
}

int cdc_fail_oom(struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "",
                    "out of memory, or a limit on sizes was reached: lower `memory:` or give the "
                    "process more");
}
