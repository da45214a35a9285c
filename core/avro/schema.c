/*
 * schema.c - a schema text of the `row` envelope, understood; see cdc/avro.h.
 *
 * A column is ["null",T] (default null) or T; T is one of the rows of cdc_avro_types, an array of
 * ["null",such a type], or, for the two meta columns that list names, an array of strings. All
 * else is refused by the field's name: this is no general reader of Avro schemas.
 */
#include "avro/types.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

#define COLUMNS_MAX 4200 /* no source has more; bounds what a foreign text may ask for */

struct parsed {
    struct cdc_row_schema schema; /* first: what the caller sees and frees */
    struct cdc_arena *arena;
    struct cdc_row_column *cols;
    uint16_t *key;
    struct cdc_error *err;
};

static int bad(struct cdc_error *err, const char *field, const char *what)
{
    return cdc_fail(err, CDC_FATAL, field, "not a schema of the `row` envelope: %s %s", field,
                    what);
}

static const char *get_string(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

/* An integer member from low to high; false: not there, or not such a one. */
static bool get_int(const json_t *obj, const char *key, int64_t low, int64_t high, int64_t *ret)
{
    const json_t *val = json_object_get(obj, key);
    *ret = json_integer_value(val);
    return json_is_integer(val) && *ret >= low && *ret <= high;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The row of cdc_avro_types that describes T; the first that fits is the most special one. */
static const struct cdc_avro_type *find_type(const json_t *type)
{
    const char *name = json_is_string(type) ? json_string_value(type) : get_string(type, "type");
    const char *logical = get_string(type, "logicalType");
    const struct cdc_avro_type *plain = NULL;
    for (const struct cdc_avro_type *t = cdc_avro_types; t->kind != CDC_NULL; t++) {
        if (!same(t->type, name) || !same(t->logical, logical))
            continue;
        if (!t->attribute)
            plain = t;
        else if (same(get_string(type, t->attribute), t->value))
            return t;
    }
    return plain;
}

static int parse_decimal(const json_t *type, struct cdc_row_column *col, struct cdc_error *err)
{
    int64_t size, precision, scale;
    if (!get_int(type, "size", 1, 16, &size) || !get_int(type, "precision", 1, 38, &precision) ||
        !get_int(type, "scale", 0, precision, &scale))
        return bad(err, col->name, "is a decimal with a size, precision or scale that cannot be");
    col->size = (uint16_t)size;
    col->precision = (uint8_t)precision;
    col->scale = (int16_t)scale;
    return CDC_OK;
}

static int parse_scalar(const json_t *type, struct cdc_row_column *col, enum cdc_kind *ret_kind,
                        struct cdc_error *err)
{
    const struct cdc_avro_type *t = find_type(type);
    if (!t)
        return bad(err, col->name, "has a type that this envelope does not use");
    *ret_kind = t->kind;
    col->bits = t->bits;
    return t->kind == CDC_DECIMAL ? parse_decimal(type, col, err) : CDC_OK;
}

/* The T of ["null",T], or NULL. */
static const json_t *of_union(const json_t *type)
{
    if (json_array_size(type) != 2)
        return NULL;
    return same(json_string_value(json_array_get(type, 0)), "null") ? json_array_get(type, 1)
                                                                    : NULL;
}

static int parse_type(const json_t *type, struct cdc_row_column *col, struct cdc_error *err)
{
    col->nullable = json_is_array(type);
    if (col->nullable)
        type = of_union(type);
    if (!same(get_string(type, "type"), "array"))
        return parse_scalar(type, col, &col->kind, err);
    col->kind = CDC_ARRAY;
    const json_t *items = json_object_get(type, "items");
    if (col->meta == CDC_META_NONE)
        items = of_union(items);
    return parse_scalar(items, col, &col->item, err);
}

/* A meta column must be what its table says: readers do not look again. */
static int check_meta(const struct cdc_row_column *col, struct cdc_error *err)
{
    const struct cdc_meta_column *meta = &cdc_meta_columns[col->meta];
    if (col->kind != meta->kind || col->nullable != meta->nullable ||
        (col->kind == CDC_ARRAY && col->item != CDC_TEXT))
        return bad(err, meta->name, "has not the type of that meta column");
    return CDC_OK;
}

static int parse_field(struct parsed *p, const json_t *field, uint16_t i)
{
    struct cdc_row_column *col = &p->cols[i];
    const char *name = get_string(field, "name");
    const char *original = get_string(field, "cdc.column");
    if (!name)
        return bad(p->err, "fields", "holds one without a name");
    col->name = cdc_arena_strdup(p->arena, original ? original : name);
    if (!col->name)
        return cdc_fail_oom(p->err);
    col->meta = cdc_meta_find(name);
    if (parse_type(json_object_get(field, "type"), col, p->err) < 0)
        return CDC_FAIL;
    if (col->meta != CDC_META_NONE) {
        p->schema.meta[col->meta] = (int16_t)i;
        return check_meta(col, p->err);
    }
    int64_t key = 0;
    if (json_object_get(field, "key") && !get_int(field, "key", 1, COLUMNS_MAX, &key))
        return bad(p->err, col->name, "has a place in the key that cannot be");
    col->key = (uint16_t)key;
    p->schema.n_key = (uint16_t)(p->schema.n_key + (key > 0));
    return CDC_OK;
}

/* The places 1 to n_key, each once. */
static int parse_key(struct parsed *p)
{
    uint16_t n = p->schema.n_key;
    p->key = cdc_arena_alloc(p->arena, (n + 1u) * sizeof *p->key);
    if (!p->key)
        return cdc_fail_oom(p->err);
    memset(p->key, 0xff, n * sizeof *p->key);
    for (uint16_t i = 0; i < p->schema.n; i++) {
        uint16_t place = p->cols[i].key;
        if (place > n || (place && p->key[place - 1] != UINT16_MAX))
            return bad(p->err, p->cols[i].name, "has a place in the key twice, or one is missing");
        if (place)
            p->key[place - 1] = i;
    }
    p->schema.key = p->key;
    return CDC_OK;
}

static int parse_fields(struct parsed *p, const json_t *fields)
{
    size_t n = json_array_size(fields);
    if (n == 0 || n > COLUMNS_MAX)
        return bad(p->err, "fields", "is missing, empty or too long");
    p->schema.n = (uint16_t)n;
    p->cols = cdc_arena_zalloc(p->arena, n * sizeof *p->cols);
    json_t *names = json_object();
    int rc = p->cols && names ? CDC_OK : cdc_fail_oom(p->err);
    p->schema.cols = p->cols;
    for (uint16_t i = 0; rc == CDC_OK && i < n; i++) {
        rc = parse_field(p, json_array_get(fields, i), i);
        if (rc == CDC_OK && json_object_get(names, p->cols[i].name))
            rc = bad(p->err, p->cols[i].name, "stands twice");
        if (rc == CDC_OK && json_object_set_new(names, p->cols[i].name, json_true()) < 0)
            rc = cdc_fail_oom(p->err);
    }
    json_decref(names);
    return rc == CDC_OK ? parse_key(p) : rc;
}

static int parse_record(struct parsed *p, const json_t *root)
{
    const char *schema = get_string(root, "cdc.schema"), *table = get_string(root, "cdc.table");
    int64_t version;
    if (!same(get_string(root, "type"), "record"))
        return bad(p->err, "type", "is not \"record\"");
    if (!schema || !table || !get_int(root, "cdc.version", 1, UINT32_MAX, &version))
        return bad(p->err, "cdc.schema, cdc.table or cdc.version", "is missing or wrong");
    p->schema.table_schema = cdc_arena_strdup(p->arena, schema);
    p->schema.table_name = cdc_arena_strdup(p->arena, table);
    p->schema.version = (uint32_t)version;
    if (!p->schema.table_schema || !p->schema.table_name)
        return cdc_fail_oom(p->err);
    return parse_fields(p, json_object_get(root, "fields"));
}

int cdc_row_schema_parse(struct cdc_slice text, struct cdc_row_schema **ret, struct cdc_error *err)
{
    static _Atomic uint64_t stamps; /* one process-wide count: stamps must differ, nothing else */
    json_error_t why;
    json_t *root =
        json_loadb(text.p ? (const char *)text.p : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return cdc_fail(err, CDC_FATAL, "schema", "the schema text is no JSON: %s at byte %d",
                        why.text, why.position);
    struct parsed *p = calloc(1, sizeof *p);
    if (p)
        p->arena = cdc_arena_new(text.len * 64 + 65536);
    int rc = p && p->arena ? CDC_OK : cdc_fail_oom(err);
    if (rc == CDC_OK) {
        p->err = err;
        memset(p->schema.meta, 0xff, sizeof p->schema.meta); /* -1 each */
        p->schema.stamp = atomic_fetch_add(&stamps, 1) + 1;
        rc = parse_record(p, root);
    }
    json_decref(root);
    if (rc < 0) {
        cdc_row_schema_free(p ? &p->schema : NULL);
        return rc;
    }
    *ret = &p->schema;
    return CDC_OK;
}

void cdc_row_schema_free(struct cdc_row_schema *schema)
{
    struct parsed *p = (struct parsed *)schema;
    if (!p)
        return;
    cdc_arena_free(p->arena);
    free(p);
}
