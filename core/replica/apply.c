/*
 * apply.c - one row of the feed into the database.
 *
 * For a table with a key, in this order:
 *   1. A row whose __seq is not greater than the stored one is a replay: ignored. In hard mode the
 *      __seq of removed keys is remembered in _sidestream_gone and compared likewise.
 *   2. A row below the table's highest range delete is gone already: it is written as deleted
 * (soft) or not at all (hard). That it was deleted logically before says nothing any more.
 *   3. Each column takes the row's value; where `__unchanged` lists it, the value it had:
 *        a key change's insert half   of the row it was before (kept.c); but of the row that is
 *                                     there, if there is one: the key was free then, so that is
 *                                     this row, read by a copy after it had moved, and the one
 *                                     under the key before may be another by now
 *        else                         of the row that is there, unless that one was deleted: it was
 *                                     another life, and its values are not this row's
 *      What nobody knows is NULL and stays listed in the stored `__unchanged`.
 *   4. A delete is written like an update: it nulls nothing. In hard mode the row is then removed.
 *
 * Tables without key, and append mode: every record is inserted, whatever it says, but for the
 * range delete that came last and comes once more.
 */
#include "replica/internal.h"

#include "avro/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct cdc_replica *rep;
    struct rep_table *tab;
    const struct cdc_row_schema *schema;
    const struct cdc_value *vals;
    char op;
    bool moved_away, insertion, covered;
    bool exists; /* at the source: alive, or deleted logically alone */
    struct cdc_slice seq, key;
    const struct cdc_value *unchanged; /* the list, or NULL */

    sqlite3_stmt *old; /* stands on the row that is there; NULL: none */
    bool old_exists;   /* at the source, as `exists` */
    bool old_counts;   /* its values are the row's own where `__unchanged` says so */
    json_t *old_unknown;
    sqlite3_value *const *kept; /* the row before its key change, or NULL */
    size_t n_kept;
    json_t *kept_unknown;
    struct cdc_buf unknown; /* JSON list of what stays unknown, without the last bracket */
};

static const struct cdc_value *meta(const struct work *w, enum cdc_meta m)
{
    static const struct cdc_value none = {.kind = CDC_NULL};
    int at = w->schema->meta[m];
    return at < 0 ? &none : &w->vals[at];
}

static bool text_is(const struct cdc_value *val, const char *text)
{
    return val->kind == CDC_TEXT && cdc_slice_eq(cdc_value_slice(val), cdc_slice_str(text));
}

static int read_row(struct work *w, const struct cdc_feed_row *row, struct cdc_error *err)
{
    w->schema = row->schema;
    w->vals = row->values;
    const struct cdc_value *op = meta(w, CDC_META_OP), *seq = meta(w, CDC_META_SEQ);
    if (op->kind != CDC_TEXT || op->len != 1 || seq->kind != CDC_TEXT || seq->len != CDC_SEQ_LEN)
        return cdc_fail(err, CDC_FATAL, w->tab->source,
                        "a row has no valid __op or __seq; run `sidestream fsck` on its source");
    w->op = (char)op->p[0];
    w->seq = cdc_value_slice(seq);
    bool deleted = meta(w, CDC_META_DELETED)->kind == CDC_BOOL && meta(w, CDC_META_DELETED)->i;
    w->exists = !deleted || text_is(meta(w, CDC_META_DELETE_REASON), "logical");
    w->moved_away =
        w->op == CDC_OP_DELETE && text_is(meta(w, CDC_META_DELETE_REASON), "key_change");
    w->insertion = w->op == CDC_OP_CREATE || meta(w, CDC_META_PREV_KEY)->kind == CDC_TEXT;
    w->unchanged = meta(w, CDC_META_UNCHANGED);
    if (w->unchanged->kind != CDC_ARRAY || w->unchanged->len == 0)
        w->unchanged = NULL;
    const char *range = w->tab->range.seq;
    w->covered = range[0] && memcmp(w->seq.p, range, CDC_SEQ_LEN) < 0;
    return CDC_OK;
}

