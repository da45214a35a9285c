/*
 * avro_cells.h - one column for each Avro type, each with values at its boundaries and how an
 * independent reader must show them. For unit tests (round trip) and tests/compat (other readers).
 *
 * `expect` is written by hand, in the form tests/compat/avro_types.py gives to Python's values.
 */
#ifndef TESTS_AVRO_CELLS_H
#define TESTS_AVRO_CELLS_H

#include "cdc/plan.h"

#define CELLS 6

struct cell {
    struct cdc_value val; /* all zero: NULL */
    const char *expect;   /* NULL: "null" */
};

struct cell_column {
    struct cdc_column col;
    struct cell cells[CELLS]; /* one for each row */
};

/* clang-format off */
#define V_INT(k, n)  {.kind = (k), .i = (n)}
#define V_FLOAT(n)   {.kind = CDC_FLOAT, .f = (n)}
#define V_STR(k, s)  {.kind = (k), .len = sizeof(s) - 1, .p = (const uint8_t *)(s)}
#define V_DEC(s, sc) {.kind = CDC_DECIMAL, .aux = (sc), .len = sizeof(s) - 1, .p = (const uint8_t *)(s)}
#define V_ARR(a)     {.kind = CDC_ARRAY, .len = sizeof(a) / sizeof *(a), .items = (a)}
#define COL(nm, ty, kd, ...) {.name = (nm), .type = (ty), .kind = (kd), .nullable = true, .type_mod = -1, __VA_ARGS__}

