/*
 * snap_session.c - the connections of whoever reads tables, and what ends their waits early.
 *
 *   conn   is in a transaction under the look and reads rows, a result at a time
 *   side   asks the catalogue meanwhile, and finds bounds
 *   guard  the watcher's
 *
 * Calls of the client library block for as long as the server takes. So a thread beside them, the
 * watcher, looks at the flags that say stop, and shuts the sockets down: the call then fails at
 * once, and its failure is told as a stop. A session is of no use behind that.
 *
 * The watcher also looks, once a second, whether somebody waits for a table that conn has read and
 * keeps from being altered: all who use that table wait behind him. At MySQL the lock of a table
 * can be given back while the look stays (ROLLBACK TO SAVEPOINT), so only the statement is ended.
 * MariaDB with a binary log keeps such locks to the end of the transaction, so conn is ended, and
 * its look is lost.
 *
 * A server that stands behind the same address as the source's, but is another one (a proxy, a
 * failover between two connections), would show other data: each connection is asked who it is.
 */
#include "snap.h"

#include "catalogue.h"
#include "cdc/clock.h"
#include "cdc/log.h"

#include <mariadb/mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define WATCH_NS   50000000L
#define GUARD_US   1000000
#define SILENT_S   5
#define KILL_US    2000000
#define NAMES_MOST ((size_t)256 << 10)

enum { FD_CONN, FD_SIDE, FD_GUARD, FDS };

/* ---- the watcher ---- */

/* Under the lock. */
static bool told(const struct mys_viewer *ses)
{
    return (ses->stop && atomic_load(ses->stop)) || (ses->cut && atomic_load(ses->cut)) ||
           (ses->signalled && *ses->signalled);
}

/* Before a connection is closed its descriptor must be out of the watcher's reach. */
static void set_fd(struct mys_viewer *ses, int i, MYSQL *conn)
{
    pthread_mutex_lock(&ses->lock);
    ses->fds[i] = conn ? (int)mysql_get_socket(conn) : -1;
    pthread_mutex_unlock(&ses->lock);
}

static void close_guard(struct mys_viewer *ses)
{
    set_fd(ses, FD_GUARD, NULL);
    if (ses->guard)
        mysql_close(ses->guard);
    ses->guard = NULL;
}

/* Still in the way, so that nothing else can be hit? Then it is told to end, under the lock. */
static void end_conn(struct mys_viewer *ses)
{
    char sql[64];
    snprintf(sql, sizeof sql, ses->facts->mariadb ? "KILL %lu" : "KILL QUERY %lu", ses->id);
    pthread_mutex_lock(&ses->lock);
    if (ses->touched.len > 0 && mys_query(ses->guard, sql, NULL, NULL) == CDC_OK)
        ses->in_the_way = true;
    pthread_mutex_unlock(&ses->lock);
}

/* Not under the lock. What cannot be asked now is asked a second later. */
static void guard(struct mys_viewer *ses)
{
    struct cdc_buf names = CDC_BUF(NAMES_MOST);
    bool waited = false;
    pthread_mutex_lock(&ses->lock);
    cdc_buf_put(&names, ses->touched.p, ses->touched.len);
    bool due = ses->touched.len > 0 && !ses->in_the_way;
    pthread_mutex_unlock(&ses->lock);
    if (due && !ses->guard && mys_connect_within(ses->srv, SILENT_S, &ses->guard, NULL) == CDC_OK)
        set_fd(ses, FD_GUARD, ses->guard);
    if (due && ses->guard) {
        if (mys_waited_for(ses->guard, cdc_buf_slice(&names), &waited, NULL) < 0)
            close_guard(ses);
        else if (waited)
            end_conn(ses);
    }
    cdc_buf_done(&names);
    ses->guard_us = cdc_mono_us() + GUARD_US;
}

/* Under the lock. */
static void shut_down(struct mys_viewer *ses)
{
    for (int i = 0; i < FDS; i++) {
        if (ses->fds[i] >= 0)
            shutdown(ses->fds[i], SHUT_RDWR);
        ses->fds[i] = -1;
    }
}

static void *watch(void *arg)
{
    struct mys_viewer *ses = arg;
    struct timespec until;
    pthread_mutex_lock(&ses->lock);
    while (!ses->over) {
        if (told(ses)) {
            shut_down(ses);
        } else if (cdc_mono_us() >= ses->guard_us) {
            pthread_mutex_unlock(&ses->lock);
            guard(ses);
            pthread_mutex_lock(&ses->lock);
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!ses->over)
            pthread_cond_timedwait(&ses->changed, &ses->lock, &until);
    }
    pthread_mutex_unlock(&ses->lock);
    return NULL;
}

static int start_watcher(struct mys_viewer *ses, struct cdc_error *err)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&ses->lock, NULL);
    pthread_cond_init(&ses->changed, &attr);
    pthread_condattr_destroy(&attr);
    ses->fds[FD_CONN] = ses->fds[FD_SIDE] = ses->fds[FD_GUARD] = -1;
    ses->touched = CDC_BUF(NAMES_MOST);
    ses->guard_us = cdc_mono_us() + GUARD_US;
    ses->watched = pthread_create(&ses->watcher, NULL, watch, ses) == 0;
    if (ses->watched)
        return CDC_OK;
    pthread_cond_destroy(&ses->changed);
    pthread_mutex_destroy(&ses->lock);
    return cdc_fail(err, CDC_FATAL, "mysql", "no thread can be made");
}

