/*
 * test_mysql_position.c - positions as text, both ways, of both families; every proper prefix, and
 * whatever else must be refused; places and their order; single GTIDs, and sums of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../connectors/mysql/position.h"
#include "rows.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static const struct row {
    const char *name, *text;
    bool mariadb, by_file;
    enum mys_pos_kind kind;
    const char *file, *gtids, *last, *tx;
    uint64_t pos, n;
    unsigned prepared;
    uint32_t crc;
} rows[] = {
    {"mysql, the first", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":157,\"gtids\":\"\"}",
     .kind = MYS_POS_TX, .file = "bin.000003", .gtids = "", .last = "", .pos = 157},
    {"mysql, without GTIDs",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":5368709120,\"gtids\":null,"
     "\"last\":{\"file\":\"bin.000003\",\"pos\":5368709000,\"id\":\"\",\"us\":-1}}",
     .by_file = true, .kind = MYS_POS_TX, .file = "bin.000003", .gtids = "", .last = "",
     .pos = 5368709120},
    {"mysql, tagged",
     "{\"kind\":\"tx\",\"file\":\"a.b.1000000\",\"pos\":4,\"gtids\":\"" A ":1-5:7:blue:3\","
     "\"last\":{\"file\":\"a.b.999999\",\"pos\":900,\"id\":\"" A ":blue:3\","
     "\"us\":1700000000000000}}",
     .kind = MYS_POS_TX, .file = "a.b.1000000", .gtids = A ":1-5:7:blue:3", .last = A ":blue:3",
     .pos = 4},
    {"mariadb",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"0-1-100,2-7-55\","
     "\"last\":{\"file\":\"bin.000003\",\"pos\":900,\"id\":\"0-1-100\",\"us\":1700000000000000}}",
     .mariadb = true, .kind = MYS_POS_TX, .file = "bin.000003", .gtids = "0-1-100,2-7-55",
     .last = "0-1-100", .pos = 1234},
    {"prepared",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"0-1-100\",\"xa\":["
     "{\"xid\":\"X'',X'',0\",\"file\":\"bin.000002\",\"pos\":77,\"gtid\":\"0-1-42\"},"
     "{\"xid\":\"X'61ff',X'00',4294967295\",\"file\":\"\",\"pos\":0,\"gtid\":\"0-1-43\"}]}",
     .mariadb = true, .kind = MYS_POS_TX, .file = "bin.000003", .gtids = "0-1-100", .last = "",
     .pos = 1234, .prepared = 2},
    {"prepared, without GTIDs",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":null,\"xa\":["
     "{\"xid\":\"X'61',X'',1\",\"file\":\"bin.000002\",\"pos\":77,\"gtid\":\"\"}]}",
     .by_file = true, .kind = MYS_POS_TX, .file = "bin.000003", .gtids = "", .last = "",
     .pos = 1234, .prepared = 1},
    {"cut",
     "{\"kind\":\"cut\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"" A ":1-100\","
     "\"tx\":{\"file\":\"bin.000003\",\"pos\":1234,\"id\":\"" A ":101\",\"us\":17},"
     "\"n\":1000,\"crc\":\"00aeaaf0\"}",
     .kind = MYS_POS_CUT, .file = "bin.000003", .gtids = A ":1-100", .last = "", .tx = A ":101",
     .pos = 1234, .n = 1000, .crc = 0xaeaaf0},
    {"cut with all",
     "{\"kind\":\"cut\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"0-1-100\","
     "\"last\":{\"file\":\"bin.000003\",\"pos\":900,\"id\":\"0-1-100\",\"us\":0},\"xa\":["
     "{\"xid\":\"X'61',X'62',1\",\"file\":\"bin.000002\",\"pos\":77,\"gtid\":\"0-1-42\"}],"
     "\"tx\":{\"file\":\"bin.000003\",\"pos\":1300,\"id\":\"0-1-101\",\"us\":17},"
     "\"n\":9223372036854775807,\"crc\":\"ffffffff\"}",
     .mariadb = true, .kind = MYS_POS_CUT, .file = "bin.000003", .gtids = "0-1-100",
     .last = "0-1-100", .tx = "0-1-101", .pos = 1234, .n = INT64_MAX, .prepared = 1,
     .crc = UINT32_MAX},
    {"odd file", "{\"kind\":\"tx\",\"file\":\"a \\\"b\\\\.000001\",\"pos\":4,\"gtids\":\"\"}",
     .kind = MYS_POS_TX, .file = "a \"b\\.000001", .gtids = "", .last = "", .pos = 4},
};

#define HEAD  "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"\""
#define CUT   "{\"kind\":\"cut\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"\""
#define XA(s) HEAD ",\"xa\":[{\"xid\":\"" s "\",\"file\":\"bin.000002\",\"pos\":77,\"gtid\":\"\"}]}"
#define TX    "\"tx\":{\"file\":\"bin.000003\",\"pos\":1300,\"id\":\"\",\"us\":17}"

/* None of MySQL's. */
static const struct bad {
    const char *name, *text;
} bads[] = {
    {"empty", ""},
    {"another source's", "idle:0/0"},
    {"no object", "[]"},
    {"no kind", "{\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"\"}"},
    {"unknown kind", "{\"kind\":\"idle\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"\"}"},
    {"no file", "{\"kind\":\"tx\",\"pos\":1234,\"gtids\":\"\"}"},
    {"empty file", "{\"kind\":\"tx\",\"file\":\"\",\"pos\":1234,\"gtids\":\"\"}"},
    {"no offset", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"gtids\":\"\"}"},
    {"negative offset", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":-1,\"gtids\":\"\"}"},
    {"offset too large",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":9223372036854775808,\"gtids\":\"\"}"},
    {"offset as text", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":\"4\",\"gtids\":\"\"}"},
    {"offset with a fraction",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4.0,\"gtids\":\"\"}"},
    {"no GTIDs", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4}"},
    {"GTIDs are no set", "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4,\"gtids\":\"x\"}"},
    {"GTIDs of the other family",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4,\"gtids\":\"0-1-2\"}"},
    {"GTIDs in another spelling",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4,\"gtids\":\"" A ":1:2\"}"},
    {"other order", "{\"file\":\"bin.000003\",\"kind\":\"tx\",\"pos\":1234,\"gtids\":\"\"}"},
    {"blank inside", "{\"kind\": \"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"\"}"},
    {"blank behind", HEAD "} "},
    {"text behind", HEAD "}}"},
    {"unknown member", HEAD ",\"more\":1}"},
    {"member twice", HEAD ",\"gtids\":\"\"}"},
    {"last without file", HEAD ",\"last\":{\"file\":\"\",\"pos\":4,\"id\":\"\",\"us\":0}}"},
    {"last without time", HEAD ",\"last\":{\"file\":\"bin.000003\",\"pos\":4,\"id\":\"\"}}"},
    {"last of the other family",
     HEAD ",\"last\":{\"file\":\"bin.000003\",\"pos\":4,\"id\":\"0-1-2\",\"us\":0}}"},
    {"last with a set",
     HEAD ",\"last\":{\"file\":\"bin.000003\",\"pos\":4,\"id\":\"" A ":1-2\",\"us\":0}}"},
    {"no prepared ones", HEAD ",\"xa\":[]}"},
    {"prepared is no list", HEAD ",\"xa\":{}}"},
    {"prepared nowhere",
     HEAD ",\"xa\":[{\"xid\":\"X'',X'',0\",\"file\":\"\",\"pos\":0,\"gtid\":\"\"}]}"},
    {"xid without format", XA("X'61',X''")},
    {"xid with an empty format", XA("X'61',X'',")},
    {"xid with text behind", XA("X'61',X'',1x")},
    {"xid with a sign", XA("X'61',X'',+1")},
    {"xid of half a byte", XA("X'6',X'',1")},
    {"xid in capitals", XA("X'FF',X'',1")},
    {"xid without end", XA("X'61,1")},
    {"xid with a large format", XA("X'61',X'',4294967296")},
    {"xid of 65 bytes", XA("X'0000000000000000000000000000000000000000000000000000000000000000"
                           "000000000000000000000000000000000000000000000000000000000000000000'"
                           ",X'',1")},
    {"cut without transaction", CUT ",\"n\":1,\"crc\":\"00000000\"}"},
    {"cut without rows", CUT "," TX ",\"crc\":\"00000000\"}"},
    {"cut without sum", CUT "," TX ",\"n\":1}"},
    {"cut with a short sum", CUT "," TX ",\"n\":1,\"crc\":\"0\"}"},
    {"cut with a long sum", CUT "," TX ",\"n\":1,\"crc\":\"000000000\"}"},
    {"cut with a sum of no digits", CUT "," TX ",\"n\":1,\"crc\":\"0000000g\"}"},
    {"tx with rows", HEAD "," TX ",\"n\":1,\"crc\":\"00000000\"}"},
};

