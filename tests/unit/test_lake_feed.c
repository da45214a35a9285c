/*
 * test_lake_feed.c - reading a lake back: order, filters, standing places, what is refused.
 */
#include "base/log.h"
#include "lake_rig.h"

static void open_feed(struct rig *rig, uint64_t after, struct cdc_feed **ret)
{
    const struct cdc_feed_start start = {.after = after};
    int rc = lake_feed.open(NULL, rig->root, &start, ret, &rig->err);
    if (rc != CDC_OK)
        fail_msg("%s", rig->err.message);
}

/* Rows of three tables and two schemas, many parts, one commit: merged back into one sequence. */
static void test_merges_by_seq(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tabs[] = {rig_table("public", "a", 1), rig_table("public", "b", 1),
                                rig_table("public", "b", 2)};
    rig_init(&rig);
    rig.set.codec = CDC_CODEC_NULL;
    rig.set.block_bytes = 4096;
    rig.set.max_file_bytes = 65536;
    rig_start(&rig);
    for (int i = 0; i < 1800; i++)
        rig_must(&rig, rig_write(&rig, tabs[i % 3], 1 + i % 7));
    rig_must(&rig, rig_commit(&rig, "all"));
    assert_true(rig_count(&rig, "-name '*.avro'") > 6);
    rig_sees(&rig, rig.next - 1);
    for (int i = 0; i < 3; i++)
        cdc_table_unref(tabs[i]);
    rig_done(&rig);
}

/* A change of key makes two records of one number: delete first, then insert, whatever the files.
 */
static void test_equal_numbers_keep_their_order(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    rig_init(&rig);
    rig.set.codec = CDC_CODEC_NULL;
    rig.set.block_bytes = 4096;
    rig.set.max_file_bytes = 65536;
    rig_start(&rig);
    for (int i = 0; i < 100; i++) {
        struct cdc_batch *batch = cdc_pool_batch(rig.pool);
        for (int k = 0; k < 20; k++) {
            rig_change(batch, tab, rig.next++);
            struct cdc_change *chg = &batch->changes[batch->n - 1];
            struct cdc_value *old = cdc_batch_values(batch, 2);
            old[0] = (struct cdc_value){.kind = CDC_INT, .i = -rig.next};
            old[1] = (struct cdc_value){.kind = CDC_NULL};
            chg->op = CDC_OP_UPDATE;
            chg->flags = CDC_KEY_MOVED;
            chg->before = old;
        }
        rig_must(&rig, cdc_sink_lake.write(&rig.lk->base, batch, &rig.err));
        cdc_batch_unref(batch);
    }
    rig_must(&rig, rig_commit_of(&rig, "all", tab, CDC_COMMIT_ALL));
    open_feed(&rig, 0, &feed);
    int n = 0;
    while (lake_feed.commit(feed, &at, &rig.err) == CDC_OK)
        while (lake_feed.row(feed, NULL, &row, &rig.err) == CDC_OK) {
            const struct cdc_value *op = &row.values[row.schema->meta[CDC_META_OP]];
            assert_int_equal(op->p[0], n++ % 2 ? 'c' : 'd');
        }
    assert_int_equal(n, 4000);
    lake_feed.close(feed);
    rig_sound(&rig);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* The `t`s of one TRUNCATE share a number, in files of two tables: as they were written. */
static void test_equal_numbers_of_two_files(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tabs[] = {rig_table("public", "b", 1), rig_table("public", "a", 1)};
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    rig_init(&rig);
    rig_start(&rig);
    struct cdc_batch *batch = cdc_pool_batch(rig.pool);
    for (int i = 0; i < 2; i++) {
        rig_change(batch, tabs[i], 1);
        batch->changes[i].op = CDC_OP_RANGE;
        batch->changes[i].after = NULL;
    }
    rig_must(&rig, cdc_sink_lake.write(&rig.lk->base, batch, &rig.err));
    cdc_batch_unref(batch);
    rig_must(&rig, rig_commit(&rig, "all"));
    open_feed(&rig, 1, &feed);
    assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lake_feed.row(feed, NULL, &row, &rig.err), CDC_OK);
        assert_string_equal(row.schema->table_name, i ? "a" : "b");
        cdc_table_unref(tabs[i]);
    }
    assert_int_equal(lake_feed.row(feed, NULL, &row, &rig.err), CDC_END);
    lake_feed.close(feed);
    rig_done(&rig);
}

