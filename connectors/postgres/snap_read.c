/*
 * snap_read.c - one range of a table under a look: lock, shape, COPY, rows.
 *
 * The table is locked in ACCESS SHARE for as long as the range is read and no longer; then its
 * shape in the snapshot must be its shape now (snap_table.c), or it would read wrong without an
 * error. Once a second the lock queue is looked at: an ALTER TABLE of the application that waits
 * for us has everybody else waiting behind it, so the COPY is cancelled and the lock given back.
 *
 * COPY (SELECT ...) TO STDOUT (FORMAT binary), a row a message. Rows are waited for as stream.c
 * does: when much has come, a short pause and then all that is there, so that the server and we run
 * at the same time and not by turns.
 */
#include "snap.h"

#include "cdc/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUSY     32 /* rows in one drain that mean more is on its way */
#define PAUSE_US 200
#define SLICE_US 100000

static int given_up(const struct cdc_table *tab, const char *why, struct cdc_error *err)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", tab->schema, tab->name);
    (void)cdc_fail(err, CDC_RETRY, name, "%s", why);
    return CDC_AGAIN;
}

/* ---- the statement ---- */

/* What the publication and the rule leave of the rows. */
static void put_filters(const struct pgs_snap *snap, const struct pgs_seen *seen,
                        struct cdc_buf *sql)
{
    const char *where = snap->tab->rule->copy_where;
    cdc_buf_printf(sql, " WHERE (%s)", seen->filter ? seen->filter : "true");
    if (where) /* a comment at its end ends with the line */
        cdc_buf_printf(sql, " AND (%s\n)", where);
}

static void put_columns(const struct pgs_snap *snap, struct cdc_buf *sql)
{
    const struct cdc_table *tab = snap->tab;
    for (uint16_t i = 0; i < tab->n; i++) {
        cdc_buf_str(sql, i ? ", " : "SELECT ");
        if (!snap->copy.binary[i]) /* not IS NULL, which is true of a composite of NULLs */
            cdc_buf_str(sql, "CASE num_nonnulls(");
        pgs_ident_put(sql, tab->cols[i].name);
        if (!snap->copy.binary[i]) {
            cdc_buf_str(sql, ") WHEN 1 THEN format('%s', ");
            pgs_ident_put(sql, tab->cols[i].name);
            cdc_buf_str(sql, ") END");
        }
    }
}

static void put_from(const struct pgs_snap *snap, const struct pgs_seen *seen, struct cdc_buf *sql)
{
    put_columns(snap, sql);
    /* A partitioned table is its partitions; any other one is itself, without what inherits. */
    cdc_buf_str(sql, seen->partitioned ? " FROM " : " FROM ONLY ");
    pgs_table_put(sql, snap->tab->schema, snap->tab->name);
    put_filters(snap, seen, sql);
}

static int put_key_range(const struct pgs_snap *snap, const struct pgs_snap_table *item,
                         const struct cdc_range *range, struct cdc_buf *sql)
{
    int rc = CDC_OK;
    put_from(snap, &item->seen, sql);
    if (range->from.p) {
        cdc_buf_str(sql, " AND (");
        rc = pgs_bound_sql(&item->key, range->from, false, sql);
        cdc_buf_str(sql, ")");
    }
    if (rc == CDC_OK && range->to.p) {
        cdc_buf_str(sql, " AND (");
        rc = pgs_bound_sql(&item->key, range->to, true, sql);
        cdc_buf_str(sql, ")");
    }
    return rc;
}

