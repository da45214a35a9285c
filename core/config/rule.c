/*
 * rule.c - one entry of `capture:` that takes tables.
 *
 * A rule's hash goes into the checkpoint with every table, so that a rule that was changed is
 * noticed. It is made over a text of the options that differ from their defaults, each with its
 * length: a future option must not change the hash of the rules that do not use it. The secret of
 * hashed columns is in it by a fingerprint only (an HMAC of a fixed text), and only where the rule
 * hashes: another key makes other values, so it is a changed rule. `envelope` and `on_incompatible`
 * are not in it: the one has a single value, the other changes no record.
 */
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "config/capture.h"
#include "config/columns.h"
#include "config/glob.h"
#include "config/section.h"
#include "config/settings.h"

static const struct cdc_option logical_delete_options[] = {
    {.name = "column",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED,
     .doc = "Name of the column: deleted_at or is_deleted, say."},
    {0},
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
    {.name = "columns",
     .type = CDC_OPT_SECTION,
     .section = cdc_columns_options,
     .doc = "What is done with single columns, before any of their values leaves the process."},
    {.name = "deletes",
     .type = CDC_OPT_CHOICE,
     .choices = "soft|hard|append",
     .dflt = "soft",
     .doc =
         "What a consumer does with a deleted row: keep it and mark it, remove it, or keep every "
         "version of every row. The records are the same."},
    {.name = "logical_delete",
     .type = CDC_OPT_SECTION,
     .section = logical_delete_options,
     .doc = "A row counts as deleted (`__deleted`, reason `logical`) while this column is neither "
            "NULL nor false. Its values stay; a delete at the source still counts on its own."},
    {.name = "updated_at",
     .type = CDC_OPT_STRING,
     .doc = "Column with the application's own time of change: it is put into "
            "`__source_updated_at` as well. It never decides about order."},
    {.name = "insert_only",
     .type = CDC_OPT_BOOL,
     .dflt = "false",
     .doc = "For tables without an identity: only inserts and truncates are captured, updates and "
            "deletes are not. Implies `deletes: append`."},
    {.name = "on_invalid",
     .type = CDC_OPT_CHOICES,
     .choices = "fail|string|null",
     .dflt = "fail",
     .doc = "A value that its type cannot hold (infinity, NaN in a decimal, a year over 9999): "
            "stop; make the columns whose type has such values texts, in the database's own form; "
            "or write null and name the column in `__invalid`. By column: `{price: null, \"*\": "
            "string}`, where `*` is all others (fail, if left out)."},
    {.name = "snapshot",
     .type = CDC_OPT_CHOICE,
     .choices = "initial|never|only",
     .dflt = "initial",
     .doc = "What becomes of the rows that were there before: `initial` copies them, and changes "
            "follow; `never` begins with the changes alone, and is needed where the source cannot "
            "copy; `only` copies them, and writes no change that comes behind the end of the "
            "copy."},
    {.name = "where",
     .type = CDC_OPT_STRING,
     .doc = "Copy only the rows for which this holds: a condition in the source's language, of "
            "the table's own columns. Changes of the others are written all the same."},
    {.name = "priority",
     .type = CDC_OPT_INT,
     .dflt = "0",
     .min = -1000,
     .max = 1000,
     .doc = "Tables of a greater priority are copied first."},
    {.name = "envelope",
     .type = CDC_OPT_CHOICE,
     .choices = "row",
     .dflt = "row",
     .doc =
         "Shape of the records: the row itself with `__` columns beside its own. A sink may want "
         "it to be said, here or at the top of the file."},
    {.name = "topic",
     .type = CDC_OPT_STRING,
     .doc = "Name of the topic that the rule's tables go to, in place of the sink's own name for "
            "each. A sink without topics takes no notice of it."},
    {.name = "on_incompatible",
     .type = CDC_OPT_CHOICE,
     .choices = "hold|pause|new_topic|force",
     .doc = "For the tables of this rule, in place of `registry.on_incompatible`."},
    {0},
};

const struct cdc_option *cdc_capture_options(void)
{
    return rule_options;
}

/* What a rule is read out of. */
struct rule_reader {
    const struct cdc_doc *doc;
    const struct cdc_section *sec;
    int line;
    const struct cdc_rule_defaults *defaults;
    struct cdc_error *err;
};

static const char *shown_tables(const struct rule_reader *rd)
{
    return cdc_node_shown(cdc_section_entry(rd->sec, "tables")->value);
}

