/*
 * snap_binary.c - rows of COPY ... (FORMAT binary) -> the values that the stream's text would give.
 *
 *   header   "PGCOPY\n\377\r\n\0", flags 4, length 4, that many bytes
 *   row      fields 2, each {length 4 (-1: NULL), bytes}; big endian
 *   end      -1 in place of the number of fields
 *
 * Binary, because the server makes it faster than text, and nothing has to be unescaped. Fields of
 * the types below are decoded here; any other column is sent by the query as its own text in a
 * field of type text, and goes through the parsers of types.c. What is decoded here must come out
 * exactly as there: a NaN is one NaN; what the kind cannot hold is INVALID with the text that the
 * server would print (dates and times outside the years 1 to 9999, infinities).
 *
 *   date       days since 2000-01-01; the extremes are the infinities
 *   time       microseconds; timestamps: microseconds since 2000-01-01, extremes as above
 *   numeric    n digits, weight, sign, scale, 2 bytes each; digits of base 10000: d * 10000^weight
 */
#include "snap.h"

#include "cdc/calendar.h"
#include "cdc/decimal.h"
#include "cdc/reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 u128;

#define DAY_US      INT64_C(86400000000)
#define STAMP_FIRST INT64_C(-211813488000000000) /* what the server's own arithmetic holds */
#define STAMP_END   INT64_C(9223371331200000000)
#define EPOCH_DAYS  10957     /* 2000-01-01 since 1970-01-01 */
#define YEAR_1      (-719162) /* 0001-01-01 since 1970-01-01 */
#define YEAR_10000  2932897   /* 10000-01-01 */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Big endian; the usual ones are one or two loads. */
static uint64_t number(struct cdc_slice field)
{
    uint64_t val = 0;
    if (field.len == 4)
        return be32(field.p);
    if (field.len == 8)
        return (uint64_t)be32(field.p) << 32 | be32(field.p + 4);
    for (size_t i = 0; i < field.len; i++)
        val = val << 8 | field.p[i];
    return val;
}

static int bytes_as(enum cdc_kind kind, struct cdc_slice field, struct cdc_value *ret)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind, .len = (uint32_t)field.len, .p = field.p};
    return CDC_OK;
}

static int read_text(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                     struct cdc_value *ret)
{
    (void)mem;
    return bytes_as(col->kind, field, ret);
}

static int read_jsonb(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                      struct cdc_value *ret)
{
    (void)mem;
    if (field.len < 1 || field.p[0] != 1) /* the version of the format */
        return CDC_FAIL;
    return bytes_as(col->kind, cdc_slice_of(field.p + 1, field.len - 1), ret);
}

static int read_bool(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                     struct cdc_value *ret)
{
    (void)col, (void)mem;
    if (field.len != 1 || field.p[0] > 1)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_BOOL, .i = field.p[0]};
    return CDC_OK;
}

static int read_int(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                    struct cdc_value *ret)
{
    (void)mem;
    uint64_t val = number(field);
    if (col->bits == 64 ? field.len != 8 : field.len != 2 && field.len != 4)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_INT,
                              .i = field.len == 2   ? (int16_t)val
                                   : field.len == 4 ? (int32_t)val
                                                    : (int64_t)val};
    return CDC_OK;
}

static int read_oid(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                    struct cdc_value *ret)
{
    (void)col, (void)mem;
    if (field.len != 4)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_INT, .i = (int64_t)number(field)};
    return CDC_OK;
}

static int read_float(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                      struct cdc_value *ret)
{
    (void)mem;
    uint64_t bits = number(field);
    uint32_t low = (uint32_t)bits;
    float single;
    double val;
    if (field.len != col->bits / 8u)
        return CDC_FAIL;
    memcpy(&single, &low, sizeof single);
    memcpy(&val, &bits, sizeof val);
    if (col->bits == 32)
        val = (double)single;
    *ret = (struct cdc_value){.kind = CDC_FLOAT, .f = isnan(val) ? (double)NAN : val};
    return CDC_OK;
}

static int invalid(const char *text, struct cdc_value *ret)
{
    *ret = (struct cdc_value){
        .kind = CDC_INVALID, .len = (uint32_t)strlen(text), .p = (const uint8_t *)text};
    return CDC_OK;
}

/* A date of any year as the server prints it, without BC behind. True: BC. */
static bool print_date(int64_t days, char ret[72])
{
    struct cdc_date date = cdc_date_of(days);
    snprintf(ret, 72, "%04" PRId64 "-%02u-%02u", date.year > 0 ? date.year : 1 - date.year,
             date.month, date.day);
    return date.year <= 0;
}

/* " HH:MM:SS[.ffffff]", without noughts at the end of the fraction. */
static void print_time(int64_t us, char ret[72])
{
    int64_t sec = us / 1000000;
    int n = snprintf(ret, 72, " %02" PRId64 ":%02" PRId64 ":%02" PRId64, sec / 3600, sec / 60 % 60,
                     sec % 60);
    if (us % 1000000 == 0)
        return;
    n += snprintf(ret + n, (size_t)(72 - n), ".%06" PRId64, us % 1000000);
    while (ret[n - 1] == '0')
        ret[--n] = 0;
}

