/*
 * storage_local.c - a folder as a lake's storage (storage.h).
 *
 * Create-only: the bytes go to a temporary name, are fsynced, get their name by link(), which fails
 * when the name is taken, and the folder is fsynced. File systems without hard links (exFAT, some
 * FUSE) get renameat2(RENAME_NOREPLACE), which promises the same.
 *
 * Folders: a new one must be fsynced into its parent, and one that an earlier, killed process made
 * may not have been; so the first use of a folder by this process fsyncs the whole way up to
 * the root once. `dirs` remembers which were; it is emptied when it grows large.
 *
 * Temporary names: small objects in _cdc/tmp/ (recovery empties it), data files as `.<name>.tmp`
 * beside their final name, so that the link never crosses a mount.
 */
#define _GNU_SOURCE /* renameat2, sync_file_range */
#include "lake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRS_MAX  4096
#define WRITEBACK ((uint64_t)4 << 20)

struct local {
    struct lake_store base;
    char *root;
    bool sync;
    struct cdc_map dirs; /* relative folders known to be durable up to the root */
    uint64_t n_tmp;
};

struct local_file {
    struct lake_staged base;
    struct local *st;
    char *tmp;                 /* absolute */
    int fd;                    /* -1: closed */
    uint64_t written, started; /* bytes; bytes whose writeback was started */
};

int lake_io_fail(struct cdc_error *err, const char *path, const char *what)
{
    int e = errno;
    switch (e) {
    case ENOSPC:
    case EDQUOT:
        return cdc_fail(err, CDC_RETRY, path,
                        "%s: %s. Make room on that file system; it goes on by itself then", what,
                        strerror(e));
    case EMFILE:
    case ENFILE:
        return cdc_fail(err, CDC_RETRY, path, "%s: %s. Raise the limit of open files (ulimit -n)",
                        what, strerror(e));
    case EACCES:
    case EPERM:
    case EROFS:
        return cdc_fail(err, CDC_OPERATOR, path,
                        "%s: %s. Give the user that runs sidestream write access to the lake", what,
                        strerror(e));
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return cdc_fail(err, CDC_OPERATOR, path, "%s: %s. Name another folder as sink.path", what,
                        strerror(e));
    default:
        return cdc_fail(err, CDC_FATAL, path, "%s: %s. Look at the disk and its kernel messages",
                        what, strerror(e));
    }
}

static int sync_fail(struct cdc_error *err, const char *path)
{
    return cdc_fail(err, CDC_FATAL, path,
                    "fsync: %s. What was written may be lost, so nothing is committed; look at the "
                    "disk, then start again",
                    strerror(errno));
}

static int absolute(const struct local *st, const char *rel, char *ret, struct cdc_error *err)
{
    int n = snprintf(ret, PATH_MAX, "%s%s%s", st->root, *rel ? "/" : "", rel);
    if (n < 0 || n >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return lake_io_fail(err, rel, "path");
    }
    return CDC_OK;
}

static int sync_dir(const struct local *st, const char *abs, struct cdc_error *err)
{
    if (!st->sync)
        return CDC_OK;
    int fd = open(abs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return lake_io_fail(err, abs, "open folder");
    int rc = fsync(fd) < 0 ? sync_fail(err, abs) : CDC_OK;
    close(fd);
    return rc;
}

/* The folder a path lies in, in place; "" for a path without `/`, "/" for one in the root. */
static void cut_name(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        *path = 0;
    else
        slash[slash == path] = 0;
}

static int sync_parent(const struct local *st, const char *abs, struct cdc_error *err)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", abs);
    cut_name(dir);
    return sync_dir(st, *dir ? dir : ".", err);
}

/* Makes one absolute folder and all above it, fsyncing each new one into its parent. */
static int make_abs(const struct local *st, char *abs, struct cdc_error *err)
{
    if (mkdir(abs, 0777) == 0 || errno == EEXIST)
        return CDC_OK;
    if (errno != ENOENT)
        return lake_io_fail(err, abs, "mkdir");
    char up[PATH_MAX];
    snprintf(up, sizeof up, "%s", abs);
    cut_name(up);
    if (!*up || strcmp(up, abs) == 0)
        return lake_io_fail(err, abs, "mkdir");
    if (make_abs(st, up, err) < 0)
        return CDC_FAIL;
    if (mkdir(abs, 0777) < 0 && errno != EEXIST)
        return lake_io_fail(err, abs, "mkdir");
    return sync_dir(st, up, err);
}

