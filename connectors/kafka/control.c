/*
 * control.c - records of the control topic: made and taken apart, believing nothing.
 *
 * The frame around a checkpoint value is fixed text, so that the value goes in and comes out byte
 * for byte: {"instance":"<16 hex>","txn":<n>,"v":<value>}. The value must be JSON.
 */
#include "control.h"

#include "cdc/json.h"
#include "cdc/reader.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "{\"instance\":\""
#define MID  "\",\"txn\":"
#define TAIL ",\"v\":"

void kfk_record_make(const char *instance, uint64_t txn, struct cdc_slice v, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, HEAD "%s" MID "%" PRIu64 TAIL, instance, txn);
    cdc_buf_put(ret, v.p, v.len);
    cdc_buf_byte(ret, '}');
}

/* ---- taking the frame apart ---- */

static int bad(struct cdc_error *err, struct cdc_slice key, const char *what)
{
    return cdc_fail(err, CDC_FATAL, "control topic",
                    "the record of key \"%.*s\" is none of ours: %s. Was something else written to "
                    "the topic? It belongs to this pipeline alone",
                    (int)(key.len < 200 ? key.len : 200), (const char *)key.p, what);
}

static bool skip(struct cdc_reader *rd, const char *text)
{
    size_t n = strlen(text);
    const uint8_t *p = cdc_read_raw(rd, n);
    return p && memcmp(p, text, n) == 0;
}

static bool hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool read_hex(struct cdc_reader *rd, char ret[KFK_INSTANCE_LEN + 1])
{
    const uint8_t *p = cdc_read_raw(rd, KFK_INSTANCE_LEN);
    for (size_t i = 0; p && i < KFK_INSTANCE_LEN; i++)
        if (!hex_digit(p[i]))
            return false;
    if (p)
        memcpy(ret, p, KFK_INSTANCE_LEN);
    ret[KFK_INSTANCE_LEN] = 0;
    return p;
}

/* Digits without a leading zero, at least 1; the byte behind them is not taken. */
static bool read_number(struct cdc_reader *rd, uint64_t *ret)
{
    uint64_t n = 0;
    size_t digits = 0;
    while (cdc_reader_left(rd) > 0 && rd->p[rd->off] >= '0' && rd->p[rd->off] <= '9') {
        if (++digits > 18)
            return false;
        n = n * 10 + (uint64_t)(cdc_read_u8(rd) - '0');
    }
    *ret = n;
    return n > 0;
}

static json_t *load(struct cdc_slice text)
{
    return json_loadb((const char *)text.p, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
                      NULL);
}

int kfk_record_parse(struct cdc_slice key, struct cdc_slice value, struct kfk_record *ret,
                     struct cdc_error *err)
{
    struct kfk_record rec = {.key = key, .offset = -1};
    if (!key.p || key.len == 0)
        return bad(err, cdc_slice_str(""), "it has no key");
    if (value.p) {
        struct cdc_reader rd = cdc_reader_of(value.p, value.len);
        if (!skip(&rd, HEAD) || !read_hex(&rd, rec.instance) || !skip(&rd, MID) ||
            !read_number(&rd, &rec.txn) || !skip(&rd, TAIL))
            return bad(err, key, "it does not begin as one");
        size_t left = cdc_reader_left(&rd);
        if (left < 2 || value.p[value.len - 1] != '}')
            return bad(err, key, "it is cut short");
        rec.v = cdc_slice_of(value.p + rd.off, left - 1);
        json_t *json = load(rec.v);
        if (!json)
            return bad(err, key, "its value is no JSON");
        json_decref(json);
    }
    *ret = rec;
    return CDC_OK;
}

bool kfk_key_own(struct cdc_slice key)
{
    static const char own[] = "kafka/";
    return cdc_slice_eq(key, cdc_slice_str(KFK_OWNER)) ||
           (key.len >= sizeof own - 1 && memcmp(key.p, own, sizeof own - 1) == 0);
}

/* ---- kafka/end and owner ---- */

void kfk_end_make(const struct kfk_end *end, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, "{\"seq\":\"%s\",\"at\":%" PRId64 ",\"rows\":%" PRIu64 "}", end->seq,
                   end->at_us, end->rows);
}

static bool seq_ok(const char *seq)
{
    size_t n = seq ? strspn(seq, "0123456789abcdef-") : 0;
    return seq && seq[n] == 0 && (n == 0 || n == CDC_SEQ_LEN);
}

int kfk_end_parse(struct cdc_slice v, struct kfk_end *ret, struct cdc_error *err)
{
    json_t *json = v.p ? load(v) : NULL;
    const char *seq = NULL;
    json_int_t at = 0, rows = -1;
    int rc = CDC_OK;
    if (!json || json_unpack(json, "{s:s,s:I,s:I!}", "seq", &seq, "at", &at, "rows", &rows) != 0 ||
        rows < 0 || !seq_ok(seq)) {
        rc = bad(err, cdc_slice_str(KFK_END), "seq, at and rows are expected");
    } else {
        *ret = (struct kfk_end){.at_us = at, .rows = (uint64_t)rows};
        snprintf(ret->seq, sizeof ret->seq, "%s", seq);
    }
    json_decref(json);
    return rc;
}

