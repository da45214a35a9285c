/*
 * replica.c - the loop: feed -> rows -> SQLite, and whether the feed is still the same one.
 *
 * The database remembers the token of the last commit that it applied, and the feed goes on behind
 * it or refuses: a lake (or its like) that was restored, or made anew under the same name, is not
 * mixed in.
 *
 * Commits of the feed are grouped into one SQLite transaction until it holds max_rows or is a
 * second old, and the group ends at once when the feed has nothing more: a busy feed pays one write
 * of the log for many commits, a quiet one is seen without delay.
 *
 * A commit is applied whole or not at all, and may be as large as all there is. Whoever stops the
 * run need not wait for the end of such a one: what is not durable is left, and read again later.
 */
#include "replica/internal.h"

#include "avro/json.h"
#include "cdc/clock.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROWS       50000
#define GROUP_US       1000000
#define LOOK_US        200000
#define BACKOFF_US     100000
#define BACKOFF_MAX_US 30000000

static int open_at(const char *path, bool temporary, const char *feed, struct cdc_replica **ret,
                   struct cdc_error *err)
{
    struct cdc_replica *rep = calloc(1, sizeof *rep);
    if (!rep)
        return cdc_fail_oom(err);
    rep->temporary = temporary;
    rep->path = strdup(path);
    rep->feed = strdup(feed);
    rep->kept = rep_kept_new();
    cdc_buf_init(&rep->sql, REP_SQL_MAX);
    cdc_buf_init(&rep->text, SIZE_MAX / 2);
    cdc_buf_init(&rep->key, SIZE_MAX / 2);
    int status = rep->path && rep->feed && rep->kept ? rep_db_open(rep, err) : cdc_fail_oom(err);
    if (status)
        cdc_replica_close(rep);
    else
        *ret = rep;
    return status;
}

int cdc_replica_open(const char *path, const char *feed, struct cdc_replica **ret,
                     struct cdc_error *err)
{
    return open_at(path, false, feed, ret, err);
}

int cdc_replica_temporary(const char *feed, struct cdc_replica **ret, struct cdc_error *err)
{
    return open_at("the private copy", true, feed, ret, err);
}

void cdc_replica_close(struct cdc_replica *rep)
{
    if (!rep)
        return;
    rep_tables_free(rep);
    rep_kept_free(rep->kept);
    sqlite3_close(rep->db); /* rolls back */
    free(rep->position);
    free(rep->at);
    free(rep->token);
    free(rep->next_position);
    free(rep->next_at);
    free(rep->next_token);
    cdc_buf_done(&rep->sql);
    cdc_buf_done(&rep->text);
    cdc_buf_done(&rep->key);
    free(rep->path);
    free(rep->feed);
    free(rep);
}

uint64_t cdc_replica_number(const struct cdc_replica *rep)
{
    return rep->number;
}

/* "": unknown. */
static char *at_text(int64_t at_us)
{
    if (at_us == 0)
        return strdup("");
    struct cdc_buf buf = CDC_BUF(64);
    struct cdc_value val = {.kind = CDC_TIMESTAMPTZ, .i = at_us};
    cdc_text_value(&buf, &val, 0);
    const char *text = cdc_buf_cstr(&buf);
    char *ret = text ? strdup(text) : NULL;
    cdc_buf_done(&buf);
    return ret;
}

int cdc_replica_done(struct cdc_replica *rep, const struct cdc_feed_commit *commit,
                     uint64_t max_rows, struct cdc_error *err)
{
    if (rep_begin(rep, err))
        return CDC_FAIL;
    free(rep->next_position);
    free(rep->next_at);
    free(rep->next_token);
    rep->next = commit->number;
    rep->next_position = strdup(commit->to);
    rep->next_at = at_text(commit->at_us);
    rep->next_token = strdup(commit->token);
    if (!rep->next_position || !rep->next_at || !rep->next_token)
        return cdc_fail_oom(err);
    return rep->rows >= max_rows ? rep_commit(rep, err) : CDC_OK;
}

int cdc_replica_flush(struct cdc_replica *rep, struct cdc_error *err)
{
    return rep->in_tx && rep->next != rep->number ? rep_commit(rep, err) : CDC_OK;
}

struct run {
    const struct cdc_feed_ops *ops;
    const struct cdc_config *cfg;
    const struct cdc_replica_options *opt;
    struct cdc_replica_result *result;
    struct cdc_replica *rep;
    struct cdc_feed *feed;
    uint64_t max_rows;
    uint64_t commits, rows; /* applied, and not durable yet */
    int64_t fresh_us;       /* when the last group ended */
    char name[128];         /* as a reader of the feed; "" not made yet */
};

static bool stopped(const struct run *run)
{
    return run->opt->stop && *run->opt->stop;
}

/* Waits in slices, so that a stop is seen soon whoever gets the signal. */
static void nap(const struct run *run, int64_t us)
{
    for (int64_t end = cdc_mono_us() + us; !stopped(run);) {
        int64_t left = end - cdc_mono_us();
        if (left <= 0)
            return;
        int64_t slice = left < LOOK_US ? left : LOOK_US;
        nanosleep(&(struct timespec){.tv_nsec = (long)slice * 1000}, NULL);
    }
}

/*
 * What the feed knows this replica by: its file's name, and a hash of where that lies, so that two
 * of them are two readers.
 */
