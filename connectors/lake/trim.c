/*
 * trim.c - retention: the old end of the lake is removed, so that neither log/ nor _cdc/ grows for
 * ever.
 *
 * The *floor* F is the last commit whose rows are given up. What is left of a lake with a floor:
 *
 *   _cdc/floor/<F>.json         says so; the greatest number counts
 *   _cdc/checkpoints/<F>.json   the log replayed up to F: readers and fsck begin with it
 *   _cdc/commits/<F>.json       its hash is the one that the checkpoint object tells, and the first
 *                               `prev` of what is left; a reader that has applied F goes on by it
 *   all records after F, and their files
 *
 * F may be the last commit that is (1) older than `retention`, by its own time; (2) applied by
 * every reader that counts (readers.c); (3) at or below a checkpoint object that a start reads
 * first. The log is replayed a second time, slowly, behind its head (`base`), which says what the
 * checkpoint object at F must hold, wherever F comes to lie.
 *
 * Order, so that a crash anywhere leaves a lake that starts, feeds and checks clean: checkpoint
 * object at F, then the floor, both durable; then upwards from the lowest record each one's files
 * and the record, but for record F; then older floors and checkpoint objects. Who finds a floor
 * with records below it knows how far the work got: the records that are left are the highest ones.
 *
 * It runs behind a commit, once a minute (or ten times in what is kept, if that is more often), and
 * never
 * to do is done behind the next commits. A failure is logged and tried again later; only a failed
 * fsync is passed on, for it tells of the disk below the commits as well.
 */
#include "lake.h"

#include "cdc/crash.h"
#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BUDGET_US  3000
#define POINTS_MAX 64 /* removed at one time */

int lake_floor(struct lake_store *st, uint64_t *ret, struct cdc_error *err)
{
    uint64_t *floors = NULL;
    size_t n = 0;
    if (lake_numbers(st, LAKE_FLOORS, 20, &floors, &n, err) < 0)
        return CDC_FAIL;
    *ret = n > 0 ? floors[n - 1] : 0;
    free(floors);
    return CDC_OK;
}

/* All but the newest `keep` and number `also`. */
static int drop_numbers(struct lake_store *st, const char *dir, size_t keep, uint64_t also,
                        struct cdc_error *err)
{
    uint64_t *numbers = NULL;
    size_t n = 0, dropped = 0;
    char path[LAKE_PATH_MAX];
    if (lake_numbers(st, dir, 20, &numbers, &n, err) < 0)
        return CDC_FAIL;
    int rc = CDC_OK;
    for (size_t i = 0; i + keep < n && rc == CDC_OK && dropped < POINTS_MAX; i++) {
        if (numbers[i] == also)
            continue;
        snprintf(path, sizeof path, "%s/%020" PRIu64 ".json", dir, numbers[i]);
        rc = st->ops->remove(st, path, err);
        dropped++;
    }
    free(numbers);
    return rc;
}

int lake_points_drop(struct lake *lk, struct cdc_error *err)
{
    return drop_numbers(lk->store, LAKE_POINTS, 2, lk->floor, err);
}

void lake_trim_reset(struct lake *lk)
{
    lake_chain_done(&lk->trim.base);
    cdc_map_done(&lk->trim.blamed);
    lk->trim = (struct lake_trim){0};
    lake_chain_init(&lk->trim.base);
    cdc_map_init(&lk->trim.blamed);
}

/* ---- the floor ---- */

