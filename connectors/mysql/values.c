/*
 * values.c - values of row images, one function for each form; see values.h. What a value means is
 * said in types.c.
 */
#include "values.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "cdc/decimal.h"

#include "compress.h"
#include "decimal.h"
#include "decode.h"
#include "json.h"
#include "json_diff.h"
#include "temporal.h"

static int put(struct cdc_value *ret, enum cdc_kind kind, struct cdc_slice bytes)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .len = (uint32_t)bytes.len, .p = bytes.p};
    return CDC_OK;
}

static int put_int(struct cdc_value *ret, enum cdc_kind kind, int64_t val)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .i = val};
    return CDC_OK;
}

static int copy(struct cdc_arena *arena, enum cdc_kind kind, const void *p, size_t n,
                struct cdc_value *ret)
{
    struct cdc_slice bytes = cdc_arena_copy(arena, cdc_slice_of(p, n));
    return bytes.p ? put(ret, kind, bytes) : CDC_FULL;
}

MYS_PARSER(mys_parse_tiny)
{
    (void)arena;
    uint8_t val = cdc_read_u8(rd);
    return put_int(ret, CDC_INT, field->is_unsigned ? val : (int8_t)val);
}

MYS_PARSER(mys_parse_short)
{
    (void)arena;
    uint16_t val = (uint16_t)mys_read_le(rd, 2);
    return put_int(ret, CDC_INT, field->is_unsigned ? val : (int16_t)val);
}

MYS_PARSER(mys_parse_int24)
{
    (void)arena;
    uint32_t val = (uint32_t)mys_read_le(rd, 3);
    return put_int(ret, CDC_INT, field->is_unsigned ? (int64_t)val : (int32_t)(val << 8) >> 8);
}

MYS_PARSER(mys_parse_long)
{
    (void)arena;
    const uint8_t *p = cdc_read_raw(rd, 4);
    uint32_t val = 0;
    if (p)
        val = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return put_int(ret, CDC_INT, field->is_unsigned ? (int64_t)val : (int32_t)val);
}

MYS_PARSER(mys_parse_longlong)
{
    uint64_t val = mys_read_le(rd, 8);
    if (!field->is_unsigned)
        return put_int(ret, CDC_INT, (int64_t)val);
    uint8_t *to = cdc_arena_alloc(arena, 16);
    return to ? put(ret, CDC_DECIMAL, cdc_slice_of(to, cdc_decimal_put(val, to))) : CDC_FULL;
}

MYS_PARSER(mys_parse_year)
{
    (void)field;
    (void)arena;
    uint8_t val = cdc_read_u8(rd);
    return put_int(ret, CDC_INT, val ? 1900 + val : 0);
}

MYS_PARSER(mys_parse_float)
{
    (void)field;
    (void)arena;
    uint32_t bits = (uint32_t)mys_read_le(rd, 4);
    float val;
    memcpy(&val, &bits, 4);
    *ret = (struct cdc_value){.kind = CDC_FLOAT, .f = val};
    return CDC_OK;
}

MYS_PARSER(mys_parse_double)
{
    (void)field;
    (void)arena;
    uint64_t bits = mys_read_le(rd, 8);
    *ret = (struct cdc_value){.kind = CDC_FLOAT};
    memcpy(&ret->f, &bits, 8);
    return CDC_OK;
}

MYS_PARSER(mys_parse_decimal)
{
    unsigned precision = field->meta & 0xff, scale = field->meta >> 8;
    if (precision > 38) {
        char text[MYS_DECIMAL_TEXT];
        size_t n = mys_read_decimal_text(rd, precision, scale, text);
        return n ? copy(arena, CDC_TEXT, text, n, ret) : CDC_FAIL;
    }
    uint8_t *to = cdc_arena_alloc(arena, 16);
    size_t n = to ? mys_read_decimal(rd, precision, scale, to) : 0;
    put(ret, CDC_DECIMAL, cdc_slice_of(to, n));
    ret->aux = (int16_t)scale;
    return n ? CDC_OK : to ? CDC_FAIL : CDC_FULL;
}

