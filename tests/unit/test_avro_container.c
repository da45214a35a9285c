/*
 * test_avro_container.c - container files: what was written is read; what was cut, changed or made
 * up is refused at its byte, and nothing is read outside (each file lies in memory of its own
 * size).
 */
#include <stdio.h>
#include <stdlib.h>

#include "avro/types.h"
#include "avro_cells.h"
#include "avro_mem.h"
#include "cm.h"

#define LIMIT ((size_t)1000000) /* no power of two: growing must stop right at it */
#define SCHEMA                                                                                     \
    "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"c\",\"type\":\"string\"}],"     \
    "\"cdc.schema\":\"s\",\"cdc.table\":\"t\",\"cdc.version\":1}"

static const enum cdc_codec codecs[] = {CDC_CODEC_NULL, CDC_CODEC_DEFLATE, CDC_CODEC_ZSTD};

static struct cdc_avro_writer *open_writer(struct mem *mem, enum cdc_codec codec, size_t block,
                                           size_t max)
{
    struct cdc_kv meta[] = {{cdc_slice_str("cdc.table"), cdc_slice_str("s.t")},
                            {cdc_slice_str("cdc.empty"), cdc_slice_str("")}};
    struct cdc_avro_writer_options opt = {.schema = cdc_slice_str(SCHEMA),
                                          .codec = codec,
                                          .block_bytes = block,
                                          .max_bytes = max,
                                          .meta = meta,
                                          .n_meta = 2,
                                          .out = mem_out,
                                          .arg = mem};
    struct cdc_avro_writer *w = NULL;
    mem->buf = CDC_BUF(64 << 20);
    assert_int_equal(cdc_avro_writer_new(&opt, &w, NULL), CDC_OK);
    return w;
}

/* One row: a string of n times c. */
static int add(struct cdc_avro_writer *w, char c, size_t n, struct cdc_error *err)
{
    struct cdc_buf *buf = cdc_avro_writer_begin(w);
    uint8_t len[CDC_ZIGZAG_MAX];
    cdc_buf_put(buf, len, (size_t)(cdc_zigzag(len, (int64_t)n) - len));
    for (size_t i = 0; i < n; i++)
        cdc_buf_byte(buf, (uint8_t)c);
    return cdc_avro_writer_end(w, err);
}

/* Reads a copy of the bytes to the end. Rows counted into *ret_rows. */
static int read_bytes(const uint8_t *p, size_t len, size_t step, size_t *ret_rows,
                      struct cdc_error *err)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    struct mem mem = {.buf = {.p = copy, .len = len, .cap = len}, .step = step};
    struct cdc_avro_reader *r = NULL;
    const struct cdc_value *values;
    size_t rows = 0;
    int rc = cdc_avro_reader_new(mem_in, &mem, LIMIT, "f.avro", &r, err);
    while (rc == CDC_OK && (rc = cdc_avro_reader_row(r, &values, err)) == CDC_OK) {
        assert_int_equal(values[0].kind, CDC_TEXT);
        rows++;
    }
    if (r && rc == CDC_FAIL) /* for good */
        assert_int_equal(cdc_avro_reader_row(r, &values, NULL), CDC_FAIL);
    cdc_avro_reader_free(r);
    free(copy);
    if (ret_rows)
        *ret_rows = rows;
    return rc;
}

/* A file of a few blocks; ends[] get the places where a block ends. */
static void small_file(struct mem *mem, enum cdc_codec codec, size_t *ends)
{
    struct cdc_avro_writer *w = open_writer(mem, codec, 1000, LIMIT);
    ends[0] = mem->buf.len;
    for (int block = 0; block < 3; block++) {
        for (int i = 0; i < 3; i++)
            assert_int_equal(add(w, (char)('a' + i), (size_t)(5 * i), NULL), CDC_OK);
        assert_int_equal(cdc_avro_writer_flush(w, block == 1, NULL), CDC_OK);
        ends[block + 1] = mem->buf.len;
    }
    assert_int_equal(cdc_avro_writer_records(w), 9);
    assert_int_equal(cdc_avro_writer_bytes(w), mem->buf.len);
    cdc_avro_writer_free(w);
}

