/*
 * test_mysql_resume.c - what resume.c decides without a server: names of transactions, which
 * position counts after a failover or with GTIDs turned on or off. What it asks of a server is in
 * tests/integration/mysql_faults and mysql_failover.
 */
#define mys_resume   t_resume
#define mys_executed fake_executed
#define mys_owned    fake_owned
#define mys_query    fake_query

#include <mariadb/mysql.h>
MYSQL_ROW fake_row(MYSQL_RES *res);
#define mysql_fetch_row fake_row

#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

#include "../../connectors/mysql/resume.c"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static const struct name {
    const char *name, *info, *id;
    bool named;
} names_rows[] = {
    {"mysql", "SET @@SESSION.GTID_NEXT= '" A ":23'", A ":23", true},
    {"mysql, a longer number", "SET @@SESSION.GTID_NEXT= '" A ":231'", A ":23", false},
    {"mysql, tagged", "SET @@SESSION.GTID_NEXT= '" A ":blue:23'", A ":blue:23", true},
    {"mysql, the tag is missing", "SET @@SESSION.GTID_NEXT= '" A ":23'", A ":blue:23", false},
    {"mariadb", "BEGIN GTID 0-1-100", "0-1-100", true},
    {"mariadb, a group", "BEGIN GTID 0-1-100 cid=7", "0-1-100", true},
    {"mariadb, a longer number", "GTID 0-1-1001", "0-1-100", false},
    {"another event", "use `shop`; DROP TABLE t", "0-1-100", false},
};

static void test_names(void **state)
{
    const struct name *row = *state;
    assert_int_equal(names(row->info, row->id), row->named);
}

#define LAST ",\"last\":{\"file\":\"bin.000003\",\"pos\":900,\"id\":\"" A ":9\",\"us\":17}"
#define XA                                                                                         \
    ",\"xa\":[{\"xid\":\"X'61',X'',1\",\"file\":\"bin.000002\",\"pos\":77,\"gtid\":\"" A ":7\"}]"
#define TX   "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"" A ":1-9\""
#define NONE "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":null"
#define CUT                                                                                        \
    "{\"kind\":\"cut\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"" A ":1-9\"" LAST          \
    ",\"tx\":{\"file\":\"bin.000003\",\"pos\":1234,\"id\":\"" A                                    \
    ":10\",\"us\":18},\"n\":5,\"crc\":\"00000007\"}"
#define MOVED "{\"kind\":\"tx\",\"file\":\"failover.000000\",\"pos\":4,\"gtids\":\"" A ":1-9\""

/* Saved, and head as it goes on; `gtids`: the server has them. */
static const struct step {
    const char *name, *saved, *head;
    bool gtids, other;
    const char *refused;
    enum mys_phase phase;
} steps[] = {
    {"the same server", TX LAST "}", TX LAST "}", .gtids = true, .phase = MYS_START},
    {"without GTIDs", NONE "}", NONE "}", .phase = MYS_START},
    {"GTIDs turned on since", NONE "}", NONE "}", .gtids = true, .phase = MYS_START},
    {"GTIDs turned off since", TX "}", NONE "}", .phase = MYS_START},
    {"a cut", CUT, TX LAST "}", .gtids = true, .phase = MYS_START},
    {"another server", TX LAST XA "}",
     MOVED ",\"xa\":[{\"xid\":\"X'61',X'',1\",\"file\":\"\",\"pos\":0,\"gtid\":\"" A ":7\"}]}",
     .gtids = true, .other = true, .phase = MYS_SAY_FAILOVER},
    {"another server, without GTIDs", NONE "}", NULL, .other = true,
     .refused = "there are no GTIDs"},
    {"another server, began without GTIDs", NONE "}", NULL, .gtids = true, .other = true,
     .refused = "there are no GTIDs"},
    {"another server, a cut", CUT, NULL, .gtids = true, .other = true,
     .refused = "inside a transaction"},
};

static void test_step(void **state)
{
    const struct step *row = *state;
    struct mys_source src = {.facts.gtids = row->gtids, .phase = MYS_START};
    struct cdc_error err = {.where = ""};
    struct cdc_buf text = CDC_BUF(4096);
    cdc_map_init(&src.known);
    assert_int_equal(cdc_map_put(&src.known, cdc_slice_str("incarnation"), cdc_slice_str("41")),
                     CDC_OK);
    assert_int_equal(take_position(&src, cdc_slice_str(row->saved), &err), CDC_OK);
    settle_gtids(&src);
    int rc = row->other ? other_server(&src, "another server answers", &err) : CDC_OK;
    assert_int_equal(rc, row->refused ? CDC_FAIL : CDC_OK);
    if (row->refused) {
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_non_null(strstr(err.message, row->refused));
    } else {
        mys_pos_print(&src.head, &text);
        assert_string_equal(cdc_buf_cstr(&text), row->head);
        assert_int_equal(src.phase, row->phase);
        assert_int_equal(src.incarnation, row->other ? 42 : 0);
        assert_int_equal(src.resume.kind, strcmp(row->saved, CUT) == 0 ? MYS_POS_CUT : 0);
        assert_int_equal(src.resume.n, src.resume.kind ? 5 : 0);
    }
    cdc_buf_done(&text);
    mys_pos_done(&src.head);
    cdc_map_done(&src.known);
}

