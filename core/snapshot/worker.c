/*
 * worker.c - the readers' threads: each has a connection, takes looks and reads pieces into the
 * lane of the round.
 *
 * A worker does its part of every phase once and reports. A look that was lost in the middle of a
 * round is taken anew, at the same place: a later look contains more. What belongs to an older
 * epoch of its table (it was paused, asked for again, or failed elsewhere) is let go of at the next
 * batch.
 */
#include "snapshot/internal.h"

#include <stdio.h>
#include <time.h>

#include "cdc/clock.h"
#include "cdc/crash.h"
#include "cdc/log.h"
#include "cdc/view.h"

#define PLACED_US   ((int64_t)10000000)
#define NOW_US      ((int64_t)5000000)
#define IDLE_US     ((int64_t)1000000) /* then the connection is given up, and its look */
#define WAIT_US     ((int64_t)1000)
#define WAIT_MAX_US ((int64_t)200000)
#define SLICE_US    ((int64_t)100000)
#define TRIES       3

static void close_snap(struct copy_worker *worker)
{
    if (worker->snap)
        worker->copier->ops->close(worker->snap);
    worker->snap = NULL;
    worker->looks = false;
}

/* A failure that is no table's own. */
static bool fail(struct copy_worker *worker, const struct cdc_error *err)
{
    struct cdc_copier *copier = worker->copier;
    close_snap(worker);
    copy_lock(copier);
    snprintf(copier->round.why, sizeof copier->round.why, "%.500s", err->message);
    copy_unlock(copier);
    return false;
}

static void sleep_us(struct cdc_copier *copier, int64_t us)
{
    int64_t until = cdc_mono_us() + us;
    copy_lock(copier);
    while (!atomic_load(&copier->round.cut) && cdc_mono_us() < until)
        copy_wait(copier, until);
    copy_unlock(copier);
}

static bool open_snap(struct copy_worker *worker)
{
    struct cdc_copier *copier = worker->copier;
    struct cdc_error err = {.message = ""};
    if (worker->snap)
        return true;
    if (copier->ops->open(copier->src, &worker->snap, &err) != CDC_OK) {
        worker->snap = NULL;
        return fail(worker, &err);
    }
    worker->snap->stop = &copier->stop;
    return true;
}

/* May rows of the look be placed at the lane's place, or where the intake is held? */
static bool allowed(struct copy_worker *worker)
{
    struct cdc_copier *copier = worker->copier;
    if (worker->look == CDC_LOOK_START)
        return true;
    copy_lock(copier);
    bool placed = copier->round.lane != NULL;
    const struct cdc_tx *last = placed ? &copier->round.at.tx : &copier->last;
    bool may = worker->look == CDC_LOOK_PLACED
                   ? cdc_place_behind(worker->snap->place, last)
                   : placed || (copier->witnessed && cdc_passed_in(&copier->passed, worker->snap));
    copy_unlock(copier);
    return may;
}

/* A look that may be used in this round. */
static bool take_look(struct copy_worker *worker)
{
    struct cdc_copier *copier = worker->copier;
    struct cdc_error err = {.message = ""};
    worker->look = copier->round.look;
    worker->looks = false;
    int64_t wait_us = WAIT_US;
    int64_t until = cdc_mono_us() + (worker->look == CDC_LOOK_PLACED ? PLACED_US : NOW_US);
    while (worker->snap && !atomic_load(&copier->round.cut)) {
        int rc = copier->ops->take(worker->snap, worker->look, until, &err);
        if (rc < 0)
            return fail(worker, &err);
        if (rc == CDC_OK && allowed(worker))
            return worker->looks = true;
        if (rc == CDC_OK)
            (void)cdc_fail(&err, CDC_RETRY, "",
                           "a transaction that is in the log already is not visible yet at the "
                           "source (it waits for a synchronous standby?)");
        if (rc == CDC_END)
            (void)cdc_fail(&err, CDC_RETRY, "", "the source has no such look any more");
        if (rc == CDC_END || cdc_mono_us() + wait_us > until)
            return fail(worker, &err);
        sleep_us(copier, wait_us);
        wait_us = wait_us * 2 < WAIT_MAX_US ? wait_us * 2 : WAIT_MAX_US;
    }
    return false;
}

