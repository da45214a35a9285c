/*
 * decode.h - pgoutput's bytes (protocol 1, text values) as structs. Pure: no libpq, no I/O, no log,
 * no allocation. Protocol: PostgreSQL manual, "Logical Replication Message Formats" and "Streaming
 * Replication Protocol".
 *
 *   CopyData      w | wal start 8 | wal end 8 | time 8 | message ...
 *                 k | wal end 8 | time 8 | reply wanted 1
 *   message       B commit LSN 8, time 8, xid 4          C flags 1, commit LSN 8, end LSN 8, time 8
 *                 R oid 4, schema, name, identity 1, n 2, n x {flags 1, name, type 4, typmod 4}
 *                 Y oid 4, schema, name                  O origin LSN 8, name
 *                 I rel 4, N tuple                       D rel 4, K|O tuple
 *                 U rel 4, [K|O tuple,] N tuple          T n 4, flags 1, n x oid 4
 *                 M flags 1, LSN 8, prefix, len 4, bytes
 *   tuple         n 2, n x {n | u | t len 4 bytes}
 *
 * Everything points into the bytes given. A row's cells are not const: values are parsed in place.
 * Failure: CDC_FAIL and a message that names the message type; nothing was read outside the bytes.
 */
#ifndef PGS_DECODE_H
#define PGS_DECODE_H

#include "cdc/reader.h"
#include "cdc/table.h"

struct pgs_frame {
    uint8_t kind;     /* 'w' or 'k' */
    uint64_t wal_end; /* largest LSN that the frame names */
    bool reply;       /* k: an answer is wanted now */
    size_t payload;   /* w: offset of the message */
    int64_t sent_us;  /* w: the server's clock, since 1970 UTC */
};

CDC_CHECK int pgs_decode_frame(struct cdc_slice bytes, struct pgs_frame *ret,
                               struct cdc_error *err);

struct pgs_cell {
    uint8_t kind; /* 'n' null, 'u' unchanged, 't' text */
    uint32_t len;
    uint8_t *p;
};

struct pgs_row_column {
    uint8_t flags; /* 1: part of the replica identity */
    const char *name;
    uint32_t type;
    int32_t typmod;
};

/* Room for what has a variable number of parts; about 100 kB, one per stream. */
struct pgs_room {
    struct pgs_cell before[CDC_COLUMNS_MAX], after[CDC_COLUMNS_MAX];
    struct pgs_row_column cols[CDC_COLUMNS_MAX];
};

struct pgs_msg {
    uint8_t type;
    union {
        struct {
            uint64_t commit;
            int64_t commit_us; /* since 1970 UTC */
            uint32_t xid;
        } begin;
        struct {
            uint64_t commit, end;
            int64_t commit_us;
        } commit;
        struct {
            uint32_t oid;
            const char *schema, *name; /* schema "" is pg_catalog */
            uint8_t identity;          /* d n f i */
            uint16_t n;
            const struct pgs_row_column *cols;
        } relation;
        struct {
            uint32_t oid;
            const char *schema, *name;
        } type_;
        struct {
            uint32_t rel;
            uint8_t old; /* 'K', 'O' or 0: no old tuple */
            uint16_t n_before, n_after;
            const struct pgs_cell *before, *after;
        } row;
        struct {
            uint32_t n;
            uint8_t flags;       /* 1 cascade, 2 restart identity */
            const uint8_t *oids; /* n times four bytes, big endian */
        } truncate;
        struct {
            uint8_t flags; /* 1: transactional */
            uint64_t lsn;
            const char *prefix;
            struct cdc_slice content;
        } message;
    };
};

/* I, U, D: only type and row.rel are set; enough for a row of a table that nobody captures. */
CDC_CHECK int pgs_decode_head(struct cdc_slice bytes, struct pgs_msg *ret, struct cdc_error *err);

/* The whole message. */
CDC_CHECK int pgs_decode(uint8_t *bytes, size_t len, struct pgs_room *room, struct pgs_msg *ret,
                         struct cdc_error *err);

static inline uint32_t pgs_truncate_oid(const struct pgs_msg *msg, uint32_t i)
{
    struct cdc_reader rd = cdc_reader_of(msg->truncate.oids + (size_t)i * 4, 4);
    return cdc_read_be32(&rd);
}

#endif
