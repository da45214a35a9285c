/*
 * fuzz_config.c - any bytes as a configuration: no crash, no leak, and whoever fails says where.
 * Corpus: tests/data/config/. A ${file:} could open anything, so it is made harmless first.
 */
#include <stdlib.h>

#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cdc_buf text = CDC_BUF(CDC_SETTINGS_MAX);
    cdc_buf_put(&text, data, size);
    for (uint8_t *p = text.p; text.len >= 5 && p <= text.p + text.len - 5; p++)
        if (memcmp(p, "file:", 5) == 0)
            memcpy(p, "fuzz:", 5);

    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    int rc = cdc_settings_parse(cdc_buf_slice(&text), "fuzz.yaml", &set, &err);
    if (rc == CDC_OK) {
        const struct cdc_rule *rules;
        size_t n = cdc_capture_rules(set->config.capture, &rules);
        cdc_capture_match(set->config.capture, "public", n ? rules[0].tables : "users");
    } else if (!*err.message || (err.action == CDC_CONFIG && !*err.where)) {
        abort();
    }
    cdc_settings_free(set);
    cdc_buf_done(&text);
    return 0;
}
