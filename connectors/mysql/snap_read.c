/*
 * snap_read.c - one table, or a range of it, under a look: shape, SELECT, rows.
 *
 *   SAVEPOINT            MySQL: so that the table's metadata lock can be given back while the look
 *                        stays
 *   SELECT ... LIMIT 0   takes that lock: from here on nobody alters the table
 *   the catalogue        of now, over the side connection, shows the columns that our user knows;
 *                        else it is given up
 *   SELECT               text protocol, unbuffered: the server sends as we read
 *   ROLLBACK TO          gives the lock back
 *
 * At MariaDB only the end of the look gives it back, so what was found at a look's first range of a
 * table holds for the others. At MySQL it may have been altered between two ranges: but where the
 * server would make it with the same words, it was not.
 *
 * A look older than the table's files is refused by InnoDB (1412) with the first row. When somebody
 * waits for our lock, the session's watcher ends the statement, or the session (snap_session.c).
 */
#include "snap.h"

#include "cdc/clock.h"

#include <mariadb/errmsg.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LOOK_ROWS 32 /* between two looks whether we are in somebody's way */

static struct mys_which which_of(const struct mys_reader *reader)
{
    return (struct mys_which){.schema = reader->tab->schema, .name = reader->tab->name};
}

static int given_up(const struct mys_reader *reader, const char *why, struct cdc_error *err)
{
    const struct mys_which which = which_of(reader);
    return mys_given_up(&which, why, err);
}

/* ---- beginning ---- */

/* How the table was found. */
static void forget(struct mys_reader *reader)
{
    mys_shape_free(reader->shape);
    free(reader->text);
    free(reader->created);
    mys_key_done(&reader->key);
    reader->shape = NULL;
    reader->text = NULL;
    reader->created = NULL;
    reader->keyed = reader->keeps_known = false;
}

/* The same columns of the same types: rows of the one are rows of the other. */
static bool same_columns(const struct cdc_table *a, const struct cdc_table *b)
{
    bool same = a->n == b->n;
    for (uint16_t i = 0; same && i < a->n; i++)
        same = strcmp(a->cols[i].name, b->cols[i].name) == 0 &&
               strcmp(a->cols[i].type, b->cols[i].type) == 0 &&
               a->cols[i].kind == b->cols[i].kind && a->cols[i].key == b->cols[i].key;
    return same;
}

static int set_parsers(struct mys_reader *reader, struct cdc_error *err)
{
    const struct cdc_table *tab = reader->tab;
    reader->text = calloc(tab->n + 1u, sizeof *reader->text);
    if (!reader->text)
        return cdc_fail_oom(err);
    for (uint16_t i = 0; i < tab->n; i++) {
        reader->text[i] = mys_text_of(&reader->shape->fields[i]);
        if (!reader->text[i])
            return cdc_fail(err, CDC_FATAL, tab->name,
                            "column %s.%s.%s has a type that cannot be copied; please report this",
                            tab->schema, tab->name, tab->cols[i].name);
    }
    return CDC_OK;
}

/* The table as it is now, locked, must be what our user knows. */
static int look_again(struct mys_reader *reader, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    const struct mys_which which = which_of(reader);
    struct mys_described now = {.tab = NULL};
    forget(reader);
    int rc = mys_rel_describe(reader->src, ses->side, &which, &now, err);
    reader->shape = now.shape;
    if (rc == CDC_FAIL && mysql_errno(ses->side))
        rc = mys_viewer_fail(ses, ses->side, err);
    if (rc == CDC_END || (rc == CDC_OK && !same_columns(now.tab, reader->tab)))
        rc = given_up(reader, "the table is not what it was any more; it is looked at again", err);
    cdc_table_unref(now.tab);
    return rc == CDC_OK ? set_parsers(reader, err) : rc;
}

static int lock(struct mys_reader *reader, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    const struct mys_which which = which_of(reader);
    struct cdc_buf sql = CDC_BUF(4096);
    cdc_buf_str(&sql, "SELECT 1 FROM ");
    mys_table_put(&sql, which.schema, which.name);
    cdc_buf_str(&sql, " LIMIT 0");
    int rc = mys_viewer_run(ses, ses->conn, cdc_buf_cstr(&sql), NULL, err);
    cdc_buf_done(&sql);
    unsigned code = mysql_errno(ses->conn);
    if (rc == CDC_AGAIN && !mys_viewer_in_the_way(ses))
        rc = given_up(reader, "the table is locked by somebody who alters it, or gone", err);
    else if (rc == CDC_FAIL && (code == 1142 || code == 1143 || code == 1044))
        rc = mys_may_not_read(ses, &which, err);
    return rc;
}

