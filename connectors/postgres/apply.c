/*
 * apply.c - the stream's messages -> changes of a batch.
 *
 * A row's message is copied once into the batch's arena (a large one is adopted); values are parsed
 * in place and point into it. Rows are numbered before capture rules.
 *
 * After a start the first transaction may be one that we know: after `tx:` exactly that one is sent
 * again and skipped whole; after `cut:` its first n rows are read, their CRC-32C compared, and the
 * rest emitted. Anything else in its place means another server or a restored backup, and is
 * refused.
 *
 * Old rows: K has the identity's columns, the others come as null and mean "not sent" (ABSENT). O
 * has all. An unchanged TOAST value of the new row is taken from the old one if that has it; after
 * a change of the key without full old row it is read again by key.
 */
#include "postgres.h"

#include "cdc/clock.h"
#include "cdc/crc32c.h"

#include <inttypes.h>
#include <stdio.h>

#define BIG_BYTES   ((uint64_t)16 << 20) /* after such a transaction the idle position is urgent */
#define ADOPT_BYTES ((size_t)64 << 10)

int pgs_protocol(const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "postgres", "the server's stream makes no sense: %s", what);
}

int pgs_unlike(const struct pgs_pos *resume, const char *what, struct cdc_error *err)
{
    return cdc_fail(
        err, CDC_OPERATOR, "postgres",
        "the transaction at our position " PGS_LSN_FMT " (xid %" PRIu32 ") %s: this is "
        "another server or a restored backup, or the publication was altered meanwhile. "
        "`sidestream drop`, an empty sink, and a new start begin again from now",
        PGS_LSN(resume->commit), resume->xid, what);
}

/* The first transaction after a start: is it the one that we expect? */
static int recognise(struct pgs_source *src, struct cdc_error *err)
{
    const struct pgs_pos *pos = &src->resume;
    struct pgs_tx *tx = &src->tx;
    if (tx->commit != pos->commit)
        return pgs_unlike(pos, "was not sent again", err);
    if (tx->xid != pos->xid || (pos->kind == PGS_POS_TX && tx->commit_us != pos->commit_us))
        return pgs_unlike(pos, "is not the one that we saved", err);
    if (pos->kind == PGS_POS_TX)
        tx->skip = true;
    else
        tx->skip_rows = pos->n;
    return CDC_OK;
}

static int begin(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_error *err)
{
    if (src->tx.open)
        return pgs_protocol("a transaction begins inside another", err);
    src->tx = (struct pgs_tx){.open = true,
                              .commit = msg->begin.commit,
                              .commit_us = msg->begin.commit_us,
                              .xid = msg->begin.xid};
    src->seen_us = msg->begin.commit_us;
    if (src->resume.kind == PGS_POS_TX || src->resume.kind == PGS_POS_CUT)
        return recognise(src, err);
    if (msg->begin.commit < src->head.end)
        return pgs_protocol("a transaction comes a second time", err);
    return CDC_OK;
}

static int commit(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_batch *batch,
                  struct cdc_error *err)
{
    struct pgs_tx *tx = &src->tx;
    if (!tx->open || msg->commit.commit != tx->commit)
        return pgs_protocol("a commit does not belong to its transaction", err);
    if (tx->n < tx->skip_rows)
        return pgs_unlike(&src->resume, "has fewer rows than before", err);
    if (tx->out)
        batch->changes[batch->n - 1].flags |= CDC_TX_LAST;
    src->head = (struct pgs_pos){.kind = PGS_POS_TX,
                                 .commit = msg->commit.commit,
                                 .end = msg->commit.end,
                                 .xid = tx->xid,
                                 .commit_us = tx->commit_us};
    src->done.commit = msg->commit.commit;
    src->done.commit_us = tx->commit_us;
    src->done.xid = tx->xid;
    src->resume.kind = PGS_POS_NONE;
    src->due = src->due || tx->rows;
    src->big = src->big || tx->bytes > BIG_BYTES;
    *tx = (struct pgs_tx){.open = false};
    return CDC_OK;
}

const struct cdc_tx *pgs_tx_out(struct pgs_source *src, struct cdc_batch *batch)
{
    struct pgs_tx *tx = &src->tx;
    if (tx->out)
        return tx->out;
    struct cdc_tx *out = cdc_arena_zalloc(batch->arena, sizeof *out);
    char *id = cdc_arena_printf(batch->arena, "%" PRIu32, tx->xid);
    if (!out || !id)
        return NULL;
    char place[CDC_PLACE_LEN + 1];
    snprintf(place, sizeof place, "%024" PRIx64, tx->commit);
    memcpy(out->place, place, CDC_PLACE_LEN);
    out->id = cdc_slice_str(id);
    out->commit_us = tx->commit_us;
    tx->out = out;
    return out;
}

