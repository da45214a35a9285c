/*
 * columns_read.c - the columns of a rule as written in the file, and what cannot be.
 *
 * `include` reaches over patterns only: a plain name under hash, mask or truncate that `include`
 * leaves out is refused, for nobody knows which of the two was meant.
 */
#include <stdlib.h>

#include "config/columns.h"
#include "config/glob.h"

const struct cdc_option cdc_columns_options[] = {
    {.name = "include",
     .type = CDC_OPT_LIST,
     .doc = "Only these columns, and those of the key, are in the records. Names or patterns, here "
            "and in the other lists; a name beats patterns."},
    {.name = "exclude",
     .type = CDC_OPT_LIST,
     .doc = "These columns are not in the records at all. A key column cannot be excluded."},
    {.name = "hash",
     .type = CDC_OPT_LIST,
     .doc = "In place of the value its HMAC-SHA-256 under `secrets.hash`, 64 hex digits: equal "
            "values stay equal. NULL stays null."},
    {.name = "mask",
     .type = CDC_OPT_LIST,
     .doc = "In place of a text `*****`, of anything else null. NULL stays null."},
    {.name = "truncate",
     .type = CDC_OPT_MAP,
     .min = 1,
     .max = CDC_TRUNCATE_MAX,
     .doc = "Of these text columns the first so many characters."},
    {0},
};

struct columns_reader {
    const struct cdc_doc *doc;
    struct cdc_rule *rule;
    struct cdc_columns *cols;
    struct cdc_error *err;
};

static int add(const struct columns_reader *rd, const struct cdc_column_entry *entry)
{
    struct cdc_column_entry *to = &rd->cols->entries[rd->cols->n];
    const char *why = cdc_glob_error(entry->text);
    if (!*entry->text)
        why = "is no name";
    if (why)
        return cdc_doc_fail(rd->doc, entry->line, rd->err, "%s: \"%s\" %s",
                            cdc_said_names[entry->said], entry->shown, why);
    if (rd->cols->n == CDC_COLUMN_ENTRIES)
        return cdc_doc_fail(rd->doc, entry->line, rd->err,
                            "%s: one rule names at most %d columns: use patterns",
                            cdc_said_names[entry->said], CDC_COLUMN_ENTRIES);
    *to = *entry;
    char *plain = cdc_arena_strdup(rd->doc->arena, entry->text);
    if (!plain)
        return cdc_fail_oom(rd->err);
    to->name = cdc_glob_plain(plain) ? plain : NULL;
    rd->cols->n++;
    return CDC_OK;
}

static int add_list(const struct columns_reader *rd, enum cdc_said said,
                    const struct cdc_entry *list)
{
    if (list && !list->value->n)
        return cdc_doc_fail(rd->doc, list->line, rd->err, "%s: names no column: leave it out",
                            cdc_said_names[said]);
    for (size_t i = 0; list && i < list->value->n; i++) {
        const struct cdc_node *item = list->value->entries[i].value;
        struct cdc_column_entry entry = {
            .said = said, .text = item->text, .shown = cdc_node_shown(item), .line = item->line};
        if (add(rd, &entry) != CDC_OK)
            return CDC_FAIL;
    }
    return CDC_OK;
}

