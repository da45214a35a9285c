/*
 * rights.c - what the user may do at the server as a whole, out of SHOW GRANTS.
 *
 *   GRANT SELECT, REPLICATION SLAVE ON *.* TO `cdc`@`%`
 *   GRANT ALL PRIVILEGES ON *.* TO ...
 *   GRANT `role`@`%` TO `cdc`@`%`      says nothing of what the role may do
 *
 * What an active role may do both servers name in lines of its own; a role that is not active (SET
 * DEFAULT ROLE) counts for nothing at the server, nor here. The lines may hold hashes of passwords:
 * nothing of them is ever printed.
 */
#include "mysql.h"

#define OPTION_PREVENTS_STATEMENT 1290 /* --skip-grant-tables */

int mys_rights_read(MYSQL *conn, MYSQL_RES **ret, struct cdc_error *err)
{
    if (mys_query(conn, "SHOW GRANTS", ret, err) == CDC_OK)
        return CDC_OK;
    return mysql_errno(conn) == OPTION_PREVENTS_STATEMENT ? CDC_OK : CDC_FAIL;
}

/* Does "GRANT A, B ON *.* TO ..." name it? */
static bool grants(const char *line, const char *right)
{
    const char *end = strstr(line, " ON *.* TO ");
    size_t n = strlen(right);
    if (strncmp(line, "GRANT ", 6) != 0 || !end)
        return false;
    if (strncmp(line + 6, "ALL PRIVILEGES", 14) == 0)
        return true;
    for (const char *at = line + 6; at + n <= end; at++)
        if (strncmp(at, right, n) == 0 && (at[n] == ',' || at + n == end) &&
            (at[-1] == ' ' && (at == line + 6 || at[-2] == ',')))
            return true;
    return false;
}

bool mys_may(MYSQL_RES *rights, const char *right)
{
    if (!rights)
        return true;
    mysql_data_seek(rights, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(rights));)
        if (row[0] && grants(row[0], right))
            return true;
    return false;
}
