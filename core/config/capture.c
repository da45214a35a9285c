/*
 * capture.c - the list of rules that say what is captured, and how.
 *
 * A pattern is split at its first dot; the left part is matched against the schema, the right part
 * against the table's name (which may hold further dots; a dot in a schema's name is written as
 * `?`). The first rule that matches takes the table.
 *
 * An entry `messages: [globs]` stands in the same list but takes logical messages, by their prefix;
 * among those entries, too, the first that matches decides (it may say skip).
 */
#include "config/capture.h"
#include "config/glob.h"
#include "config/section.h"
#include "config/settings.h"

struct messages {
    const char *const *prefixes;
    size_t n;
    bool skip;
};

struct cdc_capture {
    size_t n;
    struct cdc_rule *rules;
    struct cdc_pattern *patterns; /* one per rule */
    struct messages *messages;
    size_t n_messages;
};

static const struct cdc_option message_options[] = {
    {.name = "messages",
     .type = CDC_OPT_LIST,
     .flags = CDC_OPT_REQUIRED,
     .doc = "Patterns of the prefixes whose logical messages (pg_logical_emit_message) are "
            "captured, as rows of the table `_messages`. Without such an entry none is."},
    {.name = "skip",
     .type = CDC_OPT_BOOL,
     .dflt = "false",
     .doc = "Do not capture messages of these prefixes, whatever later entries say."},
    {0},
};

const struct cdc_option *cdc_capture_message_options(void)
{
    return message_options;
}

static int check_prefixes(const struct cdc_doc *doc, const struct cdc_entry *entry,
                          struct cdc_error *err)
{
    const struct cdc_node *list = entry->value;
    if (!list->n)
        return cdc_doc_fail(doc, entry->line, err,
                            "messages: names no prefix: leave the entry out, or write [\"*\"] for "
                            "all of them");
    for (size_t i = 0; i < list->n; i++) {
        const struct cdc_node *item = list->entries[i].value;
        const char *why = cdc_glob_error(item->text);
        if (why)
            return cdc_doc_fail(doc, item->line, err, "messages: \"%s\" %s", cdc_node_shown(item),
                                why);
    }
    return CDC_OK;
}

static int read_messages(const struct cdc_doc *doc, const struct cdc_node *node,
                         struct messages *ret, struct cdc_error *err)
{
    struct cdc_section_spec spec = {
        .options = message_options, .label = "capture", .map = node, .line = node->line};
    struct cdc_section *sec;
    const struct cdc_entry *tables = cdc_node_entry(node, "tables");
    if (tables)
        return cdc_doc_fail(doc, tables->line, err,
                            "tables and messages cannot stand in one entry: begin a new one with - "
                            "messages: [...]");
    if (cdc_section_read(doc, &spec, &sec, err) != CDC_OK ||
        check_prefixes(doc, cdc_section_entry(sec, "messages"), err) != CDC_OK)
        return CDC_FAIL;
    ret->n = cdc_get_list(sec, "messages", &ret->prefixes);
    ret->skip = cdc_get_bool(sec, "skip");
    return CDC_OK;
}

static int read_entry(const struct cdc_doc *doc, const struct cdc_node *node,
                      const struct cdc_rule_defaults *defaults, struct cdc_capture *capture,
                      struct cdc_error *err)
{
    if (node->kind != CDC_NODE_MAP)
        return cdc_doc_fail(doc, node->line, err,
                            "capture: each entry is a mapping: - tables: public.*");
    if (cdc_node_entry(node, "messages"))
        return read_messages(doc, node, &capture->messages[capture->n_messages++], err);
    struct cdc_taker taker = {.rule = &capture->rules[capture->n]};
    if (cdc_rule_read(doc, node, defaults, &taker, err) != CDC_OK)
        return CDC_FAIL;
    capture->patterns[capture->n++] = taker.pattern;
    return CDC_OK;
}

int cdc_capture_read(const struct cdc_doc *doc, const struct cdc_entry *entry,
                     const struct cdc_rule_defaults *defaults, struct cdc_capture **ret,
                     struct cdc_error *err)
{
    const struct cdc_node *list = entry->value;
    if (list->kind != CDC_NODE_LIST || !list->n)
        return cdc_doc_fail(doc, entry->line, err,
                            "capture: a list of rules is wanted, each like: - tables: public.*");
    struct cdc_capture *capture = cdc_arena_zalloc(doc->arena, sizeof *capture);
    if (!capture)
        return cdc_fail_oom(err);
    capture->rules = cdc_arena_zalloc(doc->arena, list->n * sizeof *capture->rules);
    capture->patterns = cdc_arena_zalloc(doc->arena, list->n * sizeof *capture->patterns);
    capture->messages = cdc_arena_zalloc(doc->arena, list->n * sizeof *capture->messages);
    if (!capture->rules || !capture->patterns || !capture->messages)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < list->n; i++)
        if (read_entry(doc, list->entries[i].value, defaults, capture, err) != CDC_OK)
            return CDC_FAIL;
    *ret = capture;
    return CDC_OK;
}

const struct cdc_rule *cdc_capture_find(const struct cdc_capture *capture, const char *schema,
                                        const char *table)
{
    for (size_t i = 0; i < capture->n; i++)
        if (cdc_glob_match(capture->patterns[i].schema, schema) &&
            cdc_glob_match(capture->patterns[i].table, table))
            return &capture->rules[i];
    return NULL;
}

const struct cdc_rule *cdc_capture_match(const struct cdc_capture *capture, const char *schema,
                                         const char *table)
{
    const struct cdc_rule *rule = cdc_capture_find(capture, schema, table);
    return rule && rule->skip ? NULL : rule;
}

size_t cdc_capture_rules(const struct cdc_capture *capture, const struct cdc_rule **ret)
{
    *ret = capture->rules;
    return capture->n;
}

bool cdc_rule_single(const struct cdc_rule *rule)
{
    return rule->tables && !strpbrk(rule->tables, "*?[\\");
}

bool cdc_capture_message(const struct cdc_capture *capture, const char *prefix)
{
    for (size_t i = 0; i < capture->n_messages; i++)
        for (size_t k = 0; k < capture->messages[i].n; k++)
            if (cdc_glob_match(capture->messages[i].prefixes[k], prefix))
                return !capture->messages[i].skip;
    return false;
}

bool cdc_capture_messages(const struct cdc_capture *capture)
{
    for (size_t i = 0; i < capture->n_messages; i++)
        if (!capture->messages[i].skip)
            return true;
    return false;
}
