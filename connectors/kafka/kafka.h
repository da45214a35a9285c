/*
 * kafka.h - what the files of the Kafka sink share (README.md has the protocol).
 *
 * A transaction of Kafka holds records of tables, records of the checkpoint, and last kafka/end.
 * `struct kfk_producer` is one instance of librdkafka's producer with everything that belongs to
 * it: the memory of its messages, what its reports said. Any doubt ends it (kfk_producer_drop), and
 * recover makes a new one; no report of an old one can reach the new.
 *
 * Threads: the sink's calls come from one thread at a time, and so do all callbacks but the log's,
 * which librdkafka calls from its own threads. `woken` may be set by any thread.
 */
#ifndef KAFKA_H
#define KAFKA_H

#include "cdc/clock.h"
#include "cdc/plan.h"
#include "cdc/sink.h"
#include "control.h"
#include "reader.h"

/* ---- conf.c: what the options say, and configurations of librdkafka out of it ---- */

enum kfk_oversized { KFK_OVERSIZED_FAIL, KFK_OVERSIZED_DROP, KFK_OVERSIZED_PLACEHOLDER };

struct kfk_settings {
    const char *brokers, *name; /* name: of the pipeline, the transactional id */
    const char *template;       /* of topic names */
    int32_t partitions;
    int replication; /* -1: the broker's default */
    bool by_key_fields;
    enum kfk_oversized oversized;
    bool lost_continue; /* on_lost_topic: continue */
    const char *compression;
    int64_t transaction_bytes, transaction_timeout_us;
    struct cdc_commit_policy policy; /* buffer_bytes: queue_bytes */
    const struct cdc_pair *properties, *topic_config;
    size_t n_properties, n_topic_config;
    int64_t batch_bytes;          /* bound of a batch of messages; 0: librdkafka's or the user's */
    int describe_ms;              /* how long to wait for a topic's configuration; 0: do not ask */
    const struct cdc_config *cfg; /* capture rules; where options stand */
};

/* CDC_CONFIG: an option that cannot be. */
CDC_CHECK int kfk_settings_read(const struct cdc_config *cfg, struct kfk_settings *ret,
                                struct cdc_error *err);

enum kfk_role { KFK_PRODUCER, KFK_READER_COMMITTED, KFK_READER_ALL };
/*
 * Why a property may not be set by the user, or NULL. Names are compared as librdkafka does.
 */
const char *kfk_property_refused(const char *name);
/* CDC_CONFIG: librdkafka does not take a property; its value is never shown. */
CDC_CHECK int kfk_conf_new(const struct kfk_settings *set, enum kfk_role role,
                           rd_kafka_conf_t **ret, struct cdc_error *err);
/* Does anything say SCRAM while librdkafka is too old for it (before 2.6.1)? */
bool kfk_scram_broken(const struct kfk_settings *set, int version);

/* ---- names.c, murmur2.c: names and partitions ---- */

CDC_CHECK int kfk_template_check(const struct kfk_settings *set, struct cdc_error *err);
void kfk_control_name(const struct kfk_settings *set, struct cdc_buf *ret);
/* The template filled in, before odd bytes are replaced. */
void kfk_topic_raw(const struct kfk_settings *set, const char *schema, const char *table,
                   struct cdc_buf *ret);
/* Topic of a table: its rule's `topic`, or the template. CDC_CONFIG: no such name can be. */
CDC_CHECK int kfk_topic_name(const struct kfk_settings *set, const struct cdc_rule *rule,
                             const char *schema, const char *table, struct cdc_buf *ret,
                             struct cdc_error *err);

uint32_t kfk_murmur2(struct cdc_slice bytes); /* Java's Utils.murmur2 */
int32_t kfk_partition(struct cdc_slice bytes, int32_t partitions);

/* ---- errors.c: the one table from a code to what is done about it ---- */

