/*
 * json.c - see json.h.
 *
 * Offsets count from the beginning of the object or array that holds them; each is followed only
 * inwards, so that depth is bounded, and the text's size by the buffer: entries that share their
 * bytes could otherwise make a small document large.
 */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>

#include "cdc/reader.h"

#include "decimal.h"
#include "decode.h"
#include "temporal.h"
#include "types.h"

enum type {
    J_OBJECT = 0,
    J_LARGE_OBJECT = 1,
    J_ARRAY = 2,
    J_LARGE_ARRAY = 3,
    J_LITERAL = 4,
    J_INT16 = 5,
    J_UINT16 = 6,
    J_INT32 = 7,
    J_UINT32 = 8,
    J_INT64 = 9,
    J_UINT64 = 10,
    J_DOUBLE = 11,
    J_STRING = 12,
    J_OPAQUE = 15,
};

static void put_escape(struct cdc_buf *buf, uint8_t c)
{
    static const char letters[] = "btnvfr";
    if (c == '"' || c == '\\')
        cdc_buf_printf(buf, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        cdc_buf_printf(buf, "\\%c", letters[c - 8]);
    else
        cdc_buf_printf(buf, "\\u%04x", c);
}

bool mys_json_put_string(struct cdc_buf *buf, struct cdc_slice text)
{
    size_t from = 0;
    if (!mys_utf8_valid(text))
        return false;
    cdc_buf_byte(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        cdc_buf_put(buf, text.p + from, i - from);
        put_escape(buf, c);
        from = i + 1;
    }
    cdc_buf_put(buf, text.p + from, text.len - from);
    cdc_buf_byte(buf, '"');
    return true;
}

/* The shortest digits that read back as the same double, and the power of ten of the first. */
static int shortest(double val, char digits[20], int *ret_exp)
{
    char text[40];
    double least = 2.2250738585072014e-308;
    int n = 0, from = val < least && val > -least ? 0 : 14;
    for (int places = from; places < 17; places++) {
        snprintf(text, sizeof text, "%.*e", places, val < 0 ? -val : val);
        if (strtod(text, NULL) == (val < 0 ? -val : val))
            break;
    }
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    *ret_exp = *p ? (int)strtol(p + 1, NULL, 10) : 0;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = 0;
    return n;
}

/*
 * my_gcvt: plain while the point is at most 15 places after the first digit and at most 14 before
 * it. JSON keeps a ".0" behind whole numbers.
 */
static void put_double(struct cdc_buf *buf, double val)
{
    char digits[20];
    int exp, n = shortest(val, digits, &exp), point = exp + 1;
    bool minus = val < 0 || (val == 0 && 1 / val < 0);
    if (minus)
        cdc_buf_byte(buf, '-');
    if (val == 0) {
        cdc_buf_str(buf, "0.0");
    } else if (point > 15 || point < -14) {
        cdc_buf_printf(buf, "%c%s%se%d", digits[0], n > 1 ? "." : "", digits + 1, exp);
    } else if (point <= 0) {
        cdc_buf_printf(buf, "0.%.*s%s", -point, "00000000000000", digits);
    } else if (n <= point) {
        cdc_buf_printf(buf, "%s%.*s.0", digits, point - n, "00000000000000");
    } else {
        cdc_buf_printf(buf, "%.*s.%s", point, digits, digits + point);
    }
}

/* 1 to 5 bytes of seven bits each, low first. */
static uint32_t read_length(struct cdc_reader *rd)
{
    uint64_t len = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint8_t byte = cdc_read_u8(rd);
        len |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            rd->failed |= len > UINT32_MAX;
            return (uint32_t)len;
        }
    }
    rd->failed = true;
    return 0;
}

static void put_literal(struct cdc_reader *rd, struct cdc_buf *buf)
{
    static const char *const names[] = {"null", "true", "false"};
    uint8_t which = cdc_read_u8(rd);
    if (which > 2)
        rd->failed = true;
    else
        cdc_buf_str(buf, names[which]);
}

