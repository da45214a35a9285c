/* `check`: the lines about tables and rules, word for word. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>
#include <stdlib.h>

#include "capture_rules.h"
#include "cli/cli.h"

#define KEY "0123456789abcdef"

static const char *const users[] = {"id",  "email",      "phone",      "bio",
                                    "age", "created_at", "deleted_at", NULL};
static const char *const orders[] = {"id", "price", "deleted_at", NULL};
static const char *const log_columns[] = {"at", "text", NULL};
static const char *const id[] = {"id", NULL}, *const none[] = {NULL};

static const struct cdc_known_table tables[] = {
    {.schema = "public", .name = "log", .columns = log_columns, .key = none},
    {.schema = "public", .name = "orders", .columns = orders, .key = id},
    {.schema = "public", .name = "users", .columns = users, .key = id},
};

#define REST                                                                                       \
    "- {tables: public.log, skip: true}\n"                                                         \
    "- {tables: public.orders, skip: true}\n"
#define SKIPPED(log, orders)                                                                       \
    "ok    table public.log: not captured (skip, shop.yaml:" log ")\n"                             \
    "ok    table public.orders: not captured (skip, shop.yaml:" orders ")\n"
#define USERS(more)                                                                                \
    REST "- tables: public.users\n"                                                                \
         "  snapshot: never\n" more
#define USERS_OK SKIPPED("2", "3") "ok    table public.users: rule shop.yaml:4: "

static const struct row {
    const char *name, *rules, *told;
} rows[] = {
    {"one rule for all", "- {tables: public.*, snapshot: never}\n",
     "ok    table public.log: rule shop.yaml:2: no key; deletes soft\n"
     "ok    table public.orders: rule shop.yaml:2: key id; deletes soft\n"
     "ok    table public.users: rule shop.yaml:2: key id; deletes soft\n"},
    {"no rule for two", "- {tables: public.users, snapshot: never}\n",
     "ok    table public.log: not captured (no rule takes it)\n"
     "ok    table public.orders: not captured (no rule takes it)\n"
     "ok    table public.users: rule shop.yaml:2: key id; deletes soft\n"},
    {"everything",
     USERS("  key: [id, email]\n  deletes: hard\n  logical_delete: {column: deleted_at}\n"
           "  updated_at: created_at\n  on_invalid: {age: null, '*_at': string}\n"
           "  columns: {exclude: ['a*'], hash: [email], mask: [phone], truncate: {bio: 200}}\n"),
     USERS_OK "key id, email; deletes hard; deleted also by deleted_at; updated at created_at; "
              "excluded age; hashed email; masked phone; truncated bio to 200; invalid values "
              "string in created_at, deleted_at\n"},
    {"include", USERS("  columns: {include: [email, phone], mask: [email]}\n"),
     USERS_OK "key id; deletes soft; excluded bio, age, created_at, deleted_at; masked email\n"},
    {"on_invalid for all", USERS("  on_invalid: null\n"),
     USERS_OK "key id; deletes soft; invalid values null in all\n"},
    {"on_invalid for all but one", USERS("  on_invalid: {'*': string, age: null}\n"),
     USERS_OK "key id; deletes soft; invalid values string in id, email, phone, bio, created_at, "
              "deleted_at; invalid values null in age\n"},
    {"insert_only", REST "- {tables: public.users, snapshot: never, insert_only: true}\n",
     USERS_OK "inserts only; deletes append\n"},
    {"key excluded", USERS("  columns: {exclude: [id]}\n"),
     USERS_OK "key id; deletes soft; excluded id\n"
              "FAIL  table public.users: rule shop.yaml:4 excludes the key column id: without its "
              "values rows cannot be told apart\n"
              "          hash the column, or name other columns by `key:` in a rule of its own\n"},
    {"key truncated by a pattern", USERS("  columns: {truncate: {'i?': 3}}\n"),
     USERS_OK "key id; deletes soft; truncated id to 3\n"
              "FAIL  table public.users: rule shop.yaml:4 truncates the key column id: without its "
              "values rows cannot be told apart\n"
              "          hash the column, or name other columns by `key:` in a rule of its own\n"},
    {"the table's own key does not count beside `key:`",
     USERS("  key: [email]\n  columns: {exclude: [id]}\n"),
     USERS_OK "key email; deletes soft; excluded id\n"},
    {"a key hashed", USERS("  columns: {hash: [id]}\n"),
     USERS_OK "key id; deletes soft; hashed id\n"},
    {"names that the table lacks",
     USERS("  columns: {exclude: [emial, zzz], mask: ['x*']}\n  on_invalid: {fhone: null}\n"),
     USERS_OK
     "key id; deletes soft\n"
     "FAIL  table public.users: rule shop.yaml:4 names the column \"emial\", which the "
     "table does not have; did you mean \"email\"?\n"
     "FAIL  table public.users: rule shop.yaml:4 names the column \"zzz\", which the table "
     "does not have\n"
     "FAIL  table public.users: rule shop.yaml:4 names the column \"fhone\", which the table "
     "does not have; did you mean \"phone\"?\n"},
    {"a name that one table of many lacks",
     "- {tables: public.log, skip: true}\n"
     "- {tables: public.*, snapshot: never, columns: {exclude: [phone]}}\n",
     "ok    table public.log: not captured (skip, shop.yaml:2)\n"
     "ok    table public.orders: rule shop.yaml:3: key id; deletes soft\n"
     "ok    table public.users: rule shop.yaml:3: key id; deletes soft; excluded phone\n"},
    {"a name that all tables of many lack",
     "- {tables: public.log, skip: true}\n"
     "- {tables: public.*, snapshot: never, columns: {exclude: [fhone, phone]}}\n",
     "ok    table public.log: not captured (skip, shop.yaml:2)\n"
     "ok    table public.orders: rule shop.yaml:3: key id; deletes soft\n"
     "ok    table public.users: rule shop.yaml:3: key id; deletes soft; excluded phone\n"
     "FAIL  rule shop.yaml:3 (public.*) names the column \"fhone\", which none of its tables has; "
     "did you mean \"phone\"?\n"},
    {"a column that each table of many needs",
     "- {tables: public.*, snapshot: never, logical_delete: {column: deleted_at}, key: [id]}\n",
     "ok    table public.log: rule shop.yaml:2: key id; deletes soft; deleted also by deleted_at\n"
     "FAIL  table public.log: rule shop.yaml:2 names the column \"id\", which the table does not "
     "have\n"
     "FAIL  table public.log: rule shop.yaml:2 names the column \"deleted_at\", which the table "
     "does "
     "not have\n"
     "ok    table public.orders: rule shop.yaml:2: key id; deletes soft; deleted also by "
     "deleted_at\n"
     "ok    table public.users: rule shop.yaml:2: key id; deletes soft; deleted also by "
     "deleted_at\n"},
    {"rules that take nothing",
     "- {tables: public.*, snapshot: never}\n- {tables: public.users, snapshot: never}\n"
     "- {tables: public.audit, skip: true}\n- messages: ['*']\n",
     "ok    table public.log: rule shop.yaml:2: no key; deletes soft\n"
     "ok    table public.orders: rule shop.yaml:2: key id; deletes soft\n"
     "ok    table public.users: rule shop.yaml:2: key id; deletes soft\n"
     "warn  rule shop.yaml:3 (public.users) takes no table\n"
     "          look for a misspelt name, or an earlier rule that takes the tables\n"
     "warn  rule shop.yaml:4 (public.audit) takes no table\n"
     "          look for a misspelt name, or an earlier rule that takes the tables\n"},
};

static void test_check(void **state)
{
    const struct row *row = *state;
    struct cdc_arena *arena = cdc_arena_new(1 << 20);
    struct cdc_error err = {0};
    char yaml[4096], *told = NULL;
    size_t len = 0;
    snprintf(yaml, sizeof yaml, "capture:\n%s", row->rules);
    const struct cdc_capture *capture = read_rules(arena, yaml, KEY, &err);
    if (!capture)
        fail_msg("%s: %s", err.where, err.message);
    FILE *out = open_memstream(&told, &len);
    struct cdc_report *report = cdc_report_new(out);
    cdc_capture_check(capture, tables, CM_COUNT(tables), report);
    cdc_report_free(report);
    fclose(out);
    assert_string_equal(told, row->told);
    free(told);
    cdc_arena_free(arena);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows)];
    CM_ROWS(tests, test_check, rows);
    return cmocka_run_group_tests_name("cli_capture_check", tests, NULL, NULL);
}
