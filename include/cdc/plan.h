/*
 * plan.h - from a change to the records and bytes of an envelope.
 *
 * A plan is compiled once per (table version, envelope) by the engine, which sets table->plan
 * before the sink sees a change of that table. One change can make several records (a key change: a
 * delete of the old key, then an insert); a sink asks for them, then for the bytes of each.
 *
 * Ownership: plans belong to their table. Records point into the change and the plan, and live
 * until the next cdc_plan_records of this plan. Threads: the sink thread only.
 */
#ifndef CDC_PLAN_H
#define CDC_PLAN_H

#include "cdc/batch.h"

#define CDC_RECORDS_MAX 3

struct cdc_schema {
    const char *text; /* verbatim: the text is the identity */
    size_t len;
    uint8_t sha256[32]; /* of the text */
    uint32_t id;        /* the registry's */
};

/* One record of an envelope, not yet encoded. */
struct cdc_record {
    const struct cdc_change *change;
    char op;     /* as __op says */
    char reason; /* of a delete: d delete, t truncate, k key_change, i inferred, l logical, 0 */
    bool deleted;
    /* table->n values as the source sent them, or NULL: all null. Not for a sink to show: what the
     * capture rule hides stands in them. */
    const struct cdc_value *row;
    const struct cdc_value
        *old; /* key change, insert half: the old row (for __prev_key), or NULL */
    char seq[CDC_SEQ_LEN + 1];
    int64_t updated_us;
};

/* The value's schema; never NULL. */
const struct cdc_schema *cdc_plan_schema(const struct cdc_plan *plan);
/* The key's; NULL: the table has no key, or its sink is without CDC_SINK_KEYS. */
const struct cdc_schema *cdc_plan_key_schema(const struct cdc_plan *plan);

/*
 * The records of a change, at most CDC_RECORDS_MAX into ret; returns how many, or CDC_FAIL.
 * read_us: the batch's read_us.
 */
CDC_CHECK int cdc_plan_records(struct cdc_plan *plan, const struct cdc_change *chg, int64_t read_us,
                               struct cdc_record *ret, struct cdc_error *err);

/*
 * Appends the Avro binary of the record's value to buf. CDC_FAIL: a value meets `on_invalid: fail`
 * (CDC_OPERATOR, names table and column, never the value), or buf is at its maximum; buf then holds
 * part of the record and the caller cuts it off.
 */
CDC_CHECK int cdc_plan_bytes(struct cdc_plan *plan, const struct cdc_record *rec,
                             struct cdc_buf *buf, struct cdc_error *err);

/*
 * Appends the Avro binary of the record's key (record `Key`, each column a union with null): that
 * of the row it is about, with hashed columns hashed; of a record without a row: all null. Only
 * where there is a key's schema. Fails as cdc_plan_bytes does; a key is never made null.
 */
CDC_CHECK int cdc_plan_key(struct cdc_plan *plan, const struct cdc_record *rec, struct cdc_buf *buf,
                           struct cdc_error *err);

/*
 * As cdc_plan_bytes, for a record that is too large for the sink: its largest values, key and meta
 * columns apart, are written as null and named in __invalid, as many as it takes to get it to
 * max_bytes. CDC_END: even then it is larger (buf is then as it was).
 */
CDC_CHECK int cdc_plan_shrunk(struct cdc_plan *plan, const struct cdc_record *rec, size_t max_bytes,
                              struct cdc_buf *buf, struct cdc_error *err);

/* Does the record lack values that the row has (they will stand in __unchanged)? */
bool cdc_plan_partial(const struct cdc_plan *plan, const struct cdc_record *rec);

/*
 * Appends the record's row as one JSON object, by the same rules as cdc_plan_bytes: values as in
 * cdc/json.h, without excluded columns, meta columns and those the source did not send; `null` for
 * a record without a row. For sinks that print. Fails as cdc_plan_bytes does.
 */
CDC_CHECK int cdc_plan_json(struct cdc_plan *plan, const struct cdc_record *rec,
                            struct cdc_buf *buf, struct cdc_error *err);

#endif
