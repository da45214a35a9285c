/* Options: what each type takes and refuses, defaults, unknown and missing names. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>
#include <stdlib.h>

#include "config/nearest.h"
#include "config/section.h"

static const struct cdc_option inner[] = {
    {.name = "depth", .type = CDC_OPT_INT, .dflt = "3", .min = 1, .max = 9, .doc = "Depth."},
    {0},
};

static const struct cdc_option strict[] = {
    {.name = "must", .type = CDC_OPT_STRING, .flags = CDC_OPT_REQUIRED, .doc = "It must be there."},
    {0},
};

static const struct cdc_option options[] = {
    {.name = "text", .type = CDC_OPT_STRING, .dflt = "a: b", .doc = "Text."},
    {.name = "bare", .type = CDC_OPT_STRING, .doc = "Text without default."},
    {.name = "password", .type = CDC_OPT_STRING, .flags = CDC_OPT_SECRET, .doc = "Secret."},
    {.name = "pin", .type = CDC_OPT_INT, .max = 99, .flags = CDC_OPT_SECRET, .doc = "Secret."},
    {.name = "count", .type = CDC_OPT_INT, .dflt = "7", .min = -5, .max = 100, .doc = "Count."},
    {.name = "free", .type = CDC_OPT_INT, .doc = "Any number."},
    {.name = "on", .type = CDC_OPT_BOOL, .dflt = "true", .doc = "Flag."},
    {.name = "size",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 1024,
     .max = (int64_t)1 << 30,
     .doc = "Size."},
    {.name = "interval",
     .type = CDC_OPT_DURATION,
     .dflt = "10s",
     .max = 3600000000,
     .doc = "Duration."},
    {.name = "codec",
     .type = CDC_OPT_CHOICE,
     .dflt = "deflate",
     .choices = "null|deflate|zstandard",
     .doc = "Choice."},
    {.name = "names", .type = CDC_OPT_LIST, .dflt = "[x, y]", .doc = "List."},
    {.name = "empty_list", .type = CDC_OPT_LIST, .doc = "List without default."},
    {.name = "limits", .type = CDC_OPT_MAP, .min = 1, .max = 9, .doc = "Mapping of numbers."},
    {.name = "props", .type = CDC_OPT_STRINGS, .dflt = "{a: b}", .doc = "Mapping of texts."},
    {.name = "keys", .type = CDC_OPT_STRINGS, .flags = CDC_OPT_SECRET, .doc = "Secret texts."},
    {.name = "policy",
     .type = CDC_OPT_CHOICES,
     .choices = "fail|string|null",
     .dflt = "string",
     .doc = "Choice for all, or for each."},
    {.name = "inner", .type = CDC_OPT_SECTION, .section = inner, .doc = "Section."},
    {.name = "strict", .type = CDC_OPT_SECTION, .section = strict, .doc = "Section."},
    {0},
};

/* What is to be seen of an option, as text: the getters' answers. */
static void show(const struct cdc_section *sec, const char *name, char *to, size_t cap)
{
    const char *const *list;
    const struct cdc_option *opt = options;
    while (strcmp(opt->name, name) != 0)
        opt++;
    switch (opt->type) {
    case CDC_OPT_STRING: {
        const char *text = cdc_get_string(sec, name);
        snprintf(to, cap, "%s", text ? text : "(null)");
        break;
    }
    case CDC_OPT_BOOL: snprintf(to, cap, "%s", cdc_get_bool(sec, name) ? "true" : "false"); break;
    case CDC_OPT_CHOICE: snprintf(to, cap, "%d", cdc_get_choice(sec, name)); break;
    case CDC_OPT_LIST:
        *to = 0;
        for (size_t i = 0, n = cdc_get_list(sec, name, &list); i < n; i++)
            snprintf(to + strlen(to), cap - strlen(to), "<%s>", list[i]);
        break;
    case CDC_OPT_CHOICES:
    case CDC_OPT_STRINGS:
    case CDC_OPT_MAP: {
        const struct cdc_pair *pairs;
        size_t n = cdc_get_map(sec, name, &pairs);
        *to = 0;
        if (opt->type == CDC_OPT_CHOICES)
            snprintf(to, cap, "%d", cdc_get_choice(sec, name));
        for (size_t i = 0; i < n; i++)
            if (opt->type == CDC_OPT_STRINGS)
                snprintf(to + strlen(to), cap - strlen(to), "<%s=%s>", pairs[i].name,
                         pairs[i].text);
            else
                snprintf(to + strlen(to), cap - strlen(to), "<%s=%lld>", pairs[i].name,
                         (long long)pairs[i].number);
        break;
    }
    case CDC_OPT_SECTION: {
        const struct cdc_section *sub = cdc_get_section(sec, name);
        if (!sub)
            snprintf(to, cap, "(null)");
        else if (opt->section == inner)
            snprintf(to, cap, "%lld", (long long)cdc_get_int(sub, "depth"));
        else
            snprintf(to, cap, "%s", cdc_get_string(sub, "must"));
        break;
    }
    default: snprintf(to, cap, "%lld", (long long)cdc_get_int(sec, name)); break;
    }
}

