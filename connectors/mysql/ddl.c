/*
 * ddl.c - see ddl.h.
 *
 * Text is cut into tokens: words, names in quotes, strings, numbers, single characters. Comments
 * are skipped, but what stands in executable ones (slash-star-! and slash-star-M!) is text like any
 * other: the server has executed it, or a newer one would. Words are compared without case.
 *
 * Forms that a table's rows can change by without row events are found in ALTER by looking for the
 * words at the level of its clauses, outside of parentheses: RENAME [TO], TRUNCATE, DROP, EXCHANGE
 * and CONVERT PARTITION, DISCARD and IMPORT TABLESPACE, DROP SYSTEM VERSIONING; and ALTER IGNORE. A
 * false alarm there costs a look at the table.
 */
#include "ddl.h"

#include <stdio.h>
#include <strings.h>

enum kind { END, WORD, NAME, STRING, HEX, SIGN };

struct token {
    enum kind kind;
    struct cdc_slice text; /* NAME, STRING, HEX: between the quotes, not yet unescaped */
    char quote;
};

struct scan {
    const struct mys_session *session;
    struct cdc_slice sql, db;
    size_t at;
    struct token tok; /* the present one */
    struct cdc_arena *arena;
    struct mys_statement *ret;
    size_t cap;
    bool failed; /* no memory */
};

static uint8_t peek(const struct scan *s, size_t ahead)
{
    return s->at + ahead < s->sql.len ? s->sql.p[s->at + ahead] : 0;
}

static bool is_word(uint8_t c)
{
    return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void skip_line(struct scan *s)
{
    while (s->at < s->sql.len && s->sql.p[s->at] != '\n')
        s->at++;
}

static void skip_comment(struct scan *s)
{
    for (s->at += 2; s->at < s->sql.len; s->at++)
        if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            s->at += 2;
            return;
        }
}

/* Over the head of an executable comment: the mark and a version number. */
static void enter_comment(struct scan *s)
{
    s->at += peek(s, 2) == 'M' ? 4 : 3;
    while (peek(s, 0) >= '0' && peek(s, 0) <= '9')
        s->at++;
}

/* One piece of blank, false: there is none. */
static bool skip_blank(struct scan *s)
{
    uint8_t c = peek(s, 0), next = peek(s, 1);
    if (s->at >= s->sql.len)
        return false;
    if (c <= ' ')
        s->at++;
    else if (c == '#' || (c == '-' && next == '-' && peek(s, 2) <= ' '))
        skip_line(s);
    else if (c == '*' && next == '/')
        s->at += 2; /* the end of an executable one */
    else if (c != '/' || next != '*')
        return false;
    else if (peek(s, 2) == '!' || (peek(s, 2) == 'M' && peek(s, 3) == '!'))
        enter_comment(s);
    else
        skip_comment(s);
    return true;
}

/* From behind the opening quote to the closing one, which a doubled one is not. */
static struct cdc_slice take_quoted(struct scan *s, char quote)
{
    bool escapes = quote != '`' && !s->session->no_backslash;
    size_t from = ++s->at;
    for (; s->at < s->sql.len; s->at++) {
        if (escapes && s->sql.p[s->at] == '\\') {
            s->at++;
            continue;
        }
        if (s->sql.p[s->at] != (uint8_t)quote)
            continue;
        if (peek(s, 1) != (uint8_t)quote)
            break;
        s->at++;
    }
    size_t to = s->at < s->sql.len ? s->at++ : s->sql.len;
    return cdc_slice_of(s->sql.p + from, to > from ? to - from : 0);
}

static void next(struct scan *s)
{
    while (skip_blank(s))
        ;
    uint8_t c = peek(s, 0);
    s->tok = (struct token){.kind = END, .quote = (char)c};
    if (s->at >= s->sql.len)
        return;
    if ((c | 0x20) == 'x' && peek(s, 1) == '\'') {
        s->at++;
        s->tok.kind = HEX;
        s->tok.text = take_quoted(s, '\'');
    } else if (c == '`' || (c == '"' && s->session->ansi_quotes)) {
        s->tok.kind = NAME;
        s->tok.text = take_quoted(s, (char)c);
    } else if (c == '\'' || c == '"') {
        s->tok.kind = STRING;
        s->tok.text = take_quoted(s, (char)c);
    } else if (is_word(c)) {
        size_t from = s->at;
        while (s->at < s->sql.len && is_word(s->sql.p[s->at]))
            s->at++;
        s->tok.kind = WORD;
        s->tok.text = cdc_slice_of(s->sql.p + from, s->at - from);
    } else {
        s->tok.kind = SIGN;
        s->tok.text = cdc_slice_of(s->sql.p + s->at++, 1);
    }
}

