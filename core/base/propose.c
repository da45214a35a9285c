/*
 * propose.c - see propose.h: the parts of the proposed text. What only a person can decide is
 * written as a comment, such that taking its # away is enough.
 */
#include "cdc/propose.h"

#define LIST_MAX 65536

static void add_name(struct cdc_buf *list, const char *column)
{
    list->max = LIST_MAX;
    if (list->len)
        cdc_buf_str(list, ", ");
    cdc_name_yaml(list, column);
}

void cdc_hints_take(struct cdc_hints *hints, const char *column, enum cdc_hint_type type, bool key)
{
    enum cdc_hint hint = cdc_name_printable(column) ? cdc_hint(column, type) : CDC_HINT_NONE;
    if (hint == CDC_HINT_UPDATED && !hints->updated.len)
        add_name(&hints->updated, column);
    else if (hint == CDC_HINT_DELETED && !hints->deleted.len)
        add_name(&hints->deleted, column);
    else if (hint >= CDC_HINT_EXCLUDE && (!key || hint == CDC_HINT_HASH))
        add_name(&hints->acts[hint - CDC_HINT_EXCLUDE], column);
}

bool cdc_hints_put(const struct cdc_hints *hints, struct cdc_buf *text)
{
    static const char *const names[] = {"exclude", "hash", "mask"};
    const char *glue = "    # columns: {";
    for (size_t i = 0; i < 3; i++) {
        if (!hints->acts[i].len)
            continue;
        cdc_buf_printf(text, "%s%s: [", glue, names[i]);
        cdc_buf_put(text, hints->acts[i].p, hints->acts[i].len);
        cdc_buf_byte(text, ']');
        glue = ", ";
    }
    if (glue[0] == ',')
        cdc_buf_str(text, "}\n");
    if (hints->updated.len)
        cdc_buf_printf(text, "    # updated_at: %.*s\n", (int)hints->updated.len,
                       (const char *)hints->updated.p);
    if (hints->deleted.len)
        cdc_buf_printf(text, "    # logical_delete: {column: %.*s}\n", (int)hints->deleted.len,
                       (const char *)hints->deleted.p);
    return hints->acts[CDC_HINT_HASH - CDC_HINT_EXCLUDE].len > 0;
}

void cdc_hints_done(struct cdc_hints *hints)
{
    for (size_t i = 0; i < 3; i++)
        cdc_buf_done(&hints->acts[i]);
    cdc_buf_done(&hints->updated);
    cdc_buf_done(&hints->deleted);
}

void cdc_propose_head(struct cdc_buf *text, const char *what, const char *name, const char *type)
{
    cdc_buf_str(text, "# Proposed by `sidestream init` from what is in ");
    cdc_name_comment(text, what);
    cdc_buf_printf(text,
                   ".\n# Look through the rules, take the # off what is wanted, then: sidestream "
                   "check FILE\n"
                   "# docs/configuration.md tells every option, docs/capture.md the rules.\n\n"
                   "name: %s   # what the pipeline makes is named after it\n"
                   "source:\n  type: %s\n",
                   name, type);
}

void cdc_propose_schema(struct cdc_buf *text, const char *schema, bool comment)
{
    struct cdc_buf name = CDC_BUF(4096);
    cdc_name_pattern(&name, schema, "");
    const char *pattern = cdc_buf_cstr(&name);
    bool quoted = pattern && pattern[0] == '\'';
    if (pattern)
        cdc_buf_printf(text, "  %s- tables: %.*s*%s\n", comment ? "# " : "",
                       (int)(name.len - quoted), pattern, quoted ? "'" : "");
    cdc_buf_done(&name);
}

void cdc_propose_tail(struct cdc_buf *text, const char *name, bool hashes)
{
    if (hashes)
        cdc_buf_str(text, "\n# The key of `hash:`, at least 16 bytes; `openssl rand -hex 32` "
                          "makes one.\n# secrets: {hash: \"${env:SIDESTREAM_HASH}\"}\n");
    cdc_buf_printf(text, "\nsink:\n  type: lake\n  path: ./%s-lake\n", name);
}
