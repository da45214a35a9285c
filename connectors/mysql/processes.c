/*
 * processes.c - what the server's other sessions do: for whom a lock would wait, who waits for
 * ours.
 *
 * By SHOW PROCESSLIST. A question to information_schema.PROCESSLIST, whatever columns it asks for,
 * fails in MySQL 9.7 while any session runs a statement with a character beyond utf8mb3 (an emoji,
 * error 3854). SHOW cuts statements after 100 bytes, perhaps in the middle of a character; they are
 * asked for in full, which may be much, only where a table's name may have been cut off.
 */
#define _GNU_SOURCE /* strcasestr */
#include "snap.h"

#include <stdlib.h>
#include <strings.h>

#define CUT 96 /* statements of so many bytes may be cut: 100, less what a character lost */

enum process_col { P_ID, P_USER, P_HOST, P_DB, P_COMMAND, P_TIME, P_STATE, P_INFO, P_COLS };

static bool text_is(const char *text, const char *what)
{
    return text && strcasecmp(text, what) == 0;
}

static int list(MYSQL *conn, bool full, MYSQL_RES **ret, struct cdc_error *err)
{
    if (mys_query(conn, full ? "SHOW FULL PROCESSLIST" : "SHOW PROCESSLIST", ret, err) < 0)
        return CDC_FAIL;
    if (mysql_num_fields(*ret) >= P_COLS)
        return CDC_OK;
    return cdc_fail(err, CDC_FATAL, "mysql", "SHOW PROCESSLIST has fewer columns than it must");
}

int mys_none_runs(MYSQL *conn, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (list(conn, false, &res, err) < 0)
        return CDC_FAIL;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        bool runs = text_is(row[P_COMMAND], "Query") || text_is(row[P_COMMAND], "Execute");
        if (runs && row[P_TIME] && strtol(row[P_TIME], NULL, 10) >= 1 && row[P_ID] &&
            strtoul(row[P_ID], NULL, 10) != mysql_thread_id(conn))
            return CDC_AGAIN;
    }
    return CDC_OK;
}

enum mys_waits mys_process_waits(const char *state, const char *info, struct cdc_slice names)
{
    if (text_is(state, "Waiting for table flush"))
        return MYS_WAITS;
    if (!text_is(state, "Waiting for table metadata lock") || !info ||
        strncasecmp(info, "SELECT", 6) == 0)
        return MYS_WAITS_NOT;
    for (size_t at = 0; at < names.len; at += strlen((const char *)names.p + at) + 1)
        if (strcasestr(info, (const char *)names.p + at))
            return MYS_WAITS;
    return strlen(info) >= CUT ? MYS_WAITS_PERHAPS : MYS_WAITS_NOT;
}

static int look(MYSQL *conn, bool full, struct cdc_slice names, enum mys_waits *ret,
                struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    *ret = MYS_WAITS_NOT;
    if (list(conn, full, &res, err) < 0)
        return CDC_FAIL;
    for (MYSQL_ROW row; *ret != MYS_WAITS && (row = mysql_fetch_row(res));) {
        enum mys_waits one = mys_process_waits(row[P_STATE], row[P_INFO], names);
        *ret = one == MYS_WAITS_NOT ? *ret : one;
    }
    return CDC_OK;
}

int mys_waited_for(MYSQL *conn, struct cdc_slice names, bool *ret, struct cdc_error *err)
{
    enum mys_waits waits;
    int rc = look(conn, false, names, &waits, err);
    if (rc == CDC_OK && waits == MYS_WAITS_PERHAPS)
        rc = look(conn, true, names, &waits, err);
    *ret = rc == CDC_OK && waits == MYS_WAITS;
    return rc;
}
