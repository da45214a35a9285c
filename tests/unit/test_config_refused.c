/* What a capture rule may not say: the exact message, at the exact line. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>

#include "capture_rules.h"

#define SECRET "very-secret-hash-key"
#define RULE   "capture:\n- tables: p.t\n  snapshot: never\n" /* what follows begins at line 4 */

static const struct error_row {
    const char *name, *yaml, *error;
} errors[] = {
    {"in two acts", RULE "  columns:\n    hash: [a]\n    mask: [b, a]\n",
     "6: column \"a\" is in both columns.mask and columns.hash: only one can be done with it"},
    {"in two acts, the later line counts", RULE "  columns:\n    mask: [a]\n    hash: [a]\n",
     "6: column \"a\" is in both columns.mask and columns.hash: only one can be done with it"},
    {"excluded and truncated", RULE "  columns: {exclude: [a], truncate: {a: 3}}\n",
     "4: column \"a\" is in both columns.exclude and columns.truncate: only one can be done with "
     "it"},
    {"same pattern in two acts", RULE "  columns: {hash: ['a*'], mask: ['a*']}\n",
     "4: column \"a*\" is in both columns.mask and columns.hash: only one can be done with it"},
    {"same name, once escaped", RULE "  columns: {hash: ['\\a'], mask: [a]}\n",
     "4: column \"a\" is in both columns.mask and columns.hash: only one can be done with it"},
    {"included and excluded", RULE "  columns:\n    exclude: [a]\n    include:\n    - b\n    - a\n",
     "8: column \"a\" is in both columns.include and columns.exclude: only one can be done with "
     "it"},
    {"twice in a list", RULE "  columns:\n    mask:\n    - a\n    - b\n    - a\n",
     "8: columns.mask: names \"a\" twice"},
    {"twice in include", RULE "  columns: {include: [a, a]}\n",
     "4: columns.include: names \"a\" twice"},
    {"twice in truncate, once escaped", RULE "  columns: {truncate: {a: 1, '\\a': 2}}\n",
     "4: columns.truncate: names \"a\" twice"},
    {"twice in on_invalid, once escaped", RULE "  on_invalid: {a: null, '\\a': string}\n",
     "4: on_invalid: names \"\\a\" twice"},
    {"hashed but not included", RULE "  columns:\n    include: [a]\n    hash: [b]\n",
     "6: columns.hash: \"b\" is not in columns.include, so it is excluded: name it there too, or "
     "only there"},
    {"truncated but not included", RULE "  columns: {include: ['a*'], truncate: {b: 3}}\n",
     "4: columns.truncate: \"b\" is not in columns.include, so it is excluded: name it there too, "
     "or only there"},
    {"key excluded", RULE "  key: [id]\n  columns:\n    exclude: [id]\n",
     "6: columns.exclude: \"id\" takes the key column \"id\", and without its values rows cannot "
     "be "
     "told apart: hash it, or choose other columns by `key:`"},
    {"key masked", RULE "  columns:\n    mask: [b, id]\n  key: [a, id]\n",
     "5: columns.mask: \"id\" takes the key column \"id\", and without its values rows cannot be "
     "told apart: hash it, or choose other columns by `key:`"},
    {"key truncated", RULE "  key: [id]\n  columns: {truncate: {id: 5}}\n",
     "5: columns.truncate: \"id\" takes the key column \"id\", and without its values rows cannot "
     "be told apart: hash it, or choose other columns by `key:`"},
    {"key excluded by a pattern", RULE "  key: [id]\n  columns: {exclude: ['i*']}\n",
     "5: columns.exclude: \"i*\" takes the key column \"id\", and without its values rows cannot "
     "be "
     "told apart: hash it, or choose other columns by `key:`"},
    {"key null where invalid", RULE "  key: [id]\n  on_invalid: {id: null}\n",
     "5: on_invalid: the key column \"id\" cannot be null: fail or string is wanted"},
    {"updated_at excluded", RULE "  updated_at: at\n  columns:\n    exclude: ['a*']\n",
     "4: updated_at: the values of \"at\" would be in __source_updated_at, but columns.exclude "
     "(line 6) hides them"},
    {"updated_at masked", RULE "  updated_at: at\n  columns: {mask: [at]}\n",
     "4: updated_at: the values of \"at\" would be in __source_updated_at, but columns.mask (line "
     "5) hides them"},
    {"updated_at empty", RULE "  updated_at: ''\n",
     "4: updated_at: the name of a column is wanted"},
    {"logical_delete a bare name", RULE "  logical_delete: deleted_at\n",
     "4: capture.logical_delete: a mapping is wanted: options below it, indented, or {a: b}"},
    {"logical_delete without column", RULE "  logical_delete: {}\n",
     "4: capture.logical_delete.column is missing: Name of the column: deleted_at or is_deleted, "
     "say."},
    {"logical_delete misspelt", RULE "  logical_delete:\n    colum: a\n",
     "5: unknown option \"colum\" in capture.logical_delete; did you mean \"column\"?"},
    {"logical_delete empty", RULE "  logical_delete: {column: ''}\n",
     "4: logical_delete.column: the name of a column is wanted"},
    {"insert_only with key", RULE "  insert_only: true\n  key: [id]\n",
     "5: key: with `insert_only: true` no update and no delete is captured, so there is nothing to "
     "find by it: leave out one of the two"},
    {"insert_only with logical_delete", RULE "  logical_delete: {column: a}\n  insert_only: true\n",
     "4: logical_delete: with `insert_only: true` no update and no delete is captured, so there is "
     "nothing to find by it: leave out one of the two"},
    {"insert_only with deletes", RULE "  insert_only: true\n  deletes: soft\n",
     "5: deletes: with `insert_only: true` it is append: leave it out"},
    {"truncate 0", RULE "  columns: {truncate: {a: 0}}\n",
     "4: capture.columns.truncate.a: 0 is too small: 1 is the least"},
    {"truncate too long", RULE "  columns:\n    truncate:\n      a: 5\n      b: 1000001\n",
     "7: capture.columns.truncate.b: 1000001 is too large: 1000000 is the most"},
    {"truncate no number", RULE "  columns: {truncate: {a: short}}\n",
     "4: capture.columns.truncate.a: \"short\" is no whole number"},
    {"truncate a list", RULE "  columns: {truncate: [a]}\n",
     "4: capture.columns.truncate: a mapping is wanted, like {a: 1}"},
    {"truncate without a number", RULE "  columns:\n    truncate:\n      a:\n",
     "6: capture.columns.truncate.a: no value is given: write one, or leave the option out"},
    {"truncate empty", RULE "  columns: {truncate: {}}\n",
     "4: columns.truncate: names no column: leave it out"},
    {"include empty", RULE "  columns: {include: []}\n",
     "4: columns.include: names no column: leave it out"},
    {"exclude empty", RULE "  columns: {exclude: []}\n",
     "4: columns.exclude: names no column: leave it out"},
    {"exclude a bare name", RULE "  columns: {exclude: a}\n",
     "4: capture.columns.exclude: a list is wanted, like [a, b]"},
    {"columns a list", RULE "  columns: [a]\n",
     "4: capture.columns: a mapping is wanted: options below it, indented, or {a: b}"},
    {"columns misspelt", RULE "  columns: {exlude: [a]}\n",
     "4: unknown option \"exlude\" in capture.columns; did you mean \"exclude\"?"},
    {"empty name", RULE "  columns: {mask: ['']}\n", "4: columns.mask: \"\" is no name"},
    {"bad pattern", RULE "  columns:\n    mask:\n    - a\n    - 'b['\n",
     "7: columns.mask: \"b[\" has a [ without its ]"},
    {"bad pattern in truncate", RULE "  columns: {truncate: {'a\\': 3}}\n",
     "4: columns.truncate: \"a\\\" ends in a backslash"},
    {"on_invalid unknown", RULE "  on_invalid: nil\n",
     "4: capture.on_invalid: \"nil\" is not one of fail, string, null"},
    {"on_invalid of a column unknown", RULE "  on_invalid:\n    a: fail\n    b: strin\n",
     "6: capture.on_invalid.b: \"strin\" is not one of fail, string, null; did you mean "
     "\"string\"?"},
    {"on_invalid a list", RULE "  on_invalid: [a]\n",
     "4: capture.on_invalid: a single value is wanted, not a list"},
    {"on_invalid empty", RULE "  on_invalid: {}\n", "4: on_invalid: names no column: leave it out"},
    {"hash without secret", RULE "  columns:\n    exclude: [b]\n    hash: [a]\n",
     "6: columns.hash needs a secret: write `secrets: {hash: ...}` at the top of the file, at "
     "least "
     "16 bytes, the same for as long as hashes are to be compared (`openssl rand -hex 32` makes "
     "one)"},
    {"messages and tables", "capture:\n- messages: [a]\n  tables: p.t\n",
     "3: tables and messages cannot stand in one entry: begin a new one with - messages: [...]"},
    {"messages with deletes", "capture:\n- messages: [a]\n  deletes: hard\n",
     "3: unknown option \"deletes\" in capture; known are: messages, skip"},
    {"messages empty", "capture:\n- messages: []\n",
     "2: messages: names no prefix: leave the entry out, or write [\"*\"] for all of them"},
    {"messages a bare name", "capture:\n- messages: a\n",
     "2: capture.messages: a list is wanted, like [a, b]"},
    {"messages bad pattern", "capture:\n- messages:\n  - a\n  - '[b'\n",
     "4: messages: \"[b\" has a [ without its ]"},
};

