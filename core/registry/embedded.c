/* embedded.c - see embedded.h. */
#include "registry/embedded.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
    char *subject;
    struct cdc_slice text;
    uint32_t id, version;
};

struct cdc_registry {
    struct entry *entries;
    size_t n, cap;
    uint32_t last_id; /* highest given out, or id_base */
};

static int add(struct cdc_registry *reg, uint32_t id, uint32_t version, const char *subject,
               struct cdc_slice text)
{
    if (reg->n == reg->cap) {
        size_t cap = reg->cap ? reg->cap * 2 : 16;
        struct entry *entries = realloc(reg->entries, cap * sizeof *entries);
        if (!entries)
            return CDC_FAIL;
        reg->entries = entries;
        reg->cap = cap;
    }
    uint8_t *copy = malloc(text.len + 1);
    char *name = strdup(subject);
    if (!copy || !name) {
        free(copy);
        free(name);
        return CDC_FAIL;
    }
    memcpy(copy, text.p, text.len);
    reg->entries[reg->n++] = (struct entry){
        .subject = name, .text = cdc_slice_of(copy, text.len), .id = id, .version = version};
    if (id > reg->last_id)
        reg->last_id = id;
    return CDC_OK;
}

static int load(struct cdc_registry *reg, const struct cdc_kv *kv, struct cdc_error *err)
{
    const char *key = (const char *)kv->key.p;
    unsigned long id = strtoul(key + strlen("schema/"), NULL, 10);
    json_t *json = json_loadb((const char *)kv->value.p, kv->value.len, 0, NULL);
    const char *subject = json_string_value(json_object_get(json, "subject"));
    json_t *text = json_object_get(json, "schema");
    json_int_t version = json_integer_value(json_object_get(json, "version"));
    int rc;
    if (id == 0 || id > INT32_MAX || !subject || !json_is_string(text) || version < 1)
        rc = cdc_fail(err, CDC_FATAL, key,
                      "the checkpoint's schema is damaged: run `sidestream fsck`");
    else if (add(reg, (uint32_t)id, (uint32_t)version, subject,
                 cdc_slice_of(json_string_value(text), json_string_length(text))) < 0)
        rc = cdc_fail_oom(err);
    else
        rc = CDC_OK;
    json_decref(json);
    return rc;
}

int cdc_registry_new(const struct cdc_map *checkpoint, int64_t id_base, struct cdc_registry **ret,
                     struct cdc_error *err)
{
    struct cdc_registry *reg = calloc(1, sizeof *reg);
    if (!reg)
        return cdc_fail_oom(err);
    reg->last_id = (uint32_t)id_base;
    for (size_t i = 0; i < checkpoint->n; i++) {
        const struct cdc_kv *kv = &checkpoint->items[i];
        if (kv->value.p && strncmp((const char *)kv->key.p, "schema/", 7) == 0 &&
            load(reg, kv, err) < 0) {
            cdc_registry_free(reg);
            return CDC_FAIL;
        }
    }
    *ret = reg;
    return CDC_OK;
}

void cdc_registry_free(struct cdc_registry *reg)
{
    if (!reg)
        return;
    for (size_t i = 0; i < reg->n; i++) {
        free(reg->entries[i].subject);
        free((void *)(uintptr_t)reg->entries[i].text.p);
    }
    free(reg->entries);
    free(reg);
}

static int put_key(const struct entry *e, struct cdc_map *delta)
{
    char key[32];
    snprintf(key, sizeof key, "schema/%u", e->id);
    json_t *json = json_pack("{s:s, s:i, s:s%}", "subject", e->subject, "version", (int)e->version,
                             "schema", (const char *)e->text.p, e->text.len);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int rc = text ? cdc_map_put(delta, cdc_slice_str(key), cdc_slice_str(text)) : CDC_FAIL;
    free(text);
    json_decref(json);
    return rc;
}

int cdc_registry_id(struct cdc_registry *reg, const char *subject, struct cdc_slice text,
                    struct cdc_map *delta, uint32_t *ret, struct cdc_error *err)
{
    uint32_t version = 0;
    for (size_t i = 0; i < reg->n; i++) {
        const struct entry *e = &reg->entries[i];
        if (strcmp(e->subject, subject) != 0)
            continue;
        if (cdc_slice_eq(e->text, text)) {
            *ret = e->id;
            return CDC_OK;
        }
        if (e->version > version)
            version = e->version;
    }
    if (reg->last_id >= INT32_MAX)
        return cdc_fail(err, CDC_OPERATOR, subject,
                        "the registry has given out its last id: lower registry.id_base");
    if (add(reg, reg->last_id + 1, version + 1, subject, text) < 0 ||
        put_key(&reg->entries[reg->n - 1], delta) < 0)
        return cdc_fail_oom(err);
    *ret = reg->entries[reg->n - 1].id;
    return CDC_AGAIN;
}
