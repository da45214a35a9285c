/* states.c - see snapshot/states.h. */
#include "snapshot/states.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdc/crc32c.h"
#include "cdc/view.h"

static const char *const names[] = {"none", "copying", "done", "failed"};

const char *cdc_copy_kind_name(enum cdc_copy_kind kind)
{
    return names[kind];
}

/* ---- pieces ---- */

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void drop_pieces(struct cdc_copy_state *st)
{
    for (size_t i = 0; i < st->n; i++) {
        free(st->pieces[i].from);
        free(st->pieces[i].to);
        st->pieces[i] = (struct cdc_piece){.kind = CDC_PIECE_TODO};
    }
    st->n = 0;
}

void cdc_copy_state_init(struct cdc_copy_state *st)
{
    *st = (struct cdc_copy_state){.kind = CDC_COPY_NONE};
}

void cdc_copy_state_done(struct cdc_copy_state *st)
{
    drop_pieces(st);
    free(st->pieces);
    free(st->why);
    *st = (struct cdc_copy_state){.kind = CDC_COPY_NONE};
    st->pieces = NULL;
    st->why = NULL;
}

bool cdc_copy_shape(struct cdc_copy_state *st, const struct cdc_table *tab)
{
    char shape[sizeof st->shape];
    uint32_t crc = cdc_crc32c(0, &tab->id, sizeof tab->id);
    for (uint16_t i = 0; i < tab->n; i++) {
        const struct cdc_column *col = &tab->cols[i];
        crc = cdc_crc32c(crc, col->name, strlen(col->name) + 1);
        crc = cdc_crc32c(crc, col->type, strlen(col->type) + 1);
        crc = cdc_crc32c(crc, &col->type_mod, sizeof col->type_mod);
        crc = cdc_crc32c(crc, &col->key, sizeof col->key);
    }
    if (tab->rule && tab->rule->copy_where)
        crc = cdc_crc32c(crc, tab->rule->copy_where, strlen(tab->rule->copy_where));
    snprintf(shape, sizeof shape, "%08x", crc);
    bool other = st->shape[0] && strcmp(st->shape, shape) != 0;
    memcpy(st->shape, shape, sizeof shape);
    return other;
}

/* Room for one more at `at`; its bounds are copied. */
static int insert(struct cdc_copy_state *st, size_t at, const struct cdc_piece *piece)
{
    if (st->n == st->cap) {
        size_t cap = st->cap ? st->cap * 2 : 4;
        struct cdc_piece *pieces = realloc(st->pieces, cap * sizeof *pieces);
        if (!pieces)
            return CDC_FAIL;
        st->pieces = pieces;
        st->cap = cap;
    }
    struct cdc_piece copy = {.kind = piece->kind,
                             .from = piece->from ? strdup(piece->from) : NULL,
                             .to = piece->to ? strdup(piece->to) : NULL};
    if ((piece->from && !copy.from) || (piece->to && !copy.to)) {
        free(copy.from);
        free(copy.to);
        return CDC_FAIL;
    }
    memmove(&st->pieces[at + 1], &st->pieces[at], (st->n - at) * sizeof *st->pieces);
    st->pieces[at] = copy;
    st->n++;
    return CDC_OK;
}

int cdc_copy_whole(struct cdc_copy_state *st)
{
    const struct cdc_piece all = {.kind = CDC_PIECE_TODO};
    drop_pieces(st);
    st->rows = 0;
    return insert(st, 0, &all);
}

int cdc_copy_restart(struct cdc_copy_state *st, uint32_t generation)
{
    st->kind = CDC_COPY_COPYING;
    st->generation = generation;
    st->began[0] = st->shape[0] = st->end[0] = 0;
    st->end_us = 0;
    free(st->why);
    st->why = NULL;
    return cdc_copy_whole(st);
}

/* Pieces i and i + 1 become one, if they are of one kind and neither is being read. */
static bool join(struct cdc_copy_state *st, size_t i)
{
    struct cdc_piece *a = &st->pieces[i], *b = a + 1;
    if (i + 1 >= st->n || a->kind != b->kind || a->kind == CDC_PIECE_BUSY)
        return false;
    free(a->to);
    free(b->from);
    a->to = b->to;
    b->from = b->to = NULL;
    st->n--;
    for (size_t k = i + 1; k < st->n; k++)
        st->pieces[k] = st->pieces[k + 1];
    return true;
}