/* The numbers of a mapping; its lines from how it was written. */
static int add_map(const struct columns_reader *rd, enum cdc_said said, const struct cdc_entry *map,
                   const struct cdc_pair *pairs)
{
    if (!map || map->value->kind != CDC_NODE_MAP)
        return CDC_OK;
    if (!map->value->n)
        return cdc_doc_fail(rd->doc, map->line, rd->err, "%s: names no column: leave it out",
                            cdc_said_names[said]);
    for (size_t i = 0; i < map->value->n; i++) {
        struct cdc_column_entry entry = {.said = said,
                                         .text = pairs[i].name,
                                         .shown = pairs[i].name,
                                         .number = pairs[i].number,
                                         .line = map->value->entries[i].line};
        if (said == CDC_SAID_INVALID && strcmp(entry.text, "*") == 0)
            rd->rule->on_invalid = (enum cdc_invalid)entry.number; /* as without a mapping */
        else if (add(rd, &entry) != CDC_OK)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static int compare(const void *a, const void *b)
{
    const struct cdc_column_entry *x = a, *y = b;
    if (x->said != y->said)
        return x->said < y->said ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->text, y->text);
}

static size_t list_length(const struct cdc_entry *entry)
{
    return entry && entry->value->kind != CDC_NODE_SCALAR ? entry->value->n : 0;
}

/* Room for all entries of the section and of on_invalid. */
static int make_room(const struct columns_reader *rd, const struct cdc_section *sec,
                     const struct cdc_section *columns)
{
    size_t n = list_length(cdc_section_entry(sec, "on_invalid"));
    for (const struct cdc_option *opt = cdc_columns_options; opt->name; opt++)
        n += list_length(cdc_section_entry(columns, opt->name));
    n = n < CDC_COLUMN_ENTRIES ? n : CDC_COLUMN_ENTRIES;
    rd->cols->entries = cdc_arena_zalloc(rd->doc->arena, (n + 1) * sizeof *rd->cols->entries);
    return rd->cols->entries ? CDC_OK : cdc_fail_oom(rd->err);
}

static int read_entries(const struct columns_reader *rd, const struct cdc_section *sec)
{
    static const struct {
        enum cdc_said said;
        const char *option;
    } lists[] = {{CDC_SAID_INCLUDE, "include"},
                 {CDC_SAID_EXCLUDE, "exclude"},
                 {CDC_SAID_MASK, "mask"},
                 {CDC_SAID_HASH, "hash"}};
    const struct cdc_section *columns = cdc_get_section(sec, "columns");
    const struct cdc_pair *pairs;
    if (make_room(rd, sec, columns) != CDC_OK)
        return CDC_FAIL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (add_list(rd, lists[i].said, cdc_section_entry(columns, lists[i].option)) != CDC_OK)
            return CDC_FAIL;
    rd->cols->has_include = cdc_given(columns, "include");
    cdc_get_map(columns, "truncate", &pairs);
    if (add_map(rd, CDC_SAID_TRUNCATE, cdc_section_entry(columns, "truncate"), pairs) != CDC_OK)
        return CDC_FAIL;
    cdc_get_map(sec, "on_invalid", &pairs);
    return add_map(rd, CDC_SAID_INVALID, cdc_section_entry(sec, "on_invalid"), pairs);
}

/* May one column be said both of? include beside an act is what include is for. */
static bool exclusive(enum cdc_said a, enum cdc_said b)
{
    bool acts = a >= CDC_SAID_EXCLUDE && a <= CDC_SAID_TRUNCATE && b >= CDC_SAID_EXCLUDE &&
                b <= CDC_SAID_TRUNCATE;
    return a == b || acts || (a == CDC_SAID_INCLUDE && b == CDC_SAID_EXCLUDE);
}

static int check_pair(const struct columns_reader *rd, const struct cdc_column_entry *a,
                      const struct cdc_column_entry *b)
{
    bool same = a->name && b->name ? strcmp(a->name, b->name) == 0
                                   : !a->name && !b->name && strcmp(a->text, b->text) == 0;
    if (!same || !exclusive(a->said, b->said))
        return CDC_OK;
    const struct cdc_column_entry *last = a->line > b->line ? a : b;
    if (a->said == b->said)
        return cdc_doc_fail(rd->doc, last->line, rd->err, "%s: names \"%s\" twice",
                            cdc_said_names[a->said], a->shown);
    return cdc_doc_fail(rd->doc, last->line, rd->err,
                        "column \"%s\" is in both %s and %s: only one can be done with it",
                        a->shown, cdc_said_names[a->said], cdc_said_names[b->said]);
}

static int check_pairs(const struct columns_reader *rd)
{
    const struct cdc_columns *cols = rd->cols;
    for (size_t i = 0; i < cols->n; i++)
        for (size_t j = i + 1; j < cols->n; j++)
            if (check_pair(rd, &cols->entries[i], &cols->entries[j]) != CDC_OK)
                return CDC_FAIL;
    return CDC_OK;
}

static int check_included(const struct columns_reader *rd)
{
    for (size_t i = 0; i < rd->cols->n; i++) {
        const struct cdc_column_entry *entry = &rd->cols->entries[i];
        bool act = entry->said >= CDC_SAID_MASK && entry->said <= CDC_SAID_TRUNCATE;
        bool key = false;
        for (size_t k = 0; entry->name && k < rd->rule->n_key; k++)
            key |= strcmp(rd->rule->key[k], entry->name) == 0;
        if (act && entry->name && !key && !cdc_columns_included(rd->cols, entry->name))
            return cdc_doc_fail(rd->doc, entry->line, rd->err,
                                "%s: \"%s\" is not in columns.include, so it is excluded: name it "
                                "there too, or only there",
                                cdc_said_names[entry->said], entry->shown);
    }
    return CDC_OK;
}

static int check_key_column(const struct columns_reader *rd, const struct cdc_node *name)
{
    const char *column = name->text, *shown = cdc_node_shown(name);
    const struct cdc_column_entry *act = cdc_columns_act(rd->cols, column);
    const struct cdc_column_entry *invalid =
        cdc_columns_find(rd->cols, CDC_SAID_INVALID, CDC_SAID_INVALID, true, column);
    if (act && act->said != CDC_SAID_HASH)
        return cdc_doc_fail(rd->doc, act->line, rd->err,
                            "%s: \"%s\" takes the key column \"%s\", and without its values rows "
                            "cannot be told apart: hash it, or choose other columns by `key:`",
                            cdc_said_names[act->said], act->shown, shown);
    if (invalid && invalid->number == CDC_INVALID_NULL)
        return cdc_doc_fail(rd->doc, invalid->line, rd->err,
                            "on_invalid: the key column \"%s\" cannot be null: fail or string is "
                            "wanted",
                            shown);
    return CDC_OK;
}

/* What __source_updated_at would show is what was to be hidden. */
static int check_updated_at(const struct columns_reader *rd, const struct cdc_section *sec)
{
    const char *column = rd->rule->updated_at;
    if (!column || cdc_rule_key_column(rd->rule, column).act == CDC_COLUMN_KEEP)
        return CDC_OK;
    const struct cdc_column_entry *act = cdc_columns_act(rd->cols, column);
    return cdc_doc_fail(rd->doc, cdc_section_entry(sec, "updated_at")->line, rd->err,
                        "updated_at: the values of \"%s\" would be in __source_updated_at, but %s "
                        "(line %d) hides them",
                        cdc_node_shown(cdc_section_entry(sec, "updated_at")->value),
                        cdc_said_names[act->said], act->line);
}

static void mention(const struct cdc_columns *cols, size_t *n, const char *name)
{
    if (!name)
        return;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(cols->mentions[i], name) == 0)
            return;
    cols->mentions[(*n)++] = name;
}

