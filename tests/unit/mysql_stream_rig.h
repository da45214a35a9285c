/*
 * mysql_stream_rig.h - stream.c between a scripted dump and a scripted apply.
 *
 * A script is words; each event that is in the log takes 100 bytes there, but for payloads.
 *   at:F:P     made-up ROTATE to file bin.F, offset P     rotate:F   a real one (to offset 4)
 *   format     FORMAT_DESCRIPTION, made up                other      of no interest, in the log
 *   begin row none commit     a transaction, a captured row, one that is not
 *   ( ... )    the same events inside a payload           skip:N     the server leaves N bytes out
 *   beat:F:P   heartbeat (above 4 GiB the newer form)     dry        nothing more for now
 *   late       ten seconds pass                           poll       here a new poll begins
 *   torn       the file ends inside an event, where the server ends the dump
 *   last:F, deaf   which file the server names as its last, or has no right to
 *   logged     a file's head: the transactions before it      lost   one is not in the log
 *   logged+    the same, made up
 *
 * What comes out:
 *   begin@F:P  where an event of a transaction begins     <rows cut F:P bytes>   a batch
 *   open@F:P   another dump                               gap@F:P    all tables, in that one
 */
#ifndef MYSQL_STREAM_RIG_H
#define MYSQL_STREAM_RIG_H

#define mys_dump_open    fake_dump_open
#define mys_dump_next    fake_dump_next
#define mys_dump_close   fake_dump_close
#define mys_sql          fake_sql
#define mys_logs_look    fake_logs_look
#define mys_apply        fake_apply
#define mys_gap_all      fake_gap_all
#define mys_xa_reading   fake_xa_reading
#define mys_xa_more      fake_xa_more
#define mys_xa_drop      fake_xa_drop
#define mys_stream_start t_stream_start
#define mys_stream_poll  t_stream_poll
#define mys_tell         t_tell

#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

#include "../../connectors/mysql/stream.c"

#define EVENT 100
#define UUID  "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"
enum { BEGIN = 162, ROW = 30, NONE = 31, COMMIT = 16, OTHER = 29, GTIDS = 35, GTID_LIST = 163 };

static struct world {
    struct mys_source src;
    struct cdc_config cfg;
    struct cdc_pool *pool;
    struct cdc_batch *batch;
    struct cdc_table *tab;
    struct cdc_buf out;
    const char *at; /* of the script */
    uint64_t pos;   /* in the log that is told */
    uint8_t event[4096];
    unsigned opened, last; /* last: the server's file */
    uint64_t number;       /* of the last transaction at the server */
    bool deaf;
    struct cdc_error err;
} world;

/* ---- events ---- */

static void put_le(struct cdc_buf *buf, uint64_t val, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cdc_buf_byte(buf, (uint8_t)(val >> (8 * i)));
}

static void put_event(struct cdc_buf *buf, uint8_t type, uint64_t next_pos, uint16_t flags,
                      struct cdc_slice body)
{
    put_le(buf, 1700000000, 4);
    cdc_buf_byte(buf, type);
    put_le(buf, 1, 4);
    put_le(buf, MYS_HEADER + body.len, 4);
    put_le(buf, next_pos & UINT32_MAX, 4);
    put_le(buf, flags, 2);
    cdc_buf_put(buf, body.p, body.len);
}

static void put_padded(struct cdc_buf *buf, uint8_t type, bool inner)
{
    static const uint8_t zeros[EVENT - MYS_HEADER];
    if (!inner)
        world.pos += EVENT;
    put_event(buf, type, inner ? 0 : world.pos, 0, cdc_slice_of(zeros, sizeof zeros));
}

static void put_rotate(struct cdc_buf *buf, unsigned file, uint64_t pos, bool made_up)
{
    struct cdc_buf body = CDC_BUF(64);
    put_le(&body, pos, 8);
    cdc_buf_printf(&body, "bin.%06u", file);
    put_event(buf, 4, made_up ? 0 : world.pos + 40, made_up ? MYS_ARTIFICIAL : 0,
              cdc_buf_slice(&body));
    cdc_buf_done(&body);
    world.pos = pos;
}

