/*
 * test_postgres_position.c - positions as text: both ways, and what must be refused.
 */
#include <stdio.h>
#include <string.h>

#include "../../connectors/postgres/position.h"
#include "rows.h"

static const struct row {
    const char *name, *text;
    struct pgs_pos pos;
} rows[] = {
    {"tx",
     "tx:0/2684058,0/2684028,773,1763722000123456",
     {.kind = PGS_POS_TX,
      .end = 0x2684058,
      .commit = 0x2684028,
      .xid = 773,
      .commit_us = 1763722000123456}},
    {"tx at the limits",
     "tx:FFFFFFFF/FFFFFFFF,FFFFFFFF/FFFFFFFF,4294967295,9223372036854775807",
     {.kind = PGS_POS_TX,
      .end = UINT64_MAX,
      .commit = UINT64_MAX,
      .xid = UINT32_MAX,
      .commit_us = INT64_MAX}},
    {"tx before 1970",
     "tx:1/0,0/FFFFFFF8,3,-1",
     {.kind = PGS_POS_TX, .end = 0x100000000, .commit = 0xfffffff8, .xid = 3, .commit_us = -1}},
    {"cut",
     "cut:A/B,7,1000000,00ff00ff",
     {.kind = PGS_POS_CUT,
      .end = 0xa0000000b,
      .commit = 0xa0000000b,
      .xid = 7,
      .n = 1000000,
      .crc = 0xff00ff}},
    {"idle", "idle:0/0", {.kind = PGS_POS_IDLE}},
    {"idle, high",
     "idle:16/B374D848",
     {.kind = PGS_POS_IDLE, .commit = 0x16b374d848, .end = 0x16b374d848}},
};

static const struct bad {
    const char *name, *text;
} bads[] = {
    {"empty", ""},
    {"another source's", "gtid:0-1-2"},
    {"kind alone", "tx:"},
    {"idle without LSN", "idle:"},
    {"LSN without slash", "idle:12345"},
    {"LSN with nine digits", "idle:0/123456789"},
    {"LSN with a sign", "idle:0/-1"},
    {"LSN without low half", "idle:1/"},
    {"text behind", "idle:0/1 "},
    {"text before", " idle:0/1"},
    {"tx without time", "tx:0/2,0/1,7"},
    {"tx with an empty time", "tx:0/2,0/1,7,"},
    {"tx with a minus alone", "tx:0/2,0/1,7,-"},
    {"tx that ends before it commits", "tx:0/1,0/2,7,5"},
    {"xid too large", "tx:0/2,0/1,4294967296,5"},
    {"time too large", "tx:0/2,0/1,7,9223372036854775808"},
    {"hexadecimal xid", "tx:0/2,0/1,ff,5"},
    {"cut without sum", "cut:0/1,7,5"},
    {"sum too large", "cut:0/1,7,5,1ffffffff"},
    {"negative rows", "cut:0/1,7,-5,0"},
};

static void test_both_ways(void **state)
{
    const struct row *row = *state;
    char text[PGS_POS_TEXT];
    struct pgs_pos pos;
    pgs_pos_format(&row->pos, text);
    assert_string_equal(text, row->text);
    assert_int_equal(pgs_pos_parse(cdc_slice_str(row->text), &pos), CDC_OK);
    assert_int_equal(pos.kind, row->pos.kind);
    assert_int_equal(pos.commit, row->pos.commit);
    assert_int_equal(pos.end, row->pos.end);
    assert_int_equal(pos.xid, row->pos.xid);
    assert_int_equal(pos.commit_us, row->pos.commit_us);
    assert_int_equal(pos.n, row->pos.n);
    assert_int_equal(pos.crc, row->pos.crc);
}

static void test_refused(void **state)
{
    const struct bad *bad = *state;
    struct pgs_pos pos = {.n = 42};
    assert_int_equal(pgs_pos_parse(cdc_slice_str(bad->text), &pos), CDC_FAIL);
    assert_int_equal(pos.n, 42);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(bads)], *to = tests;
    to = CM_ROWS(to, test_both_ways, rows);
    CM_ROWS(to, test_refused, bads);
    return cmocka_run_group_tests_name("postgres: position", tests, NULL, NULL);
}
