/*
 * test_verify.c - a feed's script against a view's script: what is told, counted, refused.
 */
#include "verify/verify.h"

#include "../fakes/fake_feed.h"
#include "../fakes/fake_view.h"
#include "capture_rules.h"
#include "cdc/clock.h"
#include "replica/replica.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T "@public.t 1 soft *id:i a:s; "
#define V "public.t *id:i a:s; "

/* ---- a feed that keeps its last commits back until the view is open, and has a checkpoint ---- */

static struct cdc_map checkpoint;
static void put(const char *key, const char *value)
{
    assert_int_equal(cdc_map_put(&checkpoint, cdc_slice_str(key), cdc_slice_str(value)), CDC_OK);
}

static unsigned held; /* commits given before the view is opened; 0: all */
static unsigned given;
static struct cdc_feed_ops feed_ops;

static int feed_open(const struct cdc_config *cfg, const char *place,
                     const struct cdc_feed_start *start, struct cdc_feed **ret,
                     struct cdc_error *err)
{
    given = 0;
    return fake_feed_ops.open(cfg, place, start, ret, err);
}

static int feed_commit(struct cdc_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    if (held && given == held && fake_view_world.opens == 0)
        return CDC_AGAIN;
    int rc = fake_feed_ops.commit(feed, ret, err);
    given += rc == CDC_OK;
    return rc;
}

static int feed_row(struct cdc_feed *feed, const char *table, struct cdc_feed_row *ret,
                    struct cdc_error *err)
{
    int rc = fake_feed_ops.row(feed, NULL, ret, err);
    while (rc == CDC_OK && table && strcmp(strchr(table, '.') + 1, ret->schema->table_name) != 0)
        rc = fake_feed_ops.row(feed, NULL, ret, err);
    return rc;
}

static bool replaced; /* a failover while the command runs */

static const struct cdc_map *feed_checkpoint(const struct cdc_feed *feed)
{
    (void)feed;
    if (replaced && fake_view_world.asked)
        put("incarnation", "2");
    return &checkpoint;
}

/* ---- rows ---- */

struct row {
    const char *name, *feed, *view;
    const char *state;               /* of public.t; NULL: streaming, generation 1; "": none */
    const char *expect;              /* "key difference columns", lines joined by " | " */
    struct cdc_verify_result result; /* what is not 0; `tables` and `rows` are not looked at */
    unsigned place;                  /* 0: 100 */
    unsigned held;                   /* see above */
    int begin, read;                 /* tables given up */
    const char *says;                /* must stand in the log */
    const char *rule;                /* of the table, behind `tables: public.*`; NULL: none */
};

#define GEN0 "{\"state\":\"streaming\",\"generation\":0}"

/* __VA_ARGS__: the result, then what else is not 0. */
#define ROW(name_, feed_, view_, state_, expect_, ...)                                             \
    {                                                                                              \
        .name = name_, .feed = feed_, .view = view_, .state = state_, .expect = expect_,           \
        .result = __VA_ARGS__                                                                      \
    }

