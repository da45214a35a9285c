/*
 * settings.c - the whole configuration: the file read, the top of it, source, sink, capture.
 *
 * The top table names all keys; `source`, `sink` and `capture` are kept as they stand there and
 * read here, because their tables depend on what is in them.
 */
#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/capture.h"
#include "config/copying.h"
#include "config/nearest.h"
#include "config/section.h"
#include "config/services.h"

#define ARENA_MAX ((size_t)64 << 20) /* what a file of CDC_SETTINGS_MAX can become */

static const struct cdc_option log_options[] = {
    {.name = "format",
     .type = CDC_OPT_CHOICE,
     .choices = "text|json",
     .dflt = "text",
     .doc = "One line per event on standard error, for people or for programs."},
    {.name = "level",
     .type = CDC_OPT_CHOICE,
     .choices = "error|warn|info|debug",
     .dflt = "info",
     .doc = "The least important events that are still logged. Values of rows never are."},
    {0},
};

static const struct cdc_option replica_options[] = {
    {.name = "path",
     .type = CDC_OPT_STRING,
     .doc =
         "SQLite file that `sidestream replica` keeps when it is not told another one. A relative "
         "path is relative to the working directory."},
    {0},
};

static const struct cdc_option secrets_options[] = {
    {.name = "hash",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_SECRET,
     .doc = "Key of the hashes of `columns: {hash: [...]}`, at least 16 bytes. Values hashed with "
            "another key cannot be compared with these."},
    {0},
};

static const struct cdc_option top_options[] = {
    {.name = "name",
     .type = CDC_OPT_STRING,
     .flags = CDC_OPT_REQUIRED,
     .doc =
         "Name of the pipeline: a lower-case letter, then up to 40 of a-z, 0-9 and _. It is in the "
         "names of all that the pipeline owns (slot, publication, schemas, lake), so a change "
         "makes another pipeline."},
    {.name = "source",
     .type = CDC_OPT_SECTION,
     .flags = CDC_OPT_REQUIRED,
     .doc = "The database: its `type`, and the options of that type."},
    {.name = "capture",
     .type = CDC_OPT_SECTION,
     .flags = CDC_OPT_REQUIRED,
     .doc = "List of rules: which tables, and how. The first that matches a table takes it."},
    {.name = "envelope",
     .type = CDC_OPT_CHOICE,
     .choices = "row",
     .doc = "Shape of the records of all rules that do not say it themselves. Where it is said "
            "nowhere, it is `row`, but a sink may want it to be said."},
    {.name = "snapshot",
     .type = CDC_OPT_SECTION,
     .section = cdc_copying_table,
     .doc = "How the rows that were there before are copied, for all rules."},
    {.name = "registry",
     .type = CDC_OPT_SECTION,
     .section = cdc_registry_table,
     .doc = "Where schemas get their ids, and what a new schema must be."},
    {.name = "sink",
     .type = CDC_OPT_SECTION,
     .flags = CDC_OPT_REQUIRED,
     .doc = "Where records and the checkpoint go: its `type`, and the options of that type."},
    {.name = "memory",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 8 << 20,
     .max = (int64_t)1 << 40,
     .doc =
         "The most that may be in flight between source and sink; on top comes up to three times "
         "the largest row."},
    {.name = "secrets",
     .type = CDC_OPT_SECTION,
     .section = secrets_options,
     .doc = "What must not be known outside: best as ${env:NAME} or ${file:/path}."},
    {.name = "http",
     .type = CDC_OPT_SECTION,
     .section = cdc_http_table,
     .doc = "The pipeline's face: health, metrics, status, schemas, commands. Without this section "
            "there is none; `http: {}` takes the defaults."},
    {.name = "log", .type = CDC_OPT_SECTION, .section = log_options, .doc = "What is logged."},
    {.name = "replica",
     .type = CDC_OPT_SECTION,
     .section = replica_options,
     .doc = "What `sidestream replica` builds."},
    {0},
};

const struct cdc_option *cdc_settings_options(void)
{
    return top_options;
}

