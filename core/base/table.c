/*
 * table.c - building, comparing and remembering table versions; see cdc/table.h.
 */
#include "cdc/table.h"
#include "cdc/config.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TABLE_MAX_BYTES ((size_t)16 << 20)

/* What core/envelope puts first into its struct cdc_plan, so that a table can end it. */
struct plan_head {
    void (*free)(struct cdc_plan *plan);
};

static int copy_columns(struct cdc_table *tab, const struct cdc_table_spec *spec)
{
    struct cdc_column *cols = cdc_arena_zalloc(tab->arena, (spec->n + 1u) * sizeof *cols);
    if (!cols)
        return CDC_FAIL;
    for (uint16_t i = 0; i < spec->n; i++) {
        cols[i] = spec->cols[i];
        cols[i].name = cdc_arena_strdup(tab->arena, spec->cols[i].name);
        cols[i].type = cdc_arena_strdup(tab->arena, spec->cols[i].type ? spec->cols[i].type : "");
        cols[i].dflt = cdc_arena_strdup(tab->arena, spec->cols[i].dflt);
        if (!cols[i].name || !cols[i].type || (spec->cols[i].dflt && !cols[i].dflt))
            return CDC_FAIL;
    }
    tab->cols = cols;
    tab->n = spec->n;
    return CDC_OK;
}

/* The rule's key, if it names one, instead of the source's. */
static int override_key(struct cdc_table *tab, struct cdc_error *err)
{
    const struct cdc_rule *rule = tab->rule;
    if (!rule || rule->n_key == 0)
        return CDC_OK;
    struct cdc_column *cols = (struct cdc_column *)(uintptr_t)tab->cols;
    for (uint16_t i = 0; i < tab->n; i++)
        cols[i].key = 0;
    for (size_t k = 0; k < rule->n_key; k++) {
        int at = cdc_table_column(tab, rule->key[k]);
        if (at < 0)
            return cdc_fail(err, CDC_OPERATOR, rule->where,
                            "`key:` names column \"%s\", which table %s.%s does not have: correct "
                            "the rule, or give this table a rule of its own",
                            rule->key[k], tab->schema, tab->name);
        cols[at].key = (uint16_t)(k + 1);
    }
    return CDC_OK;
}

/*
 * A column whose values the rule hides has no default here: a default is the value of many rows,
 * and would lie in the checkpoint and in schemas.
 */
static void hide_defaults(struct cdc_table *tab)
{
    struct cdc_column *cols = (struct cdc_column *)(uintptr_t)tab->cols;
    for (uint16_t i = 0; i < tab->n; i++) {
        struct cdc_column_rule rule = cols[i].key ? cdc_rule_key_column(tab->rule, cols[i].name)
                                                  : cdc_rule_column(tab->rule, cols[i].name);
        if (rule.act != CDC_COLUMN_KEEP)
            cols[i].dflt = NULL;
    }
}

static int index_key(struct cdc_table *tab)
{
    uint16_t n = 0;
    for (uint16_t i = 0; i < tab->n; i++)
        n += tab->cols[i].key != 0;
    uint16_t *key = cdc_arena_alloc(tab->arena, (n + 1u) * sizeof *key);
    if (!key)
        return CDC_FAIL;
    uint16_t at = 0;
    for (uint16_t ordinal = 1; at < n && ordinal <= CDC_COLUMNS_MAX; ordinal++)
        for (uint16_t i = 0; i < tab->n; i++)
            if (tab->cols[i].key == ordinal)
                key[at++] = i;
    tab->key = key;
    tab->n_key = at;
    return CDC_OK;
}