static bool is(const struct scan *s, const char *word)
{
    return s->tok.kind == WORD && s->tok.text.len == strlen(word) &&
           strncasecmp((const char *)s->tok.text.p, word, s->tok.text.len) == 0;
}

static bool is_sign(const struct scan *s, char sign)
{
    return s->tok.kind == SIGN && s->tok.text.p[0] == (uint8_t)sign;
}

static bool take(struct scan *s, const char *word)
{
    if (!is(s, word))
        return false;
    next(s);
    return true;
}

/* The first of the words that is here, taken; -1: none. Words end with NULL. */
static int take_any(struct scan *s, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (take(s, words[i]))
            return i;
    return -1;
}

static void take_all(struct scan *s, const char *const *words)
{
    while (take_any(s, words) >= 0)
        ;
}

static void unsure(struct scan *s)
{
    s->ret->flags |= MYS_UNSURE;
}

/* A name with its doubled quotes made single. */
static const char *name_text(struct scan *s, const struct token *tok)
{
    char *to = cdc_arena_alloc(s->arena, tok->text.len + 1);
    size_t n = 0;
    for (size_t i = 0; to && i < tok->text.len; i++) {
        to[n++] = (char)tok->text.p[i];
        if (tok->kind == NAME && tok->text.p[i] == (uint8_t)tok->quote)
            i++;
    }
    if (to)
        to[n] = 0;
    s->failed |= !to;
    return to;
}

static void add_name(struct scan *s, const char *db, const char *name)
{
    if (s->ret->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        struct mys_table_name *names = cdc_arena_alloc(s->arena, cap * sizeof *names);
        if (!names) {
            s->failed = true;
            return;
        }
        if (s->ret->n)
            memcpy(names, s->ret->names, s->ret->n * sizeof *names);
        s->ret->names = names;
        s->cap = cap;
    }
    s->ret->names[s->ret->n++] = (struct mys_table_name){.db = db, .name = name};
}

/* [db .] name; the present token is then the one behind. */
static bool take_table(struct scan *s)
{
    struct token first = s->tok;
    const char *db = NULL;
    if (first.kind != WORD && first.kind != NAME) {
        unsure(s);
        return false;
    }
    next(s);
    if (is_sign(s, '.')) {
        next(s);
        if (s->tok.kind != WORD && s->tok.kind != NAME) {
            unsure(s);
            return false;
        }
        db = name_text(s, &first);
        first = s->tok;
        next(s);
    } else {
        db = (const char *)cdc_arena_copy(s->arena, s->db).p;
    }
    const char *name = name_text(s, &first);
    if (!db || !name)
        s->failed = true;
    else
        add_name(s, db, name);
    return !s->failed;
}

static void take_if_exists(struct scan *s)
{
    static const char *const words[] = {"if", "not", "exists", NULL};
    take_all(s, words);
}

static void take_wait(struct scan *s)
{
    if (take(s, "wait"))
        next(s);
    else
        take(s, "nowait");
}

static void scan_rename(struct scan *s)
{
    static const char *const tables[] = {"table", "tables", NULL};
    if (take_any(s, tables) < 0)
        return; /* RENAME USER */
    s->ret->verb = MYS_V_RENAME;
    do {
        take_if_exists(s);
        if (!take_table(s))
            return;
        take_wait(s);
        if (!take(s, "to"))
            unsure(s);
        else
            take_table(s);
    } while (is_sign(s, ',') && (next(s), true));
}

static void scan_truncate(struct scan *s)
{
    s->ret->verb = MYS_V_TRUNCATE;
    take(s, "table");
    take_table(s);
}

static void scan_drop_tables(struct scan *s)
{
    s->ret->verb = MYS_V_DROP;
    take_if_exists(s);
    do
        if (!take_table(s))
            return;
    while (is_sign(s, ',') && (next(s), true));
}

static void scan_drop_database(struct scan *s)
{
    s->ret->verb = MYS_V_DROP_DATABASE;
    take_if_exists(s);
    if (s->tok.kind == WORD || s->tok.kind == NAME)
        add_name(s, name_text(s, &s->tok), "");
    else
        unsure(s);
}

/* ... INDEX name ON table: the keys of a table change. */
static void scan_index(struct scan *s)
{
    s->ret->verb = MYS_V_ALTER;
    while (s->tok.kind != END && !is(s, "on"))
        next(s);
    if (take(s, "on"))
        take_table(s);
    else
        unsure(s);
}

static void scan_drop(struct scan *s)
{
    static const char *const tables[] = {"table", "tables", NULL};
    static const char *const databases[] = {"database", "schema", NULL};
    if (take(s, "temporary"))
        s->ret->flags |= MYS_TEMPORARY;
    if (take_any(s, tables) >= 0)
        scan_drop_tables(s);
    else if (take_any(s, databases) >= 0)
        scan_drop_database(s);
    else if (take(s, "index"))
        scan_index(s);
}

