/*
 * test_mysql_decode.c - binlog events that are not as they should be: made by hand, and every event
 * that real servers wrote (tests/data/mysql) cut short at each byte and with each byte changed,
 * under ASan. What sound events hold is in test_mysql_golden.c.
 */
#include "mysql_kit.h"

/* Head fields: time, type, server, length (set by the test), end position, flags. */
struct row {
    const char *name;
    uint8_t type;
    uint16_t flags;
    const char *body;
    const char *message; /* NULL: it is sound */
};

#define CUT   "cut short"
#define MORE  "left over"
#define UUID4 "00112233445566778899aabbccddeeff"

static const struct row rows[] = {
    {"unknown, ignorable", 99, MYS_IGNORABLE, "0102", NULL},
    {"unknown", 99, 0, "0102", "must not be skipped"},
    {"type 0", 0, 0, "", "must not be skipped"},
    {"xid", 16, 0, "0100000000000000", NULL},
    {"xid, short", 16, 0, "01000000000000", CUT},
    {"xid, long", 16, 0, "010000000000000000", MORE},
    {"rotate", 4, 0, "040000000000000062", NULL},
    {"rotate to nowhere", 4, 0, "0400000000000000", CUT},
    {"query", 2, 0,
     "0100000002000000010000000061"
     "00"
     "626567696e",
     NULL},
    {"query, database without end", 2, 0, "01000000020000000100000000616162", CUT},
    {"query, status longer than it is", 2, 0,
     "01000000020000000100"
     "00ff"
     "006100",
     CUT},
    {"heartbeat", 27, 0, "62696e", NULL},
    {"heartbeat 2", 41, 0,
     "01016202"
     "02"
     "fc9a05"
     "00",
     CUT},
    {"heartbeat 2, sound", 41, 0,
     "01016202"
     "03"
     "fc9a05"
     "00",
     NULL},
    {"incident", 26, 0, "010000", NULL},
    {"incident, short", 26, 0, "01", CUT},
    {"gtid", 33, 0, "00" UUID4 "0100000000000000", NULL},
    {"gtid, short", 33, 0, "00" UUID4 "01000000000000", CUT},
    {"gtid, clock cut", 33, 0, "00" UUID4 "01000000000000000200", CUT},
    {"tagged gtid of another format", 42, 0, "0402", CUT},
    {"tagged gtid without fields", 42, 0, "020000", CUT},
    {"mariadb gtid", 162, 0, "01000000000000000700000001000000000000", NULL},
    {"mariadb gtid, short", 162, 0, "010000000000000007000000", CUT},
    {"mariadb gtid, transaction's name too long", 162, 0,
     "010000000000000007000000"
     "40"
     "01000000"
     "41"
     "00",
     CUT},
    {"xa prepare", 38, 0,
     "00010000000100000001000000"
     "6162",
     NULL},
    {"xa prepare, name too long", 38, 0, "00010000004100000000000000", CUT},
    {"xa prepare, length above 4 GB", 38, 0, "0001000000ffffffffffffffff", CUT},
    {"payload of an unknown algorithm", 40, 0,
     "010100"
     "020107"
     "030100"
     "00",
     CUT},
    {"payload without its bytes", 40, 0,
     "010105"
     "020100"
     "030100"
     "00",
     CUT},
    {"payload", 40, 0,
     "010101"
     "020100"
     "030100"
     "00"
     "28",
     NULL},
    {"payload, more than it says", 40, 0,
     "010100"
     "020100"
     "030100"
     "00"
     "28",
     MORE},
    {"insert", 30, 0,
     "010000000000"
     "0100"
     "0200"
     "01"
     "01"
     "0005",
     NULL},
    {"insert, extra shorter than itself", 30, 0,
     "010000000000"
     "0100"
     "0100"
     "01"
     "01"
     "0005",
     CUT},
    {"insert, extra longer than the event", 30, 0,
     "010000000000"
     "0100"
     "ffff"
     "01"
     "01",
     CUT},
    {"insert of too many columns", 30, 0,
     "010000000000"
     "0100"
     "0200"
     "fc0110"
     "ff",
     CUT},
    {"insert, bitmap cut", 30, 0,
     "010000000000"
     "0100"
     "0200"
     "09"
     "01",
     CUT},
    {"update, one bitmap", 24, 0,
     "010000000000"
     "0100"
     "09"
     "ffff"
     "ff",
     CUT},
    {"table map", 19, 0,
     "010000000000"
     "0100"
     "016400"
     "017400"
     "01"
     "03"
     "00"
     "00",
     NULL},
    {"table map, name longer than it says", 19, 0,
     "010000000000"
     "0100"
     "01640001"
     "747400",
     CUT},
    {"table map, name with a NUL", 19, 0,
     "010000000000"
     "0100"
     "03640064"
     "00"
     "017400",
     CUT},
};

