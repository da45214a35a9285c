/*
 * server.c - the server of http.h, on libmicrohttpd.
 *
 * The library's loop is driven by a thread of ours, because only so can a connection be cut that
 * sends a byte now and then for ever: the library's own timeout starts anew with each byte. A list
 * of the connections knows since when each has had no answer, and is looked through every second.
 *
 * A request begins when its first line was read (on_uri: the only place that gives the path as
 * sent, and the place where our struct request is made) and ends in on_completed, whatever happens
 * in between. Where an answer is clear from the headers alone (no such path, no token, a body that
 * is too large) it is given before a body is read, and the library closes the connection behind it.
 *
 * Threads: all of this runs on the server's thread between start and stop.
 */
#include "http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cdc/clock.h"
#include "cdc/log.h"

#define POOL_BYTES ((size_t)16 << 10) /* a connection's memory: headers must fit */
#define PEM_MAX    ((size_t)1 << 20)
#define SWEEP_US   1000000
#define NICE       10

struct client {
    int fd;
    int64_t since_us; /* it connected, or got its last answer */
    struct client *prev, *next;
};

struct cdc_http {
    const struct cdc_http_options *opt;
    const struct cdc_http_route *routes;
    struct MHD_Daemon *daemon;
    int listen_fd, wake_fd, port;
    struct cdc_buf cert, key;
    struct client clients; /* head of a ring */
    size_t bodies;         /* bytes of bodies being received */
    pthread_t thread;
    bool running;
};

struct request {
    struct cdc_http *http;
    struct MHD_Connection *conn;
    const struct cdc_http_route *route;
    struct cdc_buf body;
    bool begun, too_large;
    char path[]; /* as sent */
};

/* ---- answering ---- */

static enum MHD_Result send_reply(struct MHD_Connection *conn, struct cdc_http_reply *reply)
{
    size_t len = 0;
    unsigned status = (unsigned)reply->status;
    uint8_t *bytes = reply->body.len ? cdc_buf_take(&reply->body, &len) : NULL;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(bytes);
        return MHD_NO;
    }
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"sidestream\"");
    if (strncmp(reply->type, "text/html", 9) == 0)
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src "
                                "'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'");
    MHD_add_response_header(response, "Content-Type", reply->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    enum MHD_Result rc = MHD_queue_response(conn, status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *conn, int status, const char *why)
{
    struct cdc_http_reply reply = {.type = "text/plain", .body = CDC_BUF(4096)};
    enum MHD_Result rc =
        cdc_http_error(&reply, status, "%s", why) == CDC_OK ? send_reply(conn, &reply) : MHD_NO;
    cdc_buf_done(&reply.body);
    return rc;
}

static const char *query(const struct cdc_http_request *req, const char *name)
{
    const struct request *own = req->impl;
    return MHD_lookup_connection_value(own->conn, MHD_GET_ARGUMENT_KIND, name);
}

static const char *header(const struct cdc_http_request *req, const char *name)
{
    const struct request *own = req->impl;
    return MHD_lookup_connection_value(own->conn, MHD_HEADER_KIND, name);
}

static enum MHD_Result answer(struct request *own, const char *method)
{
    struct cdc_http_request req = {.method = strcmp(method, "HEAD") == 0 ? "GET" : method,
                                   .path = own->path,
                                   .query = query,
                                   .header = header,
                                   .body = cdc_buf_slice(&own->body),
                                   .impl = own};
    struct cdc_http_reply reply = {
        .status = 200, .type = "text/plain; charset=utf-8", .body = CDC_BUF(CDC_HTTP_REPLY_MAX)};
    int rc = own->route->handler(own->route->arg, &req, &reply);
    enum MHD_Result sent = rc == CDC_OK && !reply.body.failed
                               ? send_reply(own->conn, &reply)
                               : refuse(own->conn, 500, "the answer could not be made");
    cdc_buf_done(&reply.body);
    return sent;
}

/* ---- a request ---- */

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *conn)
{
    size_t len = strcspn(uri, "?");
    struct request *own = calloc(1, sizeof *own + len + 1);
    if (!own)
        return NULL;
    own->http = arg;
    own->conn = conn;
    memcpy(own->path, uri, len);
    return own;
}

