/*
 * coltype.c - see coltype.h.
 *
 * The printed type is always made from the map, so that the same column prints alike whether
 * information_schema fits today or not, and whichever server it is. A column whose charset nothing
 * tells (NO_LOG and no information_schema) is read as bytes.
 *
 * MariaDB with mysql56_temporal_format=OFF writes DATETIME(n), TIME(n) and TIMESTAMP(n) in a wider
 * form under the codes of the old types: only information_schema shows it, and it is refused.
 */
#include "coltype.h"

#include <stdio.h>
#include <stdlib.h>

#define LABELS_MAX 65535

struct build {
    const struct mys_map_columns *map;
    const struct mys_info *info;
    struct mys_shape *shape;
    size_t max;
    bool missing; /* a column of the map is not in info, or is another */
};

static const char *name_of(const struct build *b, uint32_t i)
{
    const struct mys_map_column *col = &b->map->cols[i];
    if (b->map->has_names) {
        struct cdc_slice name = cdc_arena_copy(b->shape->arena, col->name);
        return (const char *)name.p;
    }
    bool known = b->info && b->info->n == b->map->n;
    return known ? cdc_arena_strdup(b->shape->arena, b->info->cols[i].name) : "";
}

static const struct mys_info_column *info_of(const struct build *b, uint32_t i, const char *name)
{
    if (!b->info)
        return NULL;
    if (!b->map->has_names)
        return b->info->n == b->map->n ? &b->info->cols[i] : NULL;
    for (uint32_t at = 0; at < b->info->n; at++) {
        uint32_t j = (i + at) % b->info->n; /* nearly always at the same place */
        if (strcmp(b->info->cols[j].name, name) == 0)
            return &b->info->cols[j];
    }
    return NULL;
}

/* What the bytes BINARY(16), BINARY(4), VARBINARY or LONGTEXT really are. */
static enum mys_face face_of(const struct mys_map_column *col, const struct mys_info_column *info)
{
    if (!info)
        return MYS_PLAIN;
    if (col->type == MYS_STRING && strcmp(info->type, "uuid") == 0)
        return MYS_FACE_UUID;
    if (col->type == MYS_STRING && strcmp(info->type, "inet4") == 0)
        return MYS_FACE_INET4;
    if (col->type == MYS_STRING && strcmp(info->type, "inet6") == 0)
        return MYS_FACE_INET6;
    if (col->type == MYS_VARCHAR && strncmp(info->type, "vector(", 7) == 0)
        return MYS_FACE_VECTOR;
    return col->type == MYS_BLOB && info->json ? MYS_FACE_JSON : MYS_PLAIN;
}

/* UUID and INET have the size of their binary form. */
static bool face_fits(const struct mys_map_column *col, enum mys_face face)
{
    switch (face) {
    case MYS_FACE_UUID:
    case MYS_FACE_INET6: return col->meta >> 8 == 16;
    case MYS_FACE_INET4: return col->meta >> 8 == 4;
    default: return true;
    }
}

static bool has_labels(uint8_t type)
{
    return type == MYS_ENUM || type == MYS_SET;
}

static struct mys_type_spec spec_of(const struct build *b, uint32_t i,
                                    const struct mys_info_column *info)
{
    const struct mys_map_column *col = &b->map->cols[i];
    uint32_t collation = col->charset;
    bool is_unsigned = col->is_unsigned > 0;
    if (info && col->is_unsigned < 0)
        is_unsigned = strstr(info->type, " unsigned") != NULL;
    if (info && !collation)
        collation = info->collation;
    return (struct mys_type_spec){.type = col->type,
                                  .meta = col->meta,
                                  .is_unsigned = is_unsigned,
                                  .face = face_of(col, info),
                                  .charset = mys_charset_by_id(collation),
                                  .geometry = col->geometry,
                                  .dimension = col->dimension,
                                  .max = b->max};
}

/* Where the map does not tell a geometry's kind, it becomes the one of info. */
static bool fits(struct mys_type_spec *spec, const struct mys_map_column *col,
                 const struct mys_info_column *info)
{
    if (!face_fits(col, spec->face))
        return false;
    if (col->type != MYS_GEOMETRY || col->geometry >= 0)
        return mys_type_fits(spec, info->type);
    for (spec->geometry = 0; spec->geometry < 8; spec->geometry++)
        if (mys_type_fits(spec, info->type))
            return true;
    return false;
}

static bool wide_temporal(const struct mys_map_column *col, const struct mys_info_column *info)
{
    bool old = col->type == MYS_TIME || col->type == MYS_DATETIME || col->type == MYS_TIMESTAMP;
    return old && info && strchr(info->type, '(');
}

