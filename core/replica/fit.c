/*
 * fit.c - makes a table of the replica fit the rows that come.
 *
 *   a table not there       is created: source columns, then meta columns, PRIMARY KEY
 *   a new column            ALTER TABLE ADD COLUMN
 *   a column dropped        stays; rows that come later have NULL there
 *   another type or key,
 *   append begins or ends   the table is copied into one of the new shape. Of rows that then have
 * one key the one with the greater __seq stays. A type matters because a SQLite column converts:
 * the text 007 in an INTEGER column becomes 7.
 *
 * The source sends no rows for such changes, so rows not touched since have NULL in a new column.
 * If that is a column of the new key, live rows would lose their identity: that is refused. Rows of
 * an older table version than the last one seen (a replay) change nothing here.
 */
#include "replica/internal.h"

#include <stdlib.h>
#include <string.h>

void rep_put_columns(struct cdc_buf *sql, const struct rep_table *tab)
{
    for (size_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? "," : "");
        rep_put_name(sql, tab->cols[i].name);
    }
}

void rep_put_key(struct cdc_buf *sql, const struct rep_table *tab, int first)
{
    for (size_t i = 0; i < tab->n_key; i++) {
        cdc_buf_str(sql, i ? " AND " : " WHERE ");
        rep_put_name(sql, tab->cols[tab->key[i]].name);
        cdc_buf_printf(sql, "=?%d", first + (int)i);
    }
}

static int run_sql(struct cdc_replica *rep, struct cdc_error *err)
{
    const char *sql = cdc_buf_cstr(&rep->sql);
    return sql ? rep_exec(rep, sql, err) : cdc_fail_oom(err);
}

static int create(struct cdc_replica *rep, const struct rep_table *tab, const char *name,
                  struct cdc_error *err)
{
    struct cdc_buf *sql = &rep->sql;
    cdc_buf_reset(sql);
    cdc_buf_str(sql, "CREATE TABLE ");
    rep_put_name(sql, name);
    for (size_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? "," : "(");
        rep_put_name(sql, tab->cols[i].name);
        cdc_buf_printf(sql, " %s", tab->cols[i].type);
    }
    for (size_t i = 0; i < tab->n_key; i++) {
        cdc_buf_str(sql, i ? "," : ",PRIMARY KEY(");
        rep_put_name(sql, tab->cols[tab->key[i]].name);
    }
    cdc_buf_str(sql, tab->n_key ? "))" : ")");
    return run_sql(rep, err);
}

/* The key as the schema and the mode want it. */
static int set_key(struct rep_table *tab, const struct cdc_row_schema *schema,
                   enum cdc_deletes deletes, struct cdc_error *err)
{
    uint16_t n = deletes == CDC_DELETES_APPEND ? 0 : schema->n_key;
    uint16_t *key = calloc(n + 1u, sizeof *key);
    if (!key)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < tab->n; i++)
        tab->cols[i].key = 0;
    for (uint16_t i = 0; i < n; i++) {
        key[i] = (uint16_t)rep_table_find(tab, schema->cols[schema->key[i]].name);
        tab->cols[key[i]].key = i + 1;
    }
    free(tab->key);
    tab->key = key;
    tab->n_key = n;
    return CDC_OK;
}

static bool same_key(const struct rep_table *tab, const struct cdc_row_schema *schema,
                     enum cdc_deletes deletes)
{
    size_t n = deletes == CDC_DELETES_APPEND ? 0 : schema->n_key;
    if (n != tab->n_key)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(tab->cols[tab->key[i]].source, schema->cols[schema->key[i]].name) != 0)
            return false;
    return true;
}

/* Adds the schema's columns that the table lacks: source columns first. */
static int add_columns(struct cdc_replica *rep, struct rep_table *tab,
                       const struct cdc_row_schema *schema, struct cdc_error *err)
{
    bool exists = tab->n > 0;
    for (uint16_t pass = 0; pass < 2; pass++) {
        for (uint16_t i = 0; i < schema->n; i++) {
            const struct cdc_row_column *col = &schema->cols[i];
            if ((col->meta != CDC_META_NONE) != (pass == 1) || rep_table_find(tab, col->name) >= 0)
                continue;
            if (rep_table_add(rep, tab, col, err))
                return CDC_FAIL;
            if (!exists)
                continue;
            cdc_buf_reset(&rep->sql);
            cdc_buf_str(&rep->sql, "ALTER TABLE ");
            rep_put_name(&rep->sql, tab->name);
            cdc_buf_str(&rep->sql, " ADD COLUMN ");
            rep_put_name(&rep->sql, tab->cols[tab->n - 1].name);
            cdc_buf_printf(&rep->sql, " %s", tab->cols[tab->n - 1].type);
            rep_table_forget(tab);
            if (run_sql(rep, err))
                return CDC_FAIL;
        }
    }
    return CDC_OK;
}

