/*
 * preflight.c - `check`: a finding for each thing that must be so; `drop`: the way out.
 * Nothing is changed by `check`. What the role may not do itself is told as SQL.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>

/* One row of server facts; the columns in the order of the enum. */
enum fact_col {
    F_VERSION,
    F_WAL,
    F_ENCODING,
    F_REPLICATION,
    F_USER,
    F_SLOTS,
    F_MAX_SLOTS,
    F_SENDERS,
    F_MAX_SENDERS,
    F_STANDBY,
    F_CREATE
};

static const char facts_sql[] =
    "SELECT current_setting('server_version'), current_setting('wal_level'),"
    " current_setting('server_encoding'), r.rolreplication OR r.rolsuper, current_user,"
    " (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots'),"
    " (SELECT count(*) FROM pg_stat_replication), current_setting('max_wal_senders'),"
    " pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE') "
    "FROM pg_roles r WHERE r.rolname = current_user";

static void check_limits(const PGresult *res, bool have_slot, struct cdc_report *rep)
{
    int slots = atoi(PQgetvalue(res, 0, F_SLOTS)), max = atoi(PQgetvalue(res, 0, F_MAX_SLOTS));
    int senders = atoi(PQgetvalue(res, 0, F_SENDERS)),
        top = atoi(PQgetvalue(res, 0, F_MAX_SENDERS));
    bool full = slots >= max && !have_slot;
    cdc_report(rep, full ? CDC_BAD : CDC_PASS,
               full ? "raise max_replication_slots and restart the server, or drop unused slots"
                    : NULL,
               "%d of %d replication slots are in use", slots, max);
    cdc_report(rep, senders >= top ? CDC_WARN : CDC_PASS,
               senders >= top ? "raise max_wal_senders and restart the server" : NULL,
               "%d of %d WAL senders are in use", senders, top);
}

static void check_server(const PGresult *res, struct cdc_report *rep)
{
    const char *level = PQgetvalue(res, 0, F_WAL), *user = PQgetvalue(res, 0, F_USER);
    const char *encoding = PQgetvalue(res, 0, F_ENCODING);
    bool logical = strcmp(level, "logical") == 0, ascii = strcmp(encoding, "SQL_ASCII") == 0;
    bool may = PQgetvalue(res, 0, F_REPLICATION)[0] == 't';
    cdc_report(rep, CDC_PASS, NULL, "PostgreSQL %s%s", PQgetvalue(res, 0, F_VERSION),
               PQgetvalue(res, 0, F_STANDBY)[0] == 't' ? ", a standby" : "");
    cdc_report(rep, logical ? CDC_PASS : CDC_BAD,
               logical ? NULL : "ALTER SYSTEM SET wal_level = logical; then restart the server",
               "wal_level is %s", level);
    cdc_report(rep, ascii ? CDC_BAD : CDC_PASS,
               ascii ? "dump the database and restore it into one with encoding UTF8" : NULL,
               "the database's encoding is %s", encoding);
    struct cdc_buf mend = CDC_BUF(512);
    cdc_buf_str(&mend, "ALTER ROLE ");
    pgs_ident_put(&mend, user);
    cdc_buf_str(&mend, " REPLICATION;");
    cdc_report(rep, may ? CDC_PASS : CDC_BAD, may ? NULL : cdc_buf_cstr(&mend),
               "role %s %s stream (REPLICATION)", user, may ? "may" : "may not");
    cdc_buf_done(&mend);
}

/*
 * What a running pipeline takes of connections, walsenders not counted: one to ask things, the one
 * that holds the snapshot of the start, and two for each that reads and for the one that plans: a
 * session under the snapshot, and one in the present.
 */
static int connections_wanted(const struct cdc_config *cfg)
{
    return 2 + 2 * ((int)cfg->copy_readers + 1);
}

enum room_col { R_ALL, R_RESERVED, R_TAKEN, R_ROLE, R_ROLE_TAKEN, R_DATABASE, R_DATABASE_TAKEN };

/* Sessions of a pipeline of this name are not counted: it is the one that is checked. */
static const char room_sql[] =
    "WITH s AS (SELECT a.usename, a.datname FROM pg_stat_activity a WHERE a.datid IS NOT NULL AND"
    "  a.usesysid IS NOT NULL AND a.application_name IS DISTINCT FROM"
    "  current_setting('application_name')"
    "  AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.pid = a.pid)) "
    "SELECT current_setting('max_connections')::int,"
    " CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int +"
    "  coalesce(current_setting('reserved_connections', true), '0')::int END,"
    " (SELECT count(*) FROM s), CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END,"
    " (SELECT count(*) FROM s WHERE s.usename = r.rolname),"
    " CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END,"
    " (SELECT count(*) FROM s WHERE s.datname = d.datname) "
    "FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname ="
    " current_database()";

