/*
 * types.c - one table of types, one table of parsers.
 *
 * Text forms are those of DateStyle ISO, TimeZone UTC, extra_float_digits 3, bytea_output hex,
 * which every connection pins. A parser accepts what PostgreSQL prints and nothing else; anything
 * odd is CDC_FAIL, because a value guessed is a value changed. Known oddities: 24:00:00,
 * "infinity", "BC" behind a date, years above 9999, "NaN", numeric with a scale below 0 or above
 * the precision (15+).
 */
#include "types.h"

#include "cdc/calendar.h"
#include "cdc/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_OWN_OID 16384 /* types that are not built in begin here */

/* How the typmod is printed and what it means. */
enum mod { MOD_NONE, MOD_LENGTH, MOD_NUMERIC, MOD_TIME };

struct pgs_type {
    uint32_t oid;
    const char *typname;
    const char *before, *after; /* as format_type prints it, the typmod between the two */
    enum cdc_kind kind;
    uint8_t bits;
    enum mod mod;
    uint32_t array; /* oid of the type of arrays of it */
};

static const struct pgs_type types[] = {
    {16, "bool", "boolean", "", CDC_BOOL, 0, MOD_NONE, 1000},
    {17, "bytea", "bytea", "", CDC_BYTES, 0, MOD_NONE, 1001},
    {18, "char", "\"char\"", "", CDC_TEXT, 0, MOD_NONE, 1002},
    {19, "name", "name", "", CDC_TEXT, 0, MOD_NONE, 1003},
    {20, "int8", "bigint", "", CDC_INT, 64, MOD_NONE, 1016},
    {21, "int2", "smallint", "", CDC_INT, 32, MOD_NONE, 1005},
    {23, "int4", "integer", "", CDC_INT, 32, MOD_NONE, 1007},
    {25, "text", "text", "", CDC_TEXT, 0, MOD_NONE, 1009},
    {26, "oid", "oid", "", CDC_INT, 64, MOD_NONE, 1028},
    {28, "xid", "xid", "", CDC_INT, 64, MOD_NONE, 1011},
    {114, "json", "json", "", CDC_JSON, 0, MOD_NONE, 199},
    {142, "xml", "xml", "", CDC_TEXT, 0, MOD_NONE, 143},
    {700, "float4", "real", "", CDC_FLOAT, 32, MOD_NONE, 1021},
    {701, "float8", "double precision", "", CDC_FLOAT, 64, MOD_NONE, 1022},
    {1042, "bpchar", "character", "", CDC_TEXT, 0, MOD_LENGTH, 1014},
    {1043, "varchar", "character varying", "", CDC_TEXT, 0, MOD_LENGTH, 1015},
    {1082, "date", "date", "", CDC_DATE, 0, MOD_NONE, 1182},
    {1083, "time", "time", " without time zone", CDC_TIME, 0, MOD_TIME, 1183},
    {1114, "timestamp", "timestamp", " without time zone", CDC_TIMESTAMP, 0, MOD_TIME, 1115},
    {1184, "timestamptz", "timestamp", " with time zone", CDC_TIMESTAMPTZ, 0, MOD_TIME, 1185},
    {1700, "numeric", "numeric", "", CDC_DECIMAL, 0, MOD_NUMERIC, 1231},
    {2950, "uuid", "uuid", "", CDC_UUID, 0, MOD_NONE, 2951},
    {3802, "jsonb", "jsonb", "", CDC_JSON, 0, MOD_NONE, 3807},
};

#define N_TYPES (sizeof types / sizeof types[0])

const struct pgs_type *pgs_type_by_oid(uint32_t oid)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].oid == oid)
            return &types[i];
    return NULL;
}

const struct pgs_type *pgs_type_by_name(const char *typname)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp(types[i].typname, typname) == 0)
            return &types[i];
    return NULL;
}

const struct pgs_type *pgs_type_of_items(uint32_t array_oid)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].array == array_oid)
            return &types[i];
    return NULL;
}

/* numeric's typmod: precision above, 11 bits of signed scale below, 4 added to the whole. */
static int numeric_precision(int32_t typmod)
{
    return (int)((uint32_t)(typmod - 4) >> 16 & 0xffff);
}

