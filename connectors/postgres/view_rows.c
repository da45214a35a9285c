/*
 * view_rows.c - one table of a view after the other, by a cursor (view.h; why so: view.c).
 */
#include "view.h"

#include "cdc/clock.h"

#include <stdio.h>
#include <stdlib.h>

static int given_up(const struct cdc_table *tab, const char *why, struct cdc_error *err)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", tab->schema, tab->name);
    (void)cdc_fail(err, CDC_RETRY, name, "%s; run the command again", why);
    return CDC_AGAIN;
}

static int same_shape(struct pgs_view *view, size_t table, struct cdc_error *err)
{
    const struct cdc_table *tab = view->base.tables[table];
    struct pgs_which which = pgs_view_which(view, tab);
    char *shape = NULL;
    if (pgs_shape_now(&view->src, &which, &shape, err) < 0)
        return CDC_FAIL;
    bool same = shape && strcmp(shape, view->items[table].shape) == 0;
    free(shape);
    return same ? CDC_OK
                : given_up(tab, "the table was altered or truncated since the look at it began",
                           err);
}

static void put_cursor(const struct cdc_table *tab, const struct pgs_seen *item,
                       struct cdc_buf *sql)
{
    cdc_buf_str(sql, "DECLARE rows NO SCROLL CURSOR FOR ");
    for (uint16_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? ", " : "SELECT ");
        pgs_ident_put(sql, tab->cols[i].name);
    }
    /* A partitioned table is its partitions; any other one is itself, without what inherits. */
    cdc_buf_str(sql, item->partitioned ? " FROM " : " FROM ONLY ");
    pgs_table_put(sql, tab->schema, tab->name);
    if (item->filter)
        cdc_buf_printf(sql, " WHERE %s", item->filter);
}

static int begin_table(struct pgs_view *view, size_t table, struct cdc_error *err)
{
    const struct cdc_table *tab = view->base.tables[table];
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    cdc_buf_str(&sql, "LOCK TABLE ");
    pgs_table_put(&sql, tab->schema, tab->name);
    cdc_buf_str(&sql, " IN ACCESS SHARE MODE");
    int rc = pgs_session_run(&view->ses, cdc_buf_cstr(&sql), NULL, NULL, err);
    if (rc == CDC_AGAIN)
        rc = given_up(tab, "the table is locked by somebody who alters it, or gone", err);
    if (rc == CDC_OK)
        rc = same_shape(view, table, err);
    cdc_buf_reset(&sql);
    put_cursor(tab, &view->items[table], &sql);
    if (rc == CDC_OK)
        rc = pgs_session_run(&view->ses, cdc_buf_cstr(&sql), NULL, NULL, err);
    cdc_buf_done(&sql);
    return rc;
}

/* Reads away what an unfinished FETCH still sends; gives the table's lock back. */
static int end_table(struct pgs_view *view, struct cdc_error *err)
{
    PGresult *res = NULL;
    while (view->fetching) {
        if (pgs_session_result(&view->ses, view->ses.conn, &res, err) < 0)
            return CDC_FAIL;
        view->fetching = res != NULL;
        PQclear(res);
    }
    view->begun = false;
    view->over = true;
    return pgs_session_run(&view->ses, "ROLLBACK TO SAVEPOINT tables", NULL, NULL, err) == CDC_OK
               ? CDC_OK
               : CDC_FAIL;
}

int pgs_view_begin(struct cdc_view *base, size_t table, struct cdc_error *err)
{
    struct pgs_view *view = (struct pgs_view *)base;
    if (view->begun && end_table(view, err) < 0)
        return CDC_FAIL;
    view->begun = true;
    view->table = table;
    view->over = false;
    view->look_us = cdc_mono_us() + PGS_LOOK_US;
    int rc = begin_table(view, table, err);
    if (rc == CDC_AGAIN && end_table(view, err) < 0)
        return CDC_FAIL;
    return rc;
}

/* Does anybody wait for a lock because of us? */
static int in_the_way(struct pgs_view *view, struct cdc_error *err)
{
    if (cdc_mono_us() < view->look_us)
        return CDC_OK;
    int rc = pgs_in_the_way(&view->src, view->items[view->table].rel->oid,
                            PQbackendPID(view->ses.conn), err);
    view->look_us = cdc_mono_us() + PGS_LOOK_US;
    if (rc != CDC_AGAIN)
        return rc;
    return end_table(view, err) < 0
               ? CDC_FAIL
               : given_up(view->base.tables[view->table],
                          "somebody waits to alter the table, and reading on would stand in the "
                          "way of all who use it",
                          err);
}

