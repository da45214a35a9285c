#!/usr/bin/env bash
# demo.sh [postgres|mysql]: the whole path on one machine in about a minute (make demo, make demo-mysql). A throw-away
# database, a shop's business in two sessions, a column added mid-way, the sidecar killed with -9 and started again; then
# the tables as a consumer sees them, and every one compared with the database. Ends with 1 if anything disagrees.
# Needs nothing but Debian's packages, which it installs. The lake stays in build/demo/ (build/demo-mysql/).
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
kind=${1:-postgres}
out=$PWD/build/demo
[ "$kind" = postgres ] || out=$out-$kind
# shellcheck source=demo/story.sh
. demo/story.sh
# shellcheck source=demo/postgres.sh
. "demo/$kind.sh"

needs demo
database
cat >"$out/demo.yaml" <<CONFIG
name: demo
source:
  type: $type
  url: $url
capture:
  - tables: shop.*
sink:
  type: lake
  path: $out/lake
  commit_interval: 500ms
replica:
  path: $out/replica.db
CONFIG
note "configuration: ${out#"$here"/}/demo.yaml"

progress_of() { echo "$(find "$out/lake/_cdc/commits" -name '*.json' 2>/dev/null | wc -l) commits in the lake"; }
business
say "building the replica (SQLite) out of the lake"
"$sidestream" replica "$out/demo.yaml" --until-caught-up 2>>"$out/sidecar.log" || die "replica: $(tail -3 "$out/sidecar.log")"
look
"$sidestream" cat "$out/lake" >"$out/records.json"
read_rows=$(grep -c '"__op":"r"' "$out/records.json" || true)
compare_all replica lake "$(($(wc -l <"$out/records.json") - read_rows))" "$read_rows"
the_end
note "the lake: ${out#"$here"/}/lake   (plain Avro files; every reader opens them)"
note "try:      build/release/sidestream cat ${out#"$here"/}/lake --table shop.customers | tail -3"
note "          sqlite3 -box ${out#"$here"/}/replica.db 'select * from \"shop.orders\" limit 5'"
