/*
 * lake.c - the lake sink: options, the commit, the ops.
 *
 * A commit: finish and publish the data files, look for a higher epoch, create record head+1. It
 * took place if and only if that record is there with our bytes. A create that finds the number
 * taken, or whose answer was lost, is decided by reading back; if that cannot decide (not there,
 * but perhaps on its way), the commit fails with CDC_REWIND and recovery fences the number.
 * Checkpoint objects and the hint are written after the commit and may fail: it stands without
 * them. So is what retention removes (trim.c).
 */
#include "lake.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIM_EVERY_US ((int64_t)60 * 1000000)
#define TRIM_OFTEN_US ((int64_t)1000000)

static const struct cdc_option options[] = {
    {.name = "path",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED,
     .doc = "Folder of the lake. It is made if it does not exist; one lake belongs to one `name`."},
    {.name = "codec",
     .type = CDC_OPT_CHOICE,
     .dflt = "deflate",
     .choices = CDC_CODEC_NAMES,
     .doc = "Compression of the data files' blocks."},
    {.name = "level",
     .type = CDC_OPT_INT,
     .dflt = "0",
     .min = 0,
     .max = 19,
     .doc =
         "Compression level: deflate 1 to 12, zstandard 1 to 19; 0 is the codec's default (1 and "
         "3)."},
    {.name = "block_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "256KiB",
     .min = 4096,
     .max = 16 << 20,
     .doc = "A block of a data file is closed once it holds this much, before compression."},
    {.name = "max_file_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 65536,
     .max = (int64_t)1 << 40,
     .doc = "A data file of this size is finished, and a commit made as soon as the transaction "
            "allows."},
    {.name = "commit_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "10s",
     .min = 0,
     .max = (int64_t)3600 * 1000000,
     .doc = "How long rows may wait for their commit. 0: commit as soon as nothing more is there."},
    {.name = "max_rows",
     .type = CDC_OPT_INT,
     .dflt = "1000000",
     .min = 1,
     .max = (int64_t)1 << 40,
     .doc = "Commit after this many rows, as soon as the transaction allows."},
    {.name = "idle_interval",
     .type = CDC_OPT_DURATION,
     .dflt = "60s",
     .min = 1000000,
     .max = (int64_t)86400 * 1000000,
     .doc = "While no captured table changes, commit the position alone this often, so that the "
            "source can release its log."},
    {.name = "idle_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 65536,
     .max = (int64_t)1 << 50,
     .doc = "The same, after this much of the source's log went by."},
    {.name = "retention",
     .type = CDC_OPT_DURATION,
     .dflt = "0",
     .min = 0,
     .max = (int64_t)36500 * 86400 * 1000000,
     .doc = "Remove data files and commit records that are older than this and that every "
            "registered reader has applied (docs/formats.md). 0: keep everything."},
    {.name = "reader_timeout",
     .type = CDC_OPT_DURATION,
     .dflt = "7d",
     .min = 1000000,
     .max = (int64_t)36500 * 86400 * 1000000,
     .doc = "With retention: a registered reader that was silent for this long holds nothing back "
            "any more."},
    {.name = "fsync",
     .type = CDC_OPT_BOOL,
     .dflt = "true",
     .doc = "false leaves writing to the operating system: for benchmarks only, a power cut then "
            "loses committed data."},
    {0},
};

/* ---- open, close ---- */

static void lake_close(struct cdc_sink *snk)
{
    struct lake *lk = (struct lake *)snk;
    /* Published files stay: they are deleted by the next recovery, behind its fence. */
    (void)!lake_out_drop(lk, false, NULL);
    if (lk->lock_fd >= 0)
        close(lk->lock_fd);
    lake_chain_done(&lk->chain);
    lake_trim_reset(lk);
    cdc_map_done(&lk->schemas);
    free(lk->open);
    free(lk->done);
    if (lk->store)
        lk->store->ops->close(lk->store);
    free(lk);
}

int lake_new(const struct lake_settings *set, struct lake_store *take_store, struct lake **ret,
             struct cdc_error *err)
{
    struct lake *lk = calloc(1, sizeof *lk);
    if (!lk) {
        take_store->ops->close(take_store);
        return cdc_fail_oom(err);
    }
    *lk =
        (struct lake){.base.ops = &cdc_sink_lake, .set = *set, .store = take_store, .lock_fd = -1};
    lake_chain_init(&lk->chain);
    lake_trim_reset(lk);
    lk->open = calloc(LAKE_OPEN_MAX, sizeof(struct lake_out *));
    if (!lk->open) {
        lake_close(&lk->base);
        return cdc_fail_oom(err);
    }
    *ret = lk;
    return CDC_OK;
}

