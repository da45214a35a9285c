/*
 * test_base_calendar.c - days and dates, both ways; decimals as the shortest two's complement.
 */
#include <string.h>

#include "cdc/calendar.h"
#include "cdc/decimal.h"
#include "rows.h"

static const struct day {
    const char *name; /* the date */
    int64_t days;
    int64_t year;
    int month, day;
} days[] = {
    {"1970-01-01", 0, 1970, 1, 1},
    {"1969-12-31", -1, 1969, 12, 31},
    {"2000-02-29", 11016, 2000, 2, 29},
    {"2000-03-01", 11017, 2000, 3, 1},
    {"1900-02-28", -25509, 1900, 2, 28},
    {"1900-03-01", -25508, 1900, 3, 1},
    {"0001-01-01", -719162, 1, 1, 1},
    {"9999-12-31", 2932896, 9999, 12, 31},
    {"0000-12-31", -719163, 0, 12, 31},
    {"0000-03-01", -719468, 0, 3, 1},
    {"0000-02-29", -719469, 0, 2, 29},
    {"-0001-12-31", -719529, -1, 12, 31},
    {"294247-01-10", 106751991, 294247, 1, 10},
};

static void test_day(void **state)
{
    const struct day *row = *state;
    struct cdc_date date = cdc_date_of(row->days);
    assert_int_equal(date.year, row->year);
    assert_int_equal(date.month, row->month);
    assert_int_equal(date.day, row->day);
    if (row->year > 0)
        assert_int_equal(cdc_date_days((int)row->year, row->month, row->day), row->days);
}

/* Every day of the years 1 to 9999, one behind the other. */
static void test_every_day(void **state)
{
    int64_t next = -719162;
    (void)state;
    for (int year = 1; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= cdc_month_days(year, month); day++, next++) {
                struct cdc_date date = cdc_date_of(next);
                if (cdc_date_days(year, month, day) != next || date.year != year ||
                    date.month != month || date.day != day)
                    fail_msg("%04d-%02d-%02d", year, month, day);
            }
    assert_int_equal(next, 2932897);
}

static const struct number {
    const char *name;
    int64_t high; /* times 2^64 */
    uint64_t low;
    const char *bytes;
    size_t len;
} numbers[] = {
    {"0", 0, 0, "\0", 1},
    {"127", 0, 127, "\x7f", 1},
    {"128", 0, 128, "\0\x80", 2},
    {"-1", -1, UINT64_MAX, "\xff", 1},
    {"-128", -1, (uint64_t)-128, "\x80", 1},
    {"-129", -1, (uint64_t)-129, "\xff\x7f", 2},
    {"the largest of 64 bits", 0, INT64_MAX, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8},
    {"the smallest of 64 bits", -1, (uint64_t)INT64_MIN, "\x80\0\0\0\0\0\0\0", 8},
    {"one above", 0, (uint64_t)INT64_MAX + 1, "\0\x80\0\0\0\0\0\0\0", 9},
    {"one below", -1, (uint64_t)INT64_MAX, "\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
    {"2^64 - 1", 0, UINT64_MAX, "\0\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    {"10^38 - 1", 0x4b3b4ca85a86c47a, 0x098a223fffffffff,
     "\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 16},
    {"the smallest of all", INT64_MIN, 0, "\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
};

static void test_number(void **state)
{
    const struct number *row = *state;
    uint8_t to[17];
    memset(to, 0xaa, sizeof to);
    cdc_int128 val = (cdc_int128)row->high * ((cdc_int128)1 << 64) + row->low;
    assert_int_equal(cdc_decimal_put(val, to), row->len);
    assert_memory_equal(to, row->bytes, row->len);
    assert_int_equal(to[row->len], 0xaa); /* what stands behind may be another value */
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(days) + CM_COUNT(numbers) + 1], *to = tests;
    to = CM_ROWS(to, test_day, days);
    to = CM_ROWS(to, test_number, numbers);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_every_day);
    return cmocka_run_group_tests_name("base: calendar", tests, NULL, NULL);
}
