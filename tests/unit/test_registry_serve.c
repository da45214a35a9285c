/* test_registry_serve.c - Confluent's read-only paths: what is answered to which request. */
#include "cm.h"

#include <stdlib.h>

#include "registry/serve.h"

#define V1 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}"
#define V2                                                                                         \
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\","            \
    "\"default\":0}]}"
#define J1 "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\",\\\"fields\\\":[]}"

static const struct row {
    const char *method, *path, *query, *body;
    int status;
    const char *has; /* in the answer */
} rows[] = {
    {"GET", "/schemas/types", NULL, NULL, 200, "[\"AVRO\"]"},
    {"GET", "/schemas/ids/1", NULL, NULL, 200, "{\"schema\":\"" J1 "\"}"},
    {"GET", "/schemas/ids/1/schema", NULL, NULL, 200, V1},
    {"GET", "/schemas/ids/1/subjects", NULL, NULL, 200, "[\"s/v\",\"t\"]"},
    {"GET", "/schemas/ids/1/versions", NULL, NULL, 200, "{\"subject\":\"t\",\"version\":5}"},
    {"GET", "/schemas/ids/1/other", NULL, NULL, 404, "\"error_code\":404"},
    {"GET", "/schemas/ids/3", NULL, NULL, 404, "40403"},
    {"GET", "/schemas/ids/0", NULL, NULL, 404, "40403"},
    {"GET", "/schemas/ids/-1", NULL, NULL, 404, "40403"},
    {"GET", "/schemas/ids/99999999999999999999", NULL, NULL, 404, "40403"},
    {"GET", "/schemas/guids/fe1a9b6e-0000-0000-0000-000000000000", NULL, NULL, 404, "40403"},
    {"GET", "/schemas", NULL, NULL, 404, "\"error_code\":404"},
    {"GET", "/subjects", NULL, NULL, 200, "[\"s/v\",\"t\"]"},
    {"GET", "/subjects", "subjectPrefix=t", NULL, 200, "[\"t\"]"},
    {"GET", "/subjects/s%2Fv/versions", NULL, NULL, 200, "[1,2]"},
    {"GET", "/subjects/s%2Fv/versions/2", NULL, NULL, 200, "\"version\":2,\"id\":2"},
    {"GET", "/subjects/s%2Fv/versions/latest", NULL, NULL, 200, "\"version\":2,\"id\":2"},
    {"GET", "/subjects/s%2Fv/versions/-1", NULL, NULL, 200, "\"version\":2,\"id\":2"},
    {"GET", "/subjects/s%2Fv/versions/1/schema", NULL, NULL, 200, V1},
    {"GET", "/subjects/s%2Fv/versions/1/referencedby", NULL, NULL, 200, "[]"},
    {"GET", "/subjects/s%2Fv/versions/3", NULL, NULL, 404, "40402"},
    {"GET", "/subjects/s%2Fv/versions/first", NULL, NULL, 422, "42202"},
    {"GET", "/subjects/none/versions/1", NULL, NULL, 404, "40401"},
    {"GET", "/subjects/s%zz/versions", NULL, NULL, 404, ""},
    {"GET", "/subjects/t/versions/5/schema/x", NULL, NULL, 404, ""},
    {"GET", "/subjects/t/versions/5/schema/x/y/z", NULL, NULL, 404, ""},
    {"GET", "/subjects//t/versions", NULL, NULL, 200, "[5]"},
    {"POST", "/subjects/s%2Fv", NULL, "{\"schema\":\"" J1 "\"}", 200, "\"version\":1,\"id\":1"},
    {"POST", "/subjects/s%2Fv", NULL,
     "{\"schema\":\"{ \\\"name\\\":\\\"R\\\",\\\"type\\\":"
     "\\\"record\\\",\\\"fields\\\":[] }\"}",
     200, "\"version\":1,\"id\":1"},
    {"POST", "/subjects/s%2Fv", NULL, "{\"schema\":\"\\\"int\\\"\"}", 404, "40403"},
    {"POST", "/subjects/none", NULL, "{\"schema\":\"\\\"int\\\"\"}", 404, "40401"},
    {"POST", "/subjects/s%2Fv", NULL, "{\"schema\":\"nonsense\"}", 422, "42201"},
    {"POST", "/subjects/s%2Fv", NULL, "no JSON", 422, "42201"},
    {"POST", "/subjects/s%2Fv", NULL, "", 422, "42201"},
    {"POST", "/subjects/t/versions", NULL, "{\"schema\":\"" J1 "\"}", 200, "{\"id\":1}"},
    {"POST", "/subjects/t/versions", NULL, "{\"schema\":\"\\\"int\\\"\"}", 422, "42205"},
    {"POST", "/compatibility/subjects/s%2Fv/versions/latest", NULL, "{\"schema\":\"" J1 "\"}", 200,
     "{\"is_compatible\":true}"},
    {"POST", "/compatibility/subjects/s%2Fv/versions", "verbose=true",
     "{\"schema\":\"\\\"int\\\"\"}", 200, "\"messages\":[\"was record R, is int\"]"},
    {"POST", "/compatibility/subjects/s%2Fv/versions/9", NULL, "{\"schema\":\"\\\"int\\\"\"}", 404,
     "40402"},
    {"POST", "/compatibility/subjects/none/versions/latest", NULL, "{\"schema\":\"\\\"int\\\"\"}",
     200, "{\"is_compatible\":true}"},
    {"GET", "/config", NULL, NULL, 200, "{\"compatibilityLevel\":\"FULL\"}"},
    {"GET", "/config/t", NULL, NULL, 404, "40408"},
    {"GET", "/config/t", "defaultToGlobal=true", NULL, 200, "FULL"},
    {"GET", "/mode", NULL, NULL, 200, "READONLY"},
    {"GET", "/mode/t", NULL, NULL, 404, "40409"},
    {"GET", "/contexts", NULL, NULL, 200, "[\".\"]"},
    {"GET", "/v1/metadata/version", NULL, NULL, 200, "\"version\""},
    {"GET", "/associations/resources/-/t", NULL, NULL, 404, "\"error_code\":404"},
    {"POST", "/associations", NULL, "{}", 404, "\"error_code\":404"},
    {"PUT", "/config", NULL, "{\"compatibility\":\"NONE\"}", 422, "42205"},
    {"PUT", "/mode/t", NULL, "{}", 422, "42205"},
    {"DELETE", "/subjects/t", NULL, NULL, 422, "42205"},
    {"DELETE", "/subjects/t/versions/1", NULL, NULL, 422, "42205"},
    {"POST", "/subjects", NULL, "{}", 422, "42205"},
};

