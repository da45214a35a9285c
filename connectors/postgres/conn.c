/*
 * conn.c - connections, questions, and what a failure means.
 *
 * Both connections (the walsender and the ordinary one) pin everything that changes how values are
 * printed; `options` in the connection string wins over ALTER ROLE ... SET, and ours come behind
 * the user's own. wal_sender_timeout comes before them: it is a default that the URL may override.
 *
 * The connection is made with PQconnectPoll and verbose errors, because that is the only way to get
 * the SQLSTATE of a refused connection: libpq puts it into the text ("FATAL:  28P01: password
 * ...").
 *
 * The one place that decides between retry and stop is `faults` below.
 */
#include "postgres.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_US 10000000
#define INSERTS    "_inserts" /* behind the publication's name */
#define PINNED                                                                                     \
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 "          \
    "-c bytea_output=hex -c lc_monetary=C -c statement_timeout=0 -c lock_timeout=0 "               \
    "-c idle_in_transaction_session_timeout=0 -c search_path=pg_catalog "                          \
    "-c client_min_messages=warning"

/* By SQLSTATE, longest prefix first; `text` must stand in the message, if given. */
static const struct fault {
    const char *state, *text;
    enum cdc_action action;
    const char *remedy;
} faults[] = {
    {"28P01", NULL, CDC_OPERATOR, "correct user and password in source.url"},
    {"28", NULL, CDC_OPERATOR,
     "the role must exist, may log in, have REPLICATION (ALTER ROLE ... REPLICATION), and "
     "pg_hba.conf "
     "must let it in"},
    {"3D000", NULL, CDC_OPERATOR, "correct the database in source.url"},
    {"42501", "superuser or replication role", CDC_OPERATOR,
     "run as a superuser: ALTER ROLE ... REPLICATION"},
    {"42501", "permission denied to start WAL sender", CDC_OPERATOR,
     "run as a superuser: ALTER ROLE ... REPLICATION"},
    {"42501", NULL, CDC_OPERATOR, "grant the role what it lacks"},
    {"42704", "replication slot", CDC_OPERATOR,
     "the slot is gone and with it the log since: changes are missing. `sidestream drop`, an empty "
     "sink, "
     "and a new start begin again from now"},
    {"42704", "snapshot", CDC_RETRY, "the session that it was of has ended"},
    {"22023", "invalid snapshot identifier", CDC_RETRY, "the session that it was of has ended"},
    {"42704", "publication", CDC_OPERATOR,
     "rows since it was dropped cannot be had any more: `sidestream drop`, an empty sink, and a "
     "new "
     "start begin again from now"},
    {"42704", NULL, CDC_OPERATOR, "something that the pipeline relies on was dropped"},
    {"55006", NULL, CDC_RETRY, "another session uses it"},
    {"55P03", NULL, CDC_RETRY, "another session holds the lock"},
    {"55000", "wal_level", CDC_OPERATOR,
     "set wal_level = logical in postgresql.conf and restart the server"},
    {"55000", NULL, CDC_OPERATOR, "the slot or the server is not in a state to stream from"},
    {"58P01", "requested WAL segment", CDC_OPERATOR,
     "the log that the slot needs is gone: `sidestream drop`, an empty sink, and a new start"},
    {"53400", NULL, CDC_RETRY, "raise max_replication_slots or drop unused slots"},
    {"53300", NULL, CDC_RETRY, "raise max_connections or max_wal_senders"},
    {"53", NULL, CDC_RETRY, "the server is short of a resource"},
    {"XX000", "invalid memory alloc request size", CDC_OPERATOR,
     "a row is too large for the server to send as text (1 GB with its bytea doubled): capture the "
     "table "
     "without it by `skip: true`, or split the value"},
    /* filenode, and filenumber since 16; the same comes whenever the slot is read */
    {"XX000", "could not map filen", CDC_OPERATOR,
     "the slot was made in the middle of a TRUNCATE (or of another command that rewrites a table), "
     "and the server cannot read it: `sidestream drop`, an empty sink, and a new start while "
     "nobody truncates"},
    {"22", NULL, CDC_FATAL, "please report this"},
    {"42", NULL, CDC_FATAL, "please report this"},
    {"0A", NULL, CDC_FATAL, "please report this"},
    {"", NULL, CDC_RETRY, "it is tried again"},
};

static const struct fault *classify(const char *state, const char *text)
{
    for (const struct fault *fault = faults;; fault++)
        if (strncmp(state, fault->state, strlen(fault->state)) == 0 &&
            (!fault->text || strstr(text, fault->text)))
            return fault;
}

void pgs_clear(PGresult **res)
{
    PQclear(*res);
}

