/*
 * test_mysql_bound.c - bounds of ranges, as text and as SQL; what is none of ours never gets into
 * SQL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/snap.h"
#include "rows.h"

#define COLUMN(name, kind, set, coll)                                                              \
    {                                                                                              \
        .quoted = "`" name "`", .form = kind, .charset = set, .collation = coll                    \
    }

static struct mys_key_column number[] = {COLUMN("id", MYS_KEY_NUMBER, "", "")};
static struct mys_key_column floating[] = {COLUMN("f", MYS_KEY_FLOAT, "", "")};
static struct mys_key_column index_[] = {COLUMN("e", MYS_KEY_INDEX, "", "")};
static struct mys_key_column bit[] = {COLUMN("b", MYS_KEY_BIT, "", "")};
static struct mys_key_column quoted[] = {COLUMN("d", MYS_KEY_QUOTED, "", "")};
static struct mys_key_column bytes[] = {COLUMN("b", MYS_KEY_BYTES, "", "")};
static struct mys_key_column text[] = {COLUMN("t", MYS_KEY_TEXT, "latin1", "latin1_german2_ci")};
static struct mys_key_column three[] = {COLUMN("a``b", MYS_KEY_NUMBER, "", ""),
                                        COLUMN("t", MYS_KEY_TEXT, "utf8mb4", "utf8mb4_bin"),
                                        COLUMN("e", MYS_KEY_INDEX, "", "")};

#define KEY(columns) (&(const struct mys_key){CM_COUNT(columns), columns, NULL})

static const struct row {
    const char *name;
    const struct mys_key *key;
    const char *texts[3];
    const char *from, *below; /* NULL: these are no texts of that key */
} rows[] = {
    {"number", KEY(number), {"-1024"}, "`id` >= -1024", "`id` < -1024"},
    {"decimal", KEY(number), {"12.50"}, "`id` >= 12.50", "`id` < 12.50"},
    {"float", KEY(floating), {"-1.5e-7"}, "`f` >= -1.5e-7", "`f` < -1.5e-7"},
    {"a float without exponent", KEY(floating), {"0.1"}, "`f` >= 0.1e0", "`f` < 0.1e0"},
    {"enum", KEY(index_), {"3"}, "`e` + 0 >= 3", "`e` + 0 < 3"},
    {"bit", KEY(bit), {"3"}, "`b` >= 3", "`b` < 3"},
    {"datetime",
     KEY(quoted),
     {"2024-02-31 00:00:00"},
     "`d` >= '2024-02-31 00:00:00'",
     "`d` < '2024-02-31 00:00:00'"},
    {"uuid",
     KEY(quoted),
     {"550e8400-e29b-41d4-a716-446655440000"},
     "`d` >= '550e8400-e29b-41d4-a716-446655440000'",
     "`d` < '550e8400-e29b-41d4-a716-446655440000'"},
    {"bytes", KEY(bytes), {"00FF"}, "`b` >= X'00FF'", "`b` < X'00FF'"},
    {"no bytes", KEY(bytes), {""}, "`b` >= X''", "`b` < X''"},
    {"text", KEY(text), {"E42720"}, "`t` >= _latin1 X'E42720'", "`t` < _latin1 X'E42720'"},
    {"three columns",
     KEY(three),
     {"7", "61", "2"},
     "`a``b` >= 7 AND (`a``b` > 7 OR (`a``b` = 7 AND (`t` > _utf8mb4 X'61' OR (`t` = _utf8mb4 "
     "X'61' AND (`e` + 0 >= 2)))))",
     "`a``b` <= 7 AND (`a``b` < 7 OR (`a``b` = 7 AND (`t` < _utf8mb4 X'61' OR (`t` = _utf8mb4 "
     "X'61' AND (`e` + 0 < 2)))))"},

    {"not a number", KEY(number), {"1 OR 1=1"}, NULL, NULL},
    {"no number", KEY(number), {""}, NULL, NULL},
    {"a number for a person", KEY(number), {"1e5"}, NULL, NULL},
    {"a quote", KEY(quoted), {"2024-01-01' OR '"}, NULL, NULL},
    {"a backslash", KEY(quoted), {"2024\\"}, NULL, NULL},
    {"nothing quoted", KEY(quoted), {""}, NULL, NULL},
    {"an odd digit", KEY(bytes), {"0F0"}, NULL, NULL},
    {"no digit", KEY(text), {"0G"}, NULL, NULL},
    {"an index below zero", KEY(index_), {"-1"}, NULL, NULL},
    {"a column without", KEY(three), {"7", "61", NULL}, NULL, NULL},
    {"no key", &(const struct mys_key){0, NULL, NULL}, {"7"}, NULL, NULL},
};

