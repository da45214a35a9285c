/*
 * capture_rules.h - the rules of a YAML text that begins with `capture:`, for tests.
 */
#ifndef TESTS_CAPTURE_RULES_H
#define TESTS_CAPTURE_RULES_H

#include "cm.h"

#include "config/capture.h"

/* key: secrets.hash, or NULL. NULL: refused, *err says why. */
static inline struct cdc_capture *read_rules(struct cdc_arena *arena, const char *yaml,
                                             const char *key, struct cdc_error *err)
{
    struct cdc_doc doc = {.arena = arena, .path = "shop.yaml"};
    struct cdc_node *root = NULL;
    struct cdc_capture *capture = NULL;
    if (cdc_node_parse(&doc, cdc_slice_str(yaml), &root, err) != CDC_OK)
        fail_msg("%s: %s", err->where, err->message);
    struct cdc_rule_defaults defaults = {.hash_key = cdc_slice_str(key), .source = "example"};
    int rc = cdc_capture_read(&doc, &root->entries[0], &defaults, &capture, err);
    return rc == CDC_OK ? capture : NULL;
}

#endif
