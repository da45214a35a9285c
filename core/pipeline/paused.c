/*
 * paused.c - see pipeline/paused.h.
 *
 * The gap begins at the position behind the last batch that was taken (pending, else committed): no
 * change of the table behind it was written. The version in the state stays that of the last row
 * that was written, so that the source goes on counting from there.
 */
#include "pipeline/session.h"

#include <jansson.h>
#include <stdlib.h>

#include "cdc/log.h"
#include "config/capture.h"

#define PREFIX    "table/"
#define STATE_MAX ((size_t)8 << 20)

void cdc_paused_done(struct cdc_paused *paused)
{
    for (size_t i = 0; i < paused->n; i++)
        free(paused->names[i]);
    free(paused->names);
    *paused = (struct cdc_paused){0};
}

static int find(const struct cdc_paused *paused, const char *table)
{
    for (size_t i = 0; i < paused->n; i++)
        if (strcmp(paused->names[i], table) == 0)
            return (int)i;
    return -1;
}

bool cdc_paused_has(const struct cdc_paused *paused, const char *schema, const char *name)
{
    size_t n = strlen(schema);
    for (size_t i = 0; i < paused->n; i++) {
        const char *table = paused->names[i];
        if (strncmp(table, schema, n) == 0 && table[n] == '.' && strcmp(table + n + 1, name) == 0)
            return true;
    }
    return false;
}

static int add(struct cdc_paused *paused, const char *table)
{
    if (paused->n == paused->cap) {
        size_t cap = paused->cap ? paused->cap * 2 : 8;
        char **names = realloc(paused->names, cap * sizeof *names);
        if (!names)
            return CDC_FAIL;
        paused->names = names;
        paused->cap = cap;
    }
    char *copy = strdup(table);
    if (copy)
        paused->names[paused->n++] = copy;
    return copy ? CDC_OK : CDC_FAIL;
}

static int load_one(struct cdc_outlet *out, const struct cdc_kv *kv)
{
    const char *table = (const char *)kv->key.p + strlen(PREFIX);
    json_t *state = json_loadb((const char *)kv->value.p, kv->value.len, 0, NULL);
    const char *word = json_string_value(json_object_get(state, "state"));
    const char *why = json_string_value(json_object_get(state, "why"));
    const char *from = json_string_value(json_object_get(json_object_get(state, "gap"), "from"));
    int rc = CDC_OK;
    if (word && strcmp(word, "paused") == 0) {
        cdc_log(
            CDC_LOG_WARN,
            "table %s is paused (%s): its changes after %s are not written; `sidestream resume` "
            "takes it again from where it then is",
            table, why ? why : "no reason is known", from && *from ? from : "the start");
        rc = add(&out->paused, table);
    }
    json_decref(state);
    return rc;
}

