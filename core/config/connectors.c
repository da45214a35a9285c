/*
 * connectors.c - all sources and sinks, from connectors/sources.def and connectors/sinks.def.
 *
 * The core includes no connector; the linker brings the ops in by their names. Each name also has a
 * weak stand-in here, so that a test of a few modules (`make unit MODULES=...`) links without the
 * others; it has no name, and so cannot be chosen. The real program holds them all: the comparison
 * of docs/configuration.md would notice one that is missing.
 */
#include "cdc/sink.h"
#include "cdc/source.h"

static const struct cdc_option no_options[] = {{0}};
static const struct cdc_source_ops no_source = {
    .name = "", .doc = "not part of this build", .options = no_options};
static const struct cdc_sink_ops no_sink = {
    .name = "", .doc = "not part of this build", .options = no_options};

#define CDC_SOURCE(x)                                                                              \
    extern const struct cdc_source_ops cdc_source_##x __attribute__((weak, alias("no_source")));
#define CDC_SINK(x)                                                                                \
    extern const struct cdc_sink_ops cdc_sink_##x __attribute__((weak, alias("no_sink")));
#include "../../connectors/sinks.def"
#include "../../connectors/sources.def"
#undef CDC_SOURCE
#undef CDC_SINK

static const struct cdc_source_ops *const sources[] = {
#define CDC_SOURCE(x) &cdc_source_##x,
#include "../../connectors/sources.def"
    NULL,
};

static const struct cdc_sink_ops *const sinks[] = {
#define CDC_SINK(x) &cdc_sink_##x,
#include "../../connectors/sinks.def"
    NULL,
};

const struct cdc_source_ops *const *cdc_sources(void)
{
    return sources;
}

const struct cdc_sink_ops *const *cdc_sinks(void)
{
    return sinks;
}

const struct cdc_source_ops *cdc_source_find(const char *name)
{
    for (size_t i = 0; sources[i]; i++)
        if (*name && strcmp(sources[i]->name, name) == 0)
            return sources[i];
    return NULL;
}

const struct cdc_sink_ops *cdc_sink_find(const char *name)
{
    for (size_t i = 0; sinks[i]; i++)
        if (*name && strcmp(sinks[i]->name, name) == 0)
            return sinks[i];
    return NULL;
}
