/*
 * calendar.h - days since 1970-01-01 and dates of the proleptic Gregorian calendar, both ways.
 * After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years that begin in March,
 * so that the leap day is the last one. Threads: any. Nothing fails.
 */
#ifndef CDC_CALENDAR_H
#define CDC_CALENDAR_H

#include <stdint.h>

struct cdc_date {
    int64_t year; /* 0 is 1 BC */
    uint8_t month, day;
};

/* month: 1 to 12. */
int cdc_month_days(int year, int month);
/* year 1 and later. */
int64_t cdc_date_days(int year, int month, int day);
/* Any year. */
struct cdc_date cdc_date_of(int64_t days);

#endif
