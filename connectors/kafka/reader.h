/*
 * reader.h - consumers of ours: no group, no position kept, each partition read by its number.
 *
 * Not for: subscribing. A reader serves recovery, the feed, fsck and check; it disturbs no writer
 * and needs no right on a group. Facts: kafka.md 1.1.
 *
 * Ownership: the opener's. Threads: one at a time; `woken` may be set by any.
 */
#ifndef KAFKA_READER_H
#define KAFKA_READER_H

#include "control.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

struct kfk_settings;

/* The last error event of an instance: init, metadata and reads only say "timed out". */
struct kfk_event {
    rd_kafka_resp_err_t code; /* 0: none */
    char text[256];
};

struct kfk_reader {
    rd_kafka_t *rk;
    const atomic_bool *woken; /* true: give up soon; may be NULL */
    struct kfk_event event;   /* filled by rd_kafka_poll and consume calls */
    const char *brokers;      /* for errors */
    int describe_ms;          /* as the settings */
    bool known;               /* the process was connected before: a refused login may mend */
};

/*
 * committed: nothing of open or aborted transactions is seen, and query_watermark_offsets gives the
 * last stable offset; otherwise everything, and the high watermark. CDC_CONFIG: properties that
 * librdkafka refuses. Does not connect.
 */
CDC_CHECK int kfk_reader_new(const struct kfk_settings *set, bool committed,
                             const atomic_bool *woken, struct kfk_reader **ret,
                             struct cdc_error *err);
void kfk_reader_free(struct kfk_reader *rd); /* NULL is fine */

/*
 * Partitions of a topic. CDC_END: there is no such topic. CDC_FAIL: not reachable (CDC_RETRY,
 * CDC_OPERATOR for refused credentials and rights), with the last event's text.
 */
CDC_CHECK int kfk_reader_partitions(struct kfk_reader *rd, const char *topic, int32_t *ret,
                                    struct cdc_error *err);

/* First and next offset of a partition (next: see committed above). Failures as above. */
CDC_CHECK int kfk_reader_offsets(struct kfk_reader *rd, const char *topic, int32_t partition,
                                 int64_t *ret_low, int64_t *ret_high, struct cdc_error *err);

/* Called for each record in order; CDC_FAIL ends the reading. */
typedef int kfk_record_fn(void *arg, const struct kfk_record *rec, struct cdc_error *err);

struct kfk_control_read {
    const char *topic;
    int64_t next; /* offset where to begin, -1: the topic's start; then where the next call does */
    kfk_record_fn *take;
    void *arg; /* of take */
};

/*
 * Reads a control topic to its end: of a committed reader the last stable offset as of the call.
 * CDC_END: no such topic. CDC_FATAL: a record that is none of ours. Where it is not CDC_OK, `next`
 * is as it was.
 */
CDC_CHECK int kfk_reader_control(struct kfk_reader *rd, struct kfk_control_read *what,
                                 struct cdc_error *err);

/* The error of a failed call on rd, with its last event; decided by errors.c. CDC_FAIL. */
int kfk_reader_fail(const struct kfk_reader *rd, rd_kafka_resp_err_t code, const char *where,
                    const char *what, struct cdc_error *err);

#endif
