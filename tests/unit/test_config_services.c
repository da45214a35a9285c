/* `registry:` and `http:`: defaults, what is given, and what is refused at which line. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>

#include "config/settings.h"

#define REST                                                                                       \
    "source: {type: example}\n"                                                                    \
    "sink: {type: null}\n"                                                                         \
    "capture:\n"                                                                                   \
    "- {tables: example.a, snapshot: never, on_incompatible: pause}\n"                             \
    "- {tables: example.b, snapshot: never, envelope: row}\n"
#define TOP  "name: shop\n"                  /* what follows begins at line 2 */
#define HTTP TOP "registry:\n  type: http\n" /* ... at line 4 */
#define URL  HTTP "  url: [http://r:8081]\n" /* ... at line 5 */

static int parse(const char *yaml, struct cdc_settings **ret, struct cdc_error *err)
{
    return cdc_settings_parse(cdc_slice_str(yaml), "shop.yaml", ret, err);
}

#define IDLE ": the embedded registry asks nobody: write `type: http`, or leave it out"
#define OPEN_FACE                                                                                  \
    " can be reached from other machines, and whoever reaches it can read the schemas and pause "  \
    "tables: set `http.token`, or listen on 127.0.0.1"
#define NO_LISTEN(text)                                                                            \
    "http.listen: \"" text "\" is no address and port, like 127.0.0.1:8480 or [::1]:8480"
#define EMPTY ": it is empty: write a value (is its variable set?), or leave it out"

