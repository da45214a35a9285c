/*
 * url.c - where the server is and who we are to it: source.url and the other options, as a struct.
 *
 *   mysql://user:password@host:3306/?tls=verify&ca=/etc/ca.pem
 *   mariadb://user:password@[::1]:3306?fingerprint=AB:CD:...
 *   mysql://user:password@/?socket=/run/mysqld/mysqld.sock
 *
 * Both schemes are one. All parts are percent-encoded; the user ends at the first colon, the name
 * and password at the last @ before the first / or ?. No database: the rules of `capture` say what
 * is read. tls: off, preferred (default; none where the server offers none), required (the session
 * is refused if it is not encrypted), verify (certificate and host name too). `ca` alone means
 * verify, `fingerprint` required. Messages never quote any of it: a password may be anywhere in a
 * URL that is wrong.
 *
 * To the server we are a replica: server_id and uuid are made of the pipeline's name, so that one
 * that starts anew evicts what is left of itself (conn of the same uuid), and of nobody else. A
 * server_id that is given goes into the uuid as well.
 */
#include "mysql.h"

#include "cdc/crc32c.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SHA256_SINCE 30400 /* libmariadb; before, it knows SHA-1 alone, and says no to all else */
#define LOOKS_LIKE   "it looks like mysql://user:password@host:3306/, odd characters as %%XX"

static int url_fail(const struct mys_server *srv, const char *what, struct cdc_error *err)
{
    const char *where = srv->cfg ? cdc_option_where(srv->cfg->source, "url") : "mysql";
    return cdc_fail(err, CDC_CONFIG, where, "source.url %s; " LOOKS_LIKE, what);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False: a % without two digits, or a NUL or line end, which nothing here can hold. */
static bool percent_decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        char c = *text;
        if (c == '%') {
            int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            text += 2;
        }
        if (c == 0 || c == '\n' || c == '\r')
            return false;
        *to++ = c;
    }
    *to = 0;
    return true;
}

static int keep(const struct mys_server *srv, char *text, char **ret, struct cdc_error *err)
{
    if (!percent_decode(text))
        return url_fail(srv, "has a % without two hex digits, or a character that cannot be", err);
    free(*ret);
    *ret = strdup(text);
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

static int read_host(struct mys_server *srv, char *text, struct cdc_error *err)
{
    char *port = strrchr(text, ':');
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return url_fail(srv, "has an address in brackets that does not end", err);
        port = end[1] ? end + 1 : NULL;
        *end = 0;
        text++;
    } else if (port && strchr(text, ':') != port) {
        return url_fail(srv, "has more than one colon in its host (IPv6 goes into [])", err);
    }
    srv->port = 3306;
    if (port) {
        *port++ = 0;
        size_t n = strspn(port, "0123456789");
        srv->port = n > 0 && n < 6 && !port[n] ? (unsigned)strtoul(port, NULL, 10) : 0;
        if (srv->port < 1 || srv->port > 65535)
            return url_fail(srv, "has a port that is none", err);
    }
    return keep(srv, *text ? text : (char[]){"localhost"}, &srv->host, err);
}

static int read_authority(struct mys_server *srv, char *text, struct cdc_error *err)
{
    char *at = strrchr(text, '@');
    if (!at || at == text || *text == ':')
        return url_fail(srv, "names no user", err);
    *at = 0;
    char *password = strchr(text, ':');
    if (password)
        *password++ = 0;
    if (keep(srv, text, &srv->user, err) < 0 ||
        keep(srv, password ? password : (char[]){""}, &srv->password, err) < 0)
        return CDC_FAIL;
    return read_host(srv, at + 1, err);
}

