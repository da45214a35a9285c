/*
 * columns.c - what the entries of columns.h come to for a column, and their text for the hash.
 */
#include "config/columns.h"

#include "config/glob.h"

const char *const cdc_said_names[CDC_N_SAID] = {
    [CDC_SAID_INCLUDE] = "columns.include",   [CDC_SAID_EXCLUDE] = "columns.exclude",
    [CDC_SAID_MASK] = "columns.mask",         [CDC_SAID_HASH] = "columns.hash",
    [CDC_SAID_TRUNCATE] = "columns.truncate", [CDC_SAID_INVALID] = "on_invalid",
};

static bool takes(const struct cdc_column_entry *entry, const char *column)
{
    return entry->name ? strcmp(entry->name, column) == 0 : cdc_glob_match(entry->text, column);
}

const struct cdc_column_entry *cdc_columns_find(const struct cdc_columns *cols, enum cdc_said from,
                                                enum cdc_said to, bool plain, const char *column)
{
    for (size_t i = 0; i < cols->n; i++) {
        const struct cdc_column_entry *entry = &cols->entries[i];
        if (entry->said >= from && entry->said <= to && (entry->name != NULL) == plain &&
            takes(entry, column))
            return entry;
    }
    return NULL;
}

bool cdc_columns_included(const struct cdc_columns *cols, const char *column)
{
    return !cols->has_include ||
           cdc_columns_find(cols, CDC_SAID_INCLUDE, CDC_SAID_INCLUDE, true, column) ||
           cdc_columns_find(cols, CDC_SAID_INCLUDE, CDC_SAID_INCLUDE, false, column);
}

const struct cdc_column_entry *cdc_columns_act(const struct cdc_columns *cols, const char *column)
{
    const struct cdc_column_entry *plain =
        cdc_columns_find(cols, CDC_SAID_EXCLUDE, CDC_SAID_TRUNCATE, true, column);
    if (plain)
        return plain;
    bool stays = cdc_columns_find(cols, CDC_SAID_INCLUDE, CDC_SAID_INCLUDE, true, column) != NULL;
    return cdc_columns_find(cols, stays ? CDC_SAID_EXCLUDE + 1 : CDC_SAID_EXCLUDE,
                            CDC_SAID_TRUNCATE, false, column);
}

static struct cdc_column_rule look_up(const struct cdc_rule *rule, const char *column, bool key)
{
    static const enum cdc_column_act acts[CDC_N_SAID] = {
        [CDC_SAID_EXCLUDE] = CDC_COLUMN_EXCLUDE,
        [CDC_SAID_MASK] = CDC_COLUMN_MASK,
        [CDC_SAID_HASH] = CDC_COLUMN_HASH,
        [CDC_SAID_TRUNCATE] = CDC_COLUMN_TRUNCATE,
    };
    struct cdc_column_rule ret = {.act = CDC_COLUMN_KEEP,
                                  .on_invalid = rule ? rule->on_invalid : CDC_INVALID_FAIL};
    const struct cdc_columns *cols = rule ? rule->columns : NULL;
    if (!cols)
        return ret;
    const struct cdc_column_entry *act = cdc_columns_act(cols, column);
    const struct cdc_column_entry *invalid =
        cdc_columns_find(cols, CDC_SAID_INVALID, CDC_SAID_INVALID, true, column);
    if (!invalid)
        invalid = cdc_columns_find(cols, CDC_SAID_INVALID, CDC_SAID_INVALID, false, column);
    if (invalid)
        ret.on_invalid = (enum cdc_invalid)invalid->number;
    if (act)
        ret.act = acts[act->said];
    if (ret.act == CDC_COLUMN_TRUNCATE)
        ret.limit = (uint32_t)act->number;
    if (!key && !cdc_columns_included(cols, column))
        ret = (struct cdc_column_rule){.act = CDC_COLUMN_EXCLUDE, .on_invalid = ret.on_invalid};
    return ret;
}

struct cdc_column_rule cdc_rule_column(const struct cdc_rule *rule, const char *column)
{
    return look_up(rule, column, false);
}

struct cdc_column_rule cdc_rule_key_column(const struct cdc_rule *rule, const char *column)
{
    return look_up(rule, column, true);
}

const char *const *cdc_rule_mentions(const struct cdc_rule *rule)
{
    static const char *const none[] = {NULL};
    return rule && rule->columns ? rule->columns->mentions : none;
}

int cdc_columns_hash_line(const struct cdc_columns *cols)
{
    for (size_t i = 0; i < cols->n; i++)
        if (cols->entries[i].said == CDC_SAID_HASH)
            return cols->entries[i].line;
    return 0;
}

void cdc_columns_put(const struct cdc_columns *cols, struct cdc_buf *ret)
{
    for (size_t i = 0; i < cols->n; i++) {
        const struct cdc_column_entry *entry = &cols->entries[i];
        cdc_buf_printf(ret, "%s %zu:%s", cdc_said_names[entry->said], strlen(entry->text),
                       entry->text);
        if (entry->said >= CDC_SAID_TRUNCATE)
            cdc_buf_printf(ret, " %lld", (long long)entry->number);
        cdc_buf_byte(ret, '\n');
    }
}
