/*
 * reread.c - reads a row again by key, for values that the stream did not send.
 *
 * When an update changes the key, the new row appears under a key at which no consumer has
 * anything, and a TOAST value that the update did not touch is not sent (unless the identity is
 * full). The row is read by its new key through the ordinary connection. It may have changed again
 * since: it is taken only if every value that the stream did send is still the same, and then the
 * unsent ones are right unless exactly they changed since, in which case the next change of the
 * stream carries them. No row, no right, another value, or an answer later than 2 s: the values
 * stay UNCHANGED.
 */
#include "postgres.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <stdlib.h>

#define OFF_US 60000000 /* after a failure nothing is read again for so long */

/* A key value as text for a parameter; NULL: this kind is not asked for. */
static const char *key_text(struct cdc_batch *batch, const struct cdc_value *val)
{
    switch (val->kind) {
    case CDC_INT: return cdc_arena_printf(batch->arena, "%lld", (long long)val->i);
    case CDC_TEXT:
    case CDC_UUID: return (const char *)cdc_arena_copy(batch->arena, cdc_value_slice(val)).p;
    default: return NULL;
    }
}

static void put_sql(const struct pgs_rel *rel, struct cdc_buf *sql)
{
    const struct cdc_table *tab = rel->tab;
    for (uint16_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? ", " : "SELECT ");
        pgs_ident_put(sql, tab->cols[i].name);
    }
    cdc_buf_str(sql, " FROM ");
    pgs_table_put(sql, tab->schema, tab->name);
    for (uint16_t i = 0; i < tab->n_key; i++) {
        cdc_buf_str(sql, i ? " AND " : " WHERE ");
        pgs_ident_put(sql, tab->cols[tab->key[i]].name);
        cdc_buf_printf(sql, " = $%d", i + 1);
    }
    cdc_buf_str(sql, " LIMIT 2");
}

static PGresult *ask(struct pgs_source *src, const char *sql, const char *const *args)
{
    PGresult *res = NULL;
    if (pgs_execute(&src->srv, "SET statement_timeout = '2s'", NULL) < 0)
        return NULL;
    if (pgs_query(&src->srv, sql, args, &res, NULL) < 0)
        res = NULL;
    if (pgs_execute(&src->srv, "SET statement_timeout = '10s'", NULL) < 0)
        pgs_sql_close(&src->srv);
    return res;
}

static const char **key_args(const struct pgs_rel *rel, struct cdc_batch *batch,
                             const struct cdc_value *after)
{
    const struct cdc_table *tab = rel->tab;
    const char **args = cdc_arena_zalloc(batch->arena, (tab->n_key + 1u) * sizeof *args);
    for (uint16_t i = 0; args && i < tab->n_key; i++) {
        args[i] = key_text(batch, &after[tab->key[i]]);
        if (!args[i])
            return NULL;
    }
    return args;
}

/* The row of the answer as values; NULL: it could not be read. */
static struct cdc_value *read_row(const struct pgs_rel *rel, struct cdc_batch *batch,
                                  size_t max_row, const PGresult *res)
{
    struct pgs_memory mem = {.arena = batch->arena, .left = max_row};
    struct cdc_value *row = cdc_batch_values(batch, rel->n);
    for (uint16_t i = 0; row && i < rel->n; i++) {
        row[i] = (struct cdc_value){.kind = CDC_NULL};
        if (PQgetisnull(res, 0, i))
            continue;
        struct cdc_slice text = cdc_arena_copy(
            batch->arena, cdc_slice_of(PQgetvalue(res, 0, i), (size_t)PQgetlength(res, 0, i)));
        struct pgs_cell cell = {.p = (uint8_t *)(uintptr_t)text.p, .len = (uint32_t)text.len};
        if (!text.p || pgs_value(rel, i, &mem, cell, &row[i]) != CDC_OK)
            return NULL;
    }
    return row;
}

static void take(const struct pgs_rel *rel, const struct cdc_value *row, struct cdc_value *after)
{
    for (uint16_t i = 0; i < rel->n; i++)
        if (after[i].kind != CDC_UNCHANGED && !cdc_value_eq(&after[i], &row[i]))
            return;
    for (uint16_t i = 0; i < rel->n; i++)
        if (after[i].kind == CDC_UNCHANGED)
            after[i] = row[i];
}

void pgs_reread(struct pgs_source *src, const struct pgs_rel *rel, struct cdc_batch *batch,
                struct cdc_value *after)
{
    if (rel->tab->n_key == 0 || cdc_mono_us() < src->reread_off_us)
        return;
    const char **args = key_args(rel, batch, after);
    if (!args)
        return;
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    put_sql(rel, &sql);
    const char *text = cdc_buf_cstr(&sql);
    PGS_CLEAR PGresult *res = text ? ask(src, text, args) : NULL;
    cdc_buf_done(&sql);
    if (!res) {
        cdc_log(CDC_LOG_INFO,
                "postgres: rows of %s.%s cannot be read again after a key change (no right, or no "
                "answer within 2 s): unsent values stay unsent for the next minute",
                rel->tab->schema, rel->tab->name);
        src->reread_off_us = cdc_mono_us() + OFF_US;
    } else if (PQntuples(res) == 1 && PQnfields(res) == rel->n) {
        const struct cdc_value *row = read_row(rel, batch, src->srv.max_row, res);
        if (row)
            take(rel, row, after);
    }
}
