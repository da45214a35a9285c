/*
 * feed.c - reads a lake back, commit by commit, without a lock (cdc/feed.h).
 *
 * Record n+1 is read when it is there; its number, hash and positions must follow those of record
 * n, so a log that was cut, mixed or rewritten is noticed and not followed. A number that is absent
 * while a later one exists is a hole.
 *
 * Token of a commit: "<number> <SHA-256 of the record's bytes>". As each record holds the hash of
 * the one before, it stands for all that was read up to there: a reader that comes back to a lake
 * with another record (or none) under that number is refused.
 *
 * A lake that retention has cut (trim.c) begins behind its floor, with the checkpoint object of
 * that commit. Who has not read up to it is refused; that may also happen to one that is reading,
 * whose next record or file is gone. What is left of records below the floor is not looked at.
 *
 * Rows of a commit come from all its files merged by `__seq`: a heap of cursors, equal numbers in
 * the order of the files. A file is opened only when the merge reaches its seq_min, so the many
 * parts of a large transaction are not all open at once; before its first row is given its size and
 * SHA-256 are compared with the record, so no row of a damaged file is ever given.
 */
#define _GNU_SOURCE /* qsort_r */
#include "lake.h"

#include "cdc/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define REGISTER_US ((int64_t)3 * 1000000) /* a reader says at most this often how far it is */

struct cursor {
    enum cdc_deletes deletes;
    struct lake_input in;
    struct cdc_avro_reader *reader;
    const struct cdc_row_schema *schema;
    const struct cdc_value *values; /* the row it stands at */
    const uint8_t *seq;             /* of that row, CDC_SEQ_LEN bytes */
    size_t file;                    /* index in the record: decides between equal numbers */
};

struct feed {
    struct cdc_feed base;
    struct lake_store *store;
    char *root; /* absolute */
    char *name; /* the pipeline's, by format.json */
    struct lake_chain chain;
    struct lake_commit rec; /* the commit given last */
    bool have;
    char token[96];      /* of it */
    char path[PATH_MAX]; /* lent by file() */
    size_t next_file;

    size_t *order; /* files by seq_min */
    size_t next;   /* of order: the first not opened */
    struct cursor **heap;
    size_t n_heap;
    bool moved; /* the top of the heap was given and must go on first */

    int64_t registered_us; /* monotonic: when `applied` last wrote; 0: never */
    bool deaf;             /* it could not, and has said so */
};

/* ---- what retention has taken ---- */

static int gone_fail(const struct feed *feed, uint64_t number, uint64_t floor,
                     struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->root,
                    "what follows commit %" PRIu64 " was removed by sink.retention before it was "
                    "read here: what is left begins behind commit %" PRIu64 ". Go on from a copy "
                    "that has read further (docs/operations.md, Retention), and raise "
                    "sink.retention",
                    number, floor);
}

static int cut_fail(const struct feed *feed, uint64_t floor, const char *table,
                    struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->root,
                    "the beginning of this lake was removed by sink.retention (up to commit "
                    "%" PRIu64 "), and %.200s was not copied whole since: what is left does not "
                    "hold all its rows. Copy it anew (`sidestream snapshot`), or go on from a copy "
                    "of a replica that has read further (docs/operations.md, Retention)",
                    floor, table);
}

/*
 * Something that should follow commit `number` is not there: has retention taken it meanwhile? Then
 * that is the failure, and *err is overwritten; else CDC_OK.
 */
static int taken(struct feed *feed, uint64_t number, struct cdc_error *err)
{
    uint64_t floor;
    struct cdc_error why = {0};
    if (lake_floor(feed->store, &floor, &why) < 0 || number >= floor)
        return CDC_OK;
    return gone_fail(feed, number, floor, err);
}

/* ---- the merge ---- */

static void cursor_free(struct cursor *cur)
{
    if (cur)
        cdc_avro_reader_free(cur->reader);
    free(cur);
}

/* CDC_OK: it stands at a row; CDC_END: the file has no more. */
static int cursor_step(struct cursor *cur, struct cdc_error *err)
{
    assert(cur);
    int rc = cdc_avro_reader_row(cur->reader, &cur->values, err);
    if (rc != CDC_OK)
        return rc;
    const struct cdc_value *seq = &cur->values[cur->schema->meta[CDC_META_SEQ]];
    if (seq->kind != CDC_TEXT || seq->len != CDC_SEQ_LEN)
        return lake_damage(err, cur->in.file, "a row without a proper __seq");
    cur->seq = seq->p;
    return CDC_OK;
}

