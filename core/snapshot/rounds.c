/*
 * rounds.c - the planner's thread: which tables there are, and rounds one after another.
 *
 * A round, phase by phase; in each every worker does its part and reports:
 *   OPEN   workers connect; nobody is held up by that
 *   LOOK   the intake is held; workers take looks until each contains what passed (snapshot/rule.h)
 *          or the hold has lasted too long. Those that have one take part, the lane is placed, the
 *          intake goes on
 *   READ   workers read pieces into the lane while the planner cuts more, until the round has had
 *          its bytes: threads * range_bytes, so that neither the stream behind the lane waits for
 *          long nor a look lasts. A START round goes on until nothing is left
 * Before the first NOW round the counting of what passes begins, and then a witness is taken: an
 * exact look, on the planner's own connection and without holding anybody, for it waits for
 * transactions that are open.  A server without NOW (a standby) has only exact looks: there every
 * worker takes one under the hold.
 *
 * The planner's own look is for planning alone: bounds are bounds in every look, or the source says
 * that they are not (`resumable`) and the table is read in one piece.
 */
#include "snapshot/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/crash.h"
#include "cdc/log.h"

#define SLICE_US       ((int64_t)100000)
#define HOLD_PLACED_US ((int64_t)10000000)
#define HOLD_NOW_US    ((int64_t)5000000)
#define BACKOFF_US     ((int64_t)500000)
#define BACKOFF_MAX    ((int64_t)30000000)
#define AHEAD          2 /* pieces planned ahead, per worker */
#define GUARDS_MAX     3

static bool stopped(const struct cdc_copier *copier)
{
    return atomic_load(&copier->stop);
}

/* Sleeps; longer with each time in a row. Always CDC_AGAIN. */
static int back_off(struct copy_planner *pl, const char *what)
{
    struct cdc_copier *copier = pl->copier;
    pl->backoff_us = pl->backoff_us ? pl->backoff_us * 2 : BACKOFF_US;
    pl->backoff_us = pl->backoff_us < BACKOFF_MAX ? pl->backoff_us : BACKOFF_MAX;
    if (!stopped(copier))
        cdc_log(CDC_LOG_WARN, "snapshot: %s: %s; next try in %.1f s", what, pl->err.message,
                (double)pl->backoff_us / 1e6);
    int64_t until = cdc_mono_us() + pl->backoff_us;
    copy_lock(copier);
    while (!stopped(copier) && cdc_mono_us() < until)
        copy_wait(copier, until);
    copy_unlock(copier);
    return CDC_AGAIN;
}

/* ---- phases ---- */

/* The session is over: the workers end by themselves. */
static void join_workers(struct cdc_copier *copier)
{
    for (unsigned i = 0; i < copier->n_running; i++)
        pthread_join(copier->workers[i].thread, NULL);
    copy_lock(copier);
    copier->n_running = 0;
    copy_unlock(copier);
}

/* Under the lock: until all have reported. */
static void wait_workers(struct cdc_copier *copier)
{
    while (copier->round.reported < copier->n_running && !stopped(copier))
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    if (!stopped(copier))
        return;
    copy_unlock(copier);
    join_workers(copier);
    copy_lock(copier);
}

/* All workers do their part; how many did it with success. */
static unsigned phase(struct cdc_copier *copier, enum copy_phase what)
{
    struct copy_round *round = &copier->round;
    copy_lock(copier);
    round->phase = what;
    round->phases++;
    round->reported = round->fine = 0;
    copy_changed(copier);
    if (what != PHASE_READ)
        wait_workers(copier);
    unsigned fine = round->fine;
    copy_unlock(copier);
    return fine;
}

static void start_workers(struct cdc_copier *copier)
{
    copy_lock(copier);
    while (copier->n_running < copier->n_workers) {
        struct copy_worker *worker = &copier->workers[copier->n_running];
        *worker = (struct copy_worker){.copier = copier, .phases = copier->round.phases};
        if (pthread_create(&worker->thread, NULL, copy_worker_main, worker) != 0)
            break;
        copier->n_running++;
    }
    copy_unlock(copier);
}

/* ---- reading ---- */

/* Under the lock. */
static void mind_guards(struct cdc_copier *copier)
{
    struct copy_round *round = &copier->round;
    uint64_t held = copier->held_us > round->began_us ? copier->held_log : 0;
    int64_t age_us = cdc_mono_us() - round->began_us;
    if (round->guarded || atomic_load(&round->cut))
        return;
    if (copier->max_age_us > 0 && age_us > copier->max_age_us)
        snprintf(round->why, sizeof round->why, "it lasted longer than snapshot.max_age allows");
    else if (copier->max_log > 0 && held > copier->max_log)
        snprintf(round->why, sizeof round->why,
                 "the source keeps more of its log for it than snapshot.max_log allows");
    else
        return;
    round->guarded = true;
    atomic_store(&round->cut, true);
    cdc_log(CDC_LOG_WARN,
            "snapshot: the round of copies is ended early: %s; what was not read "
            "is read later, in ranges",
            round->why);
}

