/*
 * ddl.c - see ddl.h.
 *
 * Forms that a table's rows can change by without row events are found in ALTER by looking for the
 * words at the level of its clauses, outside of parentheses: RENAME [TO], TRUNCATE, DROP, EXCHANGE
 * and CONVERT PARTITION, DISCARD and IMPORT TABLESPACE, DROP SYSTEM VERSIONING; and ALTER IGNORE. A
 * false alarm there costs a look at the table.
 *
 * With binlog_format=STATEMENT CREATE .. SELECT stands there as it was, and a function that changes
 * tables as the SELECT or DO that calls it. With ROW neither does.
 *
 * What may stand anywhere in a statement is found in a second pass over its tokens (look_over).
 */
#include "ddl_scan.h"

#include <stdio.h>

static void unsure(struct mys_scan *s)
{
    s->ret->flags |= MYS_UNSURE;
}

static void add_name(struct mys_scan *s, const char *db, const char *name)
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
static bool take_table(struct mys_scan *s)
{
    struct mys_token first = s->tok;
    const char *db = NULL;
    if (first.kind != MYS_T_WORD && first.kind != MYS_T_NAME) {
        unsure(s);
        return false;
    }
    mys_next(s);
    if (mys_at_sign(s, '.')) {
        mys_next(s);
        if (s->tok.kind != MYS_T_WORD && s->tok.kind != MYS_T_NAME) {
            unsure(s);
            return false;
        }
        db = mys_name_text(s, &first);
        first = s->tok;
        mys_next(s);
    } else {
        db = (const char *)cdc_arena_copy(s->arena, s->db).p;
    }
    const char *name = mys_name_text(s, &first);
    if (!db || !name)
        s->failed = true;
    else
        add_name(s, db, name);
    return !s->failed;
}

static void take_if_exists(struct mys_scan *s)
{
    static const char *const words[] = {"if", "not", "exists", NULL};
    mys_take_all(s, words);
}

static void take_wait(struct mys_scan *s)
{
    if (mys_take(s, "wait"))
        mys_next(s);
    else
        mys_take(s, "nowait");
}

static void scan_rename(struct mys_scan *s)
{
    static const char *const tables[] = {"table", "tables", NULL};
    if (mys_take_any(s, tables) < 0)
        return; /* RENAME USER */
    s->ret->verb = MYS_V_RENAME;
    do {
        take_if_exists(s);
        if (!take_table(s))
            return;
        take_wait(s);
        if (!mys_take(s, "to"))
            unsure(s);
        else
            take_table(s);
    } while (mys_at_sign(s, ',') && (mys_next(s), true));
}

static void scan_truncate(struct mys_scan *s)
{
    s->ret->verb = MYS_V_TRUNCATE;
    mys_take(s, "table");
    take_table(s);
}

static void scan_drop_tables(struct mys_scan *s)
{
    s->ret->verb = MYS_V_DROP;
    take_if_exists(s);
    do
        if (!take_table(s))
            return;
    while (mys_at_sign(s, ',') && (mys_next(s), true));
}

static void scan_drop_database(struct mys_scan *s)
{
    s->ret->verb = MYS_V_DROP_DATABASE;
    take_if_exists(s);
    if (s->tok.kind == MYS_T_WORD || s->tok.kind == MYS_T_NAME)
        add_name(s, mys_name_text(s, &s->tok), "");
    else
        unsure(s);
}

/* ... INDEX name ON table: the keys of a table change. */
static void scan_index(struct mys_scan *s)
{
    s->ret->verb = MYS_V_ALTER;
    while (s->tok.kind != MYS_T_END && !mys_at(s, "on"))
        mys_next(s);
    if (mys_take(s, "on"))
        take_table(s);
    else
        unsure(s);
}

static void scan_drop(struct mys_scan *s)
{
    static const char *const tables[] = {"table", "tables", NULL};
    static const char *const databases[] = {"database", "schema", NULL};
    if (mys_take(s, "temporary"))
        s->ret->flags |= MYS_TEMPORARY;
    if (mys_take_any(s, tables) >= 0)
        scan_drop_tables(s);
    else if (mys_take_any(s, databases) >= 0)
        scan_drop_database(s);
    else if (mys_take(s, "index"))
        scan_index(s);
}

/* Over everything up to the next comma or the end, parentheses whole. */
static void skip_to_comma(struct mys_scan *s)
{
    unsigned depth = 0;
    for (; s->tok.kind != MYS_T_END; mys_next(s)) {
        depth += mys_at_sign(s, '(');
        if (depth && mys_at_sign(s, ')'))
            depth--;
        if (depth == 0 && mys_at_sign(s, ','))
            return;
    }
}

