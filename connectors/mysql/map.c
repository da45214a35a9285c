/*
 * map.c - the columns of a TABLE_MAP (mys_decode_columns in decode.h).
 *
 *   n lenenc | type n x 1 | metadata length lenenc | metadata | nullable, a bit each, LSB first |
 *   {field 1, length lenenc, bytes}...
 *
 * The optional fields speak of columns by their order among those of one sort: signs of numeric
 * ones, MSB first (BIT is none, YEAR is, but in MySQL 8.0.15 it is not), charsets of string ones
 * (also of vectors, on MariaDB of geometries; ENUM and SET apart), labels of SETs and of ENUMs.
 * MariaDB's binlog_row_metadata=NO_LOG has none of them, MINIMAL signs and charsets, FULL all. A
 * field that we do not know is skipped.
 */
#include "decode.h"

#include <stdio.h>

#include "types.h"

enum field {
    F_SIGNS = 1,
    F_CHARSET_DEFAULT = 2,
    F_CHARSETS = 3,
    F_NAMES = 4,
    F_SET_LABELS = 5,
    F_ENUM_LABELS = 6,
    F_GEOMETRY = 7,
    F_KEY = 8,
    F_KEY_PREFIX = 9,
    F_LABEL_CHARSET_DEFAULT = 10,
    F_LABEL_CHARSETS = 11,
    F_VISIBLE = 12,
    F_VECTOR = 13,
};

/* Sorts of columns, as bits. */
enum { NUMERIC = 1, STRING = 2, LABELS = 4, ENUM = 8, SET = 16, GEOMETRY = 32, VECTOR = 64 };

static unsigned sort_of(const struct mys_format *fmt, const struct mys_map_column *col)
{
    switch (mys_real_type(col->type, col->meta)) {
    case MYS_TINY:
    case MYS_SHORT:
    case MYS_INT24:
    case MYS_LONG:
    case MYS_LONGLONG:
    case MYS_NEWDECIMAL:
    case MYS_FLOAT:
    case MYS_DOUBLE:
    case MYS_YEAR: return NUMERIC;
    case MYS_ENUM: return LABELS | ENUM;
    case MYS_SET: return LABELS | SET;
    case MYS_STRING:
    case MYS_VAR_STRING:
    case MYS_VARCHAR:
    case MYS_BLOB:
    case MYS_BLOB_COMPRESSED:
    case MYS_VARCHAR_COMPRESSED: return STRING;
    case MYS_GEOMETRY: return GEOMETRY | (fmt->mariadb ? STRING : 0u);
    case MYS_VECTOR: return VECTOR | STRING;
    default: return 0;
    }
}

struct walk {
    const struct mys_format *fmt;
    struct mys_map_columns *map;
    struct cdc_reader rd; /* the field's bytes */
};

/* The next column of a sort after *i, which becomes its index plus one; NULL: none. */
static struct mys_map_column *next_of(const struct walk *walk, unsigned sort, uint32_t *i)
{
    while (*i < walk->map->n) {
        struct mys_map_column *col = &walk->map->cols[(*i)++];
        if (sort_of(walk->fmt, col) & sort)
            return col;
    }
    return NULL;
}

/*
 * Does YEAR have a sign, always 1? MySQL 8.0.15 gives it none, 8.0.31 and MariaDB do; when it
 * changed is not known. CDC_AGAIN: either may be.
 */
static int year_signs(const struct mys_format *fmt)
{
    unsigned major = 0, minor = 0, patch = 0;
    if (fmt->mariadb || sscanf(fmt->server, "%u.%u.%u", &major, &minor, &patch) != 3)
        return CDC_OK;
    unsigned version = major * 10000 + minor * 100 + patch;
    return version >= 80029 ? CDC_OK : version < 80016 ? CDC_END : CDC_AGAIN;
}

