/*
 * kept.c - rows of the current source transaction that are no longer at their key.
 *
 * A key change arrives as a delete of the old key and an insert of the new one, which names the old
 * key in `__prev_key` and may leave columns out (unsent TOAST). The replica is then the only place
 * that still knows them, so the old row is kept here until its transaction ends.
 *
 *   MOVED   left its key by a key change
 *   PUSHED  stood alive at a key at which another row was inserted. That is possible inside a
 *           transaction whose key is checked late (DEFERRABLE): UPDATE t SET id = id + 1. The
 * delete that follows for this key means the row that was there first.
 *
 * The two halves of a key change follow each other, so what is asked for lies at the end: searched
 * backwards. Bounded: beyond the limit the oldest is forgotten. Nothing goes wrong then, only
 * unknown: the columns stay listed in `__unchanged`.
 *
 * A feed may put rows of an older place between the rows of a transaction: the `r` and the `t` of a
 * snapshot, which lie where they were written and not where their `__seq` is. They neither end the
 * transaction nor see what is kept of it.
 *
 * A feed's commit may end inside a transaction (a sink that cuts large ones). The two halves of a
 * key change are one raw row and never parted, but a row that was pushed may be meant by a delete
 * many rows later: such rows are written to _sidestream_kept in the SQLite transaction that holds
 * the position, and read again by the next process.
 */
#include "replica/internal.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_ROWS 1024
#define KEPT_TX   33 /* of __seq: incarnation, place */

struct kept_row {
    enum rep_why why;
    char *table; /* the source's name */
    uint8_t *key;
    size_t key_len;
    sqlite3_value **vals;
    size_t n;
};

struct rep_kept {
    char tx[KEPT_TX + 1];            /* the newest seen */
    bool older;                      /* the row under way is of an older one */
    bool written;                    /* _sidestream_kept holds rows */
    struct kept_row rows[KEPT_ROWS]; /* a ring */
    size_t first, n;
};

struct rep_kept *rep_kept_new(void)
{
    return calloc(1, sizeof(struct rep_kept));
}

static void row_done(struct kept_row *row)
{
    for (size_t i = 0; i < row->n; i++)
        sqlite3_value_free(row->vals[i]);
    free(row->vals);
    free(row->table);
    free(row->key);
    *row = (struct kept_row){0};
}

static void drop_first(struct rep_kept *kept)
{
    row_done(&kept->rows[kept->first]);
    kept->first = (kept->first + 1) % KEPT_ROWS;
    kept->n--;
}

void rep_kept_free(struct rep_kept *kept)
{
    while (kept && kept->n)
        drop_first(kept);
    free(kept);
}

void rep_kept_tx(struct rep_kept *kept, struct cdc_slice seq)
{
    int c = seq.len < KEPT_TX ? -1 : memcmp(seq.p, kept->tx, KEPT_TX);
    kept->older = c < 0;
    if (c <= 0)
        return;
    memcpy(kept->tx, seq.p, KEPT_TX);
    while (kept->n)
        drop_first(kept);
}

/* A new last row of the ring, without values yet. NULL: no memory. */
static struct kept_row *add(struct rep_kept *kept, enum rep_why why, const char *table,
                            struct cdc_slice key, size_t n)
{
    if (kept->n == KEPT_ROWS)
        drop_first(kept);
    struct kept_row *row = &kept->rows[(kept->first + kept->n++) % KEPT_ROWS];
    *row = (struct kept_row){.why = why, .table = strdup(table), .key_len = key.len};
    row->key = malloc(key.len + 1);
    row->vals = calloc(n + 1, sizeof *row->vals);
    if (!row->table || !row->key || !row->vals)
        return NULL;
    memcpy(row->key, key.p, key.len);
    return row;
}

int rep_keep(struct rep_kept *kept, enum rep_why why, const struct rep_table *tab,
             struct cdc_slice key, sqlite3_stmt *stmt)
{
    if (kept->older)
        return CDC_OK;
    struct kept_row *row = add(kept, why, tab->source, key, tab->n);
    for (size_t i = 0; row && i < tab->n; i++, row->n = i) {
        row->vals[i] = sqlite3_value_dup(sqlite3_column_value(stmt, (int)i));
        if (!row->vals[i])
            return CDC_FAIL;
    }
    return row ? CDC_OK : CDC_FAIL;
}

static struct kept_row *find(const struct rep_kept *kept, enum rep_why why,
                             const struct rep_table *tab, struct cdc_slice key)
{
    for (size_t i = kept->older ? 0 : kept->n; i > 0; i--) {
        const struct kept_row *row = &kept->rows[(kept->first + i - 1) % KEPT_ROWS];
        if (row->why == why && strcmp(row->table, tab->source) == 0 &&
            cdc_slice_eq(cdc_slice_of(row->key, row->key_len), key))
            return (struct kept_row *)row;
    }
    return NULL;
}

