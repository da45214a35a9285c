/*
 * statement.c - QUERY events: DDL, and changes whose rows are not in the log.
 *
 *   TRUNCATE, DROP TABLE, DROP DATABASE, CREATE OR REPLACE   the rows are gone: a range delete
 *   RENAME, ALTER .. RENAME      what had the name is gone from it: a range delete, unless the
 *                                statement gives the name to another table; who gets it: a gap
 *   ALTER .. PARTITION and the like, DML as a statement, CREATE .. SELECT as one   a gap
 *   any other DDL                the tables are described anew; src->stale
 *
 * A gap (CDC_OP_GAP) has the engine copy the table anew. A statement that removes rows counts as
 * one raw row, whoever captures what.
 *
 * Nothing here is fatal, and no text is understood beyond ddl.h: where a statement's tables cannot
 * be told, every captured table of its default database has a gap (DML without one: every captured
 * table). RENAME is looked at as a whole:
 * online tools swap two tables in one statement, in any order and over a third name.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <strings.h>

#define FILLED (1u << 16) /* CREATE: with rows that are not in the log */
#define LINKED (1u << 17) /* CREATE, ALTER: a foreign key that changes rows by itself */
#define LOG_US 10000000   /* so often DML as a statement is worth a line */

/* ---- reading ---- */

/* As UTF-8; as it is where that cannot be made. */
static struct cdc_slice recoded(uint32_t collation, struct cdc_slice sql, struct cdc_arena *arena)
{
    const struct mys_charset *set = collation ? mys_charset_by_id(collation) : NULL;
    struct mys_recode recode;
    struct cdc_slice text;
    if (!set || mys_recode_init(&recode, set, NULL) != CDC_OK)
        return sql;
    if (mys_recode(&recode, sql, arena, &text) != CDC_OK)
        text = sql;
    mys_recode_done(&recode);
    return text;
}

