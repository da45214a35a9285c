/*
 * fake_feed.c - reads the script of fake_feed.h piece by piece. A script that is wrong aborts.
 */
#include "fake_feed.h"

#include <stdio.h>
#include <stdlib.h>

#define COLS   24
#define TABLES 8
#define DAY0   1704067200000000LL /* 2024-01-01 */

int fake_feed_failures;

struct fake_schema {
    struct cdc_row_schema schema;
    struct cdc_row_column cols[COLS];
    uint16_t key[COLS];
    enum cdc_deletes deletes;
    char table[64], names[COLS][32];
};

struct fake_feed {
    struct cdc_feed base;
    char *script, *at, *items; /* at: the next commit; items: the next item of this one */
    uint64_t number;
    struct fake_schema *schemas[TABLES * 8];
    size_t n_schemas;
    struct fake_schema *now;
    struct cdc_value vals[COLS], unchanged[COLS];
    char text[COLS][64], seq[CDC_SEQ_LEN + 1], prev[256], to[32], token[48];
};

static uint64_t next_stamp = 1;

static const struct {
    const char *name;
    enum cdc_meta meta;
    enum cdc_kind kind;
} metas[] = {
    {"__op", CDC_META_OP, CDC_TEXT},
    {"__deleted", CDC_META_DELETED, CDC_BOOL},
    {"__deleted_at", CDC_META_DELETED_AT, CDC_TIMESTAMPTZ},
    {"__delete_reason", CDC_META_DELETE_REASON, CDC_TEXT},
    {"__updated_at", CDC_META_UPDATED_AT, CDC_TIMESTAMPTZ},
    {"__synced_at", CDC_META_SYNCED_AT, CDC_TIMESTAMPTZ},
    {"__seq", CDC_META_SEQ, CDC_TEXT},
    {"__unchanged", CDC_META_UNCHANGED, CDC_ARRAY},
    {"__prev_key", CDC_META_PREV_KEY, CDC_TEXT},
};

static void bad(const char *what)
{
    fprintf(stderr, "fake_feed: bad script: %s\n", what);
    abort();
}

void fake_feed_seq(char *ret, unsigned tx, uint64_t ordinal)
{
    snprintf(ret, CDC_SEQ_LEN + 1, "00000001-%024x-%012llx", tx, (unsigned long long)ordinal);
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

static void add_column(struct fake_schema *sch, const char *name, enum cdc_meta meta,
                       enum cdc_kind kind)
{
    uint16_t i = sch->schema.n++;
    if (i >= COLS)
        bad("too many columns");
    snprintf(sch->names[i], sizeof sch->names[i], "%s", name);
    sch->cols[i] = (struct cdc_row_column){
        .name = sch->names[i], .meta = meta, .kind = kind, .bits = 64, .nullable = true};
    if (meta != CDC_META_NONE)
        sch->schema.meta[meta] = (int16_t)i;
}

static void read_column(struct fake_schema *sch, char *word)
{
    bool key = word[0] == '*';
    char *colon = strchr(word, ':');
    if (!colon)
        bad("column without type");
    *colon = '\0';
    add_column(sch, word + key, CDC_META_NONE, kind_of(colon[1]));
    if (!key)
        return;
    sch->key[sch->schema.n_key++] = sch->schema.n - 1;
    sch->cols[sch->schema.n - 1].key = sch->schema.n_key;
}

/* "public.t 1 soft *id:i a:s" */
static void read_schema(struct fake_feed *feed, char *text)
{
    static const char *const modes[] = {"soft", "hard", "append"};
    struct fake_schema *sch = calloc(1, sizeof *sch);
    char *save = NULL, *table = strtok_r(text, " ", &save), *version = strtok_r(NULL, " ", &save);
    char *mode = strtok_r(NULL, " ", &save);
    if (!sch || !mode || feed->n_schemas == sizeof feed->schemas / sizeof feed->schemas[0])
        bad("table");
    snprintf(sch->table, sizeof sch->table, "%s", table);
    char *dot = strchr(sch->table, '.');
    if (!dot)
        bad("table without schema");
    *dot = '\0';
    for (int m = 0; m < CDC_METAS; m++)
        sch->schema.meta[m] = -1;
    sch->schema.table_schema = sch->table;
    sch->schema.table_name = dot + 1;
    sch->schema.version = (uint32_t)atoi(version);
    sch->schema.cols = sch->cols;
    sch->schema.key = sch->key;
    sch->schema.stamp = next_stamp++;
    for (int i = 0; i < 3; i++)
        if (strcmp(mode, modes[i]) == 0)
            sch->deletes = (enum cdc_deletes)i;
    for (char *word; (word = strtok_r(NULL, " ", &save));)
        read_column(sch, word);
    for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++)
        add_column(sch, metas[i].name, metas[i].meta, metas[i].kind);
    feed->schemas[feed->n_schemas++] = feed->now = sch;
}

