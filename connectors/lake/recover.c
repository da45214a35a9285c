/*
 * recover.c - from whatever lies there to a sink that may write: find the head, fence, clean up.
 *
 *   1 claim     the folder is a lake, ours, and locked (claim.c)
 *   2 load      newest checkpoint object that the log confirms, then every record after it; the
 *               head is the last record of an unbroken chain
 *   3 epoch     create owner/<max+1>: whoever has a lower one stops at its next commit
 *   4 fence     create record head+1, empty, with our epoch. From then on a delayed or foreign
 * create of that number can only fail. If the number is taken, an earlier commit has landed
 *               meanwhile: it is a valid continuation, so adopt it and fence behind it
 *   5 sweep     only now delete files of lower epochs that no record names. Before the fence a
 * delayed commit could still name them
 *
 * A rewind inside one process takes a short cut: if no commit of ours was left in doubt, nobody has
 * a higher epoch and the head is the record that we wrote last, steps 1 to 5 would find what we
 * know. This is what lets a full disk be waited for: nothing needs to be written, and the unnamed
 * files of the failed attempt are deleted, which a new epoch's sweep could only do after writing
 * two objects.
 *
 * What is refused (CDC_OPERATOR): a broken chain, a hole in the numbers, a head older than the hint
 * or a checkpoint object says (a restored copy), data files of the last data commit missing or cut.
 */
#include "lake.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define DAY_US ((int64_t)86400 * 1000000)

/* Damage is for a person to decide about, so the program must not be restarted over it for ever. */
static int refuse(struct cdc_error *err)
{
    if (err && err->action == CDC_FATAL)
        err->action = CDC_OPERATOR;
    return CDC_FAIL;
}

static int missing_fail(const struct lake *lk, uint64_t seq, const char *who, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, lk->set.path,
                    "commit %" PRIu64 " is missing, but %s: records were deleted, or this is a "
                    "partly restored copy. Restore the missing _cdc/commits, or begin with an "
                    "empty folder; `sidestream fsck` lists what is there",
                    seq, who);
}

/* ---- load ---- */

/* Is checkpoint object `seq` what the log says? Then the chain starts there. */
static bool try_point(struct lake *lk, uint64_t seq)
{
    struct cdc_error err = {0};
    struct lake_commit rec;
    char sha[65];
    lake_chain_done(&lk->chain);
    int rc = lake_point_load(lk->store, seq, &lk->chain, &err);
    if (rc == CDC_OK)
        rc = lake_chain_read(lk->store, seq, &rec, sha, &err);
    if (rc == CDC_OK) {
        lake_commit_done(&rec);
        if (strcmp(sha, lk->chain.sha) == 0)
            return true;
        (void)cdc_fail(&err, CDC_FATAL, "", "it was made after another record");
    }
    if (rc != CDC_END)
        cdc_log(CDC_LOG_WARN, "lake %s: checkpoint object %" PRIu64 " is not used: %s",
                lk->set.path, seq, err.message);
    lake_chain_done(&lk->chain);
    return false;
}

/* *ret_least: the number that the log must reach at least. */
static int load_point(struct lake *lk, uint64_t *ret_least, struct cdc_error *err)
{
    uint64_t point, *points = NULL;
    size_t n = 0;
    lake_hint_load(lk->store, ret_least, &point);
    lake_chain_done(&lk->chain);
    if (point > 0 && try_point(lk, point)) {
        lk->point = point;
        return CDC_OK;
    }
    lk->point = 0;
    if (lake_numbers(lk->store, LAKE_POINTS, 20, &points, &n, err) < 0)
        return CDC_FAIL;
    if (n > 0 && points[n - 1] > *ret_least)
        *ret_least = points[n - 1];
    while (n-- > 0 && !lk->point)
        if (try_point(lk, points[n]))
            lk->point = points[n];
    free(points);
    return CDC_OK;
}

static int adopt(struct lake *lk, const struct lake_commit *rec, const char sha[65],
                 struct lake_names *named, struct cdc_error *err)
{
    if (lake_chain_follows(&lk->chain, rec, lk->set.name, err) < 0)
        return refuse(err);
    for (size_t i = 0; i < rec->n_files; i++)
        if (lake_names_add(named, rec->files[i].path, err) < 0)
            return CDC_FAIL;
    return lake_chain_apply(&lk->chain, rec, sha, err);
}

/* Follows the log to its end. A number that is absent while the next one exists is a hole. */
static int advance(struct lake *lk, struct lake_names *named, struct cdc_error *err)
{
    char sha[65], path[LAKE_PATH_MAX];
    for (;;) {
        struct lake_commit rec;
        int rc = lake_chain_read(lk->store, lk->chain.seq + 1, &rec, sha, err);
        if (rc < 0)
            return refuse(err);
        if (rc == CDC_OK) {
            rc = adopt(lk, &rec, sha, named, err);
            lake_commit_done(&rec);
            if (rc < 0)
                return CDC_FAIL;
            continue;
        }
        lake_commit_path(lk->chain.seq + 2, path);
        rc = lake_exists(lk->store, path, err);
        if (rc != CDC_OK)
            return rc < 0 ? CDC_FAIL : CDC_OK;
        lake_commit_path(lk->chain.seq + 1, path); /* did both come just now? */
        rc = lake_exists(lk->store, path, err);
        if (rc != CDC_OK)
            return rc < 0 ? CDC_FAIL
                          : missing_fail(lk, lk->chain.seq + 1, "the one after it is there", err);
    }
}

