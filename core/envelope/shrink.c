/*
 * shrink.c - a record that is too large, written without its largest values; see cdc_plan_shrunk in
 * cdc/plan.h.
 *
 * All columns are encoded once, one after the other into the same small buffer, for their sizes
 * alone. Then the largest is taken out, and the next, until what is left fits; then the record is
 * written. A name in __invalid costs bytes as well, so a value that is no longer than its column's
 * name stays. What is taken out depends on the record alone: a replay writes the same bytes.
 *
 * Nothing is counted as invalid here: the caller has encoded the record before, and has counted it.
 */
#include "envelope/row.h"

#include <stdlib.h>

#define PROBE_MAX ((size_t)1 << 30) /* no row that we take is larger */

struct weighed {
    size_t size; /* encoded */
    uint16_t i;  /* index of plan->ops */
};

struct shrinking {
    struct cdc_plan *plan;
    const struct cdc_record *rec;
    struct weighed *cols; /* those that may be taken out, the largest first */
    uint16_t n;
    bool *out; /* plan->n: taken out */
    size_t total;
    struct cdc_buf probe;
};

static size_t long_size(size_t n)
{
    uint8_t bytes[CDC_ZIGZAG_MAX];
    return (size_t)(cdc_zigzag(bytes, (int64_t)n) - bytes);
}

/* Bytes of a nullable array of n names, without the names. */
static size_t list_size(size_t n)
{
    return n ? 1 + long_size(n) + 1 : 1;
}

static int by_size(const void *a, const void *b)
{
    const struct weighed *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static int probed(struct shrinking *s, struct cdc_error *err)
{
    s->total += s->probe.len;
    return s->probe.failed ? cdc_plan_check_size(s->plan, &s->probe, err) : CDC_OK;
}

static int weigh(struct shrinking *s, struct cdc_error *err)
{
    struct cdc_plan *plan = s->plan;
    plan->unchanged.n = plan->invalid.n = 0;
    for (uint16_t i = 0; i < plan->n; i++) {
        cdc_buf_reset(&s->probe);
        const struct cdc_value *val = &s->rec->row[plan->ops[i].at];
        if (cdc_plan_put_column(plan, i, val, &s->probe, err) < 0 || probed(s, err) < 0)
            return CDC_FAIL;
        if (!plan->ops[i].key)
            s->cols[s->n++] = (struct weighed){s->probe.len, i};
    }
    cdc_buf_reset(&s->probe);
    if (cdc_plan_put_meta(plan, s->rec, &s->probe, err) < 0)
        return CDC_FAIL;
    qsort(s->cols, s->n, sizeof *s->cols, by_size);
    return probed(s, err);
}

/* CDC_END: there is not enough to take out. */
static int choose(struct shrinking *s, size_t max_bytes)
{
    size_t invalid = s->plan->invalid.n;
    for (uint16_t k = 0; k < s->n && s->total > max_bytes; k++) {
        size_t name = s->plan->ops[s->cols[k].i].name.len;
        size_t costs = 1 + long_size(name) + name + list_size(invalid + 1) - list_size(invalid);
        if (s->cols[k].size <= costs)
            continue;
        s->total -= s->cols[k].size - costs;
        s->out[s->cols[k].i] = true;
        invalid++;
    }
    return s->total > max_bytes ? CDC_END : CDC_OK;
}

static int write_rest(const struct shrinking *s, struct cdc_buf *buf, struct cdc_error *err)
{
    struct cdc_plan *plan = s->plan;
    plan->unchanged.n = plan->invalid.n = 0;
    for (uint16_t i = 0; i < plan->n; i++) {
        const struct cdc_value *val = &s->rec->row[plan->ops[i].at];
        if (s->out[i]) {
            cdc_buf_byte(buf, 0); /* null */
            plan->invalid.at[plan->invalid.n++] = i;
        } else if (cdc_plan_put_column(plan, i, val, buf, err) < 0) {
            return CDC_FAIL;
        }
    }
    if (cdc_plan_put_meta(plan, s->rec, buf, err) < 0)
        return CDC_FAIL;
    return cdc_plan_check_size(plan, buf, err);
}

static int shrink(struct shrinking *s, size_t max_bytes, struct cdc_buf *buf, struct cdc_error *err)
{
    s->cols = calloc(s->plan->n + 1u, sizeof *s->cols);
    s->out = calloc(s->plan->n + 1u, sizeof *s->out);
    if (!s->cols || !s->out)
        return cdc_fail_oom(err);
    int rc = weigh(s, err);
    if (rc == CDC_OK)
        rc = choose(s, max_bytes);
    return rc == CDC_OK ? write_rest(s, buf, err) : rc;
}

/* A record without a row has nothing to take out. */
static int whole(struct cdc_plan *plan, const struct cdc_record *rec, size_t max_bytes,
                 struct cdc_buf *buf, struct cdc_error *err)
{
    size_t begun = buf->len;
    if (cdc_plan_bytes(plan, rec, buf, err) < 0)
        return CDC_FAIL;
    if (buf->len - begun <= max_bytes)
        return CDC_OK;
    buf->len = begun;
    return CDC_END;
}

int cdc_plan_shrunk(struct cdc_plan *plan, const struct cdc_record *rec, size_t max_bytes,
                    struct cdc_buf *buf, struct cdc_error *err)
{
    if (!rec->row)
        return whole(plan, rec, max_bytes, buf, err);
    struct shrinking s = {.plan = plan, .rec = rec, .probe = CDC_BUF(PROBE_MAX)};
    uint64_t counted = plan->state->invalid;
    int rc = shrink(&s, max_bytes, buf, err);
    plan->state->invalid = counted;
    cdc_buf_done(&s.probe);
    free(s.cols);
    free(s.out);
    return rc;
}
