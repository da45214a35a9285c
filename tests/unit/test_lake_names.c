/*
 * test_lake_names.c - paths, file names, times.
 */
#include "../../connectors/lake/lake.h"
#include "rows.h"

static const struct dir_row {
    const char *name, *schema, *table, *expect;
} dir_rows[] = {
    {"dir: plain", "public", "users", "public.users"},
    {"dir: a dot in the table stays", "a", "b.c", "a.b.c"},
    {"dir: a dot in the schema does not", "a.b", "c", "a%2Eb.c"},
    {"dir: odd bytes", "a b", "x/y%", "a%20b.x%2Fy%25"},
    {"dir: UTF-8", "s", "\xc3\xa9", "s.%C3%A9"},
    {"dir: climbing", "..", "..", "%2E%2E..."},
    {"dir: no schema", "", ".", ".%2E"},
    {"dir: upper case stays", "S", "T_-1", "S.T_-1"},
};

static void test_dir(void **state)
{
    const struct dir_row *row = *state;
    char dir[LAKE_PATH_MAX];
    lake_table_dir(row->schema, row->table, dir);
    assert_string_equal(dir, row->expect);
}

/* 63 bytes of Cyrillic in both names: longer than a file name may be. */
static void test_long_names_stay_apart(void **state)
{
    (void)state;
    char schema[64] = "", one[64] = "", two[64] = "", a[LAKE_PATH_MAX], b[LAKE_PATH_MAX];
    for (int i = 0; i < 31; i++) {
        strcat(schema, "\xd0\x96");
        strcat(one, "\xd0\x96");
    }
    strcpy(two, one);
    two[61]++;
    lake_table_dir(schema, one, a);
    lake_table_dir(schema, two, b);
    assert_true(strlen(a) <= 200 && strlen(a) > 150);
    assert_string_not_equal(a, b);
    assert_int_equal(strncmp(a, b, 150), 0);
    char path[LAKE_PATH_MAX];
    snprintf(path, sizeof path, "log/%.250s/dt=2026-01-01/x.avro", a);
    assert_true(lake_path_ok(path));
    const char *cut = strchr(a, '~');
    assert_non_null(cut);
    assert_true(cut[-1] != '%' && cut[-2] != '%');
}

static const struct name_row {
    const char *name, *text;
    bool ok;
} name_rows[] = {
    {"name: plain", "00000000000000000042-0000000007-0001.0123abcd.avro", true},
    {"name: staged", ".00000000000000000042-0000000007-0001.0123abcd.avro.tmp", true},
    {"name: many parts", "00000000000000000042-0000000007-12345.0123abcd.avro", true},
    {"name: largest", "18446744073709551615-4294967295-9999.ffffffff.avro", true},
    {"name: epoch too large", "00000000000000000042-4294967296-0001.0123abcd.avro", false},
    {"name: hidden but not staged", ".00000000000000000042-0000000007-0001.0123abcd.avro", false},
    {"name: staged but not hidden", "00000000000000000042-0000000007-0001.0123abcd.avro.tmp",
     false},
    {"name: short number", "0000000000000000042-0000000007-0001.0123abcd.avro", false},
    {"name: a sign", "00000000000000000042-0000000007--001.0123abcd.avro", false},
    {"name: a blank", "00000000000000000042- 000000007-0001.0123abcd.avro", false},
    {"name: more behind", "00000000000000000042-0000000007-0001.0123abcd.avro~", false},
    {"name: upper-case schema", "00000000000000000042-0000000007-0001.0123ABCD.avro", false},
    {"name: empty", "", false},
    {"name: a dot", ".", false},
};

static void test_name(void **state)
{
    const struct name_row *row = *state;
    struct lake_name name;
    char again[LAKE_PATH_MAX];
    assert_int_equal(lake_name_parse(row->text, &name), row->ok);
    if (row->ok) {
        lake_name_print(&name, again);
        assert_string_equal(again, row->text);
    }
    for (size_t n = 0; row->ok && n < strlen(row->text); n++) { /* no proper prefix is a name */
        char part[LAKE_PATH_MAX];
        snprintf(part, sizeof part, "%.*s", (int)n, row->text);
        assert_false(lake_name_parse(part, &name));
    }
}

static const struct path_row {
    const char *name, *path;
    bool ok;
} path_rows[] = {
    {"path: plain", "log/a.b/dt=2026-01-01/x.avro", true},
    {"path: elsewhere", "_cdc/commits/1", false},
    {"path: absolute", "/etc/passwd", false},
    {"path: climbs", "log/../../etc/passwd", false},
    {"path: climbs at the end", "log/a/..", false},
    {"path: hidden", "log/.a/b", false},
    {"path: empty part", "log//a", false},
    {"path: ends in a slash", "log/a/", false},
    {"path: a blank", "log/a b", false},
    {"path: a NUL's worth", "", false},
};

static void test_path(void **state)
{
    const struct path_row *row = *state;
    assert_int_equal(lake_path_ok(row->path), row->ok);
}

static const struct time_row {
    const char *name, *text;
    int64_t us; /* -1: not a time */
} time_rows[] = {
    {"time: epoch", "1970-01-01T00:00:00.000000Z", 0},
    {"time: microseconds", "2026-11-20T10:00:00.000001Z", 1795168800000001},
    {"time: no such day", "2026-02-31T00:00:00.000000Z", -1},
    {"time: hour 25", "2026-02-01T25:00:00.000000Z", -1},
    {"time: no zone", "2026-02-01T20:00:00.000000", -1},
    {"time: more behind", "2026-02-01T20:00:00.000000ZZ", -1},
    {"time: empty", "", -1},
};

static void test_time(void **state)
{
    const struct time_row *row = *state;
    int64_t us = 0;
    char text[28], day[11];
    assert_int_equal(lake_time_parse(row->text, &us), row->us >= 0);
    if (row->us >= 0) {
        assert_int_equal(us, row->us);
        lake_time(us, text);
        assert_string_equal(text, row->text);
        lake_date(us, day);
        assert_int_equal(strncmp(day, row->text, 10), 0);
    }
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(dir_rows) + CM_COUNT(name_rows) + CM_COUNT(path_rows) +
                            CM_COUNT(time_rows) + 1];
    struct CMUnitTest *to = tests;
    to = CM_ROWS(to, test_dir, dir_rows);
    to = CM_ROWS(to, test_name, name_rows);
    to = CM_ROWS(to, test_path, path_rows);
    to = CM_ROWS(to, test_time, time_rows);
    *to = (struct CMUnitTest)cmocka_unit_test(test_long_names_stay_apart);
    return cmocka_run_group_tests_name("lake names", tests, NULL, NULL);
}
