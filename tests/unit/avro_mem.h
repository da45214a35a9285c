/*
 * avro_mem.h - Avro files in memory for the tests, and a plan of a table with its schema.
 */
#ifndef TESTS_AVRO_MEM_H
#define TESTS_AVRO_MEM_H

#include "cdc/avro.h"
#include "cdc/config.h"
#include "envelope/envelope.h"

struct mem {
    struct cdc_buf buf;
    size_t at;   /* read so far */
    size_t step; /* bytes given at once; 0: as many as asked for */
    size_t room; /* written at most, then the disk is full; 0: no end */
};

static inline int mem_out(void *arg, const void *p, size_t n, struct cdc_error *err)
{
    struct mem *mem = arg;
    if (mem->room && mem->buf.len + n > mem->room)
        return cdc_fail(err, CDC_RETRY, "mem", "no space left");
    cdc_buf_put(&mem->buf, p, n);
    return CDC_OK;
}

static inline int mem_in(void *arg, void *p, size_t cap, size_t *ret_n, struct cdc_error *err)
{
    struct mem *mem = arg;
    (void)err;
    size_t n = mem->buf.len - mem->at;
    if (n > cap)
        n = cap;
    if (mem->step && n > mem->step)
        n = mem->step;
    if (n)
        memcpy(p, mem->buf.p + mem->at, n);
    mem->at += n;
    *ret_n = n;
    return CDC_OK;
}

/* The plan of a table with its real schema text, which is left in *text. */
static inline struct cdc_plan *mem_plan(struct cdc_table *tab, struct cdc_envelope_state *state,
                                        struct cdc_buf *text)
{
    struct cdc_plan *plan = NULL;
    *text = CDC_BUF(1 << 20);
    if (cdc_row_schema_text("shop", tab, text, NULL) < 0)
        return NULL;
    struct cdc_schema schema = {.text = (const char *)text->p, .len = text->len, .id = 1};
    return cdc_plan_new(tab, &schema, state, &plan, NULL) == CDC_OK ? plan : NULL;
}

/* Adds all records of a change to a file. */
static inline int mem_add(struct cdc_avro_writer *w, struct cdc_plan *plan,
                          const struct cdc_change *chg, struct cdc_error *err)
{
    struct cdc_record recs[CDC_RECORDS_MAX];
    int n = cdc_plan_records(plan, chg, 1700000000000000, recs, err);
    for (int i = 0; i < n; i++) {
        struct cdc_buf *buf = cdc_avro_writer_begin(w);
        if (cdc_plan_bytes(plan, &recs[i], buf, err) < 0) {
            cdc_avro_writer_cancel(w);
            return CDC_FAIL;
        }
        if (cdc_avro_writer_end(w, err) < 0)
            return CDC_FAIL;
    }
    return n < 0 ? n : CDC_OK;
}

#endif