/* ---- what it is told ---- */

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

int mys_viewer_touch(struct mys_viewer *ses, const char *table, struct cdc_error *err)
{
    size_t len = strlen(table) + 1;
    pthread_mutex_lock(&ses->lock);
    struct cdc_buf *names = &ses->touched;
    bool known = false;
    for (size_t at = 0; at < names->len; at += strlen((char *)names->p + at) + 1)
        known |= strcmp((char *)names->p + at, table) == 0;
    if (!known)
        cdc_buf_put(names, table, len);
    bool failed = names->failed;
    pthread_mutex_unlock(&ses->lock);
    return failed ? cdc_fail(err, CDC_RETRY, "mysql",
                             "too many tables were read under one look; another is taken")
                  : CDC_OK;
}

void mys_viewer_untouch(struct mys_viewer *ses)
{
    pthread_mutex_lock(&ses->lock);
    cdc_buf_reset(&ses->touched);
    ses->in_the_way = false;
    pthread_mutex_unlock(&ses->lock);
    ses->let_go++;
}

bool mys_viewer_touches(struct mys_viewer *ses)
{
    pthread_mutex_lock(&ses->lock);
    bool ret = ses->touched.len > 0;
    pthread_mutex_unlock(&ses->lock);
    return ret;
}

bool mys_viewer_in_the_way(struct mys_viewer *ses)
{
    pthread_mutex_lock(&ses->lock);
    bool ret = ses->in_the_way;
    pthread_mutex_unlock(&ses->lock);
    return ret;
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

#define SET_READER                                                                                 \
    "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 2, "                        \
    "character_set_results = NULL"

/* 31 February is a date that a table may have, and a bound be made of. */
int mys_reader_connect(const struct mys_server *srv, const struct mys_facts *facts, MYSQL **ret,
                       struct cdc_error *err)
{
    const char *set =
        facts->mariadb ? SET_READER ", idle_readonly_transaction_timeout = 0" : SET_READER;
    return connect_as(srv, facts, set, ret, err);
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
    set_fd(ses, FD_SIDE, ses->side);
    return mys_show_all(ses->side, ses->facts, err);
}

int mys_viewer_open(struct mys_viewer *ses, struct cdc_error *err)
{
    return start_watcher(ses, err) < 0 || connect_side(ses, err) < 0 ? CDC_FAIL : CDC_OK;
}

int mys_viewer_set(struct mys_viewer *ses, MYSQL *conn, struct cdc_error *err)
{
    unsigned long id = 0;
    ses->conn = conn;
    set_fd(ses, FD_CONN, conn);
    mys_viewer_untouch(ses);
    int rc = check_server(conn, ses->facts, &id, err);
    pthread_mutex_lock(&ses->lock);
    ses->id = id;
    pthread_mutex_unlock(&ses->lock);
    return rc;
}

MYSQL *mys_viewer_leave(struct mys_viewer *ses)
{
    MYSQL *conn = ses->conn;
    set_fd(ses, FD_CONN, NULL);
    mys_viewer_untouch(ses);
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

/*
 * A server notices that nobody listens when it has something to say: a statement that finds no rows
 * would run on, and keep its table from being altered.
 */
void mys_viewer_kill(struct mys_viewer *ses)
{
    struct mys_server srv = *ses->srv;
    MYSQL *conn = NULL;
    char sql[64];
    srv.connect_us = KILL_US;
    snprintf(sql, sizeof sql, "KILL %lu", ses->id);
    if (mys_connect_within(&srv, SILENT_S, &conn, NULL) < 0)
        return;
    if (mys_query(conn, sql, NULL, NULL) < 0)
        cdc_log(CDC_LOG_DEBUG, "mysql: connection %lu is gone already", ses->id);
    mysql_close(conn);
}

void mys_viewer_close(struct mys_viewer *ses)
{
    if (!ses->watched)
        return;
    mys_viewer_drop(ses);
    set_fd(ses, FD_SIDE, NULL);
    if (ses->side)
        mysql_close(ses->side);
    ses->side = NULL;
    pthread_mutex_lock(&ses->lock);
    ses->over = true;
    shut_down(ses); /* what the guard waits for */
    pthread_cond_signal(&ses->changed);
    pthread_mutex_unlock(&ses->lock);
    pthread_join(ses->watcher, NULL);
    close_guard(ses);
    cdc_buf_done(&ses->touched);
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
    if (conn == ses->conn && mys_viewer_in_the_way(ses)) {
        (void)cdc_fail(err, CDC_RETRY, "mysql", MYS_IN_THE_WAY);
        return ses->facts->mariadb ? CDC_FAIL : CDC_AGAIN;
    }
    int rc = mys_fail(conn, NULL, err);
    unsigned code = mysql_errno(conn);
    /* MariaDB keeps the locks of a look: as the victim of a deadlock it loses them, and the look.
     */
    if (conn == ses->conn && ses->facts->mariadb && code == ER_LOCK_DEADLOCK)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the server ended the transaction in which tables are read, for a deadlock "
                        "with somebody who locks several tables; another look is taken");
    return again(code) ? CDC_AGAIN : rc;
}

int mys_viewer_run(struct mys_viewer *ses, MYSQL *conn, const char *sql, MYSQL_RES **ret,
                   struct cdc_error *err)
{
    if (!sql)
        return cdc_fail_oom(err);
    return mys_query(conn, sql, ret, err) == CDC_OK ? CDC_OK : mys_viewer_fail(ses, conn, err);
}