static int numeric_scale(int32_t typmod)
{
    return (int)(((uint32_t)(typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
}

void pgs_type_apply(const struct pgs_type *type, int32_t typmod, struct cdc_column *ret)
{
    ret->kind = type ? type->kind : CDC_TEXT;
    ret->bits = type ? type->bits : 0;
    ret->precision = 0;
    ret->scale = 0;
    ret->item = CDC_NULL;
    if (ret->kind != CDC_DECIMAL)
        return;
    int precision = typmod < 4 ? 0 : numeric_precision(typmod);
    int scale = typmod < 4 ? 0 : numeric_scale(typmod);
    if (precision < 1 || precision > 38 || scale < 0 || scale > precision) {
        ret->kind = CDC_TEXT;
        return;
    }
    ret->precision = (uint8_t)precision;
    ret->scale = (int16_t)scale;
}

void pgs_type_apply_array(const struct pgs_type *items, int32_t typmod, struct cdc_column *ret)
{
    pgs_type_apply(items, typmod, ret);
    ret->item = ret->kind;
    ret->kind = CDC_ARRAY;
}

void pgs_type_print(const struct pgs_type *type, int32_t typmod, char *ret, size_t size)
{
    char mod[32] = "";
    if (type->mod == MOD_LENGTH && typmod >= 4)
        snprintf(mod, sizeof mod, "(%d)", typmod - 4);
    else if (type->mod == MOD_NUMERIC && typmod >= 4)
        snprintf(mod, sizeof mod, "(%d,%d)", numeric_precision(typmod), numeric_scale(typmod));
    else if (type->mod == MOD_TIME && typmod >= 0)
        snprintf(mod, sizeof mod, "(%d)", typmod);
    /* format_type says bpchar for a blank-padded type without a length. */
    const char *name = type->oid == 1042 && typmod < 4 ? "bpchar" : type->before;
    snprintf(ret, size, "%s%s%s", name, mod, type->after);
}

__extension__ typedef unsigned __int128 u128;

static bool is(const uint8_t *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static int invalid(uint8_t *text, size_t len, struct cdc_value *ret)
{
    *ret = (struct cdc_value){.kind = CDC_INVALID, .len = (uint32_t)len, .p = text};
    return CDC_OK;
}

static int parse_bytes_as(enum cdc_kind kind, uint8_t *text, size_t len, struct cdc_value *ret)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .len = (uint32_t)len, .p = text};
    return CDC_OK;
}

static int parse_text(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    (void)col;
    return parse_bytes_as(CDC_TEXT, text, len, ret);
}

static int parse_json(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    (void)col;
    return parse_bytes_as(CDC_JSON, text, len, ret);
}

static int parse_bool(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    (void)col;
    if (len != 1 || (text[0] != 't' && text[0] != 'f'))
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_BOOL, .i = text[0] == 't'};
    return CDC_OK;
}

static int parse_int(const struct cdc_column *col, uint8_t *text, size_t len, struct cdc_value *ret)
{
    bool minus = len > 0 && text[0] == '-';
    uint64_t val = 0;
    size_t i = minus;
    if (len == i || len - i > 19)
        return CDC_FAIL;
    for (; i < len; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9)
            return CDC_FAIL;
        val = val * 10 + digit; /* 19 digits fit 64 bits */
    }
    uint64_t max = (col->bits == 32 ? (uint64_t)INT32_MAX : (uint64_t)INT64_MAX) + minus;
    if (val > max)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_INT, .i = (int64_t)(minus ? -val : val)};
    return CDC_OK;
}

/*
 * [-]digits[.digits] of at most 15 digits: both the digits and the power of ten are exact doubles,
 * so one division rounds right (Clinger). False: not of this form, ask strtod.
 */
static bool short_float(const uint8_t *text, size_t len, double *ret)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool minus = text[0] == '-';
    int64_t digits = 0;
    int places = -1;
    if (len - minus < 1 || len - minus > 15)
        return false;
    for (size_t i = minus; i < len; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (text[i] == '.' && places < 0)
            places = 0;
        else if (digit > 9)
            return false;
        else
            digits = digits * 10 + digit, places += places >= 0;
    }
    double val = (double)digits / powers[places < 0 ? 0 : places];
    *ret = minus ? -val : val;
    return digits != 0;
}

static int parse_float(const struct cdc_column *col, uint8_t *text, size_t len,
                       struct cdc_value *ret)
{
    char copy[64], *end;
    double val;
    if (len == 0 || len >= sizeof copy || text[0] <= ' ')
        return CDC_FAIL;
    if (col->bits == 64 && short_float(text, len, &val)) {
        *ret = (struct cdc_value){.kind = CDC_FLOAT, .f = val};
        return CDC_OK;
    }
    memcpy(copy, text, len);
    copy[len] = 0;
    if (is(text, len, "NaN"))
        val = NAN;
    else if (is(text, len, "Infinity") || is(text, len, "-Infinity"))
        val = text[0] == '-' ? -INFINITY : INFINITY;
    else if (strspn(copy, "+-.0123456789eE") != len)
        return CDC_FAIL;
    else if (val = col->bits == 32 ? (double)strtof(copy, &end) : strtod(copy, &end), *end)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_FLOAT, .f = val};
    return CDC_OK;
}

