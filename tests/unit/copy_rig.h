/*
 * copy_rig.h - what the tests of copies share: a world of the fake source (fakes/fake_snap.h), a
 * pipeline over it, and a replica of what its sink holds, made by "greater __seq wins" and sweeps.
 */
#ifndef TESTS_COPY_RIG_H
#define TESTS_COPY_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "../fakes/fake.h"
#include "../fakes/fake_snap.h"
#include "base/log.h"
#include "cm.h"
#include "pipeline/pipeline.h"

#define YAML(snapshot, rules)                                                                      \
    "name: fake\nsource: {type: example}\nmemory: 8MiB\n"                                          \
    "snapshot: {" snapshot "}\ncapture:\n" rules "sink: {type: 'null'}\n"
#define ALL "  - {tables: x.*, snapshot: never}\n"

/* ---- a replica ---- */

struct cell {
    char seq[CDC_SEQ_LEN + 1];
    int64_t value; /* 0: deleted */
};

struct replica {
    struct cell cells[FAKE_TABLES][FAKE_KEYS];
    char swept[FAKE_TABLES][CDC_SEQ_LEN + 1];
    int reads, sweeps;
};

/* What a reader has of the row; 0: none. */
static inline int64_t live(const struct replica *rep, int table, int64_t key)
{
    const struct cell *cell = &rep->cells[table][key];
    return strcmp(cell->seq, rep->swept[table]) < 0 ? 0 : cell->value;
}

/* A value that was not sent: of the row that is there already, else of the one before. */
static inline int64_t value_of(const struct replica *rep, const struct fake_row *row, int table)
{
    if (!row->unsent)
        return row->op == 'd' ? 0 : row->value;
    int64_t there = live(rep, table, row->key);
    return there ? there : live(rep, table, row->from);
}

static inline void replicate(const struct fake_store *store, struct replica *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < store->n; i++) {
        const struct fake_row *row = &store->rows[i];
        int t = row->table[0] - 'a';
        ret->reads += row->op == 'r';
        if (row->op == 't') {
            ret->sweeps++;
            if (strcmp(row->seq, ret->swept[t]) > 0)
                strcpy(ret->swept[t], row->seq);
            continue;
        }
        struct cell *cell = &ret->cells[t][row->key];
        int64_t value = value_of(ret, row, t);
        if (strcmp(row->seq, cell->seq) >= 0) {
            strcpy(cell->seq, row->seq);
            cell->value = value;
        }
    }
    for (int t = 0; t < FAKE_TABLES; t++)
        for (int k = 0; k < FAKE_KEYS; k++)
            if (strcmp(ret->cells[t][k].seq, ret->swept[t]) < 0)
                ret->cells[t][k].value = 0;
}

static inline void check_table(const struct fake_snap_world *world, const struct replica *rep,
                               int t, unsigned seed)
{
    for (int k = 0; k < FAKE_KEYS; k++)
        if (rep->cells[t][k].value != world->now[t][k])
            fail_msg("seed %u: table %c, key %d: %lld in the replica (%s), %d at the source", seed,
                     'a' + t, k, (long long)rep->cells[t][k].value, rep->cells[t][k].seq,
                     world->now[t][k]);
}

/* ---- a rig ---- */

struct rig {
    struct fake_snap_world world;
    struct fake_store store;
    struct cdc_settings *set;
    unsigned seed;
};

static inline struct cdc_settings *parse(const char *yaml)
{
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    if (cdc_settings_parse(cdc_slice_str(yaml), "fake.yaml", &set, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    set->source = &fake_snap_source_ops;
    set->sink = &fake_sink_ops;
    return set;
}

/* The rules want copies: the source of the text, which cannot, is not the one that is used. */
static inline void want(struct cdc_settings *set, const char *tables, enum cdc_snapshot_mode mode)
{
    const struct cdc_rule *rules;
    size_t n = cdc_capture_rules(set->config.capture, &rules);
    for (size_t i = 0; i < n; i++)
        if (!tables || strcmp(rules[i].tables, tables) == 0)
            ((struct cdc_rule *)(uintptr_t)&rules[i])->snapshot = mode;
}

static inline void rig_init(struct rig *rig, unsigned seed, const char *yaml)
{
    fake_snap_init(&rig->world, seed);
    fake_store_init(&rig->store);
    rig->store.policy = (struct cdc_commit_policy){
        .eager = true, .cut_us = 1, .idle_us = 1000000, .idle_bytes = 1 << 20};
    rig->seed = seed;
    rig->set = parse(yaml);
    want(rig->set, NULL, CDC_SNAPSHOT_INITIAL);
    fake_use(NULL, &rig->store);
}

static inline void rig_done(struct rig *rig)
{
    cdc_settings_free(rig->set);
    fake_store_done(&rig->store);
    fake_snap_done(&rig->world);
}

static inline int run(struct rig *rig, struct cdc_error *err)
{
    const struct cdc_pipeline_options opt = {.backoff_min_us = 1000, .max_failures = 50};
    struct cdc_pipeline_stats stats;
    return cdc_pipeline_run(rig->set, &opt, &stats, err);
}

static inline void run_well(struct rig *rig)
{
    struct cdc_error err = {0};
    if (run(rig, &err) != CDC_OK)
        fail_msg("seed %u: %s", rig->seed, err.message);
}

static inline void check(struct rig *rig, struct replica *rep)
{
    replicate(&rig->store, rep);
    for (int t = 0; t < FAKE_TABLES; t++)
        check_table(&rig->world, rep, t, rig->seed);
    assert_int_equal(rig->world.wrong, 0);
    assert_int_equal(rig->world.open_snaps, 0);
}

static inline const char *state_of(struct rig *rig, const char *table)
{
    char key[32];
    snprintf(key, sizeof key, "copy/x.%s", table);
    struct cdc_slice value = cdc_map_get(&rig->store.checkpoint, key);
    return value.p ? (const char *)value.p : "";
}

static inline bool state_is(struct rig *rig, const char *table, const char *word)
{
    char text[64];
    snprintf(text, sizeof text, "\"state\":\"%s\"", word);
    return strstr(state_of(rig, table), text) != NULL;
}

static inline void all_done(struct rig *rig)
{
    for (int t = 0; t < FAKE_TABLES; t++) {
        const char name[] = {(char)('a' + t), 0};
        if (!state_is(rig, name, "done"))
            fail_msg("seed %u: table %s is not done: %s", rig->seed, name, state_of(rig, name));
    }
}

#endif