static int fill(struct cdc_table *tab, const struct cdc_table_spec *spec, struct cdc_error *err)
{
    tab->catalog = cdc_arena_strdup(tab->arena, spec->catalog ? spec->catalog : "");
    tab->schema = cdc_arena_strdup(tab->arena, spec->schema);
    tab->name = cdc_arena_strdup(tab->arena, spec->name);
    tab->id = spec->id;
    tab->version = spec->version;
    tab->rule = spec->rule;
    if (!tab->catalog || !tab->schema || !tab->name || copy_columns(tab, spec) < 0)
        return cdc_fail_oom(err);
    if (override_key(tab, err) < 0)
        return CDC_FAIL;
    hide_defaults(tab);
    return index_key(tab) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

int cdc_table_new(const struct cdc_table_spec *spec, struct cdc_table **ret, struct cdc_error *err)
{
    if (spec->n > CDC_COLUMNS_MAX)
        return cdc_fail(err, CDC_OPERATOR, spec->name,
                        "table %s.%s has %u columns, more than the %d that can be captured",
                        spec->schema, spec->name, spec->n, CDC_COLUMNS_MAX);
    struct cdc_arena *arena = cdc_arena_new(TABLE_MAX_BYTES);
    struct cdc_table *tab = arena ? cdc_arena_zalloc(arena, sizeof *tab) : NULL;
    if (!tab) {
        cdc_arena_free(arena);
        return cdc_fail_oom(err);
    }
    tab->arena = arena;
    atomic_init(&tab->refs, 1);
    if (fill(tab, spec, err) < 0) {
        cdc_table_unref(tab);
        return CDC_FAIL;
    }
    *ret = tab;
    return CDC_OK;
}

struct cdc_table *cdc_table_ref(struct cdc_table *tab)
{
    atomic_fetch_add_explicit(&tab->refs, 1, memory_order_relaxed);
    return tab;
}

void cdc_table_unref(struct cdc_table *tab)
{
    if (!tab || atomic_fetch_sub_explicit(&tab->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (tab->plan)
        ((struct plan_head *)(void *)tab->plan)->free(tab->plan);
    cdc_arena_free(tab->arena); /* holds the table itself */
}

static bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool column_same(const struct cdc_column *a, const struct cdc_column *b)
{
    return str_eq(a->name, b->name) && str_eq(a->type, b->type) && str_eq(a->dflt, b->dflt) &&
           a->kind == b->kind && a->bits == b->bits && a->precision == b->precision &&
           a->scale == b->scale && a->item == b->item && a->nullable == b->nullable &&
           a->key == b->key;
}

bool cdc_table_same(const struct cdc_table *a, const struct cdc_table *b)
{
    if (a->n != b->n || !str_eq(a->schema, b->schema) || !str_eq(a->name, b->name))
        return false;
    for (uint16_t i = 0; i < a->n; i++)
        if (!column_same(&a->cols[i], &b->cols[i]))
            return false;
    return true;
}

int cdc_table_column(const struct cdc_table *tab, const char *name)
{
    for (uint16_t i = 0; i < tab->n; i++)
        if (strcmp(tab->cols[i].name, name) == 0)
            return i;
    return -1;
}

static json_t *column_json(const struct cdc_column *col)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "name", col->name, "type", col->type, "kind",
                             cdc_kind_name(col->kind), "nullable", col->nullable);
    if (!json)
        return NULL;
    const struct {
        const char *name;
        int64_t value;
        int64_t dflt;
    } numbers[] = {
        {"bits", col->bits, 0}, {"precision", col->precision, 0}, {"scale", col->scale, 0},
        {"key", col->key, 0},   {"type_id", col->type_id, 0},     {"type_mod", col->type_mod, -1},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value != numbers[i].dflt)
            json_object_set_new(json, numbers[i].name, json_integer(numbers[i].value));
    if (col->kind == CDC_ARRAY)
        json_object_set_new(json, "item", json_string(cdc_kind_name(col->item)));
    if (col->dflt)
        json_object_set_new(json, "default", json_string(col->dflt));
    return json;
}

int cdc_table_state(const struct cdc_table *tab, struct cdc_buf *ret)
{
    json_t *cols = json_array();
    for (uint16_t i = 0; i < tab->n; i++)
        json_array_append_new(cols, column_json(&tab->cols[i]));
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:I, s:o}", "state", "streaming", "version", (int)tab->version,
                  "generation", 0, "id", (json_int_t)tab->id, "columns", cols);
    if (json && tab->rule)
        json_object_set_new(json, "rule", json_string(tab->rule->hash));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text)
        cdc_buf_str(ret, text);
    free(text);
    json_decref(json);
    return text && !ret->failed ? CDC_OK : CDC_FAIL;
}

