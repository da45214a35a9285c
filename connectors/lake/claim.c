/*
 * claim.c - making a folder ours: is it a lake, of this pipeline, and is nobody else at it?
 *
 * Order: look (a folder with other things in it is left alone, not even a lock is put there), then
 * flock on _cdc/lock, then format.json, which is made once and says whose lake it is. A crash
 * between lock and format.json leaves a _cdc without it: made now, unless there are commits, for
 * then format.json was lost. The lock is a courtesy with a good message; safety is the commit log
 * (recover.c).
 */
#include "lake.h"

#include "cdc/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct look {
    bool any, lake;
};

static int see_entry(void *arg, const char *name, struct cdc_error *err)
{
    (void)err;
    struct look *look = arg;
    if (strcmp(name, LAKE_DIR) == 0)
        look->lake = true;
    else if (strcmp(name, "lost+found") != 0) /* the root of a file system of its own */
        look->any = true;
    return CDC_OK;
}

int lake_foreign(struct lake_store *st, bool *ret, struct cdc_error *err)
{
    struct look look = {0};
    if (st->ops->list(st, "", see_entry, &look, err) < 0)
        return CDC_FAIL;
    *ret = look.any && !look.lake;
    return CDC_OK;
}

static int foreign_fail(const char *root, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, root,
                    "the folder is not empty and holds no lake (no %s in it): nothing was touched. "
                    "Name an empty folder, or one that does not exist yet, as sink.path",
                    LAKE_DIR);
}

int lake_format_load(struct lake_store *st, const char *root, char **ret, struct cdc_error *err)
{
    struct cdc_buf buf = CDC_BUF((size_t)1 << 16);
    int rc = lake_load(st, LAKE_FORMAT, &buf, err);
    if (rc != CDC_OK) {
        cdc_buf_done(&buf);
        return rc;
    }
    json_t *json = json_loadb((const char *)buf.p, buf.len, 0, NULL);
    json_int_t v = 0;
    const char *name = NULL;
    if (!json || json_unpack(json, "{s:I,s:s}", "v", &v, "name", &name) < 0)
        rc = cdc_fail(err, CDC_OPERATOR, root,
                      "%s is damaged: restore it from a copy of the lake, or begin with an empty "
                      "folder",
                      LAKE_FORMAT);
    else if (v != 1)
        rc = cdc_fail(err, CDC_OPERATOR, root,
                      "the lake has format version %lld and this sidestream knows version 1: use "
                      "the sidestream that wrote it, or a newer one",
                      (long long)v);
    else if (!(*ret = strdup(name)))
        rc = cdc_fail_oom(err);
    json_decref(json);
    cdc_buf_done(&buf);
    return rc;
}

static int lock_path(const char *root, char ret[PATH_MAX])
{
    int n = snprintf(ret, PATH_MAX, "%s/%s", root, LAKE_LOCK);
    return n < 0 || n >= PATH_MAX ? CDC_FAIL : CDC_OK;
}

/* Who holds it, as the holder wrote it: "pid 17 on host"; never empty. */
static void lock_holder(int fd, char *ret, size_t cap)
{
    ssize_t n = pread(fd, ret, cap - 1, 0);
    ret[n > 0 ? n : 0] = 0;
    ret[strcspn(ret, "\n")] = 0;
    if (!*ret)
        snprintf(ret, cap, "another process");
}

