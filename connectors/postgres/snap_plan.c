/*
 * snap_plan.c - where to cut a table into ranges, and how large it is.
 *
 * By key: the key is that of the index by which the stream tells rows apart (the primary key, or
 * the index of REPLICA IDENTITY USING INDEX), in that index's own order and collation. A bound is
 * found by walking the index: the n-th key behind the range's beginning, n by the estimated width
 * of a row. It need not stay in the table, and it is found in the present, outside of any look: it
 * only has to be a value of the key. An index with a column in descending order cuts nothing.
 *
 * By block: only under START, because the same row lies elsewhere in another snapshot. Leaves of a
 * partitioned table follow one another by oid. They are cheaper for the server (of narrow rows by a
 * third, of rows of 250 bytes by a tenth of its time), but a restart reads such a table anew;
 * ranges of keys survive it. So under START a table is cut by key where reading it anew would hurt
 * (1 GiB, or 4 million rows) and its key follows the heap.
 *
 * Of a partial copy (the rule's `where`, or a row filter of the publication) sizes are the server's
 * own estimate of the rows that the condition leaves: that of a plan which is made and not run.
 * Where an index alone can tell which rows they are, it is walked for them, and a range has as many
 * as of a whole copy. Else that walk would read the whole table once more: ranges are so much
 * longer as rows are fewer, but not over eight times, for the wanted ones may lie close together,
 * and what a range passes over is read too.
 */
#include "snap.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGE       ((uint64_t)1 << 30)
#define MANY        ((uint64_t)4000000)
#define FOLLOWS     0.5
#define ROWS_LEAST  1000
#define WIDTH_LEAST 32
#define WIDTH_GUESS 100                  /* of a table that is small and was never analyzed */
#define SMALL       ((uint64_t)64 << 10) /* it is not worth a look at its rows */
#define LEAVES_MOST 64                   /* in one range */
#define STRETCH     8                    /* a range of few wanted rows is so much larger at most */

/* ---- questions ---- */

enum key_col { K_EXPR, K_TYPE, K_ASCENDING, K_LT, K_EQ, K_GE, K_GT };

#define OPERATOR_OF(strategy)                                                                      \
    " (SELECT format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM pg_opclass q JOIN pg_amop m"    \
    "  ON m.amopfamily = q.opcfamily AND m.amoplefttype = q.opcintype AND m.amoprighttype ="       \
    "  q.opcintype AND m.amoppurpose = 's' AND m.amopstrategy = " strategy                         \
    "  JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace"      \
    "  WHERE q.oid = k.class)"

static const char key_sql[] =
    "WITH RECURSIVE k AS (SELECT g.n, a.attname, a.attcollation, a.atttypid,"
    "  i.indclass[g.n] AS class, i.indcollation[g.n] AS coll, i.indoption[g.n] AS option"
    "  FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid AND CASE"
    "   c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END"
    "  CROSS JOIN LATERAL (SELECT u.key, u.n::int - 1 AS n FROM unnest(i.indkey::int2[]) WITH"
    "   ORDINALITY u(key, n) WHERE u.n <= i.indnkeyatts) g"
    "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = g.key"
    "  WHERE c.oid = $1::oid),"
    " b AS (SELECT k.n, t.oid, t.typtype, t.typbasetype FROM k JOIN pg_type t ON t.oid = k.atttypid"
    "  UNION ALL SELECT b.n, t.oid, t.typtype, t.typbasetype FROM b JOIN pg_type t"
    "   ON t.oid = b.typbasetype WHERE b.typtype = 'd') "
    "SELECT quote_ident(k.attname) || CASE WHEN k.coll NOT IN (0, k.attcollation) THEN"
    "  (SELECT format(' COLLATE %I.%I', s.nspname, l.collname) FROM pg_collation l"
    "   JOIN pg_namespace s ON s.oid = l.collnamespace WHERE l.oid = k.coll) ELSE '' END,"
    " format_type(b.oid, -1), k.option & 1 = 0," OPERATOR_OF("1") "," OPERATOR_OF(
        "3") "," OPERATOR_OF("4") "," OPERATOR_OF("5") " FROM k JOIN b ON b.n = k.n AND b.typtype "
                                                       "<> 'd' ORDER BY k.n";

