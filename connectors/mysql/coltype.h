/*
 * coltype.h - what the columns of a table are, out of its table map and information_schema.
 *
 * With binlog_row_metadata=FULL the map says nearly all, and says it as of its place in the log.
 * information_schema shows today; from it comes what no map has (defaults; MariaDB's UUID, INET4,
 * INET6 and JSON), and with MINIMAL or NO_LOG names, keys and labels too. A column of it counts
 * only where its name (without names: its place) and its type agree with the map.
 *
 * Ownership: a shape owns all it points to. Threads: one.
 */
#ifndef MYS_COLTYPE_H
#define MYS_COLTYPE_H

#include "decode.h"
#include "types.h"

struct mys_info_column {
    const char *name;
    const char *type;   /* COLUMN_TYPE */
    const char *dflt;   /* COLUMN_DEFAULT, or NULL */
    uint32_t collation; /* id; 0: none */
    uint16_t key;       /* place in the primary key */
    bool json;          /* MariaDB: a CHECK says json_valid */
};

struct mys_info {
    uint32_t n;
    const struct mys_info_column *cols; /* by ORDINAL_POSITION */
    bool final; /* it was read for this very map: it will not become better by reading again */
};

struct mys_shape {
    uint32_t n;
    struct mys_field *fields;
    struct cdc_column *cols;
    uint32_t *invisible; /* indexes of the columns that SELECT * does not show; n_invisible */
    uint32_t n_invisible;
    struct cdc_arena *arena;
};

/*
 * info NULL: nothing is known. `max`: of a value that must be unpacked. CDC_AGAIN: info does not
 * fit and is not final; read it again. CDC_FAIL: refused (CDC_OPERATOR): more columns than there
 * may be, a type that cannot be read, names that nothing tells.
 */
CDC_CHECK int mys_shape_new(const struct mys_map_columns *map, const struct mys_info *info,
                            size_t max, struct mys_shape **ret, struct cdc_error *err);
void mys_shape_free(struct mys_shape *shape); /* NULL is fine */

/*
 * The fields alone, in the arena, for mys_rows_count: any number of columns, no names, no charsets.
 * CDC_END: a type that we do not know.
 */
CDC_CHECK int mys_fields_bare(const struct mys_map_columns *map, struct cdc_arena *arena,
                              struct mys_field **ret, struct cdc_error *err);

#endif
