/*
 * copier.c - see snapshot/copier.h: life, and what the pipeline's own threads call.
 *
 * The source thread alone may put the stream into the queue, so it decides where a lane stands: it
 * visits at every cut, and where the planner wants to place a lane it is held there (CDC_AGAIN)
 * until that is done. At the same place it begins to count the transactions that pass. Both are
 * asked for by the planner and granted here, with source->last.
 */
#include "snapshot/internal.h"

#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/log.h"
#include "config/services.h"

#define KNOWN_US ((int64_t)1000000) /* so long a list is of now */
#define SKEW_US  ((int64_t)2000000) /* between the source's clock and ours */

void copy_lock(struct cdc_copier *copier)
{
    pthread_mutex_lock(&copier->lock);
}

void copy_unlock(struct cdc_copier *copier)
{
    pthread_mutex_unlock(&copier->lock);
}

void copy_changed(struct cdc_copier *copier)
{
    pthread_cond_broadcast(&copier->changed);
}

bool copy_wait(struct cdc_copier *copier, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / 1000000,
                             .tv_nsec = deadline_us % 1000000 * 1000};
    return pthread_cond_timedwait(&copier->changed, &copier->lock, &until) == 0;
}

bool copy_any_rule(const struct cdc_copier *copier)
{
    const struct cdc_rule *rules = NULL;
    size_t n = cdc_capture_rules(copier->opt.set->config.capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!rules[i].skip && rules[i].snapshot != CDC_SNAPSHOT_NEVER)
            return true;
    return false;
}

bool copy_may_mend(const struct cdc_error *err)
{
    return err->action == CDC_RETRY || err->action == CDC_REWIND;
}

/* ---- life ---- */

static void read_options(struct cdc_copier *copier, const struct cdc_section *sec)
{
    copier->ranged = cdc_get_choice(sec, "mode") == CDC_COPY_RANGED;
    copier->n_workers = (unsigned)cdc_get_int(sec, "threads");
    copier->range_bytes = (uint64_t)cdc_get_int(sec, "range_bytes");
    copier->rate = (uint64_t)cdc_get_int(sec, "rate");
    copier->max_log = (uint64_t)cdc_get_int(sec, "max_log");
    copier->max_age_us = cdc_get_int(sec, "max_age");
}

int cdc_copier_new(const struct cdc_copier_options *opt, struct cdc_copier **ret,
                   struct cdc_error *err)
{
    *ret = NULL;
    if (!opt->set->source->snap)
        return CDC_OK;
    struct cdc_copier *copier = calloc(1, sizeof *copier);
    if (!copier)
        return cdc_fail_oom(err);
    copier->opt = *opt;
    copier->ops = opt->set->source->snap;
    read_options(copier, opt->set->snapshot);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&copier->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&copier->lock, NULL);
    *ret = copier;
    return CDC_OK;
}

/* Under the lock, or nobody else is there. */
static void forget_tables(struct cdc_copier *copier)
{
    for (size_t i = 0; i < copier->n_tables; i++)
        copy_table_free(copier->tables[i]);
    copier->n_tables = 0;
}

void cdc_copier_renew(struct cdc_copier *copier, const struct cdc_settings *set)
{
    if (!copier)
        return;
    copy_lock(copier);
    copier->opt.set = set;
    read_options(copier, set->snapshot);
    forget_tables(copier); /* the checkpoint has them; their order may be another one now */
    copier->sessions = 0;
    copy_unlock(copier);
}

void cdc_copier_free(struct cdc_copier *copier)
{
    if (!copier)
        return;
    forget_tables(copier);
    free(copier->tables);
    cdc_passed_done(&copier->passed);
    pthread_cond_destroy(&copier->changed);
    pthread_mutex_destroy(&copier->lock);
    free(copier);
}

int cdc_copier_begin(struct cdc_copier *copier, const struct cdc_map *checkpoint,
                     struct cdc_error *err)
{
    if (!copier)
        return CDC_OK;
    struct cdc_slice incarnation = cdc_map_get(checkpoint, "incarnation");
    copy_lock(copier);
    copier->sessions++;
    copier->positioned = cdc_map_get(checkpoint, "position").p != NULL;
    copier->fresh = !copier->positioned;
    copier->started = !copier->fresh || copier->ranged || !copy_any_rule(copier);
    copier->tell_copied = copier->fresh && copier->started;
    copier->listed = false;
    atomic_store(&copier->ahead, false);
    atomic_store(&copier->oom, false);
    copier->refresh = true;
    copier->ask = ASK_NONE;
    copier->hold = HOLD_NONE;
    copier->want_count = copier->counting = copier->witnessed = copier->placed_only = false;
    struct cdc_slice clock = cdc_map_get(checkpoint, "clock");
    copier->clock_us = clock.p ? strtoll((const char *)clock.p, NULL, 10) : 0;
    copier->incarnation =
        incarnation.p ? (uint32_t)strtoul((const char *)incarnation.p, NULL, 10) : 1;
    int rc = copy_tables_load(copier, checkpoint, err);
    copy_unlock(copier);
    return rc;
}