static bool is_letter(uint8_t c)
{
    return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Behind the comments that it begins with. */
static size_t skip_comments(struct cdc_slice text)
{
    size_t at = 0, i = 0;
    while (i < text.len) {
        if (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')) {
            at = ++i;
            continue;
        }
        if (i + 2 >= text.len || memcmp(text.p + i, "/*", 2) != 0 || text.p[i + 2] == '!')
            break;
        for (i += 2; i + 1 < text.len && memcmp(text.p + i, "*/", 2) != 0;)
            i++;
        if (i + 1 >= text.len) /* it does not end */
            break;
        at = i += 2;
    }
    return at;
}

/* Does the word stand there? Also in a name or a comment: then a table is copied for nothing. */
static bool has_word(struct cdc_slice text, const char *word, bool first)
{
    size_t n = strlen(word);
    for (size_t i = first ? skip_comments(text) : 0; i + n <= text.len; i++) {
        bool alone = (i == 0 || !is_letter(text.p[i - 1])) &&
                     (i + n == text.len || !is_letter(text.p[i + n]));
        if (alone && strncasecmp((const char *)text.p + i, word, n) == 0)
            return true;
        if (first && is_letter(text.p[i]))
            return false;
    }
    return false;
}

/*
 * What the scan does not tell apart: with binlog_format=STATEMENT CREATE .. SELECT stands there as
 * it was, and a function that changes tables as the SELECT or DO that calls it. With ROW neither
 * does.
 */
static void refine(struct cdc_slice sql, struct mys_statement *stmt)
{
    if (stmt->verb == MYS_V_CREATE && has_word(sql, "select", false))
        stmt->flags |= FILLED;
    if ((stmt->verb == MYS_V_CREATE || stmt->verb == MYS_V_ALTER) &&
        has_word(sql, "references", false) &&
        (has_word(sql, "cascade", false) || has_word(sql, "set null", false)))
        stmt->flags |= LINKED;
    if (stmt->verb != MYS_V_OTHER || !(has_word(sql, "select", true) || has_word(sql, "do", true)))
        return;
    stmt->verb = MYS_V_DML;
    stmt->flags |= MYS_UNSURE;
}

int mys_statement_read(struct mys_source *src, const struct mys_event *ev, struct cdc_arena *arena,
                       struct mys_statement *ret, struct cdc_error *err)
{
    struct mys_session session;
    struct cdc_slice sql = ev->query.sql;
    mys_session_read(ev->query.status, &session);
    if (ev->query.packed && mys_unpack(arena, sql, src->srv.max_row, &sql, err) < 0)
        return CDC_FAIL;
    sql = recoded(session.collation, sql, arena);
    if (mys_statement_scan(&session, sql, ev->query.db, arena, ret, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < ret->n; i++) { /* in the arena, ours to change */
        mys_name_fold(&src->facts, (char *)(uintptr_t)ret->names[i].db);
        mys_name_fold(&src->facts, (char *)(uintptr_t)ret->names[i].name);
    }
    refine(sql, ret);
    return CDC_OK;
}

/* ---- tables ---- */

static bool is_captured(const struct mys_source *src, const struct mys_table_name *name)
{
    return !mys_is_system(name->db) &&
           cdc_capture_match(src->srv.cfg->capture, name->db, name->name) != NULL;
}

static bool same_name(const struct mys_table_name *a, const struct mys_table_name *b)
{
    return strcmp(a->db, b->db) == 0 && strcmp(a->name, b->name) == 0;
}

static int add(struct mys_source *src, struct cdc_batch *batch, enum cdc_op op,
               struct cdc_table *tab, struct cdc_error *err)
{
    const struct cdc_tx *tx = mys_tx_out(src, batch);
    struct cdc_change *chg = tx ? cdc_batch_add(batch, tab) : NULL;
    if (!chg)
        return cdc_fail_oom(err);
    chg->op = (uint8_t)op;
    chg->tx = tx;
    chg->ordinal = src->tx.n;
    src->tx.rows = true;
    return CDC_OK;
}

int mys_gap_table(struct mys_source *src, struct cdc_batch *batch, struct cdc_table *tab,
                  struct cdc_error *err)
{
    return add(src, batch, CDC_OP_GAP, tab, err);
}

/* All rows of the table, if it ever had one for us. */
static int range(struct mys_source *src, struct cdc_batch *batch, const struct mys_table_name *name,
                 struct cdc_error *err)
{
    struct cdc_table *tab = NULL;
    if (!is_captured(src, name))
        return CDC_OK;
    if (mys_rel_by_name(src, name->db, name->name, &tab, err) < 0)
        return CDC_FAIL;
    int rc = tab ? add(src, batch, CDC_OP_RANGE, tab, err) : CDC_OK;
    cdc_table_unref(tab);
    return rc;
}

/* As known, else as the catalogue has it; NULL with CDC_OK: there is none, or not for us. */
static int find_table(struct mys_source *src, const struct mys_table_name *name,
                      struct cdc_table **ret, struct cdc_error *err)
{
    *ret = NULL;
    if (!is_captured(src, name))
        return CDC_OK;
    if (mys_rel_by_name(src, name->db, name->name, ret, err) < 0)
        return CDC_FAIL;
    if (*ret)
        return CDC_OK;
    if (mys_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    int rc = mys_rel_now(src, src->srv.sql, name->db, name->name, ret, NULL, err);
    return rc == CDC_END ? CDC_OK : rc;
}

/* The same rows could be emitted again after a cut; a second copy does no harm. */
static bool is_new(const struct mys_source *src)
{
    return !src->tx.skip && src->tx.n >= src->tx.skip_rows;
}

static const char *const unseen = "a statement changed it, whose tables cannot be told";
static const char *const as_statement = "a change of it is in the log as a statement, without its "
                                        "rows (binlog_format is not ROW there)";

/* Somebody may write like that all day. */
static bool worth_a_line(struct mys_source *src, const char *why)
{
    int64_t now = cdc_mono_us();
    if (why != unseen && why != as_statement)
        return true;
    if (src->gap_logged_us && now - src->gap_logged_us < LOG_US)
        return false;
    src->gap_logged_us = now;
    return true;
}

static int gap(struct mys_source *src, struct cdc_batch *batch, const struct mys_table_name *name,
               const char *why, struct cdc_error *err)
{
    struct cdc_table *tab;
    if (!is_new(src))
        return CDC_OK;
    if (find_table(src, name, &tab, err) < 0)
        return CDC_FAIL;
    if (!tab)
        return CDC_OK;
    if (worth_a_line(src, why))
        cdc_log(CDC_LOG_WARN, "mysql: table %s.%s: %s; it is copied anew", name->db, name->name,
                why);
    int rc = mys_gap_table(src, batch, tab, err);
    cdc_table_unref(tab);
    return rc;
}

static int gap_listed(struct mys_source *src, struct cdc_batch *batch, const char *db,
                      const char *why, struct cdc_arena *arena, struct cdc_error *err)
{
    struct mys_cat_table *tabs;
    size_t n;
    if (mys_sql(&src->srv, err) < 0 ||
        mys_catalogue_names(src->srv.sql, src->srv.cfg, arena, &tabs, &n, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < n; i++) {
        struct mys_table_name name = {
            .db = cdc_arena_strdup(arena, tabs[i].schema),
            .name = cdc_arena_strdup(arena, tabs[i].name),
        };
        if (!name.db || !name.name)
            return cdc_fail_oom(err);
        mys_name_fold(&src->facts, (char *)(uintptr_t)name.db);
        mys_name_fold(&src->facts, (char *)(uintptr_t)name.name);
        if (!tabs[i].rule || !tabs[i].base || (db && strcmp(db, name.db) != 0))
            continue;
        if (gap(src, batch, &name, why, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

int mys_gap_all(struct mys_source *src, struct cdc_batch *batch, const char *db, const char *why,
                struct cdc_error *err)
{
    struct cdc_arena *arena = cdc_arena_new((size_t)64 << 20);
    int rc = arena ? gap_listed(src, batch, db, why, arena, err) : cdc_fail_oom(err);
    cdc_arena_free(arena);
    return rc;
}

/* ---- what a statement does ---- */

struct run {
    struct mys_source *src;
    struct cdc_batch *batch;
    const struct mys_event *ev;
    const struct mys_statement *stmt;
    char *db; /* the default database, folded; owned */
};

/* What cannot be told of the statement's tables. Without a default database they may be anywhere.
 */
static int gap_unsure(const struct run *run, struct cdc_error *err)
{
    if (!(run->stmt->flags & MYS_UNSURE) || !is_new(run->src))
        return CDC_OK;
    if (!*run->db && run->stmt->verb != MYS_V_DML)
        return CDC_OK;
    return mys_gap_all(run->src, run->batch, *run->db ? run->db : NULL, unseen, err);
}

static int gap_names(const struct run *run, const char *why, struct cdc_error *err)
{
    for (size_t i = 0; i < run->stmt->n; i++)
        if (gap(run->src, run->batch, &run->stmt->names[i], why, err) < 0)
            return CDC_FAIL;
    return gap_unsure(run, err);
}

/* Counts it. CDC_END: it is out. */
static int count(const struct run *run, struct cdc_error *err)
{
    return mys_count_row(run->src, run->ev->query.sql, err);
}

static int remove_rows(const struct run *run, struct cdc_error *err)
{
    int rc = count(run, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : rc;
    for (size_t i = 0; i < run->stmt->n; i++)
        if (range(run->src, run->batch, &run->stmt->names[i], err) < 0)
            return CDC_FAIL;
    return gap_unsure(run, err);
}

/* The tables of the database that are known, in the arena: keys of the checkpoint. */
static int known_of(struct mys_source *src, const char *db, struct cdc_arena *arena,
                    struct mys_table_name **ret, size_t *ret_n)
{
    const char *prefix = cdc_arena_printf(arena, "table/%s.", db);
    struct cdc_slice key;
    size_t n = prefix ? strlen(prefix) : 0;
    *ret_n = 0;
    pthread_mutex_lock(&src->known_lock);
    *ret = cdc_arena_alloc(arena, (src->known.n + 1) * sizeof **ret);
    for (size_t i = 0; prefix && *ret && i < src->known.n; i++) {
        key = src->known.items[i].key;
        if (key.len <= n || memcmp(key.p, prefix, n) != 0)
            continue;
        key = cdc_arena_copy(arena, cdc_slice_of(key.p + n, key.len - n));
        if (!key.p)
            prefix = NULL;
        (*ret)[(*ret_n)++] = (struct mys_table_name){.db = db, .name = (const char *)key.p};
    }
    pthread_mutex_unlock(&src->known_lock);
    return prefix && *ret ? CDC_OK : CDC_FAIL;
}

static int remove_known(const struct run *run, const char *db, struct cdc_arena *arena,
                        struct cdc_error *err)
{
    struct mys_table_name *names;
    size_t n;
    if (known_of(run->src, db, arena, &names, &n) < 0)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < n; i++)
        if (range(run->src, run->batch, &names[i], err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static int drop_database(const struct run *run, struct cdc_error *err)
{
    int rc = count(run, err);
    if (rc != CDC_OK || run->stmt->n == 0)
        return rc == CDC_END ? CDC_OK : rc;
    struct cdc_arena *arena = cdc_arena_new((size_t)64 << 20);
    rc = arena ? remove_known(run, run->stmt->names[0].db, arena, err) : cdc_fail_oom(err);
    cdc_arena_free(arena);
    return rc;
}

/* Which table has which name in the end: `now` of the one that was `was`. */
struct moved {
    const struct mys_table_name *was, *now;
};

static size_t follow(const struct mys_statement *stmt, struct moved *moves)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < stmt->n; i += 2) {
        const struct mys_table_name *from = &stmt->names[i];
        size_t j = 0;
        while (j < n && !same_name(moves[j].now, from))
            j++;
        if (j == n)
            moves[n++].was = from;
        moves[j].now = &stmt->names[i + 1];
    }
    return n;
}

static bool is_taken(const struct moved *moves, size_t n, const struct mys_table_name *name)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(moves[i].now, name))
            return true;
    return false;
}

static int apply_moves(const struct run *run, const struct moved *moves, size_t n,
                       struct cdc_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (same_name(moves[i].was, moves[i].now))
            continue;
        if (!is_taken(moves, n, moves[i].was) && range(run->src, run->batch, moves[i].was, err) < 0)
            return CDC_FAIL;
        if (gap(run->src, run->batch, moves[i].now, "another table was given its name", err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static int rename_tables(const struct run *run, struct cdc_error *err)
{
    int rc = count(run, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : rc;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    struct moved *moves = arena ? cdc_arena_alloc(arena, (run->stmt->n + 1) * sizeof *moves) : NULL;
    rc = moves ? apply_moves(run, moves, follow(run->stmt, moves), err) : cdc_fail_oom(err);
    cdc_arena_free(arena);
    return rc == CDC_OK ? gap_unsure(run, err) : rc;
}

static int alter(const struct run *run, struct cdc_error *err)
{
    if (run->stmt->flags & MYS_ROWS_GONE &&
        gap_names(run, "an ALTER TABLE has moved rows that are not in the log", err) < 0)
        return CDC_FAIL;
    return run->stmt->flags & MYS_RENAMED ? rename_tables(run, err) : CDC_OK;
}

static int create(const struct run *run, struct cdc_error *err)
{
    if (run->stmt->flags & MYS_ROWS_GONE && remove_rows(run, err) < 0)
        return CDC_FAIL;
    return run->stmt->flags & FILLED ? gap_names(run, as_statement, err) : CDC_OK;
}

static bool concerns(const struct run *run)
{
    for (size_t i = 0; i < run->stmt->n; i++)
        if (is_captured(run->src, &run->stmt->names[i]))
            return true;
    return run->stmt->flags & MYS_UNSURE;
}

/* `accept: statements`: somebody knows, and wants no copies. */
static void accepted(struct mys_source *src)
{
    if (worth_a_line(src, as_statement))
        cdc_log(CDC_LOG_WARN, "mysql: changes of captured tables are in the log as statements, "
                              "without their rows, and are not captured (accept: statements)");
}

static int change_rows(const struct run *run, struct cdc_error *err)
{
    if (!concerns(run))
        return CDC_OK;
    if (!(run->src->srv.accept & MYS_ACCEPT_STATEMENTS))
        return gap_names(run, as_statement, err);
    accepted(run->src);
    return CDC_OK;
}

/* At a start such a table is refused (resume.c); here it is too late for that. */
static void tell_linked(const struct run *run)
{
    const struct mys_source *src = run->src;
    const struct mys_table_name *name = run->stmt->names;
    if (!(run->stmt->flags & LINKED) || run->stmt->n == 0 || src->facts.cascades ||
        src->srv.accept & MYS_ACCEPT_CASCADES || !is_captured(src, name))
        return;
    cdc_log(CDC_LOG_WARN,
            "mysql: table %s.%s has got a foreign key with CASCADE or SET NULL: what that changes "
            "is not in this server's log, so it is missing from here on, and the next start "
            "refuses. Make the key RESTRICT and run `sidestream snapshot` for the table, or set "
            "source.accept: [cascades]",
            name->db, name->name);
}

static int apply(const struct run *run, struct cdc_error *err)
{
    enum mys_verb verb = run->stmt->verb;
    tell_linked(run);
    if (verb >= MYS_V_CREATE && verb <= MYS_V_DROP && concerns(run))
        run->src->stale = true;
    switch (verb) {
    case MYS_V_CREATE: return create(run, err);
    case MYS_V_ALTER: return alter(run, err);
    case MYS_V_RENAME: return rename_tables(run, err);
    case MYS_V_TRUNCATE:
    case MYS_V_DROP: return remove_rows(run, err);
    case MYS_V_DROP_DATABASE: return drop_database(run, err);
    case MYS_V_DML: return change_rows(run, err);
    default: return CDC_OK;
    }
}

int mys_statement_apply(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                        const struct mys_statement *stmt, struct cdc_error *err)
{
    struct cdc_buf db = CDC_BUF(1024);
    struct run run = {.src = src, .batch = batch, .ev = ev, .stmt = stmt};
    if (stmt->flags & MYS_TEMPORARY || src->tx.skip)
        return CDC_OK;
    cdc_buf_put(&db, ev->query.db.p, ev->query.db.len);
    run.db = (char *)(uintptr_t)cdc_buf_cstr(&db);
    if (!run.db)
        return cdc_fail_oom(err);
    mys_name_fold(&src->facts, run.db);
    int rc = apply(&run, err);
    cdc_buf_done(&db);
    return rc;
}
