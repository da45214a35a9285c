/*
 * mysql.h - what the files of this folder share. Outside it only cdc_source_mysql is known.
 *
 *   mysql.c        options, life cycle (phases below), the ops
 *   url.c          the options: where the server is, who we are to it
 *   conn.c         connections, queries, error numbers -> what to do (the one table)
 *   greeting.c     does the server offer TLS? Asked before a password is sent
 *   tls.c          sessions whose certificates are not to be verified load none
 *   server.c       what the server says of itself: flavour, logs, GTIDs; refusals; a settled place
 *   rights.c       what the user may do, as SHOW GRANTS says
 *   resume.c       the checkpoint against the server: same one, another, purged, foreign
 *   dump.c ring.c  the log's packets: a thread that reads, a bounded ring between it and the stream
 *   stream.c       dump -> events, payloads opened, the one deadline, positions
 *   apply.c        events -> changes; transactions, row counts, cuts
 *   statement.c    QUERY events: DDL, range deletes, changes that are not in the log
 *   links.c        foreign keys whose effects are not in the log
 *   xa.c           prepared transactions: remembered, read again when they commit
 *   xa_keep.c      their events in memory
 *   xa_check.c     were they really committed?
 *   reread.c       rows read again by key, for what a partial image lacks
 *   relation.c     table maps -> cdc_table
 *   catalogue*.c   information_schema: columns, tables, what no map says
 *   fold.c         names without regard to case, where the server takes them so
 *   look.c         the server's logs, for metrics
 *   preflight.c    `check`
 *   propose.c      `init`
 *   snap*.c text.c copying tables beside the stream (snap.h)
 *   view.c         the tables at one place
 *   position.c decode.c map.c rows.c types.c ...   pure: bytes and text
 *
 * Threads: all of it runs on the source thread but mys_wake, dump.c's reader, and snap*.c, which
 * have connections of their own. Nothing is made at the server: there is no slot. What the server
 * deletes of its log before we read it is lost to us (resume.c refuses then).
 */
#ifndef MYS_MYSQL_H
#define MYS_MYSQL_H

#include "cdc/source.h"
#include "coltype.h"
#include "compress.h"
#include "ddl.h"
#include "decode.h"
#include "position.h"
#include "rows.h"

#include <mariadb/mysql.h>
#include <pthread.h>
#include <stdatomic.h>

/* What `accept:` allows, each by name; otherwise refused at open. */
enum mys_accept {
    MYS_ACCEPT_METADATA = 1u << 0,   /* "minimal_metadata": binlog_row_metadata below FULL */
    MYS_ACCEPT_CASCADES = 1u << 1,   /* "cascades": foreign keys whose effects are not logged */
    MYS_ACCEPT_STATEMENTS = 1u << 2, /* "statements": changes logged as SQL only warn */
};

enum mys_tls { MYS_TLS_OFF, MYS_TLS_PREFERRED, MYS_TLS_REQUIRED, MYS_TLS_VERIFY };
enum mys_offer { MYS_OFFER_UNKNOWN, MYS_OFFER_TLS, MYS_OFFER_PLAIN };

/* The server as configured, and the ordinary connection for questions (opened when needed). */
struct mys_server {
    const struct cdc_config *cfg;
    char *host, *user, *password, *socket; /* owned; socket: a path, or NULL */
    unsigned port;
    enum mys_tls tls;
    _Atomic enum mys_offer offer; /* what MariaDB offers, once the first connection was made */
    char *ca, *fingerprint;       /* owned, or NULL */
    uint32_t server_id;           /* ours, as a replica */
    char uuid[37];                /* ours likewise, made of the pipeline's name: stable */
    int64_t heartbeat_us;
    size_t max_row;
    bool lock; /* `lock: auto`: the brief global read lock may be used (FTWRL) */
    unsigned accept;
    MYSQL *sql; /* owned; NULL while closed */
    int64_t sql_used_us;
    int64_t connect_us; /* how long connecting, and any answer, may take; 0: 10 s, no limit */
};

/* What one event of a payload may have: two images of a row, so that apply.c can tell of one that
 * is larger than max_row whose it is, and their head. */
static inline size_t mys_event_max(const struct mys_server *srv)
{
    return 2 * srv->max_row + ((size_t)1 << 20);
}

