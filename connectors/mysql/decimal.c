/*
 * decimal.c - see decimal.h. A group above its number of digits is malformed, not carried over.
 * MySQL goes to a scale of 30, MariaDB to one of 38.
 */
#include "decimal.h"

#include "cdc/decimal.h"

#include <stdio.h>

#define GROUPS_MAX 12 /* of 65 digits, both ends cut */

static const uint8_t bytes_of[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32_t powers[] = {1,      10,      100,      1000,      10000,
                                  100000, 1000000, 10000000, 100000000, 1000000000};

struct groups {
    bool minus;
    unsigned n;
    uint32_t value[GROUPS_MAX];
    uint8_t digits[GROUPS_MAX];
};

bool mys_decimal_type(unsigned precision, unsigned scale)
{
    return precision >= 1 && precision <= 65 && scale <= 38 && scale <= precision;
}

size_t mys_decimal_size(unsigned precision, unsigned scale)
{
    unsigned whole = precision - scale;
    return whole / 9 * 4 + bytes_of[whole % 9] + scale / 9 * 4 + bytes_of[scale % 9];
}

static void split(unsigned precision, unsigned scale, struct groups *ret)
{
    unsigned whole = precision - scale;
    ret->n = 0;
    if (whole % 9)
        ret->digits[ret->n++] = (uint8_t)(whole % 9);
    for (unsigned i = 0; i < whole / 9 + scale / 9; i++)
        ret->digits[ret->n++] = 9;
    if (scale % 9)
        ret->digits[ret->n++] = (uint8_t)(scale % 9);
}

static uint32_t group_of(const uint8_t *p, unsigned bytes)
{
    switch (bytes) {
    case 1: return p[0];
    case 2: return (uint32_t)p[0] << 8 | p[1];
    case 3: return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    default: return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
}

/* The first bit is inverted, and of a negative number all. false: malformed. */
static bool read_groups(struct cdc_reader *rd, unsigned precision, unsigned scale,
                        struct groups *ret)
{
    const uint8_t *p = cdc_read_raw(rd, mys_decimal_size(precision, scale));
    if (!p)
        return false;
    split(precision, scale, ret);
    ret->minus = !(p[0] & 0x80);
    for (unsigned i = 0; i < ret->n; i++) {
        unsigned bytes = bytes_of[ret->digits[i]], spare = 32 - 8 * bytes;
        uint32_t val = group_of(p, bytes);
        if (ret->minus)
            val ^= UINT32_MAX >> spare;
        if (i == 0)
            val ^= UINT32_C(0x80000000) >> spare;
        if (val >= powers[ret->digits[i]])
            return false;
        ret->value[i] = val;
        p += bytes;
    }
    return true;
}

size_t mys_read_decimal(struct cdc_reader *rd, unsigned precision, unsigned scale, uint8_t ret[16])
{
    struct groups g;
    if (!read_groups(rd, precision, scale, &g)) {
        rd->failed = true;
        return 0;
    }
    if (precision <= 18) {
        int64_t val = 0;
        for (unsigned i = 0; i < g.n; i++)
            val = val * powers[g.digits[i]] + g.value[i];
        return cdc_decimal_put(g.minus ? -val : val, ret);
    }
    cdc_int128 val = 0;
    for (unsigned i = 0; i < g.n; i++)
        val = val * powers[g.digits[i]] + g.value[i];
    return cdc_decimal_put(g.minus ? -val : val, ret);
}

size_t mys_read_decimal_text(struct cdc_reader *rd, unsigned precision, unsigned scale,
                             char ret[MYS_DECIMAL_TEXT])
{
    struct groups g;
    char digits[GROUPS_MAX * 9 + 1] = "";
    size_t n = 0, from = 0;
    if (!read_groups(rd, precision, scale, &g)) {
        rd->failed = true;
        return 0;
    }
    for (unsigned i = 0; i < g.n; i++)
        n += (size_t)snprintf(digits + n, 10, "%0*u", g.digits[i], g.value[i]);
    size_t whole = n - scale;
    while (from + 1 < whole && digits[from] == '0')
        from++;
    return (size_t)snprintf(ret, MYS_DECIMAL_TEXT, "%s%s%.*s%s%s", g.minus ? "-" : "",
                            whole ? "" : "0", (int)(whole - from), digits + from, scale ? "." : "",
                            digits + whole);
}
