/*
 * compat.c - Avro's rules of schema resolution, as Avro for Java's SchemaCompatibility has them.
 *
 * Corner cases: names are compared without their namespace, aliases with it; a reader's field that
 * finds two writer's fields (by name and alias) cannot be read; an enum's default saves unknown
 * symbols, but no missing field; a pair of records that is met again while it is looked at is taken
 * as readable, which is what makes recursion end. What was found of a pair is kept, or a schema
 * that uses a name twice at each level would take exponential time.
 */
#include "registry/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PAIRS_MAX 20000 /* looked through one by one: no schema of ours has more than some */

static const char *const level_names[] = {[CDC_COMPAT_NONE] = "NONE",
                                          [CDC_COMPAT_BACKWARD] = "BACKWARD",
                                          [CDC_COMPAT_BACKWARD_TRANSITIVE] = "BACKWARD_TRANSITIVE",
                                          [CDC_COMPAT_FORWARD] = "FORWARD",
                                          [CDC_COMPAT_FORWARD_TRANSITIVE] = "FORWARD_TRANSITIVE",
                                          [CDC_COMPAT_FULL] = "FULL",
                                          [CDC_COMPAT_FULL_TRANSITIVE] = "FULL_TRANSITIVE"};

const char *cdc_compat_level_name(enum cdc_compat_level level)
{
    return level_names[level];
}

int cdc_compat_level_of(const char *name)
{
    for (int i = 0; name && i < CDC_COMPAT_LEVELS; i++)
        if (strcasecmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

bool cdc_compat_transitive(enum cdc_compat_level level)
{
    return level == CDC_COMPAT_BACKWARD_TRANSITIVE || level == CDC_COMPAT_FORWARD_TRANSITIVE ||
           level == CDC_COMPAT_FULL_TRANSITIVE;
}

static struct cdc_node_pair *find_pair(const struct cdc_pair_memo *memo,
                                       const struct cdc_avro_node *reader,
                                       const struct cdc_avro_node *writer)
{
    for (size_t i = 0; i < memo->n; i++)
        if (memo->items[i].reader == reader && memo->items[i].writer == writer)
            return &memo->items[i];
    return NULL;
}

struct cdc_node_pair *cdc_pair_enter(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                                     const struct cdc_avro_node *writer, bool *ret_failed)
{
    const struct cdc_node_pair *known = find_pair(memo, reader, writer);
    *ret_failed = known && known->failed;
    if (known)
        return NULL;
    if (memo->n == PAIRS_MAX) {
        memo->oom = *ret_failed = true;
        return NULL;
    }
    if (memo->n == memo->cap) {
        size_t cap = memo->cap ? memo->cap * 2 : 16;
        struct cdc_node_pair *more = realloc(memo->items, cap * sizeof *more);
        if (!more) {
            memo->oom = *ret_failed = true; /* refusing is the safe side */
            return NULL;
        }
        memo->items = more;
        memo->cap = cap;
    }
    memo->items[memo->n] = (struct cdc_node_pair){.reader = reader, .writer = writer};
    return &memo->items[memo->n++];
}

void cdc_pair_fail(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                   const struct cdc_avro_node *writer)
{
    struct cdc_node_pair *pair = find_pair(memo, reader, writer);
    if (pair)
        pair->failed = true;
}

static const struct cdc_avro_field *find_field(const struct cdc_avro_node *record, const char *name)
{
    for (size_t i = 0; i < record->n; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

const struct cdc_avro_field *cdc_writer_field(const struct cdc_avro_node *writer,
                                              const struct cdc_avro_field *field, bool *ret_two)
{
    const struct cdc_avro_field *found = find_field(writer, field->name);
    *ret_two = false;
    for (size_t i = 0; i < field->aliases.n; i++) {
        const struct cdc_avro_field *other = find_field(writer, field->aliases.items[i]);
        if (other && found) {
            *ret_two = true;
            return NULL;
        }
        found = other ? other : found;
    }
    return found;
}

static bool names_agree(const struct cdc_avro_node *reader, const struct cdc_avro_node *writer)
{
    bool agree = strcmp(reader->name, writer->name) == 0;
    for (size_t i = 0; !agree && i < reader->aliases.n; i++)
        agree = strcmp(reader->aliases.items[i], writer->full) == 0;
    return agree;
}

static bool field_reads(struct cdc_pair_memo *memo, const struct cdc_avro_field *field,
                        const struct cdc_avro_node *writer)
{
    bool two;
    const struct cdc_avro_field *from = cdc_writer_field(writer, field, &two);
    if (two)
        return false;
    return from ? cdc_node_reads(memo, field->type, from->type) : field->has_default;
}

static bool record_reads(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                         const struct cdc_avro_node *writer)
{
    bool failed;
    if (!cdc_pair_enter(memo, reader, writer, &failed))
        return !failed;
    bool ok = names_agree(reader, writer);
    for (size_t i = 0; ok && i < reader->n; i++)
        ok = field_reads(memo, &reader->fields[i], writer);
    if (!ok)
        cdc_pair_fail(memo, reader, writer);
    return ok;
}

static bool enum_reads(const struct cdc_avro_node *reader, const struct cdc_avro_node *writer)
{
    if (!names_agree(reader, writer))
        return false;
    for (size_t i = 0; !reader->symbol && i < writer->symbols.n; i++) {
        bool found = false;
        for (size_t j = 0; !found && j < reader->symbols.n; j++)
            found = strcmp(writer->symbols.items[i], reader->symbols.items[j]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* Different types, neither a union. */
static bool is_promoted(enum cdc_node_type reader, enum cdc_node_type writer)
{
    switch (reader) {
    case CDC_AVRO_LONG: return writer == CDC_AVRO_INT;
    case CDC_AVRO_FLOAT: return writer == CDC_AVRO_INT || writer == CDC_AVRO_LONG;
    case CDC_AVRO_DOUBLE:
        return writer == CDC_AVRO_INT || writer == CDC_AVRO_LONG || writer == CDC_AVRO_FLOAT;
    case CDC_AVRO_BYTES: return writer == CDC_AVRO_STRING;
    case CDC_AVRO_STRING: return writer == CDC_AVRO_BYTES;
    default: return false;
    }
}

bool cdc_node_reads(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                    const struct cdc_avro_node *writer)
{
    if (writer->type == CDC_AVRO_UNION) {
        for (size_t i = 0; i < writer->n; i++)
            if (!cdc_node_reads(memo, reader, writer->members[i]))
                return false;
        return true;
    }
    if (reader->type == CDC_AVRO_UNION) {
        for (size_t i = 0; i < reader->n; i++)
            if (cdc_node_reads(memo, reader->members[i], writer))
                return true;
        return false;
    }
    if (reader->type != writer->type)
        return is_promoted(reader->type, writer->type);
    switch (reader->type) {
    case CDC_AVRO_RECORD: return record_reads(memo, reader, writer);
    case CDC_AVRO_ENUM: return enum_reads(reader, writer);
    case CDC_AVRO_FIXED: return names_agree(reader, writer) && reader->size == writer->size;
    case CDC_AVRO_ARRAY:
    case CDC_AVRO_MAP: return cdc_node_reads(memo, reader->members[0], writer->members[0]);
    default: return true;
    }
}

bool cdc_compat_reads(const struct cdc_avro_schema *reader, const struct cdc_avro_schema *writer)
{
    struct cdc_pair_memo memo = {0};
    bool ok = cdc_node_reads(&memo, reader->root, writer->root);
    free(memo.items);
    return ok;
}