enum mys_image { MYS_IMAGE_FULL, MYS_IMAGE_MINIMAL, MYS_IMAGE_NOBLOB };
enum mys_metadata { MYS_META_FULL, MYS_META_MINIMAL, MYS_META_NONE };

/* What the server says of itself. Constant while a source is open. */
struct mys_facts {
    bool mariadb;
    unsigned version; /* 90704, 101119 */
    char version_text[64];
    bool gtids;     /* MariaDB: always. MySQL: gtid_mode=ON */
    char ident[64]; /* for the fingerprint. MySQL: server_uuid; MariaDB: "server_id N" */
    uint32_t server_id;
    bool log_bin, row_format, checksum, partial_json;
    bool strict;   /* MariaDB: gtid_strict_mode */
    bool xa_doubt; /* an XA COMMIT in the log may not have been done (xa_check.c) */
    bool cascades; /* foreign keys' effects are in the log (MySQL 9.6 and newer, by its setting) */
    uint8_t lower_case; /* lower_case_table_names: 0, 1, 2 */
    enum mys_image image;
    enum mys_metadata metadata;
};

/* A table by its names. */
struct mys_which {
    const char *schema, *name;
};

/* A result of conn.c; freed by MYS_CLEAR. */
#define MYS_CLEAR __attribute__((cleanup(mys_clear)))
void mys_clear(MYSQL_RES **res);

/* ---- the stream's state ---- */

/* One table map, by its id. */
struct mys_rel {
    uint64_t id;
    struct cdc_slice raw;     /* its body as last seen, to see repeats; owned */
    struct cdc_table *tab;    /* NULL: not captured */
    struct mys_shape *shape;  /* owned; NULL where not captured */
    struct mys_field *fields; /* n; the shape's, or bare ones for counting. NULL: not countable */
    struct cdc_arena *bare;   /* owned; holds fields that are not the shape's */
    uint32_t n;
    char *schema, *name; /* owned */
    uint32_t hash;       /* of both names */
    bool stale;          /* DDL since it was described */
    struct mys_rel *next;
};

#define MYS_REL_BUCKETS 256

enum mys_phase {
    MYS_SAY_FIRST,    /* nothing is made at the server: the first position is just told */
    MYS_SAY_FAILOVER, /* emit the new incarnation and fingerprint */
    MYS_WAIT,         /* until the ack of what was said; then START */
    MYS_START,        /* open the dump */
    MYS_STREAM,
};

/* The transaction that is being read. */
struct mys_tx {
    bool open;
    bool skip;         /* already emitted whole (file:pos resumption, XA, MariaDB domains) */
    bool prepares;     /* XA, first phase: its rows wait for XA COMMIT; then skip is set, too */
    bool stands_alone; /* one QUERY, no commit event follows (MySQL: as long as no BEGIN came) */
    bool idle; /* its statement does nothing: an ALTER in two phases that begins, or failed */
    struct mys_gtid gtid;
    bool has_gtid;
    struct mys_at at;
    uint64_t n, skip_rows; /* raw rows so far; of them already out (cut) */
    uint32_t crc;
    uint64_t bytes;
    bool rows;          /* a change of it has been emitted */
    bool handed;        /* some of it in an earlier batch */
    struct cdc_tx *out; /* in the current batch's arena, or NULL */
};

struct mys_dump; /* dump.c */
struct mys_xa;   /* xa.c */

/* Sessions that hold the snapshot at which the stream begins, for CDC_LOOK_START (snap.c). */
struct mys_holder {
    pthread_mutex_t lock;
    MYSQL **conns; /* owned; NULL where one was taken */
    size_t n;
    char place[CDC_PLACE_LEN + 1]; /* "": there are none */
    char end[CDC_PLACE_LEN + 1];   /* MySQL: none of them contains what has this place */
    bool exact;                    /* else some may contain more than the place says */
};

struct mys_source {
    struct cdc_source base;
    struct mys_server srv;
    struct mys_facts facts;
    struct cdc_map known; /* table/..., incarnation of the checkpoint, and versions made since */
    pthread_mutex_t known_lock; /* those who copy look at it too */
    struct mys_holder holder;
    enum mys_phase phase;
    uint32_t incarnation; /* SAY_FAILOVER */

    struct mys_pos head;           /* the last place at which no transaction is open (kind TX) */
    struct mys_pos resume;         /* kind CUT: what to expect first; kind NONE once seen */
    struct mys_gtids target_gtids; /* caught up when head has these ... */
    char target_file[MYS_FILE_MAX + 1]; /* ... or, without GTIDs, is here */
    uint64_t target_pos;
    bool caught_up;

