/*
 * node.h - a YAML text as a small tree with line numbers, and the values written in it.
 *
 * Of YAML only what a configuration needs: one document of mappings, lists and scalars. Anchors,
 * aliases, tags, duplicate keys, keys that are no plain names and a second document are errors, for
 * each of them lets two readers see two things in one file. Scalars are text, whatever they look
 * like; the option tables say what they mean.
 *
 * ${env:NAME} and ${file:/path} are replaced here, in values, not in keys. `hidden` marks a value
 * that came out of one: no message may show it.
 *
 * Ownership: the tree lives in the arena it was read into.
 */
#ifndef CDC_CONFIG_NODE_H
#define CDC_CONFIG_NODE_H

#include "cdc/buf.h"

enum cdc_node_kind { CDC_NODE_SCALAR, CDC_NODE_LIST, CDC_NODE_MAP };

struct cdc_node {
    enum cdc_node_kind kind;
    int line;         /* from 1 */
    const char *text; /* SCALAR: NUL-terminated, without NULs inside */
    bool empty;       /* SCALAR: nothing was written there (`key:`) */
    bool hidden;      /* SCALAR: some of it came out of ${...} */
    size_t n;         /* LIST, MAP */
    struct cdc_entry *entries;
};

struct cdc_entry {
    const char *key; /* MAP */
    int line;        /* of the key */
    struct cdc_node *value;
};

/*
 * What a reading needs throughout: where the tree is put, and what errors call the file.
 */
struct cdc_doc {
    struct cdc_arena *arena;
    const char *path;
};

#define CDC_NODE_DEPTH   16    /* mappings and lists inside each other */
#define CDC_NODE_ENTRIES 10000 /* of one mapping or list */

/* CDC_FAIL (CDC_CONFIG) with file:line in err->where. *ret only with CDC_OK. */
CDC_CHECK int cdc_node_parse(const struct cdc_doc *doc, struct cdc_slice yaml,
                             struct cdc_node **ret, struct cdc_error *err);

/* The entry of that key, or NULL. */
const struct cdc_entry *cdc_node_entry(const struct cdc_node *map, const char *key);

/* A scalar's text as a message may show it: *** if some of it came out of ${...}. */
const char *cdc_node_shown(const struct cdc_node *scalar);

/*
 * Replaces ${env:NAME}, ${file:PATH} (one newline at its end is cut) and $${ (a plain ${) in text.
 * *ret_hidden tells whether anything was replaced. CDC_FAIL (CDC_CONFIG): not set, not readable,
 * not understood; err names the variable or file, never what is in it.
 */
CDC_CHECK int cdc_interpolate(const struct cdc_doc *doc, int line, const char *text,
                              const char **ret, bool *ret_hidden, struct cdc_error *err);

#define CDC_INTERPOLATE_MAX (64u << 10) /* bytes of a file named in ${file:} */

/* "file:line" in the arena; a long path loses its beginning, never the line. */
const char *cdc_doc_where(const struct cdc_doc *doc, int line);

/* cdc_fail with CDC_CONFIG at a line. */
int cdc_doc_fail(const struct cdc_doc *doc, int line, struct cdc_error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
