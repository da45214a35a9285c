/*
 * gaps.c - a table that was captured and is not any more leaves a gap, and the gap is written down.
 *
 * At a session's start every table of the checkpoint that no rule takes gets `"state":"skipped"`
 * and
 * `"gap":{"from":<position>}` into its state. That becomes true with the next commit, the first
 * that can move the position over changes of the table. Taken again, the table keeps its gap and
 * says so at every start: only a new copy of it closes the gap (pipeline/copied.c), which the rule
 * has made by itself unless it says `snapshot: never`.
 */
#include "pipeline/session.h"

#include <jansson.h>
#include <stdlib.h>

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

static int note(struct cdc_outlet *out, const struct cdc_kv *kv, json_t *state)
{
    const char *name = (const char *)kv->key.p + strlen(PREFIX);
    struct cdc_buf from = CDC_BUF(TEXT_MAX);
    int rc = cdc_map_get_text(&out->run->checkpoint, "position", &from, NULL);
    const char *position = rc == CDC_OK ? cdc_buf_cstr(&from) : "";
    json_t *gap = json_pack("{s:s}", "from", position ? position : "");
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
                "table %s has a gap: it was not captured for a while, and changes after %s are "
                "missing until it is copied anew: by itself, or by `sidestream snapshot` where its "
                "rule "
                "says never",
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
