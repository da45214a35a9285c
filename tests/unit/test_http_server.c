/*
 * The server over real sockets: what a request's bytes are answered with, also where they are no
 * request; and that it starts and stops whatever its clients do.
 */
#include "cm.h"
#include "rows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"

static int on_echo(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    (void)arg;
    const char *q = req->query(req, "q"), *header = req->header(req, "x-test");
    cdc_buf_printf(&ret->body, "%s %s q=%s h=%s body=%.*s", req->method, req->path, q ? q : "-",
                   header ? header : "-", (int)req->body.len, (const char *)req->body.p);
    return CDC_OK;
}

static int on_bad(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    (void)arg, (void)req;
    cdc_buf_str(&ret->body, "half");
    return CDC_FAIL;
}

static const struct cdc_http_route routes[] = {
    {.prefix = "/echo", .handler = on_echo, .max_body = 64},
    {.prefix = "/open", .handler = on_echo, .open = true},
    {.prefix = "/bad", .handler = on_bad},
    {.prefix = NULL}};

#define END   " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
#define TOKEN "Authorization: Bearer t0ken\r\n"
#define X64   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct row {
    const char *name, *request;
    const char *status; /* begin of the answer; "": closed without one */
    const char *holds;  /* something in it, or NULL */
} rows[] = {
    {"get", "GET /echo/a?q=1" END TOKEN "\r\n", "HTTP/1.1 200", "GET /echo/a q=1 h=- body="},
    {"the path as sent, the query decoded", "GET /echo/%2Fa?q=%2Fb" END TOKEN "\r\n",
     "HTTP/1.1 200", "GET /echo/%2Fa q=/b"},
    {"a header", "GET /echo" END TOKEN "X-Test: 7\r\n\r\n", "HTTP/1.1 200", "h=7"},
    {"head", "HEAD /echo" END TOKEN "\r\n", "HTTP/1.1 200", "Content-Length: "},
    {"post", "POST /echo" END TOKEN "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 200",
     "POST /echo q=- h=- body=abc"},
    {"post in chunks",
     "POST /echo" END TOKEN "Transfer-Encoding: chunked\r\n\r\n"
     "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     "HTTP/1.1 200", "body=abc"},
    {"a body of just the size", "POST /echo" END TOKEN "Content-Length: 64\r\n\r\n" X64,
     "HTTP/1.1 200", X64},
    {"a body too large", "POST /echo" END TOKEN "Content-Length: 65\r\n\r\n" X64 "x",
     "HTTP/1.1 413", "too large"},
    {"too large before it is sent", "POST /echo" END TOKEN "Content-Length: 999999999999\r\n\r\n",
     "HTTP/1.1 413", "too large"},
    {"too large in chunks",
     "POST /echo" END TOKEN "Transfer-Encoding: chunked\r\n\r\n"
     "40\r\n" X64 "\r\n40\r\n" X64 "\r\n0\r\n\r\n",
     "HTTP/1.1 413", "too large"},
    {"no such path", "GET /x" END TOKEN "\r\n", "HTTP/1.1 404", NULL},
    {"without the token", "GET /echo" END "\r\n", "HTTP/1.1 401", "WWW-Authenticate: Basic"},
    {"nor is it said what paths there are", "GET /x" END "\r\n", "HTTP/1.1 401", NULL},
    {"another token", "GET /echo" END "Authorization: Bearer x\r\n\r\n", "HTTP/1.1 401", NULL},
    {"a body without the token is not read", "POST /echo" END "Content-Length: 64\r\n\r\n",
     "HTTP/1.1 401", NULL},
    {"open", "GET /open" END "\r\n", "HTTP/1.1 200", "GET /open"},
    {"a handler that fails", "GET /bad" END TOKEN "\r\n", "HTTP/1.1 500", "could not be made"},
    {"an old client", "GET /open HTTP/1.0\r\n\r\n", "HTTP/1.1 200", NULL},
    {"no request", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "", NULL},
    {"nothing", "", "", NULL},
    {"not stored anywhere", "GET /open" END "\r\n", "HTTP/1.1 200", "Cache-Control: no-store"},
};

static struct cdc_http *http;
static const struct cdc_http_options opt = {.listen = "127.0.0.1:0", .token = "t0ken"};

static int dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)cdc_http_port(http)),
                               .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
    return fd;
}

static void say(int fd, const char *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* answered and closed before all was read */
        sent += (size_t)n;
    }
}

static void hear(int fd, struct cdc_buf *ret)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        cdc_buf_put(ret, piece, (size_t)n);
    close(fd);
}

