/*
 * verify.c - the order of things (verify.h), and which tables can be compared at all.
 *
 *   a table                          what becomes of it
 *   without state in the checkpoint  nothing of it was captured: said, not compared
 *   without key, insert_only         skipped: no row of it can be told from another, or be up to
 *                                    date
 *   with a gap, paused, being copied undecided
 *   generation 0 (never copied)      a row that the lake never heard of is "not captured yet"
 *   in the lake, not at the source   all its live rows are "not in source"
 *
 * Tables of the lake that the source does not have are those the copy had before the view was
 * opened: one made after the look at the tables is not in the view and no fault.
 */
#include "verify/internal.h"

#include "cdc/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POOL_BYTES  ((size_t)16 << 20)
#define BATCH_BYTES ((size_t)1 << 20)
#define SLICE_US    100000

int ver_stopped(const struct ver_run *run, struct cdc_error *err)
{
    if (!run->opt->stop || !*run->opt->stop)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, run->opt->cfg->name, "stopped before it was done");
}

int ver_nap(const struct ver_run *run, int64_t until_us, struct cdc_error *err)
{
    for (;;) {
        int64_t left = until_us - cdc_mono_us();
        if (ver_stopped(run, err))
            return CDC_FAIL;
        if (left <= 0)
            return CDC_OK;
        long ns = (long)(left < SLICE_US ? left : SLICE_US) * 1000;
        nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    }
}

static void read_state(const struct ver_run *run, const char *table, const struct cdc_rule *rule,
                       struct ver_state *ret)
{
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "table/%s", table);
    const char *name = cdc_buf_cstr(&key);
    struct cdc_slice text = cdc_slice_of(NULL, 0);
    if (name)
        text = cdc_map_get(run->opt->feed->checkpoint(run->feed), name);
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    json_t *gap = json_object_get(json, "gap");
    const char *state = json_string_value(json_object_get(json, "state"));
    const char *hash = json_string_value(json_object_get(json, "rule"));
    *ret =
        (struct ver_state){.known = json != NULL,
                           .streaming = state && strcmp(state, "streaming") == 0,
                           .other_rule = hash && rule && strcmp(hash, rule->hash) != 0,
                           .gap = gap && !json_is_null(gap) && !json_is_false(gap),
                           .generation = json_integer_value(json_object_get(json, "generation"))};
    json_decref(json);
    cdc_buf_done(&key);
}

/* Says so and counts. */
static int skip(struct ver_run *run, const char *table, uint64_t *counter, const char *why)
{
    ver_say(run, "%s: not compared: %s", table, why);
    if (counter)
        ++*counter;
    return CDC_OK;
}

static int compare_table(struct ver_run *run, size_t at, const char *name, struct cdc_error *err)
{
    const struct cdc_table *tab = run->view->tables[at];
    struct cdc_verify_result *all = run->result;
    struct ver_count count = {.table = name};
    struct ver_state state;
    read_state(run, name, tab->rule, &state);
    if (tab->rule && tab->rule->insert_only)
        return skip(run, name, &all->skipped, "`insert_only`, its updates are not captured");
    if (tab->n_key == 0)
        return skip(run, name, &all->skipped, "it has no key (give it one with `key:`)");
    if (!state.known)
        return skip(run, name, &all->untouched, "no change of it was captured so far");
    if (state.gap || !state.streaming)
        return skip(run, name, &all->undecided, "changes of it are missing (gap), or it is paused");
    if (cdc_map_get(&run->copying, name).p)
        return skip(run, name, &all->undecided, "it was copied meanwhile; run the command again");
    if (state.other_rule)
        ver_say(run,
                "%s: its capture rule was changed, and no change of the table came since: what is "
                "in the lake was written by the old rule",
                name);
    struct cdc_error why = {0};
    int rc = ver_table(run, at, &state, &count, &why);
    if (ver_flush(run, err))
        return CDC_FAIL;
    if (rc == CDC_AGAIN)
        return skip(run, name, &all->undecided, why.message);
    if (rc == CDC_OK)
        ver_count(run, &count);
    else
        *err = why;
    return rc;
}

static int compare_tables(struct ver_run *run, struct cdc_error *err)
{
    struct cdc_buf name = CDC_BUF(4096);
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < run->view->n; i++) {
        cdc_buf_reset(&name);
        cdc_buf_printf(&name, "%s.%s", run->view->tables[i]->schema, run->view->tables[i]->name);
        const char *text = cdc_buf_cstr(&name);
        rc = text ? compare_table(run, i, text, err) : cdc_fail_oom(err);
    }
    cdc_buf_done(&name);
    return rc;
}

static bool in_view(const struct ver_run *run, const char *table)
{
    size_t n;
    for (size_t i = 0; i < run->view->n; i++) {
        const struct cdc_table *tab = run->view->tables[i];
        n = strlen(tab->schema);
        if (strncmp(table, tab->schema, n) == 0 && table[n] == '.' &&
            strcmp(table + n + 1, tab->name) == 0)
            return true;
    }
    return false;
}

/* The rule that takes "schema.name", split at the first dot as rules are; NULL: none. */
static const struct cdc_rule *rule_of(const struct ver_run *run, const char *table)
{
    const char *dot = strchr(table, '.');
    char *schema = dot ? strndup(table, (size_t)(dot - table)) : NULL;
    const struct cdc_rule *rule =
        schema ? cdc_capture_match(run->opt->cfg->capture, schema, dot + 1) : NULL;
    free(schema);
    return rule;
}

