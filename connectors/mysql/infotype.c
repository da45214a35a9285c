/*
 * infotype.c - see infotype.h. One table of names; what stands in the brackets behind a name is
 * read by the form that the name has. MariaDB says in comments behind the type that it is
 * COMPRESSED, and that a time has the old form (mariadb-5.3).
 */
#include "infotype.h"

#include <stdlib.h>
#include <strings.h>

#include "types.h"

#define BINARY_COLLATION 63

/* What the brackets hold and where it goes. */
enum form {
    F_SIGNED,  /* a display width; SIGNED or not */
    F_FIXED,   /* nothing that is in the log */
    F_DECIMAL, /* precision, scale */
    F_BIT,     /* bits */
    F_FSP,     /* digits of the fraction */
    F_CHARS,   /* characters */
    F_BYTES,   /* bytes */
    F_TEXT,    /* nothing; `meta` bytes of length */
    F_BLOB,    /* likewise */
    F_ENUM,    /* labels */
    F_SET,
    F_GEO,
    F_VECTOR, /* dimension */
    F_FACE,   /* nothing; BINARY(meta) in the log */
};

struct word {
    const char *name;
    uint8_t type;
    enum form form;
    uint16_t meta; /* F_GEO: which geometry; F_FSP: the old type */
};

static const struct word words[] = {
    {"tinyint", MYS_TINY, F_SIGNED, 0},
    {"smallint", MYS_SHORT, F_SIGNED, 0},
    {"mediumint", MYS_INT24, F_SIGNED, 0},
    {"int", MYS_LONG, F_SIGNED, 0},
    {"bigint", MYS_LONGLONG, F_SIGNED, 0},
    {"float", MYS_FLOAT, F_SIGNED, 4},
    {"double", MYS_DOUBLE, F_SIGNED, 8},
    {"decimal", MYS_NEWDECIMAL, F_DECIMAL, 0},
    {"bit", MYS_BIT, F_BIT, 0},
    {"year", MYS_YEAR, F_FIXED, 0},
    {"date", MYS_DATE, F_FIXED, 0},
    {"time", MYS_TIME2, F_FSP, MYS_TIME},
    {"datetime", MYS_DATETIME2, F_FSP, MYS_DATETIME},
    {"timestamp", MYS_TIMESTAMP2, F_FSP, MYS_TIMESTAMP},
    {"char", MYS_STRING, F_CHARS, 0},
    {"varchar", MYS_VARCHAR, F_CHARS, 0},
    {"binary", MYS_STRING, F_BYTES, 0},
    {"varbinary", MYS_VARCHAR, F_BYTES, 0},
    {"tinytext", MYS_BLOB, F_TEXT, 1},
    {"text", MYS_BLOB, F_TEXT, 2},
    {"mediumtext", MYS_BLOB, F_TEXT, 3},
    {"longtext", MYS_BLOB, F_TEXT, 4},
    {"tinyblob", MYS_BLOB, F_BLOB, 1},
    {"blob", MYS_BLOB, F_BLOB, 2},
    {"mediumblob", MYS_BLOB, F_BLOB, 3},
    {"longblob", MYS_BLOB, F_BLOB, 4},
    {"enum", MYS_STRING, F_ENUM, MYS_ENUM},
    {"set", MYS_STRING, F_SET, MYS_SET},
    {"json", MYS_JSON, F_FIXED, 4},
    {"geometry", MYS_GEOMETRY, F_GEO, 0},
    {"point", MYS_GEOMETRY, F_GEO, 1},
    {"linestring", MYS_GEOMETRY, F_GEO, 2},
    {"polygon", MYS_GEOMETRY, F_GEO, 3},
    {"multipoint", MYS_GEOMETRY, F_GEO, 4},
    {"multilinestring", MYS_GEOMETRY, F_GEO, 5},
    {"multipolygon", MYS_GEOMETRY, F_GEO, 6},
    {"geomcollection", MYS_GEOMETRY, F_GEO, 7},
    {"geometrycollection", MYS_GEOMETRY, F_GEO, 7},
    {"vector", MYS_VECTOR, F_VECTOR, 0},
    {"uuid", MYS_STRING, F_FACE, 16},
    {"inet6", MYS_STRING, F_FACE, 16},
    {"inet4", MYS_STRING, F_FACE, 4},
};

/* A type taken apart. */
struct parts {
    const char *open, *close; /* the outermost brackets, or NULL and the whole text's begin */
    unsigned long first, second;
};

static const struct word *find(const char *type, size_t len)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].name) == len && strncasecmp(words[i].name, type, len) == 0)
            return &words[i];
    return NULL;
}

/* Labels may hold brackets, comments behind them do not. */
static struct parts take_apart(const char *type, size_t len)
{
    struct parts parts = {.open = type[len] == '(' ? type + len : NULL, .close = type};
    if (!parts.open)
        return parts;
    char *end;
    const char *last = strrchr(type, ')');
    parts.close = last ? last : type;
    parts.first = strtoul(parts.open + 1, &end, 10);
    parts.second = *end == ',' ? strtoul(end + 1, NULL, 10) : 0;
    return parts;
}

/* Two bits of a length above 255 hide, inverted, in the byte that says the type. */
static uint16_t string_meta(unsigned long bytes)
{
    return (uint16_t)((0xfeu ^ ((bytes & 0x300) >> 4)) | (bytes & 0xff) << 8);
}