static void test_bound(void **state)
{
    const struct row *row = *state;
    struct cdc_buf bound = CDC_BUF(4096), sql = CDC_BUF(4096);
    int rc = mys_bound_put(row->key, row->texts, &bound);
    assert_int_equal(rc, row->from ? CDC_OK : CDC_FAIL);
    if (row->from) {
        assert_true(mys_bound_fits(row->key, cdc_buf_slice(&bound)));
        assert_int_equal(mys_bound_sql(row->key, cdc_buf_slice(&bound), false, &sql), CDC_OK);
        assert_string_equal(cdc_buf_cstr(&sql), row->from);
        cdc_buf_reset(&sql);
        assert_int_equal(mys_bound_sql(row->key, cdc_buf_slice(&bound), true, &sql), CDC_OK);
        assert_string_equal(cdc_buf_cstr(&sql), row->below);
        for (size_t len = 0; len < bound.len; len++)
            assert_false(mys_bound_fits(row->key, cdc_slice_of(bound.p, len)));
    } else {
        assert_int_equal(bound.len, 0);
    }
    cdc_buf_done(&bound);
    cdc_buf_done(&sql);
}

static void put_one(const struct mys_key *key, const char *one, struct cdc_buf *ret)
{
    cdc_buf_reset(ret);
    assert_int_equal(mys_bound_put(key, &one, ret), CDC_OK);
}

/* Another name, form or collation is another key. */
static void test_other_keys(void **state)
{
    static struct mys_key_column others[][1] = {
        {COLUMN("t2", MYS_KEY_TEXT, "latin1", "latin1_german2_ci")},
        {COLUMN("t", MYS_KEY_BYTES, "", "")},
        {COLUMN("t", MYS_KEY_TEXT, "latin1", "latin1_swedish_ci")},
    };
    struct cdc_buf bound = CDC_BUF(4096), sql = CDC_BUF(4096);
    (void)state;
    put_one(KEY(text), "61", &bound);
    for (size_t i = 0; i < CM_COUNT(others); i++) {
        assert_false(mys_bound_fits(KEY(others[i]), cdc_buf_slice(&bound)));
        assert_int_equal(mys_bound_sql(KEY(others[i]), cdc_buf_slice(&bound), false, &sql),
                         CDC_FAIL);
    }
    assert_false(mys_bound_fits(KEY(three), cdc_buf_slice(&bound)));
    assert_int_equal(sql.len, 0);
    cdc_buf_done(&bound);
    cdc_buf_done(&sql);
}

/* With the right mark, so that the rest is what is looked at. `$` stands for it. */
static const struct damaged {
    const char *name, *text;
} damaged[] = {
    {"nothing", ""},
    {"no array", "{\"0\":\"$\",\"1\":\"7\"}"},
    {"no mark", "[\"7\"]"},
    {"a mark alone", "[\"$\"]"},
    {"another mark", "[\"#00000000\",\"7\"]"},
    {"the mark as a number", "[1,\"7\"]"},
    {"a number that is none", "[\"$\",7]"},
    {"null", "[\"$\",null]"},
    {"two", "[\"$\",\"7\",\"8\"]"},
    {"SQL", "[\"$\",\"7 OR 1=1\"]"},
    {"a comment", "[\"$\",\"7--\\n\"]"},
    {"an array in it", "[\"$\",[\"7\"]]"},
    {"more behind it", "[\"$\",\"7\"]]"},
    {"NUL", "[\"$\",\"7\\u0000\"]"},
};

static void test_damaged(void **state)
{
    const struct damaged *row = *state;
    struct cdc_buf bound = CDC_BUF(4096), sql = CDC_BUF(4096), odd = CDC_BUF(4096);
    put_one(KEY(number), "7", &bound);
    for (const char *p = row->text; *p; p++) {
        if (*p == '$')
            cdc_buf_put(&odd, bound.p + 2, 9);
        else
            cdc_buf_byte(&odd, (uint8_t)*p);
    }
    assert_non_null(cdc_buf_cstr(&odd));
    assert_false(mys_bound_fits(KEY(number), cdc_buf_slice(&odd)));
    assert_int_equal(mys_bound_sql(KEY(number), cdc_buf_slice(&odd), true, &sql), CDC_FAIL);
    assert_int_equal(sql.len, 0);
    cdc_buf_done(&bound);
    cdc_buf_done(&sql);
    cdc_buf_done(&odd);
}

