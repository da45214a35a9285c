/*
 * diff.c - another replica's file compared with this replica (compare.h).
 *
 * The file is attached read-only. Both are fixed by one SQLite transaction, in which the file must
 * stand at the very commit that this replica was built up to: the same number, position and time.
 * If the file has moved on by then, this replica follows inside the transaction: the file cannot
 * move again, however busy its writer is (its WAL grows meanwhile, that is all). Not the same
 * token: two readers of one commit may go on from it in different words. A feed that was held to
 * the file's token (`until`) may not know position and time any more, but has compared the token
 * with what it reads.
 *
 * Then each table that either has is compared:
 *
 *   - with a key: ours LEFT JOIN theirs by the key (lacking, differing), then theirs without ours;
 *   - without one: whole rows counted on both sides; SQLite sorts them, in a file if need be.
 *
 * Meta columns are compared like all others: both were made of the same records by the same rules.
 * A column that the file lacks is NULL there. Tables of a user in the file are not looked at.
 */
#include "replica/compare.h"

#include "avro/json.h"
#include "replica/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum step { DIFF_OURS, DIFF_THEIRS, DIFF_OVER };

struct cdc_diff {
    struct cdc_replica *rep;
    char *path, *token; /* token: of the commit the file stands at */
    bool attached, began;
    sqlite3_stmt *tables, *rows;
    char *table;                 /* the source's name of the table under way */
    const struct rep_table *tab; /* ours; NULL: only they have it */
    enum step step;
    const char **columns; /* room for a result's: tab->n */
    struct cdc_buf key;
};

static int fail(struct cdc_diff *diff, struct cdc_error *err, const char *doing)
{
    return cdc_fail(err, CDC_OPERATOR, diff->path, "%s: %s; is it a replica, and whole?", doing,
                    sqlite3_errmsg(diff->rep->db));
}

static int prepare(struct cdc_diff *diff, const char *sql, sqlite3_stmt **ret,
                   struct cdc_error *err)
{
    if (!sql)
        return cdc_fail_oom(err);
    return sqlite3_prepare_v2(diff->rep->db, sql, -1, ret, NULL) == SQLITE_OK
               ? CDC_OK
               : fail(diff, err, "cannot be read");
}

/* "file:<path, odd bytes as %XX>?mode=ro" */
static void put_uri(struct cdc_buf *buf, const char *path)
{
    cdc_buf_str(buf, "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path))
            cdc_buf_printf(buf, "%%%02X", (unsigned char)*path);
        else
            cdc_buf_byte(buf, (uint8_t)*path);
    }
    cdc_buf_str(buf, "?mode=ro");
}

static int attach(struct cdc_diff *diff, struct cdc_error *err)
{
    struct cdc_buf uri = CDC_BUF(32768);
    sqlite3_stmt *stmt = NULL;
    put_uri(&uri, diff->path);
    const char *text = cdc_buf_cstr(&uri);
    int rc = text ? prepare(diff, "ATTACH ?1 AS other", &stmt, err) : cdc_fail_oom(err);
    if (rc == CDC_OK) {
        sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt) == SQLITE_DONE ? CDC_OK : fail(diff, err, "cannot be opened");
    }
    sqlite3_finalize(stmt);
    cdc_buf_done(&uri);
    diff->attached = rc == CDC_OK;
    return rc;
}

static int take_place(struct cdc_diff *diff, sqlite3_stmt *stmt, struct cdc_diff_at *ret,
                      struct cdc_error *err)
{
    bool known = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
    free(diff->token);
    diff->token = known ? rep_column_dup(stmt, 2) : NULL;
    if (known && !diff->token)
        return cdc_fail_oom(err);
    *ret = (struct cdc_diff_at){.number = (uint64_t)sqlite3_column_int64(stmt, 1),
                                .token = diff->token};
    return CDC_OK;
}

/* The commit it stands at; whose replica it is. */
static int place(struct cdc_diff *diff, struct cdc_diff_at *ret, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (prepare(diff, "SELECT feed, \"commit\", token FROM other._sidestream_position", &stmt, err))
        return CDC_FAIL;
    int rc = CDC_OK;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        rc = fail(diff, err, "it does not say where it stands");
    else if (sqlite3_column_type(stmt, 0) != SQLITE_TEXT ||
             strcmp((const char *)sqlite3_column_text(stmt, 0), diff->rep->feed) != 0)
        rc = cdc_fail(err, CDC_OPERATOR, diff->path,
                      "the replica belongs to another pipeline, not to \"%s\"", diff->rep->feed);
    else
        rc = take_place(diff, stmt, ret, err);
    sqlite3_finalize(stmt);
    return rc;
}

