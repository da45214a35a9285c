/*
 * postgres.h - what the files of this folder share. Outside it only cdc_source_postgres is known.
 *
 *   postgres.c     options, life cycle (phases below), the ops
 *   conn.c         connections, queries, SQLSTATE -> what to do (the one table)
 *   slot.c         the slot: look, verify against the checkpoint, create, drop
 *   publication.c  the publication: which tables, joining under lock, the look every minute
 *   preflight.c    `check` and `drop`
 *   propose*.c     `init`
 *   stream.c       CopyBoth: reading, status, idle positions, the one deadline
 *   apply.c        messages -> changes
 *   messages.c     logical messages -> changes of a table of their own
 *   relation.c     relation messages -> cdc_table
 *   coltype.c      the type of a column: built in, or from the catalogue
 *   look.c         the server's log and our slot, for metrics and source.max_lag
 *   reread.c       values the stream did not send after a key change
 *   view*.c        the tables at one place: temporary slot, exported snapshot, cursors (view.h)
 *   snap*.c        copying tables beside the stream (snap.h)
 *   decode.c types.c arrays.c hstore.c position.c   pure: bytes and text
 *
 * Threads: all of it runs on the source thread but pgs_wake, which writes an eventfd, and snap*.c.
 */
#ifndef PGS_POSTGRES_H
#define PGS_POSTGRES_H

#include "cdc/source.h"
#include "decode.h"
#include "position.h"
#include "types.h"

#include <libpq-fe.h>
#include <pthread.h>

#define PGS_CLEAR __attribute__((cleanup(pgs_clear)))
void pgs_clear(PGresult **res);

enum pgs_manage { PGS_MANAGE_ALL, PGS_MANAGE_SLOT, PGS_MANAGE_NONE };

/*
 * A table is in one publication: of all operations, or (rule insert_only) of inserts and truncates.
 * The second is `<publication>_inserts`.
 */
enum pgs_pub { PGS_PUB_ALL, PGS_PUB_INSERTS, PGS_PUBS };

/* The server as configured, and the ordinary connection for questions (opened when needed). */
struct pgs_server {
    const struct cdc_config *cfg;
    char slot[64];
    char pubs[PGS_PUBS][64]; /* names of the publications, by enum pgs_pub */
    bool inserts;            /* the second one is there, and named to the server */
    enum pgs_manage manage;
    bool leaf, failover, adopt;
    int64_t status_us;
    size_t max_row;
    PQconninfoOption *url; /* owned */
    PGconn *sql;           /* owned; NULL while closed */
    int64_t sql_used_us;
    unsigned sql_knows; /* the questions that it has prepared: bits by enum pgs_question (snap.h) */
    int64_t connect_us; /* how long a connection may take; 0: 10 s */
    bool hasty;         /* sql waits for no lock: a session of ours may be what keeps it */
    int version;        /* of the server, once connected: 150020 */
    char database[64];
};

struct pgs_ident {
    char systemid[32];
    uint32_t timeline;
    uint64_t lsn; /* flushed; on a standby replayed */
    bool standby;
    int64_t sender_timeout_us; /* wal_sender_timeout; 0: none */
};

/* A row of pg_replication_slots. */
struct pgs_slot {
    bool exists, active, temporary, two_phase, synced;
    char plugin[64], type[16], database[64], wal_status[16], invalid[64];
    int pid;
    uint64_t confirmed; /* 0: still being created */
};

/* A table of the catalogue that could be captured. */
struct pgs_table {
    char *schema, *name, *identity_columns; /* the last: names between newlines, "\nid\n" */
    const struct cdc_rule *rule;            /* NULL: not captured */
    char identity;                          /* d n f i */
    bool usable;                            /* its identity lets updates and deletes be seen */
    bool uneven;                            /* a partition has another identity than the root */
    bool partitioned;                       /* a root or a partition */
    bool published[PGS_PUBS];               /* seen through the publication */
    bool listed[PGS_PUBS];                  /* named in it */
};

struct pgs_tables {
    struct pgs_table *items;
    size_t n;
};

struct pgs_publication {
    bool exists, all_tables, via_root;
    bool right; /* publishes just the operations that it is for */
    char owner[64];
};

/* One relation of the stream. */
struct pgs_rel {
    uint32_t oid;
    struct cdc_slice raw;  /* its last message, to see repeats; owned */
    struct cdc_table *tab; /* NULL: not captured */
    uint8_t identity;
    uint16_t n;
    uint8_t *flagged; /* n: part of the identity */
    pgs_parse *parse; /* n; NULL: pgs_unpack */
    struct pgs_rel *next;
};

