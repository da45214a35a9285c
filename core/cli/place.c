/*
 * place.c - opens the feed that a command's argument means (place.h).
 */
#include "cli/place.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int cdc_place_feed(const struct cdc_settings *set, const struct cdc_feed_ops **ret,
                   struct cdc_error *err)
{
    if (!set->sink->feed)
        return cdc_fail(err, CDC_CONFIG, set->config.path,
                        "what the sink %s has written cannot be read back; a sink of type lake can",
                        set->sink->name);
    *ret = set->sink->feed;
    return CDC_OK;
}

static const struct cdc_feed_ops *feed_of_directory(const char *path)
{
    for (const struct cdc_sink_ops *const *sink = cdc_sinks(); *sink; sink++)
        if ((*sink)->feed && (*sink)->feed->knows && (*sink)->feed->knows(path))
            return (*sink)->feed;
    return NULL;
}

int cdc_place_open(const char *place, uint64_t after, struct cdc_place *ret, struct cdc_error *err)
{
    struct stat st;
    *ret = (struct cdc_place){0};
    if (stat(place, &st) != 0)
        return cdc_fail(err, CDC_CONFIG, place, "%s; name a lake's folder or a configuration file",
                        strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        if (cdc_settings_load(place, &ret->settings, err) ||
            cdc_place_feed(ret->settings, &ret->ops, err))
            return CDC_FAIL;
        return ret->ops->open(&ret->settings->config, NULL, after, &ret->feed, err);
    }
    ret->ops = feed_of_directory(place);
    if (!ret->ops)
        return cdc_fail(err, CDC_OPERATOR, place,
                        "this folder is no lake of sidestream; name the folder that `path` of the "
                        "sink names, or the configuration file");
    return ret->ops->open(NULL, place, after, &ret->feed, err);
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
