/* fake_snap.c - see fake_snap.h. Everything happens under the world's lock. */
#include "fake_snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cdc/clock.h"

struct fake_snap_world *fake_snap_world;

static const char *const names[FAKE_TABLES] = {"a", "b", "c"};

void fake_snap_init(struct fake_snap_world *world, unsigned seed)
{
    *world = (struct fake_snap_world){.seed = seed, .limit = 300, .slow = 10};
    pthread_mutex_init(&world->lock, NULL);
    for (int t = 0; t < FAKE_TABLES; t++) {
        world->resumable[t] = world->divisible[t] = true;
        for (int k = 0; k < FAKE_KEYS; k++)
            world->now[t][k] = rand_r(&world->seed) % 3 ? 1000000 + k : 0;
    }
    fake_snap_world = world;
}

void fake_snap_done(struct fake_snap_world *world)
{
    pthread_mutex_destroy(&world->lock);
}

/* ---- the server; under the lock ---- */

static bool touches(const struct fake_tx *tx, int table, int key)
{
    for (int i = 0; i < tx->n; i++)
        if (tx->changes[i].table == table && tx->changes[i].key == key)
            return true;
    return false;
}

/* Who touches a row waits until those before it have gone. */
static void wait_for_row(struct fake_snap_world *world, int table, int key)
{
    for (int i = world->n_txs - 1; i >= 0 && i > world->n_txs - 200; i--)
        if (touches(&world->txs[i], table, key) && world->txs[i].visible_at > world->calls)
            world->txs[i].visible_at = world->calls;
}

static void change(struct fake_snap_world *world, struct fake_tx *tx,
                   const struct fake_change *change)
{
    int *row = &world->now[change->table][change->key];
    wait_for_row(world, change->table, change->key);
    tx->changes[tx->n] = *change;
    tx->changes[tx->n++].before = *row;
    *row = change->value;
}

/* A row gets the key of none; which is told in one update, and then as a deletion. */
static bool move_one(struct fake_snap_world *world, struct fake_tx *tx)
{
    int t = rand_r(&world->seed) % FAKE_TABLES, from = rand_r(&world->seed) % FAKE_KEYS;
    int to = rand_r(&world->seed) % FAKE_KEYS, value = world->now[t][from];
    while (world->now[t][to] && to < FAKE_KEYS - 1)
        to++;
    if (!value || world->now[t][to] || touches(tx, t, from) || touches(tx, t, to))
        return false;
    change(world, tx, &(struct fake_change){t, to, value, 0, true, from});
    change(world, tx, &(struct fake_change){.table = t, .key = from});
    return true;
}

static void commit_one(struct fake_snap_world *world)
{
    struct fake_tx *tx = &world->txs[world->n_txs];
    int n = 1 + rand_r(&world->seed) % 3;
    tx->n = 0;
    for (int i = 0; i < n; i++) {
        int table = rand_r(&world->seed) % FAKE_TABLES, key = rand_r(&world->seed) % FAKE_KEYS;
        bool there = world->now[table][key];
        int value = there && rand_r(&world->seed) % 3 == 0 ? 0 : world->n_txs + 1;
        if (!touches(tx, table, key))
            change(world, tx, &(struct fake_change){.table = table, .key = key, .value = value});
    }
    bool gap = world->gap_one_in > 0 && world->gaps < world->gaps_max &&
               rand_r(&world->seed) % world->gap_one_in == 0;
    tx->gap = gap && !world->torn;
    world->gaps += gap && (tx->gap || move_one(world, tx));
    tx->visible_at = world->calls + (world->slow ? rand_r(&world->seed) % (world->slow + 1) : 0);
    world->n_txs++;
}

static void go_on(struct fake_snap_world *world)
{
    world->calls++;
    int n = rand_r(&world->seed) % 3;
    while (n-- > 0 && world->n_txs < world->limit)
        commit_one(world);
}

static bool is_visible(const struct fake_snap_world *world, int tx)
{
    return world->txs[tx].visible_at <= world->calls;
}

