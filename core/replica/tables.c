/*
 * tables.c - the tables of the database: found or loaded, their columns' names, their statements.
 *
 * What a table looks like is asked of SQLite itself (pragma_table_info), so that no second truth
 * exists; only what SQLite cannot say lies in _sidestream and _sidestream_columns.
 *
 * Names: SQLite compares names without regard to case (ASCII), sources often do not. The second of
 * two such names gets a suffix: "A" beside "a" becomes "A_2".
 */
#include "replica/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const mode_names[] = {"soft", "hard", "append"};

static char *with_suffix(const char *name, unsigned n)
{
    size_t size = strlen(name) + 16;
    char *ret = malloc(size);
    if (ret && n == 1)
        snprintf(ret, size, "%s", name);
    else if (ret)
        snprintf(ret, size, "%s_%u", name, n);
    return ret;
}

int rep_table_find(const struct rep_table *tab, const char *source)
{
    for (size_t i = 0; i < tab->n; i++)
        if (strcmp(tab->cols[i].source, source) == 0)
            return (int)i;
    return -1;
}

static bool column_taken(const struct rep_table *tab, const char *name)
{
    for (size_t i = 0; i < tab->n; i++)
        if (sqlite3_stricmp(tab->cols[i].name, name) == 0)
            return true;
    return false;
}

/* Adds to cols alone. Takes the strings, also on failure. */
static int push(struct rep_table *tab, char *source, char *name, const char *type,
                struct cdc_error *err)
{
    struct rep_col *cols = realloc(tab->cols, (tab->n + 1) * sizeof *cols);
    if (cols)
        tab->cols = cols;
    if (!cols || !source || !name) {
        free(source);
        free(name);
        return cdc_fail_oom(err);
    }
    cols[tab->n++] = (struct rep_col){.source = source, .name = name, .type = type};
    return CDC_OK;
}

int rep_table_add(struct cdc_replica *rep, struct rep_table *tab, const struct cdc_row_column *col,
                  struct cdc_error *err)
{
    char *name = with_suffix(col->name, 1);
    for (unsigned n = 2; name && column_taken(tab, name); n++) {
        free(name);
        name = with_suffix(col->name, n);
    }
    if (push(tab, strdup(col->name), name, rep_affinity(col->kind), err))
        return CDC_FAIL;
    if (strcmp(name, col->name) == 0)
        return CDC_OK;
    const char *params[] = {tab->source, col->name, name};
    return rep_run(rep, "INSERT OR REPLACE INTO _sidestream_columns VALUES (?, ?, ?)", params, 3,
                   err);
}

int rep_table_save(struct cdc_replica *rep, const struct rep_table *tab, struct cdc_error *err)
{
    char version[16];
    snprintf(version, sizeof version, "%u", tab->version);
    const char *params[] = {tab->source,
                            tab->name,
                            version,
                            mode_names[tab->deletes],
                            tab->range.seq[0] ? tab->range.seq : NULL,
                            tab->range.deleted_at,
                            tab->range.reason,
                            tab->range.updated_at,
                            tab->range.synced_at};
    return rep_run(rep,
                   "INSERT OR REPLACE INTO _sidestream VALUES"
                   " (?1, ?2, CAST(?3 AS INTEGER), ?4, ?5, ?6, ?7, ?8, ?9)",
                   params, 9, err);
}

/* The type as a constant of ours; a table is made by us, so it is one of these. */
static const char *known_type(const char *type)
{
    static const char *const types[] = {"INTEGER", "REAL", "BLOB"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (type && strcmp(type, types[i]) == 0)
            return types[i];
    return "TEXT";
}

static int load_columns(struct cdc_replica *rep, struct rep_table *tab, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep,
                    "SELECT t.name, t.type, t.pk, coalesce(c.\"column\", t.name)"
                    " FROM pragma_table_info(?1) t LEFT JOIN _sidestream_columns c"
                    " ON c.\"table\" = ?2 AND c.name = t.name ORDER BY t.cid",
                    &stmt, err))
        return CDC_FAIL;
    sqlite3_bind_text(stmt, 1, tab->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, tab->source, -1, SQLITE_STATIC);
    int rc, status = CDC_OK;
    while (!status && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *type = known_type((const char *)sqlite3_column_text(stmt, 1));
        status = push(tab, rep_column_dup(stmt, 3), rep_column_dup(stmt, 0), type, err);
        if (!status)
            tab->cols[tab->n - 1].key = (uint16_t)sqlite3_column_int(stmt, 2);
    }
    if (!status && rc != SQLITE_DONE)
        status = rep_fail(rep, err, "cannot read the table's columns");
    sqlite3_finalize(stmt);
    if (!status && tab->n == 0)
        status = cdc_fail(err, CDC_OPERATOR, rep->path,
                          "the replica's table for %s is gone though it was not dropped by "
                          "sidestream; name another file to build the replica again",
                          tab->source);
    return status;
}

