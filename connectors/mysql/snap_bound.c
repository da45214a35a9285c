/*
 * snap_bound.c - where a range of a table begins or ends, as text and as SQL. Pure.
 *
 *   ["#9ae0daaf","1024","6162"]    which key it is of, and a text for each of its columns
 *
 * The first text is a checksum of names, forms and collations: a primary key or a collation that
 * is changed while a table is copied would give the ranges another meaning, and is noticed.
 *
 * A column is compared in the order in which the index keeps it: strings under their own
 * collation, ENUM and SET by number. Strings are hex digits of their bytes in their own charset:
 * nothing is converted on the way. Rows are compared column by column, with the first column alone
 * as a condition in front, since the servers find ranges of an index for OR and AND and not for
 * (a, b) >= (x, y). What is not a text of ours does not get into SQL.
 */
#include "snap.h"

#include "cdc/crc32c.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what can be in a key ---- */

static const struct {
    const char *type; /* DATA_TYPE */
    enum mys_key_form form;
} forms[] = {
    {"tinyint", MYS_KEY_NUMBER},   {"smallint", MYS_KEY_NUMBER}, {"mediumint", MYS_KEY_NUMBER},
    {"int", MYS_KEY_NUMBER},       {"bigint", MYS_KEY_NUMBER},   {"decimal", MYS_KEY_NUMBER},
    {"float", MYS_KEY_FLOAT},      {"double", MYS_KEY_FLOAT},    {"bit", MYS_KEY_BIT},
    {"enum", MYS_KEY_INDEX},       {"set", MYS_KEY_INDEX},       {"year", MYS_KEY_QUOTED},
    {"date", MYS_KEY_QUOTED},      {"time", MYS_KEY_QUOTED},     {"datetime", MYS_KEY_QUOTED},
    {"timestamp", MYS_KEY_QUOTED}, {"uuid", MYS_KEY_QUOTED},     {"inet4", MYS_KEY_QUOTED},
    {"inet6", MYS_KEY_QUOTED},     {"binary", MYS_KEY_BYTES},    {"varbinary", MYS_KEY_BYTES},
    {"char", MYS_KEY_TEXT},        {"varchar", MYS_KEY_TEXT},
};

bool mys_key_form_of(const char *data_type, enum mys_key_form *ret)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].type, data_type) == 0) {
            *ret = forms[i].form;
            return true;
        }
    return false;
}

void mys_key_done(struct mys_key *key)
{
    cdc_arena_free(key->arena);
    *key = (struct mys_key){.n = 0};
}

void mys_key_select(const struct mys_key *key, struct cdc_buf *sql)
{
    static const char *const before[] = {
        [MYS_KEY_NUMBER] = "", [MYS_KEY_FLOAT] = "(",    [MYS_KEY_INDEX] = "(",
        [MYS_KEY_QUOTED] = "", [MYS_KEY_BYTES] = "HEX(", [MYS_KEY_TEXT] = "HEX(",
        [MYS_KEY_BIT] = "("};
    static const char *const behind[] = {
        [MYS_KEY_NUMBER] = "",  [MYS_KEY_FLOAT] = " * 1e0)", [MYS_KEY_INDEX] = " + 0)",
        [MYS_KEY_QUOTED] = "",  [MYS_KEY_BYTES] = ")",       [MYS_KEY_TEXT] = ")",
        [MYS_KEY_BIT] = " + 0)"};
    for (uint16_t i = 0; i < key->n; i++) {
        const struct mys_key_column *col = &key->cols[i];
        cdc_buf_printf(sql, "%s%s%s%s", i ? ", " : "", before[col->form], col->quoted,
                       behind[col->form]);
    }
}

/* ---- texts ---- */

#define MARK 9 /* # and 8 digits */

static void put_mark(const struct mys_key *key, char ret[MARK + 1])
{
    uint32_t crc = 0;
    for (uint16_t i = 0; i < key->n; i++) {
        const struct mys_key_column *col = &key->cols[i];
        /* A BIT was an INDEX once: a copy that had begun then goes on. */
        const uint8_t form = (uint8_t)(col->form == MYS_KEY_BIT ? MYS_KEY_INDEX : col->form);
        crc = cdc_crc32c(crc, col->quoted, strlen(col->quoted) + 1);
        crc = cdc_crc32c(crc, &form, sizeof form);
        crc = cdc_crc32c(crc, col->collation, strlen(col->collation) + 1);
    }
    snprintf(ret, MARK + 1, "#%08x", (unsigned)crc);
}

static bool all_of(const char *text, const char *allowed)
{
    return *text && text[strspn(text, allowed)] == 0;
}

static bool hex(const char *text)
{
    return text[strspn(text, "0123456789abcdefABCDEF")] == 0 && strlen(text) % 2 == 0;
}

static bool fits(const struct mys_key_column *col, const char *text)
{
    switch (col->form) {
    case MYS_KEY_NUMBER: return all_of(text, "0123456789.-");
    case MYS_KEY_FLOAT: return all_of(text, "0123456789.-+e");
    case MYS_KEY_INDEX:
    case MYS_KEY_BIT: return all_of(text, "0123456789");
    case MYS_KEY_QUOTED: return all_of(text, "0123456789abcdefABCDEF.:- ");
    case MYS_KEY_BYTES:
    case MYS_KEY_TEXT: break;
    }
    return hex(text);
}

