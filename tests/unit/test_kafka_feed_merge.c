/*
 * test_kafka_feed_merge.c - partitions merged by `__seq`, from scripted lanes.
 *
 * A script is lanes parted by `|`, each a list of records; a record's offset is its place.
 *   c5 u5 d5 r5 t5 m5   a record of table a with that op and place in the log; c5b: of table b
 *   x                   a tombstone
 *   .                   a marker, an aborted or a compacted away record: takes an offset, not seen
 *   #                   what is behind it shows only when it was asked for: decided, marker late
 */
#include "../../connectors/kafka/feed.h"
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

#define LANES 8
#define ITEMS 64

struct record {
    char op; /* '.' unseen, 'x' tombstone */
    char seq[CDC_SEQ_LEN + 1], table[8];
    int asks; /* how often END is given before it shows */
};

struct script {
    struct record items[LANES][ITEMS];
    int64_t n[LANES], at[LANES];
    bool started[LANES];
    size_t lanes;
    int starts, fail_at; /* CDC_FAIL at this call of next; 0: never */
};

static void make_seq(char *ret, int place)
{
    snprintf(ret, CDC_SEQ_LEN + 1, "00000001-%024x-%012x", (unsigned)place, 1u);
}

static void parse(struct script *sc, const char *text)
{
    int asks = 0;
    memset(sc, 0, sizeof *sc);
    sc->lanes = 1;
    for (char *end; *text; text = end) {
        struct record *rec = &sc->items[sc->lanes - 1][sc->n[sc->lanes - 1]];
        end = (char *)(uintptr_t)text + 1;
        if (*text == ' ')
            continue;
        if (*text == '|') {
            sc->lanes++;
            asks = 0;
            continue;
        }
        if (*text == '#') {
            asks = 3;
            continue;
        }
        *rec = (struct record){.op = *text, .table = "a", .asks = asks};
        sc->n[sc->lanes - 1]++;
        asks = 0;
        if (*text == '.' || *text == 'x')
            continue;
        make_seq(rec->seq, (int)strtol(text + 1, &end, 10));
        if (*end >= 'a' && *end <= 'z')
            rec->table[0] = *end++;
    }
}

static int fake_start(void *arg, size_t lane, int64_t from, struct cdc_error *err)
{
    struct script *sc = arg;
    (void)err;
    assert_false(sc->started[lane]);
    sc->started[lane] = true;
    sc->at[lane] = from;
    sc->starts++;
    return CDC_OK;
}

static int fake_next(void *arg, size_t lane, struct kfk_item *ret, struct cdc_error *err)
{
    struct script *sc = arg;
    assert_true(sc->started[lane]);
    memset(ret, 0x55, sizeof *ret); /* what was lent before is gone */
    if (sc->fail_at && --sc->fail_at == 0)
        return cdc_fail(err, CDC_RETRY, "", "as scripted");
    for (;; sc->at[lane]++) {
        struct record *rec = &sc->items[lane][sc->at[lane]];
        bool there = sc->at[lane] < sc->n[lane];
        if (!there || (rec->asks > 0 && rec->asks--)) {
            *ret = (struct kfk_item){.offset = sc->at[lane]};
            return CDC_END;
        }
        if (rec->op == '.')
            continue;
        *ret = (struct kfk_item){.offset = sc->at[lane]++, .tombstone = rec->op == 'x'};
        if (ret->tombstone)
            return CDC_OK;
        ret->op = rec->op;
        ret->seq = (const uint8_t *)rec->seq;
        ret->table = rec->table;
        ret->row.values = (const struct cdc_value *)(const void *)rec; /* told back by the test */
        return CDC_OK;
    }
}

static void fake_stop(void *arg, size_t lane)
{
    struct script *sc = arg;
    assert_true(sc->started[lane]);
    sc->started[lane] = false;
}

static const struct kfk_lane_ops fake = {fake_start, fake_next, fake_stop};