/* As the server does: the alphabet of RFC 4648, a line feed (escaped) after each 76 characters. */
static void put_base64(struct cdc_buf *buf, uint8_t type, struct cdc_slice bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    cdc_buf_printf(buf, "\"base64:type%u:", type);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = (uint32_t)bytes.p[i] << 16 | (n > 1 ? (uint32_t)bytes.p[i + 1] << 8 : 0) |
                        (n > 2 ? bytes.p[i + 2] : 0u);
        if (i && i % 57 == 0)
            cdc_buf_str(buf, "\\n");
        for (unsigned j = 0; j < 4; j++)
            cdc_buf_byte(buf, j <= n ? (uint8_t)alphabet[bits >> (18 - 6 * j) & 63] : '=');
    }
    cdc_buf_byte(buf, '"');
}

static void put_decimal(struct cdc_reader *rd, struct cdc_buf *buf)
{
    char text[MYS_DECIMAL_TEXT];
    uint8_t precision = cdc_read_u8(rd), scale = cdc_read_u8(rd);
    if (!mys_decimal_type(precision, scale) || !mys_read_decimal_text(rd, precision, scale, text))
        rd->failed = true;
    else
        cdc_buf_str(buf, text);
}

static void put_temporal(uint8_t type, struct cdc_reader *rd, struct cdc_buf *buf)
{
    struct mys_time t;
    char text[MYS_TIME_TEXT];
    if (type == MYS_TIME)
        mys_read_time_packed(rd, &t);
    else
        mys_read_datetime_packed(rd, &t);
    if (type == MYS_TIME)
        mys_print_time(&t, 6, text);
    else if (type == MYS_DATE)
        mys_print_date(&t, text);
    else
        mys_print_datetime(&t, 6, text);
    cdc_buf_printf(buf, "\"%s\"", text);
}

static void put_opaque(struct cdc_reader *rd, struct cdc_buf *buf)
{
    uint8_t type = cdc_read_u8(rd);
    struct cdc_slice bytes = cdc_read_bytes(rd, read_length(rd));
    struct cdc_reader in = cdc_reader_of(bytes.p, bytes.len);
    if (rd->failed)
        return;
    switch (type) {
    case MYS_NEWDECIMAL: put_decimal(&in, buf); break;
    case MYS_DATE:
    case MYS_TIME:
    case MYS_DATETIME:
    case MYS_TIMESTAMP: put_temporal(type, &in, buf); break;
    default: put_base64(buf, type, bytes); return;
    }
    rd->failed |= in.failed || cdc_reader_left(&in) != 0;
}

static void put_text(struct cdc_reader *rd, struct cdc_buf *buf)
{
    struct cdc_slice text = cdc_read_bytes(rd, read_length(rd));
    if (!rd->failed)
        rd->failed = !mys_json_put_string(buf, text);
}

static void put_scalar(uint8_t type, struct cdc_reader *rd, struct cdc_buf *buf)
{
    uint64_t bits;
    double val;
    switch (type) {
    case J_LITERAL: put_literal(rd, buf); break;
    case J_INT16: cdc_buf_printf(buf, "%d", (int16_t)mys_read_le(rd, 2)); break;
    case J_UINT16: cdc_buf_printf(buf, "%u", (uint16_t)mys_read_le(rd, 2)); break;
    case J_INT32: cdc_buf_printf(buf, "%d", (int32_t)mys_read_le(rd, 4)); break;
    case J_UINT32: cdc_buf_printf(buf, "%u", (uint32_t)mys_read_le(rd, 4)); break;
    case J_INT64: cdc_buf_printf(buf, "%lld", (long long)mys_read_le(rd, 8)); break;
    case J_UINT64: cdc_buf_printf(buf, "%llu", (unsigned long long)mys_read_le(rd, 8)); break;
    case J_DOUBLE:
        bits = mys_read_le(rd, 8);
        memcpy(&val, &bits, 8);
        if (val - val != 0) /* JSON has neither infinity nor NaN */
            rd->failed = true;
        else
            put_double(buf, val);
        break;
    case J_STRING: put_text(rd, buf); break;
    case J_OPAQUE: put_opaque(rd, buf); break;
    default: rd->failed = true; break;
    }
}

/* A value that fits an entry stands there instead of its offset. */
static bool is_inline(uint8_t type, bool large)
{
    return type == J_LITERAL || type == J_INT16 || type == J_UINT16 ||
           (large && (type == J_INT32 || type == J_UINT32));
}

