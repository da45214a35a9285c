/*
 * relation.c - table maps -> cdc_table.
 *
 * A table map comes before the rows of every statement, so nearly all repeat: the same bytes change
 * nothing. The server gives a table a new id whenever it opens it anew, so a map that differs by
 * its id alone, without DDL since, is the old one under that id. Any other builds a table, and what
 * is compared with the version known by its name (checkpoint or this source) decides on a new one.
 *
 * With FULL metadata the map tells nearly all as of its place in the log. What it does not tell is
 * taken from one of two descriptions, the first of which that fits every column wins:
 *   1  the known version. It is of a place before this one; so it comes second once there has been
 *      DDL since the source was opened, and where the capture rule has changed
 *   2  the catalogue, which shows today
 * If neither fits, the catalogue counts column by column where the map has names (coltype.h); for a
 * table that was dropped since, the map alone. Without names such a table is refused: its rows
 * could be given to the wrong columns.
 *
 * A sequence of MariaDB is in the log like a table of eight columns, and is none. A table may have
 * fewer columns than its map (count_shown).
 *
 * Copies describe a table out of the catalogue alone (mys_rel_now), by the same code: the map is
 * then made of the catalogue (infotype.h).
 */
#include "catalogue.h"

#include "cdc/crc32c.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define ID_BYTES 6 /* of a map's body: what may differ in a repeat */

/* One table while it is built. */
struct build {
    const struct mys_source *src;
    const char *schema, *name;
    const struct cdc_rule *rule;
    struct mys_map_columns map;
    struct cdc_arena *arena;
    struct cdc_table *prior; /* the known version, or NULL */
    bool same_rule;          /* it was made under the same capture rule */
    struct mys_shape *shape; /* owned */
};

/* NULL: not captured. */
static const struct cdc_rule *rule_of(const struct mys_source *src, const char *schema,
                                      const char *name)
{
    return mys_is_system(schema) ? NULL : cdc_capture_match(src->srv.cfg->capture, schema, name);
}

static bool is_named(const char *name, const char *by)
{
    return by && strcmp(name, by) == 0;
}

/* ---- known versions ---- */

/* Under another rule it may lack defaults, have another key, or be of before a pause. */
static bool is_of_rule(struct cdc_slice state, const struct cdc_rule *rule)
{
    json_t *json = json_loadb((const char *)state.p, state.len, 0, NULL);
    const char *hash = json_string_value(json_object_get(json, "rule"));
    bool same = hash && strcmp(hash, rule->hash) == 0;
    json_decref(json);
    return same;
}

static int find_known(struct build *b, struct cdc_error *err)
{
    struct mys_source *src = (struct mys_source *)(uintptr_t)b->src; /* for its lock */
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "table/%s.%s", b->schema, b->name);
    const char *text = cdc_buf_cstr(&key);
    pthread_mutex_lock(&src->known_lock);
    struct cdc_slice json = text ? cdc_map_get(&src->known, text) : cdc_slice_of(NULL, 0);
    int rc = CDC_OK;
    if (json.p)
        rc = cdc_table_from_state(b->schema, b->schema, b->name, json, b->rule, &b->prior, err);
    b->same_rule = json.p && is_of_rule(json, b->rule);
    pthread_mutex_unlock(&src->known_lock);
    cdc_buf_done(&key);
    return rc;
}

static int remember(struct mys_source *src, const struct cdc_table *tab, struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(4096), json = CDC_BUF((size_t)16 << 20);
    cdc_buf_printf(&key, "table/%s.%s", tab->schema, tab->name);
    int rc = cdc_table_state(tab, &json);
    pthread_mutex_lock(&src->known_lock);
    if (rc == CDC_OK && !key.failed)
        rc = cdc_map_put(&src->known, cdc_buf_slice(&key), cdc_buf_slice(&json));
    pthread_mutex_unlock(&src->known_lock);
    cdc_buf_done(&key);
    cdc_buf_done(&json);
    return rc == CDC_OK ? CDC_OK : cdc_fail_oom(err);
}

