/*
 * topics.c - the topics that records go to: made, bound to the producer, watched for being lost.
 *
 * Each topic's state (tables, partitions, the next offset of each partition as far as known) lies
 * in the control topic. A topic that is made again under a running producer shows no error at all
 * (facts 4); what shows it is an offset that goes back: in a delivery report, or at a start a high
 * watermark below a saved end. One that is gone shows in no report either, as long as the open
 * transaction has no partition of it: librdkafka repeats AddPartitionsToTxn for ever. So a producer
 * that waits looks whether the topics are there (kfk_topics_look), and recover judges.
 *
 * The number of partitions is taken from the brokers at a start and kept until the next: a key
 * changes its partition between two transactions and never in one.
 */
#include "kafka.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SLICE_MS     500
#define PATIENCE_US  INT64_C(20000000)
#define SURE_US      INT64_C(3000000) /* until a topic counts as gone */
#define BATCH_EXCESS 512              /* of a batch beside what batch.size counts */
#define LOOK_MS      500
#define LOOK_US      INT64_C(1000000)

struct kfk_topic *kfk_topic_find(const struct kafka *kf, const char *name)
{
    for (size_t i = 0; i < kf->n_topics; i++)
        if (strcmp(kf->topics[i]->name, name) == 0)
            return kf->topics[i];
    return NULL;
}

struct kfk_topic *kfk_topic_add(struct kafka *kf, const char *name)
{
    struct kfk_topic *topic = kfk_topic_find(kf, name);
    if (topic)
        return topic;
    struct kfk_topic **topics = realloc(kf->topics, (kf->n_topics + 1) * sizeof *topics);
    if (!topics)
        return NULL;
    kf->topics = topics;
    topic = calloc(1, sizeof *topic);
    if (!topic)
        return NULL;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->unsaved = true;
    kf->topics[kf->n_topics++] = topic;
    return topic;
}

void kfk_topics_unbind(struct kafka *kf)
{
    for (size_t i = 0; i < kf->n_topics; i++) {
        struct kfk_topic *topic = kf->topics[i];
        if (topic->rkt)
            rd_kafka_topic_destroy(topic->rkt);
        topic->rkt = NULL;
        topic->waiting = 0;
        topic->blind.on = false;
        topic->dirty = true; /* a transaction that would have saved it may be gone */
    }
}

void kfk_topics_done(struct kafka *kf)
{
    for (size_t i = 0; i < kf->n_topics; i++) {
        kfk_topic_state_done(&kf->topics[i]->state);
        free(kf->topics[i]);
    }
    free(kf->topics);
    kf->topics = NULL;
    kf->n_topics = 0;
}

bool kfk_offset_known(struct kfk_blind *blind, int32_t partition, int64_t offset)
{
    bool counted = blind->on && blind->partition == partition && blind->next == offset;
    blind->on = offset < 0 || counted;
    blind->partition = partition;
    blind->next = offset + 1;
    return !blind->on;
}

bool kfk_topic_delivered(struct kfk_topic *topic, int32_t partition, int64_t offset)
{
    if (partition < 0 || partition >= topic->state.partitions ||
        !kfk_offset_known(&topic->blind, partition, offset))
        return true;
    int64_t *end = &topic->state.ends[partition];
    topic->lost |= offset < *end;
    *end = offset + 1 > *end ? offset + 1 : *end;
    topic->dirty = true;
    return !topic->lost;
}

/* Room for n partitions; what is known of the first ones stays. */
static int resize(struct kfk_topic *topic, int32_t n, struct cdc_error *err)
{
    struct kfk_topic_state *state = &topic->state;
    if (n <= state->partitions) {
        state->partitions = n;
        return CDC_OK;
    }
    int64_t *ends = realloc(state->ends, (size_t)n * sizeof *ends);
    if (!ends)
        return cdc_fail_oom(err);
    memset(ends + state->partitions, 0, (size_t)(n - state->partitions) * sizeof *ends);
    state->ends = ends;
    state->partitions = n;
    return CDC_OK;
}

/* Reports may have told of later ends than the record, which is written now and then. */
static void merge(struct kfk_topic *topic, struct kfk_topic_state *take)
{
    const struct kfk_topic_state *old = &topic->state;
    for (int32_t i = 0; i < take->partitions && i < old->partitions; i++)
        if (old->ends[i] > take->ends[i])
            take->ends[i] = old->ends[i];
    kfk_topic_state_done(&topic->state);
    topic->state = *take;
    topic->made = true;
    topic->unsaved = topic->gone = false;
}

