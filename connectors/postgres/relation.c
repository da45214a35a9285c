/*
 * relation.c - relation messages -> cdc_table.
 *
 * The server sends a relation message before a table's first change in a session and after every
 * invalidation, so most of them repeat: an identical message changes nothing. From another one a
 * table is built and compared with the version known by its name (checkpoint or this session); only
 * a difference makes a new version.
 *
 * pgoutput tells names, types, typmods and the identity. Nullability, defaults, and with identity
 * full the primary key, are not in the log: they are joined by name and type with the known
 * version, or for a table never seen with the catalogue, which shows the present and not the place
 * in the log. In doubt a column is nullable and without default.
 *
 * A domain is read as its base type. The type message of a domain names the base type but has lost
 * its parameters, so the catalogue is asked, and the message serves only when the domain is gone.
 */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

/* What the catalogue says of one column today. */
struct fact {
    const char *name, *dflt;
    uint32_t type;
    int32_t typmod;
    bool nullable, primary;
};

struct facts {
    PGresult *res; /* holds the strings */
    struct fact *items;
    size_t n;
};

/* One relation while its table is built. */
struct build {
    struct pgs_source *src;
    const struct pgs_msg *msg;
    const char *schema;
    const struct cdc_rule *rule;
    struct cdc_arena *arena;
    struct cdc_column *cols;
    struct cdc_table *prior; /* the known version, or NULL */
    struct facts facts;
};

struct pgs_rel *pgs_rel_find(struct pgs_source *src, uint32_t oid)
{
    struct pgs_rel *rel = src->rels[oid % PGS_REL_BUCKETS];
    while (rel && rel->oid != oid)
        rel = rel->next;
    return rel;
}

static void rel_free(struct pgs_rel *rel)
{
    if (!rel)
        return;
    cdc_table_unref(rel->tab);
    free((void *)(uintptr_t)rel->raw.p);
    free(rel->flagged);
    free(rel->parse);
    free(rel);
}

static void rel_remove(struct pgs_source *src, uint32_t oid)
{
    struct pgs_rel **at = &src->rels[oid % PGS_REL_BUCKETS];
    while (*at && (*at)->oid != oid)
        at = &(*at)->next;
    struct pgs_rel *rel = *at;
    if (rel)
        *at = rel->next;
    rel_free(rel);
}

void pgs_rels_done(struct pgs_source *src)
{
    for (size_t i = 0; i < PGS_REL_BUCKETS; i++)
        while (src->rels[i])
            rel_remove(src, src->rels[i]->oid);
    pgs_typenames_done(src);
}

static int ask_facts(struct build *bld, struct cdc_error *err)
{
    char oid[16];
    const char *args[] = {oid, NULL};
    snprintf(oid, sizeof oid, "%u", bld->msg->relation.oid);
    if (pgs_query(
            &bld->src->srv,
            "SELECT a.attname, a.atttypid, a.atttypmod, NOT a.attnotnull, CASE a.attgenerated "
            "WHEN '' THEN pg_get_expr(d.adbin, d.adrelid) END, coalesce(a.attnum = ANY "
            "(i.indkey::int2[]), false) FROM pg_attribute a LEFT JOIN pg_attrdef d ON "
            "d.adrelid = a.attrelid AND d.adnum = a.attnum LEFT JOIN pg_index i ON "
            "i.indrelid = a.attrelid AND i.indisprimary "
            "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped",
            args, &bld->facts.res, err) < 0)
        return CDC_FAIL;
    int n = PQntuples(bld->facts.res);
    bld->facts.items = cdc_arena_zalloc(bld->arena, ((size_t)n + 1) * sizeof *bld->facts.items);
    if (!bld->facts.items)
        return cdc_fail_oom(err);
    for (int i = 0; i < n; i++)
        bld->facts.items[bld->facts.n++] = (struct fact){
            .name = PQgetvalue(bld->facts.res, i, 0),
            .type = (uint32_t)strtoul(PQgetvalue(bld->facts.res, i, 1), NULL, 10),
            .typmod = (int32_t)strtol(PQgetvalue(bld->facts.res, i, 2), NULL, 10),
            .nullable = PQgetvalue(bld->facts.res, i, 3)[0] == 't',
            .dflt = PQgetisnull(bld->facts.res, i, 4) ? NULL : PQgetvalue(bld->facts.res, i, 4),
            .primary = PQgetvalue(bld->facts.res, i, 5)[0] == 't'};
    return CDC_OK;
}

