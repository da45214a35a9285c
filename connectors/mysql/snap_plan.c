/*
 * snap_plan.c - where to cut a table into ranges, and how large it is.
 *
 * The key is the primary key, in its own order. A bound is found by walking its index: the n-th key
 * behind the range's beginning, n by the estimated width of a row. It need not stay in the table,
 * and it is found in the present, outside of any look: it only has to be a value of the key. So
 * ranges mean the same in any look.
 *
 * That walk costs the server a tenth and more of what reading the rows does. So where the key is
 * one whole number, a bound is laid as far behind the range's beginning as the last walk came for
 * as many rows, and the server is asked how many rows it takes to lie between (EXPLAIN: two dives
 * into the index). Where that is another number by far (STRAY), the index is walked.
 *
 * Of a partial copy (the rule's `where`) the number of wanted rows is what EXPLAIN says of a plan
 * that is made and not run. A condition on the key alone, as a range of it, is walked with; else
 * ranges are so much longer as rows are fewer, but not over eight times, for the wanted ones may
 * lie close together, and what a range passes over is read too. Without statistics of a column that
 * no index begins with, MariaDB takes every row to be wanted, MySQL a tenth or a third.
 *
 * The servers' estimates of small tables are of no use (a page for each row): then a row is taken
 * to have 200 bytes.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ROWS_LEAST  1000
#define WIDTH_LEAST 32
#define WIDTH_GUESS 200
#define SMALL       ((uint64_t)256 << 10)
#define STRETCH     8 /* a range of few wanted rows is so much larger at most */
#define STRAY                                                                                      \
    4 /* times as many rows as wanted, or as few: MariaDB's estimates are often double             \
       */

static struct mys_snap_table *item_of(struct mys_snap *snap, const char *schema, const char *name)
{
    struct mys_snap_table *item = snap->tables;
    while (item && (strcmp(item->schema, schema) != 0 || strcmp(item->name, name) != 0))
        item = item->next;
    if (item || !(item = calloc(1, sizeof *item)))
        return item;
    item->schema = strdup(schema);
    item->name = strdup(name);
    item->next = snap->tables;
    snap->tables = item;
    return item->schema && item->name ? item : NULL;
}

static uint64_t width_of(uint64_t rows, uint64_t bytes)
{
    if (rows == 0 || bytes <= SMALL)
        return WIDTH_GUESS;
    return bytes / rows > WIDTH_LEAST ? bytes / rows : WIDTH_LEAST;
}

/* ---- estimates ---- */

/* A cell of EXPLAIN's, by its column's name; "": none. */
static const char *cell(MYSQL_RES *res, MYSQL_ROW row, const char *name)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(res);
    for (unsigned i = 0; i < mysql_num_fields(res); i++)
        if (strcasecmp(fields[i].name, name) == 0)
            return row[i] ? row[i] : "";
    return "";
}

struct guess {
    double rows;
    bool walkable; /* out of a range of the primary key alone, as far as can be told: MariaDB 11
                      does not say that it looks at nothing else */
};

/* What a plan for the SELECT tells of the table's rows. False: nothing, or the plan cannot be had:
 * if the condition is wrong, who reads with it will say so. */
static bool explain(struct mys_snap *snap, const struct mys_snap_table *item,
                    struct cdc_buf *select, struct guess *ret)
{
    struct mys_viewer *ses = &snap->ses;
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    MYS_CLEAR MYSQL_RES *res = NULL;
    cdc_buf_str(&sql, ses->facts->mariadb ? "EXPLAIN EXTENDED " : "EXPLAIN FORMAT=TRADITIONAL ");
    cdc_buf_put(&sql, select->p, select->len);
    sql.failed |= select->failed;
    int rc = mys_viewer_run(ses, ses->side, cdc_buf_cstr(&sql), &res, NULL);
    bool known = false;
    for (MYSQL_ROW row; rc == CDC_OK && !known && (row = mysql_fetch_row(res));) {
        const char *extra = cell(res, row, "Extra");
        known = strcasecmp(cell(res, row, "table"), item->name) == 0 ||
                strncmp(extra, "Impossible WHERE", 16) == 0;
        ret->rows =
            strtod(cell(res, row, "rows"), NULL) * strtod(cell(res, row, "filtered"), NULL) / 100;
        ret->walkable = strcmp(cell(res, row, "key"), "PRIMARY") == 0 &&
                        strcmp(cell(res, row, "type"), "range") == 0 &&
                        (ses->facts->mariadb || strcmp(extra, "Using index") == 0 ||
                         strstr(extra, "; Using index"));
    }
    cdc_buf_done(&sql);
    return known;
}

/* A comment at the condition's end ends with the line. */
static void put_where(const char *where, struct cdc_buf *sql)
{
    if (where)
        cdc_buf_printf(sql, " AND (%s\n)", where);
}