/* Files of the last commit that names any: there, and as long as it says? */
static int check_files(struct lake *lk, struct cdc_error *err)
{
    struct lake_commit rec;
    if (lk->chain.data_seq <= lk->floor)
        return CDC_OK; /* none, or given up */
    int rc = lake_chain_read(lk->store, lk->chain.data_seq, &rec, NULL, err);
    if (rc != CDC_OK)
        return rc < 0 ? refuse(err) : missing_fail(lk, lk->chain.data_seq, "later ones exist", err);
    for (size_t i = 0; i < rec.n_files && rc == CDC_OK; i++) {
        uint64_t bytes = 0;
        rc = lk->store->ops->size(lk->store, rec.files[i].path, &bytes, err);
        if (rc == CDC_END || (rc == CDC_OK && bytes != rec.files[i].bytes))
            rc = cdc_fail(err, CDC_OPERATOR, rec.files[i].path,
                          "commit %" PRIu64 " says %" PRIu64 " bytes, %s: the data file is %s. "
                          "Restore it from a copy of the lake; `sidestream fsck` finds all such",
                          rec.seq, rec.files[i].bytes,
                          rc == CDC_END ? "it is not there"
                                        : "it has "
                                          "others",
                          rc == CDC_END ? "lost" : "cut short or damaged");
    }
    lake_commit_done(&rec);
    return rc;
}

static int load(struct lake *lk, struct lake_names *named, struct cdc_error *err)
{
    uint64_t least = 0;
    if (lake_floor(lk->store, &lk->floor, err) < 0 || load_point(lk, &least, err) < 0 ||
        advance(lk, named, err) < 0)
        return CDC_FAIL;
    if (least < lk->floor)
        least = lk->floor;
    if (lk->chain.seq < least) {
        char who[64];
        snprintf(who, sizeof who, "number %" PRIu64 " was once written", least);
        return missing_fail(lk, lk->chain.seq + 1, who, err);
    }
    return check_files(lk, err);
}

/* ---- epoch and fence ---- */

static int make_nonce(struct lake *lk, struct cdc_error *err)
{
    uint8_t raw[16];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return cdc_fail(err, CDC_FATAL, "getrandom", "no random bytes");
    lake_hex(raw, sizeof raw, lk->nonce);
    return CDC_OK;
}

static int owner_text(const struct lake *lk, uint32_t epoch, struct cdc_buf *buf)
{
    char at[28], host[128] = "?";
    gethostname(host, sizeof host - 1);
    lake_time(cdc_now_us(), at);
    json_t *json = json_pack("{s:i,s:I,s:s,s:s,s:I,s:s,s:s}", "v", 1, "epoch", (json_int_t)epoch,
                             "name", lk->set.name, "nonce", lk->nonce, "pid", (json_int_t)getpid(),
                             "host", host, "at", at);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    cdc_buf_str(buf, text ? text : "{}");
    free(text);
    return buf->failed ? CDC_FAIL : CDC_OK;
}

static int take_epoch(struct lake *lk, struct cdc_error *err)
{
    uint64_t *owners = NULL, epoch;
    size_t n = 0;
    char path[LAKE_PATH_MAX];
    if (make_nonce(lk, err) < 0 || lake_numbers(lk->store, LAKE_OWNERS, 10, &owners, &n, err) < 0)
        return CDC_FAIL;
    epoch = n > 0 && owners[n - 1] > lk->chain.epoch ? owners[n - 1] : lk->chain.epoch;
    free(owners);
    for (int rc = LAKE_EXISTS; rc == LAKE_EXISTS;) {
        if (++epoch > UINT32_MAX)
            return cdc_fail(err, CDC_OPERATOR, lk->set.path, "no epoch is left");
        struct cdc_buf buf = CDC_BUF(4096);
        lake_owner_path((uint32_t)epoch, path);
        rc = owner_text(lk, (uint32_t)epoch, &buf) < 0
                 ? cdc_fail_oom(err)
                 : lk->store->ops->put(lk->store, path, cdc_buf_slice(&buf), LAKE_CREATE, err);
        cdc_buf_done(&buf);
        if (rc < 0)
            return CDC_FAIL;
    }
    lk->epoch = (uint32_t)epoch;
    return CDC_OK;
}

