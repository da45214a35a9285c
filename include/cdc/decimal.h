/*
 * decimal.h - an unscaled decimal as a CDC_DECIMAL has it: the shortest two's complement, big
 * endian. Threads: any. Nothing fails.
 */
#ifndef CDC_DECIMAL_H
#define CDC_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 cdc_int128;

/*
 * Writes 1 to 16 bytes and no more than it returns. d decimal digits never need more than d bytes
 * (one digit one byte, each further one less than half a byte), so that a number may be written
 * over the text that it was read from.
 */
size_t cdc_decimal_put(cdc_int128 val, uint8_t *ret);

#endif
