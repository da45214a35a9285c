/*
 * write.c - a batch into messages: key and value by the table's plan, its partition, its policy.
 *
 * Value: 0x00, the schema's id (4 bytes, big endian), Avro. Key: the same of the key's schema.
 * Where a record goes:
 *   - with a key: positive(murmur2(key bytes)) % partitions, as the Java client does; with
 *     partition_by: key_fields the five bytes in front are left out of the hash;
 *   - without: runs of records to one partition after another (their order is in __seq);
 *   - a range delete `t`: to every partition, since each has rows of the table.
 * Behind a delete of a table with `deletes: hard` follows a tombstone.
 *
 * What is too large is known before it is handed over, and met by `oversized`; what only the broker
 * finds too large is remembered by the producer and met here after the rewind.
 */
#include "kafka.h"

#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>

#define FRAME        5   /* bytes in front of key and value */
#define OVERHEAD     128 /* of a batch of one record, beside key and value */
#define RUN          512 /* records without key to one partition */
#define SERVE_EVERY  256
#define WARN_US      INT64_C(60000000)
#define SCRATCH_KEEP ((size_t)1 << 20)

static void put_frame(struct cdc_buf *buf, uint32_t id)
{
    const uint8_t frame[FRAME] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                  (uint8_t)id};
    cdc_buf_reset(buf);
    cdc_buf_put(buf, frame, sizeof frame);
}

/* ---- records that are too large ---- */

/* The smallest size at which the broker refused it; SIZE_MAX: never. */
static size_t refused_at(struct kafka *kf, const struct kfk_route *route,
                         const struct cdc_record *rec)
{
    if (kf->n_refused == 0)
        return SIZE_MAX;
    struct kfk_refused it = {.topic = route->topic,
                             .bytes = kf->key.len + kf->value.len,
                             .key = route->keyed ? kfk_murmur2(cdc_buf_slice(&kf->key)) : 0};
    memcpy(it.seq, rec->seq, CDC_SEQ_LEN);
    return kfk_refused_at(kf, &it);
}

/* Compressed records are measured by the broker; ours is then only librdkafka's bound. */
static size_t limit_of(const struct kafka *kf, const struct kfk_topic *topic)
{
    size_t max = kf->prod->message_max;
    if (topic->described && strcmp(kf->set.compression, "none") == 0 && topic->max_bytes < max)
        max = topic->max_bytes;
    return max > 2 * OVERHEAD ? max - OVERHEAD : OVERHEAD;
}

static int too_large(const struct kfk_route *route, size_t bytes, size_t limit,
                     struct cdc_error *err)
{
    return cdc_fail(
        err, CDC_OPERATOR, route->topic->name,
        "table %s.%s: a record of %zu bytes is larger than the topic takes (%zu): raise "
        "max.message.bytes there (and message.max.bytes in sink.properties), or set "
        "sink.oversized to placeholder or drop",
        route->tab->schema, route->tab->name, bytes, limit);
}

static void count_dropped(struct kafka *kf, const struct kfk_route *route)
{
    int64_t now = cdc_mono_us();
    kf->dropped++;
    if (kf->warned_us && now - kf->warned_us < WARN_US)
        return;
    cdc_log(CDC_LOG_WARN,
            "kafka: %" PRIu64 " records were larger than their topic takes and left out, as "
            "oversized: drop says; the last one of table %s.%s",
            kf->dropped, route->tab->schema, route->tab->name);
    kf->warned_us = now;
    kf->dropped = 0;
}

/* CDC_OK: kf->value fits now. CDC_END: left out. */
static int meet_oversized(struct kafka *kf, const struct kfk_route *route,
                          const struct cdc_record *rec, size_t limit, struct cdc_error *err)
{
    size_t bytes = kf->key.len + kf->value.len;
    if (kf->set.oversized == KFK_OVERSIZED_DROP) {
        count_dropped(kf, route);
        return CDC_END;
    }
    if (kf->set.oversized == KFK_OVERSIZED_FAIL || limit < kf->key.len + FRAME)
        return too_large(route, bytes, limit, err);
    put_frame(&kf->value, route->value_id);
    int rc = cdc_plan_shrunk(route->plan, rec, limit - kf->key.len - FRAME, &kf->value, err);
    return rc == CDC_END ? too_large(route, bytes, limit, err) : rc;
}

static int check_size(struct kafka *kf, const struct kfk_route *route, const struct cdc_record *rec,
                      struct cdc_error *err)
{
    size_t limit = limit_of(kf, route->topic);
    size_t refused = refused_at(kf, route, rec);
    if (refused != SIZE_MAX) {
        size_t known = route->topic->max_bytes - OVERHEAD; /* uncompressed it fits for sure */
        known = known < limit ? known : limit;
        /* Where the limit may not be asked for, it is a guess: less than last time, then. */
        size_t less = refused > 4 * KFK_SIZE_VARIES ? refused - 2 * KFK_SIZE_VARIES : refused;
        return meet_oversized(kf, route, rec, known < less ? known : less, err);
    }
    if (kf->key.len + kf->value.len <= limit)
        return CDC_OK;
    return meet_oversized(kf, route, rec, limit, err);
}

/* ---- a record ---- */

