/*
 * docs.c - `sidestream docs configuration`: docs/configuration.md out of the option tables. CI
 * makes it again and compares.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `sidestream docs configuration` from the option tables. Do not edit. -->\n"
    "\n"
    "One YAML file says all:\n"
    "\n"
    "```yaml\n"
    "name: shop\n"
    "source:\n"
    "  type: postgres\n"
    "  url: postgresql://cdc:${env:PGPASSWORD}@127.0.0.1:5432/shop\n"
    "secrets:\n"
    "  hash: ${file:/etc/sidestream/hash.key}\n"
    "capture:                      # the first rule that matches a table takes it\n"
    "  - tables: public.audit_*\n"
    "    skip: true\n"
    "  - tables: public.users\n"
    "    columns: {exclude: [password_hash], hash: [email], mask: [phone], truncate: {bio: 200}}\n"
    "    logical_delete: {column: deleted_at}\n"
    "  - tables: public.events\n"
    "    snapshot: never           # only what changes from now on; the others are copied first\n"
    "  - tables: public.*\n"
    "sink:\n"
    "  type: lake\n"
    "  path: ./lake\n"
    "```\n"
    "\n"
    "- Unknown keys, values of the wrong type or out of range, and missing options are errors "
    "that\n"
    "  name the file and the line. `sidestream check CONFIG` reads the file and looks at both "
    "sides.\n"
    "- `${env:NAME}` and `${file:/path}` in a value are replaced by the environment variable, or "
    "by\n"
    "  what is in the file (one newline at its end is cut; at most 64 KiB). `$${` writes a plain\n"
    "  `${`. A variable that is not set is an error; one that is set and empty is an empty text.\n"
    "  What came out of them is never printed, nor is the value of an option marked *secret*. In "
    "a\n"
    "  URL a password must be percent-encoded; nothing is encoded on the way in.\n"
    "- Sizes: `64MiB`, `1GB`, `4096` (bytes). KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, "
    "TB\n"
    "  powers of 1000.\n"
    "- Durations: `10s`, `200ms`, `500us`, `5m`, `1h`, `7d`; a unit is needed except for `0`.\n"
    "- Relative paths are relative to the working directory of the command, not to the file.\n"
    "- Of YAML: mappings, lists and scalars. Anchors, aliases, tags, a key given twice and a "
    "second\n"
    "  document are errors. Every value is a text first: `type: null` names the sink `null`.\n"
    "- Patterns of tables: `schema.table`, split at the first dot. `*` is any characters, `?` "
    "one,\n"
    "  `[a-z]` one of a set, `[!a-z]` one that is not in it; a backslash takes the next character "
    "as\n"
    "  it is. Upper and lower case differ. The parts are matched apart, so `*` never crosses the "
    "dot.\n"
    "  Names of columns may be patterns of the same kind in `columns` and `on_invalid`.\n"
    "- [capture.md](capture.md) explains the capture rules with examples, and what a changed rule\n"
    "  means for data already written.\n";

/* A cell of a table: a `|` would end it, a `<` outside of code would begin HTML. */
static void put_cell(const char *text)
{
    bool code = false;
    for (; *text; text++) {
        code ^= *text == '`';
        if (*text == '|' || (*text == '<' && !code))
            putchar('\\');
        putchar(*text);
    }
}

static void put_row(const struct cdc_option *opt, const char *prefix)
{
    struct cdc_buf type = CDC_BUF(1024);
    cdc_option_type_text(opt, &type);
    const char *text = cdc_buf_cstr(&type);
    printf("| `%s%s` | ", prefix, opt->name);
    put_cell(text ? text : "");
    fputs(" | ", stdout);
    if (opt->flags & CDC_OPT_REQUIRED)
        fputs("*required*", stdout);
    else if (opt->dflt)
        printf("`%s`", *opt->dflt ? opt->dflt : "\"\"");
    fputs(" | ", stdout);
    put_cell(opt->doc);
    fputs(" |\n", stdout);
    cdc_buf_done(&type);
}

/* Sections of a connector are rows with a dotted name; those of the top have a chapter. */
static void put_rows(const struct cdc_option *options, const char *prefix, bool top)
{
    for (const struct cdc_option *opt = options; opt && opt->name; opt++) {
        char dotted[256];
        put_row(opt, prefix);
        snprintf(dotted, sizeof dotted, "%s%s.", prefix, opt->name);
        if (opt->section && !top)
            put_rows(opt->section, dotted, false);
    }
}

static void put_chapter(const struct cdc_chapter *ch, void *arg)
{
    (void)arg;
    bool top = !ch->kind && !*ch->name;
    if (ch->kind)
        printf("\n## %s: `type: %s`\n\n%s\n\n", ch->kind, ch->name, ch->doc);
    else
        printf("\n## %s%s%s\n\n%s\n\n", top ? "Top of the file" : "`", ch->name, top ? "" : "`",
               ch->doc);
    if (!ch->options || !ch->options->name) {
        puts("It has no options.");
        return;
    }
    fputs("| option | type | default | meaning |\n|---|---|---|---|\n", stdout);
    put_rows(ch->options, "", top);
}

int cdc_cmd_docs(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    if (cdc_args_read("docs", argc, argv, &args, &err) != CDC_OK)
        return cdc_cli_exit(&err);
    if (strcmp(args.place, "configuration") != 0) {
        cdc_fail(&err, CDC_CONFIG, "docs", "there is only `configuration`, not \"%s\"", args.place);
        return cdc_cli_exit(&err);
    }
    fputs(intro, stdout);
    cdc_chapters(put_chapter, NULL);
    return fflush(stdout) == 0 ? CDC_EXIT_OK : CDC_EXIT_FAILED;
}
