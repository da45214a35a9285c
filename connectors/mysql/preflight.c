/*
 * preflight.c - `check`: a finding for each thing that must be so. Nothing is changed; what mends a
 * finding is told as SQL, which stays over a restart with MySQL's PERSIST, and with MariaDB's
 * GLOBAL only together with the same line in my.cnf.
 */
#include "mysql.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY                86400
#define ER_SPECIFIC_ACCESS 1227

static const char vars_sql[] =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds',"
    " 'expire_logs_days', 'binlog_expire_logs_auto_purge', 'max_binlog_total_size',"
    " 'binlog_space_limit', 'log_replica_updates', 'log_slave_updates', 'sync_binlog',"
    " 'gtid_mode', 'binlog_format')";

struct preflight {
    struct mys_server *srv;
    struct cdc_report *rep;
    struct mys_facts facts;
    MYSQL_RES *vars;
    struct cdc_buf account; /* 'user'@'host' */
};

static const char *variable(const struct preflight *pre, const char *name)
{
    mysql_data_seek(pre->vars, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(pre->vars));)
        if (strcmp(row[0], name) == 0)
            return row[1];
    return NULL;
}

static bool is_on(const char *value)
{
    return value && (strcmp(value, "ON") == 0 || strcmp(value, "1") == 0);
}

/* Tells how a setting is mended where it is not good. */
static void report_setting(const struct preflight *pre, enum cdc_finding kind, const char *name,
                           const char *value, const char *text)
{
    char mend[512];
    bool mariadb = pre->facts.mariadb;
    snprintf(mend, sizeof mend, "SET %s %s = %s;%s%s%s%s%s", mariadb ? "GLOBAL" : "PERSIST", name,
             value, mariadb ? " -- and the line `" : "", mariadb ? name : "", mariadb ? " = " : "",
             mariadb ? value : "", mariadb ? "` below [mysqld] in my.cnf" : "");
    cdc_report(pre->rep, kind, kind == CDC_PASS ? NULL : mend, "%s", text);
}

static enum cdc_finding bad_unless(bool accepted)
{
    return accepted ? CDC_WARN : CDC_BAD;
}

/* ---- the connection and the server ---- */

static bool is_far(const struct mys_server *srv)
{
    const char *host = srv->host ? srv->host : "localhost";
    return !srv->socket && strcmp(host, "localhost") != 0 && strncmp(host, "127.", 4) != 0 &&
           strcmp(host, "::1") != 0;
}

static void check_connection(const struct preflight *pre)
{
    const struct mys_server *srv = pre->srv;
    const char *cipher = mysql_get_ssl_cipher(srv->sql);
    bool sure = srv->tls == MYS_TLS_VERIFY || srv->fingerprint, far = is_far(srv);
    if (srv->socket)
        cdc_report(pre->rep, CDC_PASS, NULL, "connected by the socket %s", srv->socket);
    else
        cdc_report(pre->rep, CDC_PASS, NULL, "connected to %s, port %u",
                   srv->host ? srv->host : "localhost", srv->port);
    if (!cipher)
        cdc_report(pre->rep, far ? CDC_WARN : CDC_PASS,
                   far ? "add ?tls=verify&ca=FILE (or tls=required&fingerprint=...) to source.url"
                       : NULL,
                   "the connection is not encrypted%s", far ? ", and goes to another machine" : "");
    else
        cdc_report(pre->rep, sure || !far ? CDC_PASS : CDC_WARN,
                   sure || !far ? NULL
                                : "add ?tls=verify&ca=FILE (or fingerprint=...) to source.url",
                   "the connection is encrypted (%s)%s", cipher,
                   sure ? ", and the server's certificate is the right one"
                        : "; the server's certificate is not verified");
}

static void check_version(const struct preflight *pre)
{
    unsigned least = pre->facts.mariadb ? 100500 : 80000;
    bool good = pre->facts.version >= least;
    cdc_report(pre->rep, good ? CDC_PASS : CDC_BAD,
               good ? NULL : "upgrade to MySQL 8.0 or MariaDB 10.5, or newer", "%s (%s)",
               pre->facts.mariadb ? "MariaDB" : "MySQL", pre->facts.version_text);
}

static void check_ids(const struct preflight *pre)
{
    uint32_t theirs = pre->facts.server_id, ours = pre->srv->server_id;
    bool good = theirs && theirs != ours;
    cdc_report(pre->rep, good ? CDC_PASS : CDC_BAD,
               good     ? NULL
               : theirs ? "choose another number with source.server_id"
                        : "server_id = 1 below [mysqld] in my.cnf; then restart the server",
               "server_id is %u, ours as a replica %u", (unsigned)theirs, (unsigned)ours);
}

