/*
 * values.h - the readers of values that the table in types.c names; mys_parse in types.h says how
 * they are called.
 */
#ifndef MYS_VALUES_H
#define MYS_VALUES_H

#include "temporal.h"
#include "types.h"

/* Dates and times, checked by whoever read them; CDC_INVALID, or text, as the server prints them.
 */
int mys_put_date(const struct mys_field *field, const struct mys_time *t, struct cdc_arena *arena,
                 struct cdc_value *ret);
int mys_put_time(const struct mys_field *field, const struct mys_time *t, struct cdc_arena *arena,
                 struct cdc_value *ret);
int mys_put_datetime(const struct mys_field *field, const struct mys_time *t,
                     struct cdc_arena *arena, struct cdc_value *ret);
/* us: 0 is the zero timestamp. */
int mys_put_timestamp(const struct mys_field *field, int64_t us, struct cdc_arena *arena,
                      struct cdc_value *ret);
/*
 * A string of the column's charset, however it came: text, JSON, bytes where the charset is none,
 * CDC_INVALID ("0x..") where the bytes are not of it. Lent where it can be. CDC_FULL: no memory.
 */
int mys_put_text(const struct mys_field *field, struct cdc_slice bytes, struct cdc_arena *arena,
                 struct cdc_value *ret);
/* The document that becomes of `doc` by the differences (json_diff.h). */
int mys_put_json_diff(const struct mys_field *field, struct cdc_slice doc, struct cdc_slice diffs,
                      struct cdc_arena *arena, struct cdc_value *ret);

#define MYS_PARSER(name)                                                                           \
    int name(const struct mys_field *field, struct cdc_reader *rd, struct cdc_arena *arena,        \
             struct cdc_value *ret)

MYS_PARSER(mys_parse_tiny);
MYS_PARSER(mys_parse_short);
MYS_PARSER(mys_parse_int24);
MYS_PARSER(mys_parse_long);
MYS_PARSER(mys_parse_longlong);
MYS_PARSER(mys_parse_year);
MYS_PARSER(mys_parse_float);
MYS_PARSER(mys_parse_double);
MYS_PARSER(mys_parse_decimal);
MYS_PARSER(mys_parse_bit);
MYS_PARSER(mys_parse_date);
MYS_PARSER(mys_parse_time2);
MYS_PARSER(mys_parse_time_old);
MYS_PARSER(mys_parse_datetime2);
MYS_PARSER(mys_parse_datetime_old);
MYS_PARSER(mys_parse_timestamp2);
MYS_PARSER(mys_parse_timestamp_old);
MYS_PARSER(mys_parse_string);
MYS_PARSER(mys_parse_compressed);
MYS_PARSER(mys_parse_bytes);
MYS_PARSER(mys_parse_binary);
MYS_PARSER(mys_parse_enum);
MYS_PARSER(mys_parse_set);
MYS_PARSER(mys_parse_json);
MYS_PARSER(mys_parse_vector);

#endif
