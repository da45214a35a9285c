/*
 * feed_wait.c - when the transactions of a commit are decided in every partition (feed.h; steps 2
 * and 3 of feed.c).
 */
#include "feed.h"

#include "cdc/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_US    120000000 /* longer than a transaction may be open */
#define TELL_US    3000000
#define NAP_MIN_US 2000
#define NAP_MAX_US 50000
#define PEEK_MS    200

/* Of the commit that the feed is held to: nothing in partitions that the token does not know. */
static int64_t bound_top(const struct kfk_feed *feed, size_t lane)
{
    const struct kfk_part *part = &feed->src.parts[lane];
    int64_t pos, past;
    if (kfk_token_part(&feed->bound, feed->src.topics[part->topic].name, part->partition, &pos,
                       &past) != CDC_OK)
        return feed->merge.lanes[lane].pos;
    return past > pos ? past : pos;
}

int kfk_feed_tops(struct kfk_feed *feed, struct cdc_error *err)
{
    size_t n = feed->merge.n;
    int64_t *high = calloc(n + 1, sizeof *high);
    int rc =
        high ? kfk_source_edges(&feed->src, feed->all, 0, KFK_HIGH, high, err) : cdc_fail_oom(err);
    for (size_t i = 0; i < n && rc == CDC_OK; i++) {
        const struct kfk_part *part = &feed->src.parts[i];
        int64_t top = feed->bound.txn > 0 ? bound_top(feed, i) : high[i];
        feed->merge.lanes[i].top = top;
        if (high[i] < feed->merge.lanes[i].pos || high[i] < top)
            rc = cdc_fail(err, CDC_OPERATOR, feed->src.topics[part->topic].name,
                          "partition %" PRId32 " became shorter than what was already read of it: "
                          "the topic was deleted and made again. Build the replica anew in another "
                          "file",
                          part->partition);
    }
    free(high);
    return rc;
}

/*
 * Is the first undecided record of this partition one of a later transaction than E's? Reads it as
 * a reader of everything does. Anything unexpected is no proof, and is left to the wait.
 */
static bool later_began(struct kfk_feed *feed, size_t lane, int64_t stable)
{
    const struct kfk_part *part = &feed->src.parts[lane];
    struct kfk_message at = {.topic = feed->src.topics[part->topic].name,
                             .partition = part->partition};
    struct kfk_slot slot = {0};
    struct kfk_item item = {.tombstone = true};
    bool later = false;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(feed->all->rk, at.topic, NULL);
    if (!rkt || rd_kafka_consume_start(rkt, at.partition, stable) != 0) {
        if (rkt)
            rd_kafka_topic_destroy(rkt);
        return false;
    }
    rd_kafka_message_t *msg = rd_kafka_consume(rkt, at.partition, PEEK_MS);
    if (msg && !msg->err) {
        at.offset = msg->offset;
        at.value = cdc_slice_of(msg->payload, msg->len);
        if (kfk_row_decode(&feed->schemas, &slot, &at, &item, NULL) == CDC_OK && !item.tombstone)
            later = strncmp((const char *)item.seq, feed->seen.end.seq, CDC_SEQ_LEN) > 0;
    }
    kfk_slot_done(&slot);
    if (msg)
        rd_kafka_message_destroy(msg);
    rd_kafka_consume_stop(rkt, at.partition);
    rd_kafka_topic_destroy(rkt);
    return later;
}

/* Is all of E decided in every partition? CDC_AGAIN: not yet, *ret_lane is one that lags. */
static int decided(struct kfk_feed *feed, size_t *ret_lane, struct cdc_error *err)
{
    size_t n = feed->merge.n, lag = n;
    int64_t *stable = calloc(n + 1, sizeof *stable);
    int rc = stable ? kfk_source_edges(&feed->src, feed->ctl, 0, KFK_HIGH, stable, err)
                    : cdc_fail_oom(err);
    for (size_t i = 0; i < n && rc == CDC_OK && lag == n; i++)
        if (stable[i] < feed->merge.lanes[i].top)
            lag = i;
    if (rc == CDC_OK && lag < n && !later_began(feed, lag, stable[lag])) {
        *ret_lane = lag;
        rc = CDC_AGAIN;
    } else if (rc == CDC_OK && lag < n) { /* asked for anew: only now all markers are there */
        rc = kfk_source_edges(&feed->src, feed->ctl, 0, KFK_HIGH, stable, err);
        for (size_t i = 0; i < n && rc == CDC_OK; i++)
            if (stable[i] < feed->merge.lanes[i].top)
                feed->merge.lanes[i].top = stable[i];
    }
    free(stable);
    return rc;
}

static int still_open(const struct kfk_feed *feed, size_t lane, struct cdc_error *err)
{
    const struct kfk_part *part = &feed->src.parts[lane];
    return cdc_fail(err, CDC_RETRY, feed->src.topics[part->topic].name,
                    "a transaction is open in partition %" PRId32 " for %d s: is it the pipeline's "
                    "(then `sidestream run` ends it when it is started) or a foreign program's?",
                    part->partition, WAIT_US / 1000000);
}

int kfk_feed_wait(struct kfk_feed *feed, struct cdc_error *err)
{
    bool told = false;
    for (int64_t nap_us = NAP_MIN_US;; nap_us = nap_us < NAP_MAX_US ? 2 * nap_us : NAP_MAX_US) {
        size_t lane = 0;
        int rc = decided(feed, &lane, err);
        if (rc != CDC_AGAIN)
            return rc;
        int64_t waited_us = cdc_mono_us() - feed->pending_us;
        if (waited_us > WAIT_US)
            return still_open(feed, lane, err);
        if (waited_us > TELL_US && !told) {
            told = true;
            cdc_log(CDC_LOG_INFO, "topic %s: waiting for the end of an open transaction",
                    feed->src.topics[feed->src.parts[lane].topic].name);
        }
        if (nanosleep(&(struct timespec){.tv_nsec = (long)nap_us * 1000}, NULL) != 0 &&
            errno == EINTR)
            return CDC_AGAIN;
    }
}
