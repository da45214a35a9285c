/*
 * kafka_rig.h - a Kafka sink on librdkafka's mock cluster: rows go in, what lies in the topics
 * comes out. The mock has no epochs, no filter of aborted records and no compaction: it shows what
 * the sink does with each answer, not that the broker keeps its word (tests/integration does).
 */
#ifndef TESTS_KAFKA_RIG_H
#define TESTS_KAFKA_RIG_H

#include <librdkafka/rdkafka.h>
/* after rdkafka.h, which it does not include itself */
#include <librdkafka/rdkafka_mock.h>

#include "base/log.h"
#include "cdc/json.h"
#include "envelope/envelope.h"
#include "kafka_kit.h"

#define RIG_PARTITIONS 4

struct rig {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *mock;
    struct cdc_settings *set;
    struct kafka *kf;
    struct cdc_pool *pool;
    struct cdc_table *tab;
    struct cdc_map seen;
    struct cdc_error err;
    int64_t next; /* id of the next row */
    size_t word;  /* bytes of each row's text */
    bool keyed;
};

static struct cdc_envelope_state rig_state = {.incarnation = 1};

static inline void rig_table(struct rig *rig)
{
    struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .type_mod = -1},
        {.name = "word", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1}};
    cols[0].key = rig->keyed;
    const struct cdc_table_spec spec = {
        .catalog = "db",
        .schema = "public",
        .name = "words",
        .version = 1,
        .n = 2,
        .cols = cols,
        .rule = cdc_capture_match(rig->set->config.capture, "public", "words")};
    struct cdc_error err;
    struct cdc_buf text = CDC_BUF(1 << 20), key = CDC_BUF(1 << 20);
    assert_int_equal(cdc_table_new(&spec, &rig->tab, &err), CDC_OK);
    assert_int_equal(cdc_row_schema_text("shop", rig->tab, &text, &err), CDC_OK);
    struct cdc_schema schema = {.text = cdc_buf_cstr(&text), .len = text.len, .id = 7};
    assert_int_equal(cdc_plan_new(rig->tab, &schema, &rig_state, &rig->tab->plan, &err), CDC_OK);
    if (rig->keyed) {
        assert_int_equal(cdc_row_key_schema_text("shop", rig->tab, &key, &err), CDC_OK);
        schema = (struct cdc_schema){.text = cdc_buf_cstr(&key), .len = key.len, .id = 8};
        assert_int_equal(cdc_plan_with_key(rig->tab->plan, &schema, &err), CDC_OK);
    }
    cdc_buf_done(&text);
    cdc_buf_done(&key);
}

static inline int rig_recover(struct rig *rig)
{
    rig->err = (struct cdc_error){0};
    return kfk_recover(&rig->kf->base, &rig->seen, &rig->err);
}

static inline void rig_must(struct rig *rig, int rc)
{
    if (rc < 0)
        fail_msg("%s: %s", rig->err.where, rig->err.message);
}

static inline void rig_open(struct rig *rig)
{
    struct cdc_sink *snk;
    rig_must(rig, cdc_sink_kafka.open(&rig->set->config, &snk, &rig->err));
    rig->kf = (struct kafka *)snk;
    rig->kf->set.describe_ms = 0; /* the mock never answers that */
}

