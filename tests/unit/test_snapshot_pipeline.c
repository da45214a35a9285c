/*
 * test_snapshot_pipeline.c - copies of tables beside a stream that goes on: whatever fails, whoever
 * applies "greater __seq wins" and sweeps ends up with the tables as they are at the source.
 */
#include <signal.h>
#include <unistd.h>

#include "copy_rig.h"

/* ---- tests ---- */

struct row {
    const char *name, *yaml;
    bool standby;
    bool whole;    /* tables that cannot be cut */
    bool fixed;    /* ranges of one look only */
    int looks_max; /* 0: any */
    struct fake_snap_fault faults[4];
};

static const struct row rows[] = {
    {.name = "start, one thread", .yaml = YAML("threads: 1, range_bytes: 10000", ALL)},
    {.name = "start, three threads", .yaml = YAML("threads: 3, range_bytes: 7000", ALL)},
    {.name = "start, tables whole", .yaml = YAML("", ALL), .whole = true},
    {.name = "start, ranges of one look", .yaml = YAML("range_bytes: 5000", ALL), .fixed = true},
    {.name = "ranged", .yaml = YAML("mode: ranged, range_bytes: 5000", ALL)},
    {.name = "ranged, one thread",
     .yaml = YAML("mode: ranged, threads: 1, range_bytes: 3000", ALL)},
    {.name = "ranged, tables whole", .yaml = YAML("mode: ranged", ALL), .whole = true},
    {.name = "ranged on a standby",
     .yaml = YAML("mode: ranged, range_bytes: 9000", ALL),
     .standby = true},
    {.name = "limited", .yaml = YAML("range_bytes: 5000, rate: 4MiB", ALL)},
    {.name = "no such look at the start",
     .yaml = YAML("range_bytes: 9000", ALL),
     .faults = {{SNAP_TAKE, 1, CDC_END, CDC_RETRY, NULL}}},
    {.name = "the look of the start is lost",
     .yaml = YAML("range_bytes: 9000", ALL),
     .faults = {{SNAP_READ, 5, CDC_FAIL, CDC_RETRY, NULL},
                {SNAP_TAKE, 4, CDC_END, CDC_RETRY, NULL}}},
    {.name = "connections fail",
     .yaml = YAML("mode: ranged, range_bytes: 9000", ALL),
     .faults = {{SNAP_OPEN, 2, CDC_FAIL, CDC_RETRY, NULL},
                {SNAP_BEGIN, 4, CDC_FAIL, CDC_RETRY, NULL},
                {SNAP_PLAN, 3, CDC_FAIL, CDC_RETRY, NULL},
                {SNAP_LIST, 1, CDC_FAIL, CDC_RETRY, NULL}}},
    {.name = "somebody alters a table",
     .yaml = YAML("range_bytes: 9000", ALL),
     .faults = {{SNAP_BEGIN, 3, CDC_AGAIN, CDC_RETRY, NULL},
                {SNAP_READ, 9, CDC_AGAIN, CDC_RETRY, NULL}}},
    {.name = "the stream is cut",
     .yaml = YAML("range_bytes: 9000", ALL),
     .faults = {{SNAP_POLL, 5, CDC_FAIL, CDC_RETRY, NULL},
                {SNAP_POLL, 25, CDC_FAIL, CDC_REWIND, NULL}}},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 7, row->yaml);
    rig.world.standby = row->standby;
    for (int t = 0; t < FAKE_TABLES; t++) {
        rig.world.divisible[t] = !row->whole;
        rig.world.resumable[t] = !row->whole && !row->fixed;
    }
    memcpy(rig.world.faults, row->faults, sizeof row->faults);
    run_well(&rig);
    all_done(&rig);
    check(&rig, &rep);
    assert_true(rep.reads > 0);
    assert_int_equal(rep.sweeps, 0);
    rig_done(&rig);
}

/*
 * More transactions pass than the list of them may hold (a sixteenth of `memory`): it is begun
 * anew, with another exact look, and the tables come out right.
 */