static const struct row {
    const char *name, *yaml, *error; /* NULL: right */
} rows[] = {
    {"nothing", TOP, NULL},
    {"embedded", TOP "registry: {type: embedded, id_base: 5, subject: record}\n", NULL},
    {"embedded, its rules", TOP "registry: {compatibility: none, on_incompatible: force}\n", NULL},
    {"http", URL, NULL},
    {"http, several", HTTP "  url: [http://a, 'https://b:443/api/', 'http://[::1]:8081']\n", NULL},
    {"http, basic", URL "  username: me\n  password: ''\n", NULL},
    {"http, bearer", URL "  token: x\n", NULL},
    {"http, tls", URL "  tls: {ca: a, cert: b, key: c, verify: false}\n", NULL},
    {"http, everything",
     URL "  timeout: 100ms\n  connect_timeout: 10m\n  subject: topic_record\n"
         "  compatibility: full_transitive\n  on_incompatible: new_topic\n",
     NULL},

    {"type unknown", TOP "registry:\n  type: confluent\n",
     "3: registry.type: \"confluent\" is not one of embedded, http"},
    {"unknown option", URL "  user: me\n",
     "5: unknown option \"user\" in registry; did you mean \"username\"?"},
    {"url without http", TOP "registry:\n  id_base: 1\n  url: [http://r]\n",
     "4: registry.url" IDLE},
    {"password without http", TOP "registry:\n  password: hunter2\n", "3: registry.password" IDLE},
    {"tls without http", TOP "registry: {tls: {verify: false}}\n", "2: registry.tls" IDLE},
    {"timeout without http", TOP "registry: {timeout: 1s}\n", "2: registry.timeout" IDLE},
    {"id_base with http", URL "  id_base: 0\n",
     "5: registry.id_base: with `type: http` the registry gives the ids: leave it out"},
    {"no url", HTTP,
     "2: registry.url: with `type: http` the registry's address is wanted: url: "
     "[http://127.0.0.1:8081]"},
    {"empty url", HTTP "  url: []\n",
     "4: registry.url: with `type: http` the registry's address is wanted: url: "
     "[http://127.0.0.1:8081]"},
    {"url no list", HTTP "  url: http://r:8081\n",
     "4: registry.url: a list is wanted, like [a, b]"},
    {"url without scheme", HTTP "  url:\n  - http://r\n  - r:8081\n",
     "6: registry.url: \"r:8081\" does not begin with http:// or https://"},
    {"url with another scheme", HTTP "  url: [ftp://r]\n",
     "4: registry.url: \"ftp://r\" does not begin with http:// or https://"},
    {"url without host", HTTP "  url: ['http://:8081']\n",
     "4: registry.url: \"http://:8081\" names no host"},
    {"url of nothing", HTTP "  url: ['https:///x']\n",
     "4: registry.url: \"https:///x\" names no host"},
    {"url with a password", HTTP "  url: ['http://me:hunter2@r']\n",
     "4: registry.url: \"***\" has a user or password in it: write them as `username` and "
     "`password`"},
    {"url with a query", HTTP "  url: ['http://r/?a=b']\n",
     "4: registry.url: \"http://r/?a=b\" has more than a host, a port and a path"},
    {"user alone", URL "  username: me\n",
     "5: registry.username: it is nothing without `password`: write that too, or leave it out"},
    {"password alone", URL "  password: hunter2\n",
     "5: registry.password: it is nothing without `username`: write that too, or leave it out"},
    {"user empty", URL "  username: ''\n  password: hunter2\n", "5: registry.username" EMPTY},
    {"token empty", URL "  token: ''\n", "5: registry.token" EMPTY},
    {"token and user", URL "  username: me\n  password: hunter2\n  token: hunter3\n",
     "7: registry.token: a token is sent in place of user and password: leave out one of the two"},
    {"certificate without key", URL "  tls:\n    cert: a\n",
     "6: registry.tls.cert: it is nothing without `key`: write that too, or leave it out"},
    {"key without certificate", URL "  tls:\n    verify: true\n    key: a\n",
     "7: registry.tls.key: it is nothing without `cert`: write that too, or leave it out"},
    {"verify no bool", URL "  tls: {verify: no}\n",
     "5: registry.tls.verify: \"no\" is neither true nor false"},
    {"timeout too short", URL "  timeout: 99ms\n",
     "5: registry.timeout: 99ms is too small: 100ms is the least"},
    {"connect_timeout too long", URL "  connect_timeout: 11m\n",
     "5: registry.connect_timeout: 11m is too large: 10m is the most"},
    {"subject unknown", URL "  subject: topic-record\n",
     "5: registry.subject: \"topic-record\" is not one of topic, record, topic_record; did you "
     "mean \"topic_record\"?"},
    {"compatibility unknown", URL "  compatibility: FULL\n",
     "5: registry.compatibility: \"FULL\" is not one of none, backward, backward_transitive, "
     "forward, forward_transitive, full, full_transitive"},
    {"on_incompatible unknown", TOP "registry:\n  on_incompatible: stop\n",
     "3: registry.on_incompatible: \"stop\" is not one of hold, pause, new_topic, force"},

    {"face", TOP "http: {}\n", NULL},
    {"face elsewhere", TOP "http: {listen: '127.9.9.9:65535'}\n", NULL},
    {"face of any free port", TOP "http: {listen: '127.0.0.1:0'}\n", NULL},
    {"face by name", TOP "http: {listen: 'localhost:80'}\n", NULL},
    {"face, IPv6", TOP "http: {listen: '[::1]:8480'}\n", NULL},
    {"face for all, with a token", TOP "http: {listen: '0.0.0.0:8480', token: x}\n", NULL},
    {"face with tls", TOP "http: {tls: {cert: a, key: b}}\n", NULL},
    {"face, nothing", TOP "http:\n",
     "2: http: a mapping is wanted: options below it, indented, or {a: b}"},
    {"face for all", TOP "http:\n  listen: 0.0.0.0:8480\n",
     "3: http.listen: 0.0.0.0:8480" OPEN_FACE},
    {"face for all, IPv6", TOP "http:\n  listen: '[::]:8480'\n",
     "3: http.listen: [::]:8480" OPEN_FACE},
    {"face nearly ours", TOP "http:\n  listen: 128.0.0.1:8480\n",
     "3: http.listen: 128.0.0.1:8480" OPEN_FACE},
    {"face of a name that may be anybody", TOP "http:\n  listen: localhost.example:8480\n",
     "3: http.listen: localhost.example:8480" OPEN_FACE},
    {"face for all, tls is no token",
     TOP "http:\n  tls: {cert: a, key: b}\n  listen: 10.0.0.1:443\n",
     "4: http.listen: 10.0.0.1:443" OPEN_FACE},
    {"face, token empty", TOP "http:\n  listen: 0.0.0.0:8480\n  token: ''\n",
     "4: http.token" EMPTY},
    {"face without port", TOP "http: {listen: 127.0.0.1}\n", "2: " NO_LISTEN("127.0.0.1")},
    {"face of a port alone", TOP "http: {listen: ':8480'}\n", "2: " NO_LISTEN(":8480")},
    {"face with an empty port", TOP "http: {listen: 'a:'}\n", "2: " NO_LISTEN("a:")},
    {"face with too large a port", TOP "http: {listen: 'a:65536'}\n", "2: " NO_LISTEN("a:65536")},
    {"face with a port of six digits", TOP "http: {listen: 'a:000080'}\n",
     "2: " NO_LISTEN("a:000080")},
    {"face with a port of letters", TOP "http: {listen: 'a:80x'}\n", "2: " NO_LISTEN("a:80x")},
    {"face, IPv6 without brackets", TOP "http: {listen: '::1:8480'}\n",
     "2: " NO_LISTEN("::1:8480")},
    {"face, brackets left open", TOP "http: {listen: '[::1:8480'}\n", "2: " NO_LISTEN("[::1:8480")},
    {"face, brackets around nothing", TOP "http: {listen: '[]:8480'}\n",
     "2: " NO_LISTEN("[]:8480")},
    {"face, one bracket", TOP "http: {listen: '[:1'}\n", "2: " NO_LISTEN("[:1")},
    {"face empty", TOP "http: {listen: ''}\n", "2: " NO_LISTEN("")},
    {"face, certificate alone", TOP "http:\n  tls:\n    cert: a\n",
     "4: http.tls.cert: it is nothing without `key`: write that too, or leave it out"},
    {"face misspelt", TOP "http: {lisen: a}\n",
     "2: unknown option \"lisen\" in http; did you mean \"listen\"?"},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    char yaml[2048], text[sizeof err.where + sizeof err.message + 2];
    snprintf(yaml, sizeof yaml, "%s" REST, row->yaml);
    int rc = parse(yaml, &set, &err);
    snprintf(text, sizeof text, "%s: %s", err.where, err.message);
    assert_null(strstr(text, "hunter"));
    if (!row->error && rc != CDC_OK)
        fail_msg("%s", text);
    if (row->error) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_CONFIG);
        assert_memory_equal(text, "shop.yaml:", 10);
        assert_string_equal(text + 10, row->error);
    }
    cdc_settings_free(set);
}

