/*
 * test_kafka_errors.c - the table of errors: each row is said here once more, by its meaning; and
 * what becomes of it in a message.
 */
#include "kafka_kit.h"

#define E(code) RD_KAFKA_RESP_ERR_##code

static const struct row {
    const char *name;
    rd_kafka_resp_err_t code;
    enum cdc_action first, known; /* before this process was ever connected, and after */
    bool remedy;
} rows[] = {
    {"fenced", E(_FENCED), CDC_REWIND, CDC_REWIND, false},
    {"epoch", E(INVALID_PRODUCER_EPOCH), CDC_REWIND, CDC_REWIND, false},
    {"producer fenced", E(PRODUCER_FENCED), CDC_REWIND, CDC_REWIND, false},
    {"transport", E(_TRANSPORT), CDC_RETRY, CDC_RETRY, false},
    {"all down", E(_ALL_BROKERS_DOWN), CDC_RETRY, CDC_RETRY, false},
    {"resolve", E(_RESOLVE), CDC_RETRY, CDC_RETRY, false},
    {"timed out", E(_TIMED_OUT), CDC_RETRY, CDC_RETRY, false},
    {"timed out in the queue", E(_TIMED_OUT_QUEUE), CDC_RETRY, CDC_RETRY, false},
    {"no leader", E(LEADER_NOT_AVAILABLE), CDC_RETRY, CDC_RETRY, false},
    {"not leader", E(NOT_LEADER_FOR_PARTITION), CDC_RETRY, CDC_RETRY, false},
    {"no coordinator", E(COORDINATOR_NOT_AVAILABLE), CDC_RETRY, CDC_RETRY, false},
    {"not coordinator", E(NOT_COORDINATOR), CDC_RETRY, CDC_RETRY, false},
    {"request timed out", E(REQUEST_TIMED_OUT), CDC_RETRY, CDC_RETRY, false},
    {"not enough replicas", E(NOT_ENOUGH_REPLICAS), CDC_RETRY, CDC_RETRY, false},
    {"not enough after", E(NOT_ENOUGH_REPLICAS_AFTER_APPEND), CDC_RETRY, CDC_RETRY, false},
    {"replication", E(INVALID_REPLICATION_FACTOR), CDC_RETRY, CDC_RETRY, true},
    {"authentication", E(_AUTHENTICATION), CDC_OPERATOR, CDC_RETRY, true},
    {"TLS", E(_SSL), CDC_OPERATOR, CDC_RETRY, true},
    {"SASL", E(SASL_AUTHENTICATION_FAILED), CDC_OPERATOR, CDC_RETRY, true},
    {"SASL mechanism", E(UNSUPPORTED_SASL_MECHANISM), CDC_OPERATOR, CDC_RETRY, true},
    {"SASL state", E(ILLEGAL_SASL_STATE), CDC_OPERATOR, CDC_RETRY, true},
    {"transactional id", E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), CDC_OPERATOR, CDC_OPERATOR,
     true},
    {"cluster right", E(CLUSTER_AUTHORIZATION_FAILED), CDC_OPERATOR, CDC_OPERATOR, true},
    {"topic right", E(TOPIC_AUTHORIZATION_FAILED), CDC_OPERATOR, CDC_OPERATOR, true},
    {"timeout too large", E(INVALID_TRANSACTION_TIMEOUT), CDC_OPERATOR, CDC_OPERATOR, true},
    {"old broker", E(UNSUPPORTED_VERSION), CDC_OPERATOR, CDC_OPERATOR, true},
    {"old broker, locally", E(_UNSUPPORTED_FEATURE), CDC_OPERATOR, CDC_OPERATOR, true},
    {"topic config", E(INVALID_CONFIG), CDC_OPERATOR, CDC_OPERATOR, true},
    {"partitions", E(INVALID_PARTITIONS), CDC_OPERATOR, CDC_OPERATOR, true},
    {"policy", E(POLICY_VIOLATION), CDC_OPERATOR, CDC_OPERATOR, true},
    {"topic name", E(TOPIC_EXCEPTION), CDC_OPERATOR, CDC_OPERATOR, true},
    {"record invalid", E(INVALID_RECORD), CDC_OPERATOR, CDC_OPERATOR, true},
    {"record too large", E(MSG_SIZE_TOO_LARGE), CDC_REWIND, CDC_REWIND, false},
    {"topic unknown", E(UNKNOWN_TOPIC_OR_PART), CDC_REWIND, CDC_REWIND, false},
    {"topic unknown, locally", E(_UNKNOWN_TOPIC), CDC_REWIND, CDC_REWIND, false},
    {"partition unknown", E(_UNKNOWN_PARTITION), CDC_REWIND, CDC_REWIND, false},
    {"inconsistent", E(_INCONSISTENT), CDC_REWIND, CDC_REWIND, false},
    {"message timed out", E(_MSG_TIMED_OUT), CDC_REWIND, CDC_REWIND, false},
    {"fatal", E(_FATAL), CDC_REWIND, CDC_REWIND, false},
    {"state", E(_STATE), CDC_REWIND, CDC_REWIND, false},
    {"storage", E(KAFKA_STORAGE_ERROR), CDC_REWIND, CDC_REWIND, false},
    {"sequence", E(OUT_OF_ORDER_SEQUENCE_NUMBER), CDC_REWIND, CDC_REWIND, false},
    {"producer id", E(UNKNOWN_PRODUCER_ID), CDC_REWIND, CDC_REWIND, false},
    {"producer id mapping", E(INVALID_PRODUCER_ID_MAPPING), CDC_REWIND, CDC_REWIND, false},
    {"transaction state", E(INVALID_TXN_STATE), CDC_REWIND, CDC_REWIND, false},
    {"concurrent", E(CONCURRENT_TRANSACTIONS), CDC_REWIND, CDC_REWIND, false},
    {"a code that the library does not know", (rd_kafka_resp_err_t)120, CDC_REWIND, CDC_REWIND,
     false},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct kfk_event event = {.code = row->code, .text = "what the broker said"};
    struct kfk_failure failure = {.code = row->code,
                                  .where = "",
                                  .what = "cannot do it",
                                  .brokers = "b:9092",
                                  .event = &event};
    for (int known = 0; known < 2; known++) {
        struct cdc_error err = {0};
        failure.known = known;
        assert_int_equal(kfk_fail(&failure, &err), CDC_FAIL);
        assert_int_equal(err.action, known ? row->known : row->first);
        assert_string_equal(err.where, "b:9092");
        assert_non_null(strstr(err.message, "cannot do it"));
        assert_non_null(strstr(err.message, "what the broker said"));
        assert_int_equal(strstr(err.message, "Remedy") != NULL, row->remedy);
    }
}

/* Fences are told apart by recover: that needs them to be known as such. */
static void test_acts(void **state)
{
    (void)state;
    assert_int_equal(kfk_judge(E(_FENCED))->act, KFK_FENCED);
    assert_int_equal(kfk_judge(E(INVALID_PRODUCER_EPOCH))->act, KFK_FENCED);
    assert_int_equal(kfk_judge(E(PRODUCER_FENCED))->act, KFK_FENCED);
    assert_int_equal(kfk_judge(E(MSG_SIZE_TOO_LARGE))->act, KFK_RECORD);
    assert_int_equal(kfk_judge(E(_UNKNOWN_PARTITION))->act, KFK_TOPIC);
}

int main(void)
{
    struct CMUnitTest tests[64], *to = tests;
    to = CM_ROWS(to, test_row, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_acts);
    return _cmocka_run_group_tests("kafka errors", tests, (size_t)(to - tests), NULL, NULL);
}
