/*
 * test_mysql_json_recorded.c - tests/data/mysql/json.mysql.bin, in which MySQL logged differences
 * of documents: every UPDATE of docs is followed by rows of said that have the documents' text as
 * the server itself gives it. Also every proper prefix of every event's rows.
 */
#include "mysql_json_kit.h"
#include "mysql_kit.h"

#define IDS 10

struct seen {
    struct cdc_buf docs[IDS][2]; /* columns a and b as updates gave them; "": NULL */
    unsigned told, partial, lost;
};

static void take_text(struct cdc_buf *to, const struct cdc_value *val)
{
    assert_true(val->kind == CDC_JSON || val->kind == CDC_TEXT || val->kind == CDC_NULL);
    cdc_buf_reset(to);
    if (val->kind != CDC_NULL)
        cdc_buf_put(to, val->p, val->len);
}

static void on_row(struct kit *kit, const struct kit_table *table, enum mys_op op,
                   const struct cdc_value *before, const struct cdc_value *after)
{
    struct seen *seen = kit->user;
    struct cdc_buf text = CDC_BUF(KIT_MAX);
    if (strcmp(table->name, "g.docs") == 0 && kit->lost) {
        assert_true(op == MYS_UPDATE && before[1].kind == CDC_ABSENT);
        assert_true(after[1].kind == CDC_UNCHANGED && after[2].kind == CDC_INT);
        seen->lost++;
    } else if (strcmp(table->name, "g.docs") == 0 && after[1].kind != CDC_UNCHANGED) {
        take_text(&seen->docs[after[0].i][0], &after[1]);
        take_text(&seen->docs[after[0].i][1], &after[3]);
    } else if (strcmp(table->name, "g.said") == 0) {
        for (unsigned i = 0; i < 2; i++) {
            take_text(&text, &after[2 + i]);
            assert_string_equal(cdc_buf_cstr(&seen->docs[after[1].i][i]), cdc_buf_cstr(&text));
        }
        seen->told++;
    }
    cdc_buf_done(&text);
}

/* Every proper prefix of the rows either ends where a row does, or is malformed. */
static void cut_rows(struct kit *kit, const struct mys_event *ev, const struct mys_shape *shape)
{
    struct cdc_value vals[2][8];
    for (size_t n = 0; n < ev->rows.rows.len; n++) {
        struct cdc_slice part = jk_exact(ev->rows.rows.p, n);
        struct mys_rows rd;
        uint64_t counted = 0;
        int rc;
        assert_int_equal(mys_rows_start(&rd, ev, part, shape->fields, shape->n, NULL), CDC_OK);
        rd.arena = kit->arena;
        while ((rc = mys_rows_next(&rd, vals[0], vals[1], NULL)) == CDC_OK)
            counted++;
        assert_int_equal(rc, rd.rd.failed || n != rd.rd.off ? CDC_FAIL : CDC_END);
        uint64_t again = 0;
        if (mys_rows_count(ev, part, shape->fields, &again, NULL) == CDC_OK)
            assert_int_equal(again, counted);
        else
            assert_int_equal(rc, CDC_FAIL);
        jk_drop(part);
    }
}

static void on_event(struct kit *kit, const struct mys_event *ev)
{
    struct seen *seen = kit->user;
    if (ev->kind != MYS_ROWS || !ev->rows.partial)
        return;
    seen->partial++;
    if (ev->rows.rows.len < 4096)
        cut_rows(kit, ev, kit_table(kit, ev->rows.map_id)->shape);
}

static void test_recorded(void **state)
{
    (void)state;
    size_t len;
    struct seen *seen = calloc(1, sizeof *seen);
    uint8_t *bytes = kit_file("json.mysql.bin", &len);
    struct kit kit = {.event = on_event, .row = on_row, .user = seen};
    assert_non_null(seen);
    for (unsigned i = 0; i < IDS; i++)
        for (unsigned j = 0; j < 2; j++)
            cdc_buf_init(&seen->docs[i][j], KIT_MAX);
    kit_walk(&kit, bytes, len);
    assert_int_equal(seen->told, 53);
    assert_int_equal(seen->lost, 2);
    assert_in_range(seen->partial, 50, 60);
    for (unsigned i = 0; i < IDS; i++)
        for (unsigned j = 0; j < 2; j++)
            cdc_buf_done(&seen->docs[i][j]);
    free(seen);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests_name("mysql: JSON differences, recorded", tests, NULL, NULL);
}
