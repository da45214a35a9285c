/*
 * write.c - rows into data files, one open file per table and schema text.
 *
 * A row is encoded by its table's plan straight into the block of its file; a full block is
 * compressed and goes out at once. A file that reaches max_file_bytes is finished, and the engine
 * asked for a commit (CDC_FULL); inside one large transaction the next part follows. Finished files
 * wait in lk->done, in the order of finishing, until a record names them; of two parts of one table
 * the earlier is always finished first, which keeps rows of equal `__seq` in order for the feed.
 *
 * Bounds: at most LAKE_OPEN_MAX open files (then the one not used for longest becomes a part of its
 * own), and LAKE_HELD_MAX bytes in block buffers (then the largest block is written early).
 *
 * Files get their final name when they are finished; nobody looks at them before a commit names
 * them.
 */
#include "lake.h"

#include "cdc/crash.h"
#include "cdc/plan.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static void out_free(struct lake_out *out)
{
    if (!out)
        return;
    cdc_avro_writer_free(out->w);
    cdc_table_unref(out->tab);
    EVP_MD_CTX_free(out->sha);
    if (out->staged)
        out->staged->ops->release(out->staged);
    free((char *)(uintptr_t)out->file.table);
    free((char *)(uintptr_t)out->file.path);
    free(out);
}

static int out_bytes(void *arg, const void *p, size_t n, struct cdc_error *err)
{
    struct lake_out *out = arg;
    if (!EVP_DigestUpdate(out->sha, p, n))
        return cdc_fail_oom(err);
    out->file.bytes += n;
    return out->staged->ops->append(out->staged, p, n, err);
}

/* ---- a new file ---- */

/* The schema object, content addressed: made before any commit can name it. */
static int save_schema(struct lake *lk, const struct cdc_schema *schema, const char *sha,
                       struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    if (cdc_map_get(&lk->schemas, sha).p)
        return CDC_OK;
    lake_schema_path(sha, path);
    if (lk->store->ops->put(lk->store, path, cdc_slice_of(schema->text, schema->len), LAKE_CREATE,
                            err) < 0)
        return CDC_FAIL;
    return cdc_map_put(&lk->schemas, cdc_slice_str(sha), cdc_slice_str("1")) < 0 ? cdc_fail_oom(err)
                                                                                 : CDC_OK;
}

static void file_path(struct lake *lk, const struct cdc_table *tab, const char *sha,
                      char ret[LAKE_PATH_MAX])
{
    char dir[LAKE_PATH_MAX], leaf[LAKE_PATH_MAX];
    struct lake_name name = {.seq = lk->chain.seq + 1, .epoch = lk->epoch};
    if (lk->part_seq != name.seq)
        lk->part = 0; /* else it goes on counting, across rewinds too: no name is used twice */
    lk->part_seq = name.seq;
    name.part = ++lk->part;
    snprintf(name.schema, sizeof name.schema, "%.8s", sha);
    lake_table_dir(tab->schema, tab->name, dir);
    lake_name_print(&name, leaf);
    snprintf(ret, LAKE_PATH_MAX, "log/%.220s/dt=%.10s/%.100s", dir, lk->date, leaf);
}

static const char *deletes_text(const struct cdc_table *tab)
{
    static const char *const names[] = {"soft", "hard", "append"};
    return names[tab->rule ? tab->rule->deletes : CDC_DELETES_SOFT];
}

static struct cdc_kv meta(const char *key, const char *value)
{
    return (struct cdc_kv){.key = cdc_slice_str(key), .value = cdc_slice_str(value)};
}

