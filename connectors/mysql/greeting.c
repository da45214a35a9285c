/*
 * greeting.c - does the server offer TLS? Known before anything of ours is sent.
 *
 * libmariadb (3.3) cannot be asked to take TLS where it is offered: told to use it, its login by
 * caching_sha2_password believes the connection to be encrypted also where the server has no TLS,
 * and sends the password as it is. So the server's greeting is read on a connection of our own,
 * which is then closed without a word: a greeting says in its capabilities whether there is TLS.
 *
 *   packet     length 3 | number 1 | 10 | version .. 0 | thread 4 | salt 8 | 0 | capabilities 2 ..
 *              length 3 | number 1 | 255 | error 2 | text
 *
 * The server counts such a connection as aborted (Aborted_connects), and MariaDB logs it: mys_sql
 * says how often we ask. MySQL source, sql/auth/sql_authentication.cc.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/reader.h"

#include <errno.h>
#include <mariadb/errmsg.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD         4
#define PROTOCOL     10
#define ERROR_PACKET 255
#define CLIENT_TLS   0x0800 /* of the capabilities */
#define CONNECT_US   10000000

int mys_greeting_read(struct cdc_slice packet, bool *ret_tls, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(packet.p, packet.len);
    uint8_t protocol = cdc_read_u8(&rd);
    if (protocol == ERROR_PACKET) {
        char text[256];
        unsigned code = (unsigned)mys_read_le(&rd, 2);
        size_t left = cdc_reader_left(&rd);
        const uint8_t *p = cdc_read_raw(&rd, left);
        snprintf(text, sizeof text, "%.*s", p ? (int)(left < 250 ? left : 250) : 0,
                 p ? (const char *)p : "");
        return mys_fail_code(code, text, NULL, err);
    }
    cdc_read_cstr(&rd);
    cdc_read_raw(&rd, 4 + 8 + 1);
    uint64_t capabilities = mys_read_le(&rd, 2);
    if (rd.failed || protocol != PROTOCOL)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "what answers is no MySQL or MariaDB server: correct host and port in "
                        "source.url");
    *ret_tls = capabilities & CLIENT_TLS;
    return CDC_OK;
}

static bool ready(int fd, short events, int64_t deadline_us)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int64_t left = deadline_us - cdc_mono_us();
    int rc;
    do
        rc = poll(&pfd, 1, left > 0 ? (int)(left / 1000 + 1) : 0);
    while (rc < 0 && errno == EINTR);
    return rc > 0;
}

static int connected(const struct addrinfo *at, int64_t deadline_us)
{
    int error = 0;
    socklen_t len = sizeof error;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && ready(fd, POLLOUT, deadline_us) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

/* n bytes, or as many as come before the connection ends. */
static size_t take(int fd, uint8_t *to, size_t n, int64_t deadline_us)
{
    size_t have = 0;
    while (have < n && ready(fd, POLLIN, deadline_us)) {
        ssize_t got = recv(fd, to + have, n - have, 0);
        if (got <= 0 && errno != EINTR && errno != EAGAIN)
            break;
        if (got == 0)
            break;
        have += got > 0 ? (size_t)got : 0;
    }
    return have;
}

static int read_greeting(int fd, int64_t deadline_us, bool *ret_tls, struct cdc_error *err)
{
    uint8_t head[HEAD], body[1024];
    if (take(fd, head, HEAD, deadline_us) < HEAD)
        return mys_fail_code(CR_SERVER_LOST, "the server does not greet", NULL, err);
    size_t len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (len > sizeof body)
        len = sizeof body;
    if (take(fd, body, len, deadline_us) < len)
        return mys_fail_code(CR_SERVER_LOST, "the server's greeting was cut off", NULL, err);
    return mys_greeting_read(cdc_slice_of(body, len), ret_tls, err);
}

int mys_offers_tls(const struct mys_server *srv, bool *ret, struct cdc_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
    int64_t deadline_us = cdc_mono_us() + (srv->connect_us ? srv->connect_us : CONNECT_US);
    char port[16];
    int fd = -1;
    snprintf(port, sizeof port, "%u", srv->port);
    int rc = getaddrinfo(srv->host, port, &hints, &list);
    if (rc != 0)
        return mys_fail_code(CR_UNKNOWN_HOST, gai_strerror(rc), NULL, err);
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
        fd = connected(at, deadline_us);
    freeaddrinfo(list);
    if (fd < 0)
        return mys_fail_code(CR_CONN_HOST_ERROR, "no connection to the server", NULL, err);
    rc = read_greeting(fd, deadline_us, ret, err);
    close(fd);
    return rc;
}
