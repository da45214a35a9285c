/*
 * snap.h - what the files that read tables share: copying (snap*.c) and the views of view.c.
 *
 *   snap_session.c  two connections to the server, and what ends their waits early
 *   snap_look.c     consistent snapshots in several sessions, and the place of them
 *   snap.c          looks: START (and its holder), PLACED, NOW; which transactions they contain
 *   snap_table.c    which tables there are, their sizes, keys, and who waits to alter them
 *   snap_plan.c     where to cut a table
 *   snap_bound.c    bounds as JSON and as SQL. Pure
 *   snap_read.c     one range: shape, SELECT, rows
 *   text.c          fields as values. Pure
 *
 * Threads: an instance is one thread's at a time. Of the source that streams it uses what is
 * constant while that is open (server, facts), its holder and its known tables under their locks.
 * The client library blocks; a thread of the session shuts its sockets down when it is to stop.
 */
#ifndef MYS_SNAP_H
#define MYS_SNAP_H

#include <signal.h>

#include "cdc/snap.h"
#include "mysql.h"
#include "text.h"

/* ---- snap_session.c ---- */

/* The connections of whoever reads tables. */
struct mys_viewer {
    const struct mys_server *srv;  /* lent */
    const struct mys_facts *facts; /* lent; of the server that has to answer */
    MYSQL *conn;                   /* that holds the look; owned, or NULL */
    MYSQL *side;                   /* that asks beside it; owned */

    pthread_t watcher;
    bool watched;
    MYSQL *guard; /* the watcher's own; owned, or NULL */
    int64_t guard_us;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    const volatile sig_atomic_t *signalled; /* either of the three may be NULL */
    const atomic_bool *stop, *cut;
    int fds[3];
    unsigned long id;       /* of conn, at the server */
    struct cdc_buf touched; /* names of the tables that conn keeps others from altering */
    uint64_t let_go;        /* how often it was told that conn keeps none; its user's thread only */
    bool in_the_way;        /* somebody waited for one of them: conn was told to end */
    bool over;
};

/* The side connection, and the watcher. Zeroed before; close is right whatever came of it. */
CDC_CHECK int mys_viewer_open(struct mys_viewer *ses, struct cdc_error *err);
void mys_viewer_close(struct mys_viewer *ses);
/* What ends waits from here on; `cut` belongs to the call that is under way. */
void mys_viewer_hear(struct mys_viewer *ses, const atomic_bool *stop, const atomic_bool *cut);
bool mys_viewer_stopped(struct mys_viewer *ses);
/* conn is about to lock a table, so that nobody alters it; it keeps none any more. */
CDC_CHECK int mys_viewer_touch(struct mys_viewer *ses, const char *table, struct cdc_error *err);
void mys_viewer_untouch(struct mys_viewer *ses);
bool mys_viewer_touches(struct mys_viewer *ses);
/* Was it in somebody's way, since it touched something? */
bool mys_viewer_in_the_way(struct mys_viewer *ses);
#define MYS_IN_THE_WAY                                                                             \
    "somebody waits to alter the table, or to lock all, and reading on would stand in the way of " \
    "all who use it; it is read again later"
/* Makes conn, unless it is there. */
CDC_CHECK int mys_viewer_connect(struct mys_viewer *ses, struct cdc_error *err);
/* conn is this one from here on, also where it fails. */
CDC_CHECK int mys_viewer_set(struct mys_viewer *ses, MYSQL *conn, struct cdc_error *err);
MYSQL *mys_viewer_leave(struct mys_viewer *ses); /* conn is the caller's; it may be NULL */
void mys_viewer_drop(struct mys_viewer *ses);    /* closes conn */
void mys_viewer_kill(struct mys_viewer *ses);    /* the server ends conn, whatever it does there */
/*
 * As mys_query. CDC_AGAIN: the table is locked, altered or gone, or somebody ended the statement.
 */
CDC_CHECK int mys_viewer_run(struct mys_viewer *ses, MYSQL *conn, const char *sql, MYSQL_RES **ret,
                             struct cdc_error *err);
/* What a failed statement on conn means, as mys_viewer_run. */
CDC_CHECK int mys_viewer_fail(struct mys_viewer *ses, MYSQL *conn, struct cdc_error *err);
/* A connection on which a look can be taken: of that very server, its settings as text.h wants. */
CDC_CHECK int mys_reader_connect(const struct mys_server *srv, const struct mys_facts *facts,
                                 MYSQL **ret, struct cdc_error *err);

/* ---- snap_look.c ---- */