static void assert_gtids(const struct mys_gtids *gtids, const char *text)
{
    struct cdc_buf buf = CDC_BUF(4096);
    mys_gtids_print(gtids, &buf);
    assert_string_equal(cdc_buf_cstr(&buf), text);
    cdc_buf_done(&buf);
}

static void assert_prints(const struct mys_pos *pos, const char *text)
{
    struct cdc_buf buf = CDC_BUF(4096);
    mys_pos_print(pos, &buf);
    assert_string_equal(cdc_buf_cstr(&buf), text);
    cdc_buf_done(&buf);
}

static void test_both_ways(void **state)
{
    const struct row *row = *state;
    struct mys_pos pos = {.kind = MYS_POS_NONE}, copy = {.kind = MYS_POS_NONE};
    unsigned prepared = 0;
    assert_int_equal(mys_pos_parse(row->mariadb, cdc_slice_str(row->text), &pos), CDC_OK);
    assert_int_equal(pos.kind, row->kind);
    assert_string_equal(pos.file, row->file);
    assert_int_equal(pos.pos, row->pos);
    assert_int_equal(pos.by_file, row->by_file);
    assert_int_equal(pos.gtids.mariadb, row->mariadb);
    assert_gtids(&pos.gtids, row->gtids);
    assert_string_equal(pos.last.id, row->last);
    assert_string_equal(pos.tx.id, row->tx ? row->tx : "");
    assert_int_equal(pos.n, row->n);
    assert_int_equal(pos.crc, row->crc);
    for (const struct mys_prepared *prep = pos.prepared; prep; prep = prep->next)
        prepared++;
    assert_int_equal(prepared, row->prepared);
    assert_int_equal(mys_pos_copy(&pos, &copy), CDC_OK);
    mys_pos_done(&pos);
    assert_prints(&copy, row->text);
    mys_pos_done(&copy);
}

