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
 * only `verify` or a fingerprint tell; else no authorities are loaded (tls.c).
 *
 * Texts of the server go into messages as they are for the errors in the table, whose texts hold
 * names and addresses; those of other errors may quote values, so what stands in quotes is left
 * out.
 *
 * The one place that decides between retry and stop is `faults` below, with `mends`.
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
#define BEGIN_AGAIN  "an empty sink and a new start begin again from now"

/* What of the server's text may be told. */
enum text { HIDE_QUOTED, TELL };

/* What helps, and what we do ourselves. */
enum mend {
    LOG_DELETED,
    TWO_READERS,
    MORE_GTIDS,
    NOT_ITS_LOG,
    END_LOST,
    NO_GTIDS,
    LARGE_EVENT,
    NO_ID,
    NO_LOG,
    NO_PLUGIN,
    WRONG_LOGIN,
    WRONG_USER,
    ODD_LOGIN,
    WRONG_HOST,
    EXPIRED,
    LOCKED_OUT,
    WANTS_TLS,
    NO_RIGHT,
    CERTIFICATE,
    OFFERS_NO_TLS,
    NOT_THERE,
    NO_HOST,
    LOST,
    CONNECTIONS,
    USER_CONNECTIONS,
    LIMIT,
    HOST_BLOCKED,
    STOPS,
    LOCKED,
    ENDED,
    SLOW,
    BAD_SQL,
    AGAIN,
    OTHER,
    MENDS
};

static const struct {
    enum cdc_action action;
    enum text tell;
    const char *text;
} mends[MENDS] = {
    /* the log */
    [LOG_DELETED] =
        {CDC_OPERATOR, TELL,
         "the server has deleted log that was not read yet, so changes are missing: " BEGIN_AGAIN
         ", or restore the logs that are missing. Keep them longer: "
         "binlog_expire_logs_seconds"},
    [TWO_READERS] = {CDC_RETRY, TELL,
                     "another instance of this pipeline, or a replica with its server_id, reads "
                     "the same server: stop it, or give one of them another name or "
                     "source.server_id"},
    [MORE_GTIDS] = {CDC_OPERATOR, TELL,
                    "the server has lost transactions that are out already (another server, a "
                    "restored backup, or RESET): let it have them again, or else " BEGIN_AGAIN},
    [NOT_ITS_LOG] = {CDC_OPERATOR, TELL,
                     "the server does not have the last transaction that is out (its log was "
                     "deleted, or it is another server, or a restored backup): let it have it "
                     "again, or else " BEGIN_AGAIN},
    [END_LOST] = {CDC_OPERATOR, TELL,
                  "the server has lost the end of its log, which is out already (a crash with "
                  "sync_binlog off, or a restored backup): " BEGIN_AGAIN},
    [NO_GTIDS] = {CDC_OPERATOR, TELL,
                  "gtid_mode is not ON any more, or the log goes back to when it was not: SET "
                  "GLOBAL gtid_mode = ON, or else " BEGIN_AGAIN},
    [LARGE_EVENT] = {CDC_OPERATOR, TELL,
                     "an event of the log is larger than the server sends: SET GLOBAL "
                     "max_allowed_packet = 1073741824"},
    [NO_ID] = {CDC_OPERATOR, TELL, "set server_id at the server"},
    [NO_LOG] = {CDC_OPERATOR, TELL,
                "the server writes no log: set log_bin in its configuration and restart it"},

    /* who we are, and what we may */
    [NO_PLUGIN] = {CDC_OPERATOR, TELL,
                   "the client library lacks a plugin to log in with: install libmariadb's "
                   "plugins, or set MARIADB_PLUGIN_DIR to their folder"},
    [WRONG_LOGIN] = {CDC_OPERATOR, TELL,
                     "correct user and password in source.url (an account with REQUIRE SSL wants "
                     "tls=required behind it)"},
    [WRONG_USER] = {CDC_OPERATOR, TELL, "correct user and password in source.url"},
    [ODD_LOGIN] = {CDC_OPERATOR, TELL,
                   "the account's way to log in is not known to the client library"},
    [WRONG_HOST] = {CDC_OPERATOR, TELL, "the account must be allowed from this host"},
    [EXPIRED] = {CDC_OPERATOR, TELL, "the account's password has expired: ALTER USER"},
    [LOCKED_OUT] = {CDC_OPERATOR, TELL, "the account is locked: ALTER USER ... ACCOUNT UNLOCK"},
    [WANTS_TLS] = {CDC_OPERATOR, TELL, "the server wants TLS: put ?tls=required behind source.url"},
    [NO_RIGHT] = {CDC_OPERATOR, TELL, "grant the user what it lacks"},
    [CERTIFICATE] = {CDC_OPERATOR, TELL,
                     "the server's certificate is not the one that source.url asks for: correct "
                     "ca, fingerprint or the host's name there, or the certificate"},
    [OFFERS_NO_TLS] = {CDC_OPERATOR, TELL,
                       "give the server a certificate (ssl_cert, ssl_key), or lower tls in "
                       "source.url"},

    /* the connection, and a server that is busy or stops */
    [NOT_THERE] = {CDC_RETRY, TELL, "the server is not there; it is tried again"},
    [NO_HOST] = {CDC_RETRY, TELL, "the host's name is not known here; it is tried again"},
    [LOST] = {CDC_RETRY, TELL, "the connection is lost; it is tried again"},
    [CONNECTIONS] = {CDC_RETRY, TELL, "raise max_connections"},
    [USER_CONNECTIONS] = {CDC_RETRY, TELL, "raise max_user_connections"},
    [LIMIT] = {CDC_RETRY, TELL, "raise the account's limit"},
    [HOST_BLOCKED] = {CDC_RETRY, TELL, "run FLUSH HOSTS at the server"},
    [STOPS] = {CDC_RETRY, TELL, "the server stops; it is tried again"},
    [LOCKED] = {CDC_RETRY, TELL, "another session holds the lock"},
    [ENDED] = {CDC_RETRY, TELL, "somebody has ended the statement; it is tried again"},
    [SLOW] = {CDC_RETRY, TELL, "the statement took too long; it is tried again"},

    /* what we have said */
    [BAD_SQL] = {CDC_FATAL, HIDE_QUOTED,
                 "correct the rule's `snapshot.where`, if it has one; else please report this"},
    [AGAIN] = {CDC_RETRY, TELL, "it is tried again"},
    [OTHER] = {CDC_RETRY, HIDE_QUOTED, "it is tried again"},
};

