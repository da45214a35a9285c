/*
 * mysql_decode.c - what decoding a binlog costs, without server or network: a binlog file in
 * memory, every event decoded, then every row also encoded as Avro (envelope row). Run by mysql.py.
 *
 *   mysql_decode FILE       CPU seconds per million rows and million rows per second, each the best
 *                           of five: heads alone (with CRC), rows decoded, rows decoded and encoded
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../connectors/mysql/coltype.h"
#include "../connectors/mysql/rows.h"
#include "cdc/plan.h"
#include "config/settings.h"
#include "envelope/envelope.h"

#define TABLES        64
#define MAGIC         4   /* bytes before the first event */
#define ANNOTATE_ROWS 160 /* MariaDB's */

enum mode { HEADS, DECODE, AVRO };

struct table {
    uint64_t id;
    struct mys_shape *shape;
    struct cdc_table *tab;
    struct cdc_slice map; /* as it lay there */
    struct cdc_value *before, *after;
};

struct bench {
    enum mode mode;
    struct mys_format fmt;
    struct table tables[TABLES];
    unsigned n;
    struct cdc_settings *settings;
    struct cdc_envelope_state env;
    struct cdc_arena *arena;
    struct cdc_buf out;
    uint64_t rows;
};

static void must(int rc, const struct cdc_error *err)
{
    if (rc == CDC_OK)
        return;
    fprintf(stderr, "mysql_decode: %s\n", err ? err->message : "failed");
    exit(1);
}

static void plan(struct bench *b, struct table *table, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct cdc_buf text = CDC_BUF((size_t)1 << 20);
    struct cdc_schema schema = {.id = 1};
    struct cdc_table_spec spec = {.catalog = ev->map.db,
                                  .schema = ev->map.db,
                                  .name = ev->map.name,
                                  .version = 1,
                                  .n = (uint16_t)table->shape->n,
                                  .cols = table->shape->cols};
    spec.rule = cdc_capture_match(b->settings->config.capture, ev->map.db, ev->map.name);
    must(cdc_table_new(&spec, &table->tab, &err), &err);
    must(cdc_row_schema_text("bench", table->tab, &text, &err), &err);
    schema.text = (const char *)text.p;
    schema.len = text.len;
    must(cdc_plan_new(table->tab, &schema, &b->env, &table->tab->plan, &err), &err);
    cdc_buf_done(&text);
}

static struct table *find(struct bench *b, uint64_t id)
{
    for (unsigned i = 0; i < b->n; i++)
        if (b->tables[i].id == id)
            return &b->tables[i];
    return NULL;
}

static void on_map(struct bench *b, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct mys_map_columns map;
    struct table *table = find(b, ev->map.id);
    if (table && cdc_slice_eq(table->map, ev->body))
        return; /* as nearly always */
    if (table || b->n == TABLES)
        must(CDC_FAIL, NULL);
    table = &b->tables[b->n++];
    table->id = ev->map.id;
    table->map = ev->body;
    must(mys_decode_columns(&b->fmt, ev, b->arena, &map, &err), &err);
    must(mys_shape_new(&map, NULL, (size_t)1 << 26, &table->shape, &err), &err);
    table->before = calloc(table->shape->n, sizeof *table->before);
    table->after = calloc(table->shape->n, sizeof *table->after);
    plan(b, table, ev);
}

static void encode(struct bench *b, struct table *table, enum mys_op op)
{
    static const uint8_t ops[] = {CDC_OP_CREATE, CDC_OP_UPDATE, CDC_OP_DELETE};
    struct cdc_error err = {0};
    struct cdc_record records[CDC_RECORDS_MAX];
    struct cdc_tx tx = {.commit_us = 1700000000000000};
    struct cdc_change change = {.op = ops[op],
                                .table = table->tab,
                                .tx = &tx,
                                .ordinal = b->rows,
                                .before = op == MYS_INSERT ? NULL : table->before,
                                .after = op == MYS_DELETE ? NULL : table->after};
    memset(tx.place, '0', sizeof tx.place);
    int n = cdc_plan_records(table->tab->plan, &change, 1700000000000000, records, &err);
    must(n < 0 ? CDC_FAIL : CDC_OK, &err);
    for (int i = 0; i < n; i++)
        must(cdc_plan_bytes(table->tab->plan, &records[i], &b->out, &err), &err);
    if (b->out.len > (size_t)1 << 20)
        cdc_buf_reset(&b->out);
}