int kfk_topic_load(struct kafka *kf, const struct kfk_record *rec, struct cdc_error *err)
{
    char name[KFK_TOPIC_MAX + 1];
    struct kfk_topic_state state;
    size_t prefix = sizeof KFK_TOPIC_KEY - 1;
    if (!rec->v.p)
        return CDC_OK;
    if (kfk_topic_state_parse(rec->v, &state, err) < 0)
        return CDC_FAIL;
    snprintf(name, sizeof name, "%.*s", (int)(rec->key.len - prefix), rec->key.p + prefix);
    struct kfk_topic *topic = kfk_topic_add(kf, name);
    if (!topic) {
        kfk_topic_state_done(&state);
        return cdc_fail_oom(err);
    }
    merge(topic, &state);
    return CDC_OK;
}

/* ---- verify: what was there must be there ---- */

/* Is any of its tables captured (still)? */
static bool captured(const struct kafka *kf, const struct kfk_topic *topic)
{
    for (size_t i = 0; i < topic->state.n_tables; i++) {
        char schema[512];
        const char *full = topic->state.tables[i], *dot = strchr(full, '.');
        if (!dot || (size_t)(dot - full) >= sizeof schema)
            return true;
        snprintf(schema, sizeof schema, "%.*s", (int)(dot - full), full);
        if (cdc_capture_match(kf->set.cfg->capture, schema, dot + 1))
            return true;
    }
    return false;
}

static int lost(struct kafka *kf, struct kfk_topic *topic, const char *how, struct cdc_error *err)
{
    if (!kf->set.lost_continue && captured(kf, topic))
        return cdc_fail(err, CDC_OPERATOR, topic->name,
                        "the topic was deleted or made again, or has lost records: %s. What it "
                        "held is not sent again. Rebuild it from a new snapshot under another "
                        "`name`, or set sink.on_lost_topic: continue to go on without",
                        how);
    cdc_log(CDC_LOG_WARN,
            "kafka: topic %s was deleted or made again, or has lost records: %s; going on, "
            "%s",
            topic->name, how,
            kf->set.lost_continue ? "as on_lost_topic says"
                                  : "since none of its tables is captured");
    memset(topic->state.ends, 0, (size_t)topic->state.partitions * sizeof *topic->state.ends);
    topic->lost = false;
    topic->unsaved = true;
    return CDC_OK;
}

static int verify_count(struct kafka *kf, struct kfk_topic *topic, int32_t n, struct cdc_error *err)
{
    char how[96];
    if (n < topic->state.partitions) {
        snprintf(how, sizeof how, "it had %" PRId32 " partitions and has %" PRId32,
                 topic->state.partitions, n);
        if (lost(kf, topic, how, err) < 0)
            return CDC_FAIL;
    } else if (n > topic->state.partitions) {
        cdc_log(CDC_LOG_WARN,
                "kafka: topic %s has %" PRId32 " partitions now, before %" PRId32
                ": from here on most keys are in another partition",
                topic->name, n, topic->state.partitions);
        topic->unsaved = true;
    }
    return resize(topic, n, err);
}

/* One request for the ends of all partitions of all topics: timestamp -1 means the end. */
static int ask_ends(const struct kafka *kf, struct kfk_reader *rd,
                    rd_kafka_topic_partition_list_t *list, struct cdc_error *err)
{
    for (size_t i = 0; i < kf->n_topics; i++)
        for (int32_t p = 0; kf->topics[i]->made && p < kf->topics[i]->state.partitions; p++)
            rd_kafka_topic_partition_list_add(list, kf->topics[i]->name, p)->offset =
                RD_KAFKA_OFFSET_END;
    if (list->cnt == 0)
        return CDC_OK;
    int64_t deadline = cdc_mono_us() + PATIENCE_US;
    rd_kafka_resp_err_t code;
    do
        code = rd_kafka_offsets_for_times(rd->rk, list, SLICE_MS * 10);
    while (code && kfk_judge(code)->act == KFK_RETRY && cdc_mono_us() < deadline &&
           !atomic_load(&kf->woken));
    return code ? kfk_reader_fail(rd, code, "", "cannot learn of the topics' offsets", err)
                : CDC_OK;
}

/* The true end, where the end of what is stable says too little: another producer's transaction
 * may be open before ours. *all: a reader that is made when it is first needed. */