/* The JSON list in a stored `__unchanged`; NULL: empty. */
static json_t *list_of(const unsigned char *text)
{
    return text && text[0] ? json_loads((const char *)text, 0, NULL) : NULL;
}

static bool in_list(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item && strcmp(item, name) == 0)
            return true;
    }
    return false;
}

static bool in_row_list(const struct work *w, const char *name)
{
    for (uint32_t i = 0; w->unchanged && i < w->unchanged->len; i++)
        if (text_is(&w->unchanged->items[i], name))
            return true;
    return false;
}

static int bind_key(const struct work *w, sqlite3_stmt *stmt, int first, struct cdc_error *err)
{
    for (size_t i = 0; i < w->tab->n_key; i++) {
        const struct rep_col *col = &w->tab->cols[w->tab->key[i]];
        int from = w->tab->from[w->tab->key[i]];
        const struct cdc_value *val = &w->vals[from];
        if (val->kind == CDC_NULL)
            return cdc_fail(err, CDC_OPERATOR, w->tab->source,
                            "a row has NULL in the key column %s; choose other columns with `key:` "
                            "in the capture rule, or set `deletes: append`",
                            col->source);
        if (rep_bind(w->rep, stmt, first + (int)i, val, w->schema->cols[from].bits) != SQLITE_OK)
            return rep_fail(w->rep, err, "cannot bind a key");
    }
    return CDC_OK;
}

/* Sets w->old, old_* to the row of this key. */
static int look_up(struct work *w, struct cdc_error *err)
{
    sqlite3_stmt *stmt;
    json_decref(w->old_unknown);
    w->old_unknown = NULL;
    w->old = NULL;
    if (rep_table_stmt(w->rep, w->tab, REP_SELECT, &stmt, err))
        return CDC_FAIL;
    sqlite3_reset(stmt);
    if (bind_key(w, stmt, 1, err))
        return CDC_FAIL;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        sqlite3_reset(stmt);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? CDC_OK : rep_fail(w->rep, err, "cannot read a row");
    const int *at = w->tab->meta;
    int reason = at[CDC_META_DELETE_REASON], unchanged = at[CDC_META_UNCHANGED];
    const char *why = reason < 0 ? NULL : (const char *)sqlite3_column_text(stmt, reason);
    w->old = stmt;
    w->old_exists =
        !sqlite3_column_int(stmt, at[CDC_META_DELETED]) || (why && strcmp(why, "logical") == 0);
    w->old_counts = w->old_exists || w->op == CDC_OP_DELETE;
    if (unchanged >= 0)
        w->old_unknown = list_of(sqlite3_column_text(stmt, unchanged));
    return CDC_OK;
}

/* Is the stored row as new as this one? */
static bool is_replay(const struct work *w)
{
    int at = w->tab->meta[CDC_META_SEQ];
    const char *seq = w->old ? (const char *)sqlite3_column_text(w->old, at) : NULL;
    return seq && strlen(seq) == CDC_SEQ_LEN && memcmp(w->seq.p, seq, CDC_SEQ_LEN) <= 0;
}

/* For the insert half of a key change: the row before it. */
static void find_before(struct work *w)
{
    const struct cdc_value *prev = meta(w, CDC_META_PREV_KEY);
    if (!w->unchanged || prev->kind != CDC_TEXT)
        return;
    w->kept = rep_kept_find(w->rep->kept, REP_MOVED, w->tab, cdc_value_slice(prev), &w->n_kept);
    int at = w->tab->meta[CDC_META_UNCHANGED];
    if (w->kept && at >= 0 && (size_t)at < w->n_kept)
        w->kept_unknown = list_of(sqlite3_value_text(w->kept[at]));
}

static void note_unknown(struct work *w, const char *name)
{
    cdc_buf_byte(&w->unknown, w->unknown.len ? ',' : '[');
    cdc_json_string(&w->unknown, cdc_slice_str(name));
}

