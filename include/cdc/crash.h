/*
 * crash.h - named points at which a test lets the program die.
 *
 * CDC_POINT("lake.before_commit") costs one predictable branch. With SIDESTREAM_CRASH=name or
 * name:n in the environment the program kills itself with SIGKILL at the n-th passage (n from 1,
 * default 1). The names in use are found with grep; tests/integration lists the ones it kills at,
 * and a test compares the two. Threads: any.
 */
#ifndef CDC_CRASH_H
#define CDC_CRASH_H

#include <stdbool.h>

extern bool cdc_crash_armed; /* set once, before threads start */
void cdc_crash_init(void);   /* reads the environment */
void cdc_crash_at(const char *name);

#define CDC_POINT(name)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(cdc_crash_armed, 0))                                                  \
            cdc_crash_at(name);                                                                    \
    } while (0)

#endif
