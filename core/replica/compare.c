/*
 * compare.c - rows from elsewhere compared with a table of the replica (compare.h).
 *
 * One statement per table answers for a row's key: is it there, alive, what is unknown of it, and
 * for each column whether it IS the value given. The rows found are marked by their rowid in a
 * table of the replica's own file; what is alive and not marked afterwards is what is too much.
 * So the rows may come in any order.
 */
#include "replica/compare.h"

#include "avro/json.h"
#include "replica/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SEEN "_sidestream_seen"

enum { AT_ROWID, AT_EXISTS, AT_DELETED, AT_UNKNOWN, AT_FIRST };

struct cdc_compare {
    struct cdc_replica *rep;
    const struct rep_table *tab; /* NULL: the replica has no such table */
    const struct cdc_row_schema *schema;
    const char *rowid;
    const char **columns; /* schema->n: room for a result's */
    sqlite3_stmt *find, *mark, *rest;
    bool began;
};

static const struct rep_table *find_table(const struct cdc_replica *rep, const char *table)
{
    const struct rep_table *tab = rep->tables;
    while (tab && strcmp(tab->source, table) != 0)
        tab = tab->next;
    return tab && tab->n ? tab : NULL;
}

/* A name of SQLite's rowid that no column of the table has taken. */
static const char *rowid_of(const struct rep_table *tab)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        size_t i = 0;
        while (i < tab->n && sqlite3_stricmp(tab->cols[i].name, names[k]) != 0)
            i++;
        if (i == tab->n)
            return names[k];
    }
    return NULL;
}

static bool same_key(const struct rep_table *tab, const struct cdc_row_schema *schema)
{
    if (tab->n_key != schema->n_key)
        return false;
    for (size_t k = 0; k < tab->n_key; k++)
        if (strcmp(tab->cols[tab->key[k]].source, schema->cols[schema->key[k]].name) != 0)
            return false;
    return true;
}

static const char *column_name(const struct cdc_compare *cmp, uint16_t i)
{
    int at = rep_table_find(cmp->tab, cmp->schema->cols[i].name);
    return at < 0 ? NULL : cmp->tab->cols[at].name;
}

/* A column that the replica has not heard of yet is NULL in all of its rows. */
static void put_is(struct cdc_buf *sql, const struct cdc_compare *cmp, uint16_t i)
{
    const char *name = column_name(cmp, i);
    cdc_buf_str(sql, ",");
    if (name)
        rep_put_name(sql, name);
    else
        cdc_buf_str(sql, "NULL");
    cdc_buf_printf(sql, " IS ?%u", i + 1u);
}

/* ?1...?n are the row's values by their place in the schema. */
static const char *find_sql(struct cdc_compare *cmp)
{
    struct cdc_buf *sql = &cmp->rep->sql;
    const struct rep_table *tab = cmp->tab;
    int unknown = tab->meta[CDC_META_UNCHANGED];
    cdc_buf_reset(sql);
    cdc_buf_printf(sql, "SELECT %s,", cmp->rowid);
    rep_put_exists(sql, tab);
    cdc_buf_str(sql, ",");
    rep_put_name(sql, tab->cols[tab->meta[CDC_META_DELETED]].name);
    cdc_buf_str(sql, ",");
    if (unknown < 0)
        cdc_buf_str(sql, "NULL");
    else
        rep_put_name(sql, tab->cols[unknown].name);
    for (uint16_t i = 0; i < cmp->schema->n; i++)
        if (cmp->schema->cols[i].meta == CDC_META_NONE)
            put_is(sql, cmp, i);
    cdc_buf_str(sql, " FROM ");
    rep_put_name(sql, tab->name);
    for (uint16_t k = 0; k < cmp->schema->n_key; k++) {
        cdc_buf_str(sql, k ? " AND " : " WHERE ");
        rep_put_name(sql, column_name(cmp, cmp->schema->key[k]));
        cdc_buf_printf(sql, "=?%u", cmp->schema->key[k] + 1u);
    }
    return cdc_buf_cstr(sql);
}

static const char *rest_sql(struct cdc_compare *cmp)
{
    struct cdc_buf *sql = &cmp->rep->sql;
    const struct rep_table *tab = cmp->tab;
    cdc_buf_reset(sql);
    for (size_t k = 0; k < tab->n_key; k++) {
        cdc_buf_str(sql, k ? "," : "SELECT ");
        rep_put_name(sql, tab->cols[tab->key[k]].name);
    }
    cdc_buf_str(sql, " FROM ");
    rep_put_name(sql, tab->name);
    cdc_buf_str(sql, " WHERE ");
    rep_put_exists(sql, tab);
    cdc_buf_printf(sql, " AND %s NOT IN (SELECT id FROM " SEEN ")", cmp->rowid);
    return cdc_buf_cstr(sql);
}

