/*
 * position.h - what `position` in the checkpoint says for PostgreSQL. Pure; no I/O.
 *
 *   tx:<end>,<commit>,<xid>,<commit µs>   all up to and with this transaction is out
 *   cut:<commit>,<xid>,<n>,<crc32c>       n raw rows of this transaction are out, nothing behind
 * them idle:<lsn>                            all transactions whose commit record starts below are
 * out
 *
 * LSNs are written X/X. The server is started (and acked) at `commit`: a transaction comes again if
 * and only if its commit record starts at or after that. So after tx and cut that one transaction
 * comes first and is recognised; after idle nothing comes twice.
 */
#ifndef PGS_POSITION_H
#define PGS_POSITION_H

#include "cdc/buf.h"

enum pgs_pos_kind { PGS_POS_NONE, PGS_POS_TX, PGS_POS_CUT, PGS_POS_IDLE };

struct pgs_pos {
    enum pgs_pos_kind kind;
    uint64_t commit;   /* start of the commit record; idle: the LSN. Where the server is started */
    uint64_t end;      /* tx: end of the commit record; else as commit */
    uint32_t xid;      /* tx, cut */
    int64_t commit_us; /* tx: microseconds since 1970 UTC */
    uint64_t n;        /* cut: raw rows */
    uint32_t crc;      /* cut: CRC-32C of those rows' messages */
};

#define PGS_POS_TEXT 128
#define PGS_LSN_FMT  "%X/%X"
#define PGS_LSN(lsn) (unsigned)((lsn) >> 32), (unsigned)(lsn)

/* Writes the text into ret. A position of kind NONE is "". */
void pgs_pos_format(const struct pgs_pos *pos, char ret[PGS_POS_TEXT]);

/* The way back. CDC_FAIL: not one of the three forms; *ret is then untouched. */
CDC_CHECK int pgs_pos_parse(struct cdc_slice text, struct pgs_pos *ret);

/* "X/X" as PostgreSQL writes an LSN. */
CDC_CHECK int pgs_lsn_parse(const char *text, uint64_t *ret);

#endif
