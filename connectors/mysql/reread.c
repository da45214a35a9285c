/*
 * reread.c - reads a row again by key, for values that the log does not hold.
 *
 * When an update changes the key, the new row appears under a key at which no consumer has
 * anything, and with binlog_row_image MINIMAL or NOBLOB values that it did not touch are not in the
 * log. The row is read by its new key through the ordinary connection. It may have changed again
 * since: it is taken only if every value that the log did hold is still the same, and then the
 * others are right unless exactly they changed since, in which case the next change carries them.
 * No row, no right, another value, or an answer later than 2 s: the values stay UNCHANGED.
 */
#include "mysql.h"
#include "text.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#define OFF_US 60000000 /* after a failure nothing is read again for so long */

/* Strings come in their column's charset, as text.h wants them; and nobody waits for an ALTER. */
#define OURS   "SET character_set_results = NULL, lock_wait_timeout = 2"
#define THEIRS "SET character_set_results = utf8mb4, lock_wait_timeout = DEFAULT"

/* false: a key of this kind is not asked for. */
static bool put_key(struct cdc_buf *sql, const struct cdc_value *val)
{
    struct cdc_buf text = CDC_BUF(1 << 16);
    switch (val->kind) {
    case CDC_INT: cdc_buf_printf(sql, " = %lld", (long long)val->i); return true;
    case CDC_TEXT:
    case CDC_UUID: break;
    default: return false;
    }
    cdc_buf_put(&text, val->p, val->len);
    const char *chars = val->len && memchr(val->p, 0, val->len) ? NULL : cdc_buf_cstr(&text);
    if (chars) {
        cdc_buf_str(sql, " = ");
        mys_literal_put(sql, chars);
    }
    cdc_buf_done(&text);
    return chars != NULL;
}

static void put_columns(const struct mys_source *src, const struct mys_rel *rel,
                        struct cdc_buf *sql)
{
    struct cdc_buf name = CDC_BUF(4096);
    cdc_buf_str(sql, src->facts.mariadb ? "SET STATEMENT max_statement_time = 2 FOR SELECT "
                                        : "SELECT /*+ MAX_EXECUTION_TIME(2000) */ ");
    for (uint16_t i = 0; i < rel->tab->n; i++) {
        cdc_buf_reset(&name);
        mys_ident_put(&name, rel->tab->cols[i].name);
        const char *quoted = cdc_buf_cstr(&name);
        cdc_buf_str(sql, i ? ", " : "");
        if (quoted)
            mys_text_select(&rel->fields[i], quoted, sql);
        sql->failed |= !quoted;
    }
    cdc_buf_done(&name);
}

static bool put_sql(const struct mys_source *src, const struct mys_rel *rel,
                    const struct cdc_value *after, struct cdc_buf *sql)
{
    const struct cdc_table *tab = rel->tab;
    put_columns(src, rel, sql);
    cdc_buf_str(sql, " FROM ");
    mys_table_put(sql, tab->schema, tab->name);
    for (uint16_t i = 0; i < tab->n_key; i++) {
        cdc_buf_str(sql, i ? " AND " : " WHERE ");
        mys_ident_put(sql, tab->cols[tab->key[i]].name);
        if (!put_key(sql, &after[tab->key[i]]))
            return false;
    }
    cdc_buf_str(sql, " LIMIT 2");
    return !sql->failed;
}

/* NULL: no answer. */
static MYSQL_RES *ask(struct mys_source *src, const char *sql)
{
    MYSQL_RES *res = NULL;
    if (mys_ask(&src->srv, OURS, NULL, NULL) < 0)
        return NULL;
    if (mys_query(src->srv.sql, sql, &res, NULL) < 0)
        res = NULL;
    if (mys_query(src->srv.sql, THEIRS, NULL, NULL) < 0)
        mys_sql_close(&src->srv);
    return res;
}

/* The row of the answer as values; NULL: it could not be read. */
static struct cdc_value *read_row(const struct mys_rel *rel, struct cdc_batch *batch,
                                  MYSQL_RES *res)
{
    struct cdc_value *row = cdc_batch_values(batch, rel->tab->n);
    MYSQL_ROW texts = mysql_fetch_row(res);
    const unsigned long *lens = texts ? mysql_fetch_lengths(res) : NULL;
    for (uint16_t i = 0; row && i < rel->tab->n; i++) {
        const struct mys_field *field = &rel->fields[i];
        mys_text parse = mys_text_of(field);
        row[i] = (struct cdc_value){.kind = CDC_NULL};
        if (!lens || !parse)
            return NULL;
        struct cdc_slice text = cdc_slice_of(texts[i], lens[i]);
        if (texts[i] && parse(field, text, batch->arena, &row[i]) != CDC_OK)
            return NULL;
    }
    return row;
}

static void take(const struct mys_rel *rel, const struct cdc_value *row, struct cdc_value *after)
{
    for (uint16_t i = 0; i < rel->tab->n; i++)
        if (after[i].kind != CDC_UNCHANGED && !cdc_value_eq(&after[i], &row[i]))
            return;
    for (uint16_t i = 0; i < rel->tab->n; i++)
        if (after[i].kind == CDC_UNCHANGED)
            after[i] = row[i];
}

static bool is_partial(const struct cdc_table *tab, const struct cdc_value *after)
{
    for (uint16_t i = 0; i < tab->n; i++)
        if (after[i].kind == CDC_UNCHANGED)
            return true;
    return false;
}

void mys_reread(struct mys_source *src, const struct mys_rel *rel, struct cdc_batch *batch,
                struct cdc_value *after)
{
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    if (!is_partial(rel->tab, after) || cdc_mono_us() < src->reread_off_us)
        return;
    const char *text = put_sql(src, rel, after, &sql) ? cdc_buf_cstr(&sql) : NULL;
    MYS_CLEAR MYSQL_RES *res = text ? ask(src, text) : NULL;
    cdc_buf_done(&sql);
    if (text && !res) {
        cdc_log(CDC_LOG_INFO,
                "mysql: rows of %s.%s cannot be read again after a key change (no right, or no "
                "answer within 2 s): unsent values stay unsent for the next minute",
                rel->tab->schema, rel->tab->name);
        src->reread_off_us = cdc_mono_us() + OFF_US;
    } else if (res && mysql_num_rows(res) == 1 && mysql_num_fields(res) == rel->tab->n) {
        const struct cdc_value *row = read_row(rel, batch, res);
        if (row)
            take(rel, row, after);
    }
}
