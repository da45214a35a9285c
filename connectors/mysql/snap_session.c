/*
 * snap_session.c - two connections for whoever reads tables, and what ends their waits early.
 *
 *   conn   is in a transaction under the look and reads rows, a result at a time
 *   side   asks the catalogue meanwhile, finds bounds, ends a statement of conn (KILL QUERY)
 *
 * Calls of the client library block for as long as the server takes. So a thread beside them looks
 * at the flags that say stop, and shuts the sockets down: the call then fails at once, and its
 * failure is told as a stop. A session is of no use behind that.
 *
 * A server that stands behind the same address as the source's, but is another one (a proxy, a
 * failover between two connections), would show other data: each connection is asked who it is.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define WATCH_NS 50000000L

/* ---- the watcher ---- */

/* Under the lock. */
static bool told(const struct mys_viewer *ses)
{
    return (ses->stop && atomic_load(ses->stop)) || (ses->cut && atomic_load(ses->cut)) ||
           (ses->signalled && *ses->signalled);
}

static void *watch(void *arg)
{
    struct mys_viewer *ses = arg;
    struct timespec until;
    pthread_mutex_lock(&ses->lock);
    while (!ses->over) {
        for (int i = 0; told(ses) && i < 2; i++) {
            if (ses->fds[i] >= 0)
                shutdown(ses->fds[i], SHUT_RDWR);
            ses->fds[i] = -1;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&ses->changed, &ses->lock, &until);
    }
    pthread_mutex_unlock(&ses->lock);
    return NULL;
}

/* Before a connection is closed its descriptor must be out of the watcher's reach. */
static void set_fd(struct mys_viewer *ses, int i, MYSQL *conn)
{
    pthread_mutex_lock(&ses->lock);
    ses->fds[i] = conn ? (int)mysql_get_socket(conn) : -1;
    pthread_mutex_unlock(&ses->lock);
}

void mys_viewer_hear(struct mys_viewer *ses, const atomic_bool *stop, const atomic_bool *cut)
{
    pthread_mutex_lock(&ses->lock);
    ses->stop = stop;
    ses->cut = cut;
    pthread_mutex_unlock(&ses->lock);
}

bool mys_viewer_stopped(struct mys_viewer *ses)
{
    if (!ses->watched)
        return told(ses);
    pthread_mutex_lock(&ses->lock);
    bool ret = told(ses);
    pthread_mutex_unlock(&ses->lock);
    return ret;
}

static int start_watcher(struct mys_viewer *ses, struct cdc_error *err)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&ses->lock, NULL);
    pthread_cond_init(&ses->changed, &attr);
    pthread_condattr_destroy(&attr);
    ses->fds[0] = ses->fds[1] = -1;
    ses->watched = pthread_create(&ses->watcher, NULL, watch, ses) == 0;
    if (ses->watched)
        return CDC_OK;
    pthread_cond_destroy(&ses->changed);
    pthread_mutex_destroy(&ses->lock);
    return cdc_fail(err, CDC_FATAL, "mysql", "no thread can be made");
}

/* ---- connections ---- */

static int another_server(struct cdc_error *err)
{
    return cdc_fail(err, CDC_RETRY, "mysql",
                    "another server answers than the one whose log is read (a proxy, or a failover "
                    "just now); it is tried again. source.url must lead to one server");
}

