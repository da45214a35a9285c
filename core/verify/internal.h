/*
 * internal.h - what the files of core/verify share: one run.
 *
 *   verify.c   the order of things; which tables can be compared
 *   build.c    the private copy: feed -> replica, up to a place or a commit
 *   table.c    one table: view -> envelope -> compare
 *   against.c  a replica's file
 *   report.c   lines for people and programs
 */
#ifndef CDC_VERIFY_INTERNAL_H
#define CDC_VERIFY_INTERNAL_H

#include "envelope/envelope.h"
#include "replica/compare.h"
#include "verify/verify.h"

#define VER_PLACE (8 + 1 + CDC_PLACE_LEN) /* of a __seq: incarnation and place */

struct ver_run {
    const struct cdc_verify_options *opt;
    struct cdc_verify_result *result;
    struct cdc_replica *rep;
    struct cdc_feed *feed;
    struct cdc_view *view;
    struct cdc_pool *pool;
    struct cdc_envelope_state state;

    struct cdc_feed_commit last; /* number of the commit applied last; its strings are not kept */
    char newest[VER_PLACE + 1];  /* highest place applied; "": none */
    char end[VER_PLACE + 1];     /* rows from here on are left out; "": none are */
    struct cdc_map copying;      /* tables of which rows were copied after the view was opened */

    const char *const *before; /* n_before tables that the copy had before the view was opened */
    size_t n_before;
    int64_t due_us; /* the source is not read again before */
    uint64_t printed;
    FILE *spool; /* lines not yet printed; NULL: none yet */
    struct cdc_buf line;
};

/* The counts of one table. */
struct ver_count {
    const char *table;
    uint64_t rows, differ, missing, extra, unknown, not_yet, undecided;
};

/* build.c */
/* One commit of the feed into the copy. CDC_AGAIN: none yet. */
CDC_CHECK int ver_build_commit(struct ver_run *run, struct cdc_error *err);
/* Until the feed has no more. */
CDC_CHECK int ver_build_all(struct ver_run *run, struct cdc_error *err);
/* Until the sink has all that the view contains, at most until the deadline. */
CDC_CHECK int ver_build_covering(struct ver_run *run, int64_t deadline_us, struct cdc_error *err);
/* Exactly up to that commit. CDC_OPERATOR: the feed ends before, or gives it with later ones. */
CDC_CHECK int ver_build_at(struct ver_run *run, const struct cdc_diff_at *at,
                           struct cdc_error *err);
uint32_t ver_incarnation(const struct ver_run *run); /* as the checkpoint says */

/* verify.c */
CDC_CHECK int ver_stopped(const struct ver_run *run, struct cdc_error *err);
/* Sleeps, hears a stop. */
CDC_CHECK int ver_nap(const struct ver_run *run, int64_t until_us, struct cdc_error *err);

/* table.c */
struct ver_state {
    bool known, streaming, gap;
    bool other_rule; /* than the configuration's wrote what is in the lake */
    int64_t generation;
};
/* CDC_AGAIN: it cannot be read at the view's place; err says why. */
CDC_CHECK int ver_table(struct ver_run *run, size_t table, const struct ver_state *state,
                        struct ver_count *count, struct cdc_error *err);
/* What is alive in the copy of a table and was not compared: all of it is "not in source". */
CDC_CHECK int ver_rest(struct ver_run *run, struct cdc_compare *cmp, struct ver_count *count,
                       struct cdc_error *err);

/* against.c */
CDC_CHECK int ver_against(struct ver_run *run, struct cdc_error *err);

/* report.c */
struct ver_line {
    const char *table, *difference;
    struct cdc_slice key; /* JSON */
    const char *const *columns;
    size_t n;
};
/* Into a temporary file: whoever reads our output slowly must not make a table stay locked. */
CDC_CHECK int ver_report(struct ver_run *run, const struct ver_line *line, struct cdc_error *err);
/* Prints what was reported. */
CDC_CHECK int ver_flush(struct ver_run *run, struct cdc_error *err);
void ver_count(struct ver_run *run, const struct ver_count *count); /* says and sums up */
void ver_say(const struct ver_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ver_summary(const struct ver_run *run);

#endif
