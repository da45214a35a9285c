/*
 * fake_snap.h - a database whose tables can be copied: rows change while they are read.
 *
 * A world has tables of numbered rows (key -> number; 0: no such row), a log of transactions in the
 * order of their commits, and *visibility* apart from it: a transaction that is in the log, and so
 * may be streamed, shows itself in looks only some calls later, as one that waits for a synchronous
 * standby. Two that touch one row are never both invisible. Transactions are made, by a seeded
 * random, at every call of the source until there are `limit` of them; then poll says CDC_END.
 *
 * With `gap_one_in`, one transaction in so many is in the log as a remark alone that the tables it
 * wrote have a gap (CDC_OP_GAP), `gaps_max` at most.
 *
 * Position: the number of transactions emitted. Place: number + 1. Calls can be made to fail by
 * counting, as in fake.h; the world outlives instances, as a server does.
 */
#ifndef TESTS_FAKE_SNAP_H
#define TESTS_FAKE_SNAP_H

#include <pthread.h>

#include "cdc/source.h"

#define FAKE_TABLES 3
#define FAKE_KEYS   60
#define FAKE_TXS    4000

enum fake_snap_call {
    SNAP_OPEN,
    SNAP_TAKE,
    SNAP_LIST,
    SNAP_TABLE,
    SNAP_PLAN,
    SNAP_BEGIN,
    SNAP_READ,
    SNAP_SOURCE_OPEN,
    SNAP_POLL,
    SNAP_CALLS
};

struct fake_snap_fault {
    enum fake_snap_call call;
    int in; /* 1: the next call; 0: spent */
    int rc; /* CDC_AGAIN, CDC_END or CDC_FAIL */
    enum cdc_action action;
    const char *table; /* of this table only (TABLE, PLAN, BEGIN); NULL: any */
};

struct fake_change {
    int table, key, value; /* value 0: deleted */
    int before;
    bool moved;
    int from; /* ... from this key, without its value in the log */
};

struct fake_snap_world {
    pthread_mutex_t lock;
    unsigned seed;
    int limit;    /* transactions in all */
    bool endless; /* ... and then poll waits for more */
    bool tells;   /* when it has caught up with what was there when it was opened */
    int slow;     /* visible so many calls later, at most */
    int id_len;   /* ids of transactions have so many bytes more */
    bool standby; /* no look NOW */
    bool resumable[FAKE_TABLES], divisible[FAKE_TABLES];
    bool missing[FAKE_TABLES]; /* not listed, no such table */
    int64_t read_us;           /* each read takes so long */
    unsigned keepalives;       /* so often the source was served */
    int gap_one_in, gaps_max;  /* 0: none */
    bool torn;                 /* ... but rows move to another key, and no value is sent */
    int gaps;                  /* transactions that were such */

    int now[FAKE_TABLES][FAKE_KEYS]; /* as committed */
    struct fake_tx {
        struct fake_change changes[6];
        int n;
        int visible_at; /* at this call */
        bool gap;       /* its rows are not in the log */
    } txs[FAKE_TXS];
    int n_txs, calls;

    bool created; /* the slot exists */
    int start;    /* its place: transactions before it */
    bool start_look;
    bool copied;
    int looks, exact, ranges;    /* what happened */
    int wrong;                   /* calls against the contract */
    int open_snaps, open_starts; /* instances; those that have the look START */
    struct fake_snap_fault faults[32];
};

extern const struct cdc_source_ops fake_snap_source_ops;
extern struct fake_snap_world *fake_snap_world;

void fake_snap_init(struct fake_snap_world *world, unsigned seed);
void fake_snap_done(struct fake_snap_world *world);

#endif
