/*
 * snap.h - what the files that read tables share: copying (snap*.c) and the views of view*.c.
 *
 *   snap_session.c  a session under a snapshot: statements, stops, the temporary slot
 *   snap_table.c    one table as the catalogue shows it: columns, shape, who waits for it
 *   snap.c          looks: START (and its holder), PLACED, NOW; which transactions they contain
 *   snap_plan.c     where to cut a table: keys, sizes, bounds
 *   snap_bound.c    bounds as JSON and as SQL. Pure
 *   snap_read.c     one range: lock, shape, COPY, rows
 *   snap_xids.c     which transactions a look NOW contains. Pure
 *   snap_binary.c   rows of a binary COPY as values. Pure
 *
 * Threads: an instance is one thread's at a time. Of the source that streams it uses what is
 * constant while that is open (settings, the holder's snapshot), and its known tables under a lock.
 */
#ifndef PGS_SNAP_H
#define PGS_SNAP_H

#include <signal.h>
#include <stdatomic.h>

#include "cdc/snap.h"
#include "postgres.h"

#define PGS_LOOK_US 1000000 /* so often the lock queue is looked at */

/* ---- snap_session.c ---- */

/* What is asked again and again: planning it takes longer than answering. */
enum pgs_question { PGS_ASK_SHAPE, PGS_ASK_TABLE, PGS_ASK_KEY, PGS_ASK_SIZE };

/* An ordinary session that reads, and what ends its waits early. */
struct pgs_session {
    struct pgs_source *src; /* whose wake_fd ends a wait, if it has one; not the one that streams */
    PGconn *conn;           /* owned by whoever opened it */
    unsigned *knows;        /* what conn has prepared, bits; NULL: it is asked no such question */
    char state[6];          /* SQLSTATE of the last failure, or "" */
    const volatile sig_atomic_t *signalled; /* either may be NULL */
    const atomic_bool *stop;
};

/* The ordinary connection of src, which is there (pgs_sql), as a session that hears no stop. */
struct pgs_session pgs_session_of(struct pgs_source *src);
bool pgs_session_stopped(const struct pgs_session *ses);
int pgs_session_stop_fail(struct cdc_error *err);
/* The next result of conn; NULL with CDC_OK: no more. Waits, and hears a stop. */
CDC_CHECK int pgs_session_result(struct pgs_session *ses, PGconn *conn, PGresult **ret,
                                 struct cdc_error *err);
/*
 * Statements in the session; *ret (or NULL): the last one's result. args as pgs_query. CDC_AGAIN:
 * the table is locked or gone, or the snapshot is not to be had (any more).
 */
CDC_CHECK int pgs_session_run(struct pgs_session *ses, const char *sql, const char *const *args,
                              PGresult **ret, struct cdc_error *err);
/* As pgs_session_run, prepared. sql is the same each time, on one connection. */
CDC_CHECK int pgs_session_ask(struct pgs_session *ses, enum pgs_question question, const char *sql,
                              const char *const *args, PGresult **ret, struct cdc_error *err);
/* Asks the server to end the statement that runs. */
void pgs_session_cancel(PGconn *conn);
/* A name that may stand in SET TRANSACTION SNAPSHOT? */
bool pgs_snapshot_name(const char *name);

struct pgs_exported {
    uint64_t point; /* contained: transactions with a smaller commit LSN */
    char name[72];  /* of the snapshot; lives until the next command on src->wal */
};
/*
 * Makes a temporary slot on ses->src->wal, which is connected here and stays open. CDC_AGAIN: not
 * before the deadline; err says for whom it waited.
 */
CDC_CHECK int pgs_slot_export(struct pgs_session *ses, int64_t deadline_us,
                              struct pgs_exported *ret, struct cdc_error *err);

/* ---- snap_table.c ---- */

struct pgs_which {
    const char *schema, *name, *pub; /* pub: the publication it belongs to */
    const char *shape;               /* as it is now, if that was asked for just now; or NULL */
};

struct pgs_seen {
    const struct pgs_rel *rel; /* until it is described again */
    char *shape;               /* owned; see snap_table.c */
    char *filter;              /* owned; the publication's row filter, or NULL */
    bool partitioned;
};

