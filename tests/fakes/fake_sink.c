/*
 * fake_sink.c - see fake.h. Commits under the store's lock; an older epoch's commit is refused, so
 * that two instances behave as with a real fence.
 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

struct fake_store *fake_store_in_use(void);
int fake_strike(struct fake_fault *faults, size_t n, enum fake_call call, bool *ret_after,
                struct cdc_error *err);

struct fake_sink {
    struct cdc_sink base;
    struct fake_store *store;
    int epoch; /* 0: not recovered yet */
    struct fake_row *pending;
    size_t n, cap;
};

void fake_store_init(struct fake_store *store)
{
    *store = (struct fake_store){0};
    pthread_mutex_init(&store->lock, NULL);
    cdc_map_init(&store->checkpoint);
}

void fake_store_done(struct fake_store *store)
{
    cdc_map_done(&store->checkpoint);
    pthread_mutex_destroy(&store->lock);
    free(store->rows);
}

static int open_as(const struct cdc_sink_ops *ops, struct cdc_sink **ret, struct cdc_error *err)
{
    struct fake_sink *snk = calloc(1, sizeof *snk);
    if (!snk)
        return cdc_fail_oom(err);
    snk->base.ops = ops;
    snk->store = fake_store_in_use();
    *ret = &snk->base;
    return CDC_OK;
}

static int fake_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    (void)cfg;
    return open_as(&fake_sink_ops, ret, err);
}

static int fake_cut_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    (void)cfg;
    return open_as(&fake_cut_sink_ops, ret, err);
}

static int fake_recover(struct cdc_sink *base, struct cdc_map *ret, struct cdc_error *err)
{
    struct fake_sink *snk = (struct fake_sink *)base;
    if (fake_strike(snk->store->faults, snk->store->n_faults, FAKE_RECOVER, NULL, err) < 0)
        return CDC_FAIL;
    pthread_mutex_lock(&snk->store->lock);
    snk->epoch = ++snk->store->epoch;
    snk->store->recovers++;
    snk->n = 0;
    cdc_map_clear(ret);
    int rc = cdc_map_apply(ret, &snk->store->checkpoint);
    pthread_mutex_unlock(&snk->store->lock);
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static void fake_policy(const struct cdc_sink *base, struct cdc_commit_policy *ret)
{
    *ret = ((const struct fake_sink *)base)->store->policy;
}

static bool room(struct fake_row **rows, size_t *cap, size_t n)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    struct fake_row *grown = realloc(*rows, more * sizeof *grown);
    if (!grown)
        return false;
    *rows = grown;
    *cap = more;
    return true;
}

static int fake_write(struct cdc_sink *base, struct cdc_batch *batch, struct cdc_error *err)
{
    struct fake_sink *snk = (struct fake_sink *)base;
    if (fake_strike(snk->store->faults, snk->store->n_faults, FAKE_WRITE, NULL, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        if (!room(&snk->pending, &snk->cap, snk->n))
            return cdc_fail_oom(err);
        struct fake_row *row = &snk->pending[snk->n++];
        *row = (struct fake_row){.op = (char)chg->op};
        snprintf(row->seq, sizeof row->seq, "%08x-%.24s-%012llx", 1u, chg->tx->place,
                 (unsigned long long)chg->ordinal);
        const struct cdc_value *values = chg->after ? chg->after : chg->before;
        row->key = values ? values[0].i : -1;
        row->value = values && values[1].kind == CDC_INT ? values[1].i : 0;
        row->unsent = chg->flags & CDC_KEY_MOVED && chg->after[1].kind == CDC_UNCHANGED;
        row->from = row->unsent ? chg->before[0].i : -1;
        snprintf(row->table, sizeof row->table, "%s", chg->table->name);
    }
    return CDC_OK;
}

static int apply(struct fake_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
                 struct cdc_error *err)
{
    struct fake_store *store = snk->store;
    if (snk->epoch != store->epoch)
        return cdc_fail(err, CDC_OPERATOR, "fake", "fenced by another instance");
    if (cdc_map_apply(&store->checkpoint, delta) < 0)
        return cdc_fail_oom(err);
    for (size_t i = 0; what == CDC_COMMIT_ALL && i < snk->n; i++) {
        if (!room(&store->rows, &store->cap, store->n))
            return cdc_fail_oom(err);
        store->rows[store->n++] = snk->pending[i];
    }
    if (what == CDC_COMMIT_ALL)
        snk->n = 0;
    store->commits++;
    return CDC_OK;
}

static int fake_commit(struct cdc_sink *base, const struct cdc_map *delta,
                       enum cdc_commit_what what, struct cdc_error *err)
{
    struct fake_sink *snk = (struct fake_sink *)base;
    bool after = false;
    int fault = fake_strike(snk->store->faults, snk->store->n_faults, FAKE_COMMIT, &after, err);
    if (fault < 0 && !after)
        return CDC_FAIL;
    pthread_mutex_lock(&snk->store->lock);
    int rc = apply(snk, delta, what, err);
    pthread_mutex_unlock(&snk->store->lock);
    return fault < 0 ? CDC_FAIL : rc;
}

static void fake_close(struct cdc_sink *base)
{
    struct fake_sink *snk = (struct fake_sink *)base;
    free(snk->pending);
    free(snk);
}

static int fake_check(const struct cdc_config *cfg, struct cdc_report *report,
                      struct cdc_error *err)
{
    (void)cfg, (void)report, (void)err;
    return CDC_OK;
}

const struct cdc_sink_ops fake_sink_ops = {.name = "fake",
                                           .doc = "A scripted sink.",
                                           .caps = CDC_SINK_TX_ANY_SIZE | CDC_SINK_DURABLE,
                                           .check = fake_check,
                                           .open = fake_open,
                                           .recover = fake_recover,
                                           .policy = fake_policy,
                                           .write = fake_write,
                                           .commit = fake_commit,
                                           .close = fake_close};

const struct cdc_sink_ops fake_cut_sink_ops = {.name = "fake_cut",
                                               .doc = "A scripted sink that commits inside "
                                                      "transactions.",
                                               .caps = CDC_SINK_DURABLE,
                                               .check = fake_check,
                                               .open = fake_cut_open,
                                               .recover = fake_recover,
                                               .policy = fake_policy,
                                               .write = fake_write,
                                               .commit = fake_commit,
                                               .close = fake_close};
