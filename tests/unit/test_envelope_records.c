/*
 * test_envelope_records.c - what rules make of whole records: keys that are hashed, logical deletes
 * and revivals, the row's own time of change, columns left out, logical messages, and the JSON for
 * sinks that print. Hashes come from Python's hmac.
 */
#include "envelope_kit.h"
#include "rows.h"

/* clang-format off */
#define H_7    "592f430a5f30cdb5e8d8c7026637678b6051294afb56e4d067fbd2eb5b5cb8df"
#define H_8    "a16b41e63e9638fa7382e343f0ebf2a5d00a93313502ebb8e01a15e1896b6861"
#define DEAD(why) "__deleted=true __deleted_at=" KIT_AT " __delete_reason=\"" why "\""
#define LOGICAL   "logical_delete: {column: gone}"
#define US(n)     V_INT(CDC_TIMESTAMPTZ, (n))
#define UPDATED   "updated_at: at"

/* id, k: the key where the rule says so; gone, at: of the kind of the row */
static const struct row {
    const char *name, *rule;
    struct cdc_column third; /* after id and name */
    char op;
    uint8_t flags;
    struct cdc_value before[3], after[3];
    const char *want[2];
    const char *refused; /* CDC_OPERATOR: part of the message */
} rows[] = {
#define GONE COL("gone", "timestamp with time zone", CDC_TIMESTAMPTZ, .bits = 0)
#define FLAG COL("gone", "boolean", CDC_BOOL, .bits = 0)
    {"alive", LOGICAL, GONE, 'u', 0, {NUL}, {ID(7), TEXT("a"), NUL},
     {"id=7 name=\"a\" gone=null __op=\"u\"", NULL}, NULL},
    {"deleted by a time", LOGICAL, GONE, 'u', 0, {NUL}, {ID(7), TEXT("a"), US(0)},
     {"id=7 name=\"a\" gone=\"1970-01-01T00:00:00.000000Z\" __op=\"u\" " DEAD("logical"), NULL}, NULL},
    {"born deleted", LOGICAL, GONE, 'c', 0, {NUL}, {ID(7), TEXT("a"), US(1)},
     {"id=7 name=\"a\" gone=\"1970-01-01T00:00:00.000001Z\" __op=\"c\" " DEAD("logical"), NULL}, NULL},
    {"read deleted", LOGICAL, GONE, 'r', 0, {NUL}, {ID(7), TEXT("a"), US(1)},
     {"id=7 name=\"a\" gone=\"1970-01-01T00:00:00.000001Z\" __op=\"r\" " DEAD("logical"), NULL}, NULL},
    {"other column not sent", LOGICAL, GONE, 'u', 0, {NUL}, {ID(7), UNCHANGED, US(1)},
     {"id=7 name=null gone=\"1970-01-01T00:00:00.000001Z\" __op=\"u\" " DEAD("logical") " __unchanged=[\"name\"]", NULL}, NULL},
    {"flag true", LOGICAL, FLAG, 'u', 0, {NUL}, {ID(7), TEXT("a"), BOOL(1)},
     {"id=7 name=\"a\" gone=true __op=\"u\" " DEAD("logical"), NULL}, NULL},
    {"flag false", LOGICAL, FLAG, 'u', 0, {NUL}, {ID(7), TEXT("a"), BOOL(0)},
     {"id=7 name=\"a\" gone=false __op=\"u\"", NULL}, NULL},
    {"flag null", LOGICAL, FLAG, 'u', 0, {NUL}, {ID(7), TEXT("a"), NUL},
     {"id=7 name=\"a\" gone=null __op=\"u\"", NULL}, NULL},
    {"number 0", LOGICAL, COL("gone", "bigint", CDC_INT, .bits = 64), 'u', 0, {NUL}, {ID(7), TEXT("a"), ID(0)},
     {"id=7 name=\"a\" gone=0 __op=\"u\"", NULL}, NULL},
    {"number", LOGICAL, COL("gone", "bigint", CDC_INT, .bits = 64), 'u', 0, {NUL}, {ID(7), TEXT("a"), ID(-1)},
     {"id=7 name=\"a\" gone=-1 __op=\"u\" " DEAD("logical"), NULL}, NULL},
    {"text, empty", LOGICAL, COL("gone", "text", CDC_TEXT, .bits = 0), 'u', 0, {NUL}, {ID(7), TEXT("a"), TEXT("")},
     {"id=7 name=\"a\" gone=\"\" __op=\"u\" " DEAD("logical"), NULL}, NULL},
    {"invalid is not null", LOGICAL ", on_invalid: {gone: \"null\"}", GONE, 'u', 0, {NUL}, {ID(7), TEXT("a"), INVALID("infinity")},
     {"id=7 name=\"a\" gone=null __op=\"u\" " DEAD("logical") " __invalid=[\"gone\"]", NULL}, NULL},
    {"column excluded", LOGICAL ", columns: {exclude: [gone]}", GONE, 'u', 0, {NUL}, {ID(7), TEXT("a"), US(1)},
     {"id=7 name=\"a\" __op=\"u\" " DEAD("logical"), NULL}, NULL},
    {"not sent, on update", LOGICAL, COL("gone", "text", CDC_TEXT, .bits = 0), 'u', 0, {NUL}, {ID(7), TEXT("a"), UNCHANGED},
     {NULL, NULL}, "did not send column gone"},
    {"physical delete of a deleted row", LOGICAL, GONE, 'd', 0, {ID(7), TEXT("a"), US(1)}, {NUL},
     {"id=7 name=\"a\" gone=\"1970-01-01T00:00:00.000001Z\" __op=\"d\" " DEAD("delete"), NULL}, NULL},
    {"physical delete, the key alone", LOGICAL, GONE, 'd', 0, {ID(7), ABSENT, ABSENT}, {NUL},
     {"id=7 name=null gone=null __op=\"d\" " DEAD("delete") " __unchanged=[\"name\",\"gone\"]", NULL}, NULL},
    {"truncate", LOGICAL ", " "updated_at: gone", GONE, 't', 0, {NUL}, {NUL},
     {"id=null name=null gone=null __op=\"t\" " DEAD("truncate"), NULL}, NULL},
    {"key change of a deleted row", LOGICAL, GONE, 'u', CDC_KEY_MOVED, {ID(7), ABSENT, ABSENT}, {ID(8), TEXT("a"), US(1)},
     {"id=7 name=null gone=null __op=\"d\" " DEAD("key_change") " __unchanged=[\"name\",\"gone\"]",
      "id=8 name=\"a\" gone=\"1970-01-01T00:00:00.000001Z\" __op=\"c\" " DEAD("logical") " __prev_key=\"{\\\"id\\\":7}\""}, NULL},
    {"key change that revives", LOGICAL, GONE, 'u', CDC_KEY_MOVED, {ID(7), TEXT("a"), US(1)}, {ID(8), TEXT("a"), NUL},
     {"id=7 name=\"a\" gone=\"1970-01-01T00:00:00.000001Z\" __op=\"d\" " DEAD("key_change"),
      "id=8 name=\"a\" gone=null __op=\"c\" __prev_key=\"{\\\"id\\\":7}\""}, NULL},

#define AT(kd, ty) COL("at", ty, kd, .bits = 0)
    {"updated_at, timestamptz", UPDATED, AT(CDC_TIMESTAMPTZ, "timestamptz"), 'u', 0, {NUL}, {ID(7), NUL, US(5)},
     {"id=7 name=null at=\"1970-01-01T00:00:00.000005Z\" __op=\"u\" __source_updated_at=\"1970-01-01T00:00:00.000005Z\"", NULL}, NULL},
    {"updated_at, timestamp", UPDATED, AT(CDC_TIMESTAMP, "timestamp"), 'c', 0, {NUL}, {ID(7), NUL, V_INT(CDC_TIMESTAMP, -1)},
     {"id=7 name=null at=\"1969-12-31T23:59:59.999999\" __op=\"c\" __source_updated_at=\"1969-12-31T23:59:59.999999Z\"", NULL}, NULL},
    {"updated_at, date", UPDATED, AT(CDC_DATE, "date"), 'r', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, 2932896)},
     {"id=7 name=null at=\"9999-12-31\" __op=\"r\" __source_updated_at=\"9999-12-31T00:00:00.000000Z\"", NULL}, NULL},
    {"updated_at, null", UPDATED, AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, NUL},
     {"id=7 name=null at=null __op=\"u\"", NULL}, NULL},
    {"updated_at, not sent", UPDATED, AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, UNCHANGED},
     {"id=7 name=null at=null __op=\"u\" __unchanged=[\"at\"]", NULL}, NULL},
    {"updated_at, invalid", UPDATED ", on_invalid: string", AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, INVALID("infinity")},
     {"id=7 name=null at=\"infinity\" __op=\"u\"", NULL}, NULL},
    {"updated_at, out of range", UPDATED ", on_invalid: \"null\"", AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, INT64_MAX)},
     {"id=7 name=null at=null __op=\"u\" __invalid=[\"at\"]", NULL}, NULL},
    {"updated_at as text", UPDATED ", on_invalid: {at: string}", AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, 1)},
     {"id=7 name=null at=\"1970-01-02\" __op=\"u\" __source_updated_at=\"1970-01-02T00:00:00.000000Z\"", NULL}, NULL},
    {"updated_at, of the deleted row", UPDATED, AT(CDC_DATE, "date"), 'd', 0, {ID(7), NUL, V_INT(CDC_DATE, 1)}, {NUL},
     {"id=7 name=null at=\"1970-01-02\" __op=\"d\" " DEAD("delete") " __source_updated_at=\"1970-01-02T00:00:00.000000Z\"", NULL}, NULL},
    {"updated_at, not included", UPDATED ", columns: {include: [id]}", AT(CDC_DATE, "date"), 'u', 0, {NUL}, {ID(7), NUL, V_INT(CDC_DATE, 1)},
     {"id=7 __op=\"u\" __source_updated_at=\"1970-01-02T00:00:00.000000Z\"", NULL}, NULL},