/* ---- reading ---- */

/* How long to wait so that all of us stay below the rate. Under the lock. */
static int64_t pace(struct cdc_copier *copier, size_t bytes)
{
    int64_t now_us = cdc_mono_us();
    if (copier->rate == 0)
        return 0;
    int64_t due_us =
        copier->rated_us + (int64_t)((double)copier->rated * 1e6 / (double)copier->rate);
    if (due_us < now_us) { /* what was not used is not saved up */
        copier->rated_us = due_us = now_us;
        copier->rated = 0;
    }
    copier->rated += bytes;
    return due_us - now_us;
}

static void count(struct copy_worker *worker, struct copy_piece *piece, uint64_t rows, size_t bytes)
{
    struct cdc_copier *copier = worker->copier;
    copy_lock(copier);
    piece->tab->rows += rows;
    piece->tab->bytes += bytes;
    int64_t wait_us = pace(copier, bytes);
    copy_unlock(copier);
    if (wait_us > 0)
        sleep_us(copier, wait_us);
}

/* CDC_OK: more may come. CDC_END: the piece is read. CDC_AGAIN, CDC_FAIL; CDC_FULL: let go of. */
static int read_batch(struct copy_worker *worker, struct copy_piece *piece, uint64_t *rows,
                      struct cdc_error *err)
{
    struct cdc_copier *copier = worker->copier;
    struct cdc_batch *batch = cdc_pool_batch(copier->opt.pool);
    if (!batch)
        return cdc_fail_oom(err);
    int rc = copier->ops->read(worker->snap, batch, &copier->round.cut, err);
    copy_lock(copier);
    bool over = copy_piece_void(piece) || atomic_load(&copier->round.cut);
    copy_unlock(copier);
    if (over || (rc != CDC_OK && rc != CDC_END) || batch->n == 0) {
        cdc_batch_unref(batch);
        return over ? CDC_FULL : rc;
    }
    size_t n = batch->n, bytes = cdc_arena_given(batch->arena);
    bool ahead = worker->look != CDC_LOOK_START || batch->changes[0].flags & CDC_OVERLAP;
    batch->cut = CDC_CUT_END;
    batch->read_us = cdc_now_us();
    if (cdc_lane_push(copier->round.lane, batch, &copier->round.cut) != CDC_OK)
        return CDC_FULL;
    *rows += n;
    count(worker, piece, n, bytes);
    if (ahead)
        atomic_store(&copier->ahead, true);
    return rc;
}

static int read_piece(struct copy_worker *worker, struct copy_piece *piece, uint64_t *rows,
                      struct cdc_error *err)
{
    struct cdc_copier *copier = worker->copier;
    struct cdc_range range = {.from = cdc_slice_str(piece->from), .to = cdc_slice_str(piece->to)};
    copy_lock(copier);
    struct cdc_copy_place at = copier->round.at;
    at.ordinal = CDC_READ_ORDINAL(piece->tab->st.generation);
    if (!piece->tab->began_us)
        piece->tab->began_us = cdc_mono_us();
    bool over = copy_piece_void(piece);
    copy_unlock(copier);
    if (over)
        return CDC_FULL;
    int rc = copier->ops->begin(worker->snap, &piece->ct, &range, &at, err);
    CDC_POINT("snapshot.range");
    while (rc == CDC_OK)
        rc = read_batch(worker, piece, rows, err);
    return rc;
}