MYS_PARSER(mys_parse_bit)
{
    (void)arena;
    unsigned bits = field->meta & 0xff, bytes = field->meta >> 8;
    struct cdc_slice val = cdc_read_bytes(rd, bytes + (bits != 0));
    if (rd->failed)
        return CDC_FAIL;
    if (val.len == 1 && bits == 1)
        return put_int(ret, CDC_BOOL, val.p[0] & 1);
    return put(ret, CDC_BYTES, val);
}

/* A time as the server prints it: with on_invalid: string always, else where the kind has it not.
 */
static int put_printed(const struct mys_field *field, const char *text, struct cdc_arena *arena,
                       struct cdc_value *ret)
{
    return copy(arena, field->text ? CDC_TEXT : CDC_INVALID, text, strlen(text), ret);
}

int mys_put_date(const struct mys_field *field, const struct mys_time *t, struct cdc_arena *arena,
                 struct cdc_value *ret)
{
    int64_t days;
    char text[MYS_TIME_TEXT];
    if (!field->text && mys_time_days(t, &days))
        return put_int(ret, CDC_DATE, days);
    mys_print_date(t, text);
    return put_printed(field, text, arena, ret);
}

int mys_put_time(const struct mys_field *field, const struct mys_time *t, struct cdc_arena *arena,
                 struct cdc_value *ret)
{
    char text[MYS_TIME_TEXT];
    if (!field->text && !t->minus && t->hour < 24)
        return put_int(ret, CDC_TIME, mys_time_us(t));
    mys_print_time(t, field->meta, text);
    return put_printed(field, text, arena, ret);
}

int mys_put_datetime(const struct mys_field *field, const struct mys_time *t,
                     struct cdc_arena *arena, struct cdc_value *ret)
{
    int64_t days;
    char text[MYS_TIME_TEXT];
    if (!field->text && mys_time_days(t, &days))
        return put_int(ret, CDC_TIMESTAMP, days * INT64_C(86400000000) + mys_time_us(t));
    mys_print_datetime(t, field->meta, text);
    return put_printed(field, text, arena, ret);
}

/* Zero is not 1970: no timestamp can be there, so the servers use it for the zero date. */
int mys_put_timestamp(const struct mys_field *field, int64_t us, struct cdc_arena *arena,
                      struct cdc_value *ret)
{
    struct mys_time t = {0};
    char text[MYS_TIME_TEXT];
    if (!field->text && us != 0)
        return put_int(ret, CDC_TIMESTAMPTZ, us);
    if (us != 0)
        mys_time_of(us, &t);
    mys_print_datetime(&t, field->meta, text);
    return put_printed(field, text, arena, ret);
}

MYS_PARSER(mys_parse_date)
{
    struct mys_time t;
    mys_read_date(rd, &t);
    return rd->failed ? CDC_FAIL : mys_put_date(field, &t, arena, ret);
}

MYS_PARSER(mys_parse_time2)
{
    struct mys_time t;
    mys_read_time2(rd, field->meta, &t);
    return rd->failed ? CDC_FAIL : mys_put_time(field, &t, arena, ret);
}

MYS_PARSER(mys_parse_time_old)
{
    struct mys_time t;
    mys_read_time_old(rd, &t);
    return rd->failed ? CDC_FAIL : mys_put_time(field, &t, arena, ret);
}

MYS_PARSER(mys_parse_datetime2)
{
    struct mys_time t;
    mys_read_datetime2(rd, field->meta, &t);
    return rd->failed ? CDC_FAIL : mys_put_datetime(field, &t, arena, ret);
}

MYS_PARSER(mys_parse_datetime_old)
{
    struct mys_time t;
    mys_read_datetime_old(rd, &t);
    return rd->failed ? CDC_FAIL : mys_put_datetime(field, &t, arena, ret);
}

MYS_PARSER(mys_parse_timestamp2)
{
    int64_t us = mys_read_timestamp2(rd, field->meta);
    return rd->failed ? CDC_FAIL : mys_put_timestamp(field, us, arena, ret);
}

