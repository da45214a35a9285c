/*
 * sqlite.c - the database file: opened, claimed, its side tables, statements, transactions, values.
 *
 * Journal WAL with synchronous=NORMAL: a power cut may lose the last transactions, but always whole
 * ones, and each holds the position that belongs to it; they are read again from the feed.
 *
 * Every transaction begins with a look at the stored position: if it is not ours, another process
 * writes this database, and applying a commit twice would double the rows of append tables.
 *
 * Values: integers and booleans INTEGER, floats REAL, bytes BLOB, all else the text form of
 * avro/json.h. SQLite has no NaN (it would become NULL): NaN is kept as the text NaN.
 */
#include "replica/internal.h"

#include "avro/json.h"
#include "cdc/crash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 0x73647270 /* "sdrp" */
#define FORMAT         2

static const char side_tables[] =
    "CREATE TABLE _sidestream_position(feed TEXT PRIMARY KEY, \"commit\" INTEGER NOT NULL,"
    " position TEXT, at TEXT, token TEXT);"
    "CREATE TABLE _sidestream(\"table\" TEXT PRIMARY KEY, name TEXT NOT NULL,"
    " version INTEGER NOT NULL, deletes TEXT NOT NULL, t_seq TEXT, t_deleted_at TEXT,"
    " t_reason TEXT, t_updated_at TEXT, t_synced_at TEXT);"
    "CREATE TABLE _sidestream_columns(\"table\" TEXT, \"column\" TEXT, name TEXT NOT NULL,"
    " PRIMARY KEY(\"table\", \"column\")) WITHOUT ROWID;"
    "CREATE TABLE _sidestream_kept(n INTEGER, i INTEGER, tx TEXT NOT NULL, \"table\" TEXT NOT NULL,"
    " \"key\" BLOB NOT NULL, value, PRIMARY KEY(n, i)) WITHOUT ROWID;"
    "CREATE TABLE _sidestream_gone(\"table\" TEXT, \"key\" TEXT, seq TEXT NOT NULL,"
    " PRIMARY KEY(\"table\", \"key\")) WITHOUT ROWID;";

int rep_fail(const struct cdc_replica *rep, struct cdc_error *err, const char *doing)
{
    int code = sqlite3_errcode(rep->db) & 0xff;
    const char *mend = "";
    enum cdc_action action = CDC_FATAL;
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        mend = "; another process holds the database: end it, or wait until it is done";
    else if (code == SQLITE_FULL)
        mend = "; make room and start again: it goes on where it was";
    else if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN || code == SQLITE_PERM)
        mend = "; the folder and the file must be writable";
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        mend = "; move the file away: the replica is then built again from the feed's start";
        action = CDC_OPERATOR;
    }
    return cdc_fail(err, action, rep->path, "%s: %s%s", doing, sqlite3_errmsg(rep->db), mend);
}

int rep_exec(struct cdc_replica *rep, const char *sql, struct cdc_error *err)
{
    if (sqlite3_exec(rep->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return rep_fail(rep, err, "cannot change the replica");
    return CDC_OK;
}

int rep_prepare(struct cdc_replica *rep, const char *sql, sqlite3_stmt **ret, struct cdc_error *err)
{
    if (!sql)
        return cdc_fail_oom(err);
    if (sqlite3_prepare_v3(rep->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return rep_fail(rep, err, "cannot prepare a statement");
    return CDC_OK;
}

int rep_step(struct cdc_replica *rep, sqlite3_stmt *stmt, struct cdc_error *err)
{
    int rc = sqlite3_step(stmt);
    int status = rc == SQLITE_DONE || rc == SQLITE_ROW
                     ? CDC_OK
                     : rep_fail(rep, err, "cannot change the replica");
    sqlite3_reset(stmt);
    return status;
}

int rep_run(struct cdc_replica *rep, const char *sql, const char *const *params, size_t n,
            struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep, sql, &stmt, err))
        return CDC_FAIL;
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_text(stmt, (int)i + 1, params[i], -1, SQLITE_STATIC);
    int status = rep_step(rep, stmt, err);
    sqlite3_finalize(stmt);
    return status;
}

char *rep_column_dup(sqlite3_stmt *stmt, int at)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);
    return text ? strdup(text) : NULL;
}

