/*
 * rows.c - see rows.h.
 *
 * A rows event is read from front to back; nothing says how many rows there are, so the last must
 * end where the event does.
 *
 * Differences of a document are applied to the one in the before image, which is remembered as its
 * bytes while the row is read.
 */
#include "rows.h"

#include "values.h"

enum { PARTIAL_JSON = 1 }; /* the one option of a partial update */

/* A bit for each column of the image. */
static const uint8_t *read_nulls(struct cdc_reader *rd, const struct mys_event *ev,
                                 const uint8_t *present)
{
    uint32_t n = present == ev->rows.after ? ev->rows.n_after : ev->rows.n_before;
    return cdc_read_raw(rd, (n + 7) / 8);
}

int mys_rows_start(struct mys_rows *rows, const struct mys_event *ev, struct cdc_slice bytes,
                   const struct mys_field *fields, uint32_t n, struct cdc_error *err)
{
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

/* Options and bits before an after image with differences. *ret NULL: there are none in it. */
static bool read_options(struct cdc_reader *rd, const struct mys_event *ev,
                         const struct mys_field *fields, const uint8_t **ret)
{
    uint32_t n = 0;
    uint64_t options = ev->rows.partial ? mys_read_lenenc(rd) : 0;
    *ret = NULL;
    if (options != PARTIAL_JSON)
        return !rd->failed && options == 0;
    for (uint32_t i = 0; i < ev->rows.n; i++)
        n += fields[i].type == MYS_JSON;
    *ret = cdc_read_raw(rd, (n + 7) / 8);
    return !rd->failed;
}

/* ABSENT: it did not change, or is not to be known. */
static int read_diff(struct mys_rows *rows, uint32_t i, struct cdc_value *ret,
                     struct cdc_error *err)
{
    const struct mys_event *ev = rows->ev;
    struct cdc_slice diffs = cdc_read_bytes(&rows->rd, mys_read_le(&rows->rd, 4));
    *ret = (struct cdc_value){.kind = CDC_ABSENT};
    if (rows->rd.failed)
        return bad_value(rows, i, CDC_FAIL, err);
    if (diffs.len == 0)
        return CDC_OK;
    if (!mys_bit(ev->rows.before, i)) {
        rows->lost = true;
        return CDC_OK;
    }
    int rc = CDC_FAIL;
    if (rows->docs[i].p)
        rc = mys_put_json_diff(&rows->fields[i], rows->docs[i], diffs, rows->arena, ret);
    if (rc == CDC_FAIL)
        return mys_malformed(ev->type, "a difference does not fit its JSON document", err);
    return rc == CDC_OK ? CDC_OK : bad_value(rows, i, rc, err);
}

/* Of an event with differences: remembers where it lies. */
static int read_document(struct mys_rows *rows, uint32_t i, struct cdc_value *ret,
                         struct cdc_error *err)
{
    const struct mys_field *field = &rows->fields[i];
    struct cdc_reader *rd = &rows->rd;
    size_t from = rd->off + field->prefix;
    int rc = field->parse(field, rd, rows->arena, ret);
    if (rc != CDC_OK || rd->failed)
        return bad_value(rows, i, rc, err);
    rows->docs[i] = cdc_slice_of(rd->p + from, rd->off - from);
    return CDC_OK;
}

/* An image while it is read; partial: a bit for each JSON column of one with differences, or NULL.
 */
struct image {
    const uint8_t *present, *partial, *nulls;
};

static int read_values(struct mys_rows *rows, const struct image *img, struct cdc_value *ret,
                       struct cdc_error *err)
{
    struct cdc_reader *rd = &rows->rd;
    uint32_t n = rows->ev->rows.n, at = 0;
    const struct mys_field *field = rows->fields;
    for (uint32_t i = 0; i < n; i++, field++) {
        int rc = CDC_OK;
        if (!mys_bit(img->present, i))
            ret[i] = (struct cdc_value){.kind = CDC_ABSENT};
        else if (mys_bit(img->nulls, at++))
            ret[i] = (struct cdc_value){.kind = CDC_NULL};
        else
            rc = field->parse(field, rd, rows->arena, &ret[i]);
        if (rc != CDC_OK || rd->failed)
            return bad_value(rows, i, rc, err);
    }
    return CDC_OK;
}

/* The same for an event with differences. */
static int read_partial(struct mys_rows *rows, const struct image *img, struct cdc_value *ret,
                        struct cdc_error *err)
{
    struct cdc_reader *rd = &rows->rd;
    uint32_t n = rows->ev->rows.n, at = 0, nth = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct mys_field *field = &rows->fields[i];
        bool json = field->type == MYS_JSON;
        bool diffs = json && img->partial && mys_bit(img->partial, nth++);
        int rc = CDC_OK;
        if (!mys_bit(img->present, i))
            ret[i] = (struct cdc_value){.kind = CDC_ABSENT};
        else if (mys_bit(img->nulls, at++))
            ret[i] = (struct cdc_value){.kind = CDC_NULL};
        else if (json)
            rc = diffs ? read_diff(rows, i, &ret[i], err) : read_document(rows, i, &ret[i], err);
        else if ((rc = field->parse(field, rd, rows->arena, &ret[i])) != CDC_OK || rd->failed)
            return bad_value(rows, i, rc, err);
        if (rc < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static int read_image(struct mys_rows *rows, const uint8_t *present, const uint8_t *partial,
                      struct cdc_value *ret, struct cdc_error *err)
{
    struct image img = {.present = present, .partial = partial};
    img.nulls = read_nulls(&rows->rd, rows->ev, present);
    if (rows->rd.failed)
        return mys_malformed(rows->ev->type, "a row is cut short", err);
    return rows->docs ? read_partial(rows, &img, ret, err) : read_values(rows, &img, ret, err);
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

/* Forgets the documents of the row before. */
static int forget_docs(struct mys_rows *rows, struct cdc_error *err)
{
    size_t size = rows->ev->rows.n * sizeof *rows->docs;
    rows->lost = false;
    if (!rows->ev->rows.partial)
        return CDC_OK;
    if (!rows->docs)
        rows->docs = cdc_arena_alloc(rows->arena, size + 1);
    if (!rows->docs)
        return cdc_fail_oom(err);
    memset(rows->docs, 0, size);
    return CDC_OK;
}

static int read_images(struct mys_rows *rows, struct cdc_value *before, struct cdc_value *after,
                       struct cdc_error *err)
{
    const struct mys_event *ev = rows->ev;
    const uint8_t *partial;
    if (ev->rows.before && read_image(rows, ev->rows.before, NULL, before, err) < 0)
        return CDC_FAIL;
    if (!read_options(&rows->rd, ev, rows->fields, &partial))
        return mys_malformed(ev->type, "a row is cut short, or has options that are unknown", err);
    if (ev->rows.after && read_image(rows, ev->rows.after, partial, after, err) < 0)
        return CDC_FAIL;
    return CDC_OK;
}

int mys_rows_next(struct mys_rows *rows, struct cdc_value *before, struct cdc_value *after,
                  struct cdc_error *err)
{
    const struct mys_event *ev = rows->ev;
    size_t from = rows->rd.off;
    if (cdc_reader_left(&rows->rd) == 0)
        return CDC_END;
    if (forget_docs(rows, err) < 0 || read_images(rows, before, after, err) < 0)
        return CDC_FAIL;
    if (rows->rd.off == from) /* no column present: it would go on for ever */
        return mys_malformed(ev->type, "its rows are empty", err);
    bool whole = ev->rows.n_after == ev->rows.n && !ev->rows.partial;
    if (ev->rows.before && ev->rows.after && !whole)
        fill(before, after, ev->rows.n);
    rows->raw = cdc_slice_of(rows->rd.p + from, rows->rd.off - from);
    return CDC_OK;
}

static void skip_image(struct cdc_reader *rd, const struct mys_event *ev, const uint8_t *present,
                       const struct mys_field *fields)
{
    uint32_t at = 0;
    const uint8_t *nulls = read_nulls(rd, ev, present);
    for (uint32_t i = 0; nulls && i < ev->rows.n && !rd->failed; i++)
        if (mys_bit(present, i) && !mys_bit(nulls, at++))
            mys_field_skip(&fields[i], rd);
}

int mys_rows_count(const struct mys_event *ev, struct cdc_slice bytes,
                   const struct mys_field *fields, uint64_t *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    const uint8_t *partial;
    uint64_t n = 0;
    while (!rd.failed && cdc_reader_left(&rd) > 0) {
        size_t from = rd.off;
        if (ev->rows.before)
            skip_image(&rd, ev, ev->rows.before, fields);
        rd.failed |= !read_options(&rd, ev, fields, &partial);
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
