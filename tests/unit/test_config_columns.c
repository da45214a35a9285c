/* What a rule does with each column, what it mentions, what of it changes its hash. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>

#include "capture_rules.h"
#include "config/columns.h"
#include "config/glob.h"

#define KEY "0123456789abcdef"

/* The rule that a text in braces says, with `tables` and `snapshot` before it. */
static const struct cdc_rule *read_rule(struct cdc_arena *arena, const char *more, const char *key,
                                        struct cdc_error *err)
{
    char yaml[4096];
    const struct cdc_rule *rules = NULL;
    snprintf(yaml, sizeof yaml, "capture: [{tables: p.t, snapshot: never%s%s}]", *more ? ", " : "",
             more);
    struct cdc_capture *capture = read_rules(arena, yaml, key, err);
    if (capture)
        cdc_capture_rules(capture, &rules);
    return rules;
}

/* "hash", "truncate 5", "key:keep": what comes of a column; then on_invalid. */
static const struct column_row {
    const char *name, *rule, *column, *said, *key_said;
} columns[] = {
    {"nothing said", "", "a", "keep fail", "keep fail"},
    {"excluded", "columns: {exclude: [a]}", "a", "exclude fail", "exclude fail"},
    {"another is excluded", "columns: {exclude: [a]}", "b", "keep fail", "keep fail"},
    {"case matters", "columns: {exclude: [A]}", "a", "keep fail", "keep fail"},
    {"hashed", "columns: {hash: [a]}", "a", "hash fail", "hash fail"},
    {"masked", "columns: {mask: [a]}", "a", "mask fail", "mask fail"},
    {"truncated", "columns: {truncate: {a: 200, b: 1}}", "a", "truncate 200 fail",
     "truncate 200 fail"},
    {"truncated to the most", "columns: {truncate: {a: 1000000}}", "a", "truncate 1000000 fail",
     "truncate 1000000 fail"},
    {"pattern", "columns: {exclude: ['*_secret']}", "a_secret", "exclude fail", "exclude fail"},
    {"pattern of a set", "columns: {mask: ['phone[0-9]']}", "phone2", "mask fail", "mask fail"},
    {"pattern in truncate", "columns: {truncate: {'*_text': 9}}", "a_text", "truncate 9 fail",
     "truncate 9 fail"},
    {"escaped star is a name", "columns: {exclude: ['a\\*']}", "a*", "exclude fail",
     "exclude fail"},
    {"escaped star is no pattern", "columns: {exclude: ['a\\*']}", "ab", "keep fail", "keep fail"},
    {"name beats pattern", "columns: {exclude: ['*'], hash: [a]}", "a", "hash fail", "hash fail"},
    {"name beats pattern, either way", "columns: {hash: ['*'], exclude: [a]}", "a", "exclude fail",
     "exclude fail"},
    {"exclude beats mask", "columns: {mask: ['a*'], exclude: ['*b']}", "ab", "exclude fail",
     "exclude fail"},
    {"mask beats hash", "columns: {hash: ['a*'], mask: ['*b']}", "ab", "mask fail", "mask fail"},
    {"hash beats truncate", "columns: {truncate: {'a*': 3}, hash: ['*b']}", "ab", "hash fail",
     "hash fail"},
    {"the shortest truncation wins", "columns: {truncate: {'a*': 30, '*b': 4, '?b': 5}}", "ab",
     "truncate 4 fail", "truncate 4 fail"},
    {"included", "columns: {include: [a]}", "a", "keep fail", "keep fail"},
    {"not included", "columns: {include: [a]}", "b", "exclude fail", "keep fail"},
    {"included by pattern", "columns: {include: ['a*']}", "ab", "keep fail", "keep fail"},
    {"included by pattern, but excluded", "columns: {include: ['a*'], exclude: [ab]}", "ab",
     "exclude fail", "exclude fail"},
    {"included by name in spite of a pattern", "columns: {include: [ab], exclude: ['a*']}", "ab",
     "keep fail", "keep fail"},
    {"included by name, hashed by pattern", "columns: {include: [ab], hash: ['*']}", "ab",
     "hash fail", "hash fail"},
    {"included by name, excluded and hashed by pattern",
     "columns: {include: [ab], exclude: ['*'], hash: ['a*']}", "ab", "hash fail", "hash fail"},
    {"hashed by pattern, but not included", "columns: {include: [x], hash: ['*']}", "ab",
     "exclude fail", "hash fail"},
    {"included and hashed", "columns: {include: [a], hash: [a]}", "a", "hash fail", "hash fail"},
    {"included by pattern and truncated", "columns: {include: ['*'], truncate: {a: 7}}", "a",
     "truncate 7 fail", "truncate 7 fail"},
    {"a key need not be included to be hashed", "key: [id], columns: {include: [a], hash: [id]}",
     "id", "exclude fail", "hash fail"},
    {"on_invalid for all", "on_invalid: string", "a", "keep string", "keep string"},
    {"on_invalid null", "on_invalid: null", "a", "keep null", "keep null"},
    {"on_invalid by name", "on_invalid: {a: null}", "a", "keep null", "keep null"},
    {"on_invalid of another", "on_invalid: {a: null}", "b", "keep fail", "keep fail"},
    {"on_invalid by name and pattern", "on_invalid: {'*': string, a: null}", "a", "keep null",
     "keep null"},
    {"on_invalid of the others", "on_invalid: {'*': string, a: null}", "b", "keep string",
     "keep string"},
    {"on_invalid, the stricter pattern", "on_invalid: {'a*': null, '*b': string, '*': null}", "ab",
     "keep string", "keep string"},
    {"on_invalid, the strictest pattern", "on_invalid: {'a*': null, '*b': fail, '?b': string}",
     "ab", "keep fail", "keep fail"},
    {"on_invalid, pattern beside the others", "on_invalid: {'*': fail, 'a*': null}", "ab",
     "keep null", "keep null"},
    {"on_invalid, the others beside a pattern", "on_invalid: {'a*': null, '*': string}", "b",
     "keep string", "keep string"},
    {"on_invalid of a hashed one", "on_invalid: null, columns: {hash: [a]}", "a", "hash null",
     "hash null"},
};