#define PGS_REL_BUCKETS 256

struct pgs_typename {
    uint32_t oid;
    char *schema, *name; /* of the last Y message */
    struct pgs_typename *next;
};

enum pgs_phase {
    PGS_SAY_CREATING, /* emit `creating` */
    PGS_CREATE,       /* it is durable: make publication, ask for the slot */
    PGS_CREATING,     /* the server waits for open transactions */
    PGS_SAY_FIRST,    /* the slot is there: emit the first position */
    PGS_SAY_FAILOVER, /* emit the new incarnation and fingerprint */
    PGS_WAIT,         /* until the ack of what was said; then `then` */
    PGS_START,
    PGS_STREAM,
};

struct pgs_tx {
    bool open, skip; /* skip: already emitted whole */
    uint64_t commit, n, skip_rows;
    int64_t commit_us;
    uint32_t xid, crc;
    uint64_t bytes;
    bool rows;          /* a change of it has been emitted */
    bool message;       /* and it was a message behind the last row */
    struct cdc_tx *out; /* in the current batch's arena, or NULL */
};

/*
 * The session that holds the snapshot at which the slot begins, for CDC_LOOK_START. Name and place
 * are constant from the first position on; once the session has gone, the name is no snapshot's.
 */
struct pgs_holder {
    PGconn *conn;
    char name[72]; /* "": there is none */
    char place[CDC_PLACE_LEN + 1];
};

struct pgs_done {
    uint64_t commit; /* 0: none yet */
    int64_t commit_us;
    uint32_t xid;
    char id[16]; /* the same as text, lent by `last` */
};

struct pgs_source {
    struct cdc_source base;
    struct pgs_server srv;
    struct pgs_ident ident;
    struct cdc_map known; /* table/..., incarnation of the checkpoint, and versions made since */
    pthread_mutex_t known_lock; /* those who copy look at it too */
    struct pgs_holder holder;
    struct pgs_done done; /* the last transaction that was handed over */
    PGconn *wal;
    int wake_fd;
    enum pgs_phase phase, then;
    int64_t retry_us;     /* PGS_CREATE, PGS_CREATING: next try or warning */
    uint32_t incarnation; /* PGS_SAY_FAILOVER */

    struct pgs_pos resume; /* saved: what to expect first; kind NONE once seen */
    struct pgs_pos head;   /* the last place at which nothing is open */
    uint64_t told;         /* end of the last position emitted */
    uint64_t target;       /* caught up when head is there */
    bool caught_up;
    struct pgs_tx tx;

    struct pgs_rel *rels[PGS_REL_BUCKETS];
    struct pgs_typename *typenames;
    struct pgs_room *room;
    int64_t reread_off_us;      /* no rereading before */
    int64_t look_off_us;        /* no looking before */
    struct cdc_table *messages; /* of logical messages; NULL: none has come */
    int64_t seen_us;            /* commit time of the last transaction that began; 0: none */

    uint64_t wal_end;  /* largest seen in a keepalive */
    uint64_t received; /* largest LSN seen in any frame */
    uint64_t flush;    /* acked: what the status says */
    bool reply, big;   /* keepalive wants an answer; idle position wanted after a large tx */
    int64_t asked_us;  /* an urgent idle position is out since; 0: none */
    uint64_t asked_lsn;
    int64_t status_due_us, idle_told_us, watch_us, ping_us, poll_us;
    size_t burst;     /* messages that the last drain gave */
    unsigned quick;   /* short waits in a row */
    bool local;       /* unix socket */
    char notice[160]; /* the server's last, and when it was logged */
    int64_t notice_us;
    bool skipped; /* the server said that it skips the publication (18) */
    bool due;     /* head moved over emitted rows and has not been told */
};

extern const struct cdc_source_ops cdc_source_postgres;
extern const struct cdc_view_ops pgs_view; /* view.c */

/* conn.c */
CDC_CHECK int pgs_server_init(struct pgs_server *srv, const struct cdc_config *cfg,
                              struct cdc_error *err);
void pgs_server_done(struct pgs_server *srv); /* fine on zeroed memory */
/* A new connection, session pinned. `replication`: a walsender of this database. */
CDC_CHECK int pgs_connect(struct pgs_server *srv, bool replication, PGconn **ret,
                          struct cdc_error *err);
