/* The command line: arguments by a command's row, exit codes, reports, and help for each command.
 */
#include "cm.h"
#include "rows.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/settings.h"

/* words: separated by blanks; seen: "place|flag=value,..." or the error. */
static const struct row {
    const char *name, *command, *words, *seen;
} rows[] = {
    {"place", "run", "a.yaml", "a.yaml"},
    {"switch behind", "run", "a.yaml --until-caught-up", "a.yaml --until-caught-up="},
    {"switch before", "run", "--until-caught-up a.yaml", "a.yaml --until-caught-up="},
    {"value behind a blank", "cat", "lake --table p.a", "lake --table=p.a"},
    {"value behind =", "cat", "--table=p.a lake", "lake --table=p.a"},
    {"value with = in it", "cat", "lake --table=a=b", "lake --table=a=b"},
    {"value that looks like a flag", "cat", "lake --table --from", "lake --table=--from"},
    {"value that may be left out", "cat", "lake --files", "lake --files="},
    {"value that may be there", "cat", "lake --files p.a", "lake --files=p.a"},
    {"value left out before a flag", "cat", "lake --files --follow", "lake --follow= --files="},
    {"place behind such a flag", "cat", "--files lake", "lake --files="},
    {"several", "cat", "lake --from 7 --follow --table p.a", "lake --table=p.a --from=7 --follow="},
    {"place behind --", "fsck", "-- --lake", "--lake"},
    {"a dash is a place", "fsck", "-", "-"},
    {"place may be left out", "help", "", "(none)"},
    {"place missing", "run", "", "what is missing is CONFIG; see `sidestream run --help`"},
    {"place missing, flag there", "drop", "--yes",
     "what is missing is CONFIG; see `sidestream drop --help`"},
    {"two places", "run", "a.yaml b.yaml",
     "one argument too many: b.yaml; see `sidestream run --help`"},
    {"flag misspelt", "run", "a.yaml --until-cought-up",
     "unknown option --until-cought-up; did you mean --until-caught-up?"},
    {"flag of another command", "check", "a.yaml --yes",
     "unknown option --yes; see `sidestream check --help`"},
    {"flag with one dash", "drop", "a.yaml -y", "unknown option -y; see `sidestream drop --help`"},
    {"value for a switch", "drop", "a.yaml --yes=no",
     "no value belongs to --yes; see `sidestream drop --help`"},
    {"value missing at the end", "cat", "lake --table",
     "a value is missing behind --table; see `sidestream cat --help`"},
    {"value empty", "cat",
     "lake --table=", "a value is missing behind --table; see `sidestream cat --help`"},
    {"flag twice", "cat", "lake --from 1 --from 2",
     "given twice: --from; see `sidestream cat --help`"},
};

static int split(char *words, char **argv)
{
    int argc = 1;
    argv[0] = words; /* the command's own name, not looked at */
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return argc;
}

static void test_args(void **state)
{
    const struct row *row = *state;
    struct cdc_error err = {0};
    struct cdc_args args;
    char words[128], *argv[16], seen[1200];
    snprintf(words, sizeof words, "%s", row->words);
    int argc = split(words, argv);
    if (cdc_args_read(row->command, argc, argv, &args, &err) != CDC_OK) {
        assert_int_equal(err.action, CDC_CONFIG);
        assert_string_equal(err.where, row->command);
        assert_string_equal(err.message, row->seen);
        return;
    }
    snprintf(seen, sizeof seen, "%s", args.place ? args.place : "(none)");
    for (const struct cdc_flag *flag = args.command->flags; flag && flag->name; flag++)
        if (cdc_arg(&args, flag->name))
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), " %s=%s", flag->name,
                     cdc_arg(&args, flag->name));
    assert_string_equal(seen, row->seen);
}

static const struct code_row {
    const char *name;
    enum cdc_action action;
    int code;
} codes[] = {
    {"retry", CDC_RETRY, 1},           {"rewind", CDC_REWIND, 1}, {"fatal", CDC_FATAL, 1},
    {"resnapshot", CDC_RESNAPSHOT, 3}, {"config", CDC_CONFIG, 2}, {"operator", CDC_OPERATOR, 3},
};

