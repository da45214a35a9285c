/*
 * slot.c - the replication slot: may we go on from it, and how is it made.
 *
 * The slot and the checkpoint explain each other, or we refuse:
 *
 *   checkpoint       slot      what
 *   empty            absent    say `creating`, then make publication and slot, then the first
 * position creating         any       it is ours (nothing was ever emitted from it): drop it, make
 * it again empty            there     refuse, unless adopt_slot: somebody else's, or our sink was
 * lost position         absent    refuse: the log since is gone position         there     compare:
 * same cluster and database, timeline (or a switch that we are not past), confirmed_flush <=
 * position <= end of the server's log
 *
 * Making a slot waits for every transaction that is open anywhere on the server. It is asked for
 * without blocking and without lock_timeout: a timeout would start the wait anew, and a server that
 * always has some transaction of a second open would never come to an end.
 */
#include "snap.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_true(const PGresult *res, int col)
{
    const char *val = PQgetvalue(res, 0, col);
    return val[0] == 't';
}

static void copy(const PGresult *res, int col, char *ret, size_t size)
{
    snprintf(ret, size, "%s", PQgetvalue(res, 0, col));
}

int pgs_slot_look(struct pgs_server *srv, struct pgs_slot *ret, struct cdc_error *err)
{
    const char *args[] = {srv->slot, NULL};
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_slot slot = {.exists = false};
    int rc = pgs_query(srv,
                       "SELECT s.active, s.temporary, j->>'two_phase', j->>'synced', s.plugin,"
                       " s.slot_type, s.database, s.wal_status, coalesce(j->>'invalidation_reason',"
                       " CASE WHEN j->>'conflicting' = 'true' THEN 'conflict' END),"
                       " s.active_pid, s.confirmed_flush_lsn "
                       "FROM pg_replication_slots s, to_jsonb(s) j WHERE s.slot_name = $1",
                       args, &res, err);
    if (rc < 0)
        return rc;
    if (PQntuples(res) == 1) {
        slot.exists = true;
        slot.active = is_true(res, 0);
        slot.temporary = is_true(res, 1);
        slot.two_phase = is_true(res, 2);
        slot.synced = is_true(res, 3);
        copy(res, 4, slot.plugin, sizeof slot.plugin);
        copy(res, 5, slot.type, sizeof slot.type);
        copy(res, 6, slot.database, sizeof slot.database);
        copy(res, 7, slot.wal_status, sizeof slot.wal_status);
        copy(res, 8, slot.invalid, sizeof slot.invalid);
        slot.pid = atoi(PQgetvalue(res, 0, 9));
        if (!PQgetisnull(res, 0, 10) && pgs_lsn_parse(PQgetvalue(res, 0, 10), &slot.confirmed) < 0)
            return cdc_fail(err, CDC_FATAL, "postgres", "confirmed_flush_lsn is no LSN");
    }
    *ret = slot;
    return CDC_OK;
}

#define ANEW "`sidestream drop`, an empty sink, and a new start begin again from now"

/* Is it a slot that we can read at all? */
static int usable(const struct pgs_source *src, const struct pgs_slot *slot, struct cdc_error *err)
{
    const char *name = src->srv.slot;
    if (strcmp(slot->type, "logical") != 0 || strcmp(slot->plugin, "pgoutput") != 0)
        return cdc_fail(
            err, CDC_OPERATOR, name,
            "slot \"%s\" is a %s slot with plugin \"%s\", not one of ours; choose another "
            "name with source.slot",
            name, slot->type, slot->plugin);
    if (strcmp(slot->database, src->srv.database) != 0)
        return cdc_fail(err, CDC_OPERATOR, name,
                        "slot \"%s\" belongs to database \"%s\", not \"%s\"; correct source.url or "
                        "choose another name with source.slot",
                        name, slot->database, src->srv.database);
    if (strcmp(slot->wal_status, "lost") == 0 || slot->invalid[0])
        return cdc_fail(
            err, CDC_OPERATOR, name,
            "slot \"%s\" was invalidated by the server (%s): the log it needs is gone and "
            "changes are missing. Raise max_slot_wal_keep_size; " ANEW,
            name, slot->invalid[0] ? slot->invalid : "wal_status lost");
    if (slot->two_phase)
        return cdc_fail(
            err, CDC_OPERATOR, name,
            "slot \"%s\" was made with two_phase, which loses rows here; drop it and let "
            "sidestream make its own",
            name);
    if (slot->temporary)
        return cdc_fail(err, CDC_OPERATOR, name, "slot \"%s\" is temporary; choose another name",
                        name);
    return CDC_OK;
}

