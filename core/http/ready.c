/*
 * ready.c - is the pipeline doing its work? Every reason against it, in words that say what to do.
 *
 * A table that is paused or has a gap is no reason: somebody decided that, and it is shown beside.
 */
#include <stdarg.h>
#include <stdio.h>

#include "http/face.h"

const char *const cdc_face_rungs[] = {"end", "received", "written", "committed"};
const char *const cdc_face_phases[] = {"starting", "streaming", "waiting", "stopping"};

static void reason(struct cdc_face_view *view, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void reason(struct cdc_face_view *view, const char *fmt, ...)
{
    va_list args;
    if (view->n_reasons == CDC_FACE_REASONS)
        return;
    va_start(args, fmt);
    vsnprintf(view->reasons[view->n_reasons++], sizeof view->reasons[0], fmt, args);
    va_end(args);
}

static void judge_phase(struct cdc_face_view *view)
{
    const struct cdc_metrics_view *met = &view->met;
    if (met->phase == CDC_PHASE_STOPPING)
        reason(view, "it was told to stop");
    else if (met->phase == CDC_PHASE_WAITING)
        reason(view, "the last session failed and another will be tried: %s", met->trouble);
    else if (met->phase == CDC_PHASE_STARTING && met->trouble[0])
        reason(view, "it starts again after: %s", met->trouble);
    else if (met->phase == CDC_PHASE_STARTING)
        reason(view, "it starts, and does not stream yet");
}

static void judge_log(struct cdc_face_view *view)
{
    const struct cdc_source_status *source = &view->met.source;
    char held[CDC_HUMAN], bound[CDC_HUMAN];
    if (!view->met.looked || view->max_lag == 0 || source->held_bytes <= view->max_lag)
        return;
    reason(view,
           "the source keeps %s of its log for this pipeline, more than source.max_lag (%s)%s%s",
           cdc_human_bytes(source->held_bytes, held), cdc_human_bytes(view->max_lag, bound),
           source->holder[0] ? "; held by " : "", source->holder);
}

void cdc_face_copy_judge(struct cdc_face_copy *copy)
{
    bool done = strcmp(copy->state, "done") == 0, copying = strcmp(copy->state, "copying") == 0;
    double rows = (double)copy->rows, all = (double)copy->all_rows;
    copy->part = done ? 1 : -1;
    copy->rate = copy->left_s = -1;
    if (!copying)
        return;
    if (copy->all_rows > 0) /* an estimate: the end is not there before it is */
        copy->part = rows < all * 0.99 ? rows / all : 0.99;
    if (copy->seconds >= 1)
        copy->rate = (double)copy->rows_now / copy->seconds;
    if (copy->rate > 0 && copy->all_rows > 0)
        copy->left_s = all > rows ? (all - rows) / copy->rate : 0;
}

void cdc_face_judge(struct cdc_face_view *view)
{
    char stalled[CDC_HUMAN], count[CDC_HUMAN];
    view->n_reasons = 0;
    judge_phase(view);
    judge_log(view);
    if (view->met.waiting_s > view->patience_s)
        reason(view, "the sink has not got on for %s, and %s changes wait in it",
               cdc_human_seconds(view->met.waiting_s, stalled),
               cdc_human_count(view->met.rows_waiting, count));
    view->ready = view->n_reasons == 0;
}