/* How often to look for what may go: a tenth of what is kept is soon enough. */
static int64_t trim_every(int64_t retention_us)
{
    int64_t us = retention_us / 10;
    return us < TRIM_OFTEN_US ? TRIM_OFTEN_US : us > TRIM_EVERY_US ? TRIM_EVERY_US : us;
}

static struct lake_settings read_settings(const struct cdc_config *cfg)
{
    const struct cdc_section *sec = cfg->sink;
    return (struct lake_settings){
        .path = cdc_get_string(sec, "path"),
        .name = cfg->name,
        .codec = (enum cdc_codec)cdc_get_choice(sec, "codec"),
        .level = (int)cdc_get_int(sec, "level"),
        .block_bytes = (size_t)cdc_get_int(sec, "block_bytes"),
        .max_file_bytes = (uint64_t)cdc_get_int(sec, "max_file_bytes"),
        .checkpoint_every = 1000,
        .retention_us = cdc_get_int(sec, "retention"),
        .reader_timeout_us = cdc_get_int(sec, "reader_timeout"),
        .trim_every_us = trim_every(cdc_get_int(sec, "retention")),
        .trim_step = 100,
        .policy = {.eager = cdc_get_int(sec, "commit_interval") == 0,
                   .interval_us = cdc_get_int(sec, "commit_interval"),
                   .max_rows = (uint64_t)cdc_get_int(sec, "max_rows"),
                   .idle_us = cdc_get_int(sec, "idle_interval"),
                   .idle_bytes = (uint64_t)cdc_get_int(sec, "idle_bytes")},
        .sync = cdc_get_bool(sec, "fsync")};
}

static int lake_open(const struct cdc_config *cfg, struct cdc_sink **ret, struct cdc_error *err)
{
    struct lake_settings set = read_settings(cfg);
    struct lake_store *st;
    struct lake *lk;
    if (!*set.path)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(cfg->sink, "path"),
                        "path is empty: name a folder");
    if (set.codec == CDC_CODEC_DEFLATE && set.level > 12)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(cfg->sink, "level"),
                        "level %d: deflate has 1 to 12 (0: the default)", set.level);
    if (lake_local_open(set.path, set.sync, &st, err) < 0 || lake_new(&set, st, &lk, err) < 0)
        return CDC_FAIL;
    *ret = &lk->base;
    return CDC_OK;
}

static void lake_policy(const struct cdc_sink *snk, struct cdc_commit_policy *ret)
{
    *ret = ((const struct lake *)snk)->set.policy;
}

/* ---- commit ---- */

static int fenced(struct lake *lk, struct cdc_error *err)
{
    lk->ready = false;
    return cdc_fail(err, CDC_OPERATOR, lk->set.path,
                    "another instance has taken the lake over (ours is epoch %" PRIu32 "): this "
                    "one stops, nothing is lost. Run one instance per lake",
                    lk->epoch);
}

static int check_epoch(struct lake *lk, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    lake_owner_path(lk->epoch + 1, path);
    int rc = lake_exists(lk->store, path, err);
    return rc == CDC_OK ? fenced(lk, err) : rc == CDC_END ? CDC_OK : CDC_FAIL;
}

/* CDC_OK: the record that lies there has our bytes. CDC_END: none lies there. */
static int read_back(struct lake *lk, const char *path, struct cdc_slice bytes,
                     struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    int rc = lake_load(lk->store, path, &buf, err);
    if (rc == CDC_OK && !cdc_slice_eq(cdc_buf_slice(&buf), bytes))
        rc = fenced(lk, err);
    cdc_buf_done(&buf);
    return rc;
}

static int create(struct lake *lk, const char *path, struct cdc_slice bytes, struct cdc_error *err)
{
    struct cdc_error why = {0};
    int rc = lk->store->ops->put(lk->store, path, bytes, LAKE_CREATE, &why);
    if (rc == CDC_OK)
        return CDC_OK;
    if (rc < 0 && why.action != CDC_REWIND) {
        if (err)
            *err = why;
        return CDC_FAIL; /* not applied */
    }
    lk->ready = false; /* in doubt until read back */
    bool unknown = rc < 0;
    rc = read_back(lk, path, bytes, err);
    if (rc == CDC_OK)
        lk->ready = true; /* an earlier attempt landed: count it once */
    if (rc != CDC_END)
        return rc;
    if (unknown && err)
        *err = why;
    return unknown ? CDC_FAIL
                   : cdc_fail(err, CDC_REWIND, path, "the record was there and is gone again");
}

