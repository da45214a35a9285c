/*
 * instance.c - see instance.h; and the commands that are no more than a command to the instance:
 * `pause`, `resume` and `snapshot`.
 *
 * The instance only says that it has the command; it is then asked every 100 ms how that ended. In
 * the middle of a large transaction it can be done at its end only, so this waits for a while.
 */
#include "cli/instance.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

#define TRIES    300
#define PAUSE_NS 100000000

static int refused(const struct cdc_http_options *opt, const struct cdc_http_answer *answer,
                   struct cdc_error *err)
{
    json_t *json = json_loadb((const char *)answer->body.p, answer->body.len, 0, NULL);
    const char *words = json_string_value(json_object_get(json, "error"));
    if (answer->status == 401)
        cdc_fail(err, CDC_FATAL, "http.listen", "%s runs with another http.token", opt->listen);
    else
        cdc_fail(err, CDC_FATAL, "http.listen", "%s answers %ld: %s", opt->listen, answer->status,
                 words ? words : "without a word; is it a sidestream?");
    json_decref(json);
    return CDC_FAIL;
}

int cdc_instance_ask(const struct cdc_settings *set, const char *path, const char *body,
                     struct cdc_http_answer *ret, struct cdc_error *err)
{
    *ret = (struct cdc_http_answer){.body = CDC_BUF(0)};
    if (!set->http)
        return cdc_fail(err, CDC_FATAL, set->config.path,
                        "there is no `http:` in the configuration, so a running instance cannot be "
                        "asked: write `http: {listen: 127.0.0.1:8480}` and start it again");
    const struct cdc_section *tls = cdc_get_section(set->http, "tls");
    const struct cdc_http_options opt = {.listen = cdc_get_string(set->http, "listen"),
                                         .token = cdc_get_string(set->http, "token"),
                                         .cert = cdc_get_string(tls, "cert"),
                                         .key = cdc_get_string(tls, "key")};
    if (cdc_http_ask(&opt, path, body, ret, err) < 0)
        return CDC_FAIL;
    return ret->status / 100 == 2 ? CDC_OK : refused(&opt, ret, err);
}

/* The JSON that is answered; NULL: err says why there is none. */
static json_t *ask_json(const struct cdc_settings *set, const char *body, struct cdc_error *err)
{
    struct cdc_http_answer answer;
    json_t *json = NULL;
    if (cdc_instance_ask(set, "/commands", body, &answer, err) == CDC_OK) {
        json = json_loadb((const char *)answer.body.p, answer.body.len, 0, NULL);
        if (!json)
            cdc_fail(err, CDC_FATAL, "http.listen", "what answers there is no sidestream");
    }
    cdc_buf_done(&answer.body);
    return json;
}

/* CDC_AGAIN: not settled yet. Prints the outcome; CDC_END: it failed. */
static int look(const struct cdc_settings *set, json_int_t id, struct cdc_error *err)
{
    json_t *list = ask_json(set, NULL, err), *mail;
    int rc = list ? CDC_AGAIN : CDC_FAIL;
    size_t i;
    json_array_foreach(list, i, mail)
    {
        const char *state = json_string_value(json_object_get(mail, "state"));
        const char *outcome = json_string_value(json_object_get(mail, "outcome"));
        if (json_integer_value(json_object_get(mail, "id")) != id || !state || !outcome)
            continue;
        rc = strcmp(state, "done") == 0 ? CDC_OK : CDC_END;
        printf("%s\n", outcome);
    }
    json_decref(list);
    return rc;
}

static int wait_for(const struct cdc_settings *set, json_int_t id, struct cdc_error *err)
{
    for (int i = 0; i < TRIES; i++) {
        int rc = look(set, id, err);
        if (rc != CDC_AGAIN)
            return rc;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return cdc_fail(err, CDC_FATAL, "http.listen",
                    "the instance has the command and has not carried it out within 30 s (a large "
                    "transaction, or a sink that stands still); `sidestream status` tells how it "
                    "ended");
}

static int command(const struct cdc_settings *set, const struct cdc_args *args,
                   struct cdc_error *err)
{
    json_t *body = json_pack("{s:s, s:s}", "command", args->command->name, "table", args->second);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *answer = text ? ask_json(set, text, err) : NULL;
    int rc = CDC_FAIL;
    if (answer)
        rc = wait_for(set, json_integer_value(json_object_get(answer, "id")), err);
    else if (!text)
        rc = cdc_fail(err, CDC_CONFIG, args->command->name, "the table's name is no UTF-8");
    json_decref(answer);
    json_decref(body);
    free(text);
    return rc;
}

static int run(const char *name, int argc, char **argv)
{
    struct cdc_error err = {.where = ""};
    struct cdc_args args;
    struct cdc_settings *set;
    if (cdc_args_read(name, argc, argv, &args, &err) != CDC_OK ||
        cdc_settings_load(args.place, &set, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    int rc = command(set, &args, &err);
    cdc_settings_free(set);
    if (rc < 0)
        return cdc_cli_exit(&err);
    return rc == CDC_OK ? CDC_EXIT_OK : CDC_EXIT_FAILED;
}

int cdc_cmd_pause(int argc, char **argv)
{
    return run("pause", argc, argv);
}

int cdc_cmd_resume(int argc, char **argv)
{
    return run("resume", argc, argv);
}

int cdc_cmd_snapshot(int argc, char **argv)
{
    return run("snapshot", argc, argv);
}
