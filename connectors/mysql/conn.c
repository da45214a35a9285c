/*
 * conn.c - connections, questions, and what a failure means.
 *
 * Every session pins what changes how values are printed or how long it may live, whatever the
 * server's defaults are: character set, time zone, sql_mode, isolation, time limits. Also the
 * language of messages, because the server's error 1236 is told apart by its text alone.
 *
 * TLS: the library asked for encryption without verification goes on in plain text, silently, if
 * the server offers none, and may then send the password in clear text. So the server is asked
 * before it (greeting.c), and the session is looked at again when it stands. To whom one speaks
 * only `verify` or a fingerprint tell.
 *
 * Texts of the server go into messages as they are for the errors in the table, whose texts hold
 * names and addresses; those of other errors may quote values, so what stands in quotes is left
 * out.
 *
 * The one place that decides between retry and stop is `faults` below.
 */
#include "mysql.h"

#include "cdc/clock.h"

#include <errno.h>
#include <mariadb/errmsg.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_US   10000000
#define ASK_SILENT_S 30 /* of srv->sql: a question takes no longer */
#define PACKET_MAX   (1UL << 30)
#define LOST         "the connection is lost; it is tried again"
#define TOO_SLOW     "the statement took too long; it is tried again"
#define BEGIN_AGAIN  "an empty sink and a new start begin again from now"

/* What of the server's text may be told. */
enum text { HIDE_QUOTED, TELL };

