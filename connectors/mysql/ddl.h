/*
 * ddl.h - what a QUERY event may have done to captured tables, by a scan of its words.
 *
 * Not a parser: it finds the verb, and the tables of those verbs that matter. Where a statement's
 * tables cannot be told, it says so (MYS_UNSURE), and any table may be meant. It never fails on a
 * statement; only for want of memory.
 */
#ifndef MYS_DDL_H
#define MYS_DDL_H

#include "decode.h"

enum mys_verb {
    MYS_V_OTHER, /* no matter to us */
    MYS_V_BEGIN,
    MYS_V_COMMIT,
    MYS_V_ROLLBACK,
    MYS_V_SAVEPOINT, /* or back to one */
    MYS_V_XA_START,
    MYS_V_XA_END,
    MYS_V_XA_PREPARE,
    MYS_V_XA_COMMIT,
    MYS_V_XA_ROLLBACK,
    MYS_V_CREATE, /* table */
    MYS_V_ALTER,  /* table, or an index of it */
    MYS_V_RENAME, /* tables: pairs of names, old and new */
    MYS_V_TRUNCATE,
    MYS_V_DROP,          /* tables */
    MYS_V_DROP_DATABASE, /* name: in db */
    MYS_V_DML,           /* rows, as a statement: the rows are not in the log */
};

enum {
    MYS_UNSURE = 1u << 0,    /* not all of its tables are in `names` */
    MYS_TEMPORARY = 1u << 1, /* tables that nobody else sees */
    MYS_RENAMED = 1u << 2,   /* ALTER: names[0] is now names[1] */
    MYS_ROWS_GONE = 1u << 3, /* rows vanish or come without row events: partitions, OR REPLACE */
    MYS_SWALLOWED = 1u << 4, /* ALTER: names[1] is no table any more, its rows are names[0]'s */
    MYS_FILLED = 1u << 5,    /* CREATE: with the rows of a query */
    MYS_LINKED = 1u << 6,    /* CREATE, ALTER: a foreign key that changes rows by itself */
    MYS_DBS_MANY = 1u << 7,  /* UNSURE: `dbs` are not all */
};

#define MYS_DBS_MOST 64

struct mys_table_name {
    const char *db, *name; /* UTF-8; as written, whatever the case */
};

struct mys_statement {
    enum mys_verb verb;
    unsigned flags;
    size_t n;
    struct mys_table_name *names;
    /* UNSURE: whatever stands before a dot, each once. Of other databases' tables, views and
     * functions that it uses the database is among them; the default one need not be. */
    size_t n_dbs;
    const char **dbs;
    struct mys_xid xid; /* XA */
};

/* How the session that wrote the statement reads text. */
struct mys_session {
    bool ansi_quotes, no_backslash;
    uint32_t collation; /* of the text: 0 if not told */
    bool has_us;
    uint32_t us; /* of the event's time */
};

/* Out of a QUERY's status variables; those that it does not know end the scan. */
void mys_session_read(struct cdc_slice status, struct mys_session *ret);

/*
 * sql: UTF-8, or a charset that has ASCII where ASCII is (recode others first). db: the default
 * database. CDC_FAIL: no memory.
 */
CDC_CHECK int mys_statement_scan(const struct mys_session *session, struct cdc_slice sql,
                                 struct cdc_slice db, struct cdc_arena *arena,
                                 struct mys_statement *ret, struct cdc_error *err);

#endif