static const struct row rows[] = {
    ROW("equal", T "c 1.1 1 x; c 1.2 2 - | u 2.1 1 y", V "1 y; 2 -", NULL, "", {0}),
    ROW("empty on both sides", T "c 1.1 1 x | d 2.1 1 ~", V, NULL, "", {0}),
    ROW("a value", T "c 1.1 1 x; c 1.2 2 y", V "1 x; 2 z", NULL, "{\"id\":2} differs a",
        {.differences = 1}),
    ROW("null and empty", T "c 1.1 1 ''; c 1.2 2 -", V "1 -; 2 q", NULL,
        "{\"id\":1} differs a | {\"id\":2} differs a", {.differences = 2}),
    ROW("lacking", T "c 1.1 1 x", V "1 x; 2 y; 3 z", NULL,
        "{\"id\":2} missing in lake | {\"id\":3} missing in lake", {.differences = 2}),
    ROW("too much", T "c 1.1 1 x; c 1.2 2 y; c 1.3 3 z", V "2 y", NULL,
        "{\"id\":1} not in source | {\"id\":3} not in source", {.differences = 2}),
    ROW("order does not matter", T "c 1.1 1 x; c 1.2 2 y; c 1.3 3 z", V "3 z; 1 x; 2 y", NULL, "",
        {0}),
    ROW("deleted in the lake", T "c 1.1 1 x | d 2.1 1 ~", V "1 x", NULL,
        "{\"id\":1} missing in lake", {.differences = 1}),
    ROW("rules' hard deletes leave a trace here",
        "@public.t 1 hard *id:i a:s; c 1.1 1 x | d 2.1 1 ~", V "1 x", GEN0,
        "{\"id\":1} missing in lake", {.differences = 1}),
    ROW("append mode is compared by its key",
        "@public.t 1 append *id:i a:s; c 1.1 1 x | u 2.1 1 y; c 2.2 2 z | d 3.1 2 ~", V "1 y", NULL,
        "", {0}),
    ROW("never copied: excused", T "c 1.1 1 x", V "1 x; 2 y; 3 z", GEN0, "", {.not_yet = 2}),
    ROW("never copied: what is there must be equal", T "c 1.1 1 x; c 1.2 9 x", V "1 y; 2 y", GEN0,
        "{\"id\":1} differs a | {\"id\":9} not in source", {.differences = 2, .not_yet = 1}),
    ROW("never copied: a key that was heard of", T "c 1.1 1 x | d 2.1 1 ~", V "1 x", GEN0,
        "{\"id\":1} missing in lake", {.differences = 1}),
    ROW("never copied, but emptied since", T "c 1.1 1 x | t 2.1 ", V "7 x", GEN0,
        "{\"id\":7} missing in lake", {.differences = 1}),
    ROW("unknown", T "u 1.1 1 ~; u 1.2 2 x", V "1 x; 2 x", NULL, "", {.unknown = 1}),
    ROW("unknown beside a difference", "@public.t 1 soft *id:i a:s b:s; u 1.1 1 ~ x",
        "public.t *id:i a:s b:s; 1 x y", NULL, "{\"id\":1} differs b",
        {.differences = 1, .unknown = 1}),
    ROW("later places are left out", T "c 1.1 1 x | u 5.1 1 y; c 5.2 2 z | d 6.1 1 ~", V "1 x",
        NULL, "", {0}, .place = 5, .held = 1),
    ROW("the place itself is a later one", T "c 1.1 1 x | u 5.1 1 y | u 6.1 1 z", V "1 y", NULL, "",
        {0}, .place = 6, .held = 1),
    ROW("commits after the view was opened", T "c 1.1 1 x | u 2.1 1 y | c 3.1 2 z", V "1 y; 2 z",
        NULL, "", {0}, .held = 1),
    ROW("copied meanwhile", T "c 1.1 1 x | r 2.s1 2 z", V "1 x", NULL, "", {.undecided = 1},
        .held = 1, .says = "copied meanwhile"),
    ROW("copied before", T "c 1.1 1 x; r 2.s1 2 z | c 3.1 3 a", V "1 x; 2 z; 3 a", NULL, "", {0},
        .held = 1),
    ROW("gap", T "c 1.1 1 x", V "1 y", "{\"state\":\"streaming\",\"generation\":1,\"gap\":{}}", "",
        {.undecided = 1}),
    ROW("paused", T "c 1.1 1 x", V "1 y", "{\"state\":\"paused\",\"generation\":1}", "",
        {.undecided = 1}),
    ROW("nothing captured", "@public.u 1 soft *id:i; c 1.1 1", V "1 y | public.u *id:i; 1", "", "",
        {0}, .says = "no change of it was captured"),
    ROW("no key", "@public.t 1 soft id:i a:s; c 1.1 1 x", "public.t id:i a:s; 1 y", NULL, "",
        {.skipped = 1}, .says = "no key"),
    ROW("another key", T "c 1.1 1 x", "public.t id:i *a:s; 1 x", NULL, "", {.undecided = 1},
        .says = "another key"),
    ROW("gone at the source", T "c 1.1 1 x; c 1.2 2 y | d 2.1 1 ~", "", NULL,
        "{\"id\":2} not in source", {.differences = 1}),
    ROW("a column the lake has not heard of", T "c 1.1 1 x; c 1.2 2 x",
        "public.t *id:i a:s b:s; 1 x -; 2 x y", NULL, "{\"id\":2} differs b", {.differences = 1}),
    ROW("a column the source has no more", "@public.t 1 soft *id:i a:s b:s; c 1.1 1 x y", V "1 x",
        NULL, "", {0}),
    ROW("given up at begin", T "c 1.1 1 x", V "1 y", NULL, "", {.undecided = 1}, .begin = 1,
        .says = "stands in the way"),
    ROW("given up in the middle", T "c 1.1 1 x; c 1.2 2 x; c 1.3 3 x; c 1.4 4 x", V "1 x; 2 x; 3 x",
        NULL, "", {.undecided = 1}, .read = 1, .says = "stands in the way"),
    ROW("one given up, the other compared", T "c 1.1 1 x; @public.u 1 soft *id:i; c 1.2 1",
        V "1 y | public.u *id:i; 2", NULL, "{\"id\":2} missing in lake | {\"id\":1} not in source",
        {.differences = 2, .undecided = 1}, .begin = 1),
    ROW("a value that cannot be encoded", T "c 1.1 1 x; c 1.2 2 x", V "1 !; 2 x; 3 !", NULL, "",
        {.undecided = 2}, .says = "on_invalid"),
    ROW("keys of two columns", "@public.t 1 soft *a:s *b:i v:s; c 1.1 k\"1 1 x; c 1.2 k 2 y",
        "public.t *a:s *b:i v:s; k\"1 1 z", NULL,
        "{\"a\":\"k\\\"1\",\"b\":1} differs v | {\"a\":\"k\",\"b\":2} not in source",
        {.differences = 2}),
    ROW("keys of other kinds", "@public.t 1 soft *o:o *y:b *z:z; c 1.1 1 ab 5; c 1.2 0 c 6",
        "public.t *o:o *y:b *z:z; 1 ab 7", NULL,
        "{\"o\":true,\"y\":\"YWI=\",\"z\":\"2024-01-01T00:00:07.000000Z\"} missing in lake"
        " | {\"o\":true,\"y\":\"YWI=\",\"z\":\"2024-01-01T00:00:05.000000Z\"} not in source"
        " | {\"o\":false,\"y\":\"Yw==\",\"z\":\"2024-01-01T00:00:06.000000Z\"} not in source",
        {.differences = 3}),
    ROW("insert_only", T "c 1.1 1 x", V "1 y", NULL, "", {.skipped = 1},
        .rule = ", insert_only: true"),
    ROW("masked", T "c 1.1 1 *****; c 1.2 2 *****; c 1.3 3 -", V "1 x; 2 y; 3 -", NULL, "", {0},
        .rule = ", columns: {mask: [a]}"),
    ROW("cut", T "c 1.1 1 xy; c 1.2 2 z", V "1 xyz; 2 x", NULL, "{\"id\":2} differs a",
        {.differences = 1}, .rule = ", columns: {truncate: {a: 2}}"),
    ROW("left out", "@public.t 1 soft *id:i; c 1.1 1; c 1.2 3", V "1 x; 2 y", NULL,
        "{\"id\":2} missing in lake | {\"id\":3} not in source", {.differences = 2},
        .rule = ", columns: {exclude: [a]}"),
    ROW("hashed key", "@public.t 1 soft *id:s a:s; c 1.1 1 x", "public.t *id:s a:s; 1 x", NULL,
        "{\"id\":\"c2a56899f8e6dad8951a30d34b5be54bd457ff077c38b92b6eab206138e6dbbf\"} missing in "
        "lake"
        " | {\"id\":\"1\"} not in source",
        {.differences = 2}, .rule = ", columns: {hash: [id]}"),
    ROW("deleted logically on both sides", "@public.t 1 soft *id:i a:s; u 1.1 1 x !logical",
        V "1 x", NULL, "", {0}, .rule = ", logical_delete: {column: a}"),
    ROW("deleted logically at the source alone", T "c 1.1 1 -; c 1.2 2 -", V "1 x; 2 -", NULL,
        "{\"id\":1} differs a,__deleted", {.differences = 1},
        .rule = ", logical_delete: {column: a}"),
    ROW("deleted in the lake, logically at the source", T "c 1.1 1 - | d 2.1 1 ~", V "1 x", NULL,
        "{\"id\":1} missing in lake", {.differences = 1}, .rule = ", logical_delete: {column: a}"),
    ROW("refused, and with a logical delete", "@public.t 1 soft *id:i a:s g:s; c 1.1 1 x -",
        "public.t *id:i a:s g:s; 1 ! gone", NULL, "", {.undecided = 1},
        .rule = ", logical_delete: {column: g}"),
    ROW("the rule was another one", T "c 1.1 1 x", V "1 x",
        "{\"state\":\"streaming\",\"generation\":1,\"rule\":\"77\"}", "", {0},
        .says = "its capture rule was changed"),
    ROW("floats", "@public.t 1 soft *id:i f:f; c 1.1 1 nan; c 1.2 2 -inf; c 1.3 3 0.1; c 1.4 4 nan",
        "public.t *id:i f:f; 1 nan; 2 -inf; 3 0.1; 4 0", NULL, "{\"id\":4} differs f",
        {.differences = 1}),
    ROW("columns named like SQLite's rowid",
        "@public.t 1 soft *rowid:i oid:s; c 1.1 1 x; c 1.2 2 y", "public.t *rowid:i oid:s; 2 x",
        NULL, "{\"rowid\":2} differs oid | {\"rowid\":1} not in source", {.differences = 2}),
    ROW("names that must be quoted", "@public.T\"1 1 soft *a\"b:i c':s; c 1.1 1 x",
        "public.T\"1 *a\"b:i c':s; 1 y", "", "{\"a\\\"b\":1} differs c'", {.differences = 1}),
};

