/* registry.c - see registry/registry.h: what both registries have in common. */
#include "registry/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"

int cdc_registry_open(const struct cdc_section *sec, const struct cdc_map *checkpoint,
                      const atomic_bool *stop, struct cdc_registry **ret, struct cdc_error *err)
{
    struct cdc_registry *reg = NULL;
    int rc = cdc_get_choice(sec, "type") == CDC_REGISTRY_HTTP
                 ? cdc_http_registry_new(sec, stop, &reg, err)
                 : cdc_embedded_new(sec, &reg, err);
    if (rc != CDC_OK)
        return rc;
    reg->sec = sec;
    reg->level_given = cdc_given(sec, "compatibility");
    if (reg->level_given)
        reg->level = (enum cdc_compat_level)cdc_get_choice(sec, "compatibility");
    if (cdc_store_load(&reg->store, checkpoint, err) < 0) {
        cdc_registry_free(reg);
        return CDC_FAIL;
    }
    *ret = reg;
    return CDC_OK;
}

const char *cdc_registry_level(const struct cdc_section *sec)
{
    if (!cdc_given(sec, "compatibility"))
        return cdc_compat_level_name(CDC_COMPAT_BACKWARD);
    return cdc_compat_level_name((enum cdc_compat_level)cdc_get_choice(sec, "compatibility"));
}

void cdc_registry_free(struct cdc_registry *reg)
{
    if (!reg)
        return;
    cdc_store_done(&reg->store);
    reg->ops->free(reg);
}

/* What the table uses until now; NULL: nothing that is known. */
static const struct cdc_entry *before_of(const struct cdc_registry *reg,
                                         const struct cdc_registry_want *want)
{
    const struct cdc_entry *before =
        want->current ? cdc_store_by_id(&reg->store, want->current) : NULL;
    return before ? before : cdc_store_latest(&reg->store, want->subject, 0);
}

bool cdc_registry_would_wait(const struct cdc_registry *reg, const struct cdc_registry_want *want)
{
    const struct cdc_entry *before = before_of(reg, want);
    if (want->key && before && !cdc_slice_eq(before->text, want->text))
        return true;
    if (cdc_store_find(&reg->store, want->subject, want->text))
        return false;
    return reg->ops->asks || before != NULL;
}

int cdc_registry_check(struct cdc_registry *reg, const struct cdc_registry_want *want,
                       struct cdc_buf *ret_why, struct cdc_error *err)
{
    const struct cdc_entry *before = before_of(reg, want);
    if (want->force)
        return CDC_OK;
    if (want->key && before)
        return cdc_keys_follow(before->text, want->text, ret_why, err);
    if (cdc_store_find(&reg->store, want->subject, want->text))
        return CDC_OK;
    return reg->ops->check(reg, want, before, ret_why, err);
}

int cdc_registry_id(struct cdc_registry *reg, const struct cdc_registry_want *want,
                    struct cdc_map *delta, uint32_t *ret, struct cdc_buf *ret_why,
                    struct cdc_error *err)
{
    struct cdc_entry *entry = cdc_store_find(&reg->store, want->subject, want->text);
    if (!entry) {
        int rc = reg->ops->give(reg, want, ret_why, err);
        if (rc != CDC_OK)
            return rc;
        entry = cdc_store_find(&reg->store, want->subject, want->text);
    }
    *ret = entry->id;
    if (entry->told)
        return CDC_OK;
    return cdc_store_tell(&reg->store, entry, delta) < 0 ? cdc_fail_oom(err) : CDC_AGAIN;
}

/* CDC_END: no schema; CDC_FAIL only for want of memory is not told apart, and treated as that. */
static struct cdc_avro_schema *parsed(struct cdc_slice text)
{
    struct cdc_avro_schema *schema = NULL;
    return cdc_avro_schema_parse(text, &schema, NULL) == CDC_OK ? schema : NULL;
}

int cdc_texts_follow(struct cdc_slice before, struct cdc_slice now, enum cdc_compat_level level,
                     struct cdc_buf *ret_why, struct cdc_error *err)
{
    struct cdc_avro_schema *a = parsed(before), *b = NULL;
    int rc = cdc_avro_schema_parse(now, &b, err);
    if (rc == CDC_OK && a && !cdc_compat_follows(a, b, level, ret_why))
        rc = CDC_END;
    cdc_avro_schema_free(a);
    cdc_avro_schema_free(b);
    return rc;
}

int cdc_keys_follow(struct cdc_slice before, struct cdc_slice now, struct cdc_buf *ret_why,
                    struct cdc_error *err)
{
    if (cdc_slice_eq(before, now))
        return CDC_OK;
    struct cdc_avro_schema *a = parsed(before), *b = NULL;
    int rc = cdc_avro_schema_parse(now, &b, err);
    if (rc == CDC_OK) {
        cdc_buf_str(ret_why, "the key's schema changed, and with it the bytes and the partition of "
                             "every key");
        if (a)
            cdc_key_words(a, b, ret_why);
        rc = CDC_END;
    }
    cdc_avro_schema_free(a);
    cdc_avro_schema_free(b);
    return rc;
}

bool cdc_texts_same(struct cdc_slice a, struct cdc_slice b)
{
    if (cdc_slice_eq(a, b))
        return true;
    struct cdc_avro_schema *x = parsed(a), *y = parsed(b);
    bool same = x && y && cdc_avro_schema_same(x, y);
    cdc_avro_schema_free(x);
    cdc_avro_schema_free(y);
    return same;
}