static const struct value_row {
    const char *name, *yaml, *option, *value;
} values[] = {
    {"text", "text: hello world", "text", "hello world"},
    {"text that looks like a number", "text: 0x1F", "text", "0x1F"},
    {"text that looks like null", "text: null", "text", "null"},
    {"text of a quoted nothing", "text: ''", "text", ""},
    {"text of several lines", "text: |\n  a\n  b\n", "text", "a\nb\n"},
    {"text default is taken as it is", "", "text", "a: b"},
    {"text without default", "", "bare", "(null)"},
    {"secret is readable", "password: hunter2", "password", "hunter2"},
    {"int", "count: 42", "count", "42"},
    {"int negative", "count: -5", "count", "-5"},
    {"int at its most", "count: 100", "count", "100"},
    {"int default", "", "count", "7"},
    {"int without default", "", "free", "0"},
    {"int largest", "free: 9223372036854775807", "free", "9223372036854775807"},
    {"int smallest", "free: -9223372036854775808", "free", "-9223372036854775808"},
    {"bool true", "on: true", "on", "true"},
    {"bool false", "on: false", "on", "false"},
    {"bool default", "", "on", "true"},
    {"size plain", "size: 4096", "size", "4096"},
    {"size KiB", "size: 1KiB", "size", "1024"},
    {"size MiB", "size: 64MiB", "size", "67108864"},
    {"size MB", "size: 64MB", "size", "64000000"},
    {"size kB", "size: 2kB", "size", "2000"},
    {"size with a blank", "size: 1 GiB", "size", "1073741824"},
    {"size default", "", "size", "67108864"},
    {"duration s", "interval: 10s", "interval", "10000000"},
    {"duration ms", "interval: 200ms", "interval", "200000"},
    {"duration us", "interval: 5us", "interval", "5"},
    {"duration m", "interval: 2m", "interval", "120000000"},
    {"duration min", "interval: 2min", "interval", "120000000"},
    {"duration h", "interval: 1h", "interval", "3600000000"},
    {"duration 0 needs no unit", "interval: 0", "interval", "0"},
    {"duration default", "", "interval", "10000000"},
    {"choice first", "codec: null", "codec", "0"},
    {"choice last", "codec: zstandard", "codec", "2"},
    {"choice default", "", "codec", "1"},
    {"list", "names: [a, 'b c']", "names", "<a><b c>"},
    {"list in lines", "names:\n- a\n- b\n", "names", "<a><b>"},
    {"list empty", "names: []", "names", ""},
    {"list default", "", "names", "<x><y>"},
    {"list without default", "", "empty_list", ""},
    {"map", "limits: {b: 9, 'a c': 1}", "limits", "<b=9><a c=1>"},
    {"map empty", "limits: {}", "limits", ""},
    {"map without default", "", "limits", ""},
    {"texts", "props: {linger.ms: 5, 'a c': '', b: x=y}", "props", "<linger.ms=5><a c=><b=x=y>"},
    {"texts in lines", "props:\n  a.b: null\n  c: 'd: e'\n", "props", "<a.b=null><c=d: e>"},
    {"texts out of the environment", "props: {a: 'x ${env:T_TEXT} y', b: '$${z}'}", "props",
     "<a=x out: side y><b=${z}>"},
    {"texts empty", "props: {}", "props", ""},
    {"texts default", "", "props", "<a=b>"},
    {"texts without default", "", "keys", ""},
    {"texts, secret, are readable", "keys: {a: hunter2}", "keys", "<a=hunter2>"},
    {"choices, one for all", "policy: null", "policy", "2"},
    {"choices default", "", "policy", "1"},
    {"choices, a mapping beside the default", "policy: {b: null, '*': fail}", "policy",
     "1<b=2><*=0>"},
    {"choices, an empty mapping", "policy: {}", "policy", "1"},
    {"section", "inner: {depth: 5}", "inner", "5"},
    {"section empty", "inner: {}", "inner", "3"},
    {"section default", "", "inner", "3"},
    {"section with required options, left out", "", "strict", "(null)"},
    {"section with required options", "strict: {must: yes}", "strict", "yes"},
};

