/*
 * test_lake_crash.c - the crash and fault cases of facts/lake-registry.md 7.5, by their numbers. In
 * each the reader must see every committed row once and in order, and recovery must return the
 * position of exactly those rows. (9 and 12 are the source's and the registry's.)
 */
#include "lake_rig.h"

#define COMMIT_3 "commits/00000000000000000003"

/* Two rows committed as record 2 ("two"); record 1 is the fence. */
static struct cdc_table *begin(struct rig *rig)
{
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_init(rig);
    rig_start(rig);
    rig_rows(rig, tab, 2, "two");
    return tab;
}

static void end(struct rig *rig, struct cdc_table *tab)
{
    rig_sound(rig);
    cdc_table_unref(tab);
    rig_done(rig);
}

/* What every case ends with: the source sends again from the position, and all is there once. */
static void goes_on(struct rig *rig, struct cdc_table *tab, int64_t committed)
{
    rig->next = committed + 1;
    rig_rows(rig, tab, 3, "later");
    rig_sees(rig, committed + 3);
    rig_must(rig, rig_recover(rig));
    rig_position(rig, "later");
}

static void test_1_kill_while_writing_data_files(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_must(&rig, rig_write(&rig, tab, 500));
    rig_kill(&rig);
    assert_int_equal(rig_count(&rig, "-name '.*.tmp'"), 1);
    rig_sees(&rig, 2);
    rig_start(&rig);
    rig_position(&rig, "two");
    assert_int_equal(rig_count(&rig, "-name '*.tmp'"), 0);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

static void test_2_kill_after_data_files_before_commit(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_must(&rig, rig_write(&rig, tab, 500));
    rig_must(&rig, lake_out_finish(rig.lk, &rig.err));
    rig_kill(&rig);
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 2);
    rig_sees(&rig, 2);
    rig_start(&rig);
    rig_position(&rig, "two");
    assert_int_equal(rig_count(&rig, "-name '*.avro'"), 1);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

/* link() is atomic: what a kill leaves is a temporary object, or the whole record. */
static void test_3_kill_during_commit(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_must(&rig, rig_write(&rig, tab, 500));
    rig_must(&rig, lake_out_finish(rig.lk, &rig.err));
    assert_int_equal(rig_shell(&rig, "echo '{\"v\":1,' > ", "_cdc/tmp/99-1-1.tmp"), 0);
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "two");
    assert_int_equal(rig_count(&rig, "-path './_cdc/tmp/*'"), 0);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

static void test_4_kill_after_commit_before_ack(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_rows(&rig, tab, 500, "more");
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "more");
    rig_sees(&rig, 502);
    goes_on(&rig, tab, 502);
    end(&rig, tab);
}

static void test_5_commit_applied_reply_lost(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig.world.faults[0] = (struct fault){FAULT_PUT, COMMIT_3, 1, 0, FAULT_LOST};
    rig_must(&rig, rig_write(&rig, tab, 3));
    assert_int_equal(rig_commit(&rig, "five"), CDC_OK); /* read back: it is ours */
    assert_int_equal(rig.world.hit, 1);
    rig_sees(&rig, 5);
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "five");
    goes_on(&rig, tab, 5);
    end(&rig, tab);
}

static void test_5_fence_applied_reply_lost(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_kill(&rig);
    rig.world.faults[0] = (struct fault){FAULT_PUT, COMMIT_3, 1, 0, FAULT_LOST};
    rig_try_open(&rig);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_REWIND);
    rig_must(&rig, rig_recover(&rig));
    rig_position(&rig, "two");
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

/* A commit on its way when the process is killed. */
static void hold_commit(struct rig *rig, struct cdc_table *tab)
{
    rig->world.faults[0] = (struct fault){FAULT_PUT, COMMIT_3, 1, 0, FAULT_HELD};
    rig_must(rig, rig_write(rig, tab, 3));
    assert_int_equal(rig_commit(rig, "five"), CDC_FAIL);
    assert_int_equal(rig->err.action, CDC_REWIND);
    rig_sees(rig, 2);
}

