/*
 * run.c - `sidestream run`: the pipeline, with the log set up as the configuration says.
 */
#include <signal.h>

#include "base/log.h"
#include "cli/cli.h"
#include "config/settings.h"
#include "pipeline/pipeline.h"

static int run_pipeline(const struct cdc_settings *set, const struct cdc_args *args)
{
    struct cdc_error err = {0};
    struct cdc_pipeline_options opt = {.until_caught_up = cdc_arg(args, "--until-caught-up"),
                                       .reload = cdc_cli_reload};
    cdc_log_setup(set->log_level, set->log_json, set->config.name);
    cdc_log(CDC_LOG_INFO, "sidestream %s starts: %s to %s, configuration %s", CDC_VERSION,
            set->source->name, set->sink->name, set->config.path);
    if (cdc_pipeline_run(set, &opt, NULL, &err) == CDC_OK)
        return CDC_EXIT_OK;
    cdc_log_error(CDC_LOG_ERROR, &err, NULL);
    return cdc_cli_code(&err);
}

void cdc_hold_signals(bool hold)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

int cdc_cmd_run(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_settings *set;
    if (cdc_args_read("run", argc, argv, &args, &err) != CDC_OK ||
        cdc_settings_load(args.place, &set, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    int code = run_pipeline(set, &args);
    cdc_settings_free(set);
    return code;
}