static void show(struct cdc_column_rule said, char *to, size_t cap)
{
    static const char *const acts[] = {"keep", "exclude", "hash", "mask", "truncate"};
    static const char *const invalid[] = {"fail", "string", "null"};
    char limit[16] = "";
    if (said.act == CDC_COLUMN_TRUNCATE)
        snprintf(limit, sizeof limit, " %u", (unsigned)said.limit);
    else
        assert_int_equal(said.limit, 0);
    snprintf(to, cap, "%s%s %s", acts[said.act], limit, invalid[said.on_invalid]);
}

static void test_column(void **state)
{
    const struct column_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char said[64];
    const struct cdc_rule *rule = read_rule(arena, row->rule, KEY, &err);
    if (!rule)
        fail_msg("%s: %s", err.where, err.message);
    show(cdc_rule_column(rule, row->column), said, sizeof said);
    assert_string_equal(said, row->said);
    show(cdc_rule_key_column(rule, row->column), said, sizeof said);
    assert_string_equal(said, row->key_said);
    cdc_arena_free(arena);
}

/* The envelope asks the rule itself what holds for columns that are not named. */
static void test_others(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    assert_int_equal(read_rule(arena, "on_invalid: {a: null, '*': string}", NULL, &err)->on_invalid,
                     CDC_INVALID_STRING);
    assert_int_equal(read_rule(arena, "on_invalid: {a: null}", NULL, &err)->on_invalid,
                     CDC_INVALID_FAIL);
    cdc_arena_free(arena);
}

static void test_no_rule(void **state)
{
    (void)state;
    struct cdc_rule bare = {.on_invalid = CDC_INVALID_NULL};
    assert_int_equal(cdc_rule_column(NULL, "a").act, CDC_COLUMN_KEEP);
    assert_int_equal(cdc_rule_column(NULL, "a").on_invalid, CDC_INVALID_FAIL);
    assert_int_equal(cdc_rule_column(&bare, "a").act, CDC_COLUMN_KEEP);
    assert_int_equal(cdc_rule_column(&bare, "a").on_invalid, CDC_INVALID_NULL);
    assert_null(cdc_rule_mentions(NULL)[0]);
    assert_null(cdc_rule_mentions(&bare)[0]);
}

