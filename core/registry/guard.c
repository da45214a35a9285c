/*
 * guard.c - what Avro's rules let pass and would change what values mean; and whether two schemas
 * are one.
 *
 * The guard follows the resolution: each writer's type to the reader's type that will read it (in a
 * union the first of the same sort, else the first that can). There the meaning must be one: the
 * same logicalType, connect.name and zone, a decimal's scale the same and its precision not
 * smaller. One exception: a plain string may read what was a uuid.
 */
#include "registry/compat.h"

#include <stdlib.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_decimal(const struct cdc_avro_node *node)
{
    return node->logical && strcmp(node->logical, "decimal") == 0;
}

static bool meaning_kept(const struct cdc_avro_node *reader, const struct cdc_avro_node *writer)
{
    if (!reader->logical && writer->logical && strcmp(writer->logical, "uuid") == 0)
        return same_text(reader->connect, writer->connect);
    if (!same_text(reader->logical, writer->logical) ||
        !same_text(reader->connect, writer->connect) || !same_text(reader->zone, writer->zone))
        return false;
    return !is_decimal(reader) ||
           (reader->scale == writer->scale && reader->precision >= writer->precision);
}

static bool fields_kept(struct cdc_pair_memo *reads, struct cdc_pair_memo *keeps,
                        const struct cdc_avro_node *reader, const struct cdc_avro_node *writer)
{
    bool failed;
    if (!cdc_pair_enter(keeps, reader, writer, &failed))
        return !failed;
    bool ok = true;
    for (size_t i = 0; ok && i < reader->n; i++) {
        bool two;
        const struct cdc_avro_field *from = cdc_writer_field(writer, &reader->fields[i], &two);
        ok = !from || cdc_node_keeps(reads, keeps, reader->fields[i].type, from->type);
    }
    if (!ok)
        cdc_pair_fail(keeps, reader, writer);
    return ok;
}

/* The branch that a value of `writer` is read by; NULL: none. */
static const struct cdc_avro_node *branch_for(struct cdc_pair_memo *reads,
                                              const struct cdc_avro_node *reader,
                                              const struct cdc_avro_node *writer)
{
    const struct cdc_avro_node *any = NULL;
    for (size_t i = 0; i < reader->n; i++) {
        const struct cdc_avro_node *branch = reader->members[i];
        if (!cdc_node_reads(reads, branch, writer))
            continue;
        if (branch->type == writer->type)
            return branch;
        any = any ? any : branch;
    }
    return any;
}

bool cdc_node_keeps(struct cdc_pair_memo *reads, struct cdc_pair_memo *keeps,
                    const struct cdc_avro_node *reader, const struct cdc_avro_node *writer)
{
    if (writer->type == CDC_AVRO_UNION) {
        for (size_t i = 0; i < writer->n; i++)
            if (!cdc_node_keeps(reads, keeps, reader, writer->members[i]))
                return false;
        return true;
    }
    if (reader->type == CDC_AVRO_UNION) {
        reader = branch_for(reads, reader, writer);
        if (!reader)
            return true; /* unreadable: Avro's rules say so, not the guard */
    }
    if (!meaning_kept(reader, writer))
        return false;
    if (reader->type != writer->type)
        return true;
    if (reader->type == CDC_AVRO_RECORD)
        return fields_kept(reads, keeps, reader, writer);
    if (reader->type == CDC_AVRO_ARRAY || reader->type == CDC_AVRO_MAP)
        return cdc_node_keeps(reads, keeps, reader->members[0], writer->members[0]);
    return true;
}

bool cdc_guard_reads(const struct cdc_avro_schema *reader, const struct cdc_avro_schema *writer)
{
    struct cdc_pair_memo reads = {0}, keeps = {0};
    bool ok = cdc_node_keeps(&reads, &keeps, reader->root, writer->root);
    free(reads.items);
    free(keeps.items);
    return ok;
}

static bool same_names(const struct cdc_names *a, const struct cdc_names *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static bool same_node(struct cdc_pair_memo *memo, const struct cdc_avro_node *a,
                      const struct cdc_avro_node *b);

static bool same_fields(struct cdc_pair_memo *memo, const struct cdc_avro_node *a,
                        const struct cdc_avro_node *b)
{
    bool failed;
    if (!cdc_pair_enter(memo, a, b, &failed))
        return !failed;
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->fields[i].name, b->fields[i].name) == 0 &&
               a->fields[i].has_default == b->fields[i].has_default &&
               same_names(&a->fields[i].aliases, &b->fields[i].aliases) &&
               same_node(memo, a->fields[i].type, b->fields[i].type);
    if (!same)
        cdc_pair_fail(memo, a, b);
    return same;
}

static bool same_node(struct cdc_pair_memo *memo, const struct cdc_avro_node *a,
                      const struct cdc_avro_node *b)
{
    if (a->type != b->type || !same_text(a->full, b->full) || a->size != b->size ||
        !same_text(a->logical, b->logical) || !same_text(a->connect, b->connect) ||
        !same_text(a->zone, b->zone) || !same_text(a->symbol, b->symbol) ||
        !same_names(&a->aliases, &b->aliases) || !same_names(&a->symbols, &b->symbols))
        return false;
    if (is_decimal(a) && (a->scale != b->scale || a->precision != b->precision))
        return false;
    if (a->type == CDC_AVRO_RECORD)
        return same_fields(memo, a, b);
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = same_node(memo, a->members[i], b->members[i]);
    return same;
}

bool cdc_avro_schema_same(const struct cdc_avro_schema *a, const struct cdc_avro_schema *b)
{
    struct cdc_pair_memo memo = {0};
    bool same = same_node(&memo, a->root, b->root);
    free(memo.items);
    return same;
}
