/*
 * capture.c - the rules that say which tables are captured, and how.
 *
 * A pattern is split at its first dot; the left part is matched against the schema, the right part
 * against the table's name (which may hold further dots; a dot in a schema's name is written as
 * `?`). The first rule that matches takes the table.
 *
 * A rule's hash goes into the checkpoint with every table, so that a rule that was changed is
 * noticed. It is made over a text of the options that differ from their defaults, each with its
 * length: a future option must not change the hash of the rules that do not use it.
 */
#include <openssl/sha.h>
#include <stdio.h>

#include "config/capture.h"
#include "config/glob.h"
#include "config/section.h"
#include "config/settings.h"

struct pattern {
    const char *schema, *table;
};

struct cdc_capture {
    size_t n;
    struct cdc_rule *rules;
    struct pattern *patterns; /* one per rule */
};

static const struct cdc_option rule_options[] = {
    {.name = "tables",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED,
     .doc =
         "Pattern of the tables that the rule takes: schema.table, with `*`, `?` and `[a-z]` in "
         "either part. The first rule that matches a table takes it; a table that matches none is "
         "not captured."},
    {.name = "skip",
     .type = CDC_OPT_BOOL,
     .dflt = "false",
     .doc = "Do not capture the tables of this rule."},
    {.name = "key",
     .type = CDC_OPT_LIST,
     .doc =
         "Columns that identify a row, in place of the table's own key: for a table without one."},
    {.name = "deletes",
     .type = CDC_OPT_CHOICE,
     .choices = "soft|hard|append",
     .dflt = "soft",
     .doc =
         "What a consumer does with a deleted row: keep it and mark it, remove it, or keep every "
         "version of every row. The records are the same."},
    {.name = "on_invalid",
     .type = CDC_OPT_CHOICE,
     .choices = "fail|null",
     .dflt = "fail",
     .doc =
         "A value that its type cannot hold (infinity, NaN in a decimal, a year over 9999): stop, "
         "or write null and name the column in `__invalid`."},
    {.name = "snapshot",
     .type = CDC_OPT_CHOICE,
     .choices = "initial|never|only",
     .doc = "Copy the rows that were there before. This version cannot: every rule without `skip` "
            "needs `never`, and capture starts where the slot starts."},
    {.name = "envelope",
     .type = CDC_OPT_CHOICE,
     .choices = "row",
     .dflt = "row",
     .doc = "Shape of the records: the row itself with `__` columns beside its own."},
    {0},
};

const struct cdc_option *cdc_capture_options(void)
{
    return rule_options;
}

/* The snapshot modes as rule_options names them. */
enum { SNAPSHOT_INITIAL, SNAPSHOT_NEVER };

static bool snapshot_never(const struct cdc_section *sec)
{
    return cdc_given(sec, "snapshot") && cdc_get_choice(sec, "snapshot") == SNAPSHOT_NEVER;
}

/* What a rule is read out of. */
struct rule_reader {
    const struct cdc_doc *doc;
    const struct cdc_section *sec;
    int line;
    struct cdc_error *err;
};

static const char *shown_tables(const struct rule_reader *rd)
{
    return cdc_node_shown(cdc_section_entry(rd->sec, "tables")->value);
}

static int check_snapshot(const struct rule_reader *rd)
{
    if (cdc_get_bool(rd->sec, "skip") || snapshot_never(rd->sec))
        return CDC_OK;
    return cdc_doc_fail(
        rd->doc, rd->line, rd->err,
        "the capture rule for \"%s\" needs `snapshot: never`: this version has no "
        "snapshots. With `snapshot: never` capture starts where the slot starts, and "
        "rows written before are not in the output",
        shown_tables(rd));
}

static int split_pattern(const struct rule_reader *rd, struct pattern *ret)
{
    const char *tables = cdc_get_string(rd->sec, "tables"), *dot = strchr(tables, '.');
    int line = cdc_section_entry(rd->sec, "tables")->line;
    if (!dot || dot == tables || !dot[1])
        return cdc_doc_fail(rd->doc, line, rd->err,
                            "tables: \"%s\" must name a schema and a table, like public.users or "
                            "public.*",
                            shown_tables(rd));
    struct cdc_slice schema = cdc_slice_of(tables, (size_t)(dot - tables));
    ret->schema = (const char *)cdc_arena_copy(rd->doc->arena, schema).p;
    ret->table = dot + 1;
    if (!ret->schema)
        return cdc_fail_oom(rd->err);
    const char *why = cdc_glob_error(ret->schema);
    why = why ? why : cdc_glob_error(ret->table);
    if (why)
        return cdc_doc_fail(rd->doc, line, rd->err, "tables: \"%s\" %s", shown_tables(rd), why);
    return CDC_OK;
}

