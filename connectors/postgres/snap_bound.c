/*
 * snap_bound.c - where a range of a table begins or ends, as text and as SQL.
 *
 *   ["1024","b"]           a key: its columns' texts, in the order of the index
 *   {"leaf":16384,"block":128}   a block of the heap of the table or of one of its partitions
 *
 * A key is compared by the operators and under the collation of the index that keeps it, whatever
 * their schema, so that the index can be used and has the very order in which bounds were found.
 * Rows are compared as rows where the operators allow it (ROW(a, b) >= ROW(x, y) is one scan of the
 * index); else column by column, with the first column alone as a condition in front.
 */
#include "snap.h"

#include <jansson.h>
#include <stdlib.h>

int pgs_bound_kind(struct cdc_slice text, enum pgs_bound_kind *ret)
{
    if (!text.p) {
        *ret = PGS_BOUND_OPEN;
        return CDC_OK;
    }
    if (text.len == 0 || (text.p[0] != '[' && text.p[0] != '{'))
        return CDC_FAIL;
    *ret = text.p[0] == '[' ? PGS_BOUND_KEY : PGS_BOUND_BLOCK;
    return CDC_OK;
}

static bool whole_number(const json_t *json, uint32_t *ret)
{
    json_int_t val = json_integer_value(json);
    *ret = (uint32_t)val;
    return json_is_integer(json) && val >= 0 && val <= UINT32_MAX;
}

int pgs_bound_block(struct cdc_slice text, struct pgs_block *ret)
{
    json_t *json = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool right = json_is_object(json) && json_object_size(json) == 2 &&
                 whole_number(json_object_get(json, "leaf"), &ret->leaf) &&
                 whole_number(json_object_get(json, "block"), &ret->block);
    json_decref(json);
    return right ? CDC_OK : CDC_FAIL;
}

void pgs_bound_put_block(struct pgs_block at, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, "{\"leaf\":%u,\"block\":%u}", at.leaf, at.block);
}

int pgs_bound_put_key(const char *const *texts, uint16_t n, struct cdc_buf *ret)
{
    json_t *json = json_array();
    bool right = json && n > 0;
    for (uint16_t i = 0; right && i < n; i++)
        right = json_array_append_new(json, json_string(texts[i])) == 0;
    char *text = right ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text)
        cdc_buf_str(ret, text);
    free(text);
    return text && !ret->failed ? CDC_OK : CDC_FAIL;
}

/* 'text'::type; E'...' means the same whatever standard_conforming_strings is. */
static void put_literal(const struct pgs_key_column *col, const json_t *val, struct cdc_buf *sql)
{
    const char *text = json_string_value(val);
    cdc_buf_str(sql, strchr(text, '\\') ? "E'" : "'");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            cdc_buf_byte(sql, (uint8_t)*text);
        cdc_buf_byte(sql, (uint8_t)*text);
    }
    cdc_buf_printf(sql, "'::%s", col->type);
}

static void put_rows(const struct pgs_key *key, const json_t *vals, bool below, struct cdc_buf *sql)
{
    cdc_buf_str(sql, "ROW(");
    for (uint16_t i = 0; i < key->n; i++)
        cdc_buf_printf(sql, "%s%s", i ? ", " : "", key->cols[i].expr);
    cdc_buf_str(sql, below ? ") < ROW(" : ") >= ROW(");
    for (uint16_t i = 0; i < key->n; i++) {
        cdc_buf_str(sql, i ? ", " : "");
        put_literal(&key->cols[i], json_array_get(vals, i), sql);
    }
    cdc_buf_str(sql, ")");
}

static void put_op(const struct pgs_key_column *col, const char *op, const json_t *val,
                   struct cdc_buf *sql)
{
    cdc_buf_printf(sql, "%s %s ", col->expr, op);
    put_literal(col, val, sql);
}

/* a > x OR (a = x AND (b > y OR (b = y AND c >= z))), and a >= x in front. */
static void put_columns(const struct pgs_key *key, const json_t *vals, bool below,
                        struct cdc_buf *sql)
{
    uint16_t last = (uint16_t)(key->n - 1);
    if (last > 0) {
        const struct pgs_key_column *col = &key->cols[0];
        cdc_buf_str(sql, below ? "NOT " : "");
        put_op(col, below ? col->gt : col->ge, json_array_get(vals, 0), sql);
        cdc_buf_str(sql, " AND (");
    }
    for (uint16_t i = 0; i < last; i++) {
        const struct pgs_key_column *col = &key->cols[i];
        put_op(col, below ? col->lt : col->gt, json_array_get(vals, i), sql);
        cdc_buf_str(sql, " OR (");
        put_op(col, col->eq, json_array_get(vals, i), sql);
        cdc_buf_str(sql, " AND (");
    }
    const struct pgs_key_column *col = &key->cols[last];
    put_op(col, below ? col->lt : col->ge, json_array_get(vals, last), sql);
    for (uint16_t i = 0; i < last; i++)
        cdc_buf_str(sql, "))");
    cdc_buf_str(sql, last > 0 ? ")" : "");
}

int pgs_bound_sql(const struct pgs_key *key, struct cdc_slice bound, bool below,
                  struct cdc_buf *sql)
{
    json_t *vals = json_loadb((const char *)bound.p, bound.len, 0, NULL);
    bool right = json_is_array(vals) && key->n > 0 && json_array_size(vals) == key->n;
    for (uint16_t i = 0; right && i < key->n; i++)
        right = json_is_string(json_array_get(vals, i));
    if (right && key->plain && key->n > 1)
        put_rows(key, vals, below, sql);
    else if (right)
        put_columns(key, vals, below, sql);
    json_decref(vals);
    return right && !sql->failed ? CDC_OK : CDC_FAIL;
}
