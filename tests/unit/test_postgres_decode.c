/*
 * test_postgres_decode.c - pgoutput messages: valid ones as text, malformed ones refused, every
 * proper prefix refused, every byte changed to extremes without reading outside (under ASan). Also
 * the frames around them, and CRC-32C.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/decode.h"
#include "../../connectors/postgres/position.h"
#include "cdc/crc32c.h"
#include "rows.h"

struct row {
    const char *name, *hex, *text;
};

struct bad {
    const char *name, *hex;
};

static const struct row rows[] = {
    {"begin", "420000000002684028000000141dd7600000000305", "B 0/2684028 946771200000000 773"},
    {"begin, latest time saturates", "42ffffffffffffffff7fffffffffffffffffffffff",
     "B FFFFFFFF/FFFFFFFF 9223372036854775807 4294967295"},
    {"commit", "430000000000000000100000000000000040fffca2fec4c82000", "C 0/10 0/40 0"},
    {"relation",
     "52000040067075626c69630074006400020169640000000017ffffffff006e00000006a4000a00"
     "06",
     "R 16390 public.t d 1:id:23:-1 0:n:1700:655366"},
    {"relation without columns, of pg_catalog", "52000000010078006e0000", "R 1 .x n"},
    {"type", "59000040107075626c6963006d6f6f6400", "Y 16400 public.mood"},
    {"origin", "4f00000000000000076e6f646500", "O"},
    {"insert", "49000000054e00037400000001316e7400000000", "I 5 after 1 null \"\""},
    {"update, key unchanged", "55000000054e000274000000013175", "U 5 after 1 unchanged"},
    {"update, key changed", "55000000054b00027400000001316e4e0002740000000132740000000162",
     "U 5 K 1 null after 2 b"},
    {"update, full old row",
     "55000000054f00027400000001317400000001614e0002740000000131740000000162",
     "U 5 O 1 a after 1 b"},
    {"delete by key", "44000000054b00027400000001316e", "D 5 K 1 null"},
    {"delete of a full row", "44000000054f0002740000000131740000000161", "D 5 O 1 a"},
    {"insert without columns", "49000000054e0000", "I 5 after"},
    {"truncate of two", "5400000002030000000500000006", "T 3 5 6"},
    {"truncate of none", "540000000000", "T 0"},
    {"message", "4d0100000000000000097000000000026162", "M 1 0/9 p ab"},
};

static const struct bad bads[] = {
    {"empty", ""},
    {"unknown type", "3f616263"},
    {"stream start is never asked for", "530000000101"},
    {"prepare is never asked for",
     "500000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000"},
    {"insert with K", "49000000054b0001740000000131"},
    {"insert with an unknown mark", "4900000005580001740000000131"},
    {"delete with N", "44000000054e0001740000000131"},
    {"delete with a second row", "44000000054b00017400000001314e0001740000000131"},
    {"update with two old rows", "55000000054b00017400000001314f0001740000000131"},
    {"unknown cell", "49000000054e000178"},
    {"binary cell is never asked for", "49000000054e0001620000000161"},
    {"cell longer than the message", "49000000054e000174ffffffff61"},
    {"more columns than a table can have",
     "49000000054e06816e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
     "6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"},
    {"name without end", "5900000001616263"},
    {"truncate of more than there are", "54ffffffff0000000001"},
    {"bytes left over", "42000000000000000100000000000000010000000100"},
    {"message longer than it is", "4d0100000000000000097000000000036162"},
};

static struct pgs_room room;

/* Bytes of their own length on the heap, so that ASan sees a byte too far. */
static uint8_t *bytes_of(const char *hex, size_t *ret_len)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = malloc(len ? len : 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    *ret_len = len;
    return bytes;
}

static void show_cells(struct cdc_buf *out, const struct pgs_cell *cells, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        const struct pgs_cell *cell = &cells[i];
        if (cell->kind == 'n')
            cdc_buf_str(out, " null");
        else if (cell->kind == 'u')
            cdc_buf_str(out, " unchanged");
        else if (cell->len == 0)
            cdc_buf_str(out, " \"\"");
        else
            cdc_buf_printf(out, " %.*s", (int)cell->len, (const char *)cell->p);
    }
}

