/*
 * encode.c - records of the `row` envelope made bytes; see cdc/plan.h.
 *
 * A column is a union of null and T: one byte for the branch, then the value. A value of its
 * column's kind takes the fast way: one check for room, then straight into the buffer. All else
 * (null, unchanged, absent, invalid, a number that the type cannot hold, a column that the capture
 * rule changes) goes through cdc_plan_cell (cells.c), which gives null or a text.
 *
 * A key's bytes are those of its columns in the value, in the key's order: so a hashed column is
 * hashed alike in both, and one whose value is refused there is refused here.
 */
#include "envelope/row.h"

#include "avro/json.h"

#define BRANCH_NULL  0x00
#define BRANCH_VALUE 0x02
#define DAY_US       INT64_C(86400000000)

static bool put_long(struct cdc_buf *buf, const struct cdc_op_scalar *op, int64_t i)
{
    if (!cdc_range_holds(op->range, i))
        return false;
    uint8_t *to = cdc_buf_room(buf, 1 + CDC_ZIGZAG_MAX);
    if (to) {
        *to = BRANCH_VALUE;
        buf->len = (size_t)(cdc_zigzag(to + 1, i) - buf->p);
    }
    return true;
}

static bool put_raw(struct cdc_buf *buf, const void *p, size_t n)
{
    uint8_t *to = cdc_buf_room(buf, 1 + n);
    if (to) {
        *to = BRANCH_VALUE;
        memcpy(to + 1, p, n);
        buf->len += 1 + n;
    }
    return true;
}

static bool put_bytes(struct cdc_buf *buf, struct cdc_slice bytes)
{
    uint8_t *to = cdc_buf_room(buf, 1 + CDC_ZIGZAG_MAX + bytes.len);
    if (to) {
        *to = BRANCH_VALUE;
        to = cdc_zigzag(to + 1, (int64_t)bytes.len);
        if (bytes.p)
            memcpy(to, bytes.p, bytes.len);
        buf->len = (size_t)(to - buf->p) + bytes.len;
    }
    return true;
}

/* Two's complement brought to the fixed size; false: other scale, or too large for it. */
static bool put_decimal(struct cdc_buf *buf, const struct cdc_op_scalar *op,
                        const struct cdc_value *val)
{
    const uint8_t *p = val->p;
    size_t n = val->len, size = op->size;
    if (n == 0 || val->aux != op->scale)
        return false;
    uint8_t sign = p[0] & 0x80 ? 0xff : 0;
    for (; n > size; n--, p++)
        if (p[0] != sign || (p[1] & 0x80) != (sign & 0x80))
            return false;
    uint8_t *to = cdc_buf_room(buf, 1 + size);
    if (to) {
        *to = BRANCH_VALUE;
        memset(to + 1, sign, size - n);
        memcpy(to + 1 + size - n, p, n);
        buf->len += 1 + size;
    }
    return true;
}

/* false: the type cannot hold the value, and nothing was put. */
static inline bool put_scalar(struct cdc_buf *buf, const struct cdc_op_scalar *op,
                              const struct cdc_value *val)
{
    switch ((enum cdc_put)op->put) {
    case CDC_PUT_LONG: return put_long(buf, op, val->i);
    case CDC_PUT_BOOL: return put_raw(buf, (uint8_t[]){val->i != 0}, 1);
    case CDC_PUT_FLOAT: return put_raw(buf, (float[]){(float)val->f}, 4); /* little endian */
    case CDC_PUT_DOUBLE: return put_raw(buf, &val->f, 8);
    case CDC_PUT_FIXED: return put_decimal(buf, op, val);
    case CDC_PUT_BYTES: return put_bytes(buf, cdc_value_slice(val));
    }
    return false;
}

static bool put_items(struct cdc_buf *buf, const struct cdc_op_scalar *op,
                      const struct cdc_value *val)
{
    for (uint32_t i = 0; i < val->len && !buf->failed; i++) {
        const struct cdc_value *item = &val->items[i];
        if (item->kind == CDC_NULL)
            cdc_buf_byte(buf, BRANCH_NULL);
        else if (item->kind != op->kind || !put_scalar(buf, op, item))
            return false;
    }
    return true;
}

/* One block of items, then the empty one that ends the array. */
static bool put_array(struct cdc_buf *buf, const struct cdc_op_scalar *op,
                      const struct cdc_value *val)
{
    size_t begun = buf->len;
    uint8_t *to = cdc_buf_room(buf, 1 + CDC_ZIGZAG_MAX);
    if (!to)
        return true;
    *to = BRANCH_VALUE;
    to = val->len ? cdc_zigzag(to + 1, val->len) : to + 1;
    buf->len = (size_t)(to - buf->p);
    if (!put_items(buf, op, val)) {
        buf->len = begun;
        return false;
    }
    cdc_buf_byte(buf, 0);
    return true;
}

