/*
 * test_mysql_conn.c - source.url of MySQL and MariaDB, taken and refused; what each error number
 * means; and that nothing of a password or a value is ever shown.
 */
#include "cm.h"

#include "../../connectors/mysql/mysql.h"

#include <stdlib.h>

static const struct url {
    const char *url;
    const char *user, *password, *host, *socket, *ca, *fingerprint;
    unsigned port;
    enum mys_tls tls;
} urls[] = {
    {"mysql://u:p@h:3307/", "u", "p", "h", NULL, NULL, NULL, 3307, MYS_TLS_PREFERRED},
    {"mariadb://u:p@h", "u", "p", "h", NULL, NULL, NULL, 3306, MYS_TLS_PREFERRED},
    {"MySQL://u@h?tls=off", "u", "", "h", NULL, NULL, NULL, 3306, MYS_TLS_OFF},
    {"mysql://u:@h/?tls=required", "u", "", "h", NULL, NULL, NULL, 3306, MYS_TLS_REQUIRED},
    {"mysql://u:a%40b%3Ac%2Fd%3f%25@h:1", "u", "a@b:c/d?%", "h", NULL, NULL, NULL, 1,
     MYS_TLS_PREFERRED},
    {"mysql://u:a@b:c#d@h", "u", "a@b:c#d", "h", NULL, NULL, NULL, 3306, MYS_TLS_PREFERRED},
    {"mysql://%c3%a4:p@h", "\xc3\xa4", "p", "h", NULL, NULL, NULL, 3306, MYS_TLS_PREFERRED},
    {"mysql://u:p@[::1]:65535/", "u", "p", "::1", NULL, NULL, NULL, 65535, MYS_TLS_PREFERRED},
    {"mysql://u:p@[fe80::1%25eth0]", "u", "p", "fe80::1%eth0", NULL, NULL, NULL, 3306,
     MYS_TLS_PREFERRED},
    {"mysql://u:p@/?socket=/run/my%20sql.sock", "u", "p", "localhost", "/run/my sql.sock", NULL,
     NULL, 3306, MYS_TLS_PREFERRED},
    {"mysql://u:p@h/?ca=/etc/ca.pem", "u", "p", "h", NULL, "/etc/ca.pem", NULL, 3306,
     MYS_TLS_VERIFY},
    {"mysql://u:p@h/?tls=verify", "u", "p", "h", NULL, NULL, NULL, 3306, MYS_TLS_VERIFY},
    {"mysql://u:p@h?fingerprint=00112233445566778899aabbccddeeff00112233", "u", "p", "h", NULL,
     NULL, "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", 3306, MYS_TLS_REQUIRED},
    {"mysql://u:p@h?tls=verify&ca=/ca&fingerprint="
     "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
     "u", "p", "h", NULL, "/ca", "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
     3306, MYS_TLS_VERIFY},
};

static void text_is(const char *got, const char *want)
{
    if (want)
        assert_string_equal(got, want);
    else
        assert_null(got);
}

static void test_url(void **state)
{
    const struct url *url = *state;
    struct mys_server srv;
    struct cdc_error err = {0};
    assert_int_equal(mys_server_of_url(&srv, url->url, &err), CDC_OK);
    text_is(srv.user, url->user);
    text_is(srv.password, url->password);
    text_is(srv.host, url->host);
    text_is(srv.socket, url->socket);
    text_is(srv.ca, url->ca);
    text_is(srv.fingerprint, url->fingerprint);
    assert_int_equal(srv.port, url->port);
    assert_int_equal(srv.tls, url->tls);
    mys_server_done(&srv);
}

/* Every beginning of it is taken, refused or of another kind, and nothing of it leaks. */
static void test_url_prefixes(void **state)
{
    const struct url *url = *state;
    for (size_t len = 0; len < strlen(url->url); len++) {
        char *part = strndup(url->url, len); /* on the heap: reading behind it shows */
        struct mys_server srv;
        struct cdc_error err = {0};
        int rc = mys_server_of_url(&srv, part, &err);
        if (len < strlen("mysql://"))
            assert_int_equal(rc, CDC_END);
        if (rc == CDC_FAIL)
            assert_int_equal(err.action, CDC_CONFIG);
        mys_server_done(&srv);
        free(part);
    }
}

