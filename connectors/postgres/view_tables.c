/*
 * view_tables.c - which tables a view has (view.h); what each looks like is snap_table.c's.
 */
#include "view.h"

#include <stdlib.h>

struct pgs_which pgs_view_which(const struct pgs_view *view, const struct cdc_table *tab)
{
    return (struct pgs_which){
        .schema = tab->schema,
        .name = tab->name,
        .pub = view->src.srv.pubs[tab->rule->insert_only ? PGS_PUB_INSERTS : PGS_PUB_ALL]};
}

/* One table into the next item; a table that is gone by now is none. */
static int look_table(struct pgs_view *view, const struct pgs_table *tab, struct cdc_error *err)
{
    struct pgs_which which = {
        .schema = tab->schema, .name = tab->name, .pub = view->src.srv.pubs[pgs_pub_of(tab)]};
    int rc = pgs_see(&view->src, &which, &view->items[view->base.n], err);
    if (rc == CDC_OK)
        view->base.tables[view->base.n] = view->items[view->base.n].rel->tab;
    view->base.n += rc == CDC_OK;
    return rc == CDC_END ? CDC_OK : rc;
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
    for (size_t i = 0; rc == CDC_OK && i < tabs.n && !pgs_session_stopped(&view->ses); i++)
        if (wanted(opt, &tabs.items[i]))
            rc = look_table(view, &tabs.items[i], err);
    pgs_tables_done(&tabs);
    return rc;
}
