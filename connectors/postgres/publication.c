/*
 * publication.c - which tables the server sends us.
 *
 * Membership is read by the server from the catalogue *as of each change's place in the log*, so
 * the publication is made before the slot, and altered only under SHARE ROW EXCLUSIVE on the table:
 * with a writer's transaction open, whether its rows are sent would depend on a cache and differ
 * when the transaction is replayed (facts, 2.5). The lock is waited for at most one second (writers
 * queue behind us meanwhile); then the holder is named and the next look tries again.
 *
 * A table without usable replica identity never joins: the application's own UPDATE would fail.
 * With `partitions: root` a partitioned table and its partitions must have the same identity: the
 * server labels old rows by the root's identity but takes their columns by the partition's.
 */
#include "postgres.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>

int pgs_publication_look(struct pgs_server *srv, struct pgs_publication *ret, struct cdc_error *err)
{
    const char *args[] = {srv->publication, NULL};
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_publication pub = {.exists = false};
    if (pgs_query(srv,
                  "SELECT puballtables, pubviaroot, pubinsert AND pubupdate AND pubdelete AND "
                  "pubtruncate, pg_get_userbyid(pubowner) FROM pg_publication WHERE pubname = $1",
                  args, &res, err) < 0)
        return CDC_FAIL;
    if (PQntuples(res) == 1) {
        pub.exists = true;
        pub.all_tables = PQgetvalue(res, 0, 0)[0] == 't';
        pub.via_root = PQgetvalue(res, 0, 1)[0] == 't';
        pub.complete = PQgetvalue(res, 0, 2)[0] == 't';
        snprintf(pub.owner, sizeof pub.owner, "%s", PQgetvalue(res, 0, 3));
    }
    *ret = pub;
    return CDC_OK;
}

static const char tables_sql[] =
    "SELECT n.nspname, c.relname, c.relreplident,"
    " CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false ELSE i.indrelid IS NOT NULL END,"
    " coalesce((SELECT E'\\n' || string_agg(a.attname, E'\\n') || E'\\n' FROM pg_attribute a"
    "  WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])), ''),"
    " EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    "  WHERE p.pubname = $1 AND r.prrelid = c.oid),"
    " t.tablename IS NOT NULL,"
    " c.relkind = 'p' AND EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) l JOIN pg_class lc"
    "  ON lc.oid = l.relid WHERE l.isleaf AND lc.relkind = 'r' AND lc.relreplident <> "
    "c.relreplident), c.relkind = 'p' OR c.relispartition "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN "
    "i.indisprimary"
    "  WHEN 'i' THEN i.indisreplident ELSE false END"
    " LEFT JOIN pg_publication_tables t ON t.pubname = $1 AND t.schemaname = n.nspname"
    "  AND t.tablename = c.relname "
    "WHERE c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " AND CASE WHEN $2 = 'leaf' THEN c.relkind = 'r'"
    "  ELSE c.relkind IN ('r', 'p') AND NOT c.relispartition END "
    "ORDER BY 1, 2";

int pgs_tables_look(struct pgs_server *srv, struct pgs_tables *ret, struct cdc_error *err)
{
    const char *args[] = {srv->publication, srv->leaf ? "leaf" : "root", NULL};
    PGS_CLEAR PGresult *res = NULL;
    if (pgs_query(srv, tables_sql, args, &res, err) < 0)
        return CDC_FAIL;
    size_t n = (size_t)PQntuples(res);
    struct pgs_tables tabs = {.items = calloc(n + 1, sizeof *tabs.items)};
    bool oom = !tabs.items;
    for (; !oom && tabs.n < n; tabs.n++) {
        struct pgs_table *tab = &tabs.items[tabs.n];
        int row = (int)tabs.n;
        tab->schema = strdup(PQgetvalue(res, row, 0));
        tab->name = strdup(PQgetvalue(res, row, 1));
        tab->identity = PQgetvalue(res, row, 2)[0];
        tab->usable = PQgetvalue(res, row, 3)[0] == 't';
        tab->identity_columns = strdup(PQgetvalue(res, row, 4));
        tab->listed = PQgetvalue(res, row, 5)[0] == 't';
        tab->published = PQgetvalue(res, row, 6)[0] == 't';
        tab->uneven = PQgetvalue(res, row, 7)[0] == 't';
        tab->partitioned = PQgetvalue(res, row, 8)[0] == 't';
        oom = !tab->schema || !tab->name || !tab->identity_columns;
        if (!oom)
            tab->rule = cdc_capture_match(srv->cfg->capture, tab->schema, tab->name);
    }
    if (oom) {
        pgs_tables_done(&tabs);
        return cdc_fail_oom(err);
    }
    *ret = tabs;
    return CDC_OK;
}