/* Durable also if it was there: whoever made it may have died before it was. */
static int put_floor(struct lake *lk, const struct lake_chain *base, struct cdc_error *err)
{
    struct lake_chain there;
    char path[LAKE_PATH_MAX], at[28], text[256];
    lake_chain_init(&there);
    CDC_POINT("lake.trim_point");
    int rc = lake_point_save(lk->store, base, lk->set.name, err);
    if (rc == CDC_OK && lake_point_load(lk->store, base->seq, &there, err) != CDC_OK)
        rc = cdc_fail(err, CDC_RETRY, lk->set.path, "the checkpoint object cannot be read back");
    if (rc == CDC_OK && strcmp(there.sha, base->sha) != 0)
        rc = cdc_fail(err, CDC_RETRY, lk->set.path,
                      "the checkpoint object of commit %" PRIu64 " is of another one", base->seq);
    lake_chain_done(&there);
    if (rc < 0)
        return CDC_FAIL;
    lake_time(cdc_now_us(), at);
    int n = snprintf(text, sizeof text,
                     "{\"v\":1,\"seq\":%" PRIu64 ",\"sha256\":\"%s\",\"at\":\"%s\"}\n", base->seq,
                     base->sha, at);
    snprintf(path, sizeof path, LAKE_FLOORS "/%020" PRIu64 ".json", base->seq);
    CDC_POINT("lake.trim_floor");
    rc = lk->store->ops->put(lk->store, path, cdc_slice_of(text, (size_t)n), LAKE_CREATE, err);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

/* Records below the floor are removed upwards, so those that are left lie together. */
static int find_low(struct lake *lk, uint64_t *ret, struct cdc_error *err)
{
    uint64_t low = 1, high = lk->floor;
    char path[LAKE_PATH_MAX];
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        lake_commit_path(mid, path);
        int rc = lake_exists(lk->store, path, err);
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_OK)
            high = mid;
        else
            low = mid + 1;
    }
    *ret = low;
    return CDC_OK;
}

static int begin(struct lake *lk, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    lake_chain_done(&trim->base);
    trim->looked = false;
    if (lake_floor(lk->store, &lk->floor, err) < 0)
        return CDC_FAIL;
    if (lk->floor > 0) {
        int rc = lake_point_load(lk->store, lk->floor, &trim->base, err);
        if (rc != CDC_OK)
            return rc < 0 ? CDC_FAIL
                          : cdc_fail(err, CDC_RETRY, lk->set.path,
                                     "the checkpoint object of the floor, commit %" PRIu64
                                     ", is not there",
                                     lk->floor);
        if (put_floor(lk, &trim->base, err) < 0 || find_low(lk, &trim->low, err) < 0)
            return CDC_FAIL;
    } else {
        trim->low = 1;
    }
    trim->begun = true;
    return CDC_AGAIN;
}

/* ---- removing ---- */