/* With a sign for YEAR or without one; false: that does not fit. */
static bool try_signs(struct walk *walk, bool year)
{
    struct mys_map_column *col;
    uint8_t bits = 0;
    bool fits = true;
    unsigned n = 0;
    for (uint32_t i = 0; (col = next_of(walk, NUMERIC, &i));) {
        col->is_unsigned = 1;
        if (col->type == MYS_YEAR && !year)
            continue;
        if (n % 8 == 0)
            bits = cdc_read_u8(&walk->rd);
        col->is_unsigned = (int8_t)(bits >> (7 - n++ % 8) & 1);
        fits &= col->type != MYS_YEAR || col->is_unsigned;
    }
    return fits && !walk->rd.failed && cdc_reader_left(&walk->rd) == 0;
}

/* Behind the first YEAR information_schema must tell them. */
static void forget_signs(struct walk *walk)
{
    struct mys_map_column *col;
    bool behind = false;
    for (uint32_t i = 0; (col = next_of(walk, NUMERIC, &i));) {
        if (behind)
            col->is_unsigned = -1;
        behind |= col->type == MYS_YEAR;
    }
}

static void read_signs(struct walk *walk)
{
    struct cdc_reader start = walk->rd;
    int year = year_signs(walk->fmt);
    if (year == CDC_AGAIN) {
        bool without = try_signs(walk, false);
        walk->rd = start;
        if (try_signs(walk, true)) {
            if (without)
                forget_signs(walk);
            return;
        }
        walk->rd = start;
    }
    try_signs(walk, year == CDC_OK);
}

/* A default, then the columns that differ by their place among those of the sort. */
static void read_charset_default(struct walk *walk, unsigned sort)
{
    struct mys_map_column *col;
    uint32_t i = 0, at = 0, dflt = (uint32_t)mys_read_lenenc(&walk->rd);
    uint64_t place = cdc_reader_left(&walk->rd) ? mys_read_lenenc(&walk->rd) : UINT64_MAX;
    for (; (col = next_of(walk, sort, &i)); at++) {
        col->charset = dflt;
        if (at != place)
            continue;
        col->charset = (uint32_t)mys_read_lenenc(&walk->rd);
        place = cdc_reader_left(&walk->rd) ? mys_read_lenenc(&walk->rd) : UINT64_MAX;
    }
}

static void read_charsets(struct walk *walk, unsigned sort)
{
    struct mys_map_column *col;
    for (uint32_t i = 0; !walk->rd.failed && (col = next_of(walk, sort, &i));)
        col->charset = (uint32_t)mys_read_lenenc(&walk->rd);
}

static void read_names(struct walk *walk)
{
    for (uint32_t i = 0; i < walk->map->n && !walk->rd.failed; i++)
        walk->map->cols[i].name = cdc_read_bytes(&walk->rd, mys_read_lenenc(&walk->rd));
    walk->map->has_names = true;
}

/* The slice from the count on; what it holds is walked through once, so that it is sound. */
static void read_labels(struct walk *walk, unsigned sort)
{
    struct mys_map_column *col;
    for (uint32_t i = 0; !walk->rd.failed && (col = next_of(walk, sort, &i));) {
        size_t from = walk->rd.off;
        uint64_t n = mys_read_lenenc(&walk->rd);
        while (n-- > 0 && !walk->rd.failed)
            cdc_read_bytes(&walk->rd, mys_read_lenenc(&walk->rd));
        if (!walk->rd.failed)
            col->labels = cdc_slice_of(walk->rd.p + from, walk->rd.off - from);
    }
}

static void read_key(struct walk *walk, bool prefixes)
{
    uint16_t place = 0;
    while (!walk->rd.failed && cdc_reader_left(&walk->rd) > 0) {
        uint64_t i = mys_read_lenenc(&walk->rd);
        if (prefixes)
            mys_read_lenenc(&walk->rd);
        if (i >= walk->map->n || walk->map->cols[i].key)
            walk->rd.failed = true;
        else
            walk->map->cols[i].key = ++place;
    }
}

static void read_visible(struct walk *walk)
{
    uint8_t bits = 0;
    for (uint32_t i = 0; i < walk->map->n; i++) {
        if (i % 8 == 0)
            bits = cdc_read_u8(&walk->rd);
        walk->map->cols[i].invisible = !(bits >> (7 - i % 8) & 1);
    }
}

