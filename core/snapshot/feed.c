/*
 * feed.c - which tables there are, and what the workers of a round are to read: pieces, cut out of
 * the tables one by one.
 *
 * A table is described anew in each round, so that a version that came in between is known. Where
 * its pieces mean nothing outside this round's look, it is begun anew with it; and but for a START
 * round, which goes on until nothing is left, such a table is one piece.
 *
 * What is being read when the process dies is read again: a piece a reader. So a piece is no more
 * than a small part of its table, however much `range_bytes` allows.
 */
#include "snapshot/internal.h"

#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/log.h"

#define BOUND_MAX ((size_t)64 << 20)
#define TRIES     3
#define PARTS     40 /* of a table, for each reader: 2.5 % of it are being read at any time */
#define LEAST     ((uint64_t)1 << 20)
#define GONE                                                                                       \
    "the source has no such table that is captured: it was dropped, renamed or taken out of the "  \
    "publication"

/* ---- the planner's own connection ---- */

void copy_close_own(struct cdc_copier *copier)
{
    if (copier->snap)
        copier->ops->close(copier->snap);
    copier->snap = NULL;
}

/* CDC_AGAIN, CDC_END as take says. */
int copy_own_look(struct copy_planner *pl, enum cdc_look look, int64_t wait_us)
{
    struct cdc_copier *copier = pl->copier;
    int rc = CDC_OK;
    if (!copier->snap)
        rc = copier->ops->open(copier->src, &copier->snap, &pl->err);
    if (rc == CDC_OK)
        copier->snap->stop = &copier->stop;
    if (rc == CDC_OK)
        rc = copier->ops->take(copier->snap, look, cdc_mono_us() + wait_us, &pl->err);
    if (rc < 0)
        copy_close_own(copier);
    return rc;
}

/* ---- the list ---- */

/* Under the lock: tables that were to be copied and are not there. */
static void miss_tables(struct cdc_copier *copier)
{
    for (size_t i = 0; i < copier->n_tables; i++)
        if (copy_table_wanted(copier->tables[i]) && !copier->tables[i]->listed)
            copy_table_failed(copier, copier->tables[i], GONE);
}

static int take_list(struct copy_planner *pl, const struct cdc_copy_name *names, size_t n)
{
    struct cdc_copier *copier = pl->copier;
    int rc = CDC_OK;
    copy_lock(copier);
    for (size_t i = 0; i < copier->n_tables; i++)
        copier->tables[i]->listed = false;
    for (size_t i = 0; rc == CDC_OK && i < n; i++)
        rc = copy_table_listed(copier, names[i].schema, names[i].name);
    miss_tables(copier);
    if (rc < 0)
        copier->oom = true;
    copier->listed = true;
    bool asked = copier->ask == ASK_TAKING;
    if (asked) {
        copier->ask = ASK_KNOWN;
        copier->known_us = cdc_mono_us();
    }
    copy_unlock(copier);
    if (asked)
        cdc_queue_poke(copier->opt.queue);
    return rc;
}

int copy_refresh_list(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    struct cdc_arena *arena = cdc_arena_new((size_t)256 << 20);
    struct cdc_copy_name *names = NULL;
    size_t n = 0;
    int rc = arena ? CDC_OK : cdc_fail_oom(&pl->err);
    copy_lock(copier);
    copier->refresh = false; /* what is asked for from now on needs another look */
    if (copier->ask == ASK_WANTED)
        copier->ask = ASK_TAKING;
    copy_unlock(copier);
    if (rc == CDC_OK && !copier->snap)
        rc = copier->ops->open(copier->src, &copier->snap, &pl->err);
    if (rc == CDC_OK)
        rc = copier->ops->list(copier->snap, arena, &names, &n, &pl->err);
    if (rc == CDC_OK)
        rc = take_list(pl, names, n);
    if (rc < 0)
        copy_close_own(copier);
    copy_lock(copier);
    if (copier->ask == ASK_TAKING) /* it came to nothing */
        copier->ask = ASK_WANTED;
    copy_unlock(copier);
    cdc_arena_free(arena);
    pl->list_us = cdc_mono_us() + COPY_LIST_US;
    return rc;
}

/* ---- what is to be read ---- */

bool copy_table_due(const struct copy_table *tab, int64_t now_us)
{
    return copy_table_wanted(tab) && tab->listed && tab->retry_us <= now_us;
}

