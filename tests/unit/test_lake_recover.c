/*
 * test_lake_recover.c - starting: which folders are taken, which refused and with what words;
 * epochs, checkpoint objects, what is swept and what is not.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "base/log.h"
#include "lake_rig.h"

static struct cdc_table *words(void)
{
    return rig_table("public", "words", 1);
}

/* A lake with four commits of two rows each (numbers 2 to 5), then `how` is done to its folder. */
static const struct refuse_row {
    const char *name, *how;
    uint64_t checkpoint_every;
    const char *expect; /* in the message; NULL: it starts and all rows are there */
} refuse_rows[] = {
    {"an untouched lake", "true", 1000, NULL},
    {"no hint", "rm -f _cdc/_last", 2, NULL},
    {"a damaged hint", "echo '{' > _cdc/_last", 2, NULL},
    {"a hint of nonsense", "echo '{\"seq\":0,\"checkpoint\":777}' > _cdc/_last", 2, NULL},
    {"no checkpoint objects", "rm -rf _cdc/checkpoints", 2, NULL},
    {"a damaged checkpoint object", "for f in _cdc/checkpoints/*; do echo '{' > $f; done", 2, NULL},
    {"an empty checkpoint object", "for f in _cdc/checkpoints/*; do : > $f; done", 2, NULL},
    {"a checkpoint object of another lake",
     "for f in _cdc/checkpoints/*; do sed -i 's/\"sha256\":\"..../\"sha256\":\"0000/' $f; done", 2,
     NULL},
    {"owners lost", "rm -rf _cdc/owner", 1000, NULL},
    {"format.json damaged", "echo '{' > _cdc/format.json", 1000, "damaged"},
    {"format.json empty", ": > _cdc/format.json", 1000, "damaged"},
    {"format.json lost", "rm _cdc/format.json", 1000, "there are commits"},
    {"a newer format", "echo '{\"v\":2,\"name\":\"shop\"}' > _cdc/format.json", 1000, "version 2"},
    {"of another pipeline", "echo '{\"v\":1,\"name\":\"store\"}' > _cdc/format.json", 1000,
     "belongs to the pipeline `store`"},
    {"a commit in the middle lost", "rm _cdc/commits/*3.json", 1000, "commit 3 is missing"},
    {"the first commit lost", "rm _cdc/commits/*1.json", 1000, "commit 1 is missing"},
    {"a commit damaged", "echo '{\"v\":1' > _cdc/commits/00000000000000000004.json", 1000,
     "damaged"},
    {"a commit empty", ": > _cdc/commits/00000000000000000004.json", 1000, "no JSON"},
    {"a commit changed",
     "sed -i 's/\"public.words\"/\"public.wordz\"/' _cdc/commits/00000000000000000004.json", 1000,
     "prev"},
    {"a commit of another place", "cp _cdc/commits/*3.json _cdc/commits/00000000000000000004.json",
     1000, "number"},
    {"the last data file cut", "truncate -s 100 log/public.words/dt=*/00000000000000000005-*", 1000,
     "cut short"},
    {"the last data file lost", "rm log/public.words/dt=*/00000000000000000005-*", 1000, "lost"},
    {"the commits lost", "rm -rf _cdc/commits", 2, "missing"},
};