sqlite3_value *const *rep_kept_find(const struct rep_kept *kept, enum rep_why why,
                                    const struct rep_table *tab, struct cdc_slice key,
                                    size_t *ret_n)
{
    const struct kept_row *row = find(kept, why, tab, key);
    *ret_n = row ? row->n : 0;
    return row ? row->vals : NULL;
}

void rep_kept_move(struct rep_kept *kept, const struct rep_table *tab, struct cdc_slice key)
{
    struct kept_row *row = find(kept, REP_PUSHED, tab, key);
    if (row)
        row->why = REP_MOVED;
}

/* ---- from one process to the next ---- */

static int save_row(struct cdc_replica *rep, sqlite3_stmt *stmt, size_t at, struct cdc_error *err)
{
    const struct rep_kept *kept = rep->kept;
    const struct kept_row *row = &kept->rows[(kept->first + at) % KEPT_ROWS];
    if (row->why != REP_PUSHED)
        return CDC_OK;
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)at);
    sqlite3_bind_text(stmt, 3, kept->tx, KEPT_TX, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 4, row->table, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 5, row->key, row->key_len, SQLITE_STATIC);
    for (size_t i = 0; i < row->n; i++) {
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)i);
        sqlite3_bind_value(stmt, 6, row->vals[i]);
        if (rep_step(rep, stmt, err))
            return CDC_FAIL;
    }
    return CDC_OK;
}

int rep_kept_save(struct cdc_replica *rep, struct cdc_error *err)
{
    struct rep_kept *kept = rep->kept;
    size_t pushed = 0;
    for (size_t i = 0; i < kept->n; i++)
        pushed += kept->rows[(kept->first + i) % KEPT_ROWS].why == REP_PUSHED;
    if (kept->written && rep_exec(rep, "DELETE FROM _sidestream_kept", err))
        return CDC_FAIL;
    kept->written = pushed > 0;
    if (!pushed)
        return CDC_OK;
    sqlite3_stmt *stmt = NULL;
    int status =
        rep_prepare(rep, "INSERT INTO _sidestream_kept VALUES (?, ?, ?, ?, ?, ?)", &stmt, err);
    for (size_t i = 0; !status && i < kept->n; i++)
        status = save_row(rep, stmt, i, err);
    sqlite3_finalize(stmt);
    return status;
}

/* One row's values: `stmt` stands on the first, and then on what follows the last. */
static int load_row(struct cdc_replica *rep, sqlite3_stmt *stmt, int *rc)
{
    int64_t row_no = sqlite3_column_int64(stmt, 0);
    size_t n = (size_t)sqlite3_column_int64(stmt, 5);
    const char *tx = (const char *)sqlite3_column_text(stmt, 1);
    const char *table = (const char *)sqlite3_column_text(stmt, 2);
    struct cdc_slice key =
        cdc_slice_of(sqlite3_column_blob(stmt, 3), (size_t)sqlite3_column_bytes(stmt, 3));
    if (!tx || strlen(tx) != KEPT_TX || !table || !key.p)
        return CDC_FAIL;
    rep_kept_tx(rep->kept, cdc_slice_str(tx));
    struct kept_row *row = add(rep->kept, REP_PUSHED, table, key, n);
    while (row && *rc == SQLITE_ROW && sqlite3_column_int64(stmt, 0) == row_no && row->n < n) {
        row->vals[row->n] = sqlite3_value_dup(sqlite3_column_value(stmt, 4));
        if (!row->vals[row->n++])
            return CDC_FAIL;
        *rc = sqlite3_step(stmt);
    }
    return row ? CDC_OK : CDC_FAIL;
}

int rep_kept_load(struct cdc_replica *rep, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep,
                    "SELECT n, tx, \"table\", \"key\", value, count(*) OVER (PARTITION BY n)"
                    " FROM _sidestream_kept ORDER BY n, i",
                    &stmt, err))
        return CDC_FAIL;
    int status = CDC_OK, rc = sqlite3_step(stmt);
    rep->kept->written = rc == SQLITE_ROW;
    while (!status && rc == SQLITE_ROW)
        status = load_row(rep, stmt, &rc);
    if (status)
        status = cdc_fail(err, CDC_FATAL, rep->path, "_sidestream_kept cannot be read");
    else if (rc != SQLITE_DONE)
        status = rep_fail(rep, err, "cannot read the rows kept");
    sqlite3_finalize(stmt);
    return status;
}
