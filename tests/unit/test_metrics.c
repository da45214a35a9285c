/*
 * The counters and the ladder, by scripts: what happened in a pipeline, and what is told of it
 * then.
 *
 *   b      session begins            r N    a batch of N rows comes, of N * 100 bytes of log
 *   t      it is taken by the sink   w      the sink took it
 *   c      commit                    d      the source is dry
 *   l N    a look: N bytes of log behind what was received
 *   x      the session fails         s N    a batch of N rows that a copy read, beside the log
 * Batches are taken in the order in which they came. Their changes are as old as their number says:
 * the first is 1000 s old, the second 900, and so on.
 */
#include "cm.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "cdc/clock.h"
#include "metrics/metrics.h"

static const struct row {
    const char *name, *script;
    uint64_t bytes[3]; /* received, written, committed */
    int age[3];        /* in hundreds of seconds, rounded */
    uint64_t rows, waiting, counted;
} rows[] = {
    {"nothing", "b", {0, 0, 0}, {0, 0, 0}, 0, 0, 0},
    {"received", "b r 2 d", {0, 200, 200}, {0, 10, 10}, 0, 0, 0},
    {"being written", "b r 2 d t", {0, 200, 200}, {0, 10, 10}, 0, 0, 0},
    {"written", "b r 2 d t w", {0, 0, 200}, {0, 0, 10}, 2, 2, 0},
    {"committed", "b r 2 d t w c", {0, 0, 0}, {0, 0, 0}, 2, 0, 2},
    {"the oldest counts", "b r 2 r 3 d t w t w", {0, 0, 500}, {0, 0, 10}, 5, 5, 0},
    {"one in the queue, one committed", "b r 2 r 3 d t w c", {0, 300, 300}, {0, 9, 9}, 2, 0, 2},
    {"one of each", "b r 1 r 1 r 1 d t w c t w", {0, 100, 200}, {0, 8, 9}, 2, 1, 1},
    {"a backlog", "b r 2 t w c", {0, 0, 0}, {10, 10, 10}, 2, 0, 2},
    {"the end is beyond", "b r 1 d t w c l 700", {700, 700, 700}, {0, 0, 0}, 1, 0, 1},
    {"and is come to", "b r 1 d t w c l 700 r 7", {0, 700, 700}, {9, 9, 9}, 1, 0, 1},
    {"and is passed", "b r 1 l 300 r 9 d", {0, 1000, 1000}, {0, 10, 10}, 0, 0, 0},
    {"a look that sees nothing new", "b r 1 d l 0", {0, 100, 100}, {0, 10, 10}, 0, 0, 0},
    {"copied rows have no age", "b s 3 d t w", {0, 0, 0}, {0, 0, 0}, 3, 3, 0},
    {"nor have they a delay", "b s 3 d t w r 2 d t w", {0, 0, 200}, {0, 0, 9}, 5, 5, 0},
    {"a rewind", "b r 2 t w x b", {200, 200, 200}, {0, 0, 0}, 2, 0, 0},
    {"a rewind counts nothing twice", "b r 2 t w x b r 2 d t w c", {0, 0, 0}, {0, 0, 0}, 4, 0, 2},
    {"a rewind keeps what is committed", "b r 2 t w c x b", {0, 0, 0}, {0, 0, 0}, 2, 0, 2},
};

#define BATCHES 16

struct world {
    struct cdc_pool *pool;
    struct cdc_metrics *met;
    struct cdc_table *tab;
    struct cdc_batch *batches[BATCHES];
    size_t made, taken, written;
};

static void make_batch(struct world *world, size_t n, bool copied)
{
    struct cdc_batch *batch = cdc_pool_batch(world->pool);
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    tx->commit_us = cdc_now_us() - (int64_t)(10 - world->made) * 100000000;
    for (size_t i = 0; i < n; i++) {
        struct cdc_change *chg = cdc_batch_add(batch, world->tab);
        chg->op = copied ? CDC_OP_READ : i == 0 ? CDC_OP_CREATE : CDC_OP_UPDATE;
        chg->tx = tx;
    }
    world->batches[world->made++] = batch;
    if (copied)
        return;
    batch->log_bytes = n * 100;
    batch->read_us = cdc_now_us();
    assert_int_equal(cdc_batch_position(batch, cdc_slice_str("tx:1"), NULL), CDC_OK);
    cdc_metrics_received(world->met, batch);
}

static void step(struct world *world, char what, size_t n, const struct cdc_map *none)
{
    const struct cdc_source_status status = {.end = "0/1", .end_bytes = n};
    const struct cdc_error err = {.where = "w", .message = "m"};
    switch (what) {
    case 'b': cdc_metrics_begin(world->met, none); break;
    case 'r': make_batch(world, n, false); break;
    case 's': make_batch(world, n, true); break;
    case 't': cdc_metrics_taken(world->met, world->batches[world->taken++]); break;
    case 'w': cdc_metrics_written(world->met, world->batches[world->written++]); break;
    case 'c': cdc_metrics_committed(world->met, none, 1000); break;
    case 'd': cdc_metrics_dry(world->met); break;
    case 'l': cdc_metrics_looked(world->met, &status); break;
    case 'x':
        cdc_metrics_trouble(world->met, &err);
        world->taken = world->written = world->made;
        break;
    default: fail();
    }
}

