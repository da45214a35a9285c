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
 * Under `insert_only` it joins a second publication, of inserts and truncates alone; that one is
 * made beside the first whenever the role may, because one made behind the slot is of no use: the
 * server looks for it at the place of each change, and stops for ever where it was not yet. A table
 * goes over from one to the other in one transaction.
 *
 * With `partitions: root` a partitioned table and its partitions must have the same identity: the
 * server labels old rows by the root's identity but takes their columns by the partition's.
 */
#include "postgres.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <stdio.h>
#include <stdlib.h>

int pgs_publication_look(struct pgs_server *srv, enum pgs_pub which, struct pgs_publication *ret,
                         struct cdc_error *err)
{
    const char *args[] = {srv->pubs[which], which == PGS_PUB_ALL ? "t" : "f", NULL};
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_publication pub = {.exists = false};
    if (pgs_query(srv,
                  "SELECT puballtables, pubviaroot, pubinsert AND pubtruncate AND pubupdate = "
                  "$2::bool AND pubdelete = $2::bool, pg_get_userbyid(pubowner) "
                  "FROM pg_publication WHERE pubname = $1",
                  args, &res, err) < 0)
        return CDC_FAIL;
    if (PQntuples(res) == 1) {
        pub.exists = true;
        pub.all_tables = PQgetvalue(res, 0, 0)[0] == 't';
        pub.via_root = PQgetvalue(res, 0, 1)[0] == 't';
        pub.right = PQgetvalue(res, 0, 2)[0] == 't';
        snprintf(pub.owner, sizeof pub.owner, "%s", PQgetvalue(res, 0, 3));
    }
    *ret = pub;
    return CDC_OK;
}

#define LISTED(name)                                                                               \
    " EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"       \
    " WHERE p.pubname = " name " AND r.prrelid = c.oid),"
/* clang-format off: it would break this up by the macros */
static const char tables_sql[] =
    "SELECT n.nspname, c.relname, c.relreplident,"
    " CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false ELSE i.indrelid IS NOT NULL END,"
    " coalesce((SELECT E'\\n' || string_agg(a.attname, E'\\n') || E'\\n' FROM pg_attribute a"
    "  WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])), '')," LISTED(
        "$1") " t.tablename IS NOT NULL," LISTED("$3") " u.tablename IS NOT NULL,"
                                                       " c.relkind = 'p' AND EXISTS (SELECT 1 FROM "
                                                       "pg_partition_tree(c.oid) l JOIN pg_class lc"
                                                       "  ON lc.oid = l.relid WHERE l.isleaf AND "
                                                       "lc.relkind = 'r'"
                                                       "  AND lc.relreplident <> c.relreplident),"
                                                       " c.relkind = 'p' OR c.relispartition "
                                                       "FROM pg_class c JOIN pg_namespace n ON "
                                                       "n.oid = c.relnamespace"
                                                       " LEFT JOIN pg_index i ON i.indrelid = "
                                                       "c.oid AND CASE c.relreplident"
                                                       "  WHEN 'd' THEN i.indisprimary WHEN 'i' "
                                                       "THEN i.indisreplident ELSE false END"
                                                       " LEFT JOIN pg_publication_tables t ON "
                                                       "t.pubname = $1 AND t.schemaname = n.nspname"
                                                       "  AND t.tablename = c.relname"
                                                       " LEFT JOIN pg_publication_tables u ON "
                                                       "u.pubname = $3 AND u.schemaname = n.nspname"
                                                       "  AND u.tablename = c.relname "
                                                       "WHERE c.relpersistence = 'p' AND n.nspname "
                                                       "!~ '^pg_' AND n.nspname <> "
                                                       "'information_schema'"
                                                       " AND CASE WHEN $2 = 'leaf' THEN c.relkind "
                                                       "= 'r'"
                                                       "  ELSE c.relkind IN ('r', 'p') AND NOT "
                                                       "c.relispartition END "
                                                       "ORDER BY 1, 2";
/* clang-format on */