static int check_key(const struct rule_reader *rd)
{
    const struct cdc_entry *entry = cdc_section_entry(rd->sec, "key");
    if (!entry)
        return CDC_OK;
    const struct cdc_node *list = entry->value;
    if (!list->n)
        return cdc_doc_fail(rd->doc, entry->line, rd->err,
                            "key: names no column: leave it out for the table's own key");
    for (size_t i = 1; i < list->n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(list->entries[i].value->text, list->entries[j].value->text) == 0)
                return cdc_doc_fail(rd->doc, entry->line, rd->err,
                                    "key: names the column \"%s\" twice",
                                    cdc_node_shown(list->entries[i].value));
    return CDC_OK;
}

static int hash_rule(struct cdc_rule *rule, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(CDC_SETTINGS_MAX * 8);
    cdc_buf_printf(&text, "tables %zu:%s\n", strlen(rule->tables), rule->tables);
    if (rule->skip)
        cdc_buf_str(&text, "skip\n");
    for (size_t i = 0; i < rule->n_key; i++)
        cdc_buf_printf(&text, "key %zu:%s\n", strlen(rule->key[i]), rule->key[i]);
    if (rule->deletes != CDC_DELETES_SOFT)
        cdc_buf_printf(&text, "deletes %s\n",
                       rule->deletes == CDC_DELETES_HARD ? "hard" : "append");
    if (rule->on_invalid != CDC_INVALID_FAIL)
        cdc_buf_str(&text, "on_invalid null\n");
    if (rule->snapshot == CDC_SNAPSHOT_NEVER)
        cdc_buf_str(&text, "snapshot never\n");
    uint8_t sum[SHA256_DIGEST_LENGTH] = {0};
    bool ok = !text.failed && SHA256(text.p, text.len, sum);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(rule->hash + 2 * i, 3, "%02x", sum[i]);
    cdc_buf_done(&text);
    return ok ? CDC_OK : cdc_fail_oom(err);
}

static int read_rule(const struct cdc_doc *doc, const struct cdc_node *node, struct cdc_rule *rule,
                     struct pattern *pattern, struct cdc_error *err)
{
    if (node->kind != CDC_NODE_MAP)
        return cdc_doc_fail(doc, node->line, err,
                            "capture: each entry is a mapping: - tables: public.*");
    struct cdc_section_spec spec = {
        .options = rule_options, .label = "capture", .map = node, .line = node->line};
    struct cdc_section *sec;
    if (cdc_section_read(doc, &spec, &sec, err) != CDC_OK)
        return CDC_FAIL;
    struct rule_reader rd = {.doc = doc, .sec = sec, .line = node->line, .err = err};
    if (split_pattern(&rd, pattern) != CDC_OK || check_snapshot(&rd) != CDC_OK ||
        check_key(&rd) != CDC_OK)
        return CDC_FAIL;
    rule->tables = cdc_get_string(sec, "tables");
    rule->where = cdc_doc_where(doc, node->line);
    rule->skip = cdc_get_bool(sec, "skip");
    rule->n_key = cdc_get_list(sec, "key", &rule->key);
    rule->deletes = (enum cdc_deletes)cdc_get_choice(sec, "deletes");
    rule->on_invalid = (enum cdc_invalid)cdc_get_choice(sec, "on_invalid");
    rule->snapshot = snapshot_never(sec) ? CDC_SNAPSHOT_NEVER : CDC_SNAPSHOT_UNSET;
    return hash_rule(rule, err);
}

int cdc_capture_read(const struct cdc_doc *doc, const struct cdc_entry *entry,
                     struct cdc_capture **ret, struct cdc_error *err)
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
    if (!capture->rules || !capture->patterns)
        return cdc_fail_oom(err);
    for (; capture->n < list->n; capture->n++)
        if (read_rule(doc, list->entries[capture->n].value, &capture->rules[capture->n],
                      &capture->patterns[capture->n], err) != CDC_OK)
            return CDC_FAIL;
    *ret = capture;
    return CDC_OK;
}

const struct cdc_rule *cdc_capture_match(const struct cdc_capture *capture, const char *schema,
                                         const char *table)
{
    for (size_t i = 0; i < capture->n; i++)
        if (cdc_glob_match(capture->patterns[i].schema, schema) &&
            cdc_glob_match(capture->patterns[i].table, table))
            return capture->rules[i].skip ? NULL : &capture->rules[i];
    return NULL;
}

size_t cdc_capture_rules(const struct cdc_capture *capture, const struct cdc_rule **ret)
{
    *ret = capture->rules;
    return capture->n;
}
