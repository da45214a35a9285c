/*
 * test_kafka_sink.c - the sink over a mock cluster: commits, rewinds after each injected error,
 * bounds, policies.
 */
#include "kafka_rig.h"

#include <time.h>

#define E(code) RD_KAFKA_RESP_ERR_##code

enum api { PRODUCE = 0, INIT = 22, ADD_PARTITIONS = 24, END_TXN = 26 };

static void test_commit_and_read_back(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_found found;
    rig_start(&rig, "", "");
    assert_int_equal(rig.seen.n, 0);
    rig_must(&rig, rig_write(&rig, 100));
    rig_must(&rig, rig_commit(&rig, "hundred"));
    rig_look(&rig, &found);
    assert_int_equal(found.n, 100);
    assert_int_equal(found.astray, 0);
    assert_true(found.in[0] && found.in[1] && found.in[2] && found.in[3]);
    char first[KFK_INSTANCE_LEN + 1];
    memcpy(first, rig.kf->instance, sizeof first);
    assert_int_equal(rig.kf->txn, 2); /* the owner's, and this one */
    cdc_sink_kafka.close(&rig.kf->base);
    rig_open(&rig);
    assert_string_not_equal(first, rig.kf->instance);
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "hundred");
    assert_int_equal(rig.kf->txn, 4); /* the ends at the close, and the owner again */
    assert_int_equal(rig.seen.n, 1);  /* nothing of the sink's own */
    assert_int_equal(memcmp(rig.kf->seq, "00000001-", 9), 0);
    rig_done(&rig);
}

static void test_nothing_to_commit(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    uint64_t txn = rig.kf->txn;
    assert_int_equal(rig_commit(&rig, NULL), CDC_OK);
    assert_int_equal(rig.kf->txn, txn);
    assert_int_equal(rig_commit_of(&rig, "keys", CDC_COMMIT_KEYS), CDC_OK);
    assert_int_equal(rig.kf->txn, txn + 1);
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig_commit_of(&rig, "later", CDC_COMMIT_KEYS), CDC_AGAIN);
    rig_must(&rig, rig_commit(&rig, "later"));
    assert_int_equal(rig.kf->txn, txn + 2);
    rig_done(&rig);
}

static void test_full(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "transaction_bytes: 1MiB", "");
    rig.word = 1000;
    int rc = CDC_OK, rows = 0;
    for (; rc == CDC_OK && rows < 4000; rows += 100)
        rc = rig_write(&rig, 100);
    assert_int_equal(rc, CDC_FULL);
    assert_true(rows > 800 && rows <= 1100);
    rig_must(&rig, rig_commit(&rig, "full"));
    assert_int_equal(rig_write(&rig, 1), CDC_OK);
    rig_done(&rig);
}

/* Far more than the queue takes, in one transaction: the bound holds at each instant. */
static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_found found;
    rig_start(&rig, "queue_bytes: 1MiB", "");
    rig.word = 900;
    for (int i = 0; i < 300; i++) {
        rig_must(&rig, rig_write(&rig, 10));
        assert_true(kfk_chunks_used(&rig.kf->prod->chunks) <= (size_t)1 << 20);
    }
    rig_must(&rig, rig_commit(&rig, "much"));
    assert_int_equal(rig.kf->prod->chunks.msgs, 0);
    rig_look(&rig, &found);
    assert_int_equal(found.n, 3000);
    rig_done(&rig);
}

/* ---- each answer of a broker ---- */