static struct cdc_value text_value(enum cdc_kind kind, const char *text)
{
    return (struct cdc_value){
        .kind = (uint8_t)kind, .len = (uint32_t)strlen(text), .p = (const uint8_t *)text};
}

static struct cdc_value read_value(struct fake_feed *feed, size_t i, const char *word)
{
    enum cdc_kind kind = feed->now->cols[i].kind;
    if (strcmp(word, "-") == 0 || strcmp(word, "~") == 0)
        return (struct cdc_value){.kind = CDC_NULL};
    if (kind == CDC_INT || kind == CDC_BOOL)
        return (struct cdc_value){.kind = (uint8_t)kind, .i = atoll(word)};
    if (kind == CDC_TIMESTAMPTZ)
        return (struct cdc_value){.kind = CDC_TIMESTAMPTZ, .i = DAY0 + atoll(word) * 1000000};
    if (kind == CDC_FLOAT)
        return (struct cdc_value){.kind = CDC_FLOAT, .f = strtod(word, NULL)};
    snprintf(feed->text[i], sizeof feed->text[i], "%s", strcmp(word, "''") == 0 ? "" : word);
    return text_value(kind, feed->text[i]);
}

static void read_prev(struct fake_feed *feed, char *word)
{
    char *save = NULL, *part = strtok_r(word, ",", &save);
    size_t len = 0;
    for (uint16_t i = 0; i < feed->now->schema.n_key && part; i++) {
        const struct cdc_row_column *col = &feed->now->cols[feed->now->key[i]];
        const char *quote = col->kind == CDC_TEXT ? "\"" : "";
        len += (size_t)snprintf(feed->prev + len, sizeof feed->prev - len, "%s\"%s\":%s%s%s",
                                i ? "," : "{", col->name, quote, part, quote);
        part = strtok_r(NULL, ",", &save);
    }
    snprintf(feed->prev + len, sizeof feed->prev - len, "}");
}

static void set_meta(struct fake_feed *feed, enum cdc_meta meta, struct cdc_value val)
{
    feed->vals[feed->now->schema.meta[meta]] = val;
}

static void set_metas(struct fake_feed *feed, const char *op, const char *place, const char *reason,
                      uint32_t n_unchanged)
{
    bool gone = op[0] == 'd' || op[0] == 't' || (reason && strcmp(reason, "logical") == 0);
    unsigned tx = (unsigned)atoi(place);
    const char *dot = strchr(place, '.');
    if (!dot)
        bad("place");
    bool snap = dot[1] == 's';
    uint64_t ordinal = strtoull(dot + 1 + snap, NULL, 10) | (snap ? 0xfULL << 44 : 0);
    struct cdc_value at = {.kind = CDC_TIMESTAMPTZ, .i = DAY0 + (int64_t)tx * 1000000};
    fake_feed_seq(feed->seq, tx, ordinal);
    set_meta(feed, CDC_META_OP, text_value(CDC_TEXT, op));
    set_meta(feed, CDC_META_DELETED, (struct cdc_value){.kind = CDC_BOOL, .i = gone});
    set_meta(feed, CDC_META_UPDATED_AT, at);
    set_meta(feed, CDC_META_SYNCED_AT, at);
    set_meta(feed, CDC_META_SEQ, text_value(CDC_TEXT, feed->seq));
    if (gone) {
        set_meta(feed, CDC_META_DELETED_AT, at);
        if (!reason)
            reason = op[0] == 'd' ? "delete" : "truncate";
        set_meta(feed, CDC_META_DELETE_REASON, text_value(CDC_TEXT, reason));
    }
    if (n_unchanged)
        set_meta(
            feed, CDC_META_UNCHANGED,
            (struct cdc_value){.kind = CDC_ARRAY, .len = n_unchanged, .items = feed->unchanged});
    if (feed->prev[0])
        set_meta(feed, CDC_META_PREV_KEY, text_value(CDC_TEXT, feed->prev));
}