enum kfk_act {
    KFK_REWIND, /* new producer, replay */
    KFK_RETRY,  /* the world may mend */
    KFK_FENCED, /* ours timed out, or another instance: recover finds out */
    KFK_LOGIN,  /* credentials, TLS: for a person, if it never worked */
    KFK_RECORD, /* the broker does not take a record: its size */
    KFK_TOPIC,  /* a topic is gone: recover looks which */
    KFK_STOP,   /* for a person */
};
struct kfk_verdict {
    rd_kafka_resp_err_t code;
    enum kfk_act act;
    const char *remedy; /* "" none */
};
/* Never NULL: what is not in the table is KFK_REWIND. */
const struct kfk_verdict *kfk_judge(rd_kafka_resp_err_t code);
/* What the engine does; `known`: this process was connected before. */
enum cdc_action kfk_action(enum kfk_act act, bool known);

struct kfk_failure {
    rd_kafka_resp_err_t code;
    const char *where, *what, *brokers;
    const struct kfk_event *event; /* or NULL */
    bool known;
};
/* Makes the error out of the table. CDC_FAIL. */
int kfk_fail(const struct kfk_failure *failure, struct cdc_error *err);

/* reader.c: for an error_cb. */
void kfk_event_note(struct kfk_event *event, rd_kafka_t *rk, int code, const char *reason);

/* ---- chunks.c: memory of messages in flight ---- */

#define KFK_CHUNK_BYTES ((size_t)256 << 10)
#define KFK_MSG_COST    256 /* what librdkafka keeps per message beside its bytes, rounded up */

struct kfk_chunk {
    struct kfk_chunk *next, *prev;
    size_t cap, used;
    size_t msgs; /* not reported yet */
    uint8_t bytes[];
};

struct kfk_topic;

/* Stands before each message's bytes. Touched again only when its report says that it failed. */
struct kfk_msg {
    struct kfk_chunk *chunk;   /* the message's opaque */
    char seq[CDC_SEQ_LEN + 2]; /* not terminated */
    /* value, then key */
};

struct kfk_chunks {
    struct kfk_chunk *open; /* being filled */
    struct kfk_chunk *busy; /* all others that hold messages */
    struct kfk_chunk *idle; /* for reuse */
    size_t held;            /* bytes of open and busy chunks */
    size_t msgs;            /* not reported yet */
    size_t max;             /* held + msgs * KFK_MSG_COST stays within it */
};

void kfk_chunks_init(struct kfk_chunks *ch, size_t max);
void kfk_chunks_done(struct kfk_chunks *ch); /* also with messages in them: librdkafka is gone */
/* Is there room for a message of n bytes? One that fits nowhere has room when nothing is held. */
bool kfk_chunks_room(const struct kfk_chunks *ch, size_t n);
/* Memory of a message with n bytes of value and key, counted. NULL: no memory. */
struct kfk_msg *kfk_chunks_take(struct kfk_chunks *ch, size_t n);
/* A message of the chunk was reported (or never handed over): its memory is free. */
void kfk_chunks_give(struct kfk_chunks *ch, struct kfk_chunk *chunk);
size_t kfk_chunks_used(const struct kfk_chunks *ch); /* as bounded by max */

static inline uint8_t *kfk_msg_bytes(struct kfk_msg *msg)
{
    return (uint8_t *)(msg + 1);
}
/* The way back, from what a report lends: the value, or of a tombstone the key. */
static inline const struct kfk_msg *kfk_msg_of(const void *bytes)
{
    return (const struct kfk_msg *)bytes - 1;
}

/* ---- topics.c, admin.c ---- */

/*
 * A batch that was sent twice may be told as taken with no offset, -1: librdkafka numbers its
 * messages from there on, -1, 0, 1. These say nothing of where they lie.
 */
struct kfk_blind {
    bool on;
    int32_t partition;
    int64_t next;
};