int pgs_fingerprint(const struct pgs_source *src, struct cdc_buf *ret)
{
    json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "type", "postgres", "systemid",
                             src->ident.systemid, "timeline", (json_int_t)src->ident.timeline,
                             "database", src->srv.database, "slot", src->srv.slot, "publication",
                             src->srv.pubs[PGS_PUB_ALL]);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text)
        cdc_buf_str(ret, text);
    free(text);
    return text && !ret->failed ? CDC_OK : CDC_FAIL;
}

/* The LSN at which `timeline` ended, out of a history file's lines "timeline<TAB>LSN<TAB>why". */
static int switch_lsn(const char *history, uint32_t timeline, uint64_t *ret)
{
    for (const char *line = history; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *end, lsn[32];
        unsigned long at = strtoul(line, &end, 10);
        if (end == line || at != timeline)
            continue;
        end += strspn(end, " \t");
        snprintf(lsn, sizeof lsn, "%.*s", (int)strcspn(end, " \t\n"), end);
        return pgs_lsn_parse(lsn, ret);
    }
    return CDC_FAIL;
}

/* The server changed its timeline (a promotion): was what we have committed before the switch? */
static int follow_timeline(struct pgs_source *src, uint32_t saved, const struct cdc_map *checkpoint,
                           struct cdc_error *err)
{
    char sql[64];
    uint64_t lsn;
    PGS_CLEAR PGresult *res = NULL;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, src->ident.timeline);
    if (src->ident.timeline > saved) { /* the first one has no history */
        res = PQexec(src->wal, sql);
        if (PQresultStatus(res) != PGRES_TUPLES_OK)
            return pgs_fail(src->wal, res, NULL, err);
    }
    if (!res || switch_lsn(PQgetvalue(res, 0, 1), saved, &lsn) < 0)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "the server is on timeline %" PRIu32
                        ", which does not descend from %" PRIu32
                        ", where we were: another server, or a restored backup. " ANEW,
                        src->ident.timeline, saved);
    if (src->resume.end > lsn)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "the server left timeline %" PRIu32 " at " PGS_LSN_FMT
                        ", before our position " PGS_LSN_FMT
                        ": changes that were emitted do not exist any more. " ANEW,
                        saved, PGS_LSN(lsn), PGS_LSN(src->resume.end));
    if (src->resume.kind == PGS_POS_CUT)
        return cdc_fail(err, CDC_OPERATOR, "postgres",
                        "the position lies inside a transaction and the server was replaced by "
                        "another (timeline %" PRIu32 " to %" PRIu32 "). " ANEW,
                        saved, src->ident.timeline);
    struct cdc_slice number = cdc_map_get(checkpoint, "incarnation");
    char text[24];
    snprintf(text, sizeof text, "%.*s", number.p ? (int)number.len : 1,
             number.p ? (const char *)number.p : "1");
    src->incarnation = (uint32_t)strtoul(text, NULL, 10) + 1;
    src->phase = PGS_SAY_FAILOVER;
    return CDC_OK;
}

static int same_server(struct pgs_source *src, const struct cdc_map *checkpoint,
                       struct cdc_error *err)
{
    struct cdc_slice text = cdc_map_get(checkpoint, "source");
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    const char *systemid = json_string_value(json_object_get(json, "systemid"));
    const char *database = json_string_value(json_object_get(json, "database"));
    uint32_t timeline = (uint32_t)json_integer_value(json_object_get(json, "timeline"));
    int rc = CDC_OK;
    if (!systemid || !database || timeline == 0)
        rc = cdc_fail(err, CDC_OPERATOR, "source",
                      "the checkpoint does not say which PostgreSQL server it is of; was this sink "
                      "filled from another kind of source? Use an empty sink");
    else if (strcmp(systemid, src->ident.systemid) != 0)
        rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "another server answers at this address: its system identifier is %s, the "
                      "checkpoint's is %s. Correct source.url; or " ANEW,
                      src->ident.systemid, systemid);
    else if (strcmp(database, src->srv.database) != 0)
        rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "the checkpoint is of database \"%s\", source.url names \"%s\"; correct it",
                      database, src->srv.database);
    else if (timeline != src->ident.timeline)
        rc = follow_timeline(src, timeline, checkpoint, err);
    json_decref(json);
    return rc;
}

