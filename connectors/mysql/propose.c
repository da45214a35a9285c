/*
 * propose.c - `init`: a configuration out of what is in the server's databases.
 *
 * Every table gets a rule of its own with a comment that tells its size and key. What only a person
 * can decide is a comment: columns that look like times of change, marks of deletion or personal
 * data (cdc/propose.h). A table that is refused as it is gets `skip` and the way out. So the text
 * can be used as it is, and taking a comment's # away is enough. A server of very many tables gets
 * a rule for each database instead.
 *
 * The password is never written. It is in the environment as MYSQL_PWD when the file is used.
 */
#include "cdc/propose.h"
#include "listing.h"

#include <inttypes.h>
#include <stdlib.h>

enum { C_TYPE = MYS_COLUMN_MORE, C_OLD };

/* The type as enum cdc_hint_type. */
static const char columns_sql[] =
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_KEY = 'PRI',"
    " CASE WHEN DATA_TYPE IN ('date', 'datetime', 'timestamp') THEN 0"
    " WHEN COLUMN_TYPE IN ('tinyint(1)', 'bit(1)') THEN 1"
    " WHEN DATA_TYPE LIKE '%char' OR DATA_TYPE LIKE '%text' OR DATA_TYPE IN ('enum', 'set')"
    " THEN 2 ELSE 3 END, COLUMN_TYPE LIKE '%(%) /* mariadb-5.3 */%' "
    "FROM information_schema.COLUMNS WHERE " MYS_OF_USERS MYS_BY_TABLE ", ORDINAL_POSITION";

struct proposal {
    struct mys_server srv;
    struct mys_facts facts;
    struct cdc_arena *arena;
    const struct mys_cat_table *tabs; /* in the arena; without views and sequences */
    size_t n;
    struct mys_listing columns, keys;
    struct cdc_buf *text;
    bool hashes; /* a hash was proposed */
};

static size_t columns_of(const struct proposal *prop, const struct mys_cat_table *tab)
{
    return mys_listing_find(&prop->columns, tab->schema, tab->name);
}

static bool is_of(const struct proposal *prop, size_t row, const struct mys_cat_table *tab)
{
    return mys_listing_is(&prop->columns, row, tab->schema, tab->name);
}

static bool cascades(const struct proposal *prop, const struct mys_cat_table *tab)
{
    return !prop->facts.cascades && tab->cascades;
}

static bool old_times(const struct proposal *prop, const struct mys_cat_table *tab)
{
    for (size_t row = columns_of(prop, tab); is_of(prop, row, tab); row++)
        if (prop->columns.rows[row][C_OLD][0] == '1')
            return true;
    return false;
}

static bool can_be_captured(const struct proposal *prop, const struct mys_cat_table *tab)
{
    return !cascades(prop, tab) && !old_times(prop, tab);
}

/* ---- the head ---- */

static void put_parameters(const struct proposal *prop, struct cdc_buf *text)
{
    static const char *const tls[] = {"off", "preferred", "required", "verify"};
    const char *const values[] = {prop->srv.tls != MYS_TLS_PREFERRED ? tls[prop->srv.tls] : NULL,
                                  prop->srv.ca, prop->srv.fingerprint, prop->srv.socket};
    static const char *const names[] = {"tls", "ca", "fingerprint", "socket"};
    const char *glue = "?";
    for (size_t i = 0; i < 4; i++) {
        if (!values[i])
            continue;
        cdc_buf_printf(text, "%s%s=", glue, names[i]);
        cdc_name_url(text, values[i]);
        glue = "&";
    }
}

static void put_host(const struct proposal *prop, struct cdc_buf *text)
{
    const char *host = prop->srv.host ? prop->srv.host : "localhost";
    if (strchr(host, ':'))
        cdc_buf_printf(text, "[%s]", host);
    else
        cdc_name_url(text, host);
    if (prop->srv.port && !prop->srv.socket)
        cdc_buf_printf(text, ":%u", prop->srv.port);
}