static void put_format(struct cdc_buf *buf)
{
    const char *version = world.src.facts.mariadb ? "MariaDB" : "9.7.4\0";
    struct cdc_buf body = CDC_BUF(512);
    put_le(&body, 4, 2);
    for (int i = 0; i < 50; i++)
        cdc_buf_byte(&body, (uint8_t)(i < 7 ? version[i] : 0));
    put_le(&body, 0, 4);
    cdc_buf_byte(&body, MYS_HEADER);
    for (int i = 0; i < 40; i++)
        cdc_buf_byte(&body, 0);
    cdc_buf_byte(&body, 0); /* no checksums; its own has room all the same */
    put_le(&body, 0, 4);
    put_event(buf, 15, 0, 0, cdc_buf_slice(&body));
    cdc_buf_done(&body);
}

static void put_heartbeat(struct cdc_buf *buf, unsigned file, uint64_t pos)
{
    struct cdc_buf body = CDC_BUF(64);
    char name[32];
    size_t len = (size_t)snprintf(name, sizeof name, "bin.%06u", file);
    if (pos > UINT32_MAX) {
        cdc_buf_byte(&body, 1);
        cdc_buf_byte(&body, (uint8_t)len);
    }
    cdc_buf_put(&body, name, len);
    if (pos > UINT32_MAX) {
        cdc_buf_put(&body, (const uint8_t[]){2, 9, 0xfe}, 3);
        put_le(&body, pos, 8);
        cdc_buf_byte(&body, 0);
    }
    put_event(buf, pos > UINT32_MAX ? 41 : 27, pos > UINT32_MAX ? 0 : pos, 0, cdc_buf_slice(&body));
    cdc_buf_done(&body);
}

static struct mys_gtid gtid_of(uint64_t number)
{
    struct mys_gtid gtid = {.mariadb = world.src.facts.mariadb, .server = 9, .number = number};
    memcpy(gtid.uuid, UUID, sizeof gtid.uuid);
    return gtid;
}

static void add_all(struct mys_gtids *gtids, uint64_t to)
{
    gtids->mariadb = world.src.facts.mariadb;
    for (uint64_t number = 1; number <= to; number++) {
        struct mys_gtid gtid = gtid_of(number);
        assert_int_equal(mys_gtids_add(gtids, &gtid), CDC_OK);
    }
}

static void put_logged(struct cdc_buf *buf, bool made_up)
{
    struct mys_gtids all = {0};
    struct cdc_buf body = CDC_BUF(4096);
    add_all(&all, world.number);
    if (!all.mariadb)
        mys_set_encode(&all.set, &body);
    else
        put_le(&body, all.list.n, 4);
    for (size_t i = 0; i < all.list.n; i++) {
        put_le(&body, all.list.at[i].domain, 4);
        put_le(&body, all.list.at[i].server, 4);
        put_le(&body, all.list.at[i].number, 8);
    }
    world.pos += made_up ? 0 : MYS_HEADER + body.len;
    put_event(buf, all.mariadb ? GTID_LIST : GTIDS, world.pos, made_up ? MYS_ARTIFICIAL : 0,
              cdc_buf_slice(&body));
    cdc_buf_done(&body);
    mys_gtids_done(&all);
}

static uint8_t type_of(const char *word)
{
    static const struct {
        const char *word;
        uint8_t type;
    } types[] = {
        {"begin", BEGIN}, {"row", ROW}, {"none", NONE}, {"commit", COMMIT}, {"other", OTHER}};
    for (size_t i = 0; i < CM_COUNT(types); i++)
        if (strcmp(word, types[i].word) == 0)
            return types[i].type;
    fail_msg("no such word: %s", word);
    return 0;
}

