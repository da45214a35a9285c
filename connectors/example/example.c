/*
 * example.c - the smallest source that keeps every promise: the tutorial.
 *
 * It "reads" a database that counts: table example.numbers (id, word), one row a number, `size`
 * rows a transaction, `rows` in all. Its position is the number of the last row of a finished
 * transaction; its sequence place is the transaction's number. Read include/cdc/source.h beside it.
 *
 * What a real source has beyond this: a connection to serve in keepalive, a log to release in ack,
 * something to refuse in open (see connectors/postgres/).
 */
#include <stdio.h>
#include <stdlib.h>

#include "cdc/source.h"

static const struct cdc_option options[] = {
    {"rows", CDC_OPT_INT, "10", 0, INT64_MAX, .doc = "How many rows there are."},
    {"size", CDC_OPT_INT, "4", 1, 1000000, .doc = "How many rows a transaction has."},
    {0}};

struct example {
    struct cdc_source base; /* first, so that the engine's pointer is ours */
    int64_t rows, size, done;
    struct cdc_table *table;
};

static int make_table(struct example *src, const struct cdc_config *cfg, struct cdc_error *err)
{
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .type_mod = -1},
        {.name = "word", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1}};
    const struct cdc_table_spec spec = {.catalog = "example",
                                        .schema = "example",
                                        .name = "numbers",
                                        .version = 1,
                                        .n = 2,
                                        .cols = cols,
                                        .rule =
                                            cdc_capture_match(cfg->capture, "example", "numbers")};
    if (!spec.rule)
        return cdc_fail(err, CDC_CONFIG, cfg->path,
                        "no rule under `capture:` takes example.numbers: add one");
    return cdc_table_new(&spec, &src->table, err);
}

static void example_close(struct cdc_source *base)
{
    struct example *src = (struct example *)base;
    cdc_table_unref(src->table);
    free(src);
}

/* The checkpoint says where we were: nothing there means the start. */
static int example_open(const struct cdc_config *cfg, const struct cdc_map *checkpoint,
                        struct cdc_source **ret, struct cdc_error *err)
{
    extern const struct cdc_source_ops cdc_source_example;
    struct example *src = calloc(1, sizeof *src);
    if (!src)
        return cdc_fail_oom(err);
    src->base.ops = &cdc_source_example;
    src->rows = cdc_get_int(cfg->source, "rows");
    src->size = cdc_get_int(cfg->source, "size");
    struct cdc_buf position = CDC_BUF(64);
    int rc = cdc_map_get_text(checkpoint, "position", &position, err);
    char none[] = "", *rest = none;
    if (rc == CDC_OK)
        src->done = strtoll(cdc_buf_cstr(&position), &rest, 10);
    if (*rest)
        rc = cdc_fail(err, CDC_OPERATOR, "position", "the saved position is none of this source");
    cdc_buf_done(&position);
    if (rc < 0 || make_table(src, cfg, err) < 0) {
        example_close(&src->base);
        return CDC_FAIL;
    }
    *ret = &src->base;
    return CDC_OK;
}

static int add_row(struct example *src, struct cdc_batch *batch, const struct cdc_tx *tx,
                   int64_t ordinal, struct cdc_error *err)
{
    struct cdc_change *chg = cdc_batch_add(batch, src->table);
    struct cdc_value *row = cdc_batch_values(batch, src->table->n);
    char *word = cdc_arena_printf(batch->arena, "number %lld", (long long)src->done + ordinal);
    if (!chg || !row || !word)
        return cdc_fail_oom(err);
    row[0] = (struct cdc_value){.kind = CDC_INT, .i = src->done + ordinal};
    row[1] = (struct cdc_value){
        .kind = CDC_TEXT, .len = (uint32_t)strlen(word), .p = (const uint8_t *)word};
    chg->op = CDC_OP_CREATE;
    chg->tx = tx;
    chg->ordinal = (uint64_t)ordinal;
    chg->after = row;
    return CDC_OK;
}

/* One transaction a call: the batch, and the position that becomes true with it. */
static int example_poll(struct cdc_source *base, struct cdc_batch *batch, int64_t deadline_us,
                        struct cdc_error *err)
{
    struct example *src = (struct example *)base;
    (void)deadline_us; /* it never has to wait */
    batch->cut = CDC_CUT_END;
    if (src->done >= src->rows)
        return CDC_END;
    int64_t n = src->rows - src->done < src->size ? src->rows - src->done : src->size;
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char *place = cdc_arena_printf(batch->arena, "%024llx", (long long)src->done + 1);
    if (!tx || !place)
        return cdc_fail_oom(err);
    memcpy(tx->place, place, CDC_PLACE_LEN);
    tx->commit_us = 1700000000000000 + src->done;
    for (int64_t i = 1; i <= n; i++)
        if (add_row(src, batch, tx, i, err) < 0)
            return CDC_FAIL;
    batch->changes[batch->n - 1].flags |= CDC_TX_LAST;
    src->done += n;
    char position[24];
    snprintf(position, sizeof position, "%lld", (long long)src->done);
    batch->caught_up = src->done == src->rows;
    return cdc_batch_position(batch, cdc_slice_str(position), err);
}

/* Nothing to serve, nothing to release, nobody to wake. */
static int example_keepalive(struct cdc_source *base, struct cdc_error *err)
{
    (void)base, (void)err;
    return CDC_OK;
}

static int example_ack(struct cdc_source *base, struct cdc_slice committed, struct cdc_error *err)
{
    (void)base, (void)committed, (void)err;
    return CDC_OK;
}

static void example_wake(struct cdc_source *base)
{
    (void)base;
}

static int example_check(const struct cdc_config *cfg, struct cdc_report *report,
                         struct cdc_error *err)
{
    (void)err;
    static const char *const columns[] = {"id", "word", NULL}, *const key[] = {"id", NULL};
    const struct cdc_known_table tab = {
        .schema = "example", .name = "numbers", .columns = columns, .key = key};
    cdc_capture_check(cfg->capture, &tab, 1, report);
    if (!cdc_capture_match(cfg->capture, "example", "numbers"))
        cdc_report(report, CDC_BAD, NULL, "no rule under `capture:` takes example.numbers");
    return CDC_OK;
}

extern const struct cdc_source_ops cdc_source_example;
const struct cdc_source_ops cdc_source_example = {
    .name = "example",
    .doc = "A database that counts: for learning and for tests.",
    .options = options,
    .check = example_check,
    .open = example_open,
    .poll = example_poll,
    .keepalive = example_keepalive,
    .ack = example_ack,
    .wake = example_wake,
    .close = example_close,
};
