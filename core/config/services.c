/*
 * services.c - see config/services.h.
 *
 * A listener that only this machine can reach needs no token; which one that is, is told by the
 * address alone (127.0.0.0/8, ::1, localhost), for a name may mean another machine tomorrow. An
 * empty token or user name is what a variable left empty makes of `${env:...}`: an error, or a
 * door would stand open that was meant to be shut.
 */
#include "config/services.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"

static const struct cdc_option registry_tls_options[] = {
    {.name = "ca",
     .type = CDC_OPT_STRING,
     .doc = "PEM file of the authorities that are trusted. Default: the system's."},
    {.name = "cert",
     .type = CDC_OPT_STRING,
     .doc = "PEM file of our own certificate, where the registry wants one; with `key`."},
    {.name = "key", .type = CDC_OPT_STRING, .doc = "PEM file of its private key."},
    {.name = "verify",
     .type = CDC_OPT_BOOL,
     .dflt = "true",
     .doc = "Check the registry's certificate and name. `false` trusts whoever answers."},
    {0},
};

#define SECOND INT64_C(1000000)

const struct cdc_option cdc_registry_table[] = {
    {.name = "type",
     .type = CDC_OPT_CHOICE,
     .choices = "embedded|http",
     .dflt = "embedded",
     .doc = "Where schemas get their ids: `embedded` keeps them in the checkpoint, with the data; "
            "`http` registers them at a registry that speaks Confluent's API."},
    {.name = "id_base",
     .type = CDC_OPT_INT,
     .dflt = "0",
     .min = 0,
     .max = 2000000000,
     .doc = "Embedded: schema ids begin at this number plus one, so that several pipelines need "
            "not share any."},
    {.name = "url",
     .type = CDC_OPT_LIST,
     .doc = "The registry's addresses, http://host:8081 or https://..., without user and password. "
            "The first is asked; where it cannot be reached, or answers 5xx, the next."},
    {.name = "username", .type = CDC_OPT_STRING, .doc = "User for basic authentication."},
    {.name = "password",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_SECRET,
     .doc = "Password for basic authentication."},
    {.name = "token",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_SECRET,
     .doc = "Bearer token, in place of user and password."},
    {.name = "tls",
     .type = CDC_OPT_SECTION,
     .section = registry_tls_options,
     .doc = "How an https registry is trusted, and how it knows us."},
    {.name = "timeout",
     .type = CDC_OPT_DURATION,
     .dflt = "15s",
     .min = SECOND / 10,
     .max = 600 * SECOND,
     .doc = "The longest that one request may take."},
    {.name = "connect_timeout",
     .type = CDC_OPT_DURATION,
     .dflt = "2s",
     .min = SECOND / 10,
     .max = 600 * SECOND,
     .doc = "The longest that connecting to one address may take."},
    {.name = "subject",
     .type = CDC_OPT_CHOICE,
     .choices = "topic|record|topic_record",
     .dflt = "topic",
     .doc = "Name under which a schema is registered, as Confluent's strategies have it: "
            "`<topic>-value`, the record's full name, or both joined by a dash."},
    {.name = "compatibility",
     .type = CDC_OPT_CHOICE,
     .choices = "none|backward|backward_transitive|forward|forward_transitive|full|full_transitive",
     .doc =
         "What a table's new schema must be, beside those registered before. Default: `backward` "
         "for the embedded registry, for http what the registry is set to."},
    {.name = "on_incompatible",
     .type = CDC_OPT_CHOICE,
     .choices = "hold|pause|new_topic|force",
     .dflt = "hold",
     .doc = "A table whose new schema is not compatible: `hold` stops the pipeline (exit 3) until "
            "somebody has decided; `pause` goes on without the table, which has a gap until a new "
            "snapshot mends it; `new_topic` goes on with the table in a new topic; `force` "
            "registers the schema all the same, whatever readers make of it."},
    {0},
};

