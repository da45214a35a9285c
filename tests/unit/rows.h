/*
 * rows.h - a table of rows as cmocka tests, each named by its row (whose first member is its name).
 */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include "cm.h"

static inline struct CMUnitTest *cm_rows(struct CMUnitTest *to, CMUnitTestFunction fn,
                                         const void *rows, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * size;
        *to++ = (struct CMUnitTest){.name = *(const char *const *)(const void *)row,
                                    .test_func = fn,
                                    .initial_state = (void *)(uintptr_t)row};
    }
    return to;
}

#define CM_COUNT(rows)        (sizeof(rows) / sizeof *(rows))
#define CM_ROWS(to, fn, rows) cm_rows(to, fn, rows, CM_COUNT(rows), sizeof *(rows))

#endif