/* As the stream would describe it now. CDC_END: there is no such table. */
CDC_CHECK int pgs_see(struct pgs_source *src, const struct pgs_which *which, struct pgs_seen *ret,
                      struct cdc_error *err);
void pgs_seen_done(struct pgs_seen *seen);
/* The shape now, or as the session's snapshot has it; to be freed. *ret NULL: no such table. */
CDC_CHECK int pgs_shape_now(struct pgs_source *src, const struct pgs_which *which, char **ret,
                            struct cdc_error *err);
CDC_CHECK int pgs_shape_then(struct pgs_session *ses, const struct pgs_which *which, char **ret,
                             struct cdc_error *err);
/* Does the shape say that the publication has the table? */
bool pgs_shape_published(const char *shape);
/* CDC_AGAIN: somebody waits for a lock on the table because of session pid. */
CDC_CHECK int pgs_in_the_way(struct pgs_source *src, uint32_t oid, int pid, struct cdc_error *err);

/* ---- snap_bound.c ---- */

/* A column of the key by which a table can be cut: SQL texts, made by the catalogue. */
struct pgs_key_column {
    const char *expr;              /* "name", with COLLATE where the index has another */
    const char *type;              /* to cast a bound to */
    const char *lt, *eq, *ge, *gt; /* OPERATOR(schema.op) of the index's own order */
};

struct pgs_key {
    PGresult *res; /* holds the texts */
    uint16_t n;    /* 0: cannot be cut by key */
    struct pgs_key_column *cols;
    bool plain; /* all operators are pg_catalog's <, =, ...: rows can be compared as rows */
};

/* A place in the heap: of a leaf of the table, and a block. */
struct pgs_block {
    uint32_t leaf;
    uint32_t block;
};

enum pgs_bound_kind { PGS_BOUND_OPEN, PGS_BOUND_KEY, PGS_BOUND_BLOCK };
/* What kind of bound a text is; CDC_FAIL: none of ours. */
CDC_CHECK int pgs_bound_kind(struct cdc_slice text, enum pgs_bound_kind *ret);
CDC_CHECK int pgs_bound_block(struct cdc_slice text, struct pgs_block *ret);
void pgs_bound_put_block(struct pgs_block at, struct cdc_buf *ret);
/* n texts as a JSON array. CDC_FAIL: no UTF-8, no memory. */
CDC_CHECK int pgs_bound_put_key(const char *const *texts, uint16_t n, struct cdc_buf *ret);
/*
 * `key >= bound` or (below) `key < bound` as SQL. CDC_FAIL: the bound is not of this key.
 */
CDC_CHECK int pgs_bound_sql(const struct pgs_key *key, struct cdc_slice bound, bool below,
                            struct cdc_buf *sql);

/* ---- snap_binary.c ---- */

/* A field of a binary COPY -> a value. As pgs_unpack. */
typedef int (*pgs_binary)(const struct cdc_column *col, struct cdc_slice field,
                          struct pgs_memory *mem, struct cdc_value *ret);
/* NULL: the column has to be sent as its text, in a field of type text. */
pgs_binary pgs_binary_of(const struct cdc_column *col);

struct pgs_copy {
    const struct cdc_table *tab;
    pgs_binary *binary; /* tab->n */
    pgs_parse *parse;   /* tab->n, for those without; NULL: pgs_unpack */
};
/* The bytes before the first row; 0: these are not the beginning of a binary COPY. */
size_t pgs_copy_header(struct cdc_slice bytes);
/*
 * One row. CDC_END: not a row, but the end. CDC_FULL: no memory left for it. CDC_FAIL: *ret_col is
 * the column that makes no sense; tab->n: the row as such.
 */
CDC_CHECK int pgs_copy_row(const struct pgs_copy *copy, uint8_t *bytes, size_t len,
                           struct pgs_memory *mem, struct cdc_value *ret, uint16_t *ret_col);

/* ---- snap_xids.c ---- */

/* pg_current_snapshot() */
struct pgs_xids {
    uint64_t xmin, xmax;
    uint64_t *list; /* owned, n, ascending */
    size_t n;
};
CDC_CHECK int pgs_xids_parse(const char *text, struct pgs_xids *ret);
/* Did the transaction of these last 32 bits of its id end before? It has committed by now. */
bool pgs_xids_contain(const struct pgs_xids *xids, uint32_t xid);

