/*
 * lake.h - what the files of the lake sink share (README.md has the layout and the protocol).
 *
 * A lake is a log of numbered, create-only, hash-chained commit records over data files that nobody
 * sees until a record names them. `struct lake_chain` is the log replayed up to a record: the same
 * code serves recovery, the feed and fsck. `struct lake` is the sink.
 *
 * Threads: one object, one thread at a time. Paths are relative to the root unless said.
 */
#ifndef LAKE_H
#define LAKE_H

#include "cdc/avro.h"
#include "cdc/change.h"
#include "cdc/clock.h"
#include "cdc/sink.h"
#include "storage.h"

#include <jansson.h>

#define LAKE_DIR     "_cdc"
#define LAKE_FORMAT  "_cdc/format.json"
#define LAKE_LOCK    "_cdc/lock"
#define LAKE_LAST    "_cdc/_last"
#define LAKE_TMP     "_cdc/tmp"
#define LAKE_OWNERS  "_cdc/owner"
#define LAKE_POINTS  "_cdc/checkpoints"
#define LAKE_FLOORS  "_cdc/floor"
#define LAKE_READERS "_cdc/readers"

#define LAKE_PATH_MAX  512 /* of a relative path; a table's folder takes at most 200 of it */
#define LAKE_OPEN_MAX  128 /* data files being written at one time */
#define LAKE_HELD_MAX  ((size_t)16 << 20) /* bytes in their block buffers */
#define LAKE_BLOCK_MAX ((size_t)1 << 30)  /* a block that holds one giant row */

/* ---- names.c: paths, times, hashes ---- */

void lake_commit_path(uint64_t seq, char ret[LAKE_PATH_MAX]);
void lake_owner_path(uint32_t epoch, char ret[LAKE_PATH_MAX]);
void lake_point_path(uint64_t seq, char ret[LAKE_PATH_MAX]);
void lake_schema_path(const char *sha256_hex, char ret[LAKE_PATH_MAX]);
/* The folder of a table below log/: "public.users", %XX escapes, shortened when very long. */
void lake_table_dir(const char *schema, const char *table, char ret[LAKE_PATH_MAX]);

/* <seq:20>-<epoch:10>-<part:4>.<8 hex>.avro, with `.` before and `.tmp` behind while staged. */
struct lake_name {
    uint64_t seq;
    uint32_t epoch, part;
    char schema[9];
    bool tmp;
};
bool lake_name_parse(const char *name, struct lake_name *ret);
void lake_name_print(const struct lake_name *name, char ret[LAKE_PATH_MAX]);
/* A number that fills `digits` digits and is followed by `tail`. */
bool lake_number_parse(const char *text, size_t digits, const char *tail, uint64_t *ret);
/* A path that a commit record may name: below log/, no odd bytes, nothing that climbs. */
bool lake_path_ok(const char *path);

void lake_date(int64_t us, char ret[11]);                /* 2026-11-20, UTC */
void lake_time(int64_t us, char ret[28]);                /* 2026-11-20T10:00:00.000000Z */
bool lake_time_parse(const char *text, int64_t *ret_us); /* exactly that form */

void lake_hex(const uint8_t *p, size_t n, char *ret); /* 2n digits and a NUL */
bool lake_is_hex(const char *text, size_t n);         /* exactly n lower-case digits */
void lake_sha256(struct cdc_slice bytes, char ret[65]);
uint64_t lake_hash(const char *text); /* FNV-1a; for sets of names, not for safety */

/* ---- commit.c: the commit record ---- */

#define LAKE_OPS   6
#define LAKE_OP_IS "cudrtm"
#define LAKE_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

struct lake_file {
    const char *table, *path, *format, *codec;
    char schema[65], sha256[65]; /* of the schema text; of the file */
    uint32_t schema_id;
    uint64_t bytes, records;
    uint64_t ops[LAKE_OPS]; /* by LAKE_OP_IS */
    char seq_min[CDC_SEQ_LEN + 1], seq_max[CDC_SEQ_LEN + 1];
};

enum lake_kind { LAKE_DATA, LAKE_IDLE, LAKE_EPOCH };

struct lake_commit {
    uint64_t seq;
    char prev[65]; /* SHA-256 of the record before, as its bytes lie there; zeros for the first */
    char nonce[33];
    uint32_t epoch;
    enum lake_kind kind;
    int64_t at_us;
    const char *name, *from, *to; /* positions: NULL if there is none yet */
    struct cdc_map delta;
    struct lake_file *files;
    size_t n_files;
    json_t *json; /* parsed records: what the strings point into */
};

/* Appends the record's bytes. Borrows everything. */
CDC_CHECK int lake_commit_make(const struct lake_commit *rec, struct cdc_buf *ret,
                               struct cdc_error *err);