/* CDC_OK: no fault. */
static int strike(struct fake_snap_world *world, enum fake_snap_call call, const char *table,
                  struct cdc_error *err)
{
    go_on(world);
    for (size_t i = 0; i < sizeof world->faults / sizeof *world->faults; i++) {
        struct fake_snap_fault *f = &world->faults[i];
        if (f->in == 0 || f->call != call || (f->table && table && strcmp(f->table, table) != 0) ||
            --f->in > 0)
            continue;
        (void)cdc_fail(err, f->action, "fake", "scripted: call %d", (int)call);
        return f->rc;
    }
    return CDC_OK;
}

static void place_of(int tx, char *to)
{
    char text[32];
    snprintf(text, sizeof text, "%024x", (unsigned)tx + 1);
    memcpy(to, text, CDC_PLACE_LEN);
}

/* ---- the source ---- */

enum phase { TELL_CREATING, WAIT_CREATING, TELL_START, WAIT_START, STREAM };

struct fake_source {
    struct cdc_source base;
    struct fake_snap_world *world;
    const struct cdc_config *cfg;
    struct cdc_table *tables[FAKE_TABLES];
    enum phase phase;
    int at;  /* transactions emitted */
    int end; /* ... that were there when it was opened */
    bool told;
    atomic_bool woken;
};

static int make_table(const struct cdc_config *cfg, int t, struct cdc_table **ret,
                      struct cdc_error *err)
{
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .type_mod = -1},
        {.name = "v",
         .type = "bigint",
         .kind = CDC_INT,
         .bits = 64,
         .nullable = true,
         .type_mod = -1}};
    const struct cdc_rule *rule = cdc_capture_match(cfg->capture, "x", names[t]);
    const struct cdc_table_spec spec = {.catalog = "fake",
                                        .schema = "x",
                                        .name = names[t],
                                        .version = 1,
                                        .n = 2,
                                        .cols = cols,
                                        .rule = rule};
    return rule ? cdc_table_new(&spec, ret, err) : CDC_OK;
}

static void src_close(struct cdc_source *base)
{
    struct fake_source *src = (struct fake_source *)base;
    pthread_mutex_lock(&src->world->lock);
    src->world->wrong += src->world->open_snaps; /* instances go first */
    src->world->start_look = false;              /* the holder's session goes with it */
    pthread_mutex_unlock(&src->world->lock);
    for (int t = 0; t < FAKE_TABLES; t++)
        cdc_table_unref(src->tables[t]);
    free(src);
}

static int src_open(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                    struct cdc_source **ret, struct cdc_error *err)
{
    struct fake_snap_world *world = fake_snap_world;
    pthread_mutex_lock(&world->lock);
    int rc = strike(world, SNAP_SOURCE_OPEN, NULL, err);
    pthread_mutex_unlock(&world->lock);
    if (rc != CDC_OK)
        return CDC_FAIL;
    struct fake_source *src = calloc(1, sizeof *src);
    struct cdc_buf position = CDC_BUF(64);
    if (!src)
        return cdc_fail_oom(err);
    *src = (struct fake_source){.base = {.ops = &fake_snap_source_ops}, .world = world, .cfg = cfg};
    src->end = world->n_txs;
    for (int t = 0; t < FAKE_TABLES; t++)
        if (make_table(cfg, t, &src->tables[t], err) < 0)
            return CDC_FAIL;
    if (cdc_map_get_text(checkpoint, "position", &position, err) == CDC_OK) {
        src->phase = STREAM;
        src->at = atoi(cdc_buf_cstr(&position));
    } else {
        src->phase = cdc_map_get(checkpoint, "creating").p ? TELL_START : TELL_CREATING;
    }
    cdc_buf_done(&position);
    *ret = &src->base;
    return CDC_OK;
}

