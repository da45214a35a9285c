/*
 * table.c - one table of the view against the private copy (internal.h).
 *
 * A row goes the whole way that it would have gone: the envelope's plan makes a record `r` of it,
 * encodes and we decode that, and the decoded values are bound to SQLite as the replica binds them.
 * What comes out equal is therefore what a reader of the lake would see.
 *
 * A row with a value that the plan refuses (`on_invalid: fail`) cannot be in the lake as it is. It
 * goes once more with its key alone, so that its counterpart is found and not called superfluous,
 * and is counted as undecided.
 */
#include "verify/internal.h"

#include "avro/json.h"
#include "avro/rows.h"
#include "cdc/clock.h"

#include <stdlib.h>
#include <string.h>

#define FETCH_ROWS 1000
#define ROW_MAX    ((size_t)1 << 30)
#define TEXT_MAX   ((size_t)8 << 20)

struct walk {
    struct ver_run *run;
    struct cdc_table *tab;
    const struct ver_state *state;
    struct ver_count *count;
    struct cdc_row_schema *schema;
    struct cdc_compare *cmp;
    struct cdc_value *values;  /* schema->n: decoded */
    struct cdc_value *reduced; /* tab->n: the key alone */
    struct cdc_buf bytes, key;
    struct cdc_arena *arena; /* of one decoded row */
};

/* The plan and the schema of its records, as the pipeline would make them. */
static int prepare(struct walk *walk, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(TEXT_MAX);
    struct cdc_schema schema = {.id = 0};
    int rc = cdc_row_schema_text(walk->run->opt->cfg->name, walk->tab, &text, err);
    if (rc == CDC_OK && !cdc_buf_cstr(&text))
        rc = cdc_fail_oom(err);
    if (rc == CDC_OK) {
        schema.text = (const char *)text.p;
        schema.len = text.len;
        rc = cdc_row_schema_parse(cdc_buf_slice(&text), &walk->schema, err);
    }
    if (rc == CDC_OK && !walk->tab->plan)
        rc = cdc_plan_new(walk->tab, &schema, &walk->run->state, &walk->tab->plan, err);
    cdc_buf_done(&text);
    if (rc != CDC_OK)
        return rc;
    walk->values = calloc(walk->schema->n + 1u, sizeof *walk->values);
    walk->reduced = calloc(walk->tab->n + 1u, sizeof *walk->reduced);
    walk->arena = cdc_arena_new(ROW_MAX);
    return walk->values && walk->reduced && walk->arena ? CDC_OK : cdc_fail_oom(err);
}

static void done(struct walk *walk)
{
    cdc_compare_free(walk->cmp);
    cdc_row_schema_free(walk->schema);
    cdc_buf_done(&walk->bytes);
    cdc_buf_done(&walk->key);
    cdc_arena_free(walk->arena);
    free(walk->values);
    free(walk->reduced);
}

/* ---- one row ---- */

static int encode(struct walk *walk, const struct cdc_change *chg, int64_t read_us,
                  struct cdc_error *err)
{
    struct cdc_record recs[CDC_RECORDS_MAX];
    if (cdc_plan_records(walk->tab->plan, chg, read_us, recs, err) < 0)
        return CDC_FAIL;
    cdc_buf_reset(&walk->bytes);
    return cdc_plan_bytes(walk->tab->plan, &recs[0], &walk->bytes, err);
}

static int encode_key(struct walk *walk, const struct cdc_change *chg, int64_t read_us,
                      struct cdc_error *err)
{
    struct cdc_change reduced = *chg;
    const struct cdc_rule *rule = walk->tab->rule;
    const char *logical = rule ? rule->logical_delete : NULL;
    for (uint16_t i = 0; i < walk->tab->n; i++) {
        const struct cdc_column *col = &walk->tab->cols[i];
        walk->reduced[i] = col->key ? chg->after[i] : (struct cdc_value){.kind = CDC_UNCHANGED};
        if (!col->key && logical && strcmp(col->name, logical) == 0) /* must be known */
            walk->reduced[i].kind = CDC_NULL;
    }
    reduced.after = walk->reduced;
    return encode(walk, &reduced, read_us, err);
}

static int decode(struct walk *walk, struct cdc_error *err)
{
    struct cdc_reader rd = cdc_reader_of(walk->bytes.p, walk->bytes.len);
    uint16_t bad = 0;
    cdc_arena_reset(walk->arena);
    if (cdc_row_decode(walk->schema, &rd, walk->arena, walk->values, &bad) < 0)
        return cdc_fail(err, CDC_FATAL, walk->count->table,
                        "a row that was just encoded cannot be read back (column %s); this is a "
                        "bug, please report it",
                        walk->schema->cols[bad].name);
    return CDC_OK;
}

static int tell(struct walk *walk, const char *difference, const struct cdc_compared_row *row,
                struct cdc_error *err)
{
    cdc_buf_reset(&walk->key);
    cdc_json_key(&walk->key, walk->schema, walk->values);
    if (walk->key.failed)
        return cdc_fail_oom(err);
    struct ver_line line = {.table = walk->count->table,
                            .difference = difference,
                            .key = cdc_buf_slice(&walk->key),
                            .columns = row->columns,
                            .n = row->n};
    return ver_report(walk->run, &line, err);
}

