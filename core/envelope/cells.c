/*
 * cells.c - what is written for a value that does not go straight into the buffer: null, unchanged,
 * invalid, or one that the capture rule hashes, masks, truncates or makes text.
 *
 *              NULL   not sent    valid                  invalid
 *   keep       null   unchanged   (the fast way)         on_invalid
 *   string     null   unchanged   its text form          the source's text
 *   hash       null   unchanged   HMAC of the text form  HMAC of the source's text
 *   mask       null   unchanged   *****, or null         the same
 *   truncate   null   unchanged   its beginning          on_invalid, then its beginning
 *
 * `unchanged` is null with the column's name in __unchanged; a key's value must be there, so that
 * is refused. on_invalid: fail refuses, null writes null with the name in __invalid (of a key:
 * refuses), string is the row above. A number that the Avro type cannot hold is invalid too.
 *
 * The text form is that of avro/json.h; in an array (JSON text) an invalid item is the source's
 * text as a string. Bytes are hashed as they are.
 */
#include "envelope/row.h"

#include "avro/json.h"
#include "avro/utf8.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>

#define SCRATCH_KEPT ((size_t)1 << 20)

void cdc_scratch_reset(struct cdc_buf *buf)
{
    if (buf->cap > SCRATCH_KEPT)
        cdc_buf_done(buf);
    cdc_buf_reset(buf);
}

