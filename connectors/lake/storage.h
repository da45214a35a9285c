/*
 * storage.h - where a lake's bytes lie: six functions over named objects.
 *
 * A name is a relative path with `/` in it ("_cdc/commits/00000000000000000001.json"). Objects are
 * small and written whole (put), or large and written in pieces (stage); neither is ever changed.
 * The one promise all safety rests on: LAKE_CREATE of a name succeeds for at most one caller in the
 * whole world, and once it returned CDC_OK the object survives a power cut.
 *
 * The outcome of a put that fails: action CDC_REWIND says *unknown* (it may have been applied, or
 * may still be); any other action says that it was not applied and never will be. The caller reads
 * back, or fences, before it believes anything.
 *
 * Errors: no room is CDC_RETRY, missing rights are CDC_OPERATOR, a failed fsync is CDC_FATAL and
 * never tried again (the kernel has dropped the pages, facts/lake-registry.md 7.3). Threads: one
 * store, one thread at a time. Ownership: a staged object belongs to who staged it.
 */
#ifndef LAKE_STORAGE_H
#define LAKE_STORAGE_H

#include "cdc/buf.h"

#define LAKE_EXISTS     16 /* outcome of LAKE_CREATE: the name is taken, nothing was written */
#define LAKE_OBJECT_MAX ((size_t)256 << 20) /* a small object: records, checkpoints, schemas */

enum lake_put { LAKE_CREATE, LAKE_REPLACE }; /* REPLACE: a hint, atomic but perhaps lost */

/* A read of up to cap bytes from off; n is how many came (fewer: the end). */
struct lake_read {
    uint64_t off;
    void *p;
    size_t cap, n;
};

struct lake_store {
    const struct lake_store_ops *ops;
};

/*
 * A large object on its way: nobody sees it under its name until it is published.
 */
struct lake_staged {
    const struct lake_store_ops *ops;
    char *path; /* the final name */
    bool published;
};

/* One name in a folder. CDC_FAIL ends the listing. */
typedef int lake_seen(void *arg, const char *name, struct cdc_error *err);

struct lake_store_ops {
    /* Size of an object. CDC_END: not there. */
    int (*size)(struct lake_store *st, const char *path, uint64_t *ret, struct cdc_error *err);
    /* CDC_END: not there. */
    int (*read)(struct lake_store *st, const char *path, struct lake_read *io,
                struct cdc_error *err);
    /* CDC_OK, LAKE_EXISTS, or CDC_FAIL (above). Folders are made as needed. */
    int (*put)(struct lake_store *st, const char *path, struct cdc_slice bytes, enum lake_put how,
               struct cdc_error *err);
    /* All names in the folder, hidden ones too, in no order; a missing folder is empty. */
    int (*list)(struct lake_store *st, const char *dir, lake_seen *seen, void *arg,
                struct cdc_error *err);
    /* Not there is fine. Not durable by itself: after a power cut it may be there again. */
    int (*remove)(struct lake_store *st, const char *path, struct cdc_error *err);
    /* Begins a large object. */
    int (*stage)(struct lake_store *st, const char *path, struct lake_staged **ret,
                 struct cdc_error *err);

    /* Of staged objects: more bytes; all n durable under their names; the end of the handle. */
    int (*append)(struct lake_staged *file, const void *p, size_t n, struct cdc_error *err);
    int (*publish)(struct lake_store *st, struct lake_staged **files, size_t n,
                   struct cdc_error *err);
    void (*release)(struct lake_staged *file); /* what is not published vanishes; NULL is fine */

    void (*close)(struct lake_store *st);
};

/*
 * A folder on a local file system. Nothing is touched yet; the folder need not exist.
 * sync false: no fsync anywhere (benchmarks only).
 */
CDC_CHECK int lake_local_open(const char *root, bool sync, struct lake_store **ret,
                              struct cdc_error *err);

/* errno as an error: the one place where it becomes an action. */
int lake_io_fail(struct cdc_error *err, const char *path, const char *what);

/* A whole small object, appended to ret. CDC_END: not there. */
CDC_CHECK int lake_load(struct lake_store *st, const char *path, struct cdc_buf *ret,
                        struct cdc_error *err);
/* CDC_OK: there; CDC_END: not. */
CDC_CHECK int lake_exists(struct lake_store *st, const char *path, struct cdc_error *err);

#endif
