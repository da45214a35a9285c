/*
 * snap_session.c - a session that reads under a snapshot, and where an exact snapshot comes from.
 *
 * CREATE_REPLICATION_SLOT TEMPORARY ... EXPORT_SNAPSHOT on a walsender gives a snapshot and a
 * consistent point P. The snapshot contains exactly the transactions whose commit LSN is smaller
 * than P (facts 5.2: every comparison of LSNs with an ordinary snapshot loses rows). It waits for
 * every transaction that is open then, of any database; on a standby for the primary's next record
 * of running transactions. When the walsender ends, so does the slot: no log is held back, only old
 * row versions, by those who have imported the snapshot.
 */
#include "snap.h"

#include "cdc/clock.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SLICE_US       100000
#define BLAME_FIRST_US 3000000
#define BLAME_US       30000000

struct pgs_session pgs_session_of(struct pgs_source *src)
{
    return (struct pgs_session){.src = src, .conn = src->srv.sql, .knows = &src->srv.sql_knows};
}

bool pgs_session_stopped(const struct pgs_session *ses)
{
    return (ses->signalled && *ses->signalled) || (ses->stop && atomic_load(ses->stop));
}

int pgs_session_stop_fail(struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "postgres", "stopped by a signal");
}

int pgs_session_result(struct pgs_session *ses, PGconn *conn, PGresult **ret, struct cdc_error *err)
{
    while (PQisBusy(conn)) {
        if (pgs_session_stopped(ses))
            return pgs_session_stop_fail(err);
        pgs_wait(ses->src, PQsocket(conn), POLLIN, cdc_mono_us() + SLICE_US);
        if (!PQconsumeInput(conn))
            return pgs_fail(conn, NULL, NULL, err);
    }
    *ret = PQgetResult(conn);
    return CDC_OK;
}

static int count(const char *const *args)
{
    int n = 0;
    while (args && args[n])
        n++;
    return n;
}

static bool comes_again(const char *state)
{
    static const char *const states[] = {
        "55P03",          /* locked */
        "42P01",          /* no such table */
        "22023", "42704", /* no such snapshot: before 17, since */
        "40001",          /* a standby replays what takes the rows away */
        "72000",          /* snapshot too old */
    };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

/* One result of several: the first failure counts, else the last. */
static int keep(struct pgs_session *ses, PGresult *res, PGresult **kept, struct cdc_error *err)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_OUT) {
        PQclear(*kept);
        *kept = res;
        return CDC_OK;
    }
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    snprintf(ses->state, sizeof ses->state, "%s", state ? state : "");
    pgs_fail(ses->conn, res, NULL, err);
    PQclear(res);
    return comes_again(ses->state) ? CDC_AGAIN : CDC_FAIL;
}

/* What came of the statements that were sent, if they were. */
static int collect(struct pgs_session *ses, int sent, PGresult **ret, struct cdc_error *err)
{
    PGresult *res = NULL, *kept = NULL;
    int rc = CDC_OK;
    ses->state[0] = 0;
    if (!sent)
        return pgs_fail(ses->conn, NULL, NULL, err);
    do {
        if (pgs_session_result(ses, ses->conn, &res, err) < 0) {
            PQclear(kept);
            return CDC_FAIL;
        }
        if (res && rc == CDC_OK)
            rc = keep(ses, res, &kept, err);
        else
            PQclear(res);
    } while (res && PQstatus(ses->conn) == CONNECTION_OK &&
             (rc != CDC_OK || PQresultStatus(kept) != PGRES_COPY_OUT));
    if (rc == CDC_OK && ret)
        *ret = kept;
    else
        PQclear(kept);
    return rc;
}

int pgs_session_run(struct pgs_session *ses, const char *sql, const char *const *args,
                    PGresult **ret, struct cdc_error *err)
{
    if (!sql)
        return cdc_fail_oom(err);
    return collect(ses,
                   args ? PQsendQueryParams(ses->conn, sql, count(args), NULL, args, NULL, NULL, 0)
                        : PQsendQuery(ses->conn, sql),
                   ret, err);
}