/* What of a leaf lies between two places. name: quoted; NULL: the table itself. */
static void put_leaf(const struct pgs_snap *snap, const struct pgs_seen *seen, const char *name,
                     const struct pgs_block span[3], struct cdc_buf *sql)
{
    uint32_t leaf = span[2].leaf;
    if (leaf < span[0].leaf || leaf > span[1].leaf || (leaf == span[1].leaf && span[1].block == 0))
        return;
    cdc_buf_str(sql, sql->len ? " UNION ALL " : "");
    put_columns(snap, sql);
    cdc_buf_str(sql, " FROM ONLY ");
    if (name)
        cdc_buf_str(sql, name);
    else
        pgs_table_put(sql, snap->tab->schema, snap->tab->name);
    put_filters(snap, seen, sql);
    if (leaf == span[0].leaf && span[0].block > 0)
        cdc_buf_printf(sql, " AND ctid >= '(%u,0)'", span[0].block);
    if (leaf == span[1].leaf && span[1].block > 0)
        cdc_buf_printf(sql, " AND ctid < '(%u,0)'", span[1].block);
}

/* One leaf after the other, the first and the last in part. */
static int put_leaves(struct pgs_snap *snap, const struct pgs_snap_table *item,
                      struct pgs_block span[3], struct cdc_buf *sql, struct cdc_error *err)
{
    PGS_CLEAR PGresult *leaves = NULL;
    int rc = pgs_snap_leaves(snap, item, &leaves, err);
    for (int i = 0; rc == CDC_OK && i < PQntuples(leaves); i++) {
        span[2].leaf = (uint32_t)strtoul(PQgetvalue(leaves, i, 0), NULL, 10);
        put_leaf(snap, &item->seen, PQgetvalue(leaves, i, 1), span, sql);
    }
    return rc;
}

static int put_block_range(struct pgs_snap *snap, const struct pgs_snap_table *item,
                           const struct cdc_range *range, struct cdc_buf *sql,
                           struct cdc_error *err)
{
    /* from, to, where we are */
    struct pgs_block span[3] = {{.leaf = 0}, {.leaf = UINT32_MAX}, {.leaf = item->seen.rel->oid}};
    int rc = CDC_OK;
    if (snap->look != PGS_LOOK_START ||
        (range->from.p && pgs_bound_block(range->from, &span[0]) < 0) ||
        (range->to.p && pgs_bound_block(range->to, &span[1]) < 0))
        return CDC_FAIL;
    if (item->seen.partitioned)
        rc = put_leaves(snap, item, span, sql, err);
    else
        put_leaf(snap, &item->seen, NULL, span, sql);
    if (rc == CDC_OK && sql->len == 0) { /* nothing lies between */
        put_from(snap, &item->seen, sql);
        cdc_buf_str(sql, " AND false");
    }
    return rc;
}

/* CDC_FAIL without an error text: the range is none of this table. CDC_AGAIN: it was altered. */
static int put_copy(struct pgs_snap *snap, struct pgs_snap_table *item,
                    const struct cdc_range *range, struct cdc_buf *ret, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)64 << 20);
    enum pgs_bound_kind from, to;
    int rc = pgs_bound_kind(range->from, &from) < 0 || pgs_bound_kind(range->to, &to) < 0 ||
                     (from != to && from != PGS_BOUND_OPEN && to != PGS_BOUND_OPEN)
                 ? CDC_FAIL
                 : CDC_OK;
    if (rc == CDC_OK && (from == PGS_BOUND_KEY || to == PGS_BOUND_KEY))
        rc = pgs_snap_key(snap, item, err);
    if (rc == CDC_OK && (from == PGS_BOUND_BLOCK || to == PGS_BOUND_BLOCK))
        rc = put_block_range(snap, item, range, &sql, err);
    else if (rc == CDC_OK)
        rc = put_key_range(snap, item, range, &sql);
    const char *text = cdc_buf_cstr(&sql);
    cdc_buf_printf(ret, "COPY (%s) TO STDOUT (FORMAT binary)", text ? text : "");
    ret->failed |= !text;
    cdc_buf_done(&sql);
    return rc;
}

/* ---- beginning ---- */