MYS_PARSER(mys_parse_timestamp_old)
{
    int64_t us = (int64_t)mys_read_le(rd, 4) * 1000000;
    return rd->failed ? CDC_FAIL : mys_put_timestamp(field, us, arena, ret);
}

/* As the servers print bytes: 0x and capital digits. */
static int put_hex(struct cdc_slice bytes, struct cdc_arena *arena, struct cdc_value *ret)
{
    uint8_t *to = cdc_arena_alloc(arena, bytes.len * 2 + 2);
    if (!to)
        return CDC_FULL;
    to[0] = '0';
    to[1] = 'x';
    for (size_t i = 0; i < bytes.len; i++) {
        to[2 + 2 * i] = (uint8_t) "0123456789ABCDEF"[bytes.p[i] >> 4];
        to[3 + 2 * i] = (uint8_t) "0123456789ABCDEF"[bytes.p[i] & 15];
    }
    return put(ret, CDC_INVALID, cdc_slice_of(to, bytes.len * 2 + 2));
}

int mys_put_text(const struct mys_field *field, struct cdc_slice bytes, struct cdc_arena *arena,
                 struct cdc_value *ret)
{
    struct cdc_slice text;
    if (!field->recode.set || mys_charset_binary(field->recode.set))
        return put(ret, CDC_BYTES, bytes);
    int rc = mys_recode(&field->recode, bytes, arena, &text);
    if (rc == CDC_END)
        return put_hex(bytes, arena, ret);
    return rc == CDC_OK ? put(ret, field->face == MYS_FACE_JSON ? CDC_JSON : CDC_TEXT, text) : rc;
}

static struct cdc_slice read_prefixed(const struct mys_field *field, struct cdc_reader *rd)
{
    return cdc_read_bytes(rd, mys_read_le(rd, field->prefix));
}

MYS_PARSER(mys_parse_string)
{
    struct cdc_slice bytes = read_prefixed(field, rd);
    return rd->failed ? CDC_FAIL : mys_put_text(field, bytes, arena, ret);
}

MYS_PARSER(mys_parse_compressed)
{
    struct cdc_slice bytes = read_prefixed(field, rd), plain;
    int rc = rd->failed ? CDC_FAIL : mys_unpack_value(arena, bytes, field->max, &plain);
    return rc == CDC_OK ? mys_put_text(field, plain, arena, ret) : rc;
}

MYS_PARSER(mys_parse_bytes)
{
    (void)arena;
    return put(ret, CDC_BYTES, read_prefixed(field, rd));
}

static int put_uuid(const uint8_t *p, struct cdc_arena *arena, struct cdc_value *ret)
{
    uint8_t *to = cdc_arena_alloc(arena, 36);
    size_t n = 0;
    if (!to)
        return CDC_FULL;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            to[n++] = '-';
        to[n++] = (uint8_t) "0123456789abcdef"[p[i] >> 4];
        to[n++] = (uint8_t) "0123456789abcdef"[p[i] & 15];
    }
    return put(ret, CDC_UUID, cdc_slice_of(to, n));
}

static int put_inet(int family, const uint8_t *p, struct cdc_arena *arena, struct cdc_value *ret)
{
    char text[INET6_ADDRSTRLEN];
    if (!inet_ntop(family, p, text, sizeof text))
        return CDC_FAIL;
    return copy(arena, CDC_TEXT, text, strlen(text), ret);
}

/* The zeros at the end, which the log leaves out, are put back. */
MYS_PARSER(mys_parse_binary)
{
    struct cdc_slice bytes = read_prefixed(field, rd);
    if (rd->failed || bytes.len > field->size)
        return CDC_FAIL;
    if (bytes.len == field->size && field->face == MYS_PLAIN)
        return put(ret, CDC_BYTES, bytes);
    uint8_t *to = cdc_arena_zalloc(arena, field->size + 1);
    if (!to)
        return CDC_FULL;
    if (bytes.len)
        memcpy(to, bytes.p, bytes.len);
    switch ((enum mys_face)field->face) {
    case MYS_FACE_UUID: return put_uuid(to, arena, ret);
    case MYS_FACE_INET4: return put_inet(AF_INET, to, arena, ret);
    case MYS_FACE_INET6: return put_inet(AF_INET6, to, arena, ret);
    default: return put(ret, CDC_BYTES, cdc_slice_of(to, field->size));
    }
}

