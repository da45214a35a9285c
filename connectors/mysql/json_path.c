/*
 * json_path.c - see json_path.h.
 */
#include "json_path.h"

static bool skip(struct cdc_reader *rd, const char *word)
{
    size_t n = strlen(word);
    if (cdc_reader_left(rd) < n || memcmp(rd->p + rd->off, word, n) != 0)
        return false;
    rd->off += n;
    return true;
}

static uint32_t read_index(struct cdc_reader *rd)
{
    uint64_t val = 0;
    size_t from = rd->off;
    for (; cdc_reader_left(rd) > 0 && rd->p[rd->off] >= '0' && rd->p[rd->off] <= '9'; rd->off++) {
        val = val * 10 + (rd->p[rd->off] - '0');
        rd->failed |= val > UINT32_MAX;
    }
    rd->failed |= rd->off == from;
    return (uint32_t)val;
}

/* Behind the "[". */
static void read_cell(struct cdc_reader *rd, struct mys_json_leg *ret)
{
    *ret = (struct mys_json_leg){.cell = true, .from_end = skip(rd, "last")};
    if (!ret->from_end || skip(rd, "-"))
        ret->index = read_index(rd);
    rd->failed |= !skip(rd, "]");
}

static uint32_t read_hex(struct cdc_reader *rd)
{
    uint32_t val = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t c = cdc_read_u8(rd), low = c | 0x20;
        rd->failed |= !((c >= '0' && c <= '9') || (low >= 'a' && low <= 'f'));
        val = val << 4 | (c <= '9' ? c - 48u : low - 87u);
    }
    return val;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (uint8_t)(heads[more] | c >> (6 * more));
    while (more-- > 0)
        *to++ = (uint8_t)(0x80 | (c >> (6 * more) & 0x3f));
    return to;
}

/* Behind the backslash. */
static uint8_t *read_escape(struct cdc_reader *rd, uint8_t *to)
{
    static const char letters[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
    uint8_t c = cdc_read_u8(rd);
    const char *at = c ? strchr(letters, c) : NULL;
    if (at) {
        *to = (uint8_t)chars[at - letters];
        return to + 1;
    }
    uint32_t high = read_hex(rd), low = 0;
    bool pair = high >= 0xd800 && high < 0xdc00;
    rd->failed |= c != 'u' || (high >= 0xdc00 && high < 0xe000);
    if (pair) {
        rd->failed |= !skip(rd, "\\u");
        low = read_hex(rd);
        rd->failed |= low < 0xdc00 || low >= 0xe000;
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    return rd->failed ? to : put_utf8(to, high);
}

/* Behind the first quote. Escapes are never shorter than what they stand for. */
static int read_quoted(struct cdc_reader *rd, struct cdc_arena *arena, struct cdc_slice *ret)
{
    size_t from = rd->off;
    bool plain = true;
    for (uint8_t c; !rd->failed && (c = cdc_read_u8(rd)) != '"';)
        if (c == '\\') {
            cdc_read_u8(rd);
            plain = false;
        }
    if (rd->failed)
        return CDC_FAIL;
    *ret = cdc_slice_of(rd->p + from, rd->off - 1 - from);
    if (plain)
        return CDC_OK;
    struct cdc_reader in = cdc_reader_of(ret->p, ret->len);
    uint8_t *name = cdc_arena_alloc(arena, ret->len), *to = name;
    if (!name)
        return CDC_FULL;
    while (cdc_reader_left(&in) > 0) {
        uint8_t c = cdc_read_u8(&in);
        if (c == '\\')
            to = read_escape(&in, to);
        else
            *to++ = c;
    }
    *ret = cdc_slice_of(name, (size_t)(to - name));
    return in.failed ? CDC_FAIL : CDC_OK;
}

static void read_name(struct cdc_reader *rd, struct cdc_slice *ret)
{
    size_t from = rd->off;
    while (cdc_reader_left(rd) > 0 && !strchr(".[*\" \\", rd->p[rd->off]))
        rd->off++;
    *ret = cdc_slice_of(rd->p + from, rd->off - from);
    rd->failed |= ret->len == 0;
}

int mys_json_leg_read(struct cdc_reader *rd, struct cdc_arena *arena, struct mys_json_leg *ret)
{
    *ret = (struct mys_json_leg){.cell = false};
    if (skip(rd, ".\""))
        return read_quoted(rd, arena, &ret->key);
    if (skip(rd, "["))
        read_cell(rd, ret);
    else if (skip(rd, "."))
        read_name(rd, &ret->key);
    else
        rd->failed = true;
    return rd->failed ? CDC_FAIL : CDC_OK;
}
