/*
 * words.c - levels, and the difference between two schemas as an operator wants to read it.
 *
 * A field that cannot be read is followed as long as both sides are the same sort of thing inside
 * (records, arrays, maps, beside a null); at the first that are not, "was ..., is ..." is said, in
 * the database's terms where a logical type tells them. Words are always about before and now,
 * whichever of the two is the reader.
 */
#include "registry/compat.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 6 /* differences that are told; the rest is counted */
#define DEEP      8

struct telling {
    struct cdc_pair_memo reads, keeps;
    bool now_reads; /* the reader is the new one */
    struct cdc_buf *ret;
    const char *path[DEEP];
    int depth;
    size_t n;
};

/* T of ["null",T], else the node itself. */
static const struct cdc_avro_node *without_null(const struct cdc_avro_node *node, bool *ret_null)
{
    *ret_null = node->type == CDC_AVRO_NULL;
    if (node->type != CDC_AVRO_UNION || node->n != 2)
        return node;
    int at = node->members[0]->type == CDC_AVRO_NULL   ? 1
             : node->members[1]->type == CDC_AVRO_NULL ? 0
                                                       : -1;
    *ret_null = at >= 0;
    return at >= 0 ? node->members[at] : node;
}

static void describe(struct cdc_buf *buf, const struct cdc_avro_node *node, int depth)
{
    static const char *const plain[] = {"null",   "boolean", "int",    "long",   "float",
                                        "double", "bytes",   "string", "record", "enum",
                                        "fixed",  "array",   "map",    "union"};
    if (node->logical && strcmp(node->logical, "decimal") == 0)
        cdc_buf_printf(buf, "decimal(%lld,%lld)", (long long)node->precision,
                       (long long)node->scale);
    else if (node->logical)
        cdc_buf_printf(buf, "%.60s", node->logical);
    else
        cdc_buf_str(buf, plain[node->type]);
    if (node->zone)
        cdc_buf_printf(buf, " (zone %.20s)", node->zone);
    if (node->connect)
        cdc_buf_printf(buf, " (%.80s)", node->connect);
    if (node->name && !node->logical)
        cdc_buf_printf(buf, " %.80s", node->name);
    if (node->type == CDC_AVRO_FIXED && !node->logical)
        cdc_buf_printf(buf, "(%lld)", (long long)node->size);
    if (node->type < CDC_AVRO_ARRAY || depth > 2)
        return;
    cdc_buf_str(buf, " of ");
    for (size_t i = 0; i < node->n; i++) {
        cdc_buf_str(buf, i ? " or " : "");
        describe(buf, node->members[i], depth + 1);
    }
}

static void describe_column(struct cdc_buf *buf, const struct cdc_avro_node *node, bool tell_null)
{
    bool null;
    const struct cdc_avro_node *inner = without_null(node, &null);
    describe(buf, inner, 0);
    if (tell_null && inner != node)
        cdc_buf_str(buf, " or null");
}

/* Begins a difference: where it is. false: enough was told. */
static bool tell_where(struct telling *t, const char *name)
{
    if (t->n++ >= WORDS_MAX)
        return false;
    cdc_buf_str(t->ret, t->ret->len ? "; " : "");
    if (t->depth == 0 && !name)
        return true;
    cdc_buf_str(t->ret, "column ");
    for (int i = 0; i < t->depth && i < DEEP; i++)
        cdc_buf_printf(t->ret, "%s%.100s", i ? "." : "", t->path[i]);
    if (name)
        cdc_buf_printf(t->ret, "%s%.100s", t->depth ? "." : "", name);
    cdc_buf_str(t->ret, ": ");
    return true;
}

static void tell_types(struct telling *t, const struct cdc_avro_node *reader,
                       const struct cdc_avro_node *writer)
{
    const struct cdc_avro_node *before = t->now_reads ? writer : reader;
    const struct cdc_avro_node *now = t->now_reads ? reader : writer;
    bool null_before, null_now;
    without_null(before, &null_before);
    without_null(now, &null_now);
    if (!tell_where(t, NULL))
        return;
    cdc_buf_str(t->ret, "was ");
    describe_column(t->ret, before, null_before != null_now);
    cdc_buf_str(t->ret, ", is ");
    describe_column(t->ret, now, null_before != null_now);
}

