/* A view in its four forms: what makes it not ready, how odd names are written, numbers for people.
 */
#include "cm.h"
#include "rows.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "http/face.h"

static struct cdc_face_view plain(void)
{
    return (struct cdc_face_view){.name = "shop",
                                  .version = "1",
                                  .source = "postgres",
                                  .sink = "lake",
                                  .patience_s = 40,
                                  .met = {.at_us = 1000000000, .phase = CDC_PHASE_STREAMING}};
}

/* ---- ready ---- */

static const struct ready_row {
    const char *name;
    enum cdc_phase phase;
    const char *trouble;
    uint64_t max_lag, held;
    bool looked;
    double waiting_s;
    size_t reasons;
    const char *holds; /* of the first reason */
} ready_rows[] = {
    {"streaming", CDC_PHASE_STREAMING, "", 0, 0, false, 0, 0, NULL},
    {"starting", CDC_PHASE_STARTING, "", 0, 0, false, 0, 1, "does not stream yet"},
    {"starting again", CDC_PHASE_STARTING, "gone", 0, 0, false, 0, 1, "starts again after: gone"},
    {"waiting", CDC_PHASE_WAITING, "gone", 0, 0, false, 0, 1,
     "failed and another will be tried: gone"},
    {"stopping", CDC_PHASE_STOPPING, "", 0, 0, false, 0, 1, "told to stop"},
    {"trouble of before", CDC_PHASE_STREAMING, "gone", 0, 0, false, 0, 0, NULL},
    {"at the bound", CDC_PHASE_STREAMING, "", 1 << 20, 1 << 20, true, 0, 0, NULL},
    {"over it", CDC_PHASE_STREAMING, "", 1 << 20, 3 << 20, true, 0, 1,
     "keeps 3.0 MiB of its log for this pipeline, more than source.max_lag (1.0 MiB); held by me"},
    {"no bound", CDC_PHASE_STREAMING, "", 0, 3 << 20, true, 0, 0, NULL},
    {"patience", CDC_PHASE_STREAMING, "", 0, 0, false, 40, 0, NULL},
    {"no more of it", CDC_PHASE_STREAMING, "", 0, 0, false, 41, 1, "has not got on for 41.0 s"},
    {"all of it", CDC_PHASE_WAITING, "x", 1, 2, true, 41, 3, "failed"},
};

static void test_ready(void **state)
{
    const struct ready_row *row = *state;
    struct cdc_face_view view = plain();
    view.max_lag = row->max_lag;
    view.met.phase = row->phase;
    view.met.looked = row->looked;
    view.met.waiting_s = row->waiting_s;
    view.met.source.held_bytes = row->held;
    snprintf(view.met.source.holder, sizeof view.met.source.holder, "me");
    snprintf(view.met.trouble, sizeof view.met.trouble, "%s", row->trouble);
    cdc_face_judge(&view);
    assert_int_equal(view.n_reasons, row->reasons);
    assert_int_equal(view.ready, row->reasons == 0);
    if (row->holds && !strstr(view.reasons[0], row->holds))
        fail_msg("%s", view.reasons[0]);
}

/* ---- the forms ---- */

static const struct form_row {
    const char *name, *table, *prometheus, *json, *page;
} form_rows[] = {
    {"plain", "s.t", "table=\"s.t\"", "\"table\":\"s.t\"", ">s.t<"},
    {"quote", "s.\"t", "table=\"s.\\\"t\"", "\"table\":\"s.\\\"t\"", ">s.&quot;t<"},
    {"backslash", "s.\\t", "table=\"s.\\\\t\"", "\"table\":\"s.\\\\t\"", ">s.\\t<"},
    {"line break", "s.\nt", "table=\"s.\\nt\"", "\"table\":\"s.\\nt\"", ">s.\nt<"},
    {"script", "s.<script>&", "table=\"s.<script>&\"", "\"s.<script>&\"",
     ">s.&lt;script&gt;&amp;<"},
    {"UTF-8", "s.\xc3\xa4", "table=\"s.\xc3\xa4\"", "s.\xc3\xa4", ">s.\xc3\xa4<"},
};

typedef void form(const struct cdc_face_view *view, struct cdc_buf *buf);