static int set_columns(struct pgs_snap *snap, struct cdc_table *tab, struct cdc_error *err)
{
    cdc_table_unref(snap->tab);
    snap->tab = cdc_table_ref(tab);
    free(snap->copy.binary);
    free(snap->copy.parse);
    snap->copy = (struct pgs_copy){.tab = tab,
                                   .binary = calloc(tab->n + 1u, sizeof(pgs_binary)),
                                   .parse = calloc(tab->n + 1u, sizeof(pgs_parse))};
    if (!snap->copy.binary || !snap->copy.parse)
        return cdc_fail_oom(err);
    for (uint16_t i = 0; i < tab->n; i++) {
        snap->copy.binary[i] = pgs_binary_of(&tab->cols[i]);
        snap->copy.parse[i] = pgs_parser(&tab->cols[i]);
    }
    return CDC_OK;
}

/* The same columns of the same types: rows of the one are rows of the other. */
static bool same_columns(const struct cdc_table *a, const struct cdc_table *b)
{
    bool same = a->n == b->n && a->id == b->id;
    for (uint16_t i = 0; same && i < a->n; i++)
        same = strcmp(a->cols[i].name, b->cols[i].name) == 0 &&
               strcmp(a->cols[i].type, b->cols[i].type) == 0 &&
               a->cols[i].kind == b->cols[i].kind && a->cols[i].type_id == b->cols[i].type_id &&
               a->cols[i].type_mod == b->cols[i].type_mod;
    return same;
}

static struct pgs_which which_of(const struct pgs_snap *snap, const struct cdc_table *tab)
{
    int pub = tab->rule->insert_only ? PGS_PUB_INSERTS : PGS_PUB_ALL;
    return (struct pgs_which){
        .schema = tab->schema, .name = tab->name, .pub = snap->src.srv.pubs[pub]};
}

/* Is the table now what it was in the snapshot? What it was there stays so until another look. */
static int compare_shapes(struct pgs_snap *snap, const struct cdc_table *tab, char **then,
                          char **ret_now, struct cdc_error *err)
{
    struct pgs_which which = which_of(snap, tab);
    int rc = CDC_OK;
    if (!*then)
        rc = pgs_shape_then(&snap->ses, &which, then, err);
    if (rc == CDC_OK)
        rc = pgs_shape_now(&snap->src, &which, ret_now, err);
    if (rc == CDC_OK && (!*ret_now || !*then || strcmp(*ret_now, *then) != 0))
        rc = given_up(tab,
                      "the table was altered, rewritten, truncated or dropped since the "
                      "snapshot, or published otherwise; another snapshot is taken",
                      err);
    return rc;
}

/* The table as this instance knows it, which must be as the lock shows it. */
static int find_item(struct pgs_snap *snap, const struct cdc_table *tab,
                     struct pgs_snap_table **ret, struct cdc_error *err)
{
    struct pgs_snap_table *item = snap->tables;
    while (item && (strcmp(item->schema, tab->schema) != 0 || strcmp(item->name, tab->name) != 0))
        item = item->next;
    char *now = NULL, *then = item ? item->then : NULL;
    if (item)
        item->then = NULL;
    int rc = compare_shapes(snap, tab, &then, &now, err);
    if (rc == CDC_OK && (!item || !item->tab || strcmp(item->seen.shape, now) != 0)) {
        struct pgs_which which = which_of(snap, tab);
        which.shape = now;
        rc = pgs_snap_describe(snap, &which, &item, err);
    }
    if (rc == CDC_END || (rc == CDC_OK && !same_columns(item->tab, tab)))
        rc = given_up(tab, "the table is not what it was any more; it is looked at again", err);
    free(now);
    if (rc == CDC_OK)
        item->then = then;
    else
        free(then);
    *ret = item;
    return rc;
}

static int lock(struct pgs_snap *snap, const struct cdc_table *tab, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(4096);
    cdc_buf_str(&sql, "LOCK TABLE ");
    pgs_table_put(&sql, tab->schema, tab->name);
    cdc_buf_str(&sql, " IN ACCESS SHARE MODE");
    int rc = pgs_session_run(&snap->ses, cdc_buf_cstr(&sql), NULL, NULL, err);
    cdc_buf_done(&sql);
    if (rc == CDC_AGAIN)
        rc = given_up(tab, "the table is locked by somebody who alters it, or gone", err);
    return rc;
}

