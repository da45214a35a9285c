/*
 * server.c - what the server says of itself, what is refused, and a place where its log is settled.
 *
 * Settled: file and position of the log move before the engine has committed what is written there,
 * so a snapshot opened after reading them may lack it (44 of 3000, measured). With GTIDs the server
 * tells which transactions are on their way: they get their GTID before they are written, and are
 * in gtid_executed after they are visible. So
 *
 *   1. file:pos            everything before it has its GTID
 *   2. gtid_owned          of these, those that may not be visible yet
 *   3. wait until each is executed, or given back (rolled back)
 *   4. gtid_executed       holds all before file:pos, and what has come since
 *
 * A replica's applier owns the GTID of a transaction as long as it works on it, perhaps for hours,
 * and nothing tells whether it has come to committing it. Who does not want to wait so long takes
 * the beginning of the file instead: the server makes a new file only when all that is in the one
 * before is committed (MySQL source, MYSQL_BIN_LOG::new_file_impl), and the stream is asked for by
 * gtid_executed, which is not changed by that.
 *
 * MariaDB gives a snapshot with its exact place, which needs no waiting.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define LOG_RIGHTS "GRANT REPLICATION CLIENT ON *.* TO the user of source.url"
#define POLL_NS    5000000
#define FIRST_POS  4 /* of the first event of a file */

/* ---- facts ---- */

/* The variables of interest; text[i] is "" where the server has no such. */
enum var {
    VAR_LOG_BIN,
    VAR_FORMAT,
    VAR_IMAGE,
    VAR_METADATA,
    VAR_PARTIAL,
    VAR_CHECKSUM,
    VAR_GTID_MODE,
    VAR_STRICT,
    VAR_UUID,
    VAR_SERVER_ID,
    VAR_LOWER_CASE,
    VAR_NATIVE_FK,
    VARS
};

static const char *const var_names[VARS] = {
    [VAR_LOG_BIN] = "log_bin",
    [VAR_FORMAT] = "binlog_format",
    [VAR_IMAGE] = "binlog_row_image",
    [VAR_METADATA] = "binlog_row_metadata",
    [VAR_PARTIAL] = "binlog_row_value_options",
    [VAR_CHECKSUM] = "binlog_checksum",
    [VAR_GTID_MODE] = "gtid_mode",
    [VAR_STRICT] = "gtid_strict_mode",
    [VAR_UUID] = "server_uuid",
    [VAR_SERVER_ID] = "server_id",
    [VAR_LOWER_CASE] = "lower_case_table_names",
    [VAR_NATIVE_FK] = "innodb_native_foreign_keys",
};

struct vars {
    char text[VARS][64];
};

