/*
 * arrays.c - the text of arrays -> values of their items.
 *
 *   array   [l:u]...= before it where a lower bound is not 1
 *           {item,item,...}   items: a bare word, "quoted" with \" and \\ inside, NULL, or an array
 *
 * Two walks: the first checks the whole text and counts, so that nothing is written over before it
 * is known to be well formed, and the items' memory is taken at once; the second reads the items in
 * place, each by its own type's parser. Only NULL without quotes is null. `{}` is the empty array.
 *
 * An array of several dimensions, or with other bounds than from 1 on, is no Avro array of items,
 * and one with an item that its kind cannot hold would lose it: CDC_INVALID, with the whole text as
 * the server sent it. Of the parsers whose values can be invalid only the decimals' write over
 * their text; before an array of those is read its text is copied if it holds a NaN or Infinity.
 */
#include "types.h"

#define DEPTH_MAX 6 /* PostgreSQL's own limit of dimensions */

struct walk {
    uint8_t *p, *end;
    size_t items; /* at the first depth */
    int depth, deepest;
};

void *pgs_memory_take(struct pgs_memory *mem, size_t n)
{
    void *ret = n <= mem->left ? cdc_arena_alloc(mem->arena, n) : NULL;
    if (ret)
        mem->left -= n;
    return ret;
}

/* Bytes that stand in an item only between quotes. */
static bool is_special(uint8_t byte)
{
    switch (byte) {
    case '"':
    case '\\':
    case '{':
    case '}':
    case ',':
    case ' ':
    case '\t':
    case '\n':
    case '\v':
    case '\f':
    case '\r': return true;
    default: return false;
    }
}

static bool skip(struct walk *at, uint8_t what)
{
    if (at->p == at->end || *at->p != what)
        return false;
    at->p++;
    return true;
}

/* Behind the closing quote; p is behind the opening one. */
static bool skip_quoted(struct walk *at)
{
    while (at->p < at->end && *at->p != '"') {
        if (*at->p == '\\' && (++at->p == at->end || (*at->p != '"' && *at->p != '\\')))
            return false;
        at->p++;
    }
    return skip(at, '"');
}

static bool skip_word(struct walk *at)
{
    const uint8_t *from = at->p;
    while (at->p < at->end && !is_special(*at->p))
        at->p++;
    return at->p > from;
}

static bool skip_array(struct walk *at);

static bool skip_item(struct walk *at)
{
    if (at->p < at->end && *at->p == '{')
        return skip_array(at);
    return skip(at, '"') ? skip_quoted(at) : skip_word(at);
}

/* Depth is bounded, and with it the recursion. */
static bool skip_array(struct walk *at)
{
    if (!skip(at, '{') || ++at->depth > DEPTH_MAX)
        return false;
    if (at->depth > at->deepest)
        at->deepest = at->depth;
    if (at->depth > 1 || at->p == at->end || *at->p != '}')
        do {
            at->items += at->depth == 1;
            if (!skip_item(at))
                return false;
        } while (skip(at, ','));
    at->depth--;
    return skip(at, '}');
}

static bool skip_number(struct walk *at)
{
    skip(at, '-');
    const uint8_t *from = at->p;
    while (at->p < at->end && *at->p >= '0' && *at->p <= '9')
        at->p++;
    return at->p > from;
}

/* [l:u][l:u]= in front. False: it is begun but not like that. */
static bool skip_bounds(struct walk *at)
{
    if (at->p == at->end || *at->p != '[')
        return true;
    while (skip(at, '['))
        if (!skip_number(at) || !skip(at, ':') || !skip_number(at) || !skip(at, ']'))
            return false;
    return skip(at, '=');
}

/* The text of a quoted item, its escapes taken out in place; p is behind the opening quote. */
static struct cdc_slice unquote(struct walk *at)
{
    uint8_t *from = at->p, *to = at->p;
    for (; *at->p != '"'; at->p++) {
        at->p += *at->p == '\\';
        *to++ = *at->p;
    }
    at->p++;
    return cdc_slice_of(from, (size_t)(to - from));
}

/* The item at p, which the first walk has seen to be one. As pgs_unpack. */
static int read_item(const struct cdc_column *item, struct pgs_memory *mem, struct walk *at,
                     struct cdc_value *ret)
{
    uint8_t *from = at->p;
    struct cdc_slice text;
    if (skip(at, '"')) {
        text = unquote(at);
    } else {
        skip_word(at);
        text = cdc_slice_of(from, (size_t)(at->p - from));
        if (text.len == 4 && memcmp(text.p, "NULL", 4) == 0) {
            *ret = (struct cdc_value){.kind = CDC_NULL};
            return CDC_OK;
        }
    }
    pgs_parse parse = pgs_parser(item);
    uint8_t *bytes = (uint8_t *)(uintptr_t)text.p;
    return parse ? parse(item, bytes, text.len, ret) : pgs_unpack(item, mem, bytes, text.len, ret);
}

/* CDC_END: an item is invalid. */
static int read_items(const struct cdc_column *col, struct pgs_memory *mem, struct walk *at,
                      struct cdc_value *items, size_t n)
{
    struct cdc_column item = *col;
    item.kind = col->item;
    for (size_t i = 0; i < n; i++) {
        at->p++; /* { or , */
        int rc = read_item(&item, mem, at, &items[i]);
        if (rc != CDC_OK)
            return rc;
        if (items[i].kind == CDC_INVALID)
            return CDC_END;
    }
    return CDC_OK;
}

/* NaN has an a, Infinity an I; no number has, and NULL neither. */
static bool would_be_lost(const struct cdc_column *col, const uint8_t *text, size_t len)
{
    return col->item == CDC_DECIMAL && (memchr(text, 'a', len) || memchr(text, 'I', len));
}

static int unpack_array(const struct cdc_column *col, struct pgs_memory *mem, uint8_t *text,
                        size_t len, struct cdc_value *ret)
{
    struct walk at = {.p = text, .end = text + len};
    uint8_t *whole = text;
    if (!skip_bounds(&at))
        return CDC_FAIL;
    bool odd = at.p != text;
    struct walk items = at;
    if (!skip_array(&at) || at.p != at.end || (odd && at.items == 0))
        return CDC_FAIL;
    *ret = (struct cdc_value){.kind = CDC_INVALID, .len = (uint32_t)len, .p = text};
    if (odd || at.deepest > 1)
        return CDC_OK;
    if (would_be_lost(col, text, len)) {
        whole = pgs_memory_take(mem, len);
        if (!whole)
            return CDC_FULL;
        memcpy(whole, text, len);
    }
    struct cdc_value *vals = pgs_memory_take(mem, at.items * sizeof *vals);
    if (!vals)
        return CDC_FULL;
    int rc = read_items(col, mem, &items, vals, at.items);
    ret->p = whole;
    if (rc == CDC_OK)
        *ret = (struct cdc_value){.kind = CDC_ARRAY, .len = (uint32_t)at.items, .items = vals};
    return rc == CDC_END ? CDC_OK : rc;
}

int pgs_unpack(const struct cdc_column *col, struct pgs_memory *mem, uint8_t *text, size_t len,
               struct cdc_value *ret)
{
    pgs_parse parse = pgs_parser(col);
    if (parse)
        return parse(col, text, len, ret);
    if (col->kind == CDC_ARRAY && col->item != CDC_ARRAY)
        return unpack_array(col, mem, text, len, ret);
    return pgs_unpack_json(mem, text, len, ret);
}
