/*
 * feed_token.c - where a reader of topics stands, as a text it can keep (feed.h).
 *
 *   {"v":1,"txn":42,"seq":"<highest __seq applied>","control":<offset>,
 *    "parts":{"<topic>":[<offset>, [<offset>,<past>], ...]}}
 *
 * `control` is the offset behind the transaction in the control topic. A partition is the offset of
 * the next record not looked at. With [offset, past], records below `past` whose __seq is not above
 * "seq" were applied already, or are taken as applied: what a commit not read to its end leaves.
 * The text comes back from outside, so nothing in it is believed.
 */
#include "feed.h"

#include "cdc/json.h"

#include <inttypes.h>
#include <jansson.h>

static bool number(const json_t *json, int64_t *ret)
{
    *ret = json_integer_value(json);
    return json_is_integer(json) && *ret >= 0;
}

static bool read_head(const json_t *json, struct kfk_token *ret)
{
    int64_t v, txn;
    const char *seq = json_string_value(json_object_get(json, "seq"));
    if (!number(json_object_get(json, "v"), &v) || v != 1 ||
        !number(json_object_get(json, "txn"), &txn) ||
        !number(json_object_get(json, "control"), &ret->control) || !seq ||
        (strlen(seq) != 0 && strlen(seq) != CDC_SEQ_LEN))
        return false;
    ret->txn = (uint64_t)txn;
    memcpy(ret->seq, seq, strlen(seq) + 1);
    return true;
}

static bool read_part(const json_t *json, int64_t *ret_pos, int64_t *ret_past)
{
    *ret_past = 0;
    if (!json_is_array(json))
        return number(json, ret_pos);
    return json_array_size(json) == 2 && number(json_array_get(json, 0), ret_pos) &&
           number(json_array_get(json, 1), ret_past);
}

static bool check_parts(json_t *parts)
{
    const char *topic;
    json_t *list;
    const json_t *part;
    size_t i;
    int64_t pos, past;
    if (!json_is_object(parts))
        return false;
    json_object_foreach(parts, topic, list)
    {
        if (!json_is_array(list))
            return false;
        json_array_foreach(list, i, part) if (!read_part(part, &pos, &past)) return false;
    }
    return true;
}

int kfk_token_parse(const char *text, struct kfk_token *ret, struct cdc_error *err)
{
    struct kfk_token token = {0};
    json_t *json = json_loads(text, 0, NULL);
    token.parts = json_incref(json_object_get(json, "parts"));
    bool good = read_head(json, &token) && check_parts(token.parts);
    json_decref(json);
    if (!good) {
        kfk_token_done(&token);
        return cdc_fail(err, CDC_OPERATOR, "",
                        "where the reader stood is not told in the way of this feed: it was built "
                        "from something else than these topics; build it anew in another file");
    }
    *ret = token;
    return CDC_OK;
}

void kfk_token_done(struct kfk_token *token)
{
    json_decref(token->parts);
    token->parts = NULL;
}

int kfk_token_part(const struct kfk_token *token, const char *topic, int32_t partition,
                   int64_t *ret_pos, int64_t *ret_past)
{
    const json_t *part = json_array_get(json_object_get(token->parts, topic), (size_t)partition);
    return part && read_part(part, ret_pos, ret_past) ? CDC_OK : CDC_END;
}

static void print_part(const struct kfk_merge *merge, const struct kfk_lane *lane,
                       struct cdc_buf *ret)
{
    bool unread = merge->open && !kfk_lane_later(merge, lane);
    int64_t past = unread && lane->top > lane->past ? lane->top : lane->past;
    if (past > lane->pos)
        cdc_buf_printf(ret, "[%" PRId64 ",%" PRId64 "]", lane->pos, past);
    else
        cdc_buf_printf(ret, "%" PRId64, lane->pos);
}

/* Parts of one topic were added in the order of their numbers, but maybe not in one go. */
static void print_topic(const struct kfk_source *src, size_t topic, const struct kfk_merge *merge,
                        struct cdc_buf *ret)
{
    bool first = true;
    for (size_t i = 0; i < src->n_parts; i++) {
        if (src->parts[i].topic != topic)
            continue;
        cdc_buf_str(ret, first ? "" : ",");
        print_part(merge, &merge->lanes[i], ret);
        first = false;
    }
}

int kfk_token_print(const struct kfk_token *token, const struct kfk_source *src,
                    const struct kfk_merge *merge, struct cdc_buf *ret, struct cdc_error *err)
{
    cdc_buf_printf(
        ret, "{\"v\":1,\"txn\":%" PRIu64 ",\"seq\":\"%s\",\"control\":%" PRId64 ",\"parts\":{",
        token->txn, token->seq, token->control);
    for (size_t i = 0; i < src->n_topics; i++) {
        cdc_buf_str(ret, i ? "," : "");
        cdc_json_string(ret, cdc_slice_str(src->topics[i].name));
        cdc_buf_str(ret, ":[");
        print_topic(src, i, merge, ret);
        cdc_buf_byte(ret, ']');
    }
    cdc_buf_str(ret, "}}");
    return cdc_buf_cstr(ret) ? CDC_OK : cdc_fail_oom(err);
}
