/*
 * source_suite.c - what every source must do, whatever its database: see contract.h.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/cm.h"
#include "cdc/clock.h"
#include "contract.h"

struct event {
    char op;
    int64_t key;
    char place[CDC_PLACE_LEN];
    uint64_t ordinal;
};

/* One pipeline as the engine would drive it, without threads. */
struct drive {
    const struct source_fixture *fix;
    struct cdc_settings *set;
    struct cdc_source *src;
    struct cdc_pool *pool;
    struct cdc_map checkpoint, pending;
    struct event *events;
    size_t n;
    bool produced, done;
};

static void start(struct drive *d, const struct source_fixture *fix)
{
    *d = (struct drive){.fix = fix, .pool = cdc_pool_new((size_t)64 << 20, 65536)};
    fix->up(&d->set);
    d->events = calloc(fix->changes + 1, sizeof *d->events);
    cdc_map_init(&d->checkpoint);
    cdc_map_init(&d->pending);
}

static void reopen(struct drive *d)
{
    struct cdc_error err = {0};
    cdc_map_clear(&d->pending);
    for (int tries = 0; tries < 100; tries++) { /* a server may need a moment to let go of us */
        int rc = d->fix->ops->open(&d->set->config, &d->checkpoint, &d->src, &err);
        if (rc == CDC_OK)
            return;
        if (err.action != CDC_RETRY)
            break;
        usleep(100000);
    }
    fail_msg("open: %s: %s", err.where, err.message);
}

static void shut(struct drive *d)
{
    if (d->src)
        d->src->ops->close(d->src);
    d->src = NULL;
}

static void end(struct drive *d)
{
    shut(d);
    cdc_map_done(&d->checkpoint);
    cdc_map_done(&d->pending);
    free(d->events);
    cdc_pool_free(d->pool);
    cdc_settings_free(d->set);
    if (d->fix->down)
        d->fix->down();
}

static void note(struct drive *d, const struct cdc_change *chg)
{
    const struct cdc_value *row = chg->after ? chg->after : chg->before;
    assert_non_null(chg->table->rule);
    assert_non_null(chg->tx);
    assert_true(d->n < d->fix->changes);
    struct event *e = &d->events[d->n++];
    *e = (struct event){.op = (char)chg->op, .ordinal = chg->ordinal, .key = row ? row[0].i : -1};
    memcpy(e->place, chg->tx->place, CDC_PLACE_LEN);
}

static void ack(struct drive *d)
{
    struct cdc_buf position = CDC_BUF(1 << 20);
    struct cdc_error err = {0};
    int rc = cdc_map_get_text(&d->checkpoint, "position", &position, &err);
    assert_true(rc == CDC_OK || rc == CDC_END);
    rc = d->src->ops->ack(d->src, rc == CDC_END ? cdc_slice_of(NULL, 0) : cdc_buf_slice(&position),
                          &err);
    if (rc != CDC_OK)
        fail_msg("ack: %s", err.message);
    cdc_buf_done(&position);
}

/* One poll; true when a cut was reached and "committed". */
static bool turn(struct drive *d, bool tell)
{
    struct cdc_error err = {0};
    struct cdc_batch *batch = cdc_pool_batch(d->pool);
    int rc = d->src->ops->poll(d->src, batch, cdc_mono_us() + 200000, &err);
    if (rc < 0)
        fail_msg("poll: %s: %s", err.where, err.message);
    for (size_t i = 0; i < batch->n; i++)
        note(d, &batch->changes[i]);
    assert_int_equal(cdc_map_merge(&d->pending, &batch->delta), CDC_OK);
    bool cut = rc != CDC_AGAIN && batch->cut == CDC_CUT_END;
    d->done |= rc == CDC_END;
    if (batch->cut == CDC_CUT_NO)
        assert_null(cdc_map_get(&batch->delta, "position").p);
    cdc_batch_unref(batch);
    if (cut) {
        assert_int_equal(cdc_map_apply(&d->checkpoint, &d->pending), CDC_OK);
        cdc_map_clear(&d->pending);
        if (tell)
            ack(d);
        if (!d->produced && cdc_map_get(&d->checkpoint, "position").p) {
            d->produced = true;
            if (d->fix->produce)
                d->fix->produce();
        }
        d->done |= d->n == d->fix->changes;
    }
    return cut;
}

static void check_order(const struct drive *d)
{
    assert_int_equal(d->n, d->fix->changes);
    for (size_t i = 0; i < d->n; i++) {
        const struct event *e = &d->events[i], *before = i ? e - 1 : NULL;
        int places = before ? memcmp(before->place, e->place, CDC_PLACE_LEN) : -1;
        assert_true(places <= 0);
        assert_true(places < 0 || before->ordinal < e->ordinal);
        assert_true(e->ordinal >= 1);
    }
}

