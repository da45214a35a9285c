/*
 * decode.c - binlog events as structs; a table of functions, one for each type of event.
 *
 * Every read goes through a cdc_reader, which fails for good when too little is left; it is asked
 * once at the end of an event. Bodies of several types may grow at their end in later versions
 * (the format description promises so), so bytes left over are no error there; where nothing may
 * follow, they are.
 *
 * An unknown type that the server marks as ignorable is skipped, any other is refused: it may hold
 * changes. Types that hold none for us are in the table without a function. A format description
 * that announces other fixed parts than we know is refused at once, before anything is misread.
 *
 * The CRC of a format description is there whatever the algorithm is, and was computed before the
 * flag "in use" was set in the header.
 */
#include "decode.h"

#include "compress.h"

#include <stdio.h>

#define IN_USE 0x01 /* flag of a format description: the file is being written */

enum type {
    T_QUERY = 2,
    T_ROTATE = 4,
    T_FORMAT = 15,
    T_LOAD_QUERY = 18,
    T_TABLE_MAP = 19,
    T_WRITE_V1 = 23,
    T_HEARTBEAT = 27,
    T_WRITE_V2 = 30,
    T_ANONYMOUS = 34,
    T_PARTIAL_UPDATE = 39,
    T_HEARTBEAT_V2 = 41,
    T_QUERY_PACKED = 165,
    T_WRITE_PACKED_V1 = 166,
    T_WRITE_PACKED_V2 = 169,
};

int mys_malformed(uint8_t type, const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "mysql",
                    "binlog event %s (type %u): %s; the binlog is damaged, or this version cannot "
                    "read this server's binlog: please report it",
                    mys_event_name(type), type, what);
}

uint64_t mys_read_lenenc(struct cdc_reader *rd)
{
    uint8_t first = cdc_read_u8(rd);
    switch (first) {
    case 0xfc: return mys_read_le(rd, 2);
    case 0xfd: return mys_read_le(rd, 3);
    case 0xfe: return mys_read_le(rd, 8);
    case 0xfb:
    case 0xff: rd->failed = true; return 0;
    default: return first;
    }
}

static struct cdc_slice read_rest(struct cdc_reader *rd)
{
    return cdc_read_bytes(rd, cdc_reader_left(rd));
}

/* Years until 2286 leave the top bits alone; a larger number is nonsense and saturates. */
static int64_t time_us(uint64_t us)
{
    return us > INT64_MAX ? INT64_MAX : (int64_t)us;
}

/* Lengths of the fixed parts, which stand at index type - 1; 0: the server never writes it. */
static bool known_lengths(struct cdc_slice lens)
{
    static const uint8_t expected[T_WRITE_V2 + 2] = {
        [T_QUERY - 1] = 13,    [T_ROTATE - 1] = 8, [T_TABLE_MAP - 1] = 8,
        [T_WRITE_V1 - 1] = 8,  [T_WRITE_V1] = 8,   [T_WRITE_V1 + 1] = 8,
        [T_WRITE_V2 - 1] = 10, [T_WRITE_V2] = 10,  [T_WRITE_V2 + 1] = 10,
    };
    if (lens.len < sizeof expected)
        return false;
    for (size_t i = 0; i < sizeof expected; i++)
        if (expected[i] && lens.p[i] && lens.p[i] != expected[i])
            return false;
    return true;
}

static void read_format(struct cdc_reader *rd, struct mys_event *ev)
{
    uint16_t version = (uint16_t)mys_read_le(rd, 2);
    const uint8_t *server = cdc_read_raw(rd, 50);
    mys_read_le(rd, 4);
    uint8_t header = cdc_read_u8(rd);
    size_t left = cdc_reader_left(rd);
    struct cdc_slice lens = cdc_read_bytes(rd, left ? left - 1 : 0);
    uint8_t algorithm = cdc_read_u8(rd);
    memset(&ev->format, 0, sizeof ev->format);
    if (rd->failed || version != 4 || header != MYS_HEADER || algorithm > 1 ||
        !known_lengths(lens)) {
        rd->failed = true;
        return;
    }
    memcpy(ev->format.server, server, 50);
    ev->format.checksum = algorithm == 1;
    ev->format.mariadb = strstr(ev->format.server, "MariaDB") || lens.len > 160;
}

