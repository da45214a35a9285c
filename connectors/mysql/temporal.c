/* temporal.c - see temporal.h. */
#include "temporal.h"

#include <stdio.h>

#include "cdc/calendar.h"
#include "decode.h"

#define DAY_US INT64_C(86400000000)

static uint32_t read_be24(struct cdc_reader *rd)
{
    const uint8_t *p = cdc_read_raw(rd, 3);
    return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

/* The fraction's bytes: two digits each, as many as fsp needs. */
static uint32_t read_part(struct cdc_reader *rd, unsigned fsp)
{
    switch ((fsp + 1) / 2) {
    case 0: return 0;
    case 1: return cdc_read_u8(rd);
    case 2: return cdc_read_be16(rd);
    default: return read_be24(rd);
    }
}

/* What one of it is in microseconds. */
static uint32_t part_us(unsigned fsp)
{
    static const uint32_t scale[] = {0, 10000, 100, 1};
    return scale[(fsp + 1) / 2];
}

static uint32_t read_fraction(struct cdc_reader *rd, unsigned fsp)
{
    uint32_t us = read_part(rd, fsp) * part_us(fsp);
    rd->failed |= us > 999999;
    return us;
}

static void set_hms(uint32_t hms, struct mys_time *ret)
{
    ret->hour = (uint16_t)(hms >> 12);
    ret->min = hms >> 6 & 63;
    ret->sec = hms & 63;
}

static void check(struct cdc_reader *rd, const struct mys_time *t)
{
    rd->failed |= t->year > 9999 || t->month > 12 || t->day > 31 || t->hour > 838 || t->min > 59 ||
                  t->sec > 59 || t->us > 999999;
}

void mys_read_date(struct cdc_reader *rd, struct mys_time *ret)
{
    uint32_t val = (uint32_t)mys_read_le(rd, 3);
    *ret = (struct mys_time){.day = val & 31, .month = val >> 5 & 15, .year = (uint16_t)(val >> 9)};
    check(rd, ret);
}

/* A negative number borrows its fraction from the integer part: taken together they are one. */
void mys_read_time2(struct cdc_reader *rd, unsigned fsp, struct mys_time *ret)
{
    unsigned n = (fsp + 1) / 2;
    uint64_t whole = read_be24(rd), both = whole << (8 * n) | read_part(rd, fsp);
    int64_t val = (int64_t)both - (INT64_C(1) << (23 + 8 * n));
    uint64_t size = (uint64_t)(val < 0 ? -val : val);
    *ret = (struct mys_time){.minus = val < 0};
    set_hms((uint32_t)(size >> (8 * n)), ret);
    ret->us = (uint32_t)(size & ((UINT64_C(1) << (8 * n)) - 1)) * part_us(fsp);
    check(rd, ret);
}

static void set_datetime(uint64_t val, struct mys_time *ret)
{
    uint32_t ymd = (uint32_t)(val >> 17), month = ymd >> 5;
    set_hms((uint32_t)(val & 0x1ffff), ret);
    ret->day = ymd & 31;
    ret->month = (uint8_t)(month % 13);
    ret->year = (uint16_t)(month / 13 > 9999 ? 10000 : month / 13);
}

void mys_read_datetime2(struct cdc_reader *rd, unsigned fsp, struct mys_time *ret)
{
    uint64_t high = cdc_read_be32(rd), val = high << 8 | cdc_read_u8(rd);
    *ret = (struct mys_time){0};
    rd->failed |= !(val >> 39); /* below year 0 */
    set_datetime(val & 0x7fffffffff, ret);
    ret->us = read_fraction(rd, fsp);
    rd->failed |= ret->hour > 23;
    check(rd, ret);
}

int64_t mys_read_timestamp2(struct cdc_reader *rd, unsigned fsp)
{
    int64_t sec = cdc_read_be32(rd);
    return sec * 1000000 + read_fraction(rd, fsp);
}

void mys_read_time_old(struct cdc_reader *rd, struct mys_time *ret)
{
    int32_t val = (int32_t)((uint32_t)mys_read_le(rd, 3) << 8) >> 8;
    uint32_t size = (uint32_t)(val < 0 ? -val : val);
    *ret = (struct mys_time){.minus = val < 0,
                             .hour = (uint16_t)(size / 10000),
                             .min = (uint8_t)(size / 100 % 100),
                             .sec = (uint8_t)(size % 100)};
    check(rd, ret);
}

void mys_read_datetime_old(struct cdc_reader *rd, struct mys_time *ret)
{
    uint64_t val = mys_read_le(rd, 8);
    rd->failed |= val > UINT64_C(99991231235959);
    uint32_t date = (uint32_t)(val / 1000000), time = (uint32_t)(val % 1000000);
    *ret = (struct mys_time){.year = (uint16_t)(date / 10000),
                             .month = (uint8_t)(date / 100 % 100),
                             .day = (uint8_t)(date % 100),
                             .hour = (uint16_t)(time / 10000),
                             .min = (uint8_t)(time / 100 % 100),
                             .sec = (uint8_t)(time % 100)};
    rd->failed |= ret->hour > 23;
    check(rd, ret);
}

void mys_read_datetime_packed(struct cdc_reader *rd, struct mys_time *ret)
{
    uint64_t val = mys_read_le(rd, 8);
    *ret = (struct mys_time){.us = val & 0xffffff};
    rd->failed |= val >> 63;
    set_datetime(val >> 24 & 0x7fffffffff, ret);
    check(rd, ret);
}

void mys_read_time_packed(struct cdc_reader *rd, struct mys_time *ret)
{
    int64_t val = (int64_t)mys_read_le(rd, 8);
    uint64_t size = val < 0 ? -(uint64_t)val : (uint64_t)val;
    *ret = (struct mys_time){.minus = val < 0, .us = size & 0xffffff};
    rd->failed |= size >> 24 > 0x3fffff;
    set_hms((uint32_t)(size >> 24 & 0x3fffff), ret);
    check(rd, ret);
}

bool mys_time_days(const struct mys_time *t, int64_t *ret)
{
    if (t->year < 1 || t->month < 1 || t->day < 1 ||
        (t->day > 28 && t->day > cdc_month_days(t->year, t->month)))
        return false;
    *ret = cdc_date_days(t->year, t->month, t->day);
    return true;
}

void mys_time_of(int64_t us, struct mys_time *ret)
{
    int64_t days = us / DAY_US - (us % DAY_US < 0), rest = us - days * DAY_US;
    struct cdc_date date = cdc_date_of(days);
    *ret = (struct mys_time){.year = (uint16_t)date.year,
                             .month = date.month,
                             .day = date.day,
                             .hour = (uint16_t)(rest / INT64_C(3600000000)),
                             .min = (uint8_t)(rest / 60000000 % 60),
                             .sec = (uint8_t)(rest / 1000000 % 60),
                             .us = (uint32_t)(rest % 1000000)};
}

int64_t mys_time_us(const struct mys_time *t)
{
    return ((t->hour * INT64_C(60) + t->min) * 60 + t->sec) * 1000000 + t->us;
}

static size_t print_fraction(const struct mys_time *t, unsigned fsp, char *ret)
{
    char text[8];
    if (fsp == 0) {
        *ret = 0;
        return 0;
    }
    snprintf(text, sizeof text, "%06u", (unsigned)(t->us % 1000000));
    return (size_t)snprintf(ret, 9, ".%.*s", (int)(fsp < 6 ? fsp : 6), text);
}

size_t mys_print_date(const struct mys_time *t, char ret[MYS_TIME_TEXT])
{
    return (size_t)snprintf(ret, MYS_TIME_TEXT, "%04u-%02u-%02u", t->year, t->month, t->day);
}

size_t mys_print_time(const struct mys_time *t, unsigned fsp, char ret[MYS_TIME_TEXT])
{
    size_t n = (size_t)snprintf(ret, MYS_TIME_TEXT - 9, "%s%02u:%02u:%02u", t->minus ? "-" : "",
                                t->hour, t->min, t->sec);
    return n + print_fraction(t, fsp, ret + n);
}

size_t mys_print_datetime(const struct mys_time *t, unsigned fsp, char ret[MYS_TIME_TEXT])
{
    size_t n = (size_t)snprintf(ret, MYS_TIME_TEXT - 9, "%04u-%02u-%02u %02u:%02u:%02u", t->year,
                                t->month, t->day, t->hour, t->min, t->sec);
    return n + print_fraction(t, fsp, ret + n);
}