int pgs_tables_look(struct pgs_server *srv, struct pgs_tables *ret, struct cdc_error *err)
{
    const char *args[] = {srv->pubs[PGS_PUB_ALL], srv->leaf ? "leaf" : "root",
                          srv->pubs[PGS_PUB_INSERTS], NULL};
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
        for (int which = 0; which < PGS_PUBS; which++) {
            tab->listed[which] = PQgetvalue(res, row, 5 + 2 * which)[0] == 't';
            tab->published[which] = PQgetvalue(res, row, 6 + 2 * which)[0] == 't';
        }
        tab->uneven = PQgetvalue(res, row, 9)[0] == 't';
        tab->partitioned = PQgetvalue(res, row, 10)[0] == 't';
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

/* For inserts alone no identity is needed, but then nobody may publish its updates. */
static bool insert_only_refused(const struct pgs_table *tab, struct cdc_buf *why,
                                struct cdc_buf *mend)
{
    if (tab->usable || !tab->published[PGS_PUB_ALL] || tab->listed[PGS_PUB_ALL])
        return false;
    cdc_buf_printf(why,
                   "table %s.%s has no usable replica identity, and the first publication "
                   "publishes updates of all tables: its UPDATE and DELETE fail in the application",
                   tab->schema, tab->name);
    cdc_buf_str(mend, "name the tables in the publication, in place of FOR ALL TABLES or a schema");
    return true;
}

static void tell_refused(const struct pgs_table *tab, const char *outside, struct cdc_buf *why)
{
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
    else
        cdc_buf_printf(why,
                       "table %s.%s is to be keyed by \"%s\" (%s), which is not in its replica "
                       "identity: deletes would come without it",
                       tab->schema, tab->name, outside, tab->rule->where);
}

bool pgs_table_refused(const struct pgs_table *tab, struct cdc_buf *why, struct cdc_buf *mend)
{
    if (tab->rule->insert_only)
        return insert_only_refused(tab, why, mend);
    const char *outside = key_outside(tab);
    if (tab->usable && !tab->uneven && !outside)
        return false;
    tell_refused(tab, outside, why);
    cdc_buf_str(mend, "ALTER TABLE ");
    pgs_table_put(mend, tab->schema, tab->name);
    cdc_buf_str(mend, tab->uneven && tab->identity == 'd' ? " REPLICA IDENTITY DEFAULT;"
                                                          : " REPLICA IDENTITY FULL;");
    if (tab->uneven)
        cdc_buf_str(mend, " -- and the same on each partition");
    return true;
}

static int refuse(const struct pgs_table *tab, struct cdc_buf *why, struct cdc_buf *mend,
                  struct cdc_error *err)
{
    const char *reason = cdc_buf_cstr(why), *remedy = cdc_buf_cstr(mend);
    bool bare = !tab->usable && !tab->rule->insert_only;
    return cdc_fail(
        err, CDC_OPERATOR, "capture",
        "%s. %s%s%s Or leave the table out: a rule with its name and `skip: true` "
        "before the one that takes it (%s)",
        reason ? reason : "", tab->rule->insert_only ? "" : "Give it a primary key, or ",
        remedy ? remedy : "", bare ? " Or capture its inserts alone, by `insert_only: true`." : "",
        tab->rule->where);
}

int pgs_tables_refuse(const struct pgs_tables *tabs, struct cdc_error *err)
{
    struct cdc_buf why = CDC_BUF(4096), mend = CDC_BUF(4096);
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < tabs->n; i++)
        if (tabs->items[i].rule && pgs_table_refused(&tabs->items[i], &why, &mend))
            rc = refuse(&tabs->items[i], &why, &mend, err);
    cdc_buf_done(&why);
    cdc_buf_done(&mend);
    return rc;
}

const char *pgs_publication_ops(enum pgs_pub which)
{
    return which == PGS_PUB_ALL ? "insert, update, delete, truncate" : "insert, truncate";
}