struct mys_json mys_json_of(struct cdc_slice doc)
{
    static const uint8_t null[] = {0};
    if (doc.len == 0)
        return (struct mys_json){.type = J_LITERAL, .bytes = cdc_slice_of(null, 1)};
    return (struct mys_json){.type = doc.p[0], .bytes = cdc_slice_of(doc.p + 1, doc.len - 1)};
}

bool mys_json_open(const struct mys_json *val, struct mys_json_box *ret)
{
    struct cdc_reader rd = cdc_reader_of(val->bytes.p, val->bytes.len);
    ret->object = val->type == J_OBJECT || val->type == J_LARGE_OBJECT;
    ret->width = val->type == J_LARGE_OBJECT || val->type == J_LARGE_ARRAY ? 4 : 2;
    uint64_t n = mys_read_le(&rd, ret->width), size = mys_read_le(&rd, ret->width);
    uint64_t keys = ret->object ? n * (ret->width + 2u) : 0;
    if (val->type > J_LARGE_ARRAY || rd.failed || size > val->bytes.len || size < 2u * ret->width ||
        keys + n * (1u + ret->width) > size - 2u * ret->width)
        return false;
    ret->n = (uint32_t)n;
    ret->bytes = cdc_slice_of(val->bytes.p, size);
    ret->entries = 2u * ret->width + keys;
    return true;
}

bool mys_json_key(const struct mys_json_box *box, uint32_t i, struct cdc_slice *ret)
{
    struct cdc_reader rd = cdc_reader_of(box->bytes.p, box->bytes.len);
    cdc_read_raw(&rd, 2u * box->width + (size_t)i * (box->width + 2u));
    size_t at = mys_read_le(&rd, box->width), len = mys_read_le(&rd, 2);
    if (rd.failed || at > box->bytes.len || len > box->bytes.len - at)
        return false;
    *ret = cdc_slice_of(box->bytes.p + at, len);
    return true;
}

bool mys_json_entry(const struct mys_json_box *box, uint32_t i, struct mys_json *ret)
{
    struct cdc_reader rd = cdc_reader_of(box->bytes.p, box->bytes.len);
    cdc_read_raw(&rd, box->entries + (size_t)i * (1u + box->width));
    ret->type = cdc_read_u8(&rd);
    size_t at = rd.off;
    if (!is_inline(ret->type, box->width == 4))
        at = mys_read_le(&rd, box->width);
    if (rd.failed || at >= box->bytes.len)
        return false;
    ret->bytes = cdc_slice_of(box->bytes.p + at, box->bytes.len - at);
    return true;
}

static bool put_key(const struct mys_json_box *box, uint32_t i, struct cdc_buf *buf)
{
    struct cdc_slice key;
    bool sound = mys_json_key(box, i, &key) && mys_json_put_string(buf, key);
    cdc_buf_str(buf, ": ");
    return sound;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by MYS_JSON_DEPTH */
static int put_box(const struct mys_json_box *box, unsigned depth, struct cdc_buf *buf)
{
    struct mys_json val;
    if (depth > MYS_JSON_DEPTH)
        return CDC_FAIL;
    cdc_buf_byte(buf, box->object ? '{' : '[');
    for (uint32_t i = 0; i < box->n && !buf->failed; i++) {
        if (i)
            cdc_buf_str(buf, ", ");
        if ((box->object && !put_key(box, i, buf)) || !mys_json_entry(box, i, &val) ||
            mys_json_put(&val, depth, buf) < 0)
            return CDC_FAIL;
    }
    cdc_buf_byte(buf, box->object ? '}' : ']');
    return CDC_OK;
}

int mys_json_put(const struct mys_json *val, unsigned depth, struct cdc_buf *buf)
{
    struct mys_json_box box;
    if (val->type <= J_LARGE_ARRAY)
        return mys_json_open(val, &box) ? put_box(&box, depth + 1, buf) : CDC_FAIL;
    struct cdc_reader rd = cdc_reader_of(val->bytes.p, val->bytes.len);
    put_scalar(val->type, &rd, buf);
    return rd.failed ? CDC_FAIL : CDC_OK;
}

int mys_json_print(struct cdc_slice doc, struct cdc_buf *buf)
{
    struct mys_json val = mys_json_of(doc);
    return mys_json_put(&val, 0, buf);
}
