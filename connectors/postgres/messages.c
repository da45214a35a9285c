/*
 * messages.c - logical messages (pg_logical_emit_message) -> changes `m` of _sidestream._messages.
 *
 * A transactional message comes with its transaction: the ordinal is that of the row before it (0:
 * none), because the order of messages and rows is the server's, but how many messages there are
 * depends on options. When a transaction is read again from a row on, messages behind that row are
 * emitted, those before it are not; a position inside a transaction is therefore never told right
 * behind a message (stream.c).
 *
 * Any other message comes when its record is read, outside of transactions, and is a transaction of
 * its own: place is its LSN (the end of its record), ordinal 0. The position behind it is `idle:`
 * at that LSN. The server judges messages by the *start* of their record, so this one does not come
 * again; and a transaction that commits behind it has a commit LSN at or above. It has no commit
 * time: it gets the server's clock when it was sent, or while we catch up with an old log, where
 * that would lie hours ahead of the transactions around it, the last commit time seen.
 */
#include "postgres.h"

#include <inttypes.h>
#include <stdio.h>

static const struct cdc_rule rule = {
    .tables = "_sidestream._messages",
    .where = "capture: messages",
    .deletes = CDC_DELETES_APPEND,
    .snapshot = CDC_SNAPSHOT_NEVER,
    .hash = "0000000000000000000000000000000000000000000000000000000000000000",
};

enum { COL_PREFIX, COL_CONTENT, COL_TRANSACTIONAL, COLS };

static const struct cdc_column columns[COLS] = {
    [COL_PREFIX] = {.name = "prefix", .type = "text", .kind = CDC_TEXT, .type_mod = -1},
    [COL_CONTENT] = {.name = "content", .type = "bytea", .kind = CDC_BYTES, .type_mod = -1},
    [COL_TRANSACTIONAL] = {.name = "transactional",
                           .type = "boolean",
                           .kind = CDC_BOOL,
                           .type_mod = -1},
};

static struct cdc_table *table(struct pgs_source *src, struct cdc_error *err)
{
    struct cdc_table_spec spec = {.catalog = src->srv.database,
                                  .schema = "_sidestream",
                                  .name = "_messages",
                                  .version = 1,
                                  .n = COLS,
                                  .cols = columns,
                                  .rule = &rule};
    if (!src->messages && cdc_table_new(&spec, &src->messages, err) < 0)
        return NULL;
    return src->messages;
}

/* The transaction that a message outside of any is. */
static const struct cdc_tx *own_tx(const struct pgs_source *src, struct cdc_batch *batch,
                                   uint64_t lsn, int64_t sent_us)
{
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char place[CDC_PLACE_LEN + 1];
    if (!tx)
        return NULL;
    snprintf(place, sizeof place, "%024" PRIx64, lsn);
    memcpy(tx->place, place, CDC_PLACE_LEN);
    tx->commit_us = src->caught_up || !src->seen_us ? sent_us : src->seen_us;
    return tx;
}

static int add(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_msg *msg,
               const struct cdc_tx *tx, struct cdc_error *err)
{
    struct cdc_table *tab = table(src, err);
    if (!tab)
        return CDC_FAIL;
    struct cdc_value *vals = cdc_batch_values(batch, COLS);
    struct cdc_change *chg = tx && vals ? cdc_batch_add(batch, tab) : NULL;
    if (!chg)
        return cdc_fail_oom(err);
    struct cdc_slice content = msg->message.content;
    vals[COL_PREFIX] = (struct cdc_value){.kind = CDC_TEXT,
                                          .len = (uint32_t)strlen(msg->message.prefix),
                                          .p = (const uint8_t *)msg->message.prefix};
    vals[COL_CONTENT] =
        (struct cdc_value){.kind = CDC_BYTES, .len = (uint32_t)content.len, .p = content.p};
    vals[COL_TRANSACTIONAL] = (struct cdc_value){.kind = CDC_BOOL, .i = src->tx.open};
    chg->op = CDC_OP_MESSAGE;
    chg->tx = tx;
    chg->ordinal = src->tx.open ? src->tx.n : 0;
    chg->after = vals;
    return CDC_OK;
}

static int add_inside(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_msg *msg,
                      struct cdc_error *err)
{
    if (add(src, batch, msg, pgs_tx_out(src, batch), err) < 0)
        return CDC_FAIL;
    src->tx.rows = src->tx.message = true;
    src->tx.bytes += msg->message.content.len;
    return CDC_OK;
}

static int add_alone(struct pgs_source *src, struct cdc_batch *batch, const struct pgs_msg *msg,
                     int64_t sent_us, struct cdc_error *err)
{
    uint64_t lsn = msg->message.lsn;
    if (lsn <= src->head.end)
        return pgs_protocol("a message comes a second time", err);
    if (add(src, batch, msg, own_tx(src, batch, lsn, sent_us), err) < 0)
        return CDC_FAIL;
    batch->changes[batch->n - 1].flags |= CDC_TX_LAST;
    src->head = (struct pgs_pos){.kind = PGS_POS_IDLE, .commit = lsn, .end = lsn};
    src->due = true;
    return CDC_OK;
}

/* Does it come in the right place? CDC_END: it was emitted before. */
static int expected(const struct pgs_source *src, bool inside, struct cdc_error *err)
{
    if (inside != src->tx.open)
        return pgs_protocol("a message does not stand where its kind may", err);
    if (!inside && src->resume.kind != PGS_POS_NONE)
        return pgs_unlike(&src->resume, "was not sent again", err);
    return inside && (src->tx.skip || src->tx.n < src->tx.skip_rows) ? CDC_END : CDC_OK;
}

int pgs_message(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
                struct cdc_error *err)
{
    struct pgs_msg msg;
    size_t len = data->len - data->payload;
    uint8_t *bytes = (uint8_t *)data->raw + data->payload;
    if (pgs_decode(bytes, len, src->room, &msg, err) < 0)
        return CDC_FAIL;
    int rc = expected(src, msg.message.flags & 1, err);
    if (rc != CDC_OK || !cdc_capture_message(src->srv.cfg->capture, msg.message.prefix))
        return rc == CDC_END ? CDC_OK : rc;
    if (len > src->srv.max_row)
        return cdc_fail(err, CDC_OPERATOR, "_messages",
                        "a logical message has %zu bytes, more than source.max_row_bytes (%zu): "
                        "raise it, or leave its prefix out of `messages:`",
                        len, src->srv.max_row);
    bytes = pgs_keep_bytes(batch, data);
    if (!bytes)
        return cdc_fail_oom(err);
    if (pgs_decode(bytes, len, src->room, &msg, err) < 0)
        return CDC_FAIL;
    return src->tx.open ? add_inside(src, batch, &msg, err)
                        : add_alone(src, batch, &msg, data->sent_us, err);
}
