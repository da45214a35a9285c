/*
 * route.c - the parts of http.h that only look at texts: which route, path segments, the token,
 * replies in JSON.
 */
#include "http/http.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cdc/json.h"

static bool fits(const char *prefix, const char *path)
{
    size_t len = strlen(prefix);
    if (strcmp(prefix, "/") == 0)
        return strcmp(path, "/") == 0;
    return strncmp(prefix, path, len) == 0 && (path[len] == 0 || path[len] == '/');
}

const struct cdc_http_route *cdc_http_route_of(const struct cdc_http_route *routes,
                                               const char *path)
{
    const struct cdc_http_route *best = NULL;
    for (const struct cdc_http_route *route = routes; route->prefix; route++)
        if (fits(route->prefix, path) && (!best || strlen(route->prefix) > strlen(best->prefix)))
            best = route;
    return best;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(const char *from, size_t len, struct cdc_buf *ret)
{
    cdc_buf_reset(ret);
    for (size_t i = 0; i < len; i++) {
        int high = 0, low = (unsigned char)from[i];
        if (from[i] == '%') {
            if (len - i < 3 || (high = digit(from[i + 1])) < 0 || (low = digit(from[i + 2])) < 0)
                return CDC_FAIL;
            i += 2;
        }
        if (high * 16 + low == 0)
            return CDC_FAIL;
        cdc_buf_byte(ret, (uint8_t)(high * 16 + low));
    }
    return cdc_buf_cstr(ret) ? CDC_OK : CDC_FAIL;
}

int cdc_http_segment(const char *path, size_t i, struct cdc_buf *ret)
{
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0)
            return CDC_END;
        if (i-- == 0)
            return decode(path, len, ret);
        path += len;
    }
}

/* Compared by their hashes, so that neither content nor length shows in the time it takes. */
static bool same_secret(const char *a, size_t len, const char *b)
{
    uint8_t hash_a[SHA256_DIGEST_LENGTH], hash_b[SHA256_DIGEST_LENGTH];
    return EVP_Digest(a, len, hash_a, NULL, EVP_sha256(), NULL) == 1 &&
           EVP_Digest(b, strlen(b), hash_b, NULL, EVP_sha256(), NULL) == 1 &&
           CRYPTO_memcmp(hash_a, hash_b, sizeof hash_a) == 0;
}

#define BASIC_MAX 1024

/* "user:token", in base64. */
static bool basic_is(const char *given, const char *token)
{
    unsigned char plain[BASIC_MAX];
    size_t len = strlen(given);
    if (len == 0 || len % 4 != 0 || len > BASIC_MAX)
        return false;
    int n = EVP_DecodeBlock(plain, (const unsigned char *)given, (int)len);
    for (size_t i = len; n > 0 && i > len - 2 && given[i - 1] == '='; i--)
        n--; /* it counts what the padding stands for */
    const unsigned char *colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
    return colon && same_secret((const char *)colon + 1, (size_t)(plain + n - colon - 1), token);
}

bool cdc_http_token_is(const char *given, const char *token)
{
    if (!given)
        return false;
    if (strncasecmp(given, "Bearer ", 7) == 0)
        return same_secret(given + 7, strlen(given + 7), token);
    return strncasecmp(given, "Basic ", 6) == 0 && basic_is(given + 6, token);
}

int cdc_http_json(struct cdc_http_reply *ret, int status, const char *json)
{
    ret->status = status;
    ret->type = "application/json";
    cdc_buf_reset(&ret->body);
    cdc_buf_str(&ret->body, json);
    cdc_buf_byte(&ret->body, '\n');
    return ret->body.failed ? CDC_FAIL : CDC_OK;
}

int cdc_http_error(struct cdc_http_reply *ret, int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct cdc_buf json = CDC_BUF(sizeof text * 6 + 32);
    cdc_buf_str(&json, "{\"error\":");
    cdc_json_string(&json, cdc_slice_str(text));
    cdc_buf_str(&json, "}");
    const char *body = cdc_buf_cstr(&json);
    int rc = body ? cdc_http_json(ret, status, body) : CDC_FAIL;
    cdc_buf_done(&json);
    return rc;
}
