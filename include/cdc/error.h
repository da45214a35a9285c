/*
 * error.h - how a call says that it failed, and what is to be done about it.
 *
 * Every function that can fail returns an enum cdc_status (as int): CDC_OK is 0, positive values
 * are outcomes that are no errors, CDC_FAIL is the one failure. The text and the action lie in a
 * struct cdc_error of the caller; it may be NULL where nobody wants to know. An error is made where
 * it arises, returned upwards untouched, and logged once, by the pipeline or the command.
 *
 * `message` names the place and the remedy. It never holds a secret or a row's value.
 * Threads: a cdc_error belongs to one thread at a time.
 */
#ifndef CDC_ERROR_H
#define CDC_ERROR_H

enum cdc_status {
    CDC_OK = 0,
    CDC_AGAIN = 1, /* nothing now; the call's comment says when to come again */
    CDC_END = 2,   /* no more, or not there */
    CDC_FULL = 3,  /* done, and a commit is wanted at the next place where one may be made */
    CDC_FAIL = -1, /* failed: error->action says what next */
};

/* What the engine does with a failure. Decided in one function per connector, from one table. */
enum cdc_action {
    CDC_RETRY,      /* the world may mend: back off (0.1 s to 30 s), then rewind; for ever */
    CDC_REWIND,     /* our own state is in doubt: rewind at once, then as CDC_RETRY */
    CDC_RESNAPSHOT, /* a table's data has a gap: exit 3 until snapshots exist */
    CDC_OPERATOR,   /* refused: a person must decide (gap, fenced, wrong server, rights): exit 3 */
    CDC_CONFIG,     /* the configuration or the command line is wrong: exit 2 */
    CDC_FATAL,      /* failed here and now (I/O error, damage, a bug): exit 1 */
};

struct cdc_error {
    enum cdc_action action;
    char where[128];    /* the place: a table, a file and line, a path; may be "" */
    char message[1024]; /* what happened, and what to do about it */
};

/* Fills *err (unless NULL) and returns CDC_FAIL, so that `return cdc_fail(...)` is one line. */
int cdc_fail(struct cdc_error *err, enum cdc_action action, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the message of an error that is on its way up. Returns CDC_FAIL. */
int cdc_fail_in(struct cdc_error *err, const char *where);

/* Out of memory, as an error: CDC_FATAL. */
int cdc_fail_oom(struct cdc_error *err);

#define CDC_CHECK __attribute__((warn_unused_result))

#endif