static int remove_files(struct lake *lk, const struct lake_commit *rec, int64_t until_us,
                        struct cdc_error *err)
{
    for (size_t i = 0; i < rec->n_files; i++) {
        if (i > 0 && cdc_mono_us() >= until_us)
            return CDC_AGAIN;
        CDC_POINT("lake.trim_file");
        if (lk->store->ops->remove(lk->store, rec->files[i].path, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

/* Files, then the record that names them. CDC_AGAIN: not all of them yet. */
static int remove_commit(struct lake *lk, uint64_t seq, int64_t until_us, struct cdc_error *err)
{
    struct lake_commit rec;
    char path[LAKE_PATH_MAX];
    int rc = lake_chain_read(lk->store, seq, &rec, NULL, err);
    if (rc < 0)
        return CDC_FAIL;
    if (rc == CDC_END)
        return CDC_OK;
    rc = remove_files(lk, &rec, until_us, err);
    lake_commit_done(&rec);
    if (rc != CDC_OK || seq == lk->floor)
        return rc;
    CDC_POINT("lake.trim_record");
    lake_commit_path(seq, path);
    return lk->store->ops->remove(lk->store, path, err);
}

/* CDC_AGAIN: more to do, or done just now; CDC_OK: there is nothing below the floor. */
static int remove_some(struct lake *lk, int64_t until_us, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    if (lk->floor == 0 || trim->low > lk->floor)
        return CDC_OK;
    do {
        int rc = remove_commit(lk, trim->low, until_us, err);
        if (rc != CDC_OK)
            return rc;
    } while (++trim->low <= lk->floor && cdc_mono_us() < until_us);
    if (trim->low <= lk->floor)
        return CDC_AGAIN;
    if (drop_numbers(lk->store, LAKE_FLOORS, 1, 0, err) < 0 || lake_points_drop(lk, err) < 0)
        return CDC_FAIL;
    return CDC_AGAIN;
}

/* ---- how far ---- */

/* The next record into `base`. CDC_OK: in; CDC_END: it must stay. */
static int advance_one(struct lake *lk, int64_t old_us, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    struct lake_commit rec;
    char sha[65];
    /* The head stays: it is what the next start continues. */
    if (trim->base.seq + 1 >= lk->chain.seq || trim->base.seq >= trim->bound)
        return CDC_END;
    int rc = lake_chain_read(lk->store, trim->base.seq + 1, &rec, sha, err);
    if (rc != CDC_OK)
        return rc < 0 ? CDC_FAIL
                      : cdc_fail(err, CDC_RETRY, lk->set.path, "commit %" PRIu64 " is not there",
                                 trim->base.seq + 1);
    if (rec.at_us >= old_us)
        rc = CDC_END;
    else
        rc = lake_chain_follows(&trim->base, &rec, lk->set.name, err);
    if (rc == CDC_OK && trim->base.seq == lk->floor)
        trim->first_us = rec.at_us;
    if (rc == CDC_OK)
        rc = lake_chain_apply(&trim->base, &rec, sha, err);
    lake_commit_done(&rec);
    return rc;
}

/* In steps: a floor costs a checkpoint object. But a lake of few commits is not to wait for ever.
 */
static bool due(const struct lake *lk, int64_t now_us)
{
    const struct lake_trim *trim = &lk->trim;
    uint64_t n = trim->base.seq - lk->floor;
    int64_t late = lk->set.retention_us / 10;
    return n >= lk->set.trim_step ||
           (n > 0 && trim->first_us < now_us - lk->set.retention_us - late);
}

static int raise_floor(struct lake *lk, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    char path[LAKE_PATH_MAX];
    if (lk->point < trim->base.seq) /* (3) above: one at the head first */
        return lake_point_now(lk, err) < 0 ? CDC_FAIL : CDC_AGAIN;
    /* Has a reader come meanwhile, or begun anew? Then what `base` has passed waits for it. */
    if (lake_readers_bound(lk, &trim->bound, err) < 0)
        return CDC_FAIL;
    if (trim->bound < trim->base.seq)
        return CDC_OK;
    lake_owner_path(lk->epoch + 1, path);
    int rc = lake_exists(lk->store, path, err);
    if (rc != CDC_END)
        return rc < 0 ? CDC_FAIL : CDC_OK; /* not ours any more: the next commit finds out */
    if (put_floor(lk, &trim->base, err) < 0) {
        trim->fatal = err->action == CDC_FATAL;
        return CDC_FAIL;
    }
    cdc_log(CDC_LOG_DEBUG, "lake %s: commits up to %" PRIu64 " are removed", lk->set.path,
            trim->base.seq);
    trim->low = lk->floor ? lk->floor : 1;
    lk->floor = trim->base.seq;
    return CDC_AGAIN;
}

/* A bounded piece of work. CDC_AGAIN: come again behind the next commit; CDC_OK: in a while. */
static int work(struct lake *lk, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    int64_t until_us = cdc_mono_us() + BUDGET_US, now_us = cdc_now_us();
    if (!trim->begun)
        return begin(lk, err);
    int rc = remove_some(lk, until_us, err);
    if (rc != CDC_OK)
        return rc;
    if (!trim->looked && lake_readers_bound(lk, &trim->bound, err) < 0)
        return CDC_FAIL;
    trim->looked = true;
    while ((rc = advance_one(lk, now_us - lk->set.retention_us, err)) == CDC_OK)
        if (cdc_mono_us() >= until_us)
            return CDC_AGAIN;
    if (rc < 0)
        return CDC_FAIL;
    rc = due(lk, now_us) ? raise_floor(lk, err) : CDC_OK;
    trim->looked = rc == CDC_AGAIN && lk->floor < trim->base.seq;
    return rc;
}

int lake_trim(struct lake *lk, struct cdc_error *err)
{
    struct lake_trim *trim = &lk->trim;
    struct cdc_error why = {0};
    if (lk->set.retention_us == 0 || cdc_mono_us() < trim->next_us)
        return CDC_OK;
    int rc = work(lk, &why);
    trim->next_us = rc == CDC_AGAIN ? 0 : cdc_mono_us() + lk->set.trim_every_us;
    if (rc >= 0)
        return CDC_OK;
    trim->begun = false; /* look at everything again */
    if (trim->fatal) {
        if (err)
            *err = why;
        return CDC_FAIL;
    }
    cdc_log(CDC_LOG_WARN, "lake %s: retention: %s%s%s; tried again later", lk->set.path, why.where,
            why.where[0] ? ": " : "", why.message);
    return CDC_OK;
}