static void show_row(struct cdc_buf *out, const struct pgs_msg *msg)
{
    cdc_buf_printf(out, "%c %" PRIu32, msg->type, msg->row.rel);
    if (msg->row.old) {
        cdc_buf_printf(out, " %c", msg->row.old);
        show_cells(out, msg->row.before, msg->row.n_before);
    }
    if (msg->type != 'D') {
        cdc_buf_str(out, " after");
        show_cells(out, msg->row.after, msg->row.n_after);
    }
}

static void show_relation(struct cdc_buf *out, const struct pgs_msg *msg)
{
    cdc_buf_printf(out, "R %" PRIu32 " %s.%s %c", msg->relation.oid, msg->relation.schema,
                   msg->relation.name, msg->relation.identity);
    for (uint16_t i = 0; i < msg->relation.n; i++) {
        const struct pgs_row_column *col = &msg->relation.cols[i];
        cdc_buf_printf(out, " %u:%s:%" PRIu32 ":%" PRId32, col->flags, col->name, col->type,
                       col->typmod);
    }
}

static void show(struct cdc_buf *out, const struct pgs_msg *msg)
{
    switch (msg->type) {
    case 'B':
        cdc_buf_printf(out, "B " PGS_LSN_FMT " %" PRId64 " %" PRIu32, PGS_LSN(msg->begin.commit),
                       msg->begin.commit_us, msg->begin.xid);
        break;
    case 'C':
        cdc_buf_printf(out, "C " PGS_LSN_FMT " " PGS_LSN_FMT " %" PRId64,
                       PGS_LSN(msg->commit.commit), PGS_LSN(msg->commit.end),
                       msg->commit.commit_us);
        break;
    case 'R': show_relation(out, msg); break;
    case 'Y':
        cdc_buf_printf(out, "Y %" PRIu32 " %s.%s", msg->type_.oid, msg->type_.schema,
                       msg->type_.name);
        break;
    case 'T':
        cdc_buf_printf(out, "T %u", msg->truncate.flags);
        for (uint32_t i = 0; i < msg->truncate.n; i++)
            cdc_buf_printf(out, " %" PRIu32, pgs_truncate_oid(msg, i));
        break;
    case 'M':
        cdc_buf_printf(out, "M %u " PGS_LSN_FMT " %s %.*s", msg->message.flags,
                       PGS_LSN(msg->message.lsn), msg->message.prefix,
                       (int)msg->message.content.len, (const char *)msg->message.content.p);
        break;
    case 'O': cdc_buf_str(out, "O"); break;
    default: show_row(out, msg); break;
    }
}

static void test_valid(void **state)
{
    const struct row *row = *state;
    struct cdc_buf out = CDC_BUF(65536);
    struct cdc_error err = {0};
    struct pgs_msg msg;
    size_t len;
    uint8_t *bytes = bytes_of(row->hex, &len);
    assert_int_equal(pgs_decode(bytes, len, &room, &msg, &err), CDC_OK);
    show(&out, &msg);
    assert_string_equal(cdc_buf_cstr(&out), row->text);
    cdc_buf_done(&out);
    free(bytes);
}

static void test_prefixes(void **state)
{
    const struct row *row = *state;
    size_t len;
    uint8_t *bytes = bytes_of(row->hex, &len);
    for (size_t n = 0; n < len; n++) {
        struct cdc_error err = {0};
        struct pgs_msg msg;
        uint8_t *prefix = malloc(n ? n : 1);
        assert_non_null(prefix);
        memcpy(prefix, bytes, n);
        assert_int_equal(pgs_decode(prefix, n, &room, &msg, &err), CDC_FAIL);
        assert_true(err.message[0]);
        free(prefix);
    }
    free(bytes);
}