struct mys_looks {
    const struct mys_facts *facts;
    MYSQL **conns; /* n; each gets a snapshot, which ends the transaction it has */
    size_t n;
    MYSQL *side;      /* asks where the log is, and locks */
    bool may_lock;    /* mys_looks_try: the global read lock may be taken */
    int64_t plain_us; /* likewise: not before this time (monotonic) */
    bool early;       /* mys_looks_least: at the deadline an earlier place will do (mys_settled) */
};
/* At one place, exactly, without a lock. CDC_AGAIN: it did not come out so this time. */
CDC_CHECK int mys_looks_exact(const struct mys_looks *looks, struct mys_pos *ret,
                              struct cdc_error *err);
/* At one place, exactly, under a global read lock. CDC_AGAIN: not now. CDC_END: no right to it. */
CDC_CHECK int mys_looks_locked(const struct mys_looks *looks, struct mys_pos *ret,
                               struct cdc_error *err);
/* Each contains at least what *ret says. Not for MySQL without GTIDs: CDC_END. CDC_AGAIN: not until
 * the deadline. */
CDC_CHECK int mys_looks_least(const struct mys_looks *looks, int64_t deadline_us,
                              struct mys_pos *ret, struct cdc_error *err);
/* Exactly at one place until the deadline, by the first two. CDC_AGAIN, CDC_END as the second. */
CDC_CHECK int mys_looks_try(const struct mys_looks *looks, int64_t deadline_us, struct mys_pos *ret,
                            struct cdc_error *err);

/* ---- snap_bound.c ---- */

enum mys_key_form {
    MYS_KEY_NUMBER,
    MYS_KEY_FLOAT,  /* all digits of it */
    MYS_KEY_INDEX,  /* ENUM, SET: compared by number, for which no server finds a range */
    MYS_KEY_QUOTED, /* as the server prints it */
    MYS_KEY_BYTES,  /* hex */
    MYS_KEY_TEXT,   /* hex, in the column's own charset */
    MYS_KEY_BIT,    /* its number */
};

struct mys_key_column {
    const char *quoted; /* its name as SQL writes it */
    enum mys_key_form form;
    const char *charset, *collation; /* TEXT; else "" */
};

/* A primary key by which a table can be cut. */
struct mys_key {
    uint16_t n; /* 0: it cannot */
    struct mys_key_column *cols;
    struct cdc_arena *arena; /* holds all of it; owned */
};

void mys_key_done(struct mys_key *key);
/* By information_schema's DATA_TYPE. False: bounds cannot be made of it. */
bool mys_key_form_of(const char *data_type, enum mys_key_form *ret);
/* The list of a SELECT whose row is a bound's texts. */
void mys_key_select(const struct mys_key *key, struct cdc_buf *sql);
/* The whole number that a bound of a key of one such column is. False: it is none, or too large. */
bool mys_bound_whole(const struct mys_key *key, struct cdc_slice bound, int64_t *ret);
/* key->n texts as a bound. CDC_FAIL: they are none of this key, or no memory. */
CDC_CHECK int mys_bound_put(const struct mys_key *key, const char *const *texts,
                            struct cdc_buf *ret);
/* Is the bound one of this key? */
bool mys_bound_fits(const struct mys_key *key, struct cdc_slice bound);
/* `key >= bound` or (below) `key < bound` as SQL. CDC_FAIL: the bound is not of this key. */
CDC_CHECK int mys_bound_sql(const struct mys_key *key, struct cdc_slice bound, bool below,
                            struct cdc_buf *sql);
/* The range as conditions, each with AND in front. As mys_bound_sql. */
CDC_CHECK int mys_range_sql(const struct mys_key *key, const struct cdc_range *range,
                            struct cdc_buf *sql);

/* ---- snap_table.c ---- */

/* Its primary key. n 0: there is none, or none to cut by. */
CDC_CHECK int mys_key_look(struct mys_viewer *ses, const struct mys_which *which,
                           struct mys_key *ret, struct cdc_error *err);
/* Does it keep old versions of rows, so that a look shows it as it was? */
bool mys_engine_keeps(const char *engine);
CDC_CHECK int mys_table_keeps(struct mys_viewer *ses, const struct mys_which *which, bool *ret,
                              struct cdc_error *err);
/*
 * The statement that would make the table, without where its AUTO_INCREMENT is; the caller's. The
 * same text: the same columns, keys, engine and checks. NULL: it is not to be had.
 */
char *mys_table_text(struct mys_viewer *ses, const struct mys_which *which);
/* Takes the counter out of such a text, in place. */
void mys_table_text_plain(char *text);
/* Why mys_rel_now found none: CDC_END, or CDC_FAIL CDC_OPERATOR: no right to read it. */
CDC_CHECK int mys_table_missing(struct mys_viewer *ses, const struct mys_which *which,
                                struct cdc_error *err);