/* Under the lock: the table that the next piece is cut of. */
static struct copy_table *pick(struct cdc_copier *copier)
{
    int64_t now_us = cdc_mono_us();
    for (size_t i = 0; i < copier->n_tables; i++) {
        struct copy_table *tab = copier->tables[i];
        bool seen = tab->round == copier->round.number && tab->ct.tab;
        if (copy_table_due(tab, now_us) && !copy_table_barred(copier, tab) &&
            cdc_copy_next(&tab->st) >= 0 && (!seen || tab->ct.divisible || tab->busy == 0))
            return tab;
    }
    return NULL;
}

/* Under the lock: is it still the table whose rows were read? Known before the first of them. */
static void note_shape(struct cdc_copier *copier, struct copy_table *tab)
{
    bool known = tab->st.shape[0];
    if (cdc_copy_shape(&tab->st, tab->ct.tab)) {
        cdc_log(CDC_LOG_WARN,
                "snapshot: table %s has other columns, is another one or has another `where` than "
                "when its copy began; it is copied from the beginning",
                tab->name);
        copy_table_restart(copier, tab);
        (void)cdc_copy_shape(&tab->st, tab->ct.tab);
    }
    tab->dirty |= !known;
    copy_tables_flush(copier);
}

/* The table as the source has it now. CDC_END: not this one. CDC_FAIL: not with this connection. */
static int describe(struct copy_planner *pl, struct copy_table *tab, uint32_t epoch)
{
    struct cdc_copier *copier = pl->copier;
    struct cdc_copy_table ct = {.tab = NULL};
    int rc = copier->ops->table(copier->snap, tab->schema, tab->table, &ct, &pl->err);
    if (copier->round.look != CDC_LOOK_START && !ct.resumable)
        ct.divisible = false; /* its pieces would have to be of one round, and a round ends */
    copy_lock(copier);
    if (rc == CDC_OK && epoch == tab->epoch) {
        cdc_table_unref(tab->ct.tab);
        tab->ct = ct;
        tab->round = copier->round.number;
        note_shape(copier, tab);
        if (!ct.resumable && cdc_copy_whole(&tab->st) < 0)
            copier->oom = true;
        ct.tab = NULL;
    } else if (rc == CDC_END && epoch == tab->epoch) {
        copy_table_failed(copier, tab, GONE);
    } else if (rc == CDC_AGAIN && epoch == tab->epoch) {
        copy_table_again(tab, pl->err.message);
    } else if (rc < 0 && !copy_may_mend(&pl->err) && epoch == tab->epoch) {
        copy_table_failed(copier, tab, pl->err.message);
    }
    copy_unlock(copier);
    cdc_table_unref(ct.tab);
    return rc < 0 ? CDC_FAIL : rc == CDC_OK ? CDC_OK : CDC_END;
}

/* Under the lock: the piece before `cut` (NULL: all of it) is somebody's. NULL: no memory. */
static struct copy_piece *take_piece(struct cdc_copier *copier, struct copy_table *tab, int at,
                                     const char *cut)
{
    struct copy_piece *piece = calloc(1, sizeof *piece);
    if (piece && cdc_copy_take(&tab->st, at, cut) == CDC_OK) {
        const struct cdc_piece *from = &tab->st.pieces[at];
        *piece = (struct copy_piece){.tab = tab,
                                     .epoch = tab->epoch,
                                     .from = from->from ? strdup(from->from) : NULL,
                                     .to = from->to ? strdup(from->to) : NULL,
                                     .ct = tab->ct};
        cdc_table_ref(tab->ct.tab);
        tab->busy++;
        if ((from->from && !piece->from) || (from->to && !piece->to))
            copier->oom = true;
        return piece;
    }
    free(piece);
    copier->oom = true;
    return NULL;
}

/* How large a piece of the table is to be. */
static uint64_t piece_bytes(const struct cdc_copier *copier, const struct copy_table *tab)
{
    uint64_t part = tab->ct.bytes / (PARTS * copier->n_workers);
    uint64_t least = copier->range_bytes < LEAST ? copier->range_bytes : LEAST;
    if (tab->ct.bytes == 0 || part > copier->range_bytes)
        return copier->range_bytes;
    return part < least ? least : part;
}