bool pgs_inserts_wanted(const struct pgs_tables *tabs)
{
    for (size_t i = 0; i < tabs->n; i++)
        if (tabs->items[i].rule && tabs->items[i].rule->insert_only)
            return true;
    return false;
}

void pgs_publication_sql(const struct pgs_server *srv, enum pgs_pub which,
                         const struct pgs_tables *tabs, struct cdc_buf *ret)
{
    const char *glue = " FOR TABLE ";
    cdc_buf_str(ret, "CREATE PUBLICATION ");
    pgs_ident_put(ret, srv->pubs[which]);
    for (size_t i = 0; i < tabs->n; i++)
        if (tabs->items[i].rule && pgs_pub_of(&tabs->items[i]) == which) {
            cdc_buf_str(ret, glue);
            pgs_table_put(ret, tabs->items[i].schema, tabs->items[i].name);
            glue = ", ";
        }
    cdc_buf_printf(ret, " WITH (publish = '%s', publish_via_partition_root = %s);",
                   pgs_publication_ops(which), srv->leaf ? "false" : "true");
}

static int run(struct pgs_server *srv, struct cdc_buf *sql, struct cdc_error *err)
{
    const char *text = cdc_buf_cstr(sql);
    return text ? pgs_execute(srv, text, err) : cdc_fail_oom(err);
}

