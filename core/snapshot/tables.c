/*
 * tables.c - the tables that are copied: which, in which order, and what is written of them.
 *
 * Which: those whose rule says `initial` or `only` and that have no copy yet, in generation 1;
 * those that have a gap, an old incarnation or were asked for by a command, in the next generation,
 * which ends with a sweep. A table that was being copied when its rule became `never` is left as it
 * is.
 *
 * States go into the lane of the round, under the copier's lock, behind the rows they speak of: so
 * the order in which they were made is that in which they become true. A table that fails while no
 * lane is open is written down in the next one; the planner opens one for that alone if need be.
 */
#include "snapshot/internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/log.h"
#include "cdc/view.h"

#define COPY_PREFIX  "copy/"
#define TABLE_PREFIX "table/"
#define STATE_MAX    ((size_t)64 << 20)
#define AGAIN_US     ((int64_t)1000000)
#define AGAIN_MAX_US ((int64_t)30000000)
#define GAP_US       ((int64_t)100000)

/* ---- the list ---- */

static const struct cdc_rule *rule_of(const struct cdc_copier *copier, const struct copy_table *tab)
{
    return cdc_capture_match(copier->opt.set->config.capture, tab->schema, tab->table);
}

struct copy_table *copy_table_find(const struct cdc_copier *copier, const char *name)
{
    for (size_t i = 0; i < copier->n_tables; i++)
        if (strcmp(copier->tables[i]->name, name) == 0)
            return copier->tables[i];
    return NULL;
}

void copy_table_free(struct copy_table *tab)
{
    if (!tab)
        return;
    cdc_table_unref(tab->ct.tab);
    cdc_copy_state_done(&tab->st);
    free(tab->name);
    free(tab->schema);
    free(tab->table);
    free(tab);
}

static struct copy_table *table_new(const char *name)
{
    struct copy_table *tab = calloc(1, sizeof *tab);
    const char *dot = strchr(name, '.');
    if (!tab)
        return NULL;
    cdc_copy_state_init(&tab->st);
    tab->name = strdup(name);
    tab->schema = dot ? strndup(name, (size_t)(dot - name)) : NULL;
    tab->table = dot ? strdup(dot + 1) : NULL;
    if (tab->name && tab->schema && tab->table)
        return tab;
    copy_table_free(tab);
    return NULL;
}

static int priority(const struct cdc_copier *copier, const struct copy_table *tab)
{
    const struct cdc_rule *rule = rule_of(copier, tab);
    return rule ? rule->priority : INT32_MIN;
}

struct copy_table *copy_table_get(struct cdc_copier *copier, const char *name)
{
    struct copy_table *tab = copy_table_find(copier, name);
    if (tab)
        return tab;
    if (copier->n_tables == copier->cap_tables) {
        size_t cap = copier->cap_tables ? copier->cap_tables * 2 : 16;
        struct copy_table **tables = realloc(copier->tables, cap * sizeof *tables);
        if (!tables)
            return NULL;
        copier->tables = tables;
        copier->cap_tables = cap;
    }
    tab = table_new(name);
    if (!tab)
        return NULL;
    size_t at = copier->n_tables++; /* greater priorities first, else as they come */
    for (; at > 0 && priority(copier, copier->tables[at - 1]) < priority(copier, tab); at--)
        copier->tables[at] = copier->tables[at - 1];
    return copier->tables[at] = tab;
}

bool copy_table_wanted(const struct copy_table *tab)
{
    return tab->st.kind == CDC_COPY_COPYING && !tab->paused;
}

/* ---- restarts, failures ---- */

static void forget_progress(struct copy_table *tab)
{
    tab->epoch++;
    tab->busy = 0;
    tab->retry_us = 0;
    tab->again = tab->guarded = 0;
    tab->why[0] = 0;
    tab->rows = tab->bytes = 0;
    tab->began_us = 0;
}

