/*
 * hstore.c - the text of hstore -> a JSON object of strings and nulls, in hstore's own order.
 *
 *   hstore   "key"=>"value", "key"=>NULL      strings escape " and \ by a backslash, as JSON does
 *
 * hstore's oid differs from database to database, and domains over json and over hstore are alike
 * to us; so the text decides: no JSON text is empty, and in none does => stand behind the first
 * string. The string's bytes stay as they are but for control characters, which JSON escapes. The
 * first walk measures, the second writes.
 */
#include "types.h"

#include <stdio.h>

/* Reads from p; writes to `to`, or only counts where that is NULL. */
struct pass {
    const uint8_t *p, *end;
    uint8_t *to;
    size_t n;
};

static void put(struct pass *pass, const char *bytes, size_t n)
{
    if (pass->to)
        memcpy(pass->to + pass->n, bytes, n);
    pass->n += n;
}

static bool word(struct pass *pass, const char *what)
{
    size_t n = strlen(what);
    if ((size_t)(pass->end - pass->p) < n || memcmp(pass->p, what, n) != 0)
        return false;
    pass->p += n;
    return true;
}

static void put_character(struct pass *pass, uint8_t byte)
{
    char text[8] = {(char)byte};
    put(pass, text, byte >= 0x20 ? 1 : (size_t)snprintf(text, sizeof text, "\\u%04x", byte));
}

/* One string, quotes included. */
static bool string(struct pass *pass)
{
    if (!word(pass, "\""))
        return false;
    put(pass, "\"", 1);
    while (pass->p < pass->end && *pass->p != '"') {
        if (*pass->p == '\\') {
            put(pass, "\\", 1);
            if (++pass->p == pass->end || (*pass->p != '"' && *pass->p != '\\'))
                return false;
        }
        put_character(pass, *pass->p++);
    }
    put(pass, "\"", 1);
    return word(pass, "\"");
}

static bool pair(struct pass *pass)
{
    if (!string(pass) || !word(pass, "=>"))
        return false;
    put(pass, ":", 1);
    if (!word(pass, "NULL"))
        return string(pass);
    put(pass, "null", 4);
    return true;
}

static bool object(struct pass *pass)
{
    put(pass, "{", 1);
    while (pass->p < pass->end) {
        if (pass->n > 1) {
            if (!word(pass, ", "))
                return false;
            put(pass, ",", 1);
        }
        if (!pair(pass))
            return false;
    }
    put(pass, "}", 1);
    return true;
}

/* Empty, or => behind the string that it begins with. */
static bool is_hstore(const uint8_t *text, size_t len)
{
    size_t i = 1;
    if (len == 0 || text[0] != '"')
        return len == 0;
    for (; i < len && text[i] != '"'; i++)
        i += text[i] == '\\';
    return i < len && len - i >= 3 && text[i + 1] == '=' && text[i + 2] == '>';
}

int pgs_unpack_json(struct pgs_memory *mem, uint8_t *text, size_t len, struct cdc_value *ret)
{
    *ret = (struct cdc_value){.kind = CDC_JSON, .len = (uint32_t)len, .p = text};
    if (!is_hstore(text, len))
        return CDC_OK;
    struct pass count = {.p = text, .end = text + len};
    if (!object(&count))
        return CDC_FAIL;
    struct pass out = {.p = text, .end = text + len, .to = pgs_memory_take(mem, count.n)};
    if (!out.to || count.n > UINT32_MAX)
        return CDC_FULL;
    (void)object(&out); /* as the first time */
    ret->p = out.to;
    ret->len = (uint32_t)out.n;
    return CDC_OK;
}
