/*
 * merge.c - see merge.h: a heap of lanes by the record each stands at.
 *
 * A lane whose next record belongs to a later commit keeps that record; one that has come to its
 * top is stopped, so that an idle partition costs nothing. Before the first row of a commit can be
 * given, each lane that may have one must show its next record: all are started first and then
 * asked one after the other.
 *
 * A commit that is not read to its end leaves a mark in its lanes (past, past_seq) instead of being
 * read: what it would have given is passed over when the lane is read again.
 */
#include "merge.h"

#include <stdio.h>
#include <stdlib.h>

void kfk_merge_init(struct kfk_merge *merge, const struct kfk_lane_ops *ops, void *arg)
{
    *merge = (struct kfk_merge){.ops = ops, .arg = arg};
    cdc_map_init(&merge->ranges);
}

void kfk_merge_done(struct kfk_merge *merge)
{
    for (size_t i = 0; i < merge->n; i++)
        if (merge->lanes[i].started)
            merge->ops->stop(merge->arg, i);
    free(merge->lanes);
    free(merge->heap);
    cdc_map_done(&merge->ranges);
    merge->lanes = NULL;
    merge->heap = NULL;
    merge->n = merge->cap = merge->n_heap = 0;
}

int kfk_merge_add(struct kfk_merge *merge, int64_t pos, struct cdc_error *err)
{
    if (merge->n == merge->cap) {
        size_t cap = merge->cap ? 2 * merge->cap : 16;
        size_t *heap = reallocarray(merge->heap, cap, sizeof *heap);
        if (!heap)
            return cdc_fail_oom(err);
        merge->heap = heap;
        struct kfk_lane *lanes = reallocarray(merge->lanes, cap, sizeof *lanes);
        if (!lanes)
            return cdc_fail_oom(err);
        merge->lanes = lanes;
        merge->cap = cap;
    }
    merge->lanes[merge->n++] = (struct kfk_lane){.pos = pos, .top = pos};
    return CDC_OK;
}

/* ---- order ---- */

static int rank(char op)
{
    return op == CDC_OP_DELETE ? 0 : op == CDC_OP_MESSAGE ? 2 : 1;
}

static bool before(const struct kfk_merge *merge, size_t a, size_t b)
{
    const struct kfk_item *x = &merge->lanes[a].item, *y = &merge->lanes[b].item;
    int c = memcmp(x->seq, y->seq, CDC_SEQ_LEN);
    if (c == 0)
        c = rank(x->op) - rank(y->op);
    return c ? c < 0 : a < b;
}

static void sift_down(struct kfk_merge *merge)
{
    size_t *heap = merge->heap, lane = heap[0], at = 0;
    for (size_t kid; (kid = 2 * at + 1) < merge->n_heap; at = kid) {
        if (kid + 1 < merge->n_heap && before(merge, heap[kid + 1], heap[kid]))
            kid++;
        if (!before(merge, heap[kid], lane))
            break;
        heap[at] = heap[kid];
    }
    heap[at] = lane;
}

static void push(struct kfk_merge *merge, size_t lane)
{
    size_t at = merge->n_heap++;
    for (; at > 0 && before(merge, lane, merge->heap[(at - 1) / 2]); at = (at - 1) / 2)
        merge->heap[at] = merge->heap[(at - 1) / 2];
    merge->heap[at] = lane;
}

static void pop(struct kfk_merge *merge)
{
    merge->heap[0] = merge->heap[--merge->n_heap];
    if (merge->n_heap > 0)
        sift_down(merge);
}

/* ---- one lane ---- */

static bool seq_above(const uint8_t *seq, const char *bound)
{
    return !bound[0] || memcmp(seq, bound, CDC_SEQ_LEN) > 0;
}

bool kfk_lane_later(const struct kfk_merge *merge, const struct kfk_lane *lane)
{
    return lane->held && (lane->item.offset >= lane->top || seq_above(lane->item.seq, merge->seq));
}

/* Was it given by an earlier commit, or belongs to one that was passed over? */
static bool is_past(const struct kfk_lane *lane)
{
    return lane->item.offset < lane->past && !seq_above(lane->item.seq, lane->past_seq);
}

/* Every __seq of a stream is at least that of the commit before; sweeps and messages aside. */
static int check_floor(const struct kfk_merge *merge, const struct kfk_item *item,
                       struct cdc_error *err)
{
    if (item->op == CDC_OP_RANGE || item->op == CDC_OP_MESSAGE || !merge->floor[0] ||
        memcmp(item->seq, merge->floor, CDC_SEQ_LEN) >= 0)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, item->table,
                    "its topic now brings changes older than those already read: topics were "
                    "deleted and made again, or another pipeline of this name wrote to them; build "
                    "the replica anew in another file");
}

