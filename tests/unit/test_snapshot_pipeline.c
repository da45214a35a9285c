/*
 * test_snapshot_pipeline.c - copies of tables beside a stream that goes on: whatever fails, whoever
 * applies "greater __seq wins" and sweeps ends up with the tables as they are at the source.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../fakes/fake.h"
#include "../fakes/fake_snap.h"
#include "base/log.h"
#include "cm.h"
#include "pipeline/pipeline.h"

#define YAML(snapshot, rules)                                                                      \
    "name: fake\nsource: {type: example}\nmemory: 8MiB\n"                                          \
    "snapshot: {" snapshot "}\ncapture:\n" rules "sink: {type: 'null'}\n"
#define ALL "  - {tables: x.*, snapshot: never}\n"

/* ---- a replica ---- */

struct cell {
    char seq[CDC_SEQ_LEN + 1];
    int64_t value; /* 0: deleted */
};

struct replica {
    struct cell cells[FAKE_TABLES][FAKE_KEYS];
    char swept[FAKE_TABLES][CDC_SEQ_LEN + 1];
    int reads, sweeps;
};

static void replicate(const struct fake_store *store, struct replica *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < store->n; i++) {
        const struct fake_row *row = &store->rows[i];
        int t = row->table[0] - 'a';
        ret->reads += row->op == 'r';
        if (row->op == 't') {
            ret->sweeps++;
            if (strcmp(row->seq, ret->swept[t]) > 0)
                strcpy(ret->swept[t], row->seq);
            continue;
        }
        struct cell *cell = &ret->cells[t][row->key];
        if (strcmp(row->seq, cell->seq) >= 0) {
            strcpy(cell->seq, row->seq);
            cell->value = row->op == 'd' ? 0 : row->value;
        }
    }
    for (int t = 0; t < FAKE_TABLES; t++)
        for (int k = 0; k < FAKE_KEYS; k++)
            if (strcmp(ret->cells[t][k].seq, ret->swept[t]) < 0)
                ret->cells[t][k].value = 0;
}

static void check_table(const struct fake_snap_world *world, const struct replica *rep, int t,
                        unsigned seed)
{
    for (int k = 0; k < FAKE_KEYS; k++)
        if (rep->cells[t][k].value != world->now[t][k])
            fail_msg("seed %u: table %c, key %d: %lld in the replica (%s), %d at the source", seed,
                     'a' + t, k, (long long)rep->cells[t][k].value, rep->cells[t][k].seq,
                     world->now[t][k]);
}

/* ---- a rig ---- */

struct rig {
    struct fake_snap_world world;
    struct fake_store store;
    struct cdc_settings *set;
    unsigned seed;
};

