/*
 * serve.c - see registry/serve.h. Paths, bodies and error codes as Confluent's API has them.
 *
 * Unknown query parameters are ignored, empty members left out, `schema` is a string, and there is
 * no `schemaType`: clients take Avro then. /associations is asked first by current clients and must
 * be a clean 404.
 */
#include "registry/serve.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "registry/internal.h"

const char *const cdc_shelf_prefixes[] = {
    "/subjects", "/schemas",      "/config", "/mode", "/compatibility",
    "/contexts", "/associations", "/v1",     NULL};

#define TYPE "application/vnd.schemaregistry.v1+json"

struct cdc_shelf {
    pthread_mutex_t lock;
    struct cdc_store store;
    char level[32];
};

struct cdc_shelf *cdc_shelf_new(const char *level)
{
    struct cdc_shelf *shelf = calloc(1, sizeof *shelf);
    if (!shelf)
        return NULL;
    pthread_mutex_init(&shelf->lock, NULL);
    snprintf(shelf->level, sizeof shelf->level, "%s", level);
    return shelf;
}

void cdc_shelf_free(struct cdc_shelf *shelf)
{
    if (!shelf)
        return;
    cdc_store_done(&shelf->store);
    pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}

/* Is it there with this version? Then nothing of it can have changed. */
static bool has(const struct cdc_store *store, const struct cdc_entry *entry)
{
    for (size_t i = 0; i < store->n; i++)
        if (store->items[i].id == entry->id && store->items[i].version == entry->version &&
            strcmp(store->items[i].subject, entry->subject) == 0)
            return true;
    return false;
}

int cdc_shelf_put(struct cdc_shelf *shelf, const struct cdc_map *map)
{
    struct cdc_store fresh = {0};
    if (!shelf)
        return CDC_OK;
    int rc = cdc_store_load(&fresh, map, NULL);
    pthread_mutex_lock(&shelf->lock);
    for (size_t i = 0; rc == CDC_OK && i < fresh.n; i++)
        if (!has(&shelf->store, &fresh.items[i]) && !cdc_store_add(&shelf->store, &fresh.items[i]))
            rc = CDC_FAIL;
    pthread_mutex_unlock(&shelf->lock);
    cdc_store_done(&fresh);
    return rc;
}

/* ---- answers ---- */

/* Takes json. */
static int answer(struct cdc_http_reply *ret, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    int rc = text ? cdc_http_json(ret, status, text) : CDC_FAIL;
    ret->type = TYPE;
    free(text);
    json_decref(json);
    return rc;
}

static int refuse(struct cdc_http_reply *ret, int status, int code, const char *message)
{
    return answer(ret, status, json_pack("{s:i, s:s}", "error_code", code, "message", message));
}

static int text_answer(struct cdc_http_reply *ret, struct cdc_slice text)
{
    cdc_buf_put(&ret->body, text.p, text.len);
    ret->status = 200;
    ret->type = TYPE;
    return ret->body.failed ? CDC_FAIL : CDC_OK;
}

static json_t *described(const struct cdc_entry *e)
{
    return json_pack("{s:s, s:i, s:i, s:s%}", "subject", e->subject, "version", (int)e->version,
                     "id", (int)e->id, "schema", (const char *)e->text.p, e->text.len);
}

/* ---- one request ---- */

#define SEGMENTS 6

struct asked {
    struct cdc_shelf *shelf;
    const struct cdc_http_request *req;
    struct cdc_http_reply *ret;
    struct cdc_buf segments[SEGMENTS];
    const char *at[SEGMENTS]; /* "" beyond the path's end */
    size_t n;
};

static bool is(const struct asked *a, size_t i, const char *text)
{
    return strcmp(a->at[i], text) == 0;
}

static bool flag(const struct asked *a, const char *name)
{
    const char *value = a->req->query(a->req, name);
    return value && strcmp(value, "true") == 0;
}

/* A whole number from 1; 0: none. */
static uint32_t number(const char *text)
{
    size_t n = strspn(text, "0123456789");
    unsigned long value = n > 0 && n <= 10 && !text[n] ? strtoul(text, NULL, 10) : 0;
    return value <= INT32_MAX ? (uint32_t)value : 0;
}

