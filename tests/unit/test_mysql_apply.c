/*
 * test_mysql_apply.c - sequences of events, made by hand out of a small language, against the
 * changes that come of them. Recorded ones: test_mysql_apply_recorded.c.
 *
 * A step is a word and what belongs to it, ended by a semicolon:
 *   gtid N              MySQL's GTID event; anon: without number
 *   ma D-S-N FLAGS      MariaDB's, both bytes of flags in hex; with xid NAME behind it where it is
 * prepared sql TEXT            QUERY; sqlus TEXT: with microseconds 123456 map TABLE           (id
 * INT PRIMARY KEY, v INT) in database g; ids by the first letter insert TABLE 1,5 2,n      rows;
 * update 1,5>1,6; delete bits B A            which columns the images of the next rows event have,
 * as hex bitmaps commit              XID prepare NAME, one NAME    XA_PREPARE, in one phase poll a
 * new batch cut                 the position so far becomes what a new session starts from
 */
#include "rows.h"

#include "mysql_kit.h"
#include "mysql_rig.h"

#define RULES "capture:\n  - tables: g.x*\n    skip: true\n  - tables: g.*\n"

/* ---- events ---- */

struct maker {
    struct rig *rig;
    uint32_t time_s;
    uint8_t before, after;
    struct mys_pos cut;
};

static void put_le(struct cdc_buf *buf, uint64_t val, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cdc_buf_byte(buf, i < 8 ? (uint8_t)(val >> (8 * i)) : 0);
}

static int give(struct maker *mk, uint8_t type, struct cdc_buf *body)
{
    struct cdc_buf buf = CDC_BUF(1 << 16);
    size_t len = MYS_HEADER + body->len;
    put_le(&buf, mk->time_s, 4);
    put_le(&buf, type, 1);
    put_le(&buf, 9, 4); /* server */
    put_le(&buf, len, 4);
    put_le(&buf, mk->rig->src.pos + len, 4);
    put_le(&buf, 0, 2);
    cdc_buf_put(&buf, body->p, body->len);
    cdc_buf_done(body);
    uint8_t *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, buf.p, len);
    cdc_buf_done(&buf);
    int rc = rig_event(mk->rig, cdc_slice_of(exact, len));
    free(exact);
    return rc;
}

static int give_gtid(struct maker *mk, const char *arg)
{
    struct cdc_buf body = CDC_BUF(1024);
    put_le(&body, 1, 1);
    for (unsigned i = 0; i < 16; i++)
        put_le(&body, 0x11 * i, 1);
    put_le(&body, strtoull(arg, NULL, 10), 8);
    put_le(&body, 2, 1);
    put_le(&body, 0, 16);
    put_le(&body, UINT64_C(1700000000000001), 7);
    put_le(&body, 200, 1);
    return give(mk, *arg ? 33 : 34, &body);
}

static void put_xid(struct cdc_buf *body, const char *name, unsigned bytes)
{
    put_le(body, 1, 4);
    put_le(body, strlen(name), bytes);
    put_le(body, 0, bytes);
    cdc_buf_str(body, name);
}

static int give_mariadb(struct maker *mk, const char *arg)
{
    struct cdc_buf body = CDC_BUF(1024);
    unsigned domain, server, flags;
    unsigned long long number;
    char name[16];
    int n = sscanf(arg, "%u-%u-%llu %x xid %15s", &domain, &server, &number, &flags, name);
    assert_true(n >= 4 && server == 9);
    put_le(&body, number, 8);
    put_le(&body, domain, 4);
    put_le(&body, flags & 0xff, 1);
    if (n == 5)
        put_xid(&body, name, 1);
    put_le(&body, flags >> 8, 1); /* or padding */
    return give(mk, 162, &body);
}

static int give_sql(struct maker *mk, const char *text, bool us)
{
    struct cdc_buf body = CDC_BUF(1024);
    put_le(&body, 0, 8);
    put_le(&body, 1, 1);
    put_le(&body, 0, 2);
    put_le(&body, us ? 4 : 0, 2);
    if (us)
        put_le(&body, 128 | 123456 << 8, 4);
    cdc_buf_str(&body, "g");
    put_le(&body, 0, 1);
    cdc_buf_str(&body, text);
    return give(mk, 2, &body);
}

