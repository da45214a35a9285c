/*
 * metrics.c - see metrics.h.
 *
 * Seconds of the ladder. What has come into the queue, or is being written, or is written and not
 * committed, has an oldest change, and its age is the lag. What has not been received cannot be
 * asked for its age; there are four signs of it: the newest change received is old although more
 * comes at once (a backlog); nothing was received for a while and the source did not say that there
 * is nothing (it is held up by a full queue); the last look saw an end of the log beyond what came
 * since; no session streams, and nothing was heard of the source since then. The age of the newest
 * change alone would be no lag: an idle source has none.
 */
#include "metrics/metrics.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdc/clock.h"

#define HELD_UP_US 1500000 /* a poll gives something, or says that there is nothing, within 1 s */

const char cdc_metrics_ops[] = "cudrtm";
const double cdc_metrics_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                     0.25,  0.5,    1,     2.5,  5,     10,   30};

/* A table; `open` counts what is written and not committed. */
struct entry {
    struct cdc_metrics_table told; /* its texts are owned here */
    uint64_t open[CDC_METRICS_OPS], open_bytes;
    int64_t open_us;
    bool is_open;
    struct entry *next_open;
};

struct rung {
    uint64_t log; /* bytes of log since the run began */
    char position[CDC_METRICS_TEXT];
};

struct cdc_metrics {
    pthread_mutex_t lock;
    struct cdc_metrics_view now; /* the counters of it; texts, tables, ladder are made by look */
    struct rung rungs[CDC_RUNGS];
    struct entry **tables; /* by name */
    size_t n_tables, cap_tables;
    struct entry *open; /* tables with rows not committed */

    bool dry;                     /* the source said that there is nothing more */
    int64_t newest_us, delay_us;  /* the newest change received: commit time, and its age then */
    int64_t received_us;          /* when that was, or the session began (monotonic) */
    int64_t heard_us;             /* of the source, the last time (monotonic) */
    int64_t behind_us;            /* wall clock of the look that first saw more; 0: none did */
    int64_t taken_us, written_us; /* commit time of the oldest change in write, of those written */
    bool rows_open;               /* rows were taken out of the queue since the last commit */
    int64_t progress_us;          /* of the sink (monotonic) */
};

struct cdc_metrics *cdc_metrics_new(void)
{
    struct cdc_metrics *met = calloc(1, sizeof *met);
    if (!met)
        return NULL;
    pthread_mutex_init(&met->lock, NULL);
    met->now.started_us = met->now.phase_us = cdc_now_us();
    met->heard_us = cdc_mono_us();
    return met;
}

void cdc_metrics_free(struct cdc_metrics *met)
{
    if (!met)
        return;
    for (size_t i = 0; i < met->n_tables; i++) {
        free((char *)(uintptr_t)met->tables[i]->told.name);
        free((char *)(uintptr_t)met->tables[i]->told.state);
        free((char *)(uintptr_t)met->tables[i]->told.gap);
        free(met->tables[i]);
    }
    free(met->tables);
    pthread_mutex_destroy(&met->lock);
    free(met);
}

/* Where the table of that name is, or belongs. */
static size_t place_of(const struct cdc_metrics *met, const char *name)
{
    size_t low = 0, high = met->n_tables;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(met->tables[mid]->told.name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct entry *entry_new(const char *name)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry)
        entry->told.name = strdup(name);
    if (entry && !entry->told.name) {
        free(entry);
        return NULL;
    }
    return entry;
}

static bool make_room(struct cdc_metrics *met)
{
    if (met->n_tables < met->cap_tables)
        return true;
    size_t cap = met->cap_tables ? met->cap_tables * 2 : 16;
    struct entry **tables = realloc(met->tables, cap * sizeof *tables);
    if (!tables)
        return false;
    met->tables = tables;
    met->cap_tables = cap;
    return true;
}

/* Under the lock; made if it is not there. NULL: no memory, and the table goes uncounted. */
static struct entry *entry_of(struct cdc_metrics *met, const char *name)
{
    size_t at = place_of(met, name);
    if (at < met->n_tables && strcmp(met->tables[at]->told.name, name) == 0)
        return met->tables[at];
    struct entry *entry = make_room(met) ? entry_new(name) : NULL;
    if (!entry)
        return NULL;
    memmove(&met->tables[at + 1], &met->tables[at], (met->n_tables - at) * sizeof *met->tables);
    met->tables[at] = entry;
    met->n_tables++;
    return entry;
}