static int check_name(const struct cdc_doc *doc, const struct cdc_section *top,
                      struct cdc_error *err)
{
    const char *name = cdc_get_string(top, "name");
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (*name >= 'a' && *name <= 'z' && !name[n] && n <= 41)
        return CDC_OK;
    const struct cdc_entry *entry = cdc_section_entry(top, "name");
    return cdc_doc_fail(doc, entry->line, err,
                        "name: \"%s\" must be a lower-case letter, then up to 40 of a-z, 0-9 and _",
                        cdc_node_shown(entry->value));
}

/* What `type:` says in a connector's section; line is the section's. */
static int read_type(const struct cdc_doc *doc, const struct cdc_entry *entry, const char **ret,
                     struct cdc_error *err)
{
    if (entry->value->kind != CDC_NODE_MAP)
        return cdc_doc_fail(doc, entry->line, err,
                            "%s: a mapping is wanted: options below it, indented, or {type: ...}",
                            entry->key);
    const struct cdc_entry *type = cdc_node_entry(entry->value, "type");
    if (!type)
        return cdc_doc_fail(doc, entry->line, err, "%s.type is missing: it says which %s to use",
                            entry->key, entry->key);
    if (type->value->kind != CDC_NODE_SCALAR || type->value->empty)
        return cdc_doc_fail(doc, type->line, err, "%s.type: the name of a %s is wanted", entry->key,
                            entry->key);
    *ret = type->value->text;
    return CDC_OK;
}

static int unknown_type(const struct cdc_doc *doc, const struct cdc_entry *entry,
                        const struct cdc_buf *names, struct cdc_nearest *near,
                        struct cdc_error *err)
{
    const struct cdc_node *type = cdc_node_entry(entry->value, "type")->value;
    return cdc_doc_fail(doc, type->line, err,
                        "%s.type: there is no %s \"%s\"; there are: %.*s%s%s%s", entry->key,
                        entry->key, cdc_node_shown(type), (int)names->len, (const char *)names->p,
                        near->best ? "; did you mean \"" : "", near->best ? near->best : "",
                        near->best ? "\"?" : "");
}

static void add_type(struct cdc_buf *names, struct cdc_nearest *near, const char *name)
{
    if (!*name)
        return;
    cdc_buf_printf(names, "%s%s", names->len ? ", " : "", name);
    cdc_nearest_try(near, name);
}

static int unknown_source(const struct cdc_doc *doc, const struct cdc_entry *entry,
                          const char *name, struct cdc_error *err)
{
    struct cdc_buf names = CDC_BUF(4096);
    struct cdc_nearest near = {.word = name};
    for (const struct cdc_source_ops *const *ops = cdc_sources(); *ops; ops++)
        add_type(&names, &near, (*ops)->name);
    int rc = unknown_type(doc, entry, &names, &near, err);
    cdc_buf_done(&names);
    return rc;
}

static int unknown_sink(const struct cdc_doc *doc, const struct cdc_entry *entry, const char *name,
                        struct cdc_error *err)
{
    struct cdc_buf names = CDC_BUF(4096);
    struct cdc_nearest near = {.word = name};
    for (const struct cdc_sink_ops *const *ops = cdc_sinks(); *ops; ops++)
        add_type(&names, &near, (*ops)->name);
    int rc = unknown_type(doc, entry, &names, &near, err);
    cdc_buf_done(&names);
    return rc;
}

static int read_connector(const struct cdc_doc *doc, const struct cdc_entry *entry,
                          const struct cdc_option *options, const struct cdc_section **ret,
                          struct cdc_error *err)
{
    struct cdc_section_spec spec = {.options = options,
                                    .label = entry->key,
                                    .map = entry->value,
                                    .line = entry->line,
                                    .skip = "type"};
    struct cdc_section *sec;
    if (cdc_section_read(doc, &spec, &sec, err) != CDC_OK)
        return CDC_FAIL;
    *ret = sec;
    return CDC_OK;
}

