/*
 * test_lake_trim.c - retention: what goes, what stays and for whom; what a reader below the floor
 * is told; and that a kill before each single operation leaves a lake that starts, feeds and
 * checks clean.
 */
#include "base/log.h"
#include "cdc/clock.h"
#include "lake_rig.h"

#define FIRST                                                                                      \
    24 /* commits of two rows each in a lake made without retention; record 1 is a fence */

static struct cdc_table *begin(struct rig *rig, int64_t retention_us)
{
    rig_init(rig);
    rig->set.checkpoint_every = 5;
    rig->set.retention_us = retention_us;
    rig->set.reader_timeout_us = (int64_t)3600 * 1000000;
    rig->set.trim_step = 4;
    rig_start(rig);
    return rig_table("public", "words", 1);
}

static void end(struct rig *rig, struct cdc_table *tab)
{
    rig_sound(rig);
    cdc_table_unref(tab);
    rig_done(rig);
}

static void commits(struct rig *rig, struct cdc_table *tab, int n)
{
    for (int i = 0; i < n; i++)
        rig_rows(rig, tab, 2, "p");
}

/* A lake of FIRST commits, all old, and from now on retention. */
static struct cdc_table *begin_old(struct rig *rig)
{
    struct cdc_table *tab = begin(rig, 0);
    commits(rig, tab, FIRST);
    cdc_sink_lake.close(&rig->lk->base);
    rig->set.retention_us = 1;
    rig_start(rig);
    return tab;
}

/* What a reader sees is the end of the rows 1 to n without a hole; *ret_first its first. */
static void sees_end(struct rig *rig, int64_t least, int64_t *ret_first)
{
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    int64_t first = 0, last = 0;
    rig->err = (struct cdc_error){0};
    int rc = lake_feed.open(NULL, rig->root, &(struct cdc_feed_start){0}, &feed, &rig->err);
    while (rc == CDC_OK && (rc = lake_feed.commit(feed, &at, &rig->err)) == CDC_OK) {
        while ((rc = lake_feed.row(feed, NULL, &row, &rig->err)) == CDC_OK) {
            int64_t id = row.values[0].i;
            first = first ? first : id;
            assert_true(last == 0 || id == last + 1);
            last = id;
        }
        rc = rc == CDC_END ? CDC_OK : rc;
    }
    if (rc != CDC_AGAIN)
        fail_msg("read: %d %s: %s", rc, rig->err.where, rig->err.message);
    assert_true(last >= least);
    lake_feed.close(feed);
    if (ret_first)
        *ret_first = first;
}

static void reader(struct rig *rig, const char *name, uint64_t commit, int64_t age_us)
{
    char command[256], at[28];
    lake_time(cdc_now_us() - age_us, at);
    snprintf(command, sizeof command,
             "mkdir -p _cdc/readers && echo '{\"v\":1,\"commit\":%llu,\"at\":\"%s\"}' > "
             "_cdc/readers/%s",
             (unsigned long long)commit, at, name);
    assert_int_equal(rig_shell(rig, command, ""), 0);
}

/* ---- what goes and what stays ---- */

static void test_it_stays_small(void **state)
{
    (void)state;
    struct rig rig;
    int64_t first;
    struct cdc_table *tab = begin(&rig, 1);
    commits(&rig, tab, 200);
    assert_true(rig.lk->floor > 180);
    assert_true(rig_count(&rig, "-path '*/commits/*'") < 20);
    assert_true(rig_count(&rig, "-name '*.avro'") < 20);
    assert_true(rig_count(&rig, "-path '*/checkpoints/*'") <= 3);
    assert_true(rig_count(&rig, "-path '*/floor/*'") <= 2);
    sees_end(&rig, 400, &first);
    assert_true(first > 360);
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "p");
    sees_end(&rig, 400, NULL);
    end(&rig, tab);
}

static void test_without_retention_all_stays(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig, 0);
    commits(&rig, tab, 50);
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 50);
    assert_int_equal(rig_count(&rig, "-path '*/floor/*'"), 0);
    rig_sees(&rig, 100);
    end(&rig, tab);
}

static void test_what_is_young_stays(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig, (int64_t)3600 * 1000000);
    commits(&rig, tab, 50);
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 50);
    assert_int_equal(rig.lk->floor, 0);
    end(&rig, tab);
}

/* Fewer than a step, but overdue by a tenth: a lake of few commits does not keep them for ever. */
static void test_few_commits_go_too(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig, 10000);
    rig.lk->set.trim_step = 1000000;
    commits(&rig, tab, 3);
    usleep(20000);
    commits(&rig, tab, 6);
    assert_true(rig.lk->floor >= 3);
    end(&rig, tab);
}

