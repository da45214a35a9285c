/* test_avro_codec.c - how much may follow a raw deflate stream, and names of codecs. */
#include "avro/codec.h"
#include "cm.h"

/* Python's writers leave up to four bytes of zlib's checksum; more is damage. */
static void deflate_tail(void **state)
{
    (void)state;
    static const char text[] = "some text, some text, some text";
    struct cdc_codec_state codec = {.codec = CDC_CODEC_DEFLATE};
    struct cdc_buf packed = CDC_BUF(4096), plain = CDC_BUF(4096);
    assert_int_equal(cdc_codec_pack(&codec, cdc_slice_str(text), &packed, NULL), CDC_OK);
    for (int tail = 0; tail < 8; tail++) {
        int rc = cdc_codec_unpack(&codec, cdc_buf_slice(&packed), &plain, NULL);
        assert_int_equal(rc, tail <= 4 ? CDC_OK : CDC_FAIL);
        if (rc == CDC_OK)
            assert_true(cdc_slice_eq(cdc_buf_slice(&plain), cdc_slice_str(text)));
        cdc_buf_byte(&packed, 0xa5);
    }
    cdc_codec_done(&codec);
    cdc_buf_done(&packed);
    cdc_buf_done(&plain);
}

static void names(void **state)
{
    (void)state;
    enum cdc_codec got;
    for (int c = CDC_CODEC_NULL; c <= CDC_CODEC_ZSTD; c++) {
        const char *name = cdc_codec_name((enum cdc_codec)c);
        assert_int_equal(cdc_codec_find(cdc_slice_str(name), &got), CDC_OK);
        assert_int_equal(got, c);
    }
    assert_int_equal(cdc_codec_find(cdc_slice_str("snappy"), &got), CDC_END);
    assert_int_equal(cdc_codec_find(cdc_slice_str("nul"), &got), CDC_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(deflate_tail), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
