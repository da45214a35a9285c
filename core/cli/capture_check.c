/*
 * capture_check.c - `check`: which rule takes each table of the source, and what it does to it.
 *
 * What a rule says is put together with what the source knows of its tables, with the lookups that
 * the envelope uses, so that the line tells what will be in the records. A name that a table lacks
 * is a failure where the rule is about this one table or cannot do without the column (key,
 * logical_delete, updated_at); in a rule over many tables it is one if none of them has it: such a
 * name is misspelt, and a misspelt name under `exclude` hides nothing.
 */
#include "cli/cli.h"
#include "config/capture.h"
#include "config/nearest.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

static bool has(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool is_key(const struct cdc_rule *rule, const struct cdc_known_table *tab, const char *name)
{
    for (size_t i = 0; i < rule->n_key; i++)
        if (strcmp(rule->key[i], name) == 0)
            return true;
    return rule->n_key == 0 && has(tab->key, name);
}

static struct cdc_column_rule said_of(const struct cdc_rule *rule,
                                      const struct cdc_known_table *tab, const char *column)
{
    return is_key(rule, tab, column) ? cdc_rule_key_column(rule, column)
                                     : cdc_rule_column(rule, column);
}

static void put_key(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                    struct cdc_buf *line)
{
    size_t n = rule->n_key;
    for (; rule->n_key == 0 && tab->key[n]; n++)
        ;
    cdc_buf_str(line, rule->insert_only ? "inserts only" : n ? "key " : "no key");
    for (size_t i = 0; !rule->insert_only && i < n; i++)
        cdc_buf_printf(line, "%s%s", i ? ", " : "", rule->n_key ? rule->key[i] : tab->key[i]);
}

/* One more name of a list that begins with its heading. */
static void put_item(struct cdc_buf *line, bool *begun, const char *heading, const char *name)
{
    cdc_buf_printf(line, "%s%s%s", *begun ? ", " : "; ", *begun ? "" : heading, name);
    *begun = true;
}

static void put_acts(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                     enum cdc_column_act act, struct cdc_buf *line)
{
    static const char *const headings[] = {
        [CDC_COLUMN_EXCLUDE] = "excluded ",
        [CDC_COLUMN_HASH] = "hashed ",
        [CDC_COLUMN_MASK] = "masked ",
        [CDC_COLUMN_TRUNCATE] = "truncated ",
    };
    bool begun = false;
    for (const char *const *col = tab->columns; *col; col++) {
        struct cdc_column_rule said = said_of(rule, tab, *col);
        if (said.act != act)
            continue;
        put_item(line, &begun, headings[act], *col);
        if (act == CDC_COLUMN_TRUNCATE)
            cdc_buf_printf(line, " to %u", (unsigned)said.limit);
    }
}

/* The columns whose invalid values do not fail: all of them in two words, else by name. */
static void put_invalid(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                        struct cdc_buf *line)
{
    static const char *const headings[] = {
        [CDC_INVALID_FAIL] = "",
        [CDC_INVALID_STRING] = "invalid values string in ",
        [CDC_INVALID_NULL] = "invalid values null in ",
    };
    bool all = rule->on_invalid != CDC_INVALID_FAIL;
    for (const char *const *col = tab->columns; *col; col++)
        all &= said_of(rule, tab, *col).on_invalid == rule->on_invalid;
    if (all)
        cdc_buf_printf(line, "; %sall", headings[rule->on_invalid]);
    for (int kind = CDC_INVALID_STRING; !all && kind <= CDC_INVALID_NULL; kind++) {
        bool begun = false;
        for (const char *const *col = tab->columns; *col; col++) {
            struct cdc_column_rule said = said_of(rule, tab, *col);
            if ((int)said.on_invalid == kind && said.act != CDC_COLUMN_EXCLUDE)
                put_item(line, &begun, headings[kind], *col);
        }
    }
}

static void put_rule(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                     struct cdc_buf *line)
{
    static const char *const deletes[] = {"soft", "hard", "append"};
    put_key(rule, tab, line);
    cdc_buf_printf(line, "; deletes %s", deletes[rule->deletes]);
    if (rule->logical_delete)
        cdc_buf_printf(line, "; deleted also by %s", rule->logical_delete);
    if (rule->updated_at)
        cdc_buf_printf(line, "; updated at %s", rule->updated_at);
    put_acts(rule, tab, CDC_COLUMN_EXCLUDE, line);
    put_acts(rule, tab, CDC_COLUMN_HASH, line);
    put_acts(rule, tab, CDC_COLUMN_MASK, line);
    put_acts(rule, tab, CDC_COLUMN_TRUNCATE, line);
    put_invalid(rule, tab, line);
}

static void tell_table(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                       struct cdc_report *report)
{
    struct cdc_buf line = CDC_BUF(LINE_MAX_BYTES);
    if (!rule) {
        cdc_report(report, CDC_PASS, NULL, "table %s.%s: not captured (no rule takes it)",
                   tab->schema, tab->name);
    } else if (rule->skip) {
        cdc_report(report, CDC_PASS, NULL, "table %s.%s: not captured (skip, %s)", tab->schema,
                   tab->name, rule->where);
    } else {
        put_rule(rule, tab, &line);
        const char *text = cdc_buf_cstr(&line);
        cdc_report(report, CDC_PASS, NULL, "table %s.%s: rule %s: %s", tab->schema, tab->name,
                   rule->where, text ? text : "(too long to be told)");
    }
    cdc_buf_done(&line);
}

static void tell_key(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                     struct cdc_report *report)
{
    static const char *const names[] = {
        [CDC_COLUMN_EXCLUDE] = "excludes",
        [CDC_COLUMN_MASK] = "masks",
        [CDC_COLUMN_TRUNCATE] = "truncates",
    };
    for (const char *const *col = tab->columns; *col; col++) {
        if (!is_key(rule, tab, *col))
            continue;
        enum cdc_column_act act = cdc_rule_key_column(rule, *col).act;
        if (cdc_key_act_refused(act))
            cdc_report(report, CDC_BAD,
                       "hash the column, or name other columns by `key:` in a rule of its own",
                       "table %s.%s: rule %s %s the key column %s: without its values rows cannot "
                       "be told apart",
                       tab->schema, tab->name, rule->where, names[act], *col);
    }
}

static bool needed(const struct cdc_rule *rule, const char *name)
{
    for (size_t i = 0; i < rule->n_key; i++)
        if (strcmp(rule->key[i], name) == 0)
            return true;
    return (rule->logical_delete && strcmp(rule->logical_delete, name) == 0) ||
           (rule->updated_at && strcmp(rule->updated_at, name) == 0);
}

static void tell_missing(const struct cdc_rule *rule, const struct cdc_known_table *tab,
                         struct cdc_report *report)
{
    for (const char *const *name = cdc_rule_mentions(rule); *name; name++) {
        if (has(tab->columns, *name) || (!cdc_rule_single(rule) && !needed(rule, *name)))
            continue;
        struct cdc_nearest near = {.word = *name};
        for (const char *const *col = tab->columns; *col; col++)
            cdc_nearest_try(&near, *col);
        cdc_report(report, CDC_BAD, NULL,
                   "table %s.%s: rule %s names the column \"%s\", which the table does not have%s%s"
                   "%s",
                   tab->schema, tab->name, rule->where, *name, near.best ? "; did you mean \"" : "",
                   near.best ? near.best : "", near.best ? "\"?" : "");
    }
}

/* Names of a rule over many tables that none of them has. */
static void tell_nowhere(const struct cdc_capture *capture, const struct cdc_rule *rule,
                         const struct cdc_known_table *tabs, size_t n, struct cdc_report *report)
{
    for (const char *const *name = cdc_rule_mentions(rule); *name; name++) {
        bool found = needed(rule, *name);
        struct cdc_nearest near = {.word = *name};
        for (size_t i = 0; !found && i < n; i++) {
            if (cdc_capture_find(capture, tabs[i].schema, tabs[i].name) != rule)
                continue;
            found = has(tabs[i].columns, *name);
            for (const char *const *col = tabs[i].columns; *col; col++)
                cdc_nearest_try(&near, *col);
        }
        if (!found)
            cdc_report(report, CDC_BAD, NULL,
                       "rule %s (%s) names the column \"%s\", which none of its tables has%s%s%s",
                       rule->where, rule->tables, *name, near.best ? "; did you mean \"" : "",
                       near.best ? near.best : "", near.best ? "\"?" : "");
    }
}

static bool takes_any(const struct cdc_capture *capture, const struct cdc_rule *rule,
                      const struct cdc_known_table *tabs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cdc_capture_find(capture, tabs[i].schema, tabs[i].name) == rule)
            return true;
    return false;
}

void cdc_capture_check(const struct cdc_capture *capture, const struct cdc_known_table *tabs,
                       size_t n, struct cdc_report *report)
{
    for (size_t i = 0; i < n; i++) {
        const struct cdc_rule *rule = cdc_capture_find(capture, tabs[i].schema, tabs[i].name);
        tell_table(rule, &tabs[i], report);
        if (!rule || rule->skip)
            continue;
        tell_key(rule, &tabs[i], report);
        tell_missing(rule, &tabs[i], report);
    }
    const struct cdc_rule *rules;
    size_t n_rules = cdc_capture_rules(capture, &rules);
    for (size_t i = 0; i < n_rules; i++)
        if (!takes_any(capture, &rules[i], tabs, n))
            cdc_report(report, CDC_WARN,
                       "look for a misspelt name, or an earlier rule that takes the tables",
                       "rule %s (%s) takes no table", rules[i].where, rules[i].tables);
        else if (!rules[i].skip && !cdc_rule_single(&rules[i]))
            tell_nowhere(capture, &rules[i], tabs, n, report);
}
