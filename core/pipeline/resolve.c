/*
 * resolve.c - what must be known of a table before the sink may see its rows.
 *
 * For each table of a batch without a plan: the text of its schema (and of its key's, where the
 * sink wants keys), a second opinion on it (Avro-C), the verdict whether it may follow the one
 * before, its id, a plan. In three steps, so that a registry is never asked while rows wait that
 * could be committed:
 *   1. texts and subjects of all of them; nothing is asked
 *   2. if anything has to be asked or compared: commit what waits, if that may be done here
 *   3. verdicts, ids, plans. New schemas of the batch are committed together, in a commit of their
 *      own, before any row uses their ids
 * A schema that may not follow meets the rule's `on_incompatible`: hold refuses the session, pause
 * drops the table's rows (paused.c), new_topic takes the next stream (subjects and topic with .v2,
 * .v3 ... behind), force registers it.
 *
 * The table's state goes into the pending delta: it becomes true with the rows. The state holds the
 * hash of the capture rule, so that a rule that was changed between two runs is told; `key_id`, for
 * a changed key is seen by it; and `stream`, the number behind .v.
 */
#include "pipeline/session.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "avro/check.h"
#include "cdc/log.h"
#include "config/capture.h"

#define SCHEMA_MAX  ((size_t)8 << 20)
#define WHY_MAX     ((size_t)4096)
#define STREAMS_MAX 1000 /* of one table, by new_topic */

/* Says once that the table's records follow another rule than the ones before. */
static void tell_changed_rule(const struct cdc_table *tab, struct cdc_slice before)
{
    json_t *state = before.p ? json_loadb((const char *)before.p, before.len, 0, NULL) : NULL;
    const char *hash = json_string_value(json_object_get(state, "rule"));
    if (hash && tab->rule && strcmp(hash, tab->rule->hash) != 0)
        cdc_log(CDC_LOG_INFO,
                "table %s.%s: its capture rule is another one than before (now %s): records follow "
                "it from here on, what was written stays as it is (docs/capture.md tells what each "
                "change means)",
                tab->schema, tab->name, tab->rule->where);
    json_decref(state);
}

/* A column that was renamed, or never was: what the rule says of it is done to nothing. */
static void tell_missing_columns(const struct cdc_table *tab)
{
    if (!tab->rule || !cdc_rule_single(tab->rule))
        return;
    for (const char *const *name = cdc_rule_mentions(tab->rule); *name; name++)
        if (cdc_table_column(tab, *name) < 0)
            cdc_log(CDC_LOG_WARN,
                    "table %s.%s: its capture rule (%s) names the column \"%s\", which the table "
                    "does not have: nothing is hidden or changed by that name",
                    tab->schema, tab->name, tab->rule->where, *name);
}

/* Which half of a record a schema is for, and who writes its text. */
struct half {
    const char *name;
    int (*text)(const char *pipeline, const struct cdc_table *tab, struct cdc_buf *ret,
                struct cdc_error *err);
};

static const struct half halves[2] = {{"value", cdc_row_schema_text},
                                      {"key", cdc_row_key_schema_text}};

/* A table on its way. */
struct resolving {
    struct cdc_table *tab;
    char key[512]; /* of its state in the checkpoint */
    struct cdc_buf text[2], subject[2];
    uint32_t ids[2];
    size_t n;        /* halves: 2 with the key */
    uint32_t key_id; /* in the state until now; 0: none */
    bool force;
};

static struct cdc_registry_want want_of(const struct resolving *res, size_t i)
{
    return (struct cdc_registry_want){.subject = (const char *)res->subject[i].p,
                                      .text = cdc_buf_slice(&res->text[i]),
                                      .key = i == 1,
                                      .current = i == 1 ? res->key_id : 0,
                                      .force = res->force};
}

/* The name of the stream, as the sink calls it, and the table's suffix. */
static int put_stream(struct cdc_outlet *out, const struct cdc_table *tab, struct cdc_buf *ret,
                      struct cdc_error *err)
{
    const struct cdc_sink_ops *ops = out->run->set->sink;
    if (!ops->stream)
        cdc_buf_printf(ret, "%s.%s.%s", out->run->set->config.name, tab->schema, tab->name);
    else if (ops->stream(out->run->sink, tab, ret, err) < 0)
        return CDC_FAIL;
    cdc_stream_suffix(tab, ret);
    return CDC_OK;
}