static void check_form(const struct cdc_face_view *view, form *fn, const char *holds)
{
    struct cdc_buf buf = CDC_BUF(1 << 20);
    fn(view, &buf);
    const char *text = cdc_buf_cstr(&buf);
    assert_non_null(text);
    if (!strstr(text, holds))
        fail_msg("%s is not in %s", holds, text);
    cdc_buf_done(&buf);
}

static void test_form(void **state)
{
    const struct form_row *row = *state;
    struct cdc_face_view view = plain();
    struct cdc_metrics_table tab = {
        .name = row->table, .state = "streaming", .rows = {7, 0, 0, 0, 3}};
    view.met.tables = &tab;
    view.met.n_tables = 1;
    check_form(&view, cdc_face_prometheus, row->prometheus);
    check_form(&view, cdc_face_prometheus, "op=\"c\"} 7\n");
    check_form(&view, cdc_face_prometheus, "op=\"d\"} 0\n");
    check_form(&view, cdc_face_prometheus, "op=\"t\"} 3\n");
    check_form(&view, cdc_face_json, row->json);
    check_form(&view, cdc_face_page, row->page);
}

/* ---- copies ---- */

static const struct copy_row {
    const char *name;
    struct cdc_face_copy copy;
    const char *metric, *json, *page; /* the page names those that are not done */
    const char *more;                 /* another metric */
    const char *none;                 /* what is not there, for it is not known */
} copy_rows[] = {
    {"half",
     {.state = "copying", .rows = 500, .all_rows = 1000, .rows_now = 400, .seconds = 4},
     "copy_rows_estimate{pipeline=\"shop\",table=\"s.t\"} 1000\n",
     "\"rows_estimate\":1000,\"part\":0.5,\"rows_per_s\":100.0,\"seconds_left\":5.0,\"why\":null",
     "copying 50 %</td><td>500</td><td>1,000</td><td>100</td><td>5.0 s</td>",
     "copy_part{pipeline=\"shop\",table=\"s.t\"} 0.5\n",
     NULL},
    {"more than was said",
     {.state = "copying", .rows = 3000, .all_rows = 1000, .rows_now = 3000, .seconds = 3},
     "copy_rows{pipeline=\"shop\",table=\"s.t\"} 3000\n",
     "\"rows_per_s\":1000.0,\"seconds_left\":0.0",
     "copying 99 %</td><td>3,000</td><td>1,000</td><td>1,000</td><td>0 s</td>",
     "copy_seconds_left{pipeline=\"shop\",table=\"s.t\"} 0\n",
     NULL},
    {"how many is not known",
     {.state = "copying", .rows = 20, .rows_now = 20, .seconds = 2},
     "copy_state{pipeline=\"shop\",table=\"s.t\",state=\"copying\"} 1\n",
     "\"rows_estimate\":null,\"part\":null,\"rows_per_s\":10.0,\"seconds_left\":null",
     "copying</td><td>20</td><td></td><td>10</td><td></td>",
     NULL,
     "copy_part{"},
    {"just begun",
     {.state = "copying", .all_rows = 10, .seconds = 0.1, .why = "waits for <that>"},
     "copy_rows{pipeline=\"shop\",table=\"s.t\"} 0\n",
     "\"part\":0.0,\"rows_per_s\":null,\"seconds_left\":null,\"why\":\"waits for <that>\"",
     "copying 0 %</td><td>0</td><td>10</td><td></td><td></td><td class=\"name l\">waits for "
     "&lt;that&gt;</td>",
     "copy_part{pipeline=\"shop\",table=\"s.t\"} 0\n",
     "copy_seconds_left{"},
    {"done",
     {.state = "done", .generation = 3, .rows = 7},
     "copy_state{pipeline=\"shop\",table=\"s.t\",state=\"done\"} 1\n",
     "\"state\":\"done\",\"generation\":3,\"rows\":7,\"rows_estimate\":null,\"part\":1.0,\"rows_"
     "per_s\":"
     "null",
     "1 done</span></h2>\n<h2>Tables",
     "copy_part{pipeline=\"shop\",table=\"s.t\"} 1\n",
     "copy_seconds_left{"},
    {"failed",
     {.state = "failed", .rows = 7, .why = "no right"},
     "copy_state{pipeline=\"shop\",table=\"s.t\",state=\"failed\"} 1\n",
     "\"part\":null,\"rows_per_s\":null,\"seconds_left\":null,\"why\":\"no right\"",
     "<td class=\"l bad\">failed</td><td>7</td><td></td><td></td><td></td><td class=\"name "
     "l\">no right</td>",
     NULL,
     "copy_part{"},
};

