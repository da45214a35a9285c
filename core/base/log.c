/*
 * log.c - see cdc/log.h. A line is made in memory and written by one write(2), so that lines of
 * several threads never mix.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int threshold = CDC_LOG_INFO;
static atomic_bool as_json;
static char instance_name[64];
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void cdc_log_change(enum cdc_log_level level, bool json)
{
    atomic_store(&threshold, (int)level);
    atomic_store(&as_json, json);
}

void cdc_log_setup(enum cdc_log_level level, bool json, const char *instance)
{
    cdc_log_change(level, json);
    snprintf(instance_name, sizeof instance_name, "%s", instance ? instance : "");
}

/* Control characters and quotes must not break the line: escaped as JSON does. */
static size_t escape(char *to, size_t cap, const char *from)
{
    size_t n = 0;
    for (; *from && n + 7 < cap; from++) {
        unsigned char c = (unsigned char)*from;
        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(to + n, cap - n, "\\u%04x", c);
        } else {
            to[n++] = (char)c;
        }
    }
    to[n] = 0;
    return n;
}

static void write_line(enum cdc_log_level level, char *message)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char at[40], line[2600], text[2048];
    size_t n = strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(at + n, sizeof at - n, ".%03ldZ", now.tv_nsec / 1000000);
    int len;
    if (as_json) {
        escape(text, sizeof text, message);
        len = snprintf(line, sizeof line,
                       "{\"at\":\"%s\",\"level\":\"%s\",\"instance\":\"%s\",\"message\":\"%s\"}\n",
                       at, level_names[level], instance_name, text);
    } else {
        for (char *c = message; *c; c++)
            if ((unsigned char)*c < 0x20)
                *c = ' ';
        len = snprintf(line, sizeof line, "%s %-5s %s%s%s\n", at, level_names[level], instance_name,
                       *instance_name ? ": " : "", message);
    }
    if (len > 0)
        (void)!write(STDERR_FILENO, line, (size_t)len < sizeof line ? (size_t)len : sizeof line);
}

void cdc_log(enum cdc_log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load(&threshold))
        return;
    char message[1800];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    write_line(level, message);
}

void cdc_log_error(enum cdc_log_level level, const struct cdc_error *err, const char *then)
{
    cdc_log(level, "%s%s%s%s%s", err->where, *err->where ? ": " : "", err->message,
            then && *then ? "; " : "", then ? then : "");
}