/* Over everything up to the next comma or the end, parentheses whole. */
static void skip_to_comma(struct scan *s)
{
    unsigned depth = 0;
    for (; s->tok.kind != END; next(s)) {
        depth += is_sign(s, '(');
        if (depth && is_sign(s, ')'))
            depth--;
        if (depth == 0 && is_sign(s, ','))
            return;
    }
}

/* RENAME [TO | AS | =] table, but not RENAME COLUMN, INDEX or KEY. */
static void scan_rename_clause(struct scan *s)
{
    static const char *const others[] = {"column", "index", "key", NULL};
    static const char *const to[] = {"to", "as", NULL};
    if (take_any(s, others) >= 0)
        return;
    if (take_any(s, to) < 0 && is_sign(s, '='))
        next(s);
    if (s->ret->n == 1 && take_table(s))
        s->ret->flags |= MYS_RENAMED;
}

static void scan_exchange(struct scan *s)
{
    s->ret->flags |= MYS_ROWS_GONE;
    while (s->tok.kind != END && !is(s, "with"))
        next(s);
    take(s, "with");
    if (take(s, "table"))
        take_table(s);
}

/* MariaDB: PARTITION p TO TABLE t, or TABLE t TO PARTITION p; but not TO CHARACTER SET. */
static void scan_convert(struct scan *s)
{
    bool out = is(s, "partition");
    if (!out && !is(s, "table"))
        return;
    s->ret->flags |= MYS_ROWS_GONE;
    while (s->tok.kind != END && !is(s, "table"))
        next(s);
    if (take(s, "table"))
        take_table(s);
}

static void scan_clause(struct scan *s)
{
    static const char *const partition[] = {"partition", NULL};
    static const char *const space[] = {"tablespace", "partition", NULL};
    static const char *const verbs[] = {"rename",  "exchange", "truncate", "drop",
                                        "discard", "import",   "convert",  NULL};
    int verb = take_any(s, verbs);
    if (verb == 0)
        scan_rename_clause(s);
    else if (verb == 1)
        scan_exchange(s);
    else if (verb == 6)
        scan_convert(s);
    else if ((verb == 2 || verb == 3) && take_any(s, partition) >= 0)
        s->ret->flags |= MYS_ROWS_GONE;
    else if (verb == 3 && take(s, "system") && is(s, "versioning")) /* MariaDB: old versions go */
        s->ret->flags |= MYS_ROWS_GONE;
    else if (verb >= 4 && take_any(s, space) >= 0)
        s->ret->flags |= MYS_ROWS_GONE;
}

static void scan_alter(struct scan *s)
{
    static const char *const adverbs[] = {"online", "offline", "ignore", NULL};
    for (int word; (word = take_any(s, adverbs)) >= 0;)
        if (word == 2) /* MariaDB: of rows that a new unique key makes doubles one stays */
            s->ret->flags |= MYS_ROWS_GONE;
    if (!take(s, "table")) {
        s->ret->flags = 0;
        return;
    }
    s->ret->verb = MYS_V_ALTER;
    take_if_exists(s);
    if (!take_table(s))
        return;
    take_wait(s);
    while (s->tok.kind != END) {
        scan_clause(s);
        skip_to_comma(s);
        next(s);
    }
}

