/*
 * internal.h - what the files of core/replica share.
 *
 *   replica.c  the loop: feed -> apply -> commit
 *   apply.c    the rules: which row wins, what a delete leaves, what stays unknown
 *   kept.c     rows that left or were pushed from their key, to the end of their transaction
 *   tables.c   the tables of the database: found, loaded, their names
 *   fit.c      makes a table fit the rows that come: create, add columns, rebuild
 *   sqlite.c   the database: open, side tables, position, statements, values
 *   compare.c  rows from elsewhere compared with a table
 *   diff.c     another replica's file compared with this one
 */
#ifndef CDC_REPLICA_INTERNAL_H
#define CDC_REPLICA_INTERNAL_H

#include "cdc/change.h"
#include "replica/replica.h"

#include <sqlite3.h>
#include <stdio.h>

#define REP_SQL_MAX ((size_t)4 << 20) /* bytes of one statement; 1664 columns of 63 bytes fit */

struct rep_col {
    char *source;     /* the name at the source */
    char *name;       /* in SQLite: the same, but where two names differ in case only */
    const char *type; /* INTEGER, REAL, BLOB, TEXT */
    uint16_t key;     /* 1, 2, ...: place in the PRIMARY KEY; 0: not in it */
};

enum rep_stmt { REP_SELECT, REP_INSERT, REP_UPDATE, REP_DELETE, REP_SET_SEQ, REP_STMTS };

/* The highest range delete of a table, for rows that arrive after it with a smaller __seq. */
struct rep_range {
    char seq[CDC_SEQ_LEN + 1];                          /* "": none */
    char *deleted_at, *reason, *updated_at, *synced_at; /* as they stand in rows; may be NULL */
};

struct rep_table {
    struct rep_table *next;
    char *source; /* schema.name */
    char *name;   /* in SQLite */
    struct rep_col *cols;
    size_t n, n_key;  /* n_key 0: every record is appended */
    uint16_t *key;    /* n_key indexes into cols */
    uint32_t version; /* of the source's table, the highest seen */
    enum cdc_deletes deletes;
    struct rep_range range;

    /* How the rows of the last schema seen lie in cols. */
    uint64_t stamp; /* of that schema; 0: none */
    uint16_t n_in;
    int *from;           /* n: index of the row's value, or -1: the rows have no such column */
    int meta[CDC_METAS]; /* index into cols, or -1 */
    sqlite3_stmt *stmt[REP_STMTS];
};

struct rep_kept;

struct cdc_replica {
    sqlite3 *db;
    char *path, *feed;
    bool temporary; /* in a file without a name; path is only what errors call it */
    struct rep_table *tables;
    struct rep_kept *kept;
    bool in_tx;
    bool pinned;     /* diff.c began SQLite's transaction and ends it; ours are parts of it */
    uint64_t rows;   /* in the open transaction */
    uint64_t number; /* durable */
    uint64_t next;   /* of the last commit done, perhaps not yet durable */
    char *position, *at, *token; /* of `number` */
    char *next_position, *next_at, *next_token;
    struct cdc_buf sql, text, key; /* scratch */
};

/* sqlite.c */
int rep_db_open(struct cdc_replica *rep, struct cdc_error *err);
int rep_fail(const struct cdc_replica *rep, struct cdc_error *err, const char *doing);
int rep_exec(struct cdc_replica *rep, const char *sql, struct cdc_error *err);
int rep_prepare(struct cdc_replica *rep, const char *sql, sqlite3_stmt **ret,
                struct cdc_error *err);
/* Steps a statement that returns no row, and resets it. */
int rep_step(struct cdc_replica *rep, sqlite3_stmt *stmt, struct cdc_error *err);
/* Runs one statement with text parameters; NULL binds NULL. */
int rep_run(struct cdc_replica *rep, const char *sql, const char *const *params, size_t n,
            struct cdc_error *err);
int rep_begin(struct cdc_replica *rep, struct cdc_error *err);
int rep_commit(struct cdc_replica *rep, struct cdc_error *err);
int rep_bind(struct cdc_replica *rep, sqlite3_stmt *stmt, int at, const struct cdc_value *val,
             uint8_t bits);
void rep_put_name(struct cdc_buf *sql, const char *name); /* quoted */
const char *rep_affinity(enum cdc_kind kind);
char *rep_column_dup(sqlite3_stmt *stmt, int at); /* NULL for NULL (or no memory) */

/* tables.c */
int rep_table_of(struct cdc_replica *rep, const struct cdc_row_schema *schema,
                 enum cdc_deletes deletes, struct rep_table **ret, struct cdc_error *err);
int rep_table_save(struct cdc_replica *rep, const struct rep_table *tab, struct cdc_error *err);
int rep_table_add(struct cdc_replica *rep, struct rep_table *tab, const struct cdc_row_column *col,
                  struct cdc_error *err);
int rep_table_find(const struct rep_table *tab, const char *source); /* or -1 */
int rep_table_stmt(struct cdc_replica *rep, struct rep_table *tab, enum rep_stmt which,
                   sqlite3_stmt **ret, struct cdc_error *err);
void rep_table_forget(struct rep_table *tab); /* its statements */
void rep_tables_free(struct cdc_replica *rep);

/* fit.c */
int rep_fit(struct cdc_replica *rep, struct rep_table *tab, const struct cdc_row_schema *schema,
            enum cdc_deletes deletes, struct cdc_error *err);
void rep_put_columns(struct cdc_buf *sql, const struct rep_table *tab);
void rep_put_key(struct cdc_buf *sql, const struct rep_table *tab, int first);

/* compare.c: a value as JSON; kind BOOL makes true and false of a number */
void rep_put_json(struct cdc_buf *buf, sqlite3_stmt *stmt, int at, enum cdc_kind kind);

/* apply.c: "the row exists at the source": alive, or deleted logically alone */
void rep_put_exists(struct cdc_buf *sql, const struct rep_table *tab);
/* apply.c: marks or removes (hard) all rows below the table's range delete */
int rep_range_apply(struct cdc_replica *rep, const struct rep_table *tab, struct cdc_error *err);

/* kept.c: rows of the current source transaction that are no longer at their key */
enum rep_why { REP_MOVED, REP_PUSHED };
struct rep_kept *rep_kept_new(void);
void rep_kept_free(struct rep_kept *kept); /* NULL is fine */
/* Forgets everything if seq belongs to a newer transaction; for one of an older, nothing is kept.
 */
void rep_kept_tx(struct rep_kept *kept, struct cdc_slice seq);
/* Keeps the row that `stmt` (a REP_SELECT) stands on. */
int rep_keep(struct rep_kept *kept, enum rep_why why, const struct rep_table *tab,
             struct cdc_slice key, sqlite3_stmt *stmt);
/* The values (tab->n of then: *ret_n) of the last row kept, or NULL. Lent until the next rep_keep.
 */
sqlite3_value *const *rep_kept_find(const struct rep_kept *kept, enum rep_why why,
                                    const struct rep_table *tab, struct cdc_slice key,
                                    size_t *ret_n);
/* Turns the last row that was pushed from this key into one that moved away from it. */
void rep_kept_move(struct rep_kept *kept, const struct rep_table *tab, struct cdc_slice key);
/* Into the open SQLite transaction, and from the database: what outlives the process. */
int rep_kept_save(struct cdc_replica *rep, struct cdc_error *err);
int rep_kept_load(struct cdc_replica *rep, struct cdc_error *err);

#endif