/* By number; `text` must stand in the message, if given; the first that fits counts. */
static const struct fault {
    unsigned code;
    const char *text;
    enum cdc_action action;
    const char *remedy;
    enum text tell;
} faults[] = {
    /* the log */
    {1236, "purged", CDC_OPERATOR,
     "the server has deleted log that was not read yet, so changes are missing: " BEGIN_AGAIN
     ", or restore the logs that are missing. Keep them longer: binlog_expire_logs_seconds",
     TELL},
    {1236, "Could not find first log file", CDC_OPERATOR,
     "the server has deleted log that was not read yet, so changes are missing: " BEGIN_AGAIN
     ", or restore the logs that are missing. Keep them longer: binlog_expire_logs_seconds",
     TELL},
    {1236, "with the same server_uuid/server_id", CDC_RETRY,
     "another instance of this pipeline, or a replica with its server_id, reads the same server: "
     "stop it, or give one of them another name or source.server_id",
     TELL},
    {4052, NULL, CDC_RETRY,
     "another instance of this pipeline, or a replica with its server_id, reads the same server: "
     "stop it, or give one of them another name or source.server_id",
     TELL},
    {1236, "has more GTIDs than", CDC_OPERATOR,
     "the server has lost transactions that are out already (another server, a restored backup, "
     "or RESET): let it have them again, or else " BEGIN_AGAIN,
     TELL},
    {1236, "which is not in the master's binlog", CDC_OPERATOR,
     "the server does not have the last transaction that is out (its log was deleted, or it is "
     "another server, or a restored backup): let it have it again, or else " BEGIN_AGAIN,
     TELL},
    {1236, "is missing the GTID", CDC_OPERATOR,
     "the server does not have the last transaction that is out (its log was deleted, or it is "
     "another server, or a restored backup): let it have it again, or else " BEGIN_AGAIN,
     TELL},
    {1236, "position > file size", CDC_OPERATOR,
     "the server has lost the end of its log, which is out already (a crash with sync_binlog off, "
     "or a restored backup): " BEGIN_AGAIN,
     TELL},
    {1236, "impossible position", CDC_OPERATOR,
     "the server has lost the end of its log, which is out already (a crash with sync_binlog off, "
     "or a restored backup): " BEGIN_AGAIN,
     TELL},
    {1236, "AUTO_POSITION", CDC_OPERATOR,
     "gtid_mode is not ON any more, or the log goes back to when it was not: SET GLOBAL gtid_mode "
     "= ON, or else " BEGIN_AGAIN,
     TELL},
    {1236, "max_allowed_packet", CDC_OPERATOR,
     "an event of the log is larger than the server sends: SET GLOBAL max_allowed_packet = "
     "1073741824",
     TELL},
    {1236, "server id was not set", CDC_OPERATOR, "set server_id at the server", TELL},
    {1236, "inary log is not open", CDC_OPERATOR,
     "the server writes no log: set log_bin in its configuration and restart it", TELL},
    {1236, NULL, CDC_RETRY, "it is tried again", TELL},
    {1373, NULL, CDC_OPERATOR,
     "the server has deleted log that was not read yet, so changes are missing: " BEGIN_AGAIN
     ", or restore the logs that are missing. Keep them longer: binlog_expire_logs_seconds",
     TELL},
    {1381, NULL, CDC_OPERATOR,
     "the server writes no log: set log_bin in its configuration and restart it", TELL},

    /* who we are, and what we may */
    {1045, "could not be loaded", CDC_OPERATOR,
     "the client library lacks a plugin to log in with: install libmariadb's plugins, or set "
     "MARIADB_PLUGIN_DIR to their folder",
     TELL},
    {2059, NULL, CDC_OPERATOR,
     "the client library lacks a plugin to log in with: install libmariadb's plugins, or set "
     "MARIADB_PLUGIN_DIR to their folder",
     TELL},
    {1045, NULL, CDC_OPERATOR,
     "correct user and password in source.url (an account with REQUIRE SSL wants tls=required "
     "behind it)",
     TELL},
    {1698, NULL, CDC_OPERATOR, "correct user and password in source.url", TELL},
    {1251, NULL, CDC_OPERATOR, "the account's way to log in is not known to the client library",
     TELL},
    {1130, NULL, CDC_OPERATOR, "the account must be allowed from this host", TELL},
    {1820, NULL, CDC_OPERATOR, "the account's password has expired: ALTER USER", TELL},
    {1862, NULL, CDC_OPERATOR, "the account's password has expired: ALTER USER", TELL},
    {3118, NULL, CDC_OPERATOR, "the account is locked: ALTER USER ... ACCOUNT UNLOCK", TELL},
    {4151, NULL, CDC_OPERATOR, "the account is locked: ALTER USER ... ACCOUNT UNLOCK", TELL},
    {3159, NULL, CDC_OPERATOR, "the server wants TLS: put ?tls=required behind source.url", TELL},
    {1044, NULL, CDC_OPERATOR, "grant the user what it lacks", TELL},
    {1142, NULL, CDC_OPERATOR, "grant the user what it lacks", TELL},
    {1143, NULL, CDC_OPERATOR, "grant the user what it lacks", TELL},
    {1227, NULL, CDC_OPERATOR, "grant the user what it lacks", TELL},
    {1370, NULL, CDC_OPERATOR, "grant the user what it lacks", TELL},
    {2026, "ertificate", CDC_OPERATOR,
     "the server's certificate is not the one that source.url asks for: correct ca, fingerprint or "
     "the host's name there, or the certificate",
     TELL},
    {2026, "ingerprint", CDC_OPERATOR,
     "the server's certificate is not the one that source.url asks for: correct ca, fingerprint or "
     "the host's name there, or the certificate",
     TELL},
    {2026, "SSL is required", CDC_OPERATOR,
     "give the server a certificate (ssl_cert, ssl_key), or lower tls in source.url", TELL},
    {2026, NULL, CDC_RETRY, LOST, TELL},

    /* the connection, and a server that is busy or stops */
    {2002, NULL, CDC_RETRY, "the server is not there; it is tried again", TELL},
    {2003, NULL, CDC_RETRY, "the server is not there; it is tried again", TELL},
    {2005, NULL, CDC_RETRY, "the host's name is not known here; it is tried again", TELL},
    {2006, NULL, CDC_RETRY, LOST, TELL},
    {2012, NULL, CDC_RETRY, LOST, TELL},
    {2013, NULL, CDC_RETRY, LOST, TELL},
    {2055, NULL, CDC_RETRY, LOST, TELL},
    {1040, NULL, CDC_RETRY, "raise max_connections", TELL},
    {1203, NULL, CDC_RETRY, "raise max_user_connections", TELL},
    {1226, NULL, CDC_RETRY, "raise the account's limit", TELL},
    {1129, NULL, CDC_RETRY, "run FLUSH HOSTS at the server", TELL},
    {1053, NULL, CDC_RETRY, "the server stops; it is tried again", TELL},
    {1077, NULL, CDC_RETRY, "the server stops; it is tried again", TELL},
    {1079, NULL, CDC_RETRY, "the server stops; it is tried again", TELL},
    {1927, NULL, CDC_RETRY, LOST, TELL},
    {4031, NULL, CDC_RETRY, LOST, TELL},
    {1205, NULL, CDC_RETRY, "another session holds the lock", TELL},
    {1213, NULL, CDC_RETRY, "another session holds the lock", TELL},
    {1317, NULL, CDC_RETRY, "somebody has ended the statement; it is tried again", TELL},
    {3024, NULL, CDC_RETRY, TOO_SLOW, TELL},
    {1969, NULL, CDC_RETRY, TOO_SLOW, TELL},

    /* what we have said */
    {1064, NULL, CDC_FATAL,
     "correct the rule's `snapshot.where`, if it has one; else please report this", HIDE_QUOTED},
    {0, NULL, CDC_RETRY, "it is tried again", HIDE_QUOTED},
};

