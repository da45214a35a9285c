/*
 * fuzz_schema.c - any bytes as one or two Avro schemas (a NUL between them): parsed, and compared
 * at every level in both orders. What is a schema is the same as itself. Corpus:
 * tests/data/registry.
 */
#include "registry/compat.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void compare(const struct cdc_avro_schema *a, const struct cdc_avro_schema *b)
{
    for (int level = 0; level < CDC_COMPAT_LEVELS; level++) {
        struct cdc_buf why = CDC_BUF(1 << 16);
        bool may = cdc_compat_follows(a, b, (enum cdc_compat_level)level, &why);
        if (may != (why.len == 0))
            abort();
        if (cdc_avro_schema_same(a, b) && !may)
            abort();
        cdc_buf_done(&why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const uint8_t *nul = n ? memchr(p, 0, n) : NULL;
    size_t len = nul ? (size_t)(nul - p) : n;
    struct cdc_avro_schema *a = NULL, *b = NULL;
    if (cdc_avro_schema_parse(cdc_slice_of(p, len), &a, NULL) == CDC_OK) {
        compare(a, a);
        if (!cdc_avro_schema_same(a, a))
            abort();
    }
    if (a && nul && cdc_avro_schema_parse(cdc_slice_of(nul + 1, n - len - 1), &b, NULL) == CDC_OK) {
        compare(a, b);
        compare(b, a);
    }
    cdc_avro_schema_free(a);
    cdc_avro_schema_free(b);
    return 0;
}
