/* rule.c - see snapshot/rule.h. One buffer of place (24 bytes), length (2) and id, in order. */
#include "snapshot/rule.h"

#define HEAD  (CDC_PLACE_LEN + sizeof(uint16_t))
#define NO_ID UINT16_MAX /* as a length: the transaction has none */

static int order(const char *a, const char *b)
{
    return memcmp(a, b, CDC_PLACE_LEN);
}

void cdc_passed_begin(struct cdc_passed *passed, size_t max, const struct cdc_tx *last)
{
    cdc_buf_reset(&passed->txs);
    passed->txs.max = max;
    memcpy(passed->base, last->place, CDC_PLACE_LEN);
}

void cdc_passed_done(struct cdc_passed *passed)
{
    cdc_buf_done(&passed->txs);
}

int cdc_passed_add(struct cdc_passed *passed, const struct cdc_tx *tx)
{
    uint16_t len = tx->id.p ? (uint16_t)tx->id.len : NO_ID;
    if (tx->id.len >= NO_ID)
        return CDC_FULL;
    cdc_buf_put(&passed->txs, tx->place, CDC_PLACE_LEN);
    cdc_buf_put(&passed->txs, &len, sizeof len);
    if (tx->id.p)
        cdc_buf_put(&passed->txs, tx->id.p, tx->id.len);
    return passed->txs.failed ? CDC_FULL : CDC_OK;
}

/* The one at *at; moves behind it. False: there is none. */
static bool next(const struct cdc_passed *passed, size_t *at, struct cdc_tx *ret)
{
    const uint8_t *p = passed->txs.p + *at;
    uint16_t len;
    if (*at >= passed->txs.len)
        return false;
    *ret = (struct cdc_tx){.commit_us = 0};
    memcpy(ret->place, p, CDC_PLACE_LEN);
    memcpy(&len, p + CDC_PLACE_LEN, sizeof len);
    ret->id = len == NO_ID ? cdc_slice_of(NULL, 0) : cdc_slice_of(p + HEAD, len);
    *at += HEAD + ret->id.len;
    return true;
}

bool cdc_passed_witness(struct cdc_passed *passed, const char *place)
{
    struct cdc_tx tx;
    size_t to = 0;
    if (order(place, passed->base) <= 0)
        return false;
    for (size_t from = 0, at = 0; next(passed, &at, &tx); from = at)
        if (order(tx.place, place) >= 0) {
            memmove(passed->txs.p + to, passed->txs.p + from, at - from);
            to += at - from;
        }
    passed->txs.len = to;
    return true;
}

bool cdc_passed_in(const struct cdc_passed *passed, const struct cdc_snap *snap)
{
    struct cdc_tx tx;
    for (size_t at = 0; next(passed, &at, &tx);)
        if (!snap->ops->sees(snap, &tx))
            return false;
    return true;
}

bool cdc_place_behind(const char *place, const struct cdc_tx *last)
{
    return order(place, last->place) > 0;
}

void cdc_passed_forget(struct cdc_passed *passed)
{
    cdc_buf_reset(&passed->txs);
}
