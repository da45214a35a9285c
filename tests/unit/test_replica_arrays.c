/*
 * test_replica_arrays.c - arrays of every kind of item from the encoder through a file and our
 * reader into SQLite: JSON text there, NULL items kept, an empty array no NULL.
 */
#include "avro_cells.h"
#include "avro_mem.h"
#include "replica_db.h"
#include "rows.h"

/* clang-format off */
static const struct row {
    const char *name; /* of the column; `id` tells the row of cells */
    int id;
    const char *want; /* NULL: NULL */
} rows[] = {
    {"ai", 0, "[1,null,-2147483648]"},
    {"ai", 2147483647, "[]"},
    {"ai", 63, NULL},
    {"at", 0, "[\"a\",\"\",null]"},
    {"at", 2147483647, "[null]"},
    {"an", 0, "[\"25.6\",null,\"-0.1\"]"},
    {"as", 0, "[\"1970-01-01T00:00:00.000001\",null,\"1969-12-31T23:59:59.999999\"]"},
    {"ab", 0, "[true,null,false]"},
    {"al", 0, "[9223372036854775807,null,-9223372036854775808]"},
    {"a4", 0, "[1.5,null,\"NaN\",3.4028235e+38]"},
    {"a8", 0, "[0.1,null,\"-Infinity\",4.94065645841247e-324]"},
    {"ah", 0, "[\"0.99999999999999999999999999999999999999\",null,\"-0.00000000000000000000000000000000000001\"]"},
    {"ay", 0, "[\"AP8=\",null,\"\"]"},
    {"ad", 0, "[\"0001-01-01\",null,\"9999-12-31\"]"},
    {"am", 0, "[\"00:00:00.000000\",null,\"23:59:59.999999\"]"},
    {"az", 0, "[\"0001-01-01T00:00:00.000000Z\",null,\"9999-12-31T23:59:59.999999Z\"]"},
    {"au", 0, "[\"00000000-0000-0000-0000-000000000000\",null]"},
    {"aj", 0, "[\"null\",null,\"[1]\"]"},
    {"aj", 2147483647, "[]"},
};
/* clang-format on */

static struct db db;

static void write_cells(struct mem *mem)
{
    struct cdc_envelope_state env = {.incarnation = 1};
    struct cdc_table *tab = cells_table();
    struct cdc_buf text;
    tab->plan = mem_plan(tab, &env, &text);
    struct cdc_avro_writer_options opt = {.schema = cdc_buf_slice(&text),
                                          .block_bytes = 4096,
                                          .max_bytes = 1 << 20,
                                          .out = mem_out,
                                          .arg = mem};
    struct cdc_avro_writer *w;
    struct cdc_tx tx = {.id = cdc_slice_str("1"), .commit_us = 1600000000000000};
    memset(tx.place, '0', sizeof tx.place);
    assert_int_equal(cdc_avro_writer_new(&opt, &w, NULL), CDC_OK);
    for (size_t r = 0; r < CELLS; r++) {
        struct cdc_value row[N_CELL_COLUMNS];
        cells_row(r, row);
        struct cdc_change chg = {
            .op = 'c', .table = tab, .tx = &tx, .ordinal = r + 1, .after = row};
        assert_int_equal(mem_add(w, tab->plan, &chg, NULL), CDC_OK);
    }
    assert_int_equal(cdc_avro_writer_flush(w, false, NULL), CDC_OK);
    cdc_avro_writer_free(w);
    cdc_table_unref(tab);
    cdc_buf_done(&text);
}

static int set_up(void **state)
{
    struct mem mem = {.buf = CDC_BUF(1 << 20)};
    struct cdc_avro_reader *r;
    struct cdc_replica *rep;
    struct cdc_feed_row row = {.deletes = CDC_DELETES_SOFT};
    (void)state;
    db_init(&db);
    write_cells(&mem);
    assert_int_equal(cdc_replica_open(db.path, "shop", &rep, &db.err), CDC_OK);
    assert_int_equal(cdc_avro_reader_new(mem_in, &mem, 1 << 20, "f", &r, NULL), CDC_OK);
    assert_int_equal(cdc_avro_reader_schema(r, &row.schema, NULL), CDC_OK);
    while (cdc_avro_reader_row(r, &row.values, NULL) == CDC_OK)
        assert_int_equal(cdc_replica_apply(rep, &row, &db.err), CDC_OK);
    const struct cdc_feed_commit commit = {
        .number = 1, .from = "", .token = "1", .to = "p", .n_records = CELLS};
    assert_int_equal(cdc_replica_done(rep, &commit, 0, &db.err), CDC_OK);
    cdc_avro_reader_free(r);
    cdc_replica_close(rep);
    cdc_buf_done(&mem.buf);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_done(&db);
    return 0;
}

static void run(void **state)
{
    const struct row *row = *state;
    char sql[256], want[256];
    snprintf(sql, sizeof sql, "SELECT typeof(\"%s\"), \"%s\" FROM \"public.cells\" WHERE id = %d",
             row->name, row->name, row->id);
    snprintf(want, sizeof want, "%s,%s", row->want ? "text" : "null", row->want ? row->want : "-");
    assert_string_equal(db_query(&db, sql), want);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows)];
    CM_ROWS(tests, run, rows);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
