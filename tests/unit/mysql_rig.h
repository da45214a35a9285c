/*
 * mysql_rig.h - a MySQL source without a server: events go into mys_apply as stream.c gives them,
 * changes come out as lines of text. Table maps are described here (tables are as the map says), so
 * that nothing asks a catalogue. No cmocka: fuzz targets use it, too.
 *
 *   [5]                       changes of transaction 5 follow
 *   u g.t 2 1,5 > 1,6 moved   op, table, ordinal, before > after
 *   end 5 due xa1             head moved behind it; rows went out; one transaction is prepared
 *
 * Values: n NULL, - absent, = unchanged, ! invalid.
 */
#ifndef TESTS_MYSQL_RIG_H
#define TESTS_MYSQL_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/mysql.h"
#include "cdc/clock.h"
#include "cdc/crc32c.h"
#include "config/capture.h"

struct rig {
    struct mys_source src;
    struct cdc_config cfg;
    struct cdc_arena *arena; /* of the rules */
    struct cdc_pool *pool;
    struct cdc_batch *batch;
    size_t shown; /* changes of the batch that are in `out` */
    const struct cdc_tx *tx;
    struct cdc_buf out;
    struct cdc_error err;
};

static inline void rig_must(bool ok)
{
    if (!ok)
        abort();
}

static inline struct cdc_capture *rig_rules(struct cdc_arena *arena, const char *yaml)
{
    struct cdc_doc doc = {.arena = arena, .path = "rig.yaml"};
    struct cdc_rule_defaults defaults = {.source = "mysql", .copies = true};
    struct cdc_node *root = NULL;
    struct cdc_capture *capture = NULL;
    rig_must(cdc_node_parse(&doc, cdc_slice_str(yaml), &root, NULL) == CDC_OK);
    rig_must(cdc_capture_read(&doc, &root->entries[0], &defaults, &capture, NULL) == CDC_OK);
    return capture;
}

static inline void rig_open(struct rig *rig, const char *rules, bool mariadb)
{
    struct mys_source *src = &rig->src;
    memset(rig, 0, sizeof *rig);
    rig->arena = cdc_arena_new(SIZE_MAX);
    rig->pool = cdc_pool_new((size_t)64 << 20, (size_t)1 << 20);
    rig_must(rig->arena && rig->pool);
    rig->batch = cdc_pool_batch(rig->pool);
    rig_must(rig->batch != NULL);
    cdc_buf_init(&rig->out, (size_t)64 << 20);
    rig->cfg = (struct cdc_config){.path = "", .name = "rig"};
    rig->cfg.capture = rig_rules(rig->arena, rules);
    src->srv = (struct mys_server){.cfg = &rig->cfg, .max_row = (size_t)1 << 24};
    src->srv.sql = mysql_init(NULL); /* whatever is asked fails */
    src->reread_off_us = INT64_MAX;  /* and this is not even asked */
    src->facts = (struct mys_facts){.mariadb = mariadb, .gtids = true, .cascades = true};
    src->fmt.mariadb = mariadb;
    src->head.gtids.mariadb = mariadb;
    src->head.kind = MYS_POS_TX;
    strcpy(src->head.file, "bin.000001");
    strcpy(src->file, "bin.000001");
    src->head.pos = src->pos = 4;
    cdc_map_init(&src->known);
    pthread_mutex_init(&src->known_lock, NULL);
}

static inline void rig_close(struct rig *rig)
{
    struct mys_source *src = &rig->src;
    cdc_batch_unref(rig->batch);
    mys_xa_done(src);
    mys_rels_done(src);
    mys_payload_free(src->payload);
    mys_pos_done(&src->head);
    mys_pos_done(&src->resume);
    cdc_map_done(&src->known);
    pthread_mutex_destroy(&src->known_lock);
    mys_sql_close(&src->srv);
    cdc_pool_free(rig->pool);
    cdc_arena_free(rig->arena);
    cdc_buf_done(&rig->out);
}

/* ---- tables ---- */

static inline void rig_rel_free(struct mys_rel *rel)
{
    cdc_table_unref(rel->tab);
    mys_shape_free(rel->shape);
    cdc_arena_free(rel->bare);
    free((void *)(uintptr_t)rel->raw.p);
    free(rel->schema);
    free(rel->name);
    free(rel);
}

/* Takes those of that id or name out. Returns the version of the table before, or 0. */
static inline uint32_t rig_rel_drop(struct mys_source *src, uint64_t id, const char *schema,
                                    const char *name)
{
    uint32_t version = 0;
    for (size_t i = 0; i < MYS_REL_BUCKETS; i++)
        for (struct mys_rel **at = &src->rels[i]; *at;) {
            struct mys_rel *rel = *at;
            bool same = strcmp(rel->schema, schema) == 0 && strcmp(rel->name, name) == 0;
            if (rel->id != id && !same) {
                at = &rel->next;
                continue;
            }
            if (same && rel->tab)
                version = rel->tab->version;
            *at = rel->next;
            rig_rel_free(rel);
        }
    return version;
}

