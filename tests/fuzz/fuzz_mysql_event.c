/*
 * fuzz_mysql_event.c - a stream of binlog events without checksums: heads, bodies, table maps,
 * payloads, packed events, and rows by the table maps before them. Corpus: tests/data/mysql_event/.
 */
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/coltype.h"
#include "../../connectors/mysql/compress.h"
#include "../../connectors/mysql/ddl.h"
#include "../../connectors/mysql/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TABLES 8
#define MAX    ((size_t)1 << 18)

struct table {
    uint64_t id;
    struct mys_shape *shape;
};

struct fuzz {
    struct mys_format fmt;
    struct table tables[TABLES];
    unsigned n;
    struct cdc_arena *arena;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct cdc_column *col, const struct cdc_value *val)
{
    enum cdc_kind kind = (enum cdc_kind)val->kind;
    if (kind == CDC_NULL || kind == CDC_ABSENT || kind == CDC_UNCHANGED)
        return;
    must(kind == CDC_INVALID || kind == col->kind);
    must(kind != CDC_DECIMAL || (val->len >= 1 && val->len <= 16 && val->aux == col->scale));
    must(kind != CDC_INT || col->bits == 64 || (val->i >= INT32_MIN && val->i <= INT32_MAX));
    must(kind != CDC_DATE || (val->i >= -719162 && val->i <= 2932896));
    must(kind != CDC_TIME || (val->i >= 0 && val->i < INT64_C(86400000000)));
    must(kind != CDC_UUID || val->len == 36);
    must((kind != CDC_TEXT && kind != CDC_JSON) || mys_utf8_valid(cdc_value_slice(val)));
}

static void on_map(struct fuzz *f, const struct mys_event *ev)
{
    struct mys_map_columns map;
    struct mys_info info = {.n = 0, .final = true};
    struct mys_shape *shape;
    struct mys_field *bare;
    if (f->n == TABLES || mys_decode_columns(&f->fmt, ev, f->arena, &map, NULL) != CDC_OK)
        return;
    (void)!mys_fields_bare(&map, f->arena, &bare, NULL);
    if (mys_shape_new(&map, &info, MAX, &shape, NULL) == CDC_OK)
        f->tables[f->n++] = (struct table){.id = ev->map.id, .shape = shape};
}

static void read_rows(struct fuzz *f, const struct mys_event *ev, struct cdc_slice bytes,
                      const struct mys_shape *shape)
{
    struct mys_rows rows;
    uint64_t n = 0, counted = 0;
    size_t size = (shape->n + 1) * sizeof(struct cdc_value);
    if (ev->rows.n == shape->n && mys_rows_count(ev, bytes, shape->fields, &counted, NULL) < 0)
        counted = UINT64_MAX;
    if (mys_rows_start(&rows, ev, bytes, shape->fields, shape->n, NULL) < 0)
        return;
    struct cdc_value *before = malloc(size), *after = malloc(size);
    must(before && after);
    rows.arena = f->arena;
    int rc;
    for (; (rc = mys_rows_next(&rows, before, after, NULL)) == CDC_OK; n++)
        for (uint32_t i = 0; i < shape->n; i++) {
            if (ev->rows.op != MYS_INSERT)
                check(&shape->cols[i], &before[i]);
            if (ev->rows.op != MYS_DELETE)
                check(&shape->cols[i], &after[i]);
        }
    must(rc != CDC_END || n == counted);
    free(before);
    free(after);
}

static void on_rows(struct fuzz *f, const struct mys_event *ev)
{
    struct cdc_slice bytes = ev->rows.rows;
    if (ev->rows.packed && mys_unpack(f->arena, bytes, MAX, &bytes, NULL) < 0)
        return;
    for (unsigned i = f->n; i-- > 0;)
        if (f->tables[i].id == ev->rows.map_id) {
            read_rows(f, ev, bytes, f->tables[i].shape);
            return;
        }
}

static void on_query(struct fuzz *f, const struct mys_event *ev)
{
    struct mys_session session;
    struct mys_statement st;
    struct cdc_slice sql = ev->query.sql;
    if (ev->query.packed && mys_unpack(f->arena, sql, MAX, &sql, NULL) < 0)
        return;
    mys_session_read(ev->query.status, &session);
    (void)!mys_statement_scan(&session, sql, ev->query.db, f->arena, &st, NULL);
}

static void on_event(struct fuzz *f, const struct mys_format *fmt, struct cdc_slice bytes);

static void on_payload(struct fuzz *f, const struct mys_event *ev)
{
    struct mys_format within = f->fmt;
    struct cdc_slice inner;
    struct mys_payload *pay = mys_payload_new(MAX);
    must(pay != NULL);
    within.inner = true;
    mys_payload_start(pay, ev->payload.packed, ev->payload.zstd, ev->payload.size);
    for (unsigned i = 0; i < 1000 && mys_payload_next(pay, &inner, NULL) == CDC_OK; i++)
        on_event(f, &within, inner);
    mys_payload_free(pay);
}

static void on_event(struct fuzz *f, const struct mys_format *fmt, struct cdc_slice bytes)
{
    struct mys_event ev;
    if (mys_decode_head(fmt, bytes, &ev, NULL) < 0 || mys_decode(fmt, &ev, NULL) < 0)
        return;
    switch (ev.kind) {
    case MYS_FORMAT:
        f->fmt = ev.format;
        f->fmt.checksum = false;
        break;
    case MYS_TABLE_MAP: on_map(f, &ev); break;
    case MYS_ROWS: on_rows(f, &ev); break;
    case MYS_QUERY: on_query(f, &ev); break;
    case MYS_PAYLOAD: on_payload(f, &ev); break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.arena = cdc_arena_new((size_t)64 << 20)};
    must(f.arena != NULL);
    for (size_t at = 0; size - at >= MYS_HEADER;) {
        struct cdc_reader rd = cdc_reader_of(data + at + 9, 4);
        size_t len = (size_t)mys_read_le(&rd, 4);
        if (len < MYS_HEADER || len > size - at)
            len = size - at;
        uint8_t *copy = malloc(len); /* of exactly that length */
        must(copy != NULL);
        memcpy(copy, data + at, len);
        on_event(&f, &f.fmt, cdc_slice_of(copy, len));
        cdc_arena_reset(f.arena);
        free(copy);
        at += len;
    }
    for (unsigned i = 0; i < f.n; i++)
        mys_shape_free(f.tables[i].shape);
    cdc_arena_free(f.arena);
    return 0;
}
