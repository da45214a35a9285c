/*
 * fake_view.c - reads the script of fake_view.h. A script that is wrong aborts.
 */
#include "fake_view.h"

#include <stdio.h>
#include <stdlib.h>

#define COLS  16
#define ROOM  8
#define WORDS 64

struct fake_view_world fake_view_world;

struct fake_view {
    struct cdc_view base;
    char *script, *rows[ROOM]; /* rows: what of each table is not read yet */
    struct cdc_table *tables[ROOM];
    size_t at;
    unsigned reads;
};

static void bad(const char *what)
{
    fprintf(stderr, "fake_view: bad script: %s\n", what);
    abort();
}

static char *cut(char **at, char sep)
{
    char *start = *at;
    if (!start)
        return NULL;
    char *end = strchr(start, sep);
    if (end)
        *end = '\0';
    *at = end ? end + 1 : NULL;
    return start + strspn(start, " ");
}

static enum cdc_kind kind_of(char type)
{
    switch (type) {
    case 'i': return CDC_INT;
    case 's': return CDC_TEXT;
    case 'f': return CDC_FLOAT;
    case 'b': return CDC_BYTES;
    case 'o': return CDC_BOOL;
    case 'z': return CDC_TIMESTAMPTZ;
    default: bad("type of a column"); return CDC_NULL;
    }
}

/* "public.t *id:i a:s" */
static struct cdc_table *make_table(char *text)
{
    char *save = NULL, *name = strtok_r(text, " ", &save), *dot = name ? strchr(name, '.') : NULL;
    struct cdc_column cols[COLS] = {0};
    uint16_t n = 0, key = 0;
    if (!dot)
        bad("table");
    *dot = '\0';
    for (char *word; (word = strtok_r(NULL, " ", &save)) && n < COLS;) {
        bool is_key = word[0] == '*';
        char *colon = strchr(word, ':');
        if (!colon)
            bad("column without type");
        *colon = '\0';
        cols[n++] = (struct cdc_column){.name = word + is_key,
                                        .type = "fake",
                                        .kind = kind_of(colon[1]),
                                        .bits = 64,
                                        .nullable = true,
                                        .type_mod = -1,
                                        .key = is_key ? ++key : 0};
    }
    struct cdc_table_spec spec = {.catalog = "fake",
                                  .schema = name,
                                  .name = dot + 1,
                                  .version = 1,
                                  .n = n,
                                  .cols = cols,
                                  .rule = fake_view_world.rule};
    struct cdc_table *tab = NULL;
    if (cdc_table_new(&spec, &tab, NULL) != CDC_OK)
        bad("cannot make the table");
    return tab;
}

static void fake_close(struct cdc_view *base)
{
    struct fake_view *view = (struct fake_view *)base;
    for (size_t i = 0; i < view->base.n; i++)
        cdc_table_unref(view->tables[i]);
    free(view->script);
    free(view);
    fake_view_world.closes++;
}

static bool wanted(const struct cdc_view_options *opt, const struct cdc_table *tab)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", tab->schema, tab->name);
    return !opt->table || strcmp(opt->table, name) == 0;
}

static int fake_open(const struct cdc_config *cfg, const struct cdc_view_options *opt,
                     struct cdc_view **ret, struct cdc_error *err)
{
    (void)cfg;
    fake_view_world.opens++;
    if (fake_view_world.gone)
        return cdc_fail(err, CDC_RETRY, "fake", "nobody answers");
    struct fake_view *view = calloc(1, sizeof *view);
    if (!view || !(view->script = strdup(fake_view_world.script)))
        bad("no memory");
    view->base.ops = &fake_view_ops;
    view->base.tables = view->tables;
    view->base.at = "the place";
    snprintf(view->base.place, sizeof view->base.place, "%024x", fake_view_world.place);
    char *all = view->script;
    for (char *part; (part = cut(&all, '|')) && view->base.n < ROOM;) {
        char *head = cut(&part, ';');
        if (!*head)
            continue;
        struct cdc_table *tab = make_table(head);
        if (!wanted(opt, tab)) {
            cdc_table_unref(tab);
            continue;
        }
        view->tables[view->base.n] = tab;
        view->rows[view->base.n++] = part;
    }
    *ret = &view->base;
    return CDC_OK;
}

