/*
 * schema.c - see registry/schema.h. One descent over the JSON tree; named types are entered into
 * `names` before what is inside them is read, so that they may refer to themselves.
 */
#include "registry/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 100

struct parse {
    struct cdc_arena *arena;
    json_t *names; /* full name: index into named */
    struct cdc_avro_node **named;
    size_t n_named, cap_named;
    int depth;
    struct cdc_error *err;
};

static const char *const type_names[] = {
    [CDC_AVRO_NULL] = "null",   [CDC_AVRO_BOOLEAN] = "boolean", [CDC_AVRO_INT] = "int",
    [CDC_AVRO_LONG] = "long",   [CDC_AVRO_FLOAT] = "float",     [CDC_AVRO_DOUBLE] = "double",
    [CDC_AVRO_BYTES] = "bytes", [CDC_AVRO_STRING] = "string",   [CDC_AVRO_RECORD] = "record",
    [CDC_AVRO_ENUM] = "enum",   [CDC_AVRO_FIXED] = "fixed",     [CDC_AVRO_ARRAY] = "array",
    [CDC_AVRO_MAP] = "map"};

static int bad(struct parse *p, const char *where, const char *what)
{
    return cdc_fail(p->err, CDC_FATAL, where, "not an Avro schema: %.100s %s", where, what);
}

static const char *member(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return n > 0;
}

/* Names with dots between them. */
static bool is_full_name(const char *s)
{
    for (;;) {
        size_t n = strcspn(s, ".");
        if (!is_name(s, n))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

/* `name` within a namespace; NULL: no memory. */
static const char *full_name(struct parse *p, const char *space, const char *name)
{
    if (strchr(name, '.') || !space || !*space)
        return cdc_arena_strdup(p->arena, name);
    return cdc_arena_printf(p->arena, "%s.%s", space, name);
}

static struct cdc_avro_node *find_named(const struct parse *p, const char *full)
{
    const json_t *at = json_object_get(p->names, full);
    return at && p->named ? p->named[json_integer_value(at)] : NULL;
}

static int define(struct parse *p, struct cdc_avro_node *node)
{
    if (json_object_get(p->names, node->full))
        return bad(p, node->full, "is defined twice");
    if (p->n_named == p->cap_named) {
        size_t cap = p->cap_named ? p->cap_named * 2 : 16;
        struct cdc_avro_node **more = realloc(p->named, cap * sizeof(void *));
        if (!more)
            return cdc_fail_oom(p->err);
        p->named = more;
        p->cap_named = cap;
    }
    p->named[p->n_named] = node;
    if (json_object_set_new(p->names, node->full, json_integer((json_int_t)p->n_named)) < 0)
        return cdc_fail_oom(p->err);
    p->n_named++;
    return CDC_OK;
}

/* A list of names; full: within the namespace, else as they are. Missing: empty. */
static int parse_names(struct parse *p, const json_t *list, const char *space, bool full,
                       struct cdc_names *ret)
{
    if (!list)
        return CDC_OK;
    if (!json_is_array(list))
        return bad(p, "a list of aliases or symbols", "is no list");
    size_t n = json_array_size(list);
    ret->items = cdc_arena_alloc(p->arena, (n + 1) * sizeof *ret->items);
    if (!ret->items)
        return cdc_fail_oom(p->err);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || !(full ? is_full_name(name) : is_name(name, strlen(name))))
            return bad(p, name ? name : "a list of names", "is no name");
        ret->items[i] = full ? full_name(p, space, name) : cdc_arena_strdup(p->arena, name);
        if (!ret->items[i])
            return cdc_fail_oom(p->err);
    }
    ret->n = n;
    return CDC_OK;
}

