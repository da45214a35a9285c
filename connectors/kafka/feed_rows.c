/*
 * feed_rows.c - a record's bytes as a row: 0x00, the schema's id, the Avro binary (feed.h).
 *
 * Schemas are keys of the checkpoint (`schema/<id>`), committed before the first row that uses
 * them. The bytes come from a broker: nothing in them is believed.
 */
#include "feed.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_MAX ((size_t)1 << 30)

void kfk_place(const struct kfk_message *msg, char *ret, size_t cap)
{
    snprintf(ret, cap, "%s[%" PRId32 "] at offset %" PRId64, msg->topic, msg->partition,
             msg->offset);
}

int kfk_schema_id(struct cdc_slice framed, uint32_t *ret, struct cdc_error *err)
{
    if (!framed.p || framed.len < KFK_HEADER || framed.p[0] != 0)
        return cdc_fail(err, CDC_FATAL, "",
                        "it does not begin with 0x00 and a schema's id: sidestream did not write "
                        "it");
    const uint8_t *p = framed.p;
    *ret = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    return CDC_OK;
}

/* ---- schemas ---- */

static void schema_free(struct kfk_schema *schema)
{
    if (!schema)
        return;
    cdc_row_schema_free(schema->schema);
    free(schema->table);
    free(schema);
}

void kfk_schemas_done(struct kfk_schemas *schemas)
{
    for (size_t i = 0; i < schemas->n; i++)
        schema_free(schemas->items[i]);
    free(schemas->items);
    schemas->items = NULL;
    schemas->n = schemas->cap = 0;
}

/* How the rule of today wants deletes to reach a replica; a table without key has no choice. */
static enum cdc_deletes deletes_of(const struct cdc_config *cfg, const struct cdc_row_schema *row)
{
    const struct cdc_rule *rule =
        cfg && cfg->capture ? cdc_capture_match(cfg->capture, row->table_schema, row->table_name)
                            : NULL;
    return rule ? rule->deletes : CDC_DELETES_SOFT;
}

/* The schema of a key is that of a row without version and meta columns. */
static int parse_half(struct kfk_schema *schema, struct cdc_slice text, struct cdc_error *err)
{
    json_t *json = json_loadb((const char *)text.p, text.len, 0, NULL);
    const char *name = json_string_value(json_object_get(json, "name"));
    char *versioned = NULL;
    schema->key = name && strcmp(name, "Key") == 0;
    if (schema->key && json_object_set_new(json, "cdc.version", json_integer(1)) == 0)
        versioned = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (schema->key && !versioned)
        return cdc_fail_oom(err);
    int rc =
        cdc_row_schema_parse(versioned ? cdc_slice_str(versioned) : text, &schema->schema, err);
    free(versioned);
    return rc;
}

static int parse_text(struct kfk_schema *schema, const json_t *text, struct cdc_error *err)
{
    struct cdc_slice bytes = cdc_slice_of(json_string_value(text), json_string_length(text));
    if (!json_is_string(text))
        return cdc_fail(err, CDC_FATAL, "", "it has no schema text");
    if (parse_half(schema, bytes, err) < 0)
        return CDC_FAIL;
    const struct cdc_row_schema *row = schema->schema;
    size_t cap = strlen(row->table_schema) + strlen(row->table_name) + 2;
    schema->table = malloc(cap);
    if (!schema->table)
        return cdc_fail_oom(err);
    snprintf(schema->table, cap, "%s.%s", row->table_schema, row->table_name);
    return CDC_OK;
}

static int load(const struct kfk_schemas *schemas, uint32_t id, struct kfk_schema **ret,
                struct cdc_error *err)
{
    char key[32];
    snprintf(key, sizeof key, "schema/%" PRIu32, id);
    struct cdc_slice state = {0};
    if (schemas->newer)
        state = cdc_map_get(schemas->newer, key);
    if (!state.p)
        state = cdc_map_get(schemas->map, key);
    if (!state.p)
        return cdc_fail(err, CDC_FATAL, key,
                        "the control topic has no such schema, and records use it: they are "
                        "another pipeline's, or the control topic lost records");
    struct kfk_schema *schema = calloc(1, sizeof *schema);
    if (!schema)
        return cdc_fail_oom(err);
    schema->id = id;
    json_t *json = json_loadb((const char *)state.p, state.len, 0, NULL);
    int rc = parse_text(schema, json_object_get(json, "schema"), err);
    json_decref(json);
    if (rc < 0) {
        schema_free(schema);
        return cdc_fail_in(err, key);
    }
    schema->deletes = deletes_of(schemas->cfg, schema->schema);
    *ret = schema;
    return CDC_OK;
}

