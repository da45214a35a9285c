/*
 * test_mysql_xa.c - prepared transactions that are read again by a second dump, which here is a
 * recorded binlog (tests/data/mysql): from file and offset, and by GTID as another server gives it.
 * What is kept in memory is in test_mysql_apply.c.
 */
#define mys_dump_open    fake_dump_open
#define mys_dump_next    fake_dump_next
#define mys_dump_close   fake_dump_close
#define mys_gap_all      fake_gap_all
#define mys_doubt_ask    fake_doubt_ask
#define mys_payload_new  fake_payload_new
#define mys_xa_keep      t_xa_keep
#define mys_xa_prepared  t_xa_prepared
#define mys_xa_commit    t_xa_commit
#define mys_xa_one_phase t_xa_one_phase
#define mys_xa_rollback  t_xa_rollback
#define mys_xa_reading   t_xa_reading
#define mys_xa_more      t_xa_more
#define mys_xa_done      t_xa_done
#define mys_xa_drop      t_xa_drop
#include "rows.h"

#include "mysql_kit.h"
#include "mysql_rig.h"

#include "../../connectors/mysql/xa.c"

#define RULES "capture:\n  - tables: g.*\n"

/* The server: its log, and how it answers. */
static struct server {
    uint8_t *bytes;
    size_t len, at;
    bool by_gtid, head, again, sending;
    struct mys_gtids have;
    size_t end; /* of its log */
    uint8_t *exact;
    unsigned opened, closed, gaps;
    struct mys_format fmt;
    uint32_t id, thread; /* who prepared */
    const char *answers; /* of rows that are asked for: l locked, f free, b blind */
    unsigned asked;
    size_t payload_max;
} server;

int fake_dump_open(const struct mys_server *srv, const struct mys_facts *facts,
                   const struct mys_dump_start *start, struct mys_dump **ret, struct cdc_error *err)
{
    (void)srv, (void)err;
    assert_true(start->once);
    server.by_gtid = start->gtids != NULL;
    server.at = start->gtids ? 4 : start->pos;
    server.head = true;
    server.sending = !start->gtids;
    server.fmt = (struct mys_format){.mariadb = facts->mariadb};
    mys_gtids_done(&server.have);
    if (start->gtids)
        assert_int_equal(mys_gtids_copy(start->gtids, &server.have), CDC_OK);
    server.opened++;
    *ret = (struct mys_dump *)&server;
    return CDC_OK;
}

void fake_dump_close(struct mys_dump *dump)
{
    server.closed += dump != NULL;
    free(server.exact);
    server.exact = NULL;
}

int fake_gap_all(struct mys_source *src, struct cdc_batch *batch, const char *db, const char *why,
                 struct cdc_error *err)
{
    (void)src, (void)batch, (void)err;
    assert_true(!db && why);
    server.gaps++;
    return CDC_OK;
}

int fake_doubt_ask(struct mys_source *src, struct mys_doubt *doubt, struct cdc_error *err)
{
    (void)src, (void)err;
    assert_non_null(doubt->rows);
    server.asked++;
    switch (*server.answers++) {
    case 'l': return CDC_AGAIN;
    case 'f': return CDC_OK;
    case 'b': return CDC_END;
    default: return cdc_fail(err, CDC_RETRY, "mysql", "lost");
    }
}

#undef mys_payload_new
struct mys_payload *mys_payload_new(size_t max_event);
struct mys_payload *fake_payload_new(size_t max)
{
    server.payload_max = max;
    return mys_payload_new(max);
}
#define mys_payload_new fake_payload_new

/* The event at server.at, or the format description first; every second time there is none yet. */
int fake_dump_next(struct mys_dump *dump, int64_t deadline_us, struct cdc_slice *ret,
                   struct cdc_error *err)
{
    struct mys_event ev;
    (void)dump, (void)deadline_us;
    server.again = !server.again;
    if (server.again)
        return CDC_AGAIN;
    for (;;) {
        size_t at = server.head ? 4 : server.at;
        if (at >= server.end)
            return CDC_END;
        size_t n = kit_event_len(server.bytes + at);
        free(server.exact);
        server.exact = malloc(n);
        assert_non_null(server.exact);
        memcpy(server.exact, server.bytes + at, n);
        *ret = cdc_slice_of(server.exact, n);
        kit_ok(mys_decode_head(&server.fmt, *ret, &ev, err), err);
        kit_ok(mys_decode(&server.fmt, &ev, err), err);
        if (ev.kind == MYS_FORMAT)
            server.fmt = ev.format;
        server.at += server.head && server.at != 4 ? 0 : n;
        if (ev.kind == MYS_GTID && server.by_gtid)
            server.sending = !mys_gtids_contain(&server.have, &ev.gtid.id);
        if (server.head || server.sending) {
            server.head = false;
            return CDC_OK;
        }
    }
}