/* Makes the relative folder, and makes sure once that every entry on the way to it is durable. */
static int make_dir(struct local *st, const char *rel, struct cdc_error *err)
{
    if (cdc_map_get(&st->dirs, rel).p)
        return CDC_OK;
    char abs[PATH_MAX], up[PATH_MAX];
    if (absolute(st, rel, abs, err) < 0)
        return CDC_FAIL;
    if (*rel) {
        snprintf(up, sizeof up, "%s", rel);
        cut_name(up);
        if (make_dir(st, up, err) < 0)
            return CDC_FAIL;
    }
    if (make_abs(st, abs, err) < 0)
        return CDC_FAIL;
    /* The root's own parent may be closed to us; if we made the root, make_abs has synced it. */
    if (*rel && sync_parent(st, abs, err) < 0)
        return CDC_FAIL;
    if (st->dirs.n >= DIRS_MAX)
        cdc_map_clear(&st->dirs);
    if (cdc_map_put(&st->dirs, cdc_slice_str(rel), cdc_slice_str("1")) < 0)
        return cdc_fail_oom(err);
    return CDC_OK;
}

static int make_parent(struct local *st, const char *path, struct cdc_error *err)
{
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir) {
        errno = ENAMETOOLONG;
        return lake_io_fail(err, path, "path");
    }
    cut_name(dir);
    return make_dir(st, dir, err);
}

/* Gives tmp its name if that is free. CDC_OK: tmp is gone or may be unlinked; LAKE_EXISTS. */
static int give_name(const char *tmp, const char *abs, struct cdc_error *err)
{
    if (link(tmp, abs) == 0)
        return CDC_OK;
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)
        if (renameat2(AT_FDCWD, tmp, AT_FDCWD, abs, RENAME_NOREPLACE) == 0)
            return CDC_OK;
    return errno == EEXIST ? LAKE_EXISTS : lake_io_fail(err, abs, "link");
}

static int write_all(int fd, const char *abs, const uint8_t *p, size_t n, struct cdc_error *err)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return lake_io_fail(err, abs, "write");
        p += done;
        n -= (size_t)done;
    }
    return CDC_OK;
}

/* A new file of its own name, written whole and (if asked) fsynced. On failure it is gone again. */
static int write_tmp(const char *tmp, struct cdc_slice bytes, bool sync, struct cdc_error *err)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return lake_io_fail(err, tmp, "create");
    int rc = write_all(fd, tmp, bytes.p, bytes.len, err);
    if (rc == CDC_OK && sync && fsync(fd) < 0)
        rc = sync_fail(err, tmp);
    if (close(fd) < 0 && rc == CDC_OK)
        rc = lake_io_fail(err, tmp, "close");
    if (rc < 0)
        unlink(tmp);
    return rc;
}

static int tmp_name(struct local *st, char *ret, struct cdc_error *err)
{
    char rel[128];
    snprintf(rel, sizeof rel, "%s/%ld-%llx-%llu.tmp", LAKE_TMP, (long)getpid(),
             (unsigned long long)cdc_mono_us(), (unsigned long long)++st->n_tmp);
    if (make_dir(st, LAKE_TMP, err) < 0)
        return CDC_FAIL;
    return absolute(st, rel, ret, err);
}

static int local_put(struct lake_store *base, const char *path, struct cdc_slice bytes,
                     enum lake_put how, struct cdc_error *err)
{
    struct local *st = (struct local *)base;
    char tmp[PATH_MAX], abs[PATH_MAX];
    if (make_parent(st, path, err) < 0 || tmp_name(st, tmp, err) < 0 ||
        absolute(st, path, abs, err) < 0)
        return CDC_FAIL;
    if (write_tmp(tmp, bytes, st->sync && how == LAKE_CREATE, err) < 0)
        return CDC_FAIL;
    if (how == LAKE_REPLACE) {
        int rc = rename(tmp, abs) < 0 ? lake_io_fail(err, abs, "rename") : CDC_OK;
        if (rc < 0)
            unlink(tmp);
        return rc;
    }
    int rc = give_name(tmp, abs, err);
    unlink(tmp);
    /* Also where the name was taken: what the other one made may not be durable yet. */
    return rc < 0 || sync_parent(st, abs, err) < 0 ? CDC_FAIL : rc;
}

