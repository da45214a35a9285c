/*
 * test_mysql_relation.c - table maps -> tables, with the recorded maps of one table and no server:
 * what is known need not be asked for, what must be asked for fails here (CDC_RETRY).
 */
#include "mysql_kit.h"

#include "../../connectors/mysql/mysql.h"
#include "capture_rules.h"

#define COLUMN(name, type, rest)                                                                   \
    "{\"name\":\"" name "\",\"type\":\"" type "\",\"kind\":\"text\"," rest "\"nullable\":true}"
#define STATE(a)                                                                                   \
    "{\"state\":\"streaming\",\"version\":3,\"generation\":1,\"columns\":["                        \
    "{\"name\":\"b\",\"type\":\"int unsigned\",\"kind\":\"int\",\"bits\":64,\"nullable\":false,"   \
    "\"key\":1},{\"name\":\"a\",\"type\":\"" a "\",\"kind\":\"text\",\"nullable\":false,"          \
    "\"default\":\"'x'\",\"key\":2}," COLUMN("e", "enum('x','y')", "") "," COLUMN(                 \
        "s", "set('p','q')", "") "," COLUMN("t", "text", "") "],\"rule\":\"%s\"}"

static const char known[] = STATE("varchar(10)"), other[] = STATE("varchar(11)");
static const char all[] = "capture:\n- tables: '*.*'\n  snapshot: never\n";

/* FULL, MINIMAL, NO_LOG (MySQL: MINIMAL again), each with its format. */
struct fixture {
    struct mys_source src;
    struct cdc_config cfg;
    struct cdc_arena *arena;
    uint8_t *bytes;
    struct mys_event maps[3];
    unsigned n;
    struct cdc_error err;
};

static void take_maps(struct fixture *fx, const char *server)
{
    char name[64];
    size_t len, n;
    snprintf(name, sizeof name, "metadata.%s.bin", server);
    fx->bytes = kit_file(name, &len);
    for (size_t at = 4; at < len; at += n) {
        struct mys_event ev;
        n = kit_event_len(fx->bytes + at);
        struct cdc_slice bytes = cdc_slice_of(fx->bytes + at, n);
        kit_ok(mys_decode_head(&fx->src.fmt, bytes, &ev, &fx->err), &fx->err);
        kit_ok(mys_decode(&fx->src.fmt, &ev, &fx->err), &fx->err);
        if (ev.kind == MYS_FORMAT)
            fx->src.fmt = ev.format;
        if (ev.kind == MYS_TABLE_MAP && strcmp(ev.map.name, "full") == 0 && fx->n < 3)
            fx->maps[fx->n++] = ev;
    }
    assert_int_equal(fx->n, 3);
}

/* A table of the checkpoint, as of the first rule. */
static void know(struct fixture *fx, const char *key, const char *state)
{
    const struct cdc_rule *rule;
    cdc_capture_rules(fx->cfg.capture, &rule);
    const char *end = strstr(state, "%s");
    char *json = cdc_arena_printf(fx->arena, "%.*s%s\"}", (int)(end - state), state, rule->hash);
    assert_int_equal(cdc_map_put(&fx->src.known, cdc_slice_str(key), cdc_slice_str(json)), CDC_OK);
}

static struct fixture *open_fixture(const char *server, const char *rules, const char *state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    assert_non_null(fx);
    fx->arena = cdc_arena_new(SIZE_MAX);
    take_maps(fx, server);
    fx->cfg = (struct cdc_config){
        .path = "", .name = "t", .capture = read_rules(fx->arena, rules, NULL, &fx->err)};
    assert_non_null(fx->cfg.capture);
    fx->src.srv = (struct mys_server){.cfg = &fx->cfg,
                                      .host = cdc_arena_strdup(fx->arena, "localhost"),
                                      .user = cdc_arena_strdup(fx->arena, "nobody"),
                                      .password = cdc_arena_strdup(fx->arena, ""),
                                      .socket = cdc_arena_strdup(fx->arena, "/nowhere/my.sock"),
                                      .max_row = KIT_MAX};
    fx->src.facts.mariadb = strcmp(server, "mariadb") == 0;
    pthread_mutex_init(&fx->src.known_lock, NULL);
    cdc_map_init(&fx->src.known);
    if (state)
        know(fx, "table/g.full", state);
    return fx;
}

static void close_fixture(struct fixture *fx)
{
    mys_rels_done(&fx->src);
    mys_sql_close(&fx->src.srv);
    cdc_map_done(&fx->src.known);
    pthread_mutex_destroy(&fx->src.known_lock);
    cdc_arena_free(fx->arena);
    free(fx->bytes);
    free(fx);
}