/* On the heap, so that a read behind it is seen. */
static void assert_refused(bool mariadb, const char *text, size_t len)
{
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    assert_int_equal(mys_pos_parse(mariadb, cdc_slice_of(bytes, len), &pos), CDC_FAIL);
    assert_true(pos.kind == MYS_POS_NONE && !pos.prepared && !pos.gtids.set.n && !pos.gtids.list.n);
    free(bytes);
}

static void test_prefixes(void **state)
{
    const struct row *row = *state;
    for (size_t len = 0; len < strlen(row->text); len++)
        assert_refused(row->mariadb, row->text, len);
}

static void test_refused(void **state)
{
    const struct bad *bad = *state;
    assert_refused(false, bad->text, strlen(bad->text));
}

/* What holds a GTID is none of the other family's; and MariaDB always has GTIDs. */
static void test_other_family(void **state)
{
    (void)state;
    for (size_t i = 0; i < CM_COUNT(rows); i++)
        if (*rows[i].gtids || rows[i].by_file)
            assert_refused(!rows[i].mariadb, rows[i].text, strlen(rows[i].text));
}

/* ---- places ---- */

static const struct place {
    const char *name, *file, *place;
    uint64_t pos;
} places[] = {
    {"ordinary", "bin.000003", "000000030000000000000384", 900},
    {"above 4 GiB", "bin.000003", "000000030000000140000000", UINT64_C(5) << 30},
    {"path and dots", "./a.b.000010", "0000000a0000000000000004", 4},
    {"seven digits", "bin.1000000", "000f42400000000000000004", 4},
    {"highest", "bin.4294967295", "ffffffffffffffffffffffff", UINT64_MAX},
    {"number too large", "bin.4294967296", NULL, 4},
    {"no number", "bin", NULL, 4},
    {"nothing behind the dot", "bin.", NULL, 4},
    {"letters", "bin.00000a", NULL, 4},
    {"sign", "bin.-1", NULL, 4},
    {"empty", "", NULL, 4},
};

static void test_place(void **state)
{
    const struct place *row = *state;
    char place[CDC_PLACE_LEN + 1] = "untouched";
    assert_int_equal(mys_place(row->file, row->pos, place), row->place ? CDC_OK : CDC_FAIL);
    assert_string_equal(place, row->place ? row->place : "untouched");
}

static const struct order {
    const char *name, *a, *b;
    uint64_t pos_a, pos_b;
    int order;
} orders[] = {
    {"the same", "bin.000001", "bin.000001", 4, 4, 0},
    {"offset", "bin.000001", "bin.000001", 4, 5, -1},
    {"file", "bin.000001", "bin.000002", 900, 4, -1},
    {"more digits", "bin.999999", "bin.1000000", 900, 4, -1},
    {"another name, higher", "new.000002", "old.000001", 4, 900, 1},
    {"another name, same number", "new.000001", "old.000001", 4, 900, -1},
    {"no numbers", "a", "b", 9, 4, -1},
    {"after a failover", "failover.000000", "bin.000001", 4, 4, -1},
};

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void test_order(void **state)
{
    const struct order *row = *state;
    assert_int_equal(sign(mys_at_order(row->a, row->pos_a, row->b, row->pos_b)), row->order);
    assert_int_equal(sign(mys_at_order(row->b, row->pos_b, row->a, row->pos_a)), -row->order);
}

/* ---- GTIDs ---- */

