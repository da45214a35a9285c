/*
 * prometheus.c - a view as Prometheus' text format 0.0.4. A new figure is a row of `figures`.
 *
 * Times are in seconds since 1970, as Prometheus wants them; counters end in _total. Each sample
 * has the label `pipeline`. The tables' operations c, u and d are always told, the rare ones once
 * there was one.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "http/face.h"

enum figure_kind { FIG_U64, FIG_SIZE, FIG_DOUBLE, FIG_TIME, FIG_BOOL };

#define VIEW(field) offsetof(struct cdc_face_view, field)

static const struct figure {
    const char *name, *type, *help;
    enum figure_kind kind;
    size_t at;
} figures[] = {
    {"ready", "gauge", "1 while the pipeline does its work (as /readyz says).", FIG_BOOL,
     VIEW(ready)},
    {"start_time_seconds", "gauge", "When the run began.", FIG_TIME, VIEW(met.started_us)},
    {"rows_written_total", "counter", "Changes that the sink took; after a rewind some come again.",
     FIG_U64, VIEW(met.rows)},
    {"batches_total", "counter", "Batches that the sink took.", FIG_U64, VIEW(met.batches)},
    {"commits_total", "counter", "Commits of the sink.", FIG_U64, VIEW(met.commits)},
    {"sessions_total", "counter", "Times that source and sink were opened.", FIG_U64,
     VIEW(met.sessions)},
    {"retries_total", "counter", "Sessions that failed and were tried again.", FIG_U64,
     VIEW(met.retries)},
    {"rows_waiting", "gauge", "Changes written to the sink and not committed.", FIG_U64,
     VIEW(met.rows_waiting)},
    {"sink_stalled_seconds", "gauge", "How long the sink has not got on although changes wait.",
     FIG_DOUBLE, VIEW(met.waiting_s)},
    {"last_commit_timestamp_seconds", "gauge", "When the sink last committed; 0: not in this run.",
     FIG_TIME, VIEW(met.committed_us)},
    {"queue_batches", "gauge", "Batches between source and sink.", FIG_SIZE,
     VIEW(met.queue_batches)},
    {"queue_bytes", "gauge", "Memory of all batches that are in use.", FIG_SIZE,
     VIEW(met.queue_bytes)},
    {"queue_limit_bytes", "gauge", "What that memory is bounded by.", FIG_SIZE,
     VIEW(met.queue_limit)},
    {"memory_limit_bytes", "gauge", "`memory` of the configuration.", FIG_U64, VIEW(memory_limit)},
    {"source_held_bytes", "gauge", "Log that the source's server keeps because of this pipeline.",
     FIG_U64, VIEW(met.source.held_bytes)},
    {"source_max_lag_bytes", "gauge", "`source.max_lag` of the configuration; 0: no bound.",
     FIG_U64, VIEW(max_lag)},
    {"source_looked_timestamp_seconds", "gauge",
     "When the source's log was last looked at; 0: never.", FIG_TIME, VIEW(met.looked_us)},
};

static void label(struct cdc_buf *buf, const char *name, const char *val)
{
    cdc_buf_printf(buf, "%s=\"", name);
    for (; *val; val++) {
        if (*val == '\\' || *val == '"')
            cdc_buf_byte(buf, '\\');
        if (*val == '\n')
            cdc_buf_str(buf, "\\n");
        else
            cdc_buf_byte(buf, (uint8_t)*val);
    }
    cdc_buf_byte(buf, '"');
}

static void head(struct cdc_buf *buf, const char *name, const char *type, const char *help)
{
    cdc_buf_printf(buf, "# HELP sidestream_%s %s\n# TYPE sidestream_%s %s\n", name, help, name,
                   type);
}

/* Name and labels, and a space; further labels as pairs, up to NULL. */
static void begin(const struct cdc_face_view *view, struct cdc_buf *buf, const char *name,
                  const char *const *labels)
{
    cdc_buf_printf(buf, "sidestream_%s{", name);
    label(buf, "pipeline", view->name);
    for (; labels && *labels; labels += 2) {
        cdc_buf_byte(buf, ',');
        label(buf, labels[0], labels[1]);
    }
    cdc_buf_str(buf, "} ");
}

static void put_count(struct cdc_buf *buf, uint64_t n)
{
    cdc_buf_printf(buf, "%llu\n", (unsigned long long)n);
}

