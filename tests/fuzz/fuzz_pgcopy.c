/*
 * fuzz_pgcopy.c - a row of a binary COPY into a table with a column of each type that is decoded
 * from bytes, and some that come as text. The first byte says how many of them, counted from the
 * one that the second names. Corpus: tests/data/pgcopy/ (made by tests/data/pgcopy.py).
 *
 * Beyond memory: what is read has the column's kind or is invalid or NULL; numbers are in their
 * range.
 */
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/snap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEC_TYPMOD ((38 << 16 | 6) + 4)

/* In the order of pgcopy.py. */
static const uint32_t oids[] = {16,  17,   19,   20,   21,   23,   25,   26,   28,   114,  700,
                                701, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950, 3802, 1007};
#define N_OIDS (sizeof oids / sizeof oids[0])

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct cdc_column *col, const struct cdc_value *val)
{
    if (val->kind == CDC_NULL || val->kind == CDC_INVALID)
        return;
    must(val->kind == col->kind);
    must(val->kind != CDC_DECIMAL || (val->len >= 1 && val->len <= 16 && val->aux == col->scale));
    must(val->kind != CDC_INT || col->bits == 64 || (val->i >= INT32_MIN && val->i <= INT32_MAX));
    must(val->kind != CDC_DATE || (val->i >= -719162 && val->i <= 2932896));
    must(val->kind != CDC_TIME || (val->i >= 0 && val->i <= INT64_C(86400000000)));
    must(val->kind != CDC_UUID || val->len == 36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cdc_column cols[N_OIDS];
    struct cdc_value vals[N_OIDS];
    pgs_binary binary[N_OIDS];
    pgs_parse parse[N_OIDS];
    if (size < 2)
        return 0;
    struct cdc_table tab = {.n = (uint16_t)(1 + data[0] % N_OIDS), .cols = cols};
    for (uint16_t i = 0; i < tab.n; i++) {
        uint32_t oid = oids[(data[1] + i) % N_OIDS];
        cols[i] = (struct cdc_column){.name = "c", .type_id = oid, .type_mod = DEC_TYPMOD};
        if (oid == 1007)
            pgs_type_apply_array(pgs_type_of_items(oid), -1, &cols[i]);
        else
            pgs_type_apply(pgs_type_by_oid(oid), DEC_TYPMOD, &cols[i]);
        binary[i] = pgs_binary_of(&cols[i]);
        parse[i] = pgs_parser(&cols[i]);
    }
    struct pgs_copy copy = {.tab = &tab, .binary = binary, .parse = parse};
    struct pgs_memory mem = {.arena = cdc_arena_new((size_t)1 << 24), .left = (size_t)1 << 22};
    uint8_t *bytes = malloc(size > 2 ? size - 2 : 1); /* of exactly that length */
    uint16_t col;
    must(bytes && mem.arena);
    memcpy(bytes, data + 2, size - 2);
    must(pgs_copy_header(cdc_slice_of(bytes, size - 2)) <= size - 2);
    if (pgs_copy_row(&copy, bytes, size - 2, &mem, vals, &col) == CDC_OK)
        for (uint16_t i = 0; i < tab.n; i++)
            check(&cols[i], &vals[i]);
    else
        must(col <= tab.n);
    free(bytes);
    cdc_arena_free(mem.arena);
    return 0;
}