/* The row moved here, and the source does not send its value. */
static int tear(struct cdc_batch *batch, struct cdc_change *chg, struct cdc_value *row, int from)
{
    struct cdc_value *before = cdc_batch_values(batch, 2);
    if (!before)
        return CDC_FAIL;
    before[0] = (struct cdc_value){.kind = CDC_INT, .i = from};
    before[1].kind = row[1].kind = CDC_UNCHANGED;
    chg->op = CDC_OP_UPDATE;
    chg->flags |= CDC_KEY_MOVED;
    chg->before = before;
    return CDC_OK;
}

/* Ordinal 0: the log says that it does not have it. */
static int add_change(struct fake_source *src, struct cdc_batch *batch, const struct cdc_tx *tx,
                      const struct fake_change *change, uint64_t ordinal)
{
    struct cdc_table *tab = src->tables[change->table];
    if (!tab)
        return CDC_OK;
    struct cdc_change *chg = cdc_batch_add(batch, tab);
    struct cdc_value *row = cdc_batch_values(batch, 2);
    if (!chg || !row)
        return CDC_FAIL;
    chg->tx = tx;
    chg->op = CDC_OP_GAP;
    if (ordinal == 0)
        return CDC_OK;
    row[0] = (struct cdc_value){.kind = CDC_INT, .i = change->key};
    row[1] = (struct cdc_value){.kind = CDC_INT, .i = change->value};
    chg->op = !change->value ? CDC_OP_DELETE : change->before ? CDC_OP_UPDATE : CDC_OP_CREATE;
    chg->ordinal = ordinal;
    *(change->value ? &chg->after : &chg->before) = row;
    return change->moved ? tear(batch, chg, row, change->from) : CDC_OK;
}

static int stream(struct fake_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    const struct fake_tx *from = &src->world->txs[src->at];
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char *id = cdc_arena_printf(batch->arena, "%d%*s", src->at, src->world->id_len, "");
    if (!tx || !id)
        return cdc_fail_oom(err);
    tx->id = cdc_slice_str(id);
    tx->commit_us = 1700000000000000 + src->at;
    place_of(src->at, tx->place);
    for (int i = 0; i < from->n; i++) {
        int rc = add_change(src, batch, tx, &from->changes[i], from->gap ? 0 : (uint64_t)i + 1);
        if (rc < 0)
            return cdc_fail_oom(err);
    }
    char position[16];
    snprintf(position, sizeof position, "%d", ++src->at);
    batch->cut = CDC_CUT_END;
    return cdc_batch_position(batch, cdc_slice_str(position), err);
}

static int say(struct fake_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct fake_snap_world *world = src->world;
    char position[16];
    batch->cut = CDC_CUT_END, batch->urgent = true;
    if (src->phase == TELL_CREATING) {
        src->phase = WAIT_CREATING;
        return cdc_batch_set(batch, "creating", cdc_slice_str("{\"slot\":\"fake\"}"), err);
    }
    world->created = world->start_look = true;
    world->copied = false;
    src->at = world->start = world->n_txs;
    for (int i = 0; i < world->n_txs; i++)
        world->txs[i].visible_at = 0;
    src->phase = WAIT_START;
    snprintf(position, sizeof position, "%d", src->at);
    if (cdc_batch_set(batch, "creating", cdc_slice_of(NULL, 0), err) < 0)
        return CDC_FAIL;
    return cdc_batch_position(batch, cdc_slice_str(position), err);
}

static int wait_until(struct fake_source *src, int64_t deadline_us)
{
    while (cdc_mono_us() < deadline_us && !atomic_exchange(&src->woken, false))
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    return CDC_AGAIN;
}