static int put_fence(struct lake *lk, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX], sha[65];
    struct lake_commit rec = {.seq = lk->chain.seq + 1,
                              .epoch = lk->epoch,
                              .kind = LAKE_EPOCH,
                              .at_us = cdc_now_us(),
                              .name = lk->set.name,
                              .from = lk->chain.to,
                              .to = lk->chain.to};
    memcpy(rec.prev, lk->chain.sha, sizeof rec.prev);
    memcpy(rec.nonce, lk->nonce, sizeof rec.nonce);
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    lake_commit_path(rec.seq, path);
    int rc = lake_commit_make(&rec, &buf, err);
    if (rc == CDC_OK) {
        CDC_POINT("lake.before_fence");
        rc = lk->store->ops->put(lk->store, path, cdc_buf_slice(&buf), LAKE_CREATE, err);
        CDC_POINT("lake.after_fence");
    }
    if (rc == CDC_OK) {
        lake_sha256(cdc_buf_slice(&buf), sha);
        rc = lake_chain_apply(&lk->chain, &rec, sha, err);
    }
    cdc_buf_done(&buf);
    return rc;
}

static int fence(struct lake *lk, struct lake_names *named, struct cdc_error *err)
{
    int rc;
    while ((rc = put_fence(lk, err)) == LAKE_EXISTS) {
        if (advance(lk, named, err) < 0)
            return CDC_FAIL;
        if (lk->chain.epoch > lk->epoch)
            return cdc_fail(err, CDC_OPERATOR, lk->set.path,
                            "a newer instance (epoch %" PRIu32 ") has taken the lake over: one "
                            "lake has one writer",
                            lk->chain.epoch);
    }
    return rc;
}

/* ---- sweep ---- */

struct sweep {
    struct lake *lk;
    struct lake_names *named; /* by the records after `since` */
    uint64_t since, n;
};

/*
 * A file is named by a record of its own number or a later one; so none names it if its number is
 * above the last data commit's. Below, only the records just read can tell.
 */
static int sweep_file(void *arg, const char *path, const struct lake_name *name,
                      struct cdc_error *err)
{
    struct sweep *sweep = arg;
    struct lake *lk = sweep->lk;
    if (name->epoch >= lk->epoch || name->seq > lk->chain.seq)
        return CDC_OK;
    if (!name->tmp && name->seq <= lk->chain.data_seq &&
        (name->seq <= sweep->since || lake_names_have(sweep->named, path)))
        return CDC_OK;
    sweep->n++;
    return lk->store->ops->remove(lk->store, path, err);
}

static int sweep_tmp(void *arg, const char *name, struct cdc_error *err)
{
    struct lake *lk = arg;
    char path[LAKE_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", LAKE_TMP, name);
    return n < (int)sizeof path ? lk->store->ops->remove(lk->store, path, err) : CDC_OK;
}

int lake_sweep(struct lake *lk, struct lake_names *named, uint64_t since, struct cdc_error *err)
{
    struct sweep sweep = {.lk = lk, .named = named, .since = since};
    char day[11] = "";
    if (lk->chain.data_seq > 0)
        lake_date(lk->chain.data_us - DAY_US, day);
    if (lk->store->ops->list(lk->store, LAKE_TMP, sweep_tmp, lk, err) < 0 ||
        lake_walk(lk->store, day, sweep_file, &sweep, err) < 0)
        return CDC_FAIL;
    if (sweep.n > 0)
        cdc_log(CDC_LOG_INFO, "lake %s: deleted %" PRIu64 " files that no commit names",
                lk->set.path, sweep.n);
    return CDC_OK;
}

/* ---- the two ways ---- */

/* Nobody came in between: no higher epoch, no later record, and the head has the bytes we wrote. */
static int still_ours(struct lake *lk, bool *ret, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX], sha[65];
    struct lake_commit rec;
    *ret = false;
    lake_owner_path(lk->epoch + 1, path);
    int rc = lake_exists(lk->store, path, err);
    if (rc == CDC_END) {
        lake_commit_path(lk->chain.seq + 1, path);
        rc = lake_exists(lk->store, path, err);
    }
    if (rc != CDC_END)
        return rc < 0 ? CDC_FAIL : CDC_OK;
    rc = lake_chain_read(lk->store, lk->chain.seq, &rec, sha, err);
    if (rc < 0)
        return refuse(err);
    if (rc == CDC_OK) {
        *ret = strcmp(sha, lk->chain.sha) == 0;
        lake_commit_done(&rec);
    }
    return CDC_OK;
}

static int take_over(struct lake *lk, struct cdc_error *err)
{
    struct lake_names named = {0};
    lk->ready = false;
    lake_trim_reset(lk);
    int rc = lake_claim(lk, err);
    if (rc == CDC_OK)
        rc = load(lk, &named, err);
    if (rc == CDC_OK)
        rc = take_epoch(lk, err);
    if (rc == CDC_OK)
        rc = fence(lk, &named, err);
    if (rc == CDC_OK)
        rc = lake_sweep(lk, &named, lk->point, err);
    lake_names_done(&named);
    lk->ready = rc == CDC_OK;
    return rc;
}

int lake_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err)
{
    struct lake *lk = (struct lake *)snk;
    bool ours = false;
    if (lk->ready && still_ours(lk, &ours, err) < 0)
        return CDC_FAIL;
    if (lake_out_drop(lk, ours, err) < 0)
        return CDC_FAIL;
    if (!ours && take_over(lk, err) < 0)
        return CDC_FAIL;
    cdc_map_clear(ret);
    return cdc_map_merge(ret, &lk->chain.map) < 0 ? cdc_fail_oom(err) : CDC_OK;
}