/* ---- one run ---- */

struct run {
    struct cdc_verify_options opt;
    struct cdc_verify_result result;
    struct cdc_error err;
    struct cdc_config cfg;
    struct cdc_arena *arena;
    char *out, *log, found[4096];
    size_t n_out, n_log;
    int rc;
};

static void run_init(struct run *run, const char *feed, const char *view, const char *rule)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml, "capture: [{tables: public.*, snapshot: never%s}]",
             rule ? rule : "");
    *run = (struct run){.cfg = {.path = feed, .name = "shop"}, .arena = cdc_arena_new(1 << 20)};
    run->cfg.capture = read_rules(run->arena, yaml, "0123456789abcdef0123456789abcdef", &run->err);
    if (!run->cfg.capture)
        fail_msg("%s: %s", run->err.where, run->err.message);
    fake_view_world =
        (struct fake_view_world){.script = view,
                                 .place = 100,
                                 .covered_from = 1,
                                 .rule = cdc_capture_match(run->cfg.capture, "public", "t")};
    feed_ops = fake_feed_ops;
    feed_ops.open = feed_open;
    feed_ops.commit = feed_commit;
    feed_ops.row = feed_row;
    feed_ops.checkpoint = feed_checkpoint;
    held = 0;
    replaced = false;
    cdc_map_init(&checkpoint);
    run->opt = (struct cdc_verify_options){.cfg = &run->cfg,
                                           .feed = &feed_ops,
                                           .view = &fake_view_ops,
                                           .timeout_us = 300000,
                                           .limit = 100};
}

