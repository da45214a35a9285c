/*
 * text.c - the schema text of the `row` envelope; see envelope/envelope.h.
 *
 *   {"type":"record","name":"Row","namespace":"<name>.<schema>.<table>","fields":[
 *      {"name":..,"type":["null",T],"default":null,"cdc.column":..,"cdc.type":..,
 *       "cdc.nullable":..,"cdc.default":..,"cdc.rule":..,"key":..}, ...,
 *      {"name":"__op","type":"string"}, ...],
 *    "cdc.schema":..,"cdc.table":..,"cdc.version":..}
 *
 * The order is that in which Java's Avro prints a parsed schema (its own properties, then the
 * others), so that a registry that prints it anew gives the same text. `cdc.column` only where the
 * Avro name is not the column's, `cdc.default` and `key` only where there is one. What tells
 * two kinds of one Avro type apart (`zone`, `cdc.kind`) stands inside T, for T may be an item.
 *
 * What the capture rule does to a column's values is told by `cdc.rule`: "hash", "mask" or
 * "truncate(200)". That `on_invalid: string` made text of another type is seen by `cdc.type`.
 *
 * The text of `Key` decides the bytes of a Kafka key and so its partition. It therefore says
 * nothing that may change while the key does not: no version, no source type, nullability or
 * default. It has `cdc.rule`, because a hashed key is another key.
 */
#include "envelope/envelope.h"

#include "avro/json.h"
#include "avro/types.h"
#include "envelope/names.h"
#include "envelope/shape.h"

/* All that a text is made of. */
struct source {
    const struct cdc_table *tab;
    struct cdc_arena *arena;
    const char *const *names;
    struct cdc_row_shape shape;
};

static void put_string_member(struct cdc_buf *buf, const char *name, const char *text)
{
    cdc_buf_printf(buf, ",\"%s\":", name);
    cdc_json_string(buf, cdc_slice_str(text));
}

static void put_decimal(struct cdc_buf *buf, const struct cdc_column *col, const char *name)
{
    cdc_buf_printf(buf, "{\"type\":\"fixed\",\"name\":\"%s_dec\",\"size\":%u,", name,
                   cdc_decimal_size(col->precision));
    cdc_buf_printf(buf, "\"logicalType\":\"decimal\",\"precision\":%u,\"scale\":%d}",
                   col->precision, col->scale);
}

/* T of a type in the table; short where nothing is to be said about it. */
static void put_type(struct cdc_buf *buf, const struct cdc_avro_type *t)
{
    if (!t->logical && !t->attribute) {
        cdc_buf_printf(buf, "\"%s\"", t->type);
        return;
    }
    cdc_buf_printf(buf, "{\"type\":\"%s\"", t->type);
    if (t->logical)
        cdc_buf_printf(buf, ",\"logicalType\":\"%s\"", t->logical);
    if (t->attribute)
        cdc_buf_printf(buf, ",\"%s\":\"%s\"", t->attribute, t->value);
    cdc_buf_byte(buf, '}');
}

static int put_column_type(struct cdc_buf *buf, const struct cdc_column *col, const char *name,
                           struct cdc_error *err)
{
    bool array = col->kind == CDC_ARRAY;
    enum cdc_kind kind = array ? col->item : col->kind;
    const struct cdc_avro_type *t = cdc_avro_type_of(kind, col->bits);
    if (!t)
        return cdc_fail(err, CDC_FATAL, col->name,
                        "column %s (%s) came as kind %s with %u bits, which has no Avro type; this "
                        "is a bug of the source, please report it",
                        col->name, col->type, cdc_kind_name(kind), col->bits);
    cdc_buf_str(buf, array ? "[\"null\",{\"type\":\"array\",\"items\":[\"null\"," : "[\"null\",");
    if (kind == CDC_DECIMAL)
        put_decimal(buf, col, name);
    else
        put_type(buf, t);
    cdc_buf_str(buf, array ? "]}]" : "]");
    return CDC_OK;
}

/* A column without its end: what a row's field and a key's have in common. */
static int put_field(struct cdc_buf *buf, const struct source *src, uint16_t i,
                     struct cdc_error *err)
{
    const struct cdc_column *col = &src->tab->cols[i];
    cdc_buf_printf(buf, "{\"name\":\"%s\",\"type\":", src->names[i]);
    if (src->shape.cols[i].as_text)
        cdc_buf_str(buf, "[\"null\",\"string\"]");
    else if (put_column_type(buf, col, src->names[i], err) < 0)
        return CDC_FAIL;
    cdc_buf_str(buf, ",\"default\":null");
    if (strcmp(src->names[i], col->name) != 0)
        put_string_member(buf, "cdc.column", col->name);
    return CDC_OK;
}

static void put_rule(struct cdc_buf *buf, const struct cdc_column_shape *shape)
{
    switch (shape->act) {
    case CDC_COLUMN_HASH: put_string_member(buf, "cdc.rule", "hash"); break;
    case CDC_COLUMN_MASK: put_string_member(buf, "cdc.rule", "mask"); break;
    case CDC_COLUMN_TRUNCATE:
        cdc_buf_printf(buf, ",\"cdc.rule\":\"truncate(%u)\"", shape->limit);
        break;
    case CDC_COLUMN_EXCLUDE:
    case CDC_COLUMN_KEEP: break;
    }
}

