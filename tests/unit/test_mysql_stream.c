/*
 * test_mysql_stream.c - stream.c between a scripted dump and a scripted apply: places, payloads,
 * what is handed over and when, files that end in the middle of a transaction.
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
 *
 * What comes out:
 *   begin@F:P  where an event of a transaction begins     <rows cut F:P bytes>   a batch
 *   open@F:P   another dump                               gap@F:P    all tables, in that one
 */
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
enum { BEGIN = 162, ROW = 30, NONE = 31, COMMIT = 16, OTHER = 29 };

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
    struct cdc_buf body = CDC_BUF(512);
    put_le(&body, 4, 2);
    for (int i = 0; i < 50; i++)
        cdc_buf_byte(&body, (uint8_t)(i < 5 ? "9.7.4"[i] : 0));
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
    assert_null(start->gtids);
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

/* ---- rows ---- */

static const struct row {
    const char *name, *script, *out;
    bool cuts;
    uint64_t from; /* offset in bin.000001; 0: 4 */
    uint64_t n;    /* so many rows of what is there are out */
    const char *message;
} rows[] = {
    {"one transaction", "at:1:4 format begin row commit",
     .out = "begin@1:4 commit@1:204 <1 end 1:304 log> "},
    {"begin at the saved place", "at:1:1000 format begin row commit",
     .out = "begin@1:1000 commit@1:1200 <1 end 1:1300 log> ", .from = 1000},
    {"two share a batch", "at:1:4 format begin row commit begin row commit",
     .out = "begin@1:4 commit@1:204 begin@1:304 commit@1:504 <2 end 1:604 log> "},
    {"dry between two", "at:1:4 format begin row commit dry begin row commit",
     .out = "begin@1:4 commit@1:204 <1 end 1:304 log> begin@1:304 commit@1:504 <1 end 1:604 log> "},
    {"nothing captured", "at:1:4 format begin none commit", .out = "begin@1:4 commit@1:204 "},
    {"nothing captured, late", "at:1:4 format begin none commit dry late",
     .out = "begin@1:4 commit@1:204 <0 end 1:304 log> "},
    {"nothing at all, late", "at:1:4 format late dry late", .out = ""},
    {"nothing captured, the file ends", "at:1:4 format begin none commit rotate:2",
     .out = "begin@1:4 commit@1:204 <0 end 2:4 log> "},
    {"the server leaves out what we have", "at:1:4 format skip:5000 begin row commit",
     .out = "begin@1:5004 commit@1:5204 <1 end 1:5304 log> ", .from = 5004},
    {"it begins before our place", "at:1:4 format other late dry skip:900 begin row commit",
     .out = "begin@1:1004 commit@1:1204 <1 end 1:1304 log> ", .from = 1004},
    {"across 4 GiB", "at:1:4294967200 format begin row commit",
     .out = "begin@1:4294967200 commit@1:4294967400 <1 end 1:4294967500 log> ", .from = 4294967200},
    {"far into a large file", "at:1:4 format skip:3000000000 begin row commit",
     .out = "begin@1:3000000004 commit@1:3000000204 <1 end 1:3000000304 log> ", .from = 3000000004},
    {"rotation", "at:1:4 format begin row commit rotate:2 at:2:4 format begin row commit",
     .out = "begin@1:4 commit@1:204 begin@2:4 commit@2:204 <2 end 2:304 log> "},
    {"heartbeat moves the place", "at:1:4 format beat:1:2000 late", .out = "<0 end 1:2000> "},
    {"heartbeat above 4 GiB", "at:1:4 format beat:1:5000000000 late",
     .out = "<0 end 1:5000000000> "},
    {"heartbeat of another file", "at:1:4 format beat:2:2000 late", .out = ""},
    {"heartbeat behind us", "at:1:1000 format beat:1:500 late", .out = "", .from = 1000},
    {"heartbeat inside a transaction", "at:1:4 format begin row beat:1:2000 commit",
     .out = "begin@1:4 commit@1:204 <1 end 1:304 log> "},
    {"payload", "at:1:4 format begin ( row none row commit ) begin row commit",
     .out = "begin@1:4 commit@1:104 begin@1:539 commit@1:739 <3 end 1:839 log> "},
    {"a batch full in a payload",
     "at:1:4 format begin ( row row row row row row row row row row row row commit ) dry",
     .out = "begin@1:4 <11 no> commit@1:104 <1 end 1:1439 log> "},
    {"a batch full in a transaction",
     "at:1:4 format begin row row row row row row row row row row row row commit",
     .out = "begin@1:4 <11 no> commit@1:1304 <1 end 1:1404 log> "},
    {"the same, cut", "at:1:4 format begin row row row row row row row row row row row row commit",
     .out = "begin@1:4 <11 cut 1:4 11> commit@1:1304 <1 end 1:1404 log> ", .cuts = true},
    {"half full at an end", "at:1:4 format begin row row row row row row commit begin row commit",
     .out =
         "begin@1:4 commit@1:704 <6 end 1:804 log> begin@1:804 commit@1:1004 <1 end 1:1104 log> "},
    {"rows went out before, the commit alone is left",
     "at:1:4 format begin row row row row row row row row row row row poll none commit",
     .out = "begin@1:4 <11 no> commit@1:1304 <0 end 1:1404 log> "},
    {"the file ends inside a transaction",
     "at:1:4 format begin row commit begin row row at:2:4 format begin row commit",
     .out = "begin@1:4 commit@1:204 begin@1:304 begin@2:4 commit@2:204 <2 end 2:304 log> "},
    {"the same, some of it handed over",
     "at:1:4 format begin row row row row row row row row row row row row at:2:4 format begin row "
     "commit",
     .out = "begin@1:4 <11 no> gap@1:4 begin@2:4 commit@2:204 <1 end 2:304 log> "},
    {"the same, in a payload's place", "at:1:4 format begin at:2:4 format begin row commit",
     .out = "begin@1:4 begin@2:4 commit@2:204 <1 end 2:304 log> "},
    {"the same, cut and committed, met again after a start",
     "at:1:4 format begin row row at:2:4 format begin row commit",
     .out = "begin@1:4 gap@1:4 begin@2:4 commit@2:204 <1 end 2:304 log> ", .cuts = true, .n = 2},
    {"the same, not met again", "at:2:4 format begin row commit",
     .out = "gap@1:4 begin@2:4 commit@2:204 <1 end 2:304 log> ", .cuts = true, .n = 2},
    {"the same, the next file has nothing", "at:2:4 format dry late", .out = "gap@1:4 <0 end 2:4> ",
     .cuts = true, .n = 2},
    {"a cut one comes again, whole", "at:1:4 format begin row row row commit at:2:4 format",
     .out = "begin@1:4 commit@1:404 <1 end 2:4 log> ", .cuts = true, .n = 2},
    {"the file ends inside an event",
     "at:1:4 format begin row commit begin row last:2 torn at:2:4 format begin row commit",
     .out =
         "begin@1:4 commit@1:204 begin@1:304 open@2:4 begin@2:4 commit@2:204 <2 end 2:304 log> "},
    {"the same, some of it handed over",
     "at:1:4 format begin row row row row row row row row row row row row last:3 torn at:2:4 "
     "format "
     "begin row commit",
     .out = "begin@1:4 <11 no> open@2:4 gap@1:4 begin@2:4 commit@2:204 <1 end 2:304 log> "},
    {"the same, file by file", "at:9:4 format last:11 torn at:10:4 format torn at:11:4 format late",
     .out = "open@10:4 <0 end 9:4> open@11:4 <0 end 10:4> <0 end 11:4> "},
    {"the last file ends inside an event", "at:1:4 format begin row last:1 torn",
     .out = "begin@1:4 ",
     .message = "the server's log bin.000001 ends inside an event behind 204; "},
    {"the same, no right to see which is the last", "at:1:4 format last:2 deaf torn", .out = "",
     .message = "no right to see whether another file follows: GRANT"},
};