static const struct cdc_rule *rule_of(const struct cdc_settings *set, const char *table)
{
    const struct cdc_rule *rule = cdc_capture_match(set->config.capture, "example", table);
    assert_non_null(rule);
    return rule;
}

static void test_defaults(void **state)
{
    (void)state;
    struct cdc_settings *set;
    struct cdc_error err = {0};
    const char *const *urls;
    assert_int_equal(parse(TOP REST, &set, &err), CDC_OK);
    assert_null(set->http);
    const struct cdc_section *reg = set->registry;
    assert_int_equal(cdc_get_choice(reg, "type"), CDC_REGISTRY_EMBEDDED);
    assert_int_equal(cdc_get_list(reg, "url", &urls), 0);
    assert_null(cdc_get_string(reg, "username"));
    assert_null(cdc_get_string(reg, "token"));
    assert_true(cdc_get_bool(cdc_get_section(reg, "tls"), "verify"));
    assert_null(cdc_get_string(cdc_get_section(reg, "tls"), "ca"));
    assert_int_equal(cdc_get_int(reg, "timeout"), 15000000);
    assert_int_equal(cdc_get_int(reg, "connect_timeout"), 2000000);
    assert_int_equal(cdc_get_choice(reg, "subject"), CDC_SUBJECT_TOPIC);
    assert_false(cdc_given(reg, "compatibility"));
    assert_int_equal(cdc_get_choice(reg, "on_incompatible"), CDC_INCOMPATIBLE_HOLD);
    assert_int_equal(rule_of(set, "a")->on_incompatible, CDC_INCOMPATIBLE_PAUSE);
    assert_int_equal(rule_of(set, "b")->on_incompatible, CDC_INCOMPATIBLE_HOLD);
    assert_false(rule_of(set, "a")->envelope_given);
    assert_true(rule_of(set, "b")->envelope_given);
    cdc_settings_free(set);
}

static void test_given(void **state)
{
    (void)state;
    struct cdc_settings *set;
    struct cdc_error err = {0};
    const char *const *urls;
    assert_int_equal(parse(HTTP "  url: [http://a, https://b]\n  username: me\n  password: pw\n"
                                "  compatibility: forward_transitive\n  on_incompatible: force\n"
                                "  subject: topic_record\n  tls: {verify: false}\n"
                                "envelope: row\nhttp: {token: x}\n" REST,
                           &set, &err),
                     CDC_OK);
    const struct cdc_section *reg = set->registry;
    assert_int_equal(cdc_get_choice(reg, "type"), CDC_REGISTRY_HTTP);
    assert_int_equal(cdc_get_list(reg, "url", &urls), 2);
    assert_string_equal(urls[1], "https://b");
    assert_string_equal(cdc_get_string(reg, "password"), "pw");
    assert_true(cdc_given(reg, "compatibility"));
    assert_int_equal(cdc_get_choice(reg, "compatibility"), 4);
    assert_int_equal(cdc_get_choice(reg, "subject"), CDC_SUBJECT_TOPIC_RECORD);
    assert_false(cdc_get_bool(cdc_get_section(reg, "tls"), "verify"));
    assert_non_null(set->http);
    assert_string_equal(cdc_get_string(set->http, "listen"), "127.0.0.1:8480");
    assert_string_equal(cdc_get_string(set->http, "token"), "x");
    assert_null(cdc_get_string(cdc_get_section(set->http, "tls"), "cert"));
    assert_int_equal(rule_of(set, "a")->on_incompatible, CDC_INCOMPATIBLE_PAUSE);
    assert_int_equal(rule_of(set, "b")->on_incompatible, CDC_INCOMPATIBLE_FORCE);
    assert_true(rule_of(set, "a")->envelope_given);
    cdc_settings_free(set);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 2], *to = CM_ROWS(tests, test_row, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_defaults);
    *to = (struct CMUnitTest)cmocka_unit_test(test_given);
    return cmocka_run_group_tests_name("config_services", tests, NULL, NULL);
}