/* The known version in the words of the catalogue. Charsets are not in it: the map has them, but
 * for NO_LOG, where then nothing of text fits. */
static int info_of_prior(const struct build *b, struct mys_info *ret, struct cdc_error *err)
{
    const struct cdc_table *prior = b->prior;
    struct mys_info_column *cols = cdc_arena_zalloc(b->arena, (prior->n + 1u) * sizeof *cols);
    if (!cols)
        return cdc_fail_oom(err);
    for (uint16_t i = 0; i < prior->n; i++)
        cols[i] = (struct mys_info_column){.name = prior->cols[i].name,
                                           .type = prior->cols[i].type,
                                           .dflt = prior->cols[i].dflt,
                                           .key = prior->cols[i].key,
                                           .json = strcmp(prior->cols[i].type, "json") == 0};
    *ret = (struct mys_info){.n = prior->n, .cols = cols};
    return CDC_OK;
}

/* ---- columns ---- */

static int try_info(struct build *b, const struct mys_info *info, bool final, struct cdc_error *err)
{
    struct mys_info said = info ? *info : (struct mys_info){0};
    said.final = final;
    struct mys_shape *shape = NULL;
    int rc = mys_shape_new(&b->map, info ? &said : NULL, b->src->srv.max_row, &shape, err);
    b->shape = shape;
    return rc == CDC_FAIL ? cdc_fail_in(err, b->name) : rc;
}

/* A connection that was idle may be lost: once more on a new one. CDC_END: no such table. */
static int ask_info(struct mys_source *src, const struct build *b, struct mys_info *ret,
                    struct cdc_error *err)
{
    struct cdc_error lost = {.action = CDC_FATAL};
    struct mys_ask ask = {
        .facts = &src->facts, .schema = b->schema, .name = b->name, .arena = b->arena};
    int rc = mys_sql(&src->srv, &lost);
    ask.conn = src->srv.sql;
    if (rc == CDC_OK)
        rc = mys_catalogue_info(&ask, ret, &lost);
    if (rc == CDC_FAIL && lost.action == CDC_RETRY) {
        mys_sql_close(&src->srv);
        rc = mys_sql(&src->srv, &lost);
        ask.conn = src->srv.sql;
        if (rc == CDC_OK)
            rc = mys_catalogue_info(&ask, ret, &lost);
    }
    if (rc == CDC_FAIL && err)
        *err = lost;
    return rc;
}

/* The one that fits: the known version first, unless there was DDL; see above. */
static int find_shape(struct mys_source *src, struct build *b, struct cdc_error *err)
{
    struct mys_info then, now;
    bool first = b->prior && b->same_rule && !src->altered;
    if (b->prior && info_of_prior(b, &then, err) < 0)
        return CDC_FAIL;
    int rc = first ? try_info(b, &then, false, err) : CDC_AGAIN;
    if (rc != CDC_AGAIN)
        return rc;
    int found = ask_info(src, b, &now, err);
    if (found < 0)
        return CDC_FAIL;
    rc = found == CDC_OK ? try_info(b, &now, false, err) : CDC_AGAIN;
    if (rc == CDC_AGAIN && b->prior && !first)
        rc = try_info(b, &then, false, err);
    return rc == CDC_AGAIN ? try_info(b, found == CDC_OK ? &now : NULL, true, err) : rc;
}

static bool is_temporal(enum cdc_kind kind)
{
    return kind == CDC_DATE || kind == CDC_TIME || kind == CDC_TIMESTAMP || kind == CDC_TIMESTAMPTZ;
}

/*
 * `on_invalid: string`: a date or time is text as the database prints it, valid or not. Of all
 * other kinds the envelope makes the text, as of a column that means something to the rule.
 */