bool pgs_state_is(const PGresult *res, const char *sqlstate)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    return state && strcmp(state, sqlstate) == 0;
}

/* The SQLSTATE in ":  28P01: text" of a verbose message; "" if there is none. Cuts it out of line.
 */
static void cut_state(char *line, char state[6])
{
    state[0] = 0;
    for (char *at = strstr(line, ":  "); at; at = strstr(at + 1, ":  ")) {
        size_t n = 0;
        while (n < 5 && (isupper((unsigned char)at[3 + n]) || isdigit((unsigned char)at[3 + n])))
            n++;
        if (n == 5 && at[8] == ':' && at[9] == ' ') {
            memcpy(state, at + 3, 5);
            state[5] = 0;
            memmove(at + 2, at + 10, strlen(at + 10) + 1);
            return;
        }
    }
}

static void first_line(const char *text, char *ret, size_t size)
{
    snprintf(ret, size, "%.*s", (int)strcspn(text, "\n"), text);
}

int pgs_fail(PGconn *conn, const PGresult *res, const char *mend, struct cdc_error *err)
{
    char line[512], state[6] = "";
    const char *detail = NULL;
    const char *of = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    if (of) {
        snprintf(state, sizeof state, "%s", of);
        first_line(PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), line, sizeof line);
        if (strncmp(state, "55", 2) == 0) /* tells why a slot was lost; never holds values */
            detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    } else {
        const char *text = PQerrorMessage(conn);
        first_line(*text ? text : "the server closed the connection", line, sizeof line);
        cut_state(line, state);
    }
    const struct fault *fault = classify(state, line);
    if (mend && strcmp(state, "42501") == 0)
        return cdc_fail(err, fault->action, "postgres",
                        "%s (%s); have it done by someone who may: %s", line, state, mend);
    return cdc_fail(err, fault->action, "postgres", "%s%s%s%s%s%s; %s", line, detail ? " (" : "",
                    detail ? detail : "", detail ? ")" : "", state[0] ? ", SQLSTATE " : "", state,
                    fault->remedy);
}

static const char *url_value(const struct pgs_server *srv, const char *key)
{
    for (PQconninfoOption *opt = srv->url; opt && opt->keyword; opt++)
        if (strcmp(opt->keyword, key) == 0)
            return opt->val;
    return NULL;
}

/* An option of that name, or sidestream_<name>. PostgreSQL's names have at most 63 bytes. */
static int object_name(const struct pgs_server *srv, const char *option, int max, char ret[64],
                       struct cdc_error *err)
{
    const char *given = cdc_get_string(srv->cfg->source, option);
    int n =
        given ? snprintf(ret, 64, "%s", given) : snprintf(ret, 64, "sidestream_%s", srv->cfg->name);
    if (n < 1 || n > max)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(srv->cfg->source, option),
                        "source.%s must have 1 to %d bytes", option, max);
    return CDC_OK;
}

static int read_url(struct pgs_server *srv, struct cdc_error *err)
{
    char *why = NULL;
    srv->url = PQconninfoParse(cdc_get_string(srv->cfg->source, "url"), &why);
    PQfreemem(why); /* quotes the URL, and so the password */
    if (!srv->url)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(srv->cfg->source, "url"),
                        "source.url is no PostgreSQL URL; it looks like "
                        "postgresql://user:password@host:5432/database, odd characters as %%XX");
    if (!url_value(srv, "dbname"))
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(srv->cfg->source, "url"),
                        "source.url names no database; add /database at its end");
    return CDC_OK;
}