static void open_merge(struct kfk_merge *merge, struct script *sc)
{
    kfk_merge_init(merge, &fake, sc);
    for (size_t i = 0; i < sc->lanes; i++)
        assert_int_equal(kfk_merge_add(merge, 0, NULL), CDC_OK);
}

/* The place of a record as the script wrote it. */
static unsigned place_of(const struct record *rec)
{
    return (unsigned)strtoul(rec->seq + 9, NULL, 16);
}

/* Reads up to `limit` rows (-1: all) and appends them to `got`; the last status. */
static int read_rows(struct kfk_merge *merge, int limit, char *got, size_t cap,
                     struct cdc_error *err)
{
    struct cdc_feed_row row;
    const char *table;
    int rc = CDC_OK;
    while (limit-- != 0 && (rc = kfk_merge_next(merge, &row, &table, err)) == CDC_OK) {
        const struct record *rec = (const struct record *)(const void *)row.values;
        size_t len = strlen(got);
        assert_string_equal(table, rec->table);
        snprintf(got + len, cap - len, "%s%c%u%s", len ? " " : "", rec->op, place_of(rec),
                 rec->table[0] == 'a' ? "" : rec->table);
    }
    return rc;
}

/* One commit: its place, tops (-1: all of the lane), how many rows to read, what they are. */
struct step {
    int place;
    int top[LANES]; /* 0: the lane's length */
    int limit;      /* 0: all; n: only n - 1 rows, the rest is passed over */
    const char *expect;
};

