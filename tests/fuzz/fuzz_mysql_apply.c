/*
 * fuzz_mysql_apply.c - binlog events without checksums into mysql/apply.c, statement.c and xa.c, as
 * stream.c gives them, in batches that end now and then inside transactions; the first byte of the
 * input chooses the family. What must hold: ordinals grow within a transaction, head only moves
 * when none is open, and an answer is CDC_OK or a refusal, never a crash. Corpus:
 * tests/data/mysql_apply/.
 */
#include "../unit/mysql_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RULES "capture:\n  - tables: g.x*\n    skip: true\n  - tables: g.*\n"

static void check(const struct rig *rig, size_t from)
{
    const struct cdc_batch *batch = rig->batch;
    for (size_t i = from; i < batch->n; i++) {
        const struct cdc_change *chg = &batch->changes[i], *last = i ? chg - 1 : NULL;
        rig_must(chg->tx && chg->table && chg->table->rule);
        rig_must(!last || last->tx != chg->tx || last->ordinal <= chg->ordinal);
        rig_must((chg->op == CDC_OP_CREATE || chg->op == CDC_OP_UPDATE) == (chg->after != NULL));
        rig_must((chg->op == CDC_OP_DELETE || chg->op == CDC_OP_UPDATE) == (chg->before != NULL));
        for (uint16_t k = 0; k < chg->table->n_key; k++) {
            uint16_t col = chg->table->key[k];
            rig_must(!chg->before || cdc_value_known(&chg->before[col]));
            rig_must(!chg->after || cdc_value_known(&chg->after[col]));
        }
    }
}

static int one(struct rig *rig, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len); /* of exactly that length */
    size_t from = rig->batch->n;
    rig_must(copy != NULL);
    memcpy(copy, p, len);
    if (len >= MYS_HEADER && copy[4] == 15) /* no checksums here, whatever it says */
        copy[len - 5] = 0;
    const struct cdc_batch *batch = rig->batch;
    int rc = rig_event(rig, cdc_slice_of(copy, len));
    if (rc == CDC_OK && batch == rig->batch && from <= rig->batch->n)
        check(rig, from);
    free(copy);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig rig;
    int rc = CDC_OK;
    if (size < 1)
        return 0;
    rig_open(&rig, RULES, *data & 1);
    rig.cfg.cuts = *data & 2;
    rig.src.srv.max_row = (size_t)1 << 18;
    for (size_t at = 1; rc == CDC_OK && size - at >= MYS_HEADER;) {
        struct cdc_reader rd = cdc_reader_of(data + at + 9, 4);
        size_t len = (size_t)mys_read_le(&rd, 4);
        if (len < MYS_HEADER || len > size - at)
            len = size - at;
        rc = one(&rig, data + at, len);
        if (*data & 4)
            rig_poll(&rig);
        at += len;
    }
    rig_must(rc != CDC_OK || rig.src.tx.open || rig.src.head.kind == MYS_POS_TX);
    rig_close(&rig);
    return 0;
}