void copy_table_restart(struct cdc_copier *copier, struct copy_table *tab)
{
    bool repeat = tab->st.generation > 0 || tab->gap || tab->st.asked;
    uint32_t before = tab->st.generation ? tab->st.generation : 1;
    forget_progress(tab);
    tab->dirty = true;
    tab->st.incarnation = copier->incarnation;
    tab->st.only = false;
    if (cdc_copy_restart(&tab->st, repeat ? before + 1 : 1) < 0)
        copier->oom = true;
}

bool copy_table_barred(const struct cdc_copier *copier, const struct copy_table *tab)
{
    return tab->barred == copier->round.number;
}

/* From the beginning; where that comes to nothing again and again, not at once. */
static void restart_for_gap(struct cdc_copier *copier, struct copy_table *tab)
{
    int64_t wait_us = tab->gaps ? GAP_US << (tab->gaps < 10 ? tab->gaps : 10) : 0;
    copy_table_restart(copier, tab);
    tab->gaps++;
    tab->retry_us = cdc_mono_us() + (wait_us < AGAIN_MAX_US ? wait_us : AGAIN_MAX_US);
    copier->refresh = true;
    copy_changed(copier);
    cdc_log(tab->gaps > 1 ? CDC_LOG_DEBUG : CDC_LOG_WARN,
            "snapshot: table %s is copied anew: the source's log does not have all of its changes",
            tab->name);
}

uint32_t copy_table_gap(struct cdc_copier *copier, struct copy_table *tab)
{
    const struct cdc_rule *rule = rule_of(copier, tab);
    struct cdc_copy_state *st = &tab->st;
    bool copying = st->kind == CDC_COPY_COPYING, known = tab->gap;
    uint32_t next = (st->generation ? st->generation : 1) + 1;
    if (st->kind == CDC_COPY_DONE && rule && rule->snapshot == CDC_SNAPSHOT_ONLY)
        return next; /* none of its changes is written any more */
    tab->barred = copier->round.number;
    tab->gap = true;
    if (tab->paused)
        return next;
    if (!rule || (rule->snapshot == CDC_SNAPSHOT_NEVER && !copying)) {
        if (!known)
            cdc_log(CDC_LOG_WARN,
                    "table %s: changes are missing from here on that the source's log does not "
                    "have, and its rule says `snapshot: never`; `sidestream snapshot` copies it "
                    "anew",
                    tab->name);
        return next;
    }
    tab->epoch++; /* of a piece that is being cut just now too */
    if (!copying || st->generation < 2 || st->began[0] || tab->busy > 0)
        restart_for_gap(copier, tab);
    return st->generation;
}

void copy_table_failed(struct cdc_copier *copier, struct copy_table *tab, const char *why)
{
    if (atomic_load(&copier->stop)) /* the session ends: that is what it failed by */
        return;
    cdc_copy_give_up(&tab->st);
    tab->epoch++;
    tab->busy = 0;
    tab->dirty = true;
    tab->st.kind = CDC_COPY_FAILED;
    free(tab->st.why);
    tab->st.why = strdup(why);
    if (!tab->st.why)
        copier->oom = true;
    cdc_log(
        CDC_LOG_ERROR,
        "snapshot: table %s cannot be copied: %s. The other tables go on; `sidestream snapshot` "
        "copies it anew, and so does the next start",
        tab->name, why);
}

void copy_table_again(struct copy_table *tab, const char *why)
{
    int64_t wait_us = AGAIN_US << (tab->again < 5 ? tab->again : 5);

    wait_us = wait_us < AGAIN_MAX_US ? wait_us : AGAIN_MAX_US;
    cdc_log(tab->again++ ? CDC_LOG_DEBUG : CDC_LOG_INFO, "snapshot: table %s has to wait: %s",
            tab->name, why);
    snprintf(tab->why, sizeof tab->why, "%s", why);
    tab->retry_us = cdc_mono_us() + wait_us;
}

/* ---- the checkpoint ---- */

static void read_state(struct copy_table *tab, struct cdc_slice text)
{
    json_t *state = json_loadb((const char *)text.p, text.len, 0, NULL);
    const json_t *gap = json_object_get(state, "gap");
    const char *word = json_string_value(json_object_get(state, "state"));
    uint32_t until = (uint32_t)json_integer_value(json_object_get(gap, "until"));

    tab->gap = gap != NULL;
    tab->until = until;
    tab->paused = word && strcmp(word, "paused") == 0;
    if (until > tab->st.generation + 1) /* a copy that was begun then, and came to nothing */
        tab->st.generation = until - 1;
    json_decref(state);
}