/* ---- */

static const struct row {
    const char *name, *file, *xid;
    bool by_gtid, one_phase;
    const char *expect;
    bool far; /* above 4 GiB */
} rows[] = {
    {"by file, MySQL", "transactions.mysql.bin", "gb", false, false, "c g.t 1 3,xa last\n", false},
    {"by file, MariaDB", "transactions.mariadb.bin", "gb", false, false, "c g.t 1 3,xa last\n",
     false},
    {"by GTID, MySQL", "transactions.mysql.bin", "gb", true, false, "c g.t 1 3,xa last\n", false},
    {"by GTID, MariaDB", "transactions.mariadb.bin", "gb", true, false, "c g.t 1 3,xa last\n",
     false},
    {"in one phase", "transactions.mysql.bin", "one", false, true, "c g.t 1 4,xa last\n", false},
    {"far into a file", "transactions.mysql.bin", "gb", true, false, "c g.t 1 3,xa last\n", true},
};

/* Everything up to where that xid is prepared. Returns whether it is there. */
static bool play_to(struct rig *rig, const char *xid)
{
    struct mys_event ev;
    for (size_t at = 4; at < server.len;) {
        size_t n = kit_event_len(server.bytes + at);
        uint8_t *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, server.bytes + at, n);
        struct cdc_slice bytes = cdc_slice_of(exact, n);
        kit_ok(mys_decode_head(&rig->src.fmt, bytes, &ev, &rig->err), &rig->err);
        kit_ok(mys_decode(&rig->src.fmt, &ev, &rig->err), &rig->err);
        if (ev.kind == MYS_QUERY) {
            server.id = ev.server_id;
            server.thread = ev.query.thread;
        }
        bool found = ev.kind == MYS_XA_PREPARE && memcmp(ev.xa.xid.data, xid, strlen(xid)) == 0;
        if (!found || !ev.xa.one_phase)
            kit_ok(rig_event(rig, bytes), &rig->err);
        free(exact);
        at += n;
        if (found)
            return true;
    }
    return false;
}

static void open_rig(struct rig *rig, const struct row *row)
{
    memset(&server, 0, sizeof server);
    server.bytes = kit_file(row->file, &server.len);
    server.end = server.len;
    rig_open(rig, RULES, strstr(row->file, "mariadb") != NULL);
    rig->src.facts.checksum = true;
    rig->src.fmt.checksum = false;
    assert_true(play_to(rig, row->xid));
    rig_poll(rig);
    cdc_buf_reset(&rig->out);
}

static void close_rig(struct rig *rig)
{
    t_xa_done(&rig->src);
    assert_int_equal(server.opened, server.closed);
    mys_gtids_done(&server.have);
    free(server.bytes);
    rig_close(rig);
}

static struct mys_xid xid_of(const char *name)
{
    struct mys_xid xid = {.format = 7, .gtrid_len = 1, .bqual_len = 1};
    memcpy(xid.data, name, 2);
    return xid;
}

/* XA COMMIT comes in a new session, which has the position alone. */
static int begin_commit(struct rig *rig, const struct row *row)
{
    struct mys_source *src = &rig->src;
    struct mys_xid xid = xid_of(row->xid);
    if (row->one_phase) {
        static uint8_t big[MYS_HEADER + MYS_KEEP_ONE];
        struct mys_event ev = {.body = cdc_slice_of(big + MYS_HEADER, MYS_KEEP_ONE)};
        assert_true(src->tx.prepares);
        mys_xa_done(src);
        assert_int_equal(mys_xa_keep(src, &ev, &rig->err), CDC_OK); /* too large to be kept */
        assert_int_equal(mys_xa_keep(src, &ev, &rig->err), CDC_OK);
        assert_int_equal(src->xa->keep.bytes, 0);
        return mys_xa_one_phase(src, &rig->err);
    }
    mys_xa_done(src);
    assert_non_null(src->head.prepared);
    if (row->far)
        src->head.prepared->at.pos += UINT32_MAX;
    else if (row->by_gtid)
        src->head.prepared->at.file[0] = 0;
    src->tx = (struct mys_tx){.open = true, .stands_alone = true};
    strcpy(src->tx.at.file, "bin.000009");
    strcpy(src->tx.at.id, "9");
    struct mys_event ev = {.server_id = server.id, .query.thread = server.thread};
    return mys_xa_commit(src, rig->batch, &ev, &xid, &rig->err);
}

static int go_on(struct rig *rig, unsigned *ret_waits)
{
    int rc;
    while ((rc = mys_xa_more(&rig->src, rig->batch, 0, &rig->err)) > 0) {
        if (rc == CDC_FULL)
            rig_poll(rig);
        *ret_waits += rc == CDC_AGAIN;
        assert_in_range(*ret_waits, 0, 1000);
    }
    return rc;
}