static void put_time(struct cdc_buf *buf, int64_t us)
{
    cdc_buf_printf(buf, "%lld.%06lld\n", (long long)(us / 1000000), (long long)(us % 1000000));
}

static void put_figure(const struct cdc_face_view *view, const struct figure *fig,
                       struct cdc_buf *buf)
{
    const void *at = (const char *)view + fig->at;
    head(buf, fig->name, fig->type, fig->help);
    begin(view, buf, fig->name, NULL);
    switch (fig->kind) {
    case FIG_U64: put_count(buf, *(const uint64_t *)at); break;
    case FIG_SIZE: put_count(buf, *(const size_t *)at); break;
    case FIG_BOOL: put_count(buf, *(const bool *)at); break;
    case FIG_DOUBLE: cdc_buf_printf(buf, "%.9g\n", *(const double *)at); break;
    case FIG_TIME: put_time(buf, *(const int64_t *)at); break;
    }
}

static void put_info(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    head(buf, "info", "gauge", "What runs; always 1.");
    begin(view, buf, "info",
          (const char *const[]){"version", view->version, "source", view->source, "sink",
                                view->sink, NULL});
    put_count(buf, 1);
    head(buf, "phase", "gauge", "1 for the phase that the pipeline is in.");
    for (unsigned i = 0; i <= CDC_PHASE_STOPPING; i++) {
        begin(view, buf, "phase", (const char *const[]){"phase", cdc_face_phases[i], NULL});
        put_count(buf, view->met.phase == i);
    }
}

static void put_ladder(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    head(buf, "lag_bytes", "gauge",
         "Log between the source's end, as last seen, and what was received, written, committed.");
    for (int i = CDC_RUNG_RECEIVED; i < CDC_RUNGS; i++) {
        begin(view, buf, "lag_bytes", (const char *const[]){"rung", cdc_face_rungs[i], NULL});
        put_count(buf, view->met.rungs[i].bytes);
    }
    head(buf, "lag_seconds", "gauge",
         "Age of the oldest change that was not received, written, committed; 0: caught up.");
    for (int i = CDC_RUNG_RECEIVED; i < CDC_RUNGS; i++) {
        begin(view, buf, "lag_seconds", (const char *const[]){"rung", cdc_face_rungs[i], NULL});
        cdc_buf_printf(buf, "%.6f\n", view->met.rungs[i].seconds);
    }
}

static void put_histogram(const struct cdc_face_view *view, const char *name, const char *help,
                          const struct cdc_histogram *hist, struct cdc_buf *buf)
{
    char full[64], bound[32];
    uint64_t sum = 0;
    head(buf, name, "histogram", help);
    snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i <= CDC_METRICS_BUCKETS; i++) {
        bool last = i == CDC_METRICS_BUCKETS;
        snprintf(bound, sizeof bound, "%g", last ? INFINITY : cdc_metrics_bounds[i]);
        begin(view, buf, full, (const char *const[]){"le", last ? "+Inf" : bound, NULL});
        put_count(buf, last ? hist->count : (sum += hist->buckets[i]));
    }
    snprintf(full, sizeof full, "%s_sum", name);
    begin(view, buf, full, NULL);
    cdc_buf_printf(buf, "%.9g\n", hist->sum);
    snprintf(full, sizeof full, "%s_count", name);
    begin(view, buf, full, NULL);
    put_count(buf, hist->count);
}

static void put_table_changes(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    const char *name = "table_changes_total";
    head(buf, name, "counter", "Changes committed, by table and operation.");
    for (size_t i = 0; i < view->met.n_tables; i++) {
        const struct cdc_metrics_table *tab = &view->met.tables[i];
        for (size_t op = 0; op < CDC_METRICS_OPS; op++) {
            char text[2] = {cdc_metrics_ops[op], 0};
            if (tab->rows[op] == 0 && !strchr("cud", text[0]))
                continue;
            begin(view, buf, name, (const char *const[]){"table", tab->name, "op", text, NULL});
            put_count(buf, tab->rows[op]);
        }
    }
}