/* What a consumer does with deletes, as the rule of the time said (metadata cdc.deletes). */
static enum cdc_deletes deletes_of(const struct cdc_avro_reader *reader)
{
    struct cdc_slice text = cdc_avro_reader_meta(reader, "cdc.deletes");
    if (cdc_slice_eq(text, cdc_slice_str("hard")))
        return CDC_DELETES_HARD;
    return cdc_slice_eq(text, cdc_slice_str("append")) ? CDC_DELETES_APPEND : CDC_DELETES_SOFT;
}

static int cursor_new(struct feed *feed, size_t file, struct cursor **ret, struct cdc_error *err)
{
    struct cursor *cur = calloc(1, sizeof *cur);
    if (!cur)
        return cdc_fail_oom(err);
    cur->in = (struct lake_input){.st = feed->store, .file = &feed->rec.files[file]};
    cur->file = file;
    int rc = lake_input_verify(feed->store, cur->in.file, err);
    if (rc == CDC_OK)
        rc = lake_input_open(&cur->in, &cur->reader, err);
    if (rc == CDC_OK)
        rc = cdc_avro_reader_schema(cur->reader, &cur->schema, err);
    if (rc == CDC_OK && cur->schema->meta[CDC_META_SEQ] < 0)
        rc = lake_damage(err, cur->in.file, "its schema has no __seq");
    if (rc == CDC_OK) {
        cur->deletes = deletes_of(cur->reader);
        rc = cursor_step(cur, err);
    }
    if (rc != CDC_OK) {
        cursor_free(cur);
        return rc;
    }
    *ret = cur;
    return CDC_OK;
}

static bool before(const struct cursor *a, const struct cursor *b)
{
    assert(a && b);
    int c = memcmp(a->seq, b->seq, CDC_SEQ_LEN);
    return c ? c < 0 : a->file < b->file;
}

static void sift_down(struct feed *feed)
{
    struct cursor **heap = feed->heap, *cur = heap[0];
    size_t at = 0;
    for (size_t kid; (kid = 2 * at + 1) < feed->n_heap; at = kid) {
        if (kid + 1 < feed->n_heap && before(heap[kid + 1], heap[kid]))
            kid++;
        if (!before(heap[kid], cur))
            break;
        heap[at] = heap[kid];
    }
    heap[at] = cur;
}

static void push(struct feed *feed, struct cursor *cur)
{
    size_t at = feed->n_heap++;
    for (; at > 0 && before(cur, feed->heap[(at - 1) / 2]); at = (at - 1) / 2)
        feed->heap[at] = feed->heap[(at - 1) / 2];
    feed->heap[at] = cur;
}

static void pop(struct feed *feed)
{
    cursor_free(feed->heap[0]);
    feed->heap[0] = feed->heap[--feed->n_heap];
    if (feed->n_heap > 0)
        sift_down(feed);
}

static int by_seq_min(const void *a, const void *b, void *arg)
{
    const struct lake_file *files = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int c = strcmp(files[x].seq_min, files[y].seq_min);
    return c ? c : (x > y) - (x < y);
}

static void merge_done(struct feed *feed)
{
    for (size_t i = 0; i < feed->n_heap; i++)
        cursor_free(feed->heap[i]);
    free(feed->heap);
    free(feed->order);
    feed->heap = NULL;
    feed->order = NULL;
    feed->n_heap = feed->next = 0;
    feed->moved = false;
}

static int merge_begin(struct feed *feed, struct cdc_error *err)
{
    size_t n = feed->rec.n_files;
    feed->order = calloc(n + 1, sizeof *feed->order);
    feed->heap = calloc(n + 1, sizeof(struct cursor *));
    if (!feed->order || !feed->heap)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < n; i++)
        feed->order[i] = i;
    qsort_r(feed->order, n, sizeof *feed->order, by_seq_min, feed->rec.files);
    return CDC_OK;
}

