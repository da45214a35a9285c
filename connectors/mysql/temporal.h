/*
 * temporal.h - dates and times as the binlog has them. MySQL source, mysys/my_time.cc (the packed
 * forms of 5.6), and the older forms, which have no fraction.
 *
 * Zero dates, zero months or days, dates that no calendar has, and times outside of a day are
 * possible; they are read like all others, and cannot be converted.
 */
#ifndef MYS_TEMPORAL_H
#define MYS_TEMPORAL_H

#include "cdc/reader.h"

struct mys_time {
    bool minus;
    uint16_t year, hour; /* TIME: hour up to 838 */
    uint8_t month, day, min, sec;
    uint32_t us;
};

/* fsp: digits of the fraction, 0 to 6. All fail in rd, also for fields out of range. */
void mys_read_date(struct cdc_reader *rd, struct mys_time *ret);
void mys_read_time2(struct cdc_reader *rd, unsigned fsp, struct mys_time *ret);
void mys_read_datetime2(struct cdc_reader *rd, unsigned fsp, struct mys_time *ret);
/* Microseconds since 1970 UTC; 0: the zero timestamp. */
int64_t mys_read_timestamp2(struct cdc_reader *rd, unsigned fsp);
void mys_read_time_old(struct cdc_reader *rd, struct mys_time *ret);
void mys_read_datetime_old(struct cdc_reader *rd, struct mys_time *ret);
/* As JSON has them: 8 bytes. Also rd->failed. */
void mys_read_datetime_packed(struct cdc_reader *rd, struct mys_time *ret);
void mys_read_time_packed(struct cdc_reader *rd, struct mys_time *ret);

/* Days since 1970; false: no date of the calendar from year 1 to 9999. */
bool mys_time_days(const struct mys_time *t, int64_t *ret);
/* The date and time so many microseconds after 1970; a year from 0 to 65535. */
void mys_time_of(int64_t us, struct mys_time *ret);
/* Microseconds of hour to us, without sign. */
int64_t mys_time_us(const struct mys_time *t);

#define MYS_TIME_TEXT 32
/* As the servers print them; return the length. */
size_t mys_print_date(const struct mys_time *t, char ret[MYS_TIME_TEXT]);
size_t mys_print_time(const struct mys_time *t, unsigned fsp, char ret[MYS_TIME_TEXT]);
size_t mys_print_datetime(const struct mys_time *t, unsigned fsp, char ret[MYS_TIME_TEXT]);

#endif