int pgs_server_init(struct pgs_server *srv, const struct cdc_config *cfg, struct cdc_error *err)
{
    const struct cdc_section *sec = cfg->source;
    *srv = (struct pgs_server){.cfg = cfg,
                               .manage = (enum pgs_manage)cdc_get_choice(sec, "manage"),
                               .leaf = cdc_get_choice(sec, "partitions") == 1,
                               .failover = cdc_get_bool(sec, "failover"),
                               .adopt = cdc_get_bool(sec, "adopt_slot"),
                               .status_us = cdc_get_int(sec, "status_interval"),
                               .max_row = (size_t)cdc_get_int(sec, "max_row_bytes")};
    char *all = srv->pubs[PGS_PUB_ALL], *inserts = srv->pubs[PGS_PUB_INSERTS];
    if (object_name(srv, "slot", 63, srv->slot, err) < 0 ||
        object_name(srv, "publication", 63 - (int)strlen(INSERTS), all, err) < 0)
        return CDC_FAIL;
    memcpy(inserts, all, 64);
    memcpy(inserts + strlen(all), INSERTS, sizeof INSERTS);
    if (srv->slot[strspn(srv->slot, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(sec, "slot"),
                        "source.slot may hold only a-z, 0-9 and _");
    return read_url(srv, err);
}

void pgs_server_done(struct pgs_server *srv)
{
    pgs_sql_close(srv);
    PQconninfoFree(srv->url);
    srv->url = NULL;
}

struct params {
    const char *key[80], *val[80];
    int n;
};

static void param(struct params *par, const char *key, const char *val)
{
    if (val && par->n < 79) {
        par->key[par->n] = key;
        par->val[par->n++] = val;
    }
}

/*
 * What libpq is given, the last of equal keys wins: defaults for noticing a dead network within
 * half a minute, the URL's own, then what must be. The keepalives alone would not do: the kernel
 * sends none while something of ours (a status) is unacknowledged, and retries that for a quarter
 * of an hour.
 */
static void session_params(const struct pgs_server *srv, bool replication, const char *options,
                           struct params *par)
{
    static const char *const dflt[][2] = {{"keepalives", "1"},
                                          {"keepalives_idle", "10"},
                                          {"keepalives_interval", "5"},
                                          {"keepalives_count", "4"},
                                          {"tcp_user_timeout", "30000"}};
    for (size_t i = 0; i < sizeof dflt / sizeof dflt[0]; i++)
        param(par, dflt[i][0], dflt[i][1]);
    for (PQconninfoOption *opt = srv->url; opt->keyword; opt++)
        param(par, opt->keyword, opt->val);
    param(par, "client_encoding", "UTF8");
    param(par, "options", options);
    if (replication)
        param(par, "replication", "database");
}

/* Drives PQconnectPoll until the connection stands or the time is over. */
static bool finish_connect(PGconn *conn, int64_t timeout_us)
{
    int64_t deadline = cdc_mono_us() + timeout_us;
    PostgresPollingStatusType what = PGRES_POLLING_WRITING;
    while (what != PGRES_POLLING_OK && what != PGRES_POLLING_FAILED) {
        struct pollfd fd = {.fd = PQsocket(conn),
                            .events = what == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = deadline - cdc_mono_us();
        int rc = left > 0 ? poll(&fd, 1, (int)(left / 1000 + 1)) : 0;
        if (rc == 0 || (rc < 0 && errno != EINTR))
            return false;
        if (rc > 0)
            what = PQconnectPoll(conn);
    }
    return what == PGRES_POLLING_OK;
}

static int pin_rest(PGconn *conn, struct cdc_error *err)
{
    if (PQserverVersion(conn) < 140000)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "the server is PostgreSQL %d; version 14 or newer is needed",
                        PQserverVersion(conn) / 10000);
    if (PQserverVersion(conn) < 170000)
        return CDC_OK;
    PGS_CLEAR PGresult *res = PQexec(conn, "SET transaction_timeout = 0");
    return PQresultStatus(res) == PGRES_COMMAND_OK ? CDC_OK : pgs_fail(conn, res, NULL, err);
}

/* Notices that a session has no other way to tell; the text holds no values. */
static void log_notice(void *arg, const PGresult *res)
{
    (void)arg;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    cdc_log(CDC_LOG_DEBUG, "postgres: server says: %s", text ? text : "");
}

static int open_conn(struct pgs_server *srv, const struct params *par, PGconn **ret,
                     struct cdc_error *err)
{
    PGconn *conn = PQconnectStartParams(par->key, par->val, 0);
    if (!conn)
        return cdc_fail_oom(err);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(conn, log_notice, NULL);
    int64_t timeout_us = srv->connect_us ? srv->connect_us : CONNECT_US;
    int rc = CDC_OK;
    if (PQstatus(conn) == CONNECTION_BAD || !finish_connect(conn, timeout_us))
        rc = *PQerrorMessage(conn)
                 ? pgs_fail(conn, NULL, NULL, err)
                 : cdc_fail(err, CDC_RETRY, "postgres", "no answer from the server within %d s",
                            (int)(timeout_us / 1000000));
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    if (rc == CDC_OK)
        rc = pin_rest(conn, err);
    if (rc != CDC_OK) {
        PQfinish(conn);
        return rc;
    }
    srv->version = PQserverVersion(conn);
    snprintf(srv->database, sizeof srv->database, "%s", PQdb(conn));
    *ret = conn;
    return CDC_OK;
}

int pgs_connect(struct pgs_server *srv, bool replication, PGconn **ret, struct cdc_error *err)
{
    struct params par = {.n = 0};
    struct cdc_buf options = CDC_BUF(65536), name = CDC_BUF(256);
    const char *own = url_value(srv, "options");
    cdc_buf_printf(&options, "-c wal_sender_timeout=60s %s " PINNED, own ? own : "");
    cdc_buf_printf(&name, "sidestream/%s", srv->cfg->name);
    session_params(srv, replication, cdc_buf_cstr(&options), &par);
    param(&par, "application_name", cdc_buf_cstr(&name));
    int rc = options.failed || name.failed ? cdc_fail_oom(err) : open_conn(srv, &par, ret, err);
    cdc_buf_done(&options);
    cdc_buf_done(&name);
    return rc;
}

int pgs_identify(PGconn *wal, struct pgs_ident *ret, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = PQexec(wal, "IDENTIFY_SYSTEM");
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
        return pgs_fail(wal, res, NULL, err);
    struct pgs_ident ident = {.timeline = (uint32_t)strtoul(PQgetvalue(res, 0, 1), NULL, 10)};
    snprintf(ident.systemid, sizeof ident.systemid, "%s", PQgetvalue(res, 0, 0));
    if (pgs_lsn_parse(PQgetvalue(res, 0, 2), &ident.lsn) < 0)
        return cdc_fail(err, CDC_FATAL, "postgres", "IDENTIFY_SYSTEM gave no LSN");
    PGS_CLEAR PGresult *set =
        PQexec(wal, "SELECT pg_is_in_recovery(), "
                    "(SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout')");
    if (PQresultStatus(set) != PGRES_TUPLES_OK)
        return pgs_fail(wal, set, NULL, err);
    ident.standby = PQgetvalue(set, 0, 0)[0] == 't';
    ident.sender_timeout_us = strtoll(PQgetvalue(set, 0, 1), NULL, 10) * 1000;
    *ret = ident;
    return CDC_OK;
}

int pgs_sql(struct pgs_server *srv, struct cdc_error *err)
{
    srv->sql_used_us = cdc_mono_us();
    if (srv->sql && PQstatus(srv->sql) == CONNECTION_OK)
        return CDC_OK;
    pgs_sql_close(srv);
    if (pgs_connect(srv, false, &srv->sql, err) < 0)
        return CDC_FAIL;
    /*
     * Some questions wait behind the application's DDL: not longer than the walsender can be alone.
     * Those of a copy are about one table each, by its name or oid, and planned once.
     */
    PGS_CLEAR PGresult *res = PQexec(
        srv->sql, srv->hasty ? "SET statement_timeout = '10s'; SET lock_timeout = '500ms'; SET "
                               "plan_cache_mode = force_generic_plan"
                             : "SET statement_timeout = '10s'");
    return PQresultStatus(res) == PGRES_COMMAND_OK ? CDC_OK : pgs_fail(srv->sql, res, NULL, err);
}

void pgs_sql_close(struct pgs_server *srv)
{
    PQfinish(srv->sql);
    srv->sql = NULL;
    srv->sql_knows = 0;
}

int pgs_query(struct pgs_server *srv, const char *sql, const char *const *args, PGresult **ret,
              struct cdc_error *err)
{
    int n = 0;
    while (args && args[n])
        n++;
    if (pgs_sql(srv, err) < 0)
        return CDC_FAIL;
    PGresult *res = PQexecParams(srv->sql, sql, n, NULL, args, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        int rc = pgs_fail(srv->sql, res, NULL, err);
        PQclear(res);
        return rc;
    }
    *ret = res;
    return CDC_OK;
}

int pgs_execute(struct pgs_server *srv, const char *sql, struct cdc_error *err)
{
    if (pgs_sql(srv, err) < 0)
        return CDC_FAIL;
    PGS_CLEAR PGresult *res = PQexec(srv->sql, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return CDC_OK;
    return pgs_fail(srv->sql, res, sql, err);
}

/* Neither password nor anything else that would log in: only whether the postmaster takes sessions.
 */
bool pgs_stopping(const struct pgs_server *srv)
{
    struct params par = {.n = 0};
    static const char *const keys[] = {"host", "hostaddr", "port", "user", "dbname"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        param(&par, keys[i], url_value(srv, keys[i]));
    param(&par, "connect_timeout", "2");
    param(&par, "sslmode", "disable");
    param(&par, "gssencmode", "disable");
    param(&par, "passfile", "/nonexistent"); /* nothing is read, nothing said */
    return PQpingParams(par.key, par.val, 0) == PQPING_REJECT;
}

void pgs_ident_put(struct cdc_buf *buf, const char *name)
{
    cdc_buf_byte(buf, '"');
    for (; *name; name++) {
        if (*name == '"')
            cdc_buf_byte(buf, '"');
        cdc_buf_byte(buf, (uint8_t)*name);
    }
    cdc_buf_byte(buf, '"');
}

void pgs_table_put(struct cdc_buf *buf, const char *schema, const char *name)
{
    pgs_ident_put(buf, schema);
    cdc_buf_byte(buf, '.');
    pgs_ident_put(buf, name);
}