static void test_read(void **state)
{
    const struct row *row = *state;
    struct rig rig;
    unsigned waits = 0;
    open_rig(&rig, row);
    assert_int_equal(begin_commit(&rig, row), CDC_OK);
    assert_true(mys_xa_reading(&rig.src));
    assert_int_equal(server.by_gtid, row->by_gtid);
    kit_ok(go_on(&rig, &waits), &rig.err);
    rig_show(&rig);
    const char *out = cdc_buf_cstr(&rig.out);
    assert_non_null(out);
    assert_string_equal(strchr(out, '\n') + 1, row->expect); /* behind the [id] */
    assert_in_range(waits, 2, 1000);
    assert_false(mys_xa_reading(&rig.src) || rig.src.tx.open);
    assert_null(rig.src.head.prepared);
    assert_null(rig.src.xa->keep.first);
    close_rig(&rig);
}

/* The log is not what it was. */
static void test_gone(void **state)
{
    (void)state;
    static const struct {
        size_t moved; /* where the transaction is not */
        size_t end;
        const char *message;
    } cases[] = {{0, 4, "are not in the server's log any more"},
                 {0, 1, "are not in the server's log any more"},
                 {1, 0, "are not there: this is another server"}};
    for (size_t i = 0; i < CM_COUNT(cases); i++) {
        struct rig rig;
        unsigned waits = 0;
        open_rig(&rig, &rows[0]);
        size_t pos = rig.src.head.prepared->at.pos;
        if (cases[i].end == 4)
            server.end = 4;
        else if (cases[i].end)
            server.end = pos + 200; /* within the transaction */
        if (cases[i].moved)
            strcpy(rig.src.head.prepared->at.id, "other:1");
        assert_int_equal(begin_commit(&rig, &rows[0]), CDC_OK);
        assert_int_equal(go_on(&rig, &waits), CDC_FAIL);
        assert_int_equal(rig.err.action, CDC_OPERATOR);
        if (!strstr(rig.err.message, cases[i].message))
            fail_msg("%s", rig.err.message);
        assert_non_null(rig.src.head.prepared); /* still */
        close_rig(&rig);
    }
}

/* Prepared before we began. */
static void test_unknown(void **state)
{
    (void)state;
    struct rig rig;
    struct mys_xid xid = xid_of("zz");
    open_rig(&rig, &rows[0]);
    mys_xa_done(&rig.src);
    rig.src.tx = (struct mys_tx){.open = true, .stands_alone = true};
    const struct mys_event ev = {.server_id = 1};
    assert_int_equal(mys_xa_commit(&rig.src, rig.batch, &ev, &xid, &rig.err), CDC_OK);
    assert_int_equal(mys_xa_commit(&rig.src, rig.batch, &ev, NULL, &rig.err), CDC_OK);
    assert_int_equal(server.gaps, 2);
    assert_false(mys_xa_reading(&rig.src));
    close_rig(&rig);
}

/* A payload's events may be as large here as in the stream: which row is too large, apply.c says.
 */
static void test_payload(void **state)
{
    (void)state;
    struct rig rig;
    const struct mys_event ev = {.kind = MYS_PAYLOAD};
    open_rig(&rig, &rows[0]);
    assert_int_equal(begin_commit(&rig, &rows[0]), CDC_OK);
    assert_int_equal(on_payload(&rig.src, rig.src.xa, &ev, &rig.err), CDC_OK);
    assert_int_equal(server.payload_max, mys_event_max(&rig.src.srv));
    assert_in_range(server.payload_max, 2 * rig.src.srv.max_row, SIZE_MAX);
    close_rig(&rig);
}

/* MariaDB: was the commit that is in the log done? */
static const struct doubt {
    const char *name, *answers; /* up to a dot the source is given time, then no more */
    bool mysql, other_thread, other_server, here_other;
    unsigned asked;
    bool gap, fails;
} doubts[] = {
    {"the session that prepared", "", .asked = 0},
    {"MySQL, another session", "", .mysql = true, .other_thread = true},
    {"another session", "f", .other_thread = true, .asked = 1},
    {"its number at another server", "f", .other_server = true, .asked = 1},
    {"both of another server", "f", .here_other = true, .asked = 1},
    {"it comes a moment later", "lllf", .other_thread = true, .asked = 4},
    {"it never comes", "ll.l", .other_thread = true, .asked = 4, .gap = true},
    {"no row can be asked for", "b", .other_thread = true, .asked = 1, .gap = true},
    {"the connection is lost", "l?", .other_thread = true, .asked = 2, .fails = true},
};

