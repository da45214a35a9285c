/*
 * snap_xids.c - which transactions an ordinary snapshot contains.
 *
 * pg_current_snapshot() is xmin:xmax:list, of 64-bit ids: all below xmin have ended, none from xmax
 * on has begun, of those between the listed ones run. The stream has the last 32 bits of an id; two
 * ids that both matter lie never 2^31 apart, so the nearest to xmax is meant.
 */
#include "snap.h"

#include <errno.h>
#include <stdlib.h>

static bool read_xid(const char **p, uint64_t *ret)
{
    char *end;
    if (**p < '0' || **p > '9')
        return false;
    errno = 0;
    *ret = strtoull(*p, &end, 10);
    *p = end;
    return errno == 0;
}

int pgs_xids_parse(const char *text, struct pgs_xids *ret)
{
    struct pgs_xids xids = {.n = 0};
    const char *p = text;
    if (!read_xid(&p, &xids.xmin) || *p++ != ':' || !read_xid(&p, &xids.xmax) || *p++ != ':')
        return CDC_FAIL;
    xids.list = calloc(strlen(p) / 2 + 1, sizeof *xids.list);
    bool right = xids.list && xids.xmin <= xids.xmax;
    for (; right && *p; p += *p == ',') {
        uint64_t xid = 0;
        right = read_xid(&p, &xid) && (*p == 0 || (*p == ',' && p[1])) &&
                (xids.n == 0 || xids.list[xids.n - 1] < xid);
        if (right)
            xids.list[xids.n++] = xid;
    }
    if (!right) {
        free(xids.list);
        return CDC_FAIL;
    }
    free(ret->list);
    *ret = xids;
    return CDC_OK;
}

/* The full id with these last 32 bits that is nearest to xmax. */
static uint64_t widen(uint32_t xid, uint64_t xmax)
{
    return xmax + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)xmax);
}

bool pgs_xids_contain(const struct pgs_xids *xids, uint32_t xid)
{
    uint64_t full = widen(xid, xids->xmax);
    size_t low = 0, high = xids->n;
    if (full < xids->xmin || full >= xids->xmax)
        return full < xids->xmin;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (xids->list[mid] < full)
            low = mid + 1;
        else
            high = mid;
    }
    return low == xids->n || xids->list[low] != full;
}
