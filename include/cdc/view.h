/*
 * view.h - a look at a source's tables as they were at exactly one place of its log.
 *
 * For `verify`, and the ground that snapshots stand on: the same opening and the same reading. A
 * view changes nothing at the source. What it costs there: while it is open the source keeps old
 * row versions; while a table is read, the table cannot be altered.
 *
 *     open ──▶ covers, covers, ... ──▶ begin ──▶ read ... read (CDC_END) ──▶ begin ... ──▶ close
 *
 * Exactness: the rows of all tables are those that the transactions with a place smaller than
 * `place` left, no more and no fewer; never found by comparing log positions with rows.
 *
 * A table is read in the order in which that is cheapest for the source, which is the order of the
 * key only by chance: no index is needed, no sort is done, and bytewise order (which the source's
 * indexes may not have) is not asked for. Each row comes once.
 *
 * Ownership: the view belongs to its opener; tables are lent until close (cdc_table_ref keeps one).
 * Threads: one at a time. Failure: after CDC_FAIL only close may follow, but for `covers`.
 */
#ifndef CDC_VIEW_H
#define CDC_VIEW_H

#include <signal.h>

#include "cdc/batch.h"
#include "cdc/config.h"

/* `ordinal` of a row that a snapshot reads: behind every row of the log at its place. */
#define CDC_READ_ORDINAL(generation) (UINT64_C(0xf) << 44 | (uint64_t)(generation))

struct cdc_view {
    const struct cdc_view_ops *ops;
    char place[CDC_PLACE_LEN + 1]; /* contained: exactly the transactions with a smaller place */
    const char *at;                /* the same for people, as the source writes positions */
    struct cdc_table **tables;     /* captured ones, by schema and name; `plan` is the opener's */
    size_t n;
};

struct cdc_view_options {
    const struct cdc_map *checkpoint;  /* as committed: the source's fingerprint, table versions */
    const char *table;                 /* schema.name: this one alone; NULL: every captured one */
    int64_t deadline_us;               /* give up opening then (monotonic clock) */
    const volatile sig_atomic_t *stop; /* non-zero: give up soon; NULL: never */
};

struct cdc_view_ops {
    /*
     * CDC_OPERATOR: not the server of the checkpoint, rights missing, a table that cannot be read.
     * CDC_RETRY: not reachable, or not open at the deadline (PostgreSQL waits for every transaction
     * that is open then, and logs whose it is). May block until the deadline. `opt` is lent.
     */
    int (*open)(const struct cdc_config *cfg, const struct cdc_view_options *opt,
                struct cdc_view **ret, struct cdc_error *err);

    /*
     * Does a sink with this checkpoint have everything that the view contains? CDC_OK: yes.
     * CDC_AGAIN: not yet. CDC_FAIL: it cannot come to that (another server). Does not block.
     */
    int (*covers)(const struct cdc_view *view, const struct cdc_map *checkpoint,
                  struct cdc_error *err);

    /*
     * Makes tables[table] ready to be read from its start, and ends the one before. CDC_AGAIN:
     * this table cannot be read at this place (altered or rewritten since, or somebody waits to
     * alter it); err says why, other tables may be.
     */
    int (*begin)(struct cdc_view *view, size_t table, struct cdc_error *err);

    /*
     * Appends rows as changes CDC_OP_READ to an empty batch, at most max_rows, fewer once it is
     * full. Their transaction is the last place that the view contains, their ordinal
     * CDC_READ_ORDINAL(1). CDC_END: no more rows. CDC_AGAIN: as begin, in the middle: the rows so
     * far stand for nothing. Blocks as long as the source takes; `stop` as for open.
     */
    int (*read)(struct cdc_view *view, size_t max_rows, struct cdc_batch *batch,
                struct cdc_error *err);

    void (*close)(struct cdc_view *view); /* may be half built, not NULL */
};

#endif
