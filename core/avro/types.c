/* types.c - see avro/types.h. */
#include "avro/types.h"

__extension__ typedef unsigned __int128 u128;

#define DAY_US      INT64_C(86400000000)
#define DAYS_YEAR_1 INT64_C(-719162) /* 0001-01-01 */
#define DAYS_END    INT64_C(2932897) /* 10000-01-01 */

const struct cdc_avro_type cdc_avro_types[] = {
    {CDC_BOOL, 0, "boolean", NULL, NULL, NULL},
    {CDC_INT, 32, "int", NULL, NULL, NULL},
    {CDC_INT, 64, "long", NULL, NULL, NULL},
    {CDC_FLOAT, 32, "float", NULL, NULL, NULL},
    {CDC_FLOAT, 64, "double", NULL, NULL, NULL},
    {CDC_DECIMAL, 0, "fixed", "decimal", NULL, NULL},
    {CDC_TEXT, 0, "string", NULL, NULL, NULL},
    {CDC_BYTES, 0, "bytes", NULL, NULL, NULL},
    {CDC_DATE, 0, "int", "date", NULL, NULL},
    {CDC_TIME, 0, "long", "time-micros", NULL, NULL},
    {CDC_TIMESTAMP, 0, "long", "timestamp-micros", "zone", "none"},
    {CDC_TIMESTAMPTZ, 0, "long", "timestamp-micros", NULL, NULL},
    {CDC_UUID, 0, "string", "uuid", NULL, NULL},
    {CDC_JSON, 0, "string", NULL, "cdc.kind", "json"},
    {CDC_NULL, 0, NULL, NULL, NULL, NULL},
};

const struct cdc_avro_type *cdc_avro_type_of(enum cdc_kind kind, uint8_t bits)
{
    for (const struct cdc_avro_type *t = cdc_avro_types; t->kind != CDC_NULL; t++)
        if (t->kind == kind && (t->bits == 0 || t->bits == bits))
            return t;
    return NULL;
}

const struct cdc_meta_column cdc_meta_columns[CDC_METAS] = {
    [CDC_META_OP] = {"__op", CDC_TEXT, 0, false},
    [CDC_META_DELETED] = {"__deleted", CDC_BOOL, 0, false},
    [CDC_META_DELETED_AT] = {"__deleted_at", CDC_TIMESTAMPTZ, 0, true},
    [CDC_META_DELETE_REASON] = {"__delete_reason", CDC_TEXT, 0, true},
    [CDC_META_UPDATED_AT] = {"__updated_at", CDC_TIMESTAMPTZ, 0, false},
    [CDC_META_SOURCE_UPDATED_AT] = {"__source_updated_at", CDC_TIMESTAMPTZ, 0, true},
    [CDC_META_SYNCED_AT] = {"__synced_at", CDC_TIMESTAMPTZ, 0, false},
    [CDC_META_SEQ] = {"__seq", CDC_TEXT, 0, false},
    [CDC_META_TX] = {"__tx", CDC_TEXT, 0, true},
    [CDC_META_UNCHANGED] = {"__unchanged", CDC_ARRAY, 0, true},
    [CDC_META_INVALID] = {"__invalid", CDC_ARRAY, 0, true},
    [CDC_META_PREV_KEY] = {"__prev_key", CDC_TEXT, 0, true},
};

enum cdc_meta cdc_meta_find(const char *name)
{
    for (int m = CDC_META_NONE + 1; m < CDC_METAS; m++)
        if (strcmp(cdc_meta_columns[m].name, name) == 0)
            return (enum cdc_meta)m;
    return CDC_META_NONE;
}

static struct cdc_range below(int64_t low, int64_t end)
{
    return (struct cdc_range){.low = low, .span = (uint64_t)end - (uint64_t)low - 1};
}

struct cdc_range cdc_kind_range(enum cdc_kind kind, uint8_t bits)
{
    switch (kind) {
    case CDC_BOOL: return below(0, 2);
    case CDC_DATE: return below(DAYS_YEAR_1, DAYS_END);
    case CDC_TIME: return below(0, DAY_US);
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ: return below(DAYS_YEAR_1 * DAY_US, DAYS_END * DAY_US);
    default: break;
    }
    if (kind == CDC_INT && bits == 32)
        return below(INT32_MIN, (int64_t)INT32_MAX + 1);
    return (struct cdc_range){.low = INT64_MIN, .span = UINT64_MAX};
}

uint16_t cdc_decimal_size(uint8_t precision)
{
    u128 limit = 1; /* 10^precision; 10^38 < 2^127 */
    for (unsigned i = 0; i < precision && i < 38; i++)
        limit *= 10;
    uint16_t size = 1;
    while (size < 16 && limit - 1 > ((u128)1 << (8 * size - 1)) - 1)
        size++;
    return size;
}
