/*
 * nearest.h - the known name that an unknown one was probably meant to be.
 *
 * One edit is a letter put in, left out, changed, or two neighbours swapped. A third of the word's
 * letters may be wrong, at least one; a word that is the beginning of a name (three letters), or
 * begins with a whole name, counts as near too.
 *
 *     struct cdc_nearest near = {.word = word};
 *     for each name: cdc_nearest_try(&near, name);
 *     near.best is NULL if none is near.
 */
#ifndef CDC_CONFIG_NEAREST_H
#define CDC_CONFIG_NEAREST_H

#include <stddef.h>

struct cdc_nearest {
    const char *word;
    const char *best;
    size_t edits;
};

void cdc_nearest_try(struct cdc_nearest *near, const char *name);

#endif
