/*
 * fault.c - a disk that fails: the n-th matching call returns an error. For LD_PRELOAD.
 *
 * The file named by FAULT_FILE says which, in five words: OP WHERE NTH ERRNO MODE
 *   OP     write, fsync (and fdatasync), link (and renameat2)
 *   WHERE  data (Avro files), record (commit records and other small objects), dir, any
 *   NTH    counted while the file is there, and only below the folder FAULT_ROOT
 *   MODE   once: the file is deleted, so that the test sees that it happened; always: until the
 *          file is deleted by the test; done: as once, but the call is made before the error is
 *          returned, like an answer that was lost; short: half of a write is written, no error
 * No such file: nothing happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int seen;

enum mode { NONE, ONCE, ALWAYS, DONE, SHORT };

static int is_at(const char *where, const char *path, int dir)
{
    const char *root = getenv("FAULT_ROOT");
    if (!root || strncmp(path, root, strlen(root)) != 0)
        return 0;
    if (strcmp(where, "any") == 0)
        return 1;
    if (strcmp(where, "dir") == 0)
        return dir;
    if (dir)
        return 0;
    return strcmp(where, "record") == 0 ? strstr(path, "/_cdc/") != NULL
                                        : strstr(path, ".avro") != NULL;
}

static enum mode fault(const char *op, const char *path, int dir, int *ret_errno)
{
    const char *file = getenv("FAULT_FILE");
    char want[16], where[16], mode[16];
    int nth;
    FILE *f = file && access(file, F_OK) == 0 ? fopen(file, "re") : NULL;
    if (!f)
        return NONE;
    int n = fscanf(f, "%15s %15s %d %d %15s", want, where, &nth, ret_errno, mode);
    fclose(f);
    if (n != 5 || strcmp(want, op) != 0 || !is_at(where, path, dir))
        return NONE;
    if (atomic_fetch_add(&seen, 1) + 1 < nth)
        return NONE;
    if (strcmp(mode, "always") == 0)
        return ALWAYS;
    atomic_store(&seen, 0);
    unlink(file);
    return strcmp(mode, "done") == 0 ? DONE : strcmp(mode, "short") == 0 ? SHORT : ONCE;
}

static enum mode fault_fd(const char *op, int fd, int *ret_errno)
{
    char link[64], path[PATH_MAX];
    struct stat sb;
    if (!getenv("FAULT_FILE") || access(getenv("FAULT_FILE"), F_OK) != 0)
        return NONE;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || fstat(fd, &sb) < 0)
        return NONE;
    path[n] = 0;
    return fault(op, path, S_ISDIR(sb.st_mode), ret_errno);
}

#define REAL(name, params)                                                                         \
    static int(*real) params;                                                                      \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

#define FAILS(how, call)                                                                           \
    do {                                                                                           \
        enum mode m = (how);                                                                       \
        if (m == DONE)                                                                             \
            (void)!(call);                                                                         \
        if (m != NONE && m != SHORT) {                                                             \
            errno = e;                                                                             \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

ssize_t write(int fd, const void *p, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "write");
    int e = 0;
    enum mode mode = fault_fd("write", fd, &e);
    if (mode == NONE)
        return real(fd, p, n);
    if (mode == SHORT)
        return real(fd, p, n > 1 ? n / 2 : n);
    FAILS(mode, real(fd, p, n));
    return -1;
}

int fsync(int fd)
{
    REAL(fsync, (int));
    int e = 0;
    FAILS(fault_fd("fsync", fd, &e), real(fd));
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync, (int));
    int e = 0;
    FAILS(fault_fd("fsync", fd, &e), real(fd));
    return real(fd);
}

int link(const char *from, const char *to)
{
    REAL(link, (const char *, const char *));
    int e = 0;
    FAILS(fault("link", to, 0, &e), real(from, to));
    return real(from, to);
}

int renameat2(int d, const char *from, int g, const char *to, unsigned flags)
{
    REAL(renameat2, (int, const char *, int, const char *, unsigned));
    int e = 0;
    FAILS(fault("link", to, 0, &e), real(d, from, g, to, flags));
    return real(d, from, g, to, flags);
}