static struct cdc_change *add(struct pgs_source *src, struct cdc_batch *batch, enum cdc_op op,
                              const struct pgs_rel *rel)
{
    const struct cdc_tx *tx = pgs_tx_out(src, batch);
    struct cdc_change *chg = tx ? cdc_batch_add(batch, rel->tab) : NULL;
    if (chg) {
        chg->op = (uint8_t)op;
        chg->tx = tx;
        chg->ordinal = src->tx.n;
        src->tx.rows = true;
    }
    return chg;
}

static int bad_value(const struct pgs_rel *rel, uint16_t col, struct cdc_error *err)
{
    const struct cdc_table *tab = rel->tab;
    return cdc_fail(
        err, CDC_FATAL, tab->name,
        "column %s.%s.%s (%s): the server sent text that this type does not print; is a "
        "session setting changed by a proxy? Leave the table out by `skip: true` to go on",
        tab->schema, tab->name, tab->cols[col].name, tab->cols[col].type);
}

static int arrays_too_large(const struct pgs_rel *rel, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, rel->tab->name,
                    "the arrays of a row of table %s.%s take more memory (16 bytes an item) than "
                    "source.max_row_bytes: raise it, or leave the table out by `skip: true`",
                    rel->tab->schema, rel->tab->name);
}

int pgs_convert(const struct pgs_rel *rel, const struct pgs_tuple *tuple, struct pgs_memory *mem,
                struct cdc_value *ret, struct cdc_error *err)
{
    for (uint16_t i = 0; i < rel->n; i++) {
        const struct pgs_cell *cell = &tuple->cells[i];
        if (tuple->old == 'K' && !rel->flagged[i])
            continue;
        if (cell->kind == 't') {
            int rc = pgs_value(rel, i, mem, *cell, &ret[i]);
            if (rc != CDC_OK)
                return rc == CDC_FULL ? arrays_too_large(rel, err) : bad_value(rel, i, err);
        } else {
            ret[i].kind = cell->kind == 'n' ? CDC_NULL : CDC_UNCHANGED;
        }
    }
    return CDC_OK;
}

/* Fills unsent values from the old row; says whether some are left. */
static bool fill_unsent(const struct pgs_rel *rel, const struct cdc_value *before,
                        struct cdc_value *after)
{
    bool left = false;
    for (uint16_t i = 0; i < rel->n; i++) {
        if (after[i].kind != CDC_UNCHANGED)
            continue;
        if (before && cdc_value_known(&before[i]))
            after[i] = before[i];
        else
            left = true;
    }
    return left;
}

static bool key_moved(const struct cdc_table *tab, const struct cdc_value *before,
                      const struct cdc_value *after)
{
    for (uint16_t i = 0; before && i < tab->n_key; i++)
        if (!cdc_value_eq(&before[tab->key[i]], &after[tab->key[i]]))
            return true;
    return false;
}

static struct pgs_memory memory_of(const struct pgs_source *src, const struct cdc_batch *batch)
{
    return (struct pgs_memory){.arena = batch->arena, .left = src->srv.max_row};
}

static int update(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_msg *msg,
                  const struct pgs_rel *rel, struct cdc_error *err)
{
    struct pgs_tuple old = {.cells = msg->row.before, .old = msg->row.old};
    struct pgs_tuple new = {.cells = msg->row.after};
    struct pgs_memory mem = memory_of(src, batch);
    struct cdc_value *before = msg->row.old ? cdc_batch_values(batch, rel->n) : NULL;
    struct cdc_value *after = cdc_batch_values(batch, rel->n);
    if (!after || (msg->row.old && !before))
        return cdc_fail_oom(err);
    if (before && pgs_convert(rel, &old, &mem, before, err) < 0)
        return CDC_FAIL;
    if (pgs_convert(rel, &new, &mem, after, err) < 0)
        return CDC_FAIL;
    bool left = fill_unsent(rel, before, after);
    bool moved = key_moved(rel->tab, before, after);
    if (moved && left)
        pgs_reread(src, rel, batch, after);
    struct cdc_change *chg = add(src, batch, CDC_OP_UPDATE, rel);
    if (!chg)
        return cdc_fail_oom(err);
    chg->before = before;
    chg->after = after;
    chg->flags = moved ? CDC_KEY_MOVED : 0;
    return CDC_OK;
}

static int insert_or_delete(struct pgs_source *src, struct cdc_batch *batch,
                            const struct pgs_msg *msg, const struct pgs_rel *rel,
                            struct cdc_error *err)
{
    bool insert = msg->type == 'I';
    struct pgs_tuple tuple = {.cells = insert ? msg->row.after : msg->row.before,
                              .old = msg->row.old};
    struct pgs_memory mem = memory_of(src, batch);
    struct cdc_value *row = cdc_batch_values(batch, rel->n);
    if (!row)
        return cdc_fail_oom(err);
    if (pgs_convert(rel, &tuple, &mem, row, err) < 0)
        return CDC_FAIL;
    struct cdc_change *chg = add(src, batch, insert ? CDC_OP_CREATE : CDC_OP_DELETE, rel);
    if (!chg)
        return cdc_fail_oom(err);
    *(insert ? &chg->after : &chg->before) = row;
    return CDC_OK;
}