struct kfk_topic {
    char name[KFK_TOPIC_MAX + 1];
    struct kfk_topic_state state; /* partitions, tables, ends */
    rd_kafka_topic_t *rkt;        /* of the current producer; NULL: not bound to it */
    size_t max_bytes;             /* max.message.bytes */
    bool described;               /* ... and cleanup.policy are known */
    bool compact;
    bool made;    /* it is in the control topic: it must exist */
    bool wanted;  /* a table that is captured goes there */
    bool gone;    /* lost and not wanted: its key is to be deleted */
    bool unsaved; /* tables or partitions are not there as they are here */
    bool dirty;   /* nor are the ends */
    bool lost;    /* an offset went back: made again, or records lost */
    struct kfk_blind blind;
    uint32_t waiting; /* records handed over and not reported */
    int32_t spread;   /* partition of the current run of records without key */
    uint32_t run;     /* records of that run so far */
};

/* Where a table's records go. Holds a reference: the pointer is the key. */
struct kfk_route {
    struct cdc_table *tab; /* NULL: an empty place */
    struct kfk_topic *topic;
    struct cdc_plan *plan;
    uint32_t value_id, key_id;
    bool keyed, hard;
};

#define KFK_SIZE_VARIES 16 /* of one record made twice: its __synced_at */

/* A record that the broker refused for its size: met by policy when it comes again. */
struct kfk_refused {
    const struct kfk_topic *topic;
    char seq[CDC_SEQ_LEN + 1];
    size_t bytes; /* key and value */
    uint32_t key; /* murmur2 of the key; 0: none */
    bool met;     /* it came again, in this transaction */
};

/* ---- producer.c, refused.c ---- */

/* What made the transaction impossible: the first report or call that failed. */
struct kfk_trouble {
    rd_kafka_resp_err_t code; /* 0: none */
    char text[256];
    struct kfk_topic *topic; /* or NULL */
    bool control;            /* it is the control topic */
    char seq[CDC_SEQ_LEN + 1];
    size_t bytes; /* largest refused message */
    uint32_t key; /* ... and its key, as in kfk_refused */
    uint32_t refused;
};

struct kfk_producer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *control;
    struct kfk_chunks chunks;
    struct kfk_event event;
    struct kfk_trouble trouble;
    size_t message_max;      /* message.max.bytes as in force */
    int64_t batch_max;       /* batch.size as in force */
    int64_t begun_us;        /* of the open transaction */
    int64_t control_end;     /* no record of the control topic can come below it */
    uint64_t reports, heard; /* how many came; as of quiet_us */
    int64_t quiet_us;        /* since when none came, or when kfk_topics_look was asked */
    bool open;               /* a transaction is */
    bool disturbed;          /* a connection failed during it */
    struct kfk_blind blind;  /* of the control topic */
};

#define KFK_BATCH_MIN INT64_C(16384)

struct kafka {
    struct cdc_sink base;
    struct kfk_settings set;
    char control[KFK_TOPIC_MAX + 1];
    char instance[KFK_INSTANCE_LEN + 1];
    atomic_bool woken;
    bool ready;  /* recovered, and nothing failed since */
    bool known;  /* this process was connected once */
    bool fenced; /* what failed last was a fence */
    bool read;   /* the control topic was, once: `owner` says who was there */
    struct kfk_producer *prod;

    uint64_t txn;              /* of the last committed transaction */
    struct kfk_end end;        /* as committed last */
    char seq[CDC_SEQ_LEN + 1]; /* highest so far, the open transaction included */
    uint64_t rows, bytes;      /* of the open transaction: records of tables; all bytes */
    struct cdc_buf owner;      /* `v` of the owner record that was there last, as far as known */
    int64_t saved_us;          /* when topics' ends were written */
    int64_t behind_us;         /* since when the control topic lacks what we committed; 0: never */

