/*
 * test_kafka_refused.c - records that only the broker knows to be too large: smaller batches first,
 * then each is met by policy, however many there are and whatever is known of the topic.
 */
#include "kafka_rig.h"

#include <time.h>

#define TOO_LARGE RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
#define PRODUCE   0

static void push(struct rig *rig)
{
    rd_kafka_resp_err_t codes[8];
    for (size_t i = 0; i < CM_COUNT(codes); i++)
        codes[i] = TOO_LARGE;
    rd_kafka_mock_push_request_errors_array(rig->mock, PRODUCE, CM_COUNT(codes), codes);
}

/* Rows and a commit, which the broker refuses; then it goes on. */
static void refuse(struct rig *rig, int rows)
{
    int64_t first = rig->next;
    push(rig);
    assert_int_equal(rig_write(rig, rows) < 0 ? CDC_FAIL : rig_commit(rig, "x"), CDC_FAIL);
    assert_int_equal(rig->err.action, CDC_REWIND);
    rd_kafka_mock_clear_request_errors(rig->mock, PRODUCE);
    rig_must(rig, rig_recover(rig));
    rig->next = first;
}

/* With batches of one large record: what is refused now is that record. */
static void start(struct rig *rig, const char *sink)
{
    rig_start(rig, sink, "");
    refuse(rig, 10);
    assert_int_equal(rig->kf->set.batch_bytes, KFK_BATCH_MIN);
    assert_int_equal(rig->kf->n_refused, 0);
    rig->word = 18000;
}

static void test_drop(void **state)
{
    (void)state;
    struct rig rig;
    start(&rig, "oversized: drop");
    refuse(&rig, 1);
    assert_int_equal(rig.kf->n_refused, 1);
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 0); /* left out, and said so */
    rig.next = 2;
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 1);
    rig.kf->refused[0].bytes *= 2; /* a smaller record of the same __seq was not it */
    rig.next = 1;
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 2);
    rig_must(&rig, rig_commit(&rig, "y"));
    assert_int_equal(rig.kf->n_refused, 0); /* what is committed does not come again */
    rig_done(&rig);
}

/* Nobody may ask for the topic's limit: what was refused must become smaller than it was. */
static void test_placeholder(void **state)
{
    (void)state;
    struct rig rig;
    start(&rig, "oversized: placeholder");
    refuse(&rig, 1);
    assert_false(rig.kf->topics[0]->described);
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 1);
    assert_true(rig.kf->bytes < 1000);
    rig_must(&rig, rig_commit(&rig, "y"));
    rig_done(&rig);
}

/* The transaction knows that it has failed before the report is served that says by what. */
static void test_report_comes_later(void **state)
{
    (void)state;
    struct rig rig;
    start(&rig, "oversized: drop");
    push(&rig);
    rig_must(&rig, rig_write(&rig, 1));
    nanosleep(&(struct timespec){.tv_nsec = 500000000},
              NULL); /* the broker answers, and nobody asks */
    assert_int_equal(rig.kf->prod->trouble.refused, 0);
    assert_int_equal(kfk_producer_fail(rig.kf, RD_KAFKA_RESP_ERR__STATE, "", "x", &rig.err),
                     CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND);
    assert_int_equal(rig.kf->n_refused, 1);
    rig_done(&rig);
}

/* What a report of the broker's leaves behind. */
static int told(struct rig *rig, struct kfk_topic *topic, int64_t place, size_t bytes)
{
    struct kfk_trouble *trouble = &rig->kf->prod->trouble;
    *trouble = (struct kfk_trouble){
        .code = TOO_LARGE, .topic = topic, .control = !topic, .bytes = bytes, .refused = 1};
    snprintf(trouble->seq, sizeof trouble->seq, "00000001-%024llx-000000000001", (long long)place);
    return kfk_producer_fail(rig->kf, TOO_LARGE, "", "refused", &rig->err);
}

static void test_many(void **state)
{
    (void)state;
    struct rig rig;
    start(&rig, "oversized: drop");
    rig_must(&rig, rig_write(&rig, 1));
    rig_must(&rig, rig_commit(&rig, "y"));
    for (int64_t place = 1; place <= 300; place++) {
        assert_int_equal(told(&rig, rig.kf->topics[0], place, 15000), CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_REWIND);
    }
    rig_must(&rig, rig_recover(&rig));
    rig.next = 300;
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 0);
    rig.next = 301;
    rig_must(&rig, rig_write(&rig, 1));
    assert_int_equal(rig.kf->rows, 1);
    rig_done(&rig);
}

