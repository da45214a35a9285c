/*
 * verify.h - is what the sink holds what the source has? At one place of the log, row by row.
 *
 * Against the source:
 *   1  a private copy of the current state is built from the feed (core/replica, temporary file)
 *   2  a view of the source is opened (cdc/view.h): its tables at exactly one place P
 *   3  the copy goes on until the sink's position covers P; rows of later places are left out
 *   4  each table is read through the envelope's own plan, encoded and decoded, so that hashed,
 *      masked and cut values compare as what was written, and compared with the copy by key; what
 *      is alive in the copy and not at the source is found by what was not touched
 * Most of the feed is read before the view is opened, so that the source holds its snapshot as
 * briefly as can be.
 *
 * Against a replica's file: the copy is built up to the commit that the file says it stands at.
 *
 * Never a value: differences are told as keys and names of columns. Memory does not grow with rows,
 * keys or differences. Threads: one. docs/verify.md tells what each count means.
 */
#ifndef CDC_VERIFY_VERIFY_H
#define CDC_VERIFY_VERIFY_H

#include <stdio.h>

#include "cdc/feed.h"
#include "cdc/view.h"

struct cdc_verify_options {
    const struct cdc_config *cfg;
    const struct cdc_feed_ops *feed;
    const struct cdc_view_ops *view; /* not used with `replica` */
    const char *replica;             /* a replica's file, or NULL: the source */
    const char *table;               /* schema.name, or NULL: all */
    int64_t timeout_us; /* for transactions open at the source, and for the sink to reach P */
    uint64_t rate;      /* rows read from the source in a second at most; 0: no limit */
    uint64_t limit;     /* keys printed at most */
    const volatile sig_atomic_t *stop;
    FILE *out; /* a JSON line for each difference */
    FILE *log; /* a line per table, what is waited for, the summary */
};

struct cdc_verify_result {
    uint64_t tables, rows; /* compared */
    uint64_t differences;
    uint64_t undecided; /* tables and rows about which nothing can be said */
    uint64_t not_yet;   /* rows of tables never copied, not changed since they are captured */
    uint64_t unknown;   /* values that the source never sent (`__unchanged`) */
    uint64_t skipped;   /* tables that cannot be compared at all: no key, insert_only */
    uint64_t untouched; /* tables of which no change was captured so far */
};

/*
 * CDC_OK: done, whatever was found. CDC_FAIL: it could not be done: CDC_OPERATOR, CDC_RETRY (place
 * not reached in time, source not reachable, gap), CDC_FATAL (damage found in the sink),
 * CDC_CONFIG.
 */
CDC_CHECK int cdc_verify(const struct cdc_verify_options *opt, struct cdc_verify_result *ret,
                         struct cdc_error *err);

#endif
