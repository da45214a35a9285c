/*
 * page.c - a view as one HTML page: no file beside it, nothing from elsewhere.
 *
 * The page is complete without its script; that only fetches the page again every two seconds,
 * takes the new `main`, and says so when nobody answers any more. Whatever is not ours to choose
 * (names, positions, messages) goes through put_text.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "http/face.h"

#define NBSP         "\xc2\xa0"
#define TABLES_SHOWN 500 /* the first by name; /status has all */

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--fg:#1a1f27;--dim:#5c6675;"
    "--line:#dfe3e9;--good:#14713a;--bad:#b3261e;--warn:#8a5a00;--bar:#2f6fd0}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12151a;--card:#1b2027;--fg:#e5e9ef;"
    "--dim:#97a2b2;--line:#2d343e;--good:#5fcf8a;--bad:#ff8a80;--warn:#f0b95a;--bar:#6ea4f4}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}\n"
    "main,header,footer{max-width:70rem;margin:0 auto;padding:0 1rem}\n"
    "header{padding-top:1rem}h1{font-size:1.35rem;margin:0;overflow-wrap:anywhere}\n"
    "h2{font-size:1rem;margin:1.4rem 0 .5rem}p{margin:.3rem 0}\n"
    ".pill{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1px solid;"
    "font-weight:600;font-size:.85rem;white-space:nowrap}\n"
    ".good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.dim{color:var(--dim)}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;"
    "padding:.7rem .9rem}\n"
    ".grid{display:grid;gap:.6rem;grid-template-columns:repeat(auto-fit,minmax(8.4rem,1fr))}\n"
    ".grid b{display:block;font-size:1.15rem;font-variant-numeric:tabular-nums}\n"
    ".grid small{color:var(--dim);overflow-wrap:anywhere}\n"
    ".why{border-left:.3rem solid var(--bad);overflow-wrap:anywhere;margin-top:.6rem}\n"
    ".scroll{overflow-x:auto;padding:0}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:right;padding:.35rem .7rem;border-top:1px solid var(--line);"
    "white-space:nowrap}\n"
    "thead th{border-top:0;color:var(--dim);font-weight:500;font-size:.85rem}\n"
    "th:first-child,td:first-child,td.l,th.l{text-align:left}\n"
    "td.name{white-space:normal;overflow-wrap:anywhere;min-width:9rem}\n"
    "td.pos{font:.85rem/1.4 ui-monospace,monospace;white-space:normal;overflow-wrap:anywhere;"
    "min-width:11rem}\n"
    "footer{color:var(--dim);font-size:.85rem;padding:1rem}a{color:inherit}\n"
    "#lost{display:none}body.lost #lost{display:inline-block}body.lost main{opacity:.5}\n";

static const char script[] =
    "setInterval(async()=>{if(document.hidden)return;try{"
    "const r=await fetch(location.href,{cache:'no-store'});if(!r.ok)throw 0;"
    "const d=new DOMParser().parseFromString(await r.text(),'text/html');"
    "const x=[...document.querySelectorAll('.scroll')].map(e=>e.scrollLeft);"
    "document.querySelector('main').replaceWith(d.querySelector('main'));"
    "document.querySelectorAll('.scroll').forEach((e,i)=>e.scrollLeft=x[i]||0);"
    "document.title=d.title;document.body.classList.remove('lost')"
    "}catch(e){document.body.classList.add('lost')}},2000)";

static void put_text(struct cdc_buf *buf, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<': cdc_buf_str(buf, "&lt;"); break;
        case '>': cdc_buf_str(buf, "&gt;"); break;
        case '&': cdc_buf_str(buf, "&amp;"); break;
        case '"': cdc_buf_str(buf, "&quot;"); break;
        default: cdc_buf_byte(buf, (uint8_t)*text);
        }
}

static void element(struct cdc_buf *buf, const char *open, const char *text, const char *close)
{
    cdc_buf_str(buf, open);
    put_text(buf, text);
    cdc_buf_str(buf, close);
}

/* One figure: what it is, its value, and a remark. */
static void tile(struct cdc_buf *buf, const char *what, const char *value, const char *remark)
{
    element(buf, "<div class=\"card\"><small>", what, "</small>");
    element(buf, "<b>", value, "</b>");
    element(buf, "<small>", remark, "</small></div>\n");
}