static void report_room(struct cdc_report *rep, int free, int wanted, const char *of,
                        const char *mend)
{
    bool few = free < wanted;
    cdc_report(rep, few ? CDC_WARN : CDC_PASS, few ? mend : NULL,
               "%d more connections %s are to be had; a copy of tables takes up to %d%s",
               free > 0 ? free : 0, of, wanted, few ? " (snapshot.threads)" : "");
}

/* Copies wait and try again while they get none: nothing is lost, but they do not get on. */
static int check_room(struct pgs_server *srv, struct cdc_report *rep, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    int n[R_DATABASE_TAKEN + 1], wanted = connections_wanted(srv->cfg);
    struct cdc_buf mend = CDC_BUF(1024);
    if (!pgs_copy_wanted(srv->cfg))
        return CDC_OK;
    if (pgs_query(srv, room_sql, NULL, &res, err) < 0)
        return CDC_FAIL;
    for (int i = R_ALL; i <= R_DATABASE_TAKEN; i++)
        n[i] = atoi(PQgetvalue(res, 0, i));
    report_room(rep, n[R_ALL] - n[R_RESERVED] - n[R_TAKEN], wanted, "to the server",
                "raise max_connections and restart the server, or lower snapshot.threads");
    wanted += 2; /* here walsenders count: the stream's, and a look's now and then */
    cdc_buf_str(&mend, "ALTER ROLE ");
    pgs_ident_put(&mend, PQuser(srv->sql));
    cdc_buf_printf(&mend, " CONNECTION LIMIT %d;", n[R_ROLE_TAKEN] + wanted);
    if (n[R_ROLE] >= 0)
        report_room(rep, n[R_ROLE] - n[R_ROLE_TAKEN], wanted, "of the role", cdc_buf_cstr(&mend));
    cdc_buf_reset(&mend);
    cdc_buf_str(&mend, "ALTER DATABASE ");
    pgs_ident_put(&mend, srv->database);
    cdc_buf_printf(&mend, " CONNECTION LIMIT %d;", n[R_DATABASE_TAKEN] + wanted);
    if (n[R_DATABASE] >= 0)
        report_room(rep, n[R_DATABASE] - n[R_DATABASE_TAKEN], wanted, "to the database",
                    cdc_buf_cstr(&mend));
    cdc_buf_done(&mend);
    return CDC_OK;
}

static void check_slot(const struct pgs_server *srv, const struct pgs_slot *slot,
                       struct cdc_report *rep)
{
    char mend[256];
    snprintf(mend, sizeof mend, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput');",
             srv->slot);
    if (!slot->exists)
        cdc_report(rep, srv->manage == PGS_MANAGE_NONE ? CDC_BAD : CDC_PASS,
                   srv->manage == PGS_MANAGE_NONE ? mend : NULL, "slot %s does not exist%s",
                   srv->slot, srv->manage == PGS_MANAGE_NONE ? "" : " yet; the first run makes it");
    else if (strcmp(slot->plugin, "pgoutput") != 0 || strcmp(slot->database, srv->database) != 0)
        cdc_report(rep, CDC_BAD, "choose another name with source.slot",
                   "slot %s is not one of ours (plugin %s, database %s)", srv->slot, slot->plugin,
                   slot->database);
    else if (slot->invalid[0] || strcmp(slot->wal_status, "lost") == 0)
        cdc_report(rep, CDC_BAD, "sidestream drop, then a new start with an empty sink",
                   "slot %s was invalidated by the server (%s): changes are missing", srv->slot,
                   slot->invalid[0] ? slot->invalid : slot->wal_status);
    else
        cdc_report(rep, strcmp(slot->wal_status, "reserved") == 0 ? CDC_PASS : CDC_WARN,
                   strcmp(slot->wal_status, "reserved") == 0 ? NULL : "run the pipeline soon",
                   "slot %s exists (wal_status %s, confirmed " PGS_LSN_FMT ")%s", srv->slot,
                   slot->wal_status, PGS_LSN(slot->confirmed), slot->active ? ", in use" : "");
}

/* What the findings on publications are made of. */
struct pubs {
    const struct pgs_server *srv;
    const struct pgs_tables *tabs;
    struct pgs_publication items[PGS_PUBS];
    bool may_create, slot; /* the role may; our slot exists */
};

