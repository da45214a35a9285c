/*
 * shape.c - see envelope/shape.h.
 *
 * A key must stay a key: an excluded column names no row, and masked or truncated ones name several
 * by one key. A hash is as distinct as what it was made of, and so is a text form.
 *
 * `on_invalid: string` for a whole rule means the columns that need it: those whose type at the
 * source has values which its Avro type has not. Said of a column by name it holds for any type.
 */
#include "envelope/shape.h"

#include <stdio.h>

static int refuse(const struct cdc_table *tab, const char *column, const char *why,
                  struct cdc_error *err)
{
    const char *where = tab->rule->where ? tab->rule->where : "";
    return cdc_fail(err, CDC_CONFIG, where, "table %s.%s, column %s: %s", tab->schema, tab->name,
                    column, why);
}

static bool can_be_invalid(enum cdc_kind kind)
{
    switch (kind) {
    case CDC_DECIMAL:
    case CDC_DATE:
    case CDC_TIME:
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ:
    case CDC_ARRAY: return true;
    default: return false;
    }
}

static bool is_text(const struct cdc_table *tab, const struct cdc_column *col,
                    const struct cdc_column_rule *rule)
{
    if (rule->act == CDC_COLUMN_HASH)
        return true;
    if (rule->act == CDC_COLUMN_MASK || rule->on_invalid != CDC_INVALID_STRING)
        return false;
    bool of_table = tab->rule && tab->rule->on_invalid == CDC_INVALID_STRING;
    return !of_table || can_be_invalid(col->kind);
}

static const char *key_trouble(enum cdc_column_act act)
{
    switch (act) {
    case CDC_COLUMN_EXCLUDE:
        return "`exclude` takes a column of the key, and rows would have no identity; take it out "
               "of the list, use `hash`, or choose other columns by `key:`";
    case CDC_COLUMN_MASK:
        return "`mask` makes all values of a key column equal, and rows would be taken for one "
               "another; use `hash`, or choose other columns by `key:`";
    case CDC_COLUMN_TRUNCATE:
        return "`truncate` can make two values of a key column equal, and rows would be taken for "
               "one another; use `hash`, or choose other columns by `key:`";
    case CDC_COLUMN_KEEP:
    case CDC_COLUMN_HASH: break;
    }
    return NULL;
}

static const char *column_trouble(const struct cdc_table *tab, const struct cdc_column *col,
                                  enum cdc_column_act act)
{
    if (act == CDC_COLUMN_TRUNCATE && col->kind != CDC_TEXT)
        return "`truncate` is for text alone, and this column has another type; use `exclude`, "
               "`hash` or `mask`";
    if (act == CDC_COLUMN_HASH && !tab->rule->hash_key.p)
        return "`hash` needs a secret: set `secrets: {hash: ...}`";
    return col->key && cdc_key_act_refused(act) ? key_trouble(act) : NULL;
}

/* *ret: index of the column that an option of the rule names, -1: it names none. */
static int find_named(const struct cdc_table *tab, const char *column, const char *missing,
                      int *ret, struct cdc_error *err)
{
    *ret = column ? cdc_table_column(tab, column) : -1;
    return column && *ret < 0 ? refuse(tab, column, missing, err) : CDC_OK;
}

static int find_logical(const struct cdc_table *tab, int *ret, struct cdc_error *err)
{
    return find_named(tab, tab->rule ? tab->rule->logical_delete : NULL,
                      "`logical_delete` names a column that the table does not have; correct the "
                      "rule, or give the table a rule of its own",
                      ret, err);
}

static int find_updated(const struct cdc_table *tab, int *ret, struct cdc_error *err)
{
    const char *name = tab->rule ? tab->rule->updated_at : NULL;
    if (find_named(tab, name,
                   "`updated_at` names a column that the table does not have; correct the rule, or "
                   "give the table a rule of its own",
                   ret, err) < 0)
        return CDC_FAIL;
    if (!name)
        return CDC_OK;
    enum cdc_kind kind = tab->cols[*ret].kind;
    if (kind != CDC_DATE && kind != CDC_TIMESTAMP && kind != CDC_TIMESTAMPTZ)
        return refuse(tab, name, "`updated_at` needs a column of type date or timestamp", err);
    /* As for a key: what `include` does not name may still be asked for in this way. */
    if (cdc_rule_key_column(tab->rule, name).act != CDC_COLUMN_KEEP)
        return refuse(tab, name,
                      "`updated_at` would show in __source_updated_at what `columns:` hides; take "
                      "it out of one of the two",
                      err);
    return CDC_OK;
}

int cdc_row_shape(const struct cdc_table *tab, struct cdc_arena *arena, struct cdc_row_shape *ret,
                  struct cdc_error *err)
{
    struct cdc_column_shape *cols = cdc_arena_zalloc(arena, (tab->n + 1u) * sizeof *cols);
    if (!cols)
        return cdc_fail_oom(err);
    for (uint16_t i = 0; i < tab->n; i++) {
        const struct cdc_column *col = &tab->cols[i];
        struct cdc_column_rule rule = col->key ? cdc_rule_key_column(tab->rule, col->name)
                                               : cdc_rule_column(tab->rule, col->name);
        const char *why = column_trouble(tab, col, rule.act);
        if (why)
            return refuse(tab, col->name, why, err);
        cols[i] = (struct cdc_column_shape){.act = rule.act,
                                            .as_text = is_text(tab, col, &rule),
                                            .limit = rule.limit,
                                            .on_invalid = rule.on_invalid};
    }
    ret->cols = cols;
    if (find_logical(tab, &ret->logical, err) < 0)
        return CDC_FAIL;
    return find_updated(tab, &ret->updated, err);
}
