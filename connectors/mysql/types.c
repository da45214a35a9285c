/*
 * types.c - one table of types.
 *
 *   type                       value
 *   integers, YEAR             int of 32 bits; of 64: INT UNSIGNED, BIGINT
 *   BIGINT UNSIGNED            decimal(20, 0)
 *   DECIMAL(p, s)              decimal; text where p is above 38
 *   FLOAT, DOUBLE              float
 *   BIT(1); BIT(n)             bool; bytes, the highest bit first, as SELECT gives them
 *   DATE, DATETIME, TIMESTAMP  date, timestamp, timestamptz; zero dates and zero months or days,
 *                              31 February and the like are invalid
 *   TIME                       time; below zero and from 24:00:00 on invalid
 *   CHAR, VARCHAR, TEXT        text; bytes that are not of the charset are invalid, with "0x.."
 *   BINARY, VARBINARY, BLOB    bytes, BINARY padded to its length
 *   ENUM, SET                  text by name ("" for the number 0); the number where no names are
 *   JSON                       json, as the server prints it
 *   GEOMETRY and its kinds     bytes, as SELECT gives them: SRID, then WKB
 *   VECTOR                     array of floats of 32 bits; MariaDB's log shows VARBINARY
 *   UUID, INET4, INET6         uuid, text; the log shows BINARY with the zeros at the end cut off
 *
 * TIME, DATETIME and TIMESTAMP also have an older form each, without fraction.
 */
#include "types.h"

#include <stdio.h>

#include "decimal.h"
#include "values.h"

/* What the metadata says, for printing and reading. */
enum mod { M_NONE, M_SIGN, M_DECIMAL, M_BIT, M_FSP, M_CHARS, M_STRING, M_BLOB, M_GEO, M_VECTOR };

struct type {
    uint8_t code;
    const char *name;
    enum cdc_kind kind;
    uint8_t bits, size; /* size: bytes of the value, 0: they vary */
    enum mod mod;
    int8_t meta; /* bytes of metadata */
    mys_parse parse;
};

static const struct type types[] = {
    {MYS_TINY, "tinyint", CDC_INT, 32, 1, M_SIGN, 0, mys_parse_tiny},
    {MYS_SHORT, "smallint", CDC_INT, 32, 2, M_SIGN, 0, mys_parse_short},
    {MYS_INT24, "mediumint", CDC_INT, 32, 3, M_SIGN, 0, mys_parse_int24},
    {MYS_LONG, "int", CDC_INT, 32, 4, M_SIGN, 0, mys_parse_long},
    {MYS_LONGLONG, "bigint", CDC_INT, 64, 8, M_SIGN, 0, mys_parse_longlong},
    {MYS_FLOAT, "float", CDC_FLOAT, 32, 4, M_SIGN, 1, mys_parse_float},
    {MYS_DOUBLE, "double", CDC_FLOAT, 64, 8, M_SIGN, 1, mys_parse_double},
    {MYS_NEWDECIMAL, "decimal", CDC_DECIMAL, 0, 0, M_DECIMAL, 2, mys_parse_decimal},
    {MYS_BIT, "bit", CDC_BYTES, 0, 0, M_BIT, 2, mys_parse_bit},
    {MYS_YEAR, "year", CDC_INT, 32, 1, M_NONE, 0, mys_parse_year},
    {MYS_DATE, "date", CDC_DATE, 0, 3, M_NONE, 0, mys_parse_date},
    {MYS_TIME, "time", CDC_TIME, 0, 3, M_NONE, 0, mys_parse_time_old},
    {MYS_TIME2, "time", CDC_TIME, 0, 3, M_FSP, 1, mys_parse_time2},
    {MYS_DATETIME, "datetime", CDC_TIMESTAMP, 0, 8, M_NONE, 0, mys_parse_datetime_old},
    {MYS_DATETIME2, "datetime", CDC_TIMESTAMP, 0, 5, M_FSP, 1, mys_parse_datetime2},
    {MYS_TIMESTAMP, "timestamp", CDC_TIMESTAMPTZ, 0, 4, M_NONE, 0, mys_parse_timestamp_old},
    {MYS_TIMESTAMP2, "timestamp", CDC_TIMESTAMPTZ, 0, 4, M_FSP, 1, mys_parse_timestamp2},
    {MYS_VARCHAR, "varchar", CDC_TEXT, 0, 0, M_CHARS, 2, mys_parse_string},
    {MYS_VAR_STRING, "varchar", CDC_TEXT, 0, 0, M_CHARS, 2, mys_parse_string},
    {MYS_VARCHAR_COMPRESSED, "varchar", CDC_TEXT, 0, 0, M_CHARS, 2, mys_parse_compressed},
    {MYS_STRING, "char", CDC_TEXT, 0, 0, M_STRING, 2, mys_parse_string},
    {MYS_BLOB, "text", CDC_TEXT, 0, 0, M_BLOB, 1, mys_parse_string},
    {MYS_BLOB_COMPRESSED, "text", CDC_TEXT, 0, 0, M_BLOB, 1, mys_parse_compressed},
    {MYS_ENUM, "enum", CDC_TEXT, 0, 0, M_NONE, 2, mys_parse_enum},
    {MYS_SET, "set", CDC_TEXT, 0, 0, M_NONE, 2, mys_parse_set},
    {MYS_JSON, "json", CDC_JSON, 0, 0, M_NONE, 1, mys_parse_json},
    {MYS_GEOMETRY, "geometry", CDC_BYTES, 0, 0, M_GEO, 1, mys_parse_bytes},
    {MYS_VECTOR, "vector", CDC_ARRAY, 32, 0, M_VECTOR, 1, mys_parse_vector},
};

