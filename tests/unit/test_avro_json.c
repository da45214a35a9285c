/* test_avro_json.c - values as text: the one form that cat, __prev_key and the replica share. */
#include "avro/json.h"
#include "avro_cells.h"
#include "cm.h"

struct row {
    const char *name;
    struct cdc_value val;
    uint8_t bits;
    const char *json, *text;
};

static const struct cdc_value two[] = {V_INT(CDC_INT, 1), {.kind = CDC_NULL}};
static const struct cdc_value floats[] = {V_FLOAT((double)0.1f), V_FLOAT(__builtin_nan(""))};
static const struct cdc_value bools[] = {V_INT(CDC_BOOL, 1), {.kind = CDC_NULL}};
static const struct cdc_value doubles[] = {V_FLOAT(0.1), V_FLOAT(-__builtin_inf())};
static const struct cdc_value decimals[] = {V_DEC("\xfb", 2), {.kind = CDC_NULL}};
static const struct cdc_value days[] = {V_INT(CDC_DATE, 0), {.kind = CDC_NULL}};
static const struct cdc_value times[] = {V_INT(CDC_TIME, 1), {.kind = CDC_NULL}};
static const struct cdc_value moments[] = {V_INT(CDC_TIMESTAMP, 1), V_INT(CDC_TIMESTAMPTZ, 1)};
static const struct cdc_value uuids[] = {V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000000")};
static const struct cdc_value docs[] = {
    V_STR(CDC_JSON, "[\"a\"]"), V_STR(CDC_JSON, "null"), {.kind = CDC_NULL}};
static const struct cdc_value strings[] = {V_STR(CDC_TEXT, "a\"b"), V_STR(CDC_BYTES, "\x01")};

/* clang-format off */
static const struct row rows[] = {
    {"null", {.kind = CDC_NULL}, 0, "null", ""},
    {"unchanged", {.kind = CDC_UNCHANGED}, 0, "null", ""},
    {"absent", {.kind = CDC_ABSENT}, 0, "null", ""},
    {"invalid", V_STR(CDC_INVALID, "secret"), 0, "null", ""},
    {"true", V_INT(CDC_BOOL, 1), 0, "true", "true"},
    {"false", V_INT(CDC_BOOL, 0), 0, "false", "false"},
    {"long min", V_INT(CDC_INT, INT64_MIN), 64, "-9223372036854775808", "-9223372036854775808"},
    {"long max", V_INT(CDC_INT, INT64_MAX), 64, "9223372036854775807", "9223372036854775807"},
    {"float 0.1 of 32 bits", V_FLOAT((double)0.1f), 32, "0.1", "0.1"},
    {"float 0.1 of 32 bits, seen as 64", V_FLOAT((double)0.1f), 64, "0.10000000149011612", "0.10000000149011612"},
    {"float 0.1", V_FLOAT(0.1), 64, "0.1", "0.1"},
    {"float third", V_FLOAT(1.0 / 3), 64, "0.3333333333333333", "0.3333333333333333"},
    {"float 17 digits", V_FLOAT(0.1 + 0.2), 64, "0.30000000000000004", "0.30000000000000004"},
    {"float 32 max", V_FLOAT(3.4028234663852886e38), 32, "3.4028235e+38", "3.4028235e+38"},
    {"float smallest", V_FLOAT(5e-324), 64, "4.94065645841247e-324", "4.94065645841247e-324"},
    {"float minus zero", V_FLOAT(-0.0), 64, "-0", "-0"},
    {"float NaN", V_FLOAT(__builtin_nan("")), 64, "\"NaN\"", "NaN"},
    {"float infinity", V_FLOAT(__builtin_inf()), 32, "\"Infinity\"", "Infinity"},
    {"float -infinity", V_FLOAT(-__builtin_inf()), 64, "\"-Infinity\"", "-Infinity"},
    {"decimal zero", V_DEC("\x00", 0), 0, "\"0\"", "0"},
    {"decimal zero with scale", V_DEC("\x00", 3), 0, "\"0.000\"", "0.000"},
    {"decimal -0.05", V_DEC("\xfb", 2), 0, "\"-0.05\"", "-0.05"},
    {"decimal 1.27", V_DEC("\x7f", 2), 0, "\"1.27\"", "1.27"},
    {"decimal 38 digits", V_DEC("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 38), 0,
     "\"0.99999999999999999999999999999999999999\"", "0.99999999999999999999999999999999999999"},
    {"decimal least of 16 bytes", V_DEC("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 0), 0,
     "\"-170141183460469231731687303715884105728\"", "-170141183460469231731687303715884105728"},
    {"text plain", V_STR(CDC_TEXT, "abc"), 0, "\"abc\"", "abc"},
    {"text empty", V_STR(CDC_TEXT, ""), 0, "\"\"", ""},
    {"text escapes", V_STR(CDC_TEXT, "\"\\/\b\f\n\r\t\x01\x1f\x7f"), 0, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001F\x7f\"", "\"\\/\b\f\n\r\t\x01\x1f\x7f"},
    {"text of several bytes", V_STR(CDC_TEXT, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 0, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"text broken: lone continuation", V_STR(CDC_TEXT, "a\x80z"), 0, "\"a\xef\xbf\xbdz\"", "a\x80z"},
    {"text broken: cut off", V_STR(CDC_TEXT, "\xe2\x82"), 0, "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\xe2\x82"},
    {"text broken: overlong", V_STR(CDC_TEXT, "\xc0\xaf"), 0, "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\xc0\xaf"},
    {"text broken: surrogate", V_STR(CDC_TEXT, "\xed\xa0\x80"), 0, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\xed\xa0\x80"},
    {"text broken: above 10FFFF", V_STR(CDC_TEXT, "\xf4\x90\x80\x80"), 0, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\xf4\x90\x80\x80"},
    {"bytes none", V_STR(CDC_BYTES, ""), 0, "\"\"", ""},
    {"bytes one", V_STR(CDC_BYTES, "f"), 0, "\"Zg==\"", "Zg=="},
    {"bytes two", V_STR(CDC_BYTES, "fo"), 0, "\"Zm8=\"", "Zm8="},
    {"bytes three", V_STR(CDC_BYTES, "foo"), 0, "\"Zm9v\"", "Zm9v"},
    {"bytes high", V_STR(CDC_BYTES, "\xff\xff\xfe"), 0, "\"///+\"", "///+"},
    {"date epoch", V_INT(CDC_DATE, 0), 0, "\"1970-01-01\"", "1970-01-01"},
    {"date before", V_INT(CDC_DATE, -1), 0, "\"1969-12-31\"", "1969-12-31"},
    {"date leap", V_INT(CDC_DATE, 11016), 0, "\"2000-02-29\"", "2000-02-29"},
    {"date 1900 has no leap day", V_INT(CDC_DATE, -25508), 0, "\"1900-03-01\"", "1900-03-01"},
    {"date first", V_INT(CDC_DATE, -719162), 0, "\"0001-01-01\"", "0001-01-01"},
    {"date last", V_INT(CDC_DATE, 2932896), 0, "\"9999-12-31\"", "9999-12-31"},
    {"date too late stays a number", V_INT(CDC_DATE, INT64_MAX), 0, "\"9223372036854775807\"", "9223372036854775807"},
    {"date too early stays a number", V_INT(CDC_DATE, INT64_MIN), 0, "\"-9223372036854775808\"", "-9223372036854775808"},
    {"time last", V_INT(CDC_TIME, 86399999999), 0, "\"23:59:59.999999\"", "23:59:59.999999"},
    {"time 24:00", V_INT(CDC_TIME, 86400000000), 0, "\"24:00:00.000000\"", "24:00:00.000000"},
    {"time too late stays a number", V_INT(CDC_TIME, 86400000001), 0, "\"86400000001\"", "86400000001"},
    {"time negative stays a number", V_INT(CDC_TIME, -1), 0, "\"-1\"", "-1"},
    {"timestamp has no Z", V_INT(CDC_TIMESTAMP, 1), 0, "\"1970-01-01T00:00:00.000001\"", "1970-01-01T00:00:00.000001"},
    {"timestamptz has one", V_INT(CDC_TIMESTAMPTZ, -1), 0, "\"1969-12-31T23:59:59.999999Z\"", "1969-12-31T23:59:59.999999Z"},
    {"timestamptz last", V_INT(CDC_TIMESTAMPTZ, 253402300799999999), 0, "\"9999-12-31T23:59:59.999999Z\"", "9999-12-31T23:59:59.999999Z"},
    {"uuid", V_STR(CDC_UUID, "00000000-0000-0000-0000-000000000000"), 0, "\"00000000-0000-0000-0000-000000000000\"", "00000000-0000-0000-0000-000000000000"},
    {"json is a string", V_STR(CDC_JSON, "{\"a\": 1e400}"), 0, "\"{\\\"a\\\": 1e400}\"", "{\"a\": 1e400}"},
    {"array empty", {.kind = CDC_ARRAY, .items = two}, 32, "[]", "[]"},
    {"array with null", V_ARR(two), 32, "[1,null]", "[1,null]"},
    {"array of floats", V_ARR(floats), 32, "[0.1,\"NaN\"]", "[0.1,\"NaN\"]"},
    {"array of bools", V_ARR(bools), 0, "[true,null]", "[true,null]"},
    {"array of doubles", V_ARR(doubles), 64, "[0.1,\"-Infinity\"]", "[0.1,\"-Infinity\"]"},
    {"array of decimals", V_ARR(decimals), 0, "[\"-0.05\",null]", "[\"-0.05\",null]"},
    {"array of dates", V_ARR(days), 0, "[\"1970-01-01\",null]", "[\"1970-01-01\",null]"},
    {"array of times", V_ARR(times), 0, "[\"00:00:00.000001\",null]", "[\"00:00:00.000001\",null]"},
    {"array of moments", V_ARR(moments), 0, "[\"1970-01-01T00:00:00.000001\",\"1970-01-01T00:00:00.000001Z\"]", "[\"1970-01-01T00:00:00.000001\",\"1970-01-01T00:00:00.000001Z\"]"},
    {"array of uuids", V_ARR(uuids), 0, "[\"00000000-0000-0000-0000-000000000000\"]", "[\"00000000-0000-0000-0000-000000000000\"]"},
    {"array of json, null text is no null", V_ARR(docs), 0, "[\"[\\\"a\\\"]\",\"null\",null]", "[\"[\\\"a\\\"]\",\"null\",null]"},
    {"array of strings", V_ARR(strings), 0, "[\"a\\\"b\",\"AQ==\"]", "[\"a\\\"b\",\"AQ==\"]"},
};
/* clang-format on */

#define N (sizeof rows / sizeof *rows)

static void run(void **state)
{
    const struct row *row = *state;
    struct cdc_buf buf = CDC_BUF(4096);
    cdc_json_value(&buf, &row->val, row->bits);
    assert_string_equal(cdc_buf_cstr(&buf), row->json);
    cdc_buf_reset(&buf);
    cdc_text_value(&buf, &row->val, row->bits);
    assert_string_equal(cdc_buf_cstr(&buf), row->text);
    cdc_buf_done(&buf);
}

/* A composite key stands in the key's order, whatever the columns' order. */
static void key_order(void **state)
{
    (void)state;
    const struct cdc_row_column cols[] = {{.name = "b", .kind = CDC_INT, .bits = 32, .key = 2},
                                          {.name = "x", .kind = CDC_INT, .bits = 32},
                                          {.name = "a\"", .kind = CDC_TEXT, .key = 1}};
    const struct cdc_value values[] = {V_INT(CDC_INT, 7), V_INT(CDC_INT, 8), V_STR(CDC_TEXT, "k")};
    const struct cdc_row_schema schema = {
        .n = 3, .n_key = 2, .cols = cols, .key = (const uint16_t[]){2, 0}};
    struct cdc_buf buf = CDC_BUF(4096);
    cdc_json_key(&buf, &schema, values);
    assert_string_equal(cdc_buf_cstr(&buf), "{\"a\\\"\":\"k\",\"b\":7}");
    cdc_buf_done(&buf);
}

int main(void)
{
    struct CMUnitTest tests[N + 1];
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, run, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[N] = (struct CMUnitTest){"key order", key_order, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
