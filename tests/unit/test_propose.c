/*
 * test_propose.c - what `init` of every source makes of names: hints, YAML, patterns, URLs, and the
 * texts that are put together of them.
 */
#include <stdlib.h>
#include <string.h>

#include "cdc/propose.h"
#include "rows.h"

static const struct hint {
    const char *name; /* of the column */
    enum cdc_hint_type type;
    enum cdc_hint hint;
} hints[] = {
    {"updated_at", CDC_TYPE_TIME, CDC_HINT_UPDATED},
    {"UpdatedAt", CDC_TYPE_TIME, CDC_HINT_UPDATED},
    {"last_modified", CDC_TYPE_TIME, CDC_HINT_UPDATED},
    {"updated_at_text", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"modified_at", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"deleted_at", CDC_TYPE_TIME, CDC_HINT_DELETED},
    {"is_deleted", CDC_TYPE_BOOL, CDC_HINT_DELETED},
    {"deleted", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"deleted_by", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"password", CDC_TYPE_TEXT, CDC_HINT_EXCLUDE},
    {"PasswordHash", CDC_TYPE_TEXT, CDC_HINT_EXCLUDE},
    {"password_changed_at", CDC_TYPE_TIME, CDC_HINT_NONE},
    {"has_password", CDC_TYPE_BOOL, CDC_HINT_NONE},
    {"access_token", CDC_TYPE_OTHER, CDC_HINT_EXCLUDE},
    {"pwd", CDC_TYPE_TEXT, CDC_HINT_EXCLUDE},
    {"pwd2", CDC_TYPE_TEXT, CDC_HINT_EXCLUDE},
    {"forwarded", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"email", CDC_TYPE_TEXT, CDC_HINT_HASH},
    {"UserEmail", CDC_TYPE_TEXT, CDC_HINT_HASH},
    {"email_address", CDC_TYPE_TEXT, CDC_HINT_HASH},
    {"email_verified", CDC_TYPE_BOOL, CDC_HINT_NONE},
    {"ssn", CDC_TYPE_TEXT, CDC_HINT_HASH},
    {"assn_id", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"phone", CDC_TYPE_TEXT, CDC_HINT_MASK},
    {"home_phone_2", CDC_TYPE_TEXT, CDC_HINT_MASK},
    {"birth_date", CDC_TYPE_TIME, CDC_HINT_MASK},
    {"dob", CDC_TYPE_TIME, CDC_HINT_MASK},
    {"ip", CDC_TYPE_OTHER, CDC_HINT_MASK},
    {"client_ip", CDC_TYPE_OTHER, CDC_HINT_MASK},
    {"zip", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"ship_to", CDC_TYPE_TEXT, CDC_HINT_NONE},
    {"id", CDC_TYPE_OTHER, CDC_HINT_NONE},
    {"a_name_of_sixty_three_bytes_which_is_as_long_as_a_name_can_be_ip", CDC_TYPE_OTHER,
     CDC_HINT_NONE},
};

enum how { YAML, PATTERN, PIPELINE, URL, COMMENT };

static const struct written {
    const char *name;
    enum how how;
    const char *from, *to;
} written[] = {
    {"plain", YAML, "email", "email"},
    {"blank", YAML, "e mail", "'e mail'"},
    {"colon", YAML, "a: b", "'a: b'"},
    {"comment", YAML, "a #b", "'a #b'"},
    {"digit first", YAML, "1st", "'1st'"},
    {"quote", YAML, "it's", "'it''s'"},
    {"no interpolation", YAML, "${env:X}", "'$${env:X}'"},
    {"dollar alone", YAML, "$1", "'$1'"},
    {"star is no pattern", YAML, "a*", "'a\\*'"},
    {"empty", YAML, "", "''"},
    {"table", PATTERN, "users", "shop.users"},
    {"table with a dot", PATTERN, "a.b", "shop.a.b"},
    {"table with a set", PATTERN, "a[1]?", "'shop.a\\[1\\]\\?'"},
    {"table with a newline", PATTERN, "a\nb", "'shop.a?b'"},
    {"table with a quote", PATTERN, "it's", "'shop.it''s'"},
    {"pipeline", PIPELINE, "shop", "shop"},
    {"pipeline odd", PIPELINE, "My Shop-2", "my_shop_2"},
    {"pipeline digit", PIPELINE, "2shop", "db2shop"},
    {"pipeline long", PIPELINE, "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz",
     "abcdefghijklmnopqrstuvwxyz_abcdefghijklmn"},
    {"url", URL, "a-b_c.d~1", "a-b_c.d~1"},
    {"url odd", URL, "p@ss/w'rd$%\xc3\xa4", "p%40ss%2Fw%27rd%24%25%C3%A4"},
    {"comment line", COMMENT, "a\nb: c", "a?b: c"},
};

