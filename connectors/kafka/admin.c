/*
 * admin.c - the admin requests: make a topic, learn what its configuration allows.
 *
 * Asked over a reader's handle, since `check` and recovery have no producer yet. No handle of ours
 * lets the broker make a topic by itself, with its default partitions (allow.auto.create.topics).
 */
#include "kafka.h"

#include <stdio.h>
#include <stdlib.h>

#define CREATE_MS   10000
#define SLICE_MS    200
#define AWAIT_US    INT64_C(10000000)
#define DEFAULT_MAX 1048588 /* Kafka's default of max.message.bytes */

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t op, int ms)
{
    char text[128];
    rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(rk, op);
    (void)rd_kafka_AdminOptions_set_request_timeout(opt, ms, text, sizeof text);
    return opt;
}

/* The answer, or NULL when it did not come or there was no more time for it. */
static rd_kafka_event_t *await_event(struct kfk_reader *rd, rd_kafka_queue_t *queue, int ms)
{
    int64_t deadline = cdc_mono_us() + (ms + 1000) * INT64_C(1000);
    rd_kafka_event_t *event = NULL;
    while (!event && cdc_mono_us() < deadline && !(rd->woken && atomic_load(rd->woken)))
        event = rd_kafka_queue_poll(queue, SLICE_MS);
    return event;
}

/* ---- making ---- */

static int wait_until_known(struct kfk_reader *rd, const char *topic, struct cdc_error *err)
{
    int64_t deadline = cdc_mono_us() + AWAIT_US;
    int32_t n;
    int rc;
    while ((rc = kfk_reader_partitions(rd, topic, &n, err)) == CDC_END &&
           cdc_mono_us() < deadline && !(rd->woken && atomic_load(rd->woken)))
        rd_kafka_poll(rd->rk, 20); /* no more than a pause: brokers learn of it one by one */
    if (rc == CDC_END)
        return cdc_fail(err, CDC_RETRY, topic, "the topic was made and no broker shows it yet");
    return rc;
}

static rd_kafka_NewTopic_t *new_topic(const struct kfk_wish *wish, struct cdc_error *err)
{
    char text[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(wish->name, wish->partitions, wish->replication, text, sizeof text);
    if (!topic) {
        (void)cdc_fail(err, CDC_CONFIG, wish->name, "cannot make the topic: %s", text);
        return NULL;
    }
    for (size_t i = 0; i < wish->n_config; i++)
        (void)rd_kafka_NewTopic_set_config(topic, wish->config[i].name, wish->config[i].text);
    return topic;
}

static int judge_created(const struct kfk_reader *rd, rd_kafka_event_t *event,
                         const struct kfk_wish *wish, struct cdc_error *err)
{
    struct kfk_event why = rd->event;
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const char *text = event ? rd_kafka_event_error_string(event) : NULL;
    size_t n = 0;
    if (code == 0) {
        const rd_kafka_topic_result_t **res =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        code = n > 0 ? rd_kafka_topic_result_error(res[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
        text = n > 0 ? rd_kafka_topic_result_error_string(res[0]) : NULL;
    }
    if (code == 0 || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return CDC_OK;
    if (text) {
        why.code = code;
        snprintf(why.text, sizeof why.text, "%.255s", text);
    }
    return kfk_fail(&(struct kfk_failure){.code = code,
                                          .where = wish->name,
                                          .what = "cannot make the topic",
                                          .event = &why,
                                          .brokers = rd->brokers,
                                          .known = rd->known},
                    err);
}

int kfk_admin_create(struct kfk_reader *rd, const struct kfk_wish *wish, struct cdc_error *err)
{
    rd_kafka_NewTopic_t *topic = new_topic(wish, err);
    if (!topic)
        return CDC_FAIL;
    char text[128];
    rd_kafka_AdminOptions_t *opt = admin_options(rd->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, CREATE_MS);
    (void)rd_kafka_AdminOptions_set_validate_only(opt, wish->dry, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rd->rk);
    rd_kafka_CreateTopics(rd->rk, &topic, 1, opt, queue);
    rd_kafka_event_t *event = await_event(rd, queue, CREATE_MS);
    rd_kafka_poll(rd->rk, 0);
    int rc = judge_created(rd, event, wish, err);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_NewTopic_destroy(topic);
    return rc == CDC_OK && !wish->dry ? wait_until_known(rd, wish->name, err) : rc;
}

/* ---- describing ---- */

static const char *entry(const rd_kafka_ConfigResource_t *res, const char *name)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **all = rd_kafka_ConfigResource_configs(res, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(all[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(all[i]);
    return NULL;
}

static void read_topic(const rd_kafka_ConfigResource_t *res, struct kfk_described *ret)
{
    const char *max = entry(res, "max.message.bytes"), *policy = entry(res, "cleanup.policy");
    if (rd_kafka_ConfigResource_error(res) || !max || !policy)
        return;
    ret->known = true;
    ret->max_bytes = (size_t)strtoull(max, NULL, 10);
    ret->compact = strstr(policy, "compact") != NULL;
    ret->only_compact = strcmp(policy, "compact") == 0;
}

/* Sends the request and waits; *ret_n resources of the event, which the caller destroys. */
static rd_kafka_event_t *ask_configs(struct kfk_reader *rd, rd_kafka_ConfigResource_t **what,
                                     size_t n, const rd_kafka_ConfigResource_t ***ret,
                                     size_t *ret_n)
{
    rd_kafka_AdminOptions_t *opt =
        admin_options(rd->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, rd->describe_ms);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rd->rk);
    rd_kafka_DescribeConfigs(rd->rk, what, n, opt, queue);
    rd_kafka_event_t *event = await_event(rd, queue, rd->describe_ms);
    *ret_n = 0;
    if (event && rd_kafka_event_error(event) == 0)
        *ret = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), ret_n);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    return event;
}

static void match(const rd_kafka_ConfigResource_t *res, const char *const *topics, size_t n,
                  struct kfk_described *ret)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rd_kafka_ConfigResource_name(res), topics[i]) == 0)
            read_topic(res, &ret[i]);
}

void kfk_admin_describe(struct kfk_reader *rd, const char *const *topics, size_t n,
                        struct kfk_described *ret)
{
    const rd_kafka_ConfigResource_t **res = NULL;
    rd_kafka_ConfigResource_t **what = calloc(n + 1, sizeof(rd_kafka_ConfigResource_t *));
    size_t n_res = 0;
    for (size_t i = 0; i < n; i++)
        ret[i] = (struct kfk_described){.max_bytes = DEFAULT_MAX};
    if (!what || rd->describe_ms == 0) {
        free(what);
        return;
    }
    for (size_t i = 0; i < n; i++)
        what[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    rd_kafka_event_t *event = ask_configs(rd, what, n, &res, &n_res);
    for (size_t i = 0; i < n_res; i++)
        match(res[i], topics, n, ret);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(what, n);
    free(what);
}

bool kfk_admin_broker_number(struct kfk_reader *rd, int32_t broker, const char *name, int64_t *ret)
{
    const rd_kafka_ConfigResource_t **res = NULL;
    char id[16];
    size_t n = 0;
    snprintf(id, sizeof id, "%d", (int)broker);
    rd_kafka_ConfigResource_t *what = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, id);
    rd_kafka_event_t *event = ask_configs(rd, &what, 1, &res, &n);
    const char *text = n > 0 && !rd_kafka_ConfigResource_error(res[0]) ? entry(res[0], name) : NULL;
    if (text)
        *ret = strtoll(text, NULL, 10);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(what);
    return text != NULL;
}