/* By an array, so that the planner goes by the index and does not read all of pg_class. */
#define LEAVES                                                                                     \
    "(SELECT c.* FROM pg_class c WHERE c.relkind = 'r' AND c.oid = ANY (ARRAY(SELECT $1::oid"      \
    " UNION SELECT relid::oid FROM pg_partition_tree($1::oid))))"
#define BLOCKS "pg_relation_size(l.oid) / current_setting('block_size')::int"

enum size_col { S_ROWS, S_BYTES, S_BLOCKS, S_READABLE };

static const char size_sql[] =
    "SELECT coalesce(CASE WHEN bool_and(l.reltuples >= 0 AND (l.relpages > 0 OR " BLOCKS " = 0))"
    "  THEN sum(CASE WHEN l.relpages > 0 THEN l.reltuples / l.relpages * (" BLOCKS ") ELSE 0 END)"
    "  END, -1)::bigint, coalesce(sum(pg_table_size(l.oid)), 0)::bigint,"
    " coalesce(sum(" BLOCKS "), 0)::bigint,"
    " coalesce(bool_and(has_table_privilege(l.oid, 'SELECT') AND NOT l.relrowsecurity), false) "
    "FROM " LEAVES " l";

/* What a question fails with when the table was altered, locked or dropped since it was described:
 * no such table, column, type, operator; a bound that is no value of the key's type any more. */