static void make_text(const struct build *b, uint32_t i)
{
    struct cdc_column *col = &b->shape->cols[i];
    struct cdc_column_rule said = cdc_rule_column(b->rule, col->name);
    bool hidden = said.act != CDC_COLUMN_KEEP && said.act != CDC_COLUMN_EXCLUDE;
    if (said.on_invalid != CDC_INVALID_STRING || hidden || !is_temporal(col->kind) ||
        is_named(col->name, b->rule->logical_delete) || is_named(col->name, b->rule->updated_at))
        return;
    col->kind = CDC_TEXT;
    b->shape->fields[i].text = true;
}

/* Is a column that is in no primary key left out of images of rows before a change? */
static bool left_out(const struct build *b, uint32_t i)
{
    uint8_t type = b->shape->fields[i].type;
    switch (b->src->facts.image) {
    case MYS_IMAGE_FULL: return false;
    case MYS_IMAGE_MINIMAL: return true;
    case MYS_IMAGE_NOBLOB: break;
    }
    return type == MYS_BLOB || type == MYS_BLOB_COMPRESSED || type == MYS_JSON ||
           type == MYS_GEOMETRY || type == MYS_VECTOR;
}

/* A key that the rule gives must come with deletes and key changes. */
static int check_rule_key(const struct build *b, struct cdc_error *err)
{
    for (size_t k = 0; k < b->rule->n_key; k++)
        for (uint32_t i = 0; i < b->shape->n; i++)
            if (strcmp(b->shape->cols[i].name, b->rule->key[k]) == 0 && !b->shape->cols[i].key &&
                left_out(b, i))
                return cdc_fail(err, CDC_OPERATOR, b->rule->where,
                                "table %.64s.%.64s is to be keyed by \"%.64s\", which is not in "
                                "its primary key, and the server does not log it with every "
                                "change: SET GLOBAL binlog_row_image = FULL, for sessions that "
                                "begin then; or leave the table out by `skip: true`",
                                b->schema, b->name, b->rule->key[k]);
    return CDC_OK;
}

static bool is_sequence(const struct mys_shape *shape)
{
    static const char *const names[] = {"next_not_cached_value", "minimum_value", "maximum_value",
                                        "start_value",           "increment",     "cache_size",
                                        "cycle_option",          "cycle_count"};
    bool all = shape->n == sizeof names / sizeof names[0];
    for (size_t i = 0; all && i < shape->n; i++)
        all = strcmp(shape->cols[i].name, names[i]) == 0;
    return all;
}

/* ---- tables ---- */

/*
 * MariaDB's columns for a UNIQUE index over long values: behind all others, in the log, and nobody
 * can read them. Rows of the log have them behind the table's columns.
 */
static uint32_t count_shown(const struct mys_shape *shape)
{
    static const char hash[] = "DB_ROW_HASH_";
    uint32_t n = shape->n;
    while (n > 1 && strncmp(shape->cols[n - 1].name, hash, sizeof hash - 1) == 0)
        n--;
    return n;
}

/* Out of the shape. */
static int make_table(struct build *b, struct cdc_table **ret, struct cdc_error *err)
{
    if (check_rule_key(b, err) < 0)
        return CDC_FAIL;
    for (uint32_t i = 0; i < b->shape->n; i++)
        make_text(b, i);
    struct cdc_table_spec spec = {
        .catalog = b->schema,
        .schema = b->schema,
        .name = b->name,
        .version = b->prior ? b->prior->version : 1,
        .n = (uint16_t)(b->src->facts.mariadb ? count_shown(b->shape) : b->shape->n),
        .cols = b->shape->cols,
        .rule = b->rule};
    if (cdc_table_new(&spec, ret, err) < 0)
        return CDC_FAIL;
    if (b->prior && !cdc_table_same(b->prior, *ret))
        (*ret)->version++; /* not shared yet */
    return CDC_OK;
}

static void build_done(struct build *b)
{
    cdc_table_unref(b->prior);
    mys_shape_free(b->shape);
    cdc_arena_free(b->arena);
}

/* ---- table maps ---- */

static void rel_free(struct mys_rel *rel)
{
    if (!rel)
        return;
    cdc_table_unref(rel->tab);
    mys_shape_free(rel->shape);
    cdc_arena_free(rel->bare);
    free((void *)(uintptr_t)rel->raw.p);
    free(rel->schema);
    free(rel->name);
    free(rel);
}

