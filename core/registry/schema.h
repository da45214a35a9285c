/*
 * schema.h - any Avro schema as a tree, for comparing two of them.
 *
 * A name that is used again points to the node that defines it, so the "tree" may have cycles.
 * Attributes that no comparison here looks at (doc, and whatever others write) are not kept. Not
 * for encoding: that is core/avro and core/envelope.
 *
 * Strictness is that of Avro for Java 1.11: unknown types, names defined twice, wrong names, unions
 * in unions and defaults of a wrong type are refused. A union's default may be of any branch.
 *
 * Ownership: everything belongs to the schema's arena. Threads: read-only once parsed.
 * Limits: CDC_SCHEMA_MAX bytes of text, 100 types inside one another.
 */
#ifndef CDC_REGISTRY_SCHEMA_H
#define CDC_REGISTRY_SCHEMA_H

#include "cdc/buf.h"

#define CDC_SCHEMA_MAX ((size_t)8 << 20)

enum cdc_node_type {
    CDC_AVRO_NULL,
    CDC_AVRO_BOOLEAN,
    CDC_AVRO_INT,
    CDC_AVRO_LONG,
    CDC_AVRO_FLOAT,
    CDC_AVRO_DOUBLE,
    CDC_AVRO_BYTES,
    CDC_AVRO_STRING,
    CDC_AVRO_RECORD,
    CDC_AVRO_ENUM,
    CDC_AVRO_FIXED,
    CDC_AVRO_ARRAY,
    CDC_AVRO_MAP,
    CDC_AVRO_UNION,
};

struct cdc_names {
    const char **items;
    size_t n;
};

struct cdc_avro_field {
    const char *name;
    struct cdc_names aliases;
    const struct cdc_avro_node *type;
    bool has_default;
};

struct cdc_avro_node {
    enum cdc_node_type type;
    const char *name, *full;              /* RECORD, ENUM, FIXED: short and with the namespace */
    struct cdc_names aliases;             /* the same: with the namespace */
    struct cdc_avro_field *fields;        /* RECORD: n */
    const struct cdc_avro_node **members; /* UNION: n; ARRAY, MAP: 1 */
    size_t n;
    struct cdc_names symbols; /* ENUM */
    const char *symbol;       /* ENUM: its default, or NULL */
    int64_t size;             /* FIXED */
    /* What Avro's own rules do not look at: */
    const char *logical; /* logicalType, or NULL */
    int64_t precision, scale;
    const char *connect; /* connect.name, or NULL */
    const char *zone;    /* our own: "none" for a timestamp without a zone, or NULL */
};

struct cdc_avro_schema {
    const struct cdc_avro_node *root;
    struct cdc_arena *arena;
};

/* CDC_FAIL (CDC_FATAL): no such schema; err says what is wrong and where in it. */
CDC_CHECK int cdc_avro_schema_parse(struct cdc_slice text, struct cdc_avro_schema **ret,
                                    struct cdc_error *err);
void cdc_avro_schema_free(struct cdc_avro_schema *schema); /* NULL is fine */

/*
 * Do they describe the same bytes with the same meaning: types, names, order of fields, symbols,
 * defaults being there, and what the guard looks at?
 */
bool cdc_avro_schema_same(const struct cdc_avro_schema *a, const struct cdc_avro_schema *b);

#endif
