/*
 * http.c - a registry over HTTP, by Confluent's API.
 *
 * For a schema that the checkpoint does not know:
 *   1. look it up (POST /subjects/S): somebody may have registered it before, and a reply that was
 *      lost means that we did; what is there is used as it is
 *   2. compare: the server by its rules (POST /compatibility/...), we by our guard with its latest
 *   3. register (POST /subjects/S/versions)
 *   4. look it up again: the id and the text that come back must be what was registered
 * Nothing is written to the server before 3, but the subject's level where the configuration names
 * one. An id is believed only if it is a positive int32, its text means what ours does, and no
 * other text of the checkpoint has it: a registry that was emptied, or is another one, gives ids
 * anew, and records of before would then be read by wrong schemas.
 *
 * `force`: the subject's level is NONE for the moment of registering, then as it was. A crash in
 * between leaves NONE; docs/registry.md says so.
 */
#include "registry/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cdc/log.h"
#include "config/settings.h"
#include "registry/client.h"

struct http {
    struct cdc_registry base;
    struct cdc_client *client;
};

/* "/subjects/<subject><rest>"; in a buffer the caller ends. NULL: no memory. */
static const char *path_of(struct cdc_buf *buf, const char *head, const char *subject,
                           const char *rest)
{
    cdc_buf_reset(buf);
    cdc_buf_str(buf, head);
    cdc_client_encode(buf, subject);
    cdc_buf_str(buf, rest);
    return cdc_buf_cstr(buf);
}

/* A call about a subject. */
struct about {
    const char *method, *head, *subject, *rest, *need;
    json_t *body; /* taken */
};

static int call(struct http *http, const struct about *about, struct cdc_answer *ret,
                struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF(65536);
    struct cdc_call what = {
        .method = about->method, .body = about->body, .need = about->need, .path = NULL};
    what.path = path_of(&buf, about->head, about->subject, about->rest);
    int rc = what.path ? cdc_client_call(http->client, &what, ret, err) : cdc_fail_oom(err);
    cdc_buf_done(&buf);
    json_decref(about->body);
    return rc;
}

static json_t *schema_body(struct cdc_slice text)
{
    return json_pack("{s:s%}", "schema", (const char *)text.p, text.len);
}

/* 404, 409 and 422 where they are not expected. */
static int unexpected(const struct http *http, const char *subject, const struct cdc_answer *answer,
                      struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, subject,
                    "the schema registry at %s does not take the schema of subject %s (%ld, code "
                    "%ld%s%s): look at the subject and its mode there",
                    cdc_client_url(http->client), subject, answer->status, answer->code,
                    *answer->words ? ": " : "", answer->words);
}

static int nonsense(const struct http *http, const char *subject, const char *what,
                    struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, subject,
                    "the schema registry at %s %s for subject %s: nothing was written with it. Is "
                    "it the registry of before, whole? If it was emptied, restore it, or begin "
                    "again with a new sink",
                    cdc_client_url(http->client), what, subject);
}

/* A positive int32 out of an answer; 0: none. */
static uint32_t number(const json_t *json, const char *key)
{
    const json_t *val = json_object_get(json, key);
    json_int_t n = json_integer_value(val);
    return json_is_integer(val) && n > 0 && n <= INT32_MAX ? (uint32_t)n : 0;
}

/* Takes what the server says of the schema into the store. */
static int believe(struct http *http, const struct cdc_registry_want *want, const json_t *json,
                   uint32_t registered, struct cdc_error *err)
{
    uint32_t id = number(json, "id"), version = number(json, "version");
    const char *text = json_string_value(json_object_get(json, "schema"));
    if (!id || !version)
        return nonsense(http, want->subject, "gives an id or version that can be none", err);
    if (registered && registered != id)
        return nonsense(http, want->subject, "gives two ids", err);
    if (!text || !cdc_texts_same(cdc_slice_str(text), want->text))
        return nonsense(http, want->subject, "holds another schema under the id that it gives",
                        err);
    const struct cdc_entry *known = cdc_store_by_id(&http->base.store, id);
    if (known && !cdc_texts_same(known->text, want->text))
        return nonsense(http, want->subject, "gives an id that another schema has already", err);
    struct cdc_entry entry = {.subject = (char *)(uintptr_t)want->subject,
                              .text = want->text,
                              .id = id,
                              .version = version};
    return cdc_store_add(&http->base.store, &entry) ? CDC_OK : cdc_fail_oom(err);
}

