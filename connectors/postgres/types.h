/*
 * types.h - PostgreSQL's types: which kind of value each is, how it is printed, how its text is
 * read.
 *
 * The one table is in types.c. A type that is not in it is text in the database's own form, which
 * loses nothing. Parsers work in place: they may write over the text they are given, and the value
 * they make may point into it. Pure; no I/O.
 *
 * Arrays and hstore need memory of their own beside the text: pgs_unpack (arrays.c, hstore.c).
 */
#ifndef PGS_TYPES_H
#define PGS_TYPES_H

#include "cdc/table.h"

struct pgs_type;

/* NULL: not in the table. */
const struct pgs_type *pgs_type_by_oid(uint32_t oid);
/* The items' type of a built-in array type; NULL: no array, or of items not in the table. */
const struct pgs_type *pgs_type_of_items(uint32_t array_oid);
/* By pg_type.typname in pg_catalog: numeric, int4, ... */
const struct pgs_type *pgs_type_by_name(const char *typname);

/* Sets kind, bits, precision and scale of *ret. type NULL: text. */
void pgs_type_apply(const struct pgs_type *type, int32_t typmod, struct cdc_column *ret);
/* The same for an array of it. */
void pgs_type_apply_array(const struct pgs_type *items, int32_t typmod, struct cdc_column *ret);

/* As format_type prints it: numeric(10,2), timestamp(3) without time zone. */
void pgs_type_print(const struct pgs_type *type, int32_t typmod, char *ret, size_t size);

/*
 * Reads the text of a value of the column. CDC_OK, also with kind CDC_INVALID (infinity, NaN in a
 * decimal, a year outside 1 to 9999). CDC_FAIL: no text that the type prints.
 */
typedef int (*pgs_parse)(const struct cdc_column *col, uint8_t *text, size_t len,
                         struct cdc_value *ret);
/* The parser for values of the column; NULL: they are unpacked (pgs_unpack). */
pgs_parse pgs_parser(const struct cdc_column *col);

/* What a row's arrays may take; `left` becomes less. */
struct pgs_memory {
    struct cdc_arena *arena;
    size_t left;
};

/*
 * Reads the text of any column's value; where pgs_parser gives NULL, the value may lie in the
 * memory. As pgs_parse; CDC_FULL: there is not enough of the memory.
 *
 * An array that is not one-dimensional from 1 on, or has an item that the items' kind cannot hold,
 * is CDC_INVALID with its whole text. JSON of a type that is not built in (hstore, a domain) may be
 * hstore's text, which becomes a JSON object of strings and nulls; the two cannot be confused.
 */
int pgs_unpack(const struct cdc_column *col, struct pgs_memory *mem, uint8_t *text, size_t len,
               struct cdc_value *ret);

/* hstore.c: JSON stays as it is, hstore becomes JSON. */
int pgs_unpack_json(struct pgs_memory *mem, uint8_t *text, size_t len, struct cdc_value *ret);
/* n bytes of it; NULL: not enough. */
void *pgs_memory_take(struct pgs_memory *mem, size_t n);

#endif
