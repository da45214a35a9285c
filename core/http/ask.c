/*
 * ask.c - see ask.h.
 */
#include "http/ask.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 5000L

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct cdc_buf *buf = arg;
    cdc_buf_put(buf, data, size * n);
    return buf->failed ? 0 : n; /* size is 1 */
}

static int make_url(const struct cdc_http_options *opt, const char *path, struct cdc_buf *ret,
                    struct cdc_error *err)
{
    const char *colon = strrchr(opt->listen, ':');
    size_t len = colon ? (size_t)(colon - opt->listen) : 0;
    if (!colon || strtol(colon + 1, NULL, 10) == 0)
        return cdc_fail(err, CDC_CONFIG, "http.listen",
                        "%s has no fixed port: a running instance says which one it took in its "
                        "log; write a port to be able to ask it",
                        opt->listen);
    struct cdc_slice host = cdc_slice_of(opt->listen, len);
    if (cdc_slice_eq(host, cdc_slice_str("0.0.0.0")))
        host = cdc_slice_str("127.0.0.1");
    else if (cdc_slice_eq(host, cdc_slice_str("[::]")))
        host = cdc_slice_str("[::1]");
    cdc_buf_printf(ret, "%s://%.*s%s%s", opt->cert ? "https" : "http", (int)host.len,
                   (const char *)host.p, colon, path);
    return cdc_buf_cstr(ret) ? CDC_OK : cdc_fail_oom(err);
}

/* The certificate we serve is the one we trust; its name may be any. */
static bool trust(CURL *curl, const struct cdc_http_options *opt)
{
    if (!opt->cert)
        return true;
    return curl_easy_setopt(curl, CURLOPT_CAINFO, opt->cert) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
}

static bool set_up(CURL *curl, const char *url, struct cdc_buf *ret)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret) == CURLE_OK;
}

/* Appends a header; false: no memory, and the list is gone. */
static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    struct cdc_buf line = CDC_BUF(65536);
    cdc_buf_printf(&line, "%s: %s", name, value);
    const char *text = cdc_buf_cstr(&line);
    struct curl_slist *more = text ? curl_slist_append(*list, text) : NULL;
    cdc_buf_done(&line);
    if (!more)
        curl_slist_free_all(*list);
    *list = more;
    return more != NULL;
}

/* The token, and what goes with a body. *ret is the caller's until the request is over. */
static bool set_headers(CURL *curl, const struct cdc_http_options *opt, const char *body,
                        struct curl_slist **ret)
{
    if (opt->token) {
        char bearer[4096];
        int n = snprintf(bearer, sizeof bearer, "Bearer %s", opt->token);
        if (n < 0 || (size_t)n >= sizeof bearer || !add_header(ret, "Authorization", bearer))
            return false;
    }
    if (body && (!add_header(ret, "Content-Type", "application/json") ||
                 curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) != CURLE_OK))
        return false;
    return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *ret) == CURLE_OK;
}

static int perform(CURL *curl, const struct cdc_http_options *opt, long *ret_status,
                   struct cdc_error *err)
{
    CURLcode rc = curl_easy_perform(curl);
    if (rc == CURLE_COULDNT_CONNECT)
        return cdc_fail(err, CDC_FATAL, "http.listen",
                        "nobody listens on %s: this pipeline does not run, or runs with another "
                        "configuration",
                        opt->listen);
    if (rc != CURLE_OK)
        return cdc_fail(err, CDC_FATAL, "http.listen", "%s does not answer as it should: %s",
                        opt->listen, curl_easy_strerror(rc));
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status) == CURLE_OK
               ? CDC_OK
               : cdc_fail_oom(err);
}

int cdc_http_ask(const struct cdc_http_options *opt, const char *path, const char *body,
                 struct cdc_http_answer *ret, struct cdc_error *err)
{
    struct cdc_buf url = CDC_BUF(4096);
    struct curl_slist *headers = NULL;
    *ret = (struct cdc_http_answer){.body = CDC_BUF(CDC_HTTP_REPLY_MAX)};
    int rc = make_url(opt, path, &url, err);
    CURL *curl = rc == CDC_OK ? curl_easy_init() : NULL;
    if (rc == CDC_OK && (!curl || !set_up(curl, cdc_buf_cstr(&url), &ret->body) ||
                         !trust(curl, opt) || !set_headers(curl, opt, body, &headers)))
        rc = cdc_fail(err, CDC_FATAL, "http", "libcurl does not take a setting, or has no memory");
    if (rc == CDC_OK)
        rc = perform(curl, opt, &ret->status, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    cdc_buf_done(&url);
    return rc;
}