static uint8_t *from_hex(const char *hex, size_t *ret_len)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = malloc(len + MYS_HEADER);
    assert_non_null(bytes);
    memset(bytes, 0, MYS_HEADER);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[MYS_HEADER + i] = (uint8_t)byte;
    }
    *ret_len = len + MYS_HEADER;
    return bytes;
}

static void set_len(uint8_t *bytes, size_t len)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[9 + i] = (uint8_t)(len >> (8 * i));
}

static void test_made(void **state)
{
    const struct row *row = *state;
    const struct mys_format fmt = {.checksum = false};
    struct cdc_error err = {0};
    struct mys_event ev;
    size_t len;
    uint8_t *bytes = from_hex(row->body, &len);
    bytes[4] = row->type;
    bytes[17] = row->flags & 0xff;
    set_len(bytes, len);
    assert_int_equal(mys_decode_head(&fmt, cdc_slice_of(bytes, len), &ev, &err), CDC_OK);
    int rc = mys_decode(&fmt, &ev, &err);
    assert_int_equal(rc, row->message ? CDC_FAIL : CDC_OK);
    if (row->message) {
        assert_non_null(strstr(err.message, row->message));
        assert_int_equal(err.action, CDC_FATAL);
    }
    free(bytes);
}

/* --- table maps: columns behind "d.t" --- */

static const struct map {
    const char *name, *columns;
    int rc;
    const char *message;
} maps[] = {
    {"an int",
     "01"
     "03"
     "00"
     "00",
     CDC_OK, NULL},
    {"no columns",
     "00"
     "00"
     "",
     CDC_FAIL, "no columns"},
    {"too many columns",
     "fc0110"
     "03",
     CDC_FAIL, "no columns"},
    {"types cut",
     "02"
     "03",
     CDC_FAIL, "do not fit"},
    {"metadata cut",
     "01"
     "0f"
     "02"
     "ff",
     CDC_FAIL, "do not fit"},
    {"metadata missing",
     "01"
     "0f"
     "01"
     "ff"
     "00",
     CDC_FAIL, "do not fit"},
    {"metadata left over",
     "01"
     "03"
     "01"
     "ff"
     "00",
     CDC_FAIL, "do not fit"},
    {"bitmap missing",
     "01"
     "03"
     "00",
     CDC_FAIL, "do not fit"},
    {"a type of tomorrow",
     "02"
     "c803"
     "00"
     "00",
     CDC_END, NULL},
    {"field longer than the event",
     "01"
     "03"
     "00"
     "00"
     "0405"
     "0161",
     CDC_FAIL, "optional"},
    {"signs cut",
     "01"
     "03"
     "00"
     "00"
     "0100",
     CDC_FAIL, "optional"},
    {"name",
     "01"
     "03"
     "00"
     "00"
     "0402"
     "0161",
     CDC_OK, NULL},
    {"name cut",
     "01"
     "03"
     "00"
     "00"
     "0402"
     "0261",
     CDC_FAIL, "optional"},
    {"unknown field",
     "01"
     "03"
     "00"
     "00"
     "7f02"
     "0161",
     CDC_OK, NULL},
    {"key of a column that is not there",
     "01"
     "03"
     "00"
     "00"
     "0801"
     "01",
     CDC_FAIL, "optional"},
    {"key names a column twice",
     "01"
     "03"
     "00"
     "00"
     "0802"
     "0000",
     CDC_FAIL, "optional"},
    {"labels cut",
     "01"
     "fe"
     "02f701"
     "00"
     "0604"
     "02"
     "0161"
     "05",
     CDC_FAIL, "optional"},
    {"labels above all measure",
     "01"
     "fe"
     "02f701"
     "00"
     "0605"
     "fd"
     "ffffff"
     "00",
     CDC_FAIL, "optional"},
};

static void test_map(void **state)
{
    const struct map *map = *state;
    const struct mys_format fmt = {.checksum = false};
    char hex[256];
    struct cdc_error err = {0};
    struct mys_event ev;
    struct mys_map_columns cols;
    size_t len;
    struct cdc_arena *arena = cdc_arena_new((size_t)1 << 24);
    snprintf(hex, sizeof hex, "0100000000000100016400017400%s", map->columns);
    uint8_t *bytes = from_hex(hex, &len);
    bytes[4] = 19;
    set_len(bytes, len);
    assert_int_equal(mys_decode_head(&fmt, cdc_slice_of(bytes, len), &ev, &err), CDC_OK);
    assert_int_equal(mys_decode(&fmt, &ev, &err), CDC_OK);
    assert_int_equal(mys_decode_columns(&fmt, &ev, arena, &cols, &err), map->rc);
    if (map->message)
        assert_non_null(strstr(err.message, map->message));
    cdc_arena_free(arena);
    free(bytes);
}