/* What the server says of a table that we may not read as a whole. */
static int refused(struct pgs_snap *snap, int rc, struct cdc_error *err)
{
    const struct cdc_table *tab = snap->tab;
    if (rc != CDC_FAIL || strcmp(snap->ses.state, "42501") != 0)
        return rc;
    return cdc_fail(err, CDC_OPERATOR, tab->name,
                    "the role may not read all rows of table %s.%s, by a missing right or by row "
                    "level security: GRANT SELECT ON \"%s\".\"%s\" TO \"%s\"; ALTER ROLE \"%s\" "
                    "BYPASSRLS; or leave the table's rows out by `snapshot: never`",
                    tab->schema, tab->name, tab->schema, tab->name, PQuser(snap->ses.conn),
                    PQuser(snap->ses.conn));
}

/* The rule's own condition, which nobody has looked at before the server does. */
static int bad_where(struct pgs_snap *snap, int rc, struct cdc_error *err)
{
    const struct cdc_rule *rule = snap->tab->rule;
    const char *state = snap->ses.state;
    char text[512];
    if (rc != CDC_FAIL || !rule->copy_where || !err ||
        (strncmp(state, "42", 2) != 0 && strncmp(state, "22", 2) != 0) ||
        strcmp(state, "42501") == 0)
        return rc;
    snprintf(text, sizeof text, "%.*s", (int)strcspn(err->message, ";"), err->message);
    return cdc_fail(err, CDC_CONFIG, rule->where,
                    "the rows of table %s.%s cannot be copied, probably by the rule's `where`: %s; "
                    "correct it (functions and types of other schemas than pg_catalog need their "
                    "schema's name)",
                    snap->tab->schema, snap->tab->name, text);
}

static int start_copy(struct pgs_snap *snap, struct pgs_snap_table *item,
                      const struct cdc_range *range, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)64 << 20);
    struct cdc_error own = {.message = ""};
    int rc = put_copy(snap, item, range, &sql, &own);
    const char *text = cdc_buf_cstr(&sql);
    if (rc == CDC_AGAIN)
        rc = given_up(snap->tab, own.message, err);
    else if (rc < 0 && own.message[0])
        rc = cdc_fail(err, own.action, own.where, "%s", own.message);
    else if (rc < 0)
        rc = given_up(snap->tab, "the range does not fit the table's key any more", err);
    else
        rc = bad_where(snap, pgs_session_run(&snap->ses, text, NULL, NULL, err), err);
    rc = refused(snap, rc, err);
    cdc_buf_done(&sql);
    snap->copying = snap->header = rc == CDC_OK;
    return rc;
}

static int set_place(struct pgs_snap *snap, const struct cdc_copy_place *at, struct cdc_error *err)
{
    snap->tx = at->tx;
    snap->ordinal = at->ordinal;
    cdc_buf_reset(&snap->tx_id);
    cdc_buf_put(&snap->tx_id, at->tx.id.p, at->tx.id.len);
    if (snap->tx_id.failed)
        return cdc_fail_oom(err);
    if (at->tx.id.p)
        snap->tx.id = at->tx.id.len ? cdc_buf_slice(&snap->tx_id) : cdc_slice_str("");
    return CDC_OK;
}

int pgs_snap_begin(struct cdc_snap *base, const struct cdc_copy_table *tab,
                   const struct cdc_range *range, const struct cdc_copy_place *at,
                   struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    struct pgs_snap_table *item = NULL;
    snap->ses.stop = base->stop;
    if (pgs_snap_end(snap, err) < 0 || set_columns(snap, tab->tab, err) < 0 ||
        set_place(snap, at, err) < 0)
        return CDC_FAIL;
    snap->look_us = cdc_mono_us() + PGS_LOOK_US;
    snap->burst = 0;
    int rc = pgs_snap_enter(snap, err);
    if (rc != CDC_OK)
        return rc;
    snap->begun = true;
    rc = refused(snap, lock(snap, tab->tab, err), err);
    if (rc == CDC_OK)
        rc = find_item(snap, tab->tab, &item, err);
    if (rc == CDC_OK)
        rc = start_copy(snap, item, range, err);
    return rc == CDC_AGAIN && pgs_snap_end(snap, err) < 0 ? CDC_FAIL : rc;
}

