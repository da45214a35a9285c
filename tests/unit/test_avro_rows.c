/*
 * test_avro_rows.c - one record out of bare bytes: every cell comes back, and what is cut, longer
 * or changed is refused by the column's name.
 */
#include <stdio.h>
#include <stdlib.h>

#include "avro_cells.h"
#include "avro_mem.h"
#include "rows.h"

struct kit {
    struct cdc_envelope_state env;
    struct cdc_table *tab;
    struct cdc_buf text, bytes;
    struct cdc_row_schema *schema;
    struct cdc_arena *arena;
    struct cdc_value got[N_CELL_COLUMNS + CDC_METAS];
};

/* The record of one of the cells' rows. */
static void start(struct kit *kit, size_t row)
{
    struct cdc_tx tx = {.id = cdc_slice_str("777"), .commit_us = 1600000000000001};
    struct cdc_value vals[N_CELL_COLUMNS];
    struct cdc_record recs[CDC_RECORDS_MAX];
    *kit = (struct kit){.tab = cells_table(), .bytes = CDC_BUF(65536)};
    struct cdc_plan *plan = mem_plan(kit->tab, &kit->env, &kit->text);
    assert_non_null(plan);
    kit->tab->plan = plan;
    memset(tx.place, '0', sizeof tx.place);
    cells_row(row, vals);
    struct cdc_change chg = {.op = 'c', .table = kit->tab, .tx = &tx, .ordinal = 1, .after = vals};
    assert_int_equal(cdc_plan_records(plan, &chg, 0, recs, NULL), 1);
    assert_int_equal(cdc_plan_bytes(plan, recs, &kit->bytes, NULL), CDC_OK);
    assert_int_equal(cdc_row_schema_parse(cdc_buf_slice(&kit->text), &kit->schema, NULL), CDC_OK);
    kit->arena = cdc_arena_new(1 << 20);
}

static void end(struct kit *kit)
{
    cdc_arena_free(kit->arena);
    cdc_row_schema_free(kit->schema);
    cdc_table_unref(kit->tab);
    cdc_buf_done(&kit->text);
    cdc_buf_done(&kit->bytes);
}

/* Out of a copy of its own, so that a byte too far is seen. */
static int read_copy(struct kit *kit, const uint8_t *p, size_t n, struct cdc_error *err)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    cdc_arena_reset(kit->arena);
    int rc = cdc_row_read(kit->schema, cdc_slice_of(copy, n), kit->arena, kit->got, err);
    free(copy);
    return rc;
}

static bool is_column(const struct cdc_row_schema *schema, const char *name)
{
    for (uint16_t i = 0; i < schema->n; i++)
        if (strcmp(schema->cols[i].name, name) == 0)
            return true;
    return false;
}

static void check_refusal(const struct kit *kit, const struct cdc_error *err)
{
    assert_int_equal(err->action, CDC_FATAL);
    assert_non_null(strstr(err->message, "table public.cells"));
    assert_true(is_column(kit->schema, err->where));
    assert_non_null(strstr(err->message, err->where));
}

static void same(void **state)
{
    (void)state;
    for (size_t row = 0; row < CELLS; row++) {
        struct kit kit;
        struct cdc_error err;
        start(&kit, row);
        struct cdc_slice bytes = cdc_buf_slice(&kit.bytes);
        if (cdc_row_read(kit.schema, bytes, kit.arena, kit.got, &err) < 0)
            fail_msg("row %zu: %s", row, err.message);
        for (size_t i = 0; i < N_CELL_COLUMNS; i++)
            assert_true(cells_equal(&kit.got[i], &cell_columns[i].cells[row].val));
        assert_int_equal(kit.got[kit.schema->meta[CDC_META_DELETED]].i, 0);
        end(&kit);
    }
}

static void prefixes(void **state)
{
    (void)state;
    for (size_t row = 0; row < CELLS; row++) {
        struct kit kit;
        start(&kit, row);
        for (size_t n = 0; n < kit.bytes.len; n++) {
            struct cdc_error err = {.message = ""};
            assert_int_equal(read_copy(&kit, kit.bytes.p, n, &err), CDC_FAIL);
            check_refusal(&kit, &err);
            assert_non_null(strstr(err.message, "cannot be read"));
        }
        end(&kit);
    }
}

static void left_over(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit, 0);
    size_t len = kit.bytes.len;
    for (size_t more = 1; more < 4; more++) {
        struct cdc_error err = {.message = ""};
        char want[64];
        cdc_buf_byte(&kit.bytes, 0);
        assert_int_equal(read_copy(&kit, kit.bytes.p, len + more, &err), CDC_FAIL);
        check_refusal(&kit, &err);
        assert_string_equal(err.where, "__prev_key");
        snprintf(want, sizeof want, "%zu bytes are left", more);
        assert_non_null(strstr(err.message, want));
    }
    end(&kit);
}

/* Each byte changed to each value: read or refused, never past the end (ASan watches). */
static void changed(void **state)
{
    (void)state;
    struct kit kit;
    size_t refused = 0;
    start(&kit, 0);
    for (size_t i = 0; i < kit.bytes.len; i++) {
        uint8_t was = kit.bytes.p[i];
        for (unsigned byte = 0; byte < 256; byte++) {
            struct cdc_error err = {.message = ""};
            kit.bytes.p[i] = (uint8_t)byte;
            if (read_copy(&kit, kit.bytes.p, kit.bytes.len, &err) < 0) {
                check_refusal(&kit, &err);
                refused++;
            }
        }
        kit.bytes.p[i] = was;
    }
    assert_true(refused > kit.bytes.len * 64);
    end(&kit);
}

/* An array for which the arena has no room is refused, not believed. */
static void no_memory(void **state)
{
    (void)state;
    struct kit kit;
    struct cdc_error err = {.message = ""};
    start(&kit, 0);
    cdc_arena_free(kit.arena);
    kit.arena = cdc_arena_new(0);
    assert_int_equal(read_copy(&kit, kit.bytes.p, kit.bytes.len, &err), CDC_FAIL);
    assert_string_equal(err.where, "ai");
    end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same),    cmocka_unit_test(prefixes),  cmocka_unit_test(left_over),
        cmocka_unit_test(changed), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("avro_rows", tests, NULL, NULL);
}