static void test_value(void **state)
{
    const struct value_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_section *sec;
    struct cdc_error err = {0};
    char text[256];
    if (cdc_section_parse(arena, row->yaml, options, &sec, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    show(sec, row->option, text, sizeof text);
    assert_string_equal(text, row->value);
    assert_int_equal(cdc_given(sec, row->option), *row->yaml != 0);
    assert_string_equal(cdc_option_where(sec, row->option), "test.yaml:1");
    cdc_arena_free(arena);
}

#define SIZE_HELP     "write bytes, or a number with KiB, MiB, GiB, kB, MB or GB"
#define DURATION_HELP "write a number with us, ms, s, m, h or d"

static const struct error_row {
    const char *name, *yaml, *error;
} errors[] = {
    {"unknown, letter left out", "on: true\ncont: 1",
     "test.yaml:2: unknown option \"cont\"; did you mean \"count\"?"},
    {"unknown, letters swapped", "coutn: 1",
     "test.yaml:1: unknown option \"coutn\"; did you mean \"count\"?"},
    {"unknown, beginning of a name", "pass: 1",
     "test.yaml:1: unknown option \"pass\"; did you mean \"password\"?"},
    {"unknown, nothing near", "frobnicate: 1",
     "test.yaml:1: unknown option \"frobnicate\"; known are: text, bare, password, pin, count, "
     "free, on, size, interval, codec, names, empty_list, limits, props, keys, policy, inner, "
     "strict"},
    {"unknown in a section", "inner:\n  dept: 1",
     "test.yaml:2: unknown option \"dept\" in inner; did you mean \"depth\"?"},
    {"required in a section", "on: true\nstrict: {}",
     "test.yaml:2: strict.must is missing: It must be there."},
    {"mapping for a value", "count: {a: 1}",
     "test.yaml:1: count: a single value is wanted, not a mapping"},
    {"list for a value", "count:\n  [1]",
     "test.yaml:2: count: a single value is wanted, not a list"},
    {"nothing for a value",
     "count:", "test.yaml:1: count: no value is given: write one, or leave the option out"},
    {"nothing for a text",
     "on: true\ntext:", "test.yaml:2: text: no value is given: write one, or leave the option out"},
    {"value for a list", "names: a", "test.yaml:1: names: a list is wanted, like [a, b]"},
    {"list in a list", "names: [[a]]",
     "test.yaml:1: names: each item of the list must be a single value"},
    {"nothing in a list", "names:\n- a\n-\n",
     "test.yaml:3: names: each item of the list must be a single value"},
    {"value for a section", "inner: 3",
     "test.yaml:1: inner: a mapping is wanted: options below it, indented, or {a: b}"},
    {"nothing for a section",
     "inner:", "test.yaml:1: inner: a mapping is wanted: options below it, indented, or {a: b}"},
    {"int with letters", "count: 4x", "test.yaml:1: count: \"4x\" is no whole number"},
    {"int empty", "count: ''", "test.yaml:1: count: \"\" is no whole number"},
    {"int with a point", "count: 4.0", "test.yaml:1: count: \"4.0\" is no whole number"},
    {"int with a plus", "count: +4", "test.yaml:1: count: \"+4\" is no whole number"},
    {"int over 64 bits", "free: 9223372036854775808",
     "test.yaml:1: free: \"9223372036854775808\" is no whole number"},
    {"int below its least", "count: -6", "test.yaml:1: count: -6 is too small: -5 is the least"},
    {"int over its most", "count: 101", "test.yaml:1: count: 101 is too large: 100 is the most"},
    {"int below in a section", "inner:\n  depth: 0",
     "test.yaml:2: inner.depth: 0 is too small: 1 is the least"},
    {"bool yes", "on: yes", "test.yaml:1: on: \"yes\" is neither true nor false"},
    {"bool True", "on: True", "test.yaml:1: on: \"True\" is neither true nor false"},
    {"size without number", "size: MiB", "test.yaml:1: size: \"MiB\" is no size: " SIZE_HELP},
    {"size unit of two meanings", "size: 64M", "test.yaml:1: size: \"64M\" is no size: " SIZE_HELP},
    {"size negative", "size: -1", "test.yaml:1: size: \"-1\" is no size: " SIZE_HELP},
    {"size broken", "size: 1.5GiB", "test.yaml:1: size: \"1.5GiB\" is no size: " SIZE_HELP},
    {"size over 64 bits", "size: 9999999999TiB",
     "test.yaml:1: size: \"9999999999TiB\" is no size: " SIZE_HELP},
    {"size too small", "size: 1023", "test.yaml:1: size: 1023 is too small: 1KiB is the least"},
    {"size too large", "size: 2GiB", "test.yaml:1: size: 2GiB is too large: 1GiB is the most"},
    {"duration without unit", "interval: 10",
     "test.yaml:1: interval: \"10\" is no duration: " DURATION_HELP},
    {"duration too long", "interval: 2h", "test.yaml:1: interval: 2h is too large: 1h is the most"},
    {"duration negative", "interval: -1s",
     "test.yaml:1: interval: \"-1s\" is no duration: " DURATION_HELP},
    {"choice near", "codec: zstandart",
     "test.yaml:1: codec: \"zstandart\" is not one of null, deflate, zstandard; did you mean "
     "\"zstandard\"?"},
    {"choice far", "codec: snappy",
     "test.yaml:1: codec: \"snappy\" is not one of null, deflate, zstandard"},
    {"choice with the bar", "codec: null|deflate",
     "test.yaml:1: codec: \"null|deflate\" is not one of null, deflate, zstandard"},
    {"value for a map", "limits: 3", "test.yaml:1: limits: a mapping is wanted, like {a: 1}"},
    {"list for a map", "limits:\n  [a]", "test.yaml:2: limits: a mapping is wanted, like {a: 1}"},
    {"nothing for a map", "limits:", "test.yaml:1: limits: a mapping is wanted, like {a: 1}"},
    {"map, too small", "limits: {a: 1, b: 0}",
     "test.yaml:1: limits.b: 0 is too small: 1 is the least"},
    {"map, too large", "limits:\n  a: 10", "test.yaml:2: limits.a: 10 is too large: 9 is the most"},
    {"map, no number", "limits: {a: 1x}", "test.yaml:1: limits.a: \"1x\" is no whole number"},
    {"map in a map", "limits: {a: {b: 1}}",
     "test.yaml:1: limits.a: a single value is wanted, not a mapping"},
    {"map, nothing for a value", "limits: {a: }",
     "test.yaml:1: limits.a: no value is given: write one, or leave the option out"},
    {"value for texts", "props: x", "test.yaml:1: props: a mapping is wanted, like {a: ...}"},
    {"list for texts", "on: true\nkeys:\n  [hunter2]",
     "test.yaml:3: keys: a mapping is wanted, like {a: ...}"},
    {"texts, nothing for a value", "props:\n  a: b\n  c:\n",
     "test.yaml:3: props.c: no value is given: write one, or leave the option out"},
    {"texts in texts", "keys: {a: {hunter2: hunter2}}",
     "test.yaml:1: keys.a: a single value is wanted, not a mapping"},
    {"texts, a list in them", "keys:\n  a: [hunter2]\n",
     "test.yaml:2: keys.a: a single value is wanted, not a list"},
    {"texts, one twice", "keys:\n  a: hunter2\n  a: hunter2\n",
     "test.yaml:3: \"a\" stands here a second time, after line 2"},
    {"texts, a variable that is not set", "keys:\n  a: ${env:T_NOT_SET}\n",
     "test.yaml:2: the environment variable T_NOT_SET is not set: set it for this command, or use "
     "${file:/path}"},
    {"choices, none of them", "policy: strin",
     "test.yaml:1: policy: \"strin\" is not one of fail, string, null; did you mean \"string\"?"},
    {"choices, none of them in a mapping", "policy:\n  a: fail\n  b: x",
     "test.yaml:3: policy.b: \"x\" is not one of fail, string, null"},
    {"choices, a list", "policy: [fail]",
     "test.yaml:1: policy: a single value is wanted, not a list"},
    {"secret of the wrong type", "pin: hunter2", "test.yaml:1: pin: \"***\" is no whole number"},
    {"secret out of range", "pin: 4711", "test.yaml:1: pin: *** is too large: 99 is the most"},
    {"not a mapping", "[a]", "test.yaml:1: a mapping is wanted"},
};

static void test_error(void **state)
{
    const struct error_row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_section *sec;
    struct cdc_error err = {0};
    char text[sizeof err.where + sizeof err.message + 2];
    assert_int_equal(cdc_section_parse(arena, row->yaml, options, &sec, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    snprintf(text, sizeof text, "%s: %s", err.where, err.message);
    assert_string_equal(text, row->error);
    cdc_arena_free(arena);
}

static const struct near_row {
    const char *name, *word, *best;
} nears[] = {
    {"same", "commit", "commit"},
    {"one letter more", "committ", "commit"},
    {"one letter less", "comit", "commit"},
    {"one letter other", "commat", "commit"},
    {"two swapped", "comimt", "commit"},
    {"nearest of two", "chek", "check"},
    {"beginning", "com", "commit"},
    {"beginning too short", "ch", NULL},
    {"begins with a name", "committed", "commit"},
    {"too far", "banana", NULL},
    {"empty", "", NULL},
    {"one letter", "y", "xy"},
    {"longer than any name",
     "commitcommitcommitcommitcommitcommitcommitcommitcommitcommitcommitcommit", NULL},
};

static void test_near(void **state)
{
    const struct near_row *row = *state;
    static const char *const names[] = {"commit", "check", "cat", "xy", "x"};
    struct cdc_nearest near = {.word = row->word};
    for (size_t i = 0; i < CM_COUNT(names); i++)
        cdc_nearest_try(&near, names[i]);
    if (row->best) {
        assert_non_null(near.best);
        assert_string_equal(near.best, row->best);
    } else {
        assert_null(near.best);
    }
}

/* With less memory than the reading needs it must fail as an error, at every place. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char yaml[] = "names: [a, b]\ninner: {depth: 4}\ncodec: deflate\ntext: abc\n";
    for (size_t max = 0; max < 64 << 10; max += 512) {
        struct cdc_arena *arena = cdc_arena_new(max);
        struct cdc_section *sec = NULL;
        struct cdc_error err = {0};
        if (cdc_section_parse(arena, yaml, options, &sec, &err) != CDC_OK)
            assert_int_equal(err.action, CDC_FATAL);
        else
            assert_int_equal(cdc_get_int(sec, "count"), 7);
        cdc_arena_free(arena);
    }
}

int main(void)
{
    setenv("T_TEXT", "out: side", 1);
    unsetenv("T_NOT_SET");
    struct CMUnitTest tests[CM_COUNT(values) + CM_COUNT(errors) + CM_COUNT(nears) + 1];
    struct CMUnitTest *to = CM_ROWS(tests, test_value, values);
    to = CM_ROWS(to, test_error, errors);
    to = CM_ROWS(to, test_near, nears);
    *to = (struct CMUnitTest)cmocka_unit_test(test_no_memory);
    return cmocka_run_group_tests_name("config_option", tests, NULL, NULL);
}
