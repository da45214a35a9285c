/*
 * storage_fault.h - a lake's storage (connectors/lake/storage.h) with faults by script: the double
 * for an object store whose replies get lost, whose requests arrive late, whose disk is full or
 * broken.
 *
 * It stands in front of a real store. The world outlives the store, as a network outlives a
 * process: a create held in it can be let go after a restart.
 */
#ifndef TESTS_STORAGE_FAULT_H
#define TESTS_STORAGE_FAULT_H

#include "../../connectors/lake/storage.h"

enum fault_call { FAULT_PUT, FAULT_APPEND, FAULT_PUBLISH };

enum fault_kind {
    FAULT_LOST,     /* applied, the reply is lost (CDC_REWIND) */
    FAULT_HELD,     /* not applied, kept in the world (CDC_REWIND) */
    FAULT_NO_SPACE, /* not applied (CDC_RETRY) */
    FAULT_EIO,      /* fsync failed (CDC_FATAL) */
    FAULT_LET_GO,   /* what is held is applied first, then the call itself */
};

struct fault {
    enum fault_call call;
    const char *path; /* part of the path it is for; NULL: any */
    int in;           /* at the in-th such call from now; 0: spent */
    int times;        /* in a row; 0 means once, -1 for ever */
    enum fault_kind kind;
};

struct fault_world {
    struct fault faults[8];
    char *held_path;
    uint8_t *held;
    size_t held_len;
    int held_rc;   /* what applying it gave */
    int hit;       /* faults that happened */
    int publishes; /* calls of publish that reached the store */
    int changes;   /* calls that change the store: put, remove, stage, append, publish */
    int dies_at;   /* the changes-th of them and all behind it do nothing and fail; 0: none */
};

/* Takes inner over. NULL: no memory. */
struct lake_store *fault_store_new(struct fault_world *world, struct lake_store *take_inner);
/* Applies what is held to a store, as if the network delivered it now; sets held_rc. */
void fault_let_go(struct fault_world *world, struct lake_store *st);
void fault_world_done(struct fault_world *world);

#endif
