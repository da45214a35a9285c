/*
 * test_lake_fsck.c - every kind of damage is found, and named; a sound lake has no finding.
 */
#include "base/log.h"
#include "lake_rig.h"

#define ONE "log/public.words/dt=*/00000000000000000002-*.avro"

/* A lake with a fence (1), three data commits (2, 3, 4) and checkpoints every two. */
static const struct damage_row {
    const char *name, *how;
    const char *expect; /* in the findings; NULL: sound */
} damage_rows[] = {
    {"sound", "true", NULL},
    {"hint lost", "rm -f _cdc/_last", NULL},
    {"file cut", "truncate -s -3 " ONE, "its commit says"},
    {"file lost", "rm " ONE, "not there"},
    {"file rotten", "printf X | dd of=$(echo " ONE ") bs=1 seek=900 conv=notrunc status=none",
     "SHA-256"},
    {"commit lost", "rm _cdc/commits/*3.json", "commit 3: missing"},
    {"end lost", "rm _cdc/commits/*4.json && echo '{\"seq\":4,\"checkpoint\":2}' > _cdc/_last",
     "end of the log was lost"},
    {"commit no JSON", "truncate -s -3 _cdc/commits/*3.json", "commit 3: "},
    {"commit rewritten", "sed -i 's/\"to\":\"p\"/\"to\":\"q\"/' _cdc/commits/*2.json", "(prev)"},
    {"positions do not meet", "sed -i 's/\"from\":\"p\"/\"from\":\"q\"/' _cdc/commits/*4.json",
     "(from)"},
    {"another pipeline's commit", "sed -i 's/\"shop\"/\"shep\"/' _cdc/commits/*4.json",
     "another pipeline"},
    {"row count",
     "sed -i 's/\"records\":3,/\"records\":4,/; s/\"c\":3/\"c\":4/' _cdc/commits/*4.json",
     "another number of rows"},
    {"operation counts", "sed -i 's/\"c\":3,\"u\":0/\"c\":2,\"u\":1/' _cdc/commits/*4.json",
     "other operations"},
    {"highest number", "sed -i 's/\\(\"seq_max\":\"[0-9a-f-]*\\)1\"/\\12\"/' _cdc/commits/*4.json",
     "highest __seq"},
    {"schema object lost", "rm _cdc/schemas/*", "schema object is missing"},
    {"schema object damaged", "for f in _cdc/schemas/*; do echo >> $f; done", "schema object"},
    {"schema id unknown", "sed -i 's/\"schema_id\":[0-9]*/\"schema_id\":7/' _cdc/commits/*4.json",
     "never committed"},
    {"checkpoint object damaged", "for f in _cdc/checkpoints/*; do echo > $f; done",
     "checkpoint object"},
    {"checkpoint object of other content",
     "for f in _cdc/checkpoints/*; do sed -i 's/\"position\":\"p\"/\"position\":\"q\"/' $f; done",
     "says other than"},
    {"checkpoint object of other totals",
     "for f in _cdc/checkpoints/*; do sed -i 's/\"records\":[0-9]*/\"records\":1/' $f; done",
     "says other than"},
    {"owners lost", "rm _cdc/owner/*", "higher epoch"},
    {"format lost", "rm _cdc/format.json", "no lake"},
    {"name does not fit",
     "mv " ONE " $(dirname " ONE ")/00000000000000000009-0000000001-0001.01234567.avro && "
     "sed -i 's/00000000000000000002-0000000001-0001.[0-9a-f]*/"
     "00000000000000000009-0000000001-0001.01234567/' _cdc/commits/*2.json",
     "does not fit"},
};

static void make(struct rig *rig)
{
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_init(rig);
    rig->set.checkpoint_every = 2;
    rig->set.codec = CDC_CODEC_NULL;
    rig_start(rig);
    for (int i = 0; i < 3; i++)
        rig_rows(rig, tab, 3, "p");
    cdc_table_unref(tab);
}

static void test_damage(void **state)
{
    const struct damage_row *row = *state;
    struct rig rig;
    int rc;
    make(&rig);
    rig_sound(&rig);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    char *text = rig_fsck(&rig, &rc);
    if (!row->expect) {
        assert_int_equal(rc, CDC_OK);
        assert_null(strstr(text, "FAIL"));
        assert_non_null(strstr(text, "4 commits, 3 data files, 9 rows"));
    } else if (rc < 0) {
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_non_null(strstr(rig.err.message, row->expect));
    } else {
        assert_non_null(strstr(text, "FAIL"));
        if (!strstr(text, row->expect))
            fail_msg("%s", text);
    }
    free(text);
    rig_done(&rig);
}

/* A killed writer's files are no damage, and a running writer's are not even told. */
static void test_unnamed_files(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    int rc;
    make(&rig);
    rig_must(&rig, rig_write(&rig, tab, 3));
    rig_must(&rig, lake_out_finish(rig.lk, &rig.err));
    char *text = rig_fsck(&rig, &rc);
    assert_null(strstr(text, "warn"));
    free(text);
    assert_int_equal(rig_shell(&rig, "touch ", "_cdc/owner/0000000002.json"), 0);
    text = rig_fsck(&rig, &rc);
    assert_non_null(strstr(text, "warn"));
    assert_null(strstr(text, "FAIL"));
    free(text);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* Rows out of order in a file, and a table that goes back behind an earlier commit. */
static void test_order(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    int rc;
    make(&rig);
    rig.next = 100;
    rig_must(&rig, rig_write(&rig, tab, 3));
    rig.next = 50;
    rig_rows(&rig, tab, 3, "p");
    char *text = rig_fsck(&rig, &rc);
    assert_non_null(strstr(text, "not in the order of __seq"));
    assert_null(strstr(text, "earlier commit"));
    free(text);
    rig.next = 60;
    rig_rows(&rig, tab, 3, "p");
    text = rig_fsck(&rig, &rc);
    assert_non_null(strstr(text, "lower __seq than an earlier commit"));
    free(text);
    cdc_table_unref(tab);
    rig_done(&rig);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    struct CMUnitTest tests[CM_COUNT(damage_rows) + 2];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_unnamed_files),
        cmocka_unit_test(test_order),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_damage, damage_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake fsck", tests, NULL, NULL);
}