static void read_numbers(struct walk *walk, unsigned sort)
{
    struct mys_map_column *col;
    for (uint32_t i = 0; !walk->rd.failed && (col = next_of(walk, sort, &i));) {
        uint64_t number = mys_read_lenenc(&walk->rd);
        if (sort == VECTOR)
            col->dimension = (uint32_t)number;
        else
            col->geometry = (int16_t)(number & 0xff);
    }
}

static void read_field(struct walk *walk, uint8_t field)
{
    switch (field) {
    case F_SIGNS: read_signs(walk); break;
    case F_CHARSET_DEFAULT: read_charset_default(walk, STRING); break;
    case F_CHARSETS: read_charsets(walk, STRING); break;
    case F_LABEL_CHARSET_DEFAULT: read_charset_default(walk, LABELS); break;
    case F_LABEL_CHARSETS: read_charsets(walk, LABELS); break;
    case F_NAMES: read_names(walk); break;
    case F_SET_LABELS: read_labels(walk, SET); break;
    case F_ENUM_LABELS: read_labels(walk, ENUM); break;
    case F_GEOMETRY: read_numbers(walk, GEOMETRY); break;
    case F_KEY:
    case F_KEY_PREFIX: read_key(walk, field == F_KEY_PREFIX); break;
    case F_VISIBLE: read_visible(walk); break;
    case F_VECTOR: read_numbers(walk, VECTOR); break;
    default: break;
    }
}

/* Types and metadata. CDC_END: a type whose metadata has a length that we do not know. */
static int read_types(const uint8_t *types, struct cdc_slice meta, struct mys_map_columns *map)
{
    struct cdc_reader rd = cdc_reader_of(meta.p, meta.len);
    int rc = CDC_OK;
    for (uint32_t i = 0; i < map->n; i++) {
        map->cols[i] = (struct mys_map_column){.type = types[i], .is_unsigned = -1, .geometry = -1};
        int len = rc == CDC_OK ? mys_type_meta(types[i]) : 0;
        if (len < 0)
            rc = CDC_END;
        else
            map->cols[i].meta = (uint16_t)mys_read_le(&rd, (unsigned)len);
    }
    return rd.failed || (rc == CDC_OK && cdc_reader_left(&rd) != 0) ? CDC_FAIL : rc;
}

static void read_fields(struct cdc_reader *rd, struct walk *walk)
{
    while (!rd->failed && cdc_reader_left(rd) > 0) {
        uint8_t field = cdc_read_u8(rd);
        struct cdc_slice bytes = cdc_read_bytes(rd, mys_read_lenenc(rd));
        walk->rd = cdc_reader_of(bytes.p, bytes.len);
        if (!rd->failed)
            read_field(walk, field);
        rd->failed |= walk->rd.failed;
    }
}

int mys_decode_columns(const struct mys_format *fmt, const struct mys_event *ev,
                       struct cdc_arena *arena, struct mys_map_columns *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(ev->body.p, ev->body.len);
    cdc_read_raw(&rd, ev->map.columns);
    uint64_t n = mys_read_lenenc(&rd);
    if (rd.failed || n == 0 || n > MYS_COLUMNS_MAX)
        return mys_malformed(ev->type, "it has no columns, or more than a table can have", err);
    struct mys_map_columns map = {.n = (uint32_t)n};
    map.cols = cdc_arena_alloc(arena, n * sizeof *map.cols);
    if (!map.cols)
        return cdc_fail_oom(err);
    const uint8_t *types = cdc_read_raw(&rd, n);
    struct cdc_slice meta = cdc_read_bytes(&rd, mys_read_lenenc(&rd));
    const uint8_t *nullable = cdc_read_raw(&rd, (n + 7) / 8);
    int rc = rd.failed ? CDC_FAIL : read_types(types, meta, &map);
    if (rc == CDC_FAIL)
        return mys_malformed(ev->type, "the columns' types do not fit their metadata", err);
    for (uint32_t i = 0; i < map.n; i++)
        map.cols[i].nullable = nullable[i / 8] >> (i % 8) & 1;
    struct walk walk = {.fmt = fmt, .map = &map};
    if (rc == CDC_OK)
        read_fields(&rd, &walk);
    if (rd.failed)
        return mys_malformed(ev->type, "an optional field is malformed", err);
    *ret = map;
    return rc;
}