static int put_number(uint64_t val, enum cdc_kind kind, struct cdc_arena *arena,
                      struct cdc_value *ret)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)val);
    return copy(arena, kind, text, (size_t)n, ret);
}

/* Numbers from 1; 0 is what a wrong value became once. */
MYS_PARSER(mys_parse_enum)
{
    uint64_t val = mys_read_le(rd, field->meta >> 8);
    if (rd->failed)
        return CDC_FAIL;
    if (val == 0)
        return put(ret, CDC_TEXT, cdc_slice_str(""));
    if (val > field->n_labels)
        return put_number(val, field->n_labels ? CDC_INVALID : CDC_TEXT, arena, ret);
    /* The labels go with their shape, which DDL replaces while the batch still has this row. */
    struct cdc_slice label = cdc_arena_copy(arena, field->labels[val - 1]);
    return label.p ? put(ret, CDC_TEXT, label) : CDC_FULL;
}

MYS_PARSER(mys_parse_set)
{
    uint64_t val = mys_read_le(rd, field->meta >> 8);
    size_t len = 0, n = 0;
    if (rd->failed)
        return CDC_FAIL;
    if (val && field->n_labels < 64 && val >> field->n_labels)
        return put_number(val, field->n_labels ? CDC_INVALID : CDC_TEXT, arena, ret);
    for (unsigned i = 0; i < field->n_labels; i++)
        len += val >> i & 1 ? field->labels[i].len + 1 : 0;
    uint8_t *to = cdc_arena_alloc(arena, len + 1);
    if (!to)
        return CDC_FULL;
    for (unsigned i = 0; i < field->n_labels; i++) {
        if (!(val >> i & 1))
            continue;
        if (n)
            to[n++] = ',';
        memcpy(to + n, field->labels[i].p, field->labels[i].len);
        n += field->labels[i].len;
    }
    return put(ret, CDC_TEXT, cdc_slice_of(to, n));
}

/* rc: of what printed into the buffer, which is emptied. */
static int put_json(int rc, struct cdc_buf *buf, struct cdc_arena *arena, struct cdc_value *ret)
{
    if (rc == CDC_OK)
        rc = buf->failed ? CDC_FULL : copy(arena, CDC_JSON, buf->p, buf->len, ret);
    cdc_buf_done(buf);
    return rc;
}

MYS_PARSER(mys_parse_json)
{
    struct cdc_slice doc = read_prefixed(field, rd);
    struct cdc_buf buf = CDC_BUF(field->max);
    return put_json(rd->failed ? CDC_FAIL : mys_json_print(doc, &buf), &buf, arena, ret);
}

int mys_put_json_diff(const struct mys_field *field, struct cdc_slice doc, struct cdc_slice diffs,
                      struct cdc_arena *arena, struct cdc_value *ret)
{
    struct cdc_buf buf = CDC_BUF(field->max);
    return put_json(mys_json_diff(doc, diffs, &buf), &buf, arena, ret);
}

MYS_PARSER(mys_parse_vector)
{
    struct cdc_slice bytes = read_prefixed(field, rd);
    if (rd->failed || bytes.len % 4)
        return CDC_FAIL;
    size_t n = bytes.len / 4;
    struct cdc_value *items = cdc_arena_alloc(arena, n * sizeof *items + 1);
    if (!items)
        return CDC_FULL;
    struct cdc_reader in = cdc_reader_of(bytes.p, bytes.len);
    for (size_t i = 0; i < n; i++)
        (void)mys_parse_float(field, &in, arena, &items[i]);
    *ret = (struct cdc_value){.kind = CDC_ARRAY, .len = (uint32_t)n, .items = items};
    return CDC_OK;
}
