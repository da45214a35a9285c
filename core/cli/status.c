/*
 * status.c - `sidestream status`: asks the running instance and prints what it says for people.
 *
 * Nothing but the instance itself knows how far it is, so without a listener there is nothing to
 * ask: exit 1. Exit 1 too where it is not ready, so that a script can tell.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "config/settings.h"
#include "http/face.h"

static const char *text(const json_t *json, const char *key)
{
    const char *val = json_string_value(json_object_get(json, key));
    return val ? val : "";
}

static double number(const json_t *json, const char *key)
{
    return json_number_value(json_object_get(json, key));
}

static uint64_t count(const json_t *json, const char *key)
{
    double val = number(json, key);
    return val > 0 ? (uint64_t)val : 0;
}

/* A time that may be null. */
static const char *when(const json_t *json, const char *key, char to[CDC_HUMAN])
{
    return cdc_human_time((int64_t)(number(json, key) * 1e6), to);
}

static void print_head(const json_t *json)
{
    char since[CDC_HUMAN];
    size_t i;
    json_t *reason;
    printf("%s: %s, %s for %s; %s to %s, sidestream %s\n", text(json, "pipeline"),
           json_is_true(json_object_get(json, "ready")) ? "ready" : "NOT READY",
           text(json, "phase"),
           cdc_human_seconds(number(json, "at") - number(json, "phase_since"), since),
           text(json, "source"), text(json, "sink"), text(json, "version"));
    json_array_foreach(json_object_get(json, "reasons"), i, reason)
    {
        printf("  ! %s\n", json_string_value(reason));
    }
}

static void print_ladder(const json_t *json)
{
    char seconds[CDC_HUMAN], bytes[CDC_HUMAN], at[CDC_HUMAN_PLACE];
    size_t i;
    json_t *rung;
    printf("\n%-18s %12s %12s  %s\n", "step", "behind by", "log", "position");
    json_array_foreach(json_object_get(json, "ladder"), i, rung)
    {
        printf("%-18s %12s %12s  %s\n", i == 0 ? "source's log ends" : text(rung, "rung"),
               i == 0 ? "" : cdc_human_seconds(number(rung, "seconds"), seconds),
               i == 0 ? "" : cdc_human_bytes(count(rung, "bytes"), bytes),
               cdc_human_place(text(rung, "position"), at));
    }
}

static void print_source(const json_t *source)
{
    char held[CDC_HUMAN], bound[CDC_HUMAN];
    if (!json_is_object(source))
        return;
    printf("\nthe source keeps %s of its log for this pipeline",
           cdc_human_bytes(count(source, "held_bytes"), held));
    if (count(source, "max_lag") > 0)
        printf(" (source.max_lag %s)", cdc_human_bytes(count(source, "max_lag"), bound));
    printf("\n");
    if (*text(source, "holder"))
        printf("  held by %s\n", text(source, "holder"));
    if (*text(source, "slot"))
        printf("  %s\n", text(source, "slot"));
}

static void print_figures(const json_t *json)
{
    const json_t *counters = json_object_get(json, "counters");
    const json_t *process = json_object_get(json, "process");
    const json_t *queue = json_object_get(process, "queue");
    const json_t *memory = json_object_get(process, "memory");
    char a[CDC_HUMAN], b[CDC_HUMAN], c[CDC_HUMAN];
    printf("\n%s changes written, %s of them not committed; %s commits, the last %s\n",
           cdc_human_count(count(counters, "rows_written"), a),
           cdc_human_count(count(counters, "rows_waiting"), b),
           cdc_human_count(count(counters, "commits"), c),
           when(json, "last_commit_at", (char[CDC_HUMAN]){0}));
    printf("a commit takes %s, from source to durable %s (means)\n",
           cdc_human_seconds(number(json_object_get(json, "commit"), "mean_s"), a),
           cdc_human_seconds(number(json_object_get(json, "delivery"), "mean_s"), b));
    printf("queue %s of %s; memory %s; CPU %s in all; %s retries\n",
           cdc_human_bytes(count(queue, "bytes"), a), cdc_human_bytes(count(queue, "limit"), b),
           cdc_human_bytes(count(memory, "resident"), c),
           cdc_human_seconds(number(process, "cpu_s"), (char[CDC_HUMAN]){0}),
           cdc_human_count(count(counters, "retries"), (char[CDC_HUMAN]){0}));
}

