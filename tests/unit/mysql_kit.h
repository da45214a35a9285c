/*
 * mysql_kit.h - a recorded binlog, walked from its first event to its last: every row decoded, with
 * callbacks for what a test wants to see. Payloads and packed events are unpacked on the way.
 */
#ifndef TESTS_MYSQL_KIT_H
#define TESTS_MYSQL_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/coltype.h"
#include "../../connectors/mysql/compress.h"
#include "../../connectors/mysql/ddl.h"
#include "../../connectors/mysql/gtid.h"
#include "../../connectors/mysql/rows.h"
#include "rows.h"

#define KIT_TABLES 256
#define KIT_MAX    ((size_t)1 << 24)

struct kit_table {
    uint64_t id;
    char name[64];
    struct mys_shape *shape;
};

struct kit {
    struct mys_format fmt;
    struct kit_table tables[KIT_TABLES];
    unsigned n_tables;
    struct cdc_arena *arena;
    struct mys_info info; /* offered to every table; n 0: none */
    void (*event)(struct kit *kit, const struct mys_event *ev);
    void (*table)(struct kit *kit, const struct kit_table *table);
    void (*row)(struct kit *kit, const struct kit_table *table, enum mys_op op,
                const struct cdc_value *before, const struct cdc_value *after);
    bool lost; /* of the row that is shown (rows.h) */
    void *user;
};

/* A file of tests/data/mysql, on the heap; run from the tree's root, as make does. */
static inline uint8_t *kit_file(const char *name, size_t *ret_len)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/mysql/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long len = ftell(file);
    assert_true(len >= 0);
    rewind(file);
    uint8_t *bytes = malloc((size_t)len + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)len, file), len);
    fclose(file);
    bytes[len] = 0;
    *ret_len = (size_t)len;
    return bytes;
}

static inline void kit_ok(int rc, const struct cdc_error *err)
{
    if (rc != CDC_OK)
        print_error("%s\n", err->message);
    assert_int_equal(rc, CDC_OK);
}

static inline struct kit_table *kit_table(struct kit *kit, uint64_t id)
{
    for (unsigned i = 0; i < kit->n_tables; i++)
        if (kit->tables[i].id == id)
            return &kit->tables[i];
    assert_true(kit->n_tables < KIT_TABLES);
    kit->tables[kit->n_tables] = (struct kit_table){.id = id};
    return &kit->tables[kit->n_tables++];
}

static inline void kit_map(struct kit *kit, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct mys_map_columns map;
    struct kit_table *table = kit_table(kit, ev->map.id);
    bool known = table->shape != NULL;
    kit_ok(mys_decode_columns(&kit->fmt, ev, kit->arena, &map, &err), &err);
    snprintf(table->name, sizeof table->name, "%s.%s", ev->map.db, ev->map.name);
    mys_shape_free(table->shape);
    table->shape = NULL;
    const struct mys_info *info = kit->info.n ? &kit->info : NULL;
    int rc = mys_shape_new(&map, info, KIT_MAX, &table->shape, &err);
    if (rc == CDC_FAIL && !map.has_names)
        return; /* MINIMAL without a copy: as it should be */
    kit_ok(rc, &err);
    if (!known && kit->table)
        kit->table(kit, table);
}

static inline void kit_rows(struct kit *kit, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct mys_rows rows;
    const struct kit_table *table = kit_table(kit, ev->rows.map_id);
    struct cdc_slice bytes = ev->rows.rows;
    if (!table->shape)
        return;
    if (ev->rows.packed)
        kit_ok(mys_unpack(kit->arena, bytes, KIT_MAX, &bytes, &err), &err);
    uint64_t counted = 0, n = 0;
    kit_ok(mys_rows_count(ev, bytes, table->shape->fields, &counted, &err), &err);
    kit_ok(mys_rows_start(&rows, ev, bytes, table->shape->fields, table->shape->n, &err), &err);
    rows.arena = kit->arena;
    size_t size = (table->shape->n + 1) * sizeof(struct cdc_value);
    struct cdc_value *before = malloc(size), *after = malloc(size);
    assert_true(before && after);
    int rc;
    for (; (rc = mys_rows_next(&rows, before, after, &err)) == CDC_OK; n++) {
        kit->lost = rows.lost;
        if (kit->row)
            kit->row(kit, table, ev->rows.op, before, after);
    }
    kit_ok(rc == CDC_END ? CDC_OK : rc, &err);
    assert_int_equal(n, counted);
    free(before);
    free(after);
}

static inline void kit_event(struct kit *kit, const struct mys_format *fmt, struct cdc_slice bytes)
{
    struct cdc_error err = {0};
    struct mys_event ev;
    struct cdc_slice inner;
    kit_ok(mys_decode_head(fmt, bytes, &ev, &err), &err);
    kit_ok(mys_decode(fmt, &ev, &err), &err);
    if (ev.kind == MYS_FORMAT)
        kit->fmt = ev.format;
    if (kit->event)
        kit->event(kit, &ev);
    if (ev.kind == MYS_TABLE_MAP)
        kit_map(kit, &ev);
    if (ev.kind == MYS_ROWS)
        kit_rows(kit, &ev);
    if (ev.kind != MYS_PAYLOAD)
        return;
    struct mys_payload *pay = mys_payload_new(KIT_MAX);
    struct mys_format within = kit->fmt;
    int rc;
    within.inner = true;
    mys_payload_start(pay, ev.payload.packed, ev.payload.zstd, ev.payload.size);
    while ((rc = mys_payload_next(pay, &inner, &err)) == CDC_OK)
        kit_event(kit, &within, inner);
    kit_ok(rc == CDC_END ? CDC_OK : rc, &err);
    mys_payload_free(pay);
}

/* The length that stands in the header at p. */
static inline size_t kit_event_len(const uint8_t *p)
{
    return p[9] | (size_t)p[10] << 8 | (size_t)p[11] << 16 | (size_t)p[12] << 24;
}

static inline void kit_walk(struct kit *kit, const uint8_t *bytes, size_t len)
{
    kit->arena = cdc_arena_new(SIZE_MAX);
    assert_non_null(kit->arena);
    assert_true(len > 4 && memcmp(bytes,
                                  "\xfe"
                                  "bin",
                                  4) == 0);
    for (size_t at = 4; at < len;) {
        assert_true(len - at >= MYS_HEADER);
        size_t n = kit_event_len(bytes + at);
        assert_true(n <= len - at);
        kit_event(kit, &kit->fmt, cdc_slice_of(bytes + at, n));
        at += n;
    }
    for (unsigned i = 0; i < kit->n_tables; i++)
        mys_shape_free(kit->tables[i].shape);
    cdc_arena_free(kit->arena);
}

#endif
