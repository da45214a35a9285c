/*
 * decode.c - pgoutput's bytes as structs; reads downward like the protocol page.
 *
 * Every read goes through a cdc_reader, which fails for good when too little is left; it is asked
 * once at the end of a message. A message must end where its last field ends: bytes left over mean
 * that we and the server disagree about the protocol, and then no value can be trusted. Streaming
 * messages (S E c A) and two-phase ones (b P K r p) are never asked for and are refused.
 */
#include "decode.h"

#define EPOCH_US 946684800000000 /* 2000-01-01 after 1970-01-01 */

static int malformed(uint8_t type, const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "postgres",
                    "replication message '%c' (0x%02x): %s; this version cannot read this server's "
                    "protocol, please report it",
                    type > 32 && type < 127 ? type : '?', type, what);
}

/* PostgreSQL's microseconds since 2000 as microseconds since 1970; saturates (bytes may be any). */
static int64_t unix_us(uint64_t us)
{
    int64_t ret;
    return __builtin_add_overflow((int64_t)us, EPOCH_US, &ret) ? INT64_MAX : ret;
}

int pgs_decode_frame(struct cdc_slice bytes, struct pgs_frame *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    struct pgs_frame frame = {.kind = cdc_read_u8(&rd)};
    if (frame.kind == 'w') {
        uint64_t start = cdc_read_be64(&rd);
        frame.wal_end = cdc_read_be64(&rd);
        if (start > frame.wal_end)
            frame.wal_end = start;
        frame.sent_us = unix_us(cdc_read_be64(&rd));
        frame.payload = rd.off;
    } else if (frame.kind == 'k') {
        frame.wal_end = cdc_read_be64(&rd);
        cdc_read_be64(&rd);
        frame.reply = cdc_read_u8(&rd) != 0;
    } else {
        return malformed(frame.kind, "unknown frame", err);
    }
    if (rd.failed || (frame.kind == 'w' && cdc_reader_left(&rd) == 0))
        return malformed(frame.kind, "the frame is cut short", err);
    *ret = frame;
    return CDC_OK;
}

static void read_begin(struct cdc_reader *rd, struct pgs_msg *msg)
{
    msg->begin.commit = cdc_read_be64(rd);
    msg->begin.commit_us = unix_us(cdc_read_be64(rd));
    msg->begin.xid = cdc_read_be32(rd);
}

static void read_commit(struct cdc_reader *rd, struct pgs_msg *msg)
{
    cdc_read_u8(rd);
    msg->commit.commit = cdc_read_be64(rd);
    msg->commit.end = cdc_read_be64(rd);
    msg->commit.commit_us = unix_us(cdc_read_be64(rd));
}

static void read_relation(struct cdc_reader *rd, struct pgs_room *room, struct pgs_msg *msg)
{
    msg->relation.oid = cdc_read_be32(rd);
    msg->relation.schema = cdc_read_cstr(rd);
    msg->relation.name = cdc_read_cstr(rd);
    msg->relation.identity = cdc_read_u8(rd);
    uint16_t n = cdc_read_be16(rd);
    if (n > CDC_COLUMNS_MAX)
        rd->failed = true;
    for (uint16_t i = 0; i < n && !rd->failed; i++) {
        struct pgs_row_column *col = &room->cols[i];
        col->flags = cdc_read_u8(rd);
        col->name = cdc_read_cstr(rd);
        col->type = cdc_read_be32(rd);
        col->typmod = (int32_t)cdc_read_be32(rd);
    }
    msg->relation.n = n;
    msg->relation.cols = room->cols;
}

static void read_type(struct cdc_reader *rd, struct pgs_msg *msg)
{
    msg->type_.oid = cdc_read_be32(rd);
    msg->type_.schema = cdc_read_cstr(rd);
    msg->type_.name = cdc_read_cstr(rd);
}

static uint16_t read_tuple(struct cdc_reader *rd, uint8_t *base, struct pgs_cell *cells)
{
    uint16_t n = cdc_read_be16(rd);
    if (n > CDC_COLUMNS_MAX)
        rd->failed = true;
    for (uint16_t i = 0; i < n && !rd->failed; i++) {
        struct pgs_cell *cell = &cells[i];
        cell->kind = cdc_read_u8(rd);
        cell->len = 0;
        if (cell->kind == 't') {
            cell->len = cdc_read_be32(rd);
            cell->p = base + rd->off;
            cdc_read_raw(rd, cell->len);
        } else if (cell->kind != 'n' && cell->kind != 'u') {
            rd->failed = true;
        }
    }
    return rd->failed ? 0 : n;
}

/* I: N tuple.  D: K or O tuple.  U: an N tuple behind a K, an O, or nothing. */
static void read_row(struct cdc_reader *rd, uint8_t *base, struct pgs_room *room,
                     struct pgs_msg *msg)
{
    msg->row.rel = cdc_read_be32(rd);
    msg->row.before = room->before;
    msg->row.after = room->after;
    uint8_t mark = cdc_read_u8(rd);
    if (msg->type != 'I' && (mark == 'K' || mark == 'O')) {
        msg->row.old = mark;
        msg->row.n_before = read_tuple(rd, base, room->before);
        if (msg->type == 'D')
            return;
        mark = cdc_read_u8(rd);
    }
    if (mark != 'N' || msg->type == 'D')
        rd->failed = true;
    else
        msg->row.n_after = read_tuple(rd, base, room->after);
}

static void read_truncate(struct cdc_reader *rd, struct pgs_msg *msg)
{
    msg->truncate.n = cdc_read_be32(rd);
    msg->truncate.flags = cdc_read_u8(rd);
    msg->truncate.oids = cdc_read_raw(rd, (size_t)msg->truncate.n * 4);
}

static void read_message(struct cdc_reader *rd, struct pgs_msg *msg)
{
    msg->message.flags = cdc_read_u8(rd);
    msg->message.lsn = cdc_read_be64(rd);
    msg->message.prefix = cdc_read_cstr(rd);
    msg->message.content = cdc_read_bytes(rd, cdc_read_be32(rd));
}

int pgs_decode_head(struct cdc_slice bytes, struct pgs_msg *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    struct pgs_msg msg = {.type = cdc_read_u8(&rd)};
    if (msg.type == 'I' || msg.type == 'U' || msg.type == 'D')
        msg.row.rel = cdc_read_be32(&rd);
    if (rd.failed)
        return malformed(msg.type, "it is cut short", err);
    *ret = msg;
    return CDC_OK;
}

int pgs_decode(uint8_t *bytes, size_t len, struct pgs_room *room, struct pgs_msg *ret,
               struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes, len);
    struct pgs_msg msg = {.type = cdc_read_u8(&rd)};
    switch (msg.type) {
    case 'B': read_begin(&rd, &msg); break;
    case 'C': read_commit(&rd, &msg); break;
    case 'R': read_relation(&rd, room, &msg); break;
    case 'Y': read_type(&rd, &msg); break;
    case 'I':
    case 'U':
    case 'D': read_row(&rd, bytes, room, &msg); break;
    case 'T': read_truncate(&rd, &msg); break;
    case 'M': read_message(&rd, &msg); break;
    case 'O':
        cdc_read_be64(&rd);
        cdc_read_cstr(&rd);
        break;
    default: return malformed(msg.type, "unknown type", err);
    }
    if (rd.failed)
        return malformed(msg.type, "it is cut short or a field is out of range", err);
    if (cdc_reader_left(&rd) != 0)
        return malformed(msg.type, "bytes are left over", err);
    *ret = msg;
    return CDC_OK;
}
