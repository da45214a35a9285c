/*
 * place.c - opens the feed that a command's argument means (place.h).
 */
#include "cli/place.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* "lake, kafka": the sinks that can be read back. */
static void put_readable(struct cdc_buf *buf)
{
    for (const struct cdc_sink_ops *const *sink = cdc_sinks(); *sink; sink++)
        if ((*sink)->feed)
            cdc_buf_printf(buf, "%s%s", buf->len ? ", " : "", (*sink)->name);
}

int cdc_place_feed(const struct cdc_settings *set, const struct cdc_feed_ops **ret,
                   struct cdc_error *err)
{
    if (set->sink->feed) {
        *ret = set->sink->feed;
        return CDC_OK;
    }
    struct cdc_buf names = CDC_BUF(4096);
    put_readable(&names);
    const char *text = cdc_buf_cstr(&names);
    int rc = cdc_fail(err, CDC_CONFIG, set->config.path,
                      "what the sink %s has written cannot be read back; these can: %s",
                      set->sink->name, text ? text : "");
    cdc_buf_done(&names);
    return rc;
}

/* A sink whose feed is no folder (knows == NULL) is not asked. */
static const struct cdc_feed_ops *feed_of_directory(const char *path)
{
    for (const struct cdc_sink_ops *const *sink = cdc_sinks(); *sink; sink++)
        if ((*sink)->feed && (*sink)->feed->knows && (*sink)->feed->knows(path))
            return (*sink)->feed;
    return NULL;
}

int cdc_place_find(const char *place, struct cdc_place *ret, struct cdc_error *err)
{
    struct stat st;
    *ret = (struct cdc_place){.name = place};
    if (stat(place, &st) != 0)
        return cdc_fail(err, CDC_CONFIG, place, "%s; name a lake's folder or a configuration file",
                        strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return cdc_settings_load(place, &ret->settings, err)
                   ? CDC_FAIL
                   : cdc_place_feed(ret->settings, &ret->ops, err);
    ret->ops = feed_of_directory(place);
    if (!ret->ops)
        return cdc_fail(err, CDC_OPERATOR, place,
                        "this folder is no lake of sidestream; name the folder that `path` of the "
                        "sink names, or the configuration file");
    return CDC_OK;
}

int cdc_place_open(struct cdc_place *place, const struct cdc_feed_start *start,
                   struct cdc_error *err)
{
    if (place->settings)
        return place->ops->open(&place->settings->config, NULL, start, &place->feed, err);
    return place->ops->open(NULL, place->name, start, &place->feed, err);
}

void cdc_place_close(struct cdc_place *place)
{
    if (place->feed)
        place->ops->close(place->feed);
    cdc_settings_free(place->settings);
    *place = (struct cdc_place){0};
}

static volatile sig_atomic_t stop_flag;

static void on_signal(int sig)
{
    (void)sig;
    stop_flag = 1;
}

const volatile sig_atomic_t *cdc_stop_on_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    return &stop_flag;
}
