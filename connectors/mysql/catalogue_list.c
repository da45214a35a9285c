/*
 * catalogue_list.c - the tables of information_schema that could be captured.
 *
 * Only schemas that a rule can match are asked for, each by its name. Names and engines cost
 * nearly nothing (0.1 s for 5,000 tables), sizes and foreign keys make MariaDB open each table
 * (several seconds each).
 *
 * What a foreign key does is in REFERENTIAL_CONSTRAINTS, which costs nothing at MySQL. MariaDB
 * opens each table for it, and hides it from who may only read the table. There
 *  - with the right PROCESS InnoDB's own list is asked (INNODB_SYS_FOREIGN), which costs nothing;
 *    names are in it as files have them, so of those that are no plain ASCII only the table's own
 *    CREATE TABLE tells
 *  - else KEY_COLUMN_USAGE, which opens each table too but is not hidden, and the CREATE TABLE of
 *    those that it names
 */
#include "catalogue.h"
#include "infotype.h"

#include <stdlib.h>

#define SQL_MAX          8192
#define ER_NO_SUCH_TABLE 1146
#define ER_BAD_DB        1049

/* What costs: it makes MariaDB open every table, but for the keys. */
enum { WANT_SIZES = 1u << 0, WANT_CASCADES = 1u << 1, WANT_KEYED = 1u << 2 };

struct list {
    MYSQL *conn;
    const struct cdc_config *cfg; /* NULL: every schema, no rules */
    struct cdc_arena *arena;
    unsigned want;
    struct mys_facts facts; /* mariadb, lower_case */
    bool asked_foreign;
    MYSQL_RES *foreign; /* names of InnoDB's that cascade; NULL: not asked, or no right. Owned */
    struct mys_cat_table *tabs;
    size_t n, cap;
};

/* May the pattern's part before the dot be this schema? It is compared up to what is no plain text.
 */
static bool may_match(const char *pattern, const char *schema)
{
    size_t n = strcspn(pattern, "*?[\\.");
    if (strncmp(pattern, schema, n) != 0)
        return false;
    return pattern[n] != '.' || schema[n] == 0;
}

static bool is_wanted(const struct list *list, const char *schema)
{
    const struct cdc_rule *rules;
    if (mys_is_system(schema))
        return false;
    size_t n = list->cfg ? cdc_capture_rules(list->cfg->capture, &rules) : 0;
    for (size_t i = 0; i < n; i++)
        if (rules[i].tables && !rules[i].skip && may_match(rules[i].tables, schema))
            return true;
    return !list->cfg;
}

static int grow(struct list *list, size_t more, struct cdc_error *err)
{
    if (list->n + more <= list->cap)
        return CDC_OK;
    size_t cap = (list->n + more) * 2;
    struct mys_cat_table *tabs = cdc_arena_alloc(list->arena, cap * sizeof *tabs);
    if (!tabs)
        return cdc_fail_oom(err);
    if (list->n)
        memcpy(tabs, list->tabs, list->n * sizeof *tabs);
    list->tabs = tabs;
    list->cap = cap;
    return CDC_OK;
}

enum { T_NAME, T_TYPE, T_ENGINE, T_ROWS, T_BYTES };

static int take_table(struct list *list, const char *schema, MYSQL_ROW row, struct cdc_error *err)
{
    struct mys_cat_table *tab = &list->tabs[list->n];
    char *name = cdc_arena_strdup(list->arena, row[T_NAME]);
    if (!name)
        return cdc_fail_oom(err);
    mys_name_fold(&list->facts, name);
    *tab = (struct mys_cat_table){.schema = schema, .name = name};
    tab->rule = list->cfg ? cdc_capture_match(list->cfg->capture, schema, name) : NULL;
    tab->versioned = strcmp(row[T_TYPE], "SYSTEM VERSIONED") == 0;
    tab->base = tab->versioned || strcmp(row[T_TYPE], "BASE TABLE") == 0;
    list->n++;
    tab->engine = cdc_arena_strdup(list->arena, row[T_ENGINE] ? row[T_ENGINE] : "");
    if (list->want & WANT_SIZES) {
        tab->rows = row[T_ROWS] ? strtoull(row[T_ROWS], NULL, 10) : 0;
        tab->bytes = row[T_BYTES] ? strtoull(row[T_BYTES], NULL, 10) : 0;
    }
    return tab->engine ? CDC_OK : cdc_fail_oom(err);
}

