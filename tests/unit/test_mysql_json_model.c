/*
 * test_mysql_json_model.c - random documents and random differences of them: what json_diff.c makes
 * is what jansson makes, printed in the server's order. A round's number is its seed.
 */
#include "mysql_json_kit.h"

static uint32_t dice(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

static json_t *random_value(uint32_t *seed, unsigned depth)
{
    static const char *const keys[] = {"a", "b", "c", "aa", "ab", "last", "ccc", "k0"};
    json_t *val;
    switch (dice(seed, depth < 4 ? 8 : 4)) {
    case 0: return json_null();
    case 1: return dice(seed, 2) ? json_true() : json_false();
    case 2: return json_integer((json_int_t)dice(seed, 200000) - 100000);
    case 3: return json_string(dice(seed, 2) ? "text" : "");
    case 4:
    case 5:
        val = json_array();
        for (uint32_t n = dice(seed, 6); n-- > 0;)
            json_array_append_new(val, random_value(seed, depth + 1));
        return val;
    default:
        val = json_object();
        for (uint32_t n = dice(seed, 6); n-- > 0;)
            json_object_set_new(val, keys[dice(seed, 8)], random_value(seed, depth + 1));
        return val;
    }
}

/* Changes the model at a random place and says how in `diffs`. */
static void random_diff(json_t *doc, uint32_t *seed, struct cdc_buf *diffs)
{
    static const char *const more[] = {"a", "b", "cc", "aaa", "zz", "last", "k0", "k00"};
    struct cdc_buf path = CDC_BUF(4096);
    const char *keys[JK_MAX], *key = NULL;
    json_t *box = doc, *val = random_value(seed, 2);
    size_t i = 0, n;
    bool last;
    cdc_buf_byte(&path, '$');
    for (;;) {
        n = json_is_object(box) ? jk_keys(box, keys) : json_array_size(box);
        i = n ? dice(seed, (uint32_t)n) : 0;
        json_t *child = n ? jk_child(box, keys, i) : NULL;
        if (!child || (!json_is_object(child) && !json_is_array(child)) || dice(seed, 3) == 0)
            break;
        if (json_is_object(box))
            cdc_buf_printf(&path, dice(seed, 2) ? ".%s" : ".\"%s\"", keys[i]);
        else
            cdc_buf_printf(&path, "[%zu]", i);
        box = child;
    }
    int op = n ? (int)dice(seed, 3) : JK_INSERT;
    if (json_is_object(box)) {
        key = op == JK_INSERT ? more[dice(seed, 8)] : keys[i];
        if (op == JK_INSERT && json_object_get(box, key))
            op = JK_REPLACE;
        cdc_buf_printf(&path, ".%s", key);
    } else {
        i = op == JK_INSERT ? dice(seed, (uint32_t)n + 2) : i;
        last = i < n && dice(seed, 2);
        cdc_buf_printf(&path, last ? "[last-%zu]" : "[%zu]", last ? n - 1 - i : i);
        i = i < n ? i : op == JK_INSERT ? n : i;
    }
    jk_diff(diffs, op, cdc_buf_cstr(&path), val, dice(seed, 2));
    if (key)
        op == JK_REMOVE ? json_object_del(box, key) : json_object_set(box, key, val);
    else if (op == JK_INSERT)
        json_array_insert(box, i, val);
    else
        op == JK_REMOVE ? json_array_remove(box, i) : json_array_set(box, i, val);
    json_decref(val);
    cdc_buf_done(&path);
}

static void test_random(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t seed = round;
        struct cdc_buf doc = CDC_BUF(1 << 20), diffs = CDC_BUF(1 << 20);
        struct cdc_buf out = CDC_BUF(1 << 20), want = CDC_BUF(1 << 20);
        json_t *val = random_value(&seed, 0);
        if (json_is_object(val) || json_is_array(val)) {
            jk_doc(&doc, val, dice(&seed, 2));
            for (uint32_t n = dice(&seed, 12); n-- > 0;)
                random_diff(val, &seed, &diffs);
            jk_print(&want, val);
            if (jk_apply(cdc_buf_slice(&doc), cdc_buf_slice(&diffs), &out) != CDC_OK)
                fail_msg("round %u: does not fit", round);
            assert_string_equal(cdc_buf_cstr(&out), cdc_buf_cstr(&want));
        }
        json_decref(val);
        cdc_buf_done(&doc);
        cdc_buf_done(&diffs);
        cdc_buf_done(&out);
        cdc_buf_done(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests_name("mysql: JSON differences, random", tests, NULL, NULL);
}