/* Gives the columns the schema's types; true if one was another. */
static bool set_types(struct rep_table *tab, const struct cdc_row_schema *schema)
{
    bool differ = false;
    for (uint16_t i = 0; i < schema->n; i++) {
        struct rep_col *col = &tab->cols[rep_table_find(tab, schema->cols[i].name)];
        const char *type = rep_affinity(schema->cols[i].kind);
        differ |= strcmp(col->type, type) != 0;
        col->type = type;
    }
    return differ;
}

static void put_null_key(struct cdc_buf *sql, const struct rep_table *tab)
{
    for (size_t i = 0; i < tab->n_key; i++) {
        cdc_buf_str(sql, i ? " OR " : "(");
        rep_put_name(sql, tab->cols[tab->key[i]].name);
        cdc_buf_str(sql, " IS NULL");
    }
    cdc_buf_str(sql, tab->n_key ? ")" : "0");
}

static int refuse_lost_keys(struct cdc_replica *rep, const struct rep_table *tab,
                            struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    cdc_buf_reset(&rep->sql);
    cdc_buf_str(&rep->sql, "SELECT 1 FROM ");
    rep_put_name(&rep->sql, tab->name);
    cdc_buf_str(&rep->sql, " WHERE NOT ");
    rep_put_name(&rep->sql, tab->cols[tab->meta[CDC_META_DELETED]].name);
    cdc_buf_str(&rep->sql, " AND ");
    put_null_key(&rep->sql, tab);
    if (rep_prepare(rep, cdc_buf_cstr(&rep->sql), &stmt, err))
        return CDC_FAIL;
    int rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    if (rc == SQLITE_ROW)
        return cdc_fail(err, CDC_RESNAPSHOT, tab->source,
                        "the table has another key now, and the replica's rows from before have no "
                        "value in it: the table must be read again by a snapshot");
    return rc == SQLITE_DONE ? CDC_OK : rep_fail(rep, err, "cannot read the table");
}

/*
 * Copies all rows into the new shape. Rows without a value in the new key are deleted ones: nothing
 * can reach them any more, and they are left behind.
 */
static int copy(struct cdc_replica *rep, const struct rep_table *tab, const char *to,
                struct cdc_error *err)
{
    struct cdc_buf *sql = &rep->sql;
    cdc_buf_reset(sql);
    cdc_buf_str(sql, "INSERT OR IGNORE INTO ");
    rep_put_name(sql, to);
    cdc_buf_str(sql, "(");
    rep_put_columns(sql, tab);
    cdc_buf_str(sql, ") SELECT ");
    rep_put_columns(sql, tab);
    cdc_buf_str(sql, " FROM ");
    rep_put_name(sql, tab->name);
    cdc_buf_str(sql, " WHERE NOT ");
    put_null_key(sql, tab);
    cdc_buf_str(sql, " ORDER BY ");
    rep_put_name(sql, tab->cols[tab->meta[CDC_META_SEQ]].name);
    cdc_buf_str(sql, " DESC, ");
    rep_put_name(sql, tab->cols[tab->meta[CDC_META_DELETED]].name);
    cdc_buf_str(sql, ", rowid DESC");
    return run_sql(rep, err);
}

/* What the user hung on the table, to be made again: indexes and triggers, as one script. */
static int attached(struct cdc_replica *rep, const struct rep_table *tab, struct cdc_buf *ret,
                    struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep,
                    "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL"
                    " AND type IN ('index', 'trigger')",
                    &stmt, err))
        return CDC_FAIL;
    sqlite3_bind_text(stmt, 1, tab->name, -1, SQLITE_STATIC);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        cdc_buf_printf(ret, "%s;", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return ret->failed ? cdc_fail_oom(err) : CDC_OK;
}

