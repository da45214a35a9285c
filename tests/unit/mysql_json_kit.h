/*
 * mysql_json_kit.h - JSON text as MySQL's binary JSON, in the small or the large form, and as the
 * server prints it; differences of documents as PARTIAL_UPDATE_ROWS has them.
 */
#ifndef TESTS_MYSQL_JSON_KIT_H
#define TESTS_MYSQL_JSON_KIT_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/json_diff.h"
#include "cm.h"

static inline void jk_le(struct cdc_buf *buf, uint64_t val, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cdc_buf_byte(buf, (uint8_t)(val >> (8 * i)));
}

static inline void jk_le_at(struct cdc_buf *buf, size_t at, uint64_t val, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf->p[at + i] = (uint8_t)(val >> (8 * i));
}

/* The server's order. */
static inline int jk_compare(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t n = strlen(x), m = strlen(y);
    return n != m ? (n < m ? -1 : 1) : memcmp(x, y, n);
}

#define JK_MAX 256 /* members of an object */

static inline size_t jk_keys(json_t *obj, const char *keys[JK_MAX])
{
    size_t n = 0;
    const char *key;
    json_t *val;
    json_object_foreach(obj, key, val)
    {
        assert_true(n < JK_MAX);
        keys[n++] = key;
    }
    qsort(keys, n, sizeof *keys, jk_compare);
    return n;
}

static inline json_t *jk_child(json_t *val, const char *const *keys, size_t i)
{
    return json_is_object(val) ? json_object_get(val, keys[i]) : json_array_get(val, i);
}

static inline uint8_t jk_type(const json_t *val, bool large)
{
    json_int_t n = json_integer_value(val);
    switch (json_typeof(val)) {
    case JSON_OBJECT: return large ? 1 : 0;
    case JSON_ARRAY: return large ? 3 : 2;
    case JSON_INTEGER: return n == (int16_t)n ? 5 : n == (int32_t)n ? 7 : 9;
    case JSON_REAL: return 11;
    case JSON_STRING: return 12;
    default: return 4;
    }
}

static inline void jk_scalar(struct cdc_buf *buf, const json_t *val)
{
    double real = json_real_value(val);
    size_t len = json_string_length(val);
    uint64_t bits;
    switch (jk_type(val, false)) {
    case 5: jk_le(buf, (uint64_t)json_integer_value(val), 2); break;
    case 7: jk_le(buf, (uint64_t)json_integer_value(val), 4); break;
    case 9: jk_le(buf, (uint64_t)json_integer_value(val), 8); break;
    case 11:
        memcpy(&bits, &real, 8);
        jk_le(buf, bits, 8);
        break;
    case 12:
        for (size_t left = len; left >= 128; left >>= 7)
            cdc_buf_byte(buf, (uint8_t)(left | 0x80));
        cdc_buf_byte(buf, (uint8_t)(len >> (len < 128 ? 0 : len < 16384 ? 7 : 14)));
        cdc_buf_put(buf, json_string_value(val), len);
        break;
    default: cdc_buf_byte(buf, json_is_true(val) ? 1 : json_is_false(val) ? 2 : 0); break;
    }
}

static inline void jk_value(struct cdc_buf *buf, json_t *val, bool large);

/* An entry's place was left at `at`: the value goes there if it is small, else behind all. */
static inline void jk_entry(struct cdc_buf *buf, size_t from, size_t at, json_t *val, bool large)
{
    unsigned width = large ? 4 : 2;
    uint8_t type = jk_type(val, large);
    struct cdc_buf small = CDC_BUF(64);
    buf->p[at] = type;
    if (type == 4 || type == 5 || (large && type == 7)) {
        jk_scalar(&small, val);
        memcpy(buf->p + at + 1, small.p, small.len);
        cdc_buf_done(&small);
        return;
    }
    jk_le_at(buf, at + 1, buf->len - from, width);
    jk_value(buf, val, large);
}

