/*
 * test_lake_write.c - data files: when they roll, how many are open, what their names and metadata
 * say, what one commit takes with it.
 */
#include "base/log.h"
#include "lake_rig.h"

static void test_a_full_file_asks_for_a_commit(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_init(&rig);
    rig.set.codec = CDC_CODEC_NULL;
    rig.set.block_bytes = 4096;
    rig.set.max_file_bytes = 65536;
    rig_start(&rig);
    int full = 0;
    for (int i = 0; i < 100; i++) { /* one large transaction: the commit comes at its end */
        int rc = rig_write(&rig, tab, 50);
        assert_true(rc == CDC_OK || rc == CDC_FULL);
        assert_true(rc == CDC_FULL || !full);
        full += rc == CDC_FULL;
    }
    assert_true(full > 0);
    assert_true(rig.lk->n_done > 3);
    rig_sees(&rig, 0);
    rig_must(&rig, rig_commit_of(&rig, "all", tab, CDC_COMMIT_ALL));
    assert_int_equal(rig_write(&rig, tab, 1), CDC_OK); /* no longer full */
    rig_must(&rig, rig_recover(&rig));
    rig_sees(&rig, 5000);
    rig_sound(&rig);
    cdc_table_unref(tab);
    rig_done(&rig);
}

/* More tables than files may be open: the one not used for longest becomes a part of its own. */
static void test_many_tables(void **state)
{
    (void)state;
    enum { TABLES = LAKE_OPEN_MAX + 20 };
    struct rig rig;
    struct cdc_table *tabs[TABLES];
    char name[16];
    rig_init(&rig);
    rig_start(&rig);
    for (int i = 0; i < TABLES; i++) {
        snprintf(name, sizeof name, "t%d", i);
        tabs[i] = rig_table("public", name, 1);
        rig_must(&rig, rig_commit_of(&rig, NULL, tabs[i], CDC_COMMIT_KEYS));
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < TABLES; i++) {
            rig_must(&rig, rig_write(&rig, tabs[i], 3));
            assert_true(rig.lk->n_open <= LAKE_OPEN_MAX);
            assert_true(rig.lk->held <= LAKE_HELD_MAX);
        }
    rig_must(&rig, rig_commit(&rig, "all"));
    rig_sees(&rig, TABLES * 6);
    rig_sound(&rig);
    for (int i = 0; i < TABLES; i++)
        cdc_table_unref(tabs[i]);
    rig_done(&rig);
}

/* Block buffers of many files: the largest are written before the bound is passed. */
static void test_held_memory_is_bounded(void **state)
{
    (void)state;
    enum { TABLES = 60 };
    struct rig rig;
    struct cdc_table *tabs[TABLES];
    char name[16];
    size_t most = 0;
    rig_init(&rig);
    rig.set.block_bytes = 8 << 20; /* no block would ever be full */
    rig_start(&rig);
    for (int i = 0; i < TABLES; i++) {
        snprintf(name, sizeof name, "t%d", i);
        tabs[i] = rig_table("public", name, 1);
    }
    for (int round = 0; round < 12; round++)
        for (int i = 0; i < TABLES; i++) {
            rig_must(&rig, rig_write(&rig, tabs[i], 300));
            most = rig.lk->held > most ? rig.lk->held : most;
        }
    assert_true(most > LAKE_HELD_MAX / 2);
    assert_true(most <= LAKE_HELD_MAX);
    rig_must(&rig, rig_commit(&rig, "all"));
    rig_sees(&rig, TABLES * 12 * 300);
    for (int i = 0; i < TABLES; i++)
        cdc_table_unref(tabs[i]);
    rig_done(&rig);
}

