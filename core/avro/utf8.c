/* utf8.c - see avro/utf8.h. */
#include "avro/utf8.h"

size_t cdc_utf8_len(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) /* overlong, surrogate */
        return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

struct cdc_slice cdc_utf8_cut(struct cdc_slice text, uint32_t limit)
{
    if (text.len <= limit) /* no character is shorter than a byte */
        return text;
    size_t at = 0;
    for (uint32_t n = 0; n < limit && at < text.len; n++) {
        size_t len = cdc_utf8_len(text.p + at, text.len - at);
        at += len ? len : 1;
    }
    return cdc_slice_of(text.p, at);
}