static const struct cdc_value cells_ints[] = {V_INT(CDC_INT, 1), {.kind = CDC_NULL}, V_INT(CDC_INT, -2147483648LL)};
static const struct cdc_value cells_texts[] = {V_STR(CDC_TEXT, "a"), V_STR(CDC_TEXT, ""), {.kind = CDC_NULL}};
static const struct cdc_value cells_decs[] = {V_DEC("\x01\x00", 1), {.kind = CDC_NULL}, V_DEC("\xff", 1)};
static const struct cdc_value cells_bools[] = {V_INT(CDC_BOOL, 1), {.kind = CDC_NULL}, V_INT(CDC_BOOL, 0)};
static const struct cdc_value cells_longs[] = {V_INT(CDC_INT, INT64_MAX), {.kind = CDC_NULL}, V_INT(CDC_INT, INT64_MIN)};
static const struct cdc_value cells_reals[] = {V_FLOAT(1.5), {.kind = CDC_NULL}, V_FLOAT(__builtin_nan("")), V_FLOAT(3.4028234663852886e38)};
static const struct cdc_value cells_doubles[] = {V_FLOAT(0.1), {.kind = CDC_NULL}, V_FLOAT(-__builtin_inf()), V_FLOAT(5e-324)};
static const struct cdc_value cells_hugs[] = {
    V_DEC("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 38), {.kind = CDC_NULL}, V_DEC("\xff", 38)};
static const struct cdc_value cells_raws[] = {V_STR(CDC_BYTES, "\x00\xff"), {.kind = CDC_NULL}, V_STR(CDC_BYTES, "")};
static const struct cdc_value cells_dates[] = {V_INT(CDC_DATE, -719162), {.kind = CDC_NULL}, V_INT(CDC_DATE, 2932896)};
static const struct cdc_value cells_times[] = {V_INT(CDC_TIME, 0), {.kind = CDC_NULL}, V_INT(CDC_TIME, 86399999999)};
static const struct cdc_value cells_zoned[] = {
    V_INT(CDC_TIMESTAMPTZ, -62135596800000000), {.kind = CDC_NULL}, V_INT(CDC_TIMESTAMPTZ, 253402300799999999)};
static const struct cdc_value cells_uuids[] = {V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000000"), {.kind = CDC_NULL}};
static const struct cdc_value cells_docs[] = {V_STR(CDC_JSON, "null"), {.kind = CDC_NULL}, V_STR(CDC_JSON, "[1]")};
static const struct cdc_value cells_days[] = {V_INT(CDC_TIMESTAMP, 1), {.kind = CDC_NULL}, V_INT(CDC_TIMESTAMP, -1)};
static const struct cdc_value cells_empty[1] = {{.kind = CDC_NULL}};

static const struct cell_column cell_columns[] = {
    {COL("id", "integer", CDC_INT, .bits = 32, .key = 1), {
        {V_INT(CDC_INT, 0), "0"}, {V_INT(CDC_INT, INT32_MAX), "2147483647"}, {V_INT(CDC_INT, INT32_MIN), "-2147483648"},
        {V_INT(CDC_INT, 63), "63"}, {V_INT(CDC_INT, -65), "-65"}, {V_INT(CDC_INT, 64), "64"}}},
    {COL("b", "boolean", CDC_BOOL, .bits = 0), {{V_INT(CDC_BOOL, 1), "true"}, {V_INT(CDC_BOOL, 0), "false"}}},
    {COL("big", "bigint", CDC_INT, .bits = 64), {
        {V_INT(CDC_INT, INT64_MAX), "9223372036854775807"}, {V_INT(CDC_INT, INT64_MIN), "-9223372036854775808"},
        {V_INT(CDC_INT, 0), "0"}, {V_INT(CDC_INT, -1), "-1"}}},
    {COL("f4", "real", CDC_FLOAT, .bits = 32), {
        {V_FLOAT(1.5), "1.5"}, {V_FLOAT(3.4028234663852886e38), "3.4028234663852886e+38"}, {V_FLOAT(-0.0), "-0.0"},
        {V_FLOAT(__builtin_nan("")), "nan"}, {V_FLOAT(-__builtin_inf()), "-inf"}}},
    {COL("f8", "double precision", CDC_FLOAT, .bits = 64), {
        {V_FLOAT(0.1), "0.1"}, {V_FLOAT(1.7976931348623157e308), "1.7976931348623157e+308"}, {V_FLOAT(5e-324), "5e-324"},
        {V_FLOAT(__builtin_nan("")), "nan"}, {V_FLOAT(__builtin_inf()), "inf"}}},
    {COL("price", "numeric(12,2)", CDC_DECIMAL, .precision = 12, .scale = 2), {
        {V_DEC("\x00", 2), "0.00"}, {V_DEC("\xff", 2), "-0.01"}, {V_DEC("\x00\xe8\xd4\xa5\x0f\xff", 2), "9999999999.99"},
        {V_DEC("\xff\x17\x2b\x5a\xf0\x01", 2), "-9999999999.99"}, {V_DEC("\x00\x00\x00\x00\x00\x00\x7f", 2), "1.27"}}},
    {COL("huge", "numeric(38,0)", CDC_DECIMAL, .precision = 38), {
        {V_DEC("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 0), "99999999999999999999999999999999999999"},
        {V_DEC("\xb4\xc4\xb3\x57\xa5\x79\x3b\x85\xf6\x75\xdd\xc0\x00\x00\x00\x01", 0), "-99999999999999999999999999999999999999"},
        {V_DEC("\x01", 0), "1"}}},
    {COL("frac", "numeric(3,3)", CDC_DECIMAL, .precision = 3, .scale = 3), {
        {V_DEC("\x03\xe7", 3), "0.999"}, {V_DEC("\xfc\x19", 3), "-0.999"}, {V_DEC("\x01", 3), "0.001"}}},
    {COL("t", "text", CDC_TEXT, .bits = 0), {
        {V_STR(CDC_TEXT, ""), ""}, {V_STR(CDC_TEXT, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"), "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {V_STR(CDC_TEXT, "a\nb\"c\\"), "a\nb\"c\\"}, {V_STR(CDC_TEXT, "null"), "null"}}},
    {COL("by", "bytea", CDC_BYTES, .bits = 0), {
        {V_STR(CDC_BYTES, ""), ""}, {V_STR(CDC_BYTES, "\x00\xff\x7f\x80"), "00ff7f80"}}},
    {COL("d", "date", CDC_DATE, .bits = 0), {
        {V_INT(CDC_DATE, 0), "1970-01-01"}, {V_INT(CDC_DATE, -719162), "0001-01-01"}, {V_INT(CDC_DATE, 2932896), "9999-12-31"},
        {V_INT(CDC_DATE, -1), "1969-12-31"}, {V_INT(CDC_DATE, 11016), "2000-02-29"}}},
    {COL("ti", "time without time zone", CDC_TIME, .bits = 0), {
        {V_INT(CDC_TIME, 0), "00:00:00.000000"}, {V_INT(CDC_TIME, 86399999999), "23:59:59.999999"}, {V_INT(CDC_TIME, 3723000004), "01:02:03.000004"}}},
    {COL("ts", "timestamp without time zone", CDC_TIMESTAMP, .bits = 0), {
        {V_INT(CDC_TIMESTAMP, 0), "1970-01-01T00:00:00.000000"}, {V_INT(CDC_TIMESTAMP, -1), "1969-12-31T23:59:59.999999"},
        {V_INT(CDC_TIMESTAMP, -62135596800000000), "0001-01-01T00:00:00.000000"}, {V_INT(CDC_TIMESTAMP, 253402300799999999), "9999-12-31T23:59:59.999999"}}},
    {COL("tz", "timestamp with time zone", CDC_TIMESTAMPTZ, .bits = 0), {
        {V_INT(CDC_TIMESTAMPTZ, 1700000000123456), "2023-11-14T22:13:20.123456"},
        {V_INT(CDC_TIMESTAMPTZ, -62135596800000000), "0001-01-01T00:00:00.000000"}, {V_INT(CDC_TIMESTAMPTZ, 253402300799999999), "9999-12-31T23:59:59.999999"}}},
    {COL("u", "uuid", CDC_UUID, .bits = 0), {
        {V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000000"), "00000000-0000-0000-0000-000000000000"},
        {V_STR(CDC_UUID, "ffffffff-ffff-4fff-bfff-ffffffffffff"), "ffffffff-ffff-4fff-bfff-ffffffffffff"}}},
    {COL("j", "jsonb", CDC_JSON, .bits = 0), {
        {V_STR(CDC_JSON, "{\"a\": [1, null, 1e400]}"), "{\"a\": [1, null, 1e400]}"}, {V_STR(CDC_JSON, "null"), "null"}}},
    {COL("ai", "integer[]", CDC_ARRAY, .item = CDC_INT, .bits = 32), {
        {V_ARR(cells_ints), "[1,null,-2147483648]"}, {{.kind = CDC_ARRAY, .items = cells_empty}, "[]"}}},
    {COL("at", "text[]", CDC_ARRAY, .item = CDC_TEXT), {{V_ARR(cells_texts), "[a,,null]"}, {V_ARR(cells_empty), "[null]"}}},
    {COL("an", "numeric(4,1)[]", CDC_ARRAY, .item = CDC_DECIMAL, .precision = 4, .scale = 1), {{V_ARR(cells_decs), "[25.6,null,-0.1]"}}},
    {COL("as", "timestamp without time zone[]", CDC_ARRAY, .item = CDC_TIMESTAMP), {
        {V_ARR(cells_days), "[1970-01-01T00:00:00.000001,null,1969-12-31T23:59:59.999999]"}}},
    {COL("ab", "boolean[]", CDC_ARRAY, .item = CDC_BOOL), {{V_ARR(cells_bools), "[true,null,false]"}, {V_ARR(cells_empty), "[null]"}}},
    {COL("al", "bigint[]", CDC_ARRAY, .item = CDC_INT, .bits = 64), {{V_ARR(cells_longs), "[9223372036854775807,null,-9223372036854775808]"}}},
    {COL("a4", "real[]", CDC_ARRAY, .item = CDC_FLOAT, .bits = 32), {{V_ARR(cells_reals), "[1.5,null,nan,3.4028234663852886e+38]"}}},
    {COL("a8", "double precision[]", CDC_ARRAY, .item = CDC_FLOAT, .bits = 64), {{V_ARR(cells_doubles), "[0.1,null,-inf,5e-324]"}}},
    {COL("ah", "numeric(38,38)[]", CDC_ARRAY, .item = CDC_DECIMAL, .precision = 38, .scale = 38), {
        {V_ARR(cells_hugs), "[0.99999999999999999999999999999999999999,null,-0.00000000000000000000000000000000000001]"}}},
    {COL("ay", "bytea[]", CDC_ARRAY, .item = CDC_BYTES), {{V_ARR(cells_raws), "[00ff,null,]"}}},
    {COL("ad", "date[]", CDC_ARRAY, .item = CDC_DATE), {{V_ARR(cells_dates), "[0001-01-01,null,9999-12-31]"}}},
    {COL("am", "time without time zone[]", CDC_ARRAY, .item = CDC_TIME), {{V_ARR(cells_times), "[00:00:00.000000,null,23:59:59.999999]"}}},
    {COL("az", "timestamp with time zone[]", CDC_ARRAY, .item = CDC_TIMESTAMPTZ), {
        {V_ARR(cells_zoned), "[0001-01-01T00:00:00.000000,null,9999-12-31T23:59:59.999999]"}}},
    {COL("au", "uuid[]", CDC_ARRAY, .item = CDC_UUID), {{V_ARR(cells_uuids), "[00000000-0000-0000-0000-000000000000,null]"}}},
    {COL("aj", "jsonb[]", CDC_ARRAY, .item = CDC_JSON), {{V_ARR(cells_docs), "[null,null,[1]]"}, {{.kind = CDC_ARRAY, .items = cells_empty}, "[]"}}},
};
/* clang-format on */

#define N_CELL_COLUMNS (sizeof cell_columns / sizeof *cell_columns)

static inline struct cdc_table *cells_table(void)
{
    struct cdc_column cols[N_CELL_COLUMNS];
    for (size_t i = 0; i < N_CELL_COLUMNS; i++)
        cols[i] = cell_columns[i].col;
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "public",
                                  .name = "cells",
                                  .version = 1,
                                  .n = N_CELL_COLUMNS,
                                  .cols = cols};
    struct cdc_table *tab = NULL;
    return cdc_table_new(&spec, &tab, NULL) == CDC_OK ? tab : NULL;
}

static inline void cells_row(size_t row, struct cdc_value *ret)
{
    for (size_t i = 0; i < N_CELL_COLUMNS; i++)
        ret[i] = cell_columns[i].cells[row].val;
}

/* Equal as values; decimals may have been widened by sign bytes. */
static inline bool cells_equal(const struct cdc_value *a, const struct cdc_value *b)
{
    if (a->kind == CDC_ARRAY && b->kind == CDC_ARRAY && a->len == b->len) {
        for (uint32_t i = 0; i < a->len; i++)
            if (!cells_equal(&a->items[i], &b->items[i]))
                return false;
        return true;
    }
    if (a->kind != CDC_DECIMAL || b->kind != CDC_DECIMAL || a->aux != b->aux)
        return cdc_value_eq(a, b);
    for (size_t i = 1; i <= 16; i++) {
        uint8_t x = i <= a->len ? a->p[a->len - i] : a->p[0] & 0x80 ? 0xff : 0;
        uint8_t y = i <= b->len ? b->p[b->len - i] : b->p[0] & 0x80 ? 0xff : 0;
        if (x != y)
            return false;
    }
    return true;
}

#endif
