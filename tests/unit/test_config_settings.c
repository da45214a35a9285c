/* The whole configuration: values and defaults, exact errors, and secrets in no error. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/settings.h"

#define SOURCE  "source: {type: example}\n"
#define CAPTURE "capture: [{tables: example.*, snapshot: never}]\n"
#define SINK    "sink: {type: null}\n"
#define HASHING "capture: [{tables: example.*, snapshot: never, columns: {hash: [word]}}]\n"
#define SHORT   "0123456789abcde"
#define REST    SOURCE CAPTURE SINK
#define SECRET  "hunter2-XYZZY"

static int parse(const char *yaml, size_t len, struct cdc_settings **ret, struct cdc_error *err)
{
    return cdc_settings_parse(cdc_slice_of(yaml, len), "shop.yaml", ret, err);
}

static const struct row {
    const char *name, *yaml, *error; /* a `*` at the end of error: anything may follow */
} rows[] = {
    {"smallest", "name: shop\n" REST, NULL},
    {"longest name", "name: abcdefghijklmnopqrstuvwxyz0123456789_abcd\n" REST, NULL},
    {"everything",
     "name: s_1\nsource:\n  type: example\n  rows: 3\n  size: 2\n" CAPTURE SINK
     "registry: {type: embedded, id_base: 1000}\nmemory: 8MiB\n"
     "log: {format: json, level: debug}\nreplica: {path: ./x.db}\n",
     NULL},
    {"name left out", REST,
     "shop.yaml:1: name is missing: Name of the pipeline: a lower-case letter*"},
    {"name with a capital", "name: Shop\n" REST,
     "shop.yaml:1: name: \"Shop\" must be a lower-case letter, then up to 40 of a-z, 0-9 and _"},
    {"name begins with a digit", "name: 1shop\n" REST,
     "shop.yaml:1: name: \"1shop\" must be a lower-case letter, then up to 40 of a-z, 0-9 and _"},
    {"name with a dash", REST "name: my-shop\n",
     "shop.yaml:4: name: \"my-shop\" must be a lower-case letter, then up to 40 of a-z, 0-9 and _"},
    {"name too long", "name: abcdefghijklmnopqrstuvwxyz0123456789_abcde\n" REST,
     "shop.yaml:1: name: \"abcdefghijklmnopqrstuvwxyz0123456789_abcde\" must be*"},
    {"name out of the environment", "name: ${env:T_SECRET}\n" REST,
     "shop.yaml:1: name: \"***\" must be a lower-case letter, then up to 40 of a-z, 0-9 and _"},
    {"unknown key", "name: shop\n" REST "memoy: 64MiB\n",
     "shop.yaml:5: unknown option \"memoy\"; did you mean \"memory\"?"},
    {"source left out", "name: shop\n" CAPTURE SINK,
     "shop.yaml:1: source is missing: The database: its `type`, and the options of that type."},
    {"sink left out", "name: shop\n" SOURCE CAPTURE, "shop.yaml:1: sink is missing: *"},
    {"capture left out", "name: shop\n" SOURCE SINK, "shop.yaml:1: capture is missing: *"},
    {"source without type", "name: shop\nsource: {rows: 3}\n" CAPTURE SINK,
     "shop.yaml:2: source.type is missing: it says which source to use"},
    {"source is a text", "name: shop\nsource: example\n" CAPTURE SINK,
     "shop.yaml:2: source: a mapping is wanted: options below it, indented, or {type: ...}"},
    {"source with an empty type", "name: shop\nsource:\n  type:\n" CAPTURE SINK,
     "shop.yaml:3: source.type: the name of a source is wanted"},
    {"source type misspelt", "name: shop\nsource:\n  type: exmaple\n" CAPTURE SINK,
     "shop.yaml:3: source.type: there is no source \"exmaple\"; there are: *"},
    {"source type hidden", "name: shop\nsource: {type: '${env:T_SECRET}'}\n" CAPTURE SINK,
     "shop.yaml:2: source.type: there is no source \"***\"; there are: *"},
    {"source type of the stand-in", "name: shop\nsource: {type: ''}\n" CAPTURE SINK,
     "shop.yaml:2: source.type: there is no source \"\"; there are: *"},
    {"source option misspelt", "name: shop\nsource:\n  type: example\n  row: 3\n" CAPTURE SINK,
     "shop.yaml:4: unknown option \"row\" in source; did you mean \"rows\"?"},
    {"source option out of range", "name: shop\nsource:\n  type: example\n  size: 0\n" CAPTURE SINK,
     "shop.yaml:4: source.size: 0 is too small: 1 is the least"},
    {"sink without type", "name: shop\n" SOURCE CAPTURE "sink: {}\n",
     "shop.yaml:4: sink.type is missing: it says which sink to use"},
    {"sink unknown", "name: shop\n" SOURCE CAPTURE "sink: {type: nul}\n",
     "shop.yaml:4: sink.type: there is no sink \"nul\"; there are: *"},
    {"sink option unknown", "name: shop\n" SOURCE CAPTURE "sink:\n  type: null\n  zzz: 1\n",
     "shop.yaml:6: unknown option \"zzz\" in sink; known are: *"},
    {"memory too small", "name: shop\nmemory: 1MiB\n" REST,
     "shop.yaml:2: memory: 1MiB is too small: 8MiB is the least"},
    {"envelope", "name: shop\nenvelope: row\n" REST, NULL},
    {"envelope unknown", "name: shop\n" REST "envelope: debezium\n",
     "shop.yaml:5: envelope: \"debezium\" is not one of row"},
    {"registry id_base", "name: shop\nregistry: {id_base: -1}\n" REST,
     "shop.yaml:2: registry.id_base: -1 is too small: 0 is the least"},
    {"log level", "name: shop\nlog:\n  level: warning\n" REST,
     "shop.yaml:3: log.level: \"warning\" is not one of error, warn, info, debug; did you mean "
     "\"warn\"?"},
    {"secrets", "name: shop\nsecrets: {hash: 0123456789abcdef}\n" REST, NULL},
    {"secrets, nothing in it", "name: shop\nsecrets: {}\n" REST, NULL},
    {"secrets, nothing for the key", "name: shop\nsecrets:\n  hash:\n" REST,
     "shop.yaml:3: secrets.hash: no value is given: write one, or leave the option out"},
    {"secrets, key too short", "name: shop\nsecrets:\n  hash: " SHORT "\n" REST,
     "shop.yaml:3: secrets.hash: too short to keep what is hashed from being guessed: at least 16 "
     "bytes are wanted (`openssl rand -hex 32` makes some)"},
    {"secrets, key empty", "name: shop\nsecrets: {hash: ''}\n" REST,
     "shop.yaml:2: secrets.hash: too short to keep*"},
    {"secrets misspelt", "name: shop\nsecrets: {hsah: 0123456789abcdef}\n" REST,
     "shop.yaml:2: unknown option \"hsah\" in secrets; did you mean \"hash\"?"},
    {"hash without secret", "name: shop\n" SOURCE HASHING SINK,
     "shop.yaml:3: columns.hash needs a secret: write `secrets: {hash: ...}` at the top of*"},
    {"hash with the secret behind it",
     "name: shop\n" SOURCE HASHING SINK "secrets: {hash: '${env:T_NUMBER}${env:T_NUMBER}'}\n",
     NULL},
    {"snapshot", "name: shop\n" SOURCE "capture:\n  - tables: example.*\n" SINK,
     "shop.yaml:4: the capture rule for \"example.*\" needs `snapshot: never`: a source of "
     "type example cannot copy rows that were there before.*"},
    {"snapshot of a source that copies",
     "name: shop\nsource: {type: postgres, url: 'postgresql://h/d'}\n"
     "snapshot: {mode: ranged, threads: 4, range_bytes: 1MiB, rate: 8MiB, max_log: 1GiB, max_age: "
     "10m}\ncapture: [{tables: a.b}, {tables: a.c, snapshot: only, where: 'id > 3', priority: "
     "2}]\n" SINK,
     NULL},
    {"snapshot with no threads", "name: shop\n" REST "snapshot: {threads: 0}\n",
     "shop.yaml:5: snapshot.threads: *"},
    {"snapshot mode unknown", "name: shop\n" REST "snapshot: {mode: range}\n",
     "shop.yaml:5: snapshot.mode: \"range\" is not one of auto, ranged; did you mean \"ranged\"?"},
    {"a list", "- a\n", "shop.yaml:1: a mapping is wanted, with name, source, capture and sink"},
    {"a text", "hello\n", "shop.yaml:1: a mapping is wanted, with name, source, capture and sink"},
    {"nothing", "", "shop.yaml:1: the file is empty"},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    char text[sizeof err.where + sizeof err.message + 2] = "";
    int rc = parse(row->yaml, strlen(row->yaml), &set, &err);
    snprintf(text, sizeof text, "%s: %s", err.where, err.message);
    if (!row->error && rc != CDC_OK)
        fail_msg("%s", text);
    if (row->error) {
        size_t n = strlen(row->error), any = row->error[n - 1] == '*';
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_CONFIG);
        if (any)
            text[n - 1 < sizeof text ? n - 1 : 0] = 0;
        char want[sizeof text];
        snprintf(want, sizeof want, "%.*s", (int)(n - any), row->error);
        assert_string_equal(text, want);
    }
    cdc_settings_free(set);
}