uint8_t *pgs_keep_bytes(struct cdc_batch *batch, struct pgs_data *data)
{
    uint8_t *at = (uint8_t *)data->raw;
    size_t len = data->len;
    if (len < ADOPT_BYTES) {
        struct cdc_slice copy =
            cdc_arena_copy(batch->arena, cdc_slice_of(at + data->payload, len - data->payload));
        return (uint8_t *)(uintptr_t)copy.p;
    }
    data->raw = NULL; /* PQfreemem is free() where we run; the arena frees it, also on failure */
    return cdc_arena_adopt(batch->arena, at, len) == CDC_OK ? at + data->payload : NULL;
}

static int captured_row(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_rel *rel,
                        struct pgs_data *data, struct cdc_error *err)
{
    struct pgs_msg msg;
    size_t len = data->len - data->payload;
    if (len > src->srv.max_row)
        return cdc_fail(
            err, CDC_OPERATOR, rel->tab->name,
            "a row of table %s.%s has %zu bytes, more than source.max_row_bytes (%zu): "
            "raise it (three times as much memory is needed), or leave the table out by "
            "`skip: true`",
            rel->tab->schema, rel->tab->name, len, src->srv.max_row);
    uint8_t *bytes = pgs_keep_bytes(batch, data);
    if (!bytes)
        return cdc_fail_oom(err);
    if (pgs_decode(bytes, len, src->room, &msg, err) < 0)
        return CDC_FAIL;
    if ((msg.row.old && msg.row.n_before != rel->n) ||
        (msg.type != 'D' && msg.row.n_after != rel->n))
        return pgs_protocol("a row has another number of columns than its table", err);
    return msg.type == 'U' ? update(src, batch, &msg, rel, err)
                           : insert_or_delete(src, batch, &msg, rel, err);
}

static int truncate_tables(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
                           struct cdc_error *err)
{
    struct pgs_msg msg;
    uint8_t *bytes = (uint8_t *)data->raw + data->payload;
    if (pgs_decode(bytes, data->len - data->payload, src->room, &msg, err) < 0)
        return CDC_FAIL;
    for (uint32_t i = 0; i < msg.truncate.n; i++) {
        const struct pgs_rel *rel = pgs_rel_find(src, pgs_truncate_oid(&msg, i));
        if (!rel)
            return pgs_protocol("a table is truncated that was not described", err);
        if (rel->tab && !add(src, batch, CDC_OP_RANGE, rel))
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

/* Counts a raw row. CDC_END: it was emitted before. */
static int count_row(struct pgs_source *src, struct cdc_slice bytes, struct cdc_error *err)
{
    struct pgs_tx *tx = &src->tx;
    if (!tx->open)
        return pgs_protocol("a row outside a transaction", err);
    tx->n++;
    tx->message = false;
    tx->bytes += bytes.len;
    if (tx->skip)
        return CDC_END;
    if (src->srv.cfg->cuts || tx->skip_rows)
        tx->crc = cdc_crc32c(tx->crc, bytes.p, bytes.len);
    if (tx->n > tx->skip_rows)
        return CDC_OK;
    if (tx->n == tx->skip_rows && tx->crc != src->resume.crc)
        return pgs_unlike(&src->resume, "has other rows than before", err);
    return CDC_END;
}

static int row(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_msg *head,
               struct pgs_data *data, struct cdc_error *err)
{
    struct cdc_slice bytes =
        cdc_slice_of((uint8_t *)data->raw + data->payload, data->len - data->payload);
    int rc = count_row(src, bytes, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? CDC_OK : rc;
    if (head->type == 'T')
        return truncate_tables(src, batch, data, err);
    const struct pgs_rel *rel = pgs_rel_find(src, head->row.rel);
    if (!rel)
        return pgs_protocol("a row of a table that was not described", err);
    if (!rel->tab || (head->type != 'I' && rel->tab->rule->insert_only))
        return CDC_OK;
    return captured_row(src, batch, rel, data, err);
}

int pgs_apply(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
              struct cdc_error *err)
{
    struct pgs_msg msg;
    uint8_t *bytes = (uint8_t *)data->raw + data->payload;
    size_t len = data->len - data->payload;
    if (pgs_decode_head(cdc_slice_of(bytes, len), &msg, err) < 0)
        return CDC_FAIL;
    if (msg.type == 'I' || msg.type == 'U' || msg.type == 'D' || msg.type == 'T')
        return row(src, batch, &msg, data, err);
    if (pgs_decode(bytes, len, src->room, &msg, err) < 0)
        return CDC_FAIL;
    switch (msg.type) {
    case 'B': return begin(src, &msg, err);
    case 'C': return commit(src, &msg, batch, err);
    case 'R': return pgs_rel_set(src, &msg, cdc_slice_of(bytes, len), err);
    case 'Y': return pgs_type_set(src, &msg, err);
    case 'M': return pgs_message(src, batch, data, err);
    default: return CDC_OK; /* O: where a replicated transaction came from */
    }
}
