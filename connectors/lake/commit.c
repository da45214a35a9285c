/*
 * commit.c - the commit record: made, and taken apart again (README.md shows one).
 *
 * One JSON object, compact, members in a fixed order. Its bytes are the identity: the next record
 * holds their SHA-256. The checkpoint's delta stands in it as JSON, a deleted key as null (so a
 * value cannot be the JSON null). Members that this version does not know are ignored; a missing or
 * odd one makes the record unreadable. Nothing here does I/O.
 */
#include "lake.h"

#include <stdlib.h>

static const char *const kinds[] = {"data", "idle", "epoch"};

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *ops_json(const uint64_t ops[LAKE_OPS])
{
    json_t *out = json_object();
    for (size_t i = 0; i < LAKE_OPS; i++)
        if (ops[i] || LAKE_OP_IS[i] != 'm')
            json_object_set_new(out, (const char[]){LAKE_OP_IS[i], 0},
                                json_integer((json_int_t)ops[i]));
    return out;
}

static json_t *file_json(const struct lake_file *file)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:o,s:s,s:s}", "table", file->table,
                     "path", file->path, "format", file->format, "codec", file->codec, "schema",
                     file->schema, "schema_id", (json_int_t)file->schema_id, "bytes",
                     (json_int_t)file->bytes, "records", (json_int_t)file->records, "sha256",
                     file->sha256, "ops", ops_json(file->ops), "seq_min", file->seq_min, "seq_max",
                     file->seq_max);
}

