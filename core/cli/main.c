/*
 * main.c - finds the command and runs it. What a command does is in its own file.
 */
#include <string.h>

#include "cdc/crash.h"
#include "cli/cli.h"
#include "config/nearest.h"

static int unknown_command(const char *name)
{
    struct cdc_nearest near = {.word = name};
    for (const struct cdc_command *cmd = cdc_commands; cmd->name; cmd++)
        if (!cmd->hidden)
            cdc_nearest_try(&near, cmd->name);
    if (near.best)
        fprintf(stderr, "sidestream: there is no command \"%s\"; did you mean \"%s\"?\n", name,
                near.best);
    else
        fprintf(stderr, "sidestream: there is no command \"%s\"; `sidestream help` lists them\n",
                name);
    return CDC_EXIT_USAGE;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* Output that did not arrive (a full disk, say) is a failure, however well the rest went. */
static int written(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "sidestream: standard output cannot be written\n");
    return code == CDC_EXIT_OK ? CDC_EXIT_FAILED : code;
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        cdc_help_commands(stderr);
        return CDC_EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("sidestream %s\n", CDC_VERSION);
        return CDC_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cdc_help_commands(stdout);
        return CDC_EXIT_OK;
    }
    const struct cdc_command *cmd = cdc_command_find(name);
    if (!cmd)
        return unknown_command(name);
    if (wants_help(argc - 1, argv + 1)) {
        cdc_help_command(stdout, cmd);
        return CDC_EXIT_OK;
    }
    if (cmd->run != cdc_cmd_run)
        cdc_hold_signals(false);
    return cmd->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    cdc_hold_signals(true);
    cdc_crash_init();
    return written(dispatch(argc, argv));
}
