/*
 * table.h - one version of one table of the source.
 *
 * Immutable and reference counted: DDL makes a new one. A source builds it with cdc_table_new from
 * the log's own metadata, joined by name and type with the version in the checkpoint (or, for a
 * table never seen, the catalogue); what is not known for sure is nullable and without default.
 * `version` counts from 1 and grows by one with each difference; cdc_table_same tells whether there
 * is one. The engine stores cdc_table_state in the checkpoint as `table/<schema>.<name>`.
 *
 * Ownership: the table owns all it points to but `rule`, which lives as long as the configuration.
 * Threads: the counter is atomic; `plan` and `counters` are the sink thread's; all else never
 * changes.
 */
#ifndef CDC_TABLE_H
#define CDC_TABLE_H

#include "cdc/value.h"

struct cdc_rule;
struct cdc_plan;

struct cdc_column {
    const char *name;
    const char *type;   /* the source's type with its parameters, as the source prints it */
    enum cdc_kind kind; /* kind of its values when they are neither absent nor invalid */
    uint8_t bits;       /* INT, FLOAT: 32 or 64; else 0 */
    uint8_t precision;  /* DECIMAL: 1 to 38 */
    int16_t scale;      /* DECIMAL: 0 to precision */
    enum cdc_kind item; /* ARRAY: kind of the items, with bits, precision, scale above */
    bool nullable;      /* the source may send NULL; true where not known */
    const char *dflt;   /* default expression as the source prints it, or NULL (or hidden) */
    uint16_t key;       /* 1, 2, ... : place in the table's key; 0: not in it */
    uint32_t type_id;   /* the source's own number of the type (PostgreSQL: oid), or 0 */
    int32_t type_mod;   /* the source's own type parameters (PostgreSQL: typmod), or -1 */
};

struct cdc_table {
    _Atomic int refs;
    const char *catalog, *schema, *name; /* catalog: the database; schema may equal it (MySQL) */
    uint64_t id;                         /* the source's own number (PostgreSQL: relation oid) */
    uint32_t version;                    /* from 1 */
    uint16_t n, n_key;                   /* columns; columns of the key (0: a table without key) */
    const struct cdc_column *cols;       /* n, in the source's order */
    const uint16_t *key;                 /* n_key indexes into cols, in the key's order */
    const struct cdc_rule *rule;         /* the capture rule that took it; never NULL in a batch */
    struct cdc_plan *plan;               /* set by the engine before the sink sees the table */
    uint32_t stream;                     /* likewise: see cdc_stream_suffix in cdc/sink.h */
    void *counters;                      /* the engine's, for metrics; the sink thread only */
    struct cdc_arena *arena;             /* holds all of this */
};

/* What cdc_table_new copies; `key` of each column says which columns make the key. */
struct cdc_table_spec {
    const char *catalog, *schema, *name;
    uint64_t id;
    uint32_t version;
    uint16_t n;
    const struct cdc_column *cols;
    const struct cdc_rule *rule;
};

/* PostgreSQL's own limit; MySQL has 4096, and a table above this is refused. */
#define CDC_COLUMNS_MAX 1664

/*
 * Copies *spec. Where spec->rule names a key, that key replaces the columns' own. Columns that the
 * rule hides (excluded, hashed, masked, truncated) lose their default: it may be what is hidden.
 * CDC_FAIL (CDC_OPERATOR) when the rule's key names a column that the table does not have.
 */
CDC_CHECK int cdc_table_new(const struct cdc_table_spec *spec, struct cdc_table **ret,
                            struct cdc_error *err);
struct cdc_table *cdc_table_ref(struct cdc_table *tab);
void cdc_table_unref(struct cdc_table *tab); /* NULL is fine */

/* Same names, columns, types, keys, nullability, defaults: no new version is due. */
bool cdc_table_same(const struct cdc_table *a, const struct cdc_table *b);

/* Index of the column of that name, or -1. */
int cdc_table_column(const struct cdc_table *tab, const char *name);

/* The JSON of `table/<schema>.<name>`: {"state","version","generation","columns":[...],"rule"}. */
CDC_CHECK int cdc_table_state(const struct cdc_table *tab, struct cdc_buf *ret);

/*
 * The way back: a table (rule as given, catalog as given) out of such a JSON text.
 * CDC_FAIL (CDC_FATAL) when the text is damaged; `where` names the key.
 */
CDC_CHECK int cdc_table_from_state(const char *catalog, const char *schema, const char *name,
                                   struct cdc_slice json, const struct cdc_rule *rule,
                                   struct cdc_table **ret, struct cdc_error *err);

#endif
