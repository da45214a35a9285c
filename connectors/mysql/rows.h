/*
 * rows.h - the rows of a rows event as values.
 *
 *   insert, delete   an image each;   update   two images, before and after
 *   image            a bit for each present column (NULL, LSB first), then the values that are not
 *   partial update   before the after image: options (1: what follows), a bit for each JSON column
 *                    of the table; where it is set the value is differences (json_diff.h) to that
 *                    of the before image, length 4 bytes; length 0: it did not change
 *
 * Which columns are present is said once for the event (struct mys_event). What is not present is
 *   before   ABSENT: the source says nothing about it
 *   after    of an update: what the row has still, taken from the before image, or UNCHANGED;
 *            of an insert ABSENT: its default, which the source did not send
 * so that MINIMAL, NOBLOB and FULL images read alike. With MINIMAL there may be differences of a
 * document that is not there: what it is now the log does not tell (`lost`).
 *
 * Values point into the event's bytes and the arena.
 */
#ifndef MYS_ROWS_H
#define MYS_ROWS_H

#include "decode.h"
#include "types.h"

static inline bool mys_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

struct mys_rows {
    const struct mys_event *ev;
    const struct mys_field *fields; /* ev->rows.n */
    struct cdc_reader rd;
    struct cdc_arena *arena;
    struct cdc_slice raw; /* the row that was read last, as it lies there */
    bool lost; /* it has a new value that cannot be known, which is UNCHANGED in `after` */
    struct cdc_slice *docs; /* partial: the documents of the before image; p NULL: none */
};

/*
 * Makes ready to read. `rows`: ev->rows.rows, unpacked where they were packed. CDC_FAIL: the event
 * has another number of columns than the table.
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

/* How many rows there are, by the lengths alone: for tables that nobody captures. */
CDC_CHECK int mys_rows_count(const struct mys_event *ev, struct cdc_slice bytes,
                             const struct mys_field *fields, uint64_t *ret, struct cdc_error *err);

#endif
