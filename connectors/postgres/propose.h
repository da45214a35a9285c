/*
 * propose.h - the parts of `init`: what a column's name says about it, and how names are written
 * into YAML. Pure. propose.c puts them together.
 */
#ifndef PGS_PROPOSE_H
#define PGS_PROPOSE_H

#include "cdc/buf.h"

enum pgs_hint {
    PGS_HINT_NONE,
    PGS_HINT_UPDATED, /* time of the application's last change */
    PGS_HINT_DELETED, /* marks a row as deleted */
    PGS_HINT_EXCLUDE, /* a secret: password, token */
    PGS_HINT_HASH,    /* identifies a person and is compared: e-mail, ssn */
    PGS_HINT_MASK,    /* personal, and of no use for joins: phone, address */
};

enum pgs_hint_type { PGS_TYPE_TIME, PGS_TYPE_BOOL, PGS_TYPE_TEXT, PGS_TYPE_OTHER };

/* By the name, any case, words apart by _ or not; the type must go with it. */
enum pgs_hint pgs_hint(const char *column, enum pgs_hint_type type);

/* Is it one line of text? A name that is not is left out of proposals. */
bool pgs_name_printable(const char *name);
/* In a comment: what is not printable as ?. */
void pgs_name_comment(struct cdc_buf *buf, const char *name);
/* As an item of a YAML list in braces or brackets, quoted where it must be. */
void pgs_name_yaml(struct cdc_buf *buf, const char *name);
/* schema.table as a `tables:` pattern that takes that one table. */
void pgs_name_pattern(struct cdc_buf *buf, const char *schema, const char *table);
/* A pipeline's name out of a database's: [a-z][a-z0-9_]{0,40}. */
void pgs_name_pipeline(const char *database, char ret[42]);
/* A part of a URL, everything odd as %XX. */
void pgs_name_url(struct cdc_buf *buf, const char *part);

#endif
