/*
 * test_mysql_stream.c - stream.c: places, payloads, what is handed over and when, files that end in
 * the middle of a transaction or have lost some. The words are in mysql_stream_rig.h.
 */
#include "mysql_stream_rig.h"

/* ---- rows ---- */

static const struct row {
    const char *name, *script, *out;
    bool cuts;
    uint64_t from; /* offset in bin.000001; 0: 4 */
    uint64_t n;    /* so many rows of what is there are out */
    const char *message;
    enum { NO_GTIDS, SETS, LISTS } gtids;
    uint64_t have; /* transactions that we have */
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
    {"a file lost its end, MySQL",
     "at:1:4 format logged begin row commit lost lost rotate:2 at:2:4 format logged begin row "
     "commit rotate:3 at:3:4 format logged begin row commit",
     .out = "begin@1:31 commit@1:231 gap@2:4 begin@2:71 commit@2:271 begin@3:71 commit@3:271 <3 "
            "end 3:371 log> ",
     .gtids = SETS},
    {"a file lost its end, MariaDB",
     "at:1:4 format logged begin row commit lost lost rotate:2 at:2:4 format logged begin row "
     "commit rotate:3 at:3:4 format logged begin row commit",
     .out = "begin@1:27 commit@1:227 gap@2:4 begin@2:43 commit@2:243 begin@3:43 commit@3:243 <3 "
            "end 3:343 log> ",
     .gtids = LISTS},
    {"the same, without GTIDs", "at:1:4 format begin row commit lost rotate:2 at:2:4 format logged",
     .out = "begin@1:4 commit@1:204 <1 end 2:71 log> "},
    {"the same, the file ends inside an event",
     "at:1:4 format begin row commit begin row last:2 torn lost lost at:2:4 format logged begin "
     "row commit",
     .out = "begin@1:4 commit@1:204 begin@1:304 open@2:4 gap@2:4 begin@2:43 commit@2:243 <2 end "
            "2:343 log> ",
     .gtids = LISTS},
    {"the same, all of it was lost, nothing follows",
     "at:1:4 format lost rotate:2 at:2:4 format logged dry", .out = "gap@2:4 <0 end 2:71 log> ",
     .gtids = SETS},
    {"a file ends inside a transaction, and lost nothing",
     "at:1:4 format begin row commit begin row at:2:4 format logged begin row commit",
     .out = "begin@1:4 commit@1:204 begin@1:304 begin@2:43 commit@2:243 <2 end 2:343 log> ",
     .gtids = LISTS},
    {"what lies before our place may name more",
     "lost lost at:1:4 format logged skip:2000 begin row commit",
     .out = "begin@1:2043 commit@1:2243 <1 end 1:2343 log> ", .from = 2043, .gtids = LISTS},
    {"a list that the server makes up", "at:1:4 format lost lost logged+ begin row commit",
     .out = "begin@1:4 commit@1:204 <1 end 1:304 log> ", .gtids = LISTS},
    {"all that is named is ours",
     "lost lost lost at:1:4 format logged begin row commit rotate:2 at:2:4 format logged",
     .out = "begin@1:71 commit@1:271 <1 end 2:71 log> ", .gtids = SETS, .have = 3},
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
    src->head.by_file = row->gtids == NO_GTIDS;
    src->facts.gtids = row->gtids != NO_GTIDS;
    src->facts.mariadb = src->target_gtids.mariadb = row->gtids == LISTS;
    add_all(&src->head.gtids, row->have);
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
    mys_gtids_done(&world.src.head.gtids);
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
        assert_int_equal(mys_pos_parse(world.src.facts.mariadb, cdc_buf_slice(&text), &pos),
                         CDC_OK);
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
