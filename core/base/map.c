/*
 * map.c - see cdc/map.h. A sorted array: checkpoints have some thousands of keys at most, and are
 * read far more often than keys are added. Key and value of an item share no memory, so that a
 * value can change under a lent key.
 */
#include "cdc/map.h"

#include <jansson.h>
#include <stdlib.h>

void cdc_map_init(struct cdc_map *map)
{
    *map = (struct cdc_map){0};
}

void cdc_map_clear(struct cdc_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        free((void *)(uintptr_t)map->items[i].key.p);
        free((void *)(uintptr_t)map->items[i].value.p);
    }
    map->n = 0;
}

void cdc_map_done(struct cdc_map *map)
{
    cdc_map_clear(map);
    free(map->items);
    cdc_map_init(map);
}

static int compare(struct cdc_slice a, struct cdc_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Index of the key, or of where it would stand; *ret_found says which. */
static size_t find(const struct cdc_map *map, struct cdc_slice key, bool *ret_found)
{
    size_t low = 0, high = map->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare(map->items[mid].key, key);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

struct cdc_slice cdc_map_get(const struct cdc_map *map, const char *key)
{
    bool found;
    size_t at = find(map, cdc_slice_str(key), &found);
    return found ? map->items[at].value : cdc_slice_of(NULL, 0);
}

static uint8_t *copy(struct cdc_slice bytes)
{
    uint8_t *p = malloc(bytes.len + 1);
    if (p) {
        if (bytes.len)
            memcpy(p, bytes.p, bytes.len);
        p[bytes.len] = 0;
    }
    return p;
}

static int insert(struct cdc_map *map, size_t at, struct cdc_slice key)
{
    if (map->n == map->cap) {
        size_t cap = map->cap ? map->cap * 2 : 8;
        struct cdc_kv *items = realloc(map->items, cap * sizeof *items);
        if (!items)
            return CDC_FAIL;
        map->items = items;
        map->cap = cap;
    }
    uint8_t *own = copy(key);
    if (!own)
        return CDC_FAIL;
    memmove(map->items + at + 1, map->items + at, (map->n - at) * sizeof *map->items);
    map->items[at] = (struct cdc_kv){.key = cdc_slice_of(own, key.len)};
    map->n++;
    return CDC_OK;
}

int cdc_map_put(struct cdc_map *map, struct cdc_slice key, struct cdc_slice value)
{
    uint8_t *own = value.p ? copy(value) : NULL;
    if (value.p && !own)
        return CDC_FAIL;
    bool found;
    size_t at = find(map, key, &found);
    if (!found && insert(map, at, key) < 0) {
        free(own);
        return CDC_FAIL;
    }
    free((void *)(uintptr_t)map->items[at].value.p);
    map->items[at].value = cdc_slice_of(own, own ? value.len : 0);
    return CDC_OK;
}

int cdc_map_merge(struct cdc_map *map, const struct cdc_map *delta)
{
    for (size_t i = 0; i < delta->n; i++)
        if (cdc_map_put(map, delta->items[i].key, delta->items[i].value) < 0)
            return CDC_FAIL;
    return CDC_OK;
}

static void take_out(struct cdc_map *map, struct cdc_slice key)
{
    bool found;
    size_t at = find(map, key, &found);
    if (!found)
        return;
    free((void *)(uintptr_t)map->items[at].key.p);
    free((void *)(uintptr_t)map->items[at].value.p);
    map->n--;
    memmove(map->items + at, map->items + at + 1, (map->n - at) * sizeof *map->items);
}

int cdc_map_apply(struct cdc_map *map, const struct cdc_map *delta)
{
    for (size_t i = 0; i < delta->n; i++) {
        const struct cdc_kv *kv = &delta->items[i];
        if (!kv->value.p)
            take_out(map, kv->key);
        else if (cdc_map_put(map, kv->key, kv->value) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

int cdc_map_get_text(const struct cdc_map *map, const char *key, struct cdc_buf *ret,
                     struct cdc_error *err)
{
    struct cdc_slice value = cdc_map_get(map, key);
    if (!value.p)
        return CDC_END;
    json_t *json =
        json_loadb((const char *)value.p, value.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_string(json)) {
        json_decref(json);
        return cdc_fail(err, CDC_FATAL, key,
                        "the checkpoint's value is no JSON string: the sink's data is damaged");
    }
    cdc_buf_put(ret, json_string_value(json), json_string_length(json));
    json_decref(json);
    return ret->failed ? cdc_fail_oom(err) : CDC_OK;
}

int cdc_map_put_text(struct cdc_map *map, const char *key, struct cdc_slice text)
{
    json_t *json = json_stringn((const char *)text.p, text.len);
    char *dump = json ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = dump ? cdc_map_put(map, cdc_slice_str(key), cdc_slice_str(dump)) : CDC_FAIL;
    free(dump);
    json_decref(json);
    return rc;
}