    struct mys_dump *dump;     /* owned */
    pthread_mutex_t dump_lock; /* wake may come while the dump is opened or closed */
    pthread_cond_t wake_cond;  /* WAIT: woken (monotonic clock) */
    bool woken;                /* under dump_lock */
    struct mys_format fmt;
    struct mys_payload *payload; /* of transaction payloads; owned */
    bool in_payload;             /* its events come before the dump's next */
    char file[MYS_FILE_MAX + 1]; /* of the next event */
    uint64_t pos;                /* where the next event begins */
    uint64_t payload_pos;        /* where the open payload begins */
    struct mys_tx tx;
    struct mys_xa *xa; /* prepared rows that are kept, or being read again; owned, or NULL */
    int64_t gap_logged_us, reread_off_us;
    struct mys_rel *rels[MYS_REL_BUCKETS];
    bool stale;          /* DDL since: the catalogue must be read again for tables described anew */
    bool altered;        /* DDL since the source was opened (relation.c) */
    uint64_t told_bytes; /* of log since the last position that was handed over */
    int64_t idle_told_us;
    unsigned burst, quick; /* events of the last drain; short waits in a row */
    bool due;              /* head moved over emitted rows and has not been told */
    bool moved;            /* head moved at all since it was told */
    MYSQL *look;           /* look.c's own connection, or NULL */
    int64_t look_off_us;
};

extern const struct cdc_source_ops cdc_source_mysql;
extern const struct cdc_snap_ops mys_snap; /* snap.c */
extern const struct cdc_view_ops mys_view; /* view.c */

/* ---- url.c, conn.c ---- */
/* Reads the options; refuses a url that is none (CDC_CONFIG). */
CDC_CHECK int mys_server_init(struct mys_server *srv, const struct cdc_config *cfg,
                              struct cdc_error *err);
void mys_server_done(struct mys_server *srv); /* fine on zeroed memory */
/* The same from a bare url, for `init`; cfg stays NULL. CDC_END: of another kind. */
CDC_CHECK int mys_server_of_url(struct mys_server *srv, const char *url, struct cdc_error *err);
/*
 * A new connection: TLS as asked for (never silently less), session pinned: utf8mb4, time_zone
 * +00:00, sql_mode '', REPEATABLE READ, net_write_timeout 3600, autocommit on.
 */
CDC_CHECK int mys_connect(const struct mys_server *srv, MYSQL **ret, struct cdc_error *err);
/* The same; silent_s seconds in which nothing is heard while it is waited for end it (0: never). */
CDC_CHECK int mys_connect_within(const struct mys_server *srv, unsigned silent_s, MYSQL **ret,
                                 struct cdc_error *err);
/* Opens srv->sql unless it is. */
CDC_CHECK int mys_sql(struct mys_server *srv, struct cdc_error *err);
void mys_sql_close(struct mys_server *srv);
/* A statement; *ret (may be NULL): its whole result, NULL where it has none. */
CDC_CHECK int mys_query(MYSQL *conn, const char *sql, MYSQL_RES **ret, struct cdc_error *err);
/* The same on srv->sql, opened if need be; once more on a new connection if it was lost. */
CDC_CHECK int mys_ask(struct mys_server *srv, const char *sql, MYSQL_RES **ret,
                      struct cdc_error *err);
/* Fills err from the connection's last error. mend: SQL or words that help, or NULL. */
int mys_fail(MYSQL *conn, const char *mend, struct cdc_error *err);
/* The same for an error number and text, for dump.c: 1236 is told apart by its text. */
int mys_fail_code(unsigned code, const char *text, const char *mend, struct cdc_error *err);
void mys_ident_put(struct cdc_buf *buf, const char *name);                     /* `a``b` */
void mys_table_put(struct cdc_buf *buf, const char *schema, const char *name); /* `a`.`b` */
void mys_literal_put(struct cdc_buf *buf, const char *text); /* 'a''b', whatever sql_mode */

/* ---- greeting.c ---- */
/* Asks on a connection of its own. */
CDC_CHECK int mys_offers_tls(const struct mys_server *srv, bool *ret, struct cdc_error *err);
/* The first packet of a server, without its head. CDC_FAIL: no greeting. */
CDC_CHECK int mys_greeting_read(struct cdc_slice packet, bool *ret_tls, struct cdc_error *err);

