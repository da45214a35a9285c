/*
 * test_mysql_gtid.c - sets of GTIDs: text in every spelling, the wire's form and its prefixes, sums
 * and comparisons.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../connectors/mysql/gtid.h"
#include "rows.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "00001111-2222-3333-4444-555566667777"

/* Text, and as it prints; NULL: no set. */
static const struct row {
    const char *name, *text, *printed;
} rows[] = {
    {"nothing", "", ""},
    {"one", A ":1", A ":1"},
    {"range", A ":1-5", A ":1-5"},
    {"neighbours are one", A ":1-5:6:7-9", A ":1-9"},
    {"overlap", A ":3-9:1-5", A ":1-9"},
    {"out of order", A ":9:1:5", A ":1:5:9"},
    {"swallowed", A ":2:4:6:1-10", A ":1-10"},
    {"backward holds nothing", A ":5-3", ""},
    {"upper case", "3E11FA47-71CA-11E1-9E33-C80AA9429562:1", A ":1"},
    {"two servers, sorted", A ":1," B ":2", B ":2," A ":1"},
    {"the same twice", A ":1," A ":2", A ":1-2"},
    {"blanks and line ends", " " A " : 1 - 2 ,\n" B ":3 ", B ":3," A ":1-2"},
    {"empty elements", "," A ":1,,", A ":1"},
    {"tag", A ":blue:1-3", A ":blue:1-3"},
    {"tags sort behind none", A ":red:1:Blue:2:3," A ":9", A ":9:blue:2-3:red:1"},
    {"highest", A ":9223372036854775806", A ":9223372036854775806"},
    {"too high", A ":9223372036854775807", NULL},
    {"far too high", A ":99999999999999999999", NULL},
    {"zero", A ":0", NULL},
    {"no range", A, NULL},
    {"no range behind a tag", A ":blue", NULL},
    {"no number", A ":", NULL},
    {"open range", A ":1-", NULL},
    {"short uuid", "3e11fa47-71ca-11e1-9e33-c80aa942956:1", NULL},
    {"uuid without dashes", "3e11fa4771ca11e19e33c80aa9429562:1", NULL},
    {"something behind", A ":1x", NULL},
    {"no comma", A ":1 " B ":1", NULL},
    {"tag too long", A ":a23456789012345678901234567890123:1", NULL},
    {"a text", "idle", NULL},
};

static struct mys_set set_of(const char *text)
{
    struct mys_set set = {0};
    assert_int_equal(mys_set_parse(cdc_slice_str(text), &set, NULL), CDC_OK);
    return set;
}

static void test_text(void **state)
{
    const struct row *row = *state;
    struct mys_set set = {0};
    struct cdc_error err = {0};
    struct cdc_buf out = CDC_BUF(4096);
    int rc = mys_set_parse(cdc_slice_str(row->text), &set, &err);
    assert_int_equal(rc, row->printed ? CDC_OK : CDC_FAIL);
    assert_int_equal(err.message[0] != 0, !row->printed);
    if (row->printed) {
        mys_set_print(&set, &out);
        assert_string_equal(cdc_buf_cstr(&out), row->printed);
    } else {
        assert_int_equal(set.n, 0);
    }
    cdc_buf_done(&out);
    mys_set_done(&set);
}

static void test_wire(void **state)
{
    const struct row *row = *state;
    struct cdc_buf wire = CDC_BUF(4096);
    if (!row->printed)
        return;
    struct mys_set set = set_of(row->text), again = {0};
    mys_set_encode(&set, &wire);
    assert_false(wire.failed);
    assert_int_equal(mys_set_decode(cdc_buf_slice(&wire), &again, NULL), CDC_OK);
    assert_true(mys_set_subset(&set, &again) && mys_set_subset(&again, &set));
    mys_set_done(&again);
    for (size_t n = 0; n < wire.len; n++) {
        uint8_t *prefix = malloc(n + 1);
        assert_non_null(prefix);
        memcpy(prefix, wire.p, n);
        assert_int_equal(mys_set_decode(cdc_slice_of(prefix, n), &again, NULL), CDC_FAIL);
        assert_int_equal(again.n, 0);
        free(prefix);
    }
    mys_set_done(&set);
    cdc_buf_done(&wire);
}