static void test_every_change_once(void **state)
{
    struct drive d;
    start(&d, *state);
    reopen(&d);
    for (int i = 0; i < 300 && !d.done; i++)
        turn(&d, true);
    check_order(&d);
    end(&d);
}

/* Closing at every cut, with and without the ack having been told: the same sequence. */
static void resume(const struct source_fixture *fix, int every, bool tell)
{
    struct drive d;
    start(&d, fix);
    reopen(&d);
    int cuts = 0;
    for (int i = 0; i < 400 && !d.done; i++) {
        bool first = !cdc_map_get(&d.checkpoint, "position").p;
        if (turn(&d, tell || first) && !first && ++cuts % every == 0 && !d.done) {
            shut(&d);
            reopen(&d);
        }
    }
    check_order(&d);
    end(&d);
}

static void test_resumes_after_each_commit(void **state)
{
    resume(*state, 1, true);
}

static void test_resumes_without_ack(void **state)
{
    resume(*state, 1, false);
}

static void test_resumes_now_and_then(void **state)
{
    resume(*state, 3, true);
}

/* What was read and not committed comes again: same order, same ordinals. */
static void test_reads_again_what_was_not_committed(void **state)
{
    struct drive d;
    start(&d, *state);
    reopen(&d);
    while (!cdc_map_get(&d.checkpoint, "position").p)
        turn(&d, true);
    struct cdc_error err = {0};
    for (int i = 0; i < 3; i++) {
        struct cdc_batch *batch = cdc_pool_batch(d.pool);
        assert_true(d.src->ops->poll(d.src, batch, cdc_mono_us() + 200000, &err) >= 0);
        cdc_batch_unref(batch);
    }
    shut(&d);
    reopen(&d);
    for (int i = 0; i < 300 && !d.done; i++)
        turn(&d, true);
    check_order(&d);
    end(&d);
}

static void test_closes_at_any_time(void **state)
{
    struct drive d;
    start(&d, *state);
    reopen(&d);
    shut(&d);
    reopen(&d);
    struct cdc_error err = {0};
    assert_int_equal(d.src->ops->keepalive(d.src, &err), CDC_OK);
    turn(&d, true);
    shut(&d);
    end(&d);
}

static void *wake_soon(void *arg)
{
    struct cdc_source *src = arg;
    usleep(150000);
    src->ops->wake(src);
    return NULL;
}

static void test_wake_ends_a_poll(void **state)
{
    const struct source_fixture *fix = *state;
    if (!fix->waits)
        return; /* nothing of it ever waits: the tests above have shown its end */
    struct drive d;
    start(&d, fix);
    reopen(&d);
    for (int i = 0; i < 300 && !d.done; i++)
        turn(&d, true);
    for (int i = 0; i < 30; i++) /* what idles in may still be told */
        turn(&d, true);
    pthread_t thread;
    struct cdc_error err = {0};
    int64_t before = cdc_mono_us();
    pthread_create(&thread, NULL, wake_soon, d.src);
    struct cdc_batch *batch = cdc_pool_batch(d.pool);
    assert_true(d.src->ops->poll(d.src, batch, before + 8000000, &err) >= 0);
    assert_true(cdc_mono_us() - before < 4000000);
    cdc_batch_unref(batch);
    pthread_join(thread, NULL);
    end(&d);
}

static void test_refuses_a_damaged_position(void **state)
{
    struct drive d;
    start(&d, *state);
    reopen(&d);
    while (!d.done)
        turn(&d, true);
    shut(&d);
    struct cdc_error err = {0};
    assert_int_equal(cdc_map_put_text(&d.checkpoint, "position", cdc_slice_str("rub:bish")), 0);
    assert_int_equal(d.fix->ops->open(&d.set->config, &d.checkpoint, &d.src, &err), CDC_FAIL);
    assert_true(strlen(err.message) > 10);
    assert_true(err.action != CDC_RETRY);
    end(&d);
}

int source_contract(const struct source_fixture *fix)
{
    void *with = (void *)(uintptr_t)fix;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_change_once, with),
        cmocka_unit_test_prestate(test_resumes_after_each_commit, with),
        cmocka_unit_test_prestate(test_resumes_without_ack, with),
        cmocka_unit_test_prestate(test_resumes_now_and_then, with),
        cmocka_unit_test_prestate(test_reads_again_what_was_not_committed, with),
        cmocka_unit_test_prestate(test_closes_at_any_time, with),
        cmocka_unit_test_prestate(test_wake_ends_a_poll, with),
        cmocka_unit_test_prestate(test_refuses_a_damaged_position, with),
    };
    return _cmocka_run_group_tests(fix->name, tests, sizeof tests / sizeof *tests, NULL, NULL);
}