static int give_map(struct maker *mk, const char *name)
{
    static const uint8_t tail[] = {2, 3, 3, 0,   2, /* two INT, the second may be NULL */
                                   1, 1, 0,         /* signed */
                                   4, 5, 2, 'i', 'd', 1, 'v', 8, 1, 0};
    struct cdc_buf body = CDC_BUF(1024);
    put_le(&body, (uint8_t)*name, 6);
    put_le(&body, 1, 2);
    put_le(&body, 1, 1);
    cdc_buf_put(&body, "g", 2);
    put_le(&body, strlen(name), 1);
    cdc_buf_put(&body, name, strlen(name) + 1);
    cdc_buf_put(&body, tail, sizeof tail);
    return give(mk, 19, &body);
}

/* "1,n" up to a blank, > or the end; returns what follows. */
static const char *put_image(struct cdc_buf *body, const char *at, uint8_t bits)
{
    struct cdc_buf vals = CDC_BUF(64);
    uint8_t nulls = 0, n = 0;
    for (unsigned i = 0; i < 2; i++) {
        char *end = (char *)(uintptr_t)at + (*at == 'n');
        long val = *at == 'n' ? 0 : strtol(at, &end, 10);
        if (bits >> i & 1) {
            nulls |= (uint8_t)((*at == 'n') << n++);
            if (*at != 'n')
                put_le(&vals, (uint64_t)val, 4);
        }
        at = end + (*end == ',');
    }
    if (n)
        put_le(body, nulls, 1);
    cdc_buf_put(body, vals.p, vals.len);
    cdc_buf_done(&vals);
    return at;
}

static int give_rows(struct maker *mk, uint8_t type, const char *arg)
{
    struct cdc_buf body = CDC_BUF(1024);
    const char *at = strchr(arg, ' ');
    put_le(&body, *arg == '~' ? UINT64_C(0xffffffffffff) : (uint8_t)*arg, 6);
    put_le(&body, 1, 2);
    put_le(&body, 2, 2);
    put_le(&body, 2, 1);
    if (type != 30)
        put_le(&body, mk->before, 1);
    if (type != 32)
        put_le(&body, mk->after, 1);
    while (at && *at == ' ') {
        at = put_image(&body, at + 1, type == 30 ? mk->after : mk->before);
        if (type == 31)
            at = put_image(&body, at + 1, mk->after);
    }
    mk->before = mk->after = 3;
    return give(mk, type, &body);
}

static int give_commit(struct maker *mk)
{
    struct cdc_buf body = CDC_BUF(64);
    put_le(&body, 77, 8);
    return give(mk, 16, &body);
}

static int give_prepare(struct maker *mk, const char *name, bool one_phase)
{
    struct cdc_buf body = CDC_BUF(256);
    put_le(&body, one_phase, 1);
    put_xid(&body, name, 4);
    return give(mk, 38, &body);
}

/* A new session from the position inside the transaction, or behind the last. */
static int restart(struct maker *mk)
{
    struct mys_source *src = &mk->rig->src;
    struct mys_tx tx = src->tx;
    rig_poll(mk->rig);
    mys_xa_done(src);
    mys_rels_done(src);
    src->resume = (struct mys_pos){
        .kind = tx.open ? MYS_POS_CUT : MYS_POS_NONE, .tx = tx.at, .n = tx.n, .crc = tx.crc};
    src->pos = tx.open ? tx.at.pos : src->head.pos;
    src->tx = (struct mys_tx){.open = false};
    cdc_buf_str(&mk->rig->out, "restart\n");
    return CDC_OK;
}

