/*
 * resolve.c - what must be known of a table before the sink may see its rows.
 *
 * For each table without a plan: the schema's text, a second opinion on it (Avro-C), its id. New
 * schemas of a batch are committed together, in a commit of their own, before any row uses their
 * ids. The table's state goes into the pending delta: it becomes true with the rows. The state
 * holds the hash of the capture rule, so that a rule that was changed between two runs is told.
 */
#include "pipeline/session.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "avro/check.h"
#include "cdc/log.h"
#include "config/capture.h"

#define SCHEMA_MAX ((size_t)8 << 20)

/* "<schema>.<name>" of a table with a prefix; in a buffer the caller ends. */
static const char *table_key(struct cdc_buf *buf, const char *prefix, const struct cdc_table *tab,
                             const char *suffix)
{
    cdc_buf_reset(buf);
    cdc_buf_printf(buf, "%s%s.%s%s", prefix, tab->schema, tab->name, suffix);
    return cdc_buf_cstr(buf);
}

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

static int put_state(struct cdc_outlet *out, const struct cdc_table *tab, struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(4096), state = CDC_BUF(SCHEMA_MAX);
    const char *name = table_key(&key, "table/", tab, "");
    int rc = CDC_FAIL;
    struct cdc_slice before =
        name ? cdc_map_get(&out->run->checkpoint, name) : cdc_slice_of(NULL, 0);
    if (name && cdc_table_state(tab, &state) == CDC_OK && cdc_gap_keep(before, &state) == CDC_OK) {
        struct cdc_slice now = cdc_buf_slice(&state);
        rc = CDC_OK;
        if (!cdc_slice_eq(before, now)) {
            tell_changed_rule(tab, before);
            rc = cdc_map_put(&out->pending, cdc_slice_str(name), now);
        }
    }
    cdc_buf_done(&key);
    cdc_buf_done(&state);
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

static int schema_id(struct cdc_outlet *out, const struct cdc_table *tab, struct cdc_slice text,
                     struct cdc_map *fresh, uint32_t *ret, struct cdc_error *err)
{
    struct cdc_buf subject = CDC_BUF(4096), prefix = CDC_BUF(256);
    cdc_buf_printf(&prefix, "%s.", out->run->set->config.name);
    const char *start = cdc_buf_cstr(&prefix);
    const char *name = start ? table_key(&subject, start, tab, "-value") : NULL;
    int rc = name ? cdc_registry_id(out->registry, name, text, fresh, ret, err) : cdc_fail_oom(err);
    cdc_buf_done(&subject);
    cdc_buf_done(&prefix);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

static int resolve_table(struct cdc_outlet *out, struct cdc_table *tab, struct cdc_map *fresh,
                         struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(SCHEMA_MAX);
    struct cdc_schema schema = {0};
    int rc = cdc_row_schema_text(out->run->set->config.name, tab, &text, err);
    if (rc == CDC_OK && !cdc_buf_cstr(&text))
        rc = cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = cdc_avro_check(cdc_buf_slice(&text), err);
    if (rc == CDC_OK)
        rc = schema_id(out, tab, cdc_buf_slice(&text), fresh, &schema.id, err);
    if (rc == CDC_OK) {
        schema.text = (const char *)text.p;
        schema.len = text.len;
        if (EVP_Digest(text.p, text.len, schema.sha256, NULL, EVP_sha256(), NULL) != 1)
            rc = cdc_fail_oom(err);
    }
    if (rc == CDC_OK)
        rc = cdc_plan_new(tab, &schema, &out->state, &tab->plan, err);
    cdc_buf_done(&text);
    if (rc == CDC_OK)
        tell_missing_columns(tab);
    return rc == CDC_OK ? put_state(out, tab, err) : rc;
}

int cdc_resolve(struct cdc_outlet *out, struct cdc_batch *batch, struct cdc_error *err)
{
    if (!(out->run->set->sink->caps & CDC_SINK_PLANS))
        return CDC_OK;
    struct cdc_map fresh;
    cdc_map_init(&fresh);
    int rc = CDC_OK;
    for (size_t i = 0; rc == CDC_OK && i < batch->n_tables; i++)
        if (!batch->tables[i]->plan)
            rc = resolve_table(out, batch->tables[i], &fresh, err);
    if (rc == CDC_OK && fresh.n > 0)
        rc = cdc_outlet_commit_keys(out, &fresh, err);
    cdc_map_done(&fresh);
    return rc;
}