/* Commits of positions alone, data long gone. */
static void test_idle_commits_go_too(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig, 1);
    commits(&rig, tab, 3);
    for (int i = 0; i < 60; i++)
        rig_must(&rig, rig_commit(&rig, "idle"));
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 0);
    assert_int_equal(rig_count(&rig, "-type d -name 'dt=*'"), 0);
    assert_true(rig_count(&rig, "-path '*/commits/*'") < 20);
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "idle");
    rig_rows(&rig, tab, 2, "again"); /* its folder is made again */
    sees_end(&rig, 8, NULL);
    end(&rig, tab);
}

static void test_readers_hold_it(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin_old(&rig);
    reader(&rig, "slow.json", 9, 0);
    reader(&rig, "fast.json", 14, 0);
    reader(&rig, "dead.json", 2, (int64_t)7200 * 1000000);
    reader(&rig, ".new.tmp", 1, 0);
    commits(&rig, tab, 10);
    assert_int_equal(rig.lk->floor, 9);
    reader(&rig, "torn.json", 0, 0);
    assert_int_equal(rig_shell(&rig, "echo -n > ", "_cdc/readers/torn.json"), 0);
    reader(&rig, "slow.json", 30, 0);
    commits(&rig, tab, 10);
    assert_int_equal(rig.lk->floor, 9);
    assert_int_equal(rig_shell(&rig, "rm ", "_cdc/readers/torn.json"), 0);
    commits(&rig, tab, 10);
    assert_int_equal(rig.lk->floor, 14);
    sees_end(&rig, 2 * (FIRST + 30), NULL);
    end(&rig, tab);
}

/* It appears after the others were looked at, in front of the floor. */
static void test_a_reader_that_comes_late(void **state)
{
    (void)state;
    struct rig rig;
    char at[28], text[128];
    struct cdc_table *tab = begin_old(&rig);
    rig.lk->set.checkpoint_every = 1000; /* the next such object is the one in front of a floor */
    lake_time(cdc_now_us(), at);
    snprintf(text, sizeof text, "{\"v\":1,\"commit\":3,\"at\":\"%s\"}", at);
    rig.world.held_path = strdup("_cdc/readers/late.json");
    rig.world.held = (uint8_t *)strdup(text);
    rig.world.held_len = strlen(text);
    rig.world.faults[0] = (struct fault){FAULT_PUT, "_cdc/checkpoints/", 1, 0, FAULT_LET_GO};
    commits(&rig, tab, 10);
    assert_int_equal(rig.world.hit, 1);
    assert_int_equal(rig.lk->floor, 0);
    assert_true(rig.lk->trim.base.seq > 3);
    rig_sees(&rig, 2 * (FIRST + 10));
    end(&rig, tab);
}

static void test_the_feed_registers(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_feed *feed;
    struct cdc_feed_commit at;
    struct cdc_table *tab = begin(&rig, 0);
    commits(&rig, tab, 9);
    rig_must(&rig, lake_feed.open(NULL, rig.root, &(struct cdc_feed_start){.whole = true}, &feed,
                                  &rig.err));
    lake_feed.applied(feed, "replica-a.db", 0, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_OK);
    lake_feed.applied(feed, "replica-a.db", 4, false); /* too soon */
    uint64_t bound;
    rig_must(&rig, lake_readers_bound(rig.lk, &bound, &rig.err));
    assert_int_equal(bound, 0);
    lake_feed.applied(feed, "replica-a.db", 4, true);
    lake_feed.applied(feed, "../../x", 1, true); /* no name: refused, not written anywhere */
    rig_must(&rig, lake_readers_bound(rig.lk, &bound, &rig.err));
    assert_int_equal(bound, 4);
    lake_feed.close(feed);
    end(&rig, tab);
}

/* ---- readers and the floor ---- */

static int open_behind(struct rig *rig, const struct cdc_feed_start *start)
{
    struct cdc_feed *feed = NULL;
    rig->err = (struct cdc_error){0};
    int rc = lake_feed.open(NULL, rig->root, start, &feed, &rig->err);
    if (rc == CDC_OK)
        lake_feed.close(feed);
    return rc;
}

