/*
 * look.c - what the server keeps of its log, for metrics and source.max_lag; and for resume.c.
 *
 * SHOW BINARY LOGS names every file with its size: what lies behind our place is their sum. (It
 * needs REPLICATION CLIENT on MySQL, BINLOG MONITOR on MariaDB; without it there is nothing to
 * tell.) The server keeps nothing because of us: it deletes files by age or size, read or not. So
 * held_bytes is what we still have to read, which is lost to us when that happens before.
 *
 * A connection of its own, on which every wait is bounded by 2 s; where that passes, or anything
 * fails, it is given up and nothing is asked for a minute.
 */
#include "mysql.h"

#include "cdc/clock.h"

#include <mariadb/mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_S 2
#define OFF_US 60000000

static void add_file(struct mys_logs *logs, const char *name, uint64_t size, const char *file,
                     uint64_t pos)
{
    int order = mys_at_order(name, 0, file, 0);
    if (!logs->first[0])
        snprintf(logs->first, sizeof logs->first, "%s", name);
    snprintf(logs->last, sizeof logs->last, "%s", name);
    logs->end = size;
    if (strcmp(name, file) == 0) {
        logs->where = pos <= size ? MYS_LOG_HERE : MYS_LOG_AHEAD;
        logs->behind += pos <= size ? size - pos : 0;
    } else if (order > 0) {
        logs->behind += size;
    }
}

int mys_logs_look(MYSQL *conn, const char *file, uint64_t pos, struct mys_logs *ret,
                  struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    MYSQL_ROW row;
    struct mys_logs logs = {.where = MYS_LOG_AHEAD};
    if (mys_query(conn, "SHOW BINARY LOGS", &res, err) < 0)
        return mysql_errno(conn) == ER_SPECIFIC_ACCESS_DENIED_ERROR ? CDC_END : CDC_FAIL;
    while (res && (row = mysql_fetch_row(res)) != NULL)
        if (row[0] && row[1])
            add_file(&logs, row[0], strtoull(row[1], NULL, 10), file, pos);
    if (logs.where == MYS_LOG_AHEAD && mys_at_order(file, 0, logs.first, 0) < 0)
        logs.where = MYS_LOG_GONE;
    *ret = logs;
    return CDC_OK;
}

static int ask(struct mys_source *src, struct mys_logs *ret, struct cdc_error *err)
{
    struct mys_server srv = src->srv; /* lent */
    srv.connect_us = LOOK_S * INT64_C(1000000);
    if (!src->look && mys_connect_within(&srv, LOOK_S, &src->look, err) < 0)
        return CDC_FAIL;
    return mys_logs_look(src->look, src->head.file, src->head.pos, ret, err);
}

int mys_look(struct cdc_source *base, struct cdc_source_status *ret, struct cdc_error *err)
{
    struct mys_source *src = (struct mys_source *)base;
    struct mys_logs logs;
    if (cdc_mono_us() < src->look_off_us)
        return CDC_AGAIN;
    int rc = ask(src, &logs, err);
    if (rc != CDC_OK) {
        mysql_close(src->look);
        src->look = NULL;
        src->look_off_us = cdc_mono_us() + OFF_US;
        return rc == CDC_END ? CDC_AGAIN : rc;
    }
    *ret = (struct cdc_source_status){.end_bytes = logs.behind, .held_bytes = logs.behind};
    snprintf(ret->end, sizeof ret->end, "%.40s:%llu", logs.last, (unsigned long long)logs.end);
    snprintf(ret->slot, sizeof ret->slot, "oldest log %.40s, ours %.40s", logs.first,
             src->head.file);
    return CDC_OK;
}