/* Nothing in it needs more than the single quotes: cdc_name_url lets nothing odd through. */
static void put_url(const struct proposal *prop, struct cdc_buf *text)
{
    const char *user = prop->srv.user;
    bool password = prop->srv.password && *prop->srv.password;
    cdc_buf_printf(text, "  url: '%s://", prop->facts.mariadb ? "mariadb" : "mysql");
    if (user)
        cdc_name_url(text, user);
    if (user && password)
        cdc_buf_str(text, ":${env:MYSQL_PWD}");
    if (user)
        cdc_buf_byte(text, '@');
    put_host(prop, text);
    cdc_buf_byte(text, '/');
    put_parameters(prop, text);
    cdc_buf_str(text, "'\n");
    if (user && password)
        cdc_buf_str(text, "  # The password is in the environment, odd characters in it as %XX.\n");
}

/* The one database of all tables, or NULL. */
static const char *only_database(const struct proposal *prop)
{
    size_t n = prop->n;
    return n > 0 && strcmp(prop->tabs[0].schema, prop->tabs[n - 1].schema) == 0
               ? prop->tabs[0].schema
               : NULL;
}

static void put_head(const struct proposal *prop, const char *name)
{
    struct cdc_buf what = CDC_BUF(4096);
    const char *server = prop->facts.mariadb ? "MariaDB" : "MySQL", *one = only_database(prop);
    unsigned version = prop->facts.version;
    cdc_buf_printf(&what, "%s%s (%s %u.%u)", one ? "database " : "the server's databases",
                   one ? one : "", server, version / 10000, version / 100 % 100);
    const char *text = cdc_buf_cstr(&what);
    cdc_propose_head(prop->text, text ? text : "", name, "mysql");
    cdc_buf_done(&what);
    put_url(prop, prop->text);
}

/* ---- the rules ---- */

static void put_size(struct cdc_buf *text, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    for (; bytes >= 10240 && i < 4; i++)
        bytes /= 1024;
    cdc_buf_printf(text, "%.0f %s", bytes, units[i]);
}

static void put_key(const struct proposal *prop, const struct mys_cat_table *tab)
{
    struct cdc_buf *text = prop->text;
    size_t key = mys_listing_key(&prop->keys, &prop->columns, tab->schema, tab->name);
    cdc_buf_str(text, key < prop->keys.n ? "; key " : "; no primary key: its records are appended");
    for (size_t at = key; at < prop->keys.n && mys_listing_same(&prop->keys, key, at); at++) {
        cdc_buf_str(text, at > key ? ", " : "");
        cdc_name_comment(text, prop->keys.rows[at][MYS_KEY_COLUMN]);
    }
}

/* # shop.users: 12 MiB, about 120000 rows; key id */
static void put_facts(const struct proposal *prop, const struct mys_cat_table *tab)
{
    struct cdc_buf *text = prop->text;
    cdc_buf_str(text, "\n  # ");
    cdc_name_comment(text, tab->schema);
    cdc_buf_byte(text, '.');
    cdc_name_comment(text, tab->name);
    cdc_buf_str(text, ": ");
    put_size(text, (double)tab->bytes);
    cdc_buf_printf(text, ", about %" PRIu64 " row%s", tab->rows, tab->rows == 1 ? "" : "s");
    put_key(prop, tab);
    if (strcmp(tab->engine, "InnoDB") != 0) {
        cdc_buf_str(text, "; engine ");
        cdc_name_comment(text, tab->engine);
    }
    cdc_buf_byte(text, '\n');
}

/* Why it is skipped, and the ways out. */
static void put_remedy(const struct proposal *prop, const struct mys_cat_table *tab)
{
    struct cdc_buf *text = prop->text, table = CDC_BUF(1024);
    mys_table_put(&table, tab->schema, tab->name);
    const char *name = cdc_buf_cstr(&table);
    if (cascades(prop, tab))
        cdc_buf_str(text, "  # A foreign key with CASCADE or SET NULL deletes or changes its rows "
                          "without a trace in the log.\n  # Make it RESTRICT, or write `accept: "
                          "[cascades]` into source: and let those rows stay behind,\n"
                          "  # and take `skip` out.\n");
    if (old_times(prop, tab)) {
        cdc_buf_str(text, "  # It has times in MariaDB's old format. Take `skip` out after\n"
                          "  #   SET GLOBAL mysql56_temporal_format = ON; ALTER TABLE ");
        cdc_name_comment(text, name ? name : "");
        cdc_buf_str(text, " FORCE;\n");
    }
    cdc_buf_done(&table);
}

