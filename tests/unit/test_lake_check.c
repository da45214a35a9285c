/*
 * test_lake_check.c - the lake's options and its preflight: what `check` says of a folder, and that
 * it leaves nothing behind. Also the sinks console and null, through the same configuration.
 */
#include "base/log.h"
#include "config/settings.h"
#include "lake_rig.h"

static int load(const char *sink, struct cdc_settings **ret, struct cdc_error *err)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "name: shop\nsource: {type: example}\ncapture:\n  - {tables: '*.*', snapshot: never}\n"
             "sink: {%s}\n",
             sink);
    return cdc_settings_parse(cdc_slice_str(yaml), "test.yaml", ret, err);
}

/* The line of the configuration is wrong, or open says so. */
static const struct option_row {
    const char *name, *sink, *expect; /* NULL: fine */
} option_rows[] = {
    {"path alone", "type: lake, path: /tmp/x", NULL},
    {"all of them",
     "type: lake, path: /tmp/x, codec: zstandard, level: 19, block_bytes: 1MiB, max_file_bytes: "
     "1GiB, commit_interval: 0, max_rows: 5, idle_interval: 1h, idle_bytes: 1GiB, fsync: false",
     NULL},
    {"no path", "type: lake", "path"},
    {"empty path", "type: lake, path: ''", "path"},
    {"unknown codec", "type: lake, path: /tmp/x, codec: snappy", "codec"},
    {"deflate has no level 13", "type: lake, path: /tmp/x, level: 13", "1 to 12"},
    {"level 20", "type: lake, path: /tmp/x, codec: zstandard, level: 20", "level"},
    {"unknown option", "type: lake, path: /tmp/x, codek: none", "codek"},
};

static void test_options(void **state)
{
    const struct option_row *row = *state;
    struct cdc_settings *set = NULL;
    struct cdc_sink *snk = NULL;
    struct cdc_error err = {0};
    int rc = load(row->sink, &set, &err);
    if (rc == CDC_OK)
        rc = cdc_sink_lake.open(&set->config, &snk, &err);
    if (row->expect) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_CONFIG);
        if (!strstr(err.message, row->expect))
            fail_msg("%s", err.message);
    } else if (rc < 0) {
        fail_msg("%s", err.message);
    }
    if (snk)
        snk->ops->close(snk);
    cdc_settings_free(set);
}

static void test_defaults(void **state)
{
    (void)state;
    struct cdc_settings *set = NULL;
    struct cdc_sink *snk = NULL;
    struct cdc_error err = {0};
    struct cdc_commit_policy policy;
    assert_int_equal(load("type: lake, path: /tmp/x", &set, &err), CDC_OK);
    assert_int_equal(cdc_sink_lake.open(&set->config, &snk, &err), CDC_OK);
    cdc_sink_lake.policy(snk, &policy);
    assert_int_equal(policy.interval_us, 10000000);
    assert_int_equal(policy.max_rows, 1000000);
    assert_int_equal(policy.idle_us, 60000000);
    assert_int_equal(policy.idle_bytes, 64 << 20);
    assert_true(((struct lake *)snk)->set.sync);
    assert_int_equal(((struct lake *)snk)->set.codec, CDC_CODEC_DEFLATE);
    snk->ops->close(snk);
    cdc_settings_free(set);
}

static const struct check_row {
    const char *name, *how, *expect; /* a line of the report */
} check_rows[] = {
    {"empty folder", "true", "empty, will be made"},
    {"no folder", "rmdir ../$(basename $PWD)", "can be written"},
    {"somebody's folder", "touch notes", "FAIL"},
    {"a lake of ours", "mkdir _cdc && echo '{\"v\":1,\"name\":\"shop\"}' > _cdc/format.json",
     "belongs to this pipeline"},
    {"a lake of another", "mkdir _cdc && echo '{\"v\":1,\"name\":\"store\"}' > _cdc/format.json",
     "belongs to the pipeline `store`"},
    {"damaged", "mkdir _cdc && echo '{' > _cdc/format.json", "FAIL"},
    {"nobody at it",
     "mkdir _cdc && echo '{\"v\":1,\"name\":\"shop\"}' > _cdc/format.json && touch _cdc/lock",
     "nobody else"},
    {"room", "true", "MiB free"},
};

