/*
 * status.c - a view as JSON: /status, /readyz, and what `sidestream status` reads.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "http/face.h"

static void put_text(const json_t *json, struct cdc_buf *buf)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text)
        cdc_buf_str(buf, text);
    else
        buf->failed = true;
    cdc_buf_byte(buf, '\n');
    free(text);
}

/* NULL becomes null, so that one missing text does not cost the whole. */
static json_t *text_of(const char *text)
{
    json_t *json = text && *text ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *time_of(int64_t us)
{
    return us > 0 ? json_real((double)us / 1e6) : json_null();
}

static json_t *count_of(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *reasons_of(const struct cdc_face_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->n_reasons; i++)
        json_array_append_new(list, text_of(view->reasons[i]));
    return list;
}

static json_t *ladder_of(const struct cdc_metrics_view *met)
{
    json_t *list = json_array();
    for (int i = 0; i < CDC_RUNGS; i++) {
        const struct cdc_metrics_rung *rung = &met->rungs[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:f}", "rung", cdc_face_rungs[i],
                                              "position", text_of(rung->position), "bytes",
                                              count_of(rung->bytes), "seconds", rung->seconds));
    }
    return list;
}

static json_t *source_of(const struct cdc_face_view *view)
{
    const struct cdc_metrics_view *met = &view->met;
    if (!met->looked)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "held_bytes",
                     count_of(met->source.held_bytes), "max_lag",
                     view->max_lag ? count_of(view->max_lag) : json_null(), "holder",
                     text_of(met->source.holder), "slot", text_of(met->source.slot), "end",
                     text_of(met->source.end), "looked_at", time_of(met->looked_us));
}

static json_t *bound_of(const struct cdc_histogram *hist, double part)
{
    double bound = cdc_histogram_bound(hist, part);
    return isfinite(bound) && bound >= 0 ? json_real(bound) : json_null();
}

static json_t *histogram_of(const struct cdc_histogram *hist)
{
    return json_pack("{s:o, s:f, s:o, s:o}", "count", count_of(hist->count), "mean_s",
                     hist->count ? hist->sum / (double)hist->count : 0.0, "p50_below_s",
                     bound_of(hist, 0.5), "p99_below_s", bound_of(hist, 0.99));
}

static json_t *tables_of(const struct cdc_metrics_view *met)
{
    json_t *list = json_array();
    for (size_t i = 0; i < met->n_tables; i++) {
        const struct cdc_metrics_table *tab = &met->tables[i];
        json_t *ops = json_object();
        for (size_t op = 0; op < CDC_METRICS_OPS; op++) {
            char name[2] = {cdc_metrics_ops[op], 0};
            json_object_set_new(ops, name, count_of(tab->rows[op]));
        }
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "table",
                                              text_of(tab->name), "state", text_of(tab->state),
                                              "changes", ops, "bytes", count_of(tab->bytes),
                                              "last_change_at", time_of(tab->commit_us), "gap_from",
                                              tab->gap ? json_string(tab->gap) : json_null()));
    }
    return list;
}

static json_t *known(double n)
{
    return n >= 0 && isfinite(n) ? json_real(n) : json_null();
}

static json_t *copies_of(const struct cdc_face_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->n_copies; i++) {
        const struct cdc_face_copy *copy = &view->copies[i];
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "table",
                      text_of(copy->table), "state", text_of(copy->state), "generation",
                      (json_int_t)copy->generation, "rows", count_of(copy->rows), "rows_estimate",
                      copy->all_rows ? count_of(copy->all_rows) : json_null(), "part",
                      known(copy->part), "rows_per_s", known(copy->rate), "seconds_left",
                      known(copy->left_s), "why", text_of(copy->why)));
    }
    return list;
}

static json_t *commands_of(const struct cdc_face_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->n_mails; i++) {
        const struct cdc_mail *mail = &view->mails[i];
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o}", "id", count_of(mail->id),
                            "command", cdc_command_name(mail->command), "table",
                            text_of(mail->table), "state", cdc_mail_state_name(mail->state),
                            "outcome", text_of(mail->outcome), "posted_at",
                            time_of(mail->posted_us), "settled_at", time_of(mail->settled_us)));
    }
    return list;
}

static json_t *counters_of(const struct cdc_metrics_view *met)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "rows_written", count_of(met->rows),
                     "batches", count_of(met->batches), "commits", count_of(met->commits),
                     "sessions", count_of(met->sessions), "retries", count_of(met->retries),
                     "rows_waiting", count_of(met->rows_waiting), "sink_stalled_s", met->waiting_s);
}

static json_t *process_of(const struct cdc_face_view *view)
{
    const struct cdc_metrics_view *met = &view->met;
    return json_pack("{s:{s:o, s:o, s:o}, s:{s:o, s:o}, s:f}", "queue", "batches",
                     count_of(met->queue_batches), "bytes", count_of(met->queue_bytes), "limit",
                     count_of(met->queue_limit), "memory", "resident",
                     count_of(view->resident_bytes), "limit", count_of(view->memory_limit), "cpu_s",
                     view->cpu_s);
}

void cdc_face_json(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    const struct cdc_metrics_view *met = &view->met;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:b, s:o, s:o}", "pipeline", view->name,
                  "version", view->version, "source", view->source, "sink", view->sink, "at",
                  time_of(met->at_us), "started_at", time_of(met->started_us), "phase",
                  cdc_face_phases[met->phase], "phase_since", time_of(met->phase_us), "ready",
                  (int)view->ready, "reasons", reasons_of(view), "trouble", text_of(met->trouble));
    json_object_set_new(json, "ladder", ladder_of(met));
    json_object_set_new(json, "source_log", source_of(view));
    json_object_set_new(json, "counters", counters_of(met));
    json_object_set_new(json, "last_commit_at", time_of(met->committed_us));
    json_object_set_new(json, "commit", histogram_of(&met->commit));
    json_object_set_new(json, "delivery", histogram_of(&met->delivery));
    json_object_set_new(json, "process", process_of(view));
    json_object_set_new(json, "tables", tables_of(met));
    json_object_set_new(json, "copies", copies_of(view));
    json_object_set_new(json, "commands", commands_of(view));
    put_text(json, buf);
    json_decref(json);
}

void cdc_face_ready_json(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    json_t *json = json_pack("{s:b, s:o}", "ready", (int)view->ready, "reasons", reasons_of(view));
    put_text(json, buf);
    json_decref(json);
}

void cdc_face_commands_json(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    json_t *json = commands_of(view);
    put_text(json, buf);
    json_decref(json);
}
