/*
 * types.h - MySQL's and MariaDB's types: which kind of value each is, how it is printed, how the
 * bytes of a row image are read.
 *
 * The one table is in types.c. What a column is comes from the table map and information_schema
 * (coltype.h) and is put into a struct mys_field, from which each value is read without a look
 * back. Pure; no I/O.
 *
 * Values point into the bytes given where the bytes are the value, else into the arena.
 */
#ifndef MYS_TYPES_H
#define MYS_TYPES_H

#include "cdc/reader.h"
#include "cdc/table.h"

#include "charset.h"

enum mys_type_code {
    MYS_TINY = 1,
    MYS_SHORT = 2,
    MYS_LONG = 3,
    MYS_FLOAT = 4,
    MYS_DOUBLE = 5,
    MYS_TIMESTAMP = 7, /* the old form, without fraction; likewise DATETIME and TIME */
    MYS_LONGLONG = 8,
    MYS_INT24 = 9,
    MYS_DATE = 10,
    MYS_TIME = 11,
    MYS_DATETIME = 12,
    MYS_YEAR = 13,
    MYS_VARCHAR = 15,
    MYS_BIT = 16,
    MYS_TIMESTAMP2 = 17,
    MYS_DATETIME2 = 18,
    MYS_TIME2 = 19,
    MYS_BLOB_COMPRESSED = 140,    /* MariaDB */
    MYS_VARCHAR_COMPRESSED = 141, /* MariaDB */
    MYS_VECTOR = 242,             /* MySQL */
    MYS_JSON = 245,               /* MySQL */
    MYS_NEWDECIMAL = 246,
    MYS_ENUM = 247,
    MYS_SET = 248,
    MYS_BLOB = 252,
    MYS_VAR_STRING = 253,
    MYS_STRING = 254,
    MYS_GEOMETRY = 255,
};

/* Bytes of metadata in a table map, -1: an unknown type. */
int mys_type_meta(uint8_t type);
/* ENUM and SET hide in a STRING's metadata. */
uint8_t mys_real_type(uint8_t type, uint16_t meta);

/* What only information_schema knows of a column whose bytes look like another type's. */
enum mys_face {
    MYS_PLAIN,
    MYS_FACE_UUID,
    MYS_FACE_INET4,
    MYS_FACE_INET6,
    MYS_FACE_JSON,
    MYS_FACE_VECTOR, /* MariaDB's, in VARBINARY */
};

struct mys_field;
typedef int (*mys_parse)(const struct mys_field *field, struct cdc_reader *rd,
                         struct cdc_arena *arena, struct cdc_value *ret);

struct mys_field {
    /*
     * Reads one value that is not NULL. CDC_OK, also with kind CDC_INVALID (zero date, a time above
     * a day). CDC_FAIL: malformed; CDC_FULL: no memory. A read past the end shows in rd->failed.
     */
    mys_parse parse;
    uint8_t type; /* real type */
    uint8_t face; /* mys_face */
    bool is_unsigned;
    bool text; /* dates and times: as text, as the server prints it (on_invalid: string) */
    uint16_t meta;
    uint8_t prefix;           /* bytes of the length before the value; 0: none */
    uint8_t fixed;            /* bytes of every value, where there is no prefix */
    uint32_t size;            /* STRING: bytes of its declaration, to which BINARY is padded */
    struct mys_recode recode; /* text: from the column's charset */
    const struct cdc_slice *labels; /* ENUM, SET: UTF-8 */
    uint32_t n_labels;
    size_t max; /* of a value that must be unpacked */
};

/* What the field's description needs; see coltype.h, which makes it. */
struct mys_type_spec {
    uint8_t type; /* on the wire */
    uint16_t meta;
    bool is_unsigned;
    enum mys_face face;
    const struct mys_charset *charset; /* NULL: none, bytes */
    int16_t geometry;
    uint32_t dimension;
    size_t max;
};

/*
 * Sets *field but for labels and recode, and kind, bits, precision, scale, item of *col. CDC_END: a
 * type that we do not know.
 */
CDC_CHECK int mys_type_apply(const struct mys_type_spec *spec, struct mys_field *field,
                             struct cdc_column *col);

/* Reads over a value. */
static inline void mys_field_skip(const struct mys_field *field, struct cdc_reader *rd)
{
    size_t n = field->fixed;
    if (field->prefix)
        for (unsigned i = 0; i < field->prefix; i++)
            n |= (size_t)cdc_read_u8(rd) << (8 * i);
    cdc_read_raw(rd, n);
}

/* As information_schema.COLUMN_TYPE of MySQL 9 does, ENUM and SET without their labels: "int
 * unsigned", "varchar(64)", "datetime(6)". */
void mys_type_print(const struct mys_type_spec *spec, char *ret, size_t size);

/* Does a COLUMN_TYPE of either server ("int(10) unsigned") name that type? */
bool mys_type_fits(const struct mys_type_spec *spec, const char *column_type);

#endif
