/*
 * test_cli_cat.c - the commands that read a lake (cat, fsck, replica), each in a process of its
 * own: what they print, and their exit codes.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "cli/place.h"
#include "lake_rig.h"

static struct rig rig;
static char place[64], config[64], blind[64], output[64];

#define ARGS 6
struct cat_row {
    const char *name;
    const char *args[ARGS]; /* "@": the lake's folder; "=": the configuration file; "%": of a sink
                               that cannot be read */
    int code, lines;
    const char *first; /* how the output begins; NULL: anything */
};

#define LINE_1                                                                                     \
    "{\"table\":\"public.a\",\"commit\":2,\"key\":{\"id\":1},\"row\":{\"id\":1,\"word\":"          \
    "\"word\",\"__op\":\"c\",\"__deleted\":false,\"__deleted_at\":null,\"__delete_reason\":null,"  \
    "\"__updated_at\":\"2023-11-14T22:13:20.000000Z\",\"__source_updated_at\":null,"               \
    "\"__synced_at\":\"2023-11-14T22:13:20.000001Z\",\"__seq\":"                                   \
    "\"00000001-000000000000000000000001-000000000001\",\"__tx\":null,\"__unchanged\":null,"       \
    "\"__invalid\":null,\"__prev_key\":null}}\n"

/* The lake: commit 1 its start, 2 has rows 1 to 3 of a, 3 has 4 to 5 of b, 4 has 6 of a. */
static const struct cat_row cat_rows[] = {
    {"all", {"cat", "@"}, 0, 6, LINE_1},
    {"by the configuration", {"cat", "="}, 0, 6, LINE_1},
    {"one table", {"cat", "@", "--table", "public.a"}, 0, 4, LINE_1},
    {"another table",
     {"cat", "--table=public.b", "@"},
     0,
     2,
     "{\"table\":\"public.b\",\"commit\":3"},
    {"a table that is not there", {"cat", "@", "--table", "public.c"}, 0, 0, ""},
    {"from is exclusive",
     {"cat", "@", "--from", "2"},
     0,
     3,
     "{\"table\":\"public.b\",\"commit\":3"},
    {"from the last", {"cat", "@", "--from", "4"}, 0, 0, ""},
    {"from and table",
     {"cat", "@", "--from=2", "--table=public.a"},
     0,
     1,
     "{\"table\":\"public.a\""},
    {"from is no number", {"cat", "@", "--from", "two"}, 2, 0, ""},
    {"from is negative", {"cat", "@", "--from=-1"}, 2, 0, ""},
    {"table without schema", {"cat", "@", "--table", "a"}, 2, 0, ""},
    {"files", {"cat", "@", "--files"}, 0, 3, "/"},
    {"files of a table", {"cat", "@", "--files", "public.b"}, 0, 1, "/"},
    {"files of a table, the other way", {"cat", "@", "--files", "--table=public.b"}, 0, 1, "/"},
    {"unknown flag", {"cat", "@", "--tabel", "x.y"}, 2, 0, ""},
    {"no place", {"cat"}, 2, 0, ""},
    {"no such place", {"cat", "/no/such/place"}, 2, 0, ""},
    {"a folder that is no lake", {"cat", "/proc"}, 3, 0, ""},
    {"fsck", {"fsck", "@"}, 0, -1, NULL},
    {"fsck of no lake", {"fsck", "/proc"}, 3, 0, ""},
    {"cat of a sink that cannot be read", {"cat", "%"}, 2, 0, ""},
    {"files of a sink that cannot be read", {"cat", "%", "--files"}, 2, 0, ""},
    {"fsck of a sink that cannot be read", {"fsck", "%"}, 2, 0, ""},
    {"verify of a sink that cannot be read", {"verify", "%"}, 2, 0, ""},
    {"replica of a sink that cannot be read", {"replica", "%", "--to", "/no/such"}, 2, 0, ""},
    {"replica without a file", {"replica", "="}, 2, 0, ""},
    {"replica of a folder", {"replica", "@"}, 2, 0, ""},
};

