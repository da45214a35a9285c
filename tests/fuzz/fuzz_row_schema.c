/*
 * fuzz_row_schema.c - any bytes as a schema text of the `row` envelope; what is accepted decodes
 * the rest of the bytes as a row. Corpus: tests/data/row_schema.
 */
#include "avro/rows.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const uint8_t *nul = n ? memchr(p, 0, n) : NULL; /* text, NUL, row */
    size_t len = nul ? (size_t)(nul - p) : n;
    struct cdc_row_schema *schema = NULL;
    if (cdc_row_schema_parse(cdc_slice_of(p, len), &schema, NULL) < 0)
        return 0;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_value *values = calloc(schema->n, sizeof *values);
    if (nul && arena && values) {
        struct cdc_reader rd = cdc_reader_of(nul + 1, n - len - 1);
        uint16_t column;
        if (cdc_row_decode(schema, &rd, arena, values, &column) < 0 && column >= schema->n)
            abort();
    }
    free(values);
    cdc_arena_free(arena);
    cdc_row_schema_free(schema);
    return 0;
}
