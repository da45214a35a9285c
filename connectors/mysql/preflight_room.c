/*
 * preflight_room.c - `check`: are there connections enough for a copy of tables?
 *
 * Each that reads, and the one that plans, has up to three: a session under its view of the data,
 * one in the present, and one that watches who waits for the table. Besides these a pipeline has
 * the dump's, one to ask things and one to look at the log. Sessions of our account are taken for
 * the pipeline's own: where one runs it is the one that is checked.
 */
#include "mysql.h"

#include <stdlib.h>

static unsigned wanted(const struct cdc_config *cfg)
{
    return 3 + 3 * (cfg->copy_readers + 1);
}

/* Of SHOW PROCESSLIST, which shows at least the account's own. */
static int count_own(MYSQL *conn, const char *user, long *ret, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(conn, "SHOW PROCESSLIST", &res, err) < 0)
        return CDC_FAIL;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));)
        *ret += row[1] && strcmp(row[1], user) == 0;
    return CDC_OK;
}

static void report(struct cdc_report *rep, long free, unsigned want, const char *of,
                   const char *mend)
{
    bool few = free < (long)want;
    cdc_report(rep, few ? CDC_WARN : CDC_PASS, few ? mend : NULL,
               "%ld more connections %s are to be had; a copy of tables takes up to %u%s",
               free > 0 ? free : 0, of, want, few ? " (snapshot.threads)" : "");
}

int mys_check_room(struct mys_server *srv, struct cdc_report *rep, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *limits = NULL, *taken = NULL;
    unsigned want = wanted(srv->cfg);
    long own = 0;
    if (!mys_copy_wanted(srv->cfg))
        return CDC_OK;
    if (mys_query(srv->sql,
                  "SELECT SUBSTRING_INDEX(USER(), '@', 1), @@global.max_connections, "
                  "@@session.max_user_connections",
                  &limits, err) < 0 ||
        mys_query(srv->sql, "SHOW GLOBAL STATUS LIKE 'Threads_connected'", &taken, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW limit = mysql_fetch_row(limits), row = mysql_fetch_row(taken);
    if (!limit || !row || !limit[0] || !limit[1] || !limit[2] || !row[1])
        return CDC_OK;
    if (count_own(srv->sql, limit[0], &own, err) < 0)
        return CDC_FAIL;
    long others = atol(row[1]) - own, account = atol(limit[2]);
    report(rep, atol(limit[1]) - (others > 0 ? others : 0), want, "to the server",
           "raise max_connections, or lower snapshot.threads");
    if (account > 0)
        report(
            rep, account, want, "of the account",
            "ALTER USER ... WITH MAX_USER_CONNECTIONS (or the server's max_user_connections), or "
            "lower snapshot.threads");
    return CDC_OK;
}
