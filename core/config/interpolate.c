/*
 * interpolate.c - ${env:NAME} and ${file:/path} in values, so that secrets stay out of the file.
 *
 * One pass from left to right; what was put in is not looked at again. `$${` writes a plain `${`; a
 * `$` before anything else is a `$`. What was read never reaches a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/node.h"

struct piece {
    const struct cdc_doc *doc;
    int line;
    struct cdc_buf *out;
    struct cdc_error *err;
};

static bool is_name(const char *s)
{
    if (*s >= '0' && *s <= '9')
        return false;
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return n && !s[n];
}

static int put_env(const struct piece *pc, const char *name)
{
    if (!is_name(name))
        return cdc_doc_fail(pc->doc, pc->line, pc->err,
                            "${env:...} needs the name of an environment variable: letters, digits "
                            "and _");
    const char *value = getenv(name);
    if (!value)
        return cdc_doc_fail(pc->doc, pc->line, pc->err,
                            "the environment variable %s is not set: set it for this command, or "
                            "use ${file:/path}",
                            name);
    cdc_buf_str(pc->out, value);
    return CDC_OK;
}

/* All of fd into buf; 0, or an errno. EFBIG: more than buf takes. */
static int read_all(int fd, struct cdc_buf *buf)
{
    for (;;) {
        uint8_t chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        cdc_buf_put(buf, chunk, (size_t)n);
        if (buf->failed)
            return EFBIG;
    }
}

static int put_file(const struct piece *pc, const char *path)
{
    struct cdc_buf text = CDC_BUF(CDC_INTERPOLATE_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int error = fd < 0 ? errno : read_all(fd, &text);
    if (fd >= 0)
        close(fd);
    int rc = CDC_OK;
    if (error)
        rc = cdc_doc_fail(pc->doc, pc->line, pc->err, "${file:%s} cannot be read: %s", path,
                          error == EFBIG ? "larger than 64 KiB" : strerror(error));
    else if (text.len && memchr(text.p, 0, text.len))
        rc =
            cdc_doc_fail(pc->doc, pc->line, pc->err, "${file:%s} is no text: it holds a NUL", path);
    else {
        if (text.len && text.p[text.len - 1] == '\n')
            text.len--;
        cdc_buf_put(pc->out, text.p, text.len);
    }
    cdc_buf_done(&text);
    return rc;
}

static int put_piece(const struct piece *pc, const char *spec)
{
    if (strncmp(spec, "env:", 4) == 0)
        return put_env(pc, spec + 4);
    if (strncmp(spec, "file:", 5) == 0)
        return put_file(pc, spec + 5);
    return cdc_doc_fail(pc->doc, pc->line, pc->err,
                        "this ${...} is not understood: write ${env:NAME} or ${file:/path}, or $${ "
                        "for a plain ${");
}

/* `at` points to "${"; *ret behind its "}". */
static int replace(const struct piece *pc, const char *at, const char **ret)
{
    const char *end = strchr(at, '}');
    if (!end)
        return cdc_doc_fail(pc->doc, pc->line, pc->err,
                            "a ${ without its }: write $${ for a plain ${");
    struct cdc_slice spec = cdc_slice_of(at + 2, (size_t)(end - at) - 2);
    spec = cdc_arena_copy(pc->doc->arena, spec);
    if (!spec.p)
        return cdc_fail_oom(pc->err);
    *ret = end + 1;
    return put_piece(pc, (const char *)spec.p);
}

static int expand(const struct piece *pc, const char *text, bool *ret_hidden)
{
    while (*text) {
        size_t plain = strcspn(text, "$");
        cdc_buf_put(pc->out, text, plain);
        text += plain;
        if (strncmp(text, "$${", 3) == 0) {
            cdc_buf_str(pc->out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            *ret_hidden = true;
            if (replace(pc, text, &text) != CDC_OK)
                return CDC_FAIL;
        } else if (*text) {
            cdc_buf_byte(pc->out, (uint8_t)*text++);
        }
    }
    return CDC_OK;
}

int cdc_interpolate(const struct cdc_doc *doc, int line, const char *text, const char **ret,
                    bool *ret_hidden, struct cdc_error *err)
{
    struct cdc_buf out = CDC_BUF(4u << 20);
    struct piece pc = {.doc = doc, .line = line, .out = &out, .err = err};
    *ret_hidden = false;
    int rc = expand(&pc, text, ret_hidden);
    if (rc == CDC_OK && out.failed)
        rc = cdc_doc_fail(doc, line, err, "a value is too long");
    if (rc == CDC_OK) {
        const char *done = cdc_buf_cstr(&out);
        *ret = done ? cdc_arena_strdup(doc->arena, done) : NULL;
        rc = *ret ? CDC_OK : cdc_fail_oom(err);
    }
    cdc_buf_done(&out);
    return rc;
}
