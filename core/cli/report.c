/*
 * report.c - findings as lines on standard output, flushed one by one, so that a slow check shows
 * where it is.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct cdc_report {
    FILE *out;
    size_t count[CDC_BAD + 1];
};

struct cdc_report *cdc_report_new(FILE *out)
{
    struct cdc_report *report = calloc(1, sizeof *report);
    if (report)
        report->out = out;
    return report;
}

size_t cdc_report_count(const struct cdc_report *report, enum cdc_finding kind)
{
    return report->count[kind];
}

void cdc_report_free(struct cdc_report *report)
{
    free(report);
}

void cdc_report(struct cdc_report *report, enum cdc_finding kind, const char *mend, const char *fmt,
                ...)
{
    static const char *const names[] = {[CDC_PASS] = "ok", [CDC_WARN] = "warn", [CDC_BAD] = "FAIL"};
    va_list args;
    report->count[kind]++;
    fprintf(report->out, "%-5s ", names[kind]);
    va_start(args, fmt);
    vfprintf(report->out, fmt, args);
    va_end(args);
    fputc('\n', report->out);
    while (mend && *mend) {
        size_t len = strcspn(mend, "\n");
        fprintf(report->out, "          %.*s\n", (int)len, mend);
        mend += len + (mend[len] == '\n');
    }
    fflush(report->out);
}