static void test_code(void **state)
{
    const struct code_row *row = *state;
    assert_int_equal(cdc_cli_code(&(struct cdc_error){.action = row->action}), row->code);
}

/* Room for what a command prints. */
static char *read_back(FILE *file)
{
    static char text[65536];
    fflush(file);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void test_report(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct cdc_report *report = cdc_report_new(file);
    cdc_report(report, CDC_PASS, NULL, "server %d", 17);
    cdc_report(report, CDC_WARN, "ALTER TABLE t\n  REPLICA IDENTITY FULL;", "table t");
    cdc_report(report, CDC_BAD, "", "role %s", "cdc");
    assert_int_equal(cdc_report_count(report, CDC_PASS), 1);
    assert_int_equal(cdc_report_count(report, CDC_WARN), 1);
    assert_int_equal(cdc_report_count(report, CDC_BAD), 1);
    cdc_report_free(report);
    assert_string_equal(read_back(file), "ok    server 17\n"
                                         "warn  table t\n"
                                         "          ALTER TABLE t\n"
                                         "            REPLICA IDENTITY FULL;\n"
                                         "FAIL  role cdc\n");
}

/* Every command's help names the command, its flags and an example; every flag fits the arguments.
 */
static void test_help(void **state)
{
    (void)state;
    for (const struct cdc_command *cmd = cdc_commands; cmd->name; cmd++) {
        FILE *file = tmpfile();
        char usage[128];
        size_t n = 0;
        cdc_help_command(file, cmd);
        const char *text = read_back(file);
        snprintf(usage, sizeof usage, "usage: sidestream %s %s", cmd->name, cmd->place);
        assert_memory_equal(text, usage, strlen(usage));
        assert_non_null(strstr(text, cmd->example));
        for (const struct cdc_flag *flag = cmd->flags; flag && flag->name; flag++, n++)
            assert_non_null(strstr(text, flag->name));
        assert_true(n <= CDC_FLAGS_MAX);
        assert_ptr_equal(cdc_command_find(cmd->name), cmd);
    }
}

static int write_config(char *path, const char *source)
{
    static const char rest[] = "capture: [{tables: a.b, snapshot: never}]\n"
                               "sink: {type: null}\nname: shop\n";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, source, strlen(source)), strlen(source));
    assert_int_equal(write(fd, rest, sizeof rest - 1), sizeof rest - 1);
    return close(fd);
}

/* Without a terminal and --yes nothing is dropped, and no connection is made to find that out. */
static void test_drop_asks(void **state)
{
    (void)state;
    char path[] = "/tmp/test_cli_args.XXXXXX", command[] = "drop";
    if (!cdc_source_find("postgres"))
        skip(); /* a build of a few modules */
    write_config(path, "source: {type: postgres, url: 'postgresql://nobody@127.0.0.1:1/none'}\n");
    int keep = dup(STDIN_FILENO), null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    int code = cdc_cmd_drop(2, (char *[]){command, path, NULL});
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(null);
    unlink(path);
    assert_int_equal(code, CDC_EXIT_USAGE);
}

/* A configuration that cannot be read ends every command that needs one with 2. */
static void test_config_missing(void **state)
{
    (void)state;
    static int (*const commands[])(int, char **) = {cdc_cmd_run, cdc_cmd_check, cdc_cmd_drop};
    for (size_t i = 0; i < CM_COUNT(commands); i++) {
        char name[] = "x", path[] = "/nonexistent/shop.yaml";
        assert_int_equal(commands[i](2, (char *[]){name, path, NULL}), CDC_EXIT_USAGE);
        assert_int_equal(commands[i](1, (char *[]){name, NULL}), CDC_EXIT_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest own[] = {
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_drop_asks),
        cmocka_unit_test(test_config_missing),
    };
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(codes) + CM_COUNT(own)];
    struct CMUnitTest *to = CM_ROWS(tests, test_args, rows);
    to = CM_ROWS(to, test_code, codes);
    memcpy(to, own, sizeof own);
    return cmocka_run_group_tests_name("cli_args", tests, NULL, NULL);
}
