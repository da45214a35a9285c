/*
 * help.c - the help of the commands, and of the configuration's options, from their tables.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "config/nearest.h"

#define WIDTH 96 /* columns of a line */

/* Words of text, each line indented; the cursor stands at the indentation when it begins. */
static void put_wrapped(FILE *out, const char *text, int indent)
{
    int column = indent;
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (column > indent && column + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void put_flag(FILE *out, const char *name, const char *value, const char *doc)
{
    char left[96];
    snprintf(left, sizeof left, "%s%s%s", name, value ? " " : "", value ? value : "");
    fprintf(out, "  %-28s ", left);
    put_wrapped(out, doc, 31);
}

void cdc_help_command(FILE *out, const struct cdc_command *cmd)
{
    fprintf(out, "usage: sidestream %s%s%s%s%s%s\n\n%s\n%s", cmd->name, cmd->place ? " " : "",
            cmd->place ? cmd->place : "", cmd->second ? " " : "", cmd->second ? cmd->second : "",
            cmd->flags ? " [options]" : "", cmd->doc, cmd->more ? cmd->more : "");
    fputs("\noptions:\n", out);
    for (const struct cdc_flag *flag = cmd->flags; flag && flag->name; flag++)
        put_flag(out, flag->name, flag->value, flag->doc);
    put_flag(out, "--help", NULL, "this text");
    fprintf(out, "\nexample:\n  %s\n", cmd->example);
}

static void put_command(FILE *out, const struct cdc_command *cmd)
{
    char places[64];
    snprintf(places, sizeof places, "%s%s%s", cmd->place ? cmd->place : "", cmd->second ? " " : "",
             cmd->second ? cmd->second : "");
    put_flag(out, cmd->name, *places ? places : NULL, cmd->doc);
}

void cdc_help_commands(FILE *out)
{
    fputs("sidestream " CDC_VERSION " turns every committed change of a database into an Avro "
          "record, exactly once.\n\nusage: sidestream COMMAND ...\n\n",
          out);
    for (const struct cdc_command *cmd = cdc_commands; cmd->name; cmd++)
        if (!cmd->hidden)
            put_command(out, cmd);
    fputs("\n`sidestream COMMAND --help` tells more of one, `sidestream help config` what the "
          "configuration can say.\n"
          "exit codes: 0 done, 1 failed or damage found, 2 usage or configuration, 3 refused: a "
          "person must act.\n",
          out);
}

/* nested: with the options of a section below it; those of the top have chapters of their own. */
static void put_option(FILE *out, const struct cdc_option *opt, int depth, bool nested)
{
    struct cdc_buf type = CDC_BUF(1024);
    cdc_option_type_text(opt, &type);
    const char *text = cdc_buf_cstr(&type);
    fprintf(out, "%*s%s: %s", 2 + 2 * depth, "", opt->name, text ? text : "");
    if (opt->flags & CDC_OPT_REQUIRED)
        fputs(" (required)", out);
    else if (opt->dflt)
        fprintf(out, " (default %s)", opt->dflt);
    fprintf(out, "\n%*s", 6 + 2 * depth, "");
    put_wrapped(out, opt->doc, 6 + 2 * depth);
    cdc_buf_done(&type);
    for (const struct cdc_option *sub = nested ? opt->section : NULL; sub && sub->name; sub++)
        put_option(out, sub, depth + 1, nested);
}

static void put_chapter(const struct cdc_chapter *ch, void *arg)
{
    FILE *out = arg;
    if (ch->kind)
        fprintf(out, "\n%s: {type: %s}\n  ", ch->kind, ch->name);
    else
        fprintf(out, "\n%s\n  ", *ch->name ? ch->name : "top of the file");
    put_wrapped(out, ch->doc, 2);
    for (const struct cdc_option *opt = ch->options; opt && opt->name; opt++)
        put_option(out, opt, 0, *ch->name);
}

static int help_config(void)
{
    fputs(
        "One YAML file. ${env:NAME} and ${file:/path} in a value are replaced; $${ is a plain ${.\n"
        "Sizes: 64MiB, 1GB, 4096. Durations: 10s, 200ms, 1h, 0. Relative paths are relative to "
        "the\n"
        "working directory.\n",
        stdout);
    cdc_chapters(put_chapter, stdout);
    return CDC_EXIT_OK;
}

int cdc_cmd_help(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    if (cdc_args_read("help", argc, argv, &args, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    if (!args.place) {
        cdc_help_commands(stdout);
        return CDC_EXIT_OK;
    }
    if (strcmp(args.place, "config") == 0)
        return help_config();
    const struct cdc_command *cmd = cdc_command_find(args.place);
    if (cmd) {
        cdc_help_command(stdout, cmd);
        return CDC_EXIT_OK;
    }
    cdc_fail(&err, CDC_CONFIG, "help", "there is no topic \"%s\": name a command, or config",
             args.place);
    return cdc_cli_exit(&err);
}
