/*
 * decode.h - the binlog's bytes as structs, MySQL's and MariaDB's. Pure: no client library, no I/O,
 * no log. Protocol: MySQL source, libs/mysql/binlog/event; MariaDB Knowledge Base, "Replication
 * Protocol".
 *
 *   event         time 4 | type 1 | server 4 | length 4 | end position 4 | flags 2 | body | [CRC 4]
 *   transaction   MySQL    GTID, QUERY BEGIN, {TABLE_MAP.., ROWS..}.., XID | QUERY COMMIT |
 * XA_PREPARE or GTID, PAYLOAD, which holds all but the GTID as one zstd frame MariaDB  GTID,
 * {TABLE_MAP.., ROWS..}.., XID; a GTID that stands alone has a QUERY rows          table 6 | flags
 * 2 | [extra] | columns | bitmap | [bitmap] | rows (rows.h)
 *
 * Two steps: mys_decode_head cuts header and checksum off, mys_decode reads the body by a table of
 * functions. A table map has a third, mys_decode_columns, for tables that are captured.
 *
 * Everything points into the bytes given, which may be those of a packet, a file or a payload.
 * Failure: CDC_FAIL and a message that names the event's type; nothing is read outside the bytes.
 */
#ifndef MYS_DECODE_H
#define MYS_DECODE_H

#include "cdc/reader.h"

#define MYS_HEADER      19
#define MYS_COLUMNS_MAX 4096 /* MySQL's own limit */
#define MYS_TAG_MAX     32   /* characters of a GTID's tag */

/* How the events of a stream look. Zeroed, with `checksum` as the session asked for it, until the
 * first format description: the artificial ROTATE before that is checksummed too. */
struct mys_format {
    bool checksum; /* each event ends with its CRC-32 */
    bool mariadb;
    bool inner; /* events of a payload: never a checksum, no end position */
    char server[51];
};

enum mys_kind {
    MYS_OTHER, /* of no interest, or unknown and ignorable */
    MYS_FORMAT,
    MYS_ROTATE,
    MYS_STOP, /* the server stopped here; the next file follows */
    MYS_GTID,
    MYS_GTIDS,     /* body: MySQL, the set of all before this file, as mys_set_decode reads it */
    MYS_GTID_LIST, /* body: MariaDB, likewise; also artificial, while the server skips */
    MYS_QUERY,
    MYS_XID, /* commit */
    MYS_XA_PREPARE,
    MYS_TABLE_MAP,
    MYS_ROWS,
    MYS_PAYLOAD,
    MYS_HEARTBEAT,
    MYS_INCIDENT, /* changes may be missing */
};

enum { MYS_ARTIFICIAL = 0x20, MYS_IGNORABLE = 0x80 }; /* of an event's flags */

/* A transaction's name. MySQL: uuid, tag, number. MariaDB: domain, server, number. */
struct mys_gtid {
    bool mariadb, anonymous; /* anonymous: MySQL with gtid_mode=OFF */
    uint8_t uuid[16];
    char tag[MYS_TAG_MAX + 1];
    uint32_t domain, server;
    uint64_t number;
};

enum mys_gtid_flag {
    MYS_GTID_STANDALONE = 1u << 0, /* no commit event follows: one QUERY */
    MYS_GTID_DDL = 1u << 5,
    MYS_GTID_XA_PREPARED = 1u << 6,
    MYS_GTID_XA_COMPLETED = 1u << 7,
    /* Of its second byte: an ALTER in two phases (binlog_alter_two_phase) begins, ends, failed. */
    MYS_GTID_ALTER_BEGINS = 1u << 9,
    MYS_GTID_ALTER_ENDS = 1u << 10,
    MYS_GTID_ALTER_FAILED = 1u << 11,
    MYS_GTID_ALTER = MYS_GTID_ALTER_BEGINS | MYS_GTID_ALTER_ENDS | MYS_GTID_ALTER_FAILED,
};

/* X'..',X'..',format of the SQL statements. */
struct mys_xid {
    uint32_t format;
    uint8_t gtrid_len, bqual_len; /* at most 64 each */
    uint8_t data[128];            /* gtrid, bqual */
};

enum mys_op { MYS_INSERT, MYS_UPDATE, MYS_DELETE };