/* Whatever a byte becomes, it is decoded or refused; cells never reach outside the message. */
static void test_changed_bytes(void **state)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, 't', 'n', 'N'};
    const struct row *row = *state;
    size_t len;
    uint8_t *bytes = bytes_of(row->hex, &len);
    for (size_t i = 0; i < len; i++)
        for (size_t v = 0; v < sizeof values; v++) {
            struct pgs_msg msg;
            uint8_t was = bytes[i];
            bytes[i] = values[v];
            if (pgs_decode(bytes, len, &room, &msg, NULL) == CDC_OK) {
                struct cdc_buf out = CDC_BUF(65536);
                show(&out, &msg);
                cdc_buf_done(&out);
            }
            bytes[i] = was;
        }
    free(bytes);
}

static void test_malformed(void **state)
{
    const struct bad *bad = *state;
    struct cdc_error err = {0};
    struct pgs_msg msg;
    size_t len;
    uint8_t *bytes = bytes_of(bad->hex, &len);
    assert_int_equal(pgs_decode(bytes, len, &room, &msg, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    free(bytes);
}

/* A tuple and a relation with one column more than room has. */
static void test_too_many_columns(void **state)
{
    static uint8_t bytes[2000] = {'I', 0, 0, 0, 5, 'N', 1665 >> 8, 1665 & 255};
    struct pgs_msg msg;
    (void)state;
    memset(bytes + 8, 'n', 1665);
    assert_int_equal(pgs_decode(bytes, 8 + 1665, &room, &msg, NULL), CDC_FAIL);
    bytes[7]--;
    assert_int_equal(pgs_decode(bytes, 8 + 1664, &room, &msg, NULL), CDC_OK);
    assert_int_equal(msg.row.n_after, 1664);
}

static void test_frames(void **state)
{
    static const uint8_t data[] = {'w', 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
                                   0,   0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 'C'};
    static const uint8_t keepalive[] = {'k', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct pgs_frame frame;
    (void)state;
    assert_int_equal(pgs_decode_frame(cdc_slice_of(data, sizeof data), &frame, NULL), CDC_OK);
    assert_int_equal(frame.payload, 25);
    assert_int_equal(frame.wal_end, 9);
    assert_int_equal(pgs_decode_frame(cdc_slice_of(keepalive, sizeof keepalive), &frame, NULL),
                     CDC_OK);
    assert_true(frame.reply);
    assert_int_equal(frame.wal_end, 0x100000002);
    for (size_t n = 0; n < sizeof data; n++)
        assert_int_equal(pgs_decode_frame(cdc_slice_of(data, n), &frame, NULL), CDC_FAIL);
    for (size_t n = 0; n < sizeof keepalive; n++)
        assert_int_equal(pgs_decode_frame(cdc_slice_of(keepalive, n), &frame, NULL), CDC_FAIL);
    assert_int_equal(pgs_decode_frame(cdc_slice_str("x"), &frame, NULL), CDC_FAIL);
}

/* RFC 3720 B.4, and the sum of parts. */
static void test_crc32c(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];
    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (size_t i = 0; i < sizeof up; i++)
        up[i] = (uint8_t)i;
    assert_int_equal(cdc_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(cdc_crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(cdc_crc32c(0, up, 32), 0x46dd794e);
    assert_int_equal(cdc_crc32c(0, "123456789", 9), 0xe3069283);
    for (size_t i = 0; i <= 32; i++)
        assert_int_equal(cdc_crc32c(cdc_crc32c(0, up, i), up + i, 32 - i), 0x46dd794e);
}

int main(void)
{
    const struct CMUnitTest singles[] = {cmocka_unit_test(test_too_many_columns),
                                         cmocka_unit_test(test_frames),
                                         cmocka_unit_test(test_crc32c)};
    struct CMUnitTest tests[3 * CM_COUNT(rows) + CM_COUNT(bads) + 3], *to = tests;
    to = CM_ROWS(to, test_valid, rows);
    to = CM_ROWS(to, test_prefixes, rows);
    to = CM_ROWS(to, test_changed_bytes, rows);
    to = CM_ROWS(to, test_malformed, bads);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("postgres: decode", tests, NULL, NULL);
}
