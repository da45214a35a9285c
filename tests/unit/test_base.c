/*
 * test_base.c - buffers, arenas, readers, maps, tables, batches, queue, registry.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cdc/batch.h"
#include "cdc/clock.h"
#include "cdc/config.h"
#include "cdc/reader.h"
#include "cm.h"
#include "pipeline/queue.h"

static void test_buf_keeps_its_maximum(void **state)
{
    (void)state;
    struct cdc_buf buf = CDC_BUF(300);
    for (int i = 0; i < 300; i++)
        cdc_buf_byte(&buf, (uint8_t)i);
    assert_false(buf.failed);
    cdc_buf_byte(&buf, 1);
    assert_true(buf.failed);
    assert_int_equal(buf.len, 300);
    cdc_buf_put(&buf, "x", 1); /* sticky */
    assert_int_equal(buf.len, 300);
    assert_null(cdc_buf_cstr(&buf));
    cdc_buf_reset(&buf);
    cdc_buf_printf(&buf, "%s %d", "a", 7);
    assert_string_equal(cdc_buf_cstr(&buf), "a 7");
    cdc_buf_reset(&buf);
    cdc_buf_printf(&buf, "%290s", "long");
    assert_int_equal(buf.len, 290);
    cdc_buf_done(&buf);
}

static void test_buf_small_maximum(void **state)
{
    (void)state;
    struct cdc_buf buf = CDC_BUF(3);
    cdc_buf_put(&buf, "abc", 3);
    assert_false(buf.failed);
    cdc_buf_byte(&buf, 'd');
    assert_true(buf.failed);
    assert_int_equal(buf.len, 3);
    cdc_buf_done(&buf);
}

static void test_buf_huge_request(void **state)
{
    (void)state;
    struct cdc_buf buf = CDC_BUF(SIZE_MAX);
    cdc_buf_byte(&buf, 1);
    assert_null(cdc_buf_grow(&buf, SIZE_MAX));
    assert_true(buf.failed);
    cdc_buf_done(&buf);
}

static void test_arena_limit_and_reset(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        while (cdc_arena_alloc(arena, 1000))
            n++;
        assert_in_range(n, 500, 1048);
        assert_true(cdc_arena_bytes(arena) <= 1 << 20);
        cdc_arena_reset(arena);
    }
    assert_null(cdc_arena_alloc(arena, SIZE_MAX));
    assert_null(cdc_arena_alloc(arena, SIZE_MAX - 4));
    assert_int_equal(cdc_arena_adopt(arena, malloc(100), 100), CDC_OK);
    struct cdc_slice copy = cdc_arena_copy(arena, cdc_slice_str("text"));
    assert_string_equal((const char *)copy.p, "text");
    assert_null(cdc_arena_strdup(arena, NULL));
    cdc_arena_free(arena);
}

/* What it was told to keep is used again, and nothing of it is asked for twice. */
static void test_arena_keeps(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    size_t held = 0;
    cdc_arena_keep(arena, 1 << 19);
    for (int round = 0; round < 6; round++) {
        assert_int_equal(cdc_arena_given(arena), 0);
        for (int i = 0; i < 600; i++) {
            uint8_t *p = cdc_arena_alloc(arena, 1000);
            assert_non_null(p);
            memset(p, round, 1000);
        }
        assert_non_null(cdc_arena_alloc(arena, 1 << 20)); /* goes back each time */
        assert_int_equal(cdc_arena_given(arena), 600 * 1000 + (1 << 20));
        if (round >= 4)
            assert_int_equal(cdc_arena_bytes(arena), held);
        held = cdc_arena_bytes(arena);
        cdc_arena_reset(arena);
        assert_true(cdc_arena_bytes(arena) < (1 << 19) + (1 << 18) + 1024);
    }
    cdc_arena_free(arena);
}