/* ---- the log ---- */

static void check_format(const struct preflight *pre)
{
    const char *format = variable(pre, "binlog_format");
    char text[160];
    snprintf(text, sizeof text, "binlog_format is %s%s", format ? format : "ROW",
             pre->facts.row_format
                 ? ""
                 : ": changes are logged as SQL. Sessions that are connected keep their format");
    report_setting(pre,
                   pre->facts.row_format ? CDC_PASS
                                         : bad_unless(pre->srv->accept & MYS_ACCEPT_STATEMENTS),
                   "binlog_format", "ROW", text);
}

static void check_image(const struct preflight *pre)
{
    static const char *const texts[] = {
        [MYS_IMAGE_FULL] = "binlog_row_image is FULL",
        [MYS_IMAGE_MINIMAL] = "binlog_row_image is MINIMAL: of an update only the changed columns "
                              "are known, of a delete only the key (`__unchanged` names the rest)",
        [MYS_IMAGE_NOBLOB] = "binlog_row_image is NOBLOB: BLOB and TEXT columns that did not "
                             "change are not known (`__unchanged` names them)",
    };
    report_setting(pre, pre->facts.image == MYS_IMAGE_FULL ? CDC_PASS : CDC_WARN,
                   "binlog_row_image", "FULL", texts[pre->facts.image]);
}

static void check_metadata(const struct preflight *pre)
{
    bool full = pre->facts.metadata == MYS_META_FULL;
    char text[200];
    snprintf(text, sizeof text, "binlog_row_metadata is %s%s",
             full                                      ? "FULL"
             : pre->facts.metadata == MYS_META_MINIMAL ? "MINIMAL"
                                                       : "NO_LOG",
             full ? "" : ": rows that were logged before an ALTER cannot be read after it");
    report_setting(pre, full ? CDC_PASS : bad_unless(pre->srv->accept & MYS_ACCEPT_METADATA),
                   "binlog_row_metadata", "FULL", text);
}

/* NOBLOB leaves out BLOB and TEXT; documents stay. */
static void check_json(const struct preflight *pre)
{
    bool whole = pre->facts.image != MYS_IMAGE_MINIMAL;
    if (pre->facts.partial_json)
        report_setting(pre, whole ? CDC_PASS : CDC_BAD, "binlog_row_value_options", "''",
                       whole ? "binlog_row_value_options is PARTIAL_JSON: documents are made of "
                               "their differences"
                             : "binlog_row_value_options is PARTIAL_JSON and binlog_row_image "
                               "MINIMAL: of JSON documents only what changes is logged");
}

static void check_gtids(const struct preflight *pre)
{
    const char *mode = variable(pre, "gtid_mode");
    if (pre->facts.mariadb)
        report_setting(pre, pre->facts.strict ? CDC_PASS : CDC_WARN, "gtid_strict_mode", "ON",
                       pre->facts.strict
                           ? "gtid_strict_mode is ON"
                           : "gtid_strict_mode is OFF: after a failover the log of the new server "
                             "may not be what it was on the old one");
    else
        cdc_report(pre->rep, pre->facts.gtids ? CDC_PASS : CDC_WARN,
                   pre->facts.gtids ? NULL
                                    : "SET PERSIST enforce_gtid_consistency = ON;\n"
                                      "SET PERSIST gtid_mode = OFF_PERMISSIVE;\n"
                                      "SET PERSIST gtid_mode = ON_PERMISSIVE;\n"
                                      "SET PERSIST gtid_mode = ON; -- once the status variable "
                                      "Ongoing_anonymous_transaction_count is 0",
                   "gtid_mode is %s%s", mode ? mode : "OFF",
                   pre->facts.gtids ? "" : ": no failover to another server can be followed");
}

/* Seconds after which the server deletes its log; 0: never. */
static double retention(const struct preflight *pre)
{
    const char *seconds = variable(pre, "binlog_expire_logs_seconds");
    const char *days = variable(pre, "expire_logs_days");
    const char *purge = variable(pre, "binlog_expire_logs_auto_purge");
    if (purge && !is_on(purge))
        return 0;
    double keep = seconds ? strtod(seconds, NULL) : 0;
    return keep > 0 ? keep : days ? strtod(days, NULL) * DAY : 0;
}

