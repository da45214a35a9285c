/*
 * option.c - reads a mapping against an option table, and the getters of cdc/option.h.
 *
 * A section holds one value per option of its table, in the table's order: given or default, all
 * checked. Defaults go through the same code as what was written; a wrong one, and a getter asked
 * for an option that does not exist or has another type, is a bug in a table and aborts at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/nearest.h"
#include "config/section.h"

struct option_value {
    bool given;
    const char *where; /* "file:line" if given */
    int64_t number;    /* INT, BOOL, SIZE, DURATION; CHOICE, CHOICES: index */
    const char *text;  /* STRING */
    const char **list;
    size_t n_list;
    struct cdc_pair *pairs;
    size_t n_pairs;
    struct cdc_section *section;
    const struct cdc_entry *entry; /* as written */
};

struct cdc_section {
    const struct cdc_option *options;
    struct option_value *values; /* one per option */
    const char *where;
};

struct section_reader {
    const struct cdc_doc *doc;
    const struct cdc_section_spec *spec;
    struct cdc_error *err;
};

size_t cdc_options_count(const struct cdc_option *options)
{
    size_t n = 0;
    while (options[n].name)
        n++;
    return n;
}

/* "sink.path": what messages call an option. */
static const char *label_of(const struct section_reader *rd, const char *name)
{
    const char *label = rd->spec->label;
    const char *ret = cdc_arena_printf(rd->doc->arena, "%s%s%s", label, *label ? "." : "", name);
    return ret ? ret : name;
}

static int refuse_unknown(const struct section_reader *rd, const struct cdc_entry *entry)
{
    struct cdc_nearest near = {.word = entry->key};
    struct cdc_buf names = CDC_BUF(512);
    for (const struct cdc_option *opt = rd->spec->options; opt->name; opt++) {
        cdc_nearest_try(&near, opt->name);
        cdc_buf_printf(&names, "%s%s", names.len ? ", " : "", opt->name);
    }
    const char *list = cdc_buf_cstr(&names);
    const char *in = rd->spec->label;
    int rc;
    if (near.best)
        rc = cdc_doc_fail(rd->doc, entry->line, rd->err,
                          "unknown option \"%s\"%s%s; did you mean \"%s\"?", entry->key,
                          *in ? " in " : "", in, near.best);
    else
        rc = cdc_doc_fail(rd->doc, entry->line, rd->err, "unknown option \"%s\"%s%s; known are: %s",
                          entry->key, *in ? " in " : "", in, list ? list : "see --help");
    cdc_buf_done(&names);
    return rc;
}

static int check_names(const struct section_reader *rd)
{
    const struct cdc_node *map = rd->spec->map;
    for (size_t i = 0; map && i < map->n; i++) {
        const struct cdc_option *opt = rd->spec->options;
        if (rd->spec->skip && strcmp(rd->spec->skip, map->entries[i].key) == 0)
            continue;
        while (opt->name && strcmp(opt->name, map->entries[i].key) != 0)
            opt++;
        if (!opt->name)
            return refuse_unknown(rd, &map->entries[i]);
    }
    return CDC_OK;
}

/* The value as a message may show it. */
static const char *shown(const struct cdc_option *opt, const struct cdc_node *node)
{
    return opt->flags & CDC_OPT_SECRET ? "***" : cdc_node_shown(node);
}

static int check_range(const struct section_reader *rd, const struct cdc_option *opt,
                       const struct cdc_node *node, int64_t number)
{
    bool low = number<opt->min, high = opt->max> opt->min && number > opt->max;
    if (!cdc_option_has_range(opt) || (!low && !high))
        return CDC_OK;
    char bound[32];
    cdc_option_number(opt, low ? opt->min : opt->max, bound);
    return cdc_doc_fail(rd->doc, node->line, rd->err, "%s: %s is too %s: %s is the %s",
                        label_of(rd, opt->name), shown(opt, node), low ? "small" : "large", bound,
                        low ? "least" : "most");
}

static int read_scalar(const struct section_reader *rd, const struct cdc_option *opt,
                       const struct cdc_node *node, struct option_value *val)
{
    if (node->kind != CDC_NODE_SCALAR)
        return cdc_doc_fail(rd->doc, node->line, rd->err, "%s: a single value is wanted, not a %s",
                            label_of(rd, opt->name),
                            node->kind == CDC_NODE_LIST ? "list" : "mapping");
    if (node->empty)
        return cdc_doc_fail(rd->doc, node->line, rd->err,
                            "%s: no value is given: write one, or leave the option out",
                            label_of(rd, opt->name));
    val->text = node->text;
    if (opt->type == CDC_OPT_STRING || opt->type == CDC_OPT_STRINGS)
        return CDC_OK;
    const char *why = cdc_scalar_read(rd->doc->arena, opt, node->text, &val->number);
    if (why)
        return cdc_doc_fail(rd->doc, node->line, rd->err, "%s: \"%s\" %s", label_of(rd, opt->name),
                            shown(opt, node), why);
    return check_range(rd, opt, node, val->number);
}

