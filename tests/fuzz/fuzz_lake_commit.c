/*
 * fuzz_lake_commit.c - any bytes as a commit record of a lake. What parses is made again and must
 * parse to the same record. Corpus: tests/data/lake.
 */
#include <stdlib.h>

#include "../../connectors/lake/lake.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void compare(const struct lake_commit *a, const struct lake_commit *b)
{
    must(a->seq == b->seq && a->epoch == b->epoch && a->kind == b->kind && a->at_us == b->at_us);
    must(!a->to == !b->to && (!a->to || strcmp(a->to, b->to) == 0));
    must(a->delta.n == b->delta.n && a->n_files == b->n_files);
    for (size_t i = 0; i < a->n_files; i++)
        must(strcmp(a->files[i].path, b->files[i].path) == 0 && lake_path_ok(a->files[i].path) &&
             a->files[i].records == b->files[i].records);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct lake_commit rec, again;
    struct cdc_error err;
    struct cdc_buf buf = CDC_BUF(1 << 24);
    if (lake_commit_parse(cdc_slice_of(p, n), &rec, &err) < 0)
        return 0;
    must(lake_commit_make(&rec, &buf, &err) == CDC_OK);
    must(lake_commit_parse(cdc_buf_slice(&buf), &again, &err) == CDC_OK);
    compare(&rec, &again);
    lake_commit_done(&again);
    lake_commit_done(&rec);
    cdc_buf_done(&buf);
    return 0;
}
