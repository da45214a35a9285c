/*
 * resume.c - the checkpoint against the server: where to begin, or why not.
 *
 *   checkpoint          server                              what
 *   empty               -                                   begin now: say the first position
 *   position            the same                            its log must still hold what follows
 *   position            another, or its log was made anew   by GTIDs alone: incarnation + 1
 *
 * "The same" is what the fingerprint names (MySQL: server_uuid; MariaDB has only the server_id) and
 * a log in which our file and offset can be. What must hold in any case, else it is refused:
 *  - all that we have emitted was executed there (saved GTIDs within gtid_executed): no restored
 *    backup, no other server, no replica that lacks the last transactions,
 *  - nothing was deleted that we have not read (gtid_purged within the saved GTIDs; without GTIDs:
 *    the file is there),
 *  - on the same server the last transaction stands where we read it, with its name and time: a
 *    backup that was restored and written to since may well have transactions of the same names.
 * Where a right to look is missing (SHOW BINARY LOGS, SHOW BINLOG EVENTS), that check is left out;
 * the server's own answer to the dump is still there.
 *
 * Places of another server, or of a log made anew, may be smaller than those emitted, hence the
 * incarnation. They are not known before its first event, so until then the position names a file
 * that sorts before any other.
 */
#include "mysql.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <jansson.h>
#include <mariadb/mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#define ANEW      "An empty sink and a new start begin again from now"
#define OTHER     "lies behind another transaction than the one that was read there"
#define SETTLE_US 2000000 /* then an earlier place will do, see mys_settled */
#define AGAIN_US  10000000
#define NO_FILE   "failover.000000"

/* ---- what is refused whatever the checkpoint says ---- */

static int no_right(MYSQL *conn, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(conn, "SELECT CURRENT_USER()", &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    const char *user = row && row[0] ? row[0] : "?@?", *host = strrchr(user, '@');
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "user %s may not read the server's log: GRANT REPLICATION SLAVE ON *.* TO "
                    "'%.*s'@'%s'; (by a role only while that is active: SET DEFAULT ROLE)",
                    user, host ? (int)(host - user) : 0, user, host ? host + 1 : "%");
}

static int check_right(MYSQL *conn, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *rights = NULL;
    if (mys_rights_read(conn, &rights, err) < 0)
        return CDC_FAIL;
    return mys_may(rights, "REPLICATION SLAVE") ? CDC_OK : no_right(conn, err);
}

/* ---- the first start ---- */

static int begin(struct mys_source *src, struct cdc_error *err)
{
    int rc =
        mys_copy_wanted(src->srv.cfg)
            ? mys_start_hold(src, &src->head, err)
            : mys_settled(src->srv.sql, &src->facts, cdc_mono_us() + SETTLE_US, &src->head, err);
    if (rc < 0)
        return rc;
    src->head.kind = MYS_POS_TX;
    src->head.gtids.mariadb = src->facts.mariadb;
    src->head.by_file = !src->facts.gtids;
    src->phase = MYS_SAY_FIRST;
    return CDC_OK;
}

/* ---- going on ---- */

/* Of the `source` in the checkpoint. */
struct origin {
    char ident[64];
    bool mariadb;
};

static int read_origin(const struct cdc_map *checkpoint, struct origin *ret, struct cdc_error *err)
{
    struct cdc_slice text = cdc_map_get(checkpoint, "source");
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *ident = json_string_value(json_object_get(json, "ident"));
    const char *flavour = json_string_value(json_object_get(json, "flavour"));
    int rc = CDC_OK;
    if (!type || strcmp(type, "mysql") != 0 || !ident || !flavour ||
        strlen(ident) >= sizeof ret->ident) {
        rc = cdc_fail(err, CDC_OPERATOR, "source",
                      "the checkpoint does not say which MySQL or MariaDB server it is of; was "
                      "this sink filled from another kind of source? Use an empty sink");
    } else {
        snprintf(ret->ident, sizeof ret->ident, "%s", ident);
        ret->mariadb = strcmp(flavour, "mariadb") == 0;
    }
    json_decref(json);
    return rc;
}

