/*
 * stall.c - a disk that stands still: while the file named by STALL_FILE exists, fsync, fdatasync,
 * link, linkat, rename and renameat2 do not return. For LD_PRELOAD; the sink thread then hangs as
 * it would on a dead NFS server, and the process can still be killed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void stall(void)
{
    const char *file = getenv("STALL_FILE");
    while (file && access(file, F_OK) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

#define STALLED(name, params, args)                                                                \
    int name params                                                                                \
    {                                                                                              \
        static int(*real) params;                                                                  \
        if (!real)                                                                                 \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                             \
        stall();                                                                                   \
        return real args;                                                                          \
    }

STALLED(fsync, (int fd), (fd))
STALLED(fdatasync, (int fd), (fd))
STALLED(link, (const char *from, const char *to), (from, to))
STALLED(linkat, (int d, const char *from, int e, const char *to, int flags),
        (d, from, e, to, flags))
STALLED(rename, (const char *from, const char *to), (from, to))
STALLED(renameat2, (int d, const char *from, int e, const char *to, unsigned flags),
        (d, from, e, to, flags))