int pgs_session_ask(struct pgs_session *ses, enum pgs_question question, const char *sql,
                    const char *const *args, PGresult **ret, struct cdc_error *err)
{
    static const char *const names[] = {"shape", "table", "key", "size"};
    const char *name = names[question];
    if (!(*ses->knows & 1u << question)) {
        int rc = collect(ses, PQsendPrepare(ses->conn, name, sql, 0, NULL), NULL, err);
        if (rc != CDC_OK)
            return rc;
        *ses->knows |= 1u << question;
    }
    return collect(ses, PQsendQueryPrepared(ses->conn, name, count(args), args, NULL, NULL, 0), ret,
                   err);
}

void pgs_session_cancel(PGconn *conn)
{
    char text[256];
    PGcancel *what = conn && PQtransactionStatus(conn) == PQTRANS_ACTIVE ? PQgetCancel(conn) : NULL;
    if (what && !PQcancel(what, text, sizeof text))
        cdc_log(CDC_LOG_DEBUG, "postgres: a statement could not be cancelled");
    PQfreeCancel(what);
}

bool pgs_snapshot_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 64 && name[strspn(name, "0123456789ABCDEFabcdef-")] == 0;
}

/* ---- the temporary slot ---- */

static int late(struct pgs_source *src, struct cdc_error *err)
{
    char who[256];
    pgs_slot_holder(src, who, sizeof who);
    (void)cdc_fail(err, CDC_RETRY, "postgres",
                   "transactions that were open on the server (in any database) did not end in "
                   "time, and a snapshot at a known place waits for them: %s; end it, or allow "
                   "more time",
                   who);
    return CDC_AGAIN;
}

/* Waits for the slot as long as it may take, and says now and then for whom. */
static int wait_slot(struct pgs_session *ses, int64_t deadline_us, struct cdc_error *err)
{
    struct pgs_source *src = ses->src;
    for (int64_t blame_us = cdc_mono_us() + BLAME_FIRST_US; PQisBusy(src->wal);) {
        int64_t now = cdc_mono_us();
        if (pgs_session_stopped(ses))
            return pgs_session_stop_fail(err);
        if (now >= deadline_us)
            return late(src, err);
        if (now >= blame_us) {
            blame_us = now + BLAME_US;
            pgs_slot_blame(src);
        }
        int64_t until = now + SLICE_US;
        pgs_wait(src, PQsocket(src->wal), POLLIN, until < deadline_us ? until : deadline_us);
        if (!PQconsumeInput(src->wal))
            return pgs_fail(src->wal, NULL, NULL, err);
    }
    return CDC_OK;
}

static int take_slot(struct pgs_source *src, struct pgs_exported *ret, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = PQgetResult(src->wal);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1 ||
        pgs_lsn_parse(PQgetvalue(res, 0, 1), &ret->point) != CDC_OK)
        return pgs_fail(src->wal, res, NULL, err);
    if (!pgs_snapshot_name(PQgetvalue(res, 0, 2)))
        return cdc_fail(err, CDC_FATAL, "postgres", "the exported snapshot has an odd name");
    snprintf(ret->name, sizeof ret->name, "%s", PQgetvalue(res, 0, 2));
    return CDC_OK;
}

int pgs_slot_export(struct pgs_session *ses, int64_t deadline_us, struct pgs_exported *ret,
                    struct cdc_error *err)
{
    struct pgs_source *src = ses->src;
    uint32_t random = 0;
    char sql[160];
    if (!src->wal && pgs_connect(&src->srv, true, &src->wal, err) < 0)
        return CDC_FAIL;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)cdc_now_us();
    snprintf(src->srv.slot, sizeof src->srv.slot, "sidestream_%.41s_v%08" PRIx32,
             src->srv.cfg->name, random);
    snprintf(sql, sizeof sql,
             "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT",
             src->srv.slot);
    if (!PQsendQuery(src->wal, sql))
        return pgs_fail(src->wal, NULL, NULL, err);
    int rc = wait_slot(ses, deadline_us, err);
    return rc == CDC_OK ? take_slot(src, ret, err) : rc;
}