/* RENAME [TO | AS | =] table, but not RENAME COLUMN, INDEX or KEY. */
static void scan_rename_clause(struct mys_scan *s)
{
    static const char *const others[] = {"column", "index", "key", NULL};
    static const char *const to[] = {"to", "as", NULL};
    if (mys_take_any(s, others) >= 0)
        return;
    if (mys_take_any(s, to) < 0 && mys_at_sign(s, '='))
        mys_next(s);
    if (s->ret->n == 1 && take_table(s))
        s->ret->flags |= MYS_RENAMED;
}

static void scan_exchange(struct mys_scan *s)
{
    s->ret->flags |= MYS_ROWS_GONE;
    while (s->tok.kind != MYS_T_END && !mys_at(s, "with"))
        mys_next(s);
    mys_take(s, "with");
    if (mys_take(s, "table"))
        take_table(s);
}

/* MariaDB: PARTITION p TO TABLE t, or TABLE t TO PARTITION p; but not TO CHARACTER SET. */
static void scan_convert(struct mys_scan *s)
{
    bool out = mys_at(s, "partition");
    if (!out && !mys_at(s, "table"))
        return;
    s->ret->flags |= MYS_ROWS_GONE;
    while (s->tok.kind != MYS_T_END && !mys_at(s, "table"))
        mys_next(s);
    if (mys_take(s, "table") && take_table(s) && !out)
        s->ret->flags |= MYS_SWALLOWED;
}

static void scan_clause(struct mys_scan *s)
{
    static const char *const partition[] = {"partition", NULL};
    static const char *const space[] = {"tablespace", "partition", NULL};
    static const char *const verbs[] = {"rename",  "exchange", "truncate", "drop",
                                        "discard", "import",   "convert",  NULL};
    int verb = mys_take_any(s, verbs);
    if (verb == 0)
        scan_rename_clause(s);
    else if (verb == 1)
        scan_exchange(s);
    else if (verb == 6)
        scan_convert(s);
    else if ((verb == 2 || verb == 3) && mys_take_any(s, partition) >= 0)
        s->ret->flags |= MYS_ROWS_GONE;
    else if (verb == 3 && mys_take(s, "system") &&
             mys_at(s, "versioning")) /* MariaDB: old versions go */
        s->ret->flags |= MYS_ROWS_GONE;
    else if (verb >= 4 && mys_take_any(s, space) >= 0)
        s->ret->flags |= MYS_ROWS_GONE;
}

static void scan_alter(struct mys_scan *s)
{
    static const char *const adverbs[] = {"online", "offline", "ignore", NULL};
    for (int word; (word = mys_take_any(s, adverbs)) >= 0;)
        if (word == 2) /* MariaDB: of rows that a new unique key makes doubles one stays */
            s->ret->flags |= MYS_ROWS_GONE;
    if (!mys_take(s, "table")) {
        s->ret->flags = 0;
        return;
    }
    s->ret->verb = MYS_V_ALTER;
    take_if_exists(s);
    if (!take_table(s))
        return;
    take_wait(s);
    while (s->tok.kind != MYS_T_END) {
        scan_clause(s);
        skip_to_comma(s);
        mys_next(s);
    }
}