static int start_writer(struct lake *lk, struct lake_out *out, const struct cdc_schema *schema,
                        struct cdc_error *err)
{
    struct cdc_buf name = CDC_BUF(4096);
    char id[16], seq[24], epoch[16];
    const struct cdc_table *tab = out->tab;
    cdc_buf_printf(&name, "%s%s%s.%s", tab->catalog ? tab->catalog : "", tab->catalog ? "." : "",
                   tab->schema, tab->name);
    snprintf(id, sizeof id, "%" PRIu32, schema->id);
    snprintf(seq, sizeof seq, "%" PRIu64, lk->chain.seq + 1);
    snprintf(epoch, sizeof epoch, "%" PRIu32, lk->epoch);
    const char *full = cdc_buf_cstr(&name);
    const struct cdc_kv kvs[] = {meta("cdc.table", full ? full : ""), meta("cdc.schema_id", id),
                                 meta("cdc.commit", seq), meta("cdc.epoch", epoch),
                                 meta("cdc.deletes", deletes_text(tab))};
    struct cdc_avro_writer_options opt = {.schema = cdc_slice_of(schema->text, schema->len),
                                          .codec = lk->set.codec,
                                          .level = lk->set.level,
                                          .block_bytes = lk->set.block_bytes,
                                          .max_bytes = LAKE_BLOCK_MAX,
                                          .meta = kvs,
                                          .n_meta = sizeof kvs / sizeof *kvs,
                                          .out = out_bytes,
                                          .arg = out};
    int rc = cdc_avro_writer_new(&opt, &out->w, err);
    cdc_buf_done(&name);
    return rc;
}

static int out_fill(struct lake *lk, struct lake_out *out, const struct cdc_schema *schema,
                    struct cdc_error *err)
{
    struct lake_file *file = &out->file;
    char path[LAKE_PATH_MAX];
    struct cdc_buf name = CDC_BUF(4096);
    size_t len;
    lake_hex(schema->sha256, 32, file->schema);
    cdc_buf_printf(&name, "%s.%s%c", out->tab->schema, out->tab->name, 0);
    file_path(lk, out->tab, file->schema, path);
    file->table = (char *)cdc_buf_take(&name, &len);
    file->path = strdup(path);
    file->format = "avro";
    file->codec = cdc_codec_name(lk->set.codec);
    file->schema_id = schema->id;
    out->sha = EVP_MD_CTX_new();
    if (!file->table || !file->path || !out->sha ||
        !EVP_DigestInit_ex(out->sha, EVP_sha256(), NULL))
        return cdc_fail_oom(err);
    if (save_schema(lk, schema, file->schema, err) < 0 ||
        lk->store->ops->stage(lk->store, path, &out->staged, err) < 0)
        return CDC_FAIL;
    CDC_POINT("lake.file_open");
    return start_writer(lk, out, schema, err);
}

static int out_new(struct lake *lk, struct cdc_table *tab, struct lake_out **ret,
                   struct cdc_error *err)
{
    if (!lk->date[0])
        lake_date(cdc_now_us(), lk->date);
    struct lake_out *out = calloc(1, sizeof *out);
    if (!out)
        return cdc_fail_oom(err);
    out->tab = cdc_table_ref(tab);
    if (out_fill(lk, out, cdc_plan_schema(tab->plan), err) < 0) {
        out_free(out);
        return CDC_FAIL;
    }
    lk->open[lk->n_open++] = out;
    *ret = out;
    return CDC_OK;
}

/* ---- finishing ---- */

static int done_room(struct lake *lk, struct cdc_error *err)
{
    if (lk->n_done < lk->cap_done)
        return CDC_OK;
    size_t cap = lk->cap_done ? lk->cap_done * 2 : 16;
    struct lake_out **done = realloc(lk->done, cap * sizeof(struct lake_out *));
    if (!done)
        return cdc_fail_oom(err);
    lk->done = done;
    lk->cap_done = cap;
    return CDC_OK;
}

