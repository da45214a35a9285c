/*
 * capture.h - reading `capture:` into rules. Matching is in cdc/config.h.
 *
 *   capture.c       the list: rules, messages, who takes what
 *   rule.c          one rule, and its hash
 *   columns_read.c  what a rule says of columns
 *   columns.c       what that comes to for one column
 */
#ifndef CDC_CONFIG_CAPTURE_H
#define CDC_CONFIG_CAPTURE_H

#include "cdc/config.h"
#include "config/node.h"

#define CDC_HASH_KEY_MIN 16 /* bytes of secrets.hash */

/* What holds for rules that do not say it themselves. */
struct cdc_rule_defaults {
    struct cdc_slice hash_key; /* secrets.hash; p == NULL: none. Lives as long as the doc's arena */
    bool envelope_given;       /* at the top of the file */
    const char *source;        /* the source's type */
    bool copies;               /* ... which can copy rows that were there before */
    enum cdc_incompatible on_incompatible;
};

CDC_CHECK int cdc_capture_read(const struct cdc_doc *doc, const struct cdc_entry *entry,
                               const struct cdc_rule_defaults *defaults, struct cdc_capture **ret,
                               struct cdc_error *err);

/* The first rule that matches, also one that says skip; NULL: none. */
const struct cdc_rule *cdc_capture_find(const struct cdc_capture *capture, const char *schema,
                                        const char *table);

/* Is the rule about one table only, by its name? */
bool cdc_rule_single(const struct cdc_rule *rule);

/* A rule and how it is matched; rule.c fills both. */
struct cdc_pattern {
    const char *schema, *table;
};
struct cdc_taker {
    struct cdc_pattern pattern;
    struct cdc_rule *rule;
};
CDC_CHECK int cdc_rule_read(const struct cdc_doc *doc, const struct cdc_node *node,
                            const struct cdc_rule_defaults *defaults, struct cdc_taker *ret,
                            struct cdc_error *err);

#endif