/* The lane's next record that counts into lane->item: CDC_OK, or CDC_END at the top. */
static int fetch(struct kfk_merge *merge, size_t i, struct cdc_error *err)
{
    struct kfk_lane *lane = &merge->lanes[i];
    while (lane->pos < lane->top) {
        struct kfk_item *item = &lane->item;
        int rc = merge->ops->next(merge->arg, i, item, err);
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_END) {
            if (item->offset > lane->pos)
                lane->pos = item->offset;
            continue;
        }
        lane->pos = item->offset;
        if (!item->tombstone && !is_past(lane)) {
            lane->held = true;
            return check_floor(merge, item, err);
        }
        lane->pos = item->offset + 1;
    }
    return CDC_END;
}

/* Puts the lane into the heap if its next record is of this commit. */
static int advance(struct kfk_merge *merge, size_t i, struct cdc_error *err)
{
    struct kfk_lane *lane = &merge->lanes[i];
    if (!lane->held) {
        int rc = fetch(merge, i, err);
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_END) {
            if (lane->started)
                merge->ops->stop(merge->arg, i);
            lane->started = false;
            return CDC_OK;
        }
    }
    if (!kfk_lane_later(merge, lane))
        push(merge, i);
    return CDC_OK;
}

static bool wanted(const struct kfk_lane *lane)
{
    return lane->held || lane->pos < lane->top;
}

static int prime(struct kfk_merge *merge, struct cdc_error *err)
{
    for (size_t i = 0; i < merge->n; i++) {
        struct kfk_lane *lane = &merge->lanes[i];
        if (!wanted(lane) || lane->started)
            continue;
        if (merge->ops->start(merge->arg, i, lane->pos, err) < 0)
            return CDC_FAIL;
        lane->started = true;
    }
    for (size_t i = 0; i < merge->n; i++)
        if (wanted(&merge->lanes[i]) && advance(merge, i, err) < 0)
            return CDC_FAIL;
    merge->primed = true;
    return CDC_OK;
}

/* ---- commits ---- */

/* What is left of the commit in this lane is not to be given any more. */
static void pass_over(const struct kfk_merge *merge, struct kfk_lane *lane)
{
    if (kfk_lane_later(merge, lane))
        return;
    if (lane->held) {
        lane->pos = lane->item.offset + 1;
        lane->held = false;
    }
    lane->past = lane->top;
    memcpy(lane->past_seq, merge->seq, sizeof lane->past_seq);
}

void kfk_merge_end(struct kfk_merge *merge)
{
    for (size_t i = 0; i < merge->n && merge->open; i++)
        pass_over(merge, &merge->lanes[i]);
    merge->n_heap = 0;
    merge->open = merge->primed = merge->moved = false;
}

void kfk_merge_begin(struct kfk_merge *merge, const char *seq)
{
    memcpy(merge->floor, merge->seq, sizeof merge->floor);
    snprintf(merge->seq, sizeof merge->seq, "%s", seq);
    merge->open = true;
}

/* A range delete comes out of every partition of its topic. CDC_END: it was given already. */
static int note_range(struct kfk_merge *merge, const struct kfk_item *item, struct cdc_error *err)
{
    struct cdc_slice seq = cdc_slice_of(item->seq, CDC_SEQ_LEN);
    if (cdc_slice_eq(cdc_map_get(&merge->ranges, item->table), seq))
        return CDC_END;
    return cdc_map_put(&merge->ranges, cdc_slice_str(item->table), seq) < 0 ? cdc_fail_oom(err)
                                                                            : CDC_OK;
}

/* The record at the top of the heap was given: its lane goes on. */
static int go_on(struct kfk_merge *merge, struct cdc_error *err)
{
    size_t i = merge->heap[0];
    struct kfk_lane *lane = &merge->lanes[i];
    lane->pos = lane->item.offset + 1;
    lane->held = merge->moved = false;
    int rc = fetch(merge, i, err);
    if (rc == CDC_OK && !kfk_lane_later(merge, lane)) {
        sift_down(merge);
        return CDC_OK;
    }
    pop(merge);
    if (rc == CDC_END) {
        merge->ops->stop(merge->arg, i);
        lane->started = false;
    }
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

int kfk_merge_next(struct kfk_merge *merge, struct cdc_feed_row *ret, const char **ret_table,
                   struct cdc_error *err)
{
    if (!merge->open)
        return CDC_END;
    if (!merge->primed && prime(merge, err) < 0)
        return CDC_FAIL;
    for (;;) {
        if (merge->moved && go_on(merge, err) < 0)
            return CDC_FAIL;
        if (merge->n_heap == 0) {
            merge->open = false;
            return CDC_END;
        }
        const struct kfk_item *item = &merge->lanes[merge->heap[0]].item;
        merge->moved = true;
        int rc = item->op == CDC_OP_RANGE ? note_range(merge, item, err) : CDC_OK;
        if (rc < 0)
            return CDC_FAIL;
        if (rc == CDC_END)
            continue;
        *ret = item->row;
        *ret_table = item->table;
        return CDC_OK;
    }
}
