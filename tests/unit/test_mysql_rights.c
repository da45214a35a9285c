/*
 * test_mysql_rights.c - rights in the words of SHOW GRANTS; which letters names are folded to.
 */
#define mys_rights_read t_rights_read
#define mys_may         t_may

#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

#include "../../connectors/mysql/rights.c"

#include "cdc/crc32c.h"

static const struct grant {
    const char *name, *text, *right;
    bool has;
} rights[] = {
    {"alone", "GRANT REPLICATION SLAVE ON *.* TO `cdc`@`%`", "REPLICATION SLAVE", true},
    {"among others", "GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `c`@`%`",
     "REPLICATION SLAVE", true},
    {"last", "GRANT SELECT, PROCESS ON *.* TO `c`@`%`", "PROCESS", true},
    {"a longer one", "GRANT REPLICATION SLAVE ADMIN ON *.* TO `c`@`%`", "REPLICATION SLAVE", false},
    {"the end of another", "GRANT SHOW SELECT ON *.* TO `c`@`%`", "SELECT", false},
    {"all", "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
     "REPLICATION SLAVE", true},
    {"all of a database", "GRANT ALL PRIVILEGES ON `shop`.* TO `cdc`@`%`", "REPLICATION SLAVE",
     false},
    {"none", "GRANT USAGE ON *.* TO `cdc`@`%`", "REPLICATION SLAVE", false},
    {"others", "GRANT SELECT, REPLICATION CLIENT ON *.* TO `cdc`@`%`", "REPLICATION SLAVE", false},
    {"a role", "GRANT `reader`@`%` TO `cdc`@`%`", "REPLICATION SLAVE", false},
    {"a role of that name", "GRANT `REPLICATION SLAVE ON *.* TO `@`%` TO `cdc`@`%`",
     "REPLICATION SLAVE", false},
    {"of an active role", "GRANT REPLICATION SLAVE ON *.* TO `reader`", "REPLICATION SLAVE", true},
};

static void test_grant(void **state)
{
    const struct grant *row = *state;
    assert_int_equal(grants(row->text, row->right), row->has);
}

static void test_no_tables(void **state)
{
    (void)state;
    assert_true(t_may(NULL, "REPLICATION SLAVE"));
}

static const struct folded {
    const char *name, *from, *to;
} folded[] = {
    {"ASCII", "ABCxyz_09$@[`{", "abcxyz_09$@[`{"},
    {"Latin", "\u00c4\u00d6\u00dc\u00df \u00d7\u00f7 \u0160\u017d\u0178",
     "\u00e4\u00f6\u00fc\u00df \u00d7\u00f7 \u0161\u017e\u00ff"},
    {"Greek", "\u0391\u03a9\u0386\u03a3", "\u03b1\u03c9\u03ac\u03c3"},
    {"Cyrillic", "\u0410\u042f\u0401\u04c0", "\u0430\u044f\u0451\u04c0"},
    {"a dotted I is a plain i", "\u0130X", "ix"},
    {"shorter ones", "\u2126K\u212aZ", "\u03c9kkz"},
    {"of a newer Unicode: stay", "\u1e9e\u2c00\ua640\u10a0", "\u1e9e\u2c00\ua640\u10a0"},
    {"wide", "\uff21\uff3a", "\uff41\uff5a"},
    {"no letters", "\u4e2d\u6587\U0001f600", "\u4e2d\u6587\U0001f600"},
    {"no UTF-8", "A\xff\xc3", "a\xff\xc3"},
    {"cut short", "A\xe1\xba", "a\xe1\xba"},
    {"nothing", "", ""},
};

static void test_fold(void **state)
{
    const struct folded *row = *state;
    struct mys_facts facts = {.lower_case = 0};
    char text[64];
    snprintf(text, sizeof text, "%s", row->from);
    mys_name_fold(&facts, text);
    assert_string_equal(text, row->from);
    for (facts.lower_case = 1; facts.lower_case <= 2; facts.lower_case++) {
        snprintf(text, sizeof text, "%s", row->from);
        mys_name_fold(&facts, text);
        assert_string_equal(text, row->to);
    }
}

/* Every code point of three bytes and less: the sum is that of both servers' LOWER(), see
 * fold_table.h; so is the number of those that change. */
static void test_fold_all(void **state)
{
    const struct mys_facts facts = {.lower_case = 1};
    uint32_t sum = 0, changed = 0;
    (void)state;
    for (uint32_t c = 1; c < 0x10000; c++) {
        char before[4] = {0}, text[4] = {0};
        if (c >= 0xD800 && c < 0xE000)
            continue;
        if (c < 0x80) {
            before[0] = (char)c;
        } else if (c < 0x800) {
            before[0] = (char)(0xC0 | c >> 6);
            before[1] = (char)(0x80 | (c & 0x3F));
        } else {
            before[0] = (char)(0xE0 | c >> 12);
            before[1] = (char)(0x80 | (c >> 6 & 0x3F));
            before[2] = (char)(0x80 | (c & 0x3F));
        }
        memcpy(text, before, sizeof text);
        mys_name_fold(&facts, text);
        changed += strcmp(text, before) != 0;
        sum = cdc_crc32c(sum, text, strlen(text));
    }
    assert_int_equal(changed, 696);
    assert_int_equal(sum, 0x6e415c4u);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rights) + CM_COUNT(folded) + 2], *to = tests;
    to = CM_ROWS(to, test_grant, rights);
    to = CM_ROWS(to, test_fold, folded);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_no_tables);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_fold_all);
    return cmocka_run_group_tests_name("mysql: rights, names", tests, NULL, NULL);
}
