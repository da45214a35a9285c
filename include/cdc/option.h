/*
 * option.h - options are one table per connector; parsing, defaults, validation, error text, --help
 * and docs/configuration.md come from it.
 *
 * A connector declares `static const struct cdc_option options[]` ending in {0}. The engine reads
 * the YAML mapping of that connector against it (unknown key: an error with file, line and nearest
 * name) and hands over a struct cdc_section, read by the getters below. A getter asked for a name
 * that is not in the table, or with another type, is a bug and aborts.
 *
 * Secrets: an option with CDC_OPT_SECRET is never printed; errors show `***`.
 * Ownership: strings live as long as the configuration. Threads: read-only after loading.
 */
#ifndef CDC_OPTION_H
#define CDC_OPTION_H

#include "cdc/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cdc_option_type {
    CDC_OPT_STRING,
    CDC_OPT_INT,
    CDC_OPT_BOOL,     /* true | false */
    CDC_OPT_SIZE,     /* bytes: 64MiB, 1GB, 4096 */
    CDC_OPT_DURATION, /* microseconds: 10s, 200ms, 1h, 0 */
    CDC_OPT_CHOICE,   /* one of `choices` */
    CDC_OPT_LIST,     /* list of strings */
    CDC_OPT_SECTION,  /* a mapping read against `section` */
    CDC_OPT_MAP,      /* a mapping of any names to whole numbers in min to max */
    CDC_OPT_STRINGS,  /* a mapping of any names to strings */
    CDC_OPT_CHOICES,  /* one of `choices`, or a mapping of any names to one of them each */
};

enum {
    CDC_OPT_REQUIRED = 1u << 0,
    CDC_OPT_SECRET = 1u << 1,
};

struct cdc_option {
    const char *name;
    enum cdc_option_type type;
    const char *dflt;    /* as it would be written in YAML; NULL: none (string NULL, number 0) */
    int64_t min, max;    /* INT, SIZE, DURATION, MAP; both 0: no range */
    const char *choices; /* CHOICE, CHOICES: "a|b|c" */
    unsigned flags;
    const char *doc; /* one or two sentences; the first line of --help */
    const struct cdc_option *section;
};

struct cdc_section;

const char *cdc_get_string(const struct cdc_section *sec, const char *name); /* may be NULL */
int64_t cdc_get_int(const struct cdc_section *sec, const char *name); /* INT, SIZE, DURATION */
bool cdc_get_bool(const struct cdc_section *sec, const char *name);
/* Index into choices. CHOICES: what was written without a mapping, else the default. */
int cdc_get_choice(const struct cdc_section *sec, const char *name);
/* List: its length, and *ret to that many strings. */
size_t cdc_get_list(const struct cdc_section *sec, const char *name, const char *const **ret);
/* MAP, STRINGS, CHOICES: its length (0 where CHOICES is no mapping), *ret to that many pairs. */
struct cdc_pair {
    const char *name;
    int64_t number;   /* CHOICES: index into choices */
    const char *text; /* STRINGS */
};
size_t cdc_get_map(const struct cdc_section *sec, const char *name, const struct cdc_pair **ret);
const struct cdc_section *cdc_get_section(const struct cdc_section *sec, const char *name);
/* Was it written in the file (and not a default)? */
bool cdc_given(const struct cdc_section *sec, const char *name);
/* "file:line" of the option if given, else of its section: for errors a connector makes. */
const char *cdc_option_where(const struct cdc_section *sec, const char *name);

#endif