static const struct bad {
    const char *url;
    const char *says; /* NULL: of another kind */
} bads[] = {
    {"postgresql://u:hush@h", NULL},
    {"mysql:/u:hush@h", NULL},
    {"mysqlx://u:hush@h", NULL},
    {"", NULL},
    {"mysql://", "names no user"},
    {"mysql://h", "names no user"},
    {"mysql://:hush@h", "names no user"},
    {"mysql://@h", "names no user"},
    {"mysql://u:hush@h:0", "port"},
    {"mysql://u:hush@h:65536", "port"},
    {"mysql://u:hush@h:", "port"},
    {"mysql://u:hush@h:33x", "port"},
    {"mysql://u:hush@h:-1", "port"},
    {"mysql://u:hush@h:4294967297", "port"},
    {"mysql://u:hush@::1:3306", "IPv6"},
    {"mysql://u:hush@[::1", "does not end"},
    {"mysql://u:hush@[::1]x", "does not end"},
    {"mysql://u:hush@h/shop", "names a database"},
    {"mysql://u:hush@h//", "names a database"},
    {"mysql://u:hush%@h", "two hex digits"},
    {"mysql://u:hush%4@h", "two hex digits"},
    {"mysql://u:hush%zz@h", "two hex digits"},
    {"mysql://u:hush%00@h", "two hex digits"},
    {"mysql://u:hush%0a@h", "two hex digits"},
    {"mysql://u:hush@h?tls=on", "tls"},
    {"mysql://u:hush@h?tls", "without a value"},
    {"mysql://u:hush@h?tls=", "without a value"},
    {"mysql://u:hush@h?sslmode=require", "a parameter that is not"},
    {"mysql://u:hush@h?TLS=off", "a parameter that is not"},
    {"mysql://u:hush@h?fingerprint=xyz", "fingerprint"},
    {"mysql://u:hush@h?fingerprint=0011", "neither 20"},
    {"mysql://u:hush@h?tls=off&ca=/ca", "would not look at"},
    {"mysql://u:hush@h?tls=preferred&ca=/ca", "would not look at"},
    {"mysql://u:hush@h?tls=required&ca=/ca", "would not look at"},
    {"mysql://u:hush@h?tls=off&fingerprint=00112233445566778899aabbccddeeff00112233",
     "would not look at"},
};

static void test_bad_url(void **state)
{
    const struct bad *bad = *state;
    struct mys_server srv;
    struct cdc_error err = {0};
    assert_int_equal(mys_server_of_url(&srv, bad->url, &err), bad->says ? CDC_FAIL : CDC_END);
    if (!bad->says)
        return;
    assert_int_equal(err.action, CDC_CONFIG);
    assert_non_null(strstr(err.message, bad->says));
    assert_null(strstr(err.message, "hush"));
    assert_null(srv.password);
}