/* A line's JSON as "key difference columns". */
static void note(struct run *run, char *line)
{
    char *key = strstr(line, "\"key\":"), *what = strstr(line, ",\"difference\":\"");
    char *columns = what ? strstr(what, "\",\"columns\":[") : NULL;
    assert_non_null(columns);
    assert_int_equal(strncmp(line, "{\"table\":\"public.", 17), 0);
    *what = *columns = '\0';
    what += strlen(".\"difference\":\"");
    columns += strlen("\",\"columns\":[");
    columns[strcspn(columns, "]")] = '\0';
    size_t len = strlen(run->found);
    len += (size_t)snprintf(run->found + len, sizeof run->found - len, "%s%s %s%s",
                            len ? " | " : "", key + 6, what, *columns ? " " : "");
    for (; *columns; columns++)
        if (*columns != '"')
            run->found[len++] = *columns;
    run->found[len] = '\0';
}

static void run_it(struct run *run)
{
    run->opt.out = open_memstream(&run->out, &run->n_out);
    run->opt.log = open_memstream(&run->log, &run->n_log);
    run->rc = cdc_verify(&run->opt, &run->result, &run->err);
    fclose(run->opt.out);
    fclose(run->opt.log);
    char *save = NULL, *copy = strdup(run->out);
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        note(run, line);
    free(copy);
    assert_int_equal(fake_view_world.opens - fake_view_world.gone, fake_view_world.closes);
}