static void name_reader(struct run *run)
{
    char host[128] = "?", path[PATH_MAX];
    uint64_t hash = 0xcbf29ce484222325u;
    const char *whole = realpath(run->opt->path, path) ? path : run->opt->path;
    const char *leaf = strrchr(whole, '/'), *parts[] = {host, ":", whole};
    gethostname(host, sizeof host - 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *p = parts[i]; *p; p++)
            hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    int n = snprintf(run->name, sizeof run->name, "replica-%.60s", leaf ? leaf + 1 : whole);
    for (char *p = run->name; *p; p++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-", *p))
            *p = '_';
    snprintf(run->name + n, sizeof run->name - (size_t)n, "-%016" PRIx64, hash);
}

/* How far the database is, so that retention waits for it. */
static void tell(struct run *run, bool last)
{
    if (!run->ops->applied)
        return;
    if (!run->name[0])
        name_reader(run);
    run->ops->applied(run->feed, run->name, run->rep->number, last);
}

static int open_both(struct run *run, struct cdc_error *err)
{
    if (cdc_replica_open(run->opt->path, run->cfg->name, &run->rep, err))
        return CDC_FAIL;
    const struct cdc_feed_start start = {.token = run->rep->token,
                                         .whole = run->rep->token == NULL};
    run->result->number = run->rep->number;
    run->commits = run->rows = 0;
    run->fresh_us = cdc_mono_us();
    if (run->ops->open(run->cfg, NULL, &start, &run->feed, err))
        return CDC_FAIL;
    tell(run, false);
    return CDC_OK;
}

static void close_both(struct run *run)
{
    if (run->feed) {
        tell(run, true);
        run->ops->close(run->feed);
    }
    cdc_replica_close(run->rep);
    run->feed = NULL;
    run->rep = NULL;
}

/* What was applied is durable, if it is. */
static void settle(struct run *run)
{
    if (run->rep->number != run->rep->next)
        return;
    run->result->number = run->rep->number;
    run->result->commits += run->commits;
    run->result->rows += run->rows;
    run->commits = run->rows = 0;
    run->fresh_us = cdc_mono_us();
    tell(run, false);
}

/* The rows of the commit that the feed stands at. CDC_END: all; CDC_AGAIN: left in the middle. */
static int apply_rows(struct run *run, struct cdc_error *err)
{
    struct cdc_feed_row row = {0};
    int status;
    for (uint64_t n = 0; (status = run->ops->row(run->feed, NULL, &row, err)) == CDC_OK; n++) {
        if (n >= run->max_rows && stopped(run))
            return CDC_AGAIN;
        if (cdc_replica_apply(run->rep, &row, err))
            return CDC_FAIL;
        run->rows++;
    }
    return status;
}

/* One commit of the feed. CDC_AGAIN: none yet; CDC_END: left, nothing more may be done. */
static int one_commit(struct run *run, struct cdc_error *err)
{
    struct cdc_feed_commit commit = {0};
    int status = run->ops->commit(run->feed, &commit, err);
    if (status != CDC_OK)
        return status;
    status = apply_rows(run, err);
    if (status != CDC_END)
        return status == CDC_AGAIN ? CDC_END : CDC_FAIL;
    run->commits++;
    bool late = cdc_mono_us() - run->fresh_us >= GROUP_US;
    if (cdc_replica_done(run->rep, &commit, late ? 0 : run->max_rows, err))
        return CDC_FAIL;
    settle(run);
    return CDC_OK;
}

static int flush(struct run *run, struct cdc_error *err)
{
    if (cdc_replica_flush(run->rep, err))
        return CDC_FAIL;
    settle(run);
    return CDC_OK;
}

static int follow(struct run *run, struct cdc_error *err)
{
    while (!stopped(run)) {
        int status = one_commit(run, err);
        if (status == CDC_FAIL)
            return CDC_FAIL;
        if (status == CDC_END)
            return CDC_OK;
        if (status == CDC_OK)
            continue;
        if (flush(run, err))
            return CDC_FAIL;
        if (run->opt->until_caught_up)
            return CDC_OK;
        nap(run, LOOK_US);
    }
    return flush(run, err);
}

int cdc_replica_run(const struct cdc_feed_ops *ops, const struct cdc_config *cfg,
                    const struct cdc_replica_options *opt, struct cdc_replica_result *ret,
                    struct cdc_error *err)
{
    struct run run = {.ops = ops, .cfg = cfg, .opt = opt, .result = ret};
    run.max_rows = opt->max_rows ? opt->max_rows : MAX_ROWS;
    *ret = (struct cdc_replica_result){0};
    for (int64_t wait_us = BACKOFF_US;;) {
        struct cdc_error local = {0};
        uint64_t before = ret->commits;
        int status = open_both(&run, &local);
        if (!status)
            status = follow(&run, &local);
        close_both(&run);
        bool again = local.action == CDC_RETRY || local.action == CDC_REWIND;
        if (status == CDC_OK || (again && stopped(&run)))
            return CDC_OK;
        if (!again) {
            if (err)
                *err = local;
            return CDC_FAIL;
        }
        if (ret->commits > before)
            wait_us = BACKOFF_US;
        cdc_log(CDC_LOG_WARN, "replica: %s%s%s; trying again", local.where,
                local.where[0] ? ": " : "", local.message);
        nap(&run, wait_us);
        wait_us = wait_us * 2 < BACKOFF_MAX_US ? wait_us * 2 : BACKOFF_MAX_US;
    }
}