static int swap_in(struct cdc_replica *rep, const struct rep_table *tab, const char *from,
                   struct cdc_error *err)
{
    struct cdc_buf script = CDC_BUF(REP_SQL_MAX);
    int status = attached(rep, tab, &script, err);
    if (!status) {
        cdc_buf_reset(&rep->sql);
        cdc_buf_str(&rep->sql, "DROP TABLE ");
        rep_put_name(&rep->sql, tab->name);
        cdc_buf_str(&rep->sql, ";ALTER TABLE ");
        rep_put_name(&rep->sql, from);
        cdc_buf_str(&rep->sql, " RENAME TO ");
        rep_put_name(&rep->sql, tab->name);
        cdc_buf_str(&rep->sql, ";");
        cdc_buf_put(&rep->sql, script.p, script.len);
        status = run_sql(rep, err);
    }
    cdc_buf_done(&script);
    return status;
}

static int rebuild(struct cdc_replica *rep, struct rep_table *tab, struct cdc_error *err)
{
    static const char name[] = "_sidestream_rebuilt";
    rep_table_forget(tab);
    if (refuse_lost_keys(rep, tab, err) || create(rep, tab, name, err) ||
        copy(rep, tab, name, err) || swap_in(rep, tab, name, err))
        return CDC_FAIL;
    /* While a table was append, a range delete was a record like any other. */
    if (tab->n_key && rep_range_apply(rep, tab, err))
        return CDC_FAIL;
    const char *params[] = {tab->source};
    return rep_run(rep, "DELETE FROM _sidestream_gone WHERE \"table\" = ?", params, 1, err);
}

/* Where the values of this schema's rows belong. */
static int map_columns(struct rep_table *tab, const struct cdc_row_schema *schema,
                       struct cdc_error *err)
{
    int *from = realloc(tab->from, tab->n * sizeof *from);
    if (!from)
        return cdc_fail_oom(err);
    tab->from = from;
    for (size_t i = 0; i < tab->n; i++)
        from[i] = -1;
    for (uint16_t i = 0; i < schema->n; i++)
        from[rep_table_find(tab, schema->cols[i].name)] = i;
    for (int m = 0; m < CDC_METAS; m++) {
        int at = m == CDC_META_NONE ? -1 : schema->meta[m];
        tab->meta[m] = at < 0 ? -1 : rep_table_find(tab, schema->cols[at].name);
    }
    tab->stamp = schema->stamp;
    return CDC_OK;
}

static int check_schema(const struct rep_table *tab, const struct cdc_row_schema *schema,
                        struct cdc_error *err)
{
    static const enum cdc_meta needed[] = {CDC_META_OP, CDC_META_DELETED, CDC_META_SEQ};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (schema->meta[needed[i]] < 0)
            return cdc_fail(err, CDC_OPERATOR, tab->source,
                            "the rows lack one of __op, __deleted and __seq: a replica needs the "
                            "`row` envelope");
    return CDC_OK;
}

/* A replayed row of an older version: it must at least say its key. */
static int check_old(const struct rep_table *tab, struct cdc_error *err)
{
    for (size_t i = 0; i < tab->n_key; i++)
        if (tab->from[tab->key[i]] < 0)
            return cdc_fail(err, CDC_FATAL, tab->source,
                            "a row of an older table version, with another key, came after a newer "
                            "one; build the replica again in another file");
    return CDC_OK;
}

int rep_fit(struct cdc_replica *rep, struct rep_table *tab, const struct cdc_row_schema *schema,
            enum cdc_deletes deletes, struct cdc_error *err)
{
    bool is_new = tab->n == 0, old = schema->version < tab->version;
    if (check_schema(tab, schema, err) || add_columns(rep, tab, schema, err) ||
        map_columns(tab, schema, err))
        return CDC_FAIL;
    if (old)
        return check_old(tab, err);
    bool changed = set_types(tab, schema) || !same_key(tab, schema, deletes);
    if ((is_new || changed) && set_key(tab, schema, deletes, err))
        return CDC_FAIL;
    if (is_new ? create(rep, tab, tab->name, err) : changed && rebuild(rep, tab, err))
        return CDC_FAIL;
    bool same = !is_new && tab->version == schema->version && tab->deletes == deletes;
    tab->version = schema->version;
    tab->deletes = deletes;
    return same ? CDC_OK : rep_table_save(rep, tab, err);
}
