/*
 * view_tables.c - which tables a view has, and what they look like (view.h).
 *
 * A table is described to relation.c as the stream would describe it, so that the same code makes
 * the same cdc_table of it, of the version that the checkpoint knows where nothing differs. A
 * column list or row filter that somebody gave the publication is repeated.
 */
#include "view.h"

#include <stdio.h>
#include <stdlib.h>

enum desc_col { D_OID, D_KIND, D_IDENTITY, D_READ, D_FILTER, D_NAME, D_TYPE, D_TYPMOD, D_KEY };

/* The columns that the stream has, in its order. */
static const char describe_sql[] =
    "SELECT c.oid, c.relkind, c.relreplident, has_table_privilege(c.oid, 'SELECT'),"
    " to_jsonb(t)->>'rowfilter', a.attname, a.atttypid, a.atttypmod,"
    " c.relreplident = 'f' OR coalesce(a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]),"
    "  false) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND a.attgenerated = ''"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident"
    "  WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END"
    " LEFT JOIN pg_publication_tables t ON t.pubname = $3 AND t.schemaname = n.nspname"
    "  AND t.tablename = c.relname "
    "WHERE n.nspname = $1 AND c.relname = $2 AND CASE jsonb_typeof(to_jsonb(t)->'attnames')"
    "  WHEN 'array' THEN to_jsonb(t)->'attnames' ? a.attname::text ELSE true END "
    "ORDER BY a.attnum";

/* Differs when an old snapshot may read the table wrong, or our columns are not its own. */
static const char shape_sql[] =
    "SELECT c.oid || '/' || coalesce((SELECT string_agg(l.relid::oid || '=' ||"
    "  coalesce(pg_relation_filenode(l.relid), 0), ',' ORDER BY l.relid::oid)"
    "  FROM pg_partition_tree(c.oid) l), pg_relation_filenode(c.oid)::text, '') || '/' ||"
    " coalesce((SELECT string_agg(concat_ws(':', a.attnum, a.atttypid, a.atttypmod,"
    "  a.attisdropped, a.attname), ',' ORDER BY a.attnum) FROM pg_attribute a"
    "  WHERE a.attrelid = c.oid AND a.attnum > 0), '') "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2";

int pgs_view_shape(struct pgs_view *view, const char *schema, const char *name, char **ret,
                   struct cdc_error *err)
{
    const char *args[] = {schema, name, NULL};
    PGS_CLEAR PGresult *res = NULL;
    if (pgs_query(&view->src.srv, shape_sql, args, &res, err) < 0)
        return CDC_FAIL;
    *ret = NULL;
    if (PQntuples(res) == 0)
        return CDC_OK;
    *ret = strdup(PQgetvalue(res, 0, 0));
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

static int may_not_read(struct pgs_view *view, const char *schema, const char *name,
                        struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(2048);
    cdc_buf_str(&sql, "GRANT SELECT ON ");
    pgs_table_put(&sql, schema, name);
    cdc_buf_str(&sql, " TO ");
    pgs_ident_put(&sql, PQuser(view->src.srv.sql));
    const char *text = cdc_buf_cstr(&sql);
    int rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "the role may not read table %s.%s: %s; (and USAGE on its schema)", schema,
                      name, text ? text : "");
    cdc_buf_done(&sql);
    return rc;
}

/* The catalogue's description as the relation message that the stream would send. */
static int describe(struct pgs_view *view, const PGresult *res, const struct pgs_table *tab,
                    struct pgs_view_table *item, struct cdc_error *err)
{
    struct pgs_source *src = &view->src;
    int n = PQntuples(res);
    if (PQgetvalue(res, 0, D_READ)[0] != 't')
        return may_not_read(view, tab->schema, tab->name, err);
    struct pgs_msg msg = {.type = 'R'};
    msg.relation.oid = (uint32_t)strtoul(PQgetvalue(res, 0, D_OID), NULL, 10);
    msg.relation.schema = tab->schema;
    msg.relation.name = tab->name;
    msg.relation.identity = (uint8_t)PQgetvalue(res, 0, D_IDENTITY)[0];
    msg.relation.n = (uint16_t)n;
    msg.relation.cols = src->room->cols;
    for (int i = 0; i < n && i < CDC_COLUMNS_MAX; i++)
        src->room->cols[i] = (struct pgs_row_column){
            .flags = PQgetvalue(res, i, D_KEY)[0] == 't',
            .name = PQgetvalue(res, i, D_NAME),
            .type = (uint32_t)strtoul(PQgetvalue(res, i, D_TYPE), NULL, 10),
            .typmod = (int32_t)strtol(PQgetvalue(res, i, D_TYPMOD), NULL, 10)};
    if (pgs_rel_set(src, &msg, cdc_slice_str(PQgetvalue(res, 0, D_OID)), err) < 0)
        return CDC_FAIL;
    item->rel = pgs_rel_find(src, msg.relation.oid);
    item->partitioned = PQgetvalue(res, 0, D_KIND)[0] == 'p';
    if (PQgetisnull(res, 0, D_FILTER))
        return CDC_OK;
    item->filter = strdup(PQgetvalue(res, 0, D_FILTER));
    return item->filter ? CDC_OK : cdc_fail_oom(err);
}

/* One table into the next item; a table that is gone by now is none. */
static int look_table(struct pgs_view *view, const struct pgs_table *tab, struct cdc_error *err)
{
    const char *args[] = {tab->schema, tab->name, view->src.srv.pubs[pgs_pub_of(tab)], NULL};
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_view_table *item = &view->items[view->base.n];
    if (pgs_view_shape(view, tab->schema, tab->name, &item->shape, err) < 0 ||
        pgs_query(&view->src.srv, describe_sql, args, &res, err) < 0)
        return CDC_FAIL;
    bool there = item->shape && PQntuples(res) > 0;
    if (there && describe(view, res, tab, item, err) < 0)
        return CDC_FAIL;
    if (there && item->rel->tab) {
        view->base.tables[view->base.n++] = item->rel->tab;
        return CDC_OK;
    }
    free(item->shape);
    free(item->filter);
    *item = (struct pgs_view_table){.rel = NULL};
    return CDC_OK;
}

static bool wanted(const struct cdc_view_options *opt, const struct pgs_table *tab)
{
    size_t n = strlen(tab->schema);
    return tab->rule &&
           (!opt->table || (strncmp(opt->table, tab->schema, n) == 0 && opt->table[n] == '.' &&
                            strcmp(opt->table + n + 1, tab->name) == 0));
}

int pgs_view_look(struct pgs_view *view, const struct cdc_view_options *opt, struct cdc_error *err)
{
    struct pgs_tables tabs;
    if (pgs_tables_look(&view->src.srv, &tabs, err) < 0)
        return CDC_FAIL;
    view->items = calloc(tabs.n + 1, sizeof *view->items);
    view->n_items = view->items ? tabs.n + 1 : 0;
    view->base.tables = calloc(tabs.n + 1, sizeof(struct cdc_table *));
    int rc = view->items && view->base.tables ? CDC_OK : cdc_fail_oom(err);
    for (size_t i = 0; rc == CDC_OK && i < tabs.n && !pgs_view_stopped(view); i++)
        if (wanted(opt, &tabs.items[i]))
            rc = look_table(view, &tabs.items[i], err);
    pgs_tables_done(&tabs);
    return rc;
}