static int bind_old(const struct work *w, sqlite3_stmt *stmt, size_t i)
{
    return sqlite3_bind_value(stmt, (int)i + 1, sqlite3_column_value(w->old, (int)i));
}

/* A column of the source. */
static int bind_source(struct work *w, sqlite3_stmt *stmt, size_t i)
{
    const char *name = w->tab->cols[i].source;
    int from = w->tab->from[i], at = (int)i + 1;
    if (from >= 0 && !in_row_list(w, name))
        return rep_bind(w->rep, stmt, at, &w->vals[from], w->schema->cols[from].bits);
    bool read_ahead = w->insertion && w->old && w->old_exists && !in_list(w->old_unknown, name);
    if (from >= 0 && w->kept && i < w->n_kept && !read_ahead && !in_list(w->kept_unknown, name))
        return sqlite3_bind_value(stmt, at, w->kept[i]);
    bool from_old = w->old && (from >= 0 ? w->old_counts : !w->insertion);
    if (from_old && !in_list(w->old_unknown, name))
        return bind_old(w, stmt, i);
    if (from >= 0 || from_old)
        note_unknown(w, name);
    return sqlite3_bind_null(stmt, at);
}

/* What a range delete says of a row that it covers; false: nothing about this column. */
static bool range_says(const struct rep_range *range, enum cdc_meta m, const char **ret)
{
    switch (m) {
    case CDC_META_DELETED: *ret = "1"; return true; /* INTEGER affinity makes it a number */
    case CDC_META_DELETED_AT: *ret = range->deleted_at; return true;
    case CDC_META_DELETE_REASON: *ret = range->reason; return true;
    case CDC_META_UPDATED_AT: *ret = range->updated_at; return true;
    case CDC_META_SYNCED_AT: *ret = range->synced_at; return true;
    default: return false;
    }
}

static int bind_meta(struct work *w, sqlite3_stmt *stmt, size_t i, enum cdc_meta m)
{
    const char *text;
    int from = w->tab->from[i], at = (int)i + 1;
    if (w->covered && w->exists && range_says(&w->tab->range, m, &text))
        return sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
    return rep_bind(w->rep, stmt, at, &w->vals[from], w->schema->cols[from].bits);
}

static int bind_unknown(struct work *w, sqlite3_stmt *stmt)
{
    int at = w->tab->meta[CDC_META_UNCHANGED];
    if (at < 0 || w->unknown.len == 0)
        return at < 0 ? SQLITE_OK : sqlite3_bind_null(stmt, at + 1);
    cdc_buf_byte(&w->unknown, ']');
    if (w->unknown.failed)
        return SQLITE_NOMEM;
    return sqlite3_bind_text64(stmt, at + 1, (const char *)w->unknown.p, w->unknown.len,
                               SQLITE_STATIC, SQLITE_UTF8);
}

/* Writes the row over the one that is there, or as a new one. */
static int write_row(struct work *w, struct cdc_error *err)
{
    sqlite3_stmt *stmt;
    struct rep_table *tab = w->tab;
    if (rep_table_stmt(w->rep, tab, w->old ? REP_UPDATE : REP_INSERT, &stmt, err))
        return CDC_FAIL;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < tab->n && rc == SQLITE_OK; i++) {
        int from = tab->from[i];
        enum cdc_meta m = from < 0 ? CDC_META_NONE : w->schema->cols[from].meta;
        if (m == CDC_META_NONE)
            rc = bind_source(w, stmt, i);
        else if (m != CDC_META_UNCHANGED)
            rc = bind_meta(w, stmt, i, m);
    }
    if (rc == SQLITE_OK)
        rc = bind_unknown(w, stmt);
    if (rc != SQLITE_OK)
        return rep_fail(w->rep, err, "cannot bind a row");
    if (w->old && bind_key(w, stmt, (int)tab->n + 1, err))
        return CDC_FAIL;
    if (w->old)
        sqlite3_reset(w->old);
    w->old = NULL;
    return rep_step(w->rep, stmt, err);
}