static void test_where_a_reader_may_begin(void **state)
{
    (void)state;
    struct rig rig;
    char sha[65], token[96];
    struct lake_commit rec;
    struct cdc_table *tab = begin_old(&rig);
    rig_must(&rig, lake_chain_read(rig.lk->store, 5, &rec, sha, &rig.err));
    lake_commit_done(&rec);
    snprintf(token, sizeof token, "5 %s", sha);
    commits(&rig, tab, 12);
    uint64_t floor = rig.lk->floor;
    assert_true(floor > 10);
    assert_int_equal(open_behind(&rig, &(struct cdc_feed_start){.after = floor}), CDC_OK);
    assert_int_equal(open_behind(&rig, &(struct cdc_feed_start){.after = floor + 1}), CDC_OK);
    const struct cdc_feed_start refused[] = {{.after = floor - 1}, {.after = 1}, {.token = token}};
    for (size_t i = 0; i < CM_COUNT(refused); i++) {
        assert_int_equal(open_behind(&rig, &refused[i]), CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_non_null(strstr(rig.err.message, "removed by sink.retention"));
    }
    end(&rig, tab);
}

static const struct whole_row {
    const char *name, *before[2],
        *behind[2];      /* key and value, committed on each side of the floor */
    const char *missing; /* the table that is told; NULL: it may begin */
} whole_rows[] = {
    {"no table", {"incarnation", "1"}, {"incarnation", "1"}, NULL},
    {"never copied", {"table/shop.a", "{}"}, {"incarnation", "1"}, "shop.a"},
    {"copied since",
     {"table/shop.a", "{}"},
     {"copy/shop.a", "{\"state\":\"done\",\"generation\":1}"},
     NULL},
    {"being copied",
     {"table/shop.a", "{}"},
     {"copy/shop.a", "{\"state\":\"copying\",\"generation\":1}"},
     "shop.a"},
    {"known since", {"incarnation", "1"}, {"table/shop.a", "{}"}, NULL},
    {"messages", {"table/_sidestream._messages", "{}"}, {"incarnation", "1"}, NULL},
    {"another table was",
     {"table/shop.a", "{}"},
     {"copy/shop.b", "{\"state\":\"done\",\"generation\":9}"},
     "shop.a"},
};

static void put(struct rig *rig, const char *const kv[2])
{
    struct cdc_map delta;
    cdc_map_init(&delta);
    assert_int_equal(cdc_map_put(&delta, cdc_slice_str(kv[0]), cdc_slice_str(kv[1])), CDC_OK);
    rig_must(rig, cdc_sink_lake.commit(&rig->lk->base, &delta, CDC_COMMIT_ALL, &rig->err));
    cdc_map_done(&delta);
}

static void whole(struct rig *rig, const char *missing)
{
    int rc = open_behind(rig, &(struct cdc_feed_start){.whole = true});
    assert_int_equal(rc, missing ? CDC_FAIL : CDC_OK);
    if (missing) {
        assert_int_equal(rig->err.action, CDC_OPERATOR);
        assert_non_null(strstr(rig->err.message, "the beginning of this lake was removed"));
        assert_non_null(strstr(rig->err.message, missing));
    }
}

/* Who needs everything: only where all that was known at the floor was copied behind it. */
static void test_whole(void **state)
{
    const struct whole_row *row = *state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig, 1);
    put(&rig, row->before);
    commits(&rig, tab, 30);
    assert_true(rig.lk->floor > 10);
    rig.lk->set.retention_us = 0;
    put(&rig, row->behind);
    whole(&rig, row->missing);
    commits(&rig, tab, 7); /* a checkpoint object holds it now */
    whole(&rig, row->missing);
    end(&rig, tab);
}

/* The copy that was done at the floor says nothing about what is behind it; the next one does. */
static void test_whole_by_a_second_copy(void **state)
{
    (void)state;
    struct rig rig;
    const char *const first[] = {"copy/shop.a", "{\"state\":\"done\",\"generation\":1}"};
    const char *const second[] = {"copy/shop.a", "{\"state\":\"done\",\"generation\":2}"};
    const char *const table[] = {"table/shop.a", "{}"};
    struct cdc_table *tab = begin(&rig, 1);
    put(&rig, table);
    put(&rig, first);
    commits(&rig, tab, 30);
    rig.lk->set.retention_us = 0;
    whole(&rig, "shop.a");
    put(&rig, second);
    whole(&rig, NULL);
    end(&rig, tab);
}

/* It stands at commit `at` when the lake is cut behind it. */
static void cut_under_a_reader(uint64_t at_commit, bool in_rows)
{
    struct rig rig;
    struct cdc_feed *feed;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    struct cdc_table *tab = begin_old(&rig);
    rig_must(&rig, lake_feed.open(NULL, rig.root, &(struct cdc_feed_start){0}, &feed, &rig.err));
    for (uint64_t i = 0; i < at_commit; i++)
        assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_OK);
    commits(&rig, tab, 12);
    int rc =
        in_rows ? lake_feed.row(feed, NULL, &row, &rig.err) : lake_feed.commit(feed, &at, &rig.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "removed by sink.retention"));
    lake_feed.close(feed);
    end(&rig, tab);
}

