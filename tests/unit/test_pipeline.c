/*
 * test_pipeline.c - the engine over a fake source and a fake sink: whatever fails, the store ends
 * up with every row once and in order, and no ack ever names what is not committed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../fakes/fake.h"
#include "base/log.h"
#include "cm.h"
#include "pipeline/pipeline.h"

static const char yaml[] = "name: fake\nsource: {type: example}\nmemory: 8MiB\n"
                           "capture:\n  - {tables: example.*, snapshot: never}\n"
                           "sink: {type: 'null'}\n";
static const int sizes[] = {3, 1, 7, 2, 40, 1, 1, 5, 12, 3};
#define N_TX  ((int)(sizeof sizes / sizeof *sizes))
#define NEVER ((enum cdc_action) - 1)

static int committed_tx(void *arg)
{
    struct fake_store *store = arg;
    struct cdc_buf position = CDC_BUF(64);
    pthread_mutex_lock(&store->lock);
    int rc = cdc_map_get_text(&store->checkpoint, "position", &position, NULL);
    pthread_mutex_unlock(&store->lock);
    const char *text = rc == CDC_OK ? cdc_buf_cstr(&position) : "0";
    int tx = atoi(strncmp(text, "cut:", 4) == 0 ? text + 4 : text);
    cdc_buf_done(&position);
    return tx;
}

static void check_rows(const struct fake_store *store, const struct fake_log *log)
{
    size_t at = 0;
    int64_t key = 0;
    for (int tx = 0; tx < log->n_tx; tx++)
        for (int row = 1; row <= log->sizes[tx]; row++, at++, key++) {
            char seq[CDC_SEQ_LEN + 1];
            snprintf(seq, sizeof seq, "00000001-%024d-%012x", tx + 1, (unsigned)row);
            assert_true(at < store->n);
            assert_string_equal(store->rows[at].seq, seq);
            assert_int_equal(store->rows[at].key, key);
        }
    assert_int_equal(store->n, at);
}

struct row {
    const char *name;
    struct fake_fault log[6], store[6];
    int rows_per_batch;
    bool cut;            /* over a sink that cuts */
    int64_t interval_us; /* of the sink's policy */
    enum cdc_action end; /* NEVER: ends well */
    int sessions;        /* at least */
};