static void test_key_acts(void **state)
{
    (void)state;
    assert_false(cdc_key_act_refused(CDC_COLUMN_KEEP));
    assert_false(cdc_key_act_refused(CDC_COLUMN_HASH));
    assert_true(cdc_key_act_refused(CDC_COLUMN_EXCLUDE));
    assert_true(cdc_key_act_refused(CDC_COLUMN_MASK));
    assert_true(cdc_key_act_refused(CDC_COLUMN_TRUNCATE));
}

static const struct mention_row {
    const char *name, *rule, *names;
} mentions[] = {
    {"nothing", "", ""},
    {"key", "key: [b, a]", "b a "},
    {"every place",
     "key: [k], columns: {include: [k, i, h, m, t, x, u, l], exclude: [e], hash: [h], mask: [m], "
     "truncate: {t: 1}}, on_invalid: {n: null}, logical_delete: {column: l}, updated_at: u",
     "k l u h i m t x e n "},
    {"patterns are no names",
     "columns: {include: ['*'], exclude: ['e*'], truncate: {'t?': 1}}, "
     "on_invalid: {'*': null}",
     ""},
    {"escapes are taken out", "columns: {exclude: ['a\\*b', 'c\\\\d']}", "a*b c\\d "},
    {"each once", "columns: {hash: [a]}, on_invalid: {a: null}, logical_delete: {column: a}", "a "},
};

static void test_mentions(void **state)
{
    const struct mention_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    struct cdc_buf text = CDC_BUF(4096);
    const struct cdc_rule *rule = read_rule(arena, row->rule, KEY, &err);
    if (!rule)
        fail_msg("%s: %s", err.where, err.message);
    for (const char *const *name = cdc_rule_mentions(rule); *name; name++)
        cdc_buf_printf(&text, "%s ", *name);
    assert_string_equal(cdc_buf_cstr(&text), row->names);
    cdc_buf_done(&text);
    cdc_arena_free(arena);
}

#define A_KEY "aaaaaaaaaaaaaaaa"
#define B_KEY "bbbbbbbbbbbbbbbb"

static const struct hash_row {
    const char *name, *a, *b;
    bool same;
    const char *key; /* of b, if it is another one */
} hashes[] = {
    {"exclude", "", "columns: {exclude: [a]}", false, NULL},
    {"exclude something else", "columns: {exclude: [b]}", "columns: {exclude: [a]}", false, NULL},
    {"order of a list", "columns: {exclude: [a, b]}", "columns: {exclude: [b, a]}", true, NULL},
    {"order of the lists", "columns: {mask: [a], hash: [b]}", "columns: {hash: [b], mask: [a]}",
     true, NULL},
    {"order of truncate", "columns: {truncate: {a: 1, b: 2}}", "columns: {truncate: {b: 2, a: 1}}",
     true, NULL},
    {"order of on_invalid", "on_invalid: {a: null, b: string}", "on_invalid: {b: string, a: null}",
     true, NULL},
    {"mask or exclude", "columns: {mask: [a]}", "columns: {exclude: [a]}", false, NULL},
    {"include or exclude", "columns: {include: [a]}", "columns: {exclude: [a]}", false, NULL},
    {"hash or mask", "columns: {hash: [a]}", "columns: {mask: [a]}", false, NULL},
    {"limit", "columns: {truncate: {a: 1}}", "columns: {truncate: {a: 2}}", false, NULL},
    {"on_invalid by name", "", "on_invalid: {a: null}", false, NULL},
    {"on_invalid by name, other value", "on_invalid: {a: string}", "on_invalid: {a: null}", false,
     NULL},
    {"on_invalid for all, in two ways", "on_invalid: null", "on_invalid: {'*': null}", true, NULL},
    {"on_invalid by pattern", "on_invalid: null", "on_invalid: {'?*': null}", false, NULL},
    {"on_invalid string", "on_invalid: null", "on_invalid: string", false, NULL},
    {"empty columns are none", "", "columns: {}", true, NULL},
    {"insert_only", "deletes: append", "insert_only: true", false, NULL},
    {"insert_only false", "", "insert_only: false", true, NULL},
    {"logical_delete", "", "logical_delete: {column: a}", false, NULL},
    {"logical_delete, other column", "logical_delete: {column: b}", "logical_delete: {column: a}",
     false, NULL},
    {"updated_at", "", "updated_at: a", false, NULL},
    {"updated_at or logical_delete", "logical_delete: {column: a}", "updated_at: a", false, NULL},
    {"names that run together", "columns: {mask: [\"a\\ncolumns.mask 1:b\"]}",
     "columns: {mask: [a, b]}", false, NULL},
    {"the secret of hashed columns", "columns: {hash: [a]}", "columns: {hash: [a]}", false, B_KEY},
    {"the secret where nothing is hashed", "columns: {mask: [a]}", "columns: {mask: [a]}", true,
     B_KEY},
};

