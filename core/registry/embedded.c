/*
 * embedded.c - the embedded registry: ids grow from id_base + 1, are never used twice, and every
 * schema is a key of the checkpoint. Versions count from 1 within a subject.
 *
 * A new schema is compared at the configured level with the version before it, at the transitive
 * levels with all of the subject, newest first. Without a level: BACKWARD, as Confluent has it.
 */
#include "registry/internal.h"

#include <stdlib.h>

struct embedded {
    struct cdc_registry base;
    uint32_t id_base;
};

static uint32_t last_id(const struct embedded *emb)
{
    uint32_t last = emb->id_base;
    for (size_t i = 0; i < emb->base.store.n; i++)
        if (emb->base.store.items[i].id > last)
            last = emb->base.store.items[i].id;
    return last;
}

static int embedded_check(struct cdc_registry *reg, const struct cdc_registry_want *want,
                          const struct cdc_entry *before, struct cdc_buf *ret_why,
                          struct cdc_error *err)
{
    enum cdc_compat_level level = reg->level_given ? reg->level : CDC_COMPAT_BACKWARD;
    const struct cdc_entry *latest = cdc_store_latest(&reg->store, want->subject, 0);
    int rc = before && before != latest
                 ? cdc_texts_follow(before->text, want->text, level, ret_why, err)
                 : CDC_OK;
    while (rc == CDC_OK && latest) {
        rc = cdc_texts_follow(latest->text, want->text, level, ret_why, err);
        latest = cdc_compat_transitive(level)
                     ? cdc_store_latest(&reg->store, want->subject, latest->version)
                     : NULL;
    }
    return rc;
}

static int embedded_give(struct cdc_registry *reg, const struct cdc_registry_want *want,
                         struct cdc_buf *ret_why, struct cdc_error *err)
{
    (void)ret_why;
    uint32_t last = last_id((struct embedded *)reg);
    const struct cdc_entry *latest = cdc_store_latest(&reg->store, want->subject, 0);
    if (last >= INT32_MAX)
        return cdc_fail(err, CDC_OPERATOR, want->subject,
                        "the registry has given out its last id: lower registry.id_base");
    struct cdc_entry entry = {.subject = (char *)(uintptr_t)want->subject,
                              .text = want->text,
                              .id = last + 1,
                              .version = latest ? latest->version + 1 : 1};
    return cdc_store_add(&reg->store, &entry) ? CDC_OK : cdc_fail_oom(err);
}

static void embedded_free(struct cdc_registry *reg)
{
    free(reg);
}

static const struct cdc_registry_ops embedded_ops = {
    .check = embedded_check, .give = embedded_give, .free = embedded_free};

int cdc_embedded_new(const struct cdc_section *sec, struct cdc_registry **ret,
                     struct cdc_error *err)
{
    struct embedded *emb = calloc(1, sizeof *emb);
    if (!emb)
        return cdc_fail_oom(err);
    emb->base.ops = &embedded_ops;
    emb->id_base = (uint32_t)cdc_get_int(sec, "id_base");
    *ret = &emb->base;
    return CDC_OK;
}
