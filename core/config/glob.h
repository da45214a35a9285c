/*
 * glob.h - names by pattern: * any characters, ? one character, [a-z] one of a set ([!...] none of
 * it), \ takes the next character as it is. Bytes are UTF-8: ? and sets match whole characters.
 * Upper and lower case differ. Unlike fnmatch(3) it does not depend on the locale.
 */
#ifndef CDC_CONFIG_GLOB_H
#define CDC_CONFIG_GLOB_H

#include <stdbool.h>

/* NULL, or what is wrong with the pattern: a set without its end, a backslash before nothing. */
const char *cdc_glob_error(const char *pattern);
/* Is it a plain name, without * ? [? If so, its backslashes are taken out in place. */
bool cdc_glob_plain(char *pattern);
/* pattern must be without error. */
bool cdc_glob_match(const char *pattern, const char *text);

#endif