static bool take_word(char word[32])
{
    world.at += strspn(world.at, " ");
    size_t len = strcspn(world.at, " ");
    assert_true(len < 32);
    snprintf(word, 32, "%.*s", (int)len, world.at);
    world.at += len;
    return len > 0;
}

static void put_payload(struct cdc_buf *buf)
{
    char word[32];
    struct cdc_buf inner = CDC_BUF(4096), body = CDC_BUF(4096);
    while (take_word(word) && strcmp(word, ")") != 0)
        put_padded(&inner, type_of(word), true);
    cdc_buf_put(&body, (const uint8_t[]){1, 3, 0xfc}, 3);
    put_le(&body, inner.len, 2);
    cdc_buf_put(&body, (const uint8_t[]){2, 3, 0xfc, 255, 0, 3, 3, 0xfc}, 8);
    put_le(&body, inner.len, 2);
    cdc_buf_byte(&body, 0);
    cdc_buf_put(&body, inner.p, inner.len);
    world.pos += MYS_HEADER + body.len;
    put_event(buf, 40, world.pos, 0, cdc_buf_slice(&body));
    cdc_buf_done(&inner);
    cdc_buf_done(&body);
}

/* ---- the dump ---- */

static void say_at(const char *what, const char *file, uint64_t pos)
{
    cdc_buf_printf(&world.out, "%s@%ld:%llu ", what, strtol(strrchr(file, '.') + 1, NULL, 10),
                   (unsigned long long)pos);
}

int fake_dump_open(const struct mys_server *srv, const struct mys_facts *facts,
                   const struct mys_dump_start *start, struct mys_dump **ret, struct cdc_error *err)
{
    (void)srv, (void)facts, (void)err;
    assert_false(start->once);
    assert_true(!start->gtids || !world.opened);
    if (world.opened++)
        say_at("open", start->file, start->pos);
    *ret = (struct mys_dump *)&world;
    return CDC_OK;
}

void fake_dump_close(struct mys_dump *dump)
{
    assert_true(!dump || world.opened > 1);
}

int fake_sql(struct mys_server *srv, struct cdc_error *err)
{
    (void)srv, (void)err;
    return CDC_OK;
}

int fake_logs_look(MYSQL *conn, const char *file, uint64_t pos, struct mys_logs *ret,
                   struct cdc_error *err)
{
    (void)conn, (void)file, (void)pos, (void)err;
    *ret = (struct mys_logs){.where = MYS_LOG_HERE};
    snprintf(ret->last, sizeof ret->last, "bin.%06u", world.last);
    return world.deaf ? CDC_END : CDC_OK;
}

/* A word that is no event: what next returns for it; CDC_OK: go on with the next word, CDC_FULL: it
 * is an event. */
static int command(const char *word)
{
    unsigned long long n;
    if (strcmp(word, "dry") == 0)
        return CDC_AGAIN;
    if (strcmp(word, "torn") == 0)
        return CDC_END;
    if (strcmp(word, "late") == 0)
        world.src.idle_told_us -= IDLE_US;
    else if (strcmp(word, "deaf") == 0)
        world.deaf = true;
    else if (strcmp(word, "lost") == 0)
        world.number++;
    else if (sscanf(word, "skip:%llu", &n) == 1)
        world.pos += n;
    else if (sscanf(word, "last:%u", &world.last) != 1)
        return CDC_FULL;
    return CDC_OK;
}

static void put_word(struct cdc_buf *buf, const char *word)
{
    unsigned file;
    unsigned long long pos;
    if (sscanf(word, "at:%u:%llu", &file, &pos) == 2)
        put_rotate(buf, file, pos, true);
    else if (sscanf(word, "rotate:%u", &file) == 1)
        put_rotate(buf, file, 4, false);
    else if (sscanf(word, "beat:%u:%llu", &file, &pos) == 2)
        put_heartbeat(buf, file, pos);
    else if (strcmp(word, "format") == 0)
        put_format(buf);
    else if (strcmp(word, "(") == 0)
        put_payload(buf);
    else if (strncmp(word, "logged", 6) == 0)
        put_logged(buf, word[6] == '+');
    else
        put_padded(buf, type_of(word), false);
}

