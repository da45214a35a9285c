/*
 * avro_types.c - the container files that other readers judge; see avro_types.py, which runs it.
 *
 *   avro_types write DIR   DIR/<codec>.avro with every cell in several blocks, DIR/expected.json;
 *                          DIR/key.avsc and DIR/key<row>.bin, keys of all columns, without a file
 *                          around them
 *   avro_types read FILE   reads such a file, whoever wrote it, and compares it with the cells
 */
#include <jansson.h>
#include <stdio.h>

#include "../unit/avro_cells.h"
#include "../unit/avro_mem.h"

#ifndef ROUNDS /* -DROUNDS=1 made the corpus in tests/data/avro */
#define ROUNDS 300
#endif

static int to_file(void *arg, const void *p, size_t n, struct cdc_error *err)
{
    return fwrite(p, 1, n, arg) == n ? CDC_OK : cdc_fail(err, CDC_FATAL, "file", "cannot write");
}

static int from_file(void *arg, void *p, size_t cap, size_t *ret_n, struct cdc_error *err)
{
    *ret_n = fread(p, 1, cap, arg);
    return ferror(arg) ? cdc_fail(err, CDC_FATAL, "file", "cannot read") : CDC_OK;
}

static int write_rows(struct cdc_avro_writer *w, struct cdc_table *tab, struct cdc_plan *plan,
                      struct cdc_error *err)
{
    struct cdc_tx tx = {.id = cdc_slice_str("777"), .commit_us = 1600000000000001};
    memset(tx.place, '0', sizeof tx.place);
    for (uint64_t i = 0; i < ROUNDS * CELLS; i++) {
        struct cdc_value row[N_CELL_COLUMNS];
        cells_row(i % CELLS, row);
        struct cdc_change chg = {.op = CDC_OP_CREATE, .table = tab, .tx = &tx, .ordinal = i + 1};
        chg.after = row;
        if (mem_add(w, plan, &chg, err) < 0)
            return CDC_FAIL;
    }
    return cdc_avro_writer_flush(w, false, err);
}

static int write_file(const char *dir, enum cdc_codec codec, struct cdc_error *err)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.avro", dir, cdc_codec_name(codec));
    struct cdc_envelope_state state = {.incarnation = 1};
    struct cdc_table *tab = cells_table();
    struct cdc_buf text;
    struct cdc_plan *plan = mem_plan(tab, &state, &text);
    FILE *file = fopen(path, "wb");
    struct cdc_kv meta = {cdc_slice_str("cdc.commit"), cdc_slice_str("42")};
    struct cdc_avro_writer_options opt = {.schema = cdc_buf_slice(&text),
                                          .codec = codec,
                                          .block_bytes = 16384,
                                          .max_bytes = 1 << 20,
                                          .meta = &meta,
                                          .n_meta = 1,
                                          .out = to_file,
                                          .arg = file};
    struct cdc_avro_writer *w = NULL;
    int rc = CDC_FAIL;
    if (plan && file)
        rc = cdc_avro_writer_new(&opt, &w, err);
    if (rc == CDC_OK)
        rc = write_rows(w, tab, plan, err);
    cdc_avro_writer_free(w);
    if (file && fclose(file))
        rc = CDC_FAIL;
    cdc_plan_free(plan);
    cdc_table_unref(tab);
    cdc_buf_done(&text);
    return rc;
}

/* [{column: text}], a row for each of the cells' rows. */
static int write_expected(const char *dir)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/expected.json", dir);
    json_t *rows = json_array();
    for (size_t r = 0; r < CELLS; r++) {
        json_t *row = json_object();
        for (size_t i = 0; i < N_CELL_COLUMNS; i++) {
            const char *expect = cell_columns[i].cells[r].expect;
            json_object_set_new(row, cell_columns[i].col.name,
                                expect ? json_string(expect) : json_null());
        }
        json_array_append_new(rows, row);
    }
    int rc = json_dump_file(rows, path, 0);
    json_decref(rows);
    return rc;
}

static int put_file(const char *dir, const char *name, struct cdc_slice bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(bytes.p, 1, bytes.len, file) == bytes.len;
    return (file && fclose(file)) || !good ? CDC_FAIL : CDC_OK;
}

