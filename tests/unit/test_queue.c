/*
 * test_queue.c - lanes of the queue: filled by several threads while batches stand behind them, in
 * their place in the order, bounded, and let go of when the queue is.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cdc/clock.h"
#include "cm.h"
#include "pipeline/queue.h"

#define SOON (cdc_mono_us() + 20000)

static atomic_bool no_stop;

struct rig {
    struct cdc_pool *pool, *lanes;
    struct cdc_queue *queue;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->pool = cdc_pool_new(1 << 20, 4096);
    rig->lanes = cdc_pool_new(64 << 10, 4096);
    rig->queue = cdc_queue_new(rig->pool);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    cdc_queue_free(rig->queue);
    assert_int_equal(cdc_pool_used(rig->pool), 0);
    assert_int_equal(cdc_pool_used(rig->lanes), 0);
    cdc_pool_free(rig->pool);
    cdc_pool_free(rig->lanes);
    free(rig);
    return 0;
}

/* A batch that is known by a number. */
static struct cdc_batch *make(struct cdc_pool *pool, int64_t number, size_t bytes)
{
    struct cdc_batch *batch = cdc_pool_batch(pool);
    batch->read_us = number;
    batch->cut = CDC_CUT_END;
    assert_non_null(cdc_arena_alloc(batch->arena, bytes));
    return batch;
}

static void push(struct rig *rig, int64_t number)
{
    assert_int_equal(cdc_queue_push(rig->queue, make(rig->pool, number, 100)), CDC_OK);
}

static void push_lane(struct rig *rig, struct cdc_lane *lane, int64_t number)
{
    assert_int_equal(cdc_lane_push(lane, make(rig->lanes, number, 100), &no_stop), CDC_OK);
}

static struct cdc_lane *place(struct rig *rig)
{
    struct cdc_lane *lane = NULL;
    assert_int_equal(cdc_queue_lane(rig->queue, &lane), CDC_OK);
    return lane;
}

/* The number of the next batch, or minus the status. */
static int64_t pop(struct rig *rig)
{
    struct cdc_batch *batch;
    int rc = cdc_queue_pop(rig->queue, SOON, &batch);
    if (rc != CDC_OK)
        return -rc;
    int64_t number = batch->read_us;
    cdc_batch_unref(batch);
    return number;
}

static void test_place(void **state)
{
    struct rig *rig = *state;
    push(rig, 1);
    struct cdc_lane *lane = place(rig);
    push(rig, 5);
    push_lane(rig, lane, 2);
    assert_int_equal(pop(rig), 1);
    assert_int_equal(pop(rig), 2);
    assert_true(cdc_queue_empty(rig->queue)); /* an empty lane is in the way */
    assert_int_equal(pop(rig), -CDC_AGAIN);
    push_lane(rig, lane, 3);
    push_lane(rig, lane, 4);
    assert_false(cdc_queue_empty(rig->queue));
    cdc_lane_close(lane);
    assert_int_equal(pop(rig), 3);
    assert_int_equal(pop(rig), 4);
    assert_int_equal(pop(rig), 5);
    assert_int_equal(pop(rig), -CDC_AGAIN);
}

static void test_two_lanes(void **state)
{
    struct rig *rig = *state;
    struct cdc_lane *a = place(rig), *b = place(rig);
    push_lane(rig, b, 2);
    assert_int_equal(pop(rig), -CDC_AGAIN);
    push_lane(rig, a, 1);
    cdc_lane_close(a);
    assert_int_equal(pop(rig), 1);
    assert_int_equal(pop(rig), 2);
    cdc_lane_close(b);
    assert_true(cdc_queue_empty(rig->queue));
}

