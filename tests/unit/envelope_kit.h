/*
 * envelope_kit.h - a table under a capture rule as a configuration would give it, and its records
 * as one line each, read back from a file: the columns, then the meta columns that say something.
 *
 *   id=1 email="386f.." __op="d" __deleted=true __deleted_at="..." __delete_reason="delete"
 */
#ifndef TESTS_ENVELOPE_KIT_H
#define TESTS_ENVELOPE_KIT_H

#include "avro/check.h"
#include "avro/json.h"
#include "avro_cells.h"
#include "avro_mem.h"
#include "cm.h"
#include "config/settings.h"

#define KIT_KEY "test-secret-of-32-bytes-or-more!"
#define KIT_US  INT64_C(1600000000000000) /* 2020-09-13T12:26:40Z */
#define KIT_AT  "\"2020-09-13T12:26:40.000000Z\""

/* clang-format off */
#define ID(n)     V_INT(CDC_INT, n)
#define BOOL(n)   V_INT(CDC_BOOL, n)
#define TEXT(s)   V_STR(CDC_TEXT, s)
#define INVALID(s) V_STR(CDC_INVALID, s)
#define NUL       {.kind = CDC_NULL}
#define UNCHANGED {.kind = CDC_UNCHANGED}
#define ABSENT    {.kind = CDC_ABSENT}
/* clang-format on */

struct kit {
    struct cdc_settings *set;
    struct cdc_envelope_state env;
    struct cdc_table *tab;
    struct cdc_buf text; /* of the schema */
    struct mem mem;
    struct cdc_avro_writer *w;
};

/* `rule`: options of a capture rule in YAML's flow form. */
static inline void kit_rule(struct kit *kit, const char *rule)
{
    struct cdc_error err;
    struct cdc_buf yaml = CDC_BUF(65536);
    *kit = (struct kit){.env = {.incarnation = 10}};
    cdc_buf_printf(&yaml,
                   "name: shop\nsource: {type: example}\nsink: {type: \"null\"}\n"
                   "secrets: {hash: %s}\n"
                   "capture:\n  - {tables: \"public.*\", snapshot: never%s%s}\n",
                   KIT_KEY, *rule ? ", " : "", rule);
    assert_non_null(cdc_buf_cstr(&yaml));
    if (cdc_settings_parse(cdc_buf_slice(&yaml), "shop.yaml", &kit->set, &err) < 0)
        fail_msg("%s: %s", err.where, err.message);
    cdc_buf_done(&yaml);
}

static inline void kit_table(struct kit *kit, const struct cdc_column *cols, size_t n)
{
    struct cdc_table_spec spec = {.catalog = "shop",
                                  .schema = "public",
                                  .name = "t",
                                  .version = 1,
                                  .n = (uint16_t)n,
                                  .cols = cols};
    spec.rule = cdc_capture_match(kit->set->config.capture, "public", "t");
    assert_non_null(spec.rule);
    assert_int_equal(cdc_table_new(&spec, &kit->tab, NULL), CDC_OK);
    kit->text = CDC_BUF(1 << 20);
    kit->mem.buf = CDC_BUF(1 << 20);
}

/* Schema, plan, and a file for the records. CDC_FAIL: the rule is refused for this table. */
static inline int kit_plan(struct kit *kit, struct cdc_error *err)
{
    struct cdc_schema schema = {.id = 1};
    if (cdc_row_schema_text("shop", kit->tab, &kit->text, err) < 0 ||
        cdc_avro_check(cdc_buf_slice(&kit->text), err) < 0)
        return CDC_FAIL;
    schema.text = (const char *)kit->text.p;
    schema.len = kit->text.len;
    if (cdc_plan_new(kit->tab, &schema, &kit->env, &kit->tab->plan, err) < 0)
        return CDC_FAIL;
    struct cdc_avro_writer_options opt = {.schema = cdc_buf_slice(&kit->text),
                                          .block_bytes = 4096,
                                          .max_bytes = 1 << 20,
                                          .out = mem_out,
                                          .arg = &kit->mem};
    return cdc_avro_writer_new(&opt, &kit->w, err);
}

static inline void kit_up(struct kit *kit, const char *rule, const struct cdc_column *cols,
                          size_t n)
{
    struct cdc_error err;
    kit_rule(kit, rule);
    kit_table(kit, cols, n);
    if (kit_plan(kit, &err) < 0)
        fail_msg("%s: %s", err.where, err.message);
}

static inline void kit_down(struct kit *kit)
{
    cdc_avro_writer_free(kit->w);
    cdc_table_unref(kit->tab);
    cdc_buf_done(&kit->text);
    cdc_buf_done(&kit->mem.buf);
    cdc_settings_free(kit->set);
}

/* Before where the op has one, else after. */
static inline int kit_add(struct kit *kit, char op, uint8_t flags, const struct cdc_value *before,
                          const struct cdc_value *after, struct cdc_error *err)
{
    struct cdc_tx tx = {.id = cdc_slice_str("99"), .commit_us = KIT_US};
    memcpy(tx.place, "0123456789abcdef01234567", sizeof tx.place);
    bool moved = op == 'u' && flags & CDC_KEY_MOVED;
    struct cdc_change chg = {
        .op = (uint8_t)op, .flags = flags, .table = kit->tab, .tx = &tx, .ordinal = 42};
    chg.before = op == 'd' || moved ? before : NULL;
    chg.after = op == 'd' || op == 't' ? NULL : after;
    return mem_add(kit->w, kit->tab->plan, &chg, err);
}

static inline bool kit_says(const struct cdc_row_column *col, const struct cdc_value *val)
{
    switch (col->meta) {
    case CDC_META_NONE:
    case CDC_META_OP: return true;
    case CDC_META_DELETED: return val->i;
    case CDC_META_UPDATED_AT:
    case CDC_META_SYNCED_AT:
    case CDC_META_SEQ:
    case CDC_META_TX: return false;
    default: return val->kind != CDC_NULL;
    }
}

/* The next record of the file as a line; "" at its end. */
static inline const char *kit_line(struct cdc_avro_reader *r, struct cdc_buf *buf)
{
    const struct cdc_row_schema *schema;
    const struct cdc_value *v;
    cdc_buf_reset(buf);
    assert_int_equal(cdc_avro_reader_schema(r, &schema, NULL), CDC_OK);
    if (cdc_avro_reader_row(r, &v, NULL) == CDC_OK)
        for (uint16_t i = 0; i < schema->n; i++) {
            const struct cdc_row_column *col = &schema->cols[i];
            if (!kit_says(col, &v[i]))
                continue;
            cdc_buf_printf(buf, "%s%s=", buf->len ? " " : "", col->name);
            cdc_json_value(buf, &v[i], col->bits);
        }
    return cdc_buf_cstr(buf);
}

/* The records written so far, against want: n lines, those that are NULL are not wanted. */
static inline void kit_check(struct kit *kit, const char *const *want, size_t n)
{
    struct cdc_avro_reader *r;
    struct cdc_buf buf = CDC_BUF(65536);
    assert_int_equal(cdc_avro_writer_flush(kit->w, false, NULL), CDC_OK);
    kit->mem.at = 0;
    assert_int_equal(cdc_avro_reader_new(mem_in, &kit->mem, 1 << 20, "f", &r, NULL), CDC_OK);
    for (size_t i = 0; i < n && want[i]; i++)
        assert_string_equal(kit_line(r, &buf), want[i]);
    assert_string_equal(kit_line(r, &buf), "");
    cdc_buf_done(&buf);
    cdc_avro_reader_free(r);
}

#endif
