/*
 * charset.c - see charset.h.
 *
 * Collation ids name charsets. Those below 1024 are in a table of ranges; MariaDB's NO PAD
 * collations are 1024 above their sibling; its UCA 14 ones begin at 2048, 256 for each of five
 * Unicode charsets.
 *
 * Where glibc's iconv takes a code for another character than the servers do (the backslash of
 * SJIS, the kana of Big5), the result is mended by the tables of charset_fixes.h. Known difference:
 * 24 two-byte codes of gb18030, which are private characters to MySQL, become the characters that
 * the standard has given them since.
 */
#include "charset.h"

#include <iconv.h>

#include "charset_fixes.h"
#include "charset_single.h"

enum how { BINARY, UTF8, SINGLE, MULTI, UCS2, UTF16, UTF16LE, UTF32 };

enum set {
    ASCII,
    ARMSCII8,
    BIG5,
    BIN,
    CP1250,
    CP1251,
    CP1256,
    CP1257,
    CP850,
    CP852,
    CP866,
    CP932,
    DEC8,
    EUCJPMS,
    EUCKR,
    GB18030,
    GB2312,
    GBK,
    GEOSTD8,
    GREEK,
    HEBREW,
    HP8,
    KEYBCS2,
    KOI8R,
    KOI8U,
    LATIN1,
    LATIN2,
    LATIN5,
    LATIN7,
    MACCE,
    MACROMAN,
    SJIS,
    SWE7,
    TIS620,
    SUCS2,
    UJIS,
    SUTF16,
    SUTF16LE,
    SUTF32,
    UTF8MB3,
    UTF8MB4
};

/* Names of single-byte charsets are those of their tables. */
#define ONE(charset)                                                                               \
    {                                                                                              \
#charset, 1, true, SINGLE, mys_##charset, NULL, NULL                                       \
    }
#define MANY(charset, bytes, name)                                                                 \
    {                                                                                              \
#charset, bytes, true, MULTI, NULL, NULL, name                                             \
    }
#define WIDE(charset, bytes, how_)                                                                 \
    {                                                                                              \
#charset, bytes, false, how_, NULL, NULL, NULL                                             \
    }

static const struct mys_charset sets[] = {
    [ASCII] = ONE(ascii),
    [ARMSCII8] = ONE(armscii8),
    [BIG5] = MANY(big5, 2, "BIG5"),
    [BIN] = {"binary", 1, false, BINARY, NULL, NULL, NULL},
    [CP1250] = ONE(cp1250),
    [CP1251] = ONE(cp1251),
    [CP1256] = ONE(cp1256),
    [CP1257] = ONE(cp1257),
    [CP850] = ONE(cp850),
    [CP852] = ONE(cp852),
    [CP866] = ONE(cp866),
    [CP932] = MANY(cp932, 2, "CP932"),
    [DEC8] = ONE(dec8),
    [EUCJPMS] = MANY(eucjpms, 3, "EUC-JP-MS"),
    [EUCKR] = MANY(euckr, 2, "UHC"),
    [GB18030] = MANY(gb18030, 4, "GB18030"),
    [GB2312] = MANY(gb2312, 2, "EUC-CN"),
    [GBK] = MANY(gbk, 2, "GBK"),
    [GEOSTD8] = ONE(geostd8),
    [GREEK] = ONE(greek),
    [HEBREW] = ONE(hebrew),
    [HP8] = ONE(hp8),
    [KEYBCS2] = ONE(keybcs2),
    [KOI8R] = ONE(koi8r),
    [KOI8U] = ONE(koi8u),
    [LATIN1] = ONE(latin1),
    [LATIN2] = ONE(latin2),
    [LATIN5] = ONE(latin5),
    [LATIN7] = ONE(latin7),
    [MACCE] = ONE(macce),
    [MACROMAN] = ONE(macroman),
    [SJIS] = MANY(sjis, 2, "CP932"),
    [SWE7] = {"swe7", 1, false, SINGLE, NULL, mys_swe7, NULL}, /* [ \ ] are letters */
    [TIS620] = ONE(tis620),
    [SUCS2] = WIDE(ucs2, 2, UCS2),
    [UJIS] = MANY(ujis, 3, "EUC-JP"),
    [SUTF16] = WIDE(utf16, 4, UTF16),
    [SUTF16LE] = WIDE(utf16le, 4, UTF16LE),
    [SUTF32] = WIDE(utf32, 4, UTF32),
    [UTF8MB3] = {"utf8mb3", 3, true, UTF8, NULL, NULL, NULL},
    [UTF8MB4] = {"utf8mb4", 4, true, UTF8, NULL, NULL, NULL},
};