/* force: the plan that a walk would have. Without it MySQL looks how many rows there are. */
static bool explain_where(struct mys_snap *snap, const struct mys_snap_table *item,
                          const char *where, const char *force, struct guess *ret)
{
    struct cdc_buf sql = CDC_BUF((size_t)1 << 20);
    cdc_buf_str(&sql, "SELECT ");
    mys_key_select(&item->key, &sql);
    cdc_buf_str(&sql, " FROM ");
    mys_table_put(&sql, item->schema, item->name);
    cdc_buf_printf(&sql, "%s WHERE TRUE", force);
    put_where(where, &sql);
    bool known = explain(snap, item, &sql, ret);
    cdc_buf_done(&sql);
    return known;
}

static void estimate(struct mys_snap *snap, struct mys_snap_table *item, const char *where)
{
    struct guess guess = {.rows = 0}, walk = {.rows = 0};
    item->wanted = item->rows;
    item->walkable = false;
    if (!where || item->key.n == 0)
        return;
    if (explain_where(snap, item, where, "", &guess) && guess.rows < (double)item->rows)
        item->wanted = guess.rows > 1 ? (uint64_t)guess.rows : 1;
    item->walkable =
        explain_where(snap, item, where, " FORCE INDEX (PRIMARY)", &walk) && walk.walkable;
}

/* So many rows hold as many of those that are wanted as `n` of a whole copy. */
static uint64_t stretched(const struct mys_snap_table *item, uint64_t n)
{
    uint64_t times = item->walkable || !item->wanted ? 1 : item->rows / item->wanted;
    return n * (times < 1 ? 1 : times < STRETCH ? times : STRETCH);
}

int mys_snap_size(struct mys_snap *snap, const struct cdc_table *tab, struct mys_snap_table **ret,
                  struct cdc_error *err)
{
    const struct mys_which which = {.schema = tab->schema, .name = tab->name};
    struct mys_snap_table *item = item_of(snap, tab->schema, tab->name);
    struct mys_viewer *ses = &snap->ses;
    if (!item)
        return cdc_fail_oom(err);
    mys_key_done(&item->key);
    int rc = mys_key_look(ses, &which, &item->key, err);
    if (rc != CDC_OK)
        return rc;
    if (mys_catalogue_size(ses->side, &which, &item->rows, &item->bytes, err) < 0)
        return mys_viewer_fail(ses, ses->side, err);
    item->width = width_of(item->rows, item->bytes);
    estimate(snap, item, tab->rule ? tab->rule->copy_where : NULL);
    *ret = item;
    return CDC_OK;
}

/* ---- bounds ---- */

/* Where to look for bounds. */
struct walk {
    const struct mys_snap_table *item;
    const struct cdc_range *rest;
    uint64_t rows;
    const char *where; /* NULL: all rows count */
};

/* CDC_FAIL: the range is none of this key. */
static int put_bound_query(const struct walk *walk, struct cdc_buf *sql)
{
    const struct mys_snap_table *item = walk->item;
    const struct mys_key *key = &item->key;
    cdc_buf_str(sql, "SELECT ");
    mys_key_select(key, sql);
    cdc_buf_str(sql, " FROM ");
    mys_table_put(sql, item->schema, item->name);
    cdc_buf_str(sql, " FORCE INDEX (PRIMARY) WHERE TRUE");
    if (mys_range_sql(key, walk->rest, sql) != CDC_OK)
        return CDC_FAIL;
    put_where(walk->where, sql);
    for (uint16_t i = 0; i < key->n; i++)
        cdc_buf_printf(sql, "%s%s", i ? ", " : " ORDER BY ", key->cols[i].quoted);
    cdc_buf_printf(sql, " LIMIT 1 OFFSET %llu", (unsigned long long)walk->rows);
    return CDC_OK;
}

/* Are there about as many rows in that range as are wanted? */
static bool right_size(struct mys_snap *snap, const struct walk *walk,
                       const struct cdc_range *range)
{
    const struct mys_snap_table *item = walk->item;
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    struct guess guess = {.rows = 0};
    cdc_buf_str(&sql, "SELECT 1 FROM "); /* forced to an index, MySQL would not dive */
    mys_table_put(&sql, item->schema, item->name);
    cdc_buf_str(&sql, " WHERE TRUE");
    sql.failed |= mys_range_sql(&item->key, range, &sql) != CDC_OK;
    put_where(walk->where, &sql);
    bool known = explain(snap, item, &sql, &guess);
    cdc_buf_done(&sql);
    double rows = (double)walk->rows;
    return known && guess.rows * STRAY >= rows && guess.rows <= rows * STRAY;
}

