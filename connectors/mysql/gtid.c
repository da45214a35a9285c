/*
 * gtid.c - MySQL's GTID sets; see gtid.h. Grammar of the text: MySQL manual, "GTID Sets".
 *
 * Wire: n 8 | n x {uuid 16, ranges 8, {from 8, to 8}..}. With tags the first 8 bytes are 1, n in
 * six bytes, 1, and behind each uuid stands the tag's length twice (a varint, so never above one
 * byte here), and the tag.
 */
#include "gtid.h"

#include <stdlib.h>

#define NUMBER_MAX INT64_MAX /* GTID numbers are positive and signed */

static int compare_sid(const struct mys_sid *sid, const uint8_t uuid[16], const char *tag)
{
    int rc = memcmp(sid->uuid, uuid, 16);
    return rc ? rc : strcmp(sid->tag, tag);
}

/* Where it is, or belongs. */
static size_t find_sid(const struct mys_set *set, const uint8_t uuid[16], const char *tag,
                       bool *found)
{
    size_t from = 0, to = set->n;
    *found = false;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int rc = compare_sid(&set->sids[mid], uuid, tag);
        if (rc == 0) {
            *found = true;
            return mid;
        }
        if (rc < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* Room for one more of `size` bytes in an array that doubles. */
static void *grown(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    size_t more = *cap ? *cap * 2 : 4;
    void *bigger = realloc(items, more * size);
    if (bigger)
        *cap = more;
    return bigger;
}

void mys_set_done(struct mys_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        free(set->sids[i].ranges);
    free(set->sids);
    *set = (struct mys_set){0};
}

static struct mys_sid *take_sid(struct mys_set *set, const uint8_t uuid[16], const char *tag)
{
    bool found;
    size_t at = find_sid(set, uuid, tag, &found);
    if (found)
        return &set->sids[at];
    struct mys_sid *sids = grown(set->sids, set->n, &set->cap, sizeof *sids);
    if (!sids)
        return NULL;
    set->sids = sids;
    memmove(sids + at + 1, sids + at, (set->n - at) * sizeof *sids);
    set->n++;
    sids[at] = (struct mys_sid){0};
    memcpy(sids[at].uuid, uuid, 16);
    memcpy(sids[at].tag, tag, strlen(tag) + 1);
    return &sids[at];
}

/* The first range that ends at or behind `number`. */
static size_t find_range(const struct mys_sid *sid, uint64_t number)
{
    size_t from = 0, to = sid->n;
    if (to && sid->ranges[to - 1].to < number)
        return to;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (sid->ranges[mid].to < number)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* Merges it with those that it touches. */
static int add_range(struct mys_sid *sid, struct mys_range range)
{
    size_t at = find_range(sid, range.from), end = at;
    for (; end < sid->n && sid->ranges[end].from <= range.to; end++) {
        if (sid->ranges[end].from < range.from)
            range.from = sid->ranges[end].from;
        if (sid->ranges[end].to > range.to)
            range.to = sid->ranges[end].to;
    }
    if (end == at) {
        struct mys_range *ranges = grown(sid->ranges, sid->n, &sid->cap, sizeof *ranges);
        if (!ranges)
            return CDC_FAIL;
        sid->ranges = ranges;
        memmove(ranges + at + 1, ranges + at, (sid->n - at) * sizeof *ranges);
        sid->n++;
    } else if (end > at + 1) {
        memmove(sid->ranges + at + 1, sid->ranges + end, (sid->n - end) * sizeof *sid->ranges);
        sid->n -= end - at - 1;
    }
    sid->ranges[at] = range;
    return CDC_OK;
}

int mys_set_add_range(struct mys_set *set, const uint8_t uuid[16], const char *tag,
                      struct mys_range range)
{
    if (range.from < 1 || range.to <= range.from || range.to > NUMBER_MAX)
        return CDC_FAIL;
    struct mys_sid *sid = take_sid(set, uuid, tag);
    return sid ? add_range(sid, range) : CDC_FAIL;
}

int mys_set_add(struct mys_set *set, const struct mys_gtid *gtid)
{
    struct mys_range range = {gtid->number, gtid->number + 1};
    return mys_set_add_range(set, gtid->uuid, gtid->tag, range);
}

int mys_set_union(struct mys_set *set, const struct mys_set *more)
{
    for (size_t i = 0; i < more->n; i++)
        for (size_t j = 0; j < more->sids[i].n; j++)
            if (mys_set_add_range(set, more->sids[i].uuid, more->sids[i].tag,
                                  more->sids[i].ranges[j]) < 0)
                return CDC_FAIL;
    return CDC_OK;
}

static bool holds(const struct mys_sid *sid, struct mys_range range)
{
    size_t at = find_range(sid, range.to);
    return at < sid->n && sid->ranges[at].from <= range.from;
}

bool mys_set_contains(const struct mys_set *set, const struct mys_gtid *gtid)
{
    bool found;
    size_t at = find_sid(set, gtid->uuid, gtid->tag, &found);
    struct mys_range range = {gtid->number, gtid->number + 1};
    return found && holds(&set->sids[at], range);
}

bool mys_set_subset(const struct mys_set *part, const struct mys_set *whole)
{
    for (size_t i = 0; i < part->n; i++) {
        bool found;
        const struct mys_sid *sid = &part->sids[i];
        size_t at = find_sid(whole, sid->uuid, sid->tag, &found);
        for (size_t j = 0; j < sid->n; j++)
            if (!found || !holds(&whole->sids[at], sid->ranges[j]))
                return false;
    }
    return true;
}

static int no_set(struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "mysql",
                    "a text or an event that should hold a set of GTIDs does not; the position in "
                    "the sink or the server's answer is damaged: please report it");
}

static void skip_space(struct cdc_reader *rd)
{
    while (rd->off < rd->len && strchr(" \t\r\n", rd->p[rd->off]) && rd->p[rd->off])
        rd->off++;
}

static bool take_char(struct cdc_reader *rd, char c)
{
    skip_space(rd);
    if (rd->off == rd->len || rd->p[rd->off] != (uint8_t)c)
        return false;
    rd->off++;
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_uuid(struct cdc_reader *rd, uint8_t ret[16])
{
    skip_space(rd);
    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && cdc_read_u8(rd) != '-')
            return false;
        const uint8_t *p = cdc_read_raw(rd, 2);
        int high = p ? hex_digit(p[0]) : -1, low = p ? hex_digit(p[1]) : -1;
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool take_number(struct cdc_reader *rd, uint64_t *ret)
{
    uint64_t val = 0;
    skip_space(rd);
    size_t from = rd->off;
    for (; rd->off < rd->len && rd->p[rd->off] >= '0' && rd->p[rd->off] <= '9'; rd->off++) {
        if (val > (UINT64_MAX - 9) / 10)
            return false;
        val = val * 10 + (rd->p[rd->off] - '0');
    }
    *ret = val;
    return rd->off > from;
}

static bool tag_char(uint8_t c, bool first)
{
    return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (!first && c >= '0' && c <= '9');
}

/* Leaves *ret alone where there is none. */
static bool take_tag(struct cdc_reader *rd, char ret[MYS_TAG_MAX + 1])
{
    size_t n = 0;
    skip_space(rd);
    while (rd->off < rd->len && n < MYS_TAG_MAX && tag_char(rd->p[rd->off], n == 0)) {
        uint8_t c = rd->p[rd->off++];
        ret[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    if (n)
        ret[n] = 0;
    return n > 0;
}

/* from or from-to, inclusive; a backward one holds nothing, as on the server. */
static bool take_range(struct cdc_reader *rd, struct mys_range *ret)
{
    uint64_t last;
    if (!take_number(rd, &ret->from) || ret->from < 1)
        return false;
    last = ret->from;
    if (take_char(rd, '-') && !take_number(rd, &last))
        return false;
    ret->to = last + 1;
    return last < NUMBER_MAX;
}

/* uuid, then ranges and tags, a tag being that of the ranges behind it. */
static bool take_sid_text(struct cdc_reader *rd, struct mys_set *set)
{
    uint8_t uuid[16];
    char tag[MYS_TAG_MAX + 1] = "";
    bool pending = true;
    if (!take_uuid(rd, uuid))
        return false;
    while (take_char(rd, ':')) {
        struct mys_range range;
        if (take_tag(rd, tag)) {
            pending = true;
            continue;
        }
        if (!take_range(rd, &range))
            return false;
        pending = false;
        if (range.to > range.from && mys_set_add_range(set, uuid, tag, range) < 0)
            return false;
    }
    return !pending;
}

int mys_set_parse(struct cdc_slice text, struct mys_set *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(text.p, text.len);
    bool sound = true;
    skip_space(&rd);
    while (sound && rd.off < rd.len) {
        if (take_char(&rd, ',')) /* the server takes empty elements */
            continue;
        sound = take_sid_text(&rd, ret);
        skip_space(&rd);
        sound &= rd.off == rd.len || rd.p[rd.off] == ',';
        skip_space(&rd);
    }
    if (sound)
        return CDC_OK;
    mys_set_done(ret);
    return no_set(err);
}

static void print_uuid(const uint8_t uuid[16], struct cdc_buf *buf)
{
    for (unsigned i = 0; i < 16; i++)
        cdc_buf_printf(buf, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

void mys_set_print(const struct mys_set *set, struct cdc_buf *buf)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct mys_sid *sid = &set->sids[i];
        if (i == 0 || memcmp(sid->uuid, sid[-1].uuid, 16) != 0) {
            cdc_buf_str(buf, i ? "," : "");
            print_uuid(sid->uuid, buf);
        }
        if (*sid->tag)
            cdc_buf_printf(buf, ":%s", sid->tag);
        for (size_t j = 0; j < sid->n; j++) {
            cdc_buf_printf(buf, ":%llu", (unsigned long long)sid->ranges[j].from);
            if (sid->ranges[j].to - sid->ranges[j].from > 1)
                cdc_buf_printf(buf, "-%llu", (unsigned long long)sid->ranges[j].to - 1);
        }
    }
}

static bool decode_sid(struct cdc_reader *rd, bool tagged, struct mys_set *set)
{
    char tag[MYS_TAG_MAX + 1] = "";
    const uint8_t *uuid = cdc_read_raw(rd, 16);
    if (tagged) {
        uint8_t twice = cdc_read_u8(rd);
        const uint8_t *text =
            twice & 1 || twice / 2 > MYS_TAG_MAX ? NULL : cdc_read_raw(rd, twice / 2);
        if (!text || !mys_tag_valid(text, twice / 2))
            return false;
        memcpy(tag, text, twice / 2);
    }
    uint64_t n = mys_read_le(rd, 8);
    for (uint64_t i = 0; i < n && !rd->failed; i++) {
        struct mys_range range = {.from = mys_read_le(rd, 8)};
        range.to = mys_read_le(rd, 8);
        if (!rd->failed && mys_set_add_range(set, uuid, tag, range) < 0)
            return false;
    }
    return !rd->failed;
}

int mys_set_decode(struct cdc_slice bytes, struct mys_set *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    uint64_t n = mys_read_le(&rd, 8);
    bool tagged = n >> 56 == 1 && (n & 0xff) == 1, sound = !rd.failed;
    if (tagged)
        n = n << 8 >> 16;
    for (uint64_t i = 0; sound && i < n; i++)
        sound = decode_sid(&rd, tagged, ret);
    if (sound && cdc_reader_left(&rd) == 0)
        return CDC_OK;
    mys_set_done(ret);
    return no_set(err);
}

static void put_le64(struct cdc_buf *buf, uint64_t val)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(val >> (8 * i));
    cdc_buf_put(buf, bytes, 8);
}

void mys_set_encode(const struct mys_set *set, struct cdc_buf *buf)
{
    bool tagged = false;
    for (size_t i = 0; i < set->n; i++)
        tagged |= set->sids[i].tag[0] != 0;
    put_le64(buf, tagged ? UINT64_C(1) << 56 | (uint64_t)set->n << 8 | 1 : set->n);
    for (size_t i = 0; i < set->n; i++) {
        const struct mys_sid *sid = &set->sids[i];
        cdc_buf_put(buf, sid->uuid, 16);
        if (tagged) {
            cdc_buf_byte(buf, (uint8_t)(strlen(sid->tag) * 2));
            cdc_buf_str(buf, sid->tag);
        }
        put_le64(buf, sid->n);
        for (size_t j = 0; j < sid->n; j++) {
            put_le64(buf, sid->ranges[j].from);
            put_le64(buf, sid->ranges[j].to);
        }
    }
}

void mys_gtid_print(const struct mys_gtid *gtid, struct cdc_buf *buf)
{
    if (gtid->mariadb) {
        cdc_buf_printf(buf, "%u-%u-%llu", gtid->domain, gtid->server,
                       (unsigned long long)gtid->number);
        return;
    }
    print_uuid(gtid->uuid, buf);
    cdc_buf_printf(buf, "%s%s:%llu", *gtid->tag ? ":" : "", gtid->tag,
                   (unsigned long long)gtid->number);
}