static int append_row(struct work *w, struct cdc_error *err)
{
    sqlite3_stmt *stmt;
    if (rep_table_stmt(w->rep, w->tab, REP_INSERT, &stmt, err))
        return CDC_FAIL;
    for (size_t i = 0; i < w->tab->n; i++) {
        int from = w->tab->from[i], at = (int)i + 1;
        int rc = from < 0 ? sqlite3_bind_null(stmt, at)
                          : rep_bind(w->rep, stmt, at, &w->vals[from], w->schema->cols[from].bits);
        if (rc != SQLITE_OK)
            return rep_fail(w->rep, err, "cannot bind a row");
    }
    return rep_step(w->rep, stmt, err);
}

static int keep_moved(struct work *w, struct cdc_error *err)
{
    if (look_up(w, err))
        return CDC_FAIL;
    if (w->old && rep_keep(w->rep->kept, REP_MOVED, w->tab, w->key, w->old))
        return cdc_fail_oom(err);
    return CDC_OK;
}

/* The __seq with which a key was removed: "" if it was not. */
static int gone_seq(struct work *w, char ret[CDC_SEQ_LEN + 1], struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(w->rep, "SELECT seq FROM _sidestream_gone WHERE \"table\"=? AND \"key\"=?",
                    &stmt, err))
        return CDC_FAIL;
    sqlite3_bind_text(stmt, 1, w->tab->source, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, (const char *)w->key.p, (int)w->key.len, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    snprintf(ret, CDC_SEQ_LEN + 1, "%s",
             rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : "");
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? CDC_OK
               : rep_fail(w->rep, err, "cannot read the removed keys");
}

static int set_gone(struct work *w, bool gone, struct cdc_error *err)
{
    char seq[CDC_SEQ_LEN + 1] = "";
    const char *params[] = {w->tab->source, cdc_buf_cstr(&w->rep->key), seq};
    if (!gone)
        return rep_run(w->rep, "DELETE FROM _sidestream_gone WHERE \"table\"=? AND \"key\"=?",
                       params, 2, err);
    memcpy(seq, w->seq.p, CDC_SEQ_LEN);
    return rep_run(w->rep, "INSERT OR REPLACE INTO _sidestream_gone VALUES (?, ?, ?)", params, 3,
                   err);
}

/* Hard mode, a delete. The row is written first only where another one needs its values. */
static int remove_row(struct work *w, struct cdc_error *err)
{
    sqlite3_stmt *stmt;
    if (w->moved_away && (write_row(w, err) || keep_moved(w, err)))
        return CDC_FAIL;
    if (w->old)
        sqlite3_reset(w->old);
    w->old = NULL;
    if (rep_table_stmt(w->rep, w->tab, REP_DELETE, &stmt, err) || bind_key(w, stmt, 1, err) ||
        rep_step(w->rep, stmt, err))
        return CDC_FAIL;
    return set_gone(w, true, err);
}

static int apply_hard(struct work *w, struct cdc_error *err)
{
    char gone[CDC_SEQ_LEN + 1] = "";
    if (!w->old && gone_seq(w, gone, err))
        return CDC_FAIL;
    if (gone[0] && memcmp(w->seq.p, gone, CDC_SEQ_LEN) <= 0)
        return CDC_OK;
    if (w->op == CDC_OP_DELETE)
        return remove_row(w, err);
    if (w->covered)
        return CDC_OK;
    if (gone[0] && set_gone(w, false, err))
        return CDC_FAIL;
    return write_row(w, err);
}

static int apply_soft(struct work *w, struct cdc_error *err)
{
    if (write_row(w, err))
        return CDC_FAIL;
    return w->moved_away ? keep_moved(w, err) : CDC_OK;
}