static void put_state(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    char since[CDC_HUMAN], text[96];
    snprintf(text, sizeof text, "%s for %s", cdc_face_phases[view->met.phase],
             cdc_human_seconds((double)(view->met.at_us - view->met.phase_us) / 1e6, since));
    element(buf, "<p><span class=\"pill ", view->ready ? "good" : "bad", "\">");
    element(buf, view->ready ? "ready" : "not ready", "", "</span> ");
    element(buf, "", text, ", ");
    element(buf, "", view->source, " to ");
    element(buf, "", view->sink, "</p>\n");
    for (size_t i = 0; i < view->n_reasons; i++)
        element(buf, "<p class=\"card why\">", view->reasons[i], "</p>\n");
}

static void put_rung(const struct cdc_metrics_rung *rung, const char *name, bool end,
                     struct cdc_buf *buf)
{
    char bytes[CDC_HUMAN], seconds[CDC_HUMAN];
    bool behind = !end && rung->seconds >= 60;
    element(buf, "<tr><td>", name, "</td>");
    element(buf, behind ? "<td class=\"warn\">" : "<td>",
            end ? "" : cdc_human_seconds(rung->seconds, seconds), "</td>");
    element(buf, "<td>", end ? "" : cdc_human_bytes(rung->bytes, bytes), "</td>");
    element(buf, "<td class=\"pos l\">", rung->position, "</td></tr>\n");
}

static void put_ladder(const struct cdc_metrics_view *met, struct cdc_buf *buf)
{
    static const char *const names[] = {"source's log ends", "received", "written to the sink",
                                        "committed"};
    cdc_buf_str(buf,
                "<h2>How far behind</h2>\n<div class=\"card scroll\"><table><thead><tr><th>step"
                "</th><th>behind by</th><th>log</th><th class=\"l\">position</th></tr></thead>\n");
    for (int i = 0; i < CDC_RUNGS; i++)
        put_rung(&met->rungs[i], names[i], i == CDC_RUNG_END, buf);
    cdc_buf_str(buf, "</table></div>\n");
}

static void put_source(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    const struct cdc_source_status *source = &view->met.source;
    char held[CDC_HUMAN], bound[CDC_HUMAN], text[128];
    if (!view->met.looked)
        return;
    cdc_human_bytes(source->held_bytes, held);
    if (view->max_lag)
        snprintf(text, sizeof text, "%s of its log (source.max_lag: %s)", held,
                 cdc_human_bytes(view->max_lag, bound));
    else
        snprintf(text, sizeof text, "%s of its log", held);
    bool over = view->max_lag && source->held_bytes > view->max_lag;
    cdc_buf_str(buf, "<h2>What the source keeps for us</h2>\n<div class=\"card\">\n");
    element(buf, over ? "<p class=\"bad\">" : "<p>", text, "</p>\n");
    if (source->holder[0])
        element(buf, "<p>held by ", source->holder, "</p>\n");
    if (source->slot[0])
        element(buf, "<p class=\"dim\">", source->slot, "</p>\n");
    cdc_buf_str(buf, "</div>\n");
}

/* "p50 below 5 ms, p99 below 50 ms". */
static const char *latency(const struct cdc_histogram *hist, char *to, size_t size)
{
    char half[CDC_HUMAN], most[CDC_HUMAN];
    double p50 = cdc_histogram_bound(hist, 0.5), p99 = cdc_histogram_bound(hist, 0.99);
    if (hist->count == 0)
        return "none yet";
    snprintf(to, size, "half %s %s, 99" NBSP "%% %s %s", isinf(p50) ? "over" : "below",
             cdc_human_seconds(isinf(p50) ? 30 : p50, half), isinf(p99) ? "over" : "below",
             cdc_human_seconds(isinf(p99) ? 30 : p99, most));
    return to;
}

static const char *mean(const struct cdc_histogram *hist, char to[CDC_HUMAN])
{
    return hist->count ? cdc_human_seconds(hist->sum / (double)hist->count, to) : "-";
}