static const struct {
    uint16_t first, last;
    uint8_t set;
} ranges[] = {{1, 1, BIG5},        {2, 2, LATIN2},      {3, 3, DEC8},        {4, 4, CP850},
              {5, 5, LATIN1},      {6, 6, HP8},         {7, 7, KOI8R},       {8, 8, LATIN1},
              {9, 9, LATIN2},      {10, 10, SWE7},      {11, 11, ASCII},     {12, 12, UJIS},
              {13, 13, SJIS},      {14, 14, CP1251},    {15, 15, LATIN1},    {16, 16, HEBREW},
              {18, 18, TIS620},    {19, 19, EUCKR},     {20, 20, LATIN7},    {21, 21, LATIN2},
              {22, 22, KOI8U},     {23, 23, CP1251},    {24, 24, GB2312},    {25, 25, GREEK},
              {26, 26, CP1250},    {27, 27, LATIN2},    {28, 28, GBK},       {29, 29, CP1257},
              {30, 30, LATIN5},    {31, 31, LATIN1},    {32, 32, ARMSCII8},  {33, 33, UTF8MB3},
              {34, 34, CP1250},    {35, 35, SUCS2},     {36, 36, CP866},     {37, 37, KEYBCS2},
              {38, 38, MACCE},     {39, 39, MACROMAN},  {40, 40, CP852},     {41, 42, LATIN7},
              {43, 43, MACCE},     {44, 44, CP1250},    {45, 46, UTF8MB4},   {47, 49, LATIN1},
              {50, 52, CP1251},    {53, 53, MACROMAN},  {54, 55, SUTF16},    {56, 56, SUTF16LE},
              {57, 57, CP1256},    {58, 59, CP1257},    {60, 61, SUTF32},    {62, 62, SUTF16LE},
              {63, 63, BIN},       {64, 64, ARMSCII8},  {65, 65, ASCII},     {66, 66, CP1250},
              {67, 67, CP1256},    {68, 68, CP866},     {69, 69, DEC8},      {70, 70, GREEK},
              {71, 71, HEBREW},    {72, 72, HP8},       {73, 73, KEYBCS2},   {74, 74, KOI8R},
              {75, 75, KOI8U},     {76, 76, UTF8MB3},   {77, 77, LATIN2},    {78, 78, LATIN5},
              {79, 79, LATIN7},    {80, 80, CP850},     {81, 81, CP852},     {82, 82, SWE7},
              {83, 83, UTF8MB3},   {84, 84, BIG5},      {85, 85, EUCKR},     {86, 86, GB2312},
              {87, 87, GBK},       {88, 88, SJIS},      {89, 89, TIS620},    {90, 90, SUCS2},
              {91, 91, UJIS},      {92, 93, GEOSTD8},   {94, 94, LATIN1},    {95, 96, CP932},
              {97, 98, EUCJPMS},   {99, 99, CP1250},    {101, 124, SUTF16},  {128, 151, SUCS2},
              {159, 159, SUCS2},   {160, 183, SUTF32},  {192, 215, UTF8MB3}, {223, 223, UTF8MB3},
              {224, 247, UTF8MB4}, {248, 250, GB18030}, {255, 271, UTF8MB4}, {273, 275, UTF8MB4},
              {277, 294, UTF8MB4}, {296, 298, UTF8MB4}, {300, 300, UTF8MB4}, {303, 323, UTF8MB4},
              {576, 578, UTF8MB3}, {608, 610, UTF8MB4}, {640, 642, SUCS2},   {672, 674, SUTF16},
              {736, 738, SUTF32}};