static void check_absent(const struct pubs *pubs, enum pgs_pub which, struct cdc_report *rep)
{
    const struct pgs_server *srv = pubs->srv;
    const char *name = srv->pubs[which];
    bool made = srv->manage == PGS_MANAGE_ALL && pubs->may_create;
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    pgs_publication_sql(srv, which, pubs->tabs, &sql);
    if (which == PGS_PUB_INSERTS && pubs->slot)
        cdc_report(rep, CDC_BAD,
                   "sidestream drop, then a new start with an empty sink; or take `insert_only` "
                   "out of the rules",
                   "publication %s, of the tables with `insert_only`, does not exist, and must be "
                   "older than the slot",
                   name);
    else
        cdc_report(rep, made ? CDC_PASS : CDC_BAD, made ? NULL : cdc_buf_cstr(&sql),
                   "publication %s does not exist%s", name,
                   made ? " yet; the first run makes it" : "");
    cdc_buf_done(&sql);
}

static void check_there(const struct pubs *pubs, enum pgs_pub which, struct cdc_report *rep)
{
    const struct pgs_publication *pub = &pubs->items[which];
    const char *name = pubs->srv->pubs[which];
    bool partitions_fit = pub->via_root != pubs->srv->leaf || !pgs_tables_partitioned(pubs->tabs);
    if (pub->right && partitions_fit) {
        cdc_report(rep, CDC_PASS, NULL, "publication %s exists (owner %s)%s", name, pub->owner,
                   pub->all_tables ? ", for all tables" : "");
        return;
    }
    struct cdc_buf mend = CDC_BUF(1024);
    cdc_buf_str(&mend, "ALTER PUBLICATION ");
    pgs_ident_put(&mend, name);
    cdc_buf_printf(&mend, " SET (publish = '%s', publish_via_partition_root = %s);",
                   pgs_publication_ops(which), pubs->srv->leaf ? "false" : "true");
    cdc_report(rep, CDC_BAD, cdc_buf_cstr(&mend),
               "publication %s publishes other operations, or treats partitions otherwise", name);
    cdc_buf_done(&mend);
}

static void check_publication(const struct pubs *pubs, enum pgs_pub which, struct cdc_report *rep)
{
    if (pubs->items[which].exists)
        check_there(pubs, which, rep);
    else if (which == PGS_PUB_ALL || pgs_inserts_wanted(pubs->tabs))
        check_absent(pubs, which, rep);
}

static void check_table(const struct pubs *pubs, const struct pgs_table *tab,
                        struct cdc_report *rep)
{
    const struct pgs_server *srv = pubs->srv;
    enum pgs_pub which = pgs_pub_of(tab);
    struct cdc_buf why = CDC_BUF(4096), mend = CDC_BUF(4096);
    if (pgs_table_refused(tab, &why, &mend)) {
        if (!tab->usable && !tab->rule->insert_only)
            cdc_buf_str(&mend, " -- or capture its inserts alone, by `insert_only: true`");
        cdc_report(rep, CDC_BAD, cdc_buf_cstr(&mend), "%s", cdc_buf_cstr(&why));
    } else if (pubs->items[which].exists && !tab->published[which] &&
               srv->manage != PGS_MANAGE_ALL) {
        cdc_buf_str(&mend, "ALTER PUBLICATION ");
        pgs_ident_put(&mend, srv->pubs[which]);
        cdc_buf_str(&mend, " ADD TABLE ");
        pgs_table_put(&mend, tab->schema, tab->name);
        cdc_buf_str(&mend, ";");
        cdc_report(rep, CDC_BAD, cdc_buf_cstr(&mend), "table %s.%s is not in publication %s",
                   tab->schema, tab->name, srv->pubs[which]);
    }
    cdc_buf_done(&why);
    cdc_buf_done(&mend);
}

static void check_tables(const struct pubs *pubs, struct cdc_report *rep)
{
    size_t n = 0;
    for (size_t i = 0; i < pubs->tabs->n; i++)
        if (pubs->tabs->items[i].rule) {
            check_table(pubs, &pubs->tabs->items[i], rep);
            n++;
        }
    if (n == 0)
        cdc_report(rep, CDC_WARN,
                   "write the tables' names into capture:", "no table of the database is captured");
}

