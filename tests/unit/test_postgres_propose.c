/*
 * test_postgres_propose.c - what `init` makes of names: hints, YAML, patterns, URLs.
 */
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/propose.h"
#include "rows.h"

static const struct hint {
    const char *name; /* of the column */
    enum pgs_hint_type type;
    enum pgs_hint hint;
} hints[] = {
    {"updated_at", PGS_TYPE_TIME, PGS_HINT_UPDATED},
    {"UpdatedAt", PGS_TYPE_TIME, PGS_HINT_UPDATED},
    {"last_modified", PGS_TYPE_TIME, PGS_HINT_UPDATED},
    {"updated_at_text", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"modified_at", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"deleted_at", PGS_TYPE_TIME, PGS_HINT_DELETED},
    {"is_deleted", PGS_TYPE_BOOL, PGS_HINT_DELETED},
    {"deleted", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"deleted_by", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"password", PGS_TYPE_TEXT, PGS_HINT_EXCLUDE},
    {"PasswordHash", PGS_TYPE_TEXT, PGS_HINT_EXCLUDE},
    {"password_changed_at", PGS_TYPE_TIME, PGS_HINT_NONE},
    {"has_password", PGS_TYPE_BOOL, PGS_HINT_NONE},
    {"access_token", PGS_TYPE_OTHER, PGS_HINT_EXCLUDE},
    {"pwd", PGS_TYPE_TEXT, PGS_HINT_EXCLUDE},
    {"pwd2", PGS_TYPE_TEXT, PGS_HINT_EXCLUDE},
    {"forwarded", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"email", PGS_TYPE_TEXT, PGS_HINT_HASH},
    {"UserEmail", PGS_TYPE_TEXT, PGS_HINT_HASH},
    {"email_address", PGS_TYPE_TEXT, PGS_HINT_HASH},
    {"email_verified", PGS_TYPE_BOOL, PGS_HINT_NONE},
    {"ssn", PGS_TYPE_TEXT, PGS_HINT_HASH},
    {"assn_id", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"phone", PGS_TYPE_TEXT, PGS_HINT_MASK},
    {"home_phone_2", PGS_TYPE_TEXT, PGS_HINT_MASK},
    {"birth_date", PGS_TYPE_TIME, PGS_HINT_MASK},
    {"dob", PGS_TYPE_TIME, PGS_HINT_MASK},
    {"ip", PGS_TYPE_OTHER, PGS_HINT_MASK},
    {"client_ip", PGS_TYPE_OTHER, PGS_HINT_MASK},
    {"zip", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"ship_to", PGS_TYPE_TEXT, PGS_HINT_NONE},
    {"id", PGS_TYPE_OTHER, PGS_HINT_NONE},
    {"a_name_of_sixty_three_bytes_which_is_as_long_as_a_name_can_be_ip", PGS_TYPE_OTHER,
     PGS_HINT_NONE},
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
    assert_int_equal(pgs_hint(row->name, row->type), row->hint);
}

static void test_written(void **state)
{
    const struct written *row = *state;
    struct cdc_buf buf = CDC_BUF(1024);
    char pipeline[42] = "";
    switch (row->how) {
    case YAML: pgs_name_yaml(&buf, row->from); break;
    case PATTERN: pgs_name_pattern(&buf, "shop", row->from); break;
    case PIPELINE: pgs_name_pipeline(row->from, pipeline); break;
    case URL: pgs_name_url(&buf, row->from); break;
    case COMMENT: pgs_name_comment(&buf, row->from); break;
    }
    const char *text = row->how == PIPELINE ? pipeline : cdc_buf_cstr(&buf);
    assert_string_equal(text, row->to);
    cdc_buf_done(&buf);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(hints) + CM_COUNT(written)], *to = tests;
    to = CM_ROWS(to, test_hint, hints);
    to = CM_ROWS(to, test_written, written);
    return cmocka_run_group_tests_name("postgres: init", tests, NULL, NULL);
}