/* By number; `text` must stand in the message, if given; the first that fits counts. */
static const struct fault {
    unsigned code;
    const char *text;
    enum mend mend;
} faults[] = {
    {1236, "purged", LOG_DELETED},
    {1236, "Could not find first log file", LOG_DELETED},
    {1236, "with the same server_uuid/server_id", TWO_READERS},
    {1236, "has more GTIDs than", MORE_GTIDS},
    {1236, "which is not in the master's binlog", NOT_ITS_LOG},
    {1236, "is missing the GTID", NOT_ITS_LOG},
    {1236, "position > file size", END_LOST},
    {1236, "impossible position", END_LOST},
    {1236, "AUTO_POSITION", NO_GTIDS},
    {1236, "max_allowed_packet", LARGE_EVENT},
    {1236, "server id was not set", NO_ID},
    {1236, "inary log is not open", NO_LOG},
    {1236, NULL, AGAIN},
    {1373, NULL, LOG_DELETED},
    {1381, NULL, NO_LOG},
    {4052, NULL, TWO_READERS},

    {1045, "could not be loaded", NO_PLUGIN},
    {1045, NULL, WRONG_LOGIN},
    {1130, NULL, WRONG_HOST},
    {1251, NULL, ODD_LOGIN},
    {1698, NULL, WRONG_USER},
    {1820, NULL, EXPIRED},
    {1862, NULL, EXPIRED},
    {2026, "ertificate", CERTIFICATE},
    {2026, "ingerprint", CERTIFICATE},
    {2026, "SSL is required", OFFERS_NO_TLS},
    {2026, NULL, LOST},
    {2059, NULL, NO_PLUGIN},
    {3118, NULL, LOCKED_OUT},
    {3159, NULL, WANTS_TLS},
    {4151, NULL, LOCKED_OUT},

    {1044, NULL, NO_RIGHT},
    {1142, NULL, NO_RIGHT},
    {1143, NULL, NO_RIGHT},
    {1227, NULL, NO_RIGHT},
    {1370, NULL, NO_RIGHT},

    {1040, NULL, CONNECTIONS},
    {1053, NULL, STOPS},
    {1077, NULL, STOPS},
    {1079, NULL, STOPS},
    {1129, NULL, HOST_BLOCKED},
    {1203, NULL, USER_CONNECTIONS},
    {1205, NULL, LOCKED},
    {1213, NULL, LOCKED},
    {1226, NULL, LIMIT},
    {1317, NULL, ENDED},
    {1927, NULL, LOST},
    {1969, NULL, SLOW},
    {2002, NULL, NOT_THERE},
    {2003, NULL, NOT_THERE},
    {2005, NULL, NO_HOST},
    {2006, NULL, LOST},
    {2012, NULL, LOST},
    {2013, NULL, LOST},
    {2055, NULL, LOST},
    {3024, NULL, SLOW},
    {4031, NULL, LOST},

    {1064, NULL, BAD_SQL},
    {0, NULL, OTHER},
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

int mys_fail_code(unsigned code, const char *text, const char *mend, struct cdc_error *err)
{
    char line[320];
    enum mend what = classify(code, text)->mend;
    tell(*text ? text : "no answer", mends[what].tell, line, sizeof line);
    if (mend && what == NO_RIGHT)
        return cdc_fail(err, mends[what].action, "mysql",
                        "%s (error %u); have it done by someone who may: %s", line, code, mend);
    return cdc_fail(err, mends[what].action, "mysql", "%s (error %u); %s", line, code,
                    mends[what].text);
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

/* Before a password is sent (greeting.c); with `verify` the library itself refuses what has none.
 */
static int ask_tls(const struct mys_server *srv, bool *ret, struct cdc_error *err)
{
    bool offered = srv->offer == MYS_OFFER_TLS;
    *ret = wants_tls(srv);
    if (!*ret || srv->socket || srv->tls == MYS_TLS_VERIFY)
        return CDC_OK;
    if (srv->offer == MYS_OFFER_UNKNOWN && mys_offers_tls(srv, &offered, err) < 0)
        return CDC_FAIL;
    if (!offered && (srv->tls >= MYS_TLS_REQUIRED || srv->ca || srv->fingerprint))
        return no_tls(err);
    *ret = offered;
    return CDC_OK;
}

/* CDC_AGAIN: not in that way, see tls.c. */
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
    if (tls)
        mys_tls_begin(conn, srv);
    const char *host = srv->socket ? NULL : srv->host; /* with one the library would take TCP */
    MYSQL *there =
        mysql_real_connect(conn, host, srv->user, srv->password, NULL, srv->port, srv->socket, 0);
    if (mys_tls_end(conn))
        return CDC_AGAIN;
    if (!there)
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
    return rc == CDC_AGAIN ? mys_connect_within(srv, silent_s, ret, err) : rc;
}

int mys_connect(const struct mys_server *srv, MYSQL **ret, struct cdc_error *err)
{
    return mys_connect_within(srv, 0, ret, err);
}

/*
 * MySQL is asked for TLS before each connection, since it may lose it at any time (ALTER INSTANCE
 * RELOAD TLS), and would get the password in clear text; it does not log that. MariaDB's ways to
 * log in never send it as it is, and MariaDB logs a warning for every connection that ends without
 * a login: so there once.
 */
int mys_sql(struct mys_server *srv, struct cdc_error *err)
{
    srv->sql_used_us = cdc_mono_us();
    if (srv->sql)
        return CDC_OK;
    if (mys_connect_within(srv, ASK_SILENT_S, &srv->sql, err) < 0)
        return CDC_FAIL;
    if (mariadb_connection(srv->sql) && wants_tls(srv))
        srv->offer = mysql_get_ssl_cipher(srv->sql) ? MYS_OFFER_TLS : MYS_OFFER_PLAIN;
    return CDC_OK;
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