static void scan_create(struct scan *s)
{
    static const char *const kinds[] = {"unique", "fulltext", "spatial", "vector", NULL};
    if (take(s, "or") && take(s, "replace"))
        s->ret->flags |= MYS_ROWS_GONE;
    if (take(s, "temporary"))
        s->ret->flags |= MYS_TEMPORARY;
    take_all(s, kinds);
    if (take(s, "index")) {
        s->ret->flags = 0; /* OR REPLACE: no row is touched */
        scan_index(s);
    } else if (take(s, "table")) {
        s->ret->verb = MYS_V_CREATE;
        take_if_exists(s);
        take_table(s);
    } else {
        s->ret->flags = 0;
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A part of a transaction's name, as the server writes it: X'..'; also a plain string. */
static bool xid_part(const struct token *tok, uint8_t *to, uint8_t *ret_len)
{
    size_t n = tok->kind == HEX ? tok->text.len / 2 : tok->text.len;
    if ((tok->kind != HEX && tok->kind != STRING) || n > 64 ||
        (tok->kind == HEX && tok->text.len % 2))
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = 0, low = tok->text.p[i];
        if (tok->kind == HEX) {
            high = hex_digit(tok->text.p[2 * i]);
            low = hex_digit(tok->text.p[2 * i + 1]);
        }
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    *ret_len = (uint8_t)n;
    return true;
}

static bool xid_number(const struct token *tok, uint32_t *ret)
{
    uint64_t val = 0;
    for (size_t i = 0; i < tok->text.len; i++) {
        if (tok->text.p[i] < '0' || tok->text.p[i] > '9' || val > UINT32_MAX)
            return false;
        val = val * 10 + (tok->text.p[i] - '0');
    }
    *ret = (uint32_t)val;
    return tok->kind == WORD && val <= UINT32_MAX;
}

static bool scan_xid(struct scan *s, struct mys_xid *xid)
{
    xid->format = 1;
    if (!xid_part(&s->tok, xid->data, &xid->gtrid_len))
        return false;
    next(s);
    if (!is_sign(s, ','))
        return true;
    next(s);
    if (!xid_part(&s->tok, xid->data + xid->gtrid_len, &xid->bqual_len))
        return false;
    next(s);
    if (!is_sign(s, ','))
        return true;
    next(s);
    return xid_number(&s->tok, &xid->format);
}

static void scan_xa(struct scan *s)
{
    static const char *const verbs[] = {"start",  "begin",    "end", "prepare",
                                        "commit", "rollback", NULL};
    static const enum mys_verb is_verb[] = {MYS_V_XA_START,   MYS_V_XA_START,  MYS_V_XA_END,
                                            MYS_V_XA_PREPARE, MYS_V_XA_COMMIT, MYS_V_XA_ROLLBACK};
    int verb = take_any(s, verbs);
    if (verb < 0)
        return;
    s->ret->verb = is_verb[verb];
    if (!scan_xid(s, &s->ret->xid))
        unsure(s);
}

/* The table where the simple form names one. */
static void scan_dml(struct scan *s, int verb)
{
    static const char *const words[] = {"low_priority", "delayed", "high_priority", "quick",
                                        "ignore",       "into",    "from",          NULL};
    s->ret->verb = MYS_V_DML;
    if (verb >= 4) { /* LOAD, WITH */
        unsure(s);
        return;
    }
    take_all(s, words);
    if (take_table(s) && (is_sign(s, ',') || is(s, "join") || is(s, "inner") || is(s, "left") ||
                          is(s, "right") || is(s, "using") || is_sign(s, '.')))
        unsure(s);
}

static void scan_rollback(struct scan *s)
{
    take(s, "work");
    s->ret->verb = is(s, "to") ? MYS_V_SAVEPOINT : MYS_V_ROLLBACK;
}

/* MariaDB: SET STATEMENT variables FOR statement. Any other SET is no matter. */
static bool enter_set(struct scan *s)
{
    if (!take(s, "statement"))
        return false;
    while (s->tok.kind != END && !is(s, "for"))
        next(s);
    return take(s, "for");
}

static void scan_statement(struct scan *s)
{
    static const char *const dml[] = {"insert", "replace", "update", "delete",
                                      "load",   "with",    NULL};
    static const struct {
        const char *word;
        enum mys_verb verb;
        void (*scan)(struct scan *s);
    } verbs[] = {
        {"begin", MYS_V_BEGIN, NULL},         {"start", MYS_V_BEGIN, NULL},
        {"commit", MYS_V_COMMIT, NULL},       {"rollback", MYS_V_OTHER, scan_rollback},
        {"savepoint", MYS_V_SAVEPOINT, NULL}, {"release", MYS_V_SAVEPOINT, NULL},
        {"xa", MYS_V_OTHER, scan_xa},         {"truncate", MYS_V_OTHER, scan_truncate},
        {"drop", MYS_V_OTHER, scan_drop},     {"rename", MYS_V_OTHER, scan_rename},
        {"alter", MYS_V_OTHER, scan_alter},   {"create", MYS_V_OTHER, scan_create},
    };
    if (take(s, "set") && !enter_set(s))
        return;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!take(s, verbs[i].word))
            continue;
        s->ret->verb = verbs[i].verb;
        if (verbs[i].scan)
            verbs[i].scan(s);
        return;
    }
    int verb = take_any(s, dml);
    if (verb >= 0)
        scan_dml(s, verb);
}

int mys_statement_scan(const struct mys_session *session, struct cdc_slice sql, struct cdc_slice db,
                       struct cdc_arena *arena, struct mys_statement *ret, struct cdc_error *err)
{
    struct scan s = {.session = session, .sql = sql, .db = db, .arena = arena, .ret = ret};
    memset(ret, 0, sizeof *ret);
    next(&s);
    while (is_sign(&s, '(')) /* (SELECT ...) and the like */
        next(&s);
    scan_statement(&s);
    return s.failed ? cdc_fail_oom(err) : CDC_OK;
}