/* A table that is captured, is in the lake, and is gone at the source. */
static int compare_gone(struct ver_run *run, const char *table, struct cdc_error *err)
{
    const struct cdc_rule *rule = rule_of(run, table);
    struct ver_count count = {.table = table};
    struct cdc_compare *cmp = NULL;
    if (!rule)
        return skip(run, table, NULL, "it is not captured any more");
    if (rule->insert_only)
        return CDC_OK;
    int rc = cdc_compare_begin(run->rep, table, NULL, &cmp, err);
    if (rc == CDC_OK)
        rc = ver_rest(run, cmp, &count, err);
    cdc_compare_free(cmp);
    if (rc == CDC_OK)
        rc = ver_flush(run, err);
    if (rc == CDC_OK)
        ver_count(run, &count);
    return rc;
}

static int compare_all(struct ver_run *run, struct cdc_error *err)
{
    int rc = compare_tables(run, err);
    for (size_t i = 0; rc == CDC_OK && i < run->n_before; i++)
        if (!in_view(run, run->before[i]))
            rc = compare_gone(run, run->before[i], err);
    return rc;
}

/* From here on the copy takes nothing of the view's place or later. */
static int set_end(struct ver_run *run, struct cdc_error *err)
{
    run->state.incarnation = ver_incarnation(run);
    snprintf(run->end, sizeof run->end, "%08x-%.24s", run->state.incarnation, run->view->place);
    if (run->newest[0] && memcmp(run->newest, run->end, VER_PLACE) >= 0)
        return cdc_fail(err, CDC_OPERATOR, run->opt->cfg->name,
                        "changes were captured that lie behind the source's present end (%s): it "
                        "is another server, or a restored backup",
                        run->view->at);
    return CDC_OK;
}

static int open_view(struct ver_run *run, int64_t deadline_us, struct cdc_error *err)
{
    struct cdc_view_options opt = {.checkpoint = run->opt->feed->checkpoint(run->feed),
                                   .table = run->opt->table,
                                   .deadline_us = deadline_us,
                                   .stop = run->opt->stop};
    if (run->opt->view->open(run->opt->cfg, &opt, &run->view, err) < 0)
        return CDC_FAIL;
    if (run->opt->table && run->view->n == 0 && run->n_before == 0)
        return cdc_fail(err, CDC_CONFIG, "--table",
                        "%s is no captured table: wanted is schema.table, as in public.users",
                        run->opt->table);
    return set_end(run, err);
}

static int against_source(struct ver_run *run, struct cdc_error *err)
{
    run->pool = cdc_pool_new(POOL_BYTES, BATCH_BYTES);
    if (!run->pool)
        return cdc_fail_oom(err);
    ver_say(run, "reading what is committed");
    if (ver_build_all(run, err) || cdc_compare_tables(run->rep, &run->before, &run->n_before, err))
        return CDC_FAIL;
    int64_t deadline = cdc_mono_us() + run->opt->timeout_us;
    if (open_view(run, deadline, err))
        return CDC_FAIL;
    ver_say(run, "comparing with the source as it was at %s", run->view->at);
    return ver_build_covering(run, deadline, err) ? CDC_FAIL : compare_all(run, err);
}

static int check(const struct cdc_verify_options *opt, struct cdc_error *err)
{
    if (!opt->replica && !opt->view)
        return cdc_fail(
            err, CDC_CONFIG, opt->cfg->path,
            "this source cannot be looked at; compare a replica with --replica FILE.db");
    if (!opt->replica && !opt->feed->checkpoint)
        return cdc_fail(err, CDC_CONFIG, opt->cfg->path, "this sink cannot be compared");
    return CDC_OK;
}

static void close_all(struct ver_run *run)
{
    if (run->view)
        run->opt->view->close(run->view);
    if (run->feed)
        run->opt->feed->close(run->feed);
    free((void *)(uintptr_t)run->before);
    cdc_replica_close(run->rep);
    if (run->pool)
        cdc_pool_free(run->pool);
    cdc_map_done(&run->copying);
    cdc_buf_done(&run->line);
    if (run->spool)
        fclose(run->spool);
}

int cdc_verify(const struct cdc_verify_options *opt, struct cdc_verify_result *ret,
               struct cdc_error *err)
{
    struct ver_run run = {.opt = opt, .result = ret, .line = CDC_BUF(SIZE_MAX / 2)};
    struct cdc_error local = {0};
    *ret = (struct cdc_verify_result){0};
    cdc_map_init(&run.copying);
    int rc = check(opt, &local);
    if (rc == CDC_OK)
        rc = cdc_replica_temporary(opt->cfg->name, &run.rep, &local);
    if (rc == CDC_OK)
        rc = opt->feed->open(opt->cfg, NULL, &(struct cdc_feed_start){.whole = true}, &run.feed,
                             &local);
    if (rc == CDC_OK)
        rc = opt->replica ? ver_against(&run, &local) : against_source(&run, &local);
    if (rc == CDC_OK)
        ver_summary(&run);
    else if (err)
        *err = local;
    close_all(&run);
    return rc;
}