CDC_CHECK int pgs_identify(PGconn *wal, struct pgs_ident *ret, struct cdc_error *err);
/* Opens srv->sql unless it is. */
CDC_CHECK int pgs_sql(struct pgs_server *srv, struct cdc_error *err);
/* A query on it; args end with NULL, or are NULL. */
CDC_CHECK int pgs_query(struct pgs_server *srv, const char *sql, const char *const *args,
                        PGresult **ret, struct cdc_error *err);
/* A command on it; what the role may not do is told as this SQL. */
CDC_CHECK int pgs_execute(struct pgs_server *srv, const char *sql, struct cdc_error *err);
void pgs_sql_close(struct pgs_server *srv);
/* Fills err from a failed result, or from the connection (res NULL). mend: SQL, or NULL. */
int pgs_fail(PGconn *conn, const PGresult *res, const char *mend, struct cdc_error *err);
bool pgs_state_is(const PGresult *res, const char *sqlstate);
/* Does the server refuse new sessions because it is stopping? Blocks at most 2 s. */
bool pgs_stopping(const struct pgs_server *srv);
void pgs_ident_put(struct cdc_buf *buf, const char *name);                     /* "a""b" */
void pgs_table_put(struct cdc_buf *buf, const char *schema, const char *name); /* "a"."b" */

/* slot.c */
CDC_CHECK int pgs_slot_look(struct pgs_server *srv, struct pgs_slot *ret, struct cdc_error *err);
/* Decides src->phase from the checkpoint and the server. */
CDC_CHECK int pgs_slot_resume(struct pgs_source *src, const struct cdc_map *checkpoint,
                              struct cdc_error *err);
CDC_CHECK int pgs_slot_drop(struct pgs_server *srv, struct cdc_error *err);
/* Sends CREATE_REPLICATION_SLOT; pgs_slot_created asks for its outcome (CDC_AGAIN: not yet). */
CDC_CHECK int pgs_slot_create(struct pgs_source *src, struct cdc_error *err);
CDC_CHECK int pgs_slot_created(struct pgs_source *src, uint64_t *ret, struct cdc_error *err);
/* Which session the creation waits for; and the same into the log. */
void pgs_slot_holder(struct pgs_source *src, char *ret, size_t size);
void pgs_slot_blame(struct pgs_source *src);
/* {"type","systemid","timeline","database","slot","publication"} */
CDC_CHECK int pgs_fingerprint(const struct pgs_source *src, struct cdc_buf *ret);

/* publication.c */
CDC_CHECK int pgs_publication_look(struct pgs_server *srv, enum pgs_pub which,
                                   struct pgs_publication *ret, struct cdc_error *err);
CDC_CHECK int pgs_tables_look(struct pgs_server *srv, struct pgs_tables *ret,
                              struct cdc_error *err);
void pgs_tables_done(struct pgs_tables *tabs);
/* Is a captured one partitioned, or a partition? */
bool pgs_tables_partitioned(const struct pgs_tables *tabs);
/* CDC_FAIL (CDC_OPERATOR) names the first captured table that cannot be, and the remedy. */
CDC_CHECK int pgs_tables_refuse(const struct pgs_tables *tabs, struct cdc_error *err);
/* Why this captured table cannot be, and what mends it; false: it can. */
bool pgs_table_refused(const struct pgs_table *tab, struct cdc_buf *why, struct cdc_buf *mend);
/* The publication that the table belongs to; its rule is not NULL. */
static inline enum pgs_pub pgs_pub_of(const struct pgs_table *tab)
{
    return tab->rule->insert_only ? PGS_PUB_INSERTS : PGS_PUB_ALL;
}
/* Before the slot exists: makes the publications or checks them, tables included. */
CDC_CHECK int pgs_publication_make(struct pgs_server *srv, struct cdc_error *err);
/* Beside a slot: must exist; captured tables join, others leave (only `all`). */
CDC_CHECK int pgs_publication_sync(struct pgs_server *srv, bool at_start, struct cdc_error *err);
/* The SQL that makes the one, with its tables. */
void pgs_publication_sql(const struct pgs_server *srv, enum pgs_pub which,
                         const struct pgs_tables *tabs, struct cdc_buf *ret);
/* The operations that it publishes, as `publish` says them. */
const char *pgs_publication_ops(enum pgs_pub which);
/* Is any table to be in the second publication? */
bool pgs_inserts_wanted(const struct pgs_tables *tabs);

/* preflight.c */
int pgs_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);
int pgs_drop(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);
/* preflight_rules.c: what the capture rules do to each table. */
CDC_CHECK int pgs_check_rules(struct pgs_server *srv, const struct pgs_tables *tabs,
                              struct cdc_report *report, struct cdc_error *err);

