/*
 * look.c - what the server says of its log and of our slot, for metrics and source.max_lag.
 *
 * One question on the ordinary connection, sent and waited for with a deadline of 2 s; where that
 * passes, or anything fails, the connection is given up and nothing is asked for a minute. No right
 * is needed: of sessions of other roles pg_stat_activity tells pid, user and transaction, but not
 * state and age.
 *
 * Who holds the log: the slot's restart_lsn stays behind the oldest transaction that was open when
 * the log was last released. A transaction that has an id for longer than HOLDER_S is named, of any
 * database, prepared ones too. Otherwise it is us, where much is received and not committed.
 */
#include "postgres.h"

#include "cdc/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_US   2000000
#define OFF_US    60000000
#define OWN_BYTES ((uint64_t)64 << 20) /* so much received and not committed is worth a word */
#define HOLDER_S  "5"

static const char question[] =
    "WITH at AS (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
    " ELSE pg_current_wal_flush_lsn() END AS lsn),"
    " open AS (SELECT 'session ' || a.pid || ' of ' || coalesce(a.usename::text, 'a worker')"
    "   || coalesce(' in ' || a.datname, '') || coalesce(', ' || a.state, '')"
    "   || coalesce(', transaction open for '"
    "     || extract(epoch FROM clock_timestamp() - a.xact_start)::bigint || ' s', '') AS who,"
    "   age(a.backend_xid) AS age,"
    "   a.xact_start FROM pg_stat_activity a"
    "   WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()"
    "  UNION ALL SELECT 'prepared transaction ' || quote_literal(p.gid) || ' of ' || p.owner"
    "   || ' in ' || p.database || ', open for '"
    "   || extract(epoch FROM clock_timestamp() - p.prepared)::bigint || ' s',"
    "   age(p.transaction), p.prepared FROM pg_prepared_xacts p)"
    " SELECT at.lsn, pg_wal_lsn_diff(at.lsn, s.restart_lsn), pg_wal_lsn_diff(at.lsn,"
    " s.confirmed_flush_lsn), s.wal_status, s.safe_wal_size,"
    " (SELECT who FROM open WHERE xact_start IS NULL"
    "   OR xact_start < clock_timestamp() - interval '" HOLDER_S " s' ORDER BY age DESC LIMIT 1)"
    " FROM at LEFT JOIN pg_replication_slots s ON s.slot_name = $1";

/* Everything the connection answers, until the deadline. NULL: it did not. */
static PGresult *answer(PGconn *conn, int64_t deadline_us)
{
    PGresult *res = NULL;
    for (;;) {
        while (!PQisBusy(conn)) {
            PGresult *next = PQgetResult(conn);
            if (!next)
                return res;
            PQclear(res);
            res = next;
        }
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
        int64_t left = deadline_us - cdc_mono_us();
        int rc = left > 0 ? poll(&fd, 1, (int)(left / 1000 + 1)) : 0;
        if (rc == 0 || (rc < 0 && errno != EINTR) || (rc > 0 && !PQconsumeInput(conn))) {
            PQclear(res);
            return NULL;
        }
    }
}

static int ask(struct pgs_source *src, PGresult **ret, struct cdc_error *err)
{
    int64_t deadline_us = cdc_mono_us() + LOOK_US;
    const char *args[] = {src->srv.slot};
    src->srv.connect_us = LOOK_US;
    int rc = pgs_sql(&src->srv, err);
    src->srv.connect_us = 0;
    if (rc < 0)
        return CDC_FAIL;
    if (!PQsendQueryParams(src->srv.sql, question, 1, NULL, args, NULL, NULL, 0))
        return pgs_fail(src->srv.sql, NULL, NULL, err);
    PGresult *res = answer(src->srv.sql, deadline_us);
    if (!res)
        return cdc_fail(err, CDC_RETRY, "postgres", "no answer from the server within 2 s");
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
        rc = pgs_fail(src->srv.sql, res, NULL, err);
        PQclear(res);
        return rc;
    }
    *ret = res;
    return CDC_OK;
}

static uint64_t number(const PGresult *res, int column)
{
    const char *text = PQgetvalue(res, 0, column);
    return *text && *text != '-' ? strtoull(text, NULL, 10) : 0; /* NULL is "" */
}

static void say_slot(const struct pgs_source *src, const PGresult *res,
                     struct cdc_source_status *ret)
{
    const char *status = PQgetvalue(res, 0, 3);
    if (!*status)
        return; /* no slot yet */
    if (PQgetisnull(res, 0, 4))
        snprintf(ret->slot, sizeof ret->slot, "slot %s: %s", src->srv.slot, status);
    else
        snprintf(ret->slot, sizeof ret->slot, "slot %s: %s, lost after %llu MiB more",
                 src->srv.slot, status, (unsigned long long)(number(res, 4) >> 20));
}

static void say_holder(const PGresult *res, struct cdc_source_status *ret)
{
    uint64_t unacked = number(res, 2);
    const char *who = PQgetvalue(res, 0, 5);
    if (*who)
        snprintf(ret->holder, sizeof ret->holder, "%s", who);
    else if (unacked > OWN_BYTES)
        snprintf(ret->holder, sizeof ret->holder,
                 "this pipeline: %llu MiB are not committed in the sink yet",
                 (unsigned long long)(unacked >> 20));
}

int pgs_look(struct cdc_source *base, struct cdc_source_status *ret, struct cdc_error *err)
{
    struct pgs_source *src = (struct pgs_source *)base;
    PGS_CLEAR PGresult *res = NULL;
    uint64_t end;
    if (cdc_mono_us() < src->look_off_us)
        return CDC_AGAIN;
    if (ask(src, &res, err) < 0) {
        pgs_sql_close(&src->srv);
        src->look_off_us = cdc_mono_us() + OFF_US;
        return CDC_FAIL;
    }
    *ret = (struct cdc_source_status){.held_bytes = number(res, 1)};
    snprintf(ret->end, sizeof ret->end, "%s", PQgetvalue(res, 0, 0));
    if (src->told > 0 && pgs_lsn_parse(ret->end, &end) == CDC_OK && end > src->told)
        ret->end_bytes = end - src->told;
    say_slot(src, res, ret);
    say_holder(res, ret);
    return CDC_OK;
}
