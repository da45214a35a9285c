/*
 * test_kafka_chunks.c - memory of messages in flight: what is held, when it is free, the bound.
 */
#include "kafka_kit.h"

#define MAX ((size_t)1 << 20)

/* The messages of a test, each filled with a byte of its own; checked before it is given back. */
struct flight {
    struct kfk_chunks ch;
    struct kfk_msg *msgs[20000];
    size_t lens[20000];
    size_t n;
};

static void take(struct flight *fl, size_t n)
{
    struct kfk_msg *msg = kfk_chunks_take(&fl->ch, n);
    assert_non_null(msg);
    assert_int_equal((uintptr_t)msg % 8, 0);
    memset(kfk_msg_bytes(msg), (int)(fl->n % 251), n);
    fl->msgs[fl->n] = msg;
    fl->lens[fl->n++] = n;
}

static void give(struct flight *fl, size_t i)
{
    const uint8_t *bytes = kfk_msg_bytes(fl->msgs[i]);
    for (size_t k = 0; k < fl->lens[i]; k++)
        assert_int_equal(bytes[k], i % 251);
    assert_ptr_equal(kfk_msg_of(bytes), fl->msgs[i]);
    kfk_chunks_give(&fl->ch, fl->msgs[i]->chunk);
    fl->msgs[i] = NULL;
}

static struct flight *new_flight(void)
{
    struct flight *fl = calloc(1, sizeof *fl);
    kfk_chunks_init(&fl->ch, MAX);
    return fl;
}

static void done(struct flight *fl)
{
    kfk_chunks_done(&fl->ch);
    free(fl);
}

/* Filled to the bound and no further; reported in any order; then all is as it was. */
static void test_bound(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        struct flight *fl = new_flight();
        srand(seed);
        for (int round = 0; round < 5; round++) {
            size_t first = fl->n, n = 1 + (size_t)rand() % 3000;
            while (kfk_chunks_room(&fl->ch, n) && fl->n < 19000) {
                take(fl, n);
                assert_true(kfk_chunks_used(&fl->ch) <= MAX);
                n = 1 + (size_t)rand() % 3000;
            }
            assert_true(kfk_chunks_used(&fl->ch) > MAX / 2);
            for (size_t left = fl->n - first; left > 0; left--) {
                size_t i = first + (size_t)rand() % (fl->n - first);
                while (!fl->msgs[i])
                    i = i + 1 == fl->n ? first : i + 1;
                give(fl, i);
            }
            assert_int_equal(fl->ch.msgs, 0);
            assert_true(fl->ch.held <= KFK_CHUNK_BYTES);
        }
        done(fl);
    }
}

/* One message that is not reported holds its whole chunk, and that is counted. */
static void test_a_straggler_holds_its_chunk(void **state)
{
    (void)state;
    struct flight *fl = new_flight();
    while (fl->ch.held < 2 * KFK_CHUNK_BYTES)
        take(fl, 1000);
    for (size_t i = 1; i < fl->n; i++)
        give(fl, i);
    assert_int_equal(fl->ch.msgs, 1);
    assert_int_equal(fl->ch.held, 2 * KFK_CHUNK_BYTES);
    give(fl, 0);
    assert_int_equal(fl->ch.held, KFK_CHUNK_BYTES);
    done(fl);
}

/* Larger than a chunk, and larger than the bound: alone it has room, behind others it has not. */
static void test_large(void **state)
{
    (void)state;
    struct flight *fl = new_flight();
    assert_true(kfk_chunks_room(&fl->ch, 3 * MAX));
    take(fl, 3 * MAX);
    assert_false(kfk_chunks_room(&fl->ch, 1));
    give(fl, 0);
    assert_int_equal(kfk_chunks_used(&fl->ch), 0);
    take(fl, 10);
    assert_false(kfk_chunks_room(&fl->ch, 3 * MAX));
    take(fl, KFK_CHUNK_BYTES);
    take(fl, 10); /* the open chunk is still the open one */
    assert_ptr_equal(fl->msgs[1]->chunk, fl->msgs[3]->chunk);
    assert_ptr_not_equal(fl->msgs[1]->chunk, fl->msgs[2]->chunk);
    for (size_t i = 1; i < fl->n; i++)
        give(fl, i);
    done(fl);
}

/* An instance that ends with messages in flight: nothing is lost of the memory. */
static void test_done_with_messages(void **state)
{
    (void)state;
    struct flight *fl = new_flight();
    for (int i = 0; i < 1000; i++)
        take(fl, (size_t)(i % 7) * 200);
    take(fl, MAX);
    done(fl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_a_straggler_holds_its_chunk),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_done_with_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
