/*
 * feed.h - reading back what a sink has committed: for `cat`, `replica`, `fsck`.
 *
 * A feed is a sequence of commits, each a sequence of rows of the `row` envelope in `__seq` order.
 * Nothing uncommitted is ever seen. A feed takes no lock and disturbs no writer.
 *
 *     open ──▶ commit ──▶ row ... row (CDC_END) ──▶ commit ... ──▶ close
 *
 * A reader that comes back goes on by the token it kept with what it applied. The feed then knows
 * whether it is still the one that was read: one that was restored or made anew is refused.
 *
 * Threads: one at a time. Ownership: as said at each call.
 */
#ifndef CDC_FEED_H
#define CDC_FEED_H

#include "cdc/avro.h"
#include "cdc/config.h"

/* Where to begin. All zero: at the start of what is there. */
struct cdc_feed_start {
    const char *token; /* of the last commit that was applied, or NULL */
    uint64_t after;    /* without a token: the first commit given has a greater number */
    /*
     * Begun at the start, the reader needs all that was ever captured: a feed that knows that its
     * beginning was removed (retention) refuses, CDC_OPERATOR.
     */
    bool whole;
};

struct cdc_feed_commit {
    uint64_t number;   /* grows by at least one with each commit */
    const char *token; /* where to go on after this commit; text that only the feed understands */
    const char *from;  /* the source's positions, for people; "" if unknown */
    const char *to;
    int64_t at_us;    /* when it was committed, by the writer's clock; 0 if unknown */
    size_t n_records; /* in all its files */
};

struct cdc_feed_row {
    const struct cdc_row_schema *schema; /* says the table, its columns and which are meta */
    const struct cdc_value *values;      /* schema->n; valid until the next call on the feed */
    /*
     * How the table's rule wants deletes to reach a replica: the writer keeps it beside the rows
     * (the lake: metadata key `cdc.deletes` of the file, soft | hard | append; soft where it is
     * missing), or the configuration says it.
     */
    enum cdc_deletes deletes;
};

/* One data file (or its like), for `cat --files` and `fsck`. */
struct cdc_feed_file {
    uint64_t commit;
    const char *table; /* schema.name */
    const char *path;  /* absolute, as an engine could open it */
    uint64_t bytes, records;
};

struct cdc_feed {
    const struct cdc_feed_ops *ops;
};

struct cdc_feed_ops {
    /*
     * Opens by a place on the command line (a folder, cfg NULL) or by a configuration (place NULL).
     * CDC_OPERATOR: not ours, not the one that the token comes from, or what was asked for is no
     * longer there. CDC_CONFIG: this feed cannot begin at a number. *start is lent.
     */
    int (*open)(const struct cdc_config *cfg, const char *place, const struct cdc_feed_start *start,
                struct cdc_feed **ret, struct cdc_error *err);

    /* Does this place look like one this feed can read? For `cat PATH`. Never fails. */
    bool (*knows)(const char *place);

    /*
     * Goes to the next commit, skipping rows not yet read. CDC_AGAIN: none yet (come again).
     * ret's strings live until the next call.
     */
    int (*commit)(struct cdc_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err);

    /*
     * A reader that is to stand exactly where another one does: from now on `commit` gives nothing
     * behind the commit that the token was given with, though there be more. The last one given has
     * that one's number, and then CDC_AGAIN comes, until a later token is named. Of such commits
     * the positions and the time may be unknown, and the checkpoint is not to be asked for.
     * CDC_OPERATOR: the token is not of what is read here, the feed stands beyond it already, or
     * what came behind it has taken something away (compaction). The slot may be NULL: every commit
     * is given by itself.
     */
    int (*until)(struct cdc_feed *feed, const char *token, struct cdc_error *err);

    /* The next row of this commit; `table` (schema.name) or NULL for all. CDC_END: no more. */
    int (*row)(struct cdc_feed *feed, const char *table, struct cdc_feed_row *ret,
               struct cdc_error *err);

    /* The next data file of this commit. CDC_END: no more. Independent of `row`. */
    int (*file)(struct cdc_feed *feed, struct cdc_feed_file *ret, struct cdc_error *err);

    /*
     * The checkpoint as of the commit given last (empty before the first). Only for a feed that was
     * opened at its start. Lent until the next call; never NULL. The slot may be NULL: cannot.
     */
    const struct cdc_map *(*checkpoint)(const struct cdc_feed *feed);

    /*
     * The reader of this name ([A-Za-z0-9_.-], the same at each start) has durably applied every
     * commit up to `number`, 0 none: what follows is kept for it. Best effort, and written at most
     * every few seconds unless it is the `last` call. The slot may be NULL: nothing is ever removed
     * by readers.
     */
    void (*applied)(struct cdc_feed *feed, const char *reader, uint64_t number, bool last);

    /*
     * `fsck`: reads everything from the start, checks hashes, counts, chain, positions and ids, and
     * reports each damage as CDC_BAD (a summary as CDC_PASS). CDC_FAIL only where it cannot look.
     */
    int (*fsck)(struct cdc_feed *feed, struct cdc_report *report, struct cdc_error *err);

    void (*close)(struct cdc_feed *feed);
};

#endif