static int read_list(const struct section_reader *rd, const struct cdc_option *opt,
                     const struct cdc_node *node, struct option_value *val)
{
    if (node->kind != CDC_NODE_LIST)
        return cdc_doc_fail(rd->doc, node->line, rd->err, "%s: a list is wanted, like [a, b]",
                            label_of(rd, opt->name));
    val->list = cdc_arena_alloc(rd->doc->arena, (node->n + 1) * sizeof *val->list);
    if (!val->list)
        return cdc_fail_oom(rd->err);
    for (size_t i = 0; i < node->n; i++) {
        const struct cdc_node *item = node->entries[i].value;
        if (item->kind != CDC_NODE_SCALAR || item->empty)
            return cdc_doc_fail(rd->doc, item->line, rd->err,
                                "%s: each item of the list must be a single value",
                                label_of(rd, opt->name));
        val->list[val->n_list++] = item->text;
    }
    val->list[val->n_list] = NULL;
    return CDC_OK;
}

/* Names are the user's own (columns, say); each value is read as if it stood alone. */
static int read_map(const struct section_reader *rd, const struct cdc_option *opt,
                    const struct cdc_node *node, struct option_value *val)
{
    if (node->kind != CDC_NODE_MAP)
        return cdc_doc_fail(rd->doc, node->line, rd->err, "%s: a mapping is wanted, like {a: %s}",
                            label_of(rd, opt->name), opt->type == CDC_OPT_MAP ? "1" : "...");
    val->pairs = cdc_arena_alloc(rd->doc->arena, (node->n + 1) * sizeof *val->pairs);
    if (!val->pairs)
        return cdc_fail_oom(rd->err);
    for (size_t i = 0; i < node->n; i++) {
        const struct cdc_entry *entry = &node->entries[i];
        struct cdc_option item = *opt;
        struct option_value one = {.given = false};
        item.name = cdc_arena_printf(rd->doc->arena, "%s.%s", opt->name, entry->key);
        if (!item.name)
            return cdc_fail_oom(rd->err);
        if (read_scalar(rd, &item, entry->value, &one) != CDC_OK)
            return CDC_FAIL;
        val->pairs[val->n_pairs++] =
            (struct cdc_pair){.name = entry->key, .number = one.number, .text = one.text};
    }
    return CDC_OK;
}

static int read_section(const struct section_reader *rd, const struct cdc_option *opt,
                        const struct cdc_entry *entry, struct option_value *val)
{
    if (!opt->section)
        return CDC_OK;
    const struct cdc_node *node = entry ? entry->value : NULL;
    const char *label = label_of(rd, opt->name);
    if (node && node->kind != CDC_NODE_MAP)
        return cdc_doc_fail(rd->doc, entry->line, rd->err,
                            "%s: a mapping is wanted: options below it, indented, or {a: b}",
                            label);
    struct cdc_section_spec spec = {.options = opt->section,
                                    .label = label,
                                    .map = node,
                                    .line = entry ? entry->line : rd->spec->line};
    return cdc_section_read(rd->doc, &spec, &val->section, rd->err);
}

static int read_value(const struct section_reader *rd, const struct cdc_option *opt,
                      const struct cdc_node *node, struct option_value *val)
{
    if (opt->type == CDC_OPT_LIST)
        return read_list(rd, opt, node, val);
    bool choices = opt->type == CDC_OPT_CHOICES && node->kind == CDC_NODE_MAP;
    if (opt->type == CDC_OPT_MAP || opt->type == CDC_OPT_STRINGS || choices)
        return read_map(rd, opt, node, val);
    return read_scalar(rd, opt, node, val);
}

static void bad_default(const struct cdc_option *opt, const char *why)
{
    fprintf(stderr, "bug: option %s has a wrong default: %s\n", opt->name, why);
    abort();
}

/* The default, as if it had been written. A section's is that of its options. */
static int read_default(const struct section_reader *rd, const struct cdc_option *opt,
                        struct option_value *val)
{
    bool has_required = false;
    for (const struct cdc_option *o = opt->section; o && o->name; o++)
        has_required |= (o->flags & CDC_OPT_REQUIRED) != 0;
    if (opt->type == CDC_OPT_SECTION)
        return has_required ? CDC_OK : read_section(rd, opt, NULL, val);
    if (!opt->dflt)
        return CDC_OK;
    struct cdc_error why = {0};
    struct section_reader own = {.doc = rd->doc, .spec = rd->spec, .err = &why};
    struct cdc_node scalar = {.kind = CDC_NODE_SCALAR, .text = opt->dflt}, *node = &scalar;
    int rc = CDC_OK;
    if (opt->type == CDC_OPT_LIST || opt->type == CDC_OPT_MAP || opt->type == CDC_OPT_STRINGS)
        rc = cdc_node_parse(rd->doc, cdc_slice_str(opt->dflt), &node, &why);
    if (rc == CDC_OK)
        rc = read_value(&own, opt, node, val);
    if (rc != CDC_OK && why.action == CDC_CONFIG)
        bad_default(opt, why.message);
    return rc == CDC_OK ? CDC_OK : cdc_fail_oom(rd->err);
}

