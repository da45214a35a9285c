/*
 * fuzz_pgtypes.c - the text form of each PostgreSQL type. The first byte picks the column, the rest
 * is its text. Corpus: tests/data/pgtypes/ (made by tests/data/pgtypes.py).
 *
 * Beyond memory: what is read has the column's kind or is invalid; an invalid value carries the
 * text as it came; numbers are in their range; hstore becomes JSON that a JSON parser takes.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEC_TYPMOD ((12 << 16 | 2) + 4)
#define OWN_OID    20000 /* a type that is not built in */

/* In the order of pgtypes.py. */
static const uint32_t scalars[] = {16,  17,  20,   21,   23,   25,   26,   28,   114,
                                   700, 701, 1082, 1083, 1114, 1184, 1700, 2950, 3802};
static const uint32_t arrays[] = {1000, 1001, 1016, 1005, 1007, 1009, 1028, 199,
                                  1021, 1022, 1182, 1183, 1115, 1185, 1231, 2951};
#define N_SCALARS (sizeof scalars / sizeof scalars[0])
#define N_ARRAYS  (sizeof arrays / sizeof arrays[0])

static struct cdc_column column_of(uint8_t pick)
{
    size_t n = pick % (N_SCALARS + N_ARRAYS + 2);
    struct cdc_column col = {.name = "c", .type_mod = -1, .type_id = OWN_OID, .kind = CDC_JSON};
    if (n < N_SCALARS) {
        col.type_id = scalars[n];
        pgs_type_apply(pgs_type_by_oid(scalars[n]), DEC_TYPMOD, &col);
    } else if (n < N_SCALARS + N_ARRAYS) {
        col.type_id = arrays[n - N_SCALARS];
        pgs_type_apply_array(pgs_type_of_items(col.type_id), DEC_TYPMOD, &col);
    } else if (n == N_SCALARS + N_ARRAYS) { /* hstore[] */
        col.kind = CDC_ARRAY;
        col.item = CDC_JSON;
    }
    return col;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_ascii(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == 0 || p[i] >= 0x80)
            return false;
    return true;
}

static void check_scalar(const struct cdc_column *col, enum cdc_kind kind,
                         const struct cdc_value *val)
{
    must(val->kind == kind);
    must(kind != CDC_DECIMAL || (val->len >= 1 && val->len <= 16 && val->aux == col->scale));
    must(kind != CDC_BOOL || val->i == 0 || val->i == 1);
    must(kind != CDC_INT || col->bits == 64 || (val->i >= INT32_MIN && val->i <= INT32_MAX));
    must(kind != CDC_DATE || (val->i >= -719162 && val->i <= 2932896));
    must(kind != CDC_TIME || (val->i >= 0 && val->i <= INT64_C(86400000000)));
    must(kind != CDC_UUID || val->len == 36);
}

static void check_hstore(struct cdc_slice text, const struct cdc_value *val)
{
    if (val->p == text.p || !is_ascii(text.p, text.len))
        return; /* JSON as it came; or text that the server never sends */
    json_t *json = json_loadb((const char *)val->p, val->len, 0, NULL);
    must(json_is_object(json));
    json_decref(json);
}

static void check(const struct cdc_column *col, struct cdc_slice text, struct cdc_slice was,
                  const struct cdc_value *val)
{
    if (val->kind == CDC_INVALID) {
        must(val->len == was.len && memcmp(val->p, was.p, was.len) == 0);
        return;
    }
    if (col->kind != CDC_ARRAY) {
        check_scalar(col, col->kind, val);
        if (col->type_id == OWN_OID)
            check_hstore(text, val);
        return;
    }
    must(val->kind == CDC_ARRAY);
    for (uint32_t i = 0; i < val->len; i++)
        if (val->items[i].kind != CDC_NULL)
            check_scalar(col, col->item, &val->items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cdc_column col = column_of(data[0]);
    struct cdc_slice was = cdc_slice_of(data + 1, size - 1);
    struct pgs_memory mem = {.arena = cdc_arena_new((size_t)1 << 24), .left = (size_t)1 << 22};
    struct cdc_value val;
    uint8_t *text = malloc(was.len ? was.len : 1); /* of exactly that length */
    must(text && mem.arena);
    memcpy(text, was.p, was.len);
    if (pgs_unpack(&col, &mem, text, was.len, &val) == CDC_OK)
        check(&col, cdc_slice_of(text, was.len), was, &val);
    free(text);
    cdc_arena_free(mem.arena);
    return 0;
}