/* ---- tls.c ---- */
/* The connection that this thread makes next verifies nothing but a fingerprint, unless srv wants
 * more. Up to the end. */
void mys_tls_begin(MYSQL *conn, const struct mys_server *srv);
bool mys_tls_end(MYSQL *conn); /* true: refused for that reason; the next one will not be */

/* ---- server.c ---- */
CDC_CHECK int mys_facts_read(MYSQL *conn, struct mys_facts *ret, struct cdc_error *err);
/* Settings that lose changes or cannot be read, unless accepted: CDC_OPERATOR with the SQL. */
CDC_CHECK int mys_facts_refuse(const struct mys_facts *facts, const struct mys_server *srv,
                               struct cdc_error *err);
/* {"type":"mysql","ident":...,"flavour":"mariadb"|"mysql"} */
CDC_CHECK int mys_fingerprint(const struct mys_source *src, struct cdc_buf *ret);
/*
 * Where the log ends, such that every transaction that begins before file:pos is in gtids and is
 * seen by any snapshot opened from now on. MySQL without GTIDs: file:pos alone, and a transaction
 * before it may be unseen still (only a lock excludes that). Ends in pos->kind TX without `last`.
 * CDC_AGAIN: transactions that have begun did not end until the deadline, which err says; *ret is
 * then such a place all the same, but an early one: the beginning of the log's file.
 */
CDC_CHECK int mys_settled(MYSQL *conn, const struct mys_facts *facts, int64_t deadline_us,
                          struct mys_pos *ret, struct cdc_error *err);
/* gtid_executed (MySQL) or gtid_binlog_pos (MariaDB) now. Empty without GTIDs. */
CDC_CHECK int mys_executed(MYSQL *conn, const struct mys_facts *facts, struct mys_gtids *ret,
                           struct cdc_error *err);

/* The parts of it, for looks whose place is exact. The log's end: file and pos alone. */
CDC_CHECK int mys_log_end(MYSQL *conn, const struct mys_facts *facts, struct mys_pos *ret,
                          struct cdc_error *err);
/* The name changed with MySQL 8.0.22. */
const char *mys_replica_status_sql(const struct mys_facts *facts);
/* MySQL: transactions on their way into the log (gtid_owned). */
CDC_CHECK int mys_owned(MYSQL *conn, struct mys_gtids *ret, struct cdc_error *err);
/* MariaDB: file and pos of this session's snapshot; the GTIDs before file:pos. */
CDC_CHECK int mys_snapshot_place(MYSQL *conn, struct mys_pos *ret, struct cdc_error *err);
CDC_CHECK int mys_gtids_at(MYSQL *conn, struct mys_pos *pos, struct cdc_error *err);

/* ---- rights.c ---- */
/* SHOW GRANTS; *ret NULL: the server has no grant tables, and all is allowed. */
CDC_CHECK int mys_rights_read(MYSQL *conn, MYSQL_RES **ret, struct cdc_error *err);
/* Is the right, as GRANT writes it, there ON *.*, also by a role that is active? */
bool mys_may(MYSQL_RES *rights, const char *right);

/* ---- links.c ---- */
/* Do such keys matter: what they do is not in the log, and that is not accepted? */
bool mys_links_matter(const struct mys_source *src);
/* Refuses (CDC_OPERATOR) where a captured table has one, or this one. */
CDC_CHECK int mys_links_check(struct mys_source *src, struct cdc_error *err);
CDC_CHECK int mys_links_refuse(struct mys_source *src, const struct mys_which *which,
                               struct cdc_error *err);

/* ---- resume.c ---- */
/* Decides head, resume, phase, incarnation from the checkpoint and the server. */
CDC_CHECK int mys_resume(struct mys_source *src, const struct cdc_map *checkpoint,
                         struct cdc_error *err);

/* ---- dump.c ---- */
/* Where to begin: with GTIDs (which: those we have) or at file:pos. `once`: ends at the log's end.
 */
struct mys_dump_start {
    const struct mys_gtids *gtids; /* NULL: file and pos count */
    const char *file;
    uint64_t pos;
    bool once; /* the server ends it at the end of its log: CDC_END */
};
CDC_CHECK int mys_dump_open(const struct mys_server *srv, const struct mys_facts *facts,
                            const struct mys_dump_start *start, struct mys_dump **ret,
                            struct cdc_error *err);