static const struct fault {
    const char *name;
    unsigned code;
    const char *text;
    enum cdc_action action;
    const char *says;
} faults[] = {
    {"no answer", 2002, "Can't connect to server on 'h' (115)", CDC_RETRY, "not there"},
    {"refused", 2003, "Can't connect", CDC_RETRY, "not there"},
    {"no host", 2005, "Unknown server host 'h' (-2)", CDC_RETRY, "host's name"},
    {"gone", 2006, "Server has gone away", CDC_RETRY, "lost"},
    {"lost", 2013, "Lost connection to server during query", CDC_RETRY, "lost"},
    {"lost, TLS", 2026, "TLS/SSL error: unexpected eof while reading", CDC_RETRY, "lost"},
    {"certificate", 2026, "TLS/SSL error: self-signed certificate in certificate chain",
     CDC_OPERATOR, "certificate"},
    {"fingerprint", 2026, "TLS/SSL error: Fingerprint verification of server certificate failed",
     CDC_OPERATOR, "fingerprint"},
    {"no TLS", 2026, "TLS/SSL error: SSL is required, but the server does not support it",
     CDC_OPERATOR, "ssl_cert"},
    {"password", 1045, "Access denied for user 'u'@'h' (using password: YES)", CDC_OPERATOR,
     "'u'@'h'"},
    {"plugin", 1045, "Plugin x could not be loaded: no", CDC_OPERATOR, "MARIADB_PLUGIN_DIR"},
    {"locked", 3118, "Account is locked.", CDC_OPERATOR, "UNLOCK"},
    {"insecure", 3159, "Connections using insecure transport", CDC_OPERATOR, "tls=required"},
    {"right", 1227, "Access denied; you need X", CDC_OPERATOR, "GRANT SOMETHING"},
    {"table right", 1142, "SELECT command denied to user 'u'@'h' for table 't'", CDC_OPERATOR,
     "GRANT SOMETHING"},
    {"database right", 1044, "Access denied for user", CDC_OPERATOR, "GRANT SOMETHING"},
    {"shutdown", 1053, "Server shutdown in progress", CDC_RETRY, "stops"},
    {"too many", 1040, "Too many connections", CDC_RETRY, "max_connections"},
    {"lock", 1205, "Lock wait timeout exceeded", CDC_RETRY, "lock"},
    {"deadlock", 1213, "Deadlock found", CDC_RETRY, "lock"},
    {"slow, MySQL", 3024, "Query execution was interrupted", CDC_RETRY, "too long"},
    {"slow, MariaDB", 1969, "Query execution was interrupted", CDC_RETRY, "too long"},
    {"purged, MySQL", 1236,
     "Cannot replicate because the source purged required binary logs. Replicate the missing",
     CDC_OPERATOR, "deleted log that was not read"},
    {"purged, MySQL 8.0", 1236, "Cannot replicate because the master purged required binary logs.",
     CDC_OPERATOR, "deleted log that was not read"},
    {"purged, MariaDB", 1236,
     "Could not find GTID state requested by slave in any binlog files. Probably the slave state "
     "is too old and required binlog files have been purged.",
     CDC_OPERATOR, "deleted log that was not read"},
    {"no file", 1236, "Could not find first log file name in binary log index file", CDC_OPERATOR,
     "deleted log that was not read"},
    {"twice, MySQL", 1236,
     "A replica with the same server_uuid/server_id as this replica has connected to the source;",
     CDC_RETRY, "another instance"},
    {"twice, MariaDB", 4052,
     "A slave with the same server_uuid/server_id is already connected; the first event", CDC_RETRY,
     "another instance"},
    {"more, MySQL", 1236, "Replica has more GTIDs than the source has, using", CDC_OPERATOR,
     "lost transactions that are out"},
    {"more, MariaDB", 1236,
     "Error: connecting slave requested to start from GTID 0-1-999, which is not in the master's "
     "binlog",
     CDC_OPERATOR, "does not have the last transaction"},
    {"hole, MariaDB", 1236,
     "The binlog on the master is missing the GTID 0-1-5 requested by the slave (even though both",
     CDC_OPERATOR, "does not have the last transaction"},
    {"end lost, MySQL", 1236,
     "Client requested source to start replication from position > file size", CDC_OPERATOR,
     "lost the end of its log"},
    {"end lost, MariaDB", 1236,
     "Client requested master to start replication from impossible position; the first",
     CDC_OPERATOR, "lost the end of its log"},
    {"GTIDs off", 1236,
     "The replication sender thread cannot start in AUTO_POSITION mode: this server has "
     "GTID_MODE = OFF instead of ON.",
     CDC_OPERATOR, "gtid_mode"},
    {"packet", 1236, "log event entry exceeded max_allowed_packet; Increase", CDC_OPERATOR,
     "1073741824"},
    {"checksum", 1236, "Slave can not handle replication events with the checksum that master",
     CDC_RETRY, "again"},
    {"unknown", 9999, "Something new", CDC_RETRY, "Something new (error 9999); it is tried again"},
    {"value", 1292, "Truncated incorrect DOUBLE value: 'hush'", CDC_RETRY, "value: '...'"},
    {"values", 1062, "Duplicate entry 'hush' for key 'PRIMARY'", CDC_RETRY, "entry '...'"},
    {"open quote", 1366, "Incorrect value: 'hush", CDC_RETRY, "value: '"},
    {"syntax", 1064, "You have an error ... near 'hush' and 'x'' at line 1", CDC_FATAL,
     "near '...' at line 1"},
    {"no text", 2013, "", CDC_RETRY, "no answer"},
    {"lines", 1317, "one\nhush", CDC_RETRY, "one (error"},
};

