/*
 * feed.h - what the files that read topics back share (cdc/feed.h; docs/formats.md, "Reading it
 * back").
 *
 *   feed.c        commits: the control topic, which partitions, up to where
 *   feed_wait.c   when a commit can be given
 *   feed_token.c  where a reader stands, as text
 *   feed_read.c   partitions of librdkafka as the lanes of a merge
 *   feed_rows.c   a record's bytes -> a row, by the schemas in the checkpoint
 *   merge.c       the order
 *   fsck.c        everything read once and checked
 *
 * Threads: one at a time; librdkafka's own never call into these.
 */
#ifndef KAFKA_FEED_H
#define KAFKA_FEED_H

#include "kafka.h"
#include "merge.h"

/* A record as it lies in its topic; borrowed. */
struct kfk_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct cdc_slice key, value; /* p == NULL: null */
};

/* ---- feed_rows.c ---- */

#define KFK_HEADER 5 /* 0x00 and the schema's id: Confluent's framing */

/* One schema of the checkpoint, parsed. */
struct kfk_schema {
    uint32_t id;
    bool key; /* of a key: no meta columns */
    struct cdc_row_schema *schema;
    char *table; /* schema.name */
    enum cdc_deletes deletes;
};

struct kfk_schemas {
    const struct cdc_map *map;    /* the checkpoint */
    const struct cdc_map *newer;  /* looked at first: what will become of it; may be NULL */
    const struct cdc_config *cfg; /* its rules say how deletes are meant */
    struct kfk_schema **items;    /* sorted by id; each stays where it is */
    size_t n, cap;
};

void kfk_schemas_done(struct kfk_schemas *schemas);
/* The id at the front of a framed key or value. CDC_FATAL: not framed. */
CDC_CHECK int kfk_schema_id(struct cdc_slice framed, uint32_t *ret, struct cdc_error *err);
/* CDC_FATAL: the checkpoint has no such schema, or it is not of the `row` envelope. */
CDC_CHECK int kfk_schemas_get(struct kfk_schemas *schemas, uint32_t id,
                              const struct kfk_schema **ret, struct cdc_error *err);

/* Memory of one decoded row or key, used again for the next. */
struct kfk_slot {
    struct cdc_arena *arena;
    struct cdc_value *values;
    size_t cap;
    const struct kfk_schema *schema; /* of the row */
};

void kfk_slot_done(struct kfk_slot *slot);
/* A framed key or value into slot->values, as slot->schema says. CDC_FATAL: damage. */
CDC_CHECK int kfk_slot_read(struct kfk_schemas *schemas, struct kfk_slot *slot,
                            struct cdc_slice framed, struct cdc_error *err);
/* CDC_FATAL: damage, with the record's place. *ret borrows slot and message. */
CDC_CHECK int kfk_row_decode(struct kfk_schemas *schemas, struct kfk_slot *slot,
                             const struct kfk_message *msg, struct kfk_item *ret,
                             struct cdc_error *err);
/* "topic[3] at offset 17", as errors name a record. */
void kfk_place(const struct kfk_message *msg, char *ret, size_t cap);

/* ---- feed_read.c ---- */

#define KFK_TAKEN 64 /* records taken out of librdkafka at a time */

struct kfk_part {
    size_t topic; /* index */
    int32_t partition;
    rd_kafka_queue_t *queue; /* its records; NULL: never started */
    rd_kafka_message_t *taken[KFK_TAKEN];
    size_t n, at; /* taken[at - 1] is the one given last */
    bool started;
    bool ended;   /* what came last was the end */
    int64_t next; /* offset behind what came last */
    int nudge_ms;
    struct kfk_slot slot;
};

struct kfk_source_topic {
    char *name;
    rd_kafka_topic_t *rkt;
    struct kfk_topic_state state; /* as the control topic says */
};

/* Partitions to read: part i is lane i of the merge. */
struct kfk_source {
    struct kfk_reader rd;
    bool nudge; /* this librdkafka sleeps on full queues */
    struct kfk_schemas *schemas;
    struct kfk_source_topic *topics;
    size_t n_topics;
    struct kfk_part *parts;
    size_t n_parts, cap_parts;
};

/* `expected` partitions share the memory that fetching may take. Does not connect. */
CDC_CHECK int kfk_source_open(const struct kfk_settings *set, struct kfk_schemas *schemas,
                              size_t expected, struct kfk_source *ret, struct cdc_error *err);
