/*
 * cli.h - what the commands share: the table of commands, arguments, exit codes.
 *
 * A command is one file and one row of the table in commands.c; --help, `sidestream help` and the
 * check of its arguments come from that row. argv[0] is the command's own name. A command returns
 * the process's exit code and never calls exit().
 *
 * Exit codes: 0 done, 1 failed or damage found, 2 usage or configuration, 3 refused: a person must
 * act. Results go to standard output, errors and logs to standard error.
 */
#ifndef CDC_CLI_CLI_H
#define CDC_CLI_CLI_H

#include "cdc/config.h"
#include <stdio.h>

enum { CDC_EXIT_OK = 0, CDC_EXIT_FAILED = 1, CDC_EXIT_USAGE = 2, CDC_EXIT_REFUSED = 3 };

struct cdc_flag {
    const char *name;  /* with its dashes: "--table" */
    const char *value; /* NULL: a switch; "T": needs a value; "[T]": may have one */
    const char *doc;
};

struct cdc_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *place;  /* the one argument, as --help calls it: "CONFIG"; NULL: takes none */
    const char *second; /* a further argument: "SCHEMA.TABLE"; NULL: none */
    const char *doc;    /* one sentence */
    const char *more;   /* further lines for --help, or NULL */
    const char *example;
    const struct cdc_flag *flags; /* ends in {0}; NULL: none */
    bool hidden;
};

extern const struct cdc_command cdc_commands[]; /* ends in {0} */
const struct cdc_command *cdc_command_find(const char *name);

int cdc_cmd_run(int argc, char **argv);
int cdc_cmd_check(int argc, char **argv);
int cdc_cmd_init(int argc, char **argv);
int cdc_cmd_cat(int argc, char **argv);
int cdc_cmd_status(int argc, char **argv);
int cdc_cmd_pause(int argc, char **argv);
int cdc_cmd_resume(int argc, char **argv);
int cdc_cmd_snapshot(int argc, char **argv);
int cdc_cmd_fsck(int argc, char **argv);
int cdc_cmd_replica(int argc, char **argv);
int cdc_cmd_verify(int argc, char **argv);
int cdc_cmd_drop(int argc, char **argv);
int cdc_cmd_help(int argc, char **argv);
int cdc_cmd_docs(int argc, char **argv);

#define CDC_FLAGS_MAX 8

struct cdc_args {
    const struct cdc_command *command;
    const char *place;                 /* never NULL where the command has one */
    const char *second;                /* the same */
    const char *values[CDC_FLAGS_MAX]; /* by the place of the flag in the command's table */
};

/*
 * Reads argv by the command's row. CDC_FAIL (CDC_CONFIG): unknown flag (nearest name), value
 * missing, place missing or two of them. `--flag=value` and `--flag value` are the same; a flag
 * whose value may be left out takes the next argument only after the place was given and if it is
 * no flag.
 * `--help` and `-h` never come here: main answers them.
 */
CDC_CHECK int cdc_args_read(const char *command, int argc, char **argv, struct cdc_args *ret,
                            struct cdc_error *err);
/* The flag's value, "" for a flag given without one, NULL if not given. */
const char *cdc_arg(const struct cdc_args *args, const char *flag);

/*
 * init.c: appends the configuration that the first source makes which knows this kind of URL.
 * CDC_FAIL (CDC_CONFIG) if none does; no message shows more of the URL than its scheme.
 */
struct cdc_source_ops;
CDC_CHECK int cdc_init_propose(const struct cdc_source_ops *const *sources, const char *url,
                               struct cdc_buf *ret, struct cdc_error *err);
/* Writes a new file; one that exists is left alone (CDC_CONFIG), a failed one taken away. */
CDC_CHECK int cdc_init_write(const char *path, struct cdc_slice text, struct cdc_error *err);

/* reload.c: as `reload` of cdc_pipeline_options. */
struct cdc_settings;
CDC_CHECK int cdc_cli_reload(const struct cdc_settings *before, struct cdc_settings **ret,
                             struct cdc_error *err);

/*
 * run.c: from here on the signals that the pipeline waits for wait for it, also those that come
 * before it does; or not any more.
 */
void cdc_hold_signals(bool hold);

/* Prints the error once, to standard error, and says the exit code. */
int cdc_cli_exit(const struct cdc_error *err);
/* The exit code alone, for an error that was logged already. */
int cdc_cli_code(const struct cdc_error *err);

/* One command's help, and the list of them all. */
void cdc_help_command(FILE *out, const struct cdc_command *command);
void cdc_help_commands(FILE *out);

/*
 * A report on standard output (config.h), shown while it grows: a line per finding, what mends it
 * indented below.
 */
struct cdc_report *cdc_report_new(FILE *out); /* NULL: no memory */
size_t cdc_report_count(const struct cdc_report *report, enum cdc_finding kind);
void cdc_report_free(struct cdc_report *report); /* NULL is fine */

#endif