static void read_rotate(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->rotate.pos = mys_read_le(rd, 8);
    ev->rotate.file = read_rest(rd);
    if (ev->rotate.file.len == 0)
        rd->failed = true;
}

/* 27: the file's name alone, the position is the header's. 41: type, length, value triples. */
static void read_heartbeat(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->heartbeat.pos = ev->next_pos;
    ev->heartbeat.file = cdc_slice_of(NULL, 0);
    if (ev->type == T_HEARTBEAT) {
        ev->heartbeat.file = read_rest(rd);
        return;
    }
    while (!rd->failed && cdc_reader_left(rd) > 0) {
        uint64_t field = mys_read_lenenc(rd);
        if (field == 0)
            break;
        struct cdc_slice value = cdc_read_bytes(rd, mys_read_lenenc(rd));
        struct cdc_reader in = cdc_reader_of(value.p, value.len);
        if (field == 1)
            ev->heartbeat.file = value;
        else if (field == 2)
            ev->heartbeat.pos = mys_read_lenenc(&in);
        rd->failed |= in.failed;
    }
}

static void read_incident(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->incident = (uint16_t)mys_read_le(rd, 2);
}

static void read_xid_data(struct cdc_reader *rd, uint32_t gtrid, uint32_t bqual,
                          struct mys_xid *ret)
{
    if (gtrid > 64 || bqual > 64) {
        rd->failed = true;
        return;
    }
    const uint8_t *data = cdc_read_raw(rd, (size_t)gtrid + bqual);
    if (!data)
        return;
    ret->gtrid_len = (uint8_t)gtrid;
    ret->bqual_len = (uint8_t)bqual;
    memcpy(ret->data, data, (size_t)gtrid + bqual);
}

static void read_gtid(struct cdc_reader *rd, struct mys_event *ev)
{
    memset(&ev->gtid, 0, sizeof ev->gtid);
    cdc_read_u8(rd);
    const uint8_t *uuid = cdc_read_raw(rd, 16);
    if (uuid)
        memcpy(ev->gtid.id.uuid, uuid, 16);
    ev->gtid.id.number = mys_read_le(rd, 8);
    ev->gtid.id.anonymous = ev->type == T_ANONYMOUS;
    if (cdc_reader_left(rd) == 0 || cdc_read_u8(rd) != 2)
        return; /* before MySQL 5.7: no clock */
    mys_read_le(rd, 8);
    mys_read_le(rd, 8);
    uint64_t us = mys_read_le(rd, 7);
    ev->gtid.commit_us = time_us(us & ~(UINT64_C(1) << 55));
    ev->gtid.original_us = us >> 55 ? time_us(mys_read_le(rd, 7)) : ev->gtid.commit_us;
    ev->gtid.trx_len = mys_read_lenenc(rd);
}

/*
 * The numbers of mysql::serialization: as many low one-bits as bytes follow the first, a zero, then
 * the value, little-endian. Signed ones are zig-zag.
 */
static uint64_t read_varint(struct cdc_reader *rd)
{
    uint8_t first = cdc_read_u8(rd);
    unsigned more = 0;
    while (more < 8 && first >> more & 1)
        more++;
    uint64_t rest = mys_read_le(rd, more);
    return more == 8 ? rest : (uint64_t)first >> (more + 1) | rest << (7 - more);
}

static int64_t read_signed(struct cdc_reader *rd)
{
    uint64_t n = read_varint(rd);
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

bool mys_tag_valid(const uint8_t *tag, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool digit = tag[i] >= '0' && tag[i] <= '9';
        if (tag[i] != '_' && (tag[i] < 'a' || tag[i] > 'z') && (!digit || i == 0))
            return false;
    }
    return len <= MYS_TAG_MAX;
}

static void read_tag(struct cdc_reader *rd, struct mys_gtid *id)
{
    uint64_t len = read_varint(rd);
    const uint8_t *tag = len > MYS_TAG_MAX ? NULL : cdc_read_raw(rd, len);
    if (!tag || !mys_tag_valid(tag, len))
        rd->failed = true;
    else
        memcpy(id->tag, tag, len);
}

