/*
 * console.c - the sink that prints: one line of JSON per record on standard output.
 *
 *   {"table":"public.users","op":"u","seq":"...","tx":"742","row":{"id":1,"name":"a"}}
 *
 * For looking at a source while trying things. A record is printed when it is written, before any
 * commit, so a rewind prints rows again; the checkpoint lives in memory and dies with the process.
 * Columns that the source did not send are left out of `row`, and the capture rule's `columns:` are
 * carried out; `row` is null for a range delete.
 */
#include "cdc/json.h"
#include "cdc/plan.h"
#include "cdc/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct cdc_sink_ops cdc_sink_console;

#define LINE_MAX_BYTES ((size_t)1 << 30)

static const struct cdc_option options[] = {{0}};

struct console {
    struct cdc_sink base;
    struct cdc_map map;
    struct cdc_buf line;
};

static int console_check(const struct cdc_config *cfg, struct cdc_report *report,
                         struct cdc_error *err)
{
    (void)cfg;
    (void)err;
    cdc_report(report, CDC_WARN, NULL, "sink console: rows are printed and not kept");
    return CDC_OK;
}

static int console_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    (void)cfg;
    struct console *con = calloc(1, sizeof *con);
    if (!con)
        return cdc_fail_oom(err);
    con->base.ops = &cdc_sink_console;
    cdc_buf_init(&con->line, LINE_MAX_BYTES);
    *ret = &con->base;
    return CDC_OK;
}

static int console_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err)
{
    cdc_map_clear(ret);
    return cdc_map_merge(ret, &((struct console *)snk)->map) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static void console_policy(const struct cdc_sink *snk, struct cdc_commit_policy *ret)
{
    (void)snk;
    *ret =
        (struct cdc_commit_policy){.eager = true, .idle_us = 10 * 1000000, .idle_bytes = 64 << 20};
}

static int print(struct cdc_buf *line, const struct cdc_record *rec, struct cdc_error *err)
{
    const struct cdc_table *tab = rec->change->table;
    const struct cdc_tx *tx = rec->change->tx;
    struct cdc_buf name = CDC_BUF(4096);
    cdc_buf_printf(&name, "%s.%s", tab->schema, tab->name);
    cdc_buf_reset(line);
    cdc_buf_str(line, "{\"table\":");
    cdc_json_string(line, cdc_buf_slice(&name));
    cdc_buf_done(&name);
    cdc_buf_printf(line, ",\"op\":\"%c\",\"seq\":\"%s\",\"tx\":", rec->op, rec->seq);
    if (tx && tx->id.p)
        cdc_json_string(line, tx->id);
    else
        cdc_buf_str(line, "null");
    cdc_buf_str(line, ",\"row\":");
    if (cdc_plan_json(tab->plan, rec, line, err) < 0)
        return CDC_FAIL;
    cdc_buf_str(line, "}\n");
    if (line->failed)
        return cdc_fail_oom(err);
    if (fwrite(line->p, 1, line->len, stdout) != line->len)
        return cdc_fail(err, CDC_FATAL, "standard output", "write: %s", strerror(errno));
    return CDC_OK;
}

static int console_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err)
{
    struct console *con = (struct console *)snk;
    struct cdc_record recs[CDC_RECORDS_MAX];
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        int n = cdc_plan_records(chg->table->plan, chg, batch->read_us, recs, err);
        if (n < 0)
            return CDC_FAIL;
        for (int k = 0; k < n; k++)
            if (print(&con->line, &recs[k], err) < 0)
                return CDC_FAIL;
    }
    if (fflush(stdout) != 0)
        return cdc_fail(err, CDC_FATAL, "standard output", "write: %s", strerror(errno));
    return CDC_OK;
}

static int console_commit(struct cdc_sink *snk, const struct cdc_map *delta,
                          enum cdc_commit_what what, struct cdc_error *err)
{
    (void)what;
    return cdc_map_apply(&((struct console *)snk)->map, delta) < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static void console_close(struct cdc_sink *snk)
{
    struct console *con = (struct console *)snk;
    cdc_map_done(&con->map);
    cdc_buf_done(&con->line);
    free(con);
}

const struct cdc_sink_ops cdc_sink_console = {
    .name = "console",
    .doc = "Prints every record as a line of JSON. Remembers nothing.",
    .options = options,
    .caps = CDC_SINK_TX_ANY_SIZE | CDC_SINK_PLANS,
    .check = console_check,
    .open = console_open,
    .recover = console_recover,
    .policy = console_policy,
    .write = console_write,
    .commit = console_commit,
    .close = console_close,
};