/* ---- ending ---- */

/* Reads away what a cancelled COPY still sends. */
static int drain_away(struct pgs_snap *snap, struct cdc_error *err)
{
    PGconn *conn = snap->ses.conn;
    char *raw;
    pgs_session_cancel(conn);
    while (PQgetCopyData(conn, &raw, 0) > 0)
        PQfreemem(raw);
    for (PGresult *res; (res = PQgetResult(conn)) != NULL && PQstatus(conn) == CONNECTION_OK;)
        PQclear(res);
    snap->copying = false;
    return PQstatus(conn) == CONNECTION_OK ? CDC_OK : pgs_fail(conn, NULL, NULL, err);
}

int pgs_snap_end(struct pgs_snap *snap, struct cdc_error *err)
{
    if (!snap->begun)
        return CDC_OK;
    snap->begun = false;
    if (snap->copying && drain_away(snap, err) < 0)
        return CDC_FAIL;
    return pgs_snap_leave(snap, err);
}

/* ---- rows ---- */

static int in_the_way(struct pgs_snap *snap, struct cdc_error *err)
{
    int64_t now = cdc_mono_us();
    if (pgs_session_stopped(&snap->ses))
        return pgs_session_stop_fail(err);
    if (now < snap->look_us)
        return CDC_OK;
    int rc = pgs_in_the_way(&snap->src, (uint32_t)snap->tab->id, PQbackendPID(snap->ses.conn), err);
    snap->look_us = cdc_mono_us() + PGS_LOOK_US;
    if (rc != CDC_AGAIN)
        return rc;
    return pgs_snap_end(snap, err) < 0
               ? CDC_FAIL
               : given_up(snap->tab,
                          "somebody waits to alter the table, and reading on would stand in the "
                          "way of all who use it; it is read again later",
                          err);
}

static int wait_rows(struct pgs_snap *snap, struct cdc_error *err)
{
    PGconn *conn = snap->ses.conn;
    int times = snap->burst >= BUSY ? 8 : 1;
    int rc = in_the_way(snap, err);
    if (rc != CDC_OK)
        return rc;
    if (times > 1)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000}, NULL);
    else
        pgs_wait(&snap->src, PQsocket(conn), POLLIN, cdc_mono_us() + SLICE_US);
    for (int i = 0; i < times; i++)
        if (!PQconsumeInput(conn))
            return pgs_fail(conn, NULL, NULL, err);
    snap->burst = 0;
    return CDC_OK;
}

static const struct cdc_tx *tx_of(const struct pgs_snap *snap, struct cdc_batch *batch)
{
    if (batch->n > 0)
        return batch->changes[0].tx;
    struct cdc_tx *tx = cdc_arena_alloc(batch->arena, sizeof *tx);
    if (!tx)
        return NULL;
    *tx = snap->tx;
    if (tx->id.p)
        tx->id = cdc_arena_copy(batch->arena, tx->id);
    return tx;
}

static int odd_row(const struct pgs_snap *snap, uint16_t col, struct cdc_error *err)
{
    const struct cdc_table *tab = snap->tab;
    return cdc_fail(err, CDC_FATAL, tab->name,
                    "column %s.%s.%s (%s): the server sent a value that this type does not have. "
                    "Leave the table out by `skip: true` to go on",
                    tab->schema, tab->name, col < tab->n ? tab->cols[col].name : "(all)",
                    col < tab->n ? tab->cols[col].type : "");
}

static int too_large(const struct pgs_snap *snap, size_t len, struct cdc_error *err)
{
    const struct cdc_table *tab = snap->tab;
    return cdc_fail(
        err, CDC_OPERATOR, tab->name,
        "a row of table %s.%s has %zu bytes, more than source.max_row_bytes (%zu), or arrays "
        "that take more memory: raise it (three times as much is needed), or leave the "
        "table out by `skip: true`",
        tab->schema, tab->name, len, snap->src.srv.max_row);
}