/* Opens every file that may hold the next row. */
static int merge_open(struct feed *feed, const char *table, struct cdc_error *err)
{
    for (; feed->next < feed->rec.n_files; feed->next++) {
        size_t at = feed->order[feed->next];
        const struct lake_file *file = &feed->rec.files[at];
        if (table && strcmp(table, file->table) != 0)
            continue;
        assert(feed->n_heap == 0 || feed->heap[0]);
        if (feed->n_heap > 0 && memcmp(file->seq_min, feed->heap[0]->seq, CDC_SEQ_LEN) > 0)
            return CDC_OK;
        struct cursor *cur = NULL;
        int rc = cursor_new(feed, at, &cur, err);
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_OK)
            push(feed, cur);
    }
    return CDC_OK;
}

static int next_row(struct feed *feed, const char *table, struct cdc_feed_row *ret,
                    struct cdc_error *err)
{
    if (!feed->order && merge_begin(feed, err) < 0)
        return CDC_FAIL;
    if (feed->moved) {
        feed->moved = false;
        int rc = cursor_step(feed->heap[0], err);
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_OK)
            sift_down(feed);
        else
            pop(feed);
    }
    if (merge_open(feed, table, err) < 0)
        return CDC_FAIL;
    if (feed->n_heap == 0)
        return CDC_END;
    const struct cursor *cur = feed->heap[0];
    assert(cur);
    *ret = (struct cdc_feed_row){
        .schema = cur->schema, .values = cur->values, .deletes = cur->deletes};
    feed->moved = true;
    return CDC_OK;
}

static int feed_row(struct cdc_feed *base, const char *table, struct cdc_feed_row *ret,
                    struct cdc_error *err)
{
    struct feed *feed = (struct feed *)base;
    if (!feed->have)
        return CDC_END;
    int rc = next_row(feed, table, ret, err);
    if (rc < 0)
        (void)taken(feed, feed->rec.seq - 1, err); /* a file that went away is no damage then */
    return rc;
}

/* ---- commits ---- */

static void drop_commit(struct feed *feed)
{
    merge_done(feed);
    if (feed->have)
        lake_commit_done(&feed->rec);
    feed->have = false;
    feed->next_file = 0;
}

/* The next number is absent: the end, or a hole? */
static int at_end(struct feed *feed, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    uint64_t least, point;
    lake_hint_load(feed->store, &least, &point);
    lake_commit_path(feed->chain.seq + 2, path);
    int later = lake_exists(feed->store, path, err);
    if (later < 0 || taken(feed, feed->chain.seq, err) < 0)
        return CDC_FAIL;
    if (later == CDC_END && least <= feed->chain.seq)
        return CDC_AGAIN;
    lake_commit_path(feed->chain.seq + 1, path); /* did it come between the two looks? */
    int rc = lake_exists(feed->store, path, err);
    if (rc != CDC_END)
        return rc < 0 ? CDC_FAIL : CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, feed->root,
                    "commit %" PRIu64 " is missing, but later ones were written: restore the "
                    "missing _cdc/commits; `sidestream fsck` lists what is there",
                    feed->chain.seq + 1);
}

static int feed_commit(struct cdc_feed *base, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    struct feed *feed = (struct feed *)base;
    struct lake_commit rec;
    char sha[65];
    drop_commit(feed);
    int rc;
    while ((rc = lake_chain_read(feed->store, feed->chain.seq + 1, &rec, sha, err)) == CDC_END) {
        rc = at_end(feed, err);
        if (rc != CDC_OK)
            return rc;
    }
    if (rc < 0)
        return CDC_FAIL;
    if (lake_chain_follows(&feed->chain, &rec, feed->name, err) < 0 ||
        lake_chain_apply(&feed->chain, &rec, sha, err) < 0) {
        lake_commit_done(&rec);
        return CDC_FAIL;
    }
    feed->rec = rec;
    feed->have = true;
    snprintf(feed->token, sizeof feed->token, "%" PRIu64 " %s", rec.seq, sha);
    *ret = (struct cdc_feed_commit){.number = rec.seq,
                                    .token = feed->token,
                                    .from = rec.from ? rec.from : "",
                                    .to = rec.to ? rec.to : "",
                                    .at_us = rec.at_us};
    for (size_t i = 0; i < rec.n_files; i++)
        ret->n_records += rec.files[i].records;
    return CDC_OK;
}