static int take_lock(struct lake *lk, struct cdc_error *err)
{
    char path[PATH_MAX], text[256] = "", host[128] = "?";
    if (lock_path(lk->set.path, path) < 0)
        return cdc_fail(err, CDC_CONFIG, lk->set.path, "the path is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return lake_io_fail(err, path, "open the lock");
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int e = errno;
        lock_holder(fd, text, sizeof text);
        close(fd);
        if (e == EWOULDBLOCK)
            return cdc_fail(err, CDC_OPERATOR, lk->set.path,
                            "the lake is held by %s: one lake has one writer. Stop that one, or "
                            "name another folder as sink.path",
                            text);
        return cdc_fail(err, CDC_OPERATOR, path,
                        "flock: %s. The lake needs a file system with locks", strerror(e));
    }
    gethostname(host, sizeof host - 1);
    int n = snprintf(text, sizeof text, "pid %ld on %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        cdc_log(CDC_LOG_DEBUG, "lake %s: the lock holds, but does not say by whom", lk->set.path);
    lk->lock_fd = fd;
    return CDC_OK;
}

static int make_format(struct lake *lk, struct cdc_error *err)
{
    uint64_t *commits = NULL;
    size_t n = 0;
    if (lake_numbers(lk->store, LAKE_DIR "/commits", 20, &commits, &n, err) < 0)
        return CDC_FAIL;
    free(commits);
    if (n > 0)
        return cdc_fail(err, CDC_OPERATOR, lk->set.path,
                        "there are commits but no %s: restore that file from a copy of the lake, "
                        "or begin with an empty folder",
                        LAKE_FORMAT);
    char at[28], text[256];
    lake_time(cdc_now_us(), at);
    int len = snprintf(text, sizeof text, "{\"v\":1,\"name\":\"%s\",\"created\":\"%s\"}\n",
                       lk->set.name, at);
    int rc = lk->store->ops->put(lk->store, LAKE_FORMAT, cdc_slice_of(text, (size_t)len),
                                 LAKE_CREATE, err);
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

static int name_check(const char *root, const char *has, const char *want, struct cdc_error *err)
{
    if (strcmp(has, want) == 0)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, root,
                    "the lake belongs to the pipeline `%s`, and this one is `%s`: give each "
                    "pipeline a folder of its own",
                    has, want);
}

/* CDC_OK: there is a lake of our name; CDC_END: none yet. */
static int format_check(struct lake *lk, struct cdc_error *err)
{
    char *name = NULL;
    int rc = lake_format_load(lk->store, lk->set.path, &name, err);
    if (rc == CDC_OK)
        rc = name_check(lk->set.path, name, lk->set.name, err);
    free(name);
    return rc;
}

int lake_claim(struct lake *lk, struct cdc_error *err)
{
    bool foreign;
    if (lake_foreign(lk->store, &foreign, err) < 0)
        return CDC_FAIL;
    if (foreign)
        return foreign_fail(lk->set.path, err);
    if (format_check(lk, err) < 0)
        return CDC_FAIL;
    /* A first object makes the folders, so that the lock has a place. */
    if (lk->lock_fd < 0 && (lk->store->ops->put(lk->store, LAKE_TMP "/probe", cdc_slice_str(""),
                                                LAKE_REPLACE, err) < 0 ||
                            take_lock(lk, err) < 0))
        return CDC_FAIL;
    int rc = format_check(lk, err);
    if (rc == CDC_END && make_format(lk, err) == CDC_OK)
        rc = format_check(lk, err);
    return rc == CDC_OK ? CDC_OK : CDC_FAIL;
}

/* ---- check: the same questions, answered without leaving anything behind ---- */

static bool report_fail(struct cdc_report *report, const struct cdc_error *err)
{
    cdc_report(report, CDC_BAD, NULL, "lake %s: %s", err->where, err->message);
    return false;
}

static bool check_owner(const struct cdc_config *cfg, struct lake_store *st, const char *root,
                        struct cdc_report *report)
{
    struct cdc_error err;
    bool foreign;
    char *name = NULL;
    if (lake_foreign(st, &foreign, &err) < 0)
        return report_fail(report, &err);
    if (foreign) {
        (void)foreign_fail(root, &err);
        return report_fail(report, &err);
    }
    int rc = lake_format_load(st, root, &name, &err);
    if (rc == CDC_OK)
        rc = name_check(root, name, cfg->name, &err);
    free(name);
    if (rc < 0)
        return report_fail(report, &err);
    cdc_report(report, CDC_PASS, NULL,
               rc == CDC_OK ? "lake %s: belongs to this pipeline" : "lake %s: empty, will be made",
               root);
    return true;
}

static void check_lock(const char *root, struct cdc_report *report)
{
    char path[PATH_MAX], holder[256];
    int fd = lock_path(root, path) < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return; /* no lake yet */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        lock_holder(fd, holder, sizeof holder);
        cdc_report(report, CDC_WARN, NULL, "lake %s: held by %s (a running sidestream)", root,
                   holder);
    } else {
        cdc_report(report, CDC_PASS, NULL, "lake %s: nobody else writes to it", root);
    }
    close(fd);
}

/* The nearest folder above that exists, in place. */
static void existing(char *path)
{
    while (access(path, F_OK) < 0) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            snprintf(path, PATH_MAX, "%s", slash ? "/" : ".");
        else
            *slash = 0;
    }
}

static void check_write(const char *root, struct cdc_report *report)
{
    char dir[PATH_MAX], a[PATH_MAX], b[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", root);
    existing(dir);
    int n = snprintf(a, sizeof a, "%s/.sidestream-check-%ld", dir, (long)getpid());
    int m = snprintf(b, sizeof b, "%s/.sidestream-check-%ld.link", dir, (long)getpid());
    int fd = n < 0 || m < 0 || m >= (int)sizeof b
                 ? -1
                 : open(a, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        cdc_report(report, CDC_BAD, NULL,
                   "lake %s: cannot write in %s (%s). Give the user that runs sidestream write "
                   "access",
                   root, dir, strerror(errno));
        return;
    }
    close(fd);
    if (link(a, b) == 0)
        cdc_report(report, CDC_PASS, NULL, "lake %s: can be written", root);
    else
        cdc_report(report, CDC_WARN, NULL,
                   "lake %s: no hard links here (%s); renameat2 is used if the file system has it",
                   root, strerror(errno));
    unlink(b);
    unlink(a);
}

static void check_space(const char *root, struct cdc_report *report)
{
    char dir[PATH_MAX];
    struct statvfs fs;
    snprintf(dir, sizeof dir, "%s", root);
    existing(dir);
    if (statvfs(dir, &fs) < 0)
        return;
    uint64_t mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
    cdc_report(report, mib < 1024 ? CDC_WARN : CDC_PASS, NULL, "lake %s: %llu MiB free", root,
               (unsigned long long)mib);
}

int lake_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err)
{
    const char *root = cdc_get_string(cfg->sink, "path");
    struct lake_store *st = NULL;
    if (lake_local_open(root, false, &st, err) < 0)
        return CDC_FAIL;
    if (check_owner(cfg, st, root, report)) {
        check_write(root, report);
        check_lock(root, report);
        check_space(root, report);
    }
    st->ops->close(st);
    return CDC_OK;
}