static void round_trip(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    for (size_t step = 0; step < 4; step++) {
        struct mem mem = {.step = step};
        struct cdc_avro_writer *w = open_writer(&mem, codec, 500, LIMIT);
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(add(w, (char)('a' + i % 26), i, NULL), CDC_OK);
        assert_true(cdc_avro_writer_memory(w) > 0);
        assert_int_equal(cdc_avro_writer_flush(w, true, NULL), CDC_OK);
        assert_int_equal(cdc_avro_writer_memory(w), 0);
        cdc_avro_writer_free(w);
        struct cdc_avro_reader *r;
        const struct cdc_value *v;
        assert_int_equal(cdc_avro_reader_new(mem_in, &mem, LIMIT, "f", &r, NULL), CDC_OK);
        struct cdc_slice got = cdc_avro_reader_meta(r, "avro.schema");
        assert_true(cdc_slice_eq(got, cdc_slice_str(SCHEMA))); /* verbatim */
        assert_true(cdc_slice_eq(cdc_avro_reader_meta(r, "cdc.table"), cdc_slice_str("s.t")));
        assert_non_null(cdc_avro_reader_meta(r, "cdc.empty").p);
        assert_null(cdc_avro_reader_meta(r, "cdc.none").p);
        for (size_t i = 0; i < 200; i++) {
            assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_OK);
            assert_int_equal(v[0].len, i);
            assert_true(i == 0 || v[0].p[i - 1] == 'a' + i % 26);
        }
        assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_END);
        assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_END);
        cdc_avro_reader_free(r);
        cdc_buf_done(&mem.buf);
    }
}

/* Cut anywhere but behind a block: an error. Behind one: what a container cannot notice. */
static void every_prefix(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct mem mem = {0};
    size_t ends[4], block = 0;
    small_file(&mem, codec, ends);
    for (size_t n = 0; n <= mem.buf.len; n++) {
        struct cdc_error err = {.message = ""};
        size_t rows;
        int rc = read_bytes(mem.buf.p, n, 1 + n % 7, &rows, &err);
        if (block < 4 && n == ends[block]) {
            assert_int_equal(rc, CDC_END);
            assert_int_equal(rows, 3 * block++);
            continue;
        }
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_FATAL);
        char place[32];
        snprintf(place, sizeof place, "at byte %zu,", n);
        assert_non_null(strstr(err.message, place));
        assert_int_equal(rows, block ? 3 * (block - 1) : 0);
    }
    assert_int_equal(block, 4);
    cdc_buf_done(&mem.buf);
}

/* Every byte, each of four changes: an error or not, but clean. A changed marker is always seen. */
static void every_byte(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct mem mem = {0};
    size_t ends[4];
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    small_file(&mem, codec, ends);
    for (size_t i = 0; i < mem.buf.len; i++) {
        for (size_t c = 0; c < sizeof changes; c++) {
            struct cdc_error err = {.message = ""};
            mem.buf.p[i] ^= changes[c];
            int rc = read_bytes(mem.buf.p, mem.buf.len, 0, NULL, &err);
            mem.buf.p[i] ^= changes[c];
            assert_true(rc == CDC_END || (rc == CDC_FAIL && err.action == CDC_FATAL));
            for (int b = 0; b < 4; b++)
                if (i < ends[b] && i >= ends[b] - 16)
                    assert_int_equal(rc, CDC_FAIL);
        }
    }
    cdc_buf_done(&mem.buf);
}