/* What PREVIOUS_GTIDS of a server holds: ends are exclusive. */
static void test_wire_bytes(void **state)
{
    static const uint8_t plain[] = {1,    0,    0,    0,    0,    0,    0,    0,    0x3e, 0x11,
                                    0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a,
                                    0xa9, 0x42, 0x95, 0x62, 1,    0,    0,    0,    0,    0,
                                    0,    0,    1,    0,    0,    0,    0,    0,    0,    0,
                                    6,    0,    0,    0,    0,    0,    0,    0};
    uint8_t bytes[sizeof plain + 1];
    struct mys_set set = {0};
    struct cdc_buf out = CDC_BUF(4096);
    (void)state;
    assert_int_equal(mys_set_decode(cdc_slice_of(plain, sizeof plain), &set, NULL), CDC_OK);
    mys_set_print(&set, &out);
    assert_string_equal(cdc_buf_cstr(&out), A ":1-5");
    mys_set_done(&set);
    cdc_buf_done(&out);
    memcpy(bytes, plain, sizeof plain);
    bytes[sizeof plain] = 0;
    assert_int_equal(mys_set_decode(cdc_slice_of(bytes, sizeof bytes), &set, NULL), CDC_FAIL);
    bytes[40] = 1; /* the range ends where it begins */
    assert_int_equal(mys_set_decode(cdc_slice_of(bytes, sizeof plain), &set, NULL), CDC_FAIL);
    bytes[40] = 6;
    bytes[32] = 0; /* begins at 0 */
    assert_int_equal(mys_set_decode(cdc_slice_of(bytes, sizeof plain), &set, NULL), CDC_FAIL);
}

static const struct pair {
    const char *name, *part, *whole, *sum;
    bool subset;
} pairs[] = {
    {"nothing in nothing", "", "", "", true},
    {"nothing in some", "", A ":1", A ":1", true},
    {"some in nothing", A ":1", "", A ":1", false},
    {"itself", A ":1-5:7", A ":1-5:7", A ":1-5:7", true},
    {"a part", A ":2-3", A ":1-5", A ":1-5", true},
    {"across a gap", A ":4-7", A ":1-5:7-9", A ":1-9", false},
    {"at the edge", A ":5-6", A ":1-5", A ":1-6", false},
    {"other server", A ":1", B ":1-9", B ":1-9," A ":1", false},
    {"other tag", A ":blue:1", A ":1", A ":1:blue:1", false},
    {"tag", A ":blue:1", A ":1:blue:1-2", A ":1:blue:1-2", true},
};

static void test_pairs(void **state)
{
    const struct pair *pair = *state;
    struct mys_set part = set_of(pair->part), whole = set_of(pair->whole);
    struct cdc_buf out = CDC_BUF(4096);
    assert_int_equal(mys_set_subset(&part, &whole), pair->subset);
    assert_int_equal(mys_set_union(&whole, &part), CDC_OK);
    assert_true(mys_set_subset(&part, &whole));
    mys_set_print(&whole, &out);
    assert_string_equal(cdc_buf_cstr(&out), pair->sum);
    cdc_buf_done(&out);
    mys_set_done(&part);
    mys_set_done(&whole);
}

/* Every number of a thousand in an order that is none: one range in the end, and never a doubled.
 */
static void test_add(void **state)
{
    struct mys_set set = {0};
    struct mys_gtid gtid = {.uuid = {1}, .tag = "t"};
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        gtid.number = i * 389 % 1000 + 1;
        assert_false(mys_set_contains(&set, &gtid));
        assert_int_equal(mys_set_add(&set, &gtid), CDC_OK);
        assert_true(mys_set_contains(&set, &gtid));
        for (size_t j = 1; j < set.sids[0].n; j++)
            assert_true(set.sids[0].ranges[j - 1].to < set.sids[0].ranges[j].from);
    }
    assert_int_equal(set.n, 1);
    assert_int_equal(set.sids[0].n, 1);
    assert_int_equal(set.sids[0].ranges[0].to, 1001);
    gtid.tag[0] = 0;
    assert_false(mys_set_contains(&set, &gtid));
    gtid.number = 0;
    assert_int_equal(mys_set_add(&set, &gtid), CDC_FAIL);
    mys_set_done(&set);
}