static int feed_file(struct cdc_feed *base, struct cdc_feed_file *ret, struct cdc_error *err)
{
    struct feed *feed = (struct feed *)base;
    if (!feed->have || feed->next_file == feed->rec.n_files)
        return CDC_END;
    const struct lake_file *file = &feed->rec.files[feed->next_file++];
    if (snprintf(feed->path, sizeof feed->path, "%s/%s", feed->root, file->path) >=
        (int)sizeof feed->path)
        return cdc_fail(err, CDC_FATAL, file->path, "the path is too long");
    *ret = (struct cdc_feed_file){.commit = feed->rec.seq,
                                  .table = file->table,
                                  .path = feed->path,
                                  .bytes = file->bytes,
                                  .records = file->records};
    return CDC_OK;
}

/* ---- open, close ---- */

static void feed_close(struct cdc_feed *base)
{
    struct feed *feed = (struct feed *)base;
    drop_commit(feed);
    lake_chain_done(&feed->chain);
    if (feed->store)
        feed->store->ops->close(feed->store);
    free(feed->root);
    free(feed->name);
    free(feed);
}

static bool feed_knows(const char *place)
{
    struct lake_store *st;
    if (lake_local_open(place, false, &st, NULL) < 0)
        return false;
    /* A damaged or missing format.json is told by open, not denied here. */
    bool known = lake_exists(st, LAKE_DIR, NULL) == CDC_OK;
    st->ops->close(st);
    return known;
}

static int no_lake(const char *place, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, place,
                    "there is no lake (no %s): is the path right, and has `sidestream run` been "
                    "started once?",
                    LAKE_FORMAT);
}

/* "<number> <64 hex digits>" */
static bool token_parse(const char *token, uint64_t *ret_number, const char **ret_sha)
{
    size_t digits = strspn(token, "0123456789");
    errno = 0;
    *ret_number = strtoull(token, NULL, 10);
    *ret_sha = token + digits + 1;
    return digits > 0 && errno == 0 && *ret_number > 0 && token[digits] == ' ' &&
           lake_is_hex(*ret_sha, 64);
}

static int another_lake(const struct feed *feed, uint64_t number, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->root,
                    "commit %" PRIu64 " was applied, and this lake has another one or none under "
                    "that number: it was restored from an older copy, or made anew. Give the lake "
                    "back that was read, or name another replica file: it is built from the start",
                    number);
}

static int not_there(const struct feed *feed, uint64_t number, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, feed->root,
                    "commit %" PRIu64 " was asked for as the last one read, and is not there: "
                    "the lake is another one, or an older copy of it",
                    number);
}

/* A reader that needs everything may begin at the floor if all tables were copied behind it. */
static int all_copied(struct feed *feed, uint64_t floor, struct cdc_error *err)
{
    char *table = NULL;
    int rc = lake_whole(feed->store, &feed->chain, &table, err);
    if (rc == CDC_END)
        rc = cut_fail(feed, floor, table, err);
    if (rc == CDC_OK)
        cdc_log(CDC_LOG_INFO,
                "lake %s: commits up to %" PRIu64 " were removed by sink.retention; every table "
                "was copied whole since",
                feed->root, floor);
    free(table);
    return rc;
}

/* At the start of what is there: behind the floor, if there is one. */
static int begin_at_floor(struct feed *feed, const struct cdc_feed_start *start,
                          struct cdc_error *err)
{
    struct lake_commit rec;
    uint64_t floor;
    char sha[65], path[LAKE_PATH_MAX];
    if (lake_floor(feed->store, &floor, err) < 0)
        return CDC_FAIL;
    if (floor == 0)
        return CDC_OK;
    lake_point_path(floor, path);
    int rc = lake_point_load(feed->store, floor, &feed->chain, err);
    if (rc == CDC_OK)
        rc = lake_chain_read(feed->store, floor, &rec, sha, err);
    if (rc == CDC_OK)
        lake_commit_done(&rec);
    if (rc == CDC_END && taken(feed, floor, err) < 0) /* a new floor, just now */
        return CDC_FAIL;
    if (rc == CDC_END || (rc == CDC_OK && strcmp(sha, feed->chain.sha) != 0))
        rc = cdc_fail(err, CDC_FATAL, path,
                      "the lake begins behind commit %" PRIu64 ", and that record or its "
                      "checkpoint object is missing or another one: restore both from a copy of "
                      "the lake",
                      floor);
    if (rc == CDC_OK && start->whole)
        return all_copied(feed, floor, err);
    if (rc == CDC_OK)
        cdc_log(CDC_LOG_WARN,
                "lake %s: commits up to %" PRIu64 " were removed by sink.retention; what follows "
                "is not all that was captured",
                feed->root, floor);
    return rc;
}

