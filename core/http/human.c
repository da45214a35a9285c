/*
 * human.c - numbers as people read them; see face.h.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/face.h"

const char *cdc_human_bytes(uint64_t bytes, char to[CDC_HUMAN])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double val = (double)bytes;
    size_t unit = 0;
    while (val >= 1023.95 && unit < sizeof units / sizeof *units - 1) {
        val /= 1024;
        unit++;
    }
    snprintf(to, CDC_HUMAN, "%.*f %s", unit == 0 || val >= 99.95 ? 0 : 1, val, units[unit]);
    return to;
}

const char *cdc_human_seconds(double seconds, char to[CDC_HUMAN])
{
    long long whole = (long long)seconds;
    if (seconds < 0.0005)
        snprintf(to, CDC_HUMAN, "0 s");
    else if (seconds < 0.9995)
        snprintf(to, CDC_HUMAN, seconds < 0.00995 ? "%.2g ms" : "%.0f ms", seconds * 1e3);
    else if (seconds < 99.95)
        snprintf(to, CDC_HUMAN, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(to, CDC_HUMAN, "%lld min %lld s", whole / 60, whole % 60);
    else if (seconds < 172800)
        snprintf(to, CDC_HUMAN, "%lld h %lld min", whole / 3600, whole / 60 % 60);
    else
        snprintf(to, CDC_HUMAN, "%lld d %lld h", whole / 86400, whole / 3600 % 24);
    return to;
}

const char *cdc_human_count(uint64_t n, char to[CDC_HUMAN])
{
    char digits[CDC_HUMAN];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *at = to;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = 0;
    return to;
}

const char *cdc_human_time(int64_t us, char to[CDC_HUMAN])
{
    time_t sec = (time_t)(us / 1000000);
    struct tm tm;
    if (us <= 0 || !gmtime_r(&sec, &tm) ||
        strftime(to, CDC_HUMAN, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(to, CDC_HUMAN, "never");
    return to;
}

const char *cdc_human_copy(const char *state, double part, char to[CDC_HUMAN])
{
    if (strcmp(state, "copying") == 0 && part >= 0)
        snprintf(to, CDC_HUMAN, "copying %d %%", (int)(part * 100));
    else
        snprintf(to, CDC_HUMAN, "%s", state);
    return to;
}

const char *cdc_human_place(const char *position, char to[CDC_HUMAN_PLACE])
{
    size_t n = 0;
    if (*position != '{')
        return position;
    const char *at = position + 1;
    for (; *at && n + 5 < CDC_HUMAN_PLACE; at++) {
        if (*at == ',' || (*at == ':' && at[-1] == '"')) {
            n += (size_t)snprintf(to + n, CDC_HUMAN_PLACE - n, *at == ',' ? ", " : " ");
        } else if (!strchr("\"{}", *at)) {
            to[n++] = *at;
        }
    }
    at += strspn(at, "\"{}");
    snprintf(to + n, CDC_HUMAN_PLACE - n, "%s", *at ? " .." : "");
    return to;
}

double cdc_histogram_bound(const struct cdc_histogram *hist, double part)
{
    uint64_t want = (uint64_t)ceil((double)hist->count * part), sum = 0;
    if (hist->count == 0)
        return -1;
    for (size_t i = 0; i < CDC_METRICS_BUCKETS; i++) {
        sum += hist->buckets[i];
        if (sum >= want)
            return cdc_metrics_bounds[i];
    }
    return INFINITY;
}
