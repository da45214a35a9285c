/*
 * text.c - one table of parsers by type; see text.h.
 *
 *   numbers    strictly what the server prints; ZEROFILL puts zeros in front
 *   floats     come multiplied by 1e0, which makes a FLOAT a DOUBLE without loss, keeps the sign of
 *              zero, and prints all digits that are needed to read the same number back
 *   times      through struct mys_time, so that what no calendar has is told by the same code
 *   strings    through mys_put_text, the charset's own bytes
 *   the rest   BIT, GEOMETRY and VECTOR come as bytes, UUID and INET as their text
 */
#include "text.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "cdc/decimal.h"
#include "values.h"

#define NUMBER_MAX 64
#define DIGITS_64  19 /* that many always fit in 64 bits */
#define PARSER(name)                                                                               \
    static int name(const struct mys_field *field, struct cdc_slice text, struct cdc_arena *arena, \
                    struct cdc_value *ret)

static int put_int(struct cdc_value *ret, enum cdc_kind kind, int64_t val)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .i = val};
    return CDC_OK;
}

static int put_copy(struct cdc_value *ret, enum cdc_kind kind, struct cdc_slice bytes,
                    struct cdc_arena *arena)
{
    struct cdc_slice copy = cdc_arena_copy(arena, bytes);
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .len = (uint32_t)copy.len, .p = copy.p};
    return copy.p ? CDC_OK : CDC_FULL;
}

/* ---- numbers ---- */

/* At least one digit and nothing else; `most` is not exceeded. */
static bool digits(struct cdc_slice text, uint64_t most, uint64_t *ret)
{
    uint64_t val = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.p[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(val, 10, &val) ||
            __builtin_add_overflow(val, digit, &val))
            return false;
    }
    *ret = val;
    return text.len > 0 && val <= most;
}

static bool minus(struct cdc_slice *text)
{
    if (text->len == 0 || text->p[0] != '-')
        return false;
    *text = cdc_slice_of(text->p + 1, text->len - 1);
    return true;
}

PARSER(text_int)
{
    uint64_t val;
    bool below = minus(&text);
    (void)field;
    (void)arena;
    if (!digits(text, (uint64_t)INT64_MAX + below, &val))
        return CDC_FAIL;
    return put_int(ret, CDC_INT, below ? (int64_t)-val : (int64_t)val);
}

static int put_decimal(cdc_int128 val, int16_t scale, struct cdc_arena *arena,
                       struct cdc_value *ret)
{
    uint8_t *to = cdc_arena_alloc(arena, 16);
    if (!to)
        return CDC_FULL;
    *ret = (struct cdc_value){.kind = CDC_DECIMAL, .aux = scale, .p = to};
    ret->len = (uint32_t)cdc_decimal_put(val, to);
    return CDC_OK;
}

PARSER(text_bigint)
{
    uint64_t val;
    if (!field->is_unsigned)
        return text_int(field, text, arena, ret);
    return digits(text, UINT64_MAX, &val) ? put_decimal(val, 0, arena, ret) : CDC_FAIL;
}

/* Digits with a point before the last `scale`; without the zeros that ZEROFILL puts in front. */
static bool decimal_form(struct cdc_slice *text, unsigned scale)
{
    size_t tail = scale ? scale + 1 : 0, whole = text->len - tail;
    if (text->len <= tail || (tail && text->p[whole] != '.'))
        return false;
    for (size_t i = 0; i < text->len; i++)
        if (i != whole && (text->p[i] < '0' || text->p[i] > '9'))
            return false;
    for (; whole > 1 && text->p[0] == '0'; whole--)
        *text = cdc_slice_of(text->p + 1, text->len - 1);
    return true;
}

static int put_long_decimal(struct cdc_slice text, bool below, struct cdc_arena *arena,
                            struct cdc_value *ret)
{
    uint8_t *to = cdc_arena_alloc(arena, text.len + 1);
    if (!to)
        return CDC_FULL;
    to[0] = '-';
    memcpy(to + below, text.p, text.len);
    *ret = (struct cdc_value){.kind = CDC_TEXT, .len = (uint32_t)(text.len + below), .p = to};
    return CDC_OK;
}

/* Digits with or without a point; as many as fit in 64 bits, which are several times as fast. */
static cdc_int128 unscaled(struct cdc_slice text)
{
    uint64_t low = 0;
    size_t i = 0;
    for (; i < text.len && i < DIGITS_64; i++)
        if (text.p[i] != '.')
            low = low * 10 + (text.p[i] - (unsigned)'0');
    cdc_int128 val = low;
    for (; i < text.len; i++)
        if (text.p[i] != '.')
            val = val * 10 + (text.p[i] - '0');
    return val;
}

