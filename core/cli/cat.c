/*
 * cat.c - `sidestream cat`: what was captured, as JSON lines, in commit order and then by `__seq`.
 *
 *   {"table":"public.users","commit":42,"key":{...},"row":{...}}
 *
 * Only what is committed is shown. With --files it is the paths of the data files, one a line.
 * A reader that closes the pipe ends the command quietly (`... | head`).
 */
#include "avro/json.h"
#include "cli/cli.h"
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES ((size_t)1 << 30)
#define LOOK_NS        200000000L

struct cat {
    const struct cdc_feed_ops *ops;
    struct cdc_feed *feed;
    const char *table; /* NULL: all */
    bool files, follow;
    const volatile sig_atomic_t *stop;
    struct cdc_buf line;
};

/* CDC_END: nobody reads any more. */
static int put_failed(struct cdc_error *err)
{
    if (errno == EPIPE)
        return CDC_END;
    return cdc_fail(err, CDC_FATAL, "standard output", "cannot write: %s", strerror(errno));
}

static int put_line(struct cat *cat, struct cdc_error *err)
{
    cdc_buf_byte(&cat->line, '\n');
    if (cat->line.failed)
        return cdc_fail_oom(err);
    if (fwrite(cat->line.p, 1, cat->line.len, stdout) != cat->line.len)
        return put_failed(err);
    return CDC_OK;
}

static void put_table(struct cdc_buf *line, const struct cdc_row_schema *schema)
{
    char name[1024]; /* two names of at most 64 characters each */
    int n = snprintf(name, sizeof name, "%s.%s", schema->table_schema, schema->table_name);
    cdc_json_string(line, cdc_slice_of(name, n < (int)sizeof name ? (size_t)n : sizeof name - 1));
}

static int put_row(struct cat *cat, uint64_t commit, const struct cdc_feed_row *row,
                   struct cdc_error *err)
{
    struct cdc_buf *line = &cat->line;
    cdc_buf_reset(line);
    cdc_buf_str(line, "{\"table\":");
    put_table(line, row->schema);
    cdc_buf_printf(line, ",\"commit\":%llu,\"key\":", (unsigned long long)commit);
    cdc_json_key(line, row->schema, row->values);
    cdc_buf_str(line, ",\"row\":");
    cdc_json_row(line, row->schema, row->values);
    cdc_buf_byte(line, '}');
    return put_line(cat, err);
}

static int put_rows(struct cat *cat, uint64_t commit, struct cdc_error *err)
{
    struct cdc_feed_row row = {0};
    int status = CDC_OK;
    while (!*cat->stop && (status = cat->ops->row(cat->feed, cat->table, &row, err)) == CDC_OK) {
        status = put_row(cat, commit, &row, err);
        if (status)
            return status;
    }
    return status == CDC_FAIL ? CDC_FAIL : CDC_OK;
}

static int put_files(struct cat *cat, struct cdc_error *err)
{
    struct cdc_feed_file file = {0};
    int status = CDC_OK;
    while (!*cat->stop && (status = cat->ops->file(cat->feed, &file, err)) == CDC_OK) {
        if (cat->table && strcmp(file.table, cat->table) != 0)
            continue;
        cdc_buf_reset(&cat->line);
        cdc_buf_str(&cat->line, file.path);
        status = put_line(cat, err);
        if (status)
            return status;
    }
    return status == CDC_FAIL ? CDC_FAIL : CDC_OK;
}

static int flush(struct cdc_error *err)
{
    return fflush(stdout) == 0 ? CDC_OK : put_failed(err);
}

static int cat_all(struct cat *cat, struct cdc_error *err)
{
    while (!*cat->stop) {
        struct cdc_feed_commit commit = {0};
        int status = cat->ops->commit(cat->feed, &commit, err);
        if (status == CDC_FAIL)
            return CDC_FAIL;
        if (status != CDC_OK) { /* no further commit yet */
            if (!cat->follow)
                break;
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
            continue;
        }
        status = cat->files ? put_files(cat, err) : put_rows(cat, commit.number, err);
        if (!status && cat->follow)
            status = flush(err);
        if (status)
            return status;
    }
    return flush(err);
}

static int read_from(const struct cdc_args *args, uint64_t *ret, struct cdc_error *err)
{
    const char *from = cdc_arg(args, "--from");
    char *end = NULL;
    errno = 0;
    *ret = from ? strtoull(from, &end, 10) : 0;
    if (from && (errno || *end || from[0] < '0' || from[0] > '9'))
        return cdc_fail(err, CDC_CONFIG, "--from",
                        "wants the number of a commit, as in the \"commit\" of a line; the first "
                        "one printed is the one after it");
    return CDC_OK;
}

static int read_table(const struct cdc_args *args, struct cat *cat, struct cdc_error *err)
{
    const char *table = cdc_arg(args, "--table"), *files = cdc_arg(args, "--files");
    cat->files = files != NULL;
    cat->table = files && *files ? files : table;
    if (cat->table && !strchr(cat->table, '.'))
        return cdc_fail(err, CDC_CONFIG, files && *files ? "--files" : "--table",
                        "wants schema.table, as in public.users");
    return CDC_OK;
}

static int check_files(const struct cat *cat, const struct cdc_place *place, struct cdc_error *err)
{
    if (!cat->files || place->ops->file)
        return CDC_OK;
    return cdc_fail(err, CDC_CONFIG, "--files",
                    "the sink of %s writes no data files; without --files its records are printed",
                    place->name);
}

int cdc_cmd_cat(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_place place = {0};
    struct cat cat = {.line = CDC_BUF(LINE_MAX_BYTES)};
    struct cdc_feed_start start = {0};
    int status = cdc_args_read("cat", argc, argv, &args, &err);
    if (!status)
        status = read_from(&args, &start.after, &err) || read_table(&args, &cat, &err);
    if (!status)
        status = cdc_place_find(args.place, &place, &err) || check_files(&cat, &place, &err) ||
                 cdc_place_open(&place, &start, &err);
    if (!status) {
        cat.ops = place.ops;
        cat.feed = place.feed;
        cat.follow = cdc_arg(&args, "--follow") != NULL;
        cat.stop = cdc_stop_on_signals();
        status = cat_all(&cat, &err);
    }
    cdc_buf_done(&cat.line);
    cdc_place_close(&place);
    return status == CDC_OK || status == CDC_END ? CDC_EXIT_OK : cdc_cli_exit(&err);
}
