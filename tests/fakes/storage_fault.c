/*
 * storage_fault.c - see storage_fault.h.
 */
#include "storage_fault.h"

#include <stdlib.h>
#include <string.h>

struct fault_store {
    struct lake_store base;
    struct lake_store *inner;
    struct fault_world *world;
};

struct fault_file {
    struct lake_staged base;
    struct lake_staged *inner;
    struct fault_store *st;
};

static struct fault *hit(struct fault_world *world, enum fault_call call, const char *path)
{
    for (size_t i = 0; i < sizeof world->faults / sizeof *world->faults; i++) {
        struct fault *f = &world->faults[i];
        if (f->in == 0 || f->call != call || (f->path && !strstr(path, f->path)))
            continue;
        if (f->in > 1) {
            f->in--;
            continue;
        }
        if (f->times >= 0 && f->times-- <= 1)
            f->in = 0;
        world->hit++;
        return f;
    }
    return NULL;
}

static int fail(const struct fault *f, const char *path, struct cdc_error *err)
{
    switch (f->kind) {
    case FAULT_NO_SPACE: return cdc_fail(err, CDC_RETRY, path, "No space left on device");
    case FAULT_EIO: return cdc_fail(err, CDC_FATAL, path, "fsync: Input/output error");
    default: return cdc_fail(err, CDC_REWIND, path, "the reply was lost");
    }
}

/* As kill -9 in front of this call: nothing more reaches the store. */
static bool dead(struct fault_world *world)
{
    world->changes++;
    return world->dies_at > 0 && world->changes >= world->dies_at;
}

static int dead_fail(const char *path, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, path, "killed");
}

static void hold(struct fault_world *world, const char *path, struct cdc_slice bytes)
{
    free(world->held_path);
    free(world->held);
    world->held_path = strdup(path);
    world->held = malloc(bytes.len + 1);
    world->held_len = bytes.len;
    if (bytes.len)
        memcpy(world->held, bytes.p, bytes.len);
}

void fault_let_go(struct fault_world *world, struct lake_store *st)
{
    world->held_rc = st->ops->put(st, world->held_path, cdc_slice_of(world->held, world->held_len),
                                  LAKE_CREATE, NULL);
}

void fault_world_done(struct fault_world *world)
{
    free(world->held_path);
    free(world->held);
    *world = (struct fault_world){0};
}

static struct lake_store *inner(struct lake_store *st)
{
    return ((struct fault_store *)st)->inner;
}

static int fault_size(struct lake_store *st, const char *path, uint64_t *ret, struct cdc_error *err)
{
    return inner(st)->ops->size(inner(st), path, ret, err);
}

static int fault_read(struct lake_store *st, const char *path, struct lake_read *io,
                      struct cdc_error *err)
{
    return inner(st)->ops->read(inner(st), path, io, err);
}

static int fault_put(struct lake_store *st, const char *path, struct cdc_slice bytes,
                     enum lake_put how, struct cdc_error *err)
{
    struct fault_world *world = ((struct fault_store *)st)->world;
    if (dead(world))
        return dead_fail(path, err);
    struct fault *f = hit(world, FAULT_PUT, path);
    if (f && f->kind == FAULT_LET_GO) {
        fault_let_go(world, inner(st));
        f = NULL;
    }
    if (f && f->kind == FAULT_HELD)
        hold(world, path, bytes);
    if (f && f->kind == FAULT_LOST && inner(st)->ops->put(inner(st), path, bytes, how, err) < 0)
        return CDC_FAIL;
    return f ? fail(f, path, err) : inner(st)->ops->put(inner(st), path, bytes, how, err);
}

static int fault_list(struct lake_store *st, const char *dir, lake_seen *seen, void *arg,
                      struct cdc_error *err)
{
    return inner(st)->ops->list(inner(st), dir, seen, arg, err);
}

static int fault_remove(struct lake_store *st, const char *path, struct cdc_error *err)
{
    if (dead(((struct fault_store *)st)->world))
        return dead_fail(path, err);
    return inner(st)->ops->remove(inner(st), path, err);
}

static int fault_stage(struct lake_store *st, const char *path, struct lake_staged **ret,
                       struct cdc_error *err)
{
    if (dead(((struct fault_store *)st)->world))
        return dead_fail(path, err);
    struct fault_file *file = calloc(1, sizeof *file);
    if (!file)
        return cdc_fail_oom(err);
    *file = (struct fault_file){.base.ops = st->ops, .st = (struct fault_store *)st};
    if (inner(st)->ops->stage(inner(st), path, &file->inner, err) < 0) {
        free(file);
        return CDC_FAIL;
    }
    file->base.path = file->inner->path;
    *ret = &file->base;
    return CDC_OK;
}

static int fault_append(struct lake_staged *base, const void *p, size_t n, struct cdc_error *err)
{
    struct fault_file *file = (struct fault_file *)base;
    if (dead(file->st->world))
        return dead_fail(base->path, err);
    struct fault *f = hit(file->st->world, FAULT_APPEND, base->path);
    return f ? fail(f, base->path, err) : file->inner->ops->append(file->inner, p, n, err);
}

static int fault_publish(struct lake_store *st, struct lake_staged **files, size_t n,
                         struct cdc_error *err)
{
    struct fault_world *world = ((struct fault_store *)st)->world;
    if (n > 0 && dead(world))
        return dead_fail(files[0]->path, err);
    for (size_t i = 0; i < n; i++) {
        struct fault *f = hit(world, FAULT_PUBLISH, files[i]->path);
        struct fault_file *file = (struct fault_file *)files[i];
        if (f)
            return fail(f, files[i]->path, err);
        if (inner(st)->ops->publish(inner(st), &file->inner, 1, err) < 0)
            return CDC_FAIL;
        files[i]->published = true;
    }
    world->publishes++;
    return CDC_OK;
}

static void fault_release(struct lake_staged *base)
{
    struct fault_file *file = (struct fault_file *)base;
    if (file)
        file->inner->ops->release(file->inner);
    free(file);
}

static void fault_close(struct lake_store *st)
{
    inner(st)->ops->close(inner(st));
    free(st);
}

static const struct lake_store_ops ops = {
    .size = fault_size,
    .read = fault_read,
    .put = fault_put,
    .list = fault_list,
    .remove = fault_remove,
    .stage = fault_stage,
    .append = fault_append,
    .publish = fault_publish,
    .release = fault_release,
    .close = fault_close,
};

struct lake_store *fault_store_new(struct fault_world *world, struct lake_store *take_inner)
{
    struct fault_store *st = calloc(1, sizeof *st);
    if (!st) {
        take_inner->ops->close(take_inner);
        return NULL;
    }
    *st = (struct fault_store){.base.ops = &ops, .inner = take_inner, .world = world};
    return &st->base;
}