static void play(struct world *world, const char *script)
{
    struct cdc_map none;
    cdc_map_init(&none);
    for (const char *at = script; *at; at += strspn(at, " ")) {
        char what = *at++;
        size_t n = *at == ' ' && at[1] >= '0' && at[1] <= '9' ? strtoul(at, (char **)&at, 10) : 0;
        step(world, what, n, &none);
    }
    cdc_map_done(&none);
}

/* A position is told as its source wrote it, cut to the room there is. */
static void test_position(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"tx:1/2", "tx:1/2"},
        {"{\"kind\":\"tx\",\"file\":\"bin.000002\"}", "{\"kind\":\"tx\",\"file\":\"bin.000002\"}"},
        {"a\\b\"", "a\\b\""},
    };
    struct cdc_metrics *met = cdc_metrics_new();
    struct cdc_pool *pool = cdc_pool_new(1 << 24, 1 << 16);
    const struct cdc_queue_look queue = {.batches = 0};
    for (size_t i = 0; i <= CM_COUNT(texts); i++) {
        struct cdc_metrics_view view;
        struct cdc_batch *batch = cdc_pool_batch(pool);
        char many[CDC_METRICS_TEXT * 4];
        memset(many, '"', sizeof many - 1);
        many[sizeof many - 1] = 0;
        const char *text = i < CM_COUNT(texts) ? texts[i][0] : many;
        assert_int_equal(cdc_batch_position(batch, cdc_slice_str(text), NULL), CDC_OK);
        cdc_metrics_received(met, batch);
        assert_int_equal(cdc_metrics_look(met, &queue, &view), CDC_OK);
        if (i < CM_COUNT(texts))
            assert_string_equal(view.rungs[CDC_RUNG_RECEIVED].position, texts[i][1]);
        else
            assert_int_equal(strspn(view.rungs[CDC_RUNG_RECEIVED].position, "\""),
                             CDC_METRICS_TEXT - 1);
        cdc_metrics_view_done(&view);
        cdc_batch_unref(batch);
    }
    cdc_metrics_free(met);
    cdc_pool_free(pool);
}

/* What the queue would tell: the oldest change that was not taken out. */
static struct cdc_queue_look queue_of(const struct world *world)
{
    struct cdc_queue_look queue = {.batches = world->made - world->taken, .bytes = 1, .limit = 2};
    if (queue.batches > 0)
        queue.oldest_us = world->batches[world->taken]->changes[0].tx->commit_us;
    return queue;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    const struct cdc_table_spec spec = {.schema = "s", .name = "t", .version = 1};
    struct world world = {.pool = cdc_pool_new(1 << 24, 1 << 16), .met = cdc_metrics_new()};
    struct cdc_metrics_view view;
    assert_int_equal(cdc_table_new(&spec, &world.tab, NULL), CDC_OK);
    play(&world, row->script);
    struct cdc_queue_look queue = queue_of(&world);
    assert_int_equal(cdc_metrics_look(world.met, &queue, &view), CDC_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(view.rungs[i + 1].bytes, row->bytes[i]);
        assert_int_equal((int)(view.rungs[i + 1].seconds / 100 + 0.5), row->age[i]);
    }
    assert_int_equal(view.rows, row->rows);
    assert_int_equal(view.rows_waiting, row->waiting);
    uint64_t counted = 0;
    for (size_t i = 0; view.n_tables > 0 && i < CDC_METRICS_OPS; i++)
        counted += view.tables[0].rows[i];
    assert_int_equal(counted, row->counted);
    cdc_metrics_view_done(&view);
    for (size_t i = 0; i < world.made; i++)
        cdc_batch_unref(world.batches[i]);
    cdc_metrics_free(world.met);
    cdc_pool_free(world.pool);
    cdc_table_unref(world.tab);
}

/* What a copy read is no change of some moment, and does not count as delivered late. */
static void test_delivery(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        uint64_t delivered;
        bool newest; /* a newest change is told */
    } steps[] = {{"b s 2 t w c", 0, false}, {"s 1 r 1 t w t w c", 1, true}, {"s 1 t w c", 1, true}};
    const struct cdc_table_spec spec = {.schema = "s", .name = "t", .version = 1};
    const struct cdc_queue_look queue = {.batches = 0};
    struct world world = {.pool = cdc_pool_new(1 << 24, 1 << 16), .met = cdc_metrics_new()};
    assert_int_equal(cdc_table_new(&spec, &world.tab, NULL), CDC_OK);
    for (size_t i = 0; i < CM_COUNT(steps); i++) {
        struct cdc_metrics_view view;
        play(&world, steps[i].script);
        assert_int_equal(cdc_metrics_look(world.met, &queue, &view), CDC_OK);
        assert_int_equal(view.delivery.count, steps[i].delivered);
        assert_int_equal(view.tables[0].commit_us > 0, steps[i].newest);
        cdc_metrics_view_done(&view);
    }
    for (size_t i = 0; i < world.made; i++)
        cdc_batch_unref(world.batches[i]);
    cdc_metrics_free(world.met);
    cdc_pool_free(world.pool);
    cdc_table_unref(world.tab);
}