/* The parts of a named type's name, and its namespace into *ret_space; entered into the names. */
static int parse_name(struct parse *p, const json_t *json, const char *space,
                      struct cdc_avro_node *node, const char **ret_space)
{
    const char *name = member(json, "name"), *own = member(json, "namespace");
    if (!name || !is_full_name(name))
        return bad(p, name ? name : "a record, enum or fixed", "has no proper name");
    if (own && *own && !is_full_name(own))
        return bad(p, own, "is no namespace");
    node->full = full_name(p, own ? own : space, name);
    if (!node->full)
        return cdc_fail_oom(p->err);
    const char *dot = strrchr(node->full, '.');
    node->name = dot ? dot + 1 : node->full;
    char *in = cdc_arena_strdup(p->arena, node->full);
    if (!in)
        return cdc_fail_oom(p->err);
    in[dot ? dot - node->full : 0] = 0;
    *ret_space = in;
    if (parse_names(p, json_object_get(json, "aliases"), in, true, &node->aliases) < 0)
        return CDC_FAIL;
    for (int t = CDC_AVRO_NULL; t <= CDC_AVRO_STRING; t++)
        if (strcmp(node->full, type_names[t]) == 0)
            return bad(p, node->full, "is the name of one of Avro's own types");
    return define(p, node);
}

static int parse_node(struct parse *p, const json_t *json, const char *space,
                      const struct cdc_avro_node **ret);

static bool has_name(const struct cdc_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

static bool default_fits(const struct cdc_avro_node *node, const json_t *value);

static bool members_fit(const struct cdc_avro_node *node, const json_t *value)
{
    const json_t *item;
    if (node->type == CDC_AVRO_ARRAY) {
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!default_fits(node->members[0], json_array_get(value, i)))
                return false;
        return json_is_array(value);
    }
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)value, key,
                        item) if (!default_fits(node->members[0], item)) return false;
    return json_is_object(value);
}

/* The value's depth is JSON's own, so that a type that refers to itself does no harm. */
static bool record_fits(const struct cdc_avro_node *node, const json_t *value)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct cdc_avro_field *field = &node->fields[i];
        const json_t *item = json_object_get(value, field->name);
        if (item ? !default_fits(field->type, item) : !field->has_default)
            return false;
    }
    return json_is_object(value);
}

static bool default_fits(const struct cdc_avro_node *node, const json_t *value)
{
    json_int_t n = json_integer_value(value);
    switch (node->type) {
    case CDC_AVRO_NULL: return json_is_null(value);
    case CDC_AVRO_BOOLEAN: return json_is_boolean(value);
    case CDC_AVRO_INT: return json_is_integer(value) && n >= INT32_MIN && n <= INT32_MAX;
    case CDC_AVRO_LONG: return json_is_integer(value);
    case CDC_AVRO_FLOAT:
    case CDC_AVRO_DOUBLE: return json_is_number(value);
    case CDC_AVRO_BYTES:
    case CDC_AVRO_STRING:
    case CDC_AVRO_ENUM:
    case CDC_AVRO_FIXED: return json_is_string(value);
    case CDC_AVRO_ARRAY:
    case CDC_AVRO_MAP: return members_fit(node, value);
    case CDC_AVRO_RECORD: return record_fits(node, value);
    case CDC_AVRO_UNION: break;
    }
    for (size_t i = 0; i < node->n; i++)
        if (default_fits(node->members[i], value))
            return true;
    return false;
}

static int parse_field(struct parse *p, const json_t *json, const char *space,
                       struct cdc_avro_field *ret)
{
    const char *name = member(json, "name");
    const json_t *dflt = json_object_get(json, "default");
    if (!name || !is_name(name, strlen(name)))
        return bad(p, name ? name : "a field", "has no proper name");
    ret->name = cdc_arena_strdup(p->arena, name);
    ret->has_default = dflt != NULL;
    if (!ret->name)
        return cdc_fail_oom(p->err);
    if (parse_names(p, json_object_get(json, "aliases"), NULL, false, &ret->aliases) < 0 ||
        parse_node(p, json_object_get(json, "type"), space, &ret->type) < 0)
        return CDC_FAIL;
    return CDC_OK;
}

/* Once the record is whole: a default may be of a type that refers to it. */
static int check_defaults(struct parse *p, const json_t *fields, const struct cdc_avro_node *node)
{
    for (size_t i = 0; i < node->n; i++) {
        const json_t *dflt = json_object_get(json_array_get(fields, i), "default");
        if (dflt && !default_fits(node->fields[i].type, dflt))
            return bad(p, node->fields[i].name, "has a default that is not of its type");
    }
    return CDC_OK;
}

