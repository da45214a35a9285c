/*
 * compare.h - what a replica holds, compared with rows from elsewhere or with another replica.
 *
 *     cdc_compare_begin ──▶ row ... row ──▶ rest ... rest (CDC_END) ──▶ free
 *     cdc_diff_attach ──▶ cdc_diff_begin ──▶ cdc_diff_next ... (CDC_END) ──▶ cdc_diff_free
 *
 * A value is equal if it is what the replica would store for it: the comparison is SQLite's own
 * `IS`, in the column's type. Both are for a replica that was built in this process
 * (cdc_replica_temporary), whose tables are all known.
 *
 * Memory does not grow with the rows: which rows were compared is kept in the replica's file, and
 * SQLite sorts in files. Not for: telling values. Only keys and names of columns come out.
 * Ownership: the replica is lent and must not be applied to meanwhile; lent results live until the
 * next call. Threads: one.
 */
#ifndef CDC_REPLICA_COMPARE_H
#define CDC_REPLICA_COMPARE_H

#include "replica/replica.h"

/* ---- rows from elsewhere against one table ---- */

enum cdc_compared {
    CDC_COMPARED_EQUAL,
    CDC_COMPARED_DIFFERS,
    CDC_COMPARED_MISSING, /* the replica knows that it is gone: deleted, or the table emptied */
    CDC_COMPARED_NEVER,   /* the replica never heard of this key */
};

struct cdc_compared_row {
    enum cdc_compared verdict;
    const char *const *columns; /* n names: where they differ */
    size_t n;
    size_t unknown; /* columns whose value the replica does not know (`__unchanged`) */
};

struct cdc_compare;

/*
 * table: schema.name. `schema` describes the rows to come; NULL: none will, only `rest` is wanted.
 * CDC_AGAIN: the replica's table has another key, and its rows cannot be told apart by this one.
 * A table that the replica does not have is an empty one.
 */
CDC_CHECK int cdc_compare_begin(struct cdc_replica *rep, const char *table,
                                const struct cdc_row_schema *schema, struct cdc_compare **ret,
                                struct cdc_error *err);
/* One row, perhaps deleted logically (`__deleted`). key_only: nothing else of it is known. */
CDC_CHECK int cdc_compare_row(struct cdc_compare *cmp, const struct cdc_value *values,
                              bool key_only, struct cdc_compared_row *ret, struct cdc_error *err);
/* The next row that exists here and no compared row had the key of: appends its key as JSON. */
CDC_CHECK int cdc_compare_rest(struct cdc_compare *cmp, struct cdc_buf *key, struct cdc_error *err);
void cdc_compare_free(struct cdc_compare *cmp); /* NULL is fine */

/* The tables that the replica has (keyed ones alone), by name: free() the list, not the names. */
CDC_CHECK int cdc_compare_tables(const struct cdc_replica *rep, const char *const **ret,
                                 size_t *ret_n, struct cdc_error *err);

/* ---- another replica's file ---- */

enum cdc_differs { CDC_DIFF_LACKS, CDC_DIFF_EXTRA, CDC_DIFF_DIFFERS }; /* the file lacks ... */

struct cdc_difference {
    enum cdc_differs what;
    struct cdc_slice key;       /* JSON; of a table without key: {"__seq":...,"__op":...} */
    const char *const *columns; /* DIFFERS: n names */
    size_t n;
};

struct cdc_diff;

/* Where the file stands: the last commit it has applied. */
struct cdc_diff_at {
    uint64_t number;
    const char *token; /* as the feed gave it; NULL: none yet. Lent until the next begin or free */
};

/*
 * Attaches the file, read-only. CDC_CONFIG: there is none; CDC_OPERATOR: no replica of this
 * pipeline.
 */
CDC_CHECK int cdc_diff_attach(struct cdc_replica *rep, const char *path, struct cdc_diff **ret,
                              struct cdc_diff_at *ret_at, struct cdc_error *err);
/*
 * Fixes both and starts. CDC_AGAIN: the file has moved on to *ret_at meanwhile, and is fixed there:
 * bring ours to that commit and begin again. CDC_OPERATOR: what
 * both call that commit is not the same one (where ours knows its time: else the feed was held to
 * the file's own token, and has judged it).
 */
CDC_CHECK int cdc_diff_begin(struct cdc_diff *diff, struct cdc_diff_at *ret_at,
                             struct cdc_error *err);
/* All tables of both, by name: CDC_END after the last. */
CDC_CHECK int cdc_diff_table(struct cdc_diff *diff, const char **ret, struct cdc_error *err);
/* Goes through that table: the next difference. *rows grows by each row of ours compared. */
CDC_CHECK int cdc_diff_next(struct cdc_diff *diff, struct cdc_difference *ret, uint64_t *rows,
                            struct cdc_error *err);
void cdc_diff_free(struct cdc_diff *diff); /* NULL is fine */

#endif