static int fake_covers(const struct cdc_view *view, const struct cdc_map *checkpoint,
                       struct cdc_error *err)
{
    (void)view, (void)checkpoint, (void)err;
    unsigned from = fake_view_world.covered_from;
    return ++fake_view_world.asked >= from && from ? CDC_OK : CDC_AGAIN;
}

static int given_up(struct cdc_error *err)
{
    (void)cdc_fail(err, CDC_RETRY, "fake", "somebody stands in the way");
    return CDC_AGAIN;
}

static int fake_begin(struct cdc_view *base, size_t table, struct cdc_error *err)
{
    struct fake_view *view = (struct fake_view *)base;
    view->at = table;
    view->reads = 0;
    return (int)table + 1 == fake_view_world.again_at_begin ? given_up(err) : CDC_OK;
}

static struct cdc_value read_value(const struct cdc_column *col, const char *word)
{
    if (strcmp(word, "-") == 0)
        return (struct cdc_value){.kind = CDC_NULL};
    if (strcmp(word, "!") == 0)
        return (struct cdc_value){.kind = CDC_INVALID, .p = (const uint8_t *)"!", .len = 1};
    if (col->kind == CDC_INT || col->kind == CDC_BOOL)
        return (struct cdc_value){.kind = (uint8_t)col->kind, .i = atoll(word)};
    if (col->kind == CDC_TIMESTAMPTZ)
        return (struct cdc_value){.kind = CDC_TIMESTAMPTZ,
                                  .i = INT64_C(1704067200000000) + atoll(word) * 1000000};
    if (col->kind == CDC_FLOAT)
        return (struct cdc_value){.kind = CDC_FLOAT, .f = strtod(word, NULL)};
    return (struct cdc_value){
        .kind = (uint8_t)col->kind, .len = (uint32_t)strlen(word), .p = (const uint8_t *)word};
}

static void add_row(struct fake_view *view, char *text, struct cdc_batch *batch)
{
    struct cdc_table *tab = view->tables[view->at];
    struct cdc_value *after = cdc_batch_values(batch, tab->n);
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    struct cdc_change *chg = cdc_batch_add(batch, tab);
    char *save = NULL, *word = strtok_r(text, " ", &save);
    if (!after || !tx || !chg)
        bad("no memory");
    for (uint16_t i = 0; i < tab->n; i++, word = strtok_r(NULL, " ", &save)) {
        if (!word)
            bad("value missing");
        after[i] = read_value(&tab->cols[i], word);
    }
    memset(tx->place, '0', CDC_PLACE_LEN);
    chg->op = CDC_OP_READ;
    chg->tx = tx;
    chg->ordinal = CDC_READ_ORDINAL(1);
    chg->after = after;
}

static int fake_read(struct cdc_view *base, size_t max_rows, struct cdc_batch *batch,
                     struct cdc_error *err)
{
    struct fake_view *view = (struct fake_view *)base;
    if (max_rows > fake_view_world.most)
        fake_view_world.most = max_rows;
    if ((int)view->at + 1 == fake_view_world.again_at_read && view->reads == 1)
        return given_up(err);
    view->reads++;
    /* Two at a time, so that a table takes several reads. */
    for (char *text; batch->n < 2 && batch->n < max_rows;) {
        text = cut(&view->rows[view->at], ';');
        if (!text)
            break;
        if (*text)
            add_row(view, text, batch);
    }
    return batch->n ? CDC_OK : CDC_END;
}

const struct cdc_view_ops fake_view_ops = {
    .open = fake_open,
    .covers = fake_covers,
    .begin = fake_begin,
    .read = fake_read,
    .close = fake_close,
};