static const struct fault {
    const char *name;
    enum api api;
    rd_kafka_resp_err_t code;
    int times;
    bool survives;          /* librdkafka mends it: the commit succeeds */
    enum cdc_action action; /* else: of the write or commit that fails */
} faults[] = {
    {"produce: not leader", PRODUCE, E(NOT_LEADER_FOR_PARTITION), 1, true, 0},
    {"produce: not enough replicas", PRODUCE, E(NOT_ENOUGH_REPLICAS), 1, true, 0},
    {"produce: old epoch", PRODUCE, E(INVALID_PRODUCER_EPOCH), 1, false, CDC_REWIND},
    {"produce: too large", PRODUCE, E(MSG_SIZE_TOO_LARGE), 8, false, CDC_REWIND},
    {"produce: no right", PRODUCE, E(TOPIC_AUTHORIZATION_FAILED), 8, false, CDC_OPERATOR},
    {"produce: invalid record", PRODUCE, E(INVALID_RECORD), 8, false, CDC_OPERATOR},
    {"produce: code unknown", PRODUCE, (rd_kafka_resp_err_t)120, 8, false, CDC_REWIND},
    {"partitions: concurrent", ADD_PARTITIONS, E(CONCURRENT_TRANSACTIONS), 2, true, 0},
    {"partitions: loading", ADD_PARTITIONS, E(COORDINATOR_LOAD_IN_PROGRESS), 1, true, 0},
    {"partitions: old epoch", ADD_PARTITIONS, E(INVALID_PRODUCER_EPOCH), 1, false, CDC_REWIND},
    {"partitions: fenced", ADD_PARTITIONS, E(PRODUCER_FENCED), 1, false, CDC_REWIND},
    {"partitions: no right", ADD_PARTITIONS, E(TOPIC_AUTHORIZATION_FAILED), 1, false, CDC_OPERATOR},
    {"partitions: no right on the id", ADD_PARTITIONS, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 1,
     false, CDC_OPERATOR},
    {"end: loading", END_TXN, E(COORDINATOR_LOAD_IN_PROGRESS), 1, true, 0},
    {"end: not coordinator", END_TXN, E(NOT_COORDINATOR), 1, true, 0},
    {"end: fenced", END_TXN, E(PRODUCER_FENCED), 1, false, CDC_REWIND},
    {"end: old epoch", END_TXN, E(INVALID_PRODUCER_EPOCH), 1, false, CDC_REWIND},
    {"end: state", END_TXN, E(INVALID_TXN_STATE), 1, false, CDC_REWIND},
    {"end: unknown id", END_TXN, E(UNKNOWN_PRODUCER_ID), 1, false, CDC_REWIND},
    {"end: id mapping", END_TXN, E(INVALID_PRODUCER_ID_MAPPING), 1, false, CDC_REWIND},
};

static void push(struct rig *rig, enum api api, rd_kafka_resp_err_t code, int times)
{
    rd_kafka_resp_err_t codes[64];
    for (int i = 0; i < times; i++)
        codes[i] = code;
    rd_kafka_mock_push_request_errors_array(rig->mock, (int16_t)api, (size_t)times, codes);
}

/* Rows and a commit; what failed of them, or CDC_OK. */
static int one_commit(struct rig *rig, const char *position)
{
    int rc = rig_write(rig, 10);
    return rc < 0 ? rc : rig_commit(rig, position);
}

static void test_fault(void **state)
{
    const struct fault *row = *state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "before"));
    push(&rig, row->api, row->code, row->times);
    int rc = one_commit(&rig, "during");
    if (row->survives) {
        rig_must(&rig, rc);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        if (rig.err.action != row->action)
            fail_msg("action %d: %s", rig.err.action, rig.err.message);
        assert_int_equal(rig_commit(&rig, "again"), CDC_FAIL); /* only recover may follow */
    }
    rd_kafka_mock_clear_request_errors(rig.mock, (int16_t)row->api);
    rig_must(&rig, rig_recover(&rig));
    rig_must(&rig, one_commit(&rig, "after"));
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "after");
    rig_done(&rig);
}

/* The transaction fails while rows are written, and no report says why: a refusal stays one. */
static void test_fails_between_rows(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "before"));
    push(&rig, ADD_PARTITIONS, E(TOPIC_AUTHORIZATION_FAILED), 1);
    int64_t until = cdc_mono_us() + 10000000;
    int rc = CDC_OK;
    while (rc == CDC_OK && cdc_mono_us() < until) {
        rc = rig_write(&rig, 1);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_int_equal(rc, CDC_FAIL);
    if (rig.err.action != CDC_OPERATOR)
        fail_msg("action %d: %s", rig.err.action, rig.err.message);
    rig_done(&rig);
}

static const struct fault starts[] = {
    {"start: loading", INIT, E(COORDINATOR_LOAD_IN_PROGRESS), 2, true, 0},
    {"start: no right on the id", INIT, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 1, false,
     CDC_OPERATOR},
    {"start: timeout too large", INIT, E(INVALID_TRANSACTION_TIMEOUT), 1, false, CDC_OPERATOR},
    {"start: fenced", INIT, E(PRODUCER_FENCED), 1, false, CDC_REWIND},
};

