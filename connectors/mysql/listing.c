/*
 * listing.c - see listing.h. information_schema sorts without regard to case, hence the casts.
 */
#include "listing.h"

#include <stdlib.h>

const char mys_list_keys[] =
    "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME "
    "FROM information_schema.STATISTICS "
    "WHERE NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL AND " MYS_OF_USERS MYS_BY_TABLE
    ", INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX";

const char mys_list_cascades[] =
    "SELECT CONSTRAINT_SCHEMA AS TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME "
    "FROM information_schema.REFERENTIAL_CONSTRAINTS "
    "WHERE (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
    " OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))"
    " ORDER BY CAST(CONSTRAINT_SCHEMA AS BINARY), CAST(TABLE_NAME AS BINARY), CONSTRAINT_NAME";

int mys_listing_read(MYSQL *conn, const char *sql, struct mys_listing *ret, struct cdc_error *err)
{
    if (mys_query(conn, sql, &ret->res, err) < 0)
        return CDC_FAIL;
    size_t n = ret->res ? (size_t)mysql_num_rows(ret->res) : 0;
    ret->rows = calloc(n + 1, sizeof *ret->rows);
    if (!ret->rows)
        return cdc_fail_oom(err);
    while (ret->n < n && (ret->rows[ret->n] = mysql_fetch_row(ret->res)))
        ret->n++;
    return CDC_OK;
}

void mys_listing_done(struct mys_listing *list)
{
    mys_clear(&list->res);
    free(list->rows);
    *list = (struct mys_listing){.n = 0};
}

static int order(const MYSQL_ROW row, const char *schema, const char *name)
{
    int c = strcmp(row[0], schema);
    return c ? c : strcmp(row[1], name);
}

bool mys_listing_is(const struct mys_listing *list, size_t row, const char *schema,
                    const char *name)
{
    return row < list->n && order(list->rows[row], schema, name) == 0;
}

size_t mys_listing_find(const struct mys_listing *list, const char *schema, const char *name)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (order(list->rows[mid], schema, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return mys_listing_is(list, low, schema, name) ? low : list->n;
}

bool mys_listing_same(const struct mys_listing *keys, size_t a, size_t b)
{
    return mys_listing_is(keys, b, keys->rows[a][0], keys->rows[a][1]) &&
           strcmp(keys->rows[a][MYS_KEY_INDEX], keys->rows[b][MYS_KEY_INDEX]) == 0;
}

/* Is the column (any: NULL) of the table marked as of its key? How many are. */
static size_t marked(const struct mys_listing *columns, const char *schema, const char *name,
                     const char *column)
{
    size_t n = 0;
    for (size_t row = mys_listing_find(columns, schema, name);
         mys_listing_is(columns, row, schema, name); row++)
        n += columns->rows[row][MYS_COLUMN_KEY][0] == '1' &&
             (!column || strcmp(columns->rows[row][MYS_COLUMN_NAME], column) == 0);
    return n;
}

size_t mys_listing_key(const struct mys_listing *keys, const struct mys_listing *columns,
                       const char *schema, const char *name)
{
    size_t n = marked(columns, schema, name, NULL), at = mys_listing_find(keys, schema, name);
    for (size_t next = at; mys_listing_is(keys, at, schema, name); at = next) {
        size_t of_it = 0;
        for (; mys_listing_same(keys, at, next); next++)
            of_it += marked(columns, schema, name, keys->rows[next][MYS_KEY_COLUMN]);
        if (of_it == n && next - at == n)
            return at;
    }
    return keys->n;
}