/* A cluster with the topics there (the mock cannot make them), and an open sink. */
static inline void rig_init(struct rig *rig, const char *sink, const char *rule, bool keyed)
{
    char text[512], options[1024], rules[256];
    *rig = (struct rig){.next = 1, .word = 4, .keyed = keyed};
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    rig->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    rig->mock = rd_kafka_mock_cluster_new(rig->host, 1);
    assert_int_equal(rd_kafka_mock_topic_create(rig->mock, "_sidestream.shop", 1, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(rig->mock, "shop.public.words", RIG_PARTITIONS, 1),
                     0);
    snprintf(options, sizeof options, "brokers: '%s'%s%s",
             rd_kafka_mock_cluster_bootstraps(rig->mock), *sink ? ", " : "", sink);
    snprintf(rules, sizeof rules, "envelope: row%s%s", *rule ? ", " : "", rule);
    struct kfk_settings set;
    rig->set = kit_settings(options, rules, &set);
    rig->pool = cdc_pool_new((size_t)256 << 20, 65536);
    cdc_map_init(&rig->seen);
    rig_table(rig);
    rig_open(rig);
}

static inline void rig_start(struct rig *rig, const char *sink, const char *rule)
{
    rig_init(rig, sink, rule, true);
    rig_must(rig, rig_recover(rig));
}

static inline void rig_done(struct rig *rig)
{
    if (rig->kf)
        cdc_sink_kafka.close(&rig->kf->base);
    cdc_map_done(&rig->seen);
    cdc_table_unref(rig->tab);
    cdc_pool_free(rig->pool);
    cdc_settings_free(rig->set);
    rd_kafka_mock_cluster_destroy(rig->mock);
    rd_kafka_destroy(rig->host);
}

/* ---- rows ---- */

static inline int rig_op(struct rig *rig, enum cdc_op op, int n)
{
    struct cdc_batch *batch = cdc_pool_batch(rig->pool);
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char *word = cdc_arena_alloc(batch->arena, rig->word + 1);
    memset(word, 'w', rig->word);
    memcpy(tx->place, cdc_arena_printf(batch->arena, "%024llx", (long long)rig->next),
           CDC_PLACE_LEN);
    tx->commit_us = 1700000000000000;
    for (int i = 0; i < n; i++) {
        struct cdc_change *chg = cdc_batch_add(batch, rig->tab);
        struct cdc_value *row = op == CDC_OP_RANGE ? NULL : cdc_batch_values(batch, 2);
        if (row) {
            row[0] = (struct cdc_value){.kind = CDC_INT, .i = rig->next};
            row[1] = (struct cdc_value){
                .kind = CDC_TEXT, .len = (uint32_t)rig->word, .p = (const uint8_t *)word};
        }
        rig->next++;
        *chg = (struct cdc_change){
            .op = (uint8_t)op, .table = rig->tab, .tx = tx, .ordinal = (uint64_t)i + 1};
        *(op == CDC_OP_DELETE ? &chg->before : &chg->after) = row;
    }
    batch->cut = CDC_CUT_END;
    batch->read_us = 1700000000000001;
    rig->err = (struct cdc_error){0};
    int rc = kfk_write(&rig->kf->base, batch, &rig->err);
    cdc_batch_unref(batch);
    return rc;
}

static inline int rig_write(struct rig *rig, int n)
{
    return rig_op(rig, CDC_OP_CREATE, n);
}

static inline int rig_commit_of(struct rig *rig, const char *position, enum cdc_commit_what what)
{
    struct cdc_map delta;
    cdc_map_init(&delta);
    if (position)
        assert_int_equal(cdc_map_put_text(&delta, "position", cdc_slice_str(position)), CDC_OK);
    rig->err = (struct cdc_error){0};
    int rc = kfk_commit(&rig->kf->base, &delta, what, &rig->err);
    cdc_map_done(&delta);
    return rc;
}

static inline int rig_commit(struct rig *rig, const char *position)
{
    return rig_commit_of(rig, position, CDC_COMMIT_ALL);
}

static inline void rig_position(struct rig *rig, const char *expect)
{
    struct cdc_buf text = CDC_BUF(256);
    assert_int_equal(cdc_map_get_text(&rig->seen, "position", &text, NULL),
                     expect ? CDC_OK : CDC_END);
    if (expect)
        assert_string_equal(cdc_buf_cstr(&text), expect);
    cdc_buf_done(&text);
}

/* ---- what lies in the topic ---- */

struct rig_found {
    int64_t n, tombstones, null_keys;
    int64_t in[RIG_PARTITIONS];
    int64_t astray; /* keyed records that murmur2 of the key would have put elsewhere */
    size_t largest;
};

static inline void rig_look(struct rig *rig, struct rig_found *ret)
{
    struct kfk_reader *rd;
    *ret = (struct rig_found){0};
    rig_must(rig, kfk_reader_new(&rig->kf->set, false, NULL, &rd, &rig->err));
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rd->rk, "shop.public.words", NULL);
    for (int32_t p = 0; p < RIG_PARTITIONS; p++) {
        rd_kafka_message_t *msg;
        assert_int_equal(rd_kafka_consume_start(rkt, p, RD_KAFKA_OFFSET_BEGINNING), 0);
        while ((msg = rd_kafka_consume(rkt, p, 10000)) && !msg->err) {
            struct cdc_slice key = cdc_slice_of(msg->key, msg->key_len);
            ret->n++;
            ret->in[p]++;
            ret->tombstones += !msg->payload;
            ret->null_keys += !key.p;
            ret->astray += key.p && kfk_partition(key, RIG_PARTITIONS) != p;
            ret->largest = msg->len > ret->largest ? msg->len : ret->largest;
            rd_kafka_message_destroy(msg);
        }
        assert_non_null(msg);
        assert_int_equal(msg->err, RD_KAFKA_RESP_ERR__PARTITION_EOF);
        rd_kafka_message_destroy(msg);
        rd_kafka_consume_stop(rkt, p);
    }
    rd_kafka_topic_destroy(rkt);
    kfk_reader_free(rd);
}

#endif