static void test_start(void **state)
{
    const struct fault *row = *state;
    struct rig rig;
    rig_init(&rig, "", "", true);
    push(&rig, row->api, row->code, row->times);
    int rc = rig_recover(&rig);
    if (row->survives) {
        rig_must(&rig, rc);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(rig.err.action, row->action);
        rig_must(&rig, rig_recover(&rig));
    }
    rig_must(&rig, one_commit(&rig, "after"));
    rig_done(&rig);
}

/* A connection that broke during a commit that succeeded: the next transaction has a new producer.
 */
static void test_disturbed(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "before"));
    push(&rig, PRODUCE, E(_TRANSPORT), 1);
    rig_must(&rig, one_commit(&rig, "during"));
    assert_int_equal(rig_write(&rig, 1), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND);
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "during");
    rig_must(&rig, one_commit(&rig, "after"));
    rig_must(&rig, one_commit(&rig, "later"));
    rig_done(&rig);
}

static void test_no_broker(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, rig_write(&rig, 5));
    assert_int_equal(rd_kafka_mock_broker_set_down(rig.mock, 1), 0);
    cdc_sink_kafka.wake(&rig.kf->base);
    assert_int_equal(rig_commit(&rig, "never"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_RETRY);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_RETRY);
    rig_done(&rig);
}

/* ---- fences ---- */

/* What another instance would leave there: its owner record. */
static void another_owner(struct rig *rig)
{
    struct kfk_owner owner = {.host = "elsewhere", .pid = 4711, .at_us = 1};
    struct cdc_buf v = CDC_BUF(512);
    strcpy(owner.instance, "00000000deadbeef");
    kfk_owner_make(&owner, &v);
    rig_must(rig, kfk_producer_begin(rig->kf, &rig->err));
    rig_must(rig, kfk_put_key(rig->kf, cdc_slice_str(KFK_OWNER), cdc_buf_slice(&v), &rig->err));
    rig_must(rig, kfk_finish(rig->kf, false, &rig->err));
    cdc_buf_done(&v);
}

static void test_fenced_by_another(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    another_owner(&rig);
    push(&rig, END_TXN, E(PRODUCER_FENCED), 1);
    assert_int_equal(one_commit(&rig, "no"), CDC_FAIL);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "4711"));
    assert_non_null(strstr(rig.err.message, "elsewhere"));
    assert_int_equal(rig_recover(&rig), CDC_FAIL); /* and it stays so */
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    rig_done(&rig);
}

/* Another's record does not matter to one that was not fenced: it takes over. */
static void test_takes_over(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    another_owner(&rig);
    rig_must(&rig, rig_recover(&rig));
    push(&rig, END_TXN, E(PRODUCER_FENCED), 1);
    assert_int_equal(one_commit(&rig, "no"), CDC_FAIL);
    rig_must(&rig, rig_recover(&rig)); /* our own timeout: the record is ours again */
    rig_done(&rig);
}

/* ---- where records go ---- */

static void test_range_and_tombstones(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_found found;
    rig_start(&rig, "", "deletes: hard");
    rig_must(&rig, rig_op(&rig, CDC_OP_RANGE, 1));
    rig_must(&rig, rig_op(&rig, CDC_OP_DELETE, 3));
    assert_int_equal(rig.kf->rows, RIG_PARTITIONS + 6);
    rig_must(&rig, rig_commit(&rig, "x"));
    rig_look(&rig, &found);
    assert_int_equal(found.n, RIG_PARTITIONS + 6);
    assert_int_equal(found.tombstones, 3);
    assert_int_equal(found.null_keys, 0);
    for (int p = 0; p < RIG_PARTITIONS; p++)
        assert_true(found.in[p] >= 1);
    rig_done(&rig);
}

static void test_without_key(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_found found;
    rig_init(&rig, "", "deletes: hard", false);
    rig_must(&rig, rig_recover(&rig));
    rig_must(&rig, rig_write(&rig, 3000));
    rig_must(&rig, rig_op(&rig, CDC_OP_RANGE, 1));
    rig_must(&rig, rig_commit(&rig, "x"));
    rig_look(&rig, &found);
    assert_int_equal(found.n, 3000 + RIG_PARTITIONS);
    assert_int_equal(found.null_keys, found.n);
    assert_int_equal(found.tombstones, 0);
    for (int p = 0; p < RIG_PARTITIONS; p++)
        assert_true(found.in[p] > 400);
    rig_done(&rig);
}