static enum lake_kind kind_of(const struct lake_commit *rec)
{
    return rec->n_files > 0 ? LAKE_DATA : LAKE_IDLE;
}

static int make_record(struct lake *lk, struct lake_commit *rec, struct cdc_buf *to,
                       struct cdc_error *err)
{
    int rc = cdc_map_get_text(&rec->delta, "position", to, err);
    if (rc < 0)
        return CDC_FAIL;
    rec->seq = lk->chain.seq + 1;
    rec->epoch = lk->epoch;
    rec->kind = kind_of(rec);
    rec->at_us = cdc_now_us();
    rec->name = lk->set.name;
    rec->from = lk->chain.to;
    rec->to = rc == CDC_OK ? cdc_buf_cstr(to) : lk->chain.to;
    memcpy(rec->prev, lk->chain.sha, sizeof rec->prev);
    memcpy(rec->nonce, lk->nonce, sizeof rec->nonce);
    return CDC_OK;
}

int lake_point_now(struct lake *lk, struct cdc_error *err)
{
    CDC_POINT("lake.checkpoint");
    if (lake_point_save(lk->store, &lk->chain, lk->set.name, err) < 0)
        return CDC_FAIL;
    lk->point = lk->chain.seq;
    lake_hint_save(lk->store, lk->chain.seq, lk->point);
    return lake_points_drop(lk, err);
}

static void save_point(struct lake *lk)
{
    struct cdc_error err;
    if (lk->chain.seq >= lk->point + lk->set.checkpoint_every && lake_point_now(lk, &err) < 0)
        cdc_log(CDC_LOG_WARN, "lake %s: no checkpoint object at commit %" PRIu64 ": %s",
                lk->set.path, lk->chain.seq, err.message);
}

/* The record stands: it becomes the head, and what it names is no longer pending. */
static int landed(struct lake *lk, const struct lake_commit *rec, struct cdc_slice bytes,
                  struct cdc_error *err)
{
    char sha[65];
    lake_sha256(bytes, sha);
    if (lake_chain_apply(&lk->chain, rec, sha, err) < 0) {
        lk->ready = false;
        return CDC_FAIL;
    }
    if (rec->n_files > 0 && lake_out_drop(lk, false, err) < 0)
        return CDC_FAIL;
    save_point(lk);
    return lake_trim(lk, err);
}

static int put_record(struct lake *lk, struct lake_commit *rec, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    struct cdc_buf to = CDC_BUF((size_t)1 << 24), buf = CDC_BUF(LAKE_OBJECT_MAX);
    int rc = make_record(lk, rec, &to, err);
    if (rc == CDC_OK)
        rc = lake_commit_make(rec, &buf, err);
    if (rc == CDC_OK)
        rc = check_epoch(lk, err);
    if (rc == CDC_OK) {
        lake_commit_path(rec->seq, path);
        CDC_POINT("lake.before_commit");
        rc = create(lk, path, cdc_buf_slice(&buf), err);
        CDC_POINT("lake.after_commit");
    }
    if (rc == CDC_OK)
        rc = landed(lk, rec, cdc_buf_slice(&buf), err);
    cdc_buf_done(&to);
    cdc_buf_done(&buf);
    return rc;
}

static int lake_commit(struct cdc_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
                       struct cdc_error *err)
{
    struct lake *lk = (struct lake *)snk;
    if (what == CDC_COMMIT_ALL && lake_out_finish(lk, err) < 0)
        return CDC_FAIL;
    size_t n = what == CDC_COMMIT_ALL ? lk->n_done : 0;
    if (n == 0 && delta->n == 0)
        return CDC_OK;
    struct lake_commit rec = {.delta = *delta, .n_files = n};
    rec.files = calloc(n + 1, sizeof *rec.files);
    if (!rec.files)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < n; i++)
        rec.files[i] = lk->done[i]->file;
    int rc = put_record(lk, &rec, err);
    free(rec.files);
    return rc;
}

const struct cdc_sink_ops cdc_sink_lake = {
    .name = "lake",
    .doc = "Avro files in a folder, under a log of commits that makes them exactly-once.",
    .options = options,
    .caps = CDC_SINK_TX_ANY_SIZE | CDC_SINK_DURABLE | CDC_SINK_PLANS,
    .check = lake_check,
    .open = lake_open,
    .recover = lake_recover,
    .policy = lake_policy,
    .write = lake_write,
    .commit = lake_commit,
    .close = lake_close,
    .feed = &lake_feed,
};