/* The first column of the first row as a number, 0 if there is none. */
static int ask(struct cdc_replica *rep, const char *sql, int64_t *ret, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep, sql, &stmt, err))
        return CDC_FAIL;
    int rc = sqlite3_step(stmt);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    int status = rc == SQLITE_ROW || rc == SQLITE_DONE
                     ? CDC_OK
                     : rep_fail(rep, err, "cannot read the database");
    sqlite3_finalize(stmt);
    return status;
}

static int create(struct cdc_replica *rep, struct cdc_error *err)
{
    char ids[96];
    snprintf(ids, sizeof ids, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
             APPLICATION_ID, FORMAT);
    if (rep_exec(rep, "BEGIN IMMEDIATE", err) || rep_exec(rep, side_tables, err))
        return CDC_FAIL;
    const char *params[] = {rep->feed};
    if (rep_run(rep, "INSERT INTO _sidestream_position(feed, \"commit\") VALUES (?, 0)", params, 1,
                err))
        return CDC_FAIL;
    return rep_exec(rep, ids, err);
}

static int claim(struct cdc_replica *rep, struct cdc_error *err)
{
    int64_t tables, id, format;
    if (ask(rep, "SELECT count(*) FROM sqlite_master", &tables, err) ||
        ask(rep, "PRAGMA application_id", &id, err) ||
        ask(rep, "PRAGMA user_version", &format, err))
        return CDC_FAIL;
    if (tables == 0 && id == 0)
        return create(rep, err);
    if (id != APPLICATION_ID)
        return cdc_fail(err, CDC_OPERATOR, rep->path,
                        "this SQLite database was not made by sidestream and is left alone; "
                        "name another file");
    if (format != FORMAT)
        return cdc_fail(err, CDC_OPERATOR, rep->path,
                        "the replica has format %lld, this program writes %d; use a matching "
                        "program, or another file to build the replica again",
                        (long long)format, FORMAT);
    return CDC_OK;
}

static int no_position(const struct cdc_replica *rep, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, rep->path,
                    "the replica has lost its position; name another file to build it again");
}

static int load_position(struct cdc_replica *rep, struct cdc_error *err)
{
    sqlite3_stmt *stmt = NULL;
    if (rep_prepare(rep, "SELECT feed, \"commit\", position, at, token FROM _sidestream_position",
                    &stmt, err))
        return CDC_FAIL;
    int status = CDC_OK;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        status = no_position(rep, err);
    else if (strcmp((const char *)sqlite3_column_text(stmt, 0), rep->feed) != 0)
        status = cdc_fail(err, CDC_OPERATOR, rep->path,
                          "the replica belongs to the pipeline \"%s\", not to \"%s\"; name another "
                          "file",
                          (const char *)sqlite3_column_text(stmt, 0), rep->feed);
    else {
        rep->number = rep->next = (uint64_t)sqlite3_column_int64(stmt, 1);
        rep->position = rep_column_dup(stmt, 2);
        rep->at = rep_column_dup(stmt, 3);
        rep->token = rep_column_dup(stmt, 4);
    }
    sqlite3_finalize(stmt);
    return status || !rep->number || rep->token ? status : no_position(rep, err);
}

int rep_db_open(struct cdc_replica *rep, struct cdc_error *err)
{
    /* No name: SQLite makes a temporary file and unlinks it at once. URI: for what is attached. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                (rep->temporary ? SQLITE_OPEN_URI : 0);
    if (sqlite3_open_v2(rep->temporary ? "" : rep->path, &rep->db, flags, NULL) != SQLITE_OK)
        return rep->db ? rep_fail(rep, err, "cannot open the database") : cdc_fail_oom(err);
    sqlite3_busy_timeout(rep->db, 5000);
    if (claim(rep, err))
        return CDC_FAIL;
    /* legacy_alter_table: a table may be replaced although a view of the user names it. */
    if (rep_exec(rep,
                 rep->temporary ? "PRAGMA main.journal_mode=OFF; PRAGMA temp_store=FILE;"
                                  "PRAGMA main.cache_size=-65536;"
                                  "PRAGMA legacy_alter_table=ON"
                                : "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                  "PRAGMA legacy_alter_table=ON",
                 err))
        return CDC_FAIL;
    return load_position(rep, err) ? CDC_FAIL : rep_kept_load(rep, err);
}