/*
 * The next event, its bytes until the next call. CDC_AGAIN: none until the deadline, or woken.
 * CDC_END: `once`, and it is over; else the file that is read ends inside an event. CDC_FAIL: lost
 * (retry), refused by the server (operator).
 */
CDC_CHECK int mys_dump_next(struct mys_dump *dump, int64_t deadline_us, struct cdc_slice *ret,
                            struct cdc_error *err);
bool mys_dump_dry(struct mys_dump *dump);   /* would next wait now? */
void mys_dump_wake(struct mys_dump *dump);  /* any thread: ends a waiting next once */
void mys_dump_close(struct mys_dump *dump); /* NULL is fine */

/* ---- stream.c ---- */
CDC_CHECK int mys_stream_start(struct mys_source *src, struct cdc_error *err);
int mys_stream_poll(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                    struct cdc_error *err);
/* Puts the position into the batch's delta. */
CDC_CHECK int mys_tell(struct cdc_batch *batch, const struct mys_pos *pos, struct cdc_error *err);

/* ---- apply.c ---- */
/* One event whose head is decoded (mys_decode_head), at src->file and `pos`. */
CDC_CHECK int mys_apply(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev,
                        uint64_t pos, struct cdc_error *err);
/* When the transaction that begins with this event (decoded) was committed, as far as that tells.
 */
int64_t mys_commit_us(const struct mys_event *ev);
/* The transaction's cdc_tx in this batch's arena. NULL: no memory. */
const struct cdc_tx *mys_tx_out(struct mys_source *src, struct cdc_batch *batch);
/* One raw row, `raw` its bytes as they lie in the log. CDC_END: it was emitted before. */
CDC_CHECK int mys_count_row(struct mys_source *src, struct cdc_slice raw, struct cdc_error *err);
/* All rows of one rows event, to the open transaction. */
CDC_CHECK int mys_apply_rows(struct mys_source *src, struct cdc_batch *batch,
                             const struct mys_event *ev, struct cdc_error *err);
/* The open transaction is committed: head moves behind it. */
CDC_CHECK int mys_apply_commit(struct mys_source *src, struct cdc_batch *batch,
                               struct cdc_error *err);

/* ---- statement.c ---- */
/* The words of a QUERY event, in the arena, names as mys_name_fold makes them. */
CDC_CHECK int mys_statement_read(struct mys_source *src, const struct mys_event *ev,
                                 struct cdc_arena *arena, struct mys_statement *ret,
                                 struct cdc_error *err);
/* Every captured table that exists, of that database or (NULL) of all, has changes that are not in
 * the log: CDC_OP_GAP. `why` is logged. */
CDC_CHECK int mys_gap_all(struct mys_source *src, struct cdc_batch *batch, const char *db,
                          const char *why, struct cdc_error *err);
/* One change CDC_OP_GAP of that table. */
CDC_CHECK int mys_gap_table(struct mys_source *src, struct cdc_batch *batch, struct cdc_table *tab,
                            struct cdc_error *err);
/* The same for a row of which a JSON document is not known (rows.h), and a warning. */
CDC_CHECK int mys_gap_lost(struct mys_source *src, struct cdc_batch *batch, struct cdc_table *tab,
                           struct cdc_error *err);
/* A QUERY event inside or outside of a transaction, but for BEGIN, COMMIT and XA. */
CDC_CHECK int mys_statement_apply(struct mys_source *src, struct cdc_batch *batch,
                                  const struct mys_event *ev, const struct mys_statement *stmt,
                                  struct cdc_error *err);

/* ---- xa.c ---- */
/* An event of a transaction that `prepares`: kept in memory, if there is room. */
CDC_CHECK int mys_xa_keep(struct mys_source *src, const struct mys_event *ev,
                          struct cdc_error *err);
/* The open transaction is prepared under that xid: where it lies goes into head. */
CDC_CHECK int mys_xa_prepared(struct mys_source *src, const struct mys_xid *xid,
                              struct cdc_error *err);
/*
 * XA COMMIT: the prepared rows will be read again, out of memory or the place that is remembered,
 * and put into the open transaction, by mys_xa_more. An unknown xid (prepared before we began): a
 * gap in every table. one_phase: the open transaction itself, whose rows were kept so far.
 */
