/*
 * face.c - see face.h. The paths: /healthz /readyz /metrics /status / and /commands.
 *
 * A view is made at most every VIEW_US and shown to everybody who asks meanwhile: so however often
 * it is asked for, the pipeline's locks are taken by us a few times a second only.
 *
 * Commands: whoever can reach a listener without a token is on this machine (the configuration
 * sees to that), but so is every web page in a browser there. A page's request carries `Origin`,
 * and one without it cannot send JSON's content type unasked; both are looked at.
 */
#include "pipeline/face.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cdc/clock.h"
#include "cdc/log.h"
#include "http/face.h"
#include "pipeline/session.h"

#define VIEW_US     250000
#define PATIENCE_US 30000000 /* beyond the sink's own interval */
#define TEXT_JSON   "application/json"

struct cdc_face {
    struct cdc_run *run;
    struct cdc_http_options opt;
    struct cdc_http_route routes[CDC_FACE_ROUTES + 1];
    size_t n_routes;
    struct cdc_http *http;
    double patience_s;
    struct cdc_face_view view; /* as of made_us */
    int64_t made_us;           /* monotonic; 0: never */
};

/* ---- the view ---- */

static uint64_t resident(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    char *at = n > 0 ? strchr(text, ' ') : NULL;
    return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static double cpu_seconds(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return 0;
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

struct copies {
    struct cdc_face_view *view;
    size_t room;
    bool oom;
};

static bool make_room(struct copies *to)
{
    struct cdc_face_view *view = to->view;
    if (view->n_copies < to->room)
        return true;
    size_t room = to->room ? to->room * 2 : 16;
    struct cdc_face_copy *copies = cdc_arena_alloc(view->met.arena, room * sizeof *copies);
    if (!copies)
        return false;
    if (view->n_copies > 0)
        memcpy(copies, view->copies, view->n_copies * sizeof *copies);
    view->copies = copies;
    to->room = room;
    return true;
}

/* Rows of sessions before are known where ranges of them are done; in this one all that is read. */
static uint64_t rows_of(const struct cdc_copy_view *from)
{
    bool reading = from->kind != CDC_COPY_DONE && from->rows > from->done_rows;
    return reading ? from->rows : from->done_rows;
}

/* Under the copier's lock, so the texts are copied. */
static void add_copy(void *arg, const struct cdc_copy_view *from)
{
    struct copies *to = arg;
    struct cdc_arena *arena = to->view->met.arena;
    struct cdc_face_copy copy = {.table = cdc_arena_strdup(arena, from->name),
                                 .state = cdc_copy_kind_name(from->kind),
                                 .why = cdc_arena_strdup(arena, from->why),
                                 .generation = from->generation,
                                 .rows = rows_of(from),
                                 .all_rows = from->kind == CDC_COPY_COPYING ? from->all_rows : 0,
                                 .rows_now = from->rows,
                                 .seconds = from->seconds};
    cdc_face_copy_judge(&copy);
    to->oom |= !make_room(to) || !copy.table || (from->why && !copy.why);
    if (!to->oom)
        to->view->copies[to->view->n_copies++] = copy;
}

static int make_view(struct cdc_face *face)
{
    struct cdc_run *run = face->run;
    const struct cdc_settings *set = run->first; /* what stands here never changes */
    struct cdc_face_view *view = &face->view;
    struct cdc_queue_look queue;
    cdc_metrics_view_done(&view->met);
    *view = (struct cdc_face_view){.name = set->config.name,
                                   .version = CDC_VERSION,
                                   .source = set->source->name,
                                   .sink = set->sink->name,
                                   .max_lag = run->look.bound,
                                   .patience_s = face->patience_s,
                                   .memory_limit = (uint64_t)set->config.memory,
                                   .resident_bytes = resident(),
                                   .cpu_s = cpu_seconds()};
    cdc_queue_look(run->queue, &queue);
    if (cdc_metrics_look(run->metrics, &queue, &view->met) < 0)
        return CDC_FAIL;
    if (atomic_load(&run->stop))
        view->met.phase = CDC_PHASE_STOPPING;
    struct copies copies = {.view = view};
    cdc_copier_show(run->copier, add_copy, &copies);
    if (copies.oom)
        return CDC_FAIL;
    view->n_mails = cdc_mailbox_list(run->mailbox, view->mails);
    cdc_face_judge(view);
    return CDC_OK;
}

static const struct cdc_face_view *current(struct cdc_face *face)
{
    int64_t now_us = cdc_mono_us();
    if (face->made_us && now_us - face->made_us < VIEW_US)
        return &face->view;
    face->made_us = make_view(face) == CDC_OK ? now_us : 0;
    return face->made_us ? &face->view : NULL;
}

/* ---- the paths ---- */

typedef void show_view(const struct cdc_face_view *view, struct cdc_buf *buf);

static int show(struct cdc_face *face, const struct cdc_http_request *req,
                struct cdc_http_reply *ret, show_view *text, const char *type)
{
    if (strcmp(req->method, "GET") != 0)
        return cdc_http_error(ret, 405, "this path is only read: GET");
    const struct cdc_face_view *view = current(face);
    if (!view)
        return CDC_FAIL;
    text(view, &ret->body);
    ret->type = type;
    return CDC_OK;
}

static int on_healthz(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    (void)arg, (void)req;
    cdc_buf_str(&ret->body, "alive\n");
    return CDC_OK;
}

static int on_readyz(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    struct cdc_face *face = arg;
    int rc = show(face, req, ret, cdc_face_ready_json, TEXT_JSON);
    if (rc == CDC_OK && ret->status == 200 && !face->view.ready)
        ret->status = 503;
    return rc;
}

static int on_metrics(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    return show(arg, req, ret, cdc_face_prometheus, "text/plain; version=0.0.4; charset=utf-8");
}

static int on_status(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    return show(arg, req, ret, cdc_face_json, TEXT_JSON);
}

static int on_root(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    const char *accept = req->header(req, "Accept");
    if (accept && strstr(accept, "json") && !strstr(accept, "html"))
        return cdc_http_json(ret, 200, "{}"); /* what a registry's clients expect here */
    return show(arg, req, ret, cdc_face_page, "text/html; charset=utf-8");
}

/* ---- commands ---- */

static bool is_json(const char *type)
{
    size_t len = strlen(TEXT_JSON);
    return type && strncasecmp(type, TEXT_JSON, len) == 0 &&
           (!type[len] || strchr("; ", type[len]));
}

static int post(struct cdc_face *face, const json_t *body, struct cdc_http_reply *ret)
{
    const char *name = json_string_value(json_object_get(body, "command"));
    const char *table = json_string_value(json_object_get(body, "table"));
    uint64_t id = 0;
    if (!name)
        return cdc_http_error(ret, 400,
                              "the body is {\"command\": \"pause\", \"resume\" or \"snapshot\", "
                              "\"table\": \"schema.table\"}");
    unsigned command = 0;
    while (command < CDC_COMMANDS && strcmp(name, cdc_command_name(command)) != 0)
        command++;
    if (command == CDC_COMMANDS)
        return cdc_http_error(ret, 400,
                              "there is no such command; there are pause, resume and snapshot");
    int rc = cdc_mailbox_post(face->run->mailbox, command, table, &id);
    if (rc == CDC_END)
        return cdc_http_error(ret, 400, "\"table\" must name a table: schema.table");
    if (rc == CDC_FULL)
        return cdc_http_error(ret, 503, "%d commands wait already: come again", CDC_MAILBOX);
    face->made_us = 0; /* so that it shows at once */
    cdc_queue_poke(face->run->queue);
    cdc_log(CDC_LOG_INFO, "http: command %llu: %s %s", (unsigned long long)id, name, table);
    char json[64];
    snprintf(json, sizeof json, "{\"id\":%llu,\"state\":\"waiting\"}", (unsigned long long)id);
    return cdc_http_json(ret, 202, json);
}

static int on_commands(void *arg, const struct cdc_http_request *req, struct cdc_http_reply *ret)
{
    struct cdc_face *face = arg;
    if (strcmp(req->method, "GET") == 0)
        return show(face, req, ret, cdc_face_commands_json, TEXT_JSON);
    if (strcmp(req->method, "POST") != 0)
        return cdc_http_error(ret, 405, "POST a command, or GET the last ones");
    if (req->header(req, "Origin"))
        return cdc_http_error(ret, 403, "a web page may not give commands");
    if (!is_json(req->header(req, "Content-Type")))
        return cdc_http_error(ret, 415, "the body must be sent as Content-Type: " TEXT_JSON);
    json_t *body =
        json_loadb((const char *)req->body.p, req->body.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(body) ? post(face, body, ret)
                                  : cdc_http_error(ret, 400, "the body is no JSON object");
    json_decref(body);
    return rc;
}

/* ---- life ---- */

void cdc_face_route(struct cdc_face *face, const struct cdc_http_route *route)
{
    if (face && face->n_routes < CDC_FACE_ROUTES)
        face->routes[face->n_routes++] = *route;
}

static void add_routes(struct cdc_face *face)
{
    const struct cdc_http_route own[] = {
        {.prefix = "/healthz", .handler = on_healthz, .arg = face, .open = true},
        {.prefix = "/readyz", .handler = on_readyz, .arg = face},
        {.prefix = "/metrics", .handler = on_metrics, .arg = face},
        {.prefix = "/status", .handler = on_status, .arg = face},
        {.prefix = "/commands", .handler = on_commands, .arg = face},
        {.prefix = "/", .handler = on_root, .arg = face},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        cdc_face_route(face, &own[i]);
}

int cdc_face_new(struct cdc_run *run, struct cdc_face **ret, struct cdc_error *err)
{
    const struct cdc_section *http = run->set->http;
    *ret = NULL;
    if (!http)
        return CDC_OK;
    struct cdc_face *face = calloc(1, sizeof *face);
    if (!face)
        return cdc_fail_oom(err);
    const struct cdc_section *tls = cdc_get_section(http, "tls");
    struct cdc_commit_policy policy = {.interval_us = 0};
    run->set->sink->policy(run->sink, &policy);
    face->run = run;
    face->patience_s = (double)(policy.interval_us + PATIENCE_US) / 1e6;
    face->opt = (struct cdc_http_options){.listen = cdc_get_string(http, "listen"),
                                          .token = cdc_get_string(http, "token"),
                                          .cert = cdc_get_string(tls, "cert"),
                                          .key = cdc_get_string(tls, "key")};
    add_routes(face);
    run->metrics = cdc_metrics_new();
    run->mailbox = cdc_mailbox_new();
    if (!run->metrics || !run->mailbox) {
        cdc_face_free(face);
        return cdc_fail_oom(err);
    }
    *ret = face;
    return CDC_OK;
}

int cdc_face_start(struct cdc_face *face, struct cdc_error *err)
{
    if (!face)
        return CDC_OK;
    if (cdc_http_start(&face->opt, face->routes, &face->http, err) < 0)
        return CDC_FAIL;
    const char *colon = strrchr(face->opt.listen, ':');
    cdc_log(CDC_LOG_INFO, "http: listening on %s://%.*s:%d%s", face->opt.cert ? "https" : "http",
            (int)(colon - face->opt.listen), face->opt.listen, cdc_http_port(face->http),
            face->opt.token ? ", with a token" : "");
    return CDC_OK;
}

void cdc_face_free(struct cdc_face *face)
{
    if (!face)
        return;
    cdc_http_stop(face->http);
    cdc_metrics_view_done(&face->view.met);
    cdc_metrics_free(face->run->metrics);
    cdc_mailbox_free(face->run->mailbox);
    face->run->metrics = NULL;
    face->run->mailbox = NULL;
    free(face);
}