static const struct cdc_option http_tls_options[] = {
    {.name = "cert", .type = CDC_OPT_STRING, .doc = "PEM file of the certificate, with its chain."},
    {.name = "key", .type = CDC_OPT_STRING, .doc = "PEM file of its private key."},
    {0},
};

const struct cdc_option cdc_http_table[] = {
    {.name = "listen",
     .type = CDC_OPT_STRING,
     .dflt = "127.0.0.1:8480",
     .doc = "Address and port: 127.0.0.1:8480, [::1]:8480, 0.0.0.0:8480; port 0 is any free one. "
            "One that other machines can reach needs a `token`."},
    {.name = "token",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_SECRET,
     .doc = "Whoever asks must send it: `Authorization: Bearer ...`."},
    {.name = "tls",
     .type = CDC_OPT_SECTION,
     .section = http_tls_options,
     .doc = "Answer over https; both files are needed."},
    {0},
};

/* A section that is looked at. */
struct service {
    const struct cdc_doc *doc;
    const struct cdc_section *sec;
    const char *label;
    int line; /* where the section stands */
    struct cdc_error *err;
};

/* At the option's line if it is given, else at the section's. */
static int refuse(const struct service *sv, const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(const struct service *sv, const char *option, const char *fmt, ...)
{
    char text[512];
    const struct cdc_entry *entry = cdc_section_entry(sv->sec, option);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cdc_doc_fail(sv->doc, entry ? entry->line : sv->line, sv->err, "%s.%s: %s", sv->label,
                        option, text);
}

static struct service service_of(const struct cdc_doc *doc, const struct cdc_section *top,
                                 const char *name, struct cdc_error *err)
{
    const struct cdc_entry *entry = cdc_section_entry(top, name);
    return (struct service){.doc = doc,
                            .sec = cdc_get_section(top, name),
                            .label = name,
                            .line = entry ? entry->line : 1,
                            .err = err};
}

/* Each of two options needs the other. */
static int check_pair(const struct service *sv, const char *a, const char *b)
{
    bool has_a = cdc_given(sv->sec, a), has_b = cdc_given(sv->sec, b);
    if (has_a == has_b)
        return CDC_OK;
    return refuse(sv, has_a ? a : b, "it is nothing without `%s`: write that too, or leave it out",
                  has_a ? b : a);
}

static int check_tls(const struct service *sv, const char *label)
{
    const struct cdc_entry *entry = cdc_section_entry(sv->sec, "tls");
    struct service tls = *sv;
    tls.sec = cdc_get_section(sv->sec, "tls");
    tls.label = label;
    tls.line = entry ? entry->line : sv->line;
    return check_pair(&tls, "cert", "key");
}

static int check_not_empty(const struct service *sv, const char *option)
{
    const char *text = cdc_get_string(sv->sec, option);
    if (!text || *text)
        return CDC_OK;
    return refuse(sv, option, "it is empty: write a value (is its variable set?), or leave it out");
}

/* Options that have no meaning with this `type`. */
static int check_idle(const struct service *sv, const char *const *options, const char *why)
{
    for (; *options; options++)
        if (cdc_given(sv->sec, *options))
            return refuse(sv, *options, "%s", why);
    return CDC_OK;
}

static const char *url_trouble(const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;
    if (!host)
        return "does not begin with http:// or https://";
    size_t len = strcspn(host, "/?#");
    if (memchr(host, '@', len))
        return "has a user or password in it: write them as `username` and `password`";
    if (len == 0 || *host == ':')
        return "names no host";
    return strpbrk(url, "?# \t\n") ? "has more than a host, a port and a path" : NULL;
}

static int check_urls(const struct service *sv)
{
    const struct cdc_entry *entry = cdc_section_entry(sv->sec, "url");
    if (!entry || !entry->value->n)
        return refuse(sv, "url",
                      "with `type: http` the registry's address is wanted: url: "
                      "[http://127.0.0.1:8081]");
    for (size_t i = 0; i < entry->value->n; i++) {
        const struct cdc_node *url = entry->value->entries[i].value;
        const char *why = url_trouble(url->text);
        if (!why)
            continue;
        /* what was taken for a URL may be a password, or hold one */
        const char *shown = strchr(url->text, '@') ? "***" : cdc_node_shown(url);
        return cdc_doc_fail(sv->doc, url->line, sv->err, "registry.url: \"%s\" %s", shown, why);
    }
    return CDC_OK;
}

static int check_login(const struct service *sv)
{
    if (check_not_empty(sv, "token") != CDC_OK || check_not_empty(sv, "username") != CDC_OK)
        return CDC_FAIL;
    if (cdc_given(sv->sec, "token") && cdc_given(sv->sec, "username"))
        return refuse(sv, "token",
                      "a token is sent in place of user and password: leave out one of the two");
    return check_pair(sv, "username", "password");
}

static int check_registry(const struct cdc_doc *doc, const struct cdc_section *top,
                          struct cdc_error *err)
{
    static const char *const of_http[] = {"url", "username", "password",        "token",
                                          "tls", "timeout",  "connect_timeout", NULL};
    static const char *const of_embedded[] = {"id_base", NULL};
    struct service sv = service_of(doc, top, "registry", err);
    if (cdc_get_choice(sv.sec, "type") == CDC_REGISTRY_EMBEDDED)
        return check_idle(&sv, of_http,
                          "the embedded registry asks nobody: write `type: http`, or leave it out");
    if (check_idle(&sv, of_embedded,
                   "with `type: http` the registry gives the ids: leave it out") != CDC_OK)
        return CDC_FAIL;
    if (check_urls(&sv) != CDC_OK || check_login(&sv) != CDC_OK)
        return CDC_FAIL;
    return check_tls(&sv, "registry.tls");
}

/* Splits address:port and [address]:port; the host into `host`. false: neither. */
static bool split_listen(const char *listen, char *host, size_t cap)
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t)(colon - listen) : 0;
    bool bracket = *listen == '[';
    if (bracket && (len < 3 || listen[len - 1] != ']'))
        return false;
    listen += bracket;
    len -= bracket ? 2 : 0;
    if (len == 0 || len >= cap || (!bracket && memchr(listen, ':', len)))
        return false;
    memcpy(host, listen, len);
    host[len] = 0;
    size_t digits = strspn(colon + 1, "0123456789");
    return digits >= 1 && digits <= 5 && !colon[1 + digits] && strtoul(colon + 1, NULL, 10) < 65536;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}

static int check_http(const struct cdc_doc *doc, const struct cdc_section *top,
                      struct cdc_error *err)
{
    struct service sv = service_of(doc, top, "http", err);
    const char *listen = cdc_get_string(sv.sec, "listen");
    const struct cdc_entry *entry = cdc_section_entry(sv.sec, "listen");
    const char *shown = entry ? cdc_node_shown(entry->value) : listen;
    char host[256];
    if (!split_listen(listen, host, sizeof host))
        return refuse(&sv, "listen",
                      "\"%s\" is no address and port, like 127.0.0.1:8480 or [::1]:8480", shown);
    if (check_not_empty(&sv, "token") != CDC_OK)
        return CDC_FAIL;
    if (!is_loopback(host) && !cdc_given(sv.sec, "token"))
        return refuse(&sv, "listen",
                      "%s can be reached from other machines, and whoever reaches it can read the "
                      "schemas and pause tables: set `http.token`, or listen on 127.0.0.1",
                      shown);
    return check_tls(&sv, "http.tls");
}

int cdc_services_check(const struct cdc_doc *doc, const struct cdc_section *top,
                       struct cdc_error *err)
{
    int rc = check_registry(doc, top, err);
    return rc == CDC_OK ? check_http(doc, top, err) : rc;
}