const struct mys_rel *mys_rel_find(const struct mys_source *src, uint64_t id)
{
    const struct mys_rel *rel = src->rels[id % MYS_REL_BUCKETS];
    while (rel && rel->id != id)
        rel = rel->next;
    return rel;
}

/* Takes it out of its bucket. */
static struct mys_rel *rel_take(struct mys_source *src, uint64_t id)
{
    struct mys_rel **at = &src->rels[id % MYS_REL_BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct mys_rel *rel = *at;
    if (rel)
        *at = rel->next;
    return rel;
}

static void rel_put(struct mys_source *src, struct mys_rel *rel)
{
    rel->next = src->rels[rel->id % MYS_REL_BUCKETS];
    src->rels[rel->id % MYS_REL_BUCKETS] = rel;
}

void mys_rels_done(struct mys_source *src)
{
    for (size_t i = 0; i < MYS_REL_BUCKETS; i++)
        while (src->rels[i])
            rel_free(rel_take(src, src->rels[i]->id));
}

static uint32_t hash_of(const char *schema, const char *name)
{
    return cdc_crc32c(cdc_crc32c(0, schema, strlen(schema) + 1), name, strlen(name));
}

static struct mys_rel *find_name(const struct mys_source *src, const char *schema, const char *name)
{
    uint32_t hash = hash_of(schema, name);
    for (size_t i = 0; i < MYS_REL_BUCKETS; i++)
        for (struct mys_rel *rel = src->rels[i]; rel; rel = rel->next)
            if (rel->hash == hash && strcmp(rel->schema, schema) == 0 &&
                strcmp(rel->name, name) == 0)
                return rel;
    return NULL;
}

/* DDL since: what is described from now on is described anew. */
static void grow_stale(struct mys_source *src)
{
    for (size_t i = 0; i < MYS_REL_BUCKETS; i++)
        for (struct mys_rel *rel = src->rels[i]; rel; rel = rel->next)
            rel->stale = true;
    src->altered = true;
    src->stale = false;
}

static bool is_repeat(const struct mys_rel *rel, struct cdc_slice raw)
{
    return !rel->stale && rel->raw.len == raw.len && raw.len > ID_BYTES &&
           memcmp(rel->raw.p + ID_BYTES, raw.p + ID_BYTES, raw.len - ID_BYTES) == 0;
}

/* The same table under another id. */
static void move(struct mys_source *src, struct mys_rel *rel, const struct mys_event *ev)
{
    rel_take(src, rel->id);
    rel_free(rel_take(src, ev->map.id));
    memcpy((void *)(uintptr_t)rel->raw.p, ev->body.p, ID_BYTES);
    rel->id = ev->map.id;
    rel_put(src, rel);
}

static int copy_head(const struct mys_source *src, const struct mys_event *ev, struct mys_rel *rel,
                     struct cdc_error *err)
{
    uint8_t *raw = malloc(ev->body.len);
    rel->raw = cdc_slice_of(raw, ev->body.len);
    rel->id = ev->map.id;
    rel->schema = strdup(ev->map.db);
    rel->name = strdup(ev->map.name);
    if (!raw || !rel->schema || !rel->name)
        return cdc_fail_oom(err);
    memcpy(raw, ev->body.p, ev->body.len);
    mys_name_fold(&src->facts, rel->schema);
    mys_name_fold(&src->facts, rel->name);
    rel->hash = hash_of(rel->schema, rel->name);
    return CDC_OK;
}

/* Fields for counting rows alone. */
static int set_bare(const struct mys_source *src, const struct mys_event *ev, struct mys_rel *rel,
                    struct cdc_error *err)
{
    struct mys_map_columns map;
    rel->bare = cdc_arena_new((size_t)16 << 20);
    if (!rel->bare)
        return cdc_fail_oom(err);
    int rc = mys_decode_columns(&src->fmt, ev, rel->bare, &map, err);
    if (rc < 0)
        return CDC_FAIL;
    rel->n = map.n;
    if (rc == CDC_OK)
        rc = mys_fields_bare(&map, rel->bare, &rel->fields, err);
    return rc == CDC_FAIL ? CDC_FAIL : CDC_OK; /* CDC_END: not countable */
}

/* Of a type whose metadata has a length that nobody here knows. */
static int unreadable(const struct build *b, struct cdc_error *err)
{
    uint32_t i = 0;
    while (i + 1 < b->map.n && mys_type_meta(b->map.cols[i].type) >= 0)
        i++;
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "column %u of table %.64s.%.64s has a type (%u) that cannot be read: leave the "
                    "table out by `skip: true`, or change the column",
                    i + 1, b->schema, b->name, b->map.cols[i].type);
}