static int read_option(const struct section_reader *rd, const struct cdc_option *opt,
                       struct option_value *val)
{
    const struct cdc_entry *entry = rd->spec->map ? cdc_node_entry(rd->spec->map, opt->name) : NULL;
    if (!entry && (opt->flags & CDC_OPT_REQUIRED))
        return cdc_doc_fail(rd->doc, rd->spec->line, rd->err, "%s is missing: %s",
                            label_of(rd, opt->name), opt->doc);
    if (!entry)
        return read_default(rd, opt, val);
    val->given = true;
    val->entry = entry;
    val->where = cdc_doc_where(rd->doc, entry->line);
    if (opt->type == CDC_OPT_SECTION)
        return read_section(rd, opt, entry, val);
    bool map = opt->type == CDC_OPT_CHOICES && entry->value->kind == CDC_NODE_MAP;
    if (map && read_default(rd, opt, val) != CDC_OK)
        return CDC_FAIL;
    return read_value(rd, opt, entry->value, val);
}

int cdc_section_read(const struct cdc_doc *doc, const struct cdc_section_spec *spec,
                     struct cdc_section **ret, struct cdc_error *err)
{
    struct section_reader rd = {.doc = doc, .spec = spec, .err = err};
    size_t n = cdc_options_count(spec->options);
    struct cdc_section *sec = cdc_arena_zalloc(doc->arena, sizeof *sec);
    if (sec)
        sec->values = cdc_arena_zalloc(doc->arena, (n + 1) * sizeof *sec->values);
    if (!sec || !sec->values)
        return cdc_fail_oom(err);
    sec->options = spec->options;
    sec->where = cdc_doc_where(doc, spec->line);
    if (check_names(&rd) != CDC_OK)
        return CDC_FAIL;
    for (size_t i = 0; i < n; i++)
        if (read_option(&rd, &spec->options[i], &sec->values[i]) != CDC_OK)
            return CDC_FAIL;
    *ret = sec;
    return CDC_OK;
}

int cdc_section_parse(struct cdc_arena *arena, const char *yaml, const struct cdc_option *options,
                      struct cdc_section **ret, struct cdc_error *err)
{
    struct cdc_doc doc = {.arena = arena, .path = "test.yaml"};
    struct cdc_section_spec spec = {.options = options, .label = "", .line = 1};
    struct cdc_node *root = NULL;
    if (*yaml && cdc_node_parse(&doc, cdc_slice_str(yaml), &root, err) != CDC_OK)
        return CDC_FAIL;
    if (root && root->kind != CDC_NODE_MAP)
        return cdc_doc_fail(&doc, root->line, err, "a mapping is wanted");
    spec.map = root;
    return cdc_section_read(&doc, &spec, ret, err);
}

/* The value of an option that the table must have, with one of two types. */
static const struct option_value *value_of(const struct cdc_section *sec, const char *name,
                                           unsigned types)
{
    for (size_t i = 0; sec->options[i].name; i++)
        if (strcmp(sec->options[i].name, name) == 0 && (types & (1u << sec->options[i].type)))
            return &sec->values[i];
    fprintf(stderr, "bug: option %s is asked for, and no option of this type is in the table\n",
            name);
    abort();
}

const char *cdc_get_string(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, 1u << CDC_OPT_STRING)->text;
}

int64_t cdc_get_int(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, 1u << CDC_OPT_INT | 1u << CDC_OPT_SIZE | 1u << CDC_OPT_DURATION)
        ->number;
}

bool cdc_get_bool(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, 1u << CDC_OPT_BOOL)->number != 0;
}

int cdc_get_choice(const struct cdc_section *sec, const char *name)
{
    return (int)value_of(sec, name, 1u << CDC_OPT_CHOICE | 1u << CDC_OPT_CHOICES)->number;
}

size_t cdc_get_list(const struct cdc_section *sec, const char *name, const char *const **ret)
{
    const struct option_value *val = value_of(sec, name, 1u << CDC_OPT_LIST);
    *ret = val->list;
    return val->n_list;
}

size_t cdc_get_map(const struct cdc_section *sec, const char *name, const struct cdc_pair **ret)
{
    const unsigned types = 1u << CDC_OPT_MAP | 1u << CDC_OPT_STRINGS | 1u << CDC_OPT_CHOICES;
    const struct option_value *val = value_of(sec, name, types);
    *ret = val->pairs;
    return val->n_pairs;
}

const struct cdc_section *cdc_get_section(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, 1u << CDC_OPT_SECTION)->section;
}

const struct cdc_entry *cdc_section_entry(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, ~0u)->entry;
}

bool cdc_given(const struct cdc_section *sec, const char *name)
{
    return value_of(sec, name, ~0u)->given;
}

const char *cdc_option_where(const struct cdc_section *sec, const char *name)
{
    const struct option_value *val = value_of(sec, name, ~0u);
    return val->given ? val->where : sec->where;
}
