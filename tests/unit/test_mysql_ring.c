/*
 * test_mysql_ring.c - the ring between the log's reader and the source: with a thread that makes
 * packets of all sizes, none is lost, doubled, swapped or damaged; and every way to wait ends.
 */
#include "cm.h"

#include "../../connectors/mysql/ring.h"

#include "cdc/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4096
#define LONG 10000000 /* a deadline that is never met */

static int64_t in_us(int64_t us)
{
    return cdc_mono_us() + us;
}

/* The packet of that number: its length and bytes follow from it. */
struct feed {
    struct mys_ring *ring;
    uint64_t n;        /* packets */
    size_t small, big; /* lengths up to; each 97th is a big one */
    unsigned pause;    /* every so many packets a millisecond; 0: none */
    int rc;            /* of the last put */
    uint64_t put;
};

static size_t length_of(const struct feed *feed, uint64_t i)
{
    uint64_t mix = i * UINT64_C(0x9E3779B97F4A7C15) >> 20;
    return i % 97 == 96 ? mix % feed->big : mix % feed->small;
}

static void *feed_main(void *arg)
{
    struct feed *feed = arg;
    uint8_t *bytes = malloc(feed->big + 1);
    for (uint64_t i = 0; i < feed->n; i++) {
        size_t len = length_of(feed, i);
        memset(bytes, (int)(i & 0xFF), len);
        feed->rc = mys_ring_put(feed->ring, cdc_slice_of(bytes, len));
        if (feed->rc != CDC_OK)
            break;
        feed->put++;
        memset(bytes, 0xEE, len); /* it may not be looked at any more */
        if (feed->pause && i % feed->pause == 0)
            usleep(1000);
    }
    mys_ring_finish(feed->ring);
    free(bytes);
    return NULL;
}

static void check_packet(const struct feed *feed, uint64_t i, struct cdc_slice got)
{
    assert_int_equal(got.len, length_of(feed, i));
    for (size_t at = 0; at < got.len; at++)
        if (got.p[at] != (uint8_t)i)
            fail_msg("packet %llu differs at %zu", (unsigned long long)i, at);
}

static const struct row {
    const char *name;
    struct feed feed;
    unsigned slow; /* the taker pauses every so many packets; 0: never */
} rows[] = {
    {"small", {.n = 200000, .small = 60, .big = 100}, 0},
    {"small, slow taker", {.n = 5000, .small = 60, .big = 100}, 50},
    {"small, slow putter", {.n = 2000, .small = 60, .big = 100, .pause = 20}, 0},
    {"around the border", {.n = 50000, .small = SIZE / 8 + 20, .big = SIZE / 8 + 20}, 0},
    {"large ones", {.n = 20000, .small = 200, .big = 10 * SIZE}, 0},
    {"large ones, slow taker", {.n = 3000, .small = 200, .big = 10 * SIZE}, 30},
    {"all large", {.n = 5000, .small = 3 * SIZE, .big = 10 * SIZE}, 0},
    {"empty ones", {.n = 50000, .small = 2, .big = 2}, 0},
};

static void test_order(void **state)
{
    const struct row *row = *state;
    struct feed feed = row->feed;
    pthread_t thread;
    struct cdc_slice got;
    int rc;
    uint64_t n = 0;
    feed.ring = mys_ring_new(SIZE);
    assert_int_equal(pthread_create(&thread, NULL, feed_main, &feed), 0);
    while ((rc = mys_ring_take(feed.ring, in_us(LONG), &got)) == CDC_OK) {
        check_packet(&feed, n++, got);
        if (row->slow && n % row->slow == 0)
            usleep(1000);
    }
    assert_int_equal(rc, CDC_END);
    assert_int_equal(mys_ring_take(feed.ring, in_us(LONG), &got), CDC_END); /* and stays so */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(n, feed.n);
    mys_ring_free(feed.ring);
}

/* The deadline; and one that is over already takes what is there. */
static void test_deadline(void **state)
{
    (void)state;
    struct mys_ring *ring = mys_ring_new(SIZE);
    struct cdc_slice got;
    int64_t before = cdc_mono_us();
    assert_true(mys_ring_dry(ring));
    assert_int_equal(mys_ring_take(ring, before + 20000, &got), CDC_AGAIN);
    assert_true(cdc_mono_us() >= before + 20000);
    assert_int_equal(mys_ring_take(ring, 0, &got), CDC_AGAIN);
    assert_int_equal(mys_ring_put(ring, cdc_slice_str("abc")), CDC_OK);
    assert_false(mys_ring_dry(ring));
    assert_int_equal(mys_ring_take(ring, 0, &got), CDC_OK);
    assert_memory_equal(got.p, "abc", 3);
    assert_true(mys_ring_dry(ring));
    mys_ring_finish(ring);
    assert_false(mys_ring_dry(ring));
    assert_int_equal(mys_ring_take(ring, 0, &got), CDC_END);
    mys_ring_free(ring);
}

static void *wake_main(void *arg)
{
    usleep(20000);
    mys_ring_wake(arg);
    return NULL;
}

/* A wake ends the wait that is on, or the next one, once; never a packet that is there. */
static void test_wake(void **state)
{
    (void)state;
    struct mys_ring *ring = mys_ring_new(SIZE);
    struct cdc_slice got;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_main, ring), 0);
    int64_t before = cdc_mono_us();
    assert_int_equal(mys_ring_take(ring, before + LONG, &got), CDC_AGAIN);
    assert_true(cdc_mono_us() < before + LONG / 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mys_ring_wake(ring);
    assert_int_equal(mys_ring_put(ring, cdc_slice_str("a")), CDC_OK);
    assert_int_equal(mys_ring_take(ring, before + LONG, &got), CDC_OK);
    assert_int_equal(mys_ring_take(ring, before + LONG, &got), CDC_AGAIN);
    assert_true(cdc_mono_us() < before + LONG / 2);
    before = cdc_mono_us();
    assert_int_equal(mys_ring_take(ring, before + 20000, &got), CDC_AGAIN);
    assert_true(cdc_mono_us() >= before + 20000);
    mys_ring_free(ring);
}

/* Who puts into a full ring, or lends, ends when it is stopped, and so does all after it. */
static void test_stop(void **state)
{
    (void)state;
    static const size_t lengths[] = {100, 10 * SIZE};
    for (size_t i = 0; i < 2; i++) {
        struct feed feed = {.ring = mys_ring_new(SIZE), .n = 1000};
        feed.small = feed.big = lengths[i];
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, feed_main, &feed), 0);
        usleep(20000);
        mys_ring_stop(feed.ring);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(feed.rc, CDC_END);
        assert_true(feed.put < feed.n);
        assert_int_equal(mys_ring_put(feed.ring, cdc_slice_str("a")), CDC_END);
        mys_ring_free(feed.ring);
    }
}

int main(void)
{
    static struct CMUnitTest tests[sizeof rows / sizeof rows[0] + 3];
    size_t n = 0;
    for (; n < sizeof rows / sizeof rows[0]; n++)
        tests[n] = (struct CMUnitTest){rows[n].name, test_order, NULL, NULL, (void *)&rows[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_deadline);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_wake);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_stop);
    return _cmocka_run_group_tests("mysql_ring", tests, n, NULL, NULL);
}