/* Neither side can take the other's room; a batch of states alone needs none. */
static void test_bounds(void **state)
{
    struct rig *rig = *state;
    struct cdc_lane *lane = place(rig);
    atomic_bool stop = false;
    int64_t n = 0;
    while (cdc_pool_used(rig->lanes) + 5000 < cdc_pool_limit(rig->lanes))
        assert_int_equal(cdc_lane_push(lane, make(rig->lanes, ++n, 3000), &stop), CDC_OK);
    assert_int_equal(cdc_lane_put(lane, make(rig->lanes, ++n, 3000)), CDC_OK);
    push(rig, ++n);
    while (cdc_pool_used(rig->lanes) > 0 && pop(rig) > 0)
        ;
    assert_int_equal(pop(rig), n - 1);
    cdc_lane_close(lane);
    assert_int_equal(pop(rig), n);
}

struct pusher {
    struct rig *rig;
    struct cdc_lane *lane;
    int64_t from, n;
    atomic_bool *stop;
    int rc;
};

static void *push_many(void *arg)
{
    struct pusher *p = arg;
    for (int64_t i = 0; i < p->n && p->rc == CDC_OK; i++)
        p->rc = cdc_lane_push(p->lane, make(p->rig->lanes, p->from + i, 3000), p->stop);
    return NULL;
}

static void test_stop(void **state)
{
    struct rig *rig = *state;
    atomic_bool stop = false;
    struct pusher p = {.rig = rig, .lane = place(rig), .n = 1000, .stop = &stop};
    pthread_t thread;
    pthread_create(&thread, NULL, push_many, &p);
    while (cdc_pool_used(rig->lanes) + 5000 < cdc_pool_limit(rig->lanes))
        sched_yield();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(p.rc, CDC_END);
    cdc_lane_close(p.lane);
}

enum ending { DRAIN, ABORT, RESET };

static void end_queue(struct rig *rig, enum ending how)
{
    if (how == DRAIN)
        cdc_queue_drain(rig->queue);
    else if (how == ABORT)
        cdc_queue_abort(rig->queue);
    else
        cdc_queue_reset(rig->queue);
}

/* Producers of a queue that is over are told, and cannot reach the next one. */
static void test_ends(void **state)
{
    struct rig *rig = *state;
    for (enum ending how = DRAIN; how <= RESET; how++) {
        cdc_queue_reset(rig->queue);
        struct cdc_lane *lane = place(rig), *late;
        push_lane(rig, lane, 1);
        push(rig, 2);
        end_queue(rig, how);
        assert_int_equal(cdc_lane_push(lane, make(rig->lanes, 9, 10), &no_stop), CDC_END);
        assert_int_equal(cdc_lane_put(lane, make(rig->lanes, 9, 10)), CDC_END);
        if (how == DRAIN) {
            assert_int_equal(pop(rig), 1);
            assert_int_equal(pop(rig), 2);
        }
        assert_int_equal(pop(rig), how == RESET ? -CDC_AGAIN : -CDC_END);
        if (how != RESET)
            assert_int_equal(cdc_queue_lane(rig->queue, &late), CDC_END);
        cdc_lane_close(lane);
    }
    cdc_queue_reset(rig->queue);
    push(rig, 3);
    assert_int_equal(pop(rig), 3);
}

/* Three threads into each of many lanes, the stream behind: all of it, lane by lane. */
static void test_threads(void **state)
{
    struct rig *rig = *state;
    for (int round = 0; round < 20; round++) {
        struct cdc_lane *lane = place(rig);
        struct pusher p[3];
        pthread_t threads[3];
        push(rig, 1000000);
        for (int i = 0; i < 3; i++) {
            p[i] = (struct pusher){
                .rig = rig, .lane = lane, .from = i * 1000, .n = 40, .stop = &no_stop};
            pthread_create(&threads[i], NULL, push_many, &p[i]);
        }
        int64_t next[3] = {0, 1000, 2000};
        for (int n = 0; n < 120;) {
            int64_t got = pop(rig);
            if (got == -CDC_AGAIN)
                continue;
            assert_true(got >= 0 && got < 3000);
            assert_int_equal(got, next[got / 1000]++);
            n++;
        }
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        cdc_lane_close(lane);
        assert_int_equal(pop(rig), 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_lanes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
