/*
 * rule.h - the rule that copies rest on: may rows of this look be placed in the queue here?
 *
 * Rows that were read in a look may take a place in the queue only if the look contains every
 * transaction that was put there before. What comes behind them and is contained already does no
 * harm; what came before and is not contained would be undone by them, or lost. So the engine keeps
 * the transactions that *passed* into the queue, and asks the look for each of them.
 *
 * What passed before the engine began to count is known by an exact look alone (`place`: it
 * contains all that is smaller): one that was taken after the counting began, the *witness*. From
 * then on cheap looks do: what a server shows in one look it shows in every later one, so what any
 * look has contained need not be asked for again.
 *
 * Nothing else decides: neither positions of the log (a comparison of them loses rows, see
 * tests/unit/test_snapshot_model.c) nor clocks. Pure; no threads.
 */
#ifndef CDC_SNAPSHOT_RULE_H
#define CDC_SNAPSHOT_RULE_H

#include "cdc/snap.h"

struct cdc_passed {
    struct cdc_buf txs;       /* place, length, id of each */
    char base[CDC_PLACE_LEN]; /* of the last one before the counting began */
};

/* Begins to count behind this transaction (cdc_source_ops.last), in so many bytes at most. */
void cdc_passed_begin(struct cdc_passed *passed, size_t max, const struct cdc_tx *last);
void cdc_passed_done(struct cdc_passed *passed);
/* CDC_FULL: too many; the counting must begin anew. */
CDC_CHECK int cdc_passed_add(struct cdc_passed *passed, const struct cdc_tx *tx);
/* Is a look at this exact place a witness? If so, what it contains is forgotten. */
bool cdc_passed_witness(struct cdc_passed *passed, const char *place);
/* May rows of this look be placed behind all that passed? It is of a server that a witness is of,
 * and was taken later. */
bool cdc_passed_in(const struct cdc_passed *passed, const struct cdc_snap *snap);
/* The same of an exact look, without any witness; last: the last one that passed. */
bool cdc_place_behind(const char *place, const struct cdc_tx *last);
/* A look was allowed: all that passed so far need not be asked for again. */
void cdc_passed_forget(struct cdc_passed *passed);

#endif
