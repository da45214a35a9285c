/*
 * fuzz_row_schema.c - any bytes as a schema text of the `row` envelope; what is accepted decodes
 * the rest of the bytes as a row, and takes it as a record only if none are left. Corpus:
 * tests/data/row_schema.
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
        struct cdc_error err = {.message = ""};
        uint16_t column;
        int rc = cdc_row_decode(schema, &rd, arena, values, &column);
        if (rc < 0 && column >= schema->n)
            abort();
        size_t left = cdc_reader_left(&rd);
        cdc_arena_reset(arena);
        int whole = cdc_row_read(schema, cdc_slice_of(nul + 1, n - len - 1), arena, values, &err);
        if ((whole == CDC_OK) != (rc == CDC_OK && left == 0) ||
            (whole < 0 && (err.action != CDC_FATAL || !*err.message)))
            abort();
    }
    free(values);
    cdc_arena_free(arena);
    cdc_row_schema_free(schema);
    return 0;
}