static void test_error(void **state)
{
    const struct error_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char text[sizeof err.where + sizeof err.message + 2];
    bool hashes = strstr(row->name, "without secret") == NULL;
    assert_null(read_rules(arena, row->yaml, hashes ? SECRET : NULL, &err));
    assert_int_equal(err.action, CDC_CONFIG);
    snprintf(text, sizeof text, "%s: %s", err.where, err.message);
    assert_null(strstr(text, SECRET));
    assert_memory_equal(text, "shop.yaml:", 10);
    assert_string_equal(text + 10, row->error);
    cdc_arena_free(arena);
}

/* What looks like a conflict and is none. */
static const struct fine_row {
    const char *name, *more;
} fine[] = {
    {"key hashed", "  key: [id]\n  columns: {hash: [id]}\n"},
    {"key hashed, not included", "  key: [id]\n  columns: {include: [a], hash: [id]}\n"},
    {"key not included", "  key: [id]\n  columns: {include: [a]}\n"},
    {"logical_delete excluded", "  logical_delete: {column: gone}\n  columns: {exclude: [gone]}\n"},
    {"updated_at not included", "  updated_at: at\n  columns: {include: [a]}\n"},
    {"updated_at is a key column", "  updated_at: at\n  key: [id, at]\n"},
    {"skipped rule hashes", "  skip: true\n  columns: {hash: [a]}\n"},
    {"insert_only with append", "  insert_only: true\n  deletes: append\n"},
    {"insert_only with columns", "  insert_only: true\n  columns: {exclude: [a]}\n"},
    {"not insert_only, with a key", "  insert_only: false\n  key: [id]\n"},
    {"on_invalid null and a key", "  on_invalid: null\n  key: [id]\n"},
    {"on_invalid string of a key", "  on_invalid: {id: string}\n  key: [id]\n"},
    {"name and pattern in two acts", "  columns: {mask: ['a*'], truncate: {ab: 3}}\n"},
    {"truncate and on_invalid", "  columns: {truncate: {a: 3}}\n  on_invalid: {a: string}\n"},
};

