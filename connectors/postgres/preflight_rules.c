/*
 * preflight_rules.c - `check`: the columns and keys of the tables, for what the capture rules say
 * of them (cdc_capture_check). One query for all tables; columns as the stream has them.
 */
#include "postgres.h"

#include <stdlib.h>

static const char columns_sql[] =
    "SELECT n.nspname, c.relname, a.attname, c.relreplident <> 'n' AND"
    "  coalesce(a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND a.attgenerated = ''"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN"
    "  i.indisreplident ELSE i.indisprimary END "
    "WHERE c.relpersistence = 'p' AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'"
    " AND n.nspname <> 'information_schema' "
    "ORDER BY 1, 2, a.attnum";

enum { COL_SCHEMA, COL_TABLE, COL_NAME, COL_KEY };

struct names {
    const PGresult *res;
    int at;            /* the row to go on with; rows and tables are sorted alike */
    const char **next; /* room for the next list */
};

static bool is_of(const struct names *names, int row, const struct pgs_table *tab)
{
    return row < PQntuples(names->res) &&
           strcmp(PQgetvalue(names->res, row, COL_SCHEMA), tab->schema) == 0 &&
           strcmp(PQgetvalue(names->res, row, COL_TABLE), tab->name) == 0;
}

/* The names of the table's rows from `row` on, all or the key's; a list that ends in NULL. */
static const char *const *take_list(struct names *names, int row, const struct pgs_table *tab,
                                    bool key)
{
    const char **list = names->next;
    for (; is_of(names, row, tab); row++)
        if (!PQgetisnull(names->res, row, COL_NAME) &&
            (!key || PQgetvalue(names->res, row, COL_KEY)[0] == 't'))
            *names->next++ = PQgetvalue(names->res, row, COL_NAME);
    *names->next++ = NULL;
    return list;
}

static struct cdc_known_table take_table(struct names *names, const struct pgs_table *tab)
{
    int row = names->at, n = PQntuples(names->res);
    while (row < n && !is_of(names, row, tab))
        row++;
    if (row < n) /* else dropped since the tables were looked at: no columns */
        names->at = row;
    return (struct cdc_known_table){.schema = tab->schema,
                                    .name = tab->name,
                                    .columns = take_list(names, row, tab, false),
                                    .key = take_list(names, row, tab, true)};
}

int pgs_check_rules(struct pgs_server *srv, const struct pgs_tables *tabs,
                    struct cdc_report *report, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    if (pgs_query(srv, columns_sql, NULL, &res, err) < 0)
        return CDC_FAIL;
    size_t room = 2 * ((size_t)PQntuples(res) + tabs->n);
    struct cdc_known_table *known = calloc(tabs->n + 1, sizeof *known);
    const char **list = calloc(room + 1, sizeof *list);
    struct names names = {.res = res, .next = list};
    for (size_t i = 0; known && list && i < tabs->n; i++)
        known[i] = take_table(&names, &tabs->items[i]);
    if (known && list)
        cdc_capture_check(srv->cfg->capture, known, tabs->n, report);
    int rc = known && list ? CDC_OK : cdc_fail_oom(err);
    free(list);
    free(known);
    return rc;
}