/* Digits with at most one point among them, at most `max` significant. The places, or -1: no
 * number. */
static int read_decimal(const uint8_t *text, size_t len, int max, u128 *ret)
{
    uint64_t low = 0; /* of up to 18 digits, moved into val when full: 128 bits are slow */
    u128 val = 0;
    int places = -1, significant = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (text[i] == '.' && places < 0 && i > 0) {
            places = 0;
            continue;
        }
        significant += significant != 0 || digit != 0;
        if (digit > 9 || significant > max)
            return -1;
        if (significant == 19 || significant == 37) {
            val = val * 1000000000000000000u + low;
            low = 0;
        }
        low = low * 10 + digit;
        places += places >= 0;
    }
    uint64_t scale = 1;
    for (int i = significant > 36 ? 36 : significant > 18 ? 18 : significant; i < significant; i++)
        scale *= 10;
    *ret = significant > 18 ? val * scale + low : low;
    return len == 0 ? -1 : places < 0 ? 0 : places;
}

static int parse_decimal(const struct cdc_column *col, uint8_t *text, size_t len,
                         struct cdc_value *ret)
{
    u128 val = 0;
    bool minus = len > 0 && text[0] == '-';
    if (is(text, len, "NaN") || is(text, len, "Infinity") || is(text, len, "-Infinity"))
        return invalid(text, len, ret);
    /* numeric(p,s) prints exactly s places and has at most p digits */
    if (read_decimal(text + minus, len - minus, col->precision, &val) != col->scale)
        return CDC_FAIL;
    cdc_int128 whole = minus ? -(cdc_int128)val : (cdc_int128)val;
    *ret = (struct cdc_value){.kind = CDC_DECIMAL,
                              .aux = col->scale,
                              .len = (uint32_t)cdc_decimal_put(whole, text),
                              .p = text};
    return CDC_OK;
}