static int load_key(struct cdc_copier *copier, const struct cdc_kv *kv, const char *prefix,
                    struct copy_table **ret, struct cdc_error *err)
{
    const char *key = (const char *)kv->key.p, *name = key + strlen(prefix);
    *ret = NULL;
    if (!kv->value.p || strncmp(key, prefix, strlen(prefix)) != 0 || !strchr(name, '.'))
        return CDC_OK;
    *ret = copy_table_get(copier, name);
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

static int load_all(struct cdc_copier *copier, const struct cdc_map *checkpoint,
                    struct cdc_error *err)
{
    struct copy_table *tab;
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (load_key(copier, kv, COPY_PREFIX, &tab, err) < 0 ||
            (tab && cdc_copy_parse((const char *)kv->key.p, kv->value, &tab->st, err) < 0))
            return CDC_FAIL;
    }
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (load_key(copier, kv, TABLE_PREFIX, &tab, err) < 0)
            return CDC_FAIL;
        if (tab)
            read_state(tab, kv->value);
    }
    return CDC_OK;
}

/* What a new session makes of a table's state. */
static void judge_loaded(struct cdc_copier *copier, struct copy_table *tab)
{
    const struct cdc_rule *rule = rule_of(copier, tab);
    struct cdc_copy_state *st = &tab->st;
    bool wants = rule && (rule->snapshot != CDC_SNAPSHOT_NEVER || st->asked);
    if (st->kind == CDC_COPY_FAILED && wants && copier->sessions == 1) {
        st->kind = CDC_COPY_COPYING;
        free(st->why);
        st->why = NULL;
        tab->dirty = true;
    }
    if (st->kind == CDC_COPY_COPYING && !wants)
        st->kind = CDC_COPY_NONE;
    bool only =
        st->kind == CDC_COPY_DONE && st->only && rule && rule->snapshot == CDC_SNAPSHOT_INITIAL;
    bool before_gap = tab->gap && (tab->until == 0 || st->generation < tab->until);
    if (only || (st->kind == CDC_COPY_COPYING &&
                 (before_gap || (st->incarnation && st->incarnation != copier->incarnation))))
        copy_table_restart(copier, tab);
}