void kfk_owner_make(const struct kfk_owner *owner, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, "{\"instance\":\"%s\",\"host\":", owner->instance);
    cdc_json_string(ret, cdc_slice_str(owner->host));
    cdc_buf_printf(ret, ",\"pid\":%" PRId64 ",\"at\":%" PRId64 "}", owner->pid, owner->at_us);
}

int kfk_owner_parse(struct cdc_slice v, struct kfk_owner *ret, struct cdc_error *err)
{
    json_t *json = v.p ? load(v) : NULL;
    const char *instance = NULL, *host = NULL;
    json_int_t pid = 0, at = 0;
    int rc = CDC_OK;
    if (!json ||
        json_unpack(json, "{s:s,s:s,s:I,s:I!}", "instance", &instance, "host", &host, "pid", &pid,
                    "at", &at) != 0 ||
        strlen(instance) != KFK_INSTANCE_LEN) {
        rc = bad(err, cdc_slice_str(KFK_OWNER), "instance, host, pid and at are expected");
    } else {
        *ret = (struct kfk_owner){.pid = pid, .at_us = at};
        snprintf(ret->instance, sizeof ret->instance, "%s", instance);
        snprintf(ret->host, sizeof ret->host, "%.255s", host);
    }
    json_decref(json);
    return rc;
}

/* ---- kafka/topic/<topic> ---- */

int kfk_topic_state_make(const struct kfk_topic_state *state, struct cdc_buf *ret)
{
    cdc_buf_str(ret, "{\"tables\":[");
    for (size_t i = 0; i < state->n_tables; i++) {
        cdc_buf_str(ret, i ? "," : "");
        cdc_json_string(ret, cdc_slice_str(state->tables[i]));
    }
    cdc_buf_printf(ret, "],\"partitions\":%" PRId32 ",\"ends\":[", state->partitions);
    for (int32_t i = 0; i < state->partitions; i++)
        cdc_buf_printf(ret, "%s%" PRId64, i ? "," : "", state->ends[i]);
    cdc_buf_str(ret, "]}");
    return ret->failed ? CDC_FAIL : CDC_OK;
}

void kfk_topic_state_done(struct kfk_topic_state *state)
{
    for (size_t i = 0; i < state->n_tables; i++)
        free(state->tables[i]);
    free(state->tables);
    free(state->ends);
    *state = (struct kfk_topic_state){0};
}

static int fill_tables(json_t *tables, struct kfk_topic_state *ret)
{
    size_t n = json_array_size(tables), i;
    json_t *item;
    ret->tables = calloc(n + 1, sizeof *ret->tables);
    if (!ret->tables)
        return CDC_FAIL;
    json_array_foreach(tables, i, item)
    {
        const char *name = json_string_value(item);
        char *copy = name && *name ? strdup(name) : NULL;
        if (!copy)
            return CDC_FAIL;
        ret->tables[ret->n_tables++] = copy;
    }
    return CDC_OK;
}

static int fill_ends(json_t *ends, struct kfk_topic_state *ret)
{
    size_t n = json_array_size(ends), i;
    json_t *item;
    ret->partitions = (int32_t)n;
    ret->ends = calloc(n + 1, sizeof *ret->ends);
    if (!ret->ends)
        return CDC_FAIL;
    json_array_foreach(ends, i, item)
    {
        ret->ends[i] = json_integer_value(item);
        if (!json_is_integer(item) || ret->ends[i] < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

int kfk_topic_state_parse(struct cdc_slice v, struct kfk_topic_state *ret, struct cdc_error *err)
{
    struct kfk_topic_state state = {0};
    json_t *json = v.p ? load(v) : NULL, *tables = NULL, *ends = NULL;
    int partitions = 0;
    int rc = CDC_OK;
    if (!json ||
        json_unpack(json, "{s:o,s:i,s:o!}", "tables", &tables, "partitions", &partitions, "ends",
                    &ends) != 0 ||
        !json_is_array(tables) || !json_is_array(ends) || partitions < 1 ||
        partitions > KFK_PARTITIONS_MAX || json_array_size(ends) != (size_t)partitions ||
        fill_tables(tables, &state) < 0 || fill_ends(ends, &state) < 0)
        rc = bad(err, cdc_slice_str(KFK_TOPIC_KEY), "tables, partitions and ends are expected");
    json_decref(json);
    if (rc < 0)
        kfk_topic_state_done(&state);
    else
        *ret = state;
    return rc;
}