static void test_hint(void **state)
{
    const struct hint *row = *state;
    assert_int_equal(cdc_hint(row->name, row->type), row->hint);
}

static void test_written(void **state)
{
    const struct written *row = *state;
    struct cdc_buf buf = CDC_BUF(1024);
    char pipeline[42] = "";
    switch (row->how) {
    case YAML: cdc_name_yaml(&buf, row->from); break;
    case PATTERN: cdc_name_pattern(&buf, "shop", row->from); break;
    case PIPELINE: cdc_name_pipeline(row->from, pipeline); break;
    case URL: cdc_name_url(&buf, row->from); break;
    case COMMENT: cdc_name_comment(&buf, row->from); break;
    }
    const char *text = row->how == PIPELINE ? pipeline : cdc_buf_cstr(&buf);
    assert_string_equal(text, row->to);
    cdc_buf_done(&buf);
}

/* Columns of one table, and what is proposed for it. */
static const struct proposed {
    const char *name;
    struct {
        const char *name;
        enum cdc_hint_type type;
        bool key;
    } columns[6];
    const char *text;
    bool hash;
} proposals[] = {
    {"nothing", {{"id", CDC_TYPE_OTHER, true}, {"v", CDC_TYPE_TEXT, false}}, "", false},
    {"one act", {{"phone", CDC_TYPE_TEXT, false}}, "    # columns: {mask: [phone]}\n", false},
    {"all acts",
     {{"phone", CDC_TYPE_TEXT, false},
      {"e mail", CDC_TYPE_TEXT, false},
      {"email", CDC_TYPE_TEXT, false},
      {"password", CDC_TYPE_TEXT, false},
      {"user_email", CDC_TYPE_TEXT, false}},
     "    # columns: {exclude: [password], hash: [email, user_email], mask: [phone]}\n",
     true},
    {"a key is not hidden", {{"phone", CDC_TYPE_TEXT, true}}, "", false},
    {"a key may be hashed",
     {{"email", CDC_TYPE_TEXT, true}},
     "    # columns: {hash: [email]}\n",
     true},
    {"the first time of change counts",
     {{"updated_at", CDC_TYPE_TIME, false},
      {"modified_at", CDC_TYPE_TIME, false},
      {"Deleted_At", CDC_TYPE_TIME, false},
      {"is_deleted", CDC_TYPE_BOOL, false}},
     "    # updated_at: updated_at\n    # logical_delete: {column: Deleted_At}\n",
     false},
    {"no line is broken", {{"phone\nx: y", CDC_TYPE_TEXT, false}}, "", false},
};

static void test_proposed(void **state)
{
    const struct proposed *row = *state;
    struct cdc_hints got = {0};
    struct cdc_buf text = CDC_BUF(4096);
    for (size_t i = 0; i < 6 && row->columns[i].name; i++)
        cdc_hints_take(&got, row->columns[i].name, row->columns[i].type, row->columns[i].key);
    assert_int_equal(cdc_hints_put(&got, &text), row->hash);
    assert_string_equal(cdc_buf_cstr(&text), row->text);
    cdc_hints_done(&got);
    cdc_buf_done(&text);
}

/* The rule of a schema, alone and as a comment; and the ends of the text. */
static void test_frame(void **state)
{
    struct cdc_buf text = CDC_BUF(4096);
    (void)state;
    cdc_propose_schema(&text, "shop", false);
    cdc_propose_schema(&text, "a.b c", true);
    assert_string_equal(cdc_buf_cstr(&text), "  - tables: shop.*\n  # - tables: 'a?b c.*'\n");
    cdc_buf_reset(&text);
    cdc_propose_head(&text, "database a\nb (X 1)", "ab", "x");
    const char *head = cdc_buf_cstr(&text);
    assert_non_null(strstr(head, "from what is in database a?b (X 1).\n"));
    assert_non_null(strstr(head, "\nname: ab "));
    assert_string_equal(strstr(head, "\nsource:"), "\nsource:\n  type: x\n");
    cdc_buf_reset(&text);
    cdc_propose_tail(&text, "ab", false);
    assert_string_equal(cdc_buf_cstr(&text), "\nsink:\n  type: lake\n  path: ./ab-lake\n");
    cdc_propose_tail(&text, "ab", true);
    assert_non_null(strstr(cdc_buf_cstr(&text), "# secrets: {hash: "));
    cdc_buf_done(&text);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(hints) + CM_COUNT(written) + CM_COUNT(proposals) + 1];
    struct CMUnitTest *to = tests;
    to = CM_ROWS(to, test_hint, hints);
    to = CM_ROWS(to, test_written, written);
    to = CM_ROWS(to, test_proposed, proposals);
    *to = (struct CMUnitTest)cmocka_unit_test(test_frame);
    return cmocka_run_group_tests_name("init: names and hints", tests, NULL, NULL);
}