static int add_row(struct pgs_snap *snap, struct cdc_batch *batch, struct pgs_data *data,
                   struct cdc_error *err)
{
    size_t len = data->len - data->payload;
    if (len > snap->src.srv.max_row)
        return too_large(snap, len, err);
    if (len == 2) /* the end, that is followed by a result */
        return CDC_OK;
    const struct cdc_tx *tx = tx_of(snap, batch);
    uint8_t *bytes = pgs_keep_bytes(batch, data);
    struct cdc_value *after = cdc_arena_alloc(batch->arena, snap->tab->n * sizeof *after);
    struct pgs_memory mem = {.arena = batch->arena, .left = snap->src.srv.max_row};
    uint16_t col;
    if (!tx || !bytes || !after)
        return cdc_fail_oom(err);
    int rc = pgs_copy_row(&snap->copy, bytes, len, &mem, after, &col);
    if (rc != CDC_OK)
        return rc == CDC_FULL ? too_large(snap, len, err) : odd_row(snap, col, err);
    struct cdc_change *chg = cdc_batch_add(batch, snap->tab);
    if (!chg)
        return cdc_fail_oom(err);
    chg->op = CDC_OP_READ;
    chg->flags = snap->look == PGS_LOOK_START ? 0 : CDC_OVERLAP;
    chg->tx = tx;
    chg->ordinal = snap->ordinal;
    chg->after = after;
    snap->burst++;
    return CDC_OK;
}

static int take_row(struct pgs_snap *snap, struct cdc_batch *batch, struct pgs_data *data,
                    struct cdc_error *err)
{
    if (snap->header) {
        data->payload = pgs_copy_header(cdc_slice_of(data->raw, data->len));
        snap->header = false;
        if (data->payload == 0)
            return odd_row(snap, snap->tab->n, err);
        if (data->payload == data->len)
            return CDC_OK;
    }
    return add_row(snap, batch, data, err);
}

/* The COPY is over: well, or not. */
static int finish(struct pgs_snap *snap, struct cdc_error *err)
{
    PGresult *res = NULL;
    if (pgs_session_result(&snap->ses, snap->ses.conn, &res, err) < 0)
        return CDC_FAIL;
    int rc = PQresultStatus(res) == PGRES_COMMAND_OK ? CDC_END
                                                     : pgs_fail(snap->ses.conn, res, NULL, err);
    bool again = rc < 0 && (pgs_state_is(res, "40001") || pgs_state_is(res, "72000"));
    while (res) {
        PQclear(res);
        res = NULL;
        if (pgs_session_result(&snap->ses, snap->ses.conn, &res, again ? NULL : err) < 0)
            return CDC_FAIL;
    }
    snap->copying = false;
    if (rc < 0 && !again)
        return rc;
    if (pgs_snap_end(snap, err) < 0)
        return CDC_FAIL;
    return again ? CDC_AGAIN : CDC_END;
}

int pgs_snap_read(struct cdc_snap *base, struct cdc_batch *batch, const atomic_bool *stop,
                  struct cdc_error *err)
{
    struct pgs_snap *snap = (struct pgs_snap *)base;
    int rc = snap->begun ? CDC_OK : CDC_END;
    snap->ses.stop = stop ? stop : base->stop;
    batch->read_us = cdc_now_us();
    while (rc == CDC_OK && (batch->n == 0 || !cdc_batch_full(batch))) {
        struct pgs_data data = {.payload = 0};
        int n = PQgetCopyData(snap->ses.conn, &data.raw, 1);
        if (n == 0) {
            rc = wait_rows(snap, err);
        } else if (n < 0) {
            rc = finish(snap, err);
        } else {
            data.len = (size_t)n;
            rc = take_row(snap, batch, &data, err);
            PQfreemem(data.raw);
        }
    }
    snap->ses.stop = base->stop;
    return rc;
}
