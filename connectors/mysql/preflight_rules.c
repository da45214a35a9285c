/*
 * preflight_rules.c - `check`: the tables. Their columns and keys for what the capture rules say of
 * them (cdc_capture_check), and a finding for each captured one whose changes or copies would not
 * be whole. Some queries for all tables together.
 */
#include "listing.h"

#include <stdlib.h>

enum { COL_OLD = MYS_COLUMN_MORE, COL_SELECT, COL_END };

/* As the stream has them: invisible and generated ones too. PRIVILEGES is of this session. */
static const char columns_sql[] =
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_KEY = 'PRI',"
    " COLUMN_TYPE LIKE '%(%) /* mariadb-5.3 */%', PRIVILEGES LIKE '%select%',"
    " GENERATION_EXPRESSION = 'ROW END' "
    "FROM information_schema.COLUMNS WHERE " MYS_OF_USERS MYS_BY_TABLE ", ORDINAL_POSITION";

/* Tables of which single columns are granted; the others are not even shown. */
static const char partial_sql[] =
    "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMN_PRIVILEGES "
    "WHERE PRIVILEGE_TYPE = 'SELECT'" MYS_BY_TABLE;

struct rules {
    const struct mys_server *srv;
    const struct mys_facts *facts;
    const char *account; /* 'user'@'host' */
    struct cdc_report *rep;
    struct mys_cat_table *tabs;
    size_t n;
    struct mys_listing columns, keys, cascades, partial;
    const char **next; /* room for the next list of names */
};

static size_t key_of(const struct rules *rules, const struct mys_cat_table *tab)
{
    return mys_listing_key(&rules->keys, &rules->columns, tab->schema, tab->name);
}

static const char *const *take_columns(struct rules *rules, const struct mys_cat_table *tab)
{
    const char **list = rules->next;
    for (size_t row = mys_listing_find(&rules->columns, tab->schema, tab->name);
         mys_listing_is(&rules->columns, row, tab->schema, tab->name); row++)
        *rules->next++ = rules->columns.rows[row][MYS_COLUMN_NAME];
    *rules->next++ = NULL;
    return list;
}

static const char *const *take_key(struct rules *rules, const struct mys_cat_table *tab)
{
    const char **list = rules->next;
    size_t first = key_of(rules, tab);
    for (size_t row = first; row < rules->keys.n && mys_listing_same(&rules->keys, first, row);
         row++)
        *rules->next++ = rules->keys.rows[row][MYS_KEY_COLUMN];
    *rules->next++ = NULL;
    return list;
}

static int check_names(struct rules *rules, struct cdc_error *err)
{
    size_t room = rules->columns.n + rules->keys.n + 2 * rules->n, n = 0;
    struct cdc_known_table *known = calloc(rules->n + 1, sizeof *known);
    const char **names = calloc(room + 1, sizeof *names);
    rules->next = names;
    for (size_t i = 0; known && names && i < rules->n; i++) {
        const struct mys_cat_table *tab = &rules->tabs[i];
        if (tab->base)
            known[n++] = (struct cdc_known_table){.schema = tab->schema,
                                                  .name = tab->name,
                                                  .columns = take_columns(rules, tab),
                                                  .key = take_key(rules, tab)};
    }
    if (known && names)
        cdc_capture_check(rules->srv->cfg->capture, known, n, rules->rep);
    int rc = known && names ? CDC_OK : cdc_fail_oom(err);
    free(names);
    free(known);
    return rc;
}

/* ALTER TABLE `a`.`b` and what follows, as what mends it. */
static void report_alter(const struct rules *rules, enum cdc_finding kind,
                         const struct mys_cat_table *tab, const char *what, const char *why)
{
    struct cdc_buf mend = CDC_BUF(4096);
    cdc_buf_str(&mend, "ALTER TABLE ");
    mys_table_put(&mend, tab->schema, tab->name);
    cdc_buf_printf(&mend, " %s", what);
    cdc_report(rules->rep, kind, cdc_buf_cstr(&mend), "table %s.%s %s", tab->schema, tab->name,
               why);
    cdc_buf_done(&mend);
}

/* Only a read of no rows tells whether the columns granted are all. */
static bool reads_all(const struct rules *rules, const struct mys_cat_table *tab)
{
    struct cdc_buf sql = CDC_BUF(4096);
    if (mys_listing_find(&rules->partial, tab->schema, tab->name) == rules->partial.n)
        return true;
    cdc_buf_str(&sql, "SELECT * FROM ");
    mys_table_put(&sql, tab->schema, tab->name);
    cdc_buf_str(&sql, " LIMIT 0");
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(rules->srv->sql, text, NULL, NULL) : CDC_FAIL;
    cdc_buf_done(&sql);
    return rc == CDC_OK;
}

static bool may_select(const struct rules *rules, const struct mys_cat_table *tab)
{
    size_t row = mys_listing_find(&rules->columns, tab->schema, tab->name);
    for (; mys_listing_is(&rules->columns, row, tab->schema, tab->name); row++)
        if (rules->columns.rows[row][COL_SELECT][0] != '1')
            return false;
    return reads_all(rules, tab);
}