int cdc_copier_start(struct cdc_copier *copier, struct cdc_source *src, struct cdc_error *err)
{
    if (!copier)
        return CDC_OK;
    copier->src = src;
    atomic_store(&copier->stop, false);
    if (pthread_create(&copier->planner, NULL, copy_planner_main, copier) != 0)
        return cdc_fail(err, CDC_RETRY, "", "cannot start a thread");
    copier->running = true;
    return CDC_OK;
}

void cdc_copier_stop(struct cdc_copier *copier)
{
    if (!copier)
        return;
    copy_lock(copier);
    atomic_store(&copier->stop, true);
    atomic_store(&copier->round.cut, true);
    copy_changed(copier);
    copy_unlock(copier);
}

void cdc_copier_end(struct cdc_copier *copier)
{
    if (!copier || !copier->running)
        return;
    cdc_copier_stop(copier);
    pthread_join(copier->planner, NULL);
    copier->running = false;
    copier->src = NULL;
}

/* ---- the source thread ---- */

/* Under the lock. */
static void count(struct cdc_copier *copier, const struct cdc_batch *batch)
{
    const struct cdc_tx *last = NULL;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_tx *tx = batch->changes[i].tx;
        if (!tx || tx == last)
            continue;
        last = tx;
        if (cdc_passed_add(&copier->passed, tx) == CDC_OK)
            continue;
        copier->counting = copier->witnessed = false; /* anew, with another witness */
        cdc_passed_done(&copier->passed);
        cdc_log(CDC_LOG_DEBUG, "snapshot: too many transactions to be counted, another exact look "
                               "is needed");
        return;
    }
}

/* Under the lock: a failover. What was read of a server that is none any more is read again. */
static void new_incarnation(struct cdc_copier *copier, struct cdc_slice text)
{
    copier->incarnation = (uint32_t)strtoul((const char *)text.p, NULL, 10);
    for (size_t i = 0; i < copier->n_tables; i++)
        if (copier->tables[i]->st.kind == CDC_COPY_COPYING &&
            copier->tables[i]->st.incarnation != copier->incarnation)
            copy_table_restart(copier, copier->tables[i]);
}

/* Under the lock. */
static void take_gap(struct cdc_copier *copier, struct cdc_change *chg)
{
    struct cdc_buf name = CDC_BUF(4096);
    cdc_buf_printf(&name, "%s.%s", chg->table->schema, chg->table->name);
    const char *text = cdc_buf_cstr(&name);
    struct copy_table *tab = text ? copy_table_get(copier, text) : NULL;
    if (tab)
        chg->ordinal = copy_table_gap(copier, tab);
    else
        copier->oom = true;
    cdc_buf_done(&name);
}

static bool is_torn(const struct cdc_change *chg)
{
    if (chg->op != CDC_OP_UPDATE || !(chg->flags & CDC_KEY_MOVED) || !chg->after)
        return false;
    for (uint16_t i = 0; i < chg->table->n; i++)
        if (chg->after[i].kind == CDC_UNCHANGED)
            return true;
    return false;
}

/*
 * May a look that the copy was read in contain this transaction? Places of two servers cannot be
 * compared: behind a failover the clocks must do.
 */
static bool is_within(const struct cdc_copier *copier, const struct cdc_copy_state *st,
                      const struct cdc_tx *tx)
{
    if (st->incarnation == copier->incarnation)
        return memcmp(tx->place, st->end, CDC_PLACE_LEN) < 0;
    return tx->commit_us <= st->end_us + SKEW_US;
}

/*
 * Under the lock. A row moved to another key, and the source did not send all of it: a reader takes
 * the rest from the row under the key before. Where a copy looked at a later present, that row may
 * not be in the output, since it was gone when its range was read, or be another one by now. Then
 * the values are nowhere, and only a copy behind this place has them: it is a gap.
 */
