/*
 * face.h - what the pipeline shows of itself, and the four forms in which it is shown.
 *
 * A view is one moment of a run, put together by core/pipeline/face.c; what is here only reads it:
 * the same view gives the same text. None of the texts holds a row's value or a secret.
 * Threads: any. Ownership: everything in a view is lent.
 */
#ifndef CDC_FACE_H
#define CDC_FACE_H

#include "metrics/metrics.h"
#include "pipeline/mailbox.h"

#define CDC_FACE_REASONS 8

/* How the copy of a table stands (core/snapshot). The last three are cdc_face_copy_judge's. */
struct cdc_face_copy {
    const char *table, *state, *why; /* copying, done, failed; why: it failed or waits, or NULL */
    uint32_t generation;
    uint64_t rows, all_rows;   /* read; the source's estimate of all, 0: not known */
    uint64_t rows_now;         /* ... read in this session, in the seconds since it began to */
    double seconds;            /* 0: it has not */
    double part, rate, left_s; /* 0 to 1; rows in a second; until the end. Negative: not known */
};

struct cdc_face_view {
    const char *name, *version, *source, *sink;
    struct cdc_metrics_view met;
    uint64_t max_lag;        /* source.max_lag; 0: none */
    double patience_s;       /* the sink may take so long to get on while rows wait */
    uint64_t memory_limit;   /* the configuration's `memory` */
    uint64_t resident_bytes; /* of the process */
    double cpu_s;
    struct cdc_face_copy *copies; /* as they are copied: by priority */
    size_t n_copies;
    struct cdc_mail mails[CDC_MAILBOX]; /* newest first */
    size_t n_mails;
    bool ready;
    char reasons[CDC_FACE_REASONS][1408]; /* why it is not; n_reasons of them */
    size_t n_reasons;
};

/* Sets ready and reasons from all the rest. */
void cdc_face_judge(struct cdc_face_view *view);

/* Sets part, rate and left_s from all the rest. */
void cdc_face_copy_judge(struct cdc_face_copy *copy);

/* Each appends; what did not fit, or had no memory, shows in buf->failed. */
void cdc_face_prometheus(const struct cdc_face_view *view, struct cdc_buf *buf); /* 0.0.4 */
void cdc_face_json(const struct cdc_face_view *view, struct cdc_buf *buf);
void cdc_face_ready_json(const struct cdc_face_view *view, struct cdc_buf *buf);
void cdc_face_commands_json(const struct cdc_face_view *view, struct cdc_buf *buf);
void cdc_face_page(const struct cdc_face_view *view, struct cdc_buf *buf); /* HTML */

extern const char *const cdc_face_rungs[CDC_RUNGS]; /* end, received, written, committed */
extern const char *const cdc_face_phases[];         /* by enum cdc_phase */

/* ---- for people: human.c; to has CDC_HUMAN bytes, and is returned ---- */
#define CDC_HUMAN 32
const char *cdc_human_bytes(uint64_t bytes, char to[CDC_HUMAN]); /* 1.5 GiB */
const char *cdc_human_seconds(double seconds,
                              char to[CDC_HUMAN]);           /* 0 s, 12 ms, 3.4 s, 2 h 5 min */
const char *cdc_human_count(uint64_t n, char to[CDC_HUMAN]); /* 1,234,567 */
const char *cdc_human_time(int64_t us, char to[CDC_HUMAN]);  /* 2026-11-21 13:33:42 UTC */
/* copying 43 %; "done" and "failed" as they are. */
const char *cdc_human_copy(const char *state, double part, char to[CDC_HUMAN]);
/*
 * A position: as it is, or of one that is JSON the beginning, without its signs:
 * `kind tx, file bin.000002, pos 3801, gtids 0-1-100`.
 */
#define CDC_HUMAN_PLACE 100
const char *cdc_human_place(const char *position, char to[CDC_HUMAN_PLACE]);
/* A bound that this part of what was counted does not exceed; negative: nothing was counted. */
double cdc_histogram_bound(const struct cdc_histogram *hist, double part);

#endif