/* The schema's id is in front of the key's bytes; with key_fields it does not matter. */
static void test_partition_by_fields(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_found found;
    rig_start(&rig, "partition_by: key_fields", "");
    rig_must(&rig, rig_write(&rig, 200));
    rig_must(&rig, rig_commit(&rig, "x"));
    rig_look(&rig, &found);
    assert_int_equal(found.n, 200);
    assert_true(found.astray > 50);
    rig_done(&rig);
}

static void test_compacted(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "", "", false);
    rig_must(&rig, rig_recover(&rig));
    rig_must(&rig, rig_write(&rig, 1));
    rig.kf->topics[0]->compact = true;
    kfk_routes_drop(rig.kf);
    assert_int_equal(rig_write(&rig, 1), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "needs a key"));
    rig_done(&rig);
}

/* ---- records that are too large ---- */

static const struct size_row {
    const char *name, *policy;
    int64_t found; /* of a small, a large and a small record */
} size_rows[] = {
    {"oversized: fail", "fail", -1},
    {"oversized: drop", "drop", 2},
    {"oversized: placeholder", "placeholder", 3},
};

static void test_oversized(void **state)
{
    const struct size_row *row = *state;
    struct rig rig;
    struct rig_found found;
    char sink[128];
    snprintf(sink, sizeof sink, "oversized: %s, properties: {message.max.bytes: '20000'}",
             row->policy);
    rig_start(&rig, sink, "");
    rig_must(&rig, rig_write(&rig, 1));
    rig.word = 30000;
    int rc = rig_write(&rig, 1);
    if (row->found < 0) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_non_null(strstr(rig.err.message, "public.words"));
        assert_non_null(strstr(rig.err.message, "oversized"));
    } else {
        rig_must(&rig, rc);
        rig.word = 4;
        rig_must(&rig, rig_write(&rig, 1));
        rig_must(&rig, rig_commit(&rig, "x"));
        rig_look(&rig, &found);
        assert_int_equal(found.n, row->found);
        assert_true(found.largest < 20000);
    }
    rig_done(&rig);
}

/* ---- topics that were lost ---- */

static const struct lost_row {
    const char *name, *policy;
    bool goes_on;
} lost_rows[] = {
    {"lost topic: refuse", "refuse", false},
    {"lost topic: continue", "continue", true},
};

static void test_lost_topic(void **state)
{
    const struct lost_row *row = *state;
    struct rig rig;
    char sink[64];
    snprintf(sink, sizeof sink, "on_lost_topic: %s", row->policy);
    rig_start(&rig, sink, "");
    rig_must(&rig, one_commit(&rig, "x"));
    rig.kf->topics[0]->state.ends[2] = 1000; /* it had more than it has */
    int rc = rig_recover(&rig);
    assert_int_equal(rc, row->goes_on ? CDC_OK : CDC_FAIL);
    if (row->goes_on) {
        rig_must(&rig, one_commit(&rig, "y"));
    } else {
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_string_equal(rig.err.where, "shop.public.words");
        assert_non_null(strstr(rig.err.message, "on_lost_topic"));
    }
    rig_done(&rig);
}

/* The same seen by a running instance: a report's offset is lower than one before. */
static void test_topic_made_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "x"));
    for (int p = 0; p < RIG_PARTITIONS; p++)
        rig.kf->topics[0]->state.ends[p] = 1000;
    assert_int_equal(one_commit(&rig, "y"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    rig_done(&rig);
}

static void test_control_made_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "x"));
    rig.kf->prod->control_end += 1000; /* it had more than it has */
    assert_int_equal(one_commit(&rig, "y"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND);
    rig.kf->txn += 100; /* and transactions that are not there */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rig_recover(&rig), CDC_FAIL);
        assert_int_equal(rig.err.action, i < 2 ? CDC_RETRY : CDC_OPERATOR);
        assert_string_equal(rig.err.where, "_sidestream.shop");
        if (i == 1) /* for as long as a broker may not know that it leads no more */
            rig.kf->behind_us -= 60000000;
    }
    rig.kf->txn -= 100; /* it was the view of one broker alone */
    rig_must(&rig, rig_recover(&rig));
    assert_int_equal(rig.kf->behind_us, 0);
    rig_done(&rig);
}

/* ---- a producer that waits looks whether its topics are there ---- */