static int verify(struct pgs_source *src, const struct pgs_slot *slot,
                  const struct cdc_map *checkpoint, struct cdc_error *err)
{
    const struct pgs_pos *pos = &src->resume;
    src->phase = PGS_START;
    if (same_server(src, checkpoint, err) < 0)
        return CDC_FAIL;
    if (!slot->exists)
        return cdc_fail(
            err, CDC_OPERATOR, src->srv.slot,
            "slot \"%s\" does not exist any more, so the log since our position " PGS_LSN_FMT
            " is lost: changes are missing. " ANEW,
            src->srv.slot, PGS_LSN(pos->end));
    if (usable(src, slot, err) < 0)
        return CDC_FAIL;
    if (slot->confirmed > pos->commit)
        return cdc_fail(err, CDC_OPERATOR, src->srv.slot,
                        "slot \"%s\" has moved on to " PGS_LSN_FMT
                        ", past our position " PGS_LSN_FMT
                        ": somebody else used it, or an older copy of the sink was restored; "
                        "changes are missing. " ANEW,
                        src->srv.slot, PGS_LSN(slot->confirmed), PGS_LSN(pos->commit));
    if (pos->end > src->ident.lsn)
        return cdc_fail(err, src->ident.standby ? CDC_RETRY : CDC_OPERATOR, "postgres",
                        "our position " PGS_LSN_FMT
                        " lies beyond the end of the server's log, " PGS_LSN_FMT
                        ": it was restored from a backup, and changes that were emitted "
                        "do not exist any more. " ANEW,
                        PGS_LSN(pos->end), PGS_LSN(src->ident.lsn));
    return CDC_OK;
}

/* No position, no `creating`, and yet a slot. */
static int adopt(struct pgs_source *src, const struct pgs_slot *slot, struct cdc_error *err)
{
    if (!src->srv.adopt)
        return cdc_fail(
            err, CDC_OPERATOR, src->srv.slot,
            "the sink is empty, but slot \"%s\" exists: its sink was lost or replaced, or "
            "the slot belongs to another pipeline. Give the old sink back; or drop the "
            "slot (`sidestream drop`) and begin again from now; or begin at the slot's "
            "own position with source.adopt_slot: true",
            src->srv.slot);
    if (usable(src, slot, err) < 0)
        return CDC_FAIL;
    if (slot->confirmed == 0)
        return cdc_fail(err, CDC_RETRY, src->srv.slot, "slot \"%s\" is still being created",
                        src->srv.slot);
    src->head =
        (struct pgs_pos){.kind = PGS_POS_IDLE, .commit = slot->confirmed, .end = slot->confirmed};
    src->phase = PGS_SAY_FIRST;
    return CDC_OK;
}

static int begin(struct pgs_source *src, const struct pgs_slot *slot, bool creating,
                 struct cdc_error *err)
{
    if (src->srv.manage == PGS_MANAGE_NONE)
        return slot->exists
                   ? adopt(src, slot, err)
                   : cdc_fail(err, CDC_OPERATOR, src->srv.slot,
                              "slot \"%s\" does not exist and source.manage is none: SELECT "
                              "pg_create_logical_replication_slot('%s', 'pgoutput'); and set "
                              "source.adopt_slot: true for the first start",
                              src->srv.slot, src->srv.slot);
    if (slot->exists && !creating)
        return adopt(src, slot, err);
    if (src->srv.failover && src->srv.version < 170000)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(src->srv.cfg->source, "failover"),
                        "source.failover needs PostgreSQL 17, the server is %d",
                        src->srv.version / 10000);
    if (slot->exists) {
        cdc_log(CDC_LOG_INFO, "postgres: slot %s of an unfinished start is made again",
                src->srv.slot);
        if (pgs_slot_drop(&src->srv, err) < 0)
            return CDC_FAIL;
    }
    src->phase = creating ? PGS_CREATE : PGS_SAY_CREATING;
    return CDC_OK;
}