/* Takes a record apart, believing nothing. CDC_FATAL, and *ret untouched, if it is none. */
CDC_CHECK int lake_commit_parse(struct cdc_slice bytes, struct lake_commit *ret,
                                struct cdc_error *err);
void lake_commit_done(struct lake_commit *rec); /* of a parsed record */

/* ---- chain.c: the log replayed up to a record, and checkpoint objects of that ---- */

struct lake_chain {
    uint64_t seq; /* of the last record; 0: none */
    char sha[65]; /* of its bytes; zeros: none */
    uint32_t epoch;
    char *to;                       /* owned; NULL: no position yet */
    uint64_t data_seq;              /* of the last record that names files */
    int64_t data_us;                /* and when it was made */
    uint64_t records, files, bytes; /* of all data so far */
    struct cdc_map map;
};

void lake_chain_init(struct lake_chain *chain);
void lake_chain_done(struct lake_chain *chain);
/* Is rec what may follow? Number, hash, positions, epoch, name (NULL: any). CDC_FATAL: no. */
CDC_CHECK int lake_chain_follows(const struct lake_chain *chain, const struct lake_commit *rec,
                                 const char *name, struct cdc_error *err);
CDC_CHECK int lake_chain_apply(struct lake_chain *chain, const struct lake_commit *rec,
                               const char sha[65], struct cdc_error *err);
/* Reads and parses record `seq`: CDC_OK, CDC_END (not there), CDC_FAIL. sha may be NULL. */
CDC_CHECK int lake_chain_read(struct lake_store *st, uint64_t seq, struct lake_commit *ret,
                              char sha[65], struct cdc_error *err);

CDC_CHECK int lake_point_save(struct lake_store *st, const struct lake_chain *chain,
                              const char *name, struct cdc_error *err);
/* Fills an empty chain from checkpoint object `seq`. CDC_END: not there. */
CDC_CHECK int lake_point_load(struct lake_store *st, uint64_t seq, struct lake_chain *chain,
                              struct cdc_error *err);
/* The hint: number of a commit and of a checkpoint object that existed once; 0: unknown. */
void lake_hint_save(struct lake_store *st, uint64_t seq, uint64_t point);
void lake_hint_load(struct lake_store *st, uint64_t *ret_seq, uint64_t *ret_point);

/* All numbers that stand as <digits><tail> in a folder, ascending; free() them. */
CDC_CHECK int lake_numbers(struct lake_store *st, const char *dir, size_t digits, uint64_t **ret,
                           size_t *ret_n, struct cdc_error *err);

/* Paths known to be named by a record: hashes, so that it stays small. A collision keeps a file. */
struct lake_names {
    uint64_t *hashes;
    size_t n, cap;
    bool sorted;
};
CDC_CHECK int lake_names_add(struct lake_names *names, const char *path, struct cdc_error *err);
bool lake_names_have(struct lake_names *names, const char *path);
void lake_names_done(struct lake_names *names);

/* Every data file (staged ones too) in log/, in the dt= folders from date `since` ("" all) on. */
typedef int lake_found(void *arg, const char *path, const struct lake_name *name,
                       struct cdc_error *err);
CDC_CHECK int lake_walk(struct lake_store *st, const char *since, lake_found *found, void *arg,
                        struct cdc_error *err);

/* ---- recover.c, claim.c, write.c, trim.c, lake.c: the sink ---- */

struct lake_settings {
    const char *path, *name; /* the root; the pipeline */
    enum cdc_codec codec;
    int level;
    size_t block_bytes;
    uint64_t max_file_bytes;
    uint64_t checkpoint_every; /* commits */
    int64_t retention_us;      /* 0: nothing is ever removed */
    int64_t reader_timeout_us; /* a reader silent for longer counts no more */
    int64_t trim_every_us;     /* how often to look for what may go */
    uint64_t trim_step;        /* commits that go at one time, if there are enough */
    struct cdc_commit_policy policy;
    bool sync;
};

/* What trim.c keeps from commit to commit. */
struct lake_trim {
    int64_t next_us;  /* monotonic: not before */
    bool begun;       /* the rest is of this lake as it is */
    bool looked;      /* `bound` is of this look */
    bool fatal;       /* an fsync failed */
    uint64_t low;     /* the lowest record that may lie there; above the floor: none below it */
    uint64_t bound;   /* what all readers have applied */
    int64_t first_us; /* when the first commit behind the floor was made */
    struct lake_chain base; /* the log replayed as far as it may go */
    struct cdc_map blamed;  /* readers that were warned about */
};

/* A data file: being written (w), or finished and waiting for its commit. */
struct lake_out {
    struct lake_file file; /* strings owned */
    struct lake_staged *staged;
    struct cdc_avro_writer *w; /* NULL: finished */
    struct cdc_table *tab;     /* referenced while w: the pointer cannot be used again */
    struct evp_md_ctx_st *sha; /* of the bytes so far */
    size_t held;               /* of the block buffer */
    uint64_t used;             /* clock of the least recently used */
};