static void test_many_passed(void **state)
{
    (void)state;
    int exact = 0;
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct rig rig;
        struct replica rep;
        rig_init(&rig, seed, YAML("mode: ranged, threads: 2, range_bytes: 4000", ALL));
        rig.world.limit = 1500;
        rig.world.id_len = 30000; /* seventeen fill it */
        rig.world.read_us = 1000;
        run_well(&rig);
        all_done(&rig);
        check(&rig, &rep);
        exact += rig.world.exact;
        rig_done(&rig);
    }
    assert_true(exact > 5); /* one each would do, if the list were longer */
}

/* Random faults, each of which may end the process: the next one goes on from the checkpoint. */
static void test_random(void **state)
{
    (void)state;
    static const char *const yamls[] = {YAML("range_bytes: 5000", ALL),
                                        YAML("mode: ranged, threads: 3, range_bytes: 4000", ALL),
                                        YAML("threads: 1, range_bytes: 20000", ALL)};
    const char *rounds = getenv("SNAPSHOT_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 60;
    for (unsigned seed = 1; seed <= n; seed++) {
        struct rig rig;
        struct replica rep;
        rig_init(&rig, seed, yamls[seed % 3]);
        unsigned random = seed * 7919;
        rig.world.slow = rand_r(&random) % 40;
        rig.world.standby = rand_r(&random) % 8 == 0;
        rig.world.resumable[1] = rand_r(&random) % 2;
        rig.world.divisible[2] = rand_r(&random) % 2;
        rig.store.policy.interval_us = rand_r(&random) % 2 ? 0 : 3000;
        for (int i = 0; i < 6; i++)
            rig.world.faults[i] = (struct fake_snap_fault){
                (enum fake_snap_call)(rand_r(&random) % SNAP_CALLS), 1 + rand_r(&random) % 40,
                CDC_FAIL, rand_r(&random) % 3 ? CDC_RETRY : CDC_REWIND, NULL};
        for (int i = 0; i < 3; i++)
            rig.store.faults[rig.store.n_faults++] = (struct fake_fault){
                rand_r(&random) % 2 ? FAKE_COMMIT : FAKE_WRITE, 1 + rand_r(&random) % 30,
                rand_r(&random) % 2 ? CDC_FATAL : CDC_RETRY, rand_r(&random) % 2, 0};
        struct cdc_error err = {0};
        for (int tries = 0; run(&rig, &err) != CDC_OK; tries++)
            if (tries == 10 || err.action != CDC_FATAL)
                fail_msg("seed %u: %s", seed, err.message);
        all_done(&rig);
        check(&rig, &rep);
        rig_done(&rig);
    }
}

/* A table with a gap is copied anew, and what is not there any more is swept away. */
static void test_gap(void **state)
{
    (void)state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 3, YAML("range_bytes: 9000", "  - {tables: x.b, snapshot: never}\n" ALL));
    run_well(&rig);
    check(&rig, &rep);
    /* changes of b that nobody wrote */
    for (int i = 0; i < 100; i++)
        rig.world.now[1][i % FAKE_KEYS] = i % 4 ? 5000000 + i : 0;
    const char gap[] = "{\"state\":\"streaming\",\"gap\":{\"from\":\"300\"}}";
    assert_int_equal(
        cdc_map_put(&rig.store.checkpoint, cdc_slice_str("table/x.b"), cdc_slice_str(gap)), CDC_OK);
    rig.world.limit += 200;
    run_well(&rig);
    check(&rig, &rep);
    assert_int_equal(rep.sweeps, 1);
    struct cdc_slice now = cdc_map_get(&rig.store.checkpoint, "table/x.b");
    assert_null(strstr((const char *)now.p, "gap"));
    assert_non_null(
        strstr((const char *)cdc_map_get(&rig.store.checkpoint, "copy/x.b").p, "\"generation\":2"));
    rig_done(&rig);
}