CDC_CHECK int mys_xa_commit(struct mys_source *src, struct cdc_batch *batch,
                            const struct mys_event *ev, const struct mys_xid *xid,
                            struct cdc_error *err);
CDC_CHECK int mys_xa_one_phase(struct mys_source *src, struct cdc_error *err);
/* XA ROLLBACK. Of one whose commit we have emitted: a gap in every table. */
CDC_CHECK int mys_xa_rollback(struct mys_source *src, struct cdc_batch *batch,
                              const struct mys_xid *xid, struct cdc_error *err);
/* Are rows being read again? Then they come before the dump's next event. */
bool mys_xa_reading(const struct mys_source *src);
/*
 * Goes on with that. CDC_OK: that was all, the transaction is committed, head has moved. CDC_FULL:
 * the batch is. CDC_AGAIN: nothing until the deadline. CDC_FAIL: the rows are not to be had.
 */
CDC_CHECK int mys_xa_more(struct mys_source *src, struct cdc_batch *batch, int64_t deadline_us,
                          struct cdc_error *err);
void mys_xa_drop(struct mys_source *src); /* what it keeps and reads: the log broke off */
void mys_xa_done(struct mys_source *src); /* at close */

/* ---- xa_check.c ---- */
/* The last change in each table of a transaction of which it is not known whether it was done. */
struct mys_doubt {
    struct mys_doubt_row *rows; /* owned */
};
CDC_CHECK int mys_doubt_add(struct mys_doubt *doubt, const struct cdc_change *chg,
                            struct cdc_error *err);
/* A table of which no row can be asked for. */
CDC_CHECK int mys_doubt_blind(struct mys_doubt *doubt, struct cdc_table *tab,
                              struct cdc_error *err);
/* CDC_OK: it was done. CDC_AGAIN: rows are still locked. CDC_END: it cannot be known. */
CDC_CHECK int mys_doubt_ask(struct mys_source *src, struct mys_doubt *doubt, struct cdc_error *err);
/* A gap of each of its tables. */
CDC_CHECK int mys_doubt_gap(struct mys_source *src, struct cdc_batch *batch,
                            const struct mys_doubt *doubt, struct cdc_error *err);
void mys_doubt_done(struct mys_doubt *doubt);

/* ---- reread.c ---- */
/* The row of `after`, whose key has moved: its UNCHANGED values out of the table, if they can be
 * had. */
void mys_reread(struct mys_source *src, const struct mys_rel *rel, struct cdc_batch *batch,
                struct cdc_value *after);

/* ---- relation.c ---- */
/* A TABLE_MAP event, decoded. */
CDC_CHECK int mys_rel_set(struct mys_source *src, const struct mys_event *ev,
                          struct cdc_error *err);
const struct mys_rel *mys_rel_find(const struct mys_source *src, uint64_t id); /* NULL: none */
void mys_rels_done(struct mys_source *src); /* forgets all: a new dump, another server run */
/* The table as last described under that name, or as the checkpoint knows it; a reference, or NULL
 * with CDC_OK: not captured, or never seen. For range deletes. */
CDC_CHECK int mys_rel_by_name(struct mys_source *src, const char *schema, const char *name,
                              struct cdc_table **ret, struct cdc_error *err);
/*
 * The table as the catalogue of `conn` shows it now, for copies; a reference. CDC_END: there is
 * none, or it is not captured. Any thread (known_lock).
 */
CDC_CHECK int mys_rel_now(struct mys_source *src, MYSQL *conn, const struct mys_which *which,
                          struct cdc_table **ret, struct cdc_error *err);
/* The same with how its values come; both the caller's. */
struct mys_described {
    struct cdc_table *tab;
    struct mys_shape *shape;
};
CDC_CHECK int mys_rel_describe(struct mys_source *src, MYSQL *conn, const struct mys_which *which,
                               struct mys_described *ret, struct cdc_error *err);

/* Schemas that are never captured. */
bool mys_is_system(const char *schema);
/* ---- fold.c ---- */
/* In place: the form in which names (UTF-8) are compared and kept (lower_case_table_names). */
void mys_name_fold(const struct mys_facts *facts, char *name);