static void test_start(void **state)
{
    const struct refuse_row *row = *state;
    struct rig rig;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig.set.checkpoint_every = row->checkpoint_every;
    rig_start(&rig);
    for (int i = 0; i < 4; i++)
        rig_rows(&rig, tab, 2, "p");
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    rig_try_open(&rig);
    int rc = rig_recover(&rig);
    if (row->expect) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        if (!strstr(rig.err.message, row->expect))
            fail_msg("%s", rig.err.message);
        assert_int_equal(rig_count(&rig, "-name '00000000000000000006*'"), 0); /* no fence */
    } else {
        rig_must(&rig, rc);
        rig_position(&rig, "p");
        rig_sees(&rig, 8);
        rig_rows(&rig, tab, 2, "more");
        rig_sees(&rig, 10);
    }
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* A folder that is no lake. */
static const struct folder_row {
    const char *name, *how;
    bool taken;
} folder_rows[] = {
    {"an empty folder", "true", true},
    {"no folder", "rmdir ../$(basename $PWD)", true},
    {"a file system's root", "mkdir lost+found", true},
    {"somebody's file", "touch notes.txt", false},
    {"a hidden file", "touch .hidden", false},
    {"killed before format.json", "mkdir -p _cdc/tmp && touch _cdc/lock", true},
    {"a file instead", "rmdir ../$(basename $PWD) && touch ../$(basename $PWD)", false},
};

static void test_folder(void **state)
{
    const struct folder_row *row = *state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    rig_try_open(&rig);
    int rc = rig_recover(&rig);
    if (row->taken) {
        rig_must(&rig, rc);
        assert_int_equal(rig.seen.n, 0);
        rig_position(&rig, NULL);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        struct stat sb;
        if (stat(rig.root, &sb) == 0 && S_ISDIR(sb.st_mode))
            assert_int_equal(rig_count(&rig, "-path '*_cdc*'"), 0); /* nothing was touched */
    }
    rig_done(&rig);
}

static void test_a_second_instance_is_refused_by_pid(void **state)
{
    (void)state;
    struct rig rig, other;
    char pid[32];
    rig_init(&rig);
    rig_start(&rig);
    other = rig;
    cdc_map_init(&other.seen);
    rig_try_open(&other);
    assert_int_equal(rig_recover(&other), CDC_FAIL);
    assert_int_equal(other.err.action, CDC_OPERATOR);
    snprintf(pid, sizeof pid, "held by pid %ld on ", (long)getpid());
    assert_non_null(strstr(other.err.message, pid));
    cdc_sink_lake.close(&rig.lk->base);
    rig_must(&other, rig_recover(&other)); /* and taken once the first is gone */
    rig_done(&other);
}

/* A rewind with nothing in doubt writes nothing; a restart writes one fence. */
static void test_rewind_keeps_the_epoch(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, tab, 2, "two");
    rig_must(&rig, rig_write(&rig, tab, 5));
    for (int i = 0; i < 3; i++)
        rig_must(&rig, rig_recover(&rig));
    assert_int_equal(rig.lk->epoch, 1);
    assert_int_equal(rig.lk->chain.seq, 2);
    assert_int_equal(rig_count(&rig, "-name '*.tmp'"), 0);
    rig_kill(&rig);
    rig_start(&rig);
    assert_int_equal(rig.lk->epoch, 2);
    assert_int_equal(rig.lk->chain.seq, 3);
    cdc_table_unref(tab);
    rig_sound(&rig);
    rig_done(&rig);
}

/* Somebody else wrote in between (where flock does not reach): a rewind sees it and fences anew. */
static void test_rewind_sees_another_writer(void **state)
{
    (void)state;
    struct rig rig, other;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, tab, 2, "two");
    close(rig.lk->lock_fd);
    rig.lk->lock_fd = -1;
    other = rig;
    cdc_map_init(&other.seen);
    rig_start(&other);
    rig_rows(&other, tab, 3, "theirs");
    cdc_sink_lake.close(&other.lk->base);
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "theirs");
    assert_int_equal(rig.lk->epoch, 3);
    rig_sees(&rig, 5);
    cdc_map_done(&other.seen);
    cdc_table_unref(tab);
    rig_sound(&rig);
    rig_done(&rig);
}

