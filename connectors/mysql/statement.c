/*
 * statement.c - QUERY events: DDL, and changes whose rows are not in the log.
 *
 *   TRUNCATE, DROP TABLE, DROP DATABASE, CREATE OR REPLACE   the rows are gone: a range delete
 *   RENAME, ALTER .. RENAME      what had the name is gone from it: a range delete, unless the
 *                                statement gives the name to another table; who gets it: a gap
 *   ALTER .. PARTITION and the like, DML as a statement, CREATE .. SELECT as one   a gap
 *   CREATE, ALTER with a foreign key whose effects are not logged   links.c
 *   any other DDL                the tables are described anew; src->stale
 *
 * A gap (CDC_OP_GAP) has the engine copy the table anew. A statement that removes rows counts as
 * one raw row, whoever captures what.
 *
 * No text is understood beyond ddl.h: where a statement's tables cannot be told, every captured
 * table of its default database and of those that it names has a gap (DML without a default one:
 * every captured table). RENAME is looked at as a whole: online tools swap two tables in one
 * statement, in any order and over a third name.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#define LOG_US 10000000 /* so often DML as a statement is worth a line */

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

/* What was scanned is in the arena, ours to change. */
static void fold(const struct mys_source *src, const struct mys_statement *stmt)
{
    for (size_t i = 0; i < stmt->n; i++) {
        mys_name_fold(&src->facts, (char *)(uintptr_t)stmt->names[i].db);
        mys_name_fold(&src->facts, (char *)(uintptr_t)stmt->names[i].name);
    }
    for (size_t i = 0; i < stmt->n_dbs; i++)
        mys_name_fold(&src->facts, (char *)(uintptr_t)stmt->dbs[i]);
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
    fold(src, ret);
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
    const struct mys_which which = {.schema = name->db, .name = name->name};
    int rc = mys_rel_now(src, src->srv.sql, &which, ret, err);
    return rc == CDC_END ? CDC_OK : rc;
}

/* The same rows could be emitted again after a cut; a second copy does no harm. */
static bool is_new(const struct mys_source *src)
{
    return !src->tx.skip && src->tx.n >= src->tx.skip_rows;
}

static const char *const unseen = "a statement changed it, whose tables cannot be told";
static const char *const partitions = "an ALTER TABLE has moved rows that are not in the log";
static const char *const as_statement = "a change of it is in the log as a statement, without its "
                                        "rows (binlog_format is not ROW there)";

static const char *const differences =
    "of a JSON document only what changes is in the log, and not what it was before; SET GLOBAL "
    "binlog_row_image = NOBLOB, or SET GLOBAL binlog_row_value_options = ''";

/* Somebody may write like that all day. */
static bool worth_a_line(struct mys_source *src, const char *why)
{
    int64_t now = cdc_mono_us();
    if (why != unseen && why != as_statement && why != differences)
        return true;
    if (src->gap_logged_us && now - src->gap_logged_us < LOG_US)
        return false;
    src->gap_logged_us = now;
    return true;
}

static void tell_gap(struct mys_source *src, const char *db, const char *name, const char *why)
{
    if (worth_a_line(src, why))
        cdc_log(CDC_LOG_WARN, "mysql: table %s.%s: %s; it is copied anew", db, name, why);
}

int mys_gap_lost(struct mys_source *src, struct cdc_batch *batch, struct cdc_table *tab,
                 struct cdc_error *err)
{
    const struct cdc_change *last = batch->n ? &batch->changes[batch->n - 1] : NULL;
    if (last && last->op == CDC_OP_GAP && last->table == tab && last->tx == src->tx.out)
        return CDC_OK; /* one for all of a statement's rows */
    tell_gap(src, tab->schema, tab->name, differences);
    return mys_gap_table(src, batch, tab, err);
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
    tell_gap(src, name->db, name->name, why);
    int rc = mys_gap_table(src, batch, tab, err);
    cdc_table_unref(tab);
    return rc;
}

/* Of which databases? NULL: of all. */
struct dbs {
    const char *first;
    const char *const *more;
    size_t n_more;
};

static bool is_of(const struct dbs *dbs, const char *db)
{
    bool ret = !dbs || strcmp(dbs->first, db) == 0;
    for (size_t i = 0; !ret && i < dbs->n_more; i++)
        ret = strcmp(dbs->more[i], db) == 0;
    return ret;
}

