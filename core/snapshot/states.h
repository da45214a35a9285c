/*
 * states.h - how far the copy of one table has come, as the checkpoint keeps it.
 *
 *   copy/<schema>.<table>   {"state":"copying|done|failed","generation":g,"incarnation":i,
 *                            "began":"<place>","rows":n,"ranges":[[from|null,to|null],...],
 *                            "shape":"<8 hex>","asked":true,"only":true,
 *                            "end":"<place>","ended":us,"why":text}
 *
 * A table is a line of *pieces* that meet, from open to open; each is still to be read, being read,
 * or done. Bounds are texts of the source that nobody else can compare: pieces stay in order
 * because each is cut out of the one before it. Neighbours of one kind become one again, so that
 * the line stays short. `ranges` are the done ones, in order, left out where they would mean
 * nothing in another look.
 *
 * Ownership: a state owns all it points to. Pure; no threads.
 */
#ifndef CDC_SNAPSHOT_STATES_H
#define CDC_SNAPSHOT_STATES_H

#include "cdc/snap.h"

enum cdc_piece_kind { CDC_PIECE_TODO, CDC_PIECE_BUSY, CDC_PIECE_DONE };

struct cdc_piece {
    enum cdc_piece_kind kind;
    char *from, *to; /* NULL: open */
};

enum cdc_copy_kind { CDC_COPY_NONE, CDC_COPY_COPYING, CDC_COPY_DONE, CDC_COPY_FAILED };

struct cdc_copy_state {
    enum cdc_copy_kind kind;
    uint32_t generation;           /* from 1; 0: never copied */
    uint32_t incarnation;          /* in which it began */
    char began[CDC_PLACE_LEN + 1]; /* place where it began; "": not yet */
    char shape[9];                 /* of the columns that its rows have; "": not known */
    bool asked;                    /* by a command: whatever the rule says */
    bool only;                     /* DONE: its changes are not written any more */
    uint64_t rows;                 /* of finished pieces */
    char end[CDC_PLACE_LEN + 1];   /* no look that was read contains this place; "": not known */
    int64_t end_us;                /* DONE: when that was, by our clock */
    char *why;                     /* FAILED: why, and what to do; else NULL */
    struct cdc_piece *pieces;
    size_t n, cap;
};

void cdc_copy_state_init(struct cdc_copy_state *st);
void cdc_copy_state_done(struct cdc_copy_state *st);

/* Everything is to be read, as generation g. CDC_FAIL: no memory. */
CDC_CHECK int cdc_copy_restart(struct cdc_copy_state *st, uint32_t generation);
/* All is to be read again, in the same generation: pieces mean nothing any more. */
CDC_CHECK int cdc_copy_whole(struct cdc_copy_state *st);
/*
 * The rows of a generation are of one table with one set of columns. ALTER TABLE ... TYPE writes
 * rows anew and a table of the same name is another one, and no log has either: what was read
 * before is not what is there now. The same if other rows are wanted (`where`). True: the table is
 * not what it was, its copy is to begin anew.
 */
bool cdc_copy_shape(struct cdc_copy_state *st, const struct cdc_table *tab);
/* What is being read is to be read again. */
void cdc_copy_give_up(struct cdc_copy_state *st);

/* The first piece to be read, or -1. Its bounds are lent. */
int cdc_copy_next(const struct cdc_copy_state *st);
/* Takes the piece, or what of it lies before `cut` (NULL: all). CDC_FAIL: no memory. */
CDC_CHECK int cdc_copy_take(struct cdc_copy_state *st, int at, const char *cut);
/* A piece that was taken, by its bounds, was read (done) or is to be read again. */
void cdc_copy_settle(struct cdc_copy_state *st, const char *from, const char *to, bool done);
/* Nothing is to be read or being read? */
bool cdc_copy_complete(const struct cdc_copy_state *st);

/* ranges: write them? CDC_FAIL: no memory. */
CDC_CHECK int cdc_copy_json(const struct cdc_copy_state *st, bool ranges, struct cdc_buf *ret);
/* CDC_FAIL (CDC_FATAL): the text is damaged. An initialised *ret is overwritten. */
CDC_CHECK int cdc_copy_parse(const char *key, struct cdc_slice json, struct cdc_copy_state *ret,
                             struct cdc_error *err);
const char *cdc_copy_kind_name(enum cdc_copy_kind kind);

/*
 * The end of a repeat: every row of the table with a smaller sequence number than where it began is
 * gone. Added to an empty batch.
 */
CDC_CHECK int cdc_copy_sweep(const struct cdc_copy_state *st, struct cdc_table *tab,
                             int64_t commit_us, struct cdc_batch *batch);

#endif