static char *check(const char *root)
{
    char sink[128], *text = NULL;
    size_t len;
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    FILE *out = open_memstream(&text, &len);
    struct cdc_report *report = cdc_report_new(out);
    snprintf(sink, sizeof sink, "type: lake, path: %s", root);
    assert_int_equal(load(sink, &set, &err), CDC_OK);
    assert_int_equal(cdc_sink_lake.check(&set->config, report, &err), CDC_OK);
    cdc_report_free(report);
    fclose(out);
    cdc_settings_free(set);
    return text;
}

static void test_check(void **state)
{
    const struct check_row *row = *state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    bool there = access(rig.root, F_OK) == 0;
    int n = there ? rig_count(&rig, "") : 0;
    char *text = check(rig.root);
    if (!strstr(text, row->expect))
        fail_msg("%s", text);
    free(text);
    assert_int_equal(access(rig.root, F_OK) == 0, there);
    if (there)
        assert_int_equal(rig_count(&rig, ""), n);
    rig_done(&rig);
}

static void test_check_names_the_holder(void **state)
{
    (void)state;
    struct rig rig;
    char pid[32];
    rig_init(&rig);
    rig_start(&rig);
    char *text = check(rig.root);
    snprintf(pid, sizeof pid, "held by pid %ld", (long)getpid());
    assert_non_null(strstr(text, pid));
    assert_null(strstr(text, "FAIL"));
    free(text);
    rig_done(&rig);
}

/* Three rows through a sink that keeps nothing: what it printed. free() it. */
static char *print_rows(const char *type)
{
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    struct cdc_sink *snk = NULL;
    struct cdc_map delta, back;
    struct cdc_table *tab = rig_table("public", "words", 1);
    struct cdc_pool *pool = cdc_pool_new((size_t)1 << 24, 65536);
    struct cdc_batch *batch = cdc_pool_batch(pool);
    char path[] = "/tmp/lakeout.XXXXXX", *text = calloc(1, 4096);
    int file = mkstemp(path), out = dup(1);
    assert_int_equal(load(type, &set, &err), CDC_OK);
    assert_int_equal(set->sink->open(&set->config, &snk, &err), CDC_OK);
    for (int i = 1; i <= 3; i++)
        rig_change(batch, tab, i);
    batch->changes[2].op = CDC_OP_RANGE;
    batch->changes[2].after = NULL;
    fflush(stdout);
    assert_true(dup2(file, 1) >= 0);
    int rc = set->sink->write(snk, batch, &err);
    assert_true(dup2(out, 1) >= 0);
    assert_int_equal(rc, CDC_OK);
    cdc_map_init(&delta);
    cdc_map_init(&back);
    assert_int_equal(cdc_map_put_text(&delta, "position", cdc_slice_str("p")), CDC_OK);
    assert_int_equal(set->sink->commit(snk, &delta, CDC_COMMIT_ALL, &err), CDC_OK);
    assert_int_equal(set->sink->recover(snk, &back, &err), CDC_OK);
    assert_int_equal(back.n, 1); /* kept over a rewind */
    assert_true(pread(file, text, 4095, 0) >= 0);
    close(file);
    close(out);
    unlink(path);
    cdc_map_done(&delta);
    cdc_map_done(&back);
    cdc_batch_unref(batch);
    cdc_pool_free(pool);
    snk->ops->close(snk);
    cdc_table_unref(tab);
    cdc_settings_free(set);
    return text;
}

static void test_console_prints_lines(void **state)
{
    (void)state;
    char *text = print_rows("type: console");
    assert_string_equal(
        text,
        "{\"table\":\"public.words\",\"op\":\"c\",\"seq\":\"00000001-000000000000000000000001-"
        "000000000001\",\"tx\":null,\"row\":{\"id\":1,\"word\":\"word\"}}\n"
        "{\"table\":\"public.words\",\"op\":\"c\",\"seq\":\"00000001-000000000000000000000002-"
        "000000000001\",\"tx\":null,\"row\":{\"id\":2,\"word\":\"word\"}}\n"
        "{\"table\":\"public.words\",\"op\":\"t\",\"seq\":\"00000001-000000000000000000000003-"
        "000000000001\",\"tx\":null,\"row\":null}\n");
    free(text);
}

static void test_null_prints_nothing(void **state)
{
    (void)state;
    char *text = print_rows("type: 'null'");
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    struct CMUnitTest tests[CM_COUNT(option_rows) + CM_COUNT(check_rows) + 4];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_check_names_the_holder),
        cmocka_unit_test(test_console_prints_lines),
        cmocka_unit_test(test_null_prints_nothing),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_options, option_rows);
    to = CM_ROWS(to, test_check, check_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake check, console, null", tests, NULL, NULL);
}