static int local_size(struct lake_store *base, const char *path, uint64_t *ret,
                      struct cdc_error *err)
{
    char abs[PATH_MAX];
    struct stat sb;
    if (absolute((struct local *)base, path, abs, err) < 0)
        return CDC_FAIL;
    if (stat(abs, &sb) < 0)
        return errno == ENOENT ? CDC_END : lake_io_fail(err, abs, "stat");
    *ret = (uint64_t)sb.st_size;
    return CDC_OK;
}

static int local_read(struct lake_store *base, const char *path, struct lake_read *io,
                      struct cdc_error *err)
{
    char abs[PATH_MAX];
    if (absolute((struct local *)base, path, abs, err) < 0)
        return CDC_FAIL;
    int fd = open(abs, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? CDC_END : lake_io_fail(err, abs, "open");
    int rc = CDC_OK;
    for (io->n = 0; io->n < io->cap;) {
        ssize_t got = pread(fd, (char *)io->p + io->n, io->cap - io->n, (off_t)(io->off + io->n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = lake_io_fail(err, abs, "read");
        if (got <= 0)
            break;
        io->n += (size_t)got;
    }
    close(fd);
    return rc;
}

static int local_list(struct lake_store *base, const char *dir, lake_seen *seen, void *arg,
                      struct cdc_error *err)
{
    char abs[PATH_MAX];
    if (absolute((struct local *)base, dir, abs, err) < 0)
        return CDC_FAIL;
    DIR *d = opendir(abs);
    if (!d)
        return errno == ENOENT ? CDC_OK : lake_io_fail(err, abs, "open folder");
    int rc = CDC_OK;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e && errno)
            rc = lake_io_fail(err, abs, "read folder");
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = seen(arg, e->d_name, err);
        if (rc < 0)
            break;
    }
    closedir(d);
    return rc;
}

/* A folder of data files that became empty goes too: else each table would leave one for each day.
 */
static int local_remove(struct lake_store *base, const char *path, struct cdc_error *err)
{
    struct local *st = (struct local *)base;
    char abs[PATH_MAX];
    if (absolute(st, path, abs, err) < 0)
        return CDC_FAIL;
    if (unlink(abs) < 0 && errno != ENOENT)
        return lake_io_fail(err, abs, "unlink");
    cut_name(abs);
    if (strncmp(path, "log/", 4) == 0 && rmdir(abs) == 0)
        cdc_map_clear(&st->dirs); /* it is to be made again if it is wanted again */
    return CDC_OK;
}

static void local_release(struct lake_staged *base)
{
    struct local_file *file = (struct local_file *)base;
    if (!file)
        return;
    if (file->fd >= 0) {
        close(file->fd);
        unlink(file->tmp);
    }
    free(file->tmp);
    free(file->base.path);
    free(file);
}

/* dir/name -> dir/.name.tmp, absolute. */
static int staged_name(const struct local *st, const char *path, char *ret, struct cdc_error *err)
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(ret, PATH_MAX, "%s/%.*s.%s.tmp", st->root, slash ? (int)(slash + 1 - path) : 0,
                     path, slash ? slash + 1 : path);
    if (n >= 0 && n < PATH_MAX)
        return CDC_OK;
    errno = ENAMETOOLONG;
    return lake_io_fail(err, path, "path");
}

static int local_stage(struct lake_store *base, const char *path, struct lake_staged **ret,
                       struct cdc_error *err)
{
    struct local *st = (struct local *)base;
    char tmp[PATH_MAX];
    if (make_parent(st, path, err) < 0 || staged_name(st, path, tmp, err) < 0)
        return CDC_FAIL;
    struct local_file *file = calloc(1, sizeof *file);
    if (!file)
        return cdc_fail_oom(err);
    *file = (struct local_file){.base.ops = base->ops, .st = st, .fd = -1};
    file->base.path = strdup(path);
    file->tmp = strdup(tmp);
    if (!file->base.path || !file->tmp) {
        local_release(&file->base);
        return cdc_fail_oom(err);
    }
    file->fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) {
        int rc = lake_io_fail(err, tmp, "create");
        local_release(&file->base);
        return rc;
    }
    *ret = &file->base;
    return CDC_OK;
}

/*
 * The disk begins with what is there while more is encoded; the fsync at the end then finds little
 * left to do. Only a hint: an error shows again, and counts, at the fsync.
 */
static void start_writeback(struct local_file *file)
{
    if (!file->st->sync || file->written - file->started < WRITEBACK)
        return;
    (void)sync_file_range(file->fd, (off_t)file->started, (off_t)(file->written - file->started),
                          SYNC_FILE_RANGE_WRITE);
    file->started = file->written;
}