static const struct merge_row {
    const char *name, *script;
    struct step steps[4]; /* to the first without expect */
    const char *refused;  /* text of the error at the end; NULL: none */
} merge_rows[] = {
    {"one lane", "c1 c2 c3", {{3, {0}, 0, "c1 c2 c3"}}, NULL},
    {"merged by place", "c1 c4 c5|c2 c6|c3", {{6, {0}, 0, "c1 c2 c3 c4 c5 c6"}}, NULL},
    {"no lane has anything", "||", {{5, {0}, 0, ""}, {6, {0}, 0, ""}}, NULL},
    {"no place yet", "c1", {{0, {0}, 0, ""}, {1, {0}, 0, "c1"}}, NULL},
    {"an empty partition beside full ones", "c1 c3||c2", {{3, {0}, 0, "c1 c2 c3"}}, NULL},
    {"the next transaction is there already",
     "c1 c5|c2 c6|c3",
     {{3, {0}, 0, "c1 c2 c3"}, {6, {0}, 0, "c5 c6"}},
     NULL},
    {"and the one after that",
     "c1 c5 c9|c2 c6|c3 c7",
     {{3, {0}, 0, "c1 c2 c3"}, {7, {0}, 0, "c5 c6 c7"}, {9, {0}, 0, "c9"}},
     NULL},
    {"nothing above the top is looked at",
     "c1 c2 c3|c1 c4",
     {{1, {1, 1}, 0, "c1 c1"}, {4, {0}, 0, "c2 c3 c4"}},
     NULL},
    {"markers and aborted records", ". c1 . . c2 .|. . .|. c3", {{3, {0}, 0, "c1 c2 c3"}}, NULL},
    {"markers that come late", "c1 # c3 # .|# c2 .", {{3, {0}, 0, "c1 c2 c3"}}, NULL},
    {"compacted away", ". . c7 . c9|. c8", {{9, {0}, 0, "c7 c8 c9"}}, NULL},
    {"tombstones", "c1 d2 x|x c3 x . x", {{3, {0}, 0, "c1 d2 c3"}}, NULL},
    {"a tombstone alone behind the place",
     "c1 d2 x",
     {{2, {2}, 0, "c1 d2"}, {2, {0}, 0, ""}},
     NULL},
    {"key change over two partitions, insert's first", "c7|d7", {{7, {0}, 0, "d7 c7"}}, NULL},
    {"key change over two partitions, delete's first", "d7|c7", {{7, {0}, 0, "d7 c7"}}, NULL},
    {"key change in one partition", "c6 d7 c7 c8", {{8, {0}, 0, "c6 d7 c7 c8"}}, NULL},
    {"a message behind the row of its place", "m7b|c7", {{7, {0}, 0, "c7 m7b"}}, NULL},
    {"range delete from six partitions",
     "c1 t5|t5|t5|c2 t5|t5 c6|t5",
     {{6, {0}, 0, "c1 c2 t5 c6"}},
     NULL},
    {"range deletes of two tables, one truncate",
     "t5 t5b|t5 t5b|t5b t5",
     {{5, {0}, 0, "t5 t5b"}},
     NULL},
    {"two range deletes of one table", "t5 t6|t5 t6|t5 t6", {{6, {0}, 0, "t5 t6"}}, NULL},
    {"a sweep's range delete is old",
     "c1 c9 t5|c8 t5|t5",
     {{9, {2, 1, 0}, 0, "c1 t5 c8 c9"}, {9, {0}, 0, ""}},
     NULL},
    {"and older than the commit before",
     "c1 c9 t5|c8 t5|t5",
     {{9, {2, 1, 1}, 0, "c1 t5 c8 c9"}, {9, {0}, 0, ""}},
     NULL},
    {"a sweep in the next commit",
     "c8 t5 c10|c9 t5",
     {{9, {1, 1}, 0, "c8 c9"}, {10, {0}, 0, "t5 c10"}},
     NULL},
    {"a sweep behind the top and a marker",
     "c3 . t2 c4|c1",
     {{3, {2}, 0, "c1 c3"}, {4, {0}, 0, "t2 c4"}},
     NULL},
    {"the same, not read to its end",
     "c3 . t2 c4|c1",
     {{3, {2}, 1 + 1, "c1"}, {4, {0}, 0, "t2 c4"}},
     NULL},
    {"a copy's rows of one place, cut by the top",
     "r3 . r3 c4|r3 r3",
     {{3, {2, 1}, 0, "r3 r3"}, {4, {0}, 0, "r3 r3 c4"}},
     NULL},
    {"a sweep before the next truncate", "c29 t5 t30|t5 t30", {{30, {0}, 0, "t5 c29 t30"}}, NULL},
    {"a cut inside a transaction",
     "c5 c6|c6 c7",
     {{6, {1, 1}, 0, "c5 c6"}, {7, {0}, 0, "c6 c7"}},
     NULL},
    {"not read to its end",
     "c1 c3 c5|c2 c4 c6",
     {{4, {0}, 2 + 1, "c1 c2"}, {6, {0}, 0, "c5 c6"}},
     NULL},
    {"not read at all", "c1 c3 c5|c2 c4 c6", {{4, {0}, 1, ""}, {6, {0}, 0, "c5 c6"}}, NULL},
    {"passed over twice",
     "c1 c3 c5|c2 c4 c6",
     {{2, {1, 1}, 1, ""}, {4, {2, 2}, 1, ""}, {6, {0}, 0, "c5 c6"}},
     NULL},
    {"a range delete passed over, and the next one",
     "c1 t2 t5|t2 c3 t5",
     {{3, {2, 2}, 1, ""}, {5, {0}, 0, "t5"}},
     NULL},
    {"older than what was read", "c5 c3", {{5, {1}, 0, "c5"}, {6, {0}, 0, ""}}, "older than those"},
    {"older in another lane", "c5|# c4 c6", {{5, {1, 0}, 0, "c4 c5"}, {6, {0}, 0, "c6"}}, NULL},
    {"a message may be older", "c5 m4", {{5, {1}, 0, "c5"}, {6, {0}, 0, "m4"}}, NULL},
};

