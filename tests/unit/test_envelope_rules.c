/*
 * test_envelope_rules.c - what a capture rule does to single columns: each act on each kind of
 * value, what the schema says of it, what is refused, and that nothing hidden is ever in the bytes.
 * The hashes come from Python's hmac.
 */
#include "envelope_kit.h"
#include "rows.h"

#include <stdio.h>

/* clang-format off */
#define H_EMPTY   "c05844bcf9472a0f6f61c37ef6659ff6ecf2566df33249cfefe6808495f1b6f4"
#define H_ADA     "386f230515e7b210ee3c5201d5c5f1efe6f9adccdd066e88dce364ee8483f55d" /* ada@example.org */
#define H_7       "592f430a5f30cdb5e8d8c7026637678b6051294afb56e4d067fbd2eb5b5cb8df"
#define H_8       "a16b41e63e9638fa7382e343f0ebf2a5d00a93313502ebb8e01a15e1896b6861"
#define H_DEC     "91c566eef3081b71787f20356fd7b0eab61d2bd3d0b6ffab29c38c35bb710e62" /* -0.05 */
#define H_TRUE    "ef59118b6a144269c941d956fc122493031e5aa5e1f763f9d524c4e18025f21d"
#define H_BYTES   "55115585d4953bdd6aed508a70b3ee4785c05cb8a1191564e6b446e7f281ab81" /* 00 ff, raw */
#define H_ARRAY   "91ed279ac48dbaa42e1bfd95a544baea4449ec7f22f378612fcae1e526fc508a" /* [1,null] */
#define H_MOMENT  "d4defe687f32238eec5cf797c533860f41baf23fd4b702c7109214d12c04c44c" /* 2020-09-13T12:26:40.000000Z */
#define H_INF     "e5a9a6a63435f82cb260825c807fcd642abffc6e347a3804f434fcc3ac7301d3" /* infinity */
#define H_JSON    "ff313f340629b521ad099f9ff85699d70fadb703c2bfb3030740f7301263302b" /* {"a":1} */
#define H_UUID    "b5ff5957ca141d4a50e32f60190baac65ae19215157b3a049f6ff8d90aaf53dd"
#define H_FLOAT   "4d44a12ef2d8352f394fc68f1da53934517e498d9c93d963f35ef922c338e141" /* 1.5 */
#define H_DATE    "7996ee8d25f9808f26087a64029f4028efdac2e10f64d2dad503a026d3df50bc" /* 2000-02-29 */
#define H_INFS    "989df8197d2dba2ca8f44c25c31ed09bcf406591a364b6f31015aab29a5d1817" /* ["infinity"] */

#define C_INT   COL("v", "integer", CDC_INT, .bits = 32)
#define C_BOOL  COL("v", "boolean", CDC_BOOL, .bits = 0)
#define C_F4    COL("v", "real", CDC_FLOAT, .bits = 32)
#define C_DEC   COL("v", "numeric(4,2)", CDC_DECIMAL, .precision = 4, .scale = 2)
#define C_TEXT  COL("v", "text", CDC_TEXT, .dflt = "'hush'::text")
#define C_BYTES COL("v", "bytea", CDC_BYTES, .bits = 0)
#define C_DATE  COL("v", "date", CDC_DATE, .bits = 0)
#define C_TIME  COL("v", "time without time zone", CDC_TIME, .bits = 0)
#define C_TZ    COL("v", "timestamp with time zone", CDC_TIMESTAMPTZ, .bits = 0)
#define C_UUID  COL("v", "uuid", CDC_UUID, .bits = 0)
#define C_JSON  COL("v", "jsonb", CDC_JSON, .bits = 0)
#define C_INTS  COL("v", "integer[]", CDC_ARRAY, .item = CDC_INT, .bits = 32)
#define C_DATES COL("v", "date[]", CDC_ARRAY, .item = CDC_DATE)

#define HASH  "columns: {hash: [v]}"
#define MASK  "columns: {mask: [v]}"
#define CUT3  "columns: {truncate: {v: 3}}"
#define NULLS "on_invalid: {v: \"null\"}"
#define TEXTS "on_invalid: {v: string}"

