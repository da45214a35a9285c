/*
 * xa_check.c - did an XA COMMIT that is in the log really commit?
 *
 * MariaDB (10.5, 10.11, 11.8, seen) and older MySQL (8.0.15 seen; 8.0.31 and 9.7 do not) answer OK
 * and log an XA COMMIT that comes from another session in the moment in which the session that
 * prepared is closing, and leave the transaction prepared in InnoDB: they let go of the xid before
 * they let go of the engine's transaction, and the commit, which is logged first, then finds none
 * in the engine and does not say so. XA RECOVER shows it again only after a restart; until then its
 * rows stay as they were, and locked. A replica of the server gets the rows; we shall be equal to
 * the source (P8). MySQL before 8.0.22 wants the right LOCK TABLES for the question.
 *
 * So after an XA COMMIT of a session other than the one that prepared, the last row that it changed
 * in each table is read by its key with a shared lock that does not wait:
 *
 *   granted       nobody who changed the row is still at it: committed. Of one row that is enough,
 *                 since it is all or nothing; all are asked, for tables without transactions
 *   refused       the commit may be on its way, or another transaction has the row: asked again
 *   never         for some seconds: the rows of the log go out, and each of its tables has a gap,
 *                 by which it is copied as the source has it. So also where no row can be asked for
 *                 (no key, a key of floats or one that the rule names, no right to SELECT)
 *
 * One short question by key; the lock ends with it. A session's own commit is never in doubt, so
 * nothing is asked of those who prepare and commit on one connection, as most do.
 */
#include "mysql.h"

#include <mariadb/errmsg.h>

#include "cdc/clock.h"
#include "cdc/decimal.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define SQL_MAX ((size_t)1 << 20)
/* To either server what is for the other is a comment. */
#define BEGIN_MARIADB "/*M!100000 SET STATEMENT max_statement_time = 1 FOR */"
#define BEGIN_MYSQL   "/*+ MAX_EXECUTION_TIME(1000) */ "
#define END_BOTH      " /*M!100000 LOCK IN SHARE MODE NOWAIT *//*!80001 FOR SHARE NOWAIT */"

enum answer { LOCKED, FREE, BLIND, LOST };

struct mys_doubt_row {
    struct cdc_table *tab; /* a reference */
    struct cdc_buf sql;
    enum answer answer;
    struct mys_doubt_row *next;
};

/* ---- the question ---- */

static void put_hex(struct cdc_buf *sql, const struct cdc_value *val)
{
    cdc_buf_str(sql, val->kind == CDC_BYTES ? "X'" : "_utf8mb4 X'");
    for (uint32_t i = 0; i < val->len; i++)
        cdc_buf_printf(sql, "%02X", (unsigned)val->p[i]);
    cdc_buf_byte(sql, '\'');
}

/* At most 38 digits: the most negative number is none. */
static void put_decimal(struct cdc_buf *sql, const struct cdc_value *val)
{
    cdc_int128 num = val->len && val->p[0] & 0x80 ? -1 : 0;
    char digits[64], *at = digits + sizeof digits;
    int scale = val->aux;
    for (uint32_t i = 0; i < val->len; i++)
        num = num * 256 + val->p[i];
    cdc_buf_str(sql, num < 0 ? "-" : "");
    num = num < 0 ? -num : num;
    *--at = 0;
    do {
        *--at = (char)('0' + (int)(num % 10));
        num /= 10;
        if (--scale == 0)
            *--at = '.';
    } while (num || scale >= 0);
    cdc_buf_str(sql, at);
}

static void put_since(struct cdc_buf *sql, const char *since, int64_t n, const char *unit)
{
    cdc_buf_printf(sql, "%s + INTERVAL %lld %s", since, (long long)n, unit);
}

/* false: a value of this kind is not asked for. */
static bool put_value(struct cdc_buf *sql, const struct cdc_value *val)
{
    switch ((enum cdc_kind)val->kind) {
    case CDC_BOOL:
    case CDC_INT: cdc_buf_printf(sql, "%lld", (long long)val->i); return true;
    case CDC_DECIMAL: put_decimal(sql, val); return true;
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_BYTES: put_hex(sql, val); return true;
    case CDC_DATE: put_since(sql, "DATE'1970-01-01'", val->i, "DAY"); return true;
    case CDC_TIME: put_since(sql, "TIME'00:00:00'", val->i, "MICROSECOND"); return true;
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ:
        put_since(sql, "TIMESTAMP'1970-01-01 00:00:00'", val->i, "MICROSECOND");
        return true;
    default: return false;
    }
}