static void test_one_table(void **state)
{
    (void)state;
    struct rig rig;
    struct rig_seen seen;
    struct cdc_table *a = rig_table("public", "a", 1), *b = rig_table("public", "b", 1);
    rig_init(&rig);
    rig_start(&rig);
    rig_must(&rig, rig_write(&rig, a, 5));
    rig_must(&rig, rig_write(&rig, b, 7));
    rig_must(&rig, rig_commit(&rig, "all"));
    assert_int_equal(rig_read(&rig, "public.a", &seen), CDC_AGAIN);
    assert_int_equal(seen.n, 5);
    assert_int_equal(rig_read(&rig, "public.b", &seen), CDC_AGAIN);
    assert_int_equal(seen.n, 7);
    assert_int_equal(rig_read(&rig, "public.c", &seen), CDC_AGAIN);
    assert_int_equal(seen.n, 0);
    assert_int_equal(seen.commits, 2);
    cdc_table_unref(a);
    cdc_table_unref(b);
    rig_done(&rig);
}

/* Rows not read are skipped by the next commit; files are given beside rows. */
static void test_skips_and_follows(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    struct cdc_feed_file file;
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, tab, 5, "five");
    open_feed(&rig, 1, &feed);
    assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_OK);
    assert_int_equal(at.number, 2);
    assert_int_equal(at.n_records, 5);
    assert_string_equal(at.from, "");
    assert_string_equal(at.to, "five");
    assert_int_equal(lake_feed.row(feed, NULL, &row, &rig.err), CDC_OK);
    assert_int_equal(lake_feed.file(feed, &file, &rig.err), CDC_OK);
    assert_int_equal(file.records, 5);
    assert_int_equal(file.path[0], '/');
    assert_int_equal(access(file.path, R_OK), 0);
    assert_int_equal(lake_feed.file(feed, &file, &rig.err), CDC_END);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_AGAIN);
    assert_int_equal(lake_feed.row(feed, NULL, &row, &rig.err), CDC_END);
    rig_rows(&rig, tab, 2, "seven");
    assert_int_equal(lake_feed.commit(feed, &at, &rig.err), CDC_OK);
    assert_string_equal(at.from, "five");
    assert_int_equal(lake_feed.row(feed, NULL, &row, &rig.err), CDC_OK);
    assert_int_equal(row.values[0].i, 6);
    lake_feed.close(feed);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* What is done to a lake of three commits before it is opened behind commit `after`. */
static const struct refuse_row {
    const char *name, *how;
    uint64_t after;
    enum cdc_action action;
    const char *expect;
} refuse_rows[] = {
    {"no lake", "rm -rf _cdc", 0, CDC_OPERATOR, "no lake"},
    {"no folder", "rm -rf ../$(basename $PWD)", 0, CDC_OPERATOR, "no lake"},
    {"format.json damaged", ": > _cdc/format.json", 0, CDC_OPERATOR, "damaged"},
    {"behind its end", "true", 9, CDC_OPERATOR, "commit 9"},
    {"a commit missing", "rm _cdc/commits/*2.json", 0, CDC_OPERATOR, "commit 2 is missing"},
    {"the end missing", "echo '{\"seq\":9,\"checkpoint\":9}' > _cdc/_last", 0, CDC_OPERATOR,
     "commit 4 is missing"},
    {"a commit damaged", "truncate -s -5 _cdc/commits/*2.json", 0, CDC_FATAL, "no JSON"},
    {"a commit rewritten", "sed -i s/public/pablic/ _cdc/commits/*2.json", 0, CDC_FATAL, "prev"},
    {"a commit rewritten before `after`", "sed -i s/public/pablic/ _cdc/commits/*2.json", 2,
     CDC_FATAL, "prev"},
    {"a file cut", "truncate -s -5 log/*/*/00000000000000000002*", 0, CDC_FATAL, "says"},
    {"a file lost", "rm log/*/*/00000000000000000002*", 0, CDC_FATAL, "not there"},
};

static void test_refuse(void **state)
{
    const struct refuse_row *row = *state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row out;
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, tab, 5, "five");
    rig_rows(&rig, tab, 5, "ten");
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    const struct cdc_feed_start start = {.after = row->after};
    int rc = lake_feed.open(NULL, rig.root, &start, &feed, &rig.err);
    while (rc == CDC_OK && (rc = lake_feed.commit(feed, &at, &rig.err)) == CDC_OK) {
        while ((rc = lake_feed.row(feed, NULL, &out, &rig.err)) == CDC_OK)
            ;
        rc = rc == CDC_END ? CDC_OK : rc;
    }
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(rig.err.action, row->action);
    if (!strstr(rig.err.message, row->expect))
        fail_msg("%s", rig.err.message);
    if (feed)
        lake_feed.close(feed);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* What is done to the lake between two visits of a reader that has read commit `at`. */