static const struct origin_row {
    const char *name, *text;
    bool ok, mariadb;
} origins[] = {
    {"mysql", "{\"type\":\"mysql\",\"ident\":\"" A "\",\"flavour\":\"mysql\"}", true, false},
    {"mariadb", "{\"type\":\"mysql\",\"ident\":\"server_id 1\",\"flavour\":\"mariadb\"}", true,
     true},
    {"none", NULL, false, false},
    {"another source", "{\"type\":\"postgres\",\"systemid\":\"1\"}", false, false},
    {"no ident", "{\"type\":\"mysql\",\"flavour\":\"mysql\"}", false, false},
    {"damaged", "{\"type\":\"mysql\",", false, false},
};

static void test_origin(void **state)
{
    const struct origin_row *row = *state;
    struct origin origin = {.ident = ""};
    struct cdc_error err = {.where = ""};
    struct cdc_map map;
    cdc_map_init(&map);
    if (row->text)
        assert_int_equal(cdc_map_put(&map, cdc_slice_str("source"), cdc_slice_str(row->text)),
                         CDC_OK);
    assert_int_equal(read_origin(&map, &origin, &err), row->ok ? CDC_OK : CDC_FAIL);
    assert_int_equal(origin.mariadb, row->mariadb);
    assert_int_equal(origin.ident[0] != 0, row->ok);
    cdc_map_done(&map);
}

/* What the server has executed, works on, and has deleted; against what we have. */
static const struct sets {
    const char *name, *executed, *owned, *purged, *have, *refused;
    bool other;
} sets_rows[] = {
    {"all is executed", A ":1-9", "", "", A ":1-9", NULL, false},
    {"the last one is on its way", A ":1-8", A ":9", "", A ":1-9", NULL, false},
    {"the same at another server", A ":1-8", A ":9", "", A ":1-9",
     "has GTIDs that the server has not executed", true},
    {"one is missing", A ":1-8", A ":10", "", A ":1-9",
     "has GTIDs that the server has not executed", false},
    {"deleted", A ":1-20", "", A ":1-10", A ":1-9", "has deleted log", false},
};
static const struct sets *asked;

static int give(const char *text, struct mys_gtids *ret)
{
    return mys_gtids_parse(false, cdc_slice_str(text), ret, NULL);
}

int fake_executed(MYSQL *conn, const struct mys_facts *facts, struct mys_gtids *ret,
                  struct cdc_error *err)
{
    (void)conn, (void)facts, (void)err;
    return give(asked->executed, ret);
}

int fake_owned(MYSQL *conn, struct mys_gtids *ret, struct cdc_error *err)
{
    (void)conn, (void)err;
    return give(asked->owned, ret);
}

/* Is it a replica? No. */
int fake_query(MYSQL *conn, const char *sql, MYSQL_RES **ret, struct cdc_error *err)
{
    (void)conn, (void)ret;
    return strstr(sql, "gtid_purged") ? CDC_OK : cdc_fail(err, CDC_RETRY, "mysql", "none");
}

MYSQL_ROW fake_row(MYSQL_RES *res)
{
    static char *row[6];
    (void)res;
    row[0] = (char *)(uintptr_t)asked->purged;
    return row;
}

static void test_sets(void **state)
{
    struct mys_source src = {.facts.gtids = true};
    struct cdc_error err = {.where = ""};
    asked = *state;
    assert_int_equal(give(asked->have, &src.head.gtids), CDC_OK);
    int rc = check_sets(&src, !asked->other, &err);
    assert_int_equal(rc, asked->refused ? CDC_FAIL : CDC_OK);
    if (asked->refused) {
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_non_null(strstr(err.message, asked->refused));
    }
    mys_pos_done(&src.head);
}

int main(void)
{
    struct CMUnitTest
        tests[CM_COUNT(names_rows) + CM_COUNT(steps) + CM_COUNT(origins) + CM_COUNT(sets_rows)],
        *to = tests;
    to = CM_ROWS(to, test_names, names_rows);
    to = CM_ROWS(to, test_step, steps);
    to = CM_ROWS(to, test_origin, origins);
    CM_ROWS(to, test_sets, sets_rows);
    return cmocka_run_group_tests_name("mysql: resume", tests, NULL, NULL);
}