static void test_copy(void **state)
{
    const struct copy_row *row = *state;
    struct cdc_face_view view = plain();
    struct cdc_face_copy copy = row->copy;
    copy.table = "s.t";
    cdc_face_copy_judge(&copy);
    view.copies = &copy;
    view.n_copies = 1;
    check_form(&view, cdc_face_prometheus, row->metric);
    if (row->more)
        check_form(&view, cdc_face_prometheus, row->more);
    check_form(&view, cdc_face_json, row->json);
    check_form(&view, cdc_face_page, row->page);
    struct cdc_buf buf = CDC_BUF(1 << 20);
    cdc_face_prometheus(&view, &buf);
    if (row->none)
        assert_null(strstr(cdc_buf_cstr(&buf), row->none));
    cdc_buf_done(&buf);
}

/* A text that is no UTF-8 costs itself, not the whole. */
static void test_bad_text(void **state)
{
    (void)state;
    struct cdc_face_view view = plain();
    snprintf(view.met.trouble, sizeof view.met.trouble, "\xff");
    struct cdc_buf buf = CDC_BUF(1 << 20);
    cdc_face_json(&view, &buf);
    json_t *json = json_loadb((const char *)buf.p, buf.len, 0, NULL);
    assert_true(json_is_null(json_object_get(json, "trouble")));
    assert_int_equal(json_array_size(json_object_get(json, "ladder")), 4);
    json_decref(json);
    cdc_buf_done(&buf);
}

static void test_histogram(void **state)
{
    (void)state;
    struct cdc_face_view view = plain();
    struct cdc_histogram *hist = &view.met.commit;
    assert_true(cdc_histogram_bound(hist, 0.5) < 0);
    hist->buckets[2] = 98; /* to 5 ms */
    hist->buckets[5] = 1;  /* to 50 ms */
    hist->count = 100;     /* and one above all */
    hist->sum = 40.5;
    assert_true(cdc_histogram_bound(hist, 0.5) == 0.005);
    assert_true(cdc_histogram_bound(hist, 0.99) == 0.05);
    assert_true(isinf(cdc_histogram_bound(hist, 1)));
    check_form(&view, cdc_face_prometheus,
               "commit_seconds_bucket{pipeline=\"shop\",le=\"0.0025\"} 0\n");
    check_form(&view, cdc_face_prometheus,
               "commit_seconds_bucket{pipeline=\"shop\",le=\"0.005\"} 98\n");
    check_form(&view, cdc_face_prometheus,
               "commit_seconds_bucket{pipeline=\"shop\",le=\"30\"} 99\n");
    check_form(&view, cdc_face_prometheus,
               "commit_seconds_bucket{pipeline=\"shop\",le=\"+Inf\"} 100\n");
    check_form(&view, cdc_face_prometheus, "commit_seconds_sum{pipeline=\"shop\"} 40.5\n");
    check_form(&view, cdc_face_page, "half below 5 ms, 99\xc2\xa0% below 50 ms");
}

/* ---- for people ---- */

static const struct human_row {
    const char *name;
    char kind;
    double n;
    const char *text;
} human_rows[] = {
    {"no bytes", 'b', 0, "0 B"},
    {"bytes", 'b', 1023, "1023 B"},
    {"a KiB", 'b', 1024, "1.0 KiB"},
    {"99.9", 'b', 102300, "99.9 KiB"},
    {"many", 'b', 1048575, "1.0 MiB"},
    {"hundreds", 'b', 209715200, "200 MiB"},
    {"all", 'b', 18446744073709549568.0, "16.0 EiB"},
    {"no time", 's', 0, "0 s"},
    {"milliseconds", 's', 0.0124, "12 ms"},
    {"less than ten", 's', 0.0025, "2.5 ms"},
    {"nearly ten", 's', 0.00996, "10 ms"},
    {"nearly one", 's', 0.99949, "999 ms"},
    {"one", 's', 0.9996, "1.0 s"},
    {"a minute", 's', 60, "60.0 s"},
    {"minutes", 's', 125, "2 min 5 s"},
    {"hours", 's', 7500, "2 h 5 min"},
    {"days", 's', 200000, "2 d 7 h"},
    {"none", 'n', 0, "0"},
    {"three digits", 'n', 999, "999"},
    {"four", 'n', 1000, "1,000"},
    {"seven", 'n', 1234567, "1,234,567"},
    {"never", 't', 0, "never"},
    {"then", 't', 1795267710000000, "2026-11-21 13:28:30 UTC"},
};