static int src_poll(struct cdc_source *base, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    struct fake_snap_world *world = src->world;
    pthread_mutex_lock(&world->lock);
    int rc = strike(world, SNAP_POLL, NULL, err);
    bool wait = src->phase == WAIT_CREATING || src->phase == WAIT_START;
    if (rc == CDC_OK && !wait && src->phase != STREAM)
        rc = say(src, batch, err);
    else if (rc == CDC_OK && !wait && world->tells && !src->told && src->at >= src->end)
        batch->caught_up = src->told = true, batch->cut = CDC_CUT_END;
    else if (rc == CDC_OK && !wait && src->at < world->n_txs)
        rc = stream(src, batch, err);
    else if (rc == CDC_OK && !wait && world->n_txs == world->limit && !world->endless)
        rc = CDC_END;
    else if (rc == CDC_OK)
        wait = true, rc = CDC_AGAIN;
    pthread_mutex_unlock(&world->lock);
    if (rc == CDC_END)
        batch->cut = CDC_CUT_END;
    int64_t soon = cdc_mono_us() + 2000; /* the server works on */
    return rc == CDC_AGAIN && wait ? wait_until(src, soon < deadline_us ? soon : deadline_us) : rc;
}

static int src_keepalive(struct cdc_source *base, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    (void)err;
    pthread_mutex_lock(&src->world->lock);
    src->world->keepalives++;
    go_on(src->world);
    pthread_mutex_unlock(&src->world->lock);
    return CDC_OK;
}

static int src_ack(struct cdc_source *base, struct cdc_slice committed, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    (void)err;
    if (src->phase == WAIT_CREATING)
        src->phase = TELL_START;
    else if (src->phase == WAIT_START && committed.p)
        src->phase = STREAM;
    return CDC_OK;
}

static void src_wake(struct cdc_source *base)
{
    atomic_store(&((struct fake_source *)base)->woken, true);
}

static int src_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err)
{
    (void)cfg, (void)report, (void)err;
    return CDC_OK;
}

static int src_last(struct cdc_source *base, struct cdc_tx *ret, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    (void)err;
    *ret = (struct cdc_tx){.commit_us = 1700000000000000 + src->at};
    place_of(src->at - 1, ret->place);
    return CDC_OK;
}

static void src_copied(struct cdc_source *base)
{
    struct fake_source *src = (struct fake_source *)base;
    pthread_mutex_lock(&src->world->lock);
    src->world->wrong += src->world->open_starts;
    src->world->copied = true;
    src->world->start_look = false;
    pthread_mutex_unlock(&src->world->lock);
}

/* ---- looks ---- */

struct fake_snap {
    struct cdc_snap base;
    struct fake_source *src;
    bool taken, start;
    int n;               /* transactions that were there */
    bool sees[FAKE_TXS]; /* which of them it contains */
    int rows[FAKE_TABLES][FAKE_KEYS];
    int table, key, to; /* of the range under way */
    struct cdc_table *tab;
    struct cdc_copy_place at;
};

static int snap_open(struct cdc_source *base, struct cdc_snap **ret, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    pthread_mutex_lock(&src->world->lock);
    int rc = strike(src->world, SNAP_OPEN, NULL, err);
    src->world->open_snaps += rc == CDC_OK;
    pthread_mutex_unlock(&src->world->lock);
    if (rc != CDC_OK)
        return CDC_FAIL;
    struct fake_snap *snap = calloc(1, sizeof *snap);
    if (!snap)
        return cdc_fail_oom(err);
    snap->base.ops = fake_snap_source_ops.snap;
    snap->src = src;
    *ret = &snap->base;
    return CDC_OK;
}

/* What is committed, without the transactions that the look does not contain. */
static void look(struct fake_snap *snap, const struct fake_snap_world *world, int n, bool all)
{
    memcpy(snap->rows, world->now, sizeof snap->rows);
    snap->n = n;
    for (int i = world->n_txs - 1; i >= 0; i--) {
        snap->sees[i] = i < n && (all || is_visible(world, i));
        for (int c = 0; !snap->sees[i] && c < world->txs[i].n; c++) {
            const struct fake_change *change = &world->txs[i].changes[c];
            snap->rows[change->table][change->key] = change->before;
        }
    }
    snap->taken = true;
    snap->base.place[0] = 0;
    if (all)
        place_of(n - 1 + 1, snap->base.place); /* contained: places 1 to n */
    snap->base.place[all ? CDC_PLACE_LEN : 0] = 0;
    place_of(n, snap->base.end);
    snap->base.end[CDC_PLACE_LEN] = 0;
}