static const struct type *find(uint8_t code)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].code == code)
            return &types[i];
    return NULL;
}

int mys_type_meta(uint8_t type)
{
    const struct type *found = find(type);
    return found ? found->meta : -1;
}

uint8_t mys_real_type(uint8_t type, uint16_t meta)
{
    uint8_t low = meta & 0xff;
    return type == MYS_STRING && (low == MYS_ENUM || low == MYS_SET) ? low : type;
}

/* Two bits of a STRING's length hide, inverted, in the byte that else says its type. */
static uint32_t string_size(uint16_t meta)
{
    unsigned low = meta & 0xff;
    return (meta >> 8) + (((low & 0x30) ^ 0x30) << 4);
}

static uint32_t declared_size(uint8_t type, uint16_t meta)
{
    if (type == MYS_STRING)
        return string_size(meta);
    return type == MYS_VARCHAR_COMPRESSED ? meta - 1u : meta; /* its first byte says how */
}

static uint8_t prefix_of(const struct type *type, uint16_t meta)
{
    switch (type->mod) {
    case M_CHARS: return meta > 255 ? 2 : 1;
    case M_STRING: return string_size(meta) > 255 ? 2 : 1;
    default: break;
    }
    return type->meta == 1 && type->size == 0 ? (uint8_t)meta : 0; /* BLOB, JSON, ...: 1 to 4 */
}

static uint8_t fixed_of(const struct type *type, uint16_t meta)
{
    unsigned low = meta & 0xff, high = meta >> 8;
    switch (type->mod) {
    case M_DECIMAL: return (uint8_t)mys_decimal_size(low, high);
    case M_BIT: return (uint8_t)(high + (low != 0));
    case M_FSP: return (uint8_t)(type->size + (meta + 1) / 2);
    default: break;
    }
    return type->code == MYS_ENUM || type->code == MYS_SET ? (uint8_t)high : type->size;
}

