/*
 * fake_source.c - see fake.h. Position: "<t>" (after transaction t) or "cut:<t>,<n>" (n rows of
 * transaction t + 1). First start creates "slot" as a real source does: creating, ack, create,
 * position.
 */
#include "fake.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cdc/clock.h"

static struct fake_log *the_log;
static struct fake_store *the_store;
int64_t fake_delay_ended_us;

void fake_use(struct fake_log *log, struct fake_store *store)
{
    the_log = log;
    the_store = store;
}

struct fake_store *fake_store_in_use(void);
struct fake_store *fake_store_in_use(void)
{
    return the_store;
}

enum phase { TELL_CREATING, WAIT_CREATING, TELL_START, WAIT_START, STREAM };

struct fake_source {
    struct cdc_source base;
    struct fake_log *log;
    const struct cdc_config *cfg;
    struct cdc_table *table;
    enum phase phase;
    int tx, row; /* next: transaction (from 0), row in it (from 0) */
    int64_t key; /* of the next row */
    atomic_bool woken;
};

int fake_strike(struct fake_fault *faults, size_t n, enum fake_call call, bool *ret_after,
                struct cdc_error *err);
int fake_strike(struct fake_fault *faults, size_t n, enum fake_call call, bool *ret_after,
                struct cdc_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct fake_fault *f = &faults[i];
        if (f->call != call || f->in == 0 || --f->in > 0)
            continue;
        if (f->delay_us) {
            nanosleep(&(struct timespec){.tv_sec = f->delay_us / 1000000,
                                         .tv_nsec = f->delay_us % 1000000 * 1000},
                      NULL);
            fake_delay_ended_us = cdc_mono_us();
        }
        if ((int)f->action < 0)
            return CDC_OK;
        if (ret_after)
            *ret_after = f->after;
        return cdc_fail(err, f->action, "fake", "scripted failure of call %d", (int)call);
    }
    return CDC_OK;
}

static int64_t keys_before(const struct fake_log *log, int tx)
{
    int64_t n = 0;
    for (int i = 0; i < tx; i++)
        n += log->sizes[i];
    return n;
}

static void fake_close(struct cdc_source *base)
{
    struct fake_source *src = (struct fake_source *)base;
    if (!src->log->closed_us)
        src->log->closed_us = cdc_mono_us();
    cdc_table_unref(src->table);
    free(src);
}

static int make_table(struct fake_source *src, struct cdc_error *err)
{
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .type_mod = -1},
        {.name = "tx", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1}};
    const struct cdc_table_spec spec = {
        .catalog = "fake",
        .schema = "example",
        .name = "fakes",
        .version = 1,
        .n = 2,
        .cols = cols,
        .rule = cdc_capture_match(src->cfg->capture, "example", "fakes")};
    return cdc_table_new(&spec, &src->table, err);
}

static int start_at(struct fake_source *src, const struct cdc_map *checkpoint,
                    struct cdc_error *err)
{
    struct cdc_buf position = CDC_BUF(64);
    int rc = cdc_map_get_text(checkpoint, "position", &position, err);
    int tx = 0, row = 0;
    if (rc == CDC_OK && sscanf(cdc_buf_cstr(&position), "cut:%d,%d", &tx, &row) < 1)
        tx = atoi(cdc_buf_cstr(&position));
    if (rc == CDC_OK && strspn(cdc_buf_cstr(&position), "0123456789cut:,") != position.len)
        rc = cdc_fail(err, CDC_OPERATOR, "fake", "the saved position is none of this source");
    cdc_buf_done(&position);
    if (rc == CDC_END) {
        bool explained = cdc_map_get(checkpoint, "creating").p != NULL;
        if (src->log->created && *src->log->created && !explained)
            return cdc_fail(err, CDC_OPERATOR, "fake", "a slot exists beside an empty checkpoint");
        src->phase = explained ? TELL_START : TELL_CREATING;
        return CDC_OK;
    }
    if (rc < 0)
        return CDC_FAIL;
    if (tx < src->log->released || tx > src->log->n_tx)
        return cdc_fail(err, CDC_OPERATOR, "fake", "position %d is not in the log (%d released)",
                        tx, src->log->released);
    src->phase = STREAM;
    src->tx = tx;
    src->row = row;
    src->key = keys_before(src->log, tx) + row;
    return CDC_OK;
}

static int fake_open(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                     struct cdc_source **ret, struct cdc_error *err)
{
    the_log->opens++;
    if (fake_strike(the_log->faults, the_log->n_faults, FAKE_OPEN, NULL, err) < 0)
        return CDC_FAIL;
    struct fake_source *src = calloc(1, sizeof *src);
    if (!src)
        return cdc_fail_oom(err);
    src->base.ops = &fake_source_ops;
    src->log = the_log;
    src->cfg = cfg;
    if (make_table(src, err) < 0 || start_at(src, checkpoint, err) < 0) {
        fake_close(&src->base);
        return CDC_FAIL;
    }
    *ret = &src->base;
    return CDC_OK;
}

static int wait_until(struct fake_source *src, int64_t deadline_us)
{
    while (cdc_mono_us() < deadline_us && !atomic_exchange(&src->woken, false))
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    return CDC_AGAIN;
}

static int tell_creating(struct fake_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    batch->cut = CDC_CUT_END;
    batch->urgent = true;
    src->phase = WAIT_CREATING;
    return cdc_batch_set(batch, "creating", cdc_slice_str("{\"slot\":\"fake\"}"), err);
}