static int read_source(const struct cdc_doc *doc, const struct cdc_section *top,
                       struct cdc_settings *set, struct cdc_error *err)
{
    const struct cdc_entry *entry = cdc_section_entry(top, "source");
    const char *type = NULL;
    if (read_type(doc, entry, &type, err) != CDC_OK)
        return CDC_FAIL;
    set->source = cdc_source_find(type);
    if (!set->source)
        return unknown_source(doc, entry, type, err);
    return read_connector(doc, entry, set->source->options, &set->config.source, err);
}

static int read_sink(const struct cdc_doc *doc, const struct cdc_section *top,
                     struct cdc_settings *set, struct cdc_error *err)
{
    const struct cdc_entry *entry = cdc_section_entry(top, "sink");
    const char *type = NULL;
    if (read_type(doc, entry, &type, err) != CDC_OK)
        return CDC_FAIL;
    set->sink = cdc_sink_find(type);
    if (!set->sink)
        return unknown_sink(doc, entry, type, err);
    set->config.cuts = !(set->sink->caps & CDC_SINK_TX_ANY_SIZE);
    return read_connector(doc, entry, set->sink->options, &set->config.sink, err);
}

/* secrets.hash; p == NULL: not given. */
static int read_hash_key(const struct cdc_doc *doc, const struct cdc_section *top,
                         struct cdc_slice *ret, struct cdc_error *err)
{
    const struct cdc_section *secrets = cdc_get_section(top, "secrets");
    *ret = cdc_slice_str(cdc_get_string(secrets, "hash"));
    if (!ret->p || ret->len >= CDC_HASH_KEY_MIN)
        return CDC_OK;
    return cdc_doc_fail(doc, cdc_section_entry(secrets, "hash")->line, err,
                        "secrets.hash: too short to keep what is hashed from being guessed: at "
                        "least %d bytes are wanted (`openssl rand -hex 32` makes some)",
                        CDC_HASH_KEY_MIN);
}

/* What the top of the file says for all rules. */
static int read_defaults(const struct cdc_doc *doc, const struct cdc_section *top,
                         const struct cdc_source_ops *source, struct cdc_rule_defaults *ret,
                         struct cdc_error *err)
{
    const struct cdc_section *registry = cdc_get_section(top, "registry");
    ret->source = source->name;
    ret->copies = source->snap != NULL;
    ret->envelope_given = cdc_given(top, "envelope");
    ret->on_incompatible = (enum cdc_incompatible)cdc_get_choice(registry, "on_incompatible");
    return read_hash_key(doc, top, &ret->hash_key, err);
}

static int read_top(const struct cdc_doc *doc, const struct cdc_node *root,
                    struct cdc_settings *set, struct cdc_error *err)
{
    if (root->kind != CDC_NODE_MAP)
        return cdc_doc_fail(doc, root->line, err,
                            "a mapping is wanted, with name, source, capture and sink");
    struct cdc_section_spec spec = {.options = top_options, .label = "", .map = root, .line = 1};
    struct cdc_section *top = NULL;
    struct cdc_capture *capture = NULL;
    struct cdc_rule_defaults defaults = {.envelope_given = false, .source = ""};
    if (cdc_section_read(doc, &spec, &top, err) != CDC_OK || check_name(doc, top, err) != CDC_OK ||
        read_source(doc, top, set, err) != CDC_OK || read_sink(doc, top, set, err) != CDC_OK ||
        cdc_services_check(doc, top, err) != CDC_OK ||
        read_defaults(doc, top, set->source, &defaults, err) != CDC_OK ||
        cdc_capture_read(doc, cdc_section_entry(top, "capture"), &defaults, &capture, err) !=
            CDC_OK)
        return CDC_FAIL;
    set->config.capture = capture;
    set->config.name = cdc_get_string(top, "name");
    set->config.memory = cdc_get_int(top, "memory");
    set->snapshot = cdc_get_section(top, "snapshot");
    set->config.copy_readers = (unsigned)cdc_get_int(set->snapshot, "threads");
    if (cdc_get_choice(set->snapshot, "mode") != CDC_COPY_RANGED)
        set->config.copy_threads = set->config.copy_readers;
    set->registry = cdc_get_section(top, "registry");
    set->http = cdc_given(top, "http") ? cdc_get_section(top, "http") : NULL;
    set->replica = cdc_get_section(top, "replica");
    const struct cdc_section *log = cdc_get_section(top, "log");
    set->log_level = (enum cdc_log_level)cdc_get_choice(log, "level");
    set->log_json = cdc_get_choice(log, "format") == 1;
    return CDC_OK;
}

