/*
 * fsck.c - checks a whole lake against its commit log, from the first commit to the last.
 *
 * Three passes. (1) The records by their numbers as listed: holes, JSON, chain, positions, epochs;
 * the deltas are applied as recovery would, and each checkpoint object is compared with the map at
 * its number. (2) With each record its files: size, hash, every row decoded and counted again, the
 * schema object, the schema id. (3) All data files in log/: who is named by no record?
 *
 * A lake that retention has cut (trim.c) is checked from its floor on: the checkpoint object there
 * must tell the hash of the floor's record, and stands for all that was. Records below the floor
 * are on their way out; what they name is not called an orphan.
 *
 * It goes on behind damage as far as there is sense in it. It takes no lock and may run beside a
 * writer: what the newest epoch has written and not yet committed is not called an orphan.
 */
#include "lake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct fsck {
    struct lake_store *st;
    struct cdc_report *report;
    char *name;
    struct lake_chain chain;
    struct lake_names named;
    struct cdc_map last; /* table -> greatest __seq in earlier commits */
    uint32_t owner;      /* the highest epoch there is */
    uint64_t floor;      /* the last commit that was given up; 0: none */
    uint64_t bad, orphans;
};

/* What a file's rows really are, to be compared with what its record says. */
struct tally {
    struct lake_file is;
    char prev[CDC_SEQ_LEN + 1];
    bool unordered;
};

static void bad(struct fsck *fs, const char *where, const char *what)
{
    fs->bad++;
    cdc_report(fs->report, CDC_BAD, NULL, "%s: %s", where, what);
}

static void bad_commit(struct fsck *fs, uint64_t seq, const char *what)
{
    char where[48];
    snprintf(where, sizeof where, "commit %" PRIu64, seq);
    bad(fs, where, what);
}

/* Has a writer beside us given this commit up meanwhile? Asked only where something is missing. */
static bool given_up(struct fsck *fs, uint64_t seq)
{
    if (seq > fs->floor && lake_floor(fs->st, &fs->floor, NULL) < 0)
        return false;
    return seq <= fs->floor;
}

/* ---- one file ---- */

static void tally_row(struct tally *tally, const struct cdc_row_schema *schema,
                      const struct cdc_value *values)
{
    const struct cdc_value *seq = &values[schema->meta[CDC_META_SEQ]];
    const struct cdc_value *op = &values[schema->meta[CDC_META_OP]];
    const struct cdc_value *reason = schema->meta[CDC_META_DELETE_REASON] < 0
                                         ? NULL
                                         : &values[schema->meta[CDC_META_DELETE_REASON]];
    struct lake_file *is = &tally->is;
    const char *at =
        op->kind == CDC_TEXT && op->len == 1 && op->p[0] ? strchr(LAKE_OP_IS, op->p[0]) : NULL;
    is->records++;
    if (at)
        is->ops[at - LAKE_OP_IS]++;
    if (seq->kind != CDC_TEXT || seq->len != CDC_SEQ_LEN) {
        tally->unordered = true;
        return;
    }
    if (is->records == 1 || memcmp(seq->p, is->seq_min, CDC_SEQ_LEN) < 0)
        memcpy(is->seq_min, seq->p, CDC_SEQ_LEN);
    if (is->records == 1 || memcmp(seq->p, is->seq_max, CDC_SEQ_LEN) > 0)
        memcpy(is->seq_max, seq->p, CDC_SEQ_LEN);
    /* The `t` that ends a repeated snapshot has the number at which it began, by definition. */
    if (reason && reason->kind == CDC_TEXT && reason->len == 8 &&
        memcmp(reason->p, "inferred", 8) == 0)
        return;
    if (memcmp(seq->p, tally->prev, CDC_SEQ_LEN) < 0)
        tally->unordered = true;
    memcpy(tally->prev, seq->p, CDC_SEQ_LEN);
}

