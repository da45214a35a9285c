/*
 * errors.c - the one table from an error of librdkafka or the broker to what is done about it.
 *
 * Facts: kafka.md part 9. What librdkafka retries by itself (a broker that is down, a leader that
 * moves) shows as an event only and has no row: nothing is to be done. A code that is not in the
 * table leaves our state in doubt, which a new producer and a replay end.
 */
#include "kafka.h"

#define LOGIN_REMEDY                                                                               \
    "check sasl.username, sasl.password, sasl.mechanisms, security.protocol and ssl.ca.location "  \
    "in sink.properties"
#define TRANSACTIONAL_REMEDY                                                                       \
    "allow WRITE and DESCRIBE on the transactional id, which is the pipeline's `name`"
#define TOPIC_REMEDY                                                                               \
    "allow WRITE, DESCRIBE and (for topics that are made) CREATE on the pipeline's topics, and "   \
    "READ too on the control topic"

static const struct kfk_verdict verdicts[] = {
    {RD_KAFKA_RESP_ERR__FENCED, KFK_FENCED, ""},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KFK_FENCED, ""},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, KFK_FENCED, ""},
    {RD_KAFKA_RESP_ERR__TRANSPORT, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR__RESOLVE, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, KFK_RETRY, ""},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, KFK_RETRY,
     "fewer brokers run than sink.replication asks for"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, KFK_LOGIN, LOGIN_REMEDY},
    {RD_KAFKA_RESP_ERR__SSL, KFK_LOGIN, LOGIN_REMEDY},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, KFK_LOGIN, LOGIN_REMEDY},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, KFK_LOGIN, LOGIN_REMEDY},
    {RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, KFK_LOGIN, LOGIN_REMEDY},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KFK_STOP, TRANSACTIONAL_REMEDY},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, KFK_STOP, TOPIC_REMEDY},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KFK_STOP, TOPIC_REMEDY},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, KFK_STOP,
     "set sink.transaction_timeout to at most the broker's transaction.max.timeout.ms"},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, KFK_STOP, "the brokers are too old for transactions"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, KFK_STOP, "the brokers are too old for transactions"},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, KFK_STOP, "correct sink.topic_config"},
    {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, KFK_STOP, "correct sink.partitions"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KFK_STOP,
     "the cluster's policy for topics refuses: make the topic by hand"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KFK_RECORD, ""},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, KFK_STOP,
     "look at the topic's cleanup.policy and message.timestamp settings"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KFK_TOPIC, ""},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KFK_TOPIC, ""},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KFK_TOPIC, ""},
    {RD_KAFKA_RESP_ERR__INCONSISTENT, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR__FATAL, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR__STATE, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KFK_REWIND, ""},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, KFK_STOP,
     "Kafka does not take this name of a topic: set `topic` in the capture rule"},
};

static const struct kfk_verdict unknown = {RD_KAFKA_RESP_ERR_UNKNOWN, KFK_REWIND, ""};

const struct kfk_verdict *kfk_judge(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (verdicts[i].code == code)
            return &verdicts[i];
    return &unknown;
}

enum cdc_action kfk_action(enum kfk_act act, bool known)
{
    switch (act) {
    case KFK_RETRY: return CDC_RETRY;
    case KFK_LOGIN: return known ? CDC_RETRY : CDC_OPERATOR;
    case KFK_STOP: return CDC_OPERATOR;
    case KFK_REWIND:
    case KFK_FENCED:
    case KFK_RECORD:
    case KFK_TOPIC: break;
    }
    return CDC_REWIND;
}

int kfk_fail(const struct kfk_failure *failure, struct cdc_error *err)
{
    const struct kfk_verdict *verdict = kfk_judge(failure->code);
    const struct kfk_event *event = failure->event;
    bool more = event && event->code && *event->text;
    const char *where = failure->where && *failure->where ? failure->where : failure->brokers;
    return cdc_fail(err, kfk_action(verdict->act, failure->known), where, "%s: %s (%s)%s%s%s%s",
                    failure->what, rd_kafka_err2str(failure->code),
                    rd_kafka_err2name(failure->code), more ? "; last heard: " : "",
                    more ? event->text : "", *verdict->remedy ? ". Remedy: " : "", verdict->remedy);
}