static int delta_json(const struct cdc_map *delta, json_t *out, struct cdc_error *err)
{
    for (size_t i = 0; i < delta->n; i++) {
        const struct cdc_kv *kv = &delta->items[i];
        const char *key = (const char *)kv->key.p; /* NUL behind it: a map's own copy */
        json_t *value = kv->value.p ? json_loadb((const char *)kv->value.p, kv->value.len,
                                                 JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                                    : json_null();
        if (!value || (kv->value.p && json_is_null(value))) {
            json_decref(value);
            return cdc_fail(err, CDC_FATAL, "checkpoint",
                            "the value of key %s is no JSON text (or is null): a bug, please "
                            "report it",
                            key);
        }
        if (json_object_setn_new(out, key, kv->key.len, value) < 0)
            return cdc_fail(err, CDC_FATAL, "checkpoint",
                            "a key is no UTF-8: a bug, please report "
                            "it");
    }
    return CDC_OK;
}

static int put_dump(const char *p, size_t n, void *arg)
{
    struct cdc_buf *buf = arg;
    cdc_buf_put(buf, p, n);
    return buf->failed ? -1 : 0;
}

int lake_commit_make(const struct lake_commit *rec, struct cdc_buf *ret, struct cdc_error *err)
{
    char at[28];
    lake_time(rec->at_us, at);
    json_t *delta = json_object(), *files = json_array();
    int rc = delta_json(&rec->delta, delta, err);
    for (size_t i = 0; i < rec->n_files; i++)
        json_array_append_new(files, file_json(&rec->files[i]));
    bool whole = json_array_size(files) == rec->n_files;
    json_t *out = json_pack("{s:i,s:I,s:s,s:s,s:I,s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "v", 1, "seq",
                            (json_int_t)rec->seq, "prev", rec->prev, "name", rec->name, "epoch",
                            (json_int_t)rec->epoch, "nonce", rec->nonce, "kind", kinds[rec->kind],
                            "at", at, "from", text_or_null(rec->from), "to", text_or_null(rec->to),
                            "delta", delta, "files", files);
    if (rc == CDC_OK && (!out || !whole))
        rc = cdc_fail(err, CDC_FATAL, "commit", "a name or position is no UTF-8, or no memory");
    if (rc == CDC_OK && json_dump_callback(out, put_dump, ret, JSON_COMPACT) < 0)
        rc = cdc_fail_oom(err);
    json_decref(out);
    return rc;
}

/*
 * The way back. `bad` is the first member that is not as it should be.
 */
struct get {
    const json_t *obj;
    const char *bad;
};

static void blame(struct get *get, const char *key)
{
    if (!get->bad)
        get->bad = key;
}

static const char *get_text(struct get *get, const char *key)
{
    const json_t *json = json_object_get(get->obj, key);
    const char *text = json_string_value(json);
    if (!text || strlen(text) != json_string_length(json)) {
        blame(get, key);
        return "";
    }
    return text;
}

static const char *get_text_or_null(struct get *get, const char *key)
{
    return json_is_null(json_object_get(get->obj, key)) ? NULL : get_text(get, key);
}

static uint64_t get_number(struct get *get, const char *key, uint64_t max)
{
    const json_t *json = json_object_get(get->obj, key);
    json_int_t n = json_integer_value(json);
    if (!json_is_integer(json) || n < 0 || (uint64_t)n > max) {
        blame(get, key);
        return 0;
    }
    return (uint64_t)n;
}

static void get_hex(struct get *get, const char *key, size_t n, char *ret)
{
    const char *text = get_text(get, key);
    if (lake_is_hex(text, n))
        memcpy(ret, text, n + 1);
    else
        blame(get, key);
}

static void get_seq(struct get *get, const char *key, char *ret)
{
    const char *text = get_text(get, key);
    if (strlen(text) == CDC_SEQ_LEN && strspn(text, "0123456789abcdef-") == CDC_SEQ_LEN &&
        text[8] == '-' && text[33] == '-')
        memcpy(ret, text, CDC_SEQ_LEN + 1);
    else
        blame(get, key);
}

static void get_ops(struct get *get, uint64_t records, uint64_t ret[LAKE_OPS])
{
    struct get ops = {.obj = json_object_get(get->obj, "ops")};
    uint64_t sum = 0;
    for (size_t i = 0; i < LAKE_OPS; i++) {
        const char key[] = {LAKE_OP_IS[i], 0};
        if (json_object_get(ops.obj, key) || key[0] != 'm')
            ret[i] = get_number(&ops, key, records);
        sum += ret[i];
    }
    if (ops.bad || sum != records)
        blame(get, "ops");
}

static bool parse_file(const json_t *json, struct lake_file *ret, const char **ret_bad)
{
    struct get get = {.obj = json};
    ret->table = get_text(&get, "table");
    ret->path = get_text(&get, "path");
    ret->format = get_text(&get, "format");
    ret->codec = get_text(&get, "codec");
    get_hex(&get, "schema", 64, ret->schema);
    get_hex(&get, "sha256", 64, ret->sha256);
    ret->schema_id = (uint32_t)get_number(&get, "schema_id", INT32_MAX);
    ret->bytes = get_number(&get, "bytes", INT64_MAX);
    ret->records = get_number(&get, "records", INT64_MAX);
    get_ops(&get, ret->records, ret->ops);
    get_seq(&get, "seq_min", ret->seq_min);
    get_seq(&get, "seq_max", ret->seq_max);
    if (!get.bad && !lake_path_ok(ret->path))
        get.bad = "path";
    if (!get.bad && strcmp(ret->format, "avro") != 0)
        get.bad = "format";
    *ret_bad = get.bad;
    return !get.bad;
}

static void parse_files(struct get *get, struct lake_commit *ret)
{
    const json_t *files = json_object_get(get->obj, "files");
    if (!json_is_array(files)) {
        blame(get, "files");
        return;
    }
    size_t n = json_array_size(files);
    ret->files = calloc(n ? n : 1, sizeof *ret->files);
    ret->n_files = ret->files ? n : 0;
    if (!ret->files)
        blame(get, "files");
    const char *bad;
    for (size_t i = 0; i < ret->n_files; i++)
        if (!parse_file(json_array_get(files, i), &ret->files[i], &bad))
            blame(get, bad);
}

static void parse_delta(struct get *get, struct lake_commit *ret)
{
    json_t *delta = json_object_get(get->obj, "delta"), *value;
    const char *key;
    if (!json_is_object(delta)) {
        blame(get, "delta");
        return;
    }
    json_object_foreach(delta, key, value)
    {
        char *text = json_is_null(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if ((!text && !json_is_null(value)) ||
            cdc_map_put(&ret->delta, cdc_slice_str(key), cdc_slice_str(text)) < 0)
            blame(get, "delta");
        free(text);
    }
}

static void parse_head(struct get *get, struct lake_commit *ret)
{
    if (get_number(get, "v", 1) != 1)
        blame(get, "v");
    ret->seq = get_number(get, "seq", INT64_MAX);
    get_hex(get, "prev", 64, ret->prev);
    ret->name = get_text(get, "name");
    ret->epoch = (uint32_t)get_number(get, "epoch", UINT32_MAX);
    get_hex(get, "nonce", 32, ret->nonce);
    const char *kind = get_text(get, "kind");
    size_t i = 0;
    while (i < 3 && strcmp(kind, kinds[i]) != 0)
        i++;
    if (i == 3)
        blame(get, "kind");
    else
        ret->kind = (enum lake_kind)i;
    if (!lake_time_parse(get_text(get, "at"), &ret->at_us))
        blame(get, "at");
    ret->from = get_text_or_null(get, "from");
    ret->to = get_text_or_null(get, "to");
}

int lake_commit_parse(struct cdc_slice bytes, struct lake_commit *ret, struct cdc_error *err)
{
    json_error_t why;
    struct lake_commit rec = {0};
    rec.json =
        json_loadb((const char *)bytes.p, bytes.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!rec.json)
        return cdc_fail(err, CDC_FATAL, "", "no JSON at byte %d: the commit record is damaged",
                        why.position);
    struct get get = {.obj = rec.json};
    if (json_is_object(rec.json)) {
        parse_head(&get, &rec);
        parse_delta(&get, &rec);
        parse_files(&get, &rec);
    } else {
        get.bad = "the object";
    }
    if (!get.bad && (rec.kind == LAKE_DATA) != (rec.n_files > 0))
        get.bad = "kind";
    if (get.bad) {
        lake_commit_done(&rec);
        return cdc_fail(err, CDC_FATAL, "",
                        "%s is missing or wrong: the commit record is damaged, or of a newer "
                        "version",
                        get.bad);
    }
    *ret = rec;
    return CDC_OK;
}

void lake_commit_done(struct lake_commit *rec)
{
    cdc_map_done(&rec->delta);
    free(rec->files);
    json_decref(rec->json);
    *rec = (struct lake_commit){0};
}
