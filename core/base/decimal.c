/* decimal.c - see cdc/decimal.h. */
#include "cdc/decimal.h"

size_t cdc_decimal_put(cdc_int128 val, uint8_t *ret)
{
    size_t len = 1;
    int64_t low = (int64_t)val;
    if (val == low) { /* as nearly always: in 64 bits, which are several times as fast */
        len = (size_t)(71 - __builtin_clrsbll(low)) / 8;
        for (size_t i = 0; i < len; i++)
            ret[i] = (uint8_t)(low >> ((len - 1 - i) * 8));
        return len;
    }
    while (len < 16 && (val >> (len * 8 - 1)) != 0 && (val >> (len * 8 - 1)) != -1)
        len++;
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(val >> ((len - 1 - i) * 8));
    return len;
}
