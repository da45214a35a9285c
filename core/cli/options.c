/*
 * options.c - see options.h.
 */
#include "cli/options.h"

#include "cdc/sink.h"
#include "cdc/source.h"
#include "config/section.h"
#include "config/settings.h"

void cdc_chapters(void (*each)(const struct cdc_chapter *chapter, void *arg), void *arg)
{
    const struct cdc_option *top = cdc_settings_options();
    each(&(struct cdc_chapter){NULL, "", "The keys at the top of the file.", top}, arg);
    for (const struct cdc_option *opt = top; opt->name; opt++)
        if (opt->section)
            each(&(struct cdc_chapter){NULL, opt->name, opt->doc, opt->section}, arg);
    each(&(struct cdc_chapter){NULL, "capture", "What an entry of the list `capture` may say.",
                               cdc_capture_options()},
         arg);
    each(&(struct cdc_chapter){NULL, "capture (messages)",
                               "What an entry may say that takes logical messages.",
                               cdc_capture_message_options()},
         arg);
    for (const struct cdc_source_ops *const *ops = cdc_sources(); *ops; ops++)
        if (*(*ops)->name)
            each(&(struct cdc_chapter){"source", (*ops)->name, (*ops)->doc, (*ops)->options}, arg);
    for (const struct cdc_sink_ops *const *ops = cdc_sinks(); *ops; ops++)
        if (*(*ops)->name)
            each(&(struct cdc_chapter){"sink", (*ops)->name, (*ops)->doc, (*ops)->options}, arg);
}

static void put_choices(const char *choices, struct cdc_buf *ret)
{
    cdc_buf_str(ret, "one of ");
    for (const char *p = choices; *p; p++)
        if (*p == '|')
            cdc_buf_str(ret, ", ");
        else
            cdc_buf_byte(ret, (uint8_t)*p);
}

static void put_range(const struct cdc_option *opt, struct cdc_buf *ret)
{
    char least[32], most[32];
    cdc_option_number(opt, opt->min, least);
    cdc_option_number(opt, opt->max, most);
    if (opt->max > opt->min && opt->max < INT64_MAX)
        cdc_buf_printf(ret, ", %s to %s", least, most);
    else
        cdc_buf_printf(ret, ", at least %s", least);
}

void cdc_option_type_text(const struct cdc_option *opt, struct cdc_buf *ret)
{
    static const char *const names[] = {
        [CDC_OPT_STRING] = "text",
        [CDC_OPT_INT] = "whole number",
        [CDC_OPT_BOOL] = "true or false",
        [CDC_OPT_SIZE] = "size",
        [CDC_OPT_DURATION] = "duration",
        [CDC_OPT_CHOICE] = "",
        [CDC_OPT_LIST] = "list of texts",
        [CDC_OPT_SECTION] = "section",
        [CDC_OPT_MAP] = "mapping of names to whole numbers",
        [CDC_OPT_STRINGS] = "mapping of names to texts",
        [CDC_OPT_CHOICES] = "",
    };
    bool elsewhere = opt->type == CDC_OPT_SECTION && !opt->section;
    cdc_buf_str(ret, elsewhere ? "see below" : names[opt->type]);
    if (opt->type == CDC_OPT_CHOICE || opt->type == CDC_OPT_CHOICES)
        put_choices(opt->choices, ret);
    if (opt->type == CDC_OPT_CHOICES)
        cdc_buf_str(ret, ", or a mapping of names to one of them each");
    if (cdc_option_has_range(opt))
        put_range(opt, ret);
    if (opt->flags & CDC_OPT_SECRET)
        cdc_buf_str(ret, ", secret");
}