/* Compaction keeps the newest record of a key: one that lacks values would be all that is left. */
static int check_compaction(const struct kfk_route *route, const struct cdc_record *rec,
                            struct cdc_error *err)
{
    if (!route->topic->compact || (rec->op == CDC_OP_DELETE && route->hard) ||
        !cdc_plan_partial(route->plan, rec))
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, route->topic->name,
                    "table %s.%s: the source did not send all values of a row, and the topic is "
                    "compacted: the record that lacks them would be the only one left. Set REPLICA "
                    "IDENTITY FULL on the table, or cleanup.policy=delete on the topic",
                    route->tab->schema, route->tab->name);
}

static int encode(struct kafka *kf, const struct kfk_route *route, const struct cdc_record *rec,
                  struct cdc_error *err)
{
    put_frame(&kf->value, route->value_id);
    if (cdc_plan_bytes(route->plan, rec, &kf->value, err) < 0)
        return CDC_FAIL;
    cdc_buf_reset(&kf->key);
    if (!route->keyed)
        return CDC_OK;
    put_frame(&kf->key, route->key_id);
    return cdc_plan_key(route->plan, rec, &kf->key, err);
}

static int32_t choose(const struct kafka *kf, const struct kfk_route *route)
{
    struct kfk_topic *topic = route->topic;
    if (route->keyed) {
        size_t skip = kf->set.by_key_fields ? FRAME : 0;
        return kfk_partition(cdc_slice_of(kf->key.p + skip, kf->key.len - skip),
                             topic->state.partitions);
    }
    if (++topic->run > RUN || topic->spread >= topic->state.partitions) {
        topic->run = 1;
        topic->spread = (topic->spread + 1) % topic->state.partitions;
    }
    return topic->spread;
}

static int send_one(struct kafka *kf, const struct kfk_route *route, const struct cdc_record *rec,
                    int32_t partition, struct cdc_error *err)
{
    struct kfk_out out = {.topic = route->topic,
                          .partition = partition,
                          .key = route->keyed ? cdc_buf_slice(&kf->key) : cdc_slice_of(NULL, 0),
                          .value = cdc_buf_slice(&kf->value),
                          .seq = rec->seq};
    if (kfk_producer_send(kf, &out, err) < 0)
        return CDC_FAIL;
    kf->rows++;
    if (rec->op != CDC_OP_DELETE || !route->hard || !route->keyed)
        return CDC_OK;
    out.value = cdc_slice_of(NULL, 0);
    kf->rows++;
    return kfk_producer_send(kf, &out, err);
}

/* A sweep's `t` has the place at which the copy began: it does not lower what was reached. */
static void raise_seq(struct kafka *kf, const char *seq)
{
    if (memcmp(kf->seq, seq, CDC_SEQ_LEN) < 0)
        memcpy(kf->seq, seq, CDC_SEQ_LEN + 1);
}

static int put_record(struct kafka *kf, const struct kfk_route *route, const struct cdc_record *rec,
                      struct cdc_error *err)
{
    if (check_compaction(route, rec, err) < 0 || encode(kf, route, rec, err) < 0)
        return CDC_FAIL;
    int rc = check_size(kf, route, rec, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : CDC_FAIL;
    if (kfk_producer_begin(kf, err) < 0)
        return CDC_FAIL;
    raise_seq(kf, rec->seq);
    if (rec->op != CDC_OP_RANGE)
        return send_one(kf, route, rec, choose(kf, route), err);
    for (int32_t p = 0; p < route->topic->state.partitions; p++)
        if (send_one(kf, route, rec, p, err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static int put_change(struct kafka *kf, const struct cdc_change *chg, int64_t read_us,
                      struct cdc_error *err)
{
    struct cdc_record recs[CDC_RECORDS_MAX];
    const struct kfk_route *route = kfk_route_of(kf, chg->table);
    int n = cdc_plan_records(route->plan, chg, read_us, recs, err);
    for (int i = 0; i < n; i++)
        if (put_record(kf, route, &recs[i], err) < 0)
            return CDC_FAIL;
    return n < 0 ? CDC_FAIL : CDC_OK;
}

static int put_batch(struct kafka *kf, const struct cdc_batch *batch, struct cdc_error *err)
{
    if (kfk_routes_prepare(kf, batch->tables, batch->n_tables, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < batch->n; i++) {
        if (put_change(kf, &batch->changes[i], batch->read_us, err) < 0)
            return CDC_FAIL;
        if (i % SERVE_EVERY == SERVE_EVERY - 1 && kfk_producer_serve(kf, err) < 0)
            return CDC_FAIL;
    }
    return kfk_producer_serve(kf, err);
}

int kfk_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err)
{
    struct kafka *kf = (struct kafka *)snk;
    if (!kf->ready)
        return cdc_fail(err, CDC_REWIND, kf->control, "the sink must recover first");
    if (put_batch(kf, batch, err) < 0) {
        kf->ready = false;
        return CDC_FAIL;
    }
    if (kf->value.cap > SCRATCH_KEEP) /* one giant row is not held on to */
        cdc_buf_done(&kf->value);
    return kf->bytes >= (uint64_t)kf->set.transaction_bytes ? CDC_FULL : CDC_OK;
}