static const struct cdc_value ints[] = {ID(1), NUL};
static const struct cdc_value infs[] = {INVALID("infinity")};
static const struct cdc_value mixed[] = {ID(0), INVALID("in\"f"), NUL};
static const struct cdc_value days[] = {V_INT(CDC_DATE, 0), INVALID("in\"f"), NUL};

/* One column under a rule. */
static const struct row {
    const char *name, *rule;
    struct cdc_column col;
    struct cdc_value val;
    const char *want;     /* the column and what is said of it; NULL: refused */
    const char *attribute; /* part of the field in the schema text */
} rows[] = {
    {"hash text", HASH, C_TEXT, TEXT("ada@example.org"), "v=\"" H_ADA "\"", "[\"null\",\"string\"],\"default\":null,\"cdc.type\":\"text\",\"cdc.nullable\":true,\"cdc.rule\":\"hash\"}"},
    {"hash empty text", HASH, C_TEXT, TEXT(""), "v=\"" H_EMPTY "\"", NULL},
    {"hash null", HASH, C_TEXT, NUL, "v=null", NULL},
    {"hash unchanged", HASH, C_TEXT, UNCHANGED, "v=null __unchanged=[\"v\"]", NULL},
    {"hash absent", HASH, C_TEXT, ABSENT, "v=null __unchanged=[\"v\"]", NULL},
    {"hash int", HASH, C_INT, ID(7), "v=\"" H_7 "\"", "[\"null\",\"string\"],\"default\":null,\"cdc.type\":\"integer\""},
    {"hash bool", HASH, C_BOOL, BOOL(1), "v=\"" H_TRUE "\"", NULL},
    {"hash float", HASH, C_F4, V_FLOAT(1.5), "v=\"" H_FLOAT "\"", NULL},
    {"hash decimal", HASH, C_DEC, V_DEC("\xfb", 2), "v=\"" H_DEC "\"", NULL},
    {"hash decimal, more bytes", HASH, C_DEC, V_DEC("\xff\xff\xff\xfb", 2), "v=\"" H_DEC "\"", NULL},
    {"hash bytes as they are", HASH, C_BYTES, V_STR(CDC_BYTES, "\x00\xff"), "v=\"" H_BYTES "\"", NULL},
    {"hash date", HASH, C_DATE, V_INT(CDC_DATE, 11016), "v=\"" H_DATE "\"", NULL},
    {"hash moment", HASH, C_TZ, V_INT(CDC_TIMESTAMPTZ, KIT_US), "v=\"" H_MOMENT "\"", NULL},
    {"hash uuid", HASH, C_UUID, V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000001"), "v=\"" H_UUID "\"", NULL},
    {"hash json", HASH, C_JSON, V_STR(CDC_JSON, "{\"a\":1}"), "v=\"" H_JSON "\"", "\"type\":[\"null\",\"string\"]"},
    {"hash array", HASH, C_INTS, V_ARR(ints), "v=\"" H_ARRAY "\"", "\"type\":[\"null\",\"string\"]"},
    {"hash invalid", HASH, C_TZ, INVALID("infinity"), "v=\"" H_INF "\"", NULL},
    {"hash invalid item", HASH, C_DATES, V_ARR(infs), "v=\"" H_INFS "\"", NULL},
    {"hash invalid, whatever on_invalid says", HASH ", on_invalid: {v: \"null\"}", C_TZ, INVALID("infinity"), "v=\"" H_INF "\"", NULL},

    {"mask text", MASK, C_TEXT, TEXT("hush"), "v=\"*****\"", "[\"null\",\"string\"],\"default\":null,\"cdc.type\":\"text\",\"cdc.nullable\":true,\"cdc.rule\":\"mask\"}"},
    {"mask empty text", MASK, C_TEXT, TEXT(""), "v=\"*****\"", NULL},
    {"mask null", MASK, C_TEXT, NUL, "v=null", NULL},
    {"mask unchanged", MASK, C_TEXT, UNCHANGED, "v=null __unchanged=[\"v\"]", NULL},
    {"mask invalid text", MASK, C_TEXT, INVALID("hush"), "v=\"*****\"", NULL},
    {"mask int", MASK, C_INT, ID(7), "v=null", "[\"null\",\"int\"]"},
    {"mask int, unchanged", MASK, C_INT, UNCHANGED, "v=null __unchanged=[\"v\"]", NULL},
    {"mask uuid", MASK, C_UUID, V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000001"), "v=null", "uuid"},
    {"mask json", MASK, C_JSON, V_STR(CDC_JSON, "{}"), "v=null", "\"cdc.kind\":\"json\""},
    {"mask bytes", MASK, C_BYTES, V_STR(CDC_BYTES, "x"), "v=null", NULL},
    {"mask array", MASK, C_INTS, V_ARR(ints), "v=null", "array"},
    {"mask invalid is not invalid", MASK ", on_invalid: {v: \"null\"}", C_TZ, INVALID("infinity"), "v=null", NULL},
    {"mask, on_invalid string", MASK ", on_invalid: {v: string}", C_TZ, INVALID("infinity"), "v=null", "timestamp-micros"},

    {"truncate longer", CUT3, C_TEXT, TEXT("hush"), "v=\"hus\"", "[\"null\",\"string\"],\"default\":null,\"cdc.type\":\"text\",\"cdc.nullable\":true,\"cdc.rule\":\"truncate(3)\"}"},
    {"truncate equal", CUT3, C_TEXT, TEXT("abc"), "v=\"abc\"", NULL},
    {"truncate shorter", CUT3, C_TEXT, TEXT("ab"), "v=\"ab\"", NULL},
    {"truncate empty", CUT3, C_TEXT, TEXT(""), "v=\"\"", NULL},
    {"truncate null", CUT3, C_TEXT, NUL, "v=null", NULL},
    {"truncate unchanged", CUT3, C_TEXT, UNCHANGED, "v=null __unchanged=[\"v\"]", NULL},
    {"truncate two bytes each", CUT3, C_TEXT, TEXT("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"), "v=\"\xc3\xa4\xc3\xb6\xc3\xbc\"", NULL},
    {"truncate three bytes each", CUT3, C_TEXT, TEXT("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"), "v=\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"", NULL},
    {"truncate four bytes each", CUT3, C_TEXT, TEXT("\xf0\x9f\x98\x80\xf0\x9f\x98\x81\xf0\x9f\x98\x82\xf0\x9f\x98\x83"), "v=\"\xf0\x9f\x98\x80\xf0\x9f\x98\x81\xf0\x9f\x98\x82\"", NULL},
    {"truncate exactly, many bytes", CUT3, C_TEXT, TEXT("\xf0\x9f\x98\x80" "a\xe2\x82\xac"), "v=\"\xf0\x9f\x98\x80" "a\xe2\x82\xac\"", NULL},
    {"truncate mixed", CUT3, C_TEXT, TEXT("a\xe2\x82\xac" "b\xc3\xa4"), "v=\"a\xe2\x82\xac" "b\"", NULL},
    {"truncate between combining characters", CUT3, C_TEXT, TEXT("abe\xcc\x81"), "v=\"abe\"", NULL},
    {"truncate broken bytes, each is one", CUT3, C_TEXT, TEXT("\x80\x80\x80\x80"), "v=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", NULL},
    {"truncate a character cut off", CUT3, C_TEXT, TEXT("abcd\xe2\x82"), "v=\"abc\"", NULL},
    {"truncate invalid made text", CUT3 ", on_invalid: {v: string}", C_TEXT, INVALID("abcdef"), "v=\"abc\"", NULL},
    {"truncate invalid made null", CUT3 ", on_invalid: {v: \"null\"}", C_TEXT, INVALID("abcdef"), "v=null __invalid=[\"v\"]", NULL},
    {"truncate invalid refused", CUT3, C_TEXT, INVALID("abcdef"), NULL, NULL},

    {"null for invalid", NULLS, C_TZ, INVALID("infinity"), "v=null __invalid=[\"v\"]", "timestamp-micros"},
    {"null for 24:00", NULLS, C_TIME, V_INT(CDC_TIME, 86400000000), "v=null __invalid=[\"v\"]", NULL},
    {"null for an array with an invalid item", NULLS, C_DATES, V_ARR(days), "v=null __invalid=[\"v\"]", "array"},
    {"null for an invalid array", NULLS, C_DATES, INVALID("{{1}}"), "v=null __invalid=[\"v\"]", NULL},
    {"null, but valid", NULLS, C_DATE, V_INT(CDC_DATE, 0), "v=\"1970-01-01\"", "\"logicalType\":\"date\""},
    {"null for all", "on_invalid: \"null\"", C_TZ, INVALID("infinity"), "v=null __invalid=[\"v\"]", NULL},
    {"null for others alone", "on_invalid: {w: \"null\"}", C_TZ, INVALID("infinity"), NULL, NULL},
    {"fail", "", C_TZ, INVALID("infinity"), NULL, NULL},
    {"fail for 24:00", "", C_TIME, V_INT(CDC_TIME, 86400000000), NULL, NULL},
    {"fail for an array with an invalid item", "", C_DATES, V_ARR(days), NULL, NULL},

    {"string, invalid", TEXTS, C_TZ, INVALID("infinity"), "v=\"infinity\"", "[\"null\",\"string\"],\"default\":null,\"cdc.type\":\"timestamp with time zone\",\"cdc.nullable\":true}"},
    {"string, valid moment", TEXTS, C_TZ, V_INT(CDC_TIMESTAMPTZ, KIT_US), "v=" KIT_AT, NULL},
    {"string, null", TEXTS, C_TZ, NUL, "v=null", NULL},
    {"string, unchanged", TEXTS, C_TZ, UNCHANGED, "v=null __unchanged=[\"v\"]", NULL},
    {"string, 24:00", TEXTS, C_TIME, V_INT(CDC_TIME, 86400000000), "v=\"24:00:00.000000\"", NULL},
    {"string, decimal", TEXTS, C_DEC, V_DEC("\xfb", 2), "v=\"-0.05\"", NULL},
    {"string, NaN", TEXTS, C_DEC, INVALID("NaN"), "v=\"NaN\"", NULL},
    {"string, decimal too large for its column", TEXTS, C_DEC, V_DEC("\x01\x00\x00\x00", 2), "v=\"167772.16\"", NULL},
    {"string, date", TEXTS, C_DATE, V_INT(CDC_DATE, 11016), "v=\"2000-02-29\"", NULL},
    {"string, date invalid", TEXTS, C_DATE, INVALID("12000-01-01"), "v=\"12000-01-01\"", NULL},
    {"string, array", TEXTS, C_INTS, V_ARR(ints), "v=\"[1,null]\"", "[\"null\",\"string\"]"},
    {"string, array with an invalid item", TEXTS, C_DATES, V_ARR(days), "v=\"[\\\"1970-01-01\\\",\\\"in\\\\\\\"f\\\",null]\"", NULL},
    {"string, array with a number among dates", TEXTS, C_INTS, V_ARR(mixed), "v=\"[0,\\\"in\\\\\\\"f\\\",null]\"", NULL},
    {"string, invalid array", TEXTS, C_DATES, INVALID("{{1},{2}}"), "v=\"{{1},{2}}\"", NULL},
    {"string, int by name", TEXTS, C_INT, ID(7), "v=\"7\"", "[\"null\",\"string\"]"},
    {"string, bool by name", TEXTS, C_BOOL, BOOL(0), "v=\"false\"", NULL},
    {"string, float by name", TEXTS, C_F4, V_FLOAT((double)0.1f), "v=\"0.1\"", NULL},
    {"string, bytes by name", TEXTS, C_BYTES, V_STR(CDC_BYTES, "\x00\xff"), "v=\"AP8=\"", NULL},
    {"string, uuid by name", TEXTS, C_UUID, V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000001"), "v=\"00000000-0000-0000-0000-000000000001\"", "[\"null\",\"string\"]"},
    {"string, json by name", TEXTS, C_JSON, V_STR(CDC_JSON, "{\"a\":1}"), "v=\"{\\\"a\\\":1}\"", "[\"null\",\"string\"]"},
    {"string, text is text", TEXTS, C_TEXT, TEXT("x"), "v=\"x\"", "\"cdc.default\":\"'hush'::text\"}"},
    {"string for all: a type that needs it", "on_invalid: string", C_DEC, V_DEC("\xfb", 2), "v=\"-0.05\"", "[\"null\",\"string\"]"},
    {"string for all: a type that does not", "on_invalid: string", C_INT, ID(7), "v=7", "[\"null\",\"int\"]"},

    {"exclude", "columns: {exclude: [v]}", C_TEXT, TEXT("hush"), "", NULL},
    {"exclude, unchanged", "columns: {exclude: [v]}", C_TEXT, UNCHANGED, "", NULL},
    {"exclude, invalid", "columns: {exclude: [v]}", C_TZ, INVALID("hush"), "", NULL},
    {"not included", "columns: {include: [w]}", C_TEXT, TEXT("hush"), "", NULL},
};

/* What cannot be done. */
static const struct refusal {
    const char *name, *rule;
    struct cdc_column cols[2];
    const char *why;
} refusals[] = {
    {"exclude a key column", "columns: {exclude: [i*]}", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TEXT}, "column id: `exclude`"},
    {"mask a key column", "columns: {mask: [id]}", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TEXT}, "column id: `mask`"},
    {"truncate a key column", "columns: {truncate: {id: 3}}", {COL("id", "text", CDC_TEXT, .key = 1), C_TEXT}, "column id: `truncate`"},
    {"truncate an int", CUT3, {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_INT}, "column v: `truncate` is for text"},
    {"truncate json", CUT3, {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_JSON}, "column v: `truncate` is for text"},
    {"truncate what on_invalid makes text", CUT3 ", on_invalid: {v: string}", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TZ}, "column v: `truncate` is for text"},
    {"logical_delete, no such column", "logical_delete: {column: gone}", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TEXT}, "column gone: `logical_delete`"},
    {"updated_at, no such column", "updated_at: changed", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TEXT}, "column changed: `updated_at`"},
    {"updated_at, a text", "updated_at: v", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TEXT}, "column v: `updated_at` needs"},
    {"updated_at, a time", "updated_at: v", {COL("id", "int", CDC_INT, .bits = 32, .key = 1), C_TIME}, "column v: `updated_at` needs"},
};
/* clang-format on */

