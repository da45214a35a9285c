/* store.c - see registry/store.h. Linear: a pipeline has some hundreds of schemas. */
#include "registry/store.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "schema/"

struct cdc_entry *cdc_store_add(struct cdc_store *store, const struct cdc_entry *entry)
{
    if (store->n == store->cap) {
        size_t cap = store->cap ? store->cap * 2 : 16;
        struct cdc_entry *items = realloc(store->items, cap * sizeof *items);
        if (!items)
            return NULL;
        store->items = items;
        store->cap = cap;
    }
    uint8_t *text = malloc(entry->text.len + 1);
    char *subject = strdup(entry->subject);
    if (!text || !subject) {
        free(text);
        free(subject);
        return NULL;
    }
    memcpy(text, entry->text.p, entry->text.len);
    text[entry->text.len] = 0;
    struct cdc_entry *item = &store->items[store->n++];
    *item = *entry;
    item->subject = subject;
    item->text.p = text;
    return item;
}

void cdc_store_done(struct cdc_store *store)
{
    for (size_t i = 0; i < store->n; i++) {
        free(store->items[i].subject);
        free((void *)(uintptr_t)store->items[i].text.p);
    }
    free(store->items);
    *store = (struct cdc_store){0};
}

/* One subject and version of a key's text. */
static int add_one(struct cdc_store *store, uint32_t id, const json_t *text, const json_t *subject,
                   const json_t *version)
{
    json_int_t n = json_integer_value(version);
    if (!json_is_string(subject) || n < 1 || n > INT32_MAX)
        return CDC_END;
    struct cdc_entry entry = {
        .subject = (char *)(uintptr_t)json_string_value(subject),
        .text = cdc_slice_of(json_string_value(text), json_string_length(text)),
        .id = id,
        .version = (uint32_t)n,
        .told = true,
    };
    return cdc_store_add(store, &entry) ? CDC_OK : CDC_FAIL;
}

/* CDC_END: damaged. */
static int load_key(struct cdc_store *store, const struct cdc_kv *kv)
{
    char *end;
    unsigned long id = strtoul((const char *)kv->key.p + strlen(PREFIX), &end, 10);
    json_t *json = json_loadb((const char *)kv->value.p, kv->value.len, 0, NULL);
    const json_t *text = json_object_get(json, "schema"), *also = json_object_get(json, "also");
    int rc = CDC_END;
    if (id > 0 && id <= INT32_MAX && !*end && json_is_string(text))
        rc = add_one(store, (uint32_t)id, text, json_object_get(json, "subject"),
                     json_object_get(json, "version"));
    for (size_t i = 0; rc == CDC_OK && i < json_array_size(also); i++) {
        const json_t *pair = json_array_get(also, i);
        rc = add_one(store, (uint32_t)id, text, json_array_get(pair, 0), json_array_get(pair, 1));
    }
    json_decref(json);
    return rc;
}

int cdc_store_load(struct cdc_store *store, const struct cdc_map *map, struct cdc_error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct cdc_kv *kv = &map->items[i];
        if (!kv->value.p || strncmp((const char *)kv->key.p, PREFIX, strlen(PREFIX)) != 0)
            continue;
        int rc = load_key(store, kv);
        if (rc == CDC_END)
            return cdc_fail(err, CDC_FATAL, (const char *)kv->key.p,
                            "the checkpoint's schema is damaged: run `sidestream fsck`");
        if (rc < 0)
            return cdc_fail_oom(err);
    }
    return CDC_OK;
}

struct cdc_entry *cdc_store_find(const struct cdc_store *store, const char *subject,
                                 struct cdc_slice text)
{
    for (size_t i = 0; i < store->n; i++)
        if (strcmp(store->items[i].subject, subject) == 0 &&
            cdc_slice_eq(store->items[i].text, text))
            return &store->items[i];
    return NULL;
}

const struct cdc_entry *cdc_store_by_id(const struct cdc_store *store, uint32_t id)
{
    for (size_t i = 0; i < store->n; i++)
        if (store->items[i].id == id)
            return &store->items[i];
    return NULL;
}

const struct cdc_entry *cdc_store_latest(const struct cdc_store *store, const char *subject,
                                         uint32_t below)
{
    const struct cdc_entry *best = NULL;
    for (size_t i = 0; i < store->n; i++) {
        const struct cdc_entry *e = &store->items[i];
        if (strcmp(e->subject, subject) == 0 && (!below || e->version < below) &&
            (!best || e->version > best->version))
            best = e;
    }
    return best;
}

/* All entries of this id with this text, as one value. NULL: no memory. */
static char *key_text(const struct cdc_store *store, const struct cdc_entry *entry)
{
    const struct cdc_entry *first = cdc_store_by_id(store, entry->id);
    json_t *json =
        json_pack("{s:s, s:i, s:s%}", "subject", first->subject, "version", (int)first->version,
                  "schema", (const char *)first->text.p, first->text.len);
    json_t *also = json_array();
    int rc = json && also ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < store->n; i++) {
        const struct cdc_entry *e = &store->items[i];
        if (e != first && e->id == first->id && cdc_slice_eq(e->text, first->text))
            rc = json_array_append_new(also, json_pack("[s, i]", e->subject, (int)e->version));
    }
    if (rc == 0 && json_array_size(also) > 0)
        rc = json_object_set(json, "also", also);
    char *text = rc == 0 ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(also);
    json_decref(json);
    return text;
}

int cdc_store_tell(struct cdc_store *store, struct cdc_entry *entry, struct cdc_map *delta)
{
    char key[32];
    snprintf(key, sizeof key, PREFIX "%u", entry->id);
    char *text = key_text(store, entry);
    int rc = text ? cdc_map_put(delta, cdc_slice_str(key), cdc_slice_str(text)) : CDC_FAIL;
    free(text);
    entry->told = rc == CDC_OK;
    return rc;
}