/* ---- which record it was ---- */

#define LOG  "00000001-000000000000000000000010-000000000001"
#define READ "00000001-000000000000000000000010-f00000000001"
#define NEXT "00000001-000000000000000000000020-f00000000001"

static const struct known_row {
    const char *name, *refused, *seq;
    uint32_t key;
    size_t bytes, at;
} known_rows[] = {
    {"of the log", LOG, LOG, 7, 15000, 15000},
    {"a little smaller, by its time", LOG, LOG, 7, 14990, 15000},
    {"the other half of a key change", LOG, LOG, 7, 900, SIZE_MAX},
    {"another place", LOG, "00000001-000000000000000000000011-000000000001", 7, 15000, SIZE_MAX},
    {"read again under another look", READ, NEXT, 7, 15003, 15000},
    {"another row of that round", READ, READ, 8, 15000, SIZE_MAX},
    {"the row has shrunk", READ, NEXT, 7, 14000, SIZE_MAX},
    {"the row has grown", READ, NEXT, 7, 15100, SIZE_MAX},
    {"the same row, out of the log", READ, LOG, 7, 15000, SIZE_MAX},
};

static void learn(struct kafka *kf, const struct kfk_topic *topic, const char *seq, size_t bytes)
{
    struct kfk_trouble trouble = {
        .topic = (struct kfk_topic *)(uintptr_t)topic, .bytes = bytes, .key = 7};
    memcpy(trouble.seq, seq, CDC_SEQ_LEN);
    kfk_refused_learn(kf, &trouble);
}

static size_t at(struct kafka *kf, const struct kfk_topic *topic, const struct known_row *row)
{
    struct kfk_refused rec = {.topic = topic, .bytes = row->bytes, .key = row->key};
    memcpy(rec.seq, row->seq, CDC_SEQ_LEN);
    return kfk_refused_at(kf, &rec);
}

static void test_known(void **state)
{
    (void)state;
    const struct kfk_topic topic = {.name = "t"}, other = {.name = "o"};
    for (size_t i = 0; i < CM_COUNT(known_rows); i++) {
        const struct known_row *row = &known_rows[i];
        struct kafka kf = {.n_refused = 0};
        learn(&kf, &topic, row->refused, 15000);
        if (at(&kf, &topic, row) != row->at)
            fail_msg("%s", row->name);
        assert_int_equal(at(&kf, &other, row), SIZE_MAX);
        if (row->at != SIZE_MAX) { /* its placeholder was refused, too */
            learn(&kf, &topic, row->refused, 300);
            assert_int_equal(at(&kf, &topic, row), 300);
        }
        free(kf.refused);
    }
}

/* All rows of a round have one __seq: what stands before the record is committed without it. */
static void test_until_met(void **state)
{
    (void)state;
    static const char *const seqs[] = {LOG, READ};
    const struct kfk_topic topic = {.name = "t"};
    for (size_t i = 0; i < CM_COUNT(seqs); i++) {
        const struct known_row row = {.seq = seqs[i], .key = 7, .bytes = 15000};
        struct kafka kf = {.n_refused = 0};
        learn(&kf, &topic, seqs[i], 15000);
        memcpy(kf.seq, seqs[i], CDC_SEQ_LEN);
        kfk_refused_committed(&kf);
        assert_int_equal(at(&kf, &topic, &row), 15000); /* met, and not committed */
        kfk_refused_rewind(&kf);
        kfk_refused_committed(&kf); /* the owner record */
        assert_int_equal(at(&kf, &topic, &row), 15000);
        kfk_refused_committed(&kf);
        assert_int_equal(at(&kf, &topic, &row), SIZE_MAX);
        assert_int_equal(kf.n_refused, 0);
        free(kf.refused);
    }
}

/* No policy is for the checkpoint: a person must act, and is not asked over and over. */
static void test_checkpoint(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "oversized: drop", "");
    assert_int_equal(told(&rig, NULL, 1, 9000000), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND); /* was it only the batch? */
    rig_must(&rig, rig_recover(&rig));
    assert_int_equal(told(&rig, NULL, 1, 9000000), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_string_equal(rig.err.where, "_sidestream.shop");
    assert_non_null(strstr(rig.err.message, "9000000"));
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_placeholder),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_report_comes_later),
        cmocka_unit_test(test_until_met),
        cmocka_unit_test(test_checkpoint),
    };
    return cmocka_run_group_tests_name("kafka refused", tests, NULL, NULL);
}
