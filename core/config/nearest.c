/*
 * nearest.c - edit distance (optimal string alignment), three rows of the matrix at a time.
 */
#include "config/nearest.h"

#include <stdbool.h>
#include <string.h>

#define WORD_MAX 64 /* longer words get no hint */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void cdc_nearest_try(struct cdc_nearest *near, const char *name)
{
    size_t len = strlen(near->word), name_len = strlen(name), shorter = least(len, name_len);
    if (len > WORD_MAX || name_len > WORD_MAX)
        return;
    bool begins = shorter >= 3 && strncmp(near->word, name, shorter) == 0;
    size_t edits = distance(near->word, name), bound = len / 3 ? len / 3 : 1;
    if (begins)
        edits = least(edits, bound);
    if (edits > bound || edits >= name_len)
        return;
    if (!near->best || edits < near->edits) {
        near->best = name;
        near->edits = edits;
    }
}