/*
 * The lock, and the table as our user knows it. One that was found so is only compared with how it
 * would be made: that is one question and no longer four, and a table has many ranges. Where the
 * lock stayed since then there is nothing to ask.
 */
static int hold(struct mys_reader *reader, bool whole, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    const struct mys_which which = which_of(reader);
    bool held = reader->shape && reader->held == ses->let_go;
    if (!ses->facts->mariadb &&
        mys_viewer_run(ses, ses->conn, "SAVEPOINT copying", NULL, err) != CDC_OK)
        return CDC_FAIL;
    reader->begun = true;
    if (held)
        return CDC_OK;
    int rc = lock(reader, err);
    char *created = rc == CDC_OK && !whole ? mys_table_text(ses, &which) : NULL;
    bool same = created && reader->created && strcmp(created, reader->created) == 0;
    if (rc == CDC_OK && !same) {
        rc = look_again(reader, err);
        reader->created = created;
        created = NULL;
    }
    free(created);
    reader->held = ses->let_go;
    return rc;
}

static int put_range(struct mys_reader *reader, const struct cdc_range *range, struct cdc_buf *sql,
                     struct cdc_error *err)
{
    const struct mys_which which = which_of(reader);
    int rc = CDC_OK;
    if (!range->from.p && !range->to.p) {
        cdc_buf_str(sql, " WHERE TRUE");
        return CDC_OK;
    }
    if (!reader->keyed)
        rc = mys_key_look(reader->ses, &which, &reader->key, err);
    reader->keyed = rc == CDC_OK;
    cdc_buf_str(sql, " FORCE INDEX (PRIMARY) WHERE TRUE");
    if (rc == CDC_OK && mys_range_sql(&reader->key, range, sql) != CDC_OK)
        rc = given_up(reader, "the range does not fit the table's key any more", err);
    return rc;
}

static void put_columns(const struct mys_reader *reader, struct cdc_buf *sql)
{
    struct cdc_buf name = CDC_BUF(1024);
    for (uint16_t i = 0; i < reader->tab->n; i++) {
        cdc_buf_reset(&name);
        mys_ident_put(&name, reader->tab->cols[i].name);
        const char *quoted = cdc_buf_cstr(&name);
        cdc_buf_str(sql, i ? ", " : "SELECT ");
        mys_text_select(&reader->shape->fields[i], quoted ? quoted : "", sql);
        sql->failed |= !quoted;
    }
    cdc_buf_done(&name);
}

