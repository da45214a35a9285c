/*
 * replica.h - keeps a SQLite database equal to the source, from what a sink has committed.
 *
 * The rule is the one every consumer may use (DESIGN.md, promise P8): greater `__seq` wins per key,
 * and a range delete `t` means that every row of its table with a smaller `__seq` is gone. What the
 * database looks like is told in docs/replica.md.
 *
 * Model: open, then for each commit of the feed: apply row by row, in the feed's order, and done.
 * The rows and the position (the commit's number and token) are in one SQLite transaction; several
 * commits may share one. Killed at any instant, the database is as of some earlier commit, and goes
 * on from it. A commit may hold many transactions of the source, or a part of one.
 *
 * Not for: reading the feed's files (feed.h), other databases.
 * Ownership: the caller owns the replica; rows are borrowed for the call.
 * Threads: one. Failure: after CDC_FAIL only close may follow; nothing of the open transaction
 * stays.
 */
#ifndef CDC_REPLICA_REPLICA_H
#define CDC_REPLICA_REPLICA_H

#include "cdc/feed.h"
#include <signal.h>

struct cdc_replica;

/*
 * Opens or creates the database file. `feed` names the pipeline it belongs to: a database of
 * another one is refused (CDC_OPERATOR), as is a SQLite file that is not a replica.
 */
CDC_CHECK int cdc_replica_open(const char *path, const char *feed, struct cdc_replica **ret,
                               struct cdc_error *err);
/* One in a temporary file without a name (TMPDIR), which is gone with the object or the process. */
CDC_CHECK int cdc_replica_temporary(const char *feed, struct cdc_replica **ret,
                                    struct cdc_error *err);
void cdc_replica_close(struct cdc_replica *rep); /* NULL is fine; an open transaction vanishes */

/* Number of the last commit that is durably in the database; 0: none yet. */
uint64_t cdc_replica_number(const struct cdc_replica *rep);

/* Applies one row; opens a transaction if none is open. */
CDC_CHECK int cdc_replica_apply(struct cdc_replica *rep, const struct cdc_feed_row *row,
                                struct cdc_error *err);
/* The commit's rows are all applied. Ends the transaction once it holds `max_rows`; 0: at once. */
CDC_CHECK int cdc_replica_done(struct cdc_replica *rep, const struct cdc_feed_commit *commit,
                               uint64_t max_rows, struct cdc_error *err);
/* Ends the open transaction, if there is one. */
CDC_CHECK int cdc_replica_flush(struct cdc_replica *rep, struct cdc_error *err);

struct cdc_replica_options {
    const char *path;
    bool until_caught_up; /* end as soon as the feed has nothing more */
    uint64_t max_rows;    /* rows in one SQLite transaction, about; 0: a default */
    /* Non-zero: end at the next commit; or in the middle of a large one, as of the last durable. */
    const volatile sig_atomic_t *stop; /* may be NULL */
};

/* What a run did (durably), for the line that the command prints. */
struct cdc_replica_result {
    uint64_t number, commits, rows;
};

/*
 * Opens database and feed and applies all there is, then waits for more (looks every 200 ms).
 * Failures of the class CDC_RETRY or CDC_REWIND are logged and tried again from the database's own
 * position, after 0.1 s to 30 s, for ever. CDC_OK: caught up or stopped.
 */
CDC_CHECK int cdc_replica_run(const struct cdc_feed_ops *ops, const struct cdc_config *cfg,
                              const struct cdc_replica_options *opt, struct cdc_replica_result *ret,
                              struct cdc_error *err);

#endif
