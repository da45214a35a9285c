/*
 * view.h - what view.c, view_tables.c and view_rows.c share: one look at the tables at one place.
 *
 *   view.c         opening and closing: the server, the temporary slot, the snapshot
 *   view_tables.c  which tables there are, their columns and shapes
 *   view_rows.c    reading one table after the other
 *
 * Threads: one. Everything is the view's own but `stop`.
 */
#ifndef PGS_VIEW_H
#define PGS_VIEW_H

#include "cdc/view.h"
#include "postgres.h"

struct pgs_view_table {
    const struct pgs_rel *rel;
    char *shape;  /* see view.c */
    char *filter; /* the publication's row filter, or NULL */
    bool partitioned;
};

struct pgs_view {
    struct cdc_view base;
    struct pgs_source src; /* the server, known tables, relations; it never streams */
    PGconn *snap;          /* the session that holds the snapshot */
    uint64_t point;        /* contained: transactions with a smaller commit LSN */
    char at[32];
    struct cdc_tx tx;             /* of all rows */
    struct pgs_view_table *items; /* as base.tables; room for n_items */
    size_t n_items;
    const volatile sig_atomic_t *stop;

    bool begun; /* a table is being read: locked, its cursor open */
    bool fetching, over;
    size_t table, asked, got; /* of the FETCH under way: rows wanted, rows come */
    int64_t look_us;          /* when the lock queue is to be looked at again */
};

/* view.c */
static inline bool pgs_view_stopped(const struct pgs_view *view)
{
    return view->stop && *view->stop;
}
int pgs_view_stop_fail(struct cdc_error *err);
/* The next result of a session; NULL with CDC_OK: no more. Waits, and hears a stop. */
CDC_CHECK int pgs_view_result(struct pgs_view *view, PGconn *conn, PGresult **ret,
                              struct cdc_error *err);
/* A statement in the snapshot's session. CDC_AGAIN: the table is locked, or gone. ret: or NULL. */
CDC_CHECK int pgs_view_run(struct pgs_view *view, const char *sql, PGresult **ret,
                           struct cdc_error *err);

/* view_tables.c */
CDC_CHECK int pgs_view_look(struct pgs_view *view, const struct cdc_view_options *opt,
                            struct cdc_error *err);
/* The shape as it is now, to be freed; *ret NULL: there is no such table any more. */
CDC_CHECK int pgs_view_shape(struct pgs_view *view, const char *schema, const char *name,
                             char **ret, struct cdc_error *err);

/* view_rows.c: as cdc_view_ops */
int pgs_view_begin(struct cdc_view *view, size_t table, struct cdc_error *err);
int pgs_view_read(struct cdc_view *view, size_t max_rows, struct cdc_batch *batch,
                  struct cdc_error *err);

#endif