/* The row's query is one name=value. */
static const char *query(const struct cdc_http_request *req, const char *name)
{
    const struct row *row = req->impl;
    size_t n = strlen(name);
    bool is = row->query && strncmp(row->query, name, n) == 0 && row->query[n] == '=';
    return is ? row->query + n + 1 : NULL;
}

static const char *header(const struct cdc_http_request *req, const char *name)
{
    (void)req, (void)name;
    return NULL;
}

static struct cdc_shelf *filled(void)
{
    struct cdc_shelf *shelf = cdc_shelf_new("FULL");
    struct cdc_map map;
    cdc_map_init(&map);
    assert_int_equal(cdc_map_put(&map, cdc_slice_str("schema/1"),
                                 cdc_slice_str("{\"subject\":\"s/v\",\"version\":1,\"schema\":\"" J1
                                               "\",\"also\":[[\"t\",5]]}")),
                     CDC_OK);
    assert_int_equal(cdc_shelf_put(shelf, &map), CDC_OK);
    assert_int_equal(
        cdc_map_put(
            &map, cdc_slice_str("schema/2"),
            cdc_slice_str("{\"subject\":\"s/v\",\"version\":2,\"schema\":"
                          "\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\","
                          "\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"int\\\","
                          "\\\"default\\\":0}]}\"}")),
        CDC_OK);
    assert_int_equal(cdc_shelf_put(shelf, &map), CDC_OK); /* 1 once more: nothing doubled */
    cdc_map_done(&map);
    return shelf;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_shelf *shelf = filled();
    struct cdc_http_request req = {.method = row->method,
                                   .path = row->path,
                                   .query = query,
                                   .header = header,
                                   .body = cdc_slice_str(row->body ? row->body : ""),
                                   .impl = (void *)(uintptr_t)row};
    struct cdc_http_reply reply = {.status = 200, .type = "text/plain", .body = CDC_BUF(1 << 20)};
    assert_int_equal(cdc_shelf_answer(shelf, &req, &reply), CDC_OK);
    const char *text = cdc_buf_cstr(&reply.body);
    if (reply.status != row->status || !strstr(text, row->has))
        fail_msg("%s %s: %d %s", row->method, row->path, reply.status, text);
    cdc_buf_done(&reply.body);
    cdc_shelf_free(shelf);
}

int main(void)
{
    static struct CMUnitTest tests[sizeof rows / sizeof *rows];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].path,
                                       .test_func = test_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    return _cmocka_run_group_tests("registry_serve", tests, sizeof rows / sizeof *rows, NULL, NULL);
}