static int end_doubt(struct rig *rig, const struct doubt *row)
{
    const char *end = strchr(row->answers, '.');
    char answers[16] = "";
    snprintf(answers, sizeof answers, "%.*sl", end ? (int)(end - row->answers) : 14, row->answers);
    strcat(answers, end ? end + 1 : "");
    server.answers = answers;
    int rc;
    while ((rc = mys_xa_more(&rig->src, rig->batch, 0, &rig->err)) == CDC_AGAIN)
        if (end && rig->src.xa->read && server.asked == (unsigned)(end - row->answers) + 1)
            rig->src.xa->doubt_until_us = 0;
    return rc;
}

static void test_doubt(void **state)
{
    const struct doubt *row = *state;
    struct rig rig;
    const struct row *record = &rows[row->mysql ? 0 : 1];
    open_rig(&rig, record);
    assert_true(server.thread > 0 && server.id > 0);
    rig.src.facts.xa_doubt = !row->mysql;
    rig.src.facts.server_id = server.id + row->here_other;
    server.thread += row->other_thread;
    server.id += row->other_server;
    assert_int_equal(begin_commit(&rig, record), CDC_OK);
    assert_int_equal(end_doubt(&rig, row), row->fails ? CDC_FAIL : CDC_OK);
    assert_int_equal(server.asked, row->asked);
    rig_show(&rig);
    if (!row->fails)
        assert_string_equal(strchr(cdc_buf_cstr(&rig.out), '\n') + 1,
                            row->gap ? "c g.t 1 3,xa\ng g.t 1 last\n" : "c g.t 1 3,xa last\n");
    assert_int_equal(rig.src.head.prepared != NULL, row->fails); /* it will be asked again */
    /* Behind a commit that we took for done, a rollback tells that it was not. */
    struct mys_xid xid = xid_of(record->xid), other = xid_of("zz");
    rig.src.tx = (struct mys_tx){.open = true, .stands_alone = true};
    bool believed = row->asked > 0 && !row->gap && !row->fails;
    mys_xa_drop(&rig.src); /* also where the log broke off in between */
    assert_int_equal(mys_xa_rollback(&rig.src, rig.batch, &other, &rig.err), CDC_OK);
    assert_int_equal(server.gaps, 0);
    assert_int_equal(mys_xa_rollback(&rig.src, rig.batch, &xid, &rig.err), CDC_OK);
    assert_int_equal(server.gaps, believed);
    close_rig(&rig);
}

/* Which GTIDs a dump by GTID says that we have: all but that one, of MariaDB's domain those before.
 */
static void test_without(void **state)
{
    (void)state;
    static const struct {
        const char *have, *gtid, *without;
    } sets[] = {
        {"00000000-0000-0000-0000-000000000001:1-9", "00000000-0000-0000-0000-000000000001:5",
         "00000000-0000-0000-0000-000000000001:1-4:6-9"},
        {"00000000-0000-0000-0000-000000000001:1-9", "00000000-0000-0000-0000-000000000001:1",
         "00000000-0000-0000-0000-000000000001:2-9"},
        {"00000000-0000-0000-0000-000000000001:1-9:x:3", "00000000-0000-0000-0000-000000000001:x:3",
         "00000000-0000-0000-0000-000000000001:1-9"},
        {"00000000-0000-0000-0000-000000000001:5", "00000000-0000-0000-0000-000000000001:5", ""},
        {"0-1-9,3-1-7", "0-2-5", "0-2-4,3-1-7"},
        {"0-1-9,3-1-7", "3-1-1", "0-1-9"},
    };
    for (size_t i = 0; i < CM_COUNT(sets); i++) {
        struct mys_gtids have = {0}, without = {0};
        struct mys_gtid gtid;
        struct cdc_buf out = CDC_BUF(4096);
        bool mariadb = !strchr(sets[i].have, ':');
        assert_int_equal(mys_gtids_parse(mariadb, cdc_slice_str(sets[i].have), &have, NULL),
                         CDC_OK);
        assert_int_equal(mys_gtid_parse(cdc_slice_str(sets[i].gtid), &gtid), CDC_OK);
        without.mariadb = mariadb;
        int rc = mariadb ? list_before(&have.list, &gtid, &without.list)
                         : set_without(&have.set, &gtid, &without.set);
        assert_int_equal(rc, CDC_OK);
        mys_gtids_print(&without, &out);
        assert_string_equal(cdc_buf_cstr(&out), sets[i].without);
        cdc_buf_done(&out);
        mys_gtids_done(&have);
        mys_gtids_done(&without);
    }
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(doubts) + 4], *end = tests;
    end = CM_ROWS(end, test_read, rows);
    end = CM_ROWS(end, test_doubt, doubts);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_payload);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_gone);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_unknown);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_without);
    return _cmocka_run_group_tests("mysql_xa", tests, (size_t)(end - tests), NULL, NULL);
}
