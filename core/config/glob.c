/*
 * glob.c - matching with one place to come back to: after a mismatch only the last `*` has to take
 * one character more (an earlier one never needs to), so the worst case is pattern times text.
 */
#include "config/glob.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One UTF-8 character; a byte that begins none stands for itself. */
static uint32_t take_char(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    int more = p[0] >= 0xF0 ? 3 : p[0] >= 0xE0 ? 2 : p[0] >= 0xC0 ? 1 : 0;
    uint32_t c = more ? p[0] & (0x3Fu >> more) : p[0];
    int i = 1;
    for (; i <= more && (p[i] & 0xC0) == 0x80; i++)
        c = c << 6 | (p[i] & 0x3Fu);
    if (i <= more) { /* cut short: the bytes one by one, above all characters */
        c = 0x110000u + p[0];
        i = 1;
    }
    *text += i;
    return c;
}

/* One character of a set, which may be escaped. */
static uint32_t take_member(const char **set)
{
    if (**set == '\\' && (*set)[1])
        (*set)++;
    return take_char(set);
}

/* *set points behind the `[`; afterwards behind the `]`. */
static bool take_set(const char **set, uint32_t c)
{
    bool negated = **set == '!' || **set == '^', found = false, first = true;
    if (negated)
        (*set)++;
    for (; first || **set != ']'; first = false) {
        uint32_t from = take_member(set), to = from;
        if (**set == '-' && (*set)[1] != ']') {
            (*set)++;
            to = take_member(set);
        }
        found |= from <= c && c <= to;
    }
    (*set)++;
    return found != negated;
}

/* Does the pattern's next element, not a `*`, take the text's next character? Moves both. */
static bool take_one(const char **pattern, const char **text)
{
    uint32_t c = take_char(text);
    const char *p = *pattern;
    bool ok;
    if (*p == '?') {
        ok = true;
        p++;
    } else if (*p == '[') {
        p++;
        ok = take_set(&p, c);
    } else {
        ok = take_member(&p) == c;
    }
    *pattern = p;
    return ok;
}

bool cdc_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *star_text = NULL;
    while (*text || *pattern) {
        if (*pattern == '*') {
            star = ++pattern;
            star_text = text;
        } else if (!*pattern || !*text || !take_one(&pattern, &text)) {
            if (!star || !*star_text)
                return false;
            take_char(&star_text);
            pattern = star;
            text = star_text;
        }
    }
    return true;
}

/* *p points behind the `[`; false if no `]` ends the set. */
static bool skip_set(const char **p)
{
    if (**p == '!' || **p == '^')
        (*p)++;
    bool first = true;
    for (; **p && (first || **p != ']'); first = false)
        take_member(p);
    return *(*p)++ == ']';
}

const char *cdc_glob_error(const char *pattern)
{
    for (const char *p = pattern; *p;) {
        if (*p == '\\' && !p[1])
            return "ends in a backslash";
        if (*p == '\\') {
            p += 2;
        } else if (*p++ == '[' && !skip_set(&p)) {
            return "has a [ without its ]";
        }
    }
    return NULL;
}

bool cdc_glob_plain(char *pattern)
{
    char *to = pattern;
    for (const char *p = pattern; *p; p += 1 + (*p == '\\' && p[1]))
        if (strchr("*?[", *p))
            return false;
    for (const char *p = pattern; *p; p++) {
        p += *p == '\\' && p[1];
        *to++ = *p;
    }
    *to = 0;
    return true;
}
