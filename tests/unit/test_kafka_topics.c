/*
 * test_kafka_topics.c - what the offsets in delivery reports say of a topic.
 */
#include "kafka_kit.h"

/* A batch whose offsets are not known is counted from -1: no word of a topic made again. */
static const struct blind_row {
    const char *name;
    int n;
    int64_t told[8]; /* of partition 1; its end was 10 */
    bool ok;
    int64_t end;
} blind_rows[] = {
    {"offsets: one behind another", 3, {10, 11, 12}, true, 13},
    {"offsets: markers between them", 3, {10, 12, 15}, true, 16},
    {"offsets: not known", 8, {10, 11, -1, 0, 1, 2, 14, 15}, true, 16},
    {"offsets: not known, twice", 7, {10, -1, 0, -1, 0, 1, 14}, true, 15},
    {"offsets: librdkafka's own word for it", 4, {10, -1001, -1000, 13}, true, 14},
    {"offsets: from the beginning", 1, {0}, false, 10},
    {"offsets: back, and known", 2, {10, 9}, false, 11},
    {"offsets: back behind some that are not known", 4, {10, -1, 0, 5}, false, 11},
};

static void test_offsets(void **state)
{
    const struct blind_row *row = *state;
    int64_t ends[2] = {0, 10};
    struct kfk_topic topic = {.state = {.partitions = 2, .ends = ends}};
    bool ok = true;
    for (int i = 0; i < row->n; i++)
        ok = kfk_topic_delivered(&topic, 1, row->told[i]);
    assert_int_equal(ok, row->ok);
    assert_int_equal(topic.lost, !row->ok);
    assert_int_equal(ends[1], row->end);
}

int main(void)
{
    struct CMUnitTest tests[16], *to = tests;
    to = CM_ROWS(to, test_offsets, blind_rows);
    return _cmocka_run_group_tests("kafka topics", tests, (size_t)(to - tests), NULL, NULL);
}
