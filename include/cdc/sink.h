/*
 * sink.h - what a sink connector must give, and when the engine calls it.
 *
 * A sink makes changes and the checkpoint durable in one atomic step. It is also the only place
 * that remembers: there is no state directory.
 *
 *     open ──▶ recover ──▶ write ... commit ──▶ write ... commit ──▶ close
 *                 ▲                                  │ any failure
 *                 └───────────── rewind ─────────────┘
 *
 * recover fences every other instance *first*, drops what was written and not committed (by this or
 * any earlier instance), and only then reads the checkpoint. It is called after open and after
 * every failure; the engine changes nothing until it returned CDC_OK.
 *
 * A sink never retries a part of a transaction, and commit returns CDC_OK only for durable and
 * visible. After CDC_FAIL from write or commit only recover or close may follow; whether that
 * commit took place is found out by recover, from the sink's own durable state.
 *
 * Threads: every call but `wake` comes from one thread at a time (the sink thread, or the engine's
 * before it starts). Ownership: the instance belongs to the engine from open to close.
 */
#ifndef CDC_SINK_H
#define CDC_SINK_H

#include "cdc/batch.h"
#include "cdc/config.h"
#include "cdc/feed.h"

enum {
    CDC_SINK_TX_ANY_SIZE = 1u << 0, /* a transaction of any size in one commit: never cut */
    CDC_SINK_DURABLE = 1u << 1,     /* the checkpoint survives the process (null, console: not) */
    CDC_SINK_PLANS = 1u << 2,       /* write uses table->plan; without it no schema is made */
    CDC_SINK_KEYS = 1u << 3,        /* ... and its keys: they get a schema and an id of their own */
};

/*
 * When the engine commits, and what the sink holds; the sink says what suits it (its options).
 * Inside a transaction of the source (CDC_CUT_TX) only CDC_FULL, max_rows and cut_us count.
 */
struct cdc_commit_policy {
    bool eager;          /* as soon as nothing waits in the queue ... */
    uint64_t eager_rows; /* ... no more rows than these wait (needs interval_us); 0: however many */
    int64_t pace_us;     /* ... and the last commit is this long ago */
    int64_t interval_us; /* at the latest so long after the first row not yet committed; 0: never */
    int64_t cut_us;      /* the same inside a transaction of the source; 0: never */
    uint64_t max_rows;   /* rows not yet committed; 0: no bound */
    int64_t idle_us;     /* a position alone, this long after the last commit */
    uint64_t idle_bytes; /* or after this much of the source's log passed by */
    uint64_t buffer_bytes; /* the sink's own buffers: taken off the pipeline's memory budget */
};

enum cdc_commit_what {
    CDC_COMMIT_ALL,  /* the rows written since the last commit, and the delta */
    CDC_COMMIT_KEYS, /* the delta alone; the rows written stay pending */
};

/* Every instance starts with this member. */
struct cdc_sink {
    const struct cdc_sink_ops *ops;
};

struct cdc_sink_ops {
    const char *name; /* as in `sink: {type: name}` */
    const char *doc;  /* one sentence */
    const struct cdc_option *options;
    unsigned caps; /* CDC_SINK_... */

    /* As cdc_source_ops.check. */
    int (*check)(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);

    /* Makes an instance; touches nothing that another instance could notice. */
    int (*open)(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err);

    /* Fences, drops, reads (above). *ret is cleared and filled. May block for some seconds. */
    int (*recover)(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err);

    /* Constant from open on. */
    void (*policy)(const struct cdc_sink *snk, struct cdc_commit_policy *ret);

    /*
     * The name of the stream (a topic, say) that the table's records go to: the subjects of its
     * schemas are made of it. NULL: `<pipeline>.<schema>.<table>`. CDC_FAIL (CDC_CONFIG): there can
     * be no such name. Any time after open; tab may be of a view (cdc/view.h). Without the suffix
     * that cdc_stream_suffix puts behind it.
     */
    int (*stream)(const struct cdc_sink *snk, const struct cdc_table *tab, struct cdc_buf *ret,
                  struct cdc_error *err);

    /*
     * Takes the batch's changes, in order; encodes them by their tables' plans. It borrows the
     * batch for the call and takes a reference if it needs it longer. CDC_FULL: taken, and the sink
     * wants a commit at the next cut. Memory of its own stays within the sink's bound. May block on
     * I/O.
     */
    int (*write)(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err);

    /*
     * One atomic step: all rows written since the last commit become visible, delta's keys change.
     * With CDC_COMMIT_KEYS the keys alone; a sink that cannot do so while rows are pending returns
     * CDC_AGAIN, and the keys go with the rows. delta->items may be empty.
     */
    int (*commit)(struct cdc_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
                  struct cdc_error *err);

    /*
     * Ends a blocked recover, write or commit soon, which then fails. Any thread; may be NULL. The
     * engine calls it some seconds after it was told to stop.
     */
    void (*wake)(struct cdc_sink *snk);

    /* Rows not committed vanish. snk may be half built, not NULL. */
    void (*close)(struct cdc_sink *snk);

    const struct cdc_feed_ops *feed; /* reads back what was committed; NULL: cannot */
};

/*
 * `on_incompatible: new_topic`: the table's records go to another stream, whose name is the one
 * that `stream` gives with this behind it: ".v2", ".v3"; nothing as long as tab->stream is 0. In
 * write, a sink with streams puts it behind the name itself.
 */
static inline void cdc_stream_suffix(const struct cdc_table *tab, struct cdc_buf *ret)
{
    if (tab->stream)
        cdc_buf_printf(ret, ".v%u", tab->stream);
}

/* All sinks, by connectors/sinks.def; NULL if there is none of that name. */
const struct cdc_sink_ops *cdc_sink_find(const char *name);
const struct cdc_sink_ops *const *cdc_sinks(void); /* NULL-terminated */

#endif