/* Metadata that no server writes would make a parser read nonsense. */
static bool sound(const struct type *type, uint16_t meta)
{
    unsigned low = meta & 0xff, high = meta >> 8;
    switch (type->mod) {
    case M_DECIMAL: return mys_decimal_type(low, high);
    case M_BIT: return low < 8 && high * 8 + low >= 1 && high * 8 + low <= 64;
    case M_FSP: return meta <= 6;
    case M_BLOB:
    case M_GEO:
    case M_VECTOR: return meta >= 1 && meta <= 4;
    default: break;
    }
    switch (type->code) {
    case MYS_JSON: return meta >= 1 && meta <= 4;
    case MYS_ENUM: return high == 1 || high == 2;
    case MYS_SET: return high >= 1 && high <= 8;
    case MYS_VARCHAR_COMPRESSED: return meta > 0;
    default: return true;
    }
}

static bool is_binary(const struct mys_type_spec *spec)
{
    return !spec->charset || mys_charset_binary(spec->charset);
}

static bool is_string(const struct type *type)
{
    return type->mod == M_CHARS || type->mod == M_STRING || type->mod == M_BLOB;
}

static void set_decimal(struct cdc_column *col, unsigned precision, unsigned scale)
{
    col->kind = precision > 38 ? CDC_TEXT : CDC_DECIMAL;
    col->precision = precision > 38 ? 0 : (uint8_t)precision;
    col->scale = (int16_t)(precision > 38 ? 0 : scale);
    col->bits = 0;
}

static void set_vector(struct cdc_column *col)
{
    col->kind = CDC_ARRAY;
    col->bits = 32;
    col->item = CDC_FLOAT;
}

static void set_kind(const struct type *type, const struct mys_type_spec *spec,
                     struct cdc_column *col)
{
    col->kind = type->kind;
    col->bits = type->bits;
    col->precision = 0;
    col->scale = 0;
    col->item = CDC_NULL;
    if (type->code == MYS_VECTOR || spec->face == MYS_FACE_VECTOR)
        set_vector(col);
    else if (is_string(type) && is_binary(spec))
        col->kind = spec->face == MYS_FACE_UUID ? CDC_UUID
                    : spec->face != MYS_PLAIN   ? CDC_TEXT
                                                : CDC_BYTES;
    else if (is_string(type) && spec->face == MYS_FACE_JSON)
        col->kind = CDC_JSON;
    else if (type->mod == M_DECIMAL)
        set_decimal(col, spec->meta & 0xff, spec->meta >> 8);
    else if (type->code == MYS_LONGLONG && spec->is_unsigned)
        set_decimal(col, 20, 0);
    else if (type->code == MYS_LONG && spec->is_unsigned)
        col->bits = 64;
    else if (type->code == MYS_BIT && spec->meta == 1)
        col->kind = CDC_BOOL;
}

int mys_type_apply(const struct mys_type_spec *spec, struct mys_field *field,
                   struct cdc_column *col)
{
    const struct type *type = find(mys_real_type(spec->type, spec->meta));
    if (!type || !sound(type, spec->meta))
        return CDC_END;
    *field = (struct mys_field){
        .parse = type->parse,
        .type = type->code,
        .face = (uint8_t)spec->face,
        .is_unsigned = spec->is_unsigned,
        .meta = spec->meta,
        .prefix = prefix_of(type, spec->meta),
        .fixed = fixed_of(type, spec->meta),
        .size = declared_size(type->code, spec->meta),
        .max = spec->max,
    };
    if (type->code == MYS_STRING && is_binary(spec))
        field->parse = mys_parse_binary;
    if (spec->face == MYS_FACE_VECTOR) {
        field->parse = mys_parse_vector;
        field->type = MYS_VECTOR;
    }
    set_kind(type, spec, col);
    return CDC_OK;
}

static const char *const geometries[] = {"geometry",     "point",         "linestring",
                                         "polygon",      "multipoint",    "multilinestring",
                                         "multipolygon", "geomcollection"};
static const char *const blobs[] = {"tinyblob", "blob", "mediumblob", "longblob"};
static const char *const texts[] = {"tinytext", "text", "mediumtext", "longtext"};
static const char *const faces[] = {[MYS_FACE_UUID] = "uuid",
                                    [MYS_FACE_INET4] = "inet4",
                                    [MYS_FACE_INET6] = "inet6",
                                    [MYS_FACE_JSON] = "json"};