    struct kfk_topic **topics;
    size_t n_topics, looked;  /* looked: the last one that kfk_topics_look came to */
    struct kfk_route *routes; /* a hash table by tab; cap_routes a power of 2, at most half full */
    size_t n_routes, cap_routes;
    const struct kfk_route *last; /* of routes: the last looked up */
    struct kfk_refused *refused;  /* not committed yet */
    size_t n_refused;
    uint64_t dropped; /* oversized records, since the last warning */
    int64_t warned_us;
    struct cdc_buf key, value; /* scratch */
};

/* A new instance, not initialized. CDC_CONFIG: librdkafka refuses the properties. */
CDC_CHECK int kfk_producer_new(struct kafka *kf, struct cdc_error *err);
/* Fences, and waits until every earlier transaction of the pipeline is decided. */
CDC_CHECK int kfk_producer_init(struct kafka *kf, struct cdc_error *err);
/* Ends the instance: its open transaction is aborted, its messages and their memory are gone. */
void kfk_producer_drop(struct kafka *kf);
/* Opens a transaction if none is. */
CDC_CHECK int kfk_producer_begin(struct kafka *kf, struct cdc_error *err);

/* One message. value.p == NULL: a tombstone; key.p == NULL: none. */
struct kfk_out {
    struct kfk_topic *topic; /* NULL: the control topic */
    int32_t partition;
    struct cdc_slice key, value;
    const char *seq; /* CDC_SEQ_LEN bytes, or NULL */
};
/* Copies and hands over; waits for room. CDC_FAIL: the transaction cannot be committed. */
CDC_CHECK int kfk_producer_send(struct kafka *kf, const struct kfk_out *out, struct cdc_error *err);
/* Serves reports; CDC_FAIL if one of them, or a call before, failed. */
CDC_CHECK int kfk_producer_serve(struct kafka *kf, struct cdc_error *err);
/* Flushes and commits the open transaction: CDC_OK is durable and visible. */
CDC_CHECK int kfk_producer_commit(struct kafka *kf, struct cdc_error *err);
/* The error of a failure of the current instance; the instance is not used again. CDC_FAIL. */
int kfk_producer_fail(struct kafka *kf, rd_kafka_resp_err_t code, const char *where,
                      const char *what, struct cdc_error *err);

void kfk_refused_learn(struct kafka *kf, const struct kfk_trouble *trouble);
/* The smallest size at which this record was refused, in this form or shrunk; SIZE_MAX: never. */
size_t kfk_refused_at(struct kafka *kf, const struct kfk_refused *rec);
void kfk_refused_rewind(struct kafka *kf);    /* all that was not committed comes again */
void kfk_refused_committed(struct kafka *kf); /* up to kf->seq */

/* ---- commit.c ---- */

/* A checkpoint record into the open transaction; v.p == NULL deletes the key. */
CDC_CHECK int kfk_put_key(struct kafka *kf, struct cdc_slice key, struct cdc_slice v,
                          struct cdc_error *err);
/* Topics (all that changed, or those that are due), kafka/end, and the commit. */
CDC_CHECK int kfk_finish(struct kafka *kf, bool all_topics, struct cdc_error *err);
/* At close: the topics' ends, if all went well. */
void kfk_farewell(struct kafka *kf);
int kfk_commit(struct cdc_sink *snk, const struct cdc_map *delta, enum cdc_commit_what what,
               struct cdc_error *err);

/* ---- topics.c ---- */

