/*
 * commits.c - how long each commit of the Kafka sink takes, from outside: /metrics has buckets
 * only.
 *
 * For LD_PRELOAD: appends "WALL_CLOCK_US US" to the file COMMITS_FILE at each commit's end. US is
 * from the last record produced, which is the transaction's kafka/end, to the commit's success: the
 * flush of what is in flight, and the round trip. It is what produce.c tells of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t produced_us; /* one thread produces and commits */

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int rd_kafka_produce(rd_kafka_topic_t *rkt, int32_t partition, int flags, void *payload, size_t len,
                     const void *key, size_t keylen, void *opaque)
{
    static int (*real)(rd_kafka_topic_t *, int32_t, int, void *, size_t, const void *, size_t,
                       void *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_produce");
    produced_us = clock_us(CLOCK_MONOTONIC);
    return real(rkt, partition, flags, payload, len, key, keylen, opaque);
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
    static rd_kafka_error_t *(*real)(rd_kafka_t *, int);
    static FILE *to;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_commit_transaction");
    rd_kafka_error_t *error = real(rk, timeout_ms);
    int64_t took = clock_us(CLOCK_MONOTONIC) - produced_us;
    const char *file = getenv("COMMITS_FILE");
    if (!to && file)
        to = fopen(file, "a");
    if (to && !error) {
        fprintf(to, "%lld %lld\n", (long long)clock_us(CLOCK_REALTIME), (long long)took);
        fflush(to);
    }
    return error;
}