static void print_string(const struct type *type, const struct mys_type_spec *spec, char *ret,
                         size_t size)
{
    bool binary = is_binary(spec);
    uint32_t bytes = declared_size(type->code, spec->meta);
    const char *name = type->mod == M_STRING ? binary ? "binary" : "char"
                       : binary              ? "varbinary"
                                             : "varchar";
    snprintf(ret, size, "%s(%u)", name, binary ? bytes : bytes / spec->charset->max_bytes);
}

void mys_type_print(const struct mys_type_spec *spec, char *ret, size_t size)
{
    const struct type *type = find(mys_real_type(spec->type, spec->meta));
    unsigned low = spec->meta & 0xff, high = spec->meta >> 8;
    const char *name = type ? type->name : "unknown";
    if (spec->face == MYS_FACE_VECTOR) {
        snprintf(ret, size, "vector(%u)", spec->meta / 4u);
        return;
    }
    if (spec->face != MYS_PLAIN) {
        snprintf(ret, size, "%s", faces[spec->face]);
        return;
    }
    switch (type ? type->mod : M_NONE) {
    case M_SIGN: snprintf(ret, size, "%s%s", name, spec->is_unsigned ? " unsigned" : ""); break;
    case M_DECIMAL:
        snprintf(ret, size, "decimal(%u,%u)%s", low, high, spec->is_unsigned ? " unsigned" : "");
        break;
    case M_BIT: snprintf(ret, size, "bit(%u)", high * 8 + low); break;
    case M_FSP:
        if (spec->meta)
            snprintf(ret, size, "%s(%u)", name, spec->meta);
        else
            snprintf(ret, size, "%s", name);
        break;
    case M_CHARS:
    case M_STRING: print_string(type, spec, ret, size); break;
    case M_BLOB:
        snprintf(ret, size, "%s", (is_binary(spec) ? blobs : texts)[(spec->meta - 1u) & 3]);
        break;
    case M_GEO:
        snprintf(ret, size, "%s",
                 spec->geometry >= 1 && spec->geometry <= 7 ? geometries[spec->geometry] : name);
        break;
    case M_VECTOR: snprintf(ret, size, "vector(%u)", spec->dimension); break;
    default: snprintf(ret, size, "%s", name); break;
    }
}

/*
 * COLUMN_TYPE in the form of mys_type_print: without the display widths of integers and floats,
 * ZEROFILL, labels, comments; MariaDB writes geometrycollection.
 */
static void normal_form(const char *type, char *ret, size_t size)
{
    static const char *const bare[] = {"tinyint", "smallint", "mediumint", "int",  "bigint",
                                       "float",   "double",   "year",      "enum", "set"};
    size_t word = strcspn(type, " ("), n = word;
    const char *open = strchr(type, '('), *close = strrchr(type, ')');
    bool cut = false;
    for (size_t i = 0; i < sizeof bare / sizeof bare[0]; i++)
        cut |= strlen(bare[i]) == word && strncmp(type, bare[i], word) == 0;
    if (!cut && open == type + word && close)
        n = (size_t)(close + 1 - type);
    if (n == 18 && strncmp(type, "geometrycollection", 18) == 0)
        snprintf(ret, size, "geomcollection");
    else
        snprintf(ret, size, "%.*s", (int)n, type);
    if (strstr(close ? close : type, " unsigned"))
        snprintf(ret + strlen(ret), size - strlen(ret), " unsigned");
}

bool mys_type_fits(const struct mys_type_spec *spec, const char *column_type)
{
    char want[64], have[64];
    mys_type_print(spec, want, sizeof want);
    normal_form(column_type, have, sizeof have);
    if (spec->face == MYS_FACE_JSON) /* MariaDB shows what it is made of */
        return strcmp(have, "longtext") == 0 || strcmp(have, "json") == 0;
    return strcmp(want, have) == 0;
}