int rep_begin(struct cdc_replica *rep, struct cdc_error *err)
{
    if (rep->in_tx)
        return CDC_OK;
    rep->in_tx = rep->pinned;
    if (rep->pinned)
        return CDC_OK;
    int64_t number;
    if (rep_exec(rep, "BEGIN IMMEDIATE", err) ||
        ask(rep, "SELECT \"commit\" FROM _sidestream_position", &number, err))
        return CDC_FAIL;
    rep->in_tx = true;
    if ((uint64_t)number != rep->number)
        return cdc_fail(err, CDC_OPERATOR, rep->path,
                        "another process writes this replica (commit %llu, expected %llu); end one "
                        "of the two",
                        (unsigned long long)number, (unsigned long long)rep->number);
    return CDC_OK;
}

int rep_commit(struct cdc_replica *rep, struct cdc_error *err)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)rep->next);
    const char *params[] = {number, rep->next_position, rep->next_at, rep->next_token};
    if (rep_run(rep,
                "UPDATE _sidestream_position SET \"commit\" = CAST(?1 AS INTEGER), position = ?2, "
                "at = ?3, token = ?4",
                params, 4, err) ||
        rep_kept_save(rep, err))
        return CDC_FAIL;
    CDC_POINT("replica.before_commit");
    if (!rep->pinned && rep_exec(rep, "COMMIT", err))
        return CDC_FAIL;
    CDC_POINT("replica.after_commit");
    rep->in_tx = false;
    rep->rows = 0;
    rep->number = rep->next;
    free(rep->position);
    free(rep->at);
    free(rep->token);
    rep->position = rep->next_position;
    rep->at = rep->next_at;
    rep->token = rep->next_token;
    rep->next_position = rep->next_at = rep->next_token = NULL;
    return CDC_OK;
}

void rep_put_name(struct cdc_buf *sql, const char *name)
{
    cdc_buf_byte(sql, '"');
    for (; *name; name++) {
        if (*name == '"')
            cdc_buf_byte(sql, '"');
        cdc_buf_byte(sql, (uint8_t)*name);
    }
    cdc_buf_byte(sql, '"');
}

const char *rep_affinity(enum cdc_kind kind)
{
    switch (kind) {
    case CDC_INT:
    case CDC_BOOL: return "INTEGER";
    case CDC_FLOAT: return "REAL";
    case CDC_BYTES: return "BLOB";
    default: return "TEXT";
    }
}

/* A pointer is never NULL here: SQLite takes NULL as the value NULL, and '' is not NULL. */
static const void *solid(const struct cdc_value *val)
{
    return val->len ? (const void *)val->p : "";
}

static int bind_text(struct cdc_replica *rep, sqlite3_stmt *stmt, int at,
                     const struct cdc_value *val, uint8_t bits)
{
    cdc_buf_reset(&rep->text);
    cdc_text_value(&rep->text, val, bits);
    if (rep->text.failed)
        return SQLITE_NOMEM;
    return sqlite3_bind_text64(stmt, at, rep->text.len ? (const char *)rep->text.p : "",
                               rep->text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

int rep_bind(struct cdc_replica *rep, sqlite3_stmt *stmt, int at, const struct cdc_value *val,
             uint8_t bits)
{
    switch (val->kind) {
    case CDC_NULL:
    case CDC_UNCHANGED:
    case CDC_ABSENT:
    case CDC_INVALID: return sqlite3_bind_null(stmt, at);
    case CDC_BOOL:
    case CDC_INT: return sqlite3_bind_int64(stmt, at, val->i);
    case CDC_FLOAT:
        if (isnan(val->f))
            return sqlite3_bind_text(stmt, at, "NaN", 3, SQLITE_STATIC);
        return sqlite3_bind_double(stmt, at, val->f);
    case CDC_BYTES: return sqlite3_bind_blob64(stmt, at, solid(val), val->len, SQLITE_STATIC);
    case CDC_TEXT:
    case CDC_JSON:
    case CDC_UUID:
        return sqlite3_bind_text64(stmt, at, solid(val), val->len, SQLITE_STATIC, SQLITE_UTF8);
    default: return bind_text(rep, stmt, at, val, bits);
    }
}
