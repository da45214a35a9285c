/*
 * plan.c - plans of the `row` envelope compiled, and changes made records; see cdc/plan.h.
 *
 *   change            records
 *   c, r, m           one, the row after
 *   u                 one, the row after
 *   u, KEY_MOVED      d of the old key (reason key_change, the row before), then c (the row after,
 *                     the old key in __prev_key); both with the same __seq
 *   d                 one, the row before
 *   t                 one without a row; reason truncate, or inferred
 *
 * Logical deletes: a row after (c, r, u, the second half of a key change) whose column named by
 * `logical_delete` is neither NULL, false nor the number 0 is marked deleted with reason logical,
 * as of this change's commit; one where it is again makes the row live. A physical delete has its
 * own reason whatever the column says. Where the source did not send the column nobody can tell,
 * and a guess could bring a deleted row back or drop a live one: refused.
 *
 * The clock: commit times of concurrent transactions arrive slightly out of order, and consumers
 * cut by __updated_at. So a time less than an hour below the highest one seen is raised to it; one
 * further below means that the server's clock was set back: it is taken as it is, and counted.
 */
#include "envelope/row.h"

#include <openssl/evp.h>

#define HOUR_US     INT64_C(3600000000)
#define SCRATCH_MAX ((size_t)1 << 30) /* no row that we take is larger */

static uint8_t put_of(enum cdc_kind kind, uint8_t bits)
{
    switch (kind) {
    case CDC_BOOL: return CDC_PUT_BOOL;
    case CDC_FLOAT: return bits == 32 ? CDC_PUT_FLOAT : CDC_PUT_DOUBLE;
    case CDC_DECIMAL: return CDC_PUT_FIXED;
    case CDC_TEXT:
    case CDC_BYTES:
    case CDC_UUID:
    case CDC_JSON: return CDC_PUT_BYTES;
    default: return CDC_PUT_LONG;
    }
}

static int compile_scalar(const struct cdc_column *col, struct cdc_op_scalar *ret,
                          struct cdc_error *err)
{
    enum cdc_kind kind = col->kind == CDC_ARRAY ? col->item : col->kind;
    bool decimal = kind == CDC_DECIMAL;
    if (!cdc_avro_type_of(kind, col->bits) ||
        (decimal && (col->precision < 1 || col->precision > 38)))
        return cdc_fail(err, CDC_FATAL, col->name,
                        "column %s (%s) came as kind %s, which has no Avro type; this is a bug of "
                        "the source, please report it",
                        col->name, col->type, cdc_kind_name(kind));
    *ret = (struct cdc_op_scalar){.kind = (uint8_t)kind,
                                  .put = put_of(kind, col->bits),
                                  .size = decimal ? cdc_decimal_size(col->precision) : 0,
                                  .scale = col->scale,
                                  .range = cdc_kind_range(kind, col->bits)};
    return CDC_OK;
}

/* May a value of the column's kind be put as it is? */
static bool goes_fast(const struct cdc_column_shape *shape, enum cdc_kind kind)
{
    bool is_string = kind == CDC_TEXT || kind == CDC_JSON || kind == CDC_UUID;
    return shape->act == CDC_COLUMN_KEEP && (!shape->as_text || is_string);
}

/* plan->ops: the columns that are written; plan->key among them. */
static int compile(struct cdc_plan *plan, const struct cdc_row_shape *shape, struct cdc_error *err)
{
    const struct cdc_table *tab = plan->tab;
    for (uint16_t i = 0; i < tab->n; i++) {
        const struct cdc_column *col = &tab->cols[i];
        struct cdc_column_op *op = &plan->ops[plan->n];
        if (shape->cols[i].act == CDC_COLUMN_EXCLUDE)
            continue;
        *op = (struct cdc_column_op){
            .fast = (uint8_t)(goes_fast(&shape->cols[i], col->kind) ? col->kind : CDC_KINDS),
            .kind = (uint8_t)col->kind,
            .bits = col->bits,
            .key = col->key != 0,
            .at = i,
            .shape = shape->cols[i],
            .name = cdc_arena_copy(plan->arena, cdc_slice_str(col->name))};
        if (!op->name.p)
            return cdc_fail_oom(err);
        if (compile_scalar(col, &op->scalar, err) < 0)
            return CDC_FAIL;
        for (uint16_t k = 0; k < tab->n_key; k++)
            if (tab->key[k] == i)
                plan->key[k] = plan->n;
        plan->n++;
    }
    return CDC_OK;
}