EVP_MAC_CTX *cdc_mac_new(struct cdc_slice key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_free(mac); /* the context keeps it */
    if (ctx && EVP_MAC_init(ctx, key.p, key.len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

static int refuse(const struct cdc_plan *plan, const struct cdc_column_op *op, const char *what,
                  const char *remedy, struct cdc_error *err)
{
    const struct cdc_column *col = &plan->tab->cols[op->at];
    char place[128];
    snprintf(place, sizeof place, "%s.%s.%s", plan->tab->schema, plan->tab->name, col->name);
    return cdc_fail(err, CDC_OPERATOR, place, "column %s (%s) %s: %s", place, col->type, what,
                    remedy);
}

/* A value that the column's type cannot hold: on_invalid decides. */
static int invalid(struct cdc_plan *plan, uint16_t i, struct cdc_error *err)
{
    const struct cdc_column_op *op = &plan->ops[i];
    char remedy[512];
    if (op->key)
        return refuse(plan, op, "is part of the key and holds a value that its Avro type cannot",
                      "set `on_invalid: {column: string}` for it in the table's capture rule, "
                      "change the row at the source, or choose other columns by `key:`",
                      err);
    if (op->shape.on_invalid == CDC_INVALID_NULL) {
        plan->invalid.at[plan->invalid.n++] = i;
        plan->state->invalid++;
        return CDC_OK;
    }
    snprintf(remedy, sizeof remedy,
             "set `on_invalid: {%.128s: null}` in the table's capture rule to write null and name "
             "the column in __invalid, `on_invalid: {%.128s: string}` to make the column text, or "
             "change the row at the source",
             (const char *)op->name.p, (const char *)op->name.p);
    return refuse(plan, op,
                  "holds a value that its Avro type cannot (infinity, NaN, 24:00:00, a year "
                  "outside 1 to 9999 or an array of another shape)",
                  remedy, err);
}

/* A value the source did not send. */
static int unknown(struct cdc_plan *plan, uint16_t i, struct cdc_value *ret, struct cdc_error *err)
{
    if (plan->ops[i].key)
        return refuse(plan, &plan->ops[i], "is part of the key, and the source did not send it",
                      "make it part of the table's replica identity (PostgreSQL: ALTER TABLE ... "
                      "REPLICA IDENTITY FULL), or choose other columns by `key:`",
                      err);
    plan->unchanged.at[plan->unchanged.n++] = i;
    ret->kind = CDC_UNCHANGED;
    return CDC_OK;
}

static int other_kind(const struct cdc_plan *plan, const struct cdc_column_op *op,
                      const struct cdc_value *val, struct cdc_error *err)
{
    const struct cdc_table *tab = plan->tab;
    return cdc_fail(err, CDC_FATAL, tab->cols[op->at].name,
                    "column %s.%s.%s is of kind %s and got a value of kind %s; this is a bug of "
                    "the source, please report it",
                    tab->schema, tab->name, tab->cols[op->at].name,
                    cdc_kind_name((enum cdc_kind)op->kind),
                    cdc_kind_name((enum cdc_kind)val->kind));
}

static struct cdc_value text_value(struct cdc_slice text)
{
    return (struct cdc_value){.kind = CDC_TEXT, .len = (uint32_t)text.len, .p = text.p};
}

static void put_array(struct cdc_buf *buf, const struct cdc_value *val, uint8_t bits)
{
    cdc_buf_byte(buf, '[');
    for (uint32_t i = 0; i < val->len; i++) {
        if (i)
            cdc_buf_byte(buf, ',');
        if (val->items[i].kind == CDC_INVALID)
            cdc_json_string(buf, cdc_value_slice(&val->items[i]));
        else
            cdc_json_value(buf, &val->items[i], bits);
    }
    cdc_buf_byte(buf, ']');
}

/* The text form of a value, lent by it or in plan->text. */
static int text_of(struct cdc_plan *plan, const struct cdc_column_op *op,
                   const struct cdc_value *val, struct cdc_slice *ret, struct cdc_error *err)
{
    switch ((enum cdc_kind)val->kind) {
    case CDC_INVALID:
    case CDC_TEXT:
    case CDC_UUID:
    case CDC_JSON: *ret = cdc_value_slice(val); return CDC_OK;
    default: break;
    }
    cdc_scratch_reset(&plan->text);
    if (val->kind == CDC_ARRAY)
        put_array(&plan->text, val, op->bits);
    else
        cdc_text_value(&plan->text, val, op->bits);
    *ret = cdc_buf_slice(&plan->text);
    return plan->text.failed ? cdc_fail_oom(err) : CDC_OK;
}

static int hash(struct cdc_plan *plan, const struct cdc_column_op *op, const struct cdc_value *val,
                struct cdc_value *ret, struct cdc_error *err)
{
    struct cdc_slice text = cdc_value_slice(val);
    if (val->kind != CDC_BYTES && text_of(plan, op, val, &text, err) < 0)
        return CDC_FAIL;
    uint8_t sum[32];
    size_t len = 0;
    if (EVP_MAC_init(plan->mac, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(plan->mac, text.p, text.len) != 1 ||
        EVP_MAC_final(plan->mac, sum, &len, sizeof sum) != 1 || len != sizeof sum)
        return cdc_fail(err, CDC_FATAL, plan->tab->cols[op->at].name,
                        "OpenSSL cannot compute HMAC-SHA-256 here");
    for (size_t i = 0; i < sizeof sum; i++) {
        plan->digest[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        plan->digest[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    *ret = text_value(cdc_slice_of(plan->digest, sizeof plan->digest));
    return CDC_OK;
}

/* Kept, truncated or made text. */
static int shown(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                 struct cdc_value *ret, struct cdc_error *err)
{
    const struct cdc_column_op *op = &plan->ops[i];
    bool cut = op->shape.act == CDC_COLUMN_TRUNCATE;
    struct cdc_slice text = cdc_value_slice(val);
    if (!op->shape.as_text && (!cut || val->kind == CDC_INVALID))
        return invalid(plan, i, err);
    if (op->shape.as_text && text_of(plan, op, val, &text, err) < 0)
        return CDC_FAIL;
    *ret = text_value(cut ? cdc_utf8_cut(text, op->shape.limit) : text);
    return CDC_OK;
}

int cdc_plan_cell(struct cdc_plan *plan, uint16_t i, const struct cdc_value *val,
                  struct cdc_value *ret, struct cdc_error *err)
{
    const struct cdc_column_op *op = &plan->ops[i];
    *ret = (struct cdc_value){.kind = CDC_NULL};
    if (val->kind == CDC_NULL)
        return CDC_OK;
    if (!cdc_value_known(val))
        return unknown(plan, i, ret, err);
    if (val->kind != CDC_INVALID && val->kind != op->kind)
        return other_kind(plan, op, val, err);
    switch (op->shape.act) {
    case CDC_COLUMN_HASH: return hash(plan, op, val, ret, err);
    case CDC_COLUMN_MASK:
        if (op->kind == CDC_TEXT)
            *ret = text_value(cdc_slice_str("*****"));
        return CDC_OK;
    default: return shown(plan, i, val, ret, err);
    }
}
