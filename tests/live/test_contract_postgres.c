/*
 * test_contract_postgres.c - the source contract suite over a real PostgreSQL server: PGURL is the
 * URL of a superuser on a throw-away one. Each test has a database of its own.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../contract/contract.h"
#include "../unit/cm.h"
#include "base/log.h"

static int serial;
static char database[64], url[512];

static void sql(const char *where, const char *text)
{
    PGconn *conn = PQconnectdb(where);
    PGresult *res = PQexec(conn, text);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", text, PQerrorMessage(conn));
    PQclear(res);
    PQfinish(conn);
}

static void up(struct cdc_settings **ret)
{
    char text[1024];
    snprintf(database, sizeof database, "contract_%d", ++serial);
    snprintf(text, sizeof text, "create database %s", database);
    sql(getenv("PGURL"), text);
    const char *base = getenv("PGURL"), *query = strchr(base, '?');
    const char *slash = strrchr(base, '/');
    if (query) /* ...@/db?host=...: the slash before the query */
        for (slash = query; *slash != '/'; slash--)
            ;
    snprintf(url, sizeof url, "%.*s/%s%s", (int)(slash - base), base, database, query ? query : "");
    sql(url, "create table public.items (id bigint primary key, word text, big text)");
    snprintf(text, sizeof text,
             "name: %s\nsource: {type: postgres, url: '%s'}\n"
             "capture:\n  - {tables: 'public.*', snapshot: never}\nsink: {type: 'null'}\n",
             database, url);
    struct cdc_error err = {0};
    if (cdc_settings_parse(cdc_slice_str(text), "contract.yaml", ret, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
}

static void down(void)
{
    char text[512];
    snprintf(text, sizeof text,
             "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
             "where slot_name = 'sidestream_%s' and not active",
             database);
    sql(getenv("PGURL"), text);
}

/* 30 rows in transactions of different sizes; 2 + 8 + 10 + 5 + 5. */
static void produce(void)
{
    sql(url, "insert into items values (1, 'a'), (2, 'b')");
    sql(url, "insert into items select g, 'w', repeat(md5(g::text), 400) "
             "from generate_series(3, 10) g");
    sql(url, "update items set word = word || '!'");
    sql(url, "begin; update items set id = id + 100 where id <= 5; commit");
    sql(url, "begin; insert into items values (500, 'x'); rollback; "
             "begin; delete from items where id > 100; commit");
}

int main(void)
{
    if (!getenv("PGURL")) {
        fprintf(stderr, "PGURL is not set: tests/live/run.sh starts a server and sets it\n");
        return 2;
    }
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct source_fixture fix = {.name = "source contract: postgres",
                                       .ops = cdc_source_find("postgres"),
                                       .up = up,
                                       .down = down,
                                       .produce = produce,
                                       .changes = 30,
                                       .waits = true};
    return source_contract(&fix);
}
