/*
 * null.c - the sink that keeps nothing: rows are encoded by their plans, counted and dropped.
 *
 * For benchmarks (what does everything before a sink cost?) and for trying a source. The checkpoint
 * lives in memory: it survives a rewind, not the process.
 */
#include "cdc/plan.h"
#include "cdc/sink.h"

#include <stdlib.h>

extern const struct cdc_sink_ops cdc_sink_null;

#define ROW_MAX ((size_t)1 << 30)

static const struct cdc_option options[] = {{0}};

struct null {
    struct cdc_sink base;
    struct cdc_map map;
    struct cdc_buf row;
};

static int null_check(const struct cdc_config *cfg, struct cdc_report *report,
                      struct cdc_error *err)
{
    (void)cfg;
    (void)err;
    cdc_report(report, CDC_WARN, NULL, "sink null: rows are encoded and thrown away");
    return CDC_OK;
}

static int null_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    (void)cfg;
    struct null *null = calloc(1, sizeof *null);
    if (!null)
        return cdc_fail_oom(err);
    null->base.ops = &cdc_sink_null;
    cdc_buf_init(&null->row, ROW_MAX);
    *ret = &null->base;
    return CDC_OK;
}

static int null_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err)
{
    cdc_map_clear(ret);
    return cdc_map_merge(ret, &((struct null *)snk)->map) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static void null_policy(const struct cdc_sink *snk, struct cdc_commit_policy *ret)
{
    (void)snk;
    *ret = (struct cdc_commit_policy){
        .eager = true, .max_rows = 1000000, .idle_us = 10 * 1000000, .idle_bytes = 64 << 20};
}

static int null_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err)
{
    struct null *null = (struct null *)snk;
    struct cdc_record recs[CDC_RECORDS_MAX];
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        int n = cdc_plan_records(chg->table->plan, chg, batch->read_us, recs, err);
        if (n < 0)
            return CDC_FAIL;
        for (int k = 0; k < n; k++) {
            cdc_buf_reset(&null->row);
            if (cdc_plan_bytes(chg->table->plan, &recs[k], &null->row, err) < 0)
                return CDC_FAIL;
        }
    }
    return CDC_OK;
}

static int null_commit(struct cdc_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
                       struct cdc_error *err)
{
    (void)what;
    return cdc_map_apply(&((struct null *)snk)->map, delta) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static void null_close(struct cdc_sink *snk)
{
    struct null *null = (struct null *)snk;
    cdc_map_done(&null->map);
    cdc_buf_done(&null->row);
    free(null);
}

const struct cdc_sink_ops cdc_sink_null = {
    .name = "null",
    .doc = "Encodes every row and throws it away: for benchmarks. Remembers nothing.",
    .options = options,
    .caps = CDC_SINK_TX_ANY_SIZE | CDC_SINK_PLANS,
    .check = null_check,
    .open = null_open,
    .recover = null_recover,
    .policy = null_policy,
    .write = null_write,
    .commit = null_commit,
    .close = null_close,
};
