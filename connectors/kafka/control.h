/*
 * control.h - the control topic `_sidestream.<name>`: the checkpoint as records, written and read.
 *
 * One partition, compacted. A record's key is the checkpoint's key, its value
 * {"instance":"<16 hex>","txn":<n>,"v":<JSON value>}; a tombstone deletes the key. txn numbers the
 * committed transactions of the pipeline from 1. Keys of the sink's own, which the engine never
 * sees: `owner`, `kafka/end`, `kafka/topic/<topic>` (README.md says what is in them).
 *
 * Used by the sink (recover.c, producer.c) and the feed. Ownership: parsed records borrow the bytes
 * they were parsed from. Threads: none.
 */
#ifndef KAFKA_CONTROL_H
#define KAFKA_CONTROL_H

#include "cdc/change.h"
#include "cdc/map.h"

#define KFK_CONTROL_PREFIX "_sidestream."
#define KFK_OWNER          "owner"
#define KFK_END            "kafka/end"
#define KFK_TOPIC_KEY      "kafka/topic/" /* and the topic's name */
#define KFK_INSTANCE_LEN   16
#define KFK_TOPIC_MAX      249 /* Kafka's own limit of a topic's name */
#define KFK_PARTITIONS_MAX 100000

struct kfk_record {
    struct cdc_slice key;
    char instance[KFK_INSTANCE_LEN + 1]; /* "" in a tombstone */
    uint64_t txn;                        /* 0 in a tombstone */
    struct cdc_slice v;                  /* JSON text exactly as written; p == NULL: deleted */
    int64_t offset;                      /* in the control topic; -1: not from there */
};

/* Appends a record's value. `v` is a JSON text. */
void kfk_record_make(const char *instance, uint64_t txn, struct cdc_slice v, struct cdc_buf *ret);
/* value.p == NULL: a tombstone. CDC_FAIL (CDC_FATAL): no such record; *ret untouched. */
CDC_CHECK int kfk_record_parse(struct cdc_slice key, struct cdc_slice value, struct kfk_record *ret,
                               struct cdc_error *err);
/* Is it a key that the engine's map does not have? */
bool kfk_key_own(struct cdc_slice key);

/* `v` of kafka/end: the last record of every transaction. */
struct kfk_end {
    char seq[CDC_SEQ_LEN + 1]; /* highest __seq written so far; "" none yet */
    int64_t at_us;
    uint64_t rows; /* records of this transaction */
};
void kfk_end_make(const struct kfk_end *end, struct cdc_buf *ret);
CDC_CHECK int kfk_end_parse(struct cdc_slice v, struct kfk_end *ret, struct cdc_error *err);

/* `v` of owner: who wrote last. */
struct kfk_owner {
    char instance[KFK_INSTANCE_LEN + 1];
    char host[256];
    int64_t pid, at_us;
};
void kfk_owner_make(const struct kfk_owner *owner, struct cdc_buf *ret);
CDC_CHECK int kfk_owner_parse(struct cdc_slice v, struct kfk_owner *ret, struct cdc_error *err);

/* `v` of kafka/topic/<topic>. */
struct kfk_topic_state {
    char **tables; /* n_tables of "schema.table" */
    size_t n_tables;
    int32_t partitions;
    int64_t *ends; /* per partition: the next offset, as far as it was known */
};
CDC_CHECK int kfk_topic_state_make(const struct kfk_topic_state *state, struct cdc_buf *ret);
/* Free *ret with kfk_topic_state_done. */
CDC_CHECK int kfk_topic_state_parse(struct cdc_slice v, struct kfk_topic_state *ret,
                                    struct cdc_error *err);
void kfk_topic_state_done(struct kfk_topic_state *state);

/* Reading the topic: reader.h. */

#endif