void kfk_source_done(struct kfk_source *src);
/* Index of the topic, or -1. */
int kfk_source_topic(const struct kfk_source *src, struct cdc_slice name);
/* Takes *state over, also on failure. */
CDC_CHECK int kfk_source_add_topic(struct kfk_source *src, struct cdc_slice name,
                                   struct kfk_topic_state *state, struct cdc_error *err);
CDC_CHECK int kfk_source_add_part(struct kfk_source *src, size_t topic, int32_t partition,
                                  struct cdc_error *err);
/* The next record of a started part, undecoded; as kfk_lane_ops.next. */
CDC_CHECK int kfk_source_message(struct kfk_source *src, size_t part, struct kfk_message *ret,
                                 struct cdc_error *err);
extern const struct kfk_lane_ops kfk_source_lanes; /* arg: the source */

/* Which offset of a partition is asked for. HIGH: the last stable one of a committed reader. */
enum kfk_edge { KFK_LOW, KFK_HIGH };
/* Of the parts first .. n_parts - 1, ret[0] that of `first`. A request per broker. */
CDC_CHECK int kfk_source_edges(const struct kfk_source *src, struct kfk_reader *rd, size_t first,
                               enum kfk_edge edge, int64_t *ret, struct cdc_error *err);

/* ---- feed_token.c ---- */

struct kfk_token {
    uint64_t txn;
    char seq[CDC_SEQ_LEN + 1];
    int64_t control; /* next offset of the control topic */
    struct json_t *parts;
};

/* CDC_OPERATOR: it is no token of this feed. */
CDC_CHECK int kfk_token_parse(const char *text, struct kfk_token *ret, struct cdc_error *err);
void kfk_token_done(struct kfk_token *token);
/* Where to go on in a partition. CDC_END: the token does not know it. */
CDC_CHECK int kfk_token_part(const struct kfk_token *token, const char *topic, int32_t partition,
                             int64_t *ret_pos, int64_t *ret_past);
/* As text. An open commit counts as read: what is left of it will be passed over. */
CDC_CHECK int kfk_token_print(const struct kfk_token *token, const struct kfk_source *src,
                              const struct kfk_merge *merge, struct cdc_buf *ret,
                              struct cdc_error *err);

/* ---- feed.c, feed_wait.c, fsck.c ---- */

/* A transaction as kafka/end tells it. */
struct kfk_seen {
    uint64_t txn;
    int64_t control; /* offset behind it in the control topic */
    struct kfk_end end;
};

struct kfk_feed {
    struct cdc_feed base;
    struct kfk_settings set;
    char *control;               /* name of the control topic */
    struct kfk_reader *ctl;      /* committed: the control topic, last stable offsets */
    struct kfk_reader *all;      /* everything: high watermarks */
    int64_t ctl_next;            /* read so far */
    struct cdc_map map;          /* checkpoint as of the commit given last, without own keys */
    struct cdc_map delta;        /* what was read since */
    struct cdc_map topics;       /* kafka/topic/ keys read since, without that prefix */
    struct kfk_seen seen, given; /* newest; of the commit given last */
    uint64_t rows;               /* of all transactions since `given` */
    struct kfk_token bound;      /* nothing behind it is given; txn 0: there is no bound */
    bool pending;                /* `seen` is to be given once all tops are decided */
    int64_t pending_us;          /* since when */
    bool resumed;                /* opened by a token */
    struct kfk_schemas schemas;
    struct kfk_source src;
    bool src_open;
    struct kfk_merge merge;
    char *from, *to;
    char *token; /* lent; its text becomes exact at the commit's last row */
    size_t token_cap;
};

/*
 * feed_wait.c: sets how far each partition is looked at, for the newest transaction that was seen
 * or the one that the feed is held to.
 */
CDC_CHECK int kfk_feed_tops(struct kfk_feed *feed, struct cdc_error *err);
/* Waits until all below the tops is decided. CDC_AGAIN: a signal came. */
CDC_CHECK int kfk_feed_wait(struct kfk_feed *feed, struct cdc_error *err);
/* fsck.c: as cdc_feed_ops.fsck. */
int kfk_fsck(struct cdc_feed *base, struct cdc_report *report, struct cdc_error *err);
/* Reads the control topic on to its end: seen, delta, topics. */
CDC_CHECK int kfk_feed_control(struct kfk_feed *feed, struct cdc_error *err);
/* Adds what feed->topics names. */
CDC_CHECK int kfk_feed_topics(struct kfk_feed *feed, const struct kfk_token *token,
                              struct cdc_error *err);

#endif