static int read_vars(MYSQL *conn, struct vars *ret, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(4096);
    cdc_buf_str(&sql, "SHOW GLOBAL VARIABLES WHERE Variable_name IN (''");
    for (int i = 0; i < VARS; i++)
        cdc_buf_printf(&sql, ", '%s'", var_names[i]);
    cdc_buf_str(&sql, ")");
    const char *text = cdc_buf_cstr(&sql);
    MYS_CLEAR MYSQL_RES *res = NULL;
    int rc = text ? mys_query(conn, text, &res, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    *ret = (struct vars){0};
    for (MYSQL_ROW row; rc == CDC_OK && res && (row = mysql_fetch_row(res));)
        for (int i = 0; i < VARS; i++)
            if (row[0] && row[1] && strcasecmp(row[0], var_names[i]) == 0)
                snprintf(ret->text[i], sizeof ret->text[i], "%s", row[1]);
    return rc;
}

static bool is(const struct vars *vars, enum var var, const char *text)
{
    return strcasecmp(vars->text[var], text) == 0;
}

static uint32_t number(const struct vars *vars, enum var var)
{
    return (uint32_t)strtoul(vars->text[var], NULL, 10);
}

/* Anything but FULL has not all columns; MariaDB's FULL_NODUP has no whole after image. */
static void read_row_settings(const struct vars *vars, struct mys_facts *ret)
{
    ret->image = is(vars, VAR_IMAGE, "FULL")     ? MYS_IMAGE_FULL
                 : is(vars, VAR_IMAGE, "NOBLOB") ? MYS_IMAGE_NOBLOB
                                                 : MYS_IMAGE_MINIMAL;
    ret->metadata = is(vars, VAR_METADATA, "FULL")      ? MYS_META_FULL
                    : is(vars, VAR_METADATA, "MINIMAL") ? MYS_META_MINIMAL
                                                        : MYS_META_NONE;
    /* MySQL is about to drop the variable: then there is no other format. */
    ret->row_format = is(vars, VAR_FORMAT, "ROW") || (!ret->mariadb && is(vars, VAR_FORMAT, ""));
    ret->partial_json = strstr(vars->text[VAR_PARTIAL], "PARTIAL_JSON") != NULL;
    ret->checksum = !is(vars, VAR_CHECKSUM, "NONE") && *vars->text[VAR_CHECKSUM];
}

int mys_facts_read(MYSQL *conn, struct mys_facts *ret, struct cdc_error *err)
{
    struct vars vars;
    struct mys_facts facts = {.mariadb = mariadb_connection(conn),
                              .version = (unsigned)mysql_get_server_version(conn)};
    if (read_vars(conn, &vars, err) < 0)
        return CDC_FAIL;
    snprintf(facts.version_text, sizeof facts.version_text, "%s", mysql_get_server_info(conn));
    facts.server_id = number(&vars, VAR_SERVER_ID);
    facts.lower_case = (uint8_t)number(&vars, VAR_LOWER_CASE);
    facts.gtids = facts.mariadb || is(&vars, VAR_GTID_MODE, "ON");
    facts.strict = is(&vars, VAR_STRICT, "ON");
    facts.log_bin = is(&vars, VAR_LOG_BIN, "ON");
    facts.xa_doubt = facts.mariadb || facts.version < 80031;
    facts.cascades = is(&vars, VAR_NATIVE_FK, "OFF");
    if (facts.mariadb)
        snprintf(facts.ident, sizeof facts.ident, "server_id %u", (unsigned)facts.server_id);
    else
        snprintf(facts.ident, sizeof facts.ident, "%s", vars.text[VAR_UUID]);
    read_row_settings(&vars, &facts);
    *ret = facts;
    return CDC_OK;
}

/* ---- refusals ---- */

static int refuse_version(const struct mys_facts *facts, struct cdc_error *err)
{
    unsigned oldest = facts->mariadb ? 100500 : 80000;
    if (facts->version >= oldest)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the server is %s; MySQL 8.0 or MariaDB 10.5 or newer is needed",
                    facts->version_text);
}

int mys_facts_refuse(const struct mys_facts *facts, const struct mys_server *srv,
                     struct cdc_error *err)
{
    if (refuse_version(facts, err) < 0)
        return CDC_FAIL;
    if (!facts->log_bin)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "the server writes no binary log; set log_bin and server_id in its "
                        "configuration and restart it");
    if (!facts->row_format && !(srv->accept & MYS_ACCEPT_STATEMENTS))
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "binlog_format is not ROW, so changes may be logged as SQL, which cannot "
                        "be read; SET GLOBAL binlog_format = ROW and let all sessions connect "
                        "anew, or `accept: [statements]`");
    if (facts->metadata != MYS_META_FULL && !(srv->accept & MYS_ACCEPT_METADATA))
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "binlog_row_metadata is not FULL, so rows logged before an ALTER are read "
                        "with the columns after it; SET GLOBAL binlog_row_metadata = FULL, or "
                        "`accept: [minimal_metadata]`");
    if (facts->partial_json && facts->image == MYS_IMAGE_MINIMAL)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "binlog_row_value_options is PARTIAL_JSON and binlog_row_image MINIMAL, so "
                        "of JSON documents only what changes is logged; SET GLOBAL "
                        "binlog_row_image = NOBLOB (or FULL), or SET GLOBAL "
                        "binlog_row_value_options = '', and let all sessions connect anew");
    return CDC_OK;
}

int mys_fingerprint(const struct mys_source *src, struct cdc_buf *ret)
{
    cdc_buf_str(ret, "{\"type\":\"mysql\",\"ident\":");
    cdc_json_string(ret, cdc_slice_str(src->facts.ident));
    cdc_buf_printf(ret, ",\"flavour\":\"%s\"}", src->facts.mariadb ? "mariadb" : "mysql");
    return ret->failed ? CDC_FAIL : CDC_OK;
}

/* ---- places ---- */

