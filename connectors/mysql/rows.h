/*
 * rows.h - the rows of a rows event as values.
 *
 *   insert, delete   an image each;   update   two images, before and after
 *   image            a bit for each present column (NULL, LSB first), then the values that are not
 *
 * Which columns are present is said once for the event (struct mys_event). What is not present is
 *   before   ABSENT: the source says nothing about it
 *   after    of an update: what the row has still, taken from the before image, or UNCHANGED;
 *            of an insert ABSENT: its default, which the source did not send
 * so that MINIMAL, NOBLOB and FULL images read alike.
 *
 * Values point into the event's bytes and the arena.
 */
#ifndef MYS_ROWS_H
#define MYS_ROWS_H

#include "decode.h"
#include "types.h"

struct mys_rows {
    const struct mys_event *ev;
    const struct mys_field *fields; /* ev->rows.n */
    struct cdc_reader rd;
    struct cdc_arena *arena;
    struct cdc_slice raw; /* the row that was read last, as it lies there */
};

/*
 * Makes ready to read. `rows`: ev->rows.rows, unpacked where they were packed. CDC_FAIL: the event
 * has another number of columns than the table, or holds differences of JSON documents
 * (CDC_OPERATOR).
 */
CDC_CHECK int mys_rows_start(struct mys_rows *rows, const struct mys_event *ev,
                             struct cdc_slice bytes, const struct mys_field *fields, uint32_t n,
                             struct cdc_error *err);

/*
 * The next row: n values into `before` (update, delete) and `after` (insert, update); the other one
 * may be NULL. Set rows->arena before. CDC_END: that was the last.
 */
CDC_CHECK int mys_rows_next(struct mys_rows *rows, struct cdc_value *before,
                            struct cdc_value *after, struct cdc_error *err);

/*
 * How many rows there are, by the lengths alone: for tables that nobody captures, and for events
 * that mys_rows_start refuses.
 */
CDC_CHECK int mys_rows_count(const struct mys_event *ev, struct cdc_slice bytes,
                             const struct mys_field *fields, uint64_t *ret, struct cdc_error *err);

#endif