static void test_merge(void **state)
{
    const struct merge_row *row = *state;
    struct script *sc = malloc(sizeof *sc);
    struct kfk_merge merge;
    struct cdc_error err = {0};
    int rc = CDC_OK;
    parse(sc, row->script);
    open_merge(&merge, sc);
    for (const struct step *step = row->steps; step->expect && rc != CDC_FAIL; step++) {
        char got[400] = "", seq[CDC_SEQ_LEN + 1] = "";
        kfk_merge_end(&merge);
        for (size_t i = 0; i < sc->lanes; i++)
            merge.lanes[i].top = step->top[i] ? step->top[i] : sc->n[i];
        if (step->place)
            make_seq(seq, step->place);
        kfk_merge_begin(&merge, seq);
        rc = read_rows(&merge, step->limit ? step->limit - 1 : -1, got, sizeof got, &err);
        assert_string_equal(got, step->expect);
        if (rc == CDC_END)
            assert_int_equal(read_rows(&merge, -1, got, sizeof got, &err), CDC_END);
    }
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_non_null(strstr(err.message, row->refused));
    } else {
        assert_int_not_equal(rc, CDC_FAIL);
    }
    kfk_merge_done(&merge);
    for (size_t i = 0; i < LANES; i++)
        assert_false(sc->started[i]);
    free(sc);
}

/* A lane that has come to its top is stopped, and started again only when there is more. */
static void test_idle_lanes_are_stopped(void **state)
{
    (void)state;
    struct script *sc = malloc(sizeof *sc);
    struct kfk_merge merge;
    char got[100] = "", seq[CDC_SEQ_LEN + 1];
    parse(sc, "c1 c4|c2|c3 c5");
    open_merge(&merge, sc);
    for (size_t i = 0; i < 3; i++)
        merge.lanes[i].top = 1;
    make_seq(seq, 3);
    kfk_merge_begin(&merge, seq);
    assert_int_equal(read_rows(&merge, -1, got, sizeof got, NULL), CDC_END);
    assert_int_equal(sc->starts, 3);
    for (size_t i = 0; i < 3; i++)
        assert_false(merge.lanes[i].started);
    kfk_merge_end(&merge);
    merge.lanes[0].top = 2;
    make_seq(seq, 4);
    kfk_merge_begin(&merge, seq);
    assert_int_equal(read_rows(&merge, -1, got, sizeof got, NULL), CDC_END);
    assert_int_equal(sc->starts, 4);
    assert_string_equal(got, "c1 c2 c3 c4");
    kfk_merge_done(&merge);
    free(sc);
}

/* A failure of the transport goes up, wherever it comes. */
static void test_failure(void **state)
{
    (void)state;
    for (int at = 1; at <= 5; at++) {
        struct script *sc = malloc(sizeof *sc);
        struct kfk_merge merge;
        struct cdc_error err = {0};
        char got[100] = "", seq[CDC_SEQ_LEN + 1];
        parse(sc, "c1 c4 c5|c2|c3");
        open_merge(&merge, sc);
        for (size_t i = 0; i < 3; i++)
            merge.lanes[i].top = sc->n[i];
        make_seq(seq, 9);
        kfk_merge_begin(&merge, seq);
        sc->fail_at = at;
        assert_int_equal(read_rows(&merge, -1, got, sizeof got, &err), CDC_FAIL);
        assert_int_equal(err.action, CDC_RETRY);
        kfk_merge_done(&merge);
        free(sc);
    }
}

/* ---- tokens ---- */

static char topic_name[] = "shop.public.t";

static void fake_source(struct kfk_source *src, const struct script *sc)
{
    static struct kfk_source_topic topic;
    topic = (struct kfk_source_topic){.name = topic_name};
    *src = (struct kfk_source){.topics = &topic, .n_topics = 1, .n_parts = sc->lanes};
    src->parts = calloc(LANES, sizeof *src->parts);
    for (size_t i = 0; i < sc->lanes; i++)
        src->parts[i].partition = (int32_t)i;
}

