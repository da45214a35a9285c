/*
 * view.h - what view.c, view_tables.c and view_rows.c share: one look at the tables at one place.
 *
 *   view.c         opening and closing: the server, the temporary slot, the snapshot
 *   view_tables.c  which tables there are, their columns and shapes
 *   view_rows.c    reading one table after the other
 *
 * What it shares with copying is in snap_session.c and snap_table.c. Threads: one. Everything is
 * the view's own but what ses.signalled points to.
 */
#ifndef PGS_VIEW_H
#define PGS_VIEW_H

#include "cdc/view.h"
#include "snap.h"

struct pgs_view {
    struct cdc_view base;
    struct pgs_source src;  /* the server, known tables, relations; it never streams */
    struct pgs_session ses; /* that holds the snapshot */
    uint64_t point;         /* contained: transactions with a smaller commit LSN */
    char at[32];
    struct cdc_tx tx;       /* of all rows */
    struct pgs_seen *items; /* as base.tables; room for n_items */
    size_t n_items;

    bool begun; /* a table is being read: locked, its cursor open */
    bool fetching, over;
    size_t table, asked, got; /* of the FETCH under way: rows wanted, rows come */
    int64_t look_us;          /* when the lock queue is to be looked at again */
};

/* view_tables.c */
CDC_CHECK int pgs_view_look(struct pgs_view *view, const struct cdc_view_options *opt,
                            struct cdc_error *err);
/* The publication that a table of the view belongs to. */
struct pgs_which pgs_view_which(const struct pgs_view *view, const struct cdc_table *tab);

/* view_rows.c: as cdc_view_ops */
int pgs_view_begin(struct cdc_view *view, size_t table, struct cdc_error *err);
int pgs_view_read(struct cdc_view *view, size_t max_rows, struct cdc_batch *batch,
                  struct cdc_error *err);

#endif