static int judge(struct walk *walk, const struct cdc_compared_row *row, struct cdc_error *err)
{
    struct ver_count *count = walk->count;
    bool never = row->verdict == CDC_COMPARED_NEVER;
    count->unknown += row->unknown;
    if (never && walk->state->generation == 0) {
        count->not_yet++;
        return CDC_OK;
    }
    count->rows++;
    if (never || row->verdict == CDC_COMPARED_MISSING) {
        count->missing++;
        return tell(walk, "missing in lake", row, err);
    }
    if (row->verdict == CDC_COMPARED_EQUAL)
        return CDC_OK;
    count->differ++;
    return tell(walk, "differs", row, err);
}

static int compare(struct walk *walk, const struct cdc_change *chg, int64_t read_us,
                   struct cdc_error *err)
{
    struct cdc_compared_row row;
    struct cdc_error why = {0};
    bool refused = encode(walk, chg, read_us, &why) < 0;
    if (refused && why.action != CDC_OPERATOR) {
        *err = why;
        return CDC_FAIL;
    }
    if (refused && walk->count->undecided++ == 0)
        ver_say(walk->run, "%s: a row cannot be encoded: %s", walk->count->table, why.message);
    if (refused && encode_key(walk, chg, read_us, err) < 0)
        return CDC_FAIL;
    if (decode(walk, err) < 0 || cdc_compare_row(walk->cmp, walk->values, refused, &row, err) < 0)
        return CDC_FAIL;
    return refused ? CDC_OK : judge(walk, &row, err);
}

/* ---- all rows ---- */

/* Keeps to the rate: the next read is not before this many rows had their time. */
static int pace(struct ver_run *run, size_t rows, struct cdc_error *err)
{
    int64_t now = cdc_mono_us();
    if (!run->opt->rate)
        return ver_stopped(run, err);
    if (run->due_us < now)
        run->due_us = now;
    run->due_us += (int64_t)(rows * 1000000 / run->opt->rate);
    return ver_nap(run, run->due_us, err);
}

/* A quarter of a second's worth, so that a slow reading is an even one. */
static size_t piece(const struct ver_run *run)
{
    uint64_t quarter = run->opt->rate / 4;
    return !run->opt->rate || quarter > FETCH_ROWS ? FETCH_ROWS : quarter ? (size_t)quarter : 1;
}

static int read_piece(struct walk *walk, struct cdc_error *err)
{
    struct ver_run *run = walk->run;
    struct cdc_batch *batch = cdc_pool_batch(run->pool);
    if (!batch)
        return cdc_fail_oom(err);
    int rc = run->opt->view->read(run->view, piece(run), batch, err);
    for (size_t i = 0; rc == CDC_OK && i < batch->n; i++)
        rc = compare(walk, &batch->changes[i], batch->read_us, err);
    size_t n = batch->n;
    cdc_batch_unref(batch);
    if (rc == CDC_OK)
        rc = pace(run, n, err);
    return rc;
}

int ver_rest(struct ver_run *run, struct cdc_compare *cmp, struct ver_count *count,
             struct cdc_error *err)
{
    struct cdc_buf key = CDC_BUF(ROW_MAX);
    int rc;
    while ((rc = cdc_compare_rest(cmp, &key, err)) == CDC_OK) {
        struct ver_line line = {
            .table = count->table, .difference = "not in source", .key = cdc_buf_slice(&key)};
        count->extra++;
        if (ver_report(run, &line, err) || ver_stopped(run, err)) {
            rc = CDC_FAIL;
            break;
        }
        cdc_buf_reset(&key);
    }
    cdc_buf_done(&key);
    return rc == CDC_END ? CDC_OK : rc;
}

static int other_key(const struct walk *walk, struct cdc_error *err)
{
    (void)cdc_fail(err, CDC_RETRY, walk->count->table,
                   "the table has another key at the source than in the lake, where no change came "
                   "since");
    return CDC_AGAIN;
}

static int walk_table(struct walk *walk, size_t table, struct cdc_error *err)
{
    struct ver_run *run = walk->run;
    int rc = prepare(walk, err);
    if (rc == CDC_OK)
        rc = cdc_compare_begin(run->rep, walk->count->table, walk->schema, &walk->cmp, err);
    if (rc == CDC_AGAIN)
        rc = other_key(walk, err);
    if (rc == CDC_OK)
        rc = run->opt->view->begin(run->view, table, err);
    while (rc == CDC_OK)
        rc = read_piece(walk, err);
    return rc == CDC_END ? ver_rest(run, walk->cmp, walk->count, err) : rc;
}

int ver_table(struct ver_run *run, size_t table, const struct ver_state *state,
              struct ver_count *count, struct cdc_error *err)
{
    struct walk walk = {.run = run,
                        .tab = run->view->tables[table],
                        .state = state,
                        .count = count,
                        .bytes = CDC_BUF(ROW_MAX),
                        .key = CDC_BUF(ROW_MAX)};
    int rc = walk_table(&walk, table, err);
    done(&walk);
    return rc;
}