static void test_reader_is_sticky(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 'a', 0, 'b'};
    struct cdc_reader rd = cdc_reader_of(bytes, sizeof bytes);
    assert_int_equal(cdc_read_be16(&rd), 0x0102);
    assert_int_equal(cdc_read_u8(&rd), 3);
    assert_string_equal(cdc_read_cstr(&rd), "a");
    assert_string_equal(cdc_read_cstr(&rd), ""); /* no NUL behind b */
    assert_true(rd.failed);
    assert_int_equal(cdc_read_u8(&rd), 0);
    assert_int_equal(cdc_reader_left(&rd), 0);
    rd = cdc_reader_of(bytes, 3);
    assert_null(cdc_read_raw(&rd, SIZE_MAX));
    assert_true(rd.failed);
}

static void test_zigzag(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[10];
        size_t n;
        int64_t value;
        bool good;
    } rows[] = {
        {{0x00}, 1, 0, true},
        {{0x01}, 1, -1, true},
        {{0x80, 0x01}, 2, 64, true},
        {{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, INT64_MAX, true},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, INT64_MIN, true},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 10, 0, false},
        {{0x80}, 1, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cdc_reader rd = cdc_reader_of(rows[i].bytes, rows[i].n);
        assert_true(cdc_read_zigzag(&rd) == rows[i].value);
        assert_int_equal(rd.failed, !rows[i].good);
    }
}

static void put(struct cdc_map *map, const char *key, const char *value)
{
    assert_int_equal(cdc_map_put(map, cdc_slice_str(key), cdc_slice_str(value)), CDC_OK);
}

static void test_map(void **state)
{
    (void)state;
    struct cdc_map map, delta;
    cdc_map_init(&map);
    cdc_map_init(&delta);
    put(&map, "b", "2");
    put(&map, "a", "1");
    put(&map, "c", "3");
    put(&map, "b", "two");
    assert_int_equal(map.n, 3);
    assert_true(cdc_slice_eq(cdc_map_get(&map, "b"), cdc_slice_str("two")));
    assert_int_equal(cdc_map_put(&delta, cdc_slice_str("a"), cdc_slice_of(NULL, 0)), CDC_OK);
    put(&delta, "d", "4");
    assert_int_equal(cdc_map_apply(&map, &delta), CDC_OK);
    assert_null(cdc_map_get(&map, "a").p);
    assert_int_equal(map.n, 3);
    assert_int_equal(cdc_map_merge(&map, &delta), CDC_OK); /* keeps the mark */
    assert_int_equal(map.n, 4);
    struct cdc_buf text = CDC_BUF(100);
    assert_int_equal(cdc_map_put_text(&map, "p", cdc_slice_str("a \"b\"\n")), CDC_OK);
    assert_int_equal(cdc_map_get_text(&map, "p", &text, NULL), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&text), "a \"b\"\n");
    struct cdc_error err = {0};
    assert_int_equal(cdc_map_get_text(&map, "d", &text, &err), CDC_FAIL); /* a number */
    assert_int_equal(cdc_map_get_text(&map, "none", &text, &err), CDC_END);
    cdc_buf_done(&text);
    cdc_map_done(&map);
    cdc_map_done(&delta);
}

static const struct cdc_column cols[] = {
    {.name = "id",
     .type = "bigint",
     .kind = CDC_INT,
     .bits = 64,
     .key = 2,
     .type_id = 20,
     .type_mod = -1},
    {.name = "org", .type = "integer", .kind = CDC_INT, .bits = 32, .key = 1, .type_mod = -1},
    {.name = "price",
     .type = "numeric(10,2)",
     .kind = CDC_DECIMAL,
     .precision = 10,
     .scale = 2,
     .nullable = true,
     .dflt = "0.00",
     .type_mod = 655366},
    {.name = "tags",
     .type = "text[]",
     .kind = CDC_ARRAY,
     .item = CDC_TEXT,
     .nullable = true,
     .type_mod = -1}};

static struct cdc_table *make(const struct cdc_rule *rule, int *ret_rc)
{
    const struct cdc_table_spec spec = {.catalog = "db",
                                        .schema = "public",
                                        .name = "prices",
                                        .id = 77,
                                        .version = 3,
                                        .n = 4,
                                        .cols = cols,
                                        .rule = rule};
    struct cdc_table *tab = NULL;
    struct cdc_error err = {0};
    *ret_rc = cdc_table_new(&spec, &tab, &err);
    return tab;
}