/* What became of a piece. False: the worker cannot go on in this round. */
static bool settle(struct copy_worker *worker, struct copy_piece *piece, int rc, uint64_t rows,
                   struct cdc_error *err)
{
    struct cdc_copier *copier = worker->copier;
    bool mends = rc < 0 && copy_may_mend(err);
    copy_lock(copier);
    bool cut = atomic_load(&copier->round.cut);
    if (rc == CDC_END && !cut)
        copy_piece_done(copier, piece, worker->snap, rows);
    else if (copy_piece_void(piece))
        ;
    else if (rc < 0 && !mends && !cut)
        copy_table_failed(copier, piece->tab, err->message);
    else
        copy_piece_back(piece);
    if ((rc == CDC_AGAIN || mends) && !cut && !copy_piece_void(piece))
        copy_table_again(piece->tab, err->message);
    copy_tables_flush(copier);
    copy_changed(copier);
    copy_unlock(copier);
    if (rc < 0 || rc == CDC_FULL || cut) /* in the middle of a range: another connection */
        close_snap(worker);
    if (mends && !cut) {
        fail(worker, err);
        sleep_us(copier, SLICE_US);
    }
    return !cut;
}

/* The next piece to be read, or NULL: there will be none. */
static struct copy_piece *next_piece(struct cdc_copier *copier)
{
    struct copy_round *round = &copier->round;
    copy_lock(copier);
    while (!round->first && !round->fed && !atomic_load(&round->cut))
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    struct copy_piece *piece = atomic_load(&round->cut) ? NULL : round->first;
    if (piece) {
        round->first = piece->next;
        round->last = piece->next ? round->last : NULL;
        round->n_pieces--;
        piece->next = NULL;
        copy_changed(copier);
    }
    copy_unlock(copier);
    return piece;
}

static void read_pieces(struct copy_worker *worker)
{
    unsigned failures = 0;
    for (struct copy_piece *piece; (piece = next_piece(worker->copier));) {
        struct cdc_error err = {.message = ""};
        uint64_t rows = 0;
        bool ready = worker->looks || (open_snap(worker) && take_look(worker));
        int rc = ready ? read_piece(worker, piece, &rows, &err)
                       : cdc_fail(&err, CDC_RETRY, "", "no look");
        failures = rc < 0 ? failures + 1 : 0;
        bool more = settle(worker, piece, rc, rows, &err);
        copy_piece_free(piece);
        if (!more || (!ready && !worker->snap) || failures >= TRIES)
            return;
    }
}

/* ---- the thread ---- */

static bool do_phase(struct copy_worker *worker, enum copy_phase phase)
{
    switch (phase) {
    case PHASE_OPEN: return worker->fine = open_snap(worker);
    case PHASE_LOOK: return worker->fine = worker->fine && take_look(worker);
    case PHASE_READ:
        if (worker->fine)
            read_pieces(worker);
        if (worker->look == CDC_LOOK_START)
            close_snap(worker);
        return worker->fine;
    case PHASE_NONE: break;
    }
    if (worker->look == CDC_LOOK_START)
        close_snap(worker);
    return true;
}

/* Waits for the next phase; an idle connection is given up. False: the session is over. */
static bool next_phase(struct copy_worker *worker, uint64_t *phases, enum copy_phase *ret)
{
    struct cdc_copier *copier = worker->copier;
    int64_t idle_us = cdc_mono_us() + IDLE_US;
    copy_lock(copier);
    while (copier->round.phases == *phases && !atomic_load(&copier->stop)) {
        int64_t now_us = cdc_mono_us();
        if (worker->snap && copier->round.phase == PHASE_NONE && now_us >= idle_us) {
            copy_unlock(copier);
            close_snap(worker);
            copy_lock(copier);
            continue;
        }
        copy_wait(copier, worker->snap && now_us < idle_us ? idle_us : now_us + 10 * IDLE_US);
    }
    bool more = !atomic_load(&copier->stop);
    *phases = copier->round.phases;
    *ret = copier->round.phase;
    copy_unlock(copier);
    return more;
}

void *copy_worker_main(void *arg)
{
    struct copy_worker *worker = arg;
    struct cdc_copier *copier = worker->copier;
    uint64_t phases = worker->phases;
    enum copy_phase phase;
    while (next_phase(worker, &phases, &phase)) {
        bool fine = do_phase(worker, phase);
        copy_lock(copier);
        if (phases == copier->round.phases) { /* else nobody waits for it */
            copier->round.reported++;
            copier->round.fine += fine;
        }
        copy_changed(copier);
        copy_unlock(copier);
    }
    close_snap(worker);
    return NULL;
}
