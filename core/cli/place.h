/*
 * place.h - PATH|CONFIG on the command line: what `cat`, `fsck` and `replica` read from.
 *
 * A directory is shown to the feed of every sink that reads folders until one knows it; anything
 * else is read as a configuration file, whose sink is then asked. Also the signals of commands that
 * only read.
 */
#ifndef CDC_CLI_PLACE_H
#define CDC_CLI_PLACE_H

#include "config/settings.h"
#include <signal.h>

struct cdc_place {
    const char *name;              /* as on the command line; lent */
    struct cdc_settings *settings; /* NULL: the place is a directory */
    const struct cdc_feed_ops *ops;
    struct cdc_feed *feed;
};

/* The feed of a configuration's sink. CDC_CONFIG: this sink cannot be read back. */
CDC_CHECK int cdc_place_feed(const struct cdc_settings *set, const struct cdc_feed_ops **ret,
                             struct cdc_error *err);
/* What the place means: settings and ops, nothing opened yet. Close also after a failure. */
CDC_CHECK int cdc_place_find(const char *place, struct cdc_place *ret, struct cdc_error *err);
/* Opens its feed, at *start (cdc/feed.h). */
CDC_CHECK int cdc_place_open(struct cdc_place *place, const struct cdc_feed_start *start,
                             struct cdc_error *err);
void cdc_place_close(struct cdc_place *place);

/* From now on SIGINT and SIGTERM set the flag that is returned, and a closed pipe is no signal. */
const volatile sig_atomic_t *cdc_stop_on_signals(void);

#endif