/* "u 2.1 1 ~ x !reason <1" */
static void read_row(struct fake_feed *feed, char *text, struct cdc_feed_row *ret)
{
    char *save = NULL, *op = strtok_r(text, " ", &save), *place = strtok_r(NULL, " ", &save);
    const char *reason = NULL;
    uint32_t unchanged = 0;
    size_t i = 0;
    if (!feed->now || !place)
        bad("row");
    memset(feed->vals, 0, sizeof feed->vals);
    feed->prev[0] = '\0';
    for (char *word; (word = strtok_r(NULL, " ", &save));) {
        if (word[0] == '!') {
            reason = word + 1;
        } else if (word[0] == '<') {
            read_prev(feed, word + 1);
        } else {
            if (word[0] == '~')
                feed->unchanged[unchanged++] = text_value(CDC_TEXT, feed->now->names[i]);
            feed->vals[i] = read_value(feed, i, word);
            i++;
        }
    }
    set_metas(feed, op, place, reason, unchanged);
    *ret = (struct cdc_feed_row){
        .schema = &feed->now->schema, .values = feed->vals, .deletes = feed->now->deletes};
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

static int feed_row(struct cdc_feed *base, const char *table, struct cdc_feed_row *ret,
                    struct cdc_error *err)
{
    struct fake_feed *feed = (struct fake_feed *)base;
    (void)table;
    for (char *item; (item = cut(&feed->items, ';'));) {
        if (item[0] == '@') {
            read_schema(feed, item + 1);
        } else if (strncmp(item, "!retry", 6) == 0) {
            if (fake_feed_failures-- > 0)
                return cdc_fail(err, CDC_RETRY, "fake", "as the script wants");
        } else if (item[0]) {
            read_row(feed, item, ret);
            return CDC_OK;
        }
    }
    return CDC_END;
}

/* Of all commits up to this one: another script with as many commits has other tokens. */
static void make_token(struct fake_feed *feed)
{
    uint64_t hash = strtoull(feed->token + strcspn(feed->token, " "), NULL, 16);
    for (const char *p = feed->items; *p; p++)
        if (*p != ' ' && *p != ';')
            hash = (hash ^ (uint8_t)*p) * 0x100000001b3ULL;
    snprintf(feed->token, sizeof feed->token, "%llu %016llx", (unsigned long long)feed->number,
             (unsigned long long)hash);
}

static int feed_commit(struct cdc_feed *base, struct cdc_feed_commit *ret, struct cdc_error *err)
{
    struct fake_feed *feed = (struct fake_feed *)base;
    struct cdc_feed_row skipped;
    while (feed->items)
        if (feed_row(base, NULL, &skipped, err) == CDC_FAIL)
            return CDC_FAIL;
    char *items = cut(&feed->at, '|');
    if (!items)
        return CDC_AGAIN;
    feed->items = items;
    feed->number++;
    make_token(feed);
    snprintf(feed->to, sizeof feed->to, "tx:%llu", (unsigned long long)feed->number);
    *ret = (struct cdc_feed_commit){.number = feed->number,
                                    .token = feed->token,
                                    .from = "",
                                    .to = feed->to,
                                    .at_us = DAY0 + (int64_t)feed->number * 1000};
    return CDC_OK;
}

static void feed_close(struct cdc_feed *base)
{
    struct fake_feed *feed = (struct fake_feed *)base;
    for (size_t i = 0; i < feed->n_schemas; i++)
        free(feed->schemas[i]);
    free(feed->script);
    free(feed);
}

static int feed_open(const struct cdc_config *cfg, const char *place,
                     const struct cdc_feed_start *start, struct cdc_feed **ret,
                     struct cdc_error *err)
{
    struct fake_feed *feed = calloc(1, sizeof *feed);
    if (!feed || !(feed->script = strdup(place ? place : cfg->path)))
        bad("no memory");
    feed->base.ops = &fake_feed_ops;
    feed->at = feed->script;
    struct cdc_feed_commit commit;
    uint64_t after = start->token ? strtoull(start->token, NULL, 10) : start->after;
    while (feed->number < after) { /* reads the rows too: they may set the schema */
        if (feed_commit(&feed->base, &commit, err) == CDC_OK)
            continue;
        feed_close(&feed->base);
        return cdc_fail(err, CDC_OPERATOR, "fake", "no such commit");
    }
    if (start->token && strcmp(start->token, feed->token) != 0) {
        feed_close(&feed->base);
        return cdc_fail(err, CDC_OPERATOR, "fake", "another feed");
    }
    *ret = &feed->base;
    return CDC_OK;
}

static int feed_file(struct cdc_feed *feed, struct cdc_feed_file *ret, struct cdc_error *err)
{
    (void)feed, (void)ret, (void)err;
    return CDC_END;
}

static bool feed_knows(const char *place)
{
    return place[0] == '@';
}

const struct cdc_feed_ops fake_feed_ops = {
    .open = feed_open,
    .knows = feed_knows,
    .commit = feed_commit,
    .row = feed_row,
    .file = feed_file,
    .close = feed_close,
};
