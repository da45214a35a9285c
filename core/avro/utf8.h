/*
 * utf8.h - characters of UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
 *
 * Private to core/. Threads: any (pure functions).
 */
#ifndef CDC_AVRO_UTF8_H
#define CDC_AVRO_UTF8_H

#include "cdc/buf.h"

/* Bytes of the character at p, where n >= 1 bytes are left; 0: there is none. */
size_t cdc_utf8_len(const uint8_t *p, size_t n);

/*
 * The text's first `limit` characters (code points, as SQL's left() counts). Never splits one; a
 * byte that begins none counts as one, so that broken text is not longer than sound text.
 */
struct cdc_slice cdc_utf8_cut(struct cdc_slice text, uint32_t limit);

#endif