static void on_rows(struct bench *b, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct mys_rows rows;
    struct table *table = find(b, ev->rows.map_id);
    int rc;
    must(table ? CDC_OK : CDC_FAIL, NULL);
    must(mys_rows_start(&rows, ev, ev->rows.rows, table->shape->fields, table->shape->n, &err),
         &err);
    rows.arena = b->arena;
    while ((rc = mys_rows_next(&rows, table->before, table->after, &err)) == CDC_OK) {
        b->rows++;
        if (b->mode == AVRO)
            encode(b, table, ev->rows.op);
    }
    must(rc == CDC_END ? CDC_OK : rc, &err);
    cdc_arena_reset(b->arena);
}

static size_t length_at(const uint8_t *event, size_t left)
{
    struct cdc_reader rd = cdc_reader_of(event, left);
    cdc_read_raw(&rd, 9);
    size_t n = cdc_read_le32(&rd);
    must(!rd.failed && n >= MYS_HEADER && n <= left ? CDC_OK : CDC_FAIL, NULL);
    return n;
}

/* The file as a replica gets it that does not ask for annotations; its new length. */
static size_t leave_out(uint8_t *bytes, size_t len)
{
    size_t to = MAGIC;
    for (size_t at = MAGIC, n; at < len; at += n) {
        n = length_at(bytes + at, len - at);
        if (bytes[at + 4] == ANNOTATE_ROWS)
            continue;
        memmove(bytes + to, bytes + at, n);
        to += n;
    }
    return to;
}

static void walk(struct bench *b, const uint8_t *bytes, size_t len)
{
    struct cdc_error err = {0};
    for (size_t at = MAGIC; at < len;) {
        struct mys_event ev;
        size_t n = length_at(bytes + at, len - at);
        must(mys_decode_head(&b->fmt, cdc_slice_of(bytes + at, n), &ev, &err), &err);
        must(mys_decode(&b->fmt, &ev, &err), &err);
        if (ev.kind == MYS_FORMAT)
            b->fmt = ev.format;
        else if (ev.kind == MYS_TABLE_MAP && b->mode != HEADS)
            on_map(b, &ev);
        else if (ev.kind == MYS_ROWS && b->mode != HEADS)
            on_rows(b, &ev);
        at += n;
    }
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double best(struct bench *b, enum mode mode, const uint8_t *bytes, size_t len)
{
    double least = 1e9;
    b->mode = mode;
    for (int i = 0; i < 5; i++) {
        b->rows = 0;
        b->fmt = (struct mys_format){0};
        double from = cpu_s();
        walk(b, bytes, len);
        double took = cpu_s() - from;
        least = took < least ? took : least;
    }
    return least;
}

int main(int argc, char **argv)
{
    static const char yaml[] = "name: bench\nsource: {type: example}\nsink: {type: \"null\"}\n"
                               "capture:\n  - {tables: \"*.*\", snapshot: never}\n";
    static const char *const names[] = {"heads", "decode", "decode + avro"};
    struct cdc_error err = {0};
    struct bench b = {.env = {.incarnation = 1}, .out = CDC_BUF((size_t)1 << 26)};
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END) != 0)
        return 2;
    size_t len = (size_t)ftell(file);
    uint8_t *bytes = malloc(len);
    rewind(file);
    if (!bytes || fread(bytes, 1, len, file) != len)
        return 2;
    fclose(file);
    len = leave_out(bytes, len);
    must(cdc_settings_parse(cdc_slice_str(yaml), "bench.yaml", &b.settings, &err), &err);
    b.arena = cdc_arena_new(SIZE_MAX);
    double took[3];
    for (enum mode mode = HEADS; mode <= AVRO; mode++)
        took[mode] = best(&b, mode, bytes, len);
    printf("%zu bytes, %llu rows\n", len, (unsigned long long)b.rows);
    for (enum mode mode = HEADS; mode <= AVRO; mode++)
        printf("%-14s %.3f CPU-s per million rows, %.2f million rows/s\n", names[mode],
               took[mode] / (double)b.rows * 1e6, (double)b.rows / took[mode] / 1e6);
    return 0;
}
