/*
 * crc32c.c - CRC-32C, reflected polynomial 0x82f63b78, initial value and final xor all ones.
 * Both ways give the same sum; tests/unit/test_postgres_decode.c compares them with RFC 3720 B.4.
 */
#include "cdc/crc32c.h"

#include <string.h>

/* One bit at a time, four bits in a table: slow, and only for processors without the instruction.
 */
static uint32_t soft(uint32_t crc, const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                        0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (; n; n--, p++) {
        crc = crc >> 4 ^ nibble[(crc ^ *p) & 15];
        crc = crc >> 4 ^ nibble[(crc ^ *p >> 4) & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t hard(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t sum = crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    for (; n; n--, p++)
        sum = __builtin_ia32_crc32qi((uint32_t)sum, *p);
    return (uint32_t)sum;
}

static uint32_t update(uint32_t crc, const uint8_t *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? hard(crc, p, n) : soft(crc, p, n);
}
#else
static uint32_t update(uint32_t crc, const uint8_t *p, size_t n)
{
    return soft(crc, p, n);
}
#endif

uint32_t cdc_crc32c(uint32_t crc, const void *p, size_t n)
{
    return ~update(~crc, p, n);
}