struct kfk_topic *kfk_topic_find(const struct kafka *kf, const char *name);
/* The topic, made known if it was not. NULL: no memory. */
struct kfk_topic *kfk_topic_add(struct kafka *kf, const char *name);
bool kfk_topic_unbound(const struct kfk_topic *topic); /* in use, and not yet the producer's */
void kfk_topics_unbind(struct kafka *kf);              /* before the producer goes */
void kfk_topics_done(struct kafka *kf);
/* Does the report of a message say where it lies? Asked for each of them, in their order. */
bool kfk_offset_known(struct kfk_blind *blind, int32_t partition, int64_t offset);
/* A report named an offset of it. false: offsets went back, the topic is another one. */
bool kfk_topic_delivered(struct kfk_topic *topic, int32_t partition, int64_t offset);
/* A record kafka/topic/<topic>: what is known already is not forgotten. */
CDC_CHECK int kfk_topic_load(struct kafka *kf, const struct kfk_record *rec, struct cdc_error *err);
/*
 * After the fence: do all topics of the control topic exist, and reach the ends they had? Adopts
 * raised partition counts. CDC_OPERATOR: one is lost, and `on_lost_topic` says refuse.
 */
CDC_CHECK int kfk_topics_verify(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err);
/* As kfk_reader_partitions, but CDC_END only when brokers said so for a while. */
CDC_CHECK int kfk_topics_count(struct kafka *kf, struct kfk_reader *rd, const char *topic,
                               int32_t *ret, struct cdc_error *err);
/*
 * Does what records wait for still exist? 0: yes, or nobody answered. Else what is wrong, and of
 * which topic (NULL: the control topic). May be wrong where a broker does not know yet: a reason
 * for a rewind, no more.
 */
rd_kafka_resp_err_t kfk_topics_look(struct kafka *kf, struct kfk_topic **ret);
/*
 * Makes every known topic usable by the current producer: made if it never was, described, its
 * leaders known. CDC_REWIND: one takes smaller batches than the producer makes.
 */
CDC_CHECK int kfk_topics_bind(struct kafka *kf, struct kfk_reader *rd, struct cdc_error *err);

/* ---- routes.c ---- */

/* Makes the routes of these tables, and their topics. Before anything of them is sent. */
CDC_CHECK int kfk_routes_prepare(struct kafka *kf, struct cdc_table *const *tabs, size_t n,
                                 struct cdc_error *err);
/* Of a prepared table; never NULL. Lives until the next prepare. */
const struct kfk_route *kfk_route_of(struct kafka *kf, const struct cdc_table *tab);
void kfk_routes_drop(struct kafka *kf);
/* As cdc_sink_ops.stream; CDC_CONFIG too where two tables meet in a name by replaced bytes. */
int kfk_stream(const struct cdc_sink *snk, const struct cdc_table *tab, struct cdc_buf *ret,
               struct cdc_error *err);

/* ---- admin.c ---- */

/* A topic as it is to be made. */
struct kfk_wish {
    const char *name;
    int32_t partitions;
    int replication;
    const struct cdc_pair *config;
    size_t n_config;
    bool dry; /* only ask whether it could be made */
};
/* Makes it and waits until it is known everywhere. CDC_OK also if it is there already. */
CDC_CHECK int kfk_admin_create(struct kfk_reader *rd, const struct kfk_wish *wish,
                               struct cdc_error *err);
/* What of a topic's configuration matters. */
struct kfk_described {
    bool known;                 /* false: not allowed to ask, not answered */
    size_t max_bytes;           /* max.message.bytes */
    bool compact, only_compact; /* cleanup.policy has compact; has nothing else */
};
void kfk_admin_describe(struct kfk_reader *rd, const char *const *topics, size_t n,
                        struct kfk_described *ret);
/* A number of a broker's configuration. false as above. */
bool kfk_admin_broker_number(struct kfk_reader *rd, int32_t broker, const char *name, int64_t *ret);

/* ---- write.c, recover.c, check.c, kafka.c, feed.c ---- */

int kfk_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err);
int kfk_recover(struct cdc_sink *snk, struct cdc_map *ret, struct cdc_error *err);
int kfk_check(const struct cdc_config *cfg, struct cdc_report *report, struct cdc_error *err);
extern const struct cdc_sink_ops cdc_sink_kafka;
extern const struct cdc_feed_ops kafka_feed;

#endif