static const struct fact *find_fact(const struct build *bld, const struct cdc_column *col)
{
    for (size_t i = 0; i < bld->facts.n; i++) {
        const struct fact *fact = &bld->facts.items[i];
        if (fact->type == col->type_id && fact->typmod == col->type_mod &&
            strcmp(fact->name, col->name) == 0)
            return fact;
    }
    return NULL;
}

static const struct cdc_column *find_prior(const struct build *bld, const struct cdc_column *col)
{
    int at = bld->prior ? cdc_table_column(bld->prior, col->name) : -1;
    if (at < 0 || strcmp(bld->prior->cols[at].type, col->type) != 0)
        return NULL;
    return &bld->prior->cols[at];
}

/* Nullability and default, which the log does not tell. */
static void join_column(const struct build *bld, struct cdc_column *col)
{
    const struct cdc_column *prior = find_prior(bld, col);
    const struct fact *fact = bld->prior ? NULL : find_fact(bld, col);
    col->nullable = prior ? prior->nullable : fact ? fact->nullable : true;
    col->dflt = prior ? prior->dflt : fact ? fact->dflt : NULL;
}

/* Identity full: the catalogue's primary key if the stream has all of it, else the known version's.
 */
static void join_key(struct build *bld)
{
    uint16_t n = bld->msg->relation.n, want = 0, have = 0;
    for (size_t i = 0; i < bld->facts.n; i++)
        want += bld->facts.items[i].primary;
    for (uint16_t i = 0; i < n; i++) {
        const struct fact *fact = find_fact(bld, &bld->cols[i]);
        bld->cols[i].key = fact && fact->primary ? ++have : 0;
    }
    if (want > 0 && have == want)
        return;
    have = 0;
    for (uint16_t i = 0; i < n; i++) {
        const struct cdc_column *prior = find_prior(bld, &bld->cols[i]);
        bld->cols[i].key = prior ? prior->key : 0;
        have += bld->cols[i].key != 0;
    }
    if (!bld->prior || have != bld->prior->n_key)
        for (uint16_t i = 0; i < n; i++)
            bld->cols[i].key = 0;
}

static bool is_named(const char *name, const char *by)
{
    return by && strcmp(name, by) == 0;
}

static bool can_be_invalid(enum cdc_kind kind)
{
    return kind == CDC_DECIMAL || kind == CDC_DATE || kind == CDC_TIME || kind == CDC_TIMESTAMP ||
           kind == CDC_TIMESTAMPTZ || kind == CDC_ARRAY;
}

/*
 * `on_invalid: string`: the column is text as the database prints it, valid or not. Said of a whole
 * rule it holds for the kinds that have invalid values. A column that means something to the rule
 * keeps its kind, and the envelope makes its text.
 */
static void make_text(const struct build *bld, struct cdc_column *col)
{
    const struct cdc_rule *rule = bld->rule;
    struct cdc_column_rule said = cdc_rule_column(rule, col->name);
    bool hidden = said.act != CDC_COLUMN_KEEP && said.act != CDC_COLUMN_EXCLUDE;
    if (said.on_invalid != CDC_INVALID_STRING || hidden ||
        is_named(col->name, rule->logical_delete) || is_named(col->name, rule->updated_at) ||
        (rule->on_invalid == CDC_INVALID_STRING && !can_be_invalid(col->kind)))
        return;
    col->kind = CDC_TEXT;
    col->item = CDC_NULL;
    col->bits = col->precision = 0;
    col->scale = 0;
}