static const struct row rows[] = {
    {.name = "nothing fails", .end = NEVER, .sessions = 1},
    {.name = "in batches", .rows_per_batch = 2, .end = NEVER, .sessions = 1},
    {.name = "in batches, cut", .rows_per_batch = 2, .cut = true, .end = NEVER, .sessions = 1},
    {.name = "grouped", .interval_us = 20000, .rows_per_batch = 3, .end = NEVER, .sessions = 1},
    {.name = "first open fails",
     .log = {{FAKE_OPEN, 1, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "poll fails while creating",
     .log = {{FAKE_POLL, 2, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "poll fails late",
     .log = {{FAKE_POLL, 8, CDC_RETRY, false, 0}},
     .rows_per_batch = 5,
     .end = NEVER,
     .sessions = 2},
    {.name = "poll fails, rewind at once",
     .log = {{FAKE_POLL, 7, CDC_REWIND, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "write fails",
     .store = {{FAKE_WRITE, 3, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit of creating fails",
     .store = {{FAKE_COMMIT, 1, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit of creating loses its reply",
     .store = {{FAKE_COMMIT, 1, CDC_RETRY, true, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit of the first position loses its reply",
     .store = {{FAKE_COMMIT, 2, CDC_RETRY, true, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit fails",
     .store = {{FAKE_COMMIT, 3, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit loses its reply",
     .store = {{FAKE_COMMIT, 3, CDC_RETRY, true, 0}},
     .end = NEVER,
     .sessions = 2},
    {.name = "commit in a cut loses its reply",
     .store = {{FAKE_COMMIT, 3, CDC_RETRY, true, 0}, {FAKE_COMMIT, 3, CDC_RETRY, false, 0}},
     .cut = true,
     .rows_per_batch = 2,
     .end = NEVER,
     .sessions = 2},
    {.name = "recover fails",
     .store = {{FAKE_RECOVER, 1, CDC_RETRY, false, 0},
               {FAKE_COMMIT, 3, CDC_RETRY, true, 0},
               {FAKE_RECOVER, 3, CDC_RETRY, false, 0}},
     .end = NEVER,
     .sessions = 3},
    {.name = "slow commits",
     .store = {{FAKE_COMMIT, 3, NEVER, false, 300000}, {FAKE_WRITE, 5, NEVER, false, 200000}},
     .end = NEVER,
     .sessions = 1},
    {.name = "refused by the sink",
     .store = {{FAKE_COMMIT, 3, CDC_OPERATOR, false, 0}},
     .end = CDC_OPERATOR,
     .sessions = 1},
    {.name = "refused by the source",
     .log = {{FAKE_POLL, 6, CDC_OPERATOR, false, 0}},
     .end = CDC_OPERATOR,
     .sessions = 1},
    {.name = "fatal in the sink",
     .store = {{FAKE_WRITE, 2, CDC_FATAL, false, 0}},
     .end = CDC_FATAL,
     .sessions = 1},
};

struct world {
    struct fake_log log;
    struct fake_store store;
    struct cdc_settings *set;
};

static void world_init(struct world *w)
{
    *w = (struct world){.log = {.sizes = sizes, .n_tx = N_TX, .ends = true, .created = ""}};
    fake_store_init(&w->store);
    w->store.policy = (struct cdc_commit_policy){
        .eager = true, .cut_us = 1, .idle_us = 1000000, .idle_bytes = 1 << 20};
    w->log.committed = committed_tx;
    w->log.arg = &w->store;
    struct cdc_error err = {0};
    int rc = cdc_settings_parse(cdc_slice_str(yaml), "fake.yaml", &w->set, &err);
    if (rc != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    w->set->source = &fake_source_ops;
    w->set->sink = &fake_sink_ops;
    fake_use(&w->log, &w->store);
}

static void world_done(struct world *w)
{
    cdc_settings_free(w->set);
    fake_store_done(&w->store);
}

static int run(struct world *w, struct cdc_pipeline_stats *stats, struct cdc_error *err)
{
    const struct cdc_pipeline_options opt = {.backoff_min_us = 1000, .max_failures = 20};
    w->set->config.cuts = !(w->set->sink->caps & CDC_SINK_TX_ANY_SIZE);
    return cdc_pipeline_run(w->set, &opt, stats, err);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct world w;
    world_init(&w);
    w.log.rows_per_batch = row->rows_per_batch;
    memcpy(w.log.faults, row->log, sizeof row->log);
    memcpy(w.store.faults, row->store, sizeof row->store);
    w.log.n_faults = w.store.n_faults = 6;
    w.store.policy.interval_us = row->interval_us;
    w.store.policy.eager = row->interval_us == 0;
    if (row->cut)
        w.set->sink = &fake_cut_sink_ops;
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    int rc = run(&w, &stats, &err);
    if (row->end == NEVER) {
        assert_int_equal(rc, CDC_OK);
        check_rows(&w.store, &w.log);
        assert_int_equal(w.log.released, N_TX);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, row->end);
        rc = run(&w, &stats, &err); /* the fault is spent: the next start carries on */
        assert_int_equal(rc, CDC_OK);
        check_rows(&w.store, &w.log);
    }
    assert_true(stats.sessions >= (uint64_t)(row->end == NEVER ? row->sessions : 1));
    assert_int_equal(w.log.forgot_needed, 0);
    world_done(&w);
}

/* Random faults of both sides, many times over: the same end. */
static void test_random_faults(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct world w;
        world_init(&w);
        srand(seed);
        w.log.rows_per_batch = rand() % 6;
        w.store.policy.interval_us = rand() % 2 ? 0 : 3000;
        w.store.policy.eager = w.store.policy.interval_us == 0 || rand() % 2;
        w.store.policy.pace_us = rand() % 2 ? 0 : 1000;
        w.store.policy.eager_rows = w.store.policy.interval_us && rand() % 2 ? 2 : 0;
        if (rand() % 2)
            w.set->sink = &fake_cut_sink_ops;
        for (size_t i = 0; i < 8; i++) {
            w.log.faults[w.log.n_faults++] = (struct fake_fault){
                rand() % 4 ? FAKE_POLL : FAKE_OPEN, 1 + rand() % 30, CDC_RETRY, false, 0};
            w.store.faults[w.store.n_faults++] =
                (struct fake_fault){rand() % 3 ? FAKE_COMMIT : FAKE_WRITE, 1 + rand() % 20,
                                    rand() % 2 ? CDC_RETRY : CDC_REWIND, rand() % 2, rand() % 900};
        }
        struct cdc_pipeline_stats stats = {0};
        struct cdc_error err = {0};
        int rc = run(&w, &stats, &err);
        if (rc != CDC_OK)
            fail_msg("seed %u: %s", seed, err.message);
        check_rows(&w.store, &w.log);
        assert_int_equal(w.log.forgot_needed, 0);
        world_done(&w);
    }
}

/* A sink that stands still fills the budget: the source's connection is served, memory is bounded.
 */
static void test_stalled_sink(void **state)
{
    (void)state;
    static int many[3000];
    for (int i = 0; i < 3000; i++)
        many[i] = 200;
    struct world w;
    world_init(&w);
    w.log.sizes = many;
    w.log.n_tx = 3000;
    w.store.faults[w.store.n_faults++] = (struct fake_fault){FAKE_WRITE, 2, NEVER, false, 1500000};
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_OK);
    check_rows(&w.store, &w.log);
    assert_true(w.log.keepalives >= 5);
    world_done(&w);
}

/* The server goes away while the sink stands still: it must not have to wait for our sink. */
static void test_releases_the_source_before_the_sink(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.store.faults[w.store.n_faults++] = (struct fake_fault){FAKE_WRITE, 1, NEVER, false, 1500000};
    w.log.faults[w.log.n_faults++] = (struct fake_fault){FAKE_POLL, 7, CDC_RETRY, false, 0};
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_OK);
    check_rows(&w.store, &w.log);
    assert_true(w.log.closed_us + 500000 < fake_delay_ended_us);
    world_done(&w);
}

static void *send_term(void *arg)
{
    (void)arg;
    usleep(300000);
    kill(getpid(), SIGTERM);
    return NULL;
}

/* SIGTERM: what is complete is committed and acknowledged, and the run ends well. */
static void test_sigterm_drains(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.log.ends = false;
    w.store.policy.interval_us = 60000000; /* only the drain commits */
    w.store.policy.eager = false;
    pthread_t thread;
    sigset_t term; /* the thread must not be the one who gets it */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    pthread_create(&thread, NULL, send_term, NULL);
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_OK);
    pthread_join(thread, NULL);
    check_rows(&w.store, &w.log);
    assert_int_equal(w.log.released, N_TX);
    world_done(&w);
}

/* What the engine itself wants to commit must not be taken for the commit of `creating`. */
static void test_no_ack_before_the_first_batch(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.store.policy.idle_us = 0;
    w.log.faults[w.log.n_faults++] = (struct fake_fault){FAKE_POLL, 1, NEVER, false, 200000};
    w.store.faults[w.store.n_faults++] = (struct fake_fault){FAKE_COMMIT, 2, NEVER, false, 300000};
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_OK);
    check_rows(&w.store, &w.log);
    assert_int_equal(w.log.forgot_needed, 0);
    world_done(&w);
}

/* Another instance recovers the store: the first one is refused at its next commit. */
static void *take_over(void *arg)
{
    struct fake_store *store = arg;
    usleep(200000);
    pthread_mutex_lock(&store->lock);
    store->epoch++;
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

static void test_second_instance(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.log.ends = false;
    w.store.faults[w.store.n_faults++] = (struct fake_fault){FAKE_POLL, 1, NEVER, false, 0};
    w.log.faults[w.log.n_faults++] = (struct fake_fault){FAKE_POLL, 5, NEVER, false, 500000};
    pthread_t thread;
    pthread_create(&thread, NULL, take_over, &w.store);
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    pthread_join(thread, NULL);
    world_done(&w);
}

/* A slot beside an empty checkpoint that no `creating` explains: refused, nothing written. */
static void test_unexplained_slot(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.log.created = "slot";
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    assert_int_equal(run(&w, &stats, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_int_equal(w.store.commits, 0);
    world_done(&w);
}

/*
 * The source says in transaction 5 that not all of the table's changes are in its log. Nobody can
 * copy it: the gap is written down with what carries it, and stays. No sink sees that change.
 */
static void test_gap(void **state)
{
    (void)state;
    struct world w;
    struct cdc_pipeline_stats stats = {0};
    struct cdc_error err = {0};
    world_init(&w);
    w.log.gap_tx = 5;
    w.store.faults[w.store.n_faults++] = (struct fake_fault){FAKE_WRITE, 6, CDC_FATAL, false, 0};
    assert_int_equal(run(&w, &stats, &err), CDC_FAIL); /* what is true of it is all of it */
    bool before = committed_tx(&w.store) < 5;
    assert_int_equal(before, cdc_map_get(&w.store.checkpoint, "table/example.fakes").p == NULL);
    for (int i = 0; i < 2; i++) { /* the second time it is only kept */
        assert_int_equal(run(&w, &stats, &err), CDC_OK);
        struct cdc_slice text = cdc_map_get(&w.store.checkpoint, "table/example.fakes");
        assert_non_null(text.p);
        assert_non_null(strstr((const char *)text.p, "\"gap\":{\"from\":\"4\",\"until\":2}"));
        assert_non_null(strstr((const char *)text.p, "\"state\":\"streaming\""));
        check_rows(&w.store, &w.log);
    }
    world_done(&w);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof *rows + 9];
    size_t n = 0;
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = test_row,
                                         .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_random_faults);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stalled_sink);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_releases_the_source_before_the_sink);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_sigterm_drains);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_ack_before_the_first_batch);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_second_instance);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_unexplained_slot);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gap);
    return _cmocka_run_group_tests("pipeline", tests, n, NULL, NULL);
}