static int take(struct fake_snap *snap, enum cdc_look what)
{
    struct fake_snap_world *world = snap->src->world;
    world->open_starts -= snap->start;
    snap->taken = snap->start = false;
    world->looks++;
    if (what == CDC_LOOK_START && !world->start_look)
        return CDC_END;
    if (what == CDC_LOOK_NOW && world->standby)
        return CDC_END;
    if (what == CDC_LOOK_PLACED)
        for (int i = 0; i < world->n_txs; i++)
            world->txs[i].visible_at = 0; /* it waited for them */
    snap->start = what == CDC_LOOK_START;
    world->open_starts += snap->start;
    world->exact += what == CDC_LOOK_PLACED;
    look(snap, world, what == CDC_LOOK_START ? world->start : world->n_txs, what != CDC_LOOK_NOW);
    return CDC_OK;
}

static int snap_take(struct cdc_snap *base, enum cdc_look what, int64_t deadline_us,
                     struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    (void)deadline_us;
    pthread_mutex_lock(&snap->src->world->lock);
    int rc = strike(snap->src->world, SNAP_TAKE, NULL, err);
    if (rc == CDC_OK)
        rc = take(snap, what);
    pthread_mutex_unlock(&snap->src->world->lock);
    return rc;
}

static bool snap_sees(const struct cdc_snap *base, const struct cdc_tx *tx)
{
    const struct fake_snap *snap = (const struct fake_snap *)(const void *)base;
    char id[16];
    snprintf(id, sizeof id, "%.*s", (int)tx->id.len, (const char *)tx->id.p);
    int i = atoi(id);
    return i < snap->n && snap->sees[i];
}

static int snap_list(struct cdc_snap *base, struct cdc_arena *arena, struct cdc_copy_name **ret,
                     size_t *ret_n, struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    struct cdc_copy_name *list = cdc_arena_zalloc(arena, FAKE_TABLES * sizeof *list);
    size_t n = 0;
    pthread_mutex_lock(&snap->src->world->lock);
    int rc = list ? strike(snap->src->world, SNAP_LIST, NULL, err) : cdc_fail_oom(err);
    for (int t = 0; list && t < FAKE_TABLES; t++)
        if (snap->src->tables[t] && !snap->src->world->missing[t])
            list[n++] = (struct cdc_copy_name){.schema = "x", .name = names[t]};
    pthread_mutex_unlock(&snap->src->world->lock);
    *ret = list;
    *ret_n = n;
    return rc == CDC_OK ? CDC_OK : CDC_FAIL;
}

static int number_of(const char *name)
{
    for (int t = 0; t < FAKE_TABLES; t++)
        if (strcmp(names[t], name) == 0)
            return t;
    return -1;
}

static int snap_table(struct cdc_snap *base, const char *schema, const char *name,
                      struct cdc_copy_table *ret, struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    struct fake_snap_world *world = snap->src->world;
    int t = number_of(name);
    (void)schema;
    pthread_mutex_lock(&world->lock);
    int rc = strike(world, SNAP_TABLE, name, err);
    world->wrong += !snap->taken;
    bool missing = t < 0 || world->missing[t];
    pthread_mutex_unlock(&world->lock);
    if (rc != CDC_OK || missing)
        return rc == CDC_OK ? CDC_END : rc;
    *ret = (struct cdc_copy_table){.rows = FAKE_KEYS,
                                   .bytes = FAKE_KEYS * 1000,
                                   .resumable = world->resumable[t],
                                   .divisible = world->divisible[t]};
    return make_table(snap->src->cfg, t, &ret->tab, err);
}

static int bound(struct cdc_slice text, int open)
{
    return text.p ? atoi((const char *)text.p) : open;
}