static int create(struct pgs_server *srv, enum pgs_pub which, const struct pgs_tables *tabs,
                  struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    pgs_publication_sql(srv, which, tabs, &sql);
    int rc = run(srv, &sql, err);
    cdc_buf_done(&sql);
    if (rc == CDC_OK)
        cdc_log(CDC_LOG_INFO, "postgres: publication %s made", srv->pubs[which]);
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

/* What is to become of a table: publications to join and to leave, PGS_PUBS: none. */
struct move {
    const struct pgs_table *tab;
    enum pgs_pub join, leave;
};

/* ALTER PUBLICATION p ADD|DROP TABLE t; */
static int put_alter(const struct pgs_server *srv, enum pgs_pub which, const char *verb,
                     const char *table, struct cdc_buf *sql)
{
    if (which == PGS_PUBS)
        return CDC_OK;
    cdc_buf_str(sql, sql->len ? " ALTER PUBLICATION " : "ALTER PUBLICATION ");
    pgs_ident_put(sql, srv->pubs[which]);
    cdc_buf_printf(sql, " %s TABLE %s;", verb, table);
    return sql->failed ? CDC_FAIL : CDC_OK;
}

/* BEGIN; LOCK; ALTER PUBLICATION ... ADD|DROP TABLE, one or both; COMMIT. */
static int alter(struct pgs_server *srv, const struct move *move, struct cdc_error *err)
{
    const struct pgs_table *tab = move->tab;
    struct cdc_buf table = CDC_BUF(1024), lock = CDC_BUF(2048), sql = CDC_BUF(4096);
    pgs_table_put(&table, tab->schema, tab->name);
    const char *name = cdc_buf_cstr(&table);
    cdc_buf_printf(&lock, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", name ? name : "");
    bool made = name && put_alter(srv, move->join, "ADD", name, &sql) == CDC_OK &&
                put_alter(srv, move->leave, "DROP", name, &sql) == CDC_OK;
    const char *mend = made ? cdc_buf_cstr(&sql) : NULL;
    const char *steps[] = {"BEGIN", "SET LOCAL lock_timeout = '1s'", cdc_buf_cstr(&lock), mend,
                           "COMMIT"};
    int rc = steps[2] && mend ? pgs_sql(srv, err) : cdc_fail_oom(err);
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
        cdc_log(CDC_LOG_INFO, "postgres: %s", mend);
    cdc_buf_done(&table);
    cdc_buf_done(&lock);
    cdc_buf_done(&sql);
    CDC_POINT("postgres.publication_altered");
    return rc == CDC_AGAIN ? CDC_OK : rc;
}

/* A captured table that its publication lacks and that we may not add. */
static int missing(struct pgs_server *srv, const struct pgs_table *tab, bool at_start,
                   struct cdc_error *err)
{
    const char *pub = srv->pubs[pgs_pub_of(tab)];
    if (!at_start) {
        cdc_log(CDC_LOG_WARN,
                "postgres: table %s.%s is to be captured but is not in publication %s", tab->schema,
                tab->name, pub);
        return CDC_OK;
    }
    return cdc_fail(
        err, CDC_OPERATOR, "postgres",
        "table %s.%s is to be captured (%s) but is not in publication %s, which "
        "source.manage leaves to you: ALTER PUBLICATION \"%s\" ADD TABLE \"%s\".\"%s\"; "
        "while nobody writes the table",
        tab->schema, tab->name, tab->rule->where, pub, pub, tab->schema, tab->name);
}

/* Every table was in one publication at most, unless somebody else put it into both. */
static struct move move_of(const struct pgs_table *tab, bool at_start)
{
    struct move move = {.tab = tab, .join = PGS_PUBS, .leave = PGS_PUBS};
    enum pgs_pub own = tab->rule ? pgs_pub_of(tab) : PGS_PUBS;
    if (tab->rule && !tab->published[own])
        move.join = own;
    for (int which = 0; which < PGS_PUBS; which++)
        if (which != (int)own && tab->listed[which] && (at_start || move.join != PGS_PUBS))
            move.leave = (enum pgs_pub)which;
    return move;
}

static int sync_table(struct pgs_server *srv, const struct pgs_table *tab, bool at_start,
                      struct cdc_error *err)
{
    struct cdc_buf why = CDC_BUF(4096), mend = CDC_BUF(4096);
    struct move move = move_of(tab, at_start);
    bool ours = srv->manage == PGS_MANAGE_ALL;
    int rc = CDC_OK;
    if (move.join != PGS_PUBS && pgs_table_refused(tab, &why, &mend))
        cdc_log(CDC_LOG_WARN, "postgres: not captured: %s. %s", cdc_buf_cstr(&why),
                cdc_buf_cstr(&mend));
    else if (ours && (move.join != PGS_PUBS || move.leave != PGS_PUBS))
        rc = alter(srv, &move, err);
    else if (move.join != PGS_PUBS)
        rc = missing(srv, tab, at_start, err);
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

static int suits(struct pgs_server *srv, enum pgs_pub which, const struct pgs_publication *pub,
                 struct cdc_error *err)
{
    const char *name = srv->pubs[which];
    if (!pub->right)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "publication %s %s: ALTER PUBLICATION \"%s\" SET (publish = '%s');", name,
                        which == PGS_PUB_ALL ? "leaves out some operations"
                                             : "is not of inserts and truncates alone",
                        name, pgs_publication_ops(which));
    if (pub->via_root == srv->leaf && has_partitioned(srv)) /* plain tables do not care */
        return cdc_fail(
            err, CDC_OPERATOR, "postgres",
            "publication %s has publish_via_partition_root = %s, source.partitions is %s: "
            "set partitions to %s, or ALTER PUBLICATION \"%s\" SET "
            "(publish_via_partition_root = %s); while nobody writes partitioned tables",
            name, pub->via_root ? "true" : "false", srv->leaf ? "leaf" : "root",
            srv->leaf ? "root" : "leaf", name, srv->leaf ? "false" : "true");
    return CDC_OK;
}

/* The one that does not exist is made, or it is told how. CDC_END: not made, and not needed. */
static int make_one(struct pgs_server *srv, enum pgs_pub which, const struct pgs_tables *tabs,
                    struct cdc_error *err)
{
    bool needed = which == PGS_PUB_ALL || pgs_inserts_wanted(tabs);
    struct cdc_error own = {.message = ""};
    if (srv->manage == PGS_MANAGE_ALL) {
        if (create(srv, which, tabs, &own) == CDC_OK)
            return CDC_OK;
        if (!needed && own.action == CDC_OPERATOR) /* the role may not; somebody made the first */
            return CDC_END;
        return cdc_fail(err, own.action, own.where, "%s", own.message);
    }
    if (!needed)
        return CDC_END;
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    pgs_publication_sql(srv, which, tabs, &sql);
    const char *text = cdc_buf_cstr(&sql);
    int rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "publication %s does not exist, and source.manage leaves it to you: %s",
                      srv->pubs[which], text ? text : "");
    cdc_buf_done(&sql);
    return rc;
}

static int make_or_check(struct pgs_server *srv, enum pgs_pub which, const struct pgs_tables *tabs,
                         struct cdc_error *err)
{
    struct pgs_publication pub;
    if (pgs_publication_look(srv, which, &pub, err) < 0)
        return CDC_FAIL;
    return pub.exists ? suits(srv, which, &pub, err) : make_one(srv, which, tabs, err);
}

static int sync_tables(struct pgs_server *srv, const struct pgs_tables *tabs, bool at_start,
                       struct cdc_error *err)
{
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < tabs->n; i++)
        rc = sync_table(srv, &tabs->items[i], at_start, err);
    return rc;
}