static enum cdc_kind kind_of(const char *name)
{
    for (int kind = CDC_BOOL; kind < CDC_KINDS; kind++)
        if (name && strcmp(name, cdc_kind_name((enum cdc_kind)kind)) == 0)
            return (enum cdc_kind)kind;
    return CDC_KINDS;
}

static int64_t number(json_t *json, const char *name, int64_t dflt)
{
    json_t *n = json_object_get(json, name);
    return json_is_integer(n) ? json_integer_value(n) : dflt;
}

/* The strings are lent by the JSON; cdc_table_new copies them. */
static bool column_from(json_t *json, struct cdc_column *ret)
{
    *ret = (struct cdc_column){
        .name = json_string_value(json_object_get(json, "name")),
        .type = json_string_value(json_object_get(json, "type")),
        .kind = kind_of(json_string_value(json_object_get(json, "kind"))),
        .bits = (uint8_t)number(json, "bits", 0),
        .precision = (uint8_t)number(json, "precision", 0),
        .scale = (int16_t)number(json, "scale", 0),
        .nullable = !json_is_false(json_object_get(json, "nullable")),
        .dflt = json_string_value(json_object_get(json, "default")),
        .key = (uint16_t)number(json, "key", 0),
        .type_id = (uint32_t)number(json, "type_id", 0),
        .type_mod = (int32_t)number(json, "type_mod", -1),
    };
    if (ret->kind == CDC_ARRAY)
        ret->item = kind_of(json_string_value(json_object_get(json, "item")));
    return ret->name && ret->type && ret->kind != CDC_KINDS && ret->item != CDC_KINDS;
}

static int from_json(json_t *json, struct cdc_table_spec *spec, struct cdc_table **ret,
                     struct cdc_error *err)
{
    json_t *cols = json_object_get(json, "columns");
    size_t n = json_array_size(cols);
    struct cdc_column *col = calloc(n + 1, sizeof *col);
    if (!col)
        return cdc_fail_oom(err);
    bool good = json_is_array(cols) && n <= CDC_COLUMNS_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = column_from(json_array_get(cols, i), &col[i]);
    spec->version = (uint32_t)number(json, "version", 0);
    spec->id = (uint64_t)number(json, "id", 0);
    spec->n = (uint16_t)n;
    spec->cols = col;
    const struct cdc_rule *rule = spec->rule;
    if (n == 0) /* paused before its first row: the rule's key has no columns to be of */
        spec->rule = NULL;
    int rc = good && spec->version ? cdc_table_new(spec, ret, err) : CDC_END;
    if (rc == CDC_OK)
        (*ret)->rule = rule;
    free(col);
    return rc;
}

int cdc_table_from_state(const char *catalog, const char *schema, const char *name,
                         struct cdc_slice text, const struct cdc_rule *rule, struct cdc_table **ret,
                         struct cdc_error *err)
{
    struct cdc_table_spec spec = {.catalog = catalog, .schema = schema, .name = name, .rule = rule};
    json_t *json = json_loadb((const char *)text.p, text.len, 0, NULL);
    int rc = json_is_object(json) ? from_json(json, &spec, ret, err) : CDC_END;
    json_decref(json);
    if (rc == CDC_END)
        return cdc_fail(err, CDC_FATAL, name,
                        "the checkpoint's state of table %s.%s is damaged: run `sidestream fsck`",
                        schema, name);
    return rc;
}