static int parse_record(struct parse *p, const json_t *json, const char *space,
                        struct cdc_avro_node *node)
{
    const json_t *fields = json_object_get(json, "fields");
    if (!json_is_array(fields))
        return bad(p, node->full, "has no list of fields");
    size_t n = json_array_size(fields);
    node->fields = cdc_arena_zalloc(p->arena, (n + 1) * sizeof *node->fields);
    json_t *seen = json_object();
    int rc = node->fields && seen ? CDC_OK : cdc_fail_oom(p->err);
    for (size_t i = 0; rc == CDC_OK && i < n; i++) {
        rc = parse_field(p, json_array_get(fields, i), space, &node->fields[i]);
        if (rc == CDC_OK && json_object_get(seen, node->fields[i].name))
            rc = bad(p, node->fields[i].name, "stands twice in one record");
        if (rc == CDC_OK && json_object_set_new(seen, node->fields[i].name, json_true()) < 0)
            rc = cdc_fail_oom(p->err);
    }
    json_decref(seen);
    node->n = rc == CDC_OK ? n : 0;
    return rc == CDC_OK ? check_defaults(p, fields, node) : rc;
}

static int parse_enum(struct parse *p, const json_t *json, struct cdc_avro_node *node)
{
    const json_t *symbols = json_object_get(json, "symbols");
    const char *dflt = member(json, "default");
    if (!json_is_array(symbols))
        return bad(p, node->full, "has no list of symbols");
    if (parse_names(p, symbols, NULL, false, &node->symbols) < 0)
        return CDC_FAIL;
    for (size_t i = 1; node->symbols.items && i < node->symbols.n; i++)
        if (has_name(&(struct cdc_names){node->symbols.items, i}, node->symbols.items[i]))
            return bad(p, node->symbols.items[i], "stands twice in one enum");
    if (!dflt)
        return CDC_OK;
    if (!has_name(&node->symbols, dflt))
        return bad(p, node->full, "has a default that is none of its symbols");
    node->symbol = cdc_arena_strdup(p->arena, dflt);
    return node->symbol ? CDC_OK : cdc_fail_oom(p->err);
}

static int parse_fixed(struct parse *p, const json_t *json, struct cdc_avro_node *node)
{
    const json_t *size = json_object_get(json, "size");
    node->size = json_integer_value(size);
    return json_is_integer(size) && node->size >= 0 && node->size <= INT32_MAX
               ? CDC_OK
               : bad(p, node->full, "has no proper size");
}

static int parse_item(struct parse *p, const json_t *json, const char *space,
                      struct cdc_avro_node *node)
{
    node->members = cdc_arena_alloc(p->arena, sizeof(void *));
    node->n = 1;
    if (!node->members)
        return cdc_fail_oom(p->err);
    return parse_node(p, json_object_get(json, node->type == CDC_AVRO_MAP ? "values" : "items"),
                      space, &node->members[0]);
}

static bool same_branch(const struct cdc_avro_node *a, const struct cdc_avro_node *b)
{
    return a->type == b->type && (!a->full || strcmp(a->full, b->full) == 0);
}

static int parse_union(struct parse *p, const json_t *json, const char *space,
                       struct cdc_avro_node *node)
{
    size_t n = json_array_size(json);
    node->type = CDC_AVRO_UNION;
    node->members = cdc_arena_alloc(p->arena, (n + 1) * sizeof(void *));
    if (!node->members)
        return cdc_fail_oom(p->err);
    for (size_t i = 0; i < n; i++) {
        if (parse_node(p, json_array_get(json, i), space, &node->members[i]) < 0)
            return CDC_FAIL;
        if (node->members[i]->type == CDC_AVRO_UNION)
            return bad(p, "a union", "stands in a union");
        for (size_t j = 0; j < i; j++)
            if (same_branch(node->members[i], node->members[j]))
                return bad(p, type_names[node->members[i]->type], "stands twice in one union");
        node->n = i + 1;
    }
    return CDC_OK;
}

/* What lies beside `type` and decides what a value means. */
static int parse_meaning(struct parse *p, const json_t *json, struct cdc_avro_node *node)
{
    const struct {
        const char *key, **to;
    } texts[] = {
        {"logicalType", &node->logical}, {"connect.name", &node->connect}, {"zone", &node->zone}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = member(json, texts[i].key);
        *texts[i].to = cdc_arena_strdup(p->arena, text);
        if (text && !*texts[i].to)
            return cdc_fail_oom(p->err);
    }
    node->precision = json_integer_value(json_object_get(json, "precision"));
    node->scale = json_integer_value(json_object_get(json, "scale"));
    return CDC_OK;
}

