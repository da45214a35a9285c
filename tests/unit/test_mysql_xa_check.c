/*
 * test_mysql_xa_check.c - what is asked of the server behind an XA COMMIT (xa_check.c): the row by
 * its key, in every form a key can have; what the server's answers, or its errors, say together.
 */
#define mys_sql         fake_sql
#define mys_query       fake_query
#define mysql_errno     fake_errno
#define mys_sql_close   fake_sql_close
#define mys_gap_table   fake_gap_table
#define mys_doubt_add   t_doubt_add
#define mys_doubt_blind t_doubt_blind
#define mys_doubt_ask   t_doubt_ask
#define mys_doubt_gap   t_doubt_gap
#define mys_doubt_done  t_doubt_done
#include "rows.h"

#include "../../connectors/mysql/xa_check.c"

#include <stdio.h>

static struct world {
    const unsigned *answers; /* error numbers */
    unsigned code, asked, closed, gaps;
} world;

int fake_sql(struct mys_server *srv, struct cdc_error *err)
{
    (void)srv, (void)err;
    return CDC_OK;
}

int fake_query(MYSQL *conn, const char *sql, MYSQL_RES **ret, struct cdc_error *err)
{
    (void)conn, (void)ret;
    assert_non_null(strstr(sql, "1 FROM "));
    world.code = world.answers[world.asked++];
    return world.code ? cdc_fail(err, CDC_RETRY, "mysql", "error %u", world.code) : CDC_OK;
}

unsigned fake_errno(MYSQL *conn)
{
    (void)conn;
    return world.code;
}

void fake_sql_close(struct mys_server *srv)
{
    (void)srv;
    world.closed++;
}

int fake_gap_table(struct mys_source *src, struct cdc_batch *batch, struct cdc_table *tab,
                   struct cdc_error *err)
{
    (void)src, (void)batch, (void)err;
    assert_non_null(tab);
    world.gaps++;
    return CDC_OK;
}

static struct cdc_table *table(const char *name, const struct cdc_rule *rule, unsigned n_key)
{
    static const struct cdc_rule any = {.tables = "*"};
    const struct cdc_column cols[] = {
        {.name = "a", .type = "t", .kind = CDC_TEXT, .key = n_key > 0},
        {.name = "b`c", .type = "t", .kind = CDC_TEXT, .key = n_key > 1 ? 2 : 0}};
    const struct cdc_table_spec spec = {.catalog = "d",
                                        .schema = "d",
                                        .name = name,
                                        .version = 1,
                                        .n = 2,
                                        .cols = cols,
                                        .rule = rule ? rule : &any};
    struct cdc_table *tab = NULL;
    assert_int_equal(cdc_table_new(&spec, &tab, NULL), CDC_OK);
    return tab;
}

/* ---- the question ---- */

#define NUM(n)                                                                                     \
    {                                                                                              \
        .kind = CDC_INT, .i = (n)                                                                  \
    }
#define STR(k, s)                                                                                  \
    {                                                                                              \
        .kind = (k), .p = (const uint8_t *)(s), .len = sizeof(s) - 1                               \
    }
#define AT(k, n)                                                                                   \
    {                                                                                              \
        .kind = (k), .i = (n)                                                                      \
    }
#define DEC(s, sc)                                                                                 \
    {                                                                                              \
        .kind = CDC_DECIMAL, .p = (const uint8_t *)(s), .len = sizeof(s) - 1, .aux = (sc)          \
    }

