/*
 * xa_keep.h - the events of transactions that are being prepared (XA), or are, in memory: without
 * checksums, some MiB in all. What does not fit is not kept at all, and read out of the log again.
 * Ownership: all of it is the mys_keep's. Threads: one. Failure: none but out of memory.
 */
#ifndef MYS_XA_KEEP_H
#define MYS_XA_KEEP_H

#include "cdc/buf.h"
#include "decode.h"
#include "position.h"

#define MYS_KEEP_ONE ((size_t)1 << 20) /* bytes of one transaction */
#define MYS_KEEP_ALL ((size_t)4 << 20)

struct mys_kept {
    struct mys_at at;
    struct cdc_buf events;
    bool whole; /* else it did not fit, and there is nothing */
    struct mys_kept *next;
};

/* Zeroed: empty. */
struct mys_keep {
    struct mys_kept *first;
    size_t bytes; /* in all of them */
};

struct mys_kept *mys_kept_find(const struct mys_keep *keep, const struct mys_at *at);
struct mys_kept *mys_kept_new(struct mys_keep *keep, const struct mys_at *at); /* NULL: no memory */
void mys_kept_put(struct mys_keep *keep, struct mys_kept *kept, const struct mys_event *ev);
void mys_kept_forget(struct mys_keep *keep, const struct mys_at *at);
/* Those that are not among the prepared ones go: the server never finished them. */
void mys_keep_tidy(struct mys_keep *keep, const struct mys_prepared *prepared);
void mys_keep_done(struct mys_keep *keep); /* empties it */
/* The event at *off, which moves on. CDC_END: that was all. */
CDC_CHECK int mys_kept_next(const struct mys_kept *kept, size_t *off, struct cdc_slice *ret);

#endif
