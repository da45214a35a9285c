/*
 * rows.c - see avro/rows.h (Avro specification 1.11, "Binary Encoding").
 *
 * What a kind cannot hold (a bool of 2, a date in the year 20000, a branch that does not exist) is
 * damage: our writer never makes it, and everything behind this file may rely on it. A count of
 * array items is believed as far as there are bytes for that many.
 */
#include "avro/rows.h"
#include "avro/types.h"

static bool read_bool(struct cdc_reader *rd, struct cdc_value *ret)
{
    ret->i = cdc_read_u8(rd);
    return ret->i <= 1;
}

static bool read_long(struct cdc_reader *rd, enum cdc_kind kind, uint8_t bits,
                      struct cdc_value *ret)
{
    ret->i = cdc_read_zigzag(rd);
    return cdc_range_holds(cdc_kind_range(kind, bits), ret->i);
}

/* Little endian, as the machines we run on. */
static bool read_float(struct cdc_reader *rd, uint8_t bits, struct cdc_value *ret)
{
    const uint8_t *p = cdc_read_raw(rd, bits / 8);
    float single;
    if (!p)
        return false;
    if (bits == 64) {
        memcpy(&ret->f, p, sizeof ret->f);
    } else {
        memcpy(&single, p, sizeof single);
        ret->f = (double)single;
    }
    return true;
}

static bool read_bytes(struct cdc_reader *rd, struct cdc_value *ret)
{
    int64_t len = cdc_read_zigzag(rd);
    if (len < 0 || len > UINT32_MAX)
        return false;
    ret->p = cdc_read_raw(rd, (size_t)len);
    ret->len = (uint32_t)len;
    return !rd->failed;
}

/* A value of a kind that is no array, without the branch of its union. */
static bool read_scalar(const struct cdc_row_column *col, enum cdc_kind kind, struct cdc_reader *rd,
                        struct cdc_value *ret)
{
    *ret = (struct cdc_value){.kind = (uint8_t)kind};
    switch (kind) {
    case CDC_BOOL: return read_bool(rd, ret);
    case CDC_INT:
    case CDC_DATE:
    case CDC_TIME:
    case CDC_TIMESTAMP:
    case CDC_TIMESTAMPTZ: return read_long(rd, kind, col->bits, ret);
    case CDC_FLOAT: return read_float(rd, col->bits, ret);
    case CDC_DECIMAL:
        ret->aux = col->scale;
        ret->len = col->size;
        ret->p = cdc_read_raw(rd, col->size);
        return true;
    case CDC_TEXT:
    case CDC_BYTES:
    case CDC_JSON: return read_bytes(rd, ret);
    case CDC_UUID: return read_bytes(rd, ret) && ret->len == 36;
    default: return false;
    }
}

/* Branch 0 is null, branch 1 the value; *ret_null says which. */
static bool read_branch(struct cdc_reader *rd, bool *ret_null)
{
    int64_t branch = cdc_read_zigzag(rd);
    *ret_null = branch == 0;
    return branch == 0 || branch == 1;
}

/* Number of items in the next block of an array; 0 ends it, -1: damaged. */
static int64_t read_count(struct cdc_reader *rd)
{
    int64_t count = cdc_read_zigzag(rd);
    if (count < 0) { /* then the block's size in bytes follows, for readers that skip */
        int64_t size = cdc_read_zigzag(rd);
        if (size < 0 || count < -INT64_C(0x7fffffff))
            return -1;
        count = -count;
    }
    return (uint64_t)count > cdc_reader_left(rd) ? -1 : count; /* an item has a byte at least */
}

static struct cdc_value *more_items(struct cdc_arena *arena, const struct cdc_value *old, size_t n,
                                    size_t more)
{
    struct cdc_value *items = cdc_arena_alloc(arena, (n + more) * sizeof *items);
    if (items && n)
        memcpy(items, old, n * sizeof *items);
    return items;
}

static bool read_item(const struct cdc_row_column *col, struct cdc_reader *rd,
                      struct cdc_value *ret)
{
    bool null = false;
    /* __unchanged and __invalid list names; the items of a source's array may be null */
    if (col->meta == CDC_META_NONE && !read_branch(rd, &null))
        return false;
    *ret = (struct cdc_value){.kind = CDC_NULL};
    return null || read_scalar(col, col->item, rd, ret);
}

static bool read_array(const struct cdc_row_column *col, struct cdc_reader *rd,
                       struct cdc_arena *arena, struct cdc_value *ret)
{
    struct cdc_value *items = NULL;
    size_t n = 0;
    for (int64_t count; (count = read_count(rd)) != 0; n += (size_t)count) {
        if (count < 0 || n + (size_t)count > UINT32_MAX)
            return false;
        items = more_items(arena, items, n, (size_t)count);
        if (!items)
            return false;
        for (size_t i = n; i < n + (size_t)count; i++)
            if (!read_item(col, rd, &items[i]) || rd->failed)
                return false;
    }
    *ret = (struct cdc_value){.kind = CDC_ARRAY, .len = (uint32_t)n, .items = items};
    return true;
}

static bool read_column(const struct cdc_row_column *col, struct cdc_reader *rd,
                        struct cdc_arena *arena, struct cdc_value *ret)
{
    bool null = false;
    if (col->nullable && !read_branch(rd, &null))
        return false;
    if (null) {
        *ret = (struct cdc_value){.kind = CDC_NULL};
        return true;
    }
    return col->kind == CDC_ARRAY ? read_array(col, rd, arena, ret)
                                  : read_scalar(col, col->kind, rd, ret);
}

int cdc_row_decode(const struct cdc_row_schema *schema, struct cdc_reader *rd,
                   struct cdc_arena *arena, struct cdc_value *values, uint16_t *ret_column)
{
    for (uint16_t i = 0; i < schema->n; i++) {
        if (!read_column(&schema->cols[i], rd, arena, &values[i]) || rd->failed) {
            *ret_column = i;
            return CDC_FAIL;
        }
    }
    return CDC_OK;
}

int cdc_row_read(const struct cdc_row_schema *schema, struct cdc_slice bytes,
                 struct cdc_arena *arena, struct cdc_value *values, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    uint16_t column;
    if (cdc_row_decode(schema, &rd, arena, values, &column) < 0)
        return cdc_fail(err, CDC_FATAL, schema->cols[column].name,
                        "a record of table %s.%s is damaged, or not of this schema: column %s "
                        "cannot be read, at byte %zu of %zu",
                        schema->table_schema, schema->table_name, schema->cols[column].name, rd.off,
                        rd.len);
    if (cdc_reader_left(&rd) == 0)
        return CDC_OK;
    const char *last = schema->cols[schema->n - 1].name;
    return cdc_fail(err, CDC_FATAL, last,
                    "a record of table %s.%s is damaged, or not of this schema: %zu bytes are left "
                    "behind its last column, %s",
                    schema->table_schema, schema->table_name, cdc_reader_left(&rd), last);
}
