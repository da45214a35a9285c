/*
 * drop.c - `sidestream drop`: takes away what the source made at the server.
 *
 * It asks on a terminal; without one it wants --yes, so that no script drops a slot by accident.
 * The sink is not touched: it still holds the data and the position, which no longer has a slot.
 */
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/settings.h"

/* y or yes, and nothing else. */
static bool confirmed(const struct cdc_settings *set)
{
    char line[16];
    fprintf(
        stderr,
        "Drop what pipeline \"%s\" made at its %s source? Changes not captured yet are then lost "
        "to it. [y/N] ",
        set->config.name, set->source->name);
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, "y") == 0 || strcmp(line, "yes") == 0;
}

static void tell_what_stays(const struct cdc_settings *set)
{
    if (!(set->sink->caps & CDC_SINK_DURABLE))
        return;
    printf(
        "The %s sink keeps its data and the position it had reached. To start again, give the sink "
        "a new, empty place: the old position has nothing left to continue from.\n",
        set->sink->name);
}

static int drop_source(const struct cdc_settings *set)
{
    struct cdc_error err = {0};
    struct cdc_report *report = cdc_report_new(stdout);
    int rc = report ? set->source->drop(&set->config, report, &err) : cdc_fail_oom(&err);
    int code = CDC_EXIT_OK;
    if (rc != CDC_OK)
        code = cdc_cli_exit(&err);
    else if (cdc_report_count(report, CDC_BAD))
        code = CDC_EXIT_FAILED;
    else
        tell_what_stays(set);
    cdc_report_free(report);
    return code;
}

static int ask_and_drop(const struct cdc_settings *set, bool yes)
{
    struct cdc_error err;
    if (!set->source->drop) {
        printf("The %s source makes nothing that could be dropped.\n", set->source->name);
        return CDC_EXIT_OK;
    }
    if (!yes && !isatty(STDIN_FILENO)) {
        cdc_fail(&err, CDC_CONFIG, "drop", "nobody can be asked: there is no terminal. Say --yes");
        return cdc_cli_exit(&err);
    }
    if (!yes && !confirmed(set)) {
        fputs("Nothing was dropped.\n", stderr);
        return CDC_EXIT_FAILED;
    }
    return drop_source(set);
}

int cdc_cmd_drop(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_settings *set;
    if (cdc_args_read("drop", argc, argv, &args, &err) != CDC_OK ||
        cdc_settings_load(args.place, &set, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    int code = ask_and_drop(set, cdc_arg(&args, "--yes"));
    cdc_settings_free(set);
    return code;
}