static void put_figures(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    const struct cdc_metrics_view *met = &view->met;
    char a[CDC_HUMAN], b[CDC_HUMAN], remark[160];
    cdc_buf_str(buf, "<h2>Figures</h2>\n<div class=\"grid\">\n");
    snprintf(remark, sizeof remark, "%s wait for a commit", cdc_human_count(met->rows_waiting, b));
    tile(buf, "changes written", cdc_human_count(met->rows, a), remark);
    snprintf(remark, sizeof remark, "last %s", cdc_human_time(met->committed_us, b));
    tile(buf, "commits", cdc_human_count(met->commits, a), remark);
    tile(buf, "a commit takes", mean(&met->commit, a),
         latency(&met->commit, remark, sizeof remark));
    tile(buf, "from source to durable", mean(&met->delivery, a),
         latency(&met->delivery, remark, sizeof remark));
    snprintf(remark, sizeof remark, "of %s, in %s batches", cdc_human_bytes(met->queue_limit, b),
             cdc_human_count(met->queue_batches, a));
    tile(buf, "queue", cdc_human_bytes(met->queue_bytes, b), remark);
    snprintf(remark, sizeof remark, "CPU %s in all", cdc_human_seconds(view->cpu_s, b));
    tile(buf, "memory", cdc_human_bytes(view->resident_bytes, a), remark);
    snprintf(remark, sizeof remark, "of %s sessions", cdc_human_count(met->sessions, b));
    tile(buf, "tried again", cdc_human_count(met->retries, a), remark);
    cdc_buf_str(buf, "</div>\n");
}

/* Columns of rare operations are there once there was one. */
static const struct op_column {
    char op;
    bool always;
    const char *head;
} op_columns[] = {{'c', true, "inserts"}, {'u', true, "updates"},    {'d', true, "deletes"},
                  {'r', false, "copied"}, {'t', false, "truncates"}, {'m', false, "messages"}};

#define OP_COLUMNS (sizeof op_columns / sizeof *op_columns)

static uint64_t rows_of(const struct cdc_metrics_table *tab, char op)
{
    return tab->rows[strchr(cdc_metrics_ops, op) - cdc_metrics_ops];
}

/* A bit for each of op_columns that is shown. */
static unsigned columns_of(const struct cdc_metrics_view *met)
{
    unsigned shown = 0;
    for (size_t col = 0; col < OP_COLUMNS; col++) {
        bool any = op_columns[col].always;
        for (size_t i = 0; !any && i < met->n_tables; i++)
            any = rows_of(&met->tables[i], op_columns[col].op) > 0;
        shown |= any ? 1u << col : 0;
    }
    return shown;
}

static void put_table(const struct cdc_metrics_table *tab, unsigned columns, struct cdc_buf *buf)
{
    char text[CDC_HUMAN];
    bool odd = tab->gap || strcmp(tab->state, "streaming") != 0;
    element(buf, "<tr><td class=\"name\">", tab->name, "</td>");
    element(buf, odd ? "<td class=\"l warn\">" : "<td class=\"l\">", tab->state,
            tab->gap ? ", has a gap</td>" : "</td>");
    for (size_t i = 0; i < OP_COLUMNS; i++)
        if (columns & 1u << i)
            element(buf, "<td>", cdc_human_count(rows_of(tab, op_columns[i].op), text), "</td>");
    element(buf, "<td>", cdc_human_bytes(tab->bytes, text), "</td>");
    element(buf, "<td>", tab->commit_us ? cdc_human_time(tab->commit_us, text) : "",
            "</td></tr>\n");
}

static void put_tables(const struct cdc_metrics_view *met, struct cdc_buf *buf)
{
    char count[CDC_HUMAN];
    unsigned columns = columns_of(met);
    element(buf, "<h2>Tables <span class=\"dim\">", cdc_human_count(met->n_tables, count),
            "</span></h2>\n");
    if (met->n_tables == 0) {
        cdc_buf_str(buf, "<p class=\"dim\">None has had a change yet.</p>\n");
        return;
    }
    cdc_buf_str(buf, "<div class=\"card scroll\"><table><thead><tr><th>table</th><th class=\"l\">"
                     "state</th>");
    for (size_t i = 0; i < OP_COLUMNS; i++)
        if (columns & 1u << i)
            element(buf, "<th>", op_columns[i].head, "</th>");
    cdc_buf_str(buf, "<th>bytes</th><th>newest change</th></tr></thead>\n");
    for (size_t i = 0; i < met->n_tables && i < TABLES_SHOWN; i++)
        put_table(&met->tables[i], columns, buf);
    cdc_buf_str(buf, "</table></div>\n");
    if (met->n_tables > TABLES_SHOWN)
        cdc_buf_printf(buf, "<p class=\"dim\">The first %d; /status has all.</p>\n", TABLES_SHOWN);
}