/* The table's entry, which will have rows that are not committed. */
static struct entry *open_entry(struct cdc_metrics *met, const struct cdc_table *tab)
{
    if (!tab->counters) {
        struct cdc_buf name = CDC_BUF(4096);
        cdc_buf_printf(&name, "%s.%s", tab->schema, tab->name);
        const char *text = cdc_buf_cstr(&name);
        ((struct cdc_table *)(uintptr_t)tab)->counters = text ? entry_of(met, text) : NULL;
        cdc_buf_done(&name);
    }
    struct entry *entry = tab->counters;
    if (entry && !entry->is_open) {
        entry->is_open = true;
        entry->next_open = met->open;
        met->open = entry;
    }
    return entry;
}

static void set_text(const char **to, const char *from)
{
    if (*to && from && strcmp(*to, from) == 0)
        return;
    free((char *)(uintptr_t)*to);
    *to = from ? strdup(from) : NULL;
}

/* The states of tables out of a checkpoint or a delta of it. */
static void take_states(struct cdc_metrics *met, const struct cdc_map *map)
{
    static const char prefix[] = "table/";
    for (size_t i = 0; i < map->n; i++) {
        const struct cdc_kv *kv = &map->items[i];
        const char *key = (const char *)kv->key.p;
        if (!kv->value.p || strncmp(key, prefix, strlen(prefix)) != 0)
            continue;
        json_t *state = json_loadb((const char *)kv->value.p, kv->value.len, 0, NULL);
        struct entry *entry = state ? entry_of(met, key + strlen(prefix)) : NULL;
        if (entry) {
            const json_t *gap = json_object_get(state, "gap");
            const char *from = json_string_value(json_object_get(gap, "from"));
            set_text(&entry->told.state, json_string_value(json_object_get(state, "state")));
            set_text(&entry->told.gap, gap ? (from ? from : "") : NULL);
        }
        json_decref(state);
    }
}

/*
 * The map's position, as it was if there is none. It is a text in JSON, often read and possibly
 * long (a set of GTIDs), of which the beginning is shown: so it is not parsed, but for quotes in
 * it.
 */
static void take_position(struct rung *rung, const struct cdc_map *map)
{
    struct cdc_slice text = cdc_map_get(map, "position");
    size_t n = 0;
    if (!text.p || text.len < 2)
        return;
    for (size_t i = 1; i + 1 < text.len && n + 1 < sizeof rung->position; i++) {
        if (text.p[i] == '\\' && i + 2 < text.len && strchr("\"\\/", text.p[i + 1]))
            i++;
        rung->position[n++] = (char)text.p[i];
    }
    rung->position[n] = 0;
}

void cdc_metrics_phase(struct cdc_metrics *met, enum cdc_phase phase)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    if (met->now.phase != phase)
        met->now.phase_us = cdc_now_us();
    met->now.phase = phase;
    pthread_mutex_unlock(&met->lock);
}

void cdc_metrics_trouble(struct cdc_metrics *met, const struct cdc_error *err)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    met->now.retries++;
    met->now.phase = CDC_PHASE_WAITING;
    met->now.phase_us = cdc_now_us();
    snprintf(met->now.trouble, sizeof met->now.trouble, "%s%s%s", err->where,
             err->where[0] ? ": " : "", err->message);
    pthread_mutex_unlock(&met->lock);
}

/* What was written is committed, or will never be. */
static void close_tables(struct cdc_metrics *met, bool committed)
{
    for (struct entry *entry = met->open; entry; entry = entry->next_open) {
        struct cdc_metrics_table *told = &entry->told;
        for (size_t op = 0; committed && op < CDC_METRICS_OPS; op++)
            told->rows[op] += entry->open[op];
        told->bytes += committed ? entry->open_bytes : 0;
        if (committed && entry->open_us > told->commit_us)
            told->commit_us = entry->open_us;
        memset(entry->open, 0, sizeof entry->open);
        entry->open_bytes = 0;
        entry->is_open = false;
    }
    met->open = NULL;
}

void cdc_metrics_begin(struct cdc_metrics *met, const struct cdc_map *checkpoint)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    struct rung *rungs = met->rungs;
    take_position(&rungs[CDC_RUNG_COMMITTED], checkpoint);
    rungs[CDC_RUNG_RECEIVED] = rungs[CDC_RUNG_WRITTEN] = rungs[CDC_RUNG_COMMITTED];
    take_states(met, checkpoint);
    close_tables(met, false);
    met->now.sessions++;
    met->now.rows_waiting = 0;
    met->newest_us = met->delay_us = met->taken_us = met->written_us = 0;
    met->dry = met->rows_open = false;
    met->received_us = met->progress_us = cdc_mono_us();
    pthread_mutex_unlock(&met->lock);
}

static int64_t commit_time(const struct cdc_batch *batch, size_t i)
{
    return batch->n > 0 && batch->changes[i].tx ? batch->changes[i].tx->commit_us : 0;
}