static void read_tagged_field(struct cdc_reader *rd, uint64_t field, struct mys_event *ev)
{
    int64_t number;
    switch (field) {
    case 1:
        for (unsigned i = 0; i < 16; i++)
            ev->gtid.id.uuid[i] = (uint8_t)read_varint(rd);
        break;
    case 2:
        number = read_signed(rd);
        ev->gtid.id.number = (uint64_t)number;
        rd->failed |= number < 1;
        break;
    case 3: read_tag(rd, &ev->gtid.id); break;
    case 6: ev->gtid.commit_us = time_us(read_varint(rd)); break;
    case 7: ev->gtid.original_us = time_us(read_varint(rd)); break;
    case 8: ev->gtid.trx_len = read_varint(rd); break;
    default: read_varint(rd); break; /* 0, 4, 5, 9, 10, 11: numbers */
    }
}

/* version, size, last field that must be known; then fields, each with its number before it. */
static void read_gtid_tagged(struct cdc_reader *rd, struct mys_event *ev)
{
    memset(&ev->gtid, 0, sizeof ev->gtid);
    if (read_varint(rd) != 1)
        rd->failed = true;
    read_varint(rd);
    read_varint(rd);
    uint64_t last = 0;
    while (!rd->failed && cdc_reader_left(rd) > 0) {
        uint64_t field = read_varint(rd);
        if (field > 11)
            break; /* of a later version, and ignorable: 11 was the last that is not */
        read_tagged_field(rd, field, ev);
        last = field;
    }
    if (last < 4)
        rd->failed = true;
    if (!ev->gtid.original_us)
        ev->gtid.original_us = ev->gtid.commit_us;
}

static void read_gtid_mariadb(struct cdc_reader *rd, struct mys_event *ev)
{
    memset(&ev->gtid, 0, sizeof ev->gtid);
    ev->gtid.id.mariadb = true;
    ev->gtid.id.number = mys_read_le(rd, 8);
    ev->gtid.id.domain = (uint32_t)mys_read_le(rd, 4);
    ev->gtid.id.server = ev->server_id;
    ev->gtid.flags = cdc_read_u8(rd);
    if (ev->gtid.flags & 2) /* of a group commit */
        mys_read_le(rd, 8);
    if (ev->gtid.flags & (MYS_GTID_XA_PREPARED | MYS_GTID_XA_COMPLETED)) {
        ev->gtid.xid.format = (uint32_t)mys_read_le(rd, 4);
        uint8_t gtrid = cdc_read_u8(rd), bqual = cdc_read_u8(rd);
        read_xid_data(rd, gtrid, bqual, &ev->gtid.xid);
    }
    if (!rd->failed && cdc_reader_left(rd) > 0) /* else of an older server, or not padded */
        ev->gtid.flags |= (uint16_t)(cdc_read_u8(rd) << 8) & MYS_GTID_ALTER;
}

static void read_query(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->query.thread = (uint32_t)mys_read_le(rd, 4);
    mys_read_le(rd, 4);
    uint8_t db_len = cdc_read_u8(rd);
    ev->query.error = (uint16_t)mys_read_le(rd, 2);
    uint16_t status_len = (uint16_t)mys_read_le(rd, 2);
    if (ev->type == T_LOAD_QUERY) /* LOAD DATA as a statement: more fixed fields */
        cdc_read_raw(rd, 13);
    ev->query.status = cdc_read_bytes(rd, status_len);
    ev->query.db = cdc_read_bytes(rd, db_len);
    if (cdc_read_u8(rd) != 0)
        rd->failed = true;
    ev->query.sql = read_rest(rd);
    ev->query.packed = ev->type == T_QUERY_PACKED;
}

static void read_xid(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->xid = mys_read_le(rd, 8);
}

static void read_xa_prepare(struct cdc_reader *rd, struct mys_event *ev)
{
    memset(&ev->xa, 0, sizeof ev->xa);
    ev->xa.one_phase = cdc_read_u8(rd) != 0;
    ev->xa.xid.format = (uint32_t)mys_read_le(rd, 4);
    uint32_t gtrid = (uint32_t)mys_read_le(rd, 4), bqual = (uint32_t)mys_read_le(rd, 4);
    read_xid_data(rd, gtrid, bqual, &ev->xa.xid);
}

