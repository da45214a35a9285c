/*
 * gtid_list.c - MariaDB's GTID lists; see gtid.h. Text: gtid_slave_pos and its kin.
 *
 * GTID_LIST: n 4 (28 bits, flags above) | n x {domain 4, server 4, number 8}; it may name several
 * servers of one domain, of which the last is where the domain is (its number need not be the
 * highest where gtid_strict_mode was off).
 */
#include "gtid.h"

#include <stdlib.h>

void mys_list_done(struct mys_list *list)
{
    free(list->at);
    *list = (struct mys_list){0};
}

/* The first of this or a higher domain. */
static size_t find(const struct mys_list *list, uint32_t domain)
{
    size_t from = 0, to = list->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (list->at[mid].domain < domain)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

int mys_list_add(struct mys_list *list, const struct mys_gtid *gtid)
{
    size_t at = find(list, gtid->domain);
    if (at < list->n && list->at[at].domain == gtid->domain) {
        if (gtid->number > list->at[at].number)
            list->at[at] = *gtid;
        return CDC_OK;
    }
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct mys_gtid *bigger = realloc(list->at, cap * sizeof *bigger);
        if (!bigger)
            return CDC_FAIL;
        list->at = bigger;
        list->cap = cap;
    }
    memmove(list->at + at + 1, list->at + at, (list->n - at) * sizeof *list->at);
    list->at[at] = *gtid;
    list->n++;
    return CDC_OK;
}

int mys_list_union(struct mys_list *list, const struct mys_list *more)
{
    for (size_t i = 0; i < more->n; i++)
        if (mys_list_add(list, &more->at[i]) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

bool mys_list_contains(const struct mys_list *list, const struct mys_gtid *gtid)
{
    size_t at = find(list, gtid->domain);
    return at < list->n && list->at[at].domain == gtid->domain &&
           list->at[at].number >= gtid->number;
}

bool mys_list_subset(const struct mys_list *part, const struct mys_list *whole)
{
    for (size_t i = 0; i < part->n; i++)
        if (!mys_list_contains(whole, &part->at[i]))
            return false;
    return true;
}

static int no_list(struct mys_list *list, struct cdc_error *err)
{
    mys_list_done(list);
    return cdc_fail(err, CDC_FATAL, "mysql",
                    "a text or an event that should hold MariaDB's GTIDs does not; the position in "
                    "the sink or the server's answer is damaged: please report it");
}

/* Digits up to `end` (0: the text's). */
static bool take_number(struct cdc_reader *rd, uint64_t max, uint64_t *ret)
{
    uint64_t val = 0;
    size_t from = rd->off;
    for (; rd->off < rd->len && rd->p[rd->off] >= '0' && rd->p[rd->off] <= '9'; rd->off++) {
        unsigned digit = (unsigned)rd->p[rd->off] - '0';
        if (val > (max - digit) / 10)
            return false;
        val = val * 10 + digit;
    }
    *ret = val;
    return rd->off > from;
}

static bool take_gtid(struct cdc_reader *rd, struct mys_gtid *ret)
{
    uint64_t domain, server;
    if (!take_number(rd, UINT32_MAX, &domain) || cdc_read_u8(rd) != '-' ||
        !take_number(rd, UINT32_MAX, &server) || cdc_read_u8(rd) != '-' ||
        !take_number(rd, UINT64_MAX, &ret->number))
        return false;
    ret->domain = (uint32_t)domain;
    ret->server = (uint32_t)server;
    return true;
}

int mys_list_parse(struct cdc_slice text, struct mys_list *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(text.p, text.len);
    while (rd.off < rd.len) {
        struct mys_gtid gtid = {.mariadb = true};
        if (!take_gtid(&rd, &gtid))
            return no_list(ret, err);
        if (rd.off < rd.len && (cdc_read_u8(&rd) != ',' || rd.off == rd.len))
            return no_list(ret, err);
        if (mys_list_add(ret, &gtid) < 0)
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

void mys_list_print(const struct mys_list *list, struct cdc_buf *buf)
{
    for (size_t i = 0; i < list->n; i++) {
        cdc_buf_str(buf, i ? "," : "");
        mys_gtid_print(&list->at[i], buf);
    }
}

static int put_last(struct mys_list *list, const struct mys_gtid *gtid)
{
    size_t at = find(list, gtid->domain);
    if (at == list->n || list->at[at].domain != gtid->domain)
        return mys_list_add(list, gtid);
    list->at[at] = *gtid;
    return CDC_OK;
}

int mys_list_decode(struct cdc_slice bytes, struct mys_list *ret, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(bytes.p, bytes.len);
    uint32_t n = (uint32_t)mys_read_le(&rd, 4) & 0x0fffffff;
    for (uint32_t i = 0; i < n && !rd.failed; i++) {
        struct mys_gtid gtid = {.mariadb = true, .domain = (uint32_t)mys_read_le(&rd, 4)};
        gtid.server = (uint32_t)mys_read_le(&rd, 4);
        gtid.number = mys_read_le(&rd, 8);
        if (!rd.failed && put_last(ret, &gtid) < 0)
            return cdc_fail_oom(err);
    }
    return rd.failed ? no_list(ret, err) : CDC_OK;
}
