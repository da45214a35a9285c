/*
 * rows.c - see rows.h.
 *
 * A rows event is read from front to back; nothing says how many rows there are, so the last must
 * end where the event does.
 */
#include "rows.h"

static bool bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static uint32_t count(const uint8_t *bits, uint32_t n)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < n; i++)
        set += bit(bits, i);
    return set;
}

static const uint8_t *read_nulls(struct cdc_reader *rd, const uint8_t *present, uint32_t n)
{
    return cdc_read_raw(rd, (count(present, n) + 7) / 8);
}

int mys_rows_start(struct mys_rows *rows, const struct mys_event *ev, struct cdc_slice bytes,
                   const struct mys_field *fields, uint32_t n, struct cdc_error *err)
{
    if (ev->rows.partial)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "the server logs differences of JSON documents (PARTIAL_UPDATE_ROWS), "
                        "which cannot be read yet: SET GLOBAL binlog_row_value_options = '', and "
                        "end the sessions that began before");
    if (ev->rows.n != n)
        return mys_malformed(ev->type, "it has another number of columns than its table", err);
    *rows = (struct mys_rows){.ev = ev, .fields = fields};
    rows->rd = cdc_reader_of(bytes.p, bytes.len);
    return CDC_OK;
}

static int bad_value(const struct mys_rows *rows, uint32_t i, int rc, struct cdc_error *err)
{
    if (rc == CDC_FULL)
        return cdc_fail(err, CDC_FATAL, "mysql",
                        "a value of column %u of a table takes more memory than there is, or than "
                        "source.max_row_bytes allows",
                        i + 1);
    return mys_malformed(rows->ev->type, "a row does not fit the types of its columns", err);
}

static int read_image(struct mys_rows *rows, const uint8_t *present, struct cdc_value *ret,
                      struct cdc_error *err)
{
    struct cdc_reader *rd = &rows->rd;
    uint32_t n = rows->ev->rows.n, at = 0;
    const uint8_t *nulls = read_nulls(rd, present, n);
    if (!nulls && count(present, n))
        return mys_malformed(rows->ev->type, "a row is cut short", err);
    for (uint32_t i = 0; i < n; i++) {
        if (!bit(present, i)) {
            ret[i] = (struct cdc_value){.kind = CDC_ABSENT};
            continue;
        }
        if (bit(nulls, at++)) {
            ret[i] = (struct cdc_value){.kind = CDC_NULL};
            continue;
        }
        const struct mys_field *field = &rows->fields[i];
        int rc = field->parse(field, rd, rows->arena, &ret[i]);
        if (rc != CDC_OK || rd->failed)
            return bad_value(rows, i, rc, err);
    }
    return CDC_OK;
}

/* What an update did not send, the row has still. */
static void fill(const struct cdc_value *before, struct cdc_value *after, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (after[i].kind == CDC_ABSENT) {
            after[i] = before[i];
            if (after[i].kind == CDC_ABSENT)
                after[i].kind = CDC_UNCHANGED;
        }
}

int mys_rows_next(struct mys_rows *rows, struct cdc_value *before, struct cdc_value *after,
                  struct cdc_error *err)
{
    const struct mys_event *ev = rows->ev;
    size_t from = rows->rd.off;
    if (cdc_reader_left(&rows->rd) == 0)
        return CDC_END;
    if (ev->rows.before && read_image(rows, ev->rows.before, before, err) < 0)
        return CDC_FAIL;
    if (ev->rows.after && read_image(rows, ev->rows.after, after, err) < 0)
        return CDC_FAIL;
    if (rows->rd.off == from) /* no column present: it would go on for ever */
        return mys_malformed(ev->type, "its rows are empty", err);
    if (ev->rows.before && ev->rows.after)
        fill(before, after, ev->rows.n);
    rows->raw = cdc_slice_of(rows->rd.p + from, rows->rd.off - from);
    return CDC_OK;
}

/* The options before an after image with differences: 1, then a bit for each JSON column. */
static void skip_options(struct cdc_reader *rd, const struct mys_event *ev,
                         const struct mys_field *fields)
{
    uint32_t n = 0;
    if (!(mys_read_lenenc(rd) & 1))
        return;
    for (uint32_t i = 0; i < ev->rows.n; i++)
        n += fields[i].type == MYS_JSON;
    cdc_read_raw(rd, (n + 7) / 8);
}

static void skip_image(struct cdc_reader *rd, const struct mys_event *ev, const uint8_t *present,
                       const struct mys_field *fields)
{
    uint32_t at = 0;
    const uint8_t *nulls = read_nulls(rd, present, ev->rows.n);
    for (uint32_t i = 0; nulls && i < ev->rows.n && !rd->failed; i++)
        if (bit(present, i) && !bit(nulls, at++))
            mys_field_skip(&fields[i], rd);
}

int mys_rows_count(const struct mys_event *ev, struct cdc_slice bytes,
                   const struct mys_field *fields, uint64_t *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    uint64_t n = 0;
    while (!rd.failed && cdc_reader_left(&rd) > 0) {
        size_t from = rd.off;
        if (ev->rows.before)
            skip_image(&rd, ev, ev->rows.before, fields);
        if (ev->rows.partial)
            skip_options(&rd, ev, fields);
        if (ev->rows.after)
            skip_image(&rd, ev, ev->rows.after, fields);
        rd.failed |= rd.off == from;
        n++;
    }
    if (rd.failed)
        return mys_malformed(ev->type, "a row does not fit the types of its columns", err);
    *ret = n;
    return CDC_OK;
}
