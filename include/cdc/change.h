/*
 * change.h - one event of a source's log: what the connectors make and the envelopes read.
 *
 * A change is one row event, a range delete, a logical message or a mark. It points into the arena
 * of the batch that holds it. Positions inside a transaction: `ordinal` numbers the *raw* rows of
 * the transaction from 1, before capture rules, so that a replay counts alike whatever the
 * configuration says. All range deletes of one TRUNCATE share one ordinal; logical messages are not
 * counted and carry the ordinal of the row before them.
 *
 * Sequence number (`__seq`, the only merge order): incarnation (8 hex) - place (24 hex) - ordinal
 * (12 hex); see DESIGN.md part 4. A source gives place and ordinal, the engine the incarnation.
 */
#ifndef CDC_CHANGE_H
#define CDC_CHANGE_H

#include "cdc/table.h"

enum cdc_op {
    CDC_OP_CREATE = 'c',
    CDC_OP_UPDATE = 'u',
    CDC_OP_DELETE = 'd',
    CDC_OP_READ = 'r',    /* a row read by a snapshot */
    CDC_OP_RANGE = 't',   /* every row of the table with a smaller sequence number is gone */
    CDC_OP_MESSAGE = 'm', /* logical message */
    CDC_OP_GAP = 'g',     /* not all of the table's changes here are in the log (see below) */
};

enum {
    CDC_KEY_MOVED = 1u << 0, /* u: before and after differ in the key; before holds the old key */
    CDC_OVERLAP = 1u << 1,   /* r: later changes may already be contained */
    CDC_TX_LAST = 1u << 2,   /* the last change of its transaction */
    CDC_INFERRED = 1u << 3, /* t: not a TRUNCATE of the source but the end of a repeated snapshot */
};

#define CDC_PLACE_LEN 24
#define CDC_SEQ_LEN   46 /* 8 + 1 + 24 + 1 + 12 */

/* One transaction of the source; in the arena of every batch that has changes of it. */
struct cdc_tx {
    struct cdc_slice id;       /* text for `__tx`; p == NULL: none */
    char place[CDC_PLACE_LEN]; /* 24 lower-case hex digits that sort like the log */
    int64_t commit_us;         /* source's commit time, microseconds since 1970 UTC */
};

/*
 * CDC_OP_GAP is for the engine alone, no sink sees it: the table gets a `gap` in its state, and is
 * copied anew and swept (unless its rule says `snapshot: never`). It has no ordinal of its own and
 * is not counted as a row; its tx is that of the rows that are missing. The source has logged why.
 */
struct cdc_change {
    uint8_t op, flags;
    struct cdc_table *table; /* exact version; the batch holds a reference */
    const struct cdc_tx *tx;
    uint64_t ordinal;
    /*
     * table->n values each, or NULL. `before`: the old row as far as the source sent it, the rest
     * ABSENT (d always has the key; u has it when the source sent one). `after`: the new row (c, u,
     * r); UNCHANGED only where neither the old row nor another read could tell the value.
     */
    const struct cdc_value *before, *after;
};

#endif
