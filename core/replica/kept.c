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
 */
#include "replica/internal.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_ROWS 1024
#define KEPT_TX   33 /* of __seq: incarnation, place */

struct kept_row {
    enum rep_why why;
    const struct rep_table *tab;
    uint8_t *key;
    size_t key_len;
    sqlite3_value **vals;
    size_t n;
};

struct rep_kept {
    char tx[KEPT_TX];
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
    if (seq.len < KEPT_TX || memcmp(kept->tx, seq.p, KEPT_TX) == 0)
        return;
    memcpy(kept->tx, seq.p, KEPT_TX);
    while (kept->n)
        drop_first(kept);
}

int rep_keep(struct rep_kept *kept, enum rep_why why, const struct rep_table *tab,
             struct cdc_slice key, sqlite3_stmt *stmt)
{
    if (kept->n == KEPT_ROWS)
        drop_first(kept);
    struct kept_row *row = &kept->rows[(kept->first + kept->n) % KEPT_ROWS];
    *row = (struct kept_row){.why = why, .tab = tab, .key_len = key.len};
    row->key = malloc(key.len + 1);
    row->vals = calloc(tab->n, sizeof *row->vals);
    kept->n++;
    if (!row->key || !row->vals)
        return CDC_FAIL;
    memcpy(row->key, key.p, key.len);
    for (row->n = 0; row->n < tab->n; row->n++) {
        row->vals[row->n] = sqlite3_value_dup(sqlite3_column_value(stmt, (int)row->n));
        if (!row->vals[row->n])
            return CDC_FAIL;
    }
    return CDC_OK;
}

static struct kept_row *find(const struct rep_kept *kept, enum rep_why why,
                             const struct rep_table *tab, struct cdc_slice key)
{
    for (size_t i = kept->n; i > 0; i--) {
        const struct kept_row *row = &kept->rows[(kept->first + i - 1) % KEPT_ROWS];
        if (row->why == why && row->tab == tab &&
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