static inline void rig_table(const struct rig *rig, struct mys_rel *rel,
                             const struct mys_map_columns *map, uint32_t version)
{
    const struct mys_info info = {.final = true};
    struct cdc_table_spec spec = {
        .catalog = rel->schema, .schema = rel->schema, .name = rel->name, .version = version + 1};
    spec.rule = cdc_capture_match(rig->cfg.capture, rel->schema, rel->name);
    if (!spec.rule || mys_shape_new(map, &info, rig->src.srv.max_row, &rel->shape, NULL) != CDC_OK)
        return;
    spec.n = (uint16_t)rel->shape->n;
    spec.cols = rel->shape->cols;
    if (cdc_table_new(&spec, &rel->tab, NULL) != CDC_OK)
        return;
    rel->fields = rel->shape->fields;
    rel->n = rel->shape->n;
}

/* What relation.c would make of a table map, before mys_rel_set sees that it has it. */
static inline void rig_describe(struct rig *rig, struct mys_event ev)
{
    struct mys_source *src = &rig->src;
    struct mys_map_columns map;
    if (mys_decode(&src->fmt, &ev, NULL) < 0)
        return;
    const struct mys_rel *old = mys_rel_find(src, ev.map.id);
    if (old && cdc_slice_eq(old->raw, ev.body))
        return;
    struct mys_rel *rel = calloc(1, sizeof *rel);
    uint8_t *raw = malloc(ev.body.len + 1);
    rig_must(rel && raw);
    memcpy(raw, ev.body.p, ev.body.len);
    *rel = (struct mys_rel){.id = ev.map.id, .raw = cdc_slice_of(raw, ev.body.len)};
    rel->schema = strdup(ev.map.db);
    rel->name = strdup(ev.map.name);
    rel->bare = cdc_arena_new((size_t)16 << 20);
    rig_must(rel->schema && rel->name && rel->bare);
    rel->hash = cdc_crc32c(cdc_crc32c(0, rel->schema, strlen(rel->schema) + 1), rel->name,
                           strlen(rel->name));
    uint32_t version = rig_rel_drop(src, rel->id, rel->schema, rel->name);
    if (mys_decode_columns(&src->fmt, &ev, rel->bare, &map, NULL) == CDC_OK) {
        rel->n = map.n;
        rig_table(rig, rel, &map, version);
        if (!rel->fields && mys_fields_bare(&map, rel->bare, &rel->fields, NULL) != CDC_OK)
            rel->fields = NULL;
    }
    rel->next = src->rels[rel->id % MYS_REL_BUCKETS];
    src->rels[rel->id % MYS_REL_BUCKETS] = rel;
}

/* ---- changes as text ---- */

static inline void rig_value(struct cdc_buf *out, const struct cdc_value *val)
{
    switch ((enum cdc_kind)val->kind) {
    case CDC_NULL: cdc_buf_byte(out, 'n'); break;
    case CDC_ABSENT: cdc_buf_byte(out, '-'); break;
    case CDC_UNCHANGED: cdc_buf_byte(out, '='); break;
    case CDC_INVALID: cdc_buf_byte(out, '!'); break;
    case CDC_INT: cdc_buf_printf(out, "%lld", (long long)val->i); break;
    case CDC_TEXT:
    case CDC_JSON: cdc_buf_printf(out, "%.*s", val->len > 8 ? 8 : (int)val->len, val->p); break;
    default: cdc_buf_byte(out, '?'); break;
    }
}

static inline void rig_image(struct cdc_buf *out, const struct cdc_table *tab,
                             const struct cdc_value *vals)
{
    for (uint16_t i = 0; i < tab->n; i++) {
        cdc_buf_str(out, i ? "," : " ");
        rig_value(out, &vals[i]);
    }
}

/* As transactions are named in `out`: without the uuid. */
static inline const char *rig_id(const char *id)
{
    return strrchr(id, ':') ? strrchr(id, ':') + 1 : id;
}

