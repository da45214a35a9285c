/*
 * pipeline.h - runs one pipeline: source, queue, sink, checkpoint, until told to stop.
 *
 * The model. A *session* is: sink->recover gives the checkpoint, source->open continues there, two
 * threads move batches. Any failure ends the session; what is in flight is dropped, and the next
 * session starts by the same two calls: that is the rewind, the only recovery there is, and the
 * same code as a start after kill -9. CDC_RETRY failures are repeated for ever, 0.1 s to 30 s
 * apart; all others end the run with the error.
 *
 * The source thread never blocks on a full queue without serving its connection. Only the sink
 * thread commits, and only a committed position reaches source->ack.
 *
 * Signals: the first SIGTERM or SIGINT stops reading, lets the open transaction end (10 s at most),
 * commits what is complete, acknowledges it and returns CDC_OK; the second ends the process at
 * once. SIGHUP has the configuration read again, if there is somebody who reads it (`reload`): the
 * session then ends at the next place for a commit, in good order, and the next one begins with the
 * new settings. Call it once, from the main thread, before other threads exist, with these three
 * signals blocked: one that comes before it waits is not lost.
 */
#ifndef CDC_PIPELINE_H
#define CDC_PIPELINE_H

#include "config/settings.h"

struct cdc_pipeline_options {
    bool until_caught_up; /* end when all that was committed at the start is durable in the sink */
    int64_t backoff_min_us; /* 0: 100 ms; tests make it shorter */
    int max_failures;       /* give up after so many CDC_RETRY failures in a row; 0: never */
    /*
     * The configuration as it is now, in place of `now`; *ret is the pipeline's to free. CDC_AGAIN:
     * it is the same; a session begins anew all the same, which looks at the source afresh.
     * CDC_END: what is new needs no session (*ret is given too). CDC_FAIL: refused; `now` stays. On
     * the main thread. NULL: cannot.
     */
    int (*reload)(const struct cdc_settings *now, struct cdc_settings **ret, struct cdc_error *err);
};

/* What happened, for the closing log line, tests and benchmarks. May be NULL. */
struct cdc_pipeline_stats {
    uint64_t rows, batches, commits, sessions;
};

CDC_CHECK int cdc_pipeline_run(const struct cdc_settings *set,
                               const struct cdc_pipeline_options *opt,
                               struct cdc_pipeline_stats *ret_stats, struct cdc_error *err);

#endif
