/*
 * gaps.c - tables of which changes are missing in what was written: that is written down, as
 * `"gap":{"from":<position>,"until":<generation>}` in the table's state. Only a copy of that
 * generation or a later one closes it (pipeline/copied.c); the rule has it made by itself unless it
 * says `snapshot: never`. Until then the gap is told at every start. Three ways into it:
 *
 *   - a table that was captured is not any more: at a session's start every table of the checkpoint
 *     that no rule takes gets `"state":"skipped"` and a gap. That becomes true with the next
 *     commit, the first that can move the position over changes of the table
 *   - the source says that its log does not have all changes of a table (CDC_OP_GAP). The copier
 *     has seen that on the source thread already and begins a copy behind that place; the change's
 *     ordinal is the generation which that will be. The gap is true with the batch
 *   - it is paused (pipeline/paused.c)
 */
#include "pipeline/session.h"

#include <jansson.h>
#include <stdlib.h>

#include "cdc/clock.h"
#include "cdc/log.h"

#define PREFIX   "table/"
#define OF_OURS  "table/_sidestream." /* logical messages: no table of the source */
#define TEXT_MAX ((size_t)16 << 20)

static json_t *state_of(struct cdc_slice text)
{
    return text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
}

static int put_json(struct cdc_map *map, struct cdc_slice key, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    int rc = text ? cdc_map_put(map, key, cdc_slice_str(text)) : CDC_FAIL;
    free(text);
    return rc;
}

/* Is the table of this key taken by a rule? Names are split at the first dot, as patterns are. */
static bool captured(const struct cdc_run *run, const char *name)
{
    const char *dot = strchr(name, '.');
    char *schema = dot ? strndup(name, (size_t)(dot - name)) : NULL;
    bool taken = !schema || cdc_capture_match(run->set->config.capture, schema, dot + 1) != NULL;
    free(schema);
    return taken;
}

/* Of a copy that would be begun now. */
static json_int_t next_generation(const struct cdc_outlet *out, const char *table)
{
    struct cdc_buf buf = CDC_BUF(4096);
    cdc_buf_printf(&buf, "copy/%s", table);
    const char *key = cdc_buf_cstr(&buf);
    json_t *copy = key ? state_of(cdc_outlet_key(out, key)) : NULL;
    json_int_t generation = json_integer_value(json_object_get(copy, "generation"));
    json_decref(copy);
    cdc_buf_done(&buf);
    return (generation ? generation : 1) + 1;
}

static int note(struct cdc_outlet *out, const struct cdc_kv *kv, json_t *state)
{
    const char *name = (const char *)kv->key.p + strlen(PREFIX);
    struct cdc_buf from = CDC_BUF(TEXT_MAX);
    int rc = cdc_map_get_text(&out->run->checkpoint, "position", &from, NULL);
    const char *position = rc == CDC_OK ? cdc_buf_cstr(&from) : "";
    json_t *gap = json_pack("{s:s,s:I}", "from", position ? position : "", "until",
                            (json_int_t)next_generation(out, name));
    rc = gap && json_object_set_new(state, "state", json_string("skipped")) == 0 &&
                 json_object_set_new(state, "gap", gap) == 0
             ? put_json(&out->pending, kv->key, state)
             : CDC_FAIL;
    cdc_log(CDC_LOG_WARN,
            "table %s is not captured any more: its changes after %s will be missing from what was "
            "written so far, also if it is taken again",
            name, position && *position ? position : "the start");
    cdc_buf_done(&from);
    return rc;
}

static int look(struct cdc_outlet *out, const struct cdc_kv *kv)
{
    const char *key = (const char *)kv->key.p;
    if (!kv->value.p || strncmp(key, PREFIX, strlen(PREFIX)) != 0 ||
        strncmp(key, OF_OURS, strlen(OF_OURS)) == 0)
        return CDC_OK;
    json_t *state = state_of(kv->value);
    const json_t *gap = json_object_get(state, "gap");
    const char *from = json_string_value(json_object_get(gap, "from"));
    bool taken = captured(out->run, key + strlen(PREFIX));
    int rc = CDC_OK;
    if (gap && taken)
        cdc_log(CDC_LOG_WARN,
                "table %s has a gap: changes after %s are missing until it is copied anew: by "
                "itself, or by `sidestream snapshot` where its rule says never",
                key + strlen(PREFIX), from ? from : "an unknown place");
    else if (!gap && !taken && state)
        rc = note(out, kv, state);
    json_decref(state);
    return rc;
}

