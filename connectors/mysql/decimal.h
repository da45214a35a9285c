/*
 * decimal.h - DECIMAL(p, s) in binary, as in row images and in JSON. MySQL source,
 * strings/decimal.cc (decimal2bin).
 *
 * Groups of nine digits lie big-endian in four bytes, the groups at both outer ends may be shorter
 * (1-2 digits a byte, 3-4 two, 5-6 three, 7-9 four). The first bit is inverted; of a negative
 * number all bits are.
 */
#ifndef MYS_DECIMAL_H
#define MYS_DECIMAL_H

#include "cdc/reader.h"

#define MYS_DECIMAL_TEXT 72 /* 65 digits, sign, point, a zero before it, NUL */

/* Can there be such a type? */
bool mys_decimal_type(unsigned precision, unsigned scale);
size_t mys_decimal_size(unsigned precision, unsigned scale);

/*
 * The unscaled value as the shortest two's complement, big-endian; returns its length. 0: malformed
 * (also rd->failed). precision at most 38.
 */
size_t mys_read_decimal(struct cdc_reader *rd, unsigned precision, unsigned scale, uint8_t ret[16]);
/* As the servers print it: "-0.50". Returns its length; 0: malformed. */
size_t mys_read_decimal_text(struct cdc_reader *rd, unsigned precision, unsigned scale,
                             char ret[MYS_DECIMAL_TEXT]);

#endif