int cdc_diff_attach(struct cdc_replica *rep, const char *path, struct cdc_diff **ret,
                    struct cdc_diff_at *ret_at, struct cdc_error *err)
{
    if (access(path, R_OK) != 0)
        return cdc_fail(err, CDC_CONFIG, path, "there is no such file, or it may not be read");
    struct cdc_diff *diff = calloc(1, sizeof *diff);
    if (!diff)
        return cdc_fail_oom(err);
    *diff = (struct cdc_diff){.rep = rep, .path = strdup(path), .key = CDC_BUF(SIZE_MAX / 2)};
    int rc = diff->path ? attach(diff, err) : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = place(diff, ret_at, err);
    if (rc == CDC_OK)
        *ret = diff;
    else
        cdc_diff_free(diff);
    return rc;
}

void cdc_diff_free(struct cdc_diff *diff)
{
    if (!diff)
        return;
    sqlite3_finalize(diff->tables);
    sqlite3_finalize(diff->rows);
    diff->rep->pinned = false;
    if (diff->began)
        sqlite3_exec(diff->rep->db, "COMMIT", NULL, NULL, NULL);
    if (diff->attached)
        sqlite3_exec(diff->rep->db, "DETACH other", NULL, NULL, NULL);
    cdc_buf_done(&diff->key);
    free(diff->columns);
    free(diff->table);
    free(diff->token);
    free(diff->path);
    free(diff);
}

/* Is the commit that both stand at the same one? */
static int same_commit(struct cdc_diff *diff, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (prepare(diff,
                "SELECT m.at = '' OR (o.position IS m.position AND o.at IS m.at)"
                " FROM other._sidestream_position o, main._sidestream_position m",
                &stmt, err))
        return CDC_FAIL;
    bool same = sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return same ? CDC_OK
                : cdc_fail(err, CDC_OPERATOR, diff->path,
                           "the replica was built from something else: what it calls commit %llu "
                           "is another one here",
                           (unsigned long long)diff->rep->number);
}

int cdc_diff_begin(struct cdc_diff *diff, struct cdc_diff_at *ret_at, struct cdc_error *err)
{
    if (cdc_replica_flush(diff->rep, err))
        return CDC_FAIL;
    if (!diff->began && rep_exec(diff->rep, "BEGIN", err))
        return CDC_FAIL;
    diff->began = diff->rep->pinned = true;
    if (place(diff, ret_at, err))
        return CDC_FAIL;
    if (ret_at->number != diff->rep->number)
        return CDC_AGAIN;
    if (same_commit(diff, err))
        return CDC_FAIL;
    return prepare(diff,
                   "SELECT \"table\", max(name) FROM (SELECT \"table\", name FROM main._sidestream"
                   " UNION ALL SELECT \"table\", name FROM other._sidestream)"
                   " GROUP BY 1 ORDER BY 1",
                   &diff->tables, err);
}

/* ---- one table ---- */

static bool they_have(struct cdc_diff *diff, const char *table, const char *column)
{
    sqlite3_stmt *stmt = NULL;
    bool have = false;
    if (sqlite3_prepare_v2(diff->rep->db,
                           "SELECT 1 FROM pragma_table_info(?1, 'other')"
                           " WHERE ?2 IS NULL OR lower(name) = lower(?2)",
                           -1, &stmt, NULL) == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 2, column, -1, SQLITE_STATIC);
        have = sqlite3_step(stmt) == SQLITE_ROW;
    }
    sqlite3_finalize(stmt);
    return have;
}

static bool they_can(struct cdc_diff *diff)
{
    const struct rep_table *tab = diff->tab;
    bool can = they_have(diff, tab->name, NULL);
    for (size_t k = 0; k < tab->n_key && can; k++)
        can = they_have(diff, tab->name, tab->cols[tab->key[k]].name);
    return can;
}

static void put_col(struct cdc_buf *sql, const char *of, const char *name)
{
    cdc_buf_str(sql, of);
    cdc_buf_byte(sql, '.');
    rep_put_name(sql, name);
}

static void put_keys(struct cdc_buf *sql, const struct rep_table *tab, const char *of)
{
    for (size_t k = 0; k < tab->n_key; k++) {
        cdc_buf_str(sql, k ? "," : "");
        put_col(sql, of, tab->cols[tab->key[k]].name);
    }
}