/* What is swept: files of lower epochs that no record names. What is not: all the rest. */
static void test_sweep(void **state)
{
    (void)state;
    static const char make[] =
        "d=$(echo log/public.words/dt=*) && "
        "touch $d/00000000000000000003-0000000001-0009.0123abcd.avro " /* unnamed */
        "$d/.00000000000000000003-0000000001-0009.0123abcd.avro.tmp "  /* staged */
        "$d/00000000000000000002-0000000001-0009.0123abcd.avro "       /* among named */
        "$d/00000000000000000003-0000000009-0009.0123abcd.avro "       /* higher epoch */
        "$d/00000000000000000099-0000000001-0009.0123abcd.avro "       /* above the fence */
        "$d/notes.txt && mkdir -p log/public.words/dt=2001-01-01 && "  /* not ours */
        "touch log/public.words/dt=2001-01-01/00000000000000000001-0000000001-0001.0123abcd.avro";
    struct rig rig;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, tab, 2, "two");
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, make, ""), 0);
    rig_start(&rig);
    assert_int_equal(rig_count(&rig, "-name '*-0000000001-0009*'"), 1); /* 99 */
    assert_int_equal(rig_count(&rig, "-name '*-0000000009-0009*'"), 1);
    assert_int_equal(rig_count(&rig, "-name notes.txt"), 1);
    assert_int_equal(rig_count(&rig, "-path '*2001*'"), 1); /* long before the last data commit */
    rig_sees(&rig, 2);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* Nothing is deleted before the fence: a delayed commit could still name it. */
static void test_no_sweep_without_a_fence(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig_start(&rig);
    rig_must(&rig, rig_write(&rig, tab, 5));
    rig_must(&rig, lake_out_finish(rig.lk, &rig.err));
    rig_kill(&rig);
    rig.world.faults[0] = (struct fault){FAULT_PUT, "commits/", 1, 0, FAULT_HELD};
    rig_try_open(&rig);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 1);
    rig_must(&rig, rig_recover(&rig));
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 0);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* Pending files older than the newest checkpoint object: commits of keys alone came in between. */
static void test_sweep_behind_a_checkpoint_object(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = words();
    rig_init(&rig);
    rig.set.checkpoint_every = 2;
    rig_start(&rig);
    rig_must(&rig, rig_write(&rig, tab, 5));
    rig_must(&rig, lake_out_finish(rig.lk, &rig.err));
    for (int i = 0; i < 4; i++)
        rig_must(&rig, rig_commit_of(&rig, "keys", NULL, CDC_COMMIT_KEYS));
    assert_int_equal(rig.lk->point, 4);
    rig_kill(&rig);
    assert_int_equal(rig_count(&rig, "-name '00000000000000000002-*.avro'"), 1);
    rig_start(&rig);
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 0);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* The map comes back the same through deltas and through checkpoint objects. */
static void test_checkpoint_objects(void **state)
{
    (void)state;
    struct rig rig;
    char position[16];
    rig_init(&rig);
    rig.set.checkpoint_every = 7;
    rig_start(&rig);
    for (int i = 0; i < 40; i++) {
        snprintf(position, sizeof position, "p%d", i);
        rig_must(&rig, rig_commit(&rig, position));
    }
    assert_int_equal(rig_count(&rig, "-path '*checkpoints/*'"), 2); /* the newest */
    assert_int_equal(rig.lk->point, 35);
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "p39");
    assert_int_equal(rig.lk->point, 35);
    rig_sound(&rig);
    rig_done(&rig);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    struct CMUnitTest tests[CM_COUNT(refuse_rows) + CM_COUNT(folder_rows) + 7];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_a_second_instance_is_refused_by_pid),
        cmocka_unit_test(test_rewind_keeps_the_epoch),
        cmocka_unit_test(test_rewind_sees_another_writer),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_no_sweep_without_a_fence),
        cmocka_unit_test(test_sweep_behind_a_checkpoint_object),
        cmocka_unit_test(test_checkpoint_objects),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_start, refuse_rows);
    to = CM_ROWS(to, test_folder, folder_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake recovery", tests, NULL, NULL);
}