/* --- events of real servers, spoilt --- */

static const struct file {
    const char *name;
} files[] = {{"images.mysql.bin"},     {"images.mariadb.bin"},     {"metadata.mysql.bin"},
             {"metadata.mariadb.bin"}, {"transactions.mysql.bin"}, {"transactions.mariadb.bin"},
             {"ddl.mysql.bin"},        {"ddl.mariadb.bin"},        {"types.mysql.bin"},
             {"types.mariadb.bin"}};

struct spoil {
    struct mys_format fmt; /* without checksums */
    struct mys_shape *shape;
    uint64_t map_id;
    struct cdc_arena *arena;
    struct mys_payload *pay;
};

static int try_rows(struct spoil *s, const struct mys_event *ev)
{
    struct mys_rows rows_;
    struct cdc_value *before, *after;
    struct cdc_slice bytes = ev->rows.rows;
    int rc;
    if (!s->shape || ev->rows.map_id != s->map_id)
        return CDC_END;
    if (ev->rows.packed && mys_unpack(s->arena, bytes, KIT_MAX, &bytes, NULL) < 0)
        return CDC_FAIL;
    if (mys_rows_start(&rows_, ev, bytes, s->shape->fields, s->shape->n, NULL) < 0)
        return CDC_FAIL;
    before = cdc_arena_alloc(s->arena, s->shape->n * sizeof *before);
    after = cdc_arena_alloc(s->arena, s->shape->n * sizeof *after);
    assert_true(before && after);
    rows_.arena = s->arena;
    while ((rc = mys_rows_next(&rows_, before, after, NULL)) == CDC_OK)
        ;
    return rc;
}

static int try_map(struct spoil *s, const struct mys_event *ev, struct mys_shape **ret)
{
    struct mys_map_columns map;
    int rc = mys_decode_columns(&s->fmt, ev, s->arena, &map, NULL);
    return rc == CDC_OK ? mys_shape_new(&map, NULL, KIT_MAX, ret, NULL) : rc;
}

static int try_payload(struct spoil *s, const struct mys_event *ev)
{
    struct cdc_slice inner;
    int rc;
    mys_payload_start(s->pay, ev->payload.packed, ev->payload.zstd, ev->payload.size);
    while ((rc = mys_payload_next(s->pay, &inner, NULL)) == CDC_OK)
        ;
    return rc;
}

/* CDC_FAIL: refused somewhere. On a copy of exactly that length, so that ASan sees a byte too far.
 */
static int try_event(struct spoil *s, const uint8_t *from, size_t len, enum mys_kind *ret)
{
    struct mys_event ev = {.kind = MYS_OTHER};
    struct mys_shape *shape = NULL;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, from, len);
    int rc = mys_decode_head(&s->fmt, cdc_slice_of(bytes, len), &ev, NULL);
    if (rc == CDC_OK)
        rc = mys_decode(&s->fmt, &ev, NULL);
    if (rc == CDC_OK && ev.kind == MYS_TABLE_MAP)
        rc = try_map(s, &ev, &shape);
    else if (rc == CDC_OK && ev.kind == MYS_ROWS)
        rc = try_rows(s, &ev);
    else if (rc == CDC_OK && ev.kind == MYS_PAYLOAD)
        rc = try_payload(s, &ev);
    mys_shape_free(shape);
    cdc_arena_reset(s->arena);
    free(bytes);
    *ret = ev.kind;
    return rc;
}

/* Types that end with text, or may have more fields in later versions, are sound when cut there. */
static bool must_fail(enum mys_kind kind)
{
    return kind == MYS_XID || kind == MYS_XA_PREPARE || kind == MYS_PAYLOAD;
}

static void spoil_event(struct spoil *s, const uint8_t *from, size_t len)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xfc, 0xff};
    enum mys_kind kind;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, from, len);
    set_len(bytes, len);
    int sound = try_event(s, bytes, len, &kind);
    for (size_t n = len > 3000 ? len - 3000 : 1; n < len; n++) {
        enum mys_kind found;
        assert_int_equal(try_event(s, bytes, n, &found), CDC_FAIL); /* not as long as it says */
        if (n < MYS_HEADER)
            continue;
        set_len(bytes, n);
        int rc = try_event(s, bytes, n, &found);
        if (must_fail(kind) || (kind == MYS_ROWS && sound == CDC_END && n < 19 + 10))
            assert_int_equal(rc, CDC_FAIL);
        set_len(bytes, len);
    }
    for (size_t i = 0; i < len && i < 600; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            bytes[i] = values[v];
            (void)!try_event(s, bytes, len, &kind);
            bytes[i] = from[i];
            set_len(bytes, len);
        }
    free(bytes);
}