int pgs_slot_resume(struct pgs_source *src, const struct cdc_map *checkpoint, struct cdc_error *err)
{
    struct pgs_slot slot;
    struct cdc_buf text = CDC_BUF(4096);
    int rc = cdc_map_get_text(checkpoint, "position", &text, err);
    if (rc == CDC_OK && pgs_pos_parse(cdc_buf_slice(&text), &src->resume) < 0)
        rc =
            cdc_fail(err, CDC_OPERATOR, "position",
                     "the checkpoint's position is none of PostgreSQL's; was this sink filled from "
                     "another kind of source? Use an empty sink");
    cdc_buf_done(&text);
    if (rc < 0 || pgs_slot_look(&src->srv, &slot, err) < 0)
        return CDC_FAIL;
    if (rc == CDC_OK)
        return verify(src, &slot, checkpoint, err);
    return begin(src, &slot, cdc_map_get(checkpoint, "creating").p != NULL, err);
}

/* One that was being made by a session whose client was killed goes by itself: also just now. */
int pgs_slot_drop(struct pgs_server *srv, struct cdc_error *err)
{
    const char *args[] = {srv->slot, NULL};
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_slot slot;
    if (pgs_query(srv, "SELECT pg_drop_replication_slot($1)", args, &res, err) == CDC_OK)
        return CDC_OK;
    bool gone =
        err->action == CDC_OPERATOR && pgs_slot_look(srv, &slot, NULL) == CDC_OK && !slot.exists;
    return gone ? CDC_OK : CDC_FAIL;
}

int pgs_slot_create(struct pgs_source *src, struct cdc_error *err)
{
    char sql[256];
    bool copy = pgs_copy_wanted(src->srv.cfg);
    const char *plain = copy ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT";
    const char *failover =
        copy ? "(SNAPSHOT 'export', FAILOVER)" : "(SNAPSHOT 'nothing', FAILOVER)";
    snprintf(sql, sizeof sql, "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput %s", src->srv.slot,
             src->srv.failover ? failover : plain);
    return PQsendQuery(src->wal, sql) ? CDC_OK : pgs_fail(src->wal, NULL, NULL, err);
}

int pgs_slot_created(struct pgs_source *src, uint64_t *ret, struct cdc_error *err)
{
    if (!PQconsumeInput(src->wal))
        return pgs_fail(src->wal, NULL, NULL, err);
    if (PQisBusy(src->wal))
        return CDC_AGAIN;
    PGS_CLEAR PGresult *res = PQgetResult(src->wal);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
        return pgs_fail(src->wal, res, NULL, err);
    if (pgs_lsn_parse(PQgetvalue(res, 0, 1), ret) < 0)
        return cdc_fail(err, CDC_FATAL, "postgres", "CREATE_REPLICATION_SLOT gave no LSN");
    for (PGresult *more; (more = PQgetResult(src->wal)) != NULL;)
        PQclear(more);
    CDC_POINT("postgres.slot_made");
    /* The snapshot ends with the next command on this connection. */
    return PQgetisnull(res, 0, 2) ? CDC_OK : pgs_start_hold(src, PQgetvalue(res, 0, 2), *ret, err);
}

void pgs_slot_holder(struct pgs_source *src, char *ret, size_t size)
{
    char pid[16];
    const char *args[] = {pid, NULL};
    PGS_CLEAR PGresult *res = NULL;
    snprintf(pid, sizeof pid, "%d", PQbackendPID(src->wal));
    int rc =
        pgs_query(&src->srv,
                  "SELECT a.pid, a.usename, a.datname, a.application_name, a.state,"
                  " date_trunc('second', clock_timestamp() - a.xact_start) "
                  "FROM pg_locks w JOIN pg_locks h ON h.locktype = 'transactionid' AND h.granted"
                  " AND h.transactionid = w.transactionid JOIN pg_stat_activity a ON a.pid = h.pid "
                  "WHERE w.locktype = 'transactionid' AND NOT w.granted AND w.pid = $1::int",
                  args, &res, NULL);
    if (rc == CDC_OK && PQntuples(res) > 0)
        snprintf(ret, size,
                 "the open transaction of session %s (user %s, database %s, application \"%s\", "
                 "%s, open for %s)",
                 PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2),
                 PQgetvalue(res, 0, 3), PQgetvalue(res, 0, 4), PQgetvalue(res, 0, 5));
    else if (src->ident.standby)
        snprintf(
            ret, size,
            "the primary's next note of running transactions (SELECT pg_log_standby_snapshot() "
            "there writes one)");
    else
        snprintf(ret, size, "open transactions");
}

void pgs_slot_blame(struct pgs_source *src)
{
    char who[512];
    pgs_slot_holder(src, who, sizeof who);
    cdc_log(CDC_LOG_WARN, "postgres: making slot %s waits for %s", src->srv.slot, who);
}