static void give(struct cdc_copier *copier, struct copy_piece *piece, bool cut)
{
    struct copy_round *round = &copier->round;
    if (round->last)
        round->last->next = piece;
    else
        round->first = piece;
    round->last = piece;
    round->n_pieces++;
    round->bytes += cut ? piece_bytes(copier, piece->tab) : piece->ct.bytes / 4 + 1;
    copy_changed(copier);
}

/* The bounds of the next piece of the table, copied. False: none. */
static bool next_rest(struct cdc_copier *copier, struct copy_table *tab, struct cdc_piece *ret)
{
    copy_lock(copier);
    int at = cdc_copy_next(&tab->st);
    if (at >= 0)
        *ret = (struct cdc_piece){
            .from = tab->st.pieces[at].from ? strdup(tab->st.pieces[at].from) : NULL,
            .to = tab->st.pieces[at].to ? strdup(tab->st.pieces[at].to) : NULL};
    copy_unlock(copier);
    return at >= 0;
}

/* Where to cut it; *ret NULL: nowhere. */
static int find_cut(struct copy_planner *pl, struct copy_table *tab, struct cdc_buf *buf,
                    const char **ret)
{
    struct cdc_copier *copier = pl->copier;
    struct cdc_piece rest = {.from = NULL};
    *ret = NULL;
    if (!tab->ct.divisible || !next_rest(copier, tab, &rest))
        return CDC_OK;
    struct cdc_range range = {.from = cdc_slice_str(rest.from), .to = cdc_slice_str(rest.to)};
    int rc =
        copier->ops->plan(copier->snap, &tab->ct, &range, piece_bytes(copier, tab), buf, &pl->err);
    const char *cut = rc == CDC_OK ? cdc_buf_cstr(buf) : NULL;
    if (rc == CDC_OK && !cut)
        rc = cdc_fail_oom(&pl->err);
    if (cut && !(rest.from && strcmp(cut, rest.from) == 0) &&
        !(rest.to && strcmp(cut, rest.to) == 0))
        *ret = cut;
    free(rest.from);
    free(rest.to);
    return rc < 0 ? CDC_FAIL : rc;
}

static int cut_piece(struct copy_planner *pl, struct copy_table *tab, uint32_t epoch)
{
    struct cdc_copier *copier = pl->copier;
    struct cdc_buf buf = CDC_BUF(BOUND_MAX);
    const char *cut;
    int rc = find_cut(pl, tab, &buf, &cut);
    copy_lock(copier);
    int at = cdc_copy_next(&tab->st);
    if (rc == CDC_AGAIN && epoch == tab->epoch)
        copy_table_again(tab, pl->err.message);
    else if (rc < 0 && !copy_may_mend(&pl->err) && epoch == tab->epoch)
        copy_table_failed(copier, tab, pl->err.message);
    else if (rc >= 0 && epoch == tab->epoch && at >= 0) {
        struct copy_piece *piece = take_piece(copier, tab, at, cut);
        if (piece)
            give(copier, piece, cut != NULL);
    }
    copy_unlock(copier);
    cdc_buf_done(&buf);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

/* One more piece for the workers. CDC_END: there is none. */
static int feed_one(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    copy_lock(copier);
    struct copy_table *tab = pick(copier);
    uint32_t epoch = tab ? tab->epoch : 0;
    bool seen = tab && tab->round == copier->round.number && tab->ct.tab;
    copy_unlock(copier);
    if (!tab)
        return CDC_END;
    int rc = seen ? CDC_OK : describe(pl, tab, epoch);
    if (rc == CDC_OK)
        rc = cut_piece(pl, tab, epoch);
    return rc == CDC_END ? CDC_OK : rc;
}

/* As feed_one; a connection that failed is made anew, a few times. */
int copy_feed(struct copy_planner *pl)
{
    struct cdc_copier *copier = pl->copier;
    int rc = copier->snap ? feed_one(pl) : cdc_fail(&pl->err, CDC_RETRY, "", "no connection");
    if (rc >= 0) {
        pl->failures = 0;
        return rc;
    }
    copy_close_own(copier);
    if (atomic_load(&copier->stop) || pl->err.action == CDC_FATAL ||
        (copy_may_mend(&pl->err) && ++pl->failures > TRIES))
        return CDC_FAIL;
    return copy_own_look(pl, copier->round.look, COPY_WITNESS_US) == CDC_OK ? CDC_OK : CDC_FAIL;
}