static int command(const char *const *args)
{
    char *argv[ARGS + 1] = {0};
    int argc = 0;
    for (; argc < ARGS && args[argc]; argc++) {
        const char *arg = args[argc];
        arg = strcmp(arg, "@") == 0   ? place
              : strcmp(arg, "=") == 0 ? config
              : strcmp(arg, "%") == 0 ? blind
                                      : arg;
        argv[argc] = (char *)(uintptr_t)arg;
    }
    return cdc_command_find(args[0])->run(argc, argv);
}

static pid_t spawn(const char *const *args, int out)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int null = open("/dev/null", O_WRONLY);
    dup2(out, 1);
    dup2(null, 2);
    int code = command(args);
    fflush(stdout);
    _exit(code);
}

static int reap(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* free() it. */
static char *slurp(void)
{
    FILE *in = fopen(output, "r");
    char *text = calloc(1, 1 << 16);
    assert_non_null(in);
    assert_true(fread(text, 1, (1 << 16) - 1, in) < 1 << 16);
    fclose(in);
    return text;
}

static int run(const char *const *args, char **ret_text)
{
    int out = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int code = reap(spawn(args, out));
    close(out);
    *ret_text = slurp();
    return code;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_row(void **state)
{
    const struct cat_row *row = *state;
    char *text;
    int code = run(row->args, &text);
    if (code != row->code || (row->lines >= 0 && lines(text) != row->lines))
        fail_msg("exit %d, %d lines: %s", code, lines(text), text);
    if (row->first && strncmp(text, row->first, strlen(row->first)) != 0)
        fail_msg("%s", text);
    free(text);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Waits until the output has so many lines; gives up after five seconds. */
static bool grown(int n)
{
    for (int i = 0; i < 100; i++) {
        char *text = slurp();
        bool enough = lines(text) >= n;
        free(text);
        if (enough)
            return true;
        pause_ms(50);
    }
    return false;
}

/* A new commit is shown while the command runs; SIGTERM ends it well. */
static void test_follow(void **state)
{
    (void)state;
    static const char *const args[ARGS] = {"cat", "@", "--follow"};
    struct cdc_table *tab = rig_table("public", "a", 1);
    int out = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    pid_t pid = spawn(args, out);
    close(out);
    bool first = grown(6);
    rig_rows(&rig, tab, 2, "p7");
    bool second = grown(8);
    kill(pid, SIGTERM);
    assert_int_equal(reap(pid), 0);
    assert_true(first && second);
    cdc_table_unref(tab);
}

static void test_closed_pipe(void **state)
{
    (void)state;
    static const char *const args[ARGS] = {"cat", "@"};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    pid_t pid = spawn(args, ends[1]);
    close(ends[1]);
    assert_int_equal(reap(pid), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    static const char *const args[ARGS] = {"cat", "@"};
    int full = open("/dev/full", O_WRONLY);
    pid_t pid = spawn(args, full);
    close(full);
    assert_int_equal(reap(pid), 1);
}

/* From the configuration to the database; a second run has nothing to do. */
static void test_replica(void **state)
{
    (void)state;
    char path[80], ask[256], *text;
    snprintf(path, sizeof path, "%s/r.db", rig.root);
    const char *const args[ARGS] = {"replica", "=", "--until-caught-up", "--to", path};
    assert_int_equal(run(args, &text), 0);
    if (!strstr(text, "rows applied"))
        fail_msg("%s", text);
    free(text);
    snprintf(ask, sizeof ask, "%s: at commit ", path);
    assert_int_equal(run(args, &text), 0);
    if (strncmp(text, ask, strlen(ask)) != 0 || !strstr(text, "; 0 commits, 0 rows applied\n"))
        fail_msg("%s", text);
    free(text);
}

static void test_damage(void **state)
{
    (void)state;
    static const char *const fsck[ARGS] = {"fsck", "@"}, *const cat[ARGS] = {"cat", "@"};
    char *text;
    assert_int_equal(rig_shell(&rig, "for f in log/public.b/*/*.avro; do printf x >>$f; done", ""),
                     0);
    assert_int_equal(run(fsck, &text), 1);
    free(text);
    assert_int_equal(run(cat, &text), 1);
    assert_int_equal(lines(text), 3); /* what lies before the damage */
    free(text);
}

/* Which sinks can be read is asked of them. */
static void test_readable(void **state)
{
    (void)state;
    struct cdc_settings *set = NULL;
    struct cdc_error err = {0};
    const struct cdc_feed_ops *ops;
    assert_int_equal(cdc_settings_load(blind, &set, &err), CDC_OK);
    assert_int_equal(cdc_place_feed(set, &ops, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    for (const struct cdc_sink_ops *const *sink = cdc_sinks(); *sink; sink++)
        if (((*sink)->feed != NULL) !=
            (strstr(strstr(err.message, "these can: "), (*sink)->name) != NULL))
            fail_msg("%s: %s", (*sink)->name, err.message);
    cdc_settings_free(set);
}

/* The lake is given back from an older copy: a replica that has seen more does not go on. */
static void test_older_copy(void **state)
{
    (void)state;
    char path[80], *text;
    snprintf(path, sizeof path, "%s/older.db", rig.root);
    const char *const args[ARGS] = {"replica", "=", "--until-caught-up", "--to", path};
    assert_int_equal(run(args, &text), 0);
    free(text);
    assert_int_equal(rig_shell(&rig, "rm -f _cdc/_last $(ls _cdc/commits/*.json | tail -1)", ""),
                     0);
    assert_int_equal(run(args, &text), 3);
    free(text);
    unlink(path);
    assert_int_equal(run(args, &text), 0); /* another file is built from what there is */
    free(text);
}

static int write_config(const char *path, const char *sink)
{
    FILE *yaml = fopen(path, "w");
    fprintf(yaml,
            "name: shop\nsource: {type: postgres, url: 'postgresql://127.0.0.1:1/none'}\n"
            "capture: [{tables: 'public.*', snapshot: never}]\n"
            "sink: {%s}\n",
            sink);
    return fclose(yaml);
}

static int setup(void **state)
{
    (void)state;
    char sink[128];
    struct cdc_table *a = rig_table("public", "a", 1), *b = rig_table("public", "b", 1);
    rig_init(&rig);
    rig_start(&rig);
    rig_rows(&rig, a, 3, "p3");
    rig_rows(&rig, b, 2, "p5");
    rig_rows(&rig, a, 1, "p6");
    cdc_table_unref(a);
    cdc_table_unref(b);
    snprintf(place, sizeof place, "%s", rig.root);
    snprintf(config, sizeof config, "%s.yaml", rig.root);
    snprintf(output, sizeof output, "%s.out", rig.root);
    snprintf(blind, sizeof blind, "%s.null.yaml", rig.root);
    snprintf(sink, sizeof sink, "type: lake, path: '%s'", rig.root);
    return write_config(config, sink) || write_config(blind, "type: 'null'");
}

static int teardown(void **state)
{
    (void)state;
    unlink(config);
    unlink(blind);
    unlink(output);
    rig_done(&rig);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(test_follow),    cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_full_disk), cmocka_unit_test(test_replica),
        cmocka_unit_test(test_readable),  cmocka_unit_test(test_older_copy),
        cmocka_unit_test(test_damage), /* last: it breaks the lake */
    };
    struct CMUnitTest tests[64], *end = CM_ROWS(tests, test_row, cat_rows);
    memcpy(end, single, sizeof single);
    end += CM_COUNT(single);
    return _cmocka_run_group_tests("cli_cat", tests, (size_t)(end - tests), setup, teardown);
}