static void test_cut_in_front_of_a_reader(void **state)
{
    (void)state;
    cut_under_a_reader(3, false);
}

static void test_cut_under_a_reader(void **state)
{
    (void)state;
    cut_under_a_reader(3, true);
}

/* ---- a kill before each operation ---- */

static void copy(struct rig *rig, const char *from, const char *to)
{
    char command[256];
    (void)rig;
    snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", to, from, to);
    assert_int_equal(system(command), 0);
}

/* Commits until the store is dead; how many were acknowledged. */
static int commits_until_dead(struct rig *rig, struct cdc_table *tab, int most)
{
    for (int i = 0; i < most; i++)
        if (rig_write(rig, tab, 2) < 0 || rig_commit(rig, "p") < 0)
            return i;
    return most;
}

static bool one_kill(struct rig *rig, struct cdc_table *tab, const char *saved, int at)
{
    copy(rig, saved, rig->root);
    rig->next = 2 * FIRST + 1;
    rig->world.dies_at = 0;
    rig_start(rig);
    rig->world.dies_at = rig->world.changes + at;
    int done = commits_until_dead(rig, tab, 14);
    bool died = rig->world.changes >= rig->world.dies_at;
    rig_kill(rig);
    rig->world.dies_at = 0;
    rig_sound(rig); /* also before anybody mends it */
    sees_end(rig, 2 * (FIRST + done), NULL);
    rig_start(rig);
    rig_sound(rig);
    /* The source sends again what was not acknowledged; our rows are counted by what is there. */
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit commit;
    struct cdc_feed_row row;
    rig_must(rig, lake_feed.open(NULL, rig->root, &(struct cdc_feed_start){0}, &feed, &rig->err));
    while (lake_feed.commit(feed, &commit, &rig->err) == CDC_OK)
        while (lake_feed.row(feed, NULL, &row, &rig->err) == CDC_OK)
            rig->next = row.values[0].i + 1;
    lake_feed.close(feed);
    int64_t before = rig->next;
    commits(rig, tab, 14);
    assert_true(rig->lk->floor > FIRST);
    if (at % 8 == 0) { /* a process each */
        assert_true(rig_count(rig, "-name '*.avro'") < 20);
        assert_true(rig_count(rig, "-path '*/commits/*'") < 25);
    }
    sees_end(rig, before + 27, NULL);
    rig_sound(rig);
    cdc_sink_lake.close(&rig->lk->base);
    rig->lk = NULL;
    return died;
}

static void test_a_kill_before_each_operation(void **state)
{
    (void)state;
    struct rig rig;
    char saved[64];
    struct cdc_table *tab = begin(&rig, 0);
    commits(&rig, tab, FIRST);
    cdc_sink_lake.close(&rig.lk->base);
    rig.lk = NULL;
    rig.set.retention_us = 1;
    snprintf(saved, sizeof saved, "%s.saved", rig.root);
    copy(&rig, rig.root, saved);
    int at = 1;
    while (one_kill(&rig, tab, saved, at))
        at++;
    assert_true(at > 45); /* commits, floors, checkpoint objects, some thirty removals */
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", saved);
    assert_int_equal(system(command), 0);
    end(&rig, tab);
}

/* A failed fsync of the floor is a failure of the disk that the commits lie on. */
static void test_a_failed_fsync_of_the_floor(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin_old(&rig);
    rig.world.faults[0] = (struct fault){FAULT_PUT, "_cdc/floor/", 1, 0, FAULT_EIO};
    rig.next = 2 * FIRST + 1;
    assert_true(commits_until_dead(&rig, tab, 14) < 14);
    assert_int_equal(rig.err.action, CDC_FATAL);
    assert_int_equal(rig_count(&rig, "-name '00000000000000000002-*.avro'"), 1);
    rig_kill(&rig);
    rig_start(&rig);
    sees_end(&rig, 2 * FIRST, NULL);
    end(&rig, tab);
}

