/*
 * snap_plan.c - where to cut a table into ranges, and how large it is.
 *
 * The key is the primary key, in its own order. A bound is found by walking its index: the n-th key
 * behind the range's beginning, n by the estimated width of a row. It need not stay in the table,
 * and it is found in the present, outside of any look: it only has to be a value of the key. So
 * ranges mean the same in any look.
 *
 * The servers' estimates of small tables are of no use (a page for each row): then a row is taken
 * to have 200 bytes.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_LEAST  1000
#define WIDTH_LEAST 32
#define WIDTH_GUESS 200
#define SMALL       ((uint64_t)256 << 10)

static struct mys_snap_table *item_of(struct mys_snap *snap, const char *schema, const char *name)
{
    struct mys_snap_table *item = snap->tables;
    while (item && (strcmp(item->schema, schema) != 0 || strcmp(item->name, name) != 0))
        item = item->next;
    if (item || !(item = calloc(1, sizeof *item)))
        return item;
    item->schema = strdup(schema);
    item->name = strdup(name);
    item->next = snap->tables;
    snap->tables = item;
    return item->schema && item->name ? item : NULL;
}

static uint64_t width_of(uint64_t rows, uint64_t bytes)
{
    if (rows == 0 || bytes <= SMALL)
        return WIDTH_GUESS;
    return bytes / rows > WIDTH_LEAST ? bytes / rows : WIDTH_LEAST;
}

int mys_snap_size(struct mys_snap *snap, const char *schema, const char *name,
                  struct mys_snap_table **ret, struct cdc_error *err)
{
    const struct mys_which which = {.schema = schema, .name = name};
    struct mys_snap_table *item = item_of(snap, schema, name);
    struct mys_viewer *ses = &snap->ses;
    if (!item)
        return cdc_fail_oom(err);
    mys_key_done(&item->key);
    int rc = mys_key_look(ses, &which, &item->key, err);
    if (rc != CDC_OK)
        return rc;
    if (mys_catalogue_size(ses->side, &which, &item->rows, &item->bytes, err) < 0)
        return mys_viewer_fail(ses, ses->side, err);
    item->width = width_of(item->rows, item->bytes);
    *ret = item;
    return CDC_OK;
}

/* CDC_FAIL: the range is none of this key. */
static int put_bound_query(const struct mys_snap_table *item, const struct cdc_range *rest,
                           uint64_t rows, struct cdc_buf *sql)
{
    const struct mys_key *key = &item->key;
    cdc_buf_str(sql, "SELECT ");
    mys_key_select(key, sql);
    cdc_buf_str(sql, " FROM ");
    mys_table_put(sql, item->schema, item->name);
    cdc_buf_str(sql, " FORCE INDEX (PRIMARY) WHERE TRUE");
    if (mys_range_sql(key, rest, sql) != CDC_OK)
        return CDC_FAIL;
    for (uint16_t i = 0; i < key->n; i++)
        cdc_buf_printf(sql, "%s%s", i ? ", " : " ORDER BY ", key->cols[i].quoted);
    cdc_buf_printf(sql, " LIMIT 1 OFFSET %llu", (unsigned long long)rows);
    return CDC_OK;
}

static int take_bound(const struct mys_snap_table *item, MYSQL_RES *res, struct cdc_buf *ret,
                      struct cdc_error *err)
{
    MYSQL_ROW row = mysql_fetch_row(res);
    if (!row)
        return CDC_END;
    if (mysql_num_fields(res) == item->key.n &&
        mys_bound_put(&item->key, (const char *const *)row, ret) == CDC_OK)
        return CDC_OK;
    return cdc_fail(err, CDC_FATAL, item->name,
                    "the server sent a key of table %s.%s that makes no sense; please report this",
                    item->schema, item->name);
}

static int other_key(const struct mys_snap_table *item, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, item->name,
                    "the primary key of table %s.%s, or its collation, was changed while the table "
                    "was copied, so what was copied cannot be told from what was not: have it "
                    "copied anew by `sidestream snapshot`",
                    item->schema, item->name);
}

static bool range_fits(const struct mys_key *key, const struct cdc_range *range)
{
    return (!range->from.p || mys_bound_fits(key, range->from)) &&
           (!range->to.p || mys_bound_fits(key, range->to));
}

int mys_snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                  const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                  struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    struct mys_snap_table *item = item_of(snap, tab->tab->schema, tab->tab->name);
    MYS_CLEAR MYSQL_RES *res = NULL;
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    int rc = !item ? cdc_fail_oom(err) : CDC_OK;
    if (rc == CDC_OK && !item->width)
        rc = mys_snap_size(snap, tab->tab->schema, tab->tab->name, &item, err);
    if (rc != CDC_OK)
        return rc;
    if (!range_fits(&item->key, rest))
        return other_key(item, err);
    if (item->key.n == 0)
        return CDC_END;
    uint64_t rows = max_bytes / (item->width ? item->width : WIDTH_GUESS);
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    rc = put_bound_query(item, rest, rows < ROWS_LEAST ? ROWS_LEAST : rows, &sql);
    rc = rc == CDC_OK ? mys_viewer_run(&snap->ses, snap->ses.side, cdc_buf_cstr(&sql), &res, err)
                      : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    return rc == CDC_OK ? take_bound(item, res, ret, err) : rc;
}