static int set_columns(struct build *bld, struct cdc_error *err)
{
    uint16_t n = bld->msg->relation.n, key = 0;
    uint8_t identity = bld->msg->relation.identity;
    bld->cols = cdc_arena_zalloc(bld->arena, (n + 1u) * sizeof *bld->cols);
    if (!bld->cols)
        return cdc_fail_oom(err);
    if ((!bld->prior || identity == 'f') && ask_facts(bld, err) < 0)
        return CDC_FAIL;
    struct pgs_typing typing = {.src = bld->src, .arena = bld->arena, .prior = bld->prior};
    for (uint16_t i = 0; i < n; i++) {
        const struct pgs_row_column *from = &bld->msg->relation.cols[i];
        struct cdc_column *col = &bld->cols[i];
        col->name = from->name;
        if (pgs_type_of(&typing, from, col, err) < 0)
            return CDC_FAIL;
        make_text(bld, col);
        join_column(bld, col);
        if (identity == 'd' || identity == 'i')
            col->key = from->flags & 1 ? ++key : 0;
    }
    if (identity == 'f')
        join_key(bld);
    return CDC_OK;
}

/* A key that the rule gives must come with deletes and key changes. */
static int check_rule_key(const struct build *bld, struct cdc_error *err)
{
    const struct pgs_msg *msg = bld->msg;
    for (size_t k = 0; msg->relation.identity != 'f' && k < bld->rule->n_key; k++)
        for (uint16_t i = 0; i < msg->relation.n; i++)
            if (strcmp(msg->relation.cols[i].name, bld->rule->key[k]) == 0 &&
                !(msg->relation.cols[i].flags & 1))
                return cdc_fail(
                    err, CDC_OPERATOR, bld->rule->where,
                    "table %s.%s is to be keyed by \"%s\", which is not in its replica "
                    "identity: ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL; and start "
                    "again from an empty sink, or leave the table out by `skip: true`",
                    bld->schema, msg->relation.name, bld->rule->key[k], bld->schema,
                    msg->relation.name);
    return CDC_OK;
}

static int find_known(struct build *bld, struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "table/%s.%s", bld->schema, bld->msg->relation.name);
    const char *text = cdc_buf_cstr(&key);
    pthread_mutex_lock(&bld->src->known_lock);
    struct cdc_slice json = text ? cdc_map_get(&bld->src->known, text) : cdc_slice_of(NULL, 0);
    int rc = CDC_OK;
    if (json.p)
        rc = cdc_table_from_state(bld->src->srv.database, bld->schema, bld->msg->relation.name,
                                  json, bld->rule, &bld->prior, err);
    pthread_mutex_unlock(&bld->src->known_lock);
    cdc_buf_done(&key);
    return rc;
}

static int remember(struct build *bld, const struct cdc_table *tab, struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(4096), json = CDC_BUF((size_t)16 << 20);
    cdc_buf_printf(&key, "table/%s.%s", tab->schema, tab->name);
    int rc = cdc_table_state(tab, &json);
    pthread_mutex_lock(&bld->src->known_lock);
    if (rc == CDC_OK && !key.failed)
        rc = cdc_map_put(&bld->src->known, cdc_buf_slice(&key), cdc_buf_slice(&json));
    pthread_mutex_unlock(&bld->src->known_lock);
    cdc_buf_done(&key);
    cdc_buf_done(&json);
    return rc == CDC_OK ? CDC_OK : cdc_fail_oom(err);
}

