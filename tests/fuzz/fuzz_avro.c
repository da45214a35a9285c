/*
 * fuzz_avro.c - any bytes as a container file: header, blocks, codecs, and rows by the file's own
 * schema, each value then made text. Corpus: tests/data/avro.
 */
#include "avro/json.h"

struct bytes {
    const uint8_t *p;
    size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int take(void *arg, void *to, size_t cap, size_t *ret_n, struct cdc_error *err)
{
    struct bytes *in = arg;
    (void)err;
    size_t n = in->left < cap ? in->left : cap;
    if (n)
        memcpy(to, in->p, n);
    in->p += n;
    in->left -= n;
    *ret_n = n;
    return CDC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct bytes in = {p, n};
    struct cdc_error err;
    struct cdc_avro_reader *r = NULL;
    const struct cdc_row_schema *schema;
    const struct cdc_value *values;
    struct cdc_buf json = CDC_BUF(1 << 20);
    int rc = cdc_avro_reader_new(take, &in, 1 << 18, "fuzz", &r, &err);
    if (rc == CDC_OK)
        rc = cdc_avro_reader_schema(r, &schema, &err);
    while (rc == CDC_OK && (rc = cdc_avro_reader_row(r, &values, &err)) == CDC_OK) {
        cdc_buf_reset(&json);
        cdc_json_row(&json, schema, values);
        cdc_json_key(&json, schema, values);
    }
    cdc_avro_reader_free(r);
    cdc_buf_done(&json);
    return 0;
}