/* Errors of an expression, which is the rule's condition if there is one. */
static bool of_condition(unsigned code)
{
    static const unsigned codes[] = {1052, 1054, 1064, 1109, 1111, 1128, 1267, 1305, 1365,
                                     1411, 1525, 1582, 1583, 1584, 1630, 1690, 3141, 3143};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static int select_failed(struct mys_reader *reader, struct cdc_error *err)
{
    MYSQL *conn = reader->ses->conn;
    const struct mys_which which = which_of(reader);
    const struct cdc_rule *rule = reader->tab->rule;
    unsigned code = mysql_errno(conn);
    if (rule && rule->copy_where && of_condition(code))
        return cdc_fail(err, CDC_CONFIG, rule->where,
                        "the rows of table %s.%s cannot be copied: the server refuses the rule's "
                        "`where` (error %u); correct it",
                        which.schema, which.name, code);
    if (code == 1142 || code == 1143)
        return mys_may_not_read(reader->ses, &which, err);
    int rc = mys_viewer_fail(reader->ses, conn, err);
    if (rc == CDC_AGAIN && code == 1412)
        return given_up(reader,
                        "the table was altered, rewritten or truncated since the look at it; "
                        "another look is taken",
                        err);
    if (rc == CDC_AGAIN)
        return given_up(reader,
                        mys_viewer_in_the_way(reader->ses)
                            ? MYS_IN_THE_WAY
                            : "the table is locked, or reading was ended by somebody",
                        err);
    return rc;
}

static int start_select(struct mys_reader *reader, const struct cdc_range *range, const char *where,
                        struct cdc_error *err)
{
    MYSQL *conn = reader->ses->conn;
    struct cdc_buf sql = CDC_BUF((size_t)64 << 20);
    put_columns(reader, &sql);
    cdc_buf_str(&sql, " FROM ");
    mys_table_put(&sql, reader->tab->schema, reader->tab->name);
    int rc = put_range(reader, range, &sql, err);
    if (where) /* a comment at its end ends with the line */
        cdc_buf_printf(&sql, " AND (%s\n)", where);
    const char *text = cdc_buf_cstr(&sql);
    if (rc == CDC_OK && !text)
        rc = cdc_fail_oom(err);
    if (rc == CDC_OK && mysql_send_query(conn, text, (unsigned long)sql.len) != 0)
        rc = select_failed(reader, err);
    reader->sent = reader->running = rc == CDC_OK;
    cdc_buf_done(&sql);
    return rc;
}

/* What was found of the table before stays, if it was this one. */
static void take_table(struct mys_reader *reader, struct cdc_table *tab)
{
    const struct cdc_table *old = reader->tab;
    if (!old || strcmp(old->schema, tab->schema) != 0 || strcmp(old->name, tab->name) != 0 ||
        !same_columns(old, tab))
        forget(reader);
    cdc_table_ref(tab);
    cdc_table_unref(reader->tab);
    reader->tab = tab;
}

int mys_reader_begin(struct mys_reader *reader, struct cdc_table *tab,
                     const struct cdc_range *range, const char *where, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    if (mys_reader_end(reader, err) < 0)
        return CDC_FAIL;
    take_table(reader, tab);
    if (mys_viewer_touch(ses, tab->name, err) < 0)
        return CDC_FAIL;
    int rc = hold(reader, !range->from.p && !range->to.p, err);
    if (rc == CDC_OK)
        rc = start_select(reader, range, where, err);
    if (rc != CDC_OK)
        forget(reader);
    return rc == CDC_AGAIN && mys_reader_end(reader, err) < 0 ? CDC_FAIL : rc;
}

int mys_reader_keeps(struct mys_reader *reader, bool *ret, struct cdc_error *err)
{
    const struct mys_which which = which_of(reader);
    int rc = CDC_OK;
    if (!reader->keeps_known)
        rc = mys_table_keeps(reader->ses, &which, &reader->keeps, err);
    reader->keeps_known = rc == CDC_OK;
    *ret = reader->keeps;
    return rc;
}

/* ---- ending ---- */

/* The server answers with the first rows, so this may last: it is no part of beginning. */
static int take_result(struct mys_reader *reader)
{
    MYSQL *conn = reader->ses->conn;
    reader->sent = false;
    if (mysql_read_query_result(conn) != 0)
        return CDC_FAIL;
    reader->res = mysql_use_result(conn);
    return reader->res ? CDC_OK : CDC_FAIL;
}

/* Ends the SELECT, and reads away what has been sent. */
static int kill_select(struct mys_reader *reader, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    char sql[64];
    snprintf(sql, sizeof sql, "KILL QUERY %lu", ses->id);
    int rc = reader->running ? mys_viewer_run(ses, ses->side, sql, NULL, err) : CDC_OK;
    if (rc != CDC_OK)
        return CDC_FAIL;
    if (reader->sent)
        (void)take_result(reader); /* most probably that it was ended */
    mys_clear(&reader->res);
    reader->running = false;
    return CDC_OK;
}

/* The KILL may come when the SELECT was over, and end this: then it has come. */
int mys_reader_end(struct mys_reader *reader, struct cdc_error *err)
{
    struct mys_viewer *ses = reader->ses;
    if (!reader->begun)
        return CDC_OK;
    if (!ses->facts->mariadb) /* from here on nobody but us ends a statement */
        mys_viewer_untouch(ses);
    if (kill_select(reader, err) < 0)
        return CDC_FAIL;
    reader->begun = false;
    if (ses->facts->mariadb)
        return CDC_OK;
    int rc = mys_viewer_run(ses, ses->conn, "ROLLBACK TO SAVEPOINT copying", NULL, err);
    if (rc == CDC_AGAIN)
        rc = mys_viewer_run(ses, ses->conn, "ROLLBACK TO SAVEPOINT copying", NULL, err);
    return rc == CDC_OK ? CDC_OK : CDC_FAIL;
}

/* Much may be to come of an unfinished result, and freeing reads it: not without a socket. */
void mys_reader_done(struct mys_reader *reader)
{
    if (reader->running) {
        shutdown((int)mysql_get_socket(reader->ses->conn), SHUT_RDWR);
        mys_viewer_kill(reader->ses);
    }
    mys_clear(&reader->res);
    reader->begun = reader->sent = reader->running = false;
    forget(reader);
    cdc_table_unref(reader->tab);
    reader->tab = NULL;
}

/* ---- rows ---- */

static const struct cdc_tx *tx_of(const struct mys_reader *reader, struct cdc_batch *batch)
{
    if (batch->n > 0)
        return batch->changes[0].tx;
    struct cdc_tx *tx = cdc_arena_alloc(batch->arena, sizeof *tx);
    if (!tx)
        return NULL;
    *tx = reader->tx;
    if (tx->id.p)
        tx->id = cdc_arena_copy(batch->arena, tx->id);
    return tx;
}

static int odd_value(const struct mys_reader *reader, uint16_t col, struct cdc_error *err)
{
    const struct cdc_table *tab = reader->tab;
    return cdc_fail(err, CDC_FATAL, tab->name,
                    "column %s.%s.%s (%s): the server sent a value that this type does not have. "
                    "Leave the table out by `skip: true` to go on",
                    tab->schema, tab->name, tab->cols[col].name, tab->cols[col].type);
}

static int too_large(const struct mys_reader *reader, struct cdc_error *err)
{
    const struct cdc_table *tab = reader->tab;
    return cdc_fail(err, CDC_OPERATOR, tab->name,
                    "a row of table %s.%s is larger than source.max_row_bytes (%zu): raise it "
                    "(three times as much memory is needed), or leave the table out by `skip: "
                    "true`",
                    tab->schema, tab->name, reader->ses->srv->max_row);
}

static int take_values(const struct mys_reader *reader, MYSQL_ROW row, struct cdc_arena *arena,
                       struct cdc_value *ret, struct cdc_error *err)
{
    const unsigned long *lens = mysql_fetch_lengths(reader->res);
    size_t len = 0;
    for (uint16_t i = 0; i < reader->tab->n; i++)
        len += row[i] ? lens[i] : 0;
    if (len > reader->ses->srv->max_row)
        return too_large(reader, err);
    for (uint16_t i = 0; i < reader->tab->n; i++) {
        if (!row[i]) {
            ret[i] = (struct cdc_value){.kind = CDC_NULL};
            continue;
        }
        int rc = reader->text[i](&reader->shape->fields[i], cdc_slice_of(row[i], lens[i]), arena,
                                 &ret[i]);
        if (rc != CDC_OK)
            return rc == CDC_FULL ? cdc_fail_oom(err) : odd_value(reader, i, err);
    }
    return CDC_OK;
}

static int add_row(struct mys_reader *reader, MYSQL_ROW row, struct cdc_batch *batch,
                   struct cdc_error *err)
{
    const struct cdc_tx *tx = tx_of(reader, batch);
    struct cdc_value *after = cdc_arena_alloc(batch->arena, reader->tab->n * sizeof *after);
    if (!tx || !after)
        return cdc_fail_oom(err);
    if (take_values(reader, row, batch->arena, after, err) < 0)
        return CDC_FAIL;
    struct cdc_change *chg = cdc_batch_add(batch, reader->tab);
    if (!chg)
        return cdc_fail_oom(err);
    chg->op = CDC_OP_READ;
    chg->flags = reader->flags;
    chg->tx = tx;
    chg->ordinal = reader->ordinal;
    chg->after = after;
    return CDC_OK;
}

/* No more rows: well, or not. */
static int finish(struct mys_reader *reader, struct cdc_error *err)
{
    unsigned code = mysql_errno(reader->ses->conn);
    int rc = code ? select_failed(reader, err) : CDC_END;
    reader->running = code >= CR_MIN_ERROR && code <= CR_MAX_ERROR; /* it is just not heard */
    if (rc == CDC_FAIL)
        return rc;
    return mys_reader_end(reader, rc == CDC_END ? err : NULL) < 0 ? CDC_FAIL : rc;
}

static int in_the_way(struct mys_reader *reader, struct cdc_error *err)
{
    bool lost = reader->ses->facts->mariadb;
    if (!lost && mys_reader_end(reader, err) < 0)
        return CDC_FAIL;
    (void)given_up(reader, MYS_IN_THE_WAY, err);
    return lost ? CDC_FAIL : CDC_AGAIN;
}

int mys_reader_read(struct mys_reader *reader, size_t max_rows, struct cdc_batch *batch,
                    struct cdc_error *err)
{
    int rc = reader->sent || reader->res ? CDC_OK : CDC_END;
    if (reader->sent && take_result(reader) != CDC_OK)
        rc = finish(reader, err);
    batch->read_us = cdc_now_us();
    while (rc == CDC_OK && batch->n < max_rows && (batch->n == 0 || !cdc_batch_full(batch))) {
        /* Much may have been sent before that. */
        if (batch->n % LOOK_ROWS == 0 && mys_viewer_in_the_way(reader->ses))
            return in_the_way(reader, err);
        MYSQL_ROW row = mysql_fetch_row(reader->res);
        rc = row ? add_row(reader, row, batch, err) : finish(reader, err);
    }
    return rc;
}