static int tally_file(struct fsck *fs, const struct lake_file *file, struct tally *ret,
                      struct cdc_error *err)
{
    struct lake_input in = {.st = fs->st, .file = file};
    struct cdc_avro_reader *reader = NULL;
    const struct cdc_row_schema *schema = NULL;
    const struct cdc_value *values;
    char sha[65];
    int rc = lake_input_open(&in, &reader, err);
    if (rc == CDC_OK) {
        lake_sha256(cdc_avro_reader_meta(reader, "avro.schema"), sha);
        if (strcmp(sha, file->schema) != 0)
            bad(fs, file->path, "its avro.schema is not the one its commit says");
        rc = cdc_avro_reader_schema(reader, &schema, err);
    }
    if (rc == CDC_OK && (schema->meta[CDC_META_SEQ] < 0 || schema->meta[CDC_META_OP] < 0))
        rc = cdc_fail(err, CDC_FATAL, file->path, "its schema has no __seq or no __op");
    while (rc == CDC_OK && (rc = cdc_avro_reader_row(reader, &values, err)) == CDC_OK)
        tally_row(ret, schema, values);
    cdc_avro_reader_free(reader);
    return rc == CDC_END ? CDC_OK : rc;
}

static void compare_tally(struct fsck *fs, const struct lake_file *says, const struct tally *tally)
{
    const struct lake_file *is = &tally->is;
    if (is->records != says->records)
        bad(fs, says->path, "it has another number of rows than its commit says");
    if (memcmp(is->ops, says->ops, sizeof is->ops) != 0)
        bad(fs, says->path, "its rows have other operations than its commit says");
    if (strcmp(is->seq_min, says->seq_min) != 0 || strcmp(is->seq_max, says->seq_max) != 0)
        bad(fs, says->path, "its lowest or highest __seq is not what its commit says");
    if (tally->unordered)
        bad(fs, says->path, "its rows are not in the order of __seq");
}

/* Schema object there and right; schema/<id> in the checkpoint and of the same text. */
static void check_schema(struct fsck *fs, const struct lake_file *file)
{
    char path[LAKE_PATH_MAX], key[32], sha[65] = "";
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    lake_schema_path(file->schema, path);
    if (lake_load(fs->st, path, &buf, NULL) == CDC_OK)
        lake_sha256(cdc_buf_slice(&buf), sha);
    if (strcmp(sha, file->schema) != 0)
        bad(fs, path, "the schema object is missing or damaged");
    cdc_buf_done(&buf);

    snprintf(key, sizeof key, "schema/%" PRIu32, file->schema_id);
    struct cdc_slice value = cdc_map_get(&fs->chain.map, key);
    json_t *json = value.p ? json_loadb((const char *)value.p, value.len, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(json, "schema"));
    if (text)
        lake_sha256(cdc_slice_str(text), sha);
    if (!text)
        bad(fs, file->path, "its schema id was never committed");
    else if (strcmp(sha, file->schema) != 0)
        bad(fs, file->path, "its schema id stands for another schema");
    json_decref(json);
}

/* Rows of a table never go back behind an earlier commit. */
static void check_order(struct fsck *fs, const struct lake_file *file)
{
    struct cdc_slice last = cdc_map_get(&fs->last, file->table);
    if (file->ops[4] == 0 && last.p && strncmp(file->seq_min, (const char *)last.p, last.len) < 0)
        bad(fs, file->path,
            "it has rows with a lower __seq than an earlier commit's of that table");
}

static int note_order(struct fsck *fs, const struct lake_file *file, struct cdc_error *err)
{
    struct cdc_slice last = cdc_map_get(&fs->last, file->table);
    if (last.p && strncmp(file->seq_max, (const char *)last.p, last.len) <= 0)
        return CDC_OK;
    return cdc_map_put(&fs->last, cdc_slice_str(file->table), cdc_slice_str(file->seq_max)) < 0
               ? cdc_fail_oom(err)
               : CDC_OK;
}

static int check_file(struct fsck *fs, const struct lake_commit *rec, const struct lake_file *file,
                      struct cdc_error *err)
{
    struct cdc_error why = {0};
    struct lake_name name;
    struct tally tally = {0};
    const char *leaf = strrchr(file->path, '/') + 1;
    if (!lake_name_parse(leaf, &name) || name.seq > rec->seq || name.epoch > rec->epoch ||
        strncmp(name.schema, file->schema, 8) != 0)
        bad(fs, file->path, "its name does not fit its commit");
    check_schema(fs, file);
    check_order(fs, file);
    if (lake_input_verify(fs->st, file, &why) == CDC_OK &&
        tally_file(fs, file, &tally, &why) == CDC_OK)
        compare_tally(fs, file, &tally);
    else if (!given_up(fs, rec->seq))
        bad(fs, file->path, why.message);
    return lake_names_add(&fs->named, file->path, err);
}

/* ---- records ---- */