static bool known_subject(const struct asked *a, const char *subject)
{
    return cdc_store_latest(&a->shelf->store, subject, 0) != NULL;
}

static int no_subject(const struct asked *a)
{
    return refuse(a->ret, 404, 40401, "Subject not found.");
}

static int read_only(const struct asked *a)
{
    return refuse(a->ret, 422, 42205,
                  "Operation not permitted: this registry is read-only, its schemas come from the "
                  "pipeline alone.");
}

static int no_path(const struct asked *a)
{
    return refuse(a->ret, 404, 404, "HTTP 404 Not Found");
}

/* ---- /schemas ---- */

/* Every subject and version of an id: [{"subject","version"}], or the subjects alone. */
static json_t *uses_of(const struct asked *a, uint32_t id, bool versions)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->shelf->store.n; i++) {
        const struct cdc_entry *e = &a->shelf->store.items[i];
        if (e->id == id)
            json_array_append_new(list, versions ? json_pack("{s:s, s:i}", "subject", e->subject,
                                                             "version", (int)e->version)
                                                 : json_string(e->subject));
    }
    return list;
}

static int schema_of_id(const struct asked *a)
{
    uint32_t id = number(a->at[2]);
    const struct cdc_entry *e = id ? cdc_store_by_id(&a->shelf->store, id) : NULL;
    if (!e)
        return refuse(a->ret, 404, 40403, "Schema not found");
    if (is(a, 3, ""))
        return answer(a->ret, 200,
                      json_pack("{s:s%}", "schema", (const char *)e->text.p, e->text.len));
    if (is(a, 3, "schema"))
        return text_answer(a->ret, e->text);
    if (is(a, 3, "subjects") || is(a, 3, "versions"))
        return answer(a->ret, 200, uses_of(a, id, is(a, 3, "versions")));
    return no_path(a);
}

/* MD5 of the text, printed as a UUID: what the `__value_schema_id` header of newer clients holds.
 */
static bool guid_is(struct cdc_slice text, const char *guid)
{
    uint8_t md5[EVP_MAX_MD_SIZE];
    char hex[40], *to = hex;
    if (EVP_Digest(text.p, text.len, md5, NULL, EVP_md5(), NULL) != 1)
        return false;
    for (int i = 0; i < 16; i++)
        to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", md5[i]);
    return strcmp(hex, guid) == 0;
}

static int schema_of_guid(const struct asked *a)
{
    for (size_t i = 0; i < a->shelf->store.n; i++) {
        const struct cdc_entry *e = &a->shelf->store.items[i];
        if (guid_is(e->text, a->at[2]))
            return answer(a->ret, 200,
                          json_pack("{s:s%, s:s}", "schema", (const char *)e->text.p, e->text.len,
                                    "guid", a->at[2]));
    }
    return refuse(a->ret, 404, 40403, "Schema not found");
}

static int schemas(const struct asked *a)
{
    if (is(a, 1, "types") && a->n == 2)
        return answer(a->ret, 200, json_pack("[s]", "AVRO"));
    if (is(a, 1, "ids") && a->n >= 3)
        return schema_of_id(a);
    return is(a, 1, "guids") && a->n == 3 ? schema_of_guid(a) : no_path(a);
}

/* ---- /subjects ---- */

static int list_subjects(const struct asked *a)
{
    const char *prefix = a->req->query(a->req, "subjectPrefix");
    json_t *list = json_array();
    for (size_t i = 0; i < a->shelf->store.n; i++) {
        const struct cdc_entry *e = &a->shelf->store.items[i];
        if (prefix && strncmp(e->subject, prefix, strlen(prefix)) != 0)
            continue;
        bool told = false;
        for (size_t j = 0; !told && j < i; j++)
            told = strcmp(a->shelf->store.items[j].subject, e->subject) == 0;
        if (!told)
            json_array_append_new(list, json_string(e->subject));
    }
    return answer(a->ret, 200, list);
}

static int list_versions(const struct asked *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->shelf->store.n; i++)
        if (is(a, 1, a->shelf->store.items[i].subject))
            json_array_append_new(list, json_integer(a->shelf->store.items[i].version));
    return answer(a->ret, 200, list);
}