static const struct row {
    const char *name;
    struct cdc_value key;
    const char *sql; /* NULL: not asked for */
} rows[] = {
    {"int", NUM(-5), "-5"},
    {"bool", AT(CDC_BOOL, 1), "1"},
    {"text", STR(CDC_TEXT, "a'\\\xc3\xa4"), "_utf8mb4 X'61275CC3A4'"},
    {"empty text", STR(CDC_TEXT, ""), "_utf8mb4 X''"},
    {"uuid", STR(CDC_UUID, "0a-b"), "_utf8mb4 X'30612D62'"},
    {"bytes", STR(CDC_BYTES, "\0\xff"), "X'00FF'"},
    {"bigint unsigned", DEC("\0\xff\xff\xff\xff\xff\xff\xff\xff", 0), "18446744073709551615"},
    {"zero", DEC("\0", 0), "0"},
    {"zero with a scale", DEC("\0", 2), "0.00"},
    {"small", DEC("\x05", 2), "0.05"},
    {"decimal", DEC("\x30\x39", 2), "123.45"},
    {"negative", DEC("\xcf\xc7", 3), "-12.345"},
    {"38 digits", DEC("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff", 38),
     "0.99999999999999999999999999999999999999"},
    {"date", AT(CDC_DATE, -1), "DATE'1970-01-01' + INTERVAL -1 DAY"},
    {"time", AT(CDC_TIME, 5), "TIME'00:00:00' + INTERVAL 5 MICROSECOND"},
    {"datetime", AT(CDC_TIMESTAMP, -5), "TIMESTAMP'1970-01-01 00:00:00' + INTERVAL -5 MICROSECOND"},
    {"timestamp", AT(CDC_TIMESTAMPTZ, 5),
     "TIMESTAMP'1970-01-01 00:00:00' + INTERVAL 5 MICROSECOND"},
    {"float", {.kind = CDC_FLOAT, .f = 1}, NULL},
    {"invalid", STR(CDC_INVALID, "0000-00-00"), NULL},
    {"null", {.kind = CDC_NULL}, NULL},
};

static void must_ask(const struct mys_doubt *doubt, const char *where)
{
    char want[512];
    snprintf(want, sizeof want,
             "/*M!100000 SET STATEMENT max_statement_time = 1 FOR */SELECT "
             "/*+ MAX_EXECUTION_TIME(1000) */ 1 FROM `d`.`t` WHERE %s /*M!100000 LOCK IN SHARE "
             "MODE NOWAIT *//*!80001 FOR SHARE NOWAIT */",
             where ? where : "");
    assert_int_equal(doubt->rows->answer, where ? LOCKED : BLIND);
    if (where)
        assert_string_equal(cdc_buf_cstr(&doubt->rows->sql), want);
}

static void test_question(void **state)
{
    const struct row *row = *state;
    struct mys_doubt doubt = {NULL};
    struct cdc_table *tab = table("t", NULL, 1);
    const struct cdc_value vals[] = {row->key, NUM(1)}, none[] = {{.kind = CDC_UNCHANGED}, NUM(1)};
    char where[256];
    const struct cdc_change changes[] = {{.table = tab, .after = vals},
                                         {.table = tab, .before = vals},
                                         {.table = tab, .before = none, .after = vals},
                                         {.table = tab, .before = vals, .after = none}};
    snprintf(where, sizeof where, "`a` = %s", row->sql ? row->sql : "");
    for (size_t i = 0; i < CM_COUNT(changes); i++) {
        assert_int_equal(t_doubt_add(&doubt, &changes[i], NULL), CDC_OK);
        must_ask(&doubt, row->sql ? where : NULL);
        assert_null(doubt.rows->next);
    }
    t_doubt_done(&doubt);
    cdc_table_unref(tab);
}

static void test_tables(void **state)
{
    (void)state;
    static const char *const key[] = {"b`c"};
    static const struct cdc_rule rule = {.tables = "*", .key = key, .n_key = 1};
    const struct cdc_value vals[] = {NUM(1), NUM(2)};
    struct cdc_table *tabs[] = {table("t", NULL, 2), table("t", NULL, 0), table("t", &rule, 1)};
    struct mys_doubt doubt = {NULL};
    for (size_t i = 0; i < CM_COUNT(tabs); i++) {
        const struct cdc_change chg = {.table = tabs[i], .after = vals};
        assert_int_equal(t_doubt_add(&doubt, &chg, NULL), CDC_OK);
        must_ask(&doubt, i == 0 ? "`a` = 1 AND `b``c` = 2" : NULL);
    }
    const struct cdc_change gap = {.table = tabs[0], .op = CDC_OP_GAP};
    assert_int_equal(t_doubt_add(&doubt, &gap, NULL), CDC_OK);
    assert_int_equal(t_doubt_gap(NULL, NULL, &doubt, NULL), CDC_OK);
    assert_int_equal(world.gaps, 3);
    t_doubt_done(&doubt);
    for (size_t i = 0; i < CM_COUNT(tabs); i++)
        cdc_table_unref(tabs[i]);
}