static int restored(const struct mys_source *src, const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "%s:%llu, our position, %s: the server was restored from a backup or lost the "
                    "end of its log, or another one answers, and changes that were emitted do not "
                    "exist any more. " ANEW,
                    src->head.file, (unsigned long long)src->head.pos, what);
}

/*
 * Is the server a replica that may still get what it lacks? MariaDB tells that only to who has a
 * right of its own for it (SLAVE MONITOR); else whoever was a replica ever counts as one.
 */
static bool may_catch_up(struct mys_source *src)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(src->srv.sql, mys_replica_status_sql(&src->facts), &res, NULL) == CDC_OK)
        return res && mysql_num_rows(res) > 0;
    if (!src->facts.mariadb ||
        mys_query(src->srv.sql, "SELECT @@GLOBAL.gtid_slave_pos", &res, NULL) < 0)
        return false;
    MYSQL_ROW row = mysql_fetch_row(res);
    return row && row[0] && row[0][0];
}

/* Not all that we have was executed there. */
static int not_executed(struct mys_source *src, struct cdc_error *err)
{
    if (!may_catch_up(src))
        return restored(src, "has GTIDs that the server has not executed", err);
    return cdc_fail(
        err, CDC_RETRY, "mysql",
        "the server is a replica and has not executed all that was emitted yet; it is "
        "waited for. If it was promoted: RESET REPLICA ALL there (MariaDB: and grant our "
        "user SLAVE MONITOR, without which it cannot be told)");
}

static int deleted(const struct mys_source *src, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the server has deleted log that was not read yet, or lost it in a crash with "
                    "sync_binlog off (our position is %s:%llu): changes are missing. " ANEW
                    " (binlog_expire_logs_seconds says how long the "
                    "server keeps its log)",
                    src->head.file, (unsigned long long)src->head.pos);
}

static int read_purged(MYSQL *conn, struct mys_gtids *ret, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_query(conn, "SELECT @@GLOBAL.gtid_purged", &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    return mys_gtids_parse(false, cdc_slice_str(row && row[0] ? row[0] : ""), ret, err);
}

/*
 * What the server has executed. MySQL: on the server of our position also what is on its way
 * (gtid_owned): a transaction is in the log, and may be with us, before the engine commits it;
 * a semi-synchronous source waits in between for as long as it likes. (Another server's applier may
 * yet give up what it works on.) Asked before the rest, so that what ends meanwhile is in one.
 */
static int read_executed(struct mys_source *src, bool same, struct mys_gtids *ret,
                         struct cdc_error *err)
{
    struct mys_gtids owned = {.mariadb = false};
    int rc = same && !src->facts.mariadb ? mys_owned(src->srv.sql, &owned, err) : CDC_OK;
    if (rc == CDC_OK)
        rc = mys_executed(src->srv.sql, &src->facts, ret, err);
    if (rc == CDC_OK && mys_set_union(&ret->set, &owned.set) < 0)
        rc = cdc_fail_oom(err);
    mys_gtids_done(&owned);
    return rc;
}

/* Has the server executed all that we have, and does it still have all that we have not? */
static int check_sets(struct mys_source *src, bool same, struct cdc_error *err)
{
    struct mys_gtids have = {.mariadb = src->facts.mariadb}, purged = {.mariadb = false};
    if (!src->facts.gtids)
        return CDC_OK;
    int rc = read_executed(src, same, &have, err);
    if (rc == CDC_OK && !mys_gtids_subset(&src->head.gtids, &have))
        rc = not_executed(src, err);
    if (rc == CDC_OK && !src->facts.mariadb)
        rc = read_purged(src->srv.sql, &purged, err);
    if (rc == CDC_OK && !mys_gtids_subset(&purged, &src->head.gtids))
        rc = deleted(src, err);
    mys_gtids_done(&have);
    mys_gtids_done(&purged);
    return rc;
}

/* Does the text name that GTID, and not a longer one? */
static bool names(const char *info, const char *id)
{
    const char *at = strstr(info, id);
    size_t len = strlen(id);
    return at && (at[len] < '0' || at[len] > '9');
}

/* Is there an event at the last transaction's place, of its name? CDC_END: no right to know. */
static int check_place(struct mys_source *src, struct cdc_error *err)
{
    const struct mys_at *last = &src->head.last;
    struct cdc_buf sql = CDC_BUF(2048);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, "SHOW BINLOG EVENTS IN ");
    mys_literal_put(&sql, last->file);
    cdc_buf_printf(&sql, " FROM %llu LIMIT 1", (unsigned long long)last->pos);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(src->srv.sql, text, &res, err) : cdc_fail_oom(err);
    unsigned code = rc < 0 && text ? mysql_errno(src->srv.sql) : 0;
    cdc_buf_done(&sql);
    if (code == ER_SPECIFIC_ACCESS_DENIED_ERROR)
        return CDC_END;
    if (code == ER_ERROR_WHEN_EXECUTING_COMMAND)
        return restored(src, "lies behind a transaction that is not in the log any more", err);
    if (rc < 0)
        return rc;
    MYSQL_ROW row = res ? mysql_fetch_row(res) : NULL;
    if (!row || mysql_num_fields(res) < 6 || !row[5] || (last->id[0] && !names(row[5], last->id)))
        return restored(src, OTHER, err);
    return CDC_OK;
}