/* The merge closed, and opened again by its token: as a reader that was killed comes back. */
static void reopen(struct kfk_merge *merge, struct script *sc, int place)
{
    struct kfk_source src;
    struct cdc_buf text = CDC_BUF(65536);
    struct kfk_token token = {.txn = 7, .control = 12}, back;
    make_seq(token.seq, place);
    fake_source(&src, sc);
    assert_int_equal(kfk_token_print(&token, &src, merge, &text, NULL), CDC_OK);
    kfk_merge_done(merge);
    assert_int_equal(kfk_token_parse(cdc_buf_cstr(&text), &back, NULL), CDC_OK);
    assert_string_equal(back.seq, token.seq);
    assert_int_equal(back.txn, 7);
    assert_int_equal(back.control, 12);
    kfk_merge_init(merge, &fake, sc);
    memcpy(merge->seq, back.seq, sizeof back.seq);
    for (size_t i = 0; i < sc->lanes; i++) {
        int64_t pos, past;
        assert_int_equal(kfk_token_part(&back, topic_name, (int32_t)i, &pos, &past), CDC_OK);
        assert_int_equal(kfk_merge_add(merge, pos, NULL), CDC_OK);
        merge->lanes[i].past = past;
        memcpy(merge->lanes[i].past_seq, back.seq, sizeof back.seq);
        if (back.parts && !past)
            assert_int_equal(merge->lanes[i].pos, pos);
    }
    int64_t pos, past;
    assert_int_equal(kfk_token_part(&back, topic_name, (int32_t)sc->lanes, &pos, &past), CDC_END);
    assert_int_equal(kfk_token_part(&back, "other", 0, &pos, &past), CDC_END);
    kfk_token_done(&back);
    cdc_buf_done(&text);
    free(src.parts);
}

/* A random log of three to six lanes: places rise in each, some are holes. */
static void random_script(struct script *sc, unsigned *seed)
{
    char text[2000] = "";
    int lanes = 3 + rand_r(seed) % 4;
    for (int lane = 0; lane < lanes; lane++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s", lane ? "|" : "");
        for (int place = 1 + rand_r(seed) % 5; place < 40; place += 1 + rand_r(seed) % 6) {
            static const char *const kinds[] = {"c", "c", "u", "d", "r"};
            len = strlen(text);
            if (rand_r(seed) % 4 == 0)
                snprintf(text + len, sizeof text - len, "%s ", rand_r(seed) % 2 ? "." : "x");
            len = strlen(text);
            snprintf(text + len, sizeof text - len, "%s%d ", kinds[rand_r(seed) % 5], place);
        }
    }
    parse(sc, text);
}

/* Tops of a commit: behind its last record, and now and then what is later already. */
static void random_tops(struct kfk_merge *merge, const struct script *sc, int place, unsigned *seed)
{
    for (size_t i = 0; i < sc->lanes; i++) {
        int64_t top = 0;
        for (int64_t k = 0; k < sc->n[i]; k++)
            if (sc->items[i][k].seq[0] && (int)place_of(&sc->items[i][k]) <= place)
                top = k + 1;
        top += rand_r(seed) % 3 == 0 ? rand_r(seed) % 4 : 0;
        top = top > sc->n[i] ? sc->n[i] : top;
        merge->lanes[i].top = top > merge->lanes[i].pos ? top : merge->lanes[i].pos;
    }
}

/* However a log is cut into commits, and wherever the reader is killed: the same rows, once. */
static void test_resumption(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        unsigned seed = round;
        struct script *sc = malloc(sizeof *sc);
        struct kfk_merge merge;
        char whole[2000] = "", got[2000] = "", seq[CDC_SEQ_LEN + 1];
        random_script(sc, &seed);
        open_merge(&merge, sc);
        for (size_t i = 0; i < sc->lanes; i++)
            merge.lanes[i].top = sc->n[i];
        make_seq(seq, 100);
        kfk_merge_begin(&merge, seq);
        assert_int_equal(read_rows(&merge, -1, whole, sizeof whole, NULL), CDC_END);
        kfk_merge_done(&merge);
        open_merge(&merge, sc);
        for (int place = 3; place < 48; place += 1 + rand_r(&seed) % 9) {
            kfk_merge_end(&merge);
            random_tops(&merge, sc, place, &seed);
            make_seq(seq, place);
            kfk_merge_begin(&merge, seq);
            assert_int_equal(read_rows(&merge, -1, got, sizeof got, NULL), CDC_END);
            if (rand_r(&seed) % 2)
                reopen(&merge, sc, place);
        }
        assert_string_equal(got, whole);
        kfk_merge_done(&merge);
        free(sc);
    }
}