/* Waits until more pieces are wanted. False: no more are. */
static bool wants_more(struct cdc_copier *copier)
{
    struct copy_round *round = &copier->round;
    uint64_t most =
        round->look == CDC_LOOK_START ? UINT64_MAX : copier->n_running * copier->range_bytes;
    for (;;) {
        mind_guards(copier);
        if (atomic_load(&round->cut) || round->bytes >= most ||
            round->reported == copier->n_running)
            return false;
        if (round->n_pieces < AHEAD * copier->n_running)
            return true;
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    }
}

/* Under the lock: nothing is left of a table that waits only for what others read of it? */
static bool others_read(const struct cdc_copier *copier)
{
    for (size_t i = 0; i < copier->n_tables; i++)
        if (copier->tables[i]->busy > 0)
            return true;
    return false;
}

static void feed_all(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    struct copy_round *round = &copier->round;
    for (int rc = CDC_OK; rc >= 0;) {
        copy_lock(copier);
        bool more = wants_more(copier);
        if (more && rc == CDC_END) { /* a piece may come back, or be the last of its table */
            more = others_read(copier);
            if (more)
                copy_wait(copier, cdc_mono_us() + SLICE_US);
        }
        copy_unlock(copier);
        if (!more)
            break;
        rc = copy_feed(pl);
    }
    copy_lock(copier);
    round->fed = true;
    copy_changed(copier);
    while (round->reported < copier->n_running && !stopped(copier)) {
        mind_guards(copier);
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    }
    wait_workers(copier);
    copy_unlock(copier);
}

/* Under the lock: what a guard does to a table that was being read, or comes back unread. */
static void settle_table(struct cdc_copier *copier, struct copy_table *tab)
{
    const struct copy_round *round = &copier->round;
    bool unfinished = tab->round == round->number && copy_table_wanted(tab);
    if (!unfinished)
        return;
    if (!tab->ct.resumable && cdc_copy_whole(&tab->st) < 0)
        copier->oom = true;
    if (!round->guarded || round->look == CDC_LOOK_START || ++tab->guarded < GUARDS_MAX)
        return;
    char why[600];
    snprintf(why, sizeof why,
             "%.300s, %d times, before a range of it was read; raise the bound, or lower "
             "snapshot.range_bytes%s",
             round->why, GUARDS_MAX,
             tab->ct.divisible ? ""
                               : " (this table can only be read in one piece, for want of a key by "
                                 "which it can be cut)");
    copy_table_failed(copier, tab, why);
}

/* Under the lock. */
static void end_round(struct cdc_copier *copier)
{
    struct copy_round *round = &copier->round;
    for (struct copy_piece *piece; (piece = round->first);) {
        round->first = piece->next;
        copy_piece_back(piece);
        copy_piece_free(piece);
    }
    round->last = NULL;
    round->n_pieces = 0;
    for (size_t i = 0; i < copier->n_tables; i++)
        settle_table(copier, copier->tables[i]);
    copy_tables_flush(copier);
    cdc_lane_close(round->lane);
    round->lane = NULL;
    round->phase = PHASE_NONE;
    round->phases++;
    copy_changed(copier);
}

static void begin_round(struct cdc_copier *copier, enum cdc_look look)
{
    struct copy_round *round = &copier->round;
    copy_lock(copier);
    round->number++;
    round->look = look;
    round->fed = round->guarded = false;
    round->bytes = 0;
    round->why[0] = 0;
    round->began_us = cdc_mono_us();
    atomic_store(&round->cut, stopped(copier));
    copy_unlock(copier);
}

/* The intake is held: the lane stands here, and the intake goes on. CDC_END: the session is over.
 */
static int place_lane(struct cdc_copier *copier)
{
    struct copy_round *round = &copier->round;
    copy_lock(copier);
    int rc = cdc_queue_lane(copier->opt.queue, &round->lane);
    if (rc < 0)
        copier->oom = true;
    round->at = (struct cdc_copy_place){.tx = copier->last};
    if (rc == CDC_OK) {
        cdc_passed_forget(&copier->passed);
        copy_tables_flush(copier);
    }
    copier->hold = HOLD_NONE;
    copy_changed(copier);
    copy_unlock(copier);
    CDC_POINT("snapshot.placed");
    return rc;
}

static void read_round(struct copy_planner *pl)
{
    phase(pl->copier, PHASE_READ);
    feed_all(pl);
    CDC_POINT("snapshot.read");
    copy_lock(pl->copier);
    end_round(pl->copier);
    copy_unlock(pl->copier);
}