/* CDC_OK: it is registered, and now in the store. CDC_END: it is not. */
static int look_up(struct http *http, const struct cdc_registry_want *want, uint32_t registered,
                   struct cdc_error *err)
{
    struct about about = {"POST", "/subjects/", want->subject, "", "id", schema_body(want->text)};
    struct cdc_answer answer;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    int rc = CDC_END;
    if (answer.status == 200)
        rc = believe(http, want, answer.json, registered, err);
    else if (answer.status != 404)
        rc = unexpected(http, want->subject, &answer, err);
    json_decref(answer.json);
    return rc;
}

/* The server's latest text of the subject as a JSON string, the caller's; NULL: none. */
static int latest(struct http *http, const char *subject, json_t **ret, struct cdc_error *err)
{
    struct about about = {"GET", "/subjects/", subject, "/versions/latest", "schema", NULL};
    struct cdc_answer answer;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    *ret = answer.status == 200 ? json_incref(json_object_get(answer.json, "schema")) : NULL;
    json_decref(answer.json);
    return CDC_OK;
}

/* The server's verdict beside its latest. CDC_END: incompatible; its own words in `said`. */
static int ask_server(struct http *http, const struct cdc_registry_want *want, char *said,
                      size_t cap, struct cdc_error *err)
{
    struct about about = {"POST",          "/compatibility/subjects/",
                          want->subject,   "/versions/latest?verbose=true",
                          "is_compatible", schema_body(want->text)};
    struct cdc_answer answer;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    int rc = CDC_OK; /* 404: no such subject, so nothing to be compatible with */
    if (answer.status == 409)
        rc = CDC_END;
    else if (answer.status == 200 && !json_is_true(json_object_get(answer.json, "is_compatible")))
        rc = CDC_END;
    else if (answer.status == 422)
        rc = unexpected(http, want->subject, &answer, err);
    const json_t *messages = json_object_get(answer.json, "messages");
    const char *text = json_string_value(json_array_get(messages, 0));
    snprintf(said, cap, "%.200s", text ? text : answer.words);
    for (char *p = said; *p; p++)
        *p = (char)((uint8_t)*p >= ' ' && (uint8_t)*p < 127 ? *p : ' ');
    json_decref(answer.json);
    return rc;
}

/* The guard, and words for what the server refuses. */
static int compare(const struct http *http, const struct cdc_registry_want *want, json_t *before,
                   const char *said, struct cdc_buf *ret_why, struct cdc_error *err)
{
    struct cdc_slice old = cdc_slice_of(json_string_value(before), json_string_length(before));
    enum cdc_compat_level level = said ? CDC_COMPAT_FULL : http->base.level;
    size_t had = ret_why->len;
    int rc = cdc_texts_follow(old, want->text, level, ret_why, err);
    if (rc < 0 || !said)
        return rc;
    if (ret_why->len == had)
        cdc_buf_printf(ret_why, "the registry refuses it%s%s", *said ? ": " : "", said);
    return CDC_END;
}

/* Sets the subject's level. `level` NULL: takes it away. */
static int set_level(struct http *http, const char *subject, const char *level,
                     struct cdc_error *err)
{
    struct about about = {level ? "PUT" : "DELETE",
                          "/config/",
                          subject,
                          "",
                          NULL,
                          level ? json_pack("{s:s}", "compatibility", level) : NULL};
    struct cdc_answer answer;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    int rc = answer.status == 200 || !level ? CDC_OK : unexpected(http, subject, &answer, err);
    json_decref(answer.json);
    return rc;
}

/* The subject's own level into level (32 bytes), "": it has none. */
static int get_level(struct http *http, const char *subject, char *level, struct cdc_error *err)
{
    struct about about = {"GET", "/config/", subject, "", "compatibilityLevel", NULL};
    struct cdc_answer answer;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    const char *text = json_string_value(json_object_get(answer.json, "compatibilityLevel"));
    snprintf(level, 32, "%s", answer.status == 200 && text ? text : "");
    json_decref(answer.json);
    return CDC_OK;
}

/* The level of the configuration, where it names one. */
static int keep_level(struct http *http, const char *subject, struct cdc_error *err)
{
    char level[32];
    const char *wanted = cdc_compat_level_name(http->base.level);
    if (!http->base.level_given)
        return CDC_OK;
    if (get_level(http, subject, level, err) < 0)
        return CDC_FAIL;
    return strcmp(level, wanted) == 0 ? CDC_OK : set_level(http, subject, wanted, err);
}