static const struct mys_rel *set(struct fixture *fx, unsigned map)
{
    kit_ok(mys_rel_set(&fx->src, &fx->maps[map], &fx->err), &fx->err);
    const struct mys_rel *rel = mys_rel_find(&fx->src, fx->maps[map].map.id);
    assert_non_null(rel);
    return rel;
}

/* The catalogue was asked, and there is none. */
static void set_asks(struct fixture *fx, unsigned map)
{
    assert_int_equal(mys_rel_set(&fx->src, &fx->maps[map], &fx->err), CDC_FAIL);
    assert_int_equal(fx->err.action, CDC_RETRY);
}

/* The map again, under another id. */
static struct mys_event renumbered(struct fixture *fx, unsigned map, uint8_t id)
{
    struct mys_event ev = fx->maps[map];
    uint8_t *body = cdc_arena_alloc(fx->arena, ev.body.len);
    assert_non_null(body);
    memcpy(body, ev.body.p, ev.body.len);
    memset(body, 0, 6);
    body[0] = id;
    ev.body.p = body;
    assert_int_equal(mys_decode(&fx->src.fmt, &ev, &fx->err), CDC_OK);
    assert_int_equal(ev.map.id, id);
    return ev;
}

static const struct start {
    const char *name, *server, *state;
    unsigned map;
    bool asks;
} starts[] = {
    {"never seen", "mysql", NULL, 0, true},
    {"known", "mysql", known, 0, false},
    {"known, mariadb", "mariadb", known, 0, false},
    {"known, and logged without names", "mysql", known, 1, false},
    {"known, and logged without names, mariadb", "mariadb", known, 1, false},
    {"known, and logged without charsets", "mariadb", known, 2, true},
    {"known as another", "mysql", other, 0, true},
    {"known as another, and logged without names", "mysql", other, 1, true},
};

static void test_start(void **state)
{
    const struct start *row = *state;
    struct fixture *fx = open_fixture(row->server, all, row->state);
    if (row->asks) {
        set_asks(fx, row->map);
        assert_null(mys_rel_find(&fx->src, fx->maps[row->map].map.id));
    } else {
        const struct mys_rel *rel = set(fx, row->map);
        assert_int_equal(rel->n, 5);
        assert_int_equal(rel->tab->version, 3);
        assert_string_equal(rel->tab->cols[1].name, "a");
        assert_string_equal(rel->tab->cols[1].dflt, "'x'");
        assert_int_equal(rel->tab->n_key, 2);
        assert_ptr_equal(rel->fields, rel->shape->fields);
    }
    close_fixture(fx);
}

/* What differs from the known version makes the next one; without it there is no plan to be made.
 */
static void test_repeats(void **state)
{
    struct fixture *fx = open_fixture("mysql", all, known);
    (void)state;
    const struct mys_rel *rel = set(fx, 0);
    struct cdc_table *tab = rel->tab;
    assert_ptr_equal(set(fx, 0), rel);
    /* under another id: the same object, and nothing under the old one */
    struct mys_event ev = renumbered(fx, 0, 77);
    assert_int_equal(mys_rel_set(&fx->src, &ev, &fx->err), CDC_OK);
    assert_ptr_equal(mys_rel_find(&fx->src, 77), rel);
    assert_null(mys_rel_find(&fx->src, fx->maps[0].map.id));
    assert_ptr_equal(rel->tab, tab);
    /* the same table in other words keeps its object */
    assert_ptr_equal(set(fx, 1)->tab, tab);
    assert_null(mys_rel_find(&fx->src, 77));
    close_fixture(fx);
}

/* The key or a default may have been the rule's doing. */
static void test_another_rule(void **state)
{
    struct fixture *fx = open_fixture("mysql", all, NULL);
    char *json = cdc_arena_strdup(fx->arena, known);
    (void)state;
    memcpy(strstr(json, "%s"), "00", 2);
    assert_int_equal(
        cdc_map_put(&fx->src.known, cdc_slice_str("table/g.full"), cdc_slice_str(json)), CDC_OK);
    set_asks(fx, 0);
    close_fixture(fx);
}

/* Another table may have the id of one that is gone: a server's ids begin anew when it does. */
static void test_id_of_another(void **state)
{
    struct fixture *fx = open_fixture("mysql", all, known);
    (void)state;
    set(fx, 0);
    struct mys_event ev = renumbered(fx, 0, (uint8_t)fx->maps[0].map.id);
    uint8_t *body = (uint8_t *)(uintptr_t)ev.body.p;
    know(fx, "table/g.fuld", known);
    body[6 + 2 + 1 + 1 + 1 + 1 + 3] = 'd'; /* id, flags, 1 "g" NUL, 4 "ful" */
    assert_int_equal(mys_decode(&fx->src.fmt, &ev, &fx->err), CDC_OK);
    assert_string_equal(ev.map.name, "fuld");
    assert_int_equal(mys_rel_set(&fx->src, &ev, &fx->err), CDC_OK);
    assert_string_equal(mys_rel_find(&fx->src, ev.map.id)->tab->name, "fuld");
    close_fixture(fx);
}