static void put_match(struct cdc_buf *sql, const struct rep_table *tab)
{
    for (size_t k = 0; k < tab->n_key; k++) {
        cdc_buf_str(sql, k ? " AND " : "");
        put_col(sql, "o", tab->cols[tab->key[k]].name);
        cdc_buf_byte(sql, '=');
        put_col(sql, "p", tab->cols[tab->key[k]].name);
    }
}

/* Keys, "they lack it", and for each column whether it is the same. */
static void put_ours(struct cdc_diff *diff, struct cdc_buf *sql)
{
    const struct rep_table *tab = diff->tab;
    bool can = they_can(diff);
    cdc_buf_str(sql, "SELECT ");
    put_keys(sql, tab, "p");
    cdc_buf_str(sql, ",");
    if (can)
        put_col(sql, "o", tab->cols[tab->key[0]].name);
    else
        cdc_buf_str(sql, "NULL");
    cdc_buf_str(sql, " IS NULL");
    for (size_t i = 0; i < tab->n && can; i++) {
        cdc_buf_str(sql, ",");
        put_col(sql, "p", tab->cols[i].name);
        cdc_buf_str(sql, " IS ");
        if (they_have(diff, tab->name, tab->cols[i].name))
            put_col(sql, "o", tab->cols[i].name);
        else
            cdc_buf_str(sql, "NULL");
    }
    cdc_buf_str(sql, " FROM ");
    put_col(sql, "main", tab->name);
    cdc_buf_str(sql, " p");
    if (!can)
        return;
    cdc_buf_str(sql, " LEFT JOIN ");
    put_col(sql, "other", tab->name);
    cdc_buf_str(sql, " o ON ");
    put_match(sql, tab);
}

static void put_theirs(struct cdc_diff *diff, struct cdc_buf *sql)
{
    const struct rep_table *tab = diff->tab;
    cdc_buf_str(sql, "SELECT ");
    put_keys(sql, tab, "o");
    cdc_buf_str(sql, " FROM ");
    put_col(sql, "other", tab->name);
    cdc_buf_str(sql, " o WHERE NOT EXISTS (SELECT 1 FROM ");
    put_col(sql, "main", tab->name);
    cdc_buf_str(sql, " p WHERE ");
    put_match(sql, tab);
    cdc_buf_str(sql, ")");
}

static void put_side(struct cdc_diff *diff, struct cdc_buf *sql, const char *side, int weight)
{
    const struct rep_table *tab = diff->tab;
    bool theirs = weight < 0;
    for (size_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? "," : "SELECT ");
        if (theirs && !they_have(diff, tab->name, tab->cols[i].name))
            cdc_buf_str(sql, "NULL");
        else
            rep_put_name(sql, tab->cols[i].name);
        cdc_buf_printf(sql, " AS c%zu", i);
    }
    cdc_buf_printf(sql, ",%d AS weight FROM ", weight);
    put_col(sql, side, tab->name);
}

/* __seq, __op, how often more ours, how many rows of ours; a line for each different whole row. */
static void put_unkeyed(struct cdc_diff *diff, struct cdc_buf *sql)
{
    const struct rep_table *tab = diff->tab;
    cdc_buf_printf(sql, "SELECT c%d,c%d,sum(weight),sum(weight>0) FROM (", tab->meta[CDC_META_SEQ],
                   tab->meta[CDC_META_OP]);
    put_side(diff, sql, "main", 1);
    if (they_have(diff, tab->name, NULL)) {
        cdc_buf_str(sql, " UNION ALL ");
        put_side(diff, sql, "other", -1);
    }
    cdc_buf_str(sql, ") GROUP BY ");
    for (size_t i = 0; i < tab->n; i++)
        cdc_buf_printf(sql, "%sc%zu", i ? "," : "", i);
}

static int start(struct cdc_diff *diff, enum step step, struct cdc_error *err)
{
    struct cdc_buf *sql = &diff->rep->sql;
    sqlite3_finalize(diff->rows);
    diff->rows = NULL;
    diff->step = step;
    cdc_buf_reset(sql);
    if (step == DIFF_THEIRS && (diff->tab->n_key == 0 || !they_can(diff)))
        diff->step = DIFF_OVER;
    if (diff->step == DIFF_OVER)
        return CDC_OK;
    if (diff->tab->n_key == 0)
        put_unkeyed(diff, sql);
    else if (step == DIFF_OURS)
        put_ours(diff, sql);
    else
        put_theirs(diff, sql);
    return prepare(diff, cdc_buf_cstr(sql), &diff->rows, err);
}