static void test_fine(void **state)
{
    const struct fine_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char yaml[512];
    snprintf(yaml, sizeof yaml, RULE "%s", row->more);
    bool keyless = strstr(row->name, "skipped rule") != NULL;
    if (!read_rules(arena, yaml, keyless ? NULL : SECRET, &err))
        fail_msg("%s: %s", err.where, err.message);
    cdc_arena_free(arena);
}

/* One rule cannot be made to cost hours. */
static void test_too_many(void **state)
{
    (void)state;
    struct cdc_arena *arena = cdc_arena_new(8 << 20);
    struct cdc_error err = {0};
    struct cdc_buf yaml = CDC_BUF(1 << 20);
    cdc_buf_str(&yaml, RULE "  columns: {mask: [");
    for (int i = 0; i < 4096; i++)
        cdc_buf_printf(&yaml, "c%d, ", i);
    size_t len = yaml.len;
    cdc_buf_str(&yaml, "]}\n");
    assert_non_null(read_rules(arena, cdc_buf_cstr(&yaml), NULL, &err));
    yaml.len = len;
    cdc_buf_str(&yaml, "x]}\n");
    assert_null(read_rules(arena, cdc_buf_cstr(&yaml), NULL, &err));
    assert_string_equal(err.message,
                        "columns.mask: one rule names at most 4096 columns: use patterns");
    cdc_buf_done(&yaml);
    cdc_arena_free(arena);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(errors) + CM_COUNT(fine) + 1];
    struct CMUnitTest *to = CM_ROWS(tests, test_error, errors);
    to = CM_ROWS(to, test_fine, fine);
    *to = (struct CMUnitTest)cmocka_unit_test(test_too_many);
    return cmocka_run_group_tests_name("config_refused", tests, NULL, NULL);
}