/* The record's full name, out of its schema's text. */
static int put_record(struct cdc_slice text, struct cdc_buf *ret, struct cdc_error *err)
{
    struct cdc_avro_schema *schema = NULL;
    if (cdc_avro_schema_parse(text, &schema, err) < 0)
        return CDC_FAIL;
    if (schema->root->full)
        cdc_buf_str(ret, schema->root->full);
    cdc_avro_schema_free(schema);
    return CDC_OK;
}

/* Confluent's TopicName, RecordName and TopicRecordName strategies. */
static int put_subject(struct cdc_outlet *out, struct resolving *res, size_t i,
                       struct cdc_error *err)
{
    struct cdc_buf *ret = &res->subject[i];
    int how = cdc_get_choice(out->run->set->registry, "subject");
    int rc = CDC_OK;
    cdc_buf_reset(ret);
    if (how != CDC_SUBJECT_RECORD)
        rc = put_stream(out, res->tab, ret, err);
    if (rc == CDC_OK && how != CDC_SUBJECT_RECORD)
        cdc_buf_byte(ret, '-');
    if (rc == CDC_OK && how == CDC_SUBJECT_TOPIC)
        cdc_buf_str(ret, halves[i].name);
    else if (rc == CDC_OK)
        rc = put_record(cdc_buf_slice(&res->text[i]), ret, err);
    if (rc < 0)
        return CDC_FAIL;
    return cdc_buf_cstr(ret) ? CDC_OK : cdc_fail_oom(err);
}

static int put_subjects(struct cdc_outlet *out, struct resolving *res, struct cdc_error *err)
{
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < res->n; i++)
        rc = put_subject(out, res, i, err);
    return rc;
}

static int put_text(struct cdc_outlet *out, struct resolving *res, size_t i, struct cdc_error *err)
{
    int rc = halves[i].text(out->run->set->config.name, res->tab, &res->text[i], err);
    if (rc == CDC_OK && !cdc_buf_cstr(&res->text[i]))
        rc = cdc_fail_oom(err);
    return rc == CDC_OK ? cdc_avro_check(cdc_buf_slice(&res->text[i]), err) : rc;
}

/* What the state of before says of key and stream. */
static void read_state(struct cdc_outlet *out, struct resolving *res)
{
    struct cdc_slice text = cdc_outlet_key(out, res->key);
    json_t *state = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    res->key_id = (uint32_t)json_integer_value(json_object_get(state, "key_id"));
    res->tab->stream = (uint32_t)json_integer_value(json_object_get(state, "stream"));
    json_decref(state);
}

static void finish(struct resolving *res)
{
    for (size_t i = 0; i < 2; i++) {
        cdc_buf_done(&res->text[i]);
        cdc_buf_done(&res->subject[i]);
    }
}

static int prepare(struct cdc_outlet *out, struct cdc_table *tab, struct resolving *ret,
                   struct cdc_error *err)
{
    *ret = (struct resolving){.tab = tab, .n = 1};
    if (tab->n_key > 0 && out->run->set->sink->caps & CDC_SINK_KEYS)
        ret->n = 2;
    for (size_t i = 0; i < 2; i++) {
        cdc_buf_init(&ret->text[i], SCHEMA_MAX);
        cdc_buf_init(&ret->subject[i], 4096);
    }
    int n = snprintf(ret->key, sizeof ret->key, "table/%s.%s", tab->schema, tab->name);
    if (n < 0 || (size_t)n >= sizeof ret->key)
        return cdc_fail(err, CDC_CONFIG, tab->name, "the table's name is too long: skip it");
    read_state(out, ret);
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < ret->n; i++)
        rc = put_text(out, ret, i, err);
    return rc == CDC_OK ? put_subjects(out, ret, err) : rc;
}

/* Verdict, then ids. CDC_END: one may not follow; why stands in *why. */
static int ask(struct cdc_outlet *out, struct resolving *res, struct cdc_map *fresh,
               struct cdc_buf *why, struct cdc_error *err)
{
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < res->n; i++) {
        struct cdc_registry_want want = want_of(res, i);
        rc = cdc_registry_check(out->registry, &want, why, err);
    }
    for (size_t i = 0; rc == CDC_OK && i < res->n; i++) {
        struct cdc_registry_want want = want_of(res, i);
        rc = cdc_registry_id(out->registry, &want, fresh, &res->ids[i], why, err);
        rc = rc == CDC_AGAIN ? CDC_OK : rc;
    }
    return rc;
}

