/*
 * charset.h - the charsets of MySQL and MariaDB, by collation id, and the way to UTF-8.
 *
 * Single-byte charsets go by tables made out of the servers' own conversions, Unicode ones by hand,
 * the multi-byte ones of East Asia by iconv. Bytes that the charset does not have are refused, not
 * replaced. Text that is ASCII in a charset that contains ASCII, and UTF-8, is lent and not copied.
 *
 * Threads: a mys_recode belongs to one thread at a time.
 */
#ifndef MYS_CHARSET_H
#define MYS_CHARSET_H

#include "cdc/buf.h"

struct mys_charset {
    const char *name;
    uint8_t max_bytes;    /* of a character */
    bool ascii;           /* bytes below 0x80 are ASCII, and nothing else is */
    uint8_t how;          /* charset.c's */
    const uint16_t *high; /* single-byte: 0x80 to 0xff */
    const uint16_t *low;  /* single-byte: 0x00 to 0x7f, NULL: ASCII */
    const char *iconv_name;
};

/* NULL: an unknown id. `binary` (63) is a charset too. */
const struct mys_charset *mys_charset_by_id(uint32_t collation);
bool mys_charset_binary(const struct mys_charset *set);

bool mys_utf8_valid(struct cdc_slice text);
/* The character at p, of n > 0 bytes that are there, and how many it has; 0: there is none. */
unsigned mys_utf8_take(const uint8_t *p, size_t n, uint32_t *ret);
size_t mys_utf8_put(uint8_t *to, uint32_t c); /* up to 4 bytes */

struct mys_recode {
    const struct mys_charset *set;
    void *iconv; /* iconv_t, or NULL */
};

/* CDC_FAIL: iconv does not know the charset here (CDC_OPERATOR). */
CDC_CHECK int mys_recode_init(struct mys_recode *recode, const struct mys_charset *set,
                              struct cdc_error *err);
void mys_recode_done(struct mys_recode *recode);

/*
 * The text as UTF-8, lent or in the arena. CDC_END: bytes that the charset does not have. CDC_FULL:
 * no memory.
 */
CDC_CHECK int mys_recode(const struct mys_recode *recode, struct cdc_slice text,
                         struct cdc_arena *arena, struct cdc_slice *ret);

#endif