static int load_key(struct rep_table *tab, struct cdc_error *err)
{
    for (size_t i = 0; i < tab->n; i++)
        tab->n_key += tab->cols[i].key != 0;
    tab->key = calloc(tab->n_key + 1, sizeof *tab->key);
    if (!tab->key)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < tab->n; i++)
        if (tab->cols[i].key)
            tab->key[tab->cols[i].key - 1] = (uint16_t)i;
    return CDC_OK;
}

static void load_state(struct rep_table *tab, sqlite3_stmt *stmt)
{
    const char *mode = (const char *)sqlite3_column_text(stmt, 2);
    const char *seq = (const char *)sqlite3_column_text(stmt, 3);
    tab->name = rep_column_dup(stmt, 0);
    tab->version = (uint32_t)sqlite3_column_int64(stmt, 1);
    for (int i = 0; i < 3; i++)
        if (mode && strcmp(mode, mode_names[i]) == 0)
            tab->deletes = (enum cdc_deletes)i;
    snprintf(tab->range.seq, sizeof tab->range.seq, "%s", seq ? seq : "");
    tab->range.deleted_at = rep_column_dup(stmt, 4);
    tab->range.reason = rep_column_dup(stmt, 5);
    tab->range.updated_at = rep_column_dup(stmt, 6);
    tab->range.synced_at = rep_column_dup(stmt, 7);
}

/* A name that no table of the database has: the source's, or with a suffix. */
static int choose_name(struct cdc_replica *rep, struct rep_table *tab, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep, "SELECT 1 FROM sqlite_master WHERE lower(name) = lower(?)", &stmt, err))
        return CDC_FAIL;
    /* Names that begin with sqlite_ are SQLite's own. */
    const char *prefix = sqlite3_strnicmp(tab->source, "sqlite_", 7) == 0 ? "_" : "";
    struct cdc_buf base = CDC_BUF(1024);
    cdc_buf_printf(&base, "%s%s", prefix, tab->source);
    const char *text = cdc_buf_cstr(&base);
    int rc = SQLITE_ROW;
    for (unsigned n = 1; text && rc == SQLITE_ROW; n++) {
        free(tab->name);
        tab->name = with_suffix(text, n);
        sqlite3_reset(stmt);
        sqlite3_bind_text(stmt, 1, tab->name, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    cdc_buf_done(&base);
    if (!tab->name)
        return cdc_fail_oom(err);
    return rc == SQLITE_DONE ? CDC_OK : rep_fail(rep, err, "cannot read the list of tables");
}

static int load(struct cdc_replica *rep, struct rep_table *tab, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep,
                    "SELECT name, version, deletes, t_seq, t_deleted_at, t_reason, t_updated_at,"
                    " t_synced_at FROM _sidestream WHERE \"table\" = ?",
                    &stmt, err))
        return CDC_FAIL;
    sqlite3_bind_text(stmt, 1, tab->source, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        load_state(tab, stmt);
    else if (rc != SQLITE_DONE)
        rep_fail(rep, err, "cannot read the list of tables");
    sqlite3_finalize(stmt);
    if (rc == SQLITE_DONE)
        return choose_name(rep, tab, err);
    if (rc != SQLITE_ROW)
        return CDC_FAIL;
    return load_columns(rep, tab, err) || load_key(tab, err) ? CDC_FAIL : CDC_OK;
}

static bool is_table(const struct rep_table *tab, const struct cdc_row_schema *schema)
{
    size_t n = strlen(schema->table_schema);
    return strncmp(tab->source, schema->table_schema, n) == 0 && tab->source[n] == '.' &&
           strcmp(tab->source + n + 1, schema->table_name) == 0;
}

