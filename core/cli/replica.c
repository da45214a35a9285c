/*
 * replica.c - `sidestream replica`: a SQLite database kept equal to the source (docs/replica.md).
 */
#include "replica/replica.h"

#include "cli/cli.h"
#include "cli/place.h"

static int replica(const struct cdc_settings *set, const struct cdc_args *args,
                   struct cdc_error *err)
{
    struct cdc_replica_options opt = {.path = cdc_arg(args, "--to")};
    struct cdc_replica_result result = {0};
    const struct cdc_feed_ops *ops;
    if (!opt.path)
        opt.path = cdc_get_string(set->replica, "path");
    if (!opt.path)
        return cdc_fail(err, CDC_CONFIG, set->config.path,
                        "no file for the replica: give `--to FILE.db`, or `replica: {path: "
                        "FILE.db}` in the configuration");
    if (cdc_place_feed(set, &ops, err))
        return CDC_FAIL;
    opt.until_caught_up = cdc_arg(args, "--until-caught-up") != NULL;
    opt.stop = cdc_stop_on_signals();
    if (cdc_replica_run(ops, &set->config, &opt, &result, err))
        return CDC_FAIL;
    printf("%s: at commit %llu; %llu commits, %llu rows applied\n", opt.path,
           (unsigned long long)result.number, (unsigned long long)result.commits,
           (unsigned long long)result.rows);
    return CDC_OK;
}

int cdc_cmd_replica(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_settings *set = NULL;
    int status = cdc_args_read("replica", argc, argv, &args, &err);
    if (!status)
        status = cdc_settings_load(args.place, &set, &err);
    if (!status)
        status = replica(set, &args, &err);
    cdc_settings_free(set);
    return status ? cdc_cli_exit(&err) : CDC_EXIT_OK;
}