PARSER(text_decimal)
{
    unsigned precision = field->meta & 0xff, scale = field->meta >> 8;
    bool below = minus(&text);
    size_t most = precision + (scale > 0) + (scale == precision); /* a point, a zero before it */
    if (!decimal_form(&text, scale) || text.len > most)
        return CDC_FAIL;
    if (precision > 38)
        return put_long_decimal(text, below, arena, ret);
    cdc_int128 val = unscaled(text);
    return put_decimal(below ? -val : val, (int16_t)scale, arena, ret);
}

static bool is_of_number(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

PARSER(text_double)
{
    char copy[NUMBER_MAX], *end;
    (void)field;
    (void)arena;
    if (text.len == 0 || text.len >= sizeof copy)
        return CDC_FAIL;
    for (size_t i = 0; i < text.len; i++)
        if (!is_of_number(text.p[i]))
            return CDC_FAIL;
    memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    *ret = (struct cdc_value){.kind = CDC_FLOAT, .f = strtod(copy, &end)};
    return *end ? CDC_FAIL : CDC_OK;
}

PARSER(text_float)
{
    int rc = text_double(field, text, arena, ret);
    ret->f = rc == CDC_OK ? (float)ret->f : 0;
    return rc;
}

/* ---- dates and times ---- */

/* The next n digits, 1 to 6; false: they are not there. */
static bool take_digits(struct cdc_slice *text, size_t n, unsigned *ret)
{
    unsigned val = 0;
    if (text->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = text->p[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        val = val * 10 + digit;
    }
    *ret = val;
    *text = cdc_slice_of(text->p + n, text->len - n);
    return true;
}

static bool take_char(struct cdc_slice *text, char c)
{
    if (text->len == 0 || text->p[0] != c)
        return false;
    *text = cdc_slice_of(text->p + 1, text->len - 1);
    return true;
}

static bool take_date(struct cdc_slice *text, struct mys_time *t)
{
    unsigned year, month, day;
    if (!take_digits(text, 4, &year) || !take_char(text, '-') || !take_digits(text, 2, &month) ||
        !take_char(text, '-') || !take_digits(text, 2, &day) || month > 12 || day > 31)
        return false;
    t->year = (uint16_t)year;
    t->month = (uint8_t)month;
    t->day = (uint8_t)day;
    return true;
}

static bool take_time(struct cdc_slice *text, size_t hours, unsigned fsp, struct mys_time *t)
{
    static const unsigned scale[] = {1, 100000, 10000, 1000, 100, 10, 1};
    unsigned hour, min, sec, part = 0;
    if (!take_digits(text, hours, &hour) || !take_char(text, ':') || !take_digits(text, 2, &min) ||
        !take_char(text, ':') || !take_digits(text, 2, &sec) || hour > 838 || min > 59 || sec > 59)
        return false;
    if (fsp > 6 || (fsp > 0 && (!take_char(text, '.') || !take_digits(text, fsp, &part))))
        return false;
    t->hour = (uint16_t)hour;
    t->min = (uint8_t)min;
    t->sec = (uint8_t)sec;
    t->us = part * scale[fsp];
    return true;
}

PARSER(text_date)
{
    struct mys_time t = {0};
    bool right = take_date(&text, &t) && text.len == 0;
    return right ? mys_put_date(field, &t, arena, ret) : CDC_FAIL;
}

PARSER(text_time)
{
    struct mys_time t = {.minus = minus(&text)};
    const uint8_t *colon = text.len ? memchr(text.p, ':', text.len) : NULL;
    size_t hours = colon ? (size_t)(colon - text.p) : 0;
    bool right =
        (hours == 2 || hours == 3) && take_time(&text, hours, field->meta, &t) && text.len == 0;
    return right ? mys_put_time(field, &t, arena, ret) : CDC_FAIL;
}

static bool datetime(const struct mys_field *field, struct cdc_slice text, struct mys_time *ret)
{
    *ret = (struct mys_time){0};
    return take_date(&text, ret) && take_char(&text, ' ') &&
           take_time(&text, 2, field->meta, ret) && ret->hour < 24 && text.len == 0;
}

PARSER(text_datetime)
{
    struct mys_time t;
    return datetime(field, text, &t) ? mys_put_datetime(field, &t, arena, ret) : CDC_FAIL;
}

PARSER(text_timestamp)
{
    struct mys_time t;
    int64_t days, us = 0;
    if (!datetime(field, text, &t))
        return CDC_FAIL;
    if (mys_time_days(&t, &days))
        us = days * INT64_C(86400000000) + mys_time_us(&t);
    else if (t.year || t.month || t.day)
        return CDC_FAIL;
    return mys_put_timestamp(field, us, arena, ret);
}

/* ---- strings and bytes ---- */

PARSER(text_bytes)
{
    (void)field;
    return put_copy(ret, CDC_BYTES, text, arena);
}

PARSER(text_json)
{
    (void)field;
    return put_copy(ret, CDC_JSON, text, arena);
}

PARSER(text_bit)
{
    unsigned bits = field->meta & 0xff, bytes = field->meta >> 8;
    if (text.len != bytes + (bits != 0))
        return CDC_FAIL;
    if (field->meta == 1)
        return put_int(ret, CDC_BOOL, text.p[0] & 1);
    return put_copy(ret, CDC_BYTES, text, arena);
}

PARSER(text_string)
{
    struct cdc_slice copy = cdc_arena_copy(arena, text);
    return copy.p ? mys_put_text(field, copy, arena, ret) : CDC_FULL;
}

/* A name is text also where it is of no charset. */
PARSER(text_label)
{
    struct cdc_slice copy = cdc_arena_copy(arena, text);
    int rc = copy.p ? CDC_OK : CDC_FULL;
    if (rc == CDC_OK && field->recode.set)
        rc = mys_recode(&field->recode, copy, arena, &copy);
    *ret = (struct cdc_value){.kind = CDC_TEXT, .len = (uint32_t)copy.len, .p = copy.p};
    return rc == CDC_END ? CDC_FAIL : rc;
}

PARSER(text_uuid)
{
    (void)field;
    if (text.len != 36)
        return CDC_FAIL;
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.p[i] != '-' : !text.p[i] || !strchr("0123456789abcdef", text.p[i]))
            return CDC_FAIL;
    }
    return put_copy(ret, CDC_UUID, text, arena);
}

