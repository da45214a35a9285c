/*
 * session.c - a QUERY's status variables (mys_session_read in ddl.h). MySQL source,
 * libs/mysql/binlog/event/statement_events.h; MariaDB's own are 128 and above.
 *
 * A code, then what belongs to it; nothing tells the length, so that an unknown code ends the scan.
 * Those that matter come first. Microseconds are 13 on MySQL, 128 on MariaDB.
 */
#include "ddl.h"

/* Lengths of the status variables before those that we want, and of those between. */
static bool skip_status(struct cdc_reader *rd, uint8_t code)
{
    static const uint8_t fixed[] = {
        [0] = 4,  [3] = 4,  [7] = 2,  [8] = 2,  [9] = 8,  [10] = 4,
        [16] = 1, [17] = 8, [18] = 2, [19] = 1, [20] = 1,
    };
    switch (code) {
    case 2: cdc_read_raw(rd, cdc_read_u8(rd) + 1u); return true; /* a catalog and a NUL */
    case 5:
    case 6: cdc_read_raw(rd, cdc_read_u8(rd)); return true;
    case 11:
        cdc_read_raw(rd, cdc_read_u8(rd));
        cdc_read_raw(rd, cdc_read_u8(rd));
        return true;
    case 129: cdc_read_raw(rd, 8); return true;
    default: break;
    }
    if (code >= sizeof fixed || !fixed[code])
        return false;
    cdc_read_raw(rd, fixed[code]);
    return true;
}

/* 12: databases that it touches; 254 says too many to name. */
static void skip_databases(struct cdc_reader *rd)
{
    uint8_t n = cdc_read_u8(rd);
    for (uint8_t i = 0; n < 254 && i < n && !rd->failed; i++)
        cdc_read_cstr(rd);
}

void mys_session_read(struct cdc_slice status, struct mys_session *ret)
{
    struct cdc_reader rd = cdc_reader_of(status.p, status.len);
    memset(ret, 0, sizeof *ret);
    while (!rd.failed && cdc_reader_left(&rd) > 0) {
        uint8_t code = cdc_read_u8(&rd);
        if (code == 1) {
            uint64_t mode = mys_read_le(&rd, 8);
            ret->ansi_quotes = mode & 4;
            ret->no_backslash = mode >> 20 & 1;
        } else if (code == 4) {
            ret->collation = (uint32_t)mys_read_le(&rd, 2);
            mys_read_le(&rd, 4);
        } else if (code == 12) {
            skip_databases(&rd);
        } else if (code == 13 || code == 128) {
            ret->us = (uint32_t)mys_read_le(&rd, 3);
            ret->has_us = !rd.failed;
        } else if (!skip_status(&rd, code)) {
            return;
        }
    }
}
