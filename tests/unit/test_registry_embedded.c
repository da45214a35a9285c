/*
 * test_registry_embedded.c - ids and versions, what the checkpoint holds, which change is refused;
 * and what of this holds for both registries.
 */
#include "cm.h"

#include "config/section.h"
#include "config/services.h"
#include "registry/registry.h"

#define REC(type)                                                                                  \
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":" type "}]}"

struct world {
    struct cdc_arena *arena;
    struct cdc_section *sec;
    struct cdc_registry *reg;
    struct cdc_map checkpoint, delta;
    struct cdc_buf why;
    struct cdc_error err;
};

static void open_again(struct world *w)
{
    cdc_registry_free(w->reg);
    w->reg = NULL;
    assert_int_equal(cdc_map_apply(&w->checkpoint, &w->delta), CDC_OK);
    assert_int_equal(cdc_registry_open(w->sec, &w->checkpoint, NULL, &w->reg, &w->err), CDC_OK);
}

static void init(struct world *w, const char *yaml)
{
    *w = (struct world){.arena = cdc_arena_new(1 << 20)};
    cdc_map_init(&w->checkpoint);
    cdc_map_init(&w->delta);
    cdc_buf_init(&w->why, 4096);
    if (cdc_section_parse(w->arena, yaml, cdc_registry_table, &w->sec, &w->err) < 0)
        fail_msg("%s", w->err.message);
    open_again(w);
}

static void done(struct world *w)
{
    cdc_registry_free(w->reg);
    cdc_map_done(&w->checkpoint);
    cdc_map_done(&w->delta);
    cdc_buf_done(&w->why);
    cdc_arena_free(w->arena);
}

static struct cdc_registry_want want(const char *subject, const char *text)
{
    return (struct cdc_registry_want){.subject = subject, .text = cdc_slice_str(text)};
}

/* check, then id: the id, or 0 where it is refused. */
static uint32_t give(struct world *w, struct cdc_registry_want what)
{
    uint32_t id = 0;
    cdc_buf_reset(&w->why);
    int rc = cdc_registry_check(w->reg, &what, &w->why, &w->err);
    if (rc == CDC_END)
        return 0;
    assert_int_equal(rc, CDC_OK);
    rc = cdc_registry_id(w->reg, &what, &w->delta, &id, &w->why, &w->err);
    assert_true(rc == CDC_OK || rc == CDC_AGAIN);
    return id;
}

static void test_ids(void **state)
{
    (void)state;
    struct world w;
    init(&w, "id_base: 100\ncompatibility: none\n");
    assert_int_equal(give(&w, want("a", "\"int\"")), 101);
    assert_int_equal(give(&w, want("a", "\"int\"")), 101);
    assert_int_equal(give(&w, want("a", "\"long\"")), 102);
    assert_int_equal(give(&w, want("b", "\"int\"")), 103);
    assert_int_equal(w.delta.n, 3);
    assert_true(cdc_slice_eq(cdc_map_get(&w.delta, "schema/102"),
                             cdc_slice_str("{\"subject\":\"a\",\"version\":2,"
                                           "\"schema\":\"\\\"long\\\"\"}")));
    open_again(&w); /* what was committed */
    cdc_map_clear(&w.delta);
    assert_int_equal(give(&w, want("a", "\"long\"")), 102);
    assert_int_equal(w.delta.n, 0);
    assert_int_equal(give(&w, want("c", "\"long\"")), 104);
    done(&w);
}

static void test_the_last_id(void **state)
{
    (void)state;
    struct world w;
    uint32_t id;
    init(&w, "{}");
    assert_int_equal(
        cdc_map_put(&w.delta, cdc_slice_str("schema/2147483647"),
                    cdc_slice_str("{\"subject\":\"a\",\"version\":1,\"schema\":\"1\"}")),
        CDC_OK);
    open_again(&w);
    struct cdc_registry_want what = want("b", "\"int\"");
    assert_int_equal(cdc_registry_id(w.reg, &what, &w.delta, &id, &w.why, &w.err), CDC_FAIL);
    assert_int_equal(w.err.action, CDC_OPERATOR);
    done(&w);
}

static const char *const damaged[][2] = {
    {"schema/5", "{\"subject\":\"a\"}"},
    {"schema/0", "{\"subject\":\"a\",\"version\":1,\"schema\":\"x\"}"},
    {"schema/x", "{\"subject\":\"a\",\"version\":1,\"schema\":\"x\"}"},
    {"schema/5x", "{\"subject\":\"a\",\"version\":1,\"schema\":\"x\"}"},
    {"schema/4294967297", "{\"subject\":\"a\",\"version\":1,\"schema\":\"x\"}"},
    {"schema/5", "{\"subject\":\"a\",\"version\":0,\"schema\":\"x\"}"},
    {"schema/5", "{\"subject\":3,\"version\":1,\"schema\":\"x\"}"},
    {"schema/5", "{\"subject\":\"a\",\"version\":1,\"schema\":3}"},
    {"schema/5", "{\"subject\":\"a\",\"version\":1,\"schema\":\"x\",\"also\":[3]}"},
    {"schema/5", "{"},
};