static int tell_start(struct fake_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    src->log->created = "slot";
    batch->cut = CDC_CUT_END;
    batch->urgent = true;
    src->phase = WAIT_START;
    if (cdc_batch_set(batch, "creating", cdc_slice_of(NULL, 0), err) < 0)
        return CDC_FAIL;
    return cdc_batch_position(batch, cdc_slice_str("0"), err);
}

static int add_row(struct fake_source *src, struct cdc_batch *batch, const struct cdc_tx *tx,
                   struct cdc_error *err)
{
    struct cdc_change *chg = cdc_batch_add(batch, src->table);
    struct cdc_value *row = cdc_batch_values(batch, 2);
    char *text = cdc_arena_printf(batch->arena, "%d", src->tx + 1);
    if (!chg || !row || !text)
        return cdc_fail_oom(err);
    row[0] = (struct cdc_value){.kind = CDC_INT, .i = src->key++};
    row[1] = (struct cdc_value){
        .kind = CDC_TEXT, .len = (uint32_t)strlen(text), .p = (const uint8_t *)text};
    chg->op = CDC_OP_CREATE;
    chg->tx = tx;
    chg->ordinal = (uint64_t)++src->row;
    chg->after = row;
    return CDC_OK;
}

static int add_gap(struct fake_source *src, struct cdc_batch *batch, const struct cdc_tx *tx)
{
    struct cdc_change *chg = cdc_batch_add(batch, src->table);
    if (!chg)
        return CDC_FAIL;
    chg->op = CDC_OP_GAP;
    chg->flags = CDC_TX_LAST;
    chg->tx = tx;
    return CDC_OK;
}

static int stream(struct fake_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    int size = src->log->sizes[src->tx], per = src->log->rows_per_batch;
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char *place = cdc_arena_printf(batch->arena, "%024d", src->tx + 1);
    if (!tx || !place)
        return cdc_fail_oom(err);
    memcpy(tx->place, place, CDC_PLACE_LEN);
    tx->commit_us = 1700000000000000 + src->tx;
    for (int i = 0; src->row < size && (per == 0 || i < per); i++)
        if (add_row(src, batch, tx, err) < 0)
            return CDC_FAIL;
    char position[48];
    if (src->row < size) {
        batch->cut = src->cfg->cuts ? CDC_CUT_TX : CDC_CUT_NO;
        snprintf(position, sizeof position, "cut:%d,%d", src->tx, src->row);
        return src->cfg->cuts ? cdc_batch_position(batch, cdc_slice_str(position), err) : CDC_OK;
    }
    src->tx++;
    src->row = 0;
    if (src->tx == src->log->gap_tx && add_gap(src, batch, tx) < 0)
        return cdc_fail_oom(err);
    batch->cut = CDC_CUT_END;
    batch->caught_up = src->tx == src->log->n_tx;
    batch->log_bytes = 100;
    snprintf(position, sizeof position, "%d", src->tx);
    return cdc_batch_position(batch, cdc_slice_str(position), err);
}

static int fake_poll(struct cdc_source *base, struct cdc_batch *batch, int64_t deadline_us,
                     struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    if (fake_strike(src->log->faults, src->log->n_faults, FAKE_POLL, NULL, err) < 0)
        return CDC_FAIL;
    switch (src->phase) {
    case TELL_CREATING: return tell_creating(src, batch, err);
    case TELL_START: return tell_start(src, batch, err);
    case WAIT_CREATING:
    case WAIT_START: return wait_until(src, deadline_us);
    case STREAM: break;
    }
    if (src->tx < src->log->n_tx)
        return stream(src, batch, err);
    batch->cut = CDC_CUT_END;
    return src->log->ends ? CDC_END : wait_until(src, deadline_us);
}

static int fake_keepalive(struct cdc_source *base, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    src->log->keepalives++;
    return fake_strike(src->log->faults, src->log->n_faults, FAKE_KEEPALIVE, NULL, err);
}

static int fake_ack(struct cdc_source *base, struct cdc_slice committed, struct cdc_error *err)
{
    struct fake_source *src = (struct fake_source *)base;
    (void)err;
    if (src->phase == WAIT_CREATING && !the_store) {
        src->phase = TELL_START;
    } else if (src->phase == WAIT_CREATING) {
        pthread_mutex_lock(&the_store->lock);
        src->log->forgot_needed += !cdc_map_get(&the_store->checkpoint, "creating").p;
        pthread_mutex_unlock(&the_store->lock);
        src->phase = TELL_START;
    }
    if (!committed.p)
        return CDC_OK;
    if (src->phase == WAIT_START)
        src->phase = STREAM;
    char text[48];
    snprintf(text, sizeof text, "%.*s", (int)committed.len, (const char *)committed.p);
    int tx = strncmp(text, "cut:", 4) == 0 ? atoi(text + 4) : atoi(text);
    if (src->log->committed && tx > src->log->committed(src->log->arg))
        src->log->forgot_needed++;
    if (tx > src->log->released)
        src->log->released = tx;
    return CDC_OK;
}

static void fake_wake(struct cdc_source *base)
{
    atomic_store(&((struct fake_source *)base)->woken, true);
}

static int fake_check(const struct cdc_config *cfg, struct cdc_report *report,
                      struct cdc_error *err)
{
    (void)cfg, (void)report, (void)err;
    return CDC_OK;
}

const struct cdc_source_ops fake_source_ops = {.name = "fake",
                                               .doc = "A scripted source.",
                                               .check = fake_check,
                                               .open = fake_open,
                                               .poll = fake_poll,
                                               .keepalive = fake_keepalive,
                                               .ack = fake_ack,
                                               .wake = fake_wake,
                                               .close = fake_close};