static const struct one {
    const char *name, *text;
    bool ok, mariadb;
} ones[] = {
    {"mysql", A ":1", true, false},
    {"mysql, highest", A ":9223372036854775806", true, false},
    {"mysql, tagged", A ":blue:7", true, false},
    {"mariadb", "0-1-100", true, true},
    {"mariadb, highest", "4294967295-4294967295-18446744073709551615", true, true},
    {"nothing", "", false, false},
    {"range", A ":1-2", false, false},
    {"two ranges", A ":1:3", false, false},
    {"two servers", A ":1,00001111-2222-3333-4444-555566667777:1", false, false},
    {"capitals", "3E11FA47-71CA-11E1-9E33-C80AA9429562:1", false, false},
    {"blank", A ": 1", false, false},
    {"leading zero", A ":01", false, false},
    {"no number", A, false, false},
    {"two domains", "0-1-1,1-1-1", false, false},
    {"mariadb, leading zero", "0-1-01", false, false},
    {"mariadb, no number", "0-1-", false, false},
};

static void test_one(void **state)
{
    const struct one *row = *state;
    struct mys_gtid gtid = {.number = 42};
    struct cdc_buf buf = CDC_BUF(256);
    int rc = mys_gtid_parse(cdc_slice_str(row->text), &gtid);
    assert_int_equal(rc, row->ok ? CDC_OK : CDC_FAIL);
    if (row->ok) {
        mys_gtid_print(&gtid, &buf);
        assert_string_equal(cdc_buf_cstr(&buf), row->text);
        assert_int_equal(gtid.mariadb, row->mariadb);
    } else {
        assert_int_equal(gtid.number, 42);
    }
    cdc_buf_done(&buf);
}

static const struct sum {
    const char *name, *have, *add, *sum;
    bool contained;
} sums[] = {
    {"mysql, the next", A ":1-5", A ":6", A ":1-6", false},
    {"mysql, had", A ":1-5", A ":3", A ":1-5", true},
    {"mysql, first", "", A ":3", A ":3", false},
    {"mariadb, the next", "0-1-5", "0-2-6", "0-2-6", false},
    {"mariadb, had", "0-1-5", "0-1-3", "0-1-5", true},
    {"mariadb, another domain", "0-1-5", "1-1-3", "0-1-5,1-1-3", false},
};

static void test_sum(void **state)
{
    const struct sum *row = *state;
    struct mys_gtid gtid;
    struct mys_gtids have = {.mariadb = false}, sum = {.mariadb = false};
    assert_int_equal(mys_gtid_parse(cdc_slice_str(row->add), &gtid), CDC_OK);
    assert_int_equal(mys_gtids_parse(gtid.mariadb, cdc_slice_str(row->have), &have, NULL), CDC_OK);
    assert_int_equal(mys_gtids_empty(&have), !*row->have);
    assert_int_equal(mys_gtids_contain(&have, &gtid), row->contained);
    assert_int_equal(mys_gtids_copy(&have, &sum), CDC_OK);
    assert_int_equal(mys_gtids_add(&sum, &gtid), CDC_OK);
    assert_gtids(&sum, row->sum);
    assert_true(mys_gtids_contain(&sum, &gtid));
    assert_true(mys_gtids_subset(&have, &sum));
    assert_int_equal(mys_gtids_subset(&sum, &have), row->contained);
    mys_gtids_done(&have);
    mys_gtids_done(&sum);
}

static void test_xid_eq(void **state)
{
    struct mys_xid a = {.format = 1, .gtrid_len = 2, .bqual_len = 1, .data = "abc"}, b = a;
    (void)state;
    b.data[3] = 'x'; /* behind its end */
    assert_true(mys_xid_eq(&a, &b));
    b.data[2] = 'x';
    assert_false(mys_xid_eq(&a, &b));
    b = a;
    b.gtrid_len = 1; /* the same bytes, cut elsewhere */
    b.bqual_len = 2;
    assert_false(mys_xid_eq(&a, &b));
    b = a;
    b.format = 2;
    assert_false(mys_xid_eq(&a, &b));
}

int main(void)
{
    struct CMUnitTest tests[2 * CM_COUNT(rows) + CM_COUNT(bads) + CM_COUNT(places) +
                            CM_COUNT(orders) + CM_COUNT(ones) + CM_COUNT(sums) + 2],
        *to = tests;
    to = CM_ROWS(to, test_both_ways, rows);
    to = CM_ROWS(to, test_prefixes, rows);
    to = CM_ROWS(to, test_refused, bads);
    to = CM_ROWS(to, test_place, places);
    to = CM_ROWS(to, test_order, orders);
    to = CM_ROWS(to, test_one, ones);
    to = CM_ROWS(to, test_sum, sums);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_other_family);
    *to = (struct CMUnitTest)cmocka_unit_test(test_xid_eq);
    return cmocka_run_group_tests_name("mysql: position", tests, NULL, NULL);
}
