/*
 * merge.h - partitions of many topics merged into one sequence by `__seq`, commit by commit.
 *
 * Pure: where records come from is behind struct kfk_lane_ops, so that tests script them.
 *
 * A lane is one partition. For a commit whose highest `__seq` is S, its rows are all rows with
 * `__seq` <= S below the lane's `top` that were not given before. The caller sets the tops first:
 * an offset below which all records of the commit lie, and up to which the transactions are
 * decided. A lane is done when its next record has a greater `__seq`, or is not below its top.
 *
 *     add lanes ──▶ set tops ──▶ begin(S) ──▶ next ... next ──▶ end ──▶ set tops ──▶ begin ...
 *
 * Order: `__seq`; of equal ones deletes first (a key change: the delete of the old key, then the
 * insert, whatever their partitions), then others, then messages. A partition's own order is kept.
 *   - Tombstones are skipped: the delete before them said it.
 *   - A range delete lies in every partition of its topic, and is given once.
 *   - The `t` of a sweep has an old `__seq`: it is given as soon as it is met.
 *   - Any other record below what was given before is another stream under the same name: refused.
 *
 * Memory: one record a lane. Threads: none.
 */
#ifndef KAFKA_MERGE_H
#define KAFKA_MERGE_H

#include "cdc/change.h"
#include "cdc/feed.h"

/* A record as a lane gives it; valid until the next call for that lane. */
struct kfk_item {
    int64_t offset;
    bool tombstone; /* no value: nothing below is set */
    char op;
    const uint8_t *seq; /* CDC_SEQ_LEN bytes */
    const char *table;  /* schema.name */
    struct cdc_feed_row row;
};

struct kfk_lane_ops {
    /* From now on records from that offset on are wanted: begins to fetch, does not wait. */
    int (*start)(void *arg, size_t lane, int64_t from, struct cdc_error *err);
    /*
     * The next record. CDC_END: none at present; ret->offset is where the lane stands, markers and
     * aborted records passed. Waits until there is either. CDC_FAIL otherwise.
     */
    int (*next)(void *arg, size_t lane, struct kfk_item *ret, struct cdc_error *err);
    /* Nothing is wanted of the lane until it is started again. */
    void (*stop)(void *arg, size_t lane);
};

struct kfk_lane {
    int64_t pos; /* all records before it were given, or passed over */
    int64_t top;
    /* Records below this offset with such a __seq or a smaller one were given before. */
    int64_t past;
    char past_seq[CDC_SEQ_LEN + 1];
    bool started; /* records are being fetched */
    bool held;    /* `item` is the record at which it stands */
    struct kfk_item item;
};

struct kfk_merge {
    const struct kfk_lane_ops *ops;
    void *arg;
    struct kfk_lane *lanes;
    size_t n, cap;
    size_t *heap; /* indexes of lanes; the first is to be given next */
    size_t n_heap;
    char seq[CDC_SEQ_LEN + 1];   /* of this commit */
    char floor[CDC_SEQ_LEN + 1]; /* of the one before; "": none */
    bool open;                   /* a commit was begun and was not read to its end */
    bool primed;                 /* the lanes' first records are in the heap */
    bool moved;                  /* the top of the heap was given and must go on first */
    struct cdc_map ranges;       /* table -> __seq of the `t` given last */
};

void kfk_merge_init(struct kfk_merge *merge, const struct kfk_lane_ops *ops, void *arg);
void kfk_merge_done(struct kfk_merge *merge);
/* A lane that begins at that offset; its index is its number in order. */
CDC_CHECK int kfk_merge_add(struct kfk_merge *merge, int64_t pos, struct cdc_error *err);
/* Does the lane stand at a record of a later commit? */
bool kfk_lane_later(const struct kfk_merge *merge, const struct kfk_lane *lane);
/* Ends a commit: what was not read of it will not be given. Also where none is open. */
void kfk_merge_end(struct kfk_merge *merge);
/* Begins a commit. None is open. */
void kfk_merge_begin(struct kfk_merge *merge, const char *seq);
/* CDC_END: the commit has no more. */
CDC_CHECK int kfk_merge_next(struct kfk_merge *merge, struct cdc_feed_row *ret,
                             const char **ret_table, struct cdc_error *err);

#endif