/* A subject's version by number, "latest" or -1; NULL: the answer was given. */
static const struct cdc_entry *find_version(const struct asked *a, const char *subject,
                                            const char *text)
{
    const struct cdc_store *store = &a->shelf->store;
    if (strcmp(text, "latest") == 0 || strcmp(text, "-1") == 0)
        return cdc_store_latest(store, subject, 0);
    uint32_t version = number(text);
    for (size_t i = 0; version && i < store->n; i++)
        if (store->items[i].version == version && strcmp(store->items[i].subject, subject) == 0)
            return &store->items[i];
    if (version)
        (void)refuse(a->ret, 404, 40402, "Version not found.");
    else
        (void)refuse(a->ret, 422, 42202,
                     "The specified version is not a valid version id. Allowed values are between "
                     "[1, 2^31-1] and the string \"latest\"");
    return NULL;
}

static int one_version(const struct asked *a)
{
    const struct cdc_entry *e = find_version(a, a->at[1], a->at[3]);
    if (!e)
        return CDC_OK;
    if (is(a, 4, "schema"))
        return text_answer(a->ret, e->text);
    if (is(a, 4, "referencedby"))
        return answer(a->ret, 200, json_array());
    return is(a, 4, "") ? answer(a->ret, 200, described(e)) : no_path(a);
}

static int get_subjects(const struct asked *a)
{
    if (a->n == 1)
        return list_subjects(a);
    if (!is(a, 2, "versions"))
        return no_path(a);
    if (!known_subject(a, a->at[1]))
        return no_subject(a);
    return a->n == 3 ? list_versions(a) : one_version(a);
}

/* The text that the body sends, as a JSON string of the caller's; NULL: the answer was given. */
static json_t *sent_schema(const struct asked *a)
{
    json_t *body = json_loadb((const char *)a->req->body.p, a->req->body.len, 0, NULL);
    json_t *text = json_incref(json_object_get(body, "schema"));
    struct cdc_avro_schema *schema = NULL;
    if (json_is_string(text) &&
        cdc_avro_schema_parse(cdc_slice_of(json_string_value(text), json_string_length(text)),
                              &schema, NULL) == CDC_OK) {
        cdc_avro_schema_free(schema);
    } else {
        json_decref(text);
        text = NULL;
        refuse(a->ret, 422, 42201, "Invalid schema");
    }
    json_decref(body);
    return text;
}

/* The text sent, verbatim, or the newest version that means the same. */
static const struct cdc_entry *find_same(const struct asked *a, const json_t *sent)
{
    const struct cdc_store *store = &a->shelf->store;
    struct cdc_slice text = cdc_slice_of(json_string_value(sent), json_string_length(sent));
    const struct cdc_entry *e = cdc_store_find(store, a->at[1], text);
    if (e)
        return e;
    e = cdc_store_latest(store, a->at[1], 0);
    while (e && !cdc_texts_same(e->text, text))
        e = e->version > 1 ? cdc_store_latest(store, a->at[1], e->version) : NULL;
    return e;
}

/* Looking up, and registering what is registered already. */
static int post_subjects(const struct asked *a)
{
    bool lookup = a->n == 2;
    if (!lookup && !(a->n == 3 && is(a, 2, "versions")))
        return no_path(a);
    json_t *sent = sent_schema(a);
    if (!sent)
        return CDC_OK;
    const struct cdc_entry *e = find_same(a, sent);
    int rc;
    if (e)
        rc = answer(a->ret, 200, lookup ? described(e) : json_pack("{s:i}", "id", (int)e->id));
    else if (!lookup)
        rc = read_only(a);
    else
        rc = known_subject(a, a->at[1]) ? refuse(a->ret, 404, 40403, "Schema not found")
                                        : no_subject(a);
    json_decref(sent);
    return rc;
}

/* ---- /compatibility/subjects/{s}/versions[/{v}] ---- */

