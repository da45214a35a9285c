/*
 * settings.h - the configuration file as the commands and the pipeline use it.
 *
 * One YAML file is read against option tables (cdc/option.h): our own for the top of the file and
 * the capture rules, the connectors' for `source:` and `sink:`. What is returned is complete: every
 * option has its value or its default, every rule its hash. Nothing is opened or connected.
 * Relative paths in the file are relative to the working directory, as on any command line.
 *
 * Ownership: everything hangs on the settings and dies with cdc_settings_free.
 * Threads: read-only after loading.
 * Failure: CDC_CONFIG with file:line in err->where; *ret is untouched. No value that came out of
 * ${env:} or ${file:}, and no value of a secret option, is ever part of a message.
 */
#ifndef CDC_CONFIG_SETTINGS_H
#define CDC_CONFIG_SETTINGS_H

#include "cdc/config.h"
#include "cdc/log.h"
#include "cdc/sink.h"
#include "cdc/source.h"

#define CDC_SETTINGS_MAX (1u << 20) /* bytes of a configuration file */

/* What `registry.type` and `registry.subject` say, in the order of their choices. */
enum cdc_registry_type { CDC_REGISTRY_EMBEDDED, CDC_REGISTRY_HTTP };
/* What `snapshot.mode` says. */
enum cdc_copy_mode { CDC_COPY_AUTO, CDC_COPY_RANGED };
enum cdc_subject { CDC_SUBJECT_TOPIC, CDC_SUBJECT_RECORD, CDC_SUBJECT_TOPIC_RECORD };

struct cdc_settings {
    struct cdc_config config;
    const struct cdc_source_ops *source;
    const struct cdc_sink_ops *sink;
    const struct cdc_section *snapshot; /* the options of config/copying.c; never NULL */
    const struct cdc_section *registry; /* the options of config/services.c; never NULL */
    const struct cdc_section *http;     /* likewise; NULL: no listener */
    const struct cdc_section *replica;  /* path (string, NULL if not given); never NULL */
    enum cdc_log_level log_level;
    bool log_json;
    const struct cdc_node *root; /* the file as it was written, for cdc_settings_changed */
    struct cdc_arena *arena;     /* holds all of this */
};

CDC_CHECK int cdc_settings_load(const char *path, struct cdc_settings **ret, struct cdc_error *err);
/* The same from a text; `path` is what errors call it. */
CDC_CHECK int cdc_settings_parse(struct cdc_slice yaml, const char *path, struct cdc_settings **ret,
                                 struct cdc_error *err);
void cdc_settings_free(struct cdc_settings *set); /* NULL is fine */

/*
 * Is something else written under a key at the top of the file? NULL: no; what was left out and
 * what was written as its default are two things. Else what differs: "memory", "source.url".
 */
const char *cdc_settings_changed(const struct cdc_settings *before, const struct cdc_settings *now,
                                 const char *key);

/* The tables themselves, for help and documentation. */
const struct cdc_option *cdc_settings_options(void);        /* top of the file */
const struct cdc_option *cdc_capture_options(void);         /* one entry of `capture:` */
const struct cdc_option *cdc_capture_message_options(void); /* one that takes messages */

#endif
