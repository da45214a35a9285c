/*
 * position.h - what `position` in the checkpoint says for MySQL and MariaDB. Pure; no I/O.
 *
 * A JSON object:
 *   {"kind":"tx","file":"bin.000003","pos":1234,"gtids":"0-1-100",
 *    "last":{"file":"bin.000003","pos":900,"id":"0-1-100","us":1700000000000000},
 *    "xa":[{"xid":"X'..',X'..',1","file":"bin.000002","pos":77,"gtid":"0-1-42"}]}
 *   {"kind":"cut", ... as above, of what lies before the transaction ...,
 *    "tx":{"file":"bin.000003","pos":1234,"id":"0-1-101","us":...},"n":1000,"crc":"9ae0daaf"}
 *
 * tx: everything before file:pos, which is the end of a transaction or of another event between
 * two, is out. cut: likewise, and n raw rows of the transaction whose GTID event begins at tx.pos.
 * `gtids` is the same place as a set (MySQL) or list (MariaDB), null where the server has no GTIDs:
 * with them the server is asked for what follows, also another server after a failover; file and
 * pos count alone where there are none, and only on the server that the fingerprint names. `last`
 * is the last transaction that was handed over, if there was one; `xa` are the transactions that
 * are prepared, not yet ended: their rows are read again from there when they commit. (After a
 * failover their file is "" and the GTID alone counts.)
 */
#ifndef MYS_POSITION_H
#define MYS_POSITION_H

#include "cdc/change.h"
#include "gtid.h"

#define MYS_FILE_MAX 255
#define MYS_ID_MAX   96 /* uuid:tag:number */

/* A transaction: where its GTID event begins. */
struct mys_at {
    char file[MYS_FILE_MAX + 1]; /* "": none */
    uint64_t pos;
    char id[MYS_ID_MAX]; /* its GTID, or "": none */
    int64_t us;          /* committed; microseconds since 1970 UTC */
};

/* Transactions named by GTIDs, of either server. */
struct mys_gtids {
    bool mariadb;
    struct mys_set set;   /* MySQL */
    struct mys_list list; /* MariaDB */
};

void mys_gtids_done(struct mys_gtids *gtids);
CDC_CHECK int mys_gtids_copy(const struct mys_gtids *from, struct mys_gtids *ret); /* into zeroed */
CDC_CHECK int mys_gtids_add(struct mys_gtids *gtids, const struct mys_gtid *gtid);
bool mys_gtids_contain(const struct mys_gtids *gtids, const struct mys_gtid *gtid);
bool mys_gtids_subset(const struct mys_gtids *part, const struct mys_gtids *whole);
bool mys_gtids_empty(const struct mys_gtids *gtids);
/* Into a zeroed one. CDC_FAIL (CDC_FATAL): not of that family. "" is the empty one. */
CDC_CHECK int mys_gtids_parse(bool mariadb, struct cdc_slice text, struct mys_gtids *ret,
                              struct cdc_error *err);
void mys_gtids_print(const struct mys_gtids *gtids, struct cdc_buf *buf);
/* One GTID from its text (uuid:1, uuid:tag:1, 0-1-100). CDC_FAIL: it is none. */
CDC_CHECK int mys_gtid_parse(struct cdc_slice text, struct mys_gtid *ret);

/* A transaction that is prepared (XA) and not yet ended. */
struct mys_prepared {
    struct mys_xid xid;
    struct mys_at at;
    struct mys_prepared *next;
};

enum mys_pos_kind { MYS_POS_NONE, MYS_POS_TX, MYS_POS_CUT };

struct mys_pos {
    enum mys_pos_kind kind;
    char file[MYS_FILE_MAX + 1];
    uint64_t pos;
    bool by_file; /* the server has no GTIDs; they are empty and never counted on */
    struct mys_gtids gtids;
    struct mys_at last;            /* file "": none */
    struct mys_prepared *prepared; /* oldest first */
    struct mys_at tx;              /* cut */
    uint64_t n;                    /* cut: raw rows */
    uint32_t crc;                  /* cut: CRC-32C of those rows' bytes */
};

void mys_pos_done(struct mys_pos *pos); /* fine on zeroed memory; zeroes it */
CDC_CHECK int mys_pos_copy(const struct mys_pos *from, struct mys_pos *ret); /* into zeroed */
void mys_pos_print(const struct mys_pos *pos, struct cdc_buf *buf);
/* Into a zeroed one; strict: only what print writes. CDC_FAIL: not one of ours, or of the other
 * family; *ret is then zeroed. */
CDC_CHECK int mys_pos_parse(bool mariadb, struct cdc_slice text, struct mys_pos *ret);

/* X'..',X'..',format: as SQL writes it; the way back in parse. */
void mys_xid_print(const struct mys_xid *xid, struct cdc_buf *buf);
bool mys_xid_eq(const struct mys_xid *a, const struct mys_xid *b);

/*
 * `place`: the number behind the file's last dot (8 hex digits), the offset (16). CDC_FAIL: a file
 * without a number, or above 32 bits.
 */
CDC_CHECK int mys_place(const char *file, uint64_t pos, char ret[CDC_PLACE_LEN + 1]);
/* Order of two places in the log of one server. */
int mys_at_order(const char *file_a, uint64_t pos_a, const char *file_b, uint64_t pos_b);

#endif
