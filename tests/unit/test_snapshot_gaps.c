/*
 * test_snapshot_gaps.c - copies and what comes between: logs that do not have all, the
 * configuration read again, a run that ends at one moment.
 */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "copy_rig.h"

static const char *table_state(struct rig *rig, const char *table)
{
    char key[32];
    snprintf(key, sizeof key, "table/x.%s", table);
    struct cdc_slice value = cdc_map_get(&rig->store.checkpoint, key);
    return value.p ? (const char *)value.p : "";
}

static void check_gaps(struct rig *rig, bool there)
{
    bool any = false;
    for (int t = 0; t < FAKE_TABLES; t++) {
        const char name[] = {(char)('a' + t), 0};
        any |= strstr(table_state(rig, name), "\"gap\"") != NULL;
    }
    if (any != there)
        fail_msg("seed %u: gaps are %s in the tables' states", rig->seed, any ? "left" : "missing");
    for (size_t i = 0; i < rig->store.n; i++)
        if (rig->store.rows[i].op == 'g')
            fail_msg("seed %u: the sink was given a gap", rig->seed);
}

/*
 * The log does not have all: what it says to be missing is copied, behind the place where it says
 * so, and what is gone is swept: whether a copy is under way, done, or waits; and over failures of
 * all kinds.
 */
static void test_log_gap(void **state)
{
    static const char *const yamls[] = {YAML("range_bytes: 5000", ALL),
                                        YAML("mode: ranged, threads: 3, range_bytes: 4000", ALL),
                                        YAML("mode: ranged, threads: 1, range_bytes: 90000", ALL)};
    const char *rounds = getenv("SNAPSHOT_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 60;
    for (unsigned seed = 1; seed <= n; seed++) {
        struct rig rig;
        struct replica rep;
        bool torn = *state != NULL; /* beside a copy in ranges that is a gap too */
        rig_init(&rig, seed, yamls[torn ? 1 + seed % 2 : seed % 3]);
        rig.world.torn = torn;
        unsigned random = seed * 6151;
        rig.world.gap_one_in = 1 + rand_r(&random) % (torn ? 20 : 100);
        rig.world.gaps_max = 1 + rand_r(&random) % (torn ? 60 : 4);
        rig.world.slow = rand_r(&random) % 40;
        rig.world.standby = rand_r(&random) % 8 == 0;
        rig.world.resumable[1] = rand_r(&random) % 2;
        rig.world.divisible[2] = rand_r(&random) % 2;
        rig.store.policy.interval_us = rand_r(&random) % 2 ? 0 : 3000;
        for (int i = 0; i < 3 && seed % 2; i++)
            rig.world.faults[i] =
                (struct fake_snap_fault){(enum fake_snap_call)(rand_r(&random) % SNAP_CALLS),
                                         1 + rand_r(&random) % 40, CDC_FAIL, CDC_RETRY, NULL};
        for (int i = 0; i < 3 && seed % 2; i++)
            rig.store.faults[rig.store.n_faults++] = (struct fake_fault){
                rand_r(&random) % 2 ? FAKE_COMMIT : FAKE_WRITE, 1 + rand_r(&random) % 60,
                rand_r(&random) % 2 ? CDC_FATAL : CDC_RETRY, rand_r(&random) % 2, 0};
        struct cdc_error err = {0};
        for (int tries = 0; run(&rig, &err) != CDC_OK; tries++)
            if (tries == 10 || err.action != CDC_FATAL)
                fail_msg("seed %u: %s", seed, err.message);
        all_done(&rig);
        check(&rig, &rep);
        check_gaps(&rig, false);
        rig_done(&rig);
    }
}

/* `never`: it stays written down, over starts; a rule that wants rows mends it. */
static void test_log_gap_never(void **state)
{
    (void)state;
    struct rig rig;
    struct replica rep;
    rig_init(&rig, 12, YAML("range_bytes: 9000", "  - {tables: x.b, snapshot: never}\n" ALL));
    want(rig.set, NULL, CDC_SNAPSHOT_NEVER);
    rig.world.limit = 0;
    run_well(&rig); /* the slot: all that follows is in the log, or should be */
    rig.world.limit = 200;
    rig.world.gap_one_in = 20;
    rig.world.gaps_max = 3;
    for (int i = 0; i < 3; i++) {
        run_well(&rig);
        check_gaps(&rig, true);
        assert_string_equal(state_of(&rig, "a"), "");
        rig.world.limit += 20;
    }
    assert_true(rig.world.gaps == 3);
    want(rig.set, NULL, CDC_SNAPSHOT_INITIAL);
    run_well(&rig);
    check_gaps(&rig, false);
    all_done(&rig);
    check(&rig, &rep);
    assert_true(rep.sweeps > 0);
    rig_done(&rig);
}

/* `until_caught_up` ends at a moment: what is there then is as the source was at its position. */
static void test_one_moment(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct rig rig;
        struct replica rep;
        struct cdc_error err = {0};
        struct cdc_buf position = CDC_BUF(64);
        const struct cdc_pipeline_options opt = {
            .backoff_min_us = 1000, .max_failures = 50, .until_caught_up = true};
        rig_init(&rig, seed,
                 seed % 4 ? YAML("mode: ranged, range_bytes: 9000", ALL)
                          : YAML("range_bytes: 9000", ALL));
        rig.world.endless = rig.world.tells = true;
        rig.world.limit = FAKE_TXS - 1;
        rig.world.read_us = seed % 2 ? 0 : 3000;
        if (cdc_pipeline_run(rig.set, &opt, NULL, &err) != CDC_OK)
            fail_msg("seed %u: %s", seed, err.message);
        all_done(&rig);
        assert_int_equal(cdc_map_get_text(&rig.store.checkpoint, "position", &position, &err),
                         CDC_OK);
        if (rig.world.keepalives > 5000) /* it sleeps while only copies are waited for */
            fail_msg("seed %u: the source was served %u times", seed, rig.world.keepalives);
        int at = atoi(cdc_buf_cstr(&position));
        for (int i = rig.world.n_txs - 1; i >= at; i--) /* the source as it was then */
            for (int c = 0; c < rig.world.txs[i].n; c++) {
                const struct fake_change *change = &rig.world.txs[i].changes[c];
                rig.world.now[change->table][change->key] = change->before;
            }
        check(&rig, &rep);
        cdc_buf_done(&position);
        rig_done(&rig);
    }
}