#define N COL("n", "numeric(4,2)", CDC_DECIMAL, .precision = 4, .scale = 2)
    {"hashed key", "columns: {hash: [id]}", N, 'c', 0, {NUL}, {ID(7), TEXT("a"), NUL},
     {"id=\"" H_7 "\" name=\"a\" n=null __op=\"c\"", NULL}, NULL},
    {"hashed key, delete", "columns: {hash: [id]}", N, 'd', 0, {ID(7), ABSENT, ABSENT}, {NUL},
     {"id=\"" H_7 "\" name=null n=null __op=\"d\" " DEAD("delete") " __unchanged=[\"name\",\"n\"]", NULL}, NULL},
    {"hashed key changes", "columns: {hash: [id]}", N, 'u', CDC_KEY_MOVED, {ID(7), ABSENT, ABSENT}, {ID(8), TEXT("a"), UNCHANGED},
     {"id=\"" H_7 "\" name=null n=null __op=\"d\" " DEAD("key_change") " __unchanged=[\"name\",\"n\"]",
      "id=\"" H_8 "\" name=\"a\" n=null __op=\"c\" __unchanged=[\"n\"] __prev_key=\"{\\\"id\\\":\\\"" H_7 "\\\"}\""}, NULL},
    {"composite key, one hashed, in the key's order", "columns: {hash: [id]}, key: [name, id]", N, 'u', CDC_KEY_MOVED,
     {ID(7), TEXT("a"), ABSENT}, {ID(8), TEXT("b"), NUL},
     {"id=\"" H_7 "\" name=\"a\" n=null __op=\"d\" " DEAD("key_change") " __unchanged=[\"n\"]",
      "id=\"" H_8 "\" name=\"b\" n=null __op=\"c\" __prev_key=\"{\\\"name\\\":\\\"a\\\",\\\"id\\\":\\\"" H_7 "\\\"}\""}, NULL},
    {"key of text forms", "key: [n], on_invalid: {n: string}", N, 'u', CDC_KEY_MOVED, {ABSENT, ABSENT, V_DEC("\xfb", 2)}, {ID(7), NUL, INVALID("NaN")},
     {"id=null name=null n=\"-0.05\" __op=\"d\" " DEAD("key_change") " __unchanged=[\"id\",\"name\"]",
      "id=7 name=null n=\"NaN\" __op=\"c\" __prev_key=\"{\\\"n\\\":\\\"-0.05\\\"}\""}, NULL},
    {"hashed key not sent", "columns: {hash: [id]}", N, 'u', 0, {NUL}, {UNCHANGED, NUL, NUL}, {NULL, NULL}, "did not send it"},
    {"excluded in the middle", "columns: {exclude: [name]}", N, 'u', 0, {NUL}, {ID(7), TEXT("a"), UNCHANGED},
     {"id=7 n=null __op=\"u\" __unchanged=[\"n\"]", NULL}, NULL},
    {"excluded, range delete", "columns: {exclude: [name]}", N, 't', 0, {NUL}, {NUL},
     {"id=null n=null __op=\"t\" " DEAD("truncate"), NULL}, NULL},
    {"all but the key excluded", "columns: {include: [id]}", N, 'c', 0, {NUL}, {ID(7), TEXT("a"), NUL},
     {"id=7 __op=\"c\"", NULL}, NULL},
};
/* clang-format on */

