/*
 * routes.c - from a table (one version of it) to its topic: found once, then looked up by pointer.
 *
 * A route holds a reference to its table, so that the pointer cannot be another table's. Routes of
 * versions that are gone are swept out when the table of routes has grown: they are all dropped
 * then, and made again as they are needed.
 */
#include "kafka.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUTES_MAX 4096

/* ---- the hash table ---- */

static size_t place(const struct kafka *kf, const struct cdc_table *tab)
{
    size_t at = (size_t)((uintptr_t)tab >> 4) * (size_t)0x9e3779b97f4a7c15u >> 32;
    at &= kf->cap_routes - 1;
    while (kf->routes[at].tab && kf->routes[at].tab != tab)
        at = (at + 1) & (kf->cap_routes - 1);
    return at;
}

static struct kfk_route *find(const struct kafka *kf, const struct cdc_table *tab)
{
    if (kf->n_routes == 0)
        return NULL;
    struct kfk_route *route = &kf->routes[place(kf, tab)];
    return route->tab ? route : NULL;
}

void kfk_routes_drop(struct kafka *kf)
{
    for (size_t i = 0; i < kf->cap_routes; i++)
        cdc_table_unref(kf->routes[i].tab);
    free(kf->routes);
    kf->routes = NULL;
    kf->last = NULL;
    kf->n_routes = kf->cap_routes = 0;
}

static int grow(struct kafka *kf, struct cdc_error *err)
{
    struct kfk_route *old = kf->routes;
    size_t n = kf->cap_routes;
    if ((kf->n_routes + 1) * 2 <= n)
        return CDC_OK;
    struct kfk_route *routes = calloc(n ? n * 2 : 16, sizeof *routes);
    if (!routes)
        return cdc_fail_oom(err);
    kf->routes = routes;
    kf->cap_routes = n ? n * 2 : 16;
    kf->last = NULL;
    for (size_t i = 0; i < n; i++)
        if (old[i].tab)
            kf->routes[place(kf, old[i].tab)] = old[i];
    free(old);
    return CDC_OK;
}

const struct kfk_route *kfk_route_of(struct kafka *kf, const struct cdc_table *tab)
{
    if (!kf->last || kf->last->tab != tab)
        kf->last = find(kf, tab);
    return kf->last;
}

/* ---- names that meet ---- */

/* Has the other table of this topic another name before odd bytes were replaced? */
static bool differs(const struct kafka *kf, struct cdc_slice raw, const char *other)
{
    struct cdc_buf schema = CDC_BUF(4096), theirs = CDC_BUF(4096);
    const char *dot = strchr(other, '.');
    bool ret = false;
    cdc_buf_put(&schema, other, dot ? (size_t)(dot - other) : 0);
    const char *name = cdc_buf_cstr(&schema);
    if (dot && name) {
        const struct cdc_rule *rule = cdc_capture_match(kf->set.cfg->capture, name, dot + 1);
        kfk_topic_raw(&kf->set, name, dot + 1, &theirs);
        ret = !(rule && rule->topic) && !cdc_slice_eq(raw, cdc_buf_slice(&theirs));
    }
    cdc_buf_done(&schema);
    cdc_buf_done(&theirs);
    return ret;
}

static int check_meeting(const struct kafka *kf, const struct cdc_table *tab, const char *name,
                         struct cdc_error *err)
{
    const struct kfk_topic *topic = kfk_topic_find(kf, name);
    struct cdc_buf raw = CDC_BUF(4096);
    int rc = CDC_OK;
    if (!topic || (tab->rule && tab->rule->topic))
        return CDC_OK;
    kfk_topic_raw(&kf->set, tab->schema, tab->name, &raw);
    for (size_t i = 0; rc == CDC_OK && i < topic->state.n_tables; i++)
        if (differs(kf, cdc_buf_slice(&raw), topic->state.tables[i]))
            rc =
                cdc_fail(err, CDC_CONFIG, tab->rule ? tab->rule->where : "",
                         "the tables %s.%s and %s would meet in the topic %s, since Kafka does not "
                         "take all bytes of their names: set `topic` in the rule of one of them",
                         tab->schema, tab->name, topic->state.tables[i], name);
    cdc_buf_done(&raw);
    return rc;
}

int kfk_stream(const struct cdc_sink *snk, const struct cdc_table *tab, struct cdc_buf *ret,
               struct cdc_error *err)
{
    const struct kafka *kf = (const struct kafka *)snk;
    struct cdc_buf name = CDC_BUF(8192);
    int rc = kfk_topic_name(&kf->set, tab->rule, tab->schema, tab->name, &name, err);
    const char *text = rc == CDC_OK ? cdc_buf_cstr(&name) : NULL;
    if (text)
        rc = check_meeting(kf, tab, text, err);
    if (text && rc == CDC_OK)
        cdc_buf_str(ret, text);
    cdc_buf_done(&name);
    return rc == CDC_OK && (!text || ret->failed) ? cdc_fail_oom(err) : rc;
}

