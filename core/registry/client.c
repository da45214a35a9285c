/* client.c - see registry/client.h. */
#include "registry/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cdc/clock.h"

#define TRIES         3
#define ANSWER_MAX    ((size_t)16 << 20)
#define STOP_GRACE_US 2000000
#define SLICE_US      50000

struct cdc_client {
    const struct cdc_section *sec;
    const atomic_bool *stop;
    CURL *curl;
    struct curl_slist *headers;
    const char *const *urls;
    size_t n_urls, at; /* at: the one that answered last */
    struct cdc_buf body;
    char trouble[CURL_ERROR_SIZE + 256];
    int64_t began_us; /* of the call */
};

const char *cdc_client_url(const struct cdc_client *client)
{
    return client->urls[client->at];
}

void cdc_client_encode(struct cdc_buf *buf, const char *text)
{
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-_.~", *p);
        if (plain)
            cdc_buf_byte(buf, *p);
        else
            cdc_buf_printf(buf, "%%%02X", *p);
    }
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct cdc_client *client = arg;
    cdc_buf_put(&client->body, p, size * n);
    return client->body.failed ? 0 : size * n;
}

static bool stopped(const struct cdc_client *client)
{
    return client->stop && atomic_load(client->stop);
}

/* Not 0: the request ends. */
static int watch(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct cdc_client *client = arg;
    (void)a, (void)b, (void)c, (void)d;
    return stopped(client) && cdc_mono_us() - client->began_us > STOP_GRACE_US;
}

static int add_header(struct cdc_client *client, const char *text)
{
    struct curl_slist *more = curl_slist_append(client->headers, text);
    client->headers = more ? more : client->headers;
    return more ? CDC_OK : CDC_FAIL;
}

/* false: libcurl does not take it. */
static bool set_text(struct cdc_client *client, CURLoption option, const char *text)
{
    return !text || curl_easy_setopt(client->curl, option, text) == CURLE_OK;
}

static int set_login(struct cdc_client *client, struct cdc_error *err)
{
    const char *token = cdc_get_string(client->sec, "token");
    bool ok = set_text(client, CURLOPT_USERNAME, cdc_get_string(client->sec, "username")) &&
              set_text(client, CURLOPT_PASSWORD, cdc_get_string(client->sec, "password"));
    if (ok && token) {
        struct cdc_buf header = CDC_BUF(1 << 20);
        cdc_buf_printf(&header, "Authorization: Bearer %s", token);
        const char *text = cdc_buf_cstr(&header);
        if (strpbrk(token, "\r\n"))
            text = NULL;
        ok = text && add_header(client, text) == CDC_OK;
        cdc_buf_done(&header);
    }
    return ok ? CDC_OK
              : cdc_fail(err, CDC_CONFIG, cdc_option_where(client->sec, "token"),
                         "registry: its user, password or token cannot be sent: is there a line "
                         "break in it?");
}

static int set_tls(struct cdc_client *client, struct cdc_error *err)
{
    const struct cdc_section *tls = cdc_get_section(client->sec, "tls");
    long verify = cdc_get_bool(tls, "verify");
    bool ok = set_text(client, CURLOPT_CAINFO, cdc_get_string(tls, "ca")) &&
              set_text(client, CURLOPT_SSLCERT, cdc_get_string(tls, "cert")) &&
              set_text(client, CURLOPT_SSLKEY, cdc_get_string(tls, "key"));
    curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYPEER, verify);
    curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    return ok ? CDC_OK
              : cdc_fail(err, CDC_CONFIG, cdc_option_where(client->sec, "tls"),
                         "registry.tls: the TLS library here does not take ca, cert or key");
}

static int set_up(struct cdc_client *client, struct cdc_error *err)
{
    CURL *curl = client->curl;
    long timeout = (long)(cdc_get_int(client->sec, "timeout") / 1000);
    long connect = (long)(cdc_get_int(client->sec, "connect_timeout") / 1000);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->trouble);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sidestream/" CDC_VERSION);
    if (set_login(client, err) < 0 || set_tls(client, err) < 0)
        return CDC_FAIL;
    if (add_header(client, "Content-Type: application/vnd.schemaregistry.v1+json") < 0 ||
        add_header(client, "Accept: application/vnd.schemaregistry.v1+json, application/json") <
            0 ||
        add_header(client, "Expect:") < 0)
        return cdc_fail_oom(err);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    return CDC_OK;
}

int cdc_client_new(const struct cdc_section *sec, const atomic_bool *stop, struct cdc_client **ret,
                   struct cdc_error *err)
{
    struct cdc_client *client = calloc(1, sizeof *client);
    if (!client)
        return cdc_fail_oom(err);
    client->sec = sec;
    client->stop = stop;
    client->n_urls = cdc_get_list(sec, "url", &client->urls);
    cdc_buf_init(&client->body, ANSWER_MAX);
    client->curl = curl_easy_init();
    int rc = client->curl && client->n_urls ? set_up(client, err) : cdc_fail_oom(err);
    if (rc < 0) {
        cdc_client_free(client);
        return CDC_FAIL;
    }
    *ret = client;
    return CDC_OK;
}

void cdc_client_free(struct cdc_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    cdc_buf_done(&client->body);
    free(client);
}

/* Cuts a secret that an answer holds out of it. */
static void hide(char *text, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;
    for (char *at = text; n > 0 && (at = strstr(at, secret)) != NULL; at += n)
        memset(at, '*', n);
}