static void check_retention(const struct preflight *pre)
{
    double keep = retention(pre);
    const char *most = variable(pre, "max_binlog_total_size");
    if (!most)
        most = variable(pre, "binlog_space_limit");
    char text[200] = "the server's log is kept until it is purged by hand";
    if (keep > 0)
        snprintf(text, sizeof text, "the server's log is kept for %.1f days%s", keep / DAY,
                 keep < DAY ? ": a sidecar that is away for longer loses changes" : "");
    report_setting(pre, keep > 0 && keep < DAY ? CDC_WARN : CDC_PASS,
                   variable(pre, "binlog_expire_logs_seconds") ? "binlog_expire_logs_seconds"
                                                               : "expire_logs_days",
                   variable(pre, "binlog_expire_logs_seconds") ? "259200" : "3", text);
    if (most && strtod(most, NULL) > 0)
        cdc_report(pre->rep, CDC_WARN, "raise it, or set it to 0",
                   "the server keeps at most %s bytes of log: one that is away while more is "
                   "written loses changes",
                   most);
}

static void check_sync(const struct preflight *pre)
{
    const char *sync = variable(pre, "sync_binlog");
    if (sync && strcmp(sync, "1") != 0)
        report_setting(pre, CDC_WARN, "sync_binlog", "1",
                       "sync_binlog is not 1: after a power cut the server may have lost "
                       "transactions that were captured already, and the next start refuses");
}

/* What a server gets as a replica is in its own log only if it is told so. CDC_END: not allowed
 * to look. */
static void check_replica(const struct preflight *pre)
{
    const char *logs = variable(pre, "log_replica_updates");
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (!logs)
        logs = variable(pre, "log_slave_updates");
    if (!logs || is_on(logs))
        return;
    int rc = mys_query(pre->srv->sql, mys_replica_status_sql(&pre->facts), &res, NULL);
    if (rc == CDC_OK && res && mysql_num_rows(res) == 0)
        return;
    cdc_report(pre->rep, rc == CDC_OK ? CDC_BAD : CDC_WARN,
               variable(pre, "log_replica_updates")
                   ? "log_replica_updates = ON below [mysqld] in my.cnf; then restart the server"
                   : "log_slave_updates = ON below [mysqld] in my.cnf; then restart the server",
               rc == CDC_OK
                   ? "the server is a replica and does not log what it gets: those changes are "
                     "missing"
                   : "if the server is a replica, what it gets is missing: it does not log it");
}

/* ---- rights ---- */

static void report_right(const struct preflight *pre, enum cdc_finding lacking, bool has,
                         const char *right, const char *what)
{
    char mend[512];
    const char *account = (const char *)pre->account.p;
    snprintf(mend, sizeof mend, "GRANT %s ON *.* TO %s;", right, account);
    cdc_report(pre->rep, has ? CDC_PASS : lacking, has ? NULL : mend, "%s %s %s (%s)", account,
               has ? "may" : "may not", what, right);
}

/* The lock is a help, and a need only where nothing else ties a copy to a place in the log. */
static void check_lock(const struct preflight *pre, bool reload)
{
    bool needed = !pre->facts.mariadb && !pre->facts.gtids;
    if (needed && !pre->srv->lock)
        cdc_report(pre->rep, CDC_BAD,
                   "take `lock: never` out of source:, or turn gtid_mode on, or write `snapshot: "
                   "never` into the rules",
                   "without GTIDs and without the brief read lock tables cannot be copied");
    else if (needed || pre->srv->lock)
        report_right(pre, needed ? CDC_BAD : CDC_PASS, reload, "RELOAD",
                     needed ? "lock all tables for a moment to begin a copy"
                            : "lock all tables for a moment to begin a copy; without it copied "
                              "rows are marked as overlapping, and nothing is lost");
}

static int check_rights(const struct preflight *pre, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *lines = NULL;
    if (mys_rights_read(pre->srv->sql, &lines, err) < 0)
        return CDC_FAIL;
    report_right(pre, CDC_BAD, mys_may(lines, "REPLICATION SLAVE"), "REPLICATION SLAVE",
                 "read the log");
    if (mys_copy_wanted(pre->srv->cfg)) {
        check_lock(pre, mys_may(lines, "RELOAD"));
        report_right(pre, CDC_WARN, mys_may(lines, "PROCESS"), "PROCESS",
                     "see who waits to alter a table that is copied");
    }
    return CDC_OK;
}

/* ---- what the server leaves out of its log ---- */

/* "a,b" has the name. */
static bool lists(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ','), at += at != NULL)
        if (strncmp(at, name, n) == 0 && (!at[n] || at[n] == ','))
            return true;
    return false;
}

static void check_filter(const struct preflight *pre, const char *only, const char *without,
                         const char *schema)
{
    bool left_out = (*only && !lists(only, schema)) || lists(without, schema);
    if (left_out)
        cdc_report(pre->rep, CDC_BAD,
                   "take binlog_do_db and binlog_ignore_db out of my.cnf; then restart the server",
                   "the server leaves database %s out of its log (%s)", schema,
                   *only ? "binlog_do_db" : "binlog_ignore_db");
}

