/*
 * snap_table.c - tables as the catalogue shows them to those who read rows: keys, engines, and who
 * waits to alter them.
 *
 * All questions go over the session's side connection, so they are of now. What a table looked like
 * in an older look need not be known: InnoDB refuses (error 1412) to read a table under a look that
 * is older than its present files, and what is altered without new files reads right.
 *
 * Waiting sessions are found in the list of processes, by their state and the table's name in their
 * statement: there is no right to see more that a reader would have. Queries do not count: what
 * waits for a reader is no query (and we wait ourselves at times). A name that happens to stand
 * in the statement of somebody who waits for another table costs a pause. Without the right to see
 * other users' sessions (PROCESS) nobody is seen.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static void put_name(const struct mys_which *which, const char *alias, struct cdc_buf *sql)
{
    cdc_buf_printf(sql, "%sTABLE_SCHEMA = ", alias);
    mys_literal_put(sql, which->schema);
    cdc_buf_printf(sql, " AND %sTABLE_NAME = ", alias);
    mys_literal_put(sql, which->name);
}

static int ask(struct mys_viewer *ses, struct cdc_buf *sql, MYSQL_RES **ret, struct cdc_error *err)
{
    int rc = mys_viewer_run(ses, ses->side, cdc_buf_cstr(sql), ret, err);
    cdc_buf_done(sql);
    return rc;
}

/* ---- keys ---- */

enum key_col { K_NAME, K_PREFIX, K_ORDER, K_TYPE, K_CHARSET, K_COLLATION };

static bool take_column(MYSQL_ROW row, struct cdc_arena *arena, struct mys_key_column *ret)
{
    struct cdc_buf quoted = CDC_BUF(1024);
    mys_ident_put(&quoted, row[K_NAME]);
    const char *text = cdc_buf_cstr(&quoted);
    ret->quoted = text ? cdc_arena_strdup(arena, text) : NULL;
    ret->charset = cdc_arena_strdup(arena, row[K_CHARSET] ? row[K_CHARSET] : "");
    ret->collation = cdc_arena_strdup(arena, row[K_COLLATION] ? row[K_COLLATION] : "");
    cdc_buf_done(&quoted);
    return ret->quoted && ret->charset && ret->collation;
}

/*
 * Of a descending column or one that is kept in part the index has another order. And where the
 * first column is ENUM or SET no server finds a range in the index: each would read it all.
 */
static bool usable(MYSQL_ROW row, bool first, struct mys_key_column *ret)
{
    bool known = row[K_TYPE] && mys_key_form_of(row[K_TYPE], &ret->form);
    return known && !(first && ret->form == MYS_KEY_INDEX) && row[K_NAME] && !row[K_PREFIX] &&
           row[K_ORDER] && row[K_ORDER][0] == 'A' && (ret->form != MYS_KEY_TEXT || row[K_CHARSET]);
}

static int take_key(MYSQL_RES *res, struct mys_key *ret, struct cdc_error *err)
{
    struct mys_key key = {.arena = cdc_arena_new((size_t)1 << 20)};
    if (key.arena)
        key.cols = cdc_arena_zalloc(key.arena, (mysql_num_rows(res) + 1) * sizeof *key.cols);
    bool right = key.cols != NULL, fits = true;
    for (MYSQL_ROW row; right && fits && (row = mysql_fetch_row(res));) {
        struct mys_key_column *col = &key.cols[key.n++];
        fits = usable(row, key.n == 1, col);
        right = !fits || take_column(row, key.arena, col);
    }
    if (right && fits)
        *ret = key;
    else
        mys_key_done(&key);
    return right ? CDC_OK : cdc_fail_oom(err);
}

int mys_key_look(struct mys_viewer *ses, const struct mys_which *which, struct mys_key *ret,
                 struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(8192);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, "SELECT s.COLUMN_NAME, s.SUB_PART, s.COLLATION, LOWER(c.DATA_TYPE), "
                      "c.CHARACTER_SET_NAME, c.COLLATION_NAME FROM information_schema.STATISTICS s "
                      "JOIN information_schema.COLUMNS c ON c.COLUMN_NAME = s.COLUMN_NAME WHERE ");
    put_name(which, "s.", &sql);
    cdc_buf_str(&sql, " AND ");
    put_name(which, "c.", &sql);
    cdc_buf_str(&sql, " AND s.INDEX_NAME = 'PRIMARY' ORDER BY s.SEQ_IN_INDEX");
    int rc = ask(ses, &sql, &res, err);
    return rc == CDC_OK ? take_key(res, ret, err) : rc;
}

/* ---- engines ---- */

bool mys_engine_keeps(const char *engine)
{
    return engine && (strcasecmp(engine, "InnoDB") == 0 || strcasecmp(engine, "ROCKSDB") == 0);
}

int mys_table_keeps(struct mys_viewer *ses, const struct mys_which *which, bool *ret,
                    struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(8192);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, "SELECT ENGINE FROM information_schema.TABLES WHERE ");
    put_name(which, "", &sql);
    int rc = ask(ses, &sql, &res, err);
    MYSQL_ROW row = rc == CDC_OK ? mysql_fetch_row(res) : NULL;
    *ret = row && mys_engine_keeps(row[0]);
    return rc;
}

/* ---- definitions ---- */

/* Behind the columns, which are lines that begin with spaces. */
void mys_table_text_plain(char *text)
{
    static const char counter[] = " AUTO_INCREMENT=";
    char *options = strstr(text, "\n) ");
    char *from = options ? strstr(options, counter) : NULL;
    if (!from)
        return;
    const char *to = from + sizeof counter - 1;
    to += strspn(to, "0123456789");
    memmove(from, to, strlen(to) + 1);
}

char *mys_table_text(struct mys_viewer *ses, const struct mys_which *which)
{
    struct cdc_buf sql = CDC_BUF(8192);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, "SHOW CREATE TABLE ");
    mys_table_put(&sql, which->schema, which->name);
    if (ask(ses, &sql, &res, NULL) != CDC_OK || mysql_num_fields(res) != 2)
        return NULL; /* a view has more */
    MYSQL_ROW row = mysql_fetch_row(res);
    char *text = row && row[1] ? strdup(row[1]) : NULL;
    if (text)
        mys_table_text_plain(text);
    return text;
}

/* ---- others ---- */

int mys_given_up(const struct mys_which *which, const char *why, struct cdc_error *err)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", which->schema, which->name);
    (void)cdc_fail(err, CDC_RETRY, name, "%s", why);
    return CDC_AGAIN;
}

int mys_may_not_read(const struct mys_viewer *ses, const struct mys_which *which,
                     struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, which->name,
                    "the user may not read table %s.%s: GRANT SELECT ON `%s`.`%s` TO '%s'; or "
                    "leave the table's rows out by `snapshot: never`",
                    which->schema, which->name, which->schema, which->name,
                    ses->srv->user ? ses->srv->user : "");
}

/* Tables on which the user has no right are not in the catalogue either. */
int mys_table_missing(struct mys_viewer *ses, const struct mys_which *which, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(8192);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, "SELECT 1 FROM ");
    mys_table_put(&sql, which->schema, which->name);
    cdc_buf_str(&sql, " LIMIT 0");
    int rc = ask(ses, &sql, &res, err);
    unsigned code = mysql_errno(ses->side);
    if (rc == CDC_FAIL && (code == 1142 || code == 1143 || code == 1044))
        return mys_may_not_read(ses, which, err);
    return rc == CDC_FAIL ? rc : CDC_END;
}
