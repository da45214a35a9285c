/*
 * fuzz_kafka_control.c - any bytes as a record of the control topic, and as what may stand in one.
 * What parses is made again and must parse to the same. Corpus: tests/data/kafka_control.
 */
#include <stdlib.h>

#include "../../connectors/kafka/kafka.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_values(struct cdc_slice v)
{
    struct kfk_end end, end_again;
    struct kfk_owner owner, owner_again;
    struct kfk_topic_state topic, topic_again;
    struct cdc_buf buf = CDC_BUF(1 << 24);
    if (kfk_end_parse(v, &end, NULL) == CDC_OK) {
        kfk_end_make(&end, &buf);
        must(kfk_end_parse(cdc_buf_slice(&buf), &end_again, NULL) == CDC_OK);
        must(strcmp(end.seq, end_again.seq) == 0 && end.rows == end_again.rows);
    }
    cdc_buf_reset(&buf);
    if (kfk_owner_parse(v, &owner, NULL) == CDC_OK) {
        kfk_owner_make(&owner, &buf);
        must(kfk_owner_parse(cdc_buf_slice(&buf), &owner_again, NULL) == CDC_OK);
        must(owner.pid == owner_again.pid && owner.at_us == owner_again.at_us);
    }
    cdc_buf_reset(&buf);
    if (kfk_topic_state_parse(v, &topic, NULL) == CDC_OK) {
        must(kfk_topic_state_make(&topic, &buf) == CDC_OK);
        must(kfk_topic_state_parse(cdc_buf_slice(&buf), &topic_again, NULL) == CDC_OK);
        must(topic.partitions == topic_again.partitions && topic.n_tables == topic_again.n_tables);
        kfk_topic_state_done(&topic_again);
        kfk_topic_state_done(&topic);
    }
    cdc_buf_done(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct kfk_record rec, again;
    struct cdc_buf buf = CDC_BUF(1 << 24);
    try_values(cdc_slice_of(p, n));
    if (kfk_record_parse(cdc_slice_str("key"), cdc_slice_of(p, n), &rec, NULL) == CDC_OK &&
        rec.v.p) {
        try_values(rec.v);
        kfk_record_make(rec.instance, rec.txn, rec.v, &buf);
        must(kfk_record_parse(cdc_slice_str("key"), cdc_buf_slice(&buf), &again, NULL) == CDC_OK);
        must(cdc_slice_eq(rec.v, again.v) && rec.txn == again.txn);
    }
    cdc_buf_done(&buf);
    return 0;
}