static int put_keys(const char *dir, struct cdc_plan *plan, struct cdc_error *err)
{
    struct cdc_tx tx = {.commit_us = 1600000000000001};
    struct cdc_buf key = CDC_BUF(65536);
    int rc = CDC_OK;
    for (size_t r = 0; rc == CDC_OK && r < CELLS; r++) {
        struct cdc_value row[N_CELL_COLUMNS];
        char name[32];
        cells_row(r, row);
        struct cdc_change chg = {.op = CDC_OP_CREATE, .tx = &tx};
        struct cdc_record rec = {.change = &chg, .op = 'c', .row = row};
        snprintf(name, sizeof name, "key%zu.bin", r);
        cdc_buf_reset(&key);
        rc = cdc_plan_key(plan, &rec, &key, err);
        if (rc == CDC_OK)
            rc = put_file(dir, name, cdc_buf_slice(&key));
    }
    cdc_buf_done(&key);
    return rc;
}

/* A table of which every column is part of the key. */
static int write_keys(const char *dir, struct cdc_error *err)
{
    struct cdc_envelope_state state = {.incarnation = 1};
    struct cdc_column cols[N_CELL_COLUMNS];
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "public",
                                  .name = "cells",
                                  .version = 1,
                                  .n = N_CELL_COLUMNS,
                                  .cols = cols};
    struct cdc_buf text, key_text = CDC_BUF(1 << 20);
    struct cdc_table *tab = NULL;
    for (uint16_t i = 0; i < N_CELL_COLUMNS; i++) {
        cols[i] = cell_columns[i].col;
        cols[i].key = (uint16_t)(N_CELL_COLUMNS - i); /* the last first */
    }
    if (cdc_table_new(&spec, &tab, err) < 0)
        return CDC_FAIL;
    tab->plan = mem_plan(tab, &state, &text);
    int rc = tab->plan ? cdc_row_key_schema_text("shop", tab, &key_text, err) : CDC_FAIL;
    struct cdc_schema schema = {.text = (const char *)key_text.p, .len = key_text.len, .id = 2};
    if (rc == CDC_OK)
        rc = cdc_plan_with_key(tab->plan, &schema, err);
    if (rc == CDC_OK)
        rc = put_file(dir, "key.avsc", cdc_buf_slice(&key_text));
    if (rc == CDC_OK)
        rc = put_keys(dir, tab->plan, err);
    cdc_table_unref(tab);
    cdc_buf_done(&text);
    cdc_buf_done(&key_text);
    return rc;
}

static int read_file(const char *path, struct cdc_error *err)
{
    FILE *file = fopen(path, "rb");
    struct cdc_avro_reader *r = NULL;
    const struct cdc_value *got;
    size_t n = 0;
    if (!file || cdc_avro_reader_new(from_file, file, 1 << 20, path, &r, err) < 0)
        return CDC_FAIL;
    int rc;
    while ((rc = cdc_avro_reader_row(r, &got, err)) == CDC_OK) {
        for (size_t i = 0; i < N_CELL_COLUMNS; i++)
            if (!cells_equal(&got[i], &cell_columns[i].cells[n % CELLS].val))
                return cdc_fail(err, CDC_FATAL, path, "row %zu, column %s differs", n,
                                cell_columns[i].col.name);
        n++;
    }
    cdc_avro_reader_free(r);
    fclose(file);
    if (rc == CDC_END && n != ROUNDS * CELLS)
        return cdc_fail(err, CDC_FATAL, path, "%zu rows instead of %d", n, ROUNDS * CELLS);
    return rc == CDC_END ? CDC_OK : rc;
}

int main(int argc, char **argv)
{
    struct cdc_error err = {.message = "cannot set up"};
    int rc = CDC_FAIL;
    if (argc == 3 && strcmp(argv[1], "read") == 0) {
        rc = read_file(argv[2], &err);
    } else if (argc == 3 && strcmp(argv[1], "write") == 0) {
        rc = write_expected(argv[2]);
        if (rc == CDC_OK)
            rc = write_keys(argv[2], &err);
        for (int codec = CDC_CODEC_NULL; rc == CDC_OK && codec <= CDC_CODEC_ZSTD; codec++)
            rc = write_file(argv[2], (enum cdc_codec)codec, &err);
    }
    if (rc)
        fprintf(stderr, "avro_types: %s: %s\n", err.where, err.message);
    return rc ? 1 : 0;
}
