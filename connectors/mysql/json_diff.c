/*
 * json_diff.c - see json_diff.h.
 *
 * The old document is not unfolded: an object or array is opened only where a path leads into it,
 * and then becomes a list of pieces, each either a run of its old entries or one value of its own
 * (new, or on the way to one). So a difference costs as much memory as its path is long, however
 * large the document is, and what was not touched is printed out of the old bytes.
 *
 *   [0 1 2 3 4 5]  insert at 2, remove at 4:   run 0-1, new, run 2-2, run 4-5
 *
 * Members lie in the server's order (length of the key, then its bytes), so a key is looked up in
 * the old entries by halves, and then its place among the pieces is known. A document that is not
 * in that order is no server's; a key may then be missed, and the difference does not fit.
 */
#include "json_diff.h"

#include "decode.h"
#include "json.h"
#include "json_path.h"

/* Of what a byte of path may take: two pieces and a box for a leg of two bytes. */
#define MEMORY    ((size_t)1 << 20)
#define MEMORY_OF ((size_t)256)

enum op { REPLACE, INSERT, REMOVE };

struct box;

struct node {
    struct mys_json val;
    struct box *open; /* counts instead of val; NULL: as val says */
};

struct piece {
    struct piece *next;
    uint32_t from, n; /* old entries; n 0: one value of its own */
    struct cdc_slice key;
    struct node node;
};

struct box {
    struct mys_json_box old;
    struct piece *first;
    uint64_t n; /* entries now */
};

struct diff {
    enum op op;
    struct cdc_reader path;
    struct mys_json val;
};

struct work {
    struct cdc_arena *arena;
    bool full; /* it had no memory */
};

static void *take(struct work *work, size_t n)
{
    void *p = cdc_arena_zalloc(work->arena, n);
    work->full |= !p;
    return p;
}

/* ---- pieces ---- */

static struct box *open_node(struct node *node, struct work *work)
{
    struct mys_json_box old;
    if (node->open || !mys_json_open(&node->val, &old))
        return node->open;
    struct box *box = take(work, sizeof *box);
    struct piece *all = take(work, sizeof *all);
    if (!box || !all)
        return NULL;
    all->n = old.n;
    *box = (struct box){.old = old, .first = old.n ? all : NULL, .n = old.n};
    return node->open = box;
}

/* Cuts a run behind its first k entries, 0 < k < n. The link to the second half. NULL: no
 * memory. */
static struct piece **split(struct piece *run, uint32_t k, struct work *work)
{
    struct piece *rest = take(work, sizeof *rest);
    if (!rest)
        return NULL;
    *rest = (struct piece){.next = run->next, .from = run->from + k, .n = run->n - k};
    run->next = rest;
    run->n = k;
    return &run->next;
}

/* The link to a piece that begins with what is k entries into the run at `at`. */
static struct piece **cut_at(struct piece **at, uint32_t k, struct work *work)
{
    return k ? split(*at, k, work) : at;
}

/* Makes the first entry of the run at `at` a piece of its own. NULL: no memory, or malformed. */
static struct piece **single(const struct box *box, struct piece **at, struct work *work)
{
    struct piece *one = *at;
    if (!one)
        return NULL;
    if (one->n == 0)
        return at;
    if (one->n > 1 && !split(one, 1, work))
        return NULL;
    if ((box->old.object && !mys_json_key(&box->old, one->from, &one->key)) ||
        !mys_json_entry(&box->old, one->from, &one->node.val))
        return NULL;
    one->n = 0;
    return at;
}

/* The link to the piece that begins with element i, or to the end. */
static struct piece **seek_cell(struct box *box, uint64_t i, struct work *work)
{
    struct piece **at = &box->first;
    for (; *at && i >= ((*at)->n ? (*at)->n : 1); at = &(*at)->next)
        i -= (*at)->n ? (*at)->n : 1;
    return *at ? cut_at(at, (uint32_t)i, work) : at;
}

static int compare(struct cdc_slice a, struct cdc_slice b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.p, b.p, a.len) : 0;
}

/* The first old entry whose key is not smaller. false: malformed. */
static bool lower_bound(const struct mys_json_box *old, struct cdc_slice key, uint32_t *ret,
                        bool *ret_same)
{
    uint32_t low = 0, high = old->n;
    *ret_same = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        struct cdc_slice have;
        if (!mys_json_key(old, mid, &have))
            return false;
        int order = compare(have, key);
        *ret_same |= order == 0;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret = low;
    return true;
}

/* The link to the member, or (*ret_there false) to where it belongs. NULL as with single. */
static struct piece **seek_key(struct box *box, struct cdc_slice key, struct work *work,
                               bool *ret_there)
{
    uint32_t low;
    bool same;
    struct piece **at = &box->first;
    *ret_there = false;
    if (!lower_bound(&box->old, key, &low, &same))
        return NULL;
    for (; *at; at = &(*at)->next) {
        const struct piece *piece = *at;
        int order = piece->n ? 1 : compare(piece->key, key);
        if (piece->n ? piece->from + piece->n <= low : order < 0)
            continue;
        if (piece->n && piece->from < low)
            at = cut_at(at, low - piece->from, work);
        *ret_there = piece->n ? same && at && (*at)->from == low : order == 0;
        break;
    }
    return at;
}

/*
 * The link to what the leg means, or (*ret_there false) to where it would be inserted. NULL: it can
 * not be there, malformed, or no memory.
 */
