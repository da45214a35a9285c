/*
 * envelope.h - the `row` envelope: its schema text, and plans that encode changes by it.
 *
 * The engine, for each new cdc_table: cdc_row_schema_text, cdc_avro_check, an id from the registry,
 * cdc_plan_new, table->plan = plan. The sink then only uses cdc/plan.h.
 *
 * The schema text is a function of the pipeline's name, the table version and its rule alone, so
 * that a restart makes the same text; it is compact, its properties stand in a fixed order, and
 * nothing the table says of a column is dropped. DESIGN.md part 5 and 12 and docs/formats.md
 * describe it.
 *
 * The rule's `columns:` are carried out here and nowhere else: what a plan gives never holds a
 * value that the rule hides.
 *
 * Ownership: a plan belongs to its table and points back to it without a reference. Its first
 * member is `void (*free)(struct cdc_plan *)`, by which cdc_table_unref frees it.
 * Threads: the sink thread only.
 */
#ifndef CDC_ENVELOPE_H
#define CDC_ENVELOPE_H

#include "cdc/plan.h"

/* What all plans of a pipeline share; owned by the engine. */
struct cdc_envelope_state {
    uint32_t incarnation;
    int64_t clock_us;     /* highest commit time seen: checkpoint key `clock`; plans raise it */
    uint64_t clock_jumps; /* changes with a commit time an hour or more below it, taken as it is */
    uint64_t invalid;     /* values that `on_invalid: null` made null */
};

/*
 * Appends the schema text. CDC_FAIL: CDC_CONFIG where two columns get one Avro name, or a column
 * has the name of a meta column (err names both and the remedy), or where the table's rule cannot
 * be carried out: a key column excluded, masked or truncated, a number truncated, a column of
 * logical_delete or updated_at that is not there.
 */
CDC_CHECK int cdc_row_schema_text(const char *pipeline_name, const struct cdc_table *tab,
                                  struct cdc_buf *ret, struct cdc_error *err);
/*
 * The same for the record `Key`: the key's columns in the key's order, without what may change
 * while the key does not (version, source type, nullability, default). tab->n_key is not 0.
 */
CDC_CHECK int cdc_row_key_schema_text(const char *pipeline_name, const struct cdc_table *tab,
                                      struct cdc_buf *ret, struct cdc_error *err);

/* Compiles; copies schema's text. `state` is kept. */
CDC_CHECK int cdc_plan_new(struct cdc_table *tab, const struct cdc_schema *schema,
                           struct cdc_envelope_state *state, struct cdc_plan **ret,
                           struct cdc_error *err);
/* Gives a plan its key's schema (copied), so that cdc_plan_key works. The table has a key. */
CDC_CHECK int cdc_plan_with_key(struct cdc_plan *plan, const struct cdc_schema *schema,
                                struct cdc_error *err);
void cdc_plan_free(struct cdc_plan *plan); /* NULL is fine */
/* Bytes of values that cdc_plan_bytes made since the last call of this. */
uint64_t cdc_plan_take_bytes(struct cdc_plan *plan);

#endif
