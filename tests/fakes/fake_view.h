/*
 * fake_view.h - a view (cdc/view.h) whose tables are a text.
 *
 *   script  := table { "|" table }          in the order of their names
 *   table   := name col... { ";" value... }
 *   col     := ["*"] name ":" type          as in fake_feed.h: i s f b o z
 *   value   := text | "-" (NULL) | "!" (a value that the column's type cannot hold)
 *
 *   "public.t *id:i a:s; 1 x; 2 - | public.u *id:i; 7"
 *
 * What is seen and what happens is in fake_view_world, which the test sets. Its place is a
 * transaction's number of fake_feed.h.
 */
#ifndef TESTS_FAKE_VIEW_H
#define TESTS_FAKE_VIEW_H

#include "cdc/view.h"

struct fake_view_world {
    const char *script;
    unsigned place;              /* contained: transactions 1 to place - 1 */
    unsigned covered_from;       /* `covers` says yes from the so many-th call on; 0: never */
    int again_at_begin;          /* this table, counted from 1, is given up at begin; 0: none */
    int again_at_read;           /* ... at its second read */
    const struct cdc_rule *rule; /* of all tables; may be NULL */
    bool gone;                   /* open fails: nobody answers */

    unsigned opens, closes, asked; /* what happened: asked: calls of covers */
    size_t most;                   /* rows asked for at once, at most */
};

extern struct fake_view_world fake_view_world;
extern const struct cdc_view_ops fake_view_ops;

#endif