static void run(void **state)
{
    const struct row *row = *state;
    const struct cdc_column cols[] = {COL("id", "bigint", CDC_INT, .bits = 64, .key = 1),
                                      COL("name", "text", CDC_TEXT, .bits = 0), row->third};
    struct cdc_error err = {.message = ""};
    struct kit kit;
    kit_up(&kit, row->rule, cols, 3);
    int rc = kit_add(&kit, row->op, row->flags, row->before, row->after, &err);
    if (row->refused) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        if (!strstr(err.message, row->refused) || !strstr(err.message, "public.t"))
            fail_msg("\"%s\" is not in: %s", row->refused, err.message);
    } else if (rc < 0) {
        fail_msg("%s", err.message);
    }
    kit_check(&kit, row->want, 2);
    kit_down(&kit);
}

/* The table of logical messages: no key, no rule, op m. */
static void message(void **state)
{
    (void)state;
    static const struct cdc_column cols[] = {
        COL("prefix", "text", CDC_TEXT, .bits = 0),
        COL("content", "bytea", CDC_BYTES, .bits = 0),
        COL("transactional", "boolean", CDC_BOOL, .bits = 0),
    };
    const struct cdc_value vals[] = {TEXT("audit"), V_STR(CDC_BYTES, "\x01"), BOOL(1)};
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "_sidestream",
                                  .name = "_messages",
                                  .version = 1,
                                  .n = 3,
                                  .cols = cols};
    struct cdc_error err;
    struct kit kit = {.text = CDC_BUF(1 << 20), .mem = {.buf = CDC_BUF(1 << 20)}};
    assert_int_equal(cdc_table_new(&spec, &kit.tab, NULL), CDC_OK);
    assert_int_equal(kit_plan(&kit, &err), CDC_OK);
    assert_int_equal(kit_add(&kit, 'm', 0, NULL, vals, &err), CDC_OK);
    kit_check(
        &kit,
        (const char *const[]){"prefix=\"audit\" content=\"AQ==\" transactional=true __op=\"m\""},
        1);
    kit_down(&kit);
}

