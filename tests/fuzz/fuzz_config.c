/*
 * fuzz_config.c - any bytes as a configuration: no crash, no leak, and whoever fails says where.
 * Corpus: tests/data/config/. A ${file:} could open anything, so it is made harmless first.
 */
#include <stdlib.h>

#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A rule that was read answers for every name it mentions, and for others. */
static void use_rule(const struct cdc_rule *rule)
{
    if (strlen(rule->hash) != 64 || (rule->topic && !*rule->topic) ||
        rule->on_incompatible > CDC_INCOMPATIBLE_FORCE)
        abort();
    for (const char *const *name = cdc_rule_mentions(rule); *name; name++) {
        struct cdc_column_rule said = cdc_rule_key_column(rule, *name);
        if ((said.act == CDC_COLUMN_TRUNCATE) != (said.limit > 0))
            abort();
    }
    for (size_t i = 0; i < rule->n_key; i++)
        if (cdc_key_act_refused(cdc_rule_key_column(rule, rule->key[i]).act))
            abort();
    if (cdc_rule_column(rule, "email").act == CDC_COLUMN_HASH && !rule->hash_key.p && !rule->skip)
        abort();
}

/* What was taken of `registry:` and `http:` can be used. */
static void use_services(const struct cdc_settings *set)
{
    const char *const *urls;
    const struct cdc_section *reg = set->registry;
    size_t n = cdc_get_list(reg, "url", &urls);
    bool asks = cdc_get_choice(reg, "type") == CDC_REGISTRY_HTTP;
    if (asks != (n > 0) || (cdc_get_string(reg, "token") && cdc_get_string(reg, "username")))
        abort();
    for (size_t i = 0; i < n; i++)
        if (strncmp(urls[i], "http", 4) != 0 || strchr(urls[i], '?'))
            abort();
    if (set->http && (!strrchr(cdc_get_string(set->http, "listen"), ':') ||
                      (cdc_given(set->http, "token") && !*cdc_get_string(set->http, "token"))))
        abort();
}

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
        use_services(set);
        const struct cdc_rule *rules;
        size_t n = cdc_capture_rules(set->config.capture, &rules);
        cdc_capture_match(set->config.capture, "public", n ? rules[0].tables : "users");
        for (size_t i = 0; i < n; i++)
            use_rule(&rules[i]);
        if (cdc_capture_message(set->config.capture, "audit") &&
            !cdc_capture_messages(set->config.capture))
            abort();
    } else if (!*err.message || (err.action == CDC_CONFIG && !*err.where)) {
        abort();
    }
    cdc_settings_free(set);
    cdc_buf_done(&text);
    return 0;
}