static int parse_reference(struct parse *p, const char *name, const char *space,
                           const struct cdc_avro_node **ret)
{
    const char *full = full_name(p, space, name);
    if (!full)
        return cdc_fail_oom(p->err);
    *ret = find_named(p, full);
    if (!*ret)
        *ret = find_named(p, name);
    return *ret ? CDC_OK : bad(p, name, "is no type that is known at this place");
}

static int parse_complex(struct parse *p, const json_t *json, const char *space,
                         struct cdc_avro_node *node)
{
    if (parse_meaning(p, json, node) < 0)
        return CDC_FAIL;
    switch (node->type) {
    case CDC_AVRO_RECORD:
    case CDC_AVRO_ENUM:
    case CDC_AVRO_FIXED:
        if (parse_name(p, json, space, node, &space) < 0)
            return CDC_FAIL;
        if (node->type == CDC_AVRO_RECORD)
            return parse_record(p, json, space, node);
        return node->type == CDC_AVRO_ENUM ? parse_enum(p, json, node) : parse_fixed(p, json, node);
    case CDC_AVRO_ARRAY:
    case CDC_AVRO_MAP: return parse_item(p, json, space, node);
    default: return CDC_OK;
    }
}

/* The type's number, or -1: no type of Avro's own. */
static int type_of(const char *name)
{
    for (int t = 0; t < CDC_AVRO_UNION; t++)
        if (strcmp(name, type_names[t]) == 0)
            return t;
    return strcmp(name, "error") == 0 ? CDC_AVRO_RECORD : -1;
}

static int parse_new(struct parse *p, const json_t *json, const char *space,
                     const struct cdc_avro_node **ret)
{
    const char *name = json_is_string(json) ? json_string_value(json) : member(json, "type");
    struct cdc_avro_node *node = cdc_arena_zalloc(p->arena, sizeof *node);
    if (!node)
        return cdc_fail_oom(p->err);
    *ret = node;
    if (json_is_array(json))
        return parse_union(p, json, space, node);
    if (!name)
        return bad(p, "something", "has no type");
    int type = type_of(name);
    if (type < 0 || (json_is_string(json) && type > CDC_AVRO_STRING))
        return parse_reference(p, name, space, ret);
    node->type = (enum cdc_node_type)type;
    return parse_complex(p, json, space, node);
}

static int parse_node(struct parse *p, const json_t *json, const char *space,
                      const struct cdc_avro_node **ret)
{
    if (p->depth >= DEPTH_MAX)
        return bad(p, "it", "is nested too deeply");
    p->depth++;
    int rc = parse_new(p, json, space, ret);
    p->depth--;
    return rc;
}

int cdc_avro_schema_parse(struct cdc_slice text, struct cdc_avro_schema **ret,
                          struct cdc_error *err)
{
    json_error_t why;
    if (!text.p || text.len > CDC_SCHEMA_MAX)
        return cdc_fail(err, CDC_FATAL, "", "not an Avro schema: no text, or more than 8 MiB");
    json_t *json = json_loadb((const char *)text.p, text.len, JSON_DECODE_ANY, &why);
    if (!json)
        return cdc_fail(err, CDC_FATAL, "", "not an Avro schema: no JSON at byte %d", why.position);
    struct cdc_avro_schema *schema = NULL;
    struct parse p = {.arena = cdc_arena_new(text.len * 64 + 65536), .err = err};
    p.names = json_object();
    if (p.arena)
        schema = cdc_arena_zalloc(p.arena, sizeof *schema);
    int rc = schema && p.names ? parse_node(&p, json, "", &schema->root) : cdc_fail_oom(err);
    json_decref(json);
    json_decref(p.names);
    free(p.named);
    if (rc < 0) {
        cdc_arena_free(p.arena);
        return CDC_FAIL;
    }
    schema->arena = p.arena;
    *ret = schema;
    return CDC_OK;
}

void cdc_avro_schema_free(struct cdc_avro_schema *schema)
{
    if (schema)
        cdc_arena_free(schema->arena); /* which holds the schema itself */
}
