# shellcheck shell=bash disable=SC2034,SC2154
# postgres.sh: the demos' database, a throw-away PostgreSQL; source it behind story.sh. What story.sh wants of it:
#
#   database             starts it, with the shop in it
#   database_down        stops it
#   sql STATEMENT...     one after the other; rows without headings
#   rows_of QUERY        rows with | between columns and NULL where nothing is
#   iso COLUMN           SQL: a time as the sidecar's JSON has it
#   streaming            does the sidecar read the log?
#   judge                begins to count, by means of the database's own, the row changes that are committed
#   judged               how many they were

# shellcheck source=tests/servers/postgres.sh
. tests/servers/postgres.sh
type=postgres bin='' port=''

database() {
    say "starting a throw-away PostgreSQL 15"
    bin=$(tests/servers/fetch.sh 15)
    port=$(pg_free_port)
    pg_up "$bin" "$work/pg" "$port" "log_min_messages = error"
    url=postgresql://postgres@127.0.0.1:$port/postgres
    psql_to -f demo/shop.sql
}
database_down() { [ -z "$bin" ] || pg_down "$bin" "$work/pg" fast; }

psql_to() { psql -h 127.0.0.1 -p "$port" -U postgres -XqAt -v ON_ERROR_STOP=1 "$@"; }
sql() {
    local statement words=()
    for statement; do words+=(-c "$statement"); done
    psql_to "${words[@]}"
}
rows_of() { psql_to -P null=NULL -c "$1"; }
iso() { echo "to_char($1 at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"; }
streaming() { [ "$(sql "select active from pg_replication_slots where slot_name = 'sidestream_demo'")" = t ]; }

# A slot of our own counts what the database says was committed; the sidecar has no part in it.
judge() { sql "select pg_create_logical_replication_slot('demo_judge', 'pgoutput')" >/dev/null; }
# I, U, D: the rows that the server itself would send. Each must have been captured, once.
judged() {
    sql "select count(*) from pg_logical_slot_peek_binary_changes('demo_judge', null, null,
      'proto_version', '1', 'publication_names', 'sidestream_demo') where get_byte(data, 0) in (73, 85, 68)"
}
