/*
 * check.c - `sidestream check`: what the source and the sink find before a start.
 *
 * A side that cannot even look (no connection, say) is a failed finding too, and the other side is
 * still looked at. Reaching this point means that the configuration itself is right.
 */
#include "cli/cli.h"
#include "config/settings.h"
#include "registry/registry.h"

typedef int check_fn(const struct cdc_config *cfg, struct cdc_report *report,
                     struct cdc_error *err);

static void check_side(const struct cdc_settings *set, check_fn *check, const char *side,
                       struct cdc_report *report)
{
    struct cdc_error err = {0};
    if (check && check(&set->config, report, &err) != CDC_OK)
        cdc_report(report, CDC_BAD, NULL, "%s: %s%s%s", side, err.where, *err.where ? ": " : "",
                   err.message);
}

static void check_registry(const struct cdc_settings *set, struct cdc_report *report)
{
    struct cdc_error err = {0};
    struct cdc_buf told = CDC_BUF(4096);
    if (!(set->sink->caps & CDC_SINK_PLANS))
        return;
    if (cdc_registry_ping(set->registry, &told, &err) < 0)
        cdc_report(report, CDC_BAD, NULL, "registry: %s", err.message);
    else
        cdc_report(report, CDC_PASS, NULL, "registry: %s", cdc_buf_cstr(&told));
    cdc_buf_done(&told);
}

static int check_all(const struct cdc_settings *set, struct cdc_report *report)
{
    const struct cdc_rule *rules;
    size_t n = cdc_capture_rules(set->config.capture, &rules);
    cdc_report(report, CDC_PASS, NULL, "%s: pipeline %s, %s to %s, %zu capture rule%s",
               set->config.path, set->config.name, set->source->name, set->sink->name, n,
               n == 1 ? "" : "s");
    check_side(set, set->source->check, "source", report);
    check_side(set, set->sink->check, "sink", report);
    check_registry(set, report);
    return cdc_report_count(report, CDC_BAD) ? CDC_EXIT_FAILED : CDC_EXIT_OK;
}

int cdc_cmd_check(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_settings *set;
    if (cdc_args_read("check", argc, argv, &args, &err) != CDC_OK ||
        cdc_settings_load(args.place, &set, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    struct cdc_report *report = cdc_report_new(stdout);
    int code = CDC_EXIT_FAILED;
    if (report)
        code = check_all(set, report);
    else if (cdc_fail_oom(&err) != CDC_OK)
        code = cdc_cli_exit(&err);
    cdc_report_free(report);
    cdc_settings_free(set);
    return code;
}