static bool altered(const char *state)
{
    static const char *const states[] = {"42P01", "42703", "42704", "42883", "42804",
                                         "55P03", "22P02", "22003", "22007", "22008"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

static struct pgs_session sql_session(struct pgs_snap *snap)
{
    struct pgs_session ses = pgs_session_of(&snap->src);
    ses.stop = snap->base.stop;
    return ses;
}

static int answered(const struct pgs_session *ses, int rc, struct cdc_error *err)
{
    if (rc != CDC_OK) /* stopped: else a ROLLBACK would wait for the answer */
        pgs_session_cancel(ses->conn);
    if (rc == CDC_OK || !altered(ses->state))
        return rc == CDC_OK ? CDC_OK : CDC_FAIL;
    (void)cdc_fail(err, CDC_RETRY, "postgres",
                   "a table was altered, locked or dropped while it was looked at (SQLSTATE %s); "
                   "it is looked at again",
                   ses->state);
    return CDC_AGAIN;
}

/* A question outside of the look; a stop ends it. CDC_AGAIN: the table is not what it was. */
static int ask(struct pgs_snap *snap, const char *sql, const char *const *args, PGresult **ret,
               struct cdc_error *err)
{
    if (pgs_sql(&snap->src.srv, err) < 0)
        return CDC_FAIL;
    struct pgs_session ses = sql_session(snap);
    return answered(&ses, pgs_session_run(&ses, sql, args, ret, err), err);
}

/* The same, about a table by its oid, for one of those that are prepared. */
static int ask_of(struct pgs_snap *snap, const struct pgs_snap_table *item,
                  enum pgs_question question, PGresult **ret, struct cdc_error *err)
{
    char oid[16];
    const char *args[] = {oid, NULL};
    snprintf(oid, sizeof oid, "%u", item->seen.rel->oid);
    if (pgs_sql(&snap->src.srv, err) < 0)
        return CDC_FAIL;
    struct pgs_session ses = sql_session(snap);
    const char *sql = question == PGS_ASK_KEY ? key_sql : size_sql;
    return answered(&ses, pgs_session_ask(&ses, question, sql, args, ret, err), err);
}

/* ---- the key ---- */

static bool usable(const PGresult *res)
{
    int n = PQntuples(res);
    for (int i = 0; i < n; i++) {
        if (PQgetvalue(res, i, K_ASCENDING)[0] != 't')
            return false;
        for (int k = K_LT; k <= K_GT; k++)
            if (PQgetisnull(res, i, k))
                return false;
    }
    return n > 0;
}

static bool plain(const PGresult *res)
{
    for (int i = 0; i < PQntuples(res); i++)
        if (strcmp(PQgetvalue(res, i, K_LT), "OPERATOR(pg_catalog.<)") != 0 ||
            strcmp(PQgetvalue(res, i, K_GE), "OPERATOR(pg_catalog.>=)") != 0)
            return false;
    return true;
}

int pgs_snap_key(struct pgs_snap *snap, struct pgs_snap_table *item, struct cdc_error *err)
{
    struct pgs_key *key = &item->key;
    if (item->keyed)
        return CDC_OK;
    PQclear(key->res);
    free(key->cols);
    *key = (struct pgs_key){.n = 0};
    int rc = ask_of(snap, item, PGS_ASK_KEY, &key->res, err);
    if (rc != CDC_OK)
        return rc;
    item->keyed = !usable(key->res);
    if (item->keyed)
        return CDC_OK;
    uint16_t n = (uint16_t)PQntuples(key->res);
    key->cols = calloc(n, sizeof *key->cols);
    if (!key->cols)
        return cdc_fail_oom(err);
    for (uint16_t i = 0; i < n; i++)
        key->cols[i] = (struct pgs_key_column){.expr = PQgetvalue(key->res, i, K_EXPR),
                                               .type = PQgetvalue(key->res, i, K_TYPE),
                                               .lt = PQgetvalue(key->res, i, K_LT),
                                               .eq = PQgetvalue(key->res, i, K_EQ),
                                               .ge = PQgetvalue(key->res, i, K_GE),
                                               .gt = PQgetvalue(key->res, i, K_GT)};
    key->plain = plain(key->res);
    key->n = n;
    item->keyed = true;
    return CDC_OK;
}

/* ---- the condition ---- */

static bool is_partial(const struct pgs_snap_table *item)
{
    return item->seen.filter || item->tab->rule->copy_where;
}

static void put_condition(const struct pgs_snap_table *item, struct cdc_buf *sql)
{
    const char *where = item->tab->rule->copy_where;
    cdc_buf_printf(sql, " WHERE (%s)", item->seen.filter ? item->seen.filter : "true");
    if (where) /* a comment at its end ends with the line */
        cdc_buf_printf(sql, " AND (%s\n)", where);
}

static void put_from(const struct pgs_snap_table *item, struct cdc_buf *sql)
{
    cdc_buf_str(sql, item->seen.partitioned ? " FROM " : " FROM ONLY ");
    pgs_table_put(sql, item->schema, item->name);
}

/*
 * The plan of a statement, as JSON. CDC_END: it cannot be had, by a condition that is wrong, say:
 * that is for the copy itself to tell.
 */
static int explain(struct pgs_snap *snap, const struct cdc_buf *statement, PGresult **ret,
                   struct cdc_error *err)
{
    static const char *const none[] = {NULL}; /* by the protocol that takes one statement alone */
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    struct cdc_error own = {.message = ""};
    cdc_buf_str(&sql, "EXPLAIN (FORMAT JSON) ");
    cdc_buf_put(&sql, statement->p, statement->len);
    const char *text = statement->failed ? NULL : cdc_buf_cstr(&sql);
    int rc = text ? ask(snap, text, none, ret, &own) : cdc_fail_oom(&own);
    cdc_buf_done(&sql);
    bool stopped = snap->base.stop && atomic_load(snap->base.stop);
    if (rc == CDC_OK || (text && !stopped && PQstatus(snap->src.srv.sql) == CONNECTION_OK))
        return rc == CDC_OK ? CDC_OK : CDC_END;
    return cdc_fail(err, own.action, own.where, "%s", own.message);
}

static int estimate(struct pgs_snap *snap, struct pgs_snap_table *item, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    PGS_CLEAR PGresult *res = NULL;
    cdc_buf_str(&sql, "SELECT 1");
    put_from(item, &sql);
    put_condition(item, &sql);
    int rc = explain(snap, &sql, &res, err);
    cdc_buf_done(&sql);
    if (rc != CDC_OK)
        return rc;
    json_t *plan = json_loads(PQgetvalue(res, 0, 0), 0, NULL);
    const json_t *top = json_object_get(json_array_get(plan, 0), "Plan");
    double rows = json_number_value(json_object_get(top, "Plan Rows"));
    if (rows >= 1 && rows < (double)item->rows)
        item->wanted = (uint64_t)rows;
    json_decref(plan);
    return CDC_OK;
}

/* ---- sizes ---- */

/* How the key's first column follows the heap. */
static const char follows_sql[] =
    "SELECT abs(s.correlation) FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND CASE"
    "  c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
    " JOIN pg_stats s ON s.schemaname = $2 AND s.tablename = $3 AND s.attname = a.attname AND NOT"
    "  s.inherited WHERE c.oid = $1::oid";

/* Never analyzed: a look at the first rows. */
static int sample_width(struct pgs_snap *snap, const struct pgs_snap_table *item, uint64_t *ret,
                        struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(4096);
    PGS_CLEAR PGresult *res = NULL;
    cdc_buf_str(&sql, "SELECT coalesce(avg(pg_column_size(t.*)), 0)::bigint FROM (SELECT * FROM ");
    pgs_table_put(&sql, item->schema, item->name);
    cdc_buf_str(&sql, " LIMIT 1000) t");
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? ask(snap, text, NULL, &res, err) : cdc_fail_oom(err);
    if (rc == CDC_OK)
        *ret = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
    cdc_buf_done(&sql);
    return rc;
}

/* Walk an index and never sort: in a transaction of its own, because the settings are only for it.
 */
static int begin_walk(struct pgs_server *srv, struct cdc_error *err)
{
    return pgs_execute(srv,
                       "BEGIN READ ONLY; SET LOCAL statement_timeout = '10min'; SET LOCAL "
                       "lock_timeout = '2s'; SET LOCAL enable_sort = off; SET LOCAL enable_seqscan "
                       "= off; SET LOCAL enable_bitmapscan = off; SET LOCAL "
                       "max_parallel_workers_per_gather = 0; SET LOCAL jit = off",
                       err);
}

static void end_walk(struct pgs_server *srv, int rc, struct cdc_error *err)
{
    if (pgs_execute(srv, "ROLLBACK", rc < 0 ? NULL : err) < 0)
        pgs_sql_close(srv);
}

static void put_bound_query(const struct pgs_snap_table *item, const struct cdc_range *rest,
                            uint64_t rows, struct cdc_buf *sql)
{
    const struct pgs_key *key = &item->key;
    for (uint16_t i = 0; i < key->n; i++)
        cdc_buf_printf(sql, "%sformat('%%s', %s)", i ? ", " : "SELECT ", key->cols[i].expr);
    put_from(item, sql);
    if (item->walkable)
        put_condition(item, sql);
    else
        cdc_buf_str(sql, " WHERE true");
    if (rest->from.p) {
        cdc_buf_str(sql, " AND ");
        sql->failed |= pgs_bound_sql(key, rest->from, false, sql) != CDC_OK;
    }
    if (rest->to.p) {
        cdc_buf_str(sql, " AND ");
        sql->failed |= pgs_bound_sql(key, rest->to, true, sql) != CDC_OK;
    }
    for (uint16_t i = 0; i < key->n; i++)
        cdc_buf_printf(sql, "%s%s USING %s", i ? ", " : " ORDER BY ", key->cols[i].expr,
                       key->cols[i].lt);
    cdc_buf_printf(sql, " OFFSET %llu LIMIT 1", (unsigned long long)rows);
}

/* Is the walk for the wanted rows one along indexes alone? A plan's own texts quote no quotes. */
static int look_walk(struct pgs_snap *snap, struct pgs_snap_table *item, struct cdc_error *err)
{
    static const char *const others[] = {
        "\"Node Type\": \"Seq Scan\"", "\"Node Type\": \"Index Scan\"",
        "\"Node Type\": \"Bitmap Heap Scan\"", "\"Node Type\": \"Sort\"",
        "\"Node Type\": \"Incremental Sort\""};
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    const struct cdc_range all = {.from = {.p = NULL}};
    PGS_CLEAR PGresult *res = NULL;
    item->walkable = true;
    put_bound_query(item, &all, ROWS_LEAST, &sql);
    int rc = begin_walk(&snap->src.srv, err);
    if (rc == CDC_OK) {
        rc = explain(snap, &sql, &res, err);
        end_walk(&snap->src.srv, rc, err);
    }
    item->walkable = rc == CDC_OK;
    for (size_t i = 0; item->walkable && i < sizeof others / sizeof others[0]; i++)
        item->walkable = !strstr(PQgetvalue(res, 0, 0), others[i]);
    cdc_buf_done(&sql);
    return rc;
}

/* So many rows, or bytes, hold as much of what is wanted as `n` of a whole copy. */
static uint64_t stretched(const struct pgs_snap_table *item, uint64_t n)
{
    uint64_t times = item->wanted ? item->rows / item->wanted : 1;
    if (item->walkable || times < 1)
        times = 1;
    return n * (times < STRETCH ? times : STRETCH);
}

static bool is_large(const struct pgs_snap_table *item)
{
    return item->bytes >= LARGE || item->rows >= MANY;
}

/* Only of a table where it matters: pg_stats is slow where there are many tables. */
static int look_correlation(struct pgs_snap *snap, struct pgs_snap_table *item,
                            struct cdc_error *err)
{
    char oid[16];
    const char *args[] = {oid, item->schema, item->name, NULL};
    PGS_CLEAR PGresult *res = NULL;
    item->correlation = 0;
    if (!is_large(item) || item->key.n == 0 || item->seen.partitioned)
        return CDC_OK;
    snprintf(oid, sizeof oid, "%u", item->seen.rel->oid);
    int rc = ask(snap, follows_sql, args, &res, err);
    if (rc == CDC_OK && PQntuples(res) > 0)
        item->correlation = strtod(PQgetvalue(res, 0, 0), NULL);
    return rc;
}

/* As the server has counted, or guesses. */
static int look_rows(struct pgs_snap *snap, struct pgs_snap_table *item, struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    int rc = ask_of(snap, item, PGS_ASK_SIZE, &res, err);
    if (rc != CDC_OK)
        return rc;
    int64_t rows = strtoll(PQgetvalue(res, 0, S_ROWS), NULL, 10);
    item->bytes = strtoull(PQgetvalue(res, 0, S_BYTES), NULL, 10);
    item->blocks = (uint32_t)strtoul(PQgetvalue(res, 0, S_BLOCKS), NULL, 10);
    item->leaves_readable = PQgetvalue(res, 0, S_READABLE)[0] == 't';
    item->width = rows > 0 ? item->bytes / (uint64_t)rows : WIDTH_GUESS;
    if (rows <= 0 && item->bytes > SMALL && item->blocks > 0)
        rc = sample_width(snap, item, &item->width, err);
    if (item->width < WIDTH_LEAST)
        item->width = WIDTH_LEAST;
    item->rows = rows > 0 ? (uint64_t)rows : item->blocks > 0 ? item->bytes / item->width : 0;
    return rc;
}

int pgs_snap_size(struct pgs_snap *snap, struct pgs_snap_table *item, struct cdc_error *err)
{
    if (item->sized)
        return CDC_OK;
    int rc = pgs_snap_key(snap, item, err);
    if (rc == CDC_OK)
        rc = look_rows(snap, item, err);
    if (rc == CDC_OK)
        rc = look_correlation(snap, item, err);
    if (rc != CDC_OK)
        return rc;
    item->wanted = item->rows;
    item->walkable = false;
    if (is_partial(item) && item->rows > 0)
        rc = estimate(snap, item, err);
    if (rc == CDC_OK && item->wanted < item->rows && item->key.n > 0)
        rc = look_walk(snap, item, err);
    item->sized = rc >= 0;
    return rc == CDC_END ? CDC_OK : rc;
}

/* As the option's choices. */
enum { COPY_AUTO, COPY_KEY, COPY_BLOCK };

enum pgs_split pgs_snap_split(const struct pgs_snap *snap, const struct pgs_snap_table *item)
{
    int wanted = cdc_get_choice(snap->src.srv.cfg->source, "copy_split");
    bool key = item->key.n > 0;
    bool block = snap->look == PGS_LOOK_START && (!item->seen.partitioned || item->leaves_readable);
    bool good = is_large(item) && (item->seen.partitioned || item->correlation >= FOLLOWS);
    if (key && (wanted == COPY_KEY || !block || (wanted == COPY_AUTO && good)))
        return PGS_SPLIT_KEY;
    return block ? PGS_SPLIT_BLOCK : PGS_SPLIT_WHOLE;
}

/* ---- plans ---- */

static int take_bound(const struct pgs_key *key, const PGresult *res, struct cdc_buf *ret,
                      struct cdc_error *err)
{
    const char **texts = calloc(key->n, sizeof *texts);
    for (uint16_t i = 0; texts && i < key->n; i++)
        texts[i] = PQgetvalue(res, 0, i);
    int rc = texts ? pgs_bound_put_key(texts, key->n, ret) : CDC_FAIL;
    free((void *)(uintptr_t)texts);
    return rc == CDC_OK ? CDC_OK : cdc_fail_oom(err);
}

static int not_ours(const struct cdc_table *tab, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, tab->name, "a range of table %s.%s does not fit its key",
                    tab->schema, tab->name);
}

static int plan_key(struct pgs_snap *snap, const struct pgs_snap_table *item,
                    const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                    struct cdc_error *err)
{
    struct pgs_server *srv = &snap->src.srv;
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    PGS_CLEAR PGresult *res = NULL;
    uint64_t rows = max_bytes / item->width;
    if (begin_walk(srv, err) < 0)
        return CDC_FAIL;
    put_bound_query(item, rest, stretched(item, rows < ROWS_LEAST ? ROWS_LEAST : rows), &sql);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? ask(snap, text, NULL, &res, err) : not_ours(item->tab, err);
    cdc_buf_done(&sql);
    if (rc == CDC_OK)
        rc = PQntuples(res) == 0 ? CDC_END : take_bound(&item->key, res, ret, err);
    end_walk(srv, rc, err);
    return rc;
}

int pgs_snap_leaves(struct pgs_snap *snap, const struct pgs_snap_table *item, PGresult **ret,
                    struct cdc_error *err)
{
    char oid[16];
    const char *args[] = {oid, NULL};
    snprintf(oid, sizeof oid, "%u", item->seen.rel->oid);
    return ask(snap,
               "SELECT l.oid, quote_ident(n.nspname) || '.' || quote_ident(l.relname), " BLOCKS
               " FROM " LEAVES " l JOIN pg_namespace n ON n.oid = l.relnamespace ORDER BY "
               "l.oid",
               args, ret, err);
}

static uint32_t number_at(const PGresult *res, int row, int col)
{
    return (uint32_t)strtoul(PQgetvalue(res, row, col), NULL, 10);
}

/* Where *blocks blocks behind *at lie, in this leaf. False: not in it; so many are to come. */
static bool walk_leaf(uint32_t leaf, uint32_t size, uint32_t *blocks, struct pgs_block *at)
{
    uint32_t from = leaf == at->leaf ? at->block : 0;
    uint32_t left = size > from && leaf >= at->leaf ? size - from : 0;
    if (*blocks >= left) {
        *blocks -= left;
        return false;
    }
    *at = (struct pgs_block){.leaf = leaf, .block = from + *blocks};
    return true;
}

/* The same in all leaves, or where too many of them would be in one range. */
static bool walk(const PGresult *leaves, uint32_t blocks, struct pgs_block *at)
{
    int n = PQntuples(leaves), seen = 0;
    for (int i = 0; i < n; i++) {
        uint32_t leaf = number_at(leaves, i, 0);
        if (walk_leaf(leaf, number_at(leaves, i, 2), &blocks, at))
            return true;
        if (leaf < at->leaf || seen++ < LEAVES_MOST)
            continue;
        *at = (struct pgs_block){.leaf = leaf, .block = leaf == at->leaf ? at->block : 0};
        return true;
    }
    return false;
}

/* A table that has no partitions is its own and only leaf. CDC_END: there are not so many blocks.
 */
static int walk_table(struct pgs_snap *snap, const struct pgs_snap_table *item, uint32_t blocks,
                      struct pgs_block *at, struct cdc_error *err)
{
    PGS_CLEAR PGresult *leaves = NULL;
    if (!item->seen.partitioned)
        return walk_leaf(item->seen.rel->oid, item->blocks, &blocks, at) ? CDC_OK : CDC_END;
    int rc = pgs_snap_leaves(snap, item, &leaves, err);
    if (rc != CDC_OK)
        return rc;
    return walk(leaves, blocks, at) ? CDC_OK : CDC_END;
}

static int plan_block(struct pgs_snap *snap, const struct pgs_snap_table *item,
                      const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                      struct cdc_error *err)
{
    struct pgs_block at = {.leaf = 0}, to = {.leaf = 0};
    if ((rest->from.p && pgs_bound_block(rest->from, &at) < 0) ||
        (rest->to.p && pgs_bound_block(rest->to, &to) < 0))
        return not_ours(item->tab, err);
    uint64_t of_block = item->blocks > 0 ? item->bytes / item->blocks : 8192;
    uint64_t least = ROWS_LEAST * item->width;
    uint64_t bytes = stretched(item, max_bytes > least ? max_bytes : least);
    uint64_t blocks = bytes / (of_block ? of_block : 1) + 1;
    uint32_t most = blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
    int rc = walk_table(snap, item, most, &at, err);
    if (rc != CDC_OK)
        return rc;
    if (rest->to.p && (at.leaf > to.leaf || (at.leaf == to.leaf && at.block >= to.block)))
        return CDC_END;
    pgs_bound_put_block(at, ret);
    return ret->failed ? cdc_fail_oom(err) : CDC_OK;
}

int pgs_snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                  const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                  struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    struct pgs_snap_table *item = snap->tables;
    enum pgs_bound_kind from, to;
    while (item && (strcmp(item->schema, tab->tab->schema) != 0 ||
                    strcmp(item->name, tab->tab->name) != 0 || !item->tab))
        item = item->next;
    int rc = item ? CDC_OK : pgs_snap_table(snap, tab->tab->schema, tab->tab->name, &item, err);
    if (rc != CDC_OK)
        return rc;
    if (pgs_bound_kind(rest->from, &from) < 0 || pgs_bound_kind(rest->to, &to) < 0)
        return not_ours(tab->tab, err);
    rc = pgs_snap_size(snap, item, err);
    if (rc != CDC_OK)
        return rc;
    enum pgs_bound_kind kind = from != PGS_BOUND_OPEN ? from : to;
    enum pgs_split split = kind == PGS_BOUND_KEY     ? PGS_SPLIT_KEY
                           : kind == PGS_BOUND_BLOCK ? PGS_SPLIT_BLOCK
                                                     : pgs_snap_split(snap, item);
    if (split == PGS_SPLIT_WHOLE)
        return CDC_END;
    return split == PGS_SPLIT_KEY ? plan_key(snap, item, rest, max_bytes, ret, err)
                                  : plan_block(snap, item, rest, max_bytes, ret, err);
}
