/*
 * look.c - looks at the source's log every 10 s: for the metrics, and against source.max_lag.
 *
 * What the server keeps because of us lies on the disk of somebody's database. Above the bound it
 * is said once a minute, with whoever holds it back; /readyz says it too (http/ready.c). A look
 * that fails ends nothing: the stream's own connection knows better whether the server is there.
 */
#include "pipeline/session.h"

#include "cdc/clock.h"
#include "http/face.h"

#define LOOK_US ((int64_t)10 * 1000000)
#define WARN_US ((int64_t)60 * 1000000)

uint64_t cdc_look_bound(const struct cdc_settings *set)
{
    const struct cdc_option *opt = set->source->options;
    for (; opt && opt->name; opt++)
        if (strcmp(opt->name, "max_lag") == 0)
            return (uint64_t)cdc_get_int(set->config.source, "max_lag");
    return 0;
}

static bool may_warn(struct cdc_run *run, int64_t now_us)
{
    if (run->look.warned_us && now_us - run->look.warned_us < WARN_US)
        return false;
    run->look.warned_us = now_us;
    return true;
}

static void mind_bound(struct cdc_run *run, const struct cdc_source_status *status, int64_t now_us)
{
    char held[CDC_HUMAN], bound[CDC_HUMAN];
    if (run->look.bound == 0 || status->held_bytes <= run->look.bound || !may_warn(run, now_us))
        return;
    cdc_log(CDC_LOG_WARN,
            "the source keeps %s of its log for this pipeline, more than source.max_lag (%s)%s%s: "
            "its disk may fill up",
            cdc_human_bytes(status->held_bytes, held), cdc_human_bytes(run->look.bound, bound),
            status->holder[0] ? "; held by " : "", status->holder);
}

void cdc_look(struct cdc_run *run)
{
    const struct cdc_source_ops *ops = run->source->ops;
    struct cdc_source_status status = {.end_bytes = 0};
    struct cdc_error err = {.where = ""};
    if (!ops->look || (!run->metrics && run->look.bound == 0 && !cdc_copier_wants_log(run->copier)))
        return;
    int64_t now_us = cdc_mono_us();
    if (now_us < run->look.due_us)
        return;
    run->look.due_us = now_us + LOOK_US;
    int rc = ops->look(run->source, &status, &err);
    if (rc == CDC_OK) {
        cdc_metrics_looked(run->metrics, &status);
        mind_bound(run, &status, now_us);
        cdc_copier_log(run->copier, status.held_bytes);
    } else if (rc < 0 && may_warn(run, now_us)) {
        cdc_log(CDC_LOG_WARN, "the source's log could not be looked at: %s", err.message);
    }
}