static int do_step(struct maker *mk, const char *word, const char *arg)
{
    unsigned before, after;
    if (strcmp(word, "gtid") == 0 || strcmp(word, "anon") == 0)
        return give_gtid(mk, arg);
    if (strcmp(word, "ma") == 0)
        return give_mariadb(mk, arg);
    if (strcmp(word, "sql") == 0 || strcmp(word, "sqlus") == 0)
        return give_sql(mk, arg, word[3]);
    if (strcmp(word, "map") == 0)
        return give_map(mk, arg);
    if (strcmp(word, "insert") == 0)
        return give_rows(mk, 30, arg);
    if (strcmp(word, "update") == 0)
        return give_rows(mk, 31, arg);
    if (strcmp(word, "delete") == 0)
        return give_rows(mk, 32, arg);
    if (strcmp(word, "commit") == 0)
        return give_commit(mk);
    if (strcmp(word, "prepare") == 0 || strcmp(word, "one") == 0)
        return give_prepare(mk, arg, *word == 'o');
    if (strcmp(word, "cut") == 0)
        return restart(mk);
    if (strcmp(word, "poll") == 0) {
        rig_poll(mk->rig);
        return CDC_OK;
    }
    assert_string_equal(word, "bits");
    assert_int_equal(sscanf(arg, "%x %x", &before, &after), 2);
    mk->before = (uint8_t)before;
    mk->after = (uint8_t)after;
    return CDC_OK;
}

static int do_steps(struct maker *mk, const char *steps)
{
    char step[256], word[16];
    int rc = CDC_OK;
    while (*steps && rc >= 0) {
        size_t n = strcspn(steps, ";");
        assert_true(n < sizeof step);
        memcpy(step, steps, n);
        step[n] = 0;
        steps += n + (steps[n] == ';');
        char *at = step + strspn(step, " ");
        n = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        rc = do_step(mk, word, at + n + (at[n] == ' '));
    }
    return rc;
}

/* ---- made by hand ---- */