/* The token as it is lent with a commit, before its rows: they count as read. */
static void test_token_of_an_unread_commit(void **state)
{
    (void)state;
    struct script *sc = malloc(sizeof *sc);
    struct kfk_merge merge;
    char got[200] = "", seq[CDC_SEQ_LEN + 1];
    parse(sc, "c1 c3 c5 c7|c2 c4 c6|c9 t2");
    open_merge(&merge, sc);
    for (size_t i = 0; i < sc->lanes; i++)
        merge.lanes[i].top = sc->n[i];
    make_seq(seq, 4);
    kfk_merge_begin(&merge, seq);
    reopen(&merge, sc, 4);
    for (size_t i = 0; i < sc->lanes; i++)
        merge.lanes[i].top = sc->n[i];
    make_seq(seq, 9);
    kfk_merge_begin(&merge, seq);
    assert_int_equal(read_rows(&merge, -1, got, sizeof got, NULL), CDC_END);
    assert_string_equal(got, "c5 c6 c7 c9");
    kfk_merge_done(&merge);
    free(sc);
}

#define SEQ "00000001-000000000000000000000007-000000000001"

static const struct token_row {
    const char *name, *text;
    bool good;
} token_rows[] = {
    {"whole", "{\"v\":1,\"txn\":3,\"seq\":\"" SEQ "\",\"control\":9,\"parts\":{\"t\":[1,[2,5]]}}",
     true},
    {"nothing written yet", "{\"v\":1,\"txn\":1,\"seq\":\"\",\"control\":9,\"parts\":{}}", true},
    {"empty", "", false},
    {"no JSON", "{\"v\":1", false},
    {"a lake's", "{\"v\":1,\"seq\":3,\"sha256\":\"00\"}", false},
    {"another version", "{\"v\":2,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":{}}", false},
    {"no parts", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9}", false},
    {"parts no object", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":[]}", false},
    {"a part no list", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":{\"t\":4}}", false},
    {"a negative offset", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":{\"t\":[-1]}}",
     false},
    {"an offset as text",
     "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":{\"t\":[\"1\"]}}", false},
    {"three numbers", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"control\":9,\"parts\":{\"t\":[[1,2,3]]}}",
     false},
    {"a short seq", "{\"v\":1,\"txn\":3,\"seq\":\"0000\",\"control\":9,\"parts\":{}}", false},
    {"a negative txn", "{\"v\":1,\"txn\":-3,\"seq\":\"\",\"control\":9,\"parts\":{}}", false},
    {"no control", "{\"v\":1,\"txn\":3,\"seq\":\"\",\"parts\":{}}", false},
};

static void test_token(void **state)
{
    const struct token_row *row = *state;
    struct kfk_token token = {0};
    struct cdc_error err = {0};
    int rc = kfk_token_parse(row->text, &token, &err);
    assert_int_equal(rc, row->good ? CDC_OK : CDC_FAIL);
    if (!row->good)
        assert_int_equal(err.action, CDC_OPERATOR);
    kfk_token_done(&token);
}

static void test_token_prefixes(void **state)
{
    (void)state;
    const char *whole = token_rows[0].text;
    for (size_t n = 0; n < strlen(whole); n++) {
        struct kfk_token token = {0};
        char *cut = strndup(whole, n);
        assert_int_equal(kfk_token_parse(cut, &token, NULL), CDC_FAIL);
        free(cut);
    }
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(merge_rows) + CM_COUNT(token_rows) + 5];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_idle_lanes_are_stopped),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_token_of_an_unread_commit),
        cmocka_unit_test(test_token_prefixes),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_merge, merge_rows);
    to = CM_ROWS(to, test_token, token_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("kafka feed", tests, NULL, NULL);
}