static void test_table_state_round_trip(void **state)
{
    (void)state;
    int rc;
    struct cdc_table *tab = make(NULL, &rc), *back = NULL;
    struct cdc_error err = {0};
    assert_int_equal(rc, CDC_OK);
    assert_int_equal(tab->n_key, 2);
    assert_int_equal(tab->key[0], 1);
    assert_int_equal(tab->key[1], 0);
    struct cdc_buf text = CDC_BUF(1 << 20);
    assert_int_equal(cdc_table_state(tab, &text), CDC_OK);
    rc = cdc_table_from_state("db", "public", "prices", cdc_buf_slice(&text), NULL, &back, &err);
    assert_int_equal(rc, CDC_OK);
    assert_true(cdc_table_same(tab, back));
    assert_int_equal(back->version, 3);
    assert_int_equal(back->id, 77);
    assert_int_equal(back->cols[2].type_mod, 655366);
    for (size_t n = 0; n < text.len; n++) { /* every proper prefix is damage, cleanly */
        struct cdc_table *none = NULL;
        rc = cdc_table_from_state("db", "public", "prices", cdc_slice_of(text.p, n), NULL, &none,
                                  &err);
        assert_int_equal(rc, CDC_FAIL);
    }
    cdc_buf_done(&text);
    cdc_table_unref(back);
    cdc_table_unref(tab);
}

/* Of a table that was paused before its first row nothing is known, also where the rule has a key.
 */
static void test_table_state_without_columns(void **state)
{
    (void)state;
    static const char *const key[] = {"price"};
    struct cdc_rule rule = {.tables = "public.*", .where = "x:1", .key = key, .n_key = 1};
    struct cdc_table *tab = NULL;
    struct cdc_error err = {0};
    const char text[] = "{\"state\":\"paused\",\"version\":1,\"generation\":0,\"columns\":[]}";
    int rc = cdc_table_from_state("db", "public", "prices", cdc_slice_str(text), &rule, &tab, &err);
    assert_int_equal(rc, CDC_OK);
    assert_int_equal(tab->version, 1);
    assert_int_equal(tab->n, 0);
    assert_ptr_equal(tab->rule, &rule);
    cdc_table_unref(tab);
}

static void test_table_key_override(void **state)
{
    (void)state;
    static const char *const good[] = {"price"}, *const bad[] = {"nowhere"};
    struct cdc_rule rule = {.tables = "public.*", .where = "x:1", .key = good, .n_key = 1};
    int rc;
    struct cdc_table *tab = make(&rule, &rc);
    assert_int_equal(rc, CDC_OK);
    assert_int_equal(tab->n_key, 1);
    assert_int_equal(tab->key[0], 2);
    cdc_table_unref(tab);
    rule.key = bad;
    assert_null(make(&rule, &rc));
    assert_int_equal(rc, CDC_FAIL);
}

static void test_value_eq(void **state)
{
    (void)state;
    const struct cdc_value one = {.kind = CDC_INT, .i = 1}, null = {.kind = CDC_NULL};
    const struct cdc_value unchanged = {.kind = CDC_UNCHANGED}, absent = {.kind = CDC_ABSENT};
    const struct cdc_value text = {.kind = CDC_TEXT, .len = 1, .p = (const uint8_t *)"1"};
    assert_true(cdc_value_eq(&one, &one));
    assert_true(cdc_value_eq(&null, &null));
    assert_false(cdc_value_eq(&one, &text));
    assert_false(cdc_value_eq(&unchanged, &unchanged));
    assert_false(cdc_value_eq(&absent, &absent));
}

/* A batch that is used again begins empty, however much its arena holds by then. */
static void test_batch_is_full_by_its_content(void **state)
{
    (void)state;
    int rc;
    struct cdc_table *tab = make(NULL, &rc);
    struct cdc_pool *pool = cdc_pool_new(64 << 20, 1 << 19);
    for (int round = 0; round < 8; round++) {
        struct cdc_batch *batch = cdc_pool_batch(pool);
        assert_false(cdc_batch_half(batch));
        while (!cdc_batch_half(batch)) {
            assert_non_null(cdc_batch_add(batch, tab));
            assert_non_null(cdc_arena_alloc(batch->arena, 200));
        }
        size_t row = 200 + sizeof *batch->changes;
        assert_int_equal(batch->n, ((1 << 18) + row - 1) / row);
        assert_false(cdc_batch_full(batch));
        assert_non_null(cdc_arena_alloc(batch->arena, 1 << 18));
        assert_true(cdc_batch_full(batch));
        cdc_batch_unref(batch);
    }
    cdc_pool_free(pool);
    cdc_table_unref(tab);
}