static int ask_high(const struct kafka *kf, const struct kfk_topic *topic, int32_t p,
                    struct kfk_reader **all, int64_t *ret, struct cdc_error *err)
{
    int64_t low;
    if (!*all && kfk_reader_new(&kf->set, false, &kf->woken, all, err) < 0)
        return CDC_FAIL;
    return kfk_reader_offsets(*all, topic->name, p, &low, ret, err);
}

static int verify_ends(struct kafka *kf, struct kfk_topic *topic, struct kfk_reader **all,
                       const rd_kafka_topic_partition_list_t *list, struct cdc_error *err)
{
    char how[128];
    for (int32_t p = 0; topic->made && p < topic->state.partitions; p++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_find((void *)(uintptr_t)list, topic->name, p);
        int64_t high = at && at->err == 0 ? at->offset : -1;
        if (high < topic->state.ends[p] && ask_high(kf, topic, p, all, &high, err) < 0)
            return CDC_FAIL;
        if (high < topic->state.ends[p]) {
            snprintf(how, sizeof how,
                     "partition %" PRId32 " reached offset %" PRId64 " and ends at %" PRId64, p,
                     topic->state.ends[p], high);
            return lost(kf, topic, how, err);
        }
    }
    return topic->lost ? lost(kf, topic, "offsets of a partition went back", err) : CDC_OK;
}

static int verify_all_ends(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    struct kfk_reader *all = NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    int rc = ask_ends(kf, rd, list, err);
    for (size_t i = 0; rc == CDC_OK && i < kf->n_topics; i++)
        rc = verify_ends(kf, kf->topics[i], &all, list, err);
    kfk_reader_free(all);
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

/* A broker that has just started may not know of a topic yet. */
int kfk_topics_count(struct kafka *kf, struct kfk_reader *rd, const char *topic, int32_t *ret,
                     struct cdc_error *err)
{
    int64_t until = cdc_mono_us() + SURE_US;
    int rc;
    while ((rc = kfk_reader_partitions(rd, topic, ret, err)) == CDC_END && cdc_mono_us() < until &&
           !atomic_load(&kf->woken))
        rd_kafka_poll(rd->rk, 100);
    if (rc == CDC_END && cdc_mono_us() < until)
        return cdc_fail(err, CDC_RETRY, topic, "told to stop before it was sure that it is gone");
    return rc;
}

int kfk_topics_verify(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    for (size_t i = 0; i < kf->n_topics; i++) {
        struct kfk_topic *topic = kf->topics[i];
        int32_t n = 0;
        if (!topic->made)
            continue;
        int rc = kfk_topics_count(kf, rd, topic->name, &n, err);
        if (rc == CDC_END) {
            rc = lost(kf, topic, "there is no such topic", err);
            topic->made = false; /* it is made again where a table wants it */
            topic->gone = true;
        } else if (rc == CDC_OK) {
            rc = verify_count(kf, topic, n, err);
        }
        if (rc < 0)
            return CDC_FAIL;
    }
    return verify_all_ends(kf, rd, err);
}

/* ---- look: is what records wait for still there? ---- */

/* The producer's own question: librdkafka then knows it too, and no broker makes a topic for it. */
static rd_kafka_resp_err_t look_at(struct kafka *kf, rd_kafka_topic_t *rkt, int32_t partitions)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(kf->prod->rk, 0, rkt, &md, LOOK_MS);
    if (code)
        return code;
    if (md->topic_cnt == 1)
        code = md->topics[0].err;
    if (md->topic_cnt == 1 && code == 0 && md->topics[0].partition_cnt < partitions)
        code = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    rd_kafka_metadata_destroy(md);
    return code;
}

rd_kafka_resp_err_t kfk_topics_look(struct kafka *kf, struct kfk_topic **ret)
{
    int64_t until = cdc_mono_us() + LOOK_US;
    *ret = NULL;
    rd_kafka_resp_err_t code = look_at(kf, kf->prod->control, 1);
    for (size_t i = 0; i < kf->n_topics && code == 0 && cdc_mono_us() < until; i++) {
        kf->looked = (kf->looked + 1) % kf->n_topics; /* where many wait: some of them each time */
        struct kfk_topic *topic = kf->topics[kf->looked];
        if (topic->waiting == 0)
            continue;
        *ret = topic;
        code = look_at(kf, topic->rkt, topic->state.partitions);
    }
    return code && kfk_judge(code)->act == KFK_TOPIC ? code : 0;
}