static void make_table(void)
{
    static const struct cdc_rule rule = {.tables = "*"};
    static const struct cdc_column col = {.name = "id", .type = "int", .kind = CDC_INT};
    const struct cdc_table_spec spec = {.catalog = "d",
                                        .schema = "d",
                                        .name = "t",
                                        .version = 1,
                                        .n = 1,
                                        .cols = &col,
                                        .rule = &rule};
    assert_int_equal(cdc_table_new(&spec, &world.tab, NULL), CDC_OK);
}

static void set_up(const struct row *row)
{
    struct mys_source *src = &world.src;
    memset(&world, 0, sizeof world);
    cdc_buf_init(&world.out, 65536);
    world.at = row->script;
    world.pool = cdc_pool_new((size_t)64 << 20, (size_t)1 << 20);
    assert_non_null(world.pool);
    make_table();
    world.cfg = (struct cdc_config){.path = "", .name = "test", .cuts = row->cuts};
    src->srv = (struct mys_server){.cfg = &world.cfg, .max_row = 1 << 20};
    src->head.kind = MYS_POS_TX;
    src->head.by_file = true;
    src->head.pos = row->from ? row->from : 4;
    strcpy(src->head.file, "bin.000001");
    src->caught_up = true;
    if (row->n) {
        src->resume = (struct mys_pos){.kind = MYS_POS_CUT, .n = row->n};
        src->resume.tx.pos = src->head.pos;
        strcpy(src->resume.tx.file, "bin.000001");
    }
    pthread_mutex_init(&src->dump_lock, NULL);
}