static int http_check(struct cdc_registry *reg, const struct cdc_registry_want *want,
                      const struct cdc_entry *before, struct cdc_buf *ret_why,
                      struct cdc_error *err)
{
    (void)before; /* the server's own latest is what counts */
    struct http *http = (struct http *)reg;
    char said[256];
    json_t *old = NULL;
    int rc = look_up(http, want, 0, err);
    if (rc != CDC_END)
        return rc;
    if (latest(http, want->subject, &old, err) < 0)
        return CDC_FAIL;
    if (!old)
        return CDC_OK;
    if (want->key) {
        rc = cdc_keys_follow(cdc_slice_of(json_string_value(old), json_string_length(old)),
                             want->text, ret_why, err);
    } else {
        rc = keep_level(http, want->subject, err);
        if (rc == CDC_OK)
            rc = ask_server(http, want, said, sizeof said, err);
        if (rc >= 0)
            rc = compare(http, want, old, rc == CDC_END ? said : NULL, ret_why, err);
    }
    json_decref(old);
    return rc;
}

/* *ret 0: the server says that it is incompatible, and *ret_why why. */
static int post(struct http *http, const struct cdc_registry_want *want, uint32_t *ret,
                struct cdc_buf *ret_why, struct cdc_error *err)
{
    struct about about = {"POST",      "/subjects/", want->subject,
                          "/versions", "id",         schema_body(want->text)};
    struct cdc_answer answer;
    *ret = 0;
    if (call(http, &about, &answer, err) < 0)
        return CDC_FAIL;
    int rc = CDC_OK;
    if (answer.status == 409)
        cdc_buf_printf(ret_why, "the registry refuses it%s%s%s",
                       want->force ? " even at level NONE of the subject" : "",
                       *answer.words ? ": " : "", answer.words);
    else if (answer.status != 200)
        rc = unexpected(http, want->subject, &answer, err);
    else if ((*ret = number(answer.json, "id")) == 0)
        rc = nonsense(http, want->subject, "gives an id that can be none", err);
    json_decref(answer.json);
    return rc;
}

static int post_forced(struct http *http, const struct cdc_registry_want *want, uint32_t *ret,
                       struct cdc_buf *ret_why, struct cdc_error *err)
{
    char level[32];
    if (get_level(http, want->subject, level, err) < 0 ||
        set_level(http, want->subject, "NONE", err) < 0)
        return CDC_FAIL;
    int rc = post(http, want, ret, ret_why, err);
    int back = set_level(http, want->subject, *level ? level : NULL, rc < 0 ? NULL : err);
    if (back < 0)
        cdc_log(CDC_LOG_WARN,
                "registry: the level of subject %s is NONE and could not be set back to %s",
                want->subject, *level ? level : "the registry's own");
    return rc < 0 ? rc : back;
}

static int http_give(struct cdc_registry *reg, const struct cdc_registry_want *want,
                     struct cdc_buf *ret_why, struct cdc_error *err)
{
    struct http *http = (struct http *)reg;
    uint32_t id = 0;
    int rc = want->force ? look_up(http, want, 0, err) : CDC_END;
    if (rc != CDC_END)
        return rc;
    rc = want->force ? post_forced(http, want, &id, ret_why, err)
                     : post(http, want, &id, ret_why, err);
    if (rc < 0)
        return CDC_FAIL;
    if (id == 0)
        return CDC_END;
    rc = look_up(http, want, id, err);
    return rc == CDC_END ? nonsense(http, want->subject, "does not know what it just took", err)
                         : rc;
}

static void http_free(struct cdc_registry *reg)
{
    struct http *http = (struct http *)reg;
    cdc_client_free(http->client);
    free(http);
}

static const struct cdc_registry_ops http_ops = {
    .check = http_check, .give = http_give, .free = http_free, .asks = true};

int cdc_http_registry_new(const struct cdc_section *sec, const atomic_bool *stop,
                          struct cdc_registry **ret, struct cdc_error *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return cdc_fail_oom(err);
    http->base.ops = &http_ops;
    if (cdc_client_new(sec, stop, &http->client, err) < 0) {
        free(http);
        return CDC_FAIL;
    }
    *ret = &http->base;
    return CDC_OK;
}

int cdc_registry_ping(const struct cdc_section *sec, struct cdc_buf *ret, struct cdc_error *err)
{
    struct cdc_client *client = NULL;
    struct cdc_answer answer = {.status = 0};
    const struct cdc_call what = {.method = "GET", .path = "/subjects"};
    if (cdc_get_choice(sec, "type") == CDC_REGISTRY_EMBEDDED) {
        cdc_buf_str(ret, "embedded: schemas lie in the sink, with the data");
        return CDC_OK;
    }
    if (cdc_client_new(sec, NULL, &client, err) < 0)
        return CDC_FAIL;
    int rc = cdc_client_call(client, &what, &answer, err);
    if (rc == CDC_OK)
        cdc_buf_printf(ret, "%s answers, with %zu subjects", cdc_client_url(client),
                       json_array_size(answer.json));
    json_decref(answer.json);
    cdc_client_free(client);
    return rc;
}
