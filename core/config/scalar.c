/*
 * scalar.c - what a scalar says, by the type of its option.
 *
 * Strict on purpose: a size may lack its unit (bytes), a duration may not (0 excepted), for nobody
 * knows whether `interval: 10` means seconds. KiB, MiB, GiB, TiB are powers of 1024, kB, MB, GB, TB
 * of 1000; `K`, `M`, `G` alone mean both to different people and are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/nearest.h"
#include "config/section.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, those that print well before the others of the same size. */
static const struct unit sizes[] = {
    {"TiB", (int64_t)1 << 40},
    {"TB", 1000000000000},
    {"GiB", (int64_t)1 << 30},
    {"GB", 1000000000},
    {"MiB", 1 << 20},
    {"MB", 1000000},
    {"KiB", 1 << 10},
    {"kB", 1000},
    {"KB", 1000},
    {"B", 1},
    {"", 1},
    {NULL, 0},
};

static const struct unit durations[] = {
    {"d", 86400000000}, {"h", 3600000000}, {"m", 60000000}, {"min", 60000000},
    {"s", 1000000},     {"ms", 1000},      {"us", 1},       {NULL, 0},
};

/* Digits, with a sign only where one may be; *ret_end behind them. false: none, or too many. */
static bool read_digits(const char *text, int64_t *ret, const char **ret_end)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (*digits < '0' || *digits > '9')
        return false;
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    *ret_end = end;
    return errno == 0;
}

static bool read_units(const struct unit *units, const char *text, int64_t *ret)
{
    const char *end;
    int64_t n;
    if (*text == '-' || !read_digits(text, &n, &end))
        return false;
    while (*end == ' ')
        end++;
    for (; units->name; units++)
        if (strcmp(units->name, end) == 0)
            return !__builtin_mul_overflow(n, units->factor, ret);
    return false;
}

static const char *read_int(struct cdc_arena *arena, const struct cdc_option *opt, const char *text,
                            int64_t *ret)
{
    (void)arena;
    (void)opt;
    const char *end;
    return read_digits(text, ret, &end) && !*end ? NULL : "is no whole number";
}

static const char *read_bool(struct cdc_arena *arena, const struct cdc_option *opt,
                             const char *text, int64_t *ret)
{
    (void)arena;
    (void)opt;
    *ret = strcmp(text, "true") == 0;
    return *ret || strcmp(text, "false") == 0 ? NULL : "is neither true nor false";
}

static const char *read_size(struct cdc_arena *arena, const struct cdc_option *opt,
                             const char *text, int64_t *ret)
{
    (void)arena;
    (void)opt;
    return read_units(sizes, text, ret)
               ? NULL
               : "is no size: write bytes, or a number with KiB, MiB, GiB, kB, MB or GB";
}

static const char *read_duration(struct cdc_arena *arena, const struct cdc_option *opt,
                                 const char *text, int64_t *ret)
{
    (void)arena;
    (void)opt;
    *ret = 0;
    return strcmp(text, "0") == 0 || read_units(durations, text, ret)
               ? NULL
               : "is no duration: write a number with us, ms, s, m, h or d";
}

static const char *read_choice(struct cdc_arena *arena, const struct cdc_option *opt,
                               const char *text, int64_t *ret)
{
    struct cdc_nearest near = {.word = text};
    struct cdc_buf names = CDC_BUF(4096);
    const char *p = opt->choices;
    for (int64_t i = 0; *p; i++) {
        size_t len = strcspn(p, "|");
        if (strlen(text) == len && memcmp(p, text, len) == 0) {
            *ret = i;
            cdc_buf_done(&names);
            return NULL;
        }
        const char *name = (const char *)cdc_arena_copy(arena, cdc_slice_of(p, len)).p;
        if (name)
            cdc_nearest_try(&near, name);
        cdc_buf_printf(&names, "%s%.*s", i ? ", " : "", (int)len, p);
        p += len + (p[len] == '|');
    }
    const char *list = cdc_buf_cstr(&names);
    const char *why = cdc_arena_printf(arena, "is not one of %s%s%s%s", list ? list : "",
                                       near.best ? "; did you mean \"" : "",
                                       near.best ? near.best : "", near.best ? "\"?" : "");
    cdc_buf_done(&names);
    return why ? why : "is not one of the choices";
}

typedef const char *scalar_reader(struct cdc_arena *arena, const struct cdc_option *opt,
                                  const char *text, int64_t *ret);

static scalar_reader *const readers[] = {
    [CDC_OPT_INT] = read_int,           [CDC_OPT_BOOL] = read_bool,     [CDC_OPT_SIZE] = read_size,
    [CDC_OPT_DURATION] = read_duration, [CDC_OPT_CHOICE] = read_choice, [CDC_OPT_MAP] = read_int,
    [CDC_OPT_CHOICES] = read_choice,
};

const char *cdc_scalar_read(struct cdc_arena *arena, const struct cdc_option *opt, const char *text,
                            int64_t *ret)
{
    return readers[opt->type](arena, opt, text, ret);
}

bool cdc_option_has_range(const struct cdc_option *opt)
{
    bool number = opt->type == CDC_OPT_INT || opt->type == CDC_OPT_SIZE ||
                  opt->type == CDC_OPT_DURATION || opt->type == CDC_OPT_MAP;
    return number && (opt->min || opt->max);
}

void cdc_option_number(const struct cdc_option *opt, int64_t number, char *to)
{
    static const struct unit plain[] = {{"", 1}, {NULL, 0}};
    const struct unit *unit = opt->type == CDC_OPT_SIZE       ? sizes
                              : opt->type == CDC_OPT_DURATION ? durations
                                                              : plain;
    while (unit->factor > 1 && (number == 0 || number % unit->factor))
        unit++;
    if (number == 0)
        snprintf(to, 32, "0");
    else
        snprintf(to, 32, "%lld%s", (long long)(number / unit->factor), unit->name);
}
