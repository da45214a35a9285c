/*
 * test_snapshot_model.c - the rule by which copied rows get their place, against simulated
 * histories: 10,000 of them converge, and a comparison of log positions in its stead loses rows.
 *
 * A history has three orders: that of commits (the log, the stream), that in which transactions
 * show themselves in looks (later, as by synchronous replication), and the queue's. Rows are
 * created, changed, deleted and moved to other keys; a table is copied range by range, twice, with
 * crashes that take everything behind the last commit of the sink. What is decided is decided by
 * the engine's own functions (core/snapshot/rule.c, states.c); the replica is "greater __seq wins".
 */
#include <stdio.h>
#include <stdlib.h>

#include "cdc/view.h"
#include "cm.h"
#include "snapshot/rule.h"
#include "snapshot/states.h"

#define KEYS 12
#define TXS  80

struct tx {
    int n, key[2], value[2], before[2]; /* value 0: deleted */
    int visible_at;
};

/* A row of the output. */
struct event {
    int place; /* number of the transaction, from 1; -1: none before */
    uint64_t ordinal;
    int key, value;
    bool sweep;
};

struct look {
    struct cdc_snap base;
    const struct model *model;
    int rows[KEYS];
    int end; /* of the log when it was taken */
    bool sees[TXS];
};

enum rule { RULE_OURS, RULE_LOG_END };

struct model {
    unsigned seed;
    enum rule rule;
    int clock, n_txs, limit;
    struct tx txs[TXS];
    int now[KEYS];

    struct event events[4096];
    int n_events, committed; /* of the sink */
    struct cdc_copy_state state, saved;
    int emitted, saved_emitted;
    bool counting, witnessed;
    struct cdc_passed passed;
    size_t passed_max;
    uint32_t copies; /* generations wanted */
};

static unsigned roll(struct model *m, unsigned n)
{
    return (unsigned)rand_r(&m->seed) % n;
}

/* ---- the source ---- */

static void show_row_before(struct model *m, int key)
{
    for (int i = 0; i < m->n_txs; i++)
        for (int c = 0; c < m->txs[i].n; c++)
            if (m->txs[i].key[c] == key && m->txs[i].visible_at > m->clock)
                m->txs[i].visible_at = m->clock;
}

static void change(struct model *m, struct tx *tx, int key, int value)
{
    show_row_before(m, key);
    tx->key[tx->n] = key;
    tx->value[tx->n] = value;
    tx->before[tx->n++] = m->now[key];
    m->now[key] = value;
}

static void commit(struct model *m)
{
    struct tx *tx = &m->txs[m->n_txs];
    int key = (int)roll(m, KEYS), to = (int)roll(m, KEYS);
    tx->n = 0;
    if (m->now[key] && !m->now[to] && roll(m, 2)) { /* the row gets another key */
        change(m, tx, key, 0);
        change(m, tx, to, m->n_txs + 1);
    } else {
        change(m, tx, key, m->now[key] && roll(m, 3) == 0 ? 0 : m->n_txs + 1);
    }
    tx->visible_at = m->clock + (int)roll(m, 12);
    m->n_txs++;
}

static void work(struct model *m)
{
    m->clock++;
    if (m->n_txs < m->limit && roll(m, 2))
        commit(m);
}

static void put_place(char *to, int number)
{
    char text[32];
    snprintf(text, sizeof text, "%024d", number);
    memcpy(to, text, CDC_PLACE_LEN);
}

static bool sees(const struct cdc_snap *base, const struct cdc_tx *tx)
{
    const struct look *look = (const struct look *)(const void *)base;
    int i = atoi((const char *)tx->id.p) - 1;
    return i < look->end && look->sees[i];
}

static const struct cdc_snap_ops look_ops = {.sees = sees};

static void take(struct model *m, struct look *look, bool exact)
{
    *look = (struct look){.base = {.ops = &look_ops}, .model = m, .end = m->n_txs};
    memcpy(look->rows, m->now, sizeof look->rows);
    for (int i = m->n_txs - 1; i >= 0; i--) {
        if (exact)
            m->txs[i].visible_at = 0; /* it waited for it */
        look->sees[i] = m->txs[i].visible_at <= m->clock;
        for (int c = 0; !look->sees[i] && c < m->txs[i].n; c++)
            look->rows[m->txs[i].key[c]] = m->txs[i].before[c];
    }
    if (exact)
        put_place(look->base.place, m->n_txs + 1);
}

/* ---- the engine ---- */

static void emit(struct model *m, struct event event)
{
    m->events[m->n_events++] = event;
}