/* The first event of the log from `dump` that is of a transaction; its commit time. */
static int first_us(const struct mys_source *src, struct mys_dump *dump, int64_t *ret,
                    struct cdc_error *err)
{
    struct mys_format fmt = {.checksum = src->facts.checksum, .mariadb = src->facts.mariadb};
    int64_t deadline_us = cdc_mono_us() + AGAIN_US;
    struct cdc_slice bytes;
    struct mys_event ev;
    int rc;
    while ((rc = mys_dump_next(dump, deadline_us, &bytes, err)) == CDC_OK) {
        if (mys_decode_head(&fmt, bytes, &ev, err) < 0 || mys_decode(&fmt, &ev, err) < 0)
            return CDC_FAIL;
        if (ev.kind == MYS_FORMAT)
            fmt = ev.format;
        if (ev.kind == MYS_GTID || ev.kind == MYS_QUERY) {
            *ret = mys_commit_us(&ev);
            return CDC_OK;
        }
    }
    return rc;
}

/*
 * On the same server: the last transaction must stand where we read it. Its name and place alone
 * could be those of another, in a backup that was restored and written to since; so it is read
 * again, and must have been committed in the same second (MariaDB tells no more).
 */
static int check_last(struct mys_source *src, struct cdc_error *err)
{
    const struct mys_at *last = &src->head.last;
    const struct mys_dump_start start = {.file = last->file, .pos = last->pos, .once = true};
    struct mys_dump *dump = NULL;
    int64_t us = 0;
    int rc = check_place(src, err);
    if (rc < 0 || last->pos > UINT32_MAX) /* farther than can be asked for without GTIDs */
        return rc < 0 ? rc : CDC_OK;
    rc = mys_dump_open(&src->srv, &src->facts, &start, &dump, err);
    if (rc == CDC_OK)
        rc = first_us(src, dump, &us, err);
    mys_dump_close(dump);
    if (rc == CDC_AGAIN)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the last transaction that was read did not come again within 10 s");
    if (rc < 0)
        return rc;
    if (rc == CDC_END || us / 1000000 != last->us / 1000000)
        return restored(src, OTHER, err);
    return CDC_OK;
}

static int other_server(struct mys_source *src, const char *why, struct cdc_error *err)
{
    struct mys_pos *head = &src->head;
    struct cdc_slice number = cdc_map_get(&src->known, "incarnation");
    char text[24];
    if (!src->facts.gtids)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "%s, and there are no GTIDs by which to find our place in its log. Correct "
                        "source.url; or: " ANEW,
                        why);
    if (src->resume.kind == MYS_POS_CUT)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "the position lies inside a transaction, and %s. " ANEW, why);
    snprintf(text, sizeof text, "%.*s", number.p ? (int)number.len : 1,
             number.p ? (const char *)number.p : "1");
    src->incarnation = (uint32_t)strtoul(text, NULL, 10) + 1;
    src->phase = MYS_SAY_FAILOVER;
    snprintf(head->file, sizeof head->file, NO_FILE);
    head->pos = 4;
    head->last = (struct mys_at){.pos = 0};
    for (struct mys_prepared *prep = head->prepared; prep; prep = prep->next) {
        prep->at.file[0] = 0;
        prep->at.pos = 0;
    }
    cdc_log(CDC_LOG_INFO, "mysql: %s: going on by GTIDs", why);
    return CDC_OK;
}