int fake_dump_next(struct mys_dump *dump, int64_t deadline_us, struct cdc_slice *ret,
                   struct cdc_error *err)
{
    char word[32];
    (void)dump, (void)deadline_us, (void)err;
    for (;;) {
        world.at += strspn(world.at, " ");
        if (!*world.at || strncmp(world.at, "poll", 4) == 0)
            return CDC_AGAIN;
        take_word(word);
        int rc = command(word);
        if (rc == CDC_FULL)
            break;
        if (rc != CDC_OK)
            return rc;
    }
    struct cdc_buf buf = CDC_BUF(sizeof world.event);
    put_word(&buf, word);
    assert_false(buf.failed);
    memset(world.event, 0xee, sizeof world.event); /* the bytes before have ended */
    memcpy(world.event, buf.p, buf.len);
    *ret = cdc_slice_of(world.event, buf.len);
    cdc_buf_done(&buf);
    return CDC_OK;
}

/* ---- what apply.c does, in short ---- */

static void add_row(struct mys_source *src, struct cdc_batch *batch)
{
    struct mys_tx *tx = &src->tx;
    if (!tx->out)
        tx->out = cdc_arena_zalloc(batch->arena, sizeof *tx->out);
    struct cdc_change *chg = cdc_batch_add(batch, world.tab);
    assert_non_null(chg);
    chg->tx = tx->out;
    chg->op = CDC_OP_CREATE;
    assert_non_null(cdc_arena_zalloc(batch->arena, 100000)); /* ten fill a batch */
    tx->rows = true;
}

static void end(struct mys_source *src)
{
    struct mys_gtid gtid = gtid_of(++world.number);
    if (src->facts.gtids)
        assert_int_equal(mys_gtids_add(&src->head.gtids, &gtid), CDC_OK);
    memcpy(src->head.file, src->file, sizeof src->head.file);
    src->head.pos = src->pos;
    src->head.last = src->tx.at;
    src->resume.kind = MYS_POS_NONE;
    src->due = src->due || src->tx.rows;
    src->moved = true;
    src->tx = (struct mys_tx){.open = false};
}

int fake_apply(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev, uint64_t pos,
               struct cdc_error *err)
{
    (void)err;
    assert_int_equal(src->in_payload, src->fmt.inner);
    if (ev->type == OTHER)
        return CDC_OK;
    if (ev->type == BEGIN) {
        say_at("begin", src->file, pos);
        assert_false(src->tx.open);
        src->tx = (struct mys_tx){.open = true, .at.pos = pos};
        src->tx.skip_rows = src->resume.kind == MYS_POS_CUT ? src->resume.n : 0;
        memcpy(src->tx.at.file, src->file, sizeof src->file);
        return CDC_OK;
    }
    assert_true(src->tx.open);
    src->tx.n += ev->type == ROW || ev->type == NONE;
    if (ev->type == ROW && src->tx.n > src->tx.skip_rows)
        add_row(src, batch);
    if (ev->type == COMMIT) {
        say_at("commit", src->file, pos);
        end(src);
    }
    return CDC_OK;
}

int fake_gap_all(struct mys_source *src, struct cdc_batch *batch, const char *db, const char *why,
                 struct cdc_error *err)
{
    (void)batch, (void)why, (void)err;
    assert_null(db);
    assert_int_equal(src->tx.skip_rows, 0); /* else nothing would be told */
    say_at("gap", src->tx.at.file, src->tx.at.pos);
    return CDC_OK;
}

bool fake_xa_reading(const struct mys_source *src)
{
    (void)src;
    return false;
}

int fake_xa_more(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                 struct cdc_error *err)
{
    (void)src, (void)batch, (void)deadline_us;
    return cdc_fail_oom(err);
}

void fake_xa_drop(struct mys_source *src)
{
    (void)src;
}

#endif