static const struct token_row {
    const char *name, *how;
    uint64_t at;
    const char *expect; /* NULL: it goes on behind `at` */
} token_rows[] = {
    {"goes on", "true", 2, NULL},
    {"goes on at the end", "true", 3, NULL},
    {"its checkpoint objects and hints gone", "rm -rf _cdc/_last _cdc/checkpoints", 2, NULL},
    {"an older copy", "rm -f _cdc/commits/*3.json _cdc/_last", 3, "commit 3 was applied"},
    {"another commit of that number", "sed -i s/public/pablic/ _cdc/commits/*2.json", 2,
     "another one or none"},
    {"one before it changed", "sed -i s/public/pablic/ _cdc/commits/*2.json", 3, NULL},
    {"another time alone", "sed -i 's/\"at\":\"..../\"at\":\"1999/' _cdc/commits/*2.json", 2,
     "another one or none"},
    {"damaged", "truncate -s -5 _cdc/commits/*2.json", 2, "no JSON"},
    {"no lake", "rm -rf _cdc", 2, "no lake"},
};

/* The token of commit `at`, as a reader keeps it. */
static void token_of(struct rig *rig, uint64_t at, char ret[128])
{
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit commit = {0};
    open_feed(rig, 0, &feed);
    while (commit.number < at)
        assert_int_equal(lake_feed.commit(feed, &commit, &rig->err), CDC_OK);
    snprintf(ret, 128, "%s", commit.token);
    lake_feed.close(feed);
}

static void three_commits(struct rig *rig, struct cdc_table *tab)
{
    rig_init(rig);
    rig_start(rig);
    rig_rows(rig, tab, 5, "five");
    rig_rows(rig, tab, 5, "ten");
}

static void test_token(void **state)
{
    const struct token_row *row = *state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    char token[128];
    three_commits(&rig, tab);
    token_of(&rig, row->at, token);
    assert_int_equal(rig_shell(&rig, row->how, ""), 0);
    const struct cdc_feed_start start = {.token = token, .after = 1}; /* the token wins */
    int rc = lake_feed.open(NULL, rig.root, &start, &feed, &rig.err);
    if (row->expect) {
        assert_int_equal(rc, CDC_FAIL);
        if (!strstr(rig.err.message, row->expect))
            fail_msg("%s", rig.err.message);
    } else {
        assert_int_equal(rc, CDC_OK);
        rc = lake_feed.commit(feed, &at, &rig.err);
        assert_int_equal(rc, row->at == 3 ? CDC_AGAIN : CDC_OK);
        assert_true(rc == CDC_AGAIN || at.number == row->at + 1);
        lake_feed.close(feed);
    }
    cdc_table_unref(tab);
    rig_done(&rig);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Tokens of nothing: refused, and no word of them is taken for a number. */
static void test_foreign_tokens(void **state)
{
    (void)state;
    static const char *const tokens[] = {"",
                                         " ",
                                         "2",
                                         "2 ",
                                         "x " HEX64,
                                         "0 " HEX64,
                                         "-2 " HEX64,
                                         " 2 " HEX64,
                                         "+2 " HEX64,
                                         "2  " HEX64,
                                         "2 " HEX64 "0",
                                         "2 " HEX64 " ",
                                         "2," HEX64,
                                         "99999999999999999999 " HEX64,
                                         "{\"txn\":2}",
                                         "2 0123456789ABCDEF",
                                         "\n2 " HEX64};
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    char token[128];
    three_commits(&rig, tab);
    token_of(&rig, 2, token);
    for (size_t len = strlen(token), i = 0; i < CM_COUNT(tokens) + len; i++) {
        struct cdc_feed *feed = NULL;
        struct cdc_feed_start start = {.token = i < len ? token : tokens[i - len]};
        char prefix[128];
        snprintf(prefix, sizeof prefix, "%.*s", (int)i, token);
        if (i < len)
            start.token = prefix;
        if (lake_feed.open(NULL, rig.root, &start, &feed, &rig.err) == CDC_OK)
            fail_msg("taken: %s", start.token);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        assert_non_null(strstr(rig.err.message, "was not read from a lake"));
    }
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void test_knows(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_false(lake_feed.knows(rig.root));
    assert_false(lake_feed.knows("/nonexistent/place"));
    rig_start(&rig);
    assert_true(lake_feed.knows(rig.root));
    assert_int_equal(rig_shell(&rig, "rm _cdc/format.json", ""), 0);
    assert_true(lake_feed.knows(rig.root)); /* so that open tells what is wrong */
    rig_done(&rig);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    struct CMUnitTest tests[CM_COUNT(refuse_rows) + CM_COUNT(token_rows) + 7];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_merges_by_seq),
        cmocka_unit_test(test_equal_numbers_keep_their_order),
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_equal_numbers_of_two_files),
        cmocka_unit_test(test_skips_and_follows),
        cmocka_unit_test(test_foreign_tokens),
        cmocka_unit_test(test_knows),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_refuse, refuse_rows);
    to = CM_ROWS(to, test_token, token_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake feed", tests, NULL, NULL);
}