static const struct fault *classify(unsigned code, const char *text)
{
    for (const struct fault *fault = faults;; fault++)
        if (!fault->code || (fault->code == code && (!fault->text || strstr(text, fault->text))))
            return fault;
}

/* One line; with HIDE_QUOTED nothing from the first quote to the last, or to the end. */
static void tell(const char *text, enum text how, char *ret, size_t size)
{
    int len = (int)strcspn(text, "\r\n");
    const char *from = how == HIDE_QUOTED ? strpbrk(text, "'\"") : NULL;
    if (!from || from - text >= len) {
        snprintf(ret, size, "%.*s", len, text);
        return;
    }
    const char *to = text + strlen(text);
    while (to > from && *to != '\'' && *to != '"')
        to--;
    if (to == from)
        to = "";
    snprintf(ret, size, "%.*s'...%.*s", (int)(from - text), text, (int)strcspn(to, "\r\n"), to);
}

static bool is_right(unsigned code)
{
    return code == 1044 || code == 1142 || code == 1143 || code == 1227 || code == 1370;
}

int mys_fail_code(unsigned code, const char *text, const char *mend, struct cdc_error *err)
{
    char line[320];
    const struct fault *fault = classify(code, text);
    tell(*text ? text : "no answer", fault->tell, line, sizeof line);
    if (mend && is_right(code))
        return cdc_fail(err, fault->action, "mysql",
                        "%s (error %u); have it done by someone who may: %s", line, code, mend);
    return cdc_fail(err, fault->action, "mysql", "%s (error %u); %s", line, code, fault->remedy);
}

int mys_fail(MYSQL *conn, const char *mend, struct cdc_error *err)
{
    return mys_fail_code(mysql_errno(conn), mysql_error(conn), mend, err);
}

void mys_clear(MYSQL_RES **res)
{
    if (*res)
        mysql_free_result(*res);
    *res = NULL;
}

/* ---- connections ---- */

#define NO_TLS                                                                                     \
    "the server offers no TLS, and source.url requires it; give the server a certificate "         \
    "(ssl_cert, ssl_key), or lower tls in source.url"

static void set_flag(MYSQL *conn, enum mysql_option option, bool on)
{
    my_bool flag = on;
    mysql_optionsv(conn, option, &flag);
}

static bool wants_tls(const struct mys_server *srv)
{
    return srv->tls > MYS_TLS_PREFERRED || (srv->tls == MYS_TLS_PREFERRED && !srv->socket);
}

static void set_tls(MYSQL *conn, const struct mys_server *srv, bool tls)
{
    set_flag(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, srv->tls == MYS_TLS_VERIFY);
    set_flag(conn, MYSQL_OPT_SSL_ENFORCE, tls);
    if (srv->ca)
        mysql_optionsv(conn, MYSQL_OPT_SSL_CA, srv->ca);
    if (srv->fingerprint)
        mysql_optionsv(conn, MARIADB_OPT_TLS_PEER_FP, srv->fingerprint);
}

