/*
 * links.c - foreign keys that delete or change rows of their table by themselves (CASCADE, SET
 * NULL, SET DEFAULT): MariaDB, and MySQL unless innodb_native_foreign_keys is OFF, do not log what
 * they do.
 *
 * A captured table with such a key would lose changes without a trace, so it is refused, unless
 * `accept: [cascades]`: at every start, and when the stream meets the DDL by which a table gets
 * such a key, or one that has it gets a captured name. What the stream meets lies in the past, and
 * the key may have gone since: the catalogue tells; then statement.c has the table copied anew. The
 * position stays before the DDL while it is refused, so that is so too after the key was taken
 * away.
 */
#include "mysql.h"

bool mys_links_matter(const struct mys_source *src)
{
    return !src->facts.cascades && !(src->srv.accept & MYS_ACCEPT_CASCADES);
}

static int refuse(const struct mys_which *which, const char *more, struct cdc_error *err)
{
    return cdc_fail(
        err, CDC_OPERATOR, which->name,
        "table %s.%s has a foreign key with ON DELETE or ON UPDATE CASCADE or SET NULL, and "
        "this server does not log what that changes%s: such changes would be missing. Make "
        "the keys RESTRICT, or (MySQL 9.6 and newer) set innodb_native_foreign_keys=OFF, or "
        "set source.accept: [cascades]",
        which->schema, which->name, more);
}

static int check_listed(const struct mys_cat_tables *all, struct cdc_error *err)
{
    const struct mys_cat_table *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (!all->tabs[i].rule || !all->tabs[i].cascades)
            continue;
        first = first ? first : &all->tabs[i];
        n++;
    }
    if (!first)
        return CDC_OK;
    const struct mys_which which = {.schema = first->schema, .name = first->name};
    return refuse(&which, n > 1 ? " (there are more such tables)" : "", err);
}

int mys_links_check(struct mys_source *src, struct cdc_error *err)
{
    struct mys_cat_tables all = {.n = 0};
    if (!mys_links_matter(src))
        return CDC_OK;
    struct cdc_arena *arena = cdc_arena_new((size_t)256 << 20);
    int rc = arena ? mys_sql(&src->srv, err) : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = mys_catalogue_cascades(src->srv.sql, src->srv.cfg, arena, &all, err);
    if (rc == CDC_OK)
        rc = check_listed(&all, err);
    cdc_arena_free(arena);
    return rc;
}

int mys_links_refuse(struct mys_source *src, const struct mys_which *which, struct cdc_error *err)
{
    bool linked = false;
    if (!mys_links_matter(src))
        return CDC_OK;
    if (mys_sql(&src->srv, err) < 0 || mys_catalogue_cascade(src->srv.sql, which, &linked, err) < 0)
        return CDC_FAIL;
    return linked ? refuse(which, "", err) : CDC_OK;
}