void pgs_tables_done(struct pgs_tables *tabs)
{
    for (size_t i = 0; i < tabs->n; i++) {
        free(tabs->items[i].schema);
        free(tabs->items[i].name);
        free(tabs->items[i].identity_columns);
    }
    free(tabs->items);
    *tabs = (struct pgs_tables){.n = 0};
}

/* The first column of the rule's key that deletes would come without; NULL: all come. */
static const char *key_outside(const struct pgs_table *tab)
{
    for (size_t i = 0; tab->identity != 'f' && i < tab->rule->n_key; i++) {
        char name[80];
        snprintf(name, sizeof name, "\n%s\n", tab->rule->key[i]);
        if (!strstr(tab->identity_columns, name))
            return tab->rule->key[i];
    }
    return NULL;
}

bool pgs_table_refused(const struct pgs_table *tab, struct cdc_buf *why, struct cdc_buf *mend)
{
    const char *outside;
    if (!tab->usable)
        cdc_buf_printf(
            why,
            "table %s.%s has no usable replica identity (no primary key): published, its "
            "UPDATE and DELETE would fail in the application",
            tab->schema, tab->name);
    else if (tab->uneven)
        cdc_buf_printf(
            why,
            "table %s.%s and one of its partitions have different replica identities, so "
            "old rows could not be told from missing values",
            tab->schema, tab->name);
    else if ((outside = key_outside(tab)) != NULL)
        cdc_buf_printf(why,
                       "table %s.%s is to be keyed by \"%s\" (%s), which is not in its replica "
                       "identity: deletes would come without it",
                       tab->schema, tab->name, outside, tab->rule->where);
    else
        return false;
    cdc_buf_str(mend, "ALTER TABLE ");
    pgs_table_put(mend, tab->schema, tab->name);
    cdc_buf_str(mend, tab->uneven && tab->identity == 'd' ? " REPLICA IDENTITY DEFAULT;"
                                                          : " REPLICA IDENTITY FULL;");
    if (tab->uneven)
        cdc_buf_str(mend, " -- and the same on each partition");
    return true;
}

int pgs_tables_refuse(const struct pgs_tables *tabs, struct cdc_error *err)
{
    struct cdc_buf why = CDC_BUF(4096), mend = CDC_BUF(4096);
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < tabs->n; i++)
        if (tabs->items[i].rule && pgs_table_refused(&tabs->items[i], &why, &mend))
            rc =
                cdc_fail(err, CDC_OPERATOR, "capture",
                         "%s. Give it a primary key, or %s Or leave the table out: a rule with its "
                         "name and `skip: true` before the one that takes it (%s)",
                         cdc_buf_cstr(&why), cdc_buf_cstr(&mend), tabs->items[i].rule->where);
    cdc_buf_done(&why);
    cdc_buf_done(&mend);
    return rc;
}

void pgs_publication_sql(const struct pgs_server *srv, const struct pgs_tables *tabs,
                         struct cdc_buf *ret)
{
    const char *glue = " FOR TABLE ";
    cdc_buf_str(ret, "CREATE PUBLICATION ");
    pgs_ident_put(ret, srv->publication);
    for (size_t i = 0; i < tabs->n; i++)
        if (tabs->items[i].rule) {
            cdc_buf_str(ret, glue);
            pgs_table_put(ret, tabs->items[i].schema, tabs->items[i].name);
            glue = ", ";
        }
    cdc_buf_printf(ret, " WITH (publish_via_partition_root = %s);", srv->leaf ? "false" : "true");
}

static int run(struct pgs_server *srv, struct cdc_buf *sql, struct cdc_error *err)
{
    const char *text = cdc_buf_cstr(sql);
    return text ? pgs_execute(srv, text, err) : cdc_fail_oom(err);
}

static int create(struct pgs_server *srv, const struct pgs_tables *tabs, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    pgs_publication_sql(srv, tabs, &sql);
    int rc = run(srv, &sql, err);
    cdc_buf_done(&sql);
    if (rc == CDC_OK)
        cdc_log(CDC_LOG_INFO, "postgres: publication %s made", srv->publication);
    return rc;
}

