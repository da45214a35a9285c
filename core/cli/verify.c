/*
 * verify.c - `sidestream verify`: is what was captured what the source has (docs/verify.md)?
 *
 * Exit codes: 0 equal, 1 a difference (or damage in the sink), 2 usage, 3 it cannot be decided. A
 * source that does not answer decides nothing, so what other commands call failed is 3 here.
 */
#include "verify/verify.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/place.h"
#include "config/section.h"

#include <string.h>

#define TIMEOUT "10m"
#define LIMIT   1000

static int number(const struct cdc_args *args, const char *flag, uint64_t *ret,
                  struct cdc_error *err)
{
    static const struct cdc_option opt = {.name = "number", .type = CDC_OPT_INT};
    const char *text = cdc_arg(args, flag);
    struct cdc_arena *arena = cdc_arena_new(65536);
    int64_t got = 0;
    int rc = CDC_OK;
    if (text && arena && (cdc_scalar_read(arena, &opt, text, &got) || got < 1))
        rc = cdc_fail(err, CDC_CONFIG, flag, "wants a number above 0");
    else if (text)
        *ret = (uint64_t)got;
    cdc_arena_free(arena);
    return rc;
}

static int duration(const struct cdc_args *args, int64_t *ret, struct cdc_error *err)
{
    static const struct cdc_option opt = {.name = "timeout", .type = CDC_OPT_DURATION};
    const char *text = cdc_arg(args, "--timeout");
    struct cdc_arena *arena = cdc_arena_new(65536);
    const char *why = arena ? cdc_scalar_read(arena, &opt, text ? text : TIMEOUT, ret) : "";
    int rc =
        why ? cdc_fail(err, CDC_CONFIG, "--timeout", "%s %s", text ? text : TIMEOUT, why) : CDC_OK;
    cdc_arena_free(arena);
    return rc;
}

static int read_options(const struct cdc_args *args, struct cdc_verify_options *opt,
                        struct cdc_error *err)
{
    opt->table = cdc_arg(args, "--table");
    opt->replica = cdc_arg(args, "--replica");
    opt->limit = LIMIT;
    if (opt->table && !strchr(opt->table, '.'))
        return cdc_fail(err, CDC_CONFIG, "--table", "wants schema.table, as in public.users");
    if (opt->replica && (cdc_arg(args, "--rate") || cdc_arg(args, "--timeout")))
        return cdc_fail(err, CDC_CONFIG, "--replica",
                        "reads nothing from the source: --rate and --timeout have no meaning");
    if (number(args, "--rate", &opt->rate, err) || number(args, "--limit", &opt->limit, err))
        return CDC_FAIL;
    return duration(args, &opt->timeout_us, err);
}

static int verify(const struct cdc_settings *set, const struct cdc_args *args,
                  struct cdc_verify_result *ret, struct cdc_error *err)
{
    struct cdc_verify_options opt = {.cfg = &set->config, .out = stdout, .log = stderr};
    if (read_options(args, &opt, err) || cdc_place_feed(set, &opt.feed, err))
        return CDC_FAIL;
    cdc_log_setup(CDC_LOG_WARN, set->log_json, set->config.name);
    opt.view = set->source->view;
    opt.stop = cdc_stop_on_signals();
    return cdc_verify(&opt, ret, err);
}

static int code_of(const struct cdc_verify_result *result)
{
    if (result->differences)
        return CDC_EXIT_FAILED;
    return result->undecided ? CDC_EXIT_REFUSED : CDC_EXIT_OK;
}

int cdc_cmd_verify(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_settings *set = NULL;
    struct cdc_verify_result result = {0};
    int rc = cdc_args_read("verify", argc, argv, &args, &err);
    if (!rc)
        rc = cdc_settings_load(args.place, &set, &err);
    if (!rc)
        rc = verify(set, &args, &result, &err);
    cdc_settings_free(set);
    if (!rc)
        return code_of(&result);
    int code = cdc_cli_exit(&err);
    return err.action == CDC_RETRY || err.action == CDC_REWIND ? CDC_EXIT_REFUSED : code;
}
