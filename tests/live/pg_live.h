/*
 * pg_live.h - drives the postgres source by its ops against a real server: a database per test, a
 * checkpoint in memory, changes as text. PGURL in the environment is the URL of a superuser.
 */
#ifndef TESTS_PG_LIVE_H
#define TESTS_PG_LIVE_H

#include "../unit/cm.h"
#include "cdc/source.h"
#include "config/settings.h"

struct live {
    char database[64], url[1024];
    struct cdc_settings *set;
    struct cdc_map checkpoint, pending;
    struct cdc_pool *pool;
    struct cdc_source *src;
    struct cdc_error err;
    struct cdc_buf out; /* changes, one a line */
    size_t changes;     /* so far */
    size_t batches, cuts_tx, urgent, idle;
    bool caught_up;
    bool acks;        /* tell the source of commits */
    size_t row_width; /* of the last change's table */
};

/* SQL in the test's database; '; '-separated commands are one transaction unless they say
 * otherwise. */
void live_sql(struct live *lv, const char *sql);
/* The first value of the first row; free it. */
char *live_ask(struct live *lv, const char *sql);

/* Makes the database and the settings. extra: more options of `source:` ("manage: slot"), or "". */
void live_up(struct live *lv, const char *capture, const char *extra);
void live_down(struct live *lv); /* drops slot and database too */
/* The same pipeline with other settings (another URL, say); the checkpoint stays. */
void live_configure(struct live *lv, const char *url, const char *capture, const char *extra);

int live_open(struct live *lv); /* CDC_FAIL leaves the reason in lv->err */
void live_close(struct live *lv);
/* One poll of at most ms; "commits" at cuts (cut:... too if settings say so) and acks. */
int live_turn(struct live *lv, int ms);
/* Turns until the stream runs (position in the checkpoint and a started slot). */
void live_stream(struct live *lv);
/* Writes one row into public.done and turns until it is seen. */
void live_settle(struct live *lv);
/* "position" of the checkpoint as text; valid until the next call. */
const char *live_position(struct live *lv);
void live_set_position(struct live *lv, const char *text);

#endif
