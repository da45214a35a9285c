/*
 * catalogue.h - one table of information_schema, both as what coltype.c joins with a table map and
 * as such a map.
 */
#ifndef MYS_CATALOGUE_H
#define MYS_CATALOGUE_H

#include "mysql.h"

/* From here on the catalogue and SHOW CREATE TABLE show also what the server is set to hide: the
 * primary key that MySQL has generated. */
CDC_CHECK int mys_show_all(MYSQL *conn, const struct mys_facts *facts, struct cdc_error *err);

enum mys_cat_kind { MYS_CAT_BASE, MYS_CAT_SEQUENCE, MYS_CAT_OTHER };

struct mys_cat_columns {
    enum mys_cat_kind kind;
    struct mys_info info; /* not final: that is the caller's to say */
    /* Unless kind is OTHER: as a map with FULL metadata has it, but for labels. */
    struct mys_map_columns map;
};

/*
 * Asks for the table, by its name alone: nothing else is looked at. All in the arena. CDC_END:
 * there is none, or no right to see it.
 */
CDC_CHECK int mys_catalogue_columns(const struct mys_ask *ask, struct mys_cat_columns *ret,
                                    struct cdc_error *err);

#endif