static void test_fault(void **state)
{
    const struct fault *fault = *state;
    struct cdc_error err = {0};
    assert_int_equal(mys_fail_code(fault->code, fault->text, "GRANT SOMETHING", &err), CDC_FAIL);
    if (!strstr(err.message, fault->says))
        print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, fault->says));
    assert_null(strstr(err.message, "hush"));
    assert_int_equal(err.action, fault->action);
}

static const struct quote {
    void (*put)(struct cdc_buf *buf, const char *text);
    const char *text, *want;
} quotes[] = {
    {mys_ident_put, "a", "`a`"},
    {mys_ident_put, "a`b", "`a``b`"},
    {mys_ident_put, "a'b\\", "`a'b\\`"},
    {mys_literal_put, "", "''"},
    {mys_literal_put, "a'b\"c", "'a''b\"c'"},
    {mys_literal_put, "''", "''''''"},
    {mys_literal_put, "a\\'", "_utf8mb4 X'615C27'"},
    {mys_literal_put, "\xc3\xa4\\", "_utf8mb4 X'C3A45C'"},
};

static void test_quotes(void **state)
{
    (void)state;
    struct cdc_buf buf = CDC_BUF(1000);
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        cdc_buf_reset(&buf);
        quotes[i].put(&buf, quotes[i].text);
        assert_string_equal(cdc_buf_cstr(&buf), quotes[i].want);
    }
    cdc_buf_reset(&buf);
    mys_table_put(&buf, "a.b", "`");
    assert_string_equal(cdc_buf_cstr(&buf), "`a.b`.````");
    cdc_buf_done(&buf);
}

/* Who we are is the same at every start, and a UUID. */
static void test_identity(void **state)
{
    (void)state;
    struct mys_server a, b;
    assert_int_equal(mys_server_of_url(&a, "mysql://u@h", NULL), CDC_OK);
    assert_int_equal(mys_server_of_url(&b, "mariadb://other:p@elsewhere", NULL), CDC_OK);
    assert_string_equal(a.uuid, b.uuid);
    assert_int_equal(strlen(a.uuid), 36);
    assert_true(a.uuid[8] == '-' && a.uuid[13] == '-' && a.uuid[18] == '-' && a.uuid[23] == '-');
    assert_int_equal(a.uuid[14], '8');
    assert_true(a.server_id == b.server_id && a.server_id >> 30 == 1);
    mys_server_done(&a);
    mys_server_done(&b);
}

#define N(rows) (sizeof rows / sizeof rows[0])

int main(void)
{
    static struct CMUnitTest tests[2 * N(urls) + N(bads) + N(faults) + 2];
    size_t n = 0;
    for (size_t i = 0; i < N(urls); i++) {
        tests[n++] = (struct CMUnitTest){urls[i].url, test_url, NULL, NULL, (void *)&urls[i]};
        tests[n++] =
            (struct CMUnitTest){urls[i].url, test_url_prefixes, NULL, NULL, (void *)&urls[i]};
    }
    for (size_t i = 0; i < N(bads); i++)
        tests[n++] = (struct CMUnitTest){bads[i].url, test_bad_url, NULL, NULL, (void *)&bads[i]};
    for (size_t i = 0; i < N(faults); i++)
        tests[n++] =
            (struct CMUnitTest){faults[i].name, test_fault, NULL, NULL, (void *)&faults[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_quotes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_identity);
    return _cmocka_run_group_tests("mysql_conn", tests, n, NULL, NULL);
}