static void check_select(const struct rules *rules, const struct mys_cat_table *tab)
{
    if (may_select(rules, tab))
        return;
    struct cdc_buf mend = CDC_BUF(4096);
    cdc_buf_str(&mend, "GRANT SELECT ON ");
    mys_table_put(&mend, tab->schema, tab->name);
    cdc_buf_printf(&mend, " TO %s;", rules->account);
    cdc_report(rules->rep, CDC_BAD, cdc_buf_cstr(&mend),
               "table %s.%s may not be read whole (SELECT): neither copied nor compared",
               tab->schema, tab->name);
    cdc_buf_done(&mend);
}

static bool is_key(const struct rules *rules, const struct mys_cat_table *tab, const char *column)
{
    size_t first = key_of(rules, tab);
    for (size_t row = first; row < rules->keys.n && mys_listing_same(&rules->keys, first, row);
         row++)
        if (strcmp(rules->keys.rows[row][MYS_KEY_COLUMN], column) == 0)
            return true;
    return false;
}

static void check_key(const struct rules *rules, const struct mys_cat_table *tab)
{
    const struct cdc_rule *rule = tab->rule;
    if (!rule->n_key && key_of(rules, tab) == rules->keys.n && rule->deletes != CDC_DELETES_APPEND)
        report_alter(rules, CDC_WARN, tab,
                     "ADD PRIMARY KEY (...);\nor name columns that tell its rows apart by `key:` "
                     "in a rule of its own",
                     "has no primary key (nor a unique index without NULLs): its records are "
                     "appended, and what was updated or deleted stays");
    for (size_t i = 0; i < rule->n_key; i++)
        if (rules->facts->image != MYS_IMAGE_FULL && !is_key(rules, tab, rule->key[i])) {
            cdc_report(rules->rep, CDC_BAD, "SET GLOBAL binlog_row_image = FULL;",
                       "table %s.%s: `key:` of rule %s names the column %s, whose old value the "
                       "server does not log (binlog_row_image)",
                       tab->schema, tab->name, rule->where, rule->key[i]);
            return;
        }
}

/* Their names are told only to who may do more than read the table. */
static void check_cascades(const struct rules *rules, const struct mys_cat_table *tab)
{
    bool accepted = rules->srv->accept & MYS_ACCEPT_CASCADES;
    if (rules->facts->cascades || !tab->cascades)
        return;
    struct cdc_buf mend = CDC_BUF(4096);
    size_t row = mys_listing_find(&rules->cascades, tab->schema, tab->name);
    cdc_buf_str(&mend, row == rules->cascades.n ? "DROP FOREIGN KEY (its name), " : "");
    for (; mys_listing_is(&rules->cascades, row, tab->schema, tab->name); row++) {
        cdc_buf_str(&mend, "DROP FOREIGN KEY ");
        mys_ident_put(&mend, rules->cascades.rows[row][MYS_CASCADE_NAME]);
        cdc_buf_str(&mend, ", ");
    }
    cdc_buf_str(&mend, "ADD FOREIGN KEY (...) REFERENCES ... ON DELETE RESTRICT;\nor, if its rows "
                       "may stay behind, `accept: [cascades]` in source:");
    if (!rules->facts->mariadb && rules->facts->version >= 90600)
        cdc_buf_str(&mend, "\nor innodb_native_foreign_keys = OFF below [mysqld] in my.cnf; then "
                           "restart the server");
    const char *text = cdc_buf_cstr(&mend);
    report_alter(rules, accepted ? CDC_WARN : CDC_BAD, tab, text ? text : "",
                 "has a foreign key with CASCADE or SET NULL: what it deletes or changes is not in "
                 "the server's log");
    cdc_buf_done(&mend);
}

static void check_old_times(const struct rules *rules, const struct mys_cat_table *tab)
{
    for (size_t row = mys_listing_find(&rules->columns, tab->schema, tab->name);
         mys_listing_is(&rules->columns, row, tab->schema, tab->name); row++)
        if (rules->columns.rows[row][COL_OLD][0] == '1') {
            struct cdc_buf why = CDC_BUF(1024);
            cdc_buf_printf(&why,
                           "has a time with fractions in MariaDB's own old format (column %s)",
                           rules->columns.rows[row][MYS_COLUMN_NAME]);
            const char *text = cdc_buf_cstr(&why);
            report_alter(rules, CDC_BAD, tab,
                         "FORCE; -- after SET GLOBAL mysql56_temporal_format = ON;",
                         text ? text : "");
            cdc_buf_done(&why);
            return;
        }
}