static void mind_torn(struct cdc_copier *copier, struct cdc_batch *batch, size_t at)
{
    struct cdc_change torn = batch->changes[at];
    struct cdc_buf name = CDC_BUF(4096);
    cdc_buf_printf(&name, "%s.%s", torn.table->schema, torn.table->name);
    const char *text = cdc_buf_cstr(&name);
    const struct copy_table *tab = text ? copy_table_find(copier, text) : NULL;
    bool reading = tab && tab->st.kind == CDC_COPY_COPYING && tab->st.began[0];
    bool overlaps =
        tab && tab->st.kind == CDC_COPY_DONE && torn.tx && is_within(copier, &tab->st, torn.tx);
    struct cdc_change *gap = reading || overlaps ? cdc_batch_add(batch, torn.table) : NULL;
    if (gap) {
        gap->op = CDC_OP_GAP;
        gap->tx = torn.tx;
    }
    if (!gap && (reading || overlaps))
        copier->oom = true;
    cdc_buf_done(&name);
}

void cdc_copier_pushed(struct cdc_copier *copier, struct cdc_batch *batch)
{
    if (!copier)
        return;
    copy_lock(copier);
    for (size_t i = 0, n = batch->n; i < n; i++)
        if (is_torn(&batch->changes[i]))
            mind_torn(copier, batch, i);
    for (size_t i = 0; i < batch->n; i++)
        if (batch->changes[i].op == CDC_OP_GAP)
            take_gap(copier, &batch->changes[i]);
    if (copier->counting)
        count(copier, batch);
    if (batch->delta.n > 0) {
        struct cdc_slice incarnation = cdc_map_get(&batch->delta, "incarnation");
        if (incarnation.p)
            new_incarnation(copier, incarnation);
        if (!copier->positioned && cdc_map_get(&batch->delta, "position").p) {
            copier->positioned = true;
            copy_changed(copier);
        }
    }
    copy_unlock(copier);
}

/* Under the lock: is the intake to stay where it is? */
static bool is_held(const struct cdc_copier *copier)
{
    size_t max = copier->opt.passed_max; /* a quarter of it is for what is on its way */
    bool room = copier->passed.txs.len < max - max / 4;
    return copier->hold != HOLD_NONE || !copier->started ||
           (copier->counting && !copier->witnessed && !room);
}

/* Asks the source for its last transaction, without the lock. */
static int ask_last(struct cdc_copier *copier, struct cdc_error *err)
{
    struct cdc_tx last = {.commit_us = 0};
    if (copier->src->ops->last(copier->src, &last, err) < 0)
        return CDC_FAIL;
    last.id = cdc_slice_of(NULL, 0);
    if (last.commit_us == 0) /* none is known of this session */
        last.commit_us = copier->clock_us ? copier->clock_us : cdc_now_us();
    copy_lock(copier);
    copier->last = last;
    if (copier->want_count) {
        cdc_passed_begin(&copier->passed, copier->opt.passed_max, &last);
        copier->counting = true;
        copier->witnessed = copier->want_count = false;
    }
    if (copier->hold == HOLD_WANTED)
        copier->hold = HOLD_HELD;
    copy_changed(copier);
    copy_unlock(copier);
    return CDC_OK;
}

int cdc_copier_visit(struct cdc_copier *copier, struct cdc_error *err)
{
    if (!copier)
        return CDC_OK;
    copy_lock(copier);
    bool ask = copier->positioned && (copier->want_count || copier->hold == HOLD_WANTED);
    bool tell = copier->positioned && copier->tell_copied, oom = copier->oom;
    copier->tell_copied &= !tell;
    copy_unlock(copier);
    if (oom)
        return cdc_fail_oom(err);
    if (tell)
        copier->src->ops->copied(copier->src);
    if (ask && ask_last(copier, err) < 0)
        return CDC_FAIL;
    copy_lock(copier);
    int rc = copier->positioned && is_held(copier) ? CDC_AGAIN : CDC_OK;
    copy_unlock(copier);
    return rc;
}

void cdc_copier_wait(struct cdc_copier *copier, bool held, int64_t deadline_us)
{
    copy_lock(copier);
    bool asked = copier->want_count || copier->hold == HOLD_WANTED || copier->tell_copied;
    bool wanted = copier->positioned && asked; /* a visit, now */
    if (!wanted && (!held || is_held(copier)))
        copy_wait(copier, deadline_us);
    copy_unlock(copier);
}

bool cdc_copier_idle(struct cdc_copier *copier)
{
    if (!copier)
        return true;
    copy_lock(copier);
    bool idle = copier->started && copier->listed && !copier->refresh && !copier->round.lane;
    for (size_t i = 0; idle && i < copier->n_tables; i++)
        idle = !copy_table_wanted(copier->tables[i]) &&
               (!copier->tables[i]->dirty || copier->tables[i]->paused);
    copy_unlock(copier);
    return idle;
}

