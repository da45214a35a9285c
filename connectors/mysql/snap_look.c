/*
 * snap_look.c - consistent snapshots in several sessions, and the place of them in the log.
 *
 *   MariaDB  START TRANSACTION WITH CONSISTENT SNAPSHOT has a place of its own, exactly. Several
 *            sessions that show one place show one state.
 *   MySQL    a snapshot has none. Where the log ended at one place before and behind all of them,
 *            gtid_executed was one set, and no transaction was on its way (gtid_owned) behind them,
 *            they contain exactly what lies before that place: a transaction gets its GTID before
 *            it is written, is visible before it is in gtid_executed, and is in there before it
 *            leaves gtid_owned; so gtid_owned is read first. A server that is written to all the
 *            time never comes to that; then a global read lock holds commits up for as many round
 *            trips as there are sessions, and three.
 *
 * FLUSH TABLES WITH READ LOCK waits for statements that run (at MySQL), and everything that writes
 * waits behind it: so it waits a second at most, a few times. What it got so far it keeps when it
 * fails. And then all who use a table of a statement that still runs wait for the end of that
 * statement, however long it takes: so it is not tried while one is seen that has run for a second
 * (of other users: with the right PROCESS). If we die with the lock, the server would not notice
 * for hours: so the session that has it is one that the server ends when it is silent for long.
 */
#include "snap.h"

#include "cdc/clock.h"

#include <stdlib.h>
#include <time.h>

#define PAUSE_NS 20000000L
#define WAIT_NS  500000000L