/* Fields 1 size, 2 algorithm (0 zstd, 255 none), 3 unpacked size; 0 ends them. */
static void read_payload(struct cdc_reader *rd, struct mys_event *ev)
{
    uint64_t field, size = 0, algorithm = 255;
    memset(&ev->payload, 0, sizeof ev->payload);
    while ((field = mys_read_lenenc(rd)) != 0) {
        struct cdc_slice value = cdc_read_bytes(rd, mys_read_lenenc(rd));
        struct cdc_reader in = cdc_reader_of(value.p, value.len);
        uint64_t number = mys_read_lenenc(&in);
        if (field == 1)
            size = number;
        else if (field == 2)
            algorithm = number;
        else if (field == 3)
            ev->payload.size = number;
        rd->failed |= in.failed;
    }
    ev->payload.zstd = algorithm == 0;
    ev->payload.packed = cdc_read_bytes(rd, size);
    if (algorithm != 0 && algorithm != 255)
        rd->failed = true;
}

/* Its length, and the text with a NUL behind it. */
static const char *read_name(struct cdc_reader *rd)
{
    uint8_t len = cdc_read_u8(rd);
    size_t from = rd->off;
    const char *name = cdc_read_cstr(rd);
    if (rd->off - from != len + 1u)
        rd->failed = true;
    return name;
}

static void read_table_map(struct cdc_reader *rd, struct mys_event *ev)
{
    ev->map.id = mys_read_le(rd, 6);
    mys_read_le(rd, 2);
    ev->map.db = read_name(rd);
    ev->map.name = read_name(rd);
    ev->map.columns = rd->off;
}

/* A bit for each of n columns; *ret_set: how many are set. */
static const uint8_t *read_bitmap(struct cdc_reader *rd, uint32_t n, uint32_t *ret_set)
{
    const uint8_t *bits = cdc_read_raw(rd, (n + 7) / 8);
    uint32_t set = 0;
    for (uint32_t i = 0; bits && i < n / 8; i++)
        set += (uint32_t)__builtin_popcount(bits[i]);
    if (bits && n % 8)
        set += (uint32_t)__builtin_popcount(bits[n / 8] & ((1u << n % 8) - 1));
    *ret_set = set;
    return bits;
}

/* Version 2 has more between head and columns, whose length counts its own two bytes. */
static void read_extra(struct cdc_reader *rd)
{
    uint16_t extra = (uint16_t)mys_read_le(rd, 2);
    if (extra < 2)
        rd->failed = true;
    else
        cdc_read_raw(rd, extra - 2u);
}

/* Which of the four families of three types, and which of the three. */
static bool rows_type(uint8_t type, bool *v2, bool *packed, enum mys_op *op)
{
    static const uint8_t first[] = {T_WRITE_V1, T_WRITE_V2, T_WRITE_PACKED_V1, T_WRITE_PACKED_V2};
    for (unsigned i = 0; i < 4; i++) {
        if (type < first[i] || type > first[i] + 2)
            continue;
        *v2 = i & 1;
        *packed = i >= 2;
        *op = (enum mys_op)(type - first[i]);
        return true;
    }
    *v2 = true;
    *packed = false;
    *op = MYS_UPDATE;
    return type == T_PARTIAL_UPDATE;
}

static void read_rows(struct cdc_reader *rd, struct mys_event *ev)
{
    bool v2;
    memset(&ev->rows, 0, sizeof ev->rows);
    rd->failed |= !rows_type(ev->type, &v2, &ev->rows.packed, &ev->rows.op);
    ev->rows.map_id = mys_read_le(rd, 6);
    ev->rows.statement_end = mys_read_le(rd, 2) & 1;
    ev->rows.partial = ev->type == T_PARTIAL_UPDATE;
    if (v2)
        read_extra(rd);
    uint64_t n = mys_read_lenenc(rd);
    if (n > MYS_COLUMNS_MAX)
        rd->failed = true;
    ev->rows.n = rd->failed ? 0 : (uint32_t)n;
    if (ev->rows.op != MYS_INSERT)
        ev->rows.before = read_bitmap(rd, ev->rows.n, &ev->rows.n_before);
    if (ev->rows.op != MYS_DELETE)
        ev->rows.after = read_bitmap(rd, ev->rows.n, &ev->rows.n_after);
    ev->rows.rows = read_rest(rd);
}