static void check(const struct cdc_buf *got, const struct row *row)
{
    struct cdc_buf copy = CDC_BUF(1 << 20);
    cdc_buf_put(&copy, got->p, got->len);
    const char *text = cdc_buf_cstr(&copy);
    if (strncmp(text, row->status, strlen(row->status)) != 0 ||
        (row->holds && !strstr(text, row->holds)))
        fail_msg("got %s", text);
    cdc_buf_done(&copy);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_buf got = CDC_BUF(1 << 20);
    int fd = dial();
    say(fd, row->request, strlen(row->request));
    shutdown(fd, SHUT_WR);
    hear(fd, &got);
    check(&got, row);
    cdc_buf_done(&got);
}

/* The same bytes one by one are the same request. */
static void test_slowly(void **state)
{
    const struct row *row = *state;
    struct cdc_buf got = CDC_BUF(1 << 20);
    int fd = dial();
    for (size_t i = 0; row->request[i]; i++) {
        say(fd, row->request + i, 1);
        usleep(200);
    }
    shutdown(fd, SHUT_WR);
    hear(fd, &got);
    check(&got, row);
    cdc_buf_done(&got);
}

static void test_large_headers(void **state)
{
    (void)state;
    struct cdc_buf got = CDC_BUF(1 << 20), request = CDC_BUF(1 << 20);
    cdc_buf_str(&request, "GET /open HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 2000; i++)
        cdc_buf_printf(&request, "X-%d: %s\r\n", i, X64);
    cdc_buf_str(&request, "\r\n");
    int fd = dial();
    say(fd, (const char *)request.p, request.len);
    hear(fd, &got);
    const char *text = cdc_buf_cstr(&got);
    assert_true(got.len == 0 || strncmp(text, "HTTP/1.1 4", 10) == 0);
    cdc_buf_done(&got);
    cdc_buf_done(&request);
}

/* It ends although clients hang in every stage of a request. */
static void test_stop(void **state)
{
    (void)state;
    static const char *const stages[] = {"", "GET /op", "GET /open HTTP/1.1\r\nHost: x\r\n",
                                         "POST /echo" END TOKEN "Content-Length: 64\r\n\r\nabc"};
    int fds[CM_COUNT(stages)];
    for (size_t i = 0; i < CM_COUNT(stages); i++) {
        fds[i] = dial();
        say(fds[i], stages[i], strlen(stages[i]));
    }
    usleep(20000);
    cdc_http_stop(http);
    for (size_t i = 0; i < CM_COUNT(stages); i++)
        close(fds[i]);
    assert_int_equal(cdc_http_start(&opt, routes, &http, NULL), CDC_OK);
}

static const struct start_row {
    const char *name, *listen, *cert, *key;
    enum cdc_action action;
    const char *message;
} start_rows[] = {
    {"no port", "127.0.0.1", NULL, NULL, CDC_CONFIG, "is no address and port"},
    {"no host", ":8480", NULL, NULL, CDC_CONFIG, "is no address and port"},
    {"no number", "127.0.0.1:http", NULL, NULL, CDC_CONFIG, "127.0.0.1:http"},
    {"not of this machine", "192.0.2.1:1", NULL, NULL, CDC_CONFIG, "cannot listen on 192.0.2.1:1"},
    {"no such file", "127.0.0.1:0", "/nonexistent", "/nonexistent", CDC_CONFIG,
     "/nonexistent: No such file"},
    {"no certificate", "127.0.0.1:0", "/etc/passwd", "/etc/passwd", CDC_CONFIG,
     "no certificate and key"},
};

static void test_start(void **state)
{
    const struct start_row *row = *state;
    const struct cdc_http_options bad = {.listen = row->listen, .cert = row->cert, .key = row->key};
    struct cdc_error err = {.where = ""};
    struct cdc_http *other = NULL;
    assert_int_equal(cdc_http_start(&bad, routes, &other, &err), CDC_FAIL);
    assert_int_equal(err.action, row->action);
    if (!strstr(err.message, row->message))
        fail_msg("%s", err.message);
}

static void test_port_taken(void **state)
{
    (void)state;
    char listen[32];
    struct cdc_error err = {.where = ""};
    struct cdc_http *other = NULL;
    snprintf(listen, sizeof listen, "127.0.0.1:%d", cdc_http_port(http));
    const struct cdc_http_options same = {.listen = listen};
    assert_int_equal(cdc_http_start(&same, routes, &other, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    assert_non_null(strstr(err.message, "is in use by another process"));
}

static int setup(void **state)
{
    (void)state;
    return cdc_http_start(&opt, routes, &http, NULL);
}

static int teardown(void **state)
{
    (void)state;
    cdc_http_stop(http);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[2 * CM_COUNT(rows) + CM_COUNT(start_rows) + 3];
    struct CMUnitTest *to = CM_ROWS(tests, test_row, rows);
    to = CM_ROWS(to, test_slowly, rows);
    to = CM_ROWS(to, test_start, start_rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_large_headers);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_port_taken);
    *to = (struct CMUnitTest)cmocka_unit_test(test_stop);
    return cmocka_run_group_tests_name("http_server", tests, setup, teardown);
}