static void scan_create(struct mys_scan *s)
{
    static const char *const kinds[] = {"unique", "fulltext", "spatial", "vector", NULL};
    if (mys_take(s, "or") && mys_take(s, "replace"))
        s->ret->flags |= MYS_ROWS_GONE;
    if (mys_take(s, "temporary"))
        s->ret->flags |= MYS_TEMPORARY;
    mys_take_all(s, kinds);
    if (mys_take(s, "index")) {
        s->ret->flags = 0; /* OR REPLACE: no row is touched */
        scan_index(s);
    } else if (mys_take(s, "table")) {
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
static bool xid_part(const struct mys_token *tok, uint8_t *to, uint8_t *ret_len)
{
    size_t n = tok->kind == MYS_T_HEX ? tok->text.len / 2 : tok->text.len;
    if ((tok->kind != MYS_T_HEX && tok->kind != MYS_T_STRING) || n > 64 ||
        (tok->kind == MYS_T_HEX && tok->text.len % 2))
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = 0, low = tok->text.p[i];
        if (tok->kind == MYS_T_HEX) {
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

static bool xid_number(const struct mys_token *tok, uint32_t *ret)
{
    uint64_t val = 0;
    for (size_t i = 0; i < tok->text.len; i++) {
        if (tok->text.p[i] < '0' || tok->text.p[i] > '9' || val > UINT32_MAX)
            return false;
        val = val * 10 + (tok->text.p[i] - '0');
    }
    *ret = (uint32_t)val;
    return tok->kind == MYS_T_WORD && val <= UINT32_MAX;
}

static bool scan_xid(struct mys_scan *s, struct mys_xid *xid)
{
    xid->format = 1;
    if (!xid_part(&s->tok, xid->data, &xid->gtrid_len))
        return false;
    mys_next(s);
    if (!mys_at_sign(s, ','))
        return true;
    mys_next(s);
    if (!xid_part(&s->tok, xid->data + xid->gtrid_len, &xid->bqual_len))
        return false;
    mys_next(s);
    if (!mys_at_sign(s, ','))
        return true;
    mys_next(s);
    return xid_number(&s->tok, &xid->format);
}

static void scan_xa(struct mys_scan *s)
{
    static const char *const verbs[] = {"start",  "begin",    "end", "prepare",
                                        "commit", "rollback", NULL};
    static const enum mys_verb is_verb[] = {MYS_V_XA_START,   MYS_V_XA_START,  MYS_V_XA_END,
                                            MYS_V_XA_PREPARE, MYS_V_XA_COMMIT, MYS_V_XA_ROLLBACK};
    int verb = mys_take_any(s, verbs);
    if (verb < 0)
        return;
    s->ret->verb = is_verb[verb];
    if (!scan_xid(s, &s->ret->xid))
        unsure(s);
}

/* UPDATE t [PARTITION (..)] [[AS] u] SET: else there are more tables, or `u` is one of them. */
static bool is_one_updated(struct mys_scan *s)
{
    if (mys_take(s, "partition"))
        while (s->tok.kind != MYS_T_END && !mys_at_sign(s, ')'))
            mys_next(s);
    if (mys_at_sign(s, ')'))
        mys_next(s);
    if (!mys_at(s, "set")) {
        mys_take(s, "as");
        mys_next(s);
    }
    return mys_at(s, "set");
}

/* The table where the simple form names one: INSERT [INTO] t, UPDATE t SET, DELETE FROM t. */
static void scan_dml(struct mys_scan *s, int verb)
{
    static const char *const words[] = {"low_priority", "delayed", "high_priority",
                                        "quick",        "ignore",  NULL};
    enum { UPDATE = 2, DELETE = 3 };
    s->ret->verb = MYS_V_DML;
    if (verb > DELETE) { /* LOAD, WITH, and what calls functions */
        unsure(s);
        return;
    }
    mys_take_all(s, words);
    if (verb < UPDATE)
        mys_take(s, "into");
    bool one = verb != DELETE || mys_take(s, "from");
    if (!take_table(s))
        return;
    if (verb == UPDATE)
        one = is_one_updated(s);
    else if (verb == DELETE)
        one &= !mys_at_sign(s, ',') && !mys_at_sign(s, '.') && !mys_at(s, "using");
    if (!one)
        unsure(s);
}

static void scan_rollback(struct mys_scan *s)
{
    mys_take(s, "work");
    s->ret->verb = mys_at(s, "to") ? MYS_V_SAVEPOINT : MYS_V_ROLLBACK;
}

/* MariaDB: SET STATEMENT variables FOR statement. Any other SET is no matter. */
static bool enter_set(struct mys_scan *s)
{
    if (!mys_take(s, "statement"))
        return false;
    while (s->tok.kind != MYS_T_END && !mys_at(s, "for"))
        mys_next(s);
    return mys_take(s, "for");
}

static void scan_statement(struct mys_scan *s)
{
    static const char *const dml[] = {"insert", "replace", "update", "delete", "load",
                                      "with",   "select",  "do",     NULL};
    static const struct {
        const char *word;
        enum mys_verb verb;
        void (*scan)(struct mys_scan *s);
    } verbs[] = {
        {"begin", MYS_V_BEGIN, NULL},         {"start", MYS_V_BEGIN, NULL},
        {"commit", MYS_V_COMMIT, NULL},       {"rollback", MYS_V_OTHER, scan_rollback},
        {"savepoint", MYS_V_SAVEPOINT, NULL}, {"release", MYS_V_SAVEPOINT, NULL},
        {"xa", MYS_V_OTHER, scan_xa},         {"truncate", MYS_V_OTHER, scan_truncate},
        {"drop", MYS_V_OTHER, scan_drop},     {"rename", MYS_V_OTHER, scan_rename},
        {"alter", MYS_V_OTHER, scan_alter},   {"create", MYS_V_OTHER, scan_create},
    };
    if (mys_take(s, "set") && !enter_set(s))
        return;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!mys_take(s, verbs[i].word))
            continue;
        s->ret->verb = verbs[i].verb;
        if (verbs[i].scan)
            verbs[i].scan(s);
        return;
    }
    int verb = mys_take_any(s, dml);
    if (verb >= 0)
        scan_dml(s, verb);
}

/* ---- the second pass ---- */

/* ON DELETE or ON UPDATE CASCADE, SET NULL, SET DEFAULT; the present token is the ON. */
static bool is_link(struct mys_scan *s)
{
    static const char *const events[] = {"delete", "update", NULL};
    static const char *const values[] = {"null", "default", NULL};
    if (!mys_take(s, "on") || mys_take_any(s, events) < 0)
        return false;
    return mys_at(s, "cascade") || (mys_take(s, "set") && mys_take_any(s, values) >= 0);
}

/* [AS] SELECT; AS TABLE and AS VALUES, without which these words mean other things. */
static bool is_query(struct mys_scan *s)
{
    if (mys_take(s, "select"))
        return true;
    if (!mys_take(s, "as"))
        return false;
    while (mys_at_sign(s, '('))
        mys_next(s);
    return mys_at(s, "select") || mys_at(s, "table") || mys_at(s, "values") || mys_at(s, "with");
}

static bool is_number(const struct mys_token *tok)
{
    size_t n = 0;
    while (n < tok->text.len && tok->text.p[n] >= '0' && tok->text.p[n] <= '9')
        n++;
    return tok->kind == MYS_T_WORD && n == tok->text.len;
}

static void add_db(struct mys_scan *s, const struct mys_token *tok)
{
    struct mys_statement *ret = s->ret;
    const char *name = mys_name_text(s, tok);
    size_t i = 0;
    if (!ret->dbs)
        ret->dbs = cdc_arena_alloc(s->arena, MYS_DBS_MOST * sizeof *ret->dbs);
    s->failed |= !ret->dbs;
    if (s->failed)
        return;
    while (i < ret->n_dbs && strcmp(ret->dbs[i], name) != 0)
        i++;
    if (i == MYS_DBS_MOST)
        ret->flags |= MYS_DBS_MANY;
    else if (i == ret->n_dbs)
        ret->dbs[ret->n_dbs++] = name;
}

static void find_dbs(struct mys_scan *s)
{
    bool behind_dot = false;
    while (s->tok.kind != MYS_T_END && !s->failed && !(s->ret->flags & MYS_DBS_MANY)) {
        struct mys_token tok = s->tok;
        mys_next(s);
        if (!behind_dot && mys_at_sign(s, '.') &&
            (tok.kind == MYS_T_NAME || tok.kind == MYS_T_WORD) && !is_number(&tok))
            add_db(s, &tok);
        behind_dot = tok.kind == MYS_T_SIGN && tok.text.p[0] == '.';
    }
}

static void find_clauses(struct mys_scan *s)
{
    while (s->tok.kind != MYS_T_END) {
        if (mys_at(s, "on"))
            s->ret->flags |= is_link(s) ? MYS_LINKED : 0;
        else if (s->ret->verb == MYS_V_CREATE && (mys_at(s, "as") || mys_at(s, "select")))
            s->ret->flags |= is_query(s) ? MYS_FILLED : 0;
        else
            mys_next(s);
    }
}

static void begin_again(struct mys_scan *s)
{
    s->at = 0;
    mys_next(s);
}

static void look_over(struct mys_scan *s)
{
    if (s->ret->verb == MYS_V_CREATE || s->ret->verb == MYS_V_ALTER) {
        begin_again(s);
        find_clauses(s);
    }
    if (s->ret->flags & MYS_UNSURE) {
        begin_again(s);
        find_dbs(s);
    }
}

int mys_statement_scan(const struct mys_session *session, struct cdc_slice sql, struct cdc_slice db,
                       struct cdc_arena *arena, struct mys_statement *ret, struct cdc_error *err)
{
    struct mys_scan s = {.session = session, .sql = sql, .db = db, .arena = arena, .ret = ret};
    memset(ret, 0, sizeof *ret);
    mys_next(&s);
    while (mys_at_sign(&s, '(')) /* (SELECT ...) and the like */
        mys_next(&s);
    scan_statement(&s);
    look_over(&s);
    return s.failed ? cdc_fail_oom(err) : CDC_OK;
}
