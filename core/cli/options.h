/*
 * options.h - all option tables, one after the other, as help and documentation walk through them.
 */
#ifndef CDC_CLI_OPTIONS_H
#define CDC_CLI_OPTIONS_H

#include "cdc/buf.h"
#include "cdc/option.h"

struct cdc_chapter {
    const char *kind; /* "source", "sink"; NULL: a section of our own */
    const char *name; /* "capture", "log", "postgres"; "" for the top of the file */
    const char *doc;
    const struct cdc_option *options;
};

/* Calls `each` for the top of the file, its sections, capture, all sources, all sinks. */
void cdc_chapters(void (*each)(const struct cdc_chapter *chapter, void *arg), void *arg);

/* "size, 8MiB to 1TiB", "one of fail, null", "list of texts". */
void cdc_option_type_text(const struct cdc_option *opt, struct cdc_buf *ret);

#endif
