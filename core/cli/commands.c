/*
 * commands.c - the table of commands. A new command is a row here and a file beside this one.
 */
#include <string.h>

#include "cli/cli.h"

static const struct cdc_flag run_flags[] = {
    {"--until-caught-up", NULL, "stop at the end of the source's log as it was at the start"},
    {0},
};

static const struct cdc_flag init_flags[] = {
    {"--output", "FILE", "write to this new file in place of standard output"},
    {0},
};

static const struct cdc_flag cat_flags[] = {
    {"--table", "SCHEMA.TABLE", "only this table"},
    {"--from", "COMMIT", "only commits after this number"},
    {"--follow", NULL, "go on with new commits until stopped"},
    {"--files", "[SCHEMA.TABLE]", "print the paths of the data files, not their records"},
    {0},
};

static const struct cdc_flag replica_flags[] = {
    {"--to", "FILE.db", "the SQLite file, in place of `replica.path` of the configuration"},
    {"--until-caught-up", NULL, "stop once all that is committed is applied"},
    {0},
};

static const struct cdc_flag verify_flags[] = {
    {"--table", "SCHEMA.TABLE", "only this table"},
    {"--replica", "FILE.db", "compare this replica with the lake, in place of lake and source"},
    {"--rate", "ROWS", "read at most so many rows a second from the source"},
    {"--timeout", "DURATION", "how long to wait until the lake has come to the place (10m)"},
    {"--limit", "KEYS", "print at most so many keys that differ (1000); all are counted"},
    {0},
};

static const struct cdc_flag status_flags[] = {
    {"--json", NULL, "print it as the instance sends it"},
    {0},
};

static const struct cdc_flag drop_flags[] = {
    {"--yes", NULL, "do not ask"},
    {0},
};

const struct cdc_command cdc_commands[] = {
    {.name = "run",
     .run = cdc_cmd_run,
     .place = "CONFIG",
     .doc = "Captures changes until told to stop.",
     .more =
         "The first SIGTERM or SIGINT lets what is in flight be committed and exits 0; a second\n"
         "one ends at once. Nothing is lost either way: a new start goes on where the last\n"
         "commit ended.\n",
     .example = "sidestream run shop.yaml --until-caught-up",
     .flags = run_flags},
    {.name = "check",
     .run = cdc_cmd_check,
     .place = "CONFIG",
     .doc = "Looks at the source and the sink before a start and changes nothing.",
     .more = "Prints a line per finding: ok, warn or FAIL, and below it what mends it. Exits 1 if\n"
             "anything fails.\n",
     .example = "sidestream check shop.yaml"},
    {.name = "init",
     .run = cdc_cmd_init,
     .place = "URL",
     .doc = "Writes a commented configuration from what is in a database.",
     .more =
         "Looks at the tables (sizes, keys, identities) and proposes, as comments, what columns\n"
         "that look like updated_at, deleted_at or personal data call for. Changes nothing. The\n"
         "password is not written into the file; other users of this machine can see a command\n"
         "line, so PGPASSWORD is a better place for it than the URL.\n",
     .example = "sidestream init postgresql://cdc@127.0.0.1:5432/shop --output shop.yaml",
     .flags = init_flags},
    {.name = "status",
     .run = cdc_cmd_status,
     .place = "CONFIG",
     .doc = "Asks the running instance how far it is, and who holds the source's log.",
     .more = "Needs `http:` in the configuration. Exits 0 if it is ready, else 1.\n",
     .example = "sidestream status shop.yaml",
     .flags = status_flags},
    {.name = "pause",
     .run = cdc_cmd_pause,
     .place = "CONFIG",
     .second = "SCHEMA.TABLE",
     .doc = "Makes the running instance leave out a table until it is resumed.",
     .more = "Its changes meanwhile are not written: it has a gap, which only a new copy mends.\n"
             "Needs `http:` in the configuration.\n",
     .example = "sidestream pause shop.yaml public.audit"},
    {.name = "resume",
     .run = cdc_cmd_resume,
     .place = "CONFIG",
     .second = "SCHEMA.TABLE",
     .doc = "Makes the running instance take a paused table again, from there on.",
     .more = "It is copied anew, which closes its gap, where the source can copy.\n",
     .example = "sidestream resume shop.yaml public.audit"},
    {.name = "snapshot",
     .run = cdc_cmd_snapshot,
     .place = "CONFIG",
     .second = "SCHEMA.TABLE",
     .doc = "Makes the running instance copy a table once more while its changes go on.",
     .more = "Rows that are gone at the source are swept at the end (a range delete).\n"
             "Needs `http:` in the configuration; `sidestream status` shows how far it is.\n",
     .example = "sidestream snapshot shop.yaml public.orders"},
    {.name = "cat",
     .run = cdc_cmd_cat,
     .place = "PATH|CONFIG",
     .doc = "Prints captured records as JSON lines, in commit order.",
     .example = "sidestream cat ./lake --table public.users --from 42",
     .flags = cat_flags},
    {.name = "replica",
     .run = cdc_cmd_replica,
     .place = "CONFIG",
     .doc = "Builds a SQLite database from the captured records and keeps it up to date.",
     .example = "sidestream replica shop.yaml --to shop.db --until-caught-up",
     .flags = replica_flags},
    {.name = "verify",
     .run = cdc_cmd_verify,
     .place = "CONFIG",
     .doc = "Compares what was captured with the source, row by row, at one place of its log.",
     .more =
         "Prints a JSON line for each key that differs, never a value, and a summary to standard\n"
         "error. Runs beside `sidestream run`, which must bring the lake to that place. Exits 0\n"
         "if all is equal, 1 if there is a difference, 3 if it cannot be decided.\n",
     .example = "sidestream verify shop.yaml --table public.users --rate 20000",
     .flags = verify_flags},
    {.name = "fsck",
     .run = cdc_cmd_fsck,
     .place = "CONFIG|PATH",
     .doc = "Checks a lake's files against its commit log.",
     .more =
         "Reads everything: hashes, counts, the chain of commits, positions, schema ids. Exits 1\n"
         "if anything is damaged.\n",
     .example = "sidestream fsck ./lake"},
    {.name = "drop",
     .run = cdc_cmd_drop,
     .place = "CONFIG",
     .doc = "Ends a pipeline: removes what it made at the source (slot, publication).",
     .more = "Asks first. What was captured stays where it is.\n",
     .example = "sidestream drop shop.yaml --yes",
     .flags = drop_flags},
    {.name = "help",
     .run = cdc_cmd_help,
     .place = "[TOPIC]",
     .doc = "Explains a command, or with `help config` every option of the configuration.",
     .example = "sidestream help config"},
    {.name = "docs",
     .run = cdc_cmd_docs,
     .place = "configuration",
     .doc = "Prints docs/configuration.md.",
     .example = "sidestream docs configuration >docs/configuration.md",
     .hidden = true},
    {0},
};

const struct cdc_command *cdc_command_find(const char *name)
{
    for (const struct cdc_command *cmd = cdc_commands; cmd->name; cmd++)
        if (strcmp(cmd->name, name) == 0)
            return cmd;
    return NULL;
}