const struct mys_charset *mys_charset_by_id(uint32_t collation)
{
    static const uint8_t uca14[] = {UTF8MB3, UTF8MB4, SUCS2, SUTF16, SUTF32};
    if (collation >= 2048)
        return collation < 2048 + 5 * 256 ? &sets[uca14[(collation - 2048) / 256]] : NULL;
    if (collation > 1024)
        collation -= 1024;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (collation >= ranges[i].first && collation <= ranges[i].last)
            return &sets[ranges[i].set];
    return NULL;
}

bool mys_charset_binary(const struct mys_charset *set)
{
    return set->how == BINARY;
}

int mys_recode_init(struct mys_recode *recode, const struct mys_charset *set, struct cdc_error *err)
{
    *recode = (struct mys_recode){.set = set};
    if (set->how != MULTI)
        return CDC_OK;
    iconv_t cd = iconv_open("UTF-8", set->iconv_name);
    if (cd == (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr): POSIX says so */
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "iconv of this system cannot convert from charset %s (%s); install the "
                        "gconv modules of the C library",
                        set->name, set->iconv_name);
    recode->iconv = cd;
    return CDC_OK;
}

void mys_recode_done(struct mys_recode *recode)
{
    if (recode->iconv)
        iconv_close(recode->iconv);
    recode->iconv = NULL;
}

/* The high bits of eight bytes. */
static uint64_t high_bits(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word & UINT64_C(0x8080808080808080);
}

static bool all_ascii(struct cdc_slice text)
{
    size_t i = 0;
    uint64_t high = 0;
    for (; i + 8 <= text.len && !high; i += 8)
        high = high_bits(text.p + i);
    if (text.len >= 8) /* the rest, and some of it once more */
        return !high && !high_bits(text.p + text.len - 8);
    for (; i < text.len; i++)
        high |= text.p[i] & 0x80;
    return !high;
}