int mys_given_up(const struct mys_which *which, const char *why, struct cdc_error *err);
/* The user may not read it. */
int mys_may_not_read(const struct mys_viewer *ses, const struct mys_which *which,
                     struct cdc_error *err);

/* ---- snap_read.c ---- */

/* Rows of one table, or a range of it, under a look. */
struct mys_reader {
    struct mys_viewer *ses;
    struct mys_source *src; /* for mys_rel_now */
    struct cdc_table *tab;  /* as its user knows it; referenced */
    bool running;           /* a SELECT: its end has not been seen */
    bool sent;              /* it was not answered yet */
    MYSQL_RES *res;         /* of the SELECT under way */
    bool begun;             /* the table may be locked */

    /* The table as it was found under its lock; shape NULL: it was not. */
    struct mys_shape *shape;
    mys_text *text;     /* tab->n */
    char *created;      /* mys_table_text, or NULL */
    struct mys_key key; /* if keyed */
    bool keyed;
    bool keeps, keeps_known; /* mys_table_keeps */
    uint64_t held;           /* ses->let_go under that lock, which stays until that moves */

    /* What its user says of all rows. */
    struct cdc_tx tx;
    uint64_t ordinal;
    uint8_t flags;
};

/* CDC_AGAIN: as cdc_snap_ops.begin. `where`: a condition, or NULL. */
CDC_CHECK int mys_reader_begin(struct mys_reader *reader, struct cdc_table *tab,
                               const struct cdc_range *range, const char *where,
                               struct cdc_error *err);
/* Until the batch is full or has max_rows. As cdc_snap_ops.read. */
CDC_CHECK int mys_reader_read(struct mys_reader *reader, size_t max_rows, struct cdc_batch *batch,
                              struct cdc_error *err);
/* mys_table_keeps of the table that is being read: it is locked, so it is what is read. */
CDC_CHECK int mys_reader_keeps(struct mys_reader *reader, bool *ret, struct cdc_error *err);
/* Ends what is under way; the look stays, and at MySQL no table is locked any more. */
CDC_CHECK int mys_reader_end(struct mys_reader *reader, struct cdc_error *err);
/* What was not ended is lost with the session's connection, which must be there still. */
void mys_reader_done(struct mys_reader *reader);

/* ---- snap.c, snap_plan.c ---- */

/* A table that an instance has met. */
struct mys_snap_table {
    char *schema, *name;
    struct mys_key key;
    uint64_t rows, bytes; /* estimates */
    uint64_t wanted;      /* of the rows, by the rule's `where`; an estimate too */
    bool walkable;        /* that condition is one on the key, as a range of it */
    uint64_t width;       /* bytes of a row, about */
    double step; /* of a key that is a whole number, from one row to the next; 0: unknown */
    struct mys_snap_table *next;
};

struct mys_snap {
    struct cdc_snap base;
    struct mys_source *root; /* that streams */
    struct mys_viewer ses;
    bool looks; /* there is a look, of this kind */
    enum cdc_look look;
    bool exact;            /* START: at its place exactly */
    struct mys_gtids seen; /* NOW at MySQL */
    struct mys_snap_table *tables;
    struct mys_reader reader;
    struct cdc_buf tx_id;
};

/* The table with its key and sizes, looked at anew. */
CDC_CHECK int mys_snap_size(struct mys_snap *snap, const struct cdc_table *tab,
                            struct mys_snap_table **ret, struct cdc_error *err);
int mys_snap_plan(struct cdc_snap *base, const struct cdc_copy_table *tab,
                  const struct cdc_range *rest, size_t max_bytes, struct cdc_buf *ret,
                  struct cdc_error *err);

/* ---- processes.c ---- */

/* Does a statement run that a lock of all tables would have to wait for? CDC_AGAIN: so it seems. */
CDC_CHECK int mys_none_runs(MYSQL *conn, struct cdc_error *err);
/* Does anybody wait to alter one of these tables (names, each with a NUL), or to lock all? */
CDC_CHECK int mys_waited_for(MYSQL *conn, struct cdc_slice names, bool *ret, struct cdc_error *err);
/* Of one session, from its state and statement (either may be NULL). PERHAPS: that may be cut. */
enum mys_waits { MYS_WAITS_NOT, MYS_WAITS_PERHAPS, MYS_WAITS };
enum mys_waits mys_process_waits(const char *state, const char *info, struct cdc_slice names);

#endif