/* us < 0: a date alone. */
static int odd_date(int64_t days, int64_t us, bool zone, struct pgs_memory *mem,
                    struct cdc_value *ret)
{
    char date[72], time[72] = "";
    bool before_christ = print_date(days, date);
    if (us >= 0)
        print_time(us, time);
    char *text = pgs_memory_take(mem, sizeof date + sizeof time + 8);
    if (!text)
        return CDC_FULL;
    snprintf(text, sizeof date + sizeof time + 8, "%s%s%s%s", date, time, zone ? "+00" : "",
             before_christ ? " BC" : "");
    return invalid(text, ret);
}

static int read_date(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                     struct cdc_value *ret)
{
    int32_t days = (int32_t)number(field);
    (void)col;
    if (field.len != 4)
        return CDC_FAIL;
    if (days == INT32_MAX || days == INT32_MIN)
        return invalid(days > 0 ? "infinity" : "-infinity", ret);
    int64_t val = (int64_t)days + EPOCH_DAYS;
    if (val < YEAR_1 || val >= YEAR_10000)
        return odd_date(val, -1, false, mem, ret);
    *ret = (struct cdc_value){.kind = CDC_DATE, .i = val};
    return CDC_OK;
}

static int read_time(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                     struct cdc_value *ret)
{
    int64_t us = (int64_t)number(field);
    (void)col, (void)mem;
    if (field.len != 8 || us < 0 || us > DAY_US)
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_TIME, .i = us};
    return CDC_OK;
}

static int read_stamp(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                      struct cdc_value *ret)
{
    int64_t val = (int64_t)number(field);
    if (field.len != 8)
        return CDC_FAIL;
    if (val == INT64_MAX || val == INT64_MIN)
        return invalid(val > 0 ? "infinity" : "-infinity", ret);
    if (val < STAMP_FIRST || val >= STAMP_END)
        return CDC_FAIL;
    int64_t days = val / DAY_US - (val % DAY_US < 0);
    int64_t us = val - days * DAY_US;
    days += EPOCH_DAYS;
    if (days < YEAR_1 || days >= YEAR_10000)
        return odd_date(days, us, col->kind == CDC_TIMESTAMPTZ, mem, ret);
    *ret = (struct cdc_value){.kind = (uint8_t)col->kind, .i = days * DAY_US + us};
    return CDC_OK;
}

static int read_uuid(const struct cdc_column *col, struct cdc_slice field, struct pgs_memory *mem,
                     struct cdc_value *ret)
{
    static const char hex[] = "0123456789abcdef";
    (void)col;
    if (field.len != 16)
        return CDC_FAIL;
    uint8_t *text = pgs_memory_take(mem, 36), *to = text;
    if (!text)
        return CDC_FULL;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = (uint8_t)hex[field.p[i] >> 4];
        *to++ = (uint8_t)hex[field.p[i] & 15];
    }
    return bytes_as(CDC_UUID, cdc_slice_of(text, 36), ret);
}

static const uint64_t powers[] = {1,
                                  10,
                                  100,
                                  1000,
                                  10000,
                                  100000,
                                  1000000,
                                  10000000,
                                  100000000,
                                  1000000000,
                                  10000000000,
                                  100000000000,
                                  1000000000000,
                                  10000000000000,
                                  100000000000000,
                                  1000000000000000,
                                  10000000000000000,
                                  100000000000000000,
                                  1000000000000000000};

static u128 power10(int n)
{
    return n > 18 ? (u128)powers[18] * power10(n - 18) : powers[n];
}

/*
 * The digits times 10^scale, below 10^precision. `behind`: decimal places of the last digit of base
 * 10000 beyond the scale, 3 at most (negative: before it); they are noughts, but with them 38
 * digits might not fit 128 bits.
 */
static bool unscaled(struct cdc_reader *rd, int n, int behind, u128 *ret)
{
    uint64_t low = 0; /* up to four digits, moved into val when full: 128 bits are slow */
    u128 val = 0;
    for (int i = 0; i < n; i++) {
        unsigned digit = cdc_read_be16(rd), places = 4;
        if (digit > 9999)
            return false;
        if (i == n - 1 && behind > 0 && behind < 4) {
            unsigned unit = (unsigned)powers[behind];
            places -= (unsigned)behind;
            if (digit % unit != 0)
                return false;
            digit /= unit;
        }
        if (i > 0 && i % 4 == 0) {
            val = val * powers[16] + low;
            low = 0;
        }
        low = low * powers[places] + digit;
        if (i == n - 1)
            val = i < 4 ? low : val * power10(i % 4 * 4 + (int)places) + low;
    }
    if (behind < -38 || (behind < 0 && val > power10(38) / power10(-behind)))
        return false;
    *ret = behind < 0 ? val * power10(-behind) : val;
    return true;
}

