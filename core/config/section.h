/*
 * section.h - a mapping read against an option table (cdc/option.h).
 *
 * Reading checks everything: unknown keys (with the nearest known name), missing ones, types,
 * ranges. What is left out has its default; a default is read by the same code, so that a table
 * with a bad default aborts at its first use. An option of type SECTION whose table is NULL is not
 * read but kept as it stands for the caller (cdc_section_entry).
 *
 * Ownership: sections live in the arena of the doc.
 */
#ifndef CDC_CONFIG_SECTION_H
#define CDC_CONFIG_SECTION_H

#include "cdc/option.h"
#include "config/node.h"

/*
 * What is to be read, and what messages call it.
 */
struct cdc_section_spec {
    const struct cdc_option *options; /* ends in {0} */
    const char *label;                /* of the section, in messages: "sink"; "" at the top */
    const struct cdc_node *map;       /* NULL: nothing was written, all is default */
    int line;                         /* where the section stands */
    const char *skip;                 /* a key read elsewhere (`type`), or NULL */
};

CDC_CHECK int cdc_section_read(const struct cdc_doc *doc, const struct cdc_section_spec *spec,
                               struct cdc_section **ret, struct cdc_error *err);

/* An option as it was written; NULL if it was not. */
const struct cdc_entry *cdc_section_entry(const struct cdc_section *sec, const char *name);

/*
 * A section out of a YAML text of its own, for the tests of connectors. `arena` holds the result.
 */
CDC_CHECK int cdc_section_parse(struct cdc_arena *arena, const char *yaml,
                                const struct cdc_option *options, struct cdc_section **ret,
                                struct cdc_error *err);

/* Number of options in a table. */
size_t cdc_options_count(const struct cdc_option *options);

/* The range of a number as people write it: "8MiB", "10s", "42"; to has 32 bytes. */
void cdc_option_number(const struct cdc_option *opt, int64_t number, char *to);
bool cdc_option_has_range(const struct cdc_option *opt);

/*
 * A scalar by its option's type, as a text is not: INT, BOOL, SIZE, DURATION, CHOICE, and one value
 * of a MAP or CHOICES, into a number.
 * NULL, or what is wrong with it ("is no size: ...", behind the value), in the arena; without
 * range.
 */
const char *cdc_scalar_read(struct cdc_arena *arena, const struct cdc_option *opt, const char *text,
                            int64_t *ret);

#endif
