#!/usr/bin/env bash
# manpage.sh PROGRAM: sidestream.1 on standard output, out of what the program's own help says, so that it cannot drift.
# The help's form: "usage: ...", text, "options:" with the term at column 3 and its text at 32, "example:".
set -euo pipefail
program=${1:?usage: manpage.sh PROGRAM}

# A help text as roff: terms become .TP, lines of an example stay as they are.
roff() {
    awk '
        function put(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); sub(/^[.'\'']/, "\\\\\\&&", s); print s }
        /^usage: /      { print ".B"; put(substr($0, 8)); next }
        /^options:$/    { print ".PP\nOptions:"; blank = 0; next }
        /^example:$/    { print ".PP\nExample:\n.PP\n.EX"; example = 1; blank = 0; next }
        example         { put($0); next }
        /^ {31}/        { put(substr($0, 32)); next }
        /^  [^ ]/       { text = substr($0, 3); print ".TP"
                          if (!match(text, /   */)) { put(text); next }
                          rest = substr(text, RSTART + RLENGTH); put(substr(text, 1, RSTART - 1)); put(rest); next }
        /^$/            { blank = 1; next }
                        { if (blank) print ".PP"; blank = 0; put($0) }
        END             { if (example) print ".EE" }'
}

help=$("$program" help)
version=$("$program" --version)
commands=$(echo "$help" | sed -nE 's/^  ([a-z]+) .*/\1/p')

cat <<EOF
.\\" Made by packaging/manpage.sh from the program's help. Do not edit.
.TH SIDESTREAM 1 "" "$version" "User Commands"
.SH NAME
sidestream \\- change data capture: every committed change as an Avro record, exactly once
.SH SYNOPSIS
.B sidestream
.I COMMAND
\\&...
.SH DESCRIPTION
One program beside a production database. It reads the database's log and writes every committed change to a lake of
Avro files, in commit order. Its position lies in the lake, in the same atomic step as the data.
.SH COMMANDS
EOF
for name in $commands; do
    printf '.SS %s\n' "$name"
    "$program" "$name" --help | roff
done
cat <<'EOF'
.SH EXIT STATUS
.TP
0
done (the first SIGTERM included)
.TP
1
failed here and now, or a difference or damage was found
.TP
2
wrong usage or configuration
.TP
3
refused: a person must act; the message says how, and operations.md lists every such message
.SH FILES
.TP
.I /etc/sidestream/NAME.yaml
configuration of the unit sidestream@NAME.service; every option:
.B sidestream help config
.TP
.I /etc/sidestream/NAME.env
environment of that unit, for ${env:...} in the configuration
.TP
.I /var/lib/sidestream
working directory of the unit
.SH SEE ALSO
.I /usr/share/doc/sidestream
(configuration.md, operations.md, formats.md)
EOF