/* Writes the last block and moves the file from open to done; its name comes with publish. */
static int seal(struct lake *lk, size_t at, struct cdc_error *err)
{
    struct lake_out *out = lk->open[at];
    uint8_t sum[32];
    if (cdc_avro_writer_flush(out->w, true, err) < 0 || done_room(lk, err) < 0)
        return CDC_FAIL;
    if (!EVP_DigestFinal_ex(out->sha, sum, NULL))
        return cdc_fail_oom(err);
    lake_hex(sum, sizeof sum, out->file.sha256);
    cdc_avro_writer_free(out->w);
    out->w = NULL;
    cdc_table_unref(out->tab);
    out->tab = NULL;
    lk->held -= out->held;
    out->held = 0;
    if (lk->last == out)
        lk->last = NULL;
    lk->done[lk->n_done++] = out;
    memmove(lk->open + at, lk->open + at + 1, (--lk->n_open - at) * sizeof(struct lake_out *));
    return CDC_OK;
}

/* Gives all finished files that have none yet their names. */
static int publish(struct lake *lk, struct cdc_error *err)
{
    struct lake_staged **files = malloc((lk->n_done + 1) * sizeof(struct lake_staged *));
    size_t n = 0;
    int rc = CDC_OK;
    if (!files)
        return cdc_fail_oom(err);
    for (size_t i = 0; i < lk->n_done; i++)
        if (!lk->done[i]->staged->published)
            files[n++] = lk->done[i]->staged;
    if (n > 0) {
        CDC_POINT("lake.before_publish");
        rc = lk->store->ops->publish(lk->store, files, n, err);
        CDC_POINT("lake.after_publish");
    }
    free(files);
    return rc;
}

int lake_out_finish(struct lake *lk, struct cdc_error *err)
{
    while (lk->n_open > 0)
        if (seal(lk, 0, err) < 0)
            return CDC_FAIL;
    return publish(lk, err);
}

int lake_out_drop(struct lake *lk, bool remove, struct cdc_error *err)
{
    int rc = CDC_OK;
    for (size_t i = 0; i < lk->n_open; i++)
        out_free(lk->open[i]);
    for (size_t i = 0; i < lk->n_done; i++) {
        struct lake_out *out = lk->done[i];
        if (remove && out->staged->published && rc == CDC_OK)
            rc = lk->store->ops->remove(lk->store, out->file.path, err);
        out_free(out);
    }
    lk->n_open = lk->n_done = 0;
    lk->last = NULL;
    lk->held = 0;
    lk->full = false;
    lk->date[0] = 0;
    return rc;
}

static size_t index_of(const struct lake *lk, const struct lake_out *out)
{
    size_t i = 0;
    while (lk->open[i] != out)
        i++;
    return i;
}

static int finish_part(struct lake *lk, struct lake_out *out, struct cdc_error *err)
{
    return seal(lk, index_of(lk, out), err) < 0 ? CDC_FAIL : publish(lk, err);
}

/* ---- rows ---- */

static int finish_oldest(struct lake *lk, struct cdc_error *err)
{
    struct lake_out *oldest = lk->open[0];
    for (size_t i = 1; i < lk->n_open; i++)
        if (lk->open[i]->used < oldest->used)
            oldest = lk->open[i];
    return finish_part(lk, oldest, err);
}

/* Same table and schema under another pointer (a restart of the source): the file goes on. */
static bool same_file(const struct lake_out *out, const struct cdc_table *tab, const char *sha)
{
    return strcmp(out->file.schema, sha) == 0 && strcmp(out->tab->schema, tab->schema) == 0 &&
           strcmp(out->tab->name, tab->name) == 0;
}

static int find_out(struct lake *lk, struct cdc_table *tab, struct lake_out **ret,
                    struct cdc_error *err)
{
    char sha[65];
    for (size_t i = 0; i < lk->n_open; i++)
        if (lk->open[i]->tab == tab) {
            *ret = lk->open[i];
            return CDC_OK;
        }
    lake_hex(cdc_plan_schema(tab->plan)->sha256, 32, sha);
    for (size_t i = 0; i < lk->n_open; i++) {
        struct lake_out *out = lk->open[i];
        if (same_file(out, tab, sha)) {
            cdc_table_unref(out->tab);
            out->tab = cdc_table_ref(tab);
            *ret = out;
            return CDC_OK;
        }
    }
    if (lk->n_open == LAKE_OPEN_MAX && finish_oldest(lk, err) < 0)
        return CDC_FAIL;
    return out_new(lk, tab, ret, err);
}