/* ---- bind: what is needed before records can go there ---- */

bool kfk_topic_unbound(const struct kfk_topic *topic)
{
    return !topic->rkt && (topic->made || topic->wanted);
}

static int make(struct kafka *kf, struct kfk_topic *topic, struct kfk_reader *rd,
                struct cdc_error *err)
{
    int32_t n = 0;
    int rc = kfk_reader_partitions(rd, topic->name, &n, err);
    if (rc == CDC_END) {
        const struct kfk_wish wish = {.name = topic->name,
                                      .partitions = kf->set.partitions,
                                      .replication = kf->set.replication,
                                      .config = kf->set.topic_config,
                                      .n_config = kf->set.n_topic_config};
        rc = kfk_admin_create(rd, &wish, err);
        if (rc == CDC_OK) {
            CDC_POINT("kafka.topic_created");
            cdc_log(CDC_LOG_INFO, "kafka: made topic %s with %" PRId32 " partitions", topic->name,
                    wish.partitions);
            rc = kfk_reader_partitions(rd, topic->name, &n, err);
        }
        if (rc == CDC_END)
            return cdc_fail(err, CDC_RETRY, topic->name, "the topic was made and is not there yet");
    }
    if (rc < 0)
        return CDC_FAIL;
    if (n != topic->state.partitions)
        topic->unsaved = true;
    return resize(topic, n, err);
}

static void take_description(struct kfk_topic *topic, const struct kfk_described *of)
{
    topic->described = of->known;
    topic->max_bytes = of->max_bytes;
    topic->compact = of->known && of->compact;
}

/* librdkafka never splits a batch that is refused: none may be larger than the topic takes. */
static int fit_batches(struct kafka *kf, const struct kfk_topic *topic, struct cdc_error *err)
{
    int64_t fits = (int64_t)topic->max_bytes - BATCH_EXCESS;
    fits = fits < 1024 ? 1024 : fits;
    if (!topic->described || kf->prod->batch_max <= fits)
        return CDC_OK;
    kf->set.batch_bytes = fits;
    return cdc_fail(err, CDC_REWIND, topic->name,
                    "the topic takes %zu bytes at once: going on with a producer of smaller "
                    "batches",
                    topic->max_bytes);
}

static int bind_one(struct kafka *kf, struct kfk_topic *topic, struct cdc_error *err)
{
    const struct rd_kafka_metadata *md = NULL;
    if (fit_batches(kf, topic, err) < 0)
        return CDC_FAIL;
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(kf->prod->rk);
    rd_kafka_topic_conf_set_opaque(conf, topic); /* how a report finds its topic */
    topic->rkt = rd_kafka_topic_new(kf->prod->rk, topic->name, conf);
    if (!topic->rkt)
        return cdc_fail_oom(err);
    /* Else the first record waits for it, for up to a second (facts 2.3); a failure shows there. */
    if (rd_kafka_metadata(kf->prod->rk, 0, topic->rkt, &md, SLICE_MS * 10) == 0)
        rd_kafka_metadata_destroy(md);
    return CDC_OK;
}

static int describe(struct kafka *kf, struct kfk_reader *rd, size_t n, struct cdc_error *err)
{
    const char **names = calloc(n, sizeof *names);
    struct kfk_described *of = calloc(n, sizeof *of);
    if (names && of) {
        for (size_t i = 0, k = 0; i < kf->n_topics; i++)
            if (kfk_topic_unbound(kf->topics[i]))
                names[k++] = kf->topics[i]->name;
        kfk_admin_describe(rd, names, n, of);
        for (size_t i = 0, k = 0; i < kf->n_topics; i++)
            if (kfk_topic_unbound(kf->topics[i]))
                take_description(kf->topics[i], &of[k++]);
    }
    bool ok = names && of;
    free(names);
    free(of);
    return ok ? CDC_OK : cdc_fail_oom(err);
}

int kfk_topics_bind(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < kf->n_topics; i++) {
        struct kfk_topic *topic = kf->topics[i];
        n += kfk_topic_unbound(topic);
        if (kfk_topic_unbound(topic) && !topic->made && make(kf, topic, rd, err) < 0)
            return CDC_FAIL;
    }
    if (n == 0)
        return CDC_OK;
    if (describe(kf, rd, n, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < kf->n_topics; i++)
        if (kfk_topic_unbound(kf->topics[i]) && bind_one(kf, kf->topics[i], err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}