static int ask_row(MYSQL *conn, const char *sql, unsigned n, MYSQL_RES **res, struct cdc_error *err)
{
    if (mysql_real_query(conn, sql, strlen(sql)) != 0)
        return mys_fail(conn, LOG_RIGHTS, err);
    *res = mysql_store_result(conn);
    if (!*res && mysql_errno(conn))
        return mys_fail(conn, NULL, err);
    if (*res && mysql_num_fields(*res) >= n)
        return CDC_OK;
    return cdc_fail(err, CDC_FATAL, "mysql", "`%s` gave nothing; please report this", sql);
}

/* Its first row, of which n columns are not NULL; lent until the result is cleared. */
static int one_row(MYSQL *conn, const char *sql, unsigned n, MYSQL_RES **res, MYSQL_ROW *ret,
                   struct cdc_error *err)
{
    if (ask_row(conn, sql, n, res, err) < 0)
        return CDC_FAIL;
    *ret = mysql_fetch_row(*res);
    for (unsigned i = 0; i < n; i++)
        if (!*ret || !(*ret)[i])
            return cdc_fail(err, CDC_OPERATOR, "mysql",
                            "`%s` tells nothing: the server writes no binary log; set log_bin in "
                            "its configuration and restart it",
                            sql);
    return CDC_OK;
}

static int set_place(struct mys_pos *pos, const char *file, const char *offset,
                     struct cdc_error *err)
{
    if (strlen(file) > MYS_FILE_MAX)
        return cdc_fail(err, CDC_FATAL, "mysql", "the log's file has too long a name");
    snprintf(pos->file, sizeof pos->file, "%s", file);
    pos->pos = strtoull(offset, NULL, 10);
    return CDC_OK;
}

const char *mys_replica_status_sql(const struct mys_facts *facts)
{
    return facts->mariadb           ? "SHOW ALL SLAVES STATUS"
           : facts->version < 80022 ? "SHOW SLAVE STATUS"
                                    : "SHOW REPLICA STATUS";
}

/* The name of the statement changed with 8.2; 8.4 has only the new one. */
int mys_log_end(MYSQL *conn, const struct mys_facts *facts, struct mys_pos *ret,
                struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    const char *sql = !facts->mariadb && facts->version >= 80200 ? "SHOW BINARY LOG STATUS"
                                                                 : "SHOW MASTER STATUS";
    if (one_row(conn, sql, 2, &res, &row, err) < 0)
        return CDC_FAIL;
    return set_place(ret, row[0], row[1], err);
}

static int read_gtids(MYSQL *conn, const char *sql, bool mariadb, struct mys_gtids *ret,
                      struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    if (one_row(conn, sql, 1, &res, &row, err) < 0)
        return CDC_FAIL;
    return mys_gtids_parse(mariadb, cdc_slice_str(row[0]), ret, err);
}

int mys_executed(MYSQL *conn, const struct mys_facts *facts, struct mys_gtids *ret,
                 struct cdc_error *err)
{
    *ret = (struct mys_gtids){.mariadb = facts->mariadb};
    if (!facts->gtids)
        return CDC_OK;
    return read_gtids(
        conn, facts->mariadb ? "SELECT @@GLOBAL.gtid_binlog_pos" : "SELECT @@GLOBAL.gtid_executed",
        facts->mariadb, ret, err);
}

/*
 * gtid_owned is a set whose numbers tell their owner: uuid:7#12:9#15, other:tag:3#12. Without the
 * owners it is an ordinary set.
 */
int mys_owned(MYSQL *conn, struct mys_gtids *ret, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    if (one_row(conn, "SELECT @@GLOBAL.gtid_owned", 1, &res, &row, err) < 0)
        return CDC_FAIL;
    char *to = row[0];
    for (const char *from = row[0]; *from; from++) {
        if (*from == '#')
            from += strspn(from + 1, "0123456789");
        else
            *to++ = *from;
    }
    *to = 0;
    return mys_gtids_parse(false, cdc_slice_str(row[0]), ret, err);
}

