/*
 * config.h - what a connector may know of the configuration, and how a preflight reports.
 *
 * Ownership: all of it belongs to the configuration and lives longer than any source or sink.
 * Threads: read-only after loading.
 */
#ifndef CDC_CONFIG_H
#define CDC_CONFIG_H

#include "cdc/buf.h"
#include "cdc/option.h"

enum cdc_deletes { CDC_DELETES_SOFT, CDC_DELETES_HARD, CDC_DELETES_APPEND };
enum cdc_invalid { CDC_INVALID_FAIL, CDC_INVALID_STRING, CDC_INVALID_NULL };
/* What becomes of a table whose new schema is not compatible with those of before. */
enum cdc_incompatible {
    CDC_INCOMPATIBLE_HOLD,      /* the pipeline stops until somebody has decided */
    CDC_INCOMPATIBLE_PAUSE,     /* it goes on without the table, which then has a gap */
    CDC_INCOMPATIBLE_NEW_TOPIC, /* the table goes on in a new stream */
    CDC_INCOMPATIBLE_FORCE      /* the schema is registered all the same */
};
enum cdc_snapshot_mode {
    CDC_SNAPSHOT_INITIAL, /* the rows that were there before, then the changes */
    CDC_SNAPSHOT_NEVER,   /* changes alone */
    CDC_SNAPSHOT_ONLY,    /* the rows alone: no change behind the end of the copy */
};

/*
 * What a rule does with one column. The envelope carries it out when it encodes, so that neither
 * files nor topics ever hold what was there; sources and the checkpoint know the column by name
 * only.
 */
enum cdc_column_act {
    CDC_COLUMN_KEEP,
    CDC_COLUMN_EXCLUDE,  /* not in the record at all; never a key column */
    CDC_COLUMN_HASH,     /* HMAC-SHA-256 of its text form, 64 hex digits; NULL stays null */
    CDC_COLUMN_MASK,     /* text: *****, other kinds: null; NULL stays null */
    CDC_COLUMN_TRUNCATE, /* text: its first `limit` characters */
};

struct cdc_column_rule {
    enum cdc_column_act act;
    uint32_t limit;
    enum cdc_invalid on_invalid; /* STRING: the column is text, in the database's own form */
};

/* One entry of `capture:`; the first whose pattern matches a table takes it. */
struct cdc_rule {
    const char *tables; /* glob over schema and table, split at the first dot: public.audit_* */
    const char *where;  /* "file:line" */
    bool skip;
    const char *const *key; /* key override, n_key names; n_key 0: the source's own key */
    size_t n_key;
    enum cdc_deletes deletes;
    enum cdc_invalid on_invalid; /* of columns that cdc_rule_column says nothing else of */
    enum cdc_snapshot_mode snapshot;
    const char *copy_where;     /* which rows are copied, in the source's language; NULL: all */
    int32_t priority;           /* tables of a greater one are copied first */
    bool insert_only;           /* a table without identity: inserts and truncates alone */
    const char *logical_delete; /* column that marks a row as deleted when neither NULL nor false */
    const char *updated_at;     /* column for __source_updated_at, or NULL */
    const char *topic;   /* name of the stream its tables go to, in place of the sink's; or NULL */
    bool envelope_given; /* does the file say `envelope`, in the rule or at its top? */
    enum cdc_incompatible on_incompatible; /* the rule's, else registry.on_incompatible */
    struct cdc_slice hash_key;             /* secrets.hash; p == NULL: none given */
    const struct cdc_columns *columns;     /* see cdc_rule_column; NULL: nothing said */
    char hash[65]; /* SHA-256 (hex) of what the rule says: a changed rule is noticed by it */
};

struct cdc_capture;

/* The rule that takes the table, or NULL: not captured (no match, or the match says skip). */
const struct cdc_rule *cdc_capture_match(const struct cdc_capture *capture, const char *schema,
                                         const char *table);
/* All rules in order, for error texts and `check`. */
size_t cdc_capture_rules(const struct cdc_capture *capture, const struct cdc_rule **ret);

/* What the rule says of the column of that name (rule NULL: keep, fail). */
struct cdc_column_rule cdc_rule_column(const struct cdc_rule *rule, const char *column);
/*
 * The same for a column of the table's key, which stays although `include` leaves it out. An act
 * that no key survives (cdc_key_act_refused) is to be refused wherever a table becomes known.
 */
struct cdc_column_rule cdc_rule_key_column(const struct cdc_rule *rule, const char *column);
/* Excluded, masked or cut, two rows would have one key. A hashed key is as unique as it was. */
static inline bool cdc_key_act_refused(enum cdc_column_act act)
{
    return act != CDC_COLUMN_KEEP && act != CDC_COLUMN_HASH;
}
/* Every column name that the rule mentions (key, columns, logical_delete, updated_at, on_invalid),
 * each once, patterns left out: NULL-terminated, never NULL. */
const char *const *cdc_rule_mentions(const struct cdc_rule *rule);

/* Does an entry `messages: [globs]` take logical messages of this prefix? */
bool cdc_capture_message(const struct cdc_capture *capture, const char *prefix);
/* Does any entry take messages at all? */
bool cdc_capture_messages(const struct cdc_capture *capture);

struct cdc_config {
    const char *path;                  /* of the file, or "" */
    const char *name;                  /* of the pipeline: [a-z][a-z0-9_]{0,40} */
    const struct cdc_section *source;  /* the source's options */
    const struct cdc_section *sink;    /* the sink's options */
    const struct cdc_capture *capture; /* never NULL in a pipeline */
    int64_t memory;                    /* bytes in flight at most */
    unsigned copy_threads; /* that read a pipeline's first copy, and one that plans; 0: none do */
    unsigned copy_readers; /* that read any copy, and one that plans */
    bool cuts; /* the sink commits inside transactions: the source gives CDC_CUT_TX positions */
};

/*
 * What `check` prints: a line per finding. The SQL (or whatever mends it) is optional.
 * The report may be shown while it grows; findings never hold secrets.
 */
enum cdc_finding { CDC_PASS, CDC_WARN, CDC_BAD };
struct cdc_report;
void cdc_report(struct cdc_report *report, enum cdc_finding kind, const char *mend, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));

/* A table of the source as a preflight knows it; lists end in NULL. */
struct cdc_known_table {
    const char *schema, *name;
    const char *const *columns;
    const char *const *key; /* the table's own (its identity); empty: none */
};

/*
 * For `check`, once, with every table that could be captured: a line per table, which rule took it
 * and what it does to its columns; what of it cannot be (names that the table does not have, a key
 * column excluded, masked or cut) as CDC_BAD; and rules that took no table as CDC_WARN.
 */
void cdc_capture_check(const struct cdc_capture *capture, const struct cdc_known_table *tabs,
                       size_t n, struct cdc_report *report);

#endif
