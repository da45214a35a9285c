/*
 * test_pipeline_mail.c - commands to a pipeline in which nothing else happens: each comes to its
 * end, whether the source answers or not.
 */
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cdc/clock.h"
#include "copy_rig.h"
#include "http/ask.h"

#define PATIENCE_US 14000000 /* a command waits 10 s for the source's answer */

struct client {
    struct cdc_http_options opt;
    char first[16], second[16], why[256]; /* states of the two commands, and the first's outcome */
    int64_t took_us;                      /* of the first */
};

/* Asks until the pipeline listens. The caller's to release; NULL: no answer. */
static json_t *ask(const struct client *client, const char *body)
{
    json_t *json = NULL;
    for (int i = 0; i < 100 && !json; i++) {
        struct cdc_http_answer answer = {.body = CDC_BUF(1 << 20)};
        struct cdc_error err = {0};
        if (cdc_http_ask(&client->opt, "/commands", body, &answer, &err) == CDC_OK)
            json = json_loadb((const char *)answer.body.p, answer.body.len, 0, NULL);
        cdc_buf_done(&answer.body);
        if (!json)
            usleep(50000);
    }
    return json;
}

static void put(char *to, size_t cap, const json_t *mail, const char *key)
{
    const char *text = json_string_value(json_object_get(mail, key));
    snprintf(to, cap, "%s", text ? text : "");
}

/* Newest first: the second command stands before the first. */
static void look(struct client *client)
{
    json_t *list = ask(client, NULL);
    put(client->second, sizeof client->second, json_array_get(list, 0), "state");
    put(client->first, sizeof client->first, json_array_get(list, 1), "state");
    put(client->why, sizeof client->why, json_array_get(list, 1), "outcome");
    json_decref(list);
}

static bool over(const char *state)
{
    return strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
}

/* A pause that waits for the source, and a command behind it; then the end. */
static void *play(void *arg)
{
    struct client *client = arg;
    json_decref(ask(client, "{\"command\":\"pause\",\"table\":\"x.nowhere\"}"));
    int64_t began_us = cdc_mono_us();
    json_decref(ask(client, "{\"command\":\"resume\",\"table\":\"x.a\"}"));
    while (!over(client->second) && cdc_mono_us() - began_us < PATIENCE_US) {
        usleep(100000);
        look(client);
        if (!over(client->first))
            client->took_us = cdc_mono_us() - began_us;
    }
    kill(getpid(), SIGTERM);
    return NULL;
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* The source never says which tables it has, and no batch comes that would wake anybody. */
static void test_no_answer(void **state)
{
    (void)state;
    struct rig rig;
    char listen[32], yaml[512];
    struct client client = {.opt = {.listen = listen}};
    snprintf(listen, sizeof listen, "127.0.0.1:%d", free_port());
    snprintf(yaml, sizeof yaml, YAML("", ALL) "http: {listen: '%s'}\n", listen);
    rig_init(&rig, 1, yaml);
    want(rig.set, NULL, CDC_SNAPSHOT_NEVER);
    rig.world.limit = 0;
    rig.world.endless = true;
    for (size_t i = 0; i < sizeof rig.world.faults / sizeof *rig.world.faults; i++)
        rig.world.faults[i] = (struct fake_snap_fault){
            .call = SNAP_LIST, .in = 1, .rc = CDC_FAIL, .action = CDC_RETRY};
    pthread_t thread;
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    pthread_create(&thread, NULL, play, &client);
    run_well(&rig);
    pthread_join(thread, NULL);
    assert_string_equal(client.first, "failed");
    assert_non_null(strstr(client.why, "has not said yet"));
    assert_true(client.took_us > 8000000);
    assert_string_equal(client.second, "failed"); /* it is not paused */
    rig_done(&rig);
}

int main(void)
{
    cdc_log_setup(CDC_LOG_ERROR, false, "test");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_answer)};
    return cmocka_run_group_tests_name("pipeline_mail", tests, NULL, NULL);
}