static void run_done(struct run *run)
{
    free(run->out);
    free(run->log);
    cdc_arena_free(run->arena);
    cdc_map_done(&checkpoint);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct run run;
    run_init(&run, row->feed, row->view, row->rule);
    put("table/public.u", "{\"state\":\"streaming\",\"generation\":1}");
    put("table/public.T\"1", "{\"state\":\"streaming\",\"generation\":1}");
    if (!row->state || *row->state)
        put("table/public.t",
            row->state ? row->state : "{\"state\":\"streaming\",\"generation\":1}");
    fake_view_world.place = row->place ? row->place : 100;
    fake_view_world.again_at_begin = row->begin;
    fake_view_world.again_at_read = row->read;
    fake_view_world.covered_from = row->held ? 4 : 1;
    run.opt.timeout_us = 10000000;
    held = row->held;
    run_it(&run);
    if (run.rc != CDC_OK)
        fail_msg("%s: %s", run.err.where, run.err.message);
    assert_string_equal(run.found, row->expect);
    assert_int_equal(run.result.differences, row->result.differences);
    assert_int_equal(run.result.undecided, row->result.undecided);
    assert_int_equal(run.result.not_yet, row->result.not_yet);
    assert_int_equal(run.result.unknown, row->result.unknown);
    assert_int_equal(run.result.skipped, row->result.skipped);
    if (row->says && !strstr(run.log, row->says))
        fail_msg("%s", run.log);
    run_done(&run);
}

/* ---- what cannot be decided ---- */

struct refusal {
    const char *name;
    void (*set)(struct run *run);
    enum cdc_action action;
    const char *says;
};

static void never_covered(struct run *run)
{
    (void)run;
    fake_view_world.covered_from = 0;
}

static void nobody(struct run *run)
{
    (void)run;
    fake_view_world.gone = true;
}

static void behind(struct run *run)
{
    (void)run;
    fake_view_world.place = 1;
}

static void no_table(struct run *run)
{
    run->opt.table = "public.none";
}

static void no_view(struct run *run)
{
    run->opt.view = NULL;
}

static void no_checkpoint(struct run *run)
{
    (void)run;
    feed_ops.checkpoint = NULL;
}

