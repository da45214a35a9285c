/* test_registry_paused.c - paused tables: their state in the checkpoint, and which rows are
 * dropped. */
#include "cm.h"

#include "pipeline/session.h"

struct world {
    struct cdc_settings *set;
    struct cdc_run run;
    struct cdc_outlet out;
    struct cdc_error err;
};

static void init(struct world *w)
{
    static const char yaml[] = "name: p\nsource: {type: example}\nsink: {type: 'null'}\n"
                               "capture: [{tables: 's.*', snapshot: never}]\n";
    *w = (struct world){.err = {0}};
    if (cdc_settings_parse(cdc_slice_str(yaml), "p.yaml", &w->set, &w->err) < 0)
        fail_msg("%s: %s", w->err.where, w->err.message);
    w->run.set = w->set;
    w->out.run = &w->run;
    cdc_map_init(&w->run.checkpoint);
    cdc_map_init(&w->out.pending);
}

static void done(struct world *w)
{
    cdc_settings_free(w->set);
    cdc_paused_done(&w->out.paused);
    cdc_map_done(&w->run.checkpoint);
    cdc_map_done(&w->out.pending);
}

static void put(struct cdc_map *map, const char *key, const char *value)
{
    assert_int_equal(cdc_map_put(map, cdc_slice_str(key), cdc_slice_str(value)), CDC_OK);
}

static const char *text(const struct cdc_map *map, const char *key)
{
    return (const char *)cdc_map_get(map, key).p;
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    struct world w;
    init(&w);
    put(&w.run.checkpoint, "position", "\"p1\"");
    put(&w.out.pending, "position", "\"p2\"");
    put(&w.run.checkpoint, "table/a.t", "{\"state\":\"streaming\",\"version\":3}");
    assert_int_equal(cdc_pause(&w.out, "a.none", NULL, "x", &w.err), CDC_END);
    assert_int_equal(cdc_pause(&w.out, "a.t", NULL, "why", &w.err), CDC_OK);
    assert_int_equal(cdc_pause(&w.out, "a.t", NULL, "why", &w.err), CDC_AGAIN);
    assert_non_null(strstr(text(&w.out.pending, "table/a.t"),
                           "{\"state\":\"paused\",\"version\":3,\"why\":\"why\","
                           "\"gap\":{\"from\":\"p2\""));
    assert_true(cdc_paused_has(&w.out.paused, "a", "t"));
    assert_false(cdc_paused_has(&w.out.paused, "a", "tt"));
    assert_false(cdc_paused_has(&w.out.paused, "a.t", ""));
    /* over a restart */
    assert_int_equal(cdc_map_apply(&w.run.checkpoint, &w.out.pending), CDC_OK);
    cdc_map_clear(&w.out.pending);
    cdc_paused_done(&w.out.paused);
    assert_int_equal(cdc_paused_load(&w.out, &w.err), CDC_OK);
    assert_true(cdc_paused_has(&w.out.paused, "a", "t"));
    put(&w.out.pending, "position", "\"p3\"");
    assert_int_equal(cdc_resume(&w.out, "a.other", &w.err), CDC_END);
    assert_int_equal(cdc_resume(&w.out, "a.t", &w.err), CDC_OK);
    assert_non_null(strstr(text(&w.out.pending, "table/a.t"),
                           "{\"state\":\"streaming\",\"version\":3,\"gap\":{\"from\":\"p2\""));
    assert_false(cdc_paused_has(&w.out.paused, "a", "t"));
    /* the gap of then stays, though it is paused at another place */
    assert_int_equal(cdc_pause(&w.out, "a.t", NULL, "again", &w.err), CDC_OK);
    assert_non_null(strstr(text(&w.out.pending, "table/a.t"), "\"from\":\"p2\""));
    done(&w);
}

static struct cdc_table *table(const char *name)
{
    struct cdc_column col = {.name = "id", .type = "int", .kind = CDC_INT, .bits = 32, .key = 1};
    struct cdc_table_spec spec = {
        .catalog = "d", .schema = "s", .name = name, .version = 1, .n = 1, .cols = &col};
    struct cdc_table *tab = NULL;
    assert_int_equal(cdc_table_new(&spec, &tab, NULL), CDC_OK);
    return tab;
}

/* a P b P P | the last of a transaction keeps its mark */
static void test_drop(void **state)
{
    (void)state;
    struct world w;
    init(&w);
    struct cdc_pool *pool = cdc_pool_new(1 << 20, 4096);
    struct cdc_batch *batch = cdc_pool_batch(pool);
    struct cdc_table *kept = table("kept"), *gone = table("gone");
    const struct cdc_tx tx = {.commit_us = 1};
    struct cdc_table *order[] = {kept, gone, kept, gone, gone};
    for (size_t i = 0; i < 5; i++) {
        struct cdc_change *chg = cdc_batch_add(batch, order[i]);
        chg->tx = &tx;
        chg->ordinal = i + 1;
    }
    batch->changes[4].flags = CDC_TX_LAST;
    cdc_paused_drop(&w.out.paused, batch, false);
    assert_int_equal(batch->n, 5);
    assert_int_equal(cdc_pause(&w.out, "s.gone", gone, "why", &w.err), CDC_OK);
    struct cdc_plan *plan = (struct cdc_plan *)&w; /* a version that has one was written before */
    gone->plan = plan;
    cdc_paused_drop(&w.out.paused, batch, true);
    assert_int_equal(batch->n, 5);
    gone->plan = NULL;
    cdc_paused_drop(&w.out.paused, batch, true);
    assert_int_equal(batch->n, 2);
    assert_int_equal(w.out.paused.dropped, 3);
    assert_int_equal(batch->changes[0].ordinal, 1);
    assert_int_equal(batch->changes[1].ordinal, 3);
    assert_int_equal(batch->changes[1].flags, CDC_TX_LAST);
    assert_non_null(strstr(text(&w.out.pending, "table/s.gone"), "\"columns\""));
    cdc_batch_unref(batch);
    cdc_pool_free(pool);
    cdc_table_unref(kept);
    cdc_table_unref(gone);
    done(&w);
}

/* A key of the pending delta counts more than the checkpoint's; a gap outlives a new state. */
static void test_state_keep(void **state)
{
    (void)state;
    struct cdc_buf now = CDC_BUF(4096);
    json_t *ids = json_pack("{s:i}", "key_id", 7);
    cdc_buf_str(&now, "{\"state\":\"streaming\",\"version\":2}");
    assert_int_equal(cdc_state_keep(cdc_slice_str("{\"state\":\"paused\",\"why\":\"x\",\"gap\":{"
                                                  "\"from\":\"p\"}}"),
                                    ids, &now),
                     CDC_OK);
    assert_string_equal(cdc_buf_cstr(&now), "{\"state\":\"streaming\",\"version\":2,\"key_id\":7,"
                                            "\"gap\":{\"from\":\"p\"}}");
    json_decref(ids);
    cdc_buf_done(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_state_keep),
    };
    return cmocka_run_group_tests_name("registry_paused", tests, NULL, NULL);
}