struct mys_event {
    uint8_t type;
    uint16_t flags;
    uint32_t time_s, server_id, len; /* len: of the whole event */
    uint32_t next_pos;               /* wraps above 4 GiB; 0: none */
    enum mys_kind kind;
    struct cdc_slice body;
    union {
        struct mys_format format;
        struct {
            uint64_t pos;
            struct cdc_slice file;
        } rotate;
        struct {
            struct mys_gtid id;
            uint16_t flags; /* MariaDB: mys_gtid_flag */
            int64_t
                commit_us; /* MySQL: since 1970 UTC at this server, and where it began; else 0 */
            int64_t original_us;
            uint64_t trx_len;   /* MySQL: bytes of the whole transaction; 0: not told */
            struct mys_xid xid; /* with the two XA flags */
        } gtid;
        struct {
            struct cdc_slice status, db, sql;
            uint32_t thread; /* the session's number at the server where it was written first */
            uint16_t error;
            bool packed; /* sql: see mys_unpack */
        } query;
        uint64_t xid;
        struct {
            bool one_phase; /* this is the commit already */
            struct mys_xid xid;
        } xa;
        struct {
            uint64_t id;
            const char *db, *name;
            size_t columns; /* offset in body */
        } map;
        struct {
            uint64_t map_id;
            bool statement_end;
            bool packed;  /* rows: see mys_unpack */
            bool partial; /* updates hold differences of JSON documents */
            enum mys_op op;
            uint32_t n;                    /* columns */
            const uint8_t *before, *after; /* bit per column, LSB first; NULL: no such image */
            uint32_t n_before, n_after;    /* bits that are set in them */
            struct cdc_slice rows;
        } rows;
        struct {
            bool zstd;     /* else plain events */
            uint64_t size; /* unpacked */
            struct cdc_slice packed;
        } payload;
        struct {
            uint64_t pos;
            struct cdc_slice file;
        } heartbeat;
        uint16_t incident;
    };
};

/* The event that fills `bytes`: header fields, and `body` without header and checksum (verified).
 */
CDC_CHECK int mys_decode_head(const struct mys_format *fmt, struct cdc_slice bytes,
                              struct mys_event *ret, struct cdc_error *err);

/* What mys_decode_head left out: kind and its part of the union. */
CDC_CHECK int mys_decode(const struct mys_format *fmt, struct mys_event *ev, struct cdc_error *err);

/* One column of a table map. What the map does not tell is 0, NULL or -1. */
struct mys_map_column {
    uint8_t type; /* on the wire; a STRING's real type is in meta */
    uint16_t meta;
    bool nullable, invisible;
    int8_t is_unsigned; /* -1: not told */
    uint32_t charset;   /* collation id */
    struct cdc_slice name;
    struct cdc_slice labels; /* ENUM, SET: count, then length and bytes each, in `charset` */
    uint16_t key;            /* 1, 2, ...: place in the primary key */
    int16_t geometry;        /* 0 any, 1 point, 2 line, ... */
    uint32_t dimension;      /* VECTOR */
};

struct mys_map_columns {
    uint32_t n;
    bool has_names; /* FULL: then the primary key is told too, if there is one */
    struct mys_map_column *cols;
};

/*
 * The columns of a MYS_TABLE_MAP, in the arena. CDC_END: a type whose metadata we cannot read
 * (ret->n and the types are set), of which only the caller knows whether it matters.
 */
CDC_CHECK int mys_decode_columns(const struct mys_format *fmt, const struct mys_event *ev,
                                 struct cdc_arena *arena, struct mys_map_columns *ret,
                                 struct cdc_error *err);

/* Characters that a tag may have, in the form that the server keeps: not more than MYS_TAG_MAX. */
bool mys_tag_valid(const uint8_t *tag, size_t len);

/* MySQL's length-encoded integer; 0 and failed when cut short or no number. */
uint64_t mys_read_lenenc(struct cdc_reader *rd);
/* Little-endian integers of n <= 8 bytes; the usual ones are one load each. */
static inline uint64_t mys_read_le(struct cdc_reader *rd, unsigned n)
{
    switch (n) {
    case 1: return cdc_read_u8(rd);
    case 2: return cdc_read_le16(rd);
    case 4: return cdc_read_le32(rd);
    case 8: return cdc_read_le64(rd);
    default: break;
    }
    const uint8_t *p = cdc_read_raw(rd, n);
    uint64_t val = 0;
    for (unsigned i = 0; p && i < n; i++)
        val |= (uint64_t)p[i] << (8 * i);
    return val;
}

/* The name of an event's type for messages: "TABLE_MAP". */
const char *mys_event_name(uint8_t type);

/* For the files that read parts of events: CDC_FAIL, CDC_FATAL, naming the type. */
int mys_malformed(uint8_t type, const char *what, struct cdc_error *err);

#endif