static void run(void **state)
{
    const struct row *row = *state;
    const struct cdc_column cols[] = {COL("id", "int", CDC_INT, .bits = 32, .key = 1), row->col};
    const struct cdc_value vals[] = {ID(1), row->val};
    struct cdc_error err = {.message = ""};
    struct kit kit;
    char want[512] = "id=1 ";
    kit_up(&kit, row->rule, cols, 2);
    if (row->attribute)
        assert_non_null(strstr((const char *)kit.text.p, row->attribute));
    int rc = kit_add(&kit, 'u', 0, NULL, vals, &err);
    if (row->want) {
        size_t split = strcspn(row->want, " "); /* __op stands before what is said of columns */
        snprintf(want + 5, sizeof want - 5, "%.*s%s__op=\"u\"%s", (int)split, row->want,
                 split ? " " : "", row->want + split);
        assert_int_equal(rc, CDC_OK);
        kit_check(&kit, (const char *const[]){want}, 1);
        assert_int_equal(kit.env.invalid, strstr(want, "__invalid") != NULL);
    } else {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_non_null(strstr(err.message, "public.t.v"));
        assert_non_null(strstr(err.message, "`on_invalid: {v: null}`"));
    }
    kit_down(&kit);
}

static void refuse(void **state)
{
    const struct refusal *row = *state;
    struct cdc_error err = {.message = ""};
    struct kit kit;
    struct cdc_plan *plan = NULL;
    kit_rule(&kit, row->rule);
    kit_table(&kit, row->cols, 2);
    struct cdc_schema schema = {.text = "{}", .len = 2};
    assert_int_equal(cdc_plan_new(kit.tab, &schema, &kit.env, &plan, &err), CDC_FAIL);
    assert_int_equal(kit_plan(&kit, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_string_equal(err.where, "shop.yaml:6");
    if (!strstr(err.message, row->why) || !strstr(err.message, "table public.t, column"))
        fail_msg("\"%s\" is not in: %s", row->why, err.message);
    kit_down(&kit);
}

static bool holds(struct cdc_slice bytes, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= bytes.len; i++)
        if (memcmp(bytes.p + i, what, n) == 0)
            return true;
    return false;
}

/* clang-format off */
#define HUSH "hush1 clear text of a person"

/* Rules under which HUSH, wherever it stands in a row, must be in nothing that we give. */
static const struct hidden {
    const char *name, *rule;
    struct cdc_value id, v, w; /* of columns text, text, jsonb */
} hidden[] = {
    {"excluded", "columns: {exclude: [v, w]}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"excluded and invalid", "columns: {exclude: [v, w]}, on_invalid: string", TEXT("1"), INVALID(HUSH), INVALID(HUSH)},
    {"excluded by include", "columns: {include: [id]}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"hashed", "columns: {hash: [v, w]}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"hashed and invalid", "columns: {hash: [v, w]}, on_invalid: string", TEXT("1"), INVALID(HUSH), INVALID(HUSH)},
    {"hashed key", "columns: {hash: [id]}", TEXT(HUSH), NUL, NUL},
    {"masked", "columns: {mask: [v, w]}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"masked and invalid", "columns: {mask: [v, w]}, on_invalid: string", TEXT("1"), INVALID(HUSH), INVALID(HUSH)},
    {"truncated", "columns: {truncate: {v: 4}, exclude: [w]}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"truncated, logical delete", "columns: {truncate: {v: 4}, exclude: [w]}, logical_delete: {column: w}", TEXT("1"), TEXT(HUSH), V_STR(CDC_JSON, "\"" HUSH "\"")},
    {"refused", "", TEXT("1"), INVALID(HUSH), INVALID(HUSH)},
    {"refused key", "", INVALID(HUSH), NUL, NUL},
    {"made null", "on_invalid: \"null\"", TEXT("1"), INVALID(HUSH), INVALID(HUSH)},
};
/* clang-format on */

static void check_json(struct kit *kit, const struct cdc_value *row)
{
    struct cdc_tx tx = {.commit_us = KIT_US};
    struct cdc_change chg = {.op = 'c', .table = kit->tab, .tx = &tx, .after = row};
    struct cdc_record rec[CDC_RECORDS_MAX];
    struct cdc_buf json = CDC_BUF(4096);
    struct cdc_error err = {.message = ""};
    if (cdc_plan_records(kit->tab->plan, &chg, 0, rec, &err) == 1)
        (void)!cdc_plan_json(kit->tab->plan, rec, &json, &err);
    assert_false(holds(cdc_buf_slice(&json), "hush1"));
    assert_null(strstr(err.message, "hush1"));
    cdc_buf_done(&json);
}

static void hide(void **state)
{
    const struct hidden *row = *state;
    static const struct cdc_column cols[] = {
        COL("id", "text", CDC_TEXT, .key = 1),
        COL("v", "text", CDC_TEXT, .bits = 0),
        COL("w", "jsonb", CDC_JSON, .bits = 0),
    };
    static const char ops[] = "curdK"; /* K: a key change */
    const struct cdc_value vals[] = {row->id, row->v, row->w}, other[] = {TEXT("2"), NUL, NUL};
    bool refused = strncmp(row->name, "refused", 7) == 0;
    struct kit kit;
    kit_up(&kit, row->rule, cols, 3);
    for (const char *op = ops; *op; op++) {
        struct cdc_error err = {.message = ""};
        bool moved = *op == 'K';
        int rc = kit_add(&kit, moved ? 'u' : *op, moved ? CDC_KEY_MOVED : 0, vals,
                         moved ? other : vals, &err);
        assert_int_equal(rc, refused ? CDC_FAIL : CDC_OK);
        assert_null(strstr(err.message, "hush1"));
    }
    check_json(&kit, vals);
    assert_int_equal(cdc_avro_writer_flush(kit.w, false, NULL), CDC_OK);
    assert_false(holds(cdc_buf_slice(&kit.mem.buf), "hush1"));
    assert_false(holds(cdc_buf_slice(&kit.text), "hush1"));
    kit_down(&kit);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(refusals) + CM_COUNT(hidden)], *to = tests;
    to = CM_ROWS(to, run, rows);
    to = CM_ROWS(to, refuse, refusals);
    to = CM_ROWS(to, hide, hidden);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