/* A table that only they have: nothing of it is ours, and how it is keyed is not known. */
static int start_foreign(struct cdc_diff *diff, const char *name, struct cdc_error *err)
{
    struct cdc_buf *sql = &diff->rep->sql;
    sqlite3_finalize(diff->rows);
    diff->rows = NULL;
    diff->step = DIFF_THEIRS;
    cdc_buf_reset(sql);
    cdc_buf_str(sql, "SELECT \"__seq\",\"__op\",-1,0 FROM ");
    put_col(sql, "other", name);
    return prepare(diff, cdc_buf_cstr(sql), &diff->rows, err);
}

int cdc_diff_table(struct cdc_diff *diff, const char **ret, struct cdc_error *err)
{
    int rc = sqlite3_step(diff->tables);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? CDC_END : fail(diff, err, "cannot read the list of tables");
    free(diff->table);
    diff->table = rep_column_dup(diff->tables, 0);
    if (!diff->table)
        return cdc_fail_oom(err);
    diff->tab = diff->rep->tables;
    while (diff->tab && strcmp(diff->tab->source, diff->table) != 0)
        diff->tab = diff->tab->next;
    *ret = diff->table;
    if (!diff->tab)
        return start_foreign(diff, (const char *)sqlite3_column_text(diff->tables, 1), err);
    free(diff->columns);
    diff->columns = calloc(diff->tab->n + 1, sizeof *diff->columns);
    return diff->columns ? start(diff, DIFF_OURS, err) : cdc_fail_oom(err);
}

/* ---- one row ---- */

static void put_key(struct cdc_diff *diff)
{
    const struct rep_table *tab = diff->tab;
    bool keyed = tab && tab->n_key;
    cdc_buf_reset(&diff->key);
    for (size_t k = 0; k < (keyed ? tab->n_key : 2); k++) {
        const char *name = keyed ? tab->cols[tab->key[k]].source : k ? "__op" : "__seq";
        cdc_buf_str(&diff->key, k ? "," : "{");
        cdc_json_string(&diff->key, cdc_slice_str(name));
        cdc_buf_str(&diff->key, ":");
        rep_put_json(&diff->key, diff->rows, (int)k, CDC_NULL);
    }
    cdc_buf_str(&diff->key, "}");
}

/* A row of the statement; false: it is no difference. */
static bool judge(struct cdc_diff *diff, struct cdc_difference *ret, uint64_t *rows)
{
    const struct rep_table *tab = diff->tab;
    if (!tab || tab->n_key == 0) {
        int64_t more = sqlite3_column_int64(diff->rows, 2);
        *rows += (uint64_t)sqlite3_column_int64(diff->rows, 3);
        ret->what = more > 0 ? CDC_DIFF_LACKS : CDC_DIFF_EXTRA;
        return more != 0;
    }
    if (diff->step == DIFF_THEIRS) {
        ret->what = CDC_DIFF_EXTRA;
        return true;
    }
    int at = (int)tab->n_key;
    ++*rows;
    ret->what = CDC_DIFF_LACKS;
    if (sqlite3_column_int(diff->rows, at))
        return true;
    ret->what = CDC_DIFF_DIFFERS;
    for (size_t i = 0; i < tab->n; i++)
        if (!sqlite3_column_int(diff->rows, at + 1 + (int)i))
            diff->columns[ret->n++] = tab->cols[i].source;
    return ret->n > 0;
}

int cdc_diff_next(struct cdc_diff *diff, struct cdc_difference *ret, uint64_t *rows,
                  struct cdc_error *err)
{
    while (diff->step != DIFF_OVER) {
        *ret = (struct cdc_difference){.columns = diff->columns};
        int rc = sqlite3_step(diff->rows);
        if (rc == SQLITE_ROW && judge(diff, ret, rows)) {
            put_key(diff);
            ret->key = cdc_buf_slice(&diff->key);
            return diff->key.failed ? cdc_fail_oom(err) : CDC_OK;
        }
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return fail(diff, err, "cannot be read");
        if (rc == SQLITE_ROW)
            continue;
        if (!diff->tab)
            diff->step = DIFF_OVER;
        else if (start(diff, diff->step + 1, err))
            return CDC_FAIL;
    }
    return CDC_END;
}