/* ---- making a route ---- */

static int add_table(struct kfk_topic *topic, const char *full, struct cdc_error *err)
{
    struct kfk_topic_state *state = &topic->state;
    for (size_t i = 0; i < state->n_tables; i++)
        if (strcmp(state->tables[i], full) == 0)
            return CDC_OK;
    char **tables = realloc(state->tables, (state->n_tables + 1) * sizeof *tables);
    if (!tables)
        return cdc_fail_oom(err);
    state->tables = tables;
    state->tables[state->n_tables] = strdup(full);
    if (!state->tables[state->n_tables])
        return cdc_fail_oom(err);
    state->n_tables++;
    topic->unsaved = true;
    return CDC_OK;
}

static struct kfk_topic *topic_of(struct kafka *kf, const struct cdc_table *tab,
                                  struct cdc_error *err)
{
    struct cdc_buf name = CDC_BUF(8192), full = CDC_BUF(8192);
    struct kfk_topic *topic = NULL;
    if (kfk_stream(&kf->base, tab, &name, err) == CDC_OK) {
        cdc_stream_suffix(tab, &name);
        cdc_buf_printf(&full, "%s.%s", tab->schema, tab->name);
        const char *text = cdc_buf_cstr(&name), *key = cdc_buf_cstr(&full);
        bool fits = name.len <= KFK_TOPIC_MAX;
        topic = text && key && fits ? kfk_topic_add(kf, text) : NULL;
        if (!fits)
            (void)cdc_fail(err, CDC_CONFIG, key ? key : "",
                           "the name of its new topic would be longer than %d bytes: give the "
                           "capture rule a shorter `topic`",
                           KFK_TOPIC_MAX);
        else if (!topic)
            (void)cdc_fail_oom(err);
        else if (add_table(topic, key, err) < 0)
            topic = NULL;
        else
            topic->wanted = true;
    }
    cdc_buf_done(&name);
    cdc_buf_done(&full);
    return topic;
}

static int add_route(struct kafka *kf, struct cdc_table *tab, struct cdc_error *err)
{
    struct kfk_topic *topic = topic_of(kf, tab, err);
    if (!topic || grow(kf, err) < 0)
        return CDC_FAIL;
    const struct cdc_schema *key = cdc_plan_key_schema(tab->plan);
    kf->routes[place(kf, tab)] =
        (struct kfk_route){.tab = cdc_table_ref(tab),
                           .topic = topic,
                           .plan = tab->plan,
                           .value_id = cdc_plan_schema(tab->plan)->id,
                           .key_id = key ? key->id : 0,
                           .keyed = key != NULL,
                           .hard = tab->rule && tab->rule->deletes == CDC_DELETES_HARD};
    kf->n_routes++;
    return CDC_OK;
}

static int check_route(const struct kfk_route *route, struct cdc_error *err)
{
    if (!route->topic->compact || route->keyed)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, route->topic->name,
                    "the topic is compacted (cleanup.policy), which needs a key, and the table "
                    "%s.%s has none: set `key` in its capture rule, or cleanup.policy=delete on "
                    "the topic",
                    route->tab->schema, route->tab->name);
}

static int bind_new(struct kafka *kf, struct cdc_error *err)
{
    struct kfk_reader *rd = NULL;
    bool any = false;
    for (size_t i = 0; i < kf->n_topics; i++)
        any |= kfk_topic_unbound(kf->topics[i]);
    if (!any)
        return CDC_OK;
    if (kfk_reader_new(&kf->set, true, &kf->woken, &rd, err) < 0)
        return CDC_FAIL;
    rd->known = true;
    int rc = kfk_topics_bind(kf, rd, err);
    kfk_reader_free(rd);
    return rc;
}

int kfk_routes_prepare(struct kafka *kf, struct cdc_table *const *tabs, size_t n,
                       struct cdc_error *err)
{
    bool added = false;
    if (kf->n_routes > ROUTES_MAX)
        kfk_routes_drop(kf);
    for (size_t i = 0; i < n; i++) /* without a plan: it is paused, none of its rows is left */
        if (tabs[i]->plan && !find(kf, tabs[i])) {
            added = true;
            if (add_route(kf, tabs[i], err) < 0)
                return CDC_FAIL;
        }
    if (!added)
        return CDC_OK;
    if (bind_new(kf, err) < 0)
        return CDC_FAIL;
    for (size_t i = 0; i < n; i++)
        if (tabs[i]->plan && check_route(find(kf, tabs[i]), err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}