int cdc_paused_load(struct cdc_outlet *out, struct cdc_error *err)
{
    const struct cdc_map *checkpoint = &out->run->checkpoint;
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (kv->value.p && strncmp((const char *)kv->key.p, PREFIX, strlen(PREFIX)) == 0 &&
            load_one(out, kv) < 0)
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

struct cdc_slice cdc_outlet_key(const struct cdc_outlet *out, const char *key)
{
    struct cdc_slice value = cdc_map_get(&out->pending, key);
    return value.p ? value : cdc_map_get(&out->run->checkpoint, key);
}

json_t *cdc_state_now(const struct cdc_outlet *out, const char *key, const struct cdc_table *tab)
{
    struct cdc_buf made = CDC_BUF(STATE_MAX);
    struct cdc_slice text = cdc_outlet_key(out, key);
    if (!text.p && tab && cdc_table_state(tab, &made) == CDC_OK)
        text = cdc_buf_slice(&made);
    json_t *state = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    cdc_buf_done(&made);
    return state;
}

int cdc_state_put(struct cdc_outlet *out, const char *key, const json_t *state)
{
    char *text = json_dumps(state, JSON_COMPACT);
    int rc = text ? cdc_map_put(&out->pending, cdc_slice_str(key), cdc_slice_str(text)) : CDC_FAIL;
    free(text);
    return rc;
}

static int put_paused(struct cdc_outlet *out, const char *key, json_t *state, const char *why)
{
    uint32_t until = cdc_copier_pause(out->run->copier, key + strlen(PREFIX));
    int rc = json_object_set_new(state, "state", json_string("paused"));
    if (rc == 0)
        rc = json_object_set_new(state, "why", json_string(why));
    if (rc == 0 && cdc_gap_set(out, state, until) < 0)
        rc = -1;
    return rc == 0 ? cdc_state_put(out, key, state) : CDC_FAIL;
}

static int put_resumed(struct cdc_outlet *out, const char *key, json_t *state)
{
    json_object_del(state, "why");
    return json_object_set_new(state, "state", json_string("streaming")) == 0
               ? cdc_state_put(out, key, state)
               : CDC_FAIL;
}

/* "table/<table>" in a buffer the caller ends; NULL: no memory. */
static const char *key_of(struct cdc_buf *buf, const char *table)
{
    cdc_buf_printf(buf, PREFIX "%s", table);
    return cdc_buf_cstr(buf);
}

/* Does a rule take it, and is there such a table? As cdc_copier_has. No row of it has come yet. */
static int is_captured(const struct cdc_outlet *out, const char *table)
{
    const struct cdc_run *run = out->run;
    const char *dot = strchr(table, '.');
    char *schema = dot ? strndup(table, (size_t)(dot - table)) : NULL;
    const struct cdc_rule *rule =
        schema ? cdc_capture_match(run->set->config.capture, schema, dot + 1) : NULL;
    free(schema);
    return !rule ? CDC_END : cdc_rule_single(rule) ? CDC_OK : cdc_copier_has(run->copier, table);
}

bool cdc_pause_waits(const struct cdc_outlet *out, const char *table)
{
    struct cdc_buf buf = CDC_BUF(4096);
    const char *key = find(&out->paused, table) < 0 ? key_of(&buf, table) : NULL;
    bool waits = key && !cdc_outlet_key(out, key).p && is_captured(out, table) == CDC_AGAIN;
    cdc_buf_done(&buf);
    return waits;
}

int cdc_pause(struct cdc_outlet *out, const char *table, const struct cdc_table *tab,
              const char *why, struct cdc_error *err)
{
    if (find(&out->paused, table) >= 0)
        return CDC_AGAIN;
    struct cdc_buf buf = CDC_BUF(4096);
    const char *key = key_of(&buf, table);
    json_t *state = key ? cdc_state_now(out, key, tab) : NULL;
    if (!state && is_captured(out, table) == CDC_OK)
        state = json_pack("{s:i,s:i,s:[]}", "version", 1, "generation", 0, "columns");
    int rc = state ? put_paused(out, key, state, why) : CDC_END;
    if (rc == CDC_OK)
        rc = add(&out->paused, table);
    json_decref(state);
    cdc_buf_done(&buf);
    if (rc == CDC_OK)
        cdc_log(CDC_LOG_WARN,
                "table %s is paused (%s): its changes from here on are not written and will be "
                "missing until a new copy of it is made; `sidestream resume` takes it again",
                table, why);
    return rc < 0 ? cdc_fail_oom(err) : rc;
}

int cdc_resume(struct cdc_outlet *out, const char *table, struct cdc_error *err)
{
    int at = find(&out->paused, table);
    if (at < 0)
        return CDC_END;
    struct cdc_buf buf = CDC_BUF(4096);
    const char *key = key_of(&buf, table);
    json_t *state = key ? cdc_state_now(out, key, NULL) : NULL;
    int rc = state ? put_resumed(out, key, state) : CDC_FAIL;
    json_decref(state);
    cdc_buf_done(&buf);
    if (rc < 0)
        return cdc_fail_oom(err);
    cdc_copier_resume(out->run->copier, table);
    free(out->paused.names[at]);
    out->paused.names[at] = out->paused.names[--out->paused.n];
    cdc_log(CDC_LOG_INFO,
            "table %s is resumed: its changes from here on are written; those of the pause are "
            "missing until a new copy of it is made",
            table);
    return CDC_OK;
}

static bool is_dropped(const struct cdc_paused *paused, const struct cdc_table *tab, bool unplanned)
{
    return (!unplanned || !tab->plan) && cdc_paused_has(paused, tab->schema, tab->name);
}

void cdc_paused_drop(struct cdc_paused *paused, struct cdc_batch *batch, bool unplanned)
{
    if (paused->n == 0)
        return;
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        if (!is_dropped(paused, chg->table, unplanned))
            batch->changes[n++] = *chg;
        else if (chg->flags & CDC_TX_LAST && n > 0 && batch->changes[n - 1].tx == chg->tx)
            batch->changes[n - 1].flags |= CDC_TX_LAST;
    }
    paused->dropped += batch->n - n;
    batch->n = n;
}