static void let_go(struct rig *rig)
{
    struct lake_store *st;
    assert_int_equal(lake_local_open(rig->root, false, &st, &rig->err), CDC_OK);
    fault_let_go(&rig->world, st);
    st->ops->close(st);
}

static void test_6_commit_delayed_lands_before_restart(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    hold_commit(&rig, tab);
    rig_kill(&rig);
    let_go(&rig);
    assert_int_equal(rig.world.held_rc, CDC_OK);
    rig_start(&rig);
    rig_position(&rig, "five");
    goes_on(&rig, tab, 5);
    end(&rig, tab);
}

/* The head was looked for and the commit was not there; then it lands, and only then the fence. */
static void test_6_commit_delayed_lands_before_fence(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    hold_commit(&rig, tab);
    rig.world.faults[1] = (struct fault){FAULT_PUT, COMMIT_3, 1, 0, FAULT_LET_GO};
    rig_must(&rig, rig_recover(&rig)); /* the same process: its own commit is in doubt */
    assert_int_equal(rig.world.held_rc, CDC_OK);
    rig_position(&rig, "five"); /* adopted, its files are still there */
    goes_on(&rig, tab, 5);
    end(&rig, tab);
}

static void test_6_commit_delayed_lands_after_fence(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    hold_commit(&rig, tab);
    rig_kill(&rig);
    rig_start(&rig);
    let_go(&rig);
    assert_int_equal(rig.world.held_rc, LAKE_EXISTS);
    rig_position(&rig, "two");
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

static void test_6_rewind_in_process_fences_the_delayed_commit(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    uint32_t epoch = rig.lk->epoch;
    hold_commit(&rig, tab);
    rig_must(&rig, rig_recover(&rig));
    assert_int_equal(rig.lk->epoch, epoch + 1);
    let_go(&rig);
    assert_int_equal(rig.world.held_rc, LAKE_EXISTS);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

/* A second instance where flock does not reach (another host): the first one loses its lock. */
static struct lake *zombie_of(struct rig *rig)
{
    struct lake *zombie = rig->lk;
    close(zombie->lock_fd);
    zombie->lock_fd = -1;
    rig_start(rig);
    return zombie;
}

static int zombie_commit(struct rig *rig, struct lake *zombie, struct cdc_table *tab)
{
    struct lake *lk = rig->lk;
    rig->lk = zombie;
    rig_must(rig, rig_write(rig, tab, 3));
    int rc = rig_commit(rig, "zombie");
    rig->lk = lk;
    return rc;
}

static void test_7_zombie_stops_unacked(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    struct lake *zombie = zombie_of(&rig);
    assert_int_equal(zombie_commit(&rig, zombie, tab), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "another instance"));
    cdc_sink_lake.close(&zombie->base);
    rig_sees(&rig, 2);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

/* The owner check comes too early to see it, so the record's number decides. */
static void test_7_zombie_meets_the_fence(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    struct lake *zombie = zombie_of(&rig);
    assert_int_equal(rig_shell(&rig, "mv _cdc/owner ", "hidden"), 0);
    assert_int_equal(zombie_commit(&rig, zombie, tab), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_int_equal(rig_shell(&rig, "rm -rf _cdc/owner && mv hidden ", "_cdc/owner"), 0);
    cdc_sink_lake.close(&zombie->base);
    rig_sees(&rig, 2);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

/* A higher epoch alone, its fence not yet made, ends the older one: else it could win for ever. */
static void test_8_zombie_stops_at_a_higher_epoch(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    assert_int_equal(rig_shell(&rig, "touch ", "_cdc/owner/0000000002.json"), 0);
    rig_must(&rig, rig_write(&rig, tab, 3));
    assert_int_equal(rig_commit(&rig, "five"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_int_equal(rig_count(&rig, "-path '*" COMMIT_3 "*'"), 0);
    rig_sees(&rig, 2);
    end(&rig, tab);
}

/* It gets its commit in between our look for the head and our fence; then it stops. */
static void test_8_zombie_wins_one_number(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    hold_commit(&rig, tab); /* the zombie's: epoch 1, number 3 */
    struct lake *zombie = rig.lk;
    close(zombie->lock_fd);
    zombie->lock_fd = -1;
    rig.world.faults[1] = (struct fault){FAULT_PUT, COMMIT_3, 1, 0, FAULT_LET_GO};
    rig_start(&rig);
    assert_int_equal(rig.world.held_rc, CDC_OK);
    rig_position(&rig, "five");
    rig_sees(&rig, 5);
    struct lake *lk = rig.lk;
    rig.lk = zombie;
    assert_int_equal(rig_commit(&rig, "again"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    rig.lk = lk;
    cdc_sink_lake.close(&zombie->base);
    goes_on(&rig, tab, 5);
    end(&rig, tab);
}

/* For ever, as the engine does, and without leaving anything behind that fills the disk further. */
static void no_space(enum fault_call call, const char *path)
{
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    uint32_t epoch = rig.lk->epoch;
    rig.world.faults[0] = (struct fault){call, path, 1, -1, FAULT_NO_SPACE};
    for (int i = 0; i < 5; i++) {
        rig.next = 3;
        bool failed = rig_write(&rig, tab, 3) < 0 || rig_commit(&rig, "five") < 0;
        assert_true(failed);
        assert_int_equal(rig.err.action, CDC_RETRY);
        rig_must(&rig, rig_recover(&rig));
        rig_position(&rig, "two");
        assert_int_equal(rig_count(&rig, "-name '*.avro*'"), 1);
    }
    assert_int_equal(rig.lk->epoch, epoch);
    assert_int_equal(rig.world.hit, 5);
    rig.world.faults[0].in = 0;
    rig_sees(&rig, 2);
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

static void test_10_disk_full_in_data(void **state)
{
    (void)state;
    no_space(FAULT_APPEND, "log/");
}

static void test_10_disk_full_in_publish(void **state)
{
    (void)state;
    no_space(FAULT_PUBLISH, "log/");
}

static void test_10_disk_full_in_commit(void **state)
{
    (void)state;
    no_space(FAULT_PUT, "commits/");
}

static void test_10_failed_fsync_is_fatal(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig.world.faults[0] = (struct fault){FAULT_PUBLISH, "log/", 1, 0, FAULT_EIO};
    rig_must(&rig, rig_write(&rig, tab, 3));
    assert_int_equal(rig_commit(&rig, "five"), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_FATAL);
    assert_int_equal(rig.world.publishes, 1); /* of "two"; the failed one was not tried again */
    rig_kill(&rig);
    rig_start(&rig);
    rig_position(&rig, "two");
    goes_on(&rig, tab, 2);
    end(&rig, tab);
}

static void damaged(const char *how, const char *expect)
{
    struct rig rig;
    struct rig_seen seen;
    struct cdc_table *tab = begin(&rig);
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, how, ""), 0);
    assert_int_equal(rig_read(&rig, NULL, &seen), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_FATAL);
    assert_non_null(strstr(rig.err.message, expect));
    assert_int_equal(seen.n, 0); /* not one row of it */
    int rc;
    char *text = rig_fsck(&rig, &rc);
    assert_int_equal(rc, CDC_OK);
    assert_non_null(strstr(text, "FAIL"));
    assert_non_null(strstr(text, expect));
    free(text);
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void test_11_torn_file(void **state)
{
    (void)state;
    damaged("truncate -s -7 log/public.words/dt=*/*.avro", "its commit says");
}

static void test_11_rotten_file(void **state)
{
    (void)state;
    damaged("f=$(echo log/*/dt=*/*.avro) && printf X | dd of=$f bs=1 seek=500 conv=notrunc "
            "status=none",
            "SHA-256");
}

static void test_11_lost_file(void **state)
{
    (void)state;
    damaged("rm log/public.words/dt=*/*.avro", "not there");
}

static void test_11_recovery_refuses_a_torn_file(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig);
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, "truncate -s -7 log/public.words/dt=*/*.avro", ""), 0);
    rig_try_open(&rig);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "fsck"));
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void test_13_schema_change_mid_batch(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = begin(&rig), *wide = rig_table("public", "words", 2);
    for (int i = 0; i < 4; i++)
        rig_must(&rig, rig_write(&rig, i % 2 ? wide : tab, 10));
    rig_must(&rig, rig_commit_of(&rig, "mixed", wide, CDC_COMMIT_ALL));
    assert_int_equal(rig_count(&rig, "-name '00000000000000000003-*.avro'"), 2);
    rig_sees(&rig, 42); /* merged: not one schema behind the other */
    goes_on(&rig, wide, 42);
    cdc_table_unref(wide);
    end(&rig, tab);
}

/* The end of the log is missing: what the hint or a checkpoint object once saw is not there. */
static void test_14_partly_restored_lake(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig.set.checkpoint_every = 2;
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_start(&rig);
    for (int i = 0; i < 5; i++)
        rig_rows(&rig, tab, 2, "p");
    rig_kill(&rig);
    assert_int_equal(rig_shell(&rig, "rm ", "_cdc/commits/*5.json _cdc/commits/*6.json"), 0);
    rig_try_open(&rig);
    assert_int_equal(rig_recover(&rig), CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "restored copy"));
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* A whole older copy is a sound lake: the source finds that its log is gone. A reader notices. */
static void test_14_reader_is_ahead_of_the_lake(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_feed *feed;
    struct cdc_table *tab = begin(&rig);
    assert_int_equal(
        lake_feed.open(NULL, rig.root, &(struct cdc_feed_start){.after = 3}, &feed, &rig.err),
        CDC_FAIL);
    assert_int_equal(rig.err.action, CDC_OPERATOR);
    assert_non_null(strstr(rig.err.message, "commit 3"));
    end(&rig, tab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_1_kill_while_writing_data_files),
        cmocka_unit_test(test_2_kill_after_data_files_before_commit),
        cmocka_unit_test(test_3_kill_during_commit),
        cmocka_unit_test(test_4_kill_after_commit_before_ack),
        cmocka_unit_test(test_5_commit_applied_reply_lost),
        cmocka_unit_test(test_5_fence_applied_reply_lost),
        cmocka_unit_test(test_6_commit_delayed_lands_before_restart),
        cmocka_unit_test(test_6_commit_delayed_lands_before_fence),
        cmocka_unit_test(test_6_commit_delayed_lands_after_fence),
        cmocka_unit_test(test_6_rewind_in_process_fences_the_delayed_commit),
        cmocka_unit_test(test_7_zombie_stops_unacked),
        cmocka_unit_test(test_7_zombie_meets_the_fence),
        cmocka_unit_test(test_8_zombie_stops_at_a_higher_epoch),
        cmocka_unit_test(test_8_zombie_wins_one_number),
        cmocka_unit_test(test_10_disk_full_in_data),
        cmocka_unit_test(test_10_disk_full_in_publish),
        cmocka_unit_test(test_10_disk_full_in_commit),
        cmocka_unit_test(test_10_failed_fsync_is_fatal),
        cmocka_unit_test(test_11_torn_file),
        cmocka_unit_test(test_11_rotten_file),
        cmocka_unit_test(test_11_lost_file),
        cmocka_unit_test(test_11_recovery_refuses_a_torn_file),
        cmocka_unit_test(test_13_schema_change_mid_batch),
        cmocka_unit_test(test_14_partly_restored_lake),
        cmocka_unit_test(test_14_reader_is_ahead_of_the_lake),
    };
    return cmocka_run_group_tests_name("lake crash cases", tests, NULL, NULL);
}