/* Who is in the way of the lock on a table, for the log. */
static void blame(struct pgs_server *srv, const struct pgs_table *tab, const char *table)
{
    const char *args[] = {table, NULL};
    PGS_CLEAR PGresult *res = NULL;
    int rc =
        pgs_query(srv,
                  "SELECT a.pid, a.usename, a.application_name, a.state FROM pg_locks l "
                  "JOIN pg_stat_activity a USING (pid) WHERE l.granted AND l.locktype = 'relation'"
                  " AND l.relation = to_regclass($1)::oid AND l.mode NOT IN ('AccessShareLock',"
                  " 'RowShareLock') AND l.pid <> pg_backend_pid() LIMIT 1",
                  args, &res, NULL);
    bool known = rc == CDC_OK && PQntuples(res) == 1;
    cdc_log(CDC_LOG_WARN,
            "postgres: table %s.%s waits to join or leave the publication: a transaction that "
            "writes it "
            "is open (session %s, user %s, application \"%s\", %s)",
            tab->schema, tab->name, known ? PQgetvalue(res, 0, 0) : "?",
            known ? PQgetvalue(res, 0, 1) : "?", known ? PQgetvalue(res, 0, 2) : "?",
            known ? PQgetvalue(res, 0, 3) : "?");
}

/* CDC_AGAIN: not now (locked, or the table went away). */
static int alter_failed(struct pgs_server *srv, const PGresult *res, const char *mend,
                        struct cdc_error *err)
{
    if (pgs_state_is(res, "55P03") || pgs_state_is(res, "42P01") || pgs_state_is(res, "40P01"))
        return CDC_AGAIN;
    return pgs_fail(srv->sql, res, mend, err);
}

/* BEGIN; LOCK; ALTER PUBLICATION ... ADD|DROP TABLE; COMMIT. */
static int alter(struct pgs_server *srv, const struct pgs_table *tab, const char *verb,
                 struct cdc_error *err)
{
    struct cdc_buf table = CDC_BUF(1024), lock = CDC_BUF(2048), sql = CDC_BUF(4096);
    pgs_table_put(&table, tab->schema, tab->name);
    const char *name = cdc_buf_cstr(&table);
    cdc_buf_printf(&lock, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", name ? name : "");
    cdc_buf_str(&sql, "ALTER PUBLICATION ");
    pgs_ident_put(&sql, srv->publication);
    cdc_buf_printf(&sql, " %s TABLE %s;", verb, name ? name : "");
    const char *mend = cdc_buf_cstr(&sql);
    const char *steps[] = {"BEGIN", "SET LOCAL lock_timeout = '1s'", cdc_buf_cstr(&lock), mend,
                           "COMMIT"};
    int rc = name && steps[2] && mend ? pgs_sql(srv, err) : cdc_fail_oom(err);
    for (size_t i = 0; rc == CDC_OK && i < sizeof steps / sizeof steps[0]; i++) {
        PGS_CLEAR PGresult *res = PQexec(srv->sql, steps[i]);
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            rc = alter_failed(srv, res, mend, err);
    }
    if (rc != CDC_OK && srv->sql)
        PQclear(PQexec(srv->sql, "ROLLBACK"));
    if (rc == CDC_AGAIN)
        blame(srv, tab, name);
    else if (rc == CDC_OK)
        cdc_log(CDC_LOG_INFO, "postgres: publication %s: %s TABLE %s", srv->publication, verb,
                name);
    cdc_buf_done(&table);
    cdc_buf_done(&lock);
    cdc_buf_done(&sql);
    CDC_POINT("postgres.publication_altered");
    return rc == CDC_AGAIN ? CDC_OK : rc;
}

/* A captured table that the publication lacks and that we may not add. */
static int missing(struct pgs_server *srv, const struct pgs_table *tab, bool at_start,
                   struct cdc_error *err)
{
    if (!at_start) {
        cdc_log(CDC_LOG_WARN,
                "postgres: table %s.%s is to be captured but is not in publication %s", tab->schema,
                tab->name, srv->publication);
        return CDC_OK;
    }
    return cdc_fail(
        err, CDC_OPERATOR, "postgres",
        "table %s.%s is to be captured (%s) but is not in publication %s, which "
        "source.manage leaves to you: ALTER PUBLICATION \"%s\" ADD TABLE \"%s\".\"%s\"; "
        "while nobody writes the table",
        tab->schema, tab->name, tab->rule->where, srv->publication, srv->publication, tab->schema,
        tab->name);
}

static int sync_table(struct pgs_server *srv, const struct pgs_table *tab, bool at_start,
                      struct cdc_error *err)
{
    struct cdc_buf why = CDC_BUF(4096), mend = CDC_BUF(4096);
    int rc = CDC_OK;
    if (tab->rule && !tab->published) {
        if (pgs_table_refused(tab, &why, &mend))
            cdc_log(CDC_LOG_WARN, "postgres: not captured: %s. %s", cdc_buf_cstr(&why),
                    cdc_buf_cstr(&mend));
        else if (srv->manage == PGS_MANAGE_ALL)
            rc = alter(srv, tab, "ADD", err);
        else
            rc = missing(srv, tab, at_start, err);
    } else if (!tab->rule && tab->listed && at_start && srv->manage == PGS_MANAGE_ALL) {
        rc = alter(srv, tab, "DROP", err);
    }
    cdc_buf_done(&why);
    cdc_buf_done(&mend);
    return rc;
}

bool pgs_tables_partitioned(const struct pgs_tables *tabs)
{
    for (size_t i = 0; i < tabs->n; i++)
        if (tabs->items[i].rule && tabs->items[i].partitioned)
            return true;
    return false;
}

static bool has_partitioned(struct pgs_server *srv)
{
    struct pgs_tables tabs;
    if (pgs_tables_look(srv, &tabs, NULL) < 0)
        return true; /* not known: be strict */
    bool found = pgs_tables_partitioned(&tabs);
    pgs_tables_done(&tabs);
    return found;
}

static int suits(struct pgs_server *srv, const struct pgs_publication *pub, struct cdc_error *err)
{
    if (!pub->complete)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "publication %s leaves out some operations: ALTER PUBLICATION \"%s\" SET "
                        "(publish = 'insert, update, delete, truncate');",
                        srv->publication, srv->publication);
    if (pub->via_root == srv->leaf && has_partitioned(srv)) /* plain tables do not care */
        return cdc_fail(
            err, CDC_OPERATOR, "postgres",
            "publication %s has publish_via_partition_root = %s, source.partitions is %s: "
            "set partitions to %s, or ALTER PUBLICATION \"%s\" SET "
            "(publish_via_partition_root = %s); while nobody writes partitioned tables",
            srv->publication, pub->via_root ? "true" : "false", srv->leaf ? "leaf" : "root",
            srv->leaf ? "root" : "leaf", srv->publication, srv->leaf ? "false" : "true");
    return CDC_OK;
}

