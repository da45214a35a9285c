/*
 * types.h - PostgreSQL's types: which kind of value each is, how it is printed, how its text is
 * read.
 *
 * The one table is in types.c. A type that is not in it is text in the database's own form, which
 * loses nothing. Parsers work in place: they may write over the text they are given, and the value
 * they make may point into it. Pure; no I/O.
 */
#ifndef PGS_TYPES_H
#define PGS_TYPES_H

#include "cdc/table.h"

struct pgs_type;

/* NULL: not in the table. */
const struct pgs_type *pgs_type_by_oid(uint32_t oid);
/* By pg_type.typname in pg_catalog: numeric, int4, ... */
const struct pgs_type *pgs_type_by_name(const char *typname);

/* Sets kind, bits, precision and scale of *ret. type NULL: text. */
void pgs_type_apply(const struct pgs_type *type, int32_t typmod, struct cdc_column *ret);

/* As format_type prints it: numeric(10,2), timestamp(3) without time zone. */
void pgs_type_print(const struct pgs_type *type, int32_t typmod, char *ret, size_t size);

/*
 * Reads the text of a value of the column. CDC_OK, also with kind CDC_INVALID (infinity, NaN in a
 * decimal, a year outside 1 to 9999). CDC_FAIL: no text that the type prints.
 */
typedef int (*pgs_parse)(const struct cdc_column *col, uint8_t *text, size_t len,
                         struct cdc_value *ret);
/* The parser for values of the column's kind; never NULL. */
pgs_parse pgs_parser(const struct cdc_column *col);

#endif
