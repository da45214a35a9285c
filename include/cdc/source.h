/*
 * source.h - what a source connector must give, and when the engine calls it.
 *
 * A source reads one database's log from a position and turns it into batches of changes. It holds
 * nothing that must survive: after `close` (or kill -9) a new one is opened with the checkpoint
 * that the sink committed, and emits exactly what comes after it.
 *
 *        open ──▶ poll, poll, ... ◀── ack after every commit ──▶ close
 *                   │ queue full: keepalive, keepalive, ...
 *
 * First start: the checkpoint is empty. A source that must create something at the server (a slot)
 * first emits a batch with a `creating` key and no position, creates only after the ack of it, then
 * emits its first position and deletes `creating`. So no crash leaves anything unexplained.
 *
 * Rewind: whatever fails after reading ends in close, sink->recover, open. A source never retries
 * by itself beyond one call; it says what to do in err->action.
 *
 * Threads: every call but `wake` comes from the source thread. Blocking: as said at each call.
 * Ownership: the ops are const and static; the instance belongs to the engine from open to close.
 */
#ifndef CDC_SOURCE_H
#define CDC_SOURCE_H

#include "cdc/batch.h"
#include "cdc/config.h"
#include "cdc/snap.h"
#include "cdc/view.h"

/* Every instance starts with this member. */
struct cdc_source {
    const struct cdc_source_ops *ops;
};

/* What a look at the source's log tells. Texts are for people, and "" where nothing is known. */
struct cdc_source_status {
    char end[64];        /* where the log ends */
    uint64_t end_bytes;  /* of log behind the last position that was handed over */
    uint64_t held_bytes; /* of log that the server keeps because of us */
    char holder[256];    /* who keeps it from releasing more: a session, its user, state and age */
    char slot[128];      /* what the server says of the place it keeps for us */
};

struct cdc_source_ops {
    const char *name; /* as in `source: {type: name}` */
    const char *doc;  /* one sentence */
    const struct cdc_option *options;

    /*
     * Preflight for `check`: one finding for each thing it looks at. Connects, changes nothing, may
     * block for some seconds. CDC_FAIL only where it cannot even look (err); findings are no
     * failure.
     */
    int (*check)(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);

    /*
     * Connects and makes ready to emit what follows the checkpoint. `checkpoint` is lent for the
     * call only. Refuses (CDC_OPERATOR) what would be a gap: other server, position beyond the
     * server's end or no longer there, slot missing. May block for a connect timeout (10 s). *ret
     * is written only with CDC_OK.
     */
    int (*open)(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                struct cdc_source **ret, struct cdc_error *err);

    /*
     * Fills an empty batch with what is there: until cdc_batch_full, or the wire runs dry, or a
     * place for a commit is reached and nothing more has arrived. Waits for a first change at most
     * until deadline_us (monotonic clock). Serves the connection as it goes.
     * CDC_OK: the batch holds changes or a delta (a position alone is fine). CDC_AGAIN: nothing
     * until the deadline, or woken. CDC_END: the source has an end and it is reached (cut is
     * CDC_CUT_END). CDC_FAIL: the batch is dropped; nothing of it may be counted as emitted.
     */
    int (*poll)(struct cdc_source *src, struct cdc_batch *batch, int64_t deadline_us,
                struct cdc_error *err);

    /*
     * The queue is full: answer the server, but do not read rows. Called in slices of about 100 ms.
     * Must not block longer than 2 s. CDC_FAIL ends the session (the server wants to stop, say).
     */
    int (*keepalive)(struct cdc_source *src, struct cdc_error *err);

    /*
     * `committed` is the position that the sink has made durable (p == NULL: a commit was made, and
     * the checkpoint holds no position yet). Never called with anything else: this is the only
     * thing that may release the source's log. The checkpoint's position is also told once right
     * after open. Does not block; what it sends may go out with a later poll.
     */
    int (*ack)(struct cdc_source *src, struct cdc_slice committed, struct cdc_error *err);

    /*
     * Looks where the log ends and what of it the server keeps for us, for metrics and
     * `source.max_lag`. Every 10 s, also while the queue is full; blocks 2 s at most. Never holds a
     * statement's text or a row's value. CDC_AGAIN: not now. CDC_FAIL: it could not be told, which
     * ends nothing. May be NULL: cannot.
     */
    int (*look)(struct cdc_source *src, struct cdc_source_status *ret, struct cdc_error *err);

    /*
     * `drop`: removes what the source created at the server (slot, publication), telling each step
     * in the report. Not on an open instance. May be NULL: nothing is ever created.
     */
    int (*drop)(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);

    /*
     * `init`: looks at the database of `url` and appends a complete, commented configuration to
     * ret: tables with sizes, keys and identities, and for columns that look like updated_at,
     * deleted_at or personal data a proposal each, as comments. Never the password: it is written
     * as
     * ${env:PGPASSWORD} or the like. NULL: this source cannot. CDC_END: the URL is not of its kind
     * (told by its scheme alone, nothing was connected), so the next source is asked.
     */
    int (*propose)(const char *url, struct cdc_buf *ret, struct cdc_error *err);

    /* Ends a waiting poll soon. Any thread; never blocks. */
    void (*wake)(struct cdc_source *src);

    /* Sends a last status if one is due, releases everything. src may be half built, not NULL. */
    void (*close)(struct cdc_source *src);

    const struct cdc_view_ops *view; /* looks at the tables at one place; NULL: cannot */

    /*
     * Copying (cdc/snap.h); all three NULL: cannot. `last`: the last transaction that was handed
     * over, or, before any, one with the place right below everything that will come; called
     * between polls, with no transaction open. `copied`: the look CDC_LOOK_START is not needed any
     * more, and every instance of it is closed. Both on the source thread, neither blocks.
     */
    const struct cdc_snap_ops *snap;
    int (*last)(struct cdc_source *src, struct cdc_tx *ret, struct cdc_error *err);
    void (*copied)(struct cdc_source *src);
};

/* All sources, by connectors/sources.def; NULL if there is none of that name. */
const struct cdc_source_ops *cdc_source_find(const char *name);
const struct cdc_source_ops *const *cdc_sources(void); /* NULL-terminated */

#endif