static void test_ddl(void **state)
{
    struct fixture *fx = open_fixture("mysql", all, known);
    (void)state;
    const struct mys_rel *rel = set(fx, 0);
    fx->src.stale = true;
    assert_ptr_equal(set(fx, 0), rel); /* logged before it: these bytes are that table still */
    assert_true(fx->src.stale);
    struct mys_event ev = renumbered(fx, 0, 77);
    assert_int_equal(mys_rel_set(&fx->src, &ev, &fx->err), CDC_FAIL);
    assert_int_equal(fx->err.action, CDC_RETRY);
    assert_true(fx->src.altered);
    assert_ptr_equal(set(fx, 0), rel);
    close_fixture(fx);
}

static void test_not_captured(void **state)
{
    struct fixture *fx =
        open_fixture("mysql", "capture:\n- tables: x.*\n  snapshot: never\n", NULL);
    struct cdc_table *tab;
    (void)state;
    const struct mys_rel *rel = set(fx, 0);
    assert_null(rel->tab);
    assert_null(rel->shape);
    assert_non_null(rel->fields);
    assert_int_equal(rel->n, 5);
    assert_int_equal(mys_rel_by_name(&fx->src, "g", "full", &tab, &fx->err), CDC_OK);
    assert_null(tab);
    close_fixture(fx);
}

static const struct named {
    const char *name, *schema, *table;
    int lower_case;
    bool set, found;
} names[] = {
    {"out of the checkpoint", "g", "full", 0, false, true},
    {"as described", "g", "full", 0, true, true},
    {"of another case", "g", "FULL", 0, true, false},
    {"of another case, which does not matter", "G", "FULL", 1, true, true},
    {"out of the checkpoint, likewise", "G", "Full", 2, false, true},
    {"never seen", "g", "empty", 0, true, false},
    {"of the system", "mysql", "user", 0, false, false},
};

static void test_by_name(void **state)
{
    const struct named *row = *state;
    struct fixture *fx = open_fixture("mysql", all, known);
    struct cdc_table *tab = NULL;
    fx->src.facts.lower_case = (uint8_t)row->lower_case;
    const struct mys_rel *rel = row->set ? set(fx, 0) : NULL;
    know(fx, "table/mysql.user", known);
    assert_int_equal(mys_rel_by_name(&fx->src, row->schema, row->table, &tab, &fx->err), CDC_OK);
    assert_int_equal(tab != NULL, row->found);
    if (rel && tab)
        assert_ptr_equal(tab, rel->tab);
    if (tab)
        assert_int_equal(tab->version, 3);
    cdc_table_unref(tab);
    close_fixture(fx);
}

static const struct keyed {
    const char *name, *key;
    enum mys_image image;
    bool refused;
} keys[] = {
    {"full rows", "[e]", MYS_IMAGE_FULL, false},
    {"of the primary key", "[a, b]", MYS_IMAGE_MINIMAL, false},
    {"not logged with a delete", "[b, e]", MYS_IMAGE_MINIMAL, true},
    {"without blobs", "[e]", MYS_IMAGE_NOBLOB, false},
    {"of a blob", "[t]", MYS_IMAGE_NOBLOB, true},
};

static void test_rule_key(void **state)
{
    const struct keyed *row = *state;
    char rules[256];
    snprintf(rules, sizeof rules, "capture:\n- tables: '*.*'\n  snapshot: never\n  key: %s\n",
             row->key);
    struct fixture *fx = open_fixture("mariadb", rules, known);
    fx->src.facts.image = row->image;
    int rc = mys_rel_set(&fx->src, &fx->maps[0], &fx->err);
    assert_int_equal(rc, row->refused ? CDC_FAIL : CDC_OK);
    if (row->refused) {
        assert_int_equal(fx->err.action, CDC_OPERATOR);
        assert_non_null(strstr(fx->err.message, "SET GLOBAL binlog_row_image = FULL"));
    }
    close_fixture(fx);
}

int main(void)
{
    const struct CMUnitTest singles[] = {
        cmocka_unit_test(test_repeats), cmocka_unit_test(test_another_rule),
        cmocka_unit_test(test_id_of_another), cmocka_unit_test(test_ddl),
        cmocka_unit_test(test_not_captured)};
    struct CMUnitTest tests[CM_COUNT(starts) + CM_COUNT(names) + CM_COUNT(keys) + 5], *to = tests;
    to = CM_ROWS(to, test_start, starts);
    to = CM_ROWS(to, test_by_name, names);
    to = CM_ROWS(to, test_rule_key, keys);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("mysql: relation", tests, NULL, NULL);
}