static void drop_round(struct cdc_copier *copier)
{
    copy_lock(copier);
    copier->hold = HOLD_NONE;
    end_round(copier);
    copy_changed(copier);
    copy_unlock(copier);
}

/* ---- holding the intake ---- */

static void ask_intake(struct cdc_copier *copier)
{
    copier->opt.wake(copier->opt.arg);
}

/* Held at a cut, with the last transaction known. CDC_END: the session is over. */
static int hold(struct cdc_copier *copier)
{
    copy_lock(copier);
    copier->hold = HOLD_WANTED;
    copy_changed(copier);
    copy_unlock(copier);
    ask_intake(copier);
    copy_lock(copier);
    while (copier->hold != HOLD_HELD && !stopped(copier))
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    int rc = copier->hold == HOLD_HELD ? CDC_OK : CDC_END;
    copy_unlock(copier);
    return rc;
}

/* What passes is counted from here on. */
static int begin_counting(struct cdc_copier *copier)
{
    copy_lock(copier);
    copier->want_count = true;
    copy_changed(copier);
    copy_unlock(copier);
    ask_intake(copier);
    copy_lock(copier);
    while (copier->want_count && !stopped(copier))
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    copy_unlock(copier);
    return stopped(copier) ? CDC_END : CDC_OK;
}

static void end_counting(struct cdc_copier *copier)
{
    copy_lock(copier);
    bool counted = copier->counting;
    copier->counting = copier->witnessed = copier->want_count = false;
    cdc_passed_done(&copier->passed);
    if (counted)
        copy_changed(copier);
    copy_unlock(copier);
}

/* ---- a NOW round ---- */

/* Cheap looks are allowed from here on, and the planner has one. CDC_AGAIN: come again. */
static int get_ready(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    int rc = copier->placed_only ? CDC_END : copy_own_look(pl, CDC_LOOK_NOW, COPY_WITNESS_US);
    if (rc == CDC_END) {
        copier->placed_only = true;
        rc = copy_own_look(pl, CDC_LOOK_PLACED, COPY_WITNESS_US);
    }
    if (rc != CDC_OK)
        return back_off(pl, "the source cannot be looked at");
    if (copier->placed_only) /* its looks tell by their place */
        return CDC_OK;
    copy_lock(copier);
    bool counting = copier->counting, witnessed = copier->witnessed;
    copy_unlock(copier);
    if (!counting && begin_counting(copier) != CDC_OK)
        return CDC_END;
    cdc_log(CDC_LOG_DEBUG, "snapshot: transactions are counted");
    if (counting && witnessed)
        return CDC_OK;
    rc = copy_own_look(pl, CDC_LOOK_PLACED, COPY_WITNESS_US);
    copy_lock(copier);
    if (rc == CDC_OK && copier->counting)
        copier->witnessed = cdc_passed_witness(&copier->passed, copier->snap->place);
    witnessed = copier->witnessed;
    copy_unlock(copier);
    cdc_log(CDC_LOG_DEBUG, "snapshot: exact look: %d, %s", rc,
            witnessed ? "a witness" : "of no use");
    if (witnessed)
        return CDC_OK;
    end_counting(copier);
    if (rc == CDC_OK)
        (void)cdc_fail(&pl->err, CDC_RETRY, "", "too much was written meanwhile");
    return back_off(pl, "no copy can begin yet");
}

static int look_round(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    if (phase(copier, PHASE_OPEN) > 0) {
        if (hold(copier) != CDC_OK)
            return CDC_END;
        CDC_POINT("snapshot.held");
        if (phase(copier, PHASE_LOOK) > 0)
            return place_lane(copier);
    }
    copy_lock(copier);
    (void)cdc_fail(&pl->err, CDC_RETRY, "", "%.500s", copier->round.why);
    copy_unlock(copier);
    return CDC_AGAIN;
}

static int now_round(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    int rc = get_ready(pl);
    if (rc != CDC_OK)
        return rc;
    start_workers(copier);
    begin_round(copier, copier->placed_only ? CDC_LOOK_PLACED : CDC_LOOK_NOW);
    do
        rc = copy_feed(pl);
    while (rc == CDC_OK && copier->round.n_pieces < copier->n_running);
    if (rc < 0 || copier->round.n_pieces == 0) {
        drop_round(copier);
        return rc < 0 ? back_off(pl, "tables cannot be cut") : CDC_OK;
    }
    rc = look_round(pl);
    if (rc == CDC_OK) {
        pl->backoff_us = 0;
        read_round(pl);
        return CDC_OK;
    }
    drop_round(copier);
    return rc == CDC_AGAIN ? back_off(pl, "no look at the source may be used yet") : rc;
}