static int fetch(struct pgs_view *view, size_t max_rows, struct cdc_error *err)
{
    char sql[64];
    int rc = in_the_way(view, err);
    if (rc != CDC_OK)
        return rc;
    snprintf(sql, sizeof sql, "FETCH FORWARD %zu FROM rows", max_rows);
    if (!PQsendQuery(view->ses.conn, sql) || !PQsetSingleRowMode(view->ses.conn))
        return pgs_fail(view->ses.conn, NULL, NULL, err);
    view->fetching = true;
    view->asked = max_rows;
    view->got = 0;
    return CDC_OK;
}

/* The cells of a row, copied: the parsers write over them. */
static int take_cells(const PGresult *res, uint16_t n, struct cdc_batch *batch,
                      struct pgs_cell *cells)
{
    size_t len = 0;
    for (uint16_t i = 0; i < n; i++)
        len += (size_t)PQgetlength(res, 0, i);
    uint8_t *to = cdc_arena_alloc(batch->arena, len + 1);
    if (!to)
        return CDC_FAIL;
    for (uint16_t i = 0; i < n; i++) {
        cells[i] = (struct pgs_cell){.kind = 'n', .p = to};
        if (PQgetisnull(res, 0, i))
            continue;
        cells[i].kind = 't';
        cells[i].len = (uint32_t)PQgetlength(res, 0, i);
        memcpy(to, PQgetvalue(res, 0, i), cells[i].len);
        to += cells[i].len;
    }
    return CDC_OK;
}

static int add_row(struct pgs_view *view, const PGresult *res, struct cdc_batch *batch,
                   struct cdc_error *err)
{
    const struct pgs_rel *rel = view->items[view->table].rel;
    struct pgs_cell *cells = view->src.room->after;
    struct cdc_value *after = cdc_batch_values(batch, rel->n);
    struct cdc_tx *tx = NULL;
    if (batch->n > 0)
        tx = (struct cdc_tx *)(uintptr_t)batch->changes[0].tx;
    else if ((tx = cdc_arena_alloc(batch->arena, sizeof *tx)) != NULL)
        *tx = view->tx;
    if (!after || !tx || take_cells(res, rel->n, batch, cells) < 0)
        return cdc_fail_oom(err);
    struct pgs_tuple tuple = {.cells = cells};
    struct pgs_memory mem = {.arena = batch->arena, .left = view->src.srv.max_row};
    if (pgs_convert(rel, &tuple, &mem, after, err) < 0)
        return CDC_FAIL;
    struct cdc_change *chg = cdc_batch_add(batch, rel->tab);
    if (!chg)
        return cdc_fail_oom(err);
    chg->op = CDC_OP_READ;
    chg->tx = tx;
    chg->ordinal = CDC_READ_ORDINAL(1);
    chg->after = after;
    return CDC_OK;
}

/* One result of the FETCH: a row, its end, or an error. */
static int take(struct pgs_view *view, const PGresult *res, struct cdc_batch *batch,
                struct cdc_error *err)
{
    if (!res) {
        view->fetching = false;
        view->over = view->got < view->asked;
        return CDC_OK;
    }
    if (PQresultStatus(res) == PGRES_TUPLES_OK)
        return CDC_OK;
    if (PQresultStatus(res) != PGRES_SINGLE_TUPLE)
        return pgs_fail(view->ses.conn, res, NULL, err);
    view->got++;
    return add_row(view, res, batch, err);
}

static int no_more(struct pgs_view *view, struct cdc_error *err)
{
    return view->begun && end_table(view, err) < 0 ? CDC_FAIL : CDC_END;
}

int pgs_view_read(struct cdc_view *base, size_t max_rows, struct cdc_batch *batch,
                  struct cdc_error *err)
{
    struct pgs_view *view = (struct pgs_view *)base;
    batch->read_us = cdc_now_us();
    while (batch->n < max_rows && !cdc_batch_full(batch)) {
        PGS_CLEAR PGresult *res = NULL;
        if (!view->fetching && (view->over || batch->n > 0))
            return batch->n > 0 ? CDC_OK : no_more(view, err);
        int rc = view->fetching ? CDC_OK : fetch(view, max_rows, err);
        if (rc != CDC_OK)
            return rc;
        if (pgs_session_result(&view->ses, view->ses.conn, &res, err) < 0 ||
            take(view, res, batch, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}