static void stopped(struct run *run)
{
    static const volatile sig_atomic_t stop = 1;
    run->opt.stop = &stop;
}

static void damaged(struct run *run)
{
    run->cfg.path = T "cc 1.1 1 x";
}

static void failover(struct run *run)
{
    (void)run;
    replaced = true;
}

static const struct refusal refusals[] = {
    {"a failover meanwhile", failover, CDC_OPERATOR, "run it again"},
    {"the place is not reached", never_covered, CDC_OPERATOR, "in time"},
    {"nobody answers", nobody, CDC_RETRY, "nobody answers"},
    {"captured beyond the source's end", behind, CDC_OPERATOR, "restored backup"},
    {"no such table", no_table, CDC_CONFIG, "no captured table"},
    {"a source without views", no_view, CDC_CONFIG, "--replica"},
    {"a sink without checkpoint", no_checkpoint, CDC_CONFIG, "cannot be compared"},
    {"stopped", stopped, CDC_OPERATOR, "stopped"},
    {"a damaged feed", damaged, CDC_FATAL, "__op"},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct run run;
    run_init(&run, T "c 1.1 1 x", V "1 y", NULL);
    put("table/public.t", GEN0);
    row->set(&run);
    run_it(&run);
    assert_int_equal(run.rc, CDC_FAIL);
    assert_int_equal(run.err.action, row->action);
    if (!strstr(run.err.message, row->says))
        fail_msg("%s", run.err.message);
    assert_string_equal(run.out, "");
    run_done(&run);
}

/* ---- against a replica's file ---- */

static unsigned joined; /* the feed gives its first so many commits as one */
static uint64_t last;   /* given */
static char bound[64];  /* the token it is held to; "": none */

static int commit_joined(struct cdc_feed *feed, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    uint64_t most = bound[0] ? strtoull(bound, NULL, 10) : UINT64_MAX;
    if (last >= most)
        return CDC_AGAIN;
    int rc = fake_feed_ops.commit(feed, ret, err);
    while (rc == CDC_OK && ret->number < joined && ret->number < most)
        rc = fake_feed_ops.commit(feed, ret, err);
    if (rc != CDC_OK)
        return rc;
    last = ret->number;
    if (last == most && strcmp(ret->token, bound) != 0)
        return cdc_fail(err, CDC_OPERATOR, "fake", "another feed");
    ret->to = bound[0] ? "" : ret->to;
    ret->at_us = bound[0] ? 0 : ret->at_us;
    return CDC_OK;
}

static int until(struct cdc_feed *feed, const char *token, struct cdc_error *err)
{
    (void)feed, (void)err;
    snprintf(bound, sizeof bound, "%s", token);
    return CDC_OK;
}

#define THREE T "c 1.1 1 x | u 2.1 1 y | c 3.1 2 z"

static const struct against {
    const char *name, *replica, *feed; /* scripts */
    unsigned joined;
    const char *says; /* NULL: equal */
    bool held;        /* the feed can be held to a token */
} against[] = {
    {"at the end", THREE, THREE, 0, NULL, false},
    {"before the end", T "c 1.1 1 x | u 2.1 1 y", THREE, 0, NULL, false},
    {"beyond the end", THREE, T "c 1.1 1 x", 0, "commit 3, which is not there (commit 1 is)",
     false},
    {"commits that come together", T "c 1.1 1 x | u 2.1 1 y", THREE, 3, "later ones (up to 3)",
     false},
    {"together, up to the last", T "c 1.1 1 x", T "c 1.1 1 x", 1, NULL, false},
    {"held to the file's commit", T "c 1.1 1 x | u 2.1 1 y", THREE, 3, NULL, true},
    {"held to the last one", THREE, THREE, 0, NULL, true},
    {"held beyond the end", THREE, T "c 1.1 1 x", 1, "commit 3, which is not there", true},
    {"held to another feed's", T "c 1.1 1 x | u 2.1 1 z", THREE, 3, "another feed", true},
};

