/*
 * fake.h - a source and a sink whose world is a struct of the test's, with scripted delays,
 * failures and losses. Both keep the contract of cdc/source.h and cdc/sink.h, and both pass its
 * suites.
 *
 * The world outlives the instances, as a server and a bucket do: a test opens, kills and reopens
 * instances over one world and then looks at what the world holds.
 *
 * A world's faults are counted down at each call of their kind: {FAKE_WRITE, 3, CDC_RETRY} fails
 * the third write from now, once. `after` makes a commit fail although it took place (a lost
 * reply).
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include <pthread.h>

#include "cdc/sink.h"
#include "cdc/source.h"

enum fake_call { FAKE_OPEN, FAKE_POLL, FAKE_KEEPALIVE, FAKE_RECOVER, FAKE_WRITE, FAKE_COMMIT };

struct fake_fault {
    enum fake_call call;
    int in; /* 1: the next call; 0: spent */
    enum cdc_action action;
    bool after;       /* COMMIT: the commit took place */
    int64_t delay_us; /* sleep so long first; with action < 0 only that */
};

/* The source's server: transaction t (from 1) has `sizes[t - 1]` rows, keys counted through. */
struct fake_log {
    const int *sizes;
    int n_tx;
    int rows_per_batch; /* a transaction is given in batches of at most so many */
    int released;       /* ack: the last transaction the server may forget */
    int forgot_needed;  /* acks that named more than was committed (set by the test's check) */
    int gap_tx;         /* this transaction (from 1) says at its end that the table has a gap */
    bool ends;          /* poll gives CDC_END after the last one; else waits for ever */
    int opens, keepalives;
    int64_t closed_us;   /* when an instance was closed for the first time (monotonic) */
    const char *created; /* what first start leaves: "" none, "slot" */
    struct fake_fault faults[64];
    size_t n_faults;
    /* Asked at each ack: the newest committed transaction of the sink, to prove that P5 holds. */
    int (*committed)(void *arg);
    void *arg;
};

/* The sink's store: rows in commit order, by transaction and ordinal, and the checkpoint. */
struct fake_store {
    pthread_mutex_t lock;
    struct cdc_map checkpoint;
    struct fake_row {
        char seq[CDC_SEQ_LEN + 1];
        char op;
        char table[16];
        int64_t key, value; /* columns 0 and 1, where they are numbers */
        bool unsent;        /* the value was not sent: it is that of the row `from` */
        int64_t from;       /* its key before */
    } * rows;
    size_t n, cap;
    int epoch, commits, recovers;
    struct cdc_commit_policy policy;
    struct fake_fault faults[64];
    size_t n_faults;
};

extern const struct cdc_source_ops fake_source_ops;
extern const struct cdc_sink_ops fake_sink_ops;     /* cannot cut */
extern const struct cdc_sink_ops fake_cut_sink_ops; /* wants cuts inside transactions */

extern int64_t fake_delay_ended_us; /* when the last scripted delay was over (monotonic) */

/* The worlds the next open uses (the ops have no other way to be told). */
void fake_use(struct fake_log *log, struct fake_store *store);
void fake_store_init(struct fake_store *store);
void fake_store_done(struct fake_store *store);

#endif