/* The registry's own words, on one line; whole first, so that no secret is cut in two. */
static void show(const struct cdc_client *client, const char *message, char *to, size_t cap)
{
    char *text = strdup(message ? message : "");
    *to = 0;
    if (!text)
        return;
    hide(text, cdc_get_string(client->sec, "password"));
    hide(text, cdc_get_string(client->sec, "token"));
    size_t n = 0;
    for (const char *p = text; *p && n + 1 < cap; p++)
        to[n++] = (char)((uint8_t)*p >= ' ' && (uint8_t)*p < 127 ? *p : ' ');
    to[n] = 0;
    free(text);
}

enum verdict { GOOD, REFUSED, AGAIN };

static enum verdict judge(long status, const struct cdc_call *call, const struct cdc_answer *answer)
{
    if (status >= 200 && status < 300) {
        bool good = answer->json && (!call->need || json_object_get(answer->json, call->need));
        return good ? GOOD : AGAIN;
    }
    if (status == 404) /* a page of somebody else's says nothing about subjects */
        return answer->code / 100 == 404 || answer->code == 404 ? GOOD : AGAIN;
    if (status == 409 || status == 422)
        return GOOD;
    return status == 408 || status == 429 || status >= 500 ? AGAIN : REFUSED;
}

static int refuse(const struct cdc_client *client, const struct cdc_answer *answer,
                  struct cdc_error *err)
{
    const char *url = cdc_client_url(client);
    const char *colon = *answer->words ? ": " : "";
    if (answer->status == 401 || answer->status == 403)
        return cdc_fail(err, CDC_OPERATOR, "registry",
                        "the schema registry at %s does not let us in (%ld%s%s): correct "
                        "registry.username and registry.password, or registry.token, and what that "
                        "user may do",
                        url, answer->status, colon, answer->words);
    return cdc_fail(err, CDC_OPERATOR, "registry",
                    "the schema registry at %s refuses the request (%ld%s%s): is registry.url the "
                    "address of its Confluent API, to the end of the path?",
                    url, answer->status, colon, answer->words);
}

/* One request to one address; what failed stands in `trouble`. */
static enum verdict ask(struct cdc_client *client, const struct cdc_call *call, const char *body,
                        struct cdc_answer *ret)
{
    struct cdc_buf url = CDC_BUF(65536);
    CURL *curl = client->curl;
    const char *base = cdc_client_url(client);
    size_t n = strlen(base);
    cdc_buf_put(&url, base, n && base[n - 1] == '/' ? n - 1 : n);
    cdc_buf_str(&url, call->path);
    const char *text = cdc_buf_cstr(&url);
    cdc_buf_reset(&client->body);
    client->trouble[0] = 0;
    curl_easy_setopt(curl, CURLOPT_URL, text);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, body ? (long)strlen(body) : 0L);
    if (!body)
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    CURLcode code = text ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;
    cdc_buf_done(&url);
    if (code != CURLE_OK) {
        if (!client->trouble[0])
            snprintf(client->trouble, sizeof client->trouble, "%s", curl_easy_strerror(code));
        return AGAIN;
    }
    *ret = (struct cdc_answer){.status = 0};
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    ret->json = json_loadb((const char *)client->body.p, client->body.len, JSON_DECODE_ANY, NULL);
    ret->code = (long)json_integer_value(json_object_get(ret->json, "error_code"));
    show(client, json_string_value(json_object_get(ret->json, "message")), ret->words,
         sizeof ret->words);
    enum verdict verdict = judge(ret->status, call, ret);
    if (verdict == AGAIN)
        snprintf(client->trouble, sizeof client->trouble, "%ld %s%s", ret->status,
                 ret->status < 300    ? "with what is no answer of a schema registry"
                 : ret->status == 404 ? "from something that is no schema registry: is the path of "
                                        "registry.url right?"
                                      : "",
                 *ret->words ? ret->words : "");
    return verdict;
}

/* All addresses, from the last good one. */
static enum verdict ask_all(struct cdc_client *client, const struct cdc_call *call,
                            const char *body, struct cdc_answer *ret)
{
    enum verdict verdict = AGAIN;
    for (size_t i = 0; i < client->n_urls && verdict == AGAIN; i++) {
        if (i > 0)
            client->at = (client->at + 1) % client->n_urls;
        verdict = ask(client, call, body, ret);
        if (verdict == AGAIN) {
            json_decref(ret->json);
            ret->json = NULL;
        }
        if (verdict == AGAIN && stopped(client))
            break;
    }
    return verdict;
}

/* false: asked to stop meanwhile. */
static bool pause_for(const struct cdc_client *client, int64_t us)
{
    const struct timespec slice = {.tv_nsec = SLICE_US * 1000};
    for (int64_t until = cdc_mono_us() + us; cdc_mono_us() < until && !stopped(client);)
        nanosleep(&slice, NULL);
    return !stopped(client);
}

int cdc_client_call(struct cdc_client *client, const struct cdc_call *call, struct cdc_answer *ret,
                    struct cdc_error *err)
{
    struct cdc_answer answer = {.status = 0};
    char *body = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL;
    if (call->body && !body)
        return cdc_fail_oom(err);
    client->began_us = cdc_mono_us();
    enum verdict verdict = ask_all(client, call, body, &answer);
    for (int tried = 1; verdict == AGAIN && tried < TRIES; tried++) {
        if (!pause_for(client, 200000 << tried))
            break;
        verdict = ask_all(client, call, body, &answer);
    }
    free(body);
    if (verdict == AGAIN)
        return cdc_fail(err, CDC_RETRY, "registry",
                        "the schema registry at %s%s does not answer as it should: %s",
                        cdc_client_url(client), client->n_urls > 1 ? " (and the others)" : "",
                        client->trouble);
    if (verdict == REFUSED) {
        json_decref(answer.json);
        return refuse(client, &answer, err);
    }
    answer.status = answer.status < 300 ? 200 : answer.status;
    *ret = answer;
    return CDC_OK;
}