static int begin_all(const struct mys_looks *looks, struct cdc_error *err)
{
    for (size_t i = 0; i < looks->n; i++)
        if (mys_query(looks->conns[i], "START TRANSACTION WITH CONSISTENT SNAPSHOT", NULL, err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static bool same_place(const struct mys_pos *a, const struct mys_pos *b)
{
    return a->pos == b->pos && strcmp(a->file, b->file) == 0;
}

/* MariaDB: the least place of them. CDC_AGAIN: they have several. */
static int places(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    bool same = true;
    for (size_t i = 0; i < looks->n; i++) {
        struct mys_pos pos = {.kind = MYS_POS_TX, .gtids = {.mariadb = true}};
        if (mys_snapshot_place(looks->conns[i], &pos, err) < 0)
            return CDC_FAIL;
        same &= i == 0 || same_place(&pos, ret);
        if (i == 0 || mys_at_order(pos.file, pos.pos, ret->file, ret->pos) < 0)
            *ret = pos;
    }
    if (mys_gtids_at(looks->conns[0], ret, err) < 0)
        return CDC_FAIL;
    return same ? CDC_OK : CDC_AGAIN;
}

/* ---- MySQL ---- */

static int log_state(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    *ret = (struct mys_pos){.kind = MYS_POS_TX};
    if (mys_log_end(looks->side, looks->facts, ret, err) < 0)
        return CDC_FAIL;
    return mys_executed(looks->side, looks->facts, &ret->gtids, err);
}

/* Nothing was written since *before, and nothing is on its way? CDC_AGAIN: something. */
static int quiet(const struct mys_looks *looks, const struct mys_pos *before, struct cdc_error *err)
{
    struct mys_gtids owned = {.mariadb = false};
    struct mys_pos after;
    int rc = mys_owned(looks->side, &owned, err);
    if (rc == CDC_OK)
        rc = log_state(looks, &after, err);
    if (rc == CDC_OK) {
        bool same = same_place(before, &after) && mys_gtids_subset(&after.gtids, &before->gtids);
        rc = same && mys_gtids_empty(&owned) ? CDC_OK : CDC_AGAIN;
        mys_pos_done(&after);
    }
    mys_gtids_done(&owned);
    return rc;
}

static int exact_mysql(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    struct mys_pos before;
    if (!looks->facts->gtids)
        return CDC_AGAIN;
    int rc = log_state(looks, &before, err);
    if (rc != CDC_OK)
        return rc;
    rc = begin_all(looks, err);
    if (rc == CDC_OK)
        rc = quiet(looks, &before, err);
    if (rc == CDC_OK)
        *ret = before;
    else
        mys_pos_done(&before);
    return rc;
}

int mys_looks_exact(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    if (!looks->facts->mariadb)
        return exact_mysql(looks, ret, err);
    struct mys_pos pos = {.kind = MYS_POS_TX};
    if (begin_all(looks, err) < 0)
        return CDC_FAIL;
    int rc = places(looks, &pos, err);
    if (rc == CDC_OK)
        *ret = pos;
    else
        mys_pos_done(&pos);
    return rc;
}

/* ---- with a lock ---- */

static int unlock_all(MYSQL *conn, struct cdc_error *err)
{
    if (mys_query(conn, "UNLOCK TABLES", NULL, err) < 0)
        return CDC_FAIL;
    return mys_query(conn, "SET SESSION wait_timeout = 2147483", NULL, err);
}

static int lock_all(MYSQL *conn, bool mariadb, struct cdc_error *err)
{
    int rc = mariadb ? CDC_OK : mys_none_runs(conn, err);
    if (rc != CDC_OK)
        return rc;
    if (mys_query(conn, "SET SESSION lock_wait_timeout = 1, wait_timeout = 20", NULL, err) < 0)
        return CDC_FAIL;
    if (mys_query(conn, "FLUSH TABLES WITH READ LOCK", NULL, err) == CDC_OK)
        return CDC_OK;
    switch (mysql_errno(conn)) {
    case 1044: /* rights; managed servers have several ways to say so */
    case 1045:
    case 1142:
    case 1227: return CDC_END;
    case 1205: /* waited long enough, or was ended */
    case 1213:
    case 1317: return unlock_all(conn, err) < 0 ? CDC_FAIL : CDC_AGAIN;
    default: return CDC_FAIL;
    }
}

static int under_lock(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    if (looks->facts->mariadb)
        return begin_all(looks, err) < 0 ? CDC_FAIL : places(looks, ret, err);
    return log_state(looks, ret, err) < 0 ? CDC_FAIL : begin_all(looks, err);
}

int mys_looks_locked(const struct mys_looks *looks, struct mys_pos *ret, struct cdc_error *err)
{
    struct mys_pos pos = {.kind = MYS_POS_TX};
    int rc = lock_all(looks->side, looks->facts->mariadb, err);
    if (rc != CDC_OK)
        return rc;
    rc = under_lock(looks, &pos, err);
    if (unlock_all(looks->side, rc < 0 ? NULL : err) < 0)
        rc = CDC_FAIL;
    if (rc == CDC_OK)
        *ret = pos;
    else
        mys_pos_done(&pos);
    return rc;
}

/* ---- both ways ---- */

int mys_looks_try(const struct mys_looks *looks, int64_t deadline_us, struct mys_pos *ret,
                  struct cdc_error *err)
{
    int rc = mys_looks_exact(looks, ret, err);
    int64_t plain_us =
        looks->may_lock && looks->plain_us < deadline_us ? looks->plain_us : deadline_us;
    while (rc == CDC_AGAIN && looks->facts->gtids && cdc_mono_us() < plain_us) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        rc = mys_looks_exact(looks, ret, err);
    }
    while (rc == CDC_AGAIN && looks->may_lock) {
        rc = mys_looks_locked(looks, ret, err);
        if (rc != CDC_AGAIN || cdc_mono_us() >= deadline_us)
            break;
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
    return rc;
}

int mys_looks_least(const struct mys_looks *looks, int64_t deadline_us, struct mys_pos *ret,
                    struct cdc_error *err)
{
    struct mys_pos pos = {.kind = MYS_POS_TX};
    int rc = CDC_END;
    if (looks->facts->mariadb) {
        rc = begin_all(looks, err) < 0 ? CDC_FAIL : places(looks, &pos, err);
        rc = rc == CDC_AGAIN ? CDC_OK : rc;
    } else if (looks->facts->gtids) {
        rc = mys_settled(looks->side, looks->facts, deadline_us, &pos, err);
        if (rc == CDC_OK || (rc == CDC_AGAIN && looks->early))
            rc = begin_all(looks, err);
    }
    if (rc == CDC_OK)
        *ret = pos;
    else
        mys_pos_done(&pos);
    return rc;
}