static void tell_symbols(struct telling *t, const struct cdc_avro_node *reader,
                         const struct cdc_avro_node *writer)
{
    if (!tell_where(t, NULL))
        return;
    cdc_buf_printf(t->ret, "symbols of enum %.80s that %s:", reader->name,
                   t->now_reads ? "it does not have any more"
                                : "who knows the old schema does not know");
    for (size_t i = 0, told = 0; i < writer->symbols.n && told < WORDS_MAX; i++) {
        bool found = false;
        for (size_t j = 0; !found && j < reader->symbols.n; j++)
            found = strcmp(writer->symbols.items[i], reader->symbols.items[j]) == 0;
        if (!found)
            cdc_buf_printf(t->ret, "%s %.60s", told++ ? "," : "", writer->symbols.items[i]);
    }
}

static void tell(struct telling *t, const struct cdc_avro_node *reader,
                 const struct cdc_avro_node *writer);

static void tell_field(struct telling *t, const struct cdc_avro_field *field,
                       const struct cdc_avro_node *writer)
{
    bool two;
    const struct cdc_avro_field *from = cdc_writer_field(writer, field, &two);
    if (two && tell_where(t, field->name))
        cdc_buf_str(t->ret, "its name and its aliases mean two different columns");
    if (!two && !from && !field->has_default && tell_where(t, field->name))
        cdc_buf_str(t->ret, t->now_reads ? "is new and has no default"
                                         : "is gone, and who knows the old schema has no default");
    if (!from)
        return;
    if (cdc_node_reads(&t->reads, field->type, from->type) &&
        cdc_node_keeps(&t->reads, &t->keeps, field->type, from->type))
        return;
    if (t->depth < DEEP)
        t->path[t->depth] = field->name;
    t->depth++;
    tell(t, field->type, from->type);
    t->depth--;
}

/* Of two types that do not follow each other. */
static void tell(struct telling *t, const struct cdc_avro_node *reader,
                 const struct cdc_avro_node *writer)
{
    bool null;
    const struct cdc_avro_node *r = without_null(reader, &null);
    const struct cdc_avro_node *w = without_null(writer, &null);
    size_t before = t->n;
    if (r->type == w->type && r->type == CDC_AVRO_RECORD && strcmp(r->name, w->name) == 0 &&
        t->depth < DEEP) {
        for (size_t i = 0; i < r->n; i++)
            tell_field(t, &r->fields[i], w);
    } else if (r->type == w->type && r->type == CDC_AVRO_ENUM && strcmp(r->name, w->name) == 0 &&
               !cdc_node_reads(&t->reads, r, w)) {
        tell_symbols(t, r, w);
    }
    if (t->n == before)
        tell_types(t, reader, writer);
}

/* One direction: true if all is well. */
static bool look(const struct cdc_avro_schema *reader, const struct cdc_avro_schema *writer,
                 struct telling *t, bool rules)
{
    bool ok = (!rules || cdc_node_reads(&t->reads, reader->root, writer->root)) &&
              cdc_node_keeps(&t->reads, &t->keeps, reader->root, writer->root);
    if (!ok)
        tell(t, reader->root, writer->root);
    if (t->n > WORDS_MAX)
        cdc_buf_printf(t->ret, "; and %zu more", t->n - WORDS_MAX);
    free(t->reads.items);
    free(t->keeps.items);
    return ok;
}

bool cdc_compat_follows(const struct cdc_avro_schema *before, const struct cdc_avro_schema *now,
                        enum cdc_compat_level level, struct cdc_buf *ret)
{
    bool forward = level == CDC_COMPAT_FORWARD || level == CDC_COMPAT_FORWARD_TRANSITIVE;
    bool full = level == CDC_COMPAT_FULL || level == CDC_COMPAT_FULL_TRANSITIVE;
    bool rules = level != CDC_COMPAT_NONE, ok = true;
    if (!forward)
        ok = look(now, before, &(struct telling){.now_reads = true, .ret = ret}, rules);
    if (ok && (forward || full))
        ok = look(before, now, &(struct telling){.ret = ret}, rules);
    return ok;
}

static void list_columns(struct cdc_buf *buf, const struct cdc_avro_schema *schema)
{
    const struct cdc_avro_node *root = schema->root;
    if (root->type != CDC_AVRO_RECORD) {
        describe(buf, root, 0);
        return;
    }
    cdc_buf_str(buf, "(");
    for (size_t i = 0; i < root->n && i < WORDS_MAX; i++) {
        cdc_buf_printf(buf, "%s%.100s ", i ? ", " : "", root->fields[i].name);
        describe_column(buf, root->fields[i].type, false);
    }
    cdc_buf_str(buf, root->n > WORDS_MAX ? ", ...)" : ")");
}

void cdc_key_words(const struct cdc_avro_schema *before, const struct cdc_avro_schema *now,
                   struct cdc_buf *ret)
{
    cdc_buf_str(ret, ": was ");
    list_columns(ret, before);
    cdc_buf_str(ret, ", is ");
    list_columns(ret, now);
}