/* The reader has read this commit: it must be there, with the hash that the token tells. */
static int stand_behind(struct feed *feed, const struct cdc_feed_start *start,
                        struct cdc_error *err)
{
    struct lake_commit rec;
    uint64_t number = start->after;
    const char *expect = NULL;
    char sha[65];
    if (start->token && !token_parse(start->token, &number, &expect))
        return cdc_fail(err, CDC_OPERATOR, feed->root,
                        "what was applied before was not read from a lake; name another replica "
                        "file: it is built from the start");
    if (number == 0)
        return begin_at_floor(feed, start, err);
    int rc = taken(feed, number, err);
    if (rc == CDC_OK)
        rc = lake_chain_read(feed->store, number, &rec, sha, err);
    if (rc < 0)
        return CDC_FAIL;
    if (rc == CDC_END)
        return expect ? another_lake(feed, number, err) : not_there(feed, number, err);
    if (expect && strcmp(sha, expect) != 0)
        rc = another_lake(feed, number, err);
    else
        rc = lake_chain_apply(&feed->chain, &rec, sha, err);
    lake_commit_done(&rec);
    return rc;
}

static int feed_begin(struct feed *feed, const struct cdc_config *cfg,
                      const struct cdc_feed_start *start, struct cdc_error *err)
{
    int rc = lake_format_load(feed->store, feed->root, &feed->name, err);
    if (rc != CDC_OK)
        return rc == CDC_END ? no_lake(feed->root, err) : CDC_FAIL;
    if (cfg && strcmp(cfg->name, feed->name) != 0)
        return cdc_fail(err, CDC_OPERATOR, feed->root,
                        "the lake belongs to the pipeline `%s`, and the configuration is of `%s`",
                        feed->name, cfg->name);
    return stand_behind(feed, start, err);
}

static int feed_open(const struct cdc_config *cfg, const char *place,
                     const struct cdc_feed_start *start, struct cdc_feed **ret,
                     struct cdc_error *err)
{
    const char *path = cfg ? cdc_get_string(cfg->sink, "path") : place;
    char *root = realpath(path, NULL);
    if (!root)
        return no_lake(path, err);
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        free(root);
        return cdc_fail_oom(err);
    }
    *feed = (struct feed){.base.ops = &lake_feed, .root = root};
    lake_chain_init(&feed->chain);
    if (lake_local_open(root, false, &feed->store, err) < 0 ||
        feed_begin(feed, cfg, start, err) < 0) {
        feed_close(&feed->base);
        return CDC_FAIL;
    }
    *ret = &feed->base;
    return CDC_OK;
}

static const struct cdc_map *feed_checkpoint(const struct cdc_feed *base)
{
    return &((const struct feed *)base)->chain.map;
}

/* A lake that may only be read can be read; it just does not know by whom. */
static void feed_applied(struct cdc_feed *base, const char *reader, uint64_t number, bool last)
{
    struct feed *feed = (struct feed *)base;
    struct cdc_error err = {0};
    int64_t now_us = cdc_mono_us();
    if (!last && feed->registered_us && now_us - feed->registered_us < REGISTER_US)
        return;
    feed->registered_us = now_us;
    if (lake_reader_save(feed->store, reader, number, &err) == CDC_OK || feed->deaf)
        return;
    feed->deaf = true;
    cdc_log(CDC_LOG_INFO,
            "lake %s: cannot be told how far it was read (%s: %s); with sink.retention, let this "
            "user write in " LAKE_READERS " and " LAKE_TMP,
            feed->root, err.where, err.message);
}

static int feed_fsck(struct cdc_feed *base, struct cdc_report *report, struct cdc_error *err)
{
    return lake_fsck(((struct feed *)base)->store, report, err);
}

const struct cdc_feed_ops lake_feed = {
    .open = feed_open,
    .knows = feed_knows,
    .commit = feed_commit,
    .row = feed_row,
    .file = feed_file,
    .checkpoint = feed_checkpoint,
    .applied = feed_applied,
    .fsck = feed_fsck,
    .close = feed_close,
};