static void test_pool_and_queue(void **state)
{
    (void)state;
    int rc;
    struct cdc_table *tab = make(NULL, &rc);
    struct cdc_pool *pool = cdc_pool_new(1 << 20, 65536);
    struct cdc_queue *queue = cdc_queue_new(pool);
    size_t pushed = 0;
    struct cdc_batch *batch;
    for (;; pushed++) {
        batch = cdc_pool_batch(pool);
        while (!cdc_batch_full(batch)) {
            assert_non_null(cdc_batch_add(batch, tab));
            assert_non_null(cdc_batch_values(batch, tab->n));
        }
        assert_int_equal(batch->n_tables, 1);
        if (cdc_queue_push(queue, batch) != CDC_OK)
            break;
    }
    cdc_batch_unref(batch);
    assert_in_range(pushed, 2, 16);
    assert_true(cdc_pool_used(pool) <= 1 << 20);
    assert_int_equal(cdc_queue_pop(queue, 0, &batch), CDC_OK);
    cdc_batch_unref(cdc_batch_ref(batch));
    cdc_batch_unref(batch);
    cdc_queue_drain(queue);
    size_t popped = 1;
    for (; cdc_queue_pop(queue, INT64_MAX, &batch) == CDC_OK; popped++)
        cdc_batch_unref(batch);
    assert_int_equal(popped, pushed);
    assert_int_equal(cdc_pool_used(pool), 0);
    batch = cdc_pool_batch(pool);
    assert_int_equal(cdc_queue_push(queue, batch), CDC_END);
    cdc_queue_reset(queue);
    assert_int_equal(cdc_queue_push(queue, batch), CDC_OK);
    cdc_queue_abort(queue);
    assert_int_equal(cdc_queue_pop(queue, INT64_MAX, &batch), CDC_END);
    cdc_queue_reset(queue);
    int64_t before = cdc_mono_us();
    assert_int_equal(cdc_queue_pop(queue, before + 50000, &batch), CDC_AGAIN);
    assert_true(cdc_mono_us() - before >= 50000);
    cdc_queue_free(queue);
    cdc_pool_free(pool);
    cdc_table_unref(tab);
}

static void test_batch_larger_than_the_budget(void **state)
{
    (void)state;
    struct cdc_pool *pool = cdc_pool_new(1 << 16, 4096);
    struct cdc_batch *big = cdc_pool_batch(pool), *other = cdc_pool_batch(pool);
    assert_non_null(cdc_arena_alloc(big->arena, 1 << 20));
    assert_non_null(cdc_arena_alloc(other->arena, 1 << 10));
    assert_int_equal(cdc_pool_charge(pool, big), CDC_OK); /* alone it may pass */
    assert_int_equal(cdc_pool_charge(pool, other), CDC_AGAIN);
    cdc_batch_unref(big);
    assert_int_equal(cdc_pool_charge(pool, other), CDC_OK);
    cdc_batch_unref(other);
    cdc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_keeps_its_maximum),
        cmocka_unit_test(test_buf_small_maximum),
        cmocka_unit_test(test_buf_huge_request),
        cmocka_unit_test(test_arena_limit_and_reset),
        cmocka_unit_test(test_arena_keeps),
        cmocka_unit_test(test_reader_is_sticky),
        cmocka_unit_test(test_zigzag),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_table_state_without_columns),
        cmocka_unit_test(test_table_state_round_trip),
        cmocka_unit_test(test_table_key_override),
        cmocka_unit_test(test_value_eq),
        cmocka_unit_test(test_batch_is_full_by_its_content),
        cmocka_unit_test(test_pool_and_queue),
        cmocka_unit_test(test_batch_larger_than_the_budget),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