/*
 * Does the delete mean the row that was pushed from this key, and not the one that is there? It
 * does if it tells the whole old row, and that is the pushed one's. (A key that is checked late
 * cannot be a replica identity, so such a source sends whole old rows.)
 */
static int means_pushed(struct work *w, bool *ret, struct cdc_error *err)
{
    size_t n;
    sqlite3_value *const *vals = rep_kept_find(w->rep->kept, REP_PUSHED, w->tab, w->key, &n);
    *ret = false;
    if (!vals || w->unchanged)
        return CDC_OK;
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(w->rep, "SELECT ?1 IS ?2", &stmt, err))
        return CDC_FAIL;
    bool same = true;
    for (size_t i = 0; i < n && same; i++) {
        int from = w->tab->from[i];
        if (from < 0 || w->schema->cols[from].meta != CDC_META_NONE)
            continue;
        sqlite3_reset(stmt);
        sqlite3_bind_value(stmt, 1, vals[i]);
        same = rep_bind(w->rep, stmt, 2, &w->vals[from], w->schema->cols[from].bits) == SQLITE_OK &&
               sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    *ret = same;
    return CDC_OK;
}

/* The row that is there stays; only its __seq grows, so that a replay of this delete is one. */
static int step_over(struct work *w, struct cdc_error *err)
{
    sqlite3_stmt *stmt;
    sqlite3_reset(w->old);
    w->old = NULL;
    rep_kept_move(w->rep->kept, w->tab, w->key);
    if (rep_table_stmt(w->rep, w->tab, REP_SET_SEQ, &stmt, err) || bind_key(w, stmt, 1, err))
        return CDC_FAIL;
    sqlite3_bind_text(stmt, (int)w->tab->n_key + 1, (const char *)w->seq.p, CDC_SEQ_LEN,
                      SQLITE_STATIC);
    return rep_step(w->rep, stmt, err);
}

static int apply_keyed(struct work *w, struct cdc_error *err)
{
    struct rep_kept *kept = w->rep->kept;
    cdc_buf_reset(&w->rep->key);
    cdc_json_key(&w->rep->key, w->schema, w->vals);
    if (!cdc_buf_cstr(&w->rep->key))
        return cdc_fail_oom(err);
    w->key = cdc_buf_slice(&w->rep->key);
    if (look_up(w, err))
        return CDC_FAIL;
    if (is_replay(w))
        return CDC_OK;
    bool pushed = false;
    if (w->op == CDC_OP_DELETE && w->old_exists && means_pushed(w, &pushed, err))
        return CDC_FAIL;
    if (pushed)
        return step_over(w, err);
    find_before(w);
    if (w->insertion && w->old_exists && rep_keep(kept, REP_PUSHED, w->tab, w->key, w->old))
        return cdc_fail_oom(err);
    return w->tab->deletes == CDC_DELETES_HARD ? apply_hard(w, err) : apply_soft(w, err);
}

void rep_put_exists(struct cdc_buf *sql, const struct rep_table *tab)
{
    int reason = tab->meta[CDC_META_DELETE_REASON];
    cdc_buf_str(sql, "(NOT ");
    rep_put_name(sql, tab->cols[tab->meta[CDC_META_DELETED]].name);
    if (reason >= 0) {
        cdc_buf_str(sql, " OR ");
        rep_put_name(sql, tab->cols[reason].name);
        cdc_buf_str(sql, " IS 'logical'");
    }
    cdc_buf_byte(sql, ')');
}

/*
 * Marks all rows below the range delete that were not gone (a logical delete leaves its row there),
 * or removes them (hard).
 */