static void set_options(MYSQL *conn, const struct mys_server *srv, unsigned silent_s, bool tls)
{
    int64_t connect_us = srv->connect_us ? srv->connect_us : CONNECT_US;
    unsigned connect_s = (unsigned)((connect_us + 999999) / 1000000);
    unsigned protocol = srv->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned long packet = PACKET_MAX;
    char name[80];
    snprintf(name, sizeof name, "sidestream/%s", srv->cfg ? srv->cfg->name : "init");
    if (srv->connect_us && (!silent_s || connect_s < silent_s))
        silent_s = connect_s;
    mysql_optionsv(conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_optionsv(conn, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_optionsv(conn, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    mysql_optionsv(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_optionsv(conn, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", name);
    mysql_optionsv(conn, MYSQL_OPT_LOCAL_INFILE, &(unsigned){0}); /* no server reads our files */
    if (silent_s) {
        mysql_optionsv(conn, MYSQL_OPT_READ_TIMEOUT, &silent_s);
        mysql_optionsv(conn, MYSQL_OPT_WRITE_TIMEOUT, &silent_s);
    }
    set_tls(conn, srv, tls);
}

/* A dead network is noticed within half a minute, also while nothing is asked. */
static void watch_socket(MYSQL *conn)
{
    int fd = mysql_get_socket(conn);
    int on = 1, idle = 10, interval = 5, count = 4;
    unsigned unacked_ms = 30000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
}

/* What older servers do not know is left to mys_facts_refuse. */
static int pin_session(MYSQL *conn, struct cdc_error *err)
{
    static const char common[] =
        "SET SESSION time_zone = '+00:00', sql_mode = '', autocommit = 1, lc_messages = 'en_US', "
        "net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 2147483, "
        "sql_select_limit = DEFAULT";
    unsigned long version = mysql_get_server_version(conn);
    const char *limits = "";
    char sql[512];
    if (mariadb_connection(conn) && version >= 100300)
        limits = ", max_statement_time = 0, idle_transaction_timeout = 0";
    else if (!mariadb_connection(conn) && version >= 80000)
        limits = ", max_execution_time = 0";
    snprintf(sql, sizeof sql, "%s%s", common, limits);
    if (mys_query(conn, sql, NULL, err) < 0)
        return CDC_FAIL;
    return mys_query(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", NULL, err);
}

static int no_tls(struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the server offers no TLS, and source.url requires it; give the server a "
                    "certificate (ssl_cert, ssl_key), or lower tls in source.url");
}

/*
 * Before a password is sent (greeting.c). MariaDB's ways to log in never send it as it is, and
 * MariaDB logs a warning for every connection that ends without a login: so not there.
 */
static int ask_tls(const struct mys_server *srv, bool *ret, struct cdc_error *err)
{
    bool offered = srv->offer == MYS_OFFER_TLS;
    *ret = wants_tls(srv);
    if (!*ret || srv->socket)
        return CDC_OK;
    if (srv->offer == MYS_OFFER_UNKNOWN && mys_offers_tls(srv, &offered, err) < 0)
        return CDC_FAIL;
    if (!offered && (srv->tls >= MYS_TLS_REQUIRED || srv->ca || srv->fingerprint))
        return no_tls(err);
    *ret = offered;
    return CDC_OK;
}

static int finish_connect(MYSQL *conn, const struct mys_server *srv, unsigned silent_s,
                          struct cdc_error *err)
{
    bool tls;
    if (ask_tls(srv, &tls, err) < 0)
        return CDC_FAIL;
    set_options(conn, srv, silent_s, tls);
    if (srv->ca && access(srv->ca, R_OK) != 0)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "the file that source.url names as ca cannot be read (errno %d)", errno);
    if (!mysql_real_connect(conn, srv->host, srv->user, srv->password, NULL, srv->port, srv->socket,
                            0))
        return mys_fail(conn, NULL, err);
    if (srv->tls >= MYS_TLS_REQUIRED && !mysql_get_ssl_cipher(conn))
        return no_tls(err);
    if (!srv->socket)
        watch_socket(conn);
    return pin_session(conn, err);
}

int mys_connect_within(const struct mys_server *srv, unsigned silent_s, MYSQL **ret,
                       struct cdc_error *err)
{
    MYSQL *conn = mysql_init(NULL);
    if (!conn)
        return cdc_fail_oom(err);
    int rc = finish_connect(conn, srv, silent_s, err);
    if (rc == CDC_OK)
        *ret = conn;
    else
        mysql_close(conn);
    return rc;
}

int mys_connect(const struct mys_server *srv, MYSQL **ret, struct cdc_error *err)
{
    return mys_connect_within(srv, 0, ret, err);
}

int mys_sql(struct mys_server *srv, struct cdc_error *err)
{
    bool tls = false;
    srv->sql_used_us = cdc_mono_us();
    if (srv->tls != MYS_TLS_OFF && !srv->socket && srv->offer == MYS_OFFER_UNKNOWN) {
        if (mys_offers_tls(srv, &tls, err) < 0)
            return CDC_FAIL;
        srv->offer = tls ? MYS_OFFER_TLS : MYS_OFFER_PLAIN;
    }
    return srv->sql ? CDC_OK : mys_connect_within(srv, ASK_SILENT_S, &srv->sql, err);
}

void mys_sql_close(struct mys_server *srv)
{
    if (srv->sql)
        mysql_close(srv->sql);
    srv->sql = NULL;
}

/* ---- questions ---- */

int mys_query(MYSQL *conn, const char *sql, MYSQL_RES **ret, struct cdc_error *err)
{
    if (mysql_real_query(conn, sql, strlen(sql)) != 0)
        return mys_fail(conn, NULL, err);
    MYSQL_RES *res = mysql_store_result(conn);
    if (!res && mysql_errno(conn))
        return mys_fail(conn, NULL, err);
    if (ret)
        *ret = res;
    else
        mys_clear(&res);
    return CDC_OK;
}

static bool is_lost(MYSQL *conn)
{
    unsigned code = mysql_errno(conn);
    return code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST || code == 1927 || code == 4031 ||
           code == CR_SSL_CONNECTION_ERROR;
}

int mys_ask(struct mys_server *srv, const char *sql, MYSQL_RES **ret, struct cdc_error *err)
{
    for (int left = srv->sql ? 1 : 0;; left--) {
        if (mys_sql(srv, err) < 0)
            return CDC_FAIL;
        int rc = mys_query(srv->sql, sql, ret, err);
        if (rc == CDC_OK)
            return CDC_OK;
        bool lost = is_lost(srv->sql);
        if (lost)
            mys_sql_close(srv);
        if (!lost || !left)
            return rc;
    }
}

/* ---- quoting ---- */

void mys_ident_put(struct cdc_buf *buf, const char *name)
{
    cdc_buf_byte(buf, '`');
    for (; *name; name++) {
        if (*name == '`')
            cdc_buf_byte(buf, '`');
        cdc_buf_byte(buf, (uint8_t)*name);
    }
    cdc_buf_byte(buf, '`');
}

void mys_table_put(struct cdc_buf *buf, const char *schema, const char *name)
{
    mys_ident_put(buf, schema);
    cdc_buf_byte(buf, '.');
    mys_ident_put(buf, name);
}

/*
 * A backslash means something or not as sql_mode says, so none may stand in the text: then it is
 * written in hex, which every mode reads alike.
 */
void mys_literal_put(struct cdc_buf *buf, const char *text)
{
    if (strchr(text, '\\')) {
        cdc_buf_str(buf, "_utf8mb4 X'");
        for (; *text; text++)
            cdc_buf_printf(buf, "%02X", (unsigned)(uint8_t)*text);
        cdc_buf_byte(buf, '\'');
        return;
    }
    cdc_buf_byte(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            cdc_buf_byte(buf, '\'');
        cdc_buf_byte(buf, (uint8_t)*text);
    }
    cdc_buf_byte(buf, '\'');
}