static int local_append(struct lake_staged *base, const void *p, size_t n, struct cdc_error *err)
{
    struct local_file *file = (struct local_file *)base;
    if (write_all(file->fd, file->tmp, p, n, err) < 0)
        return CDC_FAIL;
    file->written += n;
    start_writeback(file);
    return CDC_OK;
}

/* The contents are durable; the name comes later. */
static int seal(struct local *st, struct local_file *file, struct cdc_error *err)
{
    if (st->sync && fsync(file->fd) < 0)
        return sync_fail(err, file->tmp);
    return CDC_OK;
}

static int name_it(struct local *st, struct local_file *file, struct cdc_error *err)
{
    char abs[PATH_MAX];
    if (absolute(st, file->base.path, abs, err) < 0)
        return CDC_FAIL;
    int rc = give_name(file->tmp, abs, err);
    if (rc == LAKE_EXISTS)
        return cdc_fail(err, CDC_FATAL, abs,
                        "a data file of this very name is there already: somebody copies files "
                        "into the lake. Look at `sidestream fsck`");
    if (rc < 0)
        return rc;
    file->base.published = true;
    close(file->fd);
    file->fd = -1;
    unlink(file->tmp);
    return CDC_OK;
}

static bool same_dir(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
    size_t n = end_a ? (size_t)(end_a - a) : 0;
    return n == (end_b ? (size_t)(end_b - b) : 0) && memcmp(a, b, n) == 0;
}

static int local_publish(struct lake_store *base, struct lake_staged **files, size_t n,
                         struct cdc_error *err)
{
    struct local *st = (struct local *)base;
    for (size_t i = 0; i < n; i++)
        if (seal(st, (struct local_file *)files[i], err) < 0)
            return CDC_FAIL;
    for (size_t i = 0; i < n; i++)
        if (name_it(st, (struct local_file *)files[i], err) < 0)
            return CDC_FAIL;
    for (size_t i = 0; i < n; i++) {
        bool done = false;
        for (size_t k = 0; k < i && !done; k++)
            done = same_dir(files[i]->path, files[k]->path);
        char abs[PATH_MAX];
        if (!done && (absolute(st, files[i]->path, abs, err) < 0 || sync_parent(st, abs, err) < 0))
            return CDC_FAIL;
    }
    return CDC_OK;
}

static void local_close(struct lake_store *base)
{
    struct local *st = (struct local *)base;
    cdc_map_done(&st->dirs);
    free(st->root);
    free(st);
}

static const struct lake_store_ops local_ops = {
    .size = local_size,
    .read = local_read,
    .put = local_put,
    .list = local_list,
    .remove = local_remove,
    .stage = local_stage,
    .append = local_append,
    .publish = local_publish,
    .release = local_release,
    .close = local_close,
};

int lake_local_open(const char *root, bool sync, struct lake_store **ret, struct cdc_error *err)
{
    struct local *st = calloc(1, sizeof *st);
    char *own = st ? strdup(root) : NULL;
    if (!own) {
        free(st);
        return cdc_fail_oom(err);
    }
    for (size_t n = strlen(own); n > 1 && own[n - 1] == '/'; n--)
        own[n - 1] = 0;
    *st = (struct local){.base.ops = &local_ops, .root = own, .sync = sync};
    *ret = &st->base;
    return CDC_OK;
}

int lake_exists(struct lake_store *st, const char *path, struct cdc_error *err)
{
    uint64_t bytes;
    return st->ops->size(st, path, &bytes, err);
}

int lake_load(struct lake_store *st, const char *path, struct cdc_buf *ret, struct cdc_error *err)
{
    uint64_t bytes;
    int rc = st->ops->size(st, path, &bytes, err);
    if (rc != CDC_OK)
        return rc;
    if (bytes > LAKE_OBJECT_MAX)
        return cdc_fail(err, CDC_FATAL, path, "%llu bytes: no such object is that large",
                        (unsigned long long)bytes);
    uint8_t *to = cdc_buf_room(ret, bytes ? (size_t)bytes : 1);
    if (!to)
        return cdc_fail_oom(err);
    struct lake_read io = {.p = to, .cap = (size_t)bytes};
    rc = st->ops->read(st, path, &io, err);
    if (rc == CDC_OK)
        ret->len += io.n;
    return rc;
}
