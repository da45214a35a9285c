/*
 * infotype.h - a column in the words of information_schema.COLUMNS -> the column as a table map
 * with FULL metadata has it, so that copies and the stream describe a table by the same code
 * (coltype.h). Pure; no I/O.
 */
#ifndef MYS_INFOTYPE_H
#define MYS_INFOTYPE_H

#include "decode.h"

/* A row of information_schema.COLUMNS. */
struct mys_info_row {
    const char *name, *type, *extra; /* COLUMN_NAME, COLUMN_TYPE, EXTRA */
    uint32_t collation;              /* id; 0: none */
    bool nullable;
};

/*
 * Key and labels are left out: the key is not said there, and labels of an ENUM or SET are best
 * read from COLUMN_TYPE itself, which struct mys_info has. CDC_END: a type that we do not know.
 */
CDC_CHECK int mys_map_column_of(const struct mys_info_row *row, bool mariadb,
                                struct mys_map_column *ret);

/* MariaDB: does this CHECK_CLAUSE say that the column holds JSON, and nothing else? */
bool mys_check_is_json(const char *clause, const char *column);

/* Has this CREATE TABLE of SHOW a foreign key that changes or deletes rows of the table? */
bool mys_create_cascades(const char *create);

#endif