int copy_tables_load(struct cdc_copier *copier, const struct cdc_map *checkpoint,
                     struct cdc_error *err)
{
    for (size_t i = 0; i < copier->n_tables; i++) {
        struct copy_table *tab = copier->tables[i];
        forget_progress(tab);
        cdc_copy_state_done(&tab->st);
        tab->paused = tab->gap = tab->listed = tab->dirty = false;
        tab->until = 0;
    }
    if (load_all(copier, checkpoint, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < copier->n_tables; i++)
        judge_loaded(copier, copier->tables[i]);
    return copier->oom ? cdc_fail_oom(err) : CDC_OK;
}

int copy_table_listed(struct cdc_copier *copier, const char *schema, const char *name)
{
    const struct cdc_rule *rule = cdc_capture_match(copier->opt.set->config.capture, schema, name);
    struct cdc_buf full = CDC_BUF(4096);
    cdc_buf_printf(&full, "%s.%s", schema, name);
    const char *text = cdc_buf_cstr(&full);
    struct copy_table *tab = rule && text ? copy_table_get(copier, text) : NULL;
    cdc_buf_done(&full);
    if (!rule)
        return CDC_OK;
    if (!tab)
        return CDC_FAIL;
    tab->listed = true;
    bool due = tab->st.kind == CDC_COPY_NONE || (tab->st.kind == CDC_COPY_DONE && tab->gap);
    if (due && !tab->paused && rule->snapshot != CDC_SNAPSHOT_NEVER)
        copy_table_restart(copier, tab);
    return CDC_OK;
}

/* ---- states into the lane ---- */

/* `swept`: the table whose repeat ends with this; or NULL. */
static int put_state(struct cdc_copier *copier, const struct copy_table *tab,
                     struct cdc_table *swept)
{
    struct cdc_batch *batch = cdc_pool_batch(copier->opt.pool);
    struct cdc_buf json = CDC_BUF(STATE_MAX), key = CDC_BUF(4096);
    bool ranges = tab->round != copier->round.number || !tab->ct.tab || tab->ct.resumable;
    cdc_buf_printf(&key, COPY_PREFIX "%s", tab->name);
    int rc = batch && cdc_buf_cstr(&key) ? cdc_copy_json(&tab->st, ranges, &json) : CDC_FAIL;
    if (rc == CDC_OK && swept)
        rc = cdc_copy_sweep(&tab->st, swept, copier->round.at.tx.commit_us, batch);
    if (rc == CDC_OK)
        rc = cdc_batch_set(batch, (const char *)key.p, cdc_buf_slice(&json), NULL);
    if (rc == CDC_OK) {
        batch->cut = CDC_CUT_END;
        batch->read_us = cdc_now_us();
        rc = cdc_lane_put(copier->round.lane, batch);
    } else {
        cdc_batch_unref(batch);
    }
    cdc_buf_done(&json);
    cdc_buf_done(&key);
    if (rc < 0)
        copier->oom = true;
    return rc;
}

void copy_tables_flush(struct cdc_copier *copier)
{
    for (size_t i = 0; copier->round.lane && i < copier->n_tables; i++) {
        struct copy_table *tab = copier->tables[i];
        if (!tab->dirty || tab->paused || copy_table_barred(copier, tab))
            continue;
        if (tab->st.kind == CDC_COPY_COPYING && !tab->st.began[0])
            snprintf(tab->st.began, sizeof tab->st.began, "%.*s", CDC_PLACE_LEN,
                     copier->round.at.tx.place);
        tab->dirty = put_state(copier, tab, NULL) < 0;
    }
}

/* ---- pieces ---- */

bool copy_piece_void(const struct copy_piece *piece)
{
    return piece->epoch != piece->tab->epoch || piece->tab->paused;
}

void copy_piece_free(struct copy_piece *piece)
{
    if (!piece)
        return;
    cdc_table_unref(piece->ct.tab);
    free(piece->from);
    free(piece->to);
    free(piece);
}

static void table_done(struct cdc_copier *copier, struct copy_table *tab, struct cdc_table *version)
{
    const struct cdc_rule *rule = rule_of(copier, tab);
    tab->st.kind = CDC_COPY_DONE;
    tab->st.only = rule && rule->snapshot == CDC_SNAPSHOT_ONLY;
    tab->gap = false;
    tab->gaps = 0;
    tab->st.end_us = cdc_now_us();
    tab->dirty = false;
    (void)put_state(copier, tab, tab->st.generation > 1 ? version : NULL);
    cdc_log(CDC_LOG_INFO, "snapshot: table %s is copied: %llu rows%s", tab->name,
            (unsigned long long)tab->st.rows,
            tab->st.generation > 1 ? ", what was not among them is gone" : "");
}

void copy_piece_done(struct cdc_copier *copier, const struct copy_piece *piece,
                     const struct cdc_snap *look, uint64_t rows)
{
    struct copy_table *tab = piece->tab;
    if (copy_piece_void(piece))
        return;
    if (strcmp(look->end, tab->st.end) > 0)
        memcpy(tab->st.end, look->end, sizeof tab->st.end);
    tab->busy--;
    tab->again = tab->guarded = 0;
    tab->why[0] = 0;
    tab->st.rows += rows;
    cdc_copy_settle(&tab->st, piece->from, piece->to, true);
    if (cdc_copy_complete(&tab->st))
        table_done(copier, tab, piece->ct.tab);
    else if (piece->ct.resumable)
        (void)put_state(copier, tab, NULL);
}

void copy_piece_back(const struct copy_piece *piece)
{

    if (copy_piece_void(piece))
        return;
    piece->tab->busy--;
    cdc_copy_settle(&piece->tab->st, piece->from, piece->to, false);
}