static int check_filters(const struct preflight *pre, const MYSQL_ROW state, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    const char *only = state[2] ? state[2] : "", *without = state[3] ? state[3] : "";
    if (!*only && !*without)
        return CDC_OK;
    if (mys_query(pre->srv->sql,
                  "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM "
                  "information_schema.TABLES ORDER BY 1, 2",
                  &res, err) < 0)
        return CDC_FAIL;
    char last[256] = "";
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        const struct cdc_rule *rule = cdc_capture_match(pre->srv->cfg->capture, row[0], row[1]);
        if (!rule || rule->skip || strcmp(last, row[0]) == 0)
            continue;
        snprintf(last, sizeof last, "%s", row[0]);
        check_filter(pre, only, without, row[0]);
    }
    return CDC_OK;
}

/* Where the log ends; that it may be asked is a right of its own. */
static int check_status(const struct preflight *pre, struct cdc_error *err)
{
    bool mariadb = pre->facts.mariadb;
    MYS_CLEAR MYSQL_RES *res = NULL;
    int rc = mys_query(pre->srv->sql,
                       mariadb || pre->facts.version < 80200 ? "SHOW MASTER STATUS"
                                                             : "SHOW BINARY LOG STATUS",
                       &res, err);
    bool denied = rc < 0 && mysql_errno(pre->srv->sql) == ER_SPECIFIC_ACCESS;
    if (rc < 0 && !denied)
        return CDC_FAIL;
    report_right(pre, mariadb ? CDC_WARN : CDC_BAD, !denied,
                 mariadb ? "BINLOG MONITOR" : "REPLICATION CLIENT", "ask where the log ends");
    MYSQL_ROW row = res ? mysql_fetch_row(res) : NULL;
    return row && mysql_num_fields(res) >= 4 ? check_filters(pre, row, err) : CDC_OK;
}

/* ---- all of it ---- */

static int look_account(struct preflight *pre, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(pre->srv->sql, "SELECT CURRENT_USER()", &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    char *host = row && row[0] ? strrchr(row[0], '@') : NULL;
    if (host)
        *host++ = 0;
    mys_literal_put(&pre->account, row && row[0] ? row[0] : "");
    cdc_buf_byte(&pre->account, '@');
    mys_literal_put(&pre->account, host ? host : "%");
    return cdc_buf_cstr(&pre->account) ? CDC_OK : cdc_fail_oom(err);
}

static int check_log(struct preflight *pre, struct cdc_error *err)
{
    if (!pre->facts.log_bin) {
        cdc_report(pre->rep, CDC_BAD,
                   "log_bin = bin\nserver_id = 1\nbinlog_format = ROW\nbinlog_row_metadata = FULL\n"
                   "below [mysqld] in my.cnf; then restart the server",
                   "the server writes no log (log_bin is OFF)");
        return CDC_OK;
    }
    cdc_report(pre->rep, CDC_PASS, NULL, "log_bin is ON");
    check_format(pre);
    check_image(pre);
    check_metadata(pre);
    check_json(pre);
    check_gtids(pre);
    check_retention(pre);
    check_sync(pre);
    check_replica(pre);
    return check_status(pre, err);
}

static int check_all(struct preflight *pre, struct cdc_error *err)
{
    if (mys_facts_read(pre->srv->sql, &pre->facts, err) < 0 ||
        mys_query(pre->srv->sql, vars_sql, &pre->vars, err) < 0 || look_account(pre, err) < 0)
        return CDC_FAIL;
    check_version(pre);
    check_ids(pre);
    if (check_log(pre, err) < 0 || check_rights(pre, err) < 0 ||
        mys_check_room(pre->srv, pre->rep, err) < 0)
        return CDC_FAIL;
    return mys_check_tables(pre->srv, &pre->facts, (const char *)pre->account.p, pre->rep, err);
}

/* A connection that is refused is a finding, not a failure to look. */
int mys_check(const struct cdc_config *cfg, struct cdc_report *rep, struct cdc_error *err)
{
    struct mys_server srv = {0};
    struct cdc_error own = {.message = ""};
    struct preflight pre = {.srv = &srv, .rep = rep, .account = CDC_BUF(1024)};
    int rc = mys_server_init(&srv, cfg, err);
    if (rc == CDC_OK && mys_sql(&srv, &own) < 0) {
        cdc_report(rep, CDC_BAD, NULL, "%s", own.message);
    } else if (rc == CDC_OK) {
        check_connection(&pre);
        if (check_all(&pre, &own) < 0)
            cdc_report(rep, CDC_BAD, NULL, "%s", own.message);
    }
    mys_clear(&pre.vars);
    cdc_buf_done(&pre.account);
    mys_server_done(&srv);
    return rc;
}
