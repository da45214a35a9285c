/* Which route a path takes, its segments decoded, which Authorization holds the token. */
#include "cm.h"
#include "rows.h"
#include <string.h>

#include "http/http.h"

static const struct cdc_http_route routes[] = {{.prefix = "/"},
                                               {.prefix = "/a"},
                                               {.prefix = "/a/b"},
                                               {.prefix = "/metrics"},
                                               {.prefix = NULL}};

static const struct route_row {
    const char *name, *path, *prefix;
} route_rows[] = {
    {"root", "/", "/"},
    {"the whole", "/metrics", "/metrics"},
    {"with a slash behind", "/metrics/", "/metrics"},
    {"below", "/a/x/y", "/a"},
    {"the longest", "/a/b", "/a/b"},
    {"below the longest", "/a/b/c", "/a/b"},
    {"not in the middle of a word", "/ab", NULL},
    {"nor of a longer one", "/metricsx", NULL},
    {"root takes nothing below it", "/x", NULL},
    {"empty", "", NULL},
    {"two slashes are not one", "//metrics", NULL},
    {"no dots are walked", "/a/../metrics", "/a"},
};

static void test_route(void **state)
{
    const struct route_row *row = *state;
    const struct cdc_http_route *route = cdc_http_route_of(routes, row->path);
    if (row->prefix)
        assert_string_equal(route->prefix, row->prefix);
    else
        assert_null(route);
}

static const struct segment_row {
    const char *name, *path;
    size_t i;
    int rc;
    const char *text;
} segment_rows[] = {
    {"first", "/a/b", 0, CDC_OK, "a"},
    {"second", "/a/b", 1, CDC_OK, "b"},
    {"none left", "/a/b", 2, CDC_END, NULL},
    {"slash at the end makes none", "/a/", 1, CDC_END, NULL},
    {"several slashes are one", "//a//b", 1, CDC_OK, "b"},
    {"of nothing", "", 0, CDC_END, NULL},
    {"escape", "/x%20y", 0, CDC_OK, "x y"},
    {"an encoded slash stays inside", "/a%2Fb/c", 0, CDC_OK, "a/b"},
    {"both cases", "/%c3%A4", 0, CDC_OK, "\xc3\xa4"},
    {"plus is a plus", "/a+b", 0, CDC_OK, "a+b"},
    {"cut escape", "/a%2", 0, CDC_FAIL, NULL},
    {"lone percent", "/%", 0, CDC_FAIL, NULL},
    {"no hex", "/%zz", 0, CDC_FAIL, NULL},
    {"the escape ends in the next segment", "/%2/0", 0, CDC_FAIL, NULL},
    {"NUL", "/a%00b", 0, CDC_FAIL, NULL},
    {"a bad one elsewhere does not matter", "/a/%zz", 0, CDC_OK, "a"},
};

static void test_segment(void **state)
{
    const struct segment_row *row = *state;
    struct cdc_buf buf = CDC_BUF(64);
    cdc_buf_str(&buf, "before");
    assert_int_equal(cdc_http_segment(row->path, row->i, &buf), row->rc);
    if (row->text)
        assert_string_equal(cdc_buf_cstr(&buf), row->text);
    cdc_buf_done(&buf);
}

static const struct token_row {
    const char *name, *given;
    bool is;
} token_rows[] = {
    {"bearer", "Bearer s3cret", true},
    {"any case of the scheme", "bearer s3cret", true},
    {"none", NULL, false},
    {"empty", "", false},
    {"another", "Bearer s3creT", false},
    {"a part", "Bearer s3cre", false},
    {"more", "Bearer s3cret ", false},
    {"bare", "s3cret", false},
    {"scheme alone", "Bearer ", false},
    {"another scheme", "Digest s3cret", false},
    {"basic us:s3cret", "Basic dXM6czNjcmV0", true},
    {"basic u:s3cret", "Basic dTpzM2NyZXQ=", true},
    {"basic, another password", "Basic dXM6czNjcmV0Cg==", false},
    {"basic :s3cret", "Basic OnMzY3JldA==", true},
    {"basic user:s3cret", "Basic dXNlcjpzM2NyZXQ=", true},
    {"basic without a colon", "Basic czNjcmV0", false},
    {"basic, not base64", "Basic !!!!", false},
    {"basic, cut", "Basic dXNlcjpzM2NyZXQ", false},
    {"basic, only padding", "Basic ====", false},
    {"basic, empty", "Basic ", false},
};

static void test_token(void **state)
{
    const struct token_row *row = *state;
    assert_int_equal(cdc_http_token_is(row->given, "s3cret"), row->is);
}

static void test_long_basic(void **state)
{
    (void)state;
    char given[5000] = "Basic ";
    memset(given + 6, 'A', sizeof given - 7);
    assert_false(cdc_http_token_is(given, "s3cret"));
}

static void test_replies(void **state)
{
    (void)state;
    struct cdc_http_reply reply = {.body = CDC_BUF(1000)};
    assert_int_equal(cdc_http_error(&reply, 404, "no \"%s\"\n", "x"), CDC_OK);
    assert_int_equal(reply.status, 404);
    assert_string_equal(reply.type, "application/json");
    assert_string_equal(cdc_buf_cstr(&reply.body), "{\"error\":\"no \\\"x\\\"\\n\"}\n");
    assert_int_equal(cdc_http_json(&reply, 200, "[]"), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&reply.body), "[]\n");
    cdc_buf_done(&reply.body);
}

int main(void)
{
    struct CMUnitTest
        tests[CM_COUNT(route_rows) + CM_COUNT(segment_rows) + CM_COUNT(token_rows) + 2];
    struct CMUnitTest *to = CM_ROWS(tests, test_route, route_rows);
    to = CM_ROWS(to, test_segment, segment_rows);
    to = CM_ROWS(to, test_token, token_rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_long_basic);
    *to = (struct CMUnitTest)cmocka_unit_test(test_replies);
    return cmocka_run_group_tests_name("http_route", tests, NULL, NULL);
}