/* ---- catalogue.c ---- */
/* A table of information_schema, in an arena. */
struct mys_cat_table {
    const char *schema, *name;
    const struct cdc_rule *rule; /* NULL: not captured */
    bool base;                   /* else a view, a sequence, ... */
    bool versioned;              /* MariaDB: WITH SYSTEM VERSIONING */
    const char *engine;
    uint64_t rows, bytes; /* estimates */
    bool cascades;        /* it is a child of a foreign key with CASCADE or SET NULL */
    bool keyed;           /* has a primary key */
};
struct mys_cat_tables {
    struct mys_cat_table *tabs;
    size_t n;
};
/* All tables of user schemas that could be captured, by schema and name; names as mys_name_fold
 * makes them. cfg NULL: all, and no rules. */
CDC_CHECK int mys_catalogue_list(MYSQL *conn, const struct cdc_config *cfg, struct cdc_arena *arena,
                                 struct mys_cat_tables *ret, struct cdc_error *err);
/* The same without rows, bytes, keyed. */
CDC_CHECK int mys_catalogue_cascades(MYSQL *conn, const struct cdc_config *cfg,
                                     struct cdc_arena *arena, struct mys_cat_tables *ret,
                                     struct cdc_error *err);
/* Without rows, bytes, keyed, cascades: cheap with many tables, for a look every minute. */
CDC_CHECK int mys_catalogue_names(MYSQL *conn, const struct cdc_config *cfg,
                                  struct cdc_arena *arena, struct mys_cat_tables *ret,
                                  struct cdc_error *err);
/* Is that one table a child of such a key? False: also where there is no such table. */
CDC_CHECK int mys_catalogue_cascade(MYSQL *conn, const struct mys_which *which, bool *ret,
                                    struct cdc_error *err);
/* A table's estimates; 0 where there are none. */
CDC_CHECK int mys_catalogue_size(MYSQL *conn, const struct mys_which *which, uint64_t *ret_rows,
                                 uint64_t *ret_bytes, struct cdc_error *err);
/* Who is asked for the columns of which table; what they are comes into the arena. */
struct mys_ask {
    MYSQL *conn;
    const struct mys_facts *facts;
    const char *schema, *name;
    struct cdc_arena *arena;
};
/* CDC_END: there is no such table, or no right to see it. */
CDC_CHECK int mys_catalogue_info(const struct mys_ask *ask, struct mys_info *ret,
                                 struct cdc_error *err);

/* ---- look.c, preflight.c, propose.c ---- */
int mys_look(struct cdc_source *src, struct cdc_source_status *ret, struct cdc_error *err);
enum mys_log_where {
    MYS_LOG_HERE,  /* the file is there, and reaches so far */
    MYS_LOG_GONE,  /* it was deleted: all files are newer */
    MYS_LOG_AHEAD, /* behind the end of the log: it was made anew, or is another's */
};
struct mys_logs {
    enum mys_log_where where;
    char first[MYS_FILE_MAX + 1], last[MYS_FILE_MAX + 1];
    uint64_t end;    /* of the last file */
    uint64_t behind; /* bytes of log behind file:pos */
};
/* What the server keeps of its log, seen from file:pos. CDC_END: no right to know. */
CDC_CHECK int mys_logs_look(MYSQL *conn, const char *file, uint64_t pos, struct mys_logs *ret,
                            struct cdc_error *err);
int mys_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);
int mys_propose(const char *url, struct cdc_buf *ret, struct cdc_error *err);
/* Connections enough for copies? (preflight_room.c) */
CDC_CHECK int mys_check_room(struct mys_server *srv, struct cdc_report *report,
                             struct cdc_error *err);
/* The tables' part of check (preflight_rules.c); account: 'user'@'host', as a GRANT names it. */
CDC_CHECK int mys_check_tables(struct mys_server *srv, const struct mys_facts *facts,
                               const char *account, struct cdc_report *report,
                               struct cdc_error *err);

/* ---- snap.c ---- */
/* Does any rule want a copy? */
bool mys_copy_wanted(const struct cdc_config *cfg);
/*
 * At a first start: opens the sessions for CDC_LOOK_START and says where the stream is to begin:
 * *ret as mys_settled. With `lock` and the right to it under a brief global read lock; otherwise,
 * and if that is not to be had within some seconds, without: then sessions may contain more.
 */
CDC_CHECK int mys_start_hold(struct mys_source *src, struct mys_pos *ret, struct cdc_error *err);
void mys_start_release(struct mys_source *src); /* closes what is left of them */

#endif
