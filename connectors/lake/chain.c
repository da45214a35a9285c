/*
 * chain.c - the commit log replayed: what a record must look like to follow another, the map that
 * the deltas add up to, checkpoint objects that shorten the replay, and walks over names.
 *
 * A checkpoint object is a cache: it names the hash of the record it was made after, and is only
 * believed if that record is there and has this hash. `_last` is a hint about where to begin and
 * proof of the least that must exist: it is written after the commit that it names.
 */
#include "lake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void lake_chain_init(struct lake_chain *chain)
{
    *chain = (struct lake_chain){.sha = LAKE_ZEROS};
    cdc_map_init(&chain->map);
}

void lake_chain_done(struct lake_chain *chain)
{
    cdc_map_done(&chain->map);
    free(chain->to);
    lake_chain_init(chain);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int lake_chain_follows(const struct lake_chain *chain, const struct lake_commit *rec,
                       const char *name, struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    lake_commit_path(rec->seq, path);
    const char *what = NULL;
    if (rec->seq != chain->seq + 1)
        what = "its number is not the one after the record before";
    else if (strcmp(rec->prev, chain->sha) != 0)
        what = "it was made after another record than the one that lies before it (prev)";
    else if (!same_text(rec->from, chain->to))
        what = "it does not begin where the record before ended (from)";
    else if (rec->epoch < chain->epoch)
        what = "its epoch is lower than that of the record before";
    else if (name && strcmp(rec->name, name) != 0)
        what = "it belongs to another pipeline";
    if (what)
        return cdc_fail(err, CDC_FATAL, path,
                        "the commit log is damaged or mixed from two lakes: %s. Restore the lake "
                        "from a copy, or begin with an empty folder",
                        what);
    return CDC_OK;
}

int lake_chain_apply(struct lake_chain *chain, const struct lake_commit *rec, const char sha[65],
                     struct cdc_error *err)
{
    char *to = rec->to ? strdup(rec->to) : NULL;
    if ((rec->to && !to) || cdc_map_apply(&chain->map, &rec->delta) < 0) {
        free(to);
        return cdc_fail_oom(err);
    }
    free(chain->to);
    chain->to = to;
    chain->seq = rec->seq;
    chain->epoch = rec->epoch;
    memcpy(chain->sha, sha, sizeof chain->sha);
    if (rec->n_files > 0) {
        chain->data_seq = rec->seq;
        chain->data_us = rec->at_us;
    }
    for (size_t i = 0; i < rec->n_files; i++) {
        chain->files++;
        chain->records += rec->files[i].records;
        chain->bytes += rec->files[i].bytes;
    }
    return CDC_OK;
}

int lake_chain_read(struct lake_store *st, uint64_t seq, struct lake_commit *ret, char sha[65],
                    struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    lake_commit_path(seq, path);
    int rc = lake_load(st, path, &buf, err);
    if (rc == CDC_OK && lake_commit_parse(cdc_buf_slice(&buf), ret, err) < 0)
        rc = cdc_fail_in(err, path);
    if (rc == CDC_OK && sha)
        lake_sha256(cdc_buf_slice(&buf), sha);
    cdc_buf_done(&buf);
    return rc;
}

/* ---- checkpoint objects ---- */

static int put_dump(const char *p, size_t n, void *arg)
{
    cdc_buf_put(arg, p, n);
    return ((struct cdc_buf *)arg)->failed ? -1 : 0;
}

static json_t *map_json(const struct cdc_map *map)
{
    json_t *out = json_object();
    for (size_t i = 0; i < map->n; i++) {
        const struct cdc_kv *kv = &map->items[i];
        json_t *value = json_loadb((const char *)kv->value.p, kv->value.len,
                                   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (json_object_setn_new(out, (const char *)kv->key.p, kv->key.len, value) < 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

int lake_point_save(struct lake_store *st, const struct lake_chain *chain, const char *name,
                    struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    json_t *out =
        json_pack("{s:i,s:I,s:s,s:s,s:I,s:s?,s:I,s:I,s:{s:I,s:I,s:I},s:o}", "v", 1, "seq",
                  (json_int_t)chain->seq, "name", name, "sha256", chain->sha, "epoch",
                  (json_int_t)chain->epoch, "to", chain->to, "data_seq",
                  (json_int_t)chain->data_seq, "data_us", (json_int_t)chain->data_us, "totals",
                  "files", (json_int_t)chain->files, "records", (json_int_t)chain->records, "bytes",
                  (json_int_t)chain->bytes, "map", map_json(&chain->map));
    lake_point_path(chain->seq, path);
    int rc = !out || json_dump_callback(out, put_dump, &buf, JSON_COMPACT) < 0
                 ? cdc_fail_oom(err)
                 : st->ops->put(st, path, cdc_buf_slice(&buf), LAKE_CREATE, err);
    json_decref(out);
    cdc_buf_done(&buf);
    return rc == LAKE_EXISTS ? CDC_OK : rc;
}

static int point_map(json_t *json, struct cdc_map *ret)
{
    const char *key;
    json_t *value;
    int rc = json_is_object(json) ? CDC_OK : CDC_FAIL;
    json_object_foreach(json, key, value)
    {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text || cdc_map_put(ret, cdc_slice_str(key), cdc_slice_str(text)) < 0)
            rc = CDC_FAIL;
        free(text);
    }
    return rc;
}

static int point_fill(json_t *json, uint64_t seq, struct lake_chain *chain)
{
    json_int_t v, number, epoch, data_seq, data_us, files, records, bytes;
    const char *sha;
    json_t *map, *to;
    if (json_unpack(json, "{s:I,s:I,s:s,s:I,s:o,s:I,s:I,s:{s:I,s:I,s:I},s:o}", "v", &v, "seq",
                    &number, "sha256", &sha, "epoch", &epoch, "to", &to, "data_seq", &data_seq,
                    "data_us", &data_us, "totals", "files", &files, "records", &records, "bytes",
                    &bytes, "map", &map) < 0 ||
        v != 1 || number < 0 || (uint64_t)number != seq || !lake_is_hex(sha, 64) || epoch < 0 ||
        epoch > UINT32_MAX || point_map(map, &chain->map) < 0)
        return CDC_FAIL;
    memcpy(chain->sha, sha, 65);
    chain->seq = seq;
    chain->epoch = (uint32_t)epoch;
    chain->data_seq = (uint64_t)data_seq;
    chain->data_us = data_us;
    chain->files = (uint64_t)files;
    chain->records = (uint64_t)records;
    chain->bytes = (uint64_t)bytes;
    chain->to = json_is_string(to) ? strdup(json_string_value(to)) : NULL;
    return json_is_string(to) && !chain->to ? CDC_FAIL : CDC_OK;
}

int lake_point_load(struct lake_store *st, uint64_t seq, struct lake_chain *chain,
                    struct cdc_error *err)
{
    char path[LAKE_PATH_MAX];
    struct cdc_buf buf = CDC_BUF(LAKE_OBJECT_MAX);
    lake_point_path(seq, path);
    int rc = lake_load(st, path, &buf, err);
    json_t *json = rc == CDC_OK ? json_loadb((const char *)buf.p, buf.len,
                                             JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
                                : NULL;
    if (rc == CDC_OK && (!json || point_fill(json, seq, chain) < 0)) {
        lake_chain_done(chain);
        rc = cdc_fail(err, CDC_FATAL, path, "the checkpoint object is damaged");
    }
    json_decref(json);
    cdc_buf_done(&buf);
    return rc;
}

void lake_hint_save(struct lake_store *st, uint64_t seq, uint64_t point)
{
    char text[80];
    int n =
        snprintf(text, sizeof text, "{\"seq\":%" PRIu64 ",\"checkpoint\":%" PRIu64 "}", seq, point);
    /* Best effort: whoever reads it does without it as well. */
    (void)st->ops->put(st, LAKE_LAST, cdc_slice_of(text, (size_t)n), LAKE_REPLACE, NULL);
}

void lake_hint_load(struct lake_store *st, uint64_t *ret_seq, uint64_t *ret_point)
{
    struct cdc_buf buf = CDC_BUF(4096);
    json_int_t seq = 0, point = 0;
    json_t *json = lake_load(st, LAKE_LAST, &buf, NULL) == CDC_OK
                       ? json_loadb((const char *)buf.p, buf.len, 0, NULL)
                       : NULL;
    if (!json || json_unpack(json, "{s:I,s:I}", "seq", &seq, "checkpoint", &point) < 0 || seq < 0 ||
        point < 0)
        seq = point = 0;
    *ret_seq = (uint64_t)seq;
    *ret_point = (uint64_t)point;
    json_decref(json);
    cdc_buf_done(&buf);
}

/* ---- walks ---- */

struct numbers {
    size_t digits, n, cap;
    uint64_t *list;
};

static int see_number(void *arg, const char *name, struct cdc_error *err)
{
    struct numbers *nums = arg;
    uint64_t n;
    if (!lake_number_parse(name, nums->digits, ".json", &n))
        return CDC_OK;
    if (nums->n == nums->cap) {
        size_t cap = nums->cap ? nums->cap * 2 : 64;
        uint64_t *list = realloc(nums->list, cap * sizeof *list);
        if (!list)
            return cdc_fail_oom(err);
        nums->list = list;
        nums->cap = cap;
    }
    nums->list[nums->n++] = n;
    return CDC_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int lake_numbers(struct lake_store *st, const char *dir, size_t digits, uint64_t **ret,
                 size_t *ret_n, struct cdc_error *err)
{
    struct numbers nums = {.digits = digits};
    if (st->ops->list(st, dir, see_number, &nums, err) < 0) {
        free(nums.list);
        return CDC_FAIL;
    }
    if (nums.n > 1)
        qsort(nums.list, nums.n, sizeof *nums.list, by_number);
    *ret = nums.list;
    *ret_n = nums.n;
    return CDC_OK;
}

int lake_names_add(struct lake_names *names, const char *path, struct cdc_error *err)
{
    if (names->n == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 256;
        uint64_t *hashes = realloc(names->hashes, cap * sizeof *hashes);
        if (!hashes)
            return cdc_fail_oom(err);
        names->hashes = hashes;
        names->cap = cap;
    }
    names->hashes[names->n++] = lake_hash(path);
    names->sorted = false;
    return CDC_OK;
}

bool lake_names_have(struct lake_names *names, const char *path)
{
    uint64_t hash = lake_hash(path);
    if (names->n == 0)
        return false;
    if (!names->sorted)
        qsort(names->hashes, names->n, sizeof *names->hashes, by_number);
    names->sorted = true;
    return bsearch(&hash, names->hashes, names->n, sizeof hash, by_number) != NULL;
}

void lake_names_done(struct lake_names *names)
{
    free(names->hashes);
    *names = (struct lake_names){0};
}

/* Three levels: log/ table / dt= / file. `path` is the folder of the level being listed. */
struct walk {
    struct lake_store *st;
    const char *since;
    lake_found *found;
    void *arg;
    char path[LAKE_PATH_MAX];
};

static int see_file(void *arg, const char *name, struct cdc_error *err)
{
    struct walk *walk = arg;
    struct lake_name parts;
    char path[LAKE_PATH_MAX * 2];
    if (!lake_name_parse(name, &parts))
        return CDC_OK; /* not of our making: none of our business */
    snprintf(path, sizeof path, "%s/%s", walk->path, name);
    return walk->found(walk->arg, path, &parts, err);
}

static int see_day(void *arg, const char *name, struct cdc_error *err)
{
    struct walk *walk = arg;
    size_t n = strlen(walk->path);
    if (strncmp(name, "dt=", 3) != 0 || strcmp(name + 3, walk->since) < 0 ||
        n + strlen(name) + 2 > sizeof walk->path)
        return CDC_OK;
    snprintf(walk->path + n, sizeof walk->path - n, "/%s", name);
    int rc = walk->st->ops->list(walk->st, walk->path, see_file, walk, err);
    walk->path[n] = 0;
    return rc;
}

static int see_table(void *arg, const char *name, struct cdc_error *err)
{
    struct walk *walk = arg;
    if (*name == '.' || strlen(name) + 8 > sizeof walk->path)
        return CDC_OK;
    snprintf(walk->path, sizeof walk->path, "log/%s", name);
    return walk->st->ops->list(walk->st, walk->path, see_day, walk, err);
}

int lake_walk(struct lake_store *st, const char *since, lake_found *found, void *arg,
              struct cdc_error *err)
{
    struct walk walk = {.st = st, .since = since, .found = found, .arg = arg};
    return st->ops->list(st, "log", see_table, &walk, err);
}