static void test_defaults(void **state)
{
    (void)state;
    static const char yaml[] = "name: shop\n" REST;
    struct cdc_settings *set;
    struct cdc_error err = {0};
    assert_int_equal(parse(yaml, sizeof yaml - 1, &set, &err), CDC_OK);
    assert_string_equal(set->config.name, "shop");
    assert_string_equal(set->config.path, "shop.yaml");
    assert_string_equal(set->source->name, "example");
    assert_string_equal(set->sink->name, "null");
    assert_int_equal(set->config.memory, 64 << 20);
    assert_int_equal(cdc_get_int(set->config.source, "rows"), 10);
    assert_int_equal(cdc_get_int(set->registry, "id_base"), 0);
    assert_null(cdc_get_string(set->replica, "path"));
    assert_int_equal(set->log_level, CDC_LOG_INFO);
    assert_false(set->log_json);
    assert_int_equal(set->config.cuts, !(set->sink->caps & CDC_SINK_TX_ANY_SIZE));
    assert_non_null(cdc_capture_match(set->config.capture, "example", "numbers"));
    assert_null(cdc_capture_match(set->config.capture, "public", "numbers"));
    cdc_settings_free(set);
}

static void test_given(void **state)
{
    (void)state;
    struct cdc_settings *set;
    struct cdc_error err = {0};
    assert_int_equal(parse(rows[2].yaml, strlen(rows[2].yaml), &set, &err), CDC_OK);
    assert_int_equal(set->config.memory, 8 << 20);
    assert_int_equal(cdc_get_int(set->config.source, "rows"), 3);
    assert_int_equal(cdc_get_int(set->registry, "id_base"), 1000);
    assert_string_equal(cdc_get_string(set->replica, "path"), "./x.db");
    assert_int_equal(set->log_level, CDC_LOG_DEBUG);
    assert_true(set->log_json);
    assert_string_equal(cdc_option_where(set->config.source, "size"), "shop.yaml:5");
    cdc_settings_free(set);
}