/* ---- SIGHUP ---- */

static atomic_int reloads;

/* First b is copied too, then nothing is new, then only the log, then it is refused. */
static int reload(const struct cdc_settings *now, struct cdc_settings **ret, struct cdc_error *err)
{
    (void)now;
    switch (reloads++) {
    case 0:
        *ret = parse(
            YAML("threads: 3, range_bytes: 4000", "  - {tables: x.b, snapshot: never}\n" ALL));
        want(*ret, NULL, CDC_SNAPSHOT_INITIAL);
        return CDC_OK;
    case 1: return CDC_AGAIN;
    case 2: *ret = parse(YAML("", ALL)); return CDC_END; /* none that ever is in effect */
    default: return cdc_fail(err, CDC_CONFIG, "fake.yaml", "scripted");
    }
}

static void *send_hup(void *arg)
{
    struct fake_snap_world *world = arg;
    for (int i = 0; i < 4; i++) {
        usleep(100000);
        kill(getpid(), SIGHUP);
        for (int wait = 0; reloads <= i && wait < 1000; wait++)
            usleep(10000);
        pthread_mutex_lock(&world->lock);
        world->limit += 200;
        pthread_mutex_unlock(&world->lock);
    }
    pthread_mutex_lock(&world->lock);
    world->endless = false;
    pthread_mutex_unlock(&world->lock);
    return NULL;
}

/* Other rules in the middle of copies and stream: nothing is lost, and they hold. */
static void test_reload(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct rig rig;
        struct replica rep;
        struct cdc_pipeline_stats stats;
        struct cdc_error err = {0};
        const struct cdc_pipeline_options opt = {
            .backoff_min_us = 1000, .max_failures = 50, .reload = reload};
        rig_init(&rig, seed,
                 YAML("threads: 1, range_bytes: 9000", "  - {tables: x.b, snapshot: never}\n" ALL));
        want(rig.set, "x.b", CDC_SNAPSHOT_NEVER);
        rig.world.endless = true;
        rig.world.read_us = 1000 * (int)seed;
        reloads = 0;
        pthread_t thread;
        sigset_t hup;
        sigemptyset(&hup);
        sigaddset(&hup, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &hup, NULL);
        pthread_create(&thread, NULL, send_hup, &rig.world);
        if (cdc_pipeline_run(rig.set, &opt, &stats, &err) != CDC_OK)
            fail_msg("seed %u: %s", seed, err.message);
        pthread_join(thread, NULL);
        assert_int_equal(reloads, 4);
        assert_int_equal(stats.sessions, 3);
        all_done(&rig);
        check(&rig, &rep);
        rig_done(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_gap),
        cmocka_unit_test_prestate(test_log_gap, (void *)(uintptr_t) "torn"),
        cmocka_unit_test(test_log_gap_never), cmocka_unit_test(test_one_moment),
        cmocka_unit_test(test_reload)};
    cdc_log_setup(getenv("SNAPSHOT_LOG") ? CDC_LOG_DEBUG : CDC_LOG_ERROR, false, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
