/*
 * gtid.h - sets of transactions: MySQL's GTID sets (with tags, 8.3 and newer) and MariaDB's lists.
 *
 *   MySQL    3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:blue:3,...   every transaction one by one
 *   MariaDB  0-1-100,2-7-55    domain-server-number: all of the domain up to the number
 *
 * Ranges are kept sorted, apart and merged; ends are exclusive inside and on the wire, inclusive in
 * text. Memory: a set takes 16 bytes a range; what is parsed or decoded takes no more than a few
 * times its own size. Ownership: a set owns its memory (done, also of a zeroed one). Threads: one.
 */
#ifndef MYS_GTID_H
#define MYS_GTID_H

#include "decode.h"

struct mys_range {
    uint64_t from, to; /* to: the first that is not in it */
};

struct mys_sid {
    uint8_t uuid[16];
    char tag[MYS_TAG_MAX + 1]; /* "": none */
    struct mys_range *ranges;
    size_t n, cap;
};

/* Sorted by uuid, then tag. */
struct mys_set {
    struct mys_sid *sids;
    size_t n, cap;
};

void mys_set_done(struct mys_set *set);
/* CDC_FAIL: no memory, or no range. */
CDC_CHECK int mys_set_add_range(struct mys_set *set, const uint8_t uuid[16], const char *tag,
                                struct mys_range range);
CDC_CHECK int mys_set_add(struct mys_set *set, const struct mys_gtid *gtid);
CDC_CHECK int mys_set_union(struct mys_set *set, const struct mys_set *more);
bool mys_set_contains(const struct mys_set *set, const struct mys_gtid *gtid);
/* Is everything of `part` in `whole`? */
bool mys_set_subset(const struct mys_set *part, const struct mys_set *whole);

/* Into an empty set. CDC_FAIL (CDC_FATAL): no GTID set. */
CDC_CHECK int mys_set_parse(struct cdc_slice text, struct mys_set *ret, struct cdc_error *err);
void mys_set_print(const struct mys_set *set, struct cdc_buf *buf);

/* The form of PREVIOUS_GTIDS and COM_BINLOG_DUMP_GTID. */
CDC_CHECK int mys_set_decode(struct cdc_slice bytes, struct mys_set *ret, struct cdc_error *err);
void mys_set_encode(const struct mys_set *set, struct cdc_buf *buf);

/* One GTID of each domain, sorted by domain. */
struct mys_list {
    struct mys_gtid *at;
    size_t n, cap;
};

void mys_list_done(struct mys_list *list);
/* Of a domain the highest number counts. CDC_FAIL: no memory. */
CDC_CHECK int mys_list_add(struct mys_list *list, const struct mys_gtid *gtid);
CDC_CHECK int mys_list_union(struct mys_list *list, const struct mys_list *more);
bool mys_list_contains(const struct mys_list *list, const struct mys_gtid *gtid);
bool mys_list_subset(const struct mys_list *part, const struct mys_list *whole);
CDC_CHECK int mys_list_parse(struct cdc_slice text, struct mys_list *ret, struct cdc_error *err);
void mys_list_print(const struct mys_list *list, struct cdc_buf *buf);
/* The body of a GTID_LIST event: the last transaction of each domain. */
CDC_CHECK int mys_list_decode(struct cdc_slice bytes, struct mys_list *ret, struct cdc_error *err);

/* uuid:1, uuid:tag:1 or 0-1-100. */
void mys_gtid_print(const struct mys_gtid *gtid, struct cdc_buf *buf);

#endif