static int collect_mentions(const struct columns_reader *rd)
{
    const struct cdc_rule *rule = rd->rule;
    struct cdc_columns *cols = rd->cols;
    size_t n = 0, most = rule->n_key + cols->n + 3;
    cols->mentions = cdc_arena_zalloc(rd->doc->arena, most * sizeof *cols->mentions);
    if (!cols->mentions)
        return cdc_fail_oom(rd->err);
    for (size_t i = 0; i < rule->n_key; i++)
        mention(cols, &n, rule->key[i]);
    mention(cols, &n, rule->logical_delete);
    mention(cols, &n, rule->updated_at);
    for (size_t i = 0; i < cols->n; i++)
        mention(cols, &n, cols->entries[i].name);
    return CDC_OK;
}

int cdc_columns_read(const struct cdc_doc *doc, const struct cdc_section *sec,
                     struct cdc_rule *rule, struct cdc_error *err)
{
    struct cdc_columns *cols = cdc_arena_zalloc(doc->arena, sizeof *cols);
    struct columns_reader rd = {.doc = doc, .rule = rule, .cols = cols, .err = err};
    if (!cols)
        return cdc_fail_oom(err);
    if (read_entries(&rd, sec) != CDC_OK)
        return CDC_FAIL;
    if (cols->n)
        qsort(cols->entries, cols->n, sizeof *cols->entries, compare);
    rule->columns = cols;
    if (check_pairs(&rd) != CDC_OK || check_included(&rd) != CDC_OK ||
        check_updated_at(&rd, sec) != CDC_OK)
        return CDC_FAIL;
    const struct cdc_entry *key = cdc_section_entry(sec, "key");
    for (size_t i = 0; i < rule->n_key; i++)
        if (check_key_column(&rd, key->value->entries[i].value) != CDC_OK)
            return CDC_FAIL;
    return collect_mentions(&rd);
}
