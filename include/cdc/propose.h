/*
 * propose.h - what `init` of all sources shares: what a column's name says about it, how names are
 * written into YAML, patterns and URLs, and the parts of the text that are the same everywhere. A
 * source looks at its database and puts them together (source.h, `propose`).
 *
 *     head, the source's url and comments, "capture:" | for each table: facts as a comment, a rule,
 *     its hints | schemas | tail
 *
 * Pure. Failure: sticky in the cdc_buf. Threads: any. Names may hold anything; a line is never
 * broken by one.
 */
#ifndef CDC_PROPOSE_H
#define CDC_PROPOSE_H

#include "cdc/buf.h"

#define CDC_PROPOSE_TABLES 1500 /* so many get a rule each; else the file would be too large */

enum cdc_hint {
    CDC_HINT_NONE,
    CDC_HINT_UPDATED, /* time of the application's last change */
    CDC_HINT_DELETED, /* marks a row as deleted */
    CDC_HINT_EXCLUDE, /* a secret: password, token */
    CDC_HINT_HASH,    /* identifies a person and is compared: e-mail, ssn */
    CDC_HINT_MASK,    /* personal, and of no use for joins: phone, address */
};

enum cdc_hint_type { CDC_TYPE_TIME, CDC_TYPE_BOOL, CDC_TYPE_TEXT, CDC_TYPE_OTHER };

/* By the name, any case, words apart by _ or not; the type must go with it. */
enum cdc_hint cdc_hint(const char *column, enum cdc_hint_type type);

/* Is it one line of text? A name that is not is left out of proposals. */
bool cdc_name_printable(const char *name);
/* In a comment: what is not printable as ?. */
void cdc_name_comment(struct cdc_buf *buf, const char *name);
/* As an item of a YAML list in braces or brackets, quoted where it must be. */
void cdc_name_yaml(struct cdc_buf *buf, const char *name);
/* schema.table as a `tables:` pattern that takes that one table. */
void cdc_name_pattern(struct cdc_buf *buf, const char *schema, const char *table);
/* A pipeline's name out of a database's: [a-z][a-z0-9_]{0,40}. */
void cdc_name_pipeline(const char *database, char ret[42]);
/* A part of a URL, everything odd as %XX. */
void cdc_name_url(struct cdc_buf *buf, const char *part);

/* What the columns of one table suggest. Zeroed, then take for each column, put, done. */
struct cdc_hints {
    struct cdc_buf acts[3]; /* exclude, hash, mask: lists of names */
    struct cdc_buf updated, deleted;
};

/* key: it is part of the table's key, and so can be hashed, but not hidden otherwise. */
void cdc_hints_take(struct cdc_hints *hints, const char *column, enum cdc_hint_type type, bool key);
/* As comments of the table's rule. true: a hash is among them, so a key will be needed. */
bool cdc_hints_put(const struct cdc_hints *hints, struct cdc_buf *text);
void cdc_hints_done(struct cdc_hints *hints);

/* `source:` is begun with its type. what: "database shop (PostgreSQL 15)". */
void cdc_propose_head(struct cdc_buf *text, const char *what, const char *name, const char *type);
/* A rule for all tables of a schema; as a comment where they have rules of their own. */
void cdc_propose_schema(struct cdc_buf *text, const char *schema, bool comment);
/* The key of hashes where one was proposed, and the sink. */
void cdc_propose_tail(struct cdc_buf *text, const char *name, bool hashes);

#endif