static int read_numeric(const struct cdc_column *col, struct cdc_slice field,
                        struct pgs_memory *mem, struct cdc_value *ret)
{
    struct cdc_reader rd = cdc_reader_of(field.p, field.len);
    int n = cdc_read_be16(&rd), weight = (int16_t)cdc_read_be16(&rd);
    unsigned sign = cdc_read_be16(&rd), scale = cdc_read_be16(&rd);
    u128 val = 0;
    if (rd.failed || field.len != 8 + 2 * (size_t)n || n > 11)
        return CDC_FAIL;
    if (sign == 0xc000 || sign == 0xd000 || sign == 0xf000)
        return invalid(sign == 0xc000 ? "NaN" : sign == 0xd000 ? "Infinity" : "-Infinity", ret);
    int behind = -(4 * (weight - n + 1) + col->scale);
    if ((sign != 0 && sign != 0x4000) || scale != (unsigned)col->scale)
        return CDC_FAIL;
    if (n > 0 && (behind > 3 || !unscaled(&rd, n, behind, &val) || val >= power10(col->precision)))
        return CDC_FAIL;
    uint8_t *to = pgs_memory_take(mem, 16);
    if (!to)
        return CDC_FULL;
    *ret = (struct cdc_value){.kind = CDC_DECIMAL, .aux = col->scale, .p = to};
    ret->len = (uint32_t)cdc_decimal_put(sign ? -(cdc_int128)val : (cdc_int128)val, to);
    return CDC_OK;
}

pgs_binary pgs_binary_of(const struct cdc_column *col)
{
    static const struct {
        uint32_t oid;
        enum cdc_kind kind;
        pgs_binary read;
    } types[] = {
        {16, CDC_BOOL, read_bool},         {17, CDC_BYTES, read_text},
        {19, CDC_TEXT, read_text},         {20, CDC_INT, read_int},
        {21, CDC_INT, read_int},           {23, CDC_INT, read_int},
        {25, CDC_TEXT, read_text},         {26, CDC_INT, read_oid},
        {28, CDC_INT, read_oid},           {114, CDC_JSON, read_text},
        {700, CDC_FLOAT, read_float},      {701, CDC_FLOAT, read_float},
        {1042, CDC_TEXT, read_text},       {1043, CDC_TEXT, read_text},
        {1082, CDC_DATE, read_date},       {1083, CDC_TIME, read_time},
        {1114, CDC_TIMESTAMP, read_stamp}, {1184, CDC_TIMESTAMPTZ, read_stamp},
        {1700, CDC_DECIMAL, read_numeric}, {2950, CDC_UUID, read_uuid},
        {3802, CDC_JSON, read_jsonb},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].oid == col->type_id && types[i].kind == col->kind)
            return types[i].read;
    return NULL;
}

size_t pgs_copy_header(struct cdc_slice bytes)
{
    static const char signature[11] = "PGCOPY\n\377\r\n"; /* with its NUL */
    if (bytes.len < 19 || memcmp(bytes.p, signature, sizeof signature) != 0)
        return 0;
    uint64_t flags = number(cdc_slice_of(bytes.p + 11, 4));
    uint64_t more = number(cdc_slice_of(bytes.p + 15, 4));
    return flags == 0 && more <= bytes.len - 19 ? 19 + (size_t)more : 0;
}

static int read_field(const struct pgs_copy *copy, uint16_t i, struct cdc_slice field,
                      struct pgs_memory *mem, struct cdc_value *ret)
{
    const struct cdc_column *col = &copy->tab->cols[i];
    uint8_t *text = (uint8_t *)(uintptr_t)field.p; /* of a row, which we may write over */
    if (copy->binary[i])
        return copy->binary[i](col, field, mem, ret);
    return copy->parse[i] ? copy->parse[i](col, text, field.len, ret)
                          : pgs_unpack(col, mem, text, field.len, ret);
}

int pgs_copy_row(const struct pgs_copy *copy, uint8_t *bytes, size_t len, struct pgs_memory *mem,
                 struct cdc_value *ret, uint16_t *ret_col)
{
    uint16_t n = copy->tab->n, i = 0;
    const uint8_t *p = bytes + 2, *end = bytes + len;
    uint16_t fields = len < 2 ? 0 : (uint16_t)number(cdc_slice_of(bytes, 2));
    *ret_col = n;
    if (len == 2 && fields == UINT16_MAX)
        return CDC_END;
    if (len < 2 || fields != n)
        return CDC_FAIL;
    for (; i < n; i++) {
        if (end - p < 4)
            return CDC_FAIL;
        uint32_t size = be32(p);
        p += 4;
        ret[i] = (struct cdc_value){.kind = CDC_NULL};
        if (size == UINT32_MAX)
            continue;
        if (size > (size_t)(end - p))
            return CDC_FAIL;
        int rc = read_field(copy, i, cdc_slice_of(p, size), mem, &ret[i]);
        if (rc != CDC_OK) {
            *ret_col = i;
            return rc;
        }
        p += size;
    }
    return p == end ? CDC_OK : CDC_FAIL;
}
