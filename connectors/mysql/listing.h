/*
 * listing.h - what information_schema says of many tables at once, for `check` and `init`.
 *
 * A listing is the result of a query whose first two columns are schema and table, sorted by the
 * bytes of these two, so that the rows of one table are found and lie together.
 *
 * Ownership: texts of rows live as long as the listing. Threads: one.
 */
#ifndef MYS_LISTING_H
#define MYS_LISTING_H

#include "mysql.h"

#define MYS_OF_USERS                                                                               \
    "TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') "
#define MYS_BY_TABLE " ORDER BY CAST(TABLE_SCHEMA AS BINARY), CAST(TABLE_NAME AS BINARY)"

struct mys_listing {
    MYSQL_RES *res;
    MYSQL_ROW *rows;
    size_t n;
};

CDC_CHECK int mys_listing_read(MYSQL *conn, const char *sql, struct mys_listing *ret,
                               struct cdc_error *err);
void mys_listing_done(struct mys_listing *list); /* fine on zeroed memory */
/* The first row of the table, or n. */
size_t mys_listing_find(const struct mys_listing *list, const char *schema, const char *name);
/* Is that row (n is fine) one of the table's? */
bool mys_listing_is(const struct mys_listing *list, size_t row, const char *schema,
                    const char *name);

/* Unique indexes, the primary key first, column by column. */
enum { MYS_KEY_INDEX = 2, MYS_KEY_COLUMN };
extern const char mys_list_keys[];
/* A listing of columns begins with name, '1' or '0': COLUMN_KEY = 'PRI'. */
enum { MYS_COLUMN_NAME = 2, MYS_COLUMN_KEY, MYS_COLUMN_MORE };
/*
 * The first row in `keys` of the index by which the server tells the table's rows apart, also in
 * its log: the primary key, or where there is none the first unique index without NULLs. keys->n:
 * there is none.
 */
size_t mys_listing_key(const struct mys_listing *keys, const struct mys_listing *columns,
                       const char *schema, const char *name);
/* Are both rows of that table's one index? */
bool mys_listing_same(const struct mys_listing *keys, size_t a, size_t b);
/* Foreign keys of the table itself that delete or change its rows without a trace in the log. */
enum { MYS_CASCADE_NAME = 2 };
extern const char mys_list_cascades[];

#endif