static const struct wait_row {
    const char *name, *gone; /* the topic that metadata do not know any more */
    rd_kafka_resp_err_t code;
    int times;
    bool survives;
} wait_rows[] = {
    {"waiting: topic deleted", "shop.public.words", E(UNKNOWN_TOPIC_OR_PART), 64, false},
    {"waiting: control topic deleted", "_sidestream.shop", E(UNKNOWN_TOPIC_OR_PART), 64, false},
    {"waiting: known in a moment", NULL, E(UNKNOWN_TOPIC_OR_PART), 5, true},
    {"waiting: for the coordinator", NULL, E(COORDINATOR_LOAD_IN_PROGRESS), 5, true},
};

/* librdkafka repeats AddPartitionsToTxn without an end: only who looks knows before the time is up.
 */
static void test_waiting(void **state)
{
    const struct wait_row *row = *state;
    struct rig rig;
    rig_start(&rig, "transaction_timeout: 300s", "");
    rig_must(&rig, one_commit(&rig, "before"));
    if (row->gone)
        rd_kafka_mock_topic_set_error(rig.mock, row->gone, E(UNKNOWN_TOPIC_OR_PART));
    push(&rig, ADD_PARTITIONS, row->code, row->times);
    int64_t began = cdc_mono_us();
    int rc = one_commit(&rig, "during");
    if (row->survives) {
        assert_true(cdc_mono_us() - began > 1000000); /* else nobody looked */
        rig_must(&rig, rc);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_REWIND);
        assert_string_equal(rig.err.where, row->gone);
        rd_kafka_mock_clear_request_errors(rig.mock, ADD_PARTITIONS);
        assert_int_equal(rig_recover(&rig), CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_string_equal(rig.err.where, row->gone);
        rd_kafka_mock_topic_set_error(rig.mock, row->gone, 0); /* it was only not known there */
        rig_must(&rig, rig_recover(&rig));
    }
    rig_must(&rig, one_commit(&rig, "after"));
    rig_done(&rig);
}

/* The ends are in the control topic: another process knows them too. */
static void test_ends_are_saved(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "", "");
    rig_must(&rig, one_commit(&rig, "x"));
    rig.kf->saved_us = 0; /* as if ten seconds had passed */
    rig_must(&rig, one_commit(&rig, "y"));
    cdc_sink_kafka.close(&rig.kf->base);
    rig_open(&rig);
    rig_must(&rig, rig_recover(&rig));
    assert_int_equal(rig.kf->n_topics, 1);
    assert_int_equal(rig.kf->topics[0]->state.partitions, RIG_PARTITIONS);
    assert_string_equal(rig.kf->topics[0]->state.tables[0], "public.words");
    int64_t sum = 0;
    for (int p = 0; p < RIG_PARTITIONS; p++)
        sum += rig.kf->topics[0]->state.ends[p];
    assert_true(sum >= 10);
    rig_done(&rig);
}

int main(void)
{
    struct CMUnitTest tests[96], *to = tests;
    const struct CMUnitTest plain[] = {
        cmocka_unit_test(test_commit_and_read_back),
        cmocka_unit_test(test_nothing_to_commit),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_disturbed),
        cmocka_unit_test(test_no_broker),
        cmocka_unit_test(test_fenced_by_another),
        cmocka_unit_test(test_takes_over),
        cmocka_unit_test(test_range_and_tombstones),
        cmocka_unit_test(test_without_key),
        cmocka_unit_test(test_partition_by_fields),
        cmocka_unit_test(test_compacted),
        cmocka_unit_test(test_fails_between_rows),
        cmocka_unit_test(test_topic_made_again),
        cmocka_unit_test(test_control_made_again),
        cmocka_unit_test(test_ends_are_saved),
    };
    for (size_t i = 0; i < CM_COUNT(plain); i++)
        *to++ = plain[i];
    to = CM_ROWS(to, test_fault, faults);
    to = CM_ROWS(to, test_start, starts);
    to = CM_ROWS(to, test_oversized, size_rows);
    to = CM_ROWS(to, test_lost_topic, lost_rows);
    to = CM_ROWS(to, test_waiting, wait_rows);
    if (getenv("KAFKA_TEST"))
        cmocka_set_test_filter(getenv("KAFKA_TEST"));
    return _cmocka_run_group_tests("kafka sink", tests, (size_t)(to - tests), NULL, NULL);
}