static int make_both(struct pgs_server *srv, struct cdc_error *err)
{
    struct pgs_tables tabs;
    if (pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = pgs_tables_refuse(&tabs, err);
    if (rc == CDC_OK)
        rc = make_or_check(srv, PGS_PUB_ALL, &tabs, err);
    if (rc == CDC_OK)
        rc = make_or_check(srv, PGS_PUB_INSERTS, &tabs, err);
    srv->inserts = rc == CDC_OK;
    pgs_tables_done(&tabs);
    return rc == CDC_END ? CDC_OK : rc;
}

int pgs_publication_make(struct pgs_server *srv, struct cdc_error *err)
{
    struct pgs_tables tabs;
    if (make_both(srv, err) < 0 || pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = sync_tables(srv, &tabs, true, err);
    pgs_tables_done(&tabs);
    return rc;
}

static int lost(const struct pgs_server *srv, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "postgres",
                    "publication %s does not exist any more: the server cannot tell which rows to "
                    "send, and rows since it was dropped cannot be had. `sidestream drop`, an "
                    "empty sink, and a new start begin again from now",
                    srv->pubs[PGS_PUB_ALL]);
}

/* Beside a slot the second publication is there from the start or never. */
static int sync_inserts(struct pgs_server *srv, const struct pgs_tables *tabs, bool at_start,
                        struct cdc_error *err)
{
    struct pgs_publication pub;
    if (pgs_publication_look(srv, PGS_PUB_INSERTS, &pub, err) < 0)
        return CDC_FAIL;
    if (at_start)
        srv->inserts = pub.exists;
    if (pub.exists)
        return srv->inserts ? suits(srv, PGS_PUB_INSERTS, &pub, err) : CDC_OK;
    if (!srv->inserts && !pgs_inserts_wanted(tabs))
        return CDC_OK;
    return cdc_fail(
        err, at_start || srv->inserts ? CDC_OPERATOR : CDC_RETRY, "postgres",
        "publication %s, of the tables with `insert_only`, does not exist, and must be older than "
        "the slot. Take `insert_only` out of the rules; or `sidestream drop`, an empty sink, and "
        "a new start begin again from now",
        srv->pubs[PGS_PUB_INSERTS]);
}

int pgs_publication_sync(struct pgs_server *srv, bool at_start, struct cdc_error *err)
{
    struct pgs_publication pub;
    struct pgs_tables tabs;
    if (pgs_publication_look(srv, PGS_PUB_ALL, &pub, err) < 0)
        return CDC_FAIL;
    if (!pub.exists)
        return lost(srv, err);
    if (suits(srv, PGS_PUB_ALL, &pub, err) < 0 || pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    int rc = at_start ? pgs_tables_refuse(&tabs, err) : CDC_OK;
    if (rc == CDC_OK)
        rc = sync_inserts(srv, &tabs, at_start, err);
    if (rc == CDC_OK)
        rc = sync_tables(srv, &tabs, at_start, err);
    pgs_tables_done(&tabs);
    return rc;
}
