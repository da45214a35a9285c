/*
 * values.h - the readers of values that the table in types.c names; mys_parse in types.h says how
 * they are called.
 */
#ifndef MYS_VALUES_H
#define MYS_VALUES_H

#include "types.h"

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
