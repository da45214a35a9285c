/*
 * init.c - `sidestream init URL`: a configuration out of what is in the database.
 *
 * The text comes from the source whose kind of URL it is: each is asked in turn. The URL may hold a
 * password, so no message shows more of it than its scheme. A file that exists is never touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cdc/source.h"
#include "cli/cli.h"

#define TEXT_MAX ((size_t)64 << 20)
#define EXISTS   "exists already and is not overwritten: name another file"

/* "postgresql" of postgresql://..., as long as it looks like one; 0: nothing does. */
static size_t scheme_length(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return strncmp(url + n, "://", 3) == 0 && n <= 32 ? n : 0;
}

static int unknown_url(const struct cdc_source_ops *const *sources, const char *url,
                       struct cdc_error *err)
{
    struct cdc_buf names = CDC_BUF(4096);
    for (; *sources; sources++)
        if ((*sources)->propose)
            cdc_buf_printf(&names, "%s%s", names.len ? ", " : "", (*sources)->name);
    const char *list = cdc_buf_cstr(&names);
    size_t n = scheme_length(url);
    int rc;
    if (n)
        rc = cdc_fail(err, CDC_CONFIG, "init",
                      "no source knows URLs that begin with %.*s://; those that can be looked at "
                      "are: %s",
                      (int)n, url, list && *list ? list : "none");
    else
        rc = cdc_fail(err, CDC_CONFIG, "init",
                      "a URL is wanted, like postgresql://user@host:5432/database");
    cdc_buf_done(&names);
    return rc;
}

int cdc_init_propose(const struct cdc_source_ops *const *sources, const char *url,
                     struct cdc_buf *ret, struct cdc_error *err)
{
    for (const struct cdc_source_ops *const *src = sources; *src; src++) {
        int rc = (*src)->propose ? (*src)->propose(url, ret, err) : CDC_END;
        if (rc != CDC_END)
            return rc == CDC_OK && ret->failed ? cdc_fail_oom(err) : rc;
        cdc_buf_reset(ret);
    }
    return unknown_url(sources, url, err);
}

static int write_all(int fd, struct cdc_slice text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno != EINTR)
            return errno;
        text.p += n > 0 ? n : 0;
        text.len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int cdc_init_write(const char *path, struct cdc_slice text, struct cdc_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0 && errno == EEXIST)
        return cdc_fail(err, CDC_CONFIG, path, "%s", EXISTS);
    if (fd < 0)
        return cdc_fail(err, CDC_CONFIG, path, "cannot be made: %s", strerror(errno));
    int error = write_all(fd, text);
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error)
        return CDC_OK;
    unlink(path);
    return cdc_fail(err, CDC_FATAL, path, "cannot be written: %s", strerror(error));
}

static int put_text(const char *path, struct cdc_slice text, struct cdc_error *err)
{
    if (path)
        return cdc_init_write(path, text, err);
    fwrite(text.p, 1, text.len, stdout); /* main tells whether it arrived */
    return CDC_OK;
}

/* Told before the database is looked at, which may take a while. */
static int check_output(const char *path, struct cdc_error *err)
{
    if (path && access(path, F_OK) == 0)
        return cdc_fail(err, CDC_CONFIG, path, "%s", EXISTS);
    return CDC_OK;
}

int cdc_cmd_init(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_buf text = CDC_BUF(TEXT_MAX);
    if (cdc_args_read("init", argc, argv, &args, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    const char *path = cdc_arg(&args, "--output");
    int code = CDC_EXIT_OK;
    if (check_output(path, &err) != CDC_OK ||
        cdc_init_propose(cdc_sources(), args.place, &text, &err) != CDC_OK ||
        put_text(path, cdc_buf_slice(&text), &err) != CDC_OK)
        code = cdc_cli_exit(&err);
    else if (path)
        fprintf(stderr, "sidestream: wrote %s. Look it over, then: sidestream check %s\n", path,
                path);
    cdc_buf_done(&text);
    return code;
}