/* CDC_END: a sequence. */
static int describe(struct mys_source *src, const struct mys_event *ev, struct build *b,
                    struct cdc_table **ret, struct cdc_error *err)
{
    int rc = mys_decode_columns(&src->fmt, ev, b->arena, &b->map, err);
    if (rc == CDC_END)
        return unreadable(b, err);
    if (rc < 0 || find_known(b, err) < 0 || find_shape(src, b, err) != CDC_OK)
        return CDC_FAIL;
    if (src->facts.mariadb && is_sequence(b->shape))
        return CDC_END;
    if (make_table(b, ret, err) < 0)
        return CDC_FAIL;
    if (remember(src, *ret, err) == CDC_OK)
        return CDC_OK;
    cdc_table_unref(*ret);
    return CDC_FAIL;
}

/* Table and shape of one that is captured. CDC_END: it is none. */
static int set_table(struct mys_source *src, const struct mys_event *ev, struct mys_rel *rel,
                     struct cdc_error *err)
{
    struct build b = {.src = src, .schema = rel->schema, .name = rel->name};
    b.rule = rule_of(src, rel->schema, rel->name);
    if (!b.rule)
        return CDC_END;
    struct cdc_table *tab = NULL;
    b.arena = cdc_arena_new((size_t)64 << 20);
    int rc = b.arena ? describe(src, ev, &b, &tab, err) : cdc_fail_oom(err);
    if (rc == CDC_OK) {
        rel->tab = tab;
        rel->shape = b.shape;
        rel->fields = b.shape->fields;
        rel->n = b.shape->n;
        b.shape = NULL;
    }
    build_done(&b);
    return rc;
}

/* The same version as before keeps the same object, and with it the plan made for it. */
static void keep_table(struct mys_rel *rel, const struct mys_rel *old)
{
    if (!old || !old->tab || !rel->tab || old->tab->version != rel->tab->version ||
        !cdc_table_same(old->tab, rel->tab))
        return;
    cdc_table_unref(rel->tab);
    rel->tab = cdc_table_ref(old->tab);
}

static int fill(struct mys_source *src, const struct mys_event *ev, struct mys_rel *rel,
                struct cdc_error *err)
{
    int rc = set_table(src, ev, rel, err);
    return rc == CDC_END ? set_bare(src, ev, rel, err) : rc;
}

/* In the place of what had the name, and of what had the id. */
static void replace(struct mys_source *src, struct mys_rel *rel, const struct mys_rel *old)
{
    keep_table(rel, old);
    if (old)
        rel_free(rel_take(src, old->id));
    rel_free(rel_take(src, rel->id));
    rel_put(src, rel);
}

int mys_rel_set(struct mys_source *src, const struct mys_event *ev, struct cdc_error *err)
{
    const struct mys_rel *same = mys_rel_find(src, ev->map.id);
    if (same && cdc_slice_eq(same->raw, ev->body))
        return CDC_OK;
    if (src->stale)
        grow_stale(src);
    struct mys_rel *rel = calloc(1, sizeof *rel);
    if (!rel)
        return cdc_fail_oom(err);
    int rc = copy_head(src, ev, rel, err);
    struct mys_rel *old = rc == CDC_OK ? find_name(src, rel->schema, rel->name) : NULL;
    if (old && is_repeat(old, ev->body)) {
        move(src, old, ev);
        rel_free(rel);
        return CDC_OK;
    }
    if (rc == CDC_OK)
        rc = fill(src, ev, rel, err);
    if (rc == CDC_OK)
        replace(src, rel, old);
    else
        rel_free(rel);
    return rc;
}

