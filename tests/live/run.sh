#!/usr/bin/env bash
# run.sh BUILD: runs every tests/live program against throw-away PostgreSQL servers (VERSIONS, default 15).
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/servers/postgres.sh
. tests/servers/postgres.sh
build=${1:-build/release} rc=0
for version in ${VERSIONS:-15}; do
    bin=/usr/lib/postgresql/$version/bin
    [ -x "$bin/initdb" ] || bin=$(tests/servers/fetch.sh "$version") || { rc=1; continue; }
    base=$(mktemp -d /tmp/live.XXXXXX) port=$(pg_free_port)
    chmod 755 "$base"
    pg_up "$bin" "$base/pg" "$port" || { rc=1; continue; }
    export PGURL="postgresql://postgres@127.0.0.1:$port/postgres"
    for t in "$build"/tests/live/test_*; do
        case $t in *.o | *.d) continue ;; esac
        echo "# $(basename "$t") on PostgreSQL $version"
        timeout 300 "$t" || rc=1
    done
    pg_down "$bin" "$base/pg" immediate
    rm -rf "$base"
done
exit $rc
