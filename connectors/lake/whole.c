/*
 * whole.c - does what is left behind the floor hold every row of every table?
 *
 * The checkpoint tells (DESIGN.md part 12): `table/<t>` is a table that has rows in the lake,
 * `copy/<t>` says which copy of it was made last: {"state":"done","generation":g}. A copy that
 * began behind the floor has a greater generation than the one known at the floor; once it is done,
 * all rows of the table, as they are, lie behind the floor. A table that was not known at the floor
 * has no rows before it. Logical messages (`_sidestream.`) are a log, of which there is no whole.
 */
#include "lake.h"

#include <stdlib.h>

#define TABLE "table/"
#define OURS  "table/_sidestream."

/* The last copy of a table, as a map says: its generation, 0: none; done? */
static json_int_t copy_of(const struct cdc_map *map, const char *table, bool *ret_done)
{
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "copy/%s", table);
    const char *name = cdc_buf_cstr(&key);
    struct cdc_slice value = name ? cdc_map_get(map, name) : (struct cdc_slice){0};
    json_t *json = value.p ? json_loadb((const char *)value.p, value.len, 0, NULL) : NULL;
    const char *state = json_string_value(json_object_get(json, "state"));
    json_int_t generation = json_integer_value(json_object_get(json, "generation"));
    *ret_done = state && strcmp(state, "done") == 0;
    json_decref(json);
    cdc_buf_done(&key);
    return generation;
}

static bool copied_since(const struct cdc_map *floor, const struct cdc_map *head, const char *table)
{
    bool done, then;
    json_int_t now = copy_of(head, table, &done);
    return done && now > copy_of(floor, table, &then);
}

/* The log's end, from the newest checkpoint object that can be read, else from the floor. */
static int load_head(struct lake_store *st, const struct lake_chain *floor, struct lake_chain *ret,
                     struct cdc_error *err)
{
    uint64_t *points = NULL;
    size_t n = 0;
    struct lake_commit rec;
    char sha[65];
    if (lake_numbers(st, LAKE_POINTS, 20, &points, &n, err) < 0)
        return CDC_FAIL;
    int rc = CDC_END;
    while (rc != CDC_OK && n-- > 0 && points[n] >= floor->seq)
        rc = lake_point_load(st, points[n], ret, NULL);
    free(points);
    if (rc != CDC_OK)
        return cdc_fail(err, CDC_FATAL, LAKE_POINTS, "no checkpoint object can be read");
    while ((rc = lake_chain_read(st, ret->seq + 1, &rec, sha, err)) == CDC_OK) {
        rc = lake_chain_follows(ret, &rec, NULL, err);
        if (rc == CDC_OK)
            rc = lake_chain_apply(ret, &rec, sha, err);
        lake_commit_done(&rec);
        if (rc < 0)
            return CDC_FAIL;
    }
    return rc == CDC_END ? CDC_OK : CDC_FAIL;
}

int lake_whole(struct lake_store *st, const struct lake_chain *floor, char **ret_table,
               struct cdc_error *err)
{
    struct lake_chain head;
    lake_chain_init(&head);
    int rc = load_head(st, floor, &head, err);
    for (size_t i = 0; rc == CDC_OK && i < floor->map.n; i++) {
        const char *key = (const char *)floor->map.items[i].key.p; /* NUL behind it */
        if (strncmp(key, TABLE, strlen(TABLE)) != 0 || strncmp(key, OURS, strlen(OURS)) == 0 ||
            copied_since(&floor->map, &head.map, key + strlen(TABLE)))
            continue;
        *ret_table = strdup(key + strlen(TABLE));
        rc = *ret_table ? CDC_END : cdc_fail_oom(err);
    }
    lake_chain_done(&head);
    return rc;
}