static int check_snapshot(const struct rule_reader *rd)
{
    const struct cdc_entry *where = cdc_section_entry(rd->sec, "where");
    bool never = cdc_get_choice(rd->sec, "snapshot") == CDC_SNAPSHOT_NEVER;
    if (where && (never || !*where->value->text))
        return cdc_doc_fail(rd->doc, where->line, rd->err,
                            never ? "where: it says which rows are copied, and `snapshot: never` "
                                    "copies none: leave out one of the two"
                                  : "where: a condition is wanted: leave it out to copy all rows");
    if (cdc_get_bool(rd->sec, "skip") || never || rd->defaults->copies)
        return CDC_OK;
    return cdc_doc_fail(
        rd->doc, rd->line, rd->err,
        "the capture rule for \"%s\" needs `snapshot: never`: a source of type %s cannot copy "
        "rows that were there before. With `snapshot: never` capture starts where the stream "
        "starts, and rows written before are not in the output",
        shown_tables(rd), rd->defaults->source);
}

static int split_pattern(const struct rule_reader *rd, struct cdc_pattern *ret)
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

/* Nothing that speaks of updates, deletes or keys has a meaning where only inserts come. */
static int check_insert_only(const struct rule_reader *rd)
{
    static const char *const pointless[] = {"key", "logical_delete"};
    if (!cdc_get_bool(rd->sec, "insert_only"))
        return CDC_OK;
    for (size_t i = 0; i < sizeof pointless / sizeof *pointless; i++) {
        const struct cdc_entry *entry = cdc_section_entry(rd->sec, pointless[i]);
        if (entry)
            return cdc_doc_fail(rd->doc, entry->line, rd->err,
                                "%s: with `insert_only: true` no update and no delete is captured, "
                                "so there is nothing to find by it: leave out one of the two",
                                pointless[i]);
    }
    const struct cdc_entry *deletes = cdc_section_entry(rd->sec, "deletes");
    if (deletes && cdc_get_choice(rd->sec, "deletes") != CDC_DELETES_APPEND)
        return cdc_doc_fail(rd->doc, deletes->line, rd->err,
                            "deletes: with `insert_only: true` it is append: leave it out");
    return CDC_OK;
}

/* A name that must hold something: `updated_at: ''` is no column. */
static int check_name(const struct rule_reader *rd, const struct cdc_section *sec,
                      const char *option, const char *label)
{
    const struct cdc_entry *entry = sec ? cdc_section_entry(sec, option) : NULL;
    if (!entry || *entry->value->text)
        return CDC_OK;
    return cdc_doc_fail(rd->doc, entry->line, rd->err, "%s: the name of a column is wanted", label);
}

static int check_topic(const struct rule_reader *rd)
{
    const struct cdc_entry *entry = cdc_section_entry(rd->sec, "topic");
    if (!entry || *entry->value->text)
        return CDC_OK;
    return cdc_doc_fail(rd->doc, entry->line, rd->err,
                        "topic: the name of a topic is wanted: leave it out for the sink's own");
}

static int check_hash_key(const struct rule_reader *rd, const struct cdc_rule *rule)
{
    int line = cdc_columns_hash_line(rule->columns);
    if (!line || rule->skip || rule->hash_key.p)
        return CDC_OK;
    return cdc_doc_fail(rd->doc, line, rd->err,
                        "columns.hash needs a secret: write `secrets: {hash: ...}` at the top of "
                        "the file, at least %d bytes, the same for as long as hashes are to be "
                        "compared (`openssl rand -hex 32` makes one)",
                        CDC_HASH_KEY_MIN);
}

static void put_name(struct cdc_buf *text, const char *what, const char *name)
{
    if (name)
        cdc_buf_printf(text, "%s %zu:%s\n", what, strlen(name), name);
}