static void join_around(struct cdc_copy_state *st, size_t i)
{
    join(st, i);
    if (i > 0)
        join(st, i - 1);
}

void cdc_copy_give_up(struct cdc_copy_state *st)
{
    for (size_t i = 0; i < st->n; i++)
        if (st->pieces[i].kind == CDC_PIECE_BUSY)
            st->pieces[i].kind = CDC_PIECE_TODO;
    for (size_t i = 0; i + 1 < st->n;)
        if (!join(st, i))
            i++;
}

int cdc_copy_next(const struct cdc_copy_state *st)
{
    for (size_t i = 0; i < st->n; i++)
        if (st->pieces[i].kind == CDC_PIECE_TODO)
            return (int)i;
    return -1;
}

int cdc_copy_take(struct cdc_copy_state *st, int at, const char *cut)
{
    struct cdc_piece *piece = &st->pieces[at];
    if (cut) {
        struct cdc_piece rest = {
            .kind = CDC_PIECE_TODO, .from = (char *)(uintptr_t)cut, .to = piece->to};
        char *to = strdup(cut);
        if (!to || insert(st, (size_t)at + 1, &rest) < 0) {
            free(to);
            return CDC_FAIL;
        }
        piece = &st->pieces[at];
        free(piece->to);
        piece->to = to;
    }
    piece->kind = CDC_PIECE_BUSY;
    return CDC_OK;
}

void cdc_copy_settle(struct cdc_copy_state *st, const char *from, const char *to, bool done)
{
    for (size_t i = 0; i < st->n; i++) {
        struct cdc_piece *piece = &st->pieces[i];
        if (piece->kind == CDC_PIECE_BUSY && same(piece->from, from) && same(piece->to, to)) {
            piece->kind = done ? CDC_PIECE_DONE : CDC_PIECE_TODO;
            join_around(st, i);
            return;
        }
    }
}

bool cdc_copy_complete(const struct cdc_copy_state *st)
{
    return st->n == 1 && st->pieces[0].kind == CDC_PIECE_DONE;
}

/* ---- the checkpoint's text ---- */

static json_t *bound(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *ranges_json(const struct cdc_copy_state *st)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < st->n; i++) {
        const struct cdc_piece *piece = &st->pieces[i];
        if (piece->kind != CDC_PIECE_DONE)
            continue;
        json_t *pair = json_array();
        if (json_array_append_new(pair, bound(piece->from)) < 0 ||
            json_array_append_new(pair, bound(piece->to)) < 0 ||
            json_array_append_new(list, pair) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int cdc_copy_json(const struct cdc_copy_state *st, bool ranges, struct cdc_buf *ret)
{
    json_t *json = json_pack("{s:s,s:i,s:i,s:s,s:I}", "state", names[st->kind], "generation",
                             (int)st->generation, "incarnation", (int)st->incarnation, "began",
                             st->began, "rows", (json_int_t)st->rows);
    int rc = json ? 0 : -1;
    if (rc == 0 && ranges && st->kind != CDC_COPY_DONE)
        rc = json_object_set_new(json, "ranges", ranges_json(st));
    if (rc == 0 && st->shape[0] && st->kind != CDC_COPY_DONE)
        rc = json_object_set_new(json, "shape", json_string(st->shape));
    if (rc == 0 && st->asked)
        rc = json_object_set_new(json, "asked", json_true());
    if (rc == 0 && st->end[0])
        rc = json_object_set_new(json, "end", json_string(st->end));
    if (rc == 0 && st->end_us && st->kind == CDC_COPY_DONE)
        rc = json_object_set_new(json, "ended", json_integer(st->end_us));
    if (rc == 0 && st->only)
        rc = json_object_set_new(json, "only", json_true());
    if (rc == 0 && st->why)
        rc = json_object_set_new(json, "why", json_string(st->why));
    char *text = rc == 0 ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text)
        cdc_buf_str(ret, text);
    free(text);
    json_decref(json);
    return text && !ret->failed ? CDC_OK : CDC_FAIL;
}

static int damaged(const char *key, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, key,
                    "the state of the table's copy in the checkpoint is damaged; run `sidestream "
                    "fsck`, and restore the sink's data if it finds damage");
}