static void test_hash(void **state)
{
    const struct hash_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *a = read_rule(arena, row->a, A_KEY, &err);
    const struct cdc_rule *b = read_rule(arena, row->b, row->key ? row->key : A_KEY, &err);
    if (!a || !b)
        fail_msg("%s: %s", err.where, err.message);
    assert_int_equal(strlen(a->hash), 64);
    assert_int_equal(strcmp(a->hash, b->hash) == 0, row->same);
    cdc_arena_free(arena);
}

/* It stands in checkpoints: it must never change for a rule that did not. */
static void test_hash_fixed(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    const struct cdc_rule *rule =
        read_rule(arena,
                  "columns: {exclude: [b, a], hash: [h], truncate: {t: 20}}, updated_at: u, "
                  "on_invalid: {n: null}, logical_delete: {column: l}",
                  KEY, &err);
    assert_non_null(rule);
    /* printf 'tables 3:p.t\nsnapshot never\nlogical_delete 1:l\nupdated_at 1:u\ncolumns.exclude
     * 1:a\ncolumns.exclude 1:b\ncolumns.hash 1:h\ncolumns.truncate 1:t 20\non_invalid 1:n
     * 2\nhash_key 64:%s\n' $(printf 'sidestream: fingerprint of secrets.hash' |
     * openssl dgst -sha256 -hmac 0123456789abcdef | cut -d' ' -f2) | sha256sum */
    assert_string_equal(rule->hash,
                        "da08ff4ee9d64f76d9708df0aac5624e77322d1ca87aa5440d2d0be8d6f96961");
    assert_memory_equal(rule->hash_key.p, KEY, 16);
    assert_int_equal(rule->hash_key.len, 16);
    cdc_arena_free(arena);
}

static const struct glob_row {
    const char *name, *text, *plain; /* plain: NULL: it is a pattern */
} plains[] = {
    {"name", "a_b", "a_b"},
    {"star", "a*", NULL},
    {"question mark", "?", NULL},
    {"set", "a[b]", NULL},
    {"bracket alone", "a]", "a]"},
    {"escaped star", "a\\*b", "a*b"},
    {"escaped backslash", "a\\\\b", "a\\b"},
    {"escaped backslash, then a star", "a\\\\*", NULL},
    {"escaped letter", "\\ab", "ab"},
    {"nothing", "", ""},
};

static void test_plain(void **state)
{
    const struct glob_row *row = *state;
    char text[32];
    snprintf(text, sizeof text, "%s", row->text);
    assert_int_equal(cdc_glob_plain(text), row->plain != NULL);
    assert_string_equal(text, row->plain ? row->plain : row->text);
}

int main(void)
{
    struct CMUnitTest
        tests[CM_COUNT(columns) + CM_COUNT(mentions) + CM_COUNT(hashes) + CM_COUNT(plains) + 4];
    struct CMUnitTest *to = CM_ROWS(tests, test_column, columns);
    to = CM_ROWS(to, test_mentions, mentions);
    to = CM_ROWS(to, test_hash, hashes);
    to = CM_ROWS(to, test_plain, plains);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_others);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_no_rule);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_key_acts);
    *to = (struct CMUnitTest)cmocka_unit_test(test_hash_fixed);
    return cmocka_run_group_tests_name("config_columns", tests, NULL, NULL);
}
