/*
 * position.c - text form of positions, both ways. A hand-written strict parser: the text comes from
 * the sink, and a damaged one must be refused, not read as some other place.
 */
#include "position.h"

#include <inttypes.h>
#include <stdio.h>

void pgs_pos_format(const struct pgs_pos *pos, char ret[PGS_POS_TEXT])
{
    ret[0] = 0;
    if (pos->kind == PGS_POS_TX)
        snprintf(ret, PGS_POS_TEXT, "tx:" PGS_LSN_FMT "," PGS_LSN_FMT ",%" PRIu32 ",%" PRId64,
                 PGS_LSN(pos->end), PGS_LSN(pos->commit), pos->xid, pos->commit_us);
    else if (pos->kind == PGS_POS_CUT)
        snprintf(ret, PGS_POS_TEXT, "cut:" PGS_LSN_FMT ",%" PRIu32 ",%" PRIu64 ",%08" PRIx32,
                 PGS_LSN(pos->commit), pos->xid, pos->n, pos->crc);
    else if (pos->kind == PGS_POS_IDLE)
        snprintf(ret, PGS_POS_TEXT, "idle:" PGS_LSN_FMT, PGS_LSN(pos->commit));
}

/* A cursor over the text; `bad` is sticky. */
struct scan {
    const uint8_t *p, *end;
    bool bad;
};

static void scan_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(scan->end - scan->p) < len || memcmp(scan->p, word, len) != 0)
        scan->bad = true;
    else
        scan->p += len;
}

static int digit(uint8_t byte, unsigned base)
{
    int val = 99;
    if (byte >= '0' && byte <= '9')
        val = byte - '0';
    else if (byte >= 'a' && byte <= 'f')
        val = byte - 'a' + 10;
    else if (byte >= 'A' && byte <= 'F')
        val = byte - 'A' + 10;
    return val < (int)base ? val : -1;
}

/* Digits of that base, at least one, the number at most max. */
static uint64_t scan_number(struct scan *scan, unsigned base, uint64_t max)
{
    uint64_t val = 0;
    const uint8_t *start = scan->p;
    for (; !scan->bad && scan->p < scan->end && digit(*scan->p, base) >= 0; scan->p++) {
        unsigned next = (unsigned)digit(*scan->p, base);
        if (val > (max - next) / base)
            scan->bad = true;
        else
            val = val * base + next;
    }
    if (scan->p == start)
        scan->bad = true;
    return scan->bad ? 0 : val;
}

static uint64_t scan_lsn(struct scan *scan)
{
    uint64_t high = scan_number(scan, 16, UINT32_MAX);
    scan_word(scan, "/");
    return high << 32 | scan_number(scan, 16, UINT32_MAX);
}

static int64_t scan_signed(struct scan *scan)
{
    bool minus = scan->p < scan->end && *scan->p == '-';
    scan->p += minus;
    int64_t val = (int64_t)scan_number(scan, 10, INT64_MAX);
    return minus ? -val : val;
}

static void scan_tx(struct scan *scan, struct pgs_pos *pos)
{
    scan_word(scan, "tx:");
    pos->end = scan_lsn(scan);
    scan_word(scan, ",");
    pos->commit = scan_lsn(scan);
    scan_word(scan, ",");
    pos->xid = (uint32_t)scan_number(scan, 10, UINT32_MAX);
    scan_word(scan, ",");
    pos->commit_us = scan_signed(scan);
    if (pos->end < pos->commit)
        scan->bad = true;
}

static void scan_cut(struct scan *scan, struct pgs_pos *pos)
{
    scan_word(scan, "cut:");
    pos->commit = pos->end = scan_lsn(scan);
    scan_word(scan, ",");
    pos->xid = (uint32_t)scan_number(scan, 10, UINT32_MAX);
    scan_word(scan, ",");
    pos->n = scan_number(scan, 10, INT64_MAX);
    scan_word(scan, ",");
    pos->crc = (uint32_t)scan_number(scan, 16, UINT32_MAX);
}

int pgs_pos_parse(struct cdc_slice text, struct pgs_pos *ret)
{
    struct scan scan = {.p = text.p, .end = text.p + text.len};
    struct pgs_pos pos = {0};
    if (!text.p || text.len == 0)
        return CDC_FAIL;
    if (text.p[0] == 't') {
        pos.kind = PGS_POS_TX;
        scan_tx(&scan, &pos);
    } else if (text.p[0] == 'c') {
        pos.kind = PGS_POS_CUT;
        scan_cut(&scan, &pos);
    } else {
        pos.kind = PGS_POS_IDLE;
        scan_word(&scan, "idle:");
        pos.commit = pos.end = scan_lsn(&scan);
    }
    if (scan.bad || scan.p != scan.end)
        return CDC_FAIL;
    *ret = pos;
    return CDC_OK;
}

int pgs_lsn_parse(const char *text, uint64_t *ret)
{
    struct scan scan = {.p = (const uint8_t *)text, .end = (const uint8_t *)text + strlen(text)};
    uint64_t lsn = scan_lsn(&scan);
    if (scan.bad || scan.p != scan.end)
        return CDC_FAIL;
    *ret = lsn;
    return CDC_OK;
}
