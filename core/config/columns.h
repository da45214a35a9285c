/*
 * columns.h - what a rule says of single columns: `columns:`, `on_invalid:` by name, and which
 * names it mentions. What comes of it for a column is cdc_rule_column (cdc/config.h).
 *
 * All of it becomes one array of entries, sorted by what is said (the act that lets least through
 * first), then by number (the shortest truncation, the strictest on_invalid first), then by text. A
 * column is done by the first plain name that it has there, else by the first pattern that takes
 * it. So a name beats patterns, exclude beats mask, hash and truncate, and the order in the file
 * never matters; the rule's hash does not depend on it either. A plain name under include stays
 * although a pattern under exclude takes it. `*` under on_invalid is no entry but the rule's own
 * on_invalid: what holds for all others.
 *
 * Ownership: the arena of the configuration. Threads: read-only after loading.
 */
#ifndef CDC_CONFIG_COLUMNS_H
#define CDC_CONFIG_COLUMNS_H

#include "cdc/config.h"
#include "config/section.h"

#define CDC_COLUMN_ENTRIES 4096    /* names in all lists of one rule */
#define CDC_TRUNCATE_MAX   1000000 /* characters */

enum cdc_said {
    CDC_SAID_INCLUDE,
    CDC_SAID_EXCLUDE,
    CDC_SAID_MASK,
    CDC_SAID_HASH,
    CDC_SAID_TRUNCATE,
    CDC_SAID_INVALID,
    CDC_N_SAID
};
extern const char *const cdc_said_names[CDC_N_SAID]; /* "columns.include", as in messages */

struct cdc_column_entry {
    enum cdc_said said;
    const char *text;  /* as written */
    const char *name;  /* a plain name; NULL: text is a pattern */
    const char *shown; /* text as a message may show it */
    int64_t number;    /* TRUNCATE: characters; INVALID: enum cdc_invalid */
    int line;
};

struct cdc_columns {
    struct cdc_column_entry *entries; /* sorted */
    size_t n;
    bool has_include;
    const char **mentions; /* ends in NULL */
};

extern const struct cdc_option cdc_columns_options[]; /* of the section `columns` */

/*
 * Sets rule->columns from the rule's section; rule->key, logical_delete, updated_at and on_invalid
 * are there already. CDC_CONFIG: a bad pattern, a name in two acts, a key that would not survive.
 */
CDC_CHECK int cdc_columns_read(const struct cdc_doc *doc, const struct cdc_section *sec,
                               struct cdc_rule *rule, struct cdc_error *err);

/* The first entry among from..to, names or patterns, that takes the column; NULL: none. */
const struct cdc_column_entry *cdc_columns_find(const struct cdc_columns *cols, enum cdc_said from,
                                                enum cdc_said to, bool plain, const char *column);
/* The entry that decides what is done with the column; NULL: none (kept, if it is included). */
const struct cdc_column_entry *cdc_columns_act(const struct cdc_columns *cols, const char *column);
/* Is it in include, or is there none? */
bool cdc_columns_included(const struct cdc_columns *cols, const char *column);

/* Line of the first name under `hash:`; 0: nothing is hashed. */
int cdc_columns_hash_line(const struct cdc_columns *cols);

/* The rule's columns as a text, the same for the same meaning: for the rule's hash. */
void cdc_columns_put(const struct cdc_columns *cols, struct cdc_buf *ret);

#endif
