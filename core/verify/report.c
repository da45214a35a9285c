/*
 * report.c - what verify tells: a JSON line per difference for programs, lines for people.
 */
#include "verify/internal.h"

#include "avro/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void ver_say(const struct ver_run *run, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(run->opt->log, fmt, args);
    va_end(args);
    fputc('\n', run->opt->log);
    fflush(run->opt->log);
}

int ver_report(struct ver_run *run, const struct ver_line *line, struct cdc_error *err)
{
    struct cdc_buf *buf = &run->line;
    run->result->differences++;
    if (run->printed >= run->opt->limit)
        return CDC_OK;
    run->printed++;
    cdc_buf_reset(buf);
    cdc_buf_str(buf, "{\"table\":");
    cdc_json_string(buf, cdc_slice_str(line->table));
    cdc_buf_str(buf, ",\"key\":");
    cdc_buf_put(buf, line->key.p, line->key.len);
    cdc_buf_printf(buf, ",\"difference\":\"%s\",\"columns\":[", line->difference);
    for (size_t i = 0; i < line->n; i++) {
        cdc_buf_str(buf, i ? "," : "");
        cdc_json_string(buf, cdc_slice_str(line->columns[i]));
    }
    cdc_buf_str(buf, "]}\n");
    if (buf->failed)
        return cdc_fail_oom(err);
    if (!run->spool)
        run->spool = tmpfile();
    if (!run->spool || fwrite(buf->p, 1, buf->len, run->spool) != buf->len)
        return cdc_fail(err, CDC_OPERATOR, "temporary file", "cannot write: %s", strerror(errno));
    return CDC_OK;
}

int ver_flush(struct ver_run *run, struct cdc_error *err)
{
    char chunk[16384];
    size_t n = 1;
    if (!run->spool)
        return CDC_OK;
    rewind(run->spool);
    while (n > 0 && (n = fread(chunk, 1, sizeof chunk, run->spool)) > 0)
        if (fwrite(chunk, 1, n, run->opt->out) != n)
            break;
    bool failed = ferror(run->spool) || n > 0 || fflush(run->opt->out) != 0;
    fclose(run->spool);
    run->spool = NULL;
    return failed
               ? cdc_fail(err, CDC_OPERATOR, "standard output", "cannot write: %s", strerror(errno))
               : CDC_OK;
}

static void put(struct cdc_buf *buf, uint64_t n, const char *what)
{
    if (n)
        cdc_buf_printf(buf, ", %" PRIu64 " %s", n, what);
}

void ver_count(struct ver_run *run, const struct ver_count *count)
{
    struct cdc_verify_result *all = run->result;
    struct cdc_buf text = CDC_BUF(4096);
    bool replica = run->opt->replica != NULL;
    cdc_buf_printf(&text, "%s: %" PRIu64 " rows compared", count->table, count->rows);
    put(&text, count->differ, "DIFFER");
    put(&text, count->missing, replica ? "MISSING in replica" : "MISSING in lake");
    put(&text, count->extra, replica ? "NOT IN LAKE" : "NOT IN SOURCE");
    put(&text, count->not_yet, "not captured yet (the table was never copied)");
    put(&text, count->unknown, "values unknown (the source did not send them)");
    put(&text, count->undecided, "cannot be compared");
    ver_say(run, "%s", cdc_buf_cstr(&text));
    cdc_buf_done(&text);
    all->tables++;
    all->rows += count->rows;
    all->unknown += count->unknown;
    all->not_yet += count->not_yet;
    all->undecided += count->undecided;
}

void ver_summary(const struct ver_run *run)
{
    const struct cdc_verify_result *all = run->result;
    struct cdc_buf text = CDC_BUF(4096);
    cdc_buf_printf(&text, "%s: %" PRIu64 " tables, %" PRIu64 " rows compared ",
                   all->differences ? "DIFFERENT"
                   : all->undecided ? "UNDECIDED"
                                    : "equal",
                   all->tables, all->rows);
    if (run->opt->replica)
        cdc_buf_printf(&text, "at commit %" PRIu64, run->last.number);
    else
        cdc_buf_printf(&text, "at %s", run->view->at);
    put(&text, all->differences, "differences");
    if (all->differences > run->printed)
        cdc_buf_printf(&text, " (%" PRIu64 " printed, see --limit)", run->printed);
    put(&text, all->not_yet, "rows not captured yet");
    put(&text, all->unknown, "values unknown");
    put(&text, all->undecided, "tables or rows undecided");
    put(&text, all->skipped, "tables skipped");
    put(&text, all->untouched, "tables of which nothing was captured yet");
    ver_say(run, "%s", cdc_buf_cstr(&text));
    cdc_buf_done(&text);
}
