/*
 * against.c - a replica's file against the private copy, at the commit that the file stands at.
 *
 * The file may be written meanwhile, and so may the sink. The feed is held to the file's commit
 * (its slot `until`), however much came behind it. The file is fixed once the copy has come to that
 * commit; if it has moved on by then, the copy follows it once more.
 */
#include "verify/internal.h"

#include <string.h>

static int tell(struct ver_run *run, struct ver_count *count, const struct cdc_difference *diff,
                struct cdc_error *err)
{
    static const char *const words[] = {"missing in replica", "not in lake", "differs"};
    uint64_t *const counts[] = {&count->missing, &count->extra, &count->differ};
    struct ver_line line = {.table = count->table,
                            .difference = words[diff->what],
                            .key = diff->key,
                            .columns = diff->columns,
                            .n = diff->n};
    ++*counts[diff->what];
    return ver_report(run, &line, err);
}

static int one_table(struct ver_run *run, struct cdc_diff *diff, const char *table,
                     struct cdc_error *err)
{
    struct ver_count count = {.table = table};
    struct cdc_difference found;
    int rc;
    if (run->opt->table && strcmp(run->opt->table, table) != 0)
        return CDC_OK;
    while ((rc = cdc_diff_next(diff, &found, &count.rows, err)) == CDC_OK)
        if (tell(run, &count, &found, err) || ver_stopped(run, err))
            return CDC_FAIL;
    if (rc != CDC_END || ver_flush(run, err))
        return CDC_FAIL;
    ver_count(run, &count);
    return CDC_OK;
}

static int all_tables(struct ver_run *run, struct cdc_diff *diff, struct cdc_error *err)
{
    const char *table;
    int rc;
    while ((rc = cdc_diff_table(diff, &table, err)) == CDC_OK)
        if (one_table(run, diff, table, err))
            return CDC_FAIL;
    return rc == CDC_END ? CDC_OK : rc;
}

int ver_against(struct ver_run *run, struct cdc_error *err)
{
    struct cdc_diff *diff = NULL;
    struct cdc_diff_at at = {0};
    int rc = cdc_diff_attach(run->rep, run->opt->replica, &diff, &at, err);
    if (rc != CDC_OK)
        return rc;
    ver_say(run, "%s stands at commit %llu", run->opt->replica, (unsigned long long)at.number);
    do {
        rc = ver_build_at(run, &at, err);
        if (rc == CDC_OK)
            rc = cdc_diff_begin(diff, &at, err);
    } while (rc == CDC_AGAIN);
    if (rc == CDC_OK)
        rc = all_tables(run, diff, err);
    cdc_diff_free(diff);
    return rc;
}