/* What the headers alone decide. 0: nothing yet. */
static int look_at_headers(struct request *own, const char **why)
{
    struct cdc_http *http = own->http;
    const struct cdc_http_route *route = cdc_http_route_of(http->routes, own->path);
    const char *auth = MHD_lookup_connection_value(own->conn, MHD_HEADER_KIND, "Authorization");
    const char *length = MHD_lookup_connection_value(own->conn, MHD_HEADER_KIND, "Content-Length");
    *why = "this path wants the token: Authorization: Bearer ...";
    if (http->opt->token && !(route && route->open) && !cdc_http_token_is(auth, http->opt->token))
        return 401;
    *why = "there is nothing at this path";
    if (!route)
        return 404;
    own->route = route;
    own->body = CDC_BUF(route->max_body ? route->max_body : CDC_HTTP_BODY_MAX);
    *why = "the body is too large";
    if (length && strtoull(length, NULL, 10) > own->body.max)
        return 413;
    return 0;
}

static void take_body(struct request *own, const char *data, size_t len)
{
    struct cdc_http *http = own->http;
    size_t before = own->body.cap;
    if (own->too_large || own->body.failed)
        return;
    if (http->bodies + len > CDC_HTTP_BODIES_MAX || len > own->body.max - own->body.len)
        own->too_large = true;
    else
        cdc_buf_put(&own->body, data, len);
    http->bodies += own->body.cap - before;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct request *own = *state;
    const char *why;
    (void)arg, (void)url, (void)version;
    if (!own)
        return MHD_NO;
    if (!own->begun) {
        own->begun = true;
        int status = look_at_headers(own, &why);
        return status ? refuse(conn, status, why) : MHD_YES;
    }
    if (*len > 0) {
        take_body(own, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (own->too_large || own->body.failed)
        return refuse(conn, 413, "the body is too large");
    return answer(own, method);
}

static void on_completed(void *arg, struct MHD_Connection *conn, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct cdc_http *http = arg;
    struct request *own = *state;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    (void)how;
    if (client)
        client->since_us = cdc_mono_us();
    if (own) {
        http->bodies -= own->body.cap;
        cdc_buf_done(&own->body);
    }
    free(own);
    *state = NULL;
}

/* ---- connections ---- */

static void on_connection(void *arg, struct MHD_Connection *conn, void **state,
                          enum MHD_ConnectionNotificationCode what)
{
    struct cdc_http *http = arg;
    struct client *client = *state;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (client) {
            client->prev->next = client->next;
            client->next->prev = client->prev;
        }
        free(client);
        *state = NULL;
        return;
    }
    client = calloc(1, sizeof *client);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    *state = client;
    if (!client)
        return; /* the library's own timeout is left */
    client->fd = info ? info->connect_fd : -1;
    client->since_us = cdc_mono_us();
    client->prev = http->clients.prev;
    client->next = &http->clients;
    client->prev->next = client->next->prev = client;
}

/* Cuts whoever has had no answer for too long; the library then sees the end and closes. */
static void sweep(struct cdc_http *http, int64_t now_us)
{
    struct client *head = &http->clients;
    for (struct client *client = head->next; client != head; client = client->next) {
        if (client->fd < 0 || now_us - client->since_us < CDC_HTTP_PATIENCE_S * INT64_C(1000000))
            continue;
        shutdown(client->fd, SHUT_RDWR);
        client->since_us = now_us;
    }
}

static void *server_main(void *arg)
{
    struct cdc_http *http = arg;
    int epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd fds[2] = {{.fd = epoll_fd, .events = POLLIN},
                            {.fd = http->wake_fd, .events = POLLIN}};
    int64_t swept_us = cdc_mono_us();
    setpriority(PRIO_PROCESS, 0, NICE); /* of this thread, on Linux */
    while (!(fds[1].revents & POLLIN)) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 1000;
        if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES || wait_ms > 1000)
            wait_ms = 1000;
        if (http->clients.next == &http->clients)
            wait_ms = 60000; /* nobody is connected: nothing to sweep */
        if (poll(fds, 2, (int)wait_ms) < 0 && errno != EINTR)
            break;
        MHD_run(http->daemon);
        int64_t now_us = cdc_mono_us();
        if (now_us - swept_us < SWEEP_US)
            continue;
        swept_us = now_us;
        sweep(http, now_us);
    }
    return NULL;
}

/* ---- starting ---- */

/* "host:port" or "[host]:port". */
static bool split(const char *listen, char host[256], char port[8])
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t)(colon - listen) : 0;
    if (!colon || len == 0 || len >= 256 || strlen(colon + 1) >= 8)
        return false;
    bool bracket = listen[0] == '[' && len > 2 && listen[len - 1] == ']';
    snprintf(host, 256, "%.*s", (int)(bracket ? len - 2 : len), listen + bracket);
    snprintf(port, 8, "%s", colon + 1);
    return true;
}