static int insert(struct kfk_schemas *schemas, size_t at, struct kfk_schema *schema,
                  struct cdc_error *err)
{
    if (schemas->n == schemas->cap) {
        size_t cap = schemas->cap ? 2 * schemas->cap : 16;
        struct kfk_schema **items = reallocarray(schemas->items, cap, sizeof(struct kfk_schema *));
        if (!items)
            return cdc_fail_oom(err);
        schemas->items = items;
        schemas->cap = cap;
    }
    memmove(schemas->items + at + 1, schemas->items + at,
            (schemas->n - at) * sizeof(struct kfk_schema *));
    schemas->items[at] = schema;
    schemas->n++;
    return CDC_OK;
}

int kfk_schemas_get(struct kfk_schemas *schemas, uint32_t id, const struct kfk_schema **ret,
                    struct cdc_error *err)
{
    size_t low = 0, high = schemas->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (schemas->items[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == schemas->n || schemas->items[low]->id != id) {
        struct kfk_schema *schema = NULL;
        if (load(schemas, id, &schema, err) < 0)
            return CDC_FAIL;
        if (insert(schemas, low, schema, err) < 0) {
            schema_free(schema);
            return CDC_FAIL;
        }
    }
    *ret = schemas->items[low];
    return CDC_OK;
}

/* ---- rows ---- */

void kfk_slot_done(struct kfk_slot *slot)
{
    cdc_arena_free(slot->arena);
    free(slot->values);
    *slot = (struct kfk_slot){0};
}

static int make_room(struct kfk_slot *slot, size_t n, struct cdc_error *err)
{
    if (!slot->arena && !(slot->arena = cdc_arena_new(ROW_MAX)))
        return cdc_fail_oom(err);
    if (n <= slot->cap)
        return CDC_OK;
    struct cdc_value *values = reallocarray(slot->values, n, sizeof *values);
    if (!values)
        return cdc_fail_oom(err);
    slot->values = values;
    slot->cap = n;
    return CDC_OK;
}

static const struct cdc_value *meta(const struct kfk_slot *slot, enum cdc_meta which)
{
    static const struct cdc_value none = {.kind = CDC_NULL};
    int at = slot->schema->schema->meta[which];
    return at < 0 ? &none : &slot->values[at];
}

int kfk_slot_read(struct kfk_schemas *schemas, struct kfk_slot *slot, struct cdc_slice framed,
                  struct cdc_error *err)
{
    uint32_t id = 0;
    if (kfk_schema_id(framed, &id, err) < 0)
        return CDC_FAIL;
    if ((!slot->schema || slot->schema->id != id) &&
        kfk_schemas_get(schemas, id, &slot->schema, err) < 0)
        return CDC_FAIL;
    const struct cdc_row_schema *row = slot->schema->schema;
    if (make_room(slot, row->n, err) < 0)
        return CDC_FAIL;
    cdc_arena_reset(slot->arena);
    struct cdc_slice body = cdc_slice_of(framed.p + KFK_HEADER, framed.len - KFK_HEADER);
    return cdc_row_read(row, body, slot->arena, slot->values, err);
}

static int decode(struct kfk_schemas *schemas, struct kfk_slot *slot, struct cdc_slice value,
                  struct cdc_error *err)
{
    if (kfk_slot_read(schemas, slot, value, err) < 0)
        return CDC_FAIL;
    const struct cdc_value *seq = meta(slot, CDC_META_SEQ), *op = meta(slot, CDC_META_OP);
    if (seq->kind != CDC_TEXT || seq->len != CDC_SEQ_LEN)
        return cdc_fail(err, CDC_FATAL, "", "it has no proper __seq: it is not of this envelope");
    if (op->kind != CDC_TEXT || op->len != 1)
        return cdc_fail(err, CDC_FATAL, "", "it has no proper __op: it is not of this envelope");
    return CDC_OK;
}

int kfk_row_decode(struct kfk_schemas *schemas, struct kfk_slot *slot,
                   const struct kfk_message *msg, struct kfk_item *ret, struct cdc_error *err)
{
    *ret = (struct kfk_item){.offset = msg->offset, .tombstone = !msg->value.p};
    if (ret->tombstone)
        return CDC_OK;
    struct cdc_error why = {0};
    if (decode(schemas, slot, msg->value, &why) < 0) {
        char place[400];
        kfk_place(msg, place, sizeof place);
        return cdc_fail(err, CDC_FATAL, place, "%s%s%s", why.where, why.where[0] ? ": " : "",
                        why.message);
    }
    ret->op = (char)meta(slot, CDC_META_OP)->p[0];
    ret->seq = meta(slot, CDC_META_SEQ)->p;
    ret->table = slot->schema->table;
    ret->row = (struct cdc_feed_row){
        .schema = slot->schema->schema, .values = slot->values, .deletes = slot->schema->deletes};
    return CDC_OK;
}