static int add_range(struct cdc_copy_state *st, const json_t *range)
{
    const json_t *from = json_array_get(range, 0), *to = json_array_get(range, 1);
    if (json_array_size(range) != 2 || (!json_is_null(from) && !json_is_string(from)) ||
        (!json_is_null(to) && !json_is_string(to)))
        return CDC_END;
    /* The last piece is the rest; cut what lies before the range off it, then the range itself. */
    size_t last = st->n - 1;
    const char *begin = json_string_value(from), *end = json_string_value(to);
    if (st->pieces[last].kind != CDC_PIECE_TODO || (!begin && st->pieces[last].from))
        return CDC_END;
    if (begin && !same(begin, st->pieces[last].from)) {
        if (cdc_copy_take(st, (int)last, begin) < 0)
            return CDC_FAIL;
        st->pieces[last++].kind = CDC_PIECE_TODO;
    }
    if (cdc_copy_take(st, (int)last, end) < 0)
        return CDC_FAIL;
    st->pieces[last].kind = CDC_PIECE_DONE;
    return CDC_OK;
}

static int read_ranges(struct cdc_copy_state *st, const json_t *list)
{
    uint64_t rows = st->rows;
    int rc = cdc_copy_whole(st);
    for (size_t i = 0; rc == CDC_OK && i < json_array_size(list); i++)
        rc = add_range(st, json_array_get(list, i));
    st->rows = json_array_size(list) ? rows : 0;
    return rc;
}

static int kind_of(const char *name)
{
    for (int i = CDC_COPY_COPYING; name && i <= CDC_COPY_FAILED; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return CDC_COPY_NONE;
}

static int read_state(const json_t *json, struct cdc_copy_state *ret)
{
    const char *began = json_string_value(json_object_get(json, "began"));
    const char *why = json_string_value(json_object_get(json, "why"));
    const char *shape = json_string_value(json_object_get(json, "shape"));
    const char *end = json_string_value(json_object_get(json, "end"));
    ret->kind = (enum cdc_copy_kind)kind_of(json_string_value(json_object_get(json, "state")));
    ret->generation = (uint32_t)json_integer_value(json_object_get(json, "generation"));
    ret->incarnation = (uint32_t)json_integer_value(json_object_get(json, "incarnation"));
    ret->rows = (uint64_t)json_integer_value(json_object_get(json, "rows"));
    ret->end_us = json_integer_value(json_object_get(json, "ended"));
    ret->asked = json_is_true(json_object_get(json, "asked"));
    ret->only = json_is_true(json_object_get(json, "only"));
    if (ret->kind == CDC_COPY_NONE || ret->generation == 0 ||
        (began && *began && strlen(began) != CDC_PLACE_LEN) ||
        (end && strlen(end) != CDC_PLACE_LEN))
        return CDC_END;
    snprintf(ret->end, sizeof ret->end, "%s", end ? end : "");
    snprintf(ret->began, sizeof ret->began, "%s", began ? began : "");
    snprintf(ret->shape, sizeof ret->shape, "%s", shape ? shape : "");
    ret->why = why ? strdup(why) : NULL;
    if (why && !ret->why)
        return CDC_FAIL;
    return ret->kind == CDC_COPY_DONE ? CDC_OK : read_ranges(ret, json_object_get(json, "ranges"));
}

int cdc_copy_parse(const char *key, struct cdc_slice json, struct cdc_copy_state *ret,
                   struct cdc_error *err)
{
    json_t *object = json.p ? json_loadb((const char *)json.p, json.len, 0, NULL) : NULL;
    cdc_copy_state_done(ret);
    int rc = json_is_object(object) ? read_state(object, ret) : CDC_END;
    json_decref(object);
    if (rc != CDC_OK)
        cdc_copy_state_done(ret);
    return rc == CDC_END ? damaged(key, err) : rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

/* ---- the sweep ---- */

int cdc_copy_sweep(const struct cdc_copy_state *st, struct cdc_table *tab, int64_t commit_us,
                   struct cdc_batch *batch)
{
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    struct cdc_change *chg = tx ? cdc_batch_add(batch, tab) : NULL;
    if (!chg)
        return CDC_FAIL;
    memcpy(tx->place, st->began, CDC_PLACE_LEN);
    tx->commit_us = commit_us;
    chg->op = CDC_OP_RANGE;
    chg->flags = CDC_INFERRED;
    chg->tx = tx;
    chg->ordinal = CDC_READ_ORDINAL(st->generation);
    return CDC_OK;
}