static void put_columns(struct proposal *prop, const struct mys_cat_table *tab)
{
    struct cdc_hints hints = {0};
    for (size_t row = columns_of(prop, tab); is_of(prop, row, tab); row++) {
        const MYSQL_ROW column = prop->columns.rows[row];
        cdc_hints_take(&hints, column[MYS_COLUMN_NAME], (enum cdc_hint_type)atoi(column[C_TYPE]),
                       column[MYS_COLUMN_KEY][0] == '1');
    }
    prop->hashes |= cdc_hints_put(&hints, prop->text);
    cdc_hints_done(&hints);
}

static void put_table(struct proposal *prop, const struct mys_cat_table *tab)
{
    bool good = can_be_captured(prop, tab);
    put_facts(prop, tab);
    if (!good)
        put_remedy(prop, tab);
    cdc_buf_str(prop->text, "  - tables: ");
    cdc_name_pattern(prop->text, tab->schema, tab->name);
    cdc_buf_str(prop->text, good ? "\n" : "\n    skip: true\n");
    if (good)
        put_columns(prop, tab);
}

static void put_rules(struct proposal *prop)
{
    const struct mys_cat_table *tabs = prop->tabs;
    bool few = prop->n <= CDC_PROPOSE_TABLES;
    cdc_buf_str(prop->text, "\ncapture:   # the first rule that takes a table says what is done "
                            "with it\n");
    for (size_t i = 0; i < prop->n; i++)
        if (few || !can_be_captured(prop, &tabs[i]))
            put_table(prop, &tabs[i]);
    if (prop->n == 0)
        cdc_buf_str(prop->text, "  # There is no table that this user sees.\n"
                                "  - tables: shop.*\n");
    else
        cdc_buf_str(prop->text, few ? "\n  # Tables that are made later:\n" : "\n");
    for (size_t i = 0; i < prop->n; i++)
        if (i == 0 || strcmp(tabs[i].schema, tabs[i - 1].schema) != 0)
            cdc_propose_schema(prop->text, tabs[i].schema, few);
}

static int look_tables(struct proposal *prop, struct cdc_error *err)
{
    struct mys_cat_tables all = {.n = 0};
    size_t at = 0;
    prop->arena = cdc_arena_new((size_t)256 << 20);
    if (!prop->arena)
        return cdc_fail_oom(err);
    if (mys_catalogue_list(prop->srv.sql, NULL, prop->arena, &all, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < all.n; i++)
        if (all.tabs[i].base)
            all.tabs[at++] = all.tabs[i];
    prop->tabs = all.tabs;
    prop->n = at;
    return CDC_OK;
}

/* As the server's own programs do. */
static int take_password(struct mys_server *srv, struct cdc_error *err)
{
    const char *password = getenv("MYSQL_PWD");
    if ((srv->password && *srv->password) || !password)
        return CDC_OK;
    free(srv->password);
    srv->password = strdup(password);
    return srv->password ? CDC_OK : cdc_fail_oom(err);
}

static int look(struct proposal *prop, struct cdc_error *err)
{
    if (take_password(&prop->srv, err) < 0 || mys_sql(&prop->srv, err) < 0 ||
        mys_facts_read(prop->srv.sql, &prop->facts, err) < 0 || look_tables(prop, err) < 0 ||
        mys_listing_read(prop->srv.sql, columns_sql, &prop->columns, err) < 0 ||
        mys_listing_read(prop->srv.sql, mys_list_keys, &prop->keys, err) < 0)
        return CDC_FAIL;
    return CDC_OK;
}

int mys_propose(const char *url, struct cdc_buf *ret, struct cdc_error *err)
{
    struct proposal prop = {.text = ret};
    char name[42];
    int rc = mys_server_of_url(&prop.srv, url, err);
    if (rc == CDC_OK)
        rc = look(&prop, err);
    if (rc == CDC_OK) {
        const char *one = only_database(&prop);
        cdc_name_pipeline(one ? one : prop.facts.mariadb ? "mariadb" : "mysql", name);
        put_head(&prop, name);
        put_rules(&prop);
        cdc_propose_tail(ret, name, prop.hashes);
        rc = ret->failed ? cdc_fail_oom(err) : CDC_OK;
    }
    mys_listing_done(&prop.columns);
    mys_listing_done(&prop.keys);
    cdc_arena_free(prop.arena);
    mys_server_done(&prop.srv);
    return rc;
}