int rep_range_apply(struct cdc_replica *rep, const struct rep_table *tab, struct cdc_error *err)
{
    const struct rep_range *range = &tab->range;
    const char *params[CDC_METAS] = {range->seq}, *value;
    size_t n = 1;
    bool hard = tab->deletes == CDC_DELETES_HARD;
    struct cdc_buf *sql = &rep->sql;
    if (!range->seq[0])
        return CDC_OK;
    cdc_buf_reset(sql);
    cdc_buf_str(sql, hard ? "DELETE FROM " : "UPDATE ");
    rep_put_name(sql, tab->name);
    for (int m = 0; m < CDC_METAS && !hard; m++) {
        if (tab->meta[m] < 0 || !range_says(range, (enum cdc_meta)m, &value))
            continue;
        cdc_buf_str(sql, n == 1 ? " SET " : ",");
        rep_put_name(sql, tab->cols[tab->meta[m]].name);
        params[n++] = value;
        cdc_buf_printf(sql, "=?%zu", n);
    }
    cdc_buf_str(sql, " WHERE ");
    rep_put_name(sql, tab->cols[tab->meta[CDC_META_SEQ]].name);
    cdc_buf_str(sql, "<?1");
    if (!hard) {
        cdc_buf_str(sql, " AND ");
        rep_put_exists(sql, tab);
    }
    return rep_run(rep, cdc_buf_cstr(sql), params, n, err);
}

static int text_of(struct work *w, enum cdc_meta m, char **ret, struct cdc_error *err)
{
    const struct cdc_value *val = meta(w, m);
    free(*ret);
    *ret = NULL;
    if (val->kind == CDC_NULL)
        return CDC_OK;
    cdc_buf_reset(&w->rep->text);
    cdc_text_value(&w->rep->text, val, 0);
    const char *text = cdc_buf_cstr(&w->rep->text);
    *ret = text ? strdup(text) : NULL;
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

/*
 * Every row of the table with a smaller __seq is gone, those still to come included. CDC_END: this
 * very range delete was here before (a feed may give it once for each part of a table).
 */
static int apply_range(struct work *w, struct cdc_error *err)
{
    struct rep_table *tab = w->tab;
    struct rep_range *range = &tab->range;
    int c = range->seq[0] ? memcmp(w->seq.p, range->seq, CDC_SEQ_LEN) : 1;
    if (c <= 0)
        return c == 0 ? CDC_END : CDC_OK;
    memcpy(range->seq, w->seq.p, CDC_SEQ_LEN);
    range->seq[CDC_SEQ_LEN] = '\0';
    if (text_of(w, CDC_META_DELETED_AT, &range->deleted_at, err) ||
        text_of(w, CDC_META_DELETE_REASON, &range->reason, err) ||
        text_of(w, CDC_META_UPDATED_AT, &range->updated_at, err) ||
        text_of(w, CDC_META_SYNCED_AT, &range->synced_at, err) || rep_table_save(w->rep, tab, err))
        return CDC_FAIL;
    if (tab->n_key == 0)
        return CDC_OK;
    if (rep_range_apply(w->rep, tab, err))
        return CDC_FAIL;
    /* What the range delete covers needs no memory of its own. */
    const char *params[] = {tab->source, range->seq};
    return rep_run(w->rep, "DELETE FROM _sidestream_gone WHERE \"table\"=? AND seq<?", params, 2,
                   err);
}

int cdc_replica_apply(struct cdc_replica *rep, const struct cdc_feed_row *row,
                      struct cdc_error *err)
{
    struct work w = {.rep = rep, .unknown = CDC_BUF(REP_SQL_MAX)};
    if (rep_begin(rep, err) || rep_table_of(rep, row->schema, row->deletes, &w.tab, err) ||
        read_row(&w, row, err))
        return CDC_FAIL;
    rep->rows++;
    rep_kept_tx(rep->kept, w.seq);
    int status = w.op == CDC_OP_RANGE ? apply_range(&w, err) : CDC_OK;
    if (!status && w.tab->n_key == 0)
        status = append_row(&w, err);
    else if (!status && w.op != CDC_OP_RANGE)
        status = apply_keyed(&w, err);
    if (w.old)
        sqlite3_reset(w.old);
    json_decref(w.old_unknown);
    json_decref(w.kept_unknown);
    cdc_buf_done(&w.unknown);
    return status == CDC_END ? CDC_OK : status;
}