/* Without a walk. CDC_END: it takes one. */
static int lay_bound(struct mys_snap *snap, const struct walk *walk, struct cdc_buf *ret,
                     struct cdc_error *err)
{
    const struct mys_snap_table *item = walk->item;
    int64_t from = 0, to, end = INT64_MAX;
    double far = item->step * (double)walk->rows;
    if (far < 1 || far > 1e17 || !mys_bound_whole(&item->key, walk->rest->from, &from) ||
        (walk->rest->to.p && !mys_bound_whole(&item->key, walk->rest->to, &end)) ||
        __builtin_add_overflow(from, (int64_t)far, &to) || to >= end)
        return CDC_END;
    char text[32];
    const char *texts = text;
    struct cdc_buf bound = CDC_BUF(4096);
    snprintf(text, sizeof text, "%lld", (long long)to);
    int rc = mys_bound_put(&item->key, &texts, &bound) == CDC_OK ? CDC_OK : cdc_fail_oom(err);
    const struct cdc_range range = {.from = walk->rest->from, .to = cdc_buf_slice(&bound)};
    if (rc == CDC_OK && !right_size(snap, walk, &range))
        rc = CDC_END;
    if (rc == CDC_OK)
        cdc_buf_put(ret, bound.p, bound.len);
    cdc_buf_done(&bound);
    return rc == CDC_OK && ret->failed ? cdc_fail_oom(err) : rc;
}

/* How far the walk came. */
static void take_step(struct mys_snap_table *item, const struct walk *walk, struct cdc_slice bound)
{
    int64_t from, to;
    item->step = 0;
    if (mys_bound_whole(&item->key, walk->rest->from, &from) &&
        mys_bound_whole(&item->key, bound, &to) && to > from)
        item->step = ((double)to - (double)from) / (double)walk->rows;
}

static int take_bound(const struct mys_snap_table *item, MYSQL_RES *res, struct cdc_buf *ret,
                      struct cdc_error *err)
{
    MYSQL_ROW row = mysql_fetch_row(res);
    if (!row)
        return CDC_END;
    if (mysql_num_fields(res) == item->key.n &&
        mys_bound_put(&item->key, (const char *const *)row, ret) == CDC_OK)
        return CDC_OK;
    return cdc_fail(err, CDC_FATAL, item->name,
                    "the server sent a key of table %s.%s that makes no sense; please report this",
                    item->schema, item->name);
}

static int walk_to(struct mys_snap *snap, struct mys_snap_table *item, const struct walk *walk,
                   struct cdc_buf *ret, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)16 << 20);
    MYS_CLEAR MYSQL_RES *res = NULL;
    size_t begun = ret->len;
    int rc = put_bound_query(walk, &sql);
    rc = rc == CDC_OK ? mys_viewer_run(&snap->ses, snap->ses.side, cdc_buf_cstr(&sql), &res, err)
                      : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    if (rc == CDC_OK)
        rc = take_bound(item, res, ret, err);
    if (rc == CDC_OK)
        take_step(item, walk, cdc_slice_of(ret->p + begun, ret->len - begun));
    return rc;
}

static int other_key(const struct mys_snap_table *item, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, item->name,
                    "the primary key of table %s.%s, or its collation, was changed while the table "
                    "was copied, so what was copied cannot be told from what was not: have it "
                    "copied anew by `sidestream snapshot`",
                    item->schema, item->name);
}

static bool range_fits(const struct mys_key *key, const struct cdc_range *range)
{
    return (!range->from.p || mys_bound_fits(key, range->from)) &&
           (!range->to.p || mys_bound_fits(key, range->to));
}

int mys_snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                  const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                  struct cdc_error *err)
{
    struct mys_snap *snap = (struct mys_snap *)base;
    struct mys_snap_table *item = item_of(snap, tab->tab->schema, tab->tab->name);
    const struct cdc_rule *rule = tab->tab->rule;
    mys_viewer_hear(&snap->ses, base->stop, NULL);
    int rc = !item ? cdc_fail_oom(err) : CDC_OK;
    if (rc == CDC_OK && !item->width)
        rc = mys_snap_size(snap, tab->tab, &item, err);
    if (rc != CDC_OK)
        return rc;
    if (!range_fits(&item->key, rest))
        return other_key(item, err);
    if (item->key.n == 0)
        return CDC_END;
    uint64_t rows = max_bytes / (item->width ? item->width : WIDTH_GUESS);
    const struct walk walk = {.item = item,
                              .rest = rest,
                              .rows = stretched(item, rows < ROWS_LEAST ? ROWS_LEAST : rows),
                              .where = item->walkable && rule ? rule->copy_where : NULL};
    rc = lay_bound(snap, &walk, ret, err);
    if (rc == CDC_END)
        rc = walk_to(snap, item, &walk, ret, err);
    if (rc != CDC_AGAIN || !walk.where)
        return rc;
    item->walkable = false; /* it may have taken too long: few rows of that range are wanted */
    return mys_snap_plan(base, tab, rest, max_bytes, ret, err);
}