/* false: nothing was put, the value needs cdc_plan_cell. */
static inline bool put_fast(struct cdc_buf *buf, const struct cdc_column_op *op,
                            const struct cdc_value *val)
{
    if (val->kind != op->fast)
        return false;
    return op->fast == CDC_ARRAY ? put_array(buf, &op->scalar, val)
                                 : put_scalar(buf, &op->scalar, val);
}

static int put_cell(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                    struct cdc_buf *buf, struct cdc_error *err)
{
    struct cdc_value cell;
    if (cdc_plan_cell(plan, i, val, &cell, err) < 0)
        return CDC_FAIL;
    if (cell.kind == CDC_TEXT)
        put_bytes(buf, cdc_value_slice(&cell));
    else
        cdc_buf_byte(buf, BRANCH_NULL);
    return CDC_OK;
}

static inline int put_column(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                             struct cdc_buf *buf, struct cdc_error *err)
{
    return put_fast(buf, &plan->ops[i], val) ? CDC_OK : put_cell(plan, i, val, buf, err);
}

int cdc_plan_put_column(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                        struct cdc_buf *buf, struct cdc_error *err)
{
    return put_column(plan, i, val, buf, err);
}

static int put_columns(struct cdc_plan *plan, const struct cdc_value *row, struct cdc_buf *buf,
                       struct cdc_error *err)
{
    uint16_t n = plan->n;
    for (uint16_t i = 0; i < n; i++)
        if (put_column(plan, i, &row[plan->ops[i].at], buf, err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static void put_nulls(struct cdc_buf *buf, uint16_t n)
{
    uint8_t *to = cdc_buf_room(buf, n);
    if (to) {
        memset(to, BRANCH_NULL, n);
        buf->len += n;
    }
}

static struct cdc_slice reason_text(char reason)
{
    switch (reason) {
    case 'd': return cdc_slice_str("delete");
    case 't': return cdc_slice_str("truncate");
    case 'k': return cdc_slice_str("key_change");
    case 'i': return cdc_slice_str("inferred");
    case 'l': return cdc_slice_str("logical");
    default: return cdc_slice_of(NULL, 0);
    }
}

/* A nullable meta column of names: null when there are none. */
static void put_list(const struct cdc_plan *plan, const struct cdc_column_list *list,
                     struct cdc_buf *buf)
{
    if (list->n == 0) {
        cdc_buf_byte(buf, BRANCH_NULL);
        return;
    }
    uint8_t *to = cdc_buf_room(buf, 1 + CDC_ZIGZAG_MAX);
    if (!to)
        return;
    *to = BRANCH_VALUE;
    buf->len = (size_t)(cdc_zigzag(to + 1, list->n) - buf->p);
    for (uint16_t i = 0; i < list->n; i++) {
        struct cdc_slice name = plan->ops[list->at[i]].name;
        to = cdc_buf_room(buf, CDC_ZIGZAG_MAX);
        if (to)
            buf->len = (size_t)(cdc_zigzag(to, (int64_t)name.len) - buf->p);
        cdc_buf_put(buf, name.p, name.len);
    }
    cdc_buf_byte(buf, 0);
}

static bool is_source_time(const struct cdc_value *val, int64_t *ret)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    if (kind != CDC_DATE && kind != CDC_TIMESTAMP && kind != CDC_TIMESTAMPTZ)
        return false;
    if (!cdc_range_holds(cdc_kind_range(kind, 0), val->i))
        return false;
    *ret = kind == CDC_DATE ? val->i * DAY_US : val->i;
    return true;
}

/* __op to __seq: at most this many bytes. */
#define FIXED_META (2 + 1 + 11 + 12 + 10 + 11 + 10 + 1 + CDC_SEQ_LEN)

static void put_fixed_meta(const struct cdc_plan *plan, const struct cdc_record *rec,
                           struct cdc_buf *buf)
{
    uint8_t *to = cdc_buf_room(buf, FIXED_META);
    if (!to)
        return;
    *to++ = 2; /* length 1 */
    *to++ = (uint8_t)rec->op;
    *to++ = rec->deleted;
    *to++ = rec->deleted ? BRANCH_VALUE : BRANCH_NULL;
    if (rec->deleted)
        to = cdc_zigzag(to, rec->change->tx->commit_us);
    struct cdc_slice reason = reason_text(rec->reason);
    *to++ = reason.p ? BRANCH_VALUE : BRANCH_NULL;
    if (reason.p) {
        *to++ = (uint8_t)(reason.len << 1);
        memcpy(to, reason.p, reason.len);
        to += reason.len;
    }
    to = cdc_zigzag(to, rec->updated_us);
    int64_t source_us;
    bool told =
        plan->updated >= 0 && rec->row && is_source_time(&rec->row[plan->updated], &source_us);
    *to++ = told ? BRANCH_VALUE : BRANCH_NULL;
    if (told)
        to = cdc_zigzag(to, source_us);
    to = cdc_zigzag(to, plan->synced_us);
    *to++ = CDC_SEQ_LEN << 1;
    memcpy(to, rec->seq, CDC_SEQ_LEN);
    buf->len = (size_t)(to + CDC_SEQ_LEN - buf->p);
}

/* name:value as it is written; CDC_END: left out, because the source did not send it. */
static int put_member(struct cdc_plan *plan, uint16_t i, const struct cdc_value *row,
                      struct cdc_buf *buf, struct cdc_error *err)
{
    const struct cdc_column_op *op = &plan->ops[i];
    const struct cdc_value *val = &row[op->at];
    struct cdc_value cell;
    cdc_scratch_reset(&plan->text);
    if (!put_fast(&plan->text, op, val)) { /* only tried */
        if (cdc_plan_cell(plan, i, val, &cell, err) < 0)
            return CDC_FAIL;
        val = &cell;
    }
    if (val->kind == CDC_UNCHANGED)
        return CDC_END;
    cdc_json_member(buf, (const char *)op->name.p, val, op->bits);
    return CDC_OK;
}

/* The key the row had, as the reader makes it of such a row (cdc_json_key). */
static int put_prev_key(struct cdc_plan *plan, const struct cdc_value *old, struct cdc_buf *buf,
                        struct cdc_error *err)
{
    if (!old) {
        cdc_buf_byte(buf, BRANCH_NULL);
        return CDC_OK;
    }
    cdc_scratch_reset(&plan->prev_key);
    cdc_buf_byte(&plan->prev_key, '{');
    for (uint16_t k = 0; k < plan->n_key; k++)
        if (put_member(plan, plan->key[k], old, &plan->prev_key, err) < 0)
            return CDC_FAIL;
    cdc_buf_byte(&plan->prev_key, '}');
    if (plan->prev_key.failed)
        return cdc_fail_oom(err);
    put_bytes(buf, cdc_buf_slice(&plan->prev_key));
    return CDC_OK;
}

int cdc_plan_put_meta(struct cdc_plan *plan, const struct cdc_record *rec, struct cdc_buf *buf,
                      struct cdc_error *err)
{
    put_fixed_meta(plan, rec, buf);
    struct cdc_slice tx = rec->change->tx->id;
    if (tx.p)
        put_bytes(buf, tx);
    else
        cdc_buf_byte(buf, BRANCH_NULL);
    put_list(plan, &plan->unchanged, buf);
    put_list(plan, &plan->invalid, buf);
    return put_prev_key(plan, rec->old, buf, err);
}

int cdc_plan_check_size(const struct cdc_plan *plan, const struct cdc_buf *buf,
                        struct cdc_error *err)
{
    if (!buf->failed)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, plan->tab->name,
                    "a row of table %s.%s is larger than %zu bytes, the most that fits, or there "
                    "is no memory for it: raise the limit, leave the table's large columns out by "
                    "`columns: {exclude: [...]}`, or leave out the table",
                    plan->tab->schema, plan->tab->name, buf->max);
}

int cdc_plan_bytes(struct cdc_plan *plan, const struct cdc_record *rec, struct cdc_buf *buf,
                   struct cdc_error *err)
{
    size_t start = buf->len;
    plan->unchanged.n = plan->invalid.n = 0;
    if (!rec->row)
        put_nulls(buf, plan->n);
    else if (put_columns(plan, rec->row, buf, err) < 0)
        return CDC_FAIL;
    if (cdc_plan_put_meta(plan, rec, buf, err) < 0)
        return CDC_FAIL;
    plan->bytes += buf->len - start;
    return cdc_plan_check_size(plan, buf, err);
}

uint64_t cdc_plan_take_bytes(struct cdc_plan *plan)
{
    uint64_t bytes = plan->bytes;
    plan->bytes = 0;
    return bytes;
}

int cdc_plan_key(struct cdc_plan *plan, const struct cdc_record *rec, struct cdc_buf *buf,
                 struct cdc_error *err)
{
    if (!rec->row)
        put_nulls(buf, plan->n_key);
    for (uint16_t k = 0; rec->row && k < plan->n_key; k++) {
        uint16_t i = plan->key[k];
        if (put_column(plan, i, &rec->row[plan->ops[i].at], buf, err) < 0)
            return CDC_FAIL;
    }
    return cdc_plan_check_size(plan, buf, err);
}

bool cdc_plan_partial(const struct cdc_plan *plan, const struct cdc_record *rec)
{
    for (uint16_t i = 0; rec->row && i < plan->n; i++)
        if (!cdc_value_known(&rec->row[plan->ops[i].at]))
            return true;
    return false;
}

int cdc_plan_json(struct cdc_plan *plan, const struct cdc_record *rec, struct cdc_buf *buf,
                  struct cdc_error *err)
{
    plan->unchanged.n = plan->invalid.n = 0;
    if (!rec->row) {
        cdc_buf_str(buf, "null");
        return cdc_plan_check_size(plan, buf, err);
    }
    cdc_buf_byte(buf, '{');
    for (uint16_t i = 0; i < plan->n; i++)
        if (put_member(plan, i, rec->row, buf, err) < 0)
            return CDC_FAIL;
    cdc_buf_byte(buf, '}');
    return cdc_plan_check_size(plan, buf, err);
}