/* The labels of the map, in the column's charset, as UTF-8. */
static int labels_of_map(const struct mys_recode *recode, struct cdc_slice from,
                         struct cdc_arena *arena, struct mys_field *field)
{
    struct cdc_reader rd = cdc_reader_of(from.p, from.len);
    uint64_t n = mys_read_lenenc(&rd);
    struct cdc_slice *labels = n > LABELS_MAX ? NULL : cdc_arena_alloc(arena, n * sizeof *labels);
    if (!labels)
        return CDC_FULL;
    for (uint64_t i = 0; i < n; i++) {
        struct cdc_slice text = cdc_read_bytes(&rd, mys_read_lenenc(&rd));
        if (recode->set && mys_recode(recode, text, arena, &text) != CDC_OK)
            return CDC_FAIL;
        labels[i] = cdc_arena_copy(arena, text);
        if (!labels[i].p)
            return CDC_FULL;
    }
    field->labels = labels;
    field->n_labels = (uint32_t)n;
    return CDC_OK;
}

/* What a backslash before that character means in COLUMN_TYPE. */
static char escaped(char c)
{
    return (char)(c == '0' ? 0 : c == 'n' ? '\n' : c == 'r' ? '\r' : c);
}

/* One label, from behind its quote to the quote that ends it; its bytes into `text` unless NULL. */
static const char *scan_label(const char *p, char *text, size_t *ret_len)
{
    size_t len = 0;
    for (; *p && (*p != '\'' || p[1] == '\''); p++, len++) {
        bool escape = *p == '\\' && p[1];
        p += escape || *p == '\'';
        if (text)
            text[len] = escape ? escaped(*p) : *p;
    }
    *ret_len = len;
    return p;
}

/* enum('a','it''s'): counts the labels, or with `labels` copies them. Ends where it is odd. */
static uint32_t scan_labels(const char *type, struct cdc_arena *arena, struct cdc_slice *labels)
{
    const char *p = strchr(type, '(');
    uint32_t n = 0;
    while (p && p[1] == '\'' && n < LABELS_MAX) {
        char *text = labels ? cdc_arena_alloc(arena, strlen(p)) : NULL;
        size_t len;
        p = scan_label(p + 2, text, &len);
        if (labels)
            labels[n] = cdc_slice_of(text, len);
        n++;
        p = *p && p[1] == ',' ? p + 1 : NULL;
    }
    return n;
}

static int labels_of_info(const char *type, struct cdc_arena *arena, struct mys_field *field)
{
    uint32_t n = scan_labels(type, arena, NULL);
    struct cdc_slice *labels = cdc_arena_alloc(arena, (n + 1) * sizeof *labels);
    if (!labels)
        return CDC_FULL;
    scan_labels(type, arena, labels);
    for (uint32_t i = 0; i < n; i++)
        if (!labels[i].p)
            return CDC_FULL;
    field->labels = labels;
    field->n_labels = n;
    return CDC_OK;
}

/* As the servers do it in COLUMN_TYPE. */
static void print_label(struct cdc_buf *buf, struct cdc_slice label)
{
    for (size_t i = 0; i < label.len; i++)
        switch (label.p[i]) {
        case 0: cdc_buf_str(buf, "\\0"); break;
        case '\n': cdc_buf_str(buf, "\\n"); break;
        case '\r': cdc_buf_str(buf, "\\r"); break;
        case '\\': cdc_buf_str(buf, "\\\\"); break;
        case '\'': cdc_buf_str(buf, "''"); break;
        default: cdc_buf_byte(buf, label.p[i]);
        }
}

static const char *print_labels(const char *name, const struct mys_field *field,
                                struct cdc_arena *arena)
{
    struct cdc_buf buf = CDC_BUF((size_t)16 << 20);
    cdc_buf_printf(&buf, "%s(", name);
    for (uint32_t i = 0; i < field->n_labels; i++) {
        cdc_buf_str(&buf, i ? ",'" : "'");
        print_label(&buf, field->labels[i]);
        cdc_buf_byte(&buf, '\'');
    }
    cdc_buf_byte(&buf, ')');
    const char *text = cdc_buf_cstr(&buf);
    char *copy = text ? cdc_arena_strdup(arena, text) : NULL;
    cdc_buf_done(&buf);
    return copy;
}

static int set_labels(const struct build *b, uint32_t i, const struct mys_info_column *info,
                      struct cdc_error *err)
{
    struct mys_field *field = &b->shape->fields[i];
    const struct mys_map_column *col = &b->map->cols[i];
    struct cdc_column *to = &b->shape->cols[i];
    int rc = CDC_OK;
    if (col->labels.p)
        rc = labels_of_map(&field->recode, col->labels, b->shape->arena, field);
    else if (info)
        rc = labels_of_info(info->type, b->shape->arena, field);
    if (rc == CDC_FAIL)
        return mys_malformed(19, "the labels of an ENUM or SET are not of its charset", err);
    if (rc == CDC_OK && field->n_labels)
        to->type = print_labels(to->type, field, b->shape->arena);
    return rc == CDC_OK && to->type ? CDC_OK : cdc_fail_oom(err);
}