static int check_files(struct fsck *fs, const struct lake_commit *rec, struct cdc_error *err)
{
    for (size_t i = 0; i < rec->n_files; i++)
        if (check_file(fs, rec, &rec->files[i], err) < 0)
            return CDC_FAIL;
    for (size_t i = 0; i < rec->n_files; i++)
        if (note_order(fs, &rec->files[i], err) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static int check_commit(struct fsck *fs, uint64_t seq, struct cdc_error *err)
{
    struct cdc_error why = {0};
    struct lake_commit rec;
    char sha[65];
    if (seq != fs->chain.seq + 1) {
        bad_commit(fs, fs->chain.seq + 1, "missing, and later ones are there");
        fs->chain.seq = seq - 1;
    }
    int rc = lake_chain_read(fs->st, seq, &rec, sha, &why);
    if (rc == CDC_END && given_up(fs, seq))
        return CDC_OK;
    if (rc != CDC_OK) {
        bad_commit(fs, seq, rc < 0 ? why.message : "it went away");
        fs->chain.seq = seq;
        return CDC_OK;
    }
    if (lake_chain_follows(&fs->chain, &rec, fs->name, &why) < 0)
        bad_commit(fs, seq, why.message);
    rc = lake_chain_apply(&fs->chain, &rec, sha, err);
    if (rc == CDC_OK)
        rc = check_files(fs, &rec, err);
    lake_commit_done(&rec);
    return rc;
}

/* The JSON of both, as jansson writes it: bytes may differ where the meaning does not. */
static bool same_json(struct cdc_slice a, struct cdc_slice b)
{
    unsigned flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *x = json_loadb((const char *)a.p, a.len, flags, NULL);
    json_t *y = json_loadb((const char *)b.p, b.len, flags, NULL);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

static bool same_map(const struct cdc_map *a, const struct cdc_map *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = cdc_slice_eq(a->items[i].key, b->items[i].key) &&
               same_json(a->items[i].value, b->items[i].value);
    return same;
}

static bool same_chain(const struct lake_chain *a, const struct lake_chain *b)
{
    return strcmp(a->sha, b->sha) == 0 && a->epoch == b->epoch && a->data_seq == b->data_seq &&
           a->files == b->files && a->records == b->records && a->bytes == b->bytes &&
           (a->to && b->to ? strcmp(a->to, b->to) == 0 : a->to == b->to) &&
           same_map(&a->map, &b->map);
}

static void check_point(struct fsck *fs, uint64_t seq)
{
    struct cdc_error why = {0};
    struct lake_chain point;
    char path[LAKE_PATH_MAX];
    lake_point_path(seq, path);
    lake_chain_init(&point);
    int rc = lake_point_load(fs->st, seq, &point, &why);
    if (rc < 0)
        bad(fs, path, why.message);
    else if (rc == CDC_OK && !same_chain(&point, &fs->chain))
        bad(fs, path, "the checkpoint object says other than the commits up to it");
    lake_chain_done(&point);
}

/* The floor's record and checkpoint object: with them the rest begins. */
static int begin_at_floor(struct fsck *fs)
{
    struct cdc_error why = {0};
    struct lake_commit rec;
    char path[LAKE_PATH_MAX], sha[65] = "";
    lake_chain_done(&fs->chain);
    lake_point_path(fs->floor, path);
    if (lake_point_load(fs->st, fs->floor, &fs->chain, &why) != CDC_OK) {
        bad(fs, path, "the checkpoint object with which the lake begins is missing or damaged");
        fs->chain.seq = fs->floor;
    }
    int rc = lake_chain_read(fs->st, fs->floor, &rec, sha, &why);
    if (rc == CDC_OK)
        lake_commit_done(&rec);
    if (rc != CDC_OK || strcmp(sha, fs->chain.sha) != 0)
        bad_commit(fs, fs->floor, "the lake begins behind it, and it is missing or another one");
    return CDC_OK;
}

/* A record below the floor or at it: only its files are not to be called orphans. */
static int pass_over(struct fsck *fs, uint64_t seq, struct cdc_error *err)
{
    struct lake_commit rec;
    int rc = lake_chain_read(fs->st, seq, &rec, NULL, NULL) == CDC_OK ? CDC_OK : CDC_END;
    for (size_t i = 0; rc == CDC_OK && i < rec.n_files; i++)
        rc = lake_names_add(&fs->named, rec.files[i].path, err);
    if (rc != CDC_END)
        lake_commit_done(&rec);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

static int check_records(struct fsck *fs, const uint64_t *commits, size_t n, const uint64_t *points,
                         size_t n_points, struct cdc_error *err)
{
    size_t p = 0;
    int rc = CDC_OK;
    for (size_t i = 0; i < n && rc == CDC_OK; i++) {
        if (fs->floor > fs->chain.seq && commits[i] >= fs->floor)
            rc = begin_at_floor(fs);
        if (rc == CDC_OK)
            rc = commits[i] <= fs->floor ? pass_over(fs, commits[i], err)
                                         : check_commit(fs, commits[i], err);
        for (; p < n_points && points[p] <= commits[i]; p++)
            if (points[p] > fs->floor)
                check_point(fs, points[p]);
    }
    return rc;
}

static int check_log(struct fsck *fs, struct cdc_error *err)
{
    uint64_t *commits = NULL, *points = NULL, least, hint;
    size_t n = 0, n_points = 0;
    lake_hint_load(fs->st, &least, &hint);
    int rc = lake_floor(fs->st, &fs->floor, err);
    if (rc == CDC_OK)
        rc = lake_numbers(fs->st, LAKE_POINTS, 20, &points, &n_points, err);
    if (rc == CDC_OK)
        rc = lake_numbers(fs->st, LAKE_DIR "/commits", 20, &commits, &n, err);
    if (rc == CDC_OK)
        rc = check_records(fs, commits, n, points, n_points, err);
    if (fs->floor > least)
        least = fs->floor;
    if (n_points > 0 && points[n_points - 1] > least)
        least = points[n_points - 1];
    if (rc == CDC_OK && least > fs->chain.seq)
        bad_commit(fs, least, "missing: it was once written, so the end of the log was lost");
    free(commits);
    free(points);
    return rc;
}

/* ---- files that no record names ---- */

static int see_data(void *arg, const char *path, const struct lake_name *name,
                    struct cdc_error *err)
{
    (void)err;
    struct fsck *fs = arg;
    if (name->epoch >= fs->owner || lake_names_have(&fs->named, path))
        return CDC_OK; /* of a writer that may be at work, or named */
    fs->orphans++;
    cdc_report(fs->report, CDC_WARN, NULL,
               name->seq <= fs->floor
                   ? "%s: no commit names it (left over from what retention removed; delete it)"
                   : "%s: no commit names it (a killed writer's; `sidestream run` deletes such)",
               path);
    return CDC_OK;
}

static int check_unnamed(struct fsck *fs, struct cdc_error *err)
{
    uint64_t *owners = NULL;
    size_t n = 0;
    if (lake_numbers(fs->st, LAKE_OWNERS, 10, &owners, &n, err) < 0)
        return CDC_FAIL;
    fs->owner = n > 0 ? (uint32_t)owners[n - 1] : 0;
    free(owners);
    if (fs->owner < fs->chain.epoch)
        bad(fs, LAKE_OWNERS, "commits have a higher epoch than any owner: owner files were lost");
    return lake_walk(fs->st, "", see_data, fs, err);
}

int lake_fsck(struct lake_store *st, struct cdc_report *report, struct cdc_error *err)
{
    struct fsck fs = {.st = st, .report = report};
    lake_chain_init(&fs.chain);
    int rc = lake_format_load(st, LAKE_FORMAT, &fs.name, err);
    if (rc == CDC_END)
        rc = cdc_fail(err, CDC_OPERATOR, LAKE_FORMAT, "it is missing: this is no lake");
    if (rc == CDC_OK)
        rc = check_log(&fs, err);
    if (rc == CDC_OK)
        rc = check_unnamed(&fs, err);
    if (rc == CDC_OK && fs.floor > 0)
        cdc_report(report, CDC_PASS, NULL,
                   "up to commit %" PRIu64 " all was removed by sink.retention: checked from there",
                   fs.floor);
    if (rc == CDC_OK && fs.bad == 0)
        cdc_report(report, CDC_PASS, NULL,
                   "%" PRIu64 " commits, %" PRIu64 " data files, %" PRIu64 " rows, %" PRIu64
                   " bytes: all as the log says",
                   fs.chain.seq, fs.chain.files, fs.chain.records, fs.chain.bytes);
    lake_chain_done(&fs.chain);
    lake_names_done(&fs.named);
    cdc_map_done(&fs.last);
    free(fs.name);
    return rc;
}