/* Tables' states come from the checkpoint and from what is committed; in the order of names. */
static void test_states(void **state)
{
    (void)state;
    static const char *const checkpoint[][2] = {
        {"table/s.b", "{\"state\":\"streaming\"}"},
        {"table/s.a", "{\"state\":\"paused\",\"gap\":{\"from\":\"tx:7\"}}"},
        {"table/s.bad", "{"},
        {"table/s.none", "{}"},
        {"schema/1", "{\"state\":\"x\"}"}};
    struct cdc_metrics *met = cdc_metrics_new();
    const struct cdc_queue_look queue = {.batches = 0};
    struct cdc_metrics_view view;
    struct cdc_map map;
    cdc_map_init(&map);
    for (size_t i = 0; i < CM_COUNT(checkpoint); i++)
        assert_int_equal(
            cdc_map_put(&map, cdc_slice_str(checkpoint[i][0]), cdc_slice_str(checkpoint[i][1])),
            CDC_OK);
    cdc_metrics_begin(met, &map);
    cdc_map_clear(&map);
    assert_int_equal(cdc_map_put(&map, cdc_slice_str("table/s.b"),
                                 cdc_slice_str("{\"state\":\"skipped\",\"gap\":{}}")),
                     CDC_OK);
    cdc_metrics_committed(met, &map, 0);
    assert_int_equal(cdc_metrics_look(met, &queue, &view), CDC_OK);
    assert_int_equal(view.n_tables, 3);
    assert_string_equal(view.tables[0].name, "s.a");
    assert_string_equal(view.tables[0].state, "paused");
    assert_string_equal(view.tables[0].gap, "tx:7");
    assert_string_equal(view.tables[1].state, "skipped");
    assert_string_equal(view.tables[1].gap, "");
    assert_string_equal(view.tables[2].state, "streaming");
    assert_null(view.tables[2].gap);
    cdc_metrics_view_done(&view);
    cdc_map_done(&map);
    cdc_metrics_free(met);
}

static void test_phases(void **state)
{
    (void)state;
    struct world world = {.pool = cdc_pool_new(1 << 24, 1 << 16), .met = cdc_metrics_new()};
    const struct cdc_queue_look queue = {.batches = 0};
    static const struct {
        char what;
        enum cdc_phase phase;
        bool trouble;
    } steps[] = {{'b', CDC_PHASE_STARTING, false},  {'d', CDC_PHASE_STARTING, false},
                 {'r', CDC_PHASE_STREAMING, false}, {'x', CDC_PHASE_WAITING, true},
                 {'d', CDC_PHASE_WAITING, true},    {'c', CDC_PHASE_WAITING, false}};
    struct cdc_map none;
    cdc_map_init(&none);
    for (size_t i = 0; i < CM_COUNT(steps); i++) {
        struct cdc_metrics_view view;
        step(&world, steps[i].what, 0, &none);
        assert_int_equal(cdc_metrics_look(world.met, &queue, &view), CDC_OK);
        assert_int_equal(view.phase, steps[i].phase);
        assert_int_equal(view.trouble[0] != 0, steps[i].trouble);
        cdc_metrics_view_done(&view);
    }
    for (size_t i = 0; i < world.made; i++)
        cdc_batch_unref(world.batches[i]);
    cdc_metrics_free(world.met);
    cdc_pool_free(world.pool);
}

/* Without a listener nothing is there to be told, and nothing happens. */
static void test_none(void **state)
{
    (void)state;
    struct cdc_map none;
    cdc_map_init(&none);
    cdc_metrics_begin(NULL, &none);
    cdc_metrics_phase(NULL, CDC_PHASE_STARTING);
    cdc_metrics_received(NULL, NULL);
    cdc_metrics_dry(NULL);
    cdc_metrics_looked(NULL, NULL);
    cdc_metrics_taken(NULL, NULL);
    cdc_metrics_written(NULL, NULL);
    cdc_metrics_committed(NULL, NULL, 0);
    cdc_metrics_trouble(NULL, NULL);
    cdc_metrics_free(NULL);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 5];
    struct CMUnitTest *to = CM_ROWS(tests, test_row, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_delivery);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_position);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_states);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_phases);
    *to = (struct CMUnitTest)cmocka_unit_test(test_none);
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