struct lake {
    struct cdc_sink base;
    struct lake_settings set;
    struct lake_store *store;
    int lock_fd; /* -1: not held */
    bool ready;  /* recovered, and no failure since that left a commit in doubt */
    uint32_t epoch;
    char nonce[33];
    struct lake_chain chain; /* the head, as far as we know */
    uint64_t point;          /* newest checkpoint object */
    uint64_t floor;          /* commits up to here are given up (trim.c); 0: none */
    struct lake_trim trim;

    struct lake_out **open, **done; /* being written; finished, in the order of finishing */
    size_t n_open, n_done, cap_done;
    struct lake_out *last; /* of open: where the last row went */
    size_t held;
    uint64_t used, part_seq;
    uint32_t part;
    char date[11]; /* dt= of the pending files; "" none yet */
    bool full;
    struct cdc_map schemas; /* SHA-256 of schema objects known to exist */
};

/* A sink on a store that it takes over (also on failure); for lake.c and tests. */
CDC_CHECK int lake_new(const struct lake_settings *set, struct lake_store *take_store,
                       struct lake **ret, struct cdc_error *err);
extern const struct cdc_sink_ops cdc_sink_lake;
extern const struct cdc_feed_ops lake_feed;

/* claim.c: folder, lock, format object. */
CDC_CHECK int lake_claim(struct lake *lk, struct cdc_error *err);
/* Name in format.json into ret (free it). CDC_END: no lake there. CDC_OPERATOR: damaged, newer. */
CDC_CHECK int lake_format_load(struct lake_store *st, const char *root, char **ret,
                               struct cdc_error *err);
/* *ret true: there are entries and none of them is a lake's. */
CDC_CHECK int lake_foreign(struct lake_store *st, bool *ret, struct cdc_error *err);
int lake_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);

/* recover.c: as cdc_sink_ops.recover. */
int lake_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err);
/* Deletes what killed writers left and no record names: only behind the fence. */
CDC_CHECK int lake_sweep(struct lake *lk, struct lake_names *named, uint64_t since,
                         struct cdc_error *err);

/* write.c */
int lake_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err);
/* Finishes and publishes all open files, so that a record may name lk->done. */
CDC_CHECK int lake_out_finish(struct lake *lk, struct cdc_error *err);
/* Forgets all pending files; published ones are deleted from the store if `remove`. */
CDC_CHECK int lake_out_drop(struct lake *lk, bool remove, struct cdc_error *err);

/* lake.c: a checkpoint object at the head. */
CDC_CHECK int lake_point_now(struct lake *lk, struct cdc_error *err);

/* trim.c: after each commit; a little work at a time. CDC_FAIL: the disk failed (CDC_FATAL). */
CDC_CHECK int lake_trim(struct lake *lk, struct cdc_error *err);
void lake_trim_reset(struct lake *lk);
/* The last commit whose rows were given up; 0: none was. */
CDC_CHECK int lake_floor(struct lake_store *st, uint64_t *ret, struct cdc_error *err);
/* Old checkpoint objects: the newest two stay, and the floor's. */
CDC_CHECK int lake_points_drop(struct lake *lk, struct cdc_error *err);

/* readers.c: the commit up to which every reader that counts has read; UINT64_MAX: there is none.
 */
CDC_CHECK int lake_readers_bound(struct lake *lk, uint64_t *ret, struct cdc_error *err);
CDC_CHECK int lake_reader_save(struct lake_store *st, const char *name, uint64_t commit,
                               struct cdc_error *err);

/*
 * whole.c: were all tables of the floor copied whole behind it? CDC_END: not this one (free it).
 */
CDC_CHECK int lake_whole(struct lake_store *st, const struct lake_chain *floor, char **ret_table,
                         struct cdc_error *err);

/* input.c: reading one data file, checked against what its record says. */
struct lake_input {
    struct lake_store *st;
    const struct lake_file *file;
    uint64_t off;
};
int lake_damage(struct cdc_error *err, const struct lake_file *file, const char *what);
/* Size and SHA-256 as the record says? CDC_FATAL: no. */
CDC_CHECK int lake_input_verify(struct lake_store *st, const struct lake_file *file,
                                struct cdc_error *err);
/* `in` must live as long as the reader. */
CDC_CHECK int lake_input_open(struct lake_input *in, struct cdc_avro_reader **ret,
                              struct cdc_error *err);
/* fsck.c: as cdc_feed_ops.fsck. */
CDC_CHECK int lake_fsck(struct lake_store *st, struct cdc_report *report, struct cdc_error *err);

#endif