static bool put_question(struct cdc_buf *sql, const struct cdc_change *chg)
{
    const struct cdc_table *tab = chg->table;
    if (tab->n_key == 0 || tab->rule->n_key > 0)
        return false;
    cdc_buf_str(sql, BEGIN_MARIADB "SELECT " BEGIN_MYSQL "1 FROM ");
    mys_table_put(sql, tab->schema, tab->name);
    for (uint16_t i = 0; i < tab->n_key; i++) {
        const struct cdc_value *after = chg->after ? &chg->after[tab->key[i]] : NULL;
        bool known = after && cdc_value_known(after);
        cdc_buf_str(sql, i ? " AND " : " WHERE ");
        mys_ident_put(sql, tab->cols[tab->key[i]].name);
        cdc_buf_str(sql, " = ");
        if ((!known && !chg->before) || !put_value(sql, known ? after : &chg->before[tab->key[i]]))
            return false;
    }
    cdc_buf_str(sql, END_BOTH);
    return !sql->failed;
}

static struct mys_doubt_row *row_of(struct mys_doubt *doubt, struct cdc_table *tab)
{
    struct mys_doubt_row *row = doubt->rows;
    while (row && row->tab != tab)
        row = row->next;
    if (row || !(row = calloc(1, sizeof *row)))
        return row;
    row->tab = cdc_table_ref(tab);
    cdc_buf_init(&row->sql, SQL_MAX);
    row->next = doubt->rows;
    doubt->rows = row;
    return row;
}

int mys_doubt_add(struct mys_doubt *doubt, const struct cdc_change *chg, struct cdc_error *err)
{
    struct mys_doubt_row *row = row_of(doubt, chg->table);
    if (!row)
        return cdc_fail_oom(err);
    cdc_buf_reset(&row->sql);
    bool askable = (chg->before || chg->after) && put_question(&row->sql, chg);
    row->answer = askable && cdc_buf_cstr(&row->sql) ? LOCKED : BLIND;
    return CDC_OK;
}

int mys_doubt_blind(struct mys_doubt *doubt, struct cdc_table *tab, struct cdc_error *err)
{
    struct mys_doubt_row *row = row_of(doubt, tab);
    if (!row)
        return cdc_fail_oom(err);
    row->answer = BLIND;
    return CDC_OK;
}

void mys_doubt_done(struct mys_doubt *doubt)
{
    while (doubt->rows) {
        struct mys_doubt_row *row = doubt->rows;
        doubt->rows = row->next;
        cdc_table_unref(row->tab);
        cdc_buf_done(&row->sql);
        free(row);
    }
}

/* ---- the answer ---- */

/*
 * An ALTER or DROP had to wait for the transaction's locks: after one nothing is locked. What is
 * not in the table, a question that the server will never answer, must not hold the stream for
 * ever: blind. LOST: the connection is, or will be.
 */
static enum answer answer_of(unsigned code)
{
    static const struct {
        unsigned code;
        enum answer answer;
    } answers[] = {{1205, LOCKED}, {1213, LOCKED}, {1317, LOCKED}, {3572, LOCKED}, {1146, FREE},
                   {1054, FREE},   {1053, LOST},   {1927, LOST},   {4031, LOST}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].code == code)
            return answers[i].answer;
    return code >= CR_MIN_ERROR && code <= CR_MAX_ERROR ? LOST : BLIND;
}

static int ask(struct mys_source *src, struct mys_doubt_row *row, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    int rc = mys_query(src->srv.sql, cdc_buf_cstr(&row->sql), &res, err);
    enum answer answer = rc == CDC_OK ? FREE : answer_of(mysql_errno(src->srv.sql));
    if (answer == LOST) {
        mys_sql_close(&src->srv);
        return CDC_FAIL;
    }
    row->answer = answer;
    return CDC_OK;
}

int mys_doubt_ask(struct mys_source *src, struct mys_doubt *doubt, struct cdc_error *err)
{
    unsigned n[LOST] = {0};
    for (struct mys_doubt_row *row = doubt->rows; row; row = row->next) {
        if (row->answer == LOCKED && ask(src, row, err) < 0)
            return CDC_FAIL;
        n[row->answer]++;
    }
    if (n[LOCKED])
        return CDC_AGAIN;
    return n[BLIND] && !n[FREE] ? CDC_END : CDC_OK;
}

int mys_doubt_gap(struct mys_source *src, struct cdc_batch *batch, const struct mys_doubt *doubt,
                  struct cdc_error *err)
{
    for (const struct mys_doubt_row *row = doubt->rows; row; row = row->next)
        if (mys_gap_table(src, batch, row->tab, err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}