static void count(struct lake_file *file, const struct cdc_record *rec)
{
    const char *at = strchr(LAKE_OP_IS, rec->op);
    file->records++;
    file->ops[at ? (size_t)(at - LAKE_OP_IS) : LAKE_OPS - 1]++;
    if (file->records == 1 || memcmp(rec->seq, file->seq_min, CDC_SEQ_LEN) < 0)
        memcpy(file->seq_min, rec->seq, CDC_SEQ_LEN + 1);
    if (file->records == 1 || memcmp(rec->seq, file->seq_max, CDC_SEQ_LEN) > 0)
        memcpy(file->seq_max, rec->seq, CDC_SEQ_LEN + 1);
}

static int put_record(struct lake *lk, struct lake_out *out, const struct cdc_record *rec,
                      struct cdc_error *err)
{
    struct cdc_buf *buf = cdc_avro_writer_begin(out->w);
    if (cdc_plan_bytes(out->tab->plan, rec, buf, err) < 0) {
        cdc_avro_writer_cancel(out->w);
        return CDC_FAIL;
    }
    if (cdc_avro_writer_end(out->w, err) < 0)
        return CDC_FAIL;
    count(&out->file, rec);
    size_t held = cdc_avro_writer_memory(out->w);
    lk->held += held - out->held;
    out->held = held;
    return CDC_OK;
}

/* Too much in block buffers: the largest go out as they are. */
static int shrink(struct lake *lk, struct cdc_error *err)
{
    while (lk->held > LAKE_HELD_MAX) {
        struct lake_out *most = lk->open[0];
        for (size_t i = 1; i < lk->n_open; i++)
            if (lk->open[i]->held > most->held)
                most = lk->open[i];
        if (cdc_avro_writer_flush(most->w, true, err) < 0)
            return CDC_FAIL;
        size_t held = cdc_avro_writer_memory(most->w);
        if (held >= most->held)
            return CDC_OK; /* nothing more to be had */
        lk->held -= most->held - held;
        most->held = held;
    }
    return CDC_OK;
}

static int write_change(struct lake *lk, const struct cdc_batch *batch,
                        const struct cdc_change *chg, struct cdc_error *err)
{
    struct cdc_record recs[CDC_RECORDS_MAX];
    struct lake_out *out = lk->last;
    if ((!out || out->tab != chg->table) && find_out(lk, chg->table, &out, err) < 0)
        return CDC_FAIL;
    int n = cdc_plan_records(chg->table->plan, chg, batch->read_us, recs, err);
    if (n < 0)
        return CDC_FAIL;
    for (int i = 0; i < n; i++)
        if (put_record(lk, out, &recs[i], err) < 0)
            return CDC_FAIL;
    lk->last = out;
    out->used = ++lk->used;
    if (lk->held > LAKE_HELD_MAX && shrink(lk, err) < 0)
        return CDC_FAIL;
    if (cdc_avro_writer_bytes(out->w) < lk->set.max_file_bytes)
        return CDC_OK;
    lk->full = true;
    return finish_part(lk, out, err);
}

int lake_write(struct cdc_sink *snk, struct cdc_batch *batch, struct cdc_error *err)
{
    struct lake *lk = (struct lake *)snk;
    for (size_t i = 0; i < batch->n; i++)
        if (write_change(lk, batch, &batch->changes[i], err) < 0)
            return CDC_FAIL;
    return lk->full ? CDC_FULL : CDC_OK;
}