static void test_range(void **state)
{
    struct cdc_buf from = CDC_BUF(4096), to = CDC_BUF(4096), sql = CDC_BUF(4096);
    struct cdc_range range = {.from = {.p = NULL}};
    (void)state;
    put_one(KEY(number), "7", &from);
    put_one(KEY(number), "9", &to);
    assert_int_equal(mys_range_sql(KEY(number), &range, &sql), CDC_OK);
    assert_int_equal(sql.len, 0);
    range.to = cdc_buf_slice(&to);
    assert_int_equal(mys_range_sql(KEY(number), &range, &sql), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&sql), " AND (`id` < 9)");
    range.from = cdc_buf_slice(&from);
    cdc_buf_reset(&sql);
    assert_int_equal(mys_range_sql(KEY(number), &range, &sql), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&sql), " AND (`id` >= 7) AND (`id` < 9)");
    assert_int_equal(mys_range_sql(KEY(floating), &range, &sql), CDC_FAIL);
    cdc_buf_done(&from);
    cdc_buf_done(&to);
    cdc_buf_done(&sql);
}

static void test_select(void **state)
{
    struct cdc_buf sql = CDC_BUF(4096);
    enum mys_key_form form = MYS_KEY_NUMBER;
    (void)state;
    mys_key_select(KEY(three), &sql);
    mys_key_select(KEY(floating), &sql);
    mys_key_select(KEY(bytes), &sql);
    mys_key_select(KEY(quoted), &sql);
    assert_string_equal(cdc_buf_cstr(&sql), "`a``b`, HEX(`t`), (`e` + 0)(`f` * 1e0)HEX(`b`)`d`");
    assert_true(mys_key_form_of("varchar", &form) && form == MYS_KEY_TEXT);
    assert_true(mys_key_form_of("inet6", &form) && form == MYS_KEY_QUOTED);
    assert_true(mys_key_form_of("set", &form) && form == MYS_KEY_INDEX);
    assert_false(mys_key_form_of("text", &form));
    assert_false(mys_key_form_of("json", &form));
    assert_false(mys_key_form_of("", &form));
    cdc_buf_done(&sql);
}

static const struct whole {
    const char *name;
    const struct mys_key *key;
    const char *text;
    int64_t whole; /* 0: none */
} wholes[] = {
    {"a whole number", KEY(number), "24940", 24940},
    {"below zero", KEY(number), "-7", -7},
    {"the largest", KEY(number), "9223372036854775807", INT64_MAX},
    {"above it", KEY(number), "9223372036854775808", 0},
    {"a decimal", KEY(number), "12.50", 0},
    {"a minus inside", KEY(number), "1-2", 0},
    {"an enum's", KEY(index_), "3", 0},
    {"a date", KEY(quoted), "2024", 0},
};

static void test_whole(void **state)
{
    const struct whole *row = *state;
    struct cdc_buf bound = CDC_BUF(4096);
    int64_t whole = 0;
    put_one(row->key, row->text, &bound);
    assert_int_equal(mys_bound_whole(row->key, cdc_buf_slice(&bound), &whole), row->whole != 0);
    assert_int_equal(whole, row->whole);
    assert_false(mys_bound_whole(KEY(three), cdc_buf_slice(&bound), &whole));
    assert_false(mys_bound_whole(row->key, (struct cdc_slice){.p = NULL}, &whole));
    cdc_buf_done(&bound);
}

#define COLUMNS "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`id`)"

static const struct made {
    const char *name, *text, *plain;
} mades[] = {
    {"a counter", COLUMNS "\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=latin1",
     COLUMNS "\n) ENGINE=InnoDB DEFAULT CHARSET=latin1"},
    {"at the end", COLUMNS "\n) ENGINE=InnoDB AUTO_INCREMENT=42", COLUMNS "\n) ENGINE=InnoDB"},
    {"no counter", COLUMNS "\n) ENGINE=InnoDB", COLUMNS "\n) ENGINE=InnoDB"},
    {"words like it in a column",
     "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB",
     "CREATE TABLE `t` (\n  `id` int COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB"},
    {"no table", "", ""},
};

static void test_made(void **state)
{
    const struct made *row = *state;
    char *made = strdup(row->text);
    mys_table_text_plain(made);
    assert_string_equal(made, row->plain);
    free(made);
}

int main(void)
{
    struct CMUnitTest
        tests[CM_COUNT(rows) + CM_COUNT(damaged) + CM_COUNT(wholes) + CM_COUNT(mades) + 3];
    struct CMUnitTest *to = CM_ROWS(tests, test_bound, rows);
    to = CM_ROWS(to, test_damaged, damaged);
    to = CM_ROWS(to, test_whole, wholes);
    to = CM_ROWS(to, test_made, mades);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_other_keys);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_range);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_select);
    return _cmocka_run_group_tests("mysql_bound", tests, (size_t)(to - tests), NULL, NULL);
}