static void note_map(struct spoil *s, const struct mys_event *ev)
{
    mys_shape_free(s->shape);
    s->shape = NULL;
    s->map_id = ev->map.id;
    if (try_map(s, ev, &s->shape) != CDC_OK)
        s->shape = NULL;
    cdc_arena_reset(s->arena);
}

static void test_spoilt(void **state)
{
    const struct file *file = *state;
    size_t len, n;
    uint8_t *bytes = kit_file(file->name, &len);
    struct spoil s = {.arena = cdc_arena_new(SIZE_MAX), .pay = mys_payload_new(KIT_MAX)};
    uint64_t last_map = UINT64_MAX;
    bool wanted = true;
    assert_true(s.arena && s.pay);
    for (size_t at = 4; at < len; at += n) {
        struct mys_event ev;
        n = kit_event_len(bytes + at);
        size_t bare = bytes[at + 4] == 15 ? n : n - 4;
        set_len(bytes + at, bare);
        assert_int_equal(mys_decode_head(&s.fmt, cdc_slice_of(bytes + at, bare), &ev, NULL),
                         CDC_OK);
        assert_int_equal(mys_decode(&s.fmt, &ev, NULL), CDC_OK);
        if (ev.kind == MYS_FORMAT)
            s.fmt = (struct mys_format){.mariadb = ev.format.mariadb};
        if (ev.kind == MYS_TABLE_MAP) { /* of the many rows of types.*, the first of each table */
            wanted = ev.map.id != last_map;
            last_map = ev.map.id;
            note_map(&s, &ev);
        }
        if (wanted && (ev.kind == MYS_TABLE_MAP || ev.kind == MYS_ROWS || ev.kind != MYS_QUERY))
            spoil_event(&s, bytes + at, bare);
    }
    mys_shape_free(s.shape);
    mys_payload_free(s.pay);
    cdc_arena_free(s.arena);
    free(bytes);
}

/* With checksums no changed byte goes unseen; "in use" of a format description is not summed. */
static void test_checksum(void **state)
{
    size_t len, n;
    uint8_t *bytes = kit_file("images.mysql.bin", &len);
    const struct mys_format fmt = {.checksum = true};
    struct mys_event ev;
    (void)state;
    for (size_t at = 4; at < len; at += n) {
        n = kit_event_len(bytes + at);
        for (size_t i = 0; i < n; i++) {
            if (i >= 9 && i < 13)
                continue; /* the length: see above */
            bytes[at + i] ^= 0x10;
            struct cdc_slice event = cdc_slice_of(bytes + at, n);
            int rc = mys_decode_head(&fmt, event, &ev, NULL);
            if (ev.type == 15 && rc == CDC_OK) /* the byte that says whether there is a sum */
                rc = mys_decode(&fmt, &ev, NULL);
            assert_int_equal(rc, CDC_FAIL);
            bytes[at + i] ^= 0x10;
        }
    }
    bytes[4 + 17] |= 1;
    assert_int_equal(
        mys_decode_head(&fmt, cdc_slice_of(bytes + 4, kit_event_len(bytes + 4)), &ev, NULL),
        CDC_OK);
    free(bytes);
}

/* An event that is larger than the limit, a frame that goes on, a plain payload. */
static void test_payload_limits(void **state)
{
    uint8_t events[3 * MYS_HEADER] = {0};
    struct cdc_slice got;
    struct cdc_error err = {0};
    struct mys_payload *pay = mys_payload_new(100);
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        events[i * MYS_HEADER + 9] = MYS_HEADER;
    mys_payload_start(pay, cdc_slice_of(events, sizeof events), false, sizeof events);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mys_payload_next(pay, &got, &err), CDC_OK);
        assert_int_equal(got.len, MYS_HEADER);
    }
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_END);
    mys_payload_start(pay, cdc_slice_of(events, sizeof events), false, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mys_payload_next(pay, &got, &err), CDC_OK);
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_FAIL);
    mys_payload_start(pay, cdc_slice_of(events, sizeof events - 1), false, sizeof events - 1);
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_OK);
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_OK);
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_FAIL);
    size_t huge = (size_t)1 << 20;
    uint8_t *large = calloc(1, huge);
    assert_non_null(large);
    set_len(large, huge);
    mys_payload_start(pay, cdc_slice_of(large, huge), false, huge);
    assert_int_equal(mys_payload_next(pay, &got, &err), CDC_FAIL);
    assert_non_null(strstr(err.message, "max_row_bytes"));
    free(large);
    mys_payload_free(pay);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(maps) + CM_COUNT(files) + 2], *to = tests;
    const struct CMUnitTest singles[] = {cmocka_unit_test(test_checksum),
                                         cmocka_unit_test(test_payload_limits)};
    to = CM_ROWS(to, test_made, rows);
    to = CM_ROWS(to, test_map, maps);
    to = CM_ROWS(to, test_spoilt, files);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("mysql: decode", tests, NULL, NULL);
}