/* Keys alone: pending rows stay, and a later commit names files of a lower number. */
static void test_keys_alone(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_init(&rig);
    rig_start(&rig);
    rig_must(&rig, rig_write(&rig, tab, 3));
    rig_must(&rig, rig_commit_of(&rig, NULL, tab, CDC_COMMIT_KEYS));
    rig_must(&rig, rig_commit_of(&rig, "keys", NULL, CDC_COMMIT_KEYS));
    rig_sees(&rig, 0);
    rig_must(&rig, rig_write(&rig, tab, 3));
    rig_must(&rig, rig_commit(&rig, "rows"));
    rig_sees(&rig, 6);
    assert_int_equal(rig_count(&rig, "-name '00000000000000000002-*.avro'"), 1);
    rig_sound(&rig);
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void test_nothing_to_say_makes_no_record(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_must(&rig, rig_commit(&rig, NULL));
    rig_must(&rig, rig_commit_of(&rig, NULL, NULL, CDC_COMMIT_KEYS));
    assert_int_equal(rig.lk->chain.seq, 1);
    rig_must(&rig, rig_commit(&rig, "here"));
    assert_int_equal(rig.lk->chain.seq, 2);
    rig_done(&rig);
}

/* A restart of the source makes a new cdc_table of the same version: no file of its own for it. */
static void test_same_schema_same_file(void **state)
{
    (void)state;
    struct rig rig;
    struct cdc_table *tab = rig_table("public", "words", 1);
    rig_init(&rig);
    rig_start(&rig);
    rig_must(&rig, rig_write(&rig, tab, 3));
    cdc_table_unref(tab);
    tab = rig_table("public", "words", 1);
    rig_must(&rig, rig_write(&rig, tab, 3));
    assert_int_equal(rig.lk->n_open, 1);
    rig_rows(&rig, tab, 3, "nine");
    rig_sees(&rig, 9);
    rig_sound(&rig);
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void assert_meta(struct cdc_avro_reader *reader, const char *key, const char *expect)
{
    struct cdc_slice value = cdc_avro_reader_meta(reader, key);
    assert_int_equal(value.len, strlen(expect));
    assert_memory_equal(value.p, expect, value.len);
}

static void test_codec(enum cdc_codec codec)
{
    struct rig rig;
    struct lake_commit rec;
    struct cdc_table *tab = rig_table("odd name", "words", 1);
    rig_init(&rig);
    rig.set.codec = codec;
    rig_start(&rig);
    rig_rows(&rig, tab, 1000, "all");
    rig_sees(&rig, 1000);
    assert_int_equal(lake_chain_read(rig.lk->store, 2, &rec, NULL, &rig.err), CDC_OK);
    const struct lake_file *file = &rec.files[0];
    assert_int_equal(strncmp(file->path, "log/odd%20name.words/dt=20", 26), 0);
    assert_string_equal(file->table, "odd name.words");
    assert_string_equal(file->codec, cdc_codec_name(codec));
    assert_int_equal(file->records, 1000);
    assert_int_equal(file->ops[0], 1000);
    struct lake_input in = {.st = rig.lk->store, .file = file};
    struct cdc_avro_reader *reader;
    assert_int_equal(lake_input_open(&in, &reader, &rig.err), CDC_OK);
    assert_meta(reader, "cdc.table", "db.odd name.words");
    assert_meta(reader, "cdc.commit", "2");
    assert_meta(reader, "cdc.epoch", "1");
    assert_meta(reader, "cdc.deletes", "soft");
    cdc_avro_reader_free(reader);
    lake_commit_done(&rec);
    rig_sound(&rig);
    cdc_table_unref(tab);
    rig_done(&rig);
}

static void test_codec_null(void **state)
{
    (void)state;
    test_codec(CDC_CODEC_NULL);
}

static void test_codec_deflate(void **state)
{
    (void)state;
    test_codec(CDC_CODEC_DEFLATE);
}

static void test_codec_zstandard(void **state)
{
    (void)state;
    test_codec(CDC_CODEC_ZSTD);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_file_asks_for_a_commit),
        cmocka_unit_test(test_many_tables),
        cmocka_unit_test(test_held_memory_is_bounded),
        cmocka_unit_test(test_keys_alone),
        cmocka_unit_test(test_nothing_to_say_makes_no_record),
        cmocka_unit_test(test_same_schema_same_file),
        cmocka_unit_test(test_codec_null),
        cmocka_unit_test(test_codec_deflate),
        cmocka_unit_test(test_codec_zstandard),
    };
    return cmocka_run_group_tests_name("lake writing", tests, NULL, NULL);
}
