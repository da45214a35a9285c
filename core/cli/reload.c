/*
 * reload.c - may a running pipeline go on with its configuration as the file says it now?
 *
 * What a running instance cannot change is refused: another pipeline, source, sink or listener is
 * another instance. So is a file that is wrong, a sink that does not take it, and what the source's
 * preflight finds wrong with it that it did not find before: a table that cannot be captured must
 * not end a pipeline that runs. What takes no session at all (the log) is done here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "config/settings.h"

static const char *const fixed[] = {"name", "source", "sink", "memory", "registry", "http", NULL};
static const char *const live[] = {"capture", "snapshot", "envelope", "secrets", NULL};
static const char *const light[] = {"log", "replica", NULL};

static const char *changed(const struct cdc_settings *before, const struct cdc_settings *now,
                           const char *const *keys)
{
    const char *what = NULL;
    for (; !what && *keys; keys++)
        what = cdc_settings_changed(before, now, *keys);
    return what;
}

/* What the source's preflight says, a finding a line; NULL: no memory. */
static char *findings(const struct cdc_settings *set, struct cdc_error *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct cdc_report *report = out ? cdc_report_new(out) : NULL;
    int rc = report ? set->source->check(&set->config, report, err) : cdc_fail_oom(err);
    cdc_report_free(report);
    if (out)
        fclose(out);
    if (rc == CDC_OK && text)
        return text;
    free(text);
    return NULL;
}

/* The first finding of `now` that is bad and is none of `before`; NULL: there is none. */
static char *new_finding(const char *before, char *now)
{
    static const char bad[] = "FAIL";
    for (char *line = strtok(now, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, bad, strlen(bad)) == 0 && !strstr(before, line))
            return line + strlen(bad) + strspn(line + strlen(bad), " ");
    return NULL;
}

static int check_source(const struct cdc_settings *before, const struct cdc_settings *now,
                        struct cdc_error *err)
{
    if (!now->source->check)
        return CDC_OK;
    char *told = findings(before, err), *tells = told ? findings(now, err) : NULL;
    const char *wrong = tells ? new_finding(told, tells) : NULL;
    int rc = tells ? CDC_OK : CDC_FAIL;
    if (wrong)
        rc = cdc_fail(err, CDC_CONFIG, now->config.path,
                      "%.600s (`sidestream check` says all that is wrong with it)", wrong);
    free(told);
    free(tells);
    return rc;
}

/* Opening touches nothing that the instance that runs could notice (cdc/sink.h). */
static int check_sink(const struct cdc_settings *now, struct cdc_error *err)
{
    struct cdc_sink *sink = NULL;
    if (now->sink->open(&now->config, &sink, err) != CDC_OK)
        return CDC_FAIL;
    now->sink->close(sink);
    return CDC_OK;
}

static int judge(const struct cdc_settings *before, const struct cdc_settings *now,
                 struct cdc_error *err)
{
    const char *what = changed(before, now, fixed);
    if (what)
        return cdc_fail(err, CDC_CONFIG, now->config.path,
                        "%s says something else than when the instance was started, which takes a "
                        "start: stop it and start it again, or put back what was written there",
                        what);
    what = changed(before, now, live);
    if (!what)
        return changed(before, now, light) ? CDC_END : CDC_AGAIN;
    cdc_log(CDC_LOG_INFO, "%s: %s is another one now", now->config.path, what);
    return check_source(before, now, err) < 0 ? CDC_FAIL : check_sink(now, err);
}

int cdc_cli_reload(const struct cdc_settings *before, struct cdc_settings **ret,
                   struct cdc_error *err)
{
    struct cdc_settings *now;
    if (cdc_settings_load(before->config.path, &now, err) != CDC_OK)
        return CDC_FAIL;
    int rc = judge(before, now, err);
    if (rc >= 0)
        cdc_log_change(now->log_level, now->log_json);
    if (rc == CDC_AGAIN || rc == CDC_END)
        cdc_log(CDC_LOG_INFO, "%s was read again; %s", now->config.path,
                rc == CDC_END ? "only the log follows it" : "nothing in it is new");
    if (rc == CDC_OK || rc == CDC_END)
        *ret = now;
    else
        cdc_settings_free(now);
    return rc;
}