/* No room, a lost answer: capture goes on, and so does retention, later. */
static void test_a_floor_that_cannot_be_written(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = {FAULT_NO_SPACE, FAULT_LOST};
    for (size_t i = 0; i < CM_COUNT(kinds); i++) {
        struct rig rig;
        struct cdc_table *tab = begin_old(&rig);
        rig.world.faults[0] = (struct fault){FAULT_PUT, "_cdc/floor/", 1, 0, kinds[i]};
        rig.world.faults[1] = (struct fault){FAULT_PUT, "_cdc/checkpoints/", 3, 0, kinds[i]};
        commits(&rig, tab, 20);
        assert_int_equal(rig.world.hit, 2);
        assert_true(rig.lk->floor > 10);
        sees_end(&rig, 2 * (FIRST + 20), NULL);
        end(&rig, tab);
    }
}

/* ---- damage to a lake that was cut ---- */

static const struct damage_row {
    const char *name, *how;
    const char *finding; /* of fsck; NULL: none */
    bool starts, feeds;
} damage_rows[] = {
    {"sound", "true", NULL, true, true},
    {"hint lost", "rm _cdc/_last", NULL, true, true},
    {"newer checkpoint objects lost",
     "for f in _cdc/checkpoints/*; do test -e _cdc/floor/$(basename $f) || rm $f; done", NULL, true,
     true},
    {"newer checkpoint objects damaged",
     "for f in _cdc/checkpoints/*; do test -e _cdc/floor/$(basename $f) || echo > $f; done",
     "damaged", true, true},
    {"the floor's checkpoint object lost", "rm _cdc/checkpoints/$(ls _cdc/floor | tail -1)",
     "is missing or damaged", true, false},
    {"the floor's checkpoint object damaged",
     "echo '{' > _cdc/checkpoints/$(ls _cdc/floor | tail -1)", "is missing or damaged", true,
     false},
    {"the floor's record lost", "rm _cdc/commits/$(ls _cdc/floor | tail -1)",
     "the lake begins behind it", true, false},
    {"the floor lost", "rm -r _cdc/floor", "missing", true, false},
    {"all records lost", "rm _cdc/commits/*", "missing", false, false},
    {"a record of before, left behind",
     "cp _cdc/commits/$(ls _cdc/floor | tail -1) _cdc/commits/00000000000000000002.json", NULL,
     true, true},
    {"an older floor, left behind", "touch _cdc/floor/00000000000000000003.json", NULL, true, true},
};

static void test_damage(void **state)
{
    const struct damage_row *row = *state;
    struct rig rig;
    struct rig_seen seen;
    int rc;
    struct cdc_table *tab = begin_old(&rig);
    commits(&rig, tab, 14);
    rig.set.retention_us = rig.lk->set.retention_us = 0;
    commits(&rig, tab, 11); /* checkpoint objects behind the floor */
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    char *text = rig_fsck(&rig, &rc);
    assert_int_equal(rc, CDC_OK);
    if ((strstr(text, "FAIL") != NULL) != (row->finding != NULL) ||
        (row->finding && !strstr(text, row->finding)))
        fail_msg("fsck: %s", text);
    free(text);
    assert_int_equal(rig_read(&rig, NULL, &seen), row->feeds ? CDC_AGAIN : CDC_FAIL);
    rig_try_open(&rig);
    assert_int_equal(rig_recover(&rig), row->starts ? CDC_OK : CDC_FAIL);
    if (!row->starts)
        assert_int_equal(rig.err.action, CDC_OPERATOR);
    cdc_table_unref(tab);
    rig_done(&rig);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_it_stays_small),
        cmocka_unit_test(test_without_retention_all_stays),
        cmocka_unit_test(test_what_is_young_stays),
        cmocka_unit_test(test_few_commits_go_too),
        cmocka_unit_test(test_idle_commits_go_too),
        cmocka_unit_test(test_readers_hold_it),
        cmocka_unit_test(test_a_reader_that_comes_late),
        cmocka_unit_test(test_the_feed_registers),
        cmocka_unit_test(test_where_a_reader_may_begin),
        cmocka_unit_test(test_whole_by_a_second_copy),
        cmocka_unit_test(test_cut_in_front_of_a_reader),
        cmocka_unit_test(test_cut_under_a_reader),
        cmocka_unit_test(test_a_kill_before_each_operation),
        cmocka_unit_test(test_a_failed_fsync_of_the_floor),
        cmocka_unit_test(test_a_floor_that_cannot_be_written),
    };
    struct CMUnitTest tests[CM_COUNT(fixed) + CM_COUNT(damage_rows) + CM_COUNT(whole_rows)];
    struct CMUnitTest *to = CM_ROWS(tests, test_damage, damage_rows);
    memcpy(CM_ROWS(to, test_whole, whole_rows), fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake retention", tests, NULL, NULL);
}
