/* calendar.c - see cdc/calendar.h. An era are the 400 years, or 146097 days, that repeat. */
#include "cdc/calendar.h"

int cdc_month_days(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 ? leap : 0);
}

int64_t cdc_date_days(int year, int month, int day)
{
    int years = month <= 2 ? year - 1 : year;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)years * 365 + years / 4 - years / 100 + years / 400 + of_year - 719468;
}

struct cdc_date cdc_date_of(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */
    return (struct cdc_date){.year = year + era * 400 + (month >= 10),
                             .month = (uint8_t)(month + (month < 10 ? 3 : -9)),
                             .day = (uint8_t)(of_year - (153 * month + 2) / 5 + 1)};
}