static int prepare(struct cdc_compare *cmp, struct cdc_error *err)
{
    struct cdc_replica *rep = cmp->rep;
    if (cdc_replica_flush(rep, err) ||
        rep_exec(rep, "BEGIN; CREATE TABLE " SEEN "(id INTEGER PRIMARY KEY)", err))
        return CDC_FAIL;
    cmp->began = true;
    if (!cmp->tab)
        return CDC_OK;
    cmp->rowid = rowid_of(cmp->tab);
    if (!cmp->rowid)
        return cdc_fail(err, CDC_OPERATOR, cmp->tab->source,
                        "a table with columns rowid, _rowid_ and oid cannot be compared");
    if (rep_prepare(rep, rest_sql(cmp), &cmp->rest, err))
        return CDC_FAIL;
    if (!cmp->schema)
        return CDC_OK;
    if (rep_prepare(rep, find_sql(cmp), &cmp->find, err))
        return CDC_FAIL;
    return rep_prepare(rep, "INSERT OR IGNORE INTO " SEEN " VALUES (?)", &cmp->mark, err);
}

int cdc_compare_begin(struct cdc_replica *rep, const char *table,
                      const struct cdc_row_schema *schema, struct cdc_compare **ret,
                      struct cdc_error *err)
{
    const struct rep_table *tab = find_table(rep, table);
    if (tab && schema && !same_key(tab, schema))
        return CDC_AGAIN;
    struct cdc_compare *cmp = calloc(1, sizeof *cmp);
    if (!cmp)
        return cdc_fail_oom(err);
    *cmp = (struct cdc_compare){.rep = rep, .tab = tab, .schema = schema};
    if (schema)
        cmp->columns = calloc(schema->n + 1u, sizeof *cmp->columns);
    int rc = schema && !cmp->columns ? cdc_fail_oom(err) : prepare(cmp, err);
    if (rc == CDC_OK)
        *ret = cmp;
    else
        cdc_compare_free(cmp);
    return rc;
}

void cdc_compare_free(struct cdc_compare *cmp)
{
    if (!cmp)
        return;
    sqlite3_finalize(cmp->find);
    sqlite3_finalize(cmp->mark);
    sqlite3_finalize(cmp->rest);
    /* Of a database that is thrown away: a failure here changes nothing. */
    if (cmp->began)
        sqlite3_exec(cmp->rep->db, "DROP TABLE IF EXISTS " SEEN "; COMMIT", NULL, NULL, NULL);
    free(cmp->columns);
    free(cmp);
}

/* ---- one row ---- */

static int bind(struct cdc_compare *cmp, const struct cdc_value *values, struct cdc_error *err)
{
    sqlite3_reset(cmp->find);
    for (uint16_t i = 0; i < cmp->schema->n; i++) {
        const struct cdc_row_column *col = &cmp->schema->cols[i];
        if (col->meta == CDC_META_NONE &&
            rep_bind(cmp->rep, cmp->find, i + 1, &values[i], col->bits) != SQLITE_OK)
            return rep_fail(cmp->rep, err, "cannot bind a row to compare");
    }
    return CDC_OK;
}

static int mark(struct cdc_compare *cmp, struct cdc_error *err)
{
    sqlite3_bind_int64(cmp->mark, 1, sqlite3_column_int64(cmp->find, AT_ROWID));
    return rep_step(cmp->rep, cmp->mark, err);
}

static bool is_deleted(const struct cdc_compare *cmp, const struct cdc_value *values)
{
    int at = cmp->schema->meta[CDC_META_DELETED];
    return at >= 0 && values[at].kind == CDC_BOOL && values[at].i;
}

