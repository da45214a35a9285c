/*
 * readers.c - who reads this lake, and how far: retention keeps what they have not applied yet.
 *
 *   _cdc/readers/<name>.json   {"v":1,"commit":n,"at":"2026-11-20T10:00:00.000000Z"}
 *
 * A reader writes its own file after it has durably applied commit n, whole (rename), as often as
 * it likes; `at` says that it is alive. The writer reads the files before it removes anything. One
 * that was silent for longer than reader_timeout counts no more; one that cannot be read counts as
 * a reader that has applied nothing, so that a torn file costs room and not rows. Whoever ends a
 * reader for good deletes its file.
 */
#include "lake.h"

#include "cdc/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define READER_NAME_MAX 128

static bool name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n > 0 && !name[n] && n <= READER_NAME_MAX && name[0] != '.';
}

static void reader_path(const char *leaf, const char *tail, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, LAKE_READERS "/%.200s%s", leaf, tail);
}

int lake_reader_save(struct lake_store *st, const char *name, uint64_t commit,
                     struct cdc_error *err)
{
    char path[LAKE_PATH_MAX], at[28], text[128];
    if (!name_ok(name))
        return cdc_fail(err, CDC_FATAL, name, "no name for a reader of a lake");
    reader_path(name, ".json", path);
    lake_time(cdc_now_us(), at);
    int n =
        snprintf(text, sizeof text, "{\"v\":1,\"commit\":%" PRIu64 ",\"at\":\"%s\"}\n", commit, at);
    return st->ops->put(st, path, cdc_slice_of(text, (size_t)n), LAKE_REPLACE, err);
}

struct look {
    struct lake *lk;
    uint64_t bound;
};

/* CDC_END: it went away. */
static int reader_load(struct lake_store *st, const char *path, uint64_t *ret_commit,
                       int64_t *ret_at, struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF((size_t)1 << 16);
    json_int_t commit = -1;
    const char *at = "";
    int rc = lake_load(st, path, &buf, err);
    json_t *json = rc == CDC_OK ? json_loadb((const char *)buf.p, buf.len, 0, NULL) : NULL;
    if (rc == CDC_OK &&
        (!json || json_unpack(json, "{s:I,s:s}", "commit", &commit, "at", &at) < 0 || commit < 0 ||
         !lake_time_parse(at, ret_at)))
        rc =
            cdc_fail(err, CDC_FATAL, path, "no {\"commit\":n,\"at\":time} with microseconds and Z");
    *ret_commit = (uint64_t)commit;
    json_decref(json);
    cdc_buf_done(&buf);
    return rc;
}

/* Once for each reader, until it is well again. */
static int complain(struct lake *lk, const char *leaf, const char *what, struct cdc_error *err)
{
    if (cdc_map_get(&lk->trim.blamed, leaf).p)
        return CDC_OK;
    cdc_log(CDC_LOG_WARN, "lake %s: " LAKE_READERS "/%s: %s", lk->set.path, leaf, what);
    return cdc_map_put(&lk->trim.blamed, cdc_slice_str(leaf), cdc_slice_str("1")) < 0
               ? cdc_fail_oom(err)
               : CDC_OK;
}

static int see_reader(void *arg, const char *leaf, struct cdc_error *err)
{
    struct look *look = arg;
    struct lake *lk = look->lk;
    struct cdc_error why = {0};
    char path[LAKE_PATH_MAX];
    uint64_t commit;
    int64_t at;
    size_t len = strlen(leaf);
    if (leaf[0] == '.' || len < 6 || len > 200 || strcmp(leaf + len - 5, ".json") != 0)
        return CDC_OK; /* somebody's temporary name */
    reader_path(leaf, "", path);
    int rc = reader_load(lk->store, path, &commit, &at, &why);
    if (rc == CDC_END)
        return CDC_OK;
    if (rc < 0) {
        look->bound = 0;
        return complain(lk, leaf,
                        "cannot be read, so nothing is removed: let the reader write it anew, or "
                        "delete it if that reader is gone",
                        err);
    }
    if (at < cdc_now_us() - lk->set.reader_timeout_us)
        return complain(lk, leaf,
                        "silent for longer than sink.reader_timeout: what it has not read may be "
                        "removed. Delete the file if that reader is gone",
                        err);
    if (commit < look->bound)
        look->bound = commit;
    return cdc_map_put(&lk->trim.blamed, cdc_slice_str(leaf), (struct cdc_slice){0}) < 0
               ? cdc_fail_oom(err)
               : CDC_OK;
}

int lake_readers_bound(struct lake *lk, uint64_t *ret, struct cdc_error *err)
{
    struct look look = {.lk = lk, .bound = UINT64_MAX};
    int rc = lk->store->ops->list(lk->store, LAKE_READERS, see_reader, &look, err);
    *ret = look.bound;
    return rc;
}