static int set_string(const struct word *word, unsigned long chars, bool compressed,
                      struct mys_map_column *ret)
{
    const struct mys_charset *set = mys_charset_by_id(ret->charset);
    unsigned long bytes = set ? chars * set->max_bytes : chars;
    unsigned long max = word->type == MYS_STRING ? 1023 : UINT16_MAX - compressed;
    if (!set || bytes > max)
        return CDC_END;
    ret->meta = word->type == MYS_STRING ? string_meta(bytes) : (uint16_t)bytes;
    if (!compressed || word->type == MYS_STRING)
        return CDC_OK;
    ret->type = MYS_VARCHAR_COMPRESSED;
    ret->meta++;
    return CDC_OK;
}

static void set_blob(const struct word *word, bool compressed, struct mys_map_column *ret)
{
    ret->meta = word->meta;
    if (compressed)
        ret->type = MYS_BLOB_COMPRESSED;
}

static void set_time(const struct word *word, const struct parts *parts, bool old,
                     struct mys_map_column *ret)
{
    ret->meta = (uint16_t)parts->first;
    if (!old)
        return;
    ret->type = (uint8_t)word->meta;
    ret->meta = 0;
}

/* How many labels: commas outside of quotes. */
static unsigned count_labels(const struct parts *parts)
{
    bool quoted = false;
    unsigned n = 1;
    for (const char *p = parts->open; p && p < parts->close; p++) {
        if (*p == '\'')
            quoted = !quoted; /* a doubled one toggles twice */
        n += *p == ',' && !quoted;
    }
    return n;
}

static void set_labels(const struct word *word, const struct parts *parts,
                       struct mys_map_column *ret)
{
    unsigned n = count_labels(parts), bytes = n > 255 ? 2 : 1;
    if (word->form == F_SET)
        bytes = n > 32 ? 8 : (n + 7) / 8;
    ret->meta = (uint16_t)(word->meta | bytes << 8);
}

/* MariaDB keeps a vector as VARBINARY. */
static void set_vector(const struct parts *parts, bool mariadb, struct mys_map_column *ret)
{
    ret->charset = BINARY_COLLATION;
    ret->meta = mariadb ? (uint16_t)(parts->first * 4) : 4;
    if (mariadb)
        ret->type = MYS_VARCHAR;
    else
        ret->dimension = (uint32_t)parts->first;
}

static int set_form(const struct word *word, const char *type, bool mariadb,
                    struct mys_map_column *ret)
{
    struct parts parts = take_apart(type, strlen(word->name));
    bool compressed = mariadb && strstr(parts.close, " COMPRESSED*/");
    switch (word->form) {
    case F_SIGNED:
    case F_FIXED: ret->meta = word->meta; break;
    case F_DECIMAL: ret->meta = (uint16_t)(parts.first | parts.second << 8); break;
    case F_BIT: ret->meta = (uint16_t)(parts.first % 8 | parts.first / 8 << 8); break;
    case F_FSP: set_time(word, &parts, strstr(type, "mariadb-5.3") != NULL, ret); break;
    case F_BYTES:
        ret->charset = BINARY_COLLATION;
        return set_string(word, parts.first, compressed, ret);
    case F_CHARS: return set_string(word, parts.first, compressed, ret);
    case F_BLOB:
        ret->charset = BINARY_COLLATION;
        set_blob(word, compressed, ret);
        break;
    case F_TEXT: set_blob(word, compressed, ret); break;
    case F_ENUM:
    case F_SET: set_labels(word, &parts, ret); break;
    case F_GEO:
        ret->meta = 4;
        ret->geometry = (int16_t)word->meta;
        ret->charset = mariadb ? BINARY_COLLATION : 0;
        break;
    case F_VECTOR: set_vector(&parts, mariadb, ret); break;
    case F_FACE:
        ret->charset = BINARY_COLLATION;
        ret->meta = string_meta(word->meta);
        break;
    }
    return CDC_OK;
}

int mys_map_column_of(const struct mys_info_row *row, bool mariadb, struct mys_map_column *ret)
{
    const struct word *word = find(row->type, strcspn(row->type, " ("));
    if (!word)
        return CDC_END;
    bool is_signed = word->form == F_SIGNED || word->form == F_DECIMAL;
    const char *close = strrchr(row->type, ')');
    *ret = (struct mys_map_column){.type = word->type,
                                   .nullable = row->nullable,
                                   .invisible = !mariadb && strstr(row->extra, "INVISIBLE"),
                                   .is_unsigned = -1,
                                   .charset = row->collation,
                                   .name = cdc_slice_str(row->name),
                                   .geometry = -1};
    if (is_signed)
        ret->is_unsigned = strstr(close ? close : row->type, " unsigned") != NULL;
    if (word->type == MYS_YEAR)
        ret->is_unsigned = 1;
    return set_form(word, row->type, mariadb, ret);
}

bool mys_check_is_json(const char *clause, const char *column)
{
    static const char before[] = "json_valid(`";
    if (strncasecmp(clause, before, sizeof before - 1) != 0)
        return false;
    const char *p = clause + sizeof before - 1;
    for (; *column; column++, p++) {
        if (*p != *column || (*p == '`' && *++p != '`'))
            return false;
    }
    return strcmp(p, "`)") == 0;
}

/* What stands behind the last bracket of a line. */
static bool line_cascades(const char *line, size_t len)
{
    static const char *const rules[] = {" CASCADE", " SET NULL", " SET DEFAULT"};
    while (len > 0 && line[len - 1] != ')')
        len--;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *found = strstr(line + len, rules[i]), *end = strchr(line + len, '\n');
        if (found && (!end || found < end))
            return true;
    }
    return false;
}

bool mys_create_cascades(const char *create)
{
    for (const char *line = create; *line;) {
        size_t len = strcspn(line, "\n");
        const char *text = line + strspn(line, " ");
        if (strncmp(text, "CONSTRAINT ", 11) == 0 && line_cascades(line, len))
            return true;
        line += len + (line[len] != 0);
    }
    return false;
}