static void print_tables(const json_t *tables)
{
    size_t i;
    json_t *tab;
    char c[CDC_HUMAN], u[CDC_HUMAN], d[CDC_HUMAN], at[CDC_HUMAN];
    if (json_array_size(tables) == 0)
        return;
    printf("\n%-32s %-10s %12s %12s %12s  %s\n", "table", "state", "inserts", "updates", "deletes",
           "newest change");
    json_array_foreach(tables, i, tab)
    {
        const json_t *changes = json_object_get(tab, "changes");
        printf("%-32s %-10s %12s %12s %12s  %s\n", text(tab, "table"), text(tab, "state"),
               cdc_human_count(count(changes, "c"), c), cdc_human_count(count(changes, "u"), u),
               cdc_human_count(count(changes, "d"), d), when(tab, "last_change_at", at));
        if (json_is_string(json_object_get(tab, "gap_from")))
            printf("  ! has a gap: changes after %s are missing\n", text(tab, "gap_from"));
    }
}

static void print_copy(const json_t *copy)
{
    char state[CDC_HUMAN], rows[CDC_HUMAN], rate[CDC_HUMAN], left[CDC_HUMAN];
    const json_t *part = json_object_get(copy, "part");
    cdc_human_copy(text(copy, "state"), part && json_is_number(part) ? json_number_value(part) : -1,
                   state);
    bool rated = json_is_number(json_object_get(copy, "rows_per_s"));
    bool known = json_is_number(json_object_get(copy, "seconds_left"));
    printf("%-32s %-14s %12s %12s  %s\n", text(copy, "table"), state,
           cdc_human_count(count(copy, "rows"), rows),
           rated ? cdc_human_count(count(copy, "rows_per_s"), rate) : "",
           known ? cdc_human_seconds(number(copy, "seconds_left"), left) : "");
    if (*text(copy, "why"))
        printf("  ! %s\n", text(copy, "why"));
}

/* Those that are done are only counted. */
static void print_copies(const json_t *copies)
{
    size_t i, n_done = 0, all = json_array_size(copies);
    json_t *copy;
    char done[CDC_HUMAN];
    json_array_foreach(copies, i, copy)
    {
        n_done += strcmp(text(copy, "state"), "done") == 0;
    }
    if (all > 0)
        printf("\n%s of %zu copies of tables are done\n", cdc_human_count(n_done, done), all);
    if (n_done < all)
        printf("%-32s %-14s %12s %12s  %s\n", "copy of", "state", "rows", "rows/s", "left");
    json_array_foreach(copies, i, copy)
    {
        if (strcmp(text(copy, "state"), "done") != 0)
            print_copy(copy);
    }
}

static void print_commands(const json_t *commands)
{
    size_t i;
    json_t *mail;
    if (json_array_size(commands) > 0)
        printf("\ncommands\n");
    json_array_foreach(commands, i, mail)
    {
        printf("%6llu  %s %s: %s%s%s\n", (unsigned long long)count(mail, "id"),
               text(mail, "command"), text(mail, "table"), text(mail, "state"),
               *text(mail, "outcome") ? ", " : "", text(mail, "outcome"));
    }
}

static int print_answer(const struct cdc_buf *answer, struct cdc_error *err)
{
    json_t *json = json_loadb((const char *)answer->p, answer->len, 0, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return cdc_fail(err, CDC_FATAL, "http.listen",
                        "what answers there is no sidestream: it sends no status");
    }
    print_head(json);
    print_ladder(json);
    print_source(json_object_get(json, "source_log"));
    print_figures(json);
    print_tables(json_object_get(json, "tables"));
    print_copies(json_object_get(json, "copies"));
    print_commands(json_object_get(json, "commands"));
    int code = json_is_true(json_object_get(json, "ready")) ? CDC_EXIT_OK : CDC_EXIT_FAILED;
    json_decref(json);
    return code;
}

static int ask(const struct cdc_settings *set, bool raw, struct cdc_error *err)
{
    struct cdc_http_answer answer;
    int rc = cdc_instance_ask(set, "/status", NULL, &answer, err);
    if (rc == CDC_OK && raw)
        fwrite(answer.body.p, 1, answer.body.len, stdout);
    else if (rc == CDC_OK)
        rc = print_answer(&answer.body, err);
    cdc_buf_done(&answer.body);
    return rc;
}

int cdc_cmd_status(int argc, char **argv)
{
    struct cdc_error err = {.where = ""};
    struct cdc_args args;
    struct cdc_settings *set;
    if (cdc_args_read("status", argc, argv, &args, &err) != CDC_OK ||
        cdc_settings_load(args.place, &set, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    int code = ask(set, cdc_arg(&args, "--json") != NULL, &err);
    cdc_settings_free(set);
    return code < 0 ? cdc_cli_exit(&err) : code;
}