/* Everything the plan holds; all from its arena. */
static int allocate(struct cdc_plan *plan, const struct cdc_schema *schema)
{
    const struct cdc_table *tab = plan->tab;
    struct cdc_slice text = cdc_arena_copy(plan->arena, cdc_slice_of(schema->text, schema->len));
    plan->schema = *schema;
    plan->schema.text = (const char *)text.p;
    plan->n_key = tab->n_key;
    plan->ops = cdc_arena_zalloc(plan->arena, (tab->n + 1u) * sizeof *plan->ops);
    plan->key = cdc_arena_zalloc(plan->arena, (tab->n_key + 1u) * sizeof *plan->key);
    plan->unchanged.at = cdc_arena_alloc(plan->arena, (tab->n + 1u) * sizeof *plan->unchanged.at);
    plan->invalid.at = cdc_arena_alloc(plan->arena, (tab->n + 1u) * sizeof *plan->invalid.at);
    bool ok = text.p && plan->ops && plan->key && plan->unchanged.at && plan->invalid.at;
    return ok ? CDC_OK : CDC_FAIL;
}

static int fill(struct cdc_plan *plan, const struct cdc_schema *schema, struct cdc_error *err)
{
    struct cdc_row_shape shape;
    if (allocate(plan, schema) < 0)
        return cdc_fail_oom(err);
    if (cdc_row_shape(plan->tab, plan->arena, &shape, err) < 0 || compile(plan, &shape, err) < 0)
        return CDC_FAIL;
    plan->logical = shape.logical;
    plan->updated = shape.updated;
    for (uint16_t i = 0; i < plan->n && !plan->mac; i++)
        if (plan->ops[i].shape.act == CDC_COLUMN_HASH) {
            plan->mac = cdc_mac_new(plan->tab->rule->hash_key);
            if (!plan->mac)
                return cdc_fail(err, CDC_FATAL, plan->tab->name,
                                "OpenSSL has no HMAC-SHA-256 here, or no memory for it");
        }
    return CDC_OK;
}

void cdc_plan_free(struct cdc_plan *plan)
{
    if (!plan)
        return;
    EVP_MAC_CTX_free(plan->mac);
    cdc_buf_done(&plan->text);
    cdc_buf_done(&plan->prev_key);
    cdc_arena_free(plan->arena); /* the plan lies in it */
}

int cdc_plan_new(struct cdc_table *tab, const struct cdc_schema *schema,
                 struct cdc_envelope_state *state, struct cdc_plan **ret, struct cdc_error *err)
{
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX / 2);
    struct cdc_plan *plan = arena ? cdc_arena_zalloc(arena, sizeof *plan) : NULL;
    if (!plan) {
        cdc_arena_free(arena);
        return cdc_fail_oom(err);
    }
    plan->free = cdc_plan_free;
    plan->tab = tab;
    plan->state = state;
    plan->arena = arena;
    cdc_buf_init(&plan->text, SCRATCH_MAX);
    cdc_buf_init(&plan->prev_key, SCRATCH_MAX);
    if (fill(plan, schema, err) < 0) {
        cdc_plan_free(plan);
        return CDC_FAIL;
    }
    *ret = plan;
    return CDC_OK;
}

int cdc_plan_with_key(struct cdc_plan *plan, const struct cdc_schema *schema, struct cdc_error *err)
{
    struct cdc_slice text = cdc_arena_copy(plan->arena, cdc_slice_of(schema->text, schema->len));
    if (!text.p)
        return cdc_fail_oom(err);
    plan->key_schema = *schema;
    plan->key_schema.text = (const char *)text.p;
    return CDC_OK;
}

const struct cdc_schema *cdc_plan_key_schema(const struct cdc_plan *plan)
{
    return plan->key_schema.text ? &plan->key_schema : NULL;
}

const struct cdc_schema *cdc_plan_schema(const struct cdc_plan *plan)
{
    return &plan->schema;
}

static int64_t clamp(struct cdc_envelope_state *state, int64_t commit_us)
{
    if (commit_us >= state->clock_us) {
        state->clock_us = commit_us;
    } else if (state->clock_us - commit_us < HOUR_US) {
        return state->clock_us;
    } else {
        state->clock_jumps++;
    }
    return commit_us;
}