static int hold(const struct resolving *res, const char *why, struct cdc_error *err)
{
    char place[128];
    snprintf(place, sizeof place, "%s.%s", res->tab->schema, res->tab->name);
    return cdc_fail(err, CDC_OPERATOR, place,
                    "the new schema of table %s.%s may not follow the one before: %.550s. Say for "
                    "this table what is to be done, `on_incompatible: pause`, `new_topic` or "
                    "`force` (docs/registry.md), and start again",
                    res->tab->schema, res->tab->name, why);
}

/* Streams of a name without the table in it cannot be told apart by a suffix. */
static int next_stream(struct cdc_outlet *out, struct resolving *res, const char *why,
                       struct cdc_error *err)
{
    if (cdc_get_choice(out->run->set->registry, "subject") == CDC_SUBJECT_RECORD ||
        res->tab->stream >= STREAMS_MAX)
        return hold(res, why, err);
    res->tab->stream = res->tab->stream ? res->tab->stream + 1 : 2;
    res->key_id = 0;
    cdc_log(CDC_LOG_WARN,
            "table %s.%s goes on in a new stream, with .v%u behind its name "
            "(on_incompatible: new_topic): %s",
            res->tab->schema, res->tab->name, res->tab->stream, why);
    return put_subjects(out, res, err);
}

/* CDC_OK: ask once more. CDC_END: the table is paused. */
static int meet_incompatible(struct cdc_outlet *out, struct resolving *res, const char *why,
                             struct cdc_error *err)
{
    const struct cdc_rule *rule = res->tab->rule;
    int rc;
    switch (rule ? rule->on_incompatible : CDC_INCOMPATIBLE_HOLD) {
    case CDC_INCOMPATIBLE_NEW_TOPIC: return next_stream(out, res, why, err);
    case CDC_INCOMPATIBLE_FORCE:
        cdc_log(CDC_LOG_WARN,
                "table %s.%s: its new schema is used although it may not follow the one before "
                "(on_incompatible: force): %s",
                res->tab->schema, res->tab->name, why);
        res->force = true;
        return CDC_OK;
    case CDC_INCOMPATIBLE_PAUSE:
        rc = cdc_pause(out, res->key + strlen("table/"), res->tab, why, err);
        return rc < 0 ? rc : CDC_END;
    case CDC_INCOMPATIBLE_HOLD: break;
    }
    return hold(res, why, err);
}

/* CDC_OK: the ids are known. CDC_END: the table is paused. */
static int get_ids(struct cdc_outlet *out, struct resolving *res, struct cdc_map *fresh,
                   struct cdc_error *err)
{
    struct cdc_buf why = CDC_BUF(WHY_MAX);
    int rc;
    for (;;) {
        cdc_buf_reset(&why);
        rc = ask(out, res, fresh, &why, err);
        if (rc != CDC_END)
            break;
        const char *text = cdc_buf_cstr(&why);
        rc = res->force ? hold(res, text ? text : "", err)
                        : meet_incompatible(out, res, text ? text : "the list is too long", err);
        if (rc != CDC_OK)
            break;
    }
    cdc_buf_done(&why);
    return rc;
}

static int schema_of(const struct resolving *res, size_t i, struct cdc_schema *ret,
                     struct cdc_error *err)
{
    const struct cdc_buf *text = &res->text[i];
    *ret = (struct cdc_schema){.text = (const char *)text->p, .len = text->len, .id = res->ids[i]};
    return EVP_Digest(text->p, text->len, ret->sha256, NULL, EVP_sha256(), NULL) == 1
               ? CDC_OK
               : cdc_fail_oom(err);
}

static int make_plan(struct cdc_outlet *out, const struct resolving *res, struct cdc_error *err)
{
    struct cdc_schema schema;
    if (schema_of(res, 0, &schema, err) < 0 ||
        cdc_plan_new(res->tab, &schema, &out->state, &res->tab->plan, err) < 0)
        return CDC_FAIL;
    if (res->n < 2)
        return CDC_OK;
    if (schema_of(res, 1, &schema, err) < 0)
        return CDC_FAIL;
    return cdc_plan_with_key(res->tab->plan, &schema, err);
}