typedef void (*read_fn)(struct cdc_reader *rd, struct mys_event *ev);

static const struct event_type {
    const char *name;
    enum mys_kind kind;
    read_fn read;
    bool exact; /* nothing may follow what is read */
} types[256] = {
    [2] = {"QUERY", MYS_QUERY, read_query, true},
    [3] = {"STOP", MYS_STOP, NULL, false},
    [4] = {"ROTATE", MYS_ROTATE, read_rotate, true},
    [5] = {"INTVAR", MYS_OTHER, NULL, false}, /* of statements: the QUERY behind it tells */
    [13] = {"RAND", MYS_OTHER, NULL, false},
    [14] = {"USER_VAR", MYS_OTHER, NULL, false},
    [15] = {"FORMAT_DESCRIPTION", MYS_FORMAT, read_format, true},
    [16] = {"XID", MYS_XID, read_xid, true},
    [17] = {"BEGIN_LOAD_QUERY", MYS_OTHER, NULL, false},
    [9] = {"APPEND_BLOCK", MYS_OTHER, NULL, false},
    [11] = {"DELETE_FILE", MYS_OTHER, NULL, false},
    [18] = {"EXECUTE_LOAD_QUERY", MYS_QUERY, read_query, true},
    [19] = {"TABLE_MAP", MYS_TABLE_MAP, read_table_map, false},
    [23] = {"WRITE_ROWS_V1", MYS_ROWS, read_rows, true},
    [24] = {"UPDATE_ROWS_V1", MYS_ROWS, read_rows, true},
    [25] = {"DELETE_ROWS_V1", MYS_ROWS, read_rows, true},
    [26] = {"INCIDENT", MYS_INCIDENT, read_incident, false},
    [27] = {"HEARTBEAT", MYS_HEARTBEAT, read_heartbeat, true},
    [28] = {"IGNORABLE", MYS_OTHER, NULL, false},
    [29] = {"ROWS_QUERY", MYS_OTHER, NULL, false},
    [30] = {"WRITE_ROWS", MYS_ROWS, read_rows, true},
    [31] = {"UPDATE_ROWS", MYS_ROWS, read_rows, true},
    [32] = {"DELETE_ROWS", MYS_ROWS, read_rows, true},
    [33] = {"GTID", MYS_GTID, read_gtid, false},
    [34] = {"ANONYMOUS_GTID", MYS_GTID, read_gtid, false},
    [35] = {"PREVIOUS_GTIDS", MYS_GTIDS, NULL, false},
    [36] = {"TRANSACTION_CONTEXT", MYS_OTHER, NULL, false},
    [37] = {"VIEW_CHANGE", MYS_OTHER, NULL, false},
    [38] = {"XA_PREPARE", MYS_XA_PREPARE, read_xa_prepare, true},
    [39] = {"PARTIAL_UPDATE_ROWS", MYS_ROWS, read_rows, true},
    [40] = {"TRANSACTION_PAYLOAD", MYS_PAYLOAD, read_payload, true},
    [41] = {"HEARTBEAT_V2", MYS_HEARTBEAT, read_heartbeat, false},
    [42] = {"GTID_TAGGED", MYS_GTID, read_gtid_tagged, false},
    [160] = {"ANNOTATE_ROWS", MYS_OTHER, NULL, false},
    [161] = {"BINLOG_CHECKPOINT", MYS_OTHER, NULL, false},
    [162] = {"MARIADB_GTID", MYS_GTID, read_gtid_mariadb, false},
    [163] = {"GTID_LIST", MYS_GTID_LIST, NULL, false},
    [164] = {"START_ENCRYPTION", MYS_OTHER, NULL, false}, /* the server decrypts */
    [165] = {"QUERY_COMPRESSED", MYS_QUERY, read_query, true},
    [166] = {"WRITE_ROWS_COMPRESSED_V1", MYS_ROWS, read_rows, true},
    [167] = {"UPDATE_ROWS_COMPRESSED_V1", MYS_ROWS, read_rows, true},
    [168] = {"DELETE_ROWS_COMPRESSED_V1", MYS_ROWS, read_rows, true},
    [169] = {"WRITE_ROWS_COMPRESSED", MYS_ROWS, read_rows, true},
    [170] = {"UPDATE_ROWS_COMPRESSED", MYS_ROWS, read_rows, true},
    [171] = {"DELETE_ROWS_COMPRESSED", MYS_ROWS, read_rows, true},
};

