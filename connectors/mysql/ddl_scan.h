/*
 * ddl_scan.h - the text of a statement as tokens, for ddl.c: words, names in quotes, strings,
 * numbers (words too), single characters. Comments are skipped, but what stands in executable ones
 * (slash-star-! and slash-star-M!) is text like any other: the server has executed it, or a newer
 * one would. Words are compared without case.
 */
#ifndef MYS_DDL_SCAN_H
#define MYS_DDL_SCAN_H

#include "ddl.h"

enum mys_token_kind { MYS_T_END, MYS_T_WORD, MYS_T_NAME, MYS_T_STRING, MYS_T_HEX, MYS_T_SIGN };

struct mys_token {
    enum mys_token_kind kind;
    struct cdc_slice text; /* NAME, STRING, HEX: between the quotes, not yet unescaped */
    char quote;
};

struct mys_scan {
    const struct mys_session *session;
    struct cdc_slice sql, db;
    size_t at;
    struct mys_token tok; /* the present one */
    struct cdc_arena *arena;
    struct mys_statement *ret;
    size_t cap;
    bool failed; /* no memory */
};

/* Goes on to the next token. */
void mys_next(struct mys_scan *s);
/* Is the present token that word, that sign? */
bool mys_at(const struct mys_scan *s, const char *word);
bool mys_at_sign(const struct mys_scan *s, char sign);
/* Goes on if it is that word. */
bool mys_take(struct mys_scan *s, const char *word);
/* The first of the words that is here, taken; -1: none. Words end with NULL. */
int mys_take_any(struct mys_scan *s, const char *const *words);
void mys_take_all(struct mys_scan *s, const char *const *words);
/* A name with its doubled quotes made single; NULL: no memory, which s->failed says too. */
const char *mys_name_text(struct mys_scan *s, const struct mys_token *tok);

#endif