static void put_end(struct cdc_buf *buf, const struct source *src, uint16_t i)
{
    const struct cdc_column *col = &src->tab->cols[i];
    put_rule(buf, &src->shape.cols[i]);
    if (col->key)
        cdc_buf_printf(buf, ",\"key\":%u", col->key);
    cdc_buf_byte(buf, '}');
}

static int put_column(struct cdc_buf *buf, const struct source *src, uint16_t i,
                      struct cdc_error *err)
{
    const struct cdc_column *col = &src->tab->cols[i];
    if (put_field(buf, src, i, err) < 0)
        return CDC_FAIL;
    put_string_member(buf, "cdc.type", col->type);
    cdc_buf_printf(buf, ",\"cdc.nullable\":%s", col->nullable ? "true" : "false");
    if (col->dflt)
        put_string_member(buf, "cdc.default", col->dflt);
    put_end(buf, src, i);
    return CDC_OK;
}

static void put_meta(struct cdc_buf *buf, const struct cdc_meta_column *meta)
{
    cdc_buf_printf(buf, "{\"name\":\"%s\",\"type\":%s", meta->name,
                   meta->nullable ? "[\"null\"," : "");
    if (meta->kind == CDC_ARRAY)
        cdc_buf_str(buf, "{\"type\":\"array\",\"items\":\"string\"}");
    else
        put_type(buf, cdc_avro_type_of(meta->kind, meta->bits));
    cdc_buf_str(buf, meta->nullable ? "],\"default\":null}" : "}");
}

static void put_head(struct cdc_buf *buf, const char *record, const char *pipeline_name,
                     const struct cdc_table *tab)
{
    cdc_buf_printf(buf, "{\"type\":\"record\",\"name\":\"%s\",\"namespace\":\"", record);
    cdc_avro_name(buf, pipeline_name);
    cdc_buf_byte(buf, '.');
    cdc_avro_name(buf, tab->schema);
    cdc_buf_byte(buf, '.');
    cdc_avro_name(buf, tab->name);
    cdc_buf_str(buf, "\",\"fields\":[");
}

static void put_tail(struct cdc_buf *buf, const struct cdc_table *tab)
{
    cdc_buf_byte(buf, ']');
    put_string_member(buf, "cdc.schema", tab->schema);
    put_string_member(buf, "cdc.table", tab->name);
}

static int put_columns(struct cdc_buf *buf, const struct source *src, struct cdc_error *err)
{
    for (uint16_t i = 0; i < src->tab->n; i++) {
        if (src->shape.cols[i].act == CDC_COLUMN_EXCLUDE)
            continue;
        if (put_column(buf, src, i, err) < 0)
            return CDC_FAIL;
        cdc_buf_byte(buf, ',');
    }
    return CDC_OK;
}

static int open_source(struct source *src, const struct cdc_table *tab, struct cdc_error *err)
{
    *src = (struct source){.tab = tab, .arena = cdc_arena_new(16 << 20)};
    if (!src->arena)
        return cdc_fail_oom(err);
    if (cdc_row_shape(tab, src->arena, &src->shape, err) < 0)
        return CDC_FAIL;
    return cdc_avro_names(tab, &src->shape, src->arena, &src->names, err);
}

static int row_text(struct cdc_buf *buf, const struct source *src, const char *pipeline_name,
                    struct cdc_error *err)
{
    put_head(buf, "Row", pipeline_name, src->tab);
    if (put_columns(buf, src, err) < 0)
        return CDC_FAIL;
    for (int m = CDC_META_NONE + 1; m < CDC_METAS; m++) {
        put_meta(buf, &cdc_meta_columns[m]);
        if (m + 1 < CDC_METAS)
            cdc_buf_byte(buf, ',');
    }
    put_tail(buf, src->tab);
    cdc_buf_printf(buf, ",\"cdc.version\":%u}", src->tab->version);
    return buf->failed ? cdc_fail_oom(err) : CDC_OK;
}

static int key_text(struct cdc_buf *buf, const struct source *src, const char *pipeline_name,
                    struct cdc_error *err)
{
    put_head(buf, "Key", pipeline_name, src->tab);
    for (uint16_t k = 0; k < src->tab->n_key; k++) {
        if (k)
            cdc_buf_byte(buf, ',');
        if (put_field(buf, src, src->tab->key[k], err) < 0)
            return CDC_FAIL;
        put_end(buf, src, src->tab->key[k]);
    }
    put_tail(buf, src->tab);
    cdc_buf_byte(buf, '}');
    return buf->failed ? cdc_fail_oom(err) : CDC_OK;
}

int cdc_row_schema_text(const char *pipeline_name, const struct cdc_table *tab, struct cdc_buf *ret,
                        struct cdc_error *err)
{
    struct source src;
    int rc = open_source(&src, tab, err);
    if (rc == CDC_OK)
        rc = row_text(ret, &src, pipeline_name, err);
    cdc_arena_free(src.arena);
    return rc;
}

int cdc_row_key_schema_text(const char *pipeline_name, const struct cdc_table *tab,
                            struct cdc_buf *ret, struct cdc_error *err)
{
    struct source src;
    int rc = open_source(&src, tab, err);
    if (rc == CDC_OK)
        rc = key_text(ret, &src, pipeline_name, err);
    cdc_arena_free(src.arena);
    return rc;
}