static struct cdc_tx tx_of(int number, char id[16])
{
    struct cdc_tx tx = {.commit_us = 0};
    snprintf(id, 16, "%d", number);
    tx.id = cdc_slice_str(id);
    put_place(tx.place, number);
    return tx;
}

static void stream(struct model *m)
{
    if (m->emitted == m->n_txs)
        return;
    const struct tx *tx = &m->txs[m->emitted++];
    char id[16];
    struct cdc_tx pushed = tx_of(m->emitted, id);
    for (int c = 0; c < tx->n; c++)
        emit(m, (struct event){m->emitted, (uint64_t)c + 1, tx->key[c], tx->value[c], false});
    if (m->counting && cdc_passed_add(&m->passed, &pushed) != CDC_OK)
        m->counting = m->witnessed = false; /* too many: anew, as copier.c does */
}

static void commit_sink(struct model *m)
{
    struct cdc_buf json = CDC_BUF(65536);
    m->committed = m->n_events;
    m->saved_emitted = m->emitted;
    if (m->state.kind != CDC_COPY_NONE) {
        assert_int_equal(cdc_copy_json(&m->state, true, &json), CDC_OK);
        assert_int_equal(cdc_copy_parse("t", cdc_buf_slice(&json), &m->saved, NULL), CDC_OK);
    }
    cdc_buf_done(&json);
}

static void crash(struct model *m)
{
    struct cdc_buf json = CDC_BUF(65536);
    m->n_events = m->committed;
    m->emitted = m->saved_emitted;
    m->counting = m->witnessed = false;
    cdc_copy_state_done(&m->state);
    if (m->saved.kind != CDC_COPY_NONE) {
        assert_int_equal(cdc_copy_json(&m->saved, true, &json), CDC_OK);
        assert_int_equal(cdc_copy_parse("t", cdc_buf_slice(&json), &m->state, NULL), CDC_OK);
    }
    cdc_buf_done(&json);
}

static void witness(struct model *m)
{
    char id[16];
    struct cdc_tx last = tx_of(m->emitted, id);
    struct look look;
    cdc_passed_begin(&m->passed, m->passed_max, &last);
    m->counting = true;
    for (unsigned n = roll(m, 4); n-- > 0; work(m))
        stream(m); /* nobody is held meanwhile */
    take(m, &look, true);
    for (unsigned n = roll(m, 4); n-- > 0; work(m))
        stream(m);
    m->witnessed = m->counting && cdc_passed_witness(&m->passed, look.base.place);
}

/* May rows of this look be placed here? */
static bool may(const struct model *m, const struct look *look)
{
    if (m->rule == RULE_LOG_END) /* "it has all that was in the log when it was taken" */
        return look->end >= m->emitted;
    return m->witnessed && cdc_passed_in(&m->passed, &look->base);
}

static int bound(const char *text, int open)
{
    return text ? atoi(text) : open;
}

static void end_copy(struct model *m)
{
    if (!cdc_copy_complete(&m->state))
        return;
    m->state.kind = CDC_COPY_DONE;
    if (m->state.generation > 1)
        emit(m, (struct event){atoi(m->state.began), CDC_READ_ORDINAL(m->state.generation), 0, 0,
                               true});
}

/* One range, as a round of one piece. */
static void copy(struct model *m)
{
    struct look look;
    int at = cdc_copy_next(&m->state);
    if (m->rule == RULE_OURS && !m->witnessed)
        witness(m);
    for (int tries = 0;; tries++, work(m)) { /* the intake is held: nothing is emitted */
        take(m, &look, false);
        if (may(m, &look))
            break;
        if (tries == 3)
            return;
    }
    cdc_passed_forget(&m->passed);
    int place = m->emitted;
    if (!m->state.began[0])
        put_place(m->state.began, place);
    const struct cdc_piece *rest = &m->state.pieces[at];
    char cut[16], from[16], *to = NULL;
    int begin = bound(rest->from, 0), end = bound(rest->to, KEYS);
    int mid = begin + 1 + (int)roll(m, KEYS / 2);
    snprintf(from, sizeof from, "%d", begin);
    snprintf(cut, sizeof cut, "%d", mid);
    char *first = rest->from ? from : NULL;
    if (mid < end)
        to = cut;
    char last[16];
    snprintf(last, sizeof last, "%d", end);
    if (!to && rest->to)
        to = last;
    assert_int_equal(cdc_copy_take(&m->state, at, mid < end ? cut : NULL), CDC_OK);
    for (int k = begin; k < (mid < end ? mid : end); k++)
        if (look.rows[k])
            emit(m, (struct event){place, CDC_READ_ORDINAL(m->state.generation), k, look.rows[k],
                                   false});
    if (roll(m, 8) == 0) { /* the look was lost: rows stand for nothing but themselves */
        cdc_copy_settle(&m->state, first, to, false);
        return;
    }
    cdc_copy_settle(&m->state, first, to, true);
    end_copy(m);
}