/* Two digits and a colon each, as the library wants them. */
static int read_fingerprint(struct mys_server *srv, char *text, struct cdc_error *err)
{
    char digits[64], out[3 * 32 + 1];
    size_t n = 0;
    for (; *text; text++) {
        if (*text == ':')
            continue;
        if (hex_digit(*text) < 0 || n == sizeof digits)
            return url_fail(srv, "has a fingerprint that is none", err);
        digits[n++] = (char)toupper((unsigned char)*text);
    }
    if (n != 40 && n != 64)
        return url_fail(srv, "has a fingerprint of neither 20 (SHA-1) nor 32 bytes (SHA-256)", err);
    if (n == 64 && mysql_get_client_version() < SHA256_SINCE)
        return url_fail(srv,
                        "has a SHA-256 fingerprint, which this client library does not know: give "
                        "the SHA-1 one (openssl x509 -noout -fingerprint -sha1)",
                        err);
    for (size_t i = 0; i < n / 2; i++)
        snprintf(out + 3 * i, 4, "%c%c:", digits[2 * i], digits[2 * i + 1]);
    out[3 * (n / 2) - 1] = 0;
    return keep(srv, out, &srv->fingerprint, err);
}

static int read_tls(struct mys_server *srv, const char *text, struct cdc_error *err)
{
    static const char *const names[] = {[MYS_TLS_OFF] = "off",
                                        [MYS_TLS_PREFERRED] = "preferred",
                                        [MYS_TLS_REQUIRED] = "required",
                                        [MYS_TLS_VERIFY] = "verify"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            srv->tls = (enum mys_tls)i;
            return CDC_OK;
        }
    }
    return url_fail(srv, "has a tls that is not off, preferred, required or verify", err);
}

static int read_parameter(struct mys_server *srv, char *key, bool *tls, struct cdc_error *err)
{
    char *value = strchr(key, '=');
    if (!value || !value[1])
        return url_fail(srv, "has a parameter without a value", err);
    *value++ = 0;
    if (strcmp(key, "ca") == 0)
        return keep(srv, value, &srv->ca, err);
    if (strcmp(key, "socket") == 0)
        return keep(srv, value, &srv->socket, err);
    if (strcmp(key, "fingerprint") == 0)
        return percent_decode(value) ? read_fingerprint(srv, value, err)
                                     : url_fail(srv, "has a fingerprint that is none", err);
    if (strcmp(key, "tls") != 0)
        return url_fail(srv, "has a parameter that is not tls, ca, fingerprint or socket", err);
    *tls = true;
    return read_tls(srv, value, err);
}

static int read_parameters(struct mys_server *srv, char *text, struct cdc_error *err)
{
    bool tls = false;
    srv->tls = MYS_TLS_PREFERRED;
    for (char *save = NULL, *one = text ? strtok_r(text, "&", &save) : NULL; one;
         one = strtok_r(NULL, "&", &save))
        if (read_parameter(srv, one, &tls, err) < 0)
            return CDC_FAIL;
    if (!tls && srv->ca)
        srv->tls = MYS_TLS_VERIFY;
    else if (!tls && srv->fingerprint)
        srv->tls = MYS_TLS_REQUIRED;
    if ((srv->ca && srv->tls != MYS_TLS_VERIFY) ||
        (srv->fingerprint && srv->tls < MYS_TLS_REQUIRED))
        return url_fail(srv, "names a certificate that its tls would not look at", err);
    return CDC_OK;
}

/* CDC_END: another scheme. */
static int read_url(struct mys_server *srv, char *url, struct cdc_error *err)
{
    static const char *const schemes[] = {"mysql://", "mariadb://"};
    char *text = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && !text; i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            text = url + strlen(schemes[i]);
    if (!text)
        return CDC_END;
    size_t n = strcspn(text, "/?");
    char *path = text[n] == '/' ? text + n + 1 : NULL;
    char *query = strchr(text + n, '?');
    if (query)
        *query++ = 0;
    text[n] = 0;
    if (path && *path)
        return url_fail(srv, "names a database (the rules of `capture` do that)", err);
    if (read_parameters(srv, query, err) < 0)
        return CDC_FAIL;
    return read_authority(srv, text, err);
}

