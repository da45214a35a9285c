/*
 * lake_rig.h - what the tests of the lake share: a folder, a sink on it, rows, and what a reader
 * sees.
 *
 * Rows are of tables (id bigint key, word text); a row's id is its number, counted through, and its
 * transaction's place is that number too: so "what the reader sees" is a list of ids in order.
 */
#ifndef TESTS_LAKE_RIG_H
#define TESTS_LAKE_RIG_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../connectors/lake/lake.h"
#include "../fakes/storage_fault.h"
#include "cli/cli.h"
#include "envelope/envelope.h"
#include "rows.h"

struct cdc_report *cdc_report_new(FILE *out);
void cdc_report_free(struct cdc_report *report);

struct rig {
    char root[32];
    struct lake_settings set;
    struct fault_world world;
    struct lake *lk;
    struct cdc_pool *pool;
    struct cdc_map seen; /* what the last recover returned */
    struct cdc_error err;
    int64_t next; /* id of the next row */
};

static struct cdc_envelope_state rig_state = {.incarnation = 1};

/* A table of the given name; `version` 2 has one more column, thus another schema (id 100 + v). */
static inline struct cdc_table *rig_table(const char *schema, const char *name, int version)
{
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .type_mod = -1},
        {.name = "word", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1},
        {.name = "more", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1}};
    static const struct cdc_rule rule = {.tables = "*.*", .where = "test:1"};
    const struct cdc_table_spec spec = {.catalog = "db",
                                        .schema = schema,
                                        .name = name,
                                        .version = (uint32_t)version,
                                        .n = (uint16_t)(1 + version),
                                        .cols = cols,
                                        .rule = &rule};
    struct cdc_table *tab = NULL;
    struct cdc_error err = {0};
    assert_int_equal(cdc_table_new(&spec, &tab, &err), CDC_OK);
    struct cdc_buf text = CDC_BUF(1 << 20);
    if (cdc_row_schema_text("shop", tab, &text, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    uint32_t id =
        1 + (uint32_t)(lake_hash(schema) ^ lake_hash(name) ^ (uint64_t)version) % 2000000000;
    struct cdc_schema made = {.text = (char *)text.p, .len = text.len, .id = id};
    char hex[65];
    lake_sha256(cdc_buf_slice(&text), hex);
    for (size_t i = 0; i < 32; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        made.sha256[i] = (uint8_t)byte;
    }
    assert_int_equal(cdc_plan_new(tab, &made, &rig_state, &tab->plan, &err), CDC_OK);
    cdc_buf_done(&text);
    return tab;
}

/* ---- the sink ---- */

static inline void rig_try_open(struct rig *rig)
{
    struct lake_store *st;
    struct cdc_error err = {0};
    assert_int_equal(lake_local_open(rig->root, rig->set.sync, &st, &err), CDC_OK);
    st = fault_store_new(&rig->world, st);
    assert_non_null(st);
    assert_int_equal(lake_new(&rig->set, st, &rig->lk, &err), CDC_OK);
}

static inline int rig_recover(struct rig *rig)
{
    rig->err = (struct cdc_error){0};
    return cdc_sink_lake.recover(&rig->lk->base, &rig->seen, &rig->err);
}

static inline void rig_must(struct rig *rig, int rc)
{
    if (rc < 0)
        fail_msg("%s: %s", rig->err.where, rig->err.message);
}

/* As kill -9: what is in memory is gone, what is on the disk stays, staged files too. */
static inline void rig_kill(struct rig *rig)
{
    char keep[256];
    snprintf(keep, sizeof keep, "cp -a %s %s.kill", rig->root, rig->root);
    assert_int_equal(system(keep), 0);
    cdc_sink_lake.close(&rig->lk->base);
    rig->lk = NULL;
    snprintf(keep, sizeof keep, "rm -rf %s && mv %s.kill %s", rig->root, rig->root, rig->root);
    assert_int_equal(system(keep), 0);
}

static inline void rig_start(struct rig *rig)
{
    rig_try_open(rig);
    rig_must(rig, rig_recover(rig));
}

static inline void rig_init(struct rig *rig)
{
    *rig = (struct rig){.next = 1};
    strcpy(rig->root, "/tmp/lake.XXXXXX");
    assert_non_null(mkdtemp(rig->root));
    rig->set = (struct lake_settings){.path = rig->root,
                                      .name = "shop",
                                      .codec = CDC_CODEC_DEFLATE,
                                      .block_bytes = 65536,
                                      .max_file_bytes = (uint64_t)64 << 20,
                                      .checkpoint_every = 1000};
    rig->pool = cdc_pool_new((size_t)256 << 20, 65536);
    cdc_map_init(&rig->seen);
}

static inline void rig_done(struct rig *rig)
{
    char command[256];
    if (rig->lk)
        cdc_sink_lake.close(&rig->lk->base);
    cdc_map_done(&rig->seen);
    cdc_pool_free(rig->pool);
    fault_world_done(&rig->world);
    snprintf(command, sizeof command, "rm -rf %s %s.kill", rig->root, rig->root);
    assert_int_equal(system(command), 0);
}

/* ---- rows ---- */

static inline void rig_change(struct cdc_batch *batch, struct cdc_table *tab, int64_t id)
{
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    memcpy(tx->place, cdc_arena_printf(batch->arena, "%024llx", (long long)id), CDC_PLACE_LEN);
    tx->commit_us = 1700000000000000;
    struct cdc_change *chg = cdc_batch_add(batch, tab);
    struct cdc_value *row = cdc_batch_values(batch, tab->n);
    row[0] = (struct cdc_value){.kind = CDC_INT, .i = id};
    for (uint16_t i = 1; i < tab->n; i++)
        row[i] = (struct cdc_value){.kind = CDC_TEXT, .len = 4, .p = (const uint8_t *)"word"};
    *chg = (struct cdc_change){
        .op = CDC_OP_CREATE, .table = tab, .tx = tx, .ordinal = 1, .after = row};
}

static inline int rig_write(struct rig *rig, struct cdc_table *tab, int n)
{
    struct cdc_batch *batch = cdc_pool_batch(rig->pool);
    for (int i = 0; i < n; i++)
        rig_change(batch, tab, rig->next++);
    batch->read_us = 1700000000000001;
    rig->err = (struct cdc_error){0};
    int rc = cdc_sink_lake.write(&rig->lk->base, batch, &rig->err);
    cdc_batch_unref(batch);
    return rc;
}

/* The delta: the position, and (as the registry would) the schema of tab if one is given. */
static inline int rig_commit_of(struct rig *rig, const char *position, struct cdc_table *tab,
                                enum cdc_commit_what what)
{
    struct cdc_map delta;
    char key[32];
    cdc_map_init(&delta);
    if (position)
        assert_int_equal(cdc_map_put_text(&delta, "position", cdc_slice_str(position)), CDC_OK);
    if (tab) {
        const struct cdc_schema *schema = cdc_plan_schema(tab->plan);
        json_t *json = json_pack("{s:s,s:i,s:s%}", "subject", "x", "version", 1, "schema",
                                 schema->text, schema->len);
        char *text = json_dumps(json, JSON_COMPACT);
        snprintf(key, sizeof key, "schema/%u", schema->id);
        assert_int_equal(cdc_map_put(&delta, cdc_slice_str(key), cdc_slice_str(text)), CDC_OK);
        free(text);
        json_decref(json);
    }
    rig->err = (struct cdc_error){0};
    int rc = cdc_sink_lake.commit(&rig->lk->base, &delta, what, &rig->err);
    cdc_map_done(&delta);
    return rc;
}

static inline int rig_commit(struct rig *rig, const char *position)
{
    return rig_commit_of(rig, position, NULL, CDC_COMMIT_ALL);
}

static inline void rig_rows(struct rig *rig, struct cdc_table *tab, int n, const char *position)
{
    rig_must(rig, rig_write(rig, tab, n));
    rig_must(rig, rig_commit_of(rig, position, tab, CDC_COMMIT_ALL));
}

static inline void rig_position(struct rig *rig, const char *expect)
{
    struct cdc_buf text = CDC_BUF(256);
    assert_int_equal(cdc_map_get_text(&rig->seen, "position", &text, NULL),
                     expect ? CDC_OK : CDC_END);
    if (expect)
        assert_string_equal(cdc_buf_cstr(&text), expect);
    cdc_buf_done(&text);
}

/* ---- what a reader sees ---- */

struct rig_seen {
    int64_t n, sum_wrong; /* rows; rows whose id was not the next number */
    uint64_t commits, last;
};

static inline int rig_read(struct rig *rig, const char *table, struct rig_seen *ret)
{
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    *ret = (struct rig_seen){0};
    rig->err = (struct cdc_error){0};
    int rc = lake_feed.open(NULL, rig->root, &(struct cdc_feed_start){0}, &feed, &rig->err);
    while (rc == CDC_OK && (rc = lake_feed.commit(feed, &at, &rig->err)) == CDC_OK) {
        ret->commits++;
        ret->last = at.number;
        while ((rc = lake_feed.row(feed, table, &row, &rig->err)) == CDC_OK)
            ret->sum_wrong += row.values[0].i != ++ret->n;
        rc = rc == CDC_END ? CDC_OK : rc;
    }
    if (feed)
        lake_feed.close(feed);
    return rc;
}

/* A reader sees ids 1 to n, each once, in order. */
static inline void rig_sees(struct rig *rig, int64_t n)
{
    struct rig_seen seen;
    int rc = rig_read(rig, NULL, &seen);
    if (rc != CDC_AGAIN)
        fail_msg("read: %d %s: %s", rc, rig->err.where, rig->err.message);
    assert_int_equal(seen.n, n);
    assert_int_equal(seen.sum_wrong, 0);
}

/* fsck's output; *ret_rc what it returned. free() it. */
static inline char *rig_fsck(struct rig *rig, int *ret_rc)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct cdc_report *report = cdc_report_new(out);
    struct lake_store *st;
    assert_int_equal(lake_local_open(rig->root, false, &st, &rig->err), CDC_OK);
    *ret_rc = lake_fsck(st, report, &rig->err);
    st->ops->close(st);
    cdc_report_free(report);
    fclose(out);
    return text;
}

static inline void rig_sound(struct rig *rig)
{
    int rc;
    char *text = rig_fsck(rig, &rc);
    if (rc != CDC_OK || strstr(text, "FAIL"))
        fail_msg("fsck: %s%s", text, rc < 0 ? rig->err.message : "");
    free(text);
}

/* ---- files ---- */

static inline int rig_shell(struct rig *rig, const char *fmt, const char *arg)
{
    char command[640], inner[512];
    snprintf(inner, sizeof inner, "%s%s", fmt, arg);
    snprintf(command, sizeof command, "cd %s && %s", rig->root, inner);
    return system(command);
}

/* How many files match a `find` expression. */
static inline int rig_count(struct rig *rig, const char *find)
{
    char command[512];
    int n = -1;
    snprintf(command, sizeof command, "cd %s && find . -type f %s | wc -l", rig->root, find);
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

#endif
