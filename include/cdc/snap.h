/*
 * snap.h - copying tables while the log streams on: what a source connector gives for it.
 *
 * The engine (core/snapshot) decides what is copied when, and puts the rows into the one queue of
 * batches. A source takes *looks* at its data, tells which transactions a look contains, cuts
 * tables into ranges and reads them. The rule that everything rests on (DESIGN.md part 8): rows
 * read in a look may take a place in the queue only if the look contains every transaction that was
 * put there before. Changes that come behind the rows and are already contained do no harm.
 *
 *     open ──▶ take ──▶ begin ──▶ read ... read (CDC_END) ──▶ begin ... ──▶ take ... ──▶ close
 *                └─▶ table, plan
 *
 * What it costs at the source: a session per cdc_snap; while a look is held, old row versions;
 * while a range is read, the table cannot be altered, and a source ends a range early (CDC_AGAIN)
 * when somebody waits to alter it. Nothing is written there.
 *
 * Threads: an instance belongs to one worker thread at a time; several exist at once, beside the
 * source itself, which streams on its own thread. So an instance uses of its source only what is
 * constant while that is open. Failure: after CDC_FAIL only close may follow. Ownership: as said.
 */
#ifndef CDC_SNAP_H
#define CDC_SNAP_H

#include <stdatomic.h>

#include "cdc/batch.h"
#include "cdc/config.h"

struct cdc_source;

enum cdc_look {
    /*
     * At the place where the stream of a new pipeline begins; one for all instances, until
     * cdc_source_ops.copied. CDC_END: there is none (a restart, or it was lost).
     */
    CDC_LOOK_START,
    /* Placed in the log: snap->place says what it contains. May wait for open transactions. */
    CDC_LOOK_PLACED,
    /* As of now, cheap; `sees` tells what it contains. CDC_END: this server has no such look. */
    CDC_LOOK_NOW,
};

/*
 * A piece of a table: texts that only the source understands (PostgreSQL: JSON of key values).
 * p == NULL: open at that end. [from, to): a row belongs to exactly one of two pieces that meet.
 */
struct cdc_range {
    struct cdc_slice from, to;
};

/* Where rows of a copy stand: `__seq` and times are made of it. Filled in by the engine. */
struct cdc_copy_place {
    struct cdc_tx tx; /* the last transaction put into the queue before them */
    uint64_t ordinal; /* CDC_READ_ORDINAL(generation) */
};

struct cdc_copy_name {
    const char *schema, *name;
};

struct cdc_copy_table {
    struct cdc_table *tab; /* as the stream would describe it now; a reference for the caller */
    uint64_t rows, bytes;  /* the source's estimates; 0: not known */
    bool resumable;        /* ranges of this look mean the same in any later look */
    bool divisible;        /* can be cut at all in this look */
};

/* Every instance starts with this member. */
struct cdc_snap {
    const struct cdc_snap_ops *ops;
    /*
     * Of a look START or PLACED: it contains every transaction with a smaller place. It may contain
     * more (MySQL without a lock); rows are then marked CDC_OVERLAP, as those of a look NOW are.
     */
    char place[CDC_PLACE_LEN + 1];
    /* Of any look: every transaction that it contains has a smaller place than this. */
    char end[CDC_PLACE_LEN + 1];
    const atomic_bool *stop; /* set by the engine behind open: every wait of take, table, plan and
                                begin ends soon once it is true, with any failure */
};

struct cdc_snap_ops {
    /* Connects. src stays open longer than the instance. */
    int (*open)(struct cdc_source *src, struct cdc_snap **ret, struct cdc_error *err);

    /*
     * Takes a look, ending the one before. PLACED gives up at deadline_us (monotonic; CDC_AGAIN,
     * err says for whom it waited).
     */
    int (*take)(struct cdc_snap *snap, enum cdc_look look, int64_t deadline_us,
                struct cdc_error *err);

    /* Does the look contain this transaction, which the stream has given? Does not block. */
    bool (*sees)(const struct cdc_snap *snap, const struct cdc_tx *tx);

    /*
     * The tables that are captured and whose changes the stream already has (PostgreSQL: those in
     * the publication), in the arena; without a look. A table that comes later is there next time.
     */
    int (*list)(struct cdc_snap *snap, struct cdc_arena *arena, struct cdc_copy_name **ret,
                size_t *ret_n, struct cdc_error *err);

    /* CDC_END: there is no such table, or it is not captured. CDC_FAIL CDC_OPERATOR: no right. */
    int (*table)(struct cdc_snap *snap, const char *schema, const char *name,
                 struct cdc_copy_table *ret, struct cdc_error *err);

    /*
     * Where to cut `rest`, so that what lies before holds about max_bytes: appended to ret.
     * CDC_END: it need not be, or cannot be, cut. CDC_AGAIN: it was altered meanwhile, as begin.
     */
    int (*plan)(struct cdc_snap *snap, const struct cdc_copy_table *tab,
                const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                struct cdc_error *err);

    /*
     * Makes a range ready to be read. *at and *range are copied. CDC_AGAIN: the table was altered,
     * rewritten or dropped since the look, or somebody waits to alter it: it needs another look
     * (err says why).
     */
    int (*begin)(struct cdc_snap *snap, const struct cdc_copy_table *tab,
                 const struct cdc_range *range, const struct cdc_copy_place *at,
                 struct cdc_error *err);

    /*
     * Appends rows as changes CDC_OP_READ to an empty batch until it is full. CDC_END: the range
     * has no more (the batch may hold its last rows). CDC_AGAIN: as begin; rows given so far stand
     * for nothing but themselves. Blocks as long as the source takes; `*stop` is looked at.
     */
    int (*read)(struct cdc_snap *snap, struct cdc_batch *batch, const atomic_bool *stop,
                struct cdc_error *err);

    void (*close)(struct cdc_snap *snap); /* may be half built, not NULL */
};

#endif
