/*
 * copied.c - what copies of tables (core/snapshot) mean for the checkpoint, on the sink thread.
 *
 * States of copies (`copy/<table>`) come with their rows through the queue. Three things happen to
 * them here, where it is known what was written before:
 *   - of a table that is paused they are left out: the rows they speak of were dropped;
 *   - a copy that is done closes the table's gap, if it began behind the pause that made the gap
 *     (`until`: the least generation that did);
 *   - of a table with `snapshot: only`, changes behind the end of its copy are dropped.
 */
#include "pipeline/session.h"

#include <jansson.h>

#include "cdc/clock.h"
#include "cdc/log.h"

#define PREFIX "copy/"

static json_t *json_of(struct cdc_slice text)
{
    return text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
}

static bool is_done(const json_t *copy)
{
    const char *state = json_string_value(json_object_get(copy, "state"));
    return state && strcmp(state, "done") == 0;
}

static bool is_paused(const struct cdc_outlet *out, const char *table)
{
    for (size_t i = 0; i < out->paused.n; i++)
        if (strcmp(out->paused.names[i], table) == 0)
            return true;
    return false;
}

static int close_gap(struct cdc_outlet *out, const char *table, const json_t *copy)
{
    struct cdc_buf buf = CDC_BUF(4096);
    cdc_buf_printf(&buf, "table/%s", table);
    const char *key = cdc_buf_cstr(&buf);
    json_t *state = key ? cdc_state_now(out, key, NULL) : NULL;
    const json_t *gap = json_object_get(state, "gap");
    json_int_t until = json_integer_value(json_object_get(gap, "until"));
    int rc = key ? CDC_OK : CDC_FAIL;
    if (gap && json_integer_value(json_object_get(copy, "generation")) >= until) {
        json_object_del(state, "gap");
        rc = cdc_state_put(out, key, state);
        cdc_log(CDC_LOG_INFO, "table %s: its new copy closes the gap", table);
    }
    json_decref(state);
    cdc_buf_done(&buf);
    return rc;
}

static int take_state(struct cdc_outlet *out, struct cdc_batch *batch, const struct cdc_kv *kv)
{
    const char *key = (const char *)kv->key.p, *table = key + strlen(PREFIX);
    if (is_paused(out, table))
        return cdc_map_put(&batch->delta, kv->key, cdc_outlet_key(out, key));
    json_t *copy = json_of(kv->value);
    int rc = is_done(copy) ? close_gap(out, table, copy) : CDC_OK;
    json_decref(copy);
    return rc;
}

int cdc_copied_take(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err)
{
    for (size_t i = 0; i < batch->delta.n; i++) {
        const struct cdc_kv *kv = &batch->delta.items[i];
        if (strncmp((const char *)kv->key.p, PREFIX, strlen(PREFIX)) != 0)
            continue;
        if (take_state(out, batch, kv) < 0)
            return cdc_fail_oom(err);
        if (out->rows == 0 && !out->states)
            out->first_us = cdc_mono_us();
        out->states = true;
    }
    return CDC_OK;
}

/* Is a copy all that was wanted of the table, and has been made? */
static bool is_over(const struct cdc_outlet *out, const struct cdc_table *tab)
{
    struct cdc_buf key = CDC_BUF(4096);
    if (!tab->rule || tab->rule->snapshot != CDC_SNAPSHOT_ONLY)
        return false;
    cdc_buf_printf(&key, PREFIX "%s.%s", tab->schema, tab->name);
    const char *text = cdc_buf_cstr(&key);
    json_t *copy = text ? json_of(cdc_outlet_key(out, text)) : NULL;
    bool over = is_done(copy);
    json_decref(copy);
    cdc_buf_done(&key);
    return over;
}

static void drop(struct cdc_batch *batch, const struct cdc_table *tab)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        bool copied = chg->op == CDC_OP_READ || chg->flags & CDC_INFERRED;
        if (chg->table != tab || copied)
            batch->changes[n++] = *chg;
        else if (chg->flags & CDC_TX_LAST && n > 0 && batch->changes[n - 1].tx == chg->tx)
            batch->changes[n - 1].flags |= CDC_TX_LAST;
    }
    batch->n = n;
}

void cdc_copied_drop(struct cdc_outlet *out, struct cdc_batch *batch)
{
    for (size_t i = 0; i < batch->n_tables; i++)
        if (is_over(out, batch->tables[i]))
            drop(batch, batch->tables[i]);
}