static int find(struct cdc_replica *rep, const struct cdc_row_schema *schema,
                struct rep_table **ret, struct cdc_error *err)
{
    for (struct rep_table **at = &rep->tables; *at; at = &(*at)->next) {
        struct rep_table *tab = *at;
        if (!is_table(tab, schema))
            continue;
        *at = tab->next; /* to the front: rows come in runs */
        tab->next = rep->tables;
        *ret = rep->tables = tab;
        return CDC_OK;
    }
    struct rep_table *tab = calloc(1, sizeof *tab);
    size_t len = strlen(schema->table_schema) + strlen(schema->table_name) + 2;
    if (tab)
        tab->source = malloc(len);
    if (!tab || !tab->source) {
        free(tab);
        return cdc_fail_oom(err);
    }
    snprintf(tab->source, len, "%s.%s", schema->table_schema, schema->table_name);
    tab->next = rep->tables;
    *ret = rep->tables = tab;
    return load(rep, tab, err);
}

int rep_table_of(struct cdc_replica *rep, const struct cdc_row_schema *schema,
                 enum cdc_deletes deletes, struct rep_table **ret, struct cdc_error *err)
{
    struct rep_table *tab = NULL;
    if (find(rep, schema, &tab, err))
        return CDC_FAIL;
    if (schema->n_key == 0)
        deletes = CDC_DELETES_APPEND;
    if (tab->stamp != schema->stamp || tab->deletes != deletes)
        if (rep_fit(rep, tab, schema, deletes, err))
            return CDC_FAIL;
    *ret = tab;
    return CDC_OK;
}

/* The text of one of a table's statements. Parameters ?1..?n are the columns; keys come as said. */
static void put_sql(struct cdc_buf *sql, const struct rep_table *tab, enum rep_stmt which)
{
    static const char *const verbs[] = {"SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ",
                                        "UPDATE "};
    cdc_buf_str(sql, verbs[which]);
    if (which == REP_SELECT) {
        rep_put_columns(sql, tab);
        cdc_buf_str(sql, " FROM ");
    }
    rep_put_name(sql, tab->name);
    if (which == REP_INSERT) {
        cdc_buf_str(sql, "(");
        rep_put_columns(sql, tab);
        cdc_buf_str(sql, ") VALUES ");
    }
    for (size_t i = 0; which == REP_INSERT && i < tab->n; i++)
        cdc_buf_printf(sql, "%s?%zu", i ? "," : "(", i + 1);
    for (size_t i = 0; which == REP_UPDATE && i < tab->n; i++) {
        cdc_buf_str(sql, i ? "," : " SET ");
        rep_put_name(sql, tab->cols[i].name);
        cdc_buf_printf(sql, "=?%zu", i + 1);
    }
    if (which == REP_SET_SEQ) {
        cdc_buf_str(sql, " SET ");
        rep_put_name(sql, tab->cols[tab->meta[CDC_META_SEQ]].name);
        cdc_buf_printf(sql, "=?%zu", tab->n_key + 1);
    }
    if (which == REP_INSERT)
        cdc_buf_str(sql, ")");
    else
        rep_put_key(sql, tab, which == REP_UPDATE ? (int)tab->n + 1 : 1);
}

int rep_table_stmt(struct cdc_replica *rep, struct rep_table *tab, enum rep_stmt which,
                   sqlite3_stmt **ret, struct cdc_error *err)
{
    if (!tab->stmt[which]) {
        cdc_buf_reset(&rep->sql);
        put_sql(&rep->sql, tab, which);
        if (rep_prepare(rep, cdc_buf_cstr(&rep->sql), &tab->stmt[which], err))
            return CDC_FAIL;
    }
    *ret = tab->stmt[which];
    return CDC_OK;
}

void rep_table_forget(struct rep_table *tab)
{
    for (int i = 0; i < REP_STMTS; i++) {
        sqlite3_finalize(tab->stmt[i]);
        tab->stmt[i] = NULL;
    }
}

static void table_free(struct rep_table *tab)
{
    rep_table_forget(tab);
    for (size_t i = 0; i < tab->n; i++) {
        free(tab->cols[i].source);
        free(tab->cols[i].name);
    }
    free(tab->cols);
    free(tab->key);
    free(tab->from);
    free(tab->source);
    free(tab->name);
    free(tab->range.deleted_at);
    free(tab->range.reason);
    free(tab->range.updated_at);
    free(tab->range.synced_at);
    free(tab);
}

void rep_tables_free(struct cdc_replica *rep)
{
    while (rep->tables) {
        struct rep_table *tab = rep->tables;
        rep->tables = tab->next;
        table_free(tab);
    }
}