/* ---- snap.c, snap_plan.c, snap_read.c ---- */

/* A table that an instance has met. */
struct pgs_snap_table {
    char *schema, *name;
    struct pgs_seen seen;
    struct cdc_table *tab; /* seen.rel's, referenced */
    char *then;            /* owned; its shape under the look; NULL: not asked for yet */
    struct pgs_key key;
    bool keyed, sized;    /* key is known; what follows is known */
    uint64_t rows, bytes; /* estimates; bytes with toast */
    uint64_t wanted;      /* of the rows, those that are to be copied; an estimate */
    bool walkable;        /* an index alone tells which, in the order of the key */
    uint64_t width;       /* bytes of a row, about */
    uint32_t blocks;      /* of the heap, in all leaves */
    double correlation;   /* of the key's first column with the heap; 0: not known */
    bool leaves_readable; /* we may read each of its leaves by itself */
    struct pgs_snap_table *next;
};

enum pgs_look { PGS_LOOK_NONE, PGS_LOOK_START, PGS_LOOK_PLACED, PGS_LOOK_NOW };

struct pgs_snap {
    struct cdc_snap base;
    struct pgs_source *root; /* that streams */
    struct pgs_source src;   /* the server again, with connections of our own; it never streams */
    struct pgs_session ses;
    unsigned knows; /* ses */
    enum pgs_look look;
    struct pgs_xids xids; /* of NOW */
    struct pgs_snap_table *tables;

    bool begun, copying, header; /* header: not seen yet */
    struct cdc_table *tab;       /* of the range under way, as the engine knows it; referenced */
    struct pgs_copy copy;
    struct cdc_tx tx;
    struct cdc_buf tx_id;
    uint64_t ordinal;
    int64_t look_us;
    size_t burst;
};

extern const struct cdc_snap_ops pgs_snap;

/* snap.c */
CDC_CHECK int pgs_start_hold(struct pgs_source *src, const char *snapshot, uint64_t point,
                             struct cdc_error *err);
/* Does any rule want a copy? */
bool pgs_copy_wanted(const struct cdc_config *cfg);
/* The table, described if need be. CDC_END: none, or not captured. */
CDC_CHECK int pgs_snap_table(struct pgs_snap *snap, const char *schema, const char *name,
                             struct pgs_snap_table **ret, struct cdc_error *err);
CDC_CHECK int pgs_snap_describe(struct pgs_snap *snap, const struct pgs_which *which,
                                struct pgs_snap_table **ret, struct cdc_error *err);
/* Into a transaction under the look, and back to where no table is locked. As pgs_session_run. */
CDC_CHECK int pgs_snap_enter(struct pgs_snap *snap, struct cdc_error *err);
CDC_CHECK int pgs_snap_leave(struct pgs_snap *snap, struct cdc_error *err);

/* snap_plan.c. The key alone, or with it how large the table is; asked for once. */
CDC_CHECK int pgs_snap_key(struct pgs_snap *snap, struct pgs_snap_table *item,
                           struct cdc_error *err);
CDC_CHECK int pgs_snap_size(struct pgs_snap *snap, struct pgs_snap_table *item,
                            struct cdc_error *err);
enum pgs_split { PGS_SPLIT_WHOLE, PGS_SPLIT_KEY, PGS_SPLIT_BLOCK };
enum pgs_split pgs_snap_split(const struct pgs_snap *snap, const struct pgs_snap_table *item);
int pgs_snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                  const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                  struct cdc_error *err);
/* The leaves from..to of a table with their oids, quoted names; rows: oid, name, blocks. */
CDC_CHECK int pgs_snap_leaves(struct pgs_snap *snap, const struct pgs_snap_table *item,
                              PGresult **ret, struct cdc_error *err);

/* snap_read.c */
int pgs_snap_begin(struct cdc_snap *base, const struct cdc_copy_table *tab,
                   const struct cdc_range *range, const struct cdc_copy_place *at,
                   struct cdc_error *err);
int pgs_snap_read(struct cdc_snap *base, struct cdc_batch *batch, const atomic_bool *stop,
                  struct cdc_error *err);
/* Ends the range under way, if any; the session is then as after `take`. */
CDC_CHECK int pgs_snap_end(struct pgs_snap *snap, struct cdc_error *err);

#endif