static void put_tables(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    const struct cdc_metrics_view *met = &view->met;
    put_table_changes(view, buf);
    head(buf, "table_bytes_total", "counter", "Bytes of committed records as they were encoded.");
    for (size_t i = 0; i < met->n_tables; i++) {
        begin(view, buf, "table_bytes_total",
              (const char *const[]){"table", met->tables[i].name, NULL});
        put_count(buf, met->tables[i].bytes);
    }
    head(buf, "table_last_change_timestamp_seconds", "gauge",
         "Commit time, in the source, of the newest committed change; 0: none in this run.");
    for (size_t i = 0; i < met->n_tables; i++) {
        begin(view, buf, "table_last_change_timestamp_seconds",
              (const char *const[]){"table", met->tables[i].name, NULL});
        put_time(buf, met->tables[i].commit_us);
    }
    head(buf, "table_state", "gauge", "The table's state; always 1.");
    for (size_t i = 0; i < met->n_tables; i++) {
        begin(view, buf, "table_state",
              (const char *const[]){"table", met->tables[i].name, "state", met->tables[i].state,
                                    NULL});
        put_count(buf, 1);
    }
    head(buf, "table_gap", "gauge", "1 while changes of the table are missing.");
    for (size_t i = 0; i < met->n_tables; i++) {
        begin(view, buf, "table_gap", (const char *const[]){"table", met->tables[i].name, NULL});
        put_count(buf, met->tables[i].gap != NULL);
    }
}

/* A series only where it is known. */
static void put_copy_progress(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    head(buf, "copy_part", "gauge", "How much of the table is copied, 0 to 1, by the estimate.");
    for (size_t i = 0; i < view->n_copies; i++) {
        const struct cdc_face_copy *copy = &view->copies[i];
        if (copy->part < 0)
            continue;
        begin(view, buf, "copy_part", (const char *const[]){"table", copy->table, NULL});
        cdc_buf_printf(buf, "%.4g\n", copy->part);
    }
    head(buf, "copy_seconds_left", "gauge", "Until the copy of the table ends, by the estimate.");
    for (size_t i = 0; i < view->n_copies; i++) {
        const struct cdc_face_copy *copy = &view->copies[i];
        if (copy->left_s < 0)
            continue;
        begin(view, buf, "copy_seconds_left", (const char *const[]){"table", copy->table, NULL});
        cdc_buf_printf(buf, "%.9g\n", copy->left_s);
    }
}

static void put_copies(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    head(buf, "copy_state", "gauge", "State of the copy of the table's rows; always 1.");
    for (size_t i = 0; i < view->n_copies; i++) {
        begin(view, buf, "copy_state",
              (const char *const[]){"table", view->copies[i].table, "state", view->copies[i].state,
                                    NULL});
        put_count(buf, 1);
    }
    head(buf, "copy_rows", "gauge", "Rows that this copy of the table has read.");
    for (size_t i = 0; i < view->n_copies; i++) {
        begin(view, buf, "copy_rows", (const char *const[]){"table", view->copies[i].table, NULL});
        put_count(buf, view->copies[i].rows);
    }
    head(buf, "copy_rows_estimate", "gauge",
         "Rows of the table as the source estimates them; only while it is being copied.");
    for (size_t i = 0; i < view->n_copies; i++) {
        const struct cdc_face_copy *copy = &view->copies[i];
        if (copy->all_rows == 0)
            continue;
        begin(view, buf, "copy_rows_estimate", (const char *const[]){"table", copy->table, NULL});
        put_count(buf, copy->all_rows);
    }
    put_copy_progress(view, buf);
}

void cdc_face_prometheus(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    put_info(view, buf);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        put_figure(view, &figures[i], buf);
    put_ladder(view, buf);
    put_histogram(view, "commit_seconds", "How long a commit of the sink took.", &view->met.commit,
                  buf);
    put_histogram(view, "delivery_seconds",
                  "Age of a commit's oldest change (not of copied rows) when it was durable in the "
                  "sink.",
                  &view->met.delivery, buf);
    put_tables(view, buf);
    put_copies(view, buf);
    cdc_buf_printf(buf,
                   "# HELP process_resident_memory_bytes Resident memory of the process.\n"
                   "# TYPE process_resident_memory_bytes gauge\n"
                   "process_resident_memory_bytes %llu\n"
                   "# HELP process_cpu_seconds_total User and system time of the process.\n"
                   "# TYPE process_cpu_seconds_total counter\n"
                   "process_cpu_seconds_total %.6f\n",
                   (unsigned long long)view->resident_bytes, view->cpu_s);
}
