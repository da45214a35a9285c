/*
 * text.h - a field of a text-protocol row as the value that the log's reader (values.h) gives for
 * the same column. Pure; for copies and views.
 *
 * The session must have time_zone '+00:00' and character_set_results NULL, so that strings come as
 * they are stored, in their column's own charset; and each column must be asked for by
 * mys_text_select, since the server rounds floats where they stand alone.
 *
 * Values are numbers, or lie in the arena: nothing points to the field given.
 */
#ifndef MYS_TEXT_H
#define MYS_TEXT_H

#include "types.h"

/*
 * CDC_OK, also with CDC_INVALID (as mys_parse). CDC_FAIL: no text of that type. CDC_FULL: no
 * memory.
 */
typedef int (*mys_text)(const struct mys_field *field, struct cdc_slice text,
                        struct cdc_arena *arena, struct cdc_value *ret);

/* NULL: a type that we do not know. */
mys_text mys_text_of(const struct mys_field *field);

/* The column as a list of SELECT has it. quoted: its name as SQL writes it. */
void mys_text_select(const struct mys_field *field, const char *quoted, struct cdc_buf *sql);

#endif