static inline void jk_box(struct cdc_buf *buf, json_t *val, bool large)
{
    const char *keys[JK_MAX];
    bool object = json_is_object(val);
    size_t n = object ? jk_keys(val, keys) : json_array_size(val), from = buf->len;
    unsigned width = large ? 4 : 2;
    jk_le(buf, n, width);
    jk_le(buf, 0, width);
    for (size_t i = 0; object && i < n; i++) {
        jk_le(buf, 0, width);
        jk_le(buf, strlen(keys[i]), 2);
    }
    size_t entries = buf->len;
    for (size_t i = 0; i < n * (1 + width); i++)
        cdc_buf_byte(buf, 0);
    for (size_t i = 0; object && i < n; i++) {
        jk_le_at(buf, from + 2 * width + i * (width + 2), buf->len - from, width);
        cdc_buf_str(buf, keys[i]);
    }
    for (size_t i = 0; i < n; i++)
        jk_entry(buf, from, entries + i * (1 + width), jk_child(val, keys, i), large);
    jk_le_at(buf, from + width, buf->len - from, width);
}

/* Without its type. */
static inline void jk_value(struct cdc_buf *buf, json_t *val, bool large)
{
    if (json_is_object(val) || json_is_array(val))
        jk_box(buf, val, large);
    else
        jk_scalar(buf, val);
}

static inline void jk_doc(struct cdc_buf *buf, json_t *val, bool large)
{
    cdc_buf_byte(buf, jk_type(val, large));
    jk_value(buf, val, large);
}

static inline void jk_print(struct cdc_buf *out, json_t *val)
{
    const char *keys[JK_MAX];
    bool object = json_is_object(val);
    if (!object && !json_is_array(val)) {
        char *text = json_dumps(val, JSON_ENCODE_ANY);
        cdc_buf_str(out, text);
        free(text);
        return;
    }
    size_t n = object ? jk_keys(val, keys) : json_array_size(val);
    cdc_buf_byte(out, object ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        cdc_buf_str(out, i ? ", " : "");
        if (object)
            cdc_buf_printf(out, "\"%s\": ", keys[i]);
        jk_print(out, jk_child(val, keys, i));
    }
    cdc_buf_byte(out, object ? '}' : ']');
}

static inline json_t *jk_parse(const char *text)
{
    json_error_t why;
    json_t *val = json_loads(text, JSON_DECODE_ANY, &why);
    if (!val)
        fail_msg("%s: %s", text, why.text);
    return val;
}

static inline void jk_sized(struct cdc_buf *buf, const void *p, size_t len)
{
    assert_true(len < 65536);
    if (len < 251) {
        cdc_buf_byte(buf, (uint8_t)len);
    } else {
        cdc_buf_byte(buf, 0xfc);
        jk_le(buf, len, 2);
    }
    cdc_buf_put(buf, p, len);
}

enum { JK_REPLACE, JK_INSERT, JK_REMOVE };

/* One difference behind those before; val NULL with JK_REMOVE. */
static inline void jk_diff(struct cdc_buf *buf, int op, const char *path, json_t *val, bool large)
{
    struct cdc_buf doc = CDC_BUF(1 << 20);
    cdc_buf_byte(buf, (uint8_t)op);
    jk_sized(buf, path, strlen(path));
    if (op == JK_REMOVE)
        return;
    jk_doc(&doc, val, large);
    jk_sized(buf, doc.p, doc.len);
    cdc_buf_done(&doc);
}

/* ---- what the tests share ---- */

static inline struct cdc_slice jk_exact(const void *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, p, len);
    return cdc_slice_of(copy, len);
}

static inline void jk_drop(struct cdc_slice bytes)
{
    free((void *)(uintptr_t)bytes.p);
}

/* From copies of exactly that length. */
static inline int jk_apply(struct cdc_slice doc, struct cdc_slice diffs, struct cdc_buf *out)
{
    struct cdc_slice a = jk_exact(doc.p, doc.len), b = jk_exact(diffs.p, diffs.len);
    cdc_buf_reset(out);
    int rc = mys_json_diff(a, b, out);
    jk_drop(a);
    jk_drop(b);
    return rc;
}

#endif
