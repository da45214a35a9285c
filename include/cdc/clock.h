/*
 * clock.h - the two clocks, in microseconds. Threads: any.
 */
#ifndef CDC_CLOCK_H
#define CDC_CLOCK_H

#include <stdint.h>

int64_t cdc_now_us(void);  /* wall clock since 1970 UTC: for people and envelopes */
int64_t cdc_mono_us(void); /* monotonic: for every deadline */

#endif
