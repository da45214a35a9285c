/*
 * yaml.c - libyaml's events made into a tree of nodes (node.h). The only file that knows libyaml.
 *
 * A recursive descent over the event stream, bounded by CDC_NODE_DEPTH. libyaml's own messages are
 * fixed sentences without text of the file, so they can be shown. Two of them help nobody and are
 * said anew: a tab in the indentation, and what an unquoted `%`, `@` or backquote does.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "config/node.h"

struct yaml_reader {
    yaml_parser_t parser;
    const struct cdc_doc *doc;
    struct cdc_slice text;
    struct cdc_error *err;
};

const char *cdc_doc_where(const struct cdc_doc *doc, int line)
{
    enum { ROOM = sizeof(((struct cdc_error *)0)->where) - sizeof(":2147483647") - 3 };
    size_t len = strlen(doc->path);
    const char *tail = len > ROOM ? doc->path + len - ROOM : doc->path;
    const char *where =
        cdc_arena_printf(doc->arena, "%s%s:%d", len > ROOM ? "..." : "", tail, line);
    return where ? where : "";
}

int cdc_doc_fail(const struct cdc_doc *doc, int line, struct cdc_error *err, const char *fmt, ...)
{
    char text[sizeof(err->message)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cdc_fail(err, CDC_CONFIG, cdc_doc_where(doc, line), "%s", text);
}

const struct cdc_entry *cdc_node_entry(const struct cdc_node *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return &map->entries[i];
    return NULL;
}

const char *cdc_node_shown(const struct cdc_node *scalar)
{
    return scalar->hidden ? "***" : scalar->text;
}

static int line_of(yaml_mark_t mark)
{
    return mark.line < INT_MAX ? (int)mark.line + 1 : INT_MAX;
}

/* Is there a tab among the blanks that the line (from 1) begins with? */
static bool indented_by_tab(struct cdc_slice text, int line)
{
    const uint8_t *p = text.p, *end = text.p + text.len;
    for (int at = 1; at < line && p; at++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    for (; p && p < end && (*p == ' ' || *p == '\t'); p++)
        if (*p == '\t')
            return true;
    return false;
}

static int syntax_error(struct yaml_reader *y)
{
    const yaml_parser_t *p = &y->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return cdc_fail_oom(y->err);
    int line = line_of(p->problem_mark);
    const char *problem = p->problem ? p->problem : "not understood";
    if (p->error == YAML_READER_ERROR)
        return cdc_doc_fail(y->doc, 1, y->err, "not a text in UTF-8: %s at byte %zu", problem,
                            p->problem_offset);
    if (indented_by_tab(y->text, line))
        return cdc_doc_fail(y->doc, line, y->err,
                            "a tab in the indentation: YAML is indented with spaces only");
    if (strcmp(problem, "found character that cannot start any token") == 0)
        return cdc_doc_fail(y->doc, line, y->err,
                            "a value cannot begin with this character: put it in quotes");
    if (p->context && line_of(p->context_mark) != line)
        return cdc_doc_fail(y->doc, line, y->err, "not valid YAML: %s (%s that began in line %d)",
                            problem, p->context, line_of(p->context_mark));
    return cdc_doc_fail(y->doc, line, y->err, "not valid YAML: %s", problem);
}

static int next_event(struct yaml_reader *y, yaml_event_t *ret)
{
    return yaml_parser_parse(&y->parser, ret) ? CDC_OK : syntax_error(y);
}

/* Anchor and tag of a node's first event: neither is wanted. */
static int refuse_extras(struct yaml_reader *y, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    int line = line_of(ev->start_mark);
    if (ev->type == YAML_ALIAS_EVENT || anchor)
        return cdc_doc_fail(y->doc, line, y->err,
                            "anchors (&) and aliases (*) are not understood here: write the value "
                            "out, in quotes if it begins with & or *");
    if (tag)
        return cdc_doc_fail(y->doc, line, y->err,
                            "tags (!) are not understood here: write the value in quotes if it "
                            "begins with !");
    return CDC_OK;
}

static int read_scalar(struct yaml_reader *y, const yaml_event_t *ev, struct cdc_node *node)
{
    const char *text = (const char *)ev->data.scalar.value;
    if (strlen(text) != ev->data.scalar.length)
        return cdc_doc_fail(y->doc, node->line, y->err, "a value holds a NUL character");
    node->kind = CDC_NODE_SCALAR;
    node->empty = !*text && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return cdc_interpolate(y->doc, node->line, text, &node->text, &node->hidden, y->err);
}

static int read_key(struct yaml_reader *y, const yaml_event_t *ev, const struct cdc_node *map,
                    struct cdc_entry *ret)
{
    int line = line_of(ev->start_mark);
    if (refuse_extras(y, ev) != CDC_OK)
        return CDC_FAIL;
    if (ev->type != YAML_SCALAR_EVENT || !ev->data.scalar.length ||
        strlen((const char *)ev->data.scalar.value) != ev->data.scalar.length)
        return cdc_doc_fail(y->doc, line, y->err, "the key of a mapping must be a plain name");
    ret->line = line;
    ret->key = cdc_arena_strdup(y->doc->arena, (const char *)ev->data.scalar.value);
    if (!ret->key)
        return cdc_fail_oom(y->err);
    const struct cdc_entry *twin = cdc_node_entry(map, ret->key);
    if (twin)
        return cdc_doc_fail(y->doc, line, y->err, "\"%s\" stands here a second time, after line %d",
                            ret->key, twin->line);
    return CDC_OK;
}

/* Room for one more entry; a list doubles, and what it leaves behind dies with the arena. */
static struct cdc_entry *room_for_entry(struct yaml_reader *y, struct cdc_node *node, int line)
{
    if (node->n == CDC_NODE_ENTRIES) {
        cdc_doc_fail(y->doc, line, y->err, "more than %d entries in one mapping or list",
                     CDC_NODE_ENTRIES);
        return NULL;
    }
    if (node->n && (node->n & (node->n - 1)))
        return &node->entries[node->n];
    size_t cap = node->n ? node->n * 2 : 1;
    struct cdc_entry *more = cdc_arena_zalloc(y->doc->arena, cap * sizeof *more);
    if (more && node->n)
        memcpy(more, node->entries, node->n * sizeof *more);
    if (!more) {
        cdc_fail_oom(y->err);
        return NULL;
    }
    node->entries = more;
    return &more[node->n];
}

static int read_node(struct yaml_reader *y, yaml_event_t *ev, int depth, struct cdc_node **ret);

/* Entries up to the end event of the collection. */
static int read_entries(struct yaml_reader *y, int depth, struct cdc_node *node)
{
    for (;;) {
        yaml_event_t ev;
        if (next_event(y, &ev) != CDC_OK)
            return CDC_FAIL;
        if (ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            return CDC_OK;
        }
        struct cdc_entry *entry = room_for_entry(y, node, line_of(ev.start_mark));
        int rc = entry ? CDC_OK : CDC_FAIL;
        if (rc == CDC_OK && node->kind == CDC_NODE_MAP) {
            rc = read_key(y, &ev, node, entry);
            yaml_event_delete(&ev);
            rc = rc == CDC_OK ? next_event(y, &ev) : rc;
            if (rc != CDC_OK)
                return CDC_FAIL;
        }
        rc = rc == CDC_OK ? read_node(y, &ev, depth, &entry->value) : rc;
        yaml_event_delete(&ev);
        if (rc != CDC_OK)
            return CDC_FAIL;
        node->n++;
    }
}

/* The node that begins with ev; the caller deletes ev. */
static int read_node(struct yaml_reader *y, yaml_event_t *ev, int depth, struct cdc_node **ret)
{
    if (refuse_extras(y, ev) != CDC_OK)
        return CDC_FAIL;
    struct cdc_node *node = cdc_arena_zalloc(y->doc->arena, sizeof *node);
    if (!node)
        return cdc_fail_oom(y->err);
    node->line = line_of(ev->start_mark);
    *ret = node;
    if (ev->type == YAML_SCALAR_EVENT)
        return read_scalar(y, ev, node);
    if (depth >= CDC_NODE_DEPTH)
        return cdc_doc_fail(y->doc, node->line, y->err,
                            "mappings and lists lie more than %d deep inside each other",
                            CDC_NODE_DEPTH);
    node->kind = ev->type == YAML_MAPPING_START_EVENT ? CDC_NODE_MAP : CDC_NODE_LIST;
    return read_entries(y, depth + 1, node);
}

/* The one document. A file of comments only has none. */
static int read_stream(struct yaml_reader *y, struct cdc_node **ret)
{
    struct cdc_node *root = NULL;
    for (;;) {
        yaml_event_t ev;
        if (next_event(y, &ev) != CDC_OK)
            return CDC_FAIL;
        int rc = CDC_OK, line = line_of(ev.start_mark);
        yaml_event_type_t type = ev.type;
        if (type == YAML_DOCUMENT_START_EVENT && root)
            rc = cdc_doc_fail(y->doc, line, y->err,
                              "a second document begins here: one file holds one configuration");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT)
            rc = read_node(y, &ev, 0, &root);
        yaml_event_delete(&ev);
        if (rc != CDC_OK)
            return CDC_FAIL;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    if (!root)
        return cdc_doc_fail(y->doc, 1, y->err, "the file is empty");
    *ret = root;
    return CDC_OK;
}

int cdc_node_parse(const struct cdc_doc *doc, struct cdc_slice yaml, struct cdc_node **ret,
                   struct cdc_error *err)
{
    struct yaml_reader y = {.doc = doc, .text = yaml, .err = err};
    if (!yaml_parser_initialize(&y.parser))
        return cdc_fail_oom(err);
    yaml_parser_set_input_string(&y.parser, yaml.len ? yaml.p : (const uint8_t *)"", yaml.len);
    int rc = read_stream(&y, ret);
    yaml_parser_delete(&y.parser);
    return rc;
}
