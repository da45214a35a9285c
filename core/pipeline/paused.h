/*
 * paused.h - tables whose rows are dropped, and what is written down about them.
 *
 * A table is paused by `on_incompatible: pause` or by a command. From then on none of its rows
 * reaches the sink, and its state in the checkpoint says "state":"paused", "why" in words, and
 * "gap":{"from":<position>}, which becomes true with the first commit that moves past a change of
 * it. It stays paused over restarts until it is resumed. Resumed it is taken again from there; the
 * gap stays until a new copy of the table mends it.
 *
 * Threads: the sink thread only, between two batches (or before a batch is resolved).
 */
#ifndef CDC_PAUSED_H
#define CDC_PAUSED_H

#include "cdc/batch.h"

struct cdc_outlet;

/* Names, "schema.name" each; owned. */
struct cdc_paused {
    char **names;
    size_t n, cap;
    uint64_t dropped; /* changes, in this session */
};

/* At a session's start, from the checkpoint; says which are paused. CDC_FAIL: no memory. */
CDC_CHECK int cdc_paused_load(struct cdc_outlet *out, struct cdc_error *err);
void cdc_paused_done(struct cdc_paused *paused);

bool cdc_paused_has(const struct cdc_paused *paused, const char *schema, const char *name);

/*
 * Pauses `table` ("schema.name"). `tab` is a version of it, for a table that the checkpoint does
 * not know yet, or NULL. CDC_AGAIN: it is paused already. CDC_END: no such table has ever been
 * captured, and none is to be. The state goes into the pending delta: the caller sees to a commit.
 */
CDC_CHECK int cdc_pause(struct cdc_outlet *out, const char *table, const struct cdc_table *tab,
                        const char *why, struct cdc_error *err);
/* Must cdc_pause wait, until the source has said whether there is such a table? The queue is poked
 * then. */
bool cdc_pause_waits(const struct cdc_outlet *out, const char *table);
/* CDC_END: it is not paused. */
CDC_CHECK int cdc_resume(struct cdc_outlet *out, const char *table, struct cdc_error *err);

/*
 * Takes the changes of paused tables out of the batch; `unplanned`: only of versions without a plan
 * (a table that was paused just now has rows of its version before in the same batch).
 */
void cdc_paused_drop(struct cdc_paused *paused, struct cdc_batch *batch, bool unplanned);

#endif