static bool has_transactions(const char *engine)
{
    static const char *const names[] = {"InnoDB", "ROCKSDB", "TokuDB", "ndbcluster", "SEQUENCE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(engine, names[i]) == 0)
            return true;
    return false;
}

static void check_engine(const struct rules *rules, const struct mys_cat_table *tab)
{
    struct cdc_buf why = CDC_BUF(1024);
    const char *engine = tab->engine ? tab->engine : "";
    if (has_transactions(engine))
        return;
    cdc_buf_printf(&why,
                   "has engine %s, without transactions: what a crash of the server leaves of a "
                   "statement may not be what its log says",
                   *engine ? engine : "(none: it cannot be opened)");
    const char *text = cdc_buf_cstr(&why);
    report_alter(rules, CDC_WARN, tab, "ENGINE = InnoDB;", text ? text : "");
    cdc_buf_done(&why);
}

/* Where the table does not declare it, it is hidden and has this name. */
static bool is_period_end(const struct rules *rules, const struct mys_cat_table *tab,
                          const char *column)
{
    bool declared = false, is = false;
    for (size_t row = mys_listing_find(&rules->columns, tab->schema, tab->name);
         mys_listing_is(&rules->columns, row, tab->schema, tab->name); row++) {
        const char *end = rules->columns.rows[row][COL_END];
        if (!end || *end != '1')
            continue;
        declared = true;
        is |= strcmp(rules->columns.rows[row][MYS_COLUMN_NAME], column) == 0;
    }
    return declared ? is : strcmp(column, "row_end") == 0;
}

/* Versions that were replaced are rows of their own in the log, which only row_end tells apart. */
static void check_history(const struct rules *rules, const struct mys_cat_table *tab)
{
    bool apart = tab->rule->n_key == 0;
    if (!tab->versioned)
        return;
    for (size_t i = 0; i < tab->rule->n_key; i++)
        apart |= is_period_end(rules, tab, tab->rule->key[i]);
    if (!apart)
        cdc_report(rules->rep, CDC_BAD,
                   "take `key:` out of the rule, or name row_end in it (or the table's own column "
                   "AS ROW END), or take the history out: ALTER TABLE ... DROP SYSTEM VERSIONING",
                   "table %s.%s keeps its history: by the `key:` of rule %s old versions of a row "
                   "would take the place of the present one",
                   tab->schema, tab->name, tab->rule->where);
    else
        cdc_report(rules->rep, CDC_WARN,
                   "readers take the rows whose row_end lies ahead; see connectors/mysql/README.md",
                   "table %s.%s keeps its history: versions that are replaced or deleted become "
                   "rows of their own, and a copy has the present ones alone",
                   tab->schema, tab->name);
}

/* Neither views nor sequences have rows in the log that are theirs. */
static void tell_others(const struct rules *rules)
{
    size_t n = 0;
    for (size_t i = 0; i < rules->n; i++)
        n += rules->tabs[i].rule && !rules->tabs[i].base;
    if (n)
        cdc_report(rules->rep, CDC_PASS, NULL,
                   "%zu view%s or sequence%s that the rules' names take: never captured", n,
                   n == 1 ? "" : "s", n == 1 ? "" : "s");
}

static void check_each(const struct rules *rules)
{
    size_t n = 0;
    for (size_t i = 0; i < rules->n; i++) {
        const struct mys_cat_table *tab = &rules->tabs[i];
        if (!tab->rule || !tab->base)
            continue;
        check_key(rules, tab);
        check_select(rules, tab);
        check_cascades(rules, tab);
        check_old_times(rules, tab);
        check_engine(rules, tab);
        check_history(rules, tab);
        n++;
    }
    tell_others(rules);
    if (n == 0)
        cdc_report(rules->rep, CDC_WARN,
                   "write the tables' names into capture:, or grant SELECT on them: without it the "
                   "server does not show them",
                   "no table that this user sees is captured");
}

int mys_check_tables(struct mys_server *srv, const struct mys_facts *facts, const char *account,
                     struct cdc_report *report, struct cdc_error *err)
{
    struct rules rules = {.srv = srv, .facts = facts, .account = account, .rep = report};
    struct mys_cat_tables all = {.n = 0};
    struct cdc_arena *arena = cdc_arena_new((size_t)256 << 20);
    int rc = arena ? CDC_OK : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = mys_catalogue_list(srv->sql, NULL, arena, &all, err);
    rules.tabs = all.tabs;
    rules.n = all.n;
    for (size_t i = 0; i < rules.n; i++) /* all, also those that a rule only skips */
        rules.tabs[i].rule =
            cdc_capture_match(srv->cfg->capture, rules.tabs[i].schema, rules.tabs[i].name);
    if (rc == CDC_OK)
        rc = mys_listing_read(srv->sql, columns_sql, &rules.columns, err);
    if (rc == CDC_OK)
        rc = mys_listing_read(srv->sql, mys_list_keys, &rules.keys, err);
    if (rc == CDC_OK)
        rc = mys_listing_read(srv->sql, mys_list_cascades, &rules.cascades, err);
    if (rc == CDC_OK)
        rc = mys_listing_read(srv->sql, partial_sql, &rules.partial, err);
    if (rc == CDC_OK)
        rc = check_names(&rules, err);
    if (rc == CDC_OK)
        check_each(&rules);
    mys_listing_done(&rules.columns);
    mys_listing_done(&rules.keys);
    mys_listing_done(&rules.cascades);
    mys_listing_done(&rules.partial);
    cdc_arena_free(arena);
    return rc;
}
