/*
 * fuzz_mysql_gtid.c - GTID sets and lists, as text and as bytes: what is read prints and reads back
 * as the same, and sums hold their parts. Corpus: tests/data/mysql_gtid/.
 */
#include <stdlib.h>
#include <string.h>

#include "../../connectors/mysql/gtid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_set(struct mys_set *set)
{
    struct mys_set text = {0}, wire = {0}, sum = {0};
    struct cdc_buf buf = CDC_BUF((size_t)1 << 24);
    mys_set_print(set, &buf);
    must(!buf.failed && mys_set_parse(cdc_buf_slice(&buf), &text, NULL) == CDC_OK);
    must(mys_set_subset(set, &text) && mys_set_subset(&text, set));
    cdc_buf_reset(&buf);
    mys_set_encode(set, &buf);
    must(!buf.failed && mys_set_decode(cdc_buf_slice(&buf), &wire, NULL) == CDC_OK);
    must(mys_set_subset(set, &wire) && mys_set_subset(&wire, set));
    must(mys_set_union(&sum, set) == CDC_OK && mys_set_union(&sum, &wire) == CDC_OK);
    must(mys_set_subset(set, &sum) && mys_set_subset(&sum, set));
    for (size_t i = 0; i < set->n; i++)
        for (size_t j = 1; j < set->sids[i].n; j++)
            must(set->sids[i].ranges[j - 1].to < set->sids[i].ranges[j].from);
    cdc_buf_done(&buf);
    mys_set_done(&text);
    mys_set_done(&wire);
    mys_set_done(&sum);
}

static void check_list(struct mys_list *list)
{
    struct mys_list text = {0};
    struct cdc_buf buf = CDC_BUF((size_t)1 << 24);
    mys_list_print(list, &buf);
    must(!buf.failed && mys_list_parse(cdc_buf_slice(&buf), &text, NULL) == CDC_OK);
    must(text.n == list->n && mys_list_subset(list, &text) && mys_list_subset(&text, list));
    cdc_buf_done(&buf);
    mys_list_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mys_set set = {0};
    struct mys_list list = {0};
    uint8_t *copy = malloc(size ? size : 1); /* of exactly that length */
    must(copy != NULL);
    memcpy(copy, data, size);
    struct cdc_slice bytes = cdc_slice_of(copy, size);
    if (mys_set_parse(bytes, &set, NULL) == CDC_OK)
        check_set(&set);
    mys_set_done(&set);
    if (mys_set_decode(bytes, &set, NULL) == CDC_OK)
        check_set(&set);
    mys_set_done(&set);
    if (mys_list_parse(bytes, &list, NULL) == CDC_OK)
        check_list(&list);
    mys_list_done(&list);
    if (mys_list_decode(bytes, &list, NULL) == CDC_OK)
        check_list(&list);
    mys_list_done(&list);
    free(copy);
    return 0;
}