static void tear_down(void)
{
    mys_payload_free(world.src.payload);
    cdc_table_unref(world.tab);
    cdc_pool_free(world.pool);
    cdc_buf_done(&world.out);
    pthread_mutex_destroy(&world.src.dump_lock);
}

/* The position in the delta, parsed. */
static struct mys_pos told(const struct cdc_batch *batch)
{
    struct mys_pos pos = {.kind = MYS_POS_NONE};
    struct cdc_buf text = CDC_BUF(4096);
    int rc = cdc_map_get_text(&batch->delta, "position", &text, NULL);
    if (rc == CDC_OK)
        assert_int_equal(mys_pos_parse(false, cdc_buf_slice(&text), &pos), CDC_OK);
    cdc_buf_done(&text);
    return pos;
}

static void say_batch(const struct cdc_batch *batch)
{
    static const char *const cuts[] = {"no", "cut", "end"};
    struct mys_pos pos = told(batch);
    cdc_buf_printf(&world.out, "<%zu %s", batch->n, cuts[batch->cut]);
    assert_int_equal(pos.kind == MYS_POS_NONE, batch->cut == CDC_CUT_NO);
    if (pos.kind != MYS_POS_NONE)
        cdc_buf_printf(&world.out, " %ld:%llu", strtol(strrchr(pos.file, '.') + 1, NULL, 10),
                       (unsigned long long)pos.pos);
    if (pos.kind == MYS_POS_CUT)
        cdc_buf_printf(&world.out, " %llu", (unsigned long long)pos.n);
    cdc_buf_str(&world.out, batch->log_bytes >= EVENT ? " log> " : "> ");
    mys_pos_done(&pos);
}

static int poll_once(void)
{
    struct cdc_batch *batch = cdc_pool_batch(world.pool);
    int rc = mys_stream_poll(&world.src, batch, cdc_mono_us() + 3000, &world.err);
    assert_true(rc == CDC_OK || rc == CDC_AGAIN || rc == CDC_FAIL);
    if (rc == CDC_OK)
        say_batch(batch);
    cdc_batch_unref(batch);
    return rc;
}

static void must_say(const char *message)
{
    if (message ? !strstr(world.err.message, message) : *world.err.message)
        fail_msg("%s", world.err.message);
}

static void test_script(void **state)
{
    const struct row *row = *state;
    set_up(row);
    assert_int_equal(mys_stream_start(&world.src, NULL), CDC_OK);
    while (poll_once() != CDC_FAIL) {
        world.at += strspn(world.at, " ");
        if (strncmp(world.at, "poll", 4) == 0)
            world.at += 4;
        else if (!*world.at && !world.src.due && !world.src.in_payload)
            break;
    }
    must_say(row->message);
    if (!row->message)
        poll_once();
    assert_string_equal(world.out.len ? cdc_buf_cstr(&world.out) : "", row->out);
    tear_down();
}

static const struct near {
    const char *name;
    uint64_t at, want;
    uint32_t low;
} nears[] = {
    {"the same", 5000, 5000, 5000},
    {"ahead", 5000, 6000, 6000},
    {"a little back", 5000, 4900, 4900},
    {"wrapped", 4294967290, 4294967396, 100},
    {"a little back across 4 GiB", 4294967306, 4294967290, 4294967290},
    {"far ahead, nothing lies so far back", 100, 3000000000, 3000000000},
    {"second round", 8589934600, 8589934700, 108},
};

static void test_nearest(void **state)
{
    const struct near *row = *state;
    assert_int_equal(nearest(row->at, row->low), row->want);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(nears)], *to = tests;
    to = CM_ROWS(to, test_script, rows);
    CM_ROWS(to, test_nearest, nears);
    return cmocka_run_group_tests_name("mysql: stream", tests, NULL, NULL);
}