static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct world w;
        struct cdc_registry *reg = NULL;
        init(&w, "{}");
        assert_int_equal(
            cdc_map_put(&w.checkpoint, cdc_slice_str(damaged[i][0]), cdc_slice_str(damaged[i][1])),
            CDC_OK);
        assert_int_equal(cdc_registry_open(w.sec, &w.checkpoint, NULL, &reg, &w.err), CDC_FAIL);
        assert_int_equal(w.err.action, CDC_FATAL);
        done(&w);
    }
}

/* Three versions, the third fits the second and not the first: only transitive levels mind. */
static void test_transitive(void **state)
{
    (void)state;
    static const char *const yaml[] = {"{}", "compatibility: backward",
                                       "compatibility: backward_transitive"};
    static const char first[] = REC("\"string\""),
                      second[] = "{\"type\":\"record\",\"name\":\"R\","
                                 "\"fields\":[]}",
                      third[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\","
                                "\"type\":\"int\",\"default\":0}]}";
    for (int i = 0; i < 3; i++) {
        struct world w;
        init(&w, yaml[i]);
        assert_int_equal(give(&w, want("s", first)), 1);
        assert_int_equal(give(&w, want("s", second)), 2);
        assert_int_equal(give(&w, want("s", third)), i < 2 ? 3 : 0);
        assert_string_equal(cdc_buf_cstr(&w.why), i < 2 ? "" : "column a: was string, is int");
        assert_int_equal(give(&w, want("s", first)), 1); /* what is registered may be used */
        done(&w);
    }
}

static void test_force(void **state)
{
    (void)state;
    struct world w;
    init(&w, "{}");
    struct cdc_registry_want what = want("s", REC("\"string\""));
    assert_int_equal(give(&w, want("s", REC("\"int\""))), 1);
    assert_int_equal(give(&w, what), 0);
    what.force = true;
    assert_int_equal(give(&w, what), 2);
    done(&w);
}

/* A key's id is in its bytes: whatever changes is refused, and so is going back. */
static void test_keys(void **state)
{
    (void)state;
    struct world w;
    init(&w, "compatibility: none");
    struct cdc_registry_want a = want("s-key", REC("\"int\"")), b = want("s-key", REC("\"long\""));
    a.key = b.key = true;
    assert_int_equal(give(&w, a), 1);
    assert_int_equal(give(&w, b), 0);
    assert_non_null(strstr(cdc_buf_cstr(&w.why), "was (a int), is (a long)"));
    b.force = true;
    assert_int_equal(give(&w, b), 2);
    a.current = 2;
    assert_int_equal(give(&w, a), 0);
    a.current = 1; /* another table's state says that it still uses the first */
    assert_int_equal(give(&w, a), 1);
    done(&w);
}

static void test_would_wait(void **state)
{
    (void)state;
    struct world w;
    init(&w, "{}");
    struct cdc_registry_want a = want("s", REC("\"int\"")), b = want("s", REC("\"long\""));
    assert_false(cdc_registry_would_wait(w.reg, &a)); /* new, and nothing to compare with */
    assert_int_equal(give(&w, a), 1);
    assert_false(cdc_registry_would_wait(w.reg, &a));
    assert_true(cdc_registry_would_wait(w.reg, &b));
    done(&w);
    init(&w, "type: http\nurl: [\"http://127.0.0.1:1\"]\n");
    assert_true(cdc_registry_would_wait(w.reg, &a));
    done(&w);
}

/* One id under two subjects, as a server gives them, is read back. */
static void test_also(void **state)
{
    (void)state;
    struct world w;
    init(&w, "type: http\nurl: [\"http://127.0.0.1:1\"]\ntimeout: 100ms\nconnect_timeout: 100ms\n");
    assert_int_equal(
        cdc_map_put(&w.delta, cdc_slice_str("schema/7"),
                    cdc_slice_str("{\"subject\":\"a\",\"version\":3,\"schema\":\"\\\"int\\\"\","
                                  "\"also\":[[\"b\",1]]}")),
        CDC_OK);
    open_again(&w);
    assert_int_equal(give(&w, want("a", "\"int\"")), 7);
    assert_int_equal(give(&w, want("b", "\"int\"")), 7);
    struct cdc_registry_want other = want("c", "\"int\""); /* nobody listens there */
    assert_int_equal(cdc_registry_check(w.reg, &other, &w.why, &w.err), CDC_FAIL);
    assert_int_equal(w.err.action, CDC_RETRY);
    assert_non_null(strstr(w.err.message, "http://127.0.0.1:1 does not answer"));
    done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),        cmocka_unit_test(test_the_last_id),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_transitive),
        cmocka_unit_test(test_force),      cmocka_unit_test(test_keys),
        cmocka_unit_test(test_would_wait), cmocka_unit_test(test_also),
    };
    return cmocka_run_group_tests_name("registry_embedded", tests, NULL, NULL);
}