/* Is it of a copy (core/snapshot)? Then its commit time is only a place, and tells no delay. */
static bool is_copied(const struct cdc_change *chg)
{
    return chg->op == CDC_OP_READ || (chg->op == CDC_OP_RANGE && chg->flags & CDC_INFERRED);
}

/* Under the lock: has all been received that the last look saw? */
static void mind_end(struct cdc_metrics *met)
{
    struct rung *end = &met->rungs[CDC_RUNG_END];
    const struct rung *received = &met->rungs[CDC_RUNG_RECEIVED];
    if (received->log < end->log)
        return;
    end->log = received->log;
    met->behind_us = 0;
}

/* Under the lock: a poll came back, so the session runs; it streams once it has a position. */
static void mind_phase(struct cdc_metrics *met)
{
    met->received_us = met->heard_us = cdc_mono_us();
    if (!met->rungs[CDC_RUNG_RECEIVED].position[0] || met->now.phase != CDC_PHASE_STARTING)
        return;
    met->now.phase = CDC_PHASE_STREAMING;
    met->now.phase_us = cdc_now_us();
}

void cdc_metrics_received(struct cdc_metrics *met, const struct cdc_batch *batch)
{
    if (!met)
        return;
    int64_t newest_us = commit_time(batch, batch->n ? batch->n - 1 : 0);
    pthread_mutex_lock(&met->lock);
    struct rung *rung = &met->rungs[CDC_RUNG_RECEIVED];
    rung->log += batch->log_bytes;
    take_position(rung, &batch->delta);
    mind_end(met);
    met->dry = newest_us == 0;
    if (newest_us) {
        met->newest_us = newest_us;
        met->delay_us = batch->read_us - newest_us;
    }
    mind_phase(met);
    pthread_mutex_unlock(&met->lock);
}

void cdc_metrics_dry(struct cdc_metrics *met)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    met->dry = true;
    mind_phase(met);
    pthread_mutex_unlock(&met->lock);
}

void cdc_metrics_looked(struct cdc_metrics *met, const struct cdc_source_status *status)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    struct rung *end = &met->rungs[CDC_RUNG_END];
    end->log = met->rungs[CDC_RUNG_RECEIVED].log + status->end_bytes;
    snprintf(end->position, sizeof end->position, "%s", status->end);
    if (status->end_bytes > 0 && met->behind_us == 0)
        met->behind_us = cdc_now_us();
    mind_end(met);
    met->now.source = *status;
    met->now.looked = true;
    met->now.looked_us = cdc_now_us();
    pthread_mutex_unlock(&met->lock);
}

void cdc_metrics_taken(struct cdc_metrics *met, const struct cdc_batch *batch)
{
    if (!met || batch->n == 0)
        return;
    pthread_mutex_lock(&met->lock);
    met->taken_us = is_copied(&batch->changes[0]) ? 0 : commit_time(batch, 0);
    if (!met->rows_open)
        met->progress_us = cdc_mono_us();
    met->rows_open = true;
    pthread_mutex_unlock(&met->lock);
}

static size_t op_of(uint8_t op)
{
    const char *at = op ? strchr(cdc_metrics_ops, op) : NULL;
    return at ? (size_t)(at - cdc_metrics_ops) : 0;
}

/* Changes of one table mostly stand together. */
static void count_changes(struct cdc_metrics *met, const struct cdc_batch *batch)
{
    const struct cdc_table *last = NULL;
    struct entry *entry = NULL;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        if (chg->table != last)
            entry = open_entry(met, chg->table);
        last = chg->table;
        if (!entry)
            continue;
        entry->open[op_of(chg->op)]++;
        if (!is_copied(chg))
            entry->open_us = commit_time(batch, i);
    }
}

void cdc_metrics_written(struct cdc_metrics *met, const struct cdc_batch *batch)
{
    if (!met)
        return;
    pthread_mutex_lock(&met->lock);
    struct rung *rung = &met->rungs[CDC_RUNG_WRITTEN];
    rung->log += batch->log_bytes;
    take_position(rung, &batch->delta);
    count_changes(met, batch);
    if (batch->n > 0 && met->written_us == 0)
        met->written_us = met->taken_us;
    met->taken_us = 0;
    met->now.rows += batch->n;
    met->now.rows_waiting += batch->n;
    met->now.batches++;
    met->progress_us = cdc_mono_us();
    pthread_mutex_unlock(&met->lock);
}

void cdc_metrics_bytes(struct cdc_metrics *met, const struct cdc_table *tab, uint64_t bytes)
{
    if (!met || bytes == 0)
        return;
    pthread_mutex_lock(&met->lock);
    struct entry *entry = open_entry(met, tab);
    if (entry)
        entry->open_bytes += bytes;
    pthread_mutex_unlock(&met->lock);
}