const char *mys_event_name(uint8_t type)
{
    return types[type].name ? types[type].name : "of an unknown type";
}

static uint32_t sum_of(uint8_t type, struct cdc_slice bytes)
{
    uint8_t head[MYS_HEADER];
    if (type != T_FORMAT)
        return mys_crc32(0, bytes);
    memcpy(head, bytes.p, MYS_HEADER);
    head[17] &= (uint8_t)~IN_USE;
    uint32_t crc = mys_crc32(0, cdc_slice_of(head, MYS_HEADER));
    return mys_crc32(crc, cdc_slice_of(bytes.p + MYS_HEADER, bytes.len - MYS_HEADER));
}

/* Cuts the checksum off the body. A format description has one always: zero bytes without CRC. */
static int check_sum(const struct mys_format *fmt, struct cdc_slice bytes, struct mys_event *ev,
                     struct cdc_error *err)
{
    if (ev->body.len < 4 || (ev->type == T_FORMAT && ev->body.len < 5))
        return mys_malformed(ev->type, "it is too short for its checksum", err);
    ev->body.len -= 4;
    if (ev->type == T_FORMAT ? ev->body.p[ev->body.len - 1] != 1 : !fmt->checksum)
        return CDC_OK;
    struct cdc_reader rd = cdc_reader_of(bytes.p + bytes.len - 4, 4);
    if ((uint32_t)mys_read_le(&rd, 4) != sum_of(ev->type, cdc_slice_of(bytes.p, bytes.len - 4)))
        return mys_malformed(ev->type, "its checksum is wrong", err);
    return CDC_OK;
}

int mys_decode_head(const struct mys_format *fmt, struct cdc_slice bytes, struct mys_event *ret,
                    struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    ret->kind = MYS_OTHER;
    ret->time_s = (uint32_t)mys_read_le(&rd, 4);
    ret->type = cdc_read_u8(&rd);
    ret->server_id = (uint32_t)mys_read_le(&rd, 4);
    ret->len = (uint32_t)mys_read_le(&rd, 4);
    ret->next_pos = (uint32_t)mys_read_le(&rd, 4);
    ret->flags = (uint16_t)mys_read_le(&rd, 2);
    if (rd.failed || ret->len != bytes.len)
        return mys_malformed(ret->type, "its length does not fit its header", err);
    ret->body = cdc_slice_of(bytes.p + MYS_HEADER, bytes.len - MYS_HEADER);
    if (!fmt->inner && (fmt->checksum || ret->type == T_FORMAT))
        return check_sum(fmt, bytes, ret, err);
    return CDC_OK;
}

int mys_decode(const struct mys_format *fmt, struct mys_event *ev, struct cdc_error *err)
{
    const struct event_type *type = &types[ev->type];
    if (!type->name && !(ev->flags & MYS_IGNORABLE))
        return mys_malformed(ev->type, "the type is unknown and must not be skipped", err);
    ev->kind = type->kind;
    if (fmt->inner && (ev->kind == MYS_PAYLOAD || ev->kind == MYS_FORMAT))
        return mys_malformed(ev->type, "it stands inside a compressed transaction", err);
    if (!type->read)
        return CDC_OK;
    struct cdc_reader rd = cdc_reader_of(ev->body.p, ev->body.len);
    type->read(&rd, ev);
    if (rd.failed)
        return mys_malformed(ev->type, "it is cut short or a field is out of range", err);
    if (type->exact && cdc_reader_left(&rd) != 0)
        return mys_malformed(ev->type, "bytes are left over", err);
    return CDC_OK;
}
