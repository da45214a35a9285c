/*
 * fuzz_kafka_feed.c - any bytes as a token, or as a record's value under a schema known to the
 * checkpoint. Corpus: tests/data/kafka_feed.
 */
#include "../../connectors/kafka/feed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char state[] =
    "{\"subject\":\"s\",\"version\":1,\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
    "\\\"Row\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\",\\\"type\\\":[\\\"null\\\",\\\"long\\\"],"
    "\\\"key\\\":1},{\\\"name\\\":\\\"__op\\\",\\\"type\\\":\\\"string\\\"},{\\\"name\\\":"
    "\\\"__seq\\\",\\\"type\\\":\\\"string\\\"},{\\\"name\\\":\\\"__unchanged\\\",\\\"type\\\":"
    "[\\\"null\\\",{\\\"type\\\":\\\"array\\\",\\\"items\\\":\\\"string\\\"}]}],"
    "\\\"cdc.schema\\\":\\\"public\\\",\\\"cdc.table\\\":\\\"t\\\",\\\"cdc.version\\\":1}\"}";

static void token(const uint8_t *p, size_t n)
{
    char *text = strndup((const char *)p, n);
    struct kfk_token tok;
    int64_t pos, past;
    if (text && kfk_token_parse(text, &tok, NULL) == CDC_OK) {
        if (strlen(tok.seq) != 0 && strlen(tok.seq) != CDC_SEQ_LEN)
            abort();
        for (int32_t i = 0; kfk_token_part(&tok, "t", i, &pos, &past) == CDC_OK; i++)
            if (pos < 0 || past < 0)
                abort();
        kfk_token_done(&tok);
    }
    free(text);
}

static void record(const uint8_t *p, size_t n)
{
    struct cdc_map map;
    struct kfk_schemas schemas = {.map = &map};
    struct kfk_slot slot = {0};
    struct kfk_item item;
    cdc_map_init(&map);
    if (cdc_map_put(&map, cdc_slice_str("schema/1"), cdc_slice_str(state)) < 0)
        abort();
    struct kfk_message msg = {.topic = "t", .value = cdc_slice_of(p, n)};
    if (kfk_row_decode(&schemas, &slot, &msg, &item, NULL) == CDC_OK &&
        (item.tombstone || item.row.schema->n != 4 || !item.op))
        abort();
    kfk_slot_done(&slot);
    kfk_schemas_done(&schemas);
    cdc_map_done(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n > 0 && p[0] == '{')
        token(p, n);
    else if (n > 0)
        record(p, n);
    return 0;
}