static void test_human(void **state)
{
    const struct human_row *row = *state;
    char text[CDC_HUMAN];
    switch (row->kind) {
    case 'b': cdc_human_bytes((uint64_t)row->n, text); break;
    case 's': cdc_human_seconds(row->n, text); break;
    case 'n': cdc_human_count((uint64_t)row->n, text); break;
    default: cdc_human_time((int64_t)row->n, text);
    }
    assert_string_equal(text, row->text);
}

/* As many as fit beside "gtids ". */
#define TEN  "0123456789"
#define FULL TEN TEN TEN TEN TEN TEN TEN TEN "012345678"
#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static const struct place_row {
    const char *name, *position, *text;
} place_rows[] = {
    {"none", "", ""},
    {"PostgreSQL's", "tx 0/1A2B3C 0/1A2B00 771 1700000000", "tx 0/1A2B3C 0/1A2B00 771 1700000000"},
    {"MySQL, before any GTID",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":157,\"gtids\":\"\"}",
     "kind tx, file bin.000003, pos 157, gtids "},
    {"MySQL without GTIDs",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":5368709120,\"gtids\":null}",
     "kind tx, file bin.000003, pos 5368709120, gtids null"},
    {"MariaDB, two domains",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":1234,\"gtids\":\"0-1-100,2-7-55\"}",
     "kind tx, file bin.000003, pos 1234, gtids 0-1-100, 2-7-55"},
    {"MySQL, ranges and tags",
     "{\"kind\":\"tx\",\"file\":\"a.b.1000000\",\"pos\":4,\"gtids\":\"" UUID ":1-5:7:blue:3\"}",
     "kind tx, file a.b.1000000, pos 4, gtids " UUID ":1-5:7:blue:3"},
    {"MySQL, more servers than there is room for",
     "{\"kind\":\"tx\",\"file\":\"bin.000003\",\"pos\":4,\"gtids\":\"" UUID ":1-5," UUID ":1-6\"}",
     "kind tx, file bin.000003, pos 4, gtids " UUID ":1-5, 3e11fa47-71ca- .."},
    {"an XA transaction that is open",
     "{\"kind\":\"tx\",\"file\":\"b.3\",\"pos\":12,\"gtids\":\"0-1-9\",\"xa\":[{\"xid\":\"X'61',X''"
     ",1\"}]}",
     "kind tx, file b.3, pos 12, gtids 0-1-9, xa [xid X'61', X'', 1]"},
    {"as long as there is room", "{\"gtids\":\"" FULL "\"}", "gtids " FULL},
    {"longer", "{\"gtids\":\"" FULL "1\"}", "gtids " FULL " .."},
};

static void test_place(void **state)
{
    const struct place_row *row = *state;
    char text[CDC_HUMAN_PLACE];
    assert_string_equal(cdc_human_place(row->position, text), row->text);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(ready_rows) + CM_COUNT(form_rows) + CM_COUNT(copy_rows) +
                            CM_COUNT(human_rows) + CM_COUNT(place_rows) + 2];
    struct CMUnitTest *to = CM_ROWS(tests, test_ready, ready_rows);
    to = CM_ROWS(to, test_form, form_rows);
    to = CM_ROWS(to, test_copy, copy_rows);
    to = CM_ROWS(to, test_human, human_rows);
    to = CM_ROWS(to, test_place, place_rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_bad_text);
    *to = (struct CMUnitTest)cmocka_unit_test(test_histogram);
    return cmocka_run_group_tests_name("http_face", tests, NULL, NULL);
}