static inline void rig_change(struct rig *rig, const struct cdc_change *chg)
{
    struct cdc_buf *out = &rig->out;
    if (chg->tx != rig->tx)
        cdc_buf_printf(out, "[%s]\n", rig_id((const char *)chg->tx->id.p));
    rig->tx = chg->tx;
    cdc_buf_printf(out, "%c %s.%s %llu", chg->op, chg->table->schema, chg->table->name,
                   (unsigned long long)chg->ordinal);
    if (chg->before)
        rig_image(out, chg->table, chg->before);
    if (chg->before && chg->after)
        cdc_buf_str(out, " >");
    if (chg->after)
        rig_image(out, chg->table, chg->after);
    cdc_buf_printf(out, "%s%s\n", chg->flags & CDC_KEY_MOVED ? " moved" : "",
                   chg->flags & CDC_TX_LAST ? " last" : "");
}

static inline void rig_show(struct rig *rig)
{
    for (; rig->shown < rig->batch->n; rig->shown++)
        rig_change(rig, &rig->batch->changes[rig->shown]);
}

/* After an event, or a piece of one: what ended? */
static inline void rig_ended(struct rig *rig, bool was_open)
{
    struct mys_source *src = &rig->src;
    unsigned n = 0;
    if (!src->moved || src->tx.open) {
        if (was_open && !src->tx.open)
            cdc_buf_str(&rig->out, "skipped\n");
        return;
    }
    rig_show(rig);
    for (const struct mys_prepared *prep = src->head.prepared; prep; prep = prep->next)
        n++;
    cdc_buf_printf(&rig->out, "end %s%s", rig_id(src->head.last.id), src->due ? " due" : "");
    if (n)
        cdc_buf_printf(&rig->out, " xa%u", n);
    cdc_buf_byte(&rig->out, '\n');
    src->due = src->moved = false;
}

/* A new batch, as at each poll. */
static inline void rig_poll(struct rig *rig)
{
    rig_show(rig);
    cdc_batch_unref(rig->batch);
    rig->batch = cdc_pool_batch(rig->pool);
    rig_must(rig->batch != NULL);
    rig->shown = 0;
    rig->tx = NULL;
    rig->src.tx.handed |= rig->src.tx.rows;
    rig->src.tx.out = NULL;
}

/* ---- events, as stream.c gives them ---- */

static inline int rig_apply(struct rig *rig, struct mys_event *ev, uint64_t pos)
{
    struct mys_source *src = &rig->src;
    bool was_open = src->tx.open;
    if (ev->type == 19)
        rig_describe(rig, *ev);
    int rc = mys_apply(src, rig->batch, ev, pos, &rig->err);
    while (rc == CDC_OK && mys_xa_reading(src)) {
        rc = mys_xa_more(src, rig->batch, cdc_mono_us(), &rig->err);
        if (rc == CDC_FULL)
            rig_poll(rig);
        if (rc > 0)
            rc = CDC_OK;
    }
    if (rc == CDC_OK)
        rig_ended(rig, was_open || ev->kind == MYS_GTID || ev->kind == MYS_QUERY);
    if (rc == CDC_OK && cdc_batch_full(rig->batch))
        rig_poll(rig);
    return rc;
}

static inline int rig_payload(struct rig *rig, struct mys_event *ev, uint64_t pos)
{
    struct mys_source *src = &rig->src;
    struct cdc_slice inner;
    struct mys_event in;
    int rc = mys_decode(&src->fmt, ev, &rig->err);
    if (rc < 0)
        return rc;
    if (!src->payload)
        src->payload = mys_payload_new(src->srv.max_row);
    rig_must(src->payload != NULL);
    mys_payload_start(src->payload, ev->payload.packed, ev->payload.zstd, ev->payload.size);
    src->fmt.inner = true;
    while ((rc = mys_payload_next(src->payload, &inner, &rig->err)) == CDC_OK) {
        rc = mys_decode_head(&src->fmt, inner, &in, &rig->err);
        if (rc == CDC_OK)
            rc = rig_apply(rig, &in, pos);
        if (rc < 0)
            break;
    }
    src->fmt.inner = false;
    return rc == CDC_END ? CDC_OK : rc;
}

/* One event. CDC_FAIL: rig->err. */
static inline int rig_event(struct rig *rig, struct cdc_slice bytes)
{
    struct mys_source *src = &rig->src;
    struct mys_event ev;
    if (mys_decode_head(&src->fmt, bytes, &ev, &rig->err) < 0)
        return CDC_FAIL;
    uint64_t pos = src->pos;
    src->pos += ev.len;
    switch (ev.type) {
    case 15:
        if (mys_decode(&src->fmt, &ev, &rig->err) < 0)
            return CDC_FAIL;
        src->fmt = ev.format;
        return CDC_OK;
    case 40: return rig_payload(rig, &ev, pos);
    case 3:
    case 4:
    case 26:
    case 27:
    case 35:
    case 41:
    case 163: return CDC_OK;
    default: return rig_apply(rig, &ev, pos);
    }
}

#endif