static int compare(const struct asked *a, const struct cdc_entry *e, const json_t *sent)
{
    struct cdc_buf why = CDC_BUF(4096);
    int level = cdc_compat_level_of(a->shelf->level);
    int rc = e ? cdc_texts_follow(
                     e->text, cdc_slice_of(json_string_value(sent), json_string_length(sent)),
                     level < 0 ? CDC_COMPAT_BACKWARD : (enum cdc_compat_level)level, &why, NULL)
               : CDC_OK;
    json_t *json = json_pack("{s:b}", "is_compatible", rc == CDC_OK);
    const char *text = cdc_buf_cstr(&why);
    if (flag(a, "verbose"))
        json_object_set_new(json, "messages",
                            rc == CDC_OK ? json_array() : json_pack("[s]", text ? text : ""));
    cdc_buf_done(&why);
    return answer(a->ret, 200, json);
}

static int compatibility(const struct asked *a)
{
    if (!is(a, 1, "subjects") || !is(a, 3, "versions") || a->n > 5)
        return no_path(a);
    json_t *sent = sent_schema(a);
    if (!sent)
        return CDC_OK;
    bool any = known_subject(a, a->at[2]);
    const struct cdc_entry *e =
        any ? find_version(a, a->at[2], a->n == 5 ? a->at[4] : "latest") : NULL;
    int rc = any && !e ? CDC_OK : compare(a, e, sent);
    json_decref(sent);
    return rc;
}

/* ---- the rest ---- */

static int setting(const struct asked *a, const char *member, const char *value, int missing)
{
    if (a->n == 2 && !flag(a, "defaultToGlobal"))
        return refuse(a->ret, 404, missing, "Subject has no such setting of its own.");
    return a->n <= 2 ? answer(a->ret, 200, json_pack("{s:s}", member, value)) : no_path(a);
}

static int get(const struct asked *a)
{
    if (is(a, 0, "subjects"))
        return get_subjects(a);
    if (is(a, 0, "schemas"))
        return schemas(a);
    if (is(a, 0, "config"))
        return setting(a, "compatibilityLevel", a->shelf->level, 40408);
    if (is(a, 0, "mode"))
        return setting(a, "mode", "READONLY", 40409);
    if (is(a, 0, "contexts") && a->n == 1)
        return answer(a->ret, 200, json_pack("[s]", "."));
    if (is(a, 0, "v1") && is(a, 1, "metadata") && is(a, 2, "version"))
        return answer(
            a->ret, 200,
            json_pack("{s:s, s:s}", "version", "sidestream " CDC_VERSION, "commitId", ""));
    return no_path(a);
}

static int dispatch(const struct asked *a)
{
    const char *method = a->req->method;
    if (strcmp(method, "GET") == 0)
        return get(a);
    if (is(a, 0, "associations") || is(a, 0, "v1"))
        return no_path(a);
    if (strcmp(method, "POST") == 0 && is(a, 0, "subjects") && a->n > 1)
        return post_subjects(a);
    if (strcmp(method, "POST") == 0 && is(a, 0, "compatibility"))
        return compatibility(a);
    return read_only(a);
}

/* The path's parts, decoded. false: one is no sound text, or there are more than any path has. */
static bool split(struct asked *a, const char *path)
{
    size_t wanted = 0;
    for (const char *p = path; *p; p++)
        wanted += *p == '/' && p[1] && p[1] != '/';
    for (size_t i = 0; i < SEGMENTS; i++) {
        cdc_buf_init(&a->segments[i], 4096);
        a->at[i] = "";
        if (i >= wanted || cdc_http_segment(path, i, &a->segments[i]) != CDC_OK)
            continue;
        const char *text = cdc_buf_cstr(&a->segments[i]);
        a->at[i] = text ? text : "";
        a->n += text != NULL;
    }
    return a->n == wanted && wanted < SEGMENTS;
}

int cdc_shelf_answer(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    struct asked a = {.shelf = arg, .req = req, .ret = ret};
    int rc;
    if (split(&a, req->path)) {
        pthread_mutex_lock(&a.shelf->lock);
        rc = dispatch(&a);
        pthread_mutex_unlock(&a.shelf->lock);
    } else {
        rc = no_path(&a);
    }
    for (size_t i = 0; i < SEGMENTS; i++)
        cdc_buf_done(&a.segments[i]);
    return rc;
}
