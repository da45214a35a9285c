/*
 * test_contract_kafka.c - the sink contract suite over a real broker: KAFKA_BROKERS says where.
 * Each test has a pipeline, and so topics, of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../contract/contract.h"
#include "../unit/cm.h"
#include "base/log.h"

static int serial;

static void up(struct cdc_settings **ret)
{
    char text[1024];
    snprintf(text, sizeof text,
             "name: contract_%ld_%d\nsource: {type: example}\n"
             "capture:\n  - {tables: 'public.*', snapshot: never, envelope: row}\n"
             "sink: {type: kafka, brokers: '%s', partitions: 3}\n",
             (long)getpid(), ++serial, getenv("KAFKA_BROKERS"));
    struct cdc_error err = {0};
    if (cdc_settings_parse(cdc_slice_str(text), "contract.yaml", ret, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
}

int main(void)
{
    if (!getenv("KAFKA_BROKERS")) {
        fputs("KAFKA_BROKERS is not set (host:port of a broker)\n", stderr);
        return 1;
    }
    cdc_log_setup(getenv("VERBOSE") ? CDC_LOG_DEBUG : CDC_LOG_ERROR, false, "test");
    const struct sink_fixture fix = {"sink contract: kafka", cdc_sink_find("kafka"), up, NULL};
    return sink_contract(&fix);
}
