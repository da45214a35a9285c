/*
 * json.c - see avro/json.h.
 */
#include "avro/json.h"
#include "avro/types.h"
#include "avro/utf8.h"
#include "cdc/calendar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 u128;

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)

static void put_escape(struct cdc_buf *buf, uint8_t c)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    if (c == '"' || c == '\\')
        cdc_buf_put(buf, (char[]){'\\', (char)c}, 2);
    else if (letters[c])
        cdc_buf_put(buf, (char[]){'\\', letters[c]}, 2);
    else
        cdc_buf_printf(buf, "\\u%04X", c);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

void cdc_json_string(struct cdc_buf *buf, struct cdc_slice text)
{
    cdc_buf_byte(buf, '"');
    for (size_t i = 0; i < text.len;) {
        size_t run = i;
        while (run < text.len && is_plain(text.p[run]))
            run++;
        cdc_buf_put(buf, text.p + i, run - i);
        i = run;
        if (i == text.len)
            break;
        if (text.p[i] < 0x80) {
            put_escape(buf, text.p[i++]);
            continue;
        }
        size_t len = cdc_utf8_len(text.p + i, text.len - i);
        cdc_buf_put(buf, len ? (const char *)text.p + i : "\xef\xbf\xbd", len ? len : 3);
        i += len ? len : 1;
    }
    cdc_buf_byte(buf, '"');
}

static void put_base64(struct cdc_buf *buf, struct cdc_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)bytes.p[i] << 16;
        if (n > 1)
            group |= (uint32_t)bytes.p[i + 1] << 8;
        if (n > 2)
            group |= bytes.p[i + 2];
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63],
                        digits[group & 63]};
        memset(four + 1 + n, '=', 3 - n);
        cdc_buf_put(buf, four, 4);
    }
}

/* The shortest digits that give the same number again. */
static void put_finite(struct cdc_buf *buf, double f, uint8_t bits)
{
    char text[400]; /* what the compiler thinks %.17g could take */
    int most = bits == 32 ? 9 : 17;
    for (int digits = bits == 32 ? 6 : 15; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (bits == 32 ? strtof(text, NULL) == (float)f : strtod(text, NULL) == f)
            break;
    }
    cdc_buf_str(buf, text);
}

static void put_float(struct cdc_buf *buf, double f, uint8_t bits)
{
    if (isnan(f))
        cdc_buf_str(buf, "NaN");
    else if (isinf(f))
        cdc_buf_str(buf, f < 0 ? "-Infinity" : "Infinity");
    else
        put_finite(buf, f, bits);
}

static void put_decimal(struct cdc_buf *buf, const struct cdc_value *val)
{
    if (val->len < 1 || val->len > 16 || val->aux < 0 || val->aux > 38)
        return; /* no decimal of ours */
    u128 n = val->p[0] & 0x80 ? ~(u128)0 : 0;
    for (uint32_t i = 0; i < val->len; i++)
        n = n << 8 | val->p[i];
    bool negative = val->p[0] & 0x80;
    if (negative)
        n = ~n + 1;
    char text[48]; /* from the right: 39 digits, point, sign */
    size_t at = sizeof text;
    for (int digit = 0; n > 0 || digit <= val->aux; digit++) {
        if (digit == val->aux && digit > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + (int)(n % 10));
        n /= 10;
    }
    if (negative)
        text[--at] = '-';
    cdc_buf_put(buf, text + at, sizeof text - at);
}

