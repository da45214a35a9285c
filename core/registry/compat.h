/*
 * compat.h - may a schema follow another one? Avro's rules, our guard, and the difference in words.
 *
 * Avro's rules (docs/registry.md) say whether a reader of schema R can decode what was written with
 * W; they are those of Avro for Java, and so of Confluent's and other registries. They do not look
 * at logical types: a decimal whose scale changes passes, and every value means something else. So
 * the guard refuses whatever changes the meaning of the same bytes: logicalType, a decimal's scale
 * or a smaller precision, connect.name, our own `zone`.
 *
 * A level says who must be able to read whom. The guard does not ask for the level but for the
 * direction; at NONE it looks as at BACKWARD.
 *
 * Threads: any.
 */
#ifndef CDC_REGISTRY_COMPAT_H
#define CDC_REGISTRY_COMPAT_H

#include "registry/schema.h"

enum cdc_compat_level {
    CDC_COMPAT_NONE,
    CDC_COMPAT_BACKWARD, /* who knows the new one reads the old */
    CDC_COMPAT_BACKWARD_TRANSITIVE,
    CDC_COMPAT_FORWARD, /* who knows the old one reads the new */
    CDC_COMPAT_FORWARD_TRANSITIVE,
    CDC_COMPAT_FULL,
    CDC_COMPAT_FULL_TRANSITIVE,
    CDC_COMPAT_LEVELS
};
const char *cdc_compat_level_name(enum cdc_compat_level level); /* "BACKWARD", as registries say */
/* By that name, in any case; -1: no such level. */
int cdc_compat_level_of(const char *name);
bool cdc_compat_transitive(enum cdc_compat_level level);

/* Avro's rules alone: can R read what was written with W? */
bool cdc_compat_reads(const struct cdc_avro_schema *reader, const struct cdc_avro_schema *writer);
/* The guard alone, for schemas of which that is so. */
bool cdc_guard_reads(const struct cdc_avro_schema *reader, const struct cdc_avro_schema *writer);

/*
 * May `now` follow `before` at this level, guard included? If not, false, and the differences that
 * matter in words behind *ret, "; " between them: "column price: was decimal(10,2), is
 * decimal(12,4)".
 */
bool cdc_compat_follows(const struct cdc_avro_schema *before, const struct cdc_avro_schema *now,
                        enum cdc_compat_level level, struct cdc_buf *ret);

/* What the columns of a key were and are, behind a text: ": was (id int), is (id long)". */
void cdc_key_words(const struct cdc_avro_schema *before, const struct cdc_avro_schema *now,
                   struct cdc_buf *ret);

/* compat.c and guard.c for each other and words.c: a pair already looked at (only records). */
struct cdc_pair_memo {
    struct cdc_node_pair {
        const struct cdc_avro_node *reader, *writer;
        bool failed;
    } * items;
    size_t n, cap;
    bool oom;
};
bool cdc_node_reads(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                    const struct cdc_avro_node *writer);
bool cdc_node_keeps(struct cdc_pair_memo *reads, struct cdc_pair_memo *keeps,
                    const struct cdc_avro_node *reader, const struct cdc_avro_node *writer);
/* Adds the pair as sound; NULL where it is already there (*ret_failed says how it was). */
struct cdc_node_pair *cdc_pair_enter(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                                     const struct cdc_avro_node *writer, bool *ret_failed);
void cdc_pair_fail(struct cdc_pair_memo *memo, const struct cdc_avro_node *reader,
                   const struct cdc_avro_node *writer);
/* The writer's field that a reader's field gets its value from: by name, else by the reader's
 * aliases. NULL: none, or (*ret_two) more than one. */
const struct cdc_avro_field *cdc_writer_field(const struct cdc_avro_node *writer,
                                              const struct cdc_avro_field *field, bool *ret_two);

#endif