/* States alone, of tables that failed: a lane without rows. */
static int state_round(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    begin_round(copier, CDC_LOOK_NOW);
    int rc = hold(copier);
    if (rc == CDC_OK)
        rc = place_lane(copier);
    drop_round(copier);
    return rc;
}

/* ---- the START round ---- */

static int copy_start(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    int rc = copy_own_look(pl, CDC_LOOK_START, COPY_WITNESS_US);
    if (rc != CDC_OK)
        return rc;
    rc = copy_refresh_list(pl);
    if (rc != CDC_OK)
        return rc;
    start_workers(copier);
    begin_round(copier, CDC_LOOK_START);
    rc = hold(copier);
    if (rc == CDC_OK && phase(copier, PHASE_OPEN) > 0 && phase(copier, PHASE_LOOK) > 0)
        rc = place_lane(copier);
    else if (rc == CDC_OK)
        rc = CDC_AGAIN;
    if (rc == CDC_OK) {
        cdc_log(CDC_LOG_INFO, "snapshot: tables are copied as of the start of the stream");
        read_round(pl);
    } else {
        drop_round(copier);
    }
    return rc;
}

/* Whatever comes of it, the stream goes on then, and what is not copied is copied in ranges. */
static void start_round(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    copy_lock(copier);
    while (!copier->positioned && !stopped(copier))
        copy_wait(copier, cdc_mono_us() + SLICE_US);
    copy_unlock(copier);
    if (stopped(copier))
        return;
    int rc = copy_start(pl);
    if (rc < 0 && !stopped(copier))
        cdc_log(CDC_LOG_WARN,
                "snapshot: the tables cannot be copied as of the start of the stream: %s; they are "
                "copied in ranges",
                pl->err.message);
    phase(copier, PHASE_NONE); /* every worker has closed its look */
    copy_close_own(copier);
    copy_lock(copier);
    copier->started = copier->tell_copied = true;
    copy_changed(copier);
    copy_unlock(copier);
}

/* ---- the thread ---- */

/* Under the lock: what is next, and when. */
struct agenda {
    bool list, round, state;
    int64_t due_us; /* something may be next then */
};

static struct agenda look_ahead(const struct copy_planner *pl)
{
    const struct cdc_copier *copier = pl->copier;
    int64_t now_us = cdc_mono_us();
    bool watch = copy_any_rule(copier);
    struct agenda ret = {.due_us = now_us + COPY_LIST_US};
    for (size_t i = 0; i < copier->n_tables; i++) {
        const struct copy_table *tab = copier->tables[i];
        watch |= copy_table_wanted(tab);
        ret.round |= copy_table_due(tab, now_us);
        ret.state |= tab->dirty && !tab->paused && tab->st.kind != CDC_COPY_COPYING;
        if (copy_table_wanted(tab) && tab->retry_us > now_us && tab->retry_us < ret.due_us)
            ret.due_us = tab->retry_us;
    }
    ret.list = (watch && (!copier->listed || copier->refresh || pl->list_us <= now_us)) ||
               copier->ask == ASK_WANTED;
    if (watch && pl->list_us > now_us && pl->list_us < ret.due_us)
        ret.due_us = pl->list_us;
    return ret;
}

/* Nothing is to be done now: no look, no connection and no counting outlives that. */
static void rest(struct copy_planner *pl, int64_t due_us)
{
    struct cdc_copier *copier = pl->copier;
    end_counting(copier);
    copy_close_own(copier);
    copy_lock(copier);
    struct agenda next = look_ahead(pl);
    copier->listed |= !next.list;
    copier->refresh &= next.list;
    if (!next.list && !next.round && !next.state && !stopped(copier))
        copy_wait(copier, due_us);
    copy_unlock(copier);
}

static void step(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    copy_lock(copier);
    struct agenda next = look_ahead(pl);
    bool positioned = copier->positioned;
    copy_unlock(copier);
    if (!positioned)
        rest(pl, cdc_mono_us() + SLICE_US);
    else if (next.list && copy_refresh_list(pl) < 0)
        back_off(pl, "the tables cannot be listed");
    else if (next.list)
        pl->backoff_us = 0;
    else if (next.round)
        (void)now_round(pl);
    else if (next.state)
        (void)state_round(pl);
    else
        rest(pl, next.due_us);
}

void *copy_planner_main(void *arg)
{
    struct copy_planner pl = {.copier = arg};
    struct cdc_copier *copier = pl.copier;
    if (!copier->started)
        start_round(&pl);
    while (!stopped(copier))
        step(&pl);
    join_workers(copier);
    copy_close_own(copier);
    copy_lock(copier);
    end_round(copier); /* pieces that nobody took */
    copy_unlock(copier);
    return NULL;
}