int cdc_settings_parse(struct cdc_slice yaml, const char *path, struct cdc_settings **ret,
                       struct cdc_error *err)
{
    struct cdc_arena *arena = cdc_arena_new(ARENA_MAX);
    struct cdc_settings *set = arena ? cdc_arena_zalloc(arena, sizeof *set) : NULL;
    struct cdc_doc doc = {.arena = arena, .path = set ? cdc_arena_strdup(arena, path) : NULL};
    struct cdc_node *root = NULL;
    int rc = doc.path ? cdc_node_parse(&doc, yaml, &root, err) : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = read_top(&doc, root, set, err);
    if (rc != CDC_OK) {
        cdc_arena_free(arena);
        return CDC_FAIL;
    }
    set->arena = arena;
    set->root = root;
    set->config.path = doc.path;
    *ret = set;
    return CDC_OK;
}

static const struct cdc_node *value_of(const struct cdc_node *map, const char *key)
{
    const struct cdc_entry *entry =
        map && map->kind == CDC_NODE_MAP ? cdc_node_entry(map, key) : NULL;
    return entry ? entry->value : NULL;
}

/* Wherever it stands in the file; mappings in any order. */
static bool same_node(const struct cdc_node *a, const struct cdc_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->n != b->n)
        return false;
    if (a->kind == CDC_NODE_SCALAR)
        return a->empty == b->empty && strcmp(a->text, b->text) == 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct cdc_node *other =
            a->kind == CDC_NODE_MAP ? value_of(b, a->entries[i].key) : b->entries[i].value;
        if (!same_node(a->entries[i].value, other))
            return false;
    }
    return true;
}

/* The first key of a mapping that is not the same in another; NULL: none. */
static const char *other_key(const struct cdc_node *a, const struct cdc_node *b)
{
    for (size_t i = 0; a && a->kind == CDC_NODE_MAP && i < a->n; i++)
        if (!same_node(a->entries[i].value, value_of(b, a->entries[i].key)))
            return a->entries[i].key;
    return NULL;
}

const char *cdc_settings_changed(const struct cdc_settings *before, const struct cdc_settings *now,
                                 const char *key)
{
    const struct cdc_node *a = value_of(before->root, key), *b = value_of(now->root, key);
    if (same_node(a, b))
        return NULL;
    const char *option = other_key(b, a);
    option = option ? option : other_key(a, b);
    const char *name = option ? cdc_arena_printf(now->arena, "%s.%s", key, option) : NULL;
    return name ? name : key;
}

/* 0, or an errno; EFBIG: the file is larger than the buffer may grow. */
static int read_file(const char *path, struct cdc_buf *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), error = fd < 0 ? errno : 0;
    ssize_t n = 1;
    while (!error && n) {
        uint8_t *to = cdc_buf_room(ret, 4096);
        n = to ? read(fd, to, 4096) : 0;
        error = !to ? EFBIG : n < 0 && errno != EINTR ? errno : 0;
        ret->len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

int cdc_settings_load(const char *path, struct cdc_settings **ret, struct cdc_error *err)
{
    struct cdc_buf text = CDC_BUF(CDC_SETTINGS_MAX);
    int error = read_file(path, &text);
    int rc;
    if (error)
        rc = cdc_fail(err, CDC_CONFIG, path, "the configuration cannot be read: %s",
                      error == EFBIG ? "it is larger than 1 MiB" : strerror(error));
    else
        rc = cdc_settings_parse(cdc_buf_slice(&text), path, ret, err);
    cdc_buf_done(&text);
    return rc;
}

void cdc_settings_free(struct cdc_settings *set)
{
    if (set)
        cdc_arena_free(set->arena); /* which holds the settings themselves */
}