static void put_hex(const uint8_t *bytes, size_t n, char *to)
{
    for (size_t i = 0; i < n; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

/* False: no memory. */
static bool put_fingerprint(struct cdc_buf *text, struct cdc_slice key)
{
    static const char label[] = "sidestream: fingerprint of secrets.hash";
    uint8_t sum[SHA256_DIGEST_LENGTH];
    char hex[2 * sizeof sum + 1];
    if (!HMAC(EVP_sha256(), key.p, (int)key.len, (const uint8_t *)label, sizeof label - 1, sum,
              NULL))
        return false;
    put_hex(sum, sizeof sum, hex);
    put_name(text, "hash_key", hex);
    return true;
}

static void put_rule(const struct cdc_rule *rule, struct cdc_buf *text)
{
    static const char *const deletes[] = {NULL, "deletes hard\n", "deletes append\n"};
    static const char *const invalid[] = {NULL, "on_invalid string\n", "on_invalid null\n"};
    static const char *const snapshots[] = {NULL, "snapshot never\n", "snapshot only\n"};
    put_name(text, "tables", rule->tables);
    if (rule->skip)
        cdc_buf_str(text, "skip\n");
    for (size_t i = 0; i < rule->n_key; i++)
        put_name(text, "key", rule->key[i]);
    if (deletes[rule->deletes])
        cdc_buf_str(text, deletes[rule->deletes]);
    if (invalid[rule->on_invalid])
        cdc_buf_str(text, invalid[rule->on_invalid]);
    if (snapshots[rule->snapshot])
        cdc_buf_str(text, snapshots[rule->snapshot]);
    put_name(text, "where", rule->copy_where);
    if (rule->insert_only)
        cdc_buf_str(text, "insert_only\n");
    put_name(text, "logical_delete", rule->logical_delete);
    put_name(text, "updated_at", rule->updated_at);
    put_name(text, "topic", rule->topic);
    cdc_columns_put(rule->columns, text);
}

static int hash_rule(struct cdc_rule *rule, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(CDC_SETTINGS_MAX * 8);
    uint8_t sum[SHA256_DIGEST_LENGTH];
    put_rule(rule, &text);
    bool ok = true;
    if (cdc_columns_hash_line(rule->columns) && rule->hash_key.p)
        ok = put_fingerprint(&text, rule->hash_key);
    ok = ok && !text.failed && SHA256(text.p, text.len, sum);
    if (ok)
        put_hex(sum, sizeof sum, rule->hash);
    cdc_buf_done(&text);
    return ok ? CDC_OK : cdc_fail_oom(err);
}

static void fill(const struct rule_reader *rd, struct cdc_rule *rule)
{
    const struct cdc_section *sec = rd->sec, *logical = cdc_get_section(sec, "logical_delete");
    rule->tables = cdc_get_string(sec, "tables");
    rule->where = cdc_doc_where(rd->doc, rd->line);
    rule->skip = cdc_get_bool(sec, "skip");
    rule->n_key = cdc_get_list(sec, "key", &rule->key);
    rule->on_invalid = (enum cdc_invalid)cdc_get_choice(sec, "on_invalid");
    rule->snapshot = (enum cdc_snapshot_mode)cdc_get_choice(sec, "snapshot");
    rule->copy_where = cdc_get_string(sec, "where");
    rule->priority = (int32_t)cdc_get_int(sec, "priority");
    rule->insert_only = cdc_get_bool(sec, "insert_only");
    rule->deletes =
        rule->insert_only ? CDC_DELETES_APPEND : (enum cdc_deletes)cdc_get_choice(sec, "deletes");
    rule->logical_delete = logical ? cdc_get_string(logical, "column") : NULL;
    rule->updated_at = cdc_get_string(sec, "updated_at");
    rule->topic = cdc_get_string(sec, "topic");
    rule->envelope_given = cdc_given(sec, "envelope") || rd->defaults->envelope_given;
    rule->on_incompatible = cdc_given(sec, "on_incompatible")
                                ? (enum cdc_incompatible)cdc_get_choice(sec, "on_incompatible")
                                : rd->defaults->on_incompatible;
    rule->hash_key = rd->defaults->hash_key;
}

int cdc_rule_read(const struct cdc_doc *doc, const struct cdc_node *node,
                  const struct cdc_rule_defaults *defaults, struct cdc_taker *ret,
                  struct cdc_error *err)
{
    struct cdc_section_spec spec = {
        .options = rule_options, .label = "capture", .map = node, .line = node->line};
    struct cdc_section *sec;
    if (cdc_section_read(doc, &spec, &sec, err) != CDC_OK)
        return CDC_FAIL;
    struct rule_reader rd = {
        .doc = doc, .sec = sec, .line = node->line, .defaults = defaults, .err = err};
    if (split_pattern(&rd, &ret->pattern) != CDC_OK || check_snapshot(&rd) != CDC_OK ||
        check_key(&rd) != CDC_OK || check_insert_only(&rd) != CDC_OK ||
        check_topic(&rd) != CDC_OK || check_name(&rd, sec, "updated_at", "updated_at") != CDC_OK ||
        check_name(&rd, cdc_get_section(sec, "logical_delete"), "column",
                   "logical_delete.column") != CDC_OK)
        return CDC_FAIL;
    fill(&rd, ret->rule);
    if (cdc_columns_read(doc, sec, ret->rule, err) != CDC_OK ||
        check_hash_key(&rd, ret->rule) != CDC_OK)
        return CDC_FAIL;
    return hash_rule(ret->rule, err);
}