static bool listed(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static void compare_columns(struct cdc_compare *cmp, struct cdc_compared_row *ret)
{
    const char *text = (const char *)sqlite3_column_text(cmp->find, AT_UNKNOWN);
    json_t *unknown = text && *text ? json_loads(text, 0, NULL) : NULL;
    int at = AT_FIRST;
    for (uint16_t i = 0; i < cmp->schema->n; i++) {
        const struct cdc_row_column *col = &cmp->schema->cols[i];
        if (col->meta != CDC_META_NONE)
            continue;
        bool equal = sqlite3_column_int(cmp->find, at++);
        if (unknown && listed(unknown, col->name))
            ret->unknown++;
        else if (!equal)
            cmp->columns[ret->n++] = col->name;
    }
    json_decref(unknown);
}

/* The row is there, perhaps as a deleted one. A logical delete leaves it at the source. */
static void judge(struct cdc_compare *cmp, const struct cdc_value *values, bool key_only,
                  struct cdc_compared_row *ret)
{
    if (!sqlite3_column_int(cmp->find, AT_EXISTS)) {
        ret->verdict = CDC_COMPARED_MISSING;
        return;
    }
    if (!key_only)
        compare_columns(cmp, ret);
    if (!key_only && is_deleted(cmp, values) != (bool)sqlite3_column_int(cmp->find, AT_DELETED))
        cmp->columns[ret->n++] = cmp->schema->cols[cmp->schema->meta[CDC_META_DELETED]].name;
    ret->verdict = ret->n ? CDC_COMPARED_DIFFERS : CDC_COMPARED_EQUAL;
}

int cdc_compare_row(struct cdc_compare *cmp, const struct cdc_value *values, bool key_only,
                    struct cdc_compared_row *ret, struct cdc_error *err)
{
    bool emptied = cmp->tab && cmp->tab->range.seq[0];
    *ret = (struct cdc_compared_row){.columns = cmp->columns};
    if (cmp->tab && bind(cmp, values, err))
        return CDC_FAIL;
    int rc = cmp->tab ? sqlite3_step(cmp->find) : SQLITE_DONE;
    int status = CDC_OK;
    if (rc == SQLITE_ROW) {
        status = mark(cmp, err);
        judge(cmp, values, key_only, ret);
    } else if (rc != SQLITE_DONE) {
        status = rep_fail(cmp->rep, err, "cannot look up a row");
    } else {
        ret->verdict = emptied ? CDC_COMPARED_MISSING : CDC_COMPARED_NEVER;
    }
    if (cmp->find)
        sqlite3_reset(cmp->find);
    return status;
}

/* ---- what is left ---- */

static enum cdc_kind kind_of(const struct cdc_compare *cmp, const char *source)
{
    for (uint16_t i = 0; cmp->schema && i < cmp->schema->n; i++)
        if (strcmp(cmp->schema->cols[i].name, source) == 0)
            return cmp->schema->cols[i].kind;
    return CDC_NULL;
}

void rep_put_json(struct cdc_buf *buf, sqlite3_stmt *stmt, int at, enum cdc_kind kind)
{
    struct cdc_value val = {.kind = CDC_NULL};
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        val = (struct cdc_value){.kind = kind == CDC_BOOL ? CDC_BOOL : CDC_INT,
                                 .i = sqlite3_column_int64(stmt, at)};
        break;
    case SQLITE_FLOAT:
        val = (struct cdc_value){.kind = CDC_FLOAT, .f = sqlite3_column_double(stmt, at)};
        break;
    case SQLITE_TEXT:
        val = (struct cdc_value){.kind = CDC_TEXT, .p = sqlite3_column_text(stmt, at)};
        break;
    case SQLITE_BLOB:
        val = (struct cdc_value){.kind = CDC_BYTES, .p = sqlite3_column_blob(stmt, at)};
        break;
    default: break;
    }
    if (val.kind == CDC_TEXT || val.kind == CDC_BYTES)
        val.len = (uint32_t)sqlite3_column_bytes(stmt, at);
    cdc_json_value(buf, &val, 64);
}

int cdc_compare_rest(struct cdc_compare *cmp, struct cdc_buf *key, struct cdc_error *err)
{
    int rc = cmp->rest ? sqlite3_step(cmp->rest) : SQLITE_DONE;
    if (rc == SQLITE_DONE)
        return CDC_END;
    if (rc != SQLITE_ROW)
        return rep_fail(cmp->rep, err, "cannot read the rows that are left");
    for (size_t k = 0; k < cmp->tab->n_key; k++) {
        const char *name = cmp->tab->cols[cmp->tab->key[k]].source;
        cdc_buf_str(key, k ? "," : "{");
        cdc_json_string(key, cdc_slice_str(name));
        cdc_buf_str(key, ":");
        rep_put_json(key, cmp->rest, (int)k, kind_of(cmp, name));
    }
    cdc_buf_str(key, "}");
    return key->failed ? cdc_fail_oom(err) : CDC_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int cdc_compare_tables(const struct cdc_replica *rep, const char *const **ret, size_t *ret_n,
                       struct cdc_error *err)
{
    size_t n = 0;
    for (const struct rep_table *tab = rep->tables; tab; tab = tab->next)
        n++;
    const char **names = calloc(n + 1, sizeof *names);
    if (!names)
        return cdc_fail_oom(err);
    n = 0;
    for (const struct rep_table *tab = rep->tables; tab; tab = tab->next)
        if (tab->n_key)
            names[n++] = tab->source;
    qsort(names, n, sizeof *names, by_name);
    *ret = names;
    *ret_n = n;
    return CDC_OK;
}