static struct cdc_settings *parse(const char *yaml)
{
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    if (cdc_settings_parse(cdc_slice_str(yaml), "fake.yaml", &set, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    set->source = &fake_snap_source_ops;
    set->sink = &fake_sink_ops;
    return set;
}

/* The rules want copies: the source of the text, which cannot, is not the one that is used. */
static void want(struct cdc_settings *set, const char *tables, enum cdc_snapshot_mode mode)
{
    const struct cdc_rule *rules;
    size_t n = cdc_capture_rules(set->config.capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!tables || strcmp(rules[i].tables, tables) == 0)
            ((struct cdc_rule *)(uintptr_t)&rules[i])->snapshot = mode;
}

static void rig_init(struct rig *rig, unsigned seed, const char *yaml)
{
    fake_snap_init(&rig->world, seed);
    fake_store_init(&rig->store);
    rig->store.policy = (struct cdc_commit_policy){
        .eager = true, .cut_us = 1, .idle_us = 1000000, .idle_bytes = 1 << 20};
    rig->seed = seed;
    rig->set = parse(yaml);
    want(rig->set, NULL, CDC_SNAPSHOT_INITIAL);
    fake_use(NULL, &rig->store);
}

static void rig_done(struct rig *rig)
{
    cdc_settings_free(rig->set);
    fake_store_done(&rig->store);
    fake_snap_done(&rig->world);
}

static int run(struct rig *rig, struct cdc_error *err)
{
    const struct cdc_pipeline_options opt = {.backoff_min_us = 1000, .max_failures = 50};
    struct cdc_pipeline_stats stats;
    return cdc_pipeline_run(rig->set, &opt, &stats, err);
}

static void run_well(struct rig *rig)
{
    struct cdc_error err = {0};
    if (run(rig, &err) != CDC_OK)
        fail_msg("seed %u: %s", rig->seed, err.message);
}

static void check(struct rig *rig, struct replica *rep)
{
    replicate(&rig->store, rep);
    for (int t = 0; t < FAKE_TABLES; t++)
        check_table(&rig->world, rep, t, rig->seed);
    assert_int_equal(rig->world.wrong, 0);
    assert_int_equal(rig->world.open_snaps, 0);
}

static const char *state_of(struct rig *rig, const char *table)
{
    char key[32];
    snprintf(key, sizeof key, "copy/x.%s", table);
    struct cdc_slice value = cdc_map_get(&rig->store.checkpoint, key);
    return value.p ? (const char *)value.p : "";
}

static bool state_is(struct rig *rig, const char *table, const char *word)
{
    char text[64];
    snprintf(text, sizeof text, "\"state\":\"%s\"", word);
    return strstr(state_of(rig, table), text) != NULL;
}

static void all_done(struct rig *rig)
{
    for (int t = 0; t < FAKE_TABLES; t++) {
        const char name[] = {(char)('a' + t), 0};
        if (!state_is(rig, name, "done"))
            fail_msg("seed %u: table %s is not done: %s", rig->seed, name, state_of(rig, name));
    }
}

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
    (void)state;
    static const char *const yamls[] = {YAML("range_bytes: 5000", ALL),
                                        YAML("mode: ranged, threads: 3, range_bytes: 4000", ALL),
                                        YAML("mode: ranged, threads: 1, range_bytes: 90000", ALL)};
    const char *rounds = getenv("SNAPSHOT_ROUNDS");
    unsigned n = rounds ? (unsigned)atoi(rounds) : 60;
    for (unsigned seed = 1; seed <= n; seed++) {
        struct rig rig;
        struct replica rep;
        rig_init(&rig, seed, yamls[seed % 3]);
        unsigned random = seed * 6151;
        rig.world.gap_one_in = 1 + rand_r(&random) % 100;
        rig.world.gaps_max = 1 + rand_r(&random) % 4;
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
        if (cdc_pipeline_run(rig.set, &opt, NULL, &err) != CDC_OK)
            fail_msg("seed %u: %s", seed, err.message);
        all_done(&rig);
        assert_int_equal(cdc_map_get_text(&rig.store.checkpoint, "position", &position, &err),
                         CDC_OK);
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

/* The first time b is copied too, the second time nothing is new, then it is refused. */
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
    default: return cdc_fail(err, CDC_CONFIG, "fake.yaml", "scripted");
    }
}

static void *send_hup(void *arg)
{
    struct fake_snap_world *world = arg;
    for (int i = 0; i < 3; i++) {
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
        assert_int_equal(reloads, 3);
        assert_int_equal(stats.sessions, 2);
        all_done(&rig);
        check(&rig, &rep);
        rig_done(&rig);
    }
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof *rows + 12];
    size_t n = 0;
    cdc_log_setup(getenv("SNAPSHOT_LOG") ? CDC_LOG_DEBUG : CDC_LOG_ERROR, false, "test");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = test_row,
                                         .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gap);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_log_gap);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_log_gap_never);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_failed_table);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_missing_table);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_modes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_max_age);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stop);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_one_moment);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_reload);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_random);
    return _cmocka_run_group_tests("snapshot_pipeline", tests, n, NULL, NULL);
}