static void put_copy(const struct cdc_face_copy *copy, struct cdc_buf *buf)
{
    char text[CDC_HUMAN];
    bool failed = strcmp(copy->state, "failed") == 0;
    element(buf, "<tr><td class=\"name\">", copy->table, "</td>");
    element(buf, failed ? "<td class=\"l bad\">" : "<td class=\"l\">",
            cdc_human_copy(copy->state, copy->part, text), "</td>");
    element(buf, "<td>", cdc_human_count(copy->rows, text), "</td>");
    element(buf, "<td>", copy->all_rows ? cdc_human_count(copy->all_rows, text) : "", "</td>");
    element(buf, "<td>", copy->rate >= 0 ? cdc_human_count((uint64_t)copy->rate, text) : "",
            "</td>");
    element(buf, "<td>", copy->left_s >= 0 ? cdc_human_seconds(copy->left_s, text) : "", "</td>");
    element(buf, "<td class=\"name l\">", copy->why ? copy->why : "", "</td></tr>\n");
}

/* Those that are not done, one by one. */
static void put_copies(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    char count[CDC_HUMAN];
    size_t n_done = 0, shown = 0;
    for (size_t i = 0; i < view->n_copies; i++)
        n_done += strcmp(view->copies[i].state, "done") == 0;
    if (view->n_copies == 0)
        return;
    element(buf, "<h2>Copies <span class=\"dim\">", cdc_human_count(n_done, count),
            " done</span></h2>\n");
    if (n_done == view->n_copies)
        return;
    cdc_buf_str(buf, "<div class=\"card scroll\"><table><thead><tr><th>table</th><th class=\"l\">"
                     "state</th><th>rows</th><th>of about</th><th>rows/s</th><th>left</th>"
                     "<th class=\"l\"></th></tr></thead>\n");
    for (size_t i = 0; i < view->n_copies && shown < TABLES_SHOWN; i++)
        if (strcmp(view->copies[i].state, "done") != 0) {
            put_copy(&view->copies[i], buf);
            shown++;
        }
    cdc_buf_str(buf, "</table></div>\n");
    if (view->n_copies - n_done > shown)
        cdc_buf_printf(buf, "<p class=\"dim\">The first %d; /status has all.</p>\n", TABLES_SHOWN);
}

static void put_commands(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    char at[CDC_HUMAN];
    if (view->n_mails == 0)
        return;
    cdc_buf_str(buf, "<h2>Commands</h2>\n<div class=\"card scroll\"><table><thead><tr><th>command"
                     "</th><th class=\"l\">table</th><th class=\"l\">posted</th><th class=\"l\">"
                     "state</th><th class=\"l\">outcome</th></tr></thead>\n");
    for (size_t i = 0; i < view->n_mails; i++) {
        const struct cdc_mail *mail = &view->mails[i];
        element(buf, "<tr><td>", cdc_command_name(mail->command), "</td>");
        element(buf, "<td class=\"l\">", mail->table, "</td>");
        element(buf, "<td class=\"l\">", cdc_human_time(mail->posted_us, at), "</td>");
        element(buf, "<td class=\"l\">", cdc_mail_state_name(mail->state), "</td>");
        element(buf, "<td class=\"name l\">", mail->outcome, "</td></tr>\n");
    }
    cdc_buf_str(buf, "</table></div>\n");
}

void cdc_face_page(const struct cdc_face_view *view, struct cdc_buf *buf)
{
    char at[CDC_HUMAN];
    cdc_buf_str(buf, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
                     "name=\"viewport\" content=\"width=device-width\">\n<title>");
    element(buf, view->ready ? "" : "! ", view->name, " - sidestream</title>\n<style>");
    element(buf, style, "", "</style></head><body>\n<header><h1>");
    element(
        buf, "", view->name,
        " <span class=\"pill bad\" id=\"lost\">no answer any more</span></h1></header>\n<main>\n");
    put_state(view, buf);
    put_ladder(&view->met, buf);
    put_source(view, buf);
    put_figures(view, buf);
    put_copies(view, buf);
    put_tables(&view->met, buf);
    put_commands(view, buf);
    element(buf, "<p class=\"dim\">As of ", cdc_human_time(view->met.at_us, at),
            ", running since ");
    element(buf, "", cdc_human_time(view->met.started_us, at), "</p>\n</main>\n");
    element(buf, "<footer>sidestream ", view->version,
            " &middot; <a href=\"/status\">/status</a> <a href=\"/metrics\">/metrics</a> "
            "<a href=\"/readyz\">/readyz</a></footer>\n<script>");
    element(buf, script, "", "</script></body></html>\n");
}
