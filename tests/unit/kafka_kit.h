/*
 * kafka_kit.h - settings of a Kafka sink as a configuration gives them, for the tests of its parts.
 */
#ifndef TESTS_KAFKA_KIT_H
#define TESTS_KAFKA_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "../../connectors/kafka/kafka.h"
#include "config/settings.h"
#include "rows.h"

/* `sink`: its options in YAML's flow form, `rules`: of the capture rule. CDC_FAIL: *err. */
static inline int kit_try(const char *sink, const char *rule, struct cdc_settings **ret,
                          struct kfk_settings *set, struct cdc_error *err)
{
    char yaml[2048];
    snprintf(yaml, sizeof yaml,
             "name: shop\nsource: {type: example}\n"
             "capture:\n  - {tables: '*.*', snapshot: never%s%s}\n"
             "sink: {type: kafka%s%s%s}\n",
             *rule ? ", " : "", rule, strstr(sink, "brokers:") ? "" : ", brokers: '127.0.0.1:1'",
             *sink ? ", " : "", sink);
    if (cdc_settings_parse(cdc_slice_str(yaml), "kafka.yaml", ret, err) < 0)
        fail_msg("%s: %s", err->where, err->message);
    return kfk_settings_read(&(*ret)->config, set, err);
}

static inline struct cdc_settings *kit_settings(const char *sink, const char *rule,
                                                struct kfk_settings *set)
{
    struct cdc_settings *ret = NULL;
    struct cdc_error err;
    if (kit_try(sink, rule, &ret, set, &err) < 0)
        fail_msg("%s: %s", err.where, err.message);
    return ret;
}

#endif
