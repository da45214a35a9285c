/* clock.c - see cdc/clock.h. */
#include "cdc/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t cdc_now_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t cdc_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}