size_t mys_utf8_put(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static bool is_char(uint32_t c)
{
    return c < 0xd800 || (c > 0xdfff && c < 0x110000);
}

unsigned mys_utf8_take(const uint8_t *p, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned len = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (unsigned i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    *ret = c;
    return c >= least[len] && is_char(c) ? len : 0;
}

bool mys_utf8_valid(struct cdc_slice text)
{
    uint32_t c;
    if (all_ascii(text))
        return true;
    for (size_t i = 0; i < text.len;) {
        unsigned len = mys_utf8_take(text.p + i, text.len - i, &c);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

/* The character at p of a charset of fixed units or of one byte; 0 bytes: there is none. */
static unsigned take(const struct mys_charset *set, const uint8_t *p, size_t n, uint32_t *ret)
{
    unsigned unit = set->how == SINGLE ? 1 : set->how == UTF32 ? 4 : 2;
    bool little = set->how == UTF16LE;
    if (n < unit)
        return 0;
    if (unit == 1) {
        const uint16_t *table = p[0] & 0x80 ? set->high : set->low;
        *ret = table ? table[p[0] & 0x7f] : p[0];
        return (p[0] & 0x80 && !table) || (p[0] && !*ret) ? 0 : 1;
    }
    if (unit == 4) {
        *ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        return is_char(*ret) ? 4 : 0;
    }
    uint32_t c = little ? p[0] | (uint32_t)p[1] << 8 : (uint32_t)p[0] << 8 | p[1];
    *ret = c;
    if (is_char(c))
        return 2;
    if (set->how == UCS2 || c >= 0xdc00 || n < 4)
        return 0;
    uint32_t low = little ? p[2] | (uint32_t)p[3] << 8 : (uint32_t)p[2] << 8 | p[3];
    *ret = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
    return (low & 0xfc00) == 0xdc00 ? 4 : 0;
}

static int by_table(const struct mys_charset *set, struct cdc_slice text, struct cdc_arena *arena,
                    struct cdc_slice *ret)
{
    uint32_t c;
    uint8_t *to = cdc_arena_alloc(arena, text.len * 3 + 1); /* one byte makes three at most */
    size_t n = 0;
    if (!to)
        return CDC_FULL;
    for (size_t i = 0; i < text.len;) {
        unsigned len = take(set, text.p + i, text.len - i, &c);
        if (!len)
            return CDC_END;
        n += mys_utf8_put(to + n, c);
        i += len;
    }
    *ret = cdc_slice_of(to, n);
    return CDC_OK;
}

#define FIXES(charset) (charset), sizeof(charset) / sizeof(charset)[0]

static uint32_t fixed(const uint16_t (*fixes)[2], size_t n, uint32_t c)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (fixes[mid][0] == c)
            return fixes[mid][1];
        if (fixes[mid][0] < c)
            from = mid + 1;
        else
            to = mid;
    }
    return c;
}

/* iconv's text with the fixes; a character needs three bytes at most. */
static int fix_text(const uint16_t (*fixes)[2], size_t n_fixes, struct cdc_arena *arena,
                    struct cdc_slice *text)
{
    uint8_t *to = cdc_arena_alloc(arena, text->len * 3 + 1);
    size_t n = 0;
    uint32_t c;
    if (!to)
        return CDC_FULL;
    for (size_t i = 0; i < text->len;) {
        unsigned len = mys_utf8_take(text->p + i, text->len - i, &c);
        if (!len)
            return CDC_END;
        i += len;
        n += mys_utf8_put(to + n, fixed(fixes, n_fixes, c));
    }
    *text = cdc_slice_of(to, n);
    return CDC_OK;
}

static int fix(const struct mys_charset *set, struct cdc_arena *arena, struct cdc_slice *text)
{
    if (set == &sets[BIG5])
        return fix_text(FIXES(mys_big5_fixes), arena, text);
    if (set == &sets[UJIS])
        return fix_text(FIXES(mys_ujis_fixes), arena, text);
    if (set == &sets[SJIS])
        return fix_text(FIXES(mys_sjis_fixes), arena, text);
    return CDC_OK;
}

static int by_iconv(const struct mys_recode *recode, struct cdc_slice text, struct cdc_arena *arena,
                    struct cdc_slice *ret)
{
    size_t room = text.len * 4 + 16, left = room, in_left = text.len;
    uint8_t *to = cdc_arena_alloc(arena, room);
    char *in = (char *)(uintptr_t)text.p, *out = (char *)to;
    if (!to)
        return CDC_FULL;
    iconv(recode->iconv, NULL, NULL, NULL, NULL);
    if (iconv(recode->iconv, &in, &in_left, &out, &left) == (size_t)-1 || in_left)
        return CDC_END;
    iconv(recode->iconv, NULL, NULL, &out, &left); /* what it held back */
    *ret = cdc_slice_of(to, room - left);
    return fix(recode->set, arena, ret);
}

int mys_recode(const struct mys_recode *recode, struct cdc_slice text, struct cdc_arena *arena,
               struct cdc_slice *ret)
{
    const struct mys_charset *set = recode->set;
    if (set->how == BINARY || text.len == 0 || (set->ascii && all_ascii(text))) {
        *ret = text;
        return CDC_OK;
    }
    if (set->how == UTF8) {
        *ret = text;
        return mys_utf8_valid(text) ? CDC_OK : CDC_END;
    }
    if (set->how == MULTI)
        return by_iconv(recode, text, arena, ret);
    return by_table(set, text, arena, ret);
}