/* One more than the value of a hexadecimal digit in lower case; 0: none. */
static const uint8_t hex[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

static int parse_bytea(const struct cdc_column *col, uint8_t *text, size_t len,
                       struct cdc_value *ret)
{
    (void)col;
    if (len < 2 || len % 2 != 0 || text[0] != '\\' || text[1] != 'x')
        return CDC_FAIL;
    for (size_t i = 2; i < len; i += 2) {
        unsigned high = hex[text[i]], low = hex[text[i + 1]];
        if (!high || !low)
            return CDC_FAIL;
        text[i / 2 - 1] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return parse_bytes_as(CDC_BYTES, text, len / 2 - 1, ret);
}

static int parse_uuid(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    (void)col;
    if (len != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
        return CDC_FAIL;
    unsigned digits = 0;
    for (size_t i = 0; i < 36; i++)
        digits += hex[text[i]] != 0;
    return digits == 32 ? parse_bytes_as(CDC_UUID, text, len, ret) : CDC_FAIL;
}

/* Exactly two digits at *p, at most max; -1 if not. Moves *p. */
static int two(const uint8_t **p, const uint8_t *end, int max)
{
    if (end - *p < 2 || (*p)[0] < '0' || (*p)[0] > '9' || (*p)[1] < '0' || (*p)[1] > '9')
        return -1;
    int val = ((*p)[0] - '0') * 10 + ((*p)[1] - '0');
    *p += 2;
    return val <= max ? val : -1;
}

static bool skip(const uint8_t **p, const uint8_t *end, char what)
{
    if (*p == end || **p != (uint8_t)what)
        return false;
    (*p)++;
    return true;
}

/* YYYY-MM-DD; a year of more digits is CDC_END (well formed, cannot be held). */
static int read_date(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    int year = 0, n = 0;
    for (; *p < end && **p >= '0' && **p <= '9' && n < 8; n++)
        year = year * 10 + *(*p)++ - '0';
    if (n < 4 || !skip(p, end, '-'))
        return CDC_FAIL;
    int month = two(p, end, 12);
    int day = month > 0 && skip(p, end, '-') ? two(p, end, 31) : -1;
    if (month < 1 || day < 1 || (day > 28 && year > 0 && day > cdc_month_days(year, month)))
        return CDC_FAIL;
    if (year < 1 || year > 9999)
        return CDC_END;
    *ret = cdc_date_days(year, month, day);
    return CDC_OK;
}

/* HH:MM:SS[.ffffff], at most 24:00:00. */
static int read_time(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    int hour = two(p, end, 24);
    int min = hour >= 0 && skip(p, end, ':') ? two(p, end, 59) : -1;
    int sec = min >= 0 && skip(p, end, ':') ? two(p, end, 59) : -1;
    if (sec < 0)
        return CDC_FAIL;
    int64_t fraction = 0, unit = 1000000;
    if (skip(p, end, '.'))
        for (; *p < end && **p >= '0' && **p <= '9' && unit > 1; (*p)++)
            fraction += (*(*p) - '0') * (unit /= 10);
    *ret = ((hour * 60 + min) * 60 + sec) * INT64_C(1000000) + fraction;
    return *ret <= INT64_C(86400000000) ? CDC_OK : CDC_FAIL;
}

static bool infinite(const uint8_t *text, size_t len)
{
    return is(text, len, "infinity") || is(text, len, "-infinity");
}

static bool before_christ(const uint8_t *p, const uint8_t *end)
{
    return end - p == 3 && memcmp(p, " BC", 3) == 0;
}

static int parse_date(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    const uint8_t *p = text, *end = text + len;
    int64_t days = 0;
    (void)col;
    if (infinite(text, len))
        return invalid(text, len, ret);
    int rc = read_date(&p, end, &days);
    if (rc == CDC_FAIL || (p != end && !before_christ(p, end)))
        return CDC_FAIL;
    if (rc == CDC_END || p != end)
        return invalid(text, len, ret);
    *ret = (struct cdc_value){.kind = CDC_DATE, .i = days};
    return CDC_OK;
}

static int parse_time(const struct cdc_column *col, uint8_t *text, size_t len,
                      struct cdc_value *ret)
{
    const uint8_t *p = text, *end = text + len;
    int64_t us;
    (void)col;
    if (read_time(&p, end, &us) != CDC_OK || p != end)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_TIME, .i = us};
    return CDC_OK;
}

/* +HH[:MM[:SS]] or -HH..., as microseconds east of UTC. With TimeZone UTC it is always +00. */
static int read_zone(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    bool west = *p < end && **p == '-';
    if (!west && (*p == end || **p != '+'))
        return CDC_FAIL;
    (*p)++;
    int hour = two(p, end, 24), min = 0, sec = 0;
    if (hour >= 0 && skip(p, end, ':'))
        min = two(p, end, 59);
    if (min >= 0 && skip(p, end, ':'))
        sec = two(p, end, 59);
    if (hour < 0 || min < 0 || sec < 0)
        return CDC_FAIL;
    *ret = ((hour * 60 + min) * 60 + sec) * (west ? INT64_C(-1000000) : INT64_C(1000000));
    return CDC_OK;
}

static int parse_stamp(const struct cdc_column *col, uint8_t *text, size_t len,
                       struct cdc_value *ret)
{
    const uint8_t *p = text, *end = text + len;
    int64_t days = 0, us, zone = 0;
    if (infinite(text, len))
        return invalid(text, len, ret);
    int rc = read_date(&p, end, &days);
    if (rc == CDC_FAIL || !skip(&p, end, ' ') || read_time(&p, end, &us) != CDC_OK)
        return CDC_FAIL;
    if (col->kind == CDC_TIMESTAMPTZ && read_zone(&p, end, &zone) != CDC_OK)
        return CDC_FAIL;
    if (p != end && !before_christ(p, end))
        return CDC_FAIL;
    if (rc == CDC_END || p != end)
        return invalid(text, len, ret);
    *ret = (struct cdc_value){.kind = (uint8_t)col->kind,
                              .i = days * INT64_C(86400000000) + us - zone};
    return CDC_OK;
}

pgs_parse pgs_parser(const struct cdc_column *col)
{
    switch (col->kind) {
    case CDC_BOOL: return parse_bool;
    case CDC_INT: return parse_int;
    case CDC_FLOAT: return parse_float;
    case CDC_DECIMAL: return parse_decimal;
    case CDC_BYTES: return parse_bytea;
    case CDC_DATE: return parse_date;
    case CDC_TIME: return parse_time;
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ: return parse_stamp;
    case CDC_UUID: return parse_uuid;
    case CDC_JSON: return col->type_id < FIRST_OWN_OID ? parse_json : NULL;
    case CDC_ARRAY: return NULL;
    default: return parse_text;
    }
}
