/*
 * crc32c.h - CRC-32C (Castagnoli), chained: the guard of a position inside a transaction.
 * A source chains it over the raw rows it has emitted of an open transaction and compares it when
 * it reads them again. Uses the processor's instruction where there is one. Threads: any.
 */
#ifndef CDC_CRC32C_H
#define CDC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The sum of all before (0 at the start) and of the n bytes. */
uint32_t cdc_crc32c(uint32_t crc, const void *p, size_t n);

#endif
