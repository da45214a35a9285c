/*
 * contract.h - the suites that every source and every sink passes (include/cdc/source.h, sink.h).
 *
 * A fixture makes a fresh world for each test: settings, and for a source the transactions in it.
 * Sources must hold the same sequence of (op, key) in each world, so that runs can be compared.
 */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include "config/settings.h"

struct source_fixture {
    const char *name;
    const struct cdc_source_ops *ops;
    /* A new world; *ret its settings (freed by the suite). Aborts the test on failure. */
    void (*up)(struct cdc_settings **ret);
    void (*down)(void);
    /* Makes the rows, once the source has its first position; NULL: they are there from the start.
     */
    void (*produce)(void);
    size_t changes; /* rows in the world */
    bool waits;     /* poll waits for more at the end (no CDC_END) */
};

struct sink_fixture {
    const char *name;
    const struct cdc_sink_ops *ops;
    void (*up)(struct cdc_settings **ret);
    void (*down)(void);
};

/* cmocka group runs; the number of failed tests. */
int source_contract(const struct source_fixture *fix);
int sink_contract(const struct sink_fixture *fix);

#endif