/* A query whose last condition is on the schema's name. */
static int ask_schema(const struct list *list, const char *select, const char *schema,
                      MYSQL_RES **ret, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(SQL_MAX);
    cdc_buf_printf(&sql, "%s = ", select);
    mys_literal_put(&sql, schema);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(list->conn, text, ret, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct mys_cat_table *x = a, *y = b;
    int c = strcmp(x->schema, y->schema);
    return c ? c : strcmp(x->name, y->name);
}

/* The schema's table of that name, which lies behind `from`; NULL: it came since. */
static struct mys_cat_table *find_table(const struct list *list, size_t from, const char *schema,
                                        char *name)
{
    mys_name_fold(&list->facts, name);
    const struct mys_cat_table key = {.schema = schema, .name = name};
    return bsearch(&key, list->tabs + from, list->n - from, sizeof key, by_name);
}

static void set_keyed(struct mys_cat_table *tab)
{
    tab->keyed = true;
}

static void set_cascades(struct mys_cat_table *tab)
{
    tab->cascades = true;
}

/* Those of the schema's tables, from `from` on, that a query names. */
static int mark(const struct list *list, const char *select, size_t from, const char *schema,
                void (*set)(struct mys_cat_table *tab), struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    if (ask_schema(list, select, schema, &res, err) < 0)
        return CDC_FAIL;
    while ((row = mysql_fetch_row(res))) {
        struct mys_cat_table *tab = row[0] ? find_table(list, from, schema, row[0]) : NULL;
        if (tab)
            set(tab);
    }
    return CDC_OK;
}

/* Does a foreign key in the table's own words do more than refuse? */
int mys_catalogue_cascade(MYSQL *conn, const struct mys_which *which, bool *ret,
                          struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    struct cdc_buf sql = CDC_BUF(SQL_MAX);
    cdc_buf_str(&sql, "SHOW CREATE TABLE ");
    mys_table_put(&sql, which->schema, which->name);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(conn, text, &res, err) : cdc_fail_oom(err);
    unsigned code = text && rc < 0 ? mysql_errno(conn) : 0;
    cdc_buf_done(&sql);
    MYSQL_ROW row = rc == CDC_OK ? mysql_fetch_row(res) : NULL;
    *ret = row && row[1] && mys_create_cascades(row[1]);
    return code == ER_NO_SUCH_TABLE || code == ER_BAD_DB ? CDC_OK : rc;
}

static int read_cascades(const struct list *list, struct mys_cat_table *tab, struct cdc_error *err)
{
    const struct mys_which which = {.schema = tab->schema, .name = tab->name};
    return mys_catalogue_cascade(list->conn, &which, &tab->cascades, err);
}

/* MySQL: one question for all. */
static int mark_told(const struct list *list, size_t from, const char *schema,
                     struct cdc_error *err)
{
    return mark(list,
                "SELECT TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
                " WHERE (UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
                " OR DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')) AND CONSTRAINT_SCHEMA",
                from, schema, set_cascades, err);
}

/* MariaDB: which tables have foreign keys at all; then these one by one. */
static int mark_asked(const struct list *list, size_t from, const char *schema,
                      struct cdc_error *err)
{
    if (mark(list,
             "SELECT DISTINCT TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE"
             " WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA",
             from, schema, set_cascades, err) < 0)
        return CDC_FAIL;
    for (size_t i = from; i < list->n; i++) {
        struct mys_cat_table *tab = &list->tabs[i];
        if (tab->cascades && (!list->cfg || tab->rule) && read_cascades(list, tab, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

/* The name of a file with it is the same then. */
static bool is_plain(const char *name)
{
    for (; *name; name++)
        if ((*name < '0' || *name > '9') && (*name < 'a' || *name > 'z') &&
            (*name < 'A' || *name > 'Z') && *name != '_')
            return false;
    return true;
}

/* MariaDB, with PROCESS: schema/table, of all schemas. */
static int mark_foreign(const struct list *list, size_t from, const char *schema,
                        struct cdc_error *err)
{
    size_t n = strlen(schema);
    mysql_data_seek(list->foreign, 0);
    for (MYSQL_ROW row; is_plain(schema) && (row = mysql_fetch_row(list->foreign));) {
        bool here = row[0] && strncmp(row[0], schema, n) == 0 && row[0][n] == '/';
        struct mys_cat_table *tab = here ? find_table(list, from, schema, row[0] + n + 1) : NULL;
        if (tab)
            tab->cascades = true;
    }
    for (size_t i = from; mysql_num_rows(list->foreign) > 0 && i < list->n; i++) {
        struct mys_cat_table *tab = &list->tabs[i];
        bool plain = is_plain(schema) && is_plain(tab->name);
        if (!plain && tab->base && (!list->cfg || tab->rule) && read_cascades(list, tab, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

/* Who lacks the right is told of no row at all, so the right is looked for. */
static int ask_foreign(struct list *list, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *rights = NULL;
    if (!(list->want & WANT_CASCADES) || !list->facts.mariadb || list->asked_foreign)
        return CDC_OK;
    list->asked_foreign = true;
    if (mys_rights_read(list->conn, &rights, err) < 0)
        return CDC_FAIL;
    if (!mys_may(rights, "PROCESS"))
        return CDC_OK;
    /* ON DELETE CASCADE 1, SET NULL 2; ON UPDATE 4, 8 */
    return mys_query(list->conn,
                     "SELECT FOR_NAME FROM information_schema.INNODB_SYS_FOREIGN"
                     " WHERE TYPE & 15 <> 0",
                     &list->foreign, err);
}

static int mark_keyed(const struct list *list, size_t from, const char *schema,
                      struct cdc_error *err)
{
    return mark(list,
                "SELECT TABLE_NAME FROM information_schema.STATISTICS"
                " WHERE INDEX_NAME = 'PRIMARY' AND SEQ_IN_INDEX = 1 AND TABLE_SCHEMA",
                from, schema, set_keyed, err);
}

static int mark_all(const struct list *list, size_t from, const char *schema, struct cdc_error *err)
{
    int rc = CDC_OK;
    if (list->want & WANT_CASCADES)
        rc = !list->facts.mariadb ? mark_told(list, from, schema, err)
             : list->foreign      ? mark_foreign(list, from, schema, err)
                                  : mark_asked(list, from, schema, err);
    if (rc == CDC_OK && list->want & WANT_KEYED)
        rc = mark_keyed(list, from, schema, err);
    return rc;
}

static const char names_sql[] =
    "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA";
static const char sizes_sql[] = "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH"
                                " FROM information_schema.TABLES WHERE TABLE_SCHEMA";

static int list_schema(struct list *list, char *schema, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    size_t from = list->n;
    const char *sql = list->want & WANT_SIZES ? sizes_sql : names_sql;
    if (ask_schema(list, sql, schema, &res, err) < 0 ||
        grow(list, (size_t)mysql_num_rows(res), err) < 0)
        return CDC_FAIL;
    mys_name_fold(&list->facts, schema);
    MYSQL_ROW row;
    while (list->n < list->cap && (row = mysql_fetch_row(res)))
        if (take_table(list, schema, row, err) < 0)
            return CDC_FAIL;
    if (list->n == from)
        return CDC_OK;
    qsort(list->tabs + from, list->n - from, sizeof *list->tabs, by_name);
    return mark_all(list, from, schema, err);
}

static int list_all(struct list *list, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(list->conn,
                  "SELECT SCHEMA_NAME, @@lower_case_table_names, VERSION() LIKE '%MariaDB%'"
                  " FROM information_schema.SCHEMATA",
                  &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(res))) {
        list->facts.lower_case = (uint8_t)strtoul(row[1], NULL, 10);
        list->facts.mariadb = row[2][0] == '1';
        if (!is_wanted(list, row[0]))
            continue;
        if (ask_foreign(list, err) < 0)
            return CDC_FAIL;
        char *schema = cdc_arena_strdup(list->arena, row[0]);
        if (!schema)
            return cdc_fail_oom(err);
        if (list_schema(list, schema, err) < 0)
            return CDC_FAIL;
    }
    if (list->n)
        qsort(list->tabs, list->n, sizeof *list->tabs, by_name);
    return CDC_OK;
}

static int list_into(struct list *list, struct mys_cat_tables *ret, struct cdc_error *err)
{
    int rc = list_all(list, err);
    mys_clear(&list->foreign);
    *ret = (struct mys_cat_tables){.tabs = list->tabs, .n = list->n};
    return rc;
}

int mys_catalogue_list(MYSQL *conn, const struct cdc_config *cfg, struct cdc_arena *arena,
                       struct mys_cat_tables *ret, struct cdc_error *err)
{
    struct list list = {
        .conn = conn, .cfg = cfg, .arena = arena, .want = WANT_SIZES | WANT_CASCADES | WANT_KEYED};
    return list_into(&list, ret, err);
}

int mys_catalogue_cascades(MYSQL *conn, const struct cdc_config *cfg, struct cdc_arena *arena,
                           struct mys_cat_tables *ret, struct cdc_error *err)
{
    struct list list = {.conn = conn, .cfg = cfg, .arena = arena, .want = WANT_CASCADES};
    return list_into(&list, ret, err);
}

int mys_catalogue_names(MYSQL *conn, const struct cdc_config *cfg, struct cdc_arena *arena,
                        struct mys_cat_tables *ret, struct cdc_error *err)
{
    struct list list = {.conn = conn, .cfg = cfg, .arena = arena};
    return list_into(&list, ret, err);
}