static const struct row {
    const char *name;
    bool mariadb;
    const char *steps, *expect;
} rows[] = {
    {"insert, update, delete", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5 2,n; update t 1,5>1,6; delete t 2,n; commit",
     "[5]\nc g.t 1 1,5\nc g.t 2 2,n\nu g.t 3 1,5 > 1,6\nd g.t 4 2,n last\nend 5 due\n"},
    {"the key moves", false, "gtid 5; sql BEGIN; map t; update t 1,5>2,5; commit",
     "[5]\nu g.t 1 1,5 > 2,5 moved last\nend 5 due\n"},
    {"rows of others are counted", false,
     "gtid 5; sql BEGIN; map x; map t; insert x 1,1 2,2; insert t 1,1; insert x 3,3; delete t 1,1; "
     "commit",
     "[5]\nc g.t 3 1,1\nd g.t 5 1,1 last\nend 5 due\n"},
    {"nothing captured", false, "gtid 5; sql BEGIN; map x; insert x 1,1; commit", "end 5\n"},
    {"partial images", false,
     "gtid 5; sql BEGIN; map t; bits 1 2; update t 1,0>0,6; bits 1 1; update t 1,0>2,0; bits 1 0; "
     "delete t 7,0; bits 0 1; insert t 8,0; commit",
     "[5]\nu g.t 1 1,- > 1,6\nu g.t 2 1,- > 2,= moved\nd g.t 3 7,-\nc g.t 4 8,- last\nend 5 due\n"},
    {"an engine without transactions", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; sql COMMIT; gtid 6; sql BEGIN; sql COMMIT",
     "[5]\nc g.t 1 1,5 last\nend 5 due\nend 6\n"},
    {"without GTIDs", false, "anon; sql BEGIN; commit",
     "fail 0: gtid_mode was changed: a transaction without GTID"},
    {"without GTID events", false,
     "sql BEGIN; map t; insert t 1,5; commit; sql TRUNCATE t; sql GRANT ALL ON t",
     "[4]\nc g.t 1 1,5 last\nend  due\n[161]\nt g.t 1 last\nend  due\nend \n"},
    {"rows end a statement and are none", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; insert ~; commit",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n"},
    {"two batches", false, "gtid 5; sql BEGIN; map t; insert t 1,5; poll; insert t 2,5; commit",
     "[5]\nc g.t 1 1,5\n[5]\nc g.t 2 2,5 last\nend 5 due\n"},
    {"rows outside", false, "map t; insert t 1,5",
     "fail 5: the server's binlog makes no sense: rows outside"},
    {"a commit outside", false, "commit", "fail 5: the server's binlog makes no sense: a commit"},
    {"a transaction inside", false, "gtid 5; sql BEGIN; gtid 6",
     "fail 5: the server's binlog makes no sense: a transaction begins"},
    {"rows of no table", false, "gtid 5; sql BEGIN; insert t 1,5",
     "fail 5: the server's binlog makes no sense: rows of a table"},
    {"no key in the image", false, "gtid 5; sql BEGIN; map t; bits 2 2; update t 1,5>1,6",
     "fail 3: the log does not hold the key of each changed row of table g.t"},
    {"an empty image", false, "gtid 5; sql BEGIN; map t; bits 0 0; insert t 1,5",
     "fail 3: the log does not hold the key of each changed row of table g.t"},

    {"truncate", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; commit; gtid 6; sql TRUNCATE TABLE t",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n[6]\nt g.t 1 last\nend 6 due\n"},
    {"drop of a table never seen", false, "gtid 6; sql DROP TABLE t, x", "end 6\n"},
    {"drop database", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; commit; gtid 6; sql DROP DATABASE h",
     "[5]\nc g.t 1 1,5 last\nend 5 due\nend 6\n"},
    {"rename away", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; commit; gtid 6; sql RENAME TABLE t TO x",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n[6]\nt g.t 1 last\nend 6 due\n"},
    {"online tools swap", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; commit; gtid 6; sql RENAME TABLE t TO xold, xnew TO "
     "t",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n[6]\ng g.t 1 last\nend 6 due\n"},
    {"a statement of rows", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; commit; gtid 6; sql BEGIN; sql INSERT INTO t VALUES "
     "(1); "
     "commit",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n[6]\ng g.t 0 last\nend 6 due\n"},
    {"create or replace, and its rows", true,
     "ma 0-9-5 c; map t; insert t 1,5; commit; ma 0-9-6 28; sql CREATE OR REPLACE TABLE t (id "
     "INT); "
     "map t; insert t 2,6; commit",
     "[0-9-5]\nc g.t 1 1,5 last\nend 0-9-5 due\n[0-9-6]\nt g.t 1\nc g.t 2 2,6 last\nend 0-9-6 "
     "due\n"},
    {"a rollback in the log", false,
     "gtid 5; sql BEGIN; map t; map u; insert t 1,5; insert u 1,1; insert t 2,5; sql ROLLBACK",
     "[5]\ng g.t 1\ng g.u 2 last\nend 5 due\n"},
    {"a rollback of nothing of ours", false, "gtid 5; sql BEGIN; map x; insert x 1,5; sql ROLLBACK",
     "end 5\n"},
    {"savepoint", false, "gtid 5; sql BEGIN; sql SAVEPOINT a; map t; insert t 1,5; commit",
     "[5]\nc g.t 1 1,5 last\nend 5 due\n"},

    {"MariaDB", true, "ma 0-9-5 c; map t; insert t 1,5; commit; ma 1-9-1 29; sql TRUNCATE t",
     "[0-9-5]\nc g.t 1 1,5 last\nend 0-9-5 due\n[1-9-1]\nt g.t 1 last\nend 1-9-1 due\n"},
    {"an ALTER in two phases", true,
     "ma 0-9-5 c; map t; insert t 1,5; commit; ma 0-9-6 229; sql ALTER TABLE t RENAME TO x; ma "
     "0-9-7 429; sql ALTER TABLE t RENAME TO x",
     "[0-9-5]\nc g.t 1 1,5 last\nend 0-9-5 due\nend 0-9-6\n[0-9-7]\nt g.t 1 last\nend 0-9-7 due\n"},
    {"an ALTER in two phases that failed", true,
     "ma 0-9-5 c; map t; insert t 1,5; commit; ma 0-9-6 229; sql ALTER TABLE t RENAME TO x; ma "
     "0-9-7 829; sql ALTER TABLE t RENAME TO x",
     "[0-9-5]\nc g.t 1 1,5 last\nend 0-9-5 due\nend 0-9-6\nend 0-9-7\n"},
    {"a number behind is not old", true,
     "ma 0-9-5 c; map t; insert t 1,5; commit; ma 0-9-3 c; map t; insert t 2,5; commit",
     "[0-9-5]\nc g.t 1 1,5 last\nend 0-9-5 due\n[0-9-3]\nc g.t 1 2,5 last\nend 0-9-3 due\n"},

    {"XA on MariaDB", true,
     "ma 0-9-5 4c xid a; map t; insert t 1,5; sql XA END X'61',X'',1; prepare a; ma 0-9-6 c; map "
     "t; "
     "insert t 3,3; commit; ma 0-9-7 8d xid a; sql XA COMMIT X'61',X'',1",
     "end 0-9-5 xa1\n[0-9-6]\nc g.t 1 3,3 last\nend 0-9-6 due xa1\n[0-9-7]\nc g.t 1 1,5 last\n"
     "end 0-9-7 due\n"},
    {"XA on MySQL", false,
     "gtid 5; sql XA START X'61',X'',1; map t; insert t 1,5; insert t 2,5; sql XA END X'61',X'',1; "
     "prepare a; gtid 6; sql XA COMMIT X'61',X'',1",
     "end 5 xa1\n[6]\nc g.t 1 1,5\nc g.t 2 2,5 last\nend 6 due\n"},
    {"XA in one phase on MySQL", false,
     "gtid 5; sql XA START X'61',X'',1; map t; insert t 1,5; sql XA END X'61',X'',1; one a; gtid "
     "6; "
     "sql BEGIN; commit",
     "[5]\nc g.t 1 1,5 last\nend 5 due\nend 6\n"},
    {"XA without rows", false,
     "gtid 5; sql XA START X'61',X'',1; sql XA END X'61',X'',1; prepare a; gtid 6; sql XA COMMIT "
     "X'61',X'',1; gtid 7; sql XA START X'61',X'',1; one a",
     "end 5 xa1\nend 6\nend 7\n"},
    {"XA rolled back", true,
     "ma 0-9-5 4c xid a; map t; insert t 1,5; prepare a; ma 0-9-6 8d xid a; sql XA ROLLBACK "
     "X'61',X'',1",
     "end 0-9-5 xa1\nend 0-9-6\n"},
    {"two are prepared", false,
     "gtid 5; sql XA START X'61',X'',1; map t; insert t 1,5; prepare a; gtid 6; sql XA START "
     "X'62',X'',1; map u; insert u 2,5; prepare b; gtid 7; sql XA COMMIT X'61',X'',1; gtid 8; "
     "sql XA COMMIT X'62',X'',1",
     "end 5 xa1\nend 6 xa2\n[7]\nc g.t 1 1,5 last\nend 7 due xa1\n[8]\nc g.u 1 2,5 last\nend 8 "
     "due\n"},
    {"a statement within XA", false,
     "gtid 4; sql BEGIN; map t; insert t 1,1; commit; gtid 5; sql XA START X'61',X'',1; sql DELETE "
     "FROM "
     "t; prepare a; gtid 6; sql XA COMMIT X'61',X'',1",
     "[4]\nc g.t 1 1,1 last\nend 4 due\nend 5 xa1\n[6]\ng g.t 0 last\nend 6 due\n"},
    {"prepared without a beginning", false, "gtid 5; sql BEGIN; map t; insert t 1,5; prepare a",
     "fail 5: the server's binlog makes no sense: a transaction is prepared"},

    {"cut and go on", false,
     "gtid 5; sql BEGIN; map x; map t; insert x 9,9; insert t 1,5 2,5; cut; gtid 5; sql BEGIN; map "
     "x; "
     "map t; insert x 9,9; insert t 1,5 2,5; insert t 3,5; commit; gtid 6; sql BEGIN; map t; "
     "insert t 4,4; commit",
     "[5]\nc g.t 2 1,5\nc g.t 3 2,5\nrestart\n[5]\nc g.t 4 3,5 last\nend 5 due\n[6]\nc g.t 1 4,4 "
     "last\n"
     "end 6 due\n"},
    {"cut, then other rows", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; cut; gtid 5; sql BEGIN; map t; insert t 1,6",
     "[5]\nc g.t 1 1,5\nrestart\nfail 3: the transaction at our position bin.000001:4 "
     "(00112233-4455-6677-8899-aabbccddeeff:5) has other rows"},
    {"cut, then more rows at once", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; cut; gtid 5; sql BEGIN; map t; insert t 1,5 2,5",
     "[5]\nc g.t 1 1,5\nrestart\nfail 3: the transaction at our position bin.000001:4 "
     "(00112233-4455-6677-8899-aabbccddeeff:5) has other rows"},
    {"cut, then fewer", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; cut; gtid 5; sql BEGIN; map t; commit",
     "[5]\nc g.t 1 1,5\nrestart\nfail 3: the transaction at our position bin.000001:4 "
     "(00112233-4455-6677-8899-aabbccddeeff:5) has fewer rows"},
    {"cut, then another", false, "gtid 5; sql BEGIN; map t; insert t 1,5; cut; gtid 6",
     "[5]\nc g.t 1 1,5\nrestart\nfail 3: the transaction at our position bin.000001:4 "
     "(00112233-4455-6677-8899-aabbccddeeff:5) is not the one"},
    {"cut in XA of one phase", false,
     "gtid 5; sql BEGIN; map t; insert t 1,5; cut; gtid 5; sql XA START X'61',X'',1; map t; insert "
     "t "
     "1,5; insert t 2,5; one a",
     "[5]\nc g.t 1 1,5\nrestart\n[5]\nc g.t 2 2,5 last\nend 5 due\n"},
};

static void test_steps(void **state)
{
    const struct row *row = *state;
    struct rig rig;
    rig_open(&rig, RULES, row->mariadb);
    rig.cfg.cuts = true;
    struct maker mk = {.rig = &rig, .time_s = 1700000000, .before = 3, .after = 3};
    if (do_steps(&mk, row->steps) < 0)
        cdc_buf_printf(&rig.out, "fail %d: %s", (int)rig.err.action, rig.err.message);
    const char *out = cdc_buf_cstr(&rig.out);
    assert_non_null(out);
    size_t n = strstr(row->expect, "fail") ? strlen(row->expect) : SIZE_MAX; /* how it begins */
    if (strncmp(out, row->expect, n) != 0)
        assert_string_equal(out, row->expect);
    rig_close(&rig);
}

/* Where and when a transaction was, and how it is called. */
static const struct times {
    const char *name;
    bool mariadb;
    const char *steps;
    uint64_t pos; /* of the first event of the transaction */
    int64_t us;
    const char *id;
} times[] = {
    {"MySQL's GTID event has the time", false, "gtid 5; sql BEGIN; map t; insert t 1,5; commit", 4,
     1700000000000001, "00112233-4455-6677-8899-aabbccddeeff:5"},
    {"MariaDB's has the second", true, "ma 7-9-18446744073709551615 c; map t; insert t 1,5; commit",
     4, 1700000000000000, "7-9-18446744073709551615"},
    {"its statements more", true,
     "ma 0-9-5 c; map t; insert t 1,5; commit; ma 0-9-6 29; sqlus TRUNCATE t", 155,
     1700000000123456, "0-9-6"},
    {"no GTID event", false, "sql BEGIN; map t; insert t 1,5; commit", 4, 1700000000000000,
     "bin.000001:4"},
};

static void test_times(void **state)
{
    const struct times *row = *state;
    struct rig rig;
    char place[32];
    rig_open(&rig, RULES, row->mariadb);
    struct maker mk = {.rig = &rig, .time_s = 1700000000, .before = 3, .after = 3};
    kit_ok(do_steps(&mk, row->steps), &rig.err);
    assert_true(rig.batch->n > 0);
    const struct cdc_tx *tx = rig.batch->changes[rig.batch->n - 1].tx;
    snprintf(place, sizeof place, "00000001%016llx", (unsigned long long)row->pos);
    assert_memory_equal(tx->place, place, CDC_PLACE_LEN);
    assert_int_equal(tx->commit_us, row->us);
    assert_int_equal(rig.src.head.last.us, row->us);
    assert_string_equal((const char *)tx->id.p, row->id);
    assert_int_equal(rig.src.head.pos, rig.src.pos);
    rig_close(&rig);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(times)], *end = tests;
    end = CM_ROWS(end, test_steps, rows);
    end = CM_ROWS(end, test_times, times);
    return _cmocka_run_group_tests("mysql_apply", tests, (size_t)(end - tests), NULL, NULL);
}