bool cdc_copier_ahead(struct cdc_copier *copier)
{
    return copier && atomic_load(&copier->ahead);
}

bool cdc_copier_wants_log(struct cdc_copier *copier)
{
    return copier && copier->max_log > 0;
}

void cdc_copier_log(struct cdc_copier *copier, uint64_t held_bytes)
{
    if (!copier)
        return;
    copy_lock(copier);
    copier->held_log = held_bytes;
    copier->held_us = cdc_mono_us();
    copy_unlock(copier);
}

/* ---- commands ---- */

uint32_t cdc_copier_pause(struct cdc_copier *copier, const char *table)
{
    uint32_t mends = 2;
    if (!copier)
        return mends;
    copy_lock(copier);
    struct copy_table *tab = copy_table_get(copier, table);
    if (tab) {
        tab->paused = tab->gap = true;
        tab->epoch++; /* what is being read comes to nothing */
        tab->busy = 0;
        cdc_copy_give_up(&tab->st);
        mends = (tab->st.generation ? tab->st.generation : 1) + 1;
    }
    if (!tab)
        copier->oom = true;
    copy_changed(copier);
    copy_unlock(copier);
    return mends;
}

void cdc_copier_resume(struct cdc_copier *copier, const char *table)
{
    if (!copier)
        return;
    copy_lock(copier);
    struct copy_table *tab = copy_table_get(copier, table);
    const struct cdc_rule *rule =
        tab ? cdc_capture_match(copier->opt.set->config.capture, tab->schema, tab->table) : NULL;
    if (!tab)
        copier->oom = true;
    if (tab && tab->paused) {
        tab->paused = false;
        if (rule && (rule->snapshot != CDC_SNAPSHOT_NEVER || tab->st.kind == CDC_COPY_COPYING))
            copy_table_restart(copier, tab);
        copier->refresh = true;
    }
    copy_changed(copier);
    copy_unlock(copier);
}

int cdc_copier_repeat(struct cdc_copier *copier, const char *table)
{
    if (!copier)
        return CDC_END;
    copy_lock(copier);
    struct copy_table *tab = copy_table_get(copier, table);
    int rc = !tab                               ? CDC_FAIL
             : tab->paused                      ? CDC_END
             : tab->st.kind == CDC_COPY_COPYING ? CDC_AGAIN
                                                : CDC_OK;
    if (rc == CDC_OK) {
        tab->st.asked = true;
        copy_table_restart(copier, tab);
        copier->refresh = true;
    }
    copy_changed(copier);
    copy_unlock(copier);
    return rc;
}

/* Under the lock: is the list of just now? Else it will be. */
static bool ask_list(struct cdc_copier *copier)
{
    if (copier->ask == ASK_KNOWN && cdc_mono_us() - copier->known_us <= KNOWN_US)
        return true;
    if (copier->ask == ASK_NONE || copier->ask == ASK_KNOWN) {
        copier->ask = ASK_WANTED;
        copy_changed(copier);
    }
    return false;
}

int cdc_copier_has(struct cdc_copier *copier, const char *table)
{
    int rc = CDC_OK;
    if (!copier)
        return CDC_END;
    copy_lock(copier);
    const struct copy_table *tab = copy_table_find(copier, table);
    if (tab && tab->listed)
        rc = CDC_OK;
    else if (copy_any_rule(copier)) /* it is listed every minute */
        rc = copier->listed ? CDC_END : CDC_OK;
    else
        rc = ask_list(copier) ? CDC_END : CDC_AGAIN;
    copy_unlock(copier);
    return rc;
}

/* ---- what it shows ---- */

void cdc_copier_show(struct cdc_copier *copier,
                     void (*show)(void *arg, const struct cdc_copy_view *view), void *arg)
{
    if (!copier)
        return;
    copy_lock(copier);
    for (size_t i = 0; i < copier->n_tables; i++) {
        const struct copy_table *tab = copier->tables[i];
        if (tab->st.kind == CDC_COPY_NONE)
            continue;
        struct cdc_copy_view view = {
            .name = tab->name,
            .kind = tab->st.kind,
            .generation = tab->st.generation,
            .done_rows = tab->st.rows,
            .rows = tab->rows,
            .bytes = tab->bytes,
            .all_rows = tab->ct.rows,
            .all_bytes = tab->ct.bytes,
            .seconds = tab->began_us ? (double)(cdc_mono_us() - tab->began_us) / 1e6 : 0,
            .why = tab->st.why   ? tab->st.why
                   : tab->why[0] ? tab->why
                                 : NULL};
        show(arg, &view);
    }
    copy_unlock(copier);
}