/* A sink that takes a transaction of any size is never given a cut; every other one is. */
static void test_cuts(void **state)
{
    (void)state;
    static const char *const wants[][2] = {{"lake", ", path: ./x"}, {"kafka", ", brokers: 'h:1'"}};
    for (const struct cdc_sink_ops *const *ops = cdc_sinks(); *ops; ops++) {
        struct cdc_settings *set;
        struct cdc_error err = {0};
        char yaml[512];
        const char *more = "";
        for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
            more = strcmp(wants[i][0], (*ops)->name) == 0 ? wants[i][1] : more;
        int n = snprintf(yaml, sizeof yaml,
                         "name: shop\nenvelope: row\n" SOURCE CAPTURE "sink: {type: '%s'%s}\n",
                         (*ops)->name, more);
        if (!*(*ops)->name)
            continue; /* not part of this build */
        if (parse(yaml, (size_t)n, &set, &err) != CDC_OK)
            fail_msg("%s: %s", err.where, err.message);
        assert_int_equal(set->config.cuts, ((*ops)->caps & CDC_SINK_TX_ANY_SIZE) == 0);
        cdc_settings_free(set);
    }
}

static void test_load(void **state)
{
    (void)state;
    struct cdc_settings *set;
    struct cdc_error err = {0};
    assert_int_equal(cdc_settings_load("/nonexistent/shop.yaml", &set, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_string_equal(err.where, "/nonexistent/shop.yaml");
    assert_string_equal(err.message, "the configuration cannot be read: No such file or directory");
    assert_int_equal(cdc_settings_load("/", &set, &err), CDC_FAIL);
    assert_string_equal(err.message, "the configuration cannot be read: Is a directory");
    assert_int_equal(cdc_settings_load("/dev/zero", &set, &err), CDC_FAIL);
    assert_string_equal(err.message, "the configuration cannot be read: it is larger than 1 MiB");

    char path[] = "/tmp/test_config_settings.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char yaml[] = "name: shop\n" REST;
    assert_int_equal(write(fd, yaml, sizeof yaml - 1), sizeof yaml - 1);
    close(fd);
    int rc = cdc_settings_load(path, &set, &err);
    unlink(path);
    assert_int_equal(rc, CDC_OK);
    assert_string_equal(set->config.path, path);
    cdc_settings_free(set);
}

/* Every value comes out of the environment; the file is cut short and changed everywhere. */
static const char hidden_yaml[] = "name: ${env:T_NAME}\n"
                                  "source:\n"
                                  "  type: example\n"
                                  "  rows: 1${env:T_SECRET}\n"
                                  "capture:\n"
                                  "  - tables: example.${env:T_SECRET}\n"
                                  "    key: [a, '${env:T_SECRET}', \"${env:T_SECRET}\"]\n"
                                  "    columns: {mask: ['${env:T_SECRET}'], hash: "
                                  "[\"${env:T_SECRET}\"], truncate: {a: '${env:T_SECRET}'}}\n"
                                  "    on_invalid: {'${env:T_SECRET}': '${env:T_SECRET}'}\n"
                                  "    updated_at: ${env:T_SECRET}\n"
                                  "    deletes: ${env:T_SECRET}\n"
                                  "    snapshot: ${env:T_SECRET}\n"
                                  "  - {tables: '${env:T_SECRET}', skip: ${env:T_NAME}}\n"
                                  "sink: {type: null}\n"
                                  "memory: ${env:T_SECRET}\n"
                                  "registry: {id_base: '${env:T_SECRET}', url: "
                                  "['${env:T_SECRET}', 'http://u:${env:T_SECRET}@h']}\n"
                                  "http: {listen: '${env:T_SECRET}', token: '${env:T_SECRET}'}\n"
                                  "log: {level: '${env:T_SECRET}', format: '${env:T_SECRET}'}\n"
                                  "secrets: {hash: '${env:T_SECRET}'}\n"
                                  "replica:\n"
                                  "  path: ${env:T_SECRET}\n";

static size_t failures_without_secret(const char *yaml, size_t len)
{
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    int rc = parse(yaml, len, &set, &err);
    cdc_settings_free(set);
    if (strstr(err.message, SECRET) || strstr(err.where, SECRET))
        fail_msg("a secret is in the error: %s: %s", err.where, err.message);
    return rc != CDC_OK;
}

static void test_secret_in_prefixes(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t n = 0; n <= sizeof hidden_yaml - 1; n++)
        failures += failures_without_secret(hidden_yaml, n);
    assert_int_equal(failures, sizeof hidden_yaml); /* none of them is right */
}

/* Lines taken out one by one and in pairs, so that each of the wrong values is the first error. */
static void test_secret_in_line_subsets(void **state)
{
    (void)state;
    const char *lines[32];
    size_t n = 0;
    for (const char *p = hidden_yaml; *p; p = strchr(p, '\n') + 1)
        lines[n++] = p;
    for (uint32_t keep = 0; keep < 1u << n; keep += 1 + (keep % 7) * 3) {
        char yaml[sizeof hidden_yaml];
        size_t len = 0;
        for (size_t i = 0; i < n; i++)
            if (keep >> i & 1) {
                size_t line = strcspn(lines[i], "\n") + 1;
                memcpy(yaml + len, lines[i], line);
                len += line;
            }
        failures_without_secret(yaml, len);
    }
}

static void test_secret_in_changed_bytes(void **state)
{
    (void)state;
    char yaml[sizeof hidden_yaml];
    size_t failures = 0;
    for (size_t i = 0; i < sizeof yaml - 1; i++)
        for (const char *c = " :{}[],$\n\t'\"-#&*!|>%@x"; *c; c++) {
            memcpy(yaml, hidden_yaml, sizeof yaml);
            yaml[i] = *c;
            failures += failures_without_secret(yaml, sizeof yaml - 1);
        }
    assert_true(failures > 5000);
}

/* Each wrong value alone, in a file that is right but for it. */
static const struct hidden_row {
    const char *name, *yaml, *error;
} hidden[] = {
    {"int", "name: shop\nsource: {type: example, rows: '${env:T_SECRET}'}\n" CAPTURE SINK,
     "source.rows: \"***\" is no whole number"},
    {"int out of range",
     "name: shop\nsource: {type: example, size: '${env:T_NUMBER}'}\n" CAPTURE SINK,
     "source.size: *** is too large: 1000000 is the most"},
    {"size", "name: shop\nmemory: ${env:T_SECRET}\n" REST,
     "memory: \"***\" is no size: write bytes, or a number with KiB, MiB, GiB, kB, MB or GB"},
    {"choice", "name: shop\nlog: {level: '${env:T_SECRET}'}\n" REST,
     "log.level: \"***\" is not one of error, warn, info, debug"},
    {"pattern", "name: shop\n" SOURCE "capture: [{tables: '${env:T_SECRET}'}]\n" SINK,
     "tables: \"***\" must name a schema and a table, like public.users or public.*"},
    {"key",
     "name: shop\n" SOURCE "capture: [{tables: a.b, snapshot: never, key: ['${env:T_SECRET}', "
     "'${env:T_SECRET}']}]\n" SINK,
     "key: names the column \"***\" twice"},
    {"key excluded",
     "name: shop\n" SOURCE "capture: [{tables: a.b, snapshot: never, key: ['${env:T_SECRET}'], "
     "columns: {exclude: ['${env:T_SECRET}']}}]\n" SINK,
     "columns.exclude: \"***\" takes the key column \"***\", and without its values rows cannot be "
     "told apart: hash it, or choose other columns by `key:`"},
    {"column in two acts",
     "name: shop\n" SOURCE "capture: [{tables: a.b, snapshot: never, columns: {mask: "
     "['${env:T_SECRET}'], exclude: ['${env:T_SECRET}']}}]\n" SINK,
     "column \"***\" is in both columns.exclude and columns.mask: only one can be done with it"},
    {"updated_at masked",
     "name: shop\n" SOURCE "capture: [{tables: a.b, snapshot: never, updated_at: "
     "'${env:T_SECRET}', columns: {mask: ['${env:T_SECRET}']}}]\n" SINK,
     "updated_at: the values of \"***\" would be in __source_updated_at, but columns.mask (line 3) "
     "hides them"},
    {"secrets too short", "name: shop\nsecrets: {hash: '${env:T_SECRET}'}\n" REST,
     "secrets.hash: too short to keep what is hashed from being guessed: at least 16 bytes are "
     "wanted (`openssl rand -hex 32` makes some)"},
    {"registry's address", "name: shop\nregistry: {type: http, url: ['${env:T_SECRET}']}\n" REST,
     "registry.url: \"***\" does not begin with http:// or https://"},
    {"password in an address",
     "name: shop\nregistry: {type: http, url: ['http://u:" SECRET "@h:1']}\n" REST,
     "registry.url: \"***\" has a user or password in it: write them as `username` and "
     "`password`"},
    {"listen", "name: shop\nhttp: {listen: '${env:T_SECRET}'}\n" REST,
     "http.listen: \"***\" is no address and port, like 127.0.0.1:8480 or [::1]:8480"},
    {"listen for all", "name: shop\nhttp: {listen: '0.0.0.0:1${env:T_PORT}'}\n" REST,
     "http.listen: *** can be reached from other machines, and whoever reaches it can read the "
     "schemas and pause tables: set `http.token`, or listen on 127.0.0.1"},
    {"bool", "name: shop\n" SOURCE "capture: [{tables: a.b, skip: '${env:T_SECRET}'}]\n" SINK,
     "capture.skip: \"***\" is neither true nor false"},
};

static void test_hidden(void **state)
{
    const struct hidden_row *row = *state;
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    assert_int_equal(parse(row->yaml, strlen(row->yaml), &set, &err), CDC_FAIL);
    assert_string_equal(err.message, row->error);
    assert_null(strstr(err.message, SECRET));
}

static int setup(void **state)
{
    (void)state;
    return setenv("T_SECRET", SECRET, 1) || setenv("T_NAME", "shop", 1) ||
           setenv("T_NUMBER", "4711471147", 1) || setenv("T_PORT", "80", 1);
}

int main(void)
{
    const struct CMUnitTest own[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_secret_in_prefixes),
        cmocka_unit_test(test_secret_in_line_subsets),
        cmocka_unit_test(test_secret_in_changed_bytes),
    };
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(hidden) + CM_COUNT(own)];
    struct CMUnitTest *to = CM_ROWS(tests, test_row, rows);
    to = CM_ROWS(to, test_hidden, hidden);
    memcpy(to, own, sizeof own);
    return cmocka_run_group_tests_name("config_settings", tests, setup, NULL);
}