static int check_all(struct pgs_server *srv, struct cdc_report *rep, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_slot slot;
    struct pgs_tables tabs = {.n = 0};
    struct pubs pubs = {.srv = srv, .tabs = &tabs};
    if (pgs_query(srv, facts_sql, NULL, &res, err) < 0 || pgs_slot_look(srv, &slot, err) < 0 ||
        pgs_publication_look(srv, PGS_PUB_ALL, &pubs.items[PGS_PUB_ALL], err) < 0 ||
        pgs_publication_look(srv, PGS_PUB_INSERTS, &pubs.items[PGS_PUB_INSERTS], err) < 0 ||
        pgs_tables_look(srv, &tabs, err) < 0)
        return CDC_FAIL;
    pubs.may_create = PQgetvalue(res, 0, F_CREATE)[0] == 't';
    pubs.slot = slot.exists;
    check_server(res, rep);
    check_limits(res, slot.exists, rep);
    int rc = check_room(srv, rep, err);
    check_slot(srv, &slot, rep);
    check_publication(&pubs, PGS_PUB_ALL, rep);
    check_publication(&pubs, PGS_PUB_INSERTS, rep);
    if (rc == CDC_OK)
        rc = pgs_check_rules(srv, &tabs, rep, err);
    if (rc == CDC_OK)
        check_tables(&pubs, rep);
    pgs_tables_done(&tabs);
    return rc;
}

/* A connection that is refused is a finding, not a failure to look. */
int pgs_check(const struct cdc_config *cfg, struct cdc_report *rep, struct cdc_error *err)
{
    struct pgs_server srv;
    struct cdc_error own = {.message = ""};
    if (pgs_server_init(&srv, cfg, err) < 0)
        return CDC_FAIL;
    int rc = pgs_sql(&srv, &own);
    if (rc < 0) {
        cdc_report(rep, CDC_BAD, NULL, "%s", own.message);
    } else {
        cdc_report(rep, CDC_PASS, NULL, "connected to database %s", srv.database);
        rc = check_all(&srv, rep, &own);
        if (rc < 0)
            cdc_report(rep, CDC_BAD, NULL, "%s", own.message);
    }
    pgs_server_done(&srv);
    return CDC_OK;
}

static int drop_slot(struct pgs_server *srv, struct cdc_report *rep, struct cdc_error *err)
{
    struct pgs_slot slot;
    if (pgs_slot_look(srv, &slot, err) < 0)
        return CDC_FAIL;
    if (!slot.exists) {
        cdc_report(rep, CDC_PASS, NULL, "slot %s does not exist", srv->slot);
        return CDC_OK;
    }
    if (slot.active)
        return cdc_fail(err, CDC_OPERATOR, srv->slot,
                        "slot \"%s\" is in use by the server's process %d: stop the pipeline first",
                        srv->slot, slot.pid);
    if (strcmp(slot.plugin, "pgoutput") != 0 || strcmp(slot.database, srv->database) != 0)
        return cdc_fail(err, CDC_OPERATOR, srv->slot, "slot \"%s\" is not one of ours", srv->slot);
    if (pgs_slot_drop(srv, err) < 0)
        return CDC_FAIL;
    cdc_report(rep, CDC_PASS, NULL, "slot %s dropped", srv->slot);
    return CDC_OK;
}

static int drop_publication(struct pgs_server *srv, enum pgs_pub which, struct cdc_report *rep,
                            struct cdc_error *err)
{
    struct pgs_publication pub;
    struct cdc_buf sql = CDC_BUF(512);
    if (pgs_publication_look(srv, which, &pub, err) < 0)
        return CDC_FAIL;
    if (!pub.exists) {
        if (which == PGS_PUB_ALL)
            cdc_report(rep, CDC_PASS, NULL, "publication %s does not exist", srv->pubs[which]);
        return CDC_OK;
    }
    cdc_buf_str(&sql, "DROP PUBLICATION ");
    pgs_ident_put(&sql, srv->pubs[which]);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? pgs_execute(srv, text, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    if (rc == CDC_OK)
        cdc_report(rep, CDC_PASS, NULL, "publication %s dropped", srv->pubs[which]);
    return rc;
}

int pgs_drop(const struct cdc_config *cfg, struct cdc_report *rep, struct cdc_error *err)
{
    struct pgs_server srv;
    if (pgs_server_init(&srv, cfg, err) < 0)
        return CDC_FAIL;
    int rc = CDC_OK;
    if (srv.manage == PGS_MANAGE_NONE)
        cdc_report(rep, CDC_WARN, NULL, "source.manage is none: slot %s is left as it is",
                   srv.slot);
    else
        rc = drop_slot(&srv, rep, err);
    if (srv.manage == PGS_MANAGE_ALL) {
        for (int which = PGS_PUB_ALL; rc == CDC_OK && which < PGS_PUBS; which++)
            rc = drop_publication(&srv, (enum pgs_pub)which, rep, err);
    } else if (rc == CDC_OK) {
        cdc_report(rep, CDC_WARN, NULL, "source.manage leaves publication %s as it is",
                   srv.pubs[PGS_PUB_ALL]);
    }
    pgs_server_done(&srv);
    return rc;
}