/* A block's length decides where it is closed, and max_bytes what a record may be. */
static void large_records(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct mem mem = {0};
    struct cdc_error err;
    struct cdc_avro_writer *w = open_writer(&mem, codec, 10000, 20000);
    assert_int_equal(add(w, 'a', 9000, NULL), CDC_OK);
    size_t header = mem.buf.len;
    assert_int_equal(add(w, 'b', 19997, NULL), CDC_OK); /* alone 20000: a block of its own */
    assert_true(mem.buf.len > header);
    assert_int_equal(add(w, 'c', 10, NULL), CDC_OK);
    assert_int_equal(add(w, 'd', 19998, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_int_equal(add(w, 'e', 100000, &err), CDC_FAIL); /* far beyond */
    assert_int_equal(add(w, 'f', 20, NULL), CDC_OK);
    cdc_avro_writer_begin(w);
    cdc_avro_writer_cancel(w);
    assert_int_equal(cdc_avro_writer_flush(w, false, NULL), CDC_OK);
    assert_int_equal(cdc_avro_writer_records(w), 4);
    cdc_avro_writer_free(w);

    static const size_t want[] = {9000, 19997, 10, 20};
    struct cdc_avro_reader *r;
    const struct cdc_value *v;
    assert_int_equal(cdc_avro_reader_new(mem_in, &mem, 20000, "f", &r, NULL), CDC_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_OK);
        assert_int_equal(v[0].len, want[i]);
    }
    assert_int_equal(cdc_avro_reader_row(r, &v, NULL), CDC_END);
    cdc_avro_reader_free(r);
    cdc_buf_done(&mem.buf);
}

/* The disk is full: the error of `out` comes through as it is, at the header and at a block. */
static void disk_full(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct cdc_error err = {.message = ""};
    struct mem mem = {.buf = CDC_BUF(4096), .room = 20};
    struct cdc_avro_writer_options opt = {.schema = cdc_slice_str(SCHEMA),
                                          .codec = codec,
                                          .block_bytes = 100,
                                          .max_bytes = 1000,
                                          .out = mem_out,
                                          .arg = &mem};
    struct cdc_avro_writer *w = NULL;
    assert_int_equal(cdc_avro_writer_new(&opt, &w, &err), CDC_FAIL);
    assert_null(w);
    assert_int_equal(err.action, CDC_RETRY);
    mem.room = 300;
    assert_int_equal(cdc_avro_writer_new(&opt, &w, NULL), CDC_OK);
    uint64_t header = cdc_avro_writer_bytes(w);
    int rc = CDC_OK;
    for (int i = 0; i < 100 && rc == CDC_OK; i++)
        rc = add(w, (char)(i * 7), 101, &err);
    assert_int_equal(rc, CDC_FAIL);
    assert_string_equal(err.message, "no space left");
    assert_true(cdc_avro_writer_bytes(w) >= header);
    cdc_avro_writer_free(w);
    cdc_buf_done(&mem.buf);
}

/* A block that unpacks to more than max_bytes is refused, however small it is in the file. */
static void bomb(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct mem mem = {0};
    struct cdc_error err = {.message = ""};
    size_t rows;
    struct cdc_avro_writer *w = open_writer(&mem, codec, 16 << 20, 32 << 20);
    assert_int_equal(add(w, 'x', 8 << 20, NULL), CDC_OK);
    assert_int_equal(cdc_avro_writer_flush(w, false, NULL), CDC_OK);
    cdc_avro_writer_free(w);
    assert_int_equal(read_bytes(mem.buf.p, mem.buf.len, 0, &rows, &err), CDC_FAIL);
    assert_int_equal(rows, 0);
    assert_int_equal(err.action, CDC_FATAL);
    cdc_buf_done(&mem.buf);
}

/* A block exactly as long as max_bytes is read; that is what the writer's limit promises. */
static void at_the_limit(void **state)
{
    enum cdc_codec codec = *(const enum cdc_codec *)*state;
    struct mem mem = {0};
    struct cdc_error err = {.message = ""};
    size_t rows;
    struct cdc_avro_writer *w = open_writer(&mem, codec, LIMIT, LIMIT);
    assert_int_equal(add(w, 'x', LIMIT - 3, NULL), CDC_OK);
    assert_int_equal(cdc_avro_writer_flush(w, false, NULL), CDC_OK);
    cdc_avro_writer_free(w);
    assert_int_equal(read_bytes(mem.buf.p, mem.buf.len, 0, &rows, &err), CDC_END);
    assert_int_equal(rows, 1);
    cdc_buf_done(&mem.buf);
}

/* Two files made alike have different markers: blocks cannot be mistaken for each other's. */
static void markers_differ(void **state)
{
    (void)state;
    struct mem a = {0}, b = {0};
    size_t ends[4];
    small_file(&a, CDC_CODEC_NULL, ends);
    small_file(&b, CDC_CODEC_NULL, ends);
    assert_memory_equal(a.buf.p, b.buf.p, ends[0] - 16);
    assert_memory_not_equal(a.buf.p + ends[0] - 16, b.buf.p + ends[0] - 16, 16);
    cdc_buf_done(&a.buf);
    cdc_buf_done(&b.buf);
}

/* Made-up files. S stands for 16 bytes of sync, in hex "S"; the schema is M. */
struct row {
    const char *name, *head, *block; /* raw bytes behind the magic / the header */
    size_t n_head, n_block;
    const char *message;
};

#define RAW(s) s, NULL, sizeof(s) - 1, 0
#define BLK(s) NULL, s, 0, sizeof(s) - 1
#define SYNC16 "0123456789abcdef"
#define HUGE_N "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" /* INT64_MAX */
#define LEAST  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" /* INT64_MIN */

/* clang-format off */
static const struct row rows[] = {
    {"header: keys without end", RAW(HUGE_N), "metadata keys"},
    {"header: least number of keys", RAW(LEAST), "metadata keys"},
    {"header: 1001 keys", RAW("\xd2\x0f"), "metadata keys"},
    {"header: length of a key negative", RAW("\x02\x01"), "length of a metadata key"},
    {"header: length of a key huge", RAW("\x02" HUGE_N), "length of a metadata key"},
    {"header: length of a value huge", RAW("\x02\x02k" HUGE_N), "length of a metadata value"},
    {"header: no number", RAW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "no number"},
    {"header: no schema", RAW("\x00" SYNC16), "no avro.schema"},
    {"header: codec unknown", RAW("\x04\x14" "avro.codec\x0csnappy\x16" "avro.schema\x02{\x00" SYNC16), "codec"},
    {"block: rows negative", BLK("\x01\x02\x00" SYNC16), "claims -1 rows"},
    {"block: rows without end", BLK(HUGE_N "\x02\x00" SYNC16), "rows in 1 bytes"},
    {"block: length negative", BLK("\x02\x01"), "length of a block"},
    {"block: length huge", BLK("\x02" HUGE_N), "length of a block"},
    {"block: length above the limit", BLK("\x02\x82\x80\x80\x01"), "length of a block"},
    {"block: length beyond the file", BLK("\x02\x80\x80\x3c" "abc"), "it ends at byte"},
    {"block: other marker", BLK("\x02\x02\x00" "0123456789abcdeX"), "sync marker"},
    {"block: rows and no bytes", BLK("\x02\x00" SYNC16), "rows in 0 bytes"},
    {"block: bytes and no rows", BLK("\x00\x02\x00" SYNC16), "bytes and no rows"},
    {"block: more than its rows", BLK("\x02\x04\x00\x00" SYNC16), "more than its rows"},
    {"block: fewer than its rows", BLK("\x04\x06\x02" "ab" SYNC16), "column c"},
    {"block: string longer than the block", BLK("\x02\x02\x0a" SYNC16), "column c"},
    {"block: string of huge length", BLK("\x02\x14" HUGE_N SYNC16), "column c"},
    {"block: string of negative length", BLK("\x02\x02\x01" SYNC16), "column c"},
    {"block: empty ones are passed over", BLK("\x00\x00" SYNC16 "\x02\x04\x02" "a" SYNC16), NULL},
};
/* clang-format on */

#define N (sizeof rows / sizeof *rows)

static void put_text(struct cdc_buf *buf, const char *text)
{
    uint8_t len[CDC_ZIGZAG_MAX];
    cdc_buf_put(buf, len, (size_t)(cdc_zigzag(len, (int64_t)strlen(text)) - len));
    cdc_buf_str(buf, text);
}

static void made_up(void **state)
{
    const struct row *row = *state;
    struct cdc_error err = {.message = ""};
    struct cdc_buf buf = CDC_BUF(65536);
    size_t n;
    cdc_buf_put(&buf, "Obj\1", 4);
    if (row->head) {
        cdc_buf_put(&buf, row->head, row->n_head);
    } else { /* a count with a size in front, and no codec, as others may write */
        cdc_buf_put(&buf, "\x01\x7e", 2);
        put_text(&buf, "avro.schema");
        put_text(&buf, SCHEMA);
        cdc_buf_put(&buf, "\x00" SYNC16, 17);
        cdc_buf_put(&buf, row->block, row->n_block);
    }
    int rc = read_bytes(buf.p, buf.len, 0, &n, &err);
    cdc_buf_done(&buf);
    if (!row->message) {
        assert_int_equal(rc, CDC_END);
        assert_int_equal(n, 1);
        return;
    }
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    if (!strstr(err.message, row->message))
        fail_msg("\"%s\" is not in: %s", row->message, err.message);
    assert_non_null(strstr(err.message, "f.avro"));
}

static void (*const each_codec[])(void **) = {round_trip, every_prefix, every_byte,  large_records,
                                              disk_full,  bomb,         at_the_limit};
static const char *const each_name[] = {"round trip",    "every prefix", "every byte",
                                        "large records", "disk full",    "bomb",
                                        "at the limit"};
#define N_EACH (sizeof each_codec / sizeof *each_codec)

int main(void)
{
    struct CMUnitTest tests[N + 3 * N_EACH + 1];
    char names[3 * N_EACH][64];
    size_t n = 0;
    for (; n < 3 * N_EACH; n++) {
        const enum cdc_codec *codec = &codecs[n % 3];
        snprintf(names[n], sizeof names[n], "%s, %s", each_name[n / 3], cdc_codec_name(*codec));
        tests[n] =
            (struct CMUnitTest){names[n], each_codec[n / 3], NULL, NULL, (void *)(uintptr_t)codec};
    }
    for (size_t i = 0; i < N; i++)
        tests[n++] =
            (struct CMUnitTest){rows[i].name, made_up, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[n] = (struct CMUnitTest){"markers differ", markers_differ, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