/* Who it is; *ret_id (may be NULL): the connection's number there. */
static int check_server(MYSQL *conn, const struct mys_facts *facts, unsigned long *ret_id,
                        struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    char ident[sizeof facts->ident];
    const char *sql = facts->mariadb
                          ? "SELECT CONCAT('server_id ', @@GLOBAL.server_id), CONNECTION_ID()"
                          : "SELECT @@GLOBAL.server_uuid, CONNECTION_ID()";
    if (mys_query(conn, sql, &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (!row || !row[0] || !row[1])
        return another_server(err);
    snprintf(ident, sizeof ident, "%s", row[0]);
    if (ret_id)
        *ret_id = strtoul(row[1], NULL, 10);
    return strcmp(ident, facts->ident) == 0 ? CDC_OK : another_server(err);
}

static int connect_as(const struct mys_server *srv, const struct mys_facts *facts, const char *set,
                      MYSQL **ret, struct cdc_error *err)
{
    MYSQL *conn = NULL;
    if (mys_connect(srv, &conn, err) < 0)
        return CDC_FAIL;
    if (mys_query(conn, set, NULL, err) < 0 || check_server(conn, facts, NULL, err) < 0) {
        mysql_close(conn);
        return CDC_FAIL;
    }
    *ret = conn;
    return CDC_OK;
}

/* 31 February is a date that a table may have, and a bound be made of. */
int mys_reader_connect(const struct mys_server *srv, const struct mys_facts *facts, MYSQL **ret,
                       struct cdc_error *err)
{
    return connect_as(srv, facts,
                      "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 2, "
                      "character_set_results = NULL",
                      ret, err);
}

static int connect_side(struct mys_viewer *ses, struct cdc_error *err)
{
    const char *set = ses->facts->mariadb
                          ? "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 1, "
                            "max_statement_time = 300"
                          : "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 1, "
                            "max_execution_time = 300000, information_schema_stats_expiry = 0";
    if (connect_as(ses->srv, ses->facts, set, &ses->side, err) < 0)
        return CDC_FAIL;
    set_fd(ses, 1, ses->side);
    return CDC_OK;
}

int mys_viewer_open(struct mys_viewer *ses, struct cdc_error *err)
{
    return start_watcher(ses, err) < 0 || connect_side(ses, err) < 0 ? CDC_FAIL : CDC_OK;
}

int mys_viewer_set(struct mys_viewer *ses, MYSQL *conn, struct cdc_error *err)
{
    ses->conn = conn;
    set_fd(ses, 0, conn);
    return check_server(conn, ses->facts, &ses->id, err);
}

MYSQL *mys_viewer_leave(struct mys_viewer *ses)
{
    MYSQL *conn = ses->conn;
    set_fd(ses, 0, NULL);
    ses->conn = NULL;
    return conn;
}

int mys_viewer_connect(struct mys_viewer *ses, struct cdc_error *err)
{
    MYSQL *conn = NULL;
    if (ses->conn)
        return CDC_OK;
    if (mys_reader_connect(ses->srv, ses->facts, &conn, err) < 0)
        return CDC_FAIL;
    return mys_viewer_set(ses, conn, err);
}

void mys_viewer_drop(struct mys_viewer *ses)
{
    MYSQL *conn = mys_viewer_leave(ses);
    if (conn)
        mysql_close(conn);
}

void mys_viewer_close(struct mys_viewer *ses)
{
    if (!ses->watched)
        return;
    mys_viewer_drop(ses);
    set_fd(ses, 1, NULL);
    if (ses->side)
        mysql_close(ses->side);
    ses->side = NULL;
    pthread_mutex_lock(&ses->lock);
    ses->over = true;
    pthread_cond_signal(&ses->changed);
    pthread_mutex_unlock(&ses->lock);
    pthread_join(ses->watcher, NULL);
    pthread_cond_destroy(&ses->changed);
    pthread_mutex_destroy(&ses->lock);
    ses->watched = false;
}

/* ---- statements ---- */

/* The table is locked, altered, renamed or gone: no such table, column or partition, another
 * definition, a lock that was not had; or the statement was ended. */
static bool again(unsigned code)
{
    static const unsigned codes[] = {1412, 1146, 1054, 1205, 1213, 1735, 1317, 3024, 1969};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code)
            return true;
    return false;
}

int mys_viewer_fail(struct mys_viewer *ses, MYSQL *conn, struct cdc_error *err)
{
    if (mys_viewer_stopped(ses))
        return cdc_fail(err, CDC_RETRY, "mysql", "reading of tables was stopped");
    int rc = mys_fail(conn, NULL, err);
    return again(mysql_errno(conn)) ? CDC_AGAIN : rc;
}

int mys_viewer_run(struct mys_viewer *ses, MYSQL *conn, const char *sql, MYSQL_RES **ret,
                   struct cdc_error *err)
{
    if (!sql)
        return cdc_fail_oom(err);
    return mys_query(conn, sql, ret, err) == CDC_OK ? CDC_OK : mys_viewer_fail(ses, conn, err);
}