static struct piece **seek(struct box *box, const struct mys_json_leg *leg, struct work *work,
                           bool *ret_there)
{
    if (leg->cell == box->old.object)
        return NULL;
    if (!leg->cell)
        return seek_key(box, leg->key, work, ret_there);
    uint64_t i = leg->index;
    *ret_there = i < box->n;
    if (leg->from_end)
        i = *ret_there ? box->n - 1 - i : 0;
    return seek_cell(box, i, work);
}

/* ---- differences ---- */

static int insert(struct box *box, struct piece **at, const struct mys_json_leg *leg,
                  const struct mys_json *val, struct work *work)
{
    struct piece *piece = take(work, sizeof *piece);
    if (!piece)
        return CDC_FAIL;
    *piece = (struct piece){.next = *at, .key = leg->key, .node = {.val = *val}};
    *at = piece;
    box->n++;
    return CDC_OK;
}

static int change(struct box *box, const struct mys_json_leg *leg, const struct diff *diff,
                  struct work *work)
{
    bool there;
    struct piece **at = seek(box, leg, work, &there);
    if (!at)
        return CDC_FAIL;
    if (diff->op == INSERT)
        return there && !leg->cell ? CDC_FAIL : insert(box, at, leg, &diff->val, work);
    if (!there || !(at = single(box, at, work)))
        return CDC_FAIL;
    if (diff->op == REPLACE) {
        (*at)->node = (struct node){.val = diff->val};
    } else {
        *at = (*at)->next;
        box->n--;
    }
    return CDC_OK;
}

static int apply(struct node *node, struct diff *diff, struct work *work)
{
    struct mys_json_leg leg;
    if (cdc_read_u8(&diff->path) != '$')
        return CDC_FAIL;
    for (;;) {
        bool there;
        struct box *box = open_node(node, work);
        int rc = box ? mys_json_leg_read(&diff->path, work->arena, &leg) : CDC_FAIL;
        work->full |= rc == CDC_FULL;
        if (rc != CDC_OK)
            return CDC_FAIL;
        if (cdc_reader_left(&diff->path) == 0)
            return change(box, &leg, diff, work);
        struct piece **at = seek(box, &leg, work, &there);
        if (!at || !there || !(at = single(box, at, work)))
            return CDC_FAIL;
        node = &(*at)->node;
    }
}

static bool read_diff(struct cdc_reader *rd, struct diff *ret)
{
    uint8_t op = cdc_read_u8(rd);
    struct cdc_slice path = cdc_read_bytes(rd, mys_read_lenenc(rd));
    *ret = (struct diff){.op = (enum op)op, .path = cdc_reader_of(path.p, path.len)};
    if (op != REMOVE)
        ret->val = mys_json_of(cdc_read_bytes(rd, mys_read_lenenc(rd)));
    return !rd->failed && op <= REMOVE;
}

/* ---- as text ---- */

static int put_node(const struct node *node, unsigned depth, struct cdc_buf *buf);

/* What stands before a value: the comma, but for the first, and the key. */
static bool put_before(const struct mys_json_box *old, struct cdc_slice key, bool first,
                       struct cdc_buf *buf)
{
    cdc_buf_str(buf, first ? "" : ", ");
    if (!old->object)
        return true;
    bool sound = mys_json_put_string(buf, key);
    cdc_buf_str(buf, ": ");
    return sound;
}

static int put_run(const struct mys_json_box *old, const struct piece *run, bool first,
                   unsigned depth, struct cdc_buf *buf)
{
    struct cdc_slice key = {NULL, 0};
    struct mys_json val;
    for (uint32_t i = 0; i < run->n && !buf->failed; i++)
        if ((old->object && !mys_json_key(old, run->from + i, &key)) ||
            !mys_json_entry(old, run->from + i, &val) ||
            !put_before(old, key, first && i == 0, buf) || mys_json_put(&val, depth, buf) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by MYS_JSON_DEPTH */
static int put_box(const struct box *box, unsigned depth, struct cdc_buf *buf)
{
    if (depth > MYS_JSON_DEPTH)
        return CDC_FAIL;
    cdc_buf_byte(buf, box->old.object ? '{' : '[');
    for (const struct piece *at = box->first; at; at = at->next) {
        bool first = at == box->first;
        int rc = CDC_OK;
        if (at->n)
            rc = put_run(&box->old, at, first, depth, buf);
        else if (!put_before(&box->old, at->key, first, buf))
            rc = CDC_FAIL;
        else
            rc = put_node(&at->node, depth, buf);
        if (rc < 0)
            return CDC_FAIL;
    }
    cdc_buf_byte(buf, box->old.object ? '}' : ']');
    return CDC_OK;
}

static int put_node(const struct node *node, unsigned depth, struct cdc_buf *buf)
{
    return node->open ? put_box(node->open, depth + 1, buf) : mys_json_put(&node->val, depth, buf);
}

int mys_json_diff(struct cdc_slice doc, struct cdc_slice diffs, struct cdc_buf *buf)
{
    struct work work = {.arena = cdc_arena_new(MEMORY + MEMORY_OF * diffs.len)};
    struct cdc_reader rd = cdc_reader_of(diffs.p, diffs.len);
    struct node root = {.val = mys_json_of(doc)};
    struct diff diff;
    int rc = CDC_OK;
    if (!work.arena)
        return CDC_FULL;
    while (rc == CDC_OK && cdc_reader_left(&rd) > 0)
        rc = read_diff(&rd, &diff) ? apply(&root, &diff, &work) : CDC_FAIL;
    if (rc == CDC_OK)
        rc = put_node(&root, 0, buf);
    cdc_arena_free(work.arena);
    return work.full ? CDC_FULL : rc;
}