static int unreadable(const char *name, const struct mys_map_column *col, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "column %.128s has a type (%u) that cannot be read: leave its table out of "
                    "`capture`, or change the column",
                    *name ? name : "without a name", col->type);
}

static int add_column(struct build *b, uint32_t i, struct cdc_error *err)
{
    const struct mys_map_column *col = &b->map->cols[i];
    struct cdc_column *to = &b->shape->cols[i];
    struct mys_field *field = &b->shape->fields[i];
    char type[64];
    const char *name = name_of(b, i);
    const struct mys_info_column *info = name ? info_of(b, i, name) : NULL;
    struct mys_type_spec spec = spec_of(b, i, info);
    if (!name)
        return cdc_fail_oom(err);
    if (wide_temporal(col, info))
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "column %.128s is a time with fractions in MariaDB's own old format, which "
                        "the binlog does not tell from others: SET GLOBAL mysql56_temporal_format "
                        "= ON, and ALTER TABLE ... FORCE",
                        name);
    if (!info || !fits(&spec, col, info)) {
        b->missing = true;
        info = NULL;
        spec = spec_of(b, i, NULL);
    }
    *to = (struct cdc_column){.name = name, .nullable = col->nullable, .type_mod = -1};
    if (mys_type_apply(&spec, field, to) != CDC_OK)
        return unreadable(name, col, err);
    if (spec.charset && mys_recode_init(&field->recode, spec.charset, err) < 0)
        return CDC_FAIL;
    mys_type_print(&spec, type, sizeof type);
    to->type = cdc_arena_strdup(b->shape->arena, type);
    to->type_id = field->type;
    to->key = b->map->has_names || !info ? col->key : info->key;
    to->dflt = info ? cdc_arena_strdup(b->shape->arena, info->dflt) : NULL;
    if (col->invisible)
        b->shape->invisible[b->shape->n_invisible++] = i;
    return has_labels(field->type) ? set_labels(b, i, info, err)
           : to->type              ? CDC_OK
                                   : cdc_fail_oom(err);
}

static struct mys_shape *shape_alloc(uint32_t n)
{
    struct mys_shape *shape = calloc(1, sizeof *shape);
    if (!shape)
        return NULL;
    shape->arena = cdc_arena_new((size_t)64 << 20);
    shape->n = n;
    if (shape->arena) {
        shape->fields = cdc_arena_zalloc(shape->arena, n * sizeof *shape->fields);
        shape->cols = cdc_arena_zalloc(shape->arena, n * sizeof *shape->cols);
        shape->invisible = cdc_arena_zalloc(shape->arena, n * sizeof *shape->invisible);
    }
    if (shape->fields && shape->cols && shape->invisible)
        return shape;
    mys_shape_free(shape);
    return NULL;
}

static int add_columns(struct build *b, struct cdc_error *err)
{
    for (uint32_t i = 0; i < b->map->n; i++)
        if (add_column(b, i, err) < 0)
            return CDC_FAIL;
    if (!b->missing || (b->info && b->info->final && b->map->has_names))
        return CDC_OK;
    if (b->info && !b->info->final)
        return CDC_AGAIN;
    if (b->map->has_names)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the binlog does not name a table's columns, and the table has changed since: "
                    "SET GLOBAL binlog_row_metadata = 'FULL' and take a new snapshot of it");
}

int mys_shape_new(const struct mys_map_columns *map, const struct mys_info *info, size_t max,
                  struct mys_shape **ret, struct cdc_error *err)
{
    if (map->n > CDC_COLUMNS_MAX)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "a table has %u columns, more than the %d that can be captured: leave it "
                        "out of `capture`",
                        map->n, CDC_COLUMNS_MAX);
    struct build b = {.map = map, .info = info, .max = max, .shape = shape_alloc(map->n)};
    if (!b.shape)
        return cdc_fail_oom(err);
    int rc = add_columns(&b, err);
    if (rc != CDC_OK)
        mys_shape_free(b.shape);
    else
        *ret = b.shape;
    return rc;
}

void mys_shape_free(struct mys_shape *shape)
{
    if (!shape)
        return;
    for (uint32_t i = 0; shape->fields && i < shape->n; i++)
        mys_recode_done(&shape->fields[i].recode);
    cdc_arena_free(shape->arena);
    free(shape);
}

int mys_fields_bare(const struct mys_map_columns *map, struct cdc_arena *arena,
                    struct mys_field **ret, struct cdc_error *err)
{
    struct cdc_column unused;
    struct mys_field *fields = cdc_arena_alloc(arena, map->n * sizeof *fields);
    if (!fields)
        return cdc_fail_oom(err);
    for (uint32_t i = 0; i < map->n; i++) {
        struct mys_type_spec spec = {.type = map->cols[i].type, .meta = map->cols[i].meta};
        if (mys_type_apply(&spec, &fields[i], &unused) != CDC_OK)
            return CDC_END;
    }
    *ret = fields;
    return CDC_OK;
}