/* The server that the checkpoint names: is its log still the one that we read? */
static int same_server(struct mys_source *src, struct cdc_error *err)
{
    struct mys_logs logs;
    int rc = mys_logs_look(src->srv.sql, src->head.file, src->head.pos, &logs, err);
    if (rc < 0)
        return rc;
    if (rc == CDC_END) /* no right to know; an older file may have been deleted since */
        return strcmp(src->head.last.file, src->head.file) == 0 ? check_last(src, err) : CDC_OK;
    if (logs.where == MYS_LOG_AHEAD)
        return src->facts.gtids ? other_server(src, "the server's log was made anew", err)
                                : restored(src, "lies behind the end of the server's log", err);
    if (logs.where == MYS_LOG_GONE)
        return src->facts.gtids ? CDC_OK : deleted(src, err);
    if (src->head.last.file[0] && mys_at_order(src->head.last.file, 0, logs.first, 0) >= 0)
        return check_last(src, err);
    return CDC_OK;
}

/* GTIDs count only where both the saved position and the server have them. */
static void settle_gtids(struct mys_source *src)
{
    if (src->head.by_file && src->facts.gtids)
        cdc_log(CDC_LOG_WARN,
                "mysql: this pipeline began without GTIDs and goes on by file and offset, which no "
                "failover survives; a new one, with an empty sink, uses them");
    if (src->head.by_file)
        src->facts.gtids = false;
    if (!src->facts.gtids) {
        src->head.by_file = true;
        mys_gtids_done(&src->head.gtids);
    }
    src->head.gtids.mariadb = src->facts.mariadb;
}

static int go_on(struct mys_source *src, const struct cdc_map *checkpoint, struct cdc_error *err)
{
    struct origin origin;
    char why[192];
    if (read_origin(checkpoint, &origin, err) < 0)
        return CDC_FAIL;
    bool same = strcmp(origin.ident, src->facts.ident) == 0;
    settle_gtids(src);
    src->phase = MYS_START;
    if (check_sets(src, same, err) < 0)
        return CDC_FAIL;
    if (same)
        return same_server(src, err);
    snprintf(why, sizeof why, "another server answers (%s, the checkpoint is of %s)",
             src->facts.ident, origin.ident);
    return other_server(src, why, err);
}

/* The saved position as head, and as what is expected first where it lies inside a transaction. */
static int take_position(struct mys_source *src, struct cdc_slice text, struct cdc_error *err)
{
    struct mys_pos *head = &src->head;
    if (mys_pos_parse(src->facts.mariadb, text, head) < 0)
        return cdc_fail(err, CDC_OPERATOR, "position",
                        "the checkpoint's position is none of a %s server's; was this sink filled "
                        "from another kind of source? Use an empty sink",
                        src->facts.mariadb ? "MariaDB" : "MySQL");
    if (head->kind == MYS_POS_TX)
        return CDC_OK;
    src->resume =
        (struct mys_pos){.kind = MYS_POS_CUT, .tx = head->tx, .n = head->n, .crc = head->crc};
    head->kind = MYS_POS_TX;
    head->tx = (struct mys_at){.pos = 0};
    head->n = head->crc = 0;
    return CDC_OK;
}

int mys_resume(struct mys_source *src, const struct cdc_map *checkpoint, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF((size_t)16 << 20);
    if (mys_facts_refuse(&src->facts, &src->srv, err) < 0 || check_right(src->srv.sql, err) < 0 ||
        mys_links_check(src, err) < 0)
        return CDC_FAIL;
    int rc = cdc_map_get_text(checkpoint, "position", &text, err);
    if (rc == CDC_END) {
        rc = begin(src, err);
    } else if (rc == CDC_OK) {
        rc = take_position(src, cdc_buf_slice(&text), err);
        if (rc == CDC_OK)
            rc = go_on(src, checkpoint, err);
    }
    cdc_buf_done(&text);
    return rc;
}