/* Members of the state that the table itself does not know; NULL: none. */
static json_t *ids_of(const struct resolving *res)
{
    json_t *ids = json_object();
    if (res->n == 2)
        json_object_set_new(ids, "key_id", json_integer(res->ids[1]));
    if (res->tab->stream)
        json_object_set_new(ids, "stream", json_integer(res->tab->stream));
    return ids;
}

static int put_state(struct cdc_outlet *out, const struct resolving *res, struct cdc_error *err)
{
    struct cdc_buf state = CDC_BUF(SCHEMA_MAX);
    struct cdc_slice before = cdc_outlet_key(out, res->key);
    json_t *ids = ids_of(res);
    int rc = CDC_FAIL;
    if (ids && cdc_table_state(res->tab, &state) == CDC_OK &&
        cdc_state_keep(before, ids, &state) == CDC_OK) {
        struct cdc_slice now = cdc_buf_slice(&state);
        rc = CDC_OK;
        if (!cdc_slice_eq(before, now)) {
            tell_changed_rule(res->tab, before);
            rc = cdc_map_put(&out->pending, cdc_slice_str(res->key), now);
        }
    }
    json_decref(ids);
    cdc_buf_done(&state);
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static int resolve_table(struct cdc_outlet *out, struct resolving *res, struct cdc_map *fresh,
                         struct cdc_error *err)
{
    read_state(out, res); /* an earlier version of the same batch may have changed it */
    int rc = put_subjects(out, res, err);
    if (rc == CDC_OK)
        rc = cdc_paused_has(&out->paused, res->tab->schema, res->tab->name)
                 ? CDC_END
                 : get_ids(out, res, fresh, err);
    if (rc != CDC_OK)
        return rc < 0 ? CDC_FAIL : CDC_OK;
    rc = make_plan(out, res, err);
    if (rc == CDC_OK)
        tell_missing_columns(res->tab);
    return rc == CDC_OK ? put_state(out, res, err) : rc;
}

/* All tables of the batch that need it; *ret has room for as many as the batch has tables. */
static int prepare_all(struct cdc_outlet *out, const struct cdc_batch *batch, struct resolving *ret,
                       size_t *ret_n, struct cdc_error *err)
{
    for (size_t i = 0; i < batch->n_tables; i++) {
        struct cdc_table *tab = batch->tables[i];
        if (tab->plan || cdc_paused_has(&out->paused, tab->schema, tab->name))
            continue;
        if (prepare(out, tab, &ret[(*ret_n)++], err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

static int commit_first(struct cdc_outlet *out, const struct resolving *all, size_t n,
                        struct cdc_error *err)
{
    bool wait = false;
    for (size_t i = 0; !wait && i < n; i++)
        for (size_t h = 0; !wait && h < all[i].n; h++) {
            struct cdc_registry_want want = want_of(&all[i], h);
            wait = cdc_registry_would_wait(out->registry, &want);
        }
    return wait ? cdc_outlet_commit_first(out, err) : CDC_OK;
}

static int resolve_all(struct cdc_outlet *out, struct resolving *all, size_t n,
                       struct cdc_error *err)
{
    struct cdc_map fresh;
    cdc_map_init(&fresh);
    int rc = commit_first(out, all, n, err);
    for (size_t i = 0; rc == CDC_OK && i < n; i++)
        rc = resolve_table(out, &all[i], &fresh, err);
    if (rc == CDC_OK && fresh.n > 0)
        rc = cdc_outlet_commit_keys(out, &fresh, err);
    cdc_map_done(&fresh);
    return rc;
}

static size_t count_unplanned(const struct cdc_batch *batch)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n_tables; i++)
        n += batch->tables[i]->plan == NULL;
    return n;
}

int cdc_resolve(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err)
{
    size_t n = 0, room = count_unplanned(batch);
    if (!(out->run->set->sink->caps & CDC_SINK_PLANS) || room == 0)
        return CDC_OK;
    struct resolving *all = calloc(room, sizeof *all);
    if (!all)
        return cdc_fail_oom(err);
    int rc = prepare_all(out, batch, all, &n, err);
    if (rc == CDC_OK)
        rc = resolve_all(out, all, n, err);
    for (size_t i = 0; i < n; i++)
        finish(&all[i]);
    free(all);
    if (rc == CDC_OK)
        cdc_paused_drop(&out->paused, batch, true);
    return rc;
}