/* Printed again, so that both ways to read it give one text. */
PARSER(text_inet)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    int family = field->face == MYS_FACE_INET4 ? AF_INET : AF_INET6;
    if (text.len >= sizeof copy)
        return CDC_FAIL;
    memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    if (inet_pton(family, copy, bytes) != 1 || !inet_ntop(family, bytes, copy, sizeof copy))
        return CDC_FAIL;
    return put_copy(ret, CDC_TEXT, cdc_slice_str(copy), arena);
}

PARSER(text_binary)
{
    switch ((enum mys_face)field->face) {
    case MYS_FACE_UUID: return text_uuid(field, text, arena, ret);
    case MYS_FACE_INET4:
    case MYS_FACE_INET6: return text_inet(field, text, arena, ret);
    default: return text_string(field, text, arena, ret);
    }
}

PARSER(text_vector)
{
    size_t n = text.len / 4;
    if (text.len % 4)
        return CDC_FAIL;
    struct cdc_value *items = cdc_arena_alloc(arena, n * sizeof *items + 1);
    if (!items)
        return CDC_FULL;
    struct cdc_reader rd = cdc_reader_of(text.p, text.len);
    for (size_t i = 0; i < n; i++)
        (void)mys_parse_float(field, &rd, arena, &items[i]);
    *ret = (struct cdc_value){.kind = CDC_ARRAY, .len = (uint32_t)n, .items = items};
    return CDC_OK;
}

/* ---- the table ---- */

static const struct {
    uint8_t type;
    mys_text parse;
} parsers[] = {
    {MYS_TINY, text_int},
    {MYS_SHORT, text_int},
    {MYS_INT24, text_int},
    {MYS_LONG, text_int},
    {MYS_LONGLONG, text_bigint},
    {MYS_YEAR, text_int},
    {MYS_FLOAT, text_float},
    {MYS_DOUBLE, text_double},
    {MYS_NEWDECIMAL, text_decimal},
    {MYS_BIT, text_bit},
    {MYS_DATE, text_date},
    {MYS_TIME, text_time},
    {MYS_TIME2, text_time},
    {MYS_DATETIME, text_datetime},
    {MYS_DATETIME2, text_datetime},
    {MYS_TIMESTAMP, text_timestamp},
    {MYS_TIMESTAMP2, text_timestamp},
    {MYS_VARCHAR, text_string},
    {MYS_VAR_STRING, text_string},
    {MYS_VARCHAR_COMPRESSED, text_string},
    {MYS_STRING, text_binary},
    {MYS_BLOB, text_string},
    {MYS_BLOB_COMPRESSED, text_string},
    {MYS_ENUM, text_label},
    {MYS_SET, text_label},
    {MYS_JSON, text_json},
    {MYS_GEOMETRY, text_bytes},
    {MYS_VECTOR, text_vector},
};

mys_text mys_text_of(const struct mys_field *field)
{
    for (size_t i = 0; i < sizeof parsers / sizeof parsers[0]; i++)
        if (parsers[i].type == field->type)
            return parsers[i].parse;
    return NULL;
}

void mys_text_select(const struct mys_field *field, const char *quoted, struct cdc_buf *sql)
{
    bool rounded = field->type == MYS_FLOAT || field->type == MYS_DOUBLE;
    cdc_buf_printf(sql, rounded ? "(%s * 1e0)" : "%s", quoted);
}