static void test_against(void **state)
{
    const struct against *row = *state;
    char dir[] = "/tmp/verify-XXXXXX", path[64], command[64];
    struct run run;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/r.db", dir);
    run_init(&run, row->replica, V, NULL);
    const struct cdc_replica_options opt = {.path = path, .until_caught_up = true};
    struct cdc_replica_result built;
    assert_int_equal(cdc_replica_run(&fake_feed_ops, &run.cfg, &opt, &built, &run.err), CDC_OK);
    run.cfg.path = row->feed;
    run.opt.replica = path;
    joined = row->joined;
    last = 0;
    bound[0] = '\0';
    feed_ops.commit = commit_joined;
    feed_ops.until = row->held ? until : NULL;
    run_it(&run);
    if (!row->says && run.rc != CDC_OK)
        fail_msg("%s", run.err.message);
    assert_int_equal(run.rc, row->says ? CDC_FAIL : CDC_OK);
    if (row->says && !strstr(run.err.message, row->says))
        fail_msg("%s", run.err.message);
    assert_string_equal(run.out, "");
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    run_done(&run);
}

/* ---- the rest ---- */

static void test_limit(void **state)
{
    (void)state;
    struct run run;
    run_init(&run, T "c 1.1 1 x; c 1.2 2 x; c 1.3 3 x", V "1 y; 2 y", NULL);
    put("table/public.t", GEN0);
    run.opt.limit = 2;
    run_it(&run);
    assert_int_equal(run.rc, CDC_OK);
    assert_string_equal(run.found, "{\"id\":1} differs a | {\"id\":2} differs a");
    assert_int_equal(run.result.differences, 3);
    assert_non_null(strstr(run.log, "(2 printed, see --limit)"));
    run_done(&run);
}

static void test_one_table(void **state)
{
    (void)state;
    struct run run;
    run_init(&run, T "c 1.1 1 x; @public.u 1 soft *id:i; c 1.2 1", V "1 y | public.u *id:i; 2",
             NULL);
    put("table/public.t", GEN0);
    put("table/public.u", GEN0);
    run.opt.table = "public.t";
    run_it(&run);
    assert_int_equal(run.rc, CDC_OK);
    assert_int_equal(run.result.tables, 1);
    run_done(&run);
}

static void test_rate(void **state)
{
    (void)state;
    struct run run;
    run_init(&run, T "c 1.1 1 x; c 1.2 2 x; c 1.3 3 x; c 1.4 4 x", V "1 x; 2 x; 3 x; 4 x", NULL);
    put("table/public.t", GEN0);
    run.opt.rate = 20;
    int64_t began = cdc_mono_us();
    run_it(&run);
    assert_int_equal(run.rc, CDC_OK);
    assert_true(cdc_mono_us() - began >=
                150000); /* 4 rows at 20 a second, the last not waited for */
    assert_int_equal(fake_view_world.most, 5);
    run_done(&run);
}

/* Never a value: what differs is a column's name. */
static void test_no_values(void **state)
{
    (void)state;
    struct run run;
    run_init(&run, T "c 1.1 1 secret1; c 1.2 2 secret2", V "1 secret3; 3 secret4", NULL);
    put("table/public.t", "{\"state\":\"streaming\",\"generation\":1}");
    run_it(&run);
    assert_int_equal(run.result.differences, 3);
    assert_null(strstr(run.out, "secret"));
    assert_null(strstr(run.log, "secret"));
    run_done(&run);
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_no_values),
    };
    struct CMUnitTest tests[96], *end = tests;
    end = CM_ROWS(end, test_row, rows);
    end = CM_ROWS(end, test_refusal, refusals);
    end = CM_ROWS(end, test_against, against);
    memcpy(end, single, sizeof single);
    end += CM_COUNT(single);
    return _cmocka_run_group_tests("verify", tests, (size_t)(end - tests), NULL, NULL);
}