static int snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                     const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                     struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    pthread_mutex_lock(&snap->src->world->lock);
    int rc = strike(snap->src->world, SNAP_PLAN, tab->tab->name, err);
    pthread_mutex_unlock(&snap->src->world->lock);
    int from = bound(rest->from, 0), to = bound(rest->to, FAKE_KEYS);
    int n = (int)(max_bytes / 1000);
    if (rc != CDC_OK)
        return rc;
    if (from + n >= to)
        return CDC_END;
    cdc_buf_printf(ret, "%d", from + n);
    return CDC_OK;
}

static int snap_begin(struct cdc_snap *base, const struct cdc_copy_table *tab,
                      const struct cdc_range *range, const struct cdc_copy_place *at,
                      struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    struct fake_snap_world *world = snap->src->world;
    pthread_mutex_lock(&world->lock);
    int rc = strike(world, SNAP_BEGIN, tab->tab->name, err);
    world->wrong += !snap->taken;
    world->ranges++;
    pthread_mutex_unlock(&world->lock);
    cdc_table_unref(snap->tab);
    snap->tab = cdc_table_ref(tab->tab);
    snap->table = number_of(tab->tab->name);
    snap->key = bound(range->from, 0);
    snap->to = bound(range->to, FAKE_KEYS);
    snap->at = *at;
    return rc;
}

static int read_rows(struct fake_snap *snap, struct cdc_batch *batch)
{
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    *tx = snap->at.tx;
    for (int n = 0; n < 4 && snap->key < snap->to; snap->key++) {
        int value = snap->rows[snap->table][snap->key];
        if (!value)
            continue;
        struct cdc_change *chg = cdc_batch_add(batch, snap->tab);
        struct cdc_value *row = cdc_batch_values(batch, 2);
        if (!chg || !row)
            return CDC_FAIL;
        row[0] = (struct cdc_value){.kind = CDC_INT, .i = snap->key};
        row[1] = (struct cdc_value){.kind = CDC_INT, .i = value};
        chg->op = CDC_OP_READ;
        chg->tx = tx;
        chg->ordinal = snap->at.ordinal;
        chg->after = row;
        n++;
    }
    return snap->key < snap->to ? CDC_OK : CDC_END;
}

static int snap_read(struct cdc_snap *base, struct cdc_batch *batch, const atomic_bool *stop,
                     struct cdc_error *err)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    struct fake_snap_world *world = snap->src->world;
    if (atomic_load(stop))
        return cdc_fail(err, CDC_OPERATOR, "fake", "stopped");
    if (world->read_us)
        nanosleep(&(struct timespec){.tv_nsec = world->read_us * 1000}, NULL);
    pthread_mutex_lock(&world->lock);
    int rc = strike(world, SNAP_READ, NULL, err);
    world->wrong += batch->n > 0;
    pthread_mutex_unlock(&world->lock);
    return rc == CDC_OK ? read_rows(snap, batch) : rc;
}

static void snap_close(struct cdc_snap *base)
{
    struct fake_snap *snap = (struct fake_snap *)base;
    pthread_mutex_lock(&snap->src->world->lock);
    snap->src->world->open_snaps--;
    snap->src->world->open_starts -= snap->start;
    pthread_mutex_unlock(&snap->src->world->lock);
    cdc_table_unref(snap->tab);
    free(snap);
}

static const struct cdc_snap_ops snap_ops = {.open = snap_open,
                                             .take = snap_take,
                                             .sees = snap_sees,
                                             .list = snap_list,
                                             .table = snap_table,
                                             .plan = snap_plan,
                                             .begin = snap_begin,
                                             .read = snap_read,
                                             .close = snap_close};

const struct cdc_source_ops fake_snap_source_ops = {.name = "fake_snap",
                                                    .doc = "A scripted source that can copy.",
                                                    .check = src_check,
                                                    .open = src_open,
                                                    .poll = src_poll,
                                                    .keepalive = src_keepalive,
                                                    .ack = src_ack,
                                                    .wake = src_wake,
                                                    .close = src_close,
                                                    .snap = &snap_ops,
                                                    .last = src_last,
                                                    .copied = src_copied};
