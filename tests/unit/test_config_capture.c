/* Capture rules: patterns, the first match, hashes, and what is refused at which line. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>

#include "capture_rules.h"
#include "config/glob.h"

static const struct glob_row {
    const char *name, *pattern, *text;
    bool match;
} globs[] = {
    {"same", "users", "users", true},
    {"longer text", "users", "users2", false},
    {"longer pattern", "users2", "users", false},
    {"case differs", "users", "Users", false},
    {"star takes all", "*", "users", true},
    {"star takes nothing", "users*", "users", true},
    {"star takes nothing of nothing", "*", "", true},
    {"star before", "*_old", "users_old", true},
    {"star goes back", "*ab", "aabab", true},
    {"star goes back and fails", "*ab", "aababc", false},
    {"two stars", "a*b*c", "axxbyybzzc", true},
    {"two stars, no end", "a*b*c", "axxbyybzz", false},
    {"star takes dots", "*", "a.b", true},
    {"question mark", "user?", "users", true},
    {"question mark needs one", "user?", "user", false},
    {"question mark takes one UTF-8 character", "?", "\xc3\xa4", true},
    {"question mark takes a lone byte", "?", "\xa4", true},
    {"question mark takes a lone first byte", "?x", "\xc3x", true},
    {"set", "t[abc]", "tb", true},
    {"set, not in it", "t[abc]", "td", false},
    {"set range", "t[0-9]", "t7", true},
    {"set range, outside", "t[0-9]", "tx", false},
    {"set range of UTF-8", "[\xc3\xa0-\xc3\xbf]", "\xc3\xa4", true},
    {"set negated", "t[!0-9]", "tx", true},
    {"set negated, in it", "t[!0-9]", "t7", false},
    {"set negated by caret", "t[^0-9]", "tx", true},
    {"set with ] first", "[]]", "]", true},
    {"set with - last", "[a-]", "-", true},
    {"set needs a character", "t[abc]", "t", false},
    {"backslash", "a\\*", "a*", true},
    {"backslash, not all", "a\\*", "ab", false},
    {"backslash in a set", "[\\]]", "]", true},
    {"empty", "", "", true},
    {"empty pattern", "", "a", false},
};

static void test_glob(void **state)
{
    const struct glob_row *row = *state;
    assert_null(cdc_glob_error(row->pattern));
    assert_int_equal(cdc_glob_match(row->pattern, row->text), row->match);
}

/* A pattern that takes for ever where every star goes back is one that nobody notices in review. */
static void test_glob_time(void **state)
{
    (void)state;
    char text[20001];
    memset(text, 'a', 20000);
    text[20000] = 0;
    assert_false(cdc_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

#define RULES                                                                                      \
    "capture:\n"                                                                                   \
    "  - tables: public.audit_*\n"                                                                 \
    "    skip: true\n"                                                                             \
    "  - tables: public.users\n"                                                                   \
    "    key: [id, region]\n"                                                                      \
    "    deletes: hard\n"                                                                          \
    "    snapshot: never\n"                                                                        \
    "  - tables: public.*\n"                                                                       \
    "    on_invalid: \"null\"\n"                                                                   \
    "    snapshot: never\n"                                                                        \
    "  - tables: s?les.order[s0-9]\n"                                                              \
    "    deletes: append\n"                                                                        \
    "    snapshot: never\n"

static const struct match_row {
    const char *name, *schema, *table, *where; /* where: of the rule; NULL: not captured */
} matches[] = {
    {"skipped", "public", "audit_log", NULL},
    {"first match wins", "public", "users", "shop.yaml:4"},
    {"later rule", "public", "orders", "shop.yaml:8"},
    {"dot in the table's name", "public", "a.b", "shop.yaml:8"},
    {"other schema", "private", "users", NULL},
    {"schema is matched whole", "public2", "users", NULL},
    {"pattern in the schema", "sales", "orders", "shop.yaml:11"},
    {"set in the table", "sales", "order7", "shop.yaml:11"},
    {"no match in the table", "sales", "orderx", NULL},
    {"the parts are apart", "public.audit_x", "users", NULL},
};

static void test_match(void **state)
{
    const struct match_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    struct cdc_capture *capture = read_rules(arena, RULES, NULL, &err);
    assert_non_null(capture);
    const struct cdc_rule *rule = cdc_capture_match(capture, row->schema, row->table);
    assert_int_equal(rule != NULL, row->where != NULL);
    if (rule)
        assert_string_equal(rule->where, row->where);
    cdc_arena_free(arena);
}

static void test_rules(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *r;
    assert_int_equal(cdc_capture_rules(read_rules(arena, RULES, NULL, &err), &r), 4);
    assert_true(r[0].skip);
    assert_int_equal(r[0].snapshot, CDC_SNAPSHOT_INITIAL);
    assert_string_equal(r[1].tables, "public.users");
    assert_int_equal(r[1].n_key, 2);
    assert_string_equal(r[1].key[0], "id");
    assert_string_equal(r[1].key[1], "region");
    assert_int_equal(r[1].deletes, CDC_DELETES_HARD);
    assert_int_equal(r[1].on_invalid, CDC_INVALID_FAIL);
    assert_int_equal(r[1].snapshot, CDC_SNAPSHOT_NEVER);
    assert_false(r[1].skip);
    assert_int_equal(r[2].n_key, 0);
    assert_int_equal(r[2].deletes, CDC_DELETES_SOFT);
    assert_int_equal(r[2].on_invalid, CDC_INVALID_NULL);
    assert_int_equal(r[3].deletes, CDC_DELETES_APPEND);
    cdc_arena_free(arena);
}

static const struct hash_row {
    const char *name, *a, *b;
    bool same;
} hashes[] = {
    {"same text", "{tables: p.a, snapshot: never}", "{tables: p.a, snapshot: never}", true},
    {"other order", "{tables: p.a, snapshot: never}", "{snapshot: never, tables: p.a}", true},
    {"default written out", "{tables: p.a, snapshot: never}",
     "{tables: p.a, snapshot: never, deletes: soft, skip: false, on_invalid: fail, envelope: row}",
     true},
    {"other tables", "{tables: p.a, snapshot: never}", "{tables: p.b, snapshot: never}", false},
    {"deletes", "{tables: p.a, snapshot: never}", "{tables: p.a, snapshot: never, deletes: hard}",
     false},
    {"deletes again", "{tables: p.a, snapshot: never, deletes: append}",
     "{tables: p.a, snapshot: never, deletes: hard}", false},
    {"on_invalid", "{tables: p.a, snapshot: never}",
     "{tables: p.a, snapshot: never, on_invalid: 'null'}", false},
    {"skip", "{tables: p.a, snapshot: never}", "{tables: p.a, snapshot: never, skip: true}", false},
    {"snapshot", "{tables: p.a, skip: true}", "{tables: p.a, skip: true, snapshot: never}", false},
    {"snapshot's default", "{tables: p.a, skip: true}",
     "{tables: p.a, skip: true, snapshot: initial}", true},
    {"snapshot only", "{tables: p.a, skip: true}", "{tables: p.a, skip: true, snapshot: only}",
     false},
    {"where", "{tables: p.a, skip: true}", "{tables: p.a, skip: true, where: a > 1}", false},
    {"priority changes no record", "{tables: p.a, snapshot: never}",
     "{tables: p.a, snapshot: never, priority: 7}", true},
    {"key", "{tables: p.a, snapshot: never}", "{tables: p.a, snapshot: never, key: [a]}", false},
    {"order of the key", "{tables: p.a, snapshot: never, key: [a, b]}",
     "{tables: p.a, snapshot: never, key: [b, a]}", false},
    {"topic", "{tables: p.a, snapshot: never}", "{tables: p.a, snapshot: never, topic: a}", false},
    {"other topic", "{tables: p.a, snapshot: never, topic: b}",
     "{tables: p.a, snapshot: never, topic: a}", false},
    {"on_incompatible changes no record", "{tables: p.a, snapshot: never}",
     "{tables: p.a, snapshot: never, on_incompatible: force}", true},
    {"names that run together", "{tables: p.a, snapshot: never, key: [\"a\\nkey 1:b\"]}",
     "{tables: p.a, snapshot: never, key: [a, b]}", false},
};

static void test_hash(void **state)
{
    const struct hash_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char yaml[512];
    const struct cdc_rule *r;
    snprintf(yaml, sizeof yaml, "capture:\n- %s\n- %s\n", row->a, row->b);
    assert_int_equal(cdc_capture_rules(read_rules(arena, yaml, NULL, &err), &r), 2);
    assert_int_equal(strlen(r[0].hash), 64);
    assert_int_equal(strspn(r[0].hash, "0123456789abcdef"), 64);
    assert_int_equal(strcmp(r[0].hash, r[1].hash) == 0, row->same);
    cdc_arena_free(arena);
}

/* The hash stands in checkpoints: it must never change for a rule that did not. */
static void test_hash_fixed(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *r;
    cdc_capture_rules(
        read_rules(arena, "capture: [{tables: public.*, snapshot: never}]", NULL, &err), &r);
    /* printf 'tables 8:public.*\nsnapshot never\n' | sha256sum */
    assert_string_equal(r[0].hash,
                        "045ff6097e323d4f59760a1f6643f160883046172e02b05703e30b9fc984828e");
    cdc_arena_free(arena);
}

#define MESSAGES                                                                                   \
    "capture:\n"                                                                                   \
    "- {messages: [audit.debug, 'x*x'], skip: true}\n"                                             \
    "- {tables: p.a, snapshot: never}\n"                                                           \
    "- messages: ['audit.*', 'x?', '']\n"

static const struct message_row {
    const char *name, *yaml, *prefix;
    bool taken;
} messages[] = {
    {"no entry", "capture: [{tables: p.a, snapshot: never}]", "a", false},
    {"all", "capture: [{messages: ['*']}]", "a", true},
    {"all takes the empty prefix", "capture: [{messages: ['*']}]", "", true},
    {"by pattern", MESSAGES, "audit.log", true},
    {"by the second pattern", MESSAGES, "xy", true},
    {"the empty prefix", MESSAGES, "", true},
    {"no match", MESSAGES, "other", false},
    {"skipped before", MESSAGES, "audit.debug", false},
    {"skipped by pattern", MESSAGES, "xx", false},
    {"skip after is too late", "capture: [{messages: [a]}, {messages: ['*'], skip: true}]", "a",
     true},
    {"skipped, other", "capture: [{messages: [a]}, {messages: ['*'], skip: true}]", "b", false},
};

static void test_message(void **state)
{
    const struct message_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_capture *capture = read_rules(arena, row->yaml, NULL, &err);
    assert_non_null(capture);
    assert_int_equal(cdc_capture_message(capture, row->prefix), row->taken);
    if (row->taken)
        assert_true(cdc_capture_messages(capture));
    cdc_arena_free(arena);
}

static void test_messages(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *rules;
    const struct cdc_capture *capture = read_rules(arena, MESSAGES, NULL, &err);
    assert_int_equal(cdc_capture_rules(capture, &rules), 1);
    assert_string_equal(rules[0].tables, "p.a");
    capture = read_rules(arena, RULES, NULL, &err);
    assert_false(cdc_capture_messages(capture));
    capture = read_rules(arena, "capture: [{messages: [a], skip: true}]", NULL, &err);
    assert_false(cdc_capture_messages(capture));
    cdc_arena_free(arena);
}

/* What the later rules say beside their patterns. */
static void test_more_rules(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *r;
    const char *yaml = "capture:\n"
                       "- {tables: p.a, snapshot: never, insert_only: true, updated_at: at}\n"
                       "- {tables: p.b, snapshot: never, logical_delete: {column: gone}, topic: t, "
                       "envelope: row, on_incompatible: pause}\n";
    assert_int_equal(cdc_capture_rules(read_rules(arena, yaml, NULL, &err), &r), 2);
    assert_true(r[0].insert_only);
    assert_int_equal(r[0].deletes, CDC_DELETES_APPEND);
    assert_string_equal(r[0].updated_at, "at");
    assert_null(r[0].logical_delete);
    assert_null(r[0].hash_key.p);
    assert_null(r[0].topic);
    assert_false(r[0].envelope_given);
    assert_int_equal(r[0].on_incompatible, CDC_INCOMPATIBLE_HOLD);
    assert_false(r[1].insert_only);
    assert_string_equal(r[1].logical_delete, "gone");
    assert_null(r[1].updated_at);
    assert_string_equal(r[1].topic, "t");
    assert_true(r[1].envelope_given);
    assert_int_equal(r[1].on_incompatible, CDC_INCOMPATIBLE_PAUSE);
    cdc_arena_free(arena);
}

#define NO_SNAPSHOT(tables)                                                                        \
    "the capture rule for \"" tables                                                               \
    "\" needs `snapshot: never`: a source of type example cannot "                                 \
    "copy rows that were there before. With `snapshot: never` capture starts where the stream "    \
    "starts, and rows written before are "                                                         \
    "not "                                                                                         \
    "in the output"
#define NO_SCHEMA(tables)                                                                          \
    "tables: \"" tables "\" must name a schema and a table, like public.users or public.*"

static const struct error_row {
    const char *name, *yaml, *error;
} errors[] = {
    {"snapshot left out", "capture:\n- tables: p.a\n  snapshot: never\n- tables: public.users\n",
     "shop.yaml:4: " NO_SNAPSHOT("public.users")},
    {"snapshot initial", "capture:\n- tables: p.a\n  snapshot: initial\n",
     "shop.yaml:2: " NO_SNAPSHOT("p.a")},
    {"snapshot only", "capture:\n\n- {tables: p.*, snapshot: only}\n",
     "shop.yaml:3: " NO_SNAPSHOT("p.*")},
    {"where without a copy", "capture:\n- tables: p.a\n  snapshot: never\n  where: a > 1\n",
     "shop.yaml:4: where: it says which rows are copied, and `snapshot: never` copies none: leave "
     "out one of the two"},
    {"where empty", "capture:\n- tables: p.a\n  snapshot: initial\n  where: ''\n",
     "shop.yaml:4: where: a condition is wanted: leave it out to copy all rows"},
    {"snapshot unknown", "capture:\n- {tables: p.*, snapshot: nevr}\n",
     "shop.yaml:2: capture.snapshot: \"nevr\" is not one of initial, never, only; did you mean "
     "\"never\"?"},
    {"tables left out", "capture:\n- skip: true\n",
     "shop.yaml:2: capture.tables is missing: Pattern of the tables that the rule takes: "
     "schema.table, with `*`, `?` and `[a-z]` in either part. The first rule that matches a table "
     "takes it; a table that matches none is not captured."},
    {"no schema", "capture:\n- tables: users\n", "shop.yaml:2: " NO_SCHEMA("users")},
    {"empty schema", "capture:\n- tables: .users\n", "shop.yaml:2: " NO_SCHEMA(".users")},
    {"empty table", "capture:\n- tables: public.\n", "shop.yaml:2: " NO_SCHEMA("public.")},
    {"empty pattern", "capture:\n- tables: ''\n", "shop.yaml:2: " NO_SCHEMA("")},
    {"set left open", "capture:\n- skip: true\n  tables: public.t[a\n",
     "shop.yaml:3: tables: \"public.t[a\" has a [ without its ]"},
    {"set left open in the schema", "capture:\n- tables: 'p[!.t'\n",
     "shop.yaml:2: tables: \"p[!.t\" has a [ without its ]"},
    {"backslash at the end", "capture:\n- tables: public.t\\\n",
     "shop.yaml:2: tables: \"public.t\\\" ends in a backslash"},
    {"key empty", "capture:\n- tables: p.a\n  snapshot: never\n  key: []\n",
     "shop.yaml:4: key: names no column: leave it out for the table's own key"},
    {"key twice", "capture:\n- tables: p.a\n  snapshot: never\n  key: [a, b, a]\n",
     "shop.yaml:4: key: names the column \"a\" twice"},
    {"unknown option", "capture:\n- tables: p.a\n  delete: soft\n",
     "shop.yaml:3: unknown option \"delete\" in capture; did you mean \"deletes\"?"},
    {"deletes unknown", "capture:\n- tables: p.a\n  deletes: logical\n",
     "shop.yaml:3: capture.deletes: \"logical\" is not one of soft, hard, append"},
    {"envelope unknown", "capture:\n- tables: p.a\n  envelope: debezium\n",
     "shop.yaml:3: capture.envelope: \"debezium\" is not one of row"},
    {"topic empty", "capture:\n- tables: p.a\n  snapshot: never\n  topic: ''\n",
     "shop.yaml:4: topic: the name of a topic is wanted: leave it out for the sink's own"},
    {"topic, nothing", "capture:\n- tables: p.a\n  topic:\n",
     "shop.yaml:3: capture.topic: no value is given: write one, or leave the option out"},
    {"on_incompatible unknown", "capture:\n- tables: p.a\n  on_incompatible: stop\n",
     "shop.yaml:3: capture.on_incompatible: \"stop\" is not one of hold, pause, new_topic, force"},
    {"not a list", "capture: {tables: p.a}\n",
     "shop.yaml:1: capture: a list of rules is wanted, each like: - tables: public.*"},
    {"empty list", "capture: []\n",
     "shop.yaml:1: capture: a list of rules is wanted, each like: - tables: public.*"},
    {"nothing", "capture:\n",
     "shop.yaml:1: capture: a list of rules is wanted, each like: - tables: public.*"},
    {"text for a rule", "capture:\n- tables: p.a\n  snapshot: never\n- public.users\n",
     "shop.yaml:4: capture: each entry is a mapping: - tables: public.*"},
};

static void test_error(void **state)
{
    const struct error_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char text[sizeof err.where + sizeof err.message + 2];
    assert_null(read_rules(arena, row->yaml, NULL, &err));
    assert_int_equal(err.action, CDC_CONFIG);
    snprintf(text, sizeof text, "%s: %s", err.where, err.message);
    assert_string_equal(text, row->error);
    cdc_arena_free(arena);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(globs) + CM_COUNT(matches) + CM_COUNT(hashes) +
                            CM_COUNT(errors) + CM_COUNT(messages) + 5];
    struct CMUnitTest *to = CM_ROWS(tests, test_glob, globs);
    to = CM_ROWS(to, test_match, matches);
    to = CM_ROWS(to, test_hash, hashes);
    to = CM_ROWS(to, test_message, messages);
    to = CM_ROWS(to, test_error, errors);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_messages);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_more_rules);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_glob_time);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_rules);
    *to = (struct CMUnitTest)cmocka_unit_test(test_hash_fixed);
    return cmocka_run_group_tests_name("config_capture", tests, NULL, NULL);
}