static const struct row lists[] = {
    {"list: nothing", "", ""},
    {"list: one", "0-1-100", "0-1-100"},
    {"list: sorted by domain", "2-7-55,0-1-100", "0-1-100,2-7-55"},
    {"list: the highest of a domain", "0-1-5,0-2-9,0-3-7", "0-2-9"},
    {"list: limits", "4294967295-4294967295-18446744073709551615",
     "4294967295-4294967295-18446744073709551615"},
    {"list: domain too high", "4294967296-1-1", NULL},
    {"list: number too high", "0-1-18446744073709551616", NULL},
    {"list: a part missing", "0-1", NULL},
    {"list: comma at the end", "0-1-1,", NULL},
    {"list: two commas", "0-1-1,,1-1-1", NULL},
    {"list: blank", "0-1-1, 1-1-1", NULL},
    {"list: MySQL's", A ":1", NULL},
};

static void test_list(void **state)
{
    const struct row *row = *state;
    struct mys_list list = {0};
    struct cdc_buf out = CDC_BUF(4096);
    assert_int_equal(mys_list_parse(cdc_slice_str(row->text), &list, NULL),
                     row->printed ? CDC_OK : CDC_FAIL);
    if (row->printed) {
        mys_list_print(&list, &out);
        assert_string_equal(cdc_buf_cstr(&out), row->printed);
    }
    cdc_buf_done(&out);
    mys_list_done(&list);
}

static void test_lists_compared(void **state)
{
    struct mys_list a = {0}, b = {0};
    struct mys_gtid gtid = {.mariadb = true, .domain = 2, .server = 9, .number = 55};
    (void)state;
    assert_int_equal(mys_list_parse(cdc_slice_str("0-1-100,2-7-55"), &a, NULL), CDC_OK);
    assert_int_equal(mys_list_parse(cdc_slice_str("0-4-99"), &b, NULL), CDC_OK);
    assert_true(mys_list_contains(&a, &gtid)); /* of any server */
    assert_false(mys_list_contains(&b, &gtid));
    gtid.number++;
    assert_false(mys_list_contains(&a, &gtid));
    assert_true(mys_list_subset(&b, &a));
    assert_false(mys_list_subset(&a, &b));
    assert_int_equal(mys_list_union(&b, &a), CDC_OK);
    assert_true(mys_list_subset(&a, &b));
    mys_list_done(&a);
    mys_list_done(&b);
}

static void test_list_event(void **state)
{
    static const uint8_t bytes[] = {3, 0, 0, 0x10, 7, 0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0, 0, 0,
                                    0, 0, 0, 0,    0, 0, 3, 0, 0, 0, 5, 0, 0,  0, 0, 1, 0, 0,
                                    7, 0, 0, 0,    1, 0, 0, 0, 9, 0, 0, 0, 0,  0, 0, 0};
    struct mys_list list = {0};
    struct cdc_buf out = CDC_BUF(4096);
    (void)state;
    assert_int_equal(mys_list_decode(cdc_slice_of(bytes, sizeof bytes), &list, NULL), CDC_OK);
    mys_list_print(&list, &out);
    assert_string_equal(cdc_buf_cstr(&out), "0-3-1099511627781,7-1-9"); /* the last of domain 7 */
    mys_list_done(&list);
    cdc_buf_done(&out);
    for (size_t n = 0; n < sizeof bytes; n++)
        assert_int_equal(mys_list_decode(cdc_slice_of(bytes, n), &list, NULL), CDC_FAIL);
}

int main(void)
{
    const struct CMUnitTest singles[] = {
        cmocka_unit_test(test_wire_bytes), cmocka_unit_test(test_add),
        cmocka_unit_test(test_lists_compared), cmocka_unit_test(test_list_event)};
    struct CMUnitTest tests[2 * CM_COUNT(rows) + CM_COUNT(pairs) + CM_COUNT(lists) + 4],
        *to = tests;
    to = CM_ROWS(to, test_text, rows);
    to = CM_ROWS(to, test_wire, rows);
    to = CM_ROWS(to, test_pairs, pairs);
    to = CM_ROWS(to, test_list, lists);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("mysql: gtid", tests, NULL, NULL);
}