int cdc_gaps_note(struct cdc_outlet *out, struct cdc_error *err)
{
    const struct cdc_map *checkpoint = &out->run->checkpoint;
    for (size_t i = 0; i < checkpoint->n; i++)
        if (look(out, &checkpoint->items[i]) < 0)
            return cdc_fail_oom(err);
    return CDC_OK;
}

int cdc_state_keep(struct cdc_slice before, const json_t *ids, struct cdc_buf *now)
{
    json_t *old = state_of(before), *gap = json_object_get(old, "gap");
    json_t *state = gap || ids ? state_of(cdc_buf_slice(now)) : NULL;
    int rc = CDC_OK;
    if (gap || ids) {
        rc = state ? 0 : -1;
        if (rc == 0 && ids)
            rc = json_object_update(state, (json_t *)(uintptr_t)ids);
        if (rc == 0 && gap)
            rc = json_object_set(state, "gap", gap);
        char *text = rc == 0 ? json_dumps(state, JSON_COMPACT) : NULL;
        cdc_buf_reset(now);
        if (text)
            cdc_buf_str(now, text);
        rc = text && !now->failed ? CDC_OK : CDC_FAIL;
        free(text);
    }
    json_decref(state);
    json_decref(old);
    return rc;
}

/* ---- what the source says is missing ---- */

/* The position behind the last batch, as the JSON string that it is. */
static json_t *position_now(const struct cdc_outlet *out)
{
    struct cdc_slice text = cdc_outlet_key(out, "position");
    json_t *position =
        text.p ? json_loadb((const char *)text.p, text.len, JSON_DECODE_ANY, NULL) : NULL;
    return position ? position : json_string("");
}

int cdc_gap_set(const struct cdc_outlet *out, json_t *state, uint32_t until)
{
    json_t *gap = json_object_get(state, "gap");
    bool known = gap != NULL;
    if (!known &&
        json_object_set_new(state, "gap", gap = json_pack("{s:o}", "from", position_now(out))) < 0)
        return CDC_FAIL;
    if (known && json_integer_value(json_object_get(gap, "until")) >= until)
        return CDC_END;
    return json_object_set_new(gap, "until", json_integer((json_int_t)until)) == 0 ? CDC_OK
                                                                                   : CDC_FAIL;
}

/* Once, as far as it lies with us: with a copier, that has told it. */
static void tell_unmended(const struct cdc_outlet *out, const char *table)
{
    if (!out->run->copier)
        cdc_log(CDC_LOG_WARN,
                "table %s: changes are missing from here on that the source's log does not have, "
                "and this source cannot copy tables; begin anew with an empty sink",
                table);
}

static int take_gap(struct cdc_outlet *out, const struct cdc_change *chg)
{
    struct cdc_buf buf = CDC_BUF(4096);
    cdc_buf_printf(&buf, PREFIX "%s.%s", chg->table->schema, chg->table->name);
    const char *key = cdc_buf_cstr(&buf);
    json_t *state = key ? cdc_state_now(out, key, chg->table) : NULL;
    bool known = json_object_get(state, "gap") != NULL;
    uint32_t until = out->run->copier ? (uint32_t)chg->ordinal : 2;
    int rc = state ? cdc_gap_set(out, state, until) : CDC_FAIL;
    if (rc == CDC_OK)
        rc = cdc_state_put(out, key, state);
    if (rc == CDC_OK) { /* it waits for a commit as rows do */
        if (out->rows == 0 && !out->states)
            out->first_us = cdc_mono_us();
        out->states = true;
    }
    if (rc == CDC_OK && !known)
        tell_unmended(out, key + strlen(PREFIX));
    json_decref(state);
    cdc_buf_done(&buf);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

int cdc_gaps_take(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i];
        if (chg->op == CDC_OP_GAP) {
            if (take_gap(out, chg) < 0)
                return cdc_fail_oom(err);
            if (chg->flags & CDC_TX_LAST && n > 0 && batch->changes[n - 1].tx == chg->tx)
                batch->changes[n - 1].flags |= CDC_TX_LAST;
        } else if (n++ < i) {
            batch->changes[n - 1] = *chg;
        }
    }
    batch->n = n;
    return CDC_OK;
}