/* One that cannot be copied fails for itself; it is tried again at the next start. */
static void test_failed_table(void **state)
{
    (void)state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 5, YAML("range_bytes: 9000", ALL));
    rig.world.faults[0] = (struct fake_snap_fault){SNAP_BEGIN, 1, CDC_FAIL, CDC_OPERATOR, "b"};
    run_well(&rig);
    assert_true(state_is(&rig, "b", "failed"));
    assert_true(state_is(&rig, "a", "done") && state_is(&rig, "c", "done"));
    replicate(&rig.store, &rep);
    check_table(&rig.world, &rep, 0, 5);
    check_table(&rig.world, &rep, 2, 5);
    rig.world.limit += 100;
    run_well(&rig);
    all_done(&rig);
    check(&rig, &rep);
    rig_done(&rig);
}

static void test_missing_table(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 6, YAML("range_bytes: 9000", ALL));
    const char copying[] = "{\"state\":\"copying\",\"generation\":1,\"incarnation\":1,"
                           "\"began\":\"\",\"rows\":0,\"ranges\":[[null,\"30\"]]}";
    rig.world.missing[1] = true;
    assert_int_equal(
        cdc_map_put(&rig.store.checkpoint, cdc_slice_str("copy/x.b"), cdc_slice_str(copying)),
        CDC_OK);
    run_well(&rig);
    assert_true(state_is(&rig, "b", "failed"));
    assert_true(state_is(&rig, "a", "done") && state_is(&rig, "c", "done"));
    rig_done(&rig);
}

/* `only`: no change behind the copy. `never`: no row of a copy. */
static void test_modes(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 8,
             YAML("range_bytes: 9000", "  - {tables: x.b, snapshot: never}\n"
                                       "  - {tables: x.c, snapshot: never}\n" ALL));
    want(rig.set, "x.b", CDC_SNAPSHOT_ONLY);
    want(rig.set, "x.c", CDC_SNAPSHOT_NEVER);
    run_well(&rig);
    for (size_t i = 0; i < rig.store.n; i++) {
        const struct fake_row *row = &rig.store.rows[i];
        assert_true(row->table[0] != 'b' || row->op == 'r');
        assert_true(row->table[0] != 'c' || row->op != 'r');
    }
    assert_true(state_is(&rig, "b", "done"));
    assert_null(cdc_map_get(&rig.store.checkpoint, "copy/x.c").p);
    rig_done(&rig);
}

/* Guards: what takes too long as of the start is read in ranges; what cannot be cut fails. */
static void test_max_age(void **state)
{
    (void)state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 9, YAML("threads: 1, range_bytes: 9000, max_age: 250ms", ALL));
    rig.world.read_us = 30000;
    rig.world.divisible[2] = rig.world.resumable[2] = false;
    run_well(&rig);
    assert_true(state_is(&rig, "a", "done") && state_is(&rig, "b", "done"));
    replicate(&rig.store, &rep);
    check_table(&rig.world, &rep, 0, 9);
    check_table(&rig.world, &rep, 1, 9);
    assert_true(state_is(&rig, "c", "failed"));
    rig_done(&rig);
}

static void *send_term(void *arg)
{
    (void)arg;
    usleep(200000);
    kill(getpid(), SIGTERM);
    return NULL;
}

/* Told to stop in the middle of a copy: soon, well, and the next run goes on. */
static void test_stop(void **state)
{
    (void)state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 10, YAML("range_bytes: 9000", ALL));
    rig.world.read_us = 50000;
    pthread_t thread;
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    pthread_create(&thread, NULL, send_term, NULL);
    run_well(&rig);
    pthread_join(thread, NULL);
    assert_false(state_is(&rig, "c", "done"));
    rig.world.read_us = 0;
    run_well(&rig);
    all_done(&rig);
    check(&rig, &rep);
    rig_done(&rig);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof *rows + 9];
    size_t n = 0;
    cdc_log_setup(getenv("SNAPSHOT_LOG") ? CDC_LOG_DEBUG : CDC_LOG_ERROR, false, "test");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = test_row,
                                         .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gap);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_failed_table);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_missing_table);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_modes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_max_age);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stop);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_many_passed);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_random);
    return _cmocka_run_group_tests("snapshot_pipeline", tests, n, NULL, NULL);
}