/* ---- the answers ---- */

static const struct answers {
    const char *name;
    unsigned n; /* tables that can be asked */
    bool blind; /* and one that cannot */
    unsigned codes[4];
    int rc;
} answers[] = {
    {"done", 1, false, {0}, CDC_OK},
    {"locked", 1, false, {1205}, CDC_AGAIN},
    {"deadlock", 1, false, {1213}, CDC_AGAIN},
    {"one of two locked", 2, false, {0, 1205}, CDC_AGAIN},
    {"done, of another it cannot be known", 1, true, {0}, CDC_OK},
    {"locked, of another it cannot be known", 1, true, {1205}, CDC_AGAIN},
    {"it cannot be known", 0, true, {0}, CDC_END},
    {"no right", 1, false, {1142}, CDC_END},
    {"too slow", 1, false, {1969}, CDC_END},
    {"no right to one", 2, false, {1142, 0}, CDC_OK},
    {"dropped since", 1, false, {1146}, CDC_OK},
    {"altered since", 1, false, {1054}, CDC_OK},
    {"a question that the server never answers", 1, false, {1267}, CDC_END},
    {"lost", 1, false, {2013}, CDC_FAIL},
    {"the server stops", 1, false, {1053}, CDC_FAIL},
};

static void test_answers(void **state)
{
    const struct answers *row = *state;
    const struct cdc_value vals[] = {NUM(1), NUM(2)};
    struct mys_source src = {.incarnation = 0};
    struct mys_doubt doubt = {NULL};
    struct cdc_table *tabs[] = {table("t", NULL, 1), table("u", NULL, 1), table("v", NULL, 1)};
    world = (struct world){.answers = row->codes};
    for (unsigned i = 0; i < row->n; i++) {
        const struct cdc_change chg = {.table = tabs[i], .after = vals};
        assert_int_equal(t_doubt_add(&doubt, &chg, NULL), CDC_OK);
    }
    if (row->blind)
        assert_int_equal(t_doubt_blind(&doubt, tabs[2], NULL), CDC_OK);
    assert_int_equal(t_doubt_ask(&src, &doubt, NULL), row->rc);
    assert_int_equal(world.asked, row->n);
    assert_int_equal(world.closed, row->rc == CDC_FAIL);
    t_doubt_done(&doubt);
    for (size_t i = 0; i < CM_COUNT(tabs); i++)
        cdc_table_unref(tabs[i]);
}

/* Only those who were locked are asked again. */
static void test_again(void **state)
{
    (void)state;
    static const unsigned codes[] = {0, 1205, 1205, 0};
    const struct cdc_value vals[] = {NUM(1), NUM(2)};
    struct mys_source src = {.incarnation = 0};
    struct mys_doubt doubt = {NULL};
    struct cdc_table *tabs[] = {table("t", NULL, 1), table("u", NULL, 1)};
    world = (struct world){.answers = codes};
    for (unsigned i = 0; i < 2; i++) {
        const struct cdc_change chg = {.table = tabs[i], .after = vals};
        assert_int_equal(t_doubt_add(&doubt, &chg, NULL), CDC_OK);
    }
    assert_int_equal(t_doubt_ask(&src, &doubt, NULL), CDC_AGAIN);
    assert_int_equal(t_doubt_ask(&src, &doubt, NULL), CDC_AGAIN);
    assert_int_equal(world.asked, 3);
    assert_int_equal(t_doubt_ask(&src, &doubt, NULL), CDC_OK);
    t_doubt_done(&doubt);
    for (unsigned i = 0; i < 2; i++)
        cdc_table_unref(tabs[i]);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(answers) + 2], *end = tests;
    end = CM_ROWS(end, test_question, rows);
    end = CM_ROWS(end, test_answers, answers);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_tables);
    *end++ = (struct CMUnitTest)cmocka_unit_test(test_again);
    return _cmocka_run_group_tests("mysql_xa_check", tests, (size_t)(end - tests), NULL, NULL);
}