/* Floor division: -1 µs is the last microsecond of the day before. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void put_date(struct cdc_buf *buf, int64_t days)
{
    struct cdc_date date = cdc_date_of(days);
    cdc_buf_printf(buf, "%04" PRId64 "-%02u-%02u", date.year, date.month, date.day);
}

static void put_time(struct cdc_buf *buf, int64_t us)
{
    int64_t s = us / SECOND_US;
    cdc_buf_printf(buf, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%06" PRId64, s / 3600,
                   s / 60 % 60, s % 60, us % SECOND_US);
}

static void put_moment(struct cdc_buf *buf, const struct cdc_value *val)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    if (kind == CDC_TIME) {
        put_time(buf, val->i);
    } else if (kind == CDC_DATE) {
        put_date(buf, val->i);
    } else {
        int64_t days = floor_div(val->i, DAY_US);
        put_date(buf, days);
        cdc_buf_byte(buf, 'T');
        put_time(buf, val->i - days * DAY_US);
        if (kind == CDC_TIMESTAMPTZ)
            cdc_buf_byte(buf, 'Z');
    }
}

static bool is_long(enum cdc_kind kind)
{
    return kind == CDC_DATE || kind == CDC_TIME || kind == CDC_TIMESTAMP || kind == CDC_TIMESTAMPTZ;
}

/* 24:00:00 is a time that no Avro type of ours holds, but it has a text. */
static bool is_moment(enum cdc_kind kind, int64_t i)
{
    return cdc_range_holds(cdc_kind_range(kind, 0), i) || (kind == CDC_TIME && i == DAY_US);
}

static void put_array(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits)
{
    cdc_buf_byte(buf, '[');
    for (uint32_t i = 0; i < val->len; i++) {
        if (i)
            cdc_buf_byte(buf, ',');
        cdc_json_value(buf, &val->items[i], bits);
    }
    cdc_buf_byte(buf, ']');
}

void cdc_text_value(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    if (is_long(kind) && is_moment(kind, val->i)) {
        put_moment(buf, val);
        return;
    }
    switch (kind) {
    case CDC_BOOL: cdc_buf_str(buf, val->i ? "true" : "false"); break;
    case CDC_INT:
    case CDC_DATE: /* these four: outside what the kind may hold, so the bare number */
    case CDC_TIME:
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ: cdc_buf_printf(buf, "%" PRId64, val->i); break;
    case CDC_FLOAT: put_float(buf, val->f, bits); break;
    case CDC_DECIMAL: put_decimal(buf, val); break;
    case CDC_BYTES: put_base64(buf, cdc_value_slice(val)); break;
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_JSON: cdc_buf_put(buf, val->p, val->len); break;
    case CDC_ARRAY: put_array(buf, val, bits); break;
    case CDC_NULL:
    case CDC_UNCHANGED:
    case CDC_ABSENT:
    case CDC_INVALID:
    case CDC_KINDS: break;
    }
}

/* Is the plain form JSON as it stands? */
static bool is_bare(const struct cdc_value *val)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    return kind == CDC_BOOL || kind == CDC_INT || kind == CDC_ARRAY ||
           (kind == CDC_FLOAT && isfinite(val->f));
}

void cdc_json_value(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    if (kind <= CDC_INVALID) {
        cdc_buf_str(buf, "null");
    } else if (kind == CDC_TEXT || kind == CDC_UUID || kind == CDC_JSON) {
        cdc_json_string(buf, cdc_value_slice(val));
    } else if (is_bare(val)) {
        cdc_text_value(buf, val, bits);
    } else {
        cdc_buf_byte(buf, '"');
        cdc_text_value(buf, val, bits);
        cdc_buf_byte(buf, '"');
    }
}

void cdc_json_member(struct cdc_buf *buf, const char *name, const struct cdc_value *val,
                     uint8_t bits)
{
    if (buf->len && buf->p[buf->len - 1] != '{')
        cdc_buf_byte(buf, ',');
    cdc_json_string(buf, cdc_slice_str(name));
    cdc_buf_byte(buf, ':');
    cdc_json_value(buf, val, bits);
}

void cdc_json_row(struct cdc_buf *buf, const struct cdc_row_schema *schema,
                  const struct cdc_value *values)
{
    cdc_buf_byte(buf, '{');
    for (uint16_t i = 0; i < schema->n; i++)
        cdc_json_member(buf, schema->cols[i].name, &values[i], schema->cols[i].bits);
    cdc_buf_byte(buf, '}');
}

void cdc_json_key(struct cdc_buf *buf, const struct cdc_row_schema *schema,
                  const struct cdc_value *values)
{
    cdc_buf_byte(buf, '{');
    for (uint16_t i = 0; i < schema->n_key; i++) {
        const struct cdc_row_column *col = &schema->cols[schema->key[i]];
        cdc_json_member(buf, col->name, &values[schema->key[i]], col->bits);
    }
    cdc_buf_byte(buf, '}');
}
