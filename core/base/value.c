/* value.c - see cdc/value.h. */
#include "cdc/value.h"

static bool items_eq(const struct cdc_value *a, const struct cdc_value *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!cdc_value_eq(&a->items[i], &b->items[i]))
            return false;
    return true;
}

bool cdc_value_eq(const struct cdc_value *a, const struct cdc_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch ((enum cdc_kind)a->kind) {
    case CDC_NULL: return true;
    case CDC_UNCHANGED:
    case CDC_ABSENT:
    case CDC_KINDS: return false;
    case CDC_BOOL:
    case CDC_INT:
    case CDC_DATE:
    case CDC_TIME:
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ: return a->i == b->i;
    case CDC_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0; /* NaN is itself; -0 is not 0 */
    case CDC_ARRAY: return items_eq(a, b);
    case CDC_INVALID:
    case CDC_DECIMAL:
    case CDC_TEXT:
    case CDC_BYTES:
    case CDC_UUID:
    case CDC_JSON: break;
    }
    return cdc_slice_eq(cdc_value_slice(a), cdc_value_slice(b));
}

static const char *const names[CDC_KINDS] = {
    [CDC_NULL] = "null",           [CDC_UNCHANGED] = "unchanged",
    [CDC_ABSENT] = "absent",       [CDC_INVALID] = "invalid",
    [CDC_BOOL] = "bool",           [CDC_INT] = "int",
    [CDC_FLOAT] = "float",         [CDC_DECIMAL] = "decimal",
    [CDC_TEXT] = "text",           [CDC_BYTES] = "bytes",
    [CDC_DATE] = "date",           [CDC_TIME] = "time",
    [CDC_TIMESTAMP] = "timestamp", [CDC_TIMESTAMPTZ] = "timestamptz",
    [CDC_UUID] = "uuid",           [CDC_JSON] = "json",
    [CDC_ARRAY] = "array",
};

const char *cdc_kind_name(enum cdc_kind kind)
{
    return kind < CDC_KINDS ? names[kind] : "unknown";
}