static void put_hex(char *to, uint64_t n, int digits)
{
    memset(to, '0', (size_t)digits);
    for (char *at = to + digits; n != 0 && at > to; n >>= 4) /* most digits are zeros */
        *--at = "0123456789abcdef"[n & 15];
}

/* incarnation - place - ordinal: text that sorts like the log. */
static void put_seq(char *to, uint32_t incarnation, const struct cdc_change *chg)
{
    put_hex(to, incarnation, 8);
    to[8] = '-';
    memcpy(to + 9, chg->tx->place, CDC_PLACE_LEN);
    to[9 + CDC_PLACE_LEN] = '-';
    put_hex(to + 10 + CDC_PLACE_LEN, chg->ordinal, 12);
    to[CDC_SEQ_LEN] = 0;
}

static struct cdc_record first_record(struct cdc_plan *plan, const struct cdc_change *chg)
{
    struct cdc_record rec = {.change = chg, .op = (char)chg->op, .row = chg->after};
    put_seq(rec.seq, plan->state->incarnation, chg);
    rec.updated_us = clamp(plan->state, chg->tx->commit_us);
    if (chg->op == CDC_OP_DELETE) {
        rec.row = chg->before;
        rec.deleted = true;
        rec.reason = 'd';
    } else if (chg->op == CDC_OP_RANGE) {
        rec.row = NULL;
        rec.deleted = true;
        rec.reason = chg->flags & CDC_INFERRED ? 'i' : 't';
    }
    return rec;
}

/* The two halves of a key change; ret[0] is an ordinary update until now. */
static int split(struct cdc_record *ret)
{
    const struct cdc_change *chg = ret[0].change;
    ret[1] = ret[0];
    ret[1].op = CDC_OP_CREATE;
    ret[1].old = chg->before;
    ret[0].op = CDC_OP_DELETE;
    ret[0].row = chg->before;
    ret[0].deleted = true;
    ret[0].reason = 'k';
    return 2;
}

/* Does the rule's column say that this row is deleted? */
static int mark_logical(const struct cdc_plan *plan, struct cdc_record *rec, struct cdc_error *err)
{
    const struct cdc_table *tab = plan->tab;
    const struct cdc_value *val = &rec->row[plan->logical];
    if (!cdc_value_known(val))
        return cdc_fail(err, CDC_OPERATOR, tab->name,
                        "`logical_delete` of table %s.%s: the source did not send column %s, so "
                        "that nobody can tell whether the row is deleted. Make the source send it "
                        "(PostgreSQL: ALTER TABLE ... REPLICA IDENTITY FULL, then take "
                        "`logical_delete` out until the changes of before are through), or name a "
                        "boolean or timestamp column, which is always sent",
                        tab->schema, tab->name, tab->cols[plan->logical].name);
    bool number = val->kind == CDC_BOOL || val->kind == CDC_INT;
    if (val->kind == CDC_NULL || (number && val->i == 0))
        return CDC_OK;
    rec->deleted = true;
    rec->reason = 'l';
    return CDC_OK;
}

static int incomplete(const struct cdc_plan *plan, const struct cdc_change *chg,
                      struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, plan->tab->name,
                    "a change (%c) of table %s.%s came without its transaction or its row; this is "
                    "a bug of the source, please report it",
                    chg->op, plan->tab->schema, plan->tab->name);
}

int cdc_plan_records(struct cdc_plan *plan, const struct cdc_change *chg, int64_t read_us,
                     struct cdc_record *ret, struct cdc_error *err)
{
    bool moved = chg->op == CDC_OP_UPDATE && chg->flags & CDC_KEY_MOVED;
    bool before = moved || chg->op == CDC_OP_DELETE;
    bool after = chg->op != CDC_OP_DELETE && chg->op != CDC_OP_RANGE;
    if (!chg->tx || (before && !chg->before) || (after && !chg->after))
        return incomplete(plan, chg, err);
    plan->synced_us = read_us;
    ret[0] = first_record(plan, chg);
    if (after && plan->logical >= 0 && mark_logical(plan, &ret[0], err) < 0)
        return CDC_FAIL;
    return moved ? split(ret) : 1;
}