static int parse_url(struct mys_server *srv, const char *url, struct cdc_error *err)
{
    char *copy = strdup(url);
    if (!copy)
        return cdc_fail_oom(err);
    int rc = read_url(srv, copy, err);
    OPENSSL_cleanse(copy, strlen(url));
    free(copy);
    return rc;
}

/* Stable: of the name and the id. A version 8 UUID, whose bits are the maker's. */
static int make_uuid(struct mys_server *srv, const char *name, struct cdc_error *err)
{
    char text[160];
    uint8_t sum[EVP_MAX_MD_SIZE];
    int len = snprintf(text, sizeof text, "sidestream %s %u", name, (unsigned)srv->server_id);
    if (!EVP_Digest(text, (size_t)len, sum, NULL, EVP_sha256(), NULL))
        return cdc_fail_oom(err);
    sum[6] = (uint8_t)(0x80 | (sum[6] & 0x0F));
    sum[8] = (uint8_t)(0x80 | (sum[8] & 0x3F));
    char *to = srv->uuid;
    for (int i = 0; i < 16; i++)
        to += sprintf(to, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", sum[i]);
    return CDC_OK;
}

static int be_replica(struct mys_server *srv, const char *name, int64_t id, struct cdc_error *err)
{
    uint32_t own = UINT32_C(1) << 30 | (cdc_crc32c(0, name, strlen(name)) & 0x3FFFFFFF);
    srv->server_id = id ? (uint32_t)id : own;
    return make_uuid(srv, name, err);
}

static int read_accept(struct mys_server *srv, struct cdc_error *err)
{
    static const char *const names[] = {"minimal_metadata", "cascades", "statements"};
    const struct cdc_section *sec = srv->cfg->source;
    const char *const *list;
    size_t n = cdc_get_list(sec, "accept", &list);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < 3 && strcmp(list[i], names[at]) != 0)
            at++;
        if (at == 3)
            return cdc_fail(err, CDC_CONFIG, cdc_option_where(sec, "accept"),
                            "source.accept may hold minimal_metadata, cascades and statements");
        srv->accept |= 1u << at;
    }
    return CDC_OK;
}

int mys_server_init(struct mys_server *srv, const struct cdc_config *cfg, struct cdc_error *err)
{
    const struct cdc_section *sec = cfg->source;
    *srv = (struct mys_server){.cfg = cfg,
                               .heartbeat_us = cdc_get_int(sec, "heartbeat"),
                               .max_row = (size_t)cdc_get_int(sec, "max_row_bytes"),
                               .lock = cdc_get_choice(sec, "lock") == 0};
    if (be_replica(srv, cfg->name, cdc_get_int(sec, "server_id"), err) < 0 ||
        read_accept(srv, err) < 0)
        return CDC_FAIL;
    int rc = parse_url(srv, cdc_get_string(sec, "url"), err);
    if (rc == CDC_END)
        rc = url_fail(srv, "begins with neither mysql:// nor mariadb://", err);
    if (rc < 0)
        mys_server_done(srv);
    return rc;
}

int mys_server_of_url(struct mys_server *srv, const char *url, struct cdc_error *err)
{
    *srv = (struct mys_server){.heartbeat_us = 5000000, .max_row = (size_t)256 << 20, .lock = true};
    int rc = be_replica(srv, "init", 0, err);
    if (rc == CDC_OK)
        rc = parse_url(srv, url, err);
    if (rc != CDC_OK)
        mys_server_done(srv);
    return rc;
}

void mys_server_done(struct mys_server *srv)
{
    char **const texts[] = {&srv->host,   &srv->user, &srv->password,
                            &srv->socket, &srv->ca,   &srv->fingerprint};
    mys_sql_close(srv);
    if (srv->password)
        OPENSSL_cleanse(srv->password, strlen(srv->password));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
}