static int make_table(struct build *bld, struct cdc_table **ret, struct cdc_error *err)
{
    if (check_rule_key(bld, err) < 0 || find_known(bld, err) < 0 || set_columns(bld, err) < 0)
        return CDC_FAIL;
    struct cdc_table_spec spec = {.catalog = bld->src->srv.database,
                                  .schema = bld->schema,
                                  .name = bld->msg->relation.name,
                                  .id = bld->msg->relation.oid,
                                  .version = bld->prior ? bld->prior->version : 1,
                                  .n = bld->msg->relation.n,
                                  .cols = bld->cols,
                                  .rule = bld->rule};
    if (cdc_table_new(&spec, ret, err) < 0)
        return CDC_FAIL;
    if (bld->prior && !cdc_table_same(bld->prior, *ret))
        (*ret)->version++; /* not shared yet */
    if (remember(bld, *ret, err) == CDC_OK)
        return CDC_OK;
    cdc_table_unref(*ret);
    return CDC_FAIL;
}

static int build_table(struct pgs_source *src, const struct pgs_msg *msg, struct pgs_rel *rel,
                       struct cdc_error *err)
{
    struct build bld = {.src = src,
                        .msg = msg,
                        .schema = *msg->relation.schema ? msg->relation.schema : "pg_catalog"};
    bld.rule = cdc_capture_match(src->srv.cfg->capture, bld.schema, msg->relation.name);
    if (!bld.rule)
        return CDC_OK;
    bld.arena = cdc_arena_new((size_t)64 << 20);
    struct cdc_table *tab = NULL;
    int rc = bld.arena ? make_table(&bld, &tab, err) : cdc_fail_oom(err);
    PQclear(bld.facts.res);
    cdc_table_unref(bld.prior);
    cdc_arena_free(bld.arena);
    if (rc == CDC_OK)
        rel->tab = tab;
    return rc;
}

/* The same version as before keeps the same object, and with it the plan made for it. */
static void keep_table(struct pgs_rel *rel, const struct pgs_rel *old)
{
    if (!old || !old->tab || !rel->tab || old->tab->version != rel->tab->version ||
        !cdc_table_same(old->tab, rel->tab))
        return;
    cdc_table_unref(rel->tab);
    rel->tab = cdc_table_ref(old->tab);
}

static int fill(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_slice raw,
                struct pgs_rel *rel, struct cdc_error *err)
{
    uint16_t n = msg->relation.n;
    uint8_t *copy = malloc(raw.len);
    rel->oid = msg->relation.oid;
    rel->identity = msg->relation.identity;
    rel->n = n;
    rel->raw = cdc_slice_of(copy, raw.len);
    rel->flagged = calloc(n + 1u, 1);
    rel->parse = calloc(n + 1u, sizeof *rel->parse);
    if (!copy || !rel->flagged || !rel->parse)
        return cdc_fail_oom(err);
    memcpy(copy, raw.p, raw.len);
    if (build_table(src, msg, rel, err) < 0)
        return CDC_FAIL;
    keep_table(rel, pgs_rel_find(src, rel->oid));
    for (uint16_t i = 0; i < n; i++) {
        rel->flagged[i] = msg->relation.cols[i].flags & 1;
        rel->parse[i] = rel->tab ? pgs_parser(&rel->tab->cols[i]) : NULL;
    }
    return CDC_OK;
}

int pgs_rel_set(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_slice raw,
                struct cdc_error *err)
{
    const struct pgs_rel *old = pgs_rel_find(src, msg->relation.oid);
    if (old && cdc_slice_eq(old->raw, raw))
        return CDC_OK;
    struct pgs_rel *rel = calloc(1, sizeof *rel);
    if (!rel)
        return cdc_fail_oom(err);
    if (fill(src, msg, raw, rel, err) < 0) {
        rel_free(rel);
        return CDC_FAIL;
    }
    rel_remove(src, rel->oid);
    rel->next = src->rels[rel->oid % PGS_REL_BUCKETS];
    src->rels[rel->oid % PGS_REL_BUCKETS] = rel;
    return CDC_OK;
}
