/*
 * renew.c - the configuration of a running pipeline read again, at a SIGHUP.
 *
 * The main thread reads and judges it (the `reload` of cdc_pipeline_options); what is refused
 * changes nothing. Then it only leaves the new settings where the engine finds them and asks the
 * session to end at the next place for a commit. That is an end in good order, as at a SIGTERM:
 * what was read is committed and acknowledged, copies leave off between two batches and say in the
 * checkpoint how far they are. The engine opens the sink anew, and the next session is like a
 * start: there is no second way in which settings come into effect.
 *
 * Settings that were in effect once are kept until the end of the run: tables point to their rules.
 */
#include "pipeline/session.h"

#include <stdlib.h>

#include "base/log.h"

/* For the end of the run. False: no memory. */
static bool keep(struct cdc_run *run, struct cdc_settings *set)
{
    struct cdc_settings **read =
        realloc(run->read, (run->n_read + 1) * sizeof(struct cdc_settings *));
    if (!read)
        return false;
    run->read = read;
    run->read[run->n_read++] = set;
    return true;
}

/* next NULL: with the settings of now, or with those that wait already. */
static void ask_for_a_session(struct cdc_run *run, struct cdc_settings *next)
{
    pthread_mutex_lock(&run->lock);
    if (next)
        run->next = next;
    atomic_store(&run->renew, true);
    if (run->wakeable)
        run->wakeable->ops->wake(run->wakeable);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

void cdc_renew_read(struct cdc_run *run)
{
    struct cdc_error err = {.message = ""};
    struct cdc_settings *next = NULL;
    const struct cdc_settings *now = run->n_read ? run->read[run->n_read - 1] : run->first;
    int rc = run->opt->reload ? run->opt->reload(now, &next, &err) : CDC_AGAIN;
    if (next && !keep(run, next)) {
        cdc_settings_free(next);
        rc = cdc_fail_oom(&err);
    }
    if (rc == CDC_OK || rc == CDC_AGAIN)
        ask_for_a_session(run, next);
    else if (rc < 0)
        cdc_log_error(CDC_LOG_ERROR, &err,
                      "the configuration that was read again is refused, the one before stays in "
                      "effect");
}

int cdc_renew_take(struct cdc_run *run, struct cdc_error *err)
{
    pthread_mutex_lock(&run->lock);
    struct cdc_settings *next = run->next;
    atomic_store(&run->renew, false);
    pthread_mutex_unlock(&run->lock);
    if (!next)
        return CDC_OK;
    struct cdc_sink *sink = NULL;
    if (next->sink->open(&next->config, &sink, err) != CDC_OK)
        return CDC_FAIL;
    pthread_mutex_lock(&run->lock);
    struct cdc_sink *before = run->sink;
    run->sink = sink;
    run->set = next;
    if (run->next == next)
        run->next = NULL;
    pthread_mutex_unlock(&run->lock);
    before->ops->close(before);
    run->sink_used = true; /* nothing is known of it yet */
    cdc_copier_renew(run->copier, next);
    cdc_log(CDC_LOG_INFO, "the configuration was read again and is in effect from here on");
    return CDC_OK;
}

void cdc_renew_free(struct cdc_run *run)
{
    for (size_t i = 0; i < run->n_read; i++)
        cdc_settings_free(run->read[i]);
    free(run->read);
}
