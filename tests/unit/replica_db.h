/*
 * replica_db.h - for the tests of core/replica: run a script of fake_feed.h into a database, and
 * the contents of a replica's table as one line.
 */
#ifndef TESTS_REPLICA_DB_H
#define TESTS_REPLICA_DB_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fakes/fake_feed.h"
#include "cm.h"
#include "replica/replica.h"

struct db {
    char dir[64], path[96], dump[16384];
    struct cdc_error err;
    struct cdc_replica_result result;
};

static inline void db_init(struct db *db)
{
    memset(db, 0, sizeof *db);
    snprintf(db->dir, sizeof db->dir, "/tmp/replica-XXXXXX");
    assert_non_null(mkdtemp(db->dir));
    snprintf(db->path, sizeof db->path, "%s/r.db", db->dir);
}

static inline void db_clear(struct db *db)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[128];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", db->path, ends[i]);
        unlink(path);
    }
}

static inline void db_done(struct db *db)
{
    db_clear(db);
    rmdir(db->dir);
}

/* Applies the script from where the database is; 0 or CDC_FAIL with db->err. */
static inline int db_run_as(struct db *db, const char *name, const char *script)
{
    struct cdc_config cfg = {.path = script, .name = name};
    struct cdc_replica_options opt = {.path = db->path, .until_caught_up = true};
    memset(&db->err, 0, sizeof db->err);
    return cdc_replica_run(&fake_feed_ops, &cfg, &opt, &db->result, &db->err);
}

static inline int db_run(struct db *db, const char *script)
{
    return db_run_as(db, "shop", script);
}

static inline void db_must(struct db *db, const char *script)
{
    if (db_run(db, script) != CDC_OK)
        fail_msg("%s: %s", db->err.where, db->err.message);
}

static inline void db_put(struct db *db, const char *text)
{
    size_t len = strlen(db->dump);
    assert_true(len + strlen(text) < sizeof db->dump);
    strcpy(db->dump + len, text);
}

/* All rows of a query: values joined by ",", rows by " | ", NULL as "-", blobs as x'..'. */
static inline const char *db_query(struct db *db, const char *sql)
{
    sqlite3 *con = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(db->path, &con), SQLITE_OK);
    if (sqlite3_prepare_v2(con, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(con));
    db->dump[0] = '\0';
    for (int row = 0; sqlite3_step(stmt) == SQLITE_ROW; row++) {
        db_put(db, row ? " | " : "");
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            db_put(db, i ? "," : "");
            db_put(db, text ? text : "-");
        }
    }
    sqlite3_finalize(stmt);
    sqlite3_close(con);
    return db->dump;
}

/*
 * A table's rows, ordered by their values: the source's columns, then "!reason@second" of a deleted
 * row and "?columns" of what is unknown.
 */
static inline const char *db_dump(struct db *db, const char *table)
{
    char sql[2048] = "SELECT ", list[1024];
    char ask[512];
    snprintf(ask, sizeof ask,
             "SELECT group_concat(printf('coalesce(\"%%w\",''-'')', name), ' || '','' || ')"
             " FROM pragma_table_info('%s') WHERE substr(name, 1, 2) <> '__'",
             table);
    snprintf(list, sizeof list, "%s", db_query(db, ask));
    if (strcmp(list, "-") == 0)
        return "(no table)";
    snprintf(sql, sizeof sql,
             "SELECT %s || CASE WHEN __deleted THEN ' !' || __delete_reason || '@' ||"
             " (strftime('%%s', __deleted_at) - 1704067200) ELSE '' END ||"
             " coalesce(' ?' || __unchanged, '') FROM \"%s\" ORDER BY __seq, 1",
             list, table);
    return db_query(db, sql);
}

#endif