/* ---- by name ---- */

static int known_by_name(struct mys_source *src, const char *schema, const char *name,
                         struct cdc_table **ret, struct cdc_error *err)
{
    const struct mys_rel *rel = find_name(src, schema, name);
    struct build b = {.src = src, .schema = schema, .name = name};
    *ret = NULL;
    if (rel) {
        *ret = rel->tab ? cdc_table_ref(rel->tab) : NULL;
        return CDC_OK;
    }
    b.rule = rule_of(src, schema, name);
    if (b.rule && find_known(&b, err) < 0)
        return CDC_FAIL;
    *ret = b.prior;
    return CDC_OK;
}

int mys_rel_by_name(struct mys_source *src, const char *schema, const char *name,
                    struct cdc_table **ret, struct cdc_error *err)
{
    char *folded = strdup(schema), *folded_name = strdup(name);
    int rc = folded && folded_name ? CDC_OK : cdc_fail_oom(err);
    if (rc == CDC_OK) {
        mys_name_fold(&src->facts, folded);
        mys_name_fold(&src->facts, folded_name);
        rc = known_by_name(src, folded, folded_name, ret, err);
    }
    free(folded);
    free(folded_name);
    return rc;
}

static int now(struct mys_source *src, struct build *b, MYSQL *conn, struct cdc_table **ret,
               struct cdc_error *err)
{
    struct mys_cat_columns cat;
    const struct mys_ask ask = {.conn = conn,
                                .facts = &b->src->facts,
                                .schema = b->schema,
                                .name = b->name,
                                .arena = b->arena};
    int rc = mys_catalogue_columns(&ask, &cat, err);
    if (rc != CDC_OK)
        return rc;
    if (cat.kind != MYS_CAT_BASE)
        return CDC_END;
    b->map = cat.map;
    if (find_known(b, err) < 0 || try_info(b, &cat.info, true, err) != CDC_OK)
        return CDC_FAIL;
    if (make_table(b, ret, err) < 0)
        return CDC_FAIL;
    /* Copied before the log had a row of it: a TRUNCATE or DROP must find it all the same. */
    if (b->prior || remember(src, *ret, err) == CDC_OK)
        return CDC_OK;
    cdc_table_unref(*ret);
    return CDC_FAIL;
}

int mys_rel_describe(struct mys_source *src, MYSQL *conn, const struct mys_which *which,
                     struct mys_described *ret, struct cdc_error *err)
{
    struct build b = {.src = src, .arena = cdc_arena_new((size_t)64 << 20)};
    char *schema = b.arena ? cdc_arena_strdup(b.arena, which->schema) : NULL;
    char *name = b.arena ? cdc_arena_strdup(b.arena, which->name) : NULL;
    int rc = schema && name ? CDC_END : cdc_fail_oom(err);
    if (rc == CDC_END) {
        mys_name_fold(&src->facts, schema);
        mys_name_fold(&src->facts, name);
        b.schema = schema;
        b.name = name;
        b.rule = rule_of(src, schema, name);
        rc = b.rule ? now(src, &b, conn, &ret->tab, err) : CDC_END;
    }
    if (rc == CDC_OK) {
        ret->shape = b.shape;
        b.shape = NULL;
    }
    build_done(&b);
    return rc;
}

int mys_rel_now(struct mys_source *src, MYSQL *conn, const struct mys_which *which,
                struct cdc_table **ret, struct cdc_error *err)
{
    struct mys_described all = {.tab = NULL};
    int rc = mys_rel_describe(src, conn, which, &all, err);
    mys_shape_free(all.shape);
    if (rc == CDC_OK)
        *ret = all.tab;
    return rc;
}
