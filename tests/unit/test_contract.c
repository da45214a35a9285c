/*
 * test_contract.c - the contract suites over every source and sink that needs no server. The
 * PostgreSQL source runs the same suite in tests/live.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../contract/contract.h"
#include "../fakes/fake.h"
#include "base/log.h"
#include "cm.h"

static struct cdc_settings *parse(const char *source, const char *sink)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "name: contract\nsource: {%s}\ncapture:\n  - {tables: '*.*', snapshot: never}\n"
             "sink: {%s}\n",
             source, sink);
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    if (cdc_settings_parse(cdc_slice_str(yaml), "contract.yaml", &set, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    return set;
}

static void example_up(struct cdc_settings **ret)
{
    *ret = parse("type: example, rows: 50, size: 3", "type: 'null'");
}

static struct fake_log log_world;
static struct fake_store store_world;
static const int sizes[] = {3, 1, 7, 2, 20, 1, 1, 5, 10};

static void fake_source_up(struct cdc_settings **ret)
{
    log_world = (struct fake_log){
        .sizes = sizes, .n_tx = sizeof sizes / sizeof *sizes, .created = "", .rows_per_batch = 4};
    fake_use(&log_world, NULL);
    *ret = parse("type: example", "type: 'null'");
    (*ret)->source = &fake_source_ops;
}

static void fake_sink_up(struct cdc_settings **ret)
{
    fake_store_init(&store_world);
    store_world.policy.idle_us = 1000000;
    store_world.policy.eager = true;
    fake_use(NULL, &store_world);
    *ret = parse("type: example", "type: 'null'");
}

static void fake_sink_down(void)
{
    fake_store_done(&store_world);
}

static void null_up(struct cdc_settings **ret)
{
    *ret = parse("type: example", "type: 'null'");
}

static char folder[64];

static void lake_up(struct cdc_settings **ret)
{
    char sink[128];
    strcpy(folder, "/tmp/contract.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(sink, sizeof sink, "type: lake, path: %s/lake, fsync: false", folder);
    *ret = parse("type: example", sink);
}

static void lake_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct source_fixture sources[] = {
        {"source contract: example", cdc_source_find("example"), example_up, NULL, NULL, 50, false},
        {"source contract: fake", &fake_source_ops, fake_source_up, NULL, NULL, 50, true},
    };
    const struct sink_fixture sinks[] = {
        {"sink contract: fake", &fake_sink_ops, fake_sink_up, fake_sink_down},
        {"sink contract: null", cdc_sink_find("null"), null_up, NULL},
        {"sink contract: lake", cdc_sink_find("lake"), lake_up, lake_down},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        failed += source_contract(&sources[i]);
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++)
        failed += sink_contract(&sinks[i]);
    return failed;
}
