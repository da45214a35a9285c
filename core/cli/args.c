/*
 * args.c - a command line read by its command's row of the table, and the way out with an error.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "config/nearest.h"

static int usage_fail(const struct cdc_command *cmd, struct cdc_error *err, const char *what,
                      const char *word)
{
    return cdc_fail(err, CDC_CONFIG, cmd->name, "%s%s%s; see `sidestream %s --help`", what,
                    word ? " " : "", word ? word : "", cmd->name);
}

static int unknown_flag(const struct cdc_command *cmd, const char *word, struct cdc_error *err)
{
    struct cdc_nearest near = {.word = word};
    for (const struct cdc_flag *flag = cmd->flags; flag && flag->name; flag++)
        cdc_nearest_try(&near, flag->name);
    if (near.best)
        return cdc_fail(err, CDC_CONFIG, cmd->name, "unknown option %s; did you mean %s?", word,
                        near.best);
    return usage_fail(cmd, err, "unknown option", word);
}

/* Index of the flag that word names, up to a `=`; -1: none. */
static int find_flag(const struct cdc_command *cmd, const char *word)
{
    size_t len = strcspn(word, "=");
    for (int i = 0; cmd->flags && cmd->flags[i].name; i++)
        if (strlen(cmd->flags[i].name) == len && strncmp(cmd->flags[i].name, word, len) == 0)
            return i;
    return -1;
}

/* argv[*i] is a flag; *i ends at the last word that belongs to it. */
static int read_flag(int argc, char **argv, int *i, struct cdc_args *ret, struct cdc_error *err)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    int at = find_flag(ret->command, word);
    if (at < 0)
        return unknown_flag(ret->command, word, err);
    const struct cdc_flag *flag = &ret->command->flags[at];
    if (ret->values[at])
        return usage_fail(ret->command, err, "given twice:", flag->name);
    if (!flag->value && equals)
        return usage_fail(ret->command, err, "no value belongs to", flag->name);
    bool optional = flag->value && flag->value[0] == '[';
    bool next = *i + 1 < argc && (!optional || (ret->place && argv[*i + 1][0] != '-'));
    ret->values[at] = "";
    if (equals)
        ret->values[at] = equals + 1;
    else if (flag->value && next)
        ret->values[at] = argv[++*i];
    if (flag->value && !optional && !*ret->values[at])
        return usage_fail(ret->command, err, "a value is missing behind", flag->name);
    return CDC_OK;
}

int cdc_args_read(const char *command, int argc, char **argv, struct cdc_args *ret,
                  struct cdc_error *err)
{
    const struct cdc_command *cmd = cdc_command_find(command);
    bool flags_over = false;
    *ret = (struct cdc_args){.command = cmd};
    for (int i = 1; i < argc; i++) {
        if (!flags_over && strcmp(argv[i], "--") == 0) {
            flags_over = true;
        } else if (!flags_over && argv[i][0] == '-' && argv[i][1]) {
            if (read_flag(argc, argv, &i, ret, err) != CDC_OK)
                return CDC_FAIL;
        } else if (!ret->place && cmd->place) {
            ret->place = argv[i];
        } else if (!ret->second && cmd->second) {
            ret->second = argv[i];
        } else {
            return usage_fail(cmd, err, "one argument too many:", argv[i]);
        }
    }
    if (!ret->place && cmd->place && cmd->place[0] != '[')
        return usage_fail(cmd, err, "what is missing is", cmd->place);
    if (!ret->second && cmd->second)
        return usage_fail(cmd, err, "what is missing is", cmd->second);
    return CDC_OK;
}

const char *cdc_arg(const struct cdc_args *args, const char *flag)
{
    int i = find_flag(args->command, flag);
    if (i < 0)
        abort(); /* a bug: the command's row has no such flag */
    return args->values[i];
}

int cdc_cli_code(const struct cdc_error *err)
{
    switch (err->action) {
    case CDC_CONFIG: return CDC_EXIT_USAGE;
    case CDC_OPERATOR:
    case CDC_RESNAPSHOT: return CDC_EXIT_REFUSED;
    case CDC_RETRY:
    case CDC_REWIND:
    case CDC_FATAL: break;
    }
    return CDC_EXIT_FAILED;
}

int cdc_cli_exit(const struct cdc_error *err)
{
    fflush(stdout);
    fprintf(stderr, "sidestream: %s%s%s\n", err->where, *err->where ? ": " : "", err->message);
    return cdc_cli_code(err);
}