int mys_bound_put(const struct mys_key *key, const char *const *texts, struct cdc_buf *ret)
{
    char mark[MARK + 1];
    json_t *json = json_array();
    put_mark(key, mark);
    bool right = key->n > 0 && json_array_append_new(json, json_string(mark)) == 0;
    for (uint16_t i = 0; right && i < key->n; i++)
        right = texts[i] && fits(&key->cols[i], texts[i]) &&
                json_array_append_new(json, json_string(texts[i])) == 0;
    char *text = right ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text)
        cdc_buf_str(ret, text);
    free(text);
    return text && !ret->failed ? CDC_OK : CDC_FAIL;
}

/* The bound's array, of that key; NULL: it is none. */
static json_t *load(const struct mys_key *key, struct cdc_slice bound)
{
    char mark[MARK + 1];
    json_t *json = json_loadb((const char *)bound.p, bound.len, 0, NULL);
    const char *text = json_string_value(json_array_get(json, 0));
    put_mark(key, mark);
    bool right =
        key->n > 0 && json_array_size(json) == key->n + 1u && text && strcmp(text, mark) == 0;
    for (uint16_t i = 0; right && i < key->n; i++) {
        text = json_string_value(json_array_get(json, i + 1u));
        right = text && fits(&key->cols[i], text);
    }
    if (right)
        return json;
    json_decref(json);
    return NULL;
}

bool mys_bound_fits(const struct mys_key *key, struct cdc_slice bound)
{
    json_t *json = load(key, bound);
    json_decref(json);
    return json != NULL;
}

/* ---- SQL ---- */

static void put_compare(const struct mys_key_column *col, const char *op, const json_t *val,
                        struct cdc_buf *sql)
{
    const char *text = json_string_value(val);
    const char *add = col->form == MYS_KEY_INDEX ? " + 0" : "";
    cdc_buf_printf(sql, "%s%s %s ", col->quoted, add, op);
    switch (col->form) {
    case MYS_KEY_NUMBER:
    case MYS_KEY_BIT:
    case MYS_KEY_INDEX: cdc_buf_str(sql, text); break;
    case MYS_KEY_FLOAT: cdc_buf_printf(sql, "%s%s", text, strchr(text, 'e') ? "" : "e0"); break;
    case MYS_KEY_QUOTED: cdc_buf_printf(sql, "'%s'", text); break;
    case MYS_KEY_BYTES: cdc_buf_printf(sql, "X'%s'", text); break;
    case MYS_KEY_TEXT: cdc_buf_printf(sql, "_%s X'%s'", col->charset, text); break;
    }
}

/* a >= x AND (a > x OR (a = x AND (b > y OR (b = y AND c >= z)))); below: with < and <=. */
static void put_columns(const struct mys_key *key, const json_t *json, bool below,
                        struct cdc_buf *sql)
{
    uint16_t last = (uint16_t)(key->n - 1);
    if (last > 0) {
        put_compare(&key->cols[0], below ? "<=" : ">=", json_array_get(json, 1), sql);
        cdc_buf_str(sql, " AND (");
    }
    for (uint16_t i = 0; i < last; i++) {
        put_compare(&key->cols[i], below ? "<" : ">", json_array_get(json, i + 1u), sql);
        cdc_buf_str(sql, " OR (");
        put_compare(&key->cols[i], "=", json_array_get(json, i + 1u), sql);
        cdc_buf_str(sql, " AND (");
    }
    put_compare(&key->cols[last], below ? "<" : ">=", json_array_get(json, key->n), sql);
    for (uint16_t i = 0; i < last; i++)
        cdc_buf_str(sql, "))");
    cdc_buf_str(sql, last > 0 ? ")" : "");
}

bool mys_bound_whole(const struct mys_key *key, struct cdc_slice bound, int64_t *ret)
{
    json_t *json = key->n == 1 && key->cols[0].form == MYS_KEY_NUMBER ? load(key, bound) : NULL;
    const char *text = json_string_value(json_array_get(json, 1));
    size_t minus = text && text[0] == '-';
    bool whole = text && all_of(text + minus, "0123456789");
    errno = 0;
    int64_t val = whole ? strtoll(text, NULL, 10) : 0;
    whole = whole && errno == 0;
    if (whole)
        *ret = val;
    json_decref(json);
    return whole;
}

int mys_bound_sql(const struct mys_key *key, struct cdc_slice bound, bool below,
                  struct cdc_buf *sql)
{
    json_t *json = load(key, bound);
    if (!json)
        return CDC_FAIL;
    put_columns(key, json, below, sql);
    json_decref(json);
    return sql->failed ? CDC_FAIL : CDC_OK;
}

int mys_range_sql(const struct mys_key *key, const struct cdc_range *range, struct cdc_buf *sql)
{
    const struct cdc_slice bounds[] = {range->from, range->to};
    for (int i = 0; i < 2; i++) {
        if (!bounds[i].p)
            continue;
        cdc_buf_str(sql, " AND (");
        if (mys_bound_sql(key, bounds[i], i == 1, sql) != CDC_OK)
            return CDC_FAIL;
        cdc_buf_str(sql, ")");
    }
    return sql->failed ? CDC_FAIL : CDC_OK;
}