/* propose.c */
int pgs_propose(const char *url, struct cdc_buf *ret, struct cdc_error *err);

/* stream.c */
CDC_CHECK int pgs_stream_start(struct pgs_source *src, struct cdc_error *err);
CDC_CHECK int pgs_stream_poll(struct pgs_source *src, struct cdc_batch *batch, int64_t deadline_us,
                              struct cdc_error *err);
CDC_CHECK int pgs_stream_keepalive(struct pgs_source *src, struct cdc_error *err);
/* Sends a status now, or as soon as the socket takes it. */
CDC_CHECK int pgs_stream_status(struct pgs_source *src, bool ask, struct cdc_error *err);
/* Until the connection has something, a wake-up, or the deadline. fd -1: only the latter two. */
bool pgs_wait(struct pgs_source *src, int fd, short events, int64_t deadline_us);

/* apply.c */
struct pgs_data {
    char *raw; /* libpq's; NULL once the batch took it */
    size_t len, payload;
    int64_t sent_us; /* the server's clock then */
};
CDC_CHECK int pgs_apply(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
                        struct cdc_error *err);
struct pgs_tuple {
    const struct pgs_cell *cells; /* rel->n */
    uint8_t old;                  /* 'K': only the identity's columns are told; 'O', or 0 */
};
/*
 * A tuple's cells as n values; mem: for the arrays of its row. CDC_FATAL: text that the column's
 * type does not print.
 */
CDC_CHECK int pgs_convert(const struct pgs_rel *rel, const struct pgs_tuple *tuple,
                          struct pgs_memory *mem, struct cdc_value *ret, struct cdc_error *err);
/* Our position is in a transaction that is not this server's. CDC_OPERATOR. */
int pgs_unlike(const struct pgs_pos *resume, const char *what, struct cdc_error *err);
/* What the server must not send. CDC_FATAL. */
int pgs_protocol(const char *what, struct cdc_error *err);
/* The message's bytes, in the batch's arena from here on; NULL: no memory. */
uint8_t *pgs_keep_bytes(struct cdc_batch *batch, struct pgs_data *data);
/* The open transaction's object in this batch; NULL: no memory. */
const struct cdc_tx *pgs_tx_out(struct pgs_source *src, struct cdc_batch *batch);
/* One text cell; as pgs_unpack. Here, because it is called for each value. */
static inline int pgs_value(const struct pgs_rel *rel, uint16_t i, struct pgs_memory *mem,
                            struct pgs_cell cell, struct cdc_value *ret)
{
    const struct cdc_column *col = &rel->tab->cols[i];
    return rel->parse[i] ? rel->parse[i](col, cell.p, cell.len, ret)
                         : pgs_unpack(col, mem, cell.p, cell.len, ret);
}

/* messages.c */
/* A logical message (its head is decoded already) -> a change of _sidestream._messages. */
CDC_CHECK int pgs_message(struct pgs_source *src, struct cdc_batch *batch, struct pgs_data *data,
                          struct cdc_error *err);

/* relation.c */
struct pgs_rel *pgs_rel_find(struct pgs_source *src, uint32_t oid);
CDC_CHECK int pgs_rel_set(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_slice raw,
                          struct cdc_error *err);
void pgs_rels_done(struct pgs_source *src);

/* coltype.c */
CDC_CHECK int pgs_type_set(struct pgs_source *src, const struct pgs_msg *msg,
                           struct cdc_error *err);
void pgs_typenames_done(struct pgs_source *src);
/* What pgs_type_of works on: the strings go into the arena; prior: the known version, or NULL. */
struct pgs_typing {
    struct pgs_source *src;
    struct cdc_arena *arena;
    const struct cdc_table *prior;
};
/* Sets type, kind, item, bits, precision, scale, type_id, type_mod; ret->name is set. */
CDC_CHECK int pgs_type_of(const struct pgs_typing *typing, const struct pgs_row_column *from,
                          struct cdc_column *ret, struct cdc_error *err);

/* look.c */
int pgs_look(struct cdc_source *src, struct cdc_source_status *ret, struct cdc_error *err);

/* reread.c */
/* Fills after's UNCHANGED values if the row can be read as the stream shows it; else leaves them.
 */
void pgs_reread(struct pgs_source *src, const struct pgs_rel *rel, struct cdc_batch *batch,
                struct cdc_value *after);

#endif
