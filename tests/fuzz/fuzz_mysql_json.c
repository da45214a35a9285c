/*
 * fuzz_mysql_json.c - MySQL's binary JSON: what is printed is JSON to somebody else's parser. The
 * same input once more as a document (its length is the first two bytes) and differences to it:
 * what becomes of them is JSON, and without differences it is the document. Also decimals: text and
 * number agree. Corpus: tests/data/mysql_json/.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/decimal.h"
#include "../../connectors/mysql/json.h"
#include "../../connectors/mysql/json_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void must_parse(const struct cdc_buf *buf)
{
    json_error_t why;
    json_t *json = json_loadb((const char *)buf->p, buf->len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    must(json != NULL || strstr(why.text, "NUL byte in object key")); /* it cannot have them */
    json_decref(json);
}

static void fuzz_json(struct cdc_slice doc)
{
    struct cdc_buf buf = CDC_BUF((size_t)1 << 18);
    if (mys_json_print(doc, &buf) == CDC_OK && !buf.failed)
        must_parse(&buf);
    cdc_buf_done(&buf);
}

static void fuzz_diff(struct cdc_slice bytes)
{
    struct cdc_buf buf = CDC_BUF((size_t)1 << 18), plain = CDC_BUF((size_t)1 << 18);
    size_t n = bytes.len < 2 ? 0 : bytes.p[0] | (size_t)bytes.p[1] << 8;
    if (bytes.len < 2 || n > bytes.len - 2)
        return;
    struct cdc_slice doc = cdc_slice_of(bytes.p + 2, n);
    struct cdc_slice diffs = cdc_slice_of(bytes.p + 2 + n, bytes.len - 2 - n);
    if (mys_json_diff(doc, diffs, &buf) == CDC_OK && !buf.failed)
        must_parse(&buf);
    cdc_buf_reset(&buf);
    int rc = mys_json_diff(doc, cdc_slice_of(NULL, 0), &buf), same = mys_json_print(doc, &plain);
    must(rc == same && cdc_slice_eq(cdc_buf_slice(&buf), cdc_buf_slice(&plain)));
    cdc_buf_done(&buf);
    cdc_buf_done(&plain);
}

static void fuzz_decimal(struct cdc_slice bytes)
{
    if (bytes.len < 2)
        return;
    unsigned precision = bytes.p[0] % 65 + 1, scale = bytes.p[1] % 31;
    if (scale > precision)
        scale = precision;
    struct cdc_reader rd = cdc_reader_of(bytes.p + 2, bytes.len - 2), again = rd;
    char text[MYS_DECIMAL_TEXT];
    uint8_t unscaled[16];
    size_t n = mys_read_decimal_text(&rd, precision, scale, text);
    must((n == 0) == rd.failed);
    must(n == 0 || n == strlen(text));
    if (precision > 38)
        return;
    size_t len = mys_read_decimal(&again, precision, scale, unscaled);
    must((len == 0) == (n == 0) && len <= 16);
    if (len && precision <= 18) {
        int64_t val = unscaled[0] & 0x80 ? -1 : 0;
        for (size_t i = 0; i < len; i++)
            val = (int64_t)((uint64_t)val << 8 | unscaled[i]);
        char digits[MYS_DECIMAL_TEXT], *to = digits;
        for (const char *p = text; *p; p++)
            if (*p != '.')
                *to++ = *p;
        *to = 0;
        must(strtoll(digits, NULL, 10) == val);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* of exactly that length */
    must(copy != NULL);
    memcpy(copy, data, size);
    fuzz_json(cdc_slice_of(copy, size));
    fuzz_diff(cdc_slice_of(copy, size));
    fuzz_decimal(cdc_slice_of(copy, size));
    free(copy);
    return 0;
}