static void engine(struct model *m)
{
    unsigned what = roll(m, 20);
    if (what < 9)
        stream(m);
    else if (what < 14 && m->state.kind == CDC_COPY_COPYING)
        copy(m);
    else if (what < 18)
        commit_sink(m);
    else if (what == 18)
        crash(m);
    if (m->state.kind == CDC_COPY_COPYING || m->state.generation >= m->copies)
        return;
    assert_int_equal(cdc_copy_restart(&m->state, m->state.generation + 1), CDC_OK);
    m->witnessed = m->counting = false; /* nothing was copied for a while */
}

/* ---- the replica ---- */

static bool less(const struct event *a, int place, uint64_t ordinal)
{
    return a->place < place || (a->place == place && a->ordinal < ordinal);
}

/* Rows that differ from the source in the end. */
static int differences(const struct model *m)
{
    struct event newest[KEYS], sweep = {.place = -1};
    int n = 0;
    for (int k = 0; k < KEYS; k++)
        newest[k] = (struct event){.place = -1};
    for (int i = 0; i < m->n_events; i++) {
        const struct event *e = &m->events[i];
        struct event *to = e->sweep ? &sweep : &newest[e->key];
        if (!less(e, to->place, to->ordinal))
            *to = *e;
    }
    for (int k = 0; k < KEYS; k++) {
        bool gone = less(&newest[k], sweep.place, sweep.ordinal);
        n += (gone ? 0 : newest[k].value) != m->now[k];
    }
    return n;
}

static int history(unsigned seed, enum rule rule)
{
    static struct model m;
    m = (struct model){.seed = seed, .rule = rule, .copies = 1 + seed % 2};
    m.passed_max = seed % 3 ? (size_t)1 << 20 : 150; /* 150: five transactions, about */
    m.limit = 20 + (int)roll(&m, TXS - 20);
    for (int k = 0; k < KEYS; k++)
        m.now[k] = roll(&m, 2) ? 1000 + k : 0;
    for (int i = 0; i < 3000; i++) {
        bool copied = m.state.kind == CDC_COPY_DONE && m.state.generation >= m.copies;
        if (copied && m.n_txs == m.limit && m.emitted == m.n_txs)
            break;
        assert_true(m.n_events < 4000);
        work(&m);
        engine(&m);
    }
    assert_int_equal(m.state.kind, CDC_COPY_DONE);
    assert_int_equal(m.emitted, m.n_txs);
    int wrong = differences(&m);
    cdc_copy_state_done(&m.state);
    cdc_copy_state_done(&m.saved);
    cdc_passed_done(&m.passed);
    return wrong;
}

static void test_converges(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10000; seed++)
        if (history(seed, RULE_OURS) > 0)
            fail_msg("history %u does not converge", seed);
}

static void test_log_end_loses(void **state)
{
    (void)state;
    int lost = 0;
    for (unsigned seed = 1; seed <= 2000; seed++)
        lost += history(seed, RULE_LOG_END) > 0;
    print_message("a comparison of log positions is wrong in %d of 2000 histories\n", lost);
    assert_true(lost > 20);
}

/* What passed takes no more memory than it was given, and begins anew with all of it. */
static void test_passed_bound(void **state)
{
    (void)state;
    static const size_t bounds[] = {0, 10, 100, 1000, 300000};
    struct cdc_passed passed = {.txs = CDC_BUF(0)};
    char id[16];
    for (size_t i = 0; i < 2 * sizeof bounds / sizeof *bounds; i++) {
        size_t max = bounds[i / 2];
        struct cdc_tx tx = tx_of(0, id);
        cdc_passed_begin(&passed, max, &tx);
        int n = 0;
        for (; n < 20000; n++, tx = tx_of(n, id))
            if (cdc_passed_add(&passed, &tx) == CDC_FULL)
                break;
        assert_true(n < 20000 && passed.txs.len <= max);
        assert_true(max < 100 || passed.txs.len + 40 > max);
        if (i % 2)
            cdc_passed_done(&passed);
        assert_true(passed.txs.cap <= max);
    }
    cdc_passed_done(&passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passed_bound),
        cmocka_unit_test(test_converges),
        cmocka_unit_test(test_log_end_loses),
    };
    return cmocka_run_group_tests_name("snapshot_model", tests, NULL, NULL);
}