static int gap_listed(struct mys_source *src, struct cdc_batch *batch, const struct dbs *dbs,
                      const char *why, struct cdc_error *err)
{
    struct mys_cat_tables tabs = {.n = 0};
    struct cdc_arena *arena = cdc_arena_new((size_t)64 << 20);
    int rc = arena ? mys_sql(&src->srv, err) : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = mys_catalogue_names(src->srv.sql, src->srv.cfg, arena, &tabs, err);
    for (size_t i = 0; rc == CDC_OK && i < tabs.n; i++) {
        const struct mys_cat_table *tab = &tabs.tabs[i];
        const struct mys_table_name name = {.db = tab->schema, .name = tab->name};
        if (tab->rule && tab->base && is_of(dbs, tab->schema))
            rc = gap(src, batch, &name, why, err);
    }
    cdc_arena_free(arena);
    return rc;
}

int mys_gap_all(struct mys_source *src, struct cdc_batch *batch, const char *db, const char *why,
                struct cdc_error *err)
{
    const struct dbs dbs = {.first = db};
    return gap_listed(src, batch, db ? &dbs : NULL, why, err);
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
    const struct mys_statement *stmt = run->stmt;
    const struct dbs dbs = {.first = run->db, .more = stmt->dbs, .n_more = stmt->n_dbs};
    bool anywhere = stmt->flags & MYS_DBS_MANY || (!*run->db && stmt->verb == MYS_V_DML);
    if (!(stmt->flags & MYS_UNSURE) || !is_new(run->src))
        return CDC_OK;
    return gap_listed(run->src, run->batch, anywhere ? NULL : &dbs, unseen, err);
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

/* Has the table a key now whose effects are not logged? Then it is refused as at a start. */
static int refuse_linked(const struct run *run, const struct mys_table_name *name,
                         struct cdc_error *err)
{
    const struct mys_which which = {.schema = name->db, .name = name->name};
    return is_captured(run->src, name) ? mys_links_refuse(run->src, &which, err) : CDC_OK;
}

/*
 * A foreign key whose effects are not in the log has come. While it is there that is refused; it
 * may have gone again since: what it did until then is mended by a copy.
 */
static int check_linked(const struct run *run, struct cdc_error *err)
{
    const struct mys_table_name *child = run->stmt->names;
    if (!(run->stmt->flags & MYS_LINKED) || run->stmt->n == 0 || !mys_links_matter(run->src) ||
        !is_captured(run->src, child))
        return CDC_OK;
    if (refuse_linked(run, child, err) < 0)
        return CDC_FAIL;
    return gap(run->src, run->batch, child, "it had a foreign key whose effects are not in the log",
               err);
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
        if (gap(run->src, run->batch, moves[i].now, "another table was given its name", err) < 0 ||
            refuse_linked(run, moves[i].now, err) < 0)
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

/* CONVERT TABLE: the second table is a partition of the first now. */
static int swallow(const struct run *run, struct cdc_error *err)
{
    int rc = count(run, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : rc;
    if (range(run->src, run->batch, &run->stmt->names[1], err) < 0 ||
        gap(run->src, run->batch, &run->stmt->names[0], partitions, err) < 0)
        return CDC_FAIL;
    return gap_unsure(run, err);
}

static int alter(const struct run *run, struct cdc_error *err)
{
    if (run->stmt->flags & MYS_SWALLOWED)
        return swallow(run, err);
    if (run->stmt->flags & MYS_ROWS_GONE && gap_names(run, partitions, err) < 0)
        return CDC_FAIL;
    return run->stmt->flags & MYS_RENAMED ? rename_tables(run, err) : CDC_OK;
}

static int create(const struct run *run, struct cdc_error *err)
{
    if (run->stmt->flags & MYS_ROWS_GONE && remove_rows(run, err) < 0)
        return CDC_FAIL;
    return run->stmt->flags & MYS_FILLED ? gap_names(run, as_statement, err) : CDC_OK;
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

static int apply(const struct run *run, struct cdc_error *err)
{
    enum mys_verb verb = run->stmt->verb;
    if (check_linked(run, err) < 0)
        return CDC_FAIL;
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