static int sync_tables(struct pgs_server *srv, bool at_start, struct cdc_error *err)
{
    struct pgs_tables tabs;
    if (pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = at_start ? pgs_tables_refuse(&tabs, err) : CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < tabs.n; i++)
        rc = sync_table(srv, &tabs.items[i], at_start, err);
    pgs_tables_done(&tabs);
    return rc;
}

int pgs_publication_make(struct pgs_server *srv, struct cdc_error *err)
{
    struct pgs_publication pub;
    struct pgs_tables tabs;
    if (pgs_publication_look(srv, &pub, err) < 0)
        return CDC_FAIL;
    if (pub.exists)
        return suits(srv, &pub, err) < 0 ? CDC_FAIL : sync_tables(srv, true, err);
    if (pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = pgs_tables_refuse(&tabs, err);
    if (rc == CDC_OK && srv->manage == PGS_MANAGE_ALL) {
        rc = create(srv, &tabs, err);
    } else if (rc == CDC_OK) {
        struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
        pgs_publication_sql(srv, &tabs, &sql);
        rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "publication %s does not exist, and source.manage leaves it to you: %s",
                      srv->publication, cdc_buf_cstr(&sql));
        cdc_buf_done(&sql);
    }
    pgs_tables_done(&tabs);
    return rc;
}

int pgs_publication_sync(struct pgs_server *srv, bool at_start, struct cdc_error *err)
{
    struct pgs_publication pub;
    if (pgs_publication_look(srv, &pub, err) < 0)
        return CDC_FAIL;
    if (!pub.exists)
        return cdc_fail(
            err, CDC_OPERATOR, "postgres",
            "publication %s does not exist any more: the server cannot tell which rows to "
            "send, and rows since it was dropped cannot be had. `sidestream drop`, an "
            "empty sink, and a new start begin again from now",
            srv->publication);
    return suits(srv, &pub, err) < 0 ? CDC_FAIL : sync_tables(srv, at_start, err);
}