static int bind_to(const struct addrinfo *addr)
{
    int one = 1, fd = socket(addr->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, addr->ai_addr, addr->ai_addrlen) == 0 && listen(fd, CDC_HTTP_CLIENTS) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int real_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

static int open_socket(struct cdc_http *http, struct cdc_error *err)
{
    const char *where = http->opt->listen;
    char host[256], port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *addr = NULL;
    if (!split(where, host, port))
        return cdc_fail(err, CDC_CONFIG, "http.listen",
                        "\"%s\" is no address and port, like 127.0.0.1:8480 or [::1]:8480", where);
    int rc = getaddrinfo(host, port, &hints, &addr);
    if (rc != 0)
        return cdc_fail(err, CDC_CONFIG, "http.listen", "%s: %s; write an address of this machine",
                        where, gai_strerror(rc));
    http->listen_fd = bind_to(addr);
    int why = errno;
    freeaddrinfo(addr);
    if (http->listen_fd >= 0) {
        http->port = real_port(http->listen_fd);
        return CDC_OK;
    }
    if (why == EADDRINUSE)
        return cdc_fail(err, CDC_FATAL, "http.listen",
                        "%s is in use by another process (another pipeline?): give this one a port "
                        "of its own, or stop the other",
                        where);
    return cdc_fail(err, CDC_CONFIG, "http.listen", "cannot listen on %s: %s", where,
                    strerror(why));
}

static int read_pem(const char *path, const char *option, struct cdc_buf *ret,
                    struct cdc_error *err)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file)
        return cdc_fail(err, CDC_CONFIG, option, "%s: %s", path, strerror(errno));
    cdc_buf_init(ret, PEM_MAX);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        cdc_buf_put(ret, piece, n);
    bool bad = ferror(file) != 0;
    fclose(file);
    if (bad || !cdc_buf_cstr(ret))
        return cdc_fail(err, CDC_CONFIG, option,
                        "%s cannot be read, or is too large for a PEM file", path);
    return CDC_OK;
}

static int start_daemon(struct cdc_http *http, struct cdc_error *err)
{
    const struct cdc_http_options *opt = http->opt;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
                                   {MHD_OPTION_END, 0, NULL}};
    if (opt->cert) {
        if (read_pem(opt->cert, "http.tls.cert", &http->cert, err) < 0 ||
            read_pem(opt->key, "http.tls.key", &http->key, err) < 0)
            return CDC_FAIL;
        tls[0].ptr_value = http->cert.p;
        tls[1].ptr_value = http->key.p;
    } else {
        tls[0].option = MHD_OPTION_END;
    }
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | (opt->cert ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, http->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CDC_HTTP_CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CDC_HTTP_PATIENCE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_uri, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (http->daemon)
        return CDC_OK;
    if (opt->cert)
        return cdc_fail(err, CDC_CONFIG, "http.tls",
                        "%s and %s are no certificate and key that belong together (PEM)",
                        opt->cert, opt->key);
    return cdc_fail(err, CDC_FATAL, "http.listen", "the HTTP server could not be started");
}

static int start(struct cdc_http *http, struct cdc_error *err)
{
    http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http->wake_fd < 0)
        return cdc_fail_oom(err);
    if (open_socket(http, err) < 0 || start_daemon(http, err) < 0)
        return CDC_FAIL;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    http->running = pthread_create(&http->thread, NULL, server_main, http) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return http->running ? CDC_OK : cdc_fail(err, CDC_FATAL, "", "cannot start a thread");
}

int cdc_http_start(const struct cdc_http_options *opt, const struct cdc_http_route *routes,
                   struct cdc_http **ret, struct cdc_error *err)
{
    struct cdc_http *http = calloc(1, sizeof *http);
    if (!http)
        return cdc_fail_oom(err);
    *http = (struct cdc_http){.opt = opt, .routes = routes, .listen_fd = -1, .wake_fd = -1};
    http->clients.prev = http->clients.next = &http->clients;
    if (start(http, err) < 0) {
        cdc_http_stop(http);
        return CDC_FAIL;
    }
    *ret = http;
    return CDC_OK;
}

int cdc_http_port(const struct cdc_http *http)
{
    return http->port;
}

void cdc_http_stop(struct cdc_http *http)
{
    if (!http)
        return;
    if (http->running) {
        uint64_t one = 1;
        if (write(http->wake_fd, &one, sizeof one) < 0)
            cdc_log(CDC_LOG_DEBUG, "http: its thread could not be woken: %s", strerror(errno));
        pthread_join(http->thread, NULL);
    }
    if (http->daemon)
        MHD_stop_daemon(http->daemon); /* closes the listening socket too */
    else if (http->listen_fd >= 0)
        close(http->listen_fd);
    if (http->wake_fd >= 0)
        close(http->wake_fd);
    cdc_buf_done(&http->cert);
    cdc_buf_done(&http->key);
    free(http);
}
