/*
 * build.c - the private copy: commits of the feed into a temporary replica (internal.h).
 *
 * Deletes are always kept as marks, whatever a table's rule says: a key that was deleted is then
 * told from one never heard of. Only against a replica's file the rule's own mode is used.
 *
 * Rows that a snapshot read after the view was opened may hold more than the view; the table they
 * belong to is remembered, and not compared.
 */
#include "verify/internal.h"

#include "cdc/clock.h"

#include <stdlib.h>
#include <string.h>

#define TX_ROWS 200000 /* in one SQLite transaction */
#define LOOK_US 200000
#define SAY_US  15000000

uint32_t ver_incarnation(const struct ver_run *run)
{
    struct cdc_slice text = cdc_map_get(run->opt->feed->checkpoint(run->feed), "incarnation");
    char number[24] = "1";
    if (text.p && text.len < sizeof number) {
        memcpy(number, text.p, text.len);
        number[text.len] = '\0';
    }
    return (uint32_t)strtoul(number, NULL, 10);
}

static const struct cdc_value *meta(const struct cdc_feed_row *row, enum cdc_meta m)
{
    static const struct cdc_value none = {.kind = CDC_NULL};
    int at = row->schema->meta[m];
    return at < 0 ? &none : &row->values[at];
}

/* A row of a snapshot that began after the view was opened, or may have. */
static int note_copying(struct ver_run *run, const struct cdc_feed_row *row)
{
    struct cdc_buf name = CDC_BUF(4096);
    cdc_buf_printf(&name, "%s.%s", row->schema->table_schema, row->schema->table_name);
    int rc = name.failed ? CDC_FAIL
                         : cdc_map_put(&run->copying, cdc_buf_slice(&name), cdc_slice_str("true"));
    cdc_buf_done(&name);
    return rc;
}

/* Does the row lie before the view's place? Rows that are none are left to the replica to refuse.
 */
static int place(struct ver_run *run, const struct cdc_feed_row *row, bool *ret,
                 struct cdc_error *err)
{
    const struct cdc_value *seq = meta(row, CDC_META_SEQ), *op = meta(row, CDC_META_OP);
    *ret = true;
    if (seq->kind != CDC_TEXT || seq->len != CDC_SEQ_LEN)
        return CDC_OK;
    if (run->end[0] && op->kind == CDC_TEXT && op->len == 1 && op->p[0] == CDC_OP_READ &&
        note_copying(run, row) < 0)
        return cdc_fail_oom(err);
    *ret = !run->end[0] || memcmp(seq->p, run->end, VER_PLACE) < 0;
    if (*ret && (!run->newest[0] || memcmp(seq->p, run->newest, VER_PLACE) > 0))
        memcpy(run->newest, seq->p, VER_PLACE);
    return CDC_OK;
}

static int apply(struct ver_run *run, struct cdc_feed_row *row, struct cdc_error *err)
{
    bool wanted;
    if (place(run, row, &wanted, err) < 0)
        return CDC_FAIL;
    if (!wanted)
        return CDC_OK;
    if (!run->opt->replica)
        row->deletes = CDC_DELETES_SOFT;
    return cdc_replica_apply(run->rep, row, err);
}

int ver_build_commit(struct ver_run *run, struct cdc_error *err)
{
    struct cdc_feed_commit commit = {0};
    int rc = run->opt->feed->commit(run->feed, &commit, err);
    if (rc != CDC_OK)
        return rc;
    struct cdc_feed_row row = {0};
    while ((rc = run->opt->feed->row(run->feed, run->opt->table, &row, err)) == CDC_OK)
        if (apply(run, &row, err) || ver_stopped(run, err))
            return CDC_FAIL;
    if (rc == CDC_FAIL || cdc_replica_done(run->rep, &commit, TX_ROWS, err))
        return CDC_FAIL;
    run->last.number = commit.number;
    return CDC_OK;
}

int ver_build_all(struct ver_run *run, struct cdc_error *err)
{
    int rc = CDC_OK;
    while (rc == CDC_OK)
        rc = ver_stopped(run, err) ? CDC_FAIL : ver_build_commit(run, err);
    return rc == CDC_AGAIN ? CDC_OK : rc;
}

static int late(struct ver_run *run, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(4096);
    const struct cdc_map *checkpoint = run->opt->feed->checkpoint(run->feed);
    bool known = cdc_map_get_text(checkpoint, "position", &text, NULL) == CDC_OK;
    int rc = cdc_fail(err, CDC_OPERATOR, run->opt->cfg->name,
                      "what is committed (position %s) did not come to the place of the comparison "
                      "(%s) in time; is `sidestream run` running and without errors? --timeout "
                      "sets how long to wait",
                      known ? cdc_buf_cstr(&text) : "none", run->view->at);
    cdc_buf_done(&text);
    return rc;
}

static int covers(struct ver_run *run, struct cdc_error *err)
{
    int rc = run->opt->view->covers(run->view, run->opt->feed->checkpoint(run->feed), err);
    if (rc == CDC_OK && ver_incarnation(run) != run->state.incarnation)
        return cdc_fail(err, CDC_OPERATOR, run->opt->cfg->name,
                        "the source was replaced while the command ran; run it again");
    return rc;
}

int ver_build_covering(struct ver_run *run, int64_t deadline_us, struct cdc_error *err)
{
    int64_t say_us = 0;
    for (;;) {
        int rc = covers(run, err);
        if (rc != CDC_AGAIN)
            return rc;
        rc = ver_build_commit(run, err);
        if (rc == CDC_FAIL || ver_stopped(run, err))
            return CDC_FAIL;
        if (cdc_mono_us() >= deadline_us)
            return late(run, err);
        if (cdc_mono_us() >= say_us && rc == CDC_AGAIN) {
            ver_say(run,
                    "waiting until everything up to %s is committed (commit %llu is the last; a "
                    "running sidecar commits an idle position within a minute)",
                    run->view->at, (unsigned long long)run->last.number);
            say_us = cdc_mono_us() + SAY_US;
        }
        if (rc == CDC_AGAIN && ver_nap(run, cdc_mono_us() + LOOK_US, err))
            return CDC_FAIL;
    }
}

/* The feed stands before the replica's commit and has no more, or beyond it. */
static int passed_by(const struct ver_run *run, uint64_t number, struct cdc_error *err)
{
    unsigned long long want = number, have = run->last.number;
    if (have < want)
        return cdc_fail(err, CDC_OPERATOR, run->opt->replica,
                        "the replica has applied commit %llu, which is not there (commit %llu is): "
                        "it was built from something else, or what it was built from was restored. "
                        "Another replica file is built from the start",
                        want, have);
    return cdc_fail(err, CDC_OPERATOR, run->opt->replica,
                    "the replica stands at commit %llu, and the sink gives it together with later "
                    "ones (up to %llu) alone: bring the replica up to date (`sidestream replica "
                    "--until-caught-up`) while nothing is captured, and compare then",
                    want, have);
}

int ver_build_at(struct ver_run *run, const struct cdc_diff_at *at, struct cdc_error *err)
{
    const struct cdc_feed_ops *ops = run->opt->feed;
    uint64_t number = at->number;
    if (ops->until && at->token && run->last.number < number &&
        ops->until(run->feed, at->token, err))
        return CDC_FAIL;
    while (run->last.number < number) {
        int rc = ver_stopped(run, err) ? CDC_FAIL : ver_build_commit(run, err);
        if (rc == CDC_FAIL)
            return CDC_FAIL;
        if (rc == CDC_AGAIN)
            break;
    }
    return run->last.number == number ? CDC_OK : passed_by(run, number, err);
}