static void observe(struct cdc_histogram *hist, double seconds)
{
    for (size_t i = 0; i < CDC_METRICS_BUCKETS; i++)
        if (seconds <= cdc_metrics_bounds[i]) {
            hist->buckets[i]++;
            break;
        }
    hist->count++;
    hist->sum += seconds;
}

static double age(int64_t now_us, int64_t then_us)
{
    return then_us > 0 && now_us > then_us ? (double)(now_us - then_us) / 1e6 : 0;
}

void cdc_metrics_committed(struct cdc_metrics *met, const struct cdc_map *delta, int64_t took_us)
{
    if (!met)
        return;
    int64_t now_us = cdc_now_us();
    pthread_mutex_lock(&met->lock);
    observe(&met->now.commit, (double)took_us / 1e6);
    if (met->written_us)
        observe(&met->now.delivery, age(now_us, met->written_us));
    met->rungs[CDC_RUNG_COMMITTED] = met->rungs[CDC_RUNG_WRITTEN];
    take_states(met, delta);
    close_tables(met, true);
    met->written_us = 0;
    met->rows_open = false;
    met->now.rows_waiting = 0;
    met->now.commits++;
    met->now.committed_us = now_us;
    met->now.trouble[0] = 0;
    met->progress_us = cdc_mono_us();
    pthread_mutex_unlock(&met->lock);
}

/* ---- looking ---- */

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double received_age(const struct cdc_metrics *met, int64_t now_us)
{
    double lag = 0;
    if (cdc_mono_us() - met->received_us > HELD_UP_US && !met->dry)
        lag = age(now_us, met->newest_us);
    else if (!met->dry && met->delay_us > 0)
        lag = (double)met->delay_us / 1e6;
    if (met->now.phase != CDC_PHASE_STREAMING)
        lag = most(lag, age(cdc_mono_us(), met->heard_us));
    return most(lag, age(now_us, met->behind_us));
}

static void look_ladder(const struct cdc_metrics *met, const struct cdc_queue_look *queue,
                        struct cdc_metrics_view *ret)
{
    uint64_t end = met->rungs[CDC_RUNG_END].log;
    if (end < met->rungs[CDC_RUNG_RECEIVED].log)
        end = met->rungs[CDC_RUNG_RECEIVED].log;
    for (int i = 0; i < CDC_RUNGS; i++) {
        struct cdc_metrics_rung *rung = &ret->rungs[i];
        rung->bytes = i == CDC_RUNG_END ? 0 : end - met->rungs[i].log;
        memcpy(rung->position, met->rungs[i].position, sizeof rung->position);
    }
    double lag = received_age(met, ret->at_us);
    ret->rungs[CDC_RUNG_RECEIVED].seconds = lag;
    lag = most(lag, most(age(ret->at_us, queue->oldest_us), age(ret->at_us, met->taken_us)));
    ret->rungs[CDC_RUNG_WRITTEN].seconds = lag;
    ret->rungs[CDC_RUNG_COMMITTED].seconds = most(lag, age(ret->at_us, met->written_us));
}

static bool look_tables(const struct cdc_metrics *met, struct cdc_metrics_view *ret)
{
    ret->tables = cdc_arena_zalloc(ret->arena, (met->n_tables + 1) * sizeof *ret->tables);
    for (size_t i = 0; ret->tables && i < met->n_tables; i++) {
        struct cdc_metrics_table *tab = &ret->tables[i];
        *tab = met->tables[i]->told;
        tab->name = cdc_arena_strdup(ret->arena, tab->name);
        tab->state = cdc_arena_strdup(ret->arena, tab->state ? tab->state : "streaming");
        tab->gap = cdc_arena_strdup(ret->arena, tab->gap);
        if (!tab->name || !tab->state)
            return false;
    }
    ret->n_tables = met->n_tables;
    return ret->tables != NULL;
}

int cdc_metrics_look(struct cdc_metrics *met, const struct cdc_queue_look *queue,
                     struct cdc_metrics_view *ret)
{
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    if (!arena)
        return CDC_FAIL;
    pthread_mutex_lock(&met->lock);
    *ret = met->now;
    ret->arena = arena;
    ret->at_us = cdc_now_us();
    look_ladder(met, queue, ret);
    ret->waiting_s = met->rows_open ? age(cdc_mono_us(), met->progress_us) : 0;
    bool done = look_tables(met, ret);
    pthread_mutex_unlock(&met->lock);
    ret->queue_batches = queue->batches;
    ret->queue_bytes = queue->bytes;
    ret->queue_limit = queue->limit;
    if (done)
        return CDC_OK;
    cdc_metrics_view_done(ret);
    return CDC_FAIL;
}

void cdc_metrics_view_done(struct cdc_metrics_view *view)
{
    cdc_arena_free(view->arena);
    view->arena = NULL;
}