/* A row that is deleted logically, revived, deleted at the source: three records of one key. */
static void revival(void **state)
{
    (void)state;
    const struct cdc_column cols[] = {COL("id", "bigint", CDC_INT, .bits = 64, .key = 1), GONE};
    struct cdc_error err;
    struct kit kit;
    kit_up(&kit, LOGICAL, cols, 2);
    assert_int_equal(kit_add(&kit, 'u', 0, NULL, (struct cdc_value[]){ID(7), US(1)}, &err), CDC_OK);
    assert_int_equal(kit_add(&kit, 'u', 0, NULL, (struct cdc_value[]){ID(7), NUL}, &err), CDC_OK);
    assert_int_equal(kit_add(&kit, 'd', 0, (struct cdc_value[]){ID(7), NUL}, NULL, &err), CDC_OK);
    static const char *const want[] = {
        "id=7 gone=\"1970-01-01T00:00:00.000001Z\" __op=\"u\" " DEAD("logical"),
        "id=7 gone=null __op=\"u\"",
        "id=7 gone=null __op=\"d\" " DEAD("delete"),
    };
    kit_check(&kit, want, 3);
    kit_down(&kit);
}

/* What a sink prints is what another one writes: rules carried out, what was not sent left out. */
static void json(void **state)
{
    (void)state;
    const struct cdc_column cols[] = {COL("id", "bigint", CDC_INT, .bits = 64, .key = 1),
                                      COL("name", "text", CDC_TEXT, .bits = 0),
                                      COL("pin", "integer", CDC_INT, .bits = 32),
                                      GONE,
                                      COL("doc", "jsonb", CDC_JSON, .bits = 0),
                                      COL("secret", "text", CDC_TEXT, .bits = 0)};
    const struct cdc_value vals[] = {ID(7),     TEXT("hush"), ID(1234), INVALID("infinity"),
                                     UNCHANGED, TEXT("hush")};
    const struct cdc_value bad[] = {ID(7), TEXT("hush"), ID(1LL << 40), NUL, NUL, NUL};
    struct cdc_tx tx = {.commit_us = KIT_US};
    struct cdc_record rec[CDC_RECORDS_MAX];
    struct cdc_buf buf = CDC_BUF(4096);
    struct cdc_error err;
    struct kit kit;
    kit_up(&kit,
           "columns: {hash: [id], mask: [name], exclude: [secret]}, on_invalid: {gone: \"null\"}",
           cols, 6);
    struct cdc_change chg = {.op = 'u', .table = kit.tab, .tx = &tx, .after = vals};
    assert_int_equal(cdc_plan_records(kit.tab->plan, &chg, 0, rec, NULL), 1);
    assert_int_equal(cdc_plan_json(kit.tab->plan, rec, &buf, NULL), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&buf),
                        "{\"id\":\"" H_7 "\",\"name\":\"*****\",\"pin\":1234,\"gone\":null}");
    chg.after = bad;
    assert_int_equal(cdc_plan_records(kit.tab->plan, &chg, 0, rec, NULL), 1);
    assert_int_equal(cdc_plan_json(kit.tab->plan, rec, &buf, &err), CDC_FAIL);
    assert_non_null(strstr(err.message, "public.t.pin"));
    chg.op = 't';
    cdc_buf_reset(&buf);
    assert_int_equal(cdc_plan_records(kit.tab->plan, &chg, 0, rec, NULL), 1);
    assert_int_equal(cdc_plan_json(kit.tab->plan, rec, &buf, NULL), CDC_OK);
    assert_string_equal(cdc_buf_cstr(&buf), "null");
    cdc_buf_done(&buf);
    kit_down(&kit);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 3], *to = CM_ROWS(tests, run, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(message);
    *to++ = (struct CMUnitTest)cmocka_unit_test(revival);
    *to++ = (struct CMUnitTest)cmocka_unit_test(json);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