/* Is each of `waiting` executed or not owned any more? CDC_AGAIN: not yet. */
static int owned_ended(MYSQL *conn, const struct mys_facts *facts, const struct mys_gtids *waiting,
                       struct mys_gtids *executed, struct cdc_error *err)
{
    struct mys_gtids owned = {.mariadb = false};
    int rc = mys_owned(conn, &owned, err);
    mys_gtids_done(executed);
    if (rc == CDC_OK)
        rc = mys_executed(conn, facts, executed, err);
    for (size_t i = 0; rc == CDC_OK && i < waiting->set.n; i++) {
        const struct mys_sid *sid = &waiting->set.sids[i];
        struct mys_gtid gtid = {.mariadb = false};
        memcpy(gtid.uuid, sid->uuid, sizeof gtid.uuid);
        memcpy(gtid.tag, sid->tag, sizeof gtid.tag);
        for (size_t j = 0; rc == CDC_OK && j < sid->n; j++)
            for (gtid.number = sid->ranges[j].from; gtid.number < sid->ranges[j].to; gtid.number++)
                if (mys_gtids_contain(&owned, &gtid) && !mys_gtids_contain(executed, &gtid))
                    rc = CDC_AGAIN;
    }
    mys_gtids_done(&owned);
    return rc;
}

static int settled_gtids(MYSQL *conn, const struct mys_facts *facts, int64_t deadline_us,
                         struct mys_gtids *ret, struct cdc_error *err)
{
    struct mys_gtids waiting = {.mariadb = false};
    int rc = mys_owned(conn, &waiting, err);
    while (rc == CDC_OK && (rc = owned_ended(conn, facts, &waiting, ret, err)) == CDC_AGAIN) {
        if (cdc_mono_us() >= deadline_us) {
            (void)cdc_fail(err, CDC_RETRY, "mysql",
                           "transactions that are being committed or applied do not end "
                           "(gtid_owned); look for a server that hangs, or waits for its replicas, "
                           "or a long transaction of its applier; it is tried again");
            break;
        }
        rc = CDC_OK;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    mys_gtids_done(&waiting);
    return rc;
}

int mys_snapshot_place(MYSQL *conn, struct mys_pos *ret, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    char file[MYS_FILE_MAX + 1] = "", offset[32] = "";
    if (ask_row(conn, "SHOW STATUS LIKE 'binlog_snapshot_%'", 2, &res, err) < 0)
        return CDC_FAIL;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        if (strcasecmp(row[0], "binlog_snapshot_file") == 0)
            snprintf(file, sizeof file, "%s", row[1]);
        else if (strcasecmp(row[0], "binlog_snapshot_position") == 0)
            snprintf(offset, sizeof offset, "%s", row[1]);
    }
    if (!*file || !*offset)
        return cdc_fail(
            err, CDC_OPERATOR, "mysql",
            "the server tells no place of a snapshot (binlog_snapshot_file): the server writes "
            "no binary log; set log_bin in its configuration and restart it");
    return set_place(ret, file, offset, err);
}

/* The GTIDs before file:pos, MariaDB. */
int mys_gtids_at(MYSQL *conn, struct mys_pos *pos, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(4096);
    cdc_buf_str(&sql, "SELECT BINLOG_GTID_POS(");
    mys_literal_put(&sql, pos->file);
    cdc_buf_printf(&sql, ", %llu)", (unsigned long long)pos->pos);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? read_gtids(conn, text, true, &pos->gtids, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    return rc;
}

static int settled_mariadb(MYSQL *conn, struct mys_pos *ret, struct cdc_error *err)
{
    if (mys_query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT", NULL, err) < 0)
        return CDC_FAIL;
    int rc = mys_snapshot_place(conn, ret, err);
    if (rc == CDC_OK)
        rc = mys_gtids_at(conn, ret, err);
    if (rc == CDC_OK)
        rc = mys_query(conn, "ROLLBACK", NULL, err);
    return rc;
}

int mys_settled(MYSQL *conn, const struct mys_facts *facts, int64_t deadline_us,
                struct mys_pos *ret, struct cdc_error *err)
{
    struct mys_pos pos = {.kind = MYS_POS_TX, .gtids = {.mariadb = facts->mariadb}};
    int rc =
        facts->mariadb ? settled_mariadb(conn, &pos, err) : mys_log_end(conn, facts, &pos, err);
    if (rc == CDC_OK && !facts->mariadb && facts->gtids)
        rc = settled_gtids(conn, facts, deadline_us, &pos.gtids, err);
    if (rc == CDC_AGAIN)
        pos.pos = FIRST_POS;
    if (rc >= 0)
        *ret = pos;
    else
        mys_pos_done(&pos);
    return rc;
}
